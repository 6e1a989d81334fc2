//! Bad input, from every side that can give some: frames, control messages, bytes in pairs, programs that die, tables that
//! fill up, drivers that fail. The daemon counts it, goes on, and gives back what it took.

use std::process::Command;
use std::time::Instant;

use e2e::{Lab, Link, Running, eventually, script};

/// `often` in a full run, `seldom` otherwise.
fn count(seldom: usize, often: usize) -> String {
    let n = if std::env::var_os("IOPKT_TEST_FULL").is_some() { often } else { seldom };
    n.to_string()
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    /// Bytes of memory of its own: not the pages of files that it has mapped.
    memory: usize,
}

impl Held {
    fn by(pid: u32) -> Held {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon is alive").count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon is alive");
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("a line of proc(5)");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        Held { descriptors, memory: kib * 1024 }
    }

    /// No descriptor more, and memory within 5 % or a mebibyte.
    fn is_back_at(self, before: Held) -> bool {
        self.descriptors <= before.descriptors && self.memory <= before.memory + (before.memory / 20).max(1 << 20)
    }
}

/// Waits until the daemon holds no more than before.
#[track_caller]
fn back_at(pid: u32, before: Held) {
    let mut last = before;
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the daemon holds what it held before", || {
            last = Held::by(pid);
            last.is_back_at(before).then_some(())
        })
    }));
    assert!(waited.is_ok(), "{last:?} instead of {before:?}");
}

/// The sockets of `netstat -an` but for connections in TIME_WAIT.
fn sockets(lab: &Lab) -> Vec<String> {
    let text = lab.command(&["netstat", "-an"]).ok();
    let is_socket = |l: &&str| ["tcp", "udp", "icmp", "raw"].iter().any(|p| l.starts_with(p));
    text.lines().filter(is_socket).filter(|l| !l.contains("TIME_WAIT")).map(str::to_owned).collect()
}

#[track_caller]
fn no_sockets_left(lab: &Lab) {
    let mut last = Vec::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("every socket is gone", || {
            last = sockets(lab);
            last.is_empty().then_some(())
        })
    }));
    assert!(waited.is_ok(), "left over: {last:#?}");
}

/// The number before a sentence of `netstat -s`.
fn counter(lab: &Lab, sentence: &str) -> u64 {
    let text = lab.command(&["netstat", "-s"]).ok();
    let line = text.lines().find(|l| l.contains(sentence));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// An attacker outside the laboratory's namespaces, as `hostile_control.py` wants it.
fn attacker(lab: &Lab, name: &str, case: &str, counts: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(script(name));
    if !case.is_empty() {
        command.arg(case);
    }
    command.arg(lab.run_dir().join("dev/socket/ctl")).args(counts);
    command
}

#[track_caller]
fn attack(lab: &Lab, name: &str, case: &str, counts: &[&str]) {
    e2e::finish(attacker(lab, name, case, counts), b"").ok();
}

/// A socket can be had, and a connection over lo0 carries bytes.
#[track_caller]
fn serves(lab: &Lab) {
    let program = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
                   c = socket.create_connection(s.getsockname()); a, _ = s.accept(); \
                   c.sendall(b'x'); assert a.recv(1) == b'x'";
    lab.run(&["python3", "-c", program]).ok();
}

// --- the control channel -------------------------------------------------------------------------

#[test]
fn hostile_control_messages_are_answered_counted_and_leave_nothing() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_control.py", "random", &["200", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        attack(&lab, "hostile_control.py", "random", &[&count(6_000, 60_000), seed]);
        serves(&lab);
    }
    attack(&lab, "hostile_control.py", "foreign", &["2000", "4"]);
    attack(&lab, "hostile_control.py", "half", &["200", "5"]);
    attack(&lab, "hostile_control.py", "unread", &["20"]);
    serves(&lab);
    no_sockets_left(&lab);
    back_at(daemon, before);
    for sentence in ["no request", "messages too long", "cut off for not reading"] {
        assert!(counter(&lab, sentence) > 0, "{sentence}: {}", lab.command(&["netstat", "-s"]).text());
    }
}

#[test]
fn silent_clients_and_floods_do_not_keep_others_waiting() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    let before = Held::by(daemon);
    let mut silent = Running::start(attacker(&lab, "hostile_control.py", "silent", &["500"]));
    silent.wait_for("silent 500");
    serves(&lab);
    let mut flood = Running::start(attacker(&lab, "hostile_control.py", "flood", &["3"]));
    flood.wait_for("flooding");
    for _ in 0..5 {
        let begin = Instant::now();
        serves(&lab);
        assert!(begin.elapsed().as_secs() < 5, "a flood kept a program waiting for {:?}", begin.elapsed());
    }
    drop((silent, flood));
    back_at(daemon, before);
}

// --- pairs ---------------------------------------------------------------------------------------

#[test]
fn anything_written_into_pairs_at_any_time_harms_only_its_writer() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_pairs.py", "", &["100", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3", "4"] {
        attack(&lab, "hostile_pairs.py", "", &[&count(700, 10_000), seed]);
        serves(&lab);
    }
    no_sockets_left(&lab);
    back_at(daemon, before);
}
