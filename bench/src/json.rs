//! Every figure of a report, for other programs.

use crate::report::{met, ratio, values};
use crate::rows::Metric;
use crate::runner::{Measured, Report, Runs};
use crate::stats::median;

pub fn text(report: &Report) -> String {
    let machine = report.machine.0.iter().map(|(name, value)| format!("{}: {}", string(name), string(value)));
    let rows = report.rows.iter().map(|m| row(report, m));
    format!(
        "{{\n  \"machine\": {{{}}},\n  \"rows\": [\n{}\n  ]\n}}",
        machine.collect::<Vec<_>>().join(", "),
        rows.collect::<Vec<_>>().join(",\n")
    )
}

fn row(report: &Report, measured: &Measured) -> String {
    let row = measured.row;
    let metrics = row.metrics.iter().enumerate().map(|(nth, m)| metric(measured, nth, m));
    let sides = [("kernel", &measured.runs[0]), ("beside", &measured.runs[1])];
    let cpu = sides.map(|(name, runs)| format!("\"cpu_{name}\": {}", processor(runs)));
    format!(
        "    {{\"row\": {}, \"what\": {}, \"beside\": {}, \"metrics\": [{}], {}, \"failures\": [{}]}}",
        string(row.name),
        string(row.what),
        string(report.subjects[1].name()),
        metrics.collect::<Vec<_>>().join(", "),
        cpu.join(", "),
        measured.runs.iter().filter_map(|r| r.failure.as_deref()).map(string).collect::<Vec<_>>().join(", ")
    )
}

fn metric(measured: &Measured, nth: usize, metric: &Metric) -> String {
    let [left, right] = [0, 1].map(|side| values(&measured.runs[side], nth, metric));
    let ratio = ratio(&left, &right);
    let met = met(metric.goal, ratio, median(&right)).map_or("null", |m| if m { "true" } else { "false" });
    format!(
        "{{\"name\": {}, \"unit\": {}, \"kernel\": {}, \"beside\": {}, \"ratio\": {}, \"goal_met\": {met}}}",
        string(metric.what),
        string(metric.unit),
        numbers(&left),
        numbers(&right),
        ratio.map_or_else(|| "null".to_owned(), number),
    )
}

/// Seconds per unit of work (byte, round trip, connection, datagram) of each part; `others` in cores.
fn processor(runs: &Runs) -> String {
    let samples: Vec<_> = runs.samples.iter().filter_map(|s| s.cpu).collect();
    let part = |name: &str, of: fn(&crate::measure::Cpu) -> f64| {
        format!("\"{name}\": {}", numbers(&samples.iter().map(of).collect::<Vec<_>>()))
    };
    let parts =
        [part("near", |c| c.near), part("daemon", |c| c.daemon), part("far", |c| c.far), part("others", |c| c.others)];
    format!("{{{}}}", parts.join(", "))
}

fn numbers(values: &[f64]) -> String {
    format!("[{}]", values.iter().map(|v| number(*v)).collect::<Vec<_>>().join(", "))
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:e}") } else { "null".to_owned() }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped() {
        assert_eq!(super::string("a \"b\"\n"), "\"a \\\"b\\\"\\u000a\"");
    }
}
