//! `devnp-user`: a network behind a NAT that is made of the host's ordinary sockets (libslirp), so that
//! no privilege is needed at all. Connections outward, UDP, ping where the host lets its users ping, a
//! name server and a DHCP server on the virtual network, and ports of the host that lead inward.
//!
//! On 10.0.2.0/24 (or `net=`) the host is .2 (and stands for the host's own loopback), the name server
//! .3, and we are .15; likewise with IPv6. The link offers that plan for configuration.
//!
//! libslirp runs on a thread of its own; frames cross in memory ([`mailbox`]).

mod address;
mod ffi;
mod mailbox;
mod nat;
mod plan;

use core::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{
    Caps, Counters, Driver, Errno, Failure, Host, Kind, Level, Link, LinkInfo, LinkState, LinkStats, Offload,
    OptionSpec, Options, Queue, RxSlot, TxPacket, iopkt_driver, mac, raw,
};

use mailbox::Batch;
use nat::{Crossing, Nat};
use plan::Plan;

/// libslirp's limits (IF_MTU_MIN, IF_MTU_MAX less one, as is custom).
const MTU_MIN: u32 = 68;
const MTU_MAX: u32 = 65_520;

/// Its TCP scales no windows, so 64 KiB are in flight at most. Two frames to a window keep it moving
/// without waiting for a delayed acknowledgement, and were the fastest in measurement (6.5 Gbit/s towards
/// us, where 1,500 gave 1.8, 16,384 gave 4.3 and 65,520 gave 6.2).
const MTU_DEFAULT: u32 = 32_768;

struct User;

impl Driver for User {
    const NAME: &'static CStr = c"user";
    const DESCRIPTION: &'static CStr = c"user-mode NAT on the host's sockets";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::new(c"net", Kind::Text, c"the virtual IPv4 network (10.0.2.0/24)"),
        OptionSpec::new(c"ipv4", Kind::Bool, c"IPv4 (on)"),
        OptionSpec::new(c"ipv6", Kind::Bool, c"IPv6 (on)"),
        OptionSpec::new(c"prefix6", Kind::Text, c"the virtual IPv6 network (fd00::/64)"),
        OptionSpec::new(c"dns", Kind::Text, c"name server to suggest (the virtual one, .3)"),
        OptionSpec::new(c"hostfwd", Kind::Text, c"tcp|udp:[host address]:port-[our address]:port; repeatable"),
        OptionSpec::new(c"restrict", Kind::Bool, c"nothing outward, only forwards (off)"),
        OptionSpec::new(c"disable-host-loopback", Kind::Bool, c"the host's loopback can not be reached (off)"),
        OptionSpec::END,
    ];

    fn attach(host: Host, options: &Options) -> Result<(), Failure> {
        let plan = Plan::parse(options)?;
        let mtu = options.number_in("mtu", MTU_MIN..=MTU_MAX)?.unwrap_or(MTU_DEFAULT);
        let crossing = Crossing::new()?;
        let state = LinkState::new(true);
        let counters = Arc::new(Counters::default());
        let nat = Nat::start(host, &plan, mtu, Arc::clone(&crossing), state.clone())?;
        let network = plan.v4.map(|n| format!("{}/{}", n.network, n.prefix_len));
        let network6 = plan.v6.map(|n| format!("{}/{}", n.network, n.prefix_len));
        let networks = [network, network6].into_iter().flatten().collect::<Vec<_>>().join(" and ");
        for forward in &plan.forwards {
            host.log(Level::Info, format_args!("{} leads to {}", forward.host, forward.guest));
        }
        let info = LinkInfo {
            base: None,
            description: format!("user-mode NAT, {networks}"),
            media: None,
            mac: options.mac("mac").unwrap_or_else(|| mac::derived(format!("iopkt user {networks}").as_bytes())),
            mtu,
            mtu_max: mtu,
            // Frames come from memory, never from a wire.
            caps: Caps { rx_csum: true, ..Caps::default() },
            config: Some(plan.suggested()),
        };
        let queue = UserQueue { crossing, counters: Arc::clone(&counters), batch: Batch::default() };
        let link = UserLink { crossing: Arc::clone(&queue.crossing), counters, _nat: nat };
        host.add_link(&info, &state, link, vec![queue])
    }
}

iopkt_driver!(User);

struct UserLink {
    crossing: Arc<Crossing>,
    counters: Arc<Counters>,
    _nat: Nat,
}

impl Link for UserLink {
    type Queue = UserQueue;

    /// libslirp learns addresses from what it hears.
    fn set_mac(&self, _mac: [u8; 6]) -> Result<(), Errno> {
        Ok(())
    }

    /// Only ever below libslirp's own.
    fn set_mtu(&self, _mtu: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn stats(&self) -> Result<LinkStats, Errno> {
        let stats = Counters::sum([&*self.counters]);
        let lost = self.crossing.lost.load(Ordering::Relaxed);
        Ok(stats.rx_dropped(stats.rx_dropped + lost))
    }
}

struct UserQueue {
    crossing: Arc<Crossing>,
    counters: Arc<Counters>,
    /// Frames taken from the crossing and not all handed over yet.
    batch: Batch,
}

impl Queue for UserQueue {
    fn fd(&self) -> RawFd {
        self.crossing.to_link.filled().as_raw_fd()
    }

    fn tx_fd(&self) -> RawFd {
        self.crossing.to_nat.room().as_raw_fd()
    }

    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let good = Offload { flags: raw::CSUM_GOOD, ..Offload::NONE };
        let (mut n, mut bytes) = (0, 0);
        while n < slots.len() {
            if self.batch.is_read() && !self.crossing.to_link.take(&mut self.batch) {
                break;
            }
            let Some(frame) = self.batch.next() else { break };
            let Some(room) = slots[n].buffer().get_mut(..frame.len()) else {
                self.counters.rx_dropped(1);
                continue;
            };
            room.copy_from_slice(frame);
            slots[n].set_len(frame.len(), good);
            bytes += frame.len() as u64;
            n += 1;
        }
        self.counters.received(n, bytes);
        Ok(n)
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        let (mut n, mut bytes) = (0, 0);
        for packet in packets {
            let put = self.crossing.to_nat.put(packet.len(), |to| packet.copy_to(to).unwrap_or(0));
            if !put {
                break;
            }
            n += 1;
            bytes += packet.len() as u64;
        }
        self.counters.sent(n, bytes);
        Ok(n)
    }
}
