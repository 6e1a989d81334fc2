//! Memory goes back to the system when a crowd of sockets has left.

use stack::{Duration, Instant};

use super::Shard;
use crate::sys;

/// A peak of fewer sockets than this is not worth the work.
const CROWD: usize = 1024;
/// How long after the crowd has left.
const DELAY: Duration = Duration::from_secs(10);

/// When to look again.
#[derive(Debug)]
pub(super) struct Thrift {
    peak: usize,
    pub(super) at: Instant,
}

impl Default for Thrift {
    fn default() -> Thrift {
        Thrift { peak: 0, at: Instant::FAR }
    }
}

impl Shard {
    /// Each turn: notes the peak, and shrinks the tables when less than half of it is left for a while.
    pub(super) fn be_thrifty(&mut self, now: Instant) {
        let len = self.table.len();
        self.thrift.peak = self.thrift.peak.max(len);
        let left = self.thrift.peak >= CROWD && len * 2 < self.thrift.peak;
        if !left {
            self.thrift.at = Instant::FAR;
        } else if self.thrift.at == Instant::FAR {
            self.thrift.at = now + DELAY;
        } else if now >= self.thrift.at {
            self.thrift = Thrift { peak: len, at: Instant::FAR };
            self.table.shrink();
            sys::give_back_memory();
        }
    }
}
