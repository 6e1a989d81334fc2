//! The ICMP messages of a ping: what is sent, and what is heard.

use std::net::Ipv6Addr;

use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::{self, Icmpv6Message};
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::proto;

/// How messages look on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A raw IPv4 socket hands over the IP header too (raw(7)).
    V4 {
        raw: bool,
    },
    V6,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Reply {
        id: u16,
        seq: u16,
        bytes: usize,
        ttl: Option<u8>,
    },
    /// An error about an echo request.
    Trouble {
        id: u16,
        seq: u16,
        bytes: usize,
        what: String,
    },
}

/// An echo request. The data counts upwards, as ping's always has.
pub fn request(family: Family, id: u16, seq: u16, size: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..size).map(|i| i as u8).collect();
    match family {
        Family::V4 { .. } => {
            let message = Icmpv4Message::EchoRequest { id, seq, data: &data };
            let mut out = vec![0; message.len()];
            message.emit(&mut out);
            out
        }
        // RFC 3542 §3.1: the stack fills in the checksum, for which the source must be known.
        Family::V6 => {
            Icmpv6Message::EchoRequest { id, seq, data: &data }.to_vec(Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
        }
    }
}

/// `None` for what is no answer to any ping.
pub fn heard(family: Family, message: &[u8]) -> Option<Heard> {
    match family {
        Family::V4 { raw } => {
            let (ttl, icmp) = match raw {
                true => {
                    let (header, _, payload) = Ipv4Header::parse_unchecked_sum(message).ok()?;
                    (Some(header.ttl), payload)
                }
                false => (None, message),
            };
            heard_v4(icmp, ttl, message.len())
        }
        Family::V6 => heard_v6(message),
    }
}

fn heard_v4(icmp: &[u8], ttl: Option<u8>, whole: usize) -> Option<Heard> {
    let what = match Icmpv4Message::parse_unchecked(icmp).ok()? {
        Icmpv4Message::EchoReply { id, seq, .. } => return Some(Heard::Reply { id, seq, bytes: icmp.len(), ttl }),
        Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_FRAG_NEEDED, next_hop_mtu, original } => {
            (format!("frag needed and DF set (MTU {next_hop_mtu})"), original)
        }
        Icmpv4Message::DestUnreachable { code, original, .. } => (unreachable_v4(code), original),
        Icmpv4Message::TimeExceeded { code: icmpv4::TIME_TTL, original } => ("Time to live exceeded".into(), original),
        Icmpv4Message::TimeExceeded { original, .. } => ("Frag reassembly time exceeded".into(), original),
        Icmpv4Message::ParameterProblem { pointer, original, .. } => {
            (format!("Parameter problem: pointer = {pointer}"), original)
        }
        Icmpv4Message::SourceQuench { original } => ("Source Quench".into(), original),
        Icmpv4Message::Redirect { gateway, original, .. } => (format!("Redirect (New addr: {gateway})"), original),
        _ => return None,
    };
    let (what, original) = what;
    // RFC 792: the IP header and eight bytes of what follows; the total length speaks of more.
    let (header, _) = Ipv4Header::parse_header(original).ok()?;
    let inner = original.get(header.header_len.into()..)?;
    match Icmpv4Message::parse_unchecked(inner).ok()? {
        Icmpv4Message::EchoRequest { id, seq, .. } if header.proto == proto::ICMP => {
            Some(Heard::Trouble { id, seq, bytes: whole, what })
        }
        _ => None,
    }
}

fn unreachable_v4(code: u8) -> String {
    match code {
        icmpv4::UNREACH_NET => "Destination Net Unreachable".into(),
        icmpv4::UNREACH_HOST => "Destination Host Unreachable".into(),
        icmpv4::UNREACH_PROTOCOL => "Destination Protocol Unreachable".into(),
        icmpv4::UNREACH_PORT => "Destination Port Unreachable".into(),
        icmpv4::UNREACH_SOURCE_ROUTE => "Source Route Failed".into(),
        icmpv4::UNREACH_ADMIN_PROHIBITED => "Communication prohibited by filter".into(),
        code => format!("Dest Unreachable, Bad Code: {code}"),
    }
}

