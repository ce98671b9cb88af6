//! Code that runs when a thread ends, in the destructor of a thread-local.

use crate::level::Count;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static EXIT: RefCell<Exit> = RefCell::default();
}

type Code = Box<dyn FnOnce()>;

#[derive(Default)]
struct Exit {
    codes: Vec<Code>,
    counted: Option<Arc<Count>>,
}

impl Drop for Exit {
    fn drop(&mut self) {
        for code in self.codes.drain(..) {
            code();
        }
        if let Some(count) = self.counted.take() {
            count.subtract();
        }
    }
}

/// Runs code when the current thread ends.
pub(crate) fn at_thread_exit(code: impl FnOnce() + 'static) {
    EXIT.with(|exit| exit.borrow_mut().codes.push(Box::new(code)));
}

/// Counts the current thread, once, until it has ended and run all such code.
pub(crate) fn count_thread(count: &Arc<Count>) {
    EXIT.with(|exit| {
        let mut exit = exit.borrow_mut();
        if exit.counted.is_none() {
            count.add();
            exit.counted = Some(Arc::clone(count));
        }
    });
}
