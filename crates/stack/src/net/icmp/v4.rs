//! ICMP for IPv4 (RFC 792, RFC 1122 §3.2.2).

use core::net::{IpAddr, Ipv4Addr};

use errno::Errno;
use wire::ParseError;
use wire::checksum;
use wire::icmpv4::{self, Icmpv4Message};
use wire::ipv4::Ipv4Header;

use super::{Trouble, quoted_error};
use crate::net::sysctl::Sysctl;
use crate::net::{Body, Inbound, IpFields, Net};
use crate::stack::IcmpError;
use crate::time::Instant;

/// Bytes of the packet in error that an error quotes: the whole message is at most 576 (RFC 1812
/// §4.3.2.3).
const QUOTE_MAX: usize = 576 - Ipv4Header::LEN - 8;
/// Precedence of errors: internetwork control (RFC 1812 §4.3.2.5).
const ERROR_TOS: u8 = 0xc0;
/// ENONET, for "source host isolated".
const ENONET: Errno = Errno(64);

fn fields(tos: u8) -> IpFields {
    IpFields {
        proto: wire::proto::ICMP,
        ttl: None,
        tos,
        dont_fragment: false,
        checksum: None,
        zero_is_none: false,
        gso_size: None,
    }
}

impl Net {
    pub(super) fn icmp4_input(&mut self, now: Instant, packet: &Inbound<'_>) -> Option<IcmpError> {
        let icmp = &mut self.counters.icmp4;
        icmp.received += 1;
        let message = match Icmpv4Message::parse(&packet.data) {
            Ok(message) => message,
            Err(ParseError::BadChecksum) => {
                icmp.bad_checksum += 1;
                return None;
            }
            Err(ParseError::Truncated) => {
                icmp.too_short += 1;
                return None;
            }
            Err(_) => {
                icmp.bad_length += 1;
                return None;
            }
        };
        match message {
            Icmpv4Message::EchoRequest { id, seq, data } => {
                icmp.echo_requests += 1;
                // RFC 1122 §3.2.2.6: one to a group may be discarded.
                if packet.group && !self.config.is_on(Sysctl::Icmp4BroadcastEcho) {
                    icmp.group_echo += 1;
                    return None;
                }
                self.echo_reply4(now, packet, id, seq, data);
                None
            }
            Icmpv4Message::EchoReply { .. } => {
                icmp.echo_replies += 1;
                None
            }
            Icmpv4Message::DestUnreachable { code, next_hop_mtu, original } => {
                icmp.unreachable_received += 1;
                self.unreachable4(code, next_hop_mtu, original)
            }
            Icmpv4Message::TimeExceeded { original, .. } => {
                icmp.exceeded_received += 1;
                self.about(original, Errno::EHOSTUNREACH, false, None)
            }
            Icmpv4Message::ParameterProblem { original, .. } => self.about(original, Errno::EPROTO, true, None),
            Icmpv4Message::Redirect { code, gateway, original } => {
                icmp.redirects_received += 1;
                if code > 3 {
                    icmp.bad_code += 1;
                    return None;
                }
                self.redirect4(now, packet, gateway, original);
                None
            }
            // RFC 6633 §3: a source quench is to be ignored. The rest is for raw sockets.
            _ => None,
        }
    }

    fn echo_reply4(&mut self, now: Instant, packet: &Inbound<'_>, id: u16, seq: u16, data: &[u8]) {
        // RFC 1122 §3.2.2.6: from the address that was asked, with the data as they came.
        let src = (!packet.group).then_some(packet.dst);
        let Ok(mut path) = self.path(packet.src, src, None) else { return };
        let mut header = [0; 8];
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[6..8].copy_from_slice(&seq.to_be_bytes());
        let sum = checksum::combine(checksum::partial(&header), checksum::partial(data));
        header[2..4].copy_from_slice(&checksum::finish(sum).to_be_bytes());
        if self.send(now, &mut path, &fields(packet.tos), &mut header, Body::Bytes(data)).is_ok() {
            self.counters.icmp4.responses += 1;
            self.counters.icmp4.sent += 1;
        }
    }

