//! Consumer groups: how far a group has read, and who has what of it.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::btree_size;
use super::id::StreamId;
use crate::keyspace::size_class;

/// A consumer's place in its group. It stays the same for as long as the consumer exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// Stands for "no consumer" in a [`Pending`].
const NOBODY: ConsumerId = ConsumerId(u32::MAX);

/// An entry that was delivered and is not acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Unix time of the last delivery in milliseconds; below 0 it only orders what was given back.
    delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    owner: ConsumerId,
}

impl Pending {
    /// Who has it; nobody has what was given back (XNACK).
    pub fn owner(&self) -> Option<ConsumerId> {
        (self.owner != NOBODY).then_some(self.owner)
    }

    /// Unix time of the last delivery in milliseconds; 0 for what was given back.
    pub fn delivered_ms(&self) -> i64 {
        if self.owner == NOBODY { 0 } else { self.delivered_ms }
    }

    /// True if it was delivered at least so long ago, or given back.
    pub fn is_idle_for(&self, idle_ms: i64, now_ms: i64) -> bool {
        self.owner == NOBODY || now_ms.saturating_sub(self.delivered_ms) >= idle_ms
    }
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// Unix time in milliseconds at which it last asked for something.
    pub seen_ms: i64,
    /// Unix time in milliseconds at which it last got something; `None` if it never did.
    pub active_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of entries it has.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The IDs of the entries it has, from `start` on.
    pub fn pending(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(start..).copied()
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    /// The same by time, for groups that were ever asked who waits longest.
    by_time: Option<BTreeSet<(i64, StreamId)>>,
    /// The time of the next entry that is given back: below 0, ascending.
    next_released: Option<i64>,
    released_len: usize,
    consumers: Vec<Option<Consumer>>,
    /// Places of the consumers in the order of their names.
    by_name: Vec<u32>,
    /// Free places.
    free: Vec<u32>,
    names_size: usize,
}

/// Equal if they deliver the same to the same consumers from here on. Times are left out: they are those of the server
/// that was asked, and a copy made from its effects has its own.
impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        let pending = |group: &Self| -> Vec<_> {
            let of = |(id, pending): (&StreamId, &Pending)| {
                let owner = pending.owner().map(|owner| group.consumer(owner).name.clone());
                (*id, pending.deliveries, owner)
            };
            group.pending.iter().map(of).collect()
        };
        let names = |group: &Self| -> Vec<_> { group.consumers().map(|(_, who)| who.name.clone()).collect() };
        (self.last_id, self.entries_read, names(self)) == (other.last_id, other.entries_read, names(other))
            && pending(self) == pending(other)
    }
}

impl Group {
    /// A group that has read up to `last_id`; that was `entries_read` entries, if that is known.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// The ID of the last entry that was delivered to anyone.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many entries were read up to [`Self::last_id`], if that is known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Goes to another place in the stream.
    pub fn set_position(&mut self, last_id: StreamId, entries_read: Option<u64>) {
        self.last_id = last_id;
        self.entries_read = entries_read;
    }

    /// Bytes of all allocations. O(1).
    pub fn heap_size(&self) -> usize {
        let owned = self.pending.len() - self.released_len;
        let consumers = self.by_name.len();
        // Each consumer's tree has a leaf that is not full.
        let sets = btree_size::<StreamId, ()>(owned)
            + if owned > 0 { consumers.min(owned) * btree_size::<StreamId, ()>(1) } else { 0 };
        let by_time = self.by_time.as_ref().map_or(0, |times| btree_size::<(i64, StreamId), ()>(times.len()));
        // By lengths, not by capacities, which a clone does not have.
        let places = size_class(self.consumers.len() * size_of::<Option<Consumer>>())
            + size_class(consumers * size_of::<u32>())
            + size_class(self.free.len() * size_of::<u32>());
        btree_size::<StreamId, Pending>(self.pending.len()) + sets + by_time + places + self.names_size
    }

