//! Takes this process into an empty network namespace and into a private view of `/etc/hosts` and
//! `/etc/resolv.conf`, wherever the host permits it.

use std::io;
use std::process::{Command, ExitCode, Stdio};

use process::namespaces::{self, Entered};

use super::files;
use crate::client::Instance;

/// The word by which this program asks itself, in a child, whether namespaces would work.
pub const PROBE: &str = "__probe-namespaces";

/// How far the program is kept from the host's network.
#[derive(Debug)]
pub enum Confinement {
    Full(Entered),
    None { reason: String },
}

impl Confinement {
    pub fn new_user_namespace(&self) -> bool {
        matches!(self, Confinement::Full(Entered::UserNamespace))
    }
}

/// A host that permits no namespaces is no error; what of `/etc` cannot be made private is warned of.
pub fn enter(instance: &Instance) -> Confinement {
    let entered = match namespaces::enter_privileged() {
        Ok(entered) => entered,
        // There is no way back out of a user namespace in which the host then permits nothing (as
        // a security module may have it), so a child goes first.
        Err(_) => match try_in_child().and_then(|()| namespaces::enter_as_user()) {
            Ok(entered) => entered,
            Err(e) => return Confinement::None { reason: e.to_string() },
        },
    };
    for problem in files::show(instance.dir()) {
        eprintln!("iopkt: warning: {problem}");
    }
    Confinement::Full(entered)
}

fn try_in_child() -> io::Result<()> {
    let output = Command::new("/proc/self/exe").arg(PROBE).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
    }
}

/// The child's side.
pub fn probe() -> ExitCode {
    match namespaces::enter_as_user() {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}
