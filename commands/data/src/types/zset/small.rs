//! The packed form: names and scores in turn, in the order of scores and then of names.
//!
//! A score that is an integer is an integer item. All others are a mark and their bits: 4 bytes if that is exact, else
//! 8. The mark is no digit, so that the bytes never look like an integer.

use std::{cmp::Ordering, iter::FusedIterator, ops::Range};

use super::{Member, NameRange, ScoreRange};
use crate::types::{
    packed::{self, Item, Packed, PackedRef},
    string::INT_LEN_MAX,
};

const SINGLE: u8 = b'f';
const DOUBLE: u8 = b'd';

/// The integer that a score is, if it is one that is stored as such: up to half of what an `i64` holds, as in Redis. A
/// negative zero is the integer 0.
#[expect(clippy::float_cmp, reason = "exactness is the question")]
pub fn exact_integer(score: f64) -> Option<i64> {
    const MAX: f64 = (i64::MAX / 2) as f64;
    let integer = score as i64;
    (score.abs() <= MAX && integer as f64 == score).then_some(integer)
}

/// Room for a score that is not an integer.
type Scratch = [u8; 9];

/// What is stored for a score. A negative zero becomes a positive one, as in Redis' small sorted sets.
#[expect(clippy::float_cmp, reason = "exactness is the question")]
fn item_of(score: f64, scratch: &mut Scratch) -> Item<'_> {
    if let Some(integer) = exact_integer(score) {
        return Item::Int(integer);
    }
    let single = score as f32;
    let (mark, len) = if f64::from(single) == score { (SINGLE, 5) } else { (DOUBLE, 9) };
    scratch[0] = mark;
    if mark == SINGLE {
        scratch[1..5].copy_from_slice(&single.to_le_bytes());
    } else {
        scratch[1..].copy_from_slice(&score.to_le_bytes());
    }
    Item::Bytes(&scratch[..len])
}

/// The score an item stands for.
#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(integer) => integer as f64,
        Item::Bytes([SINGLE, bits @ ..]) => {
            f64::from(f32::from_le_bytes(bits.try_into().expect("four bytes follow the mark")))
        }
        Item::Bytes([_, bits @ ..]) => {
            f64::from_le_bytes(bits.try_into().expect("eight bytes follow the mark"))
        }
        Item::Bytes([]) => unreachable!("a score is never empty"),
    }
}

fn compare_names(item: Item<'_>, name: &[u8]) -> Ordering {
    item.bytes(&mut [0; INT_LEN_MAX]).cmp(name)
}

/// Number of members.
#[inline]
pub(super) fn len(view: PackedRef<'_>) -> usize {
    view.len() / 2
}

/// Members and their scores, from both ends.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a>(packed::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Member<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.next()?;
        let score = self.0.next()?;
        Some((Member::of_item(name), score_of(score)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 2, Some(self.0.len() / 2))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = self.0.next_back()?;
        let name = self.0.next_back()?;
        Some((Member::of_item(name), score_of(score)))
    }
}

impl ExactSizeIterator for Pairs<'_> {}
impl FusedIterator for Pairs<'_> {}

