//! The one list of families of the keyspace.

use crate::model::Family;

mod bitmap;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod keyspace;
mod list;
mod member_expiry;
mod partial_sort;
mod repeated;
mod set;
mod stream;
mod string;
mod zset;

pub use generic::{Case, UNLIMITED_MS, del, glob_matches, pack};

/// Every family.
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
