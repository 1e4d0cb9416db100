//! The members of a large hash, set or sorted set: a table of records, whose keys are the members' names. The value of
//! a record is what the member has (the value of a field, a score, nothing), and its expiry is the member's deadline.
//!
//! It is the keyspace's own table, so a collection of millions grows without a pause, has cursors that survive changes,
//! knows its size and its earliest deadline, and costs as little per member. Other than the keyspace's, it gives the
//! directory back when most members are gone, so that choosing at random stays O(1).

use std::fmt;

use smallvec::SmallVec;

use super::sample::{Random, choose};
use crate::{
    keyspace::{Due, Entry, Expiry, KeyHasher, OccupiedEntry, Record, ScanCursor, Table, size_class},
    value::StringEncoding,
};

/// Stands for the deadline of a member that has none: later than any other.
pub const NEVER_MS: i64 = i64::MAX;

/// Members by name, in no particular order.
pub struct Members {
    table: Table,
    /// How often the table was compacted: cursors from before mean less.
    generation: u8,
}

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self { table: Table::new(KeyHasher::members()), generation: 0 }
    }

    /// Number of members, due ones that were not removed yet included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Heap bytes of a boxed `Members`, its own box included. O(1).
    pub fn heap_size(&self) -> usize {
        size_class(size_of::<Self>()) + self.table.bytes()
    }

    // ---- one member ----------------------------------------------------------------------------------------

    /// The member's record: its value and its deadline. O(1).
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&Record> {
        self.table.get(self.table.hasher().hash(name), name)
    }

    #[inline]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Adds a member that has no value, and no deadline; false when it is there already (and stays as it is).
    #[inline]
    pub fn add(&mut self, name: &[u8]) -> bool {
        match self.entry(name) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(Record::new_bytes(name, b"", StringEncoding::Embstr, None));
                true
            }
        }
    }

    /// Gives a member bytes as its value; true when the member is new.
    #[inline]
    pub fn put_bytes(&mut self, name: &[u8], value: &[u8], deadline: Expiry) -> bool {
        match self.entry(name) {
            Entry::Occupied(mut entry) => {
                let deadline_ms = next_deadline(&entry, deadline);
                entry.set_string_bytes(value, StringEncoding::Embstr, deadline_ms);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(Record::new_bytes(
                    name,
                    value,
                    StringEncoding::Embstr,
                    first_deadline(deadline),
                ));
                true
            }
        }
    }

    /// Gives a member a number as its value, 64 bits of the caller's meaning; true when the member is new.
    #[inline]
    pub fn put_int(&mut self, name: &[u8], value: i64, deadline: Expiry) -> bool {
        match self.entry(name) {
            Entry::Occupied(mut entry) => {
                let deadline_ms = next_deadline(&entry, deadline);
                entry.set_int(value, deadline_ms);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(Record::new_int(name, value, first_deadline(deadline)));
                true
            }
        }
    }

    /// Takes a member out.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> Option<Record> {
        let Entry::Occupied(entry) = self.entry(name) else { return None };
        let record = entry.remove();
        self.compact_if_sparse();
        Some(record)
    }

    /// The member's place, for what is not one of the above.
    #[inline]
    pub(super) fn entry(&mut self, name: &[u8]) -> Entry<'_> {
        let hash = self.table.hasher().hash(name);
        self.table.entry(hash, name)
    }

    #[inline]
    fn compact_if_sparse(&mut self) {
        if self.table.is_sparse() {
            self.table.compact();
            self.generation = self.generation.wrapping_add(1);
        }
    }

    // ---- many members --------------------------------------------------------------------------------------

    /// All members, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.table.records()
    }

    /// A member chosen at random, each as likely as any other. Expected O(1).
    pub fn random(&self, random: Random) -> Option<&Record> {
        self.table.random(random)
    }

    /// Takes out a member chosen at random, each as likely as any other. Expected O(1).
    pub fn pop_random(&mut self, random: Random) -> Option<Record> {
        let name = SmallVec::<[u8; 64]>::from_slice(self.random(random)?.key());
        self.remove(&name)
    }

    /// Calls `visit` with `count` different members chosen at random, or with all if there are not as many. Every set
    /// of members is as likely as any other. O(count) for few of many members, else O(members).
    pub fn sample(&self, count: usize, random: Random, mut visit: impl FnMut(&Record)) {
        /// Up to this share of the members, drawing until the wanted number was found beats looking at all.
        const SHARE: usize = 3;
        if count >= self.len() {
            self.iter().for_each(visit);
        } else if count.saturating_mul(SHARE) >= self.len() {
            let mut members = self.iter();
            let mut passed = 0;
            choose(self.len(), count, random, |number| {
                visit(members.nth(number - passed).expect("as many members as were counted"));
                passed = number + 1;
            });
        } else {
            let mut drawn =
                hashbrown::HashSet::with_capacity_and_hasher(count, foldhash::fast::FixedState::default());
            while drawn.len() < count {
                let Some(record) = self.random(random) else { return };
                if drawn.insert(record.key().as_ptr().addr()) {
                    visit(record);
                }
            }
        }
    }

    /// One step of a scan: visits about `count` members from `cursor` on (0 is the start) and returns where to go on, 0
    /// at the end. Any number is a valid cursor. Members that are there from the first step to the last are visited at
    /// least once.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&Record)) -> u64 {
        let mut position = ScanCursor::from_bits(cursor);
        if (cursor >> ScanCursor::BITS) as u8 != self.generation {
            // The segment may hold more than when the cursor was given out.
            position.tag = 0;
        }
        match self.table.scan(position, count, visit) {
            Some(next) => u64::from(self.generation) << ScanCursor::BITS | next.to_bits(),
            None => 0,
        }
    }

    // ---- deadlines -----------------------------------------------------------------------------------------

    /// When a member is due, as unix time in ms, [`NEVER_MS`] if it has no deadline; `None` without such a member.
    pub fn deadline_ms(&self, name: &[u8]) -> Option<i64> {
        self.get(name).map(|record| record.expiry_ms().unwrap_or(NEVER_MS))
    }

    /// Sets or removes a member's deadline, a unix time in ms; false when there is no such member.
    pub fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<i64>) -> bool {
        match self.entry(name) {
            Entry::Occupied(mut entry) => {
                entry.set_expiry(deadline_ms);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    /// Number of members with a deadline.
    pub fn deadlines_len(&self) -> usize {
        self.table.expires_len()
    }

    /// A time before which no member is due, the earliest deadline unless that was changed; `None` without deadlines.
    pub fn earliest_deadline_ms(&self) -> Option<i64> {
        if self.table.expires_len() == 0 { None } else { self.table.earliest_expiry_ms() }
    }

    /// Removes at most `budget` members whose deadline lies before `now_ms` and reports them. The earliest deadline is
    /// exact afterwards, unless the budget was too small.
    pub fn remove_due(&mut self, now_ms: i64, budget: usize, removed: &mut dyn FnMut(&Record)) {
        self.table.expire_due(now_ms, budget, &mut |due| match due {
            Due::Key(record) => removed(&record),
            Due::Members { .. } | Due::Emptied(_) => unreachable!("a member has no members"),
        });
        self.compact_if_sparse();
    }
}

fn next_deadline(entry: &OccupiedEntry, deadline: Expiry) -> Option<i64> {
    match deadline {
        Expiry::Keep => entry.record().expiry_ms(),
        deadline => first_deadline(deadline),
    }
}

fn first_deadline(deadline: Expiry) -> Option<i64> {
    match deadline {
        Expiry::At(deadline_ms) => Some(deadline_ms),
        Expiry::Clear | Expiry::Keep => None,
    }
}

impl Default for Members {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Members {
    /// Copies all members with their values and deadlines. O(members).
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        for record in self.iter() {
            let Entry::Vacant(entry) = copy.entry(record.key()) else {
                unreachable!("names are different");
            };
            entry.insert(record.copy_to(record.key()));
        }
        copy
    }
}

impl PartialEq for Members {
    /// The same members with the same values and deadlines. O(members).
    fn eq(&self, other: &Self) -> bool {
        let same = |record: &Record| {
            other.get(record.key()).is_some_and(|there| {
                there.value() == record.value() && there.expiry_ms() == record.expiry_ms()
            })
        };
        self.len() == other.len() && self.iter().all(same)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
