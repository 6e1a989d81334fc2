//! ICMP and ICMPv6: RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3, RFC 4443.

use std::net::Ipv4Addr;

use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::{self, Icmpv6Message};
use wire::{MacAddr, proto};

use crate::harness::*;

fn echo(data: &[u8]) -> Icmpv4Message<'_> {
    Icmpv4Message::EchoRequest { id: 7, seq: 1, data }
}

fn echo6(data: &[u8]) -> Icmpv6Message<'_> {
    Icmpv6Message::EchoRequest { id: 7, seq: 1, data }
}

/// RFC 792 "Echo": the reply has the request's identifier, sequence number and data.
#[test]
fn an_echo_request_is_answered() {
    let mut host = Host::usual();
    host.receive(icmp4_frame(echo(b"abcdefgh")));
    let packet = host.expect_ip4();
    assert_eq!(packet.icmp(), Icmpv4Message::EchoReply { id: 7, seq: 1, data: b"abcdefgh" });
    assert_eq!((packet.header.src, packet.header.dst, packet.dst_mac), (HOST, PEER, PEER_MAC));
}

/// RFC 4443 §4.2: the same for IPv6.
#[test]
fn an_echo_request_is_answered_over_ipv6() {
    let mut host = Host::usual6();
    host.receive(icmp6_frame(echo6(b"abcdefgh")));
    let packet = host.expect_ip6();
    assert_eq!(packet.icmp(), Icmpv6Message::EchoReply { id: 7, seq: 1, data: b"abcdefgh" });
    assert_eq!((packet.header.src, packet.header.dst), (HOST6, PEER6));
}

/// RFC 1122 §3.2.2.6: the reply comes from the address that was asked, with the same TOS.
#[test]
fn the_reply_comes_from_the_address_that_was_asked() {
    let mut host = Host::usual();
    host.add_address("192.168.1.101/24");
    host.settle();
    let mut packet = Ip4::new(proto::ICMP, echo(b"").to_vec());
    packet.header.dst = Ipv4Addr::new(192, 168, 1, 101);
    packet.header.tos = 0x28;
    host.receive(packet.frame());
    let reply = host.expect_ip4();
    assert_eq!((reply.header.src, reply.header.tos), (Ipv4Addr::new(192, 168, 1, 101), 0x28));
}

/// RFC 1122 §3.2.2.6: a large request is answered whole.
#[test]
fn a_large_echo_is_answered_in_fragments() {
    let mut host = Host::usual6();
    host.add_address("192.168.1.100/24");
    host.settle();
    host.know(PEER.into(), PEER_MAC);
    let data = vec![7; 3000];
    let whole = echo(&data).to_vec();
    for (n, piece) in whole.chunks(1480).enumerate() {
        let mut packet = Ip4::new(proto::ICMP, piece.to_vec());
        packet.header.frag_offset = (n * 1480) as u16;
        packet.header.mf = n < 2;
        host.receive(packet.frame());
    }
    let pieces: Vec<Ip4> = (0..3).map(|_| host.expect_ip4()).collect();
    let reply: Vec<u8> = pieces.iter().flat_map(|p| p.payload.clone()).collect();
    assert_eq!(Icmpv4Message::parse(&reply), Ok(Icmpv4Message::EchoReply { id: 7, seq: 1, data: &data }));
}

/// RFC 1122 §3.2.2.6: a request to a broadcast address is discarded in silence (unless switched on).
#[test]
fn a_broadcast_echo_is_ignored() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::ICMP, echo(b"").to_vec());
    (packet.header.dst, packet.dst_mac) = (SUBNET_BROADCAST, BROADCAST);
    host.receive(packet.frame());
    host.expect_nothing();
    host.sysctl("net.inet.icmp.bmcastecho", 1);
    host.receive(packet.frame());
    assert_eq!(host.expect_ip4().header.src, HOST);
}

/// RFC 4443 §4.2: one to a group may be answered, from an address of ours.
#[test]
fn an_echo_to_all_nodes_is_answered() {
    let mut host = Host::usual6();
    let group = wire::addr::ALL_NODES_V6;
    let mut packet = Ip6::new(proto::ICMPV6, echo6(b"x").to_vec(PEER_LL, group));
    (packet.header.src, packet.header.dst, packet.dst_mac) = (PEER_LL, group, MacAddr::multicast_v6(group));
    host.receive(packet.frame());
    let reply = host.expect_ip6();
    assert_eq!((reply.header.src, reply.header.dst), (HOST_LL, PEER_LL));
}

