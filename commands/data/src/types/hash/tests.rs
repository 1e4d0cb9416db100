use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::types::{members::NEVER_MS, sample::tests::numbers};

const LIMITS: HashLimits = HashLimits { entries: 8, value: 12 };

/// Names that are integers, text, and (one of them) too long for a listpack.
fn name(number: u8) -> Vec<u8> {
    match number {
        0..8 => (i64::from(number) - 3).to_string().into_bytes(),
        20 => b"a-long-name-for-a-field".to_vec(),
        _ => format!("field{number}").into_bytes(),
    }
}

#[derive(Clone, Debug)]
enum Action {
    Set(u8, Vec<u8>, Option<i64>, bool),
    Remove(u8),
    SetDeadline(u8, Option<i64>),
    RemoveDue(i64, usize),
    /// Into the record and out of it.
    Inline,
}

fn actions(names: u8) -> impl Strategy<Value = Vec<Action>> {
    let name = 0..names;
    let deadline = prop::option::weighted(0.3, 0..100i64);
    let value = prop_oneof![
        8 => any::<i16>().prop_map(|value| value.to_string().into_bytes()),
        8 => prop::collection::vec(any::<u8>(), 0..10),
        1 => prop::collection::vec(any::<u8>(), 10..20),
    ];
    let action = prop_oneof![
        6 => (name.clone(), value, deadline.clone(), any::<bool>())
            .prop_map(|(name, value, deadline, keep)| Action::Set(name, value, deadline, keep)),
        2 => name.clone().prop_map(Action::Remove),
        2 => (name, deadline).prop_map(|(name, deadline)| Action::SetDeadline(name, deadline)),
        1 => (0..100i64, 0..4usize).prop_map(|(now, limit)| Action::RemoveDue(now, limit)),
        2 => Just(Action::Inline),
    ];
    prop::collection::vec(action, 0..60)
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn content(hash: &Hash) -> Model {
    let fields = hash.view().iter();
    fields.map(|field| (field.name.to_vec(), (field.value.to_vec(), field.deadline_ms))).collect()
}

/// Which encoding Redis would report next.
fn encoding(before: &'static str, model: &Model, longest: usize, timed: bool) -> &'static str {
    match before {
        "hashtable" => "hashtable",
        _ if longest > LIMITS.value || model.len() > LIMITS.entries => "hashtable",
        "listpackex" => "listpackex",
        _ if timed => "listpackex",
        _ => "listpack",
    }
}

fn run(actions: Vec<Action>) -> Result<(), TestCaseError> {
    let mut hash = Hash::default();
    let mut model = Model::new();
    let mut name_now = "listpack";
    for action in actions {
        let (mut longest, mut timed) = (0, false);
        match action {
            Action::Set(number, value, deadline_ms, keep) => {
                let field = name(number);
                let deadline = match deadline_ms {
                    Some(deadline_ms) => Expiry::At(deadline_ms),
                    None if keep => Expiry::Keep,
                    None => Expiry::Clear,
                };
                longest = field.len().max(value.len());
                timed = deadline_ms.is_some();
                let is_new = hash.set(&field, &value, deadline, LIMITS);
                prop_assert_eq!(is_new, !model.contains_key(&field));
                let kept = model.get(&field).and_then(|(_, deadline_ms)| *deadline_ms).filter(|_| keep);
                model.insert(field, (value, deadline_ms.or(kept)));
            }
            Action::Remove(number) => {
                prop_assert_eq!(hash.remove(&name(number)), model.remove(&name(number)).is_some());
            }
            Action::SetDeadline(number, deadline_ms) => {
                let found = hash.set_deadline(&name(number), deadline_ms);
                prop_assert_eq!(found, model.contains_key(&name(number)));
                timed = found && deadline_ms.is_some();
                if let Some((_, present)) = model.get_mut(&name(number)) {
                    *present = deadline_ms;
                }
            }
            Action::RemoveDue(now_ms, limit) => {
                let mut removed = Vec::new();
                hash.remove_due(now_ms, limit, &mut |field| removed.push(field.to_vec()));
                let due =
                    model.values().filter(|(_, deadline)| deadline.is_some_and(|ms| ms < now_ms)).count();
                prop_assert_eq!(removed.len(), due.min(limit));
                for field in removed {
                    let (_, deadline_ms) = model.remove(&field).expect("it was there");
                    prop_assert!(deadline_ms.is_some_and(|deadline_ms| deadline_ms < now_ms));
                }
            }
            Action::Inline => {
                hash = match hash.into_inline() {
                    Ok(bytes) => {
                        prop_assert_eq!(
                            Hash::encoding_name(Hash::inline_view(&bytes)),
                            Hash::encoding_name(Hash::from_inline(bytes.clone()).view())
                        );
                        Hash::from_inline(bytes)
                    }
                    Err(hash) => hash,
                };
            }
        }
        // The deadline 0 is written as 1: both have passed for long.
        for (_, deadline_ms) in model.values_mut() {
            if *deadline_ms == Some(0) {
                *deadline_ms = Some(1);
            }
        }
        name_now = encoding(name_now, &model, longest, timed);
        prop_assert_eq!(Hash::encoding_name(hash.view()), name_now);
        prop_assert_eq!(hash.view().len(), model.len());
        prop_assert_eq!(Collection::is_empty(&hash), model.is_empty());
        let deadlines = model.values().filter_map(|(_, deadline_ms)| *deadline_ms);
        let earliest = hash.earliest_deadline_ms();
        prop_assert_eq!(earliest.is_some(), deadlines.clone().count() > 0);
        prop_assert!(earliest.is_none_or(|earliest| deadlines.clone().all(|ms| earliest <= ms)));
    }
    let mut found = content(&hash);
    for (_, deadline_ms) in found.values_mut() {
        if *deadline_ms == Some(0) {
            *deadline_ms = Some(1);
        }
    }
    prop_assert_eq!(&found, &model);
    for number in 0..=20 {
        let field = name(number);
        let kept = model.get(&field);
        prop_assert_eq!(hash.view().get(&field).map(Item::to_vec), kept.map(|(value, _)| value.clone()));
        prop_assert_eq!(hash.view().contains(&field), kept.is_some());
        let deadline_ms = hash.view().deadline_ms(&field).map(|ms| ms.max(1));
        prop_assert_eq!(deadline_ms, kept.map(|(_, deadline_ms)| deadline_ms.unwrap_or(NEVER_MS)));
    }
    prop_assert!(hash.clone() == hash);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_small_hash_is_a_map(actions in actions(7)) {
        run(actions)?;
    }

    #[test]
    fn a_growing_hash_is_a_map(actions in actions(21)) {
        run(actions)?;
    }
}

fn hash(len: u32, limits: HashLimits) -> Hash {
    let mut hash = Hash::default();
    for number in 0..len {
        let (field, value) = (format!("field:{number}"), format!("value:{number}"));
        assert!(hash.set(field.as_bytes(), value.as_bytes(), Expiry::Clear, limits));
    }
    hash
}

#[test]
fn a_large_hash_is_a_table() {
    let mut hash = hash(PACKED_TABLE_LEN_MAX as u32, LIMITS);
    assert_eq!(Hash::encoding_name(hash.view()), "hashtable");
    assert!(matches!(hash, Hash::Packed(_)));
    assert!(hash.set(b"one more", b"", Expiry::Clear, LIMITS));
    assert!(matches!(hash, Hash::Table(_)));
    hash.set(b"long", &[b'x'; 5000], Expiry::Clear, LIMITS);
    assert_eq!(hash.view().get(b"long"), Some(Item::Bytes(&[b'x'; 5000])));
    let mut long = Hash::default();
    long.set(b"a", &[b'x'; 3000], Expiry::Clear, LIMITS);
    assert!(matches!(long, Hash::Packed(_)));
    long.set(b"b", &[b'x'; 3000], Expiry::Clear, LIMITS);
    assert!(matches!(long, Hash::Table(_)));
    let mut overwritten = Hash::default();
    overwritten.set(b"a", b"", Expiry::Clear, LIMITS);
    overwritten.set(b"a", &[b'x'; 5000], Expiry::Clear, LIMITS);
    assert!(matches!(overwritten, Hash::Table(_)));
}

/// 0 stands for no deadline in one form, and must not be another time in the other.
#[test]
fn times_up_to_1970_are_one_in_every_form() {
    for len in [1, 200] {
        for deadline_ms in [i64::MIN, -5, 0, 1] {
            let mut hash = hash(len, LIMITS);
            assert!(hash.set_deadline(b"field:0", Some(deadline_ms)));
            assert!(hash.set(b"new", b"v", Expiry::At(deadline_ms), LIMITS));
            for field in [&b"field:0"[..], b"new"] {
                assert_eq!(hash.view().deadline_ms(field), Some(1), "{len} {deadline_ms}");
            }
            assert_eq!(hash.earliest_deadline_ms(), Some(1));
        }
    }
}

#[test]
fn limits_beyond_what_fits_into_one_piece_are_cut() {
    if cfg!(miri) {
        return;
    }
    let limits = HashLimits { entries: usize::MAX, value: usize::MAX };
    for timed_at in [0, 21_843, 21_844, 21_845, 32_766] {
        let mut packed = Packed::<1>::default();
        for number in 0..timed_at {
            packed.push_back(Item::Int(number));
            packed.push_back(Item::Int(number));
        }
        let mut hash = Hash::Packed(packed);
        hash.set(b"timed", b"", Expiry::At(5), limits);
        if timed_at > 0 {
            for number in 0..10 {
                hash.set((timed_at + number).to_string().as_bytes(), b"1", Expiry::Clear, limits);
            }
        }
        assert_eq!(hash.view().deadline_ms(b"timed"), Some(5), "{timed_at}");
        let expected = if timed_at == 0 { "listpackex" } else { "hashtable" };
        assert_eq!(Hash::encoding_name(hash.view()), expected, "{timed_at}");
    }
    let mut packed = Packed::<1>::default();
    for number in 0..32_760 {
        packed.push_back(Item::Int(number));
        packed.push_back(Item::Int(number));
    }
    let mut hash = Hash::Packed(packed);
    for number in 32_760..32_770 {
        hash.set(number.to_string().as_bytes(), b"1", Expiry::Clear, limits);
    }
    assert_eq!((hash.view().len(), Hash::encoding_name(hash.view())), (32_770, "hashtable"));
}

#[test]
fn draws_samples_and_scans() {
    let limits = HashLimits { entries: 100, value: 64 };
    let mut timed = hash(50, limits);
    timed.set_deadline(b"field:1", Some(7));
    let table = hash(if cfg!(miri) { 101 } else { 1000 }, limits);
    assert!(matches!((&timed, &table), (Hash::Timed(_), Hash::Table(_))));
    let mut random = numbers(9);
    for hash in [Hash::default(), hash(1, limits), hash(50, limits), timed, table] {
        let view = hash.view();
        let is_field = |field: Field| {
            let (name, value) = (field.name.to_vec(), field.value.to_vec());
            name[..6] == *b"field:" && name[6..] == value[6..] && view.get(&name).is_some()
        };
        for count in [0, 1, 3, 40, 2000] {
            let mut drawn = 0;
            view.draw(count, &mut random, |field| {
                assert!(is_field(field));
                drawn += 1;
                drawn < 100
            });
            assert_eq!(drawn, if view.is_empty() { 0 } else { count.min(100) });
            let mut sampled = BTreeSet::new();
            view.sample(count, &mut random, |field| {
                assert!(is_field(field) && sampled.insert(field.name.to_vec()));
            });
            assert_eq!(sampled.len(), count.min(view.len()));
        }
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            cursor = view.scan(cursor, 10, |field| {
                assert!(is_field(field));
                seen.insert(field.name.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), view.len());
    }
}

#[test]
fn few_fields_take_little_memory() {
    let mut packed = Hash::default();
    for number in 0..5 {
        packed.set(format!("field{number:03}").as_bytes(), b"value000", Expiry::Clear, LIMITS);
    }
    let bytes = packed.clone().into_inline().expect("a small hash lives inside its record");
    assert_eq!(bytes.len(), 103);
    assert_eq!(Hash::default().heap_size(), 0);
    assert!(size_of::<Hash>() <= 24);
}
