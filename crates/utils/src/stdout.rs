//! Standard output: a reader that has gone (`netstat | head`) ends the command quietly.

use std::io::{self, Write};

use crate::command::Failure;

/// Exit status of a program that SIGPIPE ended, as a shell shows it.
const CLOSED: u8 = 141;

/// Writes and flushes.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => Failure::new("").with_status(CLOSED),
        _ => Failure::new(format!("standard output: {e}")),
    })
}
