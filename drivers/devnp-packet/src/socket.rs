//! Packet sockets: opening and setting them up, their filters, their drop counters.

use core::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use abi::{Errno, Failure, last_errno};
use hostlink::Interface;

use crate::ring::Rings;

/// Bytes (as the kernel counts them, overhead included) that may wait to be received without a ring: some
/// hundred merged frames, or ten thousand small ones.
const RECV_BUFFER: c_int = 16 << 20;
/// Bytes that may be on their way out.
const SEND_BUFFER: c_int = 4 << 20;

// linux/if_packet.h; not all in libc.
const PACKET_VNET_HDR: c_int = 15;
const PACKET_QDISC_BYPASS: c_int = 20;
const PACKET_IGNORE_OUTGOING: c_int = 23;
const PACKET_FANOUT: c_int = 18;
const PACKET_FANOUT_HASH: u32 = 0;
const PACKET_FANOUT_FLAG_UNIQUEID: u32 = 0x2000;
const PACKET_STATISTICS: c_int = 6;

#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub promisc: bool,
    pub offload: bool,
    pub qdisc_bypass: bool,
    pub mac: [u8; 6],
}

/// The sockets of one queue.
pub struct Sockets {
    /// Sends, and receives: everything, or what fits into a small slot.
    main: OwnedFd,
    /// Where there are rings: receives the frames that are longer than so many bytes.
    large: Option<(OwnedFd, u32)>,
}

/// Which frames a socket is to receive.
#[derive(Clone, Copy)]
enum Share {
    All,
    UpTo(u32),
    Beyond(u32),
}

impl Sockets {
    /// For all queues of a link, not bound yet.
    pub fn open(interface: &Interface, setup: &Setup, count: u32) -> Result<Vec<Sockets>, Failure> {
        let one = |_| Ok(Sockets { main: open(interface, setup)?, large: None });
        (0..count).map(one).collect()
    }

    /// The same with rings, for which all queues have about `blocks` blocks of each kind.
    pub fn open_with_rings(
        interface: &Interface,
        setup: &Setup,
        count: u32,
        blocks: u32,
    ) -> Result<(Vec<Sockets>, Vec<Rings>), Failure> {
        let blocks = (blocks / count).max(1);
        let one = |_| {
            let (main, large) = (open(interface, setup)?, open(interface, setup)?);
            let rings = Rings::new(main.as_fd(), large.as_fd(), blocks, interface.mtu, setup.offload)?;
            Ok((Sockets { main, large: Some((large, rings.small_max())) }, rings))
        };
        (0..count).map(one).collect()
    }

    pub fn main(&self) -> BorrowedFd<'_> {
        self.main.as_fd()
    }

    fn large(&self) -> Option<BorrowedFd<'_>> {
        self.large.as_ref().map(|(socket, _)| socket.as_fd())
    }

    /// Each that receives.
    pub fn each(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [Some(self.main()), self.large()].into_iter().flatten()
    }

    /// Lets through frames for `mac` and for groups; `None`: for anyone.
    pub fn set_filter(&self, mac: Option<[u8; 6]>) -> Result<(), Errno> {
        match &self.large {
            None => set_filter(self.main(), Share::All, mac),
            Some((large, small_max)) => {
                set_filter(self.main(), Share::UpTo(*small_max), mac)?;
                set_filter(large.as_fd(), Share::Beyond(*small_max), mac)
            }
        }
    }

    /// Frames that found no room since the last call; reading resets the kernel's counts.
    pub fn take_drops(&self) -> u64 {
        self.each().map(take_drops).sum()
    }

    /// What the kernel had to say of the sockets outside any call: the last of it. None keeps an error.
    pub fn take_error(&self) -> Result<(), Errno> {
        let mut last = Ok(());
        for socket in self.each() {
            match get::<c_int>(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
                0 => {}
                error => last = Err(Errno(error)),
            }
        }
        last
    }

    fn start(&self, interface: &Interface, setup: &Setup) -> Result<(), Failure> {
        let failed = |e| Failure::new(e, format!("{}: {e}", interface.name));
        self.set_filter(Some(setup.mac)).map_err(failed)?;
        if self.large.is_none() {
            buffer(self.main(), libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECV_BUFFER);
        }
        buffer(self.main(), libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER);
        self.each().try_for_each(|socket| bind(socket, interface.index)).map_err(failed)?;
        if setup.promisc {
            be_promiscuous(self.main(), interface)?;
        }
        Ok(())
    }
}

/// Lets the frames come. The kernel deals flows out among several queues by a symmetric hash, the same for
/// the small frames and the large ones.
pub fn start_all(interface: &Interface, setup: &Setup, queues: &[Arc<Sockets>]) -> Result<(), Failure> {
    queues.iter().try_for_each(|q| q.start(interface, setup))?;
    share_out(queues.iter().map(|q| q.main()), queues.len())?;
    share_out(queues.iter().filter_map(|q| q.large()), queues.len())
}

fn share_out<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>, count: usize) -> Result<(), Failure> {
    if count == 1 {
        return Ok(());
    }
    let failed = |e: Errno| Failure::new(e, format!("queues={count}: PACKET_FANOUT: {e}"));
    let mut group = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
    for (i, socket) in sockets.enumerate() {
        set(socket, libc::SOL_PACKET, PACKET_FANOUT, &group).map_err(failed)?;
        if i == 0 {
            // The kernel chose a group number that nobody uses; the others join it.
            let chosen: u32 = get(socket, libc::SOL_PACKET, PACKET_FANOUT).map_err(failed)?;
            group = chosen & 0xffff | PACKET_FANOUT_HASH << 16;
        }
    }
    Ok(())
}

