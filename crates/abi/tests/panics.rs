//! A driver that panics, on the other side of the C border from a host made by the test.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::RawFd;
use std::sync::Mutex;

use abi::raw;
use abi::{
    Caps, Driver, Errno, Failure, Host, Kind, Link, LinkInfo, LinkState, LinkStats, OptionSpec, Options, Queue, RxSlot,
    TxPacket, iopkt_driver,
};

struct Fragile;

impl Driver for Fragile {
    const NAME: &'static CStr = c"fragile";
    const DESCRIPTION: &'static CStr = c"panics on demand";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::new(c"when", Kind::Text, c"attach, rx, stats or detach"), OptionSpec::END];

    fn attach(host: Host, options: &Options) -> Result<(), Failure> {
        let when = options.text("when").unwrap_or_default().to_owned();
        match when.as_str() {
            "attach" => panic!("as asked"),
            "refuse" => return Err(Failure::new(Errno::ENODEV, "no such thing")),
            _ => {}
        }
        let info = LinkInfo {
            base: None,
            description: String::new(),
            media: None,
            mac: [2; 6],
            mtu: 1500,
            mtu_max: 1500,
            caps: Caps::ALL,
            config: None,
        };
        let queue = FragileQueue(when.clone());
        host.add_link(&info, &LinkState::new(true), FragileLink(when), vec![queue])
    }
}

iopkt_driver!(Fragile);

struct FragileLink(String);
struct FragileQueue(String);

impl Link for FragileLink {
    type Queue = FragileQueue;

    fn stats(&self) -> Result<LinkStats, Errno> {
        assert!(self.0 != "stats", "as asked");
        Ok(LinkStats::default())
    }
}

impl Drop for FragileLink {
    fn drop(&mut self) {
        assert!(self.0 != "detach", "as asked");
    }
}

impl Queue for FragileQueue {
    fn fd(&self) -> RawFd {
        0
    }

    fn rx(&mut self, _slots: &mut [RxSlot]) -> Result<usize, Errno> {
        assert!(self.0 != "rx", "as asked");
        Ok(0)
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        Ok(packets.len())
    }
}

/// What the test's host saw.
#[derive(Default)]
struct Seen {
    logged: Vec<String>,
    failure: Option<String>,
    link: Option<(raw::iopkt_link_ops, *mut c_void)>,
    up: Vec<bool>,
}

type HostState = Mutex<Seen>;

// SAFETY, for all callbacks: the context is the HostState below, which outlives the driver's use of it.

unsafe fn seen<'a>(ctx: *mut c_void) -> std::sync::MutexGuard<'a, Seen> {
    unsafe { &*ctx.cast::<HostState>() }.lock().unwrap()
}

unsafe extern "C" fn log(ctx: *mut c_void, _level: u32, text: *const c_char) {
    let text = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    unsafe { seen(ctx) }.logged.push(text);
}

unsafe extern "C" fn fail(ctx: *mut c_void, text: *const c_char) {
    unsafe { seen(ctx) }.failure = Some(unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned());
}

unsafe extern "C" fn link_new(
    ctx: *mut c_void,
    info: *const raw::iopkt_link_info,
    ops: *const raw::iopkt_link_ops,
    link: *mut c_void,
) -> *mut raw::iopkt_link {
    assert_eq!(unsafe { (*info).caps }, 0x3f);
    unsafe { seen(ctx) }.link = Some((unsafe { *ops }, link));
    ctx.cast()
}

unsafe extern "C" fn link_state(link: *mut raw::iopkt_link, up: c_int, _media: *const c_char) {
    unsafe { seen(link.cast()) }.up.push(up != 0);
}

static HOST: raw::iopkt_host = raw::iopkt_host {
    abi_version: raw::ABI_VERSION,
    size: size_of::<raw::iopkt_host>() as u32,
    log: Some(log),
    fail: Some(fail),
    option: None,
    option_u32: None,
    link_new: Some(link_new),
    link_state: Some(link_state),
};

fn attach(options: &CStr) -> (c_int, Box<HostState>) {
    let state = Box::new(HostState::default());
    let ctx = core::ptr::from_ref::<HostState>(&state).cast_mut().cast();
    let entry = iopkt_driver.attach.unwrap();
    let result = unsafe { entry(&HOST, ctx, options.as_ptr()) };
    (result, state)
}

#[test]
fn in_attach_a_panic_is_a_failure_with_its_text() {
    let (result, state) = attach(c"when=attach");
    assert_eq!(result, -Errno::EIO.0);
    assert_eq!(state.lock().unwrap().failure.as_deref(), Some("the driver panicked in attach: as asked"));
    let (result, state) = attach(c"when=refuse");
    assert_eq!((result, state.lock().unwrap().failure.as_deref()), (-Errno::ENODEV.0, Some("no such thing")));
    let (result, state) = attach(c"then=now");
    assert_eq!(result, -Errno::EINVAL.0);
    assert!(state.lock().unwrap().failure.as_ref().unwrap().contains("\"then\"; known: when, name"));
}

#[test]
fn in_a_link_a_panic_takes_the_link_down_for_good() {
    for when in [c"when=rx", c"when=stats"] {
        let (result, state) = attach(when);
        assert_eq!(result, 0);
        let (ops, ctx) = state.lock().unwrap().link.unwrap();
        let rx = || unsafe { ops.rx.unwrap()(ctx, 0, core::ptr::dangling_mut(), 0) };
        let mut stats = LinkStats::default();
        let mut all = || (rx(), unsafe { ops.stats.unwrap()(ctx, &mut stats) });
        all();
        assert_eq!(all(), (-Errno::ENODEV.0, -Errno::ENODEV.0), "the host need not ask again");
        assert_eq!(state.lock().unwrap().up, [true, false]);
        assert!(state.lock().unwrap().logged[0].starts_with("the driver panicked in "));
        unsafe { ops.detach.unwrap()(ctx) };
    }
}

#[test]
fn in_detach_a_panic_is_logged() {
    let (_, state) = attach(c"when=detach");
    let (ops, ctx) = state.lock().unwrap().link.unwrap();
    assert_eq!(unsafe { ops.rx.unwrap()(ctx, 0, core::ptr::dangling_mut(), 0) }, 0);
    assert_eq!(unsafe { ops.fd.unwrap()(ctx, 1) }, -Errno::EINVAL.0, "there is no second queue");
    unsafe { ops.detach.unwrap()(ctx) };
    assert_eq!(state.lock().unwrap().logged, ["the driver panicked in detach"]);
}
