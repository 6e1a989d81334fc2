//! Time that processors spent, read from proc(5).

use std::time::{Duration, Instant};

/// Ticks a second in proc(5): USER_HZ, 100 on every architecture that we build for.
const USER_HZ: f64 = 100.0;

/// Seconds of processor time of a process with all its threads, user and system.
pub fn of_process(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; the fields that count come after the last bracket.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11..13)?.iter().map(|f| f.parse::<f64>().unwrap_or(0.0)).sum();
    Some(ticks / USER_HZ)
}

/// Seconds that all processors together were busy since boot.
fn of_machine() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0.0)).collect();
    // user nice system idle iowait irq softirq
    [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>() / USER_HZ
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Option<f64> {
    kib_after(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
}

/// Memory in the kernel's own caches, in bytes.
pub fn slab() -> Option<f64> {
    kib_after(&std::fs::read_to_string("/proc/meminfo").ok()?, "Slab:")
}

fn kib_after(text: &str, key: &str) -> Option<f64> {
    let value = text.lines().find_map(|l| l.strip_prefix(key))?;
    value.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

/// A machine with less than this many busy cores is quiet.
const QUIET_CORES: f64 = 0.1;
const LOOK: Duration = Duration::from_millis(300);

/// Looks at the machine until it is quiet or `secs` are over.
pub fn wait_for_quiet(secs: f64) {
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < secs {
        let window = Window::open(None);
        std::thread::sleep(LOOK);
        let spent = window.close();
        if spent.machine / spent.wall < QUIET_CORES {
            return;
        }
    }
}

/// A stretch of time, begun now.
pub struct Window {
    start: Instant,
    machine: f64,
    daemon: Option<(u32, f64)>,
}

/// What happened in it.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub daemon: f64,
    pub machine: f64,
    pub wall: f64,
}

impl Window {
    pub fn open(daemon: Option<u32>) -> Window {
        let daemon = daemon.map(|pid| (pid, of_process(pid).unwrap_or(0.0)));
        Window { start: Instant::now(), machine: of_machine(), daemon }
    }

    pub fn close(self) -> Spent {
        let daemon = self.daemon.map_or(0.0, |(pid, before)| of_process(pid).unwrap_or(before) - before);
        Spent { daemon, machine: of_machine() - self.machine, wall: self.start.elapsed().as_secs_f64() }
    }
}
