//! Group membership: RFC 1112, RFC 2236, RFC 3376, RFC 2710, RFC 3810.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stack::net::{LinkRequest, LinkRequestKind};
use wire::MacAddr;
use wire::addr::{ALL_IGMPV3_ROUTERS, ALL_MLDV2_ROUTERS, ALL_NODES_V6, ALL_ROUTERS_V4, ALL_ROUTERS_V6, ALL_SYSTEMS_V4};
use wire::group_record::RecordKind;
use wire::igmp::{IgmpMessage, IgmpQuery, IgmpQueryVersion};
use wire::mld::{MldMessage, MldQuery, MldQueryVersion};
use wire::proto;

use crate::harness::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x77);

fn join(host: &mut Host, group: impl Into<IpAddr>) {
    host.stack.net.join_group(host.now, host.link, group.into()).expect("joined");
    host.run();
}

fn leave(host: &mut Host, group: impl Into<IpAddr>) {
    host.stack.net.leave_group(host.now, host.link, group.into()).expect("left");
    host.run();
}

/// Kind and group of the one record of a version 3 report.
fn record(packet: &Ip4) -> (RecordKind, Ipv4Addr) {
    assert_eq!((packet.header.proto, packet.header.ttl, packet.header.dst), (proto::IGMP, 1, ALL_IGMPV3_ROUTERS));
    assert_eq!(packet.options, [148, 4, 0, 0]);
    let IgmpMessage::ReportV3(mut records) = IgmpMessage::parse(&packet.payload).expect("IGMP") else {
        panic!("a report")
    };
    let record = records.next().expect("a record").expect("well formed");
    (record.kind, record.group)
}

/// The MLD message behind the router alert.
fn mld(packet: &Ip6) -> MldMessage<'_> {
    assert_eq!((packet.header.next_header, packet.header.hop_limit), (proto::HOPOPTS, 1));
    assert_eq!(packet.payload[..8], [proto::ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
    wire::icmpv6::verify(&packet.payload[8..], packet.header.src, packet.header.dst).expect("the checksum is right");
    MldMessage::parse(&packet.payload[8..]).expect("MLD")
}

fn query(host: &mut Host, version: IgmpQueryVersion<'_>, code: u8, group: Ipv4Addr) {
    let mut payload = vec![0; 12];
    let n = IgmpMessage::Query(IgmpQuery { group, max_resp_code: code, version }).emit(&mut payload);
    payload.truncate(n);
    let mut packet = Ip4::new(proto::IGMP, payload);
    (packet.header.ttl, packet.header.dst, packet.dst_mac) = (1, ALL_SYSTEMS_V4, MacAddr::multicast_v4(ALL_SYSTEMS_V4));
    host.receive(packet.frame());
}

fn query6(host: &mut Host, max_ms: u16) {
    let mut payload = vec![0; 24];
    MldMessage::Query(MldQuery { group: Ipv6Addr::UNSPECIFIED, max_resp_code: max_ms, version: MldQueryVersion::V1 })
        .emit(PEER_LL, ALL_NODES_V6, &mut payload);
    let mut packet = Ip6::new(proto::ICMPV6, payload);
    (packet.header.hop_limit, packet.header.src, packet.header.dst) = (1, PEER_LL, ALL_NODES_V6);
    packet.dst_mac = MacAddr::multicast_v6(ALL_NODES_V6);
    host.receive(packet.frame());
}

/// RFC 3376 §5.1, §8.1: a join is reported twice, within a second.
#[test]
fn a_join_is_reported_twice() {
    let mut host = Host::usual();
    join(&mut host, GROUP);
    assert_eq!(record(&host.expect_ip4()), (RecordKind::ModeIsExclude, GROUP));
    host.advance(1000);
    assert_eq!(record(&host.expect_ip4()), (RecordKind::ModeIsExclude, GROUP));
    host.advance(100_000);
    host.expect_nothing();
}

/// RFC 3376 §5.1: memberships are counted; the last leave is reported.
#[test]
fn the_last_leave_is_reported() {
    let mut host = Host::usual();
    join(&mut host, GROUP);
    join(&mut host, GROUP);
    host.settle();
    leave(&mut host, GROUP);
    host.expect_nothing();
    assert!(host.stack.net.is_member(host.link, GROUP.into()));
    leave(&mut host, GROUP);
    assert_eq!(record(&host.expect_ip4()), (RecordKind::ChangeToInclude, GROUP));
    assert!(!host.stack.net.is_member(host.link, GROUP.into()));
}

/// RFC 3376 §5.2: a query is answered within its time.
#[test]
fn a_query_is_answered_within_its_time() {
    let mut host = Host::usual();
    join(&mut host, GROUP);
    host.settle();
    let version = IgmpQueryVersion::V3(wire::group_record::SourceQuery {
        suppress: false,
        qrv: 2,
        qqic: 125,
        sources: empty_list(),
    });
    query(&mut host, version, 100, Ipv4Addr::UNSPECIFIED);
    host.advance(10_000);
    assert_eq!(record(&host.expect_ip4()), (RecordKind::ModeIsExclude, GROUP));
    host.expect_nothing();
}

fn empty_list() -> wire::addr_list::AddrList<'static, Ipv4Addr> {
    wire::addr_list::AddrList::EMPTY
}

