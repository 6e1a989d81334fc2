//! The IPv4 header (RFC 791 §3.1). Fragments are recognised here and put together by the stack.

mod options;

pub use options::{Ipv4Option, Ipv4OptionError, Ipv4Options};

use core::net::Ipv4Addr;

use crate::checksum;
use crate::error::ParseError;
use crate::field;

const FLAG_DF: u16 = 0x4000;
const FLAG_MF: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// An IPv4 header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv4Header {
    /// Type of service: DSCP in the upper six bits, ECN in the lower two (RFC 2474, RFC 3168).
    pub tos: u8,
    /// Bytes of header, options and payload.
    pub total_len: u16,
    /// Identifies the datagram that a fragment belongs to.
    pub id: u16,
    /// Do not fragment.
    pub df: bool,
    /// More fragments follow.
    pub mf: bool,
    /// Place of this fragment's payload in the datagram, in *bytes*, a multiple of 8 in 0..=65528.
    pub frag_offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// Protocol of the payload: [`crate::proto`].
    pub proto: u8,
    /// Sender.
    pub src: Ipv4Addr,
    /// Receiver.
    pub dst: Ipv4Addr,
    /// Bytes of header and options, a multiple of 4 in 20..=60. Ignored by the `emit` functions.
    pub header_len: u8,
}

impl Ipv4Header {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Bytes of the longest header.
    pub const MAX_LEN: usize = 60;
    /// Room for options, in bytes.
    pub const MAX_OPTIONS_LEN: usize = 40;
    /// Where the header checksum stands.
    pub const CHECKSUM_OFFSET: usize = 10;

