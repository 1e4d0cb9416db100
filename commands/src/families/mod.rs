//! The one list of families of the keyspace.

use crate::model::Family;

mod bitmap;
mod generic;
mod keyspace;
#[expect(dead_code, reason = "the first type with such members takes this away")]
mod member_expiry;
mod string;

pub use generic::{Case, glob_matches};

/// Every family.
pub static ALL: &[&Family] =
    &[&generic::CONTAINERS, &generic::FAMILY, &keyspace::FAMILY, &string::FAMILY, &bitmap::FAMILY];
