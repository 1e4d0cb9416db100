//! Point-in-time snapshots: taking every key of a table as it was at the cut, while the table changes.
//!
//! At the cut each table with keys gets a [`Portion`]. From then on a segment is taken as a whole, either by whoever walks
//! the table ([`Table::snapshot_step`]) or by the first one who wants to change it, in the only accessor to mutable
//! segments. Its epoch tells that it was taken; what it is split into inherits the epoch.
//!
//! Boxed values of more than [`SMALL`] bytes are not taken with their segment but left for later, each by itself: the keys
//! of those are `due`. Whoever changes or removes such a record claims it first. A value of at most [`COPIED`] bytes is
//! taken then and there; of a larger one the snapshot gets the original, and the record a copy. Who walks takes large
//! values on loan: it reads them without holding anything, and whoever wants to change one meanwhile gets a copy as well.
//!
//! Contents that leave the keyspace at once (`FLUSHALL`, a table that is dropped) go to the snapshot as they are.

use std::collections::BTreeSet;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::super::record::{Record, ValueRef};
use super::super::segment::{BUCKET_SLOTS, Position, SegmentMut, SegmentRef};
use super::{Contents, Place, Table};
use crate::value::Value;

/// Boxed values of more heap bytes than this are not taken with their segment.
const SMALL: usize = 8 * 1024;
/// A value of at most so many heap bytes is taken while everybody waits.
const COPIED: usize = 64 * 1024;

/// A key as it was at the cut.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// When it expires, Unix milliseconds.
    pub expiry_ms: Option<i64>,
    /// Its access clock, as it is now.
    pub access: u32,
    /// Its value.
    pub value: ValueRef<'a>,
}

impl<'a> From<&'a Record> for Taken<'a> {
    fn from(record: &'a Record) -> Self {
        Taken {
            key: record.key(),
            expiry_ms: record.expiry_ms(),
            access: record.access(),
            value: record.value(),
        }
    }
}

/// Receives what a snapshot takes of one table, each key once.
pub trait Taker: Send + Sync + fmt::Debug {
    /// Takes keys. Called while the shard is held, and often by one of its users: it should only copy.
    fn take(&mut self, keys: &mut dyn Iterator<Item = Taken<'_>>);

    /// Takes what left the table at once, to be walked where nobody waits.
    fn leave(&mut self, left: Left);

    /// Takes the value of a key that was changed before it could be taken.
    fn leave_value(&mut self, orphan: Orphan);
}

/// What a snapshot has still to take of a table.
pub(super) struct Portion {
    /// Segments of this epoch were taken.
    epoch: u64,
    /// The database the table was at the cut.
    db: usize,
    /// Where the walk goes on: a hash prefix. `None` when it is through.
    next: Option<u32>,
    /// Keys in taken segments whose values were left for later.
    due: BTreeSet<Box<[u8]>>,
    /// Those that somebody waits for.
    wanted: Vec<Box<[u8]>>,
    pinned: Option<Pinned>,
    taker: Box<dyn Taker>,
}

/// The one value that is on loan.
struct Pinned {
    key: Box<[u8]>,
    /// Held by the loan as well, while there is one.
    token: Arc<()>,
    /// The value, once the record has a copy.
    original: Option<Original>,
}

/// The value of a record that has a copy now. Dropping it may take long.
pub struct Original(NonNull<Value>);

// SAFETY: it owns its value, which is Send.
unsafe impl Send for Original where Value: Send {}
// SAFETY: shared access only reads.
unsafe impl Sync for Original where Value: Sync {}

impl Drop for Original {
    fn drop(&mut self) {
        // SAFETY: the pointer came from Box::into_raw, and no record has it any more. Who lends it out keeps it until the
        // loan is over.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Original")
    }
}

impl Pinned {
    /// The original, if the loan is over. A loan that was forgotten keeps it for ever.
    fn end(self) -> Option<Original> {
        let original = self.original?;
        if Arc::into_inner(self.token).is_some() {
            return Some(original);
        }
        std::mem::forget(original);
        None
    }
}

impl Portion {
    /// Takes a segment. Prefetches nothing: whoever has time does so before.
    fn take_segment(&mut self, segment: &mut SegmentMut<'_>) {
        segment.header.epoch = self.epoch;
        let records = SegmentRef { header: segment.header, buckets: segment.buckets };
        records.prefetch_records();
        let due = &mut self.due;
        let mut small = records.records().filter_map(|record| {
            if boxed_size(record) > SMALL {
                due.insert(record.key().into());
                return None;
            }
            Some(Taken::from(record))
        });
        self.taker.take(&mut small);
    }

