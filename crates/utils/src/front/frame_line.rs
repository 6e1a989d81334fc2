//! One line for a frame, in the words of tcpdump.

use std::net::IpAddr;

use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::{self, EthernetHeader};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::ipv4::Ipv4Header;
use wire::ipv6::{Ipv6Header, walk};
use wire::proto;
use wire::tcp::{TcpFlags, TcpHeader, TcpOptions};
use wire::udp::UdpHeader;

/// `original_len` is the frame's length on the link, of which `frame` may be the beginning.
pub fn describe(frame: &[u8], original_len: usize) -> String {
    let Ok((header, payload)) = EthernetHeader::parse(frame) else {
        return format!("[cut frame], length {original_len}");
    };
    let missing = original_len.saturating_sub(frame.len());
    let text = match header.ethertype {
        ethernet::ETHERTYPE_IPV4 => ipv4(payload, missing),
        ethernet::ETHERTYPE_IPV6 => ipv6(payload, missing),
        ethernet::ETHERTYPE_ARP => arp(payload),
        _ => None,
    };
    text.unwrap_or_else(|| {
        format!("{} > {}, ethertype {:#06x}, length {original_len}", header.src, header.dst, header.ethertype)
    })
}

fn arp(payload: &[u8]) -> Option<String> {
    let p = ArpPacket::parse(payload).ok()?;
    Some(match p.op {
        ArpOp::Request => format!("ARP, Request who-has {} tell {}", p.target_ip, p.sender_ip),
        ArpOp::Reply => format!("ARP, Reply {} is-at {}", p.sender_ip, p.sender_mac),
        ArpOp::Other(op) => format!("ARP, operation {op}"),
    })
}

fn ipv4(packet: &[u8], missing: usize) -> Option<String> {
    let (header, _) = Ipv4Header::parse_header(packet).ok()?;
    let payload = packet.get(usize::from(header.header_len)..)?;
    let len = usize::from(header.payload_len());
    // Padding of a short frame is no payload.
    let payload = if missing == 0 { payload.get(..len).unwrap_or(payload) } else { payload };
    let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
    if header.frag_offset != 0 {
        return Some(format!("IP {src} > {dst}: {} fragment, length {len}", protocol(header.proto)));
    }
    Some(format!("IP {}", upper(src, dst, header.proto, payload, len.max(payload.len() + missing))))
}

fn ipv6(packet: &[u8], missing: usize) -> Option<String> {
    let (header, payload) = Ipv6Header::parse_header(packet).ok()?;
    let len = usize::from(header.payload_len);
    let payload = if missing == 0 { payload.get(..len).unwrap_or(payload) } else { payload };
    let (src, dst) = (IpAddr::V6(header.src), IpAddr::V6(header.dst));
    let Ok(chain) = walk(header.next_header, payload) else {
        return Some(format!("IP6 {src} > {dst}: bad extension header, length {len}"));
    };
    if chain.needs_reassembly() {
        return Some(format!("IP6 {src} > {dst}: {} fragment, length {len}", protocol(chain.upper_proto)));
    }
    let before = payload.len() - chain.payload.len();
    let upper_len = (payload.len() + missing).max(len) - before;
    Some(format!("IP6 {}", upper(src, dst, chain.upper_proto, chain.payload, upper_len)))
}

/// `len` is the length of the payload on the link.
fn upper(src: IpAddr, dst: IpAddr, kind: u8, payload: &[u8], len: usize) -> String {
    let known = match kind {
        proto::TCP => TcpHeader::parse(payload).ok().map(|(h, options, _)| {
            let data = len.saturating_sub(h.header_len.into());
            format!("{src}.{} > {dst}.{}: {}", h.src_port, h.dst_port, tcp(&h, &options, data))
        }),
        // A header with the length of a super-segment is judged by `len` alone.
        proto::UDP => payload.first_chunk::<{ UdpHeader::LEN }>().map(|h| {
            let (src_port, dst_port) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
            format!("{src}.{src_port} > {dst}.{dst_port}: UDP, length {}", len.saturating_sub(UdpHeader::LEN))
        }),
        proto::ICMP => Icmpv4Message::parse_unchecked(payload).ok().map(|m| {
            let what = match m {
                Icmpv4Message::EchoRequest { id, seq, .. } => format!("echo request, id {id}, seq {seq}"),
                Icmpv4Message::EchoReply { id, seq, .. } => format!("echo reply, id {id}, seq {seq}"),
                Icmpv4Message::DestUnreachable { code, .. } => format!("unreachable, code {code}"),
                Icmpv4Message::TimeExceeded { .. } => "time exceeded".into(),
                other => format!("type {}", other.kind()),
            };
            format!("{src} > {dst}: ICMP {what}, length {len}")
        }),
        proto::ICMPV6 => Icmpv6Message::parse_unchecked(payload).ok().map(|m| {
            let what = match (m, m.kind()) {
                (Icmpv6Message::EchoRequest { id, seq, .. }, _) => format!("echo request, id {id}, seq {seq}"),
                (Icmpv6Message::EchoReply { id, seq, .. }, _) => format!("echo reply, id {id}, seq {seq}"),
                (_, 133) => "router solicitation".into(),
                (_, 134) => "router advertisement".into(),
                (_, 135) => "neighbor solicitation".into(),
                (_, 136) => "neighbor advertisement".into(),
                (_, 143) => "multicast listener report v2".into(),
                (_, kind) => format!("type {kind}"),
            };
            format!("{src} > {dst}: ICMP6, {what}, length {len}")
        }),
        _ => None,
    };
    known.unwrap_or_else(|| format!("{src} > {dst}: {}, length {len}", protocol(kind)))
}

