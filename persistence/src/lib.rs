//! Bytes on disk: the journal, and what will be written from it.
//!
//! [`journal`] is the interface through which execution units leave the engine, with an implementation that drops them
//! and one that keeps them in memory for tests. Nothing is written to disk yet.
//!
//! # Invariants
//!
//! * This crate may depend on `tidegate-data` for encoding values, never on commands: a journal unit is bytes.
//! * Units are appended while every shard they touched is held, so their order is a serial order of what happened.
//! * A unit of several commands is one record: it is replayed whole or not at all.

pub mod journal;
