//! IPv4 options (RFC 791 §3.1, router alert RFC 2113). What to do about them is the stack's.

use core::net::Ipv4Addr;

use crate::field;

use super::Ipv4Header;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// The smallest pointer of a route option: the first byte after kind, length and pointer, counted from 1 (RFC 791
/// §3.1).
const MIN_ROUTE_POINTER: u8 = 4;
/// The smallest pointer of a timestamp option, which has a flag byte more.
const MIN_TIMESTAMP_POINTER: u8 = 5;

/// One IPv4 option. A `pointer` counts bytes from 1 at the option's kind byte; one past the option's length means
/// "full".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ipv4Option<'a> {
    /// Alignment.
    Nop,
    /// The route is to be recorded (7).
    RecordRoute {
        /// Where the next address goes.
        pointer: u8,
        /// The addresses' area, a multiple of 4 bytes: [`route_addrs`](Ipv4Option::route_addrs).
        route: &'a [u8],
    },
    /// Timestamps are to be recorded (68).
    Timestamp {
        /// Where the next timestamp goes.
        pointer: u8,
        /// Hops that found no room.
        overflow: u8,
        /// 0 timestamps only, 1 with addresses, 3 prespecified addresses.
        flag: u8,
        /// The recorded area.
        data: &'a [u8],
    },
    /// Loose source and record route (131).
    LooseSourceRoute {
        /// The next address to visit.
        pointer: u8,
        /// The addresses' area.
        route: &'a [u8],
    },
    /// Strict source and record route (137).
    StrictSourceRoute {
        /// The next address to visit.
        pointer: u8,
        /// The addresses' area.
        route: &'a [u8],
    },
    /// Routers should look into this packet (148).
    RouterAlert {
        /// 0 asks every router to.
        value: u16,
    },
    /// Any other.
    Unknown {
        /// Kind byte: copied flag, class and number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> Ipv4Option<'a> {
    /// The addresses in a route option, recorded or not; nothing for other options.
    pub fn route_addrs(self) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let route = match self {
            Self::RecordRoute { route, .. }
            | Self::LooseSourceRoute { route, .. }
            | Self::StrictSourceRoute { route, .. } => route,
            _ => &[],
        };
        route.chunks_exact(4).map(|addr| field::ipv4(addr, 0))
    }

    /// Whether the option belongs into every fragment (RFC 791 §3.1, "copied flag").
    pub fn is_copied(self) -> bool {
        match self {
            Self::Nop | Self::RecordRoute { .. } | Self::Timestamp { .. } => false,
            Self::LooseSourceRoute { .. } | Self::StrictSourceRoute { .. } | Self::RouterAlert { .. } => true,
            Self::Unknown { kind, .. } => kind & 0x80 != 0,
        }
    }
}

/// The options are malformed; an ICMP parameter problem would point here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv4OptionError {
    /// Offset of the offending byte from the start of the IPv4 header.
    pub pointer: u8,
}

/// Walks an options area. After an error, and after end-of-list, there is nothing more.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    rest: &'a [u8],
    /// Offset of `rest` from the start of the IPv4 header.
    at: u8,
}

impl<'a> Ipv4Options<'a> {
    /// `area` is what [`Ipv4Header::parse`] returned, at most 40 bytes; more is not looked at.
    pub fn new(area: &'a [u8]) -> Self {
        let area = &area[..area.len().min(Ipv4Header::MAX_OPTIONS_LEN)];
        Self { rest: area, at: Ipv4Header::LEN as u8 }
    }

    /// Offset, from the start of the IPv4 header, of the option that `next` would return.
    pub fn offset(&self) -> u8 {
        self.at
    }

    fn advance(&mut self, len: usize) {
        // Within an area of at most 40 bytes that starts at 20.
        self.at += len as u8;
        self.rest = &self.rest[len..];
    }

    fn fail(&mut self, byte: u8) -> Option<Result<Ipv4Option<'a>, Ipv4OptionError>> {
        self.rest = &[];
        Some(Err(Ipv4OptionError { pointer: self.at + byte }))
    }
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, Ipv4OptionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, len) = match *self.rest {
            [] | [END, ..] => {
                self.rest = &[];
                return None;
            }
            [NOP, ..] => {
                self.advance(1);
                return Some(Ok(Ipv4Option::Nop));
            }
            [kind, len, ..] => (kind, usize::from(len)),
            [_] => return self.fail(0),
        };
        let Some(body) = self.rest.get(2..len) else { return self.fail(1) };
        match read(kind, body) {
            Ok(option) => {
                self.advance(len);
                Some(Ok(option))
            }
            Err(byte) => self.fail(byte),
        }
    }
}

