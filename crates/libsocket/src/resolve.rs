//! Carries out look-ups of names: the instance's files, and the questions of a [`resolver::Lookup`]
//! over the instance's own sockets.

use core::ffi::{CStr, c_int};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use resolver::{Action, Answer, Conf, Failure, Hosts, Lookup, RecordType};
use sockets::WireAddr;

use crate::hooks::{interfaces, socket};
use crate::real::{self, Errno, sys};
use crate::table::{self, Socket};
use crate::{connection, datagram, place, stream};

/// A configuration file is read up to this many bytes.
const FILE_MAX: usize = 1 << 20;
/// Longest datagram taken as a reply, in bytes.
const REPLY_MAX: usize = 4096;
/// Most sockets open at once: one for each server.
const PORTS_MAX: usize = resolver::conf::SERVERS_MAX;

/// A socket of this module's, closed when dropped.
struct Port {
    fd: c_int,
    server: SocketAddr,
}

impl Port {
    /// Connected to the server; a stream gives up at `until`.
    fn open(server: SocketAddr, kind: c_int, until: Duration) -> Result<Port, Errno> {
        let domain = if server.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let fd = socket::open(domain, kind | libc::SOCK_CLOEXEC, 0)? as c_int;
        let port = Port { fd, server };
        let s = port.socket()?;
        let peer = WireAddr::from(server);
        if kind == libc::SOCK_DGRAM {
            datagram::connect(&s, &peer)?;
        } else {
            port.limit(until);
            connection::connect(&s, &peer)?;
        }
        Ok(port)
    }

    fn socket(&self) -> Result<Socket, Errno> {
        table::socket(self.fd).ok_or(Errno::EBADF)
    }

    /// Bounds each blocking call by the time that is left.
    fn limit(&self, until: Duration) {
        let left = until.saturating_sub(now()).max(Duration::from_millis(1));
        let t = libc::timeval { tv_sec: left.as_secs() as _, tv_usec: left.subsec_micros() as _ };
        for name in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            // SAFETY: the kernel reads one timeval.
            let _ = unsafe {
                sys!(SYS_setsockopt, self.fd, libc::SOL_SOCKET, name, &t as *const libc::timeval, size_of_val(&t))
            };
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let s = self.socket()?;
        let mut iov = crate::control::iovec(bytes);
        // SAFETY: all zeroes is a valid msghdr; it then points to one local iovec.
        unsafe {
            let mut m: libc::msghdr = core::mem::zeroed();
            m.msg_iov = &mut iov;
            m.msg_iovlen = 1;
            datagram::send_msg(&s, &m, libc::MSG_DONTWAIT)
        }
    }

    fn recv(&self, room: &mut [u8]) -> Result<usize, Errno> {
        let s = self.socket()?;
        let mut iov = crate::control::iovec_mut(room);
        // SAFETY: as in `send`.
        unsafe {
            let mut m: libc::msghdr = core::mem::zeroed();
            m.msg_iov = &mut iov;
            m.msg_iovlen = 1;
            datagram::recv_msg(&s, &mut m, libc::MSG_DONTWAIT)
        }
    }

