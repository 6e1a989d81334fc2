//! TCP (RFC 9293): endpoints, the flow table, listeners, and when each connection gets to run.
//!
//! A state is a type ([`endpoint::State`]), and what a segment does to it comes back as a value that
//! this module carries out: [`input`] finds the endpoint and applies segments, [`calls`] is the
//! socket interface, [`connection`] and its neighbours are the protocol proper.

mod acknowledge;
mod assembler;
mod buffers;
mod calls;
pub mod congestion;
mod connection;
mod counters;
mod endpoint;
mod handshake;
mod info;
mod input;
mod isn;
mod options;
mod ports;
mod receive;
mod recovery;
mod rtt;
mod scoreboard;
mod segment;
mod settings;
mod sharing;
mod table;
mod time_wait;
mod timers;
mod transmit;

use core::net::SocketAddr;
use std::collections::VecDeque;

use errno::Errno;
use hashbrown::HashMap;
use shm::Pool;
use wire::tcp::SeqNr;

pub use info::Info;
pub use settings::Settings;
pub use sharing::{Held, Progress};

use connection::Disposition;
use counters::Counters;
use endpoint::{Endpoint, FlowKey, State};
use isn::Secrets;
use options::Options;
use ports::Ports;
use segment::{ChallengeLimit, Env};
use table::Table;

use crate::net::Net;
use crate::options::Domain;
use crate::random::{HashKey, Random};
use crate::socket::{Events, SocketId, SocketKind};
use crate::stack::{Config, SocketView};
use crate::time::Instant;
use crate::timer::TimerWheel;

pub struct Tcp {
    table: Table,
    flows: HashMap<FlowKey, u32, HashKey>,
    listeners: HashMap<u16, Vec<u32>, HashKey>,
    ports: Ports,
    wheel: TimerWheel<(u32, u32)>,
    /// Endpoints that may have something to send.
    dirty: Vec<u32>,
    /// Endpoints with events to report.
    ready: VecDeque<u32>,
    /// TIME_WAIT endpoints, oldest first; stale names are skipped.
    waiting: VecDeque<(u32, u32)>,
    time_waits: usize,
    pub settings: Settings,
    counters: Counters,
    challenges: ChallengeLimit,
    secrets: Secrets,
    /// The flow of a TIME_WAIT connection that just gave way, and what it had sent.
    reused: Option<(FlowKey, SeqNr)>,
    somaxconn: usize,
    due: Vec<((u32, u32), Instant)>,
}

impl Tcp {
    pub fn new(config: &Config, random: &mut Random) -> Tcp {
        let secrets = Secrets::new(random);
        Tcp {
            table: Table::new(config.sockets_max),
            flows: HashMap::with_hasher(HashKey::new(random)),
            listeners: HashMap::with_hasher(HashKey::new(random)),
            ports: Ports::new(secrets.port),
            wheel: TimerWheel::new(),
            dirty: Vec::new(),
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            time_waits: 0,
            settings: Settings::default(),
            counters: Counters::default(),
            challenges: ChallengeLimit::default(),
            secrets,
            reused: None,
            somaxconn: config.somaxconn,
            due: Vec::new(),
        }
    }

