//! The lines of a queue: who waits behind whom, and whose turn it is.
//!
//! A line that can give a message has a seat in the ring of its head's class. One that cannot is parked, has no seat and
//! costs a pop nothing: nothing in it is ready, as many are out as its group may have, or its limiter is closed.

use super::message::Id;
use super::ordered::{Keyed, Ordered};
use crate::keyspace::size_class;
use crate::types::collection::btree_size;
use crate::types::ratelimit::Limiter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Classes of priority, and so the number of lines without a name.
pub(super) const CLASSES: u32 = 10;

/// Room that is kept for lines that wait for a seat.
const HELD_KEPT: usize = 64;

/// A message where it waits in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ms: u64,
    pub(super) id: Id,
    pub(super) priority: u8,
}

impl Keyed for Place {
    type Key = (u64, Id);

    fn key(&self) -> (u64, Id) {
        (self.ms, self.id)
    }
}

/// How often a group's messages may be delivered, as far as that was used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meter {
    pub(super) limiter: Limiter,
    /// Nothing is given before this time; 0 where it is open.
    pub(super) open_ms: u64,
    /// From this time on it is as new.
    pub(super) reset_ms: u64,
}

#[derive(Clone, Debug)]
struct Line {
    name: Arc<[u8]>,
    ready: Ordered<Place>,
    /// Messages that are out.
    out: u32,
    /// Messages that failed and wait for their time.
    retrying: u32,
    /// Messages in any state.
    members: u32,
    /// The class and the seat in its ring, if the line can give.
    seat: Option<(u8, u64)>,
    meter: Option<Box<Meter>>,
}

impl Line {
    fn heap_size(&self) -> usize {
        /// Counters of who shares it.
        const SHARED: usize = 16;
        let meter = if self.meter.is_some() { size_class(size_of::<Meter>()) } else { 0 };
        size_class(size_of::<Line>()) + size_class(SHARED + self.name.len()) + self.ready.heap_size() + meter
    }
}

#[derive(Clone, Debug)]
pub(super) struct Lines {
    slots: Vec<Option<Box<Line>>>,
    free: Vec<u32>,
    names: BTreeMap<Arc<[u8]>, u32>,
    /// By class, the lines that can give, in the order of their turns.
    rings: [BTreeMap<u64, u32>; CLASSES as usize],
    next_seat: u64,
    /// Lines whose limiter is closed, by when it opens.
    closed: BTreeSet<(u64, u32)>,
    /// Lines with a limiter, by when that is as new.
    metered: BTreeSet<(u64, u32)>,
    /// Messages of one group that may be out at once.
    group_max: u32,
    /// Bytes of all lines.
    bytes: usize,
    /// Seats wait until all that changes at once has.
    is_held: bool,
    /// Lines that may want another seat then.
    held: Vec<u32>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            slots: Vec::new(),
            free: Vec::new(),
            names: BTreeMap::new(),
            rings: Default::default(),
            next_seat: 0,
            closed: BTreeSet::new(),
            metered: BTreeSet::new(),
            group_max: 1,
            bytes: 0,
            is_held: false,
            held: Vec::new(),
        }
    }
}

impl Lines {
    fn line(&self, number: u32) -> Option<&Line> {
        self.slots.get(number as usize)?.as_deref()
    }

    fn line_mut(&mut self, number: u32) -> Option<&mut Line> {
        self.slots.get_mut(number as usize)?.as_deref_mut()
    }

    /// Changes a line, whose size may be another one then.
    fn change<R>(&mut self, number: u32, change: impl FnOnce(&mut Line) -> R) -> Option<R> {
        let line = self.line_mut(number)?;
        let before = line.heap_size();
        let result = change(line);
        let after = line.heap_size();
        self.bytes = self.bytes - before + after;
        Some(result)
    }

    /// Bytes of all allocations, about. O(1).
    pub(super) fn heap_size(&self) -> usize {
        let seats: usize = self.rings.iter().map(BTreeMap::len).sum();
        self.bytes
            + size_class(self.slots.capacity() * size_of::<Option<Box<Line>>>())
            + size_class(self.free.capacity() * size_of::<u32>())
            + size_class(self.held.capacity() * size_of::<u32>())
            + btree_size::<Arc<[u8]>, u32>(self.names.len())
            + btree_size::<(u64, u32), ()>(self.closed.len() + self.metered.len())
            + btree_size::<u64, u32>(seats)
    }

    /// Named lines: groups that have messages, or a limiter that was used.
    pub(super) fn groups(&self) -> usize {
        self.names.len()
    }

