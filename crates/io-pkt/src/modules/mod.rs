//! Loadable modules: finding a driver by the name an operator gives it, loading it, and turning what
//! it makes into links that the daemon's shards own ([`LinkDevice`], [`LinkQueue`]).
//!
//! The border itself is `abi`; what is unsafe about calling a module stays in this folder. A module
//! is never unmapped: unload means detach, since threads of its own runtime may keep it mapped anyway.

mod error;
mod frames;
mod host;
mod library;
mod link;
mod naming;
mod pool;
mod protocol;
mod resolve;

use std::path::PathBuf;
use std::sync::Arc;

use abi::Errno;
use abi::options::{DRIVER_GENERIC, Known, Options, PROTOCOL_GENERIC};

pub use error::ModuleError;
pub use frames::{offloads, packet, rx_frame};
pub use link::{LinkDevice, LinkQueue, LinkStatus, Packet};
pub use naming::LinkNames;
pub use pool::{FramePool, HEADROOM, ReceivedFrame, STRIDE};
pub use protocol::{ProtocolLink, ProtocolModule, Transmit};
pub use resolve::search_path;

use library::Libraries;
use protocol::Taken;
use resolve::Family;

/// The modules loaded so far, and the names that their links took.
pub struct Modules {
    search: Vec<PathBuf>,
    libraries: Libraries,
    names: LinkNames,
    taken: Taken,
}

impl Modules {
    /// Looks for modules in these directories, in order; [`search_path`] gives the usual ones.
    pub fn new(search: Vec<PathBuf>) -> Modules {
        Modules { search, libraries: Libraries::default(), names: LinkNames::default(), taken: Taken::default() }
    }

    /// Loads the driver `name` if it is not loaded yet and attaches it with the operator's options.
    /// Gives at least one link.
    pub fn attach_driver(&mut self, name: &str, options: &str) -> Result<Vec<LinkDevice>, ModuleError> {
        let path = resolve::find(name, Family::Driver, &self.search)?;
        let driver = self.libraries.driver(&path)?;
        // SAFETY: the table is the loaded driver's, which is never unmapped.
        let known = unsafe { abi::options::known(driver.raw.options, &DRIVER_GENERIC) };
        let parsed = parse(&driver.name, options, known)?;
        let wrong = |text: String| ModuleError::Options { module: driver.name.clone(), text };
        let plan = self.names.plan(&parsed).map_err(wrong)?;
        let attachment = host::attach(&driver, options, parsed)?;
        let mut devices = Vec::new();
        for (i, pending) in attachment.take_links().into_iter().enumerate() {
            let name = self.names.take(&plan, pending.base(), pending.unit(), i).map_err(wrong)?;
            devices.push(LinkDevice::new(pending, Arc::clone(&attachment), name)?);
        }
        if devices.is_empty() {
            return Err(ModuleError::NoLink { module: driver.name.clone() });
        }
        Ok(devices)
    }

    /// Loads the protocol `name` if it is not loaded yet and attaches it. `links` are those that there are
    /// now; `now_ms` is a clock of the caller's choice, the one that it will run timers by.
    pub fn attach_protocol(
        &mut self,
        name: &str,
        options: &str,
        links: &[ProtocolLink],
        now_ms: u64,
    ) -> Result<ProtocolModule, ModuleError> {
        let path = resolve::find(name, Family::Protocol, &self.search)?;
        let module = self.libraries.protocol(&path)?;
        // SAFETY: the table is the loaded module's, which is never unmapped.
        let known = unsafe { abi::options::known(module.raw.options, &PROTOCOL_GENERIC) };
        let parsed = parse(&module.name, options, known)?;
        ProtocolModule::attach(module, options, parsed, self.taken.clone(), links, now_ms)
    }

    /// The names that links hold, `lo0` included.
    pub fn names(&self) -> &LinkNames {
        &self.names
    }
}

fn parse(module: &str, options: &str, known: Option<Vec<Known>>) -> Result<Options, ModuleError> {
    let wrong = |text: String| ModuleError::Options { module: module.to_owned(), text };
    let known = known.ok_or_else(|| wrong("its option table is not valid".to_owned()))?;
    Options::parse(options, &known).map_err(|e| wrong(e.0))
}

/// A count or -errno, as the C functions give it.
fn outcome(result: i32) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(result.saturating_neg()))
}
