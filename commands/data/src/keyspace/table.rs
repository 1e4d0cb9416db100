//! The table: one shard of one database.
//!
//! Extendible hashing. The directory maps the top bits of the hash to segments; a full segment grows by steps, then is
//! split in two by one more bit of the hash, so the worst single insert rehashes about a hundred keys or doubles an
//! array of pointers. Segments are never merged, and the directory never shrinks: both would break SCAN's guarantee
//! and the hints of other threads. Segments shrink instead, down to 128 bytes.
//!
//! A table is not synchronised: it lives behind its shard's lock. It does not look at the clock: an expired record is
//! found like any other until its owner removes it.

#![expect(unsafe_code, reason = "the table owns the segments its directory points to; under Miri in CI")]

use std::{fmt, mem, ops};

use super::{
    Access,
    directory::{Directory, DirectoryHint},
    hash::{KeyHasher, PREFIX_BITS, tag},
    record::{Record, ValueRef},
    segment::{
        self, BUCKET_SLOTS, Position, SPLIT_BUCKETS, SegmentMut, SegmentPointer, SegmentRef, capacity,
        step_for, step_up,
    },
};
use crate::types::collection::Collection;
use crate::value::{StringEncoding, TypeCode, Value};

mod evict;
mod ghosts;
mod meter;
mod side;
mod taking;
mod weight;

pub use evict::{Eviction, Order, Threshold};
use side::Side;
use taking::Portion;
pub use taking::{Left, Loan, Original, Orphan, Step, Taken, Taker};
pub(super) use weight::Weight;

/// Keys and their records. Hashes passed in must come from [`Table::hasher`].
pub struct Table {
    directory: Directory,
    hasher: KeyHasher,
    len: usize,
    expires_len: u32,
    /// Number of keys with a deadline: of their own or of a member.
    deadlines_len: u32,
    /// Heap bytes of records and segments.
    bytes: usize,
    /// Of those, the bytes of the segments.
    segment_bytes: usize,
    /// What a snapshot has still to take of this table. Looked at by everything that changes a segment or a record.
    portion: Option<Box<Portion>>,
    /// What few tables have. One pointer for all of it keeps the table to two cache lines.
    side: Option<Box<Side>>,
}

