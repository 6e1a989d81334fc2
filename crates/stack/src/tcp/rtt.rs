//! Round-trip time and the retransmission time-out (RFC 6298).

use crate::time::Duration;

/// Before the first measurement (RFC 6298 §2.1).
pub const RTO_INITIAL: Duration = Duration::from_secs(1);
/// RFC 6298 §2.4 asks for 1 s and lets less be tried; 200 ms is what Linux and the BSDs run with. It is
/// what the time-out is longer than the round trip at least, so that a peer's delayed acknowledgement
/// on a long and even path does not come too late.
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// RFC 6298 §2.5: at least 60 s.
pub const RTO_MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct RttEstimator {
    srtt: Option<Duration>,
    rttvar: Duration,
    rto: Duration,
    min_rtt: Duration,
    /// Doublings since the last measurement (§5.5).
    backoff: u32,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator { srtt: None, rttvar: Duration::ZERO, rto: RTO_INITIAL, min_rtt: Duration::MAX, backoff: 0 }
    }
}

impl RttEstimator {
    /// A measurement of a segment that was sent once only (Karn; RFC 6298 §3), or by timestamps.
    pub fn sample(&mut self, rtt: Duration) {
        // Within one clock reading is not no time at all.
        let rtt = rtt.max(Duration::from_micros(1));
        self.min_rtt = self.min_rtt.min(rtt);
        match self.srtt {
            // §2.2
            None => {
                self.srtt = Some(rtt);
                self.rttvar = rtt / 2;
            }
            // §2.3, alpha = 1/8 and beta = 1/4
            Some(srtt) => {
                self.rttvar = (self.rttvar * 3 + srtt.abs_diff(rtt)) / 4;
                self.srtt = Some((srtt * 7 + rtt) / 8);
            }
        }
        let srtt = self.srtt.unwrap_or(rtt);
        self.rto = (srtt + RTO_MIN.max(self.rttvar * 4)).min(RTO_MAX);
        self.backoff = 0;
    }

    /// §5.5: the timer ran out.
    pub fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(16);
    }

    /// New data was acknowledged: the back-off ends (RFC 6298 §5.7's last paragraph leaves it to us).
    pub fn progress(&mut self) {
        self.backoff = 0;
    }

    /// The time-out to arm now.
    pub fn rto(&self) -> Duration {
        self.rto.saturating_mul(1 << self.backoff).min(RTO_MAX)
    }

    /// §5.7: after the SYN was retransmitted the data phase begins with 3 s at least.
    pub fn after_syn_retransmission(&mut self) {
        if self.srtt.is_none() {
            self.rto = Duration::from_secs(3);
        }
        self.backoff = 0;
    }

    pub fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    pub fn rttvar(&self) -> Duration {
        self.rttvar
    }

    /// `None` before the first measurement.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.srtt.map(|_| self.min_rtt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_sets_srtt_and_three_halves_of_it() {
        let mut e = RttEstimator::default();
        assert_eq!(e.rto(), RTO_INITIAL);
        e.sample(Duration::from_millis(400));
        assert_eq!(e.srtt(), Some(Duration::from_millis(400)));
        assert_eq!(e.rto(), Duration::from_millis(1200));
    }

    #[test]
    fn later_samples_are_smoothed_by_an_eighth_and_a_quarter() {
        let mut e = RttEstimator::default();
        e.sample(Duration::from_millis(400));
        e.sample(Duration::from_millis(480));
        assert_eq!(e.srtt(), Some(Duration::from_millis(410)));
        assert_eq!(e.rttvar(), Duration::from_millis(170));
    }

    #[test]
    fn time_outs_double_up_to_the_maximum_until_a_new_sample() {
        let mut e = RttEstimator::default();
        let rtt = Duration::from_micros(50);
        e.sample(rtt);
        assert_eq!(e.rto(), rtt + RTO_MIN);
        e.back_off();
        e.back_off();
        assert_eq!(e.rto(), (rtt + RTO_MIN) * 4);
        for _ in 0..40 {
            e.back_off();
        }
        assert_eq!(e.rto(), RTO_MAX);
        e.sample(rtt);
        assert_eq!(e.rto(), rtt + RTO_MIN);
    }

    #[test]
    fn on_an_even_path_the_time_out_leaves_room_for_a_delayed_acknowledgement() {
        let mut e = RttEstimator::default();
        let rtt = Duration::from_millis(190);
        for _ in 0..100 {
            e.sample(rtt);
        }
        assert!(e.rto() >= rtt + RTO_MIN, "{:?}", e.rto());
    }
}
