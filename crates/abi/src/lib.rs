//! The border between io-pkt and its loadable modules, drivers and protocols.
//!
//! `include/iopkt/module.h` is the definition, in C; [`raw`] is the same in Rust. Above it stands the
//! SDK: [`driver::Driver`], [`link::Link`] and [`link::Queue`] are implemented by a driver, which then
//! says `abi::iopkt_driver!(MyDriver);` and needs no unsafe code for the border. Nothing with an
//! allocator, no `Vec` and no panic crosses it.

pub mod burst;
pub mod counters;
pub mod driver;
pub mod frame;
pub mod host;
pub mod link;
pub mod mac;
pub mod options;
pub mod raw;

pub use counters::Counters;
pub use driver::Driver;
pub use errno::Errno;
pub use frame::{Offload, RxSlot, TxPacket};
pub use host::{AddressPlan, Caps, Failure, Host, Level, LinkInfo, LinkState, SuggestedConfig, last_errno};
pub use link::{Link, LinkFlags, LinkStats, Queue};
pub use options::{Kind, OptionSpec, Options};
