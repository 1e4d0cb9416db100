//! Whatever happens after the cut, a snapshot gets what was there at the cut, each key once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::super::databases::Databases;
use super::super::super::hash::KeyHasher;
use super::super::super::record::Record;
use super::super::{Entry, Table};
use super::{Left, Loan, Orphan, Step, Taken, Taker};
use crate::rdb;
use crate::types::encodings::Encodings;
use crate::types::hash::Hash;
use crate::value::{StringEncoding, Value};
use crate::{Expiry, ValueRef};

const DATABASES: usize = 3;

/// What a key is to a snapshot.
type Content = (Option<i64>, Vec<u8>);
type Image = BTreeMap<(usize, Vec<u8>), Content>;

fn content(taken: &Taken<'_>) -> Content {
    if cfg!(miri) {
        // It would take hours.
        let sample = match taken.value {
            ValueRef::Boxed(Value::String(string)) => {
                [&string.as_bytes()[..16], &string.as_bytes()[string.len() - 16..]].concat()
            }
            ValueRef::Boxed(value) => value.heap_size().to_le_bytes().to_vec(),
            value => rdb::dump(value, false),
        };
        return (taken.expiry_ms, sample);
    }
    (taken.expiry_ms, rdb::dump(taken.value, false))
}

#[derive(Debug, Default)]
struct Collected {
    image: Image,
    left: Vec<Left>,
    orphans: Vec<Orphan>,
}

impl Collected {
    fn add(&mut self, db: usize, taken: &Taken<'_>) {
        let old = self.image.insert((db, taken.key.to_vec()), content(taken));
        assert!(old.is_none(), "{} was taken twice", taken.key.escape_ascii());
    }

    fn take_rest(&mut self) {
        for orphan in std::mem::take(&mut self.orphans) {
            self.add(orphan.db, &orphan.taken());
        }
        for left in std::mem::take(&mut self.left) {
            left.for_each(&mut |taken| self.add(left.db, &taken));
        }
    }
}

#[derive(Debug)]
struct Collector(usize, Arc<Mutex<Collected>>);

impl Taker for Collector {
    fn take(&mut self, keys: &mut dyn Iterator<Item = Taken<'_>>) {
        let mut collected = self.1.lock().unwrap();
        keys.for_each(|taken| collected.add(self.0, &taken));
    }

    fn leave(&mut self, left: Left) {
        self.1.lock().unwrap().left.push(left);
    }

