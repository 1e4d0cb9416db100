//! The table against a model, and the promises other parts rely on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use proptest::prelude::*;

use super::{Entry, INLINE_LEN_MAX, KeyHasher, Record, ScanCursor, Table, ValueRef, hash::tag};
use crate::{
    types::string::LongString,
    value::{StringEncoding, TypeCode, Value},
};

static HASHER: LazyLock<KeyHasher> = LazyLock::new(|| KeyHasher::new(0x5eed));

fn cases(native: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 2 } else { native },
        failure_persistence: None,
        ..Default::default()
    }
}

fn table() -> Table {
    Table::new(HASHER.clone())
}

fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

/// What the model keeps of a value.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Int(i64),
    Bytes(Vec<u8>, StringEncoding),
    Boxed(Vec<u8>),
}

impl Content {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Int(value) => Self::Int(value),
            ValueRef::Bytes { bytes, encoding } => Self::Bytes(bytes.to_vec(), encoding),
            ValueRef::Boxed(Value::String(string)) => Self::Boxed(string.as_bytes().to_vec()),
            other => panic!("no such value was stored: {other:?}"),
        }
    }

    fn boxed(bytes: &[u8]) -> Box<Value> {
        Box::new(Value::String(LongString::new(bytes)))
    }

    fn record(&self, key: &[u8], expiry_ms: Option<i64>) -> Record {
        match self {
            Self::Int(value) => Record::new_int(key, *value, expiry_ms),
            Self::Bytes(bytes, encoding) => Record::new_bytes(key, bytes, *encoding, expiry_ms),
            Self::Boxed(bytes) => Record::new_boxed(key, Self::boxed(bytes), expiry_ms),
        }
    }

    fn overwrite(&self, record: Record, expiry_ms: Option<i64>) -> Record {
        match self {
            Self::Int(value) => record.replace_int(*value, expiry_ms),
            Self::Bytes(bytes, encoding) => record.replace_bytes(bytes, *encoding, expiry_ms),
            Self::Boxed(bytes) => record.replace_boxed(Self::boxed(bytes), expiry_ms),
        }
    }

    fn string(&self) -> Vec<u8> {
        match self {
            Self::Int(value) => value.to_string().into_bytes(),
            Self::Bytes(bytes, _) | Self::Boxed(bytes) => bytes.clone(),
        }
    }

    /// The form a string takes after it was changed in place.
    fn changed(&self, bytes: Vec<u8>) -> Self {
        if bytes.len() > INLINE_LEN_MAX || matches!(self, Self::Boxed(_)) {
            Self::Boxed(bytes)
        } else {
            Self::Bytes(bytes, StringEncoding::Raw)
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<i64>().prop_map(Content::Int),
        (
            prop::collection::vec(any::<u8>(), 0..80),
            prop_oneof![Just(StringEncoding::Embstr), Just(StringEncoding::Raw)]
        )
            .prop_map(|(bytes, encoding)| Content::Bytes(bytes, encoding)),
        (0..=INLINE_LEN_MAX, any::<u8>())
            .prop_map(|(len, byte)| Content::Bytes(vec![byte; len], StringEncoding::Raw)),
        (INLINE_LEN_MAX + 1..3000, any::<u8>()).prop_map(|(len, byte)| Content::Boxed(vec![byte; len])),
    ]
}

fn expiry() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(0..1000i64)
}

mod record {
    use super::*;

    fn check(record: &Record, key: &[u8], content: &Content, expiry_ms: Option<i64>) {
        assert_eq!(record.key(), key);
        assert_eq!(&Content::of(record.value()), content);
        assert_eq!(record.expiry_ms(), expiry_ms);
        assert_eq!(record.type_code(), TypeCode::String);
        assert_eq!(record.access(), 0x00ab_cdef, "the access clock survives every change");
        let mut scratch = [0; 20];
        assert_eq!(record.value().string(&mut scratch), Some(&content.string()[..]));
    }

