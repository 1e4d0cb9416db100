//! A sequence of short items in one piece of memory: what small lists, hashes, sets and sorted sets consist of, and the
//! nodes of a long list.
//!
//! The bytes are the number of items (`u16`, little-endian) and one [entry](entry) per item, as in a Redis listpack
//! without its other header fields and its end mark. No bytes at all are an empty sequence. Everything but the two ends
//! is O(size); a sequence is meant to stay within a few kilobytes, and whoever owns one sees to that.
//!
//! Items are found by *position*: the offset of their entry from the first one. A position stays valid until an item
//! at or before it changes.

mod entry;
#[cfg(test)]
mod tests;

use std::{fmt, iter::FusedIterator};

use entry::{Back, Head};
pub use entry::{
    Item, push as push_entry, read as read_entry, read_checked as read_checked_entry, size as entry_size,
    size_of_last as size_of_last_entry,
};

use crate::{
    keyspace::{INLINE_PACKED_MAX, size_class},
    types::string::copy_short,
};

/// Most items of one sequence.
pub const PACKED_LEN_MAX: usize = u16::MAX as usize;

/// Bytes of a sequence before its first entry.
pub const PACKED_HEADER: usize = 2;

/// Up to this size a sequence keeps whatever memory it has: it may be the buffer that small values are written in, which is
/// seldom larger. A boxed one that lost most of its items must not keep the room of all.
const SHRINK_SIZE_MIN: usize = INLINE_PACKED_MAX;

/// A sequence to read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackedRef<'a> {
    entries: &'a [u8],
    len: u32,
}

/// Bytes that are not a packed sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the entry that is wrong, or the end if there are too few or too many of them.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed packed sequence at byte {}", self.at)
    }
}

impl std::error::Error for Malformed {}

impl<'a> PackedRef<'a> {
    /// A sequence without items.
    pub const EMPTY: PackedRef<'static> = PackedRef { entries: &[], len: 0 };

    /// The sequence with these bytes, which must come from a [`Packed`] (or have passed [`Self::validate`]): others may
    /// panic later.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        match bytes {
            [low, high, entries @ ..] => Self { entries, len: u32::from(u16::from_le_bytes([*low, *high])) },
            _ => Self { entries: &[], len: 0 },
        }
    }

    /// The sequence of `len` items whose entries are `entries`, with the same demand as [`Self::new`].
    #[inline]
    pub fn of_entries(entries: &'a [u8], len: u32) -> Self {
        Self { entries, len }
    }

    /// The sequence with these bytes of unknown origin. Also refuses what Redis would read but never write: items that
    /// have a shorter form. O(size).
    pub fn validate(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let this = Self::new(bytes);
        if bytes.len() == 1 {
            return Err(Malformed { at: 0 });
        }
        let mut pos = 0;
        for _ in 0..this.len {
            let (_, size) = entry::read_checked(&this.entries[pos..]).ok_or(Malformed { at: pos })?;
            pos += size;
        }
        if pos == this.entries.len() { Ok(this) } else { Err(Malformed { at: pos }) }
    }

    /// Number of items.
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Bytes of all entries.
    pub fn size(self) -> usize {
        self.entries.len()
    }

    /// The entries, as [`Self::of_entries`] takes them.
    pub fn entries(self) -> &'a [u8] {
        self.entries
    }

    /// Position of the first item.
    pub fn first(self) -> Option<usize> {
        (!self.entries.is_empty()).then_some(0)
    }

    /// Position of the last item.
    pub fn last(self) -> Option<usize> {
        self.prev(self.end())
    }

    /// Position behind the last item: what inserting at the end takes.
    pub fn end(self) -> usize {
        self.entries.len()
    }

    /// Position of the item after the one at `pos`.
    #[inline]
    pub fn next(self, pos: usize) -> Option<usize> {
        let next = self.after(pos);
        (next < self.entries.len()).then_some(next)
    }

    /// Position of the item before `pos`, which may be [`Self::end`].
    #[inline]
    pub fn prev(self, pos: usize) -> Option<usize> {
        (pos > 0).then(|| pos - entry::size_of_last(&self.entries[..pos]))
    }

    /// Position right behind the item at `pos`: that of the next item, or the end.
    #[inline]
    pub fn after(self, pos: usize) -> usize {
        pos + entry::size(&self.entries[pos..])
    }

    /// The item at a position.
    #[inline]
    pub fn item(self, pos: usize) -> Item<'a> {
        entry::read(&self.entries[pos..]).0
    }

    /// Position of the item with this index, or the end if `index` is the number of items. Walks from the nearer end.
    pub fn position(self, index: usize) -> Option<usize> {
        let from_end = self.len().checked_sub(index)?;
        if index <= from_end {
            let mut pos = 0;
            for _ in 0..index {
                pos = self.after(pos);
            }
            Some(pos)
        } else {
            let mut pos = self.end();
            for _ in 0..from_end {
                pos -= entry::size_of_last(&self.entries[..pos]);
            }
            Some(pos)
        }
    }

    /// The item with this index. Walks from the nearer end.
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        if index < self.len() { self.position(index).map(|pos| self.item(pos)) } else { None }
    }

    /// All items.
    pub fn iter(self) -> Iter<'a> {
        Iter { entries: self.entries, len: self.len() }
    }

    /// `count` items from `index` on, or those of them that exist.
    pub fn range(self, index: usize, count: usize) -> Iter<'a> {
        let index = index.min(self.len());
        let count = count.min(self.len() - index);
        let start = self.position(index).unwrap_or(self.end());
        let end = self.position(index + count).unwrap_or(self.end());
        let entries = &self.entries[start..end];
        Iter { entries, len: count }
    }

    /// Position of the first item equal to `needle`, looking at every item that has a multiple of `skip + 1` items
    /// before it: 0 for a set, 1 for the fields of a hash.
    pub fn find<'n>(self, needle: impl Into<Item<'n>>, skip: usize) -> Option<usize> {
        let needle = needle.into();
        let head = Head::of(needle);
        let (head, body) = (head.as_bytes(), needle.body());
        let (first, head) = (head[0], &head[1..]);
        // Comparing slices of unknown length is a call, so it comes last. Names often differ at their end only (user:1,
        // user:2).
        match (head, body) {
            ([], []) => self.find_where(first, skip, |_| true),
            ([], [.., a, b, c, d]) => {
                let tail = u32::from_le_bytes([*a, *b, *c, *d]);
                self.find_where(first, skip, |rest| {
                    let found = rest.get(body.len() - 4..).and_then(<[u8]>::first_chunk);
                    found.is_some_and(|found| u32::from_le_bytes(*found) == tail) && rest.starts_with(body)
                })
            }
            ([], _) => self.find_where(first, skip, |rest| rest.starts_with(body)),
            _ => self.find_where(first, skip, |rest| {
                rest.starts_with(head) && rest[head.len()..].starts_with(body)
            }),
        }
    }

    /// Position of the first entry that begins with `first`, and goes on as `is_rest` says.
    #[inline]
    fn find_where(self, first: u8, skip: usize, is_rest: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let mut pos = 0;
        while let Some(&found) = self.entries.get(pos) {
            let entry = &self.entries[pos..];
            if found == first && is_rest(&entry[1..]) {
                return Some(pos);
            }
            pos += entry::size(entry);
            for _ in 0..skip {
                if pos < self.entries.len() {
                    pos += entry::size(&self.entries[pos..]);
                }
            }
        }
        None
    }
}

