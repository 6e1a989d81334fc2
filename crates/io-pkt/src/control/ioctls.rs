//! ioctl(2) on sockets: netdevice(7)'s SIOC?IF* and the queries of tcp(7) and udp(7).
//!
//! The argument travels as the bytes it points to: a `struct ifreq` (40 bytes), an int. SIOCGIFCONF's
//! argument is the room in bytes (int); its answer is the array of `struct ifreq`s that fits (all of them
//! for a room of 0 or less, so that the library can tell the length).

use core::net::{IpAddr, Ipv4Addr};

use errno::Errno;
use sockets::WireAddr;
use sockets::addr::SOCKADDR_IN6_LEN;
use sockets::call::Reader;
use sockets::config::iff;
use stack::net::{Address, LinkView};
use stack::{LinkId, SocketKind};

use super::addresses::linux_flags;
use super::{Answer, Call};
use crate::shard::Shard;

/// `struct ifreq` on 64-bit Linux, and its name.
const IFREQ_LEN: usize = 40;
const NAME_LEN: usize = 16;
/// `ARPHRD_ETHER`, `ARPHRD_LOOPBACK`.
const ETHER: u16 = 1;
const LOOPBACK: u16 = 772;

const FIONREAD: u64 = 0x541b;
const SIOCOUTQ: u64 = 0x5411;
const SIOCATMARK: u64 = 0x8905;
const SIOCGIFNAME: u64 = 0x8910;
const SIOCGIFCONF: u64 = 0x8912;
const SIOCGIFFLAGS: u64 = 0x8913;
const SIOCSIFFLAGS: u64 = 0x8914;
const SIOCGIFADDR: u64 = 0x8915;
const SIOCSIFADDR: u64 = 0x8916;
const SIOCGIFDSTADDR: u64 = 0x8917;
const SIOCGIFBRDADDR: u64 = 0x8919;
const SIOCGIFNETMASK: u64 = 0x891b;
const SIOCSIFNETMASK: u64 = 0x891c;
const SIOCGIFMETRIC: u64 = 0x891d;
const SIOCGIFMTU: u64 = 0x8921;
const SIOCSIFMTU: u64 = 0x8922;
const SIOCSIFHWADDR: u64 = 0x8924;
const SIOCGIFHWADDR: u64 = 0x8927;
const SIOCGIFINDEX: u64 = 0x8933;
const SIOCGIFTXQLEN: u64 = 0x8942;

/// A `struct ifreq` on its way through.
struct IfReq {
    bytes: [u8; IFREQ_LEN],
}

impl IfReq {
    fn parse(argument: &[u8]) -> Result<IfReq, Errno> {
        argument.first_chunk().map(|b| IfReq { bytes: *b }).ok_or(Errno::EFAULT)
    }

    fn name(&self) -> Result<&str, Errno> {
        let name = &self.bytes[..NAME_LEN];
        let end = name.iter().position(|b| *b == 0).unwrap_or(NAME_LEN);
        core::str::from_utf8(&name[..end]).map_err(|_| Errno::ENODEV)
    }

    fn set_name(&mut self, name: &str) {
        self.bytes[..NAME_LEN].fill(0);
        let n = name.len().min(NAME_LEN - 1);
        self.bytes[..n].copy_from_slice(&name.as_bytes()[..n]);
    }

    fn value(&mut self) -> &mut [u8] {
        &mut self.bytes[NAME_LEN..]
    }

    fn int(&self) -> i32 {
        i32::from_ne_bytes(self.bytes[NAME_LEN..NAME_LEN + 4].try_into().unwrap_or_default())
    }

    fn set_int(&mut self, v: i32) {
        self.value()[..4].copy_from_slice(&v.to_ne_bytes());
    }

    fn set_addr(&mut self, addr: Ipv4Addr) {
        let mut raw = [0; SOCKADDR_IN6_LEN];
        WireAddr::from(core::net::SocketAddr::new(addr.into(), 0)).to_sockaddr(&mut raw);
        self.value()[..16].copy_from_slice(&raw[..16]);
    }

