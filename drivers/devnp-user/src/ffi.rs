//! libslirp's C interface (libslirp.h 4.7, SlirpConfig version 4), as much as is used here.

use core::ffi::{c_char, c_int, c_void};

/// The version whose fields [`SlirpConfig`] ends with.
pub const CONFIG_VERSION: u32 = 4;

pub const HOSTFWD_UDP: c_int = 1;
pub const HOSTFWD_V6ONLY: c_int = 2;

pub const POLL_IN: c_int = 1;
pub const POLL_OUT: c_int = 2;
pub const POLL_PRI: c_int = 4;
pub const POLL_ERR: c_int = 8;
pub const POLL_HUP: c_int = 16;

#[repr(C)]
pub struct Slirp {
    _opaque: [u8; 0],
}

pub type TimerCb = Option<unsafe extern "C" fn(*mut c_void)>;
pub type AddPollCb = unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int;
pub type GetReventsCb = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

#[repr(C)]
pub struct SlirpCb {
    pub send_packet: unsafe extern "C" fn(*const c_void, usize, *mut c_void) -> isize,
    pub guest_error: unsafe extern "C" fn(*const c_char, *mut c_void),
    pub clock_get_ns: unsafe extern "C" fn(*mut c_void) -> i64,
    pub timer_new: Option<unsafe extern "C" fn(TimerCb, *mut c_void, *mut c_void) -> *mut c_void>,
    pub timer_free: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub timer_mod: unsafe extern "C" fn(*mut c_void, i64, *mut c_void),
    pub register_poll_fd: unsafe extern "C" fn(c_int, *mut c_void),
    pub unregister_poll_fd: unsafe extern "C" fn(c_int, *mut c_void),
    pub notify: unsafe extern "C" fn(*mut c_void),
    pub init_completed: unsafe extern "C" fn(*mut Slirp, *mut c_void),
    pub timer_new_opaque: unsafe extern "C" fn(c_int, *mut c_void, *mut c_void) -> *mut c_void,
}

#[repr(C)]
pub struct SlirpConfig {
    pub version: u32,
    pub restricted: c_int,
    pub in_enabled: bool,
    pub vnetwork: libc::in_addr,
    pub vnetmask: libc::in_addr,
    pub vhost: libc::in_addr,
    pub in6_enabled: bool,
    pub vprefix_addr6: libc::in6_addr,
    pub vprefix_len: u8,
    pub vhost6: libc::in6_addr,
    pub vhostname: *const c_char,
    pub tftp_server_name: *const c_char,
    pub tftp_path: *const c_char,
    pub bootfile: *const c_char,
    pub vdhcp_start: libc::in_addr,
    pub vnameserver: libc::in_addr,
    pub vnameserver6: libc::in6_addr,
    pub vdnssearch: *const *const c_char,
    pub vdomainname: *const c_char,
    pub if_mtu: usize,
    pub if_mru: usize,
    pub disable_host_loopback: bool,
    pub enable_emu: bool,
    pub outbound_addr: *const libc::sockaddr_in,
    pub outbound_addr6: *const libc::sockaddr_in6,
    pub disable_dns: bool,
    pub disable_dhcp: bool,
}

#[link(name = "slirp")]
unsafe extern "C" {
    pub fn slirp_new(config: *const SlirpConfig, callbacks: *const SlirpCb, opaque: *mut c_void) -> *mut Slirp;
    pub fn slirp_cleanup(slirp: *mut Slirp);
    pub fn slirp_pollfds_fill(slirp: *mut Slirp, timeout: *mut u32, add_poll: AddPollCb, opaque: *mut c_void);
    pub fn slirp_pollfds_poll(slirp: *mut Slirp, select_error: c_int, get_revents: GetReventsCb, opaque: *mut c_void);
    pub fn slirp_input(slirp: *mut Slirp, packet: *const u8, len: c_int);
    pub fn slirp_handle_timer(slirp: *mut Slirp, id: c_int, cb_opaque: *mut c_void);
    pub fn slirp_add_hostxfwd(
        slirp: *mut Slirp,
        host: *const libc::sockaddr,
        host_len: u32,
        guest: *const libc::sockaddr,
        guest_len: u32,
        flags: c_int,
    ) -> c_int;
    pub fn slirp_version_string() -> *const c_char;
}
