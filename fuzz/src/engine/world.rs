//! The host under test with its program, and the clock.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use stack::net::LinkSetup;
use stack::options::RecvMeta;
use stack::{
    Config, Domain, Duration, Instant, LinkId, Offloads, RxCsum, RxFrame, Sink, SockOpt, SocketId, SocketKind, Stack,
    TxBatch,
};
use wire::MacAddr;

use super::Counted;
use super::addresses::*;
use super::checks::Checker;
use super::tcp_peer::Peer;

/// Rounds of timers, flushes and events after one step, after which the engine is said to spin.
const ROUNDS_MAX: usize = 64;
/// Rounds at one and the same time, likewise.
const SAME_TIME_MAX: usize = 64;
/// Timers run in one pause; what is left of it is jumped over (which must do no harm either).
const TIMERS_MAX: usize = 2_000;
/// Frames and bytes sent after one step: every connection's largest buffer in the smallest segments is far below.
const FRAMES_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;

/// How the host is set up; every byte is a setup.
#[derive(Clone, Copy)]
pub struct Setup {
    byte: u8,
}

impl Setup {
    /// Two links and forwarding between them.
    pub const ROUTER: u8 = 0x40;

    pub fn from_byte(byte: u8) -> Setup {
        Setup { byte }
    }

    fn is_router(self) -> bool {
        self.byte & Self::ROUTER != 0
    }

    fn mtu(self) -> u32 {
        [1500, 1280, 9000, 65_535][usize::from(self.byte & 3)]
    }

    fn offloads(self) -> Offloads {
        match self.byte >> 2 & 3 {
            0 | 1 => Offloads::default(),
            2 => Offloads { tx_csum: true, rx_csum: true, ..Offloads::default() },
            _ => Offloads { tx_csum: true, tso4: true, tso6: true, uso: true, rx_csum: true, gro: true },
        }
    }

    /// The peer answers ARP and NDP for itself whenever it is asked.
    fn peer_answers(self) -> bool {
        self.byte & 0x10 == 0
    }

    /// The program takes connections from its listener as they come; else they queue up.
    fn accepts(self) -> bool {
        self.byte & 0x80 == 0
    }

    /// SYN-ACKs offer window scaling, timestamps and SACK.
    pub fn tcp_options(self) -> bool {
        self.byte & 0x20 == 0
    }
}

/// Small tables, so that inputs fill them.
fn config() -> Config {
    Config {
        sockets_max: 48,
        neighbours_max: 16,
        routes_max: 24,
        reassembly_max: 64 << 10,
        somaxconn: 8,
        ..Config::standard(7)
    }
}

/// Takes every datagram but each seventh.
#[derive(Default)]
pub struct Program {
    datagrams: u64,
}

impl Sink for Program {
    fn datagram(&mut self, _: SocketId, meta: &RecvMeta, payload: &[u8]) -> bool {
        assert!(payload.len() <= 65_535);
        assert_eq!(meta.src.is_ipv4(), meta.dst.is_ipv4());
        self.datagrams += 1;
        !self.datagrams.is_multiple_of(7)
    }

    fn datagram_error(&mut self, _: SocketId) {}
}

pub struct World {
    pub stack: Stack,
    pub now: Instant,
    pub setup: Setup,
    pub link: LinkId,
    pub second: Option<LinkId>,
    /// Every socket that the program holds.
    pub sockets: Vec<SocketId>,
    pub listener: Option<SocketId>,
    pub peers: Vec<Peer>,
    /// The last IP packets sent on the first link, for errors to quote: newest last.
    pub sent: Vec<Vec<u8>>,
    program: Program,
    checker: Checker,
    batch: TxBatch,
}

impl World {
    pub fn new(setup: Setup) -> World {
        let mut stack = Stack::new(config());
        let now = Instant::from_millis(1000);
        // Low enough that an input reaches them.
        for name in ["net.inet.icmp.errppslimit", "net.inet6.icmp6.errppslimit"] {
            stack.net.set_sysctl(name, 5).expect("a switch that there is");
        }
        let link = add_link(&mut stack, now, "en0", HOST_MAC, setup.mtu(), setup.offloads());
        stack.net.add_address(now, link, HOST4.into(), 24, None).expect("the first address");
        stack.net.add_address(now, link, HOST6.into(), 64, None).expect("the first IPv6 address");
        let second = setup.is_router().then(|| {
            let second = add_link(&mut stack, now, "en1", SECOND_MAC, 1500, Offloads::default());
            stack.net.add_address(now, second, SECOND4.into(), 24, None).expect("an address");
            stack.net.add_address(now, second, SECOND6.into(), 64, None).expect("an address");
            for name in ["net.inet.ip.forwarding", "net.inet6.ip6.forwarding"] {
                stack.net.set_sysctl(name, 1).expect("a switch that there is");
            }
            second
        });
        let mut world = World {
            stack,
            now,
            setup,
            link,
            second,
            sockets: Vec::new(),
            listener: None,
            peers: Vec::new(),
            sent: Vec::new(),
            program: Program::default(),
            checker: Checker::default(),
            batch: TxBatch::default(),
        };
        // Duplicate address detection ends.
        world.pass(Duration::from_secs(4));
        world.open_sockets();
        world
    }

