//! The five messages (RFC 4861 §4.1 to §4.5) and their validity (§6.1, §7.1, §8.1).

use core::net::Ipv6Addr;

use crate::addr::solicited_node;
use crate::error::ParseError;
use crate::field;
use crate::icmpv6;

use super::options::{NdpOption, NdpOptions, RouterPreference};

/// Router solicitation.
pub const ROUTER_SOLICIT: u8 = 133;
/// Router advertisement.
pub const ROUTER_ADVERT: u8 = 134;
/// Neighbour solicitation.
pub const NEIGHBOR_SOLICIT: u8 = 135;
/// Neighbour advertisement.
pub const NEIGHBOR_ADVERT: u8 = 136;
/// Redirect.
pub const REDIRECT: u8 = 137;

/// The hop limit that proves a message to come from this link.
const LINK_HOP_LIMIT: u8 = 255;

const RA_MANAGED: u8 = 0x80;
const RA_OTHER: u8 = 0x40;
const RA_PREFERENCE_SHIFT: u8 = 3;
const NA_ROUTER: u8 = 0x80;
const NA_SOLICITED: u8 = 0x40;
const NA_OVERRIDE: u8 = 0x20;

/// The body of a router advertisement (RFC 4861 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RouterAdvert {
    /// Hop limit for packets sent; zero if unspecified.
    pub hop_limit: u8,
    /// Addresses are given by DHCPv6.
    pub managed: bool,
    /// Other configuration is given by DHCPv6.
    pub other: bool,
    /// Rank among default routers (RFC 4191 §2.2); medium when `lifetime_s` is zero.
    pub preference: RouterPreference,
    /// Lifetime as a default router, in seconds; zero for none.
    pub lifetime_s: u16,
    /// How long a neighbour counts as reachable, in milliseconds; zero if unspecified.
    pub reachable_ms: u32,
    /// Time between solicitations, in milliseconds; zero if unspecified.
    pub retrans_ms: u32,
}

/// A neighbour discovery message without its options.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields are named as RFC 4861 names them")]
pub enum NdpMessage {
    RouterSolicit,
    RouterAdvert(RouterAdvert),
    NeighborSolicit {
        target: Ipv6Addr,
    },
    NeighborAdvert {
        router: bool,
        solicited: bool,
        override_: bool,
        target: Ipv6Addr,
    },
    /// Packets for `destination` are better sent to `target`, which is a router, or `destination` itself if that is
    /// on-link.
    Redirect {
        target: Ipv6Addr,
        destination: Ipv6Addr,
    },
}

impl NdpMessage {
    /// Whether an ICMPv6 type is one of neighbour discovery.
    pub const fn is_ndp(kind: u8) -> bool {
        matches!(kind, ROUTER_SOLICIT..=REDIRECT)
    }

    /// Reads a whole ICMPv6 message, whose checksum the caller has verified ([`icmpv6::verify`]).
    ///
    /// `Truncated` if shorter than its type demands, `Malformed` if the type is not one of neighbour discovery or the
    /// code is not zero, `BadLength` or `Truncated` if an option has length zero or leaves the message: such a message
    /// is silently discarded (RFC 4861 §6.1). The options returned are therefore free of errors.
    pub fn parse(message: &[u8]) -> Result<(Self, NdpOptions<'_>), ParseError> {
        let (head, body) = message.split_first_chunk::<8>().ok_or(ParseError::Truncated)?;
        if !Self::is_ndp(head[0]) || head[1] != 0 {
            return Err(ParseError::Malformed);
        }
        let (parsed, rest) = match head[0] {
            ROUTER_SOLICIT => (Self::RouterSolicit, body),
            ROUTER_ADVERT => {
                let (times, rest) = body.split_first_chunk::<8>().ok_or(ParseError::Truncated)?;
                (Self::RouterAdvert(read_router_advert(head, times)), rest)
            }
            NEIGHBOR_SOLICIT => {
                let (target, rest) = read_address(body)?;
                (Self::NeighborSolicit { target }, rest)
            }
            NEIGHBOR_ADVERT => {
                let (target, rest) = read_address(body)?;
                let has = |flag| head[4] & flag != 0;
                let (router, solicited, override_) = (has(NA_ROUTER), has(NA_SOLICITED), has(NA_OVERRIDE));
                (Self::NeighborAdvert { router, solicited, override_, target }, rest)
            }
            _ => {
                let (target, rest) = read_address(body)?;
                let (destination, rest) = read_address(rest)?;
                (Self::Redirect { target, destination }, rest)
            }
        };
        let options = NdpOptions::new(rest);
        for option in options.clone() {
            option?;
        }
        Ok((parsed, options))
    }