fn open(interface: &Interface, setup: &Setup) -> Result<OwnedFd, Failure> {
    // Protocol 0: nothing arrives before everything is set and the socket bound.
    // SAFETY: a new descriptor, owned at once.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if fd < 0 {
            return Err(refused(last_errno()));
        }
        OwnedFd::from_raw_fd(fd)
    };
    let fd = socket.as_fd();
    let option = |name: c_int, what: &str, value: c_int| {
        let failed = |e| Failure::new(e, format!("{}: {what}: {e}", interface.name));
        set(fd, libc::SOL_PACKET, name, &value).map_err(failed)
    };
    option(PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", 1)?;
    if setup.offload {
        option(PACKET_VNET_HDR, "PACKET_VNET_HDR", 1)?;
    }
    if setup.qdisc_bypass {
        option(PACKET_QDISC_BYPASS, "qdisc_bypass", 1)?;
    }
    Ok(socket)
}

fn be_promiscuous(fd: BorrowedFd<'_>, interface: &Interface) -> Result<(), Failure> {
    let request = libc::packet_mreq {
        mr_ifindex: interface.index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
        .map_err(|e| Failure::new(e, format!("{}: promisc: {e}", interface.name)))
}

fn refused(errno: Errno) -> Failure {
    let text = match errno {
        Errno::EPERM | Errno::EACCES => "needs CAP_NET_RAW: start io-pkt as root, or give its file the capability \
             (setcap cap_net_raw+ep); without it, -d user needs no privilege"
            .to_owned(),
        e => format!("packet socket: {e}"),
    };
    Failure::new(errno, text)
}

fn bind(fd: BorrowedFd<'_>, index: i32) -> Result<(), Errno> {
    // SAFETY: an all-zero sockaddr_ll is valid; the kernel reads as much as it is told is there.
    let result = unsafe {
        let mut addr: libc::sockaddr_ll = core::mem::zeroed();
        addr.sll_family = libc::AF_PACKET as u16;
        addr.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        addr.sll_ifindex = index;
        libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), size_of_val(&addr) as u32)
    };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// The size asked for where we may, else as much as the host's limit allows.
fn buffer(fd: BorrowedFd<'_>, force: c_int, plain: c_int, bytes: c_int) {
    if set(fd, libc::SOL_SOCKET, force, &bytes).is_err() {
        let _ = set(fd, libc::SOL_SOCKET, plain, &bytes);
    }
}

/// Lets through the socket's share of frames for `mac` and for groups (`None`: for anyone), and none with a
/// VLAN tag: the kernel has cut those tags off, so the frames would pass for untagged ones.
fn set_filter(fd: BorrowedFd<'_>, share: Share, mac: Option<[u8; 6]>) -> Result<(), Errno> {
    const LD_LEN: u16 = 0x80;
    const JGT: u16 = 0x25;
    const LD_W: u16 = 0x20;
    const LD_H: u16 = 0x28;
    const LD_B: u16 = 0x30;
    const JEQ: u16 = 0x15;
    const JSET: u16 = 0x45;
    const RET: u16 = 0x06;
    /// SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
    const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = match share {
        Share::All => Vec::new(),
        Share::UpTo(len) => vec![op(LD_LEN, 0, 0, 0), op(JGT, 0, 1, len), op(RET, 0, 0, 0)],
        Share::Beyond(len) => vec![op(LD_LEN, 0, 0, 0), op(JGT, 1, 0, len), op(RET, 0, 0, 0)],
    };
    program.push(op(LD_B, 0, 0, VLAN_TAG_PRESENT));
    match mac {
        None => program.push(op(JEQ, 0, 1, 0)),
        Some([a, b, c, d, e, f]) => program.extend([
            op(JEQ, 0, 7, 0),
            op(LD_B, 0, 0, 0),
            op(JSET, 4, 0, 1),
            op(LD_W, 0, 0, 0),
            op(JEQ, 0, 3, u32::from_be_bytes([a, b, c, d])),
            op(LD_H, 0, 0, 4),
            op(JEQ, 0, 1, u32::from(u16::from_be_bytes([e, f]))),
        ]),
    }
    program.extend([op(RET, 0, 0, u32::MAX), op(RET, 0, 0, 0)]);
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn take_drops(fd: BorrowedFd<'_>) -> u64 {
    // struct tpacket_stats: packets, drops
    let stats: Result<[u32; 2], _> = get(fd, libc::SOL_PACKET, PACKET_STATISTICS);
    stats.map_or(0, |[_, drops]| u64::from(drops))
}

/// Packet sockets pass UDP segmentation (VIRTIO_NET_HDR_GSO_UDP_L4) since Linux 6.2.
pub fn kernel_has_uso() -> bool {
    // SAFETY: uname fills the structure; its strings end with NUL.
    let release = unsafe {
        let mut name: libc::utsname = core::mem::zeroed();
        if libc::uname(&mut name) < 0 {
            return false;
        }
        core::ffi::CStr::from_ptr(name.release.as_ptr()).to_string_lossy().into_owned()
    };
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

pub fn set<T>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> Result<(), Errno> {
    let at: *const c_void = core::ptr::from_ref(value).cast();
    // SAFETY: the kernel reads size_of::<T>() bytes of the value.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, at, size_of::<T>() as u32) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn get<T: Default>(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<T, Errno> {
    let mut value = T::default();
    let mut len = size_of::<T>() as u32;
    // SAFETY: the kernel writes at most `len` bytes; T is made of plain integers.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &mut len) };
    if result < 0 { Err(last_errno()) } else { Ok(value) }
}
