//! getaddrinfo(3) and getnameinfo(3).
//!
//! Names are resolved here; what is left (numeric hosts, services, flags, the layout of the list) is
//! libc's own getaddrinfo, called once for each address with AI_NUMERICHOST. Its lists are joined: glibc
//! frees them node by node.

use core::ffi::{CStr, c_char, c_int};
use core::net::IpAddr;
use core::ptr;

use libc::{addrinfo, sockaddr, socklen_t};
use resolver::Failure;

use crate::real::{self, Next, next_fn};
use crate::{address, hook, resolve};

/// Flags and errors of `<netdb.h>` that the libc crate lacks.
const EAI_NODATA: c_int = -5;
const NI_IDN: c_int = 32;

static GETADDRINFO: Next = Next::new(c"getaddrinfo");
static GETNAMEINFO: Next = Next::new(c"getnameinfo");

type Getaddrinfo = unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;
type Getnameinfo =
    unsafe extern "C" fn(*const sockaddr, socklen_t, *mut c_char, socklen_t, *mut c_char, socklen_t, c_int) -> c_int;

unsafe fn libcs_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: &addrinfo,
    out: &mut *mut addrinfo,
) -> c_int {
    // SAFETY: libc's function of this name has this type; the caller vouches for the pointers.
    unsafe {
        match next_fn!(GETADDRINFO, Getaddrinfo) {
            Some(next) => next(node, service, hints, out),
            None => libc::EAI_FAIL,
        }
    }
}

/// `fe80::1%en0` with the instance's index for the name; the kernel's own names mean nothing here.
fn with_scope_number(node: &str) -> Option<std::ffi::CString> {
    let (addr, zone) = node.split_once('%')?;
    if !addr.contains(':') || zone.parse::<u32>().is_ok() {
        return None;
    }
    let index = resolve::interface_index(zone).ok()?;
    std::ffi::CString::new(format!("{addr}%{index}")).ok()
}

fn eai(failure: Failure) -> c_int {
    match failure {
        Failure::NoSuchName => libc::EAI_NONAME,
        Failure::NoData => EAI_NODATA,
        Failure::TryAgain => libc::EAI_AGAIN,
    }
}

/// Which families to ask for, by the hints and what the instance has: IPv4, IPv6.
fn wanted(hints: &addrinfo) -> Result<(bool, bool), c_int> {
    let (v4, v6) = match hints.ai_family {
        libc::AF_UNSPEC => (true, true),
        libc::AF_INET => (true, false),
        libc::AF_INET6 => (hints.ai_flags & libc::AI_V4MAPPED != 0, true),
        _ => return Err(libc::EAI_FAMILY),
    };
    if hints.ai_flags & libc::AI_ADDRCONFIG == 0 {
        return Ok((v4, v6));
    }
    match resolve::families() {
        (false, false) => Ok((v4, v6)),
        (has4, has6) if v4 && has4 || v6 && has6 => Ok((v4 && has4, v6 && has6)),
        _ => Err(libc::EAI_NONAME),
    }
}

/// The addresses in the order to be tried, and the canonical name.
fn look_up(name: &str, hints: &addrinfo) -> Result<(Vec<IpAddr>, String), c_int> {
    let (v4, v6) = wanted(hints)?;
    let answer = resolve::addresses(name, v4, v6).map_err(eai)?;
    let mut addresses = answer.addresses;
    if hints.ai_family == libc::AF_INET6 {
        let some_v6 = addresses.iter().any(IpAddr::is_ipv6);
        if some_v6 && hints.ai_flags & libc::AI_ALL == 0 {
            addresses.retain(IpAddr::is_ipv6);
        }
        addresses.sort_by_key(IpAddr::is_ipv4);
        for a in &mut addresses {
            if let IpAddr::V4(v4) = *a {
                *a = IpAddr::V6(v4.to_ipv6_mapped());
            }
        }
    } else if addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6) {
        let reachable =
            |family: fn(&IpAddr) -> bool| addresses.iter().copied().find(family).is_some_and(resolve::is_reachable);
        let (r4, r6) = (reachable(IpAddr::is_ipv4), reachable(IpAddr::is_ipv6));
        resolver::order::sort(&mut addresses, |a| if a.is_ipv4() { r4 } else { r6 });
    }
    Ok((addresses, answer.canonical))
}

unsafe fn by_name(node: &CStr, service: *const c_char, hints: &addrinfo, out: *mut *mut addrinfo) -> Result<(), c_int> {
    let Ok(name) = node.to_str() else { return Err(libc::EAI_NONAME) };
    let (addresses, canonical) = look_up(name, hints)?;
    let mut one = *hints;
    one.ai_flags &= !(libc::AI_CANONNAME | libc::AI_V4MAPPED | libc::AI_ALL);
    one.ai_flags |= libc::AI_NUMERICHOST;
    let mut head: *mut addrinfo = ptr::null_mut();
    let mut tail: *mut addrinfo = ptr::null_mut();
    let mut error = libc::EAI_NONAME;
    for a in addresses {
        let Ok(text) = std::ffi::CString::new(a.to_string()) else { continue };
        // SAFETY: NUL-terminated strings and valid hints; the list is walked by its own links.
        unsafe {
            let mut part = ptr::null_mut();
            let r = libcs_getaddrinfo(text.as_ptr(), service, &one, &mut part);
            if r != 0 || part.is_null() {
                error = r;
                continue;
            }
            if head.is_null() {
                head = part;
            } else {
                (*tail).ai_next = part;
            }
            tail = part;
            while !(*tail).ai_next.is_null() {
                tail = (*tail).ai_next;
            }
        }
    }
    if head.is_null() {
        return Err(error);
    }
    // SAFETY: glibc frees ai_canonname of each node by free(3), so it comes from strdup(3).
    unsafe {
        if hints.ai_flags & libc::AI_CANONNAME != 0 {
            let text = std::ffi::CString::new(if canonical.is_empty() { name } else { &canonical });
            (*head).ai_canonname = text.map_or(ptr::null_mut(), |t| libc::strdup(t.as_ptr()));
        }
        *out = head;
    }
    Ok(())
}

