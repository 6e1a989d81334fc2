//! The switches of sysctl(8) that this part of the engine obeys. One that nothing obeys is not here.

use errno::Errno;

/// A switch: its name, default and bounds.
#[derive(Clone, Copy, Debug)]
pub struct SysctlInfo {
    pub name: &'static str,
    pub default: i64,
    pub min: i64,
    pub max: i64,
    pub about: &'static str,
}

macro_rules! sysctls {
    ($($id:ident = $name:literal, $default:literal in $min:literal..=$max:literal, $about:literal;)*) => {
        /// Names a switch.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(clippy::enum_variant_names)]
        pub enum Sysctl { $($id,)* }

        const TABLE: &[SysctlInfo] = &[
            $(SysctlInfo { name: $name, default: $default, min: $min, max: $max, about: $about },)*
        ];
    };
}

sysctls! {
    Ip4Ttl = "net.inet.ip.ttl", 64 in 1..=255, "TTL of packets sent";
    Ip4Forwarding = "net.inet.ip.forwarding", 0 in 0..=1, "forward IPv4 packets between links";
    Icmp4Redirects = "net.inet.icmp.rediraccept", 1 in 0..=1, "obey ICMP redirects";
    Icmp4ErrorRate = "net.inet.icmp.errppslimit", 100 in 0..=1000000, "ICMP errors sent a second";
    Icmp4BroadcastEcho = "net.inet.icmp.bmcastecho", 0 in 0..=1, "answer echo requests sent to groups";
    PathMtu4 = "net.inet.ip.mtudisc", 1 in 0..=1, "obey ICMP fragmentation needed";
    PortFirst = "net.inet.ip.anonportmin", 49152 in 1024..=65535, "first port chosen for a socket";
    PortLast = "net.inet.ip.anonportmax", 65535 in 1024..=65535, "last port chosen for a socket";
    PortReserved = "net.inet.ip.lowportmax", 1023 in 0..=65535, "last port that only a privileged user may bind";
    Ip6HopLimit = "net.inet6.ip6.hlim", 64 in 1..=255, "hop limit of packets sent";
    Ip6Forwarding = "net.inet6.ip6.forwarding", 0 in 0..=1, "forward IPv6 packets between links";
    Ip6AcceptRa = "net.inet6.ip6.accept_rtadv", 1 in 0..=1, "configure from router advertisements";
    Ip6AutoLinkLocal = "net.inet6.ip6.auto_linklocal", 1 in 0..=1, "give each link a link-local address";
    Ip6DadCount = "net.inet6.ip6.dad_count", 1 in 0..=16, "probes before an address is used";
    Ip6V6Only = "net.inet6.ip6.v6only", 0 in 0..=1, "IPv6 sockets start as IPV6_V6ONLY";
    Icmp6Redirects = "net.inet6.icmp6.rediraccept", 1 in 0..=1, "obey ICMPv6 redirects";
    Icmp6ErrorRate = "net.inet6.icmp6.errppslimit", 100 in 0..=1000000, "ICMPv6 errors sent a second";
}

/// The values of all switches.
#[derive(Clone, Debug)]
pub struct Sysctls {
    values: [i64; TABLE.len()],
}

impl Default for Sysctls {
    fn default() -> Sysctls {
        let mut values = [0; TABLE.len()];
        for (value, info) in values.iter_mut().zip(TABLE) {
            *value = info.default;
        }
        Sysctls { values }
    }
}

impl Sysctls {
    pub fn value(&self, which: Sysctl) -> i64 {
        self.values[which as usize]
    }

    pub fn is_on(&self, which: Sysctl) -> bool {
        self.value(which) != 0
    }

    /// Errors: ENOENT (no such switch), EINVAL (out of bounds).
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), Errno> {
        let index = TABLE.iter().position(|info| info.name == name).ok_or(Errno::ENOENT)?;
        if value < TABLE[index].min || value > TABLE[index].max {
            return Err(Errno::EINVAL);
        }
        self.values[index] = value;
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static SysctlInfo, i64)> {
        TABLE.iter().zip(self.values)
    }
}
