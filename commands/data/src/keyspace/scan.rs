//! SCAN: walking a table in the order of its hashes, a few keys at a time, while it changes.
//!
//! The order is (hash prefix of the segment's start, tag). A cursor names a place in that order, not in memory. Growing
//! or shrinking a segment changes neither coordinate of a key. A split gives the keys of the upper half a larger prefix:
//! a cursor in the middle of the old segment then stands in the lower half, and the upper half is walked whole, so keys
//! may be seen twice but none is missed. Segments are never merged, as that would move keys to smaller prefixes.

use smallvec::SmallVec;

use super::{
    hash::PREFIX_BITS,
    record::Record,
    segment::{SPLIT_BUCKETS, capacity},
    table::Table,
};

/// Room for the records of any segment that is not full of colliding hashes.
const SEGMENT_LEN: usize = 128;

const _: () = assert!(capacity(SPLIT_BUCKETS) <= SEGMENT_LEN);

/// Where a scan continues. The default is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanCursor {
    /// Hash prefix (24 bits) at which the segment starts.
    pub prefix: u32,
    /// Keys of that segment with a smaller tag have been walked.
    pub tag: u16,
}

impl ScanCursor {
    /// Number of bits [`to_bits`](Self::to_bits) uses.
    pub const BITS: u32 = PREFIX_BITS + 16;

    /// The cursor as a number, in the same order.
    pub const fn to_bits(self) -> u64 {
        (self.prefix as u64) << 16 | self.tag as u64
    }

    /// The cursor of this number; bits above the lowest 40 are ignored. Every number is a valid cursor.
    pub const fn from_bits(bits: u64) -> Self {
        Self { prefix: (bits >> 16) as u32 & ((1 << PREFIX_BITS) - 1), tag: bits as u16 }
    }
}

impl Table {
    /// Emits the records from `cursor` on until there were `count`, and all others with the last one's tag. Returns
    /// where to continue, or `None` after the last record. May emit fewer where keys are sparse, to bound its time.
    ///
    /// Keys present from the first call to the last are emitted at least once, whatever happens in between.
    pub fn scan(
        &self,
        cursor: ScanCursor,
        count: usize,
        emit: &mut dyn FnMut(&Record),
    ) -> Option<ScanCursor> {
        if self.is_empty() {
            return None;
        }
        let count = count.max(1);
        let mut emitted = 0;
        let mut empty_visits = 0;
        let start = self.directory().index_of_prefix(cursor.prefix);
        let mut records = SmallVec::<[&Record; SEGMENT_LEN]>::new();
        for (first, segment) in self.segments_from(start) {
            let prefix = self.directory().prefix_of_index(first);
            if emitted >= count || empty_visits > count {
                return Some(ScanCursor { prefix, tag: 0 });
            }
            // After the cursor's segment was replaced by a larger one (FLUSHALL, SWAPDB), its tag means nothing there.
            let from = if prefix == cursor.prefix { cursor.tag } else { 0 };
            records.clear();
            records.extend(segment.records().filter(|record| record.tag() >= from));
            records.sort_unstable_by_key(|record| record.tag());
            empty_visits += usize::from(records.is_empty());
            for group in records.chunk_by(|a, b| a.tag() == b.tag()) {
                if emitted >= count {
                    return Some(ScanCursor { prefix, tag: group[0].tag() });
                }
                for record in group {
                    emit(record);
                }
                emitted += group.len();
            }
        }
        None
    }
}
