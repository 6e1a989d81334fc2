//! What a link says will work on it (`abi::SuggestedConfig`), applied.

use std::net::IpAddr;

use stack::net::{RouteSpec, iff};
use stack::{Instant, LinkId, Stack};

use super::Attached;

/// Applies what a link says will work on it: addresses, default routes, name servers.
pub(super) fn apply(
    now: Instant,
    stack: &mut Stack,
    id: LinkId,
    config: &abi::SuggestedConfig,
    attached: &mut Attached,
) {
    let mut plans: Vec<(IpAddr, u8, IpAddr, Option<IpAddr>)> = Vec::new();
    if let Some(p) = config.ipv4 {
        plans.push((p.addr.into(), p.prefix_len, p.gateway.into(), p.dns.map(IpAddr::from)));
    }
    if let Some(p) = config.ipv6.filter(|_| stack.config().ipv6) {
        plans.push((p.addr.into(), p.prefix_len, p.gateway.into(), p.dns.map(IpAddr::from)));
    }
    if !plans.is_empty() {
        let _ = stack.net.set_admin_flags(now, id, iff::UP, 0);
    }
    for (addr, prefix_len, gateway, dns) in plans {
        if let Err(error) = stack.net.add_address(now, id, addr, prefix_len, None) {
            tracing::warn!("suggested address {addr}/{prefix_len}: {error}");
            continue;
        }
        let unspecified = if addr.is_ipv4() {
            IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED)
        };
        if !gateway.is_unspecified() {
            let route = RouteSpec {
                dst: unspecified,
                prefix_len: 0,
                gateway: Some(gateway),
                link: Some(id),
                flags: stack::net::rtf::STATIC,
                mtu: None,
                source: None,
            };
            if let Err(error) = stack.net.add_route(now, route, false) {
                tracing::warn!("suggested default route by {gateway}: {error}");
            }
        }
        attached.name_servers.extend(dns);
    }
}
