//! A table whose indices are reused and whose names carry a generation.

pub(crate) struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    used: usize,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new(), used: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        self.used += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.1 = Some(value);
            return (index, slot.0);
        }
        self.slots.push((1, Some(value)));
        ((self.slots.len() - 1) as u32, 1)
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.1.take()?;
        slot.0 = slot.0.wrapping_add(1);
        self.free.push(index);
        self.used -= 1;
        Some(value)
    }

    pub(crate) fn at(&mut self, index: u32) -> Option<(u32, &mut T)> {
        let (generation, value) = self.slots.get_mut(index as usize)?;
        value.as_mut().map(|v| (*generation, v))
    }

    pub(crate) fn named(&mut self, index: u32, generation: u32) -> Option<&mut T> {
        self.at(index).filter(|(g, _)| *g == generation).map(|(_, v)| v)
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }
}
