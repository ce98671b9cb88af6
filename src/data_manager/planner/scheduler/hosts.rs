//! The hosts that something waits for, that serve something, or that have failed.

#[cfg(test)]
mod recount;
mod waits;

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use super::super::Moment;
use super::health::{Health, Turn};
use super::turns::Turns;
use super::{Place, TIERS, Tier};
use crate::data_chunk::{ChunkId, DatasetId};
use crate::data_source::HostSign;
use crate::error::Error;
pub(in super::super) use waits::HostWaits;
use waits::Waits;

/// How many hosts are remembered that nobody needs now, for what they failed in. The one that was
/// needed the longest ago goes first.
const IDLE_MAX: usize = 1024;

/// How many chunks are remembered that go on at once when a host is back. That is more than fail
/// before it is given up; later ones, that probed it, wait out their own backoff.
const SUFFERERS_MAX: usize = 256;

/// Stands for a host while it is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HostId(usize);

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    /// Host and port, or the scheme where a URL names no host.
    pub(super) name: Box<str>,
    pub(super) health: Health,
    /// Files in flight.
    in_flight: usize,
    /// Files of begun transfers that are still to be handed out.
    promised: usize,
    waiting: [Turns; TIERS],
    /// Chunks that wait here and are counted here; each waiting chunk is counted at one host.
    counted: usize,
    /// What they are counted as.
    counted_as: Waits,
    /// In which set of its tier it is.
    standing: [Standing; TIERS],
    /// Chunks that failed since it last answered, and only because it was silent; at most
    /// [`SUFFERERS_MAX`].
    pub(super) sufferers: BTreeSet<ChunkId>,
    /// It is back, and its sufferers were not taken yet: it is kept until then, also if nobody else
    /// needs it.
    is_back: bool,
    /// Why it was silent last.
    pub(super) last_error: Option<Error>,
    /// When it became idle, as a serial number; 0 while it is needed.
    idle_since: u64,
}

/// Whether a host could serve what waits for it in one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing waits, or the host rests.
    #[default]
    Out,
    /// It has room.
    Ready,
    /// It has none.
    Full,
}

/// All hosts. Every operation is O(log n) but for those that say so.
#[derive(Debug)]
pub(super) struct Hosts {
    /// Files in flight for one host at the most.
    limit: usize,
    ids: HashMap<Box<str>, HostId>,
    table: Vec<Option<Host>>,
    free: Vec<HostId>,
    tiers: [TierHosts; TIERS],
    /// When a rest ends.
    rests: BTreeSet<(Moment, HostId)>,
    /// Those that are being tried again.
    probing: BTreeSet<HostId>,
    idle: BTreeSet<(u64, HostId)>,
    next_idle: u64,
    waits: HostWaits,
}

#[derive(Debug, Default)]
struct TierHosts {
    ready: BTreeSet<HostId>,
    full: BTreeSet<HostId>,
    /// Whose turn it was last.
    last: Option<HostId>,
}

