//! `iopkt run`: puts a program on an instance, starting one when there is none. The program takes
//! the place of this process, so its exit status and its signals are its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process;

use sockets::paths;

use super::enter::{self, Confinement};
use super::place::Place;
use super::{program, start};
use crate::client::{Instance, own_run_dir};
use crate::command::{Command, Failure};

/// As env(1) and a shell exit: the program was not found, or could not be run.
const NOT_FOUND: u8 = 127;
const REFUSED: u8 = 126;

pub const COMMAND: Command = Command {
    name: "iopkt run",
    summary: "run a program on an instance (starting one on the user link if there is none)",
    usage: &["[-p PREFIX] [--] [PROGRAM [ARGS]]"],
    details: "\
The program sees no network but the instance's: it runs in an empty network
namespace, with the instance's resolv.conf and hosts in /etc, and with the
commands of iopkt first in PATH. Without PROGRAM: $SHELL.
Exit status: the program's; 127 not found, 126 it cannot be run on an instance.
",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let (prefix, mut words) = options(words)?;
    if words.is_empty() {
        words.push(std::env::var_os("SHELL").filter(|s| !s.is_empty()).unwrap_or_else(|| "/bin/sh".into()));
    }
    Err(become_program(prefix.as_deref(), &words, &[]))
}

/// `-p PREFIX` and `--` off the front.
pub fn options(words: Vec<OsString>) -> Result<(Option<String>, Vec<OsString>), Failure> {
    let mut words = words.into_iter().peekable();
    let mut prefix = None;
    while let Some(word) = words.next_if(|w| w.as_encoded_bytes().starts_with(b"-")) {
        let text = word.to_str().unwrap_or_default();
        match text.strip_prefix("-p") {
            _ if text == "--" => break,
            Some("") => {
                let value = words.next().and_then(|w| w.into_string().ok());
                prefix = Some(value.ok_or_else(|| usage("option requires an argument -- p"))?);
            }
            Some(joined) => prefix = Some(joined.to_owned()),
            None => return Err(usage(&format!("unknown option {}", word.to_string_lossy()))),
        }
    }
    Ok((prefix, words.collect()))
}

fn usage(message: &str) -> Failure {
    Failure::usage(message).with_status(super::USAGE)
}

/// Returns only when it failed.
pub fn become_program(prefix: Option<&str>, words: &[OsString], env: &[(&str, OsString)]) -> Failure {
    match prepare(prefix, words, env) {
        Ok(mut command) => {
            let e = command.exec();
            let status = if e.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { REFUSED };
            Failure::new(format!("{}: {e}", words[0].to_string_lossy())).with_status(status)
        }
        Err(failure) => failure,
    }
}

fn prepare(prefix: Option<&str>, words: &[OsString], env: &[(&str, OsString)]) -> Result<process::Command, Failure> {
    let place = Place::find()?;
    let library = place.library()?;
    let path = path_with(place.bin());
    let name = &words[0];
    let file = program::find(name, &path)
        .ok_or_else(|| Failure::new(format!("{}: not found", name.to_string_lossy())).with_status(NOT_FOUND))?;

    let refused = |why: String| Failure::new(format!("{}: {why}", name.to_string_lossy())).with_status(REFUSED);
    program::check(&file, words, &path, true).map_err(refused)?;

    let instance = start::ensure(&place, &paths::prefix(prefix, crate::client::env))?;
    let confinement = enter::enter(&instance);
    if let Confinement::None { reason } = &confinement {
        eprintln!(
            "iopkt: warning: no namespaces here ({reason}): {} can reach the host's network past iopkt, \
             and the host's resolv.conf and hosts stay in place",
            name.to_string_lossy()
        );
    }
    // Again, since only now it is known whether a set-user-ID bit means anything.
    program::check(&file, words, &path, confinement.new_user_namespace()).map_err(refused)?;

    let mut command = process::Command::new(&file);
    command.arg0(name).args(&words[1..]);
    command.env("PATH", &path).env("LD_PRELOAD", preload(&library));
    command.env("IOPKT_RUN", run_dir_of(&instance));
    command.env("IOPKT_CTL", instance.dir().join(paths::CTL)).env("SOCK", instance.prefix());
    for (name, value) in env {
        command.env(name, value);
    }
    Ok(command)
}

/// The run-time directory that the instance was found in: its folder without the prefix.
fn run_dir_of(instance: &Instance) -> std::path::PathBuf {
    let names = Path::new(instance.prefix()).components().count() - 1;
    instance.dir().ancestors().nth(names).map_or_else(own_run_dir, Path::to_path_buf)
}

/// Ours first, once.
fn path_with(bin: &Path) -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let rest = std::env::split_paths(&old).filter(|dir| dir != bin);
    let all: Vec<_> = std::iter::once(bin.to_path_buf()).chain(rest).collect();
    std::env::join_paths(all).unwrap_or(old)
}

/// Keeps what others have asked to be loaded, ours first and once.
fn preload(library: &Path) -> OsString {
    let mut value = library.as_os_str().to_owned();
    let old = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    for other in old.to_string_lossy().split([' ', ':']).filter(|o| !o.is_empty() && OsStr::new(o) != library) {
        value.push(":");
        value.push(other);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_end_at_the_program_or_at_two_dashes() {
        let some = Some("/dev/io-net2".to_owned());
        assert_eq!(options(os("-p /dev/io-net2 -- curl -v")), Ok((some.clone(), os("curl -v"))));
        assert_eq!(options(os("-p/dev/io-net2 curl -p x")), Ok((some, os("curl -p x"))));
        assert_eq!(options(os("-- -odd")), Ok((None, os("-odd"))));
        assert_eq!(options(os("-x curl")).map_err(|f| f.status), Err(2));
        assert_eq!(options(os("-p")).map_err(|f| f.status), Err(2));
    }
}
