//! A daemon that has nothing to do does nothing: with any driver, none of its threads wakes.

use std::time::{Duration, Instant};

use e2e::{Lab, PATIENCE, Running};

/// Longer than any clock that a driver could be suspected of: they went every second.
const QUIET: Duration = Duration::from_secs(4);

/// How often the threads of a process have gone to sleep so far, or been sent to.
fn switches(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the daemon is alive");
    tasks
        .map(|task| {
            let status = std::fs::read_to_string(task.expect("a thread").path().join("status")).unwrap_or_default();
            let counts = status.lines().filter_map(|l| l.split_once("ctxt_switches:"));
            counts.filter_map(|(_, n)| n.trim().parse::<u64>().ok()).sum::<u64>()
        })
        .sum()
}

/// Waits until no thread has woken for a while: what a start has to do takes some seconds (duplicate addresses,
/// three router solicitations, the host's own discovery on its end of the link).
#[track_caller]
fn comes_to_rest(daemon: &Running) {
    let begin = Instant::now();
    let (mut last, mut since) = (switches(daemon.pid()), Instant::now());
    while since.elapsed() < QUIET {
        assert!(begin.elapsed() < PATIENCE, "the daemon still wakes after {PATIENCE:?}: {last} times by now");
        std::thread::sleep(Duration::from_millis(100));
        let now = switches(daemon.pid());
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// A daemon with this driver in a laboratory whose peer's interface keeps quiet.
fn idle_with(driver: &[&str]) -> (Lab, Running) {
    let lab = Lab::without_daemon();
    for file in ["all", "default", "veth0", "veth1"] {
        let quiet = format!("echo 1 > /proc/sys/net/ipv6/conf/{file}/disable_ipv6");
        let _ = (lab.home_run(&["sh", "-c", &quiet]), lab.peer_run(&["sh", "-c", &quiet]));
    }
    let mut command = lab.home_command("io-pkt-v6-hc");
    command.arg("-f").args(driver);
    let mut daemon = Running::start(command);
    daemon.wait_for("serves");
    if !driver.is_empty() {
        lab.command(&["ifconfig", "en0", "10.9.0.1/24", "up"]).ok();
    }
    (lab, daemon)
}

#[test]
fn with_lo0_alone() {
    let (_lab, daemon) = idle_with(&[]);
    comes_to_rest(&daemon);
}

#[test]
fn with_packet() {
    let (_lab, daemon) = idle_with(&["-d", "packet", "if=veth0"]);
    comes_to_rest(&daemon);
}

#[test]
fn with_tap() {
    let (lab, daemon) = idle_with(&["-d", "tap", "if=tap0"]);
    lab.home_run(&["ip", "link", "set", "tap0", "up"]).ok();
    comes_to_rest(&daemon);
}

#[test]
fn with_socket_whether_the_peer_is_there_or_not() {
    let (lab, daemon) = idle_with(&["-d", "socket", "local=a,remote=b"]);
    comes_to_rest(&daemon);
    let mut command = lab.home_command("io-pkt-v6-hc");
    command.args(["-f", "-p", "/dev/io-net2", "-d", "socket", "local=b,remote=a"]);
    let mut peer = Running::start(command);
    peer.wait_for("serves");
    lab.command(&["ifconfig", "-p", "/dev/io-net2", "en0", "10.9.0.2/24", "up"]).ok();
    lab.command(&["ping", "-c", "1", "10.9.0.2"]).ok();
    comes_to_rest(&daemon);
    comes_to_rest(&peer);
}

/// libslirp too: it keeps clocks only for connections, forwards and flows.
#[test]
fn with_user() {
    let (_lab, daemon) = idle_with(&["-d", "user"]);
    comes_to_rest(&daemon);
}