    /// Applies the validity rules of RFC 4861 §6.1.1, §6.1.2, §7.1.1, §7.1.2 and §8.1, but for those that
    /// [`Self::parse`] applied and those that need to know the node (that a redirect comes from the current first hop).
    /// `Malformed` if one is broken.
    pub fn validate(
        &self,
        options: &NdpOptions<'_>,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        hop_limit: u8,
    ) -> Result<(), ParseError> {
        let names_source = || options.clone().any(|option| matches!(option, Ok(NdpOption::SourceLinkAddr(_))));
        let valid = match *self {
            Self::RouterSolicit => !(src.is_unspecified() && names_source()),
            Self::RouterAdvert(_) => src.is_unicast_link_local(),
            Self::NeighborSolicit { target } => {
                // A probe for duplicates has no source, and so nothing to say about it.
                let probe_is_sound = !src.is_unspecified() || (dst == solicited_node(dst) && !names_source());
                !target.is_multicast() && probe_is_sound
            }
            Self::NeighborAdvert { solicited, target, .. } => {
                let answers_a_group = solicited && dst.is_multicast();
                !target.is_multicast() && !answers_a_group
            }
            Self::Redirect { target, destination } => {
                src.is_unicast_link_local()
                    && !destination.is_multicast()
                    && (target.is_unicast_link_local() || target == destination)
            }
        };
        if valid && hop_limit == LINK_HOP_LIMIT { Ok(()) } else { Err(ParseError::Malformed) }
    }

    /// Bytes that [`Self::emit`] writes.
    pub fn len(&self, options: &[NdpOption<'_>]) -> usize {
        let fixed = match self {
            Self::RouterSolicit => 8,
            Self::RouterAdvert(_) => 16,
            Self::NeighborSolicit { .. } | Self::NeighborAdvert { .. } => 24,
            Self::Redirect { .. } => 40,
        };
        fixed + options.iter().map(NdpOption::encoded_len).sum::<usize>()
    }

    /// Writes [`Self::len`] bytes with the ICMPv6 checksum for `src` and `dst` at the front of `buf`, and returns their
    /// number.
    pub fn emit(&self, options: &[NdpOption<'_>], src: Ipv6Addr, dst: Ipv6Addr, buf: &mut [u8]) -> usize {
        let len = self.len(options);
        let out = &mut buf[..len];
        out[..8].fill(0);
        out[0] = self.kind();
        let mut at = self.len(&[]);
        match *self {
            Self::RouterSolicit => {}
            Self::RouterAdvert(advert) => emit_router_advert(&advert, out),
            Self::NeighborSolicit { target } => field::put(out, 8, &target.octets()),
            Self::NeighborAdvert { router, solicited, override_, target } => {
                let flag = |set, bit| if set { bit } else { 0 };
                out[4] = flag(router, NA_ROUTER) | flag(solicited, NA_SOLICITED) | flag(override_, NA_OVERRIDE);
                field::put(out, 8, &target.octets());
            }
            Self::Redirect { target, destination } => {
                field::put(out, 8, &target.octets());
                field::put(out, 24, &destination.octets());
            }
        }
        for option in options {
            at += option.emit(&mut out[at..]);
        }
        icmpv6::finish(out, src, dst);
        len
    }

    /// The ICMPv6 type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::RouterSolicit => ROUTER_SOLICIT,
            Self::RouterAdvert(_) => ROUTER_ADVERT,
            Self::NeighborSolicit { .. } => NEIGHBOR_SOLICIT,
            Self::NeighborAdvert { .. } => NEIGHBOR_ADVERT,
            Self::Redirect { .. } => REDIRECT,
        }
    }
}

fn read_address(bytes: &[u8]) -> Result<(Ipv6Addr, &[u8]), ParseError> {
    let (octets, rest) = bytes.split_first_chunk::<16>().ok_or(ParseError::Truncated)?;
    Ok(((*octets).into(), rest))
}

fn read_router_advert(head: &[u8; 8], times: &[u8; 8]) -> RouterAdvert {
    let lifetime_s = field::be16(head, 6);
    // RFC 4191 §2.2: a reserved value counts as medium, and none counts from a router that is no default router.
    let preference = match RouterPreference::from_bits(head[5] >> RA_PREFERENCE_SHIFT) {
        Some(preference) if lifetime_s != 0 => preference,
        _ => RouterPreference::Medium,
    };
    RouterAdvert {
        hop_limit: head[4],
        managed: head[5] & RA_MANAGED != 0,
        other: head[5] & RA_OTHER != 0,
        preference,
        lifetime_s,
        reachable_ms: field::be32(times, 0),
        retrans_ms: field::be32(times, 4),
    }
}

