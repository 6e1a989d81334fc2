//! Routers and what they say (RFC 4861 §6.3, RFC 4862 §5.5, RFC 4191, RFC 8106).

use core::net::{IpAddr, Ipv6Addr};

use wire::addr::ALL_ROUTERS_V6;
use wire::ndp::{NdpMessage, NdpOption, NdpOptions, PrefixInfo, RouteInfo, RouterAdvert, RouterPreference};

use crate::frame::LinkId;
use crate::net::Net;
use crate::net::address::{Address, AddressOrigin, AddressState, with_eui64};
use crate::net::agenda::Task;
use crate::net::link::{ConfigEvent, MTU_MIN_V6};
use crate::net::neighbour::ndp::{HOP_LIMIT, source_mac};
use crate::net::route::{RouteEntry, network, rtf};
use crate::net::sysctl::Sysctl;
use crate::time::{Duration, Instant};

/// RFC 4861 §10
const MAX_RTR_SOLICITATIONS: u8 = 3;
const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// RFC 4861 §6.2.1: largest ReachableTime.
const REACHABLE_MAX_MS: u32 = 3_600_000;
/// Addresses formed for one link.
const AUTOCONF_ADDRESSES_MAX: usize = 16;
/// Resolvers kept for one link.
const RESOLVERS_MAX: usize = 8;
/// Metrics of what routers advertise: behind the operator's own.
const METRIC_PREFIX: u32 = 256;
const METRIC_HIGH: u32 = 512;
const METRIC_MEDIUM: u32 = 1024;
const METRIC_LOW: u32 = 2048;
/// Added for a router that does not answer (RFC 4861 §6.3.6).
const METRIC_UNREACHABLE: u32 = 1 << 16;

/// A resolver that a router named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolver {
    pub addr: Ipv6Addr,
    pub until: Instant,
}

fn metric(preference: RouterPreference) -> u32 {
    match preference {
        RouterPreference::High => METRIC_HIGH,
        RouterPreference::Medium => METRIC_MEDIUM,
        RouterPreference::Low => METRIC_LOW,
    }
}

/// The end of a lifetime in seconds, where all ones are for ever.
fn until(now: Instant, seconds: u32) -> Instant {
    if seconds == u32::MAX { Instant::FAR } else { now + Duration::from_secs(seconds.into()) }
}

impl Net {
    fn hears_routers(&self) -> bool {
        self.config.is_on(Sysctl::Ip6AcceptRa) && !self.config.forwards(false)
    }

    /// Begins to look for routers, if a source address is there; else the link-local address's
    /// verification does it.
    pub(super) fn look_for_routers(&mut self, now: Instant, link: LinkId) {
        if let Some(state) = self.state_mut(link) {
            state.autoconf.solicits_left = MAX_RTR_SOLICITATIONS;
        }
        if self.config.link_local(link).is_some() {
            self.solicit_routers(now, link);
        }
    }

    pub(super) fn solicit_routers(&mut self, now: Instant, link: LinkId) {
        if !self.hears_routers() {
            return;
        }
        let (Some(mac), Some(src)) = (self.config.link(link).map(|l| l.mac), self.config.link_local(link)) else {
            return;
        };
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        let autoconf = &mut state.autoconf;
        if autoconf.solicits_left == 0 {
            return;
        }
        autoconf.solicits_left -= 1;
        // RFC 4861 §6.3.7: after the last one another interval passes, in silence.
        if autoconf.solicits_left > 0 {
            self.agenda.set(&mut autoconf.solicit_at, now + RTR_SOLICITATION_INTERVAL, Task::RouterSolicit(link));
        }
        let mut buf = [0; 16];
        let n = NdpMessage::RouterSolicit.emit(&[NdpOption::SourceLinkAddr(mac)], src, ALL_ROUTERS_V6, &mut buf);
        self.counters.icmp6.rs_sent += 1;
        self.send_discovery(now, link, src, ALL_ROUTERS_V6, HOP_LIMIT, &mut buf[..n]);
    }

    /// `Task::RouterSolicit`.
    pub(in crate::net) fn router_solicit_passed(&mut self, now: Instant, link: LinkId) {
        if let Some(state) = self.state_mut(link) {
            state.autoconf.solicit_at = Instant::FAR;
            self.solicit_routers(now, link);
        }
    }

    pub(super) fn stop_soliciting(&mut self, link: LinkId) {
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        state.autoconf.solicits_left = 0;
        self.agenda.set(&mut state.autoconf.solicit_at, Instant::FAR, Task::RouterSolicit(link));
    }

