//! Options of hop-by-hop and destination options headers (RFC 8200 §4.2), router alert (RFC 2711), jumbo payload (RFC
//! 2675).

use crate::field;
use crate::icmpv6::{PARAM_HEADER_FIELD, PARAM_OPTION};

use super::extension::ExtError;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 0x05;
const JUMBO: u8 = 0xc2;

/// What the two highest bits of an option's type tell a node that does not know it (RFC 8200 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnknownAction {
    /// 00: skip the option.
    Skip,
    /// 01: discard the packet.
    Discard,
    /// 10: discard, and send a parameter problem, code 2, even for a multicast.
    Icmp,
    /// 11: discard, and send a parameter problem, code 2, unless the packet was a multicast.
    IcmpUnlessMulticast,
}

impl UnknownAction {
    /// The action for an option type.
    pub const fn of(kind: u8) -> Self {
        match kind >> 6 {
            0 => Self::Skip,
            1 => Self::Discard,
            2 => Self::Icmp,
            _ => Self::IcmpUnlessMulticast,
        }
    }
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ipv6Option<'a> {
    /// One byte of padding.
    Pad1,
    /// Padding of this many bytes, kind and length included.
    PadN(u16),
    /// Routers should look into this packet; 0 means for MLD (RFC 2711 §2.1).
    RouterAlert(u16),
    /// The real payload length in bytes, above 65535 in a valid packet (RFC 2675 §2).
    Jumbo(u32),
    /// Any other; see [`UnknownAction::of`].
    Unknown {
        /// Option type.
        kind: u8,
        /// Option data.
        data: &'a [u8],
    },
}

/// An option and its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv6OptionAt<'a> {
    /// Offset of the option type from the start of the IPv6 header.
    pub offset: usize,
    /// The option.
    pub option: Ipv6Option<'a>,
}

impl Ipv6OptionAt<'_> {
    /// What a node does that does not implement the option; `Skip` for the ones recognised here.
    pub fn unknown_action(&self) -> UnknownAction {
        match self.option {
            Ipv6Option::Unknown { kind, .. } => UnknownAction::of(kind),
            _ => UnknownAction::Skip,
        }
    }

    /// The parameter problem that complains about this option (code 2, "unrecognized IPv6 option").
    pub fn unrecognized(&self) -> ExtError {
        ExtError { offset: self.offset, code: PARAM_OPTION }
    }
}

/// Walks the options of one header. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Ipv6Options<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Ipv6Options<'a> {
    /// `area` is what follows the next-header and length bytes, and stands `offset` bytes from the start of the IPv6
    /// header.
    pub fn new(area: &'a [u8], offset: usize) -> Self {
        Self { rest: area, at: offset }
    }

    fn fail(&mut self, byte: usize) -> Option<Result<Ipv6OptionAt<'a>, ExtError>> {
        self.rest = &[];
        Some(Err(ExtError { offset: self.at + byte, code: PARAM_HEADER_FIELD }))
    }
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6OptionAt<'a>, ExtError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (option, len) = match *self.rest {
            [] => return None,
            [PAD1, ..] => (Ipv6Option::Pad1, 1),
            [_] => return self.fail(0),
            [kind, data_len, ref rest @ ..] => {
                let Some(data) = rest.get(..data_len.into()) else { return self.fail(1) };
                let option = match (kind, data) {
                    (PADN, _) => Ipv6Option::PadN(2 + u16::from(data_len)),
                    (ROUTER_ALERT, &[hi, lo]) => Ipv6Option::RouterAlert(u16::from_be_bytes([hi, lo])),
                    (JUMBO, [_, _, _, _]) => Ipv6Option::Jumbo(field::be32(data, 0)),
                    (ROUTER_ALERT | JUMBO, _) => return self.fail(1),
                    _ => Ipv6Option::Unknown { kind, data },
                };
                (option, 2 + data.len())
            }
        };
        let offset = self.at;
        self.at += len;
        self.rest = &self.rest[len..];
        Some(Ok(Ipv6OptionAt { offset, option }))
    }
}

/// Fills `buf`, of at most 257 bytes (longer panics), with one padding option: what aligns the end of an options
/// header.
pub fn emit_padding(buf: &mut [u8]) {
    match buf {
        [] => {}
        [pad1] => *pad1 = PAD1,
        [kind, len, data @ ..] => {
            *kind = PADN;
            *len = u8::try_from(data.len()).expect("padding of an options header is shorter than 258 bytes");
            data.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(area: &[u8]) -> Vec<Result<Ipv6OptionAt<'_>, ExtError>> {
        Ipv6Options::new(area, 42).collect()
    }

    #[test]
    fn known_options_are_read_with_their_places() {
        let area = [5, 2, 0, 0, 0, 1, 3, 0, 0, 0, 0xc2, 4, 0, 1, 0, 0, 0x63, 1, 9];
        let expected = [
            (42, Ipv6Option::RouterAlert(0)),
            (46, Ipv6Option::Pad1),
            (47, Ipv6Option::PadN(5)),
            (52, Ipv6Option::Jumbo(0x1_0000)),
            (58, Ipv6Option::Unknown { kind: 0x63, data: &[9] }),
        ]
        .map(|(offset, option)| Ok(Ipv6OptionAt { offset, option }));
        assert_eq!(all(&area), expected);
    }

    #[test]
    fn the_upper_bits_of_an_unknown_type_say_what_to_do() {
        for (kind, action) in [
            (0x1e, UnknownAction::Skip),
            (0x5e, UnknownAction::Discard),
            (0x9e, UnknownAction::Icmp),
            (0xde, UnknownAction::IcmpUnlessMulticast),
        ] {
            let area = [kind, 0];
            let option = all(&area)[0].unwrap();
            assert_eq!(option.unknown_action(), action);
            assert_eq!(option.unrecognized(), ExtError { offset: 42, code: 2 });
        }
    }

    #[test]
    fn an_error_points_at_its_byte_and_ends_the_walk() {
        for (area, offset) in [(&[0, 1][..], 43), (&[1, 2, 0], 43), (&[5, 1, 0, 0], 43), (&[0xc2, 2, 0, 0], 43)] {
            let results = all(area);
            assert_eq!(results.last(), Some(&Err(ExtError { offset, code: 0 })), "{area:?}");
            assert_eq!(results.iter().filter(|r| r.is_err()).count(), 1);
        }
    }

    #[test]
    fn padding_reads_back_as_one_option() {
        for len in 1..=7 {
            let mut buf = vec![0xff; len];
            emit_padding(&mut buf);
            assert_eq!(all(&buf).len(), 1);
        }
    }
}