    fn open_sockets(&mut self) {
        if let Ok(id) = self.stack.socket(Domain::V6, SocketKind::Tcp, 0) {
            self.sockets.push(id);
            let any = SocketAddr::new(Domain::V6.unspecified(), 80);
            if self.stack.bind(id, any, true).is_ok() && self.stack.listen(id, 4).is_ok() {
                self.listener = Some(id);
            }
        }
        for domain in [Domain::V4, Domain::V6] {
            if let Ok(id) = self.stack.socket(domain, SocketKind::Udp, 0) {
                self.sockets.push(id);
                let _ = self.stack.bind(id, SocketAddr::new(domain.unspecified(), 53), true);
                let group = if domain == Domain::V4 { IpAddr::V4(GROUP4) } else { GROUP6.into() };
                let join = SockOpt::JoinGroup { group, link: Some(self.link), addr: None };
                let _ = self.stack.set_option(self.now, id, join);
            }
            let icmp = if domain == Domain::V4 { wire::proto::ICMP } else { wire::proto::ICMPV6 };
            for (kind, protocol) in [(SocketKind::Raw, icmp), (SocketKind::Raw, 253), (SocketKind::Ping, icmp)] {
                self.sockets.extend(self.stack.socket(domain, kind, protocol));
            }
            self.connect(domain);
        }
    }

    /// The program connects to the peer, which answers as it should.
    pub fn connect(&mut self, domain: Domain) {
        let Ok(id) = self.stack.socket(domain, SocketKind::Tcp, 0) else { return };
        self.sockets.push(id);
        let (host, remote): (IpAddr, IpAddr) =
            if domain == Domain::V4 { (HOST4.into(), PEER4.into()) } else { (HOST6.into(), PEER6.into()) };
        let port = 5000 + (self.peers.len() % 100) as u16;
        let _ = self.stack.connect(self.now, id, Some(SocketAddr::new(remote, port)));
        self.peers.push(Peer::new(host, remote, port));
        self.settle();
        let peer = self.peers.last().expect("just pushed");
        if let Some(frame) = peer.syn_ack(self.setup.tcp_options()) {
            self.deliver(self.link, &frame, RxCsum::Unknown, None);
        }
    }

    /// Has a frame arrive, and lets the engine work.
    pub fn deliver(&mut self, link: LinkId, bytes: &[u8], csum: RxCsum, gso_size: Option<u16>) {
        // What a driver hands over is at most a merged frame.
        let data = &bytes[..bytes.len().min(65_535 + 14)];
        trace(self.now, "in ", data);
        self.stack.handle_frames(self.now, link, &[RxFrame { data, csum, gso_size }], &mut self.program);
        self.settle();
    }

