//! The formats of the wire: headers, options, addresses and checksums.
//!
//! Every format is parsed from a byte slice into an owned, `Copy` representation (plus sub-slices of the input for what
//! has variable length) and emitted from it. There is no I/O, no state and no policy here: whether a well-formed packet
//! is *wanted* is for the stack to say.
//!
//! **Panic contract.** `parse` functions and iterators never panic and never loop without end, whatever the bytes.
//! `emit` functions panic only if the caller's buffer is shorter than the length that the item's documentation states,
//! or a list longer than the bound stated there.
//!
//! Byte order: all integers in the representations are in host order; conversion happens in `parse` and `emit`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod addr;
pub mod addr_list;
pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod group_record;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod mac;
pub mod mld;
pub mod ndp;
pub mod proto;
pub mod tcp;
pub mod udp;

mod error;
mod field;

pub use addr::{Cidr, IpCidr, Ipv4Cidr, Ipv6Cidr};
pub use error::{ParseError, TextError};
pub use mac::MacAddr;
