//! The last things that happened, for whoever looks at a seed that failed.

use std::collections::VecDeque;

use crate::data_manager::planner::Moment;

const LINES: usize = 40;

#[derive(Default)]
pub(super) struct History {
    lines: VecDeque<String>,
    /// Set for the scenarios: too much happens in them, and nobody reads it.
    pub(super) off: bool,
}

impl History {
    pub(super) fn note(&mut self, now: Moment, line: impl FnOnce() -> String) {
        if self.off {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines
            .push_back(format!("{:>9.3} {}", now.as_secs_f64(), line()));
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