fn emit_router_advert(advert: &RouterAdvert, out: &mut [u8]) {
    let RouterAdvert { hop_limit, managed, other, preference, lifetime_s, reachable_ms, retrans_ms } = *advert;
    let managed = if managed { RA_MANAGED } else { 0 };
    let other = if other { RA_OTHER } else { 0 };
    out[4] = hop_limit;
    out[5] = managed | other | preference.bits() << RA_PREFERENCE_SHIFT;
    field::put16(out, 6, lifetime_s);
    field::put32(out, 8, reachable_ms);
    field::put32(out, 12, retrans_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacAddr;

    const A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const ADVERT: RouterAdvert = RouterAdvert {
        hop_limit: 64,
        managed: true,
        other: false,
        preference: RouterPreference::High,
        lifetime_s: 1800,
        reachable_ms: 30_000,
        retrans_ms: 1000,
    };

    fn emitted(message: NdpMessage, options: &[NdpOption<'_>]) -> Vec<u8> {
        let mut buf = vec![0xff; message.len(options)];
        assert_eq!(message.emit(options, A, B, &mut buf), buf.len());
        assert_eq!(icmpv6::verify(&buf, A, B), Ok(()));
        buf
    }

    #[test]
    fn a_solicitation_stands_as_rfc_4861_draws_it() {
        let bytes = emitted(NdpMessage::NeighborSolicit { target: B }, &[NdpOption::SourceLinkAddr(MAC)]);
        let mut expected = vec![135, 0, bytes[2], bytes[3], 0, 0, 0, 0];
        expected.extend(B.octets());
        expected.extend([1, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_advertisement_of_a_router_stands_as_rfc_4861_draws_it() {
        let bytes = emitted(NdpMessage::RouterAdvert(ADVERT), &[]);
        assert_eq!(bytes[4..], [64, 0x88, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8]);
    }

    #[test]
    fn every_message_reads_back() {
        for message in [
            NdpMessage::RouterSolicit,
            NdpMessage::RouterAdvert(ADVERT),
            NdpMessage::NeighborSolicit { target: B },
            NdpMessage::NeighborAdvert { router: true, solicited: false, override_: true, target: A },
            NdpMessage::Redirect { target: A, destination: B },
        ] {
            let bytes = emitted(message, &[NdpOption::TargetLinkAddr(MAC)]);
            let (read, mut options) = NdpMessage::parse(&bytes).unwrap();
            assert_eq!(read, message);
            assert_eq!(options.next(), Some(Ok(NdpOption::TargetLinkAddr(MAC))));
            assert_eq!(options.next(), None);
            for len in 0..message.len(&[]) {
                assert_eq!(NdpMessage::parse(&bytes[..len]), Err(ParseError::Truncated));
            }
        }
    }

    #[test]
    fn a_code_or_an_option_of_length_zero_spoils_the_message() {
        let mut bytes = emitted(NdpMessage::RouterSolicit, &[NdpOption::SourceLinkAddr(MAC)]);
        bytes[9] = 0;
        assert_eq!(NdpMessage::parse(&bytes), Err(ParseError::BadLength));
        bytes[9] = 2;
        assert_eq!(NdpMessage::parse(&bytes), Err(ParseError::Truncated));
        bytes[9] = 1;
        bytes[1] = 1;
        assert_eq!(NdpMessage::parse(&bytes), Err(ParseError::Malformed));
    }

    #[test]
    fn a_router_that_is_no_default_router_has_no_preference() {
        let bytes = emitted(NdpMessage::RouterAdvert(RouterAdvert { lifetime_s: 0, ..ADVERT }), &[]);
        let expected = RouterAdvert { lifetime_s: 0, preference: RouterPreference::Medium, ..ADVERT };
        assert_eq!(NdpMessage::parse(&bytes).unwrap().0, NdpMessage::RouterAdvert(expected));
    }

    #[test]
    fn validity_follows_the_rules_of_each_message() {
        let all_nodes = crate::addr::ALL_NODES_V6;
        let source = emitted(NdpMessage::RouterSolicit, &[NdpOption::SourceLinkAddr(MAC)]);
        let named = NdpMessage::parse(&source).unwrap().1;
        let none = NdpOptions::new(&[]);
        let advert =
            |solicited, target| NdpMessage::NeighborAdvert { router: false, solicited, override_: false, target };
        let solicit = |target| NdpMessage::NeighborSolicit { target };
        for (message, options, src, dst, valid) in [
            (NdpMessage::RouterSolicit, &none, ANY, B, true),
            (NdpMessage::RouterSolicit, &named, ANY, B, false),
            (NdpMessage::RouterSolicit, &named, A, B, true),
            (NdpMessage::RouterAdvert(ADVERT), &none, A, all_nodes, true),
            (NdpMessage::RouterAdvert(ADVERT), &none, B, all_nodes, false),
            (solicit(B), &named, A, B, true),
            (solicit(all_nodes), &named, A, B, false),
            (solicit(B), &none, ANY, solicited_node(B), true),
            (solicit(B), &none, ANY, all_nodes, false),
            (solicit(B), &none, ANY, B, false),
            (solicit(B), &named, ANY, solicited_node(B), false),
            (advert(true, B), &none, A, B, true),
            (advert(true, B), &none, A, all_nodes, false),
            (advert(false, B), &none, A, all_nodes, true),
            (advert(false, all_nodes), &none, A, B, false),
            (NdpMessage::Redirect { target: A, destination: B }, &none, A, B, true),
            (NdpMessage::Redirect { target: B, destination: B }, &none, A, B, true),
            (NdpMessage::Redirect { target: B, destination: A }, &none, A, B, false),
            (NdpMessage::Redirect { target: A, destination: B }, &none, B, B, false),
            (NdpMessage::Redirect { target: A, destination: all_nodes }, &none, A, B, false),
        ] {
            assert_eq!(message.validate(options, src, dst, 255).is_ok(), valid, "{message:?} from {src} to {dst}");
            assert!(message.validate(options, src, dst, 254).is_err());
        }
    }
}
