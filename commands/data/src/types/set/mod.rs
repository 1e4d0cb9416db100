//! Sets of distinct strings.
//!
//! A small set is one piece of memory whose first byte tells how to read the rest: sorted [integers](IntsRef), or a
//! [packed sequence](PackedRef) in the order of insertion. A large one is a table. As in Redis a set never returns to
//! an earlier form, so it does not flap at a limit.

pub mod algebra;
mod ints;
#[cfg(test)]
mod tests;

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::{
    collection::Collection,
    members::{Members, NEVER_MS},
    packed::{Item, PACKED_LEN_MAX, Packed, PackedRef},
    sample::{Random, below, choose},
    string::{INT_LEN_MAX, format_int, parse_int},
};
use crate::{
    keyspace::{Record, size_class},
    value::TypeCode,
};

pub use ints::IntsRef;

/// First byte of a packed sequence of strings. Others are those of [`ints`].
const STRINGS: u8 = 1;

/// When fewer than one in so many members would remain, moving those beats removing the others.
const KEEP_SHARE: usize = 5;

/// When a set changes its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// `set-max-intset-entries`: most members of a set of integers.
    pub ints_len_max: usize,
    /// `set-max-listpack-entries`: most members of a packed sequence.
    pub strings_len_max: usize,
    /// `set-max-listpack-value`: longest member of a packed sequence, in bytes.
    pub string_len_max: usize,
}

/// A set of strings.
#[derive(Clone, Debug)]
pub enum Set {
    /// A small one; no bytes if it is empty.
    Packed(Vec<u8>),
    /// A large one, or one that has members with deadlines.
    Large(Box<Members>),
}

const _: () = assert!(size_of::<Set>() <= 24, "a boxed value takes a small size class");

/// A set to look at.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers, ascending.
    Ints(IntsRef<'a>),
    /// A few strings.
    Strings(PackedRef<'a>),
    /// Any number of strings.
    Large(&'a Members),
}

/// A member of a set or a sorted set.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// Of a small set: the string that this integer prints as.
    Int(i64),
    /// Any string, possibly one that reads as an integer.
    Text(&'a [u8]),
}

impl<'a> Member<'a> {
    /// The member's bytes; those of an integer are written into `scratch`.
    #[inline]
    pub fn bytes<'s>(self, scratch: &'s mut [u8; INT_LEN_MAX]) -> &'s [u8]
    where
        'a: 's,
    {
        match self {
            Self::Int(value) => format_int(value, scratch),
            Self::Text(bytes) => bytes,
        }
    }

    fn item(self) -> Item<'a> {
        match self {
            Self::Int(value) => Item::Int(value),
            Self::Text(bytes) => Item::from(bytes),
        }
    }

    pub(super) fn of_item(item: Item<'a>) -> Self {
        match item {
            Item::Int(value) => Self::Int(value),
            Item::Bytes(bytes) => Self::Text(bytes),
        }
    }

    fn of_record(record: &'a Record) -> Self {
        Self::Text(record.key())
    }
}

impl<'a> SetRef<'a> {
    /// A set without members.
    pub const EMPTY: SetRef<'static> = SetRef::Strings(PackedRef::EMPTY);

    fn of_packed(bytes: &'a [u8]) -> Self {
        match IntsRef::of(bytes) {
            Some(ints) => Self::Ints(ints),
            None => Self::Strings(PackedRef::new(bytes.get(1..).unwrap_or_default())),
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Ints(ints) => ints.len(),
            Self::Strings(strings) => strings.len(),
            Self::Large(members) => members.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// O(log n) for integers, O(n) for a few strings, else O(1).
    #[inline]
    pub fn contains(self, member: Member) -> bool {
        match (self, member) {
            (Self::Ints(ints), Member::Int(value)) => ints.contains(value),
            (Self::Ints(ints), Member::Text(bytes)) => {
                parse_int(bytes).is_some_and(|value| ints.contains(value))
            }
            (Self::Strings(strings), member) => strings.find(member.item(), 0).is_some(),
            (Self::Large(members), member) => members.contains(member.bytes(&mut [0; INT_LEN_MAX])),
        }
    }

    /// All members: integers ascending, a few strings in the order of their insertion, else in no particular order.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        match self {
            Self::Ints(ints) => AnyIter::Ints(ints.iter().map(Member::Int)),
            Self::Strings(strings) => AnyIter::Strings(strings.iter().map(Member::of_item)),
            Self::Large(members) => AnyIter::Large(members.iter().map(Member::of_record)),
        }
    }

