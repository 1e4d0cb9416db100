//! `IDEM.*`: a request that is run once, and answered again to whoever repeats it.
//!
//! What is kept is in `tidegate_data::types::idem`. Who finds that another one runs the request may wait for its answer.

mod begin;
mod effect;
mod end;
mod look;
#[cfg(test)]
mod tests;

pub(crate) use effect::apply;

use crate::model::{Acl, Family, family};

pub(super) static FAMILY: Family =
    family("idem", Acl::RESILIENCE, &[&begin::BEGIN, &end::COMPLETE, &end::FAIL, &look::GET]);

/// Longest time that can be named, in ms: what a double of a client's language holds exactly.
const TIME_MAX_MS: i64 = 1 << 53;
