//! Which requests were answered with which numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Named;
use crate::keyspace::size_class;
use crate::types::collection::btree_size;

/// Longest name of a request, in bytes.
pub const ID_LEN_MAX: usize = 256;

/// Names that are forgotten at a time: a few more than are added, so that what is out of date goes away without one
/// request paying for all of it.
const FORGOTTEN_MAX: usize = 16;

/// Numbers that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub first: i64,
    pub last: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    until_ms: i64,
    block: Block,
}

/// Answers by the names of requests, and in the order in which they are forgotten.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered {
    answers: BTreeMap<Arc<[u8]>, Answer>,
    order: BTreeSet<(i64, Arc<[u8]>)>,
    names_size: usize,
}

/// Bytes a name takes with its two reference counts.
fn name_size(name: &[u8]) -> usize {
    size_class(2 * size_of::<usize>() + name.len())
}

impl Remembered {
    pub(super) fn find(&self, id: &[u8], now_ms: i64) -> Option<Block> {
        let answer = self.answers.get(id)?;
        (answer.until_ms > now_ms).then_some(answer.block)
    }

    /// Number of names that are remembered at this time. O(those that are not).
    pub(super) fn len(&self, now_ms: i64) -> usize {
        let past = self.order.iter().take_while(|(until_ms, _)| *until_ms <= now_ms).count();
        self.order.len() - past
    }

    /// Remembers an answer in place of an earlier one.
    pub(super) fn insert(&mut self, named: &Named) {
        self.remove(&named.id);
        let id: Arc<[u8]> = Arc::from(&*named.id);
        self.names_size += name_size(&id);
        self.order.insert((named.until_ms, Arc::clone(&id)));
        self.answers.insert(id, Answer { until_ms: named.until_ms, block: named.block });
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some((id, answer)) = self.answers.remove_entry(id) {
            self.names_size -= name_size(&id);
            self.order.remove(&(answer.until_ms, id));
        }
    }

    /// Forgets some of the answers whose time was over by `now_ms`.
    pub(super) fn forget_before(&mut self, now_ms: i64) {
        for _ in 0..FORGOTTEN_MAX {
            let Some((until_ms, id)) = self.order.first() else { return };
            if *until_ms > now_ms {
                return;
            }
            let id = Arc::clone(id);
            self.remove(&id);
        }
    }

    /// All of them, in the order in which they are forgotten.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], i64, Block)> {
        let block = |id: &[u8]| self.answers.get(id).map(|answer| answer.block);
        self.order.iter().map(move |(until_ms, id)| {
            (&**id, *until_ms, block(id).expect("what is to be forgotten is remembered"))
        })
    }

    /// Bytes of all allocations. O(1).
    pub(super) fn heap_size(&self) -> usize {
        btree_size::<Arc<[u8]>, Answer>(self.answers.len())
            + btree_size::<(i64, Arc<[u8]>), ()>(self.order.len())
            + self.names_size
    }
}
