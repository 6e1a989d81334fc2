//! What can be wrong with bytes from a peer ([`ParseError`]) and with text from an operator ([`TextError`]).

use core::fmt;

/// Why bytes are not a packet of the expected format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParseError {
    /// The buffer ends before the header, or before the length that the header announces.
    Truncated,
    /// A length field contradicts the format: smaller than its own header, zero where that is forbidden, or too large.
    BadLength,
    /// The IP version field does not name the version that was asked for.
    BadVersion,
    /// The checksum does not fit the contents.
    BadChecksum,
    /// A field holds a value that the format forbids.
    Malformed,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated packet",
            Self::BadLength => "inconsistent length field",
            Self::BadVersion => "wrong IP version",
            Self::BadChecksum => "wrong checksum",
            Self::Malformed => "malformed packet",
        })
    }
}

impl core::error::Error for ParseError {}

/// Why text is not an address; the message names the expected form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TextError {
    /// Not a MAC address.
    Mac,
    /// Not an IP address.
    Address,
    /// Not of the form `address/prefix`.
    Cidr,
    /// The prefix length is not a number, or larger than the address has bits.
    PrefixLen,
    /// Not a netmask.
    Netmask,
    /// A netmask whose one bits are not all at the front.
    NonContiguousMask,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mac => "not a MAC address (expected six hexadecimal bytes, as in 00:11:22:33:44:55)",
            Self::Address => "not an IP address",
            Self::Cidr => "not a network (expected address/prefix-length, as in 10.0.0.0/8 or fd00::/8)",
            Self::PrefixLen => "bad prefix length (expected 0 to 32 for IPv4, 0 to 128 for IPv6)",
            Self::Netmask => "not a netmask (expected 255.255.255.0 or 0xffffff00)",
            Self::NonContiguousMask => "netmask is not contiguous (its one bits must all come first)",
        })
    }
}

impl core::error::Error for TextError {}