    /// RFC 4861 §6.3.4
    pub(in crate::net) fn router_advertised(
        &mut self,
        now: Instant,
        link: LinkId,
        router: Ipv6Addr,
        advert: &RouterAdvert,
        options: &NdpOptions<'_>,
    ) {
        if !self.hears_routers() || self.config.is_local(router.into()) {
            return;
        }
        self.take_parameters(link, advert);
        if let Some(mac) = source_mac(options).filter(|m| !m.is_multicast()) {
            let news = self.neighbours.hear(now, link, router.into(), mac, true, &mut self.agenda);
            self.neighbour_news(news, false);
        }
        self.neighbours.set_router(link, router.into());
        self.learn_router(now, link, router, advert);
        for option in options.clone().flatten() {
            match option {
                NdpOption::Mtu(mtu) => self.take_mtu(link, mtu),
                NdpOption::PrefixInfo(info) => self.take_prefix(now, link, &info),
                NdpOption::RouteInfo(info) => self.take_route(now, link, router, &info),
                NdpOption::Rdnss { lifetime_s, servers } => {
                    for addr in servers.iter() {
                        self.take_resolver(now, link, addr, lifetime_s);
                    }
                }
                _ => {}
            }
        }
        // §6.3.7: a router is found.
        if advert.lifetime_s != 0 {
            self.stop_soliciting(link);
        }
    }

    fn take_parameters(&mut self, link: LinkId, advert: &RouterAdvert) {
        let Some(state) = self.states.get_mut((link.0 as usize).wrapping_sub(1)).and_then(Option::as_mut) else {
            return;
        };
        if advert.hop_limit != 0 {
            state.autoconf.hop_limit = Some(advert.hop_limit);
        }
        let base = Duration::from_millis(advert.reachable_ms.into());
        if advert.reachable_ms != 0 && advert.reachable_ms <= REACHABLE_MAX_MS && base != state.timing6.base_reachable {
            state.timing6.set_base(base, &mut self.random);
        }
        if advert.retrans_ms != 0 {
            // Not below what a timer can do, nor so long that nothing is ever found unreachable.
            state.timing6.retrans = Duration::from_millis(advert.retrans_ms.clamp(10, 60_000).into());
        }
    }

    fn take_mtu(&mut self, link: LinkId, mtu: u32) {
        let Some(config) = self.config.link(link) else { return };
        let mtu = Some(mtu).filter(|m| (MTU_MIN_V6..=config.mtu).contains(m));
        if mtu.is_some() && mtu != config.ra_mtu {
            self.change(|c| {
                if let Some(l) = c.link_mut(link) {
                    l.ra_mtu = mtu;
                }
            });
        }
    }

    fn learn_router(&mut self, now: Instant, link: LinkId, router: Ipv6Addr, advert: &RouterAdvert) {
        let gateway = Some(IpAddr::V6(router));
        let default = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let known = self
            .remove_routes(default, 0, |r| r.gateway == gateway && r.link == link && r.flags & rtf::DYNAMIC != 0)
            > 0;
        let name = || self.link_name(link).unwrap_or_default().to_owned();
        if advert.lifetime_s == 0 {
            if known {
                let event = ConfigEvent::RouterLost { link: name(), router: router.into() };
                self.event(event);
            }
            return;
        }
        let name = name();
        let expires = now + Duration::from_secs(advert.lifetime_s.into());
        let flags = rtf::UP | rtf::GATEWAY | rtf::DYNAMIC;
        let entry = RouteEntry {
            dst: default,
            prefix_len: 0,
            gateway,
            link,
            flags,
            mtu: None,
            source: None,
            expires,
            metric: metric(advert.preference),
        };
        if self.add_expiring_route(entry) && !known {
            self.event(ConfigEvent::RouterLearned { link: name, router: router.into() });
        }
    }

    /// A neighbour is no router any more: nothing goes by it.
    pub(in crate::net) fn router_lost(&mut self, link: LinkId, router: Ipv6Addr) {
        let gateway = Some(IpAddr::V6(router));
        let gone: Vec<RouteEntry> = self
            .config
            .routes6
            .iter()
            .filter(|r| r.gateway == gateway && r.link == link && r.flags & rtf::DYNAMIC != 0)
            .cloned()
            .collect();
        for route in &gone {
            self.remove_routes(route.dst, route.prefix_len, |r| r == route);
        }
        if !gone.is_empty() {
            let name = self.link_name(link).unwrap_or_default().to_owned();
            self.event(ConfigEvent::RouterLost { link: name, router: router.into() });
        }
    }

    /// RFC 4861 §6.3.6: a router that does not answer goes behind those that may.
    pub(in crate::net) fn router_unreachable(&mut self, link: LinkId, router: IpAddr) {
        let default = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        if self.config.routes6.exact(default, 0).len() < 2 {
            return;
        }
        let which = |r: &RouteEntry| {
            r.gateway == Some(router) && r.link == link && r.flags & rtf::DYNAMIC != 0 && r.metric < METRIC_UNREACHABLE
        };
        let Some(mut route) = self.config.routes6.exact(default, 0).iter().find(|r| which(r)).cloned() else { return };
        self.remove_routes(default, 0, which);
        route.metric += METRIC_UNREACHABLE;
        self.add_expiring_route(route);
    }

