//! Which messages of which producers are in a stream already, so that one that is sent again is not added again.
//!
//! A producer names its messages; the name is remembered with the ID of the entry for some time, and only so many of
//! them per producer. The time of an entry is that of its ID, so that a copy made from effects forgets the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::btree_size;
use super::id::StreamId;
use crate::keyspace::size_class;

/// How long and how many messages are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotenceLimits {
    /// Seconds for which a message is remembered.
    pub duration_s: u32,
    /// Most messages that are remembered of one producer.
    pub len_max: u32,
}

impl Default for IdempotenceLimits {
    fn default() -> Self {
        Self { duration_s: 100, len_max: 100 }
    }
}

/// The messages of one producer.
#[derive(Clone, Debug, Default, PartialEq)]
struct Producer {
    messages: BTreeMap<Arc<[u8]>, StreamId>,
    ids: BTreeSet<StreamId>,
}

/// A producer and its message.
type Named = (Arc<[u8]>, Arc<[u8]>);

/// The messages of all producers.
#[derive(Debug, Default)]
pub struct Idempotence {
    limits: IdempotenceLimits,
    producers: BTreeMap<Arc<[u8]>, Producer>,
    /// What each entry was sent as.
    entries: BTreeMap<StreamId, Named>,
    names_size: usize,
    added: u64,
    duplicates: AtomicU64,
}

impl Clone for Idempotence {
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            producers: self.producers.clone(),
            entries: self.entries.clone(),
            names_size: self.names_size,
            added: self.added,
            duplicates: AtomicU64::new(self.duplicates()),
        }
    }
}

/// Equal if the same messages are refused from here on.
impl PartialEq for Idempotence {
    fn eq(&self, other: &Self) -> bool {
        (self.limits, self.added, &self.entries) == (other.limits, other.added, &other.entries)
    }
}

impl Idempotence {
    /// No messages yet.
    pub fn new(limits: IdempotenceLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sets how many messages were ever remembered, and how many were not added again: what a file says.
    pub fn set_counts(&mut self, added: u64, duplicates: u64) {
        self.added = added;
        self.duplicates = AtomicU64::new(duplicates);
    }

    /// How long and how many messages are remembered.
    pub fn limits(&self) -> IdempotenceLimits {
        self.limits
    }

    /// Sets new limits and forgets all messages; false, and nothing happens, if the limits are the old ones.
    pub fn set_limits(&mut self, limits: IdempotenceLimits) -> bool {
        if limits == self.limits {
            return false;
        }
        *self = Self {
            limits,
            added: self.added,
            duplicates: AtomicU64::new(self.duplicates()),
            ..Self::default()
        };
        true
    }

    /// The entry that a message of a producer became, if that is remembered.
    pub fn find(&self, producer: &[u8], message: &[u8], now_ms: i64) -> Option<StreamId> {
        let id = *self.producers.get(producer)?.messages.get(message)?;
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        (!self.is_forgotten(id, now_ms)).then_some(id)
    }

    fn is_forgotten(&self, id: StreamId, now_ms: u64) -> bool {
        id.ms.saturating_add(u64::from(self.limits.duration_s) * 1000) <= now_ms
    }

    /// Counts a message that was not added again.
    pub fn count_duplicate(&self) {
        self.duplicates.fetch_add(1, Relaxed);
    }

    /// Remembers which entry a message became, and forgets what is too old or too much. Amortised O(log messages).
    pub fn record(&mut self, producer: &[u8], message: &[u8], id: StreamId) {
        while let Some((oldest, _)) = self.entries.first_key_value()
            && self.is_forgotten(*oldest, id.ms)
        {
            self.forget(*oldest);
        }
        // An entry is one message.
        self.forget(id);
        let known = self.producers.get(producer);
        // A message of another entry counts as new.
        if let Some(before) = known.and_then(|producer| producer.messages.get(message)).copied() {
            self.forget(before);
        }
        let len_max = self.limits.len_max as usize;
        while let Some(known) = self.producers.get(producer)
            && known.ids.len() >= len_max
            && let Some(oldest) = known.ids.first().copied()
        {
            self.forget(oldest);
        }
        let message: Arc<[u8]> = message.into();
        self.names_size += name_size(&message);
        let producer = if let Some((name, _)) = self.producers.get_key_value(producer) {
            Arc::clone(name)
        } else {
            let name: Arc<[u8]> = producer.into();
            self.names_size += name_size(&name);
            name
        };
        let messages = self.producers.entry(Arc::clone(&producer)).or_default();
        messages.messages.insert(Arc::clone(&message), id);
        messages.ids.insert(id);
        self.entries.insert(id, (producer, message));
        self.added += 1;
    }

    fn forget(&mut self, id: StreamId) {
        let Some((producer, message)) = self.entries.remove(&id) else { return };
        self.names_size -= name_size(&message);
        if let Some(messages) = self.producers.get_mut(&producer) {
            messages.messages.remove(&message);
            messages.ids.remove(&id);
            if messages.ids.is_empty() {
                self.producers.remove(&producer);
                self.names_size -= name_size(&producer);
            }
        }
    }

    /// Number of producers, and of their messages, that are remembered. O(1) unless some are too old.
    pub fn tracked(&self, now_ms: i64) -> (usize, usize) {
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        let old = self.entries.first_key_value().is_some_and(|(id, _)| self.is_forgotten(*id, now_ms));
        if !old {
            return (self.producers.len(), self.entries.len());
        }
        let alive = || self.entries.iter().filter(|(id, _)| !self.is_forgotten(**id, now_ms));
        let producers: BTreeSet<&[u8]> = alive().map(|(_, (producer, _))| &**producer).collect();
        (producers.len(), alive().count())
    }

    /// All messages with their producers and entries, in the order of the entries.
    pub fn messages(&self) -> impl Iterator<Item = (&[u8], &[u8], StreamId)> {
        self.entries.iter().map(|(id, (producer, message))| (&**producer, &**message, *id))
    }

    /// How many messages were ever remembered.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// How many messages were not added again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Relaxed)
    }

