//! A laboratory for tests with real programs: network namespaces of its own, a veth pair to a peer on
//! the Linux kernel's stack, an `io-pkt` of its own, and a run-time directory of its own.
//!
//! Everything that a [`Lab`] starts it ends, by pid, when it is dropped; when the test process dies,
//! the namespaces' holders see their standard input end and go too.

#![forbid(unsafe_code)]

mod checks;
mod family;
mod files;
mod lab;
mod process;
mod programs;
mod rootless;
mod ssh;
mod talk;
mod tree;

pub use checks::*;
pub use family::{Family, bracketed};
pub use files::{data_file, same_bytes};
pub use lab::{Lab, Link, PEER_V4, PEER_V6, STACK_V4, STACK_V6};
pub use process::{Finished, PATIENCE, Running, eventually, finish, refs};
pub use programs::{complaints, example, none_of, program};
pub use rootless::{HOST_V4, Rootless, UID, copy, static_program};
pub use ssh::{SSH_PORT, Ssh};
pub use talk::{OverWire, Talk};
pub use tree::{repository, script, tree};

/// Makes of each function that takes a [`Link`] one test over packet and one over TAP.
#[macro_export]
macro_rules! on_each_link {
    ($($name:ident),+ $(,)?) => {
        mod over_packet {
            $(#[test] fn $name() { super::$name($crate::Link::Packet); })+
        }
        mod over_tap {
            $(#[test] fn $name() { super::$name($crate::Link::Tap); })+
        }
    };
}
