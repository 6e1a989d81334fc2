//! Which process this is: the one that the library's memory belongs to, a child by fork(2), which
//! must not share its parent's control connections, or a child by vfork(2), which runs in its parent's
//! memory with descriptors of its own and therefore must write nothing down.

use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::hooks::sandbox;
use crate::real::{self, sys};

static FALLBACK: AtomicI32 = AtomicI32::new(0);
/// The owner's pid, on a page that the kernel empties in the child of a fork.
static OWNER: AtomicPtr<AtomicI32> = AtomicPtr::new((&raw const FALLBACK).cast_mut());

/// Maps the page that fork(2) wipes, and takes possession. Called once, by [`crate::begin`].
pub fn begin() {
    const PAGE: usize = 4096;
    // SAFETY: a fresh private mapping; nothing else points into it. It stays for ever.
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        if let Ok(page) = sys!(SYS_mmap, 0, PAGE, prot, flags, -1i32, 0) {
            if sys!(SYS_madvise, page, PAGE, libc::MADV_WIPEONFORK).is_ok() {
                OWNER.store(page as *mut AtomicI32, Ordering::Release);
            } else {
                let _ = sys!(SYS_munmap, page, PAGE);
            }
        }
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork));
    }
    owner().store(real::pid(), Ordering::Release);
}

extern "C" fn before_fork() {
    let errno = real::errno();
    crate::rings::before_fork();
    real::set_errno(errno);
}

extern "C" fn after_fork_in_parent() {
    crate::rings::after_fork();
}

extern "C" fn after_fork() {
    take_over();
}

fn owner() -> &'static AtomicI32 {
    // SAFETY: the pointer is to a static or to a mapping that is never undone.
    unsafe { &*OWNER.load(Ordering::Acquire) }
}

fn take_over() {
    crate::control::forget_inherited();
    owner().store(real::pid(), Ordering::Release);
    crate::rings::in_child();
}

/// Whether the tables may be written. After a fork that no handler saw, this takes over first.
pub fn owns_memory() -> bool {
    crate::begin();
    let known = owner().load(Ordering::Acquire);
    if known == 0 {
        take_over();
        return true;
    }
    // Asking who we are may be forbidden by now; a process that lets itself vfork(2) is not what confines itself.
    sandbox::is_confined() || known == real::pid()
}