    /// Bytes of all allocations. O(1).
    pub fn heap_size(&self) -> usize {
        let (producers, messages) = (self.producers.len(), self.entries.len());
        btree_size::<Arc<[u8]>, Producer>(producers)
            + btree_size::<StreamId, Named>(messages)
            + btree_size::<Arc<[u8]>, StreamId>(messages)
            + btree_size::<StreamId, ()>(messages)
            + self.names_size
    }
}

fn name_size(name: &Arc<[u8]>) -> usize {
    /// The two counters before the bytes.
    const COUNTERS: usize = 16;
    size_class(COUNTERS + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn messages_are_remembered_per_producer() {
        let mut known = Idempotence::default();
        known.record(b"p", b"a", id(1000));
        known.record(b"q", b"a", id(1001));
        assert_eq!(known.find(b"p", b"a", 1001), Some(id(1000)));
        assert_eq!(known.find(b"q", b"a", 1001), Some(id(1001)));
        assert_eq!(known.find(b"q", b"b", 1001), None);
        assert_eq!(known.tracked(1001), (2, 2));
    }

    #[test]
    fn old_messages_are_forgotten() {
        let mut known = Idempotence::default();
        assert!(known.set_limits(IdempotenceLimits { duration_s: 1, len_max: 2 }));
        known.record(b"p", b"a", id(1000));
        assert_eq!(known.find(b"p", b"a", 1999), Some(id(1000)));
        assert_eq!(known.find(b"p", b"a", 2000), None);
        assert_eq!(known.tracked(2000), (0, 0));
        known.record(b"q", b"x", id(2000));
        assert_eq!(known.tracked(1000), (1, 1), "what is too old was forgotten");
        assert_eq!(known.find(b"p", b"a", 1000), None);
    }

    #[test]
    fn an_entry_is_one_message() {
        let mut known = Idempotence::default();
        known.set_limits(IdempotenceLimits { duration_s: 100, len_max: 1 });
        known.record(b"p", b"a", id(1000));
        known.record(b"q", b"a", id(1000));
        known.record(b"p", b"b", id(1000));
        known.record(b"p", b"c", id(1001));
        assert_eq!(known.find(b"q", b"a", 1001), None);
        assert_eq!(known.find(b"p", b"c", 1001), Some(id(1001)));
        assert_eq!(known.tracked(1001), (1, 1));
        known.forget(id(1001));
        assert_eq!(known.heap_size(), 0);
    }

    #[test]
    fn a_producer_has_so_many_messages() {
        let mut known = Idempotence::default();
        known.set_limits(IdempotenceLimits { duration_s: 100, len_max: 2 });
        for (at, message) in [b"a", b"b", b"c"].into_iter().enumerate() {
            known.record(b"p", message, id(1000 + at as u64));
        }
        known.record(b"q", b"a", id(1010));
        assert_eq!(known.find(b"p", b"a", 1020), None);
        assert_eq!(known.find(b"p", b"b", 1020), Some(id(1001)));
        assert_eq!(known.tracked(1020), (2, 3));
        let size = known.heap_size();
        assert!(!known.set_limits(known.limits()));
        assert_eq!(known.heap_size(), size);
        known.set_limits(IdempotenceLimits::default());
        assert_eq!((known.heap_size(), known.tracked(1020), known.added()), (0, (0, 0), 4));
    }

    #[test]
    fn a_message_may_become_another_entry() {
        let mut known = Idempotence::default();
        known.record(b"p", b"a", id(1000));
        known.record(b"p", b"a", id(1001));
        assert_eq!(known.find(b"p", b"a", 1020), Some(id(1001)));
        assert_eq!(known.tracked(1020), (1, 1));
    }
}