    /// Runs `f` on one endpoint with the environment it needs.
    fn with<R>(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        f: impl FnOnce(&mut Env<'_>, &mut Endpoint) -> R,
    ) -> R {
        let mut env = Env {
            now,
            net,
            pool,
            counters: &mut self.counters,
            settings: &self.settings,
            challenges: &mut self.challenges,
        };
        f(&mut env, self.table.at_mut(index))
    }

    /// After something happened to an endpoint: queue its events, have it run, arm its clock.
    fn settle(&mut self, index: u32) {
        let endpoint = self.table.at_mut(index);
        if !endpoint.events.is_empty() && !endpoint.queued && endpoint.held {
            endpoint.queued = true;
            self.ready.push_back(index);
        }
        let deadline = endpoint.deadline();
        // The wheel holds one firing; only an earlier one needs another.
        if deadline < endpoint.armed {
            endpoint.armed = deadline;
            self.wheel.arm((index, endpoint.generation), deadline);
        }
    }

    /// Puts an endpoint on the list of those that `flush` runs.
    fn mark_dirty(&mut self, index: u32) {
        let endpoint = self.table.at_mut(index);
        if !endpoint.dirty {
            endpoint.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Carries out what became of a connection.
    fn conclude(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32, disposition: Disposition) {
        match disposition {
            Disposition::Keep => {
                self.mark_dirty(index);
                self.settle(index);
            }
            Disposition::TimeWait => self.enter_time_wait(net, pool, now, index),
            Disposition::Closed => {
                self.counters.closed += 1;
                self.end(pool, index, None);
            }
            Disposition::Failed(errno) => {
                self.counters.dropped += 1;
                self.end(pool, index, Some(errno));
            }
        }
    }

    /// The connection is over. Who holds the socket is told; without a holder it is gone.
    fn end(&mut self, pool: &mut Pool, index: u32, error: Option<Errno>) {
        self.forget_flow(index);
        let endpoint = self.table.at_mut(index);
        endpoint.path = None;
        let state = std::mem::replace(&mut endpoint.state, State::Closed);
        if let State::Open(mut c) = state {
            c.rx.refresh();
            // In-order bytes that the program has not taken stay readable until it closes.
            if endpoint.held && !c.rx.is_empty() {
                c.tx.release(pool);
                c.board.clear();
                c.ahead.clear();
                c.clocks = connection::Clocks::STOPPED;
                endpoint.leftover = Some(Box::new(std::mem::take(&mut c.rx)));
            } else {
                c.tx.release(pool);
                c.rx.release(pool);
            }
        }
        let endpoint = self.table.at_mut(index);
        if endpoint.held {
            endpoint.error = error.or(endpoint.error);
            endpoint.events |= if error.is_some() { Events::FAILED } else { Events::CLOSED };
            self.settle(index);
        } else {
            self.free(index);
        }
    }

    /// A fresh endpoint. Connections that are over and done with give way when the table is full.
    fn fresh(&mut self, pool: &mut Pool, domain: Domain, options: Options) -> Result<u32, Errno> {
        if self.table.is_full() {
            // One that a program still holds keeps its place: nothing would be won.
            let over = |e: &Endpoint| matches!(e.state, State::TimeWait(_)) && !e.held;
            let unheld = |&(i, generation): &(u32, u32)| self.table.is(i, generation) && over(self.table.at(i));
            if let Some((index, _)) = self.waiting.iter().position(unheld).and_then(|p| self.waiting.remove(p)) {
                self.counters.time_wait_evicted += 1;
                self.end(pool, index, None);
            }
        }
        self.table.insert(domain, options)
    }

    /// Takes the connection out of the flow table.
    fn forget_flow(&mut self, index: u32) {
        let endpoint = self.table.at(index);
        if matches!(endpoint.state, State::TimeWait(_)) {
            self.time_waits -= 1;
        }
        if let Some(key) = endpoint.key()
            && self.flows.get(&key) == Some(&index)
        {
            self.flows.remove(&key);
        }
        if let State::SynReceived(s) = &endpoint.state
            && let Some((parent, generation)) = s.parent
            && self.table.is(parent, generation)
            && let State::Listen(listener) = &mut self.table.at_mut(parent).state
        {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
    }

    /// Removes an endpoint for good.
    fn free(&mut self, index: u32) {
        let port = self.table.at(index).local.port();
        if port != 0 {
            self.ports.release(port, index);
        }
        self.table.remove(index);
    }

    /// Sends what every endpoint on the list has to send.
    pub fn flush(&mut self, net: &mut Net, pool: &mut Pool, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for &index in &dirty {
            if !self.table.exists(index) || !self.table.at(index).dirty {
                continue;
            }
            self.with(net, pool, now, index, |env, endpoint| {
                endpoint.dirty = false;
                if let Some((mut flow, State::Open(c))) = endpoint.flow() {
                    let shrunk = env.net.refresh(flow.path).is_ok()
                        && flow.mss(c.peer_mss.into(), c.timestamps.is_some()) < c.mss;
                    if shrunk {
                        c.adopt_mtu(env, &mut flow);
                    }
                    c.transmit(env, &mut flow);
                }
            });
            self.settle(index);
        }
        dirty.clear();
        if self.dirty.is_empty() {
            self.dirty = dirty; // keeps the list's memory
        }
    }

    pub fn next_deadline(&self) -> Instant {
        self.wheel.next_deadline()
    }

    pub fn handle_timeout(&mut self, net: &mut Net, pool: &mut Pool, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(now, &mut due);
        for ((index, generation), at) in due.drain(..) {
            if !self.table.is(index, generation) || self.table.at(index).armed != at {
                continue; // a firing that was overtaken
            }
            self.table.at_mut(index).armed = Instant::FAR;
            if self.table.at(index).deadline() > now {
                self.settle(index);
                continue;
            }
            self.on_timeout(net, pool, now, index);
        }
        self.due = due;
    }

    fn on_timeout(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        match &self.table.at(index).state {
            State::Closed | State::Listen(_) => {}
            State::SynSent(_) | State::SynReceived(_) => self.on_handshake_timeout(net, pool, now, index),
            State::Open(_) => {
                let disposition = self.with(net, pool, now, index, |env, endpoint| match endpoint.flow() {
                    Some((mut flow, State::Open(c))) => c.on_timeout(env, &mut flow),
                    _ => Disposition::Keep,
                });
                self.conclude(net, pool, now, index, disposition);
            }
            State::TimeWait(_) => {
                self.forget_flow(index);
                let endpoint = self.table.at_mut(index);
                endpoint.state = State::Closed;
                endpoint.path = None;
                if !endpoint.held {
                    self.free(index);
                }
            }
        }
    }

    fn on_handshake_timeout(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        let synack_retries = self.settings.synack_retries;
        let errno = self.with(net, pool, now, index, |env, e| {
            let key = e.key()?;
            let path = e.path.as_deref_mut()?;
            let timed_out = e.soft_error.unwrap_or(Errno::ETIMEDOUT);
            let user = match e.options.user_timeout {
                0 => None,
                ms => Some(core::time::Duration::from_millis(ms.into())),
            };
            let over = |h: &endpoint::Handshake, retries: u32| match user {
                // Only a program that waits has a say (a child of a listener has none yet).
                Some(limit) if e.held => env.now.since(h.first_sent) >= limit,
                _ => h.sent > retries,
            };
            match &mut e.state {
                State::SynSent(s) if over(&s.handshake, e.options.syn_count) => return Some(timed_out),
                State::SynSent(s) => match s.send(env, &key, path, &e.options) {
                    Ok(()) | Err(_) => {}
                },
                State::SynReceived(s) if over(&s.handshake, synack_retries) => return Some(timed_out),
                State::SynReceived(s) => s.send(env, &key, path, &e.options),
                _ => {}
            }
            None
        });
        match errno {
            Some(errno) => {
                self.counters.failed += 1;
                self.end(pool, index, Some(errno));
            }
            None => self.settle(index),
        }
    }

    /// The next socket with something to report.
    pub fn poll_event(&mut self) -> Option<(SocketId, Events)> {
        while let Some(index) = self.ready.pop_front() {
            if !self.table.exists(index) {
                continue;
            }
            let endpoint = self.table.at_mut(index);
            if !std::mem::take(&mut endpoint.queued) {
                continue;
            }
            let events = std::mem::take(&mut endpoint.events);
            if !events.is_empty() && endpoint.held {
                return Some((Self::id(index, endpoint.generation), events));
            }
        }
        None
    }

    fn id(index: u32, generation: u32) -> SocketId {
        SocketId { kind: SocketKind::Tcp, index, generation }
    }

    pub fn for_each(&self, each: &mut dyn FnMut(SocketView)) {
        for (index, e) in self.table.iter() {
            if matches!(e.state, State::Closed) && e.local.port() == 0 && !e.held {
                continue;
            }
            let (recv_queue, send_queue) = match &e.state {
                State::Open(c) => (c.rx.len(), c.tx.len()),
                State::Listen(l) => (l.queue.len() + l.unclaimed, l.backlog),
                _ => (0, 0),
            };
            each(SocketView {
                id: e.held.then(|| Self::id(index, e.generation)),
                domain: e.domain,
                kind: SocketKind::Tcp,
                protocol: wire::proto::TCP,
                local: endpoint::shown(e.domain, e.local),
                peer: e.peer.map(|p| endpoint::shown(e.domain, p)),
                state: e.state.name(),
                recv_queue,
                send_queue,
            });
        }
    }

    pub fn counters(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.counters.for_each(&mut |text, value| each("tcp", text, value));
    }
}

/// Where a socket address is a link-local one it carries its link.
fn scoped(ip: core::net::IpAddr, port: u16, link: crate::frame::LinkId) -> SocketAddr {
    match ip {
        core::net::IpAddr::V6(a) if a.is_unicast_link_local() => {
            SocketAddr::V6(core::net::SocketAddrV6::new(a, port, 0, link.0))
        }
        ip => SocketAddr::new(ip, port),
    }
}