    // ---- consumers -----------------------------------------------------------------------------------------

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.by_name.len()
    }

    /// All consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_name.iter().map(|place| (ConsumerId(*place), self.consumer(ConsumerId(*place))))
    }

    /// The place of the consumer with this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.rank(name).ok().map(|rank| ConsumerId(self.by_name[rank]))
    }

    /// The consumer at a place of this group.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect("a consumer is asked for while it exists")
    }

    /// The consumer at a place of this group, to note its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect("a consumer is asked for while it exists")
    }

    /// Finds the consumer with this name or creates it; true with a new one. O(log consumers), O(consumers) for a new
    /// one.
    pub fn consumer_named(&mut self, name: &[u8], now_ms: i64) -> (ConsumerId, bool) {
        let rank = match self.rank(name) {
            Ok(rank) => return (ConsumerId(self.by_name[rank]), false),
            Err(rank) => rank,
        };
        let consumer =
            Consumer { name: name.into(), seen_ms: now_ms, active_ms: None, pending: BTreeSet::new() };
        let place = if let Some(place) = self.free.pop() {
            self.consumers[place as usize] = Some(consumer);
            place
        } else {
            self.consumers.push(Some(consumer));
            u32::try_from(self.consumers.len() - 1).expect("fewer than 2^32 consumers fit into memory")
        };
        self.by_name.insert(rank, place);
        self.names_size += size_class(name.len());
        (ConsumerId(place), true)
    }

    /// Deletes a consumer with all that is pending for it, and says how much that was.
    pub fn delete_consumer(&mut self, id: ConsumerId) -> usize {
        let rank = self.consumers[id.0 as usize].as_ref().and_then(|who| self.rank(&who.name).ok());
        if let Some(rank) = rank {
            self.by_name.remove(rank);
        }
        let Some(consumer) = self.consumers[id.0 as usize].take() else { return 0 };
        for entry in &consumer.pending {
            if let Some(pending) = self.pending.remove(entry) {
                self.forget_time(*entry, pending);
            }
        }
        self.free.push(id.0);
        self.names_size -= size_class(consumer.name.len());
        consumer.pending.len()
    }

    fn rank(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|place| (*self.consumer(ConsumerId(*place)).name).cmp(name))
    }

    // ---- pending entries -----------------------------------------------------------------------------------

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Number of pending entries that nobody has.
    pub fn released_len(&self) -> usize {
        self.released_len
    }

    /// What was given back, in that order, and how often each was delivered before. O(pending) if there is any.
    pub fn released(&self) -> Vec<(StreamId, u64)> {
        if self.released_len == 0 {
            return Vec::new();
        }
        let released = self.pending.iter().filter(|(_, pending)| pending.owner == NOBODY);
        let mut released: Vec<_> = released.collect();
        released.sort_unstable_by_key(|(_, pending)| pending.delivered_ms);
        released.into_iter().map(|(id, pending)| (*id, pending.deliveries)).collect()
    }

    /// What is pending, in the order of IDs.
    pub fn pending(&self) -> btree_map::Iter<'_, StreamId, Pending> {
        self.pending.iter()
    }

    /// What is pending, from an ID on.
    pub fn pending_from(&self, start: StreamId) -> btree_map::Range<'_, StreamId, Pending> {
        self.pending.range(start..)
    }

    /// The lowest and the highest pending ID.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// The pending entry with this ID.
    pub fn get_pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(&id).copied()
    }

    /// Makes an entry pending for a consumer, whoever had it before, as delivered at `at_ms` for the `deliveries`th
    /// time.
    pub fn deliver(&mut self, id: StreamId, owner: ConsumerId, at_ms: i64, deliveries: u64) {
        // Times before 1970 are nobody's, and would be taken for an order.
        self.put(id, Pending { delivered_ms: at_ms.max(0), deliveries, owner });
    }

    /// Takes an entry from its consumer (or makes it pending for nobody) without acknowledging it: it is the next to be
    /// claimed, after those that were given back before.
    pub fn release(&mut self, id: StreamId, deliveries: u64) {
        let order = self.next_released.unwrap_or(i64::MIN);
        self.next_released = Some(order + 1);
        self.put(id, Pending { delivered_ms: order, deliveries, owner: NOBODY });
    }

    fn put(&mut self, id: StreamId, pending: Pending) {
        let before = self.pending.insert(id, pending);
        if let Some(before) = before {
            self.forget_time(id, before);
            if before.owner != pending.owner && before.owner != NOBODY {
                self.consumer_mut(before.owner).pending.remove(&id);
            }
        }
        if pending.owner == NOBODY {
            self.released_len += 1;
        } else if before.is_none_or(|before| before.owner != pending.owner) {
            self.consumer_mut(pending.owner).pending.insert(id);
        }
        if let Some(times) = &mut self.by_time {
            times.insert((pending.delivered_ms, id));
        }
    }

    /// Acknowledges an entry: it is not pending any more. False if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if pending.owner != NOBODY {
            self.consumer_mut(pending.owner).pending.remove(&id);
        }
        self.forget_time(id, pending);
        true
    }

    /// Notes that a pending entry is gone or has got another time.
    fn forget_time(&mut self, id: StreamId, before: Pending) {
        if before.owner == NOBODY {
            self.released_len -= 1;
        }
        if let Some(times) = &mut self.by_time {
            times.remove(&(before.delivered_ms, id));
        }
    }

    /// What is pending for longest: first what was given back, in that order, then by the time of delivery.
    ///
    /// O(1) per entry; O(pending) the first time, after which the order is kept.
    pub fn pending_longest(&mut self) -> impl Iterator<Item = (StreamId, Pending)> {
        let (pending, by_time) = (&self.pending, &mut self.by_time);
        let times = by_time
            .get_or_insert_with(|| pending.iter().map(|(id, pending)| (pending.delivered_ms, *id)).collect());
        times.iter().map(|(_, id)| (*id, pending[id]))
    }
}

