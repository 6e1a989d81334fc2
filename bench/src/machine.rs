//! What the figures were taken on.

use crate::options::Options;
use crate::wire::Wire;

/// Lines for the report's head, as (name, value).
#[derive(Debug)]
pub struct Machine(pub Vec<(&'static str, String)>);

impl Machine {
    pub fn look(wire: &Wire, options: &Options) -> Machine {
        let lean = wire.lean.display().to_string();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let sysctl = |name: &str| wire.tell(&["sysctl", "-n", name]).split_whitespace().collect::<Vec<_>>().join(" ");
        Machine(vec![
            ("cpu", format!("{cores} x {}", cpu_model())),
            ("kernel", read("/proc/sys/kernel/osrelease")),
            ("load", read("/proc/loadavg")),
            ("wire", format!("veth, MTU {}, {}", options.mtu, wire.tell(&[&lean, "offloads", "veth0"]).trim())),
            (
                "kernel TCP",
                format!(
                    "{}, rmem {}, wmem {}",
                    options.congestion,
                    sysctl("net.ipv4.tcp_rmem"),
                    sysctl("net.ipv4.tcp_wmem")
                ),
            ),
            ("runs", format!("{} each side by turns, {} s", options.runs, options.secs)),
        ])
    }
}

fn cpu_model() -> String {
    let text = read("/proc/cpuinfo");
    let model =
        text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, v)| v.trim().to_owned()));
    model.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
