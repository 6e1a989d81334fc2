//! One interface: what the kernel tells about it, and its MTU set (netdevice(7)).

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use abi::{Errno, Failure, last_errno};

use crate::media::{self, LinkSettings};

/// An Ethernet interface of the host.
pub struct Interface {
    pub name: String,
    pub index: i32,
    pub mac: [u8; 6],
    /// As it was when looked at.
    pub mtu: u32,
}

const ARPHRD_ETHER: u16 = 1;

impl Interface {
    /// The error for one that is not there lists those that are.
    pub fn find(name: &str) -> Result<Interface, Failure> {
        let have = || names().join(", ");
        let missing = || Failure::new(Errno::ENODEV, format!("no such interface \"{name}\"; interfaces: {}", have()));
        let request = Request::new(name).ok_or_else(missing)?;
        let index = request.index().map_err(|_| missing())?;
        let failed = |e: Errno| Failure::new(e, format!("{name}: {e}"));
        let (family, mac) = request.hardware_address().map_err(failed)?;
        if family != ARPHRD_ETHER {
            return Err(Failure::new(Errno::EINVAL, format!("{name} is not an Ethernet interface")));
        }
        Ok(Interface { name: name.to_owned(), index, mac, mtu: request.mtu().map_err(failed)? })
    }

    pub fn set_mtu(&self, mtu: u32) -> Result<(), Errno> {
        Request::new(&self.name).ok_or(Errno::EMFILE)?.set_mtu(mtu)
    }

    /// The medium as `ifconfig` shows it, such as `Ethernet autoselect (1000baseT full-duplex)`; `None` when the
    /// kernel can not tell its speed.
    pub fn media(&self) -> Option<String> {
        media_of(&self.name)
    }

    /// Up, and with a carrier.
    pub fn is_running(&self) -> bool {
        let flags = Request::new(&self.name).and_then(|r| r.flags().ok());
        flags.is_some_and(running)
    }
}

pub(crate) fn media_of(name: &str) -> Option<String> {
    media::text(&Request::new(name)?.link_settings()?)
}

pub(crate) fn running(flags: u32) -> bool {
    let both = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
    flags & both == both
}

/// The names of all interfaces.
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the list ends with a zero index and is freed once, after its strings were copied.
    unsafe {
        let list = libc::if_nameindex();
        let mut at = list;
        while !at.is_null() && (*at).if_index != 0 {
            names.push(CStr::from_ptr((*at).if_name).to_string_lossy().into_owned());
            at = at.add(1);
        }
        if !list.is_null() {
            libc::if_freenameindex(list);
        }
    }
    names
}

/// An ioctl about one interface.
struct Request {
    socket: OwnedFd,
    name: CString,
}

impl Request {
    /// `None`: such a name can not exist, or there are no descriptors left.
    fn new(name: &str) -> Option<Request> {
        let name = CString::new(name).ok().filter(|n| n.as_bytes_with_nul().len() <= libc::IFNAMSIZ)?;
        // SAFETY: a new descriptor, owned at once.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
        };
        Some(Request { socket, name })
    }

    fn ask(&self, request: libc::c_ulong) -> Result<libc::ifreq, Errno> {
        self.call(request, |_| {})
    }

    fn call(&self, request: libc::c_ulong, fill: impl FnOnce(&mut libc::ifreq)) -> Result<libc::ifreq, Errno> {
        // SAFETY: all-zero is a valid ifreq; the name was checked to fit with its NUL.
        unsafe {
            let mut ifr: libc::ifreq = core::mem::zeroed();
            let bytes = self.name.as_bytes_with_nul();
            core::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), ifr.ifr_name.as_mut_ptr(), bytes.len());
            fill(&mut ifr);
            match libc::ioctl(self.socket.as_raw_fd(), request as _, &mut ifr) {
                -1 => Err(last_errno()),
                _ => Ok(ifr),
            }
        }
    }

    fn set_mtu(&self, mtu: u32) -> Result<(), Errno> {
        let mtu = i32::try_from(mtu).map_err(|_| Errno::EINVAL)?;
        self.call(libc::SIOCSIFMTU, |ifr| ifr.ifr_ifru.ifru_mtu = mtu).map(|_| ())
    }

    /// ETHTOOL_GSET, which needs no privilege. `None`: the interface's driver does not say.
    fn link_settings(&self) -> Option<LinkSettings> {
        const SIOCETHTOOL: libc::c_ulong = 0x8946;
        let mut settings = LinkSettings::request();
        let at: *mut LinkSettings = &mut settings;
        self.call(SIOCETHTOOL, |ifr| ifr.ifr_ifru.ifru_data = at.cast()).ok()?;
        Some(settings)
    }

    // SAFETY, below: the kernel filled the member of the union that the request is about.

    fn index(&self) -> Result<i32, Errno> {
        Ok(unsafe { self.ask(libc::SIOCGIFINDEX)?.ifr_ifru.ifru_ifindex })
    }

    fn mtu(&self) -> Result<u32, Errno> {
        let mtu = unsafe { self.ask(libc::SIOCGIFMTU)?.ifr_ifru.ifru_mtu };
        u32::try_from(mtu).map_err(|_| Errno::EINVAL)
    }

    fn flags(&self) -> Result<u32, Errno> {
        Ok(u32::from(unsafe { self.ask(libc::SIOCGIFFLAGS)?.ifr_ifru.ifru_flags }.cast_unsigned()))
    }

    fn hardware_address(&self) -> Result<(u16, [u8; 6]), Errno> {
        let addr = unsafe { self.ask(libc::SIOCGIFHWADDR)?.ifr_ifru.ifru_hwaddr };
        let mut mac = [0; 6];
        mac.iter_mut().zip(addr.sa_data).for_each(|(to, from)| *to = from.cast_unsigned());
        Ok((addr.sa_family, mac))
    }
}
