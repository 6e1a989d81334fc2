//! A user without any privilege, on a host of his own: a network namespace with nothing but loopback, where the host's
//! name server is at port 53, and an instance on the user link.
//!
//! Root runs these tests as another uid (setpriv(1)); an ordinary user runs them as himself, in a user namespace
//! that holds no capabilities.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::family::Family;
use crate::lab::test_directory;
use crate::process::{Finished, Running, eventually, finish};
use crate::ssh::Ssh;
use crate::talk::Talk;
use crate::tree::{repository, tree};

/// The user's number, which no account of the host needs to have.
pub const UID: u32 = 1000;
/// An address of the host beside loopback's own.
pub const HOST_V4: &str = "192.0.2.1";
/// Ports of the host that lead to the instance: what the conversations serve at.
const FORWARDED: [&str; 9] =
    ["tcp 8000", "tcp 8080", "tcp 7000", "udp 7001", "tcp 6379", "tcp 2222", "tcp 53", "udp 53", "tcp 4321"];

pub struct Rootless {
    daemon: Option<Running>,
    host: Running,
    pub dir: PathBuf,
    tree: PathBuf,
    is_root: bool,
    serving: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Instance,
    Host,
}

impl Rootless {
    /// The host and its user; no instance runs.
    pub fn new() -> Rootless {
        Rootless::with_tree(tree())
    }

    /// The same with an installation that stands elsewhere.
    pub fn with_tree(tree: PathBuf) -> Rootless {
        let dir = test_directory();
        // Whoever made the directory is who runs the tests.
        let is_root = std::fs::metadata(&dir).expect("just made").uid() == 0;
        let mut host = Command::new("unshare");
        host.arg(if is_root { "-nm" } else { "-Urnm" });
        let gid = if is_root { UID } else { 0 };
        std::fs::write(dir.join("host-resolv.conf"), "nameserver 127.0.0.1\n").expect("room for a file");
        let prepare = format!(
            "ip link set lo up && ip addr add {HOST_V4}/32 dev lo &&
             mount --bind {}/host-resolv.conf /etc/resolv.conf &&
             echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start &&
             echo {gid} {gid} > /proc/sys/net/ipv4/ping_group_range &&
             echo ready && exec cat",
            dir.display()
        );
        host.args(["sh", "-c", &prepare]);
        let mut host = Running::start(host);
        host.wait_for("ready");
        if is_root {
            chown(&dir, Some(UID), Some(UID)).expect("root may");
        }
        let mut place = Rootless { daemon: None, host, dir, tree, is_root, serving: Side::Host };
        place.make_reachable();
        place
    }

    /// An instance whose programs find servers on the host's loopback.
    pub fn server_on_host() -> Rootless {
        let mut place = Rootless::new();
        place.start_daemon(&[]);
        place
    }

    /// An instance with [`FORWARDED`] ports.
    pub fn server_on_instance() -> Rootless {
        let mut place = Rootless::new();
        let forwards: Vec<String> = FORWARDED
            .iter()
            .filter_map(|f| f.split_once(' '))
            .flat_map(|(kind, port)| ["127.0.0.1", "[::1]"].map(|at| format!("hostfwd={kind}:{at}:{port}-:{port}")))
            .collect();
        place.start_daemon(&[&forwards.join(",")]);
        place.serving = Side::Instance;
        place
    }

    fn start_daemon(&mut self, options: &[&str]) {
        let words = [&["io-pkt-v6-hc", "-f", "-d", "user"], options].concat();
        let mut daemon = Running::start(self.as_user(&words));
        daemon.wait_for("serves");
        self.daemon = Some(daemon);
        eventually("the instance's IPv6 address is ready", || {
            let text = self.user(&["ifconfig", "-a"]).ok();
            let own = |l: &str| l.contains(Family::V6.guest()) && !l.contains("tentative");
            text.lines().any(own).then_some(())
        });
    }