fn protocol(number: u8) -> String {
    match number {
        proto::TCP => "tcp".into(),
        proto::UDP => "udp".into(),
        proto::ICMP => "icmp".into(),
        proto::ICMPV6 => "icmp6".into(),
        proto::IGMP => "igmp".into(),
        number => format!("ip-proto-{number}"),
    }
}

fn tcp(h: &TcpHeader, o: &TcpOptions, data: usize) -> String {
    let letters: String = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
        (TcpFlags::URG, 'U'),
        (TcpFlags::ECE, 'E'),
        (TcpFlags::CWR, 'W'),
    ]
    .iter()
    .filter(|(flag, _)| h.flags.contains(*flag))
    .map(|(_, letter)| letter)
    .collect();
    let mut text = format!("Flags [{letters}]");
    match data {
        0 if !h.flags.intersects(TcpFlags::SYN.with(TcpFlags::FIN).with(TcpFlags::RST)) => {}
        0 => text.push_str(&format!(", seq {}", h.seq.0)),
        n => text.push_str(&format!(", seq {}:{}", h.seq.0, h.seq.0.wrapping_add(n as u32))),
    }
    if h.flags.contains(TcpFlags::ACK) {
        text.push_str(&format!(", ack {}", h.ack.0));
    }
    text.push_str(&format!(", win {}", h.window));
    let mut options = Vec::new();
    options.extend(o.mss.map(|v| format!("mss {v}")));
    options.extend(o.window_scale.map(|v| format!("wscale {v}")));
    if o.sack_permitted {
        options.push("sackOK".into());
    }
    if let Some((val, ecr)) = o.timestamps {
        options.push(format!("TS val {val} ecr {ecr}"));
    }
    for (left, right) in o.sack.iter() {
        options.push(format!("sack {{{}:{}}}", left.0, right.0));
    }
    if !options.is_empty() {
        text.push_str(&format!(", options [{}]", options.join(",")));
    }
    text.push_str(&format!(", length {data}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame around an IPv4 packet.
    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut f = vec![0; 12];
        f.extend_from_slice(&[8, 0, 0x45, 0, 0, (20 + payload.len()) as u8, 0, 0, 0x40, 0, 64, kind, 0, 0]);
        f.extend_from_slice(&[10, 0, 2, 15, 10, 0, 2, 2]);
        f.extend_from_slice(payload);
        f
    }

    #[test]
    fn a_handshake_and_data_read_as_in_tcpdump() {
        let mut syn = vec![0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 7, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0];
        syn.extend_from_slice(&[2, 4, 5, 0xb4]);
        let f = frame(proto::TCP, &syn);
        assert_eq!(
            describe(&f, f.len()),
            "IP 10.0.2.15.40000 > 10.0.2.2.8080: Flags [S], seq 7, win 64240, options [mss 1460], length 0"
        );
        let data = [0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 8, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0, b'h', b'i'];
        let f = frame(proto::TCP, &data);
        assert_eq!(
            describe(&f, f.len()),
            "IP 10.0.2.15.40000 > 10.0.2.2.8080: Flags [P.], seq 8:10, ack 9, win 256, length 2"
        );
    }

    #[test]
    fn other_protocols_have_a_line_too() {
        let udp = frame(proto::UDP, &[0, 53, 0x9c, 0x40, 0, 12, 0, 0, 1, 2, 3, 4]);
        assert_eq!(describe(&udp, udp.len()), "IP 10.0.2.15.53 > 10.0.2.2.40000: UDP, length 4");
        let echo = frame(proto::ICMP, &[8, 0, 0, 0, 0, 1, 0, 2]);
        assert_eq!(describe(&echo, echo.len()), "IP 10.0.2.15 > 10.0.2.2: ICMP echo request, id 1, seq 2, length 8");
        let odd = frame(200, &[1]);
        assert_eq!(describe(&odd, odd.len()), "IP 10.0.2.15 > 10.0.2.2: ip-proto-200, length 1");
    }

    #[test]
    fn no_cut_frame_brings_it_down() {
        let whole = frame(proto::TCP, &[0xff; 24]);
        for n in 0..whole.len() {
            assert!(!describe(&whole[..n], whole.len()).is_empty());
        }
    }
}