    /// The line with this name, if there is one. Without a name there is none.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The line for messages of this group; without one for those of this priority. O(log n).
    pub(super) fn open(&mut self, name: &[u8], priority: u8) -> u32 {
        if self.slots.is_empty() {
            self.slots.resize_with(CLASSES as usize, || None);
        }
        if let Some(number) = self.find(name) {
            return number;
        }
        let number = if name.is_empty() {
            u32::from(priority)
        } else if let Some(number) = self.free.pop() {
            number
        } else {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        };
        if self.line(number).is_none() {
            let line = Box::new(Line {
                name: name.into(),
                ready: Ordered::default(),
                out: 0,
                retrying: 0,
                members: 0,
                seat: None,
                meter: None,
            });
            self.bytes += line.heap_size();
            if !name.is_empty() {
                self.names.insert(Arc::clone(&line.name), number);
            }
            self.slots[number as usize] = Some(line);
        }
        number
    }

    pub(super) fn name(&self, number: u32) -> &[u8] {
        self.line(number).map_or(&[], |line| &line.name)
    }

    pub(super) fn add_member(&mut self, number: u32) {
        if let Some(line) = self.line_mut(number) {
            line.members += 1;
        }
    }

    pub(super) fn drop_member(&mut self, number: u32) {
        if let Some(line) = self.line_mut(number) {
            line.members -= 1;
        }
        self.drop_unused(number);
    }

    /// Removes a line that has no messages and whose limiter was not used. The ones without a name stay.
    fn drop_unused(&mut self, number: u32) {
        let is_used = |line: &Line| line.members > 0 || line.meter.is_some();
        if number < CLASSES || self.line(number).is_none_or(is_used) {
            return;
        }
        if let Some(line) = self.slots[number as usize].take() {
            self.bytes -= line.heap_size();
            if let Some((class, seat)) = line.seat {
                // It would have lost it, but seats wait.
                self.rings[usize::from(class)].remove(&seat);
            }
            self.names.remove(&line.name);
            self.free.push(number);
        }
    }

    pub(super) fn put(&mut self, number: u32, place: Place) {
        self.change(number, |line| line.ready.insert(place));
        self.seat(number, false);
    }

    pub(super) fn take(&mut self, number: u32, key: (u64, Id)) {
        self.change(number, |line| line.ready.remove(key));
        self.seat(number, false);
    }

    /// A message leaves its line to a worker, and the line goes behind the others.
    pub(super) fn give(&mut self, number: u32, key: (u64, Id)) {
        self.change(number, |line| {
            line.ready.remove(key);
            line.out += 1;
        });
        self.seat(number, true);
    }

    /// A message that was out is not any more.
    pub(super) fn end_out(&mut self, number: u32) {
        if let Some(line) = self.line_mut(number) {
            line.out -= 1;
        }
        self.seat(number, false);
    }

    /// A message that failed waits for its time, or does not any more.
    pub(super) fn retry(&mut self, number: u32, begins: bool) {
        if let Some(line) = self.line_mut(number) {
            line.retrying = if begins { line.retrying + 1 } else { line.retrying - 1 };
        }
        self.seat(number, false);
    }

    /// Counts a message as out that is read from a file.
    pub(super) fn begin_out(&mut self, number: u32) {
        if let Some(line) = self.line_mut(number) {
            line.out += 1;
        }
        self.seat(number, false);
    }

    /// As many messages of a group may be out at once. O(n log n).
    pub(super) fn set_group_max(&mut self, group_max: u32) {
        if self.group_max == group_max {
            return;
        }
        self.group_max = group_max;
        // Those that had no seat come in the order of their names, which any copy of the queue agrees on.
        for number in self.in_order() {
            self.seat(number, false);
        }
    }

    /// What a line's limiter is now.
    pub(super) fn set_meter(&mut self, number: u32, meter: Meter) {
        let Some(line) = self.line(number) else { return };
        if let Some(old) = &line.meter {
            let (open, reset) = ((old.open_ms, number), (old.reset_ms, number));
            self.closed.remove(&open);
            self.metered.remove(&reset);
        }
        if meter.open_ms > 0 {
            self.closed.insert((meter.open_ms, number));
        }
        self.metered.insert((meter.reset_ms, number));
        self.change(number, |line| line.meter = Some(Box::new(meter)));
        self.seat(number, false);
    }

    pub(super) fn meter(&self, number: u32) -> Option<&Meter> {
        self.line(number)?.meter.as_deref()
    }

