//! What the chunks wait for that are counted at a host.

use super::super::health::Health;

/// The chunks that wait, by what their host is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super::super) struct HostWaits {
    /// It has room: they wait for their turn.
    pub(in super::super::super) ready: usize,
    /// It has none.
    pub(in super::super::super) full: usize,
    /// It rests, or is being tried again.
    pub(in super::super::super) resting: usize,
}

/// What a chunk waits for at a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Waits {
    #[default]
    Ready,
    Full,
    Resting,
}

impl Waits {
    /// At a host that is so, and has room or not.
    pub(super) fn at(health: Health, has_room: bool) -> Self {
        match (health, has_room) {
            (Health::Resting { .. } | Health::Probing { .. }, _) => Waits::Resting,
            (Health::Well { .. }, true) => Waits::Ready,
            (Health::Well { .. }, false) => Waits::Full,
        }
    }
}

impl HostWaits {
    pub(super) fn of(&mut self, waits: Waits) -> &mut usize {
        match waits {
            Waits::Ready => &mut self.ready,
            Waits::Full => &mut self.full,
            Waits::Resting => &mut self.resting,
        }
    }
}
