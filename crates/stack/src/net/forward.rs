//! Passing packets on between links (RFC 1812 §5, RFC 4443 §3, RFC 8200 §3), and what routers tell
//! us: redirects (RFC 792, RFC 4861 §8).

use core::net::IpAddr;

use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;

use super::icmp::Trouble;
use super::input::Arrival;
use super::route::{RouteEntry, rtf, same_network};
use super::{Inbound, Net};
use crate::frame::{Gso, GsoKind, LinkId, Payload, RxCsum, TxCsum, TxFrame};
use crate::time::{Duration, Instant};

/// How long a redirect is obeyed.
const REDIRECT_LIFE: Duration = Duration::from_secs(600);

impl Net {
    /// A packet that is not for us. `packet` are its bytes, from the IP header on.
    pub(super) fn forward(&mut self, now: Instant, arrival: &Arrival, inbound: &Inbound<'_>, packet: &[u8]) {
        let v4 = inbound.dst.is_ipv4();
        if arrival.looped || !self.config.forwards(v4) || !forwardable(inbound) {
            self.count_not_forwardable(v4);
            return;
        }
        if inbound.ttl <= 1 {
            self.count_not_forwardable(v4);
            self.icmp_error(now, inbound, Trouble::TtlExceeded);
            return;
        }
        let route = match self.config.route(inbound.dst, None) {
            Some(route) if route.flags & rtf::BLACKHOLE != 0 => return self.count_not_forwardable(v4),
            Some(route) if route.flags & rtf::REJECT == 0 => {
                (route.link, route.gateway.unwrap_or(inbound.dst), route.mtu)
            }
            _ => {
                self.count_not_forwardable(v4);
                self.icmp_error(now, inbound, Trouble::NoRoute);
                return;
            }
        };
        let (out, next_hop, route_mtu) = route;
        let Some(link) = self.config.link(out).filter(|l| l.is_ready() && !l.is_loopback()) else {
            self.count_not_forwardable(v4);
            self.icmp_error(now, inbound, Trouble::HostUnreachable);
            return;
        };
        let (mac, offloads, mtu) = (link.mac, link.offloads, link.mtu.min(route_mtu.unwrap_or(u32::MAX)));
        let len = inbound.header.len() + inbound.data.len();
        let gso = match inbound.gso_size {
            Some(size) if inbound.data.len() > usize::from(size) => Some(size),
            _ => None,
        };
        let transport_len = transport_header_len(inbound);
        let whole_len = gso.map_or(len, |size| inbound.header.len() + transport_len + usize::from(size));
        if whole_len > mtu as usize {
            let may_cut = v4 && gso.is_none() && Ipv4Header::parse_header(&inbound.header).is_ok_and(|(h, _)| !h.df);
            if !may_cut {
                self.count_not_forwardable(v4);
                self.icmp_error(now, inbound, Trouble::TooBig(mtu));
                return;
            }
            return self.forward_pieces(now, out, next_hop, mtu as usize, inbound);
        }
        let kind = match (inbound.proto, v4) {
            (wire::proto::TCP, true) if offloads.tso4 => Some(GsoKind::Tcp4),
            (wire::proto::TCP, false) if offloads.tso6 => Some(GsoKind::Tcp6),
            (wire::proto::UDP, _) if offloads.uso => Some(GsoKind::Udp),
            _ => None,
        };
        if gso.is_some() && (kind.is_none() || !offloads.tx_csum) {
            // A link that merges feeds one that cannot cut.
            self.count_not_forwardable(v4);
            return;
        }
        if self.room_in_batch(inbound.dst).is_err() {
            return;
        }
        let start = self.tx.arena.len();
        let ethertype = if v4 { wire::ethernet::ETHERTYPE_IPV4 } else { wire::ethernet::ETHERTYPE_IPV6 };
        self.tx.arena.resize(start + wire::ethernet::EthernetHeader::LEN, 0);
        wire::ethernet::EthernetHeader { dst: wire::MacAddr::ZERO, src: mac, ethertype }
            .emit(&mut self.tx.arena[start..]);
        let ip_at = self.tx.arena.len();
        self.tx.arena.extend_from_slice(&packet[..len]);
        decrement_ttl(&mut self.tx.arena[ip_at..], v4);
        let mut csum = None;
        let header_len = ip_at - start + inbound.header.len() + transport_len;
        if gso.is_some() || (arrival.csum == RxCsum::Good && offloads.tx_csum) {
            csum = self.checksum_again(ip_at, inbound, start);
        }
        let gso = gso.zip(kind).map(|(size, kind)| Gso { kind, size, header_len: header_len as u16 });
        let (header_len, inline) = match gso {
            Some(_) => (header_len, self.tx.arena.len() - start - header_len),
            None => (ip_at - start + inbound.header.len(), inbound.data.len()),
        };
        let frame = TxFrame {
            link: out,
            start: start as u32,
            header_len: header_len as u32,
            payload: Payload::Inline(inline as u32),
            csum,
            gso,
        };
        match self.finish_frame(now, next_hop, false, &mut None, frame) {
            Ok(()) if v4 => self.counters.ip4.forwarded += 1,
            Ok(()) => self.counters.ip6.forwarded += 1,
            Err(errno::Errno::EHOSTUNREACH) => self.icmp_error(now, inbound, Trouble::HostUnreachable),
            Err(_) => self.count_not_forwardable(v4),
        }
    }

