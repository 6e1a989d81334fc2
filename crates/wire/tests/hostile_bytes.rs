//! Given any bytes, every parser returns, and what it returns stays within the input.
//!
//! Random bytes alone are nearly always refused at the first check, so that each format is also tried as a valid packet
//! cut short and with bytes changed.

use std::net::Ipv6Addr;

use proptest::prelude::*;
use wire::arp::ArpPacket;
use wire::ethernet::EthernetHeader;
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::igmp::{IgmpMessage, IgmpQueryVersion};
use wire::ipv4::{Ipv4Header, Ipv4Options};
use wire::ipv6::{ExtensionHeader, ExtensionHeaders, Ipv6Header, OptionsArea};
use wire::mld::{MldMessage, MldQueryVersion};
use wire::ndp::{NdpMessage, NdpOption, NdpOptions};
use wire::tcp::{TcpHeader, TcpOptions};
use wire::udp::UdpHeader;

/// The longest list that any iterator can make of `bytes`: one item per byte, and an error.
fn bound(bytes: &[u8]) -> usize {
    bytes.len() + 1
}

fn read_ipv4(bytes: &[u8]) {
    let _ = Ipv4Header::parse_header(bytes);
    let _ = Ipv4Header::parse(bytes);
    if let Ok((header, options, payload)) = Ipv4Header::parse_unchecked_sum(bytes) {
        assert_eq!(options.len(), usize::from(header.header_len) - Ipv4Header::LEN);
        assert_eq!(payload.len(), usize::from(header.payload_len()));
        read_ipv4_options(options);
    }
    read_ipv4_options(bytes);
}

fn read_ipv4_options(area: &[u8]) {
    let mut count = 0;
    for option in Ipv4Options::new(area) {
        count += 1;
        match option {
            Ok(option) => {
                let _ = (option.route_addrs().count(), option.is_copied());
            }
            Err(error) => assert!((20..60).contains(&error.pointer)),
        }
    }
    assert!(count <= bound(area));
}

fn read_ipv6_options(area: OptionsArea<'_>, total: usize) {
    let mut count = 0;
    for option in area.options() {
        count += 1;
        match option {
            Ok(option) => assert!(option.offset < total),
            Err(error) => assert!(error.offset < total),
        }
    }
    assert!(count <= bound(area.area));
}

fn read_ipv6(bytes: &[u8]) {
    let _ = Ipv6Header::parse(bytes);
    if let Ok((header, payload)) = Ipv6Header::parse_header(bytes) {
        read_chain(header.next_header, payload);
    }
}

fn read_chain(next: u8, payload: &[u8]) {
    let total = Ipv6Header::LEN + payload.len();
    for header in ExtensionHeaders::new(next, payload) {
        match header {
            Ok(ExtensionHeader::HopByHop(area) | ExtensionHeader::DestOptions(area)) => read_ipv6_options(area, total),
            Ok(ExtensionHeader::Routing(routing)) => assert!(routing.unrecognized().offset < total),
            Ok(ExtensionHeader::Fragment(fragment)) => assert!(fragment.offset + 8 + fragment.payload.len() == total),
            // A header that is missing altogether stands one byte beyond the end.
            Err(error) => assert!(error.offset <= total),
        }
    }
    if let Ok(chain) = wire::ipv6::walk(next, payload) {
        assert_eq!(chain.payload, &payload[chain.upper_offset - Ipv6Header::LEN..]);
        if chain.next_field >= Ipv6Header::LEN {
            assert_eq!(payload[chain.next_field - Ipv6Header::LEN], chain.upper_proto);
        }
        if let Some(fragment) = chain.fragment.filter(|_| chain.needs_reassembly()) {
            let _ = wire::ipv6::walk_from(fragment.header.next, fragment.offset, chain.upper_offset, chain.payload);
        }
    }
}

fn read_transport(bytes: &[u8]) {
    if let Ok((header, payload)) = UdpHeader::parse(bytes) {
        assert_eq!(payload.len() + UdpHeader::LEN, usize::from(header.len));
        let _ = header.verify(payload, 0);
    }
    if let Ok((header, options, payload)) = TcpHeader::parse(bytes) {
        assert_eq!(payload.len() + usize::from(header.header_len), bytes.len());
        let mut out = [0; TcpHeader::MAX_LEN];
        assert!(header.emit(&options, &mut out) <= TcpHeader::MAX_LEN);
    }
    let options = TcpOptions::parse(bytes);
    assert!(options.window_scale.is_none_or(|shift| shift <= 14) && options.mss != Some(0));
    assert!(wire::tcp::options_len(&options) <= 40);
}

