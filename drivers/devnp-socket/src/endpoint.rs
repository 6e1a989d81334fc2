//! Our end of the wire: a socket to receive on and one to send through.
//!
//! With paths these are two. The receiving one is bound and open to whoever sends: were it connected, a
//! peer that has started anew could not send to it. The sending one is connected, since only so does the
//! kernel tell when a full peer has room again.

use core::ffi::c_int;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use abi::{Errno, Failure};

/// Bytes in flight, as the kernel counts them; how many frames may wait is the peer's
/// `net.unix.max_dgram_qlen`.
static BUFFER: c_int = 4 << 20;

pub struct Endpoint {
    rx: OwnedFd,
    tx: Option<OwnedFd>,
    kind: Kind,
}

enum Kind {
    /// A pair: what is closed stays closed.
    Pair {
        seqpacket: bool,
    },
    Paths {
        remote: libc::sockaddr_un,
        path: PathBuf,
        _bound: Bound,
    },
}

/// A path that is ours to remove, as long as it still names our socket.
struct Bound {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Endpoint {
    pub fn open(local: &str, remote: &str) -> Result<Endpoint, Failure> {
        let failed = |what: &str, e: std::io::Error| Failure::new(errno_of(&e), format!("{what}: {e}"));
        let too_long = || Failure::new(Errno::ENAMETOOLONG, format!("remote={remote}: too long for a socket's path"));
        let path = PathBuf::from(remote);
        let remote = address(&path).ok_or_else(too_long)?;
        let what = format!("local={local}");
        remove_stale(Path::new(local)).map_err(|e| failed(&what, e))?;
        let rx = UnixDatagram::bind(local).map_err(|e| failed(&what, e))?;
        let meta = std::fs::symlink_metadata(local).map_err(|e| failed(&what, e))?;
        let _bound = Bound { path: PathBuf::from(local), file: (meta.dev(), meta.ino()) };
        let tx = UnixDatagram::unbound().map_err(|e| failed("socket", e))?;
        let (rx, tx) = (OwnedFd::from(rx), OwnedFd::from(tx));
        enlarge(tx.as_fd());
        Ok(Endpoint { rx, tx: Some(tx), kind: Kind::Paths { remote, path, _bound } })
    }

    pub fn inherit(fd: u32) -> Result<Endpoint, Failure> {
        let wrong = |why: &str| Failure::new(Errno::EINVAL, format!("fd={fd}: {why}"));
        let raw = c_int::try_from(fd).map_err(|_| wrong("is no descriptor"))?;
        let ask = |name| {
            let (mut value, mut len) = (0 as c_int, size_of::<c_int>() as u32);
            // SAFETY: the kernel writes an int.
            let result = unsafe { libc::getsockopt(raw, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) };
            (result == 0).then_some(value)
        };
        let seqpacket = match (ask(libc::SO_DOMAIN), ask(libc::SO_TYPE)) {
            (Some(libc::AF_UNIX), Some(libc::SOCK_DGRAM)) => false,
            (Some(libc::AF_UNIX), Some(libc::SOCK_SEQPACKET)) => true,
            (None, _) => return Err(wrong("is no open socket")),
            _ => return Err(wrong("is no Unix datagram socket")),
        };
        // SAFETY: the operator gives us this descriptor; a duplicate of our own is made and owned.
        let rx = unsafe {
            let own = libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 3);
            if own < 0 {
                return Err(Failure::last_os(format_args!("fd={fd}")));
            }
            libc::close(raw);
            OwnedFd::from_raw_fd(own)
        };
        enlarge(rx.as_fd());
        Ok(Endpoint { rx, tx: None, kind: Kind::Pair { seqpacket } })
    }

    pub fn rx(&self) -> BorrowedFd<'_> {
        self.rx.as_fd()
    }

    pub fn tx(&self) -> BorrowedFd<'_> {
        self.tx.as_ref().map_or(self.rx.as_fd(), AsFd::as_fd)
    }

    /// The peer's path, if it has one: such a peer can come back after it has gone.
    pub fn remote(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Paths { path, .. } => Some(path),
            Kind::Pair { .. } => None,
        }
    }

    /// A receive of nothing is the peer's end, not an empty frame.
    pub fn ends_with_nothing(&self) -> bool {
        matches!(self.kind, Kind::Pair { seqpacket: true })
    }

    /// Looks whether somebody is there, and points the sending socket at them.
    pub fn is_connected(&self) -> bool {
        let Kind::Paths { remote, .. } = &self.kind else { return true };
        let at = core::ptr::from_ref(remote).cast();
        // SAFETY: the kernel reads the address. A datagram socket may be connected again and again.
        unsafe { libc::connect(self.tx().as_raw_fd(), at, size_of_val(remote) as u32) == 0 }
    }
}

/// A sockaddr_un with its path ended by NUL; `None` when it does not fit.
fn address(path: &Path) -> Option<libc::sockaddr_un> {
    let bytes = path.as_os_str().as_encoded_bytes();
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut addr: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    addr.sun_family = libc::AF_UNIX as u16;
    let room = addr.sun_path.get_mut(..bytes.len() + 1)?;
    room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from as core::ffi::c_char);
    Some(addr)
}

/// Removes a socket that nobody holds any more; what somebody holds, or is no socket, is an error.
fn remove_stale(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if !meta.file_type().is_socket() => Err(std::io::Error::from_raw_os_error(libc::EEXIST)),
        Ok(_) => match UnixDatagram::unbound()?.connect(path) {
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            // Alive, or a socket of another kind that is.
            _ => Err(std::io::Error::from_raw_os_error(libc::EADDRINUSE)),
        },
    }
}

fn enlarge(fd: BorrowedFd<'_>) {
    for name in [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF] {
        // SAFETY: the kernel reads an int. What the host does not allow, we do without.
        let done = unsafe {
            let value = (&raw const BUFFER).cast();
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, value, size_of::<c_int>() as u32)
        };
        if done == 0 {
            return;
        }
    }
}

fn errno_of(e: &std::io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EINVAL, Errno)
}
