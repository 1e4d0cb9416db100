//! A sorted set that is mostly added to at its end and taken from at its front: full chunks, one behind the other.
//!
//! A tree of the standard library is half empty when entries come in ascending order; here only the last chunk is. It
//! costs no more than its entries, which for a million messages is the point.

use crate::keyspace::size_class;
use std::collections::VecDeque;

/// Most entries of a chunk.
const CHUNK_LEN: usize = 32;
/// Chunks of so few entries are joined with a neighbour, if that has room.
const SPARSE_LEN: usize = CHUNK_LEN / 4;

/// What has a place in an order. The key of an entry never changes.
pub(super) trait Keyed {
    type Key: Ord + Copy + std::fmt::Debug;

    fn key(&self) -> Self::Key;
}

#[derive(Clone, Debug)]
struct Chunk<T: Keyed> {
    /// The key of the first entry, or one before it.
    first: T::Key,
    /// At least one, ascending.
    items: Vec<T>,
}

/// Entries in ascending order of their keys, each once.
#[derive(Clone, Debug)]
pub(super) struct Ordered<T: Keyed> {
    chunks: VecDeque<Chunk<T>>,
    len: usize,
    /// Bytes of the chunks' allocations.
    room: usize,
}

impl<T: Keyed> Default for Ordered<T> {
    fn default() -> Self {
        Ordered { chunks: VecDeque::new(), len: 0, room: 0 }
    }
}

