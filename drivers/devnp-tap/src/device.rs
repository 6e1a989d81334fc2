//! `/dev/net/tun`: making or attaching to a TAP interface.

use core::ffi::{CStr, c_int, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use abi::{Errno, Failure, Offload, last_errno};

pub struct Tap {
    /// As the kernel calls it.
    pub name: String,
    /// One for each queue.
    pub files: Vec<OwnedFd>,
    /// The kernel cuts UDP, too.
    pub uso: bool,
}

// linux/if_tun.h; _IOW('T', n, int) and _IOW('T', n, unsigned int).
const TUNSETIFF: c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: c_ulong = 0x4004_54d0;
const TUNSETVNETHDRSZ: c_ulong = 0x4004_54d8;
const TUN_F_CSUM: c_ulong = 0x01;
const TUN_F_TSO4: c_ulong = 0x02;
const TUN_F_TSO6: c_ulong = 0x04;
const TUN_F_USO4: c_ulong = 0x20;
const TUN_F_USO6: c_ulong = 0x40;

pub fn open(name: Option<&str>, queues: u32, offload: bool) -> Result<Tap, Failure> {
    let mut tap = Tap { name: name.unwrap_or("tap%d").to_owned(), files: Vec::new(), uso: false };
    for _ in 0..queues {
        let (file, name) = open_queue(&tap.name, queues, offload)?;
        tap.name = name; // "tap%d" has become "tap0"
        if offload {
            tap.uso = set_offload(&file, &tap.name)?;
        }
        tap.files.push(file);
    }
    Ok(tap)
}

fn open_queue(name: &str, queues: u32, offload: bool) -> Result<(OwnedFd, String), Failure> {
    // SAFETY: a new descriptor, owned at once.
    let file = unsafe {
        let fd = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(no_tun(last_errno()));
        }
        OwnedFd::from_raw_fd(fd)
    };
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', '\0']) {
        return Err(Failure::new(Errno::EINVAL, format!("if={name} can not name an interface")));
    }
    // SAFETY: all-zero is a valid ifreq; the name fits with its NUL; the kernel writes a name back.
    unsafe {
        let mut ifr: libc::ifreq = core::mem::zeroed();
        core::ptr::copy_nonoverlapping(name.as_ptr().cast(), ifr.ifr_name.as_mut_ptr(), name.len());
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        flags |= if offload { libc::IFF_VNET_HDR } else { 0 };
        flags |= if queues > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
        ifr.ifr_ifru.ifru_flags = flags as _;
        if libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &mut ifr) < 0 {
            return Err(refused(last_errno(), name, queues));
        }
        let name = CStr::from_ptr(ifr.ifr_name.as_ptr()).to_string_lossy().into_owned();
        Ok((file, name))
    }
}

/// Says what the host may leave undone in frames to us; whether UDP segmentation is part of it.
fn set_offload(file: &OwnedFd, name: &str) -> Result<bool, Failure> {
    let failed = |what: &str| Failure::last_os(format_args!("{name}: {what}"));
    let size = size_of::<Offload>() as c_int;
    // SAFETY: the kernel reads an int.
    if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ as _, &size) } < 0 {
        return Err(failed("TUNSETVNETHDRSZ"));
    }
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    // SAFETY: the argument is a number.
    let accepted = |flags: c_ulong| unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD as _, flags) } == 0;
    if accepted(tcp | TUN_F_USO4 | TUN_F_USO6) {
        return Ok(true); // Linux 6.2
    }
    if accepted(tcp) { Ok(false) } else { Err(failed("TUNSETOFFLOAD")) }
}

fn no_tun(errno: Errno) -> Failure {
    let text = match errno {
        Errno::ENOENT | Errno::ENODEV => "the host has no /dev/net/tun (modprobe tun)".to_owned(),
        Errno::EACCES | Errno::EPERM => {
            "/dev/net/tun may not be opened by this user; without it, -d user needs no privilege".to_owned()
        }
        e => format!("/dev/net/tun: {e}"),
    };
    Failure::new(errno, text)
}

fn refused(errno: Errno, name: &str, queues: u32) -> Failure {
    let text = match errno {
        Errno::EPERM | Errno::EACCES => format!(
            "{name}: needs CAP_NET_ADMIN, or an interface made for this user \
             (ip tuntap add dev NAME mode tap user USER); without either, -d user needs no privilege"
        ),
        Errno::EBUSY => format!("{name}: another program is attached to it"),
        Errno::EINVAL => format!("{name}: is no tap interface, or was made for another number of queues than {queues}"),
        e => format!("{name}: {e}"),
    };
    Failure::new(errno, text)
}
