//! `iopkt shell`: an interactive shell on an instance, with a prompt that says so.

use std::ffi::OsString;

use sockets::paths;

use super::place::Place;
use super::run;
use crate::command::{Command, Failure};

pub const COMMAND: Command = Command {
    name: "iopkt shell",
    summary: "a shell whose programs and commands are on an instance",
    usage: &["[-p PREFIX]"],
    details: "",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let (prefix, rest) = run::options(words)?;
    if let Some(extra) = rest.first() {
        let message = format!("{}: not expected (iopkt run takes a program)", extra.to_string_lossy());
        return Err(Failure::usage(message).with_status(super::USAGE));
    }
    let shell = std::env::var_os("SHELL").filter(|s| !s.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let named = paths::prefix(prefix.as_deref(), crate::client::env);
    let mark = format!("(iopkt {named}) ");
    let mut env = vec![("IOPKT_PROMPT", OsString::from(&mark))];
    let mut words = vec![shell.clone()];
    match std::path::Path::new(&shell).file_name().and_then(|n| n.to_str()) {
        // bash sets PS1 and often PATH in the user's own start-up file; ours comes after it.
        Some("bash") => {
            let place = Place::find()?;
            if let Some(rc) = place.share("bashrc") {
                env.push(("IOPKT_BIN", place.bin().into()));
                words.extend(["--rcfile".into(), rc.into()]);
            }
        }
        _ => env.push(("PS1", format!("{mark}$ ").into())),
    }
    words.push("-i".into());
    Err(run::become_program(prefix.as_deref(), &words, &env))
}
