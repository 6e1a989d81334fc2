//! Protocol numbers: the IPv4 `protocol` and IPv6 `next header` fields (IANA registry "Assigned Internet Protocol
//! Numbers").

/// IPv6 hop-by-hop options (RFC 8200 §4.3).
pub const HOPOPTS: u8 = 0;
/// ICMP for IPv4 (RFC 792).
pub const ICMP: u8 = 1;
/// Group management for IPv4 (RFC 3376).
pub const IGMP: u8 = 2;
/// IPv4 in IP (RFC 2003).
pub const IPIP: u8 = 4;
/// TCP (RFC 9293).
pub const TCP: u8 = 6;
/// UDP (RFC 768).
pub const UDP: u8 = 17;
/// IPv6 in IP (RFC 4213).
pub const IPV6: u8 = 41;
/// IPv6 routing header (RFC 8200 §4.4).
pub const IPV6_ROUTE: u8 = 43;
/// IPv6 fragment header (RFC 8200 §4.5).
pub const IPV6_FRAG: u8 = 44;
/// Generic routing encapsulation (RFC 2784).
pub const GRE: u8 = 47;
/// Encapsulating security payload (RFC 4303).
pub const ESP: u8 = 50;
/// Authentication header (RFC 4302).
pub const AH: u8 = 51;
/// ICMP for IPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;
/// Nothing follows (RFC 8200 §4.7).
pub const NO_NEXT: u8 = 59;
/// IPv6 destination options (RFC 8200 §4.6).
pub const DSTOPTS: u8 = 60;
/// SCTP (RFC 9260).
pub const SCTP: u8 = 132;
/// UDP-Lite (RFC 3828).
pub const UDPLITE: u8 = 136;
/// Raw IP as a socket's protocol; never on the wire (IANA "Reserved").
pub const RAW: u8 = 255;
