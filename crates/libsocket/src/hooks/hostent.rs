//! gethostbyname(3) and its family, and res_query(3): the older interfaces to names.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_uchar, c_void};
use core::net::IpAddr;
use core::ptr;

use libc::{hostent, size_t, socklen_t};
use resolver::{Answer, Failure, RecordType};

use crate::{hook, resolve};

/// `h_errno` of `<netdb.h>`.
const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;
const NO_DATA: c_int = 4;

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

fn h_error(failure: Failure) -> c_int {
    match failure {
        Failure::NoSuchName => HOST_NOT_FOUND,
        Failure::NoData => NO_DATA,
        Failure::TryAgain => TRY_AGAIN,
    }
}

/// The memory behind the calls that give a pointer to "static data"; not for two threads at once, as
/// gethostbyname(3) warns.
struct Shared(UnsafeCell<(hostent, [u64; 1024])>);
// SAFETY: see above: the calls that use it are documented as not safe for threads.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared(UnsafeCell::new((
    hostent {
        h_name: ptr::null_mut(),
        h_aliases: ptr::null_mut(),
        h_addrtype: 0,
        h_length: 0,
        h_addr_list: ptr::null_mut(),
    },
    [0; 1024],
)));

/// Puts an answer into a `struct hostent` and the caller's buffer; false when it does not fit.
unsafe fn fill(answer: &Answer, family: c_int, host: *mut hostent, buf: *mut c_char, room: usize) -> bool {
    let size = if family == libc::AF_INET { 4 } else { 16 };
    let addresses: Vec<IpAddr> =
        answer.addresses.iter().copied().filter(|a| a.is_ipv4() == (family == libc::AF_INET)).collect();
    // The pointers first, aligned: no aliases, then one for each address, each list ended by null.
    let skip = buf.align_offset(align_of::<*mut c_char>());
    let pointers = 2 + addresses.len();
    let need = skip + pointers * size_of::<*mut c_char>() + addresses.len() * size + answer.canonical.len() + 1;
    if need > room {
        return false;
    }
    // SAFETY: everything written lies within the first `need` bytes of the buffer.
    unsafe {
        let lists = buf.add(skip).cast::<*mut c_char>();
        let mut at = lists.add(pointers).cast::<c_char>();
        lists.write(ptr::null_mut());
        for (i, a) in addresses.iter().enumerate() {
            match a {
                IpAddr::V4(a) => ptr::copy_nonoverlapping(a.octets().as_ptr(), at.cast(), 4),
                IpAddr::V6(a) => ptr::copy_nonoverlapping(a.octets().as_ptr(), at.cast(), 16),
            }
            lists.add(1 + i).write(at);
            at = at.add(size);
        }
        lists.add(1 + addresses.len()).write(ptr::null_mut());
        ptr::copy_nonoverlapping(answer.canonical.as_ptr().cast(), at, answer.canonical.len());
        at.add(answer.canonical.len()).write(0);
        host.write(hostent {
            h_name: at,
            h_aliases: lists,
            h_addrtype: family,
            h_length: size as c_int,
            h_addr_list: lists.add(1),
        });
    }
    true
}

fn find(name: &CStr, family: c_int) -> Result<Answer, c_int> {
    let name = name.to_str().map_err(|_| HOST_NOT_FOUND)?;
    let addr = name.parse::<IpAddr>().ok().filter(|a| a.is_ipv4() == (family == libc::AF_INET));
    let mut answer = match (addr, family) {
        (Some(a), _) => Answer { addresses: vec![a], ..Answer::default() },
        (None, libc::AF_INET | libc::AF_INET6) => {
            resolve::addresses(name, family == libc::AF_INET, family == libc::AF_INET6).map_err(h_error)?
        }
        _ => return Err(NO_RECOVERY),
    };
    if answer.canonical.is_empty() {
        answer.canonical = name.to_owned();
    }
    Ok(answer)
}

unsafe fn find_by_addr(addr: *const c_void, len: socklen_t, family: c_int) -> Result<Answer, c_int> {
    // SAFETY: the hook's caller vouches for `len` bytes.
    let ip = unsafe {
        match (family, len) {
            (libc::AF_INET, 4..) => IpAddr::from(ptr::read_unaligned(addr.cast::<[u8; 4]>())),
            (libc::AF_INET6, 16..) => IpAddr::from(ptr::read_unaligned(addr.cast::<[u8; 16]>())),
            _ => return Err(NO_RECOVERY),
        }
    };
    let canonical = resolve::name_of(ip).map_err(h_error)?;
    Ok(Answer { addresses: vec![ip], canonical, ..Answer::default() })
}

