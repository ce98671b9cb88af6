//! What the table of hosts believes, laid open for the simulator to count again.

use super::super::recount::{HostView, InLine};
use super::*;

impl Host {
    pub(in super::super) fn view(&self, limit: usize) -> HostView {
        let resting_until = match self.health {
            Health::Resting { until, .. } => Some(until),
            _ => None,
        };
        HostView {
            resting_until,
            given_up: self.health.is_given_up(),
            in_flight: self.in_flight,
            promised: self.promised,
            room: self.health.room(limit).saturating_sub(self.in_flight),
        }
    }
}

impl Hosts {
    pub(in super::super) fn views(&self) -> Vec<(&str, HostView)> {
        let hosts = self.table.iter().flatten();
        hosts
            .map(|host| (&*host.name, host.view(self.limit)))
            .collect()
    }

    pub(in super::super) fn lines(&self) -> Vec<(&str, InLine)> {
        let mut lines = Vec::new();
        for host in self.table.iter().flatten() {
            for (tier, turns) in host.waiting.iter().enumerate() {
                let in_line = turns
                    .all()
                    .map(|(dataset, ticket, id)| (tier, dataset, ticket, id));
                lines.extend(in_line.map(|in_line| (&*host.name, in_line)));
            }
        }
        lines
    }

    /// What is kept twice agrees.
    pub(in super::super) fn check(&self) {
        for (at, host) in self.table.iter().enumerate() {
            let id = HostId(at);
            let Some(host) = host else {
                assert!(self.free.contains(&id), "a free place that nobody knows of");
                assert!(
                    !self.rests.iter().any(|(_, other)| *other == id),
                    "nobody rests"
                );
                continue;
            };
            assert_eq!(self.ids.get(&host.name), Some(&id), "found by its name");
            let view = host.view(self.limit);
            let rest = self.rests.iter().find(|(_, other)| *other == id);
            assert_eq!(
                rest.map(|(until, _)| *until),
                view.resting_until,
                "its rest"
            );
            for (tier, hosts) in self.tiers.iter().enumerate() {
                let waits = !host.waiting[tier].is_empty() && view.resting_until.is_none();
                assert_eq!(hosts.ready.contains(&id), waits && view.room > 0, "ready");
                assert_eq!(hosts.full.contains(&id), waits && view.room == 0, "full");
            }
            let needed =
                view.in_flight + view.promised > 0 || !host.waiting.iter().all(Turns::is_empty);
            assert_eq!(self.idle.contains(&(host.idle_since, id)), !needed, "idle");
            assert!(needed || !host.health.is_unremarkable(), "kept for nothing");
        }
        let known = self.table.iter().flatten().count();
        assert_eq!(self.ids.len(), known, "one name a host");
        assert!(self.rests.len() <= known, "only hosts rest");
        assert!(self.idle.len() <= IDLE_MAX.min(known), "idle hosts");
    }
}
