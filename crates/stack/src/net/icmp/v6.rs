//! ICMPv6 (RFC 4443).

use core::net::{IpAddr, Ipv6Addr};

use errno::Errno;
use wire::ParseError;
use wire::icmpv6::{self, Icmpv6Message};
use wire::ipv6::{ExtError, Ipv6Header};

use super::{Trouble, quoted_error};
use crate::frame::RxCsum;
use crate::net::address::needs_scope;
use crate::net::sysctl::Sysctl;
use crate::net::{Body, Inbound, IpFields, Net, Path};
use crate::stack::IcmpError;
use crate::time::Instant;

/// Bytes of the packet in error that an error quotes: as much as fits the minimum MTU (RFC 4443
/// §2.4 c).
const QUOTE_MAX: usize = 1280 - Ipv6Header::LEN - 8;
/// Types of neighbour discovery and of listener discovery.
const ND_FIRST: u8 = 133;
const ND_LAST: u8 = 137;
const MLD_FIRST: u8 = 130;
const MLD_LAST: u8 = 132;
const MLD2_REPORT: u8 = 143;

pub(in crate::net) fn fields(tos: u8, ttl: Option<u8>) -> IpFields {
    IpFields {
        proto: wire::proto::ICMPV6,
        ttl,
        tos,
        dont_fragment: false,
        checksum: None,
        zero_is_none: false,
        gso_size: None,
    }
}

impl Net {
    pub(super) fn icmp6_input(&mut self, now: Instant, packet: &Inbound<'_>) -> Option<IcmpError> {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (packet.src, packet.dst) else { return None };
        let icmp = &mut self.counters.icmp6;
        icmp.received += 1;
        let parsed = match packet.csum {
            RxCsum::Good => Icmpv6Message::parse_unchecked(&packet.data),
            RxCsum::Unknown => Icmpv6Message::parse(&packet.data, src, dst),
        };
        let message = match parsed {
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
            Icmpv6Message::EchoRequest { id, seq, data } => {
                icmp.echo_requests += 1;
                self.echo_reply6(now, packet, id, seq, data);
                None
            }
            Icmpv6Message::EchoReply { .. } => {
                icmp.echo_replies += 1;
                None
            }
            Icmpv6Message::DestUnreachable { code, original } => {
                icmp.unreachable_received += 1;
                let (errno, hard) = match code {
                    icmpv6::UNREACH_NO_ROUTE => (Errno::ENETUNREACH, false),
                    icmpv6::UNREACH_ADMIN_PROHIBITED | icmpv6::UNREACH_SOURCE_POLICY | icmpv6::UNREACH_REJECT => {
                        (Errno::EACCES, true)
                    }
                    icmpv6::UNREACH_BEYOND_SCOPE => (Errno::EHOSTUNREACH, false),
                    icmpv6::UNREACH_ADDRESS => (Errno::EHOSTUNREACH, false),
                    icmpv6::UNREACH_PORT => (Errno::ECONNREFUSED, true),
                    _ => {
                        icmp.bad_code += 1;
                        (Errno::EPROTO, false)
                    }
                };
                self.about6(original, errno, hard, None)
            }
            Icmpv6Message::PacketTooBig { mtu, original } => {
                icmp.too_big_received += 1;
                // RFC 8201 §4: one below the minimum MTU is not to be believed.
                if mtu < crate::net::link::MTU_MIN_V6 {
                    return None;
                }
                self.about6(original, Errno::EMSGSIZE, false, Some(mtu))
            }
            Icmpv6Message::TimeExceeded { original, .. } => {
                icmp.exceeded_received += 1;
                self.about6(original, Errno::EHOSTUNREACH, false, None)
            }
            Icmpv6Message::ParameterProblem { original, .. } => {
                icmp.parameter_received += 1;
                self.about6(original, Errno::EPROTO, true, None)
            }
            // RFC 6980 §5: neighbour discovery with a fragment header is ignored in silence.
            Icmpv6Message::Other { kind: ND_FIRST..=ND_LAST, .. } if packet.fragmented => {
                icmp.nd_fragmented += 1;
                None
            }
            Icmpv6Message::Other { kind: ND_FIRST..=ND_LAST, .. } => {
                self.ndp_input(now, packet, src, dst);
                None
            }
            Icmpv6Message::Other { kind: MLD_FIRST..=MLD_LAST | MLD2_REPORT, .. } => {
                self.mld_input(now, packet, src);
                None
            }
            // RFC 4443 §2.4 a, b: an unknown error is for the transport, anything else is ignored.
            Icmpv6Message::Other { .. } => None,
        }
    }

