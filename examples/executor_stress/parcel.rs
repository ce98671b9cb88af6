//! Managers that are dropped on one of their own threads.

use crate::level::Count;
use crate::stage::Stage;
use crate::thread_exit::count_thread;
use data_manager::tasks_manager::{JoinHandle, TasksManager};
use parking_lot::Mutex;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Where a task finds the manager that it is to drop.
#[derive(Default)]
struct Parcel {
    manager: Mutex<Option<Arc<TasksManager>>>,
    waker: Mutex<Option<Waker>>,
}

impl Parcel {
    fn take(&self) -> Option<Arc<TasksManager>> {
        self.manager.lock().take()
    }

    /// A task of this manager that waits for it.
    fn receive<T: Send + 'static>(
        self: &Arc<Self>,
        stage: &Arc<Stage>,
        manager: &TasksManager,
        end: fn(Arc<TasksManager>) -> T,
    ) -> JoinHandle<T> {
        let (parcel, workers) = (Arc::clone(self), Arc::clone(&stage.workers));
        manager.spawn(poll_fn(move |cx| {
            count_thread(&workers);
            *parcel.waker.lock() = Some(cx.waker().clone());
            match parcel.take() {
                Some(manager) => Poll::Ready(end(manager)),
                None => Poll::Pending,
            }
        }))
    }

    fn put(&self, manager: Arc<TasksManager>) {
        *self.manager.lock() = Some(manager);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pub(crate) fn drop_in_poll(stage: &Arc<Stage>, manager: Arc<TasksManager>) {
    let parcel = Arc::<Parcel>::default();
    drop(parcel.receive(stage, &manager, drop));
    parcel.put(manager);
}

pub(crate) fn drop_in_outputs_drop(stage: &Arc<Stage>, manager: Arc<TasksManager>) {
    let parcel = Arc::<Parcel>::default();
    drop(parcel.receive(stage, &manager, |manager| manager));
    parcel.put(manager);
}

pub(crate) fn drop_in_futures_drop(stage: &Arc<Stage>, manager: Arc<TasksManager>) {
    /// Drops what is in the parcel when it is dropped.
    struct Receiver(Arc<Parcel>, Arc<Count>);

    impl Drop for Receiver {
        fn drop(&mut self) {
            count_thread(&self.1);
            drop(self.0.take());
        }
    }

    let parcel = Arc::<Parcel>::default();
    let receiver = Receiver(Arc::clone(&parcel), Arc::clone(&stage.workers));
    let handle = manager.spawn(async move {
        let _receiver = receiver;
        pending::<()>().await;
    });
    parcel.put(manager);
    handle.cancel();
}
