//! Ctrl-C as a flag. A blocking call that the signal interrupts returns EINTR (no SA_RESTART), so
//! that its caller looks at the flag.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM only set the flag; a second one ends the process as usual.
pub fn catch() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all-zero bytes are a valid `struct sigaction` (plain integers and a null pointer).
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESETHAND;
        // SAFETY: `action` is initialised, its handler stores to an atomic and nothing else, which
        // is async-signal-safe, and the old action is not asked for.
        if unsafe { libc::sigaction(signal, &action, core::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether SIGINT or SIGTERM came since [`catch`].
pub fn seen() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
