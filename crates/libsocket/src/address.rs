//! Socket addresses at the border to the program: `struct sockaddr` in, `struct sockaddr` out.

use core::ptr;

use sockets::WireAddr;
use sockets::addr::SOCKADDR_IN6_LEN;

use crate::real::Errno;

/// Longest `struct sockaddr` that Linux takes (`struct sockaddr_storage`).
const STORAGE: usize = 128;

/// Reads what a program passes as `(const struct sockaddr *, socklen_t)`.
///
/// # Safety
/// `address` is null or valid for `len` bytes.
pub unsafe fn read(address: *const libc::sockaddr, len: libc::socklen_t) -> Result<WireAddr, Errno> {
    let len = len as usize;
    if len > STORAGE {
        return Err(Errno::EINVAL);
    }
    if address.is_null() {
        return Err(Errno::EFAULT);
    }
    let mut bytes = [0u8; SOCKADDR_IN6_LEN];
    let n = len.min(SOCKADDR_IN6_LEN);
    // SAFETY: `n` is at most the length that the caller vouches for and the room here.
    unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), bytes.as_mut_ptr(), n) };
    WireAddr::from_sockaddr(&bytes[..n])
}

/// Writes an address into a program's `room` bytes, cut off there; gives back its full length.
///
/// # Safety
/// `to` is null or valid for `room` bytes.
pub unsafe fn write(address: &WireAddr, to: *mut u8, room: usize) -> libc::socklen_t {
    let mut bytes = [0u8; SOCKADDR_IN6_LEN];
    let full = address.to_sockaddr(&mut bytes);
    if !to.is_null() {
        // SAFETY: at most `room` bytes, which the caller vouches for.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, full.min(room)) };
    }
    full as libc::socklen_t
}

/// As accept(2), getsockname(2) and their like give an address back.
///
/// # Safety
/// `to` is null, or `len` points to a length for which `to` is valid.
pub unsafe fn give(address: &WireAddr, to: *mut libc::sockaddr, len: *mut libc::socklen_t) -> Result<(), Errno> {
    if to.is_null() {
        return Ok(());
    }
    if len.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the caller vouches for both pointers.
    unsafe {
        let room = *len as i32;
        if room < 0 {
            return Err(Errno::EINVAL);
        }
        *len = write(address, to.cast(), room as usize);
    }
    Ok(())
}
