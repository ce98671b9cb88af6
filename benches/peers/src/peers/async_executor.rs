//! `async-executor`: its `Executor`, run by threads of ours; with `blocking` for the jobs.

use crate::executor::{Bound, Executor};
use futures::FutureExt;
use futures::channel::oneshot;
use futures_lite::future::block_on;
use std::future::{Future, pending};
use std::sync::Arc;
use std::thread;

pub(crate) struct AsyncExecutor {
    executor: Arc<async_executor::Executor<'static>>,
}

impl Executor for AsyncExecutor {
    fn start(threads: usize) -> Self {
        let executor = Arc::new(async_executor::Executor::new());
        for _ in 0..threads {
            let executor = Arc::clone(&executor);
            thread::spawn(move || block_on(executor.run(pending::<()>())));
        }
        Self { executor }
    }

    fn spawn<F>(&'static self, future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.executor.spawn(future)
    }

    fn spawn_detached<F>(&'static self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.executor.spawn(future).detach();
    }

    fn oneshot<T: Send + 'static>() -> (
        impl FnOnce(T) + Send + 'static,
        impl Future<Output = T> + Send + 'static,
    ) {
        let (sender, receiver) = oneshot::channel();
        (
            move |value| drop(sender.send(value)),
            receiver.map(|result| result.expect("every sender sends")),
        )
    }

    fn offload<T, J>(
        &'static self,
        _bound: Bound,
        job: J,
    ) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        blocking::unblock(job)
    }
}
