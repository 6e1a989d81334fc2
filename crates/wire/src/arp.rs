//! ARP for IPv4 over Ethernet (RFC 826). Who to believe is the neighbour cache's business.

use core::net::Ipv4Addr;

use crate::error::ParseError;
use crate::ethernet::ETHERTYPE_IPV4;
use crate::field;
use crate::mac::MacAddr;

const HTYPE_ETHERNET: u16 = 1;

/// What an ARP packet asks or says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArpOp {
    /// "Who has `target_ip`?" (1)
    Request,
    /// "`sender_ip` is at `sender_mac`." (2)
    Reply,
    /// Another operation, such as the RARP ones.
    Other(u16),
}

impl From<u16> for ArpOp {
    fn from(op: u16) -> Self {
        match op {
            1 => Self::Request,
            2 => Self::Reply,
            other => Self::Other(other),
        }
    }
}

impl From<ArpOp> for u16 {
    fn from(op: ArpOp) -> Self {
        match op {
            ArpOp::Request => 1,
            ArpOp::Reply => 2,
            ArpOp::Other(other) => other,
        }
    }
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArpPacket {
    /// The operation.
    pub op: ArpOp,
    /// Link address of the sender.
    pub sender_mac: MacAddr,
    /// Protocol address of the sender; unspecified in a probe (RFC 5227 §2.1.1).
    pub sender_ip: Ipv4Addr,
    /// Link address of the target; meaningless in a request.
    pub target_mac: MacAddr,
    /// Protocol address of the target.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// Bytes of a packet.
    pub const LEN: usize = 28;

    /// Reads a packet; bytes after it are link padding and ignored.
    ///
    /// `Truncated` if shorter than [`Self::LEN`], `Malformed` if not for IPv4 over Ethernet.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let p = bytes.first_chunk::<{ Self::LEN }>().ok_or(ParseError::Truncated)?;
        if field::be16(p, 0) != HTYPE_ETHERNET || field::be16(p, 2) != ETHERTYPE_IPV4 || p[4] != 6 || p[5] != 4 {
            return Err(ParseError::Malformed);
        }
        Ok(Self {
            op: field::be16(p, 6).into(),
            sender_mac: field::mac(p, 8),
            sender_ip: field::ipv4(p, 14),
            target_mac: field::mac(p, 18),
            target_ip: field::ipv4(p, 24),
        })
    }

    /// Writes [`Self::LEN`] bytes at the front of `buf`.
    pub fn emit(&self, buf: &mut [u8]) {
        let Self { op, sender_mac, sender_ip, target_mac, target_ip } = self;
        field::put16(buf, 0, HTYPE_ETHERNET);
        field::put16(buf, 2, ETHERTYPE_IPV4);
        field::put(buf, 4, &[6, 4]);
        field::put16(buf, 6, (*op).into());
        field::put(buf, 8, &sender_mac.0);
        field::put(buf, 14, &sender_ip.octets());
        field::put(buf, 18, &target_mac.0);
        field::put(buf, 24, &target_ip.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [u8; 28] = [
        0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, 6, 4, request
        2, 0, 0, 0, 0, 1, 10, 0, 0, 1, // sender
        0, 0, 0, 0, 0, 0, 10, 0, 0, 2, // target
    ];

    #[test]
    fn a_request_reads_and_writes_as_rfc_826_draws_it() {
        let packet = ArpPacket::parse(&REQUEST).unwrap();
        assert_eq!(
            packet,
            ArpPacket {
                op: ArpOp::Request,
                sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
                sender_ip: Ipv4Addr::new(10, 0, 0, 1),
                target_mac: MacAddr::ZERO,
                target_ip: Ipv4Addr::new(10, 0, 0, 2),
            }
        );
        let mut out = [0xff; 28];
        packet.emit(&mut out);
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn link_padding_is_ignored() {
        let mut padded = REQUEST.to_vec();
        padded.resize(46, 0);
        assert_eq!(ArpPacket::parse(&padded), ArpPacket::parse(&REQUEST));
    }

    #[test]
    fn other_hardware_or_protocols_are_malformed() {
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16)] {
            let mut bytes = REQUEST;
            bytes[at] = value;
            assert_eq!(ArpPacket::parse(&bytes), Err(ParseError::Malformed));
        }
        assert_eq!(ArpPacket::parse(&REQUEST[..27]), Err(ParseError::Truncated));
    }
}