impl Table {
    /// An empty table, which owns next to nothing until its first key.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            directory: Directory::new(),
            hasher,
            len: 0,
            expires_len: 0,
            deadlines_len: 0,
            bytes: 0,
            segment_bytes: 0,
            portion: None,
            side: None,
        }
    }

    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Number of keys, expired ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of keys that have an expiry.
    pub fn expires_len(&self) -> usize {
        self.expires_len as usize
    }

    /// Number of keys for which something may become due: the key itself, or a member of its value.
    #[inline]
    pub fn deadlines_len(&self) -> usize {
        self.deadlines_len as usize
    }

    /// Heap bytes: records with their values, segments and directory. O(1).
    pub fn bytes(&self) -> usize {
        self.bytes + self.directory.size() + self.ghosts_size()
    }

    /// Heap bytes of segments and directory, and of what is known of evicted keys: what finding the keys costs beside the
    /// keys themselves. O(1).
    pub fn index_bytes(&self) -> usize {
        self.segment_bytes + self.directory.size() + self.ghosts_size()
    }

    /// What other threads prefetch with, also while this table changes. It stays with this table when contents move.
    pub fn hint(&self) -> DirectoryHint {
        self.directory.hint()
    }

    /// The record of `key`, expired or not. O(1).
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<&Record> {
        let buckets = self.segment(self.directory.index(hash))?.buckets;
        let at = segment::find(buckets, tag(hash), key)?;
        buckets[at.bucket].slots[at.slot].as_ref()
    }

    /// Where the record of `key` stands, expired or not. O(1).
    #[inline]
    pub fn place(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let index = self.directory.index(hash);
        let position = segment::find(self.segment(index)?.buckets, tag(hash), key)?;
        Some(Place { index, position })
    }

    /// The record at a place.
    #[inline]
    pub fn record_at(&self, Place { index, position }: Place) -> &Record {
        let segment = self.segment(index).expect("an entry of the directory");
        segment.buckets[position.bucket].slots[position.slot].as_ref().expect("the place is that of a record")
    }

    /// The place of `key`, to read, change, add or remove it.
    #[inline]
    pub fn entry<'t>(&'t mut self, hash: u64, key: &[u8]) -> Entry<'t> {
        let place = self.place(hash, key);
        self.entry_at(hash, place)
    }

    /// The same for a key of which [`place`](Self::place) has told where it stands, if anywhere.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn entry_at(&mut self, hash: u64, place: Option<Place>) -> Entry<'_> {
        match place {
            Some(Place { index, position }) => {
                Entry::Occupied(OccupiedEntry { table: self, index, position })
            }
            None => Entry::Vacant(VacantEntry { table: self, hash }),
        }
    }

    /// The entry at a place.
    pub fn at(&mut self, Place { index, position }: Place) -> OccupiedEntry<'_> {
        OccupiedEntry { table: self, index, position }
    }

    /// The boxed value at a place; there must be one.
    #[inline]
    pub fn boxed_at(&self, Place { index, position }: Place) -> &Value {
        let segment = self.segment(index).expect("an entry of the directory");
        match segment.buckets[position.bucket].slots[position.slot].as_ref().map(Record::value) {
            Some(ValueRef::Boxed(value)) => value,
            _ => unreachable!("the place is that of a boxed value"),
        }
    }

    /// The boxed value at a place, to be changed; it must keep its type. Tell the table what it weighed before when all
    /// is done: [`collection_changed`](Self::collection_changed).
    #[inline]
    pub fn boxed_at_mut(&mut self, place: Place) -> &mut Value {
        self.record_mut(place).boxed_mut().expect("the place is that of a boxed value")
    }

    /// Brings the sums up to date after changes of a boxed value.
    #[inline]
    fn boxed_changed(&mut self, place: Place, before: Weight) {
        let after = Weight::of(self.record_mut(place)).expect("the place is that of a boxed value");
        self.weighed(place, before, after);
    }

    /// The same for a collection whose type is known: every command that changes one comes here. True when nothing is left
    /// in it.
    #[inline]
    pub fn collection_changed<T: Collection>(&mut self, place: Place, before: Weight) -> bool {
        let record = &*self.record_mut(place);
        let (after, value) = Weight::of_collection::<T>(record).expect("the place is that of such a value");
        let is_empty = value.is_empty();
        self.weighed(place, before, after);
        is_empty
    }

    /// A boxed value weighs something else now.
    #[inline]
    fn weighed(&mut self, place: Place, before: Weight, after: Weight) {
        self.bytes = self.bytes - before.size + after.size;
        if self.side.is_some() {
            self.meter_place(place, after.size as i64 - before.size as i64, 0);
        }
        if before.deadline != after.deadline {
            self.change_deadline(place.index, before.deadline, after.deadline);
        }
    }

    /// Prefetches the records [`get`](Self::get) would compare with. Best called some time after the bucket was
    /// prefetched, and some time before the record is needed.
    #[inline]
    pub fn prefetch_record(&self, hash: u64) {
        if let Some(segment) = self.segment(self.directory.index(hash)) {
            segment::prefetch_candidates(segment.buckets, tag(hash));
        }
    }

    /// Calls `visit` with every record, in no particular order.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Record)) {
        for (_, segment) in self.segments_from(0) {
            segment.records().for_each(&mut *visit);
        }
    }

    /// All records, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.segments_from(0).flat_map(|(_, segment)| segment.records())
    }

    /// A record chosen at random with numbers from `random`. Each is as likely as any other, unless most keys were
    /// deleted, when it is only close to that. Expected O(1).
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<&Record> {
        const TRIES_MAX: usize = 1024;
        if self.len == 0 {
            return None;
        }
        let tries = if self.is_sparse() { TRIES_MAX / 8 } else { TRIES_MAX };
        for _ in 0..tries {
            // Each entry of the directory stands for as many slots, most of which are empty. A segment's slots are
            // those of its first entry; those of its other entries are all empty.
            let index = self.pick(random);
            let segment = self.segment(index)?;
            let slots = segment.buckets.len() * BUCKET_SLOTS;
            let all = if self.directory.len() == 1 { slots } else { slots.max(SPLIT_BUCKETS * BUCKET_SLOTS) };
            let slot = below(random(), all);
            if slot < slots
                && let Some(record) = &segment.buckets[slot / BUCKET_SLOTS].slots[slot % BUCKET_SLOTS]
                && index == self.first_entry(index, segment.header.local_depth)
            {
                return Some(record);
            }
        }
        self.random_nearby(random)
    }

    /// A random record of a random neighbourhood, for tables that are next to empty.
    fn random_nearby(&self, random: &mut dyn FnMut() -> u64) -> Option<&Record> {
        const SEGMENTS: usize = 64;
        let start = self.pick(random);
        let start = self.first_entry(start, self.segment(start)?.header.local_depth);
        let before = self.segments_from(0).take_while(|(first, _)| *first < start);
        let mut segments = self.segments_from(start).chain(before);
        let mut found = Vec::new();
        let mut visited = 0;
        while found.is_empty() || visited < SEGMENTS {
            let Some((_, segment)) = segments.next() else { break };
            found.extend(segment.records());
            visited += 1;
        }
        if found.is_empty() { None } else { Some(found[below(random(), found.len())]) }
    }

    /// True when so few keys are left of many that the directory is larger than what it leads to.
    /// [`compact`](Self::compact) mends that.
    #[inline]
    pub fn is_sparse(&self) -> bool {
        self.len * 2 < self.directory.len()
    }

    /// Moves all records to a directory as small as their number asks for. O(size of the directory).
    ///
    /// For tables that nobody has [hints](Self::hint) of. Of a [cursor](ScanCursor) from before only the prefix means
    /// something afterwards: a scan must go on with tag 0.
    pub fn compact(&mut self) {
        debug_assert!(self.portion.is_none(), "tables of the keyspace are never compacted");
        let mut target = Self::new(self.hasher.clone());
        let mut first = 0;
        while first < self.directory.len() {
            let mut segment = self.segment_mut(first);
            let local_depth = segment.header.local_depth;
            for record in segment.drain() {
                let hash = target.hasher.hash(record.key());
                target.insert(hash, record);
            }
            first += self.directory.span(local_depth);
        }
        *self = target;
    }

    /// The earliest time at which [`expire_due`](Self::expire_due) may find something; `None` without expiries.
    pub fn earliest_expiry_ms(&self) -> Option<i64> {
        Some(self.directory.earliest_ms()).filter(|&earliest| earliest < i64::MAX)
    }

    /// Removes records, and members of values, whose expiry lies before `now_ms` (a key lives through its last
    /// millisecond, as in Redis), and reports them to `on_due`. Visits only segments that may have some. Each record
    /// or member removed takes one from `budget`, and so does a visit that finds nothing; true if it ran out before
    /// everything due was removed.
    pub fn expire_due(&mut self, now_ms: i64, budget: usize, on_due: &mut dyn FnMut(Due)) -> bool {
        if self.directory.earliest_ms() >= now_ms {
            return false;
        }
        let mut left = budget;
        let mut earliest = i64::MAX;
        for first in 0..self.directory.len() {
            if self.directory.deadline(first) < now_ms {
                if left == 0 {
                    return true;
                }
                self.expire_segment(first, now_ms, &mut left, on_due);
                if self.directory.deadline(first) < now_ms {
                    return true;
                }
            }
            earliest = earliest.min(self.directory.deadline(first));
        }
        self.directory.set_earliest(earliest);
        false
    }

    /// Moves all keys out, for the caller to drop elsewhere. O(segments). The directory keeps its size.
    pub fn take(&mut self) -> Contents {
        if self.len == 0 {
            return Contents::default();
        }
        let segments = self.directory.take_segments();
        let mut contents = Contents { segments, len: self.len, bytes: self.bytes };
        if let Some(portion) = self.portion.take() {
            // A snapshot gets them as they are, and frees them when it has walked them.
            contents = portion.leave(contents);
        }
        self.directory.set(0, self.directory.len(), SegmentPointer::new(1, 0, 0));
        if let Some(side) = &mut self.side {
            side.trail = None;
        }
        self.len = 0;
        self.expires_len = 0;
        self.deadlines_len = 0;
        self.bytes = SegmentPointer::size(1);
        self.segment_bytes = self.bytes;
        self.meter_emptied();
        contents
    }

    /// Exchanges the keys of two tables. Hints stay with their table and find its new keys.
    pub fn swap(&mut self, other: &mut Self) {
        self.directory.swap(&mut other.directory);
        mem::swap(&mut self.hasher, &mut other.hasher);
        mem::swap(&mut self.len, &mut other.len);
        mem::swap(&mut self.expires_len, &mut other.expires_len);
        mem::swap(&mut self.deadlines_len, &mut other.deadlines_len);
        mem::swap(&mut self.bytes, &mut other.bytes);
        mem::swap(&mut self.segment_bytes, &mut other.segment_bytes);
        mem::swap(&mut self.portion, &mut other.portion);
        mem::swap(&mut self.side, &mut other.side);
        self.meter_swapped(other);
    }

    /// The only way to a mutable segment, and thus to any change of what the table holds. A snapshot takes the
    /// segment's pre-image here, the first time it is asked for in the snapshot's epoch.
    #[inline]
    fn segment_mut(&mut self, index: usize) -> SegmentMut<'_> {
        if self.portion.is_some() {
            self.take_segment(index);
        }
        let segment = self.directory.get(index).expect("an entry of the directory");
        // SAFETY: segments in the directory are alive and owned by this table, which is borrowed mutably. References
        // given out by `&self` methods borrow the table as well.
        unsafe { segment.get_mut() }
    }

    /// What a record needs before it is changed or removed: a snapshot may have left its value for later. Call it before
    /// looking at what the record weighs.
    #[inline]
    fn claim(&mut self, place: Place) {
        if self.portion.is_some() {
            self.claim_value(place);
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn record_mut(&mut self, place: Place) -> &mut Record {
        self.claim(place);
        let Place { index, position } = place;
        let segment = self.segment_mut(index);
        segment.buckets[position.bucket].slots[position.slot].as_mut().expect("a position points to a record")
    }

    #[inline]
    fn segment(&self, index: usize) -> Option<SegmentRef<'_>> {
        // SAFETY: segments in the directory are alive and owned by this table, which is borrowed.
        self.directory.get(index).map(|segment| unsafe { segment.get() })
    }

    /// The first of the entries that point to the same segment as `index`.
    fn first_entry(&self, index: usize, local_depth: u32) -> usize {
        index & !(self.directory.span(local_depth) - 1)
    }

    /// The segments with their first entries, beginning with the one that has entry `start`.
    pub(super) fn segments_from(&self, start: usize) -> impl Iterator<Item = (usize, SegmentRef<'_>)> {
        let mut index = start;
        std::iter::from_fn(move || {
            let segment = self.segment(index)?;
            let first = self.first_entry(index, segment.header.local_depth);
            index = first + self.directory.span(segment.header.local_depth);
            Some((first, segment))
        })
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    fn pick(&self, random: &mut dyn FnMut() -> u64) -> usize {
        below(random(), self.directory.len())
    }

    /// Adds a record whose key is not there.
    fn insert(&mut self, hash: u64, record: Record) -> (usize, Position) {
        if self.side.is_some() {
            self.welcome_back(hash, &record);
        }
        let index = self.make_room(hash);
        let size = record.heap_size();
        let (expires, deadline) = (record.expiry_ms().is_some(), record.deadline_ms());
        let mut segment = self.segment_mut(index);
        let position = segment.insert(tag(hash), record);
        self.len += 1;
        self.bytes += size;
        if let Some(deadline_ms) = deadline {
            self.expires_len += u32::from(expires);
            self.deadlines_len += 1;
            self.note_deadline(index, deadline_ms);
        }
        if self.side.is_some() {
            self.meter_place(Place { index, position }, size as i64, 1);
        }
        (index, position)
    }

    /// Makes sure that the segment for `hash` can take another record; returns its entry.
    fn make_room(&mut self, hash: u64) -> usize {
        if self.directory.len() == 0 {
            self.directory.start(SegmentPointer::new(1, 0, 0));
            self.bytes += SegmentPointer::size(1);
            self.segment_bytes = SegmentPointer::size(1);
        }
        loop {
            let index = self.directory.index(hash);
            let segment = self.segment_mut(index);
            let bucket_count = segment.buckets.len();
            if segment.header.len < capacity(bucket_count) {
                return index;
            }
            let local_depth = segment.header.local_depth;
            if bucket_count < SPLIT_BUCKETS || !self.may_split(local_depth) {
                self.resize(index, step_up(bucket_count));
            } else {
                self.split(index);
            }
        }
    }

    /// Whether a segment of this local depth can be split. If that takes a larger directory, there must be keys enough
    /// to justify it: keys chosen to collide shall grow one segment, not the directory.
    fn may_split(&self, local_depth: u32) -> bool {
        if local_depth < self.directory.depth() {
            return true;
        }
        self.directory.depth() < PREFIX_BITS && self.directory.len() * 2 <= (self.len / 8).max(2)
    }

    /// Moves a segment to another number of buckets.
    fn resize(&mut self, index: usize, bucket_count: usize) {
        let mut old = self.segment_mut(index);
        let (local_depth, earliest_ms) = (old.header.local_depth, old.header.earliest_ms);
        let pointer = SegmentPointer::new(bucket_count, local_depth, old.header.epoch);
        // SAFETY: just allocated, nobody else knows it.
        let mut new = unsafe { pointer.get_mut() };
        new.header.earliest_ms = earliest_ms;
        old.move_into(&mut new);
        let old_size = SegmentPointer::size(old.buckets.len());
        let first = self.first_entry(index, local_depth);
        self.replace_segment(first, self.directory.span(local_depth), pointer);
        let new_size = SegmentPointer::size(bucket_count);
        self.bytes = self.bytes - old_size + new_size;
        self.segment_bytes = self.segment_bytes - old_size + new_size;
    }

    /// Splits a segment in two by the next bit of its keys' hashes.
    fn split(&mut self, index: usize) {
        let mut old = self.segment_mut(index);
        let (local_depth, epoch) = (old.header.local_depth, old.header.epoch);
        let old_size = SegmentPointer::size(old.buckets.len());
        SegmentRef { header: old.header, buckets: old.buckets }.prefetch_records();
        let records = old.drain().collect::<Vec<_>>();
        let bit = 1 << (63 - local_depth);
        let sides =
            records.iter().map(|record| self.hasher.hash(record.key()) & bit != 0).collect::<Vec<_>>();
        let high_len = sides.iter().filter(|&&high| high).count();

        let halves = [records.len() - high_len, high_len];
        let pointers = halves.map(|len| SegmentPointer::new(step_for(len), local_depth + 1, epoch));
        // SAFETY: just allocated, nobody else knows them.
        let mut segments = pointers.map(|pointer| unsafe { pointer.get_mut() });
        for (record, high) in records.into_iter().zip(sides) {
            let target = &mut segments[usize::from(high)];
            if let Some(deadline_ms) = record.deadline_ms() {
                target.header.earliest_ms = target.header.earliest_ms.min(deadline_ms);
            }
            let tag = record.tag();
            target.insert(tag, record);
        }
        let new_size =
            segments.iter().map(|segment| SegmentPointer::size(segment.buckets.len())).sum::<usize>();
        self.bytes = self.bytes - old_size + new_size;
        self.segment_bytes = self.segment_bytes - old_size + new_size;

        let mut first = self.first_entry(index, local_depth);
        if local_depth == self.directory.depth() {
            self.directory.double();
            first *= 2;
        }
        let span = self.directory.span(local_depth + 1);
        let [low, high] = pointers;
        // The old segment is freed with the first half of its entries.
        self.replace_segment(first, span, low);
        self.directory.set(first + span, span, high);
        for (start, segment) in [first, first + span].into_iter().zip(segments) {
            self.directory.set_deadline(start, segment.header.earliest_ms);
        }
    }

    /// Points entries to a new segment and frees the one they pointed to, which must be empty.
    fn replace_segment(&mut self, first: usize, span: usize, new: SegmentPointer) {
        let old = self.directory.get(first).expect("an entry of the directory");
        self.directory.set(first, span, new);
        // SAFETY: the table owns its segments. Entries that still have the old pointer are set by the caller before
        // anything is looked up again.
        unsafe { old.free() };
    }

    /// After a removal: gives buckets back once most are unused. Positions in the segment become invalid.
    fn shrink(&mut self, index: usize) {
        let segment = self.segment_mut(index);
        let (len, bucket_count) = (segment.header.len, segment.buckets.len());
        if bucket_count > 1 && len * 5 < bucket_count * BUCKET_SLOTS * 2 {
            // Room for a quarter more, so that a few insertions do not grow it again.
            let wanted = step_for(len + len / 4);
            if wanted < bucket_count {
                self.resize(index, wanted);
            }
        }
    }

    /// Takes a record out.
    fn remove(&mut self, index: usize, position: Position) -> Record {
        self.claim(Place { index, position });
        let record = self.segment_mut(index).remove(position);
        self.len -= 1;
        self.bytes -= record.heap_size();
        self.expires_len -= u32::from(record.expiry_ms().is_some());
        self.deadlines_len -= u32::from(record.deadline_ms().is_some());
        if self.side.is_some() {
            self.meter_removed(index, &record);
        }
        self.shrink(index);
        record
    }

    /// Changes a record; keeps the slot and all sums up to date.
    fn update(&mut self, index: usize, position: Position, change: impl FnOnce(Record) -> Record) {
        self.claim(Place { index, position });
        let segment = self.segment_mut(index);
        let slot = &mut segment.buckets[position.bucket].slots[position.slot];
        let old = slot.take().expect("a position points to a record");
        let (old_size, tag) = (old.heap_size(), old.tag());
        let (old_expires, old_deadline) = (old.expiry_ms().is_some(), old.deadline_ms());
        let new = change(old);
        let new_size = new.heap_size();
        let (new_expires, new_deadline) = (new.expiry_ms().is_some(), new.deadline_ms());
        *slot = Some(new.tagged(tag));
        self.bytes = self.bytes - old_size + new_size;
        if self.side.is_some() && new_size != old_size {
            self.meter_place(Place { index, position }, new_size as i64 - old_size as i64, 0);
        }
        if old_deadline.is_some() || new_deadline.is_some() {
            self.expires_len = self.expires_len - u32::from(old_expires) + u32::from(new_expires);
            self.change_deadline(index, old_deadline, new_deadline);
        }
    }

    /// A record in the segment at `index` changed its deadline.
    fn change_deadline(&mut self, index: usize, old: Option<i64>, new: Option<i64>) {
        self.deadlines_len = self.deadlines_len - u32::from(old.is_some()) + u32::from(new.is_some());
        if let Some(deadline_ms) = new {
            self.note_deadline(index, deadline_ms);
        }
    }

    fn note_deadline(&mut self, index: usize, deadline_ms: i64) {
        let segment = self.segment_mut(index);
        if deadline_ms < segment.header.earliest_ms {
            segment.header.earliest_ms = deadline_ms;
            let local_depth = segment.header.local_depth;
            let first = self.first_entry(index, local_depth);
            self.directory.set_deadline(first, deadline_ms);
        }
    }

    /// Removes what is due from one segment as far as the budget goes, then finds out its earliest deadline.
    fn expire_segment(&mut self, first: usize, now_ms: i64, left: &mut usize, on_due: &mut dyn FnMut(Due)) {
        let budget = *left;
        if self.portion.is_some() {
            self.claim_due(first, now_ms);
        }
        let mut meter = self.take_meter();
        let at = self.directory.prefix_of_index(first);
        let mut segment = self.segment_mut(first);
        let (mut removed, mut expires, mut deadlines) = (0, 0, 0);
        let (mut removed_bytes, mut shrunk_bytes) = (0, 0);
        let mut earliest_ms = i64::MAX;
        for bucket in 0..segment.buckets.len() {
            let mut slot = 0;
            while slot < BUCKET_SLOTS {
                let Some(record) = &mut segment.buckets[bucket].slots[slot] else { break };
                let Some(mut deadline_ms) = record.deadline_ms() else {
                    slot += 1;
                    continue;
                };
                let is_due = record.expiry_ms().is_some_and(|expiry_ms| expiry_ms < now_ms);
                let mut emptied = false;
                if !is_due && deadline_ms < now_ms && *left > 0 {
                    let before = record.heap_size();
                    emptied = expire_members(record, now_ms, left, on_due);
                    let shrunk = before - record.heap_size().min(before);
                    shrunk_bytes += shrunk;
                    if let Some(meter) = &mut meter {
                        meter.change(record.key(), at, -(shrunk as i64), 0);
                    }
                    let rest = record.deadline_ms();
                    deadlines += u32::from(rest.is_none());
                    deadline_ms = rest.unwrap_or(i64::MAX);
                }
                if emptied || (is_due && *left > 0) {
                    // Another record may move into this slot; none moves from a bucket ahead to one behind.
                    let record = segment.remove(Position { bucket, slot });
                    removed_bytes += record.heap_size();
                    if let Some(meter) = &mut meter {
                        meter.change(record.key(), at, -(record.heap_size() as i64), -1);
                    }
                    removed += 1;
                    expires += u32::from(record.expiry_ms().is_some());
                    deadlines += u32::from(record.deadline_ms().is_some());
                    *left = left.saturating_sub(1);
                    on_due(if emptied { Due::Emptied(record) } else { Due::Key(record) });
                } else {
                    earliest_ms = earliest_ms.min(deadline_ms);
                    slot += 1;
                }
            }
        }
        segment.header.earliest_ms = earliest_ms;
        self.put_meter(meter);
        if *left == budget {
            *left -= 1;
        }
        self.directory.set_deadline(first, earliest_ms);
        self.len -= removed;
        self.expires_len -= expires;
        self.deadlines_len -= deadlines;
        self.bytes -= removed_bytes + shrunk_bytes;
        if removed > 0 {
            self.shrink(first);
        }
    }
}

/// What [`Table::expire_due`] found.
#[derive(Debug)]
pub enum Due<'a> {
    /// The key's own time has come.
    Key(Record),
    /// The time of these members of the key's value has come; they are removed.
    Members { key: &'a [u8], code: TypeCode, members: Members },
    /// Its last member was removed, and so the key; follows `Members`.
    Emptied(Record),
}

/// Names of members, in the order they were removed.
pub type Members = Vec<Box<[u8]>>;

/// Removes due members of a value, at most `left`; true when none remains.
fn expire_members(record: &mut Record, now_ms: i64, left: &mut usize, on_due: &mut dyn FnMut(Due)) -> bool {
    let mut members = Members::new();
    let Some(value) = record.boxed_mut() else { return false };
    value.remove_due(now_ms, *left, &mut |member| members.push(member.into()));
    let (code, emptied) = (value.type_code(), value.is_empty());
    *left -= members.len().min(*left);
    if !members.is_empty() {
        on_due(Due::Members { key: record.key(), code, members });
    }
    emptied
}

/// Maps a random number to 0..bound.
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

impl Drop for Table {
    fn drop(&mut self) {
        let segments = self.directory.take_segments();
        if let Some(portion) = self.portion.take() {
            portion.leave(Contents { segments, len: self.len, bytes: self.bytes });
        } else {
            free_all(&segments);
        }
    }
}

fn free_all(segments: &[SegmentPointer]) {
    for segment in segments {
        // SAFETY: the caller gives up the segments it owned.
        unsafe { segment.free() };
    }
}

// SAFETY: the table owns its segments and records, which are Send.
unsafe impl Send for Table where Record: Send {}

// SAFETY: `&Table` only reads segments and gives out `&Record`, which is Sync.
unsafe impl Sync for Table where Record: Sync {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// The keys a table held before [`Table::take`]. Dropping it frees them.
#[derive(Default)]
pub struct Contents {
    segments: Vec<SegmentPointer>,
    len: usize,
    bytes: usize,
}

impl Contents {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes that dropping gives back.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Calls `visit` with every record, in no particular order.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Record)) {
        for segment in &self.segments {
            // SAFETY: the contents own their segments.
            unsafe { segment.get() }.records().for_each(&mut *visit);
        }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        free_all(&self.segments);
    }
}

