//! Log records as lines on stderr. Whatever collects them there adds the time.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};

/// One process has one logger, so it needs no state.
struct ToStderr;

/// Shows records of this level and above. Where a logger is set already, that one stays.
pub(crate) fn show(level: LevelFilter) {
    if log::set_logger(&ToStderr).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let (level, target, what) = (record.level(), record.target(), record.args());
            // In one write, so that lines of two threads do not mix. Nobody may be there to read it.
            let line = format!("{level:<5} {target}: {what}\n");
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}
