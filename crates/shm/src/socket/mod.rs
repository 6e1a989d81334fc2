//! What a program and the daemon share of one stream socket in ring mode: one sealed memfd with a page of
//! words and two byte rings. `docs/rings.md` has the layout, the protocols, and what the models show.
//!
//! - [`Arena`], [`Attached`]: the memfd, made by the daemon, attached by the program.
//! - [`SendBuffer`], [`ReceiveBuffer`]: the daemon's ends of the rings, which are TCP's buffers.
//! - [`Writer`], [`Reader`]: the program's ends.
//! - [`TokenWord`]: when the other side is woken, and by how many bytes on the pair.
//! - [`TurnLock`]: one thread at a time at the program's end of a ring.
//! - [`ModeWord`], [`DaemonMode`]: change from pair mode to ring mode and back.
//!
//! Whoever holds the memfd can write any byte of it at any time. So each side keeps what it must be able to
//! rely on in memory of its own (sizes, the position that it moves itself, the last position of the other side
//! that made sense), copies a shared word once, clamps the copy, and bounds each loop over one. No content of
//! the memfd makes this code panic, leave its ring, or spin. What a program spoils is its own stream.

mod arena;
mod kernel;
mod layout;
pub(crate) mod map;
mod mode;
mod receive;
mod send;
mod token;
mod turn;

pub use arena::{Arena, Attached, RING_MAX, RING_MIN, Sizes, Words};
pub use mode::{Change, DaemonMode, Mode, ModeWord, Refused};
pub use receive::{Reader, ReceiveBuffer};
pub use send::{SendBuffer, Writer};
#[cfg(loom)]
pub(crate) use token::Sleepers;
pub use token::{Cleared, Repeat, TokenWord, UNREAD_MAX};
pub use turn::{Denied, Holder, Taken, TurnLock};

#[cfg(loom)]
pub(crate) use kernel::{Kernel, Woken};
