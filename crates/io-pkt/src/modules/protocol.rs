//! Protocol modules: what they register, and how frames, packets and time reach them.
//!
//! Nothing here does input or output. The daemon brings frames and the time ([`ProtocolModule::input_frame`],
//! [`ProtocolModule::run_timers`]) and afterwards takes what the module wants sent
//! ([`ProtocolModule::take_transmit`]). One thread at a time.

use core::ffi::{c_char, c_int, c_void};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};

use abi::options::Options;
use abi::{Errno, raw};

use super::host::{Log, OptionValues};
use super::library::{LoadedProtocol, text};
use super::{ModuleError, outcome};

/// Frames that may wait to be taken; beyond it a module's transmit answers ENOBUFS.
const TRANSMIT_MAX: usize = 1024;
/// Bytes of a frame to send, Ethernet header included.
const FRAME_MAX: usize = 65_550;
/// Registrations and timers of one module.
const HOOKS_MAX: usize = 64;

/// What the stack serves itself: IPv4, ARP, IPv6.
const OWN_ETHERTYPES: [u16; 3] = [0x0800, 0x0806, 0x86dd];
/// EtherTypes begin here; below it the field is a length (IEEE 802.3).
const ETHERTYPE_MIN: u16 = 0x0600;
/// ICMP, IGMP, TCP, UDP, ICMPv6, and IPv6's extension headers.
const OWN_IP_PROTOCOLS: [u8; 10] = [0, 1, 2, 6, 17, 43, 44, 58, 59, 60];

/// A link as protocols see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolLink {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub up: bool,
    pub mac: [u8; 6],
}

/// A frame that a module sends, Ethernet header first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub link: u32,
    pub frame: Vec<u8>,
}

/// What kind of traffic a module takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Traffic {
    EtherType(u16),
    IpProtocol(u8),
}

/// Which traffic is taken already, by any module.
#[derive(Clone, Default)]
pub(super) struct Taken(Arc<Mutex<BTreeSet<Traffic>>>);

impl Taken {
    fn insert(&self, traffic: Traffic) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(traffic)
    }

    fn remove(&self, traffic: Traffic) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&traffic);
    }
}

#[derive(Clone, Copy)]
struct Hook {
    traffic: Traffic,
    input: unsafe extern "C" fn(*mut c_void, u32, *const u8, u32),
    arg: *mut c_void,
}

#[derive(Clone, Copy)]
struct Timer {
    every_ms: u64,
    next_ms: u64,
    run: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
}

/// What the callbacks of one module work on. No borrow is held while the module runs, so that it may
/// call back from within any call.
struct Context {
    name: String,
    options: Options,
    log: Log,
    values: OptionValues,
    failure: RefCell<Option<String>>,
    taken: Taken,
    links: RefCell<Vec<ProtocolLink>>,
    hooks: RefCell<Vec<Hook>>,
    timers: RefCell<Vec<Timer>>,
    transmit: RefCell<Vec<Transmit>>,
    now_ms: Cell<u64>,
}

/// An attached protocol. Dropping it detaches the module.
pub struct ProtocolModule {
    context: Box<Context>,
    module: LoadedProtocol,
    module_ctx: *mut c_void,
}

// SAFETY: the ABI asks for one thread at a time, which &mut self and ownership give; it does not ask
// for the same thread always.
unsafe impl Send for ProtocolModule {}

