//! What the system says of a process.

use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A process at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Footprint {
    /// The names of its threads, sorted.
    pub(crate) threads: Vec<String>,
    /// What its handles refer to, sorted, without the one that this look takes.
    pub(crate) handles: Vec<String>,
    pub(crate) rss_bytes: u64,
    /// The most that was resident at any time.
    pub(crate) peak_rss_bytes: u64,
}

impl Footprint {
    /// Of the calling process.
    pub(crate) fn look() -> anyhow::Result<Footprint> {
        let mut threads = Vec::new();
        for task in fs::read_dir("/proc/self/task")? {
            // A thread may end between the two looks.
            let name = fs::read_to_string(task?.path().join("comm"));
            threads.extend(name.map(|name| name.trim().to_owned()));
        }
        let mut handles = Vec::new();
        let own = format!("/proc/{}/fd", std::process::id());
        for handle in fs::read_dir("/proc/self/fd")? {
            let link = fs::read_link(handle?.path());
            handles.extend(link.map(|link| link.to_string_lossy().into_owned()));
        }
        handles.retain(|link| *link != own);
        threads.sort();
        handles.sort();
        Ok(Footprint {
            threads,
            handles,
            rss_bytes: status("VmRSS:")?,
            peak_rss_bytes: status("VmHWM:")?,
        })
    }

    pub(crate) fn sockets(&self) -> usize {
        self.handles.iter().filter(|link| is_socket(link)).count()
    }

    /// Handles of anything but a connection.
    pub(crate) fn files(&self) -> Vec<&str> {
        let files = self.handles.iter().filter(|link| !is_socket(link));
        files.map(String::as_str).collect()
    }
}

fn is_socket(link: &str) -> bool {
    link.starts_with("socket:")
}

fn status(field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib = kib.with_context(|| format!("no {field}"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}
