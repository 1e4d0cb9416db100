//! What happened to the keyspace while a handler ran: the raw material of settling.

use super::record::Record;
use super::table::Members;
use super::trace::Trace;
use crate::value::TypeCode;

/// Removed records are freed at the next chance when they occupy more than this, in bytes.
const GARBAGE_MAX: usize = 1 << 20;
/// A record of this size or less is freed as fast as it could be put aside, in bytes.
const LAZY_MIN: usize = 4096;
/// Room for this many entries is kept in every list of the log.
const ENTRIES_KEPT: usize = 4096;

/// The class of a keyspace event, one bit each, as `notify-keyspace-events` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventClass {
    /// `g`: commands of no particular type.
    Generic,
    /// `$`
    String,
    /// `l`
    List,
    /// `s`
    Set,
    /// `h`
    Hash,
    /// `z`
    Zset,
    /// `x`
    Expired,
    /// `e`
    Evicted,
    /// `t`
    Stream,
    /// `m`
    KeyMiss,
    /// `n`
    New,
    /// `d`: module types, Tidegate's own types among them.
    Module,
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventClasses(u16);

impl EventClasses {
    /// All of them.
    pub const ALL: Self = EventClasses(u16::MAX);

    /// With one more class.
    #[must_use]
    pub const fn with(self, class: EventClass) -> Self {
        EventClasses(self.0 | 1 << class as u16)
    }

    /// True when the class is one of them.
    #[inline]
    pub const fn has(self, class: EventClass) -> bool {
        self.0 & 1 << class as u16 != 0
    }
}

/// A keyspace event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its class.
    pub class: EventClass,
    /// Its name: `set`, `expire`, ...
    pub name: &'static str,
    /// The database.
    pub db: u16,
    /// The key.
    pub key: Box<[u8]>,
    /// The fields or members it is about, in the order of the request; empty where it is about none, or nobody wants to
    /// know.
    pub subkeys: Members,
}

/// When the memory of an emptied database is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Off the path of requests: `FLUSHALL ASYNC`.
    Later,
    /// Before the client gets its reply: `FLUSHALL SYNC`.
    BeforeReply,
}

/// A key whose value changed, appeared or went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The database.
    pub db: u16,
    /// The shard that holds it.
    pub shard: u16,
    /// The key.
    pub key: Box<[u8]>,
}

/// Members of a value that were removed because their time had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredMembers {
    /// The key.
    pub key: Touched,
    /// Its type, which tells the command that removes members.
    pub code: TypeCode,
    /// Their names.
    pub members: Members,
}

impl ExpiredMembers {
    /// The event that tells of it, and its class.
    pub fn event(&self) -> (EventClass, &'static str) {
        Self::event_of(self.code)
    }

    pub(super) fn event_of(code: TypeCode) -> (EventClass, &'static str) {
        match code {
            TypeCode::Set => (EventClass::Set, "sexpired"),
            TypeCode::Zset => (EventClass::Zset, "zexpired"),
            _ => (EventClass::Hash, "hexpired"),
        }
    }

    /// The command that removes them: its effect in journal and replication.
    pub fn effect(&self) -> Vec<&[u8]> {
        let name: &[u8] = match self.code {
            TypeCode::Set => b"SREM",
            TypeCode::Zset => b"ZREM",
            _ => b"HDEL",
        };
        [name, &self.key.key].into_iter().chain(self.members.iter().map(|member| &**member)).collect()
    }
}

impl std::fmt::Debug for super::table::Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contents({} keys)", self.len())
    }
}

impl std::fmt::Debug for super::directory::DirectoryHint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryHint").finish_non_exhaustive()
    }
}

