//! Shared objects: opening them, and checking that they hold a module we can talk to.

use core::ffi::{CStr, c_char};
use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, offset_of};
use std::path::{Path, PathBuf};

use abi::raw;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::ModuleError;

/// The objects opened so far, by their real path. None is ever closed.
#[derive(Default)]
pub(super) struct Libraries {
    open: BTreeMap<PathBuf, ManuallyDrop<Library>>,
}

/// A driver that passed the checks.
#[derive(Clone)]
pub(super) struct LoadedDriver {
    pub(super) raw: &'static raw::iopkt_driver,
    pub(super) name: String,
    pub(super) description: String,
}

/// A protocol that passed the checks.
#[derive(Clone)]
pub(super) struct LoadedProtocol {
    pub(super) raw: &'static raw::iopkt_protocol,
    pub(super) name: String,
}

impl Libraries {
    pub(super) fn driver(&mut self, path: &Path) -> Result<LoadedDriver, ModuleError> {
        let expected = offset_of!(raw::iopkt_driver, attach) + size_of::<usize>();
        // SAFETY: what is exported under this name is an iopkt_driver: that is what the name means.
        let raw: &'static raw::iopkt_driver = unsafe { self.module(path, "driver", "iopkt_driver", expected as u32)? };
        if raw.attach.is_none() {
            return Err(invalid(path, "it has no attach function"));
        }
        // SAFETY: strings of the module, which stays mapped.
        let (name, description) = unsafe { (text(raw.name), text(raw.description)) };
        let name = name.filter(|n| !n.is_empty()).ok_or_else(|| invalid(path, "it has no name"))?;
        Ok(LoadedDriver { raw, name, description: description.unwrap_or_default() })
    }

    pub(super) fn protocol(&mut self, path: &Path) -> Result<LoadedProtocol, ModuleError> {
        let expected = offset_of!(raw::iopkt_protocol, attach) + size_of::<usize>();
        // SAFETY: as for drivers.
        let raw: &'static raw::iopkt_protocol =
            unsafe { self.module(path, "protocol", "iopkt_protocol", expected as u32)? };
        if raw.attach.is_none() {
            return Err(invalid(path, "it has no attach function"));
        }
        // SAFETY: as for drivers.
        let name = unsafe { text(raw.name) }.filter(|n| !n.is_empty());
        Ok(LoadedProtocol { raw, name: name.ok_or_else(|| invalid(path, "it has no name"))? })
    }

    /// The object exported as `symbol`, after its first two fields were checked.
    ///
    /// # Safety
    /// `T` is the type that the ABI gives to `symbol`; it begins with version and size.
    unsafe fn module<T>(
        &mut self,
        path: &Path,
        family: &'static str,
        symbol: &'static str,
        needed: u32,
    ) -> Result<&'static T, ModuleError> {
        let library = self.open(path)?;
        // SAFETY: only the address is taken here.
        let found = unsafe { library.get::<*const u32>(symbol.as_bytes()) };
        let Ok(found) = found else {
            return Err(ModuleError::WrongKind { path: path.to_owned(), family, symbol });
        };
        // For data a Symbol derefs to the address itself.
        let address = found.into_raw().cast::<u32>();
        if address.is_null() || !address.is_aligned() {
            return Err(invalid(path, "its symbol does not point to a structure"));
        }
        // SAFETY: all versions of the structure begin with these two fields.
        let (version, size) = unsafe { (address.read(), address.add(1).read()) };
        if version != raw::ABI_VERSION {
            let expected = raw::ABI_VERSION;
            return Err(ModuleError::AbiVersion { path: path.to_owned(), found: version, expected });
        }
        if size < needed {
            let what = symbol;
            return Err(ModuleError::AbiSize { path: path.to_owned(), what, found: size, expected: needed });
        }
        // SAFETY: version and size say that a T (at least up to what is needed) stands there, for ever.
        Ok(unsafe { &*address.cast::<T>() })
    }

    fn open(&mut self, path: &Path) -> Result<&Library, ModuleError> {
        let failed = |reason: String| ModuleError::Load { path: path.to_owned(), reason };
        let real = path.canonicalize().map_err(|e| failed(e.to_string()))?;
        if !self.open.contains_key(&real) {
            // SAFETY: loading runs the module's initialisers; that it is trusted is what -d means.
            let library = unsafe { Library::open(Some(&real), RTLD_NOW | RTLD_LOCAL) };
            let library = library.map_err(|e| failed(reason(&e)))?;
            self.open.insert(real.clone(), ManuallyDrop::new(library));
        }
        Ok(&self.open[&real])
    }
}

/// dlerror's own words, which stand in the error's source.
fn reason(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

fn invalid(path: &Path, reason: &str) -> ModuleError {
    ModuleError::Invalid { path: path.to_owned(), reason: reason.to_owned() }
}

/// # Safety
/// `text` is null or a NUL-terminated string.
pub(super) unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
