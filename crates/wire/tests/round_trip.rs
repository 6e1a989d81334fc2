//! Given any representation, what is emitted parses back to it.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use wire::addr_list::AddrList;
use wire::arp::ArpPacket;
use wire::ethernet::EthernetHeader;
use wire::group_record::{self, NewGroupRecord, SourceQuery};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::igmp::{IgmpMessage, IgmpQuery, IgmpQueryVersion};
use wire::ipv4::Ipv4Header;
use wire::ipv6::{FragmentHeader, Ipv6Header};
use wire::mld::{MldMessage, MldQuery, MldQueryVersion};
use wire::ndp::{NdpMessage, NdpOption, PrefixInfo, RouteInfo, RouterAdvert, RouterPreference};
use wire::tcp::{SackBlocks, SeqNr, TcpFlags, TcpHeader, TcpOptions, options_len};
use wire::udp::UdpHeader;
use wire::{IpCidr, MacAddr, checksum};

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn sack() -> impl Strategy<Value = SackBlocks> {
    vec((any::<u32>(), any::<u32>()), 0..=4)
        .prop_map(|blocks| blocks.into_iter().map(|(l, r)| (SeqNr(l), SeqNr(r))).collect())
}

fn preference() -> impl Strategy<Value = RouterPreference> {
    prop::sample::select(vec![RouterPreference::Low, RouterPreference::Medium, RouterPreference::High])
}

prop_compose! {
    fn tcp_options()(
        mss in prop::option::of(1u16..), window_scale in prop::option::of(0u8..=14), sack_permitted: bool,
        timestamps: Option<(u32, u32)>, sack in sack(),
    ) -> TcpOptions {
        TcpOptions { mss, window_scale, sack_permitted, timestamps, sack }
    }
}

prop_compose! {
    fn tcp_header()(
        ports: (u16, u16), seq: u32, ack: u32, flags in 0u16..0x200, window: u16, urgent: u16, checksum: u16,
    ) -> TcpHeader {
        TcpHeader {
            src_port: ports.0, dst_port: ports.1, seq: SeqNr(seq), ack: SeqNr(ack), flags: TcpFlags::from_bits(flags),
            window, urgent, checksum, header_len: 20,
        }
    }
}

prop_compose! {
    fn prefix_info()(
        prefix_len in 0u8..=128, flags: (bool, bool), valid_s: u32, preferred_s: u32, prefix: Ipv6Addr,
    ) -> PrefixInfo {
        PrefixInfo { prefix_len, on_link: flags.0, autonomous: flags.1, valid_s, preferred_s, prefix }
    }
}