/// All groups of a stream, by name.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: BTreeMap<Box<[u8]>, Box<Group>>,
    /// Bytes behind the groups and their names.
    size: usize,
}

/// Equal if the groups are: their sizes tell also which questions they were asked.
impl PartialEq for Groups {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups
    }
}

impl Groups {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group with this name.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// All groups, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// Changes the group with this name; `None` if there is none.
    pub fn change<R>(&mut self, name: &[u8], change: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        self.size -= group.heap_size();
        let result = change(group);
        self.size += group.heap_size();
        Some(result)
    }

    /// Changes all groups, in the order of their names.
    pub fn change_each(&mut self, mut change: impl FnMut(&mut Group)) {
        for group in self.groups.values_mut() {
            self.size -= group.heap_size();
            change(group);
            self.size += group.heap_size();
        }
    }

    /// Adds a group; false if the name is taken.
    pub fn add(&mut self, name: &[u8], group: Group) -> bool {
        match self.groups.entry(name.into()) {
            btree_map::Entry::Occupied(_) => false,
            btree_map::Entry::Vacant(entry) => {
                self.size += size_class(name.len()) + size_class(size_of::<Group>()) + group.heap_size();
                entry.insert(Box::new(group));
                true
            }
        }
    }

    /// Removes a group with all that is pending in it.
    pub fn remove(&mut self, name: &[u8]) -> Option<Box<Group>> {
        let group = self.groups.remove(name)?;
        self.size -= size_class(name.len()) + size_class(size_of::<Group>()) + group.heap_size();
        Some(group)
    }

    /// Bytes of all allocations. O(1).
    pub fn heap_size(&self) -> usize {
        self.size + btree_size::<Box<[u8]>, Box<Group>>(self.groups.len())
    }

    /// True if every group has read the entry with this ID and none has it pending.
    pub fn all_have_finished(&self, id: StreamId) -> bool {
        self.groups.values().all(|group| group.last_id >= id && !group.pending.contains_key(&id))
    }

    /// Makes an entry no longer pending anywhere; returns whether it was.
    pub fn forget(&mut self, id: StreamId) -> bool {
        let mut found = false;
        self.change_each(|group| found |= group.acknowledge(id));
        found
    }
}
