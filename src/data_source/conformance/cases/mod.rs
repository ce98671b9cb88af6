//! The cases, and what they have in common. Each has a thread and names of its own, so that one
//! that hangs holds up no other.

mod cancelling;
mod crowd;
mod listing;
mod plain;
mod trouble;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::client::{Client, End};
use super::{Case, Origin, Outcome};
use crate::data_source::{CancelToken, DataSource, OpenRequest, Opened, SourceError};

/// The longest that a case may take. Only one that fails takes that long.
const CASE_LIMIT: Duration = Duration::from_secs(60);
/// More than any content of the suite that is read whole.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// A read that goes on until there is no more.
const ALL: usize = usize::MAX;

/// What a case needs.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) source: Arc<dyn DataSource>,
    pub(super) origin: Arc<dyn Origin>,
}

/// Why a case ended early.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(String),
    Cannot(String),
}

type Check = fn(&Bench) -> Result<(), Stop>;

const CASES: [(&str, Check); 25] = [
    ("whole", plain::whole),
    ("empty", plain::empty),
    ("total", plain::total),
    ("validator", plain::validator),
    ("ranged", plain::ranged),
    ("at_the_end", plain::at_the_end),
    ("resumed", plain::resumed),
    ("unless", plain::unless),
    ("another_validator", versions::another_validator),
    (
        "changed_between_attempts",
        versions::changed_between_attempts,
    ),
    ("changed_while_open", versions::changed_while_open),
    (
        "removed_between_attempts",
        versions::removed_between_attempts,
    ),
    ("removed_while_open", versions::removed_while_open),
    ("missing", trouble::missing),
    ("cut", trouble::cut),
    ("check", trouble::check),
    ("secrets", trouble::secrets),
    ("huge", plain::huge),
    ("cancelled_before", cancelling::before),
    ("cancelled_while_reading", cancelling::while_reading),
    ("cancelled_while_opening", cancelling::while_opening),
    ("cancelled_while_stalled", cancelling::while_stalled),
    ("at_once", crowd::at_once),
    ("dropped_half_way", crowd::dropped_half_way),
    ("list", listing::list),
];

pub(super) fn run(bench: &Bench, is_meant: impl Fn(&str) -> bool) -> Vec<Case> {
    let meant = CASES.into_iter().filter(|(name, _)| is_meant(name));
    let case = |(name, check)| Case {
        name,
        outcome: run_case(bench, name, check),
    };
    meant.map(case).collect()
}

fn run_case(bench: &Bench, name: &str, check: Check) -> Outcome {
    let bench = bench.clone();
    let ended = in_time(&format!("conformance {name}"), CASE_LIMIT, move || {
        check(&bench)
    });
    match ended {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(Stop::Failed(reason))) | Err(reason) => Outcome::Failed(reason),
        Ok(Err(Stop::Cannot(reason))) => Outcome::Skipped(reason),
    }
}

/// Runs `code` on a thread of its own, which is left behind if it is not back within `limit`.
fn in_time<T: Send + 'static>(
    name: &str,
    limit: Duration,
    code: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    let guarded = move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(code)));
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(guarded);
    let thread = thread.map_err(|error| format!("no thread: {error}"))?;
    let Ok(outcome) = receiver.recv_timeout(limit) else {
        return Err(format!("it was not back within {limit:?}"));
    };
    let _ = thread.join();
    outcome.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        format!("it panicked: {}", text.unwrap_or("no text"))
    })
}

impl Bench {
    /// One whole file, in one attempt.
    fn fetch(&self, url: &str) -> Result<Client, Stop> {
        let mut client = Client::default();
        match client.attempt(self, url, ALL)? {
            End::Whole => Ok(client),
            end => failed(format!(
                "nothing is wrong with it, but after {} bytes: {}",
                client.bytes.len(),
                end.told()
            )),
        }
    }

    /// Opens the rest of a file behind the client's back.
    fn open_rest(&self, url: &str, offset: u64, validator: &str) -> Result<Opened, SourceError> {
        let cancel = CancelToken::new();
        let request = OpenRequest::new(url, &cancel).resume(offset, validator);
        self.source.open(&request)
    }

    /// The validator of what there is.
    fn validator_of(&self, url: &str) -> Result<String, Stop> {
        let opened = self
            .source
            .open(&OpenRequest::new(url, &CancelToken::new()));
        match opened {
            Ok(opened) => match opened.validator() {
                Some(validator) => Ok(validator.to_owned()),
                None => cannot("the source gives no validator, so nothing is resumed"),
            },
            Err(error) => failed(format!("nothing is wrong with it, but: {error}")),
        }
    }
}

impl End {
    fn told(&self) -> String {
        match self {
            End::Whole => "it is whole".to_owned(),
            End::Broken => "it broke off, or its end does not say that it is whole".to_owned(),
            End::Enough => "it goes on".to_owned(),
            End::Refused(error) => format!("it did not open: {error}"),
        }
    }
}

/// The case ends here: the source did `what`.
pub(super) fn failed<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(what.into()))
}

/// The case ends here: it cannot be tried because of `why`.
fn cannot<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Cannot(why.into()))
}

fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if is_so { Ok(()) } else { failed(otherwise()) }
}

/// What the optional methods of an origin return.
fn able(url: Option<String>, what: &str) -> Result<String, Stop> {
    url.map_or_else(|| cannot(format!("the origin cannot {what}")), Ok)
}

/// Bytes that are not all alike, different for each seed (SplitMix64; Steele, Lea, Flood, 2014).
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Where two contents part, for a reason that a person reads.
fn compare(arrived: &[u8], expected: &[u8]) -> Result<(), Stop> {
    if arrived == expected {
        return Ok(());
    }
    let pairs = arrived.iter().zip(expected);
    let same = pairs.take_while(|(a, b)| a == b).count();
    failed(format!(
        "other bytes than the origin holds: {} of them, {} expected, the first {same} are right",
        arrived.len(),
        expected.len()
    ))
}
