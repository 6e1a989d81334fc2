//! Bulk TCP by the lean program. The near end connects; the receiving end's count is the rate.

use super::{Cpu, Sample, Timing, WARM_SECS};
use crate::programs::Figures;
use crate::rows::Way;
use crate::wire::{FAR, Near};

const CALL_BYTES: usize = 128 * 1024;

pub fn run(near: &Near<'_>, timing: &Timing, streams: usize, way: Way) -> Sample {
    let lean = near.wire.lean.display().to_string();
    let (port, streams) = (near.wire.ports(1).to_string(), streams.to_string());
    let (call, warm, secs) = (CALL_BYTES.to_string(), WARM_SECS.to_string(), timing.secs.to_string());
    let (near_part, far_part) = match way {
        Way::Out => ("source", "sink"),
        Way::In => ("sink", "source"),
    };
    let common = ["-p", &port, "-n", &streams, "-b", &call, "-w", &warm, "-t", &secs];
    let mut far = near.wire.start_far(near.cores, &[&[lean.as_str(), far_part, "-l"], &common[..]].concat());
    far.wait_for("ready");
    let mut program = near.start(&[&[lean.as_str(), near_part, "-a", FAR], &common[..]].concat());
    program.wait_for("begin");
    let window = near.window();
    let ours = Figures::of(&mut program);
    let spent = window.close();
    let theirs = Figures::of(&mut far);
    let received = match way {
        Way::Out => &theirs,
        Way::In => &ours,
    };
    let rate = received.count() / received.secs();
    let units = rate * spent.wall;
    let cpu =
        Cpu::per_unit(ours.cpu_secs() / (rate * ours.secs()), theirs.cpu_secs() / (rate * theirs.secs()), spent, units);
    assert_eq!((program.wait(), far.wait()), (Some(0), Some(0)), "exit codes of the two ends");
    Sample { values: vec![Some(rate)], cpu: Some(cpu) }
}
