//! Neighbour discovery (RFC 4861) for hosts: solicitations, advertisements, redirects.

use core::net::{IpAddr, Ipv6Addr};

use wire::MacAddr;
use wire::addr::{ALL_NODES_V6, solicited_node};
use wire::ndp::{NdpMessage, NdpOption, NdpOptions};

use super::cache::Advert;
use crate::frame::LinkId;
use crate::net::link::ConfigEvent;
use crate::net::sysctl::Sysctl;
use crate::net::{Inbound, Net};
use crate::time::Instant;

/// Hop limit of all of neighbour discovery.
pub(in crate::net) const HOP_LIMIT: u8 = 255;
/// Options looked at in one message; more are a mistake or an attack.
pub(in crate::net) const OPTIONS_MAX: usize = 64;

impl Net {
    pub(in crate::net) fn ndp_input(&mut self, now: Instant, packet: &Inbound<'_>, src: Ipv6Addr, dst: Ipv6Addr) {
        let parsed = NdpMessage::parse(&packet.data).and_then(|(message, options)| {
            message.validate(&options, src, dst, packet.ttl)?;
            Ok((message, options))
        });
        let Ok((message, options)) = parsed else {
            let icmp = &mut self.counters.icmp6;
            match packet.data.first().copied().unwrap_or(0) {
                wire::ndp::ROUTER_SOLICIT => icmp.bad_rs += 1,
                wire::ndp::ROUTER_ADVERT => icmp.bad_ra += 1,
                wire::ndp::NEIGHBOR_SOLICIT => icmp.bad_ns += 1,
                wire::ndp::NEIGHBOR_ADVERT => icmp.bad_na += 1,
                _ => icmp.bad_redirect += 1,
            }
            return;
        };
        if options.clone().count() > OPTIONS_MAX {
            self.counters.icmp6.too_many_options += 1;
            return;
        }
        let link = packet.link;
        match message {
            NdpMessage::NeighborSolicit { target } => self.solicited(now, link, src, target, &options),
            NdpMessage::NeighborAdvert { router, solicited, override_, target } => {
                let advert =
                    Advert { mac: target_mac(&options), solicited, overrides: override_, router: Some(router) };
                self.neighbour_advertised(now, link, target, advert);
            }
            // We advertise nothing (yet), but the solicitor's address is worth knowing to routers only.
            NdpMessage::RouterSolicit => {}
            NdpMessage::RouterAdvert(advert) => {
                self.counters.icmp6.ra_received += 1;
                self.router_advertised(now, link, src, &advert, &options);
            }
            NdpMessage::Redirect { target, destination } => {
                self.counters.icmp6.redirects_received += 1;
                self.redirected(now, link, src, target, destination, &options);
            }
        }
    }

    fn solicited(&mut self, now: Instant, link: LinkId, src: Ipv6Addr, target: Ipv6Addr, options: &NdpOptions<'_>) {
        self.counters.icmp6.ns_received += 1;
        let Some(address) = self.config.address(link, target.into()) else { return };
        if !address.is_usable() {
            // RFC 4862 §5.4.3: somebody else probes for the address that we probe for, unless the
            // probe is our own come back (RFC 7527).
            if src.is_unspecified() && !self.is_own_probe(link, target, options) {
                self.dad_failed(now, link, target.into(), source_mac(options));
            }
            return;
        }
        let mac = source_mac(options);
        if let (Some(mac), false) = (mac, src.is_unspecified()) {
            if mac.is_multicast() {
                self.counters.icmp6.bad_ns += 1;
                return;
            }
            // RFC 4861 §7.2.3
            let news = self.neighbours.hear(now, link, src.into(), mac, true, &mut self.agenda);
            self.neighbour_news(news, false);
        }
        // RFC 4861 §7.2.4
        let (to, solicited) = if src.is_unspecified() { (ALL_NODES_V6, false) } else { (src, true) };
        self.advertise(now, link, target, to, solicited);
    }

