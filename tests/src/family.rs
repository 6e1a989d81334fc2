//! IPv4 and IPv6 side by side: a test loops over [`Family::BOTH`].

use crate::lab::{PEER_V4, PEER_V6, STACK_V4, STACK_V6};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The kernel peer's address.
    pub fn peer(self) -> &'static str {
        match self {
            Family::V4 => PEER_V4,
            Family::V6 => PEER_V6,
        }
    }

    /// The instance's address.
    pub fn stack(self) -> &'static str {
        match self {
            Family::V4 => STACK_V4,
            Family::V6 => STACK_V6,
        }
    }

    /// The host's own address for itself.
    pub fn loopback(self) -> &'static str {
        match self {
            Family::V4 => "127.0.0.1",
            Family::V6 => "::1",
        }
    }

    /// The instance's address on the user link.
    pub fn guest(self) -> &'static str {
        match self {
            Family::V4 => "10.0.2.15",
            Family::V6 => "fd00::f",
        }
    }

    /// The host's loopback as programs on the user link name it.
    pub fn host(self) -> &'static str {
        match self {
            Family::V4 => "10.0.2.2",
            Family::V6 => "fd00::2",
        }
    }

    /// The number that names of programs and options end with.
    pub fn digit(self) -> char {
        match self {
            Family::V4 => '4',
            Family::V6 => '6',
        }
    }
}

/// An address as it stands in URLs, for scp and for socat: IPv6 in brackets.
pub fn bracketed(addr: &str) -> String {
    match addr.contains(':') {
        true => format!("[{addr}]"),
        false => addr.to_owned(),
    }
}
