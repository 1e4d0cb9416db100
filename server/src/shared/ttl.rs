//! The average time keys still have to live, by database: an estimate that the cron keeps up.

use crate::shard::Shards;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use tidegate_commands::model::Rng;
use tidegate_data::Record;

/// Keys looked at per database and run.
const SAMPLES: usize = 20;
/// Of those, in one shard.
const SAMPLES_PER_SHARD: usize = 4;

/// Estimates by database.
#[derive(Debug)]
pub struct AverageTtl {
    /// Milliseconds; 0 while nothing is known or no key expires.
    averages: Box<[AtomicI64]>,
    /// The shard the next run begins with.
    first_shard: AtomicUsize,
}

/// What one run has seen of one database.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    expires: usize,
    looked_at: usize,
    found: i64,
    sum_ms: i64,
}

impl AverageTtl {
    /// Nothing is known yet of `databases` databases.
    pub fn new(databases: usize) -> Self {
        AverageTtl {
            averages: (0..databases).map(|_| AtomicI64::new(0)).collect(),
            first_shard: AtomicUsize::new(0),
        }
    }

    /// The estimate for a database, in milliseconds.
    pub fn of(&self, db: usize) -> i64 {
        self.averages[db].load(Relaxed)
    }

    /// Looks at a few keys of every database. O(shards * databases); shards that are held are left out.
    pub fn sample(&self, shards: &Shards, now_ms: i64) {
        let first = self.first_shard.fetch_add(1, Relaxed);
        let mut rng = Rng::new(now_ms as u64);
        let mut seen = vec![Seen::default(); self.averages.len()];
        let mut complete = true;
        for turn in 0..shards.len() {
            let Some(hold) = shards.try_hold_one(((first + turn) % shards.len()) as u16) else {
                complete = false;
                continue;
            };
            for (db, seen) in seen.iter_mut().enumerate() {
                let table = hold.data().databases.table(db);
                seen.expires += table.expires_len();
                if table.expires_len() == 0 {
                    continue;
                }
                for _ in 0..SAMPLES_PER_SHARD.min(SAMPLES - seen.looked_at) {
                    seen.looked_at += 1;
                    let record = table.random(&mut || rng.next());
                    if let Some(deadline_ms) = record.and_then(Record::expiry_ms).filter(|ms| *ms > now_ms) {
                        seen.found += 1;
                        seen.sum_ms = seen.sum_ms.saturating_add(deadline_ms - now_ms);
                    }
                }
            }
        }
        for (average, seen) in self.averages.iter().zip(&seen) {
            if seen.expires == 0 && complete {
                average.store(0, Relaxed);
            } else if seen.found > 0 {
                let now = seen.sum_ms / seen.found;
                let old = average.load(Relaxed);
                // As in Redis each run counts for 2 %, but for the first.
                let new = if old == 0 { now } else { old / 50 * 49 + now / 50 };
                average.store(new, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_data::{Entry, KeyHasher};

    #[test]
    fn the_estimate_is_near_the_truth_and_forgotten_without_keys() {
        let hasher = KeyHasher::new(7);
        let shards = Shards::new(4, 2, &hasher);
        let ttl = AverageTtl::new(2);
        for number in 0..400 {
            let key = format!("key:{number}");
            let (hash, shard) = (hasher.hash(key.as_bytes()), number as u16 % 4);
            let mut hold = shards.hold_one(shard);
            if let Entry::Vacant(entry) = hold.data_mut().databases.table_mut(1).entry(hash, key.as_bytes()) {
                entry.insert(Record::new_int(key.as_bytes(), 1, Some(1_000_000 + i64::from(number))));
            }
        }
        ttl.sample(&shards, 900_000);
        ttl.sample(&shards, 900_000);
        assert!((98_000..101_000).contains(&ttl.of(1)), "{}", ttl.of(1));
        assert_eq!(ttl.of(0), 0);
        for shard in 0..4 {
            drop(shards.hold_one(shard).data_mut().databases.table_mut(1).take());
        }
        ttl.sample(&shards, 900_000);
        assert_eq!(ttl.of(1), 0);
    }
}
