//! The form of a long list: nodes of consecutive items in one ring.
//!
//! Nodes are some kilobytes each, so that 10 million short items are about 20,000 nodes: to find an index, or to make
//! place for a node in the middle, is a walk or a move over a few hundred kilobytes. Neighbours that fit in one node are
//! joined where items were taken out or a node was split; at the ends they are left alone.

use std::{collections::VecDeque, ops::Range};

use super::node::{Node, NodeLimit};
use crate::{
    keyspace::size_class,
    types::packed::{Item, Packed},
};

/// A ring with less room than this stays as it is when nodes leave it.
const SHRINK_NODES_MIN: usize = 16;

/// Items in nodes. No node is empty.
#[derive(Default)]
pub(super) struct Chunks {
    nodes: VecDeque<Node>,
    /// Number of items.
    len: usize,
    /// Bytes of all allocations behind it: of the nodes, and of their ring.
    heap_size: usize,
}

impl Clone for Chunks {
    /// Copies have no room to spare.
    fn clone(&self) -> Self {
        let mut copy = Self { nodes: self.nodes.clone(), len: self.len, heap_size: 0 };
        copy.heap_size = copy.ring_size() + copy.nodes.iter().map(Node::heap_size).sum::<usize>();
        copy
    }
}

/// Where an item is: its node and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) index: usize,
}

