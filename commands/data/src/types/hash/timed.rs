//! A small hash whose fields may have deadlines: field, value, deadline, field, value, deadline ... in one piece of
//! memory.

use crate::keyspace::{Expiry, size_class};
use crate::types::{
    members::NEVER_MS,
    packed::{Item, Packed, PackedRef},
    string::INT_LEN_MAX,
};

/// Items per field.
const TRIPLE: usize = 3;

/// Written for the deadline of a field that has none: the shortest item.
const NO_DEADLINE: i64 = 0;

/// Fields, values and deadlines.
#[derive(Clone, Debug)]
pub struct TimedFields {
    triples: Packed,
    /// Fields with a deadline.
    deadlines_len: usize,
    /// No deadline is earlier; exact after [`remove_due`](Self::remove_due).
    earliest_ms: i64,
}

impl PartialEq for TimedFields {
    /// The same fields with the same values and deadlines, in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.triples == other.triples
    }
}

impl TimedFields {
    /// The fields of a packed hash, none with a deadline.
    pub(super) fn from_untimed(pairs: PackedRef) -> Self {
        let mut triples = Packed::new();
        for (index, item) in pairs.iter().enumerate() {
            triples.push_back(item);
            if index % 2 == 1 {
                triples.push_back(Item::Int(NO_DEADLINE));
            }
        }
        Self { triples, deadlines_len: 0, earliest_ms: NEVER_MS }
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.triples.len() / TRIPLE
    }

    pub(super) fn heap_size(&self) -> usize {
        size_class(size_of::<Self>()) + self.triples.heap_size()
    }

    /// All fields in order: name, value, deadline.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Item<'_>, Item<'_>, Option<i64>)> {
        let mut items = self.triples.view().iter();
        std::iter::from_fn(move || Some((items.next()?, items.next()?, deadline_of(items.next()?))))
    }

    /// The value of a field, and its deadline.
    pub(super) fn get(&self, field: &[u8]) -> Option<(Item<'_>, Option<i64>)> {
        let view = self.triples.view();
        let value = view.after(view.find(field, TRIPLE - 1)?);
        Some((view.item(value), deadline_of(view.item(view.after(value)))))
    }

    pub(super) fn set(&mut self, field: &[u8], value: Item, deadline: Expiry) -> bool {
        let present = self.triples.view().find(field, TRIPLE - 1);
        let is_new = present.is_none();
        if let Some(pos) = present {
            let pos = self.triples.view().after(pos);
            self.triples.replace(pos, value);
        } else {
            self.triples.push_back(field);
            self.triples.push_back(value);
            self.triples.push_back(Item::Int(NO_DEADLINE));
        }
        match deadline {
            Expiry::Keep => {}
            Expiry::Clear if is_new => {}
            Expiry::Clear => {
                self.set_deadline(field, None);
            }
            Expiry::At(deadline_ms) => {
                self.set_deadline(field, Some(deadline_ms));
            }
        }
        is_new
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let view = self.triples.view();
        let Some(pos) = view.find(field, TRIPLE - 1) else { return false };
        let deadline = deadline_of(view.item(view.after(view.after(pos))));
        self.deadlines_len -= usize::from(deadline.is_some());
        self.triples.remove(pos, TRIPLE);
        true
    }

    pub(super) fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) -> bool {
        let view = self.triples.view();
        let Some(pos) = view.find(field, TRIPLE - 1) else { return false };
        let pos = view.after(view.after(pos));
        let had_one = deadline_of(view.item(pos)).is_some();
        debug_assert!(deadline_ms != Some(NO_DEADLINE), "it would be none");
        let written = deadline_ms.unwrap_or(NO_DEADLINE);
        self.triples.replace(pos, Item::Int(written));
        self.deadlines_len = self.deadlines_len - usize::from(had_one) + usize::from(deadline_ms.is_some());
        if deadline_ms.is_some() {
            self.earliest_ms = self.earliest_ms.min(written);
        }
        true
    }

    pub(super) fn earliest_deadline_ms(&self) -> Option<i64> {
        (self.deadlines_len > 0).then_some(self.earliest_ms)
    }

    pub(super) fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
        let mut left = limit;
        let mut earliest_ms = NEVER_MS;
        let mut next = self.triples.view().first();
        while let Some(pos) = next {
            let view = self.triples.view();
            let deadline_pos = view.after(view.after(pos));
            let deadline = deadline_of(view.item(deadline_pos));
            if deadline.is_some_and(|deadline_ms| deadline_ms < now_ms) && left > 0 {
                removed(view.item(pos).bytes(&mut [0; INT_LEN_MAX]));
                self.triples.remove(pos, TRIPLE);
                self.deadlines_len -= 1;
                left -= 1;
                // The next field has moved here.
                next = (pos < self.triples.view().end()).then_some(pos);
            } else {
                earliest_ms = earliest_ms.min(deadline.unwrap_or(NEVER_MS));
                next = view.next(deadline_pos);
            }
        }
        self.earliest_ms = earliest_ms;
    }
}

fn deadline_of(item: Item) -> Option<i64> {
    match item {
        Item::Int(NO_DEADLINE) | Item::Bytes(_) => None,
        Item::Int(deadline_ms) => Some(deadline_ms),
    }
}
