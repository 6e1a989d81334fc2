//! Control calls: one request and one reply, each one SEQPACKET message on the instance's `ctl`
//! channel. Fixed layouts, host byte order, no allocation.
//!
//! A request is [`RequestHeader`] and then `len` bytes of body; a reply is [`ReplyHeader`] and then
//! `len` bytes. Descriptors travel by SCM_RIGHTS. A socket is named by its `handle`: 64 random bits
//! that only holders of its descriptor are told, so the handle is the capability.

use errno::Errno;

/// "iopk", the first word of every request: another speaker is turned away at once.
pub const MAGIC: u32 = 0x6b70_6f69;
/// Version of these layouts; a daemon answers another version with EPROTO.
pub const VERSION: u16 = 1;
/// Longest request or reply, header included, in bytes.
pub const MESSAGE_MAX: usize = 64 * 1024;
/// Longest option value in bytes, either way (`struct ip_mreq`s, TCP_INFO and the like fit).
pub const OPTION_MAX: usize = 1024;
/// Unread one-byte messages that take POLLOUT from a descriptor whose SO_SNDBUF is at its minimum.
pub const CONNECT_FILLERS: u32 = 2;
/// Most descriptors in one [`Op::Identify`].
pub const IDENTIFY_MAX: usize = 64;

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What a request asks for. The body of request and reply is given with each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Op { $($(#[$doc])* $name = $value,)* }

        impl Op {
            pub fn from_u16(v: u16) -> Option<Op> {
                match v { $($value => Some(Op::$name),)* _ => None }
            }
        }
    };
}

ops! {
    /// `socket(2)`. Request: `domain, type, protocol` (3 × i32, type without SOCK_NONBLOCK/CLOEXEC).
    /// Reply: [`SocketInfo`] and the descriptor.
    Socket = 1,
    /// Request: a `WireAddr`. Reply: nothing.
    Bind = 2,
    /// Request: a `WireAddr` (AF_UNSPEC disconnects a datagram socket) and `fillers` (u32): how many
    /// bytes on the pair are fillers, not data. Before it sends this for a stream socket, the library
    /// makes the descriptor not writable by [`CONNECT_FILLERS`] one-byte writes. A handshake that goes
    /// on answers EINPROGRESS, and the daemon drops exactly `fillers` bytes once it ended well; with
    /// any other answer it has dropped them already. A failed handshake closes the daemon's end with
    /// the fillers unread, which shows as POLLERR and POLLHUP. A datagram socket uses none.
    /// Reply: nothing.
    Connect = 3,
    /// Request: `backlog` (i32). Fillers as with `Connect`, never read. Reply: nothing.
    Listen = 4,
    /// Request: `how` (i32: 0 RD, 1 WR, 2 RDWR). Reply: nothing.
    Shutdown = 5,
    /// Reply: a `WireAddr`.
    LocalAddr = 6,
    /// Reply: a `WireAddr`; ENOTCONN when there is no peer.
    PeerAddr = 7,
    /// Request: `level, name` (2 × i32) and the value's bytes. Reply: nothing.
    SetOption = 8,
    /// Request: `level, name, room` (3 × i32). Reply: the value, at most `room` bytes.
    /// SO_ERROR takes the pending error and clears it.
    GetOption = 9,
    /// Request: `request` (u64) and the argument's bytes (`struct ifreq`, an int, …).
    /// Reply: `result` (i32) and the argument's new bytes.
    Ioctl = 10,
    /// Request: up to [`IDENTIFY_MAX`] descriptors. Reply: one [`SocketInfo`] each, in order;
    /// `handle` 0 for what is not a socket of this instance.
    Identify = 11,
    /// A stream socket is to be fresh again, with a new pair: after a failed connect, or whatever it is
    /// (connect(2) to AF_UNSPEC, which resets a connection: ECONNRESET is then pending). The name that
    /// bind(2) gave it stays. Reply: [`SocketInfo`] and the descriptor.
    Reopen = 12,
    /// Request: nothing. Reply: records of [`crate::config`]'s postcard form, `Vec<IfAddr>`.
    InterfaceAddrs = 13,
    /// Request: a postcard `config::Request`. Reply: a postcard `config::Reply`.
    Config = 14,
    /// Stream: bytes the stack holds for the socket. Reply: `unread, unsent, unacked` (3 × u32).
    Queued = 15,
    /// As `Connect`, but a handshake that goes on is answered by its result, whenever that is known.
    /// Who closes the channel's connection before gives up the answer, not the handshake.
    ConnectAndWait = 16,
    /// As `ConnectAndWait`, and a good reply brings, when there is room enough, a fresh stream socket of the
    /// same domain for the program's next socket(2). Reply: nothing, or [`SocketInfo`] and the descriptor.
    ConnectAndRestock = 17,
    /// Request: a `WireAddr` and `flags` (u16, of [`crate::datagram::flag`]). What sending a datagram there would
    /// answer, found out before it is sent. Reply: nothing.
    Reach = 18,
    /// A connected stream asks for the memory that ring mode needs (`docs/rings.md`). From now on until the next
    /// `RingMode` the daemon writes no bytes to the pair. Reply: the memfd.
    RingArena = 19,
    /// Request: `before` (u32), for a change to ring mode: bytes that the program has found unread on its end and put into
    /// the receive ring; it takes them off the pair when the change is made. The daemon makes the change that the
    /// arena's mode word asks for, or goes on where `Drain` has ended. With nothing asked for, an arena that
    /// is not in use is given up, and in ring mode the bytes that lie in the ring are announced (once more). Reply: nothing. EAGAIN and ENOBUFS: not now; the mode is what it was.
    RingMode = 20,
}

/// The first [`RequestHeader::LEN`] bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub op: Op,
    /// Bytes of body that follow.
    pub len: u32,
    /// The socket, or 0 where the call concerns none.
    pub handle: u64,
}

