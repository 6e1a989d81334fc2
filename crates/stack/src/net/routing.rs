//! Finding the way to a destination, and the operator's changes to routes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use errno::Errno;
use hashbrown::HashMap;

use super::address::needs_scope;
use super::agenda::Task;
use super::link::{LOOPBACK_MTU, Link};
use super::route::{RouteEntry, network, rtf};
use super::source;
use super::{Net, Path};
use crate::frame::{LinkId, Offloads};
use crate::random::HashKey;
use crate::time::Instant;

/// Destinations whose path MTU is remembered; the one learned first goes first.
pub const PATH_MTU_MAX: usize = 4096;
/// How long it is remembered (RFC 8201 §5.3).
const PATH_MTU_LIFE: Duration = Duration::from_secs(600);

/// A route to be added.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    pub dst: IpAddr,
    pub prefix_len: u8,
    pub gateway: Option<IpAddr>,
    /// `None`: the link on which the gateway is.
    pub link: Option<LinkId>,
    /// [`rtf`] bits: REJECT, BLACKHOLE, STATIC count.
    pub flags: u32,
    pub mtu: Option<u32>,
    pub source: Option<IpAddr>,
}

/// Path MTUs learned from ICMP.
#[derive(Debug)]
pub struct PathMtus {
    map: HashMap<IpAddr, (u32, Instant), HashKey>,
    /// In order of learning.
    order: std::collections::VecDeque<(Instant, IpAddr)>,
    pub(super) at: Instant,
    /// Counts changes, so that paths look again.
    pub(super) generation: u64,
}

impl PathMtus {
    pub fn new(key: HashKey) -> PathMtus {
        PathMtus { map: HashMap::with_hasher(key), order: Default::default(), at: Instant::FAR, generation: 0 }
    }
}

impl Net {
    /// What `Path.generation` is compared with.
    pub(super) fn generation(&self) -> u64 {
        self.config.generation + self.path_mtus.generation
    }

