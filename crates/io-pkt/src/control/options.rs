//! Socket options between the forms that programs use, `(level, name, bytes)`, and the engine's
//! `SockOpt` (socket(7), ip(7), ipv6(7), tcp(7), raw(7), icmp(7)).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use errno::Errno;
use stack::{Domain, LinkId, SockOpt, SocketId, SocketKind, Stack};

/// Largest value of SO_RCVBUF and SO_SNDBUF (net.core.rmem_max's part here); the engine doubles it.
const BUFFER_MAX: u32 = 4 << 20;
/// `ICMP_FILTER` of `<linux/icmp.h>` at level SOL_RAW, `ICMPV6_FILTER` at IPPROTO_ICMPV6.
const ICMP_FILTER: i32 = 1;
const SOL_RAW: i32 = 255;
const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_LEAVE_GROUP: i32 = 45;
/// Most seconds of TCP_LINGER2 (Linux' TCP_FIN_TIMEOUT_MAX).
const LINGER2_MAX: i32 = 120;
const IP_BIND_ADDRESS_NO_PORT: i32 = 24;
const IPV6_HDRINCL: i32 = 36;
const IPV6_DONTFRAG: i32 = 62;
/// Values of SO_PRIORITY from here on need privilege.
const PRIORITY_FREE: u32 = 7;
/// Bytes of `struct sockaddr_storage`.
const SOCKADDR_STORAGE: usize = 128;

type Made = Result<SockOpt, Errno>;

/// What only root and the daemon's owner may set (socket(7)).
pub fn is_privileged(level: i32, name: i32, option: &SockOpt) -> bool {
    matches!(option, SockOpt::Priority(PRIORITY_FREE..)) || is_forced(level, name)
}

/// The names that pass Linux's limits; here the limits are the same for them, which is why they can
/// only be set.
fn is_forced(level: i32, name: i32) -> bool {
    level == libc::SOL_SOCKET && matches!(name, libc::SO_RCVBUFFORCE | libc::SO_SNDBUFFORCE)
}

/// The option that setsockopt(2) was given.
///
/// Errors: ENOPROTOOPT for one that is not known, EINVAL for a value that is short or out of range,
/// ENODEV for an interface that is not there.
pub fn parse(stack: &Stack, domain: Domain, kind: SocketKind, level: i32, name: i32, value: &[u8]) -> Made {
    if speaks_no_v4(domain, kind, level) {
        return Err(Errno::ENOPROTOOPT);
    }
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => {
            let (on, seconds) = (int_at(value, 0)?, int_at(value, 4)?);
            Ok(SockOpt::Linger((on != 0).then_some(seconds.max(0) as u32)))
        }
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) => {
            let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
            let device = core::str::from_utf8(&value[..end]).map_err(|_| Errno::ENODEV)?;
            if device.is_empty() {
                return Ok(SockOpt::BindToDevice(None));
            }
            Ok(SockOpt::BindToDevice(Some(stack.net.link_by_name(device).ok_or(Errno::ENODEV)?)))
        }
        (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => match value.len() {
            0..4 => Err(Errno::EINVAL),
            4..8 => multicast_if(stack, v4_at(value, 0)?, None),
            // struct ip_mreq and struct ip_mreqn
            len => multicast_if(stack, v4_at(value, 4)?, if len >= 12 { link_at(value, 8)? } else { None }),
        },
        (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP) => {
            let (group, link, addr) = v4_membership(value)?;
            Ok(SockOpt::JoinGroup { group, link, addr })
        }
        (libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP) => {
            let (group, link, addr) = v4_membership(value)?;
            Ok(SockOpt::LeaveGroup { group, link, addr })
        }
        (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP) => {
            let (group, link) = v6_membership(value)?;
            Ok(SockOpt::JoinGroup { group, link, addr: None })
        }
        (libc::IPPROTO_IPV6, libc::IPV6_DROP_MEMBERSHIP) => {
            let (group, link) = v6_membership(value)?;
            Ok(SockOpt::LeaveGroup { group, link, addr: None })
        }
        (libc::IPPROTO_IP | libc::IPPROTO_IPV6, MCAST_JOIN_GROUP) => {
            let (group, link) = group_request(value)?;
            Ok(SockOpt::JoinGroup { group, link, addr: None })
        }
        (libc::IPPROTO_IP | libc::IPPROTO_IPV6, MCAST_LEAVE_GROUP) => {
            let (group, link) = group_request(value)?;
            Ok(SockOpt::LeaveGroup { group, link, addr: None })
        }
        (SOL_RAW, ICMP_FILTER) if domain == Domain::V4 => Ok(SockOpt::IcmpFilter(int_at(value, 0)? as u32)),
        (libc::IPPROTO_ICMPV6, ICMP_FILTER) => {
            let mut words = [0; 8];
            for (i, word) in words.iter_mut().enumerate() {
                *word = int_at(value, 4 * i)? as u32;
            }
            Ok(SockOpt::Icmp6Filter(words))
        }
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
            let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
            let name = core::str::from_utf8(&value[..end]).map_err(|_| Errno::ENOENT)?;
            if value.is_empty() {
                return Err(Errno::EINVAL);
            }
            Ok(SockOpt::Congestion(name.to_owned()))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF) if domain == Domain::V6 => {
            let link = int_at(value, 0)?;
            let link = (link != 0).then_some(LinkId(link as u32));
            if link.is_some_and(|l| stack.net.link_name(l).is_none()) {
                return Err(Errno::ENODEV);
            }
            Ok(SockOpt::MulticastIf6(link))
        }
        (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL | libc::IP_MULTICAST_LOOP) if value.is_empty() => Err(Errno::EINVAL),
        (libc::IPPROTO_IP, libc::IP_OPTIONS) if value.is_empty() => Err(Errno::ENOPROTOOPT),
        _ => {
            // ip(7): options of this level may be given as one byte; Linux takes none for 0.
            let number = match value {
                [] if level == libc::IPPROTO_IP => 0,
                [byte] | [byte, ..] if value.len() < 4 && level == libc::IPPROTO_IP => i32::from(*byte),
                _ => int_at(value, 0).or_else(|e| {
                    // An option that nobody knows is ENOPROTOOPT, whatever its value.
                    numeric(domain, kind, level, name, 0).and(Err(e))
                })?,
            };
            numeric(domain, kind, level, name, number)
        }
    }
}

