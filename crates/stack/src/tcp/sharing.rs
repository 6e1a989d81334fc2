//! Ring mode (`docs/rings.md`): a connection's bytes lie in rings that its program shares, which moves their far
//! ends without a call. Here they are put in and taken out, and what the program has done meanwhile is taken note of.

use errno::Errno;
use shm::socket::{ReceiveBuffer, SendBuffer};
use shm::{Pool, Ring};

use super::Tcp;
use super::buffers::{ReceiveQueue, SendQueue};
use super::calls::grow_receive_buffer;
use super::endpoint::State;
use crate::net::Net;
use crate::socket::SocketId;
use crate::time::{Duration, Instant};

/// What a connection's buffers hold, and what else must find room in a receive ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes not acknowledged yet.
    pub tx: usize,
    /// Bytes in order that the program has not taken.
    pub rx: usize,
    /// Bytes that the peer was told it may send, and the buffer's limit: the larger.
    pub window: usize,
    /// Smoothed round-trip time, if one was measured.
    pub round_trip: Option<Duration>,
}

/// What the program did at its ends since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes in the receive ring that it has not read.
    pub unread: usize,
    /// The stack waits for the program to read on: the window is small, or the peer's FIN comes after these bytes.
    pub wants_room: bool,
}

impl Tcp {
    /// `None` when there is no connection.
    pub fn held(&self, id: SocketId) -> Option<Held> {
        let e = self.table.at(self.index(id).ok()?);
        match &e.state {
            State::Open(c) => Some(Held {
                tx: c.tx.len(),
                rx: c.rx.len(),
                window: c.rx.limit().max(c.window_left() as usize),
                round_trip: c.rtt.srtt(),
            }),
            _ => e.leftover.as_ref().map(|rx| Held { rx: rx.len(), ..Held::default() }),
        }
    }

    /// Copies what the connection's own buffers hold into rings that begin anew, behind `before` bytes that the program
    /// has not read in pair mode. Nothing is changed yet. Errors: ENOTCONN when there is no connection; EAGAIN
    /// while payload is held that came ahead of its turn; ENOBUFS when something does not fit.
    pub fn copy_into(
        &self,
        id: SocketId,
        before: usize,
        send: &mut SendBuffer,
        receive: &mut ReceiveBuffer,
    ) -> Result<(), Errno> {
        let State::Open(c) = &self.table.at(self.index(id)?).state else { return Err(Errno::ENOTCONN) };
        let (SendQueue::Own(tx), ReceiveQueue::Own(rx)) = (&c.tx, &c.rx) else { return Err(Errno::EALREADY) };
        if !c.ahead.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let most = before.saturating_add(rx.len()).saturating_add(c.window_left() as usize);
        if most > receive.size() || !send.restart(tx) || !receive.restart(before, rx) {
            return Err(Errno::ENOBUFS);
        }
        Ok(())
    }

    /// Goes over to the shared rings, right after [`Tcp::copy_into`].
    pub fn share(&mut self, pool: &mut Pool, id: SocketId, send: SendBuffer, receive: ReceiveBuffer) {
        let Ok(index) = self.index(id) else { return };
        let e = self.table.at_mut(index);
        let State::Open(c) = &mut e.state else { return };
        let (tx_limit, rx_limit) = (c.tx.limit(), c.rx.limit());
        let whole = send.size();
        c.tx.release(pool);
        c.rx.release(pool);
        c.tx = SendQueue::Shared(send);
        c.rx = ReceiveQueue::Shared(receive);
        c.tx.set_limit(if e.options.sndbuf_fixed { tx_limit } else { whole });
        c.rx.set_limit(rx_limit);
    }

    /// What the shared rings hold, in rings of our own. `None` when none are shared.
    pub fn copies(&mut self, pool: &mut Pool, id: SocketId) -> Option<(Ring, Ring)> {
        let index = self.index(id).ok()?;
        let e = self.table.at_mut(index);
        match &mut e.state {
            State::Open(c) => {
                let ahead = c.ahead.end() as usize;
                Some((c.tx.copied(pool)?, c.rx.copied(pool, ahead)?))
            }
            _ => Some((Ring::new(0), e.leftover.as_mut()?.copied(pool, 0)?)),
        }
    }

    /// Goes back to rings of our own, right after [`Tcp::copies`].
    pub fn unshare(&mut self, id: SocketId, tx: Ring, rx: Ring) {
        let Ok(index) = self.index(id) else { return };
        let e = self.table.at_mut(index);
        match &mut e.state {
            State::Open(c) => {
                c.tx = SendQueue::Own(tx);
                c.rx = ReceiveQueue::Own(rx);
            }
            _ => e.leftover = (!rx.is_empty()).then(|| Box::new(ReceiveQueue::Own(rx))),
        }
        self.mark_dirty(index);
    }

    /// Takes note of what the program has added to the shared send ring, and has it sent; gives back how many bytes.
    pub fn note_sent(&mut self, id: SocketId) -> usize {
        let Ok(index) = self.index(id) else { return 0 };
        let State::Open(c) = &mut self.table.at_mut(index).state else { return 0 };
        let SendQueue::Shared(buffer) = &mut c.tx else { return 0 };
        if c.phase.send_closed() {
            return 0;
        }
        let new = buffer.refresh();
        if new > 0 {
            self.mark_dirty(index);
        }
        new
    }

    /// The shared send ring.
    pub fn shared_tx(&self, id: SocketId) -> Option<&SendBuffer> {
        match &self.table.at(self.index(id).ok()?).state {
            State::Open(c) => match &c.tx {
                SendQueue::Shared(buffer) => Some(buffer),
                SendQueue::Own(_) => None,
            },
            _ => None,
        }
    }

    /// The shared receive ring, also after the connection, while bytes are unread.
    pub fn shared_rx(&mut self, id: SocketId) -> Option<&mut ReceiveBuffer> {
        let index = self.index(id).ok()?;
        let e = self.table.at_mut(index);
        let queue = match &mut e.state {
            State::Open(c) => &mut c.rx,
            _ => e.leftover.as_deref_mut()?,
        };
        match queue {
            ReceiveQueue::Shared(buffer) => Some(buffer),
            ReceiveQueue::Own(_) => None,
        }
    }

    /// Takes note of what the program has read from the shared receive ring; the window may open.
    pub fn note_read(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, id: SocketId) -> Progress {
        let Ok(index) = self.index(id) else { return Progress::default() };
        let (progress, due) = self.with(net, pool, now, index, |env, e| {
            let State::Open(c) = &mut e.state else {
                let unread = e.leftover.as_mut().map_or(0, |rx| {
                    rx.refresh();
                    rx.len()
                });
                return (Progress { unread, wants_room: unread > 0 }, false);
            };
            c.note_read();
            if !e.options.rcvbuf_fixed {
                grow_receive_buffer(c, now, e.options.clamped(env.settings.rcvbuf_max));
            }
            let due_before = c.ack_now;
            c.maybe_update_window(env);
            let small = (c.window_left() as usize) < c.rx.limit() / 2 && !c.ack_now;
            let unread = c.rx.len();
            let wants_room = unread > 0 && (small || c.phase.receive_closed());
            (Progress { unread, wants_room }, c.ack_now && !due_before)
        });
        if due {
            self.mark_dirty(index);
        }
        progress
    }
}