    /// A packet whose checksum a link vouched for, not one that stands in it: the next link (or we)
    /// write it anew.
    fn checksum_again(&mut self, ip_at: usize, inbound: &Inbound<'_>, start: usize) -> Option<TxCsum> {
        let offset = match inbound.proto {
            wire::proto::TCP => 16,
            wire::proto::UDP => 6,
            _ => return None,
        };
        let at = ip_at + inbound.header.len();
        let field = self.tx.arena.get_mut(at + offset..at + offset + 2)?;
        // UDP without a checksum stays so.
        if inbound.proto == wire::proto::UDP && field == [0, 0] {
            return None;
        }
        let pseudo = wire::checksum::pseudo(inbound.src, inbound.dst, inbound.proto, inbound.data.len() as u32);
        field.copy_from_slice(&wire::checksum::fold(pseudo).to_be_bytes());
        Some(TxCsum { start: (at - start) as u16, offset: offset as u16 })
    }

    /// RFC 791 §2.3: cuts a packet on its way.
    fn forward_pieces(&mut self, now: Instant, out: LinkId, next_hop: IpAddr, mtu: usize, inbound: &Inbound<'_>) {
        let Ok((header, options)) = Ipv4Header::parse_header(&inbound.header) else { return };
        // A fragment beyond the end of any datagram (RFC 791 §3.1): its pieces would begin anew at offset 0.
        if usize::from(header.frag_offset) + inbound.data.len() > usize::from(u16::MAX) {
            return self.count_not_forwardable(true);
        }
        let Some(mac) = self.config.link(out).map(|l| l.mac) else { return };
        let piece = (mtu.saturating_sub(inbound.header.len()) & !7).max(8);
        for (n, data) in inbound.data.chunks(piece).enumerate() {
            if self.room_in_batch(inbound.dst).is_err() {
                return;
            }
            let start = self.tx.arena.len();
            let head = wire::ethernet::EthernetHeader::LEN + inbound.header.len();
            self.tx.arena.resize(start + head, 0);
            wire::ethernet::EthernetHeader {
                dst: wire::MacAddr::ZERO,
                src: mac,
                ethertype: wire::ethernet::ETHERTYPE_IPV4,
            }
            .emit(&mut self.tx.arena[start..]);
            let last = (n + 1) * piece >= inbound.data.len();
            let cut = Ipv4Header {
                total_len: (inbound.header.len() + data.len()) as u16,
                mf: header.mf || !last,
                frag_offset: header.frag_offset + (n * piece) as u16,
                ttl: header.ttl - 1,
                ..header
            };
            if cut
                .emit_with_options(options, &mut self.tx.arena[start + wire::ethernet::EthernetHeader::LEN..])
                .is_err()
            {
                self.tx.arena.truncate(start);
                return;
            }
            self.tx.arena.extend_from_slice(data);
            let frame = TxFrame {
                link: out,
                start: start as u32,
                header_len: head as u32,
                payload: Payload::Inline(data.len() as u32),
                csum: None,
                gso: None,
            };
            if self.finish_frame(now, next_hop, false, &mut None, frame).is_err() {
                self.count_not_forwardable(true);
                return;
            }
            self.counters.ip4.fragments_created += 1;
        }
        self.counters.ip4.fragmented += 1;
        self.counters.ip4.forwarded += 1;
    }

