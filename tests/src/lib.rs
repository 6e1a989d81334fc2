//! A laboratory for tests with real programs: network namespaces of its own, a veth pair to a peer on
//! the Linux kernel's stack, an `io-pkt` of its own, and a run-time directory of its own.
//!
//! Everything that a [`Lab`] starts it ends, by pid, when it is dropped; when the test process dies,
//! the namespaces' holders see their standard input end and go too.

#![forbid(unsafe_code)]

mod lab;
mod process;
mod tree;

pub use lab::{Lab, Link, PEER_V4, PEER_V6, STACK_V4, STACK_V6, same_bytes};
pub use process::{Finished, Running, eventually, finish};
pub use tree::tree;
