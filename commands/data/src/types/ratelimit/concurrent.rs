//! Leases: who holds a part of a limit, and until when.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a lease takes beside its name, twice: about what two trees take for it.
const LEASE_SIZE: usize = 96;

/// Leases by name and by their end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Concurrent {
    holders: BTreeMap<Box<[u8]>, (i64, i64)>,
    ends: BTreeSet<(i64, Box<[u8]>)>,
    total: i64,
    bytes: usize,
}

impl Concurrent {
    /// Number of leases.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// True without leases.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Name, end and cost of each lease, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], i64, i64)> {
        self.holders.iter().map(|(id, (end_ms, cost))| (&**id, *end_ms, *cost))
    }

    /// End and cost of a lease. O(log n).
    pub fn get(&self, id: &[u8]) -> Option<(i64, i64)> {
        self.holders.get(id).copied()
    }

    /// Units that are held.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// When the last lease ends.
    pub fn last_end_ms(&self) -> Option<i64> {
        self.ends.last().map(|(end_ms, _)| *end_ms)
    }

    /// When no more than `most` units are held, if nobody gives back earlier. O(leases that end until then).
    pub fn when_at_most(&self, most: i64, now_ms: i64) -> i64 {
        let mut left = self.total;
        for (end_ms, id) in &self.ends {
            if left <= most {
                break;
            }
            left -= self.get(id).map_or(0, |(_, cost)| cost);
            if left <= most {
                return *end_ms;
            }
        }
        now_ms
    }

    /// Drops leases that have ended; true if there were any. O(log n) for each.
    pub fn forget(&mut self, now_ms: i64) -> bool {
        let before = self.len();
        while let Some((end_ms, id)) = self.ends.first()
            && *end_ms <= now_ms
        {
            let id = id.clone();
            self.remove(&id);
        }
        self.len() < before
    }

    /// Gives or renews a lease. O(log n).
    pub fn put(&mut self, id: &[u8], end_ms: i64, cost: i64) {
        self.remove(id);
        self.total += cost;
        self.bytes += 2 * id.len() + LEASE_SIZE;
        self.ends.insert((end_ms, id.into()));
        self.holders.insert(id.into(), (end_ms, cost));
    }

    /// Ends a lease; false when there is none. O(log n).
    pub fn remove(&mut self, id: &[u8]) -> bool {
        let Some((id, (end_ms, cost))) = self.holders.remove_entry(id) else { return false };
        self.total -= cost;
        self.bytes -= 2 * id.len() + LEASE_SIZE;
        self.ends.remove(&(end_ms, id));
        true
    }

    /// Bytes of its allocations, about.
    pub fn heap_size(&self) -> usize {
        self.bytes
    }
}
