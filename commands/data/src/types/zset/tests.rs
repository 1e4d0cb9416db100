//! Sorted sets against a map, and the large form against what it promises.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::value::Value;

const LIMITS: Limits = Limits { len: 24, name_len: 12 };

/// Scores by name; the order is made when it is asked for.
#[derive(Clone, Default)]
struct Model {
    scores: BTreeMap<Vec<u8>, f64>,
    deadlines: BTreeMap<Vec<u8>, i64>,
}

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.scores.iter().map(|(name, score)| (name.clone(), *score)).collect();
        // Names are in order already, and the sort is stable.
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap());
        all
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        self.deadlines.remove(name);
        self.scores.remove(name).is_some()
    }
}

/// Names that look like integers, names that do not, and long ones.
fn name(number: u16) -> Vec<u8> {
    match number % 5 {
        0 => format!("{number}"),
        1 => format!("-{number}"),
        2 => format!("{number:0>14}"),
        _ => format!("m{number:x}"),
    }
    .into_bytes()
}

fn score(number: i8) -> f64 {
    match number {
        i8::MIN => f64::NEG_INFINITY,
        i8::MAX => f64::INFINITY,
        number if number % 4 == 0 => f64::from(number) / 10.0,
        number => f64::from(number % 8),
    }
}

fn bound(kind: u8, name: &[u8]) -> NameBound<'_> {
    match kind {
        0 => NameBound::Lowest,
        1 => NameBound::Included(name),
        2 => NameBound::Excluded(name),
        _ => NameBound::Highest,
    }
}

fn listed(iter: Iter<'_>) -> Vec<(Vec<u8>, f64)> {
    let expected = iter.len();
    let all: Vec<_> =
        iter.map(|(member, score)| (member.bytes(&mut [0; INT_LEN_MAX]).to_vec(), score)).collect();
    assert_eq!(all.len(), expected);
    all
}

fn check(zset: &Zset, model: &Model) {
    let view = zset.view();
    let sorted = model.sorted();
    assert_eq!(view.len(), sorted.len());
    assert_eq!(listed(view.iter()), sorted);
    let reversed: Vec<_> = sorted.iter().rev().cloned().collect();
    assert_eq!(listed(view.range(0..sorted.len(), true)), reversed);
    assert_eq!(zset.earliest_deadline_ms().is_some(), !model.deadlines.is_empty());
    if let Some(earliest) = zset.earliest_deadline_ms() {
        assert!(model.deadlines.values().all(|&deadline| deadline >= earliest));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u16, i8),
    Remove(u16),
    RemoveRange(u16, u8),
    Deadline(u16, Option<u8>),
    Expire(u8, u8),
    Copy,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..100u16, any::<i8>()).prop_map(|(number, score)| Step::Put(number, score)),
        8 => (0..100u16).prop_map(Step::Remove),
        1 => (any::<u16>(), 0..12u8).prop_map(|(start, len)| Step::RemoveRange(start, len)),
        2 => (0..100u16, any::<Option<u8>>()).prop_map(|(number, at)| Step::Deadline(number, at)),
        1 => (any::<u8>(), 1..10u8).prop_map(|(now, limit)| Step::Expire(now, limit)),
        1 => Just(Step::Copy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 1 } else { 300 },
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 1..if cfg!(miri) { 40 } else { 300 })) {
        let mut zset = Zset::default();
        let mut model = Model::default();
        let mut was_large = false;
        for step in steps {
            match step {
                Step::Put(number, value) => {
                    let (name, score) = (name(number), score(value));
                    let old = model.scores.insert(name.clone(), score);
                    prop_assert_eq!(zset.put(&name, score, LIMITS), old);
                }
                Step::Remove(number) => {
                    prop_assert_eq!(zset.remove(&name(number)), model.remove(&name(number)));
                }
                Step::RemoveRange(start, len) => {
                    let sorted = model.sorted();
                    let start = usize::from(start) % (sorted.len() + 1);
                    let end = (start + usize::from(len)).min(sorted.len());
                    zset.remove_range(start..end);
                    for (name, _) in &sorted[start..end] {
                        model.remove(name);
                    }
                }
                Step::Deadline(number, at) => {
                    let (name, at) = (name(number), at.map(i64::from));
                    let there = model.scores.contains_key(&name);
                    prop_assert_eq!(zset.set_deadline(&name, at), there);
                    if let (true, Some(at)) = (there, at) {
                        model.deadlines.insert(name, at);
                    } else {
                        model.deadlines.remove(&name);
                    }
                }
                Step::Expire(now, limit) => {
                    let mut removed = Vec::new();
                    zset.remove_due(i64::from(now), usize::from(limit), &mut |name| removed.push(name.to_vec()));
                    let due = model.deadlines.values().filter(|&&at| at < i64::from(now)).count();
                    prop_assert!(removed.len() == due.min(usize::from(limit)) || due == 0);
                    for name in removed {
                        prop_assert!(model.deadlines[&name] < i64::from(now));
                        model.remove(&name);
                    }
                }
                Step::Copy => {
                    let copy = zset.clone();
                    prop_assert_eq!(&copy, &zset);
                    check(&copy, &model);
                    zset = copy;
                }
            }
            check(&zset, &model);
            let is_large = matches!(zset, Zset::Large(_));
            prop_assert!(is_large >= was_large, "never small again");
            was_large = is_large;
        }

        let sorted = model.sorted();
        let view = zset.view();
        for (place, (name, score)) in sorted.iter().enumerate() {
            prop_assert_eq!(view.rank(name), Some((place, *score)));
            prop_assert_eq!(view.score(name), Some(*score));
            prop_assert_eq!(view.deadline_ms(name), model.deadlines.get(name).copied());
            let (member, at) = view.at(place).unwrap();
            prop_assert_eq!((&member.bytes(&mut [0; INT_LEN_MAX]).to_vec(), at), (name, *score));
        }
        prop_assert_eq!(view.rank(b"absent"), None);
        for (min, max) in [(-2.0, 3.0), (0.0, 0.0), (1.0, 0.0), (f64::NEG_INFINITY, f64::INFINITY), (-1.2, 1.2)] {
            for (above_min, below_max) in [(false, false), (true, false), (false, true), (true, true)] {
                let range = ScoreRange { min, max, above_min, below_max };
                let inside = |score: &f64| range.contains(*score);
                let expected: Vec<_> = sorted.iter().filter(|(_, score)| inside(score)).cloned().collect();
                prop_assert_eq!(listed(view.range(view.places_of_scores(range), false)), expected);
            }
        }
        let mut seen = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = view.scan(cursor, 3, &mut |name, score| {
                seen.insert(name.to_vec(), score);
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model.scores);
        let of_sorted = Zset::of_sorted(sorted.iter().map(|(name, score)| (&name[..], *score)), LIMITS);
        prop_assert_eq!(listed(of_sorted.view().iter()), sorted);
        zset.remove_range(0..zset.view().len());
        prop_assert!(Collection::is_empty(&zset));
    }

    #[test]
    fn ranges_of_names(
        names in prop::collection::btree_set(0..200u16, 1..60),
        min in 0..200u16,
        max in 0..200u16,
        kinds in (0..4u8, 0..4u8),
    ) {
        let names: std::collections::BTreeSet<Vec<u8>> = names.into_iter().map(name).collect();
        let (min, max) = (name(min), name(max));
        let range = NameRange { min: bound(kinds.0, &min), max: bound(kinds.1, &max) };
        let expected: Vec<_> = names.iter().filter(|name| range.contains(name)).map(|name| (name.clone(), 7.0)).collect();
        for limits in [LIMITS, Limits { len: 100, name_len: 100 }] {
            let mut zset = Zset::default();
            for name in &names {
                zset.put(name, 7.0, limits);
            }
            for from_end in [false, true] {
                let places = zset.view().places_of_names(range, from_end, 0);
                prop_assert_eq!(&listed(zset.view().range(places, false)), &expected);
                let rest = zset.view().places_of_names(range, from_end, 2);
                let left = expected.len().saturating_sub(2);
                let expected = if from_end { &expected[..left] } else { &expected[expected.len() - left..] };
                prop_assert_eq!(&listed(zset.view().range(rest, false)), expected);
            }
        }
    }
}