impl Chunks {
    /// The items of a packed sequence, which must be small enough for one node.
    pub(super) fn of(packed: &Packed) -> Self {
        let mut chunks = Self::default();
        if !packed.is_empty() {
            chunks.insert_node(0, Node::of(packed.view()));
            chunks.len = packed.len();
        }
        chunks
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all allocations behind it.
    #[inline]
    pub(super) fn heap_size(&self) -> usize {
        self.heap_size
    }

    pub(super) fn nodes(&self) -> &VecDeque<Node> {
        &self.nodes
    }

    /// Where the item with this index is. It must exist. Walks over the nodes from the nearer end.
    pub(super) fn place(&self, index: usize) -> Place {
        if index <= self.len / 2 {
            let mut rest = index;
            for (node, content) in self.nodes.iter().enumerate() {
                if rest < content.len() {
                    return Place { node, index: rest };
                }
                rest -= content.len();
            }
        } else {
            let mut rest = self.len - index;
            for (node, content) in self.nodes.iter().enumerate().rev() {
                if rest <= content.len() {
                    return Place { node, index: content.len() - rest };
                }
                rest -= content.len();
            }
        }
        unreachable!("the nodes hold as many items as the list has")
    }

    pub(super) fn push_back(&mut self, item: Item<'_>, limit: NodeLimit) {
        self.len += 1;
        let size = item.entry_size();
        let has_room = |node: &Node| !limit.is_alone(item) && node.has_room(size, limit);
        let last = self.nodes.len().wrapping_sub(1);
        if self.nodes.back().is_some_and(has_room) {
            return self.change(last, |node| node.push_back(item, size, limit.size));
        }
        if !self.nodes.is_empty() {
            self.change(last, Node::seal);
        }
        self.insert_node(self.nodes.len(), Node::of_item(item));
    }

    pub(super) fn push_front(&mut self, item: Item<'_>, limit: NodeLimit) {
        self.len += 1;
        let size = item.entry_size();
        let has_room = |node: &Node| !limit.is_alone(item) && node.has_room(size, limit);
        if self.nodes.front().is_some_and(has_room) {
            return self.change(0, |node| node.push_front(item, size, limit.size));
        }
        if !self.nodes.is_empty() {
            self.change(0, Node::seal);
        }
        self.insert_node(0, Node::of_item(item));
    }

    /// Adds an item before the one with this index, which must exist.
    pub(super) fn insert(&mut self, index: usize, item: Item<'_>, limit: NodeLimit) {
        let place = self.place(index);
        self.insert_at(place, item, limit);
    }

    /// Puts another item in the place of the one with this index, which must exist.
    pub(super) fn set(&mut self, index: usize, item: Item<'_>, limit: NodeLimit) {
        let place = self.place(index);
        let node = &self.nodes[place.node];
        let pos = position(node, place.index);
        let old_size = node.view().after(pos) - pos;
        let shares = node.len() > 1 && limit.is_alone(item);
        if !shares
            && (node.len() == 1 || limit.allows(node.size() - old_size + item.entry_size(), node.len()))
        {
            return self.change(place.node, |node| node.replace(pos, item, limit.size));
        }
        self.change(place.node, |node| node.remove(pos, pos + old_size, 1));
        self.len -= 1;
        self.insert_at(place, item, limit);
    }

    /// Removes the first `count` items, of which there must be so many.
    pub(super) fn remove_front(&mut self, count: usize) {
        self.len -= count;
        let mut rest = count;
        while let Some(node) = self.nodes.front()
            && node.len() <= rest
        {
            rest -= node.len();
            self.heap_size -= node.heap_size();
            self.nodes.pop_front();
        }
        if rest > 0 {
            self.change(0, |node| node.remove_front(rest));
        }
        self.shrink();
    }

    /// Removes the last `count` items, of which there must be so many.
    pub(super) fn remove_back(&mut self, count: usize) {
        self.len -= count;
        let mut rest = count;
        while let Some(node) = self.nodes.back()
            && node.len() <= rest
        {
            rest -= node.len();
            self.heap_size -= node.heap_size();
            self.nodes.pop_back();
        }
        if rest > 0 {
            self.change(self.nodes.len() - 1, |node| node.remove_back(rest));
        }
        self.shrink();
    }

    /// Removes up to `count` items that equal `needle`, the first or the last ones; says how many.
    pub(super) fn remove_equal(
        &mut self,
        needle: Item<'_>,
        count: usize,
        from_back: bool,
        limit: NodeLimit,
    ) -> usize {
        let mut removed = 0;
        let mut touched: Option<Range<usize>> = None;
        for step in 0..self.nodes.len() {
            if removed == count {
                break;
            }
            let at = if from_back { self.nodes.len() - 1 - step } else { step };
            let node = &mut self.nodes[at];
            let old_size = node.heap_size();
            let here = node.remove_equal(needle, count - removed, from_back);
            if here > 0 {
                self.heap_size = self.heap_size - old_size + node.heap_size();
                removed += here;
                touched =
                    Some(touched.map_or(at..at + 1, |range| range.start.min(at)..range.end.max(at + 1)));
            }
        }
        self.len -= removed;
        if let Some(range) = touched {
            self.join(range.start.saturating_sub(1)..(range.end + 1).min(self.nodes.len()), limit);
        }
        removed
    }

    /// Removes the item with this index, which must exist.
    pub(super) fn remove_at(&mut self, index: usize, limit: NodeLimit) {
        let at = self.place(index);
        self.change(at.node, |node| {
            let pos = position(node, at.index);
            node.remove(pos, node.view().after(pos), 1);
        });
        self.len -= 1;
        self.join(at.node.saturating_sub(1)..(at.node + 2).min(self.nodes.len()), limit);
    }

    /// Adds an item at a place, where the index may be the number of items of the node.
    fn insert_at(&mut self, place: Place, item: Item<'_>, limit: NodeLimit) {
        self.len += 1;
        let Place { node: at, index } = place;
        let size = item.entry_size();
        let node = &self.nodes[at];
        let is_alone = limit.is_alone(item);
        if !is_alone && node.has_room(size, limit) {
            let pos = position(node, index);
            return self.change(at, |node| node.insert(pos, item, limit.size));
        }
        if index == 0 {
            let has_room = |node: &Node| !is_alone && node.has_room(size, limit);
            if at > 0 && has_room(&self.nodes[at - 1]) {
                return self.change(at - 1, |node| node.push_back(item, size, limit.size));
            }
            return self.insert_node(at, Node::of_item(item));
        }
        if index == node.len() {
            return self.insert_node(at + 1, Node::of_item(item));
        }
        // A full node: an item that fits goes to one of its halves, another one between its two parts.
        let cut = if is_alone { index } else { (node.len() / 2).max(1) };
        let mut tail = Node::default();
        self.change(at, |node| tail = node.split_off(cut));
        self.insert_node(at + 1, tail);
        if is_alone {
            return self.insert_node(at + 1, Node::of_item(item));
        }
        let half =
            if index <= cut { Place { node: at, index } } else { Place { node: at + 1, index: index - cut } };
        self.len -= 1;
        self.insert_at(half, item, limit);
    }

    /// Joins the nodes of a range where neighbours fit in one, and removes empty ones.
    fn join(&mut self, range: Range<usize>, limit: NodeLimit) {
        let mut last = range.start;
        for at in range.start + 1..range.end {
            let node = std::mem::take(&mut self.nodes[at]);
            let kept = &mut self.nodes[last];
            let old_size = kept.heap_size() + node.heap_size();
            if kept.is_empty() {
                *kept = node;
            } else if kept.has_room_for(&node, limit) {
                kept.append(&node);
            } else {
                last += 1;
                self.nodes[last] = node;
                continue;
            }
            self.heap_size = self.heap_size - old_size + self.nodes[last].heap_size();
        }
        let keep = if self.nodes[last].is_empty() { last } else { last + 1 };
        for node in self.nodes.drain(keep..range.end) {
            self.heap_size -= node.heap_size();
        }
        self.shrink();
    }

    fn change(&mut self, at: usize, change: impl FnOnce(&mut Node)) {
        let node = &mut self.nodes[at];
        let old_room = node.room();
        change(node);
        if node.room() != old_room {
            self.heap_size = self.heap_size - size_class(old_room) + node.heap_size();
        }
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.heap_size += node.heap_size();
        let old_size = self.ring_size();
        self.nodes.insert(at, node);
        self.heap_size = self.heap_size - old_size + self.ring_size();
    }

    fn shrink(&mut self) {
        if self.nodes.capacity() > SHRINK_NODES_MIN && self.nodes.len() < self.nodes.capacity() / 4 {
            let old_size = self.ring_size();
            self.nodes.shrink_to(self.nodes.len() * 2);
            self.heap_size = self.heap_size - old_size + self.ring_size();
        }
    }

    fn ring_size(&self) -> usize {
        size_class(self.nodes.capacity() * size_of::<Node>())
    }

    /// What must hold after every change.
    #[cfg(test)]
    pub(super) fn check(&self, limit: NodeLimit) {
        assert_eq!(self.len, self.nodes.iter().map(Node::len).sum::<usize>());
        let node_bytes = self.nodes.iter().map(Node::heap_size).sum::<usize>();
        assert_eq!(self.heap_size, self.ring_size() + node_bytes);
        for node in &self.nodes {
            assert!(!node.is_empty(), "no empty nodes");
            assert!(node.len() == 1 || limit.allows(node.size(), node.len()), "no node beyond the limit");
            assert!(
                node.len() == 1 || node.view().iter().all(|item| !limit.is_alone(item)),
                "alone is alone"
            );
            let view = node.view();
            assert_eq!(view.iter().count(), view.len());
        }
    }
}

fn position(node: &Node, index: usize) -> usize {
    node.view().position(index).unwrap_or(node.size())
}
