//! Neighbour discovery: RFC 4861.

use std::net::Ipv6Addr;

use stack::net::NeighbourState;
use wire::MacAddr;
use wire::addr::{ALL_NODES_V6, solicited_node};
use wire::icmpv6::{self, Icmpv6Message};
use wire::ndp::{NdpMessage, NdpOption};
use wire::proto;

use crate::harness::*;

fn host() -> Host {
    Host::v6("2001:db8::100/64")
}

fn solicit(src: Ipv6Addr, target: Ipv6Addr) -> Ip6 {
    nd_packet(
        src,
        solicited_node(target),
        NdpMessage::NeighborSolicit { target },
        &[NdpOption::SourceLinkAddr(PEER_MAC)],
    )
}

fn advert(solicited: bool, override_: bool, mac: Option<MacAddr>) -> Vec<u8> {
    let message = NdpMessage::NeighborAdvert { router: false, solicited, override_, target: PEER6 };
    let options: Vec<NdpOption<'_>> = mac.map(NdpOption::TargetLinkAddr).into_iter().collect();
    nd_frame(PEER6, if solicited { HOST6 } else { ALL_NODES_V6 }, message, &options)
}

fn state(host: &Host) -> Option<(NeighbourState, Option<MacAddr>)> {
    host.stack.net.neighbours().find(|n| n.addr == PEER6).map(|n| (n.state, n.mac))
}

/// A host to which the peer is reachable.
fn acquainted() -> (Host, stack::SocketId) {
    let mut host = host();
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("queued");
    host.receive(advert(true, true, Some(PEER_MAC)));
    while host.next_frame().is_some() {}
    assert_eq!(state(&host), Some((NeighbourState::Reachable, Some(PEER_MAC))));
    (host, id)
}

/// RFC 4861 §7.2.4: a solicitation is answered, solicited and overriding, to the asker.
#[test]
fn a_solicitation_is_answered() {
    let mut host = host();
    host.receive(solicit(PEER6, HOST6).frame());
    let (packet, message) = host.expect_nd();
    assert_eq!(message, NdpMessage::NeighborAdvert { router: false, solicited: true, override_: true, target: HOST6 });
    assert_eq!((packet.header.src, packet.header.dst, packet.dst_mac), (HOST6, PEER6, PEER_MAC));
    let (_, mut options) = NdpMessage::parse(&packet.payload).expect("valid");
    assert_eq!(options.next(), Some(Ok(NdpOption::TargetLinkAddr(HOST_MAC))));
}

/// RFC 4861 §7.2.3: the asker is entered, unverified.
#[test]
fn the_asker_is_learned_as_stale() {
    let mut host = host();
    host.receive(nd_frame(
        PEER6,
        solicited_node(HOST6),
        NdpMessage::NeighborSolicit { target: OTHER6 },
        &[NdpOption::SourceLinkAddr(PEER_MAC)],
    ));
    assert_eq!(state(&host), None);
    host.expect_nothing();
    host.receive(solicit(PEER6, HOST6).frame());
    // Our answer to it starts the delay.
    assert_eq!(state(&host), Some((NeighbourState::Delay, Some(PEER_MAC))));
}

/// RFC 4861 §7.2.4: an unspecified asker (a probe) is answered to all nodes, not as solicited.
#[test]
fn a_probe_for_our_address_is_answered_to_all_nodes() {
    let mut host = host();
    let message = NdpMessage::NeighborSolicit { target: HOST6 };
    host.receive(nd_frame(Ipv6Addr::UNSPECIFIED, solicited_node(HOST6), message, &[]));
    let (packet, message) = host.expect_nd();
    assert_eq!(packet.header.dst, ALL_NODES_V6);
    assert_eq!(message, NdpMessage::NeighborAdvert { router: false, solicited: false, override_: true, target: HOST6 });
}

/// RFC 4861 §7.1.1: a hop limit other than 255 comes from off the link.
#[test]
fn a_solicitation_from_off_the_link_is_dropped() {
    let mut host = host();
    let mut packet = solicit(PEER6, HOST6);
    packet.header.hop_limit = 254;
    host.receive(packet.frame());
    host.expect_nothing();
    assert_eq!(host.counter("icmp6", "bad neighbor solicitation messages"), 1);
}

