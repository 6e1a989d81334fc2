//! A simulated network of engines: links that lose, reorder, duplicate, corrupt and delay frames,
//! on virtual time, from one seed. A run is repeated exactly by its seed.

#![forbid(unsafe_code)]

mod host;
mod link;
mod network;
pub mod transfer;

pub use host::Host;
pub use link::{Faults, Link, LinkStatistics};
pub use network::Network;
