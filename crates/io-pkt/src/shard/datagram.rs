//! Datagram, raw and ping sockets: messages of programs into the engine, datagrams of the engine
//! into the pairs, and errors that came back for them.

use std::io::{self, IoSlice};

use errno::Errno;
use sockets::WireAddr;
use sockets::datagram::{Header, flag};
use stack::{Domain, Instant, LinkId, RecvMeta, SendMeta, Sink, SocketId, SocketKind};

use super::table::{Flow, Phase, Socket, Table, ready};
use super::{Counters, Shard};
use crate::protocols;
use crate::sys::{self, Arrived, BURST};

/// Bursts taken from one pair in one turn.
const TURN_BURSTS: usize = 4;
/// Most errors kept between two looks; a socket whose error was not kept tells it by SO_ERROR.
const ERRORS_MAX: usize = 1024;

/// Where the engine delivers datagrams: straight into the pairs.
pub(crate) struct Delivery<'a> {
    pub table: &'a Table,
    pub counters: &'a mut Counters,
    /// Sockets with an error pending, to be told when the engine is free again.
    pub errors: &'a mut Vec<SocketId>,
    /// Packets for protocol modules.
    pub packets: &'a mut Vec<protocols::Packet>,
}

impl Sink for Delivery<'_> {
    fn datagram(&mut self, id: SocketId, meta: &RecvMeta, payload: &[u8]) -> bool {
        let Some(socket) = self.table.by_id(id).and_then(|slot| self.table.get(slot)) else {
            // A raw socket that no program has is a protocol module's.
            let kept = id.kind == SocketKind::Raw && self.packets.len() < protocols::PACKETS_MAX;
            if kept {
                self.packets.push(protocols::Packet::new(id, meta, payload));
            }
            return kept;
        };
        let (Flow::Datagram(datagram), Some(pair)) = (&socket.flow, socket.pair()) else { return false };
        let mut flags = flag::ADDR | datagram.wants;
        if meta.group {
            flags |= flag::GROUP;
        }
        let shown = |a: WireAddr| if socket.domain == Domain::V6 { a.mapped() } else { a };
        let header = Header {
            key: 0,
            flags,
            ttl: meta.ttl,
            tos: meta.tos,
            errno: 0,
            ifindex: meta.link.0,
            timestamp_ns: if datagram.wants & flag::TIMESTAMP != 0 { realtime_ns() } else { 0 },
            addr: shown(WireAddr::from(meta.src)),
            local: shown(WireAddr::from(core::net::SocketAddr::new(meta.dst, 0))),
        };
        let sent = sys::send_gathered(pair, &[IoSlice::new(&header.to_bytes()), IoSlice::new(payload)]);
        if sent.is_err() {
            self.counters.datagrams_without_room += 1;
        }
        sent.is_ok()
    }

    fn stream(&mut self, id: SocketId, payload: &[u8]) -> usize {
        let Some(socket) = self.table.by_id(id).and_then(|slot| self.table.get(slot)) else { return 0 };
        let (Flow::Stream(stream), Some(pair)) = (&socket.flow, socket.pair()) else { return 0 };
        let open = socket.is(ready::WRITABLE) && !socket.is(ready::HANGUP);
        if stream.phase != Phase::Connected || stream.rx_discard || stream.rx_ended || !open || stream.ring.is_some() {
            return 0;
        }
        // What does not fit goes the usual way, which then learns that the pair is full.
        sys::send_gathered(pair, &[IoSlice::new(payload)]).unwrap_or(0)
    }

    fn datagram_error(&mut self, id: SocketId) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(id);
        }
    }
}

impl Shard {
    /// Sends what the program wrote.
    pub(super) fn service_datagrams(&mut self, slot: u32, now: Instant) {
        let mut bursts = 0;
        loop {
            let Shard { table, burst, .. } = self;
            let Some(socket) = table.get_mut(slot) else { return };
            if !socket.is(ready::READABLE) {
                break;
            }
            if bursts == TURN_BURSTS {
                self.queue(slot);
                return;
            }
            bursts += 1;
            let Some(pair) = socket.pair() else { return };
            let n = match burst.receive(pair, BURST) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0, // EAGAIN; or ECONNRESET, with which HANGUP comes
            };
            if n < BURST {
                socket.set(ready::READABLE, false);
            }
            for i in 0..n {
                match self.burst.message(i) {
                    None => {
                        // End of file: nothing more will come.
                        if let Some(socket) = self.table.get_mut(slot) {
                            socket.set(ready::READABLE, false);
                        }
                        break;
                    }
                    Some(Arrived::TooLong) => self.report(slot, Errno::EMSGSIZE),
                    Some(Arrived::Message(bytes)) => {
                        let Some(socket) = self.table.get(slot) else { return };
                        let (meta, payload) = meta_of(socket, bytes);
                        if let Err(error) = self.stack.send(now, socket.id, &meta, payload) {
                            self.counters.datagrams_refused += 1;
                            self.report(slot, error);
                        }
                    }
                }
            }
        }
        if self.table.get(slot).is_some_and(|s| s.is(ready::HANGUP)) {
            self.discard(slot, now);
        }
    }

    /// Tells a program of its socket's pending error: as a message on the pair, and by SO_ERROR for as
    /// long as that message may be unread.
    fn report(&mut self, slot: u32, error: Errno) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        socket.error = Some(error);
        let header = Header { flags: flag::ERROR, errno: error.0, ..Header::default() };
        if let Some(pair) = socket.pair() {
            let _ = sys::send_gathered(pair, &[IoSlice::new(&header.to_bytes())]);
        }
    }

    /// Passes on the errors that the engine named while it delivered.
    pub(super) fn report_errors(&mut self) {
        while let Some(id) = self.errors.pop() {
            if let Some(error) = self.stack.take_error(id)
                && let Some(slot) = self.table.by_id(id)
            {
                self.report(slot, error);
            }
        }
    }

    /// The pending error of any socket (SO_ERROR), which it clears.
    pub(crate) fn take_error(&mut self, slot: u32) -> Option<Errno> {
        let socket = self.table.get_mut(slot)?;
        let kept = socket.error.take();
        let told = match (&socket.flow, socket.pair()) {
            // An empty queue: the program has read the message that told it.
            (Flow::Datagram(_), Some(pair)) => sys::send_queue(pair).is_ok_and(|n| n == 0),
            _ => false,
        };
        kept.filter(|_| !told).or_else(|| self.stack.take_error(socket.id))
    }
}

/// What a message on the pair asks for: the library's header says, or it is the bare payload of a
/// `write()` that passed the library by.
fn meta_of<'a>(socket: &Socket, bytes: &'a [u8]) -> (SendMeta, &'a [u8]) {
    let bare = SendMeta { dst: None, src: None, link: None, ttl: None, tos: None, dont_route: false };
    let Some((header, payload)) = Header::parse(bytes).ok().filter(|(h, _)| h.key == socket.key) else {
        return (bare, bytes);
    };
    let packet_info = header.has(flag::PKTINFO);
    let meta = SendMeta {
        dst: header.addr.socket_addr().filter(|_| header.has(flag::ADDR)),
        src: header.local.ip_addr().filter(|a| packet_info && !a.is_unspecified()),
        link: (packet_info && header.ifindex != 0).then_some(LinkId(header.ifindex)),
        ttl: header.has(flag::TTL).then_some(header.ttl),
        tos: header.has(flag::TOS).then_some(header.tos),
        dont_route: header.has(flag::DONTROUTE),
    };
    (meta, payload)
}

fn realtime_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
