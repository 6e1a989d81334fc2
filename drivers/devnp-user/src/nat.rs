//! libslirp and the thread that it lives on. Everything in it is called from that thread alone, save
//! for its making, which happens before the thread starts.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use abi::{Errno, Failure, Host, Level, LinkState, last_errno};

use crate::address::{in_addr, in6_addr, sockaddr};
use crate::ffi;
use crate::mailbox::{Batch, Mailbox};
use crate::plan::{Forward, Plan};

/// libslirp asks to be called at least this often, in milliseconds, and sooner (2, 499) while it has a clock
/// running: a connection, a forward, a datagram's return way, fragments. Asking for just this much, it waits
/// for nothing, and is let sleep (slirp.c, slirp_update_timeout).
const NOTHING_PENDING: u32 = 1000;

/// What crosses between the thread and the link's queue.
pub struct Crossing {
    pub to_nat: Mailbox,
    pub to_link: Mailbox,
    /// Frames that libslirp had for us while `to_link` was full.
    pub lost: AtomicU64,
    stop: AtomicBool,
}

impl Crossing {
    pub fn new() -> Result<Arc<Crossing>, Failure> {
        let (to_nat, to_link) = (Mailbox::new()?, Mailbox::new()?);
        Ok(Arc::new(Crossing { to_nat, to_link, lost: AtomicU64::new(0), stop: AtomicBool::new(false) }))
    }
}

/// A running NAT; dropping it ends its thread and every connection through it.
pub struct Nat {
    crossing: Arc<Crossing>,
    thread: Option<JoinHandle<()>>,
}

