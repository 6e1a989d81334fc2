//! One direction of a wire, with its faults.

use stack::random::Random;
use stack::{Duration, Instant};

/// How a link behaves. Probabilities in 0.0..=1.0, each frame on its own.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub loss: f64,
    pub duplication: f64,
    /// A frame is held back by up to `reorder_delay` more than its neighbours.
    pub reordering: f64,
    pub reorder_delay: Duration,
    /// One bit of an IP packet is flipped (a wire's frame check would drop what we do not touch).
    pub corruption: f64,
    pub delay: Duration,
    /// Bits a second.
    pub rate: u64,
    /// Frames that wait for the wire before one more is dropped.
    pub queue: usize,
}

impl Faults {
    pub const NONE: Faults = Faults {
        loss: 0.0,
        duplication: 0.0,
        reordering: 0.0,
        reorder_delay: Duration::ZERO,
        corruption: 0.0,
        delay: Duration::from_millis(1),
        rate: 100_000_000,
        queue: 1000,
    };
}

/// What a link did: a run in which nothing went wrong proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkStatistics {
    pub frames: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    pub overflowed: u64,
}

#[derive(Debug)]
pub struct Link {
    pub faults: Faults,
    pub statistics: LinkStatistics,
    /// When the wire is free again.
    free_at: Instant,
}

/// Ethernet header's bytes, which no checksum of ours covers.
const ETHERNET: usize = 14;

/// Faults befall TCP alone: a neighbour that cannot be resolved in three tries is rightly given up, and
/// that is not what is being tested.
fn is_tcp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&wire::proto::TCP),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&wire::proto::TCP),
        _ => false,
    }
}

impl Link {
    pub fn new(faults: Faults) -> Link {
        Link { faults, statistics: LinkStatistics::default(), free_at: Instant::ZERO }
    }

    /// Takes a frame in at `now`; `deliver` gets each copy that will arrive, with its time.
    pub fn carry(
        &mut self,
        now: Instant,
        frame: Vec<u8>,
        random: &mut Random,
        mut deliver: impl FnMut(Instant, Vec<u8>),
    ) {
        let chance = |p: f64, random: &mut Random| p > 0.0 && (random.next_u32() as f64) < p * f64::from(u32::MAX);
        self.statistics.frames += 1;
        let on_wire = Duration::from_micros((frame.len() as u64 * 8_000_000 / self.faults.rate).max(1));
        let waiting = self.free_at.since(now).as_micros() / on_wire.as_micros().max(1);
        if waiting as usize > self.faults.queue {
            self.statistics.overflowed += 1;
            return;
        }
        self.free_at = self.free_at.max(now) + on_wire;
        let mut arrival = self.free_at + self.faults.delay;
        if !is_tcp(&frame) {
            deliver(arrival, frame);
            return;
        }
        if chance(self.faults.loss, random) {
            self.statistics.lost += 1;
            return;
        }
        if chance(self.faults.reordering, random) {
            self.statistics.reordered += 1;
            arrival += Duration::from_micros(random.below(self.faults.reorder_delay.as_micros() as u64 + 1));
        }
        if chance(self.faults.duplication, random) {
            self.statistics.duplicated += 1;
            deliver(arrival + Duration::from_micros(random.below(5000)), frame.clone());
        }
        let mut frame = frame;
        if chance(self.faults.corruption, random) {
            self.statistics.corrupted += 1;
            let at = ETHERNET + random.below((frame.len() - ETHERNET) as u64) as usize;
            frame[at] ^= 1 << random.below(8);
        }
        deliver(arrival, frame);
    }
}