    /// RFC 4443 §4.2: a request to a group is answered from an address of the link.
    fn echo_reply6(&mut self, now: Instant, packet: &Inbound<'_>, id: u16, seq: u16, data: &[u8]) {
        let from = (!packet.group).then_some(packet.dst);
        let Some(mut path) = self.path_back(packet, from) else { return };
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (path.src, path.dst) else { return };
        let pseudo = wire::checksum::pseudo_v6(src, dst, wire::proto::ICMPV6, (8 + data.len()) as u32);
        let mut header = [0; 8];
        header[0] = icmpv6::ECHO_REPLY;
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[6..8].copy_from_slice(&seq.to_be_bytes());
        let ck = crate::net::output::transport_checksum(pseudo, &header, &Body::Bytes(data), false);
        header[2..4].copy_from_slice(&ck.to_be_bytes());
        if self.send(now, &mut path, &fields(packet.tos, None), &mut header, Body::Bytes(data)).is_ok() {
            self.counters.icmp6.responses += 1;
            self.counters.icmp6.sent += 1;
        }
    }

    /// The way back to who sent `packet`, over the link it came from if its address has a scope.
    fn path_back(&self, packet: &Inbound<'_>, from: Option<IpAddr>) -> Option<Path> {
        let bound = needs_scope(packet.src).then_some(packet.link);
        self.path(packet.src, from, bound).ok()
    }

    /// The error that a quoted packet of ours met.
    fn about6(&self, original: &[u8], errno: Errno, hard: bool, mtu: Option<u32>) -> Option<IcmpError> {
        let (header, rest) = Ipv6Header::parse_header(original).ok()?;
        let src = IpAddr::V6(header.src);
        if !self.config.is_local(src) {
            return None;
        }
        let mut headers = wire::ipv6::ExtensionHeaders::new(header.next_header, rest);
        // Only what we can have sent; the ports are in the first fragment alone.
        for ext in headers.by_ref() {
            if let wire::ipv6::ExtensionHeader::Fragment(f) = ext.ok()?
                && f.header.offset != 0
            {
                return None;
            }
        }
        Some(quoted_error(src, IpAddr::V6(header.dst), headers.next_header(), headers.rest(), errno, hard, mtu))
    }

    pub(super) fn icmp6_error(&mut self, now: Instant, packet: &Inbound<'_>, trouble: Trouble) {
        let original = quote(packet);
        let unreachable = |code| Icmpv6Message::DestUnreachable { code, original: &original };
        let message = match trouble {
            Trouble::NoRoute => unreachable(icmpv6::UNREACH_NO_ROUTE),
            Trouble::HostUnreachable => unreachable(icmpv6::UNREACH_ADDRESS),
            Trouble::PortUnreachable => unreachable(icmpv6::UNREACH_PORT),
            Trouble::TooBig(mtu) => Icmpv6Message::PacketTooBig { mtu, original: &original },
            Trouble::TtlExceeded => Icmpv6Message::TimeExceeded { code: icmpv6::TIME_HOP_LIMIT, original: &original },
            Trouble::ReassemblyExceeded => {
                Icmpv6Message::TimeExceeded { code: icmpv6::TIME_REASSEMBLY, original: &original }
            }
            // RFC 8200 §4: an unrecognised next header; the pointer names the field that held it.
            Trouble::ProtocolUnreachable => {
                let pointer = next_header_field(packet) as u32;
                Icmpv6Message::ParameterProblem { code: icmpv6::PARAM_NEXT_HEADER, pointer, original: &original }
            }
        };
        self.send_error6(now, packet, &message);
    }

    pub(in crate::net) fn parameter_problem6(&mut self, now: Instant, packet: &Inbound<'_>, error: ExtError) {
        let original = quote(packet);
        let message =
            Icmpv6Message::ParameterProblem { code: error.code, pointer: error.offset as u32, original: &original };
        self.send_error6(now, packet, &message);
    }

