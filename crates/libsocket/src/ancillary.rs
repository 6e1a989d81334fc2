//! Control messages of datagram and raw sockets (cmsg(3), ip(7), ipv6(7)): from the program into the
//! header of a datagram, and from a received header into the program's buffer.

use core::ptr;

use sockets::WireAddr;
use sockets::addr::{AF_INET, AF_INET6};
use sockets::datagram::{Header, flag};

use crate::real::Errno;

/// Reads the control messages of a sendmsg(2) into the header. EINVAL for any that is not known.
///
/// # Safety
/// `m.msg_control` is valid for `m.msg_controllen` bytes.
pub unsafe fn read(m: &libc::msghdr, header: &mut Header) -> Result<(), Errno> {
    if m.msg_control.is_null() || m.msg_controllen == 0 {
        return Ok(());
    }
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR stay inside the buffer; the length of each message is
    // checked before its data is read.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(m);
        while !c.is_null() {
            let end = m.msg_control as usize + m.msg_controllen;
            let head = libc::CMSG_LEN(0) as usize;
            if (*c).cmsg_len < head || (*c).cmsg_len > end - c as usize {
                return Err(Errno::EINVAL);
            }
            let data = core::slice::from_raw_parts(libc::CMSG_DATA(c), (*c).cmsg_len - head);
            read_one((*c).cmsg_level, (*c).cmsg_type, data, header)?;
            c = libc::CMSG_NXTHDR(m, c);
        }
    }
    Ok(())
}

fn read_one(level: i32, kind: i32, data: &[u8], header: &mut Header) -> Result<(), Errno> {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // struct in_pktinfo: interface, source to use, (destination, not read).
            let [i0, i1, i2, i3, a, b, c, d, ..] = *data else { return Err(Errno::EINVAL) };
            header.ifindex = u32::from_ne_bytes([i0, i1, i2, i3]);
            header.local = WireAddr { family: AF_INET, ..WireAddr::UNSPEC };
            header.local.ip[..4].copy_from_slice(&[a, b, c, d]);
            header.flags |= flag::PKTINFO;
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // struct in6_pktinfo: source to use, interface.
            let Some((ip, rest)) = data.split_first_chunk::<16>() else { return Err(Errno::EINVAL) };
            header.ifindex = int(rest)? as u32;
            header.local = WireAddr { family: AF_INET6, ip: *ip, ..WireAddr::UNSPEC };
            header.flags |= flag::PKTINFO;
        }
        (libc::IPPROTO_IP, libc::IP_TTL) => {
            header.ttl = u8::try_from(int(data)?).ok().filter(|&t| t != 0).ok_or(Errno::EINVAL)?;
            header.flags |= flag::TTL;
        }
        (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            // -1: the socket's own (RFC 3542 §6.3).
            if let hops @ 0.. = int(data)? {
                header.ttl = u8::try_from(hops).map_err(|_| Errno::EINVAL)?;
                header.flags |= flag::TTL;
            }
        }
        (libc::IPPROTO_IP, libc::IP_TOS) => {
            header.tos = match *data {
                [one] => one,
                _ => u8::try_from(int(data)?).map_err(|_| Errno::EINVAL)?,
            };
            header.flags |= flag::TOS;
        }
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
            // -1: the socket's own (RFC 3542 §6.5).
            if let class @ 0.. = int(data)? {
                header.tos = u8::try_from(class).map_err(|_| Errno::EINVAL)?;
                header.flags |= flag::TOS;
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

fn int(data: &[u8]) -> Result<i32, Errno> {
    data.first_chunk().map(|b| i32::from_ne_bytes(*b)).ok_or(Errno::EINVAL)
}

/// Writes control messages into the buffer of a recvmsg(2), one after the other; one that does not fit
/// is left out and MSG_CTRUNC set.
struct Out<'a> {
    m: &'a mut libc::msghdr,
    used: usize,
    room: usize,
}

impl Out<'_> {
    /// # Safety
    /// `m.msg_control` is valid for `room` bytes.
    unsafe fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        // SAFETY: CMSG_LEN and CMSG_SPACE are arithmetic; writes stay below `room`, checked first.
        unsafe {
            let len = libc::CMSG_LEN(data.len() as u32) as usize;
            let space = libc::CMSG_SPACE(data.len() as u32) as usize;
            if self.m.msg_control.is_null() || self.used + len > self.room {
                self.m.msg_flags |= libc::MSG_CTRUNC;
                return;
            }
            let at = self.m.msg_control.cast::<u8>().add(self.used);
            let head = libc::cmsghdr { cmsg_len: len as _, cmsg_level: level, cmsg_type: kind };
            ptr::write_unaligned(at.cast(), head);
            ptr::copy_nonoverlapping(data.as_ptr(), at.add(libc::CMSG_LEN(0) as usize), data.len());
            self.used = (self.used + space).min(self.room);
        }
    }
}

