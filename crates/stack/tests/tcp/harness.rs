//! One engine, and a peer that is the test itself: it sends segments and looks at what comes back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stack::net::LinkSetup;
use stack::options::RecvMeta;
use stack::{
    Config, Domain, Duration, Events, Instant, LinkId, Offloads, RxCsum, RxFrame, Sink, SocketId, SocketKind, Stack,
    TxBatch,
};
use wire::ethernet::EthernetHeader;
use wire::ipv4::Ipv4Header;
use wire::tcp::{SeqNr, TcpFlags, TcpHeader, TcpOptions};
use wire::{MacAddr, checksum};

pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const PEER_PORT: u16 = 5000;
/// The peer's initial sequence number: close to the wrap, so that every test crosses it.
pub const PEER_ISS: u32 = u32::MAX - 100;

const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

pub const FIN: TcpFlags = TcpFlags::FIN;
pub const SYN: TcpFlags = TcpFlags::SYN;
pub const RST: TcpFlags = TcpFlags::RST;
pub const PSH: TcpFlags = TcpFlags::PSH;
pub const ACK: TcpFlags = TcpFlags::ACK;

/// A segment, either way. Sequence numbers are absolute.
#[derive(Clone, Debug)]
pub struct Seg {
    pub flags: TcpFlags,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub urgent: u16,
    /// The link is to cut it into pieces of so many bytes.
    pub gso: Option<u16>,
    pub options: TcpOptions,
    pub data: Vec<u8>,
    pub src_port: u16,
    pub dst_port: u16,
}

impl Seg {
    pub fn is(&self, flags: TcpFlags) -> bool {
        self.flags.without(PSH) == flags
    }
}

/// The program as far as it takes bytes of a stream from their frame.
#[derive(Default)]
pub struct Program {
    /// How many it takes at a time; none unless a test says so.
    pub takes: usize,
    pub taken: Vec<u8>,
}

impl Sink for Program {
    fn datagram(&mut self, _: SocketId, _: &RecvMeta, _: &[u8]) -> bool {
        false
    }
    fn stream(&mut self, _: SocketId, payload: &[u8]) -> usize {
        let n = self.takes.min(payload.len());
        self.taken.extend_from_slice(&payload[..n]);
        n
    }
    fn datagram_error(&mut self, _: SocketId) {}
}

/// What the peer offers in its SYN or SYN-ACK.
#[derive(Clone, Debug)]
pub struct Offer {
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub sack: bool,
    pub timestamps: bool,
    pub window: u16,
}

impl Offer {
    /// No options but an MSS of 1,000: sizes are round in tests.
    pub const PLAIN: Offer = Offer { mss: Some(1000), scale: None, sack: false, timestamps: false, window: 60_000 };
    pub const SACK: Offer = Offer { sack: true, ..Offer::PLAIN };

    pub fn options(&self) -> TcpOptions {
        TcpOptions {
            mss: self.mss,
            window_scale: self.scale,
            sack_permitted: self.sack,
            timestamps: self.timestamps.then_some((1000, 0)),
            ..TcpOptions::default()
        }
    }
}

pub struct Wire {
    pub stack: Stack,
    pub now: Instant,
    pub program: Program,
    link: LinkId,
    sent: std::collections::VecDeque<Seg>,
    /// The host's port of the connection under test.
    pub port: u16,
    /// Next sequence number of each side, as the test goes along.
    pub host_nxt: u32,
    pub peer_nxt: u32,
}

impl Wire {
    pub fn new() -> Wire {
        Wire::with_mtu(1500)
    }

    pub fn with_mtu(mtu: u32) -> Wire {
        Wire::with(Config::high_capacity(7), mtu, Offloads::default())
    }

    /// An engine on a link that cuts segments and fills in checksums.
    pub fn with_segmentation() -> Wire {
        Wire::with(Config::high_capacity(7), 1500, Offloads { tx_csum: true, tso4: true, ..Offloads::default() })
    }

    /// An engine with room for so many connections and sockets.
    pub fn with_sockets(sockets_max: usize) -> Wire {
        Wire::with(Config { sockets_max, ..Config::standard(7) }, 1500, Offloads::default())
    }

