//! A datagram or raw socket of the instance, spoken to directly: what `ping` and the resolver of
//! these commands need, with no library loaded.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as Os;
use rustix::net::{RecvFlags, SendFlags};
use sockets::call::{Op, SocketInfo};
use sockets::datagram::{Header, flag};
use sockets::{Errno, WireAddr};

use crate::client::{ClientError, Instance};

/// Longest datagram, header included.
const MESSAGE_MAX: usize = 128 * 1024;

#[derive(Debug)]
pub struct Datagram<'a> {
    instance: &'a Instance,
    info: SocketInfo,
    fd: OwnedFd,
    room: Vec<u8>,
}

/// A datagram that came, or what came in its place.
#[derive(Debug)]
pub enum Received<'a> {
    Datagram(Header, &'a [u8]),
    /// The time is over, or a signal came.
    Nothing,
    /// The daemon is gone.
    Closed,
}

impl<'a> Datagram<'a> {
    /// As socket(2).
    pub fn open(instance: &'a Instance, domain: u16, kind: i32, protocol: u8) -> Result<Datagram<'a>, ClientError> {
        let words = [i32::from(domain), kind, i32::from(protocol)];
        let body: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let (reply, fd) = instance.call(Op::Socket, 0, &body, &[])?;
        match (SocketInfo::parse(&reply), fd) {
            (Ok(info), Some(fd)) => Ok(Datagram { instance, info, fd, room: vec![0; MESSAGE_MAX] }),
            _ => Err(instance.garbled()),
        }
    }

    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), ClientError> {
        let mut body = level.to_ne_bytes().to_vec();
        body.extend_from_slice(&name.to_ne_bytes());
        body.extend_from_slice(value);
        self.instance.call(Op::SetOption, self.info.handle, &body, &[]).map(drop)
    }

    pub fn bind(&self, addr: SocketAddr) -> Result<(), ClientError> {
        self.instance.call(Op::Bind, self.info.handle, &WireAddr::from(addr).to_bytes(), &[]).map(drop)
    }

    /// Sends to an address; a `ttl` other than the socket's own when given.
    pub fn send(&self, to: SocketAddr, ttl: Option<u8>, payload: &[u8]) -> Result<(), Errno> {
        let header = Header {
            key: self.info.key,
            flags: flag::ADDR | if ttl.is_some() { flag::TTL } else { 0 },
            ttl: ttl.unwrap_or(0),
            addr: to.into(),
            ..Header::default()
        };
        let mut message = header.to_bytes().to_vec();
        message.extend_from_slice(payload);
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, &message, SendFlags::NOSIGNAL))
            .map(drop)
            .map_err(|e| Errno(e.raw_os_error()))
    }

    /// Waits until `until` at most, or until a signal comes.
    pub fn receive(&mut self, until: Instant) -> Received<'_> {
        let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(3600));
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(Os::INTR) => return Received::Nothing,
            Ok(_) => {}
            Err(_) => return Received::Closed,
        }
        match rustix::net::recv(&self.fd, self.room.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::Closed,
            Ok((len, _)) => match Header::parse(&self.room[..len]) {
                Ok((header, payload)) => Received::Datagram(header, payload),
                Err(_) => Received::Nothing,
            },
            Err(Os::AGAIN | Os::INTR) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }
}
