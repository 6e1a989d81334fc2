//! `devnp-tap`: a TAP interface of the host's kernel (Documentation/networking/tuntap): what the host
//! sends to it, the link receives, and the other way round.
//!
//! Frames cross with a `virtio_net_hdr`: checksums and segments of either side are cut only where they
//! must be. An interface that exists (`ip tuntap add`) is attached to, one that does not is made and goes
//! away with the link. Its addresses, and `ip link set … up`, are the operator's; the link is up while the
//! interface is.

mod device;
mod queue;

use core::ffi::CStr;
use std::sync::Arc;

use abi::{
    Caps, Counters, Driver, Errno, Failure, Host, Kind, Level, Link, LinkInfo, LinkState, LinkStats, OptionSpec,
    Options, iopkt_driver, mac,
};
use hostlink::{Interface, LinkWatch};

use queue::TapQueue;

/// The kernel's limit for a tap's queues is 256; ours is the ABI's.
const QUEUES_MAX: u32 = abi::raw::QUEUES_MAX;

/// 65,535 less the Ethernet header: the kernel's limit.
const MTU_MAX: u32 = 65_521;

struct Tap;

impl Driver for Tap {
    const NAME: &'static CStr = c"tap";
    const DESCRIPTION: &'static CStr = c"TAP interface of the host";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::new(c"if", Kind::Text, c"the interface on the host's side (the first free tapN)"),
        OptionSpec::new(c"queues", Kind::U32, c"queues that share the traffic by flow (1)"),
        OptionSpec::new(c"offload", Kind::Bool, c"checksum and segmentation offload, merged frames (on)"),
        OptionSpec::END,
    ];

    fn attach(host: Host, options: &Options) -> Result<(), Failure> {
        let count = options.number_in("queues", 1..=QUEUES_MAX)?.unwrap_or(1);
        let offload = options.flag("offload", true);
        let mtu = options.number_in("mtu", 68..=MTU_MAX)?;
        let device::Tap { name, files, uso } = device::open(options.text("if"), count, offload)?;
        let mut interface = Interface::find(&name)?;
        if let Some(mtu) = mtu {
            interface.set_mtu(mtu).map_err(|e| Failure::new(e, format!("mtu={mtu}: {name}: {e}")))?;
            interface.mtu = mtu;
        }
        let watch = LinkWatch::open(&interface)?;
        let state = LinkState::new(interface.is_running());
        let counters: Vec<_> = (0..count).map(|_| Arc::new(Counters::default())).collect();
        let mut watches = Some(watch).into_iter();
        let queues = files
            .into_iter()
            .zip(&counters)
            .map(|(file, counters)| TapQueue::new(file, watches.next(), Arc::clone(counters), state.clone(), offload));
        let queues = queues.collect::<Result<Vec<_>, _>>()?;
        let info = LinkInfo {
            base: None,
            description: format!("tap interface {name}"),
            media: interface.media(),
            mac: options.mac("mac").unwrap_or_else(|| stable_mac(&name)),
            mtu: interface.mtu,
            mtu_max: MTU_MAX,
            caps: if offload { Caps { uso, ..Caps::ALL } } else { Caps::default() },
            config: None,
        };
        host.log(Level::Debug, format_args!("{name}: {count} queue(s), offload {offload}, uso {uso}"));
        host.add_link(&info, &state, TapLink { interface, counters }, queues)
    }
}

iopkt_driver!(Tap);

/// The same at each start on this machine, another on the next machine that has a tap0.
fn stable_mac(name: &str) -> [u8; 6] {
    let machine = std::fs::read("/etc/machine-id").or_else(|_| std::fs::read("/proc/sys/kernel/hostname"));
    mac::derived(&[b"iopkt tap ", name.as_bytes(), &machine.unwrap_or_default()].concat())
}

struct TapLink {
    interface: Interface,
    counters: Vec<Arc<Counters>>,
}

impl Link for TapLink {
    type Queue = TapQueue;

    /// Nothing filters here: the stack takes what it wants.
    fn set_mac(&self, _mac: [u8; 6]) -> Result<(), Errno> {
        Ok(())
    }

    /// Both sides change, so that the host does not send more than we announce.
    fn set_mtu(&self, mtu: u32) -> Result<(), Errno> {
        self.interface.set_mtu(mtu)
    }

    fn stats(&self) -> Result<LinkStats, Errno> {
        Ok(Counters::sum(self.counters.iter().map(|c| &**c)))
    }
}