fn read_control(bytes: &[u8]) {
    let any = Ipv6Addr::UNSPECIFIED;
    let _ = Icmpv4Message::parse(bytes);
    let _ = Icmpv6Message::parse(bytes, any, any);
    if let Ok(message) = Icmpv4Message::parse_unchecked(bytes) {
        assert!(message.len() <= bytes.len());
    }
    if let Ok(message) = Icmpv6Message::parse_unchecked(bytes) {
        assert_eq!(message.len(), bytes.len());
    }
    match IgmpMessage::parse(bytes) {
        Ok(IgmpMessage::ReportV3(records)) => assert!(records.take(1 << 17).count() <= bound(bytes)),
        Ok(IgmpMessage::Query(query)) => {
            let _ = query.max_resp_tenths();
            if let IgmpQueryVersion::V3(query) = query.version {
                assert!(query.sources.iter().count() <= bytes.len());
            }
        }
        _ => {}
    }
    match MldMessage::parse(bytes) {
        Ok(MldMessage::ReportV2(records)) => assert!(records.take(1 << 17).count() <= bound(bytes)),
        Ok(MldMessage::Query(query)) => {
            let _ = query.max_resp_ms();
            if let MldQueryVersion::V2(query) = query.version {
                assert!(query.sources.iter().count() <= bytes.len());
            }
        }
        _ => {}
    }
    if let Ok((message, options)) = NdpMessage::parse(bytes) {
        let _ = message.validate(&options, any, any, 255);
        assert!(options.clone().all(|option| option.is_ok()), "a parsed message has no broken option");
        read_ndp_options(options, bytes);
    }
    read_ndp_options(NdpOptions::new(bytes), bytes);
}

fn read_ndp_options(options: NdpOptions<'_>, bytes: &[u8]) {
    let mut count = 0;
    for option in options {
        count += 1;
        if let Ok(option) = option {
            assert!(option.encoded_len() <= bytes.len());
            if let NdpOption::Rdnss { servers, .. } = option {
                assert!(servers.iter().count() > 0);
            }
        }
    }
    assert!(count <= bound(bytes));
}

fn read_everything(bytes: &[u8]) {
    let _ = EthernetHeader::parse(bytes);
    let _ = ArpPacket::parse(bytes);
    read_ipv4(bytes);
    read_ipv6(bytes);
    read_transport(bytes);
    read_control(bytes);
}

/// Valid starts of each format, so that changes and cuts reach what lies behind the first checks.
fn seeds() -> Vec<Vec<u8>> {
    let chain: &[u8] =
        &[43, 0, 5, 2, 0, 0, 1, 0, 44, 0, 4, 0, 9, 9, 9, 9, 60, 0, 0, 0, 0, 0, 0, 7, 17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3];
    let v6 = [&[0x60, 0, 0, 0, 0, 35, 0, 64][..], &[0xfe; 32], chain].concat();
    let v4 =
        vec![0x47, 0, 0, 32, 0, 1, 0x20, 3, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 7, 7, 4, 0, 0, 0, 0, 1, 1, 2, 3, 4];
    let mut tcp = vec![0, 80, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0xf0, 0x12, 1, 2, 0, 0, 0, 0];
    tcp.extend([
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
        3, 0, 0, 0, 4, 9,
    ]);
    let mut advert =
        vec![134, 0, 0, 0, 64, 0x88, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 0xdc];
    advert.extend([3, 4, 64, 0xc0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    advert.extend([0x20; 16]);
    advert.extend([25, 3, 0, 0, 0, 0, 0, 9]);
    advert.extend([0x20; 16]);
    let mld = [&[143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1][..], &[0xff; 32], &[3, 1, 0, 0], &[0xff; 20]].concat();
    let mld_query = [&[130, 0, 0, 0, 0x90, 0, 0, 0][..], &[0; 16], &[0x0a, 125, 0, 1], &[0xfe; 16]].concat();
    // Checksum zero is wrong here; the mutation below repairs it for IGMP.
    let igmp = vec![0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1, 239, 0, 0, 1, 10, 0, 0, 1, 3, 0, 0, 0, 239, 0, 0, 2];
    let igmp_query = vec![0x11, 0x90, 0, 0, 239, 0, 0, 1, 0x0a, 125, 0, 1, 10, 0, 0, 1];
    let udp = vec![0, 53, 1, 2, 0, 12, 0, 0, 1, 2, 3, 4];
    let icmp = vec![13, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5];
    vec![v6, v4, tcp, advert, mld, mld_query, igmp, igmp_query, udp, icmp]
}

/// Makes the sum over the bytes right, with the field at 2: where ICMP and IGMP have it.
fn repair_checksum(bytes: &mut [u8]) {
    if bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let ck = wire::checksum::finish(wire::checksum::partial(bytes));
        bytes[2..4].copy_from_slice(&ck.to_be_bytes());
    }
}

#[test]
fn a_valid_packet_cut_at_every_length_is_survived() {
    for seed in seeds() {
        for len in 0..=seed.len() {
            let mut cut = seed[..len].to_vec();
            read_everything(&cut);
            repair_checksum(&mut cut);
            read_everything(&cut);
        }
    }
}

#[test]
fn a_valid_packet_with_any_one_byte_changed_is_survived() {
    for seed in seeds() {
        for at in 0..seed.len() {
            for value in 0..=255 {
                let mut changed = seed.clone();
                changed[at] = value;
                read_everything(&changed);
                repair_checksum(&mut changed);
                read_everything(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }

    #[test]
    fn any_chain_of_headers_is_survived(
        next in prop::sample::select(vec![0u8, 6, 43, 44, 59, 60]),
        units in proptest::collection::vec((prop::sample::select(vec![0u8, 17, 43, 44, 60]), 0u8..3, any::<[u8; 6]>()), 0..20),
    ) {
        let bytes: Vec<u8> = units.into_iter().flat_map(|(kind, len, body)| [&[kind, len][..], &body].concat()).collect();
        read_chain(next, &bytes);
    }

    #[test]
    fn valid_packets_with_several_bytes_changed_are_survived(
        seed in 0usize..10,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seeds()[seed].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        read_everything(&bytes);
        repair_checksum(&mut bytes);
        read_everything(&bytes);
    }
}