    fn count_not_forwardable(&mut self, v4: bool) {
        if v4 {
            self.counters.ip4.not_forwardable += 1;
        } else {
            self.counters.ip6.not_forwardable += 1;
        }
    }

    /// A router names a better first hop for `dst`. True when it was believed.
    pub(super) fn redirect(&mut self, now: Instant, link: LinkId, from: IpAddr, dst: IpAddr, target: IpAddr) -> bool {
        // A router routes by itself (RFC 1812 §4.3.3.2, RFC 4861 §8.3).
        if self.config.forwards(dst.is_ipv4())
            || self.config.is_group(target)
            || self.config.is_local(target)
            || self.config.is_group(dst)
        {
            return false;
        }
        let Some(route) = self.config.route(dst, Some(link)) else { return false };
        if route.gateway != Some(from) {
            return false;
        }
        let on_link = match target {
            IpAddr::V4(_) => self
                .config
                .link(link)
                .is_some_and(|l| l.addresses.iter().any(|a| same_network(a.addr, target, a.prefix_len))),
            // RFC 4861 §8.1: link-local, or the destination itself.
            IpAddr::V6(t) => t.is_unicast_link_local() || target == dst,
        };
        if !on_link {
            return false;
        }
        let prefix_len = if dst.is_ipv4() { 32 } else { 128 };
        let gateway = (target != dst).then_some(target);
        let mut flags = rtf::UP | rtf::HOST | rtf::DYNAMIC;
        flags |= if gateway.is_some() { rtf::GATEWAY } else { 0 };
        self.remove_routes(dst, prefix_len, |r| r.flags & rtf::DYNAMIC != 0);
        let route = RouteEntry {
            dst,
            prefix_len,
            gateway,
            link,
            flags,
            mtu: None,
            source: None,
            expires: now + REDIRECT_LIFE,
            metric: 0,
        };
        self.add_expiring_route(route)
    }

    /// Adds a route that goes away by itself.
    pub(super) fn add_expiring_route(&mut self, route: RouteEntry) -> bool {
        if self.config.routes4.len() + self.config.routes6.len() >= self.routes_max {
            return false;
        }
        let (dst, len, link, gateway, expires) =
            (route.dst, route.prefix_len, route.link, route.gateway, route.expires);
        if !self.change(|c| c.routes_mut(dst).insert(route)) {
            return false;
        }
        let mut at = Instant::FAR;
        self.agenda.set(&mut at, expires, super::agenda::Task::Route(dst, len, link, gateway));
        true
    }
}

/// Addresses that no router passes on (RFC 1812 §5.3.7, RFC 4291 §2.5.6).
fn forwardable(packet: &Inbound<'_>) -> bool {
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            !src.is_unspecified()
                && !dst.is_multicast()
                && !src.is_link_local()
                && !dst.is_link_local()
                && dst.octets()[0] < 240
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            !src.is_unspecified() && !dst.is_multicast() && !src.is_unicast_link_local() && !dst.is_unicast_link_local()
        }
        _ => false,
    }
}

fn transport_header_len(packet: &Inbound<'_>) -> usize {
    match packet.proto {
        wire::proto::TCP => packet.data.get(12).map_or(20, |b| usize::from(b >> 4) * 4).min(packet.data.len()),
        wire::proto::UDP => 8.min(packet.data.len()),
        _ => 0,
    }
}

fn decrement_ttl(packet: &mut [u8], v4: bool) {
    if v4 {
        let old = u16::from_be_bytes([packet[8], packet[9]]);
        packet[8] -= 1;
        let new = u16::from_be_bytes([packet[8], packet[9]]);
        let at = Ipv4Header::CHECKSUM_OFFSET;
        let ck = u16::from_be_bytes([packet[at], packet[at + 1]]);
        packet[at..at + 2].copy_from_slice(&wire::checksum::update16(ck, old, new).to_be_bytes());
    } else {
        debug_assert!(packet.len() >= Ipv6Header::LEN);
        packet[7] -= 1;
    }
}
