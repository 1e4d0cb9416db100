//! `SEQ.*`: numbers that are given out once, and again to whom repeats a request.
//!
//! What comes next is decided in `tidegate_data::types::sequence`; `calendar` knows where days, months and years begin.

mod calendar;
mod effect;
mod next;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use effect::apply;

use crate::model::{Acl, Family, family};

pub(super) static FAMILY: Family =
    family("sequence", Acl::COUNTER, &[&next::NEXT, &settings::SET, &settings::GET]);
