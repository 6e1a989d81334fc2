//! The instance's interfaces: getifaddrs(3), if_nametoindex(3), SIOCGIFCONF.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::net::IpAddr;
use core::{mem, ptr};

use sockets::WireAddr;
use sockets::addr::{AF_INET, AF_INET6, SOCKADDR_IN6_LEN};
use sockets::call::{MESSAGE_MAX, Op};
use sockets::config::{IfAddr, InterfaceAddress};

use crate::control::{self, Request};
use crate::hook;
use crate::real::{Errno, answer};

/// Longest name of an interface with its NUL (`IFNAMSIZ`).
const NAME: usize = 16;

/// All addresses of all interfaces, a record without address for one that has none.
pub fn all() -> Result<Vec<IfAddr>, Errno> {
    let mut room = vec![0u8; MESSAGE_MAX];
    let reply = control::call(&Request::new(Op::InterfaceAddrs, 0, &[]), &mut room)?;
    postcard::from_bytes(&room[..reply.len]).map_err(|_| Errno::EPROTO)
}

fn sockaddr_of(ip: IpAddr, index: u32) -> WireAddr {
    let mut a = WireAddr::from(core::net::SocketAddr::new(ip, 0));
    if let IpAddr::V6(v6) = ip
        && v6.is_unicast_link_local()
    {
        a.scope_id = index;
    }
    a
}

fn netmask(address: &InterfaceAddress) -> WireAddr {
    let mut ip = [0u8; 16];
    for bit in 0..usize::from(address.prefix_len).min(128) {
        ip[bit / 8] |= 0x80 >> (bit % 8);
    }
    let family = if address.addr.is_ipv4() { AF_INET } else { AF_INET6 };
    WireAddr { family, ip, ..WireAddr::UNSPEC }
}

/// One `struct ifaddrs` and all it points to, in one piece of memory.
#[repr(C)]
struct Node {
    links: libc::ifaddrs,
    name: [c_char; NAME],
    addresses: [[u64; 4]; 3],
}

const _: () =
    assert!(size_of::<[u64; 4]>() >= SOCKADDR_IN6_LEN && size_of::<[u64; 4]>() >= size_of::<libc::sockaddr_ll>());

/// A node for one record; `link` asks for the AF_PACKET form with the hardware address.
fn node(record: &IfAddr, link: bool) -> Box<Node> {
    // SAFETY: all zeroes is valid for pointers and integers.
    let mut n: Box<Node> = Box::new(unsafe { mem::zeroed() });
    for (to, from) in n.name[..NAME - 1].iter_mut().zip(record.name.bytes()) {
        *to = from as c_char;
    }
    n.links.ifa_name = n.name.as_mut_ptr();
    n.links.ifa_flags = record.flags;
    if link {
        // SAFETY: all zeroes is valid; the slot is large enough, as asserted above.
        let mut ll: libc::sockaddr_ll = unsafe { mem::zeroed() };
        ll.sll_family = libc::AF_PACKET as u16;
        ll.sll_ifindex = record.index as c_int;
        ll.sll_hatype = if record.mac.is_some() { libc::ARPHRD_ETHER } else { libc::ARPHRD_LOOPBACK };
        ll.sll_halen = 6;
        ll.sll_addr[..6].copy_from_slice(&record.mac.unwrap_or_default());
        // SAFETY: as above.
        unsafe { ptr::write(n.addresses[0].as_mut_ptr().cast(), ll) };
        n.links.ifa_addr = n.addresses[0].as_mut_ptr().cast();
        return n;
    }
    let Some(a) = &record.addr else { return n };
    let other = a.peer.or(a.broadcast);
    let forms =
        [Some(sockaddr_of(a.addr, record.index)), Some(netmask(a)), other.map(|ip| sockaddr_of(ip, record.index))];
    let mut pointers = [ptr::null_mut::<libc::sockaddr>(); 3];
    for ((slot, form), pointer) in n.addresses.iter_mut().zip(forms).zip(&mut pointers) {
        let Some(form) = form else { continue };
        // SAFETY: the slot is at least as long as the longest form, as asserted above.
        unsafe { crate::address::write(&form, slot.as_mut_ptr().cast(), size_of_val(slot)) };
        *pointer = slot.as_mut_ptr().cast();
    }
    [n.links.ifa_addr, n.links.ifa_netmask, n.links.ifa_ifu] = pointers;
    n
}

