//! Valid inputs to start from: one of each kind of message, made by the emitters themselves.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use resolver::message::{self, Name, RecordType};
use sockets::addr::{SOCKADDR_IN6_LEN, WireAddr};
use sockets::call::{AcceptMessage, Op, ReplyHeader, RequestHeader, SocketInfo, SocketState};
use sockets::config::{IfAddr, InterfaceAddress, Reply, Request, Route};
use sockets::datagram::Header;
use wire::arp::{ArpOp, ArpPacket};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::igmp::IgmpMessage;
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::mld::MldMessage;
use wire::ndp::{NdpMessage, NdpOption, PrefixInfo, RouteInfo, RouterAdvert, RouterPreference};
use wire::tcp::{SeqNr, TcpFlags, TcpHeader, TcpOptions};
use wire::{MacAddr, proto};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const A6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// Hop-by-hop, routing, fragment and destination options headers before UDP.
const CHAIN: &[u8] = &[
    43, 0, 5, 2, 0, 0, 1, 0, 44, 0, 4, 0, 9, 9, 9, 9, 60, 0, 0, 0, 0, 0, 0, 7, 17, 0, 1, 4, 0, 0, 0, 0, 0, 53, 1, 2, 0,
    12, 0, 0, 1, 2, 3, 4,
];
const OPTIONS4: &[u8] = &[7, 7, 4, 0, 0, 0, 0, 68, 8, 5, 0x10, 0, 0, 0, 0, 148, 4, 0, 0, 131, 7, 4, 10, 0, 0, 9, 1, 0];

/// The seeds of a target; none for a name that there is not.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "ethernet" => vec![ethernet(0x0800, &ipv4(17, &[], &UDP)), vec![0xff; 14]],
        "arp" => vec![arp(ArpOp::Request), arp(ArpOp::Reply)],
        "ipv4" => vec![ipv4(17, &[], &UDP), ipv4(1, OPTIONS4, &[8, 0, 0, 0, 1, 2, 3, 4])],
        "ipv4_options" => vec![OPTIONS4.to_vec(), vec![1, 137, 11, 8, 10, 0, 0, 1, 10, 0, 0, 2, 0]],
        "ipv6" => vec![ipv6(17, &UDP), ipv6(0, CHAIN)],
        "ipv6_chain" => vec![[&[0][..], CHAIN].concat(), [&[60, 44, 0, 0xc2, 4, 0, 1, 0, 0][..], &[6, 0, 0, 1, 0, 0, 0, 1]].concat()],
        "icmpv4" => icmpv4(),
        "icmpv6" => icmpv6().into_iter().map(|m| [&A6.octets()[..], &B6.octets(), &m].concat()).collect(),
        "ndp" => ndp().into_iter().map(|m| [&A6.octets()[..], &B6.octets(), &[255], &m].concat()).collect(),
        "igmp" => igmp(),
        "mld" => mld(),
        "udp" => vec![UDP.to_vec()],
        "tcp" => vec![tcp(&syn_options()), tcp(&TcpOptions { timestamps: Some((1, 2)), ..TcpOptions::NONE }), tcp(&sack())],
        "tcp_options" => [syn_options(), sack(), TcpOptions { timestamps: Some((1, 2)), ..TcpOptions::NONE }].iter().map(raw_options).collect(),
        "checksum" => vec![[&[7, 0][..], &[0xab; 90]].concat(), vec![0; 40]],
        "text" => ["10.0.0.1/8", "10.0.0.1/255.0.0.0", "fd00::1/64", "0xffffff00", "0:1:2:a:b:c", "00-11-22-33-44-55", "001122334455", "::ffff:1.2.3.4/96"]
            .map(|t| t.as_bytes().to_vec())
            .into(),
        "control_call" => control_call(),
        "control_config" => control_config(),
        "dns_response" => dns_response(),
        "dns_lookup" => dns_lookup(),
        "resolv_conf" => vec![b"# c\nnameserver 10.0.0.1\nnameserver fe80::1%en0 ; x\ndomain a\nsearch a.example B.\noptions ndots:3 timeout:2 attempts:4 use-vc rotate\n".to_vec()],
        "hosts" => vec![b"127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # me\n10.0.0.1 web.example. WWW\nbad line\n".to_vec()],
        "rings" => rings(),
        "stack_frames" => stack_frames(),
        "stack_session" => stack_session(),
        "stack_tcp" => stack_tcp(),
        _ => Vec::new(),
    }
}

