//! Two namespaces and a veth pair between them. The far end is always the kernel; the near end's side of
//! the wire belongs, one after the other, to the kernel and to a daemon of ours.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Finished, Running, finish};

use crate::cpu::{self, Window};
use crate::options::Options;
use crate::programs;

pub const NEAR: &str = "10.9.0.1";
pub const FAR: &str = "10.9.0.2";
const PREFIX: &str = "24";

/// Each run has ports of its own, so that no run meets another's TIME_WAIT.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// Whose stack the near end's programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Kernel,
    /// A daemon with `devnp-packet` on the wire.
    Packet,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Subject::Kernel => "kernel",
            Subject::Packet => "iopkt",
        }
    }
}

/// Where the parts of a row may run; `None` is anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cores {
    pub near: Option<&'static str>,
    pub far: Option<&'static str>,
    /// The daemon stands on the near end's cores unless the command line says otherwise.
    pub daemon: Option<&'static str>,
}

pub struct Wire {
    far: Running,
    near: Running,
    tree: PathBuf,
    dir: PathBuf,
    pub lean: PathBuf,
    daemon_cpus: Option<String>,
    daemon_args: Vec<String>,
    next_port: Cell<u16>,
}

impl Wire {
    pub fn new(options: &Options) -> Result<Wire, String> {
        let dir = std::env::temp_dir().join(format!("iopkt-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let lean = programs::compile(&dir)?;
        let mut near = Command::new("unshare");
        near.args(["-Urnm", "sh", "-c", HOLDER]);
        let mut near = Running::start(near);
        near.wait_for("ready");
        let mut far = entering(near.pid(), &dir);
        far.args(["unshare", "-n", "sh", "-c", HOLDER]);
        let mut far = Running::start(far);
        far.wait_for("ready");
        let wire = Wire {
            far,
            near,
            tree: options.tree.clone(),
            dir,
            lean,
            daemon_cpus: options.daemon_cpus.clone(),
            daemon_args: options.daemon_args.clone(),
            next_port: Cell::new(PORTS.start),
        };
        wire.lay(options.mtu);
        Ok(wire)
    }

    fn lay(&self, mtu: u32) {
        let (far, mtu) = (self.far.pid().to_string(), mtu.to_string());
        self.near_run("ip link add veth0 type veth peer name veth1 netns")(&far);
        for (run, name, mtu) in [(Side::Near, "veth0", &mtu), (Side::Far, "veth1", &mtu)] {
            // No IPv6 of the kernel's own on a wire that is not its own all the time.
            self.ip(run, &["link", "set", name, "addrgenmode", "none"]);
            self.ip(run, &["link", "set", name, "mtu", mtu, "up"]);
        }
        self.ip(Side::Far, &["addr", "add", &format!("{FAR}/{PREFIX}"), "dev", "veth1"]);
    }
}
