//! Bytes on disk: the journal, and RDB files.
//!
//! [`journal`] is the interface through which execution units leave the engine, with an implementation that drops them
//! and one that keeps them in memory for tests. [`aof`] writes them to an append-only file. [`rdb`] saves the data set as
//! a whole and loads it again. [`disk`] is all of the file system that they see.
//!
//! # Invariants
//!
//! * This crate may depend on `tidegate-data` for encoding values, never on commands: a journal unit is bytes.
//! * Units are appended while every shard they touched is held, so their order is a serial order of what happened.
//! * A unit of several commands is one record: it is replayed whole or not at all.
//! * A file is replaced as a whole: written under another name, synced, renamed, the directory synced.

pub mod aof;
mod clock;
pub mod disk;
pub mod journal;
pub mod quote;
pub mod rdb;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
