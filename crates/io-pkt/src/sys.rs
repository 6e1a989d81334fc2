//! The system calls that have no safe wrapper elsewhere: the one room of this crate, beside the
//! module loader, with `unsafe` in it.

use std::ffi::CString;
use std::io::{self, IoSlice};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most messages taken from a datagram pair by one call.
pub const BURST: usize = 32;
/// Longest message on a datagram pair: header and the largest IP packet.
pub const DATAGRAM_MAX: usize = sockets::datagram::Header::LEN + 65_536;
/// CMSG_SPACE(sizeof(struct ucred)), in words: room for nothing but credentials, so that the kernel
/// drops any descriptor that a program attaches.
const CREDENTIALS_WORDS: usize = 4;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

// --- descriptors ---------------------------------------------------------------------------------

/// Raises the soft limit of open descriptors to the hard one; gives back the limit then.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            let wanted = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) == 0 {
                limit.rlim_cur = limit.rlim_max;
            }
        }
    }
    limit.rlim_cur
}

/// Has the other end of a pair been closed?
pub fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one live pollfd.
    let n = unsafe { libc::poll(&mut poll, 1, 0) };
    n == 1 && poll.revents & libc::POLLHUP != 0
}

/// Closes what was inherited beyond standard input, output and errors, but for `kept`. To be called before this process has
/// opened anything. (A kernel without close_range(2), before 5.9, leaves all open.)
pub fn close_inherited(mut kept: Vec<u32>) {
    kept.sort_unstable();
    let mut first: u32 = 3;
    for last in kept.into_iter().filter(|n| *n >= 3).map(Some).chain([None]) {
        let end = last.map_or(u32::MAX, |n| n - 1);
        if first <= end {
            // SAFETY: numbers only; no descriptor above 2 has an owner in this process yet.
            unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) };
        }
        first = last.map_or(u32::MAX, |n| n.saturating_add(1));
    }
}

/// Bytes of kernel memory that hold messages sent on this end and not yet read at the other
/// (SIOCOUTQ, unix(7)).
pub fn send_queue(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut n: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (the same number as SIOCOUTQ) writes one int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut n) })?;
    Ok(n.max(0) as usize)
}

