//! Where the instance's control socket is: `IOPKT_CTL`, else by `SOCK` and the run-time directory
//! ([`sockets::paths`]).

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicUsize, Ordering};

use sockets::paths;

struct Address(UnsafeCell<libc::sockaddr_un>);
// SAFETY: written once by `begin` before LEN is published, read-only afterwards.
unsafe impl Sync for Address {}

static ADDRESS: Address =
    Address(UnsafeCell::new(libc::sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: [0; 108] }));
/// Length of the address; 0 when no path fits.
static LEN: AtomicUsize = AtomicUsize::new(0);

/// Reads the environment, once, at start.
pub fn begin() {
    if let Some(path) = variable(c"IOPKT_CTL").filter(|p| !p.is_empty()) {
        return set(path);
    }
    let text = |name: &str| {
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        let name = CStr::from_bytes_with_nul(&name).ok()?;
        variable(name).and_then(|v| core::str::from_utf8(v).ok()).map(str::to_owned)
    };
    // SAFETY: geteuid(2) cannot fail and is not hooked.
    let euid = unsafe { libc::geteuid() };
    let prefix = paths::prefix(None, text);
    if let Ok(dir) = paths::instance_dir(&paths::run_dir(text, euid), &prefix) {
        set(dir.join(paths::CTL).as_os_str().as_encoded_bytes());
    }
}

/// An environment variable's bytes, as they are at this moment.
pub fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: getenv(3) gives null or a NUL-terminated string of the environment block.
    unsafe {
        let value: *const c_char = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

fn set(path: &[u8]) {
    if path.len() > paths::SUN_PATH_MAX {
        return;
    }
    // SAFETY: `begin` runs once, before LEN lets anyone read.
    let address = unsafe { &mut *ADDRESS.0.get() };
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as c_char;
    }
    LEN.store(2 + path.len() + 1, Ordering::Release);
}

/// The control socket's address and its length; `None` when the path is too long to be one.
pub fn address() -> Option<(*const libc::sockaddr_un, usize)> {
    let len = LEN.load(Ordering::Acquire);
    (len != 0).then_some((ADDRESS.0.get().cast_const(), len))
}
