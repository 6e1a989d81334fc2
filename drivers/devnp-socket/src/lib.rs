//! `devnp-socket`: frames over a Unix datagram socket, one datagram a frame, as QEMU's
//! `-netdev dgram,local.type=unix,local.path=…,remote.type=unix,remote.path=…` speaks. Two instances, or
//! an instance and a virtual machine, are linked so without any privilege.
//!
//! Frames travel plain, as on a wire. The link is up while somebody holds the other end; a peer that goes
//! away and comes back is found again.

mod endpoint;
mod queue;
mod watch;

use core::ffi::CStr;
use std::sync::Arc;

use abi::{
    Caps, Counters, Driver, Errno, Failure, Host, Kind, Link, LinkInfo, LinkState, LinkStats, OptionSpec, Options,
    iopkt_driver, mac,
};

use endpoint::Endpoint;
use queue::SocketQueue;

/// A frame of 64 KiB with its Ethernet header in one datagram.
const MTU_MAX: u32 = 65_520;

struct Socket;

impl Driver for Socket {
    const NAME: &'static CStr = c"socket";
    const DESCRIPTION: &'static CStr = c"frames over a Unix datagram socket";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::new(c"local", Kind::Text, c"path of our socket"),
        OptionSpec::new(c"remote", Kind::Text, c"path of the peer's socket"),
        OptionSpec::new(c"fd", Kind::U32, c"instead: one end of a socket pair, inherited"),
        OptionSpec::END,
    ];

    fn attach(host: Host, options: &Options) -> Result<(), Failure> {
        let mtu = options.number_in("mtu", 68..=MTU_MAX)?.unwrap_or(1500);
        let (local, remote) = (options.text("local"), options.text("remote"));
        let (endpoint, description, seed) = match (local, remote, options.number("fd")) {
            (Some(local), Some(remote), None) => {
                let text = format!("unix datagrams {local} - {remote}");
                (Endpoint::open(local, remote)?, text, [local, remote].join(" - "))
            }
            (None, None, Some(fd)) => {
                let text = format!("unix datagrams on descriptor {fd}");
                (Endpoint::inherit(fd)?, text, String::new())
            }
            _ => return Err(Failure::new(Errno::EINVAL, "needs local= and remote=, or fd= alone")),
        };
        let own_mac = if seed.is_empty() { mac::random() } else { mac::derived(seed.as_bytes()) };
        let state = LinkState::new(endpoint.is_connected());
        let counters = Arc::new(Counters::default());
        let queue = SocketQueue::new(endpoint, Arc::clone(&counters), state.clone())?;
        let info = LinkInfo {
            base: None,
            description,
            media: None,
            mac: options.mac("mac").unwrap_or(own_mac),
            mtu,
            mtu_max: MTU_MAX,
            caps: Caps::default(),
            config: None,
        };
        host.add_link(&info, &state, SocketLink { counters }, vec![queue])
    }
}

iopkt_driver!(Socket);

struct SocketLink {
    counters: Arc<Counters>,
}

impl Link for SocketLink {
    type Queue = SocketQueue;

    /// Nothing filters here: the stack takes what it wants.
    fn set_mac(&self, _mac: [u8; 6]) -> Result<(), Errno> {
        Ok(())
    }

    /// Datagrams have no limit of their own below `MTU_MAX`.
    fn set_mtu(&self, _mtu: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn stats(&self) -> Result<LinkStats, Errno> {
        Ok(Counters::sum([&*self.counters]))
    }
}
