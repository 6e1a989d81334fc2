//! Memory that the data path shares: regions, byte rings over them, and named slices of them.
//!
//! Bytes in a region may change under a reader's eyes (a program maps the same memory), so they are
//! never a `&[u8]`. Whoever wants them names them as (region, offset, length) and has this crate copy
//! them, sum them, or hand them to the kernel as an iovec. This is the one crate in which two
//! processes' memory meets, hence the one that may use `unsafe` for it.
//!
//! [`socket`] holds what a program and the daemon share of one socket in ring mode: `docs/rings.md`.

pub mod region;
pub mod ring;
pub mod slice;
pub mod socket;

#[cfg(loom)]
mod models;
mod sync;

pub use region::{Pool, Region};
pub use ring::Ring;
pub use slice::Slice;
