//! Two or more hosts on one Ethernet segment, and the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use stack::Instant;
use stack::random::Random;

use crate::host::Host;
use crate::link::{Faults, Link, LinkStatistics};

/// A frame under way: arrival time, order of sending (ties), receiver, bytes.
type UnderWay = Reverse<(Instant, u64, usize, Vec<u8>)>;

pub struct Network {
    pub now: Instant,
    pub hosts: Vec<Host>,
    /// One outgoing wire a host.
    links: Vec<Link>,
    under_way: BinaryHeap<UnderWay>,
    order: u64,
    random: Random,
}

impl Network {
    pub fn new(seed: u64, faults: Faults, hosts: Vec<Host>) -> Network {
        let links = hosts.iter().map(|_| Link::new(faults)).collect();
        Network { now: Instant::ZERO, hosts, links, under_way: BinaryHeap::new(), order: 0, random: Random::new(seed) }
    }

    /// Lets every host run and puts what it sends on its wire.
    pub fn settle(&mut self) {
        for from in 0..self.hosts.len() {
            for frame in self.hosts[from].run(self.now) {
                let (order, under_way, hosts) = (&mut self.order, &mut self.under_way, self.hosts.len());
                self.links[from].carry(self.now, frame, &mut self.random, |at, frame| {
                    for to in (0..hosts).filter(|&to| to != from) {
                        *order += 1;
                        under_way.push(Reverse((at, *order, to, frame.clone())));
                    }
                });
            }
        }
    }

    /// Goes to the next thing that happens, at most to `until`. False when nothing is left before it.
    pub fn step(&mut self, until: Instant) -> bool {
        self.settle();
        let arrival = self.under_way.peek().map_or(Instant::FAR, |Reverse((at, ..))| *at);
        let deadline = self.hosts.iter().map(|h| h.stack.next_deadline()).min().unwrap_or(Instant::FAR);
        let next = arrival.min(deadline).max(self.now);
        if next > until {
            self.now = until;
            return false;
        }
        self.now = next;
        while let Some(Reverse((at, ..))) = self.under_way.peek()
            && *at <= self.now
        {
            let Some(Reverse((_, _, to, frame))) = self.under_way.pop() else { break };
            self.hosts[to].receive(self.now, &frame);
        }
        self.settle();
        true
    }

    pub fn statistics(&self) -> LinkStatistics {
        self.links.iter().fold(LinkStatistics::default(), |a, l| {
            let b = l.statistics;
            LinkStatistics {
                frames: a.frames + b.frames,
                lost: a.lost + b.lost,
                duplicated: a.duplicated + b.duplicated,
                reordered: a.reordered + b.reordered,
                corrupted: a.corrupted + b.corrupted,
                overflowed: a.overflowed + b.overflowed,
            }
        })
    }
}
