//! Lists: ordered items that come and go mostly at the two ends.
//!
//! A short list is one packed sequence and may live in its key's record; a longer one is a ring of such sequences, each
//! with room at both ends. How much goes into one sequence is the `list-max-listpack-size` directive, a [`NodeLimit`],
//! which applies to what is written from then on. The items between the ends are never compressed, whatever
//! `list-compress-depth` says: it only trades time for memory, and no client can see it.

mod chunks;
mod node;
#[cfg(test)]
mod tests;

use std::{collections::vec_deque, fmt, iter::FusedIterator};

use chunks::Chunks;
use node::Node;
pub use node::NodeLimit;

use super::{
    collection::Collection,
    packed::{self, Item, Packed, PackedRef},
};
use crate::{
    keyspace::{INLINE_PACKED_MAX, size_class},
    types::packed::PACKED_HEADER,
    value::TypeCode,
};

/// A list. Items that read as integers are kept as such; they have the same bytes again when they are read.
#[derive(Clone)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    /// Small enough for a record.
    Packed(Packed),
    Chunked(Box<Chunks>),
}

const _: () = assert!(size_of::<List>() <= 24, "a value with its type takes 32 bytes");

impl Default for List {
    fn default() -> Self {
        Self(Form::Packed(Packed::new()))
    }
}

impl List {
    /// Adds an item at the front. O(1) amortised.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn push_front<'n>(&mut self, item: impl Into<Item<'n>>, limit: NodeLimit) {
        let item = item.into();
        match self.making_room(item, 0, limit) {
            Form::Packed(packed) => packed.push_front(item),
            Form::Chunked(chunks) => chunks.push_front(item, limit),
        }
    }

    /// Adds an item at the back. O(1) amortised.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn push_back<'n>(&mut self, item: impl Into<Item<'n>>, limit: NodeLimit) {
        let item = item.into();
        match self.making_room(item, 0, limit) {
            Form::Packed(packed) => packed.push_back(item),
            Form::Chunked(chunks) => chunks.push_back(item, limit),
        }
    }

    /// Adds an item before the one with this index, or at the back. False if there is no such index. O(nodes).
    pub fn insert<'n>(&mut self, index: usize, item: impl Into<Item<'n>>, limit: NodeLimit) -> bool {
        let item = item.into();
        let len = self.view().len();
        if index > len {
            return false;
        }
        match self.making_room(item, 0, limit) {
            Form::Packed(packed) => packed.insert(position(packed, index), item),
            Form::Chunked(chunks) if index == len => chunks.push_back(item, limit),
            Form::Chunked(chunks) => chunks.insert(index, item, limit),
        }
        true
    }

    /// Puts another item in the place of the one with this index. False if there is none. O(nodes).
    pub fn set<'n>(&mut self, index: usize, item: impl Into<Item<'n>>, limit: NodeLimit) -> bool {
        let item = item.into();
        let Some(old) = self.view().get(index) else { return false };
        let old_size = old.entry_size();
        match self.making_room(item, old_size, limit) {
            Form::Packed(packed) => packed.replace(position(packed, index), item),
            Form::Chunked(chunks) => chunks.set(index, item, limit),
        }
        true
    }

    /// Removes the first `count` items, or all there are. O(count).
    pub fn remove_front(&mut self, count: usize) {
        let count = count.min(self.view().len());
        match &mut self.0 {
            Form::Packed(packed) => {
                packed.remove(0, count);
            }
            Form::Chunked(chunks) => chunks.remove_front(count),
        }
    }

    /// Removes the last `count` items, or all there are. O(count).
    pub fn remove_back(&mut self, count: usize) {
        let len = self.view().len();
        let count = count.min(len);
        match &mut self.0 {
            Form::Packed(packed) => {
                packed.remove(position(packed, len - count), count);
            }
            Form::Chunked(chunks) => chunks.remove_back(count),
        }
    }

    /// Removes up to `count` items that equal `needle`, the first or the last ones, and says how many. O(size).
    pub fn remove_equal<'n>(
        &mut self,
        needle: impl Into<Item<'n>>,
        count: usize,
        from_back: bool,
        limit: NodeLimit,
    ) -> usize {
        let needle = needle.into();
        match &mut self.0 {
            Form::Packed(packed) => {
                let (old, mut node) = (packed.len(), Node::of(packed.view()));
                let removed = node.remove_equal(needle, count, from_back);
                if removed > 0 {
                    *packed = node.view().iter().collect();
                }
                debug_assert_eq!(packed.len() + removed, old, "what is not removed stays");
                removed
            }
            Form::Chunked(chunks) => chunks.remove_equal(needle, count, from_back, limit),
        }
    }

    /// Removes the item with this index. False if there is none. O(nodes to the nearer end + size of one).
    pub fn remove_at(&mut self, index: usize, limit: NodeLimit) -> bool {
        if index >= self.view().len() {
            return false;
        }
        match &mut self.0 {
            Form::Packed(packed) => {
                packed.remove(position(packed, index), 1);
            }
            Form::Chunked(chunks) => chunks.remove_at(index, limit),
        }
        true
    }

    /// The form that can take `item` in the place of `old_size` bytes.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn making_room(&mut self, item: Item<'_>, old_size: usize, limit: NodeLimit) -> &mut Form {
        if let Form::Packed(packed) = &self.0 {
            let size = packed.view().size() + item.entry_size() - old_size;
            let fits = size + PACKED_HEADER <= INLINE_PACKED_MAX && limit.allows(size, packed.len() + 1);
            if !fits || limit.is_alone(item) {
                self.0 = Form::Chunked(Box::new(Chunks::of(packed)));
            }
        }
        &mut self.0
    }

    /// The list for reading.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        ListRef(match &self.0 {
            Form::Packed(packed) => View::Packed(packed.view()),
            Form::Chunked(chunks) => View::Chunked(chunks),
        })
    }
}

