//! Congestion control: how much may be in flight. One small trait, one algorithm a file.

mod cubic;
mod new_reno;

pub use cubic::Cubic;
pub use new_reno::NewReno;

use crate::time::{Duration, Instant};

/// What the sender tells and asks a congestion control. Bytes throughout.
pub trait Control: std::fmt::Debug + Send {
    /// `acked` new bytes were acknowledged outside recovery; `in_flight` was outstanding before.
    fn on_ack(&mut self, now: Instant, acked: u32, in_flight: u32, srtt: Option<Duration>);
    /// A loss was found by duplicate acknowledgements or SACK: fast recovery begins.
    fn on_loss(&mut self, now: Instant, in_flight: u32);
    /// Fast recovery is over.
    fn on_recovered(&mut self, now: Instant);
    /// The retransmission timer ran out. `first`: for this data, not a repeated one.
    fn on_rto(&mut self, now: Instant, in_flight: u32, first: bool);
    /// Nothing was sent for longer than a retransmission time-out (RFC 5681 §4.1).
    fn on_idle(&mut self);
    /// The segment size changed.
    fn set_mss(&mut self, mss: u32);
    fn cwnd(&self) -> u32;
    fn ssthresh(&self) -> u32;
    fn name(&self) -> &'static str;
}

/// Names as TCP_CONGESTION has them.
pub const NAMES: &[&str] = &["cubic", "reno"];

/// A control by name, or `None` for an unknown one.
pub fn by_name(name: &str, mss: u32) -> Option<Box<dyn Control>> {
    match name {
        "cubic" => Some(Box::new(Cubic::new(mss))),
        "reno" => Some(Box::new(NewReno::new(mss))),
        _ => None,
    }
}

/// Initial window of ten segments (RFC 6928 §2).
pub fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}