/// Reads one option; an error is the offset of the offending byte in it.
fn read(kind: u8, body: &[u8]) -> Result<Ipv4Option<'_>, u8> {
    match (kind, body) {
        (RECORD_ROUTE, _) => read_route(body).map(|(pointer, route)| Ipv4Option::RecordRoute { pointer, route }),
        (LOOSE_SOURCE_ROUTE, _) => {
            read_route(body).map(|(pointer, route)| Ipv4Option::LooseSourceRoute { pointer, route })
        }
        (STRICT_SOURCE_ROUTE, _) => {
            read_route(body).map(|(pointer, route)| Ipv4Option::StrictSourceRoute { pointer, route })
        }
        (TIMESTAMP, &[pointer, flags, ref data @ ..]) => {
            if pointer < MIN_TIMESTAMP_POINTER {
                return Err(2);
            }
            Ok(Ipv4Option::Timestamp { pointer, overflow: flags >> 4, flag: flags & 0xf, data })
        }
        (TIMESTAMP, _) => Err(1),
        (ROUTER_ALERT, &[hi, lo]) => Ok(Ipv4Option::RouterAlert { value: u16::from_be_bytes([hi, lo]) }),
        (ROUTER_ALERT, _) => Err(1),
        (kind, data) => Ok(Ipv4Option::Unknown { kind, data }),
    }
}

fn read_route(body: &[u8]) -> Result<(u8, &[u8]), u8> {
    let (&pointer, route) = body.split_first().ok_or(1)?;
    if route.len() % 4 != 0 {
        return Err(1);
    }
    if pointer < MIN_ROUTE_POINTER || pointer % 4 != 0 {
        return Err(2);
    }
    Ok((pointer, route))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(area: &[u8]) -> Vec<Result<Ipv4Option<'_>, Ipv4OptionError>> {
        Ipv4Options::new(area).collect()
    }

    #[test]
    fn known_options_are_read() {
        let area = [
            1, 148, 4, 0, 0, // NOP, router alert
            7, 7, 8, 10, 0, 0, 1, // record route, full
            131, 11, 4, 10, 0, 0, 2, 10, 0, 0, 3, // loose source route
            68, 8, 5, 0x21, 0, 0, 0, 7, // timestamps with addresses, overflow 2
            0x82, 3, 9, 0, 1, 1,
        ];
        let options = all(&area);
        assert_eq!(options.len(), 6);
        assert_eq!(options[0], Ok(Ipv4Option::Nop));
        assert_eq!(options[1], Ok(Ipv4Option::RouterAlert { value: 0 }));
        assert_eq!(options[2], Ok(Ipv4Option::RecordRoute { pointer: 8, route: &[10, 0, 0, 1] }));
        let addrs: Vec<_> = options[3].unwrap().route_addrs().collect();
        assert_eq!(addrs, [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)]);
        assert_eq!(options[4], Ok(Ipv4Option::Timestamp { pointer: 5, overflow: 2, flag: 1, data: &[0, 0, 0, 7] }));
        assert_eq!(options[5], Ok(Ipv4Option::Unknown { kind: 0x82, data: &[9] }));
        assert!(options[5].unwrap().is_copied() && options[3].unwrap().is_copied() && !options[2].unwrap().is_copied());
    }

    #[test]
    fn an_error_points_at_its_byte_and_ends_the_walk() {
        for (area, pointer) in [
            (&[1, 7][..], 21),            // no length
            (&[1, 7, 0, 0], 22),          // length 0
            (&[1, 7, 1, 0], 22),          // length 1
            (&[1, 7, 9, 4], 22),          // beyond the header
            (&[7, 6, 4, 0, 0, 0], 21),    // not whole addresses
            (&[7, 7, 3, 0, 0, 0, 0], 22), // pointer into the option's head
            (&[7, 2], 21),                // no pointer
            (&[68, 4, 1, 0], 22),         // pointer into the option's head
            (&[68, 3, 5], 21),            // no flags
            (&[148, 3, 0], 21),           // router alert of a wrong length
        ] {
            let results = all(area);
            assert_eq!(results.last(), Some(&Err(Ipv4OptionError { pointer })), "{area:?}");
            assert_eq!(results.iter().filter(|r| r.is_err()).count(), 1);
        }
    }

    #[test]
    fn end_of_list_hides_what_follows() {
        assert_eq!(all(&[0, 7, 0]), []);
        assert_eq!(all(&[]), []);
    }
}
