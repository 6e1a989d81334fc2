//! Who has which station address on a link: one cache and state machine for both families, ARP
//! and NDP as the two ways to ask.

mod arp;
pub mod cache;
pub(super) mod ndp;

pub use cache::{Cache, NeighbourState, NeighbourView};
