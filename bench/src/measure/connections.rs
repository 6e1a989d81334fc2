//! Connections a second: connect, 64 bytes there and back, close by the client.

use super::{Cpu, Sample, Timing};
use crate::programs::Figures;
use crate::rows::Way;
use crate::wire::{FAR, NEAR, Near};

const CLIENTS: &str = "16";
/// The server's ports: one has too few partners for a run's TIME_WAITs.
const PORTS: u16 = 8;

pub fn run(near: &Near<'_>, timing: &Timing, way: Way) -> Sample {
    let lean = near.wire.lean.display().to_string();
    let (port, ports, secs) = (near.wire.ports(PORTS).to_string(), PORTS.to_string(), timing.secs.to_string());
    let server = [lean.as_str(), "rate-server", "-p", &port, "-P", &ports];
    let client = |to| [lean.as_str(), "rate-client", "-a", to, "-p", &port, "-P", &ports, "-n", CLIENTS, "-t", &secs];
    let (mut server, mut client) = match way {
        Way::Out => {
            let mut server = near.wire.start_far(near.cores, &server);
            server.wait_for("ready");
            (server, near.start(&client(FAR)))
        }
        Way::In => {
            let mut server = near.start(&server);
            server.wait_for("ready");
            (server, near.wire.start_far(near.cores, &client(NEAR)))
        }
    };
    client.wait_for("begin");
    let window = near.window();
    let made = Figures::of(&mut client);
    let spent = window.close();
    let codes = (client.wait(), server.wait());
    let served = Figures::of(&mut server);
    assert_eq!(codes, (Some(0), Some(0)), "exit codes of the two ends");
    let (client, server) = (made.cpu_secs() / made.count(), served.cpu_secs() / served.count());
    let (ours, theirs) = match way {
        Way::Out => (client, server),
        Way::In => (server, client),
    };
    let cpu = Cpu::per_unit(ours, theirs, spent, made.count());
    Sample { values: vec![Some(made.count() / made.secs())], cpu: Some(cpu) }
}
