//! The index of a stream's nodes by the ID of their first entry.
//!
//! The last node, which entries are added to, stands beside the tree: adding finds it at once, and a stream of one node
//! needs no tree at all.
//!
//! Redis keeps its nodes in a radix tree over the 16 bytes of their IDs, and XINFO STREAM tells how many nodes that tree
//! has. There is none here, but what it would have is counted: it follows from the IDs alone.

use std::collections::BTreeMap;

use super::btree_size;
use super::id::StreamId;
use super::node::Node;

/// Bytes of an ID, and so the depth of the leaves of Redis' tree.
const DEPTH: u32 = 16;

/// All nodes of a stream.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    sealed: BTreeMap<u128, Node>,
    last: Option<(u128, Node)>,
    /// Bytes of the nodes' allocations.
    node_bytes: usize,
    /// Nodes of Redis' radix tree besides its root.
    radix_len: u64,
}

/// A clone has no spare capacity, so its size is another.
impl Clone for Nodes {
    fn clone(&self) -> Self {
        let (sealed, last) = (self.sealed.clone(), self.last.clone());
        let node_bytes = sealed.values().chain(last.iter().map(|(_, node)| node)).map(Node::heap_size).sum();
        Self { sealed, last, node_bytes, radix_len: self.radix_len }
    }
}

impl PartialEq for Nodes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.ascending_from(0).eq(other.ascending_from(0))
    }
}

impl Nodes {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.sealed.len() + usize::from(self.last.is_some())
    }

    /// Number of nodes of the radix tree Redis would have for them.
    pub(super) fn radix_len(&self) -> u64 {
        // Without keys there is just the root; the first key makes it part of its path.
        if self.last.is_none() { 1 } else { self.radix_len }
    }

    pub(super) fn heap_size(&self) -> usize {
        self.node_bytes + btree_size::<u128, Node>(self.sealed.len())
    }

    /// The nodes that may hold entries from `id` on, in order.
    pub(super) fn ascending_from(&self, id: u128) -> impl Iterator<Item = (StreamId, &Node)> {
        let only_last = self.last.as_ref().is_some_and(|(master, _)| *master <= id);
        let sealed = (!only_last).then(|| {
            let first = self.sealed.range(..=id).next_back().map_or(id, |(master, _)| *master);
            self.sealed.range(first..).map(|(master, node)| (*master, node))
        });
        let last = self.last.iter().map(|(master, node)| (*master, node));
        sealed.into_iter().flatten().chain(last).map(|(master, node)| (master.into(), node))
    }

    /// The nodes that may hold entries up to `id`, from the last to the first.
    pub(super) fn descending_from(&self, id: u128) -> impl Iterator<Item = (StreamId, &Node)> {
        let last = self.last.iter().map(|(master, node)| (*master, node));
        let last = last.filter(move |(master, _)| *master <= id);
        let sealed = self.sealed.range(..=id).rev().map(|(master, node)| (*master, node));
        last.chain(sealed).map(|(master, node)| (master.into(), node))
    }

    /// The first node.
    pub(super) fn first(&self) -> Option<(StreamId, &Node)> {
        self.at_or_after(StreamId::MIN)
    }

    /// The first node whose own ID is not before `id`.
    pub(super) fn at_or_after(&self, id: StreamId) -> Option<(StreamId, &Node)> {
        let id = u128::from(id);
        let last =
            self.last.as_ref().filter(|(master, _)| *master >= id).map(|(master, node)| (master, node));
        let found = self.sealed.range(id..).next().or(last);
        found.map(|(master, node)| (StreamId::from(*master), node))
    }

    /// The node that entries are added to.
    pub(super) fn last(&self) -> Option<&Node> {
        self.last.as_ref().map(|(_, node)| node)
    }

    /// Changes the last node.
    pub(super) fn change_last(&mut self, change: impl FnOnce(StreamId, &mut Node)) {
        if let Some((master, node)) = &mut self.last {
            self.node_bytes -= node.heap_size();
            change((*master).into(), node);
            self.node_bytes += node.heap_size();
        }
    }

    /// Changes the node which may hold `id`, and removes it if `remove` is set and that killed the last live
    /// entry in it.
    pub(super) fn change<R>(
        &mut self,
        id: StreamId,
        remove: bool,
        change: impl FnOnce(StreamId, &mut Node) -> R,
    ) -> Option<R> {
        let id = u128::from(id);
        let (master, node) = match &mut self.last {
            Some((master, node)) if *master <= id => (*master, node),
            _ => self.sealed.range_mut(..=id).next_back().map(|(master, node)| (*master, node))?,
        };
        let (before, live_before) = (node.heap_size(), node.live());
        let result = change(master.into(), node);
        let (after, live) = (node.heap_size(), node.live());
        self.node_bytes = self.node_bytes - before + after;
        if remove && live == 0 && live_before > 0 {
            self.remove(master.into());
        }
        Some(result)
    }

    /// Adds a node behind all others; they get no more entries.
    pub(super) fn push(&mut self, master: StreamId, node: Node) {
        let master = u128::from(master);
        self.change_last(|_, node| node.seal());
        if let Some((master, node)) = self.last.take() {
            self.sealed.insert(master, node);
        }
        self.radix_len += self.radix_change(master);
        self.node_bytes += node.heap_size();
        self.last = Some((master, node));
    }

    /// Removes a node, which must be there.
    pub(super) fn remove(&mut self, master: StreamId) {
        let master = u128::from(master);
        let removed = if self.last.as_ref().is_some_and(|(last, _)| *last == master) {
            let removed = self.last.take();
            self.last = self.sealed.pop_last();
            removed.map(|(_, node)| node)
        } else {
            self.sealed.remove(&master)
        };
        debug_assert!(removed.is_some(), "only a node that was found is removed");
        if let Some(node) = removed {
            self.node_bytes -= node.heap_size();
            self.radix_len -= self.radix_change(master);
        }
    }

    // ---- Redis' radix tree ---------------------------------------------------------------------------------
    //
    // A node of that tree is a leaf, a fork, or a run of bytes without fork between two of those (or from the root on).

    /// By how many nodes the radix tree grows with `key`, which is not one of those here.
    fn radix_change(&self, key: u128) -> u64 {
        let Some(shared) = self.neighbours(key).map(|other| (key ^ other).leading_zeros() / 8).max() else {
            // A run of all bytes, and the leaf.
            return 2;
        };
        // A run from behind the fork to the leaf, unless the fork is the leaf's parent; and the leaf.
        let own = 1 + u64::from(shared + 1 < DEPTH);
        let (low, high) = self.below(key, shared).expect("the neighbour is below the fork");
        if byte(low, shared) != byte(high, shared) {
            return own;
        }
        // The fork is new, in the middle of a run or at one of its ends. What is left of the run before it stays one
        // node, if anything is left.
        let is_run_start = shared == 0 || self.forks(low, shared - 1);
        let rest_is_run = shared + 1 < DEPTH && !self.forks(low, shared + 1);
        own + 1 + u64::from(rest_is_run) - u64::from(is_run_start)
    }

    /// The keys on either side of `key`.
    fn neighbours(&self, key: u128) -> impl Iterator<Item = u128> {
        self.key_at_or_before(key).into_iter().chain(self.key_at_or_after(key))
    }

    fn key_at_or_before(&self, key: u128) -> Option<u128> {
        let last = self.last.as_ref().map(|(master, _)| *master).filter(|master| *master <= key);
        last.or_else(|| self.sealed.range(..=key).next_back().map(|(master, _)| *master))
    }

    fn key_at_or_after(&self, key: u128) -> Option<u128> {
        let sealed = self.sealed.range(key..).next().map(|(master, _)| *master);
        sealed.or_else(|| self.last.as_ref().map(|(master, _)| *master).filter(|master| *master >= key))
    }

    /// The lowest and the highest key with the first `depth` bytes of `key`.
    fn below(&self, key: u128, depth: u32) -> Option<(u128, u128)> {
        let rest = u128::MAX.checked_shr(8 * depth).unwrap_or(0);
        let (from, to) = (key & !rest, key | rest);
        let low = self.key_at_or_after(from).filter(|low| *low <= to)?;
        let high = self.key_at_or_before(to)?;
        Some((low, high))
    }

    /// True if keys with the first `depth` bytes of `key` differ in the next one.
    fn forks(&self, key: u128, depth: u32) -> bool {
        self.below(key, depth).is_some_and(|(low, high)| byte(low, depth) != byte(high, depth))
    }
}

