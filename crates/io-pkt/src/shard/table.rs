//! The sockets that programs hold, and the ways to find one: by its handle (control calls), by its
//! pair's cookie (`Identify`), by the engine's name (events, datagrams), by its slot (epoll).

use core::net::SocketAddr;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use errno::Errno;
use msg::{Credentials, Rcvid};
use sockets::call::{SocketInfo, SocketState};
use stack::{Domain, SocketId, SocketKind};

use super::accept::Listener;
use super::rings::{PairBecause, SharedRings};
use crate::sys::Secrets;

/// Most sockets whose pair is closed but whose error or addresses a program may still ask for. The
/// oldest gives way.
pub const TOMBSTONES_MAX: usize = 1024;
/// They keep their place in the engine: at most this part of its sockets.
const TOMBSTONES_PART: usize = 8;

/// Readiness of the daemon's end, as edges have told it.
pub mod ready {
    pub const READABLE: u8 = 1;
    pub const WRITABLE: u8 = 2;
    /// The program's end was shut down for writing, or closed.
    pub const READ_HANGUP: u8 = 4;
    /// Both directions are over: closed, or shut down on both sides.
    pub const HANGUP: u8 = 8;
    /// The program closed its end with bytes unread.
    pub const ERROR: u8 = 16;
    /// In the shard's work list.
    pub const QUEUED: u8 = 32;
    /// EPOLLOUT is asked for.
    pub const WATCHES_ROOM: u8 = 64;
    /// A fresh stream on whose pair something lies: fillers, if a connect or listen follows.
    pub const SUSPECT: u8 = 128;
}

/// How far a stream socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Fresh,
    Connecting,
    Connected,
    Listening,
    /// The pair is closed; what is left answers questions.
    Ended,
}

/// What only stream sockets have.
#[derive(Debug)]
pub struct Stream {
    pub phase: Phase,
    /// Bytes on the pair that are fillers of `connect`, still to be dropped.
    pub fillers: u32,
    /// `shutdown(WR)` was asked for: the FIN follows the bytes that are still in the pair.
    pub fin_after_drain: bool,
    /// Nothing more is taken from the pair: the FIN is sent or the send direction is dead.
    pub tx_ended: bool,
    /// The program has been told that no more will come.
    pub rx_ended: bool,
    /// Received bytes have no reader any more and are let go.
    pub rx_discard: bool,
    /// A connect failed: `Reopen` gives a fresh pair.
    pub connect_failed: bool,
    /// The pair's end has the large send buffer.
    pub roomy: bool,
    /// The call that waits for the handshake's result.
    pub waiter: Option<Waiter>,
    pub listener: Option<Box<Listener>>,
    pub ring: Option<Box<SharedRings>>,
    pub pair_because: PairBecause,
}

/// Who sleeps in connect(2).
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    pub rcvid: Rcvid,
    /// Wants the next socket along with the answer.
    pub restock: bool,
}

impl Stream {
    pub fn new(phase: Phase) -> Stream {
        Stream {
            phase,
            fillers: 0,
            fin_after_drain: false,
            tx_ended: false,
            rx_ended: false,
            rx_discard: false,
            connect_failed: false,
            roomy: false,
            waiter: None,
            listener: None,
            ring: None,
            pair_because: PairBecause::default(),
        }
    }
}

/// What only datagram and raw sockets have.
#[derive(Debug, Default)]
pub struct Datagram {
    /// Flags of `sockets::datagram::flag` that the program asked for.
    pub wants: u16,
    pub connected: bool,
}

#[derive(Debug)]
pub enum Flow {
    Stream(Stream),
    Datagram(Datagram),
}

