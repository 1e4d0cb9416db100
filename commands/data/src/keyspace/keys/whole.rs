//! The keyspace as a whole: what only a command that holds all shards may ask.
//!
//! Nobody routed these keys: they are found by visiting, and deleted here when their time has come.

use super::super::databases::Databases;
use super::super::hash::slot;
use super::super::key::Key;
use super::super::log::Reclaim;
use super::super::quota::Quotas;
use super::super::record::Record;
use super::super::scan::ScanCursor;
use super::super::table::Table;
use super::{Held, Keys};
use std::sync::Arc;

/// How often one step of a scan looks for more where it finds next to nothing, before it answers with less.
const SPARSE_STEPS_MAX: usize = 10;

/// Random picks of a key whose time has come, before the walk for one that is alive.
const RANDOM_TRIES_MAX: usize = 100;

impl Held<'_> {
    fn each(&mut self, mut visit: impl FnMut(u16, &mut Databases)) {
        match self {
            Held::None => {}
            Held::One(shard, databases) => visit(*shard, databases),
            Held::Many(all) => {
                for (shard, databases) in all {
                    visit(*shard, databases);
                }
            }
        }
    }

    /// The tables of a database from `shard` on, ascending.
    fn tables_from(&self, shard: u16, db: usize) -> impl Iterator<Item = (u16, &Table)> {
        let (one, many) = match self {
            Held::None => (None, &[][..]),
            Held::One(shard, databases) => (Some((*shard, &**databases)), &[][..]),
            Held::Many(all) => (None, &all[..]),
        };
        let many = many.iter().map(|(shard, databases)| (*shard, &**databases));
        one.into_iter()
            .chain(many)
            .filter(move |(held, _)| *held >= shard)
            .map(move |(held, databases)| (held, databases.table(db)))
    }
}

/// A key that was met while walking, and whose time has come.
struct Due {
    shard: u16,
    hash: u64,
    key: Box<[u8]>,
}