    /// A member chosen at random, each as likely as any other. Expected O(1), O(n) for a few strings.
    pub fn random(self, random: Random) -> Option<Member<'a>> {
        match self {
            Self::Large(members) => members.random(random).map(Member::of_record),
            _ if self.is_empty() => None,
            _ => self.at(below(self.len(), random)),
        }
    }

    /// The member with this number in the order of [`iter`](Self::iter); not for large sets.
    fn at(self, index: usize) -> Option<Member<'a>> {
        match self {
            Self::Ints(ints) => Some(Member::Int(ints.at(index))),
            Self::Strings(strings) => strings.get(index).map(Member::of_item),
            Self::Large(_) => None,
        }
    }

    /// Calls `visit` with `count` different members chosen at random, or with all if there are not as many. Every set
    /// of members is as likely as any other. O(count) for few of many members, else O(members).
    pub fn sample(self, count: usize, random: Random, mut visit: impl FnMut(Member)) {
        /// Up to this share of the members, drawing until the wanted number was found beats looking at all.
        const SHARE: usize = 8;
        if let Self::Large(members) = self {
            members.sample(count, random, |record| visit(Member::of_record(record)));
        } else if count.saturating_mul(SHARE) < self.len() {
            let mut drawn = HashSet::with_capacity_and_hasher(count, foldhash::fast::FixedState::default());
            while drawn.len() < count {
                let index = below(self.len(), random);
                if drawn.insert(index) {
                    visit(self.at(index).expect("the index is below the length"));
                }
            }
        } else {
            let mut members = self.iter();
            let mut passed = 0;
            choose(self.len(), count, random, |number| {
                visit(members.nth(number - passed).expect("as many members as were counted"));
                passed = number + 1;
            });
        }
    }

    /// One step of a scan: visits about `count` members from `cursor` on (0 is the start) and returns where to go on, 0
    /// at the end. A small set is visited in one step. Members that are there from the first step to the last are
    /// visited at least once.
    pub fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(Member)) -> u64 {
        match self {
            Self::Large(members) => {
                members.scan(cursor, count, &mut |record| visit(Member::of_record(record)))
            }
            small => {
                small.iter().for_each(visit);
                0
            }
        }
    }

    /// True if any member has a deadline. O(1).
    pub fn has_deadlines(self) -> bool {
        matches!(self, Self::Large(members) if members.deadlines_len() > 0)
    }

    /// When a member is due, as unix time in ms, [`NEVER_MS`] if it has no deadline; `None` without such a member.
    pub fn deadline_ms(self, member: &[u8]) -> Option<i64> {
        match self {
            Self::Large(members) => members.deadline_ms(member),
            small => small.contains(Member::Text(member)).then_some(NEVER_MS),
        }
    }
}

/// One of three iterators.
enum AnyIter<A, B, C> {
    Ints(A),
    Strings(B),
    Large(C),
}

impl<T, A, B, C> Iterator for AnyIter<A, B, C>
where
    A: Iterator<Item = T>,
    B: Iterator<Item = T>,
    C: Iterator<Item = T>,
{
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Ints(iter) => iter.next(),
            Self::Strings(iter) => iter.next(),
            Self::Large(iter) => iter.next(),
        }
    }
}

impl Set {
    /// An empty set.
    pub const fn new() -> Self {
        Self::Packed(Vec::new())
    }