    #[derive(Clone, Debug)]
    enum Change {
        Overwrite(Content, Option<i64>),
        Expire(Option<i64>),
        Append(Vec<u8>),
        Resize(usize),
        Poke,
        Rename(Vec<u8>),
        Copy,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (content(), expiry()).prop_map(|(content, expiry)| Change::Overwrite(content, expiry)),
            expiry().prop_map(Change::Expire),
            prop::collection::vec(any::<u8>(), 0..700).prop_map(Change::Append),
            (0..2000usize).prop_map(Change::Resize),
            Just(Change::Poke),
            (0..400usize, any::<u8>()).prop_map(|(len, byte)| Change::Rename(vec![byte; len])),
            Just(Change::Copy),
        ]
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn every_change_does_what_it_says(
            mut key in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (250..260usize).prop_map(|len| vec![b'k'; len]),
                (1000..2000usize).prop_map(|len| vec![b'k'; len]),
            ],
            mut content in content(),
            mut expiry_ms in expiry(),
            changes in prop::collection::vec(change(), 0..if cfg!(miri) { 6 } else { 20 }),
        ) {
            let mut record = content.record(&key, expiry_ms);
            record.set_access(0xffab_cdef);
            check(&record, &key, &content, expiry_ms);
            for change in changes {
                match change {
                    Change::Overwrite(new, expiry) => {
                        // Long bytes reuse a boxed string; the model knows only their content.
                        record = new.overwrite(record, expiry);
                        content = new;
                        expiry_ms = expiry;
                    }
                    Change::Expire(expiry) => {
                        record = record.with_expiry(expiry);
                        expiry_ms = expiry;
                    }
                    Change::Append(tail) => {
                        record = record.append_bytes(&tail);
                        content = content.changed([content.string(), tail].concat());
                    }
                    Change::Resize(len) => {
                        record = record.resize_bytes(len);
                        let mut bytes = content.string();
                        bytes.resize(len, 0);
                        content = content.changed(bytes);
                    }
                    Change::Rename(new) => {
                        record = record.with_key(&new);
                        key = new;
                    }
                    Change::Copy => {
                        let original = record;
                        record = original.copy_to(&key);
                        check(&original, &key, &content, expiry_ms);
                        let boxed = original.into_boxed().map(|value| Content::of(ValueRef::Boxed(&value)));
                        let expected = record.boxed_mut().map(|_| content.clone());
                        prop_assert_eq!(boxed.ok(), expected);
                    }
                    Change::Poke => {
                        if let Some(byte) = record.bytes_mut().and_then(|bytes| bytes.last_mut()) {
                            *byte = !*byte;
                        }
                        if let Content::Bytes(bytes, _) | Content::Boxed(bytes) = &mut content
                            && let Some(byte) = bytes.last_mut()
                        {
                            *byte = !*byte;
                        }
                    }
                }
                check(&record, &key, &content, expiry_ms);
            }
        }
    }

    #[test]
    fn overwriting_with_a_similar_size_stays_in_place() {
        let record = Record::new_bytes(&[b'k'; 16], &[1; 16], StringEncoding::Embstr, None);
        let place = record.address();
        assert_eq!(record.heap_size(), 48);
        for len in [16, 24, 10, 9] {
            let record = Record::new_bytes(&[b'k'; 16], &[1; 16], StringEncoding::Embstr, None);
            let place = record.address();
            let record = record.replace_bytes(&vec![2; len], StringEncoding::Embstr, None);
            assert_eq!(record.address(), place, "{len}");
        }
        let record = record.with_expiry(Some(1));
        assert_eq!((record.address(), record.heap_size()), (place, 48), "the class has room for an expiry");
        assert_eq!(record.value(), ValueRef::Bytes { bytes: &[1; 16], encoding: StringEncoding::Embstr });
        let record = record.with_expiry(None).replace_bytes(&[2; 25], StringEncoding::Embstr, None);
        assert_eq!(record.heap_size(), 64);
    }

    #[test]
    fn only_strings_of_the_same_length_that_never_expire_are_overwritten() {
        let mut record = Record::new_bytes(b"k", b"abc", StringEncoding::Raw, None);
        assert!(record.overwrite_bytes(b"xyz", StringEncoding::Embstr));
        assert_eq!(record.value(), ValueRef::Bytes { bytes: b"xyz", encoding: StringEncoding::Embstr });
        assert!(!record.overwrite_bytes(b"xy", StringEncoding::Embstr));
        assert!(!record.overwrite_bytes(b"wxyz", StringEncoding::Embstr));
        let mut others = [
            record.with_expiry(Some(7)),
            Record::new_int(b"k", 123, None),
            Record::new_packed(b"k", TypeCode::Set, b"abc", None),
            Record::new_bytes(b"k", &[1; 2000], StringEncoding::Raw, None),
        ];
        for record in &mut others {
            assert!(!record.overwrite_bytes(b"abc", StringEncoding::Embstr), "{record:?}");
        }
        assert_eq!(others[0].value(), ValueRef::Bytes { bytes: b"xyz", encoding: StringEncoding::Embstr });
    }

    #[test]
    fn a_long_value_reuses_its_box() {
        let record = Record::new_bytes(b"k", &[1; 5000], StringEncoding::Raw, None);
        let place = |record: &Record| match record.value() {
            ValueRef::Boxed(Value::String(string)) => string.as_bytes().as_ptr(),
            other => panic!("{other:?}"),
        };
        let before = place(&record);
        let record = record.replace_bytes(&[2; 4999], StringEncoding::Raw, Some(5));
        assert_eq!(place(&record), before);
        assert_eq!((record.expiry_ms(), record.value().encoding_name()), (Some(5), "raw"));
        assert!(record.heap_size() >= 5000 + 32);
        let record = record.replace_bytes(b"short", StringEncoding::Embstr, None);
        assert_eq!((record.heap_size(), record.value().encoding_name()), (16, "embstr"));
    }
}

