//! ARP: RFC 826, RFC 1122 §2.3.2, RFC 5227.

use std::net::Ipv4Addr;

use stack::net::{ConfigEvent, NeighbourState, iff};
use wire::MacAddr;
use wire::arp::{ArpOp, ArpPacket};

use crate::harness::*;

fn request(from: (MacAddr, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    arp(BROADCAST, ArpOp::Request, from, (MacAddr::ZERO, target))
}

fn reply(from: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    arp(HOST_MAC, ArpOp::Reply, from, (HOST_MAC, HOST))
}

fn host() -> Host {
    Host::v4("192.168.1.100/24")
}

fn state(host: &Host, addr: Ipv4Addr) -> Option<NeighbourState> {
    host.stack.net.neighbours().find(|n| n.addr == addr).map(|n| n.state)
}

/// RFC 826 "Packet reception": a request for our address is answered to the asker.
#[test]
fn a_request_for_our_address_is_answered() {
    let mut host = host();
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_frame(&arp(PEER_MAC, ArpOp::Reply, (HOST_MAC, HOST), (PEER_MAC, PEER)));
    host.expect_nothing();
}

/// RFC 826: a request for another's address is not ours to answer, and makes no entry.
#[test]
fn a_request_for_another_address_is_left_alone() {
    let mut host = host();
    host.receive(request((PEER_MAC, PEER), OTHER));
    host.expect_nothing();
    assert_eq!(state(&host, PEER), None);
}

/// RFC 826: who asks for us is entered, since we shall soon have something to send.
#[test]
fn the_asker_is_learned() {
    let mut host = host();
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_arp();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"hi").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, PEER_MAC);
}

/// RFC 826: the first packet to a neighbour waits for the answer to a broadcast question.
#[test]
fn a_packet_waits_for_the_reply() {
    let mut host = host();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"one").expect("queued");
    host.send_to(id, "192.168.1.1:2000", b"two").expect("queued");
    host.expect_frame(&request((HOST_MAC, HOST), PEER));
    host.expect_nothing();
    host.receive(reply((PEER_MAC, PEER)));
    let (first, second) = (host.expect_ip4(), host.expect_ip4());
    assert_eq!((first.dst_mac, first.udp().1), (PEER_MAC, b"one".to_vec()));
    assert_eq!(second.udp().1, b"two");
}

/// RFC 1122 §2.3.2.1: at most one question a second for the same address.
#[test]
fn questions_are_a_second_apart() {
    let mut host = host();
    let id = host.udp("0.0.0.0:1000");
    for _ in 0..20 {
        let _ = host.send_to(id, "192.168.1.1:2000", b"x");
    }
    host.expect_arp();
    host.advance(990);
    host.expect_nothing();
    host.advance(20);
    host.expect_arp();
    host.advance(1000);
    host.expect_arp();
    host.expect_nothing();
}

/// RFC 1122 §2.3.2.2: after three questions the packets are given up, and for a while nobody asks.
#[test]
fn silence_ends_in_host_unreachable() {
    let mut host = host();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"x").expect("queued");
    host.advance(3100);
    assert_eq!(state(&host, PEER), Some(NeighbourState::Failed));
    assert_eq!(host.send_to(id, "192.168.1.1:2000", b"x"), Err(stack::Errno::EHOSTUNREACH));
    while host.next_frame().is_some() {}
    host.advance(3000);
    host.expect_nothing();
    host.send_to(id, "192.168.1.1:2000", b"x").expect("asked again");
    host.expect_arp();
}

/// RFC 1122 §2.3.2.2: at least one packet is kept; here a bounded number, the oldest going first.
#[test]
fn the_queue_of_a_neighbour_is_bounded() {
    let mut host = host();
    let id = host.udp("0.0.0.0:1000");
    for n in 0..100u8 {
        host.send_to(id, "192.168.1.1:2000", &[n]).expect("queued");
    }
    assert_eq!(host.counter("arp", "packets dropped due to full neighbour queue"), 36);
    host.expect_arp();
    host.receive(reply((PEER_MAC, PEER)));
    assert_eq!(host.expect_ip4().udp().1, [36]);
}

