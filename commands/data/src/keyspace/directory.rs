//! The directory of a table: which segment has the keys of a hash prefix, and when the first of them expires.
//!
//! It only ever grows, by doubling. Other threads read it without the shard's lock, to prefetch ([`DirectoryHint`]);
//! therefore its entries are atomic, and outgrown arrays are kept as long as a hint could still read them. They are
//! geometric, so that all of them together are no larger than the present one.

#![expect(unsafe_code, reason = "hints read the array through a packed atomic pointer; under Miri in CI")]

use std::{
    mem, ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicPtr,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use super::{
    hash::{PREFIX_BITS, tag},
    record::size_class,
    segment::{Header, NO_SEGMENT, SegmentPointer, prefetch},
};

/// A [`SegmentPointer`], readable by hints.
type Slot = AtomicPtr<Header>;

const DEPTH_SHIFT: u32 = 48;
const ADDRESS_MASK: usize = (1 << DEPTH_SHIFT) - 1;

/// What a table shares with its hints.
#[derive(Default)]
struct Shared {
    /// The present array, with its depth in the upper 16 bits; null before the first key.
    packed: AtomicPtr<Slot>,
    /// Every array `packed` ever pointed to. Locked only when `packed` changes.
    held: Mutex<Vec<Arc<[Slot]>>>,
}

impl Shared {
    fn publish(&self, slots: &Arc<[Slot]>, depth: u32) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.iter().any(|known| Arc::ptr_eq(known, slots)) {
            held.push(Arc::clone(slots));
        }
        let first = Arc::as_ptr(slots).cast::<Slot>().cast_mut();
        assert!(first.addr() <= ADDRESS_MASK, "user space addresses have 48 bits");
        // Release: who loads the pointer also sees the entries.
        self.packed.store(first.map_addr(|address| address | (depth as usize) << DEPTH_SHIFT), Release);
    }
}

/// Computes addresses to prefetch for a table, on any thread, without the table's lock, and while it changes. What it
/// sees may be outdated: then a prefetch is wasted, nothing else. Cheap to clone and to keep.
#[derive(Clone)]
pub struct DirectoryHint {
    shared: Arc<Shared>,
}

impl DirectoryHint {
    /// Prefetches the bucket in which a search for the key with this hash starts. Costs a load from the directory.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_bucket(tag(hash));
        }
    }

    /// Prefetches the entry of the directory that [`prefetch_bucket`](Self::prefetch_bucket) loads.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(slot) = self.slot(hash) {
            prefetch(ptr::from_ref(slot).cast());
        }
    }

    /// As [`prefetch_bucket`](Self::prefetch_bucket), and the segment's header, which adding or removing a key changes.
    #[inline]
    pub fn prefetch_bucket_for_write(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_header();
            segment.prefetch_bucket(tag(hash));
        }
    }

    #[inline]
    fn segment(&self, hash: u64) -> Option<SegmentPointer> {
        self.slot(hash).map(|slot| SegmentPointer(slot.load(Relaxed)))
    }

    #[inline]
    fn slot(&self, hash: u64) -> Option<&Slot> {
        let packed = self.shared.packed.load(Acquire);
        if packed.is_null() {
            return None;
        }
        let depth = (packed.addr() >> DEPTH_SHIFT) as u32;
        let slots = packed.map_addr(|address| address & ADDRESS_MASK);
        // SAFETY: the array has 2^depth entries and lives in `held`, which is only added to, at least as long as
        // `self.shared`. All accesses to entries are atomic.
        Some(unsafe { &*slots.add(index(hash, depth)) })
    }
}

/// Which of 2^depth entries the hash belongs to.
#[inline]
fn index(hash: u64, depth: u32) -> usize {
    debug_assert!(depth <= PREFIX_BITS);
    // In two steps: no bits at all are 64 less than there are.
    (hash >> 1).wrapping_shr(63_u32.wrapping_sub(depth)) as usize
}

