//! The view of the keyspace a command gets: the shards that are held for it, one selected database, and a log of
//! what it does.
//!
//! Expiry is exact here: a key whose deadline has passed is never seen, and (where this server may decide so) is
//! deleted at the first touch, before the command looks at it.

use super::access::Access;
use super::databases::Databases;
use super::key::Key;
use super::log::{EventClass, KeyLog, Touched};
use super::record::{Record, ValueRef};
use super::table::{Entry, Place, Table};
use crate::types::string::{INT_LEN_MAX, encoding_of, parse_int};
use crate::value::{StringEncoding, TypeCode, Value, WrongType};

mod collections;
mod natives;
mod strings;
mod whole;

use collections::Filtered;
pub use collections::Write;
pub use natives::Put;
pub use whole::KeyspaceCursor;

/// The shards' data that is held, by shard number in ascending order.
#[derive(Debug)]
pub enum Held<'a> {
    /// Nothing: a command without keys.
    None,
    /// One shard.
    One(u16, &'a mut Databases),
    /// Several, ascending.
    Many(Vec<(u16, &'a mut Databases)>),
}

impl Held<'_> {
    #[inline]
    fn get(&mut self, shard: u16) -> &mut Databases {
        match self {
            Held::One(held, databases) => {
                debug_assert_eq!(*held, shard, "a command touches only the shards held for it");
                databases
            }
            Held::Many(all) => {
                let at = all
                    .binary_search_by_key(&shard, |(held, _)| *held)
                    .expect("a command touches only the shards held for it");
                all[at].1
            }
            Held::None => unreachable!("a command without keys has no key to look up"),
        }
    }

    fn peek(&self, shard: u16) -> &Databases {
        match self {
            Held::One(held, databases) => {
                debug_assert_eq!(*held, shard, "a command touches only the shards held for it");
                databases
            }
            Held::Many(all) => {
                let at = all
                    .binary_search_by_key(&shard, |(held, _)| *held)
                    .expect("a command touches only the shards held for it");
                all[at].1
            }
            Held::None => unreachable!("a command without keys has no key to look up"),
        }
    }
}

/// What a lookup leaves behind besides the access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// Nothing: the command is about to write.
    Unnoticed,
    /// A hit or a miss in the statistics.
    Counted,
    /// The same, and an event for a miss.
    Announced,
}

/// What fixes the behaviour of lookups for one execution unit.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Unix time in milliseconds; it stands still during the unit.
    pub now_ms: i64,
    /// How accesses are remembered.
    pub access: Access,
    /// Expired keys are deleted at the first touch. Off where a primary or a pause decides; they stay invisible.
    pub delete_expired: bool,
}

/// A new string value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringValue<'v> {
    /// Stored as an integer.
    Int(i64),
    /// Stored as bytes, with the encoding `OBJECT ENCODING` reports.
    Bytes(&'v [u8], StringEncoding),
}

impl<'v> StringValue<'v> {
    /// The value as `SET` stores it: as an integer where the bytes are exactly how one prints, else as bytes,
    /// `embstr` up to 44 of them.
    pub fn of(bytes: &'v [u8]) -> Self {
        match parse_int(bytes) {
            Some(n) => StringValue::Int(n),
            None => StringValue::Bytes(bytes, encoding_of(bytes)),
        }
    }
}

/// What happens to the deadline when a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The key lives forever.
    Clear,
    /// The old deadline stays, if there is one.
    Keep,
    /// The key ends at this Unix time in milliseconds.
    At(i64),
}

/// The view of the keyspace a command gets.
#[derive(Debug)]
pub struct Keys<'a> {
    held: Held<'a>,
    db: usize,
    rules: Rules,
    log: &'a mut KeyLog,
    /// Values without their due members, where somebody else decides when those are removed.
    filtered: Vec<Filtered>,
}

impl<'a> Keys<'a> {
    /// A view of database `db` of the held shards.
    pub fn new(held: Held<'a>, db: usize, rules: Rules, log: &'a mut KeyLog) -> Self {
        Keys { held, db, rules, log, filtered: Vec::new() }
    }

    /// Drops the view. Nearly always there is nothing to free, which is seen here without a call.
    #[inline]
    pub fn finish(self) {
        if self.filtered.capacity() == 0 && !matches!(self.held, Held::Many(_)) {
            std::mem::forget(self);
        }
    }

    /// The selected database.
    pub fn db(&self) -> usize {
        self.db
    }

    /// Works on database `db` from here on. It must exist.
    pub fn select(&mut self, db: usize) {
        self.db = db;
    }

