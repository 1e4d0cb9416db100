//! The one list of families of the keyspace.

use crate::model::Family;

mod string;

/// Every family.
pub static ALL: &[&Family] = &[&string::FAMILY];
