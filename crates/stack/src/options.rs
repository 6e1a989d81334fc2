//! Socket options in typed form, for every transport (socket(7), ip(7), ipv6(7), tcp(7), raw(7)).
//! The daemon translates `(level, name, bytes)` of a program into these and back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::LinkId;

/// One option and its value. `Stack::set_option` takes it; `Stack::option` is asked with any value
/// of the wanted variant and gives the current one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SockOpt {
    // SOL_SOCKET
    ReuseAddr(bool),
    ReusePort(bool),
    KeepAlive(bool),
    /// `None` is off; seconds otherwise.
    Linger(Option<u32>),
    /// Bytes as `getsockopt` shows them (twice what was set, socket(7)).
    RcvBuf(u32),
    SndBuf(u32),
    OobInline(bool),
    Broadcast(bool),
    DontRoute(bool),
    BindToDevice(Option<LinkId>),
    Priority(u32),
    Timestamp(bool),
    // IPPROTO_IP
    /// `None` is the system's default.
    Ttl(Option<u8>),
    Tos(u8),
    MtuDiscover(u8),
    /// Path MTU of a connected socket; read only.
    Mtu(u32),
    RecvErr(bool),
    FreeBind(bool),
    BindAddressNoPort(bool),
    HeaderIncluded(bool),
    RecvPktInfo(bool),
    RecvTtl(bool),
    RecvTos(bool),
    MulticastTtl(u8),
    MulticastLoop(bool),
    MulticastIf {
        addr: Option<Ipv4Addr>,
        link: Option<LinkId>,
    },
    JoinGroup {
        group: IpAddr,
        link: Option<LinkId>,
        addr: Option<Ipv4Addr>,
    },
    LeaveGroup {
        group: IpAddr,
        link: Option<LinkId>,
        addr: Option<Ipv4Addr>,
    },
    // IPPROTO_IPV6
    V6Only(bool),
    /// `None` is the system's default.
    UnicastHops(Option<u8>),
    TrafficClass(u8),
    RecvPktInfo6(bool),
    RecvHopLimit(bool),
    RecvTClass(bool),
    MulticastHops(u8),
    MulticastLoop6(bool),
    MulticastIf6(Option<LinkId>),
    MtuDiscover6(u8),
    /// Read: as `Mtu`. Set on datagram sockets: the largest fragment (RFC 3542 §11.1), 0 for none.
    Mtu6(u32),
    /// IPV6_DONTFRAG: EMSGSIZE instead of fragments.
    DontFragment6(bool),
    RecvErr6(bool),
    /// IPV6_CHECKSUM on raw sockets: offset, `None` is off.
    Checksum6(Option<u16>),
    // SOL_RAW, IPPROTO_ICMPV6
    /// Bit set = type is blocked.
    IcmpFilter(u32),
    Icmp6Filter([u32; 8]),
    // IPPROTO_TCP
    NoDelay(bool),
    Cork(bool),
    MaxSeg(u16),
    /// Seconds.
    KeepIdle(u32),
    KeepInterval(u32),
    KeepCount(u32),
    SynCount(u32),
    /// Seconds in FIN_WAIT_2; negative is none.
    Linger2(i32),
    /// Seconds; 0 is off.
    DeferAccept(u32),
    WindowClamp(u32),
    QuickAck(bool),
    /// Milliseconds; 0 is the default.
    UserTimeout(u32),
    Congestion(String),
}

impl SockOpt {
    /// Options of IPPROTO_IPV6 and above it, which IPv4 sockets do not have.
    pub fn is_v6(&self) -> bool {
        matches!(
            self,
            SockOpt::V6Only(_)
                | SockOpt::UnicastHops(_)
                | SockOpt::TrafficClass(_)
                | SockOpt::RecvPktInfo6(_)
                | SockOpt::RecvHopLimit(_)
                | SockOpt::RecvTClass(_)
                | SockOpt::MulticastHops(_)
                | SockOpt::MulticastLoop6(_)
                | SockOpt::MulticastIf6(_)
                | SockOpt::MtuDiscover6(_)
                | SockOpt::Mtu6(_)
                | SockOpt::DontFragment6(_)
                | SockOpt::RecvErr6(_)
                | SockOpt::Checksum6(_)
                | SockOpt::Icmp6Filter(_)
        )
    }
}

/// Where a datagram is to go, or came from, and what travelled beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendMeta {
    /// `None`: the connected peer.
    pub dst: Option<core::net::SocketAddr>,
    /// Packet information: source address and interface to use.
    pub src: Option<IpAddr>,
    pub link: Option<LinkId>,
    pub ttl: Option<u8>,
    pub tos: Option<u8>,
    pub dont_route: bool,
}

/// What a received datagram says beside its payload. All fields are always filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvMeta {
    /// Port 0 for raw sockets.
    pub src: core::net::SocketAddr,
    pub dst: IpAddr,
    pub link: LinkId,
    pub ttl: u8,
    pub tos: u8,
    /// It came to a broadcast or multicast address.
    pub group: bool,
}

/// `IPV6_V6ONLY` and family: what a socket was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    V4,
    V6,
}

impl Domain {
    pub fn unspecified(self) -> IpAddr {
        match self {
            Domain::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Domain::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}
