//! socket(2) to shutdown(2): the calls that make, name and end sockets.

use core::ffi::c_int;

use libc::{sockaddr, socklen_t};
use sockets::addr::{AF_INET6, SOCKADDR_IN6_MIN};
use sockets::call::{Op, SocketInfo, SocketState};

use crate::control::{self, Request};
use crate::real::{self, Errno, answer, raw};
use crate::{address, connection, datagram, hook, native, stock, stream, table};

const TYPE_FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// socket(2) of the instance's families.
pub fn open(domain: c_int, kind: c_int, protocol: c_int) -> Result<usize, Errno> {
    let base = kind & !TYPE_FLAGS;
    if base == libc::SOCK_STREAM
        && matches!(protocol, 0 | libc::IPPROTO_TCP)
        && let Some(fd) = stock::take(domain, kind & libc::SOCK_CLOEXEC != 0)
    {
        if kind & libc::SOCK_NONBLOCK != 0 {
            real::set_nonblocking(fd);
        }
        return Ok(fd as usize);
    }
    let mut room = [0u8; SocketInfo::LEN];
    let body = stream::option_args(domain, base, protocol);
    let parts: &[&[u8]] = &[&body];
    let request = Request { cloexec: kind & libc::SOCK_CLOEXEC != 0, ..Request::new(Op::Socket, 0, parts) };
    let reply = control::call(&request, &mut room)?;
    if reply.fd < 0 {
        return Err(Errno::EPROTO);
    }
    let entered = SocketInfo::parse(&room[..reply.len])
        .and_then(|info| if table::insert(reply.fd, &info) { Ok(()) } else { Err(Errno::EMFILE) });
    if let Err(e) = entered {
        real::close(reply.fd);
        return Err(e);
    }
    if kind & libc::SOCK_NONBLOCK != 0 {
        real::set_nonblocking(reply.fd);
    }
    Ok(reply.fd as usize)
}

/// A descriptor that the kernel has just made: whatever the table held for its number is old.
fn kernels(fd: isize) -> c_int {
    if fd >= 0 {
        table::clear(fd as c_int);
    }
    fd as c_int
}

unsafe fn accept_any(fd: c_int, to: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
    // SAFETY: accept(2)'s caller vouches for the pointers.
    unsafe {
        match table::socket(fd) {
            None => kernels(native::accept4(fd, to, len, flags) as isize),
            Some(s) => answer(|| {
                let (fd, peer) = connection::accept(&s, flags)?;
                address::give(&peer, to, len).inspect_err(|_| {
                    table::clear(fd);
                    real::close(fd);
                })?;
                Ok(fd as usize)
            }) as c_int,
        }
    }
}

hook! {
    /// socket(2). AF_UNIX and AF_NETLINK stay with the kernel; any other family that is not IP is
    /// EAFNOSUPPORT, so that nothing reaches the host's network.
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
        match domain {
            libc::AF_UNIX | libc::AF_NETLINK => kernels(raw!(SYS_socket, domain, kind, protocol) as isize),
            libc::AF_INET | libc::AF_INET6 => answer(|| open(domain, kind, protocol)) as c_int,
            _ => answer(|| Err(Errno::EAFNOSUPPORT)) as c_int,
        }
    }

    /// socketpair(2): always the kernel's.
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
        let r = raw!(SYS_socketpair, domain, kind, protocol, pair) as c_int;
        if r == 0 {
            table::clear(*pair);
            table::clear(*pair.add(1));
        }
        r
    }

    /// bind(2).
    fn bind(fd: c_int, to: *const sockaddr, len: socklen_t) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_bind, fd, to, len) as c_int,
            Some(s) => answer(|| {
                let a = address::read(to, len)?;
                // A structure that is long enough is looked into first.
                if s.is_v6() && len as usize >= SOCKADDR_IN6_MIN && a.family != AF_INET6 {
                    return Err(Errno::EAFNOSUPPORT);
                }
                connection::bind(&s, &a)
            }) as c_int,
        }
    }

    /// connect(2).
    fn connect(fd: c_int, to: *const sockaddr, len: socklen_t) -> c_int {
        match table::current(fd) {
            None => native::connect(fd, to, len),
            Some(s) => answer(|| {
                let a = address::read(to, len)?;
                if s.is_stream() { connection::connect(&s, &a) } else { datagram::connect(&s, &a) }
            }) as c_int,
        }
    }

    /// listen(2).
    fn listen(fd: c_int, backlog: c_int) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_listen, fd, backlog) as c_int,
            Some(s) => answer(|| {
                if s.is_stream() { connection::listen(&s, backlog) } else { Err(Errno::EOPNOTSUPP) }
            }) as c_int,
        }
    }

    /// accept(2).
    fn accept(fd: c_int, to: *mut sockaddr, len: *mut socklen_t) -> c_int {
        accept_any(fd, to, len, 0)
    }

    /// accept4(2).
    fn accept4(fd: c_int, to: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
        accept_any(fd, to, len, flags)
    }

    /// shutdown(2).
    fn shutdown(fd: c_int, how: c_int) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_shutdown, fd, how) as c_int,
            Some(s) => answer(|| match how {
                libc::SHUT_RD..=libc::SHUT_RDWR if s.is_stream() => connection::shutdown(&s, how),
                libc::SHUT_RD..=libc::SHUT_RDWR => datagram::shutdown(&s, how),
                _ => Err(Errno::EINVAL),
            }) as c_int,
        }
    }

    /// getsockname(2).
    fn getsockname(fd: c_int, to: *mut sockaddr, len: *mut socklen_t) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_getsockname, fd, to, len) as c_int,
            Some(s) => answer(|| connection::name(&s, Op::LocalAddr, to, len)) as c_int,
        }
    }

    /// getpeername(2).
    fn getpeername(fd: c_int, to: *mut sockaddr, len: *mut socklen_t) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_getpeername, fd, to, len) as c_int,
            Some(s) => answer(|| {
                if s.is_stream() && s.state() == SocketState::Listening {
                    return Err(Errno::ENOTCONN);
                }
                connection::name(&s, Op::PeerAddr, to, len)
            }) as c_int,
        }
    }
}
