//! What is saved is loaded again; what was damaged in between is refused or is another value, but nothing panics.

use proptest::prelude::*;

use super::super::{Dialect, Reader, Rules, load};
use super::*;
use crate::keyspace::{Expiry, Record};
use crate::types::encodings::Encodings;
use crate::types::set::Set;
use crate::types::stream::{
    Appends, Counters, Entries, Group, Groups, Idempotence, IdempotenceLimits, NodeLimits, Parts,
};
use crate::types::stream::{Stream, StreamId};
use crate::{Hash, List, Zset};

const ENCODINGS: Encodings = Encodings {
    hash_max_listpack_entries: 8,
    hash_max_listpack_value: 16,
    list_max_listpack_size: 5,
    list_alone_len: 1 << 20,
    list_compress_depth: 0,
    set_max_intset_entries: 8,
    set_max_listpack_entries: 6,
    set_max_listpack_value: 16,
    zset_max_listpack_entries: 8,
    zset_max_listpack_value: 16,
    hll_sparse_max_bytes: 3000,
    stream_node_max_bytes: 4096,
    stream_node_max_entries: 4,
};

fn saved(record: &Record) -> (u8, Vec<u8>) {
    let mut writer = Writer::new(Vec::new(), true);
    save(record.value(), &mut writer);
    (encoding_of(record.value()), writer.into_output())
}

fn loaded(code: u8, bytes: &[u8]) -> Result<Record, super::super::Error> {
    let mut reader = Reader::new(bytes);
    let rules = Rules { dialect: Dialect::Redis, encodings: ENCODINGS };
    let record = load(code, &mut reader, b"key", None, &rules)?;
    if reader.source().is_empty() { Ok(record) } else { Err(super::super::Error::Truncated) }
}

/// Saves, loads and compares; also without single bytes and with single bits changed.
fn round_trip(record: &Record, noise: &[(usize, u8)]) {
    let (code, bytes) = saved(record);
    let again = loaded(code, &bytes).unwrap_or_else(|error| panic!("{error} in {bytes:?}"));
    assert_eq!(again.value(), record.value());
    assert_eq!(again.value().encoding_name(), record.value().encoding_name());
    assert_eq!(saved(&again).0, code);
    for (at, bits) in noise {
        let mut damaged = bytes.clone();
        let at = at % bytes.len();
        damaged[at] ^= bits;
        let _ = loaded(code, &damaged);
        let _ = loaded(code, &bytes[..at]);
        damaged.remove(at);
        let _ = loaded(code, &damaged);
        // The bytes of one type as another.
        let _ = loaded(bits & 31, &bytes);
    }
}

type Name = Vec<u8>;

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        (-300i64..300).prop_map(|value| value.to_string().into_bytes()),
        any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(b'a'..b'd', 0..24),
        prop::collection::vec(any::<u8>(), 0..100),
    ]
}

