use super::super::{
    Databases, Due, EventClasses, ExpiredMembers, INLINE_PACKED_MAX, KeyHasher, KeyLog, Reclaim,
};
use super::*;
use crate::types::collection::probe::Probe;
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW_MS: i64 = 1_000_000;
const ACCESS: Access = Access::Lfu { minute: 7, luck: u32::MAX, log_factor: 10, decay_minutes: 0 };
const RULES: Rules = Rules { now_ms: NOW_MS, access: ACCESS, delete_expired: true };

/// Several shards of two databases.
struct Shards {
    hasher: KeyHasher,
    databases: Vec<Databases>,
    log: KeyLog,
    rules: Rules,
}

impl Shards {
    fn new(count: usize) -> Self {
        let hasher = KeyHasher::new(3);
        let databases = (0..count).map(|_| Databases::new(2, &hasher)).collect();
        let log = KeyLog { record_touched: true, record_events: EventClasses::ALL, ..KeyLog::default() };
        Shards { hasher, databases, log, rules: RULES }
    }

    fn keys(&mut self) -> Keys<'_> {
        let held = self.databases.iter_mut().enumerate().map(|(shard, databases)| (shard as u16, databases));
        Keys::new(Held::Many(held.collect()), 0, self.rules, &mut self.log)
    }

    fn with<R>(&mut self, number: u32, change: impl FnOnce(&mut Keys, Key) -> R) -> R {
        let name = name(number);
        let hash = self.hasher.hash(&name);
        let shard = slot_of(number, self.databases.len());
        change(&mut self.keys(), Key::new(&name, hash, shard))
    }

    fn set(&mut self, number: u32, expiry: Expiry) {
        self.with(number, |keys, key| keys.set_string(key, StringValue::Int(1), expiry));
    }

    /// All steps of a scan; what it emitted.
    fn scan(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut cursor = Some(KeyspaceCursor::default());
        while let Some(at) = cursor {
            cursor = self.keys().scan(at, count, |_| true, |record| seen.push(record.key().to_vec()));
            assert!(cursor.is_none_or(|next| next > at), "cursors grow");
            assert!(cursor.is_none_or(|next| next.to_number() != 0), "0 means the end");
        }
        seen
    }
}

fn name(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

/// Shard 1 gets nothing, shard 2 half of all keys.
fn slot_of(number: u32, shards: usize) -> u16 {
    match number as usize % 8 {
        4..8 if shards > 2 => 2,
        rest if rest % shards == 1 => 0,
        rest => (rest % shards) as u16,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 128 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_scan_over_shards_misses_nothing_that_stays(
        shards in 1..6usize,
        stays in 0..if cfg!(miri) { 20u32 } else { 1500 },
        count in 1..70usize,
        between in prop::collection::vec((any::<bool>(), 0..if cfg!(miri) { 10u32 } else { 500 }), 0..40),
    ) {
        let mut all = Shards::new(shards);
        for number in 0..stays {
            all.set(number, Expiry::Clear);
        }
        let mut others = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut changes = between.into_iter();
        let mut fresh = stays;
        let mut cursor = Some(KeyspaceCursor::default());
        while let Some(at) = cursor {
            prop_assert_eq!(KeyspaceCursor::from_number(at.to_number()), at);
            let mut emitted = 0;
            cursor = all.keys().scan(at, count, |_| true, |record| {
                emitted += 1;
                seen.insert(record.key().to_vec());
            });
            prop_assert!(cursor.is_none_or(|next| next > at));
            prop_assert!(emitted < count + 8, "only keys whose hashes collide come on top: {}", emitted);
            match changes.next() {
                Some((true, len)) => for _ in 0..len {
                    let number = fresh;
                    fresh += 1;
                    all.set(number, Expiry::Clear);
                    others.insert(number);
                },
                Some((false, len)) => for _ in 0..len {
                    let Some(number) = others.pop_first() else { break };
                    prop_assert!(all.with(number, |keys, key| keys.take(key).is_some()));
                },
                None => {}
            }
        }
        for number in 0..stays {
            prop_assert!(seen.contains(&name(number)), "{number}");
        }
    }
}

#[test]
fn a_scan_at_rest_sees_each_key_once_and_ends_with_the_last() {
    let many = if cfg!(miri) { 12 } else { 300 };
    for shards in [1, 2, 5] {
        let mut all = Shards::new(shards);
        assert!(all.scan(10).is_empty());
        for number in 0..many as u32 {
            all.set(number, Expiry::Clear);
        }
        for count in [1, 7, many, usize::MAX] {
            let seen = all.scan(count);
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), many);
            assert_eq!(seen.len(), many);
        }
        let mut emitted = 0;
        let next = all.keys().scan(KeyspaceCursor::default(), many, |_| true, |_| emitted += 1);
        assert_eq!((emitted, next), (many, None), "nothing is left, so there is no other step");
    }
}

