//! A protocol module written in Rust: the trait, the stack as it sees it, and the macro that exports it.
//!
//! All calls, both ways, are made by one thread at a time. A panic is caught at the border; the module is
//! not called again after one, save for its end.

use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use errno::Errno;

use crate::host::{Failure, Level, c_text};
use crate::link::panic_text;
use crate::options::{OptionSpec, Options, PROTOCOL_GENERIC, known};
use crate::raw;

/// A protocol module. `abi::iopkt_protocol!(Type)` exports it. Dropping it ends what it owns.
pub trait Protocol: Sized + 'static {
    /// What stands after `-p`.
    const NAME: &'static CStr;
    const DESCRIPTION: &'static CStr;
    /// The options of its own, ended by [`OptionSpec::END`].
    const OPTIONS: &'static [OptionSpec];

    /// Makes the module and says, through `wanted`, what it is to be called for.
    fn attach(stack: Stack, options: &Options, wanted: &mut Wanted) -> Result<Self, Failure>;

    /// A frame of a wanted EtherType, Ethernet header first.
    fn frame(&mut self, stack: Stack, link: u32, frame: &[u8]) {
        let _ = (stack, link, frame);
    }

    /// A packet of a wanted IP protocol, IP header first.
    fn packet(&mut self, stack: Stack, link: u32, packet: &[u8]) {
        let _ = (stack, link, packet);
    }

    /// The wanted period has passed.
    fn tick(&mut self, stack: Stack) {
        let _ = stack;
    }
}

/// What a module is to be called for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub ethertypes: Vec<u16>,
    pub ip_protocols: Vec<u8>,
    /// Milliseconds between ticks.
    pub tick_ms: Option<u32>,
}

/// A link, as a protocol sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDesc {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub up: bool,
    pub mac: [u8; 6],
}

/// The stack, from within its calls.
#[derive(Clone, Copy)]
pub struct Stack {
    table: *const raw::iopkt_stack,
    ctx: *mut c_void,
}

impl Stack {
    fn table(&self) -> &raw::iopkt_stack {
        // SAFETY: the stack keeps its table for as long as the module is attached.
        unsafe { &*self.table }
    }

    pub fn log(&self, level: Level, text: impl fmt::Display) {
        if let Some(log) = self.table().log {
            let text = c_text(text);
            // SAFETY: the stack's own function, with its context and a string.
            unsafe { log(self.ctx, level.to_raw(), text.as_ptr()) };
        }
    }

    /// Sends a whole frame, Ethernet header first.
    pub fn transmit(&self, link: u32, frame: &[u8]) -> Result<(), Errno> {
        let transmit = self.table().transmit.ok_or(Errno::ENOSYS)?;
        let len = u32::try_from(frame.len()).map_err(|_| Errno::EMSGSIZE)?;
        // SAFETY: as above, with the frame for the call's time.
        outcome(unsafe { transmit(self.ctx, link, frame.as_ptr(), len) })
    }

    pub fn links(&self) -> Vec<LinkDesc> {
        let Some(links) = self.table().links else { return Vec::new() };
        // SAFETY: as above; no description is written to an array of none.
        let count = unsafe { links(self.ctx, core::ptr::null_mut(), 0) };
        let count = usize::try_from(count).unwrap_or(0);
        let empty = raw::iopkt_link_desc {
            index: 0,
            mtu: 0,
            up: 0,
            mac: [0; 6],
            reserved: [0; 2],
            name: [0; raw::LINK_NAME_MAX],
        };
        let mut descs = vec![empty; count];
        // SAFETY: as above, with room for as many as are announced.
        let filled = unsafe { links(self.ctx, descs.as_mut_ptr(), count as u32) };
        descs.truncate(usize::try_from(filled).unwrap_or(0));
        descs.iter().map(LinkDesc::of).collect()
    }

    fn fail(&self, text: impl fmt::Display) {
        if let Some(fail) = self.table().fail {
            let text = c_text(text);
            // SAFETY: as in log.
            unsafe { fail(self.ctx, text.as_ptr()) };
        }
    }

    fn register<P: Protocol>(&self, wanted: &Wanted, arg: *mut c_void) -> Result<(), Failure> {
        let table = self.table();
        for &ethertype in &wanted.ethertypes {
            let register = table.register_ethertype.ok_or_else(too_old)?;
            // SAFETY, here and below: the stack's function; the argument lives until detach.
            let result = outcome(unsafe { register(self.ctx, ethertype, Some(frame::<P>), arg) });
            result.map_err(|e| Failure::new(e, format!("EtherType {ethertype:04x}: {e}")))?;
        }
        for &protocol in &wanted.ip_protocols {
            let register = table.register_ipproto.ok_or_else(too_old)?;
            let result = outcome(unsafe { register(self.ctx, protocol, Some(packet::<P>), arg) });
            result.map_err(|e| Failure::new(e, format!("IP protocol {protocol}: {e}")))?;
        }
        if let Some(ms) = wanted.tick_ms {
            let timer = table.timer.ok_or_else(too_old)?;
            let result = outcome(unsafe { timer(self.ctx, ms, Some(tick::<P>), arg) });
            result.map_err(|e| Failure::new(e, format!("a timer of {ms} ms: {e}")))?;
        }
        Ok(())
    }
}

fn too_old() -> Failure {
    Failure::new(Errno::ENOSYS, "the stack is too old for this module")
}

