//! The worker as the scheduler has it: a process with two pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, unbounded};

use crate::words::{self, Opened, Orders, Word};

/// The name of the mode in which this program is the worker.
pub(crate) const MODE: &str = "worker";

/// Killed when it is dropped.
pub(crate) struct Worker {
    process: Child,
    commands: ChildStdin,
    words: Receiver<Word>,
    patience: Duration,
}

impl Worker {
    /// Starts it, and waits until it has opened the directory.
    pub(crate) fn start(orders: &Orders) -> anyhow::Result<(Worker, Opened)> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([MODE, &serde_json::to_string(orders)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the worker")?;
        let (Some(commands), Some(out)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the worker has no pipes");
        };
        let (sender, words) = unbounded();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let word = serde_json::from_str(&line);
                let word = word.unwrap_or_else(|error| Word::Broken(format!("{error}: {line}")));
                if sender.send(word).is_err() {
                    break;
                }
            }
        });
        let mut worker = Worker {
            process,
            commands,
            words,
            // It has to be able to say itself what takes so long.
            patience: Duration::from_millis(orders.patience_ms) * 2,
        };
        match worker.hear()? {
            Word::Opened(opened) => Ok((worker, opened)),
            other => bail!("the worker says {other:?}, and has not opened the directory"),
        }
    }

    /// Gives a command, and waits for the answer.
    pub(crate) fn ask(&mut self, command: &words::Command) -> anyhow::Result<Word> {
        let line = serde_json::to_string(command)?;
        // If it is gone, what it said before says why.
        let told = writeln!(self.commands, "{line}");
        let word = self.hear()?;
        told.context("the worker does not listen")?;
        Ok(word)
    }

    fn hear(&mut self) -> anyhow::Result<Word> {
        match self.words.recv_timeout(self.patience) {
            Ok(Word::Broken(what)) => bail!("{what}"),
            Ok(word) => Ok(word),
            Err(error) if error.is_timeout() => bail!("the worker does not answer"),
            Err(_) => bail!("the worker ended: {}", self.process.wait()?),
        }
    }

    /// kill -9. What it said before that was broken is told.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        match self.words.try_iter().next() {
            Some(Word::Broken(what)) => bail!("{what}"),
            _ => Ok(()),
        }
    }

    /// It said that it is done.
    pub(crate) fn wait(mut self) -> anyhow::Result<()> {
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the worker ended: {status}");
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
