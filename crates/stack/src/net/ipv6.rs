//! IPv6 on the way in, and its header on the way out (RFC 8200).

use core::net::{IpAddr, Ipv6Addr};
use std::borrow::Cow;

use wire::ParseError;
use wire::ipv6::{Chain, ExtError, FragmentHeader, Ipv6Header, OptionsArea, UnknownAction};

use super::input::{Arrival, reassembled};
use super::reassembly::{DATA_MAX, Key, Outcome, Piece};
use super::{Inbound, IpFields, Net};
use crate::time::Instant;

/// Appends the header, and a fragment header if it is a fragment, for `payload_len` bytes.
#[allow(clippy::too_many_arguments, reason = "the fields of a header")]
pub(super) fn put_header(
    to: &mut Vec<u8>,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    ip: &IpFields,
    hop_limit: u8,
    payload_len: u16,
    offset: u16,
    fragment: Option<(u32, bool)>,
) {
    let at = to.len();
    let extra = if fragment.is_some() { FragmentHeader::LEN } else { 0 };
    let header = Ipv6Header {
        traffic_class: ip.tos,
        flow_label: 0,
        payload_len: payload_len.saturating_add(extra as u16),
        next_header: if fragment.is_some() { wire::proto::IPV6_FRAG } else { ip.proto },
        hop_limit,
        src,
        dst,
    };
    to.resize(at + Ipv6Header::LEN + extra, 0);
    header.emit(&mut to[at..]);
    if let Some((id, more)) = fragment {
        FragmentHeader { next: ip.proto, offset, more, id }.emit(&mut to[at + Ipv6Header::LEN..]);
    }
}

/// What extension headers ask for that ends the packet here.
enum Refusal {
    Silent,
    Problem(ExtError),
}

