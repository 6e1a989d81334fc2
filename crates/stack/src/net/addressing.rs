//! The operator's changes to the addresses of links, and IPv4's announcements (RFC 5227).

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use errno::Errno;

use super::Net;
use super::address::{Address, AddressOrigin, AddressState};
use super::agenda::Task;
use super::link::{Link, MTU_MIN_V6, iff};
use super::route::{RouteEntry, network, rtf};
use super::sysctl::Sysctl;
use crate::frame::LinkId;
use crate::time::Instant;
use wire::Cidr;
use wire::addr::solicited_node;

/// Most addresses of one link.
pub const ADDRESSES_PER_LINK_MAX: usize = 1024;
/// RFC 5227 §1.1: ANNOUNCE_NUM, ANNOUNCE_INTERVAL.
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// An address under probation (IPv6) or being announced (IPv4).
#[derive(Clone, Debug)]
pub struct Probation {
    pub link: LinkId,
    pub addr: IpAddr,
    /// Probes or announcements still to be sent.
    pub left: u8,
    /// What our probes carry, to know them when they come back (RFC 7527).
    pub nonce: [u8; 6],
    pub at: Instant,
}

impl Net {
    /// Gives a link an address and switches the link on, as ifconfig(8) does. An IPv6 address is
    /// tentative until duplicate address detection has ended.
    ///
    /// Errors: ENXIO, EEXIST (this link has it already), EINVAL (bad length; a group or unspecified
    /// address; IPv6 on an MTU below 1280), EAFNOSUPPORT, ENOSPC (too many).
    pub fn add_address(
        &mut self,
        now: Instant,
        id: LinkId,
        addr: IpAddr,
        prefix_len: u8,
        broadcast: Option<Ipv4Addr>,
    ) -> Result<(), Errno> {
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        let width = if addr.is_ipv4() { 32 } else { 128 };
        let unusable =
            addr.is_unspecified() || addr.is_multicast() || matches!(addr, IpAddr::V4(a) if a.is_broadcast());
        if prefix_len > width || unusable || (addr.is_ipv6() && link.mtu < MTU_MIN_V6) {
            return Err(Errno::EINVAL);
        }
        if addr.is_ipv6() && !self.ipv6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        if link.addresses.iter().any(|a| a.addr == addr) {
            return Err(Errno::EEXIST);
        }
        if link.addresses.len() >= ADDRESSES_PER_LINK_MAX {
            return Err(Errno::ENOSPC);
        }
        let mut address = Address::new(addr, prefix_len, AddressOrigin::Manual);
        if let (IpAddr::V4(a), false) = (addr, link.is_loopback()) {
            address.broadcast = broadcast.or_else(|| Cidr { addr: a, prefix_len }.broadcast());
        }
        if !link.is_up() {
            self.set_admin_flags(now, id, iff::UP, 0)?;
        }
        self.insert_address(now, id, address);
        Ok(())
    }

