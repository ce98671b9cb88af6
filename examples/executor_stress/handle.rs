//! A handle that checks what it says.

use crate::promise::{Output, what_came};
use crate::report::hold;
use crate::witness::Witness;
use data_manager::tasks_manager::{JoinError, JoinHandle};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The handle of a witnessed task.
pub(crate) struct Handle {
    join: JoinHandle<Output>,
    pub(crate) witness: Arc<Witness>,
}

impl Handle {
    pub(crate) fn new(join: JoinHandle<Output>, witness: Arc<Witness>) -> Self {
        Self { join, witness }
    }

    pub(crate) fn cancel(&self) {
        self.witness.is_being_cancelled();
        self.join.cancel();
        self.witness.was_cancelled();
    }

    /// Blocks until the task ends.
    pub(crate) fn wait(self) {
        settle(&self.witness, self.join.wait());
    }

    pub(crate) fn look(&self) {
        if self.join.is_finished() {
            hold(self.witness.is_gone(), || {
                format!("finished, and not dropped: {:?}", self.witness)
            });
        }
    }
}

impl Future for Handle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let answer = Pin::new(&mut self.join).poll(cx);
        answer.map(|result| settle(&self.witness, result))
    }
}

fn settle(witness: &Witness, result: Result<Output, JoinError>) {
    witness.settle(what_came(result, witness.id));
}
