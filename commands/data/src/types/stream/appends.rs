//! Which appends to a stream were made already, so that one that is sent again is not made again.
//!
//! An append has a name; with it is remembered up to which version it brought the stream, for a day, and only so many of them. The
//! time is that of the append, so that a copy made from effects forgets the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::btree_size;
use crate::keyspace::size_class;

/// Most appends that are remembered.
pub const APPENDS_MAX: usize = 1024;
/// How long one is remembered, in milliseconds.
pub const APPEND_RETAIN_MS: i64 = 86_400_000;
/// Longest name of an append, in bytes.
pub const APPEND_NAME_MAX: usize = 256;

/// What is remembered of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Append {
    version: i64,
    at_ms: i64,
}

/// The appends that are remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appends {
    by_name: BTreeMap<Arc<[u8]>, Append>,
    /// Their names, the oldest first.
    order: VecDeque<Arc<[u8]>>,
    names_size: usize,
}

impl Appends {
    /// The version that an append of this name led to, if that is remembered. O(log appends).
    pub fn find(&self, name: &[u8], now_ms: i64) -> Option<i64> {
        let append = self.by_name.get(name)?;
        (!Self::is_forgotten(append.at_ms, now_ms)).then_some(append.version)
    }

    fn is_forgotten(at_ms: i64, now_ms: i64) -> bool {
        at_ms.saturating_add(APPEND_RETAIN_MS) <= now_ms
    }

    /// Remembers an append, and forgets what is too old or too much. O(log appends), amortised; O(appends) if the name was one
    /// that is forgotten but still here.
    pub fn record(&mut self, name: &[u8], version: i64, at_ms: i64) {
        if self.by_name.contains_key(name) {
            self.order.retain(|known| **known != *name);
            self.remove(name);
        }
        while let Some(oldest) = self.order.front() {
            let is_old =
                self.by_name.get(oldest).is_none_or(|append| Self::is_forgotten(append.at_ms, at_ms));
            if !is_old && self.order.len() < APPENDS_MAX {
                break;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.remove(&oldest);
            }
        }
        self.push(name, Append { version, at_ms });
    }

    /// Adds an append behind all others, as it was saved: nothing is forgotten here, whatever its time says, since a clock that
    /// was set back leaves times out of order. False, and nothing added, if the name is there or there is no room. O(log appends).
    pub fn restore(&mut self, name: &[u8], version: i64, at_ms: i64) -> bool {
        let fits = self.order.len() < APPENDS_MAX && !self.by_name.contains_key(name);
        if fits {
            self.push(name, Append { version, at_ms });
        }
        fits
    }

    fn push(&mut self, name: &[u8], append: Append) {
        let name: Arc<[u8]> = name.into();
        self.names_size += name_size(&name);
        self.order.push_back(Arc::clone(&name));
        self.by_name.insert(name, append);
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((name, _)) = self.by_name.remove_entry(name) {
            self.names_size -= name_size(&name);
        }
    }

    /// Number of names in memory.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All names with the version each led to and when that was, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], i64, i64)> {
        self.order.iter().map(|name| {
            let append = self.by_name.get(name).expect("every name in order is known");
            (&**name, append.version, append.at_ms)
        })
    }

    /// Bytes of all allocations. O(1).
    pub fn heap_size(&self) -> usize {
        btree_size::<Arc<[u8]>, Append>(self.by_name.len())
            + size_class(self.order.capacity() * size_of::<Arc<[u8]>>())
            + self.names_size
    }
}

/// Bytes of a name with its two reference counts.
fn name_size(name: &[u8]) -> usize {
    size_class(2 * size_of::<usize>() + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_is_remembered_for_a_day() {
        let mut appends = Appends::default();
        appends.record(b"a", 3, 1000);
        assert_eq!(appends.find(b"a", 1000), Some(3));
        assert_eq!(appends.find(b"b", 1000), None);
        assert_eq!(appends.find(b"a", 999 + APPEND_RETAIN_MS), Some(3));
        assert_eq!(appends.find(b"a", 1000 + APPEND_RETAIN_MS), None);
        appends.record(b"a", 9, 1000 + APPEND_RETAIN_MS);
        assert_eq!((appends.find(b"a", 1000 + APPEND_RETAIN_MS), appends.len()), (Some(9), 1));
        appends.record(b"b", 10, 1000 + 2 * APPEND_RETAIN_MS);
        assert_eq!(appends.iter().collect::<Vec<_>>(), [(&b"b"[..], 10, 1000 + 2 * APPEND_RETAIN_MS)]);
    }

    #[test]
    fn what_was_saved_is_restored_although_the_clock_was_set_back() {
        let mut appends = Appends::default();
        assert!(appends.restore(b"young", 2, 5 * APPEND_RETAIN_MS));
        assert!(appends.restore(b"old", 1, 0));
        assert!(appends.restore(b"younger", 3, 9 * APPEND_RETAIN_MS));
        assert!(!appends.restore(b"old", 4, 10 * APPEND_RETAIN_MS));
        let names: Vec<_> = appends.iter().map(|(name, version, _)| (name, version)).collect();
        assert_eq!(names, [(&b"young"[..], 2), (b"old", 1), (b"younger", 3)]);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut appends = Appends::default();
        for n in 0..2000_i64 {
            appends.record(n.to_string().as_bytes(), n, n);
        }
        assert_eq!((appends.len(), appends.by_name.len()), (APPENDS_MAX, APPENDS_MAX));
        assert_eq!(appends.find(b"975", 2000), None);
        assert_eq!(appends.find(b"976", 2000), Some(976));
        assert_eq!(appends.names_size, APPENDS_MAX * name_size(b"1000"));
    }
}
