//! What Tidegate stores: values, the records that hold them, and the keyspace table that finds them.
//!
//! This crate knows no protocol and no command. Whatever depends on the world outside (deadlines, random numbers, hash
//! seeds) is passed in by the caller.
//!
//! # Where things are
//!
//! * [`hex`]: names as words of texts.
//! * [`value`]: one line per type: the enum [`Value`], type names, encodings as `OBJECT ENCODING` reports them.
//! * [`types`]: one file or folder per type: its structure, nothing else.
//! * [`keyspace`]: from a key to its value. Bottom up: records, segments, the directory, the [`Table`]; then a shard's
//!   [`Databases`], a [`Key`] as a capability, and [`Keys`], which is what a command sees; [`KeyLog`], what it did.
//!
//! # Invariants
//!
//! * Nothing here reads a clock, a random source, a file or a socket.
//! * A segment is changed only through the one accessor of [`Table`] that will take a snapshot's pre-image first; the
//!   segments as a whole move out only through [`Table::take`] and [`Table::swap`].
//! * A key whose deadline has passed is never seen through [`Keys`].
//! * A [`Key`] is made by the router only, from what a command declares.
//! * Records that leave the keyspace go to the log, to be freed when no shard is held.

pub mod hex;
pub mod keyspace;
pub mod rdb;
pub mod types;
pub mod value;

pub use keyspace::{
    AGED_EVERY_S, Access, BoxedMut, Contents, Databases, DirectoryHint, Due, Entry, Event, EventClass,
    EventClasses, Eviction, ExpiredMembers, Expiry, Held, Key, KeyHasher, KeyLog, Keys, KeyspaceCursor,
    LFU_INITIAL, Lease, Leases, Left, Loan, Moment, OccupiedEntry, Order, Original, Orphan, Place, Put,
    QUOTA_DEPTH_MAX, QUOTA_PREFIX_MAX, QUOTAS_MAX, Quota, QuotaBook, QuotaError, QuotaPolicy, Quotas,
    Reclaim, Record, Rules, ScanCursor, Step, StringValue, Table, Taken, Taker, Tally, Target, Threshold,
    Touch, Touched, Trace, VacantEntry, ValueRef, View, Write, slot,
};
pub use types::{
    collection::Collection,
    encodings::Encodings,
    hash::{Field, Hash, HashLimits, HashRef},
    list::{List, ListRef, NodeLimit},
    members::{Members, NEVER_MS},
    native::{Native, NativeRef},
    packed::{Item, PACKED_LEN_MAX, Packed, PackedRef},
    string::LongString,
    zset::{Zset, ZsetRef},
};
pub use value::{Boxed, StringEncoding, TypeCode, Value, WrongType};
