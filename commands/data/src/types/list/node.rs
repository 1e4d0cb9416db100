//! A node of a long list: the entries of a packed sequence, with room before and behind them.
//!
//! The room before the first entry makes a list as cheap to use from its front as from its back: adding and removing
//! there does not move the other entries. Room is made in proportion to the size, so that all of it is O(1) amortised.

use crate::{
    keyspace::size_class,
    types::packed::{Item, PackedRef, append_entry, splice, write_entry},
};

/// Nodes with less memory than this do not give any back while they are in use.
const SHRINK_SIZE_MIN: usize = 128;

/// How much one node takes: the `list-max-listpack-size` directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    /// Bytes of all entries.
    pub size: usize,
    /// Number of items.
    pub count: usize,
    /// Items of this many bytes are alone in their nodes.
    pub alone_len: usize,
}

impl NodeLimit {
    /// Bytes of a node of which the directive limits the number of items.
    const COUNTED_SIZE: usize = 8192;

    /// What Redis takes for `alone_len` unless a test says otherwise.
    pub const ALONE_LEN: usize = 1 << 30;

    /// The meaning of the directive: -1 to -5 are 4 to 64 KB, what is lower is -5; other numbers count items, within
    /// 8 KB. Redis, too, takes 0 for 1 and knows no more than 32,767.
    pub fn of_directive(value: i32) -> Self {
        let (size, count) = match value {
            ..0 => (4096 << (value.max(-5).unsigned_abs() - 1), i16::MAX as usize * 2),
            _ => (Self::COUNTED_SIZE, value.clamp(1, i32::from(i16::MAX)) as usize),
        };
        Self { size, count, alone_len: Self::ALONE_LEN }
    }

    pub(super) fn allows(self, size: usize, count: usize) -> bool {
        size <= self.size && count <= self.count
    }

    /// True if an item may not share its node with others.
    pub(super) fn is_alone(self, item: Item<'_>) -> bool {
        item.text_len() >= self.alone_len || item.entry_size() > self.size
    }
}

impl Default for NodeLimit {
    fn default() -> Self {
        Self::of_directive(-2)
    }
}

/// Consecutive items of a list. Never empty while it is part of one.
#[derive(Clone, Default)]
pub(super) struct Node {
    /// Room, then the entries.
    bytes: Vec<u8>,
    /// Where the entries start.
    start: usize,
    count: u32,
}

impl Node {
    /// A node with these entries and no room to spare.
    pub(super) fn of(items: PackedRef<'_>) -> Self {
        Self { bytes: items.entries().to_vec(), start: 0, count: items.len() as u32 }
    }

    pub(super) fn of_item(item: Item<'_>) -> Self {
        let mut node = Self::default();
        node.push_back(item, item.entry_size(), 0);
        node
    }

    #[inline]
    pub(super) fn view(&self) -> PackedRef<'_> {
        PackedRef::of_entries(&self.bytes[self.start..], self.count)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the entries.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes of the allocation.
    pub(super) fn heap_size(&self) -> usize {
        size_class(self.room())
    }

    /// Bytes that were asked for: entries, and room for more.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// True if an entry of `size` bytes may come in.
    pub(super) fn has_room(&self, size: usize, limit: NodeLimit) -> bool {
        !self.is_alone(limit) && limit.allows(self.size() + size, self.len() + 1)
    }

    /// True if the entries of `other` may come in as well.
    pub(super) fn has_room_for(&self, other: &Self, limit: NodeLimit) -> bool {
        let alone = self.is_alone(limit) || other.is_alone(limit);
        !alone && limit.allows(self.size() + other.size(), self.len() + other.len())
    }

    fn is_alone(&self, limit: NodeLimit) -> bool {
        self.count == 1 && limit.is_alone(self.view().item(0))
    }

    /// Adds an item, whose entry has `size` bytes, at the end. The node will have at most `limit_size` bytes: no more room
    /// is made.
    pub(super) fn push_back(&mut self, item: Item<'_>, size: usize, limit_size: usize) {
        if self.bytes.capacity() - self.bytes.len() < size {
            self.make_room_behind(size, limit_size);
        }
        append_entry(&mut self.bytes, item);
        self.count += 1;
    }

    /// Adds an item, whose entry has `size` bytes, at the front. The node will have at most `limit_size` bytes: no more
    /// room is made.
    pub(super) fn push_front(&mut self, item: Item<'_>, size: usize, limit_size: usize) {
        if self.start < size {
            self.make_room_before(size, limit_size);
        }
        let end = self.start;
        self.start -= size;
        write_entry(&mut self.bytes[self.start..end], item);
        self.count += 1;
    }

    /// Adds an item before the one at `pos`, or at the end.
    pub(super) fn insert(&mut self, pos: usize, item: Item<'_>, limit_size: usize) {
        if pos == 0 {
            return self.push_front(item, item.entry_size(), limit_size);
        }
        let size = item.entry_size();
        if self.bytes.capacity() - self.bytes.len() < size {
            self.make_room_behind(size, limit_size);
        }
        splice(&mut self.bytes, self.start + pos, 0, item);
        self.count += 1;
    }

