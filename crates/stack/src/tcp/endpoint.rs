//! An endpoint: a socket, or a connection that no program holds (yet, or any more).

use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::collections::VecDeque;

use errno::Errno;
use wire::tcp::SeqNr;

use super::buffers::ReceiveQueue;
use super::connection::{Connection, Timestamps};
use super::options::Options;
use super::segment::Env;
use super::time_wait::TimeWait;
use crate::frame::LinkId;
use crate::net::Path;
use crate::options::Domain;
use crate::socket::{Events, SocketId};
use crate::stack::Sink;
use crate::time::{Duration, Instant};

/// Addresses and ports of a connection, in the family that is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// Family that is on the wire: `::ffff:a.b.c.d` is IPv4.
pub fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), addr.port()),
            // Flow labels take no part in a connection's name.
            None => SocketAddr::V6(SocketAddrV6::new(ip, addr.port(), 0, scope_of(addr))),
        },
        IpAddr::V4(_) => addr,
    }
}

/// Scope id, which counts for link-local addresses only.
pub fn scope_of(addr: SocketAddr) -> u32 {
    match addr {
        SocketAddr::V6(a) if a.ip().is_unicast_link_local() => a.scope_id(),
        _ => 0,
    }
}

/// An address as a socket of this family shows it.
pub fn shown(domain: Domain, addr: SocketAddr) -> SocketAddr {
    match (domain, addr.ip()) {
        (Domain::V6, IpAddr::V4(ip)) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), addr.port())
        }
        (Domain::V6, IpAddr::V4(ip)) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), addr.port()),
        _ => addr,
    }
}

#[derive(Debug)]
pub enum State {
    /// Fresh, bound, or over.
    Closed,
    Listen(Listener),
    SynSent(SynSent),
    SynReceived(SynReceived),
    Open(Box<Connection>),
    TimeWait(Box<TimeWait>),
}

impl State {
    /// As netstat prints it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Closed => "CLOSED",
            State::Listen(_) => "LISTEN",
            State::SynSent(_) => "SYN_SENT",
            State::SynReceived(_) => "SYN_RECEIVED",
            State::Open(c) => c.phase.name(),
            State::TimeWait(_) => "TIME_WAIT",
        }
    }
}

#[derive(Debug, Default)]
pub struct Listener {
    pub backlog: usize,
    /// Complete connections (index and generation), oldest first.
    pub queue: VecDeque<(u32, u32)>,
    /// Half-open connections that name this listener.
    pub half_open: usize,
    /// Accepted by the owner, not taken by the program.
    pub unclaimed: usize,
}

impl Listener {
    /// Linux lets one more than the backlog in (listen(2)).
    pub fn is_full(&self) -> bool {
        self.queue.len() + self.unclaimed > self.backlog
    }
}

/// What both sides of a handshake offer and keep until the connection stands.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    pub iss: SeqNr,
    /// Our SYN went out this often.
    pub sent: u32,
    pub first_sent: Instant,
    pub retransmit: Instant,
    pub rto: Duration,
    pub ts_offset: u32,
    /// MSS that we announce.
    pub mss: u16,
}

#[derive(Debug)]
pub struct SynSent {
    pub handshake: Handshake,
    /// Our side was closed for writing before the connection stood.
    pub shutdown: bool,
}

#[derive(Debug)]
pub struct SynReceived {
    pub handshake: Handshake,
    pub irs: SeqNr,
    pub peer_mss: u16,
    /// Window scale of the peer, when both use it.
    pub scale: Option<u8>,
    pub sack: bool,
    pub timestamps: Option<Timestamps>,
    pub snd_wnd: u32,
    /// The listener that it came to; `None` after a simultaneous open.
    pub parent: Option<(u32, u32)>,
    pub shutdown: bool,
}

