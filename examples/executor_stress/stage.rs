//! One manager of a world, as its tasks and everybody else see it.

use crate::level::Count;
use data_manager::tasks_manager::TasksManager;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// A manager, and how many live in it.
pub(crate) struct Stage {
    /// Weak, as it has to be in tasks. The driver of the world has the one reference that lasts.
    manager: Weak<TasksManager>,
    pub(crate) threads: usize,
    /// Futures that were spawned and are not dropped.
    pub(crate) alive: Count,
    /// Those among them that end by themselves, in the whole world.
    busy: Arc<Count>,
    /// Threads that have polled and not ended.
    pub(crate) workers: Arc<Count>,
    /// The driver lets go of the manager: from here on any task may be cancelled.
    closing: AtomicBool,
    /// How many more polls may block. One worker less than there are, since a manager whose workers all wait
    /// for others is a mistake of its user.
    may_block: AtomicUsize,
}

impl Stage {
    pub(crate) fn new(manager: &Arc<TasksManager>, threads: usize, busy: &Arc<Count>) -> Self {
        Self {
            manager: Arc::downgrade(manager),
            threads,
            alive: Count::default(),
            busy: Arc::clone(busy),
            workers: Arc::default(),
            closing: AtomicBool::new(false),
            may_block: AtomicUsize::new(threads - 1),
        }
    }

    /// The manager, while there is one. Whoever has this may be the one to drop the manager.
    pub(crate) fn manager(&self) -> Option<Arc<TasksManager>> {
        self.manager.upgrade()
    }

    /// True once nobody can get at the manager any more; its drop may still be under way.
    pub(crate) fn is_gone(&self) -> bool {
        self.manager.strong_count() == 0
    }

    pub(crate) fn enter(&self, stays: bool) {
        self.alive.add();
        if !stays {
            self.busy.add();
        }
    }

    pub(crate) fn leave(&self, stays: bool) {
        self.alive.subtract();
        if !stays {
            self.busy.subtract();
        }
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Leave for so many polls to block, if that leaves a worker for the others.
    pub(crate) fn let_block(self: &Arc<Self>, polls: usize) -> Option<MayBlock> {
        self.may_block
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(polls)
            })
            .ok()?;
        Some(MayBlock {
            stage: Arc::clone(self),
            polls,
        })
    }
}

/// Leave for some polls to block, as long as this is kept.
pub(crate) struct MayBlock {
    stage: Arc<Stage>,
    polls: usize,
}

impl Drop for MayBlock {
    fn drop(&mut self) {
        self.stage.may_block.fetch_add(self.polls, Ordering::SeqCst);
    }
}
