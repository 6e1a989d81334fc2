//! New namespaces for the calling process: an empty network namespace, a private mount namespace,
//! and, where the caller lacks the privilege for these, a user namespace in which his own user and
//! group keep their numbers (namespaces(7), user_namespaces(7)).

use std::fs;
use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;

/// Which way in was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The caller had CAP_SYS_ADMIN.
    Privileged,
    /// Inside a new user namespace, all capabilities held there until the next exec.
    UserNamespace,
}

/// Network and mount namespaces straight away.
///
/// Errors: EPERM without CAP_SYS_ADMIN; nothing has changed then.
pub fn enter_privileged() -> io::Result<Entered> {
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS)?;
    detach_mounts()?;
    Ok(Entered::Privileged)
}

/// Network and mount namespaces inside a new user namespace.
///
/// Errors: whatever the host's policy says. **After an error the process may be in the new user
/// namespace already, as nobody**: a caller that wants to go on tries this in a child first.
pub fn enter_as_user() -> io::Result<Entered> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS)?;
    // user_namespaces(7): an unprivileged writer of gid_map gives up setgroups(2) first.
    match fs::write("/proc/self/setgroups", "deny") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    detach_mounts()?;
    Ok(Entered::UserNamespace)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the call is dangerous for CLONE_FILES alone (descriptors that other threads hold);
    // no caller in this module passes it.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// The host's later mounts and unmounts still come in; ours do not go out.
fn detach_mounts() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}
