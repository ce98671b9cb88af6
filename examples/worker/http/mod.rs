//! A small HTTP/1.1 server for GET and HEAD, on the crate's own executor.
//!
//! Each connection is a task, and answers one request. What blocks is a job on one of two pools: reading
//! from and writing to the client on one, making the pieces of a long answer on the other. So a client
//! that is slow holds a thread of the first, for as long as its time lasts, and never one that works for
//! the others.
//!
//! | what is bounded | by | beyond it |
//! | --- | --- | --- |
//! | connections | [`Limits::connections`], and some to be refused | 503; beyond those they are closed |
//! | bytes and lines of a request's head | `MAX_HEAD_BYTES`, `MAX_HEADERS` | 431 |
//! | time for the head, however it drips | `HEAD_WITHIN` | 408 |
//! | time for the answer, however slowly it is taken | [`Limits::answer_within`] | it is cut |
//! | memory of a long answer | one piece | |
//!
//! There is no keep-alive: whatever follows a request, a pipelined one or a body, is read and dropped.

mod answer;
mod client;
mod request;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use data_manager::io_operation::BlockingPool;
use data_manager::tasks_manager::TasksManager;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use answer::{Answer, Pieces};
use answer::{Body, Shape};
use client::Client;
pub(crate) use request::Request;
use request::Unread;

/// Threads that poll: what a task does between two jobs is short.
const THREADS: usize = 2;
/// How many connections beyond the bound are told so.
const REFUSED_AT_A_TIME: usize = 16;
/// How long the threads that wait for clients have to end, once nobody is answered any more.
const LEAVE: Duration = Duration::from_secs(1);
/// How long nobody is let in after that failed, as it does where there are too many open files.
const REST: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// What a server may spend.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How many connections are answered at a time.
    pub(crate) connections: usize,
    /// How long an answer may take, from the end of the request to its last byte.
    pub(crate) answer_within: Duration,
    /// How long what is being answered may go on after the server was told to stop.
    pub(crate) grace: Duration,
}

/// What answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// On a thread that polls: what blocks has to be awaited, as a job on a pool.
    fn answer(&self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// What the tasks of one server share.
struct Shared<S> {
    service: Arc<S>,
    limits: Limits,
    /// For what waits for clients.
    clients: BlockingPool,
    /// For what makes answers.
    work: Arc<BlockingPool>,
}

/// Answers requests until `stop` can be read from; then lets nobody in, and what is being answered end.
/// False where that took longer than [`Limits::grace`], and was cut.
pub(crate) fn serve<S: Service>(
    listener: TcpListener,
    stop: &impl AsFd,
    service: Arc<S>,
    work: Arc<BlockingPool>,
    limits: Limits,
) -> io::Result<bool> {
    listener.set_nonblocking(true)?;
    let at_most = limits.connections.saturating_add(REFUSED_AT_A_TIME);
    let (grace, connections) = (limits.grace, limits.connections);
    let shared = Arc::new(Shared {
        service,
        limits,
        clients: BlockingPool::new(at_most),
        work,
    });
    let tasks = TasksManager::new(THREADS);
    // Nothing is ever sent: each task holds a sender, and when the last is gone the receiver hears it.
    let (open, all_closed) = crossbeam_channel::bounded::<()>(0);
    let count = Arc::new(());
    while let Some(stream) = next_client(&listener, stop)? {
        let others = Arc::strong_count(&count) - 1;
        if others >= at_most {
            continue;
        }
        let place = (open.clone(), Arc::clone(&count));
        let crowded = others >= connections;
        drop(tasks.spawn(attend(shared.clone(), stream, crowded, place)));
    }
    drop((listener, open));
    let ended = all_closed.recv_timeout(grace);
    // What is not done is dropped, with what it holds. A thread that waits for a client still is left behind.
    drop(tasks);
    shared.clients.shut_down(LEAVE);
    Ok(ended == Err(RecvTimeoutError::Disconnected))
}

/// Waits for a client, or for the end: then there is none.
fn next_client(listener: &TcpListener, stop: &impl AsFd) -> io::Result<Option<TcpStream>> {
    loop {
        let mut either = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut either, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        if !either[1].revents().is_empty() {
            return Ok(None);
        }
        match listener.accept() {
            Ok((stream, _)) => return Ok(Some(stream)),
            // The client went away before it was let in.
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                log::warn!("nobody can be let in: {error}");
                let _ = poll(&mut either[1..], Some(&REST));
            }
        }
    }
}