/// Raw IPv6, alone of the AF_INET6 sockets, has no IPv4 traffic that options of IPv4 could be about.
fn speaks_no_v4(domain: Domain, kind: SocketKind, level: i32) -> bool {
    domain == Domain::V6 && kind == SocketKind::Raw && level == libc::IPPROTO_IP
}

/// ip(7): the interface by its index or else by its address; neither is the system's choice again.
fn multicast_if(stack: &Stack, addr: Option<Ipv4Addr>, link: Option<LinkId>) -> Made {
    let is_there = match (link, addr) {
        (Some(link), _) => stack.net.link_name(link).is_some(),
        (None, Some(addr)) => stack.net.links().any(|l| l.addresses.iter().any(|a| a.addr == IpAddr::V4(addr))),
        (None, None) => true,
    };
    if is_there { Ok(SockOpt::MulticastIf { addr, link }) } else { Err(Errno::EADDRNOTAVAIL) }
}

/// Options whose value is one int.
fn numeric(domain: Domain, kind: SocketKind, level: i32, name: i32, v: i32) -> Made {
    let on = v != 0;
    let byte = u8::try_from(v).map_err(|_| Errno::EINVAL);
    // -1 means the default.
    let byte_or_default = if v == -1 { Ok(None) } else { byte.map(Some) };
    let positive = u32::try_from(v).map_err(|_| Errno::EINVAL);
    // Linux compares without a sign.
    let buffer = u32::try_from(v).unwrap_or(u32::MAX).min(BUFFER_MAX);
    let tcp = kind == SocketKind::Tcp;
    Ok(match (level, name) {
        (libc::SOL_SOCKET, libc::SO_REUSEADDR) => SockOpt::ReuseAddr(on),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => SockOpt::ReusePort(on),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => SockOpt::KeepAlive(on),
        (libc::SOL_SOCKET, libc::SO_OOBINLINE) => SockOpt::OobInline(on),
        (libc::SOL_SOCKET, libc::SO_BROADCAST) => SockOpt::Broadcast(on),
        (libc::SOL_SOCKET, libc::SO_DONTROUTE) => SockOpt::DontRoute(on),
        (libc::SOL_SOCKET, libc::SO_PRIORITY) => SockOpt::Priority(v as u32),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMP | libc::SO_TIMESTAMPNS) => SockOpt::Timestamp(on),
        (libc::SOL_SOCKET, libc::SO_RCVBUF | libc::SO_RCVBUFFORCE) => SockOpt::RcvBuf(buffer),
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_SNDBUFFORCE) => SockOpt::SndBuf(buffer),

        (libc::IPPROTO_IP, libc::IP_TTL) => match v {
            -1 => SockOpt::Ttl(None),
            1..=255 => SockOpt::Ttl(Some(v as u8)),
            _ => return Err(Errno::EINVAL),
        },
        (libc::IPPROTO_IP, libc::IP_TOS) => SockOpt::Tos(v as u8),
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER) => SockOpt::MtuDiscover(byte?),
        (libc::IPPROTO_IP, libc::IP_MTU) => SockOpt::Mtu(positive?),
        (libc::IPPROTO_IP, libc::IP_RECVERR) => SockOpt::RecvErr(on),
        (libc::IPPROTO_IP, libc::IP_FREEBIND) => SockOpt::FreeBind(on),
        (libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) => SockOpt::BindAddressNoPort(on),
        (libc::IPPROTO_IP, libc::IP_HDRINCL) | (libc::IPPROTO_IPV6, IPV6_HDRINCL) if kind == SocketKind::Raw => {
            SockOpt::HeaderIncluded(on)
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => SockOpt::RecvPktInfo(on),
        (libc::IPPROTO_IP, libc::IP_RECVTTL) => SockOpt::RecvTtl(on),
        (libc::IPPROTO_IP, libc::IP_RECVTOS) => SockOpt::RecvTos(on),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL) => SockOpt::MulticastTtl(if v == -1 { 1 } else { byte? }),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP) => SockOpt::MulticastLoop(on),

        (libc::IPPROTO_IPV6, _) if domain == Domain::V4 => return Err(Errno::ENOPROTOOPT),
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => SockOpt::V6Only(on),
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => SockOpt::UnicastHops(byte_or_default?),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => SockOpt::TrafficClass(if v == -1 { 0 } else { byte? }),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) => SockOpt::RecvPktInfo6(on),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT) => SockOpt::RecvHopLimit(on),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS) => SockOpt::RecvTClass(on),
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS) => SockOpt::MulticastHops(if v == -1 { 1 } else { byte? }),
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP) => match v {
            0 | 1 => SockOpt::MulticastLoop6(on),
            _ => return Err(Errno::EINVAL),
        },
        (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF) => SockOpt::MulticastIf6((v != 0).then_some(LinkId(v as u32))),
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER) => SockOpt::MtuDiscover6(byte?),
        (libc::IPPROTO_IPV6, libc::IPV6_MTU) => SockOpt::Mtu6(positive?),
        (libc::IPPROTO_IPV6, IPV6_DONTFRAG) => SockOpt::DontFragment6(on),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => SockOpt::RecvErr6(on),
        (libc::IPPROTO_IPV6 | SOL_RAW, libc::IPV6_CHECKSUM) if kind == SocketKind::Raw => {
            SockOpt::Checksum6(if v == -1 { None } else { Some(u16::try_from(v).map_err(|_| Errno::EINVAL)?) })
        }

        (libc::IPPROTO_TCP, libc::TCP_NODELAY) if tcp => SockOpt::NoDelay(on),
        (libc::IPPROTO_TCP, libc::TCP_CORK) if tcp => SockOpt::Cork(on),
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) if tcp => SockOpt::MaxSeg(u16::try_from(v).map_err(|_| Errno::EINVAL)?),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) if tcp => SockOpt::KeepIdle(positive?),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) if tcp => SockOpt::KeepInterval(positive?),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) if tcp => SockOpt::KeepCount(positive?),
        (libc::IPPROTO_TCP, libc::TCP_SYNCNT) if tcp => SockOpt::SynCount(positive?),
        (libc::IPPROTO_TCP, libc::TCP_LINGER2) if tcp => SockOpt::Linger2(v.clamp(-1, LINGER2_MAX)),
        (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) if tcp => SockOpt::DeferAccept(v.max(0) as u32),
        (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) if tcp => SockOpt::WindowClamp(positive.unwrap_or(1)),
        (libc::IPPROTO_TCP, libc::TCP_QUICKACK) if tcp => SockOpt::QuickAck(on),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) if tcp => SockOpt::UserTimeout(positive?),
        _ => return Err(Errno::ENOPROTOOPT),
    })
}

