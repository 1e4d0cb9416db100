//! Whatever happens to tables, what they count for quotas is what a walk over all keys finds.

use std::sync::Arc;

use super::super::{Entry, Table};
use crate::keyspace::access::Access;
use crate::keyspace::databases::Databases;
use crate::keyspace::hash::KeyHasher;
use crate::keyspace::quota::{QuotaBook, QuotaPolicy, Target};
use crate::keyspace::record::Record;
use crate::types::encodings::Encodings;
use crate::types::hash::Hash;
use crate::value::{StringEncoding, Value};
use crate::{Eviction, Expiry, Order, ValueRef};

const DATABASES: usize = 3;

/// A cheap sequence of numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

struct World {
    book: QuotaBook,
    databases: Databases,
    hasher: KeyHasher,
    chance: Chance,
}

impl World {
    fn new(seed: u64) -> Self {
        let hasher = KeyHasher::new(seed);
        let databases = Databases::new(DATABASES, &hasher);
        World { book: QuotaBook::default(), databases, hasher, chance: Chance(seed) }
    }

    /// What is counted is what is there; a quota that is still being counted has counted no more than that.
    fn check(&self) {
        let quotas = self.book.read();
        for quota in quotas.all() {
            let (mut bytes, mut keys) = (0, 0);
            for db in 0..DATABASES {
                self.databases.table(db).for_each(&mut |record| {
                    if quota.covers(db, record.key()) {
                        (bytes, keys) = (bytes + record.heap_size() as u64, keys + 1);
                    }
                });
            }
            let (tally, target) = (&quota.tally, &quota.target);
            if tally.is_counting() {
                assert!(tally.keys() <= keys && tally.bytes() <= bytes, "{target:?}");
            } else {
                assert_eq!((tally.bytes(), tally.keys()), (bytes, keys), "{target:?}");
            }
        }
    }

    fn target(&mut self) -> Target {
        match self.chance.below(6) {
            0 => Target::Database(self.chance.below(DATABASES as u64) as usize),
            1 => Target::Prefix(Box::default()),
            2 => Target::Prefix(b"t".as_slice().into()),
            _ => Target::Prefix(format!("t{}:", self.chance.below(4)).into_bytes().into()),
        }
    }

    fn change_quotas(&mut self) {
        let target = self.target();
        let changed = if self.chance.below(3) == 0 {
            self.book.remove(&[target]).map(|(_, quotas)| quotas)
        } else {
            self.book.set(target, 1 + self.chance.below(1000), QuotaPolicy::default()).ok()
        };
        if let Some(quotas) = changed {
            self.databases.follow_quotas(&quotas);
        }
    }

    fn change_key(&mut self) {
        let key = format!("t{}:{}", self.chance.below(5), self.chance.below(400));
        let key = key.as_bytes();
        let hash = self.hasher.hash(key);
        let (what, size) = (self.chance.below(12), self.chance.below(300) as usize);
        let table = self.databases.table_mut(self.chance.below(DATABASES as u64) as usize);
        let expiry = (what % 3 == 0).then_some(1000 + size as i64);
        match table.entry(hash, key) {
            Entry::Vacant(entry) if what < 6 => {
                entry.insert(Record::new_bytes(key, &vec![b'x'; size * 8], StringEncoding::Raw, expiry));
            }
            Entry::Vacant(entry) => {
                entry.insert(Record::new_boxed(key, Box::new(Value::Hash(Hash::default())), expiry));
            }
            Entry::Occupied(entry) if what < 3 => drop(entry.remove()),
            Entry::Occupied(mut entry)
                if matches!(entry.record().value(), ValueRef::Boxed(Value::Hash(_))) =>
            {
                if let Some(mut value) = entry.boxed_mut()
                    && let Value::Hash(hash) = &mut *value
                {
                    for field in 0..size {
                        let limits = Encodings::default().hash_limits();
                        hash.set(format!("field{field}").as_bytes(), b"value", Expiry::Clear, limits);
                    }
                }
            }
            Entry::Occupied(mut entry) => {
                entry.set_string_bytes(&vec![b'y'; size], StringEncoding::Raw, expiry);
            }
        }
    }

    fn change_much(&mut self) {
        let (a, b) =
            (self.chance.below(DATABASES as u64) as usize, self.chance.below(DATABASES as u64) as usize);
        match self.chance.below(8) {
            0 => drop(self.databases.table_mut(a).take()),
            1 | 2 => self.databases.swap(a, b),
            3 | 4 => {
                let now_ms = 1000 + self.chance.below(300) as i64;
                self.databases.table_mut(a).expire_due(now_ms, 40, &mut |due| drop(due));
            }
            _ => {
                let quotas = self.book.read();
                let rules = Eviction {
                    order: Order::Any,
                    volatile: false,
                    durable: true,
                    access: Access::NONE,
                    samples: 1,
                };
                for (number, quota) in quotas.all().iter().enumerate() {
                    let table = self.databases.table_mut(a);
                    table.evict_counted(number, &quota.tally, &rules, 7, &mut |record| {
                        assert!(quota.covers(a, record.key()));
                    });
                }
            }
        }
    }
}

#[test]
fn what_is_counted_is_what_a_walk_finds() {
    let (seeds, batches) = if cfg!(miri) { (1, 10) } else { (20, 120) };
    for seed in 1..=seeds {
        let mut world = World::new(seed);
        for batch in 0..batches {
            for _ in 0..40 {
                world.change_key();
            }
            if batch % 3 == 0 {
                world.change_quotas();
            }
            if batch % 4 == 0 {
                world.change_much();
            }
            world.databases.count_step(1 + seed as usize % 3);
            world.check();
        }
        while world.databases.count_step(1) {
            world.change_key();
            world.check();
        }
        world.check();
        assert!(world.book.read().all().iter().all(|quota| !quota.tally.is_counting()));
    }
}

#[test]
fn what_was_there_is_counted_step_by_step() {
    let mut world = World::new(3);
    for _ in 0..3000 {
        world.change_key();
    }
    let quotas = world.book.set(Target::Prefix(b"t1:".as_slice().into()), 1, QuotaPolicy::default()).unwrap();
    world.databases.follow_quotas(&quotas);
    let tally = Arc::clone(&quotas.all()[0].tally);
    assert!(tally.is_counting());
    assert_eq!(tally.keys(), 0);
    let mut steps = 0;
    while world.databases.count_step(1) {
        steps += 1;
    }
    assert!(steps > 10, "{steps} steps");
    world.check();
    assert!(tally.keys() > 0 && !tally.is_counting());
}

#[test]
fn a_table_that_goes_takes_its_count_with_it() {
    let book = QuotaBook::default();
    let quotas = book.set(Target::Prefix(Box::default()), 1, QuotaPolicy::default()).unwrap();
    let mut table = Table::new(KeyHasher::new(1));
    table.follow_quotas(0, &quotas);
    if let Entry::Vacant(entry) = table.entry(table.hasher().hash(b"k"), b"k") {
        entry.insert(Record::new_int(b"k", 1, None));
    }
    assert_eq!(quotas.all()[0].tally.keys(), 1);
    drop(table);
    assert_eq!((quotas.all()[0].tally.keys(), quotas.all()[0].tally.bytes()), (0, 0));
}
