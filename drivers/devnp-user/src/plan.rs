//! The options as an address plan and a list of port forwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::{AddressPlan, Errno, Failure, Options, SuggestedConfig};

/// Who is who on the virtual network: the last numbers of host, name server and first guest, as every
/// user of libslirp has them.
const HOST: u32 = 2;
const NAME_SERVER: u32 = 3;
const GUEST: u32 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net4 {
    pub network: Ipv4Addr,
    pub prefix_len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net6 {
    pub network: Ipv6Addr,
    pub prefix_len: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub v4: Option<Net4>,
    pub v6: Option<Net6>,
    /// A name server of the operator's choice, instead of the virtual one.
    dns: Option<IpAddr>,
    pub forwards: Vec<Forward>,
    pub restrict: bool,
    pub disable_host_loopback: bool,
}

/// A port of the host that leads to one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub udp: bool,
    pub host: SocketAddr,
    pub guest: SocketAddr,
    /// As the operator wrote it.
    pub text: String,
}

impl Net4 {
    fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | n)
    }

    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX << (32 - self.prefix_len))
    }

    pub fn host(self) -> Ipv4Addr {
        self.nth(HOST)
    }

    pub fn name_server(self) -> Ipv4Addr {
        self.nth(NAME_SERVER)
    }

    pub fn guest(self) -> Ipv4Addr {
        self.nth(GUEST)
    }
}

impl Net6 {
    fn nth(self, n: u32) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.network) | u128::from(n))
    }

    pub fn host(self) -> Ipv6Addr {
        self.nth(HOST)
    }

    pub fn name_server(self) -> Ipv6Addr {
        self.nth(NAME_SERVER)
    }

    pub fn guest(self) -> Ipv6Addr {
        self.nth(GUEST)
    }
}

impl Plan {
    pub fn parse(options: &Options) -> Result<Plan, Failure> {
        let v4 = parse_net4(options.text("net").unwrap_or("10.0.2.0/24"))?;
        let v6 = parse_net6(options.text("prefix6").unwrap_or("fd00::/64"))?;
        let dns = options.text("dns").map(|d| d.parse().map_err(|_| wrong(format!("dns={d} is no IP address"))));
        let mut plan = Plan {
            v4: options.flag("ipv4", true).then_some(v4),
            v6: options.flag("ipv6", true).then_some(v6),
            dns: dns.transpose()?,
            forwards: Vec::new(),
            restrict: options.flag("restrict", false),
            disable_host_loopback: options.flag("disable-host-loopback", false),
        };
        if plan.v4.is_none() && plan.v6.is_none() {
            return Err(wrong("ipv4=off and ipv6=off leave no network".to_owned()));
        }
        plan.forwards = options.all("hostfwd").map(|f| plan.parse_forward(f)).collect::<Result<_, _>>()?;
        Ok(plan)
    }

    pub fn suggested(&self) -> SuggestedConfig {
        let dns4 = self.dns.and_then(|d| if let IpAddr::V4(d) = d { Some(d) } else { None });
        let dns6 = self.dns.and_then(|d| if let IpAddr::V6(d) = d { Some(d) } else { None });
        let own = self.dns.is_none();
        SuggestedConfig {
            ipv4: self.v4.map(|n| AddressPlan {
                addr: n.guest(),
                prefix_len: n.prefix_len,
                gateway: n.host(),
                dns: dns4.or(own.then(|| n.name_server())),
            }),
            ipv6: self.v6.map(|n| AddressPlan {
                addr: n.guest(),
                prefix_len: n.prefix_len,
                gateway: n.host(),
                dns: dns6.or(own.then(|| n.name_server())),
            }),
        }
    }

    /// `tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT`, the addresses of IPv6 in brackets.
    fn parse_forward(&self, text: &str) -> Result<Forward, Failure> {
        let form = || wrong(format!("hostfwd={text} is not tcp|udp:[host address]:port-[our address]:port"));
        let (kind, rest) = text.split_once(':').ok_or_else(form)?;
        let udp = match kind {
            "tcp" => false,
            "udp" => true,
            _ => return Err(form()),
        };
        let (host, guest) = rest.split_once('-').ok_or_else(form)?;
        // A host address left out is the loopback: opening a port to the world is worth writing 0.0.0.0.
        let host = parse_end(host, || Some(Ipv4Addr::LOCALHOST.into())).ok_or_else(form)?;
        let ours = || match host.ip() {
            IpAddr::V4(_) => self.v4.map(|n| n.guest().into()),
            IpAddr::V6(_) => self.v6.map(|n| n.guest().into()),
        };
        let guest = parse_end(guest, ours).ok_or_else(form)?;
        if host.is_ipv4() != guest.is_ipv4() {
            return Err(wrong(format!("hostfwd={text}: both addresses must be of the same family")));
        }
        if guest.port() == 0 {
            return Err(form());
        }
        Ok(Forward { udp, host, guest, text: text.to_owned() })
    }
}

