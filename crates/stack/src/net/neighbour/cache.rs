//! The neighbour cache and its state machine (RFC 4861 §7.3), used for IPv4 over ARP too: RFC 1122
//! §2.3.2.1 asks there for the same, to notice entries gone stale and to limit the asking.
//!
//! It sends nothing itself: what is to be asked or sent on comes back as a value.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;
use wire::MacAddr;

use crate::frame::{LinkId, Payload, TxFrame};
use crate::net::agenda::{Agenda, Task};
use crate::random::{HashKey, Random};
use crate::time::Instant;

/// Packets kept for one neighbour while it is being asked for; the oldest goes first.
pub const QUEUE_MAX: usize = 64;
/// Bytes kept for all neighbours together.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Questions to the group, then to the last known station (RFC 4861 §10, RFC 1122 §2.3.2.1).
pub const MULTICAST_SOLICIT_MAX: u8 = 3;
pub const UNICAST_SOLICIT_MAX: u8 = 3;
pub const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// How long nobody is asked again who did not answer.
pub const NEGATIVE_TIME: Duration = Duration::from_secs(3);
/// An entry that nobody used for so long is let go.
pub const STALE_TIME: Duration = Duration::from_secs(20 * 60);
/// Slots looked at for one to evict when the table is full.
const EVICT_LOOK_MAX: usize = 64;

/// Times that a router may set for a link (RFC 4861 §6.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub base_reachable: Duration,
    pub reachable: Duration,
    pub retrans: Duration,
}

impl Timing {
    pub fn new(random: &mut Random) -> Timing {
        let mut timing =
            Timing { base_reachable: Duration::ZERO, reachable: Duration::ZERO, retrans: Duration::from_secs(1) };
        timing.set_base(Duration::from_secs(30), random);
        timing
    }

    /// RFC 4861 §6.3.2: evenly spread between half and one and a half of the base.
    pub fn set_base(&mut self, base: Duration, random: &mut Random) {
        let us = base.as_micros() as u64;
        self.base_reachable = base;
        self.reachable = Duration::from_micros(us / 2 + random.below(us + 1));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    /// Did not answer lately.
    Failed,
    /// Set by the operator.
    Permanent,
}

/// A packet that waits for its neighbour: from the Ethernet header on, without its destination.
#[derive(Debug)]
pub struct Pending {
    pub bytes: Vec<u8>,
    pub frame: TxFrame,
}

impl Pending {
    fn size(&self) -> usize {
        let ring = if let Payload::Ring(s) = &self.frame.payload { s[0].len() + s[1].len() } else { 0 };
        self.bytes.len() + ring
    }
}

/// Names an entry for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry {
    link: LinkId,
    addr: IpAddr,
    mac: MacAddr,
    state: NeighbourState,
    is_router: bool,
    asked: u8,
    used: bool,
    confirmed: Instant,
    deadline: Instant,
    queue: VecDeque<Pending>,
}

/// One line of `arp -a` and `ndp -a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourView {
    pub link: LinkId,
    pub addr: IpAddr,
    /// `None` while it is not known.
    pub mac: Option<MacAddr>,
    pub state: NeighbourState,
    pub is_router: bool,
    /// When the state changes next; [`Instant::FAR`]: never.
    pub expires: Instant,
}

/// A question to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicit {
    pub link: LinkId,
    pub addr: IpAddr,
    /// `None`: ask the group.
    pub unicast: Option<MacAddr>,
}

#[derive(Debug)]
pub enum Resolution {
    Known(MacAddr),
    /// Put the packet in the slot's queue; send the question if there is one.
    Wait(Slot, Option<Solicit>),
    /// It does not answer.
    Failed,
    /// No room in the table.
    Full,
}

#[derive(Debug)]
pub enum Expiry {
    Nothing,
    Ask(Solicit),
    /// Nobody answered: these packets come back.
    Failed(LinkId, IpAddr, VecDeque<Pending>),
}

/// What a neighbour advertisement (or ARP reply) says.
#[derive(Clone, Copy, Debug)]
pub struct Advert {
    pub mac: Option<MacAddr>,
    pub solicited: bool,
    pub overrides: bool,
    /// `None`: it says nothing about being a router (ARP).
    pub router: Option<bool>,
}