/// A model entry.
type Expected = (Content, Option<i64>);

fn insert_or_overwrite(table: &mut Table, key: &[u8], content: &Content, expiry_ms: Option<i64>) {
    let hash = table.hasher().hash(key);
    match table.entry(hash, key) {
        Entry::Occupied(mut entry) => match content {
            Content::Int(value) => entry.set_int(*value, expiry_ms),
            Content::Bytes(bytes, encoding) => entry.set_string_bytes(bytes, *encoding, expiry_ms),
            Content::Boxed(bytes) => {
                let old = entry.replace(Record::new_boxed(key, Content::boxed(bytes), expiry_ms));
                assert_eq!(old.key(), key);
            }
        },
        Entry::Vacant(entry) => {
            assert_eq!(entry.insert(content.record(key, expiry_ms)).record().key(), key);
        }
    }
}

fn remove(table: &mut Table, key: &[u8]) -> Option<Record> {
    let hash = table.hasher().hash(key);
    match table.entry(hash, key) {
        Entry::Occupied(entry) => Some(entry.remove()),
        Entry::Vacant(_) => None,
    }
}

/// Bytes of segments per key.
fn slot_bytes_per_key(table: &Table) -> f64 {
    let bytes = table.segments_from(0).map(|(_, segment)| 64 * (1 + segment.buckets.len())).sum::<usize>();
    bytes as f64 / table.len() as f64
}

/// Everything that can be asked of the table agrees with the model.
fn check(table: &Table, model: &BTreeMap<Vec<u8>, Expected>) {
    assert_eq!(table.len(), model.len());
    assert_eq!(table.expires_len(), model.values().filter(|(_, expiry)| expiry.is_some()).count());
    for (key, (content, expiry_ms)) in model {
        let hash = HASHER.hash(key);
        table.prefetch_record(hash);
        let record = table.get(hash, key).expect("a key of the model");
        assert_eq!((&Content::of(record.value()), record.expiry_ms()), (content, *expiry_ms));
    }
    let mut seen = BTreeSet::new();
    table.for_each(&mut |record| assert!(seen.insert(record.key().to_vec())));
    assert_eq!(seen.len(), model.len());
    assert_eq!(scan_all(table, 7).into_iter().collect::<BTreeSet<_>>(), seen);
    check_structure(table);
    if let Some(earliest) = model.values().filter_map(|(_, expiry)| *expiry).min() {
        assert!(table.earliest_expiry_ms().expect("an expiry") <= earliest);
    }
    let mut next = 1u64;
    let mut random = || {
        next = next.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        next
    };
    assert_eq!(table.random(&mut random).is_some(), !model.is_empty());
}

