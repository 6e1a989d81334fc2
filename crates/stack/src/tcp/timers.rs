//! A connection's clocks: retransmission, persist, delayed acknowledgement, keepalive, FIN_WAIT_2.

use errno::Errno;

use super::connection::{Connection, Disposition};
use super::endpoint::Flow;
use super::rtt::RTO_MAX;
use super::segment::Env;
use crate::time::{Duration, Instant};

/// Unanswered window probes after which the peer is given up.
const PROBES_MAX: u32 = 15;
/// Answered window probes after which a connection that no program holds is given up, once they have
/// backed off to the longest interval.
const ORPHAN_PROBES_MAX: u32 = 8;

impl Connection {
    /// Runs every clock that is due.
    pub fn on_timeout(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) -> Disposition {
        if self.clocks.delayed_ack <= env.now {
            env.counters.delayed_acks += 1;
            self.clocks.delayed_ack = Instant::FAR;
            self.ack_now = true;
            self.quick_acks = Connection::QUICK_ACKS;
        }
        if self.clocks.retransmit <= env.now {
            let shut = self.snd_wnd == 0;
            if self.give_up(env, flow, env.settings.data_retries) || (shut && self.orphan_waits()) {
                env.counters.retry_drops += 1;
                flow.reset(env, self);
                return Disposition::Failed(flow.soft_error.take().unwrap_or(Errno::ETIMEDOUT));
            }
            self.on_retransmission_timeout(env);
            if shut {
                self.retransmit_into_shut_window(env, flow);
            }
        }
        if self.clocks.persist <= env.now {
            if self.give_up(env, flow, PROBES_MAX) || self.orphan_waits() {
                env.counters.retry_drops += 1;
                flow.reset(env, self);
                return Disposition::Failed(Errno::ETIMEDOUT);
            }
            env.counters.persist_timeouts += 1;
            self.probe_window(env, flow);
        }
        if self.clocks.fin_wait_2 <= env.now {
            return Disposition::Closed;
        }
        if self.clocks.keepalive <= env.now {
            return self.on_keepalive(env, flow);
        }
        Disposition::Keep
    }

    /// A peer that lives but keeps its window shut may hold a program's connection for ever, not one
    /// that nobody has any more.
    fn orphan_waits(&self) -> bool {
        !self.held && self.window_probes >= ORPHAN_PROBES_MAX && self.rtt.rto() >= RTO_MAX
    }

    /// Counts a time-out; true when it was one too many (RFC 9293 §3.8.3, TCP_USER_TIMEOUT). The
    /// user's time-out, which may be weeks, does not lengthen the life of a connection without a user.
    fn give_up(&mut self, env: &Env<'_>, flow: &Flow<'_>, limit: u32) -> bool {
        self.retries += 1;
        if !self.held && self.retries > env.settings.orphan_retries.min(limit) {
            return true;
        }
        let since = *self.retrying_since.get_or_insert(self.last_sent.min(env.now));
        match flow.options.user_timeout {
            0 => self.retries > limit,
            ms => env.now.since(since) >= Duration::from_millis(u64::from(ms)),
        }
    }

    fn probe_window(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        if self.snd_wnd > 0 && self.snd_max == self.snd_una {
            // The window is open, only too small for sender-side SWS avoidance, or the program corked
            // what is left: the override of RFC 9293 §3.8.6.2.1 sends what fits.
            self.clocks.persist = env.now + self.rtt.rto();
            self.send_into_small_window(env, flow);
            return;
        }
        env.counters.window_probes_sent += 1;
        self.window_probes += 1;
        self.rtt.back_off();
        self.clocks.persist = env.now + self.rtt.rto();
        self.send_probe(env, flow);
    }

    fn on_keepalive(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) -> Disposition {
        let interval = Duration::from_secs(u64::from(flow.options.keep_interval));
        // Data in flight is a probe of its own.
        if self.snd_max != self.snd_una {
            self.clocks.keepalive = env.now + interval;
            return Disposition::Keep;
        }
        let silent = env.now.since(self.last_received);
        let too_long = match flow.options.user_timeout {
            0 => self.keep_probes >= flow.options.keep_count,
            ms => self.keep_probes > 0 && silent >= Duration::from_millis(u64::from(ms)),
        };
        if too_long {
            env.counters.keepalive_drops += 1;
            flow.reset(env, self);
            return Disposition::Failed(Errno::ETIMEDOUT);
        }
        self.keep_probes += 1;
        env.counters.keepalive_timeouts += 1;
        self.send_probe(env, flow);
        self.clocks.keepalive = env.now + interval;
        Disposition::Keep
    }
}