/// What getsockopt(2) gives, of which the caller cuts what does not fit.
///
/// Errors: ENOPROTOOPT.
pub fn value(
    stack: &Stack,
    domain: Domain,
    id: SocketId,
    level: i32,
    name: i32,
    room: usize,
) -> Result<Vec<u8>, Errno> {
    if speaks_no_v4(domain, id.kind, level) {
        return Err(Errno::ENOPROTOOPT);
    }
    let which = match (level, name) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => SockOpt::Linger(None),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) => SockOpt::BindToDevice(None),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => SockOpt::MulticastIf { addr: None, link: None },
        (libc::IPPROTO_IP, libc::IP_OPTIONS) => return Ok(Vec::new()),
        // unix(7): what Linux gives of a peer that is not of this machine: no process, no user, no group.
        (libc::SOL_SOCKET, libc::SO_PEERCRED) => return Ok([0i32, -1, -1].map(i32::to_ne_bytes).concat()),
        _ if is_forced(level, name) => return Err(Errno::ENOPROTOOPT),
        (SOL_RAW, ICMP_FILTER) if domain == Domain::V4 => SockOpt::IcmpFilter(0),
        (libc::IPPROTO_ICMPV6, ICMP_FILTER) => SockOpt::Icmp6Filter([0; 8]),
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => SockOpt::Congestion(String::new()),
        _ => numeric(domain, id.kind, level, name, 1).or_else(|_| numeric(domain, id.kind, level, name, 0))?,
    };
    Ok(match stack.option(id, &which)? {
        SockOpt::Linger(seconds) => {
            let on = i32::from(seconds.is_some());
            [on.to_ne_bytes(), (seconds.unwrap_or(0) as i32).to_ne_bytes()].concat()
        }
        SockOpt::BindToDevice(link) => match link.and_then(|l| stack.net.link_name(l)) {
            Some(name) => [name.as_bytes(), &[0]].concat(),
            None => Vec::new(),
        },
        SockOpt::MulticastIf { addr, .. } => addr.unwrap_or(Ipv4Addr::UNSPECIFIED).octets().to_vec(),
        SockOpt::IcmpFilter(bits) => bits.to_ne_bytes().to_vec(),
        SockOpt::Icmp6Filter(words) => words.iter().flat_map(|w| w.to_ne_bytes()).collect(),
        SockOpt::Congestion(mut name) => {
            // tcp(7): TCP_CA_NAME_MAX bytes, NUL-padded.
            name.truncate(15);
            let mut bytes = name.into_bytes();
            bytes.resize(16, 0);
            bytes
        }
        other => {
            let v = number_of(&other).ok_or(Errno::ENOPROTOOPT)?;
            match u8::try_from(v) {
                // ip(7): with room for less than an int, one byte.
                Ok(byte) if level == libc::IPPROTO_IP && (1..4).contains(&room) => vec![byte],
                _ => v.to_ne_bytes().to_vec(),
            }
        }
    })
}

