//! Reads the names of all chunk directories: one thread asks the kernel for them, which is most of the
//! work, and another takes them apart.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::layout::ChunkName;
use super::scan::{Finding, is_dir};
use crate::data_chunk::DatasetId;
use crate::error::Error;

/// How many names are handed over at a time: so many that handing over costs nothing beside them, and
/// so few that a small directory keeps both threads busy.
const BATCH: usize = 1024;

/// How many batches may wait: the reader is the slower of the two.
const WAITING: usize = 4;

/// A dataset's directory, and whose it is.
pub(super) type Dataset = (PathBuf, DatasetId);

/// A chunk's directory.
pub(super) struct Named {
    pub(super) name: ChunkName,
    /// The number of its dataset.
    pub(super) dataset: u32,
}

/// What is in the datasets' directories.
pub(super) struct Names {
    /// By the first byte of their ids, and apart from that in no order. Ids are spread evenly as a rule:
    /// then the groups of a million are small enough to be sorted in a cache of the processor.
    pub(super) groups: Vec<Vec<Named>>,
    pub(super) findings: Vec<Finding>,
}

/// Names of directories, one behind the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Of each name the number of its dataset, and where it ends in `bytes`.
    names: Vec<(u32, usize)>,
}

/// Reads them all. A dataset that cannot be read is reported and skipped: the others must come up.
pub(super) fn read(datasets: &[Dataset]) -> Result<Names, Error> {
    let (sender, receiver) = bounded(WAITING);
    thread::scope(|scope| {
        let parser = thread::Builder::new()
            .name("opening".to_owned())
            .spawn_scoped(scope, || parse_all(&receiver, datasets))
            .map_err(|error| Error::io("start a thread to open with", error))?;
        let findings = read_all(&sender, datasets);
        drop(sender);
        let mut names = parser.join().unwrap_or_else(|panic| resume_unwind(panic));
        names.findings.extend(findings);
        Ok(names)
    })
}

fn read_all(sender: &Sender<Batch>, datasets: &[Dataset]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut batch = Batch::default();
    for (number, (dir, _)) in (0u32..).zip(datasets) {
        let read = read_dataset(number, dir, sender, (&mut batch, &mut findings));
        if let Err(error) = read {
            let error = Error::io("read a dataset's directory", error);
            let path = dir.clone();
            findings.push(Finding::Unreadable { path, error });
        }
    }
    // The other end goes only if it panics, which `read` passes on.
    let _ = sender.send(batch);
    findings
}

fn read_dataset(
    number: u32,
    dir: &PathBuf,
    sender: &Sender<Batch>,
    (batch, findings): (&mut Batch, &mut Vec<Finding>),
) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !is_dir(&entry) {
            findings.push(Finding::Foreign(entry.path()));
            continue;
        }
        batch.bytes.extend_from_slice(entry.file_name().as_bytes());
        batch.names.push((number, batch.bytes.len()));
        if batch.names.len() == BATCH {
            let _ = sender.send(std::mem::take(batch));
        }
    }
    Ok(())
}

fn parse_all(batches: &Receiver<Batch>, datasets: &[Dataset]) -> Names {
    let mut names = Names {
        groups: (0..=u8::MAX).map(|_| Vec::new()).collect(),
        findings: Vec::new(),
    };
    for batch in batches {
        let mut from = 0;
        for (dataset, to) in batch.names {
            let name = &batch.bytes[from..to];
            from = to;
            match str::from_utf8(name).ok().and_then(ChunkName::parse) {
                Some(name) => {
                    let group = usize::from(name.id[0]);
                    names.groups[group].push(Named { name, dataset });
                }
                None => {
                    let name = OsString::from_vec(name.to_owned());
                    let dataset = datasets.get(dataset as usize);
                    let path = dataset.map_or_else(PathBuf::new, |(dir, _)| dir.join(name));
                    names.findings.push(Finding::Foreign(path));
                }
            }
        }
    }
    names
}