#[test]
fn it_grows_large_by_number_by_length_and_by_deadline() {
    let limits = Limits { len: 2, name_len: 3 };
    let mut zset = Zset::default();
    let name = |zset: &Zset| Zset::encoding_name(zset.view());
    zset.put(b"abc", 1.0, limits);
    zset.put(b"b", 2.0, limits);
    zset.put(b"abc", 3.0, limits);
    assert_eq!(name(&zset), "listpack");
    let mut copy = zset.clone();
    copy.put(b"c", 1.0, limits);
    assert_eq!(name(&copy), "skiplist");
    let mut copy = Zset::default();
    copy.put(b"abcd", 1.0, limits);
    assert_eq!(name(&copy), "skiplist");
    assert!(!zset.set_deadline(b"c", None) && zset.set_deadline(b"b", None));
    assert_eq!(name(&zset), "listpack");
    assert!(zset.set_deadline(b"b", Some(5)));
    assert_eq!(name(&zset), "skiplist");
    assert_eq!(zset.earliest_deadline_ms(), Some(5));
}

#[test]
fn zeros_have_a_sign_in_the_large_form_only() {
    let large = Limits { len: 0, name_len: 0 };
    let mut zset = Zset::default();
    assert_eq!(zset.put(b"a", -0.0, large), None);
    assert_eq!(zset.put(b"a", 0.0, large), Some(-0.0));
    assert!(zset.view().score(b"a").is_some_and(f64::is_sign_negative), "an equal score changes nothing");
    let mut zset = Zset::default();
    zset.put(b"a", -0.0, LIMITS);
    assert!(zset.view().score(b"a").is_some_and(f64::is_sign_positive));
}

#[test]
fn members_move_and_their_order_stays() {
    let mut zset = Zset::default();
    let count = if cfg!(miri) { 60 } else { 3000u32 };
    let name = |number: u32| format!("member:{number:05}").into_bytes();
    for number in 0..count {
        zset.put(&name(number), 1.0, LIMITS);
    }
    for number in (0..count).step_by(3) {
        assert!(zset.set_deadline(&name(number), Some(i64::from(number))));
    }
    for number in (0..count).step_by(9) {
        assert!(zset.set_deadline(&name(number), None));
        zset.put(&name(number), 0.5, LIMITS);
    }
    let before = Value::from(zset.clone()).heap_size();
    assert!(before >= zset.heap_size() / 100 * 95, "a copy is no less");
    let mut removed = 0;
    zset.remove_due(i64::from(count), usize::MAX, &mut |_| removed += 1);
    assert_eq!(zset.view().len() + removed, count as usize);
    let mut last = (0.0, Vec::new());
    for (member, score) in zset.view() {
        let next = (score, member.bytes(&mut [0; INT_LEN_MAX]).to_vec());
        assert!(last < next, "{last:?} {next:?}");
        last = next;
    }
    assert_eq!(zset.earliest_deadline_ms(), None);
}
