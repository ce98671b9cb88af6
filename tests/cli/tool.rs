//! Runs the tool.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use data_manager::data_chunk::{AssignmentDocument, DataChunk};

use crate::support::origin::Origin;
use crate::support::{DEADLINE, bytes, chunk};

/// The tool with these arguments, free of what the environment says.
pub(crate) fn tool(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_data-manager"));
    command.arg("--data-dir").arg(data_dir).args(args);
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "DATA_MANAGER_DIR",
        "DATA_MANAGER_CONFIG",
    ] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.stdin(Stdio::null());
    command
}

/// What it said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn run(data_dir: &Path, args: &[&str]) -> Said {
    let mut command = tool(data_dir, args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (id, (sender, ended)) = (child.id(), channel());
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(DEADLINE) else {
        let _ = Command::new("kill")
            .args(["-s", "KILL", &id.to_string()])
            .status();
        panic!("{args:?} does not end");
    };
    output.unwrap().into()
}

impl Said {
    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Every line of the standard output, as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Sends each line, on a thread of its own.
fn pass_on(stream: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let _ = to.send(line.unwrap());
        }
    });
}

/// The tool at work. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(data_dir: &Path, args: &[&str]) -> Running {
        let mut command = tool(data_dir, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        pass_on(child.stdout.take().unwrap(), sender.clone());
        pass_on(child.stderr.take().unwrap(), sender);
        Running { child, lines }
    }

    /// Waits for a line, of either stream, with this in it.
    #[track_caller]
    pub(crate) fn line(&self, with: &str) -> String {
        self.until(with).pop().unwrap_or_default()
    }

    /// The same with the lines before it.
    #[track_caller]
    pub(crate) fn until(&self, with: &str) -> Vec<String> {
        let (deadline, mut seen) = (Instant::now() + DEADLINE, Vec::new());
        while let Ok(line) = self.lines.recv_timeout(deadline - Instant::now()) {
            let found = line.contains(with);
            seen.push(line);
            if found {
                return seen;
            }
        }
        panic!("no line with {with:?} in {seen:#?}");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // Its streams end with it.
            while self
                .lines
                .recv_timeout(std::time::Duration::from_millis(20))
                .is_ok()
            {}
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Chunk `n`, of one file of 1000 bytes that the origin serves.
pub(crate) fn served(origin: &Origin, n: u8) -> DataChunk {
    let path = format!("chunk-{n}");
    origin.file(&path, bytes(n.into(), 1000));
    described(n, origin.url(&path))
}

/// Chunk `n`, of one file at `url`.
pub(crate) fn described(n: u8, url: String) -> DataChunk {
    let start = u64::from(n) * 10;
    chunk(n, start..start + 10, [("f.parquet", url)])
}

/// Writes an assignment of these chunks; gives its path.
pub(crate) fn assignment(dir: &Path, chunks: impl IntoIterator<Item = DataChunk>) -> String {
    let path = dir.join("assignment.json");
    // In one piece, for whoever watches it.
    let next = dir.join("next.json");
    std::fs::write(&next, AssignmentDocument::new(chunks).to_json()).unwrap();
    std::fs::rename(next, &path).unwrap();
    path.to_str().unwrap().to_owned()
}
