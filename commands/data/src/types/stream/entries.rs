//! The entries of a stream, and the counters that go with them.

use std::cmp::Ordering;

use super::id::StreamId;
use super::node::{Entry, Node, NodeLimits};
use super::nodes::Nodes;

/// All entries, in the order of their IDs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    nodes: Nodes,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

/// The counters as a file holds them; see [`Entries::restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The ID of the first live entry, `0-0` without any.
    pub first_id: StreamId,
    /// The ID after which entries may be added.
    pub last_id: StreamId,
    /// The greatest ID that XDEL deleted, `0-0` if none.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub added: u64,
}

/// Which entries trimming takes away, from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// All but this many.
    MaxLen(u64),
    /// Those before this ID.
    MinId(StreamId),
}

/// How thoroughly entries are trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// To the entry.
    Exact,
    /// Whole nodes only, and not more entries than this (0: any number).
    Nodes {
        /// The most entries.
        limit: u64,
    },
}

impl Entries {
    /// The entries of a file: nodes in ascending order of their IDs, with the counters; `None` if they do not ascend.
    pub fn restore(nodes: impl IntoIterator<Item = (StreamId, Node)>, counters: Counters) -> Option<Self> {
        let mut entries = Self {
            nodes: Nodes::default(),
            len: 0,
            first_id: counters.first_id,
            last_id: counters.last_id,
            max_deleted_id: counters.max_deleted_id,
            added: counters.added,
        };
        let mut before = None;
        for (master, node) in nodes {
            if before.is_some_and(|before| before >= node.first_id(master) || before >= master) {
                return None;
            }
            before = Some(node.last_id(master));
            entries.len += node.live();
            entries.nodes.push(master, node);
        }
        // A file that says otherwise is believed in all but this.
        entries.last_id = entries.last_id.max(before.unwrap_or(StreamId::MIN));
        Some(entries)
    }