/// The form with "static data".
unsafe fn shared(found: Result<Answer, c_int>, family: c_int) -> *mut hostent {
    // SAFETY: see `Shared`.
    unsafe {
        let (host, buf) = &mut *SHARED.0.get();
        let error = match found {
            Ok(answer) if fill(&answer, family, host, buf.as_mut_ptr().cast(), size_of_val(buf)) => return host,
            Ok(_) => NO_RECOVERY,
            Err(e) => e,
        };
        *__h_errno_location() = error;
        ptr::null_mut()
    }
}

/// The form with the caller's memory (the `_r` calls of glibc).
unsafe fn given(
    found: Result<Answer, c_int>,
    family: c_int,
    (host, buf, room): (*mut hostent, *mut c_char, size_t),
    out: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    // SAFETY: the hook's caller vouches for all pointers.
    unsafe {
        *out = ptr::null_mut();
        match found {
            Ok(answer) if fill(&answer, family, host, buf, room) => {
                *out = host;
                0
            }
            Ok(_) => {
                *h_errno = -1;
                libc::ERANGE
            }
            Err(e) => {
                *h_errno = e;
                if e == TRY_AGAIN { libc::EAGAIN } else { 0 }
            }
        }
    }
}

unsafe fn ask(name: *const c_char, kind: c_int, search: bool, out: *mut c_uchar, room: c_int) -> c_int {
    // SAFETY: the hook's caller vouches for the name and for `room` bytes.
    unsafe {
        let name = CStr::from_ptr(name).to_string_lossy();
        match resolve::records(&name, &[RecordType(kind as u16)], search) {
            Ok(answer) => {
                let n = answer.message.len().min(room.max(0) as usize);
                ptr::copy_nonoverlapping(answer.message.as_ptr(), out, n);
                answer.message.len() as c_int
            }
            Err(failure) => {
                *__h_errno_location() = h_error(failure);
                -1
            }
        }
    }
}

hook! {
    /// gethostbyname(3).
    fn gethostbyname(name: *const c_char) -> *mut hostent {
        shared(find(CStr::from_ptr(name), libc::AF_INET), libc::AF_INET)
    }

    /// gethostbyname(3), gethostbyname2.
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
        shared(find(CStr::from_ptr(name), family), family)
    }

    /// gethostbyname(3), gethostbyaddr.
    fn gethostbyaddr(addr: *const c_void, len: socklen_t, family: c_int) -> *mut hostent {
        shared(find_by_addr(addr, len, family), family)
    }

    /// gethostbyname(3), gethostbyname_r.
    fn gethostbyname_r(
        name: *const c_char, host: *mut hostent, buf: *mut c_char, room: size_t,
        out: *mut *mut hostent, h_errno: *mut c_int,
    ) -> c_int {
        given(find(CStr::from_ptr(name), libc::AF_INET), libc::AF_INET, (host, buf, room), out, h_errno)
    }

    /// gethostbyname(3), gethostbyname2_r.
    fn gethostbyname2_r(
        name: *const c_char, family: c_int, host: *mut hostent, buf: *mut c_char, room: size_t,
        out: *mut *mut hostent, h_errno: *mut c_int,
    ) -> c_int {
        given(find(CStr::from_ptr(name), family), family, (host, buf, room), out, h_errno)
    }

    /// gethostbyname(3), gethostbyaddr_r.
    fn gethostbyaddr_r(
        addr: *const c_void, len: socklen_t, family: c_int, host: *mut hostent, buf: *mut c_char, room: size_t,
        out: *mut *mut hostent, h_errno: *mut c_int,
    ) -> c_int {
        given(find_by_addr(addr, len, family), family, (host, buf, room), out, h_errno)
    }

    /// resolver(3), res_query. The class is taken to be IN.
    fn res_query(name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int) -> c_int {
        ask(name, kind, false, out, room)
    }

    /// resolver(3), res_search.
    fn res_search(name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int) -> c_int {
        ask(name, kind, true, out, room)
    }

    /// resolver(3), res_nquery: the state is the instance's.
    fn res_nquery(
        _state: *mut c_void, name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int,
    ) -> c_int {
        ask(name, kind, false, out, room)
    }

    /// resolver(3), res_nsearch: the state is the instance's.
    fn res_nsearch(
        _state: *mut c_void, name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int,
    ) -> c_int {
        ask(name, kind, true, out, room)
    }

    /// res_query(3) by glibc's other name, which programs of before 2.34 were linked against.
    fn __res_query(name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int) -> c_int {
        ask(name, kind, false, out, room)
    }

    /// res_search(3) by glibc's other name.
    fn __res_search(name: *const c_char, _class: c_int, kind: c_int, out: *mut c_uchar, room: c_int) -> c_int {
        ask(name, kind, true, out, room)
    }
}
