//! The chain of IPv6 extension headers (RFC 8200 §4), with the limits that RFC 8504 §5.3 allows a host to set.
//!
//! This finds the headers; acting on their options, routing and fragments is the stack's.

use core::fmt;

use crate::icmpv6::{PARAM_HEADER_FIELD, PARAM_NEXT_HEADER};
use crate::proto;

use super::Ipv6Header;
use super::fragment::FragmentHeader;
use super::options::Ipv6Options;

/// The most extension headers in one packet; one more is an error (RFC 8504 §5.3).
pub const MAX_EXTENSION_HEADERS: usize = 8;
/// The most destination options headers that [`walk`] takes: one before a routing header and one last (RFC 8200 §4.1).
pub const MAX_DEST_OPTIONS: usize = 2;

/// Bytes of the smallest extension header, and the unit of their lengths.
const UNIT: usize = 8;

/// The chain is malformed: what an ICMPv6 parameter problem would say. Truncation too is reported as an erroneous
/// header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExtError {
    /// Offset of the offending byte from the start of the IPv6 header: the ICMPv6 pointer.
    pub offset: usize,
    /// ICMPv6 parameter problem code: 0 erroneous field, 1 unrecognised next header, 2 unrecognised option (RFC 4443
    /// §3.4).
    pub code: u8,
}

impl fmt::Display for ExtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv6 extension header problem (code {}) at byte {}", self.code, self.offset)
    }
}

impl core::error::Error for ExtError {}

/// The options of a hop-by-hop or destination options header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OptionsArea<'a> {
    /// Offset of `area` from the start of the IPv6 header.
    pub offset: usize,
    /// The bytes after next header and length.
    pub area: &'a [u8],
}

impl<'a> OptionsArea<'a> {
    /// Walks the options.
    pub fn options(&self) -> Ipv6Options<'a> {
        Ipv6Options::new(self.area, self.offset)
    }
}

/// A routing header (RFC 8200 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RoutingHeader<'a> {
    /// Offset of the header from the start of the IPv6 header; its type stands 2 bytes further, segments left 3 bytes
    /// further.
    pub offset: usize,
    /// Routing type.
    pub kind: u8,
    /// Nodes still to be visited.
    pub segments_left: u8,
    /// Type-specific data.
    pub data: &'a [u8],
}

impl RoutingHeader<'_> {
    /// The parameter problem for a type that the node does not know, due if `segments_left` is not zero (RFC 8200
    /// §4.4).
    pub fn unrecognized(&self) -> ExtError {
        ExtError { offset: self.offset + 2, code: PARAM_HEADER_FIELD }
    }
}

/// A fragment header and its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentAt<'a> {
    /// Offset of the header from the start of the IPv6 header: the length of the unfragmentable part.
    pub offset: usize,
    /// Offset of the next-header field that named it; reassembly puts `header.next` there.
    pub next_field: usize,
    /// The header.
    pub header: FragmentHeader,
    /// This fragment's piece of the fragmentable part.
    pub payload: &'a [u8],
}

/// One extension header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExtensionHeader<'a> {
    /// Options for every router; only as the first (RFC 8200 §4.3).
    HopByHop(OptionsArea<'a>),
    /// Routing.
    Routing(RoutingHeader<'a>),
    /// Fragment.
    Fragment(FragmentAt<'a>),
    /// Options for the destination.
    DestOptions(OptionsArea<'a>),
}

/// Iterates over the extension headers of a packet, at most [`MAX_EXTENSION_HEADERS`]. It goes on through a fragment
/// header that is atomic, and ends after any other: what follows that is not whole. After an error there is nothing
/// more.
#[derive(Clone, Debug)]
pub struct ExtensionHeaders<'a> {
    next: u8,
    next_field: usize,
    offset: usize,
    rest: &'a [u8],
    count: usize,
    ended: bool,
}

impl<'a> ExtensionHeaders<'a> {
    /// `next_header` and `payload` are those of the fixed header.
    #[inline]
    pub fn new(next_header: u8, payload: &'a [u8]) -> Self {
        Self::starting_at(next_header, Ipv6Header::NEXT_HEADER_OFFSET, Ipv6Header::LEN, payload)
    }

    /// For going on elsewhere, as into a first fragment: `bytes` stand at `offset`, and the field at `next_field` named
    /// them `next_header`.
    #[inline]
    pub fn starting_at(next_header: u8, next_field: usize, offset: usize, bytes: &'a [u8]) -> Self {
        Self { next: next_header, next_field, offset, rest: bytes, count: 0, ended: false }
    }

    /// The type of what follows the headers returned so far.
    pub fn next_header(&self) -> u8 {
        self.next
    }

    /// Offset of the next-header field that named it.
    pub fn next_field(&self) -> usize {
        self.next_field
    }

    /// Its offset.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Its bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn fail(&mut self, offset: usize, code: u8) -> Option<Result<ExtensionHeader<'a>, ExtError>> {
        self.ended = true;
        Some(Err(ExtError { offset, code }))
    }

    /// Takes the header of `len` bytes at the front, whose first byte names its follower.
    fn advance(&mut self, len: usize) -> Option<&'a [u8]> {
        let (header, rest) = self.rest.split_at_checked(len)?;
        self.next = *header.first()?;
        self.next_field = self.offset;
        self.offset += len;
        self.rest = rest;
        self.count += 1;
        Some(header)
    }
}

