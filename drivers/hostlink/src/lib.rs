//! The host's network interfaces as drivers need them: what the kernel tells about one
//! ([`Interface`]), when it comes and goes ([`LinkWatch`]), and one descriptor to poll for all that a
//! queue waits for ([`Readiness`]).

mod interface;
mod media;
mod readiness;
mod watch;

pub use interface::{Interface, names};
pub use readiness::Readiness;
pub use watch::{LinkChange, LinkWatch};
