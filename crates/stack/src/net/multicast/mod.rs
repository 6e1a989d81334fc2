//! Groups that this host is a member of, on each link, and how the link's routers learn of it.

mod igmp;
mod mld;

use core::net::IpAddr;

use errno::Errno;
use wire::MacAddr;
use wire::addr::{ALL_NODES_V6, ALL_SYSTEMS_V4};

use super::Net;
use super::address::group_mac;
use super::agenda::Task;
use super::link::LinkRequestKind;
use crate::frame::LinkId;
use crate::time::{Duration, Instant};

/// Most groups of one link.
pub const GROUPS_MAX: usize = 1024;
/// Unsolicited reports of a new membership (RFC 3376 §8.1, RFC 3810 §9.1: robustness variable).
const ROBUSTNESS: u8 = 2;
/// Longest time between them (RFC 3376 §8.11, RFC 3810 §9.11).
const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);
/// The same for a link whose router speaks the older version (RFC 2236 §8.10, RFC 2710 §7.10).
const UNSOLICITED_INTERVAL_OLD: Duration = Duration::from_secs(10);
/// How long a router of the older version is remembered (RFC 3376 §8.12 with default values).
const OLD_QUERIER_TIME: Duration = Duration::from_secs(260);

/// One membership.
#[derive(Clone, Debug)]
pub struct Group {
    pub addr: IpAddr,
    /// Who joined: sockets, and the stack itself.
    refs: u32,
    /// Unsolicited reports still to be sent.
    left: u8,
    /// The last report was ours, so that a leave is ours too (RFC 2236 §3).
    reported: bool,
    at: Instant,
}

/// The memberships of one link.
#[derive(Clone, Debug)]
pub struct Groups {
    list: Vec<Group>,
    /// Until when a router of IGMPv2 (or v1) or MLDv1 is believed to be there.
    old4_until: Instant,
    old6_until: Instant,
}

impl Default for Groups {
    fn default() -> Groups {
        Groups { list: Vec::new(), old4_until: Instant::ZERO, old6_until: Instant::ZERO }
    }
}

impl Groups {
    fn find(&mut self, addr: IpAddr) -> Option<&mut Group> {
        self.list.iter_mut().find(|g| g.addr == addr)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.list.iter()
    }

    fn is_old(&self, v4: bool, now: Instant) -> bool {
        now < if v4 { self.old4_until } else { self.old6_until }
    }
}

/// Groups that every host is in and nobody reports (RFC 2236 §6, RFC 3810 §6).
fn is_silent(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(a) => a == ALL_SYSTEMS_V4,
        IpAddr::V6(a) => a == ALL_NODES_V6 || wire::addr::multicast_scope(a).is_some_and(|s| s <= 1),
    }
}

impl Net {
    /// Joins a group on a link once more. Errors: EINVAL (no group), ENODEV (no such link), ENOBUFS.
    pub fn join_group(&mut self, now: Instant, link: LinkId, group: IpAddr) -> Result<(), Errno> {
        if !group.is_multicast() {
            return Err(Errno::EINVAL);
        }
        let loopback = link == LinkId::LOOPBACK;
        let state = self.state_mut(link).ok_or(Errno::ENODEV)?;
        if let Some(known) = state.groups.find(group) {
            known.refs += 1;
            return Ok(());
        }
        if state.groups.list.len() >= GROUPS_MAX {
            return Err(Errno::ENOBUFS);
        }
        let left = if is_silent(group) || loopback { 0 } else { ROBUSTNESS };
        state.groups.list.push(Group { addr: group, refs: 1, left, reported: false, at: Instant::FAR });
        if !loopback {
            self.tell_filter(link);
            self.report_next(now, link, group);
        }
        Ok(())
    }

