//! The border between io-pkt and its loadable modules, drivers and protocols.
//!
//! `include/iopkt/module.h` is the definition, in C; [`raw`] is the same in Rust. Above it stands the
//! SDK: [`driver::Driver`], [`link::Link`] and [`link::Queue`] are implemented by a driver, which then
//! says `abi::iopkt_driver!(MyDriver);`; [`protocol::Protocol`] by a protocol, which says
//! `abi::iopkt_protocol!(MyProtocol);`. Neither needs unsafe code for the border. Nothing with an
//! allocator, no `Vec` and no panic crosses it.

pub mod burst;
pub mod counters;
pub mod driver;
pub mod frame;
pub mod host;
pub mod link;
pub mod mac;
pub mod options;
pub mod protocol;
pub mod raw;

pub use counters::Counters;
pub use driver::Driver;
pub use errno::Errno;
pub use frame::{Offload, RxSlot, TxPacket};
pub use host::{AddressPlan, Caps, Failure, Host, Level, LinkInfo, LinkState, SuggestedConfig, last_errno};
pub use link::{Link, LinkFlags, LinkStats, Memory, Queue};
pub use options::{Kind, OptionSpec, Options};
pub use protocol::{LinkDesc, Protocol, Stack, Wanted};
