//! Sockets in slots that are reused; a generation tells a new tenant from the one before.

use errno::Errno;

use crate::socket::{SocketId, SocketKind};

#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    max: usize,
}

impl<T> Slots<T> {
    /// Room for at most `max` sockets.
    pub fn new(max: usize) -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new(), max }
    }

    /// ENFILE when there is no room.
    pub fn insert(&mut self, kind: SocketKind, socket: T) -> Result<SocketId, Errno> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= self.max => return Err(Errno::ENFILE),
            None => {
                self.slots.push((0, None));
                (self.slots.len() - 1) as u32
            }
        };
        let (generation, slot) = &mut self.slots[index as usize];
        *slot = Some(socket);
        Ok(SocketId { kind, index, generation: *generation })
    }

    pub fn remove(&mut self, id: SocketId) -> Option<T> {
        let (generation, slot) = self.slots.get_mut(id.index as usize).filter(|s| s.0 == id.generation)?;
        let socket = slot.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.index);
        Some(socket)
    }

    /// EBADF for a stale name.
    pub fn named(&self, id: SocketId) -> Result<&T, Errno> {
        self.slots
            .get(id.index as usize)
            .filter(|s| s.0 == id.generation)
            .and_then(|s| s.1.as_ref())
            .ok_or(Errno::EBADF)
    }

    pub fn named_mut(&mut self, id: SocketId) -> Result<&mut T, Errno> {
        self.slots
            .get_mut(id.index as usize)
            .filter(|s| s.0 == id.generation)
            .and_then(|s| s.1.as_mut())
            .ok_or(Errno::EBADF)
    }

    /// By index, of a live socket.
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.1.as_ref()
    }

    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.1.as_mut()
    }

    /// The name of a live socket.
    pub fn id(&self, kind: SocketKind, index: u32) -> SocketId {
        SocketId { kind, index, generation: self.slots[index as usize].0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, s)| Some((i as u32, s.1.as_ref()?)))
    }
}