/// Maps each hash prefix to a segment. Does not own the segments.
#[derive(Default)]
pub(super) struct Directory {
    shared: Arc<Shared>,
    /// The array `shared.packed` points to; None before the first key.
    slots: Option<Arc<[Slot]>>,
    depth: u32,
    /// For the first entry of each segment the earliest expiry in it, for all others `i64::MAX`. Empty until a key gets
    /// an expiry.
    deadlines: Box<[i64]>,
    /// A lower bound of all `deadlines`.
    earliest_ms: i64,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self { earliest_ms: i64::MAX, ..Self::default() }
    }

    pub(super) fn hint(&self) -> DirectoryHint {
        DirectoryHint { shared: Arc::clone(&self.shared) }
    }

    /// Number of hash bits it distinguishes.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// Number of entries: 2^depth, or 0 before the first key.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.len())
    }

    /// The entry of this hash. Only valid until the directory doubles.
    #[inline]
    pub(super) fn index(&self, hash: u64) -> usize {
        index(hash, self.depth)
    }

    /// The entry in which this hash prefix falls.
    pub(super) fn index_of_prefix(&self, prefix: u32) -> usize {
        (prefix >> (PREFIX_BITS - self.depth)) as usize
    }

    /// The lowest hash prefix of an entry; one more than the highest prefix for the entry after the last.
    pub(super) fn prefix_of_index(&self, index: usize) -> u32 {
        (index as u32) << (PREFIX_BITS - self.depth)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<SegmentPointer> {
        self.slots.as_ref()?.get(index).map(|slot| SegmentPointer(slot.load(Relaxed)))
    }

    /// Number of entries a segment of this local depth has.
    pub(super) fn span(&self, local_depth: u32) -> usize {
        1 << (self.depth - local_depth)
    }

    /// Makes the first array, of one entry.
    pub(super) fn start(&mut self, segment: SegmentPointer) {
        let slots = Arc::from([Slot::new(segment.0)]);
        self.shared.publish(&slots, 0);
        self.slots = Some(slots);
    }

    /// Points the entries `first..first + span` to a segment.
    pub(super) fn set(&mut self, first: usize, span: usize, segment: SegmentPointer) {
        let slots = self.slots.as_ref().expect("a directory with entries");
        for slot in &slots[first..first + span] {
            slot.store(segment.0, Relaxed);
        }
    }

    /// Twice as many entries, each segment having two for one.
    pub(super) fn double(&mut self) {
        assert!(self.depth < PREFIX_BITS);
        let old = self.slots.as_ref().expect("a directory with entries");
        let twice = |slot: &Slot| {
            let pointer = slot.load(Relaxed);
            [Slot::new(pointer), Slot::new(pointer)]
        };
        let slots = old.iter().flat_map(twice).collect::<Arc<[Slot]>>();
        self.depth += 1;
        self.shared.publish(&slots, self.depth);
        self.slots = Some(slots);
        self.deadlines = self.deadlines.iter().flat_map(|&deadline| [deadline, i64::MAX]).collect();
    }

    /// The earliest expiry of the segment starting at this entry; `i64::MAX` if none, or if no segment starts there.
    #[inline]
    pub(super) fn deadline(&self, first: usize) -> i64 {
        self.deadlines.get(first).copied().unwrap_or(i64::MAX)
    }

    /// Sets the earliest expiry of the segment starting at entry `first`.
    pub(super) fn set_deadline(&mut self, first: usize, deadline_ms: i64) {
        if self.deadlines.is_empty() {
            if deadline_ms == i64::MAX {
                return;
            }
            self.deadlines = vec![i64::MAX; self.len()].into();
        }
        self.deadlines[first] = deadline_ms;
        self.earliest_ms = self.earliest_ms.min(deadline_ms);
    }

    /// A lower bound of all deadlines.
    #[inline]
    pub(super) fn earliest_ms(&self) -> i64 {
        self.earliest_ms
    }

    /// Sets the lower bound, once the caller has seen all deadlines.
    pub(super) fn set_earliest(&mut self, earliest_ms: i64) {
        self.earliest_ms = earliest_ms;
    }

    /// Forgets all deadlines.
    pub(super) fn clear_deadlines(&mut self) {
        self.deadlines = Box::default();
        self.earliest_ms = i64::MAX;
    }

    /// Bytes of the present array, of the outgrown ones (about as many) and of the deadlines.
    pub(super) fn size(&self) -> usize {
        let Some(slots) = &self.slots else { return 0 };
        // The counts of the Arc precede the slots.
        let present = size_class(2 * size_of::<usize>() + size_of_val(&**slots));
        2 * present + size_class(size_of_val(&*self.deadlines))
    }

    /// Exchanges the contents; each hint stays with its directory.
    pub(super) fn swap(&mut self, other: &mut Self) {
        mem::swap(self, other);
        mem::swap(&mut self.shared, &mut other.shared);
        for directory in [self, other] {
            match &directory.slots {
                Some(slots) => directory.shared.publish(slots, directory.depth),
                None => directory.shared.packed.store(ptr::null_mut(), Release),
            }
        }
    }

    /// Takes out the pointers to all segments. Every entry points to nothing afterwards.
    pub(super) fn take_segments(&mut self) -> Vec<SegmentPointer> {
        let mut segments = Vec::new();
        for slot in self.slots.iter().flat_map(|slots| slots.iter()) {
            let segment = SegmentPointer(slot.load(Relaxed));
            slot.store(NO_SEGMENT.0, Relaxed);
            // The entries of a segment are neighbours.
            if segments.last() != Some(&segment) {
                segments.push(segment);
            }
        }
        self.clear_deadlines();
        segments
    }
}
