//! ICMP for IPv4 (RFC 792; path MTU RFC 1191 §4). When an error may be sent, and to whom, is the stack's.

use core::net::Ipv4Addr;

use crate::checksum;
use crate::error::ParseError;
use crate::field;

/// Echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Destination unreachable.
pub const DEST_UNREACHABLE: u8 = 3;
/// Source quench; deprecated by RFC 6633.
pub const SOURCE_QUENCH: u8 = 4;
/// Redirect.
pub const REDIRECT: u8 = 5;
/// Echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Router advertisement (RFC 1256).
pub const ROUTER_ADVERT: u8 = 9;
/// Router solicitation (RFC 1256).
pub const ROUTER_SOLICIT: u8 = 10;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;
/// Timestamp request.
pub const TIMESTAMP_REQUEST: u8 = 13;
/// Timestamp reply.
pub const TIMESTAMP_REPLY: u8 = 14;

/// Unreachable: network.
pub const UNREACH_NET: u8 = 0;
/// Unreachable: host.
pub const UNREACH_HOST: u8 = 1;
/// Unreachable: protocol.
pub const UNREACH_PROTOCOL: u8 = 2;
/// Unreachable: port.
pub const UNREACH_PORT: u8 = 3;
/// Unreachable: fragmentation needed and DF set.
pub const UNREACH_FRAG_NEEDED: u8 = 4;
/// Unreachable: source route failed.
pub const UNREACH_SOURCE_ROUTE: u8 = 5;
/// Unreachable: network unknown.
pub const UNREACH_NET_UNKNOWN: u8 = 6;
/// Unreachable: host unknown.
pub const UNREACH_HOST_UNKNOWN: u8 = 7;
/// Unreachable: source host isolated.
pub const UNREACH_ISOLATED: u8 = 8;
/// Unreachable: network administratively prohibited.
pub const UNREACH_NET_PROHIBITED: u8 = 9;
/// Unreachable: host administratively prohibited.
pub const UNREACH_HOST_PROHIBITED: u8 = 10;
/// Unreachable: network, for this type of service.
pub const UNREACH_NET_TOS: u8 = 11;
/// Unreachable: host, for this type of service.
pub const UNREACH_HOST_TOS: u8 = 12;
/// Unreachable: communication administratively prohibited (RFC 1812 §5.2.7.1).
pub const UNREACH_ADMIN_PROHIBITED: u8 = 13;

/// Time exceeded: TTL in transit.
pub const TIME_TTL: u8 = 0;
/// Time exceeded: fragment reassembly.
pub const TIME_REASSEMBLY: u8 = 1;

/// Parameter problem: the pointer says where.
pub const PARAM_POINTER: u8 = 0;
/// Parameter problem: a required option is missing.
pub const PARAM_MISSING_OPTION: u8 = 1;
/// Parameter problem: bad length.
pub const PARAM_LENGTH: u8 = 2;

/// Redirect: for the network.
pub const REDIRECT_NET: u8 = 0;
/// Redirect: for the host.
pub const REDIRECT_HOST: u8 = 1;

/// Bytes of type, code, checksum and the rest of the header.
const HEADER_LEN: usize = 8;
/// Bytes of a timestamp message.
const TIMESTAMP_LEN: usize = 20;

/// An ICMP message. `original` is the start of the packet that an error is about: its IP header and at least 8 bytes if
/// the sender obeyed RFC 792; it is for the receiver to look.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields are named as RFC 792 names them")]
pub enum Icmpv4Message<'a> {
    EchoRequest {
        id: u16,
        seq: u16,
        data: &'a [u8],
    },
    EchoReply {
        id: u16,
        seq: u16,
        data: &'a [u8],
    },
    /// `next_hop_mtu` is in bytes, meaningful with [`UNREACH_FRAG_NEEDED`], zero from routers older than RFC 1191.
    DestUnreachable {
        code: u8,
        next_hop_mtu: u16,
        original: &'a [u8],
    },
    TimeExceeded {
        code: u8,
        original: &'a [u8],
    },
    /// `pointer` is the offset of the offending byte in the original packet.
    ParameterProblem {
        code: u8,
        pointer: u8,
        original: &'a [u8],
    },
    Redirect {
        code: u8,
        gateway: Ipv4Addr,
        original: &'a [u8],
    },
    SourceQuench {
        original: &'a [u8],
    },
    /// Times are milliseconds since midnight UT; with the highest bit set, something else.
    TimestampRequest {
        id: u16,
        seq: u16,
        originate: u32,
        receive: u32,
        transmit: u32,
    },
    TimestampReply {
        id: u16,
        seq: u16,
        originate: u32,
        receive: u32,
        transmit: u32,
    },
    /// Any other; `rest` is all that follows the checksum.
    Other {
        kind: u8,
        code: u8,
        rest: &'a [u8],
    },
}