/// After most keys went away a step walks a bounded number of empty segments, yet the scan ends and sees the rest.
#[test]
fn a_sparse_scan_comes_to_an_end() {
    let many = if cfg!(miri) { 30 } else { 40_000 };
    let mut all = Shards::new(4);
    for number in 0..many {
        all.set(number, Expiry::Clear);
    }
    for number in 0..many - 20 {
        assert!(all.with(number, |keys, key| keys.take(key).is_some()));
    }
    assert_eq!(all.scan(1).into_iter().collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(all.scan(1000).len(), 20);
}

/// Whatever number a client sends.
#[test]
fn foreign_cursors_end() {
    let mut all = Shards::new(3);
    for number in 0..if cfg!(miri) { 20 } else { 200 } {
        all.set(number, Expiry::Clear);
    }
    for number in [1, 0xffff, 1 << 40, (2 << 40) + 12_345, 7 << 40, u64::MAX] {
        let mut cursor = Some(KeyspaceCursor::from_number(number));
        let mut steps = 0;
        while let Some(at) = cursor {
            cursor = all.keys().scan(at, 10, |_| true, |record| assert!(!record.key().is_empty()));
            steps += 1;
            assert!(steps < 1000, "{number}");
        }
    }
}

#[test]
fn a_scan_deletes_what_is_due_and_wanted() {
    let mut all = Shards::new(3);
    for number in 0..100 {
        all.set(number, if number % 2 == 0 { Expiry::At(NOW_MS - 1) } else { Expiry::At(NOW_MS) });
    }
    all.log.clear();
    let mut emitted = 0;
    let wanted = |key: &[u8]| key.ends_with(b"1") || key.ends_with(b"2");
    assert_eq!(all.keys().scan(KeyspaceCursor::default(), 1000, wanted, |_| emitted += 1), None);
    assert_eq!((emitted, all.keys().len()), (10, 90));
    assert_eq!((all.log.expired.len(), all.log.events.len(), all.log.changes), (10, 10, 0));
    all.rules.delete_expired = false;
    assert_eq!(all.scan(1000).len(), 50, "invisible, but for somebody else to delete");
    assert_eq!(all.keys().len(), 90);
    let mut visited = 0;
    all.keys().for_each(|_| visited += 1);
    assert_eq!(visited, 50);
}

#[test]
fn a_random_key_is_alive_if_any_is() {
    let many = if cfg!(miri) { 20 } else { 500 };
    let mut all = Shards::new(3);
    let mut next = 1u64;
    let mut random = || {
        next = next.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        next ^ (next >> 29)
    };
    assert_eq!(all.keys().random(&mut random), None);
    for number in 0..many {
        all.set(number, Expiry::At(NOW_MS - 1));
    }
    all.rules.delete_expired = false;
    assert!(all.keys().random(&mut random).is_some(), "a replica may name a key that is due");
    all.set(many, Expiry::Clear);
    assert_eq!(all.keys().random(&mut random).as_deref(), Some(&*name(many)));
    assert_eq!(all.keys().len(), many as usize + 1);
    all.rules.delete_expired = true;
    assert_eq!(all.keys().random(&mut random).as_deref(), Some(&*name(many)));
    assert!(all.with(many, |keys, key| keys.take(key).is_some()));
    assert_eq!(all.keys().random(&mut random), None);
    assert!(all.keys().is_empty());
}

#[test]
fn random_keys_come_from_every_shard() {
    let mut all = Shards::new(4);
    for number in 0..40 {
        all.set(number, Expiry::Clear);
    }
    let mut next = 5u64;
    let mut random = || {
        next = next.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        next ^ (next >> 31)
    };
    let seen: BTreeSet<_> = (0..2000).filter_map(|_| all.keys().random(&mut random)).collect();
    assert_eq!(seen.len(), 40);
}

#[test]
fn flushing_and_swapping_reach_every_shard() {
    let mut all = Shards::new(3);
    for number in 0..60 {
        all.set(number, Expiry::Clear);
    }
    all.log.clear();
    all.keys().swap(0, 1);
    assert!(all.keys().is_empty());
    assert_eq!(all.log.whole_databases, [0, 1]);
    let mut keys = all.keys();
    keys.select(1);
    assert_eq!(keys.len(), 60);
    assert_eq!(keys.flush(Reclaim::BeforeReply), 60);
    assert!(keys.is_empty());
    drop(keys);
    assert!(all.log.is_awaited && all.log.lazy == 0);
    assert_eq!(all.log.emptied.iter().map(super::super::Contents::len).sum::<usize>(), 60);
}

#[test]
fn what_lookups_leave_behind() {
    let mut all = Shards::new(1);
    all.set(1, Expiry::Clear);
    all.with(1, |keys, key| keys.peek(key).unwrap().set_access(0x306));
    all.log.clear();
    let counts = |all: &mut Shards| {
        let counts = (all.log.hits, all.log.misses, all.log.events.len());
        all.log.clear();
        counts
    };
    let access = |all: &mut Shards| all.with(1, |keys, key| keys.peek(key).unwrap().access());
    for number in [1, 2] {
        all.with(number, |keys, key| keys.peek(key).is_some());
        assert_eq!((counts(&mut all), access(&mut all)), ((0, 0, 0), 0x306));
    }
    for number in [1, 2] {
        all.with(number, |keys, key| keys.inspect_silently(key).is_some());
    }
    assert_eq!((counts(&mut all), access(&mut all)), ((1, 1, 0), 0x306));
    for number in [1, 2] {
        all.with(number, |keys, key| keys.inspect(key).is_some());
    }
    assert_eq!((counts(&mut all), access(&mut all)), ((1, 1, 1), 0x306));
    for number in [1, 2] {
        all.with(number, |keys, key| keys.read(key).is_some());
    }
    assert_eq!((counts(&mut all), access(&mut all)), ((1, 1, 1), 0x706));
    for number in [1, 2] {
        all.with(number, |keys, key| keys.for_write(key).is_some());
    }
    assert_eq!(counts(&mut all), (0, 0, 0));
}

// ---- collections ---------------------------------------------------------------------------------------------

fn add(shards: &mut Shards, number: u32, members: &[(u8, Option<i64>)]) {
    shards.with(number, |keys, key| {
        let mut probe = keys.write_or_create::<Probe>(key).expect("the key is new or of this type");
        for (member, deadline_ms) in members {
            probe.change().add(*member, *deadline_ms);
        }
    });
}

fn count(shards: &mut Shards, number: u32) -> Option<usize> {
    shards.with(number, |keys, key| keys.read_as::<Probe>(key).expect("the key is of this type"))
}

fn names(shards: &Shards) -> Vec<&'static str> {
    shards.log.events.iter().map(|event| event.name).collect()
}

