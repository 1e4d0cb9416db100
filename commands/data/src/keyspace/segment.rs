//! Segments: small open-addressing tables of tagged record pointers, one allocation each.
//!
//! A segment is a header line followed by N buckets of 8 slots, one cache line per bucket. A slot is a record whose
//! pointer carries the key's tag in its upper 16 bits. The home bucket of a key is `tag * N / 65536`, which keeps the
//! order of tags, and is computable from the slot alone: growing a segment never looks at a record.
//!
//! Probing is linear over buckets and wraps around. Inside a bucket the occupied slots come first, so a bucket whose
//! last slot is empty ends a probe. Removal moves displaced records back; there are no tombstones.
//!
//! Segments grow in steps that fill the allocator's size classes, and are split in two by the table at
//! [`SPLIT_BUCKETS`], so that the load stays between 70 and 87 %.

#![expect(
    unsafe_code,
    reason = "header and buckets share one allocation found by a tagged pointer; under Miri in CI"
)]
#![expect(clippy::cast_ptr_alignment, reason = "segments are allocated with the alignment of their header")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ptr::{self, NonNull},
    slice,
};

use super::record::Record;

/// Slots per bucket: one cache line of pointers.
pub(super) const BUCKET_SLOTS: usize = 8;

/// From this many buckets on, a full segment is split rather than grown, if it can be.
pub(super) const SPLIT_BUCKETS: usize = 15;

/// Bucket counts on the way there: those which, with the header, fill a size class of the usual allocators (128, 192,
/// 256, ... 512, 640, 768, 896, 1024 bytes).
const STEPS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, SPLIT_BUCKETS];

const LINE: usize = 64;

const COUNT_SHIFT: u32 = 48;
const ADDRESS_MASK: usize = (1 << COUNT_SHIFT) - 1;

/// In a pointer: the count is in the header. Only segments full of colliding hashes get there.
const COUNT_IN_HEADER: usize = 0xffff;

/// The first line of a segment.
#[repr(C, align(64))]
pub(super) struct Header {
    /// Number of hash bits that all keys of the segment have in common.
    pub(super) local_depth: u32,
    bucket_count: usize,
    /// Number of records.
    pub(super) len: usize,
    /// No record expires before this unix time in ms; `i64::MAX` without expiries.
    pub(super) earliest_ms: i64,
    /// The last snapshot this segment's pre-image was taken for.
    pub(super) epoch: u64,
}

/// A cache line of slots.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) slots: [Option<Record>; BUCKET_SLOTS],
}

const _: () = assert!(size_of::<Header>() == LINE && size_of::<Bucket>() == LINE);

/// Where in a segment a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) bucket: usize,
    pub(super) slot: usize,
}

/// Pointer to a segment with the number of its buckets in the upper 16 bits, as the directory holds it. Plain data: who
/// owns the segment is up to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentPointer(pub(super) *mut Header);

/// Shared access to a segment. Making one touches neither header nor buckets.
#[derive(Clone, Copy)]
pub(super) struct SegmentRef<'a> {
    pub(super) header: &'a Header,
    pub(super) buckets: &'a [Bucket],
}

impl<'a> SegmentRef<'a> {
    /// All records, in no particular order.
    pub(super) fn records(self) -> impl Iterator<Item = &'a Record> + Clone {
        self.buckets.iter().flat_map(|bucket| bucket.slots.iter().flatten())
    }

    /// Lets all records miss the cache at once rather than one after the other.
    pub(super) fn prefetch_records(self) {
        self.records().for_each(|record| prefetch(record.address()));
    }
}

/// Exclusive access to a segment.
pub(super) struct SegmentMut<'a> {
    pub(super) header: &'a mut Header,
    pub(super) buckets: &'a mut [Bucket],
}

/// Number of records which fill so many buckets: 7/8 of the slots.
#[inline]
pub(super) const fn capacity(bucket_count: usize) -> usize {
    bucket_count * (BUCKET_SLOTS - 1)
}

/// The next larger bucket count.
pub(super) fn step_up(bucket_count: usize) -> usize {
    STEPS.into_iter().find(|&step| step > bucket_count).unwrap_or(bucket_count + bucket_count / 4)
}

/// The smallest bucket count that holds `len` records and can take a few more.
pub(super) fn step_for(len: usize) -> usize {
    STEPS.into_iter().find(|&step| capacity(step) > len + len / 32).unwrap_or(len / 6 + 1)
}

