//! Programs that die, or stop, whatever they are at.

use std::process::Command;

use e2e::{Lab, Link, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, eventually, program, same_bytes, script};

use super::links::{endless, flows};
use super::{Held, back_at, count, no_sockets_left, serves};
use crate::descriptors::CALLS;

#[test]
fn programs_killed_at_any_moment_leave_nothing() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut echo = lab.peer_start(&["python3", &script("echo_server.py"), "7000", PEER_V4, PEER_V6]);
    echo.wait_for("ready");
    let killed = |peer: &str, rounds: &str, seed: &str| {
        let said = lab.run(&[&program("killed"), peer, "7000", rounds, seed]).ok();
        assert!(said.contains(&format!("killed {rounds}")), "{said}");
    };
    killed(PEER_V4, "30", "1");
    no_sockets_left(&lab);
    let before = Held::by(daemon);
    killed(PEER_V4, &count(100, 2_000), "2");
    killed(PEER_V6, &count(100, 2_000), "3");
    no_sockets_left(&lab);
    let connected = || lab.peer_run(&["ss", "-Htan", "sport", "=", ":7000"]).ok();
    eventually("the peer has seen every connection end", || {
        connected().lines().all(|l| l.starts_with("LISTEN") || l.starts_with("TIME-WAIT")).then_some(())
    });
    back_at(daemon, before);
    serves(&lab);
}

/// The number at the end of "… as PID": `iopkt run` may stand between us and the program.
fn number_in(line: &str) -> String {
    line.rsplit(' ').next().expect("the last word is the number").to_owned()
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().is_ok_and(|s| s.success()), "kill {name} {pid}");
}

#[test]
fn a_program_killed_in_any_call_that_waits_leaves_nothing() {
    const PORT: &str = "4321";
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    serves(&lab);
    let before = Held::by(daemon);
    let quiet = [PEER_V4, PEER_V6].map(|at| {
        let mut server = lab.peer_start(&[&program("hold"), "listen", at, PORT, "20"]);
        server.wait_for("listening");
        server
    });
    let start = |(call, to): &(&str, &str)| -> (Running, String) {
        let own = if to.contains(':') { STACK_V6 } else { STACK_V4 };
        let script = "echo waits as $$; exec \"$@\"";
        let mut waits = lab.start(&["sh", "-c", script, "sh", &program("blocked"), call, own, to, PORT]);
        let pid = number_in(&waits.wait_for("waits as"));
        (waits, pid)
    };
    let mut programs: Vec<_> = CALLS.iter().map(start).collect();
    for (program, _) in &mut programs {
        program.wait_for("blocked");
    }
    for (program, pid) in &mut programs {
        signal("-KILL", pid);
        program.wait();
    }
    // But for `send`'s, whose end stands behind bytes that the peer does not take.
    eventually("the peer has heard of every end", || {
        let open = lab.peer_run(&["ss", "-Htn", "state", "established", "sport", "=", &format!(":{PORT}")]).ok();
        (open.lines().count() <= 1).then_some(())
    });
    drop(quiet);
    no_sockets_left(&lab);
    back_at(daemon, before);
    serves(&lab);
}

#[test]
fn a_stopped_program_that_is_sent_bulk_keeps_nobody_waiting() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let (_sender, mut receiver) = endless(&lab);
    let pid = number_in(&receiver.wait_for("receiving as"));
    flows(&lab);
    let before = Held::by(daemon);
    signal("-STOP", &pid);
    let file = lab.data_file("file", 10_000_000);
    let mut server = lab.peer_start(&["python3", "-u", "-m", "http.server", "--bind", PEER_V4, "8000"]);
    server.wait_for("Serving HTTP");
    let (got, url) = (lab.path("got"), format!("http://{PEER_V4}:8000/file"));
    for _ in 0..3 {
        lab.run(&["curl", "-sS", "--fail", "--max-time", "20", "-o", &got.to_string_lossy(), &url]).ok();
        assert!(same_bytes(&file, &got));
        serves(&lab);
    }
    // What the stopped one does not take waits at the peer, beyond the buffers of its socket.
    let held = Held::by(daemon);
    assert!(held.memory < before.memory + (16 << 20), "{before:?}, then {held:?}");
    signal("-CONT", &pid);
    flows(&lab);
}