/// RFC 6583 §7.1: those who do not answer, however many, displace none who does, nor keep a new one out.
#[test]
fn a_full_table_displaces_those_who_do_not_answer() {
    let mut host = Host::v4("192.168.1.100/16");
    let id = host.udp("0.0.0.0:1000");
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_arp();
    for n in 0..2000u16 {
        host.send_to(id, &format!("192.168.{}.{}:9", 10 + n / 200, 1 + n % 200), b"?").expect("there is room");
        host.expect_arp();
    }
    assert!(host.counter("arp", "packets dropped due to full neighbour table") > 1400);
    host.send_to(id, "192.168.1.1:2000", b"known").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, PEER_MAC);
    host.send_to(id, "192.168.1.2:2000", b"new").expect("asked");
    host.expect_arp();
    host.receive(reply((PEER_MAC, Ipv4Addr::new(192, 168, 1, 2))));
    assert_eq!(host.expect_ip4().udp().1, b"new");
}

/// RFC 826, RFC 5227 §1.1: an unsolicited reply makes no entry.
#[test]
fn an_unsolicited_reply_makes_no_entry() {
    let mut host = host();
    host.receive(reply((PEER_MAC, PEER)));
    assert_eq!(state(&host, PEER), None);
}

/// RFC 826: what is known is brought up to date by any packet of the neighbour.
#[test]
fn a_gratuitous_request_updates_an_entry() {
    let mut host = host();
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_arp();
    host.receive(request((OTHER_MAC, PEER), PEER));
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, OTHER_MAC);
}

/// An operator's entry is not changed by the wire.
#[test]
fn a_permanent_entry_stays() {
    let mut host = Host::usual();
    host.receive(request((OTHER_MAC, PEER), HOST));
    host.expect_arp();
    assert_eq!(host.counter("arp", "attempts to overwrite a static entry"), 1);
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, PEER_MAC);
}

/// RFC 5227 §2.3: an address is announced twice, two seconds apart, when it is configured.
#[test]
fn a_new_address_is_announced_twice() {
    let mut host = Host::bare();
    host.add_address("192.168.1.100/24");
    let announcement = request((HOST_MAC, HOST), HOST);
    host.expect_frame(&announcement);
    host.expect_nothing();
    host.advance(2000);
    host.expect_frame(&announcement);
    host.advance(10_000);
    host.expect_nothing();
}

/// RFC 5227 §2.4 b: a conflict is noticed and the address defended by one announcement.
#[test]
fn a_conflict_is_reported_and_the_address_defended() {
    let mut host = host();
    host.receive(request((PEER_MAC, HOST), HOST));
    host.expect_frame(&request((HOST_MAC, HOST), HOST));
    assert_eq!(host.counter("arp", "duplicates for a local IP address"), 1);
    let events = host.stack.net.take_config_events();
    assert_eq!(events, [ConfigEvent::Duplicate { link: "en0".into(), addr: HOST.into(), mac: PEER_MAC }]);
}

/// RFC 5227 §2.1.1: a probe for our address (sender 0.0.0.0) is answered and teaches us nothing.
#[test]
fn a_probe_for_our_address_is_answered() {
    let mut host = host();
    host.receive(request((PEER_MAC, Ipv4Addr::UNSPECIFIED), HOST));
    let (to, answer) = host.expect_arp();
    assert_eq!((to, answer.op, answer.sender_ip), (PEER_MAC, ArpOp::Reply, HOST));
    assert_eq!(state(&host, Ipv4Addr::UNSPECIFIED), None);
}

/// RFC 826: only Ethernet and IPv4 of their lengths are looked at.
#[test]
fn malformed_packets_are_counted() {
    let mut host = host();
    let good = request((PEER_MAC, PEER), HOST);
    for (at, value) in [(14, 9), (16, 9), (18, 9), (19, 9), (21, 77)] {
        let mut bad = good.clone();
        bad[at] = value;
        host.receive(bad);
    }
    host.receive(good[..30].to_vec());
    host.expect_nothing();
    assert_eq!(host.counter("arp", "packets with bad format"), 6);
}