    fn take_record(&mut self, record: &Record) {
        self.taker.take(&mut std::iter::once(Taken::from(record)));
    }

    /// Leaves a table's contents to the taker; what is returned counts as much, but holds nothing.
    pub(super) fn leave(self, contents: Contents) -> Contents {
        let Portion { epoch, db, due, pinned, mut taker, .. } = self;
        let counted = Contents { segments: Vec::new(), len: contents.len, bytes: 0 };
        taker.leave(Left { db, epoch, due, pinned, contents });
        counted
    }

    fn is_pinned(&self, key: &[u8]) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| *pinned.key == *key && pinned.original.is_none())
    }
}

/// Heap bytes of a boxed value; 0 for all others.
fn boxed_size(record: &Record) -> usize {
    match record.value() {
        ValueRef::Boxed(value) => value.heap_size(),
        _ => 0,
    }
}

/// What one step of the walk did.
#[derive(Debug)]
pub enum Step {
    /// It took some keys.
    Taken,
    /// This value is for the caller to write, who gives it back then: [`Table::give_back`].
    Lent(Loan),
}

/// A large value that is read while nothing is held.
pub struct Loan {
    /// The database at the cut.
    pub db: usize,
    key: Box<[u8]>,
    expiry_ms: Option<i64>,
    access: u32,
    value: NonNull<Value>,
    token: Arc<()>,
}

// SAFETY: a loan only reads its value, which is Sync.
unsafe impl Send for Loan where Value: Sync {}
// SAFETY: the same.
unsafe impl Sync for Loan where Value: Sync {}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("db", &self.db).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Loan {
    /// The key.
    pub fn taken(&self) -> Taken<'_> {
        // SAFETY: while the loan has its token, whoever wants to change or free the value gets a copy, or lets it be.
        let value = ValueRef::Boxed(unsafe { self.value.as_ref() });
        Taken { key: &self.key, expiry_ms: self.expiry_ms, access: self.access, value }
    }
}

/// A large value that was changed before it could be taken: the original.
pub struct Orphan {
    /// The database at the cut.
    pub db: usize,
    key: Box<[u8]>,
    expiry_ms: Option<i64>,
    access: u32,
    value: Original,
}

impl Orphan {
    /// The key.
    pub fn taken(&self) -> Taken<'_> {
        // SAFETY: the orphan owns its value.
        let value = ValueRef::Boxed(unsafe { self.value.0.as_ref() });
        Taken { key: &self.key, expiry_ms: self.expiry_ms, access: self.access, value }
    }
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphan").field("db", &self.db).field("key", &self.key).finish_non_exhaustive()
    }
}

/// What left a table at once before it was taken.
pub struct Left {
    /// The database at the cut.
    pub db: usize,
    epoch: u64,
    due: BTreeSet<Box<[u8]>>,
    pinned: Option<Pinned>,
    contents: Contents,
}

impl Left {
    /// Calls `visit` with every key that was not taken before.
    pub fn for_each(&self, visit: &mut dyn FnMut(Taken<'_>)) {
        for segment in &self.contents.segments {
            // SAFETY: the contents own their segments.
            let segment = unsafe { segment.get() };
            let is_taken = segment.header.epoch >= self.epoch;
            if is_taken && self.due.is_empty() {
                continue;
            }
            segment.prefetch_records();
            segment
                .records()
                .filter(|record| !is_taken || self.due.contains(record.key()))
                .for_each(|record| visit(Taken::from(record)));
        }
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        if pinned.original.is_some() {
            drop(pinned.end());
        } else if Arc::into_inner(pinned.token).is_none() {
            // The value on loan is among the contents.
            std::mem::forget(std::mem::take(&mut self.contents));
        }
    }
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Left").field("db", &self.db).field("keys", &self.contents.len).finish_non_exhaustive()
    }
}

