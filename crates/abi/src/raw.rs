//! The C structures of `include/iopkt/module.h`, field by field, under the same names. What each field
//! means is written there, once. The test `c_header` compares sizes and offsets.

#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

pub const ABI_VERSION: u32 = 0;

pub const OPT_BOOL: u32 = 0;
pub const OPT_U32: u32 = 1;
pub const OPT_STRING: u32 = 2;
pub const OPT_MAC: u32 = 3;

pub const CSUM_PARTIAL: u8 = 1;
pub const CSUM_GOOD: u8 = 2;

pub const GSO_NONE: u8 = 0;
pub const GSO_TCPV4: u8 = 1;
pub const GSO_TCPV6: u8 = 4;
pub const GSO_UDP: u8 = 5;
pub const GSO_ECN: u8 = 0x80;

pub const CAP_TX_CSUM: u32 = 0x01;
pub const CAP_RX_CSUM: u32 = 0x02;
pub const CAP_TSO4: u32 = 0x04;
pub const CAP_TSO6: u32 = 0x08;
pub const CAP_USO: u32 = 0x10;
pub const CAP_RX_GSO: u32 = 0x20;

pub const CONFIG_IPV4: u32 = 1;
pub const CONFIG_IPV6: u32 = 2;

pub const UNIT_ANY: u32 = u32::MAX;
pub const QUEUES_MAX: u32 = 64;

pub const LINK_UP: u32 = 1;
pub const LINK_PROMISC: u32 = 2;
pub const LINK_ALLMULTI: u32 = 4;

pub const LOG_ERROR: u32 = 0;
pub const LOG_WARN: u32 = 1;
pub const LOG_INFO: u32 = 2;
pub const LOG_DEBUG: u32 = 3;

