//! The one list of families of the keyspace.

use crate::model::Family;

mod generic;
mod keyspace;
mod string;

pub use generic::{Case, glob_matches};

/// Every family.
pub static ALL: &[&Family] = &[&generic::CONTAINERS, &generic::FAMILY, &keyspace::FAMILY, &string::FAMILY];
