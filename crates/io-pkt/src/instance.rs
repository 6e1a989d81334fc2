//! An instance's place in the file system: its folder under the run-time directory, the lock that
//! says it lives, and the files beside it (`sockets::paths`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use errno::Errno;
use rustix::fs::FlockOperation;
use sockets::paths;

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
const RESOLV_CONF: &str = "# resolv.conf(5) of this instance\n";

/// Held by the live daemon. Dropping it takes the instance's files away (the log stays).
pub struct Instance {
    dir: PathBuf,
    prefix: String,
    lock: File,
    /// Only the process that serves cleans up, not a parent that forked it.
    pid: u32,
}

impl Instance {
    /// Takes the prefix, also from a daemon that died.
    ///
    /// Errors: one line that says who serves it, or what is wrong with the place.
    pub fn claim(run_dir: &Path, prefix: &str) -> Result<Instance, String> {
        let dir = paths::instance_dir(run_dir, prefix).map_err(|e| match e {
            Errno::ENAMETOOLONG => {
                format!("prefix {prefix}: its path under {} is too long for a socket's name", run_dir.display())
            }
            _ => format!("prefix {prefix}: expected an absolute path of plain names"),
        })?;
        make_dirs(run_dir, &dir)?;
        let lock_path = dir.join(paths::LOCK);
        loop {
            let lock = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(&lock_path)
                .map_err(|e| format!("{}: {}", lock_path.display(), plain(&e)))?;
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    return Err(format!("prefix {prefix} is already served by {}", holder(lock)));
                }
                Err(e) => return Err(format!("{}: {}", lock_path.display(), plain(&e.into()))),
            }
            // The one before us may have taken the name away between our open and our lock.
            let same = match (lock.metadata(), fs::metadata(&lock_path)) {
                (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
                _ => false,
            };
            if same {
                return Ok(Instance { dir, prefix: prefix.to_owned(), lock, pid: 0 });
            }
        }
    }

    /// To be called by the process that will serve: writes its pid, clears away what a dead one
    /// left, and lays out the files that programs look for.
    pub fn settle(&mut self) -> io::Result<()> {
        self.pid = std::process::id();
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "{}", self.pid)?;
        let _ = fs::remove_file(self.dir.join(paths::CTL));
        for (name, text) in [(paths::HOSTS, HOSTS), (paths::RESOLV_CONF, RESOLV_CONF)] {
            let created = OpenOptions::new().write(true).create_new(true).mode(0o644).open(self.dir.join(name));
            match created {
                Ok(mut file) => file.write_all(text.as_bytes())?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Opens the log anew.
    pub fn log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(self.dir.join(paths::LOG))
    }

    /// Names the resolver's servers, unless the operator has named some already.
    pub fn suggest_name_servers(&self, servers: &[core::net::IpAddr]) -> io::Result<()> {
        let path = self.dir.join(paths::RESOLV_CONF);
        let mut text = fs::read_to_string(&path).unwrap_or_else(|_| RESOLV_CONF.to_owned());
        if servers.is_empty() || text.lines().any(|l| l.trim_start().starts_with("nameserver")) {
            return Ok(());
        }
        for server in servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        fs::write(path, text)
    }

    /// Gives the folder and its files to the user that the daemon is about to become.
    pub fn hand_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        std::os::unix::fs::chown(&self.dir, Some(uid), Some(gid))?;
        for name in [paths::CTL, paths::LOCK, paths::LOG, paths::HOSTS, paths::RESOLV_CONF] {
            match std::os::unix::fs::lchown(self.dir.join(name), Some(uid), Some(gid)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn ctl(&self) -> PathBuf {
        self.dir.join(paths::CTL)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            return;
        }
        for name in [paths::CTL, paths::HOSTS, paths::RESOLV_CONF, paths::LOCK] {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}

/// Makes the run-time directory and the folders down to the instance's.
fn make_dirs(run_dir: &Path, dir: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(|e| format!("{}: {}", dir.display(), plain(&e)))?;
    // In a directory that everyone may write to, another could have made it first.
    let euid = rustix::process::geteuid().as_raw();
    for place in [run_dir, dir] {
        let meta = fs::symlink_metadata(place).map_err(|e| format!("{}: {}", place.display(), plain(&e)))?;
        let own = meta.uid() == euid || meta.uid() == 0 || euid == 0;
        let closed = meta.mode() & 0o022 == 0 || meta.mode() & 0o1000 != 0;
        if !own || (place == dir && !closed) {
            return Err(format!(
                "{}: belongs to uid {} with mode {:o}; refusing to serve there",
                place.display(),
                meta.uid(),
                meta.mode() & 0o7777
            ));
        }
    }
    Ok(())
}

/// "process 123", as far as the lock file says.
fn holder(mut lock: File) -> String {
    let mut text = String::new();
    let _ = lock.read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) => format!("process {pid}"),
        Err(_) => "another process".to_owned(),
    }
}

/// The sentence of an error without std's "(os error N)".
pub fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(n) => Errno(n).message().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("iopkt-instance-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_prefix_is_served_once_and_a_dead_ones_place_is_taken_over() {
        let run = run_dir("once");
        let mut first = Instance::claim(&run, "/dev/socket").expect("nobody is there");
        first.settle().expect("files");
        let refused = Instance::claim(&run, "/dev/socket").err().expect("it is taken");
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(Instance::claim(&run, "/dev/io-net2").is_ok());
        drop(first);
        // What a killed one leaves: files without a lock.
        fs::write(run.join("dev/socket/lock"), "999999\n").expect("write");
        fs::write(run.join("dev/socket/ctl"), "").expect("write");
        let mut next = Instance::claim(&run, "/dev/socket").expect("the dead one's place");
        next.settle().expect("files");
        assert!(!next.ctl().exists());
        drop(next);
        assert!(!run.join("dev/socket/lock").exists());
        let _ = fs::remove_dir_all(&run);
    }

    #[test]
    fn a_place_that_can_not_be_is_named_with_the_reason() {
        let run = run_dir("file");
        fs::write(&run, "").expect("write");
        let refused = Instance::claim(&run, "/dev/socket").err().expect("a file is no place");
        assert_eq!(refused, format!("{}: Not a directory", run.join("dev/socket").display()));
        let _ = fs::remove_file(&run);
    }

    #[test]
    fn name_servers_are_suggested_only_where_none_stand() {
        let run = run_dir("dns");
        let mut i = Instance::claim(&run, "/dev/socket").expect("claim");
        i.settle().expect("files");
        i.suggest_name_servers(&["10.0.2.3".parse().expect("literal")]).expect("write");
        i.suggest_name_servers(&["10.9.9.9".parse().expect("literal")]).expect("write");
        let text = fs::read_to_string(run.join("dev/socket/resolv.conf")).expect("read");
        assert!(text.contains("nameserver 10.0.2.3") && !text.contains("10.9.9.9"));
        drop(i);
        let _ = fs::remove_dir_all(&run);
    }
}
