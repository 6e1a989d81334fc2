//! Configuration and state in structured form: what `ifconfig`, `route`, `netstat` and `mount -T
//! io-pkt` ask and are told. Encoded with postcard inside `call::Op::Config`.
//!
//! A table that may be long comes in pages: the request names where to go on (`from`), the reply
//! says where the next page begins (`next`).

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use errno::Errno;

/// Most rows of a table in one reply; keeps a reply under `call::MESSAGE_MAX`.
pub const PAGE_ROWS: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who answers: version, pid, prefix, variant, uptime.
    Status,
    Interfaces,
    /// Adds or changes an address.
    AddAddress {
        interface: String,
        address: InterfaceAddress,
    },
    DeleteAddress {
        interface: String,
        addr: IpAddr,
    },
    /// Sets and clears administrative flags (`IFF_UP`, `IFF_PROMISC`, `IFF_ALLMULTI`, `IFF_DEBUG`).
    SetFlags {
        interface: String,
        set: u32,
        clear: u32,
    },
    SetMtu {
        interface: String,
        mtu: u32,
    },
    SetLinkAddress {
        interface: String,
        mac: [u8; 6],
    },
    /// `ifconfig X destroy`: detaches the link.
    Destroy {
        interface: String,
    },
    /// `mount -T io-pkt`, and what `-d` does at start: loads a driver and attaches its links.
    MountDriver {
        name: String,
        options: String,
    },
    /// `-p NAME` and `mount -T io-pkt lsm-X.so`: loads a protocol module.
    MountProtocol {
        name: String,
        options: String,
    },
    Routes {
        from: u32,
    },
    AddRoute {
        route: Route,
        change: bool,
    },
    DeleteRoute {
        destination: IpAddr,
        prefix_len: u8,
        gateway: Option<IpAddr>,
    },
    FlushRoutes {
        ipv4: bool,
        ipv6: bool,
    },
    /// The route that a packet to this address would take.
    LookupRoute {
        destination: IpAddr,
    },
    Neighbours {
        from: u32,
    },
    SetNeighbour {
        interface: String,
        addr: IpAddr,
        mac: [u8; 6],
        permanent: bool,
    },
    DeleteNeighbour {
        interface: String,
        addr: IpAddr,
    },
    Sockets {
        from: u32,
    },
    /// Every counter that is not zero, by protocol.
    Statistics,
    Sysctls,
    SetSysctl {
        name: String,
        value: String,
    },
    /// Frames seen on a link, as pcap records. `socket` of the reply carries nothing; the capture
    /// comes over the descriptor that goes along with the request (a pipe or a file).
    Capture {
        interface: String,
        snaplen: u32,
    },
    /// Ends the daemon in good order.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    Done,
    /// The request could not be carried out; `text` is one sentence that names what was wrong.
    Error {
        errno: Errno,
        text: String,
    },
    Status(Status),
    Interfaces(Vec<Interface>),
    /// The names of the interfaces that came into being.
    Attached(Vec<String>),
    Routes {
        rows: Vec<Route>,
        next: Option<u32>,
    },
    Route(Option<Route>),
    Neighbours {
        rows: Vec<Neighbour>,
        next: Option<u32>,
    },
    Sockets {
        rows: Vec<SocketRow>,
        next: Option<u32>,
    },
    Statistics(Vec<CounterGroup>),
    Sysctls(Vec<Sysctl>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub prefix: String,
    /// `io-pkt-v6-hc`, `io-pkt-v4-hc` or `io-pkt-v6`.
    pub variant: String,
    pub uptime_s: u64,
    pub interfaces: u32,
    pub sockets: u32,
    pub threads: u32,
}

