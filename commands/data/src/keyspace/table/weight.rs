//! What a table's sums know of its records.

use super::super::record::{Record, ValueRef};
use crate::types::collection::Collection;

/// What the table's sums know of a record with a boxed value.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// Heap bytes of the value.
    pub(super) size: usize,
    /// The next time at which the key or a member is due.
    pub(super) deadline: Option<i64>,
}

impl Weight {
    /// `None` for values in any other form.
    #[inline]
    pub(super) fn of(record: &Record) -> Option<Self> {
        let ValueRef::Boxed(value) = record.value() else { return None };
        Some(Weight { size: value.heap_size(), deadline: record.deadline_ms() })
    }

    /// That of a collection of this type, and the collection. `None` for values in any other form.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub(super) fn of_collection<T: Collection>(record: &Record) -> Option<(Self, &T)> {
        let ValueRef::Boxed(value) = record.value() else { return None };
        let value = T::of(value)?;
        let deadline = record.deadline_with(value.earliest_deadline_ms());
        Some((Weight { size: value.heap_size(), deadline }, value))
    }
}
