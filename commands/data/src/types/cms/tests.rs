use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::sample::tests::numbers;

const MAX: u64 = u64::MAX;

fn name(number: u64) -> Vec<u8> {
    format!("element-{number}").into_bytes()
}

#[test]
fn dimensions_are_those_of_redisbloom() {
    assert_eq!(Cms::dimensions(0.001, 0.01), (2000, 7));
    assert_eq!(Cms::dimensions(0.01, 0.5), (200, 1));
    assert_eq!(Cms::dimensions(1e-300, 1e-300), (u64::MAX, u64::MAX));
}

/// Answers are never too low, and too high by more than the error bound no more often than promised.
#[test]
fn answers_are_within_the_bounds() {
    let (error, probability) = (0.001, 0.01);
    let (width, depth) = Cms::dimensions(error, probability);
    let mut sketch = Cms::new(width, depth, MAX).unwrap();
    let mut exact: BTreeMap<u64, u64> = BTreeMap::new();
    let mut random = numbers(7);
    for _ in 0..200_000 {
        // Few elements are frequent.
        let number = random() % 20_000 * (random() % 20_000) / 20_000;
        sketch.increment(&name(number), 1);
        *exact.entry(number).or_default() += 1;
    }
    let bound = (error * 200_000.0) as u64;
    let over: Vec<u64> =
        exact.iter().map(|(number, count)| u64::from(sketch.estimate(&name(*number))) - count).collect();
    let wrong = over.iter().filter(|over| **over > bound).count();
    assert!(wrong as f64 <= probability * over.len() as f64, "{wrong} of {}", over.len());
    assert_eq!(sketch.count(), 200_000);
}

#[test]
fn counts_end_at_the_largest() {
    let mut sketch = Cms::new(10, 2, MAX).unwrap();
    assert_eq!(sketch.increment(b"a", u64::from(COUNT_MAX) - 1), COUNT_MAX - 1);
    assert_eq!(sketch.increment(b"a", 5), COUNT_MAX);
    assert_eq!(sketch.increment(b"b", u64::MAX), COUNT_MAX);
    assert_eq!(sketch.estimate(b"a"), COUNT_MAX);
}

#[test]
fn sizes_have_an_end() {
    for (width, depth) in
        [(0, 1), (1, 0), (1 << 31, 1 << 31), (u64::MAX, 2), (1, DEPTH_MAX + 1), (1 << 30, 1)]
    {
        assert!(Cms::new(width, depth, MAX).is_none(), "{width} {depth}");
    }
    assert!(Cms::new(1 << 20, 16, MAX).is_some());
}

#[test]
fn sums() {
    let mut a = Cms::new(1000, 5, MAX).unwrap();
    let mut b = a.clone();
    for (sketch, counts) in [(&mut a, [5, 3, 9]), (&mut b, [2, 3, 1])] {
        for (element, count) in [b"foo", b"bar", b"baz"].into_iter().zip(counts) {
            sketch.increment(element, count);
        }
    }
    let sum = Cms::sum(&[(&a, 2), (&b, 3)], MAX).unwrap();
    let estimates = [b"foo", b"bar", b"baz"].map(|element| sum.estimate(element));
    assert_eq!((estimates, sum.count()), ([16, 15, 21], 52));
    assert_eq!(Cms::sum(&[(&a, 1), (&a, -1)], MAX).unwrap(), Cms::new(1000, 5, MAX).unwrap());
    assert_eq!(Cms::sum(&[(&a, -1)], MAX), Err(MergeError::Overflow));
    assert_eq!(Cms::sum(&[(&a, i64::MAX), (&b, i64::MAX)], MAX), Err(MergeError::Overflow));
    assert_eq!(Cms::sum(&[], MAX), Err(MergeError::Overflow));
}

proptest! {
    #[test]
    fn answers_are_never_too_low(
        increments in prop::collection::vec((0_u64..50, 0_u64..1000), 0..200),
        width in 1_u64..60,
        depth in 1_u64..6,
    ) {
        let mut sketch = Cms::new(width, depth, MAX).unwrap();
        let mut exact: BTreeMap<u64, u64> = BTreeMap::new();
        for (number, by) in &increments {
            let answer = sketch.increment(&name(*number), *by);
            *exact.entry(*number).or_default() += by;
            prop_assert_eq!(answer, sketch.estimate(&name(*number)));
        }
        prop_assert!(exact.iter().all(|(number, count)| u64::from(sketch.estimate(&name(*number))) >= *count));
        let mut payload = Vec::new();
        Cms::save(&sketch, &mut payload);
        prop_assert_eq!(&Cms::load(&payload, Cms::VERSION).unwrap(), &sketch);
        for len in 0..payload.len().min(60) {
            prop_assert!(Cms::load(&payload[..len], Cms::VERSION).is_err());
        }
    }
}
