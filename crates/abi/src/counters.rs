//! Traffic counters of one queue: written by the thread that serves it, read by any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::link::LinkStats;

#[derive(Debug, Default)]
pub struct Counters {
    tx_packets: AtomicU64,
    tx_bytes: AtomicU64,
    tx_dropped: AtomicU64,
    rx_packets: AtomicU64,
    rx_bytes: AtomicU64,
    rx_dropped: AtomicU64,
}

/// One writer only, so no locked instruction is needed.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Counters {
    pub fn sent(&self, packets: usize, bytes: u64) {
        add(&self.tx_packets, packets as u64);
        add(&self.tx_bytes, bytes);
    }

    pub fn received(&self, packets: usize, bytes: u64) {
        add(&self.rx_packets, packets as u64);
        add(&self.rx_bytes, bytes);
    }

    /// A frame was accepted from the stack, then given up.
    pub fn tx_dropped(&self, packets: usize) {
        add(&self.tx_dropped, packets as u64);
    }

    /// Frames came for which there was no room. From any thread.
    pub fn rx_dropped(&self, packets: u64) {
        self.rx_dropped.fetch_add(packets, Relaxed);
    }

    /// The sum over a link's queues.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Counters>) -> LinkStats {
        let mut stats = LinkStats::default().rx_dropped(0).tx_dropped(0);
        for c in all {
            stats.tx_packets += c.tx_packets.load(Relaxed);
            stats.tx_bytes += c.tx_bytes.load(Relaxed);
            stats.tx_dropped += c.tx_dropped.load(Relaxed);
            stats.rx_packets += c.rx_packets.load(Relaxed);
            stats.rx_bytes += c.rx_bytes.load(Relaxed);
            stats.rx_dropped += c.rx_dropped.load(Relaxed);
        }
        stats
    }
}
