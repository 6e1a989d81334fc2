//! Why a module could not be loaded or attached; each text is one line for the operator.

use std::path::PathBuf;

use abi::Errno;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("unknown {family} \"{name}\": no {looked_for} in {searched}; known: {known}")]
    NotFound { family: &'static str, name: String, looked_for: String, searched: String, known: String },
    #[error("{}: can not be loaded: {reason}", path.display())]
    Load { path: PathBuf, reason: String },
    #[error("{}: is not a {family} module: it does not export \"{symbol}\"", path.display())]
    WrongKind { path: PathBuf, family: &'static str, symbol: &'static str },
    #[error("{}: speaks version {found} of the module ABI, this daemon version {expected}", path.display())]
    AbiVersion { path: PathBuf, found: u32, expected: u32 },
    #[error("{}: its {what} has {found} bytes, at least {expected} are needed: rebuild it with this daemon's header", path.display())]
    AbiSize { path: PathBuf, what: &'static str, found: u32, expected: u32 },
    #[error("{}: is not valid: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("{module}: {text}")]
    Options { module: String, text: String },
    #[error("{module}: {text}")]
    Attach { module: String, errno: Errno, text: String },
    #[error("{module}: attached without making a link")]
    NoLink { module: String },
}

impl ModuleError {
    /// For callers that have to give back a number (mount(8)).
    pub fn errno(&self) -> Errno {
        match self {
            ModuleError::NotFound { .. } => Errno::ENOENT,
            ModuleError::Options { .. } => Errno::EINVAL,
            ModuleError::Attach { errno, .. } => *errno,
            ModuleError::NoLink { .. } => Errno::ENODEV,
            ModuleError::Load { .. }
            | ModuleError::WrongKind { .. }
            | ModuleError::AbiVersion { .. }
            | ModuleError::AbiSize { .. }
            | ModuleError::Invalid { .. } => Errno(libc::ENOEXEC),
        }
    }
}
