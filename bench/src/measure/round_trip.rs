//! 64 bytes there and back, one at a time.

use super::{Cpu, Sample, Timing, WARM_SECS};
use crate::programs::Figures;
use crate::wire::{FAR, Near};

const MESSAGE_BYTES: &str = "64";

pub fn run(near: &Near<'_>, timing: &Timing) -> Sample {
    let lean = near.wire.lean.display().to_string();
    let (port, warm, secs) = (near.wire.ports(1).to_string(), WARM_SECS.to_string(), timing.secs.to_string());
    let mut far = near.wire.start_far(near.cores, &[&lean, "echo", "-l", "-p", &port, "-b", MESSAGE_BYTES]);
    far.wait_for("ready");
    let mut program =
        near.start(&[&lean, "ping-pong", "-a", FAR, "-p", &port, "-b", MESSAGE_BYTES, "-w", &warm, "-t", &secs]);
    program.wait_for("begin");
    let window = near.window();
    program.wait_for("measured");
    let spent = window.close();
    let ours = Figures::of(&mut program);
    // The echo's own count covers the warming too, and so does its time.
    let theirs = Figures::of(&mut far);
    let cpu = Cpu::per_unit(ours.cpu_secs() / ours.count(), theirs.cpu_secs() / theirs.count(), spent, ours.count());
    assert_eq!((program.wait(), far.wait()), (Some(0), Some(0)), "exit codes of the two ends");
    Sample { values: vec![Some(ours.get("p50_ns")), Some(ours.get("p99_ns"))], cpu: Some(cpu) }
}