/// The int by which getsockopt(2) shows an option.
fn number_of(option: &SockOpt) -> Option<i32> {
    Some(match *option {
        SockOpt::ReuseAddr(on)
        | SockOpt::ReusePort(on)
        | SockOpt::KeepAlive(on)
        | SockOpt::OobInline(on)
        | SockOpt::Broadcast(on)
        | SockOpt::DontRoute(on)
        | SockOpt::Timestamp(on)
        | SockOpt::RecvErr(on)
        | SockOpt::FreeBind(on)
        | SockOpt::BindAddressNoPort(on)
        | SockOpt::HeaderIncluded(on)
        | SockOpt::RecvPktInfo(on)
        | SockOpt::RecvTtl(on)
        | SockOpt::RecvTos(on)
        | SockOpt::MulticastLoop(on)
        | SockOpt::V6Only(on)
        | SockOpt::RecvPktInfo6(on)
        | SockOpt::RecvHopLimit(on)
        | SockOpt::RecvTClass(on)
        | SockOpt::MulticastLoop6(on)
        | SockOpt::RecvErr6(on)
        | SockOpt::DontFragment6(on)
        | SockOpt::NoDelay(on)
        | SockOpt::Cork(on)
        | SockOpt::QuickAck(on) => i32::from(on),
        SockOpt::RcvBuf(v)
        | SockOpt::SndBuf(v)
        | SockOpt::Priority(v)
        | SockOpt::Mtu(v)
        | SockOpt::KeepIdle(v)
        | SockOpt::KeepInterval(v)
        | SockOpt::KeepCount(v)
        | SockOpt::SynCount(v)
        | SockOpt::DeferAccept(v)
        | SockOpt::WindowClamp(v)
        | SockOpt::UserTimeout(v)
        | SockOpt::Mtu6(v) => v as i32,
        SockOpt::Tos(v)
        | SockOpt::MtuDiscover(v)
        | SockOpt::MulticastTtl(v)
        | SockOpt::TrafficClass(v)
        | SockOpt::MulticastHops(v)
        | SockOpt::MtuDiscover6(v) => i32::from(v),
        // The system's defaults (net.inet.ip.ttl, RFC 4861's CurHopLimit).
        SockOpt::Ttl(v) | SockOpt::UnicastHops(v) => i32::from(v.unwrap_or(64)),
        SockOpt::MulticastIf6(link) => link.map_or(0, |l| l.0 as i32),
        SockOpt::Checksum6(offset) => offset.map_or(-1, i32::from),
        SockOpt::MaxSeg(v) => i32::from(v),
        SockOpt::Linger2(v) => v,
        _ => return None,
    })
}