impl<T: Keyed + PartialEq> PartialEq for Ordered<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<T: Keyed> Ordered<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all allocations. O(1).
    pub(super) fn heap_size(&self) -> usize {
        self.room + size_class(self.chunks.capacity() * size_of::<Chunk<T>>())
    }

    /// The chunk where `key` is, if it is anywhere. There must be one.
    fn chunk_of(&self, key: T::Key) -> usize {
        let last = self.chunks.len() - 1;
        // The ends come first: what is oldest is taken, what is newest added.
        if last == 0 || key < self.chunks[1].first {
            0
        } else if key >= self.chunks[last].first {
            last
        } else {
            self.chunks.partition_point(|chunk| chunk.first <= key) - 1
        }
    }

    /// The chunk of an entry and its place there. O(log n).
    fn find(&self, key: T::Key) -> Option<(usize, usize)> {
        if self.chunks.is_empty() {
            return None;
        }
        let chunk = self.chunk_of(key);
        let at = self.chunks[chunk].items.binary_search_by_key(&key, Keyed::key).ok()?;
        Some((chunk, at))
    }

    pub(super) fn get(&self, key: T::Key) -> Option<&T> {
        self.find(key).map(|(chunk, at)| &self.chunks[chunk].items[at])
    }

    pub(super) fn get_mut(&mut self, key: T::Key) -> Option<&mut T> {
        let (chunk, at) = self.find(key)?;
        Some(&mut self.chunks[chunk].items[at])
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.items.first()
    }

    /// Adds an entry; false if its key is taken. O(log n).
    pub(super) fn insert(&mut self, item: T) -> bool {
        let key = item.key();
        if self.chunks.is_empty() {
            self.chunks.reserve_exact(1);
            self.add_chunk(0, key, item, 1);
            self.len += 1;
            return true;
        }
        let mut at_chunk = self.chunk_of(key);
        let Err(mut at) = self.chunks[at_chunk].items.binary_search_by_key(&key, Keyed::key) else {
            return false;
        };
        self.len += 1;
        if self.chunks[at_chunk].items.len() == CHUNK_LEN {
            if at_chunk + 1 == self.chunks.len() && at == CHUNK_LEN {
                self.add_chunk(at_chunk + 1, key, item, CHUNK_LEN);
                return true;
            }
            let mut items = Vec::with_capacity(CHUNK_LEN);
            items.extend(self.chunks[at_chunk].items.drain(CHUNK_LEN / 2..));
            self.room += Self::room_of(&items);
            let first = items[0].key();
            self.chunks.insert(at_chunk + 1, Chunk { first, items });
            if key > first {
                (at_chunk, at) = (at_chunk + 1, at - CHUNK_LEN / 2);
            }
        }
        let chunk = &mut self.chunks[at_chunk];
        let items = &mut chunk.items;
        if items.len() == items.capacity() {
            self.room -= Self::room_of(items);
            let more = items.capacity().max(1).min(CHUNK_LEN - items.capacity());
            items.reserve_exact(more);
            self.room += Self::room_of(items);
        }
        items.insert(at, item);
        chunk.first = chunk.first.min(key);
        true
    }

    fn add_chunk(&mut self, at: usize, first: T::Key, item: T, room: usize) {
        let mut items = Vec::with_capacity(room);
        items.push(item);
        self.room += Self::room_of(&items);
        self.chunks.insert(at, Chunk { first, items });
    }

    fn room_of(items: &Vec<T>) -> usize {
        size_class(items.capacity() * size_of::<T>())
    }

    /// Removes an entry. O(log n), but for the room that it leaves, which others move into now and then.
    pub(super) fn remove(&mut self, key: T::Key) -> Option<T> {
        let (chunk, at) = self.find(key)?;
        let items = &mut self.chunks[chunk].items;
        let item = items.remove(at);
        self.len -= 1;
        if items.is_empty() {
            self.drop_chunk(chunk);
        } else if items.len() <= SPARSE_LEN {
            let has_room =
                |other: usize| self.chunks.get(other).is_some_and(|other| other.items.len() <= CHUNK_LEN / 2);
            if has_room(chunk + 1) {
                self.join(chunk);
            } else if chunk > 0 && has_room(chunk - 1) {
                self.join(chunk - 1);
            }
        }
        Some(item)
    }

    /// Moves the entries of the next chunk into this one.
    fn join(&mut self, chunk: usize) {
        let next = std::mem::take(&mut self.chunks[chunk + 1].items);
        self.room -= Self::room_of(&next);
        let items = &mut self.chunks[chunk].items;
        self.room -= Self::room_of(items);
        items.reserve_exact(next.len());
        items.extend(next);
        self.room += Self::room_of(items);
        self.chunks.remove(chunk + 1);
    }

    fn drop_chunk(&mut self, chunk: usize) {
        if let Some(chunk) = self.chunks.remove(chunk) {
            self.room -= Self::room_of(&chunk.items);
        }
        // A queue that was long once does not keep a list of all its chunks.
        if self.chunks.len() < self.chunks.capacity() / 8 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| &chunk.items)
    }

    /// All entries behind `key`, whether or not that is there.
    pub(super) fn after(&self, key: T::Key) -> impl Iterator<Item = &T> {
        let from = if self.chunks.is_empty() { 0 } else { self.chunk_of(key) };
        let entries = self.chunks.range(from..).flat_map(|chunk| &chunk.items);
        entries.skip_while(move |item| item.key() <= key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    impl Keyed for u32 {
        type Key = u32;

        fn key(&self) -> u32 {
            *self
        }
    }

    #[test]
    fn is_a_sorted_set() {
        let (mut ordered, mut model) = (Ordered::<u32>::default(), BTreeSet::new());
        let mut x = 7u64;
        let mut random = move |n: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % n
        };
        let mut newest = 1000;
        for step in 0..100_000u32 {
            let grows = step / 5000 % 2 == 0;
            let any = random(newest) as u32;
            match random(8) {
                0..=2 if grows => {
                    newest += 1;
                    assert!(ordered.insert(newest as u32) && model.insert(newest as u32));
                }
                3 => assert_eq!(ordered.insert(any), model.insert(any)),
                4 => assert_eq!(ordered.get(any).is_some(), model.contains(&any)),
                5 if !grows => assert_eq!(ordered.remove(any).is_some(), model.remove(&any)),
                _ => {
                    if let Some(first) = model.pop_first() {
                        assert_eq!(ordered.first(), Some(&first));
                        assert_eq!(ordered.remove(first), Some(first));
                    }
                }
            }
            assert_eq!(ordered.len(), model.len());
            if step % 997 == 0 {
                assert!(ordered.iter().eq(model.iter()));
                assert!(ordered.after(any).eq(model.range(any + 1..)));
                let room: usize = ordered.chunks.iter().map(|chunk| Ordered::room_of(&chunk.items)).sum();
                assert_eq!(ordered.room, room);
                assert!(ordered.chunks.len() <= model.len() / 8 + 2);
            }
        }
    }
}
