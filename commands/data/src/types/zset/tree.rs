//! An order-statistic B+-tree: members in the order of (score, bytes), each found by its place in that order.
//!
//! ```text
//! inner node     first entry of each child | members below each child | the children
//! leaf           (score, handle of the member), ...
//! ```
//!
//! A leaf does not hold a member's bytes but a [`Handle`] to them. Inner nodes know the first entry below each child
//! exactly, not some separator of the past: a handle in the tree is always one of a member that is in the tree.
//!
//! All questions about ranks, scores and ranges of bytes are one: how many entries come before a place
//! ([`Tree::partition`]). It takes one way down and adds up the counts left of it.
//!
//! Leaves grow in steps that fill the allocator's size classes, so that they are about 90 % full whatever the order of
//! insertion; a leaf that is full because entries are appended is left full. Nodes own their children, and nothing
//! recurses deeper than the height of the tree, which is 4 at ten million members.

use std::{cmp::Ordering, fmt, ops::Range};

mod iter;
mod node;
#[cfg(test)]
mod tests;

pub(super) use iter::{Ascending, Descending};

use crate::keyspace::prefetch;
use node::{Inner, Node};

/// Something that leads to the bytes of a member, which do not change while it is in a tree.
pub(super) trait Handle: Copy {
    fn bytes(&self) -> &[u8];

    /// Asks the CPU to load the bytes.
    fn prefetch(self) {}
}

/// A member's place in the order.
#[derive(Clone, Copy)]
pub(super) struct Entry<H> {
    pub(super) score: f64,
    pub(super) member: H,
}

impl<H: Handle> Entry<H> {
    /// How the entry stands to a place in the order. Scores are never NaN; zeros of both signs are equal.
    #[inline]
    pub(super) fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        if self.score < score {
            Ordering::Less
        } else if self.score > score {
            Ordering::Greater
        } else {
            self.member.bytes().cmp(member)
        }
    }

    #[inline]
    fn is_before(&self, score: f64, member: &[u8]) -> bool {
        self.compare(score, member) == Ordering::Less
    }
}

/// Number of entries for which `is_before` says yes: those in front of some place. The search goes back and forth, so all
/// cache lines are asked for at once.
#[inline]
fn search<H>(entries: &[Entry<H>], is_before: impl FnMut(&Entry<H>) -> bool) -> usize {
    const LINE: usize = 64;
    for line in entries.chunks(LINE / size_of::<Entry<H>>().min(LINE)) {
        prefetch(line.as_ptr().cast());
    }
    entries.partition_point(is_before)
}

/// Number of entries before a place in the order, and whether the next one is that of the place. Names are looked at only
/// where scores are equal.
#[inline]
fn search_place<H: Handle>(entries: &[Entry<H>], score: f64, member: &[u8]) -> (usize, bool) {
    let start = search(entries, |entry| entry.score < score);
    if entries.get(start).is_none_or(|entry| entry.score > score) {
        return (start, false);
    }
    let equal = entries[start..].partition_point(|entry| entry.score <= score);
    let (place, found) = search_name(&entries[start..start + equal], member);
    (start + place, found)
}

/// Binary search by name. While one name is compared, the two that may be next are on their way from memory.
fn search_name<H: Handle>(entries: &[Entry<H>], member: &[u8]) -> (usize, bool) {
    let (mut low, mut high) = (0, entries.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        entries[usize::midpoint(low, middle)].member.prefetch();
        if middle + 1 < high {
            entries[usize::midpoint(middle + 1, high)].member.prefetch();
        }
        match entries[middle].member.bytes().cmp(member) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return (middle, true),
        }
    }
    (low, false)
}

/// Members in order. `LEAF` and `INNER` are the most entries of a leaf and children of an inner node.
pub(super) struct Tree<H, const LEAF: usize = 64, const INNER: usize = 64> {
    root: Node<H, LEAF, INNER>,
    len: usize,
    /// Bytes of all nodes' allocations.
    bytes: usize,
}

