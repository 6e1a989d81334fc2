//! The server's side: a named channel, its clients, and the messages that wait for a reply.
//!
//! Nothing here blocks. The owner watches [`Channel::as_fd`] (readable means: call
//! [`Channel::receive`] until it gives `None`) and answers each message by [`Channel::reply`] or
//! [`Channel::error`]. A client has at most one message unanswered, as a thread that sends has: its
//! next one is not read before. A client that lets replies lie is cut off.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use errno::Errno;
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::packet::{self, Arrived};
use crate::slots::Slots;
use crate::{Credentials, FDS_MAX, Rcvid};

/// Most clients at a time; one more is turned away (it sees end of file).
pub const CLIENTS_MAX: usize = 16 * 1024;
/// Connections that the kernel queues before they are accepted.
const BACKLOG: i32 = 1024;
/// Connections accepted, and kernel events taken, at a time.
const BURST: usize = 64;
/// The listening socket's name in the epoll set.
const LISTENER: u64 = u64::MAX;

/// A message, or a pulse that says something about a client.
#[derive(Debug)]
pub enum Event {
    Message(Received),
    /// The client is gone: it closed its connection, died, or was cut off.
    Disconnected(Credentials),
}

/// A message whose bytes lie at the front of the buffer given to `receive`.
#[derive(Debug)]
pub struct Received {
    pub rcvid: Rcvid,
    pub len: usize,
    pub credentials: Credentials,
    pub fds: Vec<OwnedFd>,
}

/// What the channel refused, for the owner's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turned away at CLIENTS_MAX, or for want of descriptors.
    pub clients_refused: u64,
    /// Cut off because they did not read their replies.
    pub clients_cut_off: u64,
    /// Messages longer than the buffer or with too many descriptors.
    pub messages_refused: u64,
}

struct Client {
    socket: OwnedFd,
    credentials: Credentials,
    /// A message waits for its reply.
    outstanding: bool,
    /// In `ready`.
    queued: bool,
}

/// See the module's head.
pub struct Channel {
    epoll: OwnedFd,
    listener: OwnedFd,
    /// Given up for a moment to turn a client away when descriptors have run out.
    reserve: Option<OwnedFd>,
    path: PathBuf,
    /// Device and inode of the name, to know it again at the end.
    node: (u64, u64),
    clients: Slots<Client>,
    /// How many of them each process has.
    of_process: HashMap<u32, u32>,
    /// Clients that may have a message; each stands here at most once.
    ready: VecDeque<u32>,
    gone: VecDeque<Credentials>,
    /// Clients looked at since the kernel was last asked: busy ones must not keep it from being asked.
    looked_at: usize,
    accepting: bool,
    counters: Counters,
}

impl Channel {
    /// Serves at `path`, with mode 0666: what a client may do is decided by its credentials. Takes the
    /// place of whatever stood there, at once: the name never leads nowhere.
    pub fn create(path: &Path) -> io::Result<Channel> {
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::net::sockopt::set_socket_passcred(&listener, true)?;
        // Bound under another name first, since bind(2) refuses a name that is taken.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push("~");
        let fresh = path.with_file_name(name);
        let _ = std::fs::remove_file(&fresh);
        rustix::net::bind(&listener, &SocketAddrUnix::new(&fresh)?)?;
        let named = (|| {
            std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
            rustix::net::listen(&listener, BACKLOG)?;
            std::fs::rename(&fresh, path)?;
            node_of(path)
        })();
        let node = named.inspect_err(|_: &io::Error| {
            let _ = std::fs::remove_file(&fresh);
        })?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            epoll::EventData::new_u64(LISTENER),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        Ok(Channel {
            epoll,
            listener,
            reserve: spare_descriptor(),
            path: path.to_owned(),
            node,
            clients: Slots::new(),
            of_process: HashMap::new(),
            ready: VecDeque::new(),
            gone: VecDeque::new(),
            looked_at: 0,
            accepting: true,
            counters: Counters::default(),
        })
    }

    /// The next message or pulse; `None` when there is nothing now. A message's bytes are put at the
    /// front of `buf`.
    pub fn receive(&mut self, buf: &mut [u8]) -> Option<Event> {
        if (self.ready.is_empty() && self.gone.is_empty()) || self.looked_at >= BURST {
            self.looked_at = 0;
            self.poll();
        }
        loop {
            if let Some(credentials) = self.gone.pop_front() {
                return Some(Event::Disconnected(credentials));
            }
            let index = self.ready.pop_front()?;
            self.looked_at += 1;
            let Some((generation, client)) = self.clients.at(index) else { continue };
            client.queued = false;
            if client.outstanding {
                continue; // looked at again when it has its reply
            }
            let arrived = match packet::receive(client.socket.as_fd(), buf, libc::MSG_DONTWAIT) {
                Ok(arrived) => arrived,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => Arrived::default(),
            };
            if arrived.len == 0 {
                // End of file. An empty message means nothing to anyone and counts as the same.
                self.disconnect(index);
                continue;
            }
            client.outstanding = true;
            let rcvid = Rcvid { client: index, generation };
            if arrived.truncated || arrived.control_truncated {
                let full = arrived.truncated || arrived.fds.len() >= FDS_MAX;
                drop(arrived); // closes the descriptors first
                self.counters.messages_refused += 1;
                let _ = self.error(rcvid, if full { Errno::EMSGSIZE } else { Errno::EMFILE });
                continue;
            }
            let credentials = arrived.credentials.unwrap_or(client.credentials);
            return Some(Event::Message(Received { rcvid, len: arrived.len, credentials, fds: arrived.fds }));
        }
    }

