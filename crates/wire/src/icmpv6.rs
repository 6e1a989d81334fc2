//! ICMPv6 (RFC 4443). Neighbour discovery is in [`crate::ndp`], listener discovery in [`crate::mld`].

use core::net::Ipv6Addr;

use crate::checksum;
use crate::error::ParseError;
use crate::field;
use crate::proto;

/// Destination unreachable.
pub const DEST_UNREACHABLE: u8 = 1;
/// Packet too big.
pub const PACKET_TOO_BIG: u8 = 2;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 3;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Types from here on are informational; those below are errors (RFC 4443 §2.1).
pub const FIRST_INFORMATIONAL: u8 = 128;

/// Unreachable: no route.
pub const UNREACH_NO_ROUTE: u8 = 0;
/// Unreachable: administratively prohibited.
pub const UNREACH_ADMIN_PROHIBITED: u8 = 1;
/// Unreachable: beyond the scope of the source address.
pub const UNREACH_BEYOND_SCOPE: u8 = 2;
/// Unreachable: address.
pub const UNREACH_ADDRESS: u8 = 3;
/// Unreachable: port.
pub const UNREACH_PORT: u8 = 4;
/// Unreachable: the source address failed a policy.
pub const UNREACH_SOURCE_POLICY: u8 = 5;
/// Unreachable: the route rejects.
pub const UNREACH_REJECT: u8 = 6;

/// Time exceeded: hop limit in transit.
pub const TIME_HOP_LIMIT: u8 = 0;
/// Time exceeded: fragment reassembly.
pub const TIME_REASSEMBLY: u8 = 1;

/// Parameter problem: erroneous header field.
pub const PARAM_HEADER_FIELD: u8 = 0;
/// Parameter problem: unrecognised next header.
pub const PARAM_NEXT_HEADER: u8 = 1;
/// Parameter problem: unrecognised option.
pub const PARAM_OPTION: u8 = 2;
/// Parameter problem: the first fragment does not hold the whole header chain (RFC 7112 §5).
pub const PARAM_INCOMPLETE_CHAIN: u8 = 3;

/// Where the checksum stands in every message.
pub const CHECKSUM_OFFSET: usize = 2;

/// Bytes of type, code, checksum and the 32 bits after them.
const HEADER_LEN: usize = 8;

/// An ICMPv6 message. `original` is as much of the packet that an error is about as the sender put in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields are named as RFC 4443 names them")]
pub enum Icmpv6Message<'a> {
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
    DestUnreachable {
        code: u8,
        original: &'a [u8],
    },
    /// `mtu` is in bytes; values below 1280 are for the receiver to judge (RFC 8201 §4).
    PacketTooBig {
        mtu: u32,
        original: &'a [u8],
    },
    TimeExceeded {
        code: u8,
        original: &'a [u8],
    },
    /// `pointer` is the offset of the offending byte in the original packet; it may lie beyond what is quoted.
    ParameterProblem {
        code: u8,
        pointer: u32,
        original: &'a [u8],
    },
    /// Any other; `rest` is all that follows the checksum.
    Other {
        kind: u8,
        code: u8,
        rest: &'a [u8],
    },
}

impl<'a> Icmpv6Message<'a> {
    /// Reads a message that went from `src` to `dst` and verifies its checksum.
    ///
    /// `Truncated` if shorter than its type demands, `BadChecksum` if the checksum is wrong.
    pub fn parse(message: &'a [u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<Self, ParseError> {
        let parsed = Self::parse_unchecked(message)?;
        verify(message, src, dst)?;
        Ok(parsed)
    }

    /// [`Self::parse`] without the checksum: for messages quoted in errors.
    pub fn parse_unchecked(message: &'a [u8]) -> Result<Self, ParseError> {
        let (&[kind, code, _, _], rest) = message.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
        if !is_known(kind) {
            return Ok(Self::Other { kind, code, rest });
        }
        let (&word, body) = rest.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
        let (id, seq) = (field::be16(&word, 0), field::be16(&word, 2));
        let word = u32::from_be_bytes(word);
        Ok(match kind {
            ECHO_REQUEST => Self::EchoRequest { id, seq, data: body },
            ECHO_REPLY => Self::EchoReply { id, seq, data: body },
            DEST_UNREACHABLE => Self::DestUnreachable { code, original: body },
            PACKET_TOO_BIG => Self::PacketTooBig { mtu: word, original: body },
            TIME_EXCEEDED => Self::TimeExceeded { code, original: body },
            _ => Self::ParameterProblem { code, pointer: word, original: body },
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => HEADER_LEN + data.len(),
            Self::DestUnreachable { original, .. }
            | Self::PacketTooBig { original, .. }
            | Self::TimeExceeded { original, .. }
            | Self::ParameterProblem { original, .. } => HEADER_LEN + original.len(),
            Self::Other { rest, .. } => 4 + rest.len(),
        }
    }

    /// Writes [`Self::len`] bytes with the checksum for `src` and `dst` at the front of `buf`, and returns their
    /// number.
    pub fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr, buf: &mut [u8]) -> usize {
        let len = self.len();
        let out = &mut buf[..len];
        out[0] = self.kind();
        out[1] = self.code();
        let (word, body) = match *self {
            Self::EchoRequest { id, seq, data } | Self::EchoReply { id, seq, data } => {
                (u32::from(id) << 16 | u32::from(seq), data)
            }
            Self::DestUnreachable { original, .. } | Self::TimeExceeded { original, .. } => (0, original),
            Self::PacketTooBig { mtu, original } => (mtu, original),
            Self::ParameterProblem { pointer, original, .. } => (pointer, original),
            Self::Other { rest, .. } => {
                field::put(out, 4, rest);
                finish(out, src, dst);
                return len;
            }
        };
        field::put32(out, 4, word);
        field::put(out, HEADER_LEN, body);
        finish(out, src, dst);
        len
    }

