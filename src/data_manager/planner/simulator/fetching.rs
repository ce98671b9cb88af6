//! The job that fetches one file: `download::fetch_file` and `Fetcher::fetch`.

use std::sync::Arc;

use super::super::JobEnd;
use super::caller::number_of;
use super::disk::{End, Part};
use super::duty::{Duty, Fact, Fate, Fetch};
use super::origin::{Reply, STALL_TIMEOUT};
use super::world::World;
use crate::data_manager::transfer::Transfer;
use crate::data_source::{FetchFailure, FetchedFile, HostSign, Setback, StagingKey};
use crate::error::{Error, ErrorKind};
impl World {
    /// `Fetcher::fetch`, up to the request.
    pub(super) fn open(&mut self, transfer: Arc<Transfer>, index: usize) -> Vec<Duty> {
        let end = |result| Duty::EndFile(transfer.clone(), index, result);
        if transfer.cancel.is_cancelled() {
            return vec![end(Err(FetchFailure::Cancelled))];
        }
        if self.disk.end(&mut self.rng, false) != End::Well {
            let setback = Setback::transient(self.disk.error());
            return vec![end(Err(setback.into()))];
        }
        let part = self.part_mut(&transfer, index);
        if let Some(fetched) = part.complete {
            let len = fetched.len_bytes;
            transfer.files[index].set(len, Some(len));
            return vec![end(Ok(fetched))];
        }
        let host = self.host_of(&transfer, index);
        let mood = (self.mood_of)(number_of(transfer.spec.id));
        let (attempt, reply) = (transfer.attempt, self.hosts[host].ask(mood, &mut self.rng));
        match reply {
            Reply::Lost => {
                self.lose(&transfer, index);
                Vec::new()
            }
            Reply::Unreachable(delay, setback) => {
                vec![Duty::Pause(delay), end(Err(setback.into()))]
            }
            Reply::No(delay, setback) => {
                let read = Duty::Read {
                    attempt,
                    index,
                    delay,
                };
                vec![read, end(Err(setback.into()))]
            }
            Reply::Yes(delay, fate) => {
                let read = Duty::Read {
                    attempt,
                    index,
                    delay,
                };
                let total = super::caller::size_of(&transfer.spec, index);
                let fetch = Fetch {
                    transfer,
                    index,
                    host,
                    total,
                    fate,
                };
                vec![read, Duty::Opened(fetch)]
            }
        }
    }

    fn part_mut(&mut self, transfer: &Transfer, index: usize) -> &mut Part {
        let staged = self
            .disk
            .staging
            .entry(StagingKey::of(&transfer.spec))
            .or_default();
        staged.touched = self.clock.now;
        let files = transfer.spec.files.len();
        staged.parts.resize(files, Part::default());
        &mut staged.parts[index]
    }

    pub(super) fn host_of(&self, transfer: &Transfer, index: usize) -> usize {
        super::caller::host_number(transfer.spec.files[index].host())
    }

    pub(super) fn opened(&mut self, fetch: Fetch) -> Vec<Duty> {
        let (transfer, index) = (fetch.transfer.clone(), fetch.index);
        let bytes = self.part_mut(&transfer, index).bytes;
        transfer.files[index].set(bytes, Some(fetch.total));
        let answered = Fact::Answered(transfer, index);
        vec![Duty::Tell(answered), Duty::Receive(fetch)]
    }

    /// Waits for the next bytes, or sees that there are no more.
    pub(super) fn receive(&mut self, fetch: Fetch) -> Vec<Duty> {
        let (transfer, index) = (fetch.transfer.clone(), fetch.index);
        let attempt = transfer.attempt;
        let end = |result| Duty::EndFile(transfer.clone(), index, result);
        if transfer.cancel.is_cancelled() {
            return vec![end(Err(FetchFailure::Cancelled))];
        }
        let have = self.part_mut(&transfer, index).bytes;
        let half_way = have >= fetch.total / 2;
        let broke_off = || {
            let error = Error::new(ErrorKind::Network, "the transfer broke off");
            let mut setback = Setback::transient(error);
            setback.host = HostSign::Answered;
            FetchFailure::from(setback)
        };
        match fetch.fate {
            Fate::CutHalfWay if half_way => return vec![end(Err(broke_off()))],
            Fate::StallsHalfWay | Fate::StallsAtOnce
                if half_way || fetch.fate == Fate::StallsAtOnce =>
            {
                let delay = STALL_TIMEOUT;
                let read = Duty::Read {
                    attempt,
                    index,
                    delay,
                };
                return vec![read, end(Err(broke_off()))];
            }
            _ => {}
        }
        if have == fetch.total {
            return vec![self.check_file(&fetch)];
        }
        let count = fetch.total.div_ceil(4).min(fetch.total - have);
        let delay = self.hosts[fetch.host].time_for(count);
        let read = Duty::Read {
            attempt,
            index,
            delay,
        };
        vec![read, Duty::Store(fetch, count)]
    }

