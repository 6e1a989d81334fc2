//! UDP datagrams a second: one thread sends as fast as it can, the far side's count is the rate.

use super::{Cpu, Sample, Timing};
use crate::programs::Figures;
use crate::rows::Way;
use crate::wire::{FAR, NEAR, Near};

pub fn run(near: &Near<'_>, timing: &Timing, size: usize, way: Way) -> Sample {
    let lean = near.wire.lean.display().to_string();
    let (port, size, secs) = (near.wire.ports(1).to_string(), size.to_string(), timing.secs.to_string());
    let counter = [lean.as_str(), "udp-count", "-p", &port, "-b", &size];
    let sender = |to| [lean.as_str(), "udp-send", "-a", to, "-p", &port, "-b", &size, "-t", &secs];
    let (mut counter, mut sender) = match way {
        Way::Out => {
            let mut counter = near.wire.start_far(near.cores, &counter);
            counter.wait_for("ready");
            (counter, near.start(&sender(FAR)))
        }
        Way::In => {
            let mut counter = near.start(&counter);
            counter.wait_for("ready");
            (counter, near.wire.start_far(near.cores, &sender(NEAR)))
        }
    };
    sender.wait_for("begin");
    let window = near.window();
    let sent = Figures::of(&mut sender);
    let spent = window.close();
    let received = Figures::of(&mut counter);
    let codes = (sender.wait(), counter.wait());
    assert_eq!(codes, (Some(0), Some(0)), "exit codes of the two ends");
    // Work that is lost on the way is no work: all of it is told per datagram that arrived.
    let arrived = received.count();
    let (sending, receiving) = (sent.cpu_secs() / arrived, received.cpu_secs() / arrived);
    let (ours, theirs) = match way {
        Way::Out => (sending, receiving),
        Way::In => (receiving, sending),
    };
    let cpu = Cpu::per_unit(ours, theirs, spent, arrived);
    Sample { values: vec![Some(arrived / received.secs())], cpu: Some(cpu) }
}