impl ProtocolModule {
    pub(super) fn attach(
        module: LoadedProtocol,
        option_text: &str,
        options: Options,
        taken: Taken,
        links: &[ProtocolLink],
        now_ms: u64,
    ) -> Result<ProtocolModule, ModuleError> {
        let name = module.name.clone();
        let failed = |errno, text| ModuleError::Attach { module: name.clone(), errno, text };
        let c_text = CString::new(option_text)
            .map_err(|_| failed(Errno::EINVAL, "the options hold a NUL character".to_owned()))?;
        let Some(entry) = module.raw.attach else {
            return Err(failed(Errno::EINVAL, "it has no attach function".to_owned()));
        };
        let context = Box::new(Context {
            name: name.clone(),
            log: Log::new(&name, &options),
            options,
            values: OptionValues::default(),
            failure: RefCell::default(),
            taken,
            links: RefCell::new(links.to_vec()),
            hooks: RefCell::default(),
            timers: RefCell::default(),
            transmit: RefCell::default(),
            now_ms: Cell::new(now_ms),
        });
        let mut module_ctx = core::ptr::null_mut();
        let ctx = core::ptr::from_ref::<Context>(&context).cast_mut().cast();
        // SAFETY: the module's own entry with the host's table, a context that outlives it, and a string.
        let result = unsafe { entry(&STACK, ctx, c_text.as_ptr(), &mut module_ctx) };
        match outcome(result) {
            Ok(_) => Ok(ProtocolModule { context, module, module_ctx }),
            Err(errno) => {
                context.release();
                let said = context.failure.take();
                Err(failed(errno, said.unwrap_or_else(|| format!("attach failed: {errno}"))))
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.context.name
    }

    /// Whether it can be unloaded at run time.
    pub fn can_detach(&self) -> bool {
        self.module.raw.detach.is_some()
    }

    /// Tells what links there are now.
    pub fn set_links(&mut self, links: &[ProtocolLink]) {
        *self.context.links.borrow_mut() = links.to_vec();
    }

    pub fn ethertypes(&self) -> Vec<u16> {
        let ethertype = |h: &Hook| if let Traffic::EtherType(t) = h.traffic { Some(t) } else { None };
        self.context.hooks.borrow().iter().filter_map(ethertype).collect()
    }

    pub fn ip_protocols(&self) -> Vec<u8> {
        let protocol = |h: &Hook| if let Traffic::IpProtocol(p) = h.traffic { Some(p) } else { None };
        self.context.hooks.borrow().iter().filter_map(protocol).collect()
    }

    /// Gives the module a frame, Ethernet header first; false: it is not of a kind it takes.
    pub fn input_frame(&mut self, link: u32, frame: &[u8]) -> bool {
        let Some(&[hi, lo]) = frame.get(12..14) else { return false };
        self.input(Traffic::EtherType(u16::from_be_bytes([hi, lo])), link, frame)
    }

    /// Gives the module an IP packet, IP header first; false: it is not of a protocol it takes.
    pub fn input_packet(&mut self, link: u32, protocol: u8, packet: &[u8]) -> bool {
        self.input(Traffic::IpProtocol(protocol), link, packet)
    }

    fn input(&mut self, traffic: Traffic, link: u32, bytes: &[u8]) -> bool {
        let hook = self.context.hooks.borrow().iter().find(|h| h.traffic == traffic).copied();
        let Some(hook) = hook else { return false };
        // SAFETY: the module's own function with its argument, and bytes for the call's time.
        unsafe { (hook.input)(hook.arg, link, bytes.as_ptr(), bytes.len() as u32) };
        true
    }

    /// When [`Self::run_timers`] is to be called next.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.context.timers.borrow().iter().map(|t| t.next_ms).min()
    }

    /// Runs what is due at `now_ms` (on the clock of attach). A timer that was missed runs once.
    pub fn run_timers(&mut self, now_ms: u64) {
        self.context.now_ms.set(now_ms);
        let mut due = Vec::new();
        for timer in self.context.timers.borrow_mut().iter_mut().filter(|t| t.next_ms <= now_ms) {
            timer.next_ms = now_ms + timer.every_ms;
            due.push(*timer);
        }
        for timer in due {
            // SAFETY: the module's own function with its argument.
            unsafe { (timer.run)(timer.arg) };
        }
    }

    /// Frames that the module has sent since the last call.
    pub fn take_transmit(&mut self) -> Vec<Transmit> {
        self.context.transmit.take()
    }

    pub fn detach(self) {}
}

impl Drop for ProtocolModule {
    fn drop(&mut self) {
        if let Some(detach) = self.module.raw.detach {
            // SAFETY: the module's own function and context; the last call.
            unsafe { detach(self.module_ctx) };
        }
        self.context.release();
    }
}

impl Context {
    /// Lets others take what this module took.
    fn release(&self) {
        self.hooks.take().iter().for_each(|h| self.taken.remove(h.traffic));
        self.timers.take();
    }

    fn register(&self, traffic: Traffic, input: raw::iopkt_input_fn, arg: *mut c_void) -> Result<(), Errno> {
        let own = match traffic {
            Traffic::EtherType(t) => t < ETHERTYPE_MIN || OWN_ETHERTYPES.contains(&t),
            Traffic::IpProtocol(p) => OWN_IP_PROTOCOLS.contains(&p),
        };
        let input = input.filter(|_| !own).ok_or(Errno::EINVAL)?;
        if self.hooks.borrow().len() >= HOOKS_MAX {
            return Err(Errno::ENOSPC);
        }
        if !self.taken.insert(traffic) {
            return Err(Errno::EEXIST);
        }
        self.hooks.borrow_mut().push(Hook { traffic, input, arg });
        Ok(())
    }

