//! How many ICMP errors may be sent (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f): a token bucket.

use crate::time::Instant;

/// Errors that may go out at once after a quiet time, as a part of a second's worth.
const BURST_DIVISOR: u64 = 4;
/// Least burst.
const BURST_MIN: u64 = 10;

/// A bucket that fills evenly at the rate given with each question.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Millionths of a token.
    level: u64,
    last: Instant,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { level: u64::MAX, last: Instant::ZERO }
    }
}

impl Limit {
    /// Takes a token if there is one, at `rate` a second.
    pub fn allow(&mut self, now: Instant, rate: u64) -> bool {
        const TOKEN: u64 = 1_000_000;
        let burst = (rate / BURST_DIVISOR).max(BURST_MIN).min(rate) * TOKEN;
        let earned = (now.since(self.last).as_micros() as u64).saturating_mul(rate);
        self.last = now;
        self.level = self.level.saturating_add(earned).min(burst);
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_the_burst_and_then_the_rate() {
        let mut limit = Limit::default();
        let start = Instant::from_millis(5_000);
        let allowed = (0..1000).filter(|_| limit.allow(start, 100)).count();
        assert_eq!(allowed, 25);
        let allowed = (1..=1000u64).filter(|ms| limit.allow(Instant::from_millis(5_000 + ms), 100)).count();
        assert_eq!(allowed, 100);
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_out() {
        assert!(!Limit::default().allow(Instant::from_millis(1), 0));
    }
}