impl Table {
    /// The cut: from here on the present keys go to `taker`, each once and as it is now. The epoch must be greater than any
    /// this table's contents have seen. Call it only with keys in the table and no snapshot under way. O(1).
    pub(in super::super) fn begin_snapshot(&mut self, epoch: u64, db: usize, taker: Box<dyn Taker>) {
        debug_assert!(self.portion.is_none(), "one snapshot at a time");
        let portion = Portion {
            epoch,
            db,
            next: Some(0),
            due: BTreeSet::new(),
            wanted: Vec::new(),
            pinned: None,
            taker,
        };
        self.portion = Some(Box::new(portion));
    }

    /// True while a snapshot has not taken everything.
    #[inline]
    pub fn is_being_taken(&self) -> bool {
        self.portion.is_some()
    }

    /// Goes on with the walk: one segment, or one value that was left for later. `None` when all was taken, and the snapshot
    /// has nothing more to do with this table.
    pub fn snapshot_step(&mut self) -> Option<Step> {
        let portion = self.portion.as_mut()?;
        if let Some(key) = portion.wanted.pop() {
            self.take_segment(self.directory.index(self.hasher.hash(&key)));
            let is_due = self.portion.as_mut().is_some_and(|portion| portion.due.remove(&key));
            return Some(if is_due { self.take_value(key) } else { Step::Taken });
        }
        if let Some(key) = portion.due.pop_first() {
            return Some(self.take_value(key));
        }
        let Some(prefix) = portion.next else {
            // Whoever changes a value on loan must know.
            debug_assert!(portion.pinned.is_none(), "who walks gives back first");
            if portion.pinned.is_none() {
                self.portion = None;
            }
            return None;
        };
        let index = self.directory.index_of_prefix(prefix);
        self.take_segment(index);
        let local_depth = self.segment(index)?.header.local_depth;
        let end = self.first_entry(index, local_depth) + self.directory.span(local_depth);
        let is_last = end == self.directory.len();
        let next = (!is_last).then(|| self.directory.prefix_of_index(end));
        self.portion.as_mut()?.next = next;
        Some(Step::Taken)
    }

    /// Ends a loan if it is of this table. What is returned is to be dropped where nobody waits.
    pub fn give_back(&mut self, loan: &mut Option<Loan>) -> Option<Original> {
        let portion = self.portion.as_mut()?;
        let token = &portion.pinned.as_ref()?.token;
        loan.take_if(|loan| Arc::ptr_eq(&loan.token, token))?;
        portion.pinned.take()?.end()
    }

    /// Gives the snapshot up. Does nothing while a value is on loan.
    pub fn end_snapshot(&mut self) {
        if self.portion.as_ref().is_some_and(|portion| portion.pinned.is_none()) {
            self.portion = None;
        }
    }

    /// True when a change of this key's value would have to copy much, because a snapshot has not taken it yet. It goes
    /// there next.
    pub fn is_lagging(&mut self, hash: u64, key: &[u8]) -> bool {
        let Some(portion) = &self.portion else { return false };
        let Some(record) = self.get(hash, key) else { return false };
        if boxed_size(record) <= COPIED {
            return false;
        }
        let taken = self
            .segment(self.directory.index(hash))
            .is_none_or(|segment| segment.header.epoch >= portion.epoch);
        if portion.is_pinned(key) {
            return true;
        }
        if taken && !portion.due.contains(key) {
            return false;
        }
        if let Some(portion) = &mut self.portion
            && !portion.wanted.iter().any(|wanted| **wanted == *key)
        {
            portion.wanted.push(key.into());
        }
        true
    }