    /// The error that a quoted packet of ours met.
    fn about(&self, original: &[u8], errno: Errno, hard: bool, mtu: Option<u32>) -> Option<IcmpError> {
        let (header, _) = Ipv4Header::parse_header(original).ok()?;
        let src = IpAddr::V4(header.src);
        // Only what we can have sent; the ports are in the first fragment alone.
        if !self.config.is_local(src) || header.frag_offset != 0 {
            return None;
        }
        let transport = &original[usize::from(header.header_len)..];
        Some(quoted_error(src, IpAddr::V4(header.dst), header.proto, transport, errno, hard, mtu))
    }

    fn unreachable4(&mut self, code: u8, next_hop_mtu: u16, original: &[u8]) -> Option<IcmpError> {
        let (errno, hard) = match code {
            icmpv4::UNREACH_NET | icmpv4::UNREACH_NET_TOS => (Errno::ENETUNREACH, false),
            icmpv4::UNREACH_HOST | icmpv4::UNREACH_HOST_TOS => (Errno::EHOSTUNREACH, false),
            icmpv4::UNREACH_PROTOCOL => (Errno::ENOPROTOOPT, true),
            icmpv4::UNREACH_PORT => (Errno::ECONNREFUSED, true),
            icmpv4::UNREACH_SOURCE_ROUTE => (Errno::EOPNOTSUPP, false),
            icmpv4::UNREACH_NET_UNKNOWN | icmpv4::UNREACH_NET_PROHIBITED => (Errno::ENETUNREACH, true),
            icmpv4::UNREACH_HOST_UNKNOWN => (Errno::EHOSTDOWN, true),
            icmpv4::UNREACH_ISOLATED => (ENONET, true),
            icmpv4::UNREACH_HOST_PROHIBITED | icmpv4::UNREACH_ADMIN_PROHIBITED..=15 => (Errno::EHOSTUNREACH, true),
            icmpv4::UNREACH_FRAG_NEEDED => {
                if !self.config.is_on(Sysctl::PathMtu4) {
                    return None;
                }
                let (header, _) = Ipv4Header::parse_header(original).ok()?;
                let mtu = match u32::from(next_hop_mtu) {
                    0 => plateau(header.total_len.into()),
                    mtu => mtu,
                };
                return self.about(original, Errno::EMSGSIZE, false, Some(mtu));
            }
            _ => {
                self.counters.icmp4.bad_code += 1;
                return None;
            }
        };
        self.about(original, errno, hard, None)
    }

    /// RFC 1122 §3.2.2.2: believed only from the gateway in use, and only toward a neighbour.
    fn redirect4(&mut self, now: Instant, packet: &Inbound<'_>, gateway: Ipv4Addr, original: &[u8]) {
        let accepted = self.config.is_on(Sysctl::Icmp4Redirects)
            && Ipv4Header::parse_header(original).is_ok_and(|(header, _)| {
                self.config.is_local(IpAddr::V4(header.src))
                    && self.redirect(now, packet.link, packet.src, IpAddr::V4(header.dst), IpAddr::V4(gateway))
            });
        if !accepted {
            self.counters.icmp4.redirects_bad += 1;
        }
    }

