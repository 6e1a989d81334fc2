//! An instance that answers from a script, so that the commands can be run without a network.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use msg::{Channel, Event, Rcvid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use sockets::Errno;
use sockets::call::{MESSAGE_MAX, Op, ReplyHeader, RequestHeader, SocketInfo};
use sockets::config::{
    CounterGroup, Interface, InterfaceAddress, LinkCounters, Reply, Request, Route, SocketRow, Status, iff, rtf,
};
use sockets::datagram::{Header, flag};

pub const PREFIX: &str = "/dev/socket";

pub struct Fake {
    dir: PathBuf,
    asked: Arc<Mutex<Vec<Request>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    pub fn start() -> Fake {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("iopkt-fake-{}-{number}", std::process::id()));
        let instance = dir.join("run").join(PREFIX.trim_start_matches('/'));
        std::fs::create_dir_all(&instance).expect("a temporary folder");
        std::fs::write(instance.join("hosts"), "127.0.0.1\tlocalhost\n").expect("a file");
        std::fs::write(instance.join("resolv.conf"), "").expect("a file");
        install(&dir);
        let (asked, end) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let server = Server::new(&instance, Arc::clone(&asked), Arc::clone(&end));
        Fake { dir, asked, end, thread: Some(thread::spawn(|| server.serve())) }
    }

    /// A command by its own name, or `iopkt` with words.
    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(self.dir.join("bin").join(words.next().expect("a command's name")));
        command.args(words).env("IOPKT_RUN", self.dir.join("run")).env_remove("SOCK").env_remove("LD_PRELOAD");
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the command starts")
    }

    /// Standard output of a command that succeeds.
    pub fn text(&self, line: &str) -> String {
        let out = self.run(line);
        assert!(out.status.success(), "{line}: {out:?}");
        String::from_utf8(out.stdout).expect("text")
    }

    /// Exit status and standard error of a command that fails.
    pub fn failure(&self, line: &str) -> (i32, String) {
        let out = self.run(line);
        (out.status.code().expect("no signal"), String::from_utf8(out.stderr).expect("text"))
    }

    /// The requests that change something, since the last call.
    pub fn changes(&self) -> Vec<Request> {
        std::mem::take(&mut *self.asked.lock().expect("no panic in the server"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the fake instance panicked");
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The commands' links and an empty socket library, as in an installation.
fn install(dir: &Path) {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::fs::create_dir_all(dir.join("lib")).expect("a folder");
    std::fs::copy(env!("CARGO_BIN_EXE_iopkt"), bin.join("iopkt")).expect("the program was built");
    for name in ["ifconfig", "route", "netstat", "ping", "ping6", "mount"] {
        std::os::unix::fs::symlink("iopkt", bin.join(name)).expect("a link");
    }
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-xc", "/dev/null", "-o"]).arg(dir.join("lib/libiopkt_socket.so"));
    assert!(cc.status().expect("cc runs").success());
}

struct Server {
    channel: Channel,
    lock: std::fs::File,
    asked: Arc<Mutex<Vec<Request>>>,
    end: Arc<AtomicBool>,
}

impl Server {
    fn new(dir: &Path, asked: Arc<Mutex<Vec<Request>>>, end: Arc<AtomicBool>) -> Server {
        let lock = std::fs::File::create(dir.join("lock")).expect("a lock file");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("ours alone");
        Server { channel: Channel::create(&dir.join("ctl")).expect("a channel"), lock, asked, end }
    }

    fn serve(mut self) {
        let mut buf = vec![0; MESSAGE_MAX];
        let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        while !self.end.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&tick));
            while let Some(event) = self.channel.receive(&mut buf) {
                if let Event::Message(m) = event {
                    self.answer(m.rcvid, &buf[..m.len]);
                }
            }
        }
        drop(self.lock);
    }

    fn answer(&mut self, rcvid: Rcvid, message: &[u8]) {
        let (header, body) = RequestHeader::parse(message).expect("the commands speak our version");
        let (reply, fd) = match header.op {
            Op::Config => (self.config(postcard::from_bytes(body).expect("a request")), None),
            Op::Socket => {
                let (info, fd) = echo_socket();
                (info.to_bytes().to_vec(), Some(fd))
            }
            Op::SetOption | Op::Bind => (Vec::new(), None),
            other => panic!("{other:?}"),
        };
        let head = ReplyHeader { errno: 0, len: reply.len() as u32 }.to_bytes();
        let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
        let _ = self.channel.reply(rcvid, &[IoSlice::new(&head), IoSlice::new(&reply)], &fds);
    }

    fn config(&mut self, request: Request) -> Vec<u8> {
        let reply = match &request {
            Request::Status => Reply::Status(status()),
            Request::Interfaces => Reply::Interfaces(interfaces()),
            // Two pages, so that the client has to ask again.
            Request::Routes { from } => {
                let rows = routes().into_iter().skip(*from as usize).take(1).collect();
                Reply::Routes { rows, next: (*from == 0).then_some(1) }
            }
            Request::Sockets { .. } => Reply::Sockets { rows: vec![listener()], next: None },
            Request::Statistics => Reply::Statistics(vec![CounterGroup {
                protocol: "tcp".into(),
                counters: vec![("packets sent".into(), 123), ("checksum errors".into(), 0)],
            }]),
            Request::LookupRoute { .. } => Reply::Route(routes().into_iter().next()),
            Request::AddRoute { route, .. } if route.gateway == Some(ip("10.9.9.9")) => {
                Reply::Error { errno: Errno::ENETUNREACH, text: "Network is unreachable".into() }
            }
            Request::MountDriver { .. } => Reply::Attached(vec!["en1".into()]),
            Request::Stop => {
                self.end.store(true, Ordering::Relaxed);
                Reply::Done
            }
            _ => Reply::Done,
        };
        let asks = matches!(
            request,
            Request::Status | Request::Interfaces | Request::Routes { .. } | Request::LookupRoute { .. }
        );
        if !asks {
            self.asked.lock().expect("no panic elsewhere").push(request);
        }
        postcard::to_allocvec(&reply).expect("a reply")
    }
}

