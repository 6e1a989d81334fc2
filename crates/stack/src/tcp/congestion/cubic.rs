//! CUBIC (RFC 9438): the window as a cubic function of the time since the last reduction, never
//! below what Reno would have.

use super::{Control, initial_window};
use crate::time::{Duration, Instant};

/// RFC 9438 §4.1, in segments per second cubed.
const C: f64 = 0.4;
/// RFC 9438 §4.6: the multiplicative decrease.
const BETA: f64 = 0.7;

#[derive(Clone, Debug)]
pub struct Cubic {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Window before the last reduction, in segments.
    w_max: f64,
    /// Seconds from the epoch's start until the window is back at `w_max`.
    k: f64,
    /// When congestion avoidance began after the last reduction.
    epoch: Option<Instant>,
    /// What Reno would have by now, in segments (§4.3).
    w_est: f64,
    /// Fraction of a segment that the window has earned.
    credit: f64,
}

impl Cubic {
    pub fn new(mss: u32) -> Cubic {
        Cubic {
            mss,
            cwnd: initial_window(mss),
            ssthresh: u32::MAX,
            w_max: 0.0,
            k: 0.0,
            epoch: None,
            w_est: 0.0,
            credit: 0.0,
        }
    }

    fn segments(&self) -> f64 {
        f64::from(self.cwnd) / f64::from(self.mss)
    }

    fn reduce(&mut self, in_flight: u32) {
        let w = self.segments();
        // §4.7 fast convergence: give room to a newcomer.
        self.w_max = if w < self.w_max { w * (1.0 + BETA) / 2.0 } else { w };
        let flight = in_flight.min(self.cwnd);
        self.ssthresh = ((f64::from(flight) * BETA) as u32).max(2 * self.mss);
        self.epoch = None;
        self.credit = 0.0;
    }
}

impl Control for Cubic {
    fn on_ack(&mut self, now: Instant, acked: u32, in_flight: u32, srtt: Option<Duration>) {
        if in_flight + 2 * self.mss < self.cwnd / 2 {
            return; // the application, not the window, is the limit (§5.8)
        }
        if self.cwnd < self.ssthresh {
            self.cwnd = self.cwnd.saturating_add(acked.min(self.cwnd));
            return;
        }
        let w = self.segments();
        let epoch = *self.epoch.get_or_insert_with(|| {
            self.k = if w < self.w_max { ((self.w_max - w) / C).cbrt() } else { 0.0 };
            self.w_max = self.w_max.max(w);
            self.w_est = w;
            now
        });
        let acked_segments = f64::from(acked) / f64::from(self.mss);
        let alpha = if self.w_est < self.w_max { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
        self.w_est += alpha * acked_segments / w;
        let t = (now.since(epoch) + srtt.unwrap_or_default()).as_secs_f64();
        let cubic = C * (t - self.k).powi(3) + self.w_max;
        let target = cubic.clamp(w, 1.5 * w).max(self.w_est);
        self.credit += (target - w) / w * acked_segments;
        let whole = self.credit.floor().max(0.0);
        self.credit -= whole;
        self.cwnd = self.cwnd.saturating_add((whole * f64::from(self.mss)) as u32);
    }

    fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        self.reduce(in_flight);
        self.cwnd = self.ssthresh;
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.cwnd = self.ssthresh;
    }

    fn on_rto(&mut self, _now: Instant, in_flight: u32, first: bool) {
        if first {
            self.reduce(in_flight);
        }
        self.cwnd = self.mss;
    }

    fn on_idle(&mut self) {
        self.cwnd = self.cwnd.min(initial_window(self.mss));
        self.epoch = None;
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
        "cubic"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acknowledges whole windows, one a round trip, for `rounds` rounds.
    fn run(c: &mut Cubic, now: &mut Instant, rtt: Duration, rounds: u32) {
        for _ in 0..rounds {
            *now += rtt;
            let w = c.cwnd();
            for _ in 0..w / 1000 {
                c.on_ack(*now, 1000, w, Some(rtt));
            }
        }
    }

    #[test]
    fn after_a_loss_the_window_is_seven_tenths_and_comes_back_to_the_old_one_at_k() {
        let mut c = Cubic::new(1000);
        let mut now = Instant::from_millis(1);
        let rtt = Duration::from_millis(50);
        run(&mut c, &mut now, rtt, 4);
        let before = c.cwnd();
        c.on_loss(now, before);
        assert_eq!(c.cwnd(), before * 7 / 10);
        // K = cbrt(W_max × 0.3 / 0.4) seconds (RFC 9438 §4.2).
        let k = (f64::from(before) / 1000.0 * 0.3 / C).cbrt();
        let rounds = (k / rtt.as_secs_f64()) as u32;
        run(&mut c, &mut now, rtt, rounds);
        let ratio = f64::from(c.cwnd()) / f64::from(before);
        assert!((0.93..1.15).contains(&ratio), "{ratio}");
    }

    #[test]
    fn on_a_short_path_it_grows_no_slower_than_reno() {
        let mut c = Cubic::new(1000);
        let mut now = Instant::from_millis(1);
        run(&mut c, &mut now, Duration::from_millis(1), 3);
        c.on_loss(now, 80_000);
        let start = c.cwnd();
        run(&mut c, &mut now, Duration::from_millis(1), 100);
        assert!(c.cwnd() > start + 40_000, "{} after {start}", c.cwnd());
    }
}