/// Deeds of `fuzz::rings`, the program's words set as an honest one would before some of them.
fn rings() -> Vec<Vec<u8>> {
    // Sends 200 bytes, which the daemon names and consumes.
    let sends = [0x80, 0, 1, 2, 200, 0, 0, 100, 0, 50, 0];
    // Asks for ring mode, which is granted; then for pair mode, and drains.
    let changes =
        [0x86, 128, 0, 2, 1, 100, 0, 0, 5, 0, 0, 1, 0x86, 128, 0, 2, 0x13, 0, 5, 0, 0, 1, 0x86, 128, 0, 2, 0x20, 0];
    // Tokens in with a count of 3, out, and a turn of a process that there is not.
    let tokens = [0x84, 0, 2, 2, 6, 3, 0, 0, 3, 0, 0, 0, 0, 3, 0, 0, 5, 1, 0, 0, 3, 0, 0, 0];
    let turns = [0x87, 128, 2, 1, 0xff, 0xff, 0xff, 0x3f];
    vec![
        sends.repeat(20),
        changes.to_vec(),
        tokens.repeat(4),
        turns.to_vec(),
        [&sends[..], &changes, &tokens, &turns].concat(),
    ]
}

const UDP: [u8; 12] = [0, 53, 1, 2, 0, 12, 0, 0, 1, 2, 3, 4];

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1][..], &MAC.0, &ethertype.to_be_bytes(), payload].concat()
}

fn arp(op: ArpOp) -> Vec<u8> {
    let target_mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut out = vec![0; ArpPacket::LEN];
    ArpPacket { op, sender_mac: MAC, sender_ip: A4, target_mac, target_ip: B4 }.emit(&mut out);
    out
}

fn ipv4(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len().next_multiple_of(4);
    let header = Ipv4Header {
        tos: 0,
        total_len: (header_len + payload.len()) as u16,
        id: 7,
        df: true,
        mf: false,
        frag_offset: 0,
        ttl: 64,
        proto: protocol,
        src: A4,
        dst: B4,
        header_len: header_len as u8,
    };
    let mut out = vec![0; header_len];
    header.emit_with_options(options, &mut out).expect("options that fit");
    [&out[..], payload].concat()
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let payload_len = payload.len() as u16;
    let header =
        Ipv6Header { traffic_class: 0, flow_label: 5, payload_len, next_header, hop_limit: 255, src: A6, dst: B6 };
    let mut out = vec![0; Ipv6Header::LEN];
    header.emit(&mut out);
    [&out[..], payload].concat()
}

fn icmpv4() -> Vec<Vec<u8>> {
    let quoted = ipv4(17, &[], &UDP);
    let original = &quoted[..];
    [
        Icmpv4Message::EchoRequest { id: 1, seq: 2, data: b"data" },
        Icmpv4Message::EchoReply { id: 1, seq: 2, data: b"data" },
        Icmpv4Message::DestUnreachable { code: 4, next_hop_mtu: 1400, original },
        Icmpv4Message::TimeExceeded { code: 1, original },
        Icmpv4Message::ParameterProblem { code: 0, pointer: 20, original },
        Icmpv4Message::Redirect { code: 1, gateway: A4, original },
        Icmpv4Message::TimestampRequest { id: 1, seq: 2, originate: 3, receive: 4, transmit: 5 },
    ]
    .iter()
    .map(Icmpv4Message::to_vec)
    .collect()
}