/// "ADDR:PORT", "[ADDR6]:PORT" or ":PORT".
fn parse_end(text: &str, otherwise: impl FnOnce() -> Option<IpAddr>) -> Option<SocketAddr> {
    let (addr, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let addr = match addr.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None if addr.is_empty() => otherwise()?,
        None => addr.parse::<Ipv4Addr>().ok()?.into(),
    };
    Some(SocketAddr::new(addr, port))
}

fn parse_net4(text: &str) -> Result<Net4, Failure> {
    let form = || wrong(format!("net={text} is no IPv4 network of /8 to /27, such as 10.0.2.0/24"));
    let (network, prefix_len) = text.split_once('/').ok_or_else(form)?;
    let (network, prefix_len) = (network.parse().map_err(|_| form())?, prefix_len.parse().map_err(|_| form())?);
    let net = Net4 { network, prefix_len };
    // .15 must fit, and bits beyond the prefix would be lost silently.
    if !(8..=27).contains(&prefix_len) || u32::from(network) & !u32::from(net.mask()) != 0 {
        return Err(form());
    }
    Ok(net)
}

fn parse_net6(text: &str) -> Result<Net6, Failure> {
    let form = || wrong(format!("prefix6={text} is no IPv6 prefix of /64, such as fd00::/64"));
    let (network, prefix_len) = text.split_once('/').ok_or_else(form)?;
    let (network, prefix_len): (Ipv6Addr, u8) =
        (network.parse().map_err(|_| form())?, prefix_len.parse().map_err(|_| form())?);
    if prefix_len != 64 || u128::from(network) as u64 != 0 {
        return Err(form());
    }
    Ok(Net6 { network, prefix_len })
}

fn wrong(text: String) -> Failure {
    Failure::new(Errno::EINVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Kind;
    use abi::options::Known;

    fn plan(text: &str) -> Result<Plan, Failure> {
        let keys = [
            ("net", Kind::Text),
            ("prefix6", Kind::Text),
            ("dns", Kind::Text),
            ("hostfwd", Kind::Text),
            ("ipv4", Kind::Bool),
            ("ipv6", Kind::Bool),
        ];
        let known = keys.map(|(name, kind)| Known { name: name.into(), kind, help: String::new() });
        Plan::parse(&Options::parse(text, &known).unwrap())
    }

    #[test]
    fn the_plan_without_options_is_the_one_everybody_knows() {
        let v4 = plan("").unwrap().suggested().ipv4.unwrap();
        assert_eq!(v4.addr, Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!((v4.gateway, v4.dns), (Ipv4Addr::new(10, 0, 2, 2), Some(Ipv4Addr::new(10, 0, 2, 3))));
        let v6 = plan("").unwrap().suggested().ipv6.unwrap();
        assert_eq!((v6.addr, v6.prefix_len), ("fd00::f".parse().unwrap(), 64));
        assert!(plan("ipv6=off").unwrap().suggested().ipv6.is_none());
    }

    #[test]
    fn another_network_and_name_server() {
        let p = plan("net=192.168.76.0/27,dns=9.9.9.9").unwrap().suggested();
        let v4 = p.ipv4.unwrap();
        assert_eq!((v4.addr, v4.prefix_len), (Ipv4Addr::new(192, 168, 76, 15), 27));
        assert_eq!(v4.dns, Some(Ipv4Addr::new(9, 9, 9, 9)));
        assert_eq!(p.ipv6.unwrap().dns, None);
        for bad in ["net=10.0.2.1/24", "net=10.0.2.0/28", "net=10.0.2.0", "net=x/24", "prefix6=fd00::/48", "dns=one"] {
            assert!(plan(bad).is_err(), "{bad}");
        }
        assert!(plan("ipv4=off ipv6=off").is_err());
    }

    #[test]
    fn forwards_in_all_their_forms() {
        let p = plan("hostfwd=tcp::8080-:80 hostfwd=udp:0.0.0.0:53-10.0.2.15:5353 hostfwd=tcp:[::1]:22-:22").unwrap();
        let ends: Vec<_> = p.forwards.iter().map(|f| format!("{} {} {}", f.udp, f.host, f.guest)).collect();
        assert_eq!(
            ends,
            ["false 127.0.0.1:8080 10.0.2.15:80", "true 0.0.0.0:53 10.0.2.15:5353", "false [::1]:22 [fd00::f]:22"]
        );
        for bad in [
            "hostfwd=tcp:8080-80",
            "hostfwd=sctp::1-:1",
            "hostfwd=tcp::1",
            "hostfwd=tcp::1-:0",
            "hostfwd=tcp:::1:22-:22",
            "hostfwd=tcp::99999-:1",
            "hostfwd=tcp:[::1]:1-10.0.2.15:1",
            "ipv6=off,hostfwd=tcp:[::]:1-:1",
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}
