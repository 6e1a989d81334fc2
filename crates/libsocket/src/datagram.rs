//! Datagram and raw sockets: each message on the SEQPACKET pair is a header and the payload
//! ([`sockets::datagram`]).

use core::ffi::c_int;
use core::ptr;

use sockets::WireAddr;
use sockets::call::{Op, SocketState};
use sockets::datagram::{Header, flag as mark};

use crate::control::{self, Request};
use crate::hooks::sandbox;
use crate::real::{self, Errno, check, sys};
use crate::stream::room_of;
use crate::table::{self, Socket, flag};
use crate::{address, ancillary, native};

/// Longest UDP payload over IPv4 and over IPv6, in bytes (RFC 768; RFC 8200 §4.5 without jumbograms).
const LONGEST_V4: usize = 65_507;
const LONGEST_V6: usize = 65_527;
/// Messages of more pieces than this go through a buffer.
const FEW: usize = 16;
/// Most pieces of a message (readv(2), IOV_MAX).
pub const IOV_MAX: usize = 1024;
const EMPTY: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

/// sendmsg(2).
///
/// # Safety
/// As sendmsg(2).
pub unsafe fn send_msg(s: &Socket, m: &libc::msghdr, flags: c_int) -> Result<usize, Errno> {
    // MSG_MORE would make one datagram of several calls: here it would make several, so it is refused.
    if flags & (libc::MSG_OOB | libc::MSG_MORE) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if m.msg_iovlen > IOV_MAX {
        return Err(Errno::EMSGSIZE);
    }
    // SAFETY: the caller vouches for the message.
    unsafe {
        if s.has(flag::SEND_SHUT) {
            return Err(Errno::EPIPE);
        }
        let len = room_of(m);
        let mut header = Header { key: s.key, ..Header::default() };
        if !m.msg_name.is_null() && m.msg_namelen > 0 {
            let to = address::read(m.msg_name.cast(), m.msg_namelen);
            // Linux' two families put it differently.
            let to = to.map_err(|e| if s.is_v6() && e == Errno::EAFNOSUPPORT { Errno::EINVAL } else { e })?;
            header.addr = destination(s, to)?;
            header.flags |= mark::ADDR;
        } else if s.state() != SocketState::Connected {
            has_peer(s)?;
        }
        if flags & libc::MSG_DONTROUTE != 0 {
            header.flags |= mark::DONTROUTE;
        }
        ancillary::read(m, &mut header)?;
        if len > if s.is_v6() { LONGEST_V6 } else { LONGEST_V4 } {
            return Err(Errno::EMSGSIZE);
        }
        before_sending(s, &header)?;
        let head = header.to_bytes();
        let mut pieces = [EMPTY; FEW + 1];
        pieces[0] = control::iovec(&head);
        let mut gathered = Vec::new();
        let count = if m.msg_iovlen <= FEW {
            for i in 0..m.msg_iovlen {
                pieces[1 + i] = *m.msg_iov.add(i);
            }
            1 + m.msg_iovlen
        } else {
            gathered.reserve_exact(len);
            for i in 0..m.msg_iovlen {
                let piece = *m.msg_iov.add(i);
                if piece.iov_len > 0 {
                    gathered.extend_from_slice(core::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len));
                }
            }
            pieces[1] = control::iovec(&gathered);
            2
        };
        let mut inner: libc::msghdr = core::mem::zeroed();
        inner.msg_iov = pieces.as_mut_ptr();
        inner.msg_iovlen = count as _;
        let kept = flags & libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match check(native::sendmsg(s.fd, &inner, kept) as _) {
            Ok(n) => Ok(n.saturating_sub(Header::LEN)),
            Err(e) => Err(gone(s, e)),
        }
    }
}

/// The destination as the socket's family allows it (udp(7), ipv6(7)).
fn destination(s: &Socket, to: WireAddr) -> Result<WireAddr, Errno> {
    let to = match (s.is_v6(), to.family) {
        (true, sockets::addr::AF_INET) => to.mapped(),
        (false, sockets::addr::AF_INET6) => return Err(Errno::EAFNOSUPPORT),
        (v6, 0) => {
            // AF_UNSPEC: Linux reads it as "no address given" for IPv6, as AF_INET for IPv4.
            if v6 {
                has_peer(s)?;
                return Err(Errno::EINVAL);
            }
            WireAddr { family: sockets::addr::AF_INET, ..to }
        }
        _ => to,
    };
    if to.port == 0 && s.kind() == libc::SOCK_DGRAM && s.protocol() == libc::IPPROTO_UDP {
        return Err(Errno::EINVAL);
    }
    Ok(to)
}