/// Sums kept in passing are those of what is there.
fn check_structure(table: &Table) {
    let mut bytes = table.directory().size();
    let mut next = 0;
    for (first, segment) in table.segments_from(0) {
        assert_eq!(first, next, "segments follow one another");
        next = first + table.directory().span(segment.header.local_depth);
        bytes += 64 * (1 + segment.buckets.len());
        bytes += segment.records().map(Record::heap_size).sum::<usize>();
        assert_eq!(segment.records().count(), segment.header.len);
        let earliest = segment.records().filter_map(Record::expiry_ms).min().unwrap_or(i64::MAX);
        assert!(segment.header.earliest_ms <= earliest);
        assert_eq!(table.directory().deadline(first), segment.header.earliest_ms);
        assert!(table.directory().earliest_ms() <= earliest);
        for record in segment.records() {
            let hash = table.hasher().hash(record.key());
            assert_eq!(record.tag(), tag(hash));
            assert!(table.get(hash, record.key()).is_some_and(|found| std::ptr::eq(found, record)));
        }
    }
    assert_eq!(table.bytes(), bytes);
}

fn scan_all(table: &Table, count: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = Some(ScanCursor::default());
    while let Some(at) = cursor {
        cursor = table.scan(at, count, &mut |record| keys.push(record.key().to_vec()));
        assert!(cursor.is_none_or(|next| next > at), "cursors grow");
    }
    keys
}

#[derive(Clone, Debug)]
enum Op {
    Put(u32, Content, Option<i64>),
    PutMany(u32, u32),
    Remove(u32),
    RemoveMany(u32, u32),
    Expiry(u32, Option<i64>),
    Append(u32, Vec<u8>),
    GrowBoxed(u32),
    ExpireDue(i64, usize),
    Take,
    Swap,
}

