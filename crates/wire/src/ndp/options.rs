//! Options of neighbour discovery (RFC 4861 §4.6; routes RFC 4191, resolvers RFC 8106, nonce RFC 3971 §5.3.2).

use core::net::Ipv6Addr;

use crate::addr_list::AddrList;
use crate::error::ParseError;
use crate::field;
use crate::mac::MacAddr;

const SOURCE_LINK_ADDR: u8 = 1;
const TARGET_LINK_ADDR: u8 = 2;
const PREFIX_INFO: u8 = 3;
const REDIRECTED_HEADER: u8 = 4;
const MTU: u8 = 5;
const NONCE: u8 = 14;
const ROUTE_INFO: u8 = 24;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// Options are measured in units of eight bytes, in one byte.
const UNIT: usize = 8;
/// The most data that fits an option after kind and length.
const MAX_DATA_LEN: usize = 255 * UNIT - 2;

const PREFIX_ON_LINK: u8 = 0x80;
const PREFIX_AUTONOMOUS: u8 = 0x40;

/// Rank of a router or route (RFC 4191 §2.1), in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum RouterPreference {
    /// 11
    Low,
    /// 00
    #[default]
    Medium,
    /// 01
    High,
}

impl RouterPreference {
    /// From the low two bits; None for the reserved value 10.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::Medium),
            1 => Some(Self::High),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Medium => 0,
            Self::High => 1,
            Self::Low => 3,
        }
    }
}

/// A prefix of the link (RFC 4861 §4.6.2). A time of `u32::MAX` is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PrefixInfo {
    /// Bits of the prefix, 0..=128.
    pub prefix_len: u8,
    /// Addresses under the prefix are on the link.
    pub on_link: bool,
    /// Hosts may form their addresses from the prefix.
    pub autonomous: bool,
    /// Valid lifetime, in seconds.
    pub valid_s: u32,
    /// Preferred lifetime, in seconds; if above `valid_s`, the option is to be ignored for addresses (RFC 4862 §5.5.3
    /// (c)).
    pub preferred_s: u32,
    /// The prefix; bits beyond it are to be ignored.
    pub prefix: Ipv6Addr,
}

