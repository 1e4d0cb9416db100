//! Client-side caching: which clients may hold which keys of a shard in a cache of their own.
//!
//! A key is known by its name alone, whatever the database: that is what invalidation messages carry, as in Redis. What
//! is done about a changed key is not decided here: see `shard/news.rs` and `shared/tracking.rs`.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

/// Ids of connections, ascending.
pub type ClientIds = SmallVec<[u64; 2]>;

/// Where a key has this many readers, those that are gone are looked for whenever their number has doubled.
const READERS_MANY: usize = 32;

/// A key that was read.
#[derive(Debug)]
pub struct Tracked {
    /// Its name.
    pub key: Box<[u8]>,
    /// Who read it since it was last changed.
    pub clients: ClientIds,
    hash: u64,
}

/// The readers of one shard's keys. Guarded by the shard's lock: a reader is entered while the shard is held for its
/// read, and a change takes the readers out while the shard is held for the change, so no change is missed.
#[derive(Debug, Default)]
pub struct TrackTable {
    /// Positions in `keys`.
    index: HashTable<usize>,
    /// In no order; a random one is found at once.
    keys: Vec<Tracked>,
    /// Readers, summed up over all keys.
    items: usize,
    /// Somebody wants to hear of every change of keys with some prefix.
    has_broadcasts: bool,
    /// Keys that are still to be looked at for readers that are gone: the first ones.
    unseen: usize,
    /// How many clients had gone when that began.
    seen_departures: u64,
}

