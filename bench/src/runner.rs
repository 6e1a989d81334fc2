//! The order of the runs. The two subjects take turns, so that what drifts hits both; a run that fails
//! costs its row on that side, never the table.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cpu;
use crate::machine::Machine;
use crate::measure::{Sample, Timing};
use crate::options::Options;
use crate::rows::{self, Row};
use crate::wire::{Subject, Wire};

/// The runs of one subject in one row.
#[derive(Debug, Default)]
pub struct Runs {
    pub samples: Vec<Sample>,
    /// The first failure; nothing was run after it.
    pub failure: Option<String>,
}

pub struct Measured {
    pub row: &'static Row,
    /// The kernel, and what stands beside it.
    pub runs: [Runs; 2],
}

pub struct Report {
    pub machine: Machine,
    pub subjects: [Subject; 2],
    pub rows: Vec<Measured>,
}

impl Report {
    pub fn has_failures(&self) -> bool {
        self.rows.iter().flat_map(|r| &r.runs).any(|runs| runs.failure.is_some())
    }
}

pub fn run(options: &Options) -> Result<Report, String> {
    let wanted: Vec<&Row> = rows::all().filter(|r| options.wants(r.name)).collect();
    if wanted.is_empty() {
        return Err(format!("no row is named like {}; see --list", options.only.join(", ")));
    }
    let subjects = [Subject::Kernel, if options.self_check { Subject::Kernel } else { Subject::Packet }];
    eprintln!("bench: laying the wire");
    let wire = caught(|| Wire::new(options)).and_then(|wire| wire)?;
    let machine = Machine::look(&wire, options);
    let timing = Timing { secs: options.secs, idle_connections: options.idle };
    let mut measured = Vec::new();
    for (nth, row) in wanted.iter().enumerate() {
        let mut runs = [Runs::default(), Runs::default()];
        for run in 1..=options.runs {
            for (side, subject) in subjects.into_iter().enumerate() {
                let runs = &mut runs[side];
                if runs.failure.is_some() {
                    continue;
                }
                eprint!("bench: {}/{} {} {run}/{} {}: ", nth + 1, wanted.len(), row.name, options.runs, subject.name());
                cpu::wait_for_quiet(options.quiet);
                match once(&wire, row, subject, &timing) {
                    Ok(sample) => {
                        eprintln!("{}", brief(row, &sample));
                        runs.samples.push(sample);
                    }
                    Err(why) => {
                        eprintln!("FAILED: {why}");
                        runs.failure = Some(why);
                    }
                }
            }
        }
        measured.push(Measured { row, runs });
    }
    Ok(Report { machine, subjects, rows: measured })
}

fn once(wire: &Wire, row: &Row, subject: Subject, timing: &Timing) -> Result<Sample, String> {
    let mut near = caught(|| wire.attach(subject, row.cores))?;
    caught(|| row.work.measure(&near, timing)).map_err(|why| match near.last_words() {
        words if words.is_empty() => why,
        words => format!("{why}; the daemon said: {words}"),
    })
}

/// The programs of a run are held with the tests' own means, which panic when one does not do as it must.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(work));
    let _ = std::panic::take_hook();
    result.map_err(|reason| {
        let text = reason.downcast_ref::<String>().cloned();
        text.or_else(|| reason.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
    })
}

fn brief(row: &Row, sample: &Sample) -> String {
    let values = row.metrics.iter().zip(&sample.values);
    let words = values.map(|(m, v)| match v {
        Some(v) => format!("{:.2} {}", v * m.scale, m.unit),
        None => "-".to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}
