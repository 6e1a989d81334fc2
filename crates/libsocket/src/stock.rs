//! Fresh stream sockets in stock. A program that connects again and again gets the next socket along with
//! the answer to a connect, so that its socket(2) asks nobody. They lie at high descriptor numbers, marked
//! private in the table, until they are taken out.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use sockets::addr::{AF_INET, AF_INET6};
use sockets::call::SocketInfo;

use crate::real::{self, sys};
use crate::{control, process, table};

/// Most sockets in stock.
pub const PLACES: usize = 16;
/// Blocking connects after which a process is taken to go on with them.
const HABIT: u32 = 4;

/// Values of [`Place::fd`] that are no descriptor.
const EMPTY: c_int = -1;
const HELD: c_int = -2;

struct Place {
    /// The descriptor, [`EMPTY`], or [`HELD`] while one caller has the other fields.
    fd: AtomicI32,
    handle: AtomicU64,
    key: AtomicU64,
    cookie: AtomicU64,
    domain: AtomicU32,
}

#[allow(clippy::declare_interior_mutable_const)]
const NOTHING: Place = Place {
    fd: AtomicI32::new(EMPTY),
    handle: AtomicU64::new(0),
    key: AtomicU64::new(0),
    cookie: AtomicU64::new(0),
    domain: AtomicU32::new(0),
};
static STOCK: [Place; PLACES] = [NOTHING; PLACES];
static CONNECTS: AtomicU32 = AtomicU32::new(0);

/// Counts a blocking connect; whether a socket for the next one is wanted along with its answer.
pub fn is_wanted() -> bool {
    let habit = CONNECTS.fetch_add(1, Ordering::Relaxed) >= HABIT;
    habit && process::owns_memory() && STOCK.iter().any(|p| p.fd.load(Ordering::Relaxed) == EMPTY)
}

/// Lays in a socket that came from the daemon. What finds no place is closed.
pub fn put(fd: c_int, info: &SocketInfo) {
    let fd = control::raise(fd);
    let claim = |p: &&Place| p.fd.compare_exchange(EMPTY, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok();
    let place = STOCK.iter().find(claim);
    match place {
        Some(place) if table::insert_private(fd) => {
            place.handle.store(info.handle, Ordering::Relaxed);
            place.key.store(info.key, Ordering::Relaxed);
            place.cookie.store(info.cookie, Ordering::Relaxed);
            place.domain.store(u32::from(info.domain), Ordering::Relaxed);
            place.fd.store(fd, Ordering::Release);
        }
        place => {
            if let Some(place) = place {
                place.fd.store(EMPTY, Ordering::Release);
            }
            real::close(fd);
        }
    }
}

/// A fresh TCP socket of this family under the lowest free number, with its entry in the table.
pub fn take(domain: c_int, cloexec: bool) -> Option<c_int> {
    if !process::owns_memory() {
        return None;
    }
    let fits = |p: &&Place| p.fd.load(Ordering::Relaxed) >= 0 && p.domain.load(Ordering::Relaxed) == domain as u32;
    for place in STOCK.iter().filter(fits) {
        let Some((high, info)) = empty(place) else { continue };
        let command = if cloexec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
        // The number may have been closed behind our back, and mean something else now.
        let ours = info.domain == domain as u16
            && real::native_option(high, libc::SOL_SOCKET, libc::SO_COOKIE) == Ok(info.cookie);
        table::clear(high);
        if !ours {
            continue;
        }
        // SAFETY: numbers only.
        let fd = unsafe { sys!(SYS_fcntl, high, command, 0) };
        real::close(high);
        let fd = fd.ok()? as c_int;
        if table::insert(fd, &info) {
            return Some(fd);
        }
        real::close(fd);
        return None;
    }
    None
}

/// Takes a place's socket out of it.
fn empty(place: &Place) -> Option<(c_int, SocketInfo)> {
    let fd = place.fd.load(Ordering::Relaxed);
    if fd < 0 || place.fd.compare_exchange(fd, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return None;
    }
    let info = SocketInfo {
        handle: place.handle.load(Ordering::Relaxed),
        key: place.key.load(Ordering::Relaxed),
        cookie: place.cookie.load(Ordering::Relaxed),
        domain: if place.domain.load(Ordering::Relaxed) == u32::from(AF_INET6) { AF_INET6 } else { AF_INET },
        kind: libc::SOCK_STREAM as u16,
        protocol: libc::IPPROTO_TCP as u16,
        ..SocketInfo::default()
    };
    place.fd.store(EMPTY, Ordering::Release);
    Some((fd, info))
}

/// The descriptors in stock.
pub fn descriptors() -> impl Iterator<Item = c_int> {
    STOCK.iter().map(|p| p.fd.load(Ordering::Relaxed)).filter(|fd| *fd >= 0)
}

/// Gives `fd` up to the program, which is about to put a descriptor of its own there.
pub fn vacate(fd: c_int) {
    if let Some((high, _)) = STOCK.iter().find(|p| p.fd.load(Ordering::Relaxed) == fd).and_then(empty) {
        table::clear(high);
        real::close(high);
    }
}

/// In the child of a fork: what is in stock is the parent's.
pub fn forget_inherited() {
    for place in &STOCK {
        let fd = place.fd.swap(EMPTY, Ordering::Relaxed);
        if fd >= 0 {
            table::clear(fd);
            real::close(fd);
        }
    }
}