/// The log of one execution unit. Kept by the executing thread and reused, so that the common case allocates
/// nothing.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is wanted of it and what it tells are asked one by one"
)]
pub struct KeyLog {
    /// Somebody watches, tracks or replicates by key: fill `touched`.
    pub record_touched: bool,
    /// Keyspace events of these classes are wanted: fill `events`.
    pub record_events: EventClasses,
    /// Events tell which fields and members they are about: fill their `subkeys`.
    pub record_subkeys: bool,
    /// Number of changes made, whether recorded one by one or not.
    pub changes: u64,
    /// Lookups that found a key.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Keys that were deleted because their time had come, in order: journaled as `DEL` before the unit itself.
    pub expired: Vec<Touched>,
    /// Members that were removed because their time had come, in order: journaled as `HDEL`, `SREM`, `ZREM` before
    /// the unit itself.
    pub expired_members: Vec<ExpiredMembers>,
    /// Keys that changed, in order, possibly more than once.
    pub touched: Vec<Touched>,
    /// Keys whose state the journal hears of later: see `native-soft-flush-ms`.
    pub soft: Vec<Touched>,
    /// Keys that changed in a way of which only those hear who wait for them.
    pub noted: Vec<Touched>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Removed records, to be freed after the shards are released: see [`KeyLog::discard`].
    pub garbage: Vec<Record>,
    /// What `garbage` occupies, in bytes.
    pub garbage_size: usize,
    /// Whole tables that were emptied, to be freed after the shards are released, off the hot path.
    pub emptied: Vec<super::table::Contents>,
    /// A buffer lent to writes of small collections.
    pub packed: Vec<u8>,
    /// Keys in `garbage` and `emptied` that the user wants freed off the path of requests, and is told about: see
    /// [`KeyLog::discard_lazily`].
    pub lazy: usize,
    /// `emptied` is to be freed before the client gets its reply.
    pub is_awaited: bool,
    /// Databases that were emptied or swapped as a whole: every key watched in them is touched.
    pub whole_databases: Vec<u16>,
    /// The data set on disk is to become what it is now, where there are save points: `FLUSHALL`.
    pub save_wanted: bool,
    /// Which keys were touched: filled in debug builds only.
    pub trace: Trace,
}

impl KeyLog {
    /// Counts as so many changes what was done since there were `before`: some commands are one change to Redis however
    /// many keys they touch, others as many as there are elements in their reply.
    pub fn recount(&mut self, before: u64, changes: u64) {
        self.changes = before + changes;
    }

    /// True when nothing was recorded but numbers: nobody has to hear of anything.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        let recorded = self.expired.len()
            | self.expired_members.len()
            | self.touched.len()
            | self.noted.len()
            | self.soft.len()
            | self.events.len()
            | self.whole_databases.len();
        recorded == 0
    }

    /// Forgets what was settled. The garbage stays until [`KeyLog::free`].
    #[inline]
    pub fn clear(&mut self) {
        self.changes = 0;
        self.hits = 0;
        self.misses = 0;
        if !self.is_quiet() {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        empty(&mut self.expired);
        empty(&mut self.expired_members);
        empty(&mut self.touched);
        empty(&mut self.noted);
        empty(&mut self.soft);
        empty(&mut self.events);
        self.whole_databases.clear();
    }

    /// Remembers a keyspace event if somebody wants it.
    #[inline]
    pub fn event(&mut self, class: EventClass, name: &'static str, db: u16, key: &[u8]) {
        if self.record_events.has(class) {
            self.events.push(Event { class, name, db, key: key.into(), subkeys: Members::new() });
        }
    }

    /// The same for an event that is about fields or members of a key. O(their number) if that is wanted.
    #[inline]
    pub fn event_of<S: AsRef<[u8]>>(
        &mut self,
        class: EventClass,
        name: &'static str,
        db: u16,
        key: &[u8],
        subkeys: impl IntoIterator<Item = S>,
    ) {
        self.event(class, name, db, key);
        if self.record_subkeys
            && self.record_events.has(class)
            && let Some(event) = self.events.last_mut()
        {
            event.subkeys = subkeys.into_iter().map(|subkey| subkey.as_ref().into()).collect();
        }
    }

    /// Keeps a removed record until it may be freed.
    #[inline]
    pub fn discard(&mut self, record: Record) {
        self.garbage_size += record.heap_size();
        self.garbage.push(record);
    }

    /// True when what was removed should be freed before more commands run: one request can have a value of 512 MB
    /// made and removed again many times over.
    #[inline]
    pub fn is_heavy(&self) -> bool {
        self.garbage_size > GARBAGE_MAX || !self.emptied.is_empty()
    }

    /// The same for a record that the user wants freed off the path of requests: `UNLINK`. What is freed at once anyway
    /// does not count as such, as in Redis.
    pub fn discard_lazily(&mut self, record: Record) {
        self.lazy += usize::from(record.heap_size() > LAZY_MIN);
        self.discard(record);
    }

    /// True when there is something to free.
    #[inline]
    pub fn has_garbage(&self) -> bool {
        !(self.garbage.is_empty() & self.emptied.is_empty())
    }

    /// Frees what was removed and is still here. Call it with no shard held.
    #[inline]
    pub fn free(&mut self) {
        if !self.garbage.is_empty() {
            empty(&mut self.garbage);
        }
        self.emptied.clear();
        self.garbage_size = 0;
        self.lazy = 0;
        self.is_awaited = false;
    }
}

/// Empties a list, and gives its memory back when it once was a long one.
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(ENTRIES_KEPT);
}
