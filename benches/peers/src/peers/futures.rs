//! `futures`: its `ThreadPool`, which has no place for blocking jobs.

use crate::executor::{Bound, Executor};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::executor::ThreadPool;
use futures::task::SpawnExt;
use std::future::{Future, pending};

pub(crate) struct Futures {
    pool: ThreadPool,
}

impl Executor for Futures {
    const OFFLOADS: bool = false;

    fn start(threads: usize) -> Self {
        let pool = ThreadPool::builder()
            .pool_size(threads)
            .create()
            .expect("threads can be had");
        Self { pool }
    }

    fn spawn<F>(&'static self, future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.pool
            .spawn_with_handle(future)
            .expect("the pool takes every task")
    }

    fn spawn_detached<F>(&'static self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.pool.spawn_ok(future);
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
        _job: J,
    ) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        pending()
    }
}
