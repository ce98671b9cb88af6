//! What the scenarios need of a runtime, and who has it.

use std::future::Future;
use std::time::Duration;

/// A runtime that a program may have.
pub trait Runtime: 'static {
    /// What its `spawn` returns.
    type Task<T: Send + 'static>: Send;

    /// Runs a program on it, to its end.
    fn run(program: impl Future<Output = ()> + Send + 'static);

    /// Starts a task, from inside.
    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Self::Task<T>;

    /// Awaits a task.
    fn join<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = T> + Send;

    /// Cancels a task, and awaits that its future is gone.
    fn cancel<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = ()> + Send;

    /// Awaits a future for so long, by the runtime's own timer.
    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send
    where
        F::Output: Send;

    /// Lets others run.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Runs what blocks on threads of the runtime that may.
    fn blocking<T: Send + 'static>(
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// tokio with several threads.
pub struct TokioThreads;

/// tokio on the one thread that runs the program.
pub struct TokioOneThread;

/// async-std, with as many threads as it likes.
pub struct AsyncStd;

/// smol: one global thread beside the program's.
pub struct Smol;

macro_rules! tokio_runtime {
    ($name:ident, $builder:expr) => {
        impl Runtime for $name {
            type Task<T: Send + 'static> = tokio::task::JoinHandle<T>;

            fn run(program: impl Future<Output = ()> + Send + 'static) {
                let runtime = $builder.enable_time().build().expect("a runtime");
                runtime.block_on(program);
            }

            fn spawn<T: Send + 'static>(
                future: impl Future<Output = T> + Send + 'static,
            ) -> Self::Task<T> {
                tokio::spawn(future)
            }

            async fn join<T: Send + 'static>(task: Self::Task<T>) -> T {
                task.await.expect("a task that ends")
            }

            async fn cancel<T: Send + 'static>(task: Self::Task<T>) {
                task.abort();
                let _ = task.await;
            }

            async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
            where
                F::Output: Send,
            {
                tokio::time::timeout(limit, future).await.ok()
            }

            async fn yield_now() {
                tokio::task::yield_now().await;
            }

            async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
                tokio::task::spawn_blocking(job)
                    .await
                    .expect("a job that ends")
            }
        }
    };
}

tokio_runtime!(
    TokioThreads,
    tokio::runtime::Builder::new_multi_thread().worker_threads(2)
);
tokio_runtime!(
    TokioOneThread,
    tokio::runtime::Builder::new_current_thread()
);

impl Runtime for AsyncStd {
    type Task<T: Send + 'static> = async_std::task::JoinHandle<T>;

    fn run(program: impl Future<Output = ()> + Send + 'static) {
        async_std::task::block_on(program);
    }

    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Self::Task<T> {
        async_std::task::spawn(future)
    }

    async fn join<T: Send + 'static>(task: Self::Task<T>) -> T {
        task.await
    }

    async fn cancel<T: Send + 'static>(task: Self::Task<T>) {
        let _ = task.cancel().await;
    }

    async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
    where
        F::Output: Send,
    {
        async_std::future::timeout(limit, future).await.ok()
    }

    async fn yield_now() {
        async_std::task::yield_now().await;
    }

    async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
        async_std::task::spawn_blocking(job).await
    }
}

impl Runtime for Smol {
    type Task<T: Send + 'static> = smol::Task<T>;

    fn run(program: impl Future<Output = ()> + Send + 'static) {
        smol::block_on(program);
    }

    fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Self::Task<T> {
        smol::spawn(future)
    }

    async fn join<T: Send + 'static>(task: Self::Task<T>) -> T {
        task.await
    }

    async fn cancel<T: Send + 'static>(task: Self::Task<T>) {
        let _ = task.cancel().await;
    }

    async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
    where
        F::Output: Send,
    {
        let late = async {
            smol::Timer::after(limit).await;
            None
        };
        smol::future::or(async { Some(future.await) }, late).await
    }

    async fn yield_now() {
        smol::future::yield_now().await;
    }

    async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(job).await
    }
}