impl Nat {
    pub fn start(host: Host, plan: &Plan, mtu: u32, crossing: Arc<Crossing>, state: LinkState) -> Result<Nat, Failure> {
        let slirp = Slirp::new(host, plan, mtu, Arc::clone(&crossing))?;
        for forward in &plan.forwards {
            slirp.forward(forward)?;
        }
        slirp.lengthen_backlogs();
        let work = move || {
            // The whole value moves here, not just the pointers in it.
            let slirp = slirp;
            if catch_unwind(AssertUnwindSafe(|| slirp.run())).is_err() {
                host.log(Level::Error, "the NAT's thread panicked");
            }
            state.set(false, None);
            slirp.glue.crossing.to_link.nudge();
        };
        let thread = std::thread::Builder::new().name("devnp-user".to_owned()).spawn(work);
        let thread = thread.map_err(|e| Failure::new(Errno::EAGAIN, format!("thread: {e}")))?;
        Ok(Nat { crossing, thread: Some(thread) })
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.crossing.stop.store(true, Ordering::Release);
        self.crossing.to_nat.nudge();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// libslirp's own state, and ours that its callbacks work on (boxed: its address is their argument).
struct Slirp {
    slirp: *mut ffi::Slirp,
    glue: Box<Glue>,
}

// SAFETY: made on one thread, then moved to and used on another; libslirp has no affinity to a thread.
unsafe impl Send for Slirp {}

struct Glue {
    host: Host,
    crossing: Arc<Crossing>,
    polls: RefCell<Vec<libc::pollfd>>,
    /// By number; libslirp knows a timer by its number, counted from one, in place of an address.
    timers: RefCell<Vec<Option<Timer>>>,
}

struct Timer {
    id: c_int,
    cb_opaque: *mut c_void,
    /// On the monotonic clock, in milliseconds.
    expires: Cell<Option<i64>>,
}

static CALLBACKS: ffi::SlirpCb = ffi::SlirpCb {
    send_packet,
    guest_error,
    clock_get_ns,
    timer_new: None,
    timer_free,
    timer_mod,
    register_poll_fd: ignore_fd,
    unregister_poll_fd: ignore_fd,
    notify,
    init_completed,
    timer_new_opaque,
};

impl Slirp {
    fn new(host: Host, plan: &Plan, mtu: u32, crossing: Arc<Crossing>) -> Result<Slirp, Failure> {
        let glue = Box::new(Glue { host, crossing, polls: RefCell::default(), timers: RefCell::default() });
        let nothing4 = in_addr(core::net::Ipv4Addr::UNSPECIFIED);
        let nothing6 = in6_addr(core::net::Ipv6Addr::UNSPECIFIED);
        let config = ffi::SlirpConfig {
            version: ffi::CONFIG_VERSION,
            restricted: plan.restrict.into(),
            in_enabled: plan.v4.is_some(),
            vnetwork: plan.v4.map_or(nothing4, |n| in_addr(n.network)),
            vnetmask: plan.v4.map_or(nothing4, |n| in_addr(n.mask())),
            vhost: plan.v4.map_or(nothing4, |n| in_addr(n.host())),
            in6_enabled: plan.v6.is_some(),
            vprefix_addr6: plan.v6.map_or(nothing6, |n| in6_addr(n.network)),
            vprefix_len: plan.v6.map_or(0, |n| n.prefix_len),
            vhost6: plan.v6.map_or(nothing6, |n| in6_addr(n.host())),
            vhostname: core::ptr::null(),
            tftp_server_name: core::ptr::null(),
            tftp_path: core::ptr::null(),
            bootfile: core::ptr::null(),
            vdhcp_start: plan.v4.map_or(nothing4, |n| in_addr(n.guest())),
            vnameserver: plan.v4.map_or(nothing4, |n| in_addr(n.name_server())),
            vnameserver6: plan.v6.map_or(nothing6, |n| in6_addr(n.name_server())),
            vdnssearch: core::ptr::null(),
            vdomainname: core::ptr::null(),
            if_mtu: mtu as usize,
            if_mru: mtu as usize,
            disable_host_loopback: plan.disable_host_loopback,
            enable_emu: false,
            outbound_addr: core::ptr::null(),
            outbound_addr6: core::ptr::null(),
            disable_dns: false,
            disable_dhcp: false,
        };
        let opaque = core::ptr::from_ref::<Glue>(&glue).cast_mut().cast();
        // SAFETY: a complete configuration of the version it names; callbacks are static, glue is boxed
        // and lives as long as what is made here.
        let slirp = unsafe { ffi::slirp_new(&config, &CALLBACKS, opaque) };
        if slirp.is_null() {
            // SAFETY: a constant string.
            let version = unsafe { CStr::from_ptr(ffi::slirp_version_string()) }.to_string_lossy();
            let text = format!("libslirp {version} refuses the configuration; 4.7 or later is needed");
            return Err(Failure::new(Errno::EINVAL, text));
        }
        Ok(Slirp { slirp, glue })
    }

    fn forward(&self, forward: &Forward) -> Result<(), Failure> {
        let (host, host_len) = sockaddr(forward.host);
        let (guest, guest_len) = sockaddr(forward.guest);
        let mut flags = if forward.udp { ffi::HOSTFWD_UDP } else { 0 };
        flags |= if forward.host.is_ipv6() { ffi::HOSTFWD_V6ONLY } else { 0 };
        let (host, guest) = ((&raw const host).cast(), (&raw const guest).cast());
        // SAFETY: two addresses of the lengths given, read through the call.
        let result = unsafe { ffi::slirp_add_hostxfwd(self.slirp, host, host_len, guest, guest_len, flags) };
        if result < 0 {
            return Err(Failure::last_os(format_args!("hostfwd={}: can not listen", forward.text)));
        }
        Ok(())
    }

    /// libslirp listens with a backlog of one, so that the host's kernel resets some of the clients that come at once. To
    /// be called while there is nothing but the sockets of the forwards: those of UDP refuse it, without harm.
    fn lengthen_backlogs(&self) {
        let opaque = core::ptr::from_ref::<Glue>(&self.glue).cast_mut().cast();
        let mut timeout = u32::MAX;
        // SAFETY: libslirp's own state, not yet on its thread; no borrow of the glue is held.
        unsafe { ffi::slirp_pollfds_fill(self.slirp, &mut timeout, add_poll, opaque) };
        for poll in self.glue.polls.borrow_mut().drain(..) {
            // SAFETY: numbers only.
            unsafe { libc::listen(poll.fd, libc::SOMAXCONN) };
        }
    }

    fn run(&self) {
        let opaque = core::ptr::from_ref::<Glue>(&self.glue).cast_mut().cast();
        let mut batch = Batch::default();
        while !self.glue.crossing.stop.load(Ordering::Acquire) {
            let wake = self.glue.crossing.to_nat.filled().as_raw_fd();
            {
                let mut polls = self.glue.polls.borrow_mut();
                polls.clear();
                polls.push(libc::pollfd { fd: wake, events: libc::POLLIN, revents: 0 });
            }
            let mut timeout = u32::MAX;
            // SAFETY: libslirp's own state, on its thread; no borrow of the glue is held.
            unsafe { ffi::slirp_pollfds_fill(self.slirp, &mut timeout, add_poll, opaque) };
            let result = self.sleep(if timeout == NOTHING_PENDING { u32::MAX } else { timeout });
            while self.glue.crossing.to_nat.take(&mut batch) {
                while let Some(frame) = batch.next() {
                    // SAFETY: as above; the frame is only read.
                    unsafe { ffi::slirp_input(self.slirp, frame.as_ptr(), frame.len() as c_int) };
                }
            }
            // SAFETY: as above.
            unsafe { ffi::slirp_pollfds_poll(self.slirp, c_int::from(result < 0), revents_of, opaque) };
            self.run_timers();
        }
    }

    /// Polls until something happens, `timeout` milliseconds pass, or a timer expires.
    fn sleep(&self, timeout: u32) -> c_int {
        let next = self.glue.timers.borrow().iter().flatten().filter_map(|t| t.expires.get()).min();
        let until_next = next.map(|at| u32::try_from((at - now_ms()).max(0)).unwrap_or(u32::MAX));
        let timeout = timeout.min(until_next.unwrap_or(u32::MAX));
        let timeout = if timeout == u32::MAX { -1 } else { c_int::try_from(timeout).unwrap_or(c_int::MAX) };
        let mut polls = self.glue.polls.borrow_mut();
        // SAFETY: the array's own length.
        let result = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as _, timeout) };
        if result < 0 && last_errno() == Errno::EINTR {
            polls.iter_mut().for_each(|p| p.revents = 0);
            return 0;
        }
        result
    }

