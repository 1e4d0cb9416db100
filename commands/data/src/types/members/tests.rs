use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{keyspace::ValueRef, types::sample::tests::numbers};

fn name(number: u32) -> Vec<u8> {
    format!("member:{number}").into_bytes()
}

fn members(len: u32) -> Members {
    let mut members = Members::new();
    for number in 0..len {
        assert!(members.add(&name(number)));
    }
    members
}

#[derive(Clone, Debug)]
enum Action {
    Add(u32),
    PutBytes(u32, Vec<u8>, Option<i64>),
    PutInt(u32, i64, bool),
    Remove(u32),
    SetDeadline(u32, Option<i64>),
    RemoveDue(i64, usize),
    PopRandom,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let member = 0..40u32;
    let deadline = prop::option::of(0..100i64);
    let action = prop_oneof![
        member.clone().prop_map(Action::Add),
        (member.clone(), prop::collection::vec(any::<u8>(), 0..40), deadline.clone())
            .prop_map(|(member, value, deadline)| Action::PutBytes(member, value, deadline)),
        (member.clone(), any::<i64>(), any::<bool>())
            .prop_map(|(member, value, keep)| Action::PutInt(member, value, keep)),
        member.clone().prop_map(Action::Remove),
        (member, deadline).prop_map(|(member, deadline)| Action::SetDeadline(member, deadline)),
        (0..100i64, 0..6usize).prop_map(|(now, budget)| Action::RemoveDue(now, budget)),
        Just(Action::PopRandom),
    ];
    prop::collection::vec(action, 0..120)
}

/// What the model keeps of a member.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    value: Result<i64, Vec<u8>>,
    deadline_ms: Option<i64>,
}

