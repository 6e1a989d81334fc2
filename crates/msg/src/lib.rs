//! QNX-style message passing: a server makes a [`Channel`] and receives; a client opens a
//! [`Connection`] and sends, blocked until the reply is there. Descriptors travel along both ways.
//!
//! The transport underneath is one SEQPACKET unix socket per connection, found by path name. A
//! message is one packet, bare; so is a reply. [`Channel::error`] answers with eight bytes: the error
//! number and a zero (the empty reply of `sockets::call::ReplyHeader`).
//!
//! The names are the field's: `rcvid` names a message that waits for its reply.

pub mod channel;
pub mod connection;
mod packet;
mod slots;

pub use channel::{Channel, Counters, Event, Received};
pub use connection::Connection;
pub use errno::Errno;

/// Most descriptors in one message, either way.
pub const FDS_MAX: usize = 64;
/// Longest message or reply in bytes.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// Who sent a message, as the kernel vouches for it (real ids at the time of sending).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Credentials {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Names a message that was received and not yet answered. A stale one is refused, never
/// taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcvid {
    pub(crate) client: u32,
    pub(crate) generation: u32,
}