    fn with(config: Config, mtu: u32, offloads: Offloads) -> Wire {
        let mut stack = Stack::new(config);
        let now = Instant::from_millis(1000);
        let link = stack
            .net
            .add_link(
                now,
                LinkSetup {
                    name: "en0".into(),
                    mac: HOST_MAC,
                    mtu,
                    offloads,
                    driver: "test".into(),
                    media: String::new(),
                    link_up: true,
                },
            )
            .expect("the first link");
        stack.net.set_admin_flags(now, link, 1, 0).expect("up");
        stack.net.add_address(now, link, IpAddr::V4(HOST), 24, None).expect("an address");
        stack.net.set_neighbour(now, link, IpAddr::V4(PEER), PEER_MAC).expect("a neighbour");
        let mut wire = Wire {
            stack,
            now,
            program: Program::default(),
            link,
            sent: Default::default(),
            port: 0,
            host_nxt: 0,
            peer_nxt: PEER_ISS,
        };
        wire.run();
        wire.sent.clear();
        wire
    }

    /// Lets the engine work and collects what it sends.
    pub fn run(&mut self) {
        if self.stack.next_deadline() <= self.now {
            self.stack.handle_timeout(self.now, &mut self.program);
        }
        self.stack.flush(self.now, &mut self.program);
        let mut batch = TxBatch::default();
        self.stack.take_transmit(&mut batch);
        for frame in &batch.frames {
            let mut bytes = batch.to_vec(frame);
            if let Some(csum) = frame.csum {
                let (start, field) = (usize::from(csum.start), usize::from(csum.start + csum.offset));
                let sum = checksum::finish(checksum::partial(&bytes[start..]));
                bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
            }
            let Ok((ethernet, packet)) = EthernetHeader::parse(&bytes) else { panic!("a broken frame") };
            if ethernet.ethertype != wire::ethernet::ETHERTYPE_IPV4 {
                continue;
            }
            let (ip, _, segment) = Ipv4Header::parse(packet).expect("our own IPv4 header");
            if ip.proto != wire::proto::TCP {
                continue;
            }
            let pseudo = checksum::pseudo(ip.src.into(), ip.dst.into(), ip.proto, segment.len() as u32);
            assert!(wire::tcp::verify(segment, pseudo), "a bad checksum went out");
            let (h, options, data) = TcpHeader::parse(segment).expect("our own TCP header");
            self.sent.push_back(Seg {
                flags: h.flags,
                seq: h.seq.0,
                ack: h.ack.0,
                window: h.window,
                urgent: h.urgent,
                gso: frame.gso.map(|g| g.size),
                options,
                data: data.to_vec(),
                src_port: h.src_port,
                dst_port: h.dst_port,
            });
        }
    }

