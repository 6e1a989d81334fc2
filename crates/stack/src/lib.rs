//! The protocol engine: links, neighbours, routes, IPv4 and IPv6, ICMP, UDP, TCP, raw sockets and
//! timers, with no input or output of its own. Frames, requests and the time come in as arguments;
//! frames, events and the next deadline go out. Randomness comes from a seed.
//!
//! [`Stack`] says in which order to call it.

#![forbid(unsafe_code)]

mod datagram;
pub mod frame;
pub mod net;
pub mod options;
pub mod random;
pub mod raw;
pub mod socket;
pub mod stack;
pub mod tcp;
pub mod time;
pub mod timer;
pub mod udp;

pub use errno::Errno;
pub use frame::{Gso, GsoKind, LinkId, Offloads, Payload, RxCsum, RxFrame, TxBatch, TxCsum, TxFrame};
pub use options::{Domain, RecvMeta, SendMeta, SockOpt};
pub use socket::{Events, Shutdown, SocketId, SocketKind};
pub use stack::{Config, Sink, Stack};
pub use time::{Duration, Instant};
