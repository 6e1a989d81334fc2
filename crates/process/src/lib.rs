//! What a command does to its own process and cannot do without unsafe code: it enters namespaces
//! of its own, and it learns that the user pressed Ctrl-C.

pub mod interrupt;
pub mod namespaces;
