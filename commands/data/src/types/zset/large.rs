//! The large form: a table from names to scores and deadlines, and a tree of the same members in order.
//!
//! The tree holds no names but pointers to the records of the table. So each change is made to both, in an order in which
//! the tree never follows a pointer to a record that is gone.

#![expect(unsafe_code, reason = "the tree points to records that the table owns; under Miri in CI")]

use std::{convert::Infallible, fmt, ops::Range};

use super::{
    NameRange, ScoreRange, Update,
    tree::{self, Handle, Tree},
};
use crate::{
    keyspace::{Entry, Record, RecordName, ValueRef, size_class},
    types::members::Members,
};

impl Handle for RecordName {
    #[inline]
    fn bytes(&self) -> &[u8] {
        Self::bytes(self)
    }

    #[inline]
    fn prefetch(self) {
        Self::prefetch(self);
    }
}

/// Members by name and in order.
pub struct Large {
    members: Members,
    tree: Tree<RecordName>,
}

/// The name of a record of [`Large::members`].
#[inline]
fn name_of(record: &Record) -> RecordName {
    // SAFETY: the names are in `Large::tree` only, and each leaves the tree before its record leaves the table
    // (`remove`, `remove_range`, `remove_due`, where the tree follows no name that it gave out), or is replaced before
    // the tree follows it again when its record moves (`set_deadline`). Both go together when `Large` is dropped.
    unsafe { RecordName::of(record) }
}

#[inline]
fn score_of(record: &Record) -> f64 {
    match record.value() {
        ValueRef::Int(bits) => f64::from_bits(bits as u64),
        _ => unreachable!("the value of a member is its score"),
    }
}

fn record_of(name: &[u8], score: f64, deadline_ms: Option<i64>) -> Record {
    Record::new_int(name, score.to_bits() as i64, deadline_ms)
}

impl Large {
    pub(super) fn new() -> Self {
        Self { members: Members::new(), tree: Tree::new() }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all allocations, the box of the value itself included. O(1).
    pub(super) fn heap_size(&self) -> usize {
        let own = size_class(size_of::<Self>());
        own + self.members.heap_size() - size_class(size_of::<Members>()) + self.tree.heap_size()
    }

    #[inline]
    pub(super) fn score(&self, name: &[u8]) -> Option<f64> {
        self.members.get(name).map(score_of)
    }

    /// Gives a member the score that `decide` makes of its present one, if any; its deadline stays.
    #[inline]
    pub(super) fn update<E>(
        &mut self,
        name: &[u8],
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Update, E> {
        match self.members.entry(name) {
            Entry::Occupied(mut entry) => {
                let old = score_of(entry.record());
                let update = Update { old: Some(old), new: decide(Some(old))? };
                if let (true, Some(score)) = (update.changes(), update.new) {
                    self.tree.change_score(old, name, score);
                    let deadline_ms = entry.record().expiry_ms();
                    let place = name_of(entry.record());
                    entry.set_int(score.to_bits() as i64, deadline_ms);
                    assert!(place == name_of(entry.record()), "an integer for an integer moves nothing");
                }
                Ok(update)
            }
            Entry::Vacant(entry) => {
                let update = Update { old: None, new: decide(None)? };
                if let Some(score) = update.new {
                    let entry = entry.insert(record_of(name, score, None));
                    self.tree.insert(tree::Entry { score, member: name_of(entry.record()) });
                }
                Ok(update)
            }
        }
    }

    /// Gives a member a score.
    pub(super) fn put(&mut self, name: &[u8], score: f64) -> Option<f64> {
        let Ok(update) = self.update(name, |_| Ok::<_, Infallible>(Some(score)));
        update.old
    }

    /// Takes a member out; returns its score.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let score = self.score(name)?;
        self.tree.remove(score, name);
        self.members.remove(name);
        Some(score)
    }

    /// Takes out the members at these places. O(log n + members removed).
    pub(super) fn remove_range(&mut self, range: Range<usize>) {
        if range == (0..self.len()) {
            *self = Self::new();
            return;
        }
        let members = &mut self.members;
        // The name is copied: it belongs to the record that is removed.
        let mut name = Vec::new();
        self.tree.remove_range(range, &mut |entry| {
            name.clear();
            name.extend_from_slice(entry.member.bytes());
            members.remove(&name);
        });
    }

    /// A member's place and score. O(log n).
    pub(super) fn rank(&self, name: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(name)?;
        Some((self.tree.rank(score, name)?, score))
    }

    pub(super) fn places_of_scores(&self, range: ScoreRange) -> Range<usize> {
        let start = self.tree.partition(|entry| !range.reaches_min(entry.score));
        let end = self.tree.partition(|entry| range.within_max(entry.score));
        start..end.max(start)
    }

    /// The places of names in a range; what they are when scores differ is not specified.
    pub(super) fn places_of_names(&self, range: NameRange<'_>) -> Range<usize> {
        let start = self.tree.partition(|entry| !range.reaches_min(entry.member.bytes()));
        let end = self.tree.partition(|entry| range.within_max(entry.member.bytes()));
        start..end.max(start)
    }

    /// The member at a place.
    pub(super) fn at(&self, place: usize) -> Option<(&[u8], f64)> {
        self.tree.at(place).map(|entry| (entry.member.bytes(), entry.score))
    }

    pub(super) fn ascending(&self, range: Range<usize>) -> Ascending<'_> {
        self.tree.ascending(range)
    }

    pub(super) fn descending(&self, range: Range<usize>) -> Descending<'_> {
        self.tree.descending(range)
    }

    /// One step of a scan, as [`Members::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, count, &mut |record| visit(record.key(), score_of(record)))
    }

    // ---- deadlines -----------------------------------------------------------------------------------------

    /// A member's deadline.
    pub(super) fn deadline_ms(&self, name: &[u8]) -> Option<i64> {
        self.members.get(name)?.expiry_ms()
    }

    /// Sets or removes a member's deadline; false when there is no such member.
    pub(super) fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<i64>) -> bool {
        let Some((place, _)) = self.rank(name) else { return false };
        self.members.set_deadline(name, deadline_ms);
        let record = self.members.get(name).expect("the member was there");
        self.tree.replace_handle(place, name_of(record));
        true
    }

    pub(super) fn deadlines_len(&self) -> usize {
        self.members.deadlines_len()
    }

    pub(super) fn earliest_deadline_ms(&self) -> Option<i64> {
        self.members.earliest_deadline_ms()
    }

    pub(super) fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
        let tree = &mut self.tree;
        self.members.remove_due(now_ms, limit, &mut |record| {
            tree.remove(score_of(record), record.key());
            removed(record.key());
        });
    }
}

pub(super) type Ascending<'a> = tree::Ascending<'a, RecordName, 64, 64>;
pub(super) type Descending<'a> = tree::Descending<'a, RecordName, 64, 64>;

impl Clone for Large {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        for entry in self.ascending(0..self.len()) {
            let name = entry.member.bytes();
            copy.put(name, entry.score);
            if let deadline_ms @ Some(_) = self.deadline_ms(name) {
                copy.set_deadline(name, deadline_ms);
            }
        }
        copy
    }
}

impl PartialEq for Large {
    /// The same members with the same scores and deadlines.
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl fmt::Debug for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Large({} members)", self.len())
    }
}