/// The members at these places.
pub(super) fn pairs(view: PackedRef<'_>, range: Range<usize>) -> Pairs<'_> {
    Pairs(view.range(2 * range.start, 2 * range.len()))
}

fn all(view: PackedRef<'_>) -> Pairs<'_> {
    Pairs(view.iter())
}

/// A member's position and score.
#[inline]
pub(super) fn find(view: PackedRef<'_>, name: &[u8]) -> Option<(usize, f64)> {
    let position = view.find(name, 1)?;
    Some((position, score_of(view.item(view.after(position)))))
}

#[inline]
pub(super) fn score(view: PackedRef<'_>, name: &[u8]) -> Option<f64> {
    find(view, name).map(|(_, score)| score)
}

/// A member's place and score.
pub(super) fn rank(view: PackedRef<'_>, name: &[u8]) -> Option<(usize, f64)> {
    let (position, score) = find(view, name)?;
    let mut items = 0;
    let mut at = 0;
    while at < position {
        at = view.after(at);
        items += 1;
    }
    Some((items / 2, score))
}

pub(super) fn places_of_scores(view: PackedRef<'_>, range: ScoreRange) -> Range<usize> {
    let start = all(view).take_while(|(_, score)| !range.reaches_min(*score)).count();
    let len = all(view).skip(start).take_while(|(_, score)| range.within_max(*score)).count();
    start..start + len
}

/// The places of names in a range, without the first `skipped` members from where it begins. Where scores differ, the
/// order is not that of names, and the answer is what Redis gives for its listpacks: it depends on the end one begins
/// at, and members that are skipped are not looked at.
pub(super) fn places_of_names(
    view: PackedRef<'_>,
    range: NameRange<'_>,
    from_end: bool,
    skipped: usize,
) -> Range<usize> {
    let mut scratch = [0; INT_LEN_MAX];
    let mut reaches_min = |(member, _): &(Member<'_>, f64)| range.reaches_min(member.bytes(&mut scratch));
    let mut scratch = [0; INT_LEN_MAX];
    let mut within_max = |(member, _): &(Member<'_>, f64)| range.within_max(member.bytes(&mut scratch));
    let may_overlap = all(view).next().is_some_and(|first| within_max(&first))
        && all(view).next_back().is_some_and(|last| reaches_min(&last));
    if !may_overlap {
        return 0..0;
    }
    if from_end {
        let end = len(view) - all(view).rev().take_while(|pair| !within_max(pair)).count();
        if !pairs(view, 0..end).next_back().is_some_and(|last| reaches_min(&last)) {
            return 0..0;
        }
        let end = end.saturating_sub(skipped);
        let count = pairs(view, 0..end).rev().take_while(|pair| reaches_min(pair)).count();
        end - count..end
    } else {
        let start = all(view).take_while(|pair| !reaches_min(pair)).count();
        if !all(view).nth(start).is_some_and(|first| within_max(&first)) {
            return 0..0;
        }
        let start = start.saturating_add(skipped).min(len(view));
        let count = pairs(view, start..len(view)).take_while(|pair| within_max(pair)).count();
        start..start + count
    }
}

/// Adds a member, or gives the one at `old` another score.
pub(super) fn put(packed: &mut Packed, old: Option<usize>, name: &[u8], score: f64) {
    if let Some(position) = old {
        packed.remove(position, 2);
    }
    let view = packed.view();
    let mut position = view.end();
    // From the end: whoever adds members in the order of their scores finds the place at once.
    while let Some(before) = view.prev(position) {
        let Some(name_before) = view.prev(before) else { break };
        let order = score_of(view.item(before))
            .partial_cmp(&score)
            .expect("scores are numbers")
            .then_with(|| compare_names(view.item(name_before), name));
        if order == Ordering::Less {
            break;
        }
        position = name_before;
    }
    let name = Item::from(name);
    packed.insert(position, name);
    packed.insert(position + name.entry_size(), item_of(score, &mut Scratch::default()));
}

/// Adds a member behind all others, where it belongs.
pub(super) fn push(packed: &mut Packed, name: &[u8], score: f64) {
    packed.push_back(name);
    packed.push_back(item_of(score, &mut Scratch::default()));
}

pub(super) fn remove(packed: &mut Packed, name: &[u8]) -> bool {
    let Some(position) = packed.view().find(name, 1) else { return false };
    packed.remove(position, 2);
    true
}

pub(super) fn remove_range(packed: &mut Packed, range: Range<usize>) {
    if let Some(position) = packed.view().position(2 * range.start) {
        packed.remove(position, 2 * range.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_survive_and_integers_are_short() {
        for (score, size) in [
            (0.0, 2),
            (127.0, 2),
            (-1.0, 3),
            (1.5, 7),
            (0.1, 11),
            (f64::MAX, 11),
            (f64::MIN_POSITIVE, 11),
            (f64::INFINITY, 7),
            (f64::NEG_INFINITY, 7),
            (4e18, 10),
            (-4e18, 10),
            (5e18, 11),
            (1e300, 11),
            (f64::from_bits(1), 11),
            // Bits that are digits all.
            (f64::from_le_bytes(*b"12345678"), 11),
            (f64::from(f32::from_le_bytes(*b"1234")), 7),
        ] {
            let mut scratch = Scratch::default();
            let mut packed = Packed::new();
            packed.push_back(item_of(score, &mut scratch));
            assert_eq!(packed.view().size(), size, "{score}");
            let back = score_of(packed.view().get(0).expect("it was pushed"));
            assert_eq!(back.to_bits(), score.to_bits(), "{score}");
        }
        let mut scratch = Scratch::default();
        assert!(score_of(item_of(-0.0, &mut scratch)).is_sign_positive());
    }

    #[test]
    fn names_among_different_scores() {
        let mut packed = Packed::new();
        for (name, score) in [("a", 1.0), ("b", 3.0), ("c", 2.0), ("x", 0.0)] {
            put(&mut packed, None, name.as_bytes(), score);
        }
        // Order: x a c b.
        let range = |min, max| NameRange { min, max };
        let places = |range, from_end| places_of_names(packed.view(), range, from_end, 0);
        let up_to_b = range(NameBound::Lowest, NameBound::Included(b"b"));
        assert_eq!(places(up_to_b, false), 0..0, "the first name is beyond the range");
        let from_b = range(NameBound::Included(b"b"), NameBound::Highest);
        assert_eq!(places(from_b, false), 0..4);
        assert_eq!(places(from_b, true), 2..4);
        assert_eq!(places_of_names(packed.view(), from_b, false, 3), 3..4, "over those that are out");
        assert_eq!(places_of_names(packed.view(), from_b, true, 3), 0..1);
        assert_eq!(places_of_names(packed.view(), from_b, true, 4), 0..0);
        assert_eq!(places_of_names(packed.view(), from_b, false, usize::MAX), 4..4);
        assert_eq!(places(range(NameBound::Highest, NameBound::Lowest), false), 0..0);
        assert_eq!(places(range(NameBound::Lowest, NameBound::Highest), false), 0..4);
    }

    use super::super::NameBound;
}