/// RFC 1122 §3.2.2: a wrong checksum is discarded in silence.
#[test]
fn a_wrong_checksum_is_discarded() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::ICMP, echo(b"abc").to_vec());
    packet.payload[8] ^= 1;
    host.receive(packet.frame());
    host.expect_nothing();
    assert_eq!(host.counter("icmp", "bad checksums"), 1);
}

/// RFC 4443 §2.3: the pseudo-header is covered.
#[test]
fn a_wrong_checksum_is_discarded_over_ipv6() {
    let mut host = Host::usual6();
    host.receive(Ip6::new(proto::ICMPV6, echo6(b"abc").to_vec(PEER6, OTHER6)).frame());
    host.expect_nothing();
    assert_eq!(host.counter("icmp6", "bad checksums"), 1);
}

/// RFC 1122 §3.2.2.1: a protocol that nobody speaks is unreachable.
#[test]
fn an_unknown_protocol_is_unreachable() {
    let mut host = Host::usual();
    host.receive(Ip4::new(200, vec![0; 20]).frame());
    let Icmpv4Message::DestUnreachable { code, .. } = host.expect_ip4().icmp() else { panic!("unreachable") };
    assert_eq!(code, icmpv4::UNREACH_PROTOCOL);
}

/// RFC 4443 §3.4: over IPv6 it is a parameter problem that points at the next-header field.
#[test]
fn an_unknown_next_header_is_a_parameter_problem() {
    let mut host = Host::usual6();
    host.receive(Ip6::new(200, vec![0; 20]).frame());
    let packet = host.expect_ip6();
    let Icmpv6Message::ParameterProblem { code, pointer, .. } = packet.icmp() else { panic!("a problem") };
    assert_eq!((code, pointer), (icmpv6::PARAM_NEXT_HEADER, 6));
}

/// The same behind an extension header: the pointer names the field there (RFC 4443 §3.4).
#[test]
fn the_pointer_names_the_field_behind_extension_headers() {
    let mut host = Host::usual6();
    host.receive(Ip6::new(proto::DSTOPTS, [&[200, 0, 1, 4, 0, 0, 0, 0][..], &[0; 8]].concat()).frame());
    let packet = host.expect_ip6();
    let Icmpv6Message::ParameterProblem { pointer, .. } = packet.icmp() else { panic!("a problem") };
    assert_eq!(pointer, 40);
}

/// RFC 1122 §3.2.2: no error about an error.
#[test]
fn an_error_is_never_answered_by_an_error() {
    let mut host = Host::usual();
    let original = Ip4::new(proto::UDP, udp4(HOST, PEER, 1, 2, b"")).packet();
    let error = Icmpv4Message::DestUnreachable { code: 99, next_hop_mtu: 0, original: &original };
    let mut packet = Ip4::new(proto::ICMP, error.to_vec());
    packet.options = vec![7, 3, 0, 0]; // a bad option
    host.receive(packet.frame());
    host.expect_nothing();
    assert_eq!(host.counter("icmp", "errors not generated because old message was icmp"), 1);
}

/// RFC 4443 §2.4 e: nor over IPv6, nor about a redirect.
#[test]
fn an_error_is_never_answered_by_an_error_over_ipv6() {
    let mut host = Host::usual6();
    for kind in [1, 3, 127, 137] {
        // An option in a destination header that demands an error.
        let payload = [&[proto::ICMPV6, 0, 0x80, 4, 0, 0, 0, 0][..], &[kind, 0, 0, 0, 0, 0, 0, 0]].concat();
        let mut packet = Ip6::new(proto::DSTOPTS, payload);
        packet.header.src = PEER6;
        host.receive(packet.frame());
    }
    host.expect_nothing();
    assert_eq!(host.counter("icmp6", "errors not generated because old message was icmp6 error or so"), 4);
}

