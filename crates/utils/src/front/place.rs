//! Where the installation stands: everything is found from the place of this program, so that a
//! tree works wherever it was put.

use std::path::{Path, PathBuf};

use crate::command::Failure;

/// The library that programs are given.
const LIBRARY: &str = "libiopkt_socket.so";
/// The daemon: the name of its variant, and the file when the name's link is not there.
const DAEMON: &str = "io-pkt-v6-hc";
const DAEMON_FILE: &str = "io-pkt";

#[derive(Debug)]
pub struct Place {
    bin: PathBuf,
}

impl Place {
    pub fn find() -> Result<Place, Failure> {
        let own = std::env::current_exe().map_err(|e| Failure::new(format!("/proc/self/exe: {e}")))?;
        match own.parent() {
            Some(bin) => Ok(Place { bin: bin.into() }),
            None => Err(Failure::new(format!("{}: not in a folder", own.display()))),
        }
    }

    /// The folder of the commands.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The daemon's file, and the name to start it by.
    pub fn daemon(&self) -> Result<(PathBuf, &'static str), Failure> {
        [DAEMON, DAEMON_FILE]
            .map(|name| self.bin.join(name))
            .into_iter()
            .find(|path| path.is_file())
            .map(|path| (path, DAEMON))
            .ok_or_else(|| Failure::new(format!("{}: no {DAEMON} here", self.bin.display())))
    }

    /// `lib/libiopkt_socket.so` of the installation, or the one beside this program (a Cargo
    /// target folder).
    pub fn library(&self) -> Result<PathBuf, Failure> {
        let prefix = self.bin.parent().unwrap_or(Path::new("/"));
        let found = [prefix.join("lib"), self.bin.clone()]
            .map(|dir| dir.join(LIBRARY))
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| Failure::new(format!("{}: no lib/{LIBRARY} here", prefix.display())))?;
        // ld.so(8): LD_PRELOAD knows no way to quote its separators.
        match found.to_str() {
            Some(path) if !path.contains([' ', ':']) => Ok(found),
            _ => Err(Failure::new(format!(
                "{}: LD_PRELOAD cannot hold a path with a space or a colon; install elsewhere",
                found.display()
            ))),
        }
    }

    /// A file under `share/iopkt`, if it is there.
    pub fn share(&self, name: &str) -> Option<PathBuf> {
        let path = self.bin.parent()?.join("share/iopkt").join(name);
        path.is_file().then_some(path)
    }
}
