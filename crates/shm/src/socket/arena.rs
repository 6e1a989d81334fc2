//! The memfd of one socket: made and sealed by the daemon, attached by whoever it is handed to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use super::layout::{HEADER_SIZE, Header, MAGIC, VERSION};
use super::map::Map;
use super::mode::{DaemonMode, ModeWord};
use super::receive::{Reader, ReceiveBuffer};
use super::send::{SendBuffer, Writer};
use super::token::TokenWord;
use super::turn::TurnLock;
use crate::region::{REGION_MAX, Region};
use crate::sync::Ordering::Relaxed;

/// Least size of a ring, in bytes.
pub const RING_MIN: u32 = 4096;
/// Largest size of a ring, in bytes. Half the space of positions, which are modulo 2^32, would be the bound.
pub const RING_MAX: u32 = REGION_MAX as u32;

const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// Bytes of the two rings, for the socket's whole life. Memory is taken only as bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub tx: u32,
    pub rx: u32,
}

impl Sizes {
    fn valid(self) -> bool {
        [self.tx, self.rx].iter().all(|n| n.is_power_of_two() && (RING_MIN..=RING_MAX).contains(n))
    }

    fn total(self) -> usize {
        HEADER_SIZE + self.tx as usize + self.rx as usize
    }
}

/// A socket's memfd, mapped. Cheap to clone.
#[derive(Clone)]
pub struct Arena {
    map: Arc<Map>,
    tx: Arc<Region>,
    rx: Arc<Region>,
}

impl Arena {
    /// A new memfd with empty rings in pair mode, and the descriptor to hand over.
    ///
    /// Errors: EINVAL when a size is not a power of two within [`RING_MIN`]..=[`RING_MAX`]; what
    /// memfd_create(2), ftruncate(2), fcntl(2) and mmap(2) say.
    pub fn create(sizes: Sizes) -> io::Result<(Arena, OwnedFd)> {
        if !sizes.valid() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let memfd = memfd()?;
        let raw = memfd.as_raw_fd();
        // SAFETY: plain system calls on a descriptor that we own.
        let sealed = unsafe {
            libc::ftruncate(raw, sizes.total() as libc::off_t) == 0 && libc::fcntl(raw, libc::F_ADD_SEALS, SEALS) == 0
        };
        if !sealed {
            return Err(io::Error::last_os_error());
        }
        let map = Map::new(memfd.as_fd(), sizes.total())?;
        let identity = &map.header().identity;
        identity.magic.store(MAGIC, Relaxed);
        identity.version.store(VERSION, Relaxed);
        identity.tx_size.store(sizes.tx, Relaxed);
        identity.rx_size.store(sizes.rx, Relaxed);
        Ok((Arena::of(map, sizes), memfd))
    }

    /// Maps a memfd that was handed over, as [`Attached::new`] does, for one whose ends are to be shared.
    pub fn attach(memfd: BorrowedFd<'_>) -> io::Result<Arena> {
        let (map, sizes) = Arena::map(memfd)?;
        Ok(Arena::of(map, sizes))
    }

