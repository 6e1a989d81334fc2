//! Whether to look for a reply before sleeping. A daemon that is awake answers within a few yields of the
//! core, which saves two wake-ups; but a yield that takes long means that others need the core, and each
//! further one only passes it round among them. Then nothing is looked for during a while.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::real::{self, monotonic_ns};

/// Most looks, each followed by a yield.
const LOOKS: u32 = 24;
/// A yield that took longer, in nanoseconds: the machine is busy.
const BUSY_NS: u64 = 50_000;
/// For how long nothing is looked for then, in nanoseconds.
const BACK_OFF_NS: u64 = 1_000_000_000;

/// Of the whole process: when looking makes sense again (CLOCK_MONOTONIC).
static OFF_UNTIL: AtomicU64 = AtomicU64::new(0);

/// The looks of one call.
pub struct Patience {
    looks: u32,
    before: u64,
}

impl Patience {
    pub fn new() -> Patience {
        let before = monotonic_ns();
        let off = before < OFF_UNTIL.load(Ordering::Relaxed);
        Patience { looks: if off { 0 } else { LOOKS }, before }
    }

    /// True when the caller should look without waiting, false when it should sleep.
    pub fn is_left(&self) -> bool {
        self.looks > 0
    }

    /// After a look in vain: gives the core to others for a moment.
    pub fn look_in_vain(&mut self) {
        real::yield_now();
        let after = monotonic_ns();
        self.looks -= 1;
        if after - self.before > BUSY_NS {
            self.looks = 0;
            OFF_UNTIL.store(after + BACK_OFF_NS, Ordering::Relaxed);
        }
        self.before = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_to_an_end_and_a_busy_machine_ends_them_for_all() {
        let mut patience = Patience::new();
        let mut looks = 0;
        while patience.is_left() {
            patience.look_in_vain();
            looks += 1;
        }
        assert!((1..=LOOKS).contains(&looks));
        OFF_UNTIL.store(monotonic_ns() + BACK_OFF_NS, Ordering::Relaxed);
        assert!(!Patience::new().is_left());
        OFF_UNTIL.store(0, Ordering::Relaxed);
    }
}
