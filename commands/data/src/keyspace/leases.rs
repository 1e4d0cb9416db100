//! Who may fill a key of a cache: leases, in memory only. They are of keys, not of values, for mostly there is no value.
//!
//! A lease ends with its time, or when somebody changes or deletes its key: whoever computed a value from what is out of date by
//! now must not store it. What is kept is bounded: where there is no room nobody gets a lease.

use hashbrown::HashMap;

/// Most leases of a shard.
const LEASES_MAX: usize = 16_384;
/// Bytes that the names of their keys may have together.
const NAMES_MAX: usize = 4 << 20;
/// Leases that are over are looked for at most so often, in ms.
const SWEEP_EVERY_MS: i64 = 100;

/// The same where nobody needs the room.
const TIDY_EVERY_MS: i64 = 1000;

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What its owner shows.
    pub token: i64,
    /// When somebody else may have one, on the native clock, in milliseconds.
    pub end_ms: i64,
    /// How long it is.
    pub len_ms: i64,
}

impl Lease {
    /// True while nobody else may have one.
    pub fn is_on(&self, now_ms: i64) -> bool {
        let left_ms = self.end_ms.saturating_sub(now_ms);
        (1..=self.len_ms).contains(&left_ms)
    }

    /// Its owner may still be late for as long again, if nobody else came.
    fn is_over(&self, now_ms: i64) -> bool {
        let left_ms = self.end_ms.saturating_sub(now_ms);
        left_ms <= -self.len_ms || left_ms > self.len_ms
    }
}

/// The lease of a key in each database that has one, by key.
type ByKey = HashMap<Box<[u8]>, Vec<(u16, Lease)>>;

/// The leases of the keys of a shard.
#[derive(Debug, Default)]
pub struct Leases {
    /// `None` when there are none.
    by_key: Option<Box<ByKey>>,
    names_size: usize,
    swept_ms: i64,
}

impl Leases {
    /// True when there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_none()
    }

    /// The lease of a key, over or not.
    pub fn get(&self, db: u16, key: &[u8]) -> Option<Lease> {
        let of_key = self.by_key.as_ref()?.get(key)?;
        of_key.iter().find(|(of, _)| *of == db).map(|(_, lease)| *lease)
    }

    /// Gives out a lease in place of an earlier one; false if there is no room. Amortised O(1).
    pub fn put(&mut self, db: u16, key: &[u8], lease: Lease, now_ms: i64) -> bool {
        self.remove(db, key);
        if self.is_full(key) {
            if (0..SWEEP_EVERY_MS).contains(&now_ms.saturating_sub(self.swept_ms)) {
                return false;
            }
            self.sweep(now_ms);
            if self.is_full(key) {
                return false;
            }
        }
        self.names_size += key.len();
        self.by_key.get_or_insert_default().entry_ref(key).or_default().push((db, lease));
        true
    }

    fn is_full(&self, key: &[u8]) -> bool {
        let len = self.by_key.as_ref().map_or(0, |by_key| by_key.len());
        len >= LEASES_MAX || self.names_size + key.len() > NAMES_MAX
    }

    /// Ends the lease of a key; false if there was none.
    pub fn remove(&mut self, db: u16, key: &[u8]) -> bool {
        let Some(by_key) = &mut self.by_key else { return false };
        let Some(of_key) = by_key.get_mut(key) else { return false };
        let Some(at) = of_key.iter().position(|(of, _)| *of == db) else { return false };
        of_key.swap_remove(at);
        self.names_size -= key.len();
        if of_key.is_empty() {
            by_key.remove(key);
        }
        self.drop_if_empty();
        true
    }

    /// Ends all leases of a database.
    pub fn remove_database(&mut self, db: u16) {
        self.retain(|of, _| of != db);
    }

    /// Housekeeping: forgets leases that are long over, once a second.
    pub fn tidy(&mut self, now_ms: i64) {
        if !(0..TIDY_EVERY_MS).contains(&now_ms.saturating_sub(self.swept_ms)) {
            self.sweep(now_ms);
        }
    }

    /// Forgets leases that are long over. O(leases).
    fn sweep(&mut self, now_ms: i64) {
        self.swept_ms = now_ms;
        self.retain(|_, lease| !lease.is_over(now_ms));
    }

    fn retain(&mut self, keep: impl Fn(u16, &Lease) -> bool) {
        let Some(by_key) = &mut self.by_key else { return };
        let names_size = &mut self.names_size;
        by_key.retain(|key, of_key| {
            let before = of_key.len();
            of_key.retain(|(db, lease)| keep(*db, lease));
            *names_size -= (before - of_key.len()) * key.len();
            !of_key.is_empty()
        });
        self.drop_if_empty();
    }

    fn drop_if_empty(&mut self) {
        if self.by_key.as_ref().is_some_and(|by_key| by_key.is_empty()) {
            self.by_key = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(token: i64, end_ms: i64) -> Lease {
        Lease { token, end_ms, len_ms: 100 }
    }

    #[test]
    fn a_key_has_one_in_each_database() {
        let mut leases = Leases::default();
        assert!(leases.put(0, b"k", lease(1, 1000), 900) && leases.put(1, b"k", lease(2, 1000), 900));
        assert!(leases.put(0, b"k", lease(3, 1100), 1000));
        assert_eq!((leases.get(0, b"k"), leases.get(1, b"k")), (Some(lease(3, 1100)), Some(lease(2, 1000))));
        assert_eq!((leases.get(2, b"k"), leases.get(0, b"x")), (None, None));
        leases.remove_database(1);
        assert!(leases.get(1, b"k").is_none() && !leases.is_empty());
        assert!(leases.remove(0, b"k") && !leases.remove(0, b"k") && leases.is_empty());
        assert_eq!(leases.names_size, 0);
    }

    #[test]
    fn it_is_on_for_its_time_and_over_after_as_much() {
        let lease = lease(1, 1000);
        assert!(lease.is_on(900) && lease.is_on(999) && !lease.is_on(1000) && !lease.is_on(899));
        assert!(!lease.is_over(1000) && !lease.is_over(1099) && lease.is_over(1100) && lease.is_over(899));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut leases = Leases::default();
        for n in 0..20_000_u32 {
            leases.put(0, &n.to_le_bytes(), lease(1, 1000), 900);
        }
        assert!(leases.get(0, &16_383_u32.to_le_bytes()).is_some());
        assert!(leases.get(0, &16_384_u32.to_le_bytes()).is_none());
        assert!(leases.put(0, b"k", lease(1, 1200), 1150), "the others are over");
        assert_eq!(leases.names_size, 1);
        leases.tidy(2000);
        assert!(!leases.is_empty(), "it was looked at not long ago");
        leases.tidy(3000);
        assert!(leases.is_empty());
        assert!(!Leases::default().put(0, &vec![0; NAMES_MAX + 1], lease(1, 1000), 900));
    }
}