    pub(super) fn icmp4_error(&mut self, now: Instant, packet: &Inbound<'_>, trouble: Trouble) {
        let quote = |data: &[u8]| {
            let mut original = packet.header.to_vec();
            original.extend_from_slice(&data[..data.len().min(QUOTE_MAX.saturating_sub(original.len()))]);
            original
        };
        let original = quote(&packet.data);
        let unreachable =
            |code, next_hop_mtu| Icmpv4Message::DestUnreachable { code, next_hop_mtu, original: &original };
        let message = match trouble {
            Trouble::NoRoute => unreachable(icmpv4::UNREACH_NET, 0),
            Trouble::HostUnreachable => unreachable(icmpv4::UNREACH_HOST, 0),
            Trouble::ProtocolUnreachable => unreachable(icmpv4::UNREACH_PROTOCOL, 0),
            Trouble::PortUnreachable => unreachable(icmpv4::UNREACH_PORT, 0),
            Trouble::TooBig(mtu) => unreachable(icmpv4::UNREACH_FRAG_NEEDED, mtu.min(65_535) as u16),
            Trouble::TtlExceeded => Icmpv4Message::TimeExceeded { code: icmpv4::TIME_TTL, original: &original },
            Trouble::ReassemblyExceeded => {
                Icmpv4Message::TimeExceeded { code: icmpv4::TIME_REASSEMBLY, original: &original }
            }
        };
        self.send_error4(now, packet, &message);
    }

    pub(in crate::net) fn parameter_problem4(&mut self, now: Instant, packet: &Inbound<'_>, pointer: u8) {
        let message =
            Icmpv4Message::ParameterProblem { code: icmpv4::PARAM_POINTER, pointer, original: &packet.header };
        self.send_error4(now, packet, &message);
    }

    pub(in crate::net) fn source_route_failed(&mut self, now: Instant, packet: &Inbound<'_>) {
        let message = Icmpv4Message::DestUnreachable {
            code: icmpv4::UNREACH_SOURCE_ROUTE,
            next_hop_mtu: 0,
            original: &packet.header,
        };
        self.send_error4(now, packet, &message);
    }

    /// Sends an error if one may be sent about this packet.
    pub(in crate::net) fn send_error4(&mut self, now: Instant, packet: &Inbound<'_>, message: &Icmpv4Message<'_>) {
        self.counters.icmp4.errors += 1;
        // RFC 1122 §3.2.2: never about an ICMP error, a group's packet, a fragment other than the
        // first, or to who is not a single host.
        if packet.proto == wire::proto::ICMP && is_error(&packet.data) {
            self.counters.icmp4.not_about_icmp += 1;
            return;
        }
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (packet.src, packet.dst) else { return };
        let later_fragment = Ipv4Header::parse_header(&packet.header).is_ok_and(|(h, _)| h.frag_offset != 0);
        if packet.group
            || later_fragment
            || self.config.is_group(packet.src)
            || src.is_unspecified()
            || src.octets()[0] >= 240
            || dst.is_multicast()
        {
            self.counters.icmp4.not_about_group += 1;
            return;
        }
        let rate = self.config.sysctls.value(Sysctl::Icmp4ErrorRate) as u64;
        if !self.config.is_local(packet.src) && !self.limit4.allow(now, rate) {
            self.counters.icmp4.limited += 1;
            return;
        }
        // RFC 1122 §3.2.2: from the address that the packet was for, if it is ours.
        let from = Some(packet.dst).filter(|d| self.config.is_local(*d));
        let Ok(mut path) = self.path(packet.src, from, None) else { return };
        let mut bytes = message.to_vec();
        if self.send(now, &mut path, &fields(ERROR_TOS), &mut bytes, Body::None).is_ok() {
            self.counters.icmp4.sent += 1;
        }
    }
}

/// An error, or something that is not known to be none.
fn is_error(icmp: &[u8]) -> bool {
    !matches!(
        icmp.first(),
        Some(
            &(icmpv4::ECHO_REPLY
                | icmpv4::ECHO_REQUEST
                | icmpv4::ROUTER_ADVERT
                | icmpv4::ROUTER_SOLICIT
                | icmpv4::TIMESTAMP_REQUEST
                | icmpv4::TIMESTAMP_REPLY)
        )
    )
}

/// The MTU to try for an old router that names none (RFC 1191 §7.1).
fn plateau(total_len: u32) -> u32 {
    const PLATEAUS: [u32; 10] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
    PLATEAUS.into_iter().find(|&p| p < total_len).unwrap_or(68)
}
