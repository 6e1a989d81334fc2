//! UDP (RFC 768; over IPv6 RFC 8200 §8.1).

use crate::checksum;
use crate::error::ParseError;
use crate::field;

/// The header of a UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpHeader {
    /// Source port; zero if no answer is expected.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Bytes of header and payload, 8 to 65535.
    pub len: u16,
    /// Checksum; zero if the sender computed none (forbidden over IPv6 outside RFC 6935 tunnels).
    pub checksum: u16,
}

impl UdpHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Splits a datagram into header and payload, and cuts off what follows `len`.
    ///
    /// `Truncated` if shorter than the header or than `len`, `BadLength` if `len` is below 8. The checksum is not
    /// verified: see [`Self::verify`].
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (h, rest) = datagram.split_first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        let header = Self {
            src_port: field::be16(h, 0),
            dst_port: field::be16(h, 2),
            len: field::be16(h, 4),
            checksum: field::be16(h, 6),
        };
        let payload_len = usize::from(header.len).checked_sub(Self::LEN).ok_or(ParseError::BadLength)?;
        let payload = rest.get(..payload_len).ok_or(ParseError::Truncated)?;
        Ok((header, payload))
    }

    /// Writes [`Self::LEN`] bytes at the front of `buf`, with the checksum as it stands in `self`.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let Self { src_port, dst_port, len, checksum } = self;
        field::put16(buf, 0, *src_port);
        field::put16(buf, 2, *dst_port);
        field::put16(buf, 4, *len);
        field::put16(buf, 6, *checksum);
    }

    /// Whether the sender computed a checksum.
    #[inline]
    pub fn has_checksum(&self) -> bool {
        self.checksum != 0
    }

    /// Whether the checksum fits header, `payload` and the pseudo-header sum `pseudo` (taken with `len`). A datagram
    /// without a checksum does not fit: ask [`Self::has_checksum`] first.
    #[inline]
    pub fn verify(&self, payload: &[u8], pseudo: u64) -> bool {
        self.has_checksum() && checksum::is_valid(self.sum(payload, pseudo))
    }

    /// The value for the checksum field, never zero (RFC 768: a computed zero is sent as all ones).
    #[inline]
    pub fn compute_checksum(&self, payload: &[u8], pseudo: u64) -> u16 {
        checksum_from_sum(Self { checksum: 0, ..*self }.sum(payload, pseudo))
    }

    fn sum(&self, payload: &[u8], pseudo: u64) -> u64 {
        let Self { src_port, dst_port, len, checksum: field } = *self;
        let header = u64::from(src_port) + u64::from(dst_port) + u64::from(len) + u64::from(field);
        checksum::combine(checksum::combine(pseudo, header), checksum::partial(payload))
    }
}

/// Finishes a sum over pseudo-header, header (checksum zero) and payload into the field's value; zero becomes 0xffff
/// (RFC 768).
#[inline]
pub fn checksum_from_sum(sum: u64) -> u16 {
    match checksum::finish(sum) {
        0 => 0xffff,
        ck => ck,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const DATAGRAM: [u8; 12] = [0x30, 0x39, 0x00, 0x35, 0x00, 0x0b, 0x00, 0x00, b'a', b'b', b'c', 0xee];

    #[test]
    fn the_length_field_cuts_off_padding() {
        let (header, payload) = UdpHeader::parse(&DATAGRAM).unwrap();
        assert_eq!(header, UdpHeader { src_port: 12345, dst_port: 53, len: 11, checksum: 0 });
        assert_eq!(payload, b"abc");
        let mut out = [0xff; 8];
        header.emit(&mut out);
        assert_eq!(out, DATAGRAM[..8]);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let mut short = DATAGRAM;
        short[5] = 7;
        assert_eq!(UdpHeader::parse(&short), Err(ParseError::BadLength));
        short[5] = 13;
        assert_eq!(UdpHeader::parse(&short), Err(ParseError::Truncated));
        assert_eq!(UdpHeader::parse(&DATAGRAM[..7]), Err(ParseError::Truncated));
    }

    #[test]
    fn a_computed_checksum_verifies_and_a_changed_byte_does_not() {
        let pseudo = checksum::pseudo_v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), crate::proto::UDP, 11);
        let (mut header, payload) = UdpHeader::parse(&DATAGRAM).unwrap();
        assert!(!header.has_checksum() && !header.verify(payload, pseudo));
        header.checksum = header.compute_checksum(payload, pseudo);
        // 0a00 + 0001 + 0a00 + 0002 + 0011 + 000b + 3039 + 0035 + 000b + 6162 + 6300 = 108fa, folded 08fb, complement
        // f704.
        assert_eq!(header.checksum, 0xf704);
        assert!(header.verify(payload, pseudo));
        assert!(!header.verify(b"abd", pseudo));
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        let header = UdpHeader { src_port: 0xffff, dst_port: 0, len: 8, checksum: 0 };
        assert_eq!(header.compute_checksum(&[], 0xffff - 8), 0xffff);
    }
}
