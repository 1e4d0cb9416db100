//! Sets against `BTreeSet`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{algebra, *};
use crate::types::sample::tests::numbers;

const LIMITS: SetLimits = SetLimits { ints_len_max: 12, strings_len_max: 8, string_len_max: 24 };

type Model = BTreeSet<Vec<u8>>;
type Visit<'v> = dyn FnMut(Member) -> bool + 'v;

fn names(set: SetRef) -> Model {
    let names: Vec<Vec<u8>> = set.iter().map(|member| member.bytes(&mut [0; INT_LEN_MAX]).to_vec()).collect();
    let model: Model = names.iter().cloned().collect();
    assert_eq!(model.len(), names.len(), "members differ");
    model
}

fn set_of(members: &[Vec<u8>]) -> Set {
    let mut set = Set::new();
    for member in members {
        set.add(member, &LIMITS);
    }
    set
}

fn form(set: &Set) -> &'static str {
    match set.view() {
        SetRef::Ints(_) => "ints",
        SetRef::Strings(_) => "strings",
        SetRef::Large(_) => "large",
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        10 => (-10..10_i32).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        3 => (0..12_u32).prop_map(|n| format!("m{n}").into_bytes()),
        1 => prop_oneof![Just(b"".to_vec()), Just(b"01".to_vec()), Just(b"-0".to_vec()), Just(vec![b'x'; 30])],
    ]
}

fn members() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        prop::collection::vec((-9..9_i32).prop_map(|n| n.to_string().into_bytes()), 0..9),
        prop::collection::vec(member(), 0..20),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    SetDeadline(Vec<u8>, Option<i64>),
    RemoveDue(i64),
    PopRandom(usize),
    /// Out of the record and back.
    Inline,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => member().prop_map(Step::Add),
        10 => member().prop_map(Step::Remove),
        1 => (member(), prop::option::of(0..100_i64)).prop_map(|(member, at)| Step::SetDeadline(member, at)),
        1 => (0..100_i64).prop_map(Step::RemoveDue),
        1 => (1..20_usize).prop_map(Step::PopRandom),
        2 => Just(Step::Inline),
    ]
}

#[test]
fn forms_change_at_the_limits() {
    let mut set = Set::new();
    for n in 0..12 {
        assert!(set.add(n.to_string().as_bytes(), &LIMITS));
        assert_eq!(form(&set), "ints");
    }
    assert!(set.add(b"12", &LIMITS));
    assert_eq!(form(&set), "large");

    let mut set = set_of(&[b"1".to_vec(), b"2".to_vec()]);
    assert!(set.add(b"x", &LIMITS));
    assert_eq!(form(&set), "strings");
    for n in 3..8 {
        assert!(set.add(n.to_string().as_bytes(), &LIMITS));
    }
    assert_eq!(form(&set), "strings");
    assert!(set.add(b"8", &LIMITS));
    assert_eq!(form(&set), "large");

    assert_eq!(form(&set_of(&[vec![b'x'; 24]])), "strings");
    assert_eq!(form(&set_of(&[vec![b'x'; 25]])), "large");
    let nothing = SetLimits { ints_len_max: 0, strings_len_max: 0, string_len_max: 0 };
    let mut set = Set::new();
    assert!(set.add(b"1", &nothing));
    assert_eq!(form(&set), "large");
    let huge =
        SetLimits { ints_len_max: usize::MAX, strings_len_max: usize::MAX, string_len_max: usize::MAX };
    let mut set = Set::new();
    for n in 0..if cfg!(miri) { 10 } else { 70_000 } {
        assert!(set.add(n.to_string().as_bytes(), &huge));
    }
    assert_eq!(form(&set), "ints");
}

#[test]
fn an_empty_set_has_nothing() {
    let set = Set::new();
    assert!(Collection::is_empty(&set));
    assert!(set.view().random(&mut numbers(1)).is_none());
    assert_eq!(set.view().scan(0, 10, &mut |_| panic!("no members")), 0);
    set.view().sample(5, &mut numbers(1), |_| panic!("no members"));
    assert!(!set.view().contains(Member::Text(b"")));
    assert!(SetRef::EMPTY.is_empty());
}

