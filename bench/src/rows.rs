//! The rows of the table: the work, what is told of it, and what is to be reached.

use crate::measure::{self, Sample, Timing};
use crate::wire::{Cores, Near};

/// Which way the payload goes, seen from the near end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Out,
    In,
}

#[derive(Clone, Copy, Debug)]
pub enum Work {
    Bulk {
        streams: usize,
        way: Way,
    },
    Iperf {
        streams: usize,
        way: Way,
    },
    RoundTrip,
    /// The way of the connection requests.
    Connections {
        way: Way,
    },
    Datagrams {
        size: usize,
        way: Way,
    },
    Idle,
}

impl Work {
    pub fn measure(self, near: &Near<'_>, timing: &Timing) -> Sample {
        match self {
            Work::Bulk { streams, way } => measure::bulk::run(near, timing, streams, way),
            Work::Iperf { streams, way } => measure::iperf::run(near, timing, streams, way),
            Work::RoundTrip => measure::round_trip::run(near, timing),
            Work::Connections { way } => measure::connections::run(near, timing, way),
            Work::Datagrams { size, way } => measure::datagrams::run(near, timing, size, way),
            Work::Idle => measure::idle::run(near, timing),
        }
    }
}

/// A figure's goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Of the ratio to the kernel.
    RatioAtLeast(f64),
    RatioAtMost(f64),
    /// Of the figure itself.
    AtMost(f64),
    None,
}

/// One of the figures that a run gives; `scale` takes it to the unit printed.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub what: &'static str,
    pub unit: &'static str,
    pub scale: f64,
    pub goal: Goal,
}

/// How processor time is told: per how much work, in which unit.
#[derive(Clone, Copy, Debug)]
pub struct CpuUnit {
    pub unit: &'static str,
    pub scale: f64,
}

pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub work: Work,
    pub cores: Cores,
    pub metrics: &'static [Metric],
    pub cpu: Option<CpuUnit>,
}

const fn metric(what: &'static str, unit: &'static str, scale: f64, goal: Goal) -> Metric {
    Metric { what, unit, scale, goal }
}

// Step 1's goals.
const BULK: &[Metric] = &[metric("", "Gbit/s", 8e-9, Goal::RatioAtLeast(0.5))];
const ROUND_TRIP: &[Metric] =
    &[metric("p50", "us", 1e-3, Goal::RatioAtMost(3.0)), metric("p99", "us", 1e-3, Goal::None)];
const CONNECTIONS: &[Metric] = &[metric("", "conn/s", 1.0, Goal::RatioAtLeast(0.5))];
const DATAGRAMS: &[Metric] = &[metric("", "k/s", 1e-3, Goal::None)];
const IDLE: &[Metric] =
    &[metric("daemon", "B/conn", 1.0, Goal::AtMost(8192.0)), metric("slab", "B/conn", 1.0, Goal::None)];

const PER_GB: Option<CpuUnit> = Some(CpuUnit { unit: "s/GB", scale: 1e9 });
const PER_OP: Option<CpuUnit> = Some(CpuUnit { unit: "us/op", scale: 1e6 });

const ANYWHERE: Cores = Cores { near: None, far: None };
const ONE: Cores = Cores { near: Some("0"), far: Some("0") };
const TWO: Cores = Cores { near: Some("0"), far: Some("1") };

const fn bulk(name: &'static str, what: &'static str, work: Work) -> Row {
    Row { name, what, work, cores: ANYWHERE, metrics: BULK, cpu: PER_GB }
}

const fn datagrams(name: &'static str, what: &'static str, size: usize, way: Way) -> Row {
    Row { name, what, work: Work::Datagrams { size, way }, cores: ANYWHERE, metrics: DATAGRAMS, cpu: PER_OP }
}

static ROWS: &[Row] = &[
    bulk("bulk-lean-1-tx", "lean, 1 stream, sent", Work::Bulk { streams: 1, way: Way::Out }),
    bulk("bulk-lean-1-rx", "lean, 1 stream, received", Work::Bulk { streams: 1, way: Way::In }),
    bulk("bulk-lean-8-tx", "lean, 8 streams, sent", Work::Bulk { streams: 8, way: Way::Out }),
    bulk("bulk-lean-8-rx", "lean, 8 streams, received", Work::Bulk { streams: 8, way: Way::In }),
    bulk("bulk-iperf-1-tx", "iperf3, 1 stream, sent", Work::Iperf { streams: 1, way: Way::Out }),
    bulk("bulk-iperf-1-rx", "iperf3, 1 stream, received", Work::Iperf { streams: 1, way: Way::In }),
    bulk("bulk-iperf-8-tx", "iperf3, 8 streams, sent", Work::Iperf { streams: 8, way: Way::Out }),
    bulk("bulk-iperf-8-rx", "iperf3, 8 streams, received", Work::Iperf { streams: 8, way: Way::In }),
    Row {
        name: "rr-1core",
        what: "request/response 64 B, all on one core",
        work: Work::RoundTrip,
        cores: ONE,
        metrics: ROUND_TRIP,
        cpu: PER_OP,
    },
    Row {
        name: "rr-2cores",
        what: "request/response 64 B, ends on two cores",
        work: Work::RoundTrip,
        cores: TWO,
        metrics: ROUND_TRIP,
        cpu: PER_OP,
    },
    Row {
        name: "conn-out",
        what: "connect-request-close, near end connects",
        work: Work::Connections { way: Way::Out },
        cores: ANYWHERE,
        metrics: CONNECTIONS,
        cpu: PER_OP,
    },
    Row {
        name: "conn-in",
        what: "connect-request-close, near end serves",
        work: Work::Connections { way: Way::In },
        cores: ANYWHERE,
        metrics: CONNECTIONS,
        cpu: PER_OP,
    },
    datagrams("udp-64-tx", "UDP 64 B, sent", 64, Way::Out),
    datagrams("udp-64-rx", "UDP 64 B, received", 64, Way::In),
    datagrams("udp-1400-tx", "UDP 1400 B, sent", 1400, Way::Out),
    datagrams("udp-1400-rx", "UDP 1400 B, received", 1400, Way::In),
    Row {
        name: "idle",
        what: "memory of an idle connection",
        work: Work::Idle,
        cores: ANYWHERE,
        metrics: IDLE,
        cpu: None,
    },
];

pub fn all() -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
}
