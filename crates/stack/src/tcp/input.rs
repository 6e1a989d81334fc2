//! A segment finds its endpoint: a connection by its four-tuple, a listener by address and port, or
//! nobody (RFC 9293 §3.10.7).

use core::net::SocketAddr;

use errno::Errno;
use shm::Pool;
use wire::tcp::{SeqNr, TcpFlags};

use super::connection::Disposition;
use super::endpoint::{FlowKey, Handshake, State, SynReceived};
use super::handshake::{SynReceivedOutcome, SynSentOutcome};
use super::segment::{Segment, link_scope};
use super::{Tcp, scoped};
use crate::frame::LinkId;
use crate::net::{Inbound, Net};
use crate::options::Domain;
use crate::socket::Events;
use crate::stack::{IcmpError, Sink};
use crate::time::{Duration, Instant};

impl Tcp {
    pub fn input(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, packet: &Inbound<'_>, sink: &mut dyn Sink) {
        self.counters.received += 1;
        let Some(segment) = Segment::parse(packet, &mut self.counters) else { return };
        if packet.group {
            return; // RFC 9293 §3.10.7.2: never to a group
        }
        let key = FlowKey {
            local: scoped(packet.dst, segment.header.dst_port, packet.link),
            peer: scoped(packet.src, segment.header.src_port, packet.link),
        };
        if let Some(&index) = self.flows.get(&key)
            && self.on_flow(net, pool, now, index, packet, &segment, &key, sink)
        {
            return;
        }
        match self.listener_for(&key, packet.link) {
            Some(listener) => self.on_listen(net, pool, now, listener, packet, &segment, &key),
            None => {
                self.counters.no_connection += 1;
                self.reset_in_reply(net, pool, now, packet, &segment);
            }
        }
    }

    fn reset_in_reply(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, packet: &Inbound<'_>, s: &Segment<'_>) {
        let mut env = super::Env {
            now,
            net,
            pool,
            counters: &mut self.counters,
            settings: &self.settings,
            challenges: &mut self.challenges,
        };
        env.reset_in_reply(packet, s);
    }

    /// The listener that a new connection from `link` belongs to: the one with the closest address, of
    /// those the one that is confined to the link (SO_BINDTODEVICE). Listeners that share all of it by
    /// SO_REUSEPORT have the connections distributed among them by their flow (socket(7)).
    fn listener_for(&self, key: &FlowKey, link: LinkId) -> Option<u32> {
        let listeners = self.listeners.get(&key.local.port())?;
        let local = key.local.ip();
        let rank = |index: u32| {
            let e = self.table.at(index);
            let ip = e.local.ip();
            let closeness = if ip == local {
                3
            } else if !ip.is_unspecified() {
                return None;
            } else if ip.is_ipv4() == local.is_ipv4() {
                2
            } else if e.domain == Domain::V6 && !e.options.v6only && local.is_ipv4() {
                1
            } else {
                return None;
            };
            let confined = e.link();
            confined.is_none_or(|l| l == link).then_some((closeness, confined.is_some()))
        };
        let best = listeners.iter().filter_map(|&l| rank(l)).max()?;
        let equals = || listeners.iter().copied().filter(|&l| rank(l) == Some(best));
        let last = equals().next_back()?;
        if !self.table.at(last).options.reuse_port {
            return Some(last);
        }
        let count = equals().count() as u128;
        let place = (u128::from(self.listeners.hasher().hash(key)) * count) >> 64;
        equals().nth(place as usize)
    }

