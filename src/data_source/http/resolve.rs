//! Host names to addresses, by the system's resolver, which nobody can cancel.
//!
//! So a thread of its own makes the call, and whoever asked waits for it no longer than until the
//! time is over or the transfer is cancelled. Whoever asks for the same name meanwhile waits for
//! the same call: a name service that hangs costs a thread for each name, not for each attempt.
//! These threads are the only ones of this half, and they are not joined; they end when the
//! system's resolver gives up. Nothing is cached: the next one to ask asks the system again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::line::{Breakable, Line, cancelled};
use super::reach;

/// How many addresses of a name are tried: what `ureq` has room for.
const MAX_ADDRESSES: usize = 16;

type Resolve = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

type Judge = dyn Fn(IpAddr) -> bool + Send + Sync;

/// The answer to a question; an error is the system's text for it.
type Answer = Result<Vec<IpAddr>, String>;

/// The names that are being resolved. One for all transfers of a source.
pub(super) struct Names {
    resolve: Box<Resolve>,
    is_public: Box<Judge>,
    /// Protects the list only; no name is resolved and no thread started under it.
    under_way: Mutex<HashMap<String, Arc<Lookup>>>,
}

/// One call of the system's resolver, and those who wait for it.
#[derive(Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    changed: Condvar,
}

impl Breakable for Lookup {
    fn break_off(&self) {
        // Under the lock, or it may be missed by one who has looked and does not wait yet.
        let _answer = self.answer.lock();
        self.changed.notify_all();
    }
}

/// Why no address was found.
#[derive(Debug)]
pub(super) struct Unresolved(String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host name does not resolve: {}", self.0)
    }
}

impl std::error::Error for Unresolved {}

/// A name has addresses, and none that we may go to.
#[derive(Debug)]
pub(super) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host has no public address")
    }
}

impl std::error::Error for NotPublic {}

impl Default for Names {
    fn default() -> Self {
        Names::resolved_by(|host| {
            let addresses = (host, 0).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

impl Names {
    /// As if the system's resolver were `resolve`.
    pub(super) fn resolved_by(
        resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Names {
            resolve: Box::new(resolve),
            is_public: Box::new(reach::is_public),
            under_way: Mutex::default(),
        }
    }

    /// As if those addresses were public, and no others.
    #[cfg(test)]
    pub(super) fn judged_by(
        mut self,
        is_public: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.is_public = Box::new(is_public);
        self
    }

    pub(super) fn is_public(&self, address: IpAddr) -> bool {
        (self.is_public)(address)
    }

    /// The addresses of `host`; waits for `timeout` at the most, and until `line` is broken off.
    fn look_up(
        self: &Arc<Self>,
        host: &str,
        timeout: NextTimeout,
        line: &Line,
    ) -> Result<Vec<IpAddr>, Error> {
        let lookup = self.join(host);
        let part: Weak<Lookup> = Arc::downgrade(&lookup);
        line.hold(part)?;
        let limit = line
            .left()
            .map_or(*timeout.after, |left| left.min(*timeout.after));
        let deadline = Instant::now().checked_add(limit);
        let mut answer = lookup.answer.lock();
        loop {
            if line.is_broken() {
                return Err(cancelled().into());
            }
            if let Some(answer) = &*answer {
                let found = answer.clone().map_err(Unresolved);
                return found.map_err(|error| Error::Other(error.into()));
            }
            match deadline {
                None => lookup.changed.wait(&mut answer),
                Some(deadline) => {
                    let waited = lookup.changed.wait_until(&mut answer, deadline);
                    if waited.timed_out() && answer.is_none() {
                        return Err(Error::Timeout(timeout.reason));
                    }
                }
            }
        }
    }

    /// The call for `host` that is under way, or a new one.
    fn join(self: &Arc<Self>, host: &str) -> Arc<Lookup> {
        let call = {
            let mut under_way = self.under_way.lock();
            if let Some(lookup) = under_way.get(host) {
                return lookup.clone();
            }
            let lookup = Arc::new(Lookup::default());
            under_way.insert(host.to_owned(), lookup.clone());
            Call {
                names: self.clone(),
                host: host.to_owned(),
                lookup,
                answer: Err("the call was lost".to_owned()),
            }
        };
        let lookup = call.lookup.clone();
        let thread = std::thread::Builder::new().name("name-resolver".to_owned());
        // If there is no thread, the call is dropped, which says so to all who wait.
        let _ = thread.spawn(move || call.make());
        lookup
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// A call that others wait for. However it ends, by an answer, a panic, or for want of a thread,
/// its drop tells them.
struct Call {
    names: Arc<Names>,
    host: String,
    lookup: Arc<Lookup>,
    answer: Answer,
}

impl Call {
    fn make(mut self) {
        self.answer = (self.names.resolve)(&self.host).map_err(|error| error.to_string());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Off the list first: whoever asks from here on asks anew.
        self.names.under_way.lock().remove(&self.host);
        let answer = std::mem::replace(&mut self.answer, Ok(Vec::new()));
        *self.lookup.answer.lock() = Some(answer);
        self.lookup.changed.notify_all();
    }
}

/// The resolver of one agent.
#[derive(Debug)]
pub(super) struct LineResolver {
    pub(super) names: Arc<Names>,
    pub(super) line: Arc<Line>,
    /// Leaves out the addresses that are not public. What is left is what will be connected to,
    /// so it does not help a name to have other ones a moment later.
    pub(super) guarded: bool,
}

impl Resolver for LineResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let (Some(host), Some(port)) = (uri.host(), port_of(uri)) else {
            return Err(Error::BadUri("no host, or an unknown scheme".to_owned()));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut addresses = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let host = host.to_ascii_lowercase();
                self.names.look_up(&host, timeout, &self.line)?
            }
        };
        let found = addresses.len();
        addresses.retain(|address| !self.guarded || self.names.is_public(*address));
        if addresses.is_empty() && found > 0 {
            return Err(Error::Other(NotPublic.into()));
        }
        let mut resolved = self.empty();
        for address in in_turns(&addresses).into_iter().take(MAX_ADDRESSES) {
            resolved.push(SocketAddr::new(address, port));
        }
        if resolved.is_empty() {
            return Err(Error::HostNotFound);
        }
        Ok(resolved)
    }
}

fn port_of(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

/// The two families of addresses in turns, in the system's order otherwise (RFC 8305, section 4):
/// where one of them leads nowhere, the other is tried second and not ninth.
fn in_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (ours, others): (Vec<IpAddr>, Vec<IpAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(ours.next());
        order.extend(others.next());
    }
    order
}

#[cfg(test)]
mod tests;
