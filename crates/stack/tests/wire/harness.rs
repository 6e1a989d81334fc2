//! One host with one Ethernet link, and the words to speak to it in frames.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stack::net::LinkSetup;
use stack::{
    Config, Domain, Duration, Errno, Instant, LinkId, Offloads, RecvMeta, RxCsum, RxFrame, SendMeta, Sink, SocketId,
    SocketKind, Stack, TxBatch,
};
use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::ndp::{NdpMessage, NdpOption};
use wire::udp::UdpHeader;
use wire::{MacAddr, proto};

pub const HOST_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
pub const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);
pub const OTHER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x03]);
pub const BROADCAST: MacAddr = MacAddr::BROADCAST;

pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
pub const SUBNET_BROADCAST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 255);
/// Beyond the gateway [`PEER`].
pub const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

pub const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
pub const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x2);
pub const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x3);
/// The host's link-local address, of [`HOST_MAC`]; and the peer's.
pub const HOST_LL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
pub const PEER_LL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);
pub const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7);

/// What sockets received.
#[derive(Default)]
pub struct Inbox {
    pub datagrams: VecDeque<(SocketId, RecvMeta, Vec<u8>)>,
    pub errors: Vec<SocketId>,
    /// Sockets have no room.
    pub full: bool,
}

impl Sink for Inbox {
    fn datagram(&mut self, socket: SocketId, meta: &RecvMeta, payload: &[u8]) -> bool {
        if !self.full {
            self.datagrams.push_back((socket, *meta, payload.to_vec()));
        }
        !self.full
    }

    fn datagram_error(&mut self, socket: SocketId) {
        self.errors.push(socket);
    }
}

pub struct Host {
    pub stack: Stack,
    pub now: Instant,
    pub link: LinkId,
    pub inbox: Inbox,
    out: VecDeque<(LinkId, Vec<u8>)>,
}

impl Host {
    /// A host with a link en0 that is up, and no address; IPv6 is off.
    pub fn bare() -> Host {
        Host::build(false, 1500, Offloads::default())
    }

    /// A host with an address and quiet afterwards; IPv6 is off.
    pub fn v4(addr: &str) -> Host {
        let mut host = Host::bare();
        host.add_address(addr);
        host.settle();
        host
    }

    /// A host with an IPv6 address besides its link-local one, verified and quiet.
    pub fn v6(addr: &str) -> Host {
        let mut host = Host::build(true, 1500, Offloads::default());
        host.add_address(addr);
        host.settle();
        host
    }

    /// [`HOST`] with the gateway [`PEER`], whose station address is known.
    pub fn usual() -> Host {
        let mut host = Host::v4("192.168.1.100/24");
        host.route("0.0.0.0/0", PEER.into());
        host.know(PEER.into(), PEER_MAC);
        host
    }

    /// [`HOST6`] with the gateway [`PEER_LL`]; both of the peer's addresses are known.
    pub fn usual6() -> Host {
        let mut host = Host::v6("2001:db8::100/64");
        host.route("::/0", PEER_LL.into());
        host.know(PEER6.into(), PEER_MAC);
        host.know(PEER_LL.into(), PEER_MAC);
        host
    }

    pub fn build(ipv6: bool, mtu: u32, offloads: Offloads) -> Host {
        let mut config = Config::standard(1);
        config.ipv6 = ipv6;
        let stack = Stack::new(config);
        let now = Instant::from_millis(1000);
        let mut host = Host { stack, now, link: LinkId(0), inbox: Inbox::default(), out: VecDeque::new() };
        host.link = host.add_link("en0", HOST_MAC, mtu, offloads);
        host
    }

    pub fn add_link(&mut self, name: &str, mac: MacAddr, mtu: u32, offloads: Offloads) -> LinkId {
        let setup = LinkSetup {
            name: name.into(),
            mac,
            mtu,
            offloads,
            driver: "test".into(),
            media: "Ethernet".into(),
            link_up: true,
        };
        let link = self.stack.net.add_link(self.now, setup).expect("a new link");
        self.stack.net.set_admin_flags(self.now, link, stack::net::iff::UP, 0).expect("the link is there");
        self.run();
        link
    }

    pub fn add_address(&mut self, text: &str) {
        let cidr: wire::IpCidr = text.parse().expect("address/length");
        self.stack.net.add_address(self.now, self.link, cidr.addr, cidr.prefix_len, None).expect("a fresh address");
        self.run();
    }