fn icmpv6() -> Vec<Vec<u8>> {
    let quoted = ipv6(17, &UDP);
    let original = &quoted[..];
    [
        Icmpv6Message::EchoRequest { id: 1, seq: 2, data: b"data" },
        Icmpv6Message::DestUnreachable { code: 4, original },
        Icmpv6Message::PacketTooBig { mtu: 1280, original },
        Icmpv6Message::TimeExceeded { code: 1, original },
        Icmpv6Message::ParameterProblem { code: 1, pointer: 6, original },
        Icmpv6Message::Other { kind: 200, code: 0, rest: &[] },
    ]
    .iter()
    .map(|m| m.to_vec(A6, B6))
    .collect()
}

fn ndp() -> Vec<Vec<u8>> {
    let advert = RouterAdvert {
        hop_limit: 64,
        managed: true,
        other: false,
        preference: RouterPreference::High,
        lifetime_s: 1800,
        reachable_ms: 30_000,
        retrans_ms: 1000,
    };
    let prefix =
        PrefixInfo { prefix_len: 64, on_link: true, autonomous: true, valid_s: 3600, preferred_s: 1800, prefix: B6 };
    let route = RouteInfo { prefix_len: 48, preference: RouterPreference::Low, lifetime_s: 600, prefix: B6 };
    let servers = B6.octets();
    let servers = wire::addr_list::AddrList::new(&servers);
    let router_options = [
        NdpOption::SourceLinkAddr(MAC),
        NdpOption::Mtu(1400),
        NdpOption::PrefixInfo(prefix),
        NdpOption::RouteInfo(route),
        NdpOption::Rdnss { lifetime_s: 60, servers },
        NdpOption::Dnssl { lifetime_s: 60, names: b"\x01a\x00\x00\x00\x00\x00\x00" },
    ];
    let messages: [(NdpMessage, &[NdpOption<'_>]); 5] = [
        (NdpMessage::RouterSolicit, &[NdpOption::SourceLinkAddr(MAC)]),
        (NdpMessage::RouterAdvert(advert), &router_options),
        (
            NdpMessage::NeighborSolicit { target: B6 },
            &[NdpOption::SourceLinkAddr(MAC), NdpOption::Nonce(&[1, 2, 3, 4, 5, 6])],
        ),
        (
            NdpMessage::NeighborAdvert { router: true, solicited: true, override_: true, target: A6 },
            &[NdpOption::TargetLinkAddr(MAC)],
        ),
        (
            NdpMessage::Redirect { target: A6, destination: B6 },
            &[NdpOption::TargetLinkAddr(MAC), NdpOption::RedirectedHeader(&[0x60; 48])],
        ),
    ];
    messages
        .into_iter()
        .map(|(message, options)| {
            let mut out = vec![0; message.len(options)];
            message.emit(options, A6, B6, &mut out);
            out
        })
        .collect()
}

fn igmp() -> Vec<Vec<u8>> {
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let mut seeds = vec![
        vec![0x11, 0x90, 0, 0, 239, 1, 2, 3, 0x0a, 125, 0, 1, 10, 0, 0, 1],
        vec![0x11, 0, 0, 0, 0, 0, 0, 0],
        vec![0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1, 239, 0, 0, 1, 10, 0, 0, 1, 3, 1, 0, 0, 239, 0, 0, 2, 9, 9, 9, 9],
    ];
    for message in [IgmpMessage::ReportV1 { group }, IgmpMessage::ReportV2 { group }, IgmpMessage::Leave { group }] {
        let mut out = vec![0; message.len()];
        message.emit(&mut out);
        seeds.push(out);
    }
    seeds
}

fn mld() -> Vec<Vec<u8>> {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);
    let mut seeds = vec![
        [&[143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1][..], &[0xff; 32], &[3, 1, 0, 0], &[0xff; 20]].concat(),
        [&[130, 0, 0, 0, 0x90, 0, 0, 0][..], &[0; 16], &[0x0a, 125, 0, 1], &[0xfe; 16]].concat(),
        [&[130, 0, 0, 0, 0, 9, 0, 0][..], &[0; 16]].concat(),
    ];
    for message in [MldMessage::ReportV1 { group }, MldMessage::Done { group }] {
        let mut out = vec![0; message.len()];
        message.emit(A6, group, &mut out);
        seeds.push(out);
    }
    seeds
}

fn syn_options() -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((9, 0)),
        ..TcpOptions::NONE
    }
}

