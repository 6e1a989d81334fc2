//! Addresses of interfaces, and what kind an address is.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::MacAddr;

use crate::time::Instant;

/// How far an address may be used (RFC 4862 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Uniqueness is being verified; neither received on nor sent from.
    Tentative,
    Preferred,
    /// Still valid, but not to be chosen for new conversations.
    Deprecated,
    /// Another station has it (RFC 4862 §5.4.5); not used.
    Duplicated,
}

/// Where an address came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrigin {
    Manual,
    /// The link-local address that each IPv6 link has.
    LinkLocal,
    /// Formed from a router's prefix.
    Autoconf,
}

/// One address of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub addr: IpAddr,
    pub prefix_len: u8,
    pub broadcast: Option<Ipv4Addr>,
    pub state: AddressState,
    pub origin: AddressOrigin,
    /// [`Instant::FAR`]: for ever.
    pub preferred_until: Instant,
    pub valid_until: Instant,
    /// When the next change by time is due (kept for the agenda).
    pub(crate) lifetime_at: Instant,
}

impl Address {
    pub fn new(addr: IpAddr, prefix_len: u8, origin: AddressOrigin) -> Address {
        Address {
            addr,
            prefix_len,
            broadcast: None,
            state: AddressState::Preferred,
            origin,
            preferred_until: Instant::FAR,
            valid_until: Instant::FAR,
            lifetime_at: Instant::FAR,
        }
    }

    /// It may be received on and sent from.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, AddressState::Preferred | AddressState::Deprecated)
    }
}

/// An address that means nothing without a link: link-local unicast, or multicast of interface or
/// link scope.
pub fn needs_scope(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(a) => wire::addr::needs_zone(a),
    }
}

/// The first 64 bits of `prefix` with the interface identifier of `mac`.
pub fn with_eui64(prefix: Ipv6Addr, mac: MacAddr) -> Ipv6Addr {
    let mut octets = prefix.octets();
    octets[8..].copy_from_slice(&mac.eui64_interface_id());
    Ipv6Addr::from(octets)
}

/// An IPv4-mapped IPv6 address as the IPv4 address it stands for; others as they are.
pub fn unmap(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(addr, IpAddr::V4),
        IpAddr::V4(_) => addr,
    }
}

/// The other way: as an AF_INET6 socket names it.
pub fn map(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(a) => IpAddr::V6(a.to_ipv6_mapped()),
        IpAddr::V6(_) => addr,
    }
}

/// The group's station address on Ethernet.
pub fn group_mac(group: IpAddr) -> MacAddr {
    match group {
        IpAddr::V4(a) => MacAddr::multicast_v4(a),
        IpAddr::V6(a) => MacAddr::multicast_v6(a),
    }
}
