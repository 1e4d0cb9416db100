//! Cached values: how long they are fresh, whether what they depend on has changed since, and that there is nothing to cache.
//!
//! A value is of no use any more once one of its tags was invalidated. Tags are shared by all values that have them: see `tags`.
//! Nothing here knows a clock: times are arguments. How long a value is kept at all is the deadline of its key.

mod codec;
mod tags;
#[cfg(test)]
mod tests;

pub use tags::{TAG_NAME_MAX, TAGS_MAX, TagBook, Tagged};

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;

/// A cached value.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    value: Box<[u8]>,
    /// It is known that there is no value.
    is_none: bool,
    /// It was invalidated before it was loaded.
    is_dead: bool,
    /// Up to when it is fresh, and how long that was when it was put; both 0 for as long as it is kept.
    fresh_until_ms: i64,
    fresh_ms: i64,
    tags: Box<[Tagged]>,
}

/// What a cached value is to somebody who asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As good as new.
    Fresh,
    /// Good enough until somebody has refreshed it.
    Stale,
    /// Of no use: what it depends on has changed.
    Dead,
}

impl PartialEq for Cache {
    fn eq(&self, other: &Self) -> bool {
        let form = |cache: &Self| {
            let mut form = Vec::new();
            cache.write(&mut form);
            form
        };
        form(self) == form(other)
    }
}

impl Cache {
    /// A value, or that there is none, with its tags. It is fresh for `fresh_ms` up to `fresh_until_ms`; 0 and 0 for as long as it
    /// is kept.
    pub fn new(value: &[u8], is_none: bool, fresh_until_ms: i64, fresh_ms: i64, tags: Vec<Tagged>) -> Self {
        let value = if is_none { Box::default() } else { value.into() };
        let parts = Parts { value, is_none, is_dead: false, fresh_until_ms, fresh_ms, tags: tags.into() };
        Cache { parts: Box::new(parts) }
    }

    /// The value; `None` where it is known that there is none.
    pub fn value(&self) -> Option<&[u8]> {
        (!self.parts.is_none).then_some(&*self.parts.value)
    }

    /// The hashes of its tags.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = u64> {
        self.parts.tags.iter().map(Tagged::hash)
    }

    /// What it is worth now. O(tags).
    pub fn freshness(&self, now_ms: i64) -> Freshness {
        let Parts { fresh_until_ms, fresh_ms, .. } = *self.parts;
        let left_ms = fresh_until_ms.saturating_sub(now_ms);
        if self.is_dead() {
            Freshness::Dead
        } else if fresh_ms == 0 || (1..=fresh_ms).contains(&left_ms) {
            Freshness::Fresh
        } else {
            // No deadline is farther away than it can have been set: the clock is another one.
            Freshness::Stale
        }
    }

    fn is_dead(&self) -> bool {
        self.parts.is_dead || !self.parts.tags.iter().all(Tagged::is_current)
    }

    /// Finds the tags of a value that was loaded, which knows only what they are called. O(tags).
    pub fn link(&mut self, book: &TagBook) {
        for tag in &mut self.parts.tags {
            if !tag.is_linked() {
                *tag = book.tag(tag.hash());
            }
        }
    }
}

impl AlwaysBoxed for Cache {
    const CODE: TypeCode = TypeCode::Cache;
    const ENCODING: &'static str = "cache";

    fn size_behind(&self) -> usize {
        let parts = &self.parts;
        size_class(size_of::<Parts>())
            + size_class(parts.value.len())
            + size_class(parts.tags.len() * size_of::<Tagged>())
    }
}