/// Interface flags, with the values and names of the original's `ifconfig` (BSD `<net/if.h>`).
pub mod iff {
    pub const UP: u32 = 0x1;
    pub const BROADCAST: u32 = 0x2;
    pub const DEBUG: u32 = 0x4;
    pub const LOOPBACK: u32 = 0x8;
    pub const POINTOPOINT: u32 = 0x10;
    pub const RUNNING: u32 = 0x40;
    pub const NOARP: u32 = 0x80;
    pub const PROMISC: u32 = 0x100;
    pub const ALLMULTI: u32 = 0x200;
    pub const SIMPLEX: u32 = 0x800;
    pub const MULTICAST: u32 = 0x8000;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// Values of [`iff`].
    pub flags: u32,
    /// Bytes.
    pub mtu: u32,
    pub mac: Option<[u8; 6]>,
    /// As the `media:` line shows it, such as `Ethernet autoselect (1000baseT full-duplex)`.
    pub media: String,
    pub driver: String,
    pub link_up: bool,
    /// Offloads in use: `tx-csum`, `rx-csum`, `tso4`, `tso6`, `uso`, `gro`.
    pub offloads: Vec<String>,
    pub addresses: Vec<InterfaceAddress>,
    pub counters: LinkCounters,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress {
    pub addr: IpAddr,
    pub prefix_len: u8,
    pub broadcast: Option<IpAddr>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// IPv6: duplicate address detection still runs (RFC 4862).
    pub tentative: bool,
    pub duplicated: bool,
    pub deprecated: bool,
    /// Made by address autoconfiguration.
    pub autoconf: bool,
    /// Remaining lifetimes in seconds; `None` is for ever.
    pub valid_s: Option<u32>,
    pub preferred_s: Option<u32>,
}

impl InterfaceAddress {
    pub fn new(addr: IpAddr, prefix_len: u8) -> InterfaceAddress {
        InterfaceAddress {
            addr,
            prefix_len,
            broadcast: None,
            peer: None,
            tentative: false,
            duplicated: false,
            deprecated: false,
            autoconf: false,
            valid_s: None,
            preferred_s: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub rx_multicast: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
    pub collisions: u64,
}

/// Route flags, with the letters that `netstat -r` prints.
pub mod rtf {
    /// U
    pub const UP: u32 = 0x1;
    /// G: the next hop is a gateway
    pub const GATEWAY: u32 = 0x2;
    /// H
    pub const HOST: u32 = 0x4;
    /// R: unreachable is answered
    pub const REJECT: u32 = 0x8;
    /// B: dropped without a word
    pub const BLACKHOLE: u32 = 0x1000;
    /// D: made by a redirect
    pub const DYNAMIC: u32 = 0x10;
    /// S: put in by hand
    pub const STATIC: u32 = 0x800;
    /// C: directly connected network
    pub const CONNECTED: u32 = 0x100;
    /// L: an address of our own
    pub const LOCAL: u32 = 0x20_0000;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub destination: IpAddr,
    pub prefix_len: u8,
    pub gateway: Option<IpAddr>,
    /// Interface name; `None` in a request lets the gateway decide.
    pub interface: Option<String>,
    /// Values of [`rtf`].
    pub flags: u32,
    /// Path MTU of this route in bytes, where it differs from the link's.
    pub mtu: Option<u32>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    pub uses: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub addr: IpAddr,
    pub interface: String,
    pub mac: Option<[u8; 6]>,
    /// `incomplete`, `reachable`, `stale`, `delay`, `probe`, `permanent`.
    pub state: String,
    pub router: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRow {
    /// `tcp`, `tcp6`, `udp`, `udp6`, `raw`, `raw6`, `icmp`, `icmp6`.
    pub protocol: String,
    /// Bytes received and not yet taken by the program.
    pub recv_queue: u64,
    /// Bytes not yet acknowledged by the peer; for a listener the connections that wait.
    pub send_queue: u64,
    pub local: Option<SocketAddr>,
    pub peer: Option<SocketAddr>,
    /// RFC 9293 state as `netstat` prints it (`ESTABLISHED`, `TIME_WAIT`, …); empty without one.
    pub state: String,
    /// Who opened it; 0 when no program holds it any more.
    pub pid: u32,
    pub uid: u32,
    /// How its bytes travel, and why: `pair` (or `pair (REASON)`), `ring`; empty when no program holds it.
    pub mode: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterGroup {
    /// `ip`, `ip6`, `icmp`, `icmp6`, `tcp`, `udp`, `arp`, …
    pub protocol: String,
    /// Sentence as `netstat -s` prints it after the number (`packets received`), and the number.
    pub counters: Vec<(String, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    pub name: String,
    pub value: String,
    pub writable: bool,
    pub help: String,
}

/// One address of one interface, as `getifaddrs(3)` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfAddr {
    pub index: u32,
    pub name: String,
    /// *Linux* interface flags (`<linux/if.h>`), not [`iff`].
    pub flags: u32,
    pub mtu: u32,
    pub mac: Option<[u8; 6]>,
    pub addr: Option<InterfaceAddress>,
}