/// Bytes the tables count, and what their records really take.
fn assert_accounted(shards: &Shards) {
    for databases in &shards.databases {
        let table = databases.table(0);
        let (mut bytes, mut deadlines) = (table.index_bytes(), 0);
        table.for_each(&mut |record| {
            bytes += record.heap_size();
            deadlines += usize::from(record.deadline_ms().is_some());
        });
        assert_eq!(table.bytes(), bytes);
        assert_eq!(table.deadlines_len(), deadlines);
    }
}

#[test]
fn a_collection_grows_out_of_its_record_and_leaves_when_it_is_empty() {
    let mut shards = Shards::new(3);
    add(&mut shards, 1, &[]);
    assert_eq!(count(&mut shards, 1), None, "nothing was put into it");
    assert_eq!(shards.log.changes, 0);
    // Under Miri the first of them at once.
    let first = if cfg!(miri) { INLINE_PACKED_MAX - 3 } else { 0 };
    add(&mut shards, 1, &vec![(7, None); first]);
    for len in first + 1..=if cfg!(miri) { INLINE_PACKED_MAX + 3 } else { 2000 } {
        add(&mut shards, 1, &[(len as u8, None)]);
        assert_eq!(count(&mut shards, 1), Some(len));
        let inline = shards
            .with(1, |keys, key| matches!(keys.view(key).map(Record::value), Some(ValueRef::Packed { .. })));
        assert_eq!(inline, len <= INLINE_PACKED_MAX);
    }
    assert_accounted(&shards);
    assert_eq!(names(&shards), ["keymiss", "new"]);
    shards.with(1, |keys, key| {
        let mut probe = keys.write_as::<Probe>(key).unwrap().expect("it is there");
        probe.change().clear();
        probe.event(EventClass::Set, "cleared");
    });
    assert_eq!(names(&shards), ["keymiss", "new", "cleared", "del"]);
    assert_eq!(count(&mut shards, 1), None);
    assert_accounted(&shards);
}