    fn map(memfd: BorrowedFd<'_>) -> io::Result<(Map, Sizes)> {
        let wrong = || io::Error::from_raw_os_error(libc::EPROTO);
        // SAFETY: plain system calls; an all-zero `struct stat` is valid and `stat` outlives the call.
        let (seals, size) = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let seals = libc::fcntl(memfd.as_raw_fd(), libc::F_GET_SEALS);
            if seals < 0 || libc::fstat(memfd.as_raw_fd(), &mut stat) < 0 {
                return Err(io::Error::last_os_error());
            }
            (seals, usize::try_from(stat.st_size).map_err(|_| wrong())?)
        };
        let most = Sizes { tx: RING_MAX, rx: RING_MAX }.total();
        if seals & SEALS != SEALS || !(HEADER_SIZE..=most).contains(&size) {
            return Err(wrong());
        }
        let map = Map::new(memfd, size)?;
        // Copied once: what the header says later does not matter any more.
        let identity = &map.header().identity;
        let sizes = Sizes { tx: identity.tx_size.load(Relaxed), rx: identity.rx_size.load(Relaxed) };
        let known = identity.magic.load(Relaxed) == MAGIC && identity.version.load(Relaxed) == VERSION;
        if !known || !sizes.valid() || sizes.total() != size {
            return Err(wrong());
        }
        Ok((map, sizes))
    }

    fn of(map: Map, sizes: Sizes) -> Arena {
        let map = Arc::new(map);
        let tx = Arc::new(Region::mapped(&map, HEADER_SIZE, sizes.tx as usize));
        let rx = Arc::new(Region::mapped(&map, HEADER_SIZE + sizes.tx as usize, sizes.rx as usize));
        Arena { map, tx, rx }
    }

    /// The daemon's ends, made once for a socket, right after [`Arena::create`].
    pub fn daemon(&self) -> (SendBuffer, ReceiveBuffer, DaemonMode) {
        let (tx, rx) = (self.tx.clone(), self.rx.clone());
        (SendBuffer::new(self.map.clone(), tx), ReceiveBuffer::new(self.map.clone(), rx), DaemonMode::new())
    }

    /// The program's ends. A thread uses each only in its turn.
    pub fn program(&self) -> (Writer<'_>, Reader<'_>) {
        (Writer::new(&self.map, &self.tx), Reader::new(&self.map, &self.rx))
    }

    pub fn words(&self) -> Words<'_> {
        Words { header: self.map.header() }
    }
}

/// A memfd mapped by the program: its ends of the rings, in memory of the owner's, so that nothing is allocated.
pub struct Attached {
    // Before the map, since they point into it.
    tx: Region,
    rx: Region,
    map: Map,
}

impl Attached {
    /// Maps a memfd that was handed over. The descriptor may be closed afterwards.
    ///
    /// Errors: EPROTO when it is not such a memfd: not sealed (touching it could raise SIGBUS), of another
    /// length than its header says, or of another version; what fcntl(2), fstat(2), mmap(2) say.
    pub fn new(memfd: BorrowedFd<'_>) -> io::Result<Attached> {
        let (map, sizes) = Arena::map(memfd)?;
        let tx = Region::lent(&map, HEADER_SIZE, sizes.tx as usize);
        let rx = Region::lent(&map, HEADER_SIZE + sizes.tx as usize, sizes.rx as usize);
        Ok(Attached { tx, rx, map })
    }

    /// The end of the send ring, in its turn.
    pub fn writer(&self) -> Writer<'_> {
        Writer::new(&self.map, &self.tx)
    }

    /// The end of the receive ring, in its turn.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.map, &self.rx)
    }

    pub fn words(&self) -> Words<'_> {
        Words { header: self.map.header() }
    }
}

/// The words of an arena that are not a ring's own.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    header: &'a Header,
}

impl<'a> Words<'a> {
    pub fn mode(self) -> &'a ModeWord {
        &self.header.mode
    }

    /// Tokens from the program to the daemon.
    pub fn tx_token(self) -> &'a TokenWord {
        &self.header.tx.token
    }

    /// Tokens from the daemon to the program.
    pub fn rx_token(self) -> &'a TokenWord {
        &self.header.rx.token
    }

    /// The turn of the program's writing threads.
    pub fn tx_turn(self) -> &'a TurnLock {
        &self.header.tx.turn
    }

    /// The turn of the program's reading threads.
    pub fn rx_turn(self) -> &'a TurnLock {
        &self.header.rx.turn
    }
}

/// A memfd that can be sealed. Kernels before 6.3 do not know MFD_NOEXEC_SEAL.
fn memfd() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    for extra in [libc::MFD_NOEXEC_SEAL, 0] {
        // SAFETY: the name is a C string; the call makes a new descriptor.
        let fd = unsafe { libc::memfd_create(c"iopkt-socket".as_ptr(), flags | extra) };
        if fd >= 0 {
            // SAFETY: the kernel just gave us this descriptor and nobody else has it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
            break;
        }
    }
    Err(io::Error::last_os_error())
}