/// What came of news about a neighbour.
#[derive(Debug, Default)]
pub struct News {
    /// Packets that may go now, to this station.
    pub release: Option<(MacAddr, VecDeque<Pending>)>,
    pub changed: bool,
    /// It was a router and says that it no longer is (RFC 4861 §7.2.5).
    pub ceased_router: bool,
    /// An entry of the operator's stood against it.
    pub refused: bool,
}

/// All neighbours of a `Net`.
#[derive(Debug)]
pub struct Cache {
    map: HashMap<(LinkId, IpAddr), u32, HashKey>,
    slots: Vec<(u32, Option<Entry>)>,
    free: Vec<u32>,
    hand: usize,
    limit: usize,
    queued_bytes: usize,
    displaced: u64,
}

impl Cache {
    pub fn new(limit: usize, key: HashKey) -> Cache {
        Cache {
            map: HashMap::with_hasher(key),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            limit,
            queued_bytes: 0,
            displaced: 0,
        }
    }

    /// Where to send for `addr` now. `hint` is the caller's memory of the entry.
    pub fn resolve(
        &mut self,
        now: Instant,
        hint: &mut Option<Slot>,
        link: LinkId,
        addr: IpAddr,
        timing: &Timing,
        agenda: &mut Agenda,
    ) -> Resolution {
        let index = match self.hinted(*hint, link, addr) {
            Some(index) => index,
            None => match self.map.get(&(link, addr)) {
                Some(&index) => index,
                None => match self.create(link, addr, agenda) {
                    Some(index) => index,
                    None => return Resolution::Full,
                },
            },
        };
        let (generation, entry) = &mut self.slots[index as usize];
        let slot = Slot { index, generation: *generation };
        *hint = Some(slot);
        let entry = entry.as_mut().expect("the map and fresh hints name live entries");
        entry.used = true;
        match entry.state {
            NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Delay | NeighbourState::Probe => {
                Resolution::Known(entry.mac)
            }
            NeighbourState::Stale => {
                // RFC 4861 §7.3.3: the first packet to a stale entry starts the delay.
                entry.state = NeighbourState::Delay;
                agenda.set(&mut entry.deadline, now + DELAY_FIRST_PROBE, Task::Neighbour(index));
                Resolution::Known(entry.mac)
            }
            NeighbourState::Incomplete if entry.asked == 0 => {
                entry.asked = 1;
                agenda.set(&mut entry.deadline, now + timing.retrans, Task::Neighbour(index));
                Resolution::Wait(slot, Some(Solicit { link, addr, unicast: None }))
            }
            NeighbourState::Incomplete => Resolution::Wait(slot, None),
            NeighbourState::Failed => Resolution::Failed,
        }
    }

    /// Keeps a packet for a neighbour that is being asked for; gives back how many had to go for it.
    pub fn enqueue(&mut self, slot: Slot, packet: Pending) -> usize {
        let size = packet.size();
        let Some(entry) = self.slots.get_mut(slot.index as usize).and_then(|s| s.1.as_mut()) else { return 1 };
        let mut dropped = 0;
        while entry.queue.len() >= QUEUE_MAX || (self.queued_bytes + size > QUEUE_BYTES_MAX && !entry.queue.is_empty())
        {
            if let Some(oldest) = entry.queue.pop_front() {
                self.queued_bytes -= oldest.size();
                dropped += 1;
            }
        }
        if self.queued_bytes + size > QUEUE_BYTES_MAX {
            return dropped + 1;
        }
        self.queued_bytes += size;
        entry.queue.push_back(packet);
        dropped
    }

