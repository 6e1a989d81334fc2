//! Names and events of sockets, common to every transport.

use core::ops::{BitOr, BitOrAssign};

/// What kind of endpoint a [`SocketId`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SocketKind {
    Tcp,
    Udp,
    /// SOCK_RAW of an IP protocol.
    Raw,
    /// SOCK_DGRAM of ICMP or ICMPv6: echo requests with an identifier of one's own ("ping socket").
    Ping,
}

/// Names a socket of one stack. The generation tells a stale name from a live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    pub kind: SocketKind,
    pub index: u32,
    pub generation: u32,
}

/// Which directions `shutdown(2)` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    Read,
    Write,
    Both,
}

/// What happened to a stream socket since it was last asked; several may stand together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u16);

impl Events {
    /// The handshake of a `connect` ended well.
    pub const CONNECTED: Events = Events(1);
    /// New bytes are in the receive ring.
    pub const READABLE: Events = Events(2);
    /// Bytes of the send ring were acknowledged: there is room again.
    pub const WRITABLE: Events = Events(4);
    /// The peer's FIN came: after the receive ring's bytes there will be no more.
    pub const PEER_CLOSED: Events = Events(8);
    /// A listener has connections to accept.
    pub const ACCEPTABLE: Events = Events(16);
    /// The connection is over and in error, or could not be made: `Stack::take_error` says why.
    pub const FAILED: Events = Events(32);
    /// The connection is over in good order (both FINs acknowledged, or TIME_WAIT reached).
    pub const CLOSED: Events = Events(64);

    pub fn contains(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Events) {
        self.0 |= other.0;
    }
}
