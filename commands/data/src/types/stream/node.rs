//! A node: a run of entries in one piece of memory.
//!
//! The bytes are those of a listpack in Redis' stream nodes, without its header, its end mark and the two counts that
//! come first there: the fields of the node's first entry, and then the entries, whose IDs are differences to the
//! node's own and which name their fields only if they differ from the first entry's.
//!
//! ```text
//! n field-1 ... field-n 0     entry entry ...
//! entry with the same fields:  flags ms seq value-1 ... value-n count
//! any other entry:             flags ms seq n field-1 value-1 ... field-n value-n count
//! ```
//!
//! `count` is the number of items of the entry before it, so that a node can be walked backwards. A deleted entry stays
//! where it is, with a flag set; when XDEL deletes the last live one the node goes.

use super::id::StreamId;
use crate::keyspace::{shrink_to_class, size_class};
use crate::types::packed::{self, Item};

/// The entry is deleted.
const DELETED: i64 = 1;
/// The entry has the fields of the node's first.
const SAME_FIELDS: i64 = 2;

/// Items of every entry besides fields and values: flags, milliseconds, sequence.
const FIXED_ITEMS: usize = 3;

/// Bytes of an item besides its text, about.
const HEAD_AND_BACK_SIZE: usize = 3;

/// Bytes of a listpack that are not kept here: size, number of items, end mark.
const LISTPACK_FRAME: usize = 7;

/// A run of entries. It does not know its own ID, which is that of its first entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    bytes: Vec<u8>,
    /// Where the entries begin.
    start: u32,
    live: u32,
    deleted: u32,
}

/// Bytes that are not a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedNode;

impl std::fmt::Display for MalformedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed stream node")
    }
}

impl std::error::Error for MalformedNode {}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
}

/// The fields and values of an entry, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Names, where they are those of the node's first entry.
    names: Option<&'a [u8]>,
    values: &'a [u8],
    len: usize,
}

impl Fields<'_> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true for what XADD stored.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.len = self.len.checked_sub(1)?;
        let name = take(self.names.as_mut().unwrap_or(&mut self.values));
        Some((name, take(&mut self.values)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Fields<'_> {}

fn take<'a>(entries: &mut &'a [u8]) -> Item<'a> {
    let (item, size) = packed::read_entry(entries);
    *entries = &entries[size..];
    item
}

/// Where an entry is and what its head says.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Offset of its flags.
    at: usize,
    /// Offset of what follows its ID.
    body: usize,
    flags: i64,
    id: StreamId,
}

/// What makes a node full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0: only what a listpack can hold.
    pub bytes_max: usize,
    /// `stream-node-max-entries`, deleted ones included; 0: any number.
    pub entries_max: u64,
}

/// Most bytes of fields and values of one entry, and of a node without other limit. Redis cannot hold more.
pub const NODE_SIZE_MAX: usize = 1 << 30;

