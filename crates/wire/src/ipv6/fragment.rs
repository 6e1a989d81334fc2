//! The IPv6 fragment header (RFC 8200 §4.5).

use crate::error::ParseError;
use crate::field;

/// A fragment header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentHeader {
    /// Type of the first header of the fragmentable part.
    pub next: u8,
    /// Place of this fragment in the fragmentable part, in *bytes*, a multiple of 8 in 0..=65528.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identifies the packet that the fragment belongs to.
    pub id: u32,
}

impl FragmentHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Splits bytes that start with a fragment header; `Truncated` if shorter than [`Self::LEN`]. Reserved fields are
    /// ignored.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (h, rest) = bytes.split_first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        let offset = field::be16(h, 2);
        Ok((Self { next: h[0], offset: offset & !7, more: offset & 1 != 0, id: field::be32(h, 4) }, rest))
    }

    /// Writes [`Self::LEN`] bytes at the front of `buf`. The low three bits of the offset are dropped.
    pub fn emit(&self, buf: &mut [u8]) {
        let Self { next, offset, more, id } = self;
        field::put(buf, 0, &[*next, 0]);
        field::put16(buf, 2, offset & !7 | u16::from(*more));
        field::put32(buf, 4, *id);
    }

    /// Whether this is a whole packet in one "fragment" (RFC 6946).
    pub fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_header_reads_and_writes_as_rfc_8200_draws_it() {
        let bytes = [6, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef, 0x99];
        let header = FragmentHeader { next: 6, offset: 1448, more: true, id: 0xdead_beef };
        assert_eq!(FragmentHeader::parse(&bytes), Ok((header, &[0x99][..])));
        let mut out = [0xff; 8];
        header.emit(&mut out);
        assert_eq!(out, bytes[..8]);
        assert_eq!(FragmentHeader::parse(&bytes[..7]), Err(ParseError::Truncated));
        assert!(!header.is_atomic() && FragmentHeader { offset: 0, more: false, ..header }.is_atomic());
    }
}
