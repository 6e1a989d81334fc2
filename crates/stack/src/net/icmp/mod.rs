//! ICMP for both families: when errors are sent and what received ones mean. The messages
//! themselves are in `v4` and `v6`.

mod limit;
mod v4;
mod v6;

pub use limit::Limit;

use core::net::IpAddr;
use std::borrow::Cow;

use errno::Errno;
use wire::ethernet::EthernetHeader;
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;

use super::neighbour::cache::Pending;
use super::{Inbound, LOCAL_ERRORS_MAX, Net};
use crate::frame::{LinkId, RxCsum};
use crate::stack::IcmpError;
use crate::time::Instant;

/// What an error is about, in either family's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NoRoute,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    TtlExceeded,
    ReassemblyExceeded,
    /// The MTU of the next link.
    TooBig(u32),
}

impl Net {
    /// An ICMP or ICMPv6 message for us: answers echo requests, feeds NDP, MLD and redirects, and
    /// gives back an error that concerns a socket's packet.
    pub fn icmp_input(&mut self, now: Instant, packet: &Inbound<'_>) -> Option<IcmpError> {
        match (packet.proto, packet.dst) {
            (wire::proto::ICMP, IpAddr::V4(_)) => self.icmp4_input(now, packet),
            (wire::proto::ICMPV6, IpAddr::V6(_)) => self.icmp6_input(now, packet),
            // ICMP over the other family is a protocol that we do not speak.
            _ => {
                self.protocol_unreachable(now, packet);
                None
            }
        }
    }

    /// Answers with ICMP "protocol unreachable" / parameter problem.
    pub fn protocol_unreachable(&mut self, now: Instant, packet: &Inbound<'_>) {
        if packet.dst.is_ipv4() {
            self.counters.ip4.unknown_protocol += 1;
        } else {
            self.counters.ip6.unknown_protocol += 1;
        }
        self.icmp_error(now, packet, Trouble::ProtocolUnreachable);
    }

    /// Answers with ICMP "port unreachable".
    pub fn port_unreachable(&mut self, now: Instant, packet: &Inbound<'_>) {
        self.icmp_error(now, packet, Trouble::PortUnreachable);
    }

    pub(super) fn reassembly_exceeded(&mut self, now: Instant, packet: &Inbound<'_>) {
        self.icmp_error(now, packet, Trouble::ReassemblyExceeded);
    }

    pub(super) fn icmp_error(&mut self, now: Instant, packet: &Inbound<'_>, trouble: Trouble) {
        match packet.dst {
            IpAddr::V4(_) => self.icmp4_error(now, packet, trouble),
            IpAddr::V6(_) => self.icmp6_error(now, packet, trouble),
        }
    }

    /// A packet that waited for a neighbour who never answered: our socket is told, or its sender.
    pub(super) fn neighbour_unreachable(&mut self, now: Instant, link: LinkId, waited: &Pending) {
        let Some(packet) = waited.bytes.get(EthernetHeader::LEN..) else { return };
        let parsed = match packet.first().map(|b| b >> 4) {
            Some(4) => Ipv4Header::parse_header(packet)
                .ok()
                .map(|(h, _)| (IpAddr::V4(h.src), IpAddr::V4(h.dst), h.proto, usize::from(h.header_len))),
            _ => Ipv6Header::parse_header(packet)
                .ok()
                .map(|(h, _)| (IpAddr::V6(h.src), IpAddr::V6(h.dst), h.next_header, Ipv6Header::LEN)),
        };
        let Some((src, dst, proto, header_len)) = parsed else { return };
        if self.config.is_local(src) {
            let error = quoted_error(src, dst, proto, &packet[header_len..], Errno::EHOSTUNREACH, false, None);
            self.local_error(error);
            return;
        }
        let inbound = Inbound {
            link,
            src,
            dst,
            proto,
            ttl: 0,
            tos: 0,
            header: Cow::Borrowed(&packet[..header_len]),
            data: Cow::Borrowed(&packet[header_len..]),
            csum: RxCsum::Unknown,
            gso_size: None,
            group: false,
            fragmented: false,
        };
        self.icmp_error(now, &inbound, Trouble::HostUnreachable);
    }

    pub(super) fn local_error(&mut self, error: IcmpError) {
        if self.local_errors.len() < LOCAL_ERRORS_MAX {
            self.local_errors.push(error);
        }
    }
}

/// An error about the packet whose transport header begins `transport`.
pub(super) fn quoted_error(
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    transport: &[u8],
    errno: Errno,
    hard: bool,
    mtu: Option<u32>,
) -> IcmpError {
    let mut header = [0; 8];
    let n = transport.len().min(8);
    header[..n].copy_from_slice(&transport[..n]);
    IcmpError { proto, src, dst, header, header_len: n as u8, errno, hard, mtu }
}