    fn leave_value(&mut self, orphan: Orphan) {
        self.1.lock().unwrap().orphans.push(orphan);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

fn large() -> Record {
    Record::new_bytes(b"large", &vec![1; 100_000], StringEncoding::Raw, None)
}

/// A keyspace of one shard that things happen to.
struct World {
    random: Random,
    databases: Databases,
    hasher: KeyHasher,
    keys: usize,
    now_ms: i64,
    epoch: u64,
    /// The keyspace at the cut, what was taken, and what is on loan.
    snapshot: Option<(Image, Arc<Mutex<Collected>>)>,
    loan: Option<Loan>,
    finished: usize,
}

impl World {
    fn new(seed: u64, keys: usize) -> Self {
        let hasher = KeyHasher::new(seed);
        let databases = Databases::new(DATABASES, &hasher);
        World {
            random: Random(seed),
            databases,
            hasher,
            keys,
            now_ms: 1000,
            epoch: 0,
            snapshot: None,
            loan: None,
            finished: 0,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        format!("key:{}", self.random.below(self.keys)).into_bytes()
    }

    fn expiry(&mut self) -> Option<i64> {
        self.random.one_in(4).then(|| self.now_ms + self.random.below(3000) as i64)
    }

    fn record(&mut self, key: &[u8]) -> Record {
        let expiry_ms = self.expiry();
        let len = match self.random.below(30) {
            0 => 9_000 + self.random.below(10_000),
            1 if self.random.one_in(3) => 70_000 + self.random.below(10_000),
            2 => return self.hash(key, expiry_ms),
            3 => return Record::new_int(key, self.random.below(1000) as i64, expiry_ms),
            _ => self.random.below(80),
        };
        let fill = self.random.below(256) as u8;
        Record::new_bytes(key, &vec![fill; len], StringEncoding::Raw, expiry_ms)
    }

    /// A hash of any size, with fields that expire.
    fn hash(&mut self, key: &[u8], expiry_ms: Option<i64>) -> Record {
        let limits = Encodings::default().hash_limits();
        let mut hash = Hash::default();
        let fields = if cfg!(miri) { [3, 30, 60] } else { [3, 200, 1500] }[self.random.below(3)];
        for field in 0..fields {
            let name = format!("{field}:{}", self.random.below(1000));
            let expiry = if self.random.one_in(50) {
                Expiry::At(self.now_ms + self.random.below(3000) as i64)
            } else {
                Expiry::Clear
            };
            hash.set(name.as_bytes(), &[b'v'; 40], expiry, limits);
        }
        Record::new_collection(key, hash, expiry_ms)
    }

    fn image(&self) -> Image {
        let mut image = Image::new();
        for db in 0..DATABASES {
            self.databases.table(db).for_each(&mut |record| {
                image.insert((db, record.key().to_vec()), content(&record.into()));
            });
        }
        image
    }

    fn put(&mut self, db: usize, record: Record) {
        let hash = self.hasher.hash(record.key());
        match self.databases.table_mut(db).entry(hash, record.key()) {
            Entry::Occupied(mut entry) => drop(entry.replace(record)),
            Entry::Vacant(entry) => {
                entry.insert(record);
            }
        }
    }

    fn remove(&mut self, db: usize, key: &[u8]) -> Option<Record> {
        match self.databases.table_mut(db).entry(self.hasher.hash(key), key) {
            Entry::Occupied(entry) => Some(entry.remove()),
            Entry::Vacant(_) => None,
        }
    }

    fn mutate(&mut self) {
        let (db, key) = (self.random.below(DATABASES), self.key());
        match self.random.below(100) {
            0..40 => {
                let record = self.record(&key);
                self.put(db, record);
            }
            40..60 => drop(self.remove(db, &key)),
            60..92 => self.edit(db, &key),
            92..95 => {
                // MOVE and RENAME.
                let (to, name) = (self.random.below(DATABASES), self.key());
                if let Some(record) = self.remove(db, &key) {
                    self.put(to, record.with_key(&name));
                }
            }
            95..98 => {
                self.now_ms += 50;
                let budget = 1 + self.random.below(20);
                self.databases.table_mut(db).expire_due(self.now_ms, budget, &mut |_| {});
            }
            _ if !self.random.one_in(10) => {}
            98 => self.databases.swap(db, self.random.0 as usize % DATABASES),
            _ if self.random.one_in(2) => drop(self.databases.table_mut(db).take()),
            _ => {
                // What a loaded file replaces.
                let mut table = Table::new(self.hasher.clone());
                self.databases.table_mut(db).swap(&mut table);
            }
        }
    }

    /// Changes a key in place.
    fn edit(&mut self, db: usize, key: &[u8]) {
        let expiry_ms = self.expiry();
        let (kind, fill) = (self.random.below(7), self.random.below(256) as u8);
        let now_ms = self.now_ms;
        let table = self.databases.table_mut(db);
        let Entry::Occupied(mut entry) = table.entry(self.hasher.hash(key), key) else { return };
        match kind {
            0 => entry.set_expiry(expiry_ms),
            1 => entry.set_string_bytes(&[fill; 30], StringEncoding::Raw, expiry_ms),
            2 => entry.set_int(i64::from(fill), expiry_ms),
            3 => {
                entry.bytes_mut().into_iter().flatten().for_each(|byte| *byte = fill);
            }
            4 => {
                if let Some(mut value) = entry.boxed_mut() {
                    change(&mut value, fill, now_ms);
                }
            }
            5 => {
                // As the guard of a collection does it.
                let place = entry.place();
                let Some(before) = entry.lend::<Hash>() else { return };
                change(table.boxed_at_mut(place), fill, now_ms);
                change(table.boxed_at_mut(place), fill ^ 1, now_ms);
                table.collection_changed::<Hash>(place, before);
            }
            _ => entry.record().set_access(u32::from(fill)),
        }
    }

    fn snapshot(&mut self) {
        let Some((expected, collected)) = &self.snapshot else {
            if self.random.one_in(50) {
                self.begin();
            }
            return;
        };
        if let Some(loan) = self.loan.take() {
            if !self.random.one_in(10) {
                self.loan = Some(loan);
                return;
            }
            // It is read in the end: until then nobody may have changed it.
            collected.lock().unwrap().add(loan.db, &loan.taken());
            drop(self.databases.give_back(loan));
        }
        if self.random.one_in(10) {
            collected.lock().unwrap().take_rest();
        }
        if self.random.one_in(20) {
            let (db, key) = (self.random.below(DATABASES), format!("key:{}", self.random.below(self.keys)));
            let hash = self.hasher.hash(key.as_bytes());
            self.databases.table_mut(db).is_lagging(hash, key.as_bytes());
        }
        if !self.random.one_in(3) {
            return;
        }
        match self.databases.snapshot_step() {
            Some(Step::Taken) => {}
            Some(Step::Lent(loan)) => self.loan = Some(loan),
            None => {
                let mut collected = collected.lock().unwrap();
                collected.take_rest();
                for (key, content) in expected {
                    assert_eq!(collected.image.get(key).map(|taken| taken == content), Some(true), "{key:?}");
                }
                assert_eq!(collected.image.len(), expected.len());
                drop(collected);
                self.snapshot = None;
                self.finished += 1;
            }
        }
    }

    fn begin(&mut self) {
        self.epoch += 1;
        let collected = Arc::<Mutex<Collected>>::default();
        let taker =
            &mut |db, _: &Table| -> Box<dyn Taker> { Box::new(Collector(db, Arc::clone(&collected))) };
        self.databases.begin_snapshot(self.epoch, taker);
        self.snapshot = Some((self.image(), collected));
    }

    /// The sums of the tables are right, although values were exchanged for copies.
    fn check_sums(&self) {
        for db in 0..DATABASES {
            let table = self.databases.table(db);
            let records = table.records().map(Record::heap_size).sum::<usize>();
            assert_eq!(table.bytes() - table.index_bytes(), records);
            assert_eq!(table.len(), table.records().count());
        }
    }
}

fn change(value: &mut Value, fill: u8, now_ms: i64) {
    match value {
        Value::String(string) => string.append(&[fill; 10]),
        Value::Hash(hash) => {
            let limits = Encodings::default().hash_limits();
            hash.set(&[fill], &[fill; 20], Expiry::At(now_ms + i64::from(fill)), limits);
        }
        _ => {}
    }
}

#[test]
fn a_snapshot_has_what_was_there_at_the_cut() {
    let (seeds, steps) = if cfg!(miri) { (1, 400) } else { (24, 6_000) };
    let mut finished = 0;
    for seed in 0..seeds {
        let mut world = World::new(seed, [40, 300, 3000][seed as usize % 3]);
        for _ in 0..steps {
            world.mutate();
            world.snapshot();
        }
        world.check_sums();
        finished += world.finished;
    }
    assert!(cfg!(miri) || finished > 30, "only {finished} snapshots were finished");
}

#[test]
fn a_large_value_is_asked_for_first() {
    let mut world = World::new(7, 1);
    for number in 0..if cfg!(miri) { 100 } else { 1000 } {
        world.put(0, Record::new_int(format!("n{number}").as_bytes(), number, None));
    }
    world.put(0, large());
    let hash = world.hasher.hash(b"large");
    assert!(!world.databases.table_mut(0).is_lagging(hash, b"large"), "there is no snapshot");
    world.begin();
    assert!(world.databases.table_mut(0).is_lagging(hash, b"large"));
    let Some(Step::Lent(loan)) = world.databases.snapshot_step() else { panic!("it goes there first") };
    assert_eq!(loan.taken().key, b"large");
    assert!(world.databases.table_mut(0).is_lagging(hash, b"large"), "it is being read");
    assert!(world.databases.give_back(loan).is_none(), "nobody has changed it");
    assert!(!world.databases.table_mut(0).is_lagging(hash, b"large"));
    assert!(!world.databases.table_mut(0).is_lagging(world.hasher.hash(b"n1"), b"n1"), "it is small");
}

#[test]
fn what_was_given_up_costs_nothing() {
    let mut world = World::new(8, 500);
    for _ in 0..if cfg!(miri) { 100 } else { 2000 } {
        world.mutate();
    }
    world.put(0, large());
    world.begin();
    let loan = loop {
        match world.databases.snapshot_step() {
            Some(Step::Lent(loan)) => break loan,
            step => assert!(step.is_some(), "there is a large value"),
        }
    };
    world.databases.end_snapshot();
    assert!(world.databases.table(0).is_being_taken(), "a value is on loan");
    drop(world.databases.give_back(loan));
    world.databases.end_snapshot();
    assert!((0..DATABASES).all(|db| !world.databases.table(db).is_being_taken()));
}

/// Who forgets a loan loses memory, nothing else.
#[test]
#[cfg_attr(miri, ignore = "it leaks on purpose")]
fn a_loan_outlives_everything() {
    for ending in 0..3 {
        let mut world = World::new(9, 1);
        world.put(0, large());
        world.begin();
        world.databases.table_mut(0).is_lagging(world.hasher.hash(b"large"), b"large");
        let Some(Step::Lent(loan)) = world.databases.snapshot_step() else { panic!("it is lent") };
        match ending {
            0 => drop(world.databases.table_mut(0).take()),
            1 => drop(world.remove(0, b"large")),
            _ => {}
        }
        drop(world);
        assert_eq!(content(&loan.taken()), content(&(&large()).into()));
    }
}
