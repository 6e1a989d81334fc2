//! The main scenario: connections between two hosts, bytes both ways, and what must hold at the end.

use std::net::{IpAddr, SocketAddr};

use shm::socket::{Arena, Sizes};
use stack::random::Random;
use stack::{Domain, Duration, Events, Instant, Shutdown, SocketId, SocketKind, Stack};

use crate::{Faults, Host, Network};

/// The byte that stands at `at` in the stream of direction `salt`.
fn byte(salt: u64, at: usize) -> u8 {
    ((at as u64).wrapping_mul(0x9e37_79b9).wrapping_add(salt) >> 7) as u8
}

/// A side changes between rings of the engine's own and rings that it shares (ring mode) once in so many looks.
const CHANGE_ONE_IN: u64 = 25;
/// Bytes of a shared ring: some are too small for what is held, which puts the change off.
const RING_SIZES: [u32; 3] = [256 << 10, 512 << 10, 1 << 20];

/// One side of a connection: what it sends, what it got.
struct Side {
    host: usize,
    id: SocketId,
    salt: u64,
    to_send: usize,
    sent: usize,
    expect: usize,
    expect_salt: u64,
    got: usize,
    finished: bool,
    closed: bool,
    ended: bool,
    /// Reads at most this much at a time, so that windows close now and then.
    appetite: usize,
    rings: Option<Arena>,
    /// Changes made, and put off.
    changes: u64,
    put_off: u64,
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Side { host, id, to_send, sent, expect, got, finished, closed, ended, .. } = self;
        let rings = self.rings.is_some();
        write!(
            f,
            "Side(host {host}, {id:?}, sent {sent} of {to_send}, got {got} of {expect}, finished {finished}, closed \
             {closed}, ended {ended}, rings {rings})"
        )
    }
}

impl Side {
    /// Moves bytes both ways between the program and its rings; true when it did anything.
    fn work(&mut self, network: &mut Network, random: &mut Random) -> bool {
        if self.closed {
            return false;
        }
        let before = (self.sent, self.got, self.finished);
        let now = network.now;
        let stack: &mut Stack = &mut network.hosts[self.host].stack;
        if random.below(CHANGE_ONE_IN) == 0 {
            self.change(stack, random);
        }
        self.write(stack, random);
        if self.sent == self.to_send && !self.finished && stack.shutdown(now, self.id, Shutdown::Write).is_ok() {
            self.finished = true;
            stack.sent(self.id);
        }
        let mut buf = vec![0; 1 + random.below(self.appetite as u64) as usize];
        let n = self.read(stack, &mut buf, now);
        for (i, &b) in buf[..n].iter().enumerate() {
            assert_eq!(b, byte(self.expect_salt, self.got + i), "byte {} of the stream", self.got + i);
        }
        self.got += n;
        assert!(self.got <= self.expect, "more bytes than were sent");
        if self.finished && self.got == self.expect && stack.at_end(self.id) {
            stack.close(now, self.id);
            self.closed = true;
        }
        self.closed || before != (self.sent, self.got, self.finished)
    }

    fn write(&mut self, stack: &mut Stack, random: &mut Random) {
        let most = (self.to_send - self.sent).min(1 + random.below(20_000) as usize);
        let bytes: Vec<u8> = (self.sent..self.sent + most).map(|i| byte(self.salt, i)).collect();
        if let Some(arena) = &self.rings {
            // Before the connection stands, and after its end, there are no rings.
            self.sent += arena.program().0.write(&bytes);
            stack.note_sent(self.id);
        } else if let Some((ring, pool)) = stack.tx_ring(self.id) {
            self.sent += ring.push(pool, &bytes);
            stack.sent(self.id);
        }
    }

    fn read(&self, stack: &mut Stack, buf: &mut [u8], now: Instant) -> usize {
        if let Some(arena) = &self.rings {
            let n = arena.program().1.read(buf);
            stack.note_read(now, self.id);
            return n;
        }
        let n = stack.rx_ring(self.id).map_or(0, |ring| ring.peek(0, buf));
        stack.received(now, self.id, n);
        n
    }

