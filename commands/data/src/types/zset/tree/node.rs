//! Leaves and inner nodes: splitting what is too full, joining what is too empty.

use std::ops::Range;

use super::{Entry, Handle, search_place};
use crate::keyspace::size_class;

/// By how many entries a leaf grows: with 16 bytes for each, one size class of the allocator.
const LEAF_STEP: usize = 8;

pub(super) enum Node<H, const LEAF: usize, const INNER: usize> {
    Leaf(Vec<Entry<H>>),
    Inner(Box<Inner<H, LEAF, INNER>>),
}

/// Three arrays of one element for each child. There is always a child, and every child has an entry.
pub(super) struct Inner<H, const LEAF: usize, const INNER: usize> {
    /// The first entry below each child.
    pub(super) firsts: Vec<Entry<H>>,
    /// Number of entries below each child.
    pub(super) counts: Vec<usize>,
    pub(super) children: Vec<Node<H, LEAF, INNER>>,
}

impl<H, const LEAF: usize, const INNER: usize> Default for Node<H, LEAF, INNER> {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl<H: Handle, const LEAF: usize, const INNER: usize> Node<H, LEAF, INNER> {
    /// Adds an entry. A node that is full is split, and its right part returned. `is_last`: nothing of the tree is to
    /// the right of this node.
    pub(super) fn insert(&mut self, entry: Entry<H>, is_last: bool, bytes: &mut usize) -> Option<Self> {
        match self {
            Self::Leaf(entries) => {
                let (at, _) = search_place(entries, entry.score, entry.member.bytes());
                if entries.len() < LEAF {
                    make_room(entries, bytes);
                    entries.insert(at, entry);
                    return None;
                }
                // Who appends will go on appending: the left part stays full then.
                let cut = if is_last && at == LEAF { LEAF } else { LEAF / 2 };
                let mut right = leaf_of(&entries[cut..], bytes);
                *bytes -= leaf_size(entries);
                entries.truncate(cut);
                entries.shrink_to(cut.next_multiple_of(LEAF_STEP));
                *bytes += leaf_size(entries);
                let (side, at) = if at < cut { (&mut *entries, at) } else { (&mut right, at - cut) };
                make_room(side, bytes);
                side.insert(at, entry);
                Some(Self::Leaf(right))
            }
            Self::Inner(inner) => {
                inner.insert(entry, is_last, bytes).map(|right| Self::Inner(Box::new(right)))
            }
        }
    }

    /// Takes out the entries at these places; there must be some. The node may be left with too few, or none.
    pub(super) fn remove_range(
        &mut self,
        range: Range<usize>,
        removed: &mut dyn FnMut(Entry<H>),
        bytes: &mut usize,
    ) {
        match self {
            Self::Leaf(entries) => {
                entries.drain(range).for_each(removed);
                fit(entries, bytes);
            }
            Self::Inner(inner) => inner.remove_range(range, removed, bytes),
        }
    }

    /// Gives `removed` all entries, and the node's allocations back.
    fn dissolve(self, removed: &mut dyn FnMut(Entry<H>), bytes: &mut usize) {
        match self {
            Self::Leaf(entries) => {
                *bytes -= leaf_size(&entries);
                entries.into_iter().for_each(removed);
            }
            Self::Inner(mut inner) => {
                *bytes -= Inner::<H, LEAF, INNER>::SIZE;
                inner.children.drain(..).for_each(|child| child.dissolve(removed, bytes));
            }
        }
    }

    /// As the root: gives up levels with one child only.
    pub(super) fn shorten(&mut self, bytes: &mut usize) {
        while let Self::Inner(inner) = self
            && inner.children.len() <= 1
        {
            *bytes -= Inner::<H, LEAF, INNER>::SIZE;
            *self = inner.children.pop().unwrap_or_default();
        }
    }

    /// Replaces the entry at a place if the new one fits between the neighbours it has in its leaf.
    pub(super) fn replace_between(&mut self, index: usize, entry: Entry<H>) -> bool {
        match self {
            Self::Leaf(entries) => {
                let (Some(before), Some(after)) =
                    (index.checked_sub(1).and_then(|before| entries.get(before)), entries.get(index + 1))
                else {
                    // At an edge of the leaf, where neighbours are elsewhere.
                    return false;
                };
                let member = entry.member.bytes();
                let fits = before.is_before(entry.score, member)
                    && entry.is_before(after.score, after.member.bytes());
                if fits {
                    entries[index] = entry;
                }
                fits
            }
            Self::Inner(inner) => {
                // Never the first entry of a child, so `firsts` stays right.
                let (child, inside) = inner.child_at(index);
                inner.children[child].replace_between(inside, entry)
            }
        }
    }

    /// Puts another handle at a place.
    pub(super) fn replace_handle(&mut self, index: usize, member: H) {
        match self {
            Self::Leaf(entries) => entries[index].member = member,
            Self::Inner(inner) => {
                let (child, inside) = inner.child_at(index);
                inner.children[child].replace_handle(inside, member);
                if inside == 0 {
                    inner.firsts[child].member = member;
                }
            }
        }
    }