impl<'a> Icmpv4Message<'a> {
    /// Reads a message and verifies its checksum.
    ///
    /// `Truncated` if shorter than its type demands, `BadChecksum` if the checksum is wrong.
    pub fn parse(message: &'a [u8]) -> Result<Self, ParseError> {
        let parsed = Self::parse_unchecked(message)?;
        if !checksum::is_valid(checksum::partial(message)) {
            return Err(ParseError::BadChecksum);
        }
        Ok(parsed)
    }

    /// [`Self::parse`] without the checksum: for messages quoted in errors.
    pub fn parse_unchecked(message: &'a [u8]) -> Result<Self, ParseError> {
        let (&[kind, code, _, _], rest) = message.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
        if !is_known(kind) {
            return Ok(Self::Other { kind, code, rest });
        }
        let (head, body) = message.split_first_chunk::<HEADER_LEN>().ok_or(ParseError::Truncated)?;
        let (id, seq) = (field::be16(head, 4), field::be16(head, 6));
        Ok(match kind {
            ECHO_REQUEST => Self::EchoRequest { id, seq, data: body },
            ECHO_REPLY => Self::EchoReply { id, seq, data: body },
            DEST_UNREACHABLE => Self::DestUnreachable { code, next_hop_mtu: seq, original: body },
            TIME_EXCEEDED => Self::TimeExceeded { code, original: body },
            PARAMETER_PROBLEM => Self::ParameterProblem { code, pointer: head[4], original: body },
            REDIRECT => Self::Redirect { code, gateway: field::ipv4(head, 4), original: body },
            SOURCE_QUENCH => Self::SourceQuench { original: body },
            _ => {
                let times = body.first_chunk::<{ TIMESTAMP_LEN - HEADER_LEN }>().ok_or(ParseError::Truncated)?;
                let (originate, receive, transmit) =
                    (field::be32(times, 0), field::be32(times, 4), field::be32(times, 8));
                if kind == TIMESTAMP_REQUEST {
                    Self::TimestampRequest { id, seq, originate, receive, transmit }
                } else {
                    Self::TimestampReply { id, seq, originate, receive, transmit }
                }
            }
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => HEADER_LEN + data.len(),
            Self::DestUnreachable { original, .. }
            | Self::TimeExceeded { original, .. }
            | Self::ParameterProblem { original, .. }
            | Self::Redirect { original, .. }
            | Self::SourceQuench { original } => HEADER_LEN + original.len(),
            Self::TimestampRequest { .. } | Self::TimestampReply { .. } => TIMESTAMP_LEN,
            Self::Other { rest, .. } => 4 + rest.len(),
        }
    }

    /// Writes [`Self::len`] bytes with their checksum at the front of `buf`, and returns their number.
    pub fn emit(&self, buf: &mut [u8]) -> usize {
        let len = self.len();
        let out = &mut buf[..len];
        out[..len.min(HEADER_LEN)].fill(0);
        out[0] = self.kind();
        out[1] = self.code();
        match *self {
            Self::EchoRequest { id, seq, data } | Self::EchoReply { id, seq, data } => {
                field::put16(out, 4, id);
                field::put16(out, 6, seq);
                field::put(out, HEADER_LEN, data);
            }
            Self::DestUnreachable { next_hop_mtu, original, .. } => {
                field::put16(out, 6, next_hop_mtu);
                field::put(out, HEADER_LEN, original);
            }
            Self::ParameterProblem { pointer, original, .. } => {
                out[4] = pointer;
                field::put(out, HEADER_LEN, original);
            }
            Self::Redirect { gateway, original, .. } => {
                field::put(out, 4, &gateway.octets());
                field::put(out, HEADER_LEN, original);
            }
            Self::TimeExceeded { original, .. } | Self::SourceQuench { original } => {
                field::put(out, HEADER_LEN, original)
            }
            Self::TimestampRequest { id, seq, originate, receive, transmit }
            | Self::TimestampReply { id, seq, originate, receive, transmit } => {
                field::put16(out, 4, id);
                field::put16(out, 6, seq);
                field::put32(out, 8, originate);
                field::put32(out, 12, receive);
                field::put32(out, 16, transmit);
            }
            Self::Other { rest, .. } => field::put(out, 4, rest),
        }
        let ck = checksum::finish(checksum::partial(out));
        field::put16(out, 2, ck);
        len
    }

    /// [`Self::emit`] into a new vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; self.len()];
        self.emit(&mut out);
        out
    }

