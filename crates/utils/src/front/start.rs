//! Finds the instance at a prefix, or starts one on the user link. The link's own driver says which
//! address, route and name server it takes.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::place::Place;
use crate::client::{ClientError, Instance};
use crate::command::Failure;

/// Longest wait for a daemon that was started to answer.
const READY_WAIT: Duration = Duration::from_secs(15);
const READY_STEP: Duration = Duration::from_millis(5);

/// A live instance at the prefix.
pub fn ensure(place: &Place, prefix: &str) -> Result<Instance, Failure> {
    match Instance::find(prefix) {
        Ok(instance) => Ok(instance),
        Err(ClientError::NoInstance { .. }) => start(place, prefix),
        Err(e) => Err(e.into()),
    }
}

fn start(place: &Place, prefix: &str) -> Result<Instance, Failure> {
    let (daemon, name) = place.daemon()?;
    let mut child = Command::new(&daemon)
        .arg0(name)
        .args(["-p", prefix, "-d", "user"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| Failure::new(format!("{}: {e}", daemon.display())))?;
    let deadline = Instant::now() + READY_WAIT;
    // The daemon returns when its interfaces are attached; its own message stands on standard
    // error when it fails.
    let failed = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break None,
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::new(format!("{name} -p {prefix} -d user: not ready after {READY_WAIT:?}")));
            }
            Ok(None) => std::thread::sleep(READY_STEP),
            Err(e) => return Err(Failure::new(format!("{name}: {e}"))),
        }
    };
    match (Instance::find(prefix), failed) {
        // Another `iopkt run` may have been quicker: then its instance serves as well.
        (Ok(instance), _) => Ok(instance),
        (Err(_), Some(status)) => Err(Failure::new(format!("cannot start {name} -p {prefix} -d user ({status})"))),
        (Err(e), None) => Err(e.into()),
    }
}
