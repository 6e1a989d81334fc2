//! Ethernet II framing (IEEE 802.3 §3.1.1, RFC 894, RFC 2464). Tags (802.1Q) are left to the link as another ethertype.

use crate::error::ParseError;
use crate::field;
use crate::mac::MacAddr;

/// IPv4 (RFC 894).
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP (RFC 826).
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IPv6 (RFC 2464 §3).
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// A VLAN tag (IEEE 802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// QNX's native networking.
pub const ETHERTYPE_QNET: u16 = 0x8204;

/// The header of an Ethernet frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EthernetHeader {
    /// Receiver.
    pub dst: MacAddr,
    /// Sender.
    pub src: MacAddr,
    /// Protocol of the payload; values below 0x600 are an 802.3 length and never one of the `ETHERTYPE_*`.
    pub ethertype: u16,
}

impl EthernetHeader {
    /// Bytes of the header.
    pub const LEN: usize = 14;

    /// Splits a frame (without preamble and FCS) into header and payload. The payload may end in link padding.
    ///
    /// `Truncated` if shorter than [`Self::LEN`].
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (head, payload) = frame.split_first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        Ok((Self { dst: field::mac(head, 0), src: field::mac(head, 6), ethertype: field::be16(head, 12) }, payload))
    }

    /// Writes [`Self::LEN`] bytes at the front of `buf`.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let Self { dst, src, ethertype } = self;
        field::put(buf, 0, &dst.0);
        field::put(buf, 6, &src.0);
        field::put16(buf, 12, *ethertype);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_standard_puts_them() {
        let frame = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06, 0xaa, 0xbb];
        let (header, payload) = EthernetHeader::parse(&frame).unwrap();
        assert_eq!(
            header,
            EthernetHeader { dst: MacAddr::BROADCAST, src: MacAddr([2, 0, 0, 0, 0, 1]), ethertype: ETHERTYPE_ARP }
        );
        assert_eq!(payload, [0xaa, 0xbb]);
        let mut out = [0; 14];
        header.emit(&mut out);
        assert_eq!(out, frame[..14]);
        assert_eq!(EthernetHeader::parse(&frame[..13]), Err(ParseError::Truncated));
    }
}
