//! Pushes that are one: the names under which a message is not pushed twice.

use super::message::Id;
use crate::keyspace::size_class;
use crate::types::collection::btree_size;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The message that was pushed first.
    pub id: Id,
    /// Until when; 0: as long as that message waits or is out.
    pub until_ms: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dedup {
    names: BTreeMap<Arc<[u8]>, Known>,
    ends: BTreeSet<(u64, Arc<[u8]>)>,
    bytes: usize,
}

impl Dedup {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.bytes
            + btree_size::<Arc<[u8]>, Known>(self.names.len())
            + btree_size::<(u64, Arc<[u8]>), ()>(self.ends.len())
    }

    fn size_of(name: &[u8]) -> usize {
        /// Counters of who shares it.
        const SHARED: usize = 16;
        size_class(SHARED + name.len())
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Known> {
        self.names.get(name).copied()
    }

    pub(super) fn put(&mut self, name: &[u8], known: Known) {
        self.remove(name);
        let name: Arc<[u8]> = name.into();
        self.bytes += Self::size_of(&name);
        if known.until_ms > 0 {
            self.ends.insert((known.until_ms, Arc::clone(&name)));
        }
        self.names.insert(name, known);
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((name, known)) = self.names.remove_entry(name) {
            self.bytes -= Self::size_of(&name);
            self.ends.remove(&(known.until_ms, name));
        }
    }

    /// The message of this name is done: the name is free, unless it is taken for a time.
    pub(super) fn release(&mut self, name: &[u8], id: Id) {
        if self.get(name).is_some_and(|known| known.id == id && known.until_ms == 0) {
            self.remove(name);
        }
    }

    /// When the first name is free again.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.ends.first().map(|first| first.0)
    }

    /// Frees at most `max` names whose time is over.
    pub(super) fn elapse(&mut self, now_ms: u64, max: usize) {
        for _ in 0..max {
            let Some((_, name)) = self.ends.first().filter(|(until_ms, _)| *until_ms <= now_ms) else {
                break;
            };
            let name = Arc::clone(name);
            self.remove(&name);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Known)> {
        self.names.iter().map(|(name, known)| (&**name, *known))
    }
}
