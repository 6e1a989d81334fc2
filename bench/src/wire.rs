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
const NET: &str = "10.9.0.0/24";
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

/// Where the ends of a row may run; `None` is anywhere. The daemon stands on the near end's cores unless the
/// command line says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cores {
    pub near: Option<&'static str>,
    pub far: Option<&'static str>,
}

pub struct Wire {
    far: Running,
    near: Running,
    tree: PathBuf,
    dir: PathBuf,
    pub lean: PathBuf,
    daemon_cpus: Option<String>,
    daemon_args: Vec<String>,
    congestion: String,
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
            congestion: options.congestion.clone(),
            next_port: Cell::new(PORTS.start),
        };
        wire.lay(options.mtu);
        Ok(wire)
    }

    fn lay(&self, mtu: u32) {
        let (far, mtu) = (self.far.pid().to_string(), mtu.to_string());
        self.ip(End::Near, &["link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", &far]);
        for (end, name) in [(End::Near, "veth0"), (End::Far, "veth1")] {
            // No IPv6 of the kernel's own on a wire that is not its own all the time.
            self.ip(end, &["link", "set", name, "addrgenmode", "none"]);
            self.ip(end, &["link", "set", name, "mtu", &mtu, "up"]);
        }
        self.kernel_address(End::Far, FAR, "veth1");
    }

    /// An address of the kernel's, with the congestion control of the run: the host's default may be one
    /// that is slow on such a wire (bbr reaches a fifth of cubic), which would flatter us. By the route, since a
    /// user namespace may not change the default.
    fn kernel_address(&self, end: End, addr: &str, interface: &str) {
        self.ip(end, &["addr", "add", &format!("{addr}/{PREFIX}"), "dev", interface]);
        let route = ["route", "change", NET, "dev", interface, "proto", "kernel", "scope", "link", "src", addr];
        self.ip(end, &[&route[..], &["congctl", &self.congestion]].concat());
    }

    /// Gives the near side of the wire to a subject, until the answer is dropped.
    pub fn attach(&self, subject: Subject, cores: Cores) -> Near<'_> {
        let mut near = Near { wire: self, subject, cores, daemon: None };
        match subject {
            Subject::Kernel => self.kernel_address(End::Near, NEAR, "veth0"),
            Subject::Packet => {
                let cpus = self.daemon_cpus.as_deref().or(cores.near);
                let mut command = self.on(End::Near, cpus);
                command.args(["io-pkt-v6-hc", "-f", "-d", "packet", "if=veth0"]).args(&self.daemon_args);
                let mut daemon = Running::start(command);
                daemon.wait_for("serves");
                near.daemon = Some(daemon);
                self.ours(&["ifconfig", "en0", &format!("{NEAR}/{PREFIX}"), "up"]);
            }
        }
        // The two subjects have different MAC addresses.
        self.ip(End::Far, &["neigh", "flush", "dev", "veth1"]);
        near
    }

    /// The first of `n` ports that no run has used for long.
    pub fn ports(&self, n: u16) -> u16 {
        let first = self.next_port.get();
        let first = if first + n > PORTS.end { PORTS.start } else { first };
        self.next_port.set(first + n);
        first
    }

    /// A program at the far end, beside us.
    pub fn start_far(&self, cores: Cores, args: &[&str]) -> Running {
        let mut command = self.on(End::Far, cores.far);
        command.args(args);
        Running::start(command)
    }

    /// What a command prints in one of the namespaces; for the report's head.
    pub fn tell(&self, args: &[&str]) -> String {
        let mut command = self.on(End::Near, None);
        command.args(args);
        finish(command, b"").text()
    }

    fn ip(&self, end: End, args: &[&str]) {
        let mut command = self.on(end, None);
        command.arg("ip").args(args);
        finish(command, b"").ok();
    }

    fn ours(&self, args: &[&str]) {
        let mut command = self.on(End::Near, None);
        command.args(args);
        finish(command, b"").ok();
    }

    /// A command at one end, on some cores, that dies with us. The process keeps its id through all of these.
    fn on(&self, end: End, cpus: Option<&str>) -> Command {
        let holder = match end {
            End::Near => &self.near,
            End::Far => &self.far,
        };
        let mut command = entering(holder.pid(), &self.dir);
        let path = std::env::var("PATH").unwrap_or_default();
        let path = match end {
            End::Near => format!("{}:{path}:/usr/sbin:/sbin", self.tree.join("bin").display()),
            End::Far => format!("{path}:/usr/sbin:/sbin"),
        };
        command.env("PATH", path).env("IOPKT_RUN", self.dir.join("run")).env_remove("SOCK").env_remove("LD_PRELOAD");
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        if let Some(cpus) = cpus {
            command.args(["taskset", "-c", cpus]);
        }
        command
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The near end in the hands of one subject.
pub struct Near<'a> {
    pub wire: &'a Wire,
    pub subject: Subject,
    pub cores: Cores,
    daemon: Option<Running>,
}

impl Near<'_> {
    /// A program on the subject's stack, beside us.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// A program on the subject's stack, to its end.
    pub fn run(&self, args: &[&str]) -> Finished {
        finish(self.command(args), b"")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.wire.on(End::Near, self.cores.near);
        if self.subject != Subject::Kernel {
            command.args(["iopkt", "run", "--"]);
        }
        command.args(args);
        command
    }

    pub fn window(&self) -> Window {
        Window::open(self.daemon.as_ref().map(Running::pid))
    }

    /// Resident memory of the daemon, where there is one.
    pub fn resident(&self) -> Option<f64> {
        self.daemon.as_ref().and_then(|d| cpu::resident(d.pid()))
    }

    /// What the daemon said, for a failure's message.
    pub fn last_words(&mut self) -> String {
        let text = self.daemon.as_mut().map_or_else(String::new, |d| d.output().to_owned());
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Near<'_> {
    fn drop(&mut self) {
        drop(self.daemon.take());
        if self.subject == Subject::Kernel {
            let mut command = self.wire.on(End::Near, None);
            command.args(["ip", "addr", "flush", "dev", "veth0"]);
            finish(command, b"");
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Near,
    Far,
}

/// Keeps a namespace open until its standard input ends, which it does with us.
const HOLDER: &str = "ip link set lo up && echo ready && exec cat";

fn entering(pid: u32, dir: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--preserve-credentials", "-U", "-n", "-m", "-t", &pid.to_string()]);
    // Entering a mount namespace would leave us at its root.
    command.arg(format!("--wd={}", dir.display())).arg("--");
    command
}