proptest! {
    #[test]
    fn ethernet(dst in mac(), src in mac(), ethertype: u16) {
        let header = EthernetHeader { dst, src, ethertype };
        let mut buf = [0xff; EthernetHeader::LEN];
        header.emit(&mut buf);
        prop_assert_eq!(EthernetHeader::parse(&buf), Ok((header, &[][..])));
        prop_assert_eq!(dst.to_string().parse(), Ok(dst));
    }

    #[test]
    fn arp(op: u16, sender_mac in mac(), sender_ip: Ipv4Addr, target_mac in mac(), target_ip: Ipv4Addr) {
        let packet = ArpPacket { op: op.into(), sender_mac, sender_ip, target_mac, target_ip };
        let mut buf = [0xff; ArpPacket::LEN];
        packet.emit(&mut buf);
        prop_assert_eq!(ArpPacket::parse(&buf), Ok(packet));
    }

    #[test]
    fn ipv4(
        head: (u8, u16, bool, bool, u8, u8), offset in 0u16..=0x1fff, src: Ipv4Addr, dst: Ipv4Addr,
        options in vec(any::<u8>(), 0..=40), payload in vec(any::<u8>(), 0..50),
    ) {
        let (tos, id, df, mf, ttl, proto) = head;
        let header_len = 20 + options.len().next_multiple_of(4);
        let total_len = (header_len + payload.len()) as u16;
        let header = Ipv4Header {
            tos, total_len, id, df, mf, frag_offset: offset << 3, ttl, proto, src, dst, header_len: header_len as u8,
        };
        let mut buf = vec![0xff; header_len];
        prop_assert_eq!(header.emit_with_options(&options, &mut buf), Ok(header_len));
        buf.extend(&payload);
        let (read, area, rest) = Ipv4Header::parse(&buf).unwrap();
        prop_assert_eq!(read, header);
        prop_assert_eq!(&area[..options.len()], &options);
        prop_assert_eq!(rest, &payload);
        if options.is_empty() {
            let mut plain = [0xff; 20];
            header.emit(&mut plain);
            prop_assert_eq!(&plain, &buf[..20]);
        }
    }

    #[test]
    fn ipv6(head: (u8, u8, u8), flow_label in 0u32..=0xf_ffff, src: Ipv6Addr, dst: Ipv6Addr, payload in vec(any::<u8>(), 0..50)) {
        let (traffic_class, next_header, hop_limit) = head;
        let header = Ipv6Header { traffic_class, flow_label, payload_len: payload.len() as u16, next_header, hop_limit, src, dst };
        let mut buf = vec![0xff; Ipv6Header::LEN];
        header.emit(&mut buf);
        buf.extend(&payload);
        prop_assert_eq!(Ipv6Header::parse(&buf), Ok((header, &payload[..])));
    }

    #[test]
    fn fragment(next: u8, offset in 0u16..=0x1fff, more: bool, id: u32) {
        let header = FragmentHeader { next, offset: offset << 3, more, id };
        let mut buf = [0xff; FragmentHeader::LEN];
        header.emit(&mut buf);
        prop_assert_eq!(FragmentHeader::parse(&buf), Ok((header, &[][..])));
    }

    #[test]
    fn udp(src_port: u16, dst_port: u16, src: Ipv4Addr, dst: Ipv4Addr, payload in vec(any::<u8>(), 0..50)) {
        let len = (UdpHeader::LEN + payload.len()) as u16;
        let pseudo = checksum::pseudo_v4(src, dst, wire::proto::UDP, len.into());
        let mut header = UdpHeader { src_port, dst_port, len, checksum: 0 };
        header.checksum = header.compute_checksum(&payload, pseudo);
        let mut buf = vec![0xff; UdpHeader::LEN];
        header.emit(&mut buf);
        buf.extend(&payload);
        prop_assert_eq!(UdpHeader::parse(&buf), Ok((header, &payload[..])));
        prop_assert!(header.verify(&payload, pseudo));
        prop_assert!(checksum::is_valid(pseudo + checksum::partial(&buf)));
    }

    #[test]
    fn tcp(header in tcp_header(), options in tcp_options(), payload in vec(any::<u8>(), 0..50)) {
        let mut buf = vec![0xff; TcpHeader::MAX_LEN];
        let len = header.emit(&options, &mut buf);
        prop_assert_eq!(len, TcpHeader::LEN + options_len(&options));
        buf.truncate(len);
        buf.extend(&payload);
        let (read, read_options, rest) = TcpHeader::parse(&buf).unwrap();
        prop_assert_eq!(read, TcpHeader { header_len: len as u8, ..header });
        prop_assert_eq!(rest, &payload);
        // The blocks that found room are the first ones.
        let kept = read_options.sack.as_slice();
        prop_assert_eq!(kept, &options.sack.as_slice()[..kept.len()]);
        prop_assert_eq!(TcpOptions { sack: options.sack, ..read_options }, options);
        prop_assert!(kept.len() == options.sack.len() || len + 8 > TcpHeader::MAX_LEN);
    }

    #[test]
    fn icmpv4(id: u16, seq: u16, code: u8, words: [u32; 3], kind in 15u8.., data in vec(any::<u8>(), 0..50)) {
        let [originate, receive, transmit] = words;
        for message in [
            Icmpv4Message::EchoRequest { id, seq, data: &data },
            Icmpv4Message::EchoReply { id, seq, data: &data },
            Icmpv4Message::DestUnreachable { code, next_hop_mtu: seq, original: &data },
            Icmpv4Message::TimeExceeded { code, original: &data },
            Icmpv4Message::ParameterProblem { code, pointer: id as u8, original: &data },
            Icmpv4Message::Redirect { code, gateway: originate.into(), original: &data },
            Icmpv4Message::SourceQuench { original: &data },
            Icmpv4Message::TimestampRequest { id, seq, originate, receive, transmit },
            Icmpv4Message::TimestampReply { id, seq, originate, receive, transmit },
            Icmpv4Message::Other { kind, code, rest: &data },
        ] {
            let buf = message.to_vec();
            prop_assert_eq!(Icmpv4Message::parse(&buf), Ok(message));
        }
    }

    #[test]
    fn icmpv6(id: u16, seq: u16, code: u8, word: u32, kind in 130u8.., data in vec(any::<u8>(), 0..50), src: Ipv6Addr, dst: Ipv6Addr) {
        for message in [
            Icmpv6Message::EchoRequest { id, seq, data: &data },
            Icmpv6Message::EchoReply { id, seq, data: &data },
            Icmpv6Message::DestUnreachable { code, original: &data },
            Icmpv6Message::PacketTooBig { mtu: word, original: &data },
            Icmpv6Message::TimeExceeded { code, original: &data },
            Icmpv6Message::ParameterProblem { code, pointer: word, original: &data },
            Icmpv6Message::Other { kind, code, rest: &data },
        ] {
            let buf = message.to_vec(src, dst);
            prop_assert_eq!(Icmpv6Message::parse(&buf, src, dst), Ok(message));
        }
    }

    #[test]
    fn ndp(
        flags: (bool, bool, bool), target: Ipv6Addr, destination: Ipv6Addr, head: (u8, u32, u32), lifetime_s in 1u16..,
        preference in preference(), link in mac(), prefix in prefix_info(), mtu: u32, nonce: [u8; 6], unknown in vec(any::<u8>(), 0..4),
    ) {
        let (hop_limit, reachable_ms, retrans_ms) = head;
        let servers = [target.octets(), destination.octets()].concat();
        let unknown: Vec<u8> = [&[7; 6][..], &unknown.repeat(8)].concat();
        // All bits count, so that none beyond the prefix is lost on the way.
        let route = RouteInfo { prefix_len: 128, preference, lifetime_s: mtu, prefix: destination };
        let options = [
            NdpOption::SourceLinkAddr(link),
            NdpOption::TargetLinkAddr(link),
            NdpOption::PrefixInfo(prefix),
            NdpOption::RedirectedHeader(&servers),
            NdpOption::Mtu(mtu),
            NdpOption::Nonce(&nonce),
            NdpOption::RouteInfo(route),
            NdpOption::Rdnss { lifetime_s: mtu, servers: AddrList::new(&servers) },
            NdpOption::Dnssl { lifetime_s: mtu, names: &servers },
            NdpOption::Unknown { kind: 253, data: &unknown },
        ];
        for message in [
            NdpMessage::RouterSolicit,
            NdpMessage::RouterAdvert(RouterAdvert {
                hop_limit, managed: flags.0, other: flags.1, preference, lifetime_s, reachable_ms, retrans_ms,
            }),
            NdpMessage::NeighborSolicit { target },
            NdpMessage::NeighborAdvert { router: flags.0, solicited: flags.1, override_: flags.2, target },
            NdpMessage::Redirect { target, destination },
        ] {
            let mut buf = vec![0xff; message.len(&options)];
            message.emit(&options, target, destination, &mut buf);
            prop_assert!(wire::icmpv6::verify(&buf, target, destination).is_ok());
            let (read, read_options) = NdpMessage::parse(&buf).unwrap();
            prop_assert_eq!(read, message);
            prop_assert_eq!(read_options.collect::<Result<Vec<_>, _>>(), Ok(options.to_vec()));
        }
    }

    #[test]
    fn igmp(group: Ipv4Addr, code in 1u8.., suppress: bool, qrv in 0u8..8, qqic: u8, list in vec(any::<Ipv4Addr>(), 0..5)) {
        let packed: Vec<u8> = list.iter().flat_map(|addr| addr.octets()).collect();
        let v3 = SourceQuery { suppress, qrv, qqic, sources: AddrList::new(&packed) };
        for message in [
            IgmpMessage::Query(IgmpQuery { group, max_resp_code: 0, version: IgmpQueryVersion::V1 }),
            IgmpMessage::Query(IgmpQuery { group, max_resp_code: code, version: IgmpQueryVersion::V2 }),
            IgmpMessage::Query(IgmpQuery { group, max_resp_code: code, version: IgmpQueryVersion::V3(v3) }),
            IgmpMessage::ReportV1 { group },
            IgmpMessage::ReportV2 { group },
            IgmpMessage::Leave { group },
        ] {
            let mut buf = vec![0xff; message.len()];
            message.emit(&mut buf);
            prop_assert_eq!(IgmpMessage::parse(&buf), Ok(message));
        }
        let records = [NewGroupRecord { kind: code.into(), group, sources: &list }; 2];
        let mut buf = vec![0xff; group_record::report_len(&records)];
        wire::igmp::emit_report_v3(&records, &mut buf);
        let Ok(IgmpMessage::ReportV3(read)) = IgmpMessage::parse(&buf) else { panic!("not a report") };
        for record in read {
            let record = record.unwrap();
            prop_assert_eq!((record.kind, record.group), (code.into(), group));
            prop_assert_eq!(record.sources.iter().collect::<Vec<_>>(), list.clone());
        }
    }

    #[test]
    fn mld(group: Ipv6Addr, max_resp_code: u16, suppress: bool, qrv in 0u8..8, qqic: u8, list in vec(any::<Ipv6Addr>(), 0..5)) {
        let packed: Vec<u8> = list.iter().flat_map(|addr| addr.octets()).collect();
        let v2 = SourceQuery { suppress, qrv, qqic, sources: AddrList::new(&packed) };
        for message in [
            MldMessage::Query(MldQuery { group, max_resp_code, version: MldQueryVersion::V1 }),
            MldMessage::Query(MldQuery { group, max_resp_code, version: MldQueryVersion::V2(v2) }),
            MldMessage::ReportV1 { group },
            MldMessage::Done { group },
        ] {
            let mut buf = vec![0xff; message.len()];
            message.emit(group, group, &mut buf);
            prop_assert!(wire::icmpv6::verify(&buf, group, group).is_ok());
            prop_assert_eq!(MldMessage::parse(&buf), Ok(message));
        }
        let records = [NewGroupRecord { kind: qqic.into(), group, sources: &list }; 2];
        let mut buf = vec![0xff; group_record::report_len(&records)];
        wire::mld::emit_report_v2(&records, group, group, &mut buf);
        let Ok(MldMessage::ReportV2(read)) = MldMessage::parse(&buf) else { panic!("not a report") };
        prop_assert_eq!(read.map(|r| r.unwrap().sources.iter().collect::<Vec<_>>()).collect::<Vec<_>>(), vec![list.clone(), list]);
    }

    #[test]
    fn networks(addr: std::net::IpAddr, len in 0u8..=32) {
        let net = IpCidr::new(addr, len).unwrap();
        prop_assert_eq!(net.to_string().parse(), Ok(net));
        prop_assert_eq!(IpCidr::from_netmask(addr, net.netmask()), Ok(net));
    }
}