/// RFC 1812 §3.3.2: a group's station address is nobody's.
#[test]
fn a_multicast_sender_is_refused() {
    let mut host = host();
    host.receive(request((MacAddr([1, 0, 0x5e, 0, 0, 1]), PEER), HOST));
    host.expect_nothing();
    assert_eq!(host.counter("arp", "packets with group hardware address"), 1);
}

/// RFC 1122 §3.2.1.3: nobody's IP address is a group's or a loopback one.
#[test]
fn an_impossible_sender_address_is_refused() {
    let mut host = host();
    for bad in ["224.0.0.1", "127.0.0.1", "255.255.255.255", "192.168.1.255"] {
        host.receive(request((PEER_MAC, bad.parse().expect("address")), HOST));
    }
    host.expect_nothing();
    assert_eq!(host.counter("arp", "packets with bad sender address"), 4);
}

/// RFC 1122 §2.3.2.1 (2): an entry gone old is verified by a unicast question.
#[test]
fn an_old_entry_is_verified_by_unicast() {
    let mut host = host();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"x").expect("queued");
    host.expect_arp();
    host.receive(reply((PEER_MAC, PEER)));
    host.expect_ip4();
    host.advance(46_000);
    assert_eq!(state(&host, PEER), Some(NeighbourState::Stale));
    host.send_to(id, "192.168.1.1:2000", b"x").expect("sent at once");
    host.expect_ip4();
    host.advance(5000);
    host.expect_frame(&arp(PEER_MAC, ArpOp::Request, (HOST_MAC, HOST), (MacAddr::ZERO, PEER)));
    host.receive(reply((PEER_MAC, PEER)));
    assert_eq!(state(&host, PEER), Some(NeighbourState::Reachable));
}

/// RFC 4861 §7.3.3, applied to ARP: a neighbour that no longer answers is forgotten.
#[test]
fn a_neighbour_that_does_not_answer_any_more_is_forgotten() {
    let mut host = host();
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_arp();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"x").expect("sent");
    host.expect_ip4();
    host.advance(5000 + 3100);
    for _ in 0..3 {
        assert_eq!(host.expect_arp().0, PEER_MAC);
    }
    host.expect_nothing();
    assert_eq!(state(&host, PEER), None);
}

/// RFC 1122 §3.3.1.1: what is beyond the link goes to the gateway's station.
#[test]
fn a_far_destination_asks_for_the_gateway() {
    let mut host = host();
    host.route("0.0.0.0/0", PEER.into());
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "198.51.100.7:2000", b"x").expect("queued");
    host.expect_frame(&request((HOST_MAC, HOST), PEER));
    host.receive(reply((PEER_MAC, PEER)));
    let packet = host.expect_ip4();
    assert_eq!((packet.dst_mac, packet.header.dst), (PEER_MAC, FAR));
}

/// IFF_NOARP: such a link neither asks nor answers.
#[test]
fn a_link_without_arp_is_silent() {
    let mut host = host();
    host.stack.net.set_admin_flags(host.now, host.link, iff::NOARP, 0).expect("set");
    host.receive(request((PEER_MAC, PEER), HOST));
    host.expect_nothing();
}

/// The table is bounded; entries that can be learned again make room.
#[test]
fn the_table_is_bounded() {
    let mut host = host();
    for n in 0..2000u32 {
        let addr = Ipv4Addr::from_bits(HOST.to_bits() & !255 | (n % 250));
        if addr != HOST {
            host.receive(request((MacAddr([2, 1, 0, 0, (n >> 8) as u8, n as u8]), addr), HOST));
        }
    }
    assert!(host.stack.net.neighbours().count() <= 512);
}

/// The question is asked from the address of the target's subnet.
#[test]
fn the_question_comes_from_the_targets_subnet() {
    let mut host = host();
    host.add_address("10.0.0.5/8");
    host.settle();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "10.1.1.1:2000", b"x").expect("queued");
    let (_, ArpPacket { sender_ip, .. }) = host.expect_arp();
    assert_eq!(sender_ip, Ipv4Addr::new(10, 0, 0, 5));
}