/// The bucket at which a probe for `tag` starts.
#[inline]
fn home(tag: u16, bucket_count: usize) -> usize {
    // Memory has no room for a number of buckets with which this would overflow.
    usize::from(tag).wrapping_mul(bucket_count) >> 16
}

/// The slots of a bucket whose tag is `tag`, one bit each. Looks at all of them without branching: which slot a key has
/// is random, so a loop that stops at it would be mispredicted every time. Empty slots count as tag 0.
#[inline]
#[cfg(any(not(target_arch = "x86_64"), miri))]
fn candidates(slots: &[Option<Record>; BUCKET_SLOTS], tag: u16) -> u32 {
    let mut found = 0;
    for (slot, record) in slots.iter().enumerate() {
        found |= u32::from(record.as_ref().map_or(0, Record::tag) == tag) << slot;
    }
    found
}

/// The same with the vector instructions every x86-64 has: 15 instructions instead of 60, twice per command.
#[inline]
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn candidates(slots: &[Option<Record>; BUCKET_SLOTS], tag: u16) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi16, _mm_load_si128, _mm_movemask_epi8,
        _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi16, _mm_setzero_si128, _mm_shuffle_ps, _mm_srai_epi32,
    };
    /// The upper halves of four slots: the second and fourth word of both vectors.
    const UPPER: i32 = 0b11_01_11_01;
    const {
        assert!(BUCKET_SLOTS == 8 && size_of::<Option<Record>>() == 8 && align_of::<Bucket>() >= 16);
    }
    let words = slots.as_ptr().cast::<__m128i>();
    // SAFETY: SSE2 is part of x86-64. A bucket is 64 initialised bytes and aligned to as many; a slot is a pointer, or
    // zero when it is empty, so its upper sixteen bits are the record's tag or 0.
    unsafe {
        let upper = |first: usize| {
            let (a, b) = (_mm_load_si128(words.add(first)), _mm_load_si128(words.add(first + 1)));
            let both = _mm_shuffle_ps::<UPPER>(_mm_castsi128_ps(a), _mm_castsi128_ps(b));
            _mm_srai_epi32::<16>(_mm_castps_si128(both))
        };
        let tags = _mm_packs_epi32(upper(0), upper(2));
        let equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(tag as i16));
        _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32
    }
}

/// Compares two keys: those of 8 to 16 bytes, which most are, without a call, as two words that overlap in equal bytes.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if let (Some(a_first), Some(a_last)) = (a.first_chunk::<8>(), a.last_chunk::<8>())
        && let (Some(b_first), Some(b_last)) = (b.first_chunk::<8>(), b.last_chunk::<8>())
        && a.len() <= 16
    {
        let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
        let differ = (word(a_first) ^ word(b_first)) | (word(a_last) ^ word(b_last));
        return differ == 0 && a.len() == b.len();
    }
    a == b
}

/// Finds the record of `key`.
#[expect(clippy::inline_always, reason = "a call per step costs as much as the steps: see ARCHITECTURE.md")]
#[inline(always)]
pub(super) fn find(buckets: &[Bucket], tag: u16, key: &[u8]) -> Option<Position> {
    let mut bucket = home(tag, buckets.len());
    for _ in 0..buckets.len() {
        let slots = &buckets[bucket].slots;
        let mut found = candidates(slots, tag);
        while found != 0 {
            let slot = found.trailing_zeros() as usize;
            if slots[slot].as_ref().is_some_and(|record| is_same(record.key(), key)) {
                return Some(Position { bucket, slot });
            }
            found &= found - 1;
        }
        // An empty last slot ends the probe.
        slots[BUCKET_SLOTS - 1].as_ref()?;
        bucket = following(bucket, buckets.len());
    }
    None
}

/// Finds the record at an address, if it is still in the segment.
pub(super) fn find_pointer(buckets: &[Bucket], tag: u16, pointer: NonNull<u8>) -> Option<Position> {
    let mut bucket = home(tag, buckets.len());
    for _ in 0..buckets.len() {
        let slots = &buckets[bucket].slots;
        let is_it =
            |record: &Option<Record>| record.as_ref().is_some_and(|record| record.pointer() == pointer);
        if let Some(slot) = slots.iter().position(is_it) {
            return Some(Position { bucket, slot });
        }
        slots[BUCKET_SLOTS - 1].as_ref()?;
        bucket = following(bucket, buckets.len());
    }
    None
}