/// A raw ICMP socket whose other end answers each echo request.
fn echo_socket() -> (SocketInfo, std::os::fd::OwnedFd) {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("a pair");
    thread::spawn(move || {
        let mut buf = vec![0; 70_000];
        while let Ok((n @ 1.., _)) = rustix::net::recv(&ours, buf.as_mut_slice(), RecvFlags::empty()) {
            let (header, icmp) = Header::parse(&buf[..n]).expect("a header in front");
            assert_eq!((header.key, header.has(flag::ADDR)), (77, true));
            let mut reply = Header { flags: flag::ADDR, addr: header.addr, ..Header::default() }.to_bytes().to_vec();
            reply.extend_from_slice(&[0x45, 0, 0, (20 + icmp.len()) as u8, 0, 0, 0, 0, 64, 1, 0, 0]);
            reply.extend_from_slice(&header.addr.ip[..4]);
            reply.extend_from_slice(&[10, 0, 2, 15]);
            let at = reply.len();
            reply.extend_from_slice(icmp);
            reply[at] = 0;
            let _ = rustix::net::send(&ours, &reply, SendFlags::NOSIGNAL);
        }
    });
    (SocketInfo { handle: 5, key: 77, domain: 2, kind: 3, protocol: 1, ..SocketInfo::default() }, theirs)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("a literal of these tests")
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: std::process::id(),
        prefix: PREFIX.into(),
        variant: "io-pkt-v6-hc".into(),
        uptime_s: 61,
        interfaces: 1,
        sockets: 1,
        threads: 1,
    }
}

fn interfaces() -> Vec<Interface> {
    let mut inet = InterfaceAddress::new(ip("192.168.1.100"), 24);
    inet.broadcast = Some(ip("192.168.1.255"));
    vec![Interface {
        index: 1,
        name: "en0".into(),
        flags: iff::UP | iff::BROADCAST | iff::RUNNING | iff::SIMPLEX | iff::MULTICAST,
        mtu: 1500,
        mac: Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]),
        media: "Ethernet autoselect (1000baseT full-duplex)".into(),
        driver: "packet".into(),
        link_up: true,
        offloads: Vec::new(),
        addresses: vec![inet, InterfaceAddress::new(ip("fe80::211:22ff:fe33:4455"), 64)],
        counters: LinkCounters::default(),
    }]
}

fn routes() -> Vec<Route> {
    let route = |destination, prefix_len, gateway, flags| Route {
        destination: ip(destination),
        prefix_len,
        gateway,
        interface: Some("en0".into()),
        flags: rtf::UP | flags,
        mtu: None,
        source: Some(ip("192.168.1.100")),
        uses: 0,
    };
    vec![
        route("0.0.0.0", 0, Some(ip("192.168.1.1")), rtf::GATEWAY | rtf::STATIC),
        route("192.168.1.0", 24, None, rtf::CONNECTED),
    ]
}

fn listener() -> SocketRow {
    SocketRow {
        protocol: "tcp".into(),
        recv_queue: 0,
        send_queue: 0,
        local: Some("0.0.0.0:80".parse().expect("a literal")),
        peer: None,
        state: "LISTEN".into(),
        pid: 1,
        uid: 0,
        mode: "pair".into(),
    }
}