/// Sends bytes with one descriptor attached (SCM_RIGHTS), never blocking, never raising SIGPIPE.
pub fn send_with_descriptor(to: BorrowedFd<'_>, bytes: &[u8], passed: BorrowedFd<'_>) -> io::Result<usize> {
    let mut control = [0u64; 3]; // CMSG_SPACE(4) is 24
    let mut iov = libc::iovec { iov_base: bytes.as_ptr() as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr is valid; `control` has room for CMSG_SPACE of one descriptor; all
    // pointers are live for the call.
    let n = unsafe {
        let mut msg: libc::msghdr = zeroed();
        msg.msg_iov = &mut iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control.as_mut_ptr().cast();
        msg.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let c = libc::CMSG_FIRSTHDR(&msg);
        (*c).cmsg_level = libc::SOL_SOCKET;
        (*c).cmsg_type = libc::SCM_RIGHTS;
        (*c).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(c).cast::<RawFd>().write_unaligned(passed.as_raw_fd());
        libc::sendmsg(to.as_raw_fd(), &msg, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Sends one message gathered from `parts`, never blocking, never raising SIGPIPE.
pub fn send_gathered(to: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: an all-zero msghdr is valid; IoSlice has the layout of iovec (std's promise) and
    // outlives the call, which does not write through it.
    let n = unsafe {
        let mut msg: libc::msghdr = zeroed();
        msg.msg_iov = parts.as_ptr() as *mut libc::iovec;
        msg.msg_iovlen = parts.len() as _;
        libc::sendmsg(to.as_raw_fd(), &msg, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Are there descriptors, or more than a few bytes, in the queue of a stream pair that has no
/// connection yet? Nothing is taken out of it.
pub fn holds_more_than_fillers(fd: BorrowedFd<'_>) -> bool {
    let mut bytes = [0u8; 64];
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr is valid; the iovec is live and writable. With no room for control
    // messages the kernel only says that there were some.
    let (n, flags) = unsafe {
        let mut msg: libc::msghdr = zeroed();
        msg.msg_iov = &mut iov;
        msg.msg_iovlen = 1;
        (libc::recvmsg(fd.as_raw_fd(), &mut msg, libc::MSG_PEEK | libc::MSG_DONTWAIT), msg.msg_flags)
    };
    n >= bytes.len() as isize || (n > 0 && flags & libc::MSG_CTRUNC != 0)
}

/// Waits for events until `timeout_ns` have passed (`None`: for ever), in nanoseconds' resolution.
pub fn epoll_wait(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    timeout_ns: Option<u64>,
) -> io::Result<usize> {
    let timeout = timeout_ns
        .map(|ns| libc::timespec { tv_sec: (ns / 1_000_000_000) as libc::time_t, tv_nsec: (ns % 1_000_000_000) as _ });
    let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `events` is writable for its length, the timespec (if any) is live, no signal mask.
    let n = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            events.len() as libc::c_int,
            pointer,
            std::ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// A descriptor number of a driver's, to be handed to the kernel in a call. A driver that closed it
/// makes that call fail or concern another descriptor, never memory.
pub fn borrow_for_call(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number came from a driver that keeps it open until it is detached, and the result
    // does not outlive the system call it is made for.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

// --- bursts of datagrams -------------------------------------------------------------------------

/// Buffers for [`DatagramBurst::receive`], made once.
pub struct DatagramBurst {
    bytes: Box<[u8]>,
    lens: [Option<usize>; BURST],
}

impl Default for DatagramBurst {
    fn default() -> DatagramBurst {
        DatagramBurst { bytes: vec![0; BURST * DATAGRAM_MAX].into_boxed_slice(), lens: [None; BURST] }
    }
}

impl DatagramBurst {
    /// Takes up to `max` (and at most [`BURST`]) messages off a SEQPACKET socket with SO_PASSCRED;
    /// gives back how many. [`message`](DatagramBurst::message) has each.
    pub fn receive(&mut self, from: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        let max = max.clamp(1, BURST);
        let mut control = [[0u64; CREDENTIALS_WORDS]; BURST];
        let mut iovs = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BURST];
        // SAFETY: all-zero mmsghdrs are valid; every pointer goes to a buffer that is live, writable
        // and of the length given, each message having its own stretch.
        let n = unsafe {
            let mut msgs: [libc::mmsghdr; BURST] = zeroed();
            for i in 0..max {
                iovs[i].iov_base = self.bytes.as_mut_ptr().add(i * DATAGRAM_MAX).cast();
                iovs[i].iov_len = DATAGRAM_MAX;
                msgs[i].msg_hdr.msg_iov = &mut iovs[i];
                msgs[i].msg_hdr.msg_iovlen = 1;
                msgs[i].msg_hdr.msg_control = control[i].as_mut_ptr().cast();
                msgs[i].msg_hdr.msg_controllen = size_of::<[u64; CREDENTIALS_WORDS]>() as _;
            }
            let n = libc::recvmmsg(
                from.as_raw_fd(),
                msgs.as_mut_ptr(),
                max as _,
                libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC,
                std::ptr::null_mut(),
            );
            if n < 0 {
                return Err(io::Error::last_os_error());
            }
            for (len, msg) in self.lens.iter_mut().zip(&msgs[..n as usize]) {
                // End of file has no credentials beside it; an empty datagram has.
                let whole = msg.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
                let end = msg.msg_len == 0 && msg.msg_hdr.msg_controllen == 0;
                *len = if end { None } else { Some(if whole { msg.msg_len as usize } else { usize::MAX }) };
            }
            n as usize
        };
        Ok(n)
    }

    /// Message `i` of the last burst; `None` stands for end of file.
    pub fn message(&self, i: usize) -> Option<Arrived<'_>> {
        Some(match self.lens.get(i).copied().flatten()? {
            usize::MAX => Arrived::TooLong,
            len => Arrived::Message(&self.bytes[i * DATAGRAM_MAX..][..len]),
        })
    }
}

/// One message of a burst.
#[derive(Debug)]
pub enum Arrived<'a> {
    Message(&'a [u8]),
    /// Longer than any datagram may be.
    TooLong,
}

// --- the process ---------------------------------------------------------------------------------

/// Which side of a fork this is.
pub enum Forked {
    Parent,
    Child,
}

/// fork(2). To be called while the process has one thread only.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: the caller has one thread, so the child's memory is as consistent as the parent's.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        _ => Ok(Forked::Parent),
    }
}

/// Ends the process at once, running no destructors: for the parents of a daemon.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(status) }
}

/// Makes `onto` (0, 1 or 2) name what `fd` names.
pub fn replace_stdio(fd: BorrowedFd<'_>, onto: RawFd) -> io::Result<()> {
    // SAFETY: dup2 on descriptor numbers; 0..=2 are owned by nobody in this program.
    check(unsafe { libc::dup2(fd.as_raw_fd(), onto) }).map(drop)
}

/// Blocks the signals and gives a descriptor that tells of them (signalfd(2)).
pub fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset; signalfd gives a new descriptor that we own.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut set);
        for &s in signals {
            libc::sigaddset(&mut set, s);
        }
        check(libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()).saturating_neg())?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Takes one signal number off a [`signal_descriptor`].
pub fn take_signal(fd: BorrowedFd<'_>) -> Option<i32> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(fd, &mut info) {
        Ok(n) if n == info.len() => Some(u32::from_ne_bytes([info[0], info[1], info[2], info[3]]) as i32),
        _ => None,
    }
}

pub fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// On SIGSEGV, SIGBUS, SIGFPE and SIGABRT: one line on standard error (the log, for a daemon), then
/// the default action. The kernel takes the links down as it closes their descriptors.
pub fn install_crash_handler() {
    extern "C" fn handler(signal: libc::c_int) {
        let mut line = *b"io-pkt: fatal signal 00; links go down with this process\n";
        line[21] = b'0' + (signal / 10 % 10) as u8;
        line[22] = b'0' + (signal % 10) as u8;
        // SAFETY: write and raise are async-signal-safe; the buffer is on this stack.
        unsafe {
            libc::write(2, line.as_ptr().cast(), line.len());
            libc::raise(signal);
        }
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGABRT] {
        // SAFETY: an all-zero sigaction is valid; the handler has the signature that goes without
        // SA_SIGINFO; SA_RESETHAND leaves the raise at its end to the default action.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// How the kernel is to schedule the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// SCHED_OTHER with this nice value.
    Nice(i32),
    /// SCHED_RR with this real-time priority.
    RoundRobin(i32),
}

pub fn set_scheduling(how: Scheduling) -> io::Result<()> {
    match how {
        // SAFETY: no pointers.
        Scheduling::Nice(nice) => check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop),
        Scheduling::RoundRobin(priority) => {
            // SAFETY: `param` is live; all-zero is valid.
            check(unsafe {
                let mut param: libc::sched_param = zeroed();
                param.sched_priority = priority;
                libc::sched_setscheduler(0, libc::SCHED_RR, &param)
            })
            .map(drop)
        }
    }
}

/// Becomes another user, for good. Needs the privilege to.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: `groups` is live for the call; the others take no pointers.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))?;
    }
    Ok(())
}