    /// A segment of a known flow. False: the flow is no more, look for a listener.
    #[allow(clippy::too_many_arguments)]
    fn on_flow(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        packet: &Inbound<'_>,
        segment: &Segment<'_>,
        key: &FlowKey,
        sink: &mut dyn Sink,
    ) -> bool {
        match &self.table.at(index).state {
            State::Open(_) => {
                let disposition = self.with(net, pool, now, index, |env, e| {
                    let (held, id) = (e.held, Self::id(index, e.generation));
                    match e.flow() {
                        Some((mut flow, State::Open(c))) => {
                            flow.program = held.then_some((sink, id));
                            c.on_segment(env, &mut flow, segment)
                        }
                        _ => Disposition::Keep,
                    }
                });
                self.conclude(net, pool, now, index, disposition);
                true
            }
            State::SynSent(_) => {
                self.on_syn_sent(net, pool, now, index, packet, segment, key);
                true
            }
            State::SynReceived(_) => {
                self.on_syn_received(net, pool, now, index, packet, segment, key);
                true
            }
            State::TimeWait(_) => {
                let listens = self.listener_for(key, packet.link).is_some();
                self.on_time_wait(net, pool, now, index, segment, listens)
            }
            State::Closed | State::Listen(_) => false,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn on_syn_sent(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        packet: &Inbound<'_>,
        segment: &Segment<'_>,
        key: &FlowKey,
    ) {
        let outcome = self.with(net, pool, now, index, |env, e| match (&mut e.state, &e.path) {
            (State::SynSent(s), Some(path)) => s.on_segment(env, key, path, &e.options, segment),
            _ => SynSentOutcome::Keep,
        });
        match outcome {
            SynSentOutcome::Keep => {}
            SynSentOutcome::Reset => self.reset_in_reply(net, pool, now, packet, segment),
            SynSentOutcome::Refused => {
                self.counters.failed += 1;
                self.end(pool, index, Some(Errno::ECONNREFUSED));
            }
            SynSentOutcome::Established(connection) => {
                let e = self.table.at_mut(index);
                e.state = State::Open(connection);
                e.soft_error = None;
                e.events |= Events::CONNECTED | Events::WRITABLE;
                self.mark_dirty(index);
                self.settle(index);
                self.take_rest(net, pool, now, index, segment);
            }
            SynSentOutcome::Crossed(received) => {
                self.with(net, pool, now, index, |env, e| {
                    let mut received = received;
                    received.handshake.sent = 0;
                    if let Some(path) = e.path.as_deref_mut() {
                        received.send(env, key, path, &e.options);
                    }
                    e.state = State::SynReceived(received);
                });
                self.settle(index);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn on_syn_received(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        packet: &Inbound<'_>,
        segment: &Segment<'_>,
        key: &FlowKey,
    ) {
        let State::SynReceived(s) = &self.table.at(index).state else { return };
        let parent = s.parent;
        if let Some((listener, generation)) = parent {
            let alive = self.table.is(listener, generation);
            let full = alive && matches!(&self.table.at(listener).state, State::Listen(l) if l.is_full());
            if full && segment.has(TcpFlags::ACK) && !segment.has(TcpFlags::RST) && !segment.has(TcpFlags::SYN) {
                // As Linux: the last acknowledgement is as if lost, the SYN-ACK will come again.
                self.counters.listen_overflows += 1;
                return;
            }
        }
        if self.is_deferred(now, index, segment) {
            return;
        }
        let outcome = self.with(net, pool, now, index, |env, e| match (&mut e.state, &e.path) {
            (State::SynReceived(s), Some(path)) => s.on_segment(env, key, path, &e.options, segment),
            _ => SynReceivedOutcome::Keep,
        });
        match outcome {
            SynReceivedOutcome::Keep => {}
            SynReceivedOutcome::Reset => self.reset_in_reply(net, pool, now, packet, segment),
            SynReceivedOutcome::Acknowledge => {
                if !self.challenges.allow(now, self.settings.challenge_acks) {
                    self.counters.challenge_acks_limited += 1;
                    return;
                }
                self.counters.challenge_acks += 1;
                self.with(net, pool, now, index, |env, e| {
                    if let (State::SynReceived(s), Some(path)) = (&e.state, e.path.as_deref_mut()) {
                        s.acknowledge(env, key, path, &e.options);
                    }
                });
            }
            SynReceivedOutcome::Gone => {
                self.counters.failed += 1;
                self.end(pool, index, Some(Errno::ECONNREFUSED));
            }
            SynReceivedOutcome::Repeat => {
                self.with(net, pool, now, index, |env, e| {
                    if let (State::SynReceived(s), Some(path)) = (&mut e.state, e.path.as_deref_mut()) {
                        // An answer, not a time-out: the back-off stays where it is.
                        let (sent, rto) = (s.handshake.sent, s.handshake.rto);
                        s.send(env, key, path, &e.options);
                        s.handshake.sent = sent.max(2);
                        s.handshake.rto = rto;
                    }
                });
                self.settle(index);
            }
            SynReceivedOutcome::Established(connection) => {
                self.forget_half_open(index);
                let e = self.table.at_mut(index);
                e.state = State::Open(connection);
                match parent {
                    None => {
                        if let State::Open(c) = &mut e.state {
                            c.held = e.held;
                        }
                        e.events |= Events::CONNECTED | Events::WRITABLE;
                        self.mark_dirty(index);
                        self.settle(index);
                    }
                    Some((listener, generation)) if self.table.is(listener, generation) => {
                        self.counters.accepts += 1;
                        let connection = self.table.at(index).generation;
                        let l = self.table.at_mut(listener);
                        if let State::Listen(queue) = &mut l.state {
                            queue.queue.push_back((index, connection));
                        }
                        l.events |= Events::ACCEPTABLE;
                        self.settle(listener);
                        self.mark_dirty(index);
                        self.settle(index);
                    }
                    Some(_) => {
                        self.abort(net, pool, now, index);
                        return;
                    }
                }
                self.take_rest(net, pool, now, index, segment);
            }
        }
    }

    /// TCP_DEFER_ACCEPT (tcp(7)): a bare acknowledgement does not complete the handshake; data does, or
    /// the answer to a SYN-ACK that was repeated when the time was over.
    fn is_deferred(&self, now: Instant, index: u32, segment: &Segment<'_>) -> bool {
        let e = self.table.at(index);
        let State::SynReceived(s) = &e.state else { return false };
        let bare = segment.header.flags == TcpFlags::ACK && segment.payload.is_empty();
        let limit = Duration::from_secs(e.options.defer_accept.into());
        s.parent.is_some() && bare && now.since(s.handshake.first_sent) < limit
    }

    fn forget_half_open(&mut self, index: u32) {
        if let State::SynReceived(s) = &self.table.at(index).state
            && let Some((parent, generation)) = s.parent
            && self.table.is(parent, generation)
            && let State::Listen(l) = &mut self.table.at_mut(parent).state
        {
            l.half_open = l.half_open.saturating_sub(1);
        }
    }

    /// Payload and FIN that came with the segment which completed the handshake.
    fn take_rest(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32, segment: &Segment<'_>) {
        if segment.payload.is_empty() && !segment.has(TcpFlags::FIN) {
            return;
        }
        let mut header = segment.header;
        if header.flags.contains(TcpFlags::SYN) {
            // The SYN is dealt with; what follows it begins one further on.
            header.seq = header.seq + 1;
            header.flags = header.flags.without(TcpFlags::SYN);
        }
        let rest = Segment { header, options: segment.options.clone(), payload: segment.payload };
        let disposition = self.with(net, pool, now, index, |env, e| match e.flow() {
            Some((mut flow, State::Open(c))) => c.on_segment(env, &mut flow, &rest),
            _ => Disposition::Keep,
        });
        self.conclude(net, pool, now, index, disposition);
    }

    /// RFC 9293 §3.10.7.2.
    #[allow(clippy::too_many_arguments)]
    fn on_listen(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        listener: u32,
        packet: &Inbound<'_>,
        segment: &Segment<'_>,
        key: &FlowKey,
    ) {
        if segment.has(TcpFlags::RST) {
            return;
        }
        if segment.has(TcpFlags::ACK) {
            self.reset_in_reply(net, pool, now, packet, segment);
            return;
        }
        if !segment.has(TcpFlags::SYN) {
            return;
        }
        let syn_backlog = self.settings.syn_backlog;
        let parent = self.table.at_mut(listener);
        let State::Listen(state) = &mut parent.state else { return };
        if state.is_full() {
            self.counters.listen_overflows += 1;
            return;
        }
        if state.half_open >= syn_backlog {
            self.counters.syns_dropped += 1;
            return;
        }
        let (domain, options, generation) = (parent.domain, parent.options.clone(), parent.generation);
        let Ok(path) = net.path(packet.src, Some(packet.dst), options.bound.or(link_scope(packet))) else { return };
        if options.dont_route && path.next_hop != path.dst {
            return;
        }
        let Ok(index) = self.fresh(pool, domain, options) else {
            self.counters.syns_dropped += 1;
            return;
        };
        if let State::Listen(state) = &mut self.table.at_mut(listener).state {
            state.half_open += 1;
        }
        let iss = self.initial_number(now, key);
        let offset = self.secrets.timestamp_offset(key.local, key.peer);
        let e = self.table.at_mut(index);
        e.held = false;
        e.local = key.local;
        e.bound_addr = true;
        e.peer = Some(key.peer);
        self.ports.claim(key.local.port(), index);
        self.flows.insert(*key, index);
        self.with(net, pool, now, index, |env, e| {
            let handshake = Handshake::new(now, iss, offset, &path, &e.options);
            let mut received =
                SynReceived::from_syn(env, handshake, key, &e.options, segment, Some((listener, generation)), false);
            let mut path = Box::new(path);
            received.send(env, key, &mut path, &e.options);
            e.path = Some(path);
            e.state = State::SynReceived(received);
        });
        self.settle(index);
    }

    /// An ICMP error about one of our segments (RFC 1122 §4.2.3.9, RFC 5927 §4: only when its
    /// sequence number is in flight).
    pub fn icmp_error(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, error: &IcmpError) {
        if error.header_len < 8 {
            return;
        }
        let h = error.header;
        let (src, dst) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
        let seq = SeqNr(u32::from_be_bytes([h[4], h[5], h[6], h[7]]));
        let wanted = |k: &FlowKey| {
            k.local.ip() == error.src && k.local.port() == src && k.peer.ip() == error.dst && k.peer.port() == dst
        };
        let direct = FlowKey { local: SocketAddr::new(error.src, src), peer: SocketAddr::new(error.dst, dst) };
        let index = match self.flows.get(&direct) {
            Some(&index) => index,
            // Link-local addresses are in the table with their link.
            None => match self.flows.iter().find(|(k, _)| super::endpoint::scope_of(k.local) != 0 && wanted(k)) {
                Some((_, &index)) => index,
                None => return,
            },
        };
        let e = self.table.at_mut(index);
        match &mut e.state {
            State::SynSent(s) => {
                if seq != s.handshake.iss || error.mtu.is_some() {
                    return;
                }
                // RFC 1122 §4.2.3.9 would have unreachable networks and hosts retried; as Linux, an
                // attempt to connect is told at once.
                self.counters.failed += 1;
                self.end(pool, index, Some(error.errno));
            }
            State::Open(c) => {
                if seq.lt(c.snd_una) || seq.ge(c.snd_max) {
                    return;
                }
                if let Some(mtu) = error.mtu {
                    if !e.options.accepts_mtu(error.dst) {
                        return;
                    }
                    net.learn_mtu(now, error.dst, mtu);
                    self.with(net, pool, now, index, |env, e| {
                        if let Some((mut flow, State::Open(c))) = e.flow() {
                            let before = c.mss;
                            c.adopt_mtu(env, &mut flow);
                            if c.mss < before {
                                // What was too large is lost: send it anew in smaller pieces at once.
                                c.snd_nxt = c.snd_una;
                                c.probe = None;
                            }
                        }
                    });
                    self.mark_dirty(index);
                    self.settle(index);
                } else {
                    e.soft_error = Some(error.errno);
                }
            }
            State::SynReceived(_) | State::TimeWait(_) | State::Closed | State::Listen(_) => {}
        }
    }
}