    /// Splits a packet into header, options and payload; what follows `total_len` is link padding and cut off.
    ///
    /// `Truncated` if the packet is shorter than its header or `total_len`, `BadVersion` if not version 4, `BadLength`
    /// if the header length is below 20 or above `total_len`, `BadChecksum` if the header checksum is wrong.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8], &[u8]), ParseError> {
        let parsed = Self::parse_unchecked_sum(packet)?;
        let head = &packet[..usize::from(parsed.0.header_len)];
        if !checksum::is_valid(checksum::partial(head)) {
            return Err(ParseError::BadChecksum);
        }
        Ok(parsed)
    }

    /// [`Self::parse`] without verifying the header checksum: for packets quoted in ICMP errors, and links that
    /// verified it.
    #[inline]
    pub fn parse_unchecked_sum(packet: &[u8]) -> Result<(Self, &[u8], &[u8]), ParseError> {
        let (header, options) = Self::parse_header(packet)?;
        let whole = packet.get(..header.total_len.into()).ok_or(ParseError::Truncated)?;
        let payload = whole.get(header.header_len.into()..).ok_or(ParseError::BadLength)?;
        Ok((header, options, payload))
    }

    /// Reads header and options alone, without the checksum, and lets `total_len` exceed the buffer: for the start of a
    /// packet that an ICMP error quotes (RFC 792), whose payload is `&quoted[header_len..]`.
    #[inline]
    pub fn parse_header(packet: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let h = packet.first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        if h[0] >> 4 != 4 {
            return Err(ParseError::BadVersion);
        }
        let header_len = (h[0] & 0xf) * 4;
        let total_len = field::be16(h, 2);
        if usize::from(header_len) < Self::LEN || total_len < u16::from(header_len) {
            return Err(ParseError::BadLength);
        }
        let options = packet.get(Self::LEN..header_len.into()).ok_or(ParseError::Truncated)?;
        let fragment = field::be16(h, 6);
        let header = Self {
            tos: h[1],
            total_len,
            id: field::be16(h, 4),
            df: fragment & FLAG_DF != 0,
            mf: fragment & FLAG_MF != 0,
            frag_offset: (fragment & OFFSET_MASK) << 3,
            ttl: h[8],
            proto: h[9],
            src: field::ipv4(h, 12),
            dst: field::ipv4(h, 16),
            header_len,
        };
        Ok((header, options))
    }

    /// Writes a header of [`Self::LEN`] bytes, without options, at the front of `buf`, with its checksum.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        self.emit_fixed(Self::LEN, buf);
        self.emit_checksum(Self::LEN, buf);
    }

    /// Writes header and options, padded with end-of-list to a multiple of 4, at the front of `buf`, and returns their
    /// length. `self.total_len` must count them.
    ///
    /// `BadLength` if the options exceed [`Self::MAX_OPTIONS_LEN`], `Truncated` if `buf` is too short.
    pub fn emit_with_options(&self, options: &[u8], buf: &mut [u8]) -> Result<usize, ParseError> {
        if options.len() > Self::MAX_OPTIONS_LEN {
            return Err(ParseError::BadLength);
        }
        let header_len = Self::LEN + options.len().next_multiple_of(4);
        let head = buf.get_mut(..header_len).ok_or(ParseError::Truncated)?;
        let (area, padding) = head[Self::LEN..].split_at_mut(options.len());
        area.copy_from_slice(options);
        padding.fill(0);
        self.emit_fixed(header_len, head);
        self.emit_checksum(header_len, head);
        Ok(header_len)
    }

    /// Whether this is a part of a larger datagram.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.mf || self.frag_offset != 0
    }

    /// Bytes after header and options; zero if the lengths contradict each other.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        self.total_len.saturating_sub(self.header_len.into())
    }

    fn emit_fixed(&self, header_len: usize, buf: &mut [u8]) {
        let Self { tos, total_len, id, df, mf, frag_offset, ttl, proto, src, dst, header_len: _ } = self;
        let mut fragment = frag_offset >> 3;
        fragment |= if *df { FLAG_DF } else { 0 };
        fragment |= if *mf { FLAG_MF } else { 0 };
        // At most 60 bytes: the length in words fits its four bits.
        field::put(buf, 0, &[0x40 | (header_len / 4) as u8, *tos]);
        field::put16(buf, 2, *total_len);
        field::put16(buf, 4, *id);
        field::put16(buf, 6, fragment);
        field::put(buf, 8, &[*ttl, *proto, 0, 0]);
        field::put(buf, 12, &src.octets());
        field::put(buf, 16, &dst.octets());
    }

    fn emit_checksum(&self, header_len: usize, buf: &mut [u8]) {
        let ck = checksum::finish(checksum::partial(&buf[..header_len]));
        field::put16(buf, Self::CHECKSUM_OFFSET, ck);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand-summed: 4500+0073+0000+4000+4011+c0a8+0001+c0a8+00c7 = 2479c, folded 479e, complement b861.
    const HEADER: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

    fn packet(len: usize) -> Vec<u8> {
        let mut packet = HEADER.to_vec();
        packet.resize(len, 0xee);
        packet
    }

    fn header() -> Ipv4Header {
        Ipv4Header {
            tos: 0,
            total_len: 0x73,
            id: 0,
            df: true,
            mf: false,
            frag_offset: 0,
            ttl: 64,
            proto: 17,
            src: Ipv4Addr::new(192, 168, 0, 1),
            dst: Ipv4Addr::new(192, 168, 0, 199),
            header_len: 20,
        }
    }

    #[test]
    fn a_header_reads_and_writes_as_rfc_791_draws_it() {
        let bytes = packet(0x73);
        assert_eq!(Ipv4Header::parse(&bytes), Ok((header(), &[][..], &bytes[20..])));
        let mut out = [0xff; 20];
        header().emit(&mut out);
        assert_eq!(out, HEADER);
    }

    #[test]
    fn link_padding_is_cut_off_and_missing_bytes_are_missed() {
        assert_eq!(Ipv4Header::parse(&packet(0x80)).unwrap().2.len(), 0x73 - 20);
        for len in 0..0x73 {
            assert_eq!(Ipv4Header::parse(&packet(0x73)[..len]), Err(ParseError::Truncated));
        }
    }

    #[test]
    fn contradictions_are_refused_each_by_its_name() {
        let broken = |at: usize, value: u8| {
            let mut bytes = packet(0x73);
            bytes[at] = value;
            Ipv4Header::parse(&bytes).unwrap_err()
        };
        assert_eq!(broken(0, 0x65), ParseError::BadVersion);
        assert_eq!(broken(0, 0x44), ParseError::BadLength);
        assert_eq!(broken(3, 19), ParseError::BadLength);
        assert_eq!(broken(8, 63), ParseError::BadChecksum);
        let mut bytes = packet(0x73);
        bytes[8] = 63;
        assert_eq!(Ipv4Header::parse_unchecked_sum(&bytes).unwrap().0.ttl, 63);
    }

    #[test]
    fn a_quoted_packet_may_be_cut_short() {
        let quoted = packet(28);
        assert_eq!(Ipv4Header::parse_header(&quoted).unwrap().0, header());
    }

    #[test]
    fn fragment_offsets_are_bytes() {
        let fragment = Ipv4Header { df: false, mf: true, frag_offset: 1480, ..header() };
        let mut bytes = packet(0x73);
        fragment.emit(&mut bytes);
        assert_eq!(bytes[6..8], [0x20, 185]);
        let (parsed, _, _) = Ipv4Header::parse(&bytes).unwrap();
        assert_eq!(parsed, fragment);
        assert!(parsed.is_fragment() && !header().is_fragment());
    }

    #[test]
    fn options_are_padded_and_summed() {
        let mut bytes = packet(0x73);
        let options = [7, 7, 4, 0, 0, 0, 0];
        assert_eq!(header().emit_with_options(&options, &mut bytes), Ok(28));
        let (parsed, area, payload) = Ipv4Header::parse(&bytes).unwrap();
        assert_eq!(parsed.header_len, 28);
        assert_eq!(area, [7, 7, 4, 0, 0, 0, 0, 0]);
        assert_eq!(payload.len(), usize::from(parsed.payload_len()));
        assert_eq!(header().emit_with_options(&[1; 41], &mut bytes), Err(ParseError::BadLength));
        assert_eq!(header().emit_with_options(&[1; 4], &mut [0; 23]), Err(ParseError::Truncated));
    }
}
