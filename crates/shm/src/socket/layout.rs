//! The header page of a socket's memfd. Fields that different sides write lie on cache lines of their own.

use super::mode::ModeWord;
use super::token::{Sleepers, TokenWord};
use super::turn::TurnLock;
use crate::sync::AtomicU32;

/// Bytes before the first ring.
pub(crate) const HEADER_SIZE: usize = 4096;
/// "iopk", then the version of this layout.
pub(crate) const MAGIC: u32 = 0x6b70_6f69;
pub(crate) const VERSION: u32 = 1;

/// A cache line; two are fetched together by common processors, hence 128 bytes.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

impl<T> std::ops::Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// All zero is the state at birth: pair mode, both rings empty, no token, no holder.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) identity: Line<Identity>,
    pub(crate) mode: Line<ModeWord>,
    /// From the program to the daemon.
    pub(crate) tx: Direction,
    /// From the daemon to the program.
    pub(crate) rx: Direction,
}

/// Written once by the daemon before anybody else has the memfd; read once when attached.
#[repr(C)]
pub(crate) struct Identity {
    pub(crate) magic: AtomicU32,
    pub(crate) version: AtomicU32,
    pub(crate) tx_size: AtomicU32,
    pub(crate) rx_size: AtomicU32,
}

#[repr(C)]
pub(crate) struct Direction {
    pub(crate) producer: Line<Producer>,
    pub(crate) consumer: Line<Consumer>,
    /// Written by both sides, seldom.
    pub(crate) token: Line<TokenWord>,
    /// Of the threads at the program's end.
    pub(crate) turn: Line<TurnLock>,
}

#[repr(C)]
pub(crate) struct Producer {
    /// Bytes ever published, modulo 2^32.
    pub(crate) tail: AtomicU32,
    /// Who of the producers sleeps until there is room.
    pub(crate) sleepers: Sleepers,
}

#[repr(C)]
pub(crate) struct Consumer {
    /// Bytes ever let go, modulo 2^32.
    pub(crate) head: AtomicU32,
    /// Not 0: somebody watches the descriptor edge-triggered, so each arrival needs a token of its own.
    pub(crate) edge: AtomicU32,
    /// Of the send ring: bytes that the program is to leave in it at most, and whether the daemon takes no more.
    pub(crate) limit: AtomicU32,
    pub(crate) closed: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Header>() <= HEADER_SIZE);
    assert!(size_of::<Direction>() == 4 * 128);
    assert!(offset_of!(Header, mode) == 128 && offset_of!(Header, tx) == 256 && offset_of!(Header, rx) == 768);
};

#[cfg(loom)]
impl Header {
    /// loom's atomics cannot be laid over zeroed memory.
    pub(crate) fn new() -> Header {
        let word = || AtomicU32::new(0);
        let direction = || Direction {
            producer: Line(Producer { tail: word(), sleepers: Sleepers::new() }),
            consumer: Line(Consumer { head: word(), edge: word(), limit: word(), closed: word() }),
            token: Line(TokenWord::new()),
            turn: Line(TurnLock::new()),
        };
        let identity = Identity { magic: word(), version: word(), tx_size: word(), rx_size: word() };
        Header { identity: Line(identity), mode: Line(ModeWord::new()), tx: direction(), rx: direction() }
    }
}
