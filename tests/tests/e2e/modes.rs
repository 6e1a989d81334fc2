//! The bytes of a stream go through the socketpair, or through shared rings (`docs/rings.md`), and change from one to the other in the
//! middle of a stream. No program may see which: `modes_*.c` hold every byte to its place while they do to the socket what forces a
//! change, with either way forced from the first byte on.

use e2e::{Finished, Lab, Link, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, none_of, program};

use crate::sockets::{V4, V6, all, ready};

pub const MODES: &[&str] = &[
    "modes_fork",
    "modes_exec",
    "modes_pass",
    "modes_stdio",
    "modes_calls",
    "modes_ready",
    "modes_threads",
    "modes_ends",
];

/// Ten thousand connections take their time: in one family.
pub const MANY: &[&str] = &["modes_many"];

/// Values of `IOPKT_MODE`.
#[derive(Clone, Copy)]
enum Mode {
    Pair,
    Ring,
}

impl Mode {
    fn variable(self) -> &'static str {
        match self {
            Mode::Pair => "IOPKT_MODE=pair",
            Mode::Ring => "IOPKT_MODE=ring",
        }
    }

    fn run(self, lab: &Lab, words: &[&str]) -> Finished {
        lab.run(&[&["env", self.variable()], words].concat())
    }

    fn start(self, lab: &Lab, words: &[&str]) -> Running {
        lab.start(&[&["env", self.variable()], words].concat())
    }

    /// The daemon has seen what was asked for: rings where they were forced, and every one of them left before its
    /// socket was used past the library; otherwise none.
    fn was_used(self, lab: &Lab) {
        let counters = lab.command(&["netstat", "-s"]).ok();
        let seen = |sentence: &str| counters.contains(sentence);
        let rings = matches!(self, Mode::Ring);
        assert_eq!(seen("gone over to ring mode"), rings, "{counters}");
    }
}

/// Both ends within one instance: what one end does the other end has to bear in its own mode.
fn within_one_instance(mode: Mode) {
    let lab = Lab::new(Link::None);
    let run = |words: &[&str]| mode.run(&lab, words);
    let mut list = all(MODES, &[V4, "127.0.0.1"], &run);
    list.extend(all(MODES, &[V6, "::1"], &run));
    list.extend(all(MANY, &[V4, "127.0.0.1"], &run));
    none_of(list);
    mode.was_used(&lab);
}

/// The program on the instance, the agent on the kernel.
fn against_the_kernel(mode: Mode) {
    let lab = Lab::new(Link::Packet);
    let agent = program("agent");
    let _agents = [PEER_V4, PEER_V6].map(|at| ready(lab.peer_start(&[&agent, at])));
    let run = |words: &[&str]| mode.run(&lab, words);
    let mut list = all(MODES, &[V4, STACK_V4, PEER_V4], &run);
    list.extend(all(MODES, &[V6, STACK_V6, PEER_V6], &run));
    list.extend(all(MANY, &[V6, STACK_V6, PEER_V6], &run));
    none_of(list);
    mode.was_used(&lab);
}

/// The program on the kernel, the agent on the instance: a reader and writer that does nothing special.
fn from_the_kernel(mode: Mode) {
    let lab = Lab::new(Link::Packet);
    let agent = program("agent");
    let _agent = ready(mode.start(&lab, &[&agent, STACK_V4]));
    none_of(all(MODES, &[V4, PEER_V4, STACK_V4], &|words| lab.peer_run(words)));
    mode.was_used(&lab);
}

#[test]
fn pair_mode_within_one_instance() {
    within_one_instance(Mode::Pair);
}

#[test]
fn pair_mode_against_the_kernel() {
    against_the_kernel(Mode::Pair);
}

#[test]
fn pair_mode_of_the_agent() {
    from_the_kernel(Mode::Pair);
}

#[test]
fn ring_mode_within_one_instance() {
    within_one_instance(Mode::Ring);
}

#[test]
fn ring_mode_against_the_kernel() {
    against_the_kernel(Mode::Ring);
}

#[test]
fn ring_mode_of_the_agent() {
    from_the_kernel(Mode::Ring);
}
