//! Bad input, from every side that can give some: frames, control messages, bytes in pairs, programs that die, tables that
//! fill up, drivers that fail. The daemon counts it, goes on, and gives back what it took.

mod control;
mod crowd;
mod frames;
mod links;
mod pairs;
mod programs;
mod rings;
mod tables;

use std::process::Command;
use std::time::Instant;

use e2e::{Lab, eventually, script};

/// `often` in a full run, `seldom` otherwise.
pub fn count(seldom: usize, often: usize) -> String {
    let n = if std::env::var_os("IOPKT_TEST_FULL").is_some() { often } else { seldom };
    n.to_string()
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub descriptors: usize,
    /// Bytes of memory of its own: not the pages of files that it has mapped.
    pub memory: usize,
}

/// What the heap of a small daemon grows by until it has seen everything, in bytes.
pub const SETTLING: usize = 4 << 20;

impl Held {
    pub fn by(pid: u32) -> Held {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon is alive").count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon is alive");
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("a line of proc(5)");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        Held { descriptors, memory: kib * 1024 }
    }

    /// No descriptor more, and memory within 5 %, or what a small daemon's heap needs to settle.
    pub fn is_back_at(self, before: Held) -> bool {
        self.descriptors <= before.descriptors && self.memory <= before.memory + (before.memory / 20).max(SETTLING)
    }
}

/// Waits until the daemon holds no more than before.
#[track_caller]
pub fn back_at(pid: u32, before: Held) {
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
pub fn sockets(lab: &Lab) -> Vec<String> {
    let text = lab.command(&["netstat", "-an"]).ok();
    let is_socket = |l: &&str| ["tcp", "udp", "icmp", "raw"].iter().any(|p| l.starts_with(p));
    text.lines().filter(is_socket).filter(|l| !l.contains("TIME_WAIT")).map(str::to_owned).collect()
}

#[track_caller]
pub fn no_sockets_left(lab: &Lab) {
    no_sockets_left_but(lab, 0);
}

#[track_caller]
pub fn no_sockets_left_but(lab: &Lab, some: usize) {
    let mut last = Vec::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("every socket is gone", || {
            last = sockets(lab);
            (last.len() <= some).then_some(())
        })
    }));
    last.truncate(20);
    assert!(waited.is_ok(), "left over: {last:#?}");
}

/// The number before a sentence of `netstat -s`.
pub fn counter(lab: &Lab, sentence: &str) -> u64 {
    let text = lab.command(&["netstat", "-s"]).ok();
    let line = text.lines().find(|l| l.contains(sentence));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// An attacker outside the laboratory's namespaces, as `hostile_control.py` wants it.
pub fn attacker(lab: &Lab, name: &str, case: &str, counts: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(script(name));
    if !case.is_empty() {
        command.arg(case);
    }
    command.arg(lab.run_dir().join("dev/socket/ctl")).args(counts);
    command
}

#[track_caller]
pub fn attack(lab: &Lab, name: &str, case: &str, counts: &[&str]) {
    e2e::finish(attacker(lab, name, case, counts), b"").ok();
}

/// A socket can be had, and a connection over lo0 carries bytes.
#[track_caller]
pub fn serves(lab: &Lab) {
    let program = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
                   c = socket.create_connection(s.getsockname()); a, _ = s.accept(); \
                   c.sendall(b'x'); assert a.recv(1) == b'x'";
    lab.run(&["python3", "-c", program]).ok();
}

/// Fraction of a core that a process used while `during` ran.
pub fn load(pid: u32, during: impl FnOnce()) -> f64 {
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is alive");
        let fields: Vec<u64> =
            stat.rsplit(')').next().expect("one").split(' ').filter_map(|w| w.parse().ok()).collect();
        (fields[10] + fields[11]) as f64 / 100.0
    };
    let (before, begin) = (used(), Instant::now());
    during();
    (used() - before) / begin.elapsed().as_secs_f64()
}