fn kept(record: &Record) -> Kept {
    let value = match record.value() {
        ValueRef::Int(value) => Ok(value),
        ValueRef::Bytes { bytes, .. } => Err(bytes.to_vec()),
        _ => panic!("no member has another value"),
    };
    Kept { value, deadline_ms: record.expiry_ms() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn members_are_a_map_with_deadlines(actions in actions(), seed: u64) {
        let mut random = numbers(seed);
        let mut members = Members::new();
        let mut model = BTreeMap::<Vec<u8>, Kept>::new();
        for action in actions {
            match action {
                Action::Add(member) => {
                    let added = members.add(&name(member));
                    prop_assert_eq!(added, !model.contains_key(&name(member)));
                    model.entry(name(member)).or_insert(Kept { value: Err(Vec::new()), deadline_ms: None });
                }
                Action::PutBytes(member, value, deadline_ms) => {
                    let deadline = deadline_ms.map_or(Expiry::Clear, Expiry::At);
                    let is_new = members.put_bytes(&name(member), &value, deadline);
                    let old = model.insert(name(member), Kept { value: Err(value), deadline_ms });
                    prop_assert_eq!(is_new, old.is_none());
                }
                Action::PutInt(member, value, keep) => {
                    let deadline = if keep { Expiry::Keep } else { Expiry::Clear };
                    let is_new = members.put_int(&name(member), value, deadline);
                    let old = model.get(&name(member)).and_then(|old| old.deadline_ms);
                    let deadline_ms = if keep { old } else { None };
                    let old = model.insert(name(member), Kept { value: Ok(value), deadline_ms });
                    prop_assert_eq!(is_new, old.is_none());
                }
                Action::Remove(member) => {
                    let removed = members.remove(&name(member)).as_ref().map(kept);
                    prop_assert_eq!(removed, model.remove(&name(member)));
                }
                Action::SetDeadline(member, deadline_ms) => {
                    let found = members.set_deadline(&name(member), deadline_ms);
                    prop_assert_eq!(found, model.contains_key(&name(member)));
                    if let Some(kept) = model.get_mut(&name(member)) {
                        kept.deadline_ms = deadline_ms;
                    }
                }
                Action::RemoveDue(now_ms, budget) => {
                    let mut removed = Vec::new();
                    members.remove_due(now_ms, budget, &mut |record| removed.push(record.key().to_vec()));
                    let is_due = |kept: &Kept| kept.deadline_ms.is_some_and(|deadline_ms| deadline_ms < now_ms);
                    let due = model.values().filter(|kept| is_due(kept)).count();
                    prop_assert_eq!(removed.len(), due.min(budget));
                    for name in removed {
                        prop_assert!(model.remove(&name).is_some_and(|kept| is_due(&kept)));
                    }
                }
                Action::PopRandom => {
                    let removed = members.pop_random(&mut random);
                    prop_assert_eq!(removed.is_some(), !model.is_empty());
                    if let Some(record) = removed {
                        prop_assert_eq!(model.remove(record.key()), Some(kept(&record)));
                    }
                }
            }
            let deadlines = model.values().filter_map(|kept| kept.deadline_ms);
            prop_assert_eq!(members.len(), model.len());
            prop_assert_eq!(members.deadlines_len(), deadlines.clone().count());
            let earliest = members.earliest_deadline_ms();
            prop_assert_eq!(earliest.is_some(), deadlines.clone().count() > 0);
            prop_assert!(earliest.is_none_or(|earliest| deadlines.clone().all(|deadline| earliest <= deadline)));
        }
        let content: BTreeMap<_, _> =
            members.iter().map(|record| (record.key().to_vec(), kept(record))).collect();
        prop_assert_eq!(&content, &model);
        for member in 0..40 {
            let deadline = model.get(&name(member)).map(|kept| kept.deadline_ms.unwrap_or(NEVER_MS));
            prop_assert_eq!(members.deadline_ms(&name(member)), deadline);
        }
        let mut copy = members.clone();
        prop_assert!(copy == members);
        if copy.pop_random(&mut random).is_some() {
            prop_assert!(copy != members);
        }
    }
}

#[test]
fn after_removing_what_is_due_the_earliest_deadline_is_exact() {
    let mut members = members(1000);
    for number in 0..1000 {
        members.set_deadline(&name(number), Some(i64::from(number)));
    }
    members.set_deadline(&name(500), None);
    let mut removed = 0;
    members.remove_due(500, usize::MAX, &mut |_| removed += 1);
    assert_eq!((removed, members.earliest_deadline_ms()), (500, Some(501)));
}

#[test]
fn samples_are_different_members() {
    let len = if cfg!(miri) { 120 } else { 3000 };
    let members = members(len);
    let mut random = numbers(11);
    for count in [0, 1, len / 10, len / 3, len / 2, len - 1, len, len + 1, u32::MAX] {
        let mut seen = BTreeSet::new();
        members.sample(count as usize, &mut random, |record| {
            assert!(seen.insert(record.key().to_vec()));
        });
        assert_eq!(seen.len(), count.min(len) as usize);
    }
}

#[test]
fn samples_are_equally_likely() {
    if cfg!(miri) {
        return;
    }
    let len = 500;
    let members = members(len);
    let mut random = numbers(5);
    for (count, rounds) in [(1, 100_000u32), (20, 5000), (250, 400)] {
        let mut counts = BTreeMap::new();
        for _ in 0..rounds {
            members.sample(count, &mut random, |record| {
                *counts.entry(record.key().to_vec()).or_insert(0u32) += 1;
            });
        }
        let expected = f64::from(rounds) * count as f64 / f64::from(len);
        let deviation = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
        let chi_square: f64 = counts.values().map(deviation).sum();
        // 499 degrees of freedom at most: mean 499, standard deviation 32; less without repetition.
        assert!(chi_square < 630.0, "{count}: {chi_square}");
    }
}

#[test]
fn a_scan_survives_growth_removal_and_compaction() {
    let many = if cfg!(miri) { 200 } else { 40_000 };
    let stays = many / 100;
    for steps_before in if cfg!(miri) { 3..4 } else { 1..5 } {
        let mut members = members(many);
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        for _ in 0..steps_before {
            cursor = members.scan(cursor, (many / 100) as usize, &mut |record| {
                seen.insert(record.key().to_vec());
            });
        }
        let before = members.heap_size();
        for number in stays..many {
            members.remove(&name(number));
        }
        assert!(members.heap_size() * 10 < before, "the directory is given back");
        while cursor != 0 {
            cursor = members.scan(cursor, 10, &mut |record| {
                seen.insert(record.key().to_vec());
            });
        }
        assert!((0..stays).all(|number| seen.contains(&name(number))), "after {steps_before} steps");
    }
    for cursor in [1, u64::MAX, 1 << 41, 12_345_678_901] {
        members(300).scan(cursor, 10, &mut |_| ());
    }
}

#[test]
fn emptying_at_random_takes_linear_time() {
    let len = if cfg!(miri) { 50 } else { 100_000 };
    let mut members = members(len);
    let mut random = numbers(1);
    let mut draws = 0u64;
    let mut counted = || {
        draws += 1;
        random()
    };
    while members.pop_random(&mut counted).is_some() {}
    assert!(members.is_empty());
    assert!(draws < 200 * u64::from(len), "{draws} random numbers");
}
