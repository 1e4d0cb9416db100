//! The base as commands: `aof-use-rdb-preamble no`.
//!
//! A snapshot is an RDB file. Whoever wants commands has that file read again, key by key, and written as what would make
//! these keys: the same commands that Redis writes, with at most [`ITEMS`] elements each. What no command of Redis says
//! exactly (pending entries that were deleted, deadlines of members of sets, ...) is restored from its payload.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::Path;

use tidegate_data::hex::of_hex;
use tidegate_data::rdb::{self as codec, Checksum, code};
use tidegate_data::types::stream::{Group, Stream, StreamId};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Encodings, Field, HashRef, ListRef, QuotaBook, Taken, View, ZsetRef};

use super::line::{self, Seal};
use crate::disk::{Disk, DiskFile};
use crate::journal::write_command;
use crate::rdb::{LoadError, Loader, Note};

/// Elements per command: as many as Redis writes.
const ITEMS: usize = 64;
/// Bytes that are gathered, and vouched for, at once.
const BATCH: usize = 1 << 20;
/// The file is synced so often while it grows, that the disk need not take it all at once.
const SYNC_EVERY: u64 = 4 << 20;

/// Why there is no base.
#[derive(Debug)]
pub enum BaseError {
    /// The snapshot cannot be read.
    Snapshot(LoadError),
    /// The commands cannot be written.
    Write(io::Error),
    /// Nobody wants it any more.
    Cancelled,
}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BaseError::Snapshot(error) => write!(f, "The snapshot cannot be read again: {error}"),
            BaseError::Write(error) => {
                write!(f, "Write error writing append only file on disk: {}", crate::disk::os_text(error))
            }
            BaseError::Cancelled => f.write_str("The rewrite was called off"),
        }
    }
}

impl std::error::Error for BaseError {}

impl From<io::Error> for BaseError {
    fn from(error: io::Error) -> Self {
        BaseError::Write(error)
    }
}

/// How it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    /// Databases of the server.
    pub(super) databases: usize,
    /// A date to begin with, Unix seconds.
    pub(super) dated_s: Option<i64>,
    /// Checksum lines are written, with this replication id.
    pub(super) sums: Option<&'a str>,
}

/// Writes the keys of the RDB file `snapshot` to `target` as commands, and syncs that. `goes_on` is asked before each key.
/// Besides buffers it takes the memory of the largest value. O(size).
pub(super) fn write(
    disk: &dyn Disk,
    snapshot: &Path,
    target: &Path,
    form: Form<'_>,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), BaseError> {
    let (file, size) = disk.open(snapshot).map_err(|error| BaseError::Snapshot(LoadError::Io(error)))?;
    let mut base = Base::create(disk, target, form)?;
    let libraries = RefCell::new(Vec::new());
    let natives = RefCell::new(Vec::new());
    let mut note = |note| match note {
        Note::Function(code) => libraries.borrow_mut().push(code),
        Note::Aux { name, value } if name.starts_with(b"native-") => {
            natives.borrow_mut().push((name, value));
        }
        _ => {}
    };
    let loader = Loader::new(file, size, form.databases, Encodings::default(), true, &mut note);
    let mut loader = loader.map_err(BaseError::Snapshot)?;
    let mut db = None;
    loop {
        let entry = loader.next_entry().map_err(BaseError::Snapshot)?;
        for code in libraries.take() {
            base.command(&[b"FUNCTION", b"LOAD", &code])?;
        }
        for (name, value) in natives.take() {
            base.native(&name, &value)?;
            // It may have been about another database.
            db = None;
        }
        let Some(entry) = entry else { return base.finish() };
        if !goes_on() {
            return Err(BaseError::Cancelled);
        }
        if db != Some(entry.db) {
            db = Some(entry.db);
            base.command(&[b"SELECT", entry.db.to_string().as_bytes()])?;
        }
        base.key(&Taken::from(&entry.record))?;
    }
}

/// A file of commands that is being written.
struct Base<'a> {
    file: Box<dyn DiskFile>,
    sums: Option<&'a str>,
    batch: Vec<u8>,
    /// Where the batch begins in the file.
    start: u64,
    /// Up to here the file is synced.
    synced: u64,
}

impl<'a> Base<'a> {
    fn create(disk: &dyn Disk, target: &Path, form: Form<'a>) -> Result<Self, BaseError> {
        let file = disk.create(target)?;
        let mut base = Base { file, sums: form.sums, batch: Vec::new(), start: 0, synced: 0 };
        base.begin_batch();
        if let Some(unix_s) = form.dated_s {
            line::write_timestamp(&mut base.batch, unix_s);
        }
        Ok(base)
    }

    fn begin_batch(&mut self) {
        if self.sums.is_some() {
            line::write_batch(&mut self.batch);
        }
    }