impl<'a> IntoIterator for PackedRef<'a> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for PackedRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Items of a sequence in order, from both ends.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    /// The entries that are still to come.
    entries: &'a [u8],
    len: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.entries.is_empty() {
            return None;
        }
        let (item, size) = entry::read(self.entries);
        self.entries = &self.entries[size..];
        self.len -= 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.entries.is_empty() {
            return None;
        }
        let (rest, last) = self.entries.split_at(self.entries.len() - entry::size_of_last(self.entries));
        self.entries = rest;
        self.len -= 1;
        Some(entry::read(last).0)
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

/// A sequence that owns its bytes. `PREFIX` bytes before them belong to the user, zero at first (a set keeps there how
/// its items are to be read).
///
/// It grows to the allocator's next size, which is an eighth to a quarter more, and a large one gives memory back when
/// less than half of it is used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Packed<const PREFIX: usize = 0> {
    bytes: Vec<u8>,
}

impl Packed {
    /// An empty sequence; does not allocate.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }
}

impl<const PREFIX: usize> Packed<PREFIX> {
    const ENTRIES: usize = PREFIX + PACKED_HEADER;

    /// The sequence with these bytes, which must come from [`Self::into_bytes`] or [`Self::as_bytes`], or have passed
    /// [`PackedRef::validate`] (from `PREFIX` on).
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// All bytes, those of the prefix included; none if the sequence never had an item.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes before the sequence.
    pub fn prefix(&self) -> [u8; PREFIX] {
        self.bytes.first_chunk().copied().unwrap_or([0; PREFIX])
    }

    pub fn set_prefix(&mut self, prefix: [u8; PREFIX]) {
        self.begin();
        self.bytes[..PREFIX].copy_from_slice(&prefix);
    }

    /// The sequence to read from.
    #[inline]
    pub fn view(&self) -> PackedRef<'_> {
        PackedRef::new(self.bytes.get(PREFIX..).unwrap_or_default())
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the allocation behind the sequence, spare capacity included.
    pub fn heap_size(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// Adds an item before the one at `pos`, or at the end. There must be fewer than [`PACKED_LEN_MAX`].
    pub fn insert<'n>(&mut self, pos: usize, item: impl Into<Item<'n>>) {
        self.put(pos, 0, item.into());
        self.set_len(self.len() + 1);
    }

