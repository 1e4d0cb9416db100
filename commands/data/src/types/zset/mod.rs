//! Sorted sets: members with scores, in the order of scores and, where those are equal, of names.
//!
//! A small one is a [packed](super::packed) sequence. A large one is a [table](super::members) by name and a
//! [tree] in order, in which every question about ranks and ranges is answered in O(log n). A sorted set becomes large when it
//! outgrows its [`Limits`] or when a member gets a deadline, and never small again.
//!
//! *Places* are ranks: 0 is the member with the lowest score.

use std::{convert::Infallible, iter::FusedIterator, ops::Range};

use hashbrown::HashSet;

mod large;
mod range;
mod small;
#[cfg(test)]
mod tests;
mod tree;

pub use large::Large;
pub use range::{NameBound, NameRange, ScoreRange};
pub use small::exact_integer;

pub use super::set::Member;

use super::{
    collection::Collection,
    packed::{PACKED_LEN_MAX, Packed, PackedRef},
    sample::{Random, below, choose},
    string::INT_LEN_MAX,
};
use crate::value::TypeCode;

/// Most members of a packed sorted set, whatever its limits say.
const SMALL_LEN_MAX: usize = PACKED_LEN_MAX / 2;

/// Up to what size a sorted set is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members.
    pub len: usize,
    /// Bytes of a name.
    pub name_len: usize,
}

/// The score of a member before and behind a change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// `None` if it was not there.
    pub old: Option<f64>,
    /// The one it was to get; `None` to leave it as it is.
    pub new: Option<f64>,
}

impl Update {
    /// True if the member is new, or its score another number. Zeros of both signs are equal: the old one stays.
    #[inline]
    pub fn changes(self) -> bool {
        self.new.is_some() && self.new != self.old
    }
}

/// A sorted set.
#[derive(Clone, Debug, PartialEq)]
pub enum Zset {
    Packed(Packed),
    Large(Box<Large>),
}

const _: () = assert!(size_of::<Zset>() <= 24);

impl Default for Zset {
    fn default() -> Self {
        Self::Packed(Packed::new())
    }
}

impl Zset {
    /// An empty sorted set that is large already.
    pub fn large() -> Self {
        Self::Large(Box::new(Large::new()))
    }

    /// The sorted set of these members, which come in order and are different. `limits` decides about its form.
    pub fn of_sorted<'n>(
        members: impl ExactSizeIterator<Item = (&'n [u8], f64)> + Clone,
        limits: Limits,
    ) -> Self {
        let fits = members.len() <= limits.len.min(SMALL_LEN_MAX)
            && members.clone().all(|(name, _)| name.len() <= limits.name_len);
        if fits {
            let mut packed = Packed::new();
            members.for_each(|(name, score)| small::push(&mut packed, name, score));
            Self::Packed(packed)
        } else {
            let mut large = Box::new(Large::new());
            members.for_each(|(name, score)| {
                large.put(name, score);
            });
            Self::Large(large)
        }
    }