impl TrackTable {
    /// True when nobody wants to hear of changes here: the common case, checked before anything else.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.has_broadcasts
    }

    /// Number of keys with readers.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Number of readers, summed up over all keys.
    pub fn items(&self) -> usize {
        self.items
    }

    /// True when every change is wanted.
    pub fn has_broadcasts(&self) -> bool {
        self.has_broadcasts
    }

    /// Says whether every change is wanted.
    pub fn set_broadcasts(&mut self, wanted: bool) {
        self.has_broadcasts = wanted;
    }

    /// Client `id` read `key`, whose hash in the keyspace is `hash`. True when the key had no readers before. `is_gone`
    /// tells which readers need not be remembered any longer. O(log n) in the readers of the key, O(n) for a new one.
    pub fn add(&mut self, hash: u64, key: &[u8], id: u64, is_gone: impl Fn(u64) -> bool) -> bool {
        let keys = &mut self.keys;
        match self.index.entry(hash, |at| &*keys[*at].key == key, |at| keys[*at].hash) {
            Entry::Occupied(at) => {
                let clients = &mut keys[*at.get()].clients;
                if clients.binary_search(&id).is_err() {
                    // Connections come and go; one key must not remember all that ever were.
                    if clients.len() >= READERS_MANY && clients.len().is_power_of_two() {
                        self.items -= clients.len();
                        clients.retain(|id| !is_gone(*id));
                        self.items += clients.len();
                    }
                    clients.insert(clients.partition_point(|other| *other < id), id);
                    self.items += 1;
                }
                false
            }
            Entry::Vacant(at) => {
                at.insert(keys.len());
                keys.push(Tracked { key: key.into(), clients: SmallVec::from_slice(&[id]), hash });
                self.items += 1;
                true
            }
        }
    }

    /// The key changed: its readers, who are forgotten. O(1).
    pub fn take(&mut self, hash: u64, key: &[u8]) -> Option<Tracked> {
        let keys = &self.keys;
        let found = self.index.find_entry(hash, |at| &*keys[*at].key == key).ok()?;
        let (at, _) = found.remove();
        Some(self.remove(at))
    }

    /// Any key, chosen by a random number, with its readers, who are forgotten. O(1).
    pub fn evict(&mut self, luck: u64) -> Option<Tracked> {
        let len = self.keys.len() as u64;
        if len == 0 {
            return None;
        }
        let at = (luck % len) as usize;
        self.unlink(at);
        Some(self.remove(at))
    }

    /// All keys; the table is empty then.
    pub fn take_all(&mut self) -> Vec<Tracked> {
        self.index = HashTable::new();
        self.items = 0;
        self.unseen = 0;
        std::mem::take(&mut self.keys)
    }

    /// Looks at some of the keys, and forgets those readers that are gone; `departures` is how many ever went. Once all
    /// keys were looked at nothing is done until more have gone. Returns how many keys had no other readers. O(budget).
    pub fn forget_gone(&mut self, departures: u64, budget: usize, is_gone: impl Fn(u64) -> bool) -> usize {
        let before = self.keys.len();
        if self.unseen == 0 && self.seen_departures != departures {
            self.seen_departures = departures;
            self.unseen = before;
        }
        // From the end to the front: what moves to the place of one that goes was looked at already.
        self.unseen = self.unseen.min(before);
        for _ in 0..budget.min(self.unseen) {
            self.unseen -= 1;
            let clients = &mut self.keys[self.unseen].clients;
            self.items -= clients.len();
            clients.retain(|id| !is_gone(*id));
            self.items += clients.len();
            if clients.is_empty() {
                self.unlink(self.unseen);
                self.remove(self.unseen);
            }
        }
        before - self.keys.len()
    }

    /// Takes the entry at `at` out of the index.
    fn unlink(&mut self, at: usize) {
        let found = self.index.find_entry(self.keys[at].hash, |other| *other == at);
        found.expect("every key is in the index").remove();
    }

    /// Takes the entry at `at`, which is in the index no more; the last one moves to its place.
    fn remove(&mut self, at: usize) -> Tracked {
        let last = self.keys.len() - 1;
        if at != last {
            let moved = self.index.find_mut(self.keys[last].hash, |other| *other == last);
            *moved.expect("every key is in the index") = at;
        }
        let tracked = self.keys.swap_remove(at);
        self.items -= tracked.clients.len();
        tracked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn hash(key: &[u8]) -> u64 {
        // Few hashes, so that keys collide.
        u64::from(key[0] % 4) << 57
    }

    #[test]
    fn readers_of_a_key_are_told_once() {
        let mut table = TrackTable::default();
        assert!(table.is_empty());
        assert!(table.add(7, b"k", 3, |_| false));
        assert!(!table.add(7, b"k", 1, |_| false));
        assert!(!table.add(7, b"k", 3, |_| false));
        assert_eq!((table.len(), table.items(), table.is_empty()), (1, 2, false));
        assert!(table.take(7, b"other").is_none());
        let tracked = table.take(7, b"k").expect("it was read");
        assert_eq!((&*tracked.key, &tracked.clients[..]), (&b"k"[..], &[1, 3][..]));
        assert!(table.take(7, b"k").is_none() && table.is_empty());
        table.set_broadcasts(true);
        assert!(!table.is_empty());
    }

    #[test]
    fn it_behaves_as_a_map_of_sets() {
        let mut table = TrackTable::default();
        let mut departures = 0;
        let mut model: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
        let mut rng = tidegate_commands::model::Rng::new(42);
        let steps = if cfg!(miri) { 300 } else { 20_000 };
        for _ in 0..steps {
            let key = [rng.below(24) as u8, 0];
            match rng.below(6) {
                0..3 => {
                    let id = rng.below(9);
                    let is_new = table.add(hash(&key), &key, id, |_| false);
                    assert_eq!(is_new, !model.contains_key(&key[..]));
                    model.entry(key.to_vec()).or_default().insert(id);
                }
                3 => {
                    let taken = table.take(hash(&key), &key).map(|tracked| tracked.clients.to_vec());
                    let wanted = model.remove(&key[..]).map(|ids| ids.into_iter().collect::<Vec<_>>());
                    assert_eq!(taken, wanted);
                }
                4 => {
                    let evicted = table.evict(rng.next());
                    assert_eq!(evicted.is_none(), model.is_empty());
                    if let Some(tracked) = evicted {
                        let wanted = model.remove(&*tracked.key).expect("it was read");
                        assert!(tracked.clients.iter().copied().eq(wanted));
                    }
                }
                _ => {
                    let gone = rng.below(9);
                    departures += 1;
                    let mut removed = table.forget_gone(departures, 5, |id| id == gone);
                    removed += table.forget_gone(departures, 50, |id| id == gone);
                    assert_eq!(table.forget_gone(departures, 50, |_| true), 0, "all was looked at already");
                    let before = model.len();
                    for ids in model.values_mut() {
                        ids.remove(&gone);
                    }
                    model.retain(|_, ids| !ids.is_empty());
                    assert_eq!(removed, before - model.len());
                }
            }
            assert_eq!(table.len(), model.len());
            assert_eq!(table.items(), model.values().map(BTreeSet::len).sum::<usize>());
        }
        assert_eq!(table.take_all().len(), model.len());
        assert!(table.is_empty() && table.evict(1).is_none());
    }

    #[test]
    fn a_key_does_not_remember_all_connections_that_ever_were() {
        let mut table = TrackTable::default();
        for id in 0..if cfg!(miri) { 300 } else { 100_000 } {
            // All but the last two are gone.
            table.add(0, b"k", id, |other| other + 2 < id);
        }
        assert!(table.items() <= 2 * READERS_MANY, "{} readers are remembered", table.items());
        assert!(table.take(0, b"k").is_some_and(|tracked| tracked.clients.is_sorted()));
    }
}
