//! `iopkt stop`: ends an instance and waits until it has gone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use sockets::config::Request;
use sockets::paths;

use crate::client::{ClientError, Instance};
use crate::command::{Command, Failure, texts};
use crate::getopt::Getopt;

/// Longest wait after the polite request before the signal, and again after the signal.
const STOP_WAIT: Duration = Duration::from_secs(5);
const STOP_STEP: Duration = Duration::from_millis(20);
/// Waiting is shown from here on.
const QUIET: Duration = Duration::from_secs(1);

pub const COMMAND: Command = Command {
    name: "iopkt stop",
    summary: "end an instance (its programs' connections end with it)",
    usage: &["[-p PREFIX | --all]"],
    details: "Exit status: 0 when all that were named have ended, 1 otherwise.\n",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let everything = words.iter().any(|w| w == "--all");
    let words: Vec<String> = words.into_iter().filter(|w| w != "--all").collect();
    let mut options = Getopt::new(&words, "p:");
    let mut prefix = None;
    while let Some((_, value)) = options.option().map_err(|f| f.with_status(super::USAGE))? {
        prefix = Some(value);
    }
    if let Some(extra) = options.rest().first() {
        return Err(Failure::usage(format!("{extra}: not expected (-p PREFIX)")).with_status(super::USAGE));
    }
    if !everything {
        let instance = Instance::open(prefix)?;
        return stop(&instance).map(|()| 0);
    }
    if prefix.is_some() {
        return Err(Failure::usage("-p and --all exclude each other").with_status(super::USAGE));
    }
    let mut status = 0;
    for (prefix, dir) in super::status::instances() {
        let ended = match Instance::at(&prefix, dir) {
            Ok(instance) => stop(&instance),
            Err(ClientError::NoInstance { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        };
        if let Err(failure) = ended {
            eprintln!("iopkt stop: {}", failure.message);
            status = 1;
        }
    }
    Ok(status)
}

/// The instance has gone when nobody holds its lock any more.
fn stop(instance: &Instance) -> Result<(), Failure> {
    let lock = instance.dir().join(paths::LOCK);
    let asked = instance.set_patience(STOP_WAIT).and_then(|()| instance.command(&Request::Stop));
    // A daemon that ends at once may not get its answer out.
    if matches!(asked, Ok(()) | Err(ClientError::Lost { .. })) && gone(&lock, instance.prefix()) {
        return Ok(());
    }
    if let Err(ClientError::Refused { .. }) = asked {
        return asked.map_err(Failure::from);
    }
    let Some(pid) = holder(&lock) else { return Ok(()) };
    eprintln!("iopkt stop: {}: no answer to the request; SIGTERM to {}", instance.prefix(), pid.as_raw_nonzero());
    kill_process(pid, Signal::TERM)
        .map_err(|e| Failure::new(format!("{}: SIGTERM to {}: {e}", instance.prefix(), pid.as_raw_nonzero())))?;
    match gone(&lock, instance.prefix()) {
        true => Ok(()),
        false => Err(Failure::new(format!("{}: process {} does not end", instance.prefix(), pid.as_raw_nonzero()))),
    }
}

fn gone(lock: &Path, prefix: &str) -> bool {
    let begin = Instant::now();
    let mut shown = false;
    while begin.elapsed() < STOP_WAIT {
        if !held(lock) {
            if shown {
                eprintln!();
            }
            return true;
        }
        if begin.elapsed() > QUIET && std::io::stderr().is_terminal() {
            match shown {
                false => eprint!("iopkt stop: waiting for {prefix} "),
                true => eprint!("."),
            }
            let _ = std::io::stderr().flush();
            shown = true;
            thread::sleep(QUIET / 4);
        }
        thread::sleep(STOP_STEP);
    }
    if shown {
        eprintln!();
    }
    false
}

/// Whether a live daemon holds the lock. Asking takes it for a moment when nobody does; so this
/// is asked only of an instance that is being ended.
fn held(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(_) => false,
    }
}

/// The pid in a lock that is held; never the pid that a dead daemon left.
fn holder(lock: &Path) -> Option<Pid> {
    if !held(lock) {
        return None;
    }
    let pid = fs::read_to_string(lock).ok()?.trim().parse().ok()?;
    Pid::from_raw(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_held_lock_names_a_process() {
        let path = std::env::temp_dir().join(format!("iopkt-lock-{}", std::process::id()));
        fs::write(&path, "4242\n").expect("a temporary file");
        assert_eq!(holder(&path), None);
        let file = File::open(&path).expect("just written");
        flock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody else has it");
        assert_eq!(holder(&path), Pid::from_raw(4242));
        drop(file);
        assert!(!held(&path));
        fs::remove_file(&path).expect("ours");
    }
}
