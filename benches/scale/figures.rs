//! Percentiles and medians.

use std::fmt;
use std::time::{Duration, Instant};

pub(crate) use crate::medians::{median, median_ratio};

/// How long each of many calls took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    nanos: Vec<u64>,
}

impl Times {
    pub(crate) fn with_capacity(calls: usize) -> Self {
        Times {
            nanos: Vec::with_capacity(calls),
        }
    }

    /// Calls `call`, and notes how long that took, the drop of what it returned included.
    pub(crate) fn measure<T>(&mut self, call: impl FnOnce() -> T) {
        let begun = Instant::now();
        drop(call());
        self.note(begun.elapsed());
    }

    pub(crate) fn note(&mut self, time: Duration) {
        self.nanos
            .push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn summary(mut self) -> Summary {
        self.nanos.sort_unstable();
        let at = |per_mille: usize| {
            let last = self.nanos.len().saturating_sub(1);
            let nanos = self.nanos.get(last * per_mille / 1000).copied();
            Duration::from_nanos(nanos.unwrap_or_default())
        };
        Summary {
            calls: self.nanos.len(),
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        }
    }
}

/// What is said of many calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) calls: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) max: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        write!(
            f,
            "p50 {:8.2}  p99 {:8.2}  p99.9 {:8.2}  max {:9.1} µs  ({} calls)",
            micros(self.p50),
            micros(self.p99),
            micros(self.p999),
            micros(self.max),
            self.calls
        )
    }
}