fn heard_v6(icmp: &[u8]) -> Option<Heard> {
    let bytes = icmp.len();
    let message = Icmpv6Message::parse_unchecked(icmp).ok()?;
    if let Icmpv6Message::EchoReply { id, seq, .. } = message {
        return Some(Heard::Reply { id, seq, bytes, ttl: None });
    }
    let what = match (message.kind(), message.code()) {
        (icmpv6::DEST_UNREACHABLE, icmpv6::UNREACH_NO_ROUTE) => "No Route to Destination".into(),
        (icmpv6::DEST_UNREACHABLE, icmpv6::UNREACH_ADMIN_PROHIBITED) => {
            "Destination Administratively Unreachable".into()
        }
        (icmpv6::DEST_UNREACHABLE, icmpv6::UNREACH_BEYOND_SCOPE) => "Beyond Scope of Source Address".into(),
        (icmpv6::DEST_UNREACHABLE, icmpv6::UNREACH_ADDRESS) => "Destination Host Unreachable".into(),
        (icmpv6::DEST_UNREACHABLE, icmpv6::UNREACH_PORT) => "Destination Port Unreachable".into(),
        (icmpv6::DEST_UNREACHABLE, code) => format!("Destination Unreachable, Bad Code: {code}"),
        (icmpv6::PACKET_TOO_BIG, _) => "Packet too big".into(),
        (icmpv6::TIME_EXCEEDED, icmpv6::TIME_HOP_LIMIT) => "Time to live exceeded".into(),
        (icmpv6::TIME_EXCEEDED, _) => "Frag reassembly time exceeded".into(),
        (icmpv6::PARAMETER_PROBLEM, _) => "Parameter problem".into(),
        _ => return None,
    };
    let inner = message.original()?.get(Ipv6Header::LEN..)?;
    match Icmpv6Message::parse_unchecked(inner).ok()? {
        Icmpv6Message::EchoRequest { id, seq, .. } => Some(Heard::Trouble { id, seq, bytes, what }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn reply_of(mut request: Vec<u8>, kind: u8) -> Vec<u8> {
        request[0] = kind;
        request
    }

    /// An IPv4 packet around an ICMP message, as a raw socket hands it over.
    fn packet(icmp: &[u8]) -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, (20 + icmp.len()) as u8, 0, 0, 0, 0, 61, 1, 0, 0];
        p.extend_from_slice(&Ipv4Addr::new(10, 0, 0, 1).octets());
        p.extend_from_slice(&Ipv4Addr::new(10, 0, 0, 2).octets());
        p.extend_from_slice(icmp);
        p
    }

    #[test]
    fn a_reply_is_known_in_each_family() {
        let v4 = Family::V4 { raw: true };
        let icmp = reply_of(request(v4, 7, 9, 56), icmpv4::ECHO_REPLY);
        let reply = |ttl| Some(Heard::Reply { id: 7, seq: 9, bytes: 64, ttl });
        assert_eq!(heard(v4, &packet(&icmp)), reply(Some(61)));
        assert_eq!(heard(Family::V4 { raw: false }, &icmp), reply(None));
        let icmp = reply_of(request(Family::V6, 7, 9, 56), icmpv6::ECHO_REPLY);
        assert_eq!(heard(Family::V6, &icmp), reply(None));
    }

    #[test]
    fn an_error_about_our_request_is_trouble_and_about_another_packet_is_nothing() {
        let v4 = Family::V4 { raw: true };
        let mut icmp = vec![icmpv4::TIME_EXCEEDED, 0, 0, 0, 0, 0, 0, 0];
        icmp.extend_from_slice(&packet(&request(v4, 7, 9, 56))[..28]);
        let what = "Time to live exceeded".to_owned();
        assert_eq!(heard(v4, &packet(&icmp)), Some(Heard::Trouble { id: 7, seq: 9, bytes: 56, what }));
        icmp[8 + 9] = proto::UDP;
        assert_eq!(heard(v4, &packet(&icmp)), None);
    }

    #[test]
    fn a_request_is_no_answer_and_no_cut_message_brings_it_down() {
        let v4 = Family::V4 { raw: true };
        let whole = packet(&request(v4, 1, 2, 8));
        assert_eq!(heard(v4, &whole), None);
        for n in 0..whole.len() {
            for family in [v4, Family::V6] {
                let _ = heard(family, &whole[..n]);
            }
        }
    }
}