    /// Puts another item in the place of the one at `pos`.
    pub(super) fn replace(&mut self, pos: usize, item: Item<'_>, limit_size: usize) {
        let old_size = self.view().after(pos) - pos;
        let more = item.entry_size().saturating_sub(old_size);
        if self.bytes.capacity() - self.bytes.len() < more {
            self.make_room_behind(more, limit_size);
        }
        splice(&mut self.bytes, self.start + pos, old_size, item);
        self.shrink();
    }

    /// Removes the items between two positions, `count` of them.
    pub(super) fn remove(&mut self, from: usize, to: usize, count: usize) {
        if from == 0 {
            self.start += to;
        } else {
            self.bytes.drain(self.start + from..self.start + to);
        }
        self.count -= count as u32;
        self.shrink();
    }

    /// Removes the first `count` items.
    pub(super) fn remove_front(&mut self, count: usize) {
        let end = self.view().position(count).unwrap_or(self.size());
        self.remove(0, end, count);
    }

    /// Removes the last `count` items.
    pub(super) fn remove_back(&mut self, count: usize) {
        let from = self.view().position(self.len() - count).unwrap_or(0);
        self.bytes.truncate(self.start + from);
        self.count -= count as u32;
        self.shrink();
    }

    /// Removes up to `count` items that equal `needle`, the first or the last ones; says how many.
    pub(super) fn remove_equal(&mut self, needle: Item<'_>, count: usize, from_back: bool) -> usize {
        let Some(first) = self.view().find(needle, 0) else { return 0 };
        let mut spared = 0;
        if from_back {
            let equal = self.view().iter().filter(|item| *item == needle).count();
            spared = equal.saturating_sub(count);
        }
        // Entries that stay move down over those that go.
        let (mut read, mut write, mut removed) = (first, first, 0);
        while removed < count && read < self.size() {
            let after = self.view().after(read);
            let is_equal = self.view().item(read) == needle;
            if is_equal && spared == 0 {
                removed += 1;
            } else {
                spared -= usize::from(is_equal);
                if write < read {
                    self.bytes.copy_within(self.start + read..self.start + after, self.start + write);
                }
                write += after - read;
            }
            read = after;
        }
        self.bytes.drain(self.start + write..self.start + read);
        self.count -= removed as u32;
        self.shrink();
        removed
    }

    /// Takes the items from index `at` on out into a node of their own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let pos = self.view().position(at).unwrap_or(self.size());
        let tail = PackedRef::of_entries(&self.bytes[self.start + pos..], (self.len() - at) as u32);
        let tail = Self::of(tail);
        self.bytes.truncate(self.start + pos);
        self.count = at as u32;
        self.shrink();
        tail
    }

    /// Adds the items of `other` at the end.
    pub(super) fn append(&mut self, other: &Self) {
        self.reserve_exact(other.size());
        self.bytes.extend_from_slice(other.view().entries());
        self.count += other.count;
    }

    /// Gives back the memory a node does not need that is not at an end of its list any more.
    pub(super) fn seal(&mut self) {
        if size_class(self.size()) < self.heap_size() {
            self.fit();
        }
    }

    fn make_room_behind(&mut self, size: usize, limit_size: usize) {
        let free = self.start + (self.bytes.capacity() - self.bytes.len());
        if free >= size + self.size() / 4 {
            // Much of it is before the entries: keep half of what remains there.
            let start = (free - size) / 2;
            self.bytes.copy_within(self.start.., start);
            let end = start + self.size();
            self.bytes.truncate(end);
            self.start = start;
        } else {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.reserve_exact(grown(self.bytes.len() + size, limit_size) - self.bytes.len());
        }
    }

    fn make_room_before(&mut self, size: usize, limit_size: usize) {
        let old_size = self.size();
        let spare = self.bytes.capacity() - self.bytes.len();
        let free = self.start + spare;
        if free >= size + old_size / 4 {
            let start = size + (free - size) / 2;
            let from = self.start;
            let end = self.bytes.len();
            self.bytes.resize(end.max(start + old_size), 0);
            self.bytes.copy_within(from..end, start);
            self.bytes.truncate(start + old_size);
            self.start = start;
        } else {
            let capacity = grown(old_size + size, limit_size);
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(capacity - old_size, 0);
            bytes.extend_from_slice(self.view().entries());
            self.start = capacity - old_size;
            self.bytes = bytes;
        }
    }

    fn reserve_exact(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.reserve_exact(size_class(self.bytes.len() + more) - self.bytes.len());
        }
    }

    fn shrink(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity > SHRINK_SIZE_MIN && self.size() < capacity / 4 {
            // As much room as entries, on the side where there is more now.
            let room = self.size();
            let before = if self.start > capacity - self.bytes.len() { room } else { 0 };
            let mut bytes = Vec::with_capacity(size_class(self.size() + room));
            bytes.resize(before, 0);
            bytes.extend_from_slice(self.view().entries());
            self.bytes = bytes;
            self.start = before;
        }
    }

    fn fit(&mut self) {
        self.bytes = self.view().entries().to_vec();
        self.start = 0;
    }
}

/// Memory for a node that is to have `size` bytes now: half as much again, but not more than it may use.
fn grown(size: usize, limit_size: usize) -> usize {
    size_class((size + size / 2).min(limit_size).max(size))
}
