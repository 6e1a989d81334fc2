//! The work itself: one run of one row with one subject, and its figures.

pub mod bulk;
pub mod connections;
pub mod datagrams;
pub mod idle;
pub mod iperf;
pub mod round_trip;

use crate::cpu::Spent;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub secs: f64,
    pub idle_connections: usize,
}

/// Before the measured time, for windows and buffers to grow.
const WARM_SECS: f64 = 0.3;

/// What one run gave.
#[derive(Clone, Debug)]
pub struct Sample {
    /// One for each metric of the row, unscaled; `None` where the subject has no such thing.
    pub values: Vec<Option<f64>>,
    pub cpu: Option<Cpu>,
}

/// Processor seconds per unit of work (byte, round trip, connection, datagram).
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    pub near: f64,
    pub daemon: f64,
    pub far: f64,
    /// Cores that were busy with something else than this run.
    pub others: f64,
}

impl Cpu {
    /// From each program's seconds per unit, and the daemon's in a window in which `units` were done.
    fn per_unit(near: f64, far: f64, spent: Spent, units: f64) -> Cpu {
        let busy = near * units + far * units + spent.daemon;
        let others = ((spent.machine - busy) / spent.wall).max(0.0);
        Cpu { near, daemon: spent.daemon / units, far, others }
    }

    pub fn total(&self) -> f64 {
        self.near + self.daemon + self.far
    }
}