/// RFC 4861 §7.1.1: code, option lengths, multicast targets, probes that name a source.
#[test]
fn malformed_solicitations_are_dropped() {
    let mut host = host();
    let good = solicit(PEER6, HOST6);
    let mut bad_code = good.clone();
    bad_code.payload[1] = 1;
    icmpv6::finish(&mut bad_code.payload, PEER6, solicited_node(HOST6));
    let mut zero_option = good.clone();
    zero_option.payload[25] = 0;
    icmpv6::finish(&mut zero_option.payload, PEER6, solicited_node(HOST6));
    let group_target =
        nd_packet(PEER6, solicited_node(HOST6), NdpMessage::NeighborSolicit { target: ALL_NODES_V6 }, &[]);
    let naming_probe = solicit(Ipv6Addr::UNSPECIFIED, HOST6);
    for packet in [bad_code, zero_option, group_target, naming_probe] {
        host.receive(packet.frame());
        host.expect_nothing();
    }
    assert_eq!(host.counter("icmp6", "bad neighbor solicitation messages"), 4);
}

/// RFC 4861 §7.2.2: a packet waits for the answer to a solicitation of the target's own group.
#[test]
fn a_packet_waits_for_the_advertisement() {
    let mut host = host();
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("queued");
    let (packet, message) = host.expect_nd();
    assert_eq!(message, NdpMessage::NeighborSolicit { target: PEER6 });
    assert_eq!(
        (packet.header.dst, packet.dst_mac),
        (solicited_node(PEER6), MacAddr::multicast_v6(solicited_node(PEER6)))
    );
    let (_, mut options) = NdpMessage::parse(&packet.payload).expect("valid");
    assert_eq!(options.next(), Some(Ok(NdpOption::SourceLinkAddr(HOST_MAC))));
    host.expect_nothing();
    host.receive(advert(true, true, Some(PEER_MAC)));
    assert_eq!(host.expect_ip6().dst_mac, PEER_MAC);
}

/// RFC 4861 §7.2.2, §7.3.3: three solicitations a second apart, then the address is unreachable.
#[test]
fn three_solicitations_then_unreachable() {
    let mut host = host();
    let id = host.udp("[::]:1000");
    host.stack.set_option(host.now, id, stack::SockOpt::RecvErr6(true)).expect("set");
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("queued");
    host.advance(2900);
    for _ in 0..3 {
        host.expect_nd();
    }
    host.advance(200);
    host.expect_nothing();
    assert_eq!(host.stack.take_error(id), Some(stack::Errno::EHOSTUNREACH));
    assert_eq!(host.counter("icmp6", "packets dropped due to unresolved neighbour"), 1);
}

/// RFC 4861 §7.2.5: an advertisement that nobody asked for makes no entry.
#[test]
fn an_unsolicited_advertisement_makes_no_entry() {
    let mut host = host();
    host.receive(advert(false, true, Some(PEER_MAC)));
    assert_eq!(state(&host), None);
}

/// RFC 4861 §7.2.5: an unsolicited answer resolves an INCOMPLETE entry, but only to STALE.
#[test]
fn an_unsolicited_answer_is_believed_as_stale() {
    let mut host = host();
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("queued");
    host.receive(advert(false, true, Some(PEER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Stale, Some(PEER_MAC))));
}

/// RFC 4861 §7.2.5: without a link-layer address it resolves nothing.
#[test]
fn an_answer_without_address_resolves_nothing() {
    let mut host = host();
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("queued");
    host.receive(advert(true, true, None));
    assert_eq!(state(&host), Some((NeighbourState::Incomplete, None)));
}

/// RFC 4861 §7.2.5 I: another address without Override puts a REACHABLE entry in doubt, no more.
#[test]
fn another_address_without_override_only_raises_doubt() {
    let (mut host, _) = acquainted();
    host.receive(advert(true, false, Some(OTHER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Stale, Some(PEER_MAC))));
    host.receive(advert(true, false, Some(OTHER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Stale, Some(PEER_MAC))));
}