#[test]
fn samples_differ_and_are_equally_likely() {
    let rounds = if cfg!(miri) { 5 } else { 20_000 };
    for (len, text) in [(10, ""), (10, "m"), (100, "m"), (100, "")] {
        let limits = SetLimits { ints_len_max: 200, ..LIMITS };
        let mut set = Set::new();
        for n in 0..len {
            set.add(format!("{text}{n}").as_bytes(), &limits);
        }
        let mut random = numbers(7);
        for count in [1, 4, len - 1] {
            let mut counts = BTreeMap::<Vec<u8>, usize>::new();
            for _ in 0..rounds {
                let mut seen = Model::new();
                set.view().sample(count, &mut random, |member| {
                    seen.insert(member.bytes(&mut [0; INT_LEN_MAX]).to_vec());
                });
                assert_eq!(seen.len(), count);
                for name in seen {
                    *counts.entry(name).or_default() += 1;
                }
            }
            let expected = (rounds * count) as f64 / len as f64;
            let deviation = 6.0 * expected.sqrt();
            if !cfg!(miri) {
                assert_eq!(counts.len(), len);
                for (name, count) in &counts {
                    let off = (*count as f64 - expected).abs();
                    assert!(off < deviation, "{}: {count}, {expected} expected", name.escape_ascii());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn behaves_like_a_sorted_set(steps in prop::collection::vec(step(), 0..150), seed: u64) {
        let mut set = Set::new();
        let mut model = BTreeMap::<Vec<u8>, Option<i64>>::new();
        let mut random = numbers(seed);
        for step in steps {
            match step {
                Step::Add(member) => {
                    let is_new = !model.contains_key(&member);
                    prop_assert_eq!(set.add(&member, &LIMITS), is_new);
                    model.entry(member).or_default();
                }
                Step::Remove(member) => {
                    prop_assert_eq!(set.remove(&member), model.remove(&member).is_some());
                }
                Step::SetDeadline(member, at) => {
                    let place = model.get_mut(&member);
                    prop_assert_eq!(set.set_deadline(&member, at), place.is_some());
                    if let Some(place) = place {
                        *place = at;
                    }
                }
                Step::RemoveDue(now_ms) => {
                    let mut removed = Model::new();
                    set.remove_due(now_ms, usize::MAX, &mut |member| {
                        removed.insert(member.to_vec());
                    });
                    let due = model.iter().filter(|(_, at)| at.is_some_and(|at| at < now_ms));
                    let due: Model = due.map(|(name, _)| name.clone()).collect();
                    prop_assert_eq!(&removed, &due);
                    model.retain(|name, _| !due.contains(name));
                }
                Step::PopRandom(count) => {
                    if count < model.len() {
                        let mut popped = Model::new();
                        set.pop_random(count, &LIMITS, &mut random, &mut |member| {
                            popped.insert(member.bytes(&mut [0; INT_LEN_MAX]).to_vec());
                        });
                        prop_assert_eq!(popped.len(), count);
                        for name in popped {
                            prop_assert!(model.remove(&name).is_some());
                        }
                    }
                }
                Step::Inline => {
                    set = match set.into_inline() {
                        Ok(bytes) => Set::from_inline(bytes),
                        Err(large) => large,
                    };
                }
            }
            prop_assert_eq!(names(set.view()), model.keys().cloned().collect::<Model>());
            prop_assert_eq!(set.view().len(), model.len());
            prop_assert_eq!(Collection::is_empty(&set), model.is_empty());
            prop_assert_eq!(set.view().has_deadlines(), model.values().flatten().next().is_some());
            let earliest = model.values().flatten().min().copied();
            prop_assert!(set.earliest_deadline_ms() <= earliest || earliest.is_none());
            prop_assert_eq!(set.earliest_deadline_ms().is_some(), earliest.is_some());
            for (name, at) in &model {
                prop_assert!(set.view().contains(Member::Text(name)));
                prop_assert_eq!(set.view().deadline_ms(name), Some(at.unwrap_or(NEVER_MS)));
            }
            let random_member = set.view().random(&mut random);
            prop_assert_eq!(random_member.is_none(), model.is_empty());
            if let Some(member) = random_member {
                prop_assert!(model.contains_key(member.bytes(&mut [0; INT_LEN_MAX])));
            }
            prop_assert!(set == set.clone());
        }
        let (mut seen, mut cursor) = (Model::new(), 0);
        loop {
            cursor = set.view().scan(cursor, 3, &mut |member| {
                seen.insert(member.bytes(&mut [0; INT_LEN_MAX]).to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model.into_keys().collect::<Model>());
    }

    #[test]
    fn algebra_is_that_of_the_model(
        operands in prop::collection::vec(members(), 1..9), stop_at in 1..30_usize
    ) {
        let sets: Vec<Set> = operands.iter().map(|members| set_of(members)).collect();
        let views: Vec<SetRef> = sets.iter().map(Set::view).collect();
        let models: Vec<Model> = operands.iter().map(|members| members.iter().cloned().collect()).collect();
        let common: Model =
            models[0].iter().filter(|name| models.iter().all(|model| model.contains(*name))).cloned().collect();
        let all: Model = models.iter().flatten().cloned().collect();
        let rest: Model =
            models[0].iter().filter(|name| !models[1..].iter().any(|model| model.contains(*name))).cloned().collect();

        let collect = |stop_at: usize, each: &dyn Fn(&mut Visit)| {
            let mut found = Vec::new();
            each(&mut |member| {
                found.push(member.bytes(&mut [0; INT_LEN_MAX]).to_vec());
                found.len() < stop_at
            });
            let model: Model = found.iter().cloned().collect();
            assert_eq!(model.len(), found.len(), "each member once");
            model
        };
        for stop_at in [stop_at, usize::MAX] {
            for (expected, found) in [
                (&common, collect(stop_at, &|visit| algebra::intersect(&views, visit))),
                (&all, collect(stop_at, &|visit| algebra::unite(&views, &LIMITS, visit))),
                (&rest, collect(stop_at, &|visit| algebra::subtract(views[0], &views[1..], &LIMITS, visit))),
            ] {
                prop_assert_eq!(found.len(), expected.len().min(stop_at));
                prop_assert!(found.is_subset(expected));
            }
        }
        prop_assert_eq!(names(algebra::union(&views, &LIMITS).view()), all);
        prop_assert_eq!(names(algebra::difference(views[0], &views[1..], &LIMITS).view()), rest);
    }
}