fn noise() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((any::<usize>(), 1u8..=255), 0..40)
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-50i32..50).prop_map(f64::from),
        any::<f64>().prop_filter("scores are numbers", |score| !score.is_nan()),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(0.1),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 300 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn strings(value in prop_oneof![name(), prop::collection::vec(b'a'..b'c', 0..3000)], noise in noise()) {
        let record = match crate::types::string::parse_int(&value) {
            Some(value) => Record::new_int(b"key", value, None),
            None => Record::new_bytes(b"key", &value, crate::types::string::encoding_of(&value), None),
        };
        round_trip(&record, &noise);
    }

    #[test]
    fn lists(items in prop::collection::vec(name(), 1..40), noise in noise()) {
        let mut list = List::default();
        for item in &items {
            list.push_back(item, ENCODINGS.list_limit());
        }
        round_trip(&Record::new_collection(b"key", list, None), &noise);
    }

    #[test]
    fn sets(
        members in prop::collection::vec(name(), 1..20),
        due in prop::collection::vec(1..i64::MAX, 0..3),
        noise in noise(),
    ) {
        let mut set = Set::default();
        for member in &members {
            set.add(member, &ENCODINGS.set_limits());
        }
        for (member, due) in members.iter().zip(due) {
            set.set_deadline(member, Some(due));
        }
        round_trip(&Record::new_collection(b"key", set, None), &noise);
    }

    #[test]
    fn sets_of_integers(members in prop::collection::hash_set(any::<i64>(), 1..12), narrow: bool, noise in noise()) {
        let mut set = Set::default();
        for member in &members {
            let member = if narrow { member % 30_000 } else { *member };
            set.add(member.to_string().as_bytes(), &ENCODINGS.set_limits());
        }
        round_trip(&Record::new_collection(b"key", set, None), &noise);
    }

    #[test]
    fn sorted_sets(
        members in prop::collection::vec((name(), score()), 1..20),
        due in prop::collection::vec(1..i64::MAX, 0..3),
        noise in noise(),
    ) {
        let mut zset = Zset::default();
        for (member, score) in &members {
            zset.put(member, *score, ENCODINGS.zset_limits());
        }
        for ((member, _), due) in members.iter().zip(due) {
            zset.set_deadline(member, Some(due));
        }
        round_trip(&Record::new_collection(b"key", zset, None), &noise);
    }

    #[test]
    fn hashes(
        fields in prop::collection::vec((name(), name()), 1..20),
        due in prop::collection::vec(1..i64::MAX, 0..3),
        noise in noise(),
    ) {
        let mut hash = Hash::default();
        for (field, value) in &fields {
            hash.set(field, value, Expiry::Clear, ENCODINGS.hash_limits());
        }
        for ((field, _), due) in fields.iter().zip(due) {
            hash.set_deadline(field, Some(due));
        }
        round_trip(&Record::new_collection(b"key", hash, None), &noise);
    }

    #[test]
    fn streams(stream in stream(), noise in noise()) {
        round_trip(&Record::new_boxed(b"key", Box::new(stream.into()), None), &noise);
    }
}

/// Any stream: entries of which some are deleted, groups, what is pending in them.
fn stream() -> impl Strategy<Value = Stream> {
    let entry = prop::collection::vec((prop::collection::vec(b'a'..b'd', 1..3), name()), 1..4);
    let consumer = (name(), any::<i32>(), any::<bool>());
    let pending = prop::collection::btree_map(0u64..60, (any::<usize>(), any::<u32>(), 0u64..9), 0..9);
    let group = (name(), prop::collection::vec(consumer, 0..4), pending, prop::option::of(0u64..99));
    (
        prop::collection::vec(entry, 0..12),
        prop::collection::vec(0u64..12, 0..6),
        prop::collection::vec(group, 0..4),
        prop::option::of(prop::collection::vec((name(), name()), 0..5)),
        prop::collection::vec(0u64..60, 0..3),
    )
        .prop_map(|(added, deleted, groups, known, released)| {
            let mut entries = Entries::restore(
                [],
                Counters {
                    first_id: StreamId::MIN,
                    last_id: StreamId::MIN,
                    max_deleted_id: StreamId::MIN,
                    added: 0,
                },
            )
            .expect("no nodes are in order");
            let limits = NodeLimits { bytes_max: 4096, entries_max: 4 };
            for (number, fields) in added.iter().enumerate() {
                let id = StreamId::new(number as u64 / 2 + 5, number as u64);
                entries.add(id, limits, fields.len(), |i| (&fields[i].0, &fields[i].1));
            }
            for number in deleted {
                entries.delete(StreamId::new(number / 2 + 5, number));
            }
            let mut all = Groups::default();
            for (name, consumers, pending, read) in groups {
                let mut group = Group::new(StreamId::new(7, 1), read);
                let mut ids = Vec::new();
                for (name, seen, active) in consumers {
                    let (id, is_new) = group.consumer_named(&name, seen.into());
                    if is_new {
                        group.consumer_mut(id).active_ms = active.then_some(i64::from(seen));
                        ids.push(id);
                    }
                }
                for (number, (who, at, count)) in pending {
                    if let Some(who) = ids.get(who % ids.len().max(1)) {
                        group.deliver(StreamId::new(number, number), *who, at.into(), count);
                    }
                }
                if !ids.is_empty() {
                    for number in &released {
                        group.release(StreamId::new(*number, *number), 3);
                    }
                }
                all.add(&name, group);
            }
            let appends = known.as_ref().map(|known| {
                let mut appends = Appends::default();
                for (number, (name, _)) in known.iter().enumerate() {
                    appends.record(name, number as i64, 5 + number as i64);
                }
                Box::new(appends)
            });
            let idempotence = known.map(|known| {
                let mut messages = Idempotence::new(IdempotenceLimits { duration_s: 1000, len_max: 3 });
                for (number, (producer, message)) in known.iter().enumerate() {
                    messages.record(producer, message, StreamId::new(1, number as u64));
                }
                Box::new(messages)
            });
            Stream::new(Parts { entries, groups: all, idempotence, appends })
        })
}

