//! Hit ratios of caches: traces to run through them, and exact models of some policies to compare with.
//!
//! * [`traces`] makes sequences of keys.
//! * [`models`] says what a policy would hit if it were kept to the letter, with room for so many keys.

pub mod models;
pub mod traces;
