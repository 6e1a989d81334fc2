//! The host as a driver written in Rust sees it: logging, making links, reporting their state.

use core::ffi::{CStr, c_void};
use core::fmt;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};

use errno::Errno;

use crate::link::{self, Link};
use crate::options::OptionError;
use crate::raw;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Level::Error => raw::LOG_ERROR,
            Level::Warn => raw::LOG_WARN,
            Level::Info => raw::LOG_INFO,
            Level::Debug => raw::LOG_DEBUG,
        }
    }
}

/// Why a module could not be attached: one sentence that names the word that was wrong, and its errno.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub errno: Errno,
    pub text: String,
}

impl Failure {
    pub fn new(errno: Errno, text: impl Into<String>) -> Failure {
        Failure { errno, text: text.into() }
    }

    /// The last system call failed while doing `what`.
    pub fn last_os(what: impl fmt::Display) -> Failure {
        let errno = last_errno();
        Failure::new(errno, format!("{what}: {errno}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<OptionError> for Failure {
    fn from(e: OptionError) -> Failure {
        Failure::new(Errno::EINVAL, e.0)
    }
}

/// errno of the calling thread.
pub fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(Errno::EIO.0))
}

/// The daemon. Copied freely; usable from any thread of the driver until its last link is detached.
#[derive(Clone, Copy)]
pub struct Host {
    table: *const raw::iopkt_host,
    ctx: *mut c_void,
}

// SAFETY: the host promises that log and link_state may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// # Safety
    /// `table` and `ctx` are those of a driver's `attach`.
    pub unsafe fn new(table: *const raw::iopkt_host, ctx: *mut c_void) -> Host {
        Host { table, ctx }
    }

    fn table(&self) -> &raw::iopkt_host {
        // SAFETY: the host keeps its table for as long as the module may call.
        unsafe { &*self.table }
    }

    pub fn log(&self, level: Level, text: impl fmt::Display) {
        if let Some(log) = self.table().log {
            let text = c_text(text);
            // SAFETY: the host's own function, with its context and a string.
            unsafe { log(self.ctx, level.to_raw(), text.as_ptr()) };
        }
    }

    pub(crate) fn fail(&self, text: impl fmt::Display) {
        if let Some(fail) = self.table().fail {
            let text = c_text(text);
            // SAFETY: as in log.
            unsafe { fail(self.ctx, text.as_ptr()) };
        }
    }

    /// Makes a network interface of `link` and its queues. `state` is what the link reports through.
    pub fn add_link<L: Link>(
        &self,
        info: &LinkInfo,
        state: &LinkState,
        link: L,
        queues: Vec<L::Queue>,
    ) -> Result<(), Failure> {
        let refused = || Failure::new(Errno::EIO, "the host refused the link");
        let link_new = self.table().link_new.ok_or_else(refused)?;
        let queue_count = queues.len() as u32;
        let ctx = link::into_context(*self, state.clone(), link, queues);
        let text = LinkText::of(info);
        let config = info.config.as_ref().map(SuggestedConfig::to_raw);
        let raw_info = info.to_raw(&text, config.as_ref(), queue_count, state.is_up());
        // SAFETY: info, ops and strings live through the call; the context lives until ops.detach.
        let handle = unsafe { link_new(self.ctx, &raw_info, &link::Ops::<L>::TABLE, ctx) };
        if handle.is_null() {
            // SAFETY: the host has not kept the context, so this is its only use.
            unsafe { link::drop_context::<L>(ctx) };
            return Err(refused());
        }
        state.bind(*self, handle);
        Ok(())
    }
}

/// The text without NULs, of which a C string has only one.
pub(crate) fn c_text(text: impl fmt::Display) -> CString {
    let mut bytes = text.to_string().into_bytes();
    bytes.retain(|b| *b != 0);
    CString::new(bytes).unwrap_or_default()
}

/// What a link takes off the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    pub tx_csum: bool,
    pub rx_csum: bool,
    pub tso4: bool,
    pub tso6: bool,
    pub uso: bool,
    pub rx_gso: bool,
}

impl Caps {
    const BITS: [u32; 6] =
        [raw::CAP_TX_CSUM, raw::CAP_RX_CSUM, raw::CAP_TSO4, raw::CAP_TSO6, raw::CAP_USO, raw::CAP_RX_GSO];

    pub const ALL: Caps = Caps { tx_csum: true, rx_csum: true, tso4: true, tso6: true, uso: true, rx_gso: true };

    pub fn to_bits(self) -> u32 {
        let Caps { tx_csum, rx_csum, tso4, tso6, uso, rx_gso } = self;
        let set = [tx_csum, rx_csum, tso4, tso6, uso, rx_gso];
        Caps::BITS.iter().zip(set).filter(|(_, on)| *on).map(|(bit, _)| bit).sum()
    }

    pub fn from_bits(bits: u32) -> Caps {
        let [tx_csum, rx_csum, tso4, tso6, uso, rx_gso] = Caps::BITS.map(|bit| bits & bit != 0);
        Caps { tx_csum, rx_csum, tso4, tso6, uso, rx_gso }
    }
}

/// An address plan that works on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPlan<A> {
    pub addr: A,
    pub prefix_len: u8,
    pub gateway: A,
    pub dns: Option<A>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuggestedConfig {
    pub ipv4: Option<AddressPlan<core::net::Ipv4Addr>>,
    pub ipv6: Option<AddressPlan<core::net::Ipv6Addr>>,
}

