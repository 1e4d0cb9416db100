//! Which queues get what is published: all of them, in memory, beside the keyspace.
//!
//! A binding names a queue by its key and is there whether or not the key is. It survives what empties the keyspace, as
//! users and policies do; files say what there is ([`BindingBook::to_text`]).

use crate::families::Case;
use crate::families::glob_matches;
use crate::model::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use tidegate_data::hex::{of_hex, to_hex};

/// Most bindings of a server: publishing looks at all patterns.
const BINDINGS_MAX: usize = 65_536;

/// A queue that gets what is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoundQueue {
    /// Its database.
    pub db: u16,
    /// Its key.
    pub key: Box<[u8]>,
}

type Bound = BTreeMap<Box<[u8]>, BTreeSet<BoundQueue>>;

/// The bindings of the process, as they change.
#[derive(Debug, Default)]
pub struct BindingBook {
    /// By channel, and by pattern.
    bound: RwLock<[Bound; 2]>,
    /// How many there are: asked without the lock.
    len: AtomicUsize,
}

impl BindingBook {
    fn change<R>(&self, change: impl FnOnce(&mut [Bound; 2]) -> R) -> R {
        let mut bound = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut bound);
        let len = bound.iter().flat_map(Bound::values).map(BTreeSet::len).sum();
        self.len.store(len, Relaxed);
        result
    }

    fn read<R>(&self, read: impl FnOnce(&[Bound; 2]) -> R) -> R {
        read(&self.bound.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// True without any. O(1).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    /// Binds a queue to a channel, or to all channels of a pattern; false if it was. O(bindings).
    ///
    /// # Errors
    /// There are too many.
    pub fn bind(&self, queue: BoundQueue, name: &[u8], is_pattern: bool) -> Result<bool, Error> {
        self.change(|bound| {
            let len: usize = bound.iter().flat_map(Bound::values).map(BTreeSet::len).sum();
            let present = bound[usize::from(is_pattern)].get(name);
            if present.is_some_and(|queues| queues.contains(&queue)) {
                return Ok(false);
            }
            if len >= BINDINGS_MAX {
                return Err(Error::new("ERR too many bindings"));
            }
            Ok(bound[usize::from(is_pattern)].entry(name.into()).or_default().insert(queue))
        })
    }

    /// The queue gets nothing more by this name; false if it got nothing. O(bindings).
    pub fn unbind(&self, queue: &BoundQueue, name: &[u8], is_pattern: bool) -> bool {
        self.change(|bound| {
            let bound = &mut bound[usize::from(is_pattern)];
            let Some(queues) = bound.get_mut(name) else { return false };
            let was_bound = queues.remove(queue);
            if queues.is_empty() {
                bound.remove(name);
            }
            was_bound
        })
    }

    /// The queues that get what is published on a channel, each once. O(log(bindings) + patterns).
    pub fn of_channel(&self, channel: &[u8]) -> Vec<BoundQueue> {
        if self.is_empty() {
            return Vec::new();
        }
        let found: BTreeSet<BoundQueue> = self.read(|[channels, patterns]| {
            let of_patterns =
                patterns.iter().filter(|(pattern, _)| glob_matches(pattern, channel, Case::Sensitive));
            let queues = channels.get(channel).into_iter().chain(of_patterns.map(|(_, queues)| queues));
            queues.flatten().cloned().collect()
        });
        found.into_iter().collect()
    }

    /// What a queue is bound to, in order: names, and whether they are patterns. O(bindings).
    pub fn of_queue(&self, queue: &BoundQueue) -> Vec<(Box<[u8]>, bool)> {
        if self.is_empty() {
            return Vec::new();
        }
        self.read(|bound| {
            let names = bound.iter().zip([false, true]).flat_map(|(bound, is_pattern)| {
                let of_queue = bound.iter().filter(|(_, queues)| queues.contains(queue));
                of_queue.map(move |(name, _)| (name.clone(), is_pattern))
            });
            names.collect()
        })
    }

    /// The bindings as a text, one per line, with names in hexadecimal digits: what a file says of them.
    pub fn to_text(&self) -> String {
        self.read(|bound| {
            let lines = bound.iter().zip(["channel", "pattern"]).flat_map(|(bound, kind)| {
                bound.iter().flat_map(move |(name, queues)| {
                    queues.iter().map(move |queue| {
                        format!("{} {kind} {} {}", queue.db, to_hex(&queue.key), to_hex(name))
                    })
                })
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// Takes the bindings from such a text, in the place of those there are; lines that are none are left out.
    pub fn replace_by_text(&self, text: &str) {
        self.change(|bound| *bound = Default::default());
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [db, kind, key, name] = words[..] else { continue };
            if let (Ok(db), Some(key), Some(name)) = (db.parse(), of_hex(key), of_hex(name)) {
                // Beyond the most there can be they were not written by us.
                let _ = self.bind(BoundQueue { db, key }, &name, kind == "pattern");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(db: u16, key: &[u8]) -> BoundQueue {
        BoundQueue { db, key: key.into() }
    }

    #[test]
    fn queues_are_found_by_channel_and_pattern() {
        let book = BindingBook::default();
        assert!(book.is_empty() && book.of_channel(b"news").is_empty());
        let (a, b) = (queue(0, b"a"), queue(3, b"b\n \0"));
        assert_eq!(book.bind(a.clone(), b"news", false), Ok(true));
        assert_eq!(book.bind(a.clone(), b"news", false), Ok(false));
        assert_eq!(book.bind(a.clone(), b"n*", true), Ok(true));
        assert_eq!(book.bind(b.clone(), b"n?ws", true), Ok(true));
        assert_eq!(book.of_channel(b"news"), [a.clone(), b.clone()]);
        assert_eq!(book.of_channel(b"nothing"), std::slice::from_ref(&a));
        assert_eq!(book.of_queue(&a), [(b"news"[..].into(), false), (b"n*"[..].into(), true)]);
        let copy = BindingBook::default();
        copy.replace_by_text(&book.to_text());
        assert_eq!(copy.of_channel(b"news"), [a.clone(), b.clone()]);
        assert!(book.unbind(&a, b"news", false) && !book.unbind(&a, b"news", false));
        assert!(book.unbind(&a, b"n*", true) && book.unbind(&b, b"n?ws", true));
        assert!(book.is_empty() && book.to_text().is_empty());
        copy.replace_by_text("nonsense\n0 channel zz 00\n70000 channel 00 00\n0 channel 61 -");
        assert_eq!(copy.of_channel(b""), std::slice::from_ref(&a));
        assert!(copy.of_channel(b"news").is_empty());
    }
}