    /// The type byte.
    pub fn kind(&self) -> u8 {
        match self {
            Self::EchoRequest { .. } => ECHO_REQUEST,
            Self::EchoReply { .. } => ECHO_REPLY,
            Self::DestUnreachable { .. } => DEST_UNREACHABLE,
            Self::TimeExceeded { .. } => TIME_EXCEEDED,
            Self::ParameterProblem { .. } => PARAMETER_PROBLEM,
            Self::Redirect { .. } => REDIRECT,
            Self::SourceQuench { .. } => SOURCE_QUENCH,
            Self::TimestampRequest { .. } => TIMESTAMP_REQUEST,
            Self::TimestampReply { .. } => TIMESTAMP_REPLY,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The code byte; zero for types that have none.
    pub fn code(&self) -> u8 {
        match self {
            Self::DestUnreachable { code, .. }
            | Self::TimeExceeded { code, .. }
            | Self::ParameterProblem { code, .. }
            | Self::Redirect { code, .. }
            | Self::Other { code, .. } => *code,
            Self::EchoRequest { .. }
            | Self::EchoReply { .. }
            | Self::SourceQuench { .. }
            | Self::TimestampRequest { .. }
            | Self::TimestampReply { .. } => 0,
        }
    }

    /// The start of the packet that an error is about; None if this is no error (RFC 1122 §3.2.2: errors are never
    /// answered by errors).
    pub fn original(&self) -> Option<&'a [u8]> {
        match *self {
            Self::DestUnreachable { original, .. }
            | Self::TimeExceeded { original, .. }
            | Self::ParameterProblem { original, .. }
            | Self::Redirect { original, .. }
            | Self::SourceQuench { original } => Some(original),
            _ => None,
        }
    }
}

fn is_known(kind: u8) -> bool {
    matches!(
        kind,
        ECHO_REPLY
            | DEST_UNREACHABLE
            | SOURCE_QUENCH
            | REDIRECT
            | ECHO_REQUEST
            | TIME_EXCEEDED
            | PARAMETER_PROBLEM
            | TIMESTAMP_REQUEST
            | TIMESTAMP_REPLY
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0800 + 1234 + 0001 + 6162 = 7b97, complement 8468.
    const ECHO: [u8; 10] = [8, 0, 0x84, 0x68, 0x12, 0x34, 0, 1, b'a', b'b'];

    #[test]
    fn an_echo_reads_and_writes_as_rfc_792_draws_it() {
        let echo = Icmpv4Message::EchoRequest { id: 0x1234, seq: 1, data: b"ab" };
        assert_eq!(Icmpv4Message::parse(&ECHO), Ok(echo));
        assert_eq!(echo.to_vec(), ECHO);
    }

    #[test]
    fn a_wrong_checksum_is_seen_unless_not_looked_for() {
        let mut bytes = ECHO;
        bytes[9] = b'c';
        assert_eq!(Icmpv4Message::parse(&bytes), Err(ParseError::BadChecksum));
        assert!(Icmpv4Message::parse_unchecked(&bytes).is_ok());
        assert_eq!(Icmpv4Message::parse(&ECHO[..7]), Err(ParseError::Truncated));
    }

    #[test]
    fn every_field_stands_in_its_place() {
        let original = &[0x45, 0, 0, 20][..];
        for (message, head) in [
            (Icmpv4Message::DestUnreachable { code: 4, next_hop_mtu: 1400, original }, [3, 4, 0, 0, 0x05, 0x78]),
            (Icmpv4Message::TimeExceeded { code: 1, original }, [11, 1, 0, 0, 0, 0]),
            (Icmpv4Message::ParameterProblem { code: 0, pointer: 20, original }, [12, 0, 20, 0, 0, 0]),
            (Icmpv4Message::Redirect { code: 1, gateway: [10, 0, 0, 1].into(), original }, [5, 1, 10, 0, 0, 1]),
            (Icmpv4Message::SourceQuench { original }, [4, 0, 0, 0, 0, 0]),
        ] {
            let bytes = message.to_vec();
            assert_eq!([&bytes[..2], &bytes[4..8]].concat(), head);
            assert_eq!(bytes[8..], *original);
            assert_eq!(Icmpv4Message::parse(&bytes), Ok(message));
            assert_eq!(message.original(), Some(original));
        }
    }

    #[test]
    fn timestamps_and_others_round_trip() {
        let stamp = Icmpv4Message::TimestampReply { id: 1, seq: 2, originate: 3, receive: 4, transmit: 5 };
        assert_eq!(Icmpv4Message::parse(&stamp.to_vec()), Ok(stamp));
        assert_eq!(Icmpv4Message::parse_unchecked(&stamp.to_vec()[..19]), Err(ParseError::Truncated));
        let other = Icmpv4Message::Other { kind: ROUTER_SOLICIT, code: 0, rest: &[0, 0, 0, 0] };
        assert_eq!(Icmpv4Message::parse(&other.to_vec()), Ok(other));
        let bare = Icmpv4Message::Other { kind: 200, code: 9, rest: &[] };
        assert_eq!(Icmpv4Message::parse(&bare.to_vec()), Ok(bare));
        assert_eq!(other.original(), None);
    }
}