fn list(records: &[IfAddr]) -> *mut libc::ifaddrs {
    let mut nodes = Vec::new();
    for (i, r) in records.iter().enumerate() {
        if !records[..i].iter().any(|earlier| earlier.index == r.index) {
            nodes.push(node(r, true));
        }
    }
    nodes.extend(records.iter().filter(|r| r.addr.is_some()).map(|r| node(r, false)));
    let mut head = ptr::null_mut();
    for mut n in nodes.into_iter().rev() {
        n.links.ifa_next = head;
        head = Box::into_raw(n).cast();
    }
    head
}

/// SIOCGIFCONF (netdevice(7)): one `struct ifreq` for each IPv4 address.
///
/// # Safety
/// `conf` is null or a valid `struct ifconf`.
pub unsafe fn ifconf(conf: *mut libc::ifconf) -> Result<usize, Errno> {
    if conf.is_null() {
        return Err(Errno::EFAULT);
    }
    let records = all()?;
    let v4 = records.iter().filter(|r| r.addr.as_ref().is_some_and(|a| a.addr.is_ipv4()));
    // SAFETY: the caller vouches for the structure and for its buffer of `ifc_len` bytes.
    unsafe {
        let buf = (*conf).ifc_ifcu.ifcu_buf.cast::<u8>();
        let one = size_of::<libc::ifreq>();
        let room = (*conf).ifc_len.max(0) as usize / one;
        let mut n = 0;
        for r in v4 {
            if buf.is_null() {
                n += 1;
                continue;
            }
            if n == room {
                break;
            }
            let Some(a) = &r.addr else { continue };
            let mut bytes = [0u8; size_of::<libc::ifreq>()];
            for (to, from) in bytes[..NAME - 1].iter_mut().zip(r.name.bytes()) {
                *to = from;
            }
            let address = sockaddr_of(a.addr, r.index);
            crate::address::write(&address, bytes[NAME..].as_mut_ptr(), bytes.len() - NAME);
            ptr::copy_nonoverlapping(bytes.as_ptr(), buf.add(n * one), one);
            n += 1;
        }
        (*conf).ifc_len = (n * one) as c_int;
    }
    Ok(0)
}

hook! {
    /// getifaddrs(3).
    fn getifaddrs(out: *mut *mut libc::ifaddrs) -> c_int {
        answer(|| {
            *out = list(&all()?);
            Ok(0)
        }) as c_int
    }

    /// getifaddrs(3), freeifaddrs.
    fn freeifaddrs(first: *mut libc::ifaddrs) -> () {
        let mut next = first;
        while !next.is_null() {
            // Each was made by `list`.
            let n = Box::from_raw(next.cast::<Node>());
            next = n.links.ifa_next;
        }
    }

    /// if_nametoindex(3).
    fn if_nametoindex(name: *const c_char) -> c_uint {
        let wanted = core::ffi::CStr::from_ptr(name).to_bytes();
        let r = answer(|| {
            let records = all()?;
            let found = records.iter().find(|r| r.name.as_bytes() == wanted).ok_or(Errno::ENODEV)?;
            Ok(found.index as usize)
        });
        r.max(0) as c_uint
    }

    /// if_nametoindex(3), if_indextoname.
    fn if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char {
        let r = answer(|| {
            let records = all()?;
            let found = records.iter().find(|r| r.index == index).ok_or(Errno::ENXIO)?;
            let bytes = found.name.as_bytes();
            let n = bytes.len().min(NAME - 1);
            ptr::copy_nonoverlapping(bytes.as_ptr().cast(), name, n);
            *name.add(n) = 0;
            Ok(0)
        });
        if r < 0 { ptr::null_mut() } else { name }
    }

    /// if_nameindex(3).
    fn if_nameindex() -> *mut libc::if_nameindex {
        let mut made = ptr::null_mut::<libc::if_nameindex>();
        answer(|| {
            let mut records = all()?;
            records.dedup_by_key(|r| r.index);
            records.sort_by_key(|r| r.index);
            records.dedup_by_key(|r| r.index);
            // One piece of memory: the array with its final zeroes, then the names.
            let array = (records.len() + 1) * size_of::<libc::if_nameindex>();
            made = libc::calloc(1, array + records.len() * NAME).cast();
            if made.is_null() {
                return Err(Errno::ENOBUFS);
            }
            for (i, r) in records.iter().enumerate() {
                let name = made.cast::<u8>().add(array + i * NAME);
                ptr::copy_nonoverlapping(r.name.as_ptr(), name, r.name.len().min(NAME - 1));
                made.add(i).write(libc::if_nameindex { if_index: r.index, if_name: name.cast() });
            }
            Ok(0)
        });
        made
    }

    /// if_nameindex(3), if_freenameindex.
    fn if_freenameindex(list: *mut libc::if_nameindex) -> () {
        libc::free(list.cast::<c_void>())
    }
}
