//! The header before each message on the pair of a datagram or raw socket, both ways.
//!
//! From program to daemon it begins with the socket's random key, by which the daemon tells the
//! library's messages from the bare payload of a `write()` that passed the library by. The layout
//! is fixed, [`Header::LEN`] bytes, host byte order.

use crate::addr::WireAddr;
use crate::call::Reader;
use errno::Errno;

/// Flags of [`Header::flags`].
pub mod flag {
    /// `addr` holds the destination (to the daemon) or the source (to the program).
    pub const ADDR: u16 = 1;
    /// `local` and `ifindex` hold packet information: the source to use, or the destination seen.
    pub const PKTINFO: u16 = 2;
    /// `ttl` is set (IP_TTL, IPV6_HOPLIMIT).
    pub const TTL: u16 = 4;
    /// `tos` is set (IP_TOS, IPV6_TCLASS).
    pub const TOS: u16 = 8;
    /// `timestamp_ns` is set (time of receipt, ns since the epoch).
    pub const TIMESTAMP: u16 = 16;
    /// To the program: no payload; `errno` is the socket's pending error (ICMP, RFC 1122 §4.1.3.3).
    pub const ERROR: u16 = 32;
    /// MSG_DONTROUTE.
    pub const DONTROUTE: u16 = 64;
    /// To the program: the datagram came to a broadcast or multicast address.
    pub const GROUP: u16 = 128;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// The socket's key towards the daemon; 0 towards the program.
    pub key: u64,
    pub flags: u16,
    pub ttl: u8,
    pub tos: u8,
    pub errno: i32,
    pub ifindex: u32,
    pub timestamp_ns: u64,
    pub addr: WireAddr,
    pub local: WireAddr,
}

impl Header {
    pub const LEN: usize = 84;

    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..8].copy_from_slice(&self.key.to_ne_bytes());
        b[8..10].copy_from_slice(&self.flags.to_ne_bytes());
        b[10] = self.ttl;
        b[11] = self.tos;
        b[12..16].copy_from_slice(&self.errno.to_ne_bytes());
        b[16..20].copy_from_slice(&self.ifindex.to_ne_bytes());
        b[20..28].copy_from_slice(&self.timestamp_ns.to_ne_bytes());
        b[28..56].copy_from_slice(&self.addr.to_bytes());
        b[56..84].copy_from_slice(&self.local.to_bytes());
        b
    }

    /// Splits a message into header and payload; EPROTO when it is shorter than a header.
    pub fn parse(message: &[u8]) -> Result<(Header, &[u8]), Errno> {
        let mut r = Reader::new(message);
        let key = r.u64()?;
        let flags = r.u16()?;
        let [ttl, tos] = r.u16()?.to_ne_bytes();
        let header = Header {
            key,
            flags,
            ttl,
            tos,
            errno: r.i32()?,
            ifindex: r.u32()?,
            timestamp_ns: r.u64()?,
            addr: r.addr()?,
            local: r.addr()?,
        };
        Ok((header, r.rest()))
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_a_short_message_is_refused() {
        let h = Header {
            key: 7,
            flags: flag::ADDR | flag::TTL,
            ttl: 64,
            tos: 0xb8,
            errno: -1,
            ifindex: 2,
            timestamp_ns: u64::MAX,
            addr: WireAddr { family: 2, port: 53, ..Default::default() },
            local: WireAddr { family: 10, scope_id: 3, ..Default::default() },
        };
        let mut m = h.to_bytes().to_vec();
        m.extend_from_slice(b"payload");
        assert_eq!(Header::parse(&m), Ok((h, &b"payload"[..])));
        assert_eq!(Header::parse(&m[..Header::LEN - 1]), Err(Errno::EPROTO));
    }
}
