//! Removing keys that no command has asked for: those whose time has come, and those that memory is needed for.

use super::{Executor, Grip};
use crate::shard::news::NOBODY;
use crate::shared::add;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_data::{
    Due, EventClass, Eviction, ExpiredMembers, Record, Table, Tally, Threshold, Touched, TypeCode,
};

/// What [`Executor::evict`] did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evicted {
    /// Keys removed.
    pub keys: u64,
    /// Bytes they occupied.
    pub bytes: usize,
    /// The shard has nothing that may go.
    pub is_empty: bool,
}

impl Executor {
    /// Deletes keys of a held shard whose time has come, at most `budget` of them. Returns true when more are due. All of it
    /// is one unit if there is something to record, otherwise each key is one.
    pub fn sweep(&mut self, grip: &mut Grip<'_, '_>, shard: u16, budget: usize) -> bool {
        let shared = Arc::clone(&self.shared);
        let Some(data) = grip.shard_mut(shard) else { return false };
        let is_one_unit = self.recording.is_on();
        let mut touched = Vec::new();
        let mut more = false;
        // A key lives through the millisecond of its deadline.
        let due_ms = self.now_ms - 1;
        for db in 0..data.databases.count() {
            let table = data.databases.table_mut(db);
            if table.earliest_expiry_ms().is_none_or(|earliest| earliest > due_ms) {
                continue;
            }
            let journal = shared.journaled.load(Relaxed).then_some(&shared.journal);
            let mut changed_at = 0;
            let (log, unit) = (&mut self.log, &mut self.unit);
            let watched = &data.watched;
            let is_wanted = !(data.awaited.is_empty() && data.tracked.is_empty());
            let mut touch = |key: &[u8]| {
                if is_wanted {
                    touched.push(Touched { db: db as u16, shard, key: key.into() });
                }
            };
            let (mut swept, mut swept_members) = (0, 0);
            more |= table.expire_due(due_ms, budget, &mut |due| match due {
                Due::Key(record) => {
                    watched.touch_expired(db as u16, record.key());
                    touch(record.key());
                    if let Some(journal) = journal {
                        unit.push(db as u16, [&b"DEL"[..], record.key()].into_iter());
                        if !is_one_unit {
                            changed_at = journal.append(unit);
                        }
                    }
                    swept += 1;
                    if record.type_code() == TypeCode::Lock {
                        log.event(EventClass::Module, "lock.expired", db as u16, record.key());
                    }
                    log.event(EventClass::Expired, "expired", db as u16, record.key());
                    log.discard(record);
                }
                Due::Members { key, code, members } => {
                    watched.touch(db as u16, key);
                    touch(key);
                    swept_members += members.len() as u64;
                    let key = Touched { db: db as u16, shard, key: key.into() };
                    let expired = ExpiredMembers { key, code, members };
                    let (class, name) = expired.event();
                    log.event_of(class, name, db as u16, &expired.key.key, &expired.members);
                    if let Some(journal) = journal {
                        unit.push(db as u16, expired.effect().into_iter());
                        if !is_one_unit {
                            changed_at = journal.append(unit);
                        }
                    }
                }
                // The members were journaled; a key without any is gone on the other side as well.
                Due::Emptied(record) => {
                    log.event(EventClass::Generic, "del", db as u16, record.key());
                    log.discard(record);
                }
            });
            if changed_at > 0 {
                data.changed_at = changed_at;
                self.need = changed_at;
            }
            add(&self.stats.expired, swept);
            add(&self.stats.expired_by_sweep, swept);
            add(&self.stats.expired_members, swept_members);
        }
        self.tell_of_removed(grip, shard, &touched, None, is_one_unit);
        more
    }

    /// Tells everybody of keys of a held shard that were removed. `reader` is the client whose command is about to run, if
    /// it tracks keys.
    fn tell_of_removed(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        touched: &[Touched],
        reader: Option<u64>,
        is_one_unit: bool,
    ) {
        let shared = Arc::clone(&self.shared);
        self.announce();
        let mut forgotten = 0;
        if let Some(data) = grip.shard_mut(shard).filter(|data| !data.tracked.is_empty()) {
            for touched in touched {
                let hash = shared.hasher.hash(&touched.key);
                forgotten += self.news.note(data, touched, hash, NOBODY, reader);
            }
        }
        if forgotten > 0 {
            shared.tracking.remove_keys(forgotten);
        }
        self.touch_awaited(grip, touched);
        let events = std::mem::take(&mut self.log.events);
        if is_one_unit {
            self.record(grip, &events);
            self.finish_unit(grip);
        }
    }

