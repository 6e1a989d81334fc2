//! Every command of iopkt in one program. It acts as the command whose name it was started by
//! (`ifconfig`, `route`, `netstat`, …), and as the front door when that is `iopkt`:
//! `iopkt run`, and `iopkt ifconfig …` for any of the commands.

#![forbid(unsafe_code)]

mod client;
mod command;
mod datagram;
mod front;
mod getopt;
mod hand_over;
mod ifconfig;
mod inet;
mod mount;
mod names;
mod netstat;
mod ping;
mod route;
mod stdout;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use command::{Command, Failure};

/// The commands that stand in `bin` under their own names.
pub const COMMANDS: &[&Command] =
    &[&ifconfig::COMMAND, &route::COMMAND, &netstat::COMMAND, &ping::PING, &ping::PING6, &mount::COMMAND];

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let own_name = words.next().unwrap_or_else(|| "iopkt".into());
    let name = Path::new(&own_name).file_name().and_then(|n| n.to_str()).unwrap_or("iopkt");
    let words: Vec<OsString> = words.collect();
    match COMMANDS.iter().find(|c| c.name == name) {
        Some(command) => conclude(command, words),
        None => front::main(words),
    }
}

/// Runs a command; says on standard error why it failed.
pub fn conclude(command: &Command, words: Vec<OsString>) -> ExitCode {
    if let [only] = words.as_slice()
        && (only == "--help" || only == "--version" && command.name != mount::COMMAND.name)
    {
        let text = match only == "--help" {
            true => command.help(),
            false => format!("{} (iopkt) {}\n", command.name, env!("CARGO_PKG_VERSION")),
        };
        return stdout::print(&text).map_or_else(|f| report(command, &f), |()| ExitCode::SUCCESS);
    }
    match (command.run)(words) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => report(command, &failure),
    }
}

fn report(command: &Command, failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        eprintln!("{}: {}", command.name, failure.message);
    }
    if failure.usage {
        eprint!("{}", command.usage_text());
    }
    ExitCode::from(failure.status)
}
