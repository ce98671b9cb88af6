//! Looks behind the start at what was found on disk: opening believed the directories' names.
//!
//! One slice of chunks at a time, on one thread of the blocking pool. What somebody finds meanwhile
//! goes to the front. A chunk whose manifest and files are what its name says stays as it is; one
//! that does not add up is damaged; one that cannot be read for lack of permission leaves the view
//! and is left alone. Any other trouble says nothing about the chunk, which is looked at again later.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::auditing::audit_behind;
use super::core::{Core, SLICE};
use crate::data_source::{LocalDataSource, StoredChunk};
use crate::error::{Error, ErrorKind};
use crate::tasks_manager::sleep;

/// When to look again at what could not be looked at.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Empties the trash, and checks `chunks`.
pub(super) async fn check_behind(core: Weak<Core>, chunks: Vec<StoredChunk>) {
    let Some(strong) = core.upgrade() else { return };
    let mut trash_left = empty_trash(&strong).await;
    let quarantine = strong.run_job(LocalDataSource::measure_quarantine).await;
    strong.report_trouble(None, quarantine.err());
    drop(strong);
    let mut left = chunks;
    let mut audited = false;
    loop {
        let mut troubled = Vec::new();
        let mut rest = left.into_iter();
        loop {
            let Some(core) = core.upgrade() else { return };
            let slice = next_slice(core.found_unchecked(), &mut rest);
            if slice.is_empty() {
                break;
            }
            let Some(again) = check_slice(&core, slice).await else {
                return;
            };
            troubled.extend(again);
        }
        if !std::mem::replace(&mut audited, true) {
            audit_behind(&core).await;
        }
        if troubled.is_empty() && !trash_left {
            return;
        }
        left = troubled;
        sleep(TRY_AGAIN).await;
        if trash_left {
            let Some(core) = core.upgrade() else { return };
            trash_left = empty_trash(&core).await;
        }
    }
}

/// Whether something is left that may go the next time.
async fn empty_trash(core: &Core) -> bool {
    let Err(error) = core.run_job(LocalDataSource::empty_trash).await else {
        return false;
    };
    let may_pass = !matches!(error.kind(), ErrorKind::Denied | ErrorKind::ShutDown);
    core.report_trouble(None, Some(error));
    may_pass
}

/// What was found since the last slice, and then what comes next.
fn next_slice(
    found: impl Iterator<Item = StoredChunk>,
    rest: &mut impl Iterator<Item = StoredChunk>,
) -> Vec<StoredChunk> {
    let mut slice: Vec<StoredChunk> = found.take(SLICE).collect();
    let unchecked = rest.filter(|stored| !stored.is_checked());
    slice.extend(unchecked.take(SLICE - slice.len()));
    slice
}

/// Checks these, and returns those to look at again; `None` if there is nobody left to do it.
async fn check_slice(core: &Arc<Core>, slice: Vec<StoredChunk>) -> Option<Vec<StoredChunk>> {
    let look = move |store: &LocalDataSource| {
        let unsound = |stored: StoredChunk| {
            let error = store.check(&stored).err()?;
            Some((stored, error))
        };
        Ok(slice.into_iter().filter_map(unsound).collect::<Vec<_>>())
    };
    let mut again = Vec::new();
    for (stored, error) in core.run_job(look).await.ok()? {
        again.extend(judge(core, stored, error));
    }
    Some(again)
}

/// Acts on what is wrong with a chunk; gives it back if that is nothing about the chunk.
pub(super) fn judge(core: &Arc<Core>, stored: StoredChunk, error: Error) -> Option<StoredChunk> {
    let key = (stored.spec.id, stored.generation);
    match error.kind() {
        ErrorKind::Damaged => core.apply(|planner, now| planner.damaged(now, key, error)),
        ErrorKind::Denied => {
            let path = stored.path().to_owned();
            core.apply(|planner, now| planner.unreadable(now, key, path, error));
        }
        _ => {
            core.report_trouble(Some(key.0), Some(error));
            return Some(stored);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data_chunk::ChunkSpec;
    use crate::data_source::FetchedFile;

    fn found(n: u8) -> StoredChunk {
        let spec = ChunkSpec::found(([n; 32], [0; 32]), 0..1, 0);
        let root = Arc::from(Path::new("/x"));
        StoredChunk::new(root, Arc::new(spec), &[] as &[FetchedFile], 1, None).as_found()
    }

    #[test]
    fn what_somebody_finds_goes_first_and_is_checked_once() {
        let chunks: Vec<StoredChunk> = (0..200).map(found).collect();
        let number = |slice: &[StoredChunk]| -> Vec<u8> {
            slice.iter().map(|stored| stored.spec.id[0]).collect()
        };
        let mut rest = chunks.clone().into_iter();
        let first = next_slice([].into_iter(), &mut rest);
        assert_eq!(number(&first), (0..64).collect::<Vec<_>>());
        let asked = chunks[199].clone();
        assert!(asked.is_first_look() && !asked.is_first_look());
        let second = next_slice([asked].into_iter(), &mut rest);
        assert_eq!(number(&second[..2]), [199, 64]);
        assert_eq!(second.len(), SLICE);
        second.iter().for_each(StoredChunk::set_checked);
        assert!(!chunks[64].is_first_look(), "nobody need be told of it");
        let third = next_slice([].into_iter(), &mut rest);
        let last = next_slice([].into_iter(), &mut rest);
        assert_eq!(number(&last), (191..199).collect::<Vec<_>>());
        assert_eq!(third.len(), SLICE);
        assert!(next_slice([].into_iter(), &mut rest).is_empty());
    }
}
