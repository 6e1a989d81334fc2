//! Programs that confine themselves with a filter of system calls (seccomp(2)), as sshd does before it reads a
//! stranger's first byte. From then on a call that the program did not make itself may end it.

use core::ffi::{c_int, c_long, c_ulong};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::real::raw;
use crate::{hook, process, rings};

/// seccomp(2): these two confine; the others only ask.
const SECCOMP_SET_MODE_STRICT: c_long = 0;
const SECCOMP_SET_MODE_FILTER: c_long = 1;

static CONFINED: AtomicBool = AtomicBool::new(false);

/// Whether this process has confined itself. A filter that came with it through exec(2) has let the daemon be reached
/// at the start, and does not count.
#[inline]
pub fn is_confined() -> bool {
    CONFINED.load(Ordering::Relaxed)
}

/// Makes a call that confines, and notes that it did. Who we are is asked before, while asking is harmless; a child by
/// vfork(2) confines itself and not the process whose memory this is.
fn confine(call: impl FnOnce() -> c_long) -> c_long {
    let own = process::owns_memory();
    if own {
        // Neither futex(2) nor munmap(2) may be allowed from here on.
        rings::leave_all();
    }
    let result = call();
    if own && result >= 0 {
        CONFINED.store(true, Ordering::Relaxed);
    }
    result
}

/// seccomp(2), which libc has no function for.
///
/// # Safety
/// As seccomp(2).
pub unsafe fn seccomp(operation: c_long, flags: c_long, args: c_long) -> c_long {
    // SAFETY: handed on to the caller.
    let call = || unsafe { raw!(SYS_seccomp, operation, flags, args) };
    match operation {
        SECCOMP_SET_MODE_STRICT | SECCOMP_SET_MODE_FILTER => confine(call),
        _ => call(),
    }
}

hook! {
    /// prctl(2). (Five arguments: a variadic call passes them the same way.)
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
        let call = || raw!(SYS_prctl, option, a, b, c, d);
        (if option == libc::PR_SET_SECCOMP { confine(call) } else { call() }) as c_int
    }
}