    pub fn route(&mut self, dst: &str, gateway: IpAddr) {
        let cidr: wire::IpCidr = dst.parse().expect("address/length");
        let link = Some(self.link);
        let spec = stack::net::RouteSpec {
            dst: cidr.addr,
            prefix_len: cidr.prefix_len,
            gateway: Some(gateway),
            link,
            flags: 0,
            mtu: None,
            source: None,
        };
        self.stack.net.add_route(self.now, spec, false).expect("a fresh route");
    }

    /// The neighbour need not be asked for.
    pub fn know(&mut self, addr: IpAddr, mac: MacAddr) {
        self.stack.net.set_neighbour(self.now, self.link, addr, mac).expect("a neighbour");
    }

    pub fn sysctl(&mut self, name: &str, value: i64) {
        self.stack.net.set_sysctl(name, value).expect("a switch");
    }

    // --- time and frames -------------------------------------------------------------------------

    /// Lets everything that begins by itself come to its end, and forgets what was sent.
    pub fn settle(&mut self) {
        self.advance(20_000);
        self.out.clear();
    }

    /// Collects what is to be sent.
    pub fn run(&mut self) {
        self.stack.flush(self.now, &mut self.inbox);
        while self.stack.poll_event().is_some() {}
        self.stack.flush(self.now, &mut self.inbox);
        let mut batch = TxBatch::default();
        self.stack.take_transmit(&mut batch);
        for frame in &batch.frames {
            self.out.push_back((frame.link, batch.to_vec(frame)));
        }
    }

    pub fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.stack.next_deadline() <= end {
            self.now = self.now.max(self.stack.next_deadline());
            self.stack.handle_timeout(self.now, &mut self.inbox);
            self.run();
        }
        self.now = end;
    }

    pub fn receive(&mut self, frame: Vec<u8>) {
        self.receive_on(self.link, frame);
    }

    pub fn receive_on(&mut self, link: LinkId, frame: Vec<u8>) {
        let burst = [RxFrame { data: &frame, csum: RxCsum::Unknown, gso_size: None }];
        self.stack.handle_frames(self.now, link, &burst, &mut self.inbox);
        self.run();
    }

    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front().map(|(_, f)| f)
    }

    #[track_caller]
    pub fn expect(&mut self) -> Vec<u8> {
        self.next_frame().expect("a frame is sent")
    }

    #[track_caller]
    pub fn expect_on(&mut self, link: LinkId) -> Vec<u8> {
        let (on, frame) = self.out.pop_front().expect("a frame is sent");
        assert_eq!(on, link);
        frame
    }

    #[track_caller]
    pub fn expect_frame(&mut self, frame: &[u8]) {
        let got = self.expect();
        assert_eq!(hex(&got), hex(frame));
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        assert_eq!(self.out.iter().map(|f| hex(&f.1)).collect::<Vec<_>>(), Vec::<String>::new());
    }

    #[track_caller]
    pub fn expect_arp(&mut self) -> (MacAddr, ArpPacket) {
        let frame = self.expect();
        let (eth, payload) = EthernetHeader::parse(&frame).expect("an Ethernet frame");
        assert_eq!(eth.ethertype, ETHERTYPE_ARP);
        (eth.dst, ArpPacket::parse(payload).expect("an ARP packet"))
    }

    #[track_caller]
    pub fn expect_ip4(&mut self) -> Ip4 {
        Ip4::of(&self.expect())
    }

    #[track_caller]
    pub fn expect_ip6(&mut self) -> Ip6 {
        Ip6::of(&self.expect())
    }

    /// The next frame, which is neighbour discovery.
    #[track_caller]
    pub fn expect_nd(&mut self) -> (Ip6, NdpMessage) {
        let packet = self.expect_ip6();
        assert_eq!((packet.header.next_header, packet.header.hop_limit), (proto::ICMPV6, 255));
        wire::icmpv6::verify(&packet.payload, packet.header.src, packet.header.dst).expect("the checksum is right");
        let (message, options) = NdpMessage::parse(&packet.payload).expect("neighbour discovery");
        message.validate(&options, packet.header.src, packet.header.dst, 255).expect("a valid message");
        (packet, message)
    }

    pub fn counter(&self, group: &str, text: &str) -> u64 {
        let mut found = None;
        self.stack.counters(&mut |g, t, v| {
            if (g, t) == (group, text) {
                found = Some(v);
            }
        });
        found.unwrap_or_else(|| panic!("no counter {group}: {text}"))
    }

    // --- sockets ---------------------------------------------------------------------------------

    pub fn udp(&mut self, local: &str) -> SocketId {
        let addr: SocketAddr = local.parse().expect("address:port");
        let id = self.udp_of(if addr.is_ipv4() { Domain::V4 } else { Domain::V6 });
        self.stack.bind(id, addr, true).expect("a free port");
        id
    }

    pub fn udp_of(&mut self, domain: Domain) -> SocketId {
        self.stack.socket(domain, SocketKind::Udp, proto::UDP).expect("a socket")
    }

    pub fn send_to(&mut self, id: SocketId, dst: &str, data: &[u8]) -> Result<usize, Errno> {
        let meta = SendMeta { dst: Some(dst.parse().expect("address:port")), ..NO_META };
        let sent = self.stack.send(self.now, id, &meta, data);
        self.run();
        sent
    }

    pub fn send(&mut self, id: SocketId, data: &[u8]) -> Result<usize, Errno> {
        let sent = self.stack.send(self.now, id, &NO_META, data);
        self.run();
        sent
    }

    /// The oldest datagram received.
    #[track_caller]
    pub fn datagram(&mut self) -> (SocketId, RecvMeta, Vec<u8>) {
        self.inbox.datagrams.pop_front().expect("a datagram arrived")
    }

    #[track_caller]
    pub fn expect_no_datagram(&mut self) {
        assert!(self.inbox.datagrams.is_empty(), "{:?}", self.inbox.datagrams);
    }
}

