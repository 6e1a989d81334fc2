//! Rings, tokens and turns between real processes that are killed: nothing is lost, doubled or damaged, and nobody
//! sleeps for good.

// The models have loom's atomics; these tests need real ones.
#![cfg(not(loom))]

mod process;
mod receive;
mod records;
mod send;
mod turn;