    pub fn advance(&mut self, ms: u64) {
        // Step by step, so that clocks run in order.
        let end = self.now + Duration::from_millis(ms);
        while self.stack.next_deadline() <= end {
            self.now = self.stack.next_deadline().max(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// The next segment the engine sent.
    #[track_caller]
    pub fn expect(&mut self) -> Seg {
        self.sent.pop_front().expect("a segment was to be sent")
    }

    /// The next segment, which must have exactly these flags (PSH aside) and sequence number.
    #[track_caller]
    pub fn expect_flags(&mut self, flags: TcpFlags) -> Seg {
        let s = self.expect();
        assert!(s.is(flags), "expected {flags:?}, got {s:?}");
        s
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        assert!(self.sent.is_empty(), "not expected: {:?}", self.sent);
    }

    pub fn drain_one(&mut self) -> Option<Seg> {
        self.sent.pop_front()
    }

    pub fn drain(&mut self) -> Vec<Seg> {
        self.sent.drain(..).collect()
    }

    /// A segment of the peer's with the numbers that are next.
    pub fn seg(&self, flags: TcpFlags) -> Seg {
        Seg {
            flags,
            seq: self.peer_nxt,
            ack: self.host_nxt,
            window: 60_000,
            urgent: 0,
            gso: None,
            options: TcpOptions::default(),
            data: Vec::new(),
            src_port: PEER_PORT,
            dst_port: self.port,
        }
    }

    /// Has the peer send a segment.
    pub fn receive(&mut self, s: &Seg) {
        let frame = frame(s);
        self.receive_frame(&frame);
    }

    pub fn receive_frame(&mut self, bytes: &[u8]) {
        let frame = RxFrame { data: bytes, csum: RxCsum::Unknown, gso_size: None };
        self.stack.handle_frames(self.now, self.link, &[frame], &mut self.program);
        self.run();
    }

    /// The peer sends data that is next in order.
    pub fn receive_data(&mut self, data: &[u8]) {
        let mut s = self.seg(ACK | PSH);
        s.data = data.to_vec();
        self.peer_nxt = self.peer_nxt.wrapping_add(data.len() as u32);
        self.receive(&s);
    }

    /// The peer acknowledges everything up to `ack`.
    pub fn receive_ack(&mut self, ack: u32) {
        let mut s = self.seg(ACK);
        s.ack = ack;
        self.receive(&s);
    }

    pub fn socket(&mut self) -> SocketId {
        self.stack.socket(Domain::V4, SocketKind::Tcp, 0).expect("room for a socket")
    }

    pub fn peer_addr() -> SocketAddr {
        SocketAddr::new(PEER.into(), PEER_PORT)
    }

    /// A listener on port 80.
    pub fn listen(&mut self, backlog: usize) -> SocketId {
        let id = self.socket();
        self.stack.bind(id, SocketAddr::new(HOST.into(), 80), true).expect("port 80 is free");
        self.stack.listen(id, backlog).expect("bound");
        self.port = 80;
        id
    }

    /// Begins a connect and gives back the SYN that went out.
    pub fn connecting(&mut self) -> (SocketId, Seg) {
        let id = self.socket();
        assert_eq!(self.stack.connect(self.now, id, Some(Wire::peer_addr())), Err(stack::Errno::EINPROGRESS));
        self.run();
        let syn = self.expect_flags(SYN);
        self.port = syn.src_port;
        self.host_nxt = syn.seq.wrapping_add(1);
        (id, syn)
    }

    /// A connection that the host opened, with what the peer offers.
    pub fn connected(&mut self, offer: &Offer) -> SocketId {
        let (id, _) = self.connecting();
        let mut synack = self.seg(SYN | ACK);
        synack.window = offer.window;
        synack.options = offer.options();
        self.peer_nxt = self.peer_nxt.wrapping_add(1);
        self.receive(&synack);
        self.expect_flags(ACK);
        assert!(self.events(id).contains(Events::CONNECTED));
        id
    }

    /// A half-open connection to a listener on port 80; what the host sent has been looked at.
    pub fn half_open(&mut self, offer: &Offer) -> SocketId {
        let listener = self.listen(5);
        let mut syn = self.seg(SYN);
        (syn.ack, syn.window, syn.options) = (0, offer.window, offer.options());
        self.receive(&syn);
        self.host_nxt = self.expect_flags(SYN | ACK).seq.wrapping_add(1);
        self.peer_nxt = self.peer_nxt.wrapping_add(1);
        listener
    }

    /// A connection in TIME_WAIT after a listener's side closed first. The listener stays.
    pub fn time_wait(&mut self, offer: &Offer) {
        let id = self.accepted(offer);
        self.close(id);
        self.host_nxt = self.host_nxt.wrapping_add(1);
        let mut fin = self.seg(FIN | ACK);
        fin.options.timestamps = offer.timestamps.then_some((1000, 0));
        self.receive(&fin);
        self.peer_nxt = self.peer_nxt.wrapping_add(1);
        self.drain();
        assert_eq!(self.state(), "TIME_WAIT");
    }

    /// A connection that has become one of requests and responses: acknowledgements are delayed.
    pub fn settled(&mut self) -> SocketId {
        let id = self.connected(&Offer::PLAIN);
        self.write(id, b"request");
        self.host_nxt = self.host_nxt.wrapping_add(7);
        self.receive(&self.seg(ACK));
        self.drain();
        id
    }

    /// A connection that the peer opened to a listener.
    pub fn accepted(&mut self, offer: &Offer) -> SocketId {
        let listener = self.listen(5);
        let mut syn = self.seg(SYN);
        syn.ack = 0;
        syn.window = offer.window;
        syn.options = offer.options();
        self.receive(&syn);
        let synack = self.expect_flags(SYN | ACK);
        self.host_nxt = synack.seq.wrapping_add(1);
        self.peer_nxt = self.peer_nxt.wrapping_add(1);
        let mut ack = self.seg(ACK);
        ack.window = offer.window;
        self.receive(&ack);
        self.stack.accept(listener).expect("the connection stands")
    }

    /// Everything that happened to a socket since the last call.
    pub fn events(&mut self, id: SocketId) -> Events {
        let mut all = Events::default();
        while let Some((who, events)) = self.stack.poll_event() {
            if who == id {
                all |= events;
            }
        }
        all
    }

    /// The program writes; what may go out goes out.
    pub fn write(&mut self, id: SocketId, data: &[u8]) -> usize {
        let (ring, pool) = self.stack.tx_ring(id).expect("open for writing");
        let n = ring.push(pool, data);
        self.stack.sent(id);
        self.run();
        n
    }

    /// The program reads all there is.
    pub fn read(&mut self, id: SocketId) -> Vec<u8> {
        let data = self.peek(id);
        self.stack.received(self.now, id, data.len());
        self.run();
        data
    }

    pub fn peek(&self, id: SocketId) -> Vec<u8> {
        let Some(ring) = self.stack.rx_ring(id) else { return Vec::new() };
        let mut data = vec![0; ring.len()];
        ring.peek(0, &mut data);
        data
    }

    /// As netstat shows the connection under test; empty when it is gone.
    pub fn state(&self) -> &'static str {
        let mut state = "";
        self.stack.for_each_socket(&mut |v| {
            if v.local.port() == self.port && v.peer.is_some_and(|p| p.port() == PEER_PORT) {
                state = v.state;
            }
        });
        state
    }

    pub fn counter(&self, text: &str) -> u64 {
        let mut value = None;
        self.stack.counters(&mut |protocol, t, v| {
            if protocol == "tcp" && t == text {
                value = Some(v);
            }
        });
        value.unwrap_or_else(|| panic!("there is no counter {text:?}"))
    }

    pub fn set(&mut self, id: SocketId, option: stack::SockOpt) {
        self.stack.set_option(self.now, id, option).expect("an option of TCP");
    }

    pub fn shutdown(&mut self, id: SocketId) {
        self.stack.shutdown(self.now, id, stack::Shutdown::Write).expect("connected");
        self.run();
    }

    pub fn close(&mut self, id: SocketId) {
        self.stack.close(self.now, id);
        self.run();
    }
}

/// The bytes on the wire of a peer's segment.
pub fn frame(s: &Seg) -> Vec<u8> {
    addressed(s, PEER, HOST)
}

/// The same from and to other addresses.
pub fn addressed(s: &Seg, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let mut area = [0; 60];
    let n = header(s).emit(&s.options, &mut area);
    ipv4(s, src, dst, &area[..n])
}

/// A segment with an options area that is given in bytes, a multiple of four.
pub fn with_options(s: &Seg, area: &[u8]) -> Vec<u8> {
    let mut tcp = [0; 60];
    let n = header(s).emit(&TcpOptions::default(), &mut tcp);
    tcp[n..n + area.len()].copy_from_slice(area);
    tcp[12] = (((n + area.len()) / 4) as u8) << 4;
    ipv4(s, PEER, HOST, &tcp[..n + area.len()])
}

fn header(s: &Seg) -> TcpHeader {
    TcpHeader {
        src_port: s.src_port,
        dst_port: s.dst_port,
        seq: SeqNr(s.seq),
        ack: SeqNr(s.ack),
        flags: s.flags,
        window: s.window,
        urgent: s.urgent,
        checksum: 0,
        header_len: 0,
    }
}

fn ipv4(s: &Seg, src: Ipv4Addr, dst: Ipv4Addr, head: &[u8]) -> Vec<u8> {
    let mut tcp = head.to_vec();
    tcp.extend_from_slice(&s.data);
    let pseudo = checksum::pseudo(src.into(), dst.into(), wire::proto::TCP, tcp.len() as u32);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::partial(&tcp)));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    packet_between(src, dst, wire::proto::TCP, &tcp)
}

