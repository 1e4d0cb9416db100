//! What Tidegate stores: values, the records that hold them, and the keyspace table that finds them.
//!
//! This crate knows no protocol and no command. It never reads a clock, a random source, a file or a socket: whatever
//! depends on those (deadlines, random numbers, hash seeds) is passed in by the caller.

pub mod keyspace;
pub mod types;
pub mod value;

pub use keyspace::{
    Access, BoxedMut, Contents, Databases, DirectoryHint, Entry, Event, EventClass, Expiry, Held, Key,
    KeyHasher, KeyLog, Keys, KeyspaceCursor, LFU_INITIAL, OccupiedEntry, Reclaim, Record, Rules, ScanCursor,
    StringValue, Table, Touched, VacantEntry, ValueRef, WrongType, slot,
};
pub use types::string::LongString;
pub use value::{StringEncoding, TypeCode, Value};