/// Prefetches the records a search for `tag` would look at, both cache lines that a small one may span.
#[inline]
pub(super) fn prefetch_candidates(buckets: &[Bucket], tag: u16) {
    let mut bucket = home(tag, buckets.len());
    for _ in 0..buckets.len() {
        let slots = &buckets[bucket].slots;
        let mut found = candidates(slots, tag);
        while found != 0 {
            if let Some(record) = &slots[found.trailing_zeros() as usize] {
                prefetch(record.address());
                prefetch(record.address().wrapping_add(LINE));
            }
            found &= found - 1;
        }
        if slots[BUCKET_SLOTS - 1].is_none() {
            return;
        }
        bucket = following(bucket, buckets.len());
    }
}

#[inline]
fn following(bucket: usize, bucket_count: usize) -> usize {
    if bucket + 1 == bucket_count { 0 } else { bucket + 1 }
}

impl SegmentMut<'_> {
    /// Adds a record, whose key must not be present. The segment must not be full.
    pub(super) fn insert(&mut self, tag: u16, record: Record) -> Position {
        debug_assert!(self.header.len < self.buckets.len() * BUCKET_SLOTS);
        let mut bucket = home(tag, self.buckets.len());
        loop {
            let slots = &mut self.buckets[bucket].slots;
            if let Some(slot) = slots.iter().position(Option::is_none) {
                slots[slot] = Some(record.tagged(tag));
                self.header.len += 1;
                return Position { bucket, slot };
            }
            bucket = following(bucket, self.buckets.len());
        }
    }

    /// Takes a record out and moves displaced records closer to their home. Positions of other records in this segment
    /// become invalid.
    pub(super) fn remove(&mut self, at: Position) -> Record {
        let record = self.take_slot(at).expect("a position points to a record");
        self.header.len -= 1;
        self.move_back(at.bucket);
        record
    }

    /// After a removal from `hole`: if that was full, records displaced beyond it would no longer be found.
    fn move_back(&mut self, mut hole: usize) {
        let count = self.buckets.len();
        if self.buckets[hole].slots[BUCKET_SLOTS - 2].is_none() {
            return;
        }
        let mut bucket = hole;
        for _ in 1..count {
            bucket = following(bucket, count);
            let slots = &self.buckets[bucket].slots;
            let last = slots[BUCKET_SLOTS - 1].is_none();
            let gap = distance(hole, bucket, count);
            let displaced = slots.iter().position(|record| {
                record
                    .as_ref()
                    .is_some_and(|record| distance(home(record.tag(), count), bucket, count) >= gap)
            });
            if let Some(slot) = displaced {
                let record = self.take_slot(Position { bucket, slot });
                self.buckets[hole].slots[BUCKET_SLOTS - 1] = record;
                hole = bucket;
            }
            if last {
                return;
            }
        }
    }

    /// Empties a slot, closing the gap with the last record of the bucket.
    fn take_slot(&mut self, at: Position) -> Option<Record> {
        let slots = &mut self.buckets[at.bucket].slots;
        let last = slots.iter().rposition(Option::is_some)?;
        slots.swap(at.slot, last);
        slots[last].take()
    }

    /// Moves all records into another, emptier segment.
    pub(super) fn move_into(&mut self, target: &mut SegmentMut<'_>) {
        for record in self.drain() {
            let tag = record.tag();
            target.insert(tag, record);
        }
    }

    /// Takes all records out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Record> {
        self.header.len = 0;
        self.buckets.iter_mut().flat_map(|bucket| &mut bucket.slots).filter_map(Option::take)
    }
}

/// Number of steps from one bucket on to another.
#[inline]
fn distance(from: usize, to: usize, bucket_count: usize) -> usize {
    if to >= from { to - from } else { to + bucket_count - from }
}

impl SegmentPointer {
    /// Allocates an empty segment.
    pub(super) fn new(bucket_count: usize, local_depth: u32, epoch: u64) -> Self {
        assert!(bucket_count > 0);
        let layout = layout(bucket_count);
        // SAFETY: the layout is never empty.
        let pointer = unsafe { alloc_zeroed(layout) }.cast::<Header>();
        if pointer.is_null() {
            handle_alloc_error(layout);
        }
        assert!(pointer.addr() <= ADDRESS_MASK, "user space addresses have 48 bits");
        // SAFETY: the allocation begins with a line for the header. Its buckets are zero, and an `Option<Record>` of
        // zero bytes is None, since a record is a transparent NonNull.
        unsafe { pointer.write(Header { local_depth, bucket_count, len: 0, earliest_ms: i64::MAX, epoch }) };
        Self(pointer.map_addr(|address| address | bucket_count.min(COUNT_IN_HEADER) << COUNT_SHIFT))
    }