    /// Adds a member; false if it was there. O(1), and O(n) in a small set.
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        let bytes = match self {
            Self::Large(members) => return members.add(member),
            Self::Packed(bytes) => bytes,
        };
        if !bytes.is_empty() && !ints::is_ints(bytes) {
            return self.add_string(member, limits);
        }
        let Some(value) = parse_int(member) else {
            self.leave_ints(limits);
            return self.add_string(member, limits);
        };
        let is_new = ints::insert(bytes, value);
        if is_new && self.view().len() > limits.ints_len_max {
            self.leave_ints(limits);
        }
        is_new
    }

    /// Adds to a set that is not of integers any more.
    fn add_string(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        if let Self::Packed(bytes) = self {
            let strings = PackedRef::new(bytes.get(1..).unwrap_or_default());
            let item = Item::from(member);
            if strings.find(item, 0).is_some() {
                return false;
            }
            let len_max = limits.strings_len_max.min(PACKED_LEN_MAX);
            if strings.len() < len_max && member.len() <= limits.string_len_max {
                edit_strings(bytes, |strings| strings.push_back(item));
                return true;
            }
        }
        self.make_large().add(member)
    }

    /// From integers to strings: few of them if the limits allow.
    fn leave_ints(&mut self, limits: &SetLimits) {
        let Self::Packed(bytes) = self else { return };
        let Some(ints) = IntsRef::of(bytes) else { return };
        if ints.len() <= limits.strings_len_max && limits.string_len_max >= INT_LEN_MAX {
            let mut strings = Packed::<1>::from_bytes(Vec::new());
            strings.set_prefix([STRINGS]);
            for value in ints.iter() {
                strings.push_back(value);
            }
            *bytes = strings.into_bytes();
        } else {
            self.make_large();
        }
    }

    /// Makes the set a large one.
    fn make_large(&mut self) -> &mut Members {
        if let Self::Packed(bytes) = self {
            let mut members = Members::new();
            for member in SetRef::of_packed(bytes).iter() {
                members.add(member.bytes(&mut [0; INT_LEN_MAX]));
            }
            *self = Self::Large(Box::new(members));
        }
        match self {
            Self::Large(members) => members,
            Self::Packed(_) => unreachable!("just made large"),
        }
    }

    /// Takes a member out; false if it was not there. O(1), and O(n) in a small set.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let bytes = match self {
            Self::Large(members) => return members.remove(member).is_some(),
            Self::Packed(bytes) => bytes,
        };
        if ints::is_ints(bytes) {
            return parse_int(member).is_some_and(|value| ints::remove(bytes, value));
        }
        let strings = PackedRef::new(bytes.get(1..).unwrap_or_default());
        let Some(position) = strings.find(member, 0) else { return false };
        if strings.len() == 1 {
            bytes.clear();
        } else {
            edit_strings(bytes, |strings| strings.remove(position, 1));
        }
        true
    }

    /// Sets or removes the deadline of a member, a unix time in ms; false when there is no such member. A set in which
    /// a member ever had a deadline is a large one.
    pub fn set_deadline(&mut self, member: &[u8], deadline_ms: Option<i64>) -> bool {
        if let Self::Large(members) = self {
            return members.set_deadline(member, deadline_ms);
        }
        if !self.view().contains(Member::Text(member)) {
            return false;
        }
        deadline_ms.is_none() || self.make_large().set_deadline(member, deadline_ms)
    }

    /// Takes `count` members chosen at random out of a set that has more of them, and gives them to `popped`. Every set
    /// of members is as likely as any other.
    pub fn pop_random(
        &mut self,
        count: usize,
        limits: &SetLimits,
        random: Random,
        popped: &mut dyn FnMut(Member),
    ) {
        let mut scratch = [0; INT_LEN_MAX];
        let remaining = self.view().len().saturating_sub(count);
        if remaining.saturating_mul(KEEP_SHARE) > count {
            for _ in 0..count {
                let Some(member) = self.view().random(random) else { return };
                popped(member);
                let name = SmallVec::<[u8; 64]>::from_slice(member.bytes(&mut scratch));
                self.remove(&name);
            }
            return;
        }
        // Few remain: they move to a new set, which as in Redis may be of integers again.
        let mut kept = Self::new();
        let old = self.view();
        old.sample(remaining, random, |member| {
            let name = member.bytes(&mut scratch);
            kept.add(name, limits);
            if let Some(deadline_ms) = old.deadline_ms(name).filter(|deadline_ms| *deadline_ms != NEVER_MS) {
                kept.set_deadline(name, Some(deadline_ms));
            }
        });
        old.iter().filter(|member| !kept.view().contains(*member)).for_each(popped);
        *self = kept;
    }
}

/// Changes packed bytes that are a sequence of strings, or empty.
fn edit_strings<R>(bytes: &mut Vec<u8>, edit: impl FnOnce(&mut Packed<1>) -> R) -> R {
    let mut strings = Packed::from_bytes(std::mem::take(bytes));
    if strings.as_bytes().is_empty() {
        strings.set_prefix([STRINGS]);
    }
    let result = edit(&mut strings);
    *bytes = strings.into_bytes();
    result
}

impl PartialEq for Set {
    /// The same members with the same deadlines, in whatever form. O(members).
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.view(), other.view());
        let same = |member: Member| {
            let name = &member.bytes(&mut [0; INT_LEN_MAX]).to_vec();
            two.deadline_ms(name).is_some_and(|there| one.deadline_ms(name) == Some(there))
        };
        one.len() == two.len() && one.iter().all(same)
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Collection for Set {
    const TYPE: TypeCode = TypeCode::Set;

    type Ref<'a> = SetRef<'a>;

    #[inline]
    fn view(&self) -> SetRef<'_> {
        match self {
            Self::Packed(bytes) => SetRef::of_packed(bytes),
            Self::Large(members) => SetRef::Large(members),
        }
    }

    #[inline]
    fn inline_view(bytes: &[u8]) -> SetRef<'_> {
        SetRef::of_packed(bytes)
    }

    fn from_inline(bytes: Vec<u8>) -> Self {
        Self::Packed(bytes)
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        match self {
            Self::Packed(bytes) => Ok(bytes),
            large @ Self::Large(_) => Err(large),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Packed(bytes) => bytes.is_empty(),
            Self::Large(members) => members.is_empty(),
        }
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Packed(bytes) => size_class(bytes.capacity()),
            Self::Large(members) => members.heap_size(),
        }
    }

    fn encoding_name(view: SetRef<'_>) -> &'static str {
        match view {
            SetRef::Ints(_) => "intset",
            // Redis 7.0 has no smaller form of strings, and clients compare with what it says.
            SetRef::Strings(_) | SetRef::Large(_) => "hashtable",
        }
    }

    fn earliest_deadline_ms(&self) -> Option<i64> {
        match self {
            Self::Large(members) => members.earliest_deadline_ms(),
            Self::Packed(_) => None,
        }
    }

    fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
        if let Self::Large(members) = self {
            members.remove_due(now_ms, limit, &mut |record| removed(record.key()));
        }
    }
}