    /// The time of `Task::Neighbour(index)` has come.
    pub fn expire(&mut self, now: Instant, index: u32, timing: &Timing, agenda: &mut Agenda) -> Expiry {
        let Some(entry) = self.slots.get_mut(index as usize).and_then(|s| s.1.as_mut()) else { return Expiry::Nothing };
        entry.deadline = Instant::FAR;
        let task = Task::Neighbour(index);
        match entry.state {
            NeighbourState::Incomplete if entry.asked < MULTICAST_SOLICIT_MAX => {
                entry.asked += 1;
                agenda.set(&mut entry.deadline, now + timing.retrans, task);
                Expiry::Ask(Solicit { link: entry.link, addr: entry.addr, unicast: None })
            }
            NeighbourState::Incomplete => self.fail(now, index, agenda),
            NeighbourState::Reachable if entry.confirmed + timing.reachable > now => {
                agenda.set(&mut entry.deadline, entry.confirmed + timing.reachable, task);
                Expiry::Nothing
            }
            NeighbourState::Reachable => {
                entry.state = NeighbourState::Stale;
                entry.used = false;
                agenda.set(&mut entry.deadline, now + STALE_TIME, task);
                Expiry::Nothing
            }
            NeighbourState::Delay | NeighbourState::Probe => {
                if entry.state == NeighbourState::Delay {
                    entry.state = NeighbourState::Probe;
                    entry.asked = 0;
                }
                if entry.asked < UNICAST_SOLICIT_MAX {
                    entry.asked += 1;
                    agenda.set(&mut entry.deadline, now + timing.retrans, task);
                    return Expiry::Ask(Solicit { link: entry.link, addr: entry.addr, unicast: Some(entry.mac) });
                }
                // RFC 4861 §7.3.3: the entry goes; the next packet asks the group again.
                self.remove(index, agenda);
                Expiry::Nothing
            }
            NeighbourState::Stale | NeighbourState::Failed => {
                self.remove(index, agenda);
                Expiry::Nothing
            }
            NeighbourState::Permanent => Expiry::Nothing,
        }
    }

    fn fail(&mut self, now: Instant, index: u32, agenda: &mut Agenda) -> Expiry {
        let entry = self.slots[index as usize].1.as_mut().expect("the caller holds a live entry");
        entry.state = NeighbourState::Failed;
        agenda.set(&mut entry.deadline, now + NEGATIVE_TIME, Task::Neighbour(index));
        let queue = core::mem::take(&mut entry.queue);
        let (link, addr) = (entry.link, entry.addr);
        self.queued_bytes -= queue.iter().map(Pending::size).sum::<usize>();
        Expiry::Failed(link, addr, queue)
    }

    /// A neighbour told its station address while asking for something itself (RFC 4861 §7.2.3, RFC
    /// 826): unconfirmed, so STALE. `create`: make an entry where there is none.
    pub fn hear(
        &mut self,
        now: Instant,
        link: LinkId,
        addr: IpAddr,
        mac: MacAddr,
        create: bool,
        agenda: &mut Agenda,
    ) -> News {
        let index = match self.map.get(&(link, addr)) {
            Some(&index) => index,
            None if create => match self.create(link, addr, agenda) {
                Some(index) => index,
                None => return News::default(),
            },
            None => return News::default(),
        };
        let entry = self.slots[index as usize].1.as_mut().expect("the map names live entries");
        let unknown = matches!(entry.state, NeighbourState::Incomplete | NeighbourState::Failed);
        if entry.state == NeighbourState::Permanent {
            return News { refused: entry.mac != mac, ..News::default() };
        }
        if !unknown && entry.mac == mac {
            return News::default();
        }
        entry.mac = mac;
        entry.state = NeighbourState::Stale;
        agenda.set(&mut entry.deadline, now + STALE_TIME, Task::Neighbour(index));
        self.release(now, index, agenda)
    }