    /// Puts an address in that was checked, with its route, group and probation.
    pub(super) fn insert_address(&mut self, now: Instant, id: LinkId, mut address: Address) {
        let Some(link) = self.config.link(id) else { return };
        let (addr, loopback, ready) = (address.addr, link.is_loopback(), link.is_ready());
        let probes = self.config.sysctls.value(Sysctl::Ip6DadCount);
        // RFC 4862 §5.4: every unicast address, unless probing is switched off.
        if addr.is_ipv6() && !loopback && probes > 0 {
            address.state = AddressState::Tentative;
        }
        let (lifetime, prefix_len) = (address.preferred_until.min(address.valid_until), address.prefix_len);
        // The subnet's own route; SLAAC prefixes bring theirs by the on-link flag instead.
        let connected = address.origin != AddressOrigin::Autoconf && prefix_len < if addr.is_ipv4() { 32 } else { 128 };
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.addresses.push(address);
            }
            c.index_addresses();
        });
        if connected {
            self.add_connected_route(id, addr, prefix_len);
        }
        self.set_lifetime(id, addr, lifetime);
        if loopback {
            return;
        }
        match addr {
            IpAddr::V4(_) if ready => self.announce_start(now, id, addr),
            IpAddr::V4(_) => {}
            IpAddr::V6(v6) => {
                // RFC 4862 §5.4.2: join before probing.
                let _ = self.join_group(now, id, IpAddr::V6(solicited_node(v6)));
                if ready && probes > 0 {
                    self.dad_start(now, id, addr);
                }
            }
        }
    }

    pub(super) fn add_connected_route(&mut self, id: LinkId, addr: IpAddr, prefix_len: u8) {
        let route = RouteEntry {
            dst: network(addr, prefix_len),
            prefix_len,
            gateway: None,
            link: id,
            flags: rtf::UP | rtf::CONNECTED,
            mtu: None,
            source: None,
            expires: Instant::FAR,
            metric: 0,
        };
        self.change(|c| c.routes_mut(addr).insert(route));
    }

    /// Errors: ENXIO, EADDRNOTAVAIL (the link does not have it).
    pub fn delete_address(&mut self, now: Instant, id: LinkId, addr: IpAddr) -> Result<(), Errno> {
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        let address = link.addresses.iter().find(|a| a.addr == addr).ok_or(Errno::EADDRNOTAVAIL)?.clone();
        self.set_lifetime(id, addr, Instant::FAR);
        self.probation_end(id, addr);
        let subnet = network(addr, address.prefix_len);
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.addresses.retain(|a| a.addr != addr);
            }
            c.index_addresses();
        });
        let shared = self.config.link(id).is_some_and(|l| {
            l.addresses.iter().any(|a| a.prefix_len == address.prefix_len && network(a.addr, a.prefix_len) == subnet)
        });
        if !shared && address.origin != AddressOrigin::Autoconf {
            self.change(|c| {
                c.routes_mut(addr).remove(subnet, address.prefix_len, |r| r.link == id && r.flags & rtf::CONNECTED != 0)
            });
        }
        if let (IpAddr::V6(v6), false) = (addr, id == LinkId::LOOPBACK) {
            let _ = self.leave_group(now, id, IpAddr::V6(solicited_node(v6)));
        }
        Ok(())
    }

    /// Announces an IPv4 address of ours (RFC 5227 §2.3), now and once more.
    pub(super) fn announce_start(&mut self, now: Instant, id: LinkId, addr: IpAddr) {
        if !self.config.link(id).is_some_and(|l| l.is_ready() && !l.is_loopback()) {
            return;
        }
        self.probation_end(id, addr);
        self.probations.push(Probation { link: id, addr, left: ANNOUNCE_NUM, nonce: [0; 6], at: Instant::FAR });
        self.announce_next(now, id, addr);
    }

    pub(super) fn announce_next(&mut self, now: Instant, id: LinkId, addr: IpAddr) {
        let IpAddr::V4(v4) = addr else { return };
        self.arp_announce(now, id, v4);
        let Some(p) = self.probations.iter_mut().find(|p| p.link == id && p.addr == addr) else { return };
        p.left -= 1;
        if p.left > 0 {
            self.agenda.set(&mut p.at, now + ANNOUNCE_INTERVAL, Task::Dad(id, addr));
        } else {
            self.probation_end(id, addr);
        }
    }

    pub(super) fn probation_end(&mut self, id: LinkId, addr: IpAddr) {
        if let Some(at) = self.probations.iter().position(|p| p.link == id && p.addr == addr) {
            let mut p = self.probations.swap_remove(at);
            self.agenda.set(&mut p.at, Instant::FAR, Task::Dad(id, addr));
        }
    }

    /// Sets when an address's state changes by time.
    pub(super) fn set_lifetime(&mut self, id: LinkId, addr: IpAddr, at: Instant) {
        let agenda = &mut self.agenda;
        let config = std::sync::Arc::make_mut(&mut self.config);
        if let Some(address) = config.link_mut(id).and_then(|l| l.addresses.iter_mut().find(|a| a.addr == addr)) {
            agenda.set(&mut address.lifetime_at, at, Task::Lifetime(id, addr));
        }
    }

    /// `Task::Lifetime`: an address grows deprecated or invalid (RFC 4862 §5.5.4).
    pub(super) fn lifetime_passed(&mut self, now: Instant, id: LinkId, addr: IpAddr) {
        let Some(address) = self.config.address(id, addr) else { return };
        let (preferred, valid) = (address.preferred_until, address.valid_until);
        self.change(|c| {
            if let Some(a) = c.link_mut(id).and_then(|l| l.addresses.iter_mut().find(|a| a.addr == addr)) {
                a.lifetime_at = Instant::FAR;
                if a.state == AddressState::Preferred && preferred <= now {
                    a.state = AddressState::Deprecated;
                }
            }
        });
        if valid <= now {
            let link = self.link_name(id).unwrap_or_default().to_owned();
            let _ = self.delete_address(now, id, addr);
            self.event(super::link::ConfigEvent::AddressExpired { link, addr });
        } else if preferred <= now {
            self.set_lifetime(id, addr, valid);
        } else {
            self.set_lifetime(id, addr, preferred.min(valid));
        }
    }

    /// True for an address of one of our interfaces (not tentative) or a loopback address.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.config.is_local(addr)
    }

    /// True when bind(2) may take it: unspecified, local, a group, or our broadcast address.
    pub fn may_bind(&self, addr: IpAddr) -> bool {
        addr.is_unspecified() || self.is_local(addr) || self.is_group(addr)
    }

    /// True for multicast and for broadcast addresses of our links.
    pub fn is_group(&self, addr: IpAddr) -> bool {
        self.config.is_group(addr)
    }

    /// The limited broadcast, or the broadcast address of one of our subnets.
    pub fn is_broadcast(&self, addr: IpAddr) -> bool {
        self.config.is_broadcast(addr)
    }

    /// True for an address that means nothing without a link (RFC 4007).
    pub fn needs_scope(&self, addr: IpAddr) -> bool {
        super::address::needs_scope(addr)
    }

    /// The link that packets to a group take when nobody says which.
    pub fn group_link(&self, group: IpAddr) -> Option<LinkId> {
        self.config.group_link(group)
    }

    pub(super) fn link_ready(&self, id: LinkId) -> bool {
        self.config.link(id).is_some_and(Link::is_ready)
    }
}