    /// The rules of this unit.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The log of this unit.
    pub fn log(&mut self) -> &mut KeyLog {
        self.log
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn table(&mut self, key: Key) -> &mut Table {
        self.log.trace.key(self.db, key, false);
        self.held.get(key.shard()).table_mut(self.db)
    }

    /// Where the key stands, after what is due was deleted, the key or members of its value. Looked for once, unless
    /// something was. A key whose deletion is not for us to decide stands where it did, and `false` says so.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn found(&mut self, key: Key) -> (Option<Place>, bool) {
        let now_ms = self.rules.now_ms;
        let table = self.table(key);
        let place = table.place(key.hash(), key.bytes());
        let is_due = table.deadlines_len() > 0
            && place.is_some_and(|place| {
                table.record_at(place).deadline_ms().is_some_and(|deadline| now_ms > deadline)
            });
        if is_due { self.found_due(key) } else { (place, true) }
    }

    #[cold]
    fn found_due(&mut self, key: Key) -> (Option<Place>, bool) {
        let is_alive = self.alive_now(key);
        (self.table(key).place(key.hash(), key.bytes()), is_alive)
    }

    /// The entry of the key, after what is due was deleted.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn entry(&mut self, key: Key) -> Entry<'_> {
        let (place, _) = self.found(key);
        self.table(key).entry_at(key.hash(), place)
    }

    /// Deletes what is due, the key or members of its value; true when the key may be seen (if it exists at all).
    #[inline]
    fn alive(&mut self, key: Key) -> bool {
        self.table(key).deadlines_len() == 0 || self.alive_now(key)
    }

    fn alive_now(&mut self, key: Key) -> bool {
        let now_ms = self.rules.now_ms;
        let Some(record) = self.table(key).get(key.hash(), key.bytes()) else { return true };
        if record.expiry_ms().is_some_and(|deadline| now_ms > deadline) {
            if self.rules.delete_expired {
                self.delete_expired(key);
            }
            return false;
        }
        match record.members_deadline_ms() {
            Some(deadline) if now_ms > deadline => self.remove_due_members(key),
            _ => true,
        }
    }

    #[cold]
    fn delete_expired(&mut self, key: Key) {
        if let Some(record) = self.take_record(key) {
            if record.type_code() == TypeCode::Lock {
                self.event(EventClass::Module, "lock.expired", key);
            }
            self.log.discard(record);
            let expired = self.touched(key);
            self.log.expired.push(expired);
            self.event(EventClass::Expired, "expired", key);
        }
    }

    fn take_record(&mut self, key: Key) -> Option<Record> {
        match self.table(key).entry(key.hash(), key.bytes()) {
            Entry::Occupied(entry) => Some(entry.remove()),
            Entry::Vacant(_) => None,
        }
    }

    fn touched(&self, key: Key) -> Touched {
        Touched { db: self.db as u16, shard: key.shard(), key: key.bytes().into() }
    }

    /// Notes that the value of `key` changed. The writing methods do it themselves.
    #[inline]
    fn touch(&mut self, key: Key) {
        self.log.trace.key(self.db, key, true);
        self.log.changes += 1;
        if self.log.record_touched {
            let touched = self.touched(key);
            self.log.touched.push(touched);
        }
    }

    fn wake(&mut self, key: Key) {
        if self.log.record_touched {
            let noted = self.touched(key);
            self.log.noted.push(noted);
        }
    }

    /// Announces a keyspace event.
    #[inline]
    pub fn event(&mut self, class: EventClass, name: &'static str, key: Key) {
        self.log.event(class, name, self.db as u16, key.bytes());
    }

    // ---- looking -------------------------------------------------------------------------------------------

    /// The record of `key` for a command that reads its value: counted as hit or miss, remembered as an access.
    #[inline]
    pub fn read(&mut self, key: Key) -> Option<&Record> {
        let access = self.rules.access;
        self.lookup(key, access, Notice::Announced)
    }

    /// The record of `key` for a command that asks about it from outside (`TTL`, `TYPE`): counted, but no access.
    pub fn inspect(&mut self, key: Key) -> Option<&Record> {
        self.lookup(key, Access::NONE, Notice::Announced)
    }

    /// The record of `key` for a command that is about to write it: an access, but neither hit nor miss.
    #[inline]
    pub fn for_write(&mut self, key: Key) -> Option<&Record> {
        let access = self.rules.access;
        self.lookup(key, access, Notice::Unnoticed)
    }

    /// As [`Keys::inspect`], but a miss is not announced as an event: `OBJECT`.
    pub fn inspect_silently(&mut self, key: Key) -> Option<&Record> {
        self.lookup(key, Access::NONE, Notice::Counted)
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn lookup(&mut self, key: Key, access: Access, notice: Notice) -> Option<&Record> {
        let record = if self.table(key).deadlines_len() == 0 {
            self.held.get(key.shard()).table(self.db).get(key.hash(), key.bytes())
        } else {
            let (place, is_alive) = self.found(key);
            let table = self.held.get(key.shard()).table(self.db);
            place.filter(|_| is_alive).map(|place| table.record_at(place))
        };
        if let Some(record) = record {
            let old = record.access();
            let word = if notice == Notice::Unnoticed { access.next(old) } else { access.seen(old) };
            if word != old {
                record.set_access(word);
            }
        }
        if notice != Notice::Unnoticed {
            if record.is_some() {
                self.log.hits += 1;
            } else {
                self.log.misses += 1;
            }
        }
        if record.is_none() && notice == Notice::Announced {
            self.log.event(EventClass::KeyMiss, "keymiss", self.db as u16, key.bytes());
        }
        record
    }

    /// The string at `key` for reading; `None` when there is no key.
    #[inline]
    pub fn read_string(&mut self, key: Key) -> Result<Option<ValueRef<'_>>, WrongType> {
        string_of(self.read(key))
    }

    /// The string at `key` for a command that is about to write it.
    #[inline]
    pub fn string_for_write(&mut self, key: Key) -> Result<Option<ValueRef<'_>>, WrongType> {
        string_of(self.for_write(key))
    }

    /// The record of `key` unless its time has come. Neither counted nor an access.
    pub fn peek(&mut self, key: Key) -> Option<&Record> {
        self.lookup(key, Access::NONE, Notice::Unnoticed)
    }

    /// True when the key exists and its time has not come. Neither counted nor an access.
    pub fn exists(&mut self, key: Key) -> bool {
        self.peek(key).is_some()
    }

    // ---- writing -------------------------------------------------------------------------------------------

    /// Stores a string at `key`, whatever was there before. Returns true when the key is new.
    #[inline]
    pub fn set_string(&mut self, key: Key, value: StringValue, expiry: Expiry) -> bool {
        let (place, _) = self.found(key);
        self.touch(key);
        let access = self.rules.access;
        match self.table(key).entry_at(key.hash(), place) {
            Entry::Occupied(mut entry) => {
                if let (StringValue::Bytes(bytes, encoding), Expiry::Clear) = (value, expiry)
                    && entry.overwrite_bytes(bytes, encoding, access)
                {
                    return false;
                }
                let old = entry.record();
                let word = access.next(old.access());
                let expiry = match expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => old.expiry_ms(),
                    Expiry::At(deadline) => Some(deadline),
                };
                if old.is_slow_to_free() {
                    // What is freed under the hold, everybody waits for.
                    let record = string_record(key, value, expiry);
                    record.set_access(word);
                    let old = entry.replace(record);
                    self.log.discard(old);
                    return false;
                }
                match value {
                    StringValue::Int(n) => entry.set_int(n, expiry),
                    StringValue::Bytes(bytes, encoding) => entry.set_string_bytes(bytes, encoding, expiry),
                }
                entry.record().set_access(word);
                false
            }
            Entry::Vacant(entry) => {
                let expiry = if let Expiry::At(deadline) = expiry { Some(deadline) } else { None };
                let record = string_record(key, value, expiry);
                record.set_access(access.initial());
                entry.insert(record);
                self.event(EventClass::New, "new", key);
                true
            }
        }
    }

    /// Replaces the string at `key` by an integer that depends on it (`None`: there is no key), in one look-up. The
    /// deadline stays. When `change` refuses, nothing happened.
    #[inline]
    pub fn update_int<E: From<WrongType>>(
        &mut self,
        key: Key,
        change: impl FnOnce(Option<ValueRef>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        let access = self.rules.access;
        let (value, is_new) = match self.entry(key) {
            Entry::Occupied(mut entry) => {
                let record = entry.record();
                let (word, deadline) = (access.next(record.access()), record.expiry_ms());
                // Looking for a number is an access, even where there is none.
                record.set_access(word);
                let value = change(string_of(Some(record))?)?;
                entry.set_int(value, deadline);
                entry.record().set_access(word);
                (value, false)
            }
            Entry::Vacant(entry) => {
                let value = change(None)?;
                let record = Record::new_int(key.bytes(), value, None);
                record.set_access(access.initial());
                entry.insert(record);
                (value, true)
            }
        };
        self.touch(key);
        if is_new {
            self.event(EventClass::New, "new", key);
        }
        Ok(value)
    }

    /// Appends to the string at `key`, creating it when missing; returns its new length in bytes. The encoding is
    /// `raw` afterwards (that of a plain new string when it was missing). Amortised O(1) per byte appended.
    pub fn append_string(&mut self, key: Key, tail: &[u8]) -> Result<usize, WrongType> {
        if self.string_for_write(key)?.is_none() {
            let value = StringValue::of(tail);
            self.set_string(key, value, Expiry::Clear);
            return Ok(tail.len());
        }
        self.touch(key);
        let Entry::Occupied(mut entry) = self.table(key).entry(key.hash(), key.bytes()) else {
            unreachable!("the string was there a moment ago, under the same hold");
        };
        entry.update(|record| record.append_bytes(tail));
        Ok(entry.bytes_mut().map_or(0, |bytes| bytes.len()))
    }

    /// Changes the bytes of the string at `key` in place, made at least `min_len` long with zero bytes and created
    /// when missing: `SETRANGE`, `SETBIT`. An integer becomes its digits first; the encoding is `raw` afterwards.
    pub fn edit_string<R>(
        &mut self,
        key: Key,
        min_len: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, WrongType> {
        let is_new = self.string_for_write(key)?.is_none();
        self.touch(key);
        if is_new {
            self.event(EventClass::New, "new", key);
        }
        let access = self.rules.access;
        let mut entry = match self.table(key).entry(key.hash(), key.bytes()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => {
                let record = Record::new_bytes(key.bytes(), b"", StringEncoding::Raw, None);
                record.set_access(access.initial());
                entry.insert(record)
            }
        };
        let len = entry.record().value().string(&mut [0; INT_LEN_MAX]).map_or(0, <[u8]>::len);
        entry.update(|record| record.resize_bytes(len.max(min_len)));
        entry.bytes_mut().map(edit).ok_or(WrongType)
    }

    /// Deletes the key; false when there was none (or only an expired one).
    #[inline]
    pub fn remove(&mut self, key: Key) -> bool {
        match self.take(key) {
            Some(record) => {
                self.log.discard(record);
                true
            }
            None => false,
        }
    }

    /// The same for a key that the user wants freed off the path of requests: `UNLINK`.
    pub fn remove_lazily(&mut self, key: Key) -> bool {
        match self.take(key) {
            Some(record) => {
                self.log.discard_lazily(record);
                true
            }
            None => false,
        }
    }

    /// Takes the record out of the keyspace: the first half of `RENAME` and `MOVE`.
    pub fn take(&mut self, key: Key) -> Option<Record> {
        if !self.alive(key) {
            return None;
        }
        let record = self.take_record(key)?;
        self.touch(key);
        Some(record)
    }

    /// Puts a record at `key`, whatever was there before; the record must have been made for this key's name
    /// (see [`Record::with_key`]).
    pub fn put(&mut self, key: Key, record: Record) {
        debug_assert_eq!(record.key(), key.bytes(), "a record carries its key's name");
        let (place, _) = self.found(key);
        self.touch(key);
        let table = self.held.get(key.shard()).table_mut(self.db);
        match table.entry_at(key.hash(), place) {
            Entry::Occupied(mut entry) => {
                let old = entry.replace(record);
                self.log.discard(old);
            }
            Entry::Vacant(entry) => {
                entry.insert(record);
                self.event(EventClass::New, "new", key);
            }
        }
    }

    /// Sets or clears the deadline (Unix milliseconds). False when there is no such key.
    pub fn set_expiry(&mut self, key: Key, deadline: Option<i64>) -> bool {
        let (place, is_alive) = self.found(key);
        if !is_alive {
            return false;
        }
        let changed = match self.table(key).entry_at(key.hash(), place) {
            Entry::Occupied(mut entry) => {
                entry.set_expiry(deadline);
                true
            }
            Entry::Vacant(_) => false,
        };
        if changed {
            self.touch(key);
        }
        changed
    }
}

fn string_record(key: Key, value: StringValue, expiry_ms: Option<i64>) -> Record {
    match value {
        StringValue::Int(n) => Record::new_int(key.bytes(), n, expiry_ms),
        StringValue::Bytes(bytes, encoding) => Record::new_bytes(key.bytes(), bytes, encoding, expiry_ms),
    }
}

#[inline]
fn string_of(record: Option<&Record>) -> Result<Option<ValueRef<'_>>, WrongType> {
    match record {
        None => Ok(None),
        Some(record) => match record.value() {
            value @ (ValueRef::Int(_) | ValueRef::Bytes { .. } | ValueRef::Boxed(Value::String(_))) => {
                Ok(Some(value))
            }
            ValueRef::Packed { .. } | ValueRef::Boxed(_) => Err(WrongType),
        },
    }
}

#[cfg(test)]
mod tests;
