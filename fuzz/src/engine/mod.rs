//! The protocol engine as a whole, with state: a host with one or two links, addresses of both families, a listener,
//! connections, datagram and raw sockets; and a hostile network around it.
//!
//! After every step the engine is run until it is quiet, what it sends is read back with `wire`, and its tables are
//! measured against their limits. At the end everything is closed, the network falls silent, and after a few hours of
//! the engine's time nothing may be left of any connection.

mod addresses;
mod checks;
mod craft;
mod steps;
mod tcp_peer;
mod world;

use crate::bytes::Bytes;
use world::{Setup, World};

/// Most steps taken from one input.
const STEPS_MAX: usize = 200;

/// Bytes as they are: frames behind their lengths, and pauses.
pub fn frames(data: &[u8]) {
    run_frames(data);
}

fn run_frames(data: &[u8]) -> Counted {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(Setup::from_byte(bytes.u8()));
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        match bytes.u8() {
            0..32 => steps::pause(&mut world, &mut bytes),
            _ => steps::raw_frame(&mut world, &mut bytes),
        }
    }
    world.end()
}

/// Packets with headers that are right, so that their contents reach fragments, ICMP, NDP, groups, UDP and raw
/// sockets; and what an operator and programs do meanwhile.
pub fn session(data: &[u8]) {
    run_session(data);
}

fn run_session(data: &[u8]) -> Counted {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(Setup::from_byte(bytes.u8()));
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        steps::any(&mut world, &mut bytes);
    }
    world.end()
}

/// Segments about where the connections stand, and what programs do with them.
pub fn tcp(data: &[u8]) {
    run_tcp(data);
}

fn run_tcp(data: &[u8]) -> Counted {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(Setup::from_byte(bytes.u8() & !Setup::ROUTER));
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        match bytes.u8() % 16 {
            0..9 => steps::segment(&mut world, &mut bytes),
            9 => steps::syn(&mut world, &mut bytes),
            10 => steps::quoted_error(&mut world, &mut bytes),
            11 | 12 => steps::program(&mut world, &mut bytes),
            _ => steps::pause(&mut world, &mut bytes),
        }
    }
    world.end()
}

/// Counters of the engine as (protocol, sentence, value).
pub type Counted = Vec<(&'static str, &'static str, u64)>;

/// What the engine counted under one input of one of these targets: to see what inputs reach.
pub fn counters(target: &str, data: &[u8]) -> Counted {
    match target {
        "stack_frames" => run_frames(data),
        "stack_session" => run_session(data),
        "stack_tcp" => run_tcp(data),
        _ => Counted::new(),
    }
}
