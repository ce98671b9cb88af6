//! Are idle pools asleep? One that polled for work would cost all the others.

use std::fs;
use std::thread;
use std::time::Duration;

/// What the threads of the process used in an interval, all but the first one: that one looks.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) threads: usize,
    pub(crate) cpu_ns: u64,
    /// Times that a thread was put on a CPU.
    pub(crate) slices: u64,
}

/// Sleeps for the interval and says what the process used meanwhile. `None` where the system does not tell.
pub(crate) fn usage_while_asleep(interval: Duration) -> Option<Usage> {
    let before = usage()?;
    thread::sleep(interval);
    let after = usage()?;
    Some(Usage {
        threads: after.threads,
        // Threads that ended took their figures along.
        cpu_ns: after.cpu_ns.saturating_sub(before.cpu_ns),
        slices: after.slices.saturating_sub(before.slices),
    })
}

fn usage() -> Option<Usage> {
    let mut sum = Usage {
        threads: 0,
        cpu_ns: 0,
        slices: 0,
    };
    let first = std::process::id().to_string();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        if thread.file_name() == first.as_str() {
            continue;
        }
        // Time on a CPU in ns, time in the queue, times on a CPU.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        let mut fields = text.split_whitespace().map(str::parse::<u64>);
        if let (Some(Ok(cpu_ns)), _, Some(Ok(slices))) =
            (fields.next(), fields.next(), fields.next())
        {
            sum.threads += 1;
            sum.cpu_ns += cpu_ns;
            sum.slices += slices;
        }
    }
    Some(sum)
}
