//! A source of the test's own, without a network: what each URL does is scripted, and what was
//! opened when is written down.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use data_manager::data_source::{CancelToken, DataSource, OpenRequest, Opened, SourceError};

use super::DEADLINE;

/// What happens when a URL is opened.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// So many bytes, at once.
    Bytes(usize),
    /// So many bytes, once [`ScriptedSource::release`] was called for it.
    Held(usize),
    /// So many bytes, then nothing until the transfer is cancelled.
    Stall(usize),
    /// Nothing before the headers until the transfer is cancelled.
    Silence,
    /// A failure that may pass.
    Busy,
    /// A failure that may pass, and a word on when.
    BusyFor(Duration),
    /// There is no such file.
    Missing,
    /// A failure of the whole host.
    Down,
}

#[derive(Debug, Default)]
struct State {
    behaviours: HashMap<String, Behaviour>,
    released: HashMap<String, usize>,
    opened: Vec<(Instant, String)>,
    different: HashSet<String>,
    active: BTreeMap<String, usize>,
    most_active: BTreeMap<String, usize>,
    cancelled: Vec<String>,
    stuck: usize,
}

/// Serves the scheme that it is registered for. Clones are the same source.
#[derive(Clone, Debug, Default)]
pub struct ScriptedSource(Arc<(Mutex<State>, Condvar)>);

impl ScriptedSource {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn script(&self, url: &str, behaviour: Behaviour) {
        let mut state = self.0.0.lock().unwrap();
        state.behaviours.insert(url.to_owned(), behaviour);
    }

    /// Lets one opening of `url` go on that is held, now or later.
    pub fn release(&self, url: &str) {
        let mut state = self.0.0.lock().unwrap();
        *state.released.entry(url.to_owned()).or_default() += 1;
        self.0.1.notify_all();
    }

    /// The URLs that were opened, in that order.
    pub fn opened(&self) -> Vec<String> {
        let state = self.0.0.lock().unwrap();
        state.opened.iter().map(|(_, url)| url.clone()).collect()
    }

    /// When `url` was opened.
    pub fn times(&self, url: &str) -> Vec<Instant> {
        let state = self.0.0.lock().unwrap();
        let opened = state.opened.iter().filter(|(_, opened)| opened == url);
        opened.map(|(at, _)| *at).collect()
    }

    /// How many files of a host are open.
    pub fn active(&self, host: &str) -> usize {
        let state = self.0.0.lock().unwrap();
        state.active.get(host).copied().unwrap_or_default()
    }

    /// The most that ever were.
    pub fn most_active(&self, host: &str) -> usize {
        let state = self.0.0.lock().unwrap();
        state.most_active.get(host).copied().unwrap_or_default()
    }

    pub fn wait_for_active(&self, host: &str, count: usize) {
        self.wait_for(|state| state.active.get(host).copied().unwrap_or_default() == count);
    }

    /// Waits until so many files were opened in all.
    pub fn wait_for_opened(&self, count: usize) {
        self.wait_for(|state| state.opened.len() >= count);
    }

    /// Waits until so many different files were opened: some of them may have been more than once,
    /// so the openings in all say nothing of those that wait for their first.
    pub fn wait_for_different(&self, count: usize) {
        self.wait_for(|state| state.different.len() >= count);
    }

    /// Waits until so many transfers wait for a release.
    pub fn wait_for_stuck(&self, count: usize) {
        self.wait_for(|state| state.stuck == count);
    }

    /// Waits until so many transfers were broken off.
    pub fn wait_for_cancelled(&self, count: usize) {
        self.wait_for(|state| state.cancelled.len() >= count);
    }

    fn wait_for(&self, condition: impl Fn(&State) -> bool) {
        let state = self.0.0.lock().unwrap();
        let waited = self
            .0
            .1
            .wait_timeout_while(state, DEADLINE, |state| !condition(state));
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{:?}", state.active);
    }