fn op() -> impl Strategy<Value = Op> {
    let many: u32 = if cfg!(miri) { 20 } else { 600 };
    let keys = 2 * many;
    prop_oneof![
        6 => (0..keys, content(), expiry()).prop_map(|(key, content, expiry)| Op::Put(key, content, expiry)),
        4 => (0..keys, 0..many).prop_map(|(start, len)| Op::PutMany(start, len)),
        4 => (0..keys).prop_map(Op::Remove),
        2 => (0..keys, 0..many).prop_map(|(start, len)| Op::RemoveMany(start, len)),
        2 => (0..keys, expiry()).prop_map(|(key, expiry)| Op::Expiry(key, expiry)),
        2 => (0..keys, prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(key, tail)| Op::Append(key, tail)),
        2 => (0..keys).prop_map(Op::GrowBoxed),
        2 => (0..1000i64, 1..200usize).prop_map(|(now, budget)| Op::ExpireDue(now, budget)),
        1 => Just(Op::Take),
        1 => Just(Op::Swap),
    ]
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn the_table_is_a_map(ops in prop::collection::vec(op(), 1..if cfg!(miri) { 12 } else { 40 })) {
        let mut tables = [table(), table()];
        let mut models: [BTreeMap<Vec<u8>, Expected>; 2] = Default::default();
        let hint = tables[0].hint();
        for op in ops {
            let [table, other] = &mut tables;
            let model = &mut models[0];
            match op {
                Op::Put(number, content, expiry_ms) => {
                    insert_or_overwrite(table, &key(number), &content, expiry_ms);
                    model.insert(key(number), (content, expiry_ms));
                }
                Op::PutMany(start, len) => for number in start..start + len {
                    let content = Content::Int(i64::from(number));
                    let expiry_ms = number.is_multiple_of(3).then_some(i64::from(number));
                    insert_or_overwrite(table, &key(number), &content, expiry_ms);
                    model.insert(key(number), (content, expiry_ms));
                },
                Op::Remove(number) => {
                    let removed = remove(table, &key(number)).map(|record| Content::of(record.value()));
                    prop_assert_eq!(removed, model.remove(&key(number)).map(|(content, _)| content));
                }
                Op::RemoveMany(start, len) => for number in start..start + len {
                    prop_assert_eq!(remove(table, &key(number)).is_some(), model.remove(&key(number)).is_some());
                },
                Op::Expiry(number, expiry_ms) => {
                    if let Entry::Occupied(mut entry) = table.entry(HASHER.hash(&key(number)), &key(number)) {
                        entry.set_expiry(expiry_ms);
                        model.get_mut(&key(number)).unwrap().1 = expiry_ms;
                    }
                }
                Op::Append(number, tail) => {
                    if let Entry::Occupied(mut entry) = table.entry(HASHER.hash(&key(number)), &key(number)) {
                        entry.update(|record| record.append_bytes(&tail));
                        let content = &mut model.get_mut(&key(number)).unwrap().0;
                        *content = content.changed([content.string(), tail].concat());
                    }
                }
                Op::GrowBoxed(number) => {
                    if let Entry::Occupied(mut entry) = table.entry(HASHER.hash(&key(number)), &key(number)) {
                        let boxed = matches!(entry.record().value(), ValueRef::Boxed(_));
                        prop_assert_eq!(entry.boxed_mut().is_some(), boxed);
                        if let Some(mut guard) = entry.boxed_mut() {
                            let Value::String(string) = &mut *guard else { panic!("only strings are boxed here") };
                            string.append(&[7; 3000]);
                            let content = &mut model.get_mut(&key(number)).unwrap().0;
                            *content = Content::Boxed([content.string(), vec![7; 3000]].concat());
                        }
                    }
                }
                Op::ExpireDue(now_ms, budget) => {
                    let mut expired = BTreeSet::new();
                    let more = table.expire_due(now_ms, budget, &mut |due| {
                        let super::Due::Key(record) = due else { panic!("no value has members") };
                        expired.insert(record.key().to_vec());
                    });
                    prop_assert!(expired.len() <= budget);
                    for key in expired {
                        let (_, expiry_ms) = model.remove(&key).expect("expired once");
                        prop_assert!(expiry_ms.is_some_and(|expiry_ms| expiry_ms < now_ms));
                    }
                    let due = model.values().any(|(_, expiry_ms)| expiry_ms.is_some_and(|expiry_ms| expiry_ms < now_ms));
                    prop_assert!(more || !due);
                }
                Op::Take => {
                    let contents = table.take();
                    prop_assert_eq!(contents.len(), model.len());
                    let mut count = 0;
                    contents.for_each(&mut |record| {
                        assert!(model.contains_key(record.key()));
                        count += 1;
                    });
                    prop_assert_eq!(count, model.len());
                    model.clear();
                }
                Op::Swap => {
                    table.swap(other);
                    models.swap(0, 1);
                }
            }
            hint.prefetch_bucket_for_write(HASHER.hash(b"key:1"));
            let [model, _] = &models;
            prop_assert_eq!(tables[0].len(), model.len());
        }
        for (table, model) in tables.iter().zip(&models) {
            check(table, model);
        }
    }

    #[test]
    fn a_scan_misses_nothing_that_stays(
        stays in 0..if cfg!(miri) { 30u32 } else { 2000 },
        count in 1..60usize,
        between in prop::collection::vec((any::<bool>(), 0..if cfg!(miri) { 20u32 } else { 800 }), 0..40),
    ) {
        let mut table = table();
        for number in 0..stays {
            insert_or_overwrite(&mut table, &key(number), &Content::Int(0), None);
        }
        let mut others = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut cursor = Some(ScanCursor::default());
        let mut changes = between.into_iter();
        let mut fresh = stays;
        while let Some(at) = cursor {
            prop_assert_eq!(ScanCursor::from_bits(at.to_bits()), at);
            cursor = table.scan(at, count, &mut |record| { seen.insert(record.key().to_vec()); });
            match changes.next() {
                Some((true, len)) => for _ in 0..len {
                    insert_or_overwrite(&mut table, &key(fresh), &Content::Int(0), None);
                    others.insert(fresh);
                    fresh += 1;
                },
                Some((false, len)) => for _ in 0..len {
                    let Some(number) = others.pop_first() else { break };
                    prop_assert!(remove(&mut table, &key(number)).is_some());
                },
                None => {}
            }
        }
        for number in 0..stays {
            prop_assert!(seen.contains(&key(number)), "{number}");
        }
        check_structure(&table);
    }
}