    fn take_prefix(&mut self, now: Instant, link: LinkId, info: &PrefixInfo) {
        let prefix = IpAddr::V6(info.prefix);
        if info.prefix.is_unicast_link_local() || info.prefix.is_multicast() {
            return; // RFC 4861 §6.3.4, RFC 4862 §5.5.3 b
        }
        if info.on_link {
            let dst = network(prefix, info.prefix_len);
            self.remove_routes(dst, info.prefix_len, |r| {
                r.link == link && r.gateway.is_none() && r.flags & rtf::DYNAMIC != 0
            });
            if info.valid_s != 0 {
                let flags = rtf::UP | rtf::CONNECTED | rtf::DYNAMIC;
                let expires = until(now, info.valid_s);
                self.add_expiring_route(RouteEntry {
                    dst,
                    prefix_len: info.prefix_len,
                    gateway: None,
                    link,
                    flags,
                    mtu: None,
                    source: None,
                    expires,
                    metric: METRIC_PREFIX,
                });
            }
        }
        // RFC 4862 §5.5.3: c, d
        if info.autonomous && info.preferred_s <= info.valid_s && info.prefix_len == 64 {
            self.autoconfigure(now, link, info);
        }
    }

    /// RFC 4862 §5.5.3 d, e
    fn autoconfigure(&mut self, now: Instant, link: LinkId, info: &PrefixInfo) {
        let Some(config) = self.config.link(link) else { return };
        let addr = with_eui64(info.prefix, config.mac);
        let (preferred_until, valid_until) = (until(now, info.preferred_s), until(now, info.valid_s));
        let formed = config.addresses.iter().filter(|a| a.origin == AddressOrigin::Autoconf).count();
        let Some(known) = config.addresses.iter().find(|a| a.addr == IpAddr::V6(addr)) else {
            if info.valid_s != 0 && formed < AUTOCONF_ADDRESSES_MAX {
                let name = config.name.clone();
                let address =
                    Address { preferred_until, valid_until, ..Address::new(addr.into(), 64, AddressOrigin::Autoconf) };
                self.insert_address(now, link, address);
                self.event(ConfigEvent::AddressLearned { link: name, addr: addr.into() });
            }
            return;
        };
        if known.origin != AddressOrigin::Autoconf {
            return;
        }
        // e: nobody may cut a lifetime below two hours at a blow.
        const TWO_HOURS: Duration = Duration::from_secs(7200);
        let remaining = known.valid_until;
        let valid_until = if valid_until > now + TWO_HOURS || valid_until > remaining {
            valid_until
        } else if remaining <= now + TWO_HOURS {
            remaining
        } else {
            now + TWO_HOURS
        };
        self.change(|c| {
            if let Some(a) = c.link_mut(link).and_then(|l| l.addresses.iter_mut().find(|a| a.addr == IpAddr::V6(addr)))
            {
                a.preferred_until = preferred_until;
                a.valid_until = valid_until;
                a.state = match a.state {
                    AddressState::Preferred | AddressState::Deprecated if preferred_until > now => {
                        AddressState::Preferred
                    }
                    AddressState::Preferred => AddressState::Deprecated,
                    other => other,
                };
            }
        });
        self.set_lifetime(
            link,
            addr.into(),
            if preferred_until > now { preferred_until.min(valid_until) } else { valid_until },
        );
    }

    /// RFC 4191 §3.1, hosts of type C.
    fn take_route(&mut self, now: Instant, link: LinkId, router: Ipv6Addr, info: &RouteInfo) {
        let (dst, gateway) = (network(info.prefix.into(), info.prefix_len), Some(IpAddr::V6(router)));
        if info.prefix_len == 0 || info.prefix.is_unicast_link_local() || info.prefix.is_multicast() {
            return;
        }
        self.remove_routes(dst, info.prefix_len, |r| {
            r.link == link && r.gateway == gateway && r.flags & rtf::DYNAMIC != 0
        });
        if info.lifetime_s != 0 {
            let flags = rtf::UP | rtf::GATEWAY | rtf::DYNAMIC;
            let expires = until(now, info.lifetime_s);
            self.add_expiring_route(RouteEntry {
                dst,
                prefix_len: info.prefix_len,
                gateway,
                link,
                flags,
                mtu: None,
                source: None,
                expires,
                metric: metric(info.preference),
            });
        }
    }

    fn take_resolver(&mut self, now: Instant, link: LinkId, addr: Ipv6Addr, lifetime_s: u32) {
        let Some(state) = self.state_mut(link) else { return };
        let resolvers = &mut state.autoconf.resolvers;
        resolvers.retain(|r| r.addr != addr && r.until > now);
        if lifetime_s != 0 && resolvers.len() < RESOLVERS_MAX {
            resolvers.push(Resolver { addr, until: until(now, lifetime_s) });
        }
    }

    /// Resolvers that the routers of a link named and that are still good.
    pub fn resolvers(&self, now: Instant, link: LinkId) -> impl Iterator<Item = Ipv6Addr> {
        self.state(link).into_iter().flat_map(|s| &s.autoconf.resolvers).filter(move |r| r.until > now).map(|r| r.addr)
    }
}