    fn note(&self, url: &str) -> Behaviour {
        let mut state = self.0.0.lock().unwrap();
        state.opened.push((Instant::now(), url.to_owned()));
        state.different.insert(url.to_owned());
        let host = host(url).to_owned();
        let active = state.active.entry(host.clone()).or_default();
        *active += 1;
        let active = *active;
        let most = state.most_active.entry(host).or_default();
        *most = (*most).max(active);
        let behaviour = state.behaviours.get(url).cloned();
        self.0.1.notify_all();
        behaviour.unwrap_or(Behaviour::Bytes(10))
    }

    /// Waits until `url` is released; an error if the transfer is cancelled first.
    fn wait_for_release(&self, url: &str, cancel: &CancelToken) -> io::Result<()> {
        let waker = self.clone();
        // The lock makes sure that whoever waits sees it.
        let _hook = cancel.on_cancel(move || {
            let _state = waker.0.0.lock().unwrap();
            waker.0.1.notify_all();
        });
        let mut state = self.0.0.lock().unwrap();
        state.stuck += 1;
        self.0.1.notify_all();
        let released = |state: &mut State| {
            let count = state.released.get_mut(url);
            count.filter(|count| **count > 0).map(|count| *count -= 1)
        };
        while !cancel.is_cancelled() {
            if released(&mut state).is_some() {
                state.stuck -= 1;
                return Ok(());
            }
            state = self.0.1.wait(state).unwrap();
        }
        state.stuck -= 1;
        state.cancelled.push(url.to_owned());
        self.0.1.notify_all();
        Err(io::Error::other("cancelled"))
    }
}

/// Host of `scheme://host/path`.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split('/').next().unwrap()
}

/// While it exists, a file of the host is open.
struct Active(ScriptedSource, String);

impl Drop for Active {
    fn drop(&mut self) {
        let mut state = self.0.0.0.lock().unwrap();
        *state.active.get_mut(&self.1).unwrap() -= 1;
        self.0.0.1.notify_all();
    }
}

impl DataSource for ScriptedSource {
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let url = request.url().to_owned();
        let behaviour = self.note(&url);
        let active = Active(self.clone(), host(&url).to_owned());
        let cause = |text: &str| anyhow::anyhow!(text.to_owned());
        let (len, total, then) = match behaviour {
            Behaviour::Bytes(len) => (len, len, Then::End),
            Behaviour::Held(len) => (len, len, Then::Held),
            Behaviour::Stall(len) => (len, len + 1, Then::Stall),
            Behaviour::Silence => {
                let waited = self.wait_for_release(&url, request.cancel());
                return Err(SourceError::transient(waited.unwrap_err()));
            }
            Behaviour::Busy => return Err(SourceError::transient(cause("busy"))),
            Behaviour::BusyFor(delay) => {
                return Err(SourceError::transient(cause("busy")).with_retry_after(delay));
            }
            Behaviour::Missing => return Err(SourceError::permanent(cause("missing"))),
            Behaviour::Down => return Err(SourceError::transient(cause("down")).host_wide()),
        };
        let start = request.offset().min(total as u64);
        let body = Body {
            source: self.clone(),
            cancel: request.cancel().clone(),
            left: len.saturating_sub(usize::try_from(start).unwrap()),
            url,
            then,
            _active: active,
        };
        Ok(Opened::new(body)
            .starting_at(start)
            .with_total(total as u64)
            .with_validator("v"))
    }
}

enum Then {
    End,
    Held,
    Stall,
}

struct Body {
    source: ScriptedSource,
    cancel: CancelToken,
    url: String,
    left: usize,
    then: Then,
    _active: Active,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.then, Then::Held) {
            self.source.wait_for_release(&self.url, &self.cancel)?;
            self.then = Then::End;
        }
        if self.left == 0 && matches!(self.then, Then::Stall) {
            self.source.wait_for_release(&self.url, &self.cancel)?;
        }
        let count = self.left.min(buffer.len());
        buffer[..count].fill(7);
        self.left -= count;
        Ok(count)
    }
}
