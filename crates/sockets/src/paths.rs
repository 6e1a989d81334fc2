//! Where an instance is found: its prefix (`/dev/socket`, `/dev/io-net2`) as a folder under the
//! run-time directory, and the names inside it. Rendezvous is by path name, never by abstract
//! socket, since a program in an empty network namespace sees no abstract names of the host.

use std::path::{Path, PathBuf};

use errno::Errno;

/// The prefix of the first instance.
pub const DEFAULT_PREFIX: &str = "/dev/socket";
/// The SEQPACKET socket that takes control calls.
pub const CTL: &str = "ctl";
/// Held locked (flock) by the live daemon; holds its pid in decimal.
pub const LOCK: &str = "lock";
/// The daemon's log.
pub const LOG: &str = "log";
/// The instance's resolver configuration (resolv.conf(5)).
pub const RESOLV_CONF: &str = "resolv.conf";
/// The instance's host names (hosts(5)).
pub const HOSTS: &str = "hosts";
/// Longest path of a unix socket, without its final NUL (unix(7)).
pub const SUN_PATH_MAX: usize = 107;

/// The run-time directory: `$IOPKT_RUN`, else `/run/iopkt` for root, else
/// `$XDG_RUNTIME_DIR/iopkt`, else `/tmp/iopkt-UID`.
pub fn run_dir(env: impl Fn(&str) -> Option<String>, euid: u32) -> PathBuf {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    if let Some(dir) = set("IOPKT_RUN") {
        return PathBuf::from(dir);
    }
    if euid == 0 {
        return PathBuf::from("/run/iopkt");
    }
    match set("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("iopkt"),
        None => PathBuf::from(format!("/tmp/iopkt-{euid}")),
    }
}

/// The folder of the instance with this prefix.
///
/// Errors: EINVAL for a prefix that is not an absolute path of plain names, ENAMETOOLONG when the
/// control socket's path would not fit a `struct sockaddr_un`.
pub fn instance_dir(run_dir: &Path, prefix: &str) -> Result<PathBuf, Errno> {
    let Some(relative) = prefix.strip_prefix('/') else { return Err(Errno::EINVAL) };
    let mut dir = run_dir.to_path_buf();
    for name in relative.split('/') {
        if name.is_empty() || name == "." || name == ".." {
            return Err(Errno::EINVAL);
        }
        dir.push(name);
    }
    if dir.as_os_str().len() + 1 + CTL.len() > SUN_PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(dir)
}

/// The prefix that a tool or program means: its `-p`, else `$SOCK`, else [`DEFAULT_PREFIX`]. A
/// `SOCK=/alt` that names the place before `/dev/socket`, as with `prefix=/alt` of the original,
/// is the caller's to try second: `/alt` first, then `/alt/dev/socket`.
pub fn prefix(option: Option<&str>, env: impl Fn(&str) -> Option<String>) -> String {
    option
        .map(str::to_owned)
        .or_else(|| env("SOCK").filter(|v| !v.is_empty()))
        .unwrap_or_else(|| DEFAULT_PREFIX.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_a_folder_and_cannot_leave_the_run_dir() {
        let run = Path::new("/run/iopkt");
        assert_eq!(instance_dir(run, "/dev/io-net2"), Ok(PathBuf::from("/run/iopkt/dev/io-net2")));
        for bad in ["dev/socket", "/", "/../etc", "/a//b", "/a/./b", ""] {
            assert_eq!(instance_dir(run, bad), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(instance_dir(run, &format!("/{}", "x".repeat(200))), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn the_run_dir_follows_the_environment_then_the_user() {
        let none = |_: &str| None;
        assert_eq!(run_dir(none, 0), PathBuf::from("/run/iopkt"));
        assert_eq!(run_dir(none, 7), PathBuf::from("/tmp/iopkt-7"));
        let xdg = |n: &str| (n == "XDG_RUNTIME_DIR").then(|| "/run/user/7".to_owned());
        assert_eq!(run_dir(xdg, 7), PathBuf::from("/run/user/7/iopkt"));
        let own = |n: &str| (n == "IOPKT_RUN").then(|| "/x".to_owned());
        assert_eq!(run_dir(own, 0), PathBuf::from("/x"));
    }
}