    fn end_batch(&mut self) -> Result<(), BaseError> {
        if let Some(replication_id) = self.sums {
            let (start, sum) = (self.start, Checksum::of(&self.batch));
            let end = start + self.batch.len() as u64;
            // The file counts only when all of it is synced, so what is wrong with it is never what did not reach the disk.
            let seal = Seal { start, end, sum, is_gap: false, lsn: 0, synced: end };
            seal.write(&mut self.batch, replication_id);
        }
        self.file.write_all(&self.batch)?;
        self.start += self.batch.len() as u64;
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH);
        if self.start - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.start;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), BaseError> {
        self.end_batch()?;
        Ok(self.file.sync()?)
    }

    fn command(&mut self, words: &[&[u8]]) -> Result<(), BaseError> {
        write_command(&mut self.batch, words.iter().copied());
        if self.batch.len() >= BATCH {
            self.end_batch()?;
            self.begin_batch();
        }
        Ok(())
    }

    /// What a file says of commands of our own that belongs to no key: how far their clocks had come, policies, what queues
    /// are bound to, and quotas.
    fn native(&mut self, name: &[u8], value: &[u8]) -> Result<(), BaseError> {
        if name == b"native-quotas" {
            return self.quotas(&String::from_utf8_lossy(value));
        }
        let lines = value.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            match name {
                b"native-clock" => self.command(&[&[&b"NATIVE.CLOCK"[..]], &words[..]].concat())?,
                b"native-policies" => {
                    self.command(&[&[&b"NATIVE.POLICY"[..], b"SET"], &words[..]].concat())?;
                }
                b"native-bindings" => self.binding(&words)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A queue that gets what is published: its database, `channel` or `pattern`, its key, and the name.
    fn binding(&mut self, words: &[&[u8]]) -> Result<(), BaseError> {
        let bytes = |digits: &[u8]| of_hex(std::str::from_utf8(digits).ok()?);
        // A line that is no binding was not written by us.
        let &[db, kind, key, name] = words else { return Ok(()) };
        let (Some(key), Some(name)) = (bytes(key), bytes(name)) else { return Ok(()) };
        let is_pattern: &[u8] = if kind == b"pattern" { b"1" } else { b"0" };
        self.command(&[b"SELECT", db])?;
        self.command(&[b"NATIVE.BIND", &key, &name, is_pattern, b"1"])
    }

    fn quotas(&mut self, text: &str) -> Result<(), BaseError> {
        for quota in QuotaBook::default().replace_by_text(text).all() {
            let (target, limit) = (quota.target.name(), quota.limit.to_string());
            self.command(&[b"QUOTA", b"SET", &target, limit.as_bytes(), quota.policy.word.as_bytes()])?;
        }
        Ok(())
    }

    /// A key with all that belongs to it.
    fn key(&mut self, taken: &Taken<'_>) -> Result<(), BaseError> {
        let key = taken.key;
        match View::of(taken.value) {
            _ if !is_plain(taken) => {
                self.restore(taken)?;
            }
            View::Int(value) => self.command(&[b"SET", key, value.to_string().as_bytes()])?,
            View::Bytes(bytes) => self.command(&[b"SET", key, bytes])?,
            View::List(list) => self.list(key, list)?,
            View::Set(set) => {
                let mut members = Many::new(b"SADD", key, 1);
                let mut scratch = [0; INT_LEN_MAX];
                for member in set.iter() {
                    members.push(self, member.bytes(&mut scratch))?;
                }
                members.finish(self)?;
            }
            View::Zset(zset) => self.zset(key, zset)?,
            View::Hash(hash) => self.hash(key, hash)?,
            View::Stream(stream) => self.stream(key, stream)?,
            View::Native(_) => self.restore(taken)?,
        }
        if let Some(expiry_ms) = taken.expiry_ms {
            self.command(&[b"PEXPIREAT", key, expiry_ms.to_string().as_bytes()])?;
        }
        Ok(())
    }

    /// A key by its payload.
    fn restore(&mut self, taken: &Taken<'_>) -> Result<(), BaseError> {
        let payload = codec::dump(taken.value, false);
        self.command(&[b"RESTORE", taken.key, b"0", &payload])
    }

    fn list(&mut self, key: &[u8], list: ListRef<'_>) -> Result<(), BaseError> {
        let mut items = Many::new(b"RPUSH", key, 1);
        let mut scratch = [0; INT_LEN_MAX];
        for item in list {
            items.push(self, item.bytes(&mut scratch))?;
        }
        items.finish(self)
    }

    fn zset(&mut self, key: &[u8], zset: ZsetRef<'_>) -> Result<(), BaseError> {
        let mut pairs = Many::new(b"ZADD", key, 2);
        let mut scratch = [0; INT_LEN_MAX];
        for (member, score) in zset {
            pairs.push(self, score_text(score).as_bytes())?;
            pairs.push(self, member.bytes(&mut scratch))?;
        }
        pairs.finish(self)
    }

    fn hash(&mut self, key: &[u8], hash: HashRef<'_>) -> Result<(), BaseError> {
        let mut pairs = Many::new(b"HMSET", key, 2);
        let mut scratch = [0; INT_LEN_MAX];
        for Field { name, value, .. } in hash.iter() {
            pairs.push(self, name.bytes(&mut scratch))?;
            pairs.push(self, value.bytes(&mut scratch))?;
        }
        pairs.finish(self)?;
        for Field { name, deadline_ms, .. } in hash.iter() {
            if let Some(deadline_ms) = deadline_ms {
                let deadline_ms = deadline_ms.to_string();
                let name = name.bytes(&mut scratch);
                self.command(&[b"HPEXPIREAT", key, deadline_ms.as_bytes(), b"FIELDS", b"1", name])?;
            }
        }
        Ok(())
    }

    fn stream(&mut self, key: &[u8], stream: &Stream) -> Result<(), BaseError> {
        let entries = stream.entries();
        let (mut one, mut other) = ([0; INT_LEN_MAX], [0; INT_LEN_MAX]);
        for entry in entries.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id.to_string();
            let mut words: Vec<Vec<u8>> = vec![b"XADD".to_vec(), key.to_vec(), id.into_bytes()];
            for (name, value) in entry.fields {
                words.push(name.bytes(&mut one).to_vec());
                words.push(value.bytes(&mut other).to_vec());
            }
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            self.command(&words)?;
        }
        let (last, added) = (entries.last_id().to_string(), entries.added().to_string());
        if entries.is_empty() {
            // There must be a stream, and an ID must not be 0-0.
            let id = if entries.last_id().is_zero() { "0-1" } else { &last };
            self.command(&[b"XADD", key, b"MAXLEN", b"0", id.as_bytes(), b"x", b"y"])?;
        }
        let deleted = entries.max_deleted_id().to_string();
        let [last, added, deleted] = [&last, &added, &deleted].map(String::as_bytes);
        self.command(&[b"XSETID", key, last, b"ENTRIESADDED", added, b"MAXDELETEDID", deleted])?;
        for (name, group) in stream.groups().iter() {
            self.group(key, name, group)?;
        }
        Ok(())
    }

    fn group(&mut self, key: &[u8], name: &[u8], group: &Group) -> Result<(), BaseError> {
        let last = group.last_id().to_string();
        let read = group.entries_read().map_or_else(|| "-1".to_owned(), |read| read.to_string());
        let (last, read) = (last.as_bytes(), read.as_bytes());
        self.command(&[b"XGROUP", b"CREATE", key, name, last, b"ENTRIESREAD", read])?;
        for (_, consumer) in group.consumers() {
            self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()])?;
            for id in consumer.pending(StreamId::MIN) {
                let Some(pending) = group.get_pending(id) else { continue };
                let [id, time, count] =
                    [id.to_string(), pending.delivered_ms().to_string(), pending.deliveries.to_string()];
                let [id, time, count] = [&id, &time, &count].map(String::as_bytes);
                self.command(&[
                    b"XCLAIM",
                    key,
                    name,
                    consumer.name(),
                    b"0",
                    id,
                    b"TIME",
                    time,
                    b"RETRYCOUNT",
                    count,
                    b"JUSTID",
                    b"FORCE",
                ])?;
            }
        }
        Ok(())
    }
}

