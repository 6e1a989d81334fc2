//! close(2), dup(2), fcntl(2) and their like: what keeps the table true, and the library's own
//! connections out of the program's sight.
//!
//! In the child of a vfork(2) the table is the parent's: it is read, and never written.

use core::ffi::{c_int, c_long, c_uint, c_void};

use crate::real::{Errno, Next, answer, next_fn, raw};
use crate::rings::Lease;
use crate::table::{self, Socket};
use crate::{control, hook, native, process, rings};

/// What the table held of a number.
struct Entry {
    socket: Socket,
    ring: Option<Lease>,
}

/// Something that this process may forget: the number was ours, and the memory is our own.
fn forget(fd: c_int) -> Option<Entry> {
    let entry = Entry { socket: table::socket(fd)?, ring: Lease::take(table::ring(fd)) };
    if process::owns_memory() {
        table::clear(fd);
    }
    Some(entry)
}

/// Puts back what [`forget`] took out.
fn restore(fd: c_int, before: Option<Entry>) {
    let Some(Entry { socket, ring }) = before.filter(|_| process::owns_memory()) else { return };
    table::put(fd, &socket);
    if let Some(ring) = ring
        && rings::retain(ring.reference())
    {
        table::set_ring(&socket, ring.reference());
    }
}

/// A descriptor became a copy of one that was `source` in the table.
fn remember(fd: c_int, source: Option<Socket>) {
    match source {
        Some(s) if process::owns_memory() => {
            table::put(fd, &s);
        }
        None if table::socket(fd).is_some() && process::owns_memory() => table::clear(fd),
        _ => {}
    }
}

/// Before a stream gets a second number: calls at work are counted by number, so that it changes its mode no more; and what
/// has a standard number may be used by stdio, which passes no hook.
fn before_copy(source: &Option<Socket>, new: c_int) {
    let Some(s) = source.as_ref().filter(|s| s.is_stream() && process::owns_memory()) else { return };
    if (0..=libc::STDERR_FILENO).contains(&new) {
        rings::never(s);
    } else if table::ring(s.fd) == 0 {
        rings::stay(s);
    }
}

/// `new` becomes a copy of `old`, by `native`.
fn replace(old: c_int, new: c_int, native: impl FnOnce() -> c_long) -> c_int {
    if table::is_private(old) {
        return answer(|| Err(Errno::EBADF)) as c_int;
    }
    if table::is_private(new) && process::owns_memory() {
        control::vacate(new);
    }
    let source = table::current(old);
    before_copy(&source, new);
    let before = forget(new);
    let r = native() as c_int;
    if r >= 0 {
        remember(new, table::socket(old))
    } else {
        restore(new, before)
    }
    r
}

/// dup(2) and its like: a copy under the lowest free number from `least` on.
fn copy(old: c_int, least: c_int, native: impl FnOnce() -> c_int) -> c_int {
    before_copy(&table::current(old), least);
    let r = native();
    if r >= 0 {
        remember(r, table::socket(old));
    }
    r
}

/// close_range(2) with the library's own connections left out.
fn close_all(first: c_uint, last: c_uint, flags: c_uint) -> c_int {
    /// Values of `<linux/close_range.h>`.
    const CLOEXEC: c_uint = 4;
    if flags & !(2 | CLOEXEC) != 0 || first > last {
        // SAFETY: numbers only; the kernel gives the error.
        return unsafe { raw!(SYS_close_range, first, last, flags) as c_int };
    }
    if flags & CLOEXEC == 0 && process::owns_memory() {
        for fd in first..(table::high().max(0) as c_uint).min(last.saturating_add(1)) {
            if !table::is_private(fd as c_int) {
                table::clear(fd as c_int);
            }
        }
    }
    let (private, n) = control::private();
    let mut from = first;
    for fd in private[..n].iter().map(|&fd| fd as c_uint).filter(|fd| (first..=last).contains(fd)) {
        if from < fd {
            // SAFETY: numbers only.
            unsafe { raw!(SYS_close_range, from, fd - 1, flags) };
        }
        from = fd + 1;
    }
    if from > last {
        return 0;
    }
    // SAFETY: numbers only.
    unsafe { raw!(SYS_close_range, from, last, flags) as c_int }
}

static FCLOSE: Next = Next::new(c"fclose");

hook! {
    /// close(2).
    fn close(fd: c_int) -> c_int {
        if table::is_private(fd) {
            return answer(|| Err(Errno::EBADF)) as c_int;
        }
        forget(fd);
        native::close(fd)
    }

    /// close(2) by glibc's other name.
    fn __close(fd: c_int) -> c_int {
        close(fd)
    }

    /// close_range(2).
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        close_all(first, last, flags as c_uint)
    }

    /// closefrom(3).
    fn closefrom(first: c_int) -> () {
        close_all(first.max(0) as c_uint, c_uint::MAX, 0);
    }

    /// fclose(3): libc closes the descriptor by a call that passes no hook.
    fn fclose(stream: *mut libc::FILE) -> c_int {
        if !stream.is_null() {
            forget(libc::fileno(stream));
        }
        match next_fn!(FCLOSE, unsafe extern "C-unwind" fn(*mut libc::FILE) -> c_int) {
            Some(next) => next(stream),
            None => answer(|| Err(Errno::ENOSYS)) as c_int,
        }
    }

    /// dup(2).
    fn dup(old: c_int) -> c_int {
        if table::is_private(old) {
            return answer(|| Err(Errno::EBADF)) as c_int;
        }
        copy(old, 0, || raw!(SYS_dup, old) as c_int)
    }

    /// dup(2), dup2: onto itself it only looks whether the descriptor is open.
    fn dup2(old: c_int, new: c_int) -> c_int {
        if old == new {
            return if raw!(SYS_fcntl, old, libc::F_GETFD) < 0 { -1 } else { new };
        }
        replace(old, new, || raw!(SYS_dup3, old, new, 0))
    }

    /// dup2(2) by glibc's other name.
    fn __dup2(old: c_int, new: c_int) -> c_int {
        dup2(old, new)
    }

    /// dup(2), dup3.
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
        if old == new {
            return answer(|| Err(Errno::EINVAL)) as c_int;
        }
        replace(old, new, || raw!(SYS_dup3, old, new, flags))
    }

    /// fcntl(2). (Three arguments: in the C ABI of both machines a variadic call passes them the
    /// same way.)
    fn fcntl(fd: c_int, command: c_int, arg: *mut c_void) -> c_int {
        if table::is_private(fd) {
            return answer(|| Err(Errno::EBADF)) as c_int;
        }
        match command {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => {
                copy(fd, arg as usize as c_int, || native::fcntl(fd, command, arg))
            }
            libc::F_SETFL if arg as usize as c_int & libc::O_ASYNC != 0 => {
                if let Some(s) = table::socket(fd) {
                    rings::wants_edges(&s);
                }
                native::fcntl(fd, command, arg)
            }
            _ => native::fcntl(fd, command, arg),
        }
    }

    /// fcntl(2), the large-file name.
    fn fcntl64(fd: c_int, command: c_int, arg: *mut c_void) -> c_int {
        fcntl(fd, command, arg)
    }

    /// fcntl(2) by glibc's other name.
    fn __fcntl(fd: c_int, command: c_int, arg: *mut c_void) -> c_int {
        fcntl(fd, command, arg)
    }
}