/// RFC 1122 §3.2.2: no error about a packet whose source is no single host.
#[test]
fn no_error_goes_to_an_impossible_source() {
    let mut host = Host::usual();
    for src in ["0.0.0.0", "240.0.0.1"] {
        let mut packet = Ip4::new(proto::UDP, vec![0, 1, 0, 2, 0, 8, 0, 0]);
        packet.header.src = src.parse().expect("literal");
        host.receive(packet.frame());
    }
    host.expect_nothing();
}

/// RFC 1122 §3.2.2: no error about a fragment other than the first.
#[test]
fn no_error_about_a_later_fragment() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(200, vec![0; 24]);
    packet.header.frag_offset = 8;
    packet.options = vec![7, 3, 0, 0]; // a bad option
    host.receive(packet.frame());
    host.expect_nothing();
}

/// RFC 1812 §4.3.2.3: an error quotes as much as fits 576 bytes.
#[test]
fn an_error_quotes_up_to_576_bytes() {
    let mut host = Host::usual();
    let frame = udp4_frame(2000, 1000, &[9; 1000]);
    host.receive(frame.clone());
    let packet = host.expect_ip4();
    assert_eq!(packet.header.total_len, 576);
    assert_eq!(packet.icmp().original(), Some(&frame[14..14 + 548]));
}

/// RFC 4443 §2.4 c: over IPv6 as much as fits the minimum MTU.
#[test]
fn an_error_quotes_up_to_1280_bytes_over_ipv6() {
    let mut host = Host::usual6();
    let frame = udp6_frame(2000, 1000, &[9; 1400]);
    host.receive(frame.clone());
    let packet = host.expect_ip6();
    assert_eq!(packet.payload.len() + 40, 1280);
    assert_eq!(
        packet.icmp(),
        Icmpv6Message::DestUnreachable { code: icmpv6::UNREACH_PORT, original: &frame[14..14 + 1232] }
    );
}

/// RFC 1812 §4.3.2.8: the rate of errors is limited.
#[test]
fn the_rate_of_errors_is_limited() {
    let mut host = Host::usual();
    for _ in 0..1000 {
        host.receive(udp4_frame(2000, 1000, b"x"));
    }
    assert_eq!(host.counter("icmp", "messages sent"), 25);
    assert_eq!(host.counter("icmp", "errors not generated due to rate limiting"), 975);
}

/// RFC 4443 §2.4 f: over IPv6 too.
#[test]
fn the_rate_of_errors_is_limited_over_ipv6() {
    let mut host = Host::usual6();
    for _ in 0..1000 {
        host.receive(udp6_frame(2000, 1000, b"x"));
    }
    assert_eq!(host.counter("icmp6", "errors not generated because of rate limitation"), 975);
}

/// RFC 1122 §3.2.2.5: a malformed option is a parameter problem that points at it.
#[test]
fn a_bad_option_is_a_parameter_problem() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, HOST, 1, 2, b""));
    packet.options = vec![1, 7, 99, 4];
    host.receive(packet.frame());
    let Icmpv4Message::ParameterProblem { code: 0, pointer, .. } = host.expect_ip4().icmp() else {
        panic!("a problem")
    };
    assert_eq!(pointer, 22);
}

/// RFC 1122 §3.2.1.8 c: a source route that goes on from here is refused.
#[test]
fn a_source_route_is_refused() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, HOST, 1, 2, b""));
    packet.options = vec![131, 7, 4, 10, 0, 0, 1, 0];
    host.receive(packet.frame());
    let Icmpv4Message::DestUnreachable { code, .. } = host.expect_ip4().icmp() else { panic!("unreachable") };
    assert_eq!(code, icmpv4::UNREACH_SOURCE_ROUTE);
}

