//! Runs unmodified programs with the library preloaded, against a stand-in for the daemon
//! (`fake_daemon.py`) that carries their sockets out on the host's loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n10.1.2.3 web.test alias.test\n\
                     10.1.2.4 both.test\n2001:db8::4 both.test\n";

/// A stand-in daemon with its own folder, ended when dropped.
struct World {
    dir: PathBuf,
    children: Vec<Child>,
}

impl World {
    fn new(name: &str) -> World {
        let dir = std::env::temp_dir().join(format!("libsocket-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a fresh folder");
        let mut world = World { dir, children: Vec::new() };
        std::fs::write(world.dir.join("hosts"), HOSTS).expect("hosts");
        let ctl = world.dir.join("ctl");
        world.serve(Command::new("python3").arg(tests("fake_daemon.py")).arg(ctl));
        world
    }

    /// Starts a server and waits until it says that it is ready.
    fn serve(&mut self, command: &mut Command) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3 is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        self.children.push(child);
        assert_eq!(line, "ready\n");
    }

    /// A command that gets the library.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut c = Command::new(program.as_ref());
        c.env("LD_PRELOAD", library())
            .env("IOPKT_CTL", self.dir.join("ctl"))
            .env("IOPKT_HOSTS", self.dir.join("hosts"))
            .env("IOPKT_RESOLV_CONF", self.dir.join("resolv.conf"));
        c
    }

    fn python(&self, script: &str) {
        succeeds(self.command(python()).arg(tests("programs").join(script)));
    }

    /// Compiles a C program of these tests.
    fn compile(&self, source: &str) -> PathBuf {
        let program = self.dir.join("program");
        succeeds(
            Command::new("cc")
                .args(["-O2", "-D_FORTIFY_SOURCE=2", "-Wall", "-Werror", "-pthread", "-o"])
                .arg(&program)
                .arg(tests("programs").join(source)),
        );
        program
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn tests(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The library that cargo built with this test.
fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("our own path");
    let deps = exe.parent().expect("it lies in target/PROFILE/deps");
    let found = [deps.parent().unwrap_or(deps), deps].map(|d| d.join("libiopkt_socket.so"));
    found.into_iter().find(|p| p.exists()).expect("libiopkt_socket.so beside the test")
}

/// The interpreter itself, not a script that looks for it.
fn python() -> PathBuf {
    let out = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().expect("python3");
    PathBuf::from(String::from_utf8(out.stdout).expect("a path").trim())
}

fn succeeds(command: &mut Command) -> Output {
    let out = command.output().expect("the program starts");
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert!(out.status.success(), "{command:?}: {}\n{}{}", out.status, text(&out.stdout), text(&out.stderr));
    out
}

#[test]
fn streams_behave_as_the_kernels() {
    World::new("streams").python("streams.py");
}

#[test]
fn datagrams_behave_as_the_kernels() {
    World::new("datagrams").python("datagrams.py");
}

#[test]
fn names_and_interfaces_are_the_instances() {
    let mut world = World::new("names");
    let text = "nameserver 127.0.0.53\nsearch search.test\noptions timeout:1 attempts:1\n";
    std::fs::write(world.dir.join("resolv.conf"), text).expect("resolv.conf");
    world.serve(Command::new("python3").arg(tests("programs/fake_dns.py")).arg("127.0.0.53"));
    world.python("names.py");
}

#[test]
fn calls_of_a_c_program_behave_as_the_kernels() {
    let world = World::new("calls");
    let program = world.compile("calls.c");
    succeeds(&mut world.command(program));
}

#[test]
fn without_a_daemon_sockets_fail_and_the_rest_of_the_program_works() {
    let mut world = World::new("absent");
    for child in &mut world.children {
        child.kill().expect("it runs");
    }
    world.python("absent.py");
}

#[test]
fn the_daemons_death_ends_blocked_calls_within_a_tenth_of_a_second() {
    let mut world = World::new("death");
    let mut child = world
        .command(python())
        .arg(tests("programs/death.py"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("its first line");
    assert_eq!(line, "blocked\n");
    std::thread::sleep(Duration::from_millis(300));
    let killed = Instant::now();
    world.children[0].kill().expect("it runs");
    line.clear();
    out.read_line(&mut line).expect("its second line");
    let took = killed.elapsed();
    assert_eq!(line, "recv 104 accept 100 connect 100 datagram 100\n");
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn every_name_that_programs_call_is_exported() {
    let names = succeeds(Command::new("nm").arg("-D").arg("--defined-only").arg(library())).stdout;
    let names = String::from_utf8_lossy(&names);
    let exported: Vec<&str> = names.lines().filter_map(|l| l.split_ascii_whitespace().nth(2)).collect();
    for name in "accept accept4 bind close close_range closefrom connect dup dup2 dup3 fclose fcntl fcntl64 \
                 freeifaddrs getaddrinfo gethostbyaddr gethostbyaddr_r gethostbyname gethostbyname2 \
                 gethostbyname2_r gethostbyname_r getifaddrs getnameinfo getpeername getsockname getsockopt \
                 if_freenameindex if_indextoname if_nameindex if_nametoindex ioctl listen prctl read readv recv \
                 recvfrom recvmmsg recvmsg send sendfile sendfile64 sendmmsg sendmsg sendto setsockopt shutdown \
                 socket socketpair splice write writev __read_chk __recv_chk __recvfrom_chk"
        .split_ascii_whitespace()
    {
        assert!(exported.contains(&name), "{name}");
    }
}