impl Keys<'_> {
    /// Number of keys of the selected database, expired ones that are still there included.
    pub fn len(&self) -> usize {
        self.held.tables_from(0, self.db).map(|(_, table)| table.len()).sum()
    }

    /// True when the selected database holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held.tables_from(0, self.db).all(|(_, table)| table.is_empty())
    }

    /// The key of any name, for a command that holds the whole keyspace.
    pub fn key_of<'n>(&self, name: &'n [u8]) -> Key<'n> {
        let shards = match &self.held {
            Held::None | Held::One(..) => 1,
            Held::Many(all) => all.len(),
        };
        debug_assert!(shards.is_power_of_two(), "all shards are held");
        let shard = slot(name) & (shards as u16 - 1);
        let hash = self.held.peek(shard).table(self.db).hasher().hash(name);
        Key::new(name, hash, shard)
    }

    /// Empties the selected database; returns the number of keys it had. What was in it goes to the log, which says
    /// by `reclaim` when the client wants it freed.
    pub fn flush(&mut self, reclaim: Reclaim) -> usize {
        let db = self.db;
        self.log.trace.database(db, true);
        let mut removed = 0;
        let emptied = &mut self.log.emptied;
        self.held.each(|_, databases| {
            let table = databases.table_mut(db);
            if !table.is_empty() {
                removed += table.len();
                emptied.push(table.take());
            }
        });
        match reclaim {
            Reclaim::Later => self.log.lazy += removed,
            Reclaim::BeforeReply => self.log.is_awaited |= removed > 0,
        }
        self.log.whole_databases.push(db as u16);
        self.log.changes += removed as u64;
        removed
    }

    /// Exchanges the contents of two databases. O(shards). Exchanging one with itself counts as a change of nothing.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.log.changes += 1;
        self.log.trace.database(a, true);
        self.log.trace.database(b, true);
        if a != b {
            self.held.each(|_, databases| databases.swap(a, b));
            self.log.whole_databases.extend([a as u16, b as u16]);
        }
    }

    /// Makes these the quotas of all tables. O(shards x databases x quotas).
    pub fn follow_quotas(&mut self, quotas: &Arc<Quotas>) {
        self.log.changes += 1;
        self.held.each(|_, databases| databases.follow_quotas(quotas));
    }

    /// Visits every record of the selected database whose time has not come. O(N).
    pub fn for_each(&mut self, mut visit: impl FnMut(&Record)) {
        let now_ms = self.rules.now_ms;
        self.log.trace.database(self.db, false);
        for (_, table) in self.held.tables_from(0, self.db) {
            table.for_each(&mut |record| {
                if !is_due(record, now_ms) {
                    visit(record);
                }
            });
        }
    }

    /// One step of `SCAN`: walks about `count` records (fewer where keys are sparse, to bound its time), emits those
    /// whose key is `wanted`, and returns where to go on; `None` at the end.
    ///
    /// Records whose time has come are walked but not emitted, and deleted if their key is wanted. An element that is
    /// there during a whole iteration is emitted at least once.
    pub fn scan(
        &mut self,
        from: KeyspaceCursor,
        count: usize,
        mut wanted: impl FnMut(&[u8]) -> bool,
        mut emit: impl FnMut(&Record),
    ) -> Option<KeyspaceCursor> {
        let now_ms = self.rules.now_ms;
        let mut due = Vec::new();
        let next = self.walk(from, count, |shard, table, record| {
            if !wanted(record.key()) {
                return;
            }
            if is_due(record, now_ms) {
                let key = Box::from(record.key());
                due.push(Due { shard, hash: table.hasher().hash(&key), key });
            } else {
                emit(record);
            }
        });
        self.log.trace.database(self.db, false);
        // Nobody asked for these.
        let mark = self.log.trace.mark();
        for Due { shard, hash, key } in due {
            self.alive(Key::new(&key, hash, shard));
        }
        self.log.trace.cut(mark);
        next
    }

    /// Visits records from a cursor on; returns where to go on. A cursor is only returned if there is something left.
    fn walk(
        &self,
        from: KeyspaceCursor,
        count: usize,
        mut visit: impl FnMut(u16, &Table, &Record),
    ) -> Option<KeyspaceCursor> {
        let mut seen = 0;
        let mut steps = 0;
        for (shard, table) in self.held.tables_from(from.shard, self.db) {
            let start = if shard == from.shard { from.position } else { ScanCursor::default() };
            if table.is_empty() {
                continue;
            }
            let mut position = Some(start);
            while let Some(at) = position {
                if seen >= count.max(1) || steps > SPARSE_STEPS_MAX {
                    return Some(KeyspaceCursor { shard, position: at });
                }
                position = table.scan(at, count.max(1) - seen, &mut |record| {
                    seen += 1;
                    visit(shard, table, record);
                });
                steps += usize::from(position.is_some());
            }
        }
        None
    }

    /// The name of a random key of the selected database, given a source of random numbers. Keys whose time has come
    /// are deleted on the way. Where that is for a primary to decide and no key is alive, it is the name of one that
    /// is not, as in Redis. O(shards), unless most keys are due.
    pub fn random(&mut self, random: &mut dyn FnMut() -> u64) -> Option<Box<[u8]>> {
        let now_ms = self.rules.now_ms;
        let mut tries = 0;
        loop {
            let (shard, table) = self.random_table(random)?;
            let record = table.random(random)?;
            let key: Box<[u8]> = record.key().into();
            if !is_due(record, now_ms) {
                return Some(key);
            }
            if self.rules.delete_expired {
                let hash = table.hasher().hash(&key);
                let mark = self.log.trace.mark();
                self.delete_expired(Key::new(&key, hash, shard));
                self.log.trace.cut(mark);
                continue;
            }
            tries += 1;
            if tries == RANDOM_TRIES_MAX {
                let mut alive = None;
                self.for_each(|record| {
                    alive.get_or_insert_with(|| record.key().into());
                });
                return alive.or(Some(key));
            }
        }
    }

    /// A table of the selected database, chosen by its share of the keys.
    fn random_table(&self, random: &mut dyn FnMut() -> u64) -> Option<(u16, &Table)> {
        let total = self.len() as u128;
        let mut skip = ((u128::from(random()) * total) >> 64) as usize;
        self.held.tables_from(0, self.db).find(|(_, table)| {
            let found = skip < table.len();
            skip = skip.saturating_sub(table.len());
            found
        })
    }
}

fn is_due(record: &Record, now_ms: i64) -> bool {
    record.expiry_ms().is_some_and(|deadline| now_ms > deadline)
}

/// Where an iteration over the keyspace stands. The default is the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeyspaceCursor {
    /// The shard to go on with.
    pub shard: u16,
    /// The place in its table.
    pub position: ScanCursor,
}

impl KeyspaceCursor {
    /// The number a client sees: at most 56 bits, 0 only for the start.
    pub fn to_number(self) -> u64 {
        (u64::from(self.shard) << ScanCursor::BITS) | self.position.to_bits()
    }

    /// The inverse of [`KeyspaceCursor::to_number`]; any number is a valid cursor.
    pub fn from_number(number: u64) -> Self {
        KeyspaceCursor { shard: (number >> ScanCursor::BITS) as u16, position: ScanCursor::from_bits(number) }
    }
}
