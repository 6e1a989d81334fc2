//! Bulk TCP by iperf3, with its own calls and its own account of processor time.

use super::{Cpu, Sample, Timing};
use crate::rows::Way;
use crate::wire::{FAR, Near};

pub fn run(near: &Near<'_>, timing: &Timing, streams: usize, way: Way) -> Sample {
    let (port, streams) = (near.wire.ports(1).to_string(), streams.to_string());
    // It takes whole seconds only.
    let secs = timing.secs.ceil().to_string();
    let mut far = near.wire.start_far(near.cores, &["iperf3", "-s", "-1", "-p", &port, "--forceflush"]);
    far.wait_for("Server listening");
    let mut args = vec!["iperf3", "-c", FAR, "-p", &port, "-t", &secs, "-P", &streams, "-J"];
    if way == Way::In {
        args.push("-R");
    }
    let window = near.window();
    let text = near.run(&args).ok();
    let spent = window.close();
    far.wait();
    let end = &text[text.find("\"end\"").unwrap_or(0)..];
    let bytes = number(end, &["\"sum_received\"", "\"bytes\""]);
    let rate = number(end, &["\"sum_received\"", "\"bits_per_second\""]) / 8.0;
    let wall = bytes / rate;
    let busy = |whose: &str| number(end, &["\"cpu_utilization_percent\"", whose]) / 100.0 * wall / bytes;
    let cpu = Cpu::per_unit(busy("\"host_total\""), busy("\"remote_total\""), spent, bytes);
    Sample { values: vec![Some(rate)], cpu: Some(cpu) }
}

/// The number that stands behind these keys, met one after the other.
fn number(json: &str, keys: &[&str]) -> f64 {
    let rest = keys.iter().try_fold(json, |rest, key| Some(&rest[rest.find(key)? + key.len()..]));
    let value =
        rest.and_then(|r| r.trim_start_matches([':', '\t', ' ']).split([',', '\n', '}']).next()?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {keys:?} in iperf3's report: {json}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_number_is_found_behind_its_keys() {
        let json = r#"{"sum_sent":{"bytes":1},"sum_received": {"bytes":	25,"x":3}}"#;
        assert_eq!(super::number(json, &["\"sum_received\"", "\"bytes\""]), 25.0);
        assert_eq!(super::number(json, &["\"x\""]), 3.0);
    }
}