    /// Fills `room` from a stream, by `until`.
    fn read_exact(&self, room: &mut [u8], until: Duration) -> Result<(), Errno> {
        let s = self.socket()?;
        let mut got = 0;
        while got < room.len() {
            self.limit(until);
            let rest = &mut room[got..];
            // SAFETY: a buffer of ours with its true length.
            match unsafe { stream::recv(&s, rest.as_mut_ptr(), rest.len(), 0) } {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(n) => got += n,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        table::clear(self.fd);
        real::close(self.fd);
    }
}

fn now() -> Duration {
    Duration::from_nanos(real::monotonic_ns())
}

fn random_id() -> u16 {
    let mut bytes = [0u8; 2];
    // SAFETY: two bytes of a local.
    if unsafe { sys!(SYS_getrandom, bytes.as_mut_ptr(), 2, 0) }.is_err() {
        return real::monotonic_ns() as u16;
    }
    u16::from_ne_bytes(bytes)
}

fn read_file(path: &CStr) -> Option<String> {
    let mut bytes = Vec::new();
    let mut part = [0u8; 4096];
    // SAFETY: a NUL-terminated path and a local buffer with its true length.
    unsafe {
        let fd = sys!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).ok()? as c_int;
        while bytes.len() < FILE_MAX {
            match sys!(SYS_read, fd, part.as_mut_ptr(), part.len()) {
                Ok(n @ 1..) => bytes.extend_from_slice(&part[..n]),
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        real::close(fd);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn file_of(variable: &CStr, default: &CStr) -> String {
    let path = place::variable(variable).filter(|p| !p.is_empty()).and_then(|p| std::ffi::CString::new(p).ok());
    read_file(path.as_deref().unwrap_or(default)).unwrap_or_default()
}

/// The instance's hosts(5), read anew each time.
pub fn hosts() -> Hosts {
    Hosts::parse(&file_of(c"IOPKT_HOSTS", c"/etc/hosts"))
}

fn conf() -> Conf {
    let text = file_of(c"IOPKT_RESOLV_CONF", c"/etc/resolv.conf");
    Conf::parse(&text, |name| interface_index(name).ok())
}

pub fn interface_index(name: &str) -> Result<u32, Errno> {
    interfaces::all()?.iter().find(|r| r.name == name).map(|r| r.index).ok_or(Errno::ENODEV)
}

/// The addresses of a host and its canonical name: by hosts(5), as `localhost` (RFC 6761 §6.3), or by
/// DNS.
pub fn addresses(name: &str, v4: bool, v6: bool) -> Result<Answer, Failure> {
    let wanted = |a: &IpAddr| if a.is_ipv4() { v4 } else { v6 };
    let hosts = hosts();
    let mut lines = hosts.by_name(name).peekable();
    if let Some(first) = lines.peek() {
        let canonical = first.name.clone();
        let addresses: Vec<IpAddr> = lines.map(|h| h.addr).filter(wanted).collect();
        if !addresses.is_empty() {
            return Ok(Answer { addresses, canonical, ..Answer::default() });
        }
    }
    let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if plain == "localhost" || plain.ends_with(".localhost") {
        let all = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let addresses = all.into_iter().filter(wanted).collect();
        return Ok(Answer { addresses, canonical: plain, ..Answer::default() });
    }
    let kinds = [(v4, RecordType::A), (v6, RecordType::AAAA)];
    let kinds: Vec<RecordType> = kinds.into_iter().filter_map(|(on, kind)| on.then_some(kind)).collect();
    records(name, &kinds, true)
}

/// The name of an address: by hosts(5) or by DNS.
pub fn name_of(addr: IpAddr) -> Result<String, Failure> {
    if let Some(host) = hosts().by_addr(addr) {
        return Ok(host.name.clone());
    }
    let question = format!("{}.", resolver::Name::reverse(addr));
    records(&question, &[RecordType::PTR], false)?.names.into_iter().next().ok_or(Failure::NoData)
}

/// One look-up by DNS.
pub fn records(name: &str, kinds: &[RecordType], search: bool) -> Result<Answer, Failure> {
    let mut lookup = Lookup::new(conf(), name, kinds, search, random_id);
    let mut ports: Vec<Port> = Vec::new();
    loop {
        match lookup.poll(now()) {
            Action::Finished => return lookup.finish(),
            Action::Send { server, message } => {
                if send(&mut ports, server, &message).is_err() {
                    lookup.handle_failure();
                }
            }
            Action::Ask { server, message, until } => match ask(server, &message, until) {
                Ok(reply) => lookup.handle_reply(server, &reply),
                Err(_) => lookup.handle_failure(),
            },
            Action::Wait { until } => wait(&mut lookup, &mut ports, until),
        }
    }
}

fn send(ports: &mut Vec<Port>, server: SocketAddr, message: &[u8]) -> Result<usize, Errno> {
    if let Some(port) = ports.iter().find(|p| p.server == server) {
        return port.send(message);
    }
    let port = Port::open(server, libc::SOCK_DGRAM, Duration::MAX)?;
    let sent = port.send(message)?;
    ports.push(port);
    Ok(sent)
}

fn wait(lookup: &mut Lookup, ports: &mut Vec<Port>, until: Duration) {
    let mut fds = [libc::pollfd { fd: -1, events: 0, revents: 0 }; PORTS_MAX];
    let n = ports.len().min(PORTS_MAX);
    for (slot, port) in fds.iter_mut().zip(ports.iter()) {
        (slot.fd, slot.events) = (port.fd, libc::POLLIN);
    }
    let left = until.saturating_sub(now());
    let left = libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
    if real::poll_all(&mut fds[..n], Some(left)).is_err() {
        return;
    }
    let mut room = [0u8; REPLY_MAX];
    let mut i = 0;
    ports.retain(|port| {
        let ready = fds.get(i).is_some_and(|p| p.revents != 0);
        i += 1;
        if !ready {
            return true;
        }
        match port.recv(&mut room) {
            Ok(n) => {
                lookup.handle_reply(port.server, &room[..n]);
                true
            }
            Err(Errno::EAGAIN | Errno::EINTR) => true,
            Err(_) => {
                lookup.handle_failure();
                false
            }
        }
    });
}

/// One exchange over TCP (RFC 1035 §4.2.2).
fn ask(server: SocketAddr, message: &[u8], until: Duration) -> Result<Vec<u8>, Errno> {
    let port = Port::open(server, libc::SOCK_STREAM, until)?;
    let s = port.socket()?;
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    // SAFETY: a buffer of ours with its true length.
    unsafe { stream::send(&s, framed.as_ptr(), framed.len(), libc::MSG_NOSIGNAL)? };
    let mut len = [0u8; 2];
    port.read_exact(&mut len, until)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    port.read_exact(&mut reply, until)?;
    Ok(reply)
}

/// Which families the instance has addresses of beyond loopback and link-local: IPv4, IPv6.
pub fn families() -> (bool, bool) {
    let Ok(records) = interfaces::all() else { return (true, true) };
    let usable = |a: &IpAddr| match a {
        IpAddr::V4(a) => !a.is_loopback(),
        IpAddr::V6(a) => !a.is_loopback() && !a.is_unicast_link_local(),
    };
    let addresses = || records.iter().filter_map(|r| r.addr.as_ref()).map(|a| a.addr).filter(usable);
    (addresses().any(|a| a.is_ipv4()), addresses().any(|a| a.is_ipv6()))
}

/// Whether the instance has a route and a source for this destination: a connected UDP socket shows
/// it (RFC 6724 §2, "the source address would be selected").
pub fn is_reachable(addr: IpAddr) -> bool {
    const DISCARD: u16 = 9;
    Port::open(SocketAddr::new(addr, DISCARD), libc::SOCK_DGRAM, Duration::MAX).is_ok()
}