    pub(in crate::net) fn advertise(
        &mut self,
        now: Instant,
        link: LinkId,
        target: Ipv6Addr,
        to: Ipv6Addr,
        solicited: bool,
    ) {
        let Some(mac) = self.config.link(link).map(|l| l.mac) else { return };
        let router = self.config.is_on(Sysctl::Ip6Forwarding);
        let message = NdpMessage::NeighborAdvert { router, solicited, override_: true, target };
        let mut buf = [0; 32];
        let n = message.emit(&[NdpOption::TargetLinkAddr(mac)], target, to, &mut buf);
        self.counters.icmp6.na_sent += 1;
        self.send_discovery(now, link, target, to, HOP_LIMIT, &mut buf[..n]);
    }

    fn neighbour_advertised(&mut self, now: Instant, link: LinkId, target: Ipv6Addr, advert: Advert) {
        self.counters.icmp6.na_received += 1;
        if advert.mac.is_some_and(|m| m.is_multicast()) {
            self.counters.icmp6.bad_na += 1;
            return;
        }
        if let Some(address) = self.config.address(link, target.into()) {
            let own = self.config.link(link).map(|l| l.mac);
            if !address.is_usable() {
                // RFC 4862 §5.4.4
                self.dad_failed(now, link, target.into(), advert.mac);
            } else if advert.mac != own {
                self.counters.icmp6.duplicates += 1;
                let name = self.link_name(link).unwrap_or_default().to_owned();
                self.event(ConfigEvent::Duplicate {
                    link: name,
                    addr: target.into(),
                    mac: advert.mac.unwrap_or_default(),
                });
            }
            return;
        }
        let Some(timing) = self.state(link).map(|s| s.timing6) else { return };
        let news = self.neighbours.advertised(now, link, target.into(), advert, &timing, &mut self.agenda);
        // RFC 4861 §7.2.5: a router no longer: whatever went by it goes another way.
        if news.ceased_router {
            self.router_lost(link, target);
        }
        self.neighbour_news(news, false);
    }

    /// RFC 4861 §8.3
    fn redirected(
        &mut self,
        now: Instant,
        link: LinkId,
        src: Ipv6Addr,
        target: Ipv6Addr,
        destination: Ipv6Addr,
        options: &NdpOptions<'_>,
    ) {
        let obeyed = self.config.is_on(Sysctl::Icmp6Redirects)
            && self.redirect(now, link, src.into(), destination.into(), target.into());
        if !obeyed {
            self.counters.icmp6.bad_redirect += 1;
            return;
        }
        if let Some(mac) = target_mac(options).filter(|m| !m.is_multicast()) {
            let news = self.neighbours.hear(now, link, target.into(), mac, true, &mut self.agenda);
            self.neighbour_news(news, false);
        }
        if target != destination {
            self.neighbours.set_router(link, target.into());
        }
    }

    /// Asks for a neighbour (RFC 4861 §7.2.2, §7.3.3).
    pub(in crate::net) fn ndp_solicit(
        &mut self,
        now: Instant,
        link: LinkId,
        target: Ipv6Addr,
        unicast: Option<MacAddr>,
    ) {
        let Some(mac) = self.config.link(link).map(|l| l.mac) else { return };
        let dst = if unicast.is_some() { target } else { solicited_node(target) };
        let candidates = self.config.addresses().filter(|(l, _)| *l == link);
        let Some(IpAddr::V6(src)) = crate::net::source::select(target.into(), target.into(), link, candidates) else {
            return;
        };
        let mut buf = [0; 32];
        let n = NdpMessage::NeighborSolicit { target }.emit(&[NdpOption::SourceLinkAddr(mac)], src, dst, &mut buf);
        self.counters.icmp6.ns_sent += 1;
        self.send_discovery(now, link, src, dst, HOP_LIMIT, &mut buf[..n]);
    }
}

pub(in crate::net) fn source_mac(options: &NdpOptions<'_>) -> Option<MacAddr> {
    options.clone().find_map(|o| if let Ok(NdpOption::SourceLinkAddr(mac)) = o { Some(mac) } else { None })
}

fn target_mac(options: &NdpOptions<'_>) -> Option<MacAddr> {
    options.clone().find_map(|o| if let Ok(NdpOption::TargetLinkAddr(mac)) = o { Some(mac) } else { None })
}