impl Node {
    /// A node without entries, for entries with these fields (`pair(i)` gives the name of field `i` and its value).
    pub fn new<'p>(len: usize, pair: impl Fn(usize) -> (&'p [u8], &'p [u8])) -> Self {
        let mut bytes = Vec::new();
        packed::push_entry(&mut bytes, len as i64);
        for i in 0..len {
            packed::push_entry(&mut bytes, pair(i).0);
        }
        packed::push_entry(&mut bytes, 0i64);
        let start = u32::try_from(bytes.len()).expect("what one entry may hold is limited");
        Self { bytes, start, live: 0, deleted: 0 }
    }

    /// The node of a listpack without its frame: `live` and `deleted` entries, then the bytes as documented above.
    /// `master` is its ID. O(size).
    pub fn from_parts(
        master: StreamId,
        live: u32,
        deleted: u32,
        bytes: Vec<u8>,
    ) -> Result<Self, MalformedNode> {
        let mut node = Self { bytes, start: 0, live, deleted };
        node.start = node.check(master).ok_or(MalformedNode)?;
        Ok(node)
    }

    /// Live and deleted entries, and the bytes as documented above: what a listpack is made of.
    pub fn parts(&self) -> (u32, u32, &[u8]) {
        (self.live, self.deleted, &self.bytes)
    }

    /// Number of entries that are not deleted.
    pub fn live(&self) -> u64 {
        u64::from(self.live)
    }

    /// Number of all entries.
    fn len(&self) -> u64 {
        u64::from(self.live) + u64::from(self.deleted)
    }

    /// Bytes it takes as a listpack, which is what `stream-node-max-bytes` limits.
    pub fn listpack_size(&self) -> usize {
        let counts = [self.live, self.deleted].map(|count| Item::Int(i64::from(count)).entry_size());
        LISTPACK_FRAME + counts[0] + counts[1] + self.bytes.len()
    }

    /// True when an entry of `size` bytes of fields and values goes into another node.
    pub fn is_full_for(&self, size: usize, limits: NodeLimits) -> bool {
        let bytes_max = match limits.bytes_max {
            0 => NODE_SIZE_MAX,
            bytes => bytes.min(NODE_SIZE_MAX),
        };
        self.listpack_size() + size >= bytes_max
            || (limits.entries_max != 0 && self.len() >= limits.entries_max)
    }

    /// Adds an entry at the end. Its ID must be greater than those that are there.
    pub fn push<'p>(
        &mut self,
        master: StreamId,
        id: StreamId,
        len: usize,
        pair: impl Fn(usize) -> (&'p [u8], &'p [u8]),
    ) {
        let same = self.has_fields(len, &pair);
        self.reserve(len, &pair);
        let bytes = &mut self.bytes;
        packed::push_entry(bytes, if same { SAME_FIELDS } else { 0 });
        // Differences are written as the signed numbers with the same bits, as Redis does.
        packed::push_entry(bytes, id.ms.wrapping_sub(master.ms) as i64);
        packed::push_entry(bytes, id.seq.wrapping_sub(master.seq) as i64);
        let mut items = FIXED_ITEMS + len;
        if !same {
            packed::push_entry(bytes, len as i64);
            items += len + 1;
        }
        for i in 0..len {
            let (name, value) = pair(i);
            if !same {
                packed::push_entry(bytes, name);
            }
            packed::push_entry(bytes, value);
        }
        packed::push_entry(bytes, items as i64);
        self.live += 1;
    }

    /// Makes room for an entry; somewhat more than it takes, but less than doubling the node would.
    fn reserve<'p>(&mut self, len: usize, pair: &impl Fn(usize) -> (&'p [u8], &'p [u8])) {
        let text: usize = (0..len).map(pair).map(|(name, value)| name.len() + value.len()).sum();
        let used = self.bytes.len();
        let wanted = used + text + HEAD_AND_BACK_SIZE * (2 * len + FIXED_ITEMS + 2);
        if wanted > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(wanted.max(used + used / 2)) - used);
        }
    }

    /// Gives spare memory back: nothing is added to the node any more.
    pub fn seal(&mut self) {
        shrink_to_class(&mut self.bytes);
    }

    /// Bytes of its allocation.
    pub fn heap_size(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    fn has_fields<'p>(&self, len: usize, pair: &impl Fn(usize) -> (&'p [u8], &'p [u8])) -> bool {
        let mut names = &self.bytes[..];
        take(&mut names) == Item::Int(len as i64)
            && (0..len).all(|i| take(&mut names) == Item::from(pair(i).0))
    }

    // ---- reading -------------------------------------------------------------------------------------------

    fn slot(&self, master: StreamId, at: usize) -> Slot {
        let (flags, ms, seq, body) = {
            let mut rest = &self.bytes[at..];
            let flags = int(take(&mut rest));
            let ms = int(take(&mut rest));
            let seq = int(take(&mut rest));
            (flags, ms, seq, self.bytes.len() - rest.len())
        };
        let id = StreamId::new(master.ms.wrapping_add(ms as u64), master.seq.wrapping_add(seq as u64));
        Slot { at, body, flags, id }
    }

    fn entry(&self, slot: Slot) -> Entry<'_> {
        let mut values = &self.bytes[slot.body..];
        let fields = if slot.flags & SAME_FIELDS == 0 {
            let len = int(take(&mut values)) as usize;
            Fields { names: None, values, len }
        } else {
            let mut names = &self.bytes[..];
            let len = int(take(&mut names)) as usize;
            Fields { names: Some(names), values, len }
        };
        Entry { id: slot.id, fields }
    }

    /// Offset of what follows the entry.
    fn after(&self, slot: Slot) -> usize {
        let mut rest = &self.bytes[slot.body..];
        let items = if slot.flags & SAME_FIELDS == 0 {
            2 * int(take(&mut rest)) as usize
        } else {
            int(packed::read_entry(&self.bytes).0) as usize
        };
        // The count behind the values as well.
        for _ in 0..=items {
            rest = &rest[packed::entry_size(rest)..];
        }
        self.bytes.len() - rest.len()
    }

    /// Offset of the entry that ends at `end`.
    fn before(&self, end: usize) -> usize {
        let mut at = end - packed::size_of_last_entry(&self.bytes[..end]);
        let items = int(packed::read_entry(&self.bytes[at..]).0);
        for _ in 0..items {
            at -= packed::size_of_last_entry(&self.bytes[..at]);
        }
        at
    }

    fn slots(&self, master: StreamId) -> impl Iterator<Item = Slot> {
        let mut at = self.start as usize;
        std::iter::from_fn(move || {
            (at < self.bytes.len()).then(|| {
                let slot = self.slot(master, at);
                at = self.after(slot);
                slot
            })
        })
    }

    /// Its live entries.
    pub fn entries(&self, master: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.slots(master).filter(|slot| slot.flags & DELETED == 0).map(|slot| self.entry(slot))
    }

    /// Its live entries from the last to the first.
    pub fn entries_backwards(&self, master: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let mut end = self.bytes.len();
        std::iter::from_fn(move || {
            while end > self.start as usize {
                end = self.before(end);
                let slot = self.slot(master, end);
                if slot.flags & DELETED == 0 {
                    return Some(self.entry(slot));
                }
            }
            None
        })
    }

    /// The ID of its first entry, deleted or not.
    pub fn first_id(&self, master: StreamId) -> StreamId {
        self.slot(master, self.start as usize).id
    }

    /// The ID of its last entry, deleted or not.
    pub fn last_id(&self, master: StreamId) -> StreamId {
        self.slot(master, self.before(self.bytes.len())).id
    }

    // ---- deleting ------------------------------------------------------------------------------------------

    /// Deletes the live entry with this ID; false if there is none.
    pub fn delete(&mut self, master: StreamId, id: StreamId) -> bool {
        let found = self.slots(master).find(|slot| slot.id >= id);
        match found {
            Some(slot) if slot.id == id && slot.flags & DELETED == 0 => {
                self.mark_deleted(slot);
                true
            }
            _ => false,
        }
    }

    /// Deletes live entries for as long as `goes` says, from the first on; those for which it says `Some(false)` are
    /// passed over. Returns how many were deleted.
    pub fn delete_while(&mut self, master: StreamId, mut goes: impl FnMut(StreamId) -> Option<bool>) -> u64 {
        let mut deleted = 0;
        let mut at = self.start as usize;
        while at < self.bytes.len() {
            let slot = self.slot(master, at);
            if slot.flags & DELETED == 0 {
                match goes(slot.id) {
                    Some(true) => {
                        self.mark_deleted(slot);
                        deleted += 1;
                    }
                    Some(false) => {}
                    None => break,
                }
            }
            at = self.after(slot);
        }
        deleted
    }

    fn mark_deleted(&mut self, slot: Slot) {
        let flags = u8::try_from(slot.flags | DELETED).expect("there are two flags");
        // A small integer is its own first byte, whatever its value.
        self.bytes[slot.at] = flags;
        self.live -= 1;
        self.deleted += 1;
    }

    // ---- checking ------------------------------------------------------------------------------------------

    /// Walks bytes of unknown origin; returns where the entries begin.
    fn check(&self, master: StreamId) -> Option<u32> {
        let mut rest = &self.bytes[..];
        let names = usize::try_from(checked_int(&mut rest)?).ok()?;
        for _ in 0..names {
            checked(&mut rest)?;
        }
        if checked_int(&mut rest)? != 0 {
            return None;
        }
        let start = u32::try_from(self.bytes.len() - rest.len()).ok()?;
        let (mut live, mut deleted) = (0u32, 0u32);
        let mut last = None;
        while !rest.is_empty() {
            let flags = checked_int(&mut rest)?;
            if !(0..=(DELETED | SAME_FIELDS)).contains(&flags) {
                return None;
            }
            let ms = master.ms.wrapping_add(checked_int(&mut rest)? as u64);
            let seq = master.seq.wrapping_add(checked_int(&mut rest)? as u64);
            let id = StreamId::new(ms, seq);
            if last.is_some_and(|last| last >= id) || id < master {
                return None;
            }
            last = Some(id);
            let mut items = FIXED_ITEMS;
            let more = if flags & SAME_FIELDS == 0 {
                items += 1;
                usize::try_from(checked_int(&mut rest)?).ok()?.checked_mul(2)?
            } else {
                names
            };
            for _ in 0..more {
                checked(&mut rest)?;
            }
            items = items.checked_add(more)?;
            if checked_int(&mut rest)? != items as i64 {
                return None;
            }
            if flags & DELETED == 0 {
                live += 1;
            } else {
                deleted += 1;
            }
        }
        (live == self.live && deleted == self.deleted && live + deleted > 0).then_some(start)
    }
}

fn checked<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let (item, size) = packed::read_checked_entry(rest)?;
    *rest = &rest[size..];
    Some(item)
}

fn checked_int(rest: &mut &[u8]) -> Option<i64> {
    match checked(rest)? {
        Item::Int(value) => Some(value),
        Item::Bytes(_) => None,
    }
}

fn int(item: Item<'_>) -> i64 {
    match item {
        Item::Int(value) => value,
        Item::Bytes(_) => unreachable!("a node's own numbers are written as integers"),
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({} live, {} deleted, {} bytes)", self.live, self.deleted, self.bytes.len())
    }
}