#[test]
fn a_scan_started_large_survives_mass_deletion() {
    let many = if cfg!(miri) { 80 } else { 20_000 };
    let mut table = table();
    for number in 0..many {
        insert_or_overwrite(&mut table, &key(number), &Content::Int(0), None);
    }
    let mut seen = BTreeSet::new();
    let mut cursor = table.scan(ScanCursor::default(), many as usize / 3, &mut |record| {
        seen.insert(record.key().to_vec());
    });
    for number in (0..many).filter(|number| number % 10 != 0) {
        assert!(remove(&mut table, &key(number)).is_some());
    }
    while let Some(at) = cursor {
        cursor = table.scan(at, 10, &mut |record| {
            seen.insert(record.key().to_vec());
        });
    }
    assert!((0..many).filter(|number| number % 10 == 0).all(|number| seen.contains(&key(number))));
    check_structure(&table);
}

/// Any cursor a client may send ends somewhere.
#[test]
fn foreign_cursors_terminate() {
    let mut table = table();
    for number in 0..if cfg!(miri) { 50 } else { 500 } {
        insert_or_overwrite(&mut table, &key(number), &Content::Int(0), None);
    }
    for bits in [1, 0xffff, 0xff_ffff_ffff, 0x12_3456_789a, u64::MAX] {
        let mut cursor = Some(ScanCursor::from_bits(bits));
        let mut calls = 0;
        while let Some(at) = cursor {
            cursor = table.scan(at, 10, &mut |record| assert!(!record.key().is_empty()));
            calls += 1;
            assert!(calls < 1000, "{bits}");
        }
    }
}

#[test]
fn segments_stay_dense_while_growing() {
    let most = match (cfg!(miri), cfg!(debug_assertions)) {
        (true, _) => 800,
        (_, true) => 300_000,
        _ => 1_000_000,
    };
    let mut table = table();
    for number in 0..most {
        insert_or_overwrite(&mut table, &key(number), &Content::Int(0), None);
        if number >= 100_000 && number.is_multiple_of(10_000) {
            let per_key = slot_bytes_per_key(&table);
            assert!(per_key <= 12.0, "{per_key} bytes of segments per key at {number} keys");
        }
    }
    // The directory is small change.
    assert!(table.directory().size() <= table.len());
    check_structure(&table);
    for number in (0..most).filter(|number| number % 16 != 0) {
        assert!(remove(&mut table, &key(number)).is_some());
    }
    check_structure(&table);
    let per_key = slot_bytes_per_key(&table);
    assert!(per_key <= 40.0, "segments shrink as 15 of 16 keys go: {per_key}");
}

/// Keys whose hashes agree in some of the bits, as an attacker would like to have them.
#[test]
fn colliding_hashes_cost_time_but_not_memory_or_correctness() {
    let directory = 0xffff_ff00_0000_0000;
    let tags = 0x0000_00ff_ff00_0000;
    for (mask, keys) in [
        (0, 2_000),
        (tags, 600_000),
        (directory, 50_000),
        (0xf000_0000_0000_0000, 2_000),
        (0xf000_0000_0000_0000 | tags, 100_000),
        (0x0000_0f00_0000_0000 | tags, 50_000),
        (directory | 0x0000_0003_0000_0000, 20_000),
    ] {
        let keys = if cfg!(miri) { 40 } else { keys };
        let mut hasher = HASHER.clone();
        hasher.mask = mask;
        let mut table = Table::new(hasher);
        for number in 0..keys {
            insert_or_overwrite(&mut table, &key(number), &Content::Int(0), Some(i64::from(number)));
        }
        assert_eq!(table.len(), keys as usize);
        assert!(slot_bytes_per_key(&table) < 16.0, "{mask:x}: {}", slot_bytes_per_key(&table));
        assert!(table.directory().size() <= 8 * table.len(), "{mask:x}: {}", table.directory().size());
        check_structure(&table);
        let seen = scan_all(&table, keys as usize / 3).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(seen.len(), table.len());
        // Two thirds of the removals are expiries, in several rounds.
        let due = i64::from(keys) * 2 / 3;
        let mut expired = 0;
        while table.expire_due(due, keys as usize / 5, &mut |_| expired += 1) {}
        assert_eq!(expired, due);
        check_structure(&table);
        for number in due as u32..keys {
            assert!(remove(&mut table, &key(number)).is_some(), "{mask:x}: {number}");
        }
        assert!(table.is_empty());
        assert_eq!(table.expires_len(), 0);
        check_structure(&table);
    }
}

