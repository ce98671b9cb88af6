//! Nobody wants the bytes any more: before, while and although nothing comes.

use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::{Bench, Stop, able, content, ensure, failed, in_time};
use crate::data_source::{CancelToken, OpenRequest, Opened, SourceError};

/// A second is promised; a machine with a lot to do gets another.
const PROMPT: Duration = Duration::from_secs(2);
/// How long a stalled origin has to hold a source up before it counts as stalled.
const HELD_UP: Duration = Duration::from_millis(200);
/// Only a source that does not come as far as the stall takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A token that is cancelled already. What can be read all the same need not be refused.
pub(super) fn before(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(31, 300_001);
    let plain = bench.origin.put("cancelled-before", &bytes);
    let stalled = bench
        .origin
        .put_stalled("cancelled-before-stall", &bytes, None);
    for url in [Some(plain), stalled].into_iter().flatten() {
        let (source, expected) = (bench.source.clone(), bytes.clone());
        let judged = in_time("conformance reader", PROMPT, move || {
            let cancel = CancelToken::new();
            cancel.cancel();
            let opened = source.open(&OpenRequest::new(&url, &cancel));
            ends_honestly(opened, &expected)
        });
        judged.map_err(|reason| Stop::Failed(format!("cancelled before: {reason}")))??;
    }
    Ok(())
}

pub(super) fn while_reading(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(32, 8 << 20);
    let url = bench.origin.put("cancelled-reading", &bytes);
    let (source, cancel) = (bench.source.clone(), CancelToken::new());
    let token = cancel.clone();
    let opened = in_time("conformance reader", PATIENCE, move || {
        let mut opened = source.open(&OpenRequest::new(&url, &token))?;
        opened
            .reader
            .read_exact(&mut [0; 1_000])
            .map_err(SourceError::transient)?;
        Ok::<_, SourceError>(opened)
    });
    let opened = match opened.map_err(Stop::Failed)? {
        Ok(opened) => opened,
        Err(error) => return failed(format!("before it was cancelled: {error}")),
    };
    let judged = in_time("conformance reader", PROMPT, move || {
        cancel.cancel();
        ends_honestly(Ok(opened), &bytes[1_000..])
    });
    judged.map_err(|reason| Stop::Failed(format!("cancelled while it is read: {reason}")))?
}

/// The origin says nothing at all.
pub(super) fn while_opening(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(33, 1_000);
    let url = bench.origin.put_stalled("cancelled-opening", &bytes, None);
    let url = able(url, "stall")?;
    breaks_off(bench, &url, 0, &bytes)
}

/// The origin has sent part of the file.
pub(super) fn while_stalled(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(34, 100_001);
    for after in [0, 1, 50_000] {
        let name = format!("cancelled-stalled-{after}");
        let url = bench.origin.put_stalled(&name, &bytes, Some(after));
        let url = able(url, "stall")?;
        breaks_off(bench, &url, after, &bytes)?;
    }
    Ok(())
}

/// Reads up to byte `stall`, sees that nothing follows, cancels, and expects an end.
fn breaks_off(bench: &Bench, url: &str, stall: usize, bytes: &[u8]) -> Result<(), Stop> {
    let (source, cancel) = (bench.source.clone(), CancelToken::new());
    let (token, url) = (cancel.clone(), url.to_owned());
    let (came, coming) = channel();
    let (ended, end) = channel();
    let expected = bytes.to_vec();
    let reader = move || {
        let judged = match source.open(&OpenRequest::new(&url, &token)) {
            Ok(mut opened) => {
                let read = opened.reader.read_exact(&mut vec![0; stall]);
                let _ = came.send(());
                let rest = read.map_err(SourceError::transient).map(|()| opened);
                ends_honestly(rest, &expected[stall..])
            }
            error => ends_honestly(error, &expected),
        };
        let _ = ended.send(judged);
    };
    let thread = std::thread::Builder::new().name("conformance reader".to_owned());
    let thread = thread.spawn(reader);
    let thread = thread.map_err(|error| Stop::Failed(format!("no thread: {error}")))?;
    if stall > 0 && coming.recv_timeout(PATIENCE).is_err() {
        return failed(format!("the {stall} bytes before the stall did not come"));
    }
    match end.recv_timeout(HELD_UP) {
        Err(RecvTimeoutError::Timeout) => {}
        Ok(judged) => {
            judged?;
            return failed("the origin stalls, but the transfer ended by itself");
        }
        Err(RecvTimeoutError::Disconnected) => return failed("it panicked"),
    }
    cancel.cancel();
    match end.recv_timeout(PROMPT) {
        Ok(judged) => {
            let _ = thread.join();
            judged
        }
        Err(RecvTimeoutError::Timeout) => failed(format!(
            "stalled at byte {stall} and cancelled, it was not back within {PROMPT:?}"
        )),
        Err(RecvTimeoutError::Disconnected) => failed("it panicked"),
    }
}

/// A transfer that is cancelled ends in an error, or short in a way that shows, or with everything.
fn ends_honestly(opened: Result<Opened, SourceError>, expected: &[u8]) -> Result<(), Stop> {
    let Ok(opened) = opened else { return Ok(()) };
    let (total, self_delimiting) = (opened.total(), opened.is_self_delimiting());
    let mut arrived = Vec::new();
    let read = opened.into_reader().read_to_end(&mut arrived);
    let seems_whole = read.is_ok() && total.is_none() && self_delimiting;
    ensure(!seems_whole || arrived == expected, || {
        format!(
            "what was cancelled after {} bytes looks like a whole file",
            arrived.len()
        )
    })
}
