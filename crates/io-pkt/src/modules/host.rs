//! The host's side of `attach`: the callbacks that a driver gets, and what they gather.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::options::Options;
use abi::{Errno, raw};

use super::ModuleError;
use super::library::{LoadedDriver, text};
use super::link::PendingLink;

/// One `-d`: what the driver's callbacks work on. It lives as long as the last of its links, so that
/// the driver's threads may log until they are joined.
pub(super) struct Attachment {
    pub(super) driver: LoadedDriver,
    pub(super) options: Options,
    log: Log,
    values: OptionValues,
    failure: Mutex<Option<String>>,
    links: Mutex<Vec<PendingLink>>,
}

/// State that a driver reports and the daemon reads, from any thread.
pub(super) struct ReportedState {
    pub(super) up: AtomicBool,
    pub(super) changed: AtomicBool,
    pub(super) media: Mutex<Option<String>>,
}

impl Attachment {
    pub(super) fn take_links(&self) -> Vec<PendingLink> {
        std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn attach(
    driver: &LoadedDriver,
    option_text: &str,
    options: Options,
) -> Result<Arc<Attachment>, ModuleError> {
    let attachment = Arc::new(Attachment {
        driver: driver.clone(),
        log: Log::new(&driver.name, &options),
        values: OptionValues::default(),
        options,
        failure: Mutex::default(),
        links: Mutex::default(),
    });
    let failed = |errno: Errno, text: String| ModuleError::Attach { module: driver.name.clone(), errno, text };
    let c_text =
        CString::new(option_text).map_err(|_| failed(Errno::EINVAL, "the options hold a NUL character".to_owned()))?;
    let Some(entry) = driver.raw.attach else {
        return Err(failed(Errno::EINVAL, "it has no attach function".to_owned()));
    };
    let ctx = Arc::as_ptr(&attachment).cast_mut().cast::<c_void>();
    // SAFETY: the driver's own entry with the host's table, a context that outlives its links, and a string.
    let result = unsafe { entry(&HOST, ctx, c_text.as_ptr()) };
    if result >= 0 {
        return Ok(attachment);
    }
    // Links that it made before it failed end here: dropping them detaches them.
    drop(attachment.take_links());
    let errno = Errno(result.saturating_neg());
    let said = attachment.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    Err(failed(errno, said.unwrap_or_else(|| format!("attach failed: {errno}"))))
}

/// A module's messages, under its name, into the daemon's log.
pub(super) struct Log {
    module: String,
    verbose: bool,
}

impl Log {
    pub(super) fn new(module: &str, options: &Options) -> Log {
        Log { module: module.to_owned(), verbose: options.number("verbose").unwrap_or(0) > 0 }
    }

    pub(super) fn write(&self, level: u32, text: &str) {
        let module = self.module.as_str();
        match level {
            raw::LOG_ERROR => tracing::error!(target: "module", "{module}: {text}"),
            raw::LOG_WARN => tracing::warn!(target: "module", "{module}: {text}"),
            raw::LOG_INFO => tracing::info!(target: "module", "{module}: {text}"),
            // `verbose` is one driver's; the daemon's own -v need not be on for it.
            _ if self.verbose => tracing::info!(target: "module", "{module}: {text}"),
            _ => tracing::debug!(target: "module", "{module}: {text}"),
        }
    }
}

/// Option values handed out as C strings; kept for the attachment's life.
#[derive(Default)]
pub(super) struct OptionValues(Mutex<Vec<CString>>);

impl OptionValues {
    /// # Safety
    /// `key` is null or a string.
    pub(super) unsafe fn nth(&self, options: &Options, key: *const c_char, nth: u32) -> *const c_char {
        // SAFETY: the caller's promise.
        let value = unsafe { text(key) }.and_then(|key| options.all(&key).nth(nth as usize).map(str::to_owned));
        let Some(value) = value.and_then(|v| CString::new(v).ok()) else { return core::ptr::null() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = value.as_ptr(); // the string's bytes stay where they are when it moves into the list
        kept.push(value);
        at
    }

    /// # Safety
    /// `key` is null or a string.
    pub(super) unsafe fn number(options: &Options, key: *const c_char, otherwise: u32) -> u32 {
        // SAFETY: the caller's promise.
        let Some(key) = (unsafe { text(key) }) else { return otherwise };
        let flag = || options.has(&key).then(|| options.flag(&key, false)).map(u32::from);
        options.number(&key).or_else(flag).unwrap_or(otherwise)
    }
}

static HOST: raw::iopkt_host = raw::iopkt_host {
    abi_version: raw::ABI_VERSION,
    size: size_of::<raw::iopkt_host>() as u32,
    log: Some(log),
    fail: Some(fail),
    option: Some(option),
    option_u32: Some(option_u32),
    link_new: Some(link_new),
    link_state: Some(link_state),
};

/// # Safety
/// `ctx` is the `host_ctx` of an attachment that lives.
unsafe fn attachment<'a>(ctx: *mut c_void) -> &'a Attachment {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<Attachment>() }
}

// SAFETY, for the callbacks below: a driver passes the host_ctx it was given, while it is valid, and
// strings and structures as the header says.

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, message: *const c_char) {
    if let Some(message) = unsafe { text(message) } {
        unsafe { attachment(ctx) }.log.write(level, &message);
    }
}

unsafe extern "C" fn fail(ctx: *mut c_void, message: *const c_char) {
    let failure = &unsafe { attachment(ctx) }.failure;
    *failure.lock().unwrap_or_else(PoisonError::into_inner) = unsafe { text(message) };
}

unsafe extern "C" fn option(ctx: *mut c_void, key: *const c_char, nth: u32) -> *const c_char {
    let attachment = unsafe { attachment(ctx) };
    unsafe { attachment.values.nth(&attachment.options, key, nth) }
}

unsafe extern "C" fn option_u32(ctx: *mut c_void, key: *const c_char, otherwise: u32) -> u32 {
    unsafe { OptionValues::number(&attachment(ctx).options, key, otherwise) }
}

unsafe extern "C" fn link_new(
    ctx: *mut c_void,
    info: *const raw::iopkt_link_info,
    ops: *const raw::iopkt_link_ops,
    link_ctx: *mut c_void,
) -> *mut raw::iopkt_link {
    let attachment = unsafe { attachment(ctx) };
    match unsafe { PendingLink::new(info, ops, link_ctx) } {
        Ok(pending) => {
            let handle = pending.handle();
            attachment.links.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
            handle
        }
        Err(why) => {
            *attachment.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            core::ptr::null_mut()
        }
    }
}

unsafe extern "C" fn link_state(link: *mut raw::iopkt_link, up: c_int, media: *const c_char) {
    if link.is_null() {
        return;
    }
    // SAFETY: the handle that link_new gave is the address of the link's state, alive until detach returns.
    let state = unsafe { &*link.cast::<ReportedState>() };
    if !media.is_null() {
        let media = unsafe { CStr::from_ptr(media) }.to_string_lossy().into_owned();
        *state.media.lock().unwrap_or_else(PoisonError::into_inner) = Some(media);
        state.changed.store(true, Ordering::Release);
    }
    if state.up.swap(up != 0, Ordering::AcqRel) != (up != 0) {
        state.changed.store(true, Ordering::Release);
    }
}