fn byte(key: u128, index: u32) -> u8 {
    (key >> (8 * (DEPTH - 1 - index))) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let mut node = Node::new(1, |_| (b"f", b"v"));
        node.push(StreamId::MIN, StreamId::MIN, 1, |_| (b"f", b"v"));
        node
    }

    /// Counts by building the tree: every prefix is a vertex.
    fn counted(keys: &[u128]) -> u64 {
        fn walk(keys: &[u128], depth: u32, in_run: bool) -> u64 {
            if depth == DEPTH {
                return 1;
            }
            let mut groups: BTreeMap<u8, Vec<u128>> = BTreeMap::new();
            for key in keys {
                groups.entry(byte(*key, depth)).or_default().push(*key);
            }
            let is_run = groups.len() == 1;
            let own = u64::from(!(is_run && in_run));
            own + groups.values().map(|keys| walk(keys, depth + 1, is_run)).sum::<u64>()
        }
        if keys.is_empty() { 1 } else { walk(keys, 0, false) }
    }

    #[test]
    fn the_radix_tree_is_counted_without_one() {
        let mut random = 0x1234_5678_9abc_def0_u64;
        for round in 0..60 {
            let mut nodes = Nodes::default();
            let mut keys: Vec<u128> = Vec::new();
            let mut next = 0_u128;
            for _ in 0..120 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bits = random >> 20;
                if bits.is_multiple_of(3) && !keys.is_empty() {
                    let key = keys.remove((bits >> 8) as usize % keys.len());
                    nodes.remove(key.into());
                } else {
                    // Steps from one unit to jumps over many bytes.
                    next += (1 + u128::from((bits >> 16) & 0xff))
                        << (8 * ((bits >> 3) as u32 % (2 + round % 12)));
                    nodes.push(next.into(), node());
                    keys.push(next);
                }
                assert_eq!(nodes.radix_len(), counted(&keys), "round {round}: {keys:x?}");
                assert_eq!(nodes.len(), keys.len());
            }
        }
    }

    #[test]
    fn nodes_are_found_from_both_ends() {
        let mut nodes = Nodes::default();
        for id in [10, 20, 30] {
            nodes.push(StreamId::new(0, id), node());
        }
        let forward = |id| nodes.ascending_from(id).map(|(id, _)| id.seq).collect::<Vec<_>>();
        let backward = |id| nodes.descending_from(id).map(|(id, _)| id.seq).collect::<Vec<_>>();
        assert_eq!(forward(0), [10, 20, 30]);
        assert_eq!(forward(19), [10, 20, 30]);
        assert_eq!(forward(20), [20, 30]);
        assert_eq!(forward(29), [20, 30]);
        assert_eq!(forward(99), [30], "the last one is looked into, whatever its end");
        assert_eq!(backward(9), [] as [u64; 0]);
        assert_eq!(backward(29), [20, 10]);
        assert_eq!(backward(99), [30, 20, 10]);
    }
}