#[derive(Debug)]
pub struct Endpoint {
    pub generation: u32,
    pub domain: Domain,
    /// A program holds its descriptor.
    pub held: bool,
    /// Bound address (on-wire family; unspecified = any) and port; port 0 = not bound.
    pub local: SocketAddr,
    /// The address was chosen by bind(2), not by connect.
    pub bound_addr: bool,
    /// So was the port: it stays when a connection is over.
    pub bound_port: bool,
    pub peer: Option<SocketAddr>,
    pub options: Options,
    pub path: Option<Box<Path>>,
    /// Received bytes that the program has not taken from a connection that is over.
    pub leftover: Option<Box<ReceiveQueue>>,
    pub error: Option<Errno>,
    /// An ICMP error that did not end the connection (RFC 1122 §4.2.3.9).
    pub soft_error: Option<Errno>,
    pub events: Events,
    /// It stands in the event queue already.
    pub queued: bool,
    /// It stands in the list of those with something to send.
    pub dirty: bool,
    /// The firing that the timer wheel holds for it.
    pub armed: Instant,
    pub state: State,
}

impl Endpoint {
    pub fn key(&self) -> Option<FlowKey> {
        Some(FlowKey { local: self.local, peer: self.peer? })
    }

    /// The next instant at which one of its clocks is due.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Closed | State::Listen(_) => Instant::FAR,
            State::SynSent(s) => s.handshake.retransmit,
            State::SynReceived(s) => s.handshake.retransmit,
            State::Open(c) => c.clocks.next(),
            State::TimeWait(t) => t.until,
        }
    }

    /// The parts that a connection works with beside its own block; `None` without a path.
    pub fn flow(&mut self) -> Option<(Flow<'_>, &mut State)> {
        let flow = Flow {
            options: &self.options,
            path: self.path.as_deref_mut()?,
            events: &mut self.events,
            soft_error: &mut self.soft_error,
            program: None,
        };
        Some((flow, &mut self.state))
    }

    /// The link that packets must use: of SO_BINDTODEVICE, or named by a scope id.
    pub fn link(&self) -> Option<LinkId> {
        let scope = self.peer.map_or(0, scope_of).max(scope_of(self.local));
        self.options.bound.or((scope != 0).then_some(LinkId(scope)))
    }
}

/// What a connection's code may touch of its endpoint.
pub struct Flow<'a> {
    pub options: &'a Options,
    pub path: &'a mut Path,
    pub events: &'a mut Events,
    pub soft_error: &'a mut Option<Errno>,
    /// Where in-order bytes may go straight to the program that holds the socket.
    pub program: Option<(&'a mut dyn Sink, SocketId)>,
}

impl Flow<'_> {
    pub fn events(&mut self, events: Events) {
        *self.events |= events;
    }

    /// Largest payload of a segment along the path (RFC 9293 §3.7.1, RFC 6691), with what timestamps
    /// take in every segment gone.
    pub fn mss(&self, peer_mss: u32, timestamps: bool) -> u32 {
        effective_mss(self.path, self.options, peer_mss, timestamps)
    }

    /// Asks for a challenge acknowledgement with the next flush (RFC 5961 §7 bounds their rate).
    pub fn challenge_ack(&mut self, env: &mut Env<'_>, connection: &mut Connection) {
        if env.challenges.allow(env.now, env.settings.challenge_acks) {
            env.counters.challenge_acks += 1;
            connection.ack_now = true;
        } else {
            env.counters.challenge_acks_limited += 1;
        }
    }

    pub fn reset(&mut self, env: &mut Env<'_>, connection: &mut Connection) {
        connection.send_reset(env, self);
    }
}

/// What a path's MTU leaves for TCP payload and options.
pub fn path_mss(path: &Path) -> u32 {
    let headers = if path.dst.is_ipv4() { 40 } else { 60 };
    path.mtu.saturating_sub(headers).max(64).min(65_495)
}

/// See [`Flow::mss`].
pub fn effective_mss(path: &Path, options: &Options, peer_mss: u32, timestamps: bool) -> u32 {
    let mut mss = path_mss(path).min(peer_mss);
    if let Some(max) = options.max_seg {
        mss = mss.min(max.into());
    }
    (mss - if timestamps { 12.min(mss - 32) } else { 0 }).max(32)
}
