//! What `Net` has to do later, ordered by time. One list serves every timer below the transports:
//! they are few (a neighbour, a reassembly, an address), so a sorted set does.

use std::collections::BTreeSet;

use core::net::IpAddr;

use crate::frame::LinkId;
use crate::time::Instant;

/// Something due at a time. Its owner keeps the time too and hands it back to move or cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// A neighbour's state machine, by slot.
    Neighbour(u32),
    /// A reassembly gives up, by slot.
    Reassembly(u32),
    /// The next duplicate address probe of an address, or its end.
    Dad(LinkId, IpAddr),
    /// An address becomes deprecated or invalid.
    Lifetime(LinkId, IpAddr),
    /// A route learned from a router expires.
    Route(IpAddr, u8, LinkId, Option<IpAddr>),
    /// The next router solicitation of a link.
    RouterSolicit(LinkId),
    /// A group membership report.
    Report(LinkId, IpAddr),
    /// Old discovered path MTUs are forgotten.
    PathMtu,
}

#[derive(Clone, Debug, Default)]
pub struct Agenda {
    set: BTreeSet<(Instant, Task)>,
}

impl Agenda {
    /// Moves `task` from the time in `slot` ([`Instant::FAR`]: not set) to `at`, which is put there.
    pub fn set(&mut self, slot: &mut Instant, at: Instant, task: Task) {
        if *slot == at {
            return;
        }
        if *slot != Instant::FAR {
            self.set.remove(&(*slot, task));
        }
        if at != Instant::FAR {
            self.set.insert((at, task));
        }
        *slot = at;
    }

    /// Takes the first task that is due. Its owner's copy of the time is stale from here on: the
    /// owner sets it to [`Instant::FAR`] first thing.
    pub fn due(&mut self, now: Instant) -> Option<Task> {
        let &(at, task) = self.set.first()?;
        if at > now {
            return None;
        }
        self.set.pop_first();
        Some(task)
    }

    pub fn next(&self) -> Instant {
        self.set.first().map_or(Instant::FAR, |&(at, _)| at)
    }
}