/// RFC 4861 §7.2.5 II: with Override it is taken; unsolicited it is STALE.
#[test]
fn another_address_with_override_is_taken() {
    let (mut host, _) = acquainted();
    host.receive(advert(false, true, Some(OTHER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Stale, Some(OTHER_MAC))));
    host.receive(advert(true, true, Some(PEER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Reachable, Some(PEER_MAC))));
}

/// RFC 4861 §7.2.5 II: the same address, unsolicited, changes nothing.
#[test]
fn the_same_address_unsolicited_changes_nothing() {
    let (mut host, _) = acquainted();
    host.receive(advert(false, true, Some(PEER_MAC)));
    assert_eq!(state(&host), Some((NeighbourState::Reachable, Some(PEER_MAC))));
}

/// RFC 4861 §7.3.3: REACHABLE, STALE, DELAY, PROBE by unicast, gone.
#[test]
fn unreachability_detection_goes_through_its_states() {
    let (mut host, id) = acquainted();
    host.advance(46_000);
    assert_eq!(state(&host).map(|s| s.0), Some(NeighbourState::Stale));
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("sent");
    host.expect_ip6();
    assert_eq!(state(&host).map(|s| s.0), Some(NeighbourState::Delay));
    host.advance(4900);
    host.expect_nothing();
    host.advance(200);
    assert_eq!(state(&host).map(|s| s.0), Some(NeighbourState::Probe));
    let (packet, _) = host.expect_nd();
    assert_eq!((packet.header.dst, packet.dst_mac), (PEER6, PEER_MAC));
    host.advance(2000);
    host.expect_nd();
    host.expect_nd();
    host.advance(1000);
    assert_eq!(state(&host), None);
}

/// RFC 4861 §7.3.1: a transport's progress keeps a neighbour reachable.
#[test]
fn progress_of_a_transport_is_a_confirmation() {
    let (mut host, id) = acquainted();
    host.advance(46_000);
    host.send_to(id, "[2001:db8::2]:2000", b"x").expect("sent");
    host.expect_ip6();
    let path = host.stack.net.path(PEER6.into(), None, None).expect("a way");
    host.stack.net.confirm_reachable(host.now, &path);
    assert_eq!(state(&host).map(|s| s.0), Some(NeighbourState::Reachable));
    host.advance(6000);
    host.expect_nothing();
}

/// RFC 4861 §7.2.6, §4.4: an advertisement of our own address is noticed.
#[test]
fn somebody_elses_claim_to_our_address_is_reported() {
    let mut host = host();
    let message = NdpMessage::NeighborAdvert { router: false, solicited: false, override_: true, target: HOST6 };
    host.receive(nd_frame(PEER6, ALL_NODES_V6, message, &[NdpOption::TargetLinkAddr(PEER_MAC)]));
    assert_eq!(host.counter("icmp6", "duplicate addresses found"), 1);
    assert_eq!(host.stack.net.take_config_events().len(), 1);
}

/// RFC 4861 §8.3: a redirect of the router in use is obeyed.
#[test]
fn a_redirect_is_obeyed() {
    let mut host = Host::usual6();
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8:ffff::7]:9", b"x").expect("sent");
    assert_eq!(host.expect_ip6().dst_mac, PEER_MAC);
    let better: Ipv6Addr = "fe80::99".parse().expect("literal");
    let message = NdpMessage::Redirect { target: better, destination: FAR6 };
    host.receive(nd_frame(PEER_LL, HOST6, message, &[NdpOption::TargetLinkAddr(OTHER_MAC)]));
    host.send_to(id, "[2001:db8:ffff::7]:9", b"x").expect("sent");
    assert_eq!(host.expect_ip6().dst_mac, OTHER_MAC);
}

/// RFC 4861 §8.1, §8.3: not one from another node, nor with a global source.
#[test]
fn a_forged_redirect_is_ignored() {
    let mut host = Host::usual6();
    let better: Ipv6Addr = "fe80::99".parse().expect("literal");
    let message = NdpMessage::Redirect { target: better, destination: FAR6 };
    let options = [NdpOption::TargetLinkAddr(OTHER_MAC)];
    host.receive(nd_frame(better, HOST6, message, &options));
    host.receive(nd_frame(PEER6, HOST6, message, &options));
    assert_eq!(host.counter("icmp6", "bad redirect messages"), 2);
    assert_eq!(host.stack.net.lookup_route(FAR6.into()).and_then(|r| r.gateway), Some(PEER_LL.into()));
}