    /// To shared rings, or back, in the middle of whatever is under way.
    fn change(&mut self, stack: &mut Stack, random: &mut Random) {
        if self.rings.is_some() {
            if let Some((tx, rx)) = stack.copies(self.id) {
                stack.unshare(self.id, tx, rx);
                self.rings = None;
                self.changes += 1;
            }
            return;
        }
        let size = |random: &mut Random| RING_SIZES[random.below(RING_SIZES.len() as u64) as usize];
        let sizes = Sizes { tx: size(random), rx: size(random) };
        let (arena, _memfd) = Arena::create(sizes).expect("memory for two rings");
        let (mut send, mut receive, _) = arena.daemon();
        match stack.copy_into(self.id, 0, &mut send, &mut receive) {
            Ok(()) => {
                stack.share(self.id, send, receive);
                self.rings = Some(arena);
                self.changes += 1;
            }
            Err(_) => self.put_off += 1,
        }
    }
}

/// What a run did besides delivering everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub lost: u64,
    pub reordered: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    pub retransmitted: u64,
    pub timeouts: u64,
    pub fast_retransmits: u64,
    /// Changes between rings of the engine's own and shared ones, and those that were put off.
    pub changes: u64,
    pub put_off: u64,
}

/// Faults and sizes drawn from a seed: loss up to 20 %, and everything else at once.
pub fn faults(random: &mut Random) -> Faults {
    let pick = |random: &mut Random, most: f64| (random.below(1001) as f64 / 1000.0) * most;
    Faults {
        loss: pick(random, 0.20),
        duplication: pick(random, 0.05),
        reordering: pick(random, 0.10),
        reorder_delay: Duration::from_micros(random.below(30_000)),
        corruption: pick(random, 0.02),
        delay: Duration::from_micros(50 + random.below(40_000)),
        rate: [10_000_000, 100_000_000, 1_000_000_000][random.below(3) as usize],
        queue: 20 + random.below(400) as usize,
    }
}

