//! What Tidegate stores: values, the records that hold them, and the keyspace table that finds them.
//!
//! This crate knows no protocol and no command. It never reads a clock, a random source, a file or a socket: whatever
//! depends on those (deadlines, random numbers, hash seeds) is passed in by the caller.

pub mod keyspace;
pub mod types;
pub mod value;

pub use keyspace::{
    BoxedMut, Contents, DirectoryHint, Entry, KeyHasher, OccupiedEntry, Record, ScanCursor, Table,
    VacantEntry, ValueRef,
};
pub use types::string::LongString;
pub use value::{StringEncoding, TypeCode, Value};
