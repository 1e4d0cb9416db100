//! What several sets have in common or not.
//!
//! Members are added to a result, and removed from it, in the same way as Redis does it: the form of a stored result
//! depends on that, and clients can see the form.

use super::{Member, Set, SetLimits, SetRef};
use crate::types::{collection::Collection, string::INT_LEN_MAX};

/// Up to so many sets, looking a member up in those before is cheaper than collecting all members.
const LOOKUPS_MAX: usize = 6;

/// Visits the members that all sets have until `visit` returns false. O(size of the smallest * number of sets).
pub fn intersect<'a>(sets: &[SetRef<'a>], visit: &mut dyn FnMut(Member<'a>) -> bool) {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        if others.iter().all(|set| set.contains(member)) && !visit(member) {
            return;
        }
    }
}

/// The members that at least one set has. O(sum of the sizes).
pub fn union(sets: &[SetRef], limits: &SetLimits) -> Set {
    let mut result = Set::new();
    for member in sets.iter().flat_map(|set| set.iter()) {
        result.add(member.bytes(&mut [0; INT_LEN_MAX]), limits);
    }
    result
}

/// Visits the members that at least one set has until `visit` returns false. Integers come in ascending order where
/// all sets are of integers.
pub fn unite<'a>(sets: &[SetRef<'a>], limits: &SetLimits, visit: &mut dyn FnMut(Member) -> bool) {
    let of_ints = sets.len() > 1 && sets.iter().all(|set| matches!(set, SetRef::Ints(_)));
    if of_ints || sets.len() > LOOKUPS_MAX {
        union(sets, limits).view().iter().all(visit);
        return;
    }
    let mut sets = sets.to_vec();
    // The members of the first need not be looked up.
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    for (index, set) in sets.iter().enumerate() {
        for member in set.iter() {
            if !sets[..index].iter().any(|before| before.contains(member)) && !visit(member) {
                return;
            }
        }
    }
}

/// The members that `first` has and none of the others.
pub fn difference(first: SetRef, others: &[SetRef], limits: &SetLimits) -> Set {
    let mut result = Set::new();
    if by_lookup(first, others) {
        each_missing(first, others, &mut |member| {
            result.add(member.bytes(&mut [0; INT_LEN_MAX]), limits);
            true
        });
        return result;
    }
    for member in first.iter() {
        result.add(member.bytes(&mut [0; INT_LEN_MAX]), limits);
    }
    for set in others {
        for member in set.iter() {
            result.remove(member.bytes(&mut [0; INT_LEN_MAX]));
        }
        if result.is_empty() {
            break;
        }
    }
    result
}

/// Visits the members that `first` has and none of the others until `visit` returns false.
pub fn subtract(first: SetRef, others: &[SetRef], limits: &SetLimits, visit: &mut dyn FnMut(Member) -> bool) {
    if by_lookup(first, others) {
        each_missing(first, others, visit);
    } else {
        difference(first, others, limits).view().iter().all(visit);
    }
}

/// True if looking each member of the first set up in the others is less work than removing the members of all others
/// from a copy of it. The rule is that of Redis.
fn by_lookup(first: SetRef, others: &[SetRef]) -> bool {
    let lookups = first.len().saturating_mul(others.len() + 1);
    let removals = others.iter().map(|set| set.len()).sum::<usize>() + first.len();
    lookups / 2 <= removals
}

fn each_missing<'a>(first: SetRef<'a>, others: &[SetRef], visit: &mut dyn FnMut(Member<'a>) -> bool) {
    let mut others = others.to_vec();
    // A large set is likelier to have a member.
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    for member in first.iter() {
        if !others.iter().any(|set| set.contains(member)) && !visit(member) {
            return;
        }
    }
}
