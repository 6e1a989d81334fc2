//! The IPv6 header (RFC 8200 §3), its extension headers ([`ExtensionHeaders`], §4) and their options ([`Ipv6Options`],
//! §4.2).
//!
//! All offsets in this module count bytes from the first byte of the IPv6 header, as ICMPv6 pointers do.

mod extension;
mod fragment;
mod options;

pub use extension::{
    Chain, ExtError, ExtensionHeader, ExtensionHeaders, FragmentAt, MAX_DEST_OPTIONS, MAX_EXTENSION_HEADERS,
    OptionsArea, RoutingHeader, walk, walk_from,
};
pub use fragment::FragmentHeader;
pub use options::{Ipv6Option, Ipv6OptionAt, Ipv6Options, UnknownAction, emit_padding};

use core::net::Ipv6Addr;

use crate::error::ParseError;
use crate::field;

/// The fixed IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv6Header {
    /// DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// Flow label, 0..=0xfffff.
    pub flow_label: u32,
    /// Bytes after this header, extension headers included.
    pub payload_len: u16,
    /// What follows: [`crate::proto`].
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Sender.
    pub src: Ipv6Addr,
    /// Receiver.
    pub dst: Ipv6Addr,
}

impl Ipv6Header {
    /// Bytes of the header.
    pub const LEN: usize = 40;
    /// Where the header's next-header field stands.
    pub const NEXT_HEADER_OFFSET: usize = 6;
    /// The largest flow label.
    pub const MAX_FLOW_LABEL: u32 = 0xf_ffff;

    /// Splits a packet into header and payload; what follows `payload_len` is link padding and cut off. A jumbogram
    /// (RFC 2675) has a `payload_len` of zero and so an empty payload.
    ///
    /// `Truncated` if the packet is shorter than the header or the payload, `BadVersion` if not version 6.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (header, rest) = Self::parse_header(packet)?;
        let payload = rest.get(..header.payload_len.into()).ok_or(ParseError::Truncated)?;
        Ok((header, payload))
    }

    /// [`Self::parse`] for the start of a packet that an ICMPv6 error quotes: the payload is whatever is there.
    #[inline]
    pub fn parse_header(packet: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (h, rest) = packet.split_first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        let first = field::be32(h, 0);
        if first >> 28 != 6 {
            return Err(ParseError::BadVersion);
        }
        let header = Self {
            traffic_class: (first >> 20) as u8,
            flow_label: first & Self::MAX_FLOW_LABEL,
            payload_len: field::be16(h, 4),
            next_header: h[Self::NEXT_HEADER_OFFSET],
            hop_limit: h[7],
            src: field::ipv6(h, 8),
            dst: field::ipv6(h, 24),
        };
        Ok((header, rest))
    }

    /// Writes [`Self::LEN`] bytes at the front of `buf`. Bits of the flow label beyond 20 are dropped.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let Self { traffic_class, flow_label, payload_len, next_header, hop_limit, src, dst } = self;
        field::put32(buf, 0, 6 << 28 | u32::from(*traffic_class) << 20 | flow_label & Self::MAX_FLOW_LABEL);
        field::put16(buf, 4, *payload_len);
        field::put(buf, Self::NEXT_HEADER_OFFSET, &[*next_header, *hop_limit]);
        field::put(buf, 8, &src.octets());
        field::put(buf, 24, &dst.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_and_writes_as_rfc_8200_draws_it() {
        let mut packet = vec![0x6a, 0xbc, 0xde, 0xf1, 0, 3, 17, 64];
        packet.extend("fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("ff02::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend([1, 2, 3, 0xee]);
        let (header, payload) = Ipv6Header::parse(&packet).unwrap();
        let expected = Ipv6Header {
            traffic_class: 0xab,
            flow_label: 0xcdef1,
            payload_len: 3,
            next_header: 17,
            hop_limit: 64,
            src: "fe80::1".parse().unwrap(),
            dst: "ff02::2".parse().unwrap(),
        };
        assert_eq!((header, payload), (expected, &[1, 2, 3][..]));
        let mut out = [0xff; 40];
        header.emit(&mut out);
        assert_eq!(out, packet[..40]);
        for len in 0..43 {
            assert_eq!(Ipv6Header::parse(&packet[..len]), Err(ParseError::Truncated));
        }
        packet[0] = 0x45;
        assert_eq!(Ipv6Header::parse(&packet), Err(ParseError::BadVersion));
    }
}
