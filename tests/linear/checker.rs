//! Is there an order of the operations in a history in which each gave what it should, and none came before one that had
//! ended when it began? The search of Wing and Gong, with the memory of Lowe: what was reached once is not tried again.
//!
//! An operation without an answer, because the server was killed, may have happened at any time since, or never.

use std::collections::HashSet;
use std::hash::Hash;

/// What one client asked for, and when.
#[derive(Debug, Clone)]
pub(crate) struct Operation<I, O> {
    /// Moments that order what happened one after the other.
    pub(crate) began: u64,
    /// `u64::MAX` without an answer.
    pub(crate) ended: u64,
    pub(crate) asked: I,
    pub(crate) answer: Option<O>,
}

/// What a key should do.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;
    type Asked;
    type Answer;

    fn start() -> Self::State;

    /// The state afterwards, if this answer (`None`: any) is one that could be given.
    fn step(state: &Self::State, asked: &Self::Asked, answer: Option<&Self::Answer>) -> Option<Self::State>;
}

/// A place in the search.
struct Place<S> {
    state: S,
    /// Operations that have happened, as bits.
    happened: Vec<u64>,
    /// Those that may be next, and have not been tried.
    next: Vec<usize>,
}

/// True if there is such an order. `history` is in the order in which operations began.
pub(crate) fn is_linearizable<M: Model>(history: &[Operation<M::Asked, M::Answer>]) -> bool {
    let answered = history.iter().filter(|operation| operation.answer.is_some()).count();
    let happened = vec![0; history.len().div_ceil(64)];
    let next = candidates(history, &happened);
    let mut seen: HashSet<(Vec<u64>, M::State)> = HashSet::new();
    let mut path = vec![Place { state: M::start(), happened, next }];
    while let Some(place) = path.last_mut() {
        let done = place.happened.iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        });
        if done.filter(|at| history[*at].answer.is_some()).count() == answered {
            return true;
        }
        let Some(at) = place.next.pop() else {
            path.pop();
            continue;
        };
        let Operation { asked, answer, .. } = &history[at];
        let Some(state) = M::step(&place.state, asked, answer.as_ref()) else { continue };
        let mut happened = place.happened.clone();
        happened[at / 64] |= 1 << (at % 64);
        if seen.insert((happened.clone(), state.clone())) {
            let next = candidates(history, &happened);
            path.push(Place { state, happened, next });
        }
    }
    false
}

/// Operations that may be next: those that began before any other that has not happened had ended. The first to end is tried
/// first, and what has no answer last.
fn candidates<I, O>(history: &[Operation<I, O>], happened: &[u64]) -> Vec<usize> {
    let has_happened = |at: usize| happened[at / 64] >> (at % 64) & 1 == 1;
    let (mut found, mut ends) = (Vec::new(), u64::MAX);
    for (at, operation) in history.iter().enumerate() {
        if operation.began > ends {
            break;
        }
        if !has_happened(at) {
            found.push(at);
            ends = ends.min(operation.ended);
        }
    }
    found.retain(|at| history[*at].began <= ends);
    found.sort_unstable_by_key(|at| std::cmp::Reverse(history[*at].ended));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: writes `Some`, reads `None`.
    struct Register;

    impl Model for Register {
        type State = u8;
        type Asked = Option<u8>;
        type Answer = u8;

        fn start() -> u8 {
            0
        }

        fn step(state: &u8, asked: &Option<u8>, answer: Option<&u8>) -> Option<u8> {
            match asked {
                Some(written) => Some(*written),
                None => answer.is_none_or(|read| read == state).then_some(*state),
            }
        }
    }

    fn op(began: u64, ended: u64, asked: Option<u8>, answer: Option<u8>) -> Operation<Option<u8>, u8> {
        Operation { began, ended, asked, answer }
    }

    #[test]
    fn registers() {
        let write = op(1, 4, Some(7), Some(7));
        assert!(is_linearizable::<Register>(&[write.clone(), op(2, 3, None, Some(0))]));
        assert!(is_linearizable::<Register>(&[write.clone(), op(2, 3, None, Some(7))]));
        assert!(is_linearizable::<Register>(&[write.clone(), op(5, 6, None, Some(7))]));
        assert!(!is_linearizable::<Register>(&[write.clone(), op(5, 6, None, Some(0))]));
        let seen_and_not = [write, op(2, 3, None, Some(7)), op(5, 6, None, Some(0))];
        assert!(!is_linearizable::<Register>(&seen_and_not));
        let lost = op(1, u64::MAX, Some(7), None);
        for reads in [[0, 0], [0, 7], [7, 7]] {
            let history = [lost.clone(), op(2, 3, None, Some(reads[0])), op(4, 5, None, Some(reads[1]))];
            assert!(is_linearizable::<Register>(&history), "it may have happened, or not");
        }
        let back = [lost, op(2, 3, None, Some(7)), op(4, 5, None, Some(0))];
        assert!(!is_linearizable::<Register>(&back));
    }
}
