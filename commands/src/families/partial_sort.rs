//! Sorting where only some places of the result are wanted.
//!
//! It is the quicksort of Bentley and McIlroy ("Engineering a sort function", 1993) which leaves out parts that nobody
//! asked for, as in Redis: elements that compare equal come out in the same order as there. Elsewhere, and here when all
//! is wanted, sorting is stable.

use std::cmp::Ordering;
use std::ops::Range;

/// Below this length elements are inserted one by one.
const INSERTION_LEN: usize = 7;
/// Above this length the pivot is the median of three medians.
const NINTHER_LEN: usize = 40;

/// Brings the elements that belong to the places `wanted`, which must not be empty, there. O(n log n) on the whole.
pub(super) fn partial_sort<T>(
    elements: &mut [T],
    wanted: Range<usize>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) {
    debug_assert!(!wanted.is_empty() && wanted.end <= elements.len(), "the places exist");
    let depth_max = 2 * (usize::BITS - elements.len().leading_zeros()) + 16;
    sort_part(elements, 0, &wanted, compare, depth_max);
}

/// Sorts elements which are at `offset` of all.
fn sort_part<T>(
    mut elements: &mut [T],
    mut offset: usize,
    wanted: &Range<usize>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
    mut depth: u32,
) {
    loop {
        if elements.len() < INSERTION_LEN {
            return insert_one_by_one(elements, compare);
        }
        if depth == 0 {
            // Chosen by somebody who knows the algorithm: it would take quadratic time.
            return elements.sort_by(compare);
        }
        depth -= 1;
        let (less, greater) = split(elements, compare);
        let is_wanted =
            |start: usize, len: usize| len > 1 && start < wanted.end && wanted.start < start + len;
        let len = elements.len();
        if is_wanted(offset, less) {
            sort_part(&mut elements[..less], offset, wanted, compare, depth);
        }
        if !is_wanted(offset + len - greater, greater) {
            return;
        }
        offset += len - greater;
        elements = &mut elements[len - greater..];
    }
}

fn insert_one_by_one<T>(elements: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) {
    for next in 1..elements.len() {
        let mut at = next;
        while at > 0 && compare(&elements[at - 1], &elements[at]).is_gt() {
            elements.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Puts a pivot in its place, what is less before it, what is greater behind it; equal elements are gathered at both
/// ends first, then moved to the middle. Returns the numbers of less and of greater elements.
fn split<T>(elements: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> (usize, usize) {
    let len = elements.len();
    let pivot = pivot(elements, compare);
    elements.swap(0, pivot);
    // Equal: ..equal_front; less: ..front; unknown: ..=back; greater: ..=equal_back; equal: the rest.
    let (mut equal_front, mut front, mut back, mut equal_back) = (1, 1, len - 1, len - 1);
    loop {
        while front <= back {
            match compare(&elements[front], &elements[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    elements.swap(equal_front, front);
                    equal_front += 1;
                }
                Ordering::Less => {}
            }
            front += 1;
        }
        while front <= back {
            match compare(&elements[back], &elements[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    elements.swap(back, equal_back);
                    equal_back -= 1;
                }
                Ordering::Greater => {}
            }
            back -= 1;
        }
        if front > back {
            break;
        }
        elements.swap(front, back);
        front += 1;
        back -= 1;
    }
    let (less, greater) = (front - equal_front, equal_back - back);
    let moved = equal_front.min(less);
    swap_runs(elements, 0, front - moved, moved);
    let moved = greater.min(len - 1 - equal_back);
    swap_runs(elements, front, len - moved, moved);
    (less, greater)
}

fn swap_runs<T>(elements: &mut [T], a: usize, b: usize, len: usize) {
    for step in 0..len {
        elements.swap(a + step, b + step);
    }
}

fn pivot<T>(elements: &[T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let len = elements.len();
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len == INSERTION_LEN {
        return middle;
    }
    if len > NINTHER_LEN {
        let step = len / 8;
        low = median(elements, [low, low + step, low + 2 * step], compare);
        middle = median(elements, [middle - step, middle, middle + step], compare);
        high = median(elements, [high - 2 * step, high - step, high], compare);
    }
    median(elements, [low, middle, high], compare)
}

fn median<T>(elements: &[T], [a, b, c]: [usize; 3], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let mut compared = |x: usize, y: usize| compare(&elements[x], &elements[y]);
    if compared(a, b).is_lt() {
        match compared(b, c) {
            Ordering::Less => b,
            _ if compared(a, c).is_lt() => c,
            _ => a,
        }
    } else {
        match compared(b, c) {
            Ordering::Greater => b,
            _ if compared(a, c).is_lt() => a,
            _ => c,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rng;

    #[test]
    fn the_wanted_places_hold_what_belongs_there() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let len = 1 + rng.below(300) as usize;
            let values = 1 + rng.below(len as u64);
            let original: Vec<(u64, usize)> = (0..len).map(|index| (rng.below(values), index)).collect();
            let start = rng.below(len as u64) as usize;
            let end = start + 1 + rng.below((len - start) as u64) as usize;
            let mut sorted = original.clone();
            partial_sort(&mut sorted, start..end, &mut |a, b| a.0.cmp(&b.0));
            let mut expected: Vec<u64> = original.iter().map(|(value, _)| *value).collect();
            expected.sort_unstable();
            let got: Vec<u64> = sorted.iter().map(|(value, _)| *value).collect();
            assert_eq!(got[start..end], expected[start..end], "seed {seed}");
            sorted.sort_by_key(|(_, index)| *index);
            assert_eq!(sorted, original, "seed {seed}: nothing gets lost");
        }
    }

    #[test]
    fn time_stays_within_bounds() {
        for make in [|n: u64| n, |n: u64| u64::MAX - n, |_| 7, |n: u64| n % 2, |n: u64| n.min(100_000 - n)] {
            let mut elements: Vec<u64> = (0..100_000).map(make).collect();
            let mut comparisons = 0_u64;
            partial_sort(&mut elements, 0..100_000, &mut |a, b| {
                comparisons += 1;
                a.cmp(b)
            });
            assert!(elements.is_sorted() && comparisons < 10_000_000, "{comparisons}");
        }
    }
}