    /// Undoes one join. Errors: EADDRNOTAVAIL (not a member), ENODEV.
    pub fn leave_group(&mut self, now: Instant, link: LinkId, group: IpAddr) -> Result<(), Errno> {
        let state =
            self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut).ok_or(Errno::ENODEV)?;
        let place = state.groups.list.iter().position(|g| g.addr == group).ok_or(Errno::EADDRNOTAVAIL)?;
        let known = &mut state.groups.list[place];
        known.refs -= 1;
        if known.refs > 0 {
            return Ok(());
        }
        let mut gone = state.groups.list.swap_remove(place);
        self.agenda.set(&mut gone.at, Instant::FAR, Task::Report(link, group));
        if link != LinkId::LOOPBACK {
            self.tell_filter(link);
            if !is_silent(group) {
                self.send_leave(now, link, group, gone.reported);
            }
        }
        Ok(())
    }

    /// True when packets to `group` on `link` are for us.
    pub fn is_member(&self, link: LinkId, group: IpAddr) -> bool {
        let silent = match group {
            IpAddr::V4(a) => a == ALL_SYSTEMS_V4,
            IpAddr::V6(a) => a == ALL_NODES_V6 || (self.config.forwards(false) && a == wire::addr::ALL_ROUTERS_V6),
        };
        silent || self.state(link).is_some_and(|s| s.groups.list.iter().any(|g| g.addr == group))
    }

    /// The memberships of a link: (group, how often joined).
    pub fn groups(&self, link: LinkId) -> impl Iterator<Item = (IpAddr, u32)> {
        self.state(link).into_iter().flat_map(|s| s.groups.iter()).map(|g| (g.addr, g.refs))
    }

    /// Tells the driver which group stations to let in.
    pub(super) fn tell_filter(&mut self, link: LinkId) {
        let Some(state) = self.state(link) else { return };
        let mut macs: Vec<MacAddr> = state.groups.list.iter().map(|g| group_mac(g.addr)).collect();
        macs.push(group_mac(ALL_SYSTEMS_V4.into()));
        if self.ipv6 {
            macs.push(group_mac(ALL_NODES_V6.into()));
        }
        macs.sort_unstable();
        macs.dedup();
        self.request(link, LinkRequestKind::Multicast(macs));
    }

    /// Sends the next unsolicited report of a membership and plans the one after.
    fn report_next(&mut self, now: Instant, link: LinkId, group: IpAddr) {
        if !self.link_ready(link) {
            return;
        }
        let jitter = self.random.below(1 << 20);
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        let old = state.groups.is_old(group.is_ipv4(), now);
        let Some(known) = state.groups.find(group) else { return };
        if known.left == 0 {
            return;
        }
        known.left -= 1;
        known.reported = true;
        if known.left > 0 {
            let interval = if old { UNSOLICITED_INTERVAL_OLD } else { UNSOLICITED_INTERVAL };
            let wait = Duration::from_micros((interval.as_micros() as u64 * jitter) >> 20);
            self.agenda.set(&mut known.at, now + wait, Task::Report(link, group));
        }
        self.send_report(now, link, group, old);
    }

    /// `Task::Report`.
    pub(super) fn report_passed(&mut self, now: Instant, link: LinkId, group: IpAddr) {
        let Some(state) = self.state_mut(link) else { return };
        let old = state.groups.is_old(group.is_ipv4(), now);
        let Some(known) = state.groups.find(group) else { return };
        known.at = Instant::FAR;
        if known.left > 0 {
            self.report_next(now, link, group);
        } else {
            known.reported = true;
            self.send_report(now, link, group, old);
        }
    }

    /// A router asks: report within `max`, each group at a time of its own (RFC 2236 §3, RFC 3376
    /// §5.2, RFC 3810 §6.2). `of` is the unspecified address for all groups.
    pub(super) fn queried(&mut self, now: Instant, link: LinkId, of: IpAddr, max: Duration, old: bool) {
        let v4 = of.is_ipv4();
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        if old {
            let until = now + OLD_QUERIER_TIME;
            *(if v4 { &mut state.groups.old4_until } else { &mut state.groups.old6_until }) = until;
        }
        for group in &mut state.groups.list {
            if group.addr.is_ipv4() != v4 || is_silent(group.addr) || !(of.is_unspecified() || group.addr == of) {
                continue;
            }
            let wait = Duration::from_micros(self.random.below(max.as_micros() as u64 + 1));
            if group.at > now + wait {
                self.agenda.set(&mut group.at, now + wait, Task::Report(link, group.addr));
            }
        }
    }

    /// Another member reported a group (the older versions): ours need not (RFC 2236 §3).
    pub(super) fn report_heard(&mut self, link: LinkId, group: IpAddr, now: Instant) {
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        if !state.groups.is_old(group.is_ipv4(), now) {
            return;
        }
        if let Some(known) = state.groups.find(group) {
            self.agenda.set(&mut known.at, Instant::FAR, Task::Report(link, group));
            known.left = 0;
            known.reported = false;
        }
    }

    /// A link came up: its routers know nothing of us.
    pub(super) fn report_all_groups(&mut self, now: Instant, link: LinkId) {
        let Some(state) = self.state_mut(link) else { return };
        let mut groups = Vec::new();
        for group in &mut state.groups.list {
            if !is_silent(group.addr) {
                group.left = ROBUSTNESS;
                groups.push(group.addr);
            }
        }
        self.tell_filter(link);
        for group in groups {
            self.report_next(now, link, group);
        }
    }

    /// The link is going away.
    pub(super) fn drop_memberships(&mut self, link: LinkId) {
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        for mut group in state.groups.list.drain(..) {
            self.agenda.set(&mut group.at, Instant::FAR, Task::Report(link, group.addr));
        }
    }

    fn send_report(&mut self, now: Instant, link: LinkId, group: IpAddr, old: bool) {
        match group {
            IpAddr::V4(group) => self.igmp_report(now, link, group, old),
            IpAddr::V6(group) => self.mld_report(now, link, group, old),
        }
    }

    fn send_leave(&mut self, now: Instant, link: LinkId, group: IpAddr, reported: bool) {
        if !self.link_ready(link) {
            return;
        }
        let old = self.state(link).is_some_and(|s| s.groups.is_old(group.is_ipv4(), now));
        if old && !reported {
            return;
        }
        match group {
            IpAddr::V4(group) => self.igmp_leave(now, link, group, old),
            IpAddr::V6(group) => self.mld_leave(now, link, group, old),
        }
    }
}