/// The host's name for getnameinfo(3), if it has one.
fn host_name(address: &sockets::WireAddr) -> Option<Result<String, Failure>> {
    let ip = address.ip_addr()?;
    Some(resolve::name_of(ip.to_canonical()))
}

unsafe fn put_text(text: &str, out: *mut c_char, room: socklen_t) -> c_int {
    if text.len() >= room as usize {
        return libc::EAI_OVERFLOW;
    }
    // SAFETY: the caller vouches for `room` bytes.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
        *out.add(text.len()) = 0;
    }
    0
}

hook! {
    /// getaddrinfo(3).
    fn getaddrinfo(
        node: *const c_char, service: *const c_char, hints: *const addrinfo, out: *mut *mut addrinfo,
    ) -> c_int {
        let before = real::errno();
        let mut own: addrinfo = core::mem::zeroed();
        // Without hints: what glibc documents as its default.
        own.ai_flags = libc::AI_V4MAPPED | libc::AI_ADDRCONFIG;
        if !hints.is_null() {
            own = addrinfo {
                ai_addrlen: 0, ai_addr: ptr::null_mut(), ai_canonname: ptr::null_mut(), ai_next: ptr::null_mut(),
                ..*hints
            };
        }
        let asked = own.ai_flags;
        // The kernel's interfaces are not the instance's.
        own.ai_flags &= !libc::AI_ADDRCONFIG;
        let mut list = ptr::null_mut();
        if node.is_null() {
            let r = libcs_getaddrinfo(node, service, &own, &mut list);
            if r == 0 {
                *out = list;
            }
            return r;
        }
        let text = CStr::from_ptr(node);
        let scoped = text.to_str().ok().and_then(with_scope_number);
        let numeric = addrinfo { ai_flags: own.ai_flags | libc::AI_NUMERICHOST, ..own };
        let r = libcs_getaddrinfo(scoped.as_deref().unwrap_or(text).as_ptr(), service, &numeric, &mut list);
        if r == 0 {
            *out = list;
            return 0;
        }
        if r != libc::EAI_NONAME || asked & libc::AI_NUMERICHOST != 0 {
            return r;
        }
        own.ai_flags = asked;
        let r = by_name(text, service, &own, out).err().unwrap_or(0);
        real::set_errno(before);
        r
    }

    /// getnameinfo(3).
    fn getnameinfo(
        addr: *const sockaddr, len: socklen_t, host: *mut c_char, host_room: socklen_t,
        service: *mut c_char, service_room: socklen_t, flags: c_int,
    ) -> c_int {
        let Some(next) = next_fn!(GETNAMEINFO, Getnameinfo) else { return libc::EAI_FAIL };
        let is_ip = !addr.is_null() && matches!((*addr).sa_family as c_int, libc::AF_INET | libc::AF_INET6);
        if !is_ip {
            return next(addr, len, host, host_room, service, service_room, flags);
        }
        let Ok(mut a) = address::read(addr, len) else { return libc::EAI_FAMILY };
        let scope = core::mem::take(&mut a.scope_id);
        let mut bytes = [0u64; 4];
        let plain_len = address::write(&a, bytes.as_mut_ptr().cast(), size_of_val(&bytes));
        let plain = bytes.as_ptr().cast::<sockaddr>();
        if host.is_null() || host_room == 0 {
            return next(plain, plain_len, host, host_room, service, service_room, flags & !NI_IDN);
        }
        let found = if flags & libc::NI_NUMERICHOST == 0 { host_name(&a) } else { None };
        match found {
            Some(Ok(name)) => {
                let r = put_text(&name, host, host_room);
                if r != 0 || service.is_null() || service_room == 0 {
                    return r;
                }
                return next(plain, plain_len, ptr::null_mut(), 0, service, service_room, flags);
            }
            Some(Err(Failure::TryAgain)) if flags & libc::NI_NAMEREQD != 0 => return libc::EAI_AGAIN,
            _ if flags & libc::NI_NAMEREQD != 0 => return libc::EAI_NONAME,
            _ => {}
        }
        let r = next(plain, plain_len, host, host_room, service, service_room, flags | libc::NI_NUMERICHOST);
        if r != 0 || scope == 0 {
            return r;
        }
        let mut text = CStr::from_ptr(host).to_string_lossy().into_owned();
        let name = crate::hooks::interfaces::all().ok().and_then(|all| all.into_iter().find(|i| i.index == scope));
        text.push('%');
        text.push_str(&name.map_or(scope.to_string(), |i| i.name));
        put_text(&text, host, host_room)
    }
}
