//! ARP (RFC 826) with the conflict rules of RFC 5227.

use core::net::{IpAddr, Ipv4Addr};

use wire::MacAddr;
use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::{ETHERTYPE_ARP, EthernetHeader};

use super::cache::{Advert, Expiry, News, Solicit};
use crate::frame::LinkId;
use crate::net::link::{ConfigEvent, iff};
use crate::net::{NeighbourView, Net};
use crate::time::Instant;

impl Net {
    pub(in crate::net) fn arp_input(&mut self, now: Instant, link: LinkId, payload: &[u8], to_group: bool) {
        let arp = &mut self.counters.arp;
        arp.received += 1;
        let Ok(packet) = ArpPacket::parse(payload) else {
            arp.malformed += 1;
            return;
        };
        let Some(config) = self.config.link(link) else { return };
        if config.flags() & iff::NOARP != 0 {
            return;
        }
        match packet.op {
            ArpOp::Request => arp.request_received += 1,
            ArpOp::Reply => arp.reply_received += 1,
            ArpOp::Other(_) => {
                arp.malformed += 1;
                return;
            }
        }
        if packet.sender_mac == config.mac {
            return; // our own, come back
        }
        if packet.sender_mac.is_multicast() || packet.sender_mac == MacAddr::ZERO {
            arp.broadcast_sender += 1;
            return;
        }
        let sender = packet.sender_ip;
        if wire::addr::is_invalid_source_v4(sender) || sender.is_loopback() || self.config.is_broadcast(sender.into()) {
            arp.bad_source += 1;
            return;
        }
        if self.config.address(link, sender.into()).is_some() {
            self.address_conflict(now, link, &packet);
            return;
        }
        let for_us = self.config.address(link, packet.target_ip.into()).is_some_and(|a| a.is_usable());
        // RFC 826: the merge comes first; an entry is made only for who asks us. A probe's sender has
        // no address yet (RFC 5227 §2.1.1).
        if !sender.is_unspecified() {
            let here = config
                .addresses
                .iter()
                .any(|a| a.addr.is_ipv4() && crate::net::route::same_network(a.addr, sender.into(), a.prefix_len));
            if for_us || here {
                self.arp_learn(now, link, &packet, for_us, to_group);
            } else {
                self.counters.arp.not_local += 1;
            }
        }
        if packet.op == ArpOp::Request && for_us {
            self.counters.arp.reply_sent += 1;
            self.arp_send(link, ArpOp::Reply, packet.target_ip, packet.sender_mac, sender, packet.sender_mac);
        }
    }

    fn arp_learn(&mut self, now: Instant, link: LinkId, packet: &ArpPacket, for_us: bool, to_group: bool) {
        let (addr, mac) = (IpAddr::V4(packet.sender_ip), packet.sender_mac);
        let Some(state) = self.states.get((link.0 as usize).wrapping_sub(1)).and_then(Option::as_ref) else { return };
        let timing = state.timing4;
        let news = if packet.op == ArpOp::Reply && for_us && !to_group {
            let advert = Advert { mac: Some(mac), solicited: true, overrides: true, router: None };
            self.neighbours.advertised(now, link, addr, advert, &timing, &mut self.agenda)
        } else {
            let create = for_us && packet.op == ArpOp::Request;
            self.neighbours.hear(now, link, addr, mac, create, &mut self.agenda)
        };
        self.neighbour_news(news, true);
    }

    /// Sends on what waited, and counts.
    pub(in crate::net) fn neighbour_news(&mut self, news: News, v4: bool) {
        if v4 {
            self.counters.arp.updates += u64::from(news.changed);
            self.counters.arp.overwrite_permanent += u64::from(news.refused);
        }
        if let Some((mac, queue)) = news.release {
            self.release(mac, queue);
        }
    }

    /// Another station says that it has our address (RFC 5227 §2.4 b): we defend it by announcing it
    /// again, not more often than the announcements take, and the operator is told.
    fn address_conflict(&mut self, now: Instant, link: LinkId, packet: &ArpPacket) {
        self.counters.arp.duplicate += 1;
        let name = self.link_name(link).unwrap_or_default().to_owned();
        let addr = IpAddr::V4(packet.sender_ip);
        self.event(ConfigEvent::Duplicate { link: name, addr, mac: packet.sender_mac });
        if !self.probations.iter().any(|p| p.link == link && p.addr == addr) {
            self.announce_start(now, link, addr);
        }
    }

    /// A gratuitous request: everyone who has us in a cache takes it in (RFC 5227 §2.3).
    pub(in crate::net) fn arp_announce(&mut self, _now: Instant, link: LinkId, addr: Ipv4Addr) {
        if self.config.link(link).is_some_and(|l| l.flags() & iff::NOARP == 0) {
            self.counters.arp.announce_sent += 1;
            self.arp_send(link, ArpOp::Request, addr, MacAddr::ZERO, addr, MacAddr::BROADCAST);
        }
    }

    pub(in crate::net) fn arp_request(&mut self, link: LinkId, target: Ipv4Addr, unicast: Option<MacAddr>) {
        let Some(sender) = self.arp_source(link, target) else { return };
        self.counters.arp.request_sent += 1;
        self.arp_send(link, ArpOp::Request, sender, MacAddr::ZERO, target, unicast.unwrap_or(MacAddr::BROADCAST));
    }

