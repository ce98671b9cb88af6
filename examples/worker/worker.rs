//! The worker: a manager that follows an assignment, and a server in front of it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{
    AssignmentFollower, ChunkGuard, DataManagerImpl, METRICS_CONTENT_TYPE, RangeCover,
};
use data_manager::io_operation::BlockingPool;
use serde_json::{Value, json};

use super::health::{self, Disk};
use super::http::{self, Answer, Limits, Request, Service};
use super::names::{blocks, hex, unhex};
use super::query::{Query, Refused, Wanted, describe, range};
use super::signals;

/// The most chunks that one answer is about.
const MAX_CHUNKS: usize = 10_000;
/// How long the manager may take to stop, once nobody asks any more.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How a worker is started.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    /// The URL of the assignment document.
    pub(crate) assignment: String,
    /// Where queries are answered: address and port, 0 for any that is free.
    pub(crate) listen: String,
    /// How often the assignment is asked for.
    pub(crate) every: Duration,
    /// How old the last answer about the assignment may be for a worker that is healthy.
    pub(crate) stale: Duration,
    /// What `file://` URLs may name.
    pub(crate) serve_files: Vec<PathBuf>,
    /// What the data directory may take of the disk.
    pub(crate) max_bytes: Option<u64>,
    /// How many queries are worked on at a time.
    pub(crate) query_threads: usize,
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data_dir: PathBuf::from("local_data_dir"),
            assignment: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            every: Duration::from_secs(10),
            stale: Duration::from_secs(600),
            serve_files: Vec::new(),
            max_bytes: None,
            query_threads: num_cpus::get(),
            limits: Limits {
                connections: 256,
                answer_within: Duration::from_secs(60),
                grace: Duration::from_secs(20),
            },
        }
    }
}

/// Runs a worker until a signal asks it to stop. However it ends, also by a kill -9, the next start comes
/// back with every chunk that was whole.
pub(crate) fn run(settings: &Settings, listening: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    // First of all: a signal that comes while the directory is opened is heard after it.
    let stop = signals::first()?;
    let worker = Arc::new(Worker::open(settings)?);
    let disk_watch = worker.disk.watch(worker.manager.events())?;
    let listener = TcpListener::bind(&settings.listen)
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    listening(listener.local_addr()?);
    let (limits, work) = (settings.limits.clone(), Arc::clone(&worker.work));
    let served = http::serve(listener, &stop, Arc::clone(&worker), work, limits);
    log::info!("stopping: nobody asks any more, or their time is over");
    let stopped = worker.manager.shutdown(SHUTDOWN);
    // Its events ended with the manager.
    let _ = disk_watch.join();
    if !served? {
        log::warn!("some answers took too long, and were cut");
    }
    Ok(stopped?)
}

/// What answers are made of.
struct Worker {
    follower: AssignmentFollower,
    manager: Arc<DataManagerImpl>,
    disk: Disk,
    stale: Duration,
    query_within: Duration,
    /// The threads that read files: of these there are a few, however many ask.
    work: Arc<BlockingPool>,
}

impl Worker {
    fn open(settings: &Settings) -> anyhow::Result<Worker> {
        let mut builder = DataManagerImpl::builder().data_dir(&settings.data_dir);
        for dir in &settings.serve_files {
            builder = builder.serve_files_from(dir);
        }
        if let Some(max_bytes) = settings.max_bytes {
            builder = builder.max_bytes(max_bytes);
        }
        let manager = Arc::new(builder.open()?);
        let follower = manager.follow_assignment(&settings.assignment, settings.every)?;
        Ok(Worker {
            follower,
            manager,
            disk: Disk::default(),
            stale: settings.stale.max(settings.every.saturating_mul(3)),
            // So that there is time to say that there was too little.
            query_within: settings.limits.answer_within.mul_f64(0.9),
            work: Arc::new(BlockingPool::new(settings.query_threads)),
        })
    }

    fn chunks(&self) -> Answer {
        let ids = self.manager.list_chunks();
        Answer::json(&json!(ids.iter().map(hex).collect::<Vec<_>>()))
    }

    fn status(&self) -> Answer {
        let (assignment, stats) = (self.follower.status(), self.manager.stats());
        Answer::json(&json!({ "assignment": assignment, "stats": stats }))
    }

    /// Why it is not healthy.
    fn reasons(&self) -> Vec<String> {
        let (following, stats) = (self.follower.status(), self.manager.stats());
        health::reasons(&following, &stats, &self.disk, self.stale)
    }

    fn healthz(&self) -> Answer {
        let reasons = self.reasons();
        let answer = Answer::json(&json!({ "is_healthy": reasons.is_empty(), "reasons": reasons }));
        answer.with_status(if reasons.is_empty() { 200 } else { 503 })
    }

