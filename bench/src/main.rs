//! `bench`: the same work on the kernel's stack and on ours, in one run, on one wire, in one table.
//! README.md beside this crate says how to run it and what each row means.

#![forbid(unsafe_code)]

mod cpu;
mod json;
mod machine;
mod measure;
mod options;
mod programs;
mod report;
mod rows;
mod runner;
mod stats;
mod wire;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::USAGE);
            rows::all().for_each(|row| println!("  {:<20} {}", row.name, row.what));
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("bench: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let report = match runner::run(&options) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("bench: {why}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        println!("{}", json::text(&report));
    } else {
        print!("{}", report::text(&report));
    }
    ExitCode::from(u8::from(report.has_failures()))
}