    pub fn push_back<'n>(&mut self, item: impl Into<Item<'n>>) {
        self.insert(self.view().end(), item);
    }

    pub fn push_front<'n>(&mut self, item: impl Into<Item<'n>>) {
        self.insert(0, item);
    }

    /// Puts another item in the place of the one at `pos`.
    pub fn replace<'n>(&mut self, pos: usize, item: impl Into<Item<'n>>) {
        let old_size = self.view().after(pos) - pos;
        self.put(pos, old_size, item.into());
        self.shrink();
    }

    /// Removes `count` items from `pos` on, or those of them that exist, and says how many that were.
    pub fn remove(&mut self, pos: usize, count: usize) -> usize {
        let view = self.view();
        let (mut end, mut removed) = (pos, 0);
        while removed < count && end < view.end() {
            end = view.after(end);
            removed += 1;
        }
        self.bytes
            .drain(Self::ENTRIES.min(self.bytes.len()) + pos..Self::ENTRIES.min(self.bytes.len()) + end);
        if removed > 0 {
            self.set_len(self.len() - removed);
            self.shrink();
        }
        removed
    }

    /// Writes the entry of `item` over the `old_size` bytes at `pos`.
    fn put(&mut self, pos: usize, old_size: usize, item: Item<'_>) {
        self.begin();
        self.reserve((self.bytes.len() + item.entry_size()).saturating_sub(old_size));
        splice(&mut self.bytes, Self::ENTRIES + pos, old_size, item);
    }

    /// Gives a sequence that never had an item its prefix and length.
    fn begin(&mut self) {
        if self.bytes.is_empty() {
            self.bytes.resize(Self::ENTRIES, 0);
        }
    }

    fn set_len(&mut self, len: usize) {
        let len = u16::try_from(len).expect("whoever owns a packed sequence limits its length");
        self.bytes[PREFIX..Self::ENTRIES].copy_from_slice(&len.to_le_bytes());
    }

    fn reserve(&mut self, size: usize) {
        if size > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(size) - self.bytes.len());
        }
    }

    fn shrink(&mut self) {
        if self.bytes.capacity() > SHRINK_SIZE_MIN && self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(size_class(self.bytes.len()));
        }
    }
}

/// Writes the entry of `item` over the `old_size` bytes at `at`, moving what is behind them.
pub(crate) fn splice(bytes: &mut Vec<u8>, at: usize, old_size: usize, item: Item<'_>) {
    let size = item.entry_size();
    let old_end = bytes.len();
    if size > old_size {
        bytes.resize(old_end + size - old_size, 0);
    }
    if size != old_size {
        bytes.copy_within(at + old_size..old_end, at + size);
    }
    if size < old_size {
        bytes.truncate(old_end - (old_size - size));
    }
    write_entry(&mut bytes[at..at + size], item);
}

/// Writes the entry of `item` into a place of exactly its size.
pub(crate) fn write_entry(place: &mut [u8], item: Item<'_>) {
    let body = item.body();
    if let Some((head, back)) = entry::short_marks(item)
        && body.len() <= 16
    {
        let last = place.len() - 1;
        place[0] = head;
        copy_short(&mut place[1..last], body);
        place[last] = back;
        return;
    }
    if let Some((head, back)) = entry::medium_marks(item)
        && let [first, second, rest @ .., last] = place
    {
        [*first, *second] = head;
        rest.copy_from_slice(body);
        *last = back;
        return;
    }
    let head = Head::of(item);
    let (head_place, rest) = place.split_at_mut(head.len());
    let (body_place, back_place) = rest.split_at_mut(body.len());
    head_place.copy_from_slice(head.as_bytes());
    body_place.copy_from_slice(body);
    back_place.copy_from_slice(Back::of(head.len() + body.len()).as_bytes());
}

/// Writes the entry of `item` at the end.
pub(crate) fn append_entry(bytes: &mut Vec<u8>, item: Item<'_>) {
    let body = item.body();
    if let Some((head, back)) = entry::short_marks(item) {
        bytes.push(head);
        bytes.extend_from_slice(body);
        bytes.push(back);
        return;
    }
    if let Some((head, back)) = entry::medium_marks(item) {
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(body);
        bytes.push(back);
        return;
    }
    let head = Head::of(item);
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(Back::of(head.len() + body.len()).as_bytes());
}

impl<const PREFIX: usize> fmt::Debug for Packed<PREFIX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl<'n, const PREFIX: usize, I: Into<Item<'n>>> FromIterator<I> for Packed<PREFIX> {
    fn from_iter<T: IntoIterator<Item = I>>(items: T) -> Self {
        let mut packed = Self { bytes: Vec::new() };
        for item in items {
            packed.push_back(item);
        }
        packed
    }
}
