//! Neighbour discovery (RFC 4861) as messages of ICMPv6, with their options and the validity rules that need only the
//! message.

mod message;
mod options;

pub use message::{
    NEIGHBOR_ADVERT, NEIGHBOR_SOLICIT, NdpMessage, REDIRECT, ROUTER_ADVERT, ROUTER_SOLICIT, RouterAdvert,
};
pub use options::{NdpOption, NdpOptions, PrefixInfo, RouteInfo, RouterPreference};
