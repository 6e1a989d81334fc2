//! The engine as its owner sees it: one value per shard.

use core::net::{IpAddr, SocketAddr};

use errno::Errno;
use shm::socket::{ReceiveBuffer, SendBuffer};
use shm::{Pool, Ring};

use crate::frame::{LinkId, RxFrame, TxBatch};
use crate::net::{Inbound, Net};
use crate::options::{Domain, RecvMeta, SendMeta, SockOpt};
use crate::random::Random;
use crate::raw::Raw;
use crate::socket::{Events, Shutdown, SocketId, SocketKind};
use crate::tcp::Tcp;
use crate::time::{Duration, Instant};
use crate::udp::Udp;

/// Sizes that differ between the daemon's variants, and what the engine is seeded with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of all randomness: from the system in the daemon, fixed in tests.
    pub seed: u64,
    /// IPv6 is there at all.
    pub ipv6: bool,
    /// Most sockets of each kind.
    pub sockets_max: usize,
    pub neighbours_max: usize,
    pub routes_max: usize,
    /// Most bytes held by IP reassembly.
    pub reassembly_max: usize,
    /// Largest listen backlog (`kern.somaxconn`).
    pub somaxconn: usize,
    /// Host name, for what needs one.
    pub hostname: String,
}

impl Config {
    /// The large tables of the `-hc` variants.
    pub fn high_capacity(seed: u64) -> Config {
        Config {
            seed,
            ipv6: true,
            sockets_max: 1 << 20,
            neighbours_max: 16_384,
            routes_max: 1 << 20,
            reassembly_max: 16 << 20,
            somaxconn: 4096,
            hostname: String::new(),
        }
    }

    /// The small tables of `io-pkt-v6`.
    pub fn standard(seed: u64) -> Config {
        Config {
            sockets_max: 1024,
            neighbours_max: 512,
            routes_max: 1024,
            reassembly_max: 1 << 20,
            somaxconn: 128,
            ..Config::high_capacity(seed)
        }
    }
}

/// How long memory that rings gave back waits for its next user.
const POOL_REST: Duration = Duration::from_secs(2);

/// Takes received datagrams the moment they are found, while their bytes still lie in the frame.
pub trait Sink {
    /// A datagram for a UDP, raw or ping socket. For raw IPv4 sockets `payload` begins with the IP
    /// header (raw(7)), for raw IPv6 ones and ping sockets with the message.
    ///
    /// Gives back false when the socket had no room: the engine counts the drop.
    fn datagram(&mut self, socket: SocketId, meta: &RecvMeta, payload: &[u8]) -> bool;

    /// In-order bytes of a stream whose receive ring is empty, still in their frame: gives back how many
    /// of them went to the program at once. The rest goes into the ring.
    fn stream(&mut self, _socket: SocketId, _payload: &[u8]) -> usize {
        0
    }

    /// The socket has an error pending (ICMP); `Stack::take_error` or this, whoever asks first.
    fn datagram_error(&mut self, socket: SocketId);
}

/// A whole TCP/IP stack.
///
/// Order of calls, all with the same non-decreasing `now`:
///
/// 1. [`handle_frames`](Stack::handle_frames) for each burst a link delivered, and any request
///    ([`connect`](Stack::connect), [`send`](Stack::send), …) of programs;
/// 2. [`handle_timeout`](Stack::handle_timeout) when [`next_deadline`](Stack::next_deadline) passed;
/// 3. [`flush`](Stack::flush): TCP cuts its segments, local packets are delivered;
/// 4. [`poll_event`](Stack::poll_event) until it gives `None`, acting on each;
/// 5. when 4 did anything, 3 again; then [`take_transmit`](Stack::take_transmit) and hand the frames
///    to the links; then sleep until `next_deadline`.
pub struct Stack {
    pub net: Net,
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) raw: Raw,
    pub(crate) pool: Pool,
    /// When the pool's unused memory is given back; far while it has none.
    trim_at: Instant,
    /// The latest `now` of a flush.
    seen: Instant,
    config: Config,
}