/// An IPv4 packet from the peer to the host in an Ethernet frame.
pub fn packet(proto: u8, payload: &[u8]) -> Vec<u8> {
    packet_between(PEER, HOST, proto, payload)
}

fn packet_between(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 34];
    EthernetHeader { dst: HOST_MAC, src: PEER_MAC, ethertype: wire::ethernet::ETHERTYPE_IPV4 }.emit(&mut bytes);
    let ip = Ipv4Header {
        tos: 0,
        total_len: (20 + payload.len()) as u16,
        id: 1,
        df: true,
        mf: false,
        frag_offset: 0,
        ttl: 64,
        proto,
        src,
        dst,
        header_len: 20,
    };
    ip.emit(&mut bytes[14..]);
    bytes.extend_from_slice(payload);
    bytes
}

/// ICMP "destination unreachable" of this code (with the MTU of the next link, if 4) about a segment of
/// the host's, quoted with this sequence number.
pub fn unreachable(code: u8, mtu: u16, about: &Seg, seq: u32) -> Vec<u8> {
    let quoted = &addressed(&Seg { seq, ..about.clone() }, HOST, PEER)[14..42];
    let mut icmp = vec![3, code, 0, 0, 0, 0];
    icmp.extend_from_slice(&mtu.to_be_bytes());
    icmp.extend_from_slice(quoted);
    let sum = checksum::finish(checksum::partial(&icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(wire::proto::ICMP, &icmp)
}