pub const LINK_NAME_MAX: usize = 16;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_option {
    pub name: *const c_char,
    pub help: *const c_char,
    pub kind: u32,
    pub reserved: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct iopkt_offload {
    pub flags: u8,
    pub gso_type: u8,
    pub hdr_len: u16,
    pub gso_size: u16,
    pub csum_start: u16,
    pub csum_offset: u16,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_pool {
    pub size: u32,
    pub memfd: i32,
    pub base: *mut u8,
    pub length: u64,
    pub stride: u32,
    pub headroom: u32,
    pub own_first: u32,
    pub own_count: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_memory {
    pub size: u32,
    pub reserved: u32,
    pub base: *const u8,
    pub length: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_rx {
    pub data: *mut u8,
    pub pool_offset: u64,
    pub room: u32,
    pub len: u32,
    pub offload: iopkt_offload,
    pub reserved: [u16; 3],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_tx {
    pub iov: *const libc::iovec,
    pub iov_count: u32,
    pub len: u32,
    pub offload: iopkt_offload,
    pub reserved: [u16; 3],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_suggested_config {
    pub size: u32,
    pub valid: u32,
    pub ipv4: [u8; 4],
    pub ipv4_gateway: [u8; 4],
    pub ipv4_dns: [u8; 4],
    pub ipv4_prefix_len: u8,
    pub ipv6_prefix_len: u8,
    pub reserved: [u8; 2],
    pub ipv6: [u8; 16],
    pub ipv6_gateway: [u8; 16],
    pub ipv6_dns: [u8; 16],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_link_info {
    pub size: u32,
    pub unit: u32,
    pub base: *const c_char,
    pub description: *const c_char,
    pub media: *const c_char,
    pub mac: [u8; 6],
    pub reserved: [u8; 2],
    pub mtu: u32,
    pub mtu_max: u32,
    pub caps: u32,
    pub queues: u32,
    pub up: u32,
    pub own_frames: u32,
    pub config: *const iopkt_suggested_config,
}

/// The stats structure and the bit of each optional counter, from one list.
macro_rules! link_stats {
    ($($name:ident = $bit:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct iopkt_link_stats {
            pub size: u32,
            pub reserved: u32,
            pub valid: u64,
            pub tx_packets: u64,
            pub tx_bytes: u64,
            pub rx_packets: u64,
            pub rx_bytes: u64,
            $(pub $name: u64,)*
        }

        impl iopkt_link_stats {
            /// The optional counters that the driver keeps, by name.
            pub fn kept(&self) -> impl Iterator<Item = (&'static str, u64)> {
                let valid = self.valid;
                [$((stringify!($name), $bit as u32, self.$name)),*]
                    .into_iter()
                    .filter(move |(_, bit, _)| valid & (1 << bit) != 0)
                    .map(|(name, _, value)| (name, value))
            }

            $(
                #[doc = concat!("Sets `", stringify!($name), "` and says that it is kept.")]
                #[must_use]
                pub fn $name(mut self, value: u64) -> Self {
                    self.$name = value;
                    self.valid |= 1 << $bit;
                    self
                }
            )*
        }
    };
}

link_stats! {
    tx_multicast = 0, tx_broadcast = 1, rx_multicast = 2, rx_broadcast = 3,
    tx_failed_allocs = 4, rx_failed_allocs = 5, rx_dropped = 6, tx_dropped = 7,
    align_errors = 8, single_collisions = 9, multi_collisions = 10, fcs_errors = 11,
    tx_deferred = 12, late_collisions = 13, xcoll_aborted = 14, internal_tx_errors = 15,
    no_carrier = 16, internal_rx_errors = 17, excessive_deferrals = 18,
    length_field_mismatch = 19, length_field_outrange = 20, oversized_packets = 21,
    sqe_errors = 22, symbol_errors = 23, jabber_detected = 24, short_packets = 25,
    total_collision_frames = 26, dribble_bits = 27,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_link_ops {
    pub size: u32,
    pub reserved: u32,
    pub fd: Option<unsafe extern "C" fn(*mut c_void, u32) -> c_int>,
    pub rx: Option<unsafe extern "C" fn(*mut c_void, u32, *mut iopkt_rx, u32) -> c_int>,
    pub tx: Option<unsafe extern "C" fn(*mut c_void, u32, *const iopkt_tx, u32) -> c_int>,
    pub tx_fd: Option<unsafe extern "C" fn(*mut c_void, u32) -> c_int>,
    pub set_flags: Option<unsafe extern "C" fn(*mut c_void, u32) -> c_int>,
    pub multicast: Option<unsafe extern "C" fn(*mut c_void, *const [u8; 6], u32) -> c_int>,
    pub set_mac: Option<unsafe extern "C" fn(*mut c_void, *const u8) -> c_int>,
    pub set_mtu: Option<unsafe extern "C" fn(*mut c_void, u32) -> c_int>,
    pub stats: Option<unsafe extern "C" fn(*mut c_void, *mut iopkt_link_stats) -> c_int>,
    pub pool: Option<unsafe extern "C" fn(*mut c_void, u32, *const iopkt_pool) -> c_int>,
    pub detach: Option<unsafe extern "C" fn(*mut c_void)>,
    pub memory: Option<unsafe extern "C" fn(*mut c_void, u32, *mut iopkt_memory) -> c_int>,
    pub rx_done: Option<unsafe extern "C" fn(*mut c_void, u32)>,
}

/// The host's name for a link; only the host knows what it points to.
#[repr(C)]
pub struct iopkt_link {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct iopkt_host {
    pub abi_version: u32,
    pub size: u32,
    pub log: Option<unsafe extern "C" fn(*mut c_void, u32, *const c_char)>,
    pub fail: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
    pub option: Option<unsafe extern "C" fn(*mut c_void, *const c_char, u32) -> *const c_char>,
    pub option_u32: Option<unsafe extern "C" fn(*mut c_void, *const c_char, u32) -> u32>,
    pub link_new: Option<
        unsafe extern "C" fn(
            *mut c_void,
            *const iopkt_link_info,
            *const iopkt_link_ops,
            *mut c_void,
        ) -> *mut iopkt_link,
    >,
    pub link_state: Option<unsafe extern "C" fn(*mut iopkt_link, c_int, *const c_char)>,
}

#[repr(C)]
pub struct iopkt_driver {
    pub abi_version: u32,
    pub size: u32,
    pub name: *const c_char,
    pub description: *const c_char,
    pub options: *const iopkt_option,
    pub attach: Option<unsafe extern "C" fn(*const iopkt_host, *mut c_void, *const c_char) -> c_int>,
}

// SAFETY: the structure is constant; its pointers name constant strings and tables.
unsafe impl Sync for iopkt_driver {}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct iopkt_link_desc {
    pub index: u32,
    pub mtu: u32,
    pub up: u32,
    pub mac: [u8; 6],
    pub reserved: [u8; 2],
    pub name: [c_char; LINK_NAME_MAX],
}

pub type iopkt_input_fn = Option<unsafe extern "C" fn(*mut c_void, u32, *const u8, u32)>;
pub type iopkt_timer_fn = Option<unsafe extern "C" fn(*mut c_void)>;

#[repr(C)]
pub struct iopkt_stack {
    pub abi_version: u32,
    pub size: u32,
    pub log: Option<unsafe extern "C" fn(*mut c_void, u32, *const c_char)>,
    pub fail: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
    pub option: Option<unsafe extern "C" fn(*mut c_void, *const c_char, u32) -> *const c_char>,
    pub option_u32: Option<unsafe extern "C" fn(*mut c_void, *const c_char, u32) -> u32>,
    pub register_ethertype: Option<unsafe extern "C" fn(*mut c_void, u16, iopkt_input_fn, *mut c_void) -> c_int>,
    pub register_ipproto: Option<unsafe extern "C" fn(*mut c_void, u8, iopkt_input_fn, *mut c_void) -> c_int>,
    pub transmit: Option<unsafe extern "C" fn(*mut c_void, u32, *const u8, u32) -> c_int>,
    pub links: Option<unsafe extern "C" fn(*mut c_void, *mut iopkt_link_desc, u32) -> c_int>,
    pub timer: Option<unsafe extern "C" fn(*mut c_void, u32, iopkt_timer_fn, *mut c_void) -> c_int>,
}

#[repr(C)]
pub struct iopkt_protocol {
    pub abi_version: u32,
    pub size: u32,
    pub name: *const c_char,
    pub description: *const c_char,
    pub options: *const iopkt_option,
    pub attach: Option<unsafe extern "C" fn(*const iopkt_stack, *mut c_void, *const c_char, *mut *mut c_void) -> c_int>,
    pub detach: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: as for iopkt_driver.
unsafe impl Sync for iopkt_protocol {}