    pub(super) fn store(&mut self, fetch: Fetch, count: u64) -> Vec<Duty> {
        let (transfer, index) = (fetch.transfer.clone(), fetch.index);
        if transfer.cancel.is_cancelled() {
            return vec![Duty::EndFile(transfer, index, Err(FetchFailure::Cancelled))];
        }
        if self.disk.end(&mut self.rng, true) != End::Well {
            let setback = Setback::transient(self.disk.error());
            return vec![Duty::EndFile(transfer, index, Err(setback.into()))];
        }
        self.part_mut(&transfer, index).bytes += count;
        transfer.files[index].add(count);
        transfer.note_arrival(self.now(), index, count);
        vec![Duty::Receive(fetch)]
    }

    fn check_file(&mut self, fetch: &Fetch) -> Duty {
        let (transfer, index) = (&fetch.transfer, fetch.index);
        let fails = self.disk.end(&mut self.rng, true) != End::Well;
        let error = self.disk.error();
        let part = self.part_mut(transfer, index);
        let result = if fetch.fate == Fate::WrongDigest {
            *part = Part::default();
            let file = &transfer.spec.files[index].name;
            let error = Error::new(ErrorKind::Digest, "a wrong digest").with_file(file);
            let mut setback = Setback::transient(error);
            setback.host = HostSign::Answered;
            Err(setback.into())
        } else if fails {
            *part = Part::default();
            Err(Setback::transient(error).into())
        } else {
            let fetched = FetchedFile {
                len_bytes: fetch.total,
                xxh3: 1,
            };
            part.complete = Some(fetched);
            Ok(fetched)
        };
        Duty::EndFile(transfer.clone(), index, result)
    }

    /// The end of `download::fetch_file`, and its ticket's.
    pub(super) fn end_file(
        &mut self,
        transfer: Arc<Transfer>,
        index: usize,
        result: Result<FetchedFile, FetchFailure>,
    ) -> Vec<Duty> {
        // A source whose socket was closed under it says that it was cancelled.
        let cancelled = transfer.cancel.is_cancelled();
        let result = match result {
            Err(FetchFailure::Failed(setback))
                if cancelled
                    && setback.host != HostSign::None
                    && setback.error.kind() != ErrorKind::Digest =>
            {
                Err(FetchFailure::Cancelled)
            }
            result => result,
        };
        let end = match &result {
            Ok(_) => JobEnd::Done,
            Err(FetchFailure::Failed(setback)) if setback.permanent => JobEnd::Hopeless,
            Err(_) => JobEnd::Failed,
        };
        let sign = match &result {
            Err(FetchFailure::Failed(setback)) => setback.host,
            Ok(_) | Err(FetchFailure::Cancelled) => HostSign::None,
        };
        if let Err(FetchFailure::Failed(setback)) = &result {
            let kind = setback.error.kind();
            if setback.permanent || kind == ErrorKind::Digest {
                self.ledger.hopeless(&transfer.spec, kind);
            }
        }
        let id = number_of(transfer.spec.id);
        let attempt = transfer.attempt;
        self.note(|| {
            let result = result.as_ref().map(|file| file.len_bytes);
            format!("    {id} attempt {attempt} file {index}: {result:?}")
        });
        transfer.file_ended(index, result);
        let ended = Fact::JobEnded(transfer, Some((index, sign)), end);
        vec![Duty::Tell(ended)]
    }
}
