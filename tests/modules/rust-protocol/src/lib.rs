//! A protocol module for the tests, written over the SDK: it sends every frame of its EtherType back, and
//! panics when told to.

#![forbid(unsafe_code)]

use core::ffi::CStr;

use abi::{Errno, Failure, Kind, Level, OptionSpec, Options, Protocol, Stack, Wanted, iopkt_protocol};

struct Parrot {
    ticks: u32,
}

impl Protocol for Parrot {
    const NAME: &'static CStr = c"parrot";
    const DESCRIPTION: &'static CStr = c"sends frames back";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::new(c"ethertype", Kind::U32, c"which EtherType (0x88b6)"),
        OptionSpec::new(c"protocol", Kind::U32, c"which IP protocol (253)"),
        OptionSpec::END,
    ];

    fn attach(stack: Stack, options: &Options, wanted: &mut Wanted) -> Result<Parrot, Failure> {
        let ethertype = options.number_in("ethertype", 0..=0xffff)?.unwrap_or(0x88b6);
        let protocol = options.number_in("protocol", 0..=255)?.unwrap_or(253);
        if ethertype == 0xdead {
            return Err(Failure::new(Errno::ENXIO, "this parrot is no more"));
        }
        assert!(ethertype != 0xfeed, "fed up");
        stack.log(Level::Debug, "attached");
        wanted.ethertypes.push(ethertype as u16);
        wanted.ip_protocols.push(protocol as u8);
        wanted.tick_ms = Some(50);
        Ok(Parrot { ticks: 0 })
    }

    fn frame(&mut self, stack: Stack, link: u32, frame: &[u8]) {
        assert!(!frame.ends_with(b"panic"), "as asked");
        let Some(own) = stack.links().into_iter().find(|l| l.index == link) else { return };
        let back = [&frame[6..12], &own.mac, &frame[12..]].concat();
        if let Err(e) = stack.transmit(link, &back) {
            stack.log(Level::Warn, format_args!("{}: {e}", own.name));
        }
    }

    fn packet(&mut self, stack: Stack, link: u32, packet: &[u8]) {
        let says = [&[0xff; 6], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb6][..], packet, &[self.ticks as u8]].concat();
        let _ = stack.transmit(link, &says);
    }

    fn tick(&mut self, _stack: Stack) {
        self.ticks += 1;
    }
}

iopkt_protocol!(Parrot);