    /// The manager's metrics, and the worker's own.
    fn metrics(&self) -> Answer {
        let mut text = self.manager.metrics();
        let mut gauge = |name: &str, help: &str, value: f64| {
            let name = format!("worker_{name}");
            text += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        };
        let is_healthy = f64::from(u8::from(self.reasons().is_empty()));
        gauge(
            "healthy",
            "1 if /healthz answers with 200, else 0.",
            is_healthy,
        );
        if let Some(age_ms) = self.follower.status().answered_ms_ago {
            let age = Duration::from_millis(age_ms).as_secs_f64();
            let help = "Time since the last answer about the assignment.";
            gauge("assignment_age_seconds", help, age);
        }
        Answer::text(METRICS_CONTENT_TYPE, text)
    }

    fn find(&self, dataset: &str, block: &str) -> Result<ChunkGuard, Answer> {
        let dataset = unhex(dataset).map_err(|error| Answer::refused(400, error))?;
        let block = block.parse();
        let block = block.map_err(|_| Answer::refused(400, "a block is a number"))?;
        let found = self.manager.find_chunk(dataset, block);
        found.ok_or_else(|| Answer::refused(404, "no chunk here holds this block"))
    }

    fn cover(&self, dataset: &str, range: &str) -> Result<RangeCover, Answer> {
        let asked = unhex(dataset).and_then(|dataset| Ok((dataset, blocks(range)?)));
        let (dataset, blocks) = asked.map_err(|error| Answer::refused(400, error))?;
        let cover = self.manager.find_range(dataset, blocks);
        match cover.chunks.len() {
            0..=MAX_CHUNKS => Ok(cover),
            more => Err(Answer::refused(400, format!("{more} chunks are too many"))),
        }
    }

    /// The guard goes along with the file: the chunk stays until the last byte is sent.
    async fn read(&self, chunk: ChunkGuard, name: String) -> Result<Answer, Answer> {
        // Only names that the chunk has: the path comes from a stranger.
        if !chunk.files().iter().any(|file| file.name == name) {
            return Err(Answer::refused(404, "the chunk has no such file"));
        }
        let opening = self.work.run(move || {
            let file = File::open(chunk.path().join(name));
            file.map(|file| Answer::file(file, chunk))
        });
        let opened = opening.await.map_err(anyhow::Error::from);
        let opened = opened.and_then(|opened| opened.context("the file cannot be opened"));
        opened.map_err(|error| Answer::refused(500, format!("{error:#}")))
    }

    async fn query(&self, dataset: &str, range: &str, request: &Request) -> Result<Answer, Answer> {
        let wanted = Wanted::parse(&request.parameters);
        let wanted = wanted.map_err(|error| Answer::refused(400, format!("{error:#}")))?;
        let cover = self.cover(dataset, range)?;
        let blocks = blocks(range).map_err(|error| Answer::refused(400, error))?;
        let (manager, within) = (Arc::downgrade(&self.manager), self.query_within);
        // A chunk that cannot be read may be damaged: then it leaves the view, and is fetched again.
        let complain = move |id: &ChunkId| {
            log::warn!("chunk {} cannot be read, and is verified", hex(id));
            drop(manager.upgrade().map(|manager| manager.verify(id)));
        };
        let beginning = self
            .work
            .run(move || Query::begin(wanted, &blocks, cover, within, complain));
        match beginning.await {
            Ok(Ok(query)) => Ok(Answer::lines(Box::new(query))),
            Ok(Err(Refused::Asked(what))) => Err(Answer::refused(400, what)),
            Ok(Err(unreadable)) => Err(Answer::refused(
                500,
                format!("{:#}", anyhow::Error::from(unreadable)),
            )),
            Err(lost) => Err(Answer::refused(500, lost)),
        }
    }
}

impl Service for Worker {
    /// What the manager is asked answers at once, so it is asked right here; what reads files is a job.
    async fn answer(&self, request: Request) -> Answer {
        let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
        let answer = match parts[..] {
            ["find", dataset, block] => self.find(dataset, block).map(|chunk| found(&chunk)),
            ["cover", dataset, range] => {
                let cover = self.cover(dataset, range);
                cover.map(|cover| Answer::json(&describe(&cover)))
            }
            ["query", dataset, range] => self.query(dataset, range, &request).await,
            ["read", dataset, block, file] => match self.find(dataset, block) {
                Ok(chunk) => self.read(chunk, file.to_owned()).await,
                Err(none) => Err(none),
            },
            ["chunks"] => Ok(self.chunks()),
            ["status"] => Ok(self.status()),
            ["metrics"] => Ok(self.metrics()),
            ["healthz"] => Ok(self.healthz()),
            _ => Err(Answer::refused(404, "there is nothing under this path")),
        };
        answer.unwrap_or_else(|refused| refused)
    }
}

fn found(chunk: &ChunkGuard) -> Answer {
    let described: Value = json!({
        "id": hex(chunk.id()),
        "block_range": range(&chunk.block_range()),
        "files": chunk.files(),
    });
    Answer::json(&described)
}