impl Net {
    pub(super) fn ip6_input<'a>(&mut self, now: Instant, arrival: Arrival, packet: &'a [u8]) -> Option<Inbound<'a>> {
        self.counters.ip6.received += 1;
        let (header, payload) = match Ipv6Header::parse(packet) {
            Ok(parsed) => parsed,
            Err(error) => {
                let ip = &mut self.counters.ip6;
                match error {
                    ParseError::BadVersion => ip.bad_version += 1,
                    ParseError::Truncated if packet.len() < Ipv6Header::LEN => ip.too_small += 1,
                    _ => ip.too_short += 1,
                }
                return None;
            }
        };
        if !self.verdict_in(&arrival, packet) {
            self.counters.ip6.filtered += 1;
            return None;
        }
        let (src, dst) = (IpAddr::V6(header.src), IpAddr::V6(header.dst));
        if !arrival.looped && self.is_martian6(&header) {
            self.counters.ip6.bad_scope += 1;
            return None;
        }
        let group = header.dst.is_multicast() || arrival.link_group;
        let inbound = |proto, at: usize, data: &'a [u8]| Inbound {
            link: arrival.link,
            src,
            dst,
            proto,
            ttl: header.hop_limit,
            tos: header.traffic_class,
            header: Cow::Borrowed(&packet[..at]),
            data: Cow::Borrowed(data),
            csum: arrival.csum,
            gso_size: arrival.gso_size,
            group,
            fragmented: false,
        };
        if header.dst.is_multicast() {
            if !arrival.looped && !self.is_member(arrival.link, dst) {
                self.counters.ip6.group_not_joined += 1;
                return None;
            }
        } else if !(if arrival.looped { self.config.is_local(dst) } else { self.config.is_local_on(dst, arrival.link) })
        {
            if !self.is_tentative(arrival.link, dst) && !arrival.link_group {
                self.forward(now, &arrival, &inbound(header.next_header, Ipv6Header::LEN, payload), packet);
            }
            return None;
        }
        let chain = match wire::ipv6::walk(header.next_header, payload) {
            Ok(chain) => chain,
            Err(error) => {
                self.counters.ip6.bad_headers += 1;
                self.parameter_problem6(now, &inbound(header.next_header, Ipv6Header::LEN, payload), error);
                return None;
            }
        };
        let fragmented = chain.fragment.is_some();
        let packet_in = Inbound { fragmented, ..inbound(chain.upper_proto, chain.upper_offset, chain.payload) };
        if let Err(refusal) = self.check_chain(&chain, header.dst.is_multicast()) {
            self.counters.ip6.bad_options += 1;
            if let Refusal::Problem(error) = refusal {
                self.parameter_problem6(now, &packet_in, error);
            }
            return None;
        }
        if chain.needs_reassembly() {
            return self.ip6_fragment(now, &arrival, &chain, packet, packet_in);
        }
        // RFC 6946: an atomic fragment is a whole, whatever else has its identification.
        self.counters.ip6.fragments += u64::from(fragmented);
        self.accept6(packet_in)
    }

    /// The end of the chain: something for a transport, or nothing.
    fn accept6<'a>(&mut self, packet: Inbound<'a>) -> Option<Inbound<'a>> {
        if packet.proto == wire::proto::NO_NEXT {
            return None; // RFC 8200 §4.7
        }
        self.counters.ip6.delivered += 1;
        Some(packet)
    }

    /// RFC 4291 §2.5.2, 2.5.3, 2.7: addresses that cannot be on a wire.
    fn is_martian6(&self, header: &Ipv6Header) -> bool {
        let scope1 = |a: Ipv6Addr| wire::addr::multicast_scope(a).is_some_and(|s| s <= 1);
        header.src.is_multicast()
            || header.src.is_loopback()
            || header.dst.is_loopback()
            || header.dst.is_unspecified()
            || scope1(header.dst)
            || header.src.to_ipv4_mapped().is_some()
            || header.dst.to_ipv4_mapped().is_some()
            // Our own address as another's source; NDP sees to duplicates by itself.
            || (self.config.is_local(IpAddr::V6(header.src)) && !header.src.is_unicast_link_local())
    }

    /// RFC 8200 §4.2, 4.4: options that we do not know, routing that we do not do.
    fn check_chain(&self, chain: &Chain<'_>, multicast: bool) -> Result<(), Refusal> {
        let areas = chain.hop_by_hop.iter().chain(chain.dest_options.iter().flatten());
        for area in areas {
            check_options(area, multicast)?;
        }
        match chain.routing {
            Some(routing) if routing.segments_left > 0 => Err(Refusal::Problem(routing.unrecognized())),
            _ => Ok(()),
        }
    }

    fn ip6_fragment<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        chain: &Chain<'a>,
        packet: &'a [u8],
        inbound: Inbound<'a>,
    ) -> Option<Inbound<'a>> {
        self.counters.ip6.fragments += 1;
        let fragment = chain.fragment?;
        let (offset, data) = (usize::from(fragment.header.offset), fragment.payload);
        // RFC 8200 §4.5: all but the last are multiples of 8 bytes: the payload length is wrong.
        if fragment.header.more && !data.len().is_multiple_of(8) {
            self.counters.ip6.fragments_malformed += 1;
            self.parameter_problem6(now, &inbound, ExtError { offset: 4, code: 0 });
            return None;
        }
        // RFC 8200 §4.5: the whole would be longer than a packet can be: the fragment offset is wrong.
        let unfragmentable = fragment.offset - Ipv6Header::LEN;
        if unfragmentable + offset + data.len() > DATA_MAX {
            self.counters.ip6.fragments_malformed += 1;
            self.parameter_problem6(now, &inbound, ExtError { offset: fragment.offset + 2, code: 0 });
            return None;
        }
        if data.is_empty() {
            self.counters.ip6.fragments_malformed += 1;
            return None;
        }
        // RFC 7112 §5: the first fragment holds the whole header chain.
        if offset == 0 && !first_is_complete(chain) {
            self.counters.ip6.fragments_malformed += 1;
            self.parameter_problem6(now, &inbound, ExtError { offset: 0, code: 3 });
            return None;
        }
        let key = Key { src: inbound.src, dst: inbound.dst, ident: fragment.header.id, proto: 0 };
        // RFC 8200 §4.5: the unfragmentable part, with the fragment header taken out of its chain.
        let mut unfragmentable = packet[..fragment.offset].to_vec();
        unfragmentable[fragment.next_field] = fragment.header.next;
        let piece = Piece {
            key,
            link: arrival.link,
            offset,
            more: fragment.header.more,
            data,
            header: &unfragmentable,
            proto: fragment.header.next,
            next_field: fragment.next_field,
        };
        let ip = &mut self.counters.ip6;
        let mut whole = match self.reassembly.add(now, &piece, &mut self.agenda, &mut ip.fragments_dropped) {
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
        if whole.header.len() - Ipv6Header::LEN + whole.data.len() > DATA_MAX {
            ip.fragments_malformed += 1;
            return None;
        }
        ip.reassembled += 1;
        let payload_len = (whole.header.len() - Ipv6Header::LEN + whole.data.len()) as u16;
        whole.header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        // RFC 8200 §4.5: the headers up to the Fragment header, and what it named as next, are those
        // of the fragment at offset 0, whichever came last.
        let Ok((first, _)) = Ipv6Header::parse_header(&whole.header) else { return None };
        let next_field = whole.next_field;
        let ready = reassembled(arrival, &key, first.hop_limit, first.traffic_class, inbound.group, whole);
        // The fragmentable part may begin with extension headers of its own.
        match wire::ipv6::walk_from(ready.proto, next_field, ready.header.len(), &ready.data) {
            Err(error) => {
                self.counters.ip6.bad_headers += 1;
                self.parameter_problem6(now, &ready, error);
                None
            }
            // RFC 8200 §4.1: a packet has one Fragment header, and this one's was just dealt with.
            Ok(rest) if rest.fragment.is_some() => {
                self.counters.ip6.bad_headers += 1;
                None
            }
            Ok(rest) => {
                if let Err(refusal) = self.check_chain(&rest, first.dst.is_multicast()) {
                    self.counters.ip6.bad_options += 1;
                    if let Refusal::Problem(error) = refusal {
                        self.parameter_problem6(now, &ready, error);
                    }
                    return None;
                }
                let (proto, cut) = (rest.upper_proto, rest.upper_offset - ready.header.len());
                let packet = if cut == 0 {
                    Inbound { proto, ..ready }
                } else {
                    let head = [&ready.header[..], &ready.data[..cut]].concat();
                    Inbound { proto, header: Cow::Owned(head), data: Cow::Owned(ready.data[cut..].to_vec()), ..ready }
                };
                self.accept6(packet)
            }
        }
    }

    /// One of the link's addresses that is not usable yet: such a packet is not to be answered at all.
    fn is_tentative(&self, link: crate::frame::LinkId, addr: IpAddr) -> bool {
        self.config.address(link, addr).is_some_and(|a| !a.is_usable())
    }
}

fn check_options(area: &OptionsArea<'_>, multicast: bool) -> Result<(), Refusal> {
    for option in area.options() {
        let option = option.map_err(Refusal::Problem)?;
        match option.unknown_action() {
            UnknownAction::Skip => {}
            UnknownAction::Discard => return Err(Refusal::Silent),
            UnknownAction::IcmpUnlessMulticast if multicast => return Err(Refusal::Silent),
            UnknownAction::Icmp | UnknownAction::IcmpUnlessMulticast => {
                return Err(Refusal::Problem(option.unrecognized()));
            }
        }
    }
    Ok(())
}

/// True when a first fragment reaches into its upper-layer header.
fn first_is_complete(chain: &Chain<'_>) -> bool {
    let Some(fragment) = chain.fragment else { return true };
    let need = |proto| match proto {
        wire::proto::TCP => 20,
        wire::proto::UDP => 8,
        wire::proto::ICMPV6 => 4,
        _ => 0,
    };
    match wire::ipv6::walk_from(fragment.header.next, fragment.next_field, fragment.offset, fragment.payload) {
        Ok(rest) => rest.payload.len() >= need(rest.upper_proto),
        Err(_) => false,
    }
}
