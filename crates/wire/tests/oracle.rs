//! Packets that another implementation (etherparse) builds read here as it meant them, and come out again byte for
//! byte.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, TcpOptionElement};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::MacAddr;
use wire::checksum;
use wire::ethernet::{self, EthernetHeader};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::tcp::{SackBlocks, SeqNr, TcpFlags, TcpHeader, TcpOptions};
use wire::udp::UdpHeader;

proptest! {
    #[test]
    fn tcp_over_ipv4(
        macs: ([u8; 6], [u8; 6]), src: [u8; 4], dst: [u8; 4], ttl: u8, ports: (u16, u16), seq: u32, ack: u32, window: u16,
        options: (u16, u8, u32, u32), payload in vec(any::<u8>(), 0..100),
    ) {
        let (mss, shift, val, ecr) = (options.0.max(1), options.1 % 15, options.2, options.3);
        // The order in which this stack writes them.
        let elements = [
            TcpOptionElement::MaximumSegmentSize(mss),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Timestamp(val, ecr),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(shift),
        ];
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(macs.0, macs.1).ipv4(src, dst, ttl).tcp(ports.0, ports.1, seq, window).syn().ece().ack(ack)
            .options(&elements).unwrap().write(&mut frame, &payload).unwrap();

        let (link, packet) = EthernetHeader::parse(&frame).unwrap();
        prop_assert_eq!(link, EthernetHeader { dst: MacAddr(macs.1), src: MacAddr(macs.0), ethertype: ethernet::ETHERTYPE_IPV4 });
        let (ip, _, segment) = Ipv4Header::parse(packet).unwrap();
        prop_assert_eq!((ip.src, ip.dst, ip.ttl, ip.proto), (src.into(), dst.into(), ttl, wire::proto::TCP));
        let (tcp, read, data) = TcpHeader::parse(segment).unwrap();
        prop_assert!(wire::tcp::verify(segment, checksum::pseudo_v4(ip.src, ip.dst, ip.proto, segment.len() as u32)));
        prop_assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack, tcp.window), (ports.0, ports.1, SeqNr(seq), SeqNr(ack), window));
        prop_assert_eq!(tcp.flags, TcpFlags::SYN | TcpFlags::ACK | TcpFlags::ECE);
        let expected = TcpOptions {
            mss: Some(mss), window_scale: Some(shift), sack_permitted: true, timestamps: Some((val, ecr)), sack: SackBlocks::EMPTY,
        };
        prop_assert_eq!(read, expected);
        prop_assert_eq!(data, &payload);

        let mut out = vec![0; 14 + 20 + 40];
        link.emit(&mut out);
        ip.emit(&mut out[14..]);
        prop_assert_eq!(tcp.emit(&read, &mut out[34..]), 40);
        prop_assert_eq!(&out, &frame[..74]);
    }

    #[test]
    fn udp_over_ipv6(
        src: [u8; 16], dst: [u8; 16], hop_limit: u8, ports: (u16, u16), payload in vec(any::<u8>(), 0..100),
    ) {
        let mut packet = Vec::new();
        PacketBuilder::ipv6(src, dst, hop_limit).udp(ports.0, ports.1).write(&mut packet, &payload).unwrap();
        let (ip, datagram) = Ipv6Header::parse(&packet).unwrap();
        prop_assert_eq!((ip.src, ip.dst, ip.hop_limit, ip.next_header), (src.into(), dst.into(), hop_limit, wire::proto::UDP));
        let (udp, data) = UdpHeader::parse(datagram).unwrap();
        let pseudo = checksum::pseudo_v6(ip.src, ip.dst, ip.next_header, udp.len.into());
        prop_assert!(udp.verify(data, pseudo));
        prop_assert_eq!(udp.compute_checksum(data, pseudo), udp.checksum);
        prop_assert_eq!((udp.src_port, udp.dst_port, data), (ports.0, ports.1, &payload[..]));
        let mut out = [0; 48];
        ip.emit(&mut out);
        udp.emit(&mut out[40..]);
        prop_assert_eq!(&out[..], &packet[..48]);
    }

    #[test]
    fn echoes(id: u16, seq: u16, src: [u8; 16], dst: [u8; 16], payload in vec(any::<u8>(), 0..100)) {
        let header = etherparse::IcmpEchoHeader { id, seq };
        let v4 = Icmpv4Message::EchoRequest { id, seq, data: &payload }.to_vec();
        let (theirs, rest) = etherparse::Icmpv4Header::from_slice(&v4).unwrap();
        prop_assert_eq!((&theirs.icmp_type, rest), (&Icmpv4Type::EchoRequest(header), &payload[..]));
        prop_assert_eq!(theirs.checksum, theirs.icmp_type.calc_checksum(&payload));

        let v6 = Icmpv6Message::EchoReply { id, seq, data: &payload }.to_vec(Ipv6Addr::from(src), Ipv6Addr::from(dst));
        let (theirs, rest) = etherparse::Icmpv6Header::from_slice(&v6).unwrap();
        prop_assert_eq!((&theirs.icmp_type, rest), (&Icmpv6Type::EchoReply(header), &payload[..]));
        prop_assert_eq!(theirs.checksum, theirs.icmp_type.calc_checksum(src, dst, &payload).unwrap());
    }

    #[test]
    fn fragments_and_options_of_ipv4(id: u16, offset in 0u16..=0x1fff, mf: bool, df: bool, tos: u8, words in 0usize..=10) {
        let options = vec![1; words * 4];
        let header_len = 20 + options.len();
        let header = Ipv4Header {
            tos, total_len: header_len as u16, id, df, mf, frag_offset: offset << 3, ttl: 3, proto: 17,
            src: Ipv4Addr::new(192, 0, 2, 1), dst: Ipv4Addr::new(192, 0, 2, 2), header_len: header_len as u8,
        };
        let mut buf = vec![0; header_len];
        prop_assert_eq!(header.emit_with_options(&options, &mut buf), Ok(header_len));
        let (theirs, _) = etherparse::Ipv4Header::from_slice(&buf).unwrap();
        prop_assert_eq!((theirs.identification, theirs.fragment_offset.value()), (id, offset));
        prop_assert_eq!((theirs.more_fragments, theirs.dont_fragment), (mf, df));
        prop_assert_eq!(theirs.dscp.value() << 2 | theirs.ecn.value(), tos);
        prop_assert_eq!(theirs.header_checksum, theirs.calc_header_checksum());
        prop_assert_eq!(theirs.options.as_slice(), &options[..]);
    }
}