impl<'a> Iterator for ExtensionHeaders<'a> {
    type Item = Result<ExtensionHeader<'a>, ExtError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.next;
        if self.ended || !matches!(kind, proto::HOPOPTS | proto::IPV6_ROUTE | proto::IPV6_FRAG | proto::DSTOPTS) {
            return None;
        }
        let (offset, next_field) = (self.offset, self.next_field);
        if self.count == MAX_EXTENSION_HEADERS {
            return self.fail(next_field, PARAM_HEADER_FIELD);
        }
        // RFC 8200 §4.1: hop-by-hop options anywhere but first count as an unrecognised next header.
        if kind == proto::HOPOPTS && next_field != Ipv6Header::NEXT_HEADER_OFFSET {
            return self.fail(next_field, PARAM_NEXT_HEADER);
        }
        let len = match *self.rest {
            _ if kind == proto::IPV6_FRAG => FragmentHeader::LEN,
            [_, units, ..] => UNIT + UNIT * usize::from(units),
            _ => return self.fail(offset, PARAM_HEADER_FIELD),
        };
        let Some(header) = self.advance(len) else { return self.fail(offset, PARAM_HEADER_FIELD) };
        let area = OptionsArea { offset: offset + 2, area: &header[2..] };
        Some(Ok(match kind {
            proto::HOPOPTS => ExtensionHeader::HopByHop(area),
            proto::DSTOPTS => ExtensionHeader::DestOptions(area),
            proto::IPV6_ROUTE => ExtensionHeader::Routing(RoutingHeader {
                offset,
                kind: header[2],
                segments_left: header[3],
                data: &header[4..],
            }),
            _ => {
                let Ok((fragment, _)) = FragmentHeader::parse(header) else {
                    return self.fail(offset, PARAM_HEADER_FIELD);
                };
                self.ended = !fragment.is_atomic();
                ExtensionHeader::Fragment(FragmentAt { offset, next_field, header: fragment, payload: self.rest })
            }
        }))
    }
}

/// The extension headers of one packet, found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Chain<'a> {
    /// Hop-by-hop options.
    pub hop_by_hop: Option<OptionsArea<'a>>,
    /// Destination options, in their order.
    pub dest_options: [Option<OptionsArea<'a>>; MAX_DEST_OPTIONS],
    /// Routing header.
    pub routing: Option<RoutingHeader<'a>>,
    /// Fragment header. Unless [atomic](FragmentHeader::is_atomic), `payload` is a piece of the fragmentable part, and
    /// for a fragment at offset 0 `upper_proto` may name one more extension header.
    pub fragment: Option<FragmentAt<'a>>,
    /// Type of what follows the chain: an upper protocol, or [`proto::NO_NEXT`].
    pub upper_proto: u8,
    /// Offset of what follows the chain, from the start of the IPv6 header.
    pub upper_offset: usize,
    /// Offset of the next-header field that holds `upper_proto`.
    pub next_field: usize,
    /// What follows the chain.
    pub payload: &'a [u8],
}

impl Chain<'_> {
    /// Whether the packet must be reassembled before its payload means anything.
    pub fn needs_reassembly(&self) -> bool {
        self.fragment.is_some_and(|fragment| !fragment.header.is_atomic())
    }

    /// The parameter problem for an `upper_proto` that the node does not know (code 1).
    pub fn unrecognized(&self) -> ExtError {
        ExtError { offset: self.next_field, code: PARAM_NEXT_HEADER }
    }
}

/// Finds the extension headers of a packet. `next_header` and `payload` are those of the fixed header.
///
/// Refused, beyond what [`ExtensionHeaders`] refuses: a second routing or fragment header, and more than
/// [`MAX_DEST_OPTIONS`] destination options headers (RFC 8504 §5.3).
#[inline]
pub fn walk(next_header: u8, payload: &[u8]) -> Result<Chain<'_>, ExtError> {
    collect(ExtensionHeaders::new(next_header, payload))
}

/// [`walk`] from any point of a packet: see [`ExtensionHeaders::starting_at`].
#[inline]
pub fn walk_from(next_header: u8, next_field: usize, offset: usize, bytes: &[u8]) -> Result<Chain<'_>, ExtError> {
    collect(ExtensionHeaders::starting_at(next_header, next_field, offset, bytes))
}

