//! IPv4 on the way in (RFC 791, RFC 1122 §3.2.1).

use core::net::{IpAddr, Ipv4Addr};
use std::borrow::Cow;

use wire::ParseError;
use wire::ipv4::{Ipv4Header, Ipv4Option, Ipv4Options};

use super::input::{Arrival, reassembled};
use super::reassembly::{DATA_MAX, Key, Outcome, Piece};
use super::{Inbound, Net};
use crate::time::Instant;

impl Net {
    pub(super) fn ip4_input<'a>(&mut self, now: Instant, arrival: Arrival, packet: &'a [u8]) -> Option<Inbound<'a>> {
        self.counters.ip4.received += 1;
        let parsed = if arrival.looped { Ipv4Header::parse_unchecked_sum(packet) } else { Ipv4Header::parse(packet) };
        let (header, options, payload) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                self.count_malformed4(error, packet);
                return None;
            }
        };
        if !self.verdict_in(&arrival, packet) {
            self.counters.ip4.filtered += 1;
            return None;
        }
        let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
        if !arrival.looped && self.is_martian4(&header) {
            self.counters.ip4.bad_address += 1;
            return None;
        }
        let head = &packet[..usize::from(header.header_len)];
        let broadcast = self.config.is_broadcast(dst);
        let group = broadcast || header.dst.is_multicast() || arrival.link_group;
        let inbound = |data: Cow<'a, [u8]>| Inbound {
            link: arrival.link,
            src,
            dst,
            proto: header.proto,
            ttl: header.ttl,
            tos: header.tos,
            header: Cow::Borrowed(head),
            data,
            csum: arrival.csum,
            gso_size: arrival.gso_size,
            group,
            fragmented: header.is_fragment(),
        };
        if !options.is_empty()
            && let Err(pointer) = self.check_options(options)
        {
            self.counters.ip4.bad_options += 1;
            match pointer {
                // RFC 1122 §3.2.2.5
                Some(pointer) => self.parameter_problem4(now, &inbound(Cow::Borrowed(payload)), pointer),
                // RFC 1122 §3.2.1.8: a source route that asks us to pass it on, which we do not.
                None => self.source_route_failed(now, &inbound(Cow::Borrowed(payload))),
            }
            return None;
        }
        if header.dst.is_multicast() {
            if !self.is_member(arrival.link, dst) {
                self.counters.ip4.group_not_joined += 1;
                return None;
            }
        } else if !broadcast && !self.config.is_local(dst) {
            if arrival.link_group {
                // RFC 1122 §3.3.6: a unicast packet in a broadcast frame is a mistake.
                self.counters.ip4.not_forwardable += 1;
                return None;
            }
            self.forward(now, &arrival, &inbound(Cow::Borrowed(payload)), packet);
            return None;
        } else if !broadcast && arrival.link_group {
            self.counters.ip4.not_forwardable += 1;
            return None;
        }
        if header.is_fragment() {
            return self.ip4_fragment(now, &arrival, &header, head, payload, group);
        }
        self.counters.ip4.delivered += 1;
        Some(inbound(Cow::Borrowed(payload)))
    }

    fn count_malformed4(&mut self, error: ParseError, packet: &[u8]) {
        let ip = &mut self.counters.ip4;
        match error {
            ParseError::Truncated if packet.len() < Ipv4Header::LEN => ip.too_small += 1,
            ParseError::Truncated => ip.too_short += 1,
            ParseError::BadVersion => ip.bad_version += 1,
            ParseError::BadChecksum => ip.bad_checksum += 1,
            ParseError::BadLength | ParseError::Malformed => ip.bad_header_len += 1,
        }
    }

    /// RFC 1122 §3.2.1.3: addresses that cannot be on a wire, and our own as another's source.
    fn is_martian4(&self, header: &Ipv4Header) -> bool {
        let src = IpAddr::V4(header.src);
        wire::addr::is_invalid_source_v4(header.src)
            || header.src.is_loopback()
            || header.dst.is_loopback()
            || header.dst == Ipv4Addr::UNSPECIFIED
            // Who has no address yet speaks to everybody.
            || (header.src.is_unspecified() && !self.config.is_group(IpAddr::V4(header.dst)))
            || self.config.is_broadcast(src)
            || self.config.is_local(src)
    }

    /// Errors: where the mistake is, or `None` for a source route that is not at its end.
    fn check_options(&self, area: &[u8]) -> Result<(), Option<u8>> {
        for option in Ipv4Options::new(area) {
            match option.map_err(|e| Some(e.pointer))? {
                Ipv4Option::LooseSourceRoute { pointer, route } | Ipv4Option::StrictSourceRoute { pointer, route }
                    if usize::from(pointer) <= route.len() + 3 =>
                {
                    return Err(None);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn ip4_fragment(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        header: &Ipv4Header,
        head: &[u8],
        payload: &[u8],
        group: bool,
    ) -> Option<Inbound<'static>> {
        let ip = &mut self.counters.ip4;
        ip.fragments += 1;
        let offset = usize::from(header.frag_offset);
        // RFC 791 §3.2: all but the last are multiples of 8 bytes; and the whole must be possible.
        if payload.is_empty()
            || (header.mf && !payload.len().is_multiple_of(8))
            || head.len() + offset + payload.len() > DATA_MAX
        {
            ip.fragments_malformed += 1;
            return None;
        }
        let key = Key {
            src: IpAddr::V4(header.src),
            dst: IpAddr::V4(header.dst),
            ident: header.id.into(),
            proto: header.proto,
        };
        let piece = Piece {
            key,
            link: arrival.link,
            offset,
            more: header.mf,
            data: payload,
            header: head,
            proto: header.proto,
            next_field: 0,
        };
        let outcome = self.reassembly.add(now, &piece, &mut self.agenda, &mut ip.fragments_dropped);
        let mut whole = match outcome {
            Outcome::Whole(whole) => whole,
            Outcome::Kept => return None,
            Outcome::Duplicate | Outcome::Full => {
                ip.fragments_dropped += 1;
                return None;
            }
            Outcome::Overlap => {
                ip.fragments_overlap += 1;
                return None;
            }
            Outcome::Malformed => {
                ip.fragments_malformed += 1;
                return None;
            }
        };
        if whole.header.len() + whole.data.len() > DATA_MAX {
            ip.fragments_malformed += 1;
            return None;
        }
        ip.reassembled += 1;
        ip.delivered += 1;
        // The header shown to raw sockets is the whole datagram's.
        let (mut ttl, mut tos) = (header.ttl, header.tos);
        if let Ok((first, options)) = Ipv4Header::parse_header(&whole.header.clone()) {
            (ttl, tos) = (first.ttl, first.tos);
            let total_len = (whole.header.len() + whole.data.len()) as u16;
            let _ = Ipv4Header { total_len, mf: false, frag_offset: 0, ..first }
                .emit_with_options(options, &mut whole.header);
        }
        Some(reassembled(arrival, &key, ttl, tos, group, whole))
    }
}
