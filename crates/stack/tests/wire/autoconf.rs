//! Stateless autoconfiguration and duplicate address detection: RFC 4862, RFC 4861 §6.3, RFC 4191,
//! RFC 8106.

use std::net::{IpAddr, Ipv6Addr};

use stack::Offloads;
use stack::net::{AddressState, ConfigEvent};
use wire::addr::{ALL_NODES_V6, ALL_ROUTERS_V6, solicited_node};
use wire::ndp::{NdpMessage, NdpOption, PrefixInfo, RouteInfo, RouterAdvert, RouterPreference};

use crate::harness::*;

const ADVERT: RouterAdvert = RouterAdvert {
    hop_limit: 0,
    managed: false,
    other: false,
    preference: RouterPreference::Medium,
    lifetime_s: 1800,
    reachable_ms: 0,
    retrans_ms: 0,
};
const PREFIX: PrefixInfo = PrefixInfo {
    prefix_len: 64,
    on_link: true,
    autonomous: true,
    valid_s: 86_400,
    preferred_s: 14_400,
    prefix: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0),
};
/// Of [`PREFIX`] and the host's station address.
const FORMED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0xff, 0xfe00, 1);

fn host() -> Host {
    let mut host = Host::build(true, 1500, Offloads::default());
    host.settle();
    host
}

fn advertise(host: &mut Host, from: Ipv6Addr, advert: RouterAdvert, options: &[NdpOption<'_>]) {
    host.receive(nd_frame(from, ALL_NODES_V6, NdpMessage::RouterAdvert(advert), options));
}

fn state(host: &Host, addr: Ipv6Addr) -> Option<AddressState> {
    host.stack
        .net
        .link(host.link)
        .and_then(|l| l.addresses.iter().find(|a| a.addr == IpAddr::V6(addr)).map(|a| a.state))
}

fn gateway(host: &Host) -> Option<IpAddr> {
    host.stack.net.lookup_route(FAR6.into()).and_then(|r| r.gateway)
}

/// The frames of neighbour discovery that wait, others passed over.
fn discovery(host: &mut Host) -> Vec<(Ip6, NdpMessage)> {
    let mut found = Vec::new();
    while let Some(frame) = host.next_frame() {
        let packet = Ip6::of(&frame);
        if packet.header.next_header == wire::proto::ICMPV6
            && let Ok((message, _)) = NdpMessage::parse(&packet.payload)
        {
            found.push((packet, message));
        }
    }
    found
}

/// RFC 4862 §5.3, §5.4: a link that comes up probes for its link-local address, then uses it.
#[test]
fn a_link_gives_itself_a_link_local_address() {
    let mut host = Host::build(true, 1500, Offloads::default());
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Tentative));
    let sent = discovery(&mut host);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, NdpMessage::NeighborSolicit { target: HOST_LL });
    assert_eq!((sent[0].0.header.src, sent[0].0.header.dst), (Ipv6Addr::UNSPECIFIED, solicited_node(HOST_LL)));
    assert!(!host.stack.net.is_local(HOST_LL.into()));
    host.advance(1000);
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Preferred));
    assert!(host.stack.net.is_local(HOST_LL.into()));
}

/// RFC 4862 §5.4.4: an advertisement says that the address is taken.
#[test]
fn an_advertisement_ends_the_probe_in_failure() {
    let mut host = Host::build(true, 1500, Offloads::default());
    let message = NdpMessage::NeighborAdvert { router: false, solicited: false, override_: true, target: HOST_LL };
    host.receive(nd_frame(HOST_LL, ALL_NODES_V6, message, &[NdpOption::TargetLinkAddr(PEER_MAC)]));
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Duplicated));
    host.advance(5000);
    assert!(!host.stack.net.is_local(HOST_LL.into()));
    assert_eq!(
        host.stack.net.take_config_events(),
        [ConfigEvent::Duplicate { link: "en0".into(), addr: HOST_LL.into(), mac: PEER_MAC }]
    );
}

