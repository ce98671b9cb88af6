//! From addresses to a connection that can be broken off at every moment of its life.
//!
//! A socket is on the transfer's [`Line`] before it begins to connect. On Linux, shutting down a
//! socket that connects ends the connect at once, and one that is shut down before does not begin
//! (elsewhere, such a connect lasts until its time is over). TLS is `ureq`'s own, on top.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, RustlsConnector,
    Transport,
};
use ureq::{Error, Timeout};

use super::line::Line;

/// Opens the sockets of one agent.
#[derive(Debug)]
pub(super) struct SocketConnector {
    pub(super) line: Arc<Line>,
    /// No proxy is in between. On the way to one, `ureq` shows us settings that have none.
    pub(super) direct: bool,
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, SocketTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // A tunnel through a proxy, made by the connector before this one.
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let mut limit = *details.timeout.after;
        if let Some(left) = self.line.left() {
            limit = limit.min(left);
        }
        let plain = self.direct && !details.needs_tls();
        let stream = match self.spare_for(details).filter(|_| plain) {
            Some(stream) => stream,
            None => connect_to(&details.addrs, limit, &self.line)?,
        };
        stream.set_nodelay(true)?;
        self.line.connected_to(stream.peer_addr()?.ip());
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(SocketTransport {
            stream,
            line: self.line.clone(),
            plain,
            buffers,
            read_timeout: None,
            write_timeout: None,
        })))
    }
}

impl SocketConnector {
    /// A connection that a long body left behind.
    fn spare_for(&self, details: &ConnectionDetails<'_>) -> Option<Arc<TcpStream>> {
        let leads_there = |stream: &TcpStream| {
            let peer = stream.peer_addr();
            peer.is_ok_and(|peer| details.addrs.contains(&peer))
        };
        let max_age = details.config.max_idle_age();
        self.line.tap.take_spare(max_age, leads_there)
    }
}

/// Tries the addresses one after the other, for `limit` in all. Once the line is broken, it takes
/// no further socket, and so what is left of the addresses is over at once.
fn connect_to(
    addresses: &[SocketAddr],
    limit: Duration,
    line: &Line,
) -> Result<Arc<TcpStream>, Error> {
    let started = Instant::now();
    let mut failure = Error::ConnectionFailed;
    for (tried, address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(started.elapsed());
        match try_address(*address, share_of(left, addresses.len() - tried), line) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// How long the next of `addresses` may take of the time that is left. A dead one leaves two
/// thirds to the others, and where there are many the last ones are not left with nothing.
fn share_of(left: Duration, addresses: usize) -> Duration {
    let parts = u32::try_from(addresses).unwrap_or(u32::MAX).clamp(1, 3);
    left / parts
}

fn try_address(
    address: SocketAddr,
    timeout: Duration,
    line: &Line,
) -> Result<Arc<TcpStream>, Error> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    let stream = Arc::new(TcpStream::from(socket));
    let part: Weak<TcpStream> = Arc::downgrade(&stream);
    line.hold(part)?;
    match SockRef::from(&*stream).connect_timeout(&address.into(), timeout) {
        Ok(()) => Ok(stream),
        Err(error) if is_timeout(&error) => Err(Error::Timeout(Timeout::Connect)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// A connection, with or without TLS on top of it.
pub(super) struct SocketTransport {
    stream: Arc<TcpStream>,
    line: Arc<Line>,
    /// Nobody is between it and `ureq`: neither TLS nor a proxy.
    plain: bool,
    buffers: LazyBuffers,
    /// What the socket is set to; setting it is a system call.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// The line's limit is looked at in these steps, rounded up, so that it does not change the
/// socket's time-out (a system call) with every read.
const STEP: Duration = Duration::from_millis(100);

impl SocketTransport {
    /// How long the next wait may take, of a wait for `timeout` of which `spent` is over.
    fn wait_of(&self, timeout: NextTimeout, spent: Duration) -> Result<Duration, Error> {
        let mut wait = timeout.after.saturating_sub(spent);
        if let Some(left) = self.line.left() {
            let steps = left.as_nanos().div_ceil(STEP.as_nanos());
            wait = wait.min(STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX)));
        }
        if wait.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        Ok(wait)
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let wait = self.wait_of(timeout, Duration::ZERO)?;
        if self.write_timeout != Some(wait) {
            self.stream.set_write_timeout(Some(wait))?;
            self.write_timeout = Some(wait);
        }
        self.line.tap.asked_on(self.plain.then_some(&self.stream));
        let output = &self.buffers.output()[..amount];
        let sent = (&*self.stream).write_all(output);
        sent.map_err(|error| timed_out_or(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if let Some(refusal) = self.line.tap.refusal().filter(|_| self.plain) {
            return Err(refusal.into());
        }
        let timeout = timeout.for_read();
        let (started, mut spent) = (Instant::now(), Duration::ZERO);
        loop {
            let wait = self.wait_of(timeout, spent)?;
            if self.read_timeout != Some(wait) {
                self.stream.set_read_timeout(Some(wait))?;
                self.read_timeout = Some(wait);
            }
            match (&*self.stream).read(self.buffers.input_append_buf()) {
                Ok(count) => {
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                // A signal: Linux does not go on with a read that has a time-out.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    spent = started.elapsed();
                }
                // `ureq` takes a reset for the end of a body that has no length.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::Error::other(error.to_string()).into());
                }
                Err(error) => return Err(timed_out_or(error, timeout)),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        is_quiet(&self.stream)
    }
}

/// Whether the connection can serve another request: it is open, and nothing came that
/// nobody asked for.
pub(super) fn is_quiet(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| {
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).map(|()| peeked)
    });
    matches!(peeked, Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock)
}

fn timed_out_or(error: io::Error, timeout: NextTimeout) -> Error {
    if is_timeout(&error) {
        Error::Timeout(timeout.reason)
    } else {
        error.into()
    }
}

impl fmt::Debug for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketTransport")
            .field("peer", &self.stream.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

/// One TLS configuration for all agents of a source, and so one store of sessions to resume.
#[derive(Clone, Debug)]
pub(super) struct SharedTls(pub(super) Arc<RustlsConnector>);

impl<In: Transport> Connector<In> for SharedTls {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained)
    }
}

#[cfg(test)]
mod tests;
