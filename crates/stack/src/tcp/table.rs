//! Endpoints in slots that are reused; a generation tells a new tenant from the one before.

use errno::Errno;

use super::endpoint::Endpoint;
use super::endpoint::State;
use super::options::Options;
use crate::options::Domain;
use crate::socket::Events;
use crate::time::Instant;

#[derive(Default)]
pub struct Table {
    slots: Vec<Option<Box<Endpoint>>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    max: usize,
}

impl Table {
    /// Most endpoints at a time: sockets, and connections without one.
    pub fn new(max: usize) -> Table {
        Table { max, ..Table::default() }
    }

    /// A fresh endpoint. ENFILE when the table is full.
    pub fn insert(&mut self, domain: Domain, options: Options) -> Result<u32, Errno> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= self.max => return Err(Errno::ENFILE),
            None => {
                self.slots.push(None);
                self.generations.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        let generation = self.generations[index as usize];
        self.slots[index as usize] = Some(Box::new(Endpoint {
            generation,
            domain,
            held: true,
            local: core::net::SocketAddr::new(domain.unspecified(), 0),
            bound_addr: false,
            bound_port: false,
            peer: None,
            options,
            path: None,
            leftover: None,
            error: None,
            soft_error: None,
            events: Events::default(),
            queued: false,
            dirty: false,
            armed: Instant::FAR,
            state: State::Closed,
        }));
        Ok(index)
    }

    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= self.max
    }

    pub fn remove(&mut self, index: u32) {
        if self.slots[index as usize].take().is_some() {
            self.generations[index as usize] = self.generations[index as usize].wrapping_add(1);
            self.free.push(index);
        }
    }

    pub fn exists(&self, index: u32) -> bool {
        self.slots.get(index as usize).is_some_and(Option::is_some)
    }

    pub fn is(&self, index: u32, generation: u32) -> bool {
        self.slots.get(index as usize).and_then(Option::as_ref).is_some_and(|e| e.generation == generation)
    }

    /// An endpoint that is known to exist.
    pub fn at(&self, index: u32) -> &Endpoint {
        self.slots[index as usize].as_ref().expect("callers hold indices of live endpoints")
    }

    pub fn at_mut(&mut self, index: u32) -> &mut Endpoint {
        self.slots[index as usize].as_mut().expect("callers hold indices of live endpoints")
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Endpoint)> {
        self.slots.iter().enumerate().filter_map(|(i, e)| Some((i as u32, e.as_deref()?)))
    }
}