/// User id and primary group of a user name.
pub fn user_by_name(name: &str) -> Option<(u32, u32)> {
    let name = CString::new(name).ok()?;
    // SAFETY: getpwnam returns null or a pointer to static data that stays until the next call; the
    // process has one thread at this point.
    unsafe {
        let p = libc::getpwnam(name.as_ptr());
        (!p.is_null()).then(|| ((*p).pw_uid, (*p).pw_gid))
    }
}

/// Primary group of a user id.
pub fn group_of_user(uid: u32) -> Option<u32> {
    // SAFETY: as for `user_by_name`.
    unsafe {
        let p = libc::getpwuid(uid);
        (!p.is_null()).then(|| (*p).pw_gid)
    }
}

pub fn group_by_name(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: as for `user_by_name`.
    unsafe {
        let g = libc::getgrnam(name.as_ptr());
        (!g.is_null()).then(|| (*g).gr_gid)
    }
}

/// Has the allocator return what is free (malloc_trim(3)).
pub fn give_back_memory() {
    // SAFETY: no pointers; glibc's allocator is the one in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Random bytes of the system.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    let mut done = 0;
    while done < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("getrandom: {e}: no secrets can be made on this system"),
        }
    }
    u64::from_ne_bytes(bytes)
}

/// Random secrets from one large draw at a time: handles and keys of sockets.
#[derive(Default)]
pub struct Secrets {
    drawn: Vec<u64>,
}

impl Secrets {
    const DRAW: usize = 32;

    /// Never 0.
    pub fn draw(&mut self) -> u64 {
        loop {
            if let Some(secret) = self.drawn.pop() {
                if secret != 0 {
                    return secret;
                }
                continue;
            }
            let mut bytes = [0u8; Self::DRAW * 8];
            match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) if n == bytes.len() => {
                    self.drawn
                        .extend(bytes.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap_or([0; 8]))));
                }
                _ => self.drawn.push(random_u64()),
            }
        }
    }
}
