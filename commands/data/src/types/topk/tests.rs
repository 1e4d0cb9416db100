use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::native::Native;
use crate::types::sample::tests::numbers;

fn topk(k: u64, width: u64, depth: u64, decay: f64) -> TopK {
    TopK::new(&Settings { k, width, depth, decay }, u64::MAX).unwrap()
}

fn text(element: Option<Box<[u8]>>) -> Option<String> {
    element.map(|element| String::from_utf8(element.into_vec()).unwrap())
}

/// RedisBloom's own test of counts.
#[test]
fn counts_and_what_has_to_go() {
    let mut list = topk(3, 10, 3, 1.0);
    for (element, by) in [("bar", 3), ("baz", 6), ("42", 2)] {
        assert_eq!(list.add(element.as_bytes(), by), None);
    }
    assert_eq!(text(list.add(b"42", 8)), None);
    assert_eq!(text(list.add(b"xyzzy", 4)).as_deref(), Some("bar"));
    let counts = ["bar", "baz", "42", "xyzzy", "4"].map(|element| list.count(element.as_bytes()));
    assert_eq!(counts, [3, 6, 10, 4, 0]);
    let tops: Vec<_> = list.list().into_iter().map(|top| (top.count, &*top.element)).collect();
    assert_eq!(tops, [(10, &b"42"[..]), (6, b"baz"), (4, b"xyzzy")]);
    assert!(list.contains(b"42") && !list.contains(b"bar"));
}

/// Elements whose frequency falls with their rank (Zipf): nearly all of the hundred most frequent are found, with counts that
/// are nearly exact.
#[test]
fn the_most_frequent_are_found() {
    const K: usize = 100;
    let mut list = topk(K as u64, 2000, 5, 0.9);
    let weights: Vec<f64> = (1..=20_000).map(|rank| 1.0 / f64::from(rank)).collect();
    let mut sums = Vec::new();
    weights.iter().fold(0.0, |sum, weight| {
        sums.push(sum + weight);
        sum + weight
    });
    let total = *sums.last().unwrap();
    let mut random = numbers(11);
    let mut exact: BTreeMap<usize, u32> = BTreeMap::new();
    for _ in 0..300_000 {
        let point = random() as f64 / u64::MAX as f64 * total;
        let rank = sums.partition_point(|sum| *sum < point);
        list.add(format!("element-{rank}").as_bytes(), 1);
        *exact.entry(rank).or_default() += 1;
    }
    let mut best: Vec<_> = exact.iter().collect();
    best.sort_by_key(|(rank, count)| (std::cmp::Reverse(**count), **rank));
    let found =
        best[..K].iter().filter(|(rank, _)| list.contains(format!("element-{rank}").as_bytes())).count();
    assert!(found >= 95, "{found} of {K}");
    for (rank, count) in &best[..20] {
        let told = list.count(format!("element-{rank}").as_bytes());
        assert!(told <= **count && f64::from(told) > f64::from(**count) * 0.98, "{told} of {count}");
    }
}

#[test]
fn sizes_have_an_end() {
    let new = |k, width, depth, decay| TopK::new(&Settings { k, width, depth, decay }, u64::MAX);
    for (k, width, depth) in
        [(0, 1, 1), (1, 0, 1), (1, 1, 0), (u64::MAX, 1, 1), (1, u64::MAX, 2), (1, 1, 257)]
    {
        assert!(new(k, width, depth, 0.9).is_none(), "{k} {width} {depth}");
    }
    assert!(new(1, 1 << 32, 1, 0.9).is_none() && new(1, 1 << 28, 2, 0.9).is_none());
    assert!([0.0, -1.0, 1.1, f64::NAN].iter().all(|decay| new(1, 1, 1, *decay).is_none()));
    assert!(new(1000, 1 << 20, 7, 1.0).is_some());
}

/// Where decay is certain all of it happens, where it is impossible nothing does, and neither takes long.
#[test]
fn chances() {
    let mut certain = topk(1, 1, 1, 1.0);
    certain.add(b"a", 1000);
    certain.add(b"b", 999);
    // It is less than what the heap remembers.
    assert_eq!((certain.count(b"a"), certain.count(b"b")), (0, 0));
    certain.add(b"b", 5);
    assert_eq!((certain.count(b"a"), certain.count(b"b")), (0, 5));
    let mut rare = topk(1, 1, 1, 0.5);
    rare.add(b"a", 100_000);
    (0..1000).for_each(|_| drop(rare.add(b"b", INCREMENT_MAX)));
    assert_eq!(rare.count(b"a"), 100_000);
    let chance = |decay: f64, count| topk(1, 1, 1, decay).parts.chance(count);
    for count in [0, 1, 5, 254, 255, 256, 511, 5000] {
        let ratio = chance(0.999, count) / 0.999_f64.powi(count as i32);
        assert!((ratio - 1.0).abs() < 1e-9, "{count}: {ratio}");
    }
}

proptest! {
    /// The same elements give the same list, before and after it was in a file, and nothing is counted too often where cells are
    /// many.
    #[test]
    fn a_list_and_its_copy(
        added in prop::collection::vec((0_u8..30, 1_u32..20), 0..200),
        k in 1_u64..8,
        width in 1_u64..40,
        decay in 0.1..=1.0,
    ) {
        let mut list = topk(k, width, 4, decay);
        let mut exact: BTreeMap<u8, u32> = BTreeMap::new();
        for (at, (number, by)) in added.iter().enumerate() {
            let mut copy = list.clone();
            if at % 16 == 0 {
                let mut payload = Vec::new();
                TopK::save(&list, &mut payload);
                copy = TopK::load(&payload, TopK::VERSION).unwrap();
                prop_assert!(TopK::load(&payload[..payload.len() - 1], TopK::VERSION).is_err());
            }
            let element = [*number, 0, 13];
            prop_assert_eq!(list.add(&element, *by), copy.add(&element, *by));
            prop_assert_eq!(&list, &copy);
            *exact.entry(*number).or_default() += by;
        }
        for (number, count) in exact {
            prop_assert!(list.count(&[number, 0, 13]) <= count);
        }
        let tops = list.list();
        prop_assert!(tops.len() <= k as usize && tops.is_sorted_by(|a, b| a.count >= b.count));
        let elements: usize = tops.iter().map(|top| size_class(top.element.len())).sum();
        prop_assert!(list.size_behind() > elements);
    }

    #[test]
    fn hostile_payloads(at in 0_usize..200, with: u8) {
        let mut list = topk(3, 4, 2, 0.9);
        (0_u8..9).for_each(|number| drop(list.add(&[number], 5)));
        let mut payload = Vec::new();
        TopK::save(&list, &mut payload);
        let len = payload.len();
        payload[at % len] = with;
        if let Ok(mut list) = TopK::load(&payload, TopK::VERSION) {
            let _ = (list.add(b"x", 7), list.count(b"x"), list.list().len());
        }
    }
}
