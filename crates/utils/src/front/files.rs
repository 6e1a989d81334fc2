//! The instance's `resolv.conf` and `hosts` in the place of `/etc`'s, for the calling process's
//! mount namespace alone. What a program writes there goes to the instance's files.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use sockets::paths;

/// Covered for a moment, in the private namespace, to hold what an overlay of `/etc` needs.
const SCRATCH: &str = "/tmp";

/// Puts the files in their places; gives back, as sentences, what could not be done.
pub fn show(dir: &Path) -> Vec<String> {
    let wanted = [(paths::RESOLV_CONF, "/etc/resolv.conf"), (paths::HOSTS, "/etc/hosts")];
    // `exists` follows symbolic links: one that leads nowhere cannot be mounted on.
    let missing: Vec<&str> = wanted.iter().map(|(_, at)| *at).filter(|at| !Path::new(at).exists()).collect();
    let mut problems = Vec::new();
    if !missing.is_empty()
        && let Err(e) = overlay_etc(&missing)
    {
        problems.push(format!("{} cannot be made private: {e}", missing.join(" and ")));
    }
    for (name, at) in wanted {
        if !Path::new(at).exists() {
            continue;
        }
        if let Err(e) = mount_bind(dir.join(name), at) {
            problems.push(format!("{at} stays the host's: {e}"));
        }
    }
    problems
}

/// Lays over `/etc` a folder in which the missing files stand, so that there is something to
/// mount on and the host's `/etc` stays as it is.
fn overlay_etc(missing: &[&str]) -> io::Result<()> {
    mount("iopkt", SCRATCH, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"size=64k,mode=755"))?;
    let done = (|| {
        let scratch = Path::new(SCRATCH);
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        for at in missing {
            let name = Path::new(at).file_name().unwrap_or_default();
            fs::write(upper.join(name), "")?;
        }
        let options = c"lowerdir=/etc,upperdir=/tmp/upper,workdir=/tmp/work";
        mount("iopkt", "/etc", "overlay", MountFlags::empty(), Some(options))?;
        Ok(())
    })();
    // The overlay holds what it needs of it.
    unmount(SCRATCH, UnmountFlags::DETACH)?;
    done
}
