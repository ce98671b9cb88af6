//! What a workload may ask of an executor: all that the measured code has in common.

use std::future::Future;

/// Threads of every pool that polls.
pub(crate) const THREADS: usize = 2;

/// Most threads for blocking jobs. Two bounds, because they decide how many threads a burst of jobs starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// 512, which is the default of `spawn_blocking`; `blocking` has 500.
    Wide,
    /// 4. `blocking` has one pool for the process and takes its bound from the environment, so it keeps its 500.
    Narrow,
}

impl Bound {
    pub(crate) fn threads(self) -> usize {
        match self {
            Self::Wide => 512,
            Self::Narrow => 4,
        }
    }
}

/// An executor under measurement.
///
/// Pools live as long as the process, so that a task reaches its executor through a plain reference, and no
/// reference count is part of any figure.
pub(crate) trait Executor: Sized + Send + Sync + 'static {
    /// Whether it runs blocking jobs. If not, [`offload`](Self::offload) is never called.
    const OFFLOADS: bool = true;

    /// A pool of that many threads.
    fn start(threads: usize) -> Self;

    /// Starts a task and gives its output to whoever awaits the handle. The handles are kept until then: what
    /// their drop means differs.
    fn spawn<F>(&'static self, future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Starts a task that nobody waits for, in the cheapest way that the executor has.
    fn spawn_detached<F>(&'static self, future: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// The channel for one value that comes with the executor; the neutral one where none does.
    fn oneshot<T: Send + 'static>() -> (
        impl FnOnce(T) + Send + 'static,
        impl Future<Output = T> + Send + 'static,
    );

    /// Runs a blocking job on a thread made for that.
    fn offload<T, J>(
        &'static self,
        bound: Bound,
        job: J,
    ) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static;
}