/// RFC 4862 §5.4.3: so does another's probe for it.
#[test]
fn anothers_probe_ends_ours_in_failure() {
    let mut host = Host::build(true, 1500, Offloads::default());
    host.receive(nd_frame(
        Ipv6Addr::UNSPECIFIED,
        solicited_node(HOST_LL),
        NdpMessage::NeighborSolicit { target: HOST_LL },
        &[],
    ));
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Duplicated));
}

/// RFC 7527 §4.2: our own probe, looped back, does not.
#[test]
fn our_own_probe_coming_back_is_known() {
    let mut host = Host::build(true, 1500, Offloads::default());
    let probe = discovery(&mut host).remove(0).0;
    host.receive(probe.frame());
    host.advance(1000);
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Preferred));
}

/// RFC 4862 §5.4.3: a solicitation by an address, not a probe, is left unanswered meanwhile.
#[test]
fn a_tentative_address_does_not_answer() {
    let mut host = Host::build(true, 1500, Offloads::default());
    discovery(&mut host);
    let message = NdpMessage::NeighborSolicit { target: HOST_LL };
    host.receive(nd_frame(PEER_LL, solicited_node(HOST_LL), message, &[NdpOption::SourceLinkAddr(PEER_MAC)]));
    host.expect_nothing();
    assert_eq!(state(&host, HOST_LL), Some(AddressState::Tentative));
}

/// RFC 4862 §5.1: DupAddrDetectTransmits of 0 switches it off, of 3 asks thrice.
#[test]
fn the_number_of_probes_can_be_set() {
    let mut host = host();
    host.sysctl("net.inet6.ip6.dad_count", 3);
    host.add_address("2001:db8::100/64");
    host.advance(2900);
    assert_eq!(discovery(&mut host).len(), 3);
    assert_eq!(state(&host, HOST6), Some(AddressState::Tentative));
    host.advance(200);
    assert_eq!(state(&host, HOST6), Some(AddressState::Preferred));
    host.sysctl("net.inet6.ip6.dad_count", 0);
    host.add_address("2001:db8::101/64");
    assert!(discovery(&mut host).is_empty());
    assert!(host.stack.net.is_local("2001:db8::101".parse().expect("literal")));
}

/// RFC 4861 §6.3.7: up to three solicitations of routers, four seconds apart.
#[test]
fn routers_are_solicited_thrice() {
    let mut host = Host::build(true, 1500, Offloads::default());
    host.advance(1000);
    let mut times = Vec::new();
    for second in 0..30 {
        for (packet, message) in discovery(&mut host) {
            if message == NdpMessage::RouterSolicit {
                assert_eq!((packet.header.src, packet.header.dst), (HOST_LL, ALL_ROUTERS_V6));
                times.push(second);
            }
        }
        host.advance(1000);
    }
    assert_eq!(times, [0, 4, 8]);
}

/// RFC 4861 §6.3.7: an advertisement ends the soliciting.
#[test]
fn an_advertisement_ends_the_soliciting() {
    let mut host = Host::build(true, 1500, Offloads::default());
    host.advance(1000);
    discovery(&mut host);
    advertise(&mut host, PEER_LL, ADVERT, &[]);
    host.advance(20_000);
    assert!(discovery(&mut host).is_empty());
}

/// RFC 4861 §6.3.4: the router becomes the default, for its lifetime.
#[test]
fn an_advertised_router_is_used_for_its_lifetime() {
    let mut host = host();
    assert_eq!(gateway(&host), None);
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::SourceLinkAddr(PEER_MAC)]);
    assert_eq!(gateway(&host), Some(PEER_LL.into()));
    host.advance(1_799_000);
    assert_eq!(gateway(&host), Some(PEER_LL.into()));
    host.advance(2000);
    assert_eq!(gateway(&host), None);
}