/// One socket of a program.
#[derive(Debug)]
pub struct Socket {
    pub handle: u64,
    pub key: u64,
    /// SO_COOKIE of the program's end of the pair.
    pub cookie: u64,
    pub id: SocketId,
    /// The engine's side is closed and `id` dead; the local address is what it was.
    pub closed: Option<SocketAddr>,
    pub domain: Domain,
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub kind: u16,
    pub protocol: u16,
    pub owner: Credentials,
    /// The daemon's end; `None` once closed.
    pub pair: Option<OwnedFd>,
    /// Values of [`ready`].
    pub ready: u8,
    /// The pending error, taken over from the engine.
    pub error: Option<Errno>,
    pub flow: Flow,
    generation: u32,
}

impl Socket {
    pub fn is(&self, flag: u8) -> bool {
        self.ready & flag != 0
    }

    pub fn set(&mut self, flag: u8, on: bool) {
        if on { self.ready |= flag } else { self.ready &= !flag }
    }

    pub fn pair(&self) -> Option<BorrowedFd<'_>> {
        self.pair.as_ref().map(AsFd::as_fd)
    }

    pub fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.flow {
            Flow::Stream(stream) => Some(stream),
            Flow::Datagram(_) => None,
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        match &self.flow {
            Flow::Stream(stream) => Some(stream.phase),
            Flow::Datagram(_) => None,
        }
    }

    /// How its bytes travel, and why, for `netstat -v`.
    pub fn mode(&self) -> &'static str {
        match &self.flow {
            Flow::Stream(stream) => stream.ring.as_ref().and_then(|r| r.name()).unwrap_or(stream.pair_because.name()),
            Flow::Datagram(_) => "pair",
        }
    }

    pub fn info(&self) -> SocketInfo {
        let state = match &self.flow {
            Flow::Stream(stream) => match stream.phase {
                Phase::Fresh => SocketState::Fresh,
                Phase::Connecting => SocketState::Connecting,
                Phase::Connected => SocketState::Connected,
                Phase::Listening => SocketState::Listening,
                Phase::Ended if stream.connect_failed => SocketState::Failed,
                Phase::Ended => SocketState::Connected,
            },
            Flow::Datagram(d) if d.connected => SocketState::Connected,
            Flow::Datagram(_) => SocketState::Fresh,
        };
        SocketInfo {
            handle: self.handle,
            key: self.key,
            cookie: self.cookie,
            domain: match self.domain {
                Domain::V4 => sockets::addr::AF_INET,
                Domain::V6 => sockets::addr::AF_INET6,
            },
            kind: self.kind,
            protocol: self.protocol,
            state,
        }
    }
}

/// What a new socket is made of.
pub struct NewSocket {
    pub id: SocketId,
    pub domain: Domain,
    pub kind: u16,
    pub protocol: u16,
    pub owner: Credentials,
    pub flow: Flow,
}

/// See the module's head.
#[derive(Default)]
pub struct Table {
    slots: Vec<Option<Box<Socket>>>,
    free: Vec<u32>,
    generation: u32,
    // Their keys are ours and the kernel's, no program's: a fast hash will do.
    by_handle: HashMap<u64, u32, foldhash::fast::RandomState>,
    by_cookie: HashMap<u64, u32, foldhash::fast::RandomState>,
    /// For each transport, the slot of the engine's index, plus one; 0 is none.
    by_id: [Vec<u32>; 4],
    tombstones: VecDeque<u64>,
    tombstones_max: usize,
    live: usize,
    secrets: Secrets,
}

fn transport(kind: SocketKind) -> usize {
    match kind {
        SocketKind::Tcp => 0,
        SocketKind::Udp => 1,
        SocketKind::Raw => 2,
        SocketKind::Ping => 3,
    }
}

impl Table {
    /// For an engine with so many sockets of each kind.
    pub fn new(sockets_max: usize) -> Table {
        Table { tombstones_max: TOMBSTONES_MAX.min(sockets_max / TOMBSTONES_PART), ..Table::default() }
    }

