//! Memory of an idle connection: what the daemon grows by, and what the kernel's caches grow by, when
//! the near end opens many. The caches are the whole machine's, so that other work disturbs them.

use super::{Sample, Timing};
use crate::cpu;
use crate::wire::{FAR, Near};

pub fn run(near: &Near<'_>, timing: &Timing) -> Sample {
    let lean = near.wire.lean.display().to_string();
    let count = timing.idle_connections as f64;
    let (port, connections) = (near.wire.ports(1).to_string(), timing.idle_connections.to_string());
    let mut far = near.wire.start_far(near.cores, &[&lean, "idle", "-l", "-p", &port, "-n", &connections]);
    far.wait_for("ready");
    let (resident, slab) = (near.resident(), cpu::slab());
    let mut program = near.start(&[&lean, "idle", "-a", FAR, "-p", &port, "-n", &connections]);
    program.wait_for("held");
    far.wait_for("held");
    let grown = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / count);
    let values = vec![grown(resident, near.resident()), grown(slab, cpu::slab())];
    assert_eq!((program.wait(), far.wait()), (Some(0), Some(0)), "exit codes of the two ends");
    Sample { values, cpu: None }
}