    /// Removes some keys of a held shard because memory is needed: those of one segment that go first. Each is a unit, unless
    /// events are recorded; then all are one. `reader` as above.
    pub fn evict(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        rules: &Eviction,
        threshold: &mut Threshold,
        lazily: bool,
        reader: Option<u64>,
    ) -> Evicted {
        let (choice, luck) = (self.rng.next(), self.rng.next());
        let Some(data) = grip.shard_mut(shard) else { return Evicted::default() };
        let databases = &data.databases;
        let weight = |db| databases.table(db).evictable_len(rules.volatile) as u64;
        let Some(db) = choose(databases.count(), choice, weight) else {
            return Evicted { is_empty: true, ..Evicted::default() };
        };
        self.remove_victims(grip, shard, db, lazily, reader, |table, on_evict| {
            table.evict(rules, threshold, luck, on_evict);
        })
    }

    /// The same for keys of a quota: its number, and its tally, by which a table knows whether that is still its number.
    pub fn evict_counted(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        quota: (usize, &Arc<Tally>),
        rules: &Eviction,
        lazily: bool,
        reader: Option<u64>,
    ) -> Evicted {
        let (choice, luck) = (self.rng.next(), self.rng.next());
        let Some(data) = grip.shard_mut(shard) else { return Evicted::default() };
        let databases = &data.databases;
        let weight = |db| {
            let table = databases.table(db);
            let is_vain = table.evictable_len(rules.volatile) == 0;
            if is_vain { 0 } else { u64::try_from(table.counted(quota.0).1).unwrap_or(0) }
        };
        let Some(db) = choose(databases.count(), choice, weight) else {
            return Evicted { is_empty: true, ..Evicted::default() };
        };
        self.remove_victims(grip, shard, db, lazily, reader, |table, on_evict| {
            table.evict_counted(quota.0, quota.1, rules, luck, on_evict);
        })
    }

    fn remove_victims(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        db: usize,
        lazily: bool,
        reader: Option<u64>,
        evict: impl FnOnce(&mut Table, &mut dyn FnMut(Record)),
    ) -> Evicted {
        let shared = Arc::clone(&self.shared);
        let is_one_unit = self.recording.is_on();
        let Some(data) = grip.shard_mut(shard) else { return Evicted::default() };
        let table = data.databases.table_mut(db);
        let journal = shared.journaled.load(Relaxed).then_some(&shared.journal);
        let command: &[u8] = if lazily { b"UNLINK" } else { b"DEL" };
        let (log, unit, watched) = (&mut self.log, &mut self.unit, &data.watched);
        let is_wanted = !(data.awaited.is_empty() && data.tracked.is_empty());
        let (mut touched, mut changed_at) = (Vec::new(), 0);
        let mut evicted = Evicted::default();
        evict(table, &mut |record: Record| {
            let key = record.key();
            watched.touch(db as u16, key);
            if is_wanted {
                touched.push(Touched { db: db as u16, shard, key: key.into() });
            }
            if let Some(journal) = journal {
                unit.push(db as u16, [command, key].into_iter());
                if !is_one_unit {
                    changed_at = journal.append(unit);
                }
            }
            log.event(EventClass::Evicted, "evicted", db as u16, key);
            evicted.keys += 1;
            evicted.bytes += record.heap_size();
            if lazily {
                log.discard_lazily(record);
            } else {
                log.discard(record);
            }
        });
        if changed_at > 0 {
            data.changed_at = changed_at;
            self.need = changed_at;
        }
        add(&self.stats.evicted, evicted.keys);
        if is_wanted || is_one_unit || !self.log.events.is_empty() {
            self.tell_of_removed(grip, shard, &touched, reader, is_one_unit);
        }
        evicted
    }
}

/// One of so many databases, by chance and in proportion to their weights; `None` if they have none.
fn choose(count: usize, choice: u64, weight: impl Fn(usize) -> u64) -> Option<usize> {
    let total: u64 = (0..count).map(&weight).sum();
    let mut place = choice.checked_rem(total)?;
    (0..count).find(|&db| {
        let found = place < weight(db);
        place = place.saturating_sub(weight(db));
        found
    })
}
