//! Addresses that IPv6 gives itself: duplicate address detection and stateless autoconfiguration
//! (RFC 4862). What routers say is read in [`router`].

mod router;

use core::net::{IpAddr, Ipv6Addr};

use wire::MacAddr;
use wire::addr::solicited_node;
use wire::ndp::{NdpMessage, NdpOption, NdpOptions};

use super::Net;
use super::address::{Address, AddressOrigin, AddressState};
use super::addressing::Probation;
use super::agenda::Task;
use super::link::{ConfigEvent, MTU_MIN_V6};
use super::neighbour::ndp::HOP_LIMIT;
use super::sysctl::Sysctl;
use crate::frame::LinkId;
use crate::time::Instant;

pub use router::Resolver;

/// What a link has learned from its routers, and its solicitation of them.
#[derive(Clone, Debug)]
pub struct Autoconf {
    /// The hop limit that routers ask for.
    pub hop_limit: Option<u8>,
    /// Resolvers that routers named (RFC 8106).
    pub resolvers: Vec<Resolver>,
    solicits_left: u8,
    solicit_at: Instant,
}

impl Default for Autoconf {
    fn default() -> Autoconf {
        Autoconf { hop_limit: None, resolvers: Vec::new(), solicits_left: 0, solicit_at: Instant::FAR }
    }
}

impl Net {
    /// The link can be used: gives it its link-local address, probes what is tentative, and looks
    /// for routers.
    pub(super) fn autoconf_start(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.config.link(id) else { return };
        if !self.ipv6 || link.mtu < MTU_MIN_V6 {
            return;
        }
        let (mac, has_link_local) =
            (link.mac, link.addresses.iter().any(|a| matches!(a.addr, IpAddr::V6(v6) if v6.is_unicast_link_local())));
        let tentative: Vec<IpAddr> =
            link.addresses.iter().filter(|a| a.state == AddressState::Tentative).map(|a| a.addr).collect();
        if !has_link_local && self.config.is_on(Sysctl::Ip6AutoLinkLocal) {
            let addr = IpAddr::V6(wire::addr::link_local_from_mac(mac));
            self.insert_address(now, id, Address::new(addr, 64, AddressOrigin::LinkLocal));
        }
        for addr in tentative {
            self.dad_start(now, id, addr);
        }
        self.look_for_routers(now, id);
    }

    /// The link cannot be used any more.
    pub(super) fn autoconf_stop(&mut self, _now: Instant, id: LinkId) {
        let probed: Vec<IpAddr> = self.probations.iter().filter(|p| p.link == id).map(|p| p.addr).collect();
        for addr in probed {
            self.probation_end(id, addr);
        }
        self.stop_soliciting(id);
    }

    /// RFC 4862 §5.4: asks whether somebody has an address before it is used. The random delay that
    /// §5.4.2 suggests for the first message of an interface is left out: links here come up one by
    /// one, not all of a network's at once.
    pub(super) fn dad_start(&mut self, now: Instant, link: LinkId, addr: IpAddr) {
        let count = self.config.sysctls.value(Sysctl::Ip6DadCount) as u8;
        let mut nonce = [0; 6];
        nonce.copy_from_slice(&self.random.next_u64().to_be_bytes()[..6]);
        self.probation_end(link, addr);
        self.probations.push(Probation { link, addr, left: count, nonce, at: Instant::FAR });
        self.probation_passed(now, link, addr);
    }

    /// `Task::Dad`: the next probe, or the end of the wait for an answer to the last.
    pub(super) fn probation_passed(&mut self, now: Instant, link: LinkId, addr: IpAddr) {
        let IpAddr::V6(target) = addr else {
            if let Some(p) = self.probations.iter_mut().find(|p| p.link == link && p.addr == addr) {
                p.at = Instant::FAR;
            }
            return self.announce_next(now, link, addr);
        };
        let Some(retrans) = self.state(link).map(|s| s.timing6.retrans) else { return };
        let Some(p) = self.probations.iter_mut().find(|p| p.link == link && p.addr == addr) else { return };
        p.at = Instant::FAR;
        if p.left == 0 {
            self.probation_end(link, addr);
            self.address_verified(now, link, addr);
            return;
        }
        p.left -= 1;
        let nonce = p.nonce;
        self.agenda.set(&mut p.at, now + retrans, Task::Dad(link, addr));
        let dst = solicited_node(target);
        let mut buf = [0; 32];
        let n = NdpMessage::NeighborSolicit { target }.emit(
            &[NdpOption::Nonce(&nonce)],
            Ipv6Addr::UNSPECIFIED,
            dst,
            &mut buf,
        );
        self.counters.icmp6.ns_sent += 1;
        self.send_discovery(now, link, Ipv6Addr::UNSPECIFIED, dst, HOP_LIMIT, &mut buf[..n]);
    }

    /// Nobody else has it.
    fn address_verified(&mut self, now: Instant, link: LinkId, addr: IpAddr) {
        self.change(|c| {
            if let Some(a) = c.link_mut(link).and_then(|l| l.addresses.iter_mut().find(|a| a.addr == addr)) {
                a.state = if a.preferred_until > now { AddressState::Preferred } else { AddressState::Deprecated };
            }
            c.index_addresses();
        });
        if matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local()) {
            self.solicit_routers(now, link);
        }
    }

    /// RFC 4862 §5.4.5: the address is not to be used.
    pub(super) fn dad_failed(&mut self, _now: Instant, link: LinkId, addr: IpAddr, mac: Option<MacAddr>) {
        if !self.probations.iter().any(|p| p.link == link && p.addr == addr) {
            return;
        }
        self.probation_end(link, addr);
        self.counters.icmp6.duplicates += 1;
        self.change(|c| {
            if let Some(a) = c.link_mut(link).and_then(|l| l.addresses.iter_mut().find(|a| a.addr == addr)) {
                a.state = AddressState::Duplicated;
            }
            c.index_addresses();
        });
        let name = self.link_name(link).unwrap_or_default().to_owned();
        self.event(ConfigEvent::Duplicate { link: name, addr, mac: mac.unwrap_or_default() });
    }

    /// True for a probe with the nonce of ours: it came back by a loop of the link.
    pub(super) fn is_own_probe(&self, link: LinkId, target: Ipv6Addr, options: &NdpOptions<'_>) -> bool {
        let Some(p) = self.probations.iter().find(|p| p.link == link && p.addr == IpAddr::V6(target)) else {
            return false;
        };
        options.clone().any(|o| matches!(o, Ok(NdpOption::Nonce(nonce)) if nonce == p.nonce))
    }
}