    /// A tree that the user may not enter is copied to where he may; so are the scripts, always.
    fn make_reachable(&mut self) {
        let program = self.tree.join("bin/iopkt");
        if self.user(&["test", "-x", &program.to_string_lossy()]).code != Some(0) {
            let own = self.dir.join("tree");
            copy(&self.tree, &own);
            self.tree = own;
        }
        copy(&repository().join("tests/scripts"), &self.dir.join("scripts"));
    }

    pub fn tree(&self) -> &Path {
        &self.tree
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Keys and account for an sshd of the user's.
    pub fn ssh(&self) -> Ssh {
        Ssh::prepare(&self.dir, &|words| self.user(words), &|words| self.root(words))
    }

    fn entering(&self) -> Command {
        let mut command = Command::new("nsenter");
        if !self.is_root {
            command.args(["--preserve-credentials", "-U"]);
        }
        command.args(["-n", "-m", "-t", &self.host.pid().to_string()]);
        command.arg(format!("--wd={}", self.dir.display())).arg("--");
        // What is the tests' own (a folder of root's, say) is not for this user.
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        command
            .env("PATH", format!("{}:{path}", self.tree.join("bin").display()))
            .env("IOPKT_RUN", self.run_dir())
            .env("TMPDIR", &self.dir)
            .env("HOME", &self.dir)
            .env_remove("SOCK")
            .env_remove("LD_PRELOAD")
            .current_dir(&self.dir);
        command
    }

    fn as_user(&self, words: &[&str]) -> Command {
        let mut command = self.entering();
        let (uid, gid) = (UID.to_string(), UID.to_string());
        match self.is_root {
            true => command.args(["setpriv", "--reuid", &uid, "--regid", &gid, "--clear-groups"]),
            false => command.args(["unshare", "-U", &format!("--map-user={uid}"), &format!("--map-group={gid}")]),
        };
        command.args(words);
        command
    }

    /// A program of the user's on the host's own network, to its end.
    pub fn user(&self, words: &[&str]) -> Finished {
        finish(self.as_user(words), b"")
    }

    /// The same by the host's root.
    pub fn root(&self, words: &[&str]) -> Finished {
        let mut command = self.entering();
        command.args(words);
        finish(command, b"")
    }

    /// A program of the user's on the instance, to its end.
    pub fn run(&self, words: &[&str]) -> Finished {
        self.user(&on_instance(words))
    }
}

impl Talk for Rootless {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn bind(&self, family: Family) -> &'static str {
        match self.serving {
            Side::Instance => family.guest(),
            Side::Host => family.loopback(),
        }
    }

    fn reach(&self, family: Family) -> &'static str {
        match self.serving {
            Side::Instance => family.loopback(),
            Side::Host => family.host(),
        }
    }

    fn serve(&self, words: &[&str]) -> Running {
        match self.serving {
            Side::Instance => Running::start(self.as_user(&on_instance(words))),
            Side::Host => Running::start(self.as_user(words)),
        }
    }

    fn ask_with_input(&self, words: &[&str], input: &[u8]) -> Finished {
        match self.serving {
            Side::Instance => finish(self.as_user(words), input),
            Side::Host => finish(self.as_user(&on_instance(words)), input),
        }
    }

    fn script(&self, name: &str) -> String {
        self.dir.join("scripts").join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(d) = &mut self.daemon
        {
            eprintln!("--- the daemon said:\n{}", d.output());
        }
        drop(self.daemon.take());
        // Those that `iopkt run` has started.
        let _ = self.as_user(&["iopkt", "stop", "--all"]).output();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn on_instance<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["iopkt", "run", "--"], words].concat()
}

/// Copies a folder for everybody to read.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-R", "--preserve=mode,links"]).arg(from).arg(to).status();
    assert!(copied.is_ok_and(|s| s.success()), "{} to {}", from.display(), to.display());
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o755)).expect("ours");
}

/// A program that no library can enter.
pub fn static_program(dir: &Path) -> PathBuf {
    let (source, program) = (dir.join("static.c"), dir.join("static"));
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("room for a file");
    let built = Command::new("cc").arg("-static").arg(&source).arg("-o").arg(&program).status();
    assert!(built.is_ok_and(|s| s.success()), "cc -static");
    program
}