    fn run_timers(&self) {
        let now = now_ms();
        let due = |t: &&Timer| t.expires.get().is_some_and(|at| at <= now);
        let expired: Vec<_> = {
            let timers = self.glue.timers.borrow();
            timers.iter().flatten().filter(due).map(|t| (t.expires.take(), t.id, t.cb_opaque)).collect()
        };
        for (_, id, cb_opaque) in expired {
            // SAFETY: libslirp's own state, on its thread, with the argument it gave.
            unsafe { ffi::slirp_handle_timer(self.slirp, id, cb_opaque) };
        }
    }
}

impl Drop for Slirp {
    fn drop(&mut self) {
        // SAFETY: made by slirp_new, used no more; its callbacks may still free timers, so the glue goes
        // after it.
        unsafe { ffi::slirp_cleanup(self.slirp) };
    }
}

fn now_ns() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn now_ms() -> i64 {
    now_ns() / 1_000_000
}

/// # Safety
/// `opaque` is what slirp_new was given, and the Slirp lives.
unsafe fn glue<'a>(opaque: *mut c_void) -> &'a Glue {
    // SAFETY: the caller's promise.
    unsafe { &*opaque.cast::<Glue>() }
}

// SAFETY, for the callbacks below: libslirp calls them with the opaque pointer of slirp_new, on its
// thread, with valid memory. None of them can panic: they only append, look up and store.

unsafe extern "C" fn send_packet(data: *const c_void, len: usize, opaque: *mut c_void) -> isize {
    let crossing = &unsafe { glue(opaque) }.crossing;
    let put = crossing.to_link.put(len, |to| {
        unsafe { core::ptr::copy_nonoverlapping(data.cast::<u8>(), to.as_mut_ptr(), len) };
        len
    });
    if !put {
        crossing.lost.fetch_add(1, Ordering::Relaxed);
    }
    len as isize
}

unsafe extern "C" fn guest_error(message: *const c_char, opaque: *mut c_void) {
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    unsafe { glue(opaque) }.host.log(Level::Debug, text);
}

unsafe extern "C" fn clock_get_ns(_opaque: *mut c_void) -> i64 {
    now_ns()
}

unsafe extern "C" fn timer_new_opaque(id: c_int, cb_opaque: *mut c_void, opaque: *mut c_void) -> *mut c_void {
    let mut timers = unsafe { glue(opaque) }.timers.borrow_mut();
    timers.push(Some(Timer { id, cb_opaque, expires: Cell::new(None) }));
    core::ptr::without_provenance_mut(timers.len())
}

unsafe extern "C" fn timer_free(timer: *mut c_void, opaque: *mut c_void) {
    if let Some(slot) = unsafe { glue(opaque) }.timers.borrow_mut().get_mut(timer.addr().wrapping_sub(1)) {
        *slot = None;
    }
}

unsafe extern "C" fn timer_mod(timer: *mut c_void, expires: i64, opaque: *mut c_void) {
    let timers = unsafe { glue(opaque) }.timers.borrow();
    if let Some(Some(timer)) = timers.get(timer.addr().wrapping_sub(1)) {
        timer.expires.set(Some(expires));
    }
}

unsafe extern "C" fn ignore_fd(_fd: c_int, _opaque: *mut c_void) {}

unsafe extern "C" fn notify(_opaque: *mut c_void) {}

unsafe extern "C" fn init_completed(_slirp: *mut ffi::Slirp, _opaque: *mut c_void) {}

unsafe extern "C" fn add_poll(fd: c_int, events: c_int, opaque: *mut c_void) -> c_int {
    let mut polls = unsafe { glue(opaque) }.polls.borrow_mut();
    // ERR and HUP come unasked.
    let wanted = [(ffi::POLL_IN, libc::POLLIN), (ffi::POLL_OUT, libc::POLLOUT), (ffi::POLL_PRI, libc::POLLPRI)];
    let events = wanted.iter().filter(|(theirs, _)| events & theirs != 0).fold(0, |all, (_, ours)| all | ours);
    polls.push(libc::pollfd { fd, events, revents: 0 });
    (polls.len() - 1) as c_int
}

unsafe extern "C" fn revents_of(index: c_int, opaque: *mut c_void) -> c_int {
    let polls = unsafe { glue(opaque) }.polls.borrow();
    let Some(poll) = usize::try_from(index).ok().and_then(|i| polls.get(i)) else { return 0 };
    let all = [
        (ffi::POLL_IN, libc::POLLIN),
        (ffi::POLL_OUT, libc::POLLOUT),
        (ffi::POLL_PRI, libc::POLLPRI),
        (ffi::POLL_ERR, libc::POLLERR),
        (ffi::POLL_HUP, libc::POLLHUP),
    ];
    all.iter().filter(|(_, ours)| poll.revents & ours != 0).fold(0, |all, (theirs, _)| all | theirs)
}
