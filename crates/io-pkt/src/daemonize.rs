//! Going to the background: the shell gets its prompt back when the interfaces are attached, or a
//! line that says why they are not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use crate::sys::{self, Forked};

/// Held by the daemon while it starts; tells the waiting parent how it went.
pub struct Readiness {
    pipe: Option<OwnedFd>,
}

impl Readiness {
    /// In the foreground there is nobody to tell.
    pub fn foreground() -> Readiness {
        Readiness { pipe: None }
    }

    /// Everything stands: the parent returns 0.
    pub fn ready(mut self) {
        if let Some(pipe) = self.pipe.take() {
            let _ = File::from(pipe).write_all(&[0]);
        }
    }

    /// The start failed: the parent prints `line` and returns `status`.
    pub fn failed(mut self, line: &str, status: u8) {
        match self.pipe.take() {
            Some(pipe) => {
                let mut pipe = File::from(pipe);
                let _ = pipe.write_all(&[status.max(1)]);
                let _ = pipe.write_all(line.as_bytes());
            }
            None => eprintln!("{line}"),
        }
    }
}

/// Forks twice and leaves the session and the working directory of the caller. Returns in the daemon only; the parent
/// waits for [`Readiness`] and exits with what it says. To be called while there is one thread.
pub fn background() -> io::Result<Readiness> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if let Forked::Parent = sys::fork()? {
        drop(writer);
        sys::exit_now(wait_for(reader));
    }
    drop(reader);
    rustix::process::setsid()?;
    if let Forked::Parent = sys::fork()? {
        sys::exit_now(0);
    }
    let _ = rustix::process::chdir("/");
    Ok(Readiness { pipe: Some(writer) })
}

fn wait_for(reader: OwnedFd) -> i32 {
    let mut said = Vec::new();
    let _ = File::from(reader).read_to_end(&mut said);
    match said.split_first() {
        Some((0, _)) => 0,
        Some((status, line)) => {
            eprintln!("{}", String::from_utf8_lossy(line));
            i32::from(*status)
        }
        None => {
            eprintln!("io-pkt: died while starting");
            1
        }
    }
}

/// Gives up the terminal: standard input reads nothing, output and errors go to `log`.
pub fn leave_terminal(log: &File) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    sys::replace_stdio(null.as_fd(), 0)?;
    sys::replace_stdio(log.as_fd(), 1)?;
    sys::replace_stdio(log.as_fd(), 2)
}