/// RFC 4861 §6.3.4: a lifetime of zero takes it back at once.
#[test]
fn a_lifetime_of_zero_takes_the_router_back() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[]);
    advertise(&mut host, PEER_LL, RouterAdvert { lifetime_s: 0, ..ADVERT }, &[]);
    assert_eq!(gateway(&host), None);
}

/// RFC 4861 §6.1.2: only from a link-local address, with a hop limit of 255.
#[test]
fn an_advertisement_from_off_the_link_is_ignored() {
    let mut host = host();
    advertise(&mut host, PEER6, ADVERT, &[]);
    let mut far = nd_packet(PEER_LL, ALL_NODES_V6, NdpMessage::RouterAdvert(ADVERT), &[]);
    far.header.hop_limit = 64;
    host.receive(far.frame());
    assert_eq!(gateway(&host), None);
    assert_eq!(host.counter("icmp6", "bad router advertisement messages"), 2);
}

/// RFC 4862 §5.5.3: an autonomous prefix makes an address, after its own probe.
#[test]
fn a_prefix_makes_an_address() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PREFIX)]);
    assert_eq!(state(&host, FORMED), Some(AddressState::Tentative));
    host.advance(1000);
    assert_eq!(state(&host, FORMED), Some(AddressState::Preferred));
    // RFC 4861 §6.3.4: and the prefix is on the link.
    let neighbour: IpAddr = "2001:db8:1::77".parse().expect("literal");
    assert_eq!(host.stack.net.path(neighbour, None, None).expect("a way").next_hop, neighbour);
}

/// RFC 4862 §5.5.4: after its preferred lifetime an address is deprecated, after its valid one gone.
#[test]
fn an_address_ages() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PREFIX)]);
    host.advance(14_399_000);
    assert_eq!(state(&host, FORMED), Some(AddressState::Preferred));
    host.advance(2000);
    assert_eq!(state(&host, FORMED), Some(AddressState::Deprecated));
    host.advance(72_000_000);
    assert_eq!(state(&host, FORMED), None);
}

/// RFC 4862 §5.5.3 e: nobody may cut a valid lifetime below two hours at a blow.
#[test]
fn a_short_lifetime_is_not_believed_at_once() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PREFIX)]);
    host.advance(2000);
    advertise(
        &mut host,
        PEER_LL,
        ADVERT,
        &[NdpOption::PrefixInfo(PrefixInfo { valid_s: 10, preferred_s: 10, ..PREFIX })],
    );
    host.advance(11_000);
    assert_eq!(state(&host, FORMED), Some(AddressState::Deprecated));
    host.advance(7_180_000);
    assert_eq!(state(&host, FORMED), Some(AddressState::Deprecated));
    host.advance(20_000);
    assert_eq!(state(&host, FORMED), None);
}

/// RFC 4862 §5.5.3 b, c, d: link-local prefixes, contradicting lifetimes and other lengths make none.
#[test]
fn unusable_prefixes_make_no_address() {
    let mut host = host();
    for bad in [
        PrefixInfo { prefix: "fe80::".parse().expect("literal"), ..PREFIX },
        PrefixInfo { preferred_s: 100, valid_s: 10, ..PREFIX },
        PrefixInfo { prefix_len: 48, ..PREFIX },
        PrefixInfo { autonomous: false, ..PREFIX },
        PrefixInfo { valid_s: 0, preferred_s: 0, ..PREFIX },
    ] {
        advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(bad)]);
    }
    assert_eq!(host.stack.net.link(host.link).expect("there").addresses.len(), 1);
}

/// The number of addresses that routers can have us form is bounded.
#[test]
fn a_flood_of_prefixes_is_bounded() {
    let mut host = host();
    for n in 0..200 {
        let prefix = Ipv6Addr::new(0x2001, 0xdb8, 7, n, 0, 0, 0, 0);
        advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PrefixInfo { prefix, ..PREFIX })]);
    }
    assert_eq!(host.stack.net.link(host.link).expect("there").addresses.len(), 17);
}