#[test]
fn a_write_keeps_the_deadline_and_reading_changes_nothing() {
    let mut shards = Shards::new(1);
    add(&mut shards, 1, &[(1, None)]);
    shards.with(1, |keys, key| keys.set_expiry(key, Some(NOW_MS + 5)));
    let changes = shards.log.changes;
    shards.with(1, |keys, key| {
        assert_eq!(keys.write_as::<Probe>(key).unwrap().expect("it is there").view(), 1);
    });
    assert_eq!(shards.log.changes, changes, "looking through a write guard is no change");
    for members in [1, if cfg!(miri) { 200 } else { 1000 }] {
        add(&mut shards, 1, &vec![(7, None); members]);
        let deadline = shards.with(1, |keys, key| keys.view(key).and_then(Record::expiry_ms));
        assert_eq!(deadline, Some(NOW_MS + 5));
    }
    shards.set(2, Expiry::Clear);
    shards.with(2, |keys, key| {
        assert_eq!(keys.read_as::<Probe>(key), Err(WrongType));
        assert_eq!(keys.write_as::<Probe>(key).err(), Some(WrongType));
        assert_eq!(keys.write_or_create::<Probe>(key).err(), Some(WrongType));
    });
    shards.with(2, |keys, key| assert!(keys.store(key, Probe::Packed(vec![1, 2]))));
    assert_eq!(count(&mut shards, 2), Some(2), "STORE overwrites any type");
    shards.with(2, |keys, key| assert!(keys.store(key, Probe::default())));
    assert_eq!(count(&mut shards, 2), None, "an empty result deletes the key");
    assert_accounted(&shards);
}

#[test]
fn due_members_go_at_the_first_touch() {
    let mut shards = Shards::new(2);
    add(&mut shards, 1, &[(1, None), (2, Some(NOW_MS + 1)), (3, Some(NOW_MS + 2))]);
    add(&mut shards, 2, &[(4, Some(NOW_MS + 1))]);
    shards.log = KeyLog { record_touched: true, record_events: EventClasses::ALL, ..KeyLog::default() };
    shards.rules.now_ms = NOW_MS + 1;
    assert_eq!(count(&mut shards, 1), Some(3), "a member lives through the millisecond of its deadline");
    shards.rules.now_ms = NOW_MS + 2;
    assert_eq!(count(&mut shards, 1), Some(2));
    assert_eq!(count(&mut shards, 2), None, "the last member takes the key along");
    assert_eq!(names(&shards), ["hexpired", "hexpired", "del", "keymiss"]);
    let effects: Vec<_> = shards.log.expired_members.iter().map(ExpiredMembers::effect).collect();
    assert_eq!(effects, [[b"HDEL".as_slice(), b"key:1", &[2]], [b"HDEL", b"key:2", &[4]]]);
    assert_eq!(shards.log.touched.len(), 2, "whoever watches the key is told");
    assert_accounted(&shards);
}

#[test]
fn due_members_are_hidden_where_a_primary_decides() {
    let mut shards = Shards::new(1);
    add(&mut shards, 1, &[(1, None), (2, Some(NOW_MS))]);
    add(&mut shards, 2, &[(4, Some(NOW_MS))]);
    shards.log.clear();
    shards.rules = Rules { now_ms: NOW_MS + 1, delete_expired: false, ..RULES };
    assert_eq!(count(&mut shards, 1), Some(1));
    assert_eq!(count(&mut shards, 2), None);
    assert!(shards.with(2, |keys, key| !keys.exists(key)));
    assert!(shards.log.expired_members.is_empty());
    shards.rules.now_ms = NOW_MS;
    assert_eq!(count(&mut shards, 1), Some(2), "nothing was removed");
}

#[test]
fn the_sweep_removes_due_members() {
    let mut shards = Shards::new(1);
    add(&mut shards, 1, &[(1, None), (2, Some(NOW_MS))]);
    add(&mut shards, 2, &[(3, Some(NOW_MS)), (4, Some(NOW_MS))]);
    add(&mut shards, 3, &[(5, Some(NOW_MS + 9))]);
    shards.set(4, Expiry::At(NOW_MS));
    let table = shards.databases[0].table_mut(0);
    let mut seen = Vec::new();
    while table.expire_due(NOW_MS + 1, 1, &mut |due| {
        seen.push(match due {
            Due::Key(record) => format!("{} due", String::from_utf8_lossy(record.key())),
            Due::Members { key, members, .. } => format!("{} {members:?}", String::from_utf8_lossy(key)),
            Due::Emptied(record) => format!("{} emptied", String::from_utf8_lossy(record.key())),
        });
    }) {}
    seen.sort();
    assert_eq!(seen, ["key:1 [[2]]", "key:2 [[3]]", "key:2 [[4]]", "key:2 emptied", "key:4 due"]);
    assert_eq!(table.earliest_expiry_ms(), Some(NOW_MS + 9));
    assert_eq!((table.len(), table.expires_len(), table.deadlines_len()), (2, 0, 1));
    assert_accounted(&shards);
}