fn sack() -> TcpOptions {
    let blocks = [(SeqNr(10), SeqNr(20)), (SeqNr(30), SeqNr(40)), (SeqNr(50), SeqNr(60))];
    TcpOptions { sack: blocks.into_iter().collect(), ..TcpOptions::NONE }
}

fn raw_options(options: &TcpOptions) -> Vec<u8> {
    let mut out = vec![0; 40];
    let n = options.emit(&mut out);
    out.truncate(n);
    out
}

fn tcp(options: &TcpOptions) -> Vec<u8> {
    let header = TcpHeader {
        src_port: 5000,
        dst_port: 80,
        seq: SeqNr(1000),
        ack: SeqNr(2000),
        flags: TcpFlags::SYN.with(TcpFlags::ACK),
        window: 4000,
        ..TcpHeader::default()
    };
    let mut out = vec![0; TcpHeader::MAX_LEN];
    let n = header.emit(options, &mut out);
    out.truncate(n);
    out.extend(b"data");
    out
}

fn control_call() -> Vec<Vec<u8>> {
    let addr = WireAddr::from(SocketAddr::new(B6.into(), 443));
    let info =
        SocketInfo { handle: 7, key: 8, cookie: 9, domain: 10, kind: 1, protocol: 6, state: SocketState::Connected };
    let message =
        |op, body: &[u8]| [&RequestHeader { op, len: body.len() as u32, handle: 7 }.to_bytes()[..], body].concat();
    let mut raw = [0; SOCKADDR_IN6_LEN];
    let mut seeds = vec![
        message(Op::Socket, &[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        message(Op::Bind, &addr.to_bytes()),
        [&ReplyHeader { errno: 22, len: 4 }.to_bytes()[..], &[1, 2, 3, 4]].concat(),
        info.to_bytes().to_vec(),
        AcceptMessage { info, peer: addr, local: addr }.to_bytes().to_vec(),
        [&Header { key: 7, flags: 1, ttl: 64, addr, ..Header::default() }.to_bytes()[..], b"payload"].concat(),
    ];
    for text in ["10.1.2.3:80", "[fe80::1%7]:9"] {
        let addr = WireAddr::from(text.parse::<SocketAddr>().expect("a literal"));
        let n = addr.to_sockaddr(&mut raw);
        seeds.push(raw[..n].to_vec());
    }
    seeds.push(vec![0, 0]);
    seeds
}

fn control_config() -> Vec<Vec<u8>> {
    let address = InterfaceAddress::new(B6.into(), 64);
    let route = Route {
        destination: A4.into(),
        prefix_len: 24,
        gateway: Some(B4.into()),
        interface: Some("en0".into()),
        flags: 3,
        mtu: None,
        source: None,
        uses: 0,
    };
    let requests = [
        Request::Status,
        Request::AddAddress { interface: "en0".into(), address: address.clone() },
        Request::SetFlags { interface: "en0".into(), set: 1, clear: 0 },
        Request::MountDriver { name: "devnp-tap.so".into(), options: "name=tap0".into() },
        Request::AddRoute { route: route.clone(), change: false },
        Request::SetNeighbour { interface: "en0".into(), addr: A4.into(), mac: MAC.0, permanent: true },
        Request::SetSysctl { name: "net.inet.ip.ttl".into(), value: "64".into() },
        Request::Capture { interface: "en0".into(), snaplen: 96 },
    ];
    let replies = [
        Reply::Done,
        Reply::Error { errno: sockets::Errno::EINVAL, text: "no".into() },
        Reply::Routes { rows: vec![route], next: Some(1) },
        Reply::Attached(vec!["en0".into()]),
    ];
    let record = IfAddr { index: 2, name: "en0".into(), flags: 1, mtu: 1500, mac: Some(MAC.0), addr: Some(address) };
    let mut seeds: Vec<Vec<u8>> = requests.iter().filter_map(|r| postcard::to_allocvec(r).ok()).collect();
    seeds.extend(replies.iter().filter_map(|r| postcard::to_allocvec(r).ok()));
    seeds.extend(postcard::to_allocvec(&vec![record]));
    seeds
}

/// Answers with compressed names: an address, an alias, a pointer.
fn dns_records() -> Vec<Vec<u8>> {
    let fixed =
        |kind: u8, data: &[u8]| [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8][..], data].concat();
    vec![
        fixed(1, &[10, 0, 0, 1]),
        fixed(28, &B6.octets()),
        [fixed(5, b"\x04real\xc0\x10"), b"\x04real\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01".to_vec()].concat(),
        fixed(12, b"\x04host\x07example\0"),
    ]
}

fn dns_response() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (i, records) in dns_records().into_iter().enumerate() {
        let kind = [0, 1, 0, 2][i];
        seeds.push([&[kind << 1 | 1, 0x80, 1 + u8::from(i == 2)][..], &records].concat());
    }
    let name = Name::from_text("www.example.com").expect("a name");
    let mut whole = message::query(0x1234, &name, RecordType::A);
    whole[2..4].copy_from_slice(&[0x81, 0x80]);
    whole[7] = 1;
    seeds.push([&[0][..], &whole, &dns_records()[0]].concat());
    seeds
}

