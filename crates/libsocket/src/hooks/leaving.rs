//! Calls after which a stream is used past this library: by another program, by stdio, by a kernel thread. Before them
//! it goes back to pair mode. (fork(2) is seen by `pthread_atfork`, `process.rs`. A child of vfork(2), and posix_spawn(3)
//! with its file actions, may give any descriptor to the program that it executes, FD_CLOEXEC or not.)
//!
//! Each function saves the registers that carry arguments, has the preparation run, and jumps to the next library's
//! function of its name, so that variadic functions and vfork(2), which returns twice, work as they are.

use core::ffi::{c_int, c_ulong, c_void};

use crate::real::{self, Next};
use crate::{rings, table};

/// Where to jump when the next library has no such function.
extern "C" fn missing() -> isize {
    real::set_errno(libc::ENOSYS);
    -1
}

fn address(next: &Next) -> *const c_void {
    let found = next.get();
    if found.is_null() { missing as *const c_void } else { found }
}

/// Runs a preparation with errno kept.
fn prepare(body: impl FnOnce()) {
    let errno = real::errno();
    crate::begin();
    body();
    real::set_errno(errno);
}

/// The first argument of the function is a descriptor that is used past the library from now on.
fn stdio_takes(fd: c_int) {
    if let Some(s) = table::socket(fd) {
        rings::never(&s);
    }
}

macro_rules! leaving {
    ($($name:ident($($arg:ident: $t:ty),*) $body:block)*) => {
        #[cfg(not(test))]
        mod exported {
            $(
                /// The libc function of this name, after the preparation.
                #[unsafe(naked)]
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $name() {
                    super::jump!(super::before::$name)
                }
            )*
        }

        mod before {
            #![allow(unused_imports, non_snake_case)]
            use super::*;
            $(
                /// The preparation: gives back where to jump.
                pub extern "C" fn $name($($arg: $t),*) -> *const c_void {
                    static NEXT: Next = Next::new(
                        match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(name) => name,
                            Err(_) => c"",
                        },
                    );
                    prepare(|| $body);
                    address(&NEXT)
                }
            )*
        }
    };
}

/// Calls `$before` with the arguments of the function that this is the body of, then jumps to what it gave back with the
/// same arguments.
#[cfg(all(not(test), target_arch = "x86_64"))]
macro_rules! jump {
    ($before:path) => {
        core::arch::naked_asm!(
            "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
            "sub rsp, 128",
            "movups [rsp], xmm0", "movups [rsp + 16], xmm1", "movups [rsp + 32], xmm2", "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4", "movups [rsp + 80], xmm5", "movups [rsp + 96], xmm6", "movups [rsp + 112], xmm7",
            "call {before}",
            "mov r11, rax",
            "movups xmm0, [rsp]", "movups xmm1, [rsp + 16]", "movups xmm2, [rsp + 32]", "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]", "movups xmm5, [rsp + 80]", "movups xmm6, [rsp + 96]", "movups xmm7, [rsp + 112]",
            "add rsp, 128",
            "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
            "jmp r11",
            before = sym $before,
        )
    };
}

#[cfg(all(not(test), target_arch = "aarch64"))]
macro_rules! jump {
    ($before:path) => {
        core::arch::naked_asm!(
            "stp x29, x30, [sp, #-208]!",
            "stp x0, x1, [sp, #16]", "stp x2, x3, [sp, #32]", "stp x4, x5, [sp, #48]", "stp x6, x7, [sp, #64]",
            "stp q0, q1, [sp, #80]", "stp q2, q3, [sp, #112]", "stp q4, q5, [sp, #144]", "stp q6, q7, [sp, #176]",
            "bl {before}",
            "mov x16, x0",
            "ldp q6, q7, [sp, #176]", "ldp q4, q5, [sp, #144]", "ldp q2, q3, [sp, #112]", "ldp q0, q1, [sp, #80]",
            "ldp x6, x7, [sp, #64]", "ldp x4, x5, [sp, #48]", "ldp x2, x3, [sp, #32]", "ldp x0, x1, [sp, #16]",
            "ldp x29, x30, [sp], #208",
            "br x16",
            before = sym $before,
        )
    };
}
#[cfg(not(test))]
use jump;

leaving! {
    vfork() { rings::leave_all() }
    _Fork() { rings::leave_all() }
    clone(_entry: *const c_void, _stack: *const c_void, flags: c_int) {
        if flags & libc::CLONE_FILES == 0 {
            rings::leave_all();
        }
    }
    posix_spawn() { rings::leave_all() }
    posix_spawnp() { rings::leave_all() }
    system() { rings::leave_all_inherited() }
    popen() { rings::leave_all_inherited() }
    execv() { rings::leave_all_inherited() }
    execve() { rings::leave_all_inherited() }
    execvp() { rings::leave_all_inherited() }
    execvpe() { rings::leave_all_inherited() }
    execl() { rings::leave_all_inherited() }
    execlp() { rings::leave_all_inherited() }
    execle() { rings::leave_all_inherited() }
    fexecve() { rings::leave_all_inherited() }
    execveat() { rings::leave_all_inherited() }
    fdopen(fd: c_int) { stdio_takes(fd) }
    dprintf(fd: c_int) { stdio_takes(fd) }
    vdprintf(fd: c_int) { stdio_takes(fd) }
    __dprintf_chk(fd: c_int) { stdio_takes(fd) }
    __vdprintf_chk(fd: c_int) { stdio_takes(fd) }
    aio_read(block: *const c_int) { aio_takes(block) }
    aio_read64(block: *const c_int) { aio_takes(block) }
    aio_write(block: *const c_int) { aio_takes(block) }
    aio_write64(block: *const c_int) { aio_takes(block) }
    io_uring_queue_init() { rings::leave_for_ever() }
    io_uring_queue_init_params() { rings::leave_for_ever() }
    io_uring_queue_init_mem() { rings::leave_for_ever() }
}

/// The descriptor stands first in `struct aiocb` (aio(7)).
fn aio_takes(block: *const c_int) {
    if !block.is_null() {
        // SAFETY: the caller of aio_read(3) or aio_write(3) vouches for its control block.
        stdio_takes(unsafe { *block });
    }
}

/// syscall(2): the same calls by number.
pub fn by_number(call: i64, arguments: [usize; 2]) {
    #[cfg(target_arch = "x86_64")]
    if matches!(call, libc::SYS_fork | libc::SYS_vfork) {
        return rings::leave_all();
    }
    match call {
        libc::SYS_clone if arguments[0] as c_ulong & libc::CLONE_FILES as c_ulong == 0 => rings::leave_all(),
        // The flags stand first in `struct clone_args` (clone(2)).
        libc::SYS_clone3 if arguments[1] >= size_of::<u64>() && arguments[0] != 0 => {
            // SAFETY: the caller of clone3(2) vouches for its arguments.
            let flags = unsafe { *(arguments[0] as *const u64) };
            if flags & libc::CLONE_FILES as u64 == 0 {
                rings::leave_all();
            }
        }
        libc::SYS_execve | libc::SYS_execveat => rings::leave_all_inherited(),
        libc::SYS_io_uring_setup => rings::leave_for_ever(),
        _ => {}
    }
}
