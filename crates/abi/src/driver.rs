//! A driver written in Rust: the trait, and the macro that exports it.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use errno::Errno;

use crate::host::{Failure, Host};
use crate::link::panic_text;
use crate::options::{DRIVER_GENERIC, OptionSpec, Options, known};
use crate::raw;

/// A driver module. `abi::iopkt_driver!(Type)` exports it.
pub trait Driver {
    /// What stands after `-d`.
    const NAME: &'static CStr;
    const DESCRIPTION: &'static CStr;
    /// The options of its own, ended by [`OptionSpec::END`].
    const OPTIONS: &'static [OptionSpec];

    /// Opens the device and adds at least one link to the host.
    fn attach(host: Host, options: &Options) -> Result<(), Failure>;
}

/// The table that the symbol `iopkt_driver` holds.
pub const fn table<D: Driver>() -> raw::iopkt_driver {
    let options = D::OPTIONS;
    assert!(!options.is_empty() && options[options.len() - 1].is_end(), "OPTIONS must end with OptionSpec::END");
    raw::iopkt_driver {
        abi_version: raw::ABI_VERSION,
        size: size_of::<raw::iopkt_driver>() as u32,
        name: D::NAME.as_ptr(),
        description: D::DESCRIPTION.as_ptr(),
        options: options.as_ptr().cast(),
        attach: Some(attach::<D>),
    }
}

unsafe extern "C" fn attach<D: Driver>(
    table: *const raw::iopkt_host,
    ctx: *mut c_void,
    options: *const c_char,
) -> c_int {
    // SAFETY: these are the arguments of attach.
    let host = unsafe { Host::new(table, ctx) };
    let work = || {
        // SAFETY: the host passes a string, and the table is D's own.
        let (text, known) = unsafe { (CStr::from_ptr(options), known(D::OPTIONS.as_ptr().cast(), &DRIVER_GENERIC)) };
        let text = text.to_str().map_err(|_| Failure::new(Errno::EINVAL, "the options are not UTF-8"))?;
        let known = known.ok_or_else(|| Failure::new(Errno::EINVAL, "the driver's option table is wrong"))?;
        D::attach(host, &Options::parse(text, &known)?)
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => {
            host.fail(&failure);
            -failure.errno.0
        }
        Err(panic) => {
            host.fail(format_args!("the driver panicked in attach: {}", panic_text(&*panic)));
            -Errno::EIO.0
        }
    }
}

/// Exports a [`Driver`] under the symbol that the daemon looks for.
#[macro_export]
macro_rules! iopkt_driver {
    ($driver:ty) => {
        /// What the daemon's module loader looks for.
        #[allow(non_upper_case_globals)]
        #[unsafe(no_mangle)]
        pub static iopkt_driver: $crate::raw::iopkt_driver = $crate::driver::table::<$driver>();
    };
}
