//! Raw and ping sockets: raw(7), icmp(7), RFC 3542.

use stack::{Domain, Errno, SockOpt, SocketId, SocketKind};
use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::Icmpv6Message;
use wire::proto;

use crate::harness::*;

fn open(host: &mut Host, domain: Domain, kind: SocketKind, protocol: u8) -> SocketId {
    host.stack.socket(domain, kind, protocol).expect("a socket")
}

/// raw(7): an IPv4 socket sees header and message of every packet of its protocol; so does the stack.
#[test]
fn a_raw_socket_sees_packets_with_their_header() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, proto::ICMP);
    let packet = Ip4::new(proto::ICMP, Icmpv4Message::EchoRequest { id: 1, seq: 2, data: b"x" }.to_vec());
    host.receive(packet.frame());
    let (to, meta, data) = host.datagram();
    assert_eq!((to, meta.src, data), (id, "192.168.1.1:0".parse().expect("literal"), packet.packet()));
    assert!(matches!(host.expect_ip4().icmp(), Icmpv4Message::EchoReply { .. }));
}

/// RFC 3542 §3: an IPv6 socket sees the message without the header.
#[test]
fn an_ipv6_raw_socket_sees_the_message() {
    let mut host = Host::usual6();
    let id = open(&mut host, Domain::V6, SocketKind::Raw, 200);
    host.receive(Ip6::new(200, b"message".to_vec()).frame());
    assert_eq!(
        host.datagram(),
        (
            id,
            stack::RecvMeta {
                src: "[2001:db8::2]:0".parse().expect("literal"),
                dst: HOST6.into(),
                link: host.link,
                ttl: 64,
                tos: 0,
                group: false
            },
            b"message".to_vec()
        )
    );
    // Somebody listens: no parameter problem.
    host.expect_nothing();
}

/// raw(7): a protocol that a raw socket listens to is not unreachable.
#[test]
fn a_raw_socket_makes_its_protocol_reachable() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, 200);
    host.receive(Ip4::new(200, vec![1; 10]).frame());
    assert_eq!(host.datagram().0, id);
    host.expect_nothing();
    host.stack.close(host.now, id);
    host.receive(Ip4::new(200, vec![1; 10]).frame());
    assert!(matches!(host.expect_ip4().icmp(), Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_PROTOCOL, .. }));
}

/// raw(7): bound and connected sockets see what is theirs.
#[test]
fn a_connected_raw_socket_sees_its_peer_only() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, 200);
    host.stack.connect(host.now, id, Some("192.168.1.2:0".parse().expect("literal"))).expect("connected");
    host.receive(Ip4::new(200, vec![1; 10]).frame());
    host.expect_no_datagram();
    let mut packet = Ip4::new(200, vec![1; 10]);
    packet.header.src = OTHER;
    host.receive(packet.frame());
    host.datagram();
}

/// raw(7), ICMP_FILTER: types whose bit is set are kept away.
#[test]
fn an_icmp_filter_keeps_types_away() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, proto::ICMP);
    host.stack.set_option(host.now, id, SockOpt::IcmpFilter(1 << icmpv4::ECHO_REQUEST)).expect("set");
    host.receive(icmp4_frame(Icmpv4Message::EchoRequest { id: 1, seq: 2, data: b"x" }));
    host.expect_no_datagram();
    host.receive(icmp4_frame(Icmpv4Message::EchoReply { id: 1, seq: 2, data: b"x" }));
    host.datagram();
    let other = open(&mut host, Domain::V4, SocketKind::Raw, 200);
    assert_eq!(host.stack.set_option(host.now, other, SockOpt::IcmpFilter(0)), Err(Errno::EOPNOTSUPP));
}

/// RFC 3542 §3.2: the same for ICMPv6.
#[test]
fn an_icmp6_filter_keeps_types_away() {
    let mut host = Host::usual6();
    let id = open(&mut host, Domain::V6, SocketKind::Raw, proto::ICMPV6);
    let mut filter = [u32::MAX; 8];
    filter[129 / 32] &= !(1 << (129 % 32));
    host.stack.set_option(host.now, id, SockOpt::Icmp6Filter(filter)).expect("set");
    host.receive(icmp6_frame(Icmpv6Message::EchoRequest { id: 1, seq: 2, data: b"x" }));
    host.expect_no_datagram();
    host.receive(icmp6_frame(Icmpv6Message::EchoReply { id: 1, seq: 2, data: b"x" }));
    host.datagram();
}

/// raw(7): without IP_HDRINCL the stack makes the header, of the socket's protocol.
#[test]
fn a_raw_socket_sends_its_protocol() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, 200);
    host.send_to(id, "192.168.1.1:0", b"payload").expect("sent");
    let packet = host.expect_ip4();
    assert_eq!((packet.header.proto, packet.header.src, packet.payload), (200, HOST, b"payload".to_vec()));
}

/// raw(7), IP_HDRINCL: the program's header goes out with length, checksum and empty fields filled in.
#[test]
fn an_included_header_is_completed() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Raw, proto::RAW);
    let mut bytes = Ip4::new(99, b"payload".to_vec()).packet();
    bytes[2..6].fill(0);
    bytes[8] = 33;
    bytes[10..16].fill(0);
    host.send_to(id, "192.168.1.1:0", &bytes).expect("sent");
    let packet = host.expect_ip4();
    assert_eq!((packet.header.src, packet.header.dst, packet.header.ttl, packet.header.proto), (HOST, HOST, 33, 99));
    assert_ne!(packet.header.id, 0);
    assert_eq!(host.send_to(id, "192.168.1.1:0", &[0x45; 10]), Err(Errno::EINVAL));
    assert_eq!(host.send_to(id, "192.168.1.1:0", &[0x45; 1501]), Err(Errno::EMSGSIZE));
}