// SAFETY: contents own their segments and records, which are Send.
unsafe impl Send for Contents where Record: Send {}

// SAFETY: shared access only reads.
unsafe impl Sync for Contents where Record: Sync {}

/// The place of a key in a table.
pub enum Entry<'t> {
    Occupied(OccupiedEntry<'t>),
    Vacant(VacantEntry<'t>),
}

/// The place of a key that is there.
pub struct OccupiedEntry<'t> {
    table: &'t mut Table,
    index: usize,
    position: Position,
}

impl<'t> OccupiedEntry<'t> {
    #[inline]
    pub fn record(&self) -> &Record {
        let segment = self.table.segment(self.index).expect("an entry of the directory");
        segment.buckets[self.position.bucket].slots[self.position.slot]
            .as_ref()
            .expect("the entry is occupied")
    }

    /// The record, borrowed from the table rather than from this entry.
    pub fn into_record(self) -> &'t Record {
        let segment = self.table.segment(self.index).expect("an entry of the directory");
        segment.buckets[self.position.bucket].slots[self.position.slot]
            .as_ref()
            .expect("the entry is occupied")
    }

    /// Changes the record in any way that keeps its key. All other methods that change it are forms of this one.
    ///
    /// `change` must not panic: the entry would stay without record.
    #[inline]
    pub fn update(&mut self, change: impl FnOnce(Record) -> Record) {
        self.table.update(self.index, self.position, change);
    }

    /// Puts another record of the same key in its place.
    pub fn replace(&mut self, record: Record) -> Record {
        debug_assert_eq!(record.key(), self.record().key());
        let mut old = None;
        self.update(|present| {
            old = Some(present);
            record
        });
        old.expect("update calls its argument")
    }

    /// Sets or removes the expiry, a unix time in ms.
    pub fn set_expiry(&mut self, expiry_ms: Option<i64>) {
        self.update(|record| record.with_expiry(expiry_ms));
    }

    /// Overwrites a short string that never expires with another of the same length, as [`Record::overwrite_bytes`]:
    /// the commonest of all writes, and the only one after which no sum has to be corrected.
    #[inline]
    pub fn overwrite_bytes(&mut self, value: &[u8], encoding: StringEncoding, access: Access) -> bool {
        let record = self.record_mut();
        if !record.overwrite_bytes(value, encoding) {
            return false;
        }
        let old = record.access();
        let word = access.next(old);
        if word != old {
            record.set_access(word);
        }
        true
    }

    /// Overwrites value and expiry with a string; allocates nothing if the size class stays the same.
    pub fn set_string_bytes(&mut self, value: &[u8], encoding: StringEncoding, expiry_ms: Option<i64>) {
        self.update(|record| record.replace_bytes(value, encoding, expiry_ms));
    }

    /// Overwrites value and expiry with an integer.
    pub fn set_int(&mut self, value: i64, expiry_ms: Option<i64>) {
        self.update(|record| record.replace_int(value, expiry_ms));
    }

    /// Overwrites value and expiry with a boxed value.
    pub fn set_boxed(&mut self, value: Box<Value>, expiry_ms: Option<i64>) {
        self.update(|record| record.replace_boxed(value, expiry_ms));
    }

    /// Overwrites a small value that expires, as [`Record::overwrite_packed`]; else puts it there, whatever was there before.
    #[inline]
    pub fn set_packed(&mut self, code: TypeCode, bytes: &[u8], expiry_ms: Option<i64>) {
        if let Some(expiry_ms) = expiry_ms
            && let Some(old_ms) = self.record_mut().overwrite_packed(code, bytes, expiry_ms)
        {
            if expiry_ms < old_ms {
                self.table.note_deadline(self.index, expiry_ms);
            }
            return;
        }
        self.update(|record| record.replace_packed(code, bytes, expiry_ms));
    }

    /// The bytes of a small value inside its record, to be changed in place, as [`Record::packed_mut`].
    pub fn packed_mut(&mut self) -> Option<&mut [u8]> {
        self.record_mut().packed_mut()
    }

    /// The bytes of a string to be changed in place, as [`Record::bytes_mut`].
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.record_mut().bytes_mut()
    }

    /// The boxed value to be changed; the table learns its new size and deadline when the guard is dropped. `None` for
    /// values in any other form.
    pub fn boxed_mut(&mut self) -> Option<BoxedMut<'_>> {
        self.table.claim(self.place());
        let before = Weight::of(self.record())?;
        Some(BoxedMut { place: self.place(), table: self.table, before })
    }

    /// What the table knows of a boxed collection that is about to be [changed](Table::boxed_at_mut) in place; `None` for
    /// anything else.
    #[inline]
    pub fn lend<T: Collection>(&mut self) -> Option<Weight> {
        self.table.claim(self.place());
        Weight::of_collection::<T>(self.record()).map(|(weight, _)| weight)
    }

    /// Where the record stands, to come back to it: see [`Table::at`].
    #[inline]
    pub fn place(&self) -> Place {
        Place { index: self.index, position: self.position }
    }

    fn record_mut(&mut self) -> &mut Record {
        self.table.record_mut(self.place())
    }

    /// Takes the record out of the table.
    pub fn remove(self) -> Record {
        self.table.remove(self.index, self.position)
    }
}

/// The place for a key that is not there.
pub struct VacantEntry<'t> {
    table: &'t mut Table,
    hash: u64,
}

impl<'t> VacantEntry<'t> {
    /// Puts a record of that key there. Amortised O(1), at worst the split of a segment.
    pub fn insert(self, record: Record) -> OccupiedEntry<'t> {
        debug_assert_eq!(self.table.hasher.hash(record.key()), self.hash, "a record of the entry's key");
        let (index, position) = self.table.insert(self.hash, record);
        OccupiedEntry { table: self.table, index, position }
    }
}

/// Where a record stands in its table, as long as no record is added to the table or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    index: usize,
    position: Position,
}

/// A boxed value being changed; it must keep its type.
pub struct BoxedMut<'e> {
    table: &'e mut Table,
    place: Place,
    before: Weight,
}

impl ops::Deref for BoxedMut<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.table.boxed_at(self.place)
    }
}

impl ops::DerefMut for BoxedMut<'_> {
    fn deref_mut(&mut self) -> &mut Value {
        self.table.boxed_at_mut(self.place)
    }
}

impl Drop for BoxedMut<'_> {
    fn drop(&mut self) {
        self.table.boxed_changed(self.place, self.before);
    }
}