fn dns_lookup() -> Vec<Vec<u8>> {
    let conf = b"nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.example b\noptions ndots:2\n";
    let head =
        |name: &[u8], mode: u8| [&[conf.len() as u8, 0][..], conf, &[name.len() as u8, 0], name, &[mode]].concat();
    let answer =
        |records: &[u8], flags: u8, count: u8| [&[2, flags, count, records.len() as u8, 0][..], records].concat();
    let records = dns_records();
    vec![
        [head(b"www", 3), answer(&records[0], 0x80, 1), answer(&records[1], 0x80, 1)].concat(),
        [head(b"", 2), answer(&[], 0x83, 0), answer(&[], 0x82, 0), vec![0], answer(&records[2], 0x80, 2)].concat(),
        [head(b"", 0), answer(&[], 0x20, 0), vec![5, 0xff, 0xff], answer(&records[0], 0x80, 1)].concat(),
    ]
}

/// A step of `stack_frames`: one frame.
fn raw_frame(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let frame = ethernet(ethertype, packet);
    [&[0xff, 0][..], &(frame.len() as u16).to_le_bytes(), &frame].concat()
}

fn stack_frames() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        [&[0][..], &raw_frame(0x0806, &arp(ArpOp::Request)), &[0, 5], &raw_frame(0x0800, &ipv4(17, &[], &UDP))]
            .concat(),
        [&[0x40][..], &raw_frame(0x86dd, &ipv6(0, CHAIN))].concat(),
        [&[2][..], &raw_frame(0x0800, &ipv4(6, OPTIONS4, &tcp(&syn_options())))].concat(),
    ];
    seeds.extend(icmpv4().iter().map(|m| [&[0][..], &raw_frame(0x0800, &ipv4(proto::ICMP, &[], m)), &[0, 7]].concat()));
    let v6 = icmpv6().into_iter().chain(ndp());
    seeds.extend(v6.map(|m| [&[0][..], &raw_frame(0x86dd, &ipv6(proto::ICMPV6, &m)), &[0, 7]].concat()));
    seeds
}