    /// Finds the way to `dst`, choosing a source address (RFC 6724) unless one is given. `bound`: the
    /// link of SO_BINDTODEVICE or of a scope id.
    ///
    /// Errors: ENETUNREACH (no route), EHOSTUNREACH (reject route), EADDRNOTAVAIL (no usable source),
    /// ENETDOWN (link down), EINVAL (link-local without a scope).
    pub fn path(&self, dst: IpAddr, src: Option<IpAddr>, bound: Option<LinkId>) -> Result<Path, Errno> {
        if dst.is_ipv6() && !self.ipv6 {
            return Err(Errno::ENETUNREACH);
        }
        // As BSD and Linux have it, the unspecified address means this host.
        let dst = match dst {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        let src = src.filter(|s| !s.is_unspecified());
        if let Some(src) = src
            && (src.is_ipv4() != dst.is_ipv4() || !self.config.is_local(src))
        {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let here = match bound {
            Some(link) if needs_scope(dst) => self.config.is_local_on(dst, link),
            _ => self.config.is_local(dst),
        };
        if here {
            return Ok(self.local_path(dst, src.unwrap_or(dst), bound));
        }
        if dst.is_ipv6() && dst.is_multicast() {
            let IpAddr::V6(group) = dst else { return Err(Errno::EINVAL) };
            if group.octets()[1] & 15 <= 1 {
                return Ok(self.local_path(dst, src.unwrap_or(IpAddr::V6(Ipv6Addr::LOCALHOST)), bound));
            }
        }
        let (out, next_hop, route_mtu, preferred) = self.way(dst, bound)?;
        let link = self.config.link(out).ok_or(Errno::ENXIO)?;
        if !link.is_ready() {
            return Err(Errno::ENETDOWN);
        }
        let src = match src.or(preferred) {
            Some(src) => src,
            None => self.source_for(dst, next_hop, out)?,
        };
        if link.is_loopback() {
            return Ok(self.local_path(dst, src, bound));
        }
        let mut mtu = link.mtu.min(route_mtu.unwrap_or(u32::MAX));
        if dst.is_ipv6() {
            mtu = mtu.min(link.ra_mtu.unwrap_or(u32::MAX));
        }
        if let Some((learned, _)) = self.path_mtus.map.get(&dst) {
            mtu = mtu.min(*learned);
        }
        Ok(Path {
            src,
            dst,
            link: out,
            bound,
            mtu,
            offloads: link.offloads,
            local: false,
            group: self.config.is_group(dst),
            next_hop,
            generation: self.generation(),
            neighbour: None,
        })
    }

    fn local_path(&self, dst: IpAddr, src: IpAddr, bound: Option<LinkId>) -> Path {
        Path {
            src,
            dst,
            link: LinkId::LOOPBACK,
            bound,
            mtu: LOOPBACK_MTU,
            offloads: Offloads { tx_csum: true, tso4: true, tso6: true, uso: true, rx_csum: true, gro: true },
            local: true,
            group: self.config.is_group(dst),
            next_hop: dst,
            generation: self.generation(),
            neighbour: None,
        }
    }

    /// Link, next hop, the route's MTU and source for a destination that is not ourselves.
    #[allow(clippy::type_complexity)]
    fn way(&self, dst: IpAddr, bound: Option<LinkId>) -> Result<(LinkId, IpAddr, Option<u32>, Option<IpAddr>), Errno> {
        if self.config.is_group(dst) {
            let link = bound.or_else(|| self.config.group_link(dst)).ok_or(Errno::ENETUNREACH)?;
            return Ok((link, dst, None, None));
        }
        if needs_scope(dst) {
            // RFC 4007 §6: a scoped address means nothing without its zone.
            return Ok((bound.ok_or(Errno::EINVAL)?, dst, None, None));
        }
        let route = match self.config.route(dst, bound) {
            Some(route) => route,
            // A socket bound to a link may speak to anyone on it (SO_BINDTODEVICE, as Linux has it).
            None => return Ok((bound.ok_or(Errno::ENETUNREACH)?, dst, None, None)),
        };
        if route.flags & (rtf::REJECT | rtf::BLACKHOLE) != 0 {
            return Err(Errno::EHOSTUNREACH);
        }
        Ok((route.link, route.gateway.unwrap_or(dst), route.mtu, route.source.filter(|s| self.config.is_local(*s))))
    }

    fn source_for(&self, dst: IpAddr, next_hop: IpAddr, out: LinkId) -> Result<IpAddr, Errno> {
        if let Some(src) = source::select(
            dst,
            next_hop,
            out,
            self.config.addresses().filter(|(l, _)| *l != LinkId::LOOPBACK || *l == out),
        ) {
            return Ok(src);
        }
        // A host without an address asks for one from 0.0.0.0 (RFC 1122 §3.2.1.3: DHCP).
        if self.config.is_group(dst) && dst.is_ipv4() {
            return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        Err(Errno::EADDRNOTAVAIL)
    }

    /// Renews `path` if configuration has changed since; errors as `path`.
    pub fn refresh(&self, path: &mut Path) -> Result<(), Errno> {
        if path.generation != self.generation() {
            *path = self.path(path.dst, Some(path.src), path.bound)?;
        }
        Ok(())
    }

    /// Learns that packets of at most `mtu` bytes get through to `dst` (RFC 1191, 8201).
    pub fn learn_mtu(&mut self, now: Instant, dst: IpAddr, mtu: u32) {
        // RFC 8201 §4: never below the IPv6 minimum; for IPv4 not below what is sensible to believe
        // (RFC 1191 §3 has 68; smaller than 552 is an attack or a link nobody has).
        let mtu = mtu.max(if dst.is_ipv4() { 552 } else { 1280 });
        let current = self.path(dst, None, None).map_or(u32::MAX, |p| p.mtu);
        if mtu >= current {
            return;
        }
        let pmtu = &mut self.path_mtus;
        if pmtu.map.len() >= PATH_MTU_MAX && !pmtu.map.contains_key(&dst) {
            while let Some((at, oldest)) = pmtu.order.pop_front() {
                if pmtu.map.get(&oldest).is_some_and(|m| m.1 == at) {
                    pmtu.map.remove(&oldest);
                    break;
                }
            }
        }
        let expires = now + PATH_MTU_LIFE;
        pmtu.map.insert(dst, (mtu, expires));
        pmtu.order.push_back((expires, dst));
        while pmtu.order.len() > 2 * PATH_MTU_MAX {
            pmtu.order.pop_front();
        }
        pmtu.generation += 1;
        if pmtu.at == Instant::FAR {
            self.agenda.set(&mut self.path_mtus.at, expires, Task::PathMtu);
        }
        if dst.is_ipv4() {
            self.counters.icmp4.path_mtu += 1;
        } else {
            self.counters.icmp6.path_mtu += 1;
        }
    }

    /// `Task::PathMtu`: forgets what was learned long ago, so that a larger one is tried again.
    pub(super) fn path_mtus_passed(&mut self, now: Instant) {
        let pmtu = &mut self.path_mtus;
        pmtu.at = Instant::FAR;
        while let Some(&(at, dst)) = pmtu.order.front() {
            if at > now {
                self.agenda.set(&mut self.path_mtus.at, at, Task::PathMtu);
                return;
            }
            pmtu.order.pop_front();
            if pmtu.map.get(&dst).is_some_and(|m| m.1 <= now) {
                pmtu.map.remove(&dst);
                pmtu.generation += 1;
            }
        }
    }

    // --- the operator's routes -------------------------------------------------------------------

    /// Adds a route; with `change`, puts it in the place of one to the same prefix.
    ///
    /// Errors: EEXIST, ESRCH (`change` of none), ENETUNREACH (the gateway is on no link), EINVAL,
    /// ENOBUFS (table full), ENXIO (no such link).
    pub fn add_route(&mut self, now: Instant, spec: RouteSpec, change: bool) -> Result<(), Errno> {
        let _ = now;
        let width = if spec.dst.is_ipv4() { 32 } else { 128 };
        let family_differs = |a: Option<IpAddr>| a.is_some_and(|a| a.is_ipv4() != spec.dst.is_ipv4());
        if spec.prefix_len > width || family_differs(spec.gateway) || family_differs(spec.source) {
            return Err(Errno::EINVAL);
        }
        let refuses = spec.flags & (rtf::REJECT | rtf::BLACKHOLE) != 0;
        let link = match (spec.link, spec.gateway) {
            (Some(link), _) => self.config.link(link).map(|l| l.id).ok_or(Errno::ENXIO)?,
            (None, _) if refuses => LinkId::LOOPBACK,
            (None, Some(gateway)) if self.config.is_local(gateway) => {
                self.config.addresses().find(|(_, a)| a.addr == gateway).map_or(LinkId::LOOPBACK, |(l, _)| l)
            }
            (None, Some(gateway)) if needs_scope(gateway) => return Err(Errno::EINVAL),
            (None, Some(gateway)) => self
                .config
                .route(gateway, None)
                .filter(|r| r.gateway.is_none())
                .map(|r| r.link)
                .ok_or(Errno::ENETUNREACH)?,
            (None, None) => return Err(Errno::EINVAL),
        };
        let dst = network(spec.dst, spec.prefix_len);
        // A gateway that is one of our own addresses names its interface (the old BSD way).
        let gateway = spec.gateway.filter(|g| !refuses && !self.config.is_local(*g));
        let mut flags = rtf::UP | rtf::STATIC | (spec.flags & (rtf::REJECT | rtf::BLACKHOLE));
        flags |= if gateway.is_some() { rtf::GATEWAY } else { 0 };
        flags |= if spec.prefix_len == width { rtf::HOST } else { 0 };
        let route = RouteEntry {
            dst,
            prefix_len: spec.prefix_len,
            gateway,
            link,
            flags,
            mtu: spec.mtu,
            source: spec.source,
            expires: Instant::FAR,
            metric: 0,
        };
        let trie = self.config.routes(dst);
        let there = trie.exact(dst, spec.prefix_len).iter().any(|r| r.flags & rtf::CONNECTED == 0);
        if change && !there {
            return Err(Errno::ESRCH);
        }
        if !change
            && trie.exact(dst, spec.prefix_len).iter().any(|r| r.metric == 0 && (r.link == link || !needs_scope(dst)))
        {
            return Err(Errno::EEXIST);
        }
        if !change && self.config.routes4.len() + self.config.routes6.len() >= self.routes_max {
            return Err(Errno::ENOBUFS);
        }
        let added = self.change(|c| {
            let trie = c.routes_mut(dst);
            if change {
                trie.remove(dst, route.prefix_len, |r| r.flags & rtf::CONNECTED == 0);
            }
            trie.insert(route)
        });
        if added { Ok(()) } else { Err(Errno::EEXIST) }
    }

    /// Errors: ESRCH. Without a gateway or link any route to the prefix goes.
    pub fn delete_route(
        &mut self,
        now: Instant,
        dst: IpAddr,
        prefix_len: u8,
        gateway: Option<IpAddr>,
        link: Option<LinkId>,
    ) -> Result<(), Errno> {
        let _ = now;
        let dst = network(dst, prefix_len);
        let which = |r: &RouteEntry| gateway.is_none_or(|g| r.gateway == Some(g)) && link.is_none_or(|l| r.link == l);
        match self.remove_routes(dst, prefix_len, which) {
            0 => Err(Errno::ESRCH),
            _ => Ok(()),
        }
    }

    /// Takes every route through a gateway away (`route flush`), of one family or of both; gives
    /// back how many.
    pub fn flush_routes(&mut self, now: Instant, v4: bool, v6: bool) -> usize {
        let _ = now;
        let gone: Vec<RouteEntry> =
            self.routes().filter(|r| r.gateway.is_some() && if r.dst.is_ipv4() { v4 } else { v6 }).cloned().collect();
        gone.iter().map(|route| self.remove_routes(route.dst, route.prefix_len, |r| r == route)).sum()
    }

    pub(super) fn remove_routes_of(&mut self, link: LinkId) {
        let gone: Vec<RouteEntry> = self.routes().filter(|r| r.link == link).cloned().collect();
        for route in gone {
            self.remove_routes(route.dst, route.prefix_len, |r| r.link == link);
        }
    }

    /// Takes routes of a prefix away, with the timers of those that expire.
    pub(super) fn remove_routes(&mut self, dst: IpAddr, len: u8, which: impl Fn(&RouteEntry) -> bool) -> usize {
        for route in self.config.routes(dst).exact(dst, len).iter().filter(|r| which(r)) {
            let mut at = route.expires;
            self.agenda.set(&mut at, Instant::FAR, Task::Route(dst, len, route.link, route.gateway));
        }
        self.change(|c| c.routes_mut(dst).remove(dst, len, which))
    }

    /// `Task::Route`.
    pub(super) fn route_passed(&mut self, now: Instant, dst: IpAddr, len: u8, link: LinkId, gateway: Option<IpAddr>) {
        self.change(|c| {
            c.routes_mut(dst).remove(dst, len, |r| r.link == link && r.gateway == gateway && r.expires <= now)
        });
    }

    /// Every route, IPv4 first, in order of prefix.
    pub fn routes(&self) -> impl Iterator<Item = &RouteEntry> {
        self.config.routes4.iter().chain(self.config.routes6.iter())
    }

    /// The route that packets to `dst` take.
    pub fn lookup_route(&self, dst: IpAddr) -> Option<&RouteEntry> {
        self.config.route(dst, None)
    }

    pub fn set_sysctl(&mut self, name: &str, value: i64) -> Result<(), Errno> {
        self.change(|c| c.sysctls.set(name, value))
    }

    /// Calls `each` with every switch and its value.
    pub fn for_each_sysctl(&self, each: &mut dyn FnMut(&'static super::sysctl::SysctlInfo, i64)) {
        for (info, value) in self.config.sysctls.iter() {
            each(info, value);
        }
    }

    /// True when packets can go out on this link.
    pub fn is_ready(&self, link: LinkId) -> bool {
        self.config.link(link).is_some_and(Link::is_ready)
    }
}