    /// Runs the engine until it is quiet, with the network's own answers.
    pub fn settle(&mut self) {
        let (mut frames, mut bytes) = (0, 0);
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "the engine does not come to rest at {:?}", self.now);
            let mut busy = false;
            if self.stack.next_deadline() <= self.now {
                self.stack.handle_timeout(self.now, &mut self.program);
                busy = true;
            }
            self.stack.flush(self.now, &mut self.program);
            while let Some((id, _)) = self.stack.poll_event() {
                busy = true;
                if Some(id) == self.listener {
                    // Accepted connections are held until the end; the rest waits.
                    while self.setup.accepts()
                        && self.sockets.len() < 32
                        && let Some(id) = self.stack.accept(id)
                    {
                        self.sockets.push(id);
                    }
                }
            }
            let mut batch = core::mem::take(&mut self.batch);
            self.stack.take_transmit(&mut batch);
            let mut answers = Vec::new();
            for frame in &batch.frames {
                busy = true;
                frames += 1;
                let sent = batch.to_vec(frame);
                trace(self.now, "out", &sent);
                bytes += sent.len();
                assert!(frames < FRAMES_MAX && bytes < BYTES_MAX, "one step, {frames} frames, {bytes} bytes");
                self.checker.check(&self.stack, frame, &sent);
                if frame.link == self.link {
                    self.peers.iter_mut().for_each(|peer| peer.see(&sent));
                    self.remember(&sent);
                }
                if self.setup.peer_answers() {
                    answers.extend(super::checks::answer_resolution(&sent).map(|answer| (frame.link, answer)));
                }
            }
            batch.clear();
            self.batch = batch;
            for (link, answer) in answers {
                let frame = RxFrame { data: &answer, csum: RxCsum::Unknown, gso_size: None };
                self.stack.handle_frames(self.now, link, &[frame], &mut self.program);
            }
            if !busy {
                break;
            }
        }
        self.check_tables();
    }

    fn remember(&mut self, frame: &[u8]) {
        const KEPT: usize = 4;
        let is_ip = matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd]));
        if is_ip {
            if self.sent.len() == KEPT {
                self.sent.remove(0);
            }
            self.sent.push(frame[14..frame.len().min(14 + 1400)].to_vec());
        }
    }

    /// Lets time pass, timer by timer.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut same_time = 0;
        for _ in 0..TIMERS_MAX {
            let next = self.stack.next_deadline();
            if next > end {
                break;
            }
            same_time = if next <= self.now { same_time + 1 } else { 0 };
            assert!(same_time < SAME_TIME_MAX, "a timer without a delay at {:?}", self.now);
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = self.now.max(end);
        self.settle();
    }

    /// Closes everything and goes silent. Nothing may be left of any connection. Gives back what the engine
    /// counted.
    pub fn end(mut self) -> Counted {
        for id in core::mem::take(&mut self.sockets) {
            self.stack.close(self.now, id);
        }
        self.setup = Setup::from_byte(self.setup.byte | 0x10);
        self.settle();
        // 15 retransmissions, the longest two minutes apart, are about 25 minutes.
        self.pass(Duration::from_secs(2 * 3600));
        self.pass(Duration::from_secs(3600));
        let mut left = Vec::new();
        self.stack.for_each_socket(&mut |view| left.push(view));
        assert!(left.is_empty(), "left after the end: {left:?}");
        assert_eq!(self.stack.poll_event(), None);
        let mut counted = Counted::new();
        self.stack.counters(&mut |protocol, text, value| counted.push((protocol, text, value)));
        counted
    }

    fn check_tables(&self) {
        let limits = self.stack.config();
        let mut sockets = [0; 4];
        self.stack.for_each_socket(&mut |view| sockets[view.kind as usize] += 1);
        assert!(sockets.iter().all(|n| *n <= limits.sockets_max), "sockets of each kind: {sockets:?}");
        assert!(self.stack.net.neighbours().count() <= limits.neighbours_max);
        let addresses: usize = self.stack.net.links().map(|l| l.addresses.len()).sum();
        // Each address brings its own routes, beside those counted.
        assert!(self.stack.net.routes().count() <= limits.routes_max + 4 * addresses + 8);
        for link in self.stack.net.links() {
            assert!(link.addresses.len() <= stack_address_limit());
            let distinct: BTreeSet<IpAddr> = link.addresses.iter().map(|a| a.addr).collect();
            assert_eq!(distinct.len(), link.addresses.len(), "an address stands twice");
        }
    }
}

/// What a hostile router may bring about on one link must be far below the table's own limit.
fn stack_address_limit() -> usize {
    1024
}

fn add_link(stack: &mut Stack, now: Instant, name: &str, mac: MacAddr, mtu: u32, offloads: Offloads) -> LinkId {
    let setup =
        LinkSetup { name: name.into(), mac, mtu, offloads, driver: "fuzz".into(), media: String::new(), link_up: true };
    stack.net.add_link(now, setup).expect("room for a link")
}

/// With `FUZZ_TRACE` set, shows the frames of an input that is replayed.
fn trace(now: Instant, way: &str, frame: &[u8]) {
    use std::sync::LazyLock;
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_TRACE").is_some());
    if !*ON {
        return;
    }
    let hex: String = frame.iter().take(120).map(|b| format!("{b:02x}")).collect();
    eprintln!(
        "{:9}.{:06} {way} {:5} {hex} {}",
        now.0 / 1_000_000,
        now.0 % 1_000_000,
        frame.len(),
        tcp_line(frame).unwrap_or_default()
    );
}

fn tcp_line(frame: &[u8]) -> Option<String> {
    let at = match frame.get(12..14)? {
        [0x08, 0x00] if frame.get(23) == Some(&wire::proto::TCP) => 34,
        [0x86, 0xdd] if frame.get(20) == Some(&wire::proto::TCP) => 54,
        _ => return None,
    };
    let (h, options, data) = wire::tcp::TcpHeader::parse(frame.get(at..)?).ok()?;
    Some(format!(
        "{}>{} {:?} seq {} ack {} win {} len {} {options:?}",
        h.src_port,
        h.dst_port,
        h.flags,
        h.seq.0,
        h.ack.0,
        h.window,
        data.len()
    ))
}