/// RFC 4861 §6.3.4: hop limit and MTU of the link as the router says, within bounds.
#[test]
fn hop_limit_and_mtu_are_taken_from_the_router() {
    let mut host = host();
    host.add_address("2001:db8::100/64");
    host.advance(1000);
    host.know(PEER6.into(), PEER_MAC);
    let advert = RouterAdvert { hop_limit: 77, ..ADVERT };
    advertise(&mut host, PEER_LL, advert, &[NdpOption::Mtu(1400)]);
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::Mtu(600)]);
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::Mtu(9000)]);
    assert_eq!(host.stack.net.path(PEER6.into(), None, None).expect("a way").mtu, 1400);
    discovery(&mut host);
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8::2]:9", b"x").expect("sent");
    assert_eq!(host.expect_ip6().header.hop_limit, 77);
}

/// RFC 4191 §3.2: of two routers the preferred one; RFC 4861 §6.3.6: unless it does not answer.
#[test]
fn the_preferred_router_is_taken_unless_it_is_silent() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PREFIX), NdpOption::SourceLinkAddr(PEER_MAC)]);
    let better: Ipv6Addr = "fe80::99".parse().expect("literal");
    advertise(&mut host, better, RouterAdvert { preference: RouterPreference::High, ..ADVERT }, &[]);
    host.advance(1000);
    assert_eq!(gateway(&host), Some(better.into()));
    let id = host.udp("[::]:1000");
    host.send_to(id, "[2001:db8:ffff::7]:9", b"x").expect("queued");
    host.advance(3100);
    assert_eq!(gateway(&host), Some(PEER_LL.into()));
}

/// RFC 4861 §7.2.5: a neighbour that says it is no router any more is none.
#[test]
fn a_router_that_ceases_to_be_one_is_dropped() {
    let mut host = host();
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::SourceLinkAddr(PEER_MAC)]);
    let message = NdpMessage::NeighborAdvert { router: false, solicited: false, override_: true, target: PEER_LL };
    host.receive(nd_frame(PEER_LL, ALL_NODES_V6, message, &[NdpOption::TargetLinkAddr(PEER_MAC)]));
    assert_eq!(gateway(&host), None);
}

/// RFC 4191 §3.1: routes that a router names.
#[test]
fn a_route_information_option_makes_a_route() {
    let mut host = host();
    let info = RouteInfo {
        prefix_len: 48,
        preference: RouterPreference::Medium,
        lifetime_s: 600,
        prefix: "2001:db8:ffff::".parse().expect("literal"),
    };
    advertise(&mut host, PEER_LL, RouterAdvert { lifetime_s: 0, ..ADVERT }, &[NdpOption::RouteInfo(info)]);
    assert_eq!(gateway(&host), Some(PEER_LL.into()));
    host.advance(601_000);
    assert_eq!(gateway(&host), None);
}

/// RFC 8106 §5.1: resolvers that a router names, for their lifetime.
#[test]
fn resolvers_are_kept_for_their_lifetime() {
    let mut host = host();
    let servers = [PEER6.octets(), OTHER6.octets()].concat();
    let option = NdpOption::Unknown { kind: 25, data: &[&[0, 0, 0, 0, 2, 88][..], &servers].concat() };
    advertise(&mut host, PEER_LL, ADVERT, &[option]);
    assert_eq!(host.stack.net.resolvers(host.now, host.link).collect::<Vec<_>>(), [PEER6, OTHER6]);
    host.advance(601_000);
    assert_eq!(host.stack.net.resolvers(host.now, host.link).count(), 0);
}

/// net.inet6.ip6.accept_rtadv: a host that shall not listen to routers does not.
#[test]
fn advertisements_can_be_switched_off() {
    let mut host = host();
    host.sysctl("net.inet6.ip6.accept_rtadv", 0);
    advertise(&mut host, PEER_LL, ADVERT, &[NdpOption::PrefixInfo(PREFIX)]);
    assert_eq!((gateway(&host), state(&host, FORMED)), (None, None));
}