// --- the structures of <netinet/in.h> ------------------------------------------------------------

fn array_at<const N: usize>(value: &[u8], at: usize) -> Result<[u8; N], Errno> {
    value.get(at..at + N).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)
}

fn int_at(value: &[u8], at: usize) -> Result<i32, Errno> {
    array_at(value, at).map(i32::from_ne_bytes)
}

fn v4_at(value: &[u8], at: usize) -> Result<Option<Ipv4Addr>, Errno> {
    let addr = Ipv4Addr::from(array_at::<4>(value, at)?);
    Ok((!addr.is_unspecified()).then_some(addr))
}

fn link_at(value: &[u8], at: usize) -> Result<Option<LinkId>, Errno> {
    let index = int_at(value, at)?;
    Ok((index > 0).then_some(LinkId(index as u32)))
}

/// `struct ip_mreq` (group, interface's address) or `struct ip_mreqn` (and its index).
fn v4_membership(value: &[u8]) -> Result<(IpAddr, Option<LinkId>, Option<Ipv4Addr>), Errno> {
    let group = Ipv4Addr::from(array_at::<4>(value, 0)?);
    let addr = v4_at(value, 4)?;
    let link = if value.len() >= 12 { link_at(value, 8)? } else { None };
    Ok((IpAddr::V4(group), link, addr))
}

/// `struct ipv6_mreq`.
fn v6_membership(value: &[u8]) -> Result<(IpAddr, Option<LinkId>), Errno> {
    Ok((IpAddr::V6(Ipv6Addr::from(array_at::<16>(value, 0)?)), link_at(value, 16)?))
}