    /// Gives a member the score that `decide` makes of its present one (`None` if it is not there); `None` leaves it as it
    /// is. Its deadline stays. Scores are not NaN. O(log n), or O(size) of a packed one.
    pub fn update<E>(
        &mut self,
        name: &[u8],
        limits: Limits,
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Update, E> {
        let Self::Packed(packed) = self else { return self.make_large().update(name, decide) };
        let found = small::find(packed.view(), name);
        let old = found.map(|(_, score)| score);
        let update = Update { old, new: decide(old)? };
        let (true, Some(score)) = (update.changes(), update.new) else { return Ok(update) };
        debug_assert!(!score.is_nan(), "scores are numbers");
        let has_room = small::len(packed.view()) < limits.len.min(SMALL_LEN_MAX);
        if old.is_some() || has_room && name.len() <= limits.name_len {
            small::put(packed, found.map(|(position, _)| position), name, score);
        } else {
            self.make_large().put(name, score);
        }
        Ok(update)
    }

    /// Adds a member, or gives it another score. Returns its old score.
    pub fn put(&mut self, name: &[u8], score: f64, limits: Limits) -> Option<f64> {
        let Ok(update) = self.update(name, limits, |_| Ok::<_, Infallible>(Some(score)));
        update.old
    }

    /// Takes a member out; false when it is not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self {
            Self::Packed(packed) => small::remove(packed, name),
            Self::Large(large) => large.remove(name).is_some(),
        }
    }

    /// Takes out the members at these places, which must exist. O(log n + members removed).
    pub fn remove_range(&mut self, range: Range<usize>) {
        match self {
            Self::Packed(packed) => small::remove_range(packed, range),
            Self::Large(large) => large.remove_range(range),
        }
    }

    /// Sets or removes a member's deadline, a unix time in ms; false when there is no such member. Makes it large.
    pub fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<i64>) -> bool {
        if let Self::Packed(packed) = self {
            let is_there = small::score(packed.view(), name).is_some();
            if !is_there || deadline_ms.is_none() {
                return is_there;
            }
        }
        self.make_large().set_deadline(name, deadline_ms)
    }

    /// The large form. O(members) if it was packed.
    fn make_large(&mut self) -> &mut Large {
        if let Self::Packed(packed) = self {
            let mut large = Box::new(Large::new());
            let mut scratch = [0; INT_LEN_MAX];
            for (member, score) in small::pairs(packed.view(), 0..small::len(packed.view())) {
                large.put(member.bytes(&mut scratch), score);
            }
            *self = Self::Large(large);
        }
        match self {
            Self::Large(large) => large,
            Self::Packed(_) => unreachable!("it was just made large"),
        }
    }
}

/// A sorted set for reading.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    Packed(PackedRef<'a>),
    Large(&'a Large),
}

impl<'a> ZsetRef<'a> {
    /// Number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(packed) => small::len(packed),
            Self::Large(large) => large.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A member's score. O(1), or O(size) of a packed one.
    #[inline]
    pub fn score(self, name: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(packed) => small::score(packed, name),
            Self::Large(large) => large.score(name),
        }
    }

    /// A member's place and score. O(log n).
    pub fn rank(self, name: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed(packed) => small::rank(packed, name),
            Self::Large(large) => large.rank(name),
        }
    }

    /// The places of the members with scores in a range. O(log n).
    pub fn places_of_scores(self, range: ScoreRange) -> Range<usize> {
        match self {
            Self::Packed(packed) => small::places_of_scores(packed, range),
            Self::Large(large) => large.places_of_scores(range),
        }
    }

    /// The places of the members with names in a range, without the first `skipped` of them, or (`from_end`) the last.
    /// It means little unless all scores are equal; what it gives then may depend on the end. O(log n).
    pub fn places_of_names(self, range: NameRange<'_>, from_end: bool, skipped: usize) -> Range<usize> {
        match self {
            Self::Packed(packed) => small::places_of_names(packed, range, from_end, skipped),
            Self::Large(large) => {
                let Range { start, end } = large.places_of_names(range);
                let left = (end - start).saturating_sub(skipped);
                if from_end { start..start + left } else { end - left..end }
            }
        }
    }

    /// The members at these places, which must exist, in order or (`from_end`) the last one first. O(log n) to begin.
    pub fn range(self, places: Range<usize>, from_end: bool) -> Iter<'a> {
        match (self, from_end) {
            (Self::Packed(packed), false) => Iter(Walk::Packed(small::pairs(packed, places))),
            (Self::Packed(packed), true) => Iter(Walk::PackedFromEnd(small::pairs(packed, places))),
            (Self::Large(large), false) => Iter(Walk::Ascending(large.ascending(places))),
            (Self::Large(large), true) => Iter(Walk::Descending(large.descending(places))),
        }
    }

    /// All members in order.
    pub fn iter(self) -> Iter<'a> {
        self.range(0..self.len(), false)
    }

    /// The member at a place. O(log n).
    pub fn at(self, place: usize) -> Option<(Member<'a>, f64)> {
        match self {
            Self::Packed(packed) if place < small::len(packed) => {
                small::pairs(packed, place..place + 1).next()
            }
            Self::Packed(_) => None,
            Self::Large(large) => large.at(place).map(|(name, score)| (Member::Text(name), score)),
        }
    }

    /// Calls `visit` with `count` different members chosen at random, or with all if there are not as many. Every set
    /// of members is as likely as any other. O(count * log n) for few of many members, else O(n).
    pub fn sample(self, count: usize, random: Random, mut visit: impl FnMut(Member, f64)) {
        /// Up to this share of the members, drawing until the wanted number was found beats looking at all.
        const SHARE: usize = 8;
        if count.saturating_mul(SHARE) < self.len() {
            let mut drawn = HashSet::with_capacity_and_hasher(count, foldhash::fast::FixedState::default());
            while drawn.len() < count {
                let place = below(self.len(), random);
                if drawn.insert(place) {
                    let (member, score) = self.at(place).expect("the place is below the length");
                    visit(member, score);
                }
            }
            return;
        }
        let mut members = self.iter();
        let mut passed = 0;
        choose(self.len(), count, random, |place| {
            let (member, score) = members.nth(place - passed).expect("as many members as were counted");
            visit(member, score);
            passed = place + 1;
        });
    }

    /// One step of a scan: visits about `count` members from `cursor` on (0 is the start; all of them if it is packed)
    /// and returns where to go on, 0 at the end. Members that are there all the time are visited at least once.
    pub fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], f64)) -> u64 {
        match self {
            Self::Packed(_) => {
                let mut scratch = [0; INT_LEN_MAX];
                self.iter().for_each(|(member, score)| visit(member.bytes(&mut scratch), score));
                0
            }
            Self::Large(large) => large.scan(cursor, count, visit),
        }
    }

    /// A member's deadline, a unix time in ms; `None` without one, and if there is no such member.
    pub fn deadline_ms(self, name: &[u8]) -> Option<i64> {
        match self {
            Self::Packed(_) => None,
            Self::Large(large) => large.deadline_ms(name),
        }
    }
}