    /// Takes a value that was left for later: at once, or by lending it.
    fn take_value(&mut self, key: Box<[u8]>) -> Step {
        let hash = self.hasher.hash(&key);
        let place = match self.entry(hash, &key) {
            super::Entry::Occupied(entry) => entry.place(),
            super::Entry::Vacant(_) => unreachable!("whoever removes a key that is due claims it"),
        };
        let record = self.record_at(place);
        let (expiry_ms, access) = (record.expiry_ms(), record.access());
        let large = match record.value() {
            ValueRef::Boxed(value) if value.heap_size() > COPIED => Some(NonNull::from(value)),
            _ => None,
        };
        let record: *const Record = record;
        let portion = self.portion.as_mut().expect("a table being taken has a portion");
        match large {
            // A second loan has to wait for the first; there is never one with a single walker.
            Some(value) if portion.pinned.is_none() => {
                let token = Arc::new(());
                portion.pinned = Some(Pinned { key: key.clone(), token: Arc::clone(&token), original: None });
                Step::Lent(Loan { db: portion.db, key, expiry_ms, access, value, token })
            }
            _ => {
                // SAFETY: the record is in the table, which the portion is no part of.
                portion.take_record(unsafe { &*record });
                Step::Taken
            }
        }
    }

    /// Takes a segment, unless it was taken before.
    #[cold]
    pub(super) fn take_segment(&mut self, index: usize) {
        let (Some(portion), Some(segment)) = (&mut self.portion, self.directory.get(index)) else { return };
        // SAFETY: segments in the directory are alive and owned by this table, which is borrowed mutably.
        let mut segment = unsafe { segment.get_mut() };
        if segment.header.epoch < portion.epoch {
            portion.take_segment(&mut segment);
        }
    }

    /// A record is about to be changed or removed.
    #[cold]
    pub(super) fn claim_value(&mut self, place: Place) {
        self.take_segment(place.index);
        let Some(portion) = &mut self.portion else { return };
        if portion.due.is_empty() && portion.pinned.is_none() {
            return;
        }
        let segment = self.directory.get(place.index).expect("an entry of the directory");
        // SAFETY: segments in the directory are alive and owned by this table, which is borrowed mutably.
        let segment = unsafe { segment.get_mut() };
        let slot = &mut segment.buckets[place.position.bucket].slots[place.position.slot];
        let record = slot.as_mut().expect("a position points to a record");
        let ValueRef::Boxed(value) = record.value() else { return };
        let is_due = portion.due.remove(record.key());
        if is_due && value.heap_size() <= COPIED {
            return portion.take_record(record);
        }
        if !is_due && !portion.is_pinned(record.key()) {
            return;
        }
        let copy = Box::new(value.clone());
        let before = record.heap_size();
        let (key, expiry_ms, access) = (Box::from(record.key()), record.expiry_ms(), record.access());
        let original = Original(record.swap_boxed(copy));
        let after = record.heap_size();
        self.bytes = self.bytes - before + after;
        if let Some(meter) = self.side.as_mut().and_then(|side| side.meter.as_mut()) {
            let at = self.directory.prefix_of_index(place.index);
            meter.change(&key, at, after as i64 - before as i64, 0);
        }
        match &mut portion.pinned {
            Some(pinned) if !is_due => pinned.original = Some(original),
            _ => {
                let orphan = Orphan { db: portion.db, key, expiry_ms, access, value: original };
                portion.taker.leave_value(orphan);
            }
        }
    }

    /// Claims the records of a segment for which something is due.
    #[cold]
    pub(super) fn claim_due(&mut self, index: usize, now_ms: i64) {
        self.take_segment(index);
        let Some(segment) = self.segment(index) else { return };
        for bucket in 0..segment.buckets.len() {
            for slot in 0..BUCKET_SLOTS {
                let record =
                    self.segment(index).and_then(|segment| segment.buckets[bucket].slots[slot].as_ref());
                if record.is_some_and(|record| record.deadline_ms().is_some_and(|deadline| deadline < now_ms))
                {
                    self.claim_value(Place { index, position: Position { bucket, slot } });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