    /// A socket without a pair yet; [`attach`](Table::attach) gives it one.
    pub fn insert(&mut self, new: NewSocket) -> u32 {
        let NewSocket { id, domain, kind, protocol, owner, flow } = new;
        let handle = loop {
            let handle = self.secrets.draw();
            if !self.by_handle.contains_key(&handle) {
                break handle;
            }
        };
        self.generation = (self.generation + 1) & 0x00ff_ffff;
        let socket = Box::new(Socket {
            handle,
            key: self.secrets.draw(),
            cookie: 0,
            id,
            closed: None,
            domain,
            kind,
            protocol,
            owner,
            pair: None,
            ready: 0,
            error: None,
            flow,
            generation: self.generation,
        });
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize] = Some(socket);
        self.by_handle.insert(handle, slot);
        let ids = &mut self.by_id[transport(id.kind)];
        if ids.len() <= id.index as usize {
            ids.resize(id.index as usize + 1, 0);
        }
        ids[id.index as usize] = slot + 1;
        self.live += 1;
        slot
    }

    /// The engine has a new name for it.
    pub fn rename(&mut self, slot: u32, id: SocketId) {
        let Some(socket) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let ids = &mut self.by_id[transport(socket.id.kind)];
        if ids.get(socket.id.index as usize) == Some(&(slot + 1)) {
            ids[socket.id.index as usize] = 0;
        }
        socket.id = id;
        let ids = &mut self.by_id[transport(id.kind)];
        if ids.len() <= id.index as usize {
            ids.resize(id.index as usize + 1, 0);
        }
        ids[id.index as usize] = slot + 1;
    }

    /// Gives the socket its pair: the daemon's end, and the cookie of the program's.
    pub fn attach(&mut self, slot: u32, pair: OwnedFd, cookie: u64) {
        let Some(socket) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        self.by_cookie.remove(&socket.cookie);
        socket.pair = Some(pair);
        socket.cookie = cookie;
        socket.ready = 0;
        self.by_cookie.insert(cookie, slot);
    }

    /// Takes the socket out. Its engine side is the caller's to close.
    pub fn remove(&mut self, slot: u32) -> Option<Box<Socket>> {
        let socket = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        self.by_handle.remove(&socket.handle);
        if self.by_cookie.get(&socket.cookie) == Some(&slot) {
            self.by_cookie.remove(&socket.cookie);
        }
        let ids = &mut self.by_id[transport(socket.id.kind)];
        if ids.get(socket.id.index as usize) == Some(&(slot + 1)) {
            ids[socket.id.index as usize] = 0;
        }
        self.live -= 1;
        Some(socket)
    }

    /// Lets a socket whose pair is closed lie for a while; gives back the slot of one that must go
    /// for it, whose engine side the caller closes.
    pub fn bury(&mut self, slot: u32) -> Option<u32> {
        let handle = self.get(slot)?.handle;
        self.tombstones.push_back(handle);
        if self.tombstones.len() <= self.tombstones_max {
            return None;
        }
        let oldest = self.tombstones.pop_front()?;
        self.by_handle(oldest)
    }

    /// A buried socket got a new pair.
    pub fn unbury(&mut self, handle: u64) {
        self.tombstones.retain(|&h| h != handle);
    }

    /// Slots of buried sockets that this process opened.
    pub fn buried_by(&self, pid: u32) -> Vec<u32> {
        let opened = |slot: &u32| self.get(*slot).is_some_and(|s| s.owner.pid == pid);
        self.tombstones.iter().filter_map(|h| self.by_handle(*h)).filter(opened).collect()
    }

    pub fn get(&self, slot: u32) -> Option<&Socket> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Socket> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub fn by_handle(&self, handle: u64) -> Option<u32> {
        self.by_handle.get(&handle).copied()
    }

    pub fn by_cookie(&self, cookie: u64) -> Option<u32> {
        self.by_cookie.get(&cookie).copied()
    }

    /// The socket with this name in the engine.
    pub fn by_id(&self, id: SocketId) -> Option<u32> {
        let slot = self.by_id[transport(id.kind)].get(id.index as usize)?.checked_sub(1)?;
        (self.get(slot)?.id == id).then_some(slot)
    }

    /// What epoll is to say when something happens to the pair of this slot.
    pub fn token(&self, slot: u32) -> u64 {
        let generation = self.get(slot).map_or(0, |s| s.generation);
        u64::from(generation) << 32 | u64::from(slot)
    }

    /// The slot that a token means, unless the socket has gone since.
    pub fn by_token(&self, token: u64) -> Option<u32> {
        let slot = token as u32;
        (self.get(slot)?.generation == (token >> 32) as u32).then_some(slot)
    }

    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.slots.len() as u32).filter(|s| self.get(*s).is_some())
    }

    /// Gives back memory that a crowd has left behind. Slots keep their numbers.
    pub fn shrink(&mut self) {
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        let len = self.slots.len() as u32;
        self.free.retain(|slot| *slot < len);
        self.slots.shrink_to_fit();
        self.free.shrink_to_fit();
        self.by_handle.shrink_to_fit();
        self.by_cookie.shrink_to_fit();
        for ids in &mut self.by_id {
            let used = ids.iter().rposition(|slot| *slot != 0).map_or(0, |last| last + 1);
            ids.truncate(used);
            ids.shrink_to_fit();
        }
    }

    /// Sockets, buried ones included.
    pub fn len(&self) -> usize {
        self.live
    }

    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Sockets with a pair.
    pub fn held(&self) -> usize {
        self.live.saturating_sub(self.tombstones.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(index: u32) -> NewSocket {
        NewSocket {
            id: SocketId { kind: SocketKind::Tcp, index, generation: 1 },
            domain: Domain::V4,
            kind: 1,
            protocol: 6,
            owner: Credentials { pid: 7, uid: 0, gid: 0 },
            flow: Flow::Stream(Stream::new(Phase::Fresh)),
        }
    }

    #[test]
    fn a_stale_token_or_name_finds_nothing() {
        let mut t = Table::default();
        let slot = t.insert(new(3));
        let (token, handle, id) = (t.token(slot), t.get(slot).expect("there").handle, t.get(slot).expect("there").id);
        assert_eq!((t.by_token(token), t.by_handle(handle), t.by_id(id)), (Some(slot), Some(slot), Some(slot)));
        t.remove(slot);
        let again = t.insert(new(4));
        assert_eq!(again, slot, "the slot is reused");
        assert_eq!((t.by_token(token), t.by_handle(handle), t.by_id(id)), (None, None, None));
    }

    #[test]
    fn a_table_that_shrank_still_finds_what_is_left_and_takes_more() {
        let mut t = Table::default();
        let slots: Vec<u32> = (0..100).map(|i| t.insert(new(i))).collect();
        let kept = slots[40];
        let id = t.get(kept).expect("there").id;
        slots.iter().filter(|s| **s != kept).for_each(|s| drop(t.remove(*s)));
        t.shrink();
        assert_eq!(t.by_id(id), Some(kept));
        let more: Vec<u32> = (200..300).map(|i| t.insert(new(i))).collect();
        assert!(!more.contains(&kept));
        assert_eq!(t.len(), 101);
    }

    #[test]
    fn tombstones_are_bounded_and_the_oldest_gives_way() {
        let mut t = Table::new(1 << 20);
        let first = t.insert(new(0));
        assert_eq!(t.bury(first), None);
        for i in 1..TOMBSTONES_MAX as u32 {
            let slot = t.insert(new(i));
            assert_eq!(t.bury(slot), None);
        }
        let last = t.insert(new(TOMBSTONES_MAX as u32));
        assert_eq!(t.bury(last), Some(first));
        assert_eq!(t.buried_by(7).len(), TOMBSTONES_MAX);
    }
}
