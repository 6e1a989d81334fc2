//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 §5.4): a clock plus a keyed
//! hash of the connection's addresses.

use core::net::SocketAddr;

use wire::tcp::SeqNr;

use crate::random::{HashKey, Random};
use crate::time::Instant;

#[derive(Clone, Debug)]
pub struct Secrets {
    sequence: HashKey,
    timestamp: HashKey,
    pub port: HashKey,
}

impl Secrets {
    pub fn new(random: &mut Random) -> Secrets {
        Secrets { sequence: HashKey::new(random), timestamp: HashKey::new(random), port: HashKey::new(random) }
    }

    /// RFC 6528 §3: ISN = M + F(connection, secret), where M ticks every 4 µs.
    pub fn isn(&self, now: Instant, local: SocketAddr, peer: SocketAddr) -> SeqNr {
        SeqNr(((now.0 / 4) as u32).wrapping_add(self.sequence.hash(&(local, peer)) as u32))
    }

    pub fn timestamp_offset(&self, local: SocketAddr, peer: SocketAddr) -> u32 {
        self.timestamp.hash(&(local, peer)) as u32
    }
}
