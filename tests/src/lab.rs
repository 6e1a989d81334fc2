//! Two namespaces and a wire: ours with the daemon, the peer's with the kernel's stack.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::files::data_file;
use crate::process::{Finished, Running, eventually, finish};
use crate::tree::tree;

/// Addresses of the daemon's interface and of the peer's.
pub const STACK_V4: &str = "192.168.1.100";
pub const PEER_V4: &str = "192.168.1.1";
pub const STACK_V6: &str = "2001:db8:1::100";
pub const PEER_V6: &str = "2001:db8:1::1";

/// How the daemon is attached to the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `devnp-packet` on one end of a veth pair.
    Packet,
    /// `devnp-tap`, whose host side is the peer's interface (`veth1` here too).
    Tap,
    /// lo0 alone.
    None,
}

pub struct Lab {
    /// Order matters: what was started last ends first.
    daemon: Option<Running>,
    peer: Running,
    home: Running,
    pub dir: PathBuf,
}

/// A directory of one laboratory's own.
pub fn test_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("iopkt-e2e-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    dir
}

impl Lab {
    /// A laboratory with a running daemon; IPv4 and IPv6 addresses are set on both sides.
    pub fn new(link: Link) -> Lab {
        let mut lab = Lab::without_daemon();
        match link {
            Link::Packet => lab.start_daemon(&["-d", "packet", "if=veth0"]),
            Link::Tap => {
                // The driver hears of changes of the link in the namespace in which it was opened.
                lab.peer_run(&["ip", "link", "del", "veth1"]).ok();
                let mut command = entering(lab.peer.pid(), &lab.dir);
                lab.environment(&mut command);
                command.arg("io-pkt-v6-hc");
                lab.serve(command, &["-d", "tap", "if=veth1"]);
                lab.peer_addresses();
            }
            Link::None => lab.start_daemon(&[]),
        }
        if link != Link::None {
            lab.command(&["ifconfig", "en0", &format!("{STACK_V4}/24"), "up"]).ok();
            lab.command(&["ifconfig", "en0", "inet6", &format!("{STACK_V6}/64")]).ok();
            lab.wait_for_address(STACK_V6);
        }
        lab
    }

    /// Namespaces, wire and peer only.
    pub fn without_daemon() -> Lab {
        let dir = test_directory();
        let mut home = Command::new("unshare");
        home.args(["-Urnm", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
        let mut home = Running::start(home);
        home.wait_for("ready");
        let mut peer = entering(home.pid(), &dir);
        peer.args(["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
        let mut peer = Running::start(peer);
        peer.wait_for("ready");
        let lab = Lab { daemon: None, peer, home, dir };
        let pid = lab.peer.pid().to_string();
        lab.home_run(&["ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", &pid]).ok();
        lab.home_run(&["ip", "link", "set", "veth0", "up"]).ok();
        lab.peer_addresses();
        lab
    }

    fn peer_addresses(&self) {
        self.peer_run(&["ip", "addr", "add", &format!("{PEER_V4}/24"), "dev", "veth1"]).ok();
        self.peer_run(&["ip", "addr", "add", &format!("{PEER_V6}/64"), "dev", "veth1", "nodad"]).ok();
        self.peer_run(&["ip", "link", "set", "veth1", "up"]).ok();
    }

    /// Starts `io-pkt-v6-hc` with these arguments, in the foreground, and waits until it serves.
    pub fn start_daemon(&mut self, args: &[&str]) {
        let command = self.home_command("io-pkt-v6-hc");
        self.serve(command, args);
    }

    fn serve(&mut self, mut command: Command, args: &[&str]) {
        command.arg("-f").args(args);
        let mut daemon = Running::start(command);
        daemon.wait_for("serves");
        self.daemon = Some(daemon);
    }

    pub fn daemon(&mut self) -> &mut Running {
        self.daemon.as_mut().expect("the daemon was started")
    }

    /// Waits until an address of the daemon has passed duplicate address detection.
    pub fn wait_for_address(&self, addr: &str) {
        eventually(&format!("{addr} is ready"), || {
            let text = self.command(&["ifconfig", "-a"]).ok();
            text.lines().any(|l| l.contains(addr) && !l.contains("tentative")).then_some(())
        });
    }

    /// A command in the daemon's namespaces with our commands first in PATH.
    pub fn home_command(&self, program: &str) -> Command {
        let mut command = entering(self.home.pid(), &self.dir);
        self.environment(&mut command);
        command.arg(program);
        command
    }

    fn environment(&self, command: &mut Command) {
        let bin = tree().join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()))
            .env("IOPKT_RUN", self.run_dir())
            .env_remove("SOCK")
            .env_remove("LD_PRELOAD")
            .current_dir(&self.dir);
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// A path inside the laboratory's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn home_run(&self, args: &[&str]) -> Finished {
        let mut command = self.home_command(args[0]);
        command.args(&args[1..]);
        finish(command, b"")
    }

    /// One of our commands (`ifconfig`, `netstat`, …), to its end.
    pub fn command(&self, args: &[&str]) -> Finished {
        self.home_run(args)
    }

    fn on_instance(&self, args: &[&str]) -> Command {
        let mut command = self.home_command("iopkt");
        command.args(["run", "--"]).args(args);
        command
    }

    /// A program on the instance, to its end.
    pub fn run(&self, args: &[&str]) -> Finished {
        finish(self.on_instance(args), b"")
    }

    /// The same with something on its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Finished {
        finish(self.on_instance(args), input)
    }

    /// A program on the instance that goes on beside the test.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.on_instance(args))
    }

    fn on_peer(&self, args: &[&str]) -> Command {
        let mut command = entering(self.peer.pid(), &self.dir);
        command.current_dir(&self.dir).args(args);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }

    /// A program on the kernel's stack at the other end of the wire, to its end.
    pub fn peer_run(&self, args: &[&str]) -> Finished {
        finish(self.on_peer(args), b"")
    }

    /// The same with something on its standard input.
    pub fn peer_run_with_input(&self, args: &[&str], input: &[u8]) -> Finished {
        finish(self.on_peer(args), input)
    }

    pub fn peer_start(&self, args: &[&str]) -> Running {
        Running::start(self.on_peer(args))
    }

    /// The peer's process id, to name its network namespace.
    pub fn peer_pid(&self) -> u32 {
        self.peer.pid()
    }

    /// Waits until a program on the instance listens at this port.
    pub fn stack_listens(&self, port: &str) {
        eventually(&format!("somebody on the instance listens at {port}"), || {
            let text = self.command(&["netstat", "-an"]).text();
            let own = |l: &str| l.ends_with("LISTEN") && l.split(' ').any(|w| w.ends_with(&format!(".{port}")));
            text.lines().map(str::trim_end).any(own).then_some(())
        });
    }

    /// The instance's own resolv.conf.
    pub fn resolv_conf(&self) -> PathBuf {
        self.run_dir().join("dev/socket/resolv.conf")
    }

    /// Writes a file of `size` bytes ([`data_file`]); gives its path back.
    pub fn data_file(&self, name: &str, size: usize) -> PathBuf {
        let path = self.path(name);
        data_file(&path, size);
        path
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(d) = &mut self.daemon {
                eprintln!("--- the daemon said:\n{}", d.output());
            }
        }
        drop(self.daemon.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn entering(pid: u32, dir: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--preserve-credentials", "-U", "-n", "-m", "-t", &pid.to_string()]);
    // Entering a mount namespace would leave us at its root.
    command.arg(format!("--wd={}", dir.display())).arg("--");
    command
}