/// RFC 8200 §4.2: an option that must be understood, by the two high bits of its type.
#[test]
fn unknown_ipv6_options_are_treated_by_their_type() {
    let mut host = Host::usual6();
    host.udp("[::]:2");
    let with = |kind: u8, host: &mut Host| {
        let payload = [&[proto::UDP, 0, kind, 4, 0, 0, 0, 0][..], &udp6(PEER6, HOST6, 1, 2, b"x")].concat();
        host.receive(Ip6::new(proto::DSTOPTS, payload).frame());
        let delivered = host.inbox.datagrams.pop_front().is_some();
        (delivered, host.next_frame().map(|f| Ip6::of(&f)))
    };
    assert!(matches!(with(0x3e, &mut host), (true, None)));
    assert!(matches!(with(0x7e, &mut host), (false, None)));
    for kind in [0xbe, 0xfe] {
        let (delivered, answer) = with(kind, &mut host);
        let answer = answer.expect("an error");
        let Icmpv6Message::ParameterProblem { code: icmpv6::PARAM_OPTION, pointer, .. } = answer.icmp() else {
            panic!("a problem")
        };
        assert_eq!((delivered, pointer), (false, 42));
    }
}

/// RFC 8200 §4.4: a routing header with segments left, of a type unknown here.
#[test]
fn a_routing_header_is_refused() {
    let mut host = Host::usual6();
    let payload = [&[proto::UDP, 2, 0, 1][..], &[0; 20], &udp6(PEER6, HOST6, 1, 2, b"x")].concat();
    host.receive(Ip6::new(proto::IPV6_ROUTE, payload).frame());
    let packet = host.expect_ip6();
    let Icmpv6Message::ParameterProblem { code: 0, pointer, .. } = packet.icmp() else { panic!("a problem") };
    assert_eq!(pointer, 42);
}

/// RFC 792 "Redirect", RFC 1122 §3.2.2.2: from the gateway in use, toward a neighbour.
#[test]
fn a_redirect_is_obeyed() {
    let mut host = Host::usual();
    host.know(OTHER.into(), OTHER_MAC);
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "198.51.100.7:9", b"x").expect("sent");
    let sent = host.expect();
    host.receive(icmp4_frame(Icmpv4Message::Redirect { code: 1, gateway: OTHER, original: &sent[14..42] }));
    host.send_to(id, "198.51.100.7:9", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, OTHER_MAC);
    host.send_to(id, "198.51.100.8:9", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, PEER_MAC);
}

/// RFC 1122 §3.2.2.2: not from anybody else, nor to a gateway that is off the link.
#[test]
fn a_forged_redirect_is_ignored() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "198.51.100.7:9", b"x").expect("sent");
    let sent = host.expect();
    let redirect = |gateway| Icmpv4Message::Redirect { code: 1, gateway, original: &sent[14..42] }.to_vec();
    let mut from_stranger = Ip4::new(proto::ICMP, redirect(OTHER));
    from_stranger.header.src = OTHER;
    host.receive(from_stranger.frame());
    host.receive(Ip4::new(proto::ICMP, redirect(Ipv4Addr::new(10, 0, 0, 1))).frame());
    host.receive(Ip4::new(proto::ICMP, redirect(HOST)).frame());
    assert_eq!(host.counter("icmp", "redirects ignored"), 3);
    host.send_to(id, "198.51.100.7:9", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, PEER_MAC);
}

/// RFC 8201 §4: a packet-too-big below 1280 is not believed.
#[test]
fn an_impossible_path_mtu_is_ignored() {
    let mut host = Host::usual6();
    let id = host.udp("[::]:1000");
    host.stack.connect(host.now, id, Some("[2001:db8:ffff::7]:9".parse().expect("literal"))).expect("connected");
    host.send(id, &[0; 1400]).expect("sent");
    let sent = host.expect();
    host.receive(icmp6_frame(Icmpv6Message::PacketTooBig { mtu: 600, original: &sent[14..] }));
    host.send(id, &[0; 1400]).expect("sent");
    assert_eq!(host.expect_ip6().payload.len(), 1408);
    host.receive(icmp6_frame(Icmpv6Message::PacketTooBig { mtu: 1280, original: &sent[14..] }));
    assert_eq!(host.stack.take_error(id), Some(stack::Errno::EMSGSIZE));
    host.send(id, &[0; 1400]).expect("sent");
    assert_eq!(host.expect_ip6().header.next_header, proto::IPV6_FRAG);
}

/// RFC 1191 §6.3, RFC 8201 §5.3: after ten minutes a larger one is tried again.
#[test]
fn a_path_mtu_is_forgotten_in_time() {
    let mut host = Host::usual();
    host.stack.net.learn_mtu(host.now, FAR.into(), 1000);
    assert_eq!(host.stack.net.path(FAR.into(), None, None).expect("a way").mtu, 1000);
    host.advance(601_000);
    assert_eq!(host.stack.net.path(FAR.into(), None, None).expect("a way").mtu, 1500);
}