impl ZsetRef<'_> {
    /// Number of members that have a deadline.
    pub fn deadlines_len(self) -> usize {
        match self {
            Self::Packed(_) => 0,
            Self::Large(large) => large.deadlines_len(),
        }
    }
}

impl<'a> IntoIterator for ZsetRef<'a> {
    type Item = (Member<'a>, f64);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Members with their scores.
pub struct Iter<'a>(Walk<'a>);

enum Walk<'a> {
    Packed(small::Pairs<'a>),
    PackedFromEnd(small::Pairs<'a>),
    Ascending(large::Ascending<'a>),
    Descending(large::Descending<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Member<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let entry = match &mut self.0 {
            Walk::Packed(pairs) => return pairs.next(),
            Walk::PackedFromEnd(pairs) => return pairs.next_back(),
            Walk::Ascending(entries) => entries.next(),
            Walk::Descending(entries) => entries.next(),
        };
        entry.map(|entry| (Member::Text(entry.member.bytes()), entry.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Packed(pairs) | Walk::PackedFromEnd(pairs) => pairs.size_hint(),
            Walk::Ascending(entries) => entries.size_hint(),
            Walk::Descending(entries) => entries.size_hint(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

impl Collection for Zset {
    const TYPE: TypeCode = TypeCode::Zset;

    type Ref<'a> = ZsetRef<'a>;

    fn view(&self) -> ZsetRef<'_> {
        match self {
            Self::Packed(packed) => ZsetRef::Packed(packed.view()),
            Self::Large(large) => ZsetRef::Large(large),
        }
    }

    fn inline_view(bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef::Packed(PackedRef::new(bytes))
    }

    fn from_inline(bytes: Vec<u8>) -> Self {
        Self::Packed(Packed::from_bytes(bytes))
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        match self {
            Self::Packed(packed) => Ok(packed.into_bytes()),
            large @ Self::Large(_) => Err(large),
        }
    }

    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.heap_size(),
            Self::Large(large) => large.heap_size(),
        }
    }

    fn encoding_name(view: ZsetRef<'_>) -> &'static str {
        match view {
            ZsetRef::Packed(_) => "listpack",
            ZsetRef::Large(_) => "skiplist",
        }
    }

    fn earliest_deadline_ms(&self) -> Option<i64> {
        match self {
            Self::Packed(_) => None,
            Self::Large(large) => large.earliest_deadline_ms(),
        }
    }

    fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
        if let Self::Large(large) = self {
            large.remove_due(now_ms, limit, removed);
        }
    }
}
