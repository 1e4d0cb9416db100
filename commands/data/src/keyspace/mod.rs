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
//! # Which bits choose what
//!
//! The cluster slot ([`slot`]) chooses the shard. In its table, the seeded hash ([`KeyHasher`]) chooses everything: bits
//! 63..40, which are not quite evenly spread, index the directory, of which a segment of local depth d uses the first d;
//! bits 39..24 are the tag. The tag rides in the upper 16 bits of the record's pointer, so buckets are 8 full slots of one cache line, and a slot alone
//! tells its home bucket, `tag * N / 65536`. That has three consequences: a segment grows without touching a record, a
//! removal moves displaced records back instead of leaving tombstones, and buckets are roughly in the order SCAN needs.
//!
//! # Sizes
//!
//! A segment has 1 to 15 buckets in steps that fill the allocator's size classes, grows when 7/8 full, and is split when
//! 15 buckets are: 105 keys, so that a scan step, a snapshot's pre-image or a split costs microseconds. Measured with
//! `table_memory` on keys of 16 bytes: 11.3 bytes of directory and segments per key, 59.4 / 107.4 / 331.4 bytes in all
//! for values of 16 / 64 / 256 bytes, and 60 / 108 / 335 bytes of resident memory.
//!
//! Hashes that collide although the seed is secret make segments longer than that, and slow, but never larger than
//! their keys: a directory doubles only if there are 8 keys for each of its entries.
//!
//! # Files
//!
//! * `hash`: cluster slots and the seeded hash; which bits choose what.
//! * `record`: one key with its value, as small as it can be.
//! * `segment`: buckets and their probing; knows no directory.
//! * `name`: the key in a record, for indexes over records.
//! * `directory`: hash prefix to segment, readable without the lock for prefetching.
//! * `table`: the public map; growth, expiry, accounting. `table::taking`: snapshots; `table::meter`: what
//!   is counted for quotas.
//! * `scan`: cursors that survive growth, splits and deletions.
//!
//! Above the table:
//!
//! * `access`: what a record remembers of its use.
//! * `key`: a key as a capability.
//! * `databases`: one shard's part of all databases.
//! * `keys`: the view a command gets; exact expiry.
//! * `log`: what a command did, for settling.
//! * `quota`: how many bytes the keys of a database or of a prefix may take.
//! * `trace`: which keys it touched, in debug builds.

mod access;
mod databases;
mod directory;
mod hash;
mod key;
mod keys;
mod leases;
mod log;
mod name;
mod quota;
mod record;
mod scan;
mod segment;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod view;

pub use access::{AGED_EVERY_S, Access, LFU_INITIAL, Moment};
pub use databases::Databases;
pub use directory::DirectoryHint;
pub use hash::{KeyHasher, hash_tag, slot};
pub use key::Key;
pub use keys::{Expiry, Held, Keys, KeyspaceCursor, Put, Rules, StringValue, Write};
pub use leases::{Lease, Leases};
pub use log::{Event, EventClass, EventClasses, ExpiredMembers, KeyLog, Reclaim, Touched};
pub(crate) use name::RecordName;
pub use quota::{
    QUOTA_DEPTH_MAX, QUOTA_PREFIX_MAX, QUOTAS_MAX, Quota, QuotaBook, QuotaError, QuotaPolicy, Quotas, Tally,
    Target,
};
pub(crate) use record::shrink_to_class;
pub use record::{INLINE_LEN_MAX, INLINE_PACKED_MAX, Record, ValueRef, size_class};
pub use scan::ScanCursor;
pub(crate) use segment::prefetch;
pub use table::{
    BoxedMut, Contents, Due, Entry, Eviction, Left, Loan, Members, OccupiedEntry, Order, Original, Orphan,
    Place, Step, Table, Taken, Taker, Threshold, VacantEntry,
};
pub use trace::{Touch, Trace};
pub use view::View;