/// Between two looks for a pending error, in nanoseconds: who sends faster hears of it a little later, as if the
/// network had taken so long.
const LOOK_EVERY: u64 = 5_000;

/// What a send has to tell before anything is sent: the socket's pending error, and that there is no way to the
/// destination. Both are the daemon's knowledge, and a datagram is one message into the pair that asks nobody; so a
/// destination is asked for once, unless a datagram has come from there.
fn before_sending(s: &Socket, header: &Header) -> Result<(), Errno> {
    // It must not ask; the next recv tells.
    if sandbox::is_confined() {
        return Ok(());
    }
    let now = real::monotonic_ns();
    if now.saturating_sub(table::looked_at(s)) >= LOOK_EVERY {
        table::set_looked_at(s, now);
        if let Some(e) = pending_error(s) {
            return Err(e);
        }
    }
    // Who names source or interface chooses another way.
    if !header.has(mark::ADDR) || header.has(mark::PKTINFO) {
        return Ok(());
    }
    let place = place_of(&header.addr, header.flags & mark::DONTROUTE);
    if table::reached(s) == place {
        return Ok(());
    }
    control::order(Op::Reach, s.handle, &[&header.addr.to_bytes(), &(header.flags & mark::DONTROUTE).to_ne_bytes()])?;
    table::set_reached(s, place);
    Ok(())
}

/// A destination as one number (FNV-1a), never 0. Ports do not matter to the way.
fn place_of(to: &WireAddr, flags: u16) -> u64 {
    let bytes = to.ip.iter().copied().chain(to.scope_id.to_ne_bytes()).chain(flags.to_ne_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)) | 1
}

/// Takes the error that is the first message in the queue, if that is what it is.
pub fn pending_error(s: &Socket) -> Option<Errno> {
    let mut head = [0u8; Header::LEN];
    let mut look = |flags| {
        // SAFETY: a local buffer with its true length.
        let n = unsafe { sys!(SYS_recvfrom, s.fd, head.as_mut_ptr(), head.len(), flags | libc::MSG_DONTWAIT, 0, 0) };
        let (header, _) = n.ok().filter(|n| *n == Header::LEN).and_then(|_| Header::parse(&head).ok())?;
        header.has(mark::ERROR).then_some(Errno(header.errno))
    };
    look(libc::MSG_PEEK)?;
    look(0)
}

/// A send without address needs a peer; another process may have connected the socket.
fn has_peer(s: &Socket) -> Result<(), Errno> {
    if s.state() == SocketState::Connected {
        return Ok(());
    }
    let mut room = [0u8; WireAddr::LEN];
    match control::call(&Request::new(Op::PeerAddr, s.handle, &[]), &mut room) {
        Ok(_) => {
            table::set_state(s, SocketState::Connected);
            Ok(())
        }
        Err(Errno::ENOTCONN) => Err(Errno::EDESTADDRREQ),
        Err(e) => Err(e),
    }
}

/// The pair reports its other end closed: after shutdown(SHUT_WR) that is EPIPE, otherwise the
/// daemon has died.
fn gone(s: &Socket, e: Errno) -> Errno {
    match e {
        Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN => {
            let hung_up = real::poll(s.fd, 0, real::NOW).is_ok_and(|r| r & libc::POLLHUP != 0);
            if hung_up || e != Errno::EPIPE { Errno::ENETDOWN } else { Errno::EPIPE }
        }
        other => other,
    }
}

