//! Ring mode (`docs/rings.md`): the bytes of a hot stream socket travel through memory that the daemon shares, and the
//! pair carries only tokens, so that poll and epoll go on as before.
//!
//! - [`slots`]: what this process shares, and who is at it just now;
//! - [`change`]: into ring mode, and back before something that the library cannot follow;
//! - [`transfer`]: the calls that move bytes.
//!
//! A socket goes over when it has moved [`change::HOT_BYTES`], while one process alone has it and one thread is at
//! it. Back it goes for good: before fork, exec, passing on, stdio, whatever uses the descriptor past the library.

mod change;
mod slots;
mod transfer;

pub use change::{
    after_fork, before_fork, begin, in_child, leave_all, leave_all_inherited, leave_for_ever, never, stay, wants_edges,
};
pub use slots::{Lease, release, retain};
pub use transfer::{Moved, Pieces, receive, send, unread, unsent};

use core::sync::atomic::Ordering;

use crate::table::{self, Socket};

/// How a call on a stream moves its bytes.
pub enum Way {
    Pair(table::Use),
    Ring(Lease),
}

/// Looked at once by each call, which keeps the answer while it works.
pub fn way(s: &Socket) -> Way {
    let mut asked = false;
    loop {
        if let Some(lease) = Lease::take(table::ring(s.fd)) {
            return Way::Ring(lease);
        }
        if s.has(table::flag::PAIR_ONLY) {
            return Way::Pair(table::Use::none());
        }
        if !asked && change::is_due(s) && table::is_unused(s.fd) {
            asked = true;
            change::enter(s);
            continue;
        }
        // Counted first, then looked at once more: between the two looks somebody may have gone over.
        if let Some(used) = table::Use::begin(s.fd)
            && table::ring(s.fd) == 0
        {
            return Way::Pair(used);
        }
    }
}

/// Nothing more is to be written to a socket in ring mode; the daemon is the caller's to tell. False in pair mode.
pub fn shut_for_writing(s: &Socket) -> bool {
    let Some(lease) = Lease::take(table::ring(s.fd)) else { return false };
    // In the send turn, so that nothing is published after the end.
    let _turn = transfer::Turn::take(s, &lease, transfer::Direction::Send);
    lease.shut.store(true, Ordering::Release);
    true
}