/// `struct group_req`: an index, padding, a sockaddr_storage.
fn group_request(value: &[u8]) -> Result<(IpAddr, Option<LinkId>), Errno> {
    let link = link_at(value, 0)?;
    let addr = value.get(8..8 + SOCKADDR_STORAGE).ok_or(Errno::EINVAL)?;
    let group = sockets::WireAddr::from_sockaddr(addr)?.ip_addr().ok_or(Errno::EADDRNOTAVAIL)?;
    Ok((group, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(level: i32, name: i32, value: &[u8]) -> Made {
        let stack = Stack::new(stack::Config::standard(1));
        parse(&stack, Domain::V4, SocketKind::Tcp, level, name, value)
    }

    #[test]
    fn ints_bytes_and_structures_are_understood() {
        assert_eq!(made(libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32.to_ne_bytes()), Ok(SockOpt::NoDelay(true)));
        assert_eq!(made(libc::IPPROTO_IP, libc::IP_TOS, &[0x10]), Ok(SockOpt::Tos(0x10)));
        assert_eq!(made(libc::SOL_SOCKET, libc::SO_RCVBUF, &8192i32.to_ne_bytes()), Ok(SockOpt::RcvBuf(8192)));
        let linger = [1i32.to_ne_bytes(), 5i32.to_ne_bytes()].concat();
        assert_eq!(made(libc::SOL_SOCKET, libc::SO_LINGER, &linger), Ok(SockOpt::Linger(Some(5))));
        assert_eq!(
            made(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo0\0"),
            Ok(SockOpt::BindToDevice(Some(LinkId::LOOPBACK)))
        );
        assert_eq!(
            made(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &[224, 0, 0, 9, 0, 0, 0, 0]),
            Ok(SockOpt::JoinGroup { group: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 9)), link: None, addr: None })
        );
    }

    #[test]
    fn a_group_request_names_an_interface_and_a_group_of_either_family() {
        for (text, level) in [("224.0.0.9", libc::IPPROTO_IP), ("ff05::9", libc::IPPROTO_IPV6)] {
            let group: IpAddr = text.parse().expect("a literal");
            let mut request = vec![0; 8 + SOCKADDR_STORAGE];
            request[0] = 1;
            let addr = sockets::WireAddr::from(core::net::SocketAddr::new(group, 0));
            addr.to_sockaddr(request[8..].first_chunk_mut().expect("room for a sockaddr_in6"));
            let option = SockOpt::JoinGroup { group, link: Some(LinkId(1)), addr: None };
            assert_eq!(made(level, MCAST_JOIN_GROUP, &request), Ok(option));
            assert_eq!(made(level, MCAST_LEAVE_GROUP, &request[..100]), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn what_is_not_known_is_enoprotoopt_and_what_is_short_is_einval() {
        assert_eq!(made(libc::SOL_SOCKET, 9999, &[0; 4]), Err(Errno::ENOPROTOOPT));
        assert_eq!(made(libc::SOL_SOCKET, 9999, &[]), Err(Errno::ENOPROTOOPT));
        assert_eq!(made(77, 1, &[0; 4]), Err(Errno::ENOPROTOOPT));
        assert_eq!(made(libc::SOL_SOCKET, libc::SO_KEEPALIVE, &[1]), Err(Errno::EINVAL));
        assert_eq!(made(libc::SOL_SOCKET, libc::SO_LINGER, &[0; 4]), Err(Errno::EINVAL));
        assert_eq!(made(libc::IPPROTO_IP, libc::IP_TTL, &256i32.to_ne_bytes()), Err(Errno::EINVAL));
        assert_eq!(made(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &[0; 4]), Err(Errno::ENOPROTOOPT));
    }

    /// Names that Linux has and that nothing here would carry out, by level (docs/sockets.md).
    #[rustfmt::skip]
    const REFUSED: &[(i32, &[i32])] = &[
        (libc::SOL_SOCKET, &[
            libc::SO_MARK, libc::SO_ATTACH_FILTER, libc::SO_ATTACH_BPF, libc::SO_DETACH_FILTER, libc::SO_PASSCRED,
            libc::SO_RXQ_OVFL, libc::SO_WIFI_STATUS, libc::SO_PEEK_OFF, libc::SO_TIMESTAMPING, libc::SO_BUSY_POLL,
            libc::SO_MAX_PACING_RATE, libc::SO_INCOMING_CPU, libc::SO_ZEROCOPY, libc::SO_TXTIME, libc::SO_BINDTOIFINDEX,
            libc::SO_ATTACH_REUSEPORT_CBPF, libc::SO_ATTACH_REUSEPORT_EBPF, libc::SO_SELECT_ERR_QUEUE, libc::SO_NO_CHECK,
            libc::SO_INCOMING_NAPI_ID,
        ]),
        (libc::IPPROTO_IP, &[
            libc::IP_RECVOPTS, libc::IP_RETOPTS, libc::IP_ROUTER_ALERT, libc::IP_PASSSEC, libc::IP_TRANSPARENT,
            libc::IP_RECVORIGDSTADDR, libc::IP_MINTTL, libc::IP_NODEFRAG, libc::IP_CHECKSUM, libc::IP_ADD_SOURCE_MEMBERSHIP,
            libc::IP_DROP_SOURCE_MEMBERSHIP, libc::IP_BLOCK_SOURCE, libc::IP_UNBLOCK_SOURCE, libc::IP_MSFILTER,
            libc::IP_MULTICAST_ALL, libc::IP_UNICAST_IF,
        ]),
        (libc::IPPROTO_IPV6, &[
            libc::IPV6_RECVHOPOPTS, libc::IPV6_HOPOPTS, libc::IPV6_RECVRTHDR, libc::IPV6_RTHDR, libc::IPV6_RECVDSTOPTS,
            libc::IPV6_DSTOPTS, libc::IPV6_RECVPATHMTU, libc::IPV6_PATHMTU, libc::IPV6_FLOWINFO, libc::IPV6_FLOWLABEL_MGR,
            libc::IPV6_FLOWINFO_SEND, libc::IPV6_AUTOFLOWLABEL, libc::IPV6_ADDR_PREFERENCES, libc::IPV6_MINHOPCOUNT,
            libc::IPV6_ORIGDSTADDR, libc::IPV6_TRANSPARENT, libc::IPV6_UNICAST_IF, libc::IPV6_FREEBIND,
            libc::IPV6_JOIN_ANYCAST, libc::IPV6_LEAVE_ANYCAST, libc::IPV6_ROUTER_ALERT, libc::IPV6_MULTICAST_ALL,
        ]),
        (libc::IPPROTO_TCP, &[
            libc::TCP_MD5SIG, libc::TCP_THIN_LINEAR_TIMEOUTS, libc::TCP_THIN_DUPACK, libc::TCP_REPAIR, libc::TCP_FASTOPEN,
            libc::TCP_TIMESTAMP, libc::TCP_NOTSENT_LOWAT, libc::TCP_CC_INFO, libc::TCP_SAVE_SYN, libc::TCP_SAVED_SYN,
            libc::TCP_FASTOPEN_CONNECT, libc::TCP_ULP, libc::TCP_MD5SIG_EXT, libc::TCP_FASTOPEN_KEY,
            libc::TCP_FASTOPEN_NO_COOKIE, libc::TCP_ZEROCOPY_RECEIVE, libc::TCP_INQ,
        ]),
        (libc::SOL_UDP, &[libc::UDP_CORK, libc::UDP_ENCAP, libc::UDP_SEGMENT, libc::UDP_GRO]),
    ];

    #[test]
    fn what_nothing_would_carry_out_is_refused_by_every_kind_of_socket() {
        for domain in [Domain::V4, Domain::V6] {
            let icmp = if domain == Domain::V4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 } as u8;
            for (kind, protocol) in [
                (SocketKind::Tcp, libc::IPPROTO_TCP as u8),
                (SocketKind::Udp, libc::IPPROTO_UDP as u8),
                (SocketKind::Raw, icmp),
                (SocketKind::Ping, icmp),
            ] {
                let mut stack = Stack::new(stack::Config::standard(1));
                let id = stack.socket(domain, kind, protocol).expect("room for a socket");
                for (level, name) in REFUSED.iter().flat_map(|(level, names)| names.iter().map(|n| (*level, *n))) {
                    let what = format!("{domain:?} {kind:?} level {level} name {name}");
                    let set = parse(&stack, domain, kind, level, name, &[1, 0, 0, 0, 0, 0, 0, 0])
                        .and_then(|option| stack.set_option(stack::Instant::ZERO, id, option));
                    assert_eq!(set, Err(Errno::ENOPROTOOPT), "set {what}");
                    assert_eq!(value(&stack, domain, id, level, name, 4), Err(Errno::ENOPROTOOPT), "get {what}");
                }
            }
        }
    }

    #[test]
    fn priority_above_six_and_forced_buffers_need_privilege() {
        let made = |name, v: i32| made(libc::SOL_SOCKET, name, &v.to_ne_bytes()).expect("an option");
        let needs = |name, v| is_privileged(libc::SOL_SOCKET, name, &made(name, v));
        assert!(needs(libc::SO_PRIORITY, 7) && !needs(libc::SO_PRIORITY, 6));
        assert!(needs(libc::SO_RCVBUFFORCE, 1) && needs(libc::SO_SNDBUFFORCE, 1) && !needs(libc::SO_RCVBUF, 1));
    }
}