    fn first(&self) -> Entry<H> {
        match self {
            Self::Leaf(entries) => entries[0],
            Self::Inner(inner) => inner.firsts[0],
        }
    }

    /// Number of entries below. O(children).
    fn count(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    /// Entries of a leaf, children of an inner node.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    fn width_max(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF,
            Self::Inner(_) => INNER,
        }
    }

    /// True when it should be joined with a neighbour.
    fn is_sparse(&self) -> bool {
        self.width() < self.width_max() / 3
    }

    /// Moves what `right`, the next node of the same level, holds to the end of this one. Both fit into one.
    fn join(&mut self, right: Self, bytes: &mut usize) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => {
                *bytes -= leaf_size(left) + leaf_size(&right);
                left.reserve_exact(
                    (left.len() + right.len()).next_multiple_of(LEAF_STEP).min(LEAF) - left.len(),
                );
                left.extend_from_slice(&right);
                *bytes += leaf_size(left);
            }
            (Self::Inner(left), Self::Inner(mut right)) => {
                *bytes -= Inner::<H, LEAF, INNER>::SIZE;
                let seam = left.children.len();
                left.firsts.append(&mut right.firsts);
                left.counts.append(&mut right.counts);
                left.children.append(&mut right.children);
                // A removal may have left one sparse child on each side, which had no neighbour there.
                left.settle(seam, bytes);
                left.settle(seam - 1, bytes);
            }
            _ => unreachable!("the children of a node have the same height"),
        }
    }

    /// Moves entries or children between this node and the next of the same level until both have as many.
    fn balance(&mut self, right: &mut Self, bytes: &mut usize) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => {
                *bytes -= leaf_size(left) + leaf_size(right);
                let half = usize::midpoint(left.len(), right.len());
                if left.len() < half {
                    let moved = half - left.len();
                    left.reserve_exact(half.next_multiple_of(LEAF_STEP).min(LEAF) - left.len());
                    left.extend(right.drain(..moved));
                } else {
                    let wanted = left.len() + right.len() - half;
                    right.reserve_exact(wanted.next_multiple_of(LEAF_STEP).min(LEAF) - right.len());
                    right.splice(..0, left.drain(half..));
                }
                shrink(left);
                shrink(right);
                *bytes += leaf_size(left) + leaf_size(right);
            }
            (Self::Inner(left), Self::Inner(right)) => {
                let half = usize::midpoint(left.children.len(), right.children.len());
                let seam = left.children.len();
                if seam < half {
                    let moved = half - seam;
                    left.firsts.extend(right.firsts.drain(..moved));
                    left.counts.extend(right.counts.drain(..moved));
                    left.children.extend(right.children.drain(..moved));
                    left.settle(seam, bytes);
                    left.settle(seam - 1, bytes);
                } else {
                    let seam = seam - half;
                    right.firsts.splice(..0, left.firsts.drain(half..));
                    right.counts.splice(..0, left.counts.drain(half..));
                    right.children.splice(..0, left.children.drain(half..));
                    if seam > 0 {
                        right.settle(seam, bytes);
                        right.settle(seam - 1, bytes);
                    }
                }
            }
            _ => unreachable!("the children of a node have the same height"),
        }
    }
}

impl<H: Handle, const LEAF: usize, const INNER: usize> Inner<H, LEAF, INNER> {
    /// Bytes of its allocations.
    const SIZE: usize = size_class(size_of::<Self>())
        + size_class(INNER * size_of::<Entry<H>>())
        + size_class(INNER * size_of::<usize>())
        + size_class(INNER * size_of::<Node<H, LEAF, INNER>>());

    /// The parent of two nodes.
    pub(super) fn of_two(left: Node<H, LEAF, INNER>, right: Node<H, LEAF, INNER>, bytes: &mut usize) -> Self {
        let mut inner = Self::empty(bytes);
        inner.put(0, left);
        inner.put(1, right);
        inner
    }

    /// Counted with a box of its own.
    fn empty(bytes: &mut usize) -> Self {
        *bytes += Self::SIZE;
        Self {
            firsts: Vec::with_capacity(INNER),
            counts: Vec::with_capacity(INNER),
            children: Vec::with_capacity(INNER),
        }
    }

    fn put(&mut self, at: usize, child: Node<H, LEAF, INNER>) {
        self.firsts.insert(at, child.first());
        self.counts.insert(at, child.count());
        self.children.insert(at, child);
    }

    fn take(&mut self, at: usize) -> Node<H, LEAF, INNER> {
        self.firsts.remove(at);
        self.counts.remove(at);
        self.children.remove(at)
    }

    /// The child that has the entry at a place, and its place in there.
    #[inline]
    pub(super) fn child_at(&self, index: usize) -> (usize, usize) {
        let mut rest = index;
        for (child, &count) in self.counts.iter().enumerate() {
            if rest < count {
                return (child, rest);
            }
            rest -= count;
        }
        unreachable!("the place lies below this node")
    }