impl Stack {
    pub fn new(config: Config) -> Stack {
        let mut random = Random::new(config.seed);
        Stack {
            net: Net::new(&config, &mut random),
            tcp: Tcp::new(&config, &mut random),
            udp: Udp::new(&config, &mut random),
            raw: Raw::new(&config, &mut random),
            pool: Pool::new(),
            trim_at: Instant::FAR,
            seen: Instant::ZERO,
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    // --- frames and time -------------------------------------------------------------------------

    /// A burst of frames that arrived on a link.
    pub fn handle_frames(&mut self, now: Instant, link: LinkId, burst: &[RxFrame<'_>], sink: &mut dyn Sink) {
        for frame in burst {
            if let Some(packet) = self.net.input(now, link, frame) {
                self.deliver(now, &packet, sink);
            }
        }
    }

    /// Hands one IP packet that is for this host to its transport.
    fn deliver(&mut self, now: Instant, packet: &Inbound<'_>, sink: &mut dyn Sink) {
        // Raw sockets see a copy of everything that is theirs, then the protocol itself (raw(7)).
        let raw_took = self.raw.input(&mut self.net, now, packet, sink);
        match packet.proto {
            wire::proto::TCP => self.tcp.input(&mut self.net, &mut self.pool, now, packet, sink),
            wire::proto::UDP => self.udp.input(&mut self.net, now, packet, sink),
            wire::proto::ICMP | wire::proto::ICMPV6 => {
                if let Some(error) = self.net.icmp_input(now, packet) {
                    match error.proto {
                        wire::proto::TCP => self.tcp.icmp_error(&mut self.net, &mut self.pool, now, &error),
                        wire::proto::UDP => self.udp.icmp_error(&mut self.net, now, &error, sink),
                        _ => self.raw.icmp_error(&mut self.net, now, &error, sink),
                    }
                }
            }
            wire::proto::IGMP if packet.dst.is_ipv4() => self.net.igmp_input(now, packet),
            _ if raw_took => {}
            _ => self.net.protocol_unreachable(now, packet),
        }
    }

    /// Runs what is due: retransmissions, neighbour probes, reassembly time-outs, lifetimes.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut dyn Sink) {
        self.net.handle_timeout(now);
        self.tcp.handle_timeout(&mut self.net, &mut self.pool, now);
        if self.trim_at <= now {
            self.pool.clear();
            self.trim_at = Instant::FAR;
        }
        for error in self.net.take_local_errors() {
            match error.proto {
                wire::proto::TCP => self.tcp.icmp_error(&mut self.net, &mut self.pool, now, &error),
                wire::proto::UDP => self.udp.icmp_error(&mut self.net, now, &error, sink),
                _ => self.raw.icmp_error(&mut self.net, now, &error, sink),
            }
        }
    }

    /// Emits what the transports have to send and delivers packets to ourselves, until quiet.
    pub fn flush(&mut self, now: Instant, sink: &mut dyn Sink) {
        self.seen = now;
        loop {
            self.tcp.flush(&mut self.net, &mut self.pool, now);
            // Bounded: packets to ourselves are delivered a queue at a time.
            let looped = self.net.take_looped();
            if looped.is_empty() {
                return;
            }
            for bytes in &looped {
                let frame = bytes.as_frame();
                if let Some(packet) = self.net.input_looped(now, &frame) {
                    self.deliver(now, &packet, sink);
                }
            }
            self.net.recycle_looped(looped);
        }
    }

    /// When `handle_timeout` is to be called next; [`Instant::FAR`] for never.
    pub fn next_deadline(&self) -> Instant {
        self.net.next_deadline().min(self.tcp.next_deadline()).min(self.trim_at)
    }

    /// Swaps the frames to send with `batch`, which the caller has cleared.
    pub fn take_transmit(&mut self, batch: &mut TxBatch) {
        self.net.take_transmit(batch);
    }

    /// The next stream socket to which something happened.
    pub fn poll_event(&mut self) -> Option<(SocketId, Events)> {
        let event = self.tcp.poll_event();
        if event.is_none() && self.trim_at == Instant::FAR && self.pool.kept_bytes() > 0 {
            self.trim_at = self.seen + POOL_REST;
        }
        event
    }

    // --- sockets of every kind -------------------------------------------------------------------

    /// Errors: EAFNOSUPPORT (IPv6 switched off), EPROTONOSUPPORT, ENFILE (table full).
    pub fn socket(&mut self, domain: Domain, kind: SocketKind, protocol: u8) -> Result<SocketId, Errno> {
        if domain == Domain::V6 && !self.config.ipv6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        match kind {
            SocketKind::Tcp => self.tcp.socket(&mut self.pool, domain),
            SocketKind::Udp => self.udp.socket(&self.net, domain),
            SocketKind::Raw | SocketKind::Ping => self.raw.socket(&self.net, domain, kind, protocol),
        }
    }

    /// bind(2). `addr` has the family of the socket; an AF_INET6 socket's `::ffff:a.b.c.d` counts as
    /// IPv4. `privileged` may use ports below 1024 (net.inet.ip.portrange).
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr, privileged: bool) -> Result<(), Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.bind(&self.net, id, addr, privileged),
            SocketKind::Udp => self.udp.bind(&self.net, id, addr, privileged),
            _ => self.raw.bind(&self.net, id, addr),
        }
    }

    /// connect(2). For TCP `Err(EINPROGRESS)` when the handshake began. `None` disconnects a datagram
    /// socket (AF_UNSPEC).
    pub fn connect(&mut self, now: Instant, id: SocketId, addr: Option<SocketAddr>) -> Result<(), Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.connect(&mut self.net, &mut self.pool, now, id, addr),
            SocketKind::Udp => self.udp.connect(&mut self.net, id, addr),
            _ => self.raw.connect(&mut self.net, id, addr),
        }
    }

    /// As getsockname(2) shows it; port 0 and the unspecified address when not bound.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.local_addr(id),
            SocketKind::Udp => self.udp.local_addr(id),
            _ => self.raw.local_addr(id),
        }
    }

    /// As getpeername(2) shows it. Errors: ENOTCONN.
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.peer_addr(id),
            SocketKind::Udp => self.udp.peer_addr(id),
            _ => self.raw.peer_addr(id),
        }
    }

    /// Errors: ENOPROTOOPT for an option that this kind of socket does not have, EINVAL for a value
    /// out of range, and those of the manual page.
    pub fn set_option(&mut self, now: Instant, id: SocketId, option: SockOpt) -> Result<(), Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.set_option(&mut self.net, &mut self.pool, now, id, option),
            SocketKind::Udp => self.udp.set_option(&mut self.net, now, id, option),
            _ => self.raw.set_option(&mut self.net, now, id, option),
        }
    }

    /// The current value of the option that `which` is a value of.
    pub fn option(&self, id: SocketId, which: &SockOpt) -> Result<SockOpt, Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.option(&self.net, id, which),
            SocketKind::Udp => self.udp.option(&self.net, id, which),
            _ => self.raw.option(&self.net, id, which),
        }
    }

    /// The pending error (SO_ERROR), which it clears.
    pub fn take_error(&mut self, id: SocketId) -> Option<Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.take_error(id),
            SocketKind::Udp => self.udp.take_error(id),
            _ => self.raw.take_error(id),
        }
    }

    /// shutdown(2). Errors: ENOTCONN.
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        match id.kind {
            SocketKind::Tcp => self.tcp.shutdown(&mut self.net, &mut self.pool, now, id, how),
            SocketKind::Udp => self.udp.shutdown(id, how),
            _ => self.raw.shutdown(id, how),
        }
    }

    /// The last descriptor is gone. The name is dead from here on; a connection ends by itself as
    /// close(2) and SO_LINGER have it (reset when received bytes were never taken).
    pub fn close(&mut self, now: Instant, id: SocketId) {
        match id.kind {
            SocketKind::Tcp => self.tcp.close(&mut self.net, &mut self.pool, now, id),
            SocketKind::Udp => self.udp.close(&mut self.net, now, id),
            _ => self.raw.close(&mut self.net, now, id),
        }
    }

    // --- streams ---------------------------------------------------------------------------------

    /// listen(2). The backlog counts connections that are complete and not accepted.
    pub fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
        self.tcp.listen(&self.net, id, backlog)
    }

    /// The oldest complete connection of a listener.
    pub fn accept(&mut self, listener: SocketId) -> Option<SocketId> {
        self.tcp.accept(listener)
    }

    /// How many connections the owner holds accepted for a listener but its program has not taken:
    /// they count against the backlog.
    pub fn set_unclaimed(&mut self, listener: SocketId, count: usize) {
        self.tcp.set_unclaimed(listener, count);
    }

    /// The send ring with its pool, to be filled by the owner: `room` says how much may go in; then
    /// [`sent`](Stack::sent). `None` when nothing may be sent (any more).
    pub fn tx_ring(&mut self, id: SocketId) -> Option<(&mut Ring, &mut Pool)> {
        let ring = self.tcp.tx_ring(id)?;
        Some((ring, &mut self.pool))
    }

    /// Bytes were added to the send ring: have them sent at the next `flush`.
    pub fn sent(&mut self, id: SocketId) {
        self.tcp.sent(id);
    }

    /// The receive ring: in-order bytes that wait for the program.
    pub fn rx_ring(&self, id: SocketId) -> Option<&Ring> {
        self.tcp.rx_ring(id)
    }

    /// The program took `n` bytes of the receive ring: they are let go and the window may open.
    pub fn received(&mut self, now: Instant, id: SocketId, n: usize) {
        self.tcp.received(&mut self.net, &mut self.pool, now, id, n);
    }

    /// What a connection's buffers hold; `None` when there is none.
    pub fn held(&self, id: SocketId) -> Option<crate::tcp::Held> {
        if id.kind == SocketKind::Tcp { self.tcp.held(id) } else { None }
    }

    // --- ring mode: the order of these calls is `shm::socket::DaemonMode::asked`'s ------------------

    /// Copies what the connection holds into rings that begin anew behind `before` bytes; nothing is changed yet.
    /// Errors: ENOTCONN, EALREADY, EAGAIN (later perhaps), ENOBUFS (something does not fit).
    pub fn copy_into(
        &self,
        id: SocketId,
        before: usize,
        send: &mut SendBuffer,
        receive: &mut ReceiveBuffer,
    ) -> Result<(), Errno> {
        self.tcp.copy_into(id, before, send, receive)
    }

    /// From now on the connection's bytes lie in these rings.
    pub fn share(&mut self, id: SocketId, send: SendBuffer, receive: ReceiveBuffer) {
        self.tcp.share(&mut self.pool, id, send, receive);
    }

    /// Copies of what the shared rings hold.
    pub fn copies(&mut self, id: SocketId) -> Option<(Ring, Ring)> {
        self.tcp.copies(&mut self.pool, id)
    }

    /// From now on the connection's bytes lie in rings of the stack's own, which were [copied](Stack::copies).
    pub fn unshare(&mut self, id: SocketId, tx: Ring, rx: Ring) {
        self.tcp.unshare(id, tx, rx);
    }

    /// Has sent what the program has added to the shared send ring; gives back how many bytes.
    pub fn note_sent(&mut self, id: SocketId) -> usize {
        self.tcp.note_sent(id)
    }

    /// Takes note of what the program has read from the shared receive ring.
    pub fn note_read(&mut self, now: Instant, id: SocketId) -> crate::tcp::Progress {
        self.tcp.note_read(&mut self.net, &mut self.pool, now, id)
    }

    /// The shared send ring.
    pub fn shared_tx(&self, id: SocketId) -> Option<&SendBuffer> {
        self.tcp.shared_tx(id)
    }

    /// The shared receive ring.
    pub fn shared_rx(&mut self, id: SocketId) -> Option<&mut ReceiveBuffer> {
        self.tcp.shared_rx(id)
    }

    /// True once the peer's FIN is in and the receive ring is empty.
    pub fn at_end(&self, id: SocketId) -> bool {
        self.tcp.at_end(id)
    }

    /// What TCP_INFO tells (tcp(7)); `None` for a dead name or another kind of socket.
    pub fn tcp_info(&self, now: Instant, id: SocketId) -> Option<crate::tcp::Info> {
        if id.kind == SocketKind::Tcp { self.tcp.info(now, id) } else { None }
    }

    /// The peer of a TCP connection that was closed ([`close`](Stack::close)) and is still ending.
    pub fn departing_peer(&self, id: SocketId) -> Option<SocketAddr> {
        if id.kind == SocketKind::Tcp { self.tcp.departing_peer(id) } else { None }
    }

    // --- datagrams -------------------------------------------------------------------------------

    /// The error that [`send`](Stack::send) would give for its destination alone; nothing is sent.
    pub fn reach(&mut self, id: SocketId, meta: &SendMeta) -> Result<(), Errno> {
        match id.kind {
            SocketKind::Tcp => Err(Errno::EOPNOTSUPP),
            SocketKind::Udp => self.udp.reach(&self.net, id, meta),
            _ => self.raw.reach(&self.net, id, meta),
        }
    }

    /// sendto(2) on a UDP, raw or ping socket: all of `payload` as one datagram. `privileged` as in
    /// `bind`. Errors as the manual page has them (EMSGSIZE, EDESTADDRREQ, ENETUNREACH, EACCES, …).
    pub fn send(&mut self, now: Instant, id: SocketId, meta: &SendMeta, payload: &[u8]) -> Result<usize, Errno> {
        match id.kind {
            SocketKind::Tcp => Err(Errno::EOPNOTSUPP),
            SocketKind::Udp => self.udp.send(&mut self.net, now, id, meta, payload),
            _ => self.raw.send(&mut self.net, now, id, meta, payload),
        }
    }
}

