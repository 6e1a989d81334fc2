//! The library that programs get (`libiopkt_socket.so`, by LD_PRELOAD): libc's socket calls, answered
//! by an instance of `io-pkt` instead of the kernel's own network.
//!
//! A socket of AF_INET or AF_INET6 is one end of an AF_UNIX pair that the daemon made; readiness,
//! sharing and lifetime are the kernel's. Stream bytes travel bare, datagrams with a header
//! ([`sockets::datagram`]); everything else is a control call ([`sockets::call`]). Descriptors that are
//! not ours go straight to the kernel: one look-up, one system call, no allocation, errno kept.
//!
//! Each function below `hooks` is one libc function; the page of the manual it follows is named with
//! it. They must not unwind, and use nothing of std that makes system calls by libc's names.

// The hooks are not exported, and so not used, in unit tests.
#![cfg_attr(test, allow(dead_code))]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the hooks presume the C calling convention and system calls of x86-64 or aarch64");

mod address;
mod ancillary;
mod connection;
mod control;
mod datagram;
mod hooks;
mod identify;
mod native;
mod patience;
mod place;
mod process;
mod real;
mod resolve;
mod rings;
mod stock;
mod stream;
mod table;

use core::sync::atomic::{AtomicU32, Ordering};

/// Defines one exported libc function. (In unit tests the names are not exported, so that the test
/// program itself keeps libc's.)
macro_rules! hook {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $t:ty),* $(,)?) -> $ret:ty $body:block)*) => { $(
        $(#[$meta])*
        ///
        /// # Safety
        /// As the C function of this name: pointers are valid for the lengths given with them.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name($($arg: $t),*) -> $ret {
            // SAFETY: handed on to the caller, as said above.
            #[allow(unused_unsafe)]
            unsafe { $body }
        }
    )* };
}
pub(crate) use hook;

static BEGUN: AtomicU32 = AtomicU32::new(0);

/// Reads the environment and sets the library up, once; every path that needs it may call this.
pub(crate) fn begin() {
    if BEGUN.load(Ordering::Acquire) == 2 {
        return;
    }
    if BEGUN.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        native::begin();
        place::begin();
        process::begin();
        rings::begin();
        BEGUN.store(2, Ordering::Release);
    }
}

#[cfg_attr(not(test), used, unsafe(link_section = ".init_array"))]
#[cfg_attr(test, allow(dead_code))]
static CONSTRUCTOR: extern "C" fn() = constructor;

/// Runs when the dynamic linker has loaded the program: sockets that came through exec(2) are found
/// again among its descriptors.
extern "C" fn constructor() {
    let before = real::errno();
    begin();
    identify::inherited();
    real::set_errno(before);
}