/// Steps of `stack_session`, as `engine::steps` reads them.
mod step {
    /// Contents behind their length, with a checksum that will be made right.
    fn contents(data: &[u8]) -> Vec<u8> {
        [&[0][..], &(data.len() as u16).to_le_bytes(), data].concat()
    }

    /// From and to by number (`engine::addresses`), protocol by number.
    pub fn ip4(from: u8, to: u8, protocol: u8, flags: u8, data: &[u8]) -> Vec<u8> {
        [&[1, 200, from, to, protocol, 64, 0, flags][..], &contents(data)].concat()
    }

    pub fn ip6(from: u8, to: u8, protocol: u8, data: &[u8]) -> Vec<u8> {
        [&[3, 200, from, to, protocol, 64, 0, 0][..], &contents(data)].concat()
    }

    pub fn fragment(v4: bool, offset_units: u16, more: bool, fill: u8, units: u8) -> Vec<u8> {
        let kind = if v4 { 5 } else { 7 };
        [&[kind, 0, 2, 7, 4 | u8::from(more)][..], &offset_units.to_le_bytes(), &[fill, units]].concat()
    }

    pub fn pause(which: u8) -> Vec<u8> {
        vec![21, which]
    }

    pub fn program(call: u8, socket: u8, rest: &[u8]) -> Vec<u8> {
        [&[18, call, socket][..], rest].concat()
    }

    pub fn operator(what: u8, n: u8, rest: &[u8]) -> Vec<u8> {
        [&[20, what, n][..], rest].concat()
    }
}

