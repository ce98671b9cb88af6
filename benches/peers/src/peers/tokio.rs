//! `tokio`: the multi-threaded runtime, without its drivers for IO and time, which would only cost it.

use crate::executor::{Bound, Executor};
use futures::FutureExt;
use std::future::Future;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Tokio {
    runtime: Runtime,
    /// Runs blocking jobs under the narrow bound, and no task. Started when it is asked for.
    narrow: LazyLock<Runtime>,
}

fn runtime(threads: usize, bound: Bound) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(bound.threads())
        .build()
        .expect("threads can be had")
}

impl Executor for Tokio {
    fn start(threads: usize) -> Self {
        Self {
            runtime: runtime(threads, Bound::Wide),
            narrow: LazyLock::new(|| runtime(1, Bound::Narrow)),
        }
    }

    fn spawn<F>(&'static self, future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = self.runtime.spawn(future);
        handle.map(|result| result.expect("no task is cancelled"))
    }

    fn spawn_detached<F>(&'static self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.runtime.spawn(future));
    }

    fn oneshot<T: Send + 'static>() -> (
        impl FnOnce(T) + Send + 'static,
        impl Future<Output = T> + Send + 'static,
    ) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (
            move |value| drop(sender.send(value)),
            receiver.map(|result| result.expect("every sender sends")),
        )
    }

    fn offload<T, J>(
        &'static self,
        bound: Bound,
        job: J,
    ) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let runtime = match bound {
            Bound::Wide => &self.runtime,
            Bound::Narrow => &*self.narrow,
        };
        let handle = runtime.spawn_blocking(job);
        handle.map(|result| result.expect("no job panics"))
    }
}