fn is_about_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    let about = [ConnectionAborted, ConnectionReset, Interrupted, WouldBlock];
    about.contains(&error.kind())
}

/// The task of one connection. Its place is free when it ends, in whichever way.
async fn attend<S: Service>(
    shared: Arc<Shared<S>>,
    stream: TcpStream,
    crowded: bool,
    _place: (Sender<()>, Arc<()>),
) {
    let began = Instant::now();
    let reading = shared.clients.run(move || {
        let mut client = Client::new(stream);
        let request = request::read(&mut client);
        (client, request)
    });
    let Ok((mut client, request)) = reading.await else {
        return;
    };
    let deadline = Instant::now() + shared.limits.answer_within;
    client.until(deadline);
    let shape = request.as_ref().map(Shape::of).unwrap_or_default();
    let (what, answer) = match request {
        Ok(request) if crowded => (request.path(), Answer::refused(503, "there are too many")),
        Ok(request) => {
            let what = request.path();
            (what, shared.service.answer(request).await)
        }
        Err(Unread::Gone) => return,
        Err(Unread::Refused(status, why)) => ("?".to_owned(), Answer::refused(status, why)),
    };
    let status = answer.status;
    let sent = send(&shared, client, shape, answer).await;
    let outcome = sent.map_or_else(|error| format!(", cut: {error}"), |()| String::new());
    log::debug!("{status} {what:?} in {:?}{outcome}", began.elapsed());
}

/// Sends an answer. A long one piece by piece: each is made by a job on one pool, and sent by a job on
/// the other. The future owns what the jobs need; it moves in, and comes back with the result.
async fn send<S: Service>(
    shared: &Shared<S>,
    client: Client,
    shape: Shape,
    answer: Answer,
) -> io::Result<()> {
    let (status, kind) = (answer.status, answer.kind);
    let client = match answer.body {
        Body::Whole(bytes) => {
            lend(&shared.clients, client, move |client| {
                answer::send_whole(client, shape, (status, kind), &bytes)
            })
            .await?
        }
        Body::File(file, kept) => {
            lend(&shared.clients, client, move |client| {
                let sent = answer::send_file(client, shape, (status, kind), &file);
                drop(kept);
                sent
            })
            .await?
        }
        Body::Pieces(pieces) => {
            let head = move |client: &mut Client| {
                answer::send_head(client, shape, (status, kind), answer::Length::Unknown)
            };
            let client = lend(&shared.clients, client, head).await?;
            send_pieces(shared, client, shape, pieces).await?
        }
    };
    lend(&shared.clients, client, Client::close).await.map(drop)
}

async fn send_pieces<S: Service>(
    shared: &Shared<S>,
    mut client: Client,
    shape: Shape,
    mut pieces: Pieces,
) -> io::Result<Client> {
    if shape.is_head_only() {
        return Ok(client);
    }
    loop {
        let making = shared.work.run(move || (pieces.next(), pieces));
        let (piece, rest) = making.await.map_err(io::Error::other)?;
        pieces = rest;
        let is_last = piece.is_none();
        let piece = piece.unwrap_or_default();
        client = lend(&shared.clients, client, move |client| {
            answer::send_piece(client, shape, &piece, is_last)
        })
        .await?;
        if is_last {
            return Ok(client);
        }
    }
}

/// Runs a job on a client and gives it back. On an error the connection is closed.
async fn lend(
    pool: &BlockingPool,
    mut client: Client,
    job: impl FnOnce(&mut Client) -> io::Result<()> + Send + 'static,
) -> io::Result<Client> {
    let lent = pool.run(move || job(&mut client).map(|()| client));
    lent.await
        .unwrap_or_else(|lost| Err(io::Error::other(lost)))
}
