//! What a program and `io-pkt` say to each other: the messages of control calls, the headers
//! that travel with datagrams and accepted connections, the structured form of configuration and
//! state, and where an instance is found in the file system.
//!
//! Everything here is data: no system calls, no state. [`call`], [`datagram`] and [`addr`] need no
//! allocation, since the library that is loaded into programs uses them in signal handlers and
//! between `vfork` and `exec`.

#![forbid(unsafe_code)]

pub mod addr;
pub mod call;
pub mod config;
pub mod datagram;
pub mod paths;

pub use addr::WireAddr;
pub use errno::Errno;
