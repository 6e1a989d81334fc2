//! The front door: `iopkt run`, `shell`, `status`, `stop`, `capture`, and `iopkt COMMAND …` for
//! every other command.

mod capture;
mod elf;
mod enter;
mod files;
mod frame_line;
mod pcap;
mod place;
mod program;
mod run;
mod shell;
mod start;
mod status;
mod stop;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::COMMANDS;
use crate::command::Command;

const FRONT: &[&Command] = &[&run::COMMAND, &shell::COMMAND, &status::COMMAND, &stop::COMMAND, &capture::COMMAND];

/// Exit status for a wrong use of `iopkt` itself.
const USAGE: u8 = 2;

pub fn main(mut words: Vec<OsString>) -> ExitCode {
    let first = (!words.is_empty()).then(|| words.remove(0));
    match first.as_ref().and_then(|w| w.to_str()) {
        None if first.is_none() => {
            eprint!("{}", overview());
            ExitCode::from(USAGE)
        }
        Some("--help" | "-h") => say(&overview()),
        Some("--version" | "-V") => say(&format!("iopkt {}\n", env!("CARGO_PKG_VERSION"))),
        Some("help") => match words.first().and_then(|w| w.to_str()) {
            None => say(&overview()),
            Some(name) => match find(name) {
                Some(command) => say(&command.help()),
                None => unknown(name),
            },
        },
        // For scripts/layout: the names that stand in bin.
        Some("__commands") => say(&COMMANDS.iter().map(|c| format!("{}\n", c.name)).collect::<String>()),
        Some(enter::PROBE) => enter::probe(),
        Some(name) => match find(name) {
            Some(command) => crate::conclude(command, words),
            None => unknown(name),
        },
        None => unknown(&first.unwrap_or_default().to_string_lossy()),
    }
}

fn find(name: &str) -> Option<&'static Command> {
    FRONT.iter().chain(COMMANDS).copied().find(|c| c.name == name || c.name == format!("iopkt {name}"))
}

fn unknown(name: &str) -> ExitCode {
    let names: Vec<&str> = FRONT.iter().chain(COMMANDS).map(|c| short(c)).collect();
    eprintln!("iopkt: {name}: no such command (commands: {})", names.join(", "));
    ExitCode::from(USAGE)
}

fn short(command: &Command) -> &'static str {
    command.name.strip_prefix("iopkt ").unwrap_or(command.name)
}

fn overview() -> String {
    let mut text = String::from("usage: iopkt COMMAND [WORDS]\n\nThe front door:\n");
    let list = |text: &mut String, commands: &[&Command]| {
        for c in commands {
            text.push_str(&format!("  {:10} {}\n", short(c), c.summary));
        }
    };
    list(&mut text, FRONT);
    text.push_str("\nCommands (each also stands in bin under its own name):\n");
    list(&mut text, COMMANDS);
    text.push_str("\niopkt help COMMAND says more of one; iopkt --version prints the version.\n");
    text
}

fn say(text: &str) -> ExitCode {
    match crate::stdout::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(f) => ExitCode::from(f.status),
    }
}
