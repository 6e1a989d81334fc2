//! A hierarchical timer wheel: arming and firing cost O(1), however many timers there are.
//!
//! The wheel keeps no handle for an armed timer. An owner remembers the instant it armed last and
//! ignores a firing for any other; so a timer is moved earlier by arming it again, and later by
//! letting it fire and arming it anew.

use crate::time::Instant;

/// One tick in microseconds, as a power of two: 1,024 µs. A timer fires at most one tick late.
const TICK_SHIFT: u32 = 10;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;
/// The farthest a timer is armed, in ticks; a later one fires early, and its owner arms it again.
const HORIZON: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - (1 << (SLOT_BITS * (LEVELS as u32 - 1)));

/// Timers named by `K`.
#[derive(Debug)]
pub struct TimerWheel<K> {
    /// The tick up to which everything has fired.
    current: u64,
    slots: Vec<Vec<(K, Instant)>>,
    /// One bit a slot: it holds something.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    len: usize,
}

impl<K: Copy> Default for TimerWheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy> TimerWheel<K> {
    pub fn new() -> TimerWheel<K> {
        TimerWheel {
            current: 0,
            slots: (0..SLOTS * LEVELS).map(|_| Vec::new()).collect(),
            occupied: [[0; SLOTS / 64]; LEVELS],
            len: 0,
        }
    }

    /// Has `key` fire at `at`, or up to one tick later; at once when `at` has passed.
    pub fn arm(&mut self, key: K, at: Instant) {
        let tick =
            (at.0.saturating_add((1 << TICK_SHIFT) - 1) >> TICK_SHIFT).clamp(self.current, self.current + HORIZON);
        self.insert(key, at, tick);
    }

    fn insert(&mut self, key: K, at: Instant, tick: u64) {
        let level = (0..LEVELS - 1)
            .find(|&l| Self::block(tick, l) - Self::block(self.current, l) < SLOTS as u64)
            .unwrap_or(LEVELS - 1);
        let slot = Self::block(tick, level) as usize % SLOTS;
        self.slots[level * SLOTS + slot].push((key, at));
        self.occupied[level][slot / 64] |= 1 << (slot % 64);
        self.len += 1;
    }

    fn block(tick: u64, level: usize) -> u64 {
        tick >> (SLOT_BITS * level as u32)
    }

    /// The next tick at which a slot must be looked at, with its level and index.
    fn next(&self) -> Option<(u64, usize, usize)> {
        (0..LEVELS)
            .filter_map(|level| {
                let here = Self::block(self.current, level);
                let distance = self.distance(level, here as usize % SLOTS)?;
                let tick = ((here + distance) << (SLOT_BITS * level as u32)).max(self.current);
                Some((tick, level, (here + distance) as usize % SLOTS))
            })
            // On a tie the higher level goes first, so that it cascades before the lower one fires.
            .min_by_key(|&(tick, level, _)| (tick, LEVELS - level))
    }

    /// How many slots after `from` the first occupied one of a level is, going round.
    fn distance(&self, level: usize, from: usize) -> Option<u64> {
        let bits = &self.occupied[level];
        if bits.iter().all(|&w| w == 0) {
            return None;
        }
        (0..=SLOTS / 64).find_map(|i| {
            let word = (from / 64 + i) % (SLOTS / 64);
            let mask = match i {
                0 => !0u64 << (from % 64),
                i if i == SLOTS / 64 => !(!0u64 << (from % 64)),
                _ => !0,
            };
            let found = bits[word] & mask;
            (found != 0).then(|| {
                let slot = word * 64 + found.trailing_zeros() as usize;
                ((slot + SLOTS - from) % SLOTS) as u64
            })
        })
    }

    /// When [`expire`](TimerWheel::expire) has something to do; [`Instant::FAR`] for never. May be
    /// early (a slot of a higher level is to be spread out), never late.
    pub fn next_deadline(&self) -> Instant {
        self.next().map_or(Instant::FAR, |(tick, ..)| Instant(tick << TICK_SHIFT))
    }

    /// Moves what is due at `now` to `due`, with the instant it was armed for.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<(K, Instant)>) {
        let now_tick = now.0 >> TICK_SHIFT;
        while let Some((tick, level, slot)) = self.next() {
            if tick > now_tick {
                break;
            }
            self.current = tick;
            let entries = std::mem::take(&mut self.slots[level * SLOTS + slot]);
            self.occupied[level][slot / 64] &= !(1 << (slot % 64));
            self.len -= entries.len();
            if level == 0 {
                for (key, at) in entries {
                    if at <= now { due.push((key, at)) } else { self.arm(key, at) }
                }
            } else {
                for (key, at) in entries {
                    self.arm(key, at);
                }
            }
        }
        self.current = self.current.max(now_tick);
    }

    /// Timers armed, stale ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn each_timer_fires_once_within_a_tick_of_its_time_and_never_early() {
        let mut random = Random::new(1);
        let mut wheel = TimerWheel::new();
        let mut now = Instant::ZERO;
        let mut armed = std::collections::HashMap::new();
        let mut fired = 0;
        for key in 0..20_000u32 {
            let far = [1_000, 300_000, 70_000_000, 20_000_000_000][random.below(4) as usize];
            let at = Instant(now.0 + random.below(far));
            wheel.arm(key, at);
            armed.insert(key, at);
            // Sometimes step exactly to the deadline, sometimes over a random stretch.
            let next = wheel.next_deadline();
            now = if random.below(2) == 0 { next.max(now) } else { Instant(now.0 + random.below(5_000_000)) };
            let mut due = Vec::new();
            wheel.expire(now, &mut due);
            for (k, at) in due {
                assert_eq!(armed.remove(&k), Some(at));
                assert!(at <= now, "early");
                fired += 1;
            }
            for at in armed.values() {
                assert!(at.0 + (2 << TICK_SHIFT) > now.0, "{at:?} is late at {now:?}");
            }
        }
        assert!(fired > 10_000);
        let mut due = Vec::new();
        wheel.expire(Instant(now.0 + 100_000_000_000), &mut due);
        assert_eq!(due.len(), armed.len());
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_deadline(), Instant::FAR);
    }

    #[test]
    fn a_timer_beyond_the_horizon_waits_its_full_time() {
        let mut wheel = TimerWheel::new();
        let at = Instant(HORIZON << (TICK_SHIFT + 2));
        wheel.arm('x', at);
        let mut due = Vec::new();
        wheel.expire(Instant(at.0 - 1_000_000), &mut due);
        assert!(due.is_empty());
        wheel.expire(Instant(at.0 + 2_000), &mut due);
        assert_eq!(due, [('x', at)]);
    }
}