    /// Frees the segment with its records.
    ///
    /// # Safety
    /// The caller owns the segment; no copy of the pointer is dereferenced afterwards.
    pub(super) unsafe fn free(self) {
        // SAFETY: the caller owns the segment.
        let segment = unsafe { self.get_mut() };
        let layout = layout(segment.buckets.len());
        SegmentRef { header: segment.header, buckets: segment.buckets }.prefetch_records();
        segment.buckets.iter_mut().for_each(|bucket| bucket.slots = Default::default());
        // SAFETY: allocated with this layout in `new`; `segment` is not used any more.
        unsafe { dealloc(self.base().cast(), layout) };
    }

    /// # Safety
    /// The segment is alive, and not accessed mutably, for `'a`.
    #[inline]
    pub(super) unsafe fn get<'a>(self) -> SegmentRef<'a> {
        // SAFETY: the segment begins with its header, and `bucket_count` buckets follow; aliasing is up to the caller.
        unsafe {
            let buckets = slice::from_raw_parts(self.first_bucket(), self.bucket_count());
            SegmentRef { header: &*self.base(), buckets }
        }
    }

    /// # Safety
    /// The segment is alive, and not accessed through anything else, for `'a`.
    #[inline]
    pub(super) unsafe fn get_mut<'a>(self) -> SegmentMut<'a> {
        // SAFETY: header and buckets are disjoint parts of one allocation; aliasing is up to the caller.
        unsafe {
            let buckets = slice::from_raw_parts_mut(self.first_bucket(), self.bucket_count());
            SegmentMut { header: &mut *self.base(), buckets }
        }
    }

    /// Bytes of the segment's allocation.
    pub(super) fn size(bucket_count: usize) -> usize {
        LINE * (1 + bucket_count)
    }

    /// Prefetches the bucket where a search for `tag` starts. Never dereferences: the segment may be gone.
    #[inline]
    pub(super) fn prefetch_bucket(self, tag: u16) {
        let bucket = home(tag, self.0.addr() >> COUNT_SHIFT);
        prefetch(self.base().cast::<u8>().wrapping_add(LINE * (1 + bucket)));
    }

    /// Prefetches the header line, which writes touch. Never dereferences.
    #[inline]
    pub(super) fn prefetch_header(self) {
        prefetch(self.base().cast());
    }

    #[inline]
    fn base(self) -> *mut Header {
        self.0.map_addr(|address| address & ADDRESS_MASK)
    }

    /// # Safety
    /// The segment is alive.
    #[inline]
    unsafe fn first_bucket(self) -> *mut Bucket {
        // SAFETY: the allocation extends beyond the header.
        unsafe { self.base().add(1).cast() }
    }

    /// # Safety
    /// The segment is alive, and not accessed mutably.
    #[inline]
    unsafe fn bucket_count(self) -> usize {
        match self.0.addr() >> COUNT_SHIFT {
            // SAFETY: as the caller promises.
            COUNT_IN_HEADER => unsafe { (*self.base()).bucket_count },
            count => count,
        }
    }
}

fn layout(bucket_count: usize) -> Layout {
    Layout::from_size_align(SegmentPointer::size(bucket_count), LINE).expect("segments fit the address space")
}

/// Asks the CPU to load a cache line. `pointer` may point anywhere.
#[inline]
pub(crate) fn prefetch(pointer: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch instruction never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(pointer.cast(), _MM_HINT_T0);
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: a prefetch instruction never faults.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) pointer, options(nostack, preserves_flags, readonly));
    }
    let _ = pointer;
}

/// A pointer to no segment.
pub(super) const NO_SEGMENT: SegmentPointer = SegmentPointer(ptr::null_mut());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_or_differ_at_any_length_and_place() {
        for len in 0..20_usize {
            let key = (0..len as u8).collect::<Vec<_>>();
            assert!(is_same(&key, &key.clone()), "{len}");
            assert!(!is_same(&key, &[&key[..], b"x"].concat()), "{len}");
            assert!(!is_same(&[&key[..], b"x"].concat(), &key), "{len}");
            for at in 0..len {
                let mut other = key.clone();
                other[at] ^= 0x80;
                assert!(!is_same(&key, &other), "{len} at {at}");
            }
        }
    }
}