impl RequestHeader {
    pub const LEN: usize = 20;

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
        b[4..6].copy_from_slice(&VERSION.to_ne_bytes());
        b[6..8].copy_from_slice(&(self.op as u16).to_ne_bytes());
        b[8..12].copy_from_slice(&self.len.to_ne_bytes());
        b[12..20].copy_from_slice(&self.handle.to_ne_bytes());
        b
    }

    /// Splits a whole message into header and body.
    ///
    /// Errors: EPROTO for another magic or version or a length that does not fit, ENOSYS for an
    /// operation that this version does not know.
    pub fn parse(message: &[u8]) -> Result<(RequestHeader, &[u8]), Errno> {
        let Some((head, body)) = message.split_at_checked(Self::LEN) else { return Err(Errno::EPROTO) };
        let mut r = Reader::new(head);
        if r.u32()? != MAGIC || r.u16()? != VERSION {
            return Err(Errno::EPROTO);
        }
        let op = Op::from_u16(r.u16()?).ok_or(Errno::ENOSYS)?;
        let header = RequestHeader { op, len: r.u32()?, handle: r.u64()? };
        if header.len as usize != body.len() {
            return Err(Errno::EPROTO);
        }
        Ok((header, body))
    }
}

/// The first [`ReplyHeader::LEN`] bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// 0, or the error number.
    pub errno: i32,
    /// Bytes of body that follow.
    pub len: u32,
}

impl ReplyHeader {
    pub const LEN: usize = 8;

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..4].copy_from_slice(&self.errno.to_ne_bytes());
        b[4..8].copy_from_slice(&self.len.to_ne_bytes());
        b
    }

    /// Errors: EPROTO when the length does not fit.
    pub fn parse(message: &[u8]) -> Result<(ReplyHeader, &[u8]), Errno> {
        let Some((head, body)) = message.split_at_checked(Self::LEN) else { return Err(Errno::EPROTO) };
        let mut r = Reader::new(head);
        let header = ReplyHeader { errno: r.i32()?, len: r.u32()? };
        if header.len as usize != body.len() {
            return Err(Errno::EPROTO);
        }
        Ok((header, body))
    }
}

/// What the library keeps of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SocketInfo {
    /// 0: not a socket of this instance.
    pub handle: u64,
    /// Goes first in every message on a datagram pair ([`crate::datagram`]).
    pub key: u64,
    /// SO_COOKIE of the program's end of the pair.
    pub cookie: u64,
    /// AF_INET or AF_INET6.
    pub domain: u16,
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub kind: u16,
    pub protocol: u16,
    pub state: SocketState,
}

/// How far a stream socket is, as far as the library must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum SocketState {
    #[default]
    Fresh = 0,
    Connecting = 1,
    Connected = 2,
    Listening = 3,
    /// The pair was closed after an error.
    Failed = 4,
}

impl SocketState {
    pub fn from_u16(v: u16) -> Option<SocketState> {
        Some(match v {
            0 => SocketState::Fresh,
            1 => SocketState::Connecting,
            2 => SocketState::Connected,
            3 => SocketState::Listening,
            4 => SocketState::Failed,
            _ => return None,
        })
    }
}

