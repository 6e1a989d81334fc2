//! The atomics of shared memory, and loom's in their place under `cfg(loom)`, where a thread can
//! also be killed before any of its writes (`models::life`).

pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(loom))]
pub(crate) use std::{
    sync::atomic::{AtomicU32, AtomicU64, fence},
    thread::yield_now,
};

#[cfg(loom)]
pub(crate) use {
    crate::models::life::{AtomicU32, AtomicU64, fence},
    loom::thread::yield_now,
};

/// Most attempts of a compare-and-swap on a word that another process can write. Honest sides change
/// a word a few times between two attempts at most; only one that plays with it reaches this.
pub(crate) const CAS_TRIES: usize = 256;