    /// The address to ask from: of the target's subnet, else the link's first.
    fn arp_source(&self, link: LinkId, target: Ipv4Addr) -> Option<Ipv4Addr> {
        let usable = || self.config.link(link).into_iter().flat_map(|l| &l.addresses).filter(|a| a.is_usable());
        let v4 = |a: IpAddr| if let IpAddr::V4(a) = a { Some(a) } else { None };
        usable()
            .find(|a| crate::net::route::same_network(a.addr, target.into(), a.prefix_len))
            .and_then(|a| v4(a.addr))
            .or_else(|| usable().find_map(|a| v4(a.addr)))
    }

    fn arp_send(
        &mut self,
        link: LinkId,
        op: ArpOp,
        sender_ip: Ipv4Addr,
        target_mac: MacAddr,
        target_ip: Ipv4Addr,
        to: MacAddr,
    ) {
        let Some(config) = self.config.link(link).filter(|l| l.is_ready() && l.flags() & iff::NOARP == 0) else {
            return;
        };
        let sender_mac = config.mac;
        self.counters.arp.sent += 1;
        let start = self.tx.arena.len();
        self.tx.arena.resize(start + EthernetHeader::LEN + ArpPacket::LEN, 0);
        EthernetHeader { dst: to, src: sender_mac, ethertype: ETHERTYPE_ARP }.emit(&mut self.tx.arena[start..]);
        ArpPacket { op, sender_mac, sender_ip, target_mac, target_ip }
            .emit(&mut self.tx.arena[start + EthernetHeader::LEN..]);
        self.push_control(link, start, to);
    }

    // --- both families ---------------------------------------------------------------------------

    /// Asks who has an address.
    pub(in crate::net) fn solicit(&mut self, now: Instant, ask: Solicit) {
        match ask.addr {
            IpAddr::V4(target) => self.arp_request(ask.link, target, ask.unicast),
            IpAddr::V6(target) => self.ndp_solicit(now, ask.link, target, ask.unicast),
        }
    }

    /// `Task::Neighbour`.
    pub(in crate::net) fn neighbour_passed(&mut self, now: Instant, index: u32) {
        let Some((link, addr)) = self.neighbours.link_of(index) else { return };
        let Some(state) = self.states.get((link.0 as usize).wrapping_sub(1)).and_then(Option::as_ref) else { return };
        let timing = *state.timing(addr);
        match self.neighbours.expire(now, index, &timing, &mut self.agenda) {
            Expiry::Nothing => {}
            Expiry::Ask(ask) => self.solicit(now, ask),
            Expiry::Failed(link, addr, queue) => {
                let dropped = queue.len() as u64;
                if addr.is_ipv4() {
                    self.counters.arp.dropped_failed += dropped;
                } else {
                    self.counters.icmp6.dropped_failed += dropped;
                }
                self.router_unreachable(link, addr);
                for packet in queue {
                    self.neighbour_unreachable(now, link, &packet);
                }
            }
        }
    }

    /// The transport saw forward progress: the neighbour is reachable (RFC 4861 §7.3.1).
    pub fn confirm_reachable(&mut self, now: Instant, path: &crate::net::Path) {
        if path.local || path.group {
            return;
        }
        let Some(state) = self.states.get((path.link.0 as usize).wrapping_sub(1)).and_then(Option::as_ref) else {
            return;
        };
        let timing = *state.timing(path.next_hop);
        self.neighbours.confirm(now, path.neighbour, path.link, path.next_hop, &timing, &mut self.agenda);
    }

    /// Every neighbour, in no particular but a repeatable order.
    pub fn neighbours(&self) -> impl Iterator<Item = NeighbourView> {
        self.neighbours.iter()
    }

    /// The operator's entry for a neighbour. Errors: ENXIO, EINVAL, ENOBUFS (table full).
    pub fn set_neighbour(
        &mut self,
        now: Instant,
        link: LinkId,
        addr: IpAddr,
        mac: MacAddr,
    ) -> Result<(), errno::Errno> {
        self.config.link(link).filter(|l| !l.is_loopback()).ok_or(errno::Errno::ENXIO)?;
        if self.config.is_group(addr) || addr.is_unspecified() || mac.is_multicast() {
            return Err(errno::Errno::EINVAL);
        }
        let news =
            self.neighbours.set_permanent(now, link, addr, mac, &mut self.agenda).ok_or(errno::Errno::ENOBUFS)?;
        self.neighbour_news(news, addr.is_ipv4());
        Ok(())
    }

    /// Errors: ESRCH. `link` `None`: on whichever it is.
    pub fn delete_neighbour(&mut self, now: Instant, link: Option<LinkId>, addr: IpAddr) -> Result<(), errno::Errno> {
        let _ = now;
        let link = link
            .or_else(|| self.neighbours.iter().find(|n| n.addr == addr).map(|n| n.link))
            .ok_or(errno::Errno::ESRCH)?;
        if self.neighbours.delete(link, addr, &mut self.agenda) { Ok(()) } else { Err(errno::Errno::ESRCH) }
    }
}