    /// The nodes with their IDs, as files hold them.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &Node)> {
        self.nodes.ascending_from(0)
    }

    /// Number of nodes.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes of the radix tree in which Redis would keep them.
    pub fn radix_len(&self) -> u64 {
        self.nodes.radix_len()
    }

    /// Number of live entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ID of the first live entry, `0-0` without any.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The ID after which entries may be added: that of the last entry ever, or what XSETID said.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest ID that XDEL deleted, `0-0` if none.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added, as far as is known.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Bytes of all allocations.
    pub fn heap_size(&self) -> usize {
        self.nodes.heap_size()
    }

    // ---- reading -------------------------------------------------------------------------------------------

    /// The live entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let nodes = self.nodes.ascending_from(start.into()).take_while(move |(master, _)| *master <= end);
        let entries = nodes.flat_map(|(master, node)| node.entries(master));
        entries.skip_while(move |entry| entry.id < start).take_while(move |entry| entry.id <= end)
    }

    /// The same from `end` to `start`.
    pub fn range_backwards(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let entries =
            self.nodes.descending_from(end.into()).flat_map(|(master, node)| node.entries_backwards(master));
        entries.skip_while(move |entry| entry.id > end).take_while(move |entry| entry.id >= start)
    }

    /// The live entry with this ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The ID of the last live entry.
    pub fn last_live_id(&self) -> Option<StreamId> {
        if self.len == 0 {
            return None;
        }
        self.range_backwards(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The ID of the first entry in memory, deleted or not; the last possible ID if there is none.
    pub fn first_stored_id(&self) -> StreamId {
        self.nodes.first().map_or(StreamId::MAX, |(master, node)| node.first_id(master))
    }

    // ---- adding --------------------------------------------------------------------------------------------

    /// Adds an entry; `pair(i)` gives the name and the value of field `i` of `len`. Amortised O(size of the entry).
    ///
    /// The ID must be greater than [`Self::last_id`], and the texts together no longer than
    /// [`NODE_SIZE_MAX`](super::NODE_SIZE_MAX).
    pub fn add<'p>(
        &mut self,
        id: StreamId,
        limits: NodeLimits,
        len: usize,
        pair: impl Fn(usize) -> (&'p [u8], &'p [u8]),
    ) {
        debug_assert!(id > self.last_id, "IDs ascend");
        let size = (0..len).map(&pair).map(|(name, value)| name.len() + value.len()).sum();
        if self.nodes.last().is_some_and(|node| !node.is_full_for(size, limits)) {
            self.nodes.change_last(|master, node| node.push(master, id, len, pair));
        } else {
            let mut node = Node::new(len, &pair);
            node.push(id, id, len, pair);
            self.nodes.push(id, node);
        }
        self.len += 1;
        self.added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    /// Sets what XSETID sets; `added` and `max_deleted_id` stay if they are `None`.
    pub fn set_counters(&mut self, last_id: StreamId, added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.added = added.unwrap_or(self.added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }

    // ---- deleting ------------------------------------------------------------------------------------------

    /// Deletes the live entry with this ID; false if there is none. O(log nodes + entries of the node).
    pub fn delete(&mut self, id: StreamId) -> bool {
        if self.nodes.change(id, true, |master, node| node.delete(master, id)) != Some(true) {
            return false;
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    fn find_first(&mut self) {
        // Everything before the old one is deleted.
        let first = self.range(self.first_id, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or(StreamId::MIN);
    }

    /// Removes entries from the first on and returns how many; `removed` gets the ID of each.
    ///
    /// O(1) per node that goes as a whole if `removed` is `None`, else O(1) per entry.
    pub fn trim(&mut self, trim: Trim, exactness: Exactness, mut removed: Option<&mut Vec<StreamId>>) -> u64 {
        let mut trimmed = 0;
        while let Some((master, node)) = self.nodes.first() {
            let live = node.live();
            let whole = match trim {
                Trim::MaxLen(len) if self.len <= len => break,
                Trim::MaxLen(len) => self.len - live >= len,
                Trim::MinId(id) => node.last_id(master) < id,
            };
            if let Exactness::Nodes { limit } = exactness
                && (!whole || (limit != 0 && trimmed + live > limit))
            {
                break;
            }
            if whole {
                if let Some(removed) = &mut removed {
                    removed.extend(node.entries(master).map(|entry| entry.id));
                }
                self.nodes.remove(master);
                self.len -= live;
                trimmed += live;
                continue;
            }
            trimmed += self.trim_node(master, trim, removed.as_deref_mut());
            break;
        }
        if trimmed > 0 {
            self.find_first();
        }
        trimmed
    }

    /// Removes single entries of the first node, which keeps some.
    fn trim_node(&mut self, master: StreamId, trim: Trim, mut removed: Option<&mut Vec<StreamId>>) -> u64 {
        let mut len = self.len;
        // As in Redis the node stays even if only deleted entries are left in it.
        let trimmed = self.nodes.change(master, false, |master, node| {
            node.delete_while(master, |id| {
                let goes = match trim {
                    Trim::MaxLen(max) => len > max,
                    Trim::MinId(min) => id < min,
                };
                if goes {
                    len -= 1;
                    if let Some(removed) = &mut removed {
                        removed.push(id);
                    }
                }
                goes.then_some(true)
            })
        });
        self.len = len;
        trimmed.unwrap_or(0)
    }

    /// As [`Self::trim`], but passes over entries for which `may_go` is false. In whole nodes, one with such an entry
    /// ends it.
    pub fn trim_if(&mut self, trim: Trim, exactness: Exactness, may_go: impl Fn(StreamId) -> bool) -> u64 {
        let mut trimmed = 0;
        let mut next = Some(StreamId::MIN);
        while let Some((master, node)) = next.and_then(|from| self.nodes.at_or_after(from)) {
            let live = node.live();
            next = node.last_id(master).successor();
            let whole = match trim {
                Trim::MaxLen(len) if self.len <= len => break,
                Trim::MaxLen(len) => self.len - live >= len,
                Trim::MinId(id) if master >= id => break,
                Trim::MinId(id) => node.last_id(master) < id,
            };
            if let Exactness::Nodes { limit } = exactness {
                let goes = whole && node.entries(master).all(|entry| may_go(entry.id));
                if !goes || (limit != 0 && trimmed + live > limit) {
                    break;
                }
            }
            let mut len = self.len;
            let deleted = self.nodes.change(master, true, |master, node| {
                node.delete_while(master, |id| {
                    let wanted = match trim {
                        Trim::MaxLen(max) => len > max,
                        Trim::MinId(min) => id < min,
                    };
                    let goes = wanted && may_go(id);
                    len -= u64::from(goes);
                    wanted.then_some(goes)
                })
            });
            self.len = len;
            trimmed += deleted.unwrap_or(0);
        }
        if trimmed > 0 {
            self.find_first_anywhere();
        }
        trimmed
    }

    fn find_first_anywhere(&mut self) {
        self.first_id = StreamId::MIN;
        self.find_first();
    }

    // ---- counting what was read ----------------------------------------------------------------------------

    /// True if an entry from `id` on was deleted by XDEL, as far as is known: counts from there on are no good then.
    pub fn is_fragmented_from(&self, id: StreamId) -> bool {
        self.len > 0
            && !self.max_deleted_id.is_zero()
            && self.first_id <= self.max_deleted_id
            && id <= self.max_deleted_id
    }

    /// How many entries were added up to `id` (which need not exist), where that can be told: at the ends of the
    /// stream, if nothing was deleted in between.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if (self.len == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.added);
        }
        if id > self.last_id || (!self.max_deleted_id.is_zero() && self.max_deleted_id >= self.first_id) {
            return None;
        }
        // What XSETID said may be less than what there is.
        let before = self.added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            Ordering::Less => Some(before),
            Ordering::Equal => Some(before.wrapping_add(1)),
            Ordering::Greater => None,
        }
    }
}