impl SocketInfo {
    pub const LEN: usize = 32;

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0..8].copy_from_slice(&self.handle.to_ne_bytes());
        b[8..16].copy_from_slice(&self.key.to_ne_bytes());
        b[16..24].copy_from_slice(&self.cookie.to_ne_bytes());
        b[24..26].copy_from_slice(&self.domain.to_ne_bytes());
        b[26..28].copy_from_slice(&self.kind.to_ne_bytes());
        b[28..30].copy_from_slice(&self.protocol.to_ne_bytes());
        b[30..32].copy_from_slice(&(self.state as u16).to_ne_bytes());
        b
    }

    pub fn parse(b: &[u8]) -> Result<SocketInfo, Errno> {
        let mut r = Reader::new(b);
        Ok(SocketInfo {
            handle: r.u64()?,
            key: r.u64()?,
            cookie: r.u64()?,
            domain: r.u16()?,
            kind: r.u16()?,
            protocol: r.u16()?,
            state: SocketState::from_u16(r.u16()?).ok_or(Errno::EPROTO)?,
        })
    }
}

/// The bytes of the one message by which a listener's pair hands over an accepted connection; its
/// descriptor comes along by SCM_RIGHTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AcceptMessage {
    pub info: SocketInfo,
    pub peer: crate::WireAddr,
    pub local: crate::WireAddr,
}

impl AcceptMessage {
    pub const LEN: usize = SocketInfo::LEN + 2 * crate::WireAddr::LEN;

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[..32].copy_from_slice(&self.info.to_bytes());
        b[32..60].copy_from_slice(&self.peer.to_bytes());
        b[60..88].copy_from_slice(&self.local.to_bytes());
        b
    }

    pub fn parse(b: &[u8]) -> Result<AcceptMessage, Errno> {
        let mut r = Reader::new(b);
        Ok(AcceptMessage { info: SocketInfo::parse(r.take(SocketInfo::LEN)?)?, peer: r.addr()?, local: r.addr()? })
    }
}

/// Takes fixed-size fields off the front of a body; EPROTO when it is too short.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Errno> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Errno::EPROTO)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Errno::EPROTO)?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn u16(&mut self) -> Result<u16, Errno> {
        self.array().map(u16::from_ne_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Errno> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Errno> {
        self.array().map(u64::from_ne_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Errno> {
        self.array().map(i32::from_ne_bytes)
    }

    pub fn addr(&mut self) -> Result<crate::WireAddr, Errno> {
        self.array().map(|b| crate::WireAddr::from_bytes(&b))
    }

    /// What has not been taken yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Puts fixed-size fields into a buffer of the caller's; for bodies short enough to fit.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub fn new(buf: &'a mut [u8]) -> Writer<'a> {
        Writer { buf, len: 0 }
    }

    /// EMSGSIZE when the buffer is full.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let end = self.len + bytes.len();
        self.buf.get_mut(self.len..end).ok_or(Errno::EMSGSIZE)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_round_trips() {
        let h = RequestHeader { op: Op::Listen, len: 4, handle: 0x1122_3344_5566_7788 };
        let mut m = h.to_bytes().to_vec();
        m.extend_from_slice(&5i32.to_ne_bytes());
        assert_eq!(RequestHeader::parse(&m), Ok((h, &5i32.to_ne_bytes()[..])));
    }

    #[test]
    fn a_wrong_magic_version_length_or_operation_is_refused() {
        let good = RequestHeader { op: Op::Socket, len: 0, handle: 0 }.to_bytes();
        for (at, errno) in [(0, Errno::EPROTO), (4, Errno::EPROTO), (7, Errno::ENOSYS), (8, Errno::EPROTO)] {
            let mut m = good;
            m[at] ^= 0x7f;
            assert_eq!(RequestHeader::parse(&m), Err(errno), "byte {at}");
        }
        for n in 0..good.len() {
            assert_eq!(RequestHeader::parse(&good[..n]), Err(Errno::EPROTO));
        }
    }

    #[test]
    fn an_accept_message_round_trips_and_a_short_one_is_refused() {
        let m = AcceptMessage {
            info: SocketInfo {
                handle: 1,
                key: 2,
                cookie: 3,
                domain: 2,
                kind: 1,
                protocol: 6,
                state: SocketState::Connected,
            },
            peer: crate::WireAddr { family: 2, port: 80, ..Default::default() },
            local: crate::WireAddr { family: 10, port: 81, ..Default::default() },
        };
        let b = m.to_bytes();
        assert_eq!(AcceptMessage::parse(&b), Ok(m));
        assert_eq!(AcceptMessage::parse(&b[..b.len() - 1]), Err(Errno::EPROTO));
    }
}
