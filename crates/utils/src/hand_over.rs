//! Hands a use of a command that is not ours on to the system's program of the same name, the
//! next one down the PATH.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::command::Failure;

/// Becomes the system's program; returns only when there is none.
pub fn hand_over(name: &str, words: &[OsString]) -> Failure {
    match next(name) {
        Some(file) => {
            let e = Command::new(&file).arg0(name).args(words).exec();
            Failure::new(format!("{}: {e}", file.display())).with_status(126)
        }
        None => Failure::new(format!("the system has no {name}")).with_status(127),
    }
}

fn next(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && std::fs::canonicalize(file).ok() != own)
}