    /// Sends an error if one may be sent about this packet.
    fn send_error6(&mut self, now: Instant, packet: &Inbound<'_>, message: &Icmpv6Message<'_>) {
        self.counters.icmp6.errors += 1;
        let (IpAddr::V6(src), IpAddr::V6(_)) = (packet.src, packet.dst) else { return };
        // RFC 4443 §2.4 e 1, 2: not about an error or a redirect.
        let about = packet.data.first().copied().unwrap_or(0);
        if packet.proto == wire::proto::ICMPV6 && (about < icmpv6::FIRST_INFORMATIONAL || about == ND_LAST) {
            self.counters.icmp6.not_about_icmp += 1;
            return;
        }
        // §2.4 e 3–6: not about a group's packet (but for two errors that may), nor to who is not a
        // single node.
        let may_answer_group = matches!(
            message,
            Icmpv6Message::PacketTooBig { .. } | Icmpv6Message::ParameterProblem { code: icmpv6::PARAM_OPTION, .. }
        );
        if (packet.group && !may_answer_group) || src.is_multicast() || src.is_unspecified() {
            self.counters.icmp6.not_about_group += 1;
            return;
        }
        let rate = self.config.sysctls.value(Sysctl::Icmp6ErrorRate) as u64;
        if !self.config.is_local(packet.src) && !self.limit6.allow(now, rate) {
            self.counters.icmp6.limited += 1;
            return;
        }
        // §2.2: from the address that the packet was for, if it is ours.
        let from = Some(packet.dst).filter(|d| !d.is_multicast() && self.config.is_local_on(*d, packet.link));
        let Some(path) = self.path_back(packet, from) else { return };
        self.send_icmp6(now, path, message, None);
    }

    /// Sends a message along `path`; `ttl` as in [`IpFields`].
    fn send_icmp6(&mut self, now: Instant, mut path: Path, message: &Icmpv6Message<'_>, ttl: Option<u8>) {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (path.src, path.dst) else { return };
        let mut bytes = message.to_vec(src, dst);
        if self.send(now, &mut path, &fields(0, ttl), &mut bytes, Body::None).is_ok() {
            self.counters.icmp6.sent += 1;
        }
    }

    /// Sends neighbour or listener discovery: `bytes` is a message with its checksum, from `src`
    /// (which may be unspecified) to `dst` over `link`.
    pub(in crate::net) fn send_discovery(
        &mut self,
        now: Instant,
        link: crate::frame::LinkId,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        hop_limit: u8,
        bytes: &mut [u8],
    ) {
        let Some(mut path) = self.link_path(link, src, dst) else { return };
        if self.send(now, &mut path, &fields(0, Some(hop_limit)), bytes, Body::None).is_ok() {
            self.counters.icmp6.sent += 1;
        }
    }
}

impl Net {
    /// As `send_discovery`, behind a router alert (RFC 2711): listener discovery.
    pub(in crate::net) fn send_alerted(
        &mut self,
        now: Instant,
        link: crate::frame::LinkId,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        message: &[u8],
    ) {
        // Hop-by-hop header: ICMPv6 follows; router alert of value 0 (MLD); two bytes of padding.
        let mut header = [wire::proto::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
        let Some(mut path) = self.link_path(link, src, dst) else { return };
        let fields = IpFields { proto: wire::proto::HOPOPTS, ..fields(0, Some(1)) };
        if self.send(now, &mut path, &fields, &mut header, Body::Bytes(message)).is_ok() {
            self.counters.icmp6.sent += 1;
        }
    }

    /// The way over a link without asking routes.
    fn link_path(&self, link: crate::frame::LinkId, src: Ipv6Addr, dst: Ipv6Addr) -> Option<Path> {
        let config = self.config.link(link).filter(|l| l.is_ready())?;
        Some(Path {
            src: src.into(),
            dst: dst.into(),
            link,
            bound: Some(link),
            mtu: config.mtu,
            offloads: config.offloads,
            local: false,
            group: dst.is_multicast(),
            next_hop: dst.into(),
            generation: self.generation(),
            neighbour: None,
        })
    }
}

fn quote(packet: &Inbound<'_>) -> Vec<u8> {
    let mut original = packet.header.to_vec();
    original.extend_from_slice(&packet.data[..packet.data.len().min(QUOTE_MAX.saturating_sub(original.len()))]);
    original.truncate(QUOTE_MAX);
    original
}

/// Where in the packet the field stands that names its transport.
fn next_header_field(packet: &Inbound<'_>) -> usize {
    let Ok((header, rest)) = Ipv6Header::parse_header(&packet.header) else { return Ipv6Header::NEXT_HEADER_OFFSET };
    let mut headers = wire::ipv6::ExtensionHeaders::new(header.next_header, rest);
    while headers.next().is_some_and(|h| h.is_ok()) {}
    headers.next_field()
}
