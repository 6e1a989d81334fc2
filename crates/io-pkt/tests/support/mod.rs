//! A daemon of the test's own, and a program that speaks the protocol by hand.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use errno::Errno;
use msg::Connection;
use rustix::event::{PollFd, PollFlags, poll};
use sockets::WireAddr;
use sockets::call::{AcceptMessage, CONNECT_FILLERS, Op, ReplyHeader, RequestHeader, SocketInfo};
use sockets::config;

/// Longest that anything in a test is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A run-time directory that nobody else uses.
pub fn run_dir() -> PathBuf {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("iopkt-test-{}-{n}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

pub fn command(run: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_io-pkt"));
    command.env("IOPKT_RUN", run).args(args).stdin(Stdio::null());
    command
}

pub struct Daemon {
    pub child: Child,
    pub run: PathBuf,
    ctl: PathBuf,
}

impl Daemon {
    /// In the foreground with `lo0` alone.
    pub fn start() -> Daemon {
        Daemon::start_in(run_dir(), &[])
    }

    /// The one with small tables.
    pub fn start_small() -> Daemon {
        let run = run_dir();
        let mut command = command(&run, &[]);
        std::os::unix::process::CommandExt::arg0(&mut command, "io-pkt-v6");
        Daemon::serving(command, run)
    }

    pub fn start_in(run: PathBuf, args: &[&str]) -> Daemon {
        Daemon::serving(command(&run, args), run)
    }

    fn serving(mut command: Command, run: PathBuf) -> Daemon {
        let child = command.arg("-f").stderr(Stdio::null()).spawn().expect("the daemon starts");
        let ctl = run.join("dev/socket/ctl");
        let daemon = Daemon { child, run, ctl };
        let since = Instant::now();
        while Connection::open(&daemon.ctl).is_err() {
            assert!(since.elapsed() < PATIENCE, "the daemon does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        daemon
    }

    pub fn client(&self) -> Client {
        Client { connection: Connection::open(&self.ctl).expect("the daemon serves") }
    }

    pub fn ctl(&self) -> &Path {
        &self.ctl
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the daemon is there");
    }

    pub fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Descriptors that the daemon has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("proc").count()
    }

    /// Waits until the daemon has no more descriptors open than this.
    pub fn wait_for_descriptors(&self, at_most: usize) {
        let since = Instant::now();
        while self.descriptors() > at_most {
            assert!(since.elapsed() < PATIENCE, "{} descriptors stay open, {at_most} expected", self.descriptors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.run);
    }
}

pub struct Client {
    pub connection: Connection,
}

/// A socket as a program holds it.
pub struct Sock {
    pub info: SocketInfo,
    pub fd: OwnedFd,
}

impl Client {
    pub fn call(
        &mut self,
        op: Op,
        handle: u64,
        body: &[u8],
        fds: &[&OwnedFd],
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
        let mut message = RequestHeader { op, len: body.len() as u32, handle }.to_bytes().to_vec();
        message.extend_from_slice(body);
        let mut reply = vec![0; sockets::call::MESSAGE_MAX];
        let fds: Vec<_> = fds.iter().map(|f| f.as_fd()).collect();
        let (n, fds) = self.connection.send(&message, &fds, &mut reply)?;
        let (header, body) = ReplyHeader::parse(&reply[..n])?;
        match header.errno {
            0 => Ok((body.to_vec(), fds)),
            e => Err(Errno(e)),
        }
    }

    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Sock, Errno> {
        let body = [domain, kind, protocol].map(i32::to_ne_bytes).concat();
        let (body, mut fds) = self.call(Op::Socket, 0, &body, &[])?;
        Ok(Sock { info: SocketInfo::parse(&body)?, fd: fds.pop().expect("a descriptor") })
    }

    pub fn tcp(&mut self) -> Sock {
        self.socket(libc::AF_INET, libc::SOCK_STREAM, 0).expect("a TCP socket")
    }

    pub fn udp(&mut self) -> Sock {
        self.socket(libc::AF_INET, libc::SOCK_DGRAM, 0).expect("a UDP socket")
    }

    pub fn bind(&mut self, s: &Sock, addr: &str) -> Result<(), Errno> {
        let addr: SocketAddr = addr.parse().expect("a literal of the test");
        self.call(Op::Bind, s.info.handle, &WireAddr::from(addr).to_bytes(), &[]).map(drop)
    }

    /// Begins to connect as the library does: two fillers first.
    pub fn begin_connect(&mut self, s: &Sock, addr: SocketAddr) -> Result<(), Errno> {
        self.connect_by(Op::Connect, s, addr)
    }

    /// Connects in one call, as the library does for a blocking socket.
    pub fn connect_and_wait(&mut self, s: &Sock, addr: SocketAddr) -> Result<(), Errno> {
        self.connect_by(Op::ConnectAndWait, s, addr)
    }

    fn connect_by(&mut self, op: Op, s: &Sock, addr: SocketAddr) -> Result<(), Errno> {
        for _ in 0..CONNECT_FILLERS {
            rustix::io::write(&s.fd, &[0]).expect("a filler");
        }
        let mut body = WireAddr::from(addr).to_bytes().to_vec();
        body.extend_from_slice(&CONNECT_FILLERS.to_ne_bytes());
        self.call(op, s.info.handle, &body, &[]).map(drop)
    }

    /// Connects and waits. The error is that of SO_ERROR.
    pub fn connect(&mut self, s: &Sock, addr: SocketAddr) -> Result<(), Errno> {
        match self.begin_connect(s, addr) {
            Err(Errno::EINPROGRESS) => {}
            other => return other,
        }
        let flags = wait(&s.fd, PollFlags::OUT);
        if flags.intersects(PollFlags::ERR | PollFlags::HUP) {
            return Err(Errno(self.int_option(s, libc::SOL_SOCKET, libc::SO_ERROR)));
        }
        Ok(())
    }

    pub fn listen(&mut self, s: &Sock, backlog: i32) -> Result<(), Errno> {
        for _ in 0..CONNECT_FILLERS {
            rustix::io::write(&s.fd, &[0]).expect("a filler");
        }
        self.call(Op::Listen, s.info.handle, &backlog.to_ne_bytes(), &[]).map(drop)
    }

    pub fn listener(&mut self) -> (Sock, SocketAddr) {
        let s = self.tcp();
        self.bind(&s, "127.0.0.1:0").expect("bind");
        self.listen(&s, 16).expect("listen");
        let addr = self.local(&s);
        (s, addr)
    }

    pub fn local(&mut self, s: &Sock) -> SocketAddr {
        self.addr(Op::LocalAddr, s).expect("a local address")
    }

    pub fn addr(&mut self, op: Op, s: &Sock) -> Result<SocketAddr, Errno> {
        let (body, _) = self.call(op, s.info.handle, &[], &[])?;
        let addr = WireAddr::from_bytes(&body.try_into().expect("a WireAddr"));
        Ok(addr.socket_addr().expect("an address"))
    }

    pub fn int_option(&mut self, s: &Sock, level: i32, name: i32) -> i32 {
        let body = [level, name, 4].map(i32::to_ne_bytes).concat();
        let (value, _) = self.call(Op::GetOption, s.info.handle, &body, &[]).expect("an option");
        i32::from_ne_bytes(value.try_into().expect("an int"))
    }

    pub fn set_int_option(&mut self, s: &Sock, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        let body = [level, name, value].map(i32::to_ne_bytes).concat();
        self.call(Op::SetOption, s.info.handle, &body, &[]).map(drop)
    }

    pub fn config(&mut self, request: &config::Request) -> config::Reply {
        let body = postcard::to_allocvec(request).expect("encodes");
        let (reply, _) = self.call(Op::Config, 0, &body, &[]).expect("a reply");
        postcard::from_bytes(&reply).expect("decodes")
    }

    /// A connected pair of TCP sockets over `lo0`: the connecting and the accepted one.
    pub fn connection(&mut self) -> (Sock, Sock) {
        let (listener, addr) = self.listener();
        let client = self.tcp();
        self.connect(&client, addr).expect("connect");
        let server = accept(&listener);
        (client, server)
    }
}

/// Waits for events on a descriptor.
pub fn wait(fd: &OwnedFd, flags: PollFlags) -> PollFlags {
    let timeout = rustix::time::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [PollFd::new(fd, flags)];
    assert_ne!(poll(&mut fds, Some(&timeout)).expect("poll"), 0, "nothing happens");
    fds[0].revents()
}

/// What poll says at once.
pub fn now(fd: &OwnedFd) -> PollFlags {
    let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::new(fd, PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP)];
    poll(&mut fds, Some(&zero)).expect("poll");
    fds[0].revents()
}

/// accept(2), as the library does it.
pub fn accept(listener: &Sock) -> Sock {
    wait(&listener.fd, PollFlags::IN);
    let mut bytes = [0; AcceptMessage::LEN];
    let (n, fd) = receive_with_descriptor(&listener.fd, &mut bytes);
    assert_eq!(n, AcceptMessage::LEN);
    let message = AcceptMessage::parse(&bytes).expect("an accept message");
    Sock { info: message.info, fd: fd.expect("a descriptor") }
}

pub fn receive_with_descriptor(from: &OwnedFd, bytes: &mut [u8]) -> (usize, Option<OwnedFd>) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(from, &mut [std::io::IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).expect("recvmsg");
    let fd = control.drain().find_map(|m| match m {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (got.bytes, fd)
}

pub fn stream(s: &Sock) -> UnixStream {
    let stream = UnixStream::from(s.fd.try_clone().expect("dup"));
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

pub fn write_all(s: &Sock, bytes: &[u8]) {
    stream(s).write_all(bytes).expect("write");
}

pub fn read_exact(s: &Sock, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream(s).read_exact(&mut bytes).expect("read");
    bytes
}

pub fn read_to_end(s: &Sock) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream(s).read_to_end(&mut bytes).expect("read");
    bytes
}

pub fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 % 251) as u8).collect()
}

pub fn raw(fd: &OwnedFd) -> i32 {
    fd.as_raw_fd()
}