/// Commands say it exactly.
fn is_plain(taken: &Taken<'_>) -> bool {
    if codec::encoding_of(taken.value) >= code::OWN_SET {
        return false;
    }
    let View::Stream(stream) = View::of(taken.value) else { return true };
    // What was deleted cannot be claimed.
    stream
        .groups()
        .iter()
        .all(|(_, group)| group.pending().all(|(id, _)| stream.entries().get(*id).is_some()))
}

/// The shortest text that reads back as the same double.
fn score_text(score: f64) -> String {
    /// Longer texts are shorter with an exponent.
    const PLAIN_LEN_MAX: usize = 24;
    let plain = score.to_string();
    if plain.len() <= PLAIN_LEN_MAX { plain } else { format!("{score:e}") }
}

/// Elements of one key, as several commands.
struct Many<'k> {
    name: &'static [u8],
    key: &'k [u8],
    /// Words per element.
    width: usize,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<'k> Many<'k> {
    fn new(name: &'static [u8], key: &'k [u8], width: usize) -> Self {
        Many { name, key, width, bytes: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, base: &mut Base<'_>, word: &[u8]) -> Result<(), BaseError> {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
        if self.ends.len() == ITEMS * self.width { self.put(base) } else { Ok(()) }
    }

    fn put(&mut self, base: &mut Base<'_>) -> Result<(), BaseError> {
        let mut words = vec![self.name, self.key];
        let mut start = 0;
        for &end in &self.ends {
            words.push(&self.bytes[start..end]);
            start = end;
        }
        let result = base.command(&words);
        self.bytes.clear();
        self.bytes.shrink_to(BATCH);
        self.ends.clear();
        result
    }

    fn finish(mut self, base: &mut Base<'_>) -> Result<(), BaseError> {
        if self.ends.is_empty() { Ok(()) } else { self.put(base) }
    }
}

#[cfg(test)]
mod tests;