#[test]
fn each_form_has_the_encoding_that_redis_gives_it() {
    let code = |record: Record| encoding_of(record.value());
    let mut set = Set::default();
    set.add(b"5", &ENCODINGS.set_limits());
    assert_eq!(code(Record::new_collection(b"k", set.clone(), None)), code::SET_INTSET);
    set.add(b"x", &ENCODINGS.set_limits());
    assert_eq!(code(Record::new_collection(b"k", set.clone(), None)), code::SET);
    set.set_deadline(b"x", Some(5));
    assert_eq!(code(Record::new_collection(b"k", set.clone(), None)), code::OWN_SET);
    set.set_deadline(b"x", None);
    assert_eq!(code(Record::new_collection(b"k", set, None)), code::SET);
    let mut zset = Zset::default();
    zset.put(b"m", 1.5, ENCODINGS.zset_limits());
    assert_eq!(code(Record::new_collection(b"k", zset.clone(), None)), code::ZSET_LISTPACK);
    zset.set_deadline(b"m", Some(5));
    assert_eq!(code(Record::new_collection(b"k", zset.clone(), None)), code::OWN_ZSET);
    zset.set_deadline(b"m", None);
    assert_eq!(code(Record::new_collection(b"k", zset, None)), code::ZSET_2);
    assert_eq!(
        code(Record::new_boxed(b"k", Box::new(Stream::default().into()), None)),
        code::STREAM_LISTPACKS_2
    );
}

#[test]
fn what_occurs_twice_or_not_at_all_is_refused() {
    let corrupt = |code: u8, bytes: &[u8]| loaded(code, bytes).map(|_| ()).unwrap_err();
    assert!(matches!(corrupt(code::SET, b"\x02\x01a\x01a"), super::super::Error::Corrupt(_)));
    assert!(matches!(corrupt(code::ZSET, b"\x02\x01a\x011\x01a\x012"), super::super::Error::Corrupt(_)));
    assert!(matches!(corrupt(code::HASH, b"\x02\x01a\x01b\x01a\x01b"), super::super::Error::Corrupt(_)));
    for code in [code::LIST, code::SET, code::ZSET, code::ZSET_2, code::HASH] {
        assert_eq!(corrupt(code, b"\x00"), super::super::Error::Empty);
    }
}

/// Valkey writes deadlines as they are, also those of 1970. In one form of a hash 0 stands for none.
#[test]
fn a_deadline_of_zero_is_the_same_again() {
    for len in [3_u8, 60] {
        let mut bytes = vec![len];
        for number in 0..len {
            bytes.extend_from_slice(&[1, number, 1, b'v']);
            // Some get theirs when the hash is large already.
            let deadline_ms: i64 = if number % 10 == 9 || number == 2 { 0 } else { i64::from(number) };
            bytes.extend_from_slice(&deadline_ms.to_le_bytes());
        }
        let rules = Rules { dialect: Dialect::Valkey, encodings: ENCODINGS };
        let record = load(code::HASH_22, &mut Reader::new(&bytes[..]), b"key", None, &rules).unwrap();
        round_trip(&record, &[]);
    }
}