#[test]
fn hints_are_safe_while_the_table_changes() {
    let rounds = if cfg!(miri) { 60 } else { 20_000 };
    let mut table = table();
    let mut other = self::table();
    let hint = table.hint();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for number in 0..100 {
                    hint.prefetch_bucket(HASHER.hash(&key(number)));
                    hint.prefetch_bucket_for_write(HASHER.hash(&key(number)));
                }
                std::thread::yield_now();
            }
        });
        for number in 0..rounds {
            insert_or_overwrite(&mut table, &key(number), &Content::Int(0), None);
            if number == rounds / 2 {
                table.swap(&mut other);
            }
            if number == rounds * 3 / 4 {
                drop(table.take());
                table.swap(&mut other);
            }
        }
        // The hint outlives what it is a hint for.
        drop((table, other));
        done.store(true, Relaxed);
    });
    hint.prefetch_bucket(HASHER.hash(b"key"));
}

#[test]
fn random_reaches_all_keys_equally() {
    let (keys, draws) = if cfg!(miri) { (20, 200) } else { (1000, 200_000) };
    let mut table = table();
    for number in 0..keys {
        insert_or_overwrite(&mut table, &key(number), &Content::Int(i64::from(number)), None);
    }
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut counts = BTreeMap::new();
    for _ in 0..draws {
        let ValueRef::Int(number) = table.random(&mut random).expect("keys").value() else {
            panic!("an integer")
        };
        *counts.entry(number).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), keys as usize);
    if !cfg!(miri) {
        let expected = f64::from(draws / keys);
        let deviation = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
        let chi_square: f64 = counts.values().map(deviation).sum();
        // 999 degrees of freedom: mean 999, standard deviation 45.
        assert!(chi_square < 1180.0, "{chi_square}");
    }
    for number in 1..keys {
        assert!(remove(&mut table, &key(number)).is_some());
    }
    assert_eq!(table.random(&mut random).expect("the last key").key(), key(0));
}

#[test]
fn a_sparse_table_is_compacted() {
    let many = if cfg!(miri) { 120 } else { 50_000 };
    let mut table = table();
    for number in 0..many {
        let expiry_ms = (number % 3 == 0).then_some(i64::from(number));
        insert_or_overwrite(&mut table, &key(number), &Content::Int(i64::from(number)), expiry_ms);
    }
    let half = table.scan(ScanCursor::default(), many as usize / 2, &mut |_| ()).expect("half of it");
    let mut number = many;
    while !table.is_sparse() {
        number -= 1;
        remove(&mut table, &key(number));
    }
    let (before, len, expires_len) = (table.bytes(), table.len(), table.expires_len());
    let mut rest = BTreeSet::new();
    table.scan(half, usize::MAX, &mut |record| {
        rest.insert(record.key().to_vec());
    });
    table.compact();
    assert_eq!((table.len(), table.expires_len(), table.is_sparse()), (len, expires_len, false));
    assert!(table.bytes() < before);
    assert_eq!(table.records().count(), len);
    for number in 0..number {
        let record = table.get(HASHER.hash(&key(number)), &key(number)).expect("it was not removed");
        assert_eq!(record.expiry_ms(), (number % 3 == 0).then_some(i64::from(number)));
    }
    // What an interrupted scan had not seen, it still sees.
    table.scan(ScanCursor { tag: 0, ..half }, usize::MAX, &mut |record| {
        rest.remove(record.key());
    });
    assert!(rest.is_empty());
    table.compact();
    assert_eq!(table.len(), len);
}

#[test]
fn an_untouched_table_owns_almost_nothing() {
    let table = table();
    assert_eq!(table.bytes(), 0);
    assert_eq!(table.get(1, b"key").map(Record::key), None);
    assert_eq!(scan_all(&table, 10).len(), 0);
    assert_eq!(table.earliest_expiry_ms(), None);
    assert!(size_of::<Table>() <= 128);
}
