//! Addresses as C has them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub fn in_addr(addr: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(addr.octets()) }
}

pub fn in6_addr(addr: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: addr.octets() }
}

/// Room for either family, and how much of it is used.
pub fn sockaddr(addr: SocketAddr) -> (libc::sockaddr_in6, u32) {
    // SAFETY: all-zero is a valid sockaddr_in6, and it has room and alignment for a sockaddr_in.
    let mut room: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
    match addr {
        SocketAddr::V6(addr) => {
            room.sin6_family = libc::AF_INET6 as u16;
            room.sin6_port = addr.port().to_be();
            room.sin6_addr = in6_addr(*addr.ip());
            (room, size_of::<libc::sockaddr_in6>() as u32)
        }
        SocketAddr::V4(addr) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: addr.port().to_be(),
                sin_addr: in_addr(*addr.ip()),
                sin_zero: [0; 8],
            };
            // SAFETY: see above.
            unsafe { (&raw mut room).cast::<libc::sockaddr_in>().write(v4) };
            (room, size_of::<libc::sockaddr_in>() as u32)
        }
    }
}
