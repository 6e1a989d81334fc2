//! How long a link is left alone whose driver answers errors: each error in a row doubles the pause, up to
//! a bound, so that one that fails for ever costs next to nothing; the first call that goes well ends it.

use stack::{Duration, Instant};

/// After the first error.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Penalty {
    /// The pause after the next error.
    next: Duration,
    /// When the present pause ends.
    until: Option<Instant>,
}

impl Default for Penalty {
    fn default() -> Penalty {
        Penalty { next: FIRST, until: None }
    }
}

impl Penalty {
    /// The driver answered an error: when it is to be called again.
    pub fn error(&mut self, now: Instant) -> Instant {
        let until = now + self.next;
        self.until = Some(until);
        self.next = (self.next * 2).min(LONGEST);
        until
    }

    /// The driver did its work.
    pub fn success(&mut self) {
        *self = Penalty::default();
    }

    /// When the present pause ends, if it lasts still.
    pub fn lasts(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// True once when a pause is over.
    pub fn take_end(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| now >= *until).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_in_a_row_doubles_the_pause_up_to_a_bound_and_success_ends_it() {
        let mut penalty = Penalty::default();
        let mut now = Instant::from_micros(1);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let until = penalty.error(now);
            assert_eq!(penalty.lasts(now), Some(until));
            assert!(!penalty.take_end(now));
            pauses.push(until.since(now).as_millis());
            now = until;
            assert_eq!(penalty.lasts(now), None);
            assert!(penalty.take_end(now) && !penalty.take_end(now));
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        penalty.success();
        assert_eq!(penalty.error(now).since(now), FIRST);
    }
}