    /// Opens what is to open by this time, and forgets limiters that are as new; at most `max` of each.
    pub(super) fn elapse(&mut self, now_ms: u64, max: usize) {
        for _ in 0..max {
            let Some(&(ms, number)) = self.closed.first().filter(|(ms, _)| *ms <= now_ms) else { break };
            self.closed.remove(&(ms, number));
            self.change(number, |line| {
                if let Some(meter) = &mut line.meter {
                    meter.open_ms = 0;
                }
            });
            self.seat(number, false);
        }
        for _ in 0..max {
            let Some(&(ms, number)) = self.metered.first().filter(|(ms, _)| *ms <= now_ms) else { break };
            self.metered.remove(&(ms, number));
            let open_ms = self.meter(number).map_or(0, |meter| meter.open_ms);
            self.closed.remove(&(open_ms, number));
            self.change(number, |line| line.meter = None);
            self.seat(number, false);
            self.drop_unused(number);
        }
    }

    /// The last limiter to be as new is so later than it can be. O(log n).
    pub(super) fn has_beyond(&self, now_ms: u64) -> bool {
        self.beyond(now_ms).is_some()
    }

    fn beyond(&self, now_ms: u64) -> Option<(u32, &Meter)> {
        let &(_, number) = self.metered.last()?;
        let meter = self.meter(number).filter(|meter| meter.is_beyond(now_ms))?;
        Some((number, meter))
    }

    /// Brings limiters back that are closed for longer than they can be, at most `max` of them.
    pub(super) fn clamp(&mut self, now_ms: u64, max: usize) {
        for _ in 0..max {
            let Some((number, meter)) = self.beyond(now_ms) else { break };
            let meter = meter.brought_back(now_ms);
            self.set_meter(number, meter);
        }
    }

    /// When a line opens.
    pub(super) fn opens_ms(&self) -> Option<u64> {
        self.closed.first().map(|first| first.0)
    }

    /// When a line opens, or a limiter is forgotten.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.opens_ms().into_iter().chain(self.metered.first().map(|first| first.0)).min()
    }

    /// Changes several lines at once: a line whose head is of another class only in between keeps its turn.
    pub(super) fn hold_seats(&mut self) {
        self.is_held = true;
    }

    /// That was all of it.
    pub(super) fn release_seats(&mut self) {
        self.is_held = false;
        let mut held = std::mem::take(&mut self.held);
        for number in held.drain(..) {
            self.seat(number, false);
        }
        held.shrink_to(HELD_KEPT);
        self.held = held;
    }

    fn seat(&mut self, number: u32, anew: bool) {
        if self.is_held && !anew {
            if self.held.last() != Some(&number) {
                self.held.push(number);
            }
            return;
        }
        let group_max = self.group_max;
        let Some(line) = self.slots.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        // Who retries a message of a line that is to stay in order holds all of it up.
        let is_open = number < CLASSES
            || line.out < group_max
                && (group_max > 1 || line.retrying == 0)
                && line.meter.as_ref().is_none_or(|meter| meter.open_ms == 0);
        let class = line.ready.first().map(|place| place.priority).filter(|_| is_open);
        if class == line.seat.map(|seat| seat.0) && !anew {
            return;
        }
        if let Some((class, seat)) = line.seat.take() {
            self.rings[usize::from(class)].remove(&seat);
        }
        if let Some(class) = class {
            line.seat = Some((class, self.next_seat));
            self.rings[usize::from(class)].insert(self.next_seat, number);
            self.next_seat += 1;
        }
    }

    /// The line whose turn it is in a class, and the message it gives. O(log n).
    pub(super) fn head(&self, class: u8) -> Option<(u32, Place)> {
        let (_, number) = self.rings[usize::from(class)].first_key_value()?;
        let place = self.line(*number)?.ready.first()?;
        Some((*number, *place))
    }

    /// The lines that have a seat, by class and in the order of their turns.
    fn seated(&self) -> impl Iterator<Item = u32> {
        self.rings.iter().flat_map(BTreeMap::values).copied()
    }

    /// All lines that are used: those with a seat in their order, then the others by their names. O(n).
    pub(super) fn in_order(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.seated().collect();
        let named = self.names.values().copied();
        let others = (0..CLASSES.min(self.slots.len() as u32)).chain(named);
        let is_told = |number: &u32| {
            let is_used = |line: &Line| line.seat.is_none() && (line.members > 0 || line.meter.is_some());
            self.line(*number).is_some_and(is_used)
        };
        all.extend(others.filter(is_told));
        all
    }

    /// Drops those of these lines that are not used.
    pub(super) fn drop_all_unused(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.drop_unused(*number);
        }
    }

    /// Gives the lines their seats anew, in this order: that of a file.
    pub(super) fn seat_in_order(&mut self, order: &[u32]) {
        for number in order {
            self.seat(*number, true);
        }
    }
}
