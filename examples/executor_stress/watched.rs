//! A future that writes down what happens to it.

use crate::promise::Output;
use crate::witness::Witness;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A future with a witness.
pub(crate) struct Watched<F> {
    inner: Pin<Box<F>>,
    /// The waker that counts, since the first poll.
    waker: Option<Waker>,
    /// The last field, so that it is dropped when everything else is.
    gone: Gone,
}

impl<F> Watched<F> {
    pub(crate) fn new(future: F, witness: &Arc<Witness>) -> Self {
        Self {
            inner: Box::pin(future),
            waker: None,
            gone: Gone(Arc::clone(witness)),
        }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let this = self.get_mut();
        let witness = &this.gone.0;
        let in_poll = witness.poll_begins(cx.waker());
        let answer = if witness.is_counted() {
            let counting = this.waker.get_or_insert_with(|| {
                Waker::from(Arc::new(Counting {
                    witness: Arc::clone(witness),
                    task: cx.waker().clone(),
                }))
            });
            let mut context = Context::from_waker(counting);
            this.inner.as_mut().poll(&mut context)
        } else {
            this.inner.as_mut().poll(cx)
        };
        let answer = answer.map(|()| witness.is_ready());
        drop(in_poll);
        answer
    }
}

/// Writes the drop down.
struct Gone(Arc<Witness>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.is_dropped();
    }
}

/// Numbers the wakes that the library makes.
struct Counting {
    witness: Arc<Witness>,
    task: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.witness.has_news();
        match Arc::try_unwrap(self) {
            Ok(own) => own.task.wake(),
            Err(shared) => shared.task.wake_by_ref(),
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.witness.has_news();
        self.task.wake_by_ref();
    }
}
