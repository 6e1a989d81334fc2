//! Packet sockets: opening and setting them up, their filter, their drop counter.

use core::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use abi::{Errno, Failure, last_errno};
use hostlink::Interface;

/// Bytes (as the kernel counts them, overhead included) that may wait to be received: some hundred
/// merged frames, or ten thousand small ones.
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

/// One socket for each queue; the kernel deals flows out among them by a symmetric hash.
pub fn open_all(interface: &Interface, setup: &Setup, count: u32) -> Result<Vec<Arc<OwnedFd>>, Failure> {
    let sockets: Result<Vec<_>, Failure> = (0..count).map(|_| open(interface, setup).map(Arc::new)).collect();
    let sockets = sockets?;
    if count > 1 {
        let mut group = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
        for (i, socket) in sockets.iter().enumerate() {
            let failed = |e: Errno| Failure::new(e, format!("queues={count}: PACKET_FANOUT: {e}"));
            set(socket.as_fd(), libc::SOL_PACKET, PACKET_FANOUT, &group).map_err(failed)?;
            if i == 0 {
                // The kernel chose a group number that nobody uses; the others join it.
                let chosen: u32 = get(socket.as_fd(), libc::SOL_PACKET, PACKET_FANOUT).map_err(failed)?;
                group = chosen & 0xffff | PACKET_FANOUT_HASH << 16;
            }
        }
    }
    Ok(sockets)
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
    buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECV_BUFFER);
    buffer(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER);
    let failed = |e| Failure::new(e, format!("{}: {e}", interface.name));
    set_filter(fd, Some(setup.mac)).map_err(failed)?;
    bind(fd, interface.index).map_err(failed)?;
    if setup.promisc {
        let request = libc::packet_mreq {
            mr_ifindex: interface.index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(|e| Failure::new(e, format!("{}: promisc: {e}", interface.name)))?;
    }
    Ok(socket)
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

/// Lets through frames for `mac` and for groups (`None`: for anyone), and none with a VLAN tag: the
/// kernel has cut those tags off, so the frames would pass for untagged ones.
pub fn set_filter(fd: BorrowedFd<'_>, mac: Option<[u8; 6]>) -> Result<(), Errno> {
    const LD_W: u16 = 0x20;
    const LD_H: u16 = 0x28;
    const LD_B: u16 = 0x30;
    const JEQ: u16 = 0x15;
    const JSET: u16 = 0x45;
    const RET: u16 = 0x06;
    /// SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
    const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![op(LD_B, 0, 0, VLAN_TAG_PRESENT)];
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

/// Frames that found the receive buffer full since the last call; reading resets the kernel's count.
pub fn take_drops(fd: BorrowedFd<'_>) -> u64 {
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

fn set<T>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> Result<(), Errno> {
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