    /// [`Self::emit`] into a new vector.
    pub fn to_vec(&self, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
        let mut out = vec![0; self.len()];
        self.emit(src, dst, &mut out);
        out
    }

    /// The type byte.
    pub fn kind(&self) -> u8 {
        match self {
            Self::EchoRequest { .. } => ECHO_REQUEST,
            Self::EchoReply { .. } => ECHO_REPLY,
            Self::DestUnreachable { .. } => DEST_UNREACHABLE,
            Self::PacketTooBig { .. } => PACKET_TOO_BIG,
            Self::TimeExceeded { .. } => TIME_EXCEEDED,
            Self::ParameterProblem { .. } => PARAMETER_PROBLEM,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The code byte; zero for types that have none.
    pub fn code(&self) -> u8 {
        match self {
            Self::DestUnreachable { code, .. }
            | Self::TimeExceeded { code, .. }
            | Self::ParameterProblem { code, .. }
            | Self::Other { code, .. } => *code,
            Self::EchoRequest { .. } | Self::EchoReply { .. } | Self::PacketTooBig { .. } => 0,
        }
    }

    /// The packet that an error is about; None for informational messages and errors of unknown type.
    pub fn original(&self) -> Option<&'a [u8]> {
        match *self {
            Self::DestUnreachable { original, .. }
            | Self::PacketTooBig { original, .. }
            | Self::TimeExceeded { original, .. }
            | Self::ParameterProblem { original, .. } => Some(original),
            Self::EchoRequest { .. } | Self::EchoReply { .. } | Self::Other { .. } => None,
        }
    }

    /// Whether this is an error, which no error may answer (RFC 4443 §2.4 (e)).
    pub fn is_error(&self) -> bool {
        self.kind() < FIRST_INFORMATIONAL
    }
}

/// Verifies the checksum of a whole message (RFC 4443 §2.3): `BadChecksum` if it is wrong.
pub fn verify(message: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<(), ParseError> {
    if checksum::is_valid(sum(message, src, dst)) { Ok(()) } else { Err(ParseError::BadChecksum) }
}

/// Writes the checksum into a whole message, of at least 4 bytes.
pub fn finish(message: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) {
    field::put16(message, CHECKSUM_OFFSET, 0);
    let ck = checksum::finish(sum(message, src, dst));
    field::put16(message, CHECKSUM_OFFSET, ck);
}

fn sum(message: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> u64 {
    checksum::combine(checksum::pseudo_v6(src, dst, proto::ICMPV6, message.len() as u32), checksum::partial(message))
}

fn is_known(kind: u8) -> bool {
    matches!(kind, ECHO_REQUEST | ECHO_REPLY | DEST_UNREACHABLE | PACKET_TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRC: Ipv6Addr = Ipv6Addr::LOCALHOST;
    const DST: Ipv6Addr = Ipv6Addr::LOCALHOST;

    /// Pseudo-header 1 + 1 + 10 + 58 = 46 hex; 8000 + 1234 + 0001 + 6162: f397 + 46 = f3dd, complement 0c22.
    const ECHO: [u8; 10] = [128, 0, 0x0c, 0x22, 0x12, 0x34, 0, 1, b'a', b'b'];

    #[test]
    fn an_echo_reads_and_writes_as_rfc_4443_draws_it() {
        let echo = Icmpv6Message::EchoRequest { id: 0x1234, seq: 1, data: b"ab" };
        assert_eq!(Icmpv6Message::parse(&ECHO, SRC, DST), Ok(echo));
        assert_eq!(echo.to_vec(SRC, DST), ECHO);
        assert!(!echo.is_error());
    }

    #[test]
    fn the_checksum_covers_the_addresses() {
        assert_eq!(Icmpv6Message::parse(&ECHO, SRC, Ipv6Addr::UNSPECIFIED), Err(ParseError::BadChecksum));
        assert!(Icmpv6Message::parse_unchecked(&ECHO).is_ok());
        assert_eq!(Icmpv6Message::parse(&ECHO[..7], SRC, DST), Err(ParseError::Truncated));
    }

    #[test]
    fn every_field_stands_in_its_place() {
        let original = &[0x60, 0, 0, 0][..];
        for (message, head) in [
            (Icmpv6Message::DestUnreachable { code: 4, original }, [1, 4, 0, 0, 0, 0]),
            (Icmpv6Message::PacketTooBig { mtu: 1280, original }, [2, 0, 0, 0, 5, 0]),
            (Icmpv6Message::TimeExceeded { code: 1, original }, [3, 1, 0, 0, 0, 0]),
            (Icmpv6Message::ParameterProblem { code: 2, pointer: 42, original }, [4, 2, 0, 0, 0, 42]),
        ] {
            let bytes = message.to_vec(SRC, DST);
            assert_eq!([&bytes[..2], &bytes[4..8]].concat(), head);
            assert_eq!(Icmpv6Message::parse(&bytes, SRC, DST), Ok(message));
            assert_eq!(message.original(), Some(original));
            assert!(message.is_error());
        }
    }

    #[test]
    fn other_types_round_trip() {
        for rest in [&[][..], &[1, 2, 3, 4, 5]] {
            let other = Icmpv6Message::Other { kind: 200, code: 7, rest };
            assert_eq!(Icmpv6Message::parse(&other.to_vec(SRC, DST), SRC, DST), Ok(other));
        }
    }
}