fn stack_session() -> Vec<Vec<u8>> {
    use step::{fragment, ip4, ip6, operator, pause, program};
    const ROUTER: u8 = 0x40;
    // Every step once with small numbers, for each setup; and a few of one kind.
    let mut seeds = Vec::new();
    for setup in [0, 0x0e, 0x40, 0x51] {
        let steps = (0..24u8).flat_map(|step| [&[step][..], &[step; 3], &[0; 20], &[9, 0], &[1; 9]].concat());
        seeds.push([setup].into_iter().chain(steps).collect());
    }
    let mut add = |setup: u8, steps: &[Vec<u8>]| seeds.push([&[setup][..], &steps.concat()].concat());
    for v4 in [true, false] {
        add(0, &[fragment(v4, 1, false, 1, 2), fragment(v4, 0, true, 2, 1)]);
        add(0, &[fragment(v4, 0, true, 2, 4), fragment(v4, 2, true, 3, 4), fragment(v4, 4, false, 3, 1)]);
        add(0, &[fragment(v4, 0, true, 2, 4), pause(9)]);
        add(0, &[fragment(v4, 8000, true, 2, 255), fragment(v4, 0, true, 2, 200), fragment(v4, 8100, false, 2, 91)]);
    }
    // Forwarding, with and without need for fragments and room for hops.
    for flags in [0, 2] {
        add(
            ROUTER | 2,
            &[ip4(0, 10, 2, flags, &[0; 1480]), ip4(0, 10, 2, flags, &[7; 100]), ip4(10, 0, 5, flags, &[7; 9])],
        );
    }
    add(
        ROUTER | 2,
        &[ip6(0, 10, 2, &[0; 1480]), ip6(0, 10, 2, &[7; 100]), ip6(10, 0, 5, &[7; 9]), ip6(0, 11, 2, &[1; 8])],
    );
    add(ROUTER, &[ip4(0, 2, 2, 0, &[7; 100]), ip4(0, 11, 2, 0, &[7; 100]), pause(7)]);
    // Echo, to the host and to groups; unknown protocols and ports.
    let echo = [8, 0, 0, 0, 1, 2, 3, 4];
    add(
        0,
        &[
            ip4(0, 1, 0, 0, &echo),
            ip4(0, 3, 0, 0, &echo),
            ip4(0, 6, 0, 0, &echo),
            ip4(0, 1, 99, 0, &echo),
            ip4(0, 1, 2, 0, &echo),
        ],
    );
    let echo = [128, 0, 0, 0, 1, 2, 3, 4];
    add(0, &[ip6(0, 1, 3, &echo), ip6(0, 5, 3, &echo), ip6(0, 1, 99, &echo), ip6(0, 1, 2, &echo), ip6(2, 3, 3, &echo)]);
    // Queries about groups, and the reports.
    add(0, &[vec![17, 0, 0, 100, 7, 0, 0, 0, 0], pause(7), vec![17, 0, 0, 9, 5, 4, 0, 2, 9, 0, 0, 1, 0], pause(7)]);
    add(
        0,
        &[
            vec![17, 1, 0, 0, 0, 100, 0, 0, 7, 0, 0, 0],
            pause(7),
            vec![17, 1, 0, 0, 0, 9, 0, 0, 6, 4, 0, 2, 9, 0, 0, 1],
            pause(7),
        ],
    );
    // A router's advertisement with a prefix, and its lifetimes' end.
    let router =
        [&[9, 2, 64, 64, 0, 7, 8][..], &[0; 8], &[2, 3, 0, 0xc0, 0, 0, 0, 9, 0, 0, 0, 5, 1, 5, 0, 0, 5, 0, 0]].concat();
    add(0, &[router, pause(7), pause(8), pause(10)]);
    // Datagrams out: to the peer, to nobody, too long; and errors about them.
    let send =
        |socket: u8, dst: u8, len: u16| program(6, socket, &[&[0, dst, 9, 64, 0, 4][..], &len.to_le_bytes()].concat());
    add(
        0,
        &[
            send(1, 0, 100),
            vec![15, 0, 0, 3, 0, 0, 0, 0, 0],
            send(1, 40, 100),
            send(1, 40, 9),
            pause(7),
            send(1, 0, 4000),
            send(1, 3, 9),
        ],
    );
    add(0, &[send(2, 0, 100), send(4, 0, 20), send(3, 0, 2000), vec![15, 3, 0, 4, 0, 0, 4, 0, 0], send(3, 0, 2000)]);
    // Operators: addresses come and go, the carrier too, the second link for good.
    add(
        0,
        &[
            operator(32, 24, &[2]),
            operator(48, 64, &[11]),
            pause(5),
            operator(64, 0, &[2]),
            operator(72, 0, &[11]),
            operator(0, 0, &[]),
            operator(0, 1, &[]),
            operator(104, 9, &[]),
        ],
    );
    add(
        ROUTER,
        &[send(1, 10, 10), operator(112, 0, &[]), send(1, 10, 10), operator(80, 20, &[]), operator(96, 3, &[])],
    );
    // Another station has our address.
    add(
        0,
        &[
            vec![11, 0, 2, 1, 0, 1, 1],
            pause(6),
            vec![11, 1, 2, 1, 1, 1, 0],
            vec![9, 0, 70, 0, 0, 0, 0, 0x20, 1, 1, 2, 2],
            pause(7),
        ],
    );
    seeds
}