/// A route (RFC 4191 §2.3). A time of `u32::MAX` is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RouteInfo {
    /// Bits of the prefix, 0..=128.
    pub prefix_len: u8,
    /// Rank of the route.
    pub preference: RouterPreference,
    /// Lifetime, in seconds.
    pub lifetime_s: u32,
    /// The destination; bits beyond the prefix are to be ignored.
    pub prefix: Ipv6Addr,
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NdpOption<'a> {
    /// Link address of the sender.
    SourceLinkAddr(MacAddr),
    /// Link address of the target.
    TargetLinkAddr(MacAddr),
    /// A prefix of the link.
    PrefixInfo(PrefixInfo),
    /// The start of the packet that a redirect is about.
    RedirectedHeader(&'a [u8]),
    /// MTU of the link, in bytes.
    Mtu(u32),
    /// A nonce, against looped-back probes (RFC 7527).
    Nonce(&'a [u8]),
    /// A route.
    RouteInfo(RouteInfo),
    /// Resolvers.
    Rdnss {
        /// Lifetime, in seconds.
        lifetime_s: u32,
        /// Their addresses, at least one.
        servers: AddrList<'a, Ipv6Addr>,
    },
    /// Search domains.
    Dnssl {
        /// Lifetime, in seconds.
        lifetime_s: u32,
        /// Names in DNS wire format, uncompressed and padded with zeroes (RFC 8106 §5.2).
        names: &'a [u8],
    },
    /// Any other, or one of the above with contents it cannot have: to be ignored (RFC 4861 §4.6).
    Unknown {
        /// Option type.
        kind: u8,
        /// What follows type and length.
        data: &'a [u8],
    },
}

impl<'a> NdpOption<'a> {
    /// Bytes that the option takes, a multiple of 8.
    pub fn encoded_len(&self) -> usize {
        (2 + self.data_len()).next_multiple_of(UNIT)
    }

    /// Writes [`Self::encoded_len`] bytes at the front of `buf`, and returns their number. Variable data beyond what an
    /// option can hold (2038 bytes) is cut off.
    pub fn emit(&self, buf: &mut [u8]) -> usize {
        let len = self.encoded_len();
        let out = &mut buf[..len];
        out.fill(0);
        // At most 255 units: `data_len` is bounded by MAX_DATA_LEN.
        field::put(out, 0, &[self.kind(), (len / UNIT) as u8]);
        match *self {
            Self::SourceLinkAddr(mac) | Self::TargetLinkAddr(mac) => field::put(out, 2, &mac.0),
            Self::PrefixInfo(info) => emit_prefix_info(&info, out),
            Self::RedirectedHeader(packet) => put_cut(out, 8, packet),
            Self::Mtu(mtu) => field::put32(out, 4, mtu),
            Self::Nonce(data) | Self::Unknown { data, .. } => put_cut(out, 2, data),
            Self::RouteInfo(info) => {
                field::put(out, 2, &[info.prefix_len, info.preference.bits() << 3]);
                field::put32(out, 4, info.lifetime_s);
                put_cut(out, 8, &info.prefix.octets());
            }
            Self::Rdnss { lifetime_s, servers } => {
                field::put32(out, 4, lifetime_s);
                put_cut(out, 8, servers.as_bytes());
            }
            Self::Dnssl { lifetime_s, names } => {
                field::put32(out, 4, lifetime_s);
                put_cut(out, 8, names);
            }
        }
        len
    }

    fn kind(&self) -> u8 {
        match self {
            Self::SourceLinkAddr(_) => SOURCE_LINK_ADDR,
            Self::TargetLinkAddr(_) => TARGET_LINK_ADDR,
            Self::PrefixInfo(_) => PREFIX_INFO,
            Self::RedirectedHeader(_) => REDIRECTED_HEADER,
            Self::Mtu(_) => MTU,
            Self::Nonce(_) => NONCE,
            Self::RouteInfo(_) => ROUTE_INFO,
            Self::Rdnss { .. } => RDNSS,
            Self::Dnssl { .. } => DNSSL,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    fn data_len(&self) -> usize {
        let len = match self {
            Self::SourceLinkAddr(_) | Self::TargetLinkAddr(_) | Self::Mtu(_) => 6,
            Self::PrefixInfo(_) => 30,
            Self::Nonce(data) | Self::Unknown { data, .. } => data.len(),
            Self::RedirectedHeader(data) => 6 + data.len(),
            // RFC 4191 §2.3: the prefix field is 0, 8 or 16 bytes long.
            Self::RouteInfo(info) => 6 + usize::from(info.prefix_len.min(128)).div_ceil(64) * 8,
            Self::Rdnss { servers, .. } => 6 + servers.as_bytes().len(),
            Self::Dnssl { names, .. } => 6 + names.len(),
        };
        len.min(MAX_DATA_LEN)
    }

    /// Reads an option from what follows type and length, `6 + 8n` bytes.
    fn read(kind: u8, data: &'a [u8]) -> Self {
        Self::read_known(kind, data).unwrap_or(Self::Unknown { kind, data })
    }

    fn read_known(kind: u8, data: &'a [u8]) -> Option<Self> {
        let (head, body) = data.split_first_chunk::<6>()?;
        let word = field::be32(head, 2);
        match kind {
            SOURCE_LINK_ADDR if body.is_empty() => Some(Self::SourceLinkAddr(MacAddr(*head))),
            TARGET_LINK_ADDR if body.is_empty() => Some(Self::TargetLinkAddr(MacAddr(*head))),
            PREFIX_INFO => read_prefix_info(data).map(Self::PrefixInfo),
            REDIRECTED_HEADER => Some(Self::RedirectedHeader(body)),
            MTU if body.is_empty() => Some(Self::Mtu(word)),
            NONCE => Some(Self::Nonce(data)),
            ROUTE_INFO => read_route_info(head, body).map(Self::RouteInfo),
            // RFC 8106 §5.1: at least one address, and no half ones.
            RDNSS if !body.is_empty() && body.len() % 16 == 0 => {
                Some(Self::Rdnss { lifetime_s: word, servers: AddrList::new(body) })
            }
            DNSSL if !body.is_empty() => Some(Self::Dnssl { lifetime_s: word, names: body }),
            _ => None,
        }
    }
}

fn read_prefix_info(data: &[u8]) -> Option<PrefixInfo> {
    let data: &[u8; 30] = data.try_into().ok()?;
    let prefix_len = Some(data[0]).filter(|len| *len <= 128)?;
    Some(PrefixInfo {
        prefix_len,
        on_link: data[1] & PREFIX_ON_LINK != 0,
        autonomous: data[1] & PREFIX_AUTONOMOUS != 0,
        valid_s: field::be32(data, 2),
        preferred_s: field::be32(data, 6),
        prefix: field::ipv6(data, 14),
    })
}

fn emit_prefix_info(info: &PrefixInfo, out: &mut [u8]) {
    let PrefixInfo { prefix_len, on_link, autonomous, valid_s, preferred_s, prefix } = *info;
    let on_link = if on_link { PREFIX_ON_LINK } else { 0 };
    let autonomous = if autonomous { PREFIX_AUTONOMOUS } else { 0 };
    field::put(out, 2, &[prefix_len, on_link | autonomous]);
    field::put32(out, 4, valid_s);
    field::put32(out, 8, preferred_s);
    field::put(out, 16, &prefix.octets());
}

fn read_route_info(head: &[u8; 6], body: &[u8]) -> Option<RouteInfo> {
    let prefix_len = Some(head[0]).filter(|len| *len <= 128)?;
    if body.len() > 16 || body.len() * 8 < usize::from(prefix_len) {
        return None;
    }
    let mut octets = [0; 16];
    octets[..body.len()].copy_from_slice(body);
    Some(RouteInfo {
        prefix_len,
        // RFC 4191 §2.3: with the reserved value, the option is to be ignored.
        preference: RouterPreference::from_bits(head[1] >> 3)?,
        lifetime_s: field::be32(head, 2),
        prefix: octets.into(),
    })
}

/// Writes as much of `data` as finds room.
fn put_cut(out: &mut [u8], at: usize, data: &[u8]) {
    let room = out.len() - at;
    field::put(out, at, &data[..data.len().min(room)]);
}

/// Walks the options of a message. After an error there is nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NdpOptions<'a> {
    rest: &'a [u8],
}

impl<'a> NdpOptions<'a> {
    /// `area` is what follows the fixed part of a message.
    pub fn new(area: &'a [u8]) -> Self {
        Self { rest: area }
    }
}

impl<'a> Iterator for NdpOptions<'a> {
    type Item = Result<NdpOption<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, len) = match *self.rest {
            [] => return None,
            [kind, units, ..] => (kind, UNIT * usize::from(units)),
            [_] => (0, UNIT),
        };
        let split = self.rest.split_at_checked(len);
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(match split {
            // RFC 4861 §4.6: a length of zero spoils the whole message.
            _ if len == 0 => {
                self.rest = &[];
                Err(ParseError::BadLength)
            }
            Some((option, _)) => Ok(NdpOption::read(kind, &option[2..])),
            None => Err(ParseError::Truncated),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0);

    fn emitted(option: &NdpOption<'_>) -> Vec<u8> {
        let mut buf = vec![0xff; option.encoded_len()];
        assert_eq!(option.emit(&mut buf), buf.len());
        buf
    }

    fn read(bytes: &[u8]) -> Vec<Result<NdpOption<'_>, ParseError>> {
        NdpOptions::new(bytes).collect()
    }

    #[test]
    fn a_prefix_stands_as_rfc_4861_draws_it() {
        let info = PrefixInfo {
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid_s: 86400,
            preferred_s: 14400,
            prefix: PREFIX,
        };
        let mut expected = vec![3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0];
        expected.extend(PREFIX.octets());
        assert_eq!(emitted(&NdpOption::PrefixInfo(info)), expected);
        assert_eq!(read(&expected), [Ok(NdpOption::PrefixInfo(info))]);
    }

    #[test]
    fn every_option_reads_back() {
        let servers = [PREFIX.octets(), Ipv6Addr::LOCALHOST.octets()].concat();
        let route = |prefix_len, prefix| {
            NdpOption::RouteInfo(RouteInfo { prefix_len, preference: RouterPreference::Low, lifetime_s: 600, prefix })
        };
        for option in [
            NdpOption::SourceLinkAddr(MacAddr([1, 2, 3, 4, 5, 6])),
            NdpOption::TargetLinkAddr(MacAddr([1, 2, 3, 4, 5, 6])),
            NdpOption::RedirectedHeader(&[7; 16]),
            NdpOption::Mtu(1500),
            NdpOption::Nonce(&[1, 2, 3, 4, 5, 6]),
            route(0, Ipv6Addr::UNSPECIFIED),
            route(64, PREFIX),
            route(65, PREFIX),
            NdpOption::Rdnss { lifetime_s: 600, servers: AddrList::new(&servers) },
            NdpOption::Dnssl { lifetime_s: 600, names: &[1, b'a', 0, 0, 0, 0, 0, 0] },
            NdpOption::Unknown { kind: 200, data: &[9; 14] },
        ] {
            assert_eq!(read(&emitted(&option)), [Ok(option)]);
        }
        assert_eq!(emitted(&route(64, PREFIX)).len(), 16);
    }

    #[test]
    fn known_options_with_impossible_contents_are_unknown() {
        for bytes in [
            &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], // link address of 14 bytes
            &[3, 1, 64, 0, 0, 0, 0, 0],                            // short prefix
            &[24, 1, 64, 0, 0, 0, 0, 0],                           // no room for 64 bits
            &[24, 1, 0, 0x10, 0, 0, 0, 0],                         // reserved preference
            &[25, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],    // half an address
            &[25, 1, 0, 0, 0, 0, 0, 0],                            // no address
        ] {
            assert_eq!(read(bytes), [Ok(NdpOption::Unknown { kind: bytes[0], data: &bytes[2..] })]);
        }
        let long = [&[3, 4, 129, 0][..], &[0; 28]].concat();
        assert!(matches!(read(&long)[..], [Ok(NdpOption::Unknown { kind: 3, .. })]));
    }

    #[test]
    fn broken_lengths_end_the_walk_with_an_error() {
        let mtu = emitted(&NdpOption::Mtu(1500));
        for (tail, error) in [
            (&[5, 0, 0, 0, 0, 0, 0, 0][..], ParseError::BadLength),
            (&[5, 2, 0], ParseError::Truncated),
            (&[5], ParseError::Truncated),
        ] {
            assert_eq!(read(&[&mtu, tail].concat()), [Ok(NdpOption::Mtu(1500)), Err(error)]);
        }
    }

    #[test]
    fn data_beyond_an_option_is_cut_off() {
        let packet = [7; 3000];
        let bytes = emitted(&NdpOption::RedirectedHeader(&packet));
        assert_eq!((bytes.len(), bytes[1]), (2040, 255));
        assert_eq!(read(&bytes).len(), 1);
    }
}