/// RFC 1122 §3.2.1.3: addresses that cannot come from a wire.
#[test]
fn martians_are_dropped() {
    let mut host = Host::usual();
    let mut from = |src: &str, dst: &str| {
        let mut packet = Ip4::new(proto::ICMP, echo(b"").to_vec());
        packet.header.src = src.parse().expect("literal");
        packet.header.dst = dst.parse().expect("literal");
        host.receive(packet.frame());
        host.expect_nothing();
    };
    from("127.0.0.1", "192.168.1.100");
    from("192.168.1.1", "127.0.0.1");
    from("224.0.0.1", "192.168.1.100");
    from("255.255.255.255", "192.168.1.100");
    from("192.168.1.255", "192.168.1.100");
    from("192.168.1.100", "192.168.1.100");
    from("0.1.2.3", "192.168.1.100");
    assert_eq!(host.counter("ip", "datagrams with bad address in header"), 7);
}

/// RFC 1122 §3.3.6: a unicast packet in a broadcast frame is dropped.
#[test]
fn a_unicast_packet_in_a_broadcast_frame_is_dropped() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::ICMP, echo(b"").to_vec());
    packet.dst_mac = BROADCAST;
    host.receive(packet.frame());
    host.expect_nothing();
}

/// RFC 791 §3.1: malformed headers, each under its name.
#[test]
fn malformed_headers_are_counted() {
    let mut host = Host::usual();
    let good = Ip4::new(proto::ICMP, echo(b"").to_vec()).frame();
    let mut broken = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        host.receive(bad);
    };
    broken(14, 0x65);
    broken(14, 0x44);
    broken(17, 200);
    broken(22, 63);
    host.receive(good[..20].to_vec());
    host.expect_nothing();
    for text in [
        "with incorrect version number",
        "with header length < data size",
        "with data size < data length",
        "bad header checksums",
        "with size smaller than minimum",
    ] {
        assert_eq!(host.counter("ip", text), 1, "{text}");
    }
}

/// An answer to ourselves: ping 127.0.0.1 and ::1.
#[test]
fn we_answer_ourselves() {
    let mut host = Host::usual6();
    for (domain, protocol, dst, request) in [
        (stack::Domain::V4, proto::ICMP, "127.0.0.1:0", [8, 0, 0, 0, 0, 0, 0, 1]),
        (stack::Domain::V6, proto::ICMPV6, "[::1]:0", [128, 0, 0, 0, 0, 0, 0, 1]),
        (stack::Domain::V6, proto::ICMPV6, "[2001:db8::100]:0", [128, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        let id = host.stack.socket(domain, stack::SocketKind::Ping, protocol).expect("a socket");
        host.send_to(id, dst, &request).expect("sent");
        assert_eq!(host.datagram().0, id);
    }
    host.expect_nothing();
}

/// RFC 4443 §2.4 e 3: no error about a group's packet, but for an option that demands one (code 2).
#[test]
fn a_groups_packet_is_answered_only_for_an_option_that_demands_it() {
    let mut host = Host::usual6();
    let group = wire::addr::ALL_NODES_V6;
    let mut to_group = |next_header, payload| {
        let mut packet = Ip6::new(next_header, payload);
        (packet.header.dst, packet.dst_mac) = (group, MacAddr::multicast_v6(group));
        host.receive(packet.frame());
        host.next_frame()
    };
    assert_eq!(to_group(200, vec![0; 20]), None);
    let with_option = |kind| [&[proto::UDP, 0, kind, 4, 0, 0, 0, 0][..], &udp6(PEER6, group, 1, 2, b"x")].concat();
    assert_eq!(to_group(proto::DSTOPTS, with_option(0xfe)), None);
    let answer = Ip6::of(&to_group(proto::DSTOPTS, with_option(0xbe)).expect("an error"));
    assert!(matches!(answer.icmp(), Icmpv6Message::ParameterProblem { code: icmpv6::PARAM_OPTION, .. }));
}