pub const NO_META: SendMeta = SendMeta { dst: None, src: None, link: None, ttl: None, tos: None, dont_route: false };

pub fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .map(|line| line.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

// --- frames --------------------------------------------------------------------------------------

pub fn ethernet(dst: MacAddr, src: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; EthernetHeader::LEN];
    EthernetHeader { dst, src, ethertype }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

pub fn arp(dst: MacAddr, op: ArpOp, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut packet = [0; ArpPacket::LEN];
    ArpPacket { op, sender_mac: sender.0, sender_ip: sender.1, target_mac: target.0, target_ip: target.1 }
        .emit(&mut packet);
    ethernet(dst, sender.0, ETHERTYPE_ARP, &packet)
}

/// An IPv4 packet with its header's fields for a test to change before `frame`.
#[derive(Clone, Debug)]
pub struct Ip4 {
    pub dst_mac: MacAddr,
    pub src_mac: MacAddr,
    pub header: Ipv4Header,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Ip4 {
    /// From the peer to the host.
    pub fn new(protocol: u8, payload: Vec<u8>) -> Ip4 {
        let header = Ipv4Header {
            tos: 0,
            total_len: 0,
            id: 1,
            df: false,
            mf: false,
            frag_offset: 0,
            ttl: 64,
            proto: protocol,
            src: PEER,
            dst: HOST,
            header_len: 20,
        };
        Ip4 { dst_mac: HOST_MAC, src_mac: PEER_MAC, header, options: Vec::new(), payload }
    }

    #[track_caller]
    pub fn of(frame: &[u8]) -> Ip4 {
        let (eth, packet) = EthernetHeader::parse(frame).expect("an Ethernet frame");
        assert_eq!(eth.ethertype, ETHERTYPE_IPV4, "IPv4");
        let (header, options, payload) = Ipv4Header::parse(packet).expect("an IPv4 packet");
        Ip4 { dst_mac: eth.dst, src_mac: eth.src, header, options: options.to_vec(), payload: payload.to_vec() }
    }

    /// From the IP header on.
    pub fn packet(&self) -> Vec<u8> {
        let mut packet = vec![0; 60];
        let header_len = 20 + self.options.len().next_multiple_of(4);
        let total_len = (header_len + self.payload.len()) as u16;
        let n =
            Ipv4Header { total_len, ..self.header }.emit_with_options(&self.options, &mut packet).expect("options fit");
        packet.truncate(n);
        packet.extend_from_slice(&self.payload);
        packet
    }

    pub fn frame(&self) -> Vec<u8> {
        ethernet(self.dst_mac, self.src_mac, ETHERTYPE_IPV4, &self.packet())
    }

    pub fn icmp(&self) -> Icmpv4Message<'_> {
        assert_eq!(self.header.proto, proto::ICMP);
        Icmpv4Message::parse(&self.payload).expect("an ICMP message")
    }

    #[track_caller]
    pub fn udp(&self) -> (UdpHeader, Vec<u8>) {
        assert_eq!(self.header.proto, proto::UDP);
        let (header, payload) = UdpHeader::parse(&self.payload).expect("a UDP datagram");
        let pseudo = wire::checksum::pseudo_v4(self.header.src, self.header.dst, proto::UDP, header.len.into());
        assert!(!header.has_checksum() || header.verify(payload, pseudo), "the checksum is right");
        (header, payload.to_vec())
    }
}

/// An IPv6 packet; `payload` is all that follows the fixed header.
#[derive(Clone, Debug)]
pub struct Ip6 {
    pub dst_mac: MacAddr,
    pub src_mac: MacAddr,
    pub header: Ipv6Header,
    pub payload: Vec<u8>,
}

impl Ip6 {
    /// From the peer to the host.
    pub fn new(next_header: u8, payload: Vec<u8>) -> Ip6 {
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: 0,
            payload_len: 0,
            next_header,
            hop_limit: 64,
            src: PEER6,
            dst: HOST6,
        };
        Ip6 { dst_mac: HOST_MAC, src_mac: PEER_MAC, header, payload }
    }

    #[track_caller]
    pub fn of(frame: &[u8]) -> Ip6 {
        let (eth, packet) = EthernetHeader::parse(frame).expect("an Ethernet frame");
        assert_eq!(eth.ethertype, ETHERTYPE_IPV6, "IPv6");
        let (header, payload) = Ipv6Header::parse(packet).expect("an IPv6 packet");
        Ip6 { dst_mac: eth.dst, src_mac: eth.src, header, payload: payload.to_vec() }
    }

    pub fn packet(&self) -> Vec<u8> {
        let mut packet = vec![0; Ipv6Header::LEN];
        Ipv6Header { payload_len: self.payload.len() as u16, ..self.header }.emit(&mut packet);
        packet.extend_from_slice(&self.payload);
        packet
    }

    pub fn frame(&self) -> Vec<u8> {
        ethernet(self.dst_mac, self.src_mac, ETHERTYPE_IPV6, &self.packet())
    }

    #[track_caller]
    pub fn icmp(&self) -> Icmpv6Message<'_> {
        assert_eq!(self.header.next_header, proto::ICMPV6);
        Icmpv6Message::parse(&self.payload, self.header.src, self.header.dst).expect("an ICMPv6 message")
    }
}

