//! `devnp-packet`: a host interface, shared with the host, through packet sockets (packet(7)).
//!
//! Frames cross with a `virtio_net_hdr`, so that checksums, TSO and USO are left to the interface (or
//! the kernel, at the last moment) and merged frames of 64 KiB come in. The link has a MAC address of its
//! own, so that the host's stack and ours do not answer for each other; the interface is made
//! promiscuous for that. The host's configuration of the interface is never changed.

mod queue;
mod ring;
mod socket;

use core::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

use abi::{
    Caps, Counters, Driver, Errno, Failure, Host, Kind, Level, Link, LinkFlags, LinkInfo, LinkState, LinkStats,
    OptionSpec, Options, iopkt_driver, mac,
};

use hostlink::{Interface, LinkWatch};
use queue::PacketQueue;
use ring::Rings;
use socket::{Setup, Sockets};

/// Packet sockets that share an interface by flow.
const QUEUES_MAX: u32 = abi::raw::QUEUES_MAX;

struct Packet;

impl Driver for Packet {
    const NAME: &'static CStr = c"packet";
    const DESCRIPTION: &'static CStr = c"host interface through packet sockets";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::new(c"if", Kind::Text, c"the host's interface (needed)"),
        OptionSpec::new(c"queues", Kind::U32, c"sockets that share the traffic by flow (1)"),
        OptionSpec::new(c"promisc", Kind::Bool, c"make the interface promiscuous (on, unless mac= is its own)"),
        OptionSpec::new(c"offload", Kind::Bool, c"checksum and segmentation offload, merged frames (on)"),
        OptionSpec::new(c"qdisc_bypass", Kind::Bool, c"send around the host's queueing discipline (off)"),
        OptionSpec::new(c"ring", Kind::U32, c"MiB of each of two receive rings; 0: receive by calls (2)"),
        OptionSpec::END,
    ];

    fn attach(host: Host, options: &Options) -> Result<(), Failure> {
        let name = options.text("if").ok_or_else(which_interface)?;
        let interface = Interface::find(name)?;
        let mac = options.mac("mac").unwrap_or_else(|| derived_mac(&interface));
        let setup = Setup {
            promisc: options.flag("promisc", mac != interface.mac),
            offload: options.flag("offload", true),
            qdisc_bypass: options.flag("qdisc_bypass", false),
            mac,
        };
        let count = options.number_in("queues", 1..=QUEUES_MAX)?.unwrap_or(1);
        let blocks = options.number_in("ring", 0..=ring::BLOCKS_MAX)?.unwrap_or(ring::BLOCKS);
        let (sockets, rings) = open(host, &interface, &setup, count, blocks)?;
        let with_rings = !rings.is_empty();
        socket::start_all(&interface, &setup, &sockets)?;
        let watch = LinkWatch::open(&interface)?;
        // Read only now: what changes later, the watch reports.
        let state = LinkState::new(interface.is_running());
        let counters: Vec<_> = (0..count).map(|_| Arc::new(Counters::default())).collect();
        let mut watches = Some(watch).into_iter();
        let mut rings = rings.into_iter();
        let queues = sockets.iter().zip(&counters).map(|(sockets, counters)| {
            let vnet = setup.offload;
            let (sockets, counters) = (Arc::clone(sockets), Arc::clone(counters));
            PacketQueue::new(sockets, rings.next(), watches.next(), counters, state.clone(), vnet)
        });
        let queues = queues.collect::<Result<Vec<_>, _>>()?;
        let info = LinkInfo {
            base: None,
            description: format!("packet sockets on {}", interface.name),
            media: interface.media(),
            mac,
            mtu: interface.mtu,
            mtu_max: interface.mtu,
            caps: if setup.offload { Caps { uso: socket::kernel_has_uso(), ..Caps::ALL } } else { Caps::default() },
            config: None,
        };
        host.log(
            Level::Debug,
            format_args!(
                "{} is {}, {count} queue(s), {setup:?}, rings: {with_rings}",
                interface.name,
                mac::text(interface.mac)
            ),
        );
        let link = PacketLink { sockets, counters, filter: Mutex::new(Filter { mac, promisc: false }) };
        host.add_link(&info, &state, link, queues)
    }
}

iopkt_driver!(Packet);

fn which_interface() -> Failure {
    let have = hostlink::names().join(", ");
    Failure::new(Errno::EINVAL, format!("needs if=, the host's interface to use; interfaces: {have}"))
}

/// The link's own address unless `mac=` gives one: the same at each start, and not the host's.
fn derived_mac(interface: &Interface) -> [u8; 6] {
    mac::derived(&[&interface.mac, interface.name.as_bytes()].concat())
}

/// The sockets of each queue, and their rings where these are wanted and can be had.
fn open(
    host: Host,
    interface: &Interface,
    setup: &Setup,
    count: u32,
    blocks: u32,
) -> Result<(Vec<Arc<Sockets>>, Vec<Rings>), Failure> {
    let with_rings = (blocks > 0).then(|| Sockets::open_with_rings(interface, setup, count, blocks));
    let (sockets, rings) = match with_rings {
        Some(Ok(opened)) => opened,
        without => {
            let sockets = Sockets::open(interface, setup, count)?;
            if let Some(Err(Failure { text, .. })) = without {
                host.log(Level::Warn, format_args!("{}: receives by calls, without a ring: {text}", interface.name));
            }
            (sockets, Vec::new())
        }
    };
    Ok((sockets.into_iter().map(Arc::new).collect(), rings))
}

struct PacketLink {
    sockets: Vec<Arc<Sockets>>,
    counters: Vec<Arc<Counters>>,
    filter: Mutex<Filter>,
}

/// What the sockets let through.
#[derive(Clone, Copy)]
struct Filter {
    mac: [u8; 6],
    promisc: bool,
}

impl PacketLink {
    fn refilter(&self, change: impl FnOnce(&mut Filter)) -> Result<(), Errno> {
        let mut filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut filter);
        let wanted = (!filter.promisc).then_some(filter.mac);
        self.sockets.iter().try_for_each(|s| s.set_filter(wanted))
    }
}

impl Link for PacketLink {
    type Queue = PacketQueue;

    fn set_flags(&self, flags: LinkFlags) -> Result<(), Errno> {
        self.refilter(|f| f.promisc = flags.promisc)
    }

    fn set_mac(&self, mac: [u8; 6]) -> Result<(), Errno> {
        self.refilter(|f| f.mac = mac)
    }

    /// Only ever below the interface's own, which stays as it is.
    fn set_mtu(&self, _mtu: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn stats(&self) -> Result<LinkStats, Errno> {
        for (sockets, counters) in self.sockets.iter().zip(&self.counters) {
            counters.rx_dropped(sockets.take_drops());
        }
        Ok(Counters::sum(self.counters.iter().map(|c| &**c)))
    }
}