/// RFC 3376 §7.2.1: to an IGMPv2 router version 2 is spoken, the leave too.
#[test]
fn version_2_is_spoken_to_a_version_2_router() {
    let mut host = Host::usual();
    join(&mut host, GROUP);
    host.settle();
    query(&mut host, IgmpQueryVersion::V2, 50, Ipv4Addr::UNSPECIFIED);
    host.advance(5000);
    let packet = host.expect_ip4();
    assert_eq!(
        (packet.header.dst, IgmpMessage::parse(&packet.payload)),
        (GROUP, Ok(IgmpMessage::ReportV2 { group: GROUP }))
    );
    leave(&mut host, GROUP);
    let packet = host.expect_ip4();
    assert_eq!(
        (packet.header.dst, IgmpMessage::parse(&packet.payload)),
        (ALL_ROUTERS_V4, Ok(IgmpMessage::Leave { group: GROUP }))
    );
}

/// RFC 2236 §3: another member's report makes ours needless, and the leave too.
#[test]
fn anothers_report_suppresses_ours() {
    let mut host = Host::usual();
    join(&mut host, GROUP);
    host.settle();
    query(&mut host, IgmpQueryVersion::V2, 100, Ipv4Addr::UNSPECIFIED);
    let mut payload = vec![0; 8];
    IgmpMessage::ReportV2 { group: GROUP }.emit(&mut payload);
    let mut packet = Ip4::new(proto::IGMP, payload);
    (packet.header.dst, packet.header.ttl, packet.dst_mac) = (GROUP, 1, MacAddr::multicast_v4(GROUP));
    host.receive(packet.frame());
    host.advance(10_000);
    leave(&mut host, GROUP);
    host.expect_nothing();
}

/// RFC 3376 §6: 224.0.0.1 is everybody's and never reported.
#[test]
fn all_systems_is_never_reported() {
    let mut host = Host::usual();
    join(&mut host, ALL_SYSTEMS_V4);
    host.advance(20_000);
    host.expect_nothing();
    assert!(host.stack.net.is_member(host.link, ALL_SYSTEMS_V4.into()));
}

/// RFC 3810 §5.2, §6.1: the same by MLDv2, behind a router alert, from the link-local address.
#[test]
fn an_ipv6_join_is_reported_by_mld() {
    let mut host = Host::usual6();
    join(&mut host, GROUP6);
    let packet = host.expect_ip6();
    assert_eq!((packet.header.src, packet.header.dst), (HOST_LL, ALL_MLDV2_ROUTERS));
    let MldMessage::ReportV2(mut records) = mld(&packet) else { panic!("a report") };
    let record = records.next().expect("a record").expect("well formed");
    assert_eq!((record.kind, record.group), (RecordKind::ModeIsExclude, GROUP6));
    host.advance(1000);
    host.expect_ip6();
    leave(&mut host, GROUP6);
    let packet = host.expect_ip6();
    let MldMessage::ReportV2(mut records) = mld(&packet) else { panic!("a report") };
    assert_eq!(records.next().expect("a record").expect("well formed").kind, RecordKind::ChangeToInclude);
}

/// RFC 3810 §8.2.1: to an MLDv1 router version 1 is spoken.
#[test]
fn mld_version_1_is_spoken_to_a_version_1_router() {
    let mut host = Host::usual6();
    join(&mut host, GROUP6);
    host.settle();
    query6(&mut host, 5000);
    host.advance(5000);
    let mut groups = Vec::new();
    while let Some(frame) = host.next_frame() {
        let packet = Ip6::of(&frame);
        let MldMessage::ReportV1 { group } = mld(&packet) else { panic!("a version 1 report") };
        assert_eq!(packet.header.dst, group);
        groups.push(group);
    }
    assert!(groups.contains(&GROUP6));
    assert!(!groups.contains(&ALL_NODES_V6));
    leave(&mut host, GROUP6);
    let packet = host.expect_ip6();
    assert_eq!((packet.header.dst, mld(&packet)), (ALL_ROUTERS_V6, MldMessage::Done { group: GROUP6 }));
}

/// RFC 3810 §6.2: a query that does not come from the link is ignored.
#[test]
fn a_query_from_off_the_link_is_ignored() {
    let mut host = Host::usual6();
    join(&mut host, GROUP6);
    host.settle();
    let mut payload = vec![0; 24];
    MldMessage::Query(MldQuery { group: Ipv6Addr::UNSPECIFIED, max_resp_code: 100, version: MldQueryVersion::V1 })
        .emit(PEER6, ALL_NODES_V6, &mut payload);
    let mut packet = Ip6::new(proto::ICMPV6, payload);
    (packet.header.hop_limit, packet.header.dst, packet.dst_mac) =
        (1, ALL_NODES_V6, MacAddr::multicast_v6(ALL_NODES_V6));
    host.receive(packet.frame());
    host.advance(1000);
    host.expect_nothing();
    assert_eq!(host.counter("mld", "membership queries received with invalid fields"), 1);
}

/// RFC 1112 §7.2: the driver is told which group stations to let in.
#[test]
fn the_driver_is_told_the_groups() {
    let mut host = Host::usual();
    host.stack.net.take_link_requests();
    join(&mut host, GROUP);
    let wanted = vec![MacAddr::multicast_v4(ALL_SYSTEMS_V4), MacAddr::multicast_v4(GROUP)];
    assert_eq!(
        host.stack.net.take_link_requests(),
        [LinkRequest { link: host.link, kind: LinkRequestKind::Multicast(wanted) }]
    );
}

/// RFC 1112 §7.2: what was not joined is not let in.
#[test]
fn a_group_that_was_not_joined_is_not_heard() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, GROUP, 2000, 1000, b"x"));
    (packet.header.dst, packet.dst_mac) = (GROUP, MacAddr::multicast_v4(GROUP));
    host.receive(packet.frame());
    host.expect_no_datagram();
    assert_eq!(host.counter("ip", "multicasts received for which no memberships exist"), 1);
}