fn stack_tcp() -> Vec<Vec<u8>> {
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x11;
    const RST: u8 = 4;
    /// The program's connection over IPv4 among its sockets.
    const SOCKET: u8 = 5;
    let plain = |mode: u8, flags: u8, len: u8| vec![0, 0, mode, flags, len];
    let segment = |flags: u8, len: u8| plain(0, flags, len);
    let duplicate = || plain(4, ACK, 0);
    let write = |n: u16| [&[11, 0, SOCKET][..], &n.to_le_bytes()].concat();
    let read = || vec![11, 2, SOCKET, 0xff, 0xff];
    let shutdown = |how: u8| vec![11, 4, SOCKET, how];
    let close = || vec![11, 5, SOCKET];
    let option = |which: u8, value: u16| [&[11, 9, SOCKET][..], &value.to_le_bytes(), &[0, which]].concat();
    let pause = |which: u8| vec![13, which];
    let acked_later = |bytes: u16| [&[0, 0, 8, ACK][..], &bytes.wrapping_neg().to_le_bytes()[..1], &[0]].concat();
    let sacked =
        |from: u16, len: u16| [&[0, 0, 0x84, ACK, 0][..], &from.to_le_bytes(), &len.to_le_bytes(), &[0]].concat();
    let syn = |mode: u8, options: &[u8]| [&[9, mode, 0, 1][..], &[options.len() as u8, 0], options].concat();
    let all_options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
    let mut seeds = Vec::new();
    let mut add = |setup: u8, steps: &[Vec<u8>]| seeds.push([&[setup][..], &steps.concat()].concat());
    add(
        0,
        &[
            segment(ACK, 10),
            segment(ACK, 140),
            write(5000),
            segment(ACK, 0),
            pause(4),
            read(),
            segment(FIN, 0),
            pause(9),
        ],
    );
    add(0x20, &[write(30_000), segment(ACK, 0), pause(5), pause(6), pause(7), plain(0x10, ACK, 0), pause(8), pause(9)]);
    add(
        0x20,
        &[write(9000), duplicate(), duplicate(), duplicate(), duplicate(), pause(3), segment(ACK, 0), acked_later(9)],
    );
    add(0, &[write(9000), sacked(1000, 1000), sacked(1000, 3000), sacked(4000, 4000), pause(3), segment(ACK, 0)]);
    add(0, &[shutdown(0), segment(ACK, 0), segment(ACK, 50), segment(FIN, 3), pause(5), pause(9)]);
    add(0, &[segment(FIN, 3), read(), write(100), shutdown(0), segment(ACK, 0), pause(9)]);
    add(0, &[shutdown(0), segment(FIN, 0), segment(ACK, 0), close(), segment(ACK, 5), pause(9)]);
    add(0, &[segment(ACK, 100), close(), segment(ACK, 0)]);
    add(0, &[segment(RST, 0)]);
    add(3, &[option(0, 1), option(7, 5), option(8, 5), option(9, 3), pause(8), segment(ACK, 1), pause(11)]);
    add(
        0,
        &[
            option(6, 600),
            option(4, 1),
            write(3000),
            segment(ACK, 0),
            option(2, 30),
            plain(1, ACK, 200),
            vec![0, 0, 2, ACK, 0, 4, 200],
        ],
    );
    add(
        0,
        &[option(5, 1), write(100), pause(4), write(900), option(15, 1), write(5000), segment(ACK, 0), option(5, 0)],
    );
    add(
        0,
        &[
            write(5000),
            vec![10, 0, 0, 4, 0, 0, 3, 0xe8, 0],
            pause(4),
            segment(ACK, 0),
            vec![10, 0, 0, 1, 0, 0, 0, 0, 0],
        ],
    );
    add(0, &[plain(0x10, ACK, 0), write(300), pause(5), pause(7), pause(9), pause(10), segment(ACK, 0), close()]);
    for options in [&all_options[..], &[2, 4, 5, 0xb4], &[]] {
        add(0, &[syn(0, options), vec![9, 8, 0, ACK, 0, 0, 0, 0], syn(64, options), pause(6), pause(9)]);
        add(0x0f, &[syn(1, options), vec![0, 0x41, 0, ACK, 200]]);
    }
    let many = |n: u8| (0..n).flat_map(|i| [9, 64, 200, 2 + i, 1, i % 8, 0, 0, 0, 0]).collect::<Vec<u8>>();
    add(0, &[many(40), pause(9)]);
    seeds
}
