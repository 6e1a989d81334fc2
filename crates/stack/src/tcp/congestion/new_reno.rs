//! Slow start, congestion avoidance, fast recovery's window (RFC 5681, RFC 6582), with byte counting
//! (RFC 3465). Its limit L is left out, as Linux does: a receiver that merges segments acknowledges
//! many at once.

use super::{Control, initial_window};
use crate::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct NewReno {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged since cwnd last grew in congestion avoidance.
    counted: u32,
}

impl NewReno {
    pub fn new(mss: u32) -> NewReno {
        NewReno { mss, cwnd: initial_window(mss), ssthresh: u32::MAX, counted: 0 }
    }

    /// RFC 5681 equation 4.
    fn halve(&mut self, in_flight: u32) {
        self.ssthresh = (in_flight / 2).max(2 * self.mss);
    }
}

impl Control for NewReno {
    fn on_ack(&mut self, _now: Instant, acked: u32, in_flight: u32, _srtt: Option<Duration>) {
        // RFC 7661's concern, the simple way: a window that is not used does not grow.
        if in_flight + 2 * self.mss < self.cwnd / 2 {
            return;
        }
        if self.cwnd < self.ssthresh {
            self.cwnd = self.cwnd.saturating_add(acked.min(self.cwnd));
            return;
        }
        self.counted = self.counted.saturating_add(acked);
        if self.counted >= self.cwnd {
            self.counted -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(self.mss);
        }
    }

    fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        self.halve(in_flight);
        self.cwnd = self.ssthresh;
        self.counted = 0;
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.cwnd = self.ssthresh;
    }

    fn on_rto(&mut self, _now: Instant, in_flight: u32, first: bool) {
        if first {
            self.halve(in_flight);
        }
        self.cwnd = self.mss;
        self.counted = 0;
    }

    fn on_idle(&mut self) {
        self.cwnd = self.cwnd.min(initial_window(self.mss));
    }

    fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
    }

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn name(&self) -> &'static str {
        "reno"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_doubles_a_round_and_avoidance_adds_one_segment() {
        let mut c = NewReno::new(1000);
        assert_eq!(c.cwnd(), 10_000);
        c.on_ack(Instant::ZERO, 10_000, 10_000, None);
        assert_eq!(c.cwnd(), 20_000);
        c.on_loss(Instant::ZERO, 20_000);
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, 10_000));
        for _ in 0..10 {
            c.on_ack(Instant::ZERO, 1000, 10_000, None);
        }
        assert_eq!(c.cwnd(), 11_000);
    }

    #[test]
    fn a_time_out_leaves_one_segment_and_half_the_flight_as_threshold_once() {
        let mut c = NewReno::new(1000);
        c.on_rto(Instant::ZERO, 8000, true);
        c.on_rto(Instant::ZERO, 1000, false);
        assert_eq!((c.cwnd(), c.ssthresh()), (1000, 4000));
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut c = NewReno::new(1000);
        c.on_ack(Instant::ZERO, 1000, 1000, None);
        assert_eq!(c.cwnd(), 10_000);
    }
}
