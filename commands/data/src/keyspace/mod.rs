//! The keyspace: where keys are found.
//!
//! A [`Table`] is one shard of one database. It is an extendible hash table:
//!
//! ```text
//! directory (by hash prefix)      segment: header line + N buckets of 8 slots      record: one allocation per key
//! [ptr|N] [ptr|N] [ptr|N] ...  ->  [depth len earliest epoch] [8 x tag|ptr] ...  ->  [header][expiry?][key][value]
//! ```
//!
//! Every step may be a cache miss, so each can be prefetched from the hash alone: [`DirectoryHint`] computes the address
//! of the bucket without the shard's lock, [`Table::prefetch_record`] that of the record. Segments are also the unit of
//! everything that walks: SCAN cursors, the earliest expiry, snapshot epochs.
//!
//! * `hash`: cluster slots and the seeded hash; which bits choose what.
//! * `record`: one key with its value, as small as it can be.
//! * `segment`: buckets and their probing; knows no directory.
//! * `directory`: hash prefix to segment, readable without the lock for prefetching.
//! * `table`: the public map; growth, expiry, accounting.
//! * `scan`: cursors that survive growth, splits and deletions.
//!
//! Above the table:
//!
//! * `key`: a key as a capability.
//! * `databases`: one shard's part of all databases.
//! * `keys`: the view a command gets; exact expiry.
//! * `log`: what a command did, for settling.

mod databases;
mod directory;
mod hash;
mod key;
mod keys;
mod log;
mod record;
mod scan;
mod segment;
mod table;
#[cfg(test)]
mod tests;

pub use databases::Databases;
pub use directory::DirectoryHint;
pub use hash::{KeyHasher, hash_tag, slot};
pub use key::Key;
pub use keys::{Access, Expiry, Held, Keys, KeyspaceCursor, LFU_INITIAL, Rules, StringValue, WrongType};
pub use log::{Event, EventClass, KeyLog, Touched};
pub use record::{INLINE_LEN_MAX, Record, ValueRef, size_class};
pub use scan::ScanCursor;
pub use table::{BoxedMut, Contents, Entry, OccupiedEntry, Table, VacantEntry};