    /// An advertisement or reply (RFC 4861 §7.2.5). Entries are never made from one.
    pub fn advertised(
        &mut self,
        now: Instant,
        link: LinkId,
        addr: IpAddr,
        advert: Advert,
        timing: &Timing,
        agenda: &mut Agenda,
    ) -> News {
        let Some(&index) = self.map.get(&(link, addr)) else { return News::default() };
        let entry = self.slots[index as usize].1.as_mut().expect("the map names live entries");
        let task = Task::Neighbour(index);
        if entry.state == NeighbourState::Permanent {
            return News { refused: advert.mac.is_some_and(|m| m != entry.mac), ..News::default() };
        }
        if matches!(entry.state, NeighbourState::Incomplete | NeighbourState::Failed) {
            // §7.2.5: without a link-layer address an INCOMPLETE entry stays as it is.
            let Some(mac) = advert.mac else { return News::default() };
            entry.mac = mac;
            entry.is_router = advert.router.unwrap_or(false);
            if advert.solicited {
                entry.state = NeighbourState::Reachable;
                entry.confirmed = now;
                agenda.set(&mut entry.deadline, now + timing.reachable, task);
            } else {
                entry.state = NeighbourState::Stale;
                agenda.set(&mut entry.deadline, now + STALE_TIME, task);
            }
            return self.release(now, index, agenda);
        }
        let differs = advert.mac.is_some_and(|m| m != entry.mac);
        if differs && !advert.overrides {
            // §7.2.5 I: doubt a REACHABLE entry, change nothing else.
            if entry.state == NeighbourState::Reachable {
                entry.state = NeighbourState::Stale;
                agenda.set(&mut entry.deadline, now + STALE_TIME, task);
            }
            return News::default();
        }
        // §7.2.5 II
        if let Some(mac) = advert.mac {
            entry.mac = mac;
        }
        if advert.solicited {
            entry.state = NeighbourState::Reachable;
            entry.confirmed = now;
            agenda.set(&mut entry.deadline, now + timing.reachable, task);
        } else if differs {
            entry.state = NeighbourState::Stale;
            agenda.set(&mut entry.deadline, now + STALE_TIME, task);
        }
        let was_router = entry.is_router;
        if let Some(router) = advert.router {
            entry.is_router = router;
        }
        News { changed: differs, ceased_router: was_router && !entry.is_router, ..News::default() }
    }

    /// Marks a neighbour as a router (it sent an RA or is a redirect's target).
    pub fn set_router(&mut self, link: LinkId, addr: IpAddr) {
        if let Some(&index) = self.map.get(&(link, addr))
            && let Some(entry) = &mut self.slots[index as usize].1
        {
            entry.is_router = true;
        }
    }