/// Runs one seed: every byte arrives, once and in order; every connection ends; nothing is left.
/// Panics with the seed in the message otherwise.
pub fn run(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let faults = faults(&mut random);
    let v6 = random.below(2) == 1;
    let (a, b): (IpAddr, IpAddr) = if v6 {
        ("2001:db8::1".parse().expect("literal"), "2001:db8::2".parse().expect("literal"))
    } else {
        ("10.0.0.1".parse().expect("literal"), "10.0.0.2".parse().expect("literal"))
    };
    let len = if v6 { 64 } else { 24 };
    let mtu = [576 + 704, 1500, 9000][random.below(3) as usize];
    let hosts =
        vec![Host::new(random.next_u64(), 1, mtu, &[(a, len)]), Host::new(random.next_u64(), 2, mtu, &[(b, len)])];
    let mut network = Network::new(random.next_u64(), faults, hosts);
    // Duplicate address detection takes its second first.
    while network.step(stack::Instant::from_millis(5000)) {}

    let domain = if v6 { Domain::V6 } else { Domain::V4 };
    let server = SocketAddr::new(b, 80);
    let listener = {
        let s = &mut network.hosts[1].stack;
        let id = s.socket(domain, SocketKind::Tcp, 0).expect("room for a socket");
        s.bind(id, server, true).expect("port 80 is free");
        s.listen(id, 16).expect("bound");
        id
    };
    let count = 1 + random.below(3) as usize;
    let mut clients = Vec::new();
    for i in 0..count {
        let s = &mut network.hosts[0].stack;
        let id = s.socket(domain, SocketKind::Tcp, 0).expect("room for a socket");
        let up = [0, 1, 1000, 60_000, 300_000][random.below(5) as usize];
        let down = [1, 500, 20_000, 200_000][random.below(4) as usize];
        let now = network.now;
        assert_eq!(s.connect(now, id, Some(server)), Err(stack::Errno::EINPROGRESS));
        clients.push(Side {
            host: 0,
            id,
            salt: i as u64 * 2,
            to_send: up,
            sent: 0,
            expect: down,
            expect_salt: i as u64 * 2 + 1,
            got: 0,
            finished: false,
            closed: false,
            ended: false,
            appetite: 1 + random.below(50_000) as usize,
            rings: None,
            changes: 0,
            put_off: 0,
        });
    }
    let sizes: Vec<(SocketAddr, usize, usize, u64)> = clients
        .iter()
        .map(|c| {
            let local = network.hosts[0].stack.local_addr(c.id).expect("connecting");
            (local, c.to_send, c.expect, c.salt)
        })
        .collect();

    let mut servers: Vec<Side> = Vec::new();
    let limit = network.now + Duration::from_secs(3600);
    let mut connected = 0;
    loop {
        // A program looks at its socket every 10 ms, whether or not the network has news.
        let went_on = network.step(limit.min(network.now + Duration::from_millis(10))) || network.now < limit;
        for host in 0..2 {
            while let Some((id, events)) = network.hosts[host].stack.poll_event() {
                if events.contains(Events::FAILED) {
                    let error = network.hosts[host].stack.take_error(id);
                    let mut rows = Vec::new();
                    for h in &network.hosts {
                        h.stack.for_each_socket(&mut |v| rows.push(format!("{v:?}")));
                        h.stack.counters(&mut |p, t, n| {
                            if n > 0 {
                                rows.push(format!("{p}: {n} {t}"));
                            }
                        });
                    }
                    rows.extend(clients.iter().chain(&servers).map(|s| format!("{s:?}")));
                    panic!(
                        "seed {seed}: a connection of host {host} failed at {:?}: {error:?} {id:?} ({faults:?})\n{}",
                        network.now,
                        rows.join("\n")
                    );
                }
                connected += usize::from(events.contains(Events::CONNECTED));
                for side in clients.iter_mut().chain(&mut servers).filter(|s| s.host == host && s.id == id) {
                    side.ended |= events.contains(Events::CLOSED);
                }
            }
        }
        while let Some(id) = network.hosts[1].stack.accept(listener) {
            let peer = network.hosts[1].stack.peer_addr(id).expect("accepted");
            let (_, up, down, salt) = *sizes.iter().find(|s| s.0 == peer).expect("one of ours");
            servers.push(Side {
                host: 1,
                id,
                salt: salt + 1,
                to_send: down,
                sent: 0,
                expect: up,
                expect_salt: salt,
                got: 0,
                finished: false,
                closed: false,
                ended: false,
                appetite: 1 + random.below(50_000) as usize,
                rings: None,
                changes: 0,
                put_off: 0,
            });
        }
        let mut worked = false;
        for side in clients.iter_mut().chain(&mut servers) {
            worked |= side.work(&mut network, &mut random);
        }
        let done = servers.len() == count && clients.iter().chain(&servers).all(|s| s.closed);
        if done {
            break;
        }
        if !went_on && !worked {
            let mut rows = Vec::new();
            for host in &network.hosts {
                host.stack.for_each_socket(&mut |v| rows.push(format!("{v:?}")));
            }
            rows.extend(clients.iter().chain(&servers).map(|s| format!("{s:?}")));
            panic!(
                "seed {seed}: stalled; {connected} connected, {} accepted, {faults:?}\n{}",
                servers.len(),
                rows.join("\n")
            );
        }
    }
    let listening = &mut network.hosts[1].stack;
    let now = network.now;
    listening.close(now, listener);
    // Everything that waits has ended by then.
    let end = network.now + Duration::from_secs(1800);
    while network.step(end) {}
    for (i, host) in network.hosts.iter().enumerate() {
        let mut left = Vec::new();
        host.stack.for_each_socket(&mut |v| left.push(v.state));
        assert!(left.is_empty(), "seed {seed}: host {i} still has {left:?}");
    }
    let mut outcome = Outcome {
        lost: network.statistics().lost + network.statistics().overflowed,
        reordered: network.statistics().reordered,
        duplicated: network.statistics().duplicated,
        corrupted: network.statistics().corrupted,
        changes: clients.iter().chain(&servers).map(|s| s.changes).sum(),
        put_off: clients.iter().chain(&servers).map(|s| s.put_off).sum(),
        ..Outcome::default()
    };
    for host in &network.hosts {
        host.stack.counters(&mut |protocol, text, value| match (protocol, text) {
            ("tcp", "data packets retransmitted") => outcome.retransmitted += value,
            ("tcp", "retransmit time-outs") => outcome.timeouts += value,
            ("tcp", "fast retransmits") => outcome.fast_retransmits += value,
            _ => {}
        });
    }
    outcome
}
