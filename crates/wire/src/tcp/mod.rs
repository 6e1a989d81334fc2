//! The TCP header (RFC 9293 §3.1). State machines, and which options count on which segment, are the stack's.

mod flags;
mod options;
mod seq;

pub use flags::TcpFlags;
pub use options::{MAX_OPTIONS_LEN, MAX_SACK_BLOCKS, MAX_WINDOW_SCALE, SackBlocks, TcpOptions, options_len};
pub use seq::{SeqNr, SeqOffset};

use crate::error::ParseError;
use crate::field;

/// The fixed part of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TcpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first byte of data, or of SYN.
    pub seq: SeqNr,
    /// Next sequence number expected; meaningful with ACK.
    pub ack: SeqNr,
    /// Control bits.
    pub flags: TcpFlags,
    /// Receive window, not yet scaled.
    pub window: u16,
    /// Urgent pointer, an offset from `seq`; meaningful with URG.
    pub urgent: u16,
    /// Checksum as on the wire.
    pub checksum: u16,
    /// Bytes of header and options, a multiple of 4 in 20..=60. Ignored by [`Self::emit`].
    pub header_len: u8,
}

impl TcpHeader {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Bytes of the longest header.
    pub const MAX_LEN: usize = 60;
    /// Where the checksum field stands.
    pub const CHECKSUM_OFFSET: usize = 16;

    /// Splits a segment into header, options and payload. The checksum is not verified: see [`verify`].
    ///
    /// `Truncated` if shorter than the header, `BadLength` if the data offset is below 20 bytes. Options never make a
    /// segment fail: what cannot be read is ignored, as Linux does.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Self, TcpOptions, &[u8]), ParseError> {
        let h = segment.first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        let header_len = (h[12] >> 4) * 4;
        if usize::from(header_len) < Self::LEN {
            return Err(ParseError::BadLength);
        }
        let (head, payload) = segment.split_at_checked(header_len.into()).ok_or(ParseError::Truncated)?;
        let header = Self {
            src_port: field::be16(h, 0),
            dst_port: field::be16(h, 2),
            seq: SeqNr(field::be32(h, 4)),
            ack: SeqNr(field::be32(h, 8)),
            flags: TcpFlags::from_bits(field::be16(h, 12)),
            window: field::be16(h, 14),
            checksum: field::be16(h, Self::CHECKSUM_OFFSET),
            urgent: field::be16(h, 18),
            header_len,
        };
        Ok((header, TcpOptions::parse(&head[Self::LEN..]), payload))
    }

    /// Writes header and options at the front of `buf`, `20 + options_len(options)` bytes, and returns their number.
    /// The checksum is written as it stands in `self`.
    #[inline]
    pub fn emit(&self, options: &TcpOptions, buf: &mut [u8]) -> usize {
        let Self { src_port, dst_port, seq, ack, flags, window, urgent, checksum, header_len: _ } = self;
        let len = Self::LEN + options.emit(&mut buf[Self::LEN..]);
        field::put16(buf, 0, *src_port);
        field::put16(buf, 2, *dst_port);
        field::put32(buf, 4, seq.0);
        field::put32(buf, 8, ack.0);
        // `len` is at most 60, so that the data offset fits its four bits.
        field::put16(buf, 12, ((len / 4) as u16) << 12 | flags.bits());
        field::put16(buf, 14, *window);
        field::put16(buf, Self::CHECKSUM_OFFSET, *checksum);
        field::put16(buf, 18, *urgent);
        len
    }
}

/// Whether the checksum of a whole segment fits, `pseudo` being the pseudo-header's sum taken with the segment's
/// length.
#[inline]
pub fn verify(segment: &[u8], pseudo: u64) -> bool {
    crate::checksum::is_valid(crate::checksum::combine(pseudo, crate::checksum::partial(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN as Linux sends it: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
    const SYN: [u8; 40] = [
        0xd4, 0x31, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0xbe, 0xef, 0, 0, //
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7,
    ];

    fn syn() -> (TcpHeader, TcpOptions) {
        (
            TcpHeader {
                src_port: 54321,
                dst_port: 80,
                seq: SeqNr(0x1234_5678),
                ack: SeqNr(0),
                flags: TcpFlags::SYN,
                window: 64240,
                urgent: 0,
                checksum: 0xbeef,
                header_len: 40,
            },
            TcpOptions {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some((9, 0)),
                sack: SackBlocks::default(),
            },
        )
    }

    #[test]
    fn a_syn_of_linux_reads_and_writes_byte_for_byte() {
        let (header, options) = syn();
        assert_eq!(TcpHeader::parse(&SYN), Ok((header, options, &[][..])));
        let mut out = [0xff; 60];
        assert_eq!(header.emit(&options, &mut out), 40);
        assert_eq!(out[..40], SYN);
        assert_eq!(options_len(&options), 20);
    }

    #[test]
    fn the_data_offset_must_lie_within_the_segment() {
        let mut segment = SYN;
        segment[12] = 0x40;
        assert_eq!(TcpHeader::parse(&segment), Err(ParseError::BadLength));
        segment[12] = 0xb0;
        assert_eq!(TcpHeader::parse(&segment), Err(ParseError::Truncated));
        for len in 0..40 {
            assert_eq!(TcpHeader::parse(&SYN[..len]), Err(ParseError::Truncated));
        }
    }

    #[test]
    fn reserved_bits_and_offset_stay_out_of_the_flags() {
        let mut segment = SYN;
        segment[12] |= 0x0f;
        segment[13] = 0xff;
        let (header, _, _) = TcpHeader::parse(&segment).unwrap();
        assert_eq!(header.flags.bits(), 0x01ff);
    }

    #[test]
    fn a_finished_checksum_verifies() {
        let mut segment = SYN;
        field::put16(&mut segment, TcpHeader::CHECKSUM_OFFSET, 0);
        let pseudo = crate::checksum::pseudo_v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), crate::proto::TCP, 40);
        let ck = crate::checksum::finish(pseudo + crate::checksum::partial(&segment));
        field::put16(&mut segment, TcpHeader::CHECKSUM_OFFSET, ck);
        assert!(verify(&segment, pseudo));
        segment[4] ^= 1;
        assert!(!verify(&segment, pseudo));
    }
}