/// recvmsg(2).
///
/// # Safety
/// As recvmsg(2).
pub unsafe fn recv_msg(s: &Socket, m: &mut libc::msghdr, flags: c_int) -> Result<usize, Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno::EAGAIN);
    }
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if m.msg_iovlen > IOV_MAX {
        return Err(Errno::EMSGSIZE);
    }
    // SAFETY: the caller vouches for the message.
    unsafe {
        let room = room_of(m);
        let mut head = [0u8; Header::LEN];
        let mut pieces = [EMPTY; FEW + 1];
        let mut scattered = Vec::new();
        pieces[0] = control::iovec_mut(&mut head);
        let count = if m.msg_iovlen <= FEW {
            for i in 0..m.msg_iovlen {
                pieces[1 + i] = *m.msg_iov.add(i);
            }
            1 + m.msg_iovlen
        } else {
            scattered.resize(room.min(LONGEST_V6 + 8), 0);
            pieces[1] = control::iovec_mut(&mut scattered);
            2
        };
        let kept = flags & (libc::MSG_PEEK | libc::MSG_DONTWAIT) | libc::MSG_TRUNC;
        let mut inner: libc::msghdr = core::mem::zeroed();
        inner.msg_iov = pieces.as_mut_ptr();
        inner.msg_iovlen = count as _;
        let n = match check(native::recvmsg(s.fd, &mut inner, kept) as _) {
            Ok(0) => return ended(s, flags),
            Ok(n) => n,
            Err(e) => return Err(gone(s, e)),
        };
        let Ok((header, _)) = Header::parse(&head) else { return Err(Errno::EPROTO) };
        let Some(len) = n.checked_sub(Header::LEN) else { return Err(Errno::EPROTO) };
        if header.has(mark::ERROR) {
            if flags & libc::MSG_PEEK != 0 {
                // An error is reported once, by a look as well (udp(7)): take the message off.
                let _ = sys!(SYS_recvfrom, s.fd, head.as_mut_ptr(), head.len(), libc::MSG_DONTWAIT, 0, 0);
            }
            return Err(Errno(header.errno));
        }
        if header.has(mark::ADDR) && s.state() != SocketState::Connected {
            table::set_reached(s, place_of(&header.addr, 0));
        }
        let copied = len.min(room);
        if m.msg_iovlen > FEW {
            scatter(m, &scattered[..copied.min(scattered.len())]);
        }
        // Linux gives MSG_CMSG_CLOEXEC back as it came.
        m.msg_flags = flags & libc::MSG_CMSG_CLOEXEC | if len > room { libc::MSG_TRUNC } else { 0 };
        if !m.msg_name.is_null() {
            let room = m.msg_namelen as usize;
            m.msg_namelen = match header.has(mark::ADDR) {
                true => address::write(&header.addr, m.msg_name.cast(), room),
                false => 0,
            };
        }
        ancillary::write(m, &header, s.is_v6(), s.has(flag::TIMESTAMP_NS));
        Ok(if flags & libc::MSG_TRUNC != 0 { len } else { copied })
    }
}

/// EOF: after shutdown(SHUT_RD) a read that would wait gives 0 (and one that would not, EAGAIN, as Linux has it);
/// otherwise the daemon has died.
fn ended(s: &Socket, flags: c_int) -> Result<usize, Errno> {
    match real::poll(s.fd, 0, real::NOW)? & libc::POLLHUP {
        0 if flags & libc::MSG_DONTWAIT != 0 || real::is_nonblocking(s.fd) => Err(Errno::EAGAIN),
        0 => Ok(0),
        _ => Err(Errno::ENETDOWN),
    }
}

unsafe fn scatter(m: &libc::msghdr, mut bytes: &[u8]) {
    for i in 0..m.msg_iovlen {
        // SAFETY: the caller vouches for the message's buffers.
        unsafe {
            let piece = *m.msg_iov.add(i);
            let n = piece.iov_len.min(bytes.len());
            ptr::copy_nonoverlapping(bytes.as_ptr(), piece.iov_base.cast(), n);
            bytes = &bytes[n..];
        }
    }
}

/// FIONREAD: the length of the first datagram (udp(7)).
pub fn first_length(s: &Socket) -> Result<usize, Errno> {
    let mut head = [0u8; 1];
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: a local buffer with its true length.
    match unsafe { sys!(SYS_recvfrom, s.fd, head.as_mut_ptr(), 1, flags, 0, 0) } {
        Ok(n) => Ok(n.saturating_sub(Header::LEN)),
        Err(Errno::EAGAIN) => Ok(0),
        Err(e) => Err(gone(s, e)),
    }
}

/// connect(2).
pub fn connect(s: &Socket, peer: &WireAddr) -> Result<usize, Errno> {
    control::order(Op::Connect, s.handle, &[&peer.to_bytes()])?;
    let state = if peer.family == 0 { SocketState::Fresh } else { SocketState::Connected };
    table::set_state(s, state);
    Ok(0)
}

/// shutdown(2); `how` is 0 to 2. Without a peer it is ENOTCONN, and done all the same: so programs wake a thread
/// that waits in recv(2).
pub fn shutdown(s: &Socket, how: c_int) -> Result<usize, Errno> {
    let told = control::order(Op::Shutdown, s.handle, &[&how.to_ne_bytes()]);
    if !matches!(told, Ok(()) | Err(Errno::ENOTCONN)) {
        return told.map(|()| 0);
    }
    if how != libc::SHUT_RD {
        table::set_flag(s, flag::SEND_SHUT, true);
    }
    if how != libc::SHUT_WR {
        // SAFETY: numbers only.
        unsafe { sys!(SYS_shutdown, s.fd, libc::SHUT_RD) }?;
    }
    told.map(|()| 0)
}