#[inline]
fn collect(mut headers: ExtensionHeaders<'_>) -> Result<Chain<'_>, ExtError> {
    let (mut hop_by_hop, mut dest_options, mut routing, mut fragment) = (None, [None; MAX_DEST_OPTIONS], None, None);
    loop {
        let named_by = headers.next_field();
        let Some(header) = headers.next() else { break };
        let slot_taken = match header? {
            ExtensionHeader::HopByHop(area) => hop_by_hop.replace(area).is_some(),
            ExtensionHeader::Routing(header) => routing.replace(header).is_some(),
            ExtensionHeader::Fragment(header) => fragment.replace(header).is_some(),
            ExtensionHeader::DestOptions(area) => match dest_options.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => slot.replace(area).is_some(),
                None => true,
            },
        };
        if slot_taken {
            return Err(ExtError { offset: named_by, code: PARAM_HEADER_FIELD });
        }
    }
    Ok(Chain {
        hop_by_hop,
        dest_options,
        routing,
        fragment,
        upper_proto: headers.next_header(),
        upper_offset: headers.offset(),
        next_field: headers.next_field(),
        payload: headers.rest(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv6::Ipv6Option;

    const HBH: [u8; 8] = [proto::IPV6_ROUTE, 0, 5, 2, 0, 0, 1, 0];
    const ROUTING: [u8; 8] = [proto::IPV6_FRAG, 0, 4, 1, 9, 9, 9, 9];
    const ATOMIC: [u8; 8] = [proto::DSTOPTS, 0, 0, 0, 0, 0, 0, 7];
    const DEST: [u8; 16] = [proto::UDP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn without_extension_headers_the_payload_is_the_upper_layer() {
        let chain = walk(proto::TCP, &[1, 2, 3]).unwrap();
        assert_eq!(
            (chain.upper_proto, chain.upper_offset, chain.next_field, chain.payload),
            (6, 40, 6, &[1, 2, 3][..])
        );
        assert!(!chain.needs_reassembly());
        assert_eq!(walk(proto::NO_NEXT, &[]).unwrap().upper_proto, proto::NO_NEXT);
    }

    #[test]
    fn each_header_is_found_in_its_place() {
        let payload = [&HBH[..], &ROUTING, &ATOMIC, &DEST, b"udp"].concat();
        let chain = walk(proto::HOPOPTS, &payload).unwrap();
        assert_eq!((chain.upper_proto, chain.upper_offset, chain.next_field, chain.payload), (17, 80, 64, &b"udp"[..]));
        let alert = chain.hop_by_hop.unwrap().options().next().unwrap().unwrap();
        assert_eq!((alert.offset, alert.option), (42, Ipv6Option::RouterAlert(0)));
        let routing = chain.routing.unwrap();
        assert_eq!((routing.offset, routing.kind, routing.segments_left), (48, 4, 1));
        assert_eq!(routing.unrecognized().offset, 50);
        let fragment = chain.fragment.unwrap();
        assert_eq!((fragment.offset, fragment.next_field, fragment.header.id), (56, 48, 7));
        assert_eq!(chain.dest_options[0].unwrap().offset, 66);
        assert_eq!(chain.dest_options[1], None);
    }

    #[test]
    fn the_walk_ends_at_a_real_fragment() {
        let payload = [proto::DSTOPTS, 0, 0, 1, 0, 0, 0, 7, 0xff, 0xff];
        let chain = walk(proto::IPV6_FRAG, &payload).unwrap();
        assert!(chain.needs_reassembly());
        assert_eq!((chain.upper_proto, chain.payload), (proto::DSTOPTS, &[0xff, 0xff][..]));
        assert_eq!(chain.fragment.unwrap().payload, [0xff, 0xff]);
    }

    #[test]
    fn hop_by_hop_anywhere_but_first_is_an_unrecognised_header() {
        let mut dest = DEST;
        dest[0] = proto::HOPOPTS;
        let payload = [&dest[..], &HBH].concat();
        assert_eq!(walk(proto::DSTOPTS, &payload), Err(ExtError { offset: 40, code: 1 }));
    }

    #[test]
    fn a_truncated_header_is_an_erroneous_one_at_every_length() {
        let payload = [&HBH[..], &ROUTING, &ATOMIC, &DEST].concat();
        for len in 0..payload.len() {
            let header = match len {
                0..8 => 40,
                8..16 => 48,
                16..24 => 56,
                _ => 64,
            };
            assert_eq!(walk(proto::HOPOPTS, &payload[..len]), Err(ExtError { offset: header, code: 0 }), "{len}");
        }
    }

    #[test]
    fn the_number_of_headers_is_bounded() {
        let again = [proto::DSTOPTS, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(walk(proto::DSTOPTS, &again.repeat(3)), Err(ExtError { offset: 48, code: 0 }));
        let many = again.repeat(100);
        let results: Vec<_> = ExtensionHeaders::new(proto::DSTOPTS, &many).collect();
        assert_eq!(results.len(), MAX_EXTENSION_HEADERS + 1);
        assert!(results.last().unwrap().is_err());
        let twice = [&[proto::IPV6_ROUTE, 0, 0, 0, 0, 0, 0, 0][..]; 2].concat();
        assert_eq!(walk(proto::IPV6_ROUTE, &twice), Err(ExtError { offset: 40, code: 0 }));
    }
}