impl<H: Handle, const LEAF: usize, const INNER: usize> Tree<H, LEAF, INNER> {
    /// An empty tree. Allocates nothing.
    pub(super) fn new() -> Self {
        Self { root: Node::default(), len: 0, bytes: 0 }
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the allocations behind the tree, those behind the handles not included. O(1).
    pub(super) fn heap_size(&self) -> usize {
        self.bytes
    }

    /// Adds a member that is not there yet. O(log n).
    pub(super) fn insert(&mut self, entry: Entry<H>) {
        self.len += 1;
        let Some(right) = self.root.insert(entry, true, &mut self.bytes) else { return };
        let left = std::mem::take(&mut self.root);
        self.root = Node::Inner(Box::new(Inner::of_two(left, right, &mut self.bytes)));
    }

    /// Takes a member out; false if it is not there. O(log n). All handles in the tree, also this one, must lead to
    /// their bytes until it returns.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let Some((index, _)) = self.find(score, member) else { return false };
        self.remove_range(index..index + 1, &mut |_| {});
        true
    }

    /// Takes out the members at these places, and gives them to `removed` in order. O(log n + members removed). `removed`
    /// may make a handle it got invalid: none is followed here.
    pub(super) fn remove_range(&mut self, range: Range<usize>, removed: &mut dyn FnMut(Entry<H>)) {
        debug_assert!(range.start <= range.end && range.end <= self.len, "a range of places in the tree");
        if range.is_empty() {
            return;
        }
        self.len -= range.len();
        self.root.remove_range(range, removed, &mut self.bytes);
        self.root.shorten(&mut self.bytes);
    }

    /// Gives a member another score. Much cheaper than taking it out and putting it in where that does not change its
    /// place among its neighbours. O(log n). False if it is not there with the old score.
    pub(super) fn change_score(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        let Some((index, member)) = self.find(old, member) else { return false };
        let entry = Entry { score: new, member };
        if !self.root.replace_between(index, entry) {
            self.remove_range(index..index + 1, &mut |_| {});
            self.insert(entry);
        }
        true
    }

    /// Puts another handle of the same member in its place. O(log n), without following any handle: the old one may
    /// already be invalid.
    pub(super) fn replace_handle(&mut self, index: usize, member: H) {
        self.root.replace_handle(index, member);
    }

    /// Number of entries for which `is_before` says yes. It must say so for all entries up to some place and for none
    /// behind it. O(log n).
    #[inline]
    pub(super) fn partition(&self, mut is_before: impl FnMut(&Entry<H>) -> bool) -> usize {
        let mut node = &self.root;
        let mut before = 0;
        loop {
            match node {
                Node::Leaf(entries) => return before + search(entries, is_before),
                Node::Inner(inner) => {
                    // All children in front of the last one that begins before the place lie before it altogether.
                    let child = search(&inner.firsts, &mut is_before).saturating_sub(1);
                    before += inner.counts[..child].iter().sum::<usize>();
                    node = &inner.children[child];
                }
            }
        }
    }

    /// The place of a member, and its handle. O(log n).
    fn find(&self, score: f64, member: &[u8]) -> Option<(usize, H)> {
        let mut node = &self.root;
        let mut before = 0;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let (at, found) = search_place(entries, score, member);
                    return found.then(|| (before + at, entries[at].member));
                }
                Node::Inner(inner) => {
                    let child = inner.child_for(score, member)?;
                    before += inner.counts[..child].iter().sum::<usize>();
                    node = &inner.children[child];
                }
            }
        }
    }

    /// The place of a member. O(log n).
    pub(super) fn rank(&self, score: f64, member: &[u8]) -> Option<usize> {
        self.find(score, member).map(|(place, _)| place)
    }

    /// The member at a place. O(log n).
    pub(super) fn at(&self, index: usize) -> Option<&Entry<H>> {
        if index >= self.len {
            return None;
        }
        let mut node = &self.root;
        let mut rest = index;
        loop {
            match node {
                Node::Leaf(entries) => return entries.get(rest),
                Node::Inner(inner) => {
                    let (child, inside) = inner.child_at(rest);
                    node = &inner.children[child];
                    rest = inside;
                }
            }
        }
    }

    /// The members at these places, in order. O(log n) to begin, O(1) for each.
    pub(super) fn ascending(&self, range: Range<usize>) -> Ascending<'_, H, LEAF, INNER> {
        debug_assert!(range.end <= self.len, "a range of places in the tree");
        Ascending::new(&self.root, range)
    }

    /// The members at these places, the last one first.
    pub(super) fn descending(&self, range: Range<usize>) -> Descending<'_, H, LEAF, INNER> {
        debug_assert!(range.end <= self.len, "a range of places in the tree");
        Descending::new(&self.root, range)
    }
}

impl<H: Handle, const LEAF: usize, const INNER: usize> fmt::Debug for Tree<H, LEAF, INNER> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({} members)", self.len)
    }
}
