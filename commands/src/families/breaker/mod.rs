//! `CB.*`: circuit breakers that all instances of a service share.
//!
//! What a breaker decides is in `tidegate_data::types::breaker`; here are the commands, and how a change reaches the journal
//! (`store`). What only counts is soft: the journal hears of it ten times a second. Of another state it hears at once, and so do
//! watchers, caches and listeners, to whom counting is nothing new.

mod state;
mod store;
#[cfg(test)]
mod tests;
mod tune;

pub(crate) use store::{apply, mark_flushed, unflushed};

use crate::model::{Acl, Family, family};

pub(super) static FAMILY: Family = family(
    "breaker",
    Acl::RESILIENCE,
    &[&tune::SET, &state::ALLOW, &state::REPORT, &state::GET, &tune::FORCE],
);
