//! Socket addresses in one fixed layout for both families, and their `struct sockaddr` forms
//! (`<netinet/in.h>`; RFC 3493 §3.3).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use errno::Errno;

pub const AF_UNSPEC: u16 = 0;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// Length in bytes of `struct sockaddr_in`.
pub const SOCKADDR_IN_LEN: usize = 16;
/// Length in bytes of `struct sockaddr_in6`.
pub const SOCKADDR_IN6_LEN: usize = 28;
/// The least length of `struct sockaddr_in6` that Linux accepts (RFC 2133 form, no scope id).
pub const SOCKADDR_IN6_MIN: usize = 24;

/// A socket address as it travels in messages: [`WireAddr::LEN`] bytes, host byte order.
///
/// `family` is [`AF_UNSPEC`] for "no address" (a disconnect, an unbound socket). Port and IPv4 address are kept
/// even so: bind(2) and sendto(2) of an AF_INET socket look at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WireAddr {
    pub family: u16,
    pub port: u16,
    pub flowinfo: u32,
    pub scope_id: u32,
    /// An IPv4 address takes the first four bytes.
    pub ip: [u8; 16],
}

impl WireAddr {
    pub const LEN: usize = 28;
    pub const UNSPEC: WireAddr = WireAddr { family: AF_UNSPEC, port: 0, flowinfo: 0, scope_id: 0, ip: [0; 16] };

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..2].copy_from_slice(&self.family.to_ne_bytes());
        b[2..4].copy_from_slice(&self.port.to_ne_bytes());
        b[4..8].copy_from_slice(&self.flowinfo.to_ne_bytes());
        b[8..12].copy_from_slice(&self.scope_id.to_ne_bytes());
        b[12..28].copy_from_slice(&self.ip);
        b
    }

    pub fn from_bytes(b: &[u8; Self::LEN]) -> WireAddr {
        let mut ip = [0; 16];
        ip.copy_from_slice(&b[12..28]);
        WireAddr {
            family: u16::from_ne_bytes([b[0], b[1]]),
            port: u16::from_ne_bytes([b[2], b[3]]),
            flowinfo: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            scope_id: u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            ip,
        }
    }

    /// Reads a `struct sockaddr` of a program. AF_UNSPEC needs only its family field; what stands there of an
    /// IPv4 address is read too.
    ///
    /// Errors: EINVAL when too short for its family, EAFNOSUPPORT for another family.
    pub fn from_sockaddr(b: &[u8]) -> Result<WireAddr, Errno> {
        let [f0, f1, ..] = *b else { return Err(Errno::EINVAL) };
        match u16::from_ne_bytes([f0, f1]) {
            AF_UNSPEC if b.len() < SOCKADDR_IN_LEN => Ok(WireAddr::UNSPEC),
            family @ (AF_UNSPEC | AF_INET) => {
                if b.len() < SOCKADDR_IN_LEN {
                    return Err(Errno::EINVAL);
                }
                let mut ip = [0; 16];
                ip[..4].copy_from_slice(&b[4..8]);
                Ok(WireAddr { family, port: u16::from_be_bytes([b[2], b[3]]), ip, ..WireAddr::UNSPEC })
            }
            AF_INET6 => {
                if b.len() < SOCKADDR_IN6_MIN {
                    return Err(Errno::EINVAL);
                }
                let mut ip = [0; 16];
                ip.copy_from_slice(&b[8..24]);
                let scope_id = match b.get(24..28) {
                    Some(s) => u32::from_ne_bytes([s[0], s[1], s[2], s[3]]),
                    None => 0,
                };
                Ok(WireAddr {
                    family: AF_INET6,
                    port: u16::from_be_bytes([b[2], b[3]]),
                    flowinfo: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
                    scope_id,
                    ip,
                })
            }
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Writes the `struct sockaddr` form; gives back its full length in bytes (2 for AF_UNSPEC with nothing else).
    pub fn to_sockaddr(&self, out: &mut [u8; SOCKADDR_IN6_LEN]) -> usize {
        out.fill(0);
        out[0..2].copy_from_slice(&self.family.to_ne_bytes());
        match self.family {
            AF_UNSPEC if self.port == 0 && self.ip == [0; 16] => 2,
            AF_UNSPEC | AF_INET => {
                out[2..4].copy_from_slice(&self.port.to_be_bytes());
                out[4..8].copy_from_slice(&self.ip[..4]);
                SOCKADDR_IN_LEN
            }
            AF_INET6 => {
                out[2..4].copy_from_slice(&self.port.to_be_bytes());
                out[4..8].copy_from_slice(&self.flowinfo.to_be_bytes());
                out[8..24].copy_from_slice(&self.ip);
                out[24..28].copy_from_slice(&self.scope_id.to_ne_bytes());
                SOCKADDR_IN6_LEN
            }
            _ => 2,
        }
    }

    /// The address part, with no view on mapped addresses; `None` for AF_UNSPEC.
    pub fn ip_addr(&self) -> Option<IpAddr> {
        match self.family {
            AF_INET => Some(IpAddr::V4(Ipv4Addr::new(self.ip[0], self.ip[1], self.ip[2], self.ip[3]))),
            AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(self.ip))),
            _ => None,
        }
    }

    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(match self.ip_addr()? {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, self.port, self.flowinfo, self.scope_id)),
        })
    }

    /// As an AF_INET6 socket shows it: IPv4 becomes `::ffff:a.b.c.d` (RFC 3493 §3.7).
    pub fn mapped(self) -> WireAddr {
        match self.ip_addr() {
            Some(IpAddr::V4(ip)) => WireAddr { family: AF_INET6, ip: ip.to_ipv6_mapped().octets(), ..self },
            _ => self,
        }
    }
}

impl From<SocketAddr> for WireAddr {
    fn from(a: SocketAddr) -> WireAddr {
        match a {
            SocketAddr::V4(a) => {
                let mut ip = [0; 16];
                ip[..4].copy_from_slice(&a.ip().octets());
                WireAddr { family: AF_INET, port: a.port(), ip, ..WireAddr::UNSPEC }
            }
            SocketAddr::V6(a) => WireAddr {
                family: AF_INET6,
                port: a.port(),
                flowinfo: a.flowinfo(),
                scope_id: a.scope_id(),
                ip: a.ip().octets(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_round_trip_through_both_layouts() {
        for text in ["10.1.2.3:80", "[2001:db8::1]:443", "[fe80::1%7]:9"] {
            let a: SocketAddr = text.parse().expect("a literal of this test");
            let w = WireAddr::from(a);
            assert_eq!(WireAddr::from_bytes(&w.to_bytes()).socket_addr(), Some(a));
            let mut raw = [0; SOCKADDR_IN6_LEN];
            let n = w.to_sockaddr(&mut raw);
            assert_eq!(WireAddr::from_sockaddr(&raw[..n]), Ok(w));
        }
    }

    #[test]
    fn a_short_sockaddr_is_einval_and_a_foreign_family_eafnosupport() {
        let mut raw = [0; SOCKADDR_IN6_LEN];
        WireAddr::from("[::1]:1".parse::<SocketAddr>().expect("a literal")).to_sockaddr(&mut raw);
        assert_eq!(WireAddr::from_sockaddr(&raw[..23]), Err(Errno::EINVAL));
        assert!(WireAddr::from_sockaddr(&raw[..24]).is_ok());
        assert_eq!(WireAddr::from_sockaddr(&[1, 0, 0, 0]), Err(Errno::EAFNOSUPPORT));
        assert_eq!(WireAddr::from_sockaddr(&[1]), Err(Errno::EINVAL));
    }
}