impl Hosts {
    pub(super) fn new(limit: usize) -> Self {
        Hosts {
            limit,
            ids: HashMap::new(),
            table: Vec::new(),
            free: Vec::new(),
            tiers: Default::default(),
            rests: BTreeSet::new(),
            probing: BTreeSet::new(),
            idle: BTreeSet::new(),
            next_idle: 0,
            waits: HostWaits::default(),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Costs by the number of hosts.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        for at in 0..self.table.len() {
            self.edit(HostId(at), |_| ());
        }
    }

    pub(super) fn get(&self, id: HostId) -> Option<&Host> {
        self.table.get(id.0).and_then(Option::as_ref)
    }

    pub(super) fn id_of(&self, name: &str) -> Option<HostId> {
        self.ids.get(name).copied()
    }

    fn id_or_new(&mut self, name: &str) -> HostId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            HostId(self.table.len() - 1)
        });
        self.table[id.0] = Some(Host {
            name: name.into(),
            health: Health::Well { silences: 0 },
            in_flight: 0,
            promised: 0,
            waiting: Default::default(),
            counted: 0,
            counted_as: Waits::default(),
            standing: Default::default(),
            sufferers: BTreeSet::new(),
            is_back: false,
            last_error: None,
            idle_since: 0,
        });
        self.ids.insert(name.into(), id);
        id
    }

    pub(super) fn insert(&mut self, name: &str, place: &Place, chunk: ChunkId) {
        let id = self.id_or_new(name);
        self.edit(id, |host| {
            host.waiting[place.tier.index()].insert(place, chunk);
        });
    }

    /// A chunk that waits there is counted there.
    pub(super) fn count_in(&mut self, name: &str) {
        if let Some(id) = self.id_of(name) {
            self.edit(id, |host| host.counted += 1);
        }
    }

    /// True if the chunk waited there. It was `counted` there, if it did.
    pub(super) fn remove(
        &mut self,
        name: &str,
        place: &Place,
        chunk: ChunkId,
        counted: bool,
    ) -> bool {
        let Some(id) = self.id_of(name) else {
            return false;
        };
        let remove = |host: &mut Host| {
            let waited = host.waiting[place.tier.index()].remove(place, chunk);
            host.counted -= usize::from(waited && counted);
            waited
        };
        self.edit(id, remove).unwrap_or(false)
    }

    pub(super) fn waits(&self) -> HostWaits {
        self.waits
    }

    /// The chunk whose turn it is in this tier, its host and its dataset.
    pub(super) fn peek(&self, tier: Tier) -> Option<(HostId, DatasetId, ChunkId)> {
        let hosts = &self.tiers[tier.index()];
        let after = hosts.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = hosts.ready.range((after, Bound::Unbounded)).next();
        let id = *next.or_else(|| hosts.ready.first())?;
        let (dataset_id, chunk) = self.get(id)?.waiting[tier.index()].peek()?;
        Some((id, dataset_id, chunk))
    }

    /// A chunk was chosen: the turn passes on.
    pub(super) fn passed(&mut self, host: HostId, place: &Place) {
        let tier = place.tier.index();
        self.tiers[tier].last = Some(host);
        self.edit(host, |host| host.waiting[tier].passed(place.dataset_id));
    }

    /// Whether a chunk of this tier waits for a host that has room.
    pub(super) fn has_ready(&self, tier: Tier) -> bool {
        !self.tiers[tier.index()].ready.is_empty()
    }

    /// Whether chunks of this tier wait for this host, which has no room for them.
    pub(super) fn is_full(&self, tier: Tier, host: HostId) -> bool {
        self.tiers[tier.index()].full.contains(&host)
    }

    /// Whether one more file of the host may be in flight.
    pub(super) fn has_room(&self, id: HostId) -> bool {
        let limit = self.limit;
        self.get(id)
            .is_some_and(|host| host.in_flight < host.health.room(limit))
    }

    /// Files of the host are going to be handed out.
    pub(super) fn promise(&mut self, name: &str) -> HostId {
        let id = self.id_or_new(name);
        self.edit(id, |host| host.promised += 1);
        id
    }

    /// A file that was promised will not be handed out.
    pub(super) fn withdraw(&mut self, id: HostId) {
        self.edit(id, |host| host.promised -= 1);
    }

    /// A file that was promised is in flight.
    pub(super) fn take_off(&mut self, id: HostId) {
        self.edit(id, |host| {
            host.promised -= 1;
            host.in_flight += 1;
        });
    }

    /// A file is no longer in flight, and left a sign of the host.
    pub(super) fn land(
        &mut self,
        now: Moment,
        id: HostId,
        sign: HostSign,
        rest: impl FnOnce(u32) -> Moment,
    ) -> Turn {
        self.note(id, |host| {
            host.in_flight -= 1;
            host.health.note(now, sign, rest)
        })
    }

    /// The host answered; the file is still in flight.
    pub(super) fn answered(&mut self, now: Moment, id: HostId) -> Turn {
        self.note(id, |host| {
            host.health.note(now, HostSign::Answered, |_| now)
        })
    }

    fn note(&mut self, id: HostId, change: impl FnOnce(&mut Host) -> Turn) -> Turn {
        let rest_of = |host: Option<&Host>| host.and_then(|host| host.health.rests_until());
        let before = rest_of(self.get(id));
        let turn = self.edit(id, |host| {
            let turn = change(host);
            host.is_back |= turn == Turn::Back;
            if host.health.is_unremarkable() {
                host.last_error = None;
            }
            if turn == Turn::Same && host.health.is_unremarkable() {
                host.sufferers.clear();
            }
            turn
        });
        let after = rest_of(self.get(id));
        if before != after {
            before.map(|until| self.rests.remove(&(until, id)));
            after.map(|until| self.rests.insert((until, id)));
        }
        turn.unwrap_or(Turn::Same)
    }

    /// Notes why the host was silent, and for which chunk.
    pub(super) fn suffered(&mut self, id: HostId, chunk: ChunkId, error: &Error) {
        self.edit(id, |host| {
            if host.sufferers.len() < SUFFERERS_MAX {
                host.sufferers.insert(chunk);
            }
            host.last_error = Some(error.clone());
        });
    }

    /// The chunks that failed only because of the host, which is back; it forgets them.
    pub(super) fn take_sufferers(&mut self, id: HostId) -> BTreeSet<ChunkId> {
        let take = |host: &mut Host| {
            host.is_back = false;
            std::mem::take(&mut host.sufferers)
        };
        self.edit(id, take).unwrap_or_default()
    }

    /// Ends the rests whose time has come.
    pub(super) fn wake(&mut self, now: Moment) {
        while let Some(&(until, id)) = self.rests.first()
            && until <= now
        {
            self.rests.pop_first();
            self.edit(id, |host| host.health.wake());
        }
    }

    /// When the next rest ends.
    pub(super) fn next_rest_end(&self) -> Option<Moment> {
        self.rests.first().map(|(until, _)| *until)
    }

    /// How many hosts were given up.
    pub(super) fn given_up(&self) -> usize {
        self.rests.len() + self.probing.len()
    }

    /// Those, in the order in which they are tried again; the ones that are being tried come last.
    pub(super) fn each_given_up(&self) -> impl Iterator<Item = &Host> {
        let resting = self.rests.iter().map(|(_, id)| id);
        let all = resting.chain(&self.probing);
        all.filter_map(|id| self.get(*id))
    }

    /// Changes a host, and keeps what is known of all hosts in step.
    fn edit<R>(&mut self, id: HostId, change: impl FnOnce(&mut Host) -> R) -> Option<R> {
        let host = self.table.get_mut(id.0)?.as_mut()?;
        *self.waits.of(host.counted_as) -= host.counted;
        let result = change(host);
        if matches!(host.health, Health::Probing { .. }) {
            self.probing.insert(id);
        } else {
            self.probing.remove(&id);
        }
        let room = host.health.room(self.limit);
        host.counted_as = Waits::at(host.health, host.in_flight < room);
        *self.waits.of(host.counted_as) += host.counted;
        for (tier, hosts) in self.tiers.iter_mut().enumerate() {
            let standing = if host.waiting[tier].is_empty() || host.health.is_resting() {
                Standing::Out
            } else if host.in_flight < room {
                Standing::Ready
            } else {
                Standing::Full
            };
            let before = std::mem::replace(&mut host.standing[tier], standing);
            if before != standing {
                hosts.set_of(before).map(|set| set.remove(&id));
                hosts.set_of(standing).map(|set| set.insert(id));
            }
        }
        self.forget_if_idle(id);
        Some(result)
    }

    fn forget_if_idle(&mut self, id: HostId) {
        let Some(host) = self.table[id.0].as_mut() else {
            return;
        };
        let idle = host.in_flight == 0
            && host.promised == 0
            && !host.is_back
            && host.waiting.iter().all(Turns::is_empty);
        let forgettable = host.health.is_unremarkable() && host.sufferers.is_empty();
        if host.idle_since != 0 && (!idle || forgettable) {
            self.idle.remove(&(host.idle_since, id));
            host.idle_since = 0;
        }
        if !idle {
            return;
        }
        if forgettable {
            self.forget(id);
        } else if host.idle_since == 0 {
            self.next_idle += 1;
            host.idle_since = self.next_idle;
            self.idle.insert((self.next_idle, id));
            if self.idle.len() > IDLE_MAX
                && let Some((_, oldest)) = self.idle.pop_first()
            {
                self.forget(oldest);
            }
        }
    }

    fn forget(&mut self, id: HostId) {
        if let Some(host) = self.table[id.0].take() {
            self.ids.remove(&host.name);
            self.probing.remove(&id);
            if let Some(until) = host.health.rests_until() {
                self.rests.remove(&(until, id));
            }
            self.free.push(id);
        }
    }
}

impl Host {
    /// How long it still rests.
    pub(super) fn rest_left(&self, now: Moment) -> Option<Moment> {
        let until = self.health.rests_until()?;
        Some(until.saturating_sub(now))
    }
}

impl TierHosts {
    fn set_of(&mut self, standing: Standing) -> Option<&mut BTreeSet<HostId>> {
        match standing {
            Standing::Out => None,
            Standing::Ready => Some(&mut self.ready),
            Standing::Full => Some(&mut self.full),
        }
    }
}