/// A UDP datagram with its checksum, for [`Ip4::new`].
pub fn udp4(src: Ipv4Addr, dst: Ipv4Addr, src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    udp(src.into(), dst.into(), src_port, dst_port, data)
}

pub fn udp6(src: Ipv6Addr, dst: Ipv6Addr, src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    udp(src.into(), dst.into(), src_port, dst_port, data)
}

fn udp(src: IpAddr, dst: IpAddr, src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    let mut header = UdpHeader { src_port, dst_port, len: (8 + data.len()) as u16, checksum: 0 };
    header.checksum = header.compute_checksum(data, wire::checksum::pseudo(src, dst, proto::UDP, header.len.into()));
    let mut out = vec![0; 8];
    header.emit(&mut out);
    out.extend_from_slice(data);
    out
}

/// A frame with a UDP datagram from the peer to the host.
pub fn udp4_frame(src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    Ip4::new(proto::UDP, udp4(PEER, HOST, src_port, dst_port, data)).frame()
}

pub fn udp6_frame(src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    Ip6::new(proto::UDP, udp6(PEER6, HOST6, src_port, dst_port, data)).frame()
}

pub fn icmp4_frame(message: Icmpv4Message<'_>) -> Vec<u8> {
    Ip4::new(proto::ICMP, message.to_vec()).frame()
}

pub fn icmp6_frame(message: Icmpv6Message<'_>) -> Vec<u8> {
    Ip6::new(proto::ICMPV6, message.to_vec(PEER6, HOST6)).frame()
}

/// Neighbour discovery from the peer.
pub fn nd_frame(src: Ipv6Addr, dst: Ipv6Addr, message: NdpMessage, options: &[NdpOption<'_>]) -> Vec<u8> {
    nd_packet(src, dst, message, options).frame()
}

pub fn nd_packet(src: Ipv6Addr, dst: Ipv6Addr, message: NdpMessage, options: &[NdpOption<'_>]) -> Ip6 {
    let mut payload = vec![0; message.len(options)];
    message.emit(options, src, dst, &mut payload);
    let mut packet = Ip6::new(proto::ICMPV6, payload);
    (packet.header.src, packet.header.dst, packet.header.hop_limit) = (src, dst, 255);
    if dst.is_multicast() {
        packet.dst_mac = MacAddr::multicast_v6(dst);
    }
    packet
}