/// RFC 3542 §3.1: ICMPv6's checksum is the stack's to compute, and to verify.
#[test]
fn the_icmp6_checksum_is_ours() {
    let mut host = Host::usual6();
    let id = open(&mut host, Domain::V6, SocketKind::Raw, proto::ICMPV6);
    host.send_to(id, "[2001:db8::2]:0", &[128, 0, 0xff, 0xff, 0, 7, 0, 1, 42]).expect("sent");
    assert_eq!(host.expect_ip6().icmp(), Icmpv6Message::EchoRequest { id: 7, seq: 1, data: &[42] });
    let mut spoiled =
        Ip6::new(proto::ICMPV6, Icmpv6Message::EchoReply { id: 7, seq: 1, data: b"x" }.to_vec(PEER6, HOST6));
    spoiled.payload[8] ^= 1;
    host.receive(spoiled.frame());
    host.expect_no_datagram();
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::Checksum6(None)), Err(Errno::EINVAL));
}

/// RFC 3542 §3.1, IPV6_CHECKSUM: where the program says.
#[test]
fn a_checksum_is_put_where_the_program_says() {
    let mut host = Host::usual6();
    let id = open(&mut host, Domain::V6, SocketKind::Raw, 200);
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::Checksum6(Some(3))), Err(Errno::EINVAL));
    host.stack.set_option(host.now, id, SockOpt::Checksum6(Some(4))).expect("set");
    assert_eq!(host.send_to(id, "[2001:db8::2]:0", &[1, 2, 3]), Err(Errno::EINVAL));
    host.send_to(id, "[2001:db8::2]:0", &[1, 2, 3, 4, 0, 0, 5]).expect("sent");
    let payload = host.expect_ip6().payload;
    let sum = wire::checksum::pseudo_v6(HOST6, PEER6, 200, 7) + wire::checksum::partial(&payload);
    assert!(wire::checksum::is_valid(sum));
}

/// icmp(7): a ping socket sends echo requests with an identifier of its own and hears the replies.
#[test]
fn a_ping_socket_has_an_identifier_of_its_own() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Ping, proto::ICMP);
    let other = open(&mut host, Domain::V4, SocketKind::Ping, proto::ICMP);
    host.send_to(other, "192.168.1.1:0", &[8, 0, 0, 0, 0, 0, 0, 1]).expect("sent");
    host.expect();
    host.send_to(id, "192.168.1.1:0", &[8, 0, 9, 9, 9, 9, 0, 5, b'x']).expect("sent");
    let packet = host.expect_ip4();
    let Icmpv4Message::EchoRequest { id: ident, seq: 5, data: b"x" } = packet.icmp() else {
        panic!("{:?}", packet.icmp())
    };
    assert_eq!(host.stack.local_addr(id).expect("bound").port(), ident);
    let reply = Icmpv4Message::EchoReply { id: ident, seq: 5, data: b"x" };
    host.receive(icmp4_frame(reply));
    let (to, _, data) = host.datagram();
    assert_eq!((to, data), (id, reply.to_vec()));
    host.receive(icmp4_frame(Icmpv4Message::EchoReply { id: ident.wrapping_add(1), seq: 5, data: b"x" }));
    host.expect_no_datagram();
}

/// The same over IPv6.
#[test]
fn a_ping_socket_speaks_ipv6() {
    let mut host = Host::usual6();
    let id = open(&mut host, Domain::V6, SocketKind::Ping, proto::ICMPV6);
    host.stack.bind(id, "[::]:77".parse().expect("literal"), false).expect("a free identifier");
    host.send_to(id, "[2001:db8::2]:0", &[128, 0, 0, 0, 0, 0, 0, 5]).expect("sent");
    assert_eq!(host.expect_ip6().icmp(), Icmpv6Message::EchoRequest { id: 77, seq: 5, data: b"" });
    host.receive(icmp6_frame(Icmpv6Message::EchoReply { id: 77, seq: 5, data: b"" }));
    assert_eq!(host.datagram().0, id);
}

/// icmp(7): nothing but echo requests.
#[test]
fn a_ping_socket_sends_nothing_else() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Ping, proto::ICMP);
    for bad in [&[0, 0, 0, 0, 0, 0, 0, 1][..], &[8, 1, 0, 0, 0, 0, 0, 1], &[8, 0, 0, 0]] {
        assert_eq!(host.send_to(id, "192.168.1.1:0", bad), Err(Errno::EINVAL));
    }
    assert_eq!(host.stack.socket(Domain::V4, SocketKind::Ping, proto::UDP), Err(Errno::EPROTONOSUPPORT));
}

/// icmp(7): an error about its request reaches a ping socket.
#[test]
fn a_ping_socket_learns_of_errors() {
    let mut host = Host::usual();
    let id = open(&mut host, Domain::V4, SocketKind::Ping, proto::ICMP);
    host.stack.set_option(host.now, id, SockOpt::RecvErr(true)).expect("set");
    host.send_to(id, "198.51.100.7:0", &[8, 0, 0, 0, 0, 0, 0, 1]).expect("sent");
    let sent = host.expect();
    host.receive(icmp4_frame(Icmpv4Message::DestUnreachable {
        code: icmpv4::UNREACH_HOST,
        next_hop_mtu: 0,
        original: &sent[14..42],
    }));
    assert_eq!((host.inbox.errors.clone(), host.stack.take_error(id)), (vec![id], Some(Errno::EHOSTUNREACH)));
}