    fn addr(&self) -> Result<Ipv4Addr, Errno> {
        match WireAddr::from_sockaddr(&self.bytes[NAME_LEN..NAME_LEN + 16])?.ip_addr() {
            Some(IpAddr::V4(addr)) => Ok(addr),
            _ => Err(Errno::EINVAL),
        }
    }

    fn mac(&self) -> [u8; 6] {
        self.bytes[NAME_LEN + 2..NAME_LEN + 8].try_into().unwrap_or_default()
    }

    fn set_mac(&mut self, kind: u16, mac: [u8; 6]) {
        let value = self.value();
        value[..2].copy_from_slice(&kind.to_ne_bytes());
        value[2..8].copy_from_slice(&mac);
        value[8..16].fill(0);
    }
}

fn first_v4<'a>(link: &LinkView<'a>) -> Option<(&'a Address, Ipv4Addr)> {
    link.addresses.iter().find_map(|a| match a.addr {
        IpAddr::V4(v4) => Some((a, v4)),
        IpAddr::V6(_) => None,
    })
}

fn netmask(prefix_len: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0))
}

/// The prefix that an address had before CIDR, which SIOCSIFADDR supposes.
fn class_prefix(addr: Ipv4Addr) -> u8 {
    match addr.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

impl Shard {
    pub(super) fn ioctl_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let mut r = Reader::new(call.body);
        let request = r.u64()?;
        let argument = r.rest();
        let bytes = match request {
            FIONREAD | SIOCOUTQ | SIOCATMARK => self.queue_ioctl(call, request)?.to_ne_bytes().to_vec(),
            SIOCGIFCONF => self.interface_list(argument)?,
            SIOCSIFFLAGS | SIOCSIFADDR | SIOCSIFNETMASK | SIOCSIFMTU | SIOCSIFHWADDR => {
                if !self.is_privileged(&call.client) {
                    return Err(Errno::EPERM);
                }
                let req = IfReq::parse(argument)?;
                self.set_interface(call, request, &req)?;
                req.bytes.to_vec()
            }
            _ => self.interface(request, argument)?,
        };
        let mut body = 0i32.to_ne_bytes().to_vec();
        body.extend_from_slice(&bytes);
        Ok(Answer::of(body))
    }

    fn queue_ioctl(&mut self, call: &Call<'_>, request: u64) -> Result<i32, Errno> {
        let slot = self.table.by_handle(call.handle).ok_or(Errno::EBADF)?;
        let id = self.table.get(slot).ok_or(Errno::EBADF)?.id;
        if id.kind != SocketKind::Tcp {
            // Datagrams go straight through: what waits, waits in the pair, which the library sees.
            return if request == SIOCATMARK { Err(Errno::EINVAL) } else { Ok(0) };
        }
        Ok(match request {
            FIONREAD => self.stack.rx_ring(id).map_or(0, |r| r.len()) as i32,
            SIOCOUTQ => self.stack.tx_ring(id).map_or(0, |(r, _)| r.len()) as i32,
            _ => 0,
        })
    }

    fn interface_list(&mut self, argument: &[u8]) -> Result<Vec<u8>, Errno> {
        let room = argument.first_chunk().map(|b| i32::from_ne_bytes(*b)).ok_or(Errno::EFAULT)?;
        let room = usize::try_from(room).ok().filter(|r| *r > 0).unwrap_or(usize::MAX);
        let mut list = Vec::new();
        for link in self.stack.net.links() {
            for address in link.addresses {
                let IpAddr::V4(addr) = address.addr else { continue };
                if list.len() + IFREQ_LEN > room.min(sockets::call::MESSAGE_MAX / 2) {
                    return Ok(list);
                }
                let mut req = IfReq { bytes: [0; IFREQ_LEN] };
                req.set_name(link.name);
                req.set_addr(addr);
                list.extend_from_slice(&req.bytes);
            }
        }
        Ok(list)
    }

    fn interface(&mut self, request: u64, argument: &[u8]) -> Result<Vec<u8>, Errno> {
        let known = [
            SIOCGIFNAME,
            SIOCGIFFLAGS,
            SIOCGIFADDR,
            SIOCGIFDSTADDR,
            SIOCGIFBRDADDR,
            SIOCGIFNETMASK,
            SIOCGIFMETRIC,
            SIOCGIFMTU,
            SIOCGIFHWADDR,
            SIOCGIFINDEX,
            SIOCGIFTXQLEN,
        ];
        if !known.contains(&request) {
            return Err(Errno(libc::ENOTTY));
        }
        let mut req = IfReq::parse(argument)?;
        if request == SIOCGIFNAME {
            let index = u32::try_from(req.int()).map_err(|_| Errno::ENODEV)?;
            let name = self.stack.net.link_name(LinkId(index)).ok_or(Errno::ENODEV)?;
            req.set_name(name);
            return Ok(req.bytes.to_vec());
        }
        let id = self.stack.net.link_by_name(req.name()?).ok_or(Errno::ENODEV)?;
        let link = self.stack.net.link(id).ok_or(Errno::ENODEV)?;
        let address = || first_v4(&link).ok_or(Errno::EADDRNOTAVAIL);
        match request {
            SIOCGIFFLAGS => {
                let flags = linux_flags(link.flags, false) as u16;
                req.value()[..2].copy_from_slice(&flags.to_ne_bytes());
            }
            SIOCGIFADDR | SIOCGIFDSTADDR => {
                let addr = address()?.1;
                req.set_addr(addr);
            }
            SIOCGIFBRDADDR => {
                let addr = address()?.0.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED);
                req.set_addr(addr);
            }
            SIOCGIFNETMASK => {
                let mask = netmask(address()?.0.prefix_len);
                req.set_addr(mask);
            }
            SIOCGIFMETRIC => req.set_int(0),
            SIOCGIFMTU => req.set_int(link.mtu as i32),
            SIOCGIFINDEX => req.set_int(link.id.0 as i32),
            SIOCGIFTXQLEN => req.set_int(1000),
            _ => {
                let loopback = link.flags & iff::LOOPBACK != 0;
                req.set_mac(if loopback { LOOPBACK } else { ETHER }, link.mac.0);
            }
        }
        Ok(req.bytes.to_vec())
    }

    fn set_interface(&mut self, call: &Call<'_>, request: u64, req: &IfReq) -> Result<(), Errno> {
        let now = call.now;
        let net = &mut self.stack.net;
        let id = net.link_by_name(req.name()?).ok_or(Errno::ENODEV)?;
        let link = net.link(id).ok_or(Errno::ENODEV)?;
        let old = first_v4(&link).map(|(a, v4)| (v4, a.prefix_len));
        match request {
            SIOCSIFFLAGS => {
                let flags = u32::from(req.int() as u16);
                let mine = iff::UP | iff::PROMISC | iff::ALLMULTI | iff::NOARP | iff::DEBUG;
                net.set_admin_flags(now, id, flags & mine, !flags & mine)
            }
            SIOCSIFMTU => {
                let mtu = u32::try_from(req.int()).map_err(|_| Errno::EINVAL)?;
                self.set_mtu(now, id, mtu)
            }
            SIOCSIFHWADDR => self.set_mac(now, id, wire::MacAddr(req.mac())),
            SIOCSIFADDR => {
                let addr = req.addr()?;
                if let Some((old, _)) = old {
                    net.delete_address(now, id, old.into())?;
                }
                if addr.is_unspecified() {
                    Ok(())
                } else {
                    net.add_address(now, id, addr.into(), class_prefix(addr), None)
                }
            }
            _ => {
                let mask = u32::from(req.addr()?);
                let (addr, _) = old.ok_or(Errno::EADDRNOTAVAIL)?;
                if mask.count_zeros() != mask.trailing_zeros() {
                    return Err(Errno::EINVAL); // holes
                }
                net.delete_address(now, id, addr.into())?;
                net.add_address(now, id, addr.into(), mask.count_ones() as u8, None)
            }
        }
    }
}
