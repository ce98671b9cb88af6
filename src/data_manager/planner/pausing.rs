//! A pause: no file is begun until it is over.
//!
//! That nothing is handed out meanwhile, and nothing called back, is in
//! [`Scheduler`](super::scheduler::Scheduler).

use super::Planner;
use crate::data_manager::events::Event;

impl Planner {
    /// Begins a pause, or ends it. Says so once, however often it is called.
    pub(in crate::data_manager) fn set_paused(&mut self, paused: bool) {
        let board = &mut self.board;
        if !board.shut_down && board.scheduler.set_paused(paused) {
            board.emit(match paused {
                true => Event::Paused,
                false => Event::Resumed,
            });
        }
    }
}