    fn send(&self, link: u32, frame: &[u8]) -> Result<(), Errno> {
        if !self.links.borrow().iter().any(|l| l.index == link) {
            return Err(Errno::ENXIO);
        }
        if !(14..=FRAME_MAX).contains(&frame.len()) {
            return Err(Errno::EMSGSIZE);
        }
        let mut transmit = self.transmit.borrow_mut();
        if transmit.len() >= TRANSMIT_MAX {
            return Err(Errno::ENOBUFS);
        }
        transmit.push(Transmit { link, frame: frame.to_vec() });
        Ok(())
    }

    fn add_timer(&self, ms: u32, run: raw::iopkt_timer_fn, arg: *mut c_void) -> Result<(), Errno> {
        let run = run.filter(|_| ms > 0).ok_or(Errno::EINVAL)?;
        let mut timers = self.timers.borrow_mut();
        if timers.len() >= HOOKS_MAX {
            return Err(Errno::ENOSPC);
        }
        let every_ms = u64::from(ms);
        timers.push(Timer { every_ms, next_ms: self.now_ms.get() + every_ms, run, arg });
        Ok(())
    }
}

impl ProtocolLink {
    fn to_raw(&self) -> raw::iopkt_link_desc {
        let mut name = [0; raw::LINK_NAME_MAX];
        let bytes = self.name.bytes().take(raw::LINK_NAME_MAX - 1);
        name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from as c_char);
        let ProtocolLink { index, name: _, mtu, up, mac } = *self;
        raw::iopkt_link_desc { index, mtu, up: up.into(), mac, reserved: [0; 2], name }
    }
}

static STACK: raw::iopkt_stack = raw::iopkt_stack {
    abi_version: raw::ABI_VERSION,
    size: size_of::<raw::iopkt_stack>() as u32,
    log: Some(log),
    fail: Some(fail),
    option: Some(option),
    option_u32: Some(option_u32),
    register_ethertype: Some(register_ethertype),
    register_ipproto: Some(register_ipproto),
    transmit: Some(transmit),
    links: Some(links),
    timer: Some(timer),
};

fn status(result: Result<(), Errno>) -> c_int {
    result.map_or_else(|e| -e.0, |()| 0)
}

/// # Safety
/// `ctx` is the `stack_ctx` of a module that is attached or attaching.
unsafe fn context<'a>(ctx: *mut c_void) -> &'a Context {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<Context>() }
}

// SAFETY, for the callbacks below: a module passes the stack_ctx it was given, from within the calls
// that the host makes (one thread), and valid strings and arrays.

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, message: *const c_char) {
    if let Some(message) = unsafe { text(message) } {
        unsafe { context(ctx) }.log.write(level, &message);
    }
}

unsafe extern "C" fn fail(ctx: *mut c_void, message: *const c_char) {
    *unsafe { context(ctx) }.failure.borrow_mut() = unsafe { text(message) };
}

unsafe extern "C" fn option(ctx: *mut c_void, key: *const c_char, nth: u32) -> *const c_char {
    let context = unsafe { context(ctx) };
    unsafe { context.values.nth(&context.options, key, nth) }
}

unsafe extern "C" fn option_u32(ctx: *mut c_void, key: *const c_char, otherwise: u32) -> u32 {
    unsafe { OptionValues::number(&context(ctx).options, key, otherwise) }
}

unsafe extern "C" fn register_ethertype(
    ctx: *mut c_void,
    ethertype: u16,
    input: raw::iopkt_input_fn,
    arg: *mut c_void,
) -> c_int {
    status(unsafe { context(ctx) }.register(Traffic::EtherType(ethertype), input, arg))
}

unsafe extern "C" fn register_ipproto(
    ctx: *mut c_void,
    protocol: u8,
    input: raw::iopkt_input_fn,
    arg: *mut c_void,
) -> c_int {
    status(unsafe { context(ctx) }.register(Traffic::IpProtocol(protocol), input, arg))
}

unsafe extern "C" fn transmit(ctx: *mut c_void, link: u32, frame: *const u8, len: u32) -> c_int {
    if frame.is_null() {
        return -Errno::EFAULT.0;
    }
    let frame = unsafe { core::slice::from_raw_parts(frame, len as usize) };
    status(unsafe { context(ctx) }.send(link, frame))
}

unsafe extern "C" fn links(ctx: *mut c_void, out: *mut raw::iopkt_link_desc, n: u32) -> c_int {
    let links = unsafe { context(ctx) }.links.borrow();
    for (i, link) in links.iter().take(if out.is_null() { 0 } else { n as usize }).enumerate() {
        unsafe { out.add(i).write(link.to_raw()) };
    }
    links.len() as c_int
}

unsafe extern "C" fn timer(ctx: *mut c_void, ms: u32, run: raw::iopkt_timer_fn, arg: *mut c_void) -> c_int {
    status(unsafe { context(ctx) }.add_timer(ms, run, arg))
}