/// Writes what the header carries as the control messages that the socket's family knows.
///
/// # Safety
/// `m` is a program's, as recvmsg(2) wants it.
pub unsafe fn write(m: &mut libc::msghdr, header: &Header, v6: bool, timestamp_ns: bool) {
    let room = m.msg_controllen;
    let mut out = Out { m, used: 0, room };
    // SAFETY: the caller vouches for the control buffer.
    unsafe {
        if header.has(flag::TIMESTAMP) {
            let (seconds, ns) = (header.timestamp_ns / 1_000_000_000, header.timestamp_ns % 1_000_000_000);
            let (kind, fraction) =
                if timestamp_ns { (libc::SO_TIMESTAMPNS, ns) } else { (libc::SO_TIMESTAMP, ns / 1000) };
            out.put(libc::SOL_SOCKET, kind, &pair(&seconds.to_ne_bytes(), &fraction.to_ne_bytes()));
        }
        if header.has(flag::PKTINFO) {
            let ifindex = header.ifindex.to_ne_bytes();
            if v6 {
                let mut data = [0; 20];
                data[..16].copy_from_slice(&header.local.mapped().ip);
                data[16..].copy_from_slice(&ifindex);
                out.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
            } else {
                let mut data = [0; 12];
                data[..4].copy_from_slice(&ifindex);
                if !header.has(flag::GROUP) {
                    data[4..8].copy_from_slice(&header.local.ip[..4]);
                }
                data[8..].copy_from_slice(&header.local.ip[..4]);
                out.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
            }
        }
        if header.has(flag::TTL) {
            let ttl = i32::from(header.ttl).to_ne_bytes();
            match v6 {
                true => out.put(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &ttl),
                false => out.put(libc::IPPROTO_IP, libc::IP_TTL, &ttl),
            }
        }
        if header.has(flag::TOS) {
            match v6 {
                true => out.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &i32::from(header.tos).to_ne_bytes()),
                false => out.put(libc::IPPROTO_IP, libc::IP_TOS, &[header.tos]),
            }
        }
    }
    let used = out.used;
    m.msg_controllen = used as _;
}

fn pair(a: &[u8; 8], b: &[u8; 8]) -> [u8; 16] {
    let mut both = [0; 16];
    both[..8].copy_from_slice(a);
    both[8..].copy_from_slice(b);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(control: &mut [u64]) -> libc::msghdr {
        // SAFETY: all zeroes is a valid msghdr.
        let mut m: libc::msghdr = unsafe { core::mem::zeroed() };
        m.msg_control = control.as_mut_ptr().cast();
        m.msg_controllen = size_of_val(control);
        m
    }

    #[test]
    fn what_is_written_can_be_read_back_in_both_families() {
        for (v6, text) in [(false, "10.0.0.1:0"), (true, "[2001:db8::1]:0")] {
            let local = WireAddr::from(text.parse::<core::net::SocketAddr>().expect("a literal"));
            let flags = flag::PKTINFO | flag::TTL | flag::TOS;
            let header = Header { flags, ttl: 3, tos: 0x28, ifindex: 2, local, ..Header::default() };
            let mut control = [0u64; 32];
            let mut m = message(&mut control);
            let mut back = Header::default();
            // SAFETY: `m` points to `control`.
            unsafe {
                write(&mut m, &header, v6, false);
                assert_eq!(read(&m, &mut back), Ok(()));
            }
            assert_eq!(back, header);
        }
    }

    #[test]
    fn too_little_room_sets_ctrunc_and_writes_nothing() {
        let mut control = [0u64; 2];
        let mut m = message(&mut control);
        // SAFETY: `m` points to `control`.
        unsafe { write(&mut m, &Header { flags: flag::TTL, ttl: 1, ..Header::default() }, false, false) };
        assert!(m.msg_controllen == 0 && m.msg_flags & libc::MSG_CTRUNC != 0);
    }

    #[test]
    fn an_unknown_or_short_control_message_is_einval() {
        assert_eq!(read_one(libc::SOL_UDP, 103, &[0; 4], &mut Header::default()), Err(Errno::EINVAL));
        assert_eq!(read_one(libc::IPPROTO_IP, libc::IP_TTL, &[1], &mut Header::default()), Err(Errno::EINVAL));
    }
}