/// RFC 8201, RFC 4861 §4.2: the link's own MTU bounds what a neighbour is sent.
#[test]
fn nothing_larger_than_the_link_is_sent() {
    let (mut host, id) = acquainted();
    host.send_to(id, "[2001:db8::2]:2000", &[0; 5000]).expect("sent");
    while let Some(frame) = host.next_frame() {
        assert!(frame.len() <= 1514);
    }
}

/// RFC 4007 §6: a link-local destination needs its link; with it, it is reached.
#[test]
fn a_link_local_destination_needs_its_link() {
    let mut host = Host::usual6();
    let id = host.udp("[::]:1000");
    assert_eq!(host.send_to(id, "[fe80::ff:fe00:2]:9", b"x"), Err(stack::Errno::EINVAL));
    host.send_to(id, "[fe80::ff:fe00:2%2]:9", b"x").expect("sent");
    assert_eq!(host.expect_ip6().header.src, HOST_LL);
    let mut packet = Ip6::new(proto::UDP, udp6(PEER_LL, HOST_LL, 9, 1000, b"back"));
    (packet.header.src, packet.header.dst) = (PEER_LL, HOST_LL);
    host.receive(packet.frame());
    assert_eq!(host.datagram().1.src, "[fe80::ff:fe00:2%2]:9".parse().expect("literal"));
}

/// RFC 4007 §6, RFC 4443 §2.2: a scoped address is answered from, over its own link.
#[test]
fn an_echo_to_our_link_local_address_is_answered_on_its_link() {
    let mut host = Host::usual6();
    let request = Icmpv6Message::EchoRequest { id: 1, seq: 1, data: b"" };
    let mut packet = Ip6::new(proto::ICMPV6, request.to_vec(PEER_LL, HOST_LL));
    (packet.header.src, packet.header.dst) = (PEER_LL, HOST_LL);
    host.receive(packet.frame());
    assert_eq!(host.expect_ip6().header.src, HOST_LL);
}

/// RFC 6980 §5: neighbour discovery that carries a fragment header is ignored in silence, also when it
/// is in one piece.
#[test]
fn discovery_in_fragments_is_ignored() {
    use wire::ipv6::FragmentHeader;
    let whole = solicit(PEER6, HOST6);
    let in_pieces = |cuts: &[usize]| {
        let ends = cuts.iter().copied().chain([whole.payload.len()]);
        let mut from = 0;
        let mut frames = Vec::new();
        for to in ends {
            let mut payload = vec![0; 8];
            let more = to < whole.payload.len();
            FragmentHeader { next: proto::ICMPV6, offset: from as u16, more, id: 5 }.emit(&mut payload);
            payload.extend_from_slice(&whole.payload[from..to]);
            let mut header = whole.header;
            header.next_header = proto::IPV6_FRAG;
            frames.push(Ip6 { header, payload, ..whole.clone() }.frame());
            from = to;
        }
        frames
    };
    for cuts in [&[][..], &[16]] {
        let mut host = host();
        for frame in in_pieces(cuts) {
            host.receive(frame);
        }
        host.expect_nothing();
        assert_eq!(state(&host), None);
        assert_eq!(host.counter("icmp6", "neighbour discovery messages in fragments ignored"), 1);
    }
}

/// RFC 4861 §6.1.2, §7.1.2, §8.1: advertisements and redirects count only with a hop limit of 255.
#[test]
fn discovery_from_off_the_link_is_ignored() {
    let (mut host, _) = acquainted();
    let target = NdpMessage::NeighborAdvert { router: false, solicited: true, override_: true, target: PEER6 };
    let mut packet = nd_packet(PEER6, HOST6, target, &[NdpOption::TargetLinkAddr(OTHER_MAC)]);
    packet.header.hop_limit = 254;
    host.receive(packet.frame());
    assert_eq!(state(&host), Some((NeighbourState::Reachable, Some(PEER_MAC))));
    assert_eq!(host.counter("icmp6", "bad neighbor advertisement messages"), 1);
}