fn outcome(result: c_int) -> Result<(), Errno> {
    if result < 0 { Err(Errno(result.saturating_neg())) } else { Ok(()) }
}

impl LinkDesc {
    fn of(raw: &raw::iopkt_link_desc) -> LinkDesc {
        let raw::iopkt_link_desc { index, mtu, up, mac, reserved: _, name } = raw;
        let name = name.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        let name = String::from_utf8(name).unwrap_or_default();
        LinkDesc { index: *index, name, mtu: *mtu, up: *up != 0, mac: *mac }
    }
}

/// What `module_ctx` and the argument of every hook point to.
struct Context<P> {
    stack: Stack,
    broken: Cell<bool>,
    // The stack calls from one thread; a module that is called again while it runs is not entered.
    module: RefCell<P>,
}

impl<P: Protocol> Context<P> {
    fn enter(&self, entry: &str, work: impl FnOnce(&mut P)) {
        if self.broken.get() {
            return;
        }
        let run = || self.module.try_borrow_mut().map(|mut module| work(&mut module));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            self.broken.set(true);
            let why = panic_text(&*panic);
            self.stack.log(Level::Error, format_args!("the protocol panicked in {entry}: {why}"));
        }
    }
}

/// The table that the symbol `iopkt_protocol` holds.
pub const fn table<P: Protocol>() -> raw::iopkt_protocol {
    let options = P::OPTIONS;
    assert!(!options.is_empty() && options[options.len() - 1].is_end(), "OPTIONS must end with OptionSpec::END");
    raw::iopkt_protocol {
        abi_version: raw::ABI_VERSION,
        size: size_of::<raw::iopkt_protocol>() as u32,
        name: P::NAME.as_ptr(),
        description: P::DESCRIPTION.as_ptr(),
        options: options.as_ptr().cast(),
        attach: Some(attach::<P>),
        detach: Some(detach::<P>),
    }
}

unsafe extern "C" fn attach<P: Protocol>(
    table: *const raw::iopkt_stack,
    ctx: *mut c_void,
    options: *const c_char,
    module_ctx: *mut *mut c_void,
) -> c_int {
    let stack = Stack { table, ctx };
    let work = || {
        // SAFETY: the stack passes a string, and the table is P's own.
        let (text, known) = unsafe { (CStr::from_ptr(options), known(P::OPTIONS.as_ptr().cast(), &PROTOCOL_GENERIC)) };
        let text = text.to_str().map_err(|_| Failure::new(Errno::EINVAL, "the options are not UTF-8"))?;
        let known = known.ok_or_else(|| Failure::new(Errno::EINVAL, "the module's option table is wrong"))?;
        let mut wanted = Wanted::default();
        let module = P::attach(stack, &Options::parse(text, &known)?, &mut wanted)?;
        let context = Context { stack, broken: Cell::new(false), module: RefCell::new(module) };
        let context = Box::into_raw(Box::new(context));
        if let Err(failure) = stack.register::<P>(&wanted, context.cast()) {
            // SAFETY: the stack forgets what a module registered whose attach fails, before it calls any.
            drop(unsafe { Box::from_raw(context) });
            return Err(failure);
        }
        // SAFETY: where the stack wants the module's context.
        unsafe { module_ctx.write(context.cast()) };
        Ok(())
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => {
            stack.fail(&failure);
            -failure.errno.0
        }
        Err(panic) => {
            stack.fail(format_args!("the protocol panicked in attach: {}", panic_text(&*panic)));
            -Errno::EIO.0
        }
    }
}

// SAFETY, for the entries below: the argument is the context that attach made, until detach.

unsafe extern "C" fn frame<P: Protocol>(arg: *mut c_void, link: u32, data: *const u8, len: u32) {
    let (cx, data) = unsafe { (&*arg.cast::<Context<P>>(), core::slice::from_raw_parts(data, len as usize)) };
    cx.enter("frame", |module| module.frame(cx.stack, link, data));
}

unsafe extern "C" fn packet<P: Protocol>(arg: *mut c_void, link: u32, data: *const u8, len: u32) {
    let (cx, data) = unsafe { (&*arg.cast::<Context<P>>(), core::slice::from_raw_parts(data, len as usize)) };
    cx.enter("packet", |module| module.packet(cx.stack, link, data));
}

unsafe extern "C" fn tick<P: Protocol>(arg: *mut c_void) {
    let cx = unsafe { &*arg.cast::<Context<P>>() };
    cx.enter("tick", |module| module.tick(cx.stack));
}

unsafe extern "C" fn detach<P: Protocol>(module_ctx: *mut c_void) {
    let context = unsafe { Box::from_raw(module_ctx.cast::<Context<P>>()) };
    let stack = context.stack;
    if catch_unwind(AssertUnwindSafe(|| drop(context))).is_err() {
        stack.log(Level::Error, "the protocol panicked in detach");
    }
}

/// Exports a [`Protocol`] under the symbol that the daemon looks for.
#[macro_export]
macro_rules! iopkt_protocol {
    ($protocol:ty) => {
        /// What the daemon's module loader looks for.
        #[allow(non_upper_case_globals)]
        #[unsafe(no_mangle)]
        pub static iopkt_protocol: $crate::raw::iopkt_protocol = $crate::protocol::table::<$protocol>();
    };
}
