//! The name in a record, reached without the table that owns the record: what an index over records consists of.

#![expect(unsafe_code, reason = "an index points into records that a table owns; under Miri in CI")]

use std::{mem::ManuallyDrop, ptr::NonNull, slice};

use super::{record::Record, segment::prefetch};

/// Leads to the key of a record, as long as the record stays where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordName(NonNull<u8>);

impl RecordName {
    /// # Safety
    ///
    /// [`bytes`](Self::bytes) may only be called while the record exists and has not moved. It may move when its expiry
    /// or the size of its value changes, but not when it is in a table that grows, shrinks or moves.
    #[inline]
    pub(crate) unsafe fn of(record: &Record) -> Self {
        Self(record.pointer())
    }

    /// Asks the CPU to load the beginning of the record.
    #[inline]
    pub(crate) fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }

    /// The key.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the record exists and lies here, as whoever called `of` promised. It is not dropped twice, nor kept.
        let record = ManuallyDrop::new(unsafe { Record::from_pointer(self.0) });
        let key = record.key();
        // SAFETY: the key lies in the allocation of the record, which lives as long as `self` is used.
        unsafe { slice::from_raw_parts(key.as_ptr(), key.len()) }
    }
}

// SAFETY: it only ever reads a record, which is Send and Sync.
unsafe impl Send for RecordName {}

// SAFETY: as above.
unsafe impl Sync for RecordName {}