    /// Answers a message. `parts` are gathered into one packet.
    ///
    /// Errors: ESRCH when the client is gone (or is cut off now, for not reading its replies);
    /// ETOOMANYREFS, EMFILE or EMSGSIZE when the kernel will not carry it: the message then still
    /// waits for another answer.
    pub fn reply(&mut self, rcvid: Rcvid, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let client =
            self.clients.named(rcvid.client, rcvid.generation).filter(|c| c.outstanding).ok_or(Errno::ESRCH)?;
        let error = loop {
            match packet::send(client.socket.as_fd(), parts, fds, libc::MSG_DONTWAIT) {
                Ok(_) => {
                    client.outstanding = false;
                    self.look_again(rcvid.client);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break e,
            }
        };
        match error.raw_os_error() {
            Some(libc::ETOOMANYREFS) => Err(Errno::ETOOMANYREFS),
            Some(libc::EMFILE | libc::ENFILE) => Err(Errno::EMFILE),
            Some(libc::EMSGSIZE) => Err(Errno::EMSGSIZE),
            raw => {
                if raw == Some(libc::EAGAIN) {
                    self.counters.clients_cut_off += 1;
                }
                self.disconnect(rcvid.client);
                Err(Errno::ESRCH)
            }
        }
    }

    /// Answers with an error number and nothing else. Errors: ESRCH as in [`reply`](Channel::reply).
    pub fn error(&mut self, rcvid: Rcvid, error: Errno) -> Result<(), Errno> {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&error.0.to_ne_bytes());
        self.reply(rcvid, &[IoSlice::new(&bytes)], &[])
    }

    /// True when `receive` has work left that the kernel will not announce again.
    pub fn has_pending(&self) -> bool {
        !self.ready.is_empty() || !self.gone.is_empty()
    }

    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Does this process have a connection, one that it opened itself?
    pub fn has_client_of(&self, pid: u32) -> bool {
        self.of_process.contains_key(&pid)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the kernel's news into `ready`.
    fn poll(&mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(BURST);
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let got = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&zero));
        if got.is_err() {
            return;
        }
        for event in &events {
            let data = event.data;
            match data.u64() {
                LISTENER => self.accepting = true,
                index => self.look_again(index as u32),
            }
        }
        if self.accepting {
            self.accept();
        }
    }

    fn accept(&mut self) {
        for _ in 0..BURST {
            let socket = match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => socket,
                Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) if self.reserve.is_some() => {
                    // Turn this one away rather than leave it waiting for ever.
                    self.reserve = None;
                    drop(rustix::net::accept(&self.listener));
                    self.reserve = spare_descriptor();
                    self.counters.clients_refused += 1;
                    continue;
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
                Err(_) => {
                    self.accepting = false;
                    return;
                }
            };
            if self.clients.len() >= CLIENTS_MAX || self.add(socket).is_err() {
                self.counters.clients_refused += 1;
            }
        }
        // More may wait: an edge is not told twice, so ask the kernel for the state again.
        let _ = epoll::modify(
            &self.epoll,
            &self.listener,
            epoll::EventData::new_u64(LISTENER),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        );
    }

    fn add(&mut self, socket: OwnedFd) -> io::Result<()> {
        let credentials = packet::peer_credentials(socket.as_fd())?;
        rustix::net::sockopt::set_socket_passcred(&socket, true)?;
        let (index, _) = self.clients.insert(Client { socket, credentials, outstanding: false, queued: false });
        let (_, client) = self.clients.at(index).expect("inserted one line above");
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if let Err(e) = epoll::add(&self.epoll, &client.socket, epoll::EventData::new_u64(u64::from(index)), flags) {
            self.clients.remove(index);
            return Err(e.into());
        }
        *self.of_process.entry(credentials.pid).or_default() += 1;
        self.look_again(index); // its first message is often there already
        Ok(())
    }

    fn look_again(&mut self, index: u32) {
        if let Some((_, client)) = self.clients.at(index)
            && !client.queued
        {
            client.queued = true;
            self.ready.push_back(index);
        }
    }

    fn disconnect(&mut self, index: u32) {
        if let Some(client) = self.clients.remove(index) {
            let pid = client.credentials.pid;
            if let Some(left) = self.of_process.get_mut(&pid) {
                *left -= 1;
                if *left == 0 {
                    self.of_process.remove(&pid);
                }
            }
            self.gone.push_back(client.credentials);
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Only our own name: a successor may have taken the place.
        if node_of(&self.path).is_ok_and(|node| node == self.node) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn node_of(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

fn spare_descriptor() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}