impl SuggestedConfig {
    pub fn to_raw(&self) -> raw::iopkt_suggested_config {
        let v4 = self.ipv4.as_ref();
        let v6 = self.ipv6.as_ref();
        let (v4_bit, v6_bit) = (raw::CONFIG_IPV4, raw::CONFIG_IPV6);
        raw::iopkt_suggested_config {
            size: size_of::<raw::iopkt_suggested_config>() as u32,
            valid: v4.map_or(0, |_| v4_bit) | v6.map_or(0, |_| v6_bit),
            ipv4: v4.map_or([0; 4], |p| p.addr.octets()),
            ipv4_gateway: v4.map_or([0; 4], |p| p.gateway.octets()),
            ipv4_dns: v4.and_then(|p| p.dns).map_or([0; 4], |a| a.octets()),
            ipv4_prefix_len: v4.map_or(0, |p| p.prefix_len),
            ipv6_prefix_len: v6.map_or(0, |p| p.prefix_len),
            reserved: [0; 2],
            ipv6: v6.map_or([0; 16], |p| p.addr.octets()),
            ipv6_gateway: v6.map_or([0; 16], |p| p.gateway.octets()),
            ipv6_dns: v6.and_then(|p| p.dns).map_or([0; 16], |a| a.octets()),
        }
    }

    /// Prefix lengths too long for their family make that family invalid.
    pub fn from_raw(config: &raw::iopkt_suggested_config) -> SuggestedConfig {
        let ipv4 = (config.valid & raw::CONFIG_IPV4 != 0 && config.ipv4_prefix_len <= 32).then(|| AddressPlan {
            addr: config.ipv4.into(),
            prefix_len: config.ipv4_prefix_len,
            gateway: config.ipv4_gateway.into(),
            dns: (config.ipv4_dns != [0; 4]).then(|| config.ipv4_dns.into()),
        });
        let ipv6 = (config.valid & raw::CONFIG_IPV6 != 0 && config.ipv6_prefix_len <= 128).then(|| AddressPlan {
            addr: config.ipv6.into(),
            prefix_len: config.ipv6_prefix_len,
            gateway: config.ipv6_gateway.into(),
            dns: (config.ipv6_dns != [0; 16]).then(|| config.ipv6_dns.into()),
        });
        SuggestedConfig { ipv4, ipv6 }
    }
}

/// A link as the driver describes it. Its number of queues and its first state come with the queues
/// and the [`LinkState`].
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// The family's name ("fec"); `None`: "en".
    pub base: Option<String>,
    pub description: String,
    pub media: Option<String>,
    pub mac: [u8; 6],
    /// Bytes of IP in a frame.
    pub mtu: u32,
    pub mtu_max: u32,
    pub caps: Caps,
    pub config: Option<SuggestedConfig>,
}

/// C copies of a [`LinkInfo`]'s strings.
struct LinkText {
    base: Option<CString>,
    description: CString,
    media: Option<CString>,
}

impl LinkText {
    fn of(info: &LinkInfo) -> LinkText {
        LinkText {
            base: info.base.as_ref().map(c_text),
            description: c_text(&info.description),
            media: info.media.as_ref().map(c_text),
        }
    }
}

impl LinkInfo {
    fn to_raw(
        &self,
        text: &LinkText,
        config: Option<&raw::iopkt_suggested_config>,
        queues: u32,
        up: bool,
    ) -> raw::iopkt_link_info {
        let pointer = |s: &Option<CString>| s.as_ref().map_or(core::ptr::null(), |s| s.as_ptr());
        raw::iopkt_link_info {
            size: size_of::<raw::iopkt_link_info>() as u32,
            unit: raw::UNIT_ANY,
            base: pointer(&text.base),
            description: text.description.as_ptr(),
            media: pointer(&text.media),
            mac: self.mac,
            reserved: [0; 2],
            mtu: self.mtu,
            mtu_max: self.mtu_max,
            caps: self.caps.to_bits(),
            queues,
            up: up.into(),
            own_frames: 0,
            config: config.map_or(core::ptr::null(), |c| c),
        }
    }
}

/// Where a link's queues and threads report that it is up or down. Only changes reach the host.
/// Reports made before the link exists become its first state; those after its end are lost.
#[derive(Clone, Debug)]
pub struct LinkState(Arc<Mutex<Reported>>);

#[derive(Debug)]
struct Reported {
    up: bool,
    target: Option<(Host, *mut raw::iopkt_link)>,
}

// SAFETY: the handle is only passed back to the host, whose link_state takes calls from any thread.
unsafe impl Send for Reported {}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl LinkState {
    pub fn new(up: bool) -> LinkState {
        LinkState(Arc::new(Mutex::new(Reported { up, target: None })))
    }

    pub fn is_up(&self) -> bool {
        self.lock().up
    }

    /// From a thread of the driver's own, wake the queue's descriptor afterwards.
    pub fn set(&self, up: bool, media: Option<&CStr>) {
        let mut reported = self.lock();
        if reported.up != up || media.is_some() {
            reported.up = up;
            reported.tell(media);
        }
    }

    fn bind(&self, host: Host, link: *mut raw::iopkt_link) {
        let mut reported = self.lock();
        reported.target = Some((host, link));
        reported.tell(None);
    }

    pub(crate) fn unbind(&self) {
        self.lock().target = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reported {
    fn tell(&self, media: Option<&CStr>) {
        let Some((host, link)) = self.target else { return };
        if let Some(link_state) = host.table().link_state {
            // SAFETY: the handle is the host's own and its link is not detached: `unbind` comes first.
            unsafe { link_state(link, self.up.into(), media.map_or(core::ptr::null(), CStr::as_ptr)) };
        }
    }
}
