//! Bytes on disk: the journal, and what will be written from it.
//!
//! This crate depends on `tidegate-data` for encoding values and never on commands: a journal unit is bytes.

pub mod journal;