fn position(packed: &Packed, index: usize) -> usize {
    packed.view().position(index).unwrap_or(packed.view().end())
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.view().len() == other.view().len() && self.view().iter().eq(other.view().iter())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} items)", self.view().len())
    }
}

impl Collection for List {
    const TYPE: TypeCode = TypeCode::List;
    type Ref<'a> = ListRef<'a>;

    fn view(&self) -> ListRef<'_> {
        self.view()
    }

    fn inline_view(bytes: &[u8]) -> ListRef<'_> {
        ListRef(View::Packed(PackedRef::new(bytes)))
    }

    fn from_inline(bytes: Vec<u8>) -> Self {
        Self(Form::Packed(Packed::from_bytes(bytes)))
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        match self.0 {
            Form::Packed(packed) => Ok(packed.into_bytes()),
            chunked @ Form::Chunked(_) => Err(Self(chunked)),
        }
    }

    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_size(),
            Form::Chunked(chunks) => size_class(size_of::<Chunks>()) + chunks.heap_size(),
        }
    }

    /// Redis 7.0 has one encoding for lists of any size.
    fn encoding_name(_: ListRef<'_>) -> &'static str {
        "quicklist"
    }
}

/// A list to read from.
#[derive(Clone, Copy)]
pub struct ListRef<'a>(View<'a>);

#[derive(Clone, Copy)]
enum View<'a> {
    Packed(PackedRef<'a>),
    Chunked(&'a Chunks),
}

impl<'a> ListRef<'a> {
    /// Number of items.
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(items) => items.len(),
            View::Chunked(chunks) => chunks.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The item with this index. O(nodes to the nearer end).
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        match self.0 {
            View::Packed(items) => items.get(index),
            View::Chunked(chunks) if index < chunks.len() => {
                let place = chunks.place(index);
                chunks.nodes()[place.node].view().get(place.index)
            }
            View::Chunked(_) => None,
        }
    }

    /// The items in runs, as files hold them.
    pub fn nodes(self) -> impl Iterator<Item = PackedRef<'a>> + use<'a> {
        let (packed, chunks) = match self.0 {
            View::Packed(items) => (Some(items), None),
            View::Chunked(chunks) => (None, Some(chunks)),
        };
        packed.into_iter().chain(chunks.into_iter().flat_map(|chunks| chunks.nodes().iter().map(Node::view)))
    }

    /// All items.
    pub fn iter(self) -> Iter<'a> {
        match self.0 {
            View::Packed(items) => Iter::of(items.iter()),
            View::Chunked(chunks) => {
                Iter { nodes: chunks.nodes().iter(), len: chunks.len(), ..Iter::default() }
            }
        }
    }

    /// `count` items from `index` on, or those of them that exist.
    pub fn range(self, index: usize, count: usize) -> Iter<'a> {
        let index = index.min(self.len());
        let count = count.min(self.len() - index);
        match self.0 {
            View::Packed(items) => Iter::of(items.range(index, count)),
            View::Chunked(_) if count == 0 => Iter::default(),
            View::Chunked(chunks) => {
                let (first, last) = (chunks.place(index), chunks.place(index + count - 1));
                let items = |node: usize| chunks.nodes()[node].view();
                if first.node == last.node {
                    return Iter::of(items(first.node).range(first.index, count));
                }
                Iter {
                    front: items(first.node).range(first.index, usize::MAX),
                    nodes: chunks.nodes().range(first.node + 1..last.node),
                    back: items(last.node).range(0, last.index + 1),
                    len: count,
                }
            }
        }
    }

    /// Index of the first item that equals `needle`. O(size).
    pub fn find<'n>(self, needle: impl Into<Item<'n>>) -> Option<usize> {
        let needle = needle.into();
        self.iter().position(|item| item == needle)
    }

    /// Index of the last item that equals `needle`. O(items behind it).
    pub fn find_last<'n>(self, needle: impl Into<Item<'n>>) -> Option<usize> {
        let needle = needle.into();
        let behind = self.iter().rev().position(|item| item == needle)?;
        Some(self.len() - 1 - behind)
    }
}

impl<'a> IntoIterator for ListRef<'a> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for ListRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Items of a list in order, from both ends.
#[derive(Clone, Default)]
pub struct Iter<'a> {
    /// What is left of the first node, of those in the middle, and of the last one.
    front: packed::Iter<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    back: packed::Iter<'a>,
    len: usize,
}

impl<'a> Iter<'a> {
    fn of(items: packed::Iter<'a>) -> Self {
        Self { len: items.len(), front: items, ..Self::default() }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.len = self.len.saturating_sub(1);
        loop {
            if let Some(item) = self.front.next() {
                return Some(item);
            }
            match self.nodes.next() {
                Some(node) => self.front = node.view().iter(),
                None => return self.back.next(),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }

    fn fold<B, F: FnMut(B, Item<'a>) -> B>(self, init: B, mut each: F) -> B {
        let mut result = self.front.fold(init, &mut each);
        for node in self.nodes {
            result = node.view().iter().fold(result, &mut each);
        }
        self.back.fold(result, each)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.len = self.len.saturating_sub(1);
        loop {
            if let Some(item) = self.back.next_back() {
                return Some(item);
            }
            match self.nodes.next_back() {
                Some(node) => self.back = node.view().iter(),
                None => return self.front.next_back(),
            }
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}
