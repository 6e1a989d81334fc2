//! The table.

use std::fmt::Write;

use crate::measure::Sample;
use crate::rows::{Goal, Metric};
use crate::runner::{Measured, Report, Runs};
use crate::stats::{median, spread};

/// More than this, and other work has disturbed the run.
const OTHERS_MAX: f64 = 0.15;

/// A figure of one side: all its values, in the unit printed.
pub fn values(runs: &Runs, nth: usize, metric: &Metric) -> Vec<f64> {
    runs.samples.iter().filter_map(|s| s.values.get(nth).copied().flatten()).map(|v| v * metric.scale).collect()
}

/// Processor time of all that took part, per unit of work.
pub fn cpu(runs: &Runs, scale: f64) -> Vec<f64> {
    runs.samples.iter().filter_map(|s| s.cpu).map(|c| c.total() * scale).collect()
}

/// The middle of the ratios of runs that followed each other.
pub fn ratio(kernel: &[f64], other: &[f64]) -> Option<f64> {
    let pairs: Vec<f64> = kernel.iter().zip(other).filter(|(k, _)| **k > 0.0).map(|(k, o)| o / k).collect();
    median(&pairs)
}

/// `None` where there is no goal, or nothing to hold against it.
pub fn met(goal: Goal, ratio: Option<f64>, value: Option<f64>) -> Option<bool> {
    match goal {
        Goal::RatioAtLeast(least) => ratio.map(|r| r >= least),
        Goal::RatioAtMost(most) => ratio.map(|r| r <= most),
        Goal::AtMost(most) => value.map(|v| v <= most),
        Goal::None => None,
    }
}

pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for (name, value) in &report.machine.0 {
        let _ = writeln!(out, "{name:<11} {value}");
    }
    let [left, right] = report.subjects.map(|s| s.name());
    let _ = writeln!(
        out,
        "\n{:<22} {:<7} {left:>9} {:>5} {right:>9} {:>5} {:>6} {:>7}  {:<6} {:>9} {:>9} {:>6}",
        "row", "unit", "+-", "+-", "ratio", "goal", "cpu", left, right, "ratio"
    );
    for measured in &report.rows {
        for nth in 0..measured.row.metrics.len() {
            line(&mut out, measured, nth);
        }
    }
    out.push_str("\ncpu: all processor time of the near program, the daemon and the far program per unit of work\n");
    notes(&mut out, report);
    out
}

fn line(out: &mut String, measured: &Measured, nth: usize) {
    let Measured { row, runs } = measured;
    let metric = &row.metrics[nth];
    let [left, right] = [0, 1].map(|side| values(&runs[side], nth, metric));
    let ratio = ratio(&left, &right);
    let name = if nth == 0 { row.name } else { "" };
    let name = format!("{name:<15} {}", metric.what);
    let _ = write!(
        out,
        "{name:<22} {:<7} {:>9} {:>5} {:>9} {:>5} {:>6} {:>7}",
        metric.unit,
        figure(median(&left)),
        percent(spread(&left)),
        figure(median(&right)),
        percent(spread(&right)),
        figure(ratio),
        goal(metric.goal),
    );
    if let (0, Some(unit)) = (nth, row.cpu) {
        let [left, right] = [0, 1].map(|side| cpu(&runs[side], unit.scale));
        let (kernel, other) = (figure(median(&left)), figure(median(&right)));
        let _ = write!(out, "  {:<6} {kernel:>9} {other:>9} {:>6}", unit.unit, figure(self::ratio(&left, &right)));
    }
    out.push_str(match met(metric.goal, ratio, median(&right)) {
        Some(false) => "  MISSED\n",
        _ if runs.iter().any(|r| r.failure.is_some()) => "  FAILED\n",
        _ => "\n",
    });
}

fn notes(out: &mut String, report: &Report) {
    let mut disturbed = Vec::new();
    for Measured { row, runs } in &report.rows {
        for (subject, runs) in report.subjects.iter().zip(runs) {
            if let Some(why) = &runs.failure {
                let _ = writeln!(out, "{} on {} failed: {why}", row.name, subject.name());
            }
        }
        let others: Vec<f64> = runs.iter().flat_map(|r| &r.samples).filter_map(foreign).collect();
        if let Some(cores) = median(&others).filter(|o| *o > OTHERS_MAX) {
            disturbed.push(format!("{} ({cores:.2})", row.name));
        }
    }
    if !disturbed.is_empty() {
        let _ = writeln!(out, "other work took part of the machine (cores, median): {}", disturbed.join(", "));
    }
}

fn foreign(sample: &Sample) -> Option<f64> {
    sample.cpu.map(|c| c.others)
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::RatioAtLeast(x) => format!(">={x}"),
        Goal::RatioAtMost(x) => format!("<={x}"),
        Goal::AtMost(x) => format!("<={x}"),
        Goal::None => "-".to_owned(),
    }
}

fn percent(part: Option<f64>) -> String {
    part.map_or_else(|| "-".to_owned(), |p| format!("{:.0}%", p * 100.0))
}

/// Three digits that count.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(v) if v.abs() >= 100.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_pairs_runs_that_followed_each_other() {
        // The machine became twice as slow after the first pair; the ratio does not care.
        assert_eq!(ratio(&[10.0, 5.0, 5.0], &[20.0, 10.0, 10.0]), Some(2.0));
        assert_eq!(ratio(&[], &[1.0]), None);
    }

    #[test]
    fn goals_are_met_or_missed_or_open() {
        assert_eq!(met(Goal::RatioAtLeast(0.5), Some(0.5), None), Some(true));
        assert_eq!(met(Goal::RatioAtMost(3.0), Some(3.1), None), Some(false));
        assert_eq!(met(Goal::AtMost(8192.0), None, Some(9000.0)), Some(false));
        assert_eq!(met(Goal::RatioAtLeast(0.5), None, None), None);
    }
}
