//! Tags: what many cached values depend on, so that all of them can be invalidated at once.
//!
//! A tag in use is a counter that all its values share. A value remembers where the counter was when it was put: it is of no use
//! once the counter has moved. So invalidating takes as long for a million values as for one, and nobody looks for them: they go
//! when somebody asks for them, or with the deadline of their key. A counter goes when the last value that shares it has gone.

use hashbrown::HashMap;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, PoisonError, RwLock};

/// Longest name of a tag, in bytes.
pub const TAG_NAME_MAX: usize = 256;
/// Most tags of one value.
pub const TAGS_MAX: usize = 64;
/// Most invalidations that are remembered for the sake of leases.
const RECENT_MAX: usize = 65_536;
/// So many counters at least are kept before those are looked for that nobody shares any more.
const SWEEP_MIN: usize = 1024;

/// A tag of a value. A hash stands for its name: two names of the same one are invalidated together, which does no harm.
#[derive(Clone, Debug)]
pub struct Tagged {
    hash: u64,
    /// The counter as it was when the value was put.
    seen: u64,
    /// The counter; `None` for a value that was just loaded.
    counter: Option<Arc<AtomicU64>>,
}

impl Tagged {
    /// A tag that has yet to be found.
    pub(super) fn unlinked(hash: u64) -> Self {
        Tagged { hash, seen: 0, counter: None }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn is_linked(&self) -> bool {
        self.counter.is_some()
    }

    /// True if it was not invalidated since the value was put.
    pub(super) fn is_current(&self) -> bool {
        self.counter.as_ref().is_none_or(|counter| counter.load(Acquire) == self.seen)
    }
}

/// The tags of all cached values of a process.
#[derive(Debug, Default)]
pub struct TagBook {
    book: RwLock<Book>,
}

#[derive(Debug, Default)]
struct Book {
    counters: HashMap<u64, Arc<AtomicU64>>,
    /// With which token a tag was invalidated last, in use or not.
    recent: HashMap<u64, i64>,
    /// Invalidations up to this token are not remembered any more.
    forgotten: i64,
    /// There are so many counters when those that nobody shares are looked for.
    sweep_at: usize,
}

impl TagBook {
    /// A tag for a value that is put now. O(1).
    pub fn tag(&self, hash: u64) -> Tagged {
        let known = self.book.read().unwrap_or_else(PoisonError::into_inner).counters.get(&hash).cloned();
        let counter = known.unwrap_or_else(|| {
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            book.sweep();
            Arc::clone(book.counters.entry(hash).or_default())
        });
        Tagged { hash, seen: counter.load(Acquire), counter: Some(counter) }
    }

    /// Invalidates a tag: all values that have it are of no use from now on. True if there may be any. O(1).
    pub fn invalidate(&self, hash: u64, token: i64) -> bool {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        if book.recent.len() >= RECENT_MAX {
            book.recent.clear();
            book.forgotten = token;
        }
        book.recent.insert(hash, token);
        match book.counters.get(&hash) {
            Some(counter) if Arc::strong_count(counter) > 1 => {
                counter.fetch_add(1, Release);
                true
            }
            _ => false,
        }
    }

    /// True if a tag may have been invalidated after this token was given out.
    pub fn was_invalidated_since(&self, hash: u64, token: i64) -> bool {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        token <= book.forgotten || book.recent.get(&hash).is_some_and(|last| token <= *last)
    }

    /// Number of counters.
    pub fn len(&self) -> usize {
        self.book.read().unwrap_or_else(PoisonError::into_inner).counters.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Book {
    /// Drops counters that nobody shares, once there are twice as many as were left the last time. Amortised O(1).
    fn sweep(&mut self) {
        if self.counters.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.counters.retain(|_, counter| Arc::strong_count(counter) > 1);
        self.counters.shrink_to(2 * self.counters.len());
        self.sweep_at = 2 * self.counters.len();
    }
}
