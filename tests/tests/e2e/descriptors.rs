//! Descriptors are descriptors: copied, inherited, passed, closed; and what is left when a program or the daemon dies.

use std::io::Write;
use std::process::Command;

use e2e::{Lab, Link, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, program};

use crate::sockets::{against_the_kernel, from_the_kernel, within_one_instance};

pub const DESCRIPTORS: &[&str] = &[
    "descriptors_dup",
    "descriptors_fork",
    "descriptors_exec",
    "descriptors_pass",
    "descriptors_stdio",
    "descriptors_sandbox",
];

#[test]
fn descriptors_within_one_instance() {
    within_one_instance(DESCRIPTORS);
}

#[test]
fn descriptors_against_the_kernel() {
    against_the_kernel(DESCRIPTORS);
}

#[test]
fn descriptors_of_the_kernel_against_ours() {
    from_the_kernel(DESCRIPTORS);
}

const PORT: &str = "4321";

/// Kills what says "holding N as PID", by that number: `iopkt run` may stand between.
fn kill_holder(mut holder: Running) {
    let line = holder.wait_for("holding");
    let pid = line.rsplit(' ').next().expect("the last word is the number").to_owned();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().is_ok_and(|s| s.success()), "{line}");
    holder.wait();
}

#[test]
fn a_killed_client_ends_its_connections_at_the_peer() {
    let lab = Lab::new(Link::Packet);
    for (peer, count) in [(PEER_V4, "50"), (PEER_V6, "50")] {
        let mut server = lab.peer_start(&[&program("ends"), "listen", peer, PORT, count]);
        server.wait_for("listening");
        let client = lab.start(&[&program("hold"), "connect", peer, PORT, count]);
        server.wait_for("watching");
        kill_holder(client);
        server.wait_for("all ended");
    }
}

#[test]
fn a_killed_server_ends_its_connections_at_the_peer() {
    let lab = Lab::new(Link::Packet);
    for (ours, count) in [(STACK_V4, "50"), (STACK_V6, "50")] {
        let mut server = lab.start(&[&program("hold"), "listen", ours, PORT, count]);
        server.wait_for("listening");
        let mut client = lab.peer_start(&[&program("ends"), "connect", ours, PORT, count]);
        client.wait_for("watching");
        kill_holder(server);
        client.wait_for("all ended");
        // The port is free again: nobody listens, and the next server can.
        let refused = lab.peer_run(&[&program("hold"), "connect", ours, PORT, "1"]);
        assert!(refused.text().contains("Connection refused"), "{}", refused.text());
        let mut again = lab.start(&[&program("hold"), "listen", ours, PORT, "1"]);
        again.wait_for("listening");
    }
}

#[test]
fn a_program_killed_on_loopback_ends_its_connections() {
    let lab = Lab::new(Link::None);
    for address in ["127.0.0.1", "::1"] {
        let mut server = lab.start(&[&program("ends"), "listen", address, PORT, "20"]);
        server.wait_for("listening");
        let client = lab.start(&[&program("hold"), "connect", address, PORT, "20"]);
        server.wait_for("watching");
        kill_holder(client);
        server.wait_for("all ended");
    }
}

/// The calls of `blocked` and where each goes: to a quiet server, or (connect) to where nobody answers.
pub const CALLS: [(&str, &str); 11] = [
    ("recv", PEER_V4),
    ("read", PEER_V6),
    ("send", PEER_V4),
    ("accept", PEER_V4),
    ("connect", "192.168.1.77"),
    ("recvfrom", PEER_V6),
    ("poll", PEER_V4),
    ("poll_listener", PEER_V6),
    ("poll_datagram", PEER_V4),
    ("epoll", PEER_V6),
    ("select", PEER_V4),
];

#[test]
fn a_killed_daemon_ends_blocked_calls_with_an_error_within_100_ms() {
    let mut lab = Lab::new(Link::Packet);
    let blocked = program("blocked");
    let _quiet = [PEER_V4, PEER_V6].map(|at| {
        let mut server = lab.peer_start(&[&program("hold"), "listen", at, PORT, "20"]);
        server.wait_for("listening");
        server
    });
    let mut programs: Vec<Running> = CALLS
        .iter()
        .map(|(call, to)| {
            let own = if to.contains(':') { STACK_V6 } else { STACK_V4 };
            lab.start(&[&blocked, call, own, to, PORT])
        })
        .collect();
    for program in &mut programs {
        program.wait_for("blocked");
    }
    let daemon = lab.daemon().pid().to_string();
    let killed = Command::new(program("kill_now")).arg(daemon).output().expect("it was just built");
    for program in &mut programs {
        // A program that is gone already has said so.
        let _ = program.stdin().write_all(&killed.stdout);
    }
    let complaints: Vec<String> = programs
        .iter_mut()
        .zip(CALLS)
        .filter_map(|(program, (call, _))| {
            let code = program.wait();
            (code != Some(0)).then(|| format!("{call}: exit {code:?}\n{}", program.rest()))
        })
        .collect();
    e2e::none_of(complaints);
}
