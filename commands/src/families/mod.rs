//! The one list of families of the keyspace.

use crate::model::Family;

mod bitmap;
mod bloom;
mod breaker;
mod cache;
mod cms;
pub mod counter;
mod cuckoo;
mod effects;
mod generic;
mod geo;
mod guard;
mod hash;
mod hyperloglog;
mod idem;
pub mod ids;
mod keyspace;
mod list;
mod lock;
mod member_expiry;
mod partial_sort;
pub mod queue;
mod quota;
pub mod ratelimit;
mod repeated;
pub mod sequence;
mod set;
mod sketch;
mod stream;
mod string;
mod tdigest;
mod topk;
pub mod uniq;
mod zset;

pub use cache::adopt;
pub use effects::{as_copy, mark_flushed, unflushed};
pub use generic::{Case, UNLIMITED_MS, del, glob_matches, pack};

/// Every family of commands that Redis has, in some version.
pub static ALL: &[&Family] = &[
    &generic::CONTAINERS,
    &generic::FAMILY,
    &generic::FOR_NODES,
    &generic::OF_TYPES,
    &keyspace::FAMILY,
    &bitmap::FAMILY,
    &hash::FAMILY,
    &list::FAMILY,
    &set::FAMILY,
    &stream::CONTAINERS,
    &stream::FAMILY,
    &string::FAMILY,
    &hyperloglog::FAMILY,
    &zset::FAMILY,
    &geo::FAMILY,
];

/// The families that Redis does not have.
pub static NATIVE: &[&Family] = &[
    &ratelimit::FAMILY,
    &counter::FAMILY,
    &sequence::FAMILY,
    &ids::FAMILY,
    &uniq::FAMILY,
    &lock::FAMILY,
    &guard::FAMILY,
    &idem::FAMILY,
    &stream::EVENTS,
    &breaker::FAMILY,
    &cache::FAMILY,
    &bloom::FAMILY,
    &cuckoo::FAMILY,
    &cms::FAMILY,
    &topk::FAMILY,
    &tdigest::FAMILY,
    &queue::FAMILY,
    &quota::FAMILY,
];

/// What only whoever loads the journal may call.
pub static EFFECTS: &[&Family] = &[&effects::FAMILY];

/// All families of commands that clients may call.
pub fn every() -> impl Iterator<Item = &'static Family> {
    ALL.iter().chain(NATIVE).copied()
}
