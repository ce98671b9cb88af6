//! Outputs, and operations that check what they give.

use crate::report::{OnPurpose, hold, panic_on_purpose};
use crate::witness::HowItEnded;
use data_manager::io_operation::{Completer, IoOperation};
use data_manager::tasks_manager::JoinError;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::panicking;

/// Every so many-th output panics when it is dropped by anybody but its receiver.
const EXPLOSIVE: u64 = 5;

/// How many outputs there were in a world.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    made: AtomicU64,
    dropped: AtomicU64,
}

impl Ledger {
    /// What has to be so when the world is over.
    pub(crate) fn check_at_the_end(&self) {
        let (made, dropped) = (
            self.made.load(Ordering::Relaxed),
            self.dropped.load(Ordering::Relaxed),
        );
        hold(made == dropped, || {
            format!("{made} outputs were made, {dropped} were dropped")
        });
    }
}

/// What a task or an operation gives: the number of who made it.
pub(crate) struct Output {
    id: u64,
    ledger: Arc<Ledger>,
    explosive: bool,
}

impl Output {
    pub(crate) fn new(id: u64, ledger: &Arc<Ledger>) -> Self {
        ledger.made.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            ledger: Arc::clone(ledger),
            explosive: id.is_multiple_of(EXPLOSIVE),
        }
    }

    /// It arrived: it is dropped without a panic.
    fn receive(mut self) {
        self.explosive = false;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.ledger.dropped.fetch_add(1, Ordering::Relaxed);
        if self.explosive && !panicking() {
            panic_on_purpose();
        }
    }
}

/// Receives what came of the task or the operation with this number.
pub(crate) fn what_came(result: Result<Output, JoinError>, id: u64) -> Result<(), HowItEnded> {
    match result {
        Ok(output) if output.id == id => {
            output.receive();
            Ok(())
        }
        Err(error) if error.is_cancelled() => Err(HowItEnded::Cancelled),
        Err(error) => match error.into_panic().downcast::<OnPurpose>() {
            Ok(payload) => {
                (*payload).receive();
                Err(HowItEnded::Panicked)
            }
            Err(_) => Err(HowItEnded::Wrong),
        },
        Ok(_) => Err(HowItEnded::Wrong),
    }
}

/// The record of one operation, and of the job behind it, if there is one.
#[derive(Debug)]
pub(crate) struct Promise {
    id: u64,
    ledger: Arc<Ledger>,
    /// How it is about to end; `None` while nobody knows.
    end: Mutex<Option<Result<(), HowItEnded>>>,
    /// How often the job behind it was run.
    runs: AtomicU64,
}

impl Promise {
    pub(crate) fn new(id: u64, ledger: &Arc<Ledger>) -> Self {
        Self {
            id,
            ledger: Arc::clone(ledger),
            end: Mutex::new(None),
            runs: AtomicU64::new(0),
        }
    }

    /// An operation that somebody is to complete.
    pub(crate) fn operation(self: &Arc<Self>) -> (Operation, Completion) {
        let (operation, completer) = IoOperation::new();
        let completion = Completion {
            completer: Some(completer),
            promise: Arc::clone(self),
        };
        (self.keep(operation), completion)
    }

    /// The operation of a job.
    pub(crate) fn keep(self: &Arc<Self>, operation: IoOperation<Output>) -> Operation {
        Operation {
            operation,
            promise: Arc::clone(self),
        }
    }

    /// The job behind it runs.
    pub(crate) fn runs(&self) {
        let runs = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        hold(runs == 1, || format!("job {} was run twice", self.id));
    }

    /// What has to be so for a job when its pool has ended.
    pub(crate) fn check_that_it_ran(&self) {
        let runs = self.runs.load(Ordering::Relaxed);
        hold(runs == 1, || format!("job {} was never run", self.id));
    }

    /// Panics in the name of this job.
    pub(crate) fn panic(&self) -> ! {
        *self.end.lock() = Some(Err(HowItEnded::Panicked));
        panic_on_purpose()
    }

    /// The output, to be given next.
    pub(crate) fn output(&self) -> Output {
        *self.end.lock() = Some(Ok(()));
        Output::new(self.id, &self.ledger)
    }

    fn settle(&self, result: Result<Output, JoinError>) {
        let result = what_came(result, self.id);
        let end = *self.end.lock();
        hold(end == Some(result), || {
            format!("operation {} gave {result:?} and not {end:?}", self.id)
        });
    }
}

/// An operation that checks what it gives.
pub(crate) struct Operation {
    operation: IoOperation<Output>,
    promise: Arc<Promise>,
}

impl Operation {
    /// Blocks until it ends.
    pub(crate) fn wait(self) {
        self.promise.settle(self.operation.wait());
    }
}

impl Future for Operation {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let answer = Pin::new(&mut self.operation).poll(cx);
        answer.map(|result| self.promise.settle(result))
    }
}

/// The other end of an [`Operation`]. Dropped, it gives up.
pub(crate) struct Completion {
    completer: Option<Completer<Output>>,
    promise: Arc<Promise>,
}

impl Completion {
    pub(crate) fn complete(mut self) {
        if let Some(completer) = self.completer.take() {
            completer.complete(self.promise.output());
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(completer) = self.completer.take() {
            *self.promise.end.lock() = Some(Err(HowItEnded::Cancelled));
            drop(completer);
        }
    }
}