    /// A transport saw progress through this neighbour (RFC 4861 §7.3.1).
    pub fn confirm(
        &mut self,
        now: Instant,
        hint: Option<Slot>,
        link: LinkId,
        addr: IpAddr,
        timing: &Timing,
        agenda: &mut Agenda,
    ) {
        let Some(index) = self.hinted(hint, link, addr).or_else(|| self.map.get(&(link, addr)).copied()) else {
            return;
        };
        let Some(entry) = &mut self.slots[index as usize].1 else { return };
        match entry.state {
            NeighbourState::Reachable => entry.confirmed = now,
            NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
                entry.state = NeighbourState::Reachable;
                entry.confirmed = now;
                agenda.set(&mut entry.deadline, now + timing.reachable, Task::Neighbour(index));
            }
            NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::Permanent => {}
        }
    }

    /// The operator's entry.
    pub fn set_permanent(
        &mut self,
        now: Instant,
        link: LinkId,
        addr: IpAddr,
        mac: MacAddr,
        agenda: &mut Agenda,
    ) -> Option<News> {
        let index = match self.map.get(&(link, addr)) {
            Some(&index) => index,
            None => self.create(link, addr, agenda)?,
        };
        let entry = self.slots[index as usize].1.as_mut().expect("the map names live entries");
        entry.mac = mac;
        entry.state = NeighbourState::Permanent;
        agenda.set(&mut entry.deadline, Instant::FAR, Task::Neighbour(index));
        Some(self.release(now, index, agenda))
    }

    /// False when there was none.
    pub fn delete(&mut self, link: LinkId, addr: IpAddr, agenda: &mut Agenda) -> bool {
        let Some(&index) = self.map.get(&(link, addr)) else { return false };
        self.remove(index, agenda);
        true
    }

    /// Forgets everyone on a link (it went away or down).
    pub fn forget_link(&mut self, link: LinkId, keep_permanent: bool, agenda: &mut Agenda) {
        for index in 0..self.slots.len() {
            let gone = self.slots[index]
                .1
                .as_ref()
                .is_some_and(|e| e.link == link && !(keep_permanent && e.state == NeighbourState::Permanent));
            if gone {
                self.remove(index as u32, agenda);
            }
        }
    }

    pub fn link_of(&self, index: u32) -> Option<(LinkId, IpAddr)> {
        self.slots.get(index as usize)?.1.as_ref().map(|e| (e.link, e.addr))
    }

    /// The entry for an address, if there is one.
    pub fn view(&self, link: LinkId, addr: IpAddr) -> Option<NeighbourView> {
        self.slots[*self.map.get(&(link, addr))? as usize].1.as_ref().map(Self::view_of)
    }

    pub fn iter(&self) -> impl Iterator<Item = NeighbourView> {
        self.slots.iter().filter_map(|s| s.1.as_ref()).map(Self::view_of)
    }

    fn view_of(e: &Entry) -> NeighbourView {
        let known = !matches!(e.state, NeighbourState::Incomplete | NeighbourState::Failed);
        NeighbourView {
            link: e.link,
            addr: e.addr,
            mac: known.then_some(e.mac),
            state: e.state,
            is_router: e.is_router,
            expires: e.deadline,
        }
    }

    fn hinted(&self, hint: Option<Slot>, link: LinkId, addr: IpAddr) -> Option<u32> {
        let hint = hint?;
        let (generation, entry) = self.slots.get(hint.index as usize)?;
        let entry = entry.as_ref()?;
        (*generation == hint.generation && entry.link == link && entry.addr == addr).then_some(hint.index)
    }

    fn release(&mut self, _now: Instant, index: u32, _agenda: &mut Agenda) -> News {
        let entry = self.slots[index as usize].1.as_mut().expect("the caller holds a live entry");
        let queue = core::mem::take(&mut entry.queue);
        let mac = entry.mac;
        self.queued_bytes -= queue.iter().map(Pending::size).sum::<usize>();
        News { release: Some((mac, queue)), changed: true, ..News::default() }
    }

    fn create(&mut self, link: LinkId, addr: IpAddr, agenda: &mut Agenda) -> Option<u32> {
        if self.map.len() >= self.limit {
            self.evict(agenda)?;
        }
        let entry = Entry {
            link,
            addr,
            mac: MacAddr([0; 6]),
            state: NeighbourState::Incomplete,
            is_router: false,
            asked: 0,
            used: true,
            confirmed: Instant::ZERO,
            deadline: Instant::FAR,
            queue: VecDeque::new(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize].1 = Some(entry);
                index
            }
            None => {
                self.slots.push((0, Some(entry)));
                (self.slots.len() - 1) as u32
            }
        };
        self.map.insert((link, addr), index);
        Some(index)
    }

    /// Lets an entry go. RFC 6583 §7.1: whoever makes us ask for many that are not there must not cost
    /// us those that are, so who does not answer goes first; then one that can be learned again, unless it
    /// was used since the clock hand's last round.
    fn evict(&mut self, agenda: &mut Agenda) -> Option<()> {
        let mut known = None;
        for _ in 0..EVICT_LOOK_MAX.max(2).min(2 * self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(entry) = &mut self.slots[self.hand].1 else { continue };
            match entry.state {
                NeighbourState::Failed | NeighbourState::Incomplete => {
                    self.displaced += entry.queue.len() as u64;
                    self.remove(self.hand as u32, agenda);
                    return Some(());
                }
                NeighbourState::Stale | NeighbourState::Reachable if !core::mem::take(&mut entry.used) => {
                    known = known.or(Some(self.hand as u32));
                }
                _ => {}
            }
        }
        self.remove(known?, agenda);
        Some(())
    }

    /// Packets that went with entries which had to give way, since the last time this was asked.
    pub fn take_displaced(&mut self) -> u64 {
        core::mem::take(&mut self.displaced)
    }

    fn remove(&mut self, index: u32, agenda: &mut Agenda) {
        let (generation, slot) = &mut self.slots[index as usize];
        let Some(mut entry) = slot.take() else { return };
        *generation = generation.wrapping_add(1);
        agenda.set(&mut entry.deadline, Instant::FAR, Task::Neighbour(index));
        self.queued_bytes -= entry.queue.iter().map(Pending::size).sum::<usize>();
        self.map.remove(&(entry.link, entry.addr));
        self.free.push(index);
    }
}