    /// The child that has a place in the order, or would have it; `None` before the first entry.
    #[inline]
    pub(super) fn child_for(&self, score: f64, member: &[u8]) -> Option<usize> {
        let (before, is_first) = search_place(&self.firsts, score, member);
        (before + usize::from(is_first)).checked_sub(1)
    }

    fn insert(&mut self, entry: Entry<H>, is_last: bool, bytes: &mut usize) -> Option<Self> {
        let member = entry.member.bytes();
        let child = self.child_for(entry.score, member).unwrap_or(0);
        let is_last_child = child + 1 == self.children.len();
        let Some(new) = self.children[child].insert(entry, is_last && is_last_child, bytes) else {
            self.firsts[child] = self.children[child].first();
            self.counts[child] += 1;
            return None;
        };
        self.refresh(child);
        let width = self.children.len();
        if width < INNER {
            self.put(child + 1, new);
            return None;
        }
        let cut = if is_last && is_last_child { INNER } else { INNER / 2 };
        let mut right = Self::empty(bytes);
        right.firsts.extend(self.firsts.drain(cut..));
        right.counts.extend(self.counts.drain(cut..));
        right.children.extend(self.children.drain(cut..));
        if child < cut && cut < INNER {
            self.put(child + 1, new);
        } else {
            right.put(child + 1 - cut, new);
        }
        Some(right)
    }

    /// Brings up to date what is known of a child that was changed.
    fn refresh(&mut self, child: usize) {
        self.firsts[child] = self.children[child].first();
        self.counts[child] = self.children[child].count();
    }

    fn remove_range(&mut self, range: Range<usize>, removed: &mut dyn FnMut(Entry<H>), bytes: &mut usize) {
        let (first, start) = self.child_at(range.start);
        let mut left = range.len();
        let mut start = start;
        let mut child = first;
        // Up to two children lose some of their entries, those between them everything.
        while left > 0 {
            let here = left.min(self.counts[child] - start);
            left -= here;
            if here == self.counts[child] {
                self.take(child).dissolve(removed, bytes);
            } else {
                self.children[child].remove_range(start..start + here, removed, bytes);
                self.firsts[child] = self.children[child].first();
                self.counts[child] -= here;
                child += 1;
            }
            start = 0;
        }
        // From the right, as joining children moves those behind them.
        for changed in (first..child).rev() {
            self.settle(changed, bytes);
        }
    }

    /// Joins a child that became sparse with a neighbour, or balances the two.
    fn settle(&mut self, child: usize, bytes: &mut usize) {
        let is_sparse = self.children.get(child).is_some_and(Node::is_sparse);
        if !is_sparse || self.children.len() == 1 {
            return;
        }
        let left = if child + 1 < self.children.len() { child } else { child - 1 };
        let together = self.children[left].width() + self.children[left + 1].width();
        if together <= self.children[left].width_max() {
            let right = self.take(left + 1);
            self.children[left].join(right, bytes);
        } else {
            let (before, after) = self.children.split_at_mut(left + 1);
            before[left].balance(&mut after[0], bytes);
            self.refresh(left + 1);
        }
        self.refresh(left);
    }
}

/// A leaf with these entries.
fn leaf_of<H: Copy>(entries: &[Entry<H>], bytes: &mut usize) -> Vec<Entry<H>> {
    let mut leaf = Vec::with_capacity(entries.len().next_multiple_of(LEAF_STEP));
    leaf.extend_from_slice(entries);
    *bytes += leaf_size(&leaf);
    leaf
}

/// Bytes of a leaf's allocation.
fn leaf_size<H>(leaf: &Vec<Entry<H>>) -> usize {
    size_class(leaf.capacity() * size_of::<Entry<H>>())
}

/// Room for one more entry.
fn make_room<H>(leaf: &mut Vec<Entry<H>>, bytes: &mut usize) {
    if leaf.len() == leaf.capacity() {
        *bytes -= leaf_size(leaf);
        leaf.reserve_exact(LEAF_STEP);
        *bytes += leaf_size(leaf);
    }
}

/// Gives back what a leaf that lost entries does not need.
fn fit<H>(leaf: &mut Vec<Entry<H>>, bytes: &mut usize) {
    *bytes -= leaf_size(leaf);
    shrink(leaf);
    *bytes += leaf_size(leaf);
}

/// Not at once, so that a leaf that loses and gains entries in turn is not moved each time.
fn shrink<H>(leaf: &mut Vec<Entry<H>>) {
    let wanted = (leaf.len() + LEAF_STEP / 2).next_multiple_of(LEAF_STEP);
    if leaf.is_empty() {
        *leaf = Vec::new();
    } else if wanted + LEAF_STEP <= leaf.capacity() {
        leaf.shrink_to(wanted);
    }
}