impl Stack {
    /// For `netstat -an`: calls `each` for every socket and every connection without one.
    pub fn for_each_socket(&self, each: &mut dyn FnMut(SocketView)) {
        self.tcp.for_each(each);
        self.udp.for_each(each);
        self.raw.for_each(each);
    }

    /// For `netstat -s`: every counter as (protocol, sentence, value).
    pub fn counters(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.net.counters(each);
        self.tcp.counters(each);
        self.udp.counters(each);
        self.raw.counters(each);
    }
}

/// One line of `netstat -an`.
#[derive(Clone, Copy, Debug)]
pub struct SocketView {
    /// `None`: a connection that no program holds any more, or one not accepted yet.
    pub id: Option<SocketId>,
    pub domain: Domain,
    pub kind: SocketKind,
    pub protocol: u8,
    pub local: SocketAddr,
    pub peer: Option<SocketAddr>,
    /// TCP state as netstat prints it; empty for others.
    pub state: &'static str,
    pub recv_queue: usize,
    pub send_queue: usize,
}

/// An ICMP error, or one of our own (no neighbour), about a packet that a socket sent.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError {
    /// Transport of the packet in error.
    pub proto: u8,
    /// Its source and destination: ours and the peer's.
    pub src: IpAddr,
    pub dst: IpAddr,
    /// The first bytes of its transport header (up to 8; fewer when the message held fewer).
    pub header: [u8; 8],
    pub header_len: u8,
    /// What a program is told.
    pub errno: Errno,
    /// A hard error ends a connection attempt (RFC 1122 §4.2.3.9); a soft one is only remembered.
    pub hard: bool,
    /// The new path MTU in bytes (fragmentation needed, packet too big).
    pub mtu: Option<u32>,
}
