//! `data_manager`: tasks manager, IO operation, blocking pool.

use crate::executor::{Bound, Executor};
use data_manager::io_operation::{BlockingPool, IoOperation};
use data_manager::tasks_manager::TasksManager;
use futures::FutureExt;
use std::future::Future;

pub(crate) struct Ours {
    manager: TasksManager,
    wide: BlockingPool,
    narrow: BlockingPool,
}

impl Executor for Ours {
    fn start(threads: usize) -> Self {
        Self {
            manager: TasksManager::new(threads),
            wide: BlockingPool::new(Bound::Wide.threads()),
            narrow: BlockingPool::new(Bound::Narrow.threads()),
        }
    }

    fn spawn<F>(&'static self, future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = self.manager.spawn(future);
        handle.map(|result| result.expect("no task is cancelled"))
    }

    fn spawn_detached<F>(&'static self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.manager.spawn(future));
    }

    fn oneshot<T: Send + 'static>() -> (
        impl FnOnce(T) + Send + 'static,
        impl Future<Output = T> + Send + 'static,
    ) {
        let (operation, completer) = IoOperation::new();
        (
            move |value| completer.complete(value),
            operation.map(|result| result.expect("every operation is completed")),
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
        let pool = match bound {
            Bound::Wide => &self.wide,
            Bound::Narrow => &self.narrow,
        };
        pool.run(job).map(|result| result.expect("no job panics"))
    }
}
