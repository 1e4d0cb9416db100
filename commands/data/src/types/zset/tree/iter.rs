//! Walking the leaves, in both directions.

use std::{iter::FusedIterator, ops::Range};

use smallvec::SmallVec;

use super::{Entry, Handle, node::Inner, node::Node};

/// The way from the root to a leaf: inner nodes and which child of each was taken.
type Path<'a, H, const LEAF: usize, const INNER: usize> = SmallVec<[(&'a Inner<H, LEAF, INNER>, usize); 6]>;

/// A place in a leaf, and how many entries are still to come.
struct Walk<'a, H, const LEAF: usize, const INNER: usize> {
    path: Path<'a, H, LEAF, INNER>,
    leaf: &'a [Entry<H>],
    at: usize,
    left: usize,
}

impl<'a, H: Handle, const LEAF: usize, const INNER: usize> Walk<'a, H, LEAF, INNER> {
    fn new(root: &'a Node<H, LEAF, INNER>, index: usize, left: usize) -> Self {
        let mut walk = Self { path: SmallVec::new(), leaf: &[], at: 0, left };
        if left > 0 {
            let mut rest = index;
            let mut node = root;
            while let Node::Inner(inner) = node {
                let (child, inside) = inner.child_at(rest);
                walk.path.push((inner, child));
                node = &inner.children[child];
                rest = inside;
            }
            walk.enter(node);
            walk.at = rest;
        }
        walk
    }

    fn enter(&mut self, node: &'a Node<H, LEAF, INNER>) {
        if let Node::Leaf(entries) = node {
            self.leaf = entries;
        }
    }

    /// Goes to the next leaf, which exists.
    fn next_leaf(&mut self) {
        while let Some((inner, child)) = self.path.pop() {
            if child + 1 == inner.children.len() {
                continue;
            }
            self.path.push((inner, child + 1));
            let mut node = &inner.children[child + 1];
            while let Node::Inner(inner) = node {
                self.path.push((inner, 0));
                node = &inner.children[0];
            }
            self.enter(node);
            break;
        }
        self.at = 0;
    }

    /// Goes to the leaf before, which exists, and behind its end.
    fn previous_leaf(&mut self) {
        while let Some((inner, child)) = self.path.pop() {
            if child == 0 {
                continue;
            }
            self.path.push((inner, child - 1));
            let mut node = &inner.children[child - 1];
            while let Node::Inner(inner) = node {
                let last = inner.children.len() - 1;
                self.path.push((inner, last));
                node = &inner.children[last];
            }
            self.enter(node);
            break;
        }
        self.at = self.leaf.len();
    }
}

/// Entries in order.
pub(in crate::types::zset) struct Ascending<'a, H, const LEAF: usize, const INNER: usize>(
    Walk<'a, H, LEAF, INNER>,
);

impl<'a, H: Handle, const LEAF: usize, const INNER: usize> Ascending<'a, H, LEAF, INNER> {
    pub(super) fn new(root: &'a Node<H, LEAF, INNER>, range: Range<usize>) -> Self {
        Self(Walk::new(root, range.start, range.len()))
    }
}

impl<'a, H: Handle, const LEAF: usize, const INNER: usize> Iterator for Ascending<'a, H, LEAF, INNER> {
    type Item = &'a Entry<H>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<H>> {
        let walk = &mut self.0;
        if walk.left == 0 {
            return None;
        }
        if walk.at == walk.leaf.len() {
            walk.next_leaf();
        }
        walk.left -= 1;
        walk.at += 1;
        walk.leaf.get(walk.at - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl<H: Handle, const LEAF: usize, const INNER: usize> ExactSizeIterator for Ascending<'_, H, LEAF, INNER> {}
impl<H: Handle, const LEAF: usize, const INNER: usize> FusedIterator for Ascending<'_, H, LEAF, INNER> {}

/// Entries, the last one first.
pub(in crate::types::zset) struct Descending<'a, H, const LEAF: usize, const INNER: usize>(
    Walk<'a, H, LEAF, INNER>,
);

impl<'a, H: Handle, const LEAF: usize, const INNER: usize> Descending<'a, H, LEAF, INNER> {
    pub(super) fn new(root: &'a Node<H, LEAF, INNER>, range: Range<usize>) -> Self {
        let mut walk = Walk::new(root, range.end.saturating_sub(1), range.len());
        if walk.left > 0 {
            // The entry in front of `at` comes next.
            walk.at += 1;
        }
        Self(walk)
    }
}

impl<'a, H: Handle, const LEAF: usize, const INNER: usize> Iterator for Descending<'a, H, LEAF, INNER> {
    type Item = &'a Entry<H>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<H>> {
        let walk = &mut self.0;
        if walk.left == 0 {
            return None;
        }
        if walk.at == 0 {
            walk.previous_leaf();
        }
        walk.left -= 1;
        walk.at -= 1;
        walk.leaf.get(walk.at)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl<H: Handle, const LEAF: usize, const INNER: usize> ExactSizeIterator for Descending<'_, H, LEAF, INNER> {}
impl<H: Handle, const LEAF: usize, const INNER: usize> FusedIterator for Descending<'_, H, LEAF, INNER> {}
