//! Snapshots of the whole keyspace at one moment, taken without a fork while the users go on.
//!
//! [`begin`] is called with all shards held: that is the cut. Each table gets a taker, and from then on whoever wants to
//! change a segment that was not taken yet takes it first (see `tidegate_data::Table::snapshot_step`). One thread walks all
//! tables, some ten microseconds of a shard at a time; another compresses, sums up and writes. The file is finished beside
//! the old one, and put in its place if there are exactly as many keys in it as there were at the cut.
//!
//! There is one snapshot at a time. What is done with a finished one is the business of whoever asked: see [`save`].

mod queue;
pub mod save;
mod walk;

use crate::clock;
use crate::shard::Hold;
use crate::shared::Shared;
use queue::Queue;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;
use tidegate_data::{Access, Left, Orphan, Taken, Taker};
use tidegate_persistence::disk::directory_of;
use tidegate_persistence::rdb::{ChunkWriter, Header, SaveError, put_in_place};

/// A taker hands over what it has when it is so many bytes.
const CHUNK: usize = 16 * 1024;

/// Changes wait while so many bytes do, which is more than what stops the walk: so much a snapshot may take.
const OVERFULL: usize = 60 << 20;

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The RDB file.
    Save,
    /// The base of an AOF.
    Rewrite,
}

/// Why there is no snapshot.
#[derive(Debug)]
pub enum Failure {
    /// The disk said no.
    Disk(SaveError),
    /// Not all keys of the cut came together: how many there were, and how many came.
    Incomplete(u64, u64),
    /// It was called off.
    Cancelled,
    /// It was made to fail.
    Killed,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Disk(error) => error.fmt(f),
            Failure::Incomplete(expected, taken) => {
                write!(f, "The snapshot is thrown away: it has {taken} keys, and there were {expected}")
            }
            Failure::Cancelled => f.write_str("The snapshot was called off"),
            Failure::Killed => f.write_str("The snapshot was made to fail"),
        }
    }
}

impl std::error::Error for Failure {}

/// Why a snapshot cannot begin.
#[derive(Debug)]
pub enum Refusal {
    /// Another one is under way.
    Busy(Kind),
    /// There is no thread for it.
    Thread(io::Error),
}

/// Hears how a snapshot ended: the size of the file in bytes, which has its name and survives a power failure. Called by a
/// thread that holds nothing. No other snapshot begins before it returns.
pub type Done = Box<dyn FnOnce(&Arc<Shared>, Result<u64, Failure>) + Send>;

/// A snapshot to be taken.
pub struct Request {
    /// What it is for.
    pub kind: Kind,
    /// The file.
    pub target: PathBuf,
    /// What stands before the keys.
    pub header: Header,
    /// What to do then.
    pub done: Done,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("kind", &self.kind)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The snapshots of this process.
#[derive(Debug, Default)]
pub struct Snapshots {
    epoch: AtomicU64,
    present: Mutex<Option<Arc<Run>>>,
    /// Held while a file takes its place, which lasts as long as the old one takes to be freed. Never taken while
    /// `present` is held.
    placing: Mutex<()>,
    /// The present one ended.
    ended: Condvar,
    /// There is a present one. Read by every turn of every thread.
    active: AtomicBool,
    /// Bytes of keys that wait to be written.
    waiting: Arc<AtomicUsize>,
}

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Keys that were taken.
    pub keys: u64,
    /// Keys at the cut.
    pub keys_total: u64,
    /// Bytes of keys that were taken because somebody changed them, or what they were next to.
    pub copied: usize,
    /// Bytes of keys that waited to be written, at most.
    pub waiting_max: usize,
    /// How long it has taken so far.
    pub elapsed_ms: i64,
}

impl Snapshots {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Run>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were begun since the start of the process.
    pub fn begun(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// True while a snapshot is under way, or being called off.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Bytes of keys that wait to be written.
    pub fn waiting(&self) -> usize {
        if self.is_active() { self.waiting.load(Relaxed) } else { 0 }
    }

    /// True when changes should wait for the disk.
    pub fn is_overfull(&self) -> bool {
        self.is_active() && self.waiting.load(Relaxed) > OVERFULL
    }

    /// What is under way. One that was called off is not.
    pub fn running(&self) -> Option<(Kind, Progress)> {
        let present = self.lock();
        // One that was made to fail is under way until it has.
        let is_over = |run: &&Arc<Run>| run.queue.is_off() && !run.is_killed.load(Relaxed);
        let run = present.as_ref().filter(|run| !is_over(run))?;
        Some((run.kind, run.progress()))
    }

    /// How far the present snapshot is, also one that was called off.
    pub fn progress(&self) -> Progress {
        self.lock().as_ref().map(|run| run.progress()).unwrap_or_default()
    }

    /// True when another one may begin.
    pub fn is_idle(&self) -> bool {
        self.lock().is_none()
    }

    fn lock_place(&self) -> MutexGuard<'_, ()> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls off the present snapshot if it is of this kind: its file will not take the place of the old one from now on.
    /// Waits only for one that is about to. True when there was one.
    pub fn cancel(&self, kind: Kind) -> bool {
        let present = self.lock();
        let run = present.as_ref().filter(|run| run.kind == kind);
        let is_there = run.is_some();
        let was_wanted = run.filter(|run| !run.queue.is_off()).inspect(|run| run.queue.turn_off()).is_some();
        drop(present);
        if is_there {
            // Whoever puts the file in its place looks while holding this lock. That may be under way although somebody
            // has called it off already.
            drop(self.lock_place());
        }
        was_wanted
    }

    /// Lets the present snapshot fail, whatever it is for: for tests. True when there was one.
    pub fn kill(&self) -> bool {
        let present = self.lock();
        let run = present.as_ref().filter(|run| !run.queue.is_off());
        run.inspect(|run| {
            run.is_killed.store(true, Relaxed);
            run.queue.turn_off();
        })
        .is_some()
    }

    /// Waits until nothing is under way; false when it takes longer than `patience`. Call it with no shard held.
    pub fn wait_idle(&self, patience: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.lock(), patience, |present| present.is_some());
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// Removes the file of the present snapshot: before the process ends in the midst of it.
    pub fn remove_temporary(&self, shared: &Shared) {
        if let Some(run) = &*self.lock() {
            run.queue.turn_off();
            // It may not be there yet.
            let _ = shared.disk.remove(&run.temporary);
        }
    }
}

/// A snapshot under way.
#[derive(Debug)]
struct Run {
    kind: Kind,
    target: PathBuf,
    temporary: PathBuf,
    queue: Queue,
    /// What was left to the walking thread.
    rest: Mutex<Vec<Rest>>,
    /// Databases with keys: their number, keys, and keys with a deadline.
    databases: Vec<(usize, usize, usize)>,
    keys_total: u64,
    /// Keys that were taken.
    keys: AtomicU64,
    /// Bytes taken by those who changed something.
    copied: AtomicUsize,
    /// Who walks.
    walker: OnceLock<ThreadId>,
    /// It was turned off to fail.
    is_killed: AtomicBool,
    /// How accesses are told, if they are to be saved.
    access: Option<Access>,
    started_ms: i64,
}

/// What left the keyspace before it was taken.
#[derive(Debug)]
enum Rest {
    Left(Left),
    Orphan(Orphan),
}

impl Run {
    fn progress(&self) -> Progress {
        Progress {
            keys: self.keys.load(Relaxed),
            keys_total: self.keys_total,
            copied: self.copied.load(Relaxed),
            waiting_max: self.queue.size_max(),
            elapsed_ms: clock::unix_ms() - self.started_ms,
        }
    }

    /// Seconds since the last access, or the LFU counter, where either is to be saved.
    fn usage(&self, word: u32) -> (Option<u64>, Option<u8>) {
        match self.access {
            None => (None, None),
            Some(access @ Access::Lfu { .. }) => (None, Some(access.frequency(word) as u8)),
            Some(access) => (Some(u64::from(access.idle_s(word))), None),
        }
    }

    fn take_rest(&self) -> Vec<Rest> {
        std::mem::take(&mut *self.rest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn leave(&self, rest: Rest) {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).push(rest);
    }

    /// Adds a key to a chunk; returns its size in bytes.
    fn gather(&self, writer: &mut ChunkWriter, db: usize, taken: &Taken<'_>) -> usize {
        let (idle_s, frequency) = self.usage(taken.access);
        let before = writer.len();
        writer.entry(taken, idle_s, frequency);
        let len = writer.len();
        if len >= CHUNK {
            self.queue.put(writer.chunk(db, self.queue.spare()));
        }
        len - before
    }
}

/// Gathers the keys of one table.
#[derive(Debug)]
struct Gatherer {
    run: Arc<Run>,
    db: usize,
    writer: ChunkWriter,
}

impl Taker for Gatherer {
    fn take(&mut self, keys: &mut dyn Iterator<Item = Taken<'_>>) {
        if self.run.queue.is_off() {
            return;
        }
        let (mut count, mut bytes) = (0, 0);
        for taken in keys {
            bytes += self.run.gather(&mut self.writer, self.db, &taken);
            count += 1;
        }
        self.run.keys.fetch_add(count, Relaxed);
        if self.run.walker.get().is_none_or(|walker| *walker != std::thread::current().id()) {
            self.run.copied.fetch_add(bytes, Relaxed);
        }
    }

    fn leave(&mut self, left: Left) {
        self.run.leave(Rest::Left(left));
    }

    fn leave_value(&mut self, orphan: Orphan) {
        self.run.leave(Rest::Orphan(orphan));
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        if !self.writer.is_empty() {
            self.run.queue.put(self.writer.last_chunk(self.db));
        }
    }
}

/// Begins a snapshot of what is there now. `hold` must hold all shards. O(shards x databases).
pub fn begin(shared: &Arc<Shared>, hold: &mut Hold<'_>, request: Request) -> Result<(), Refusal> {
    let snapshots = &shared.snapshots;
    let mut present = snapshots.lock();
    if let Some(run) = &*present {
        return Err(Refusal::Busy(run.kind));
    }
    let epoch = snapshots.epoch.fetch_add(1, Relaxed) + 1;
    let count = shared.config.databases();
    let mut databases: Vec<_> = (0..count).map(|db| (db, 0, 0)).collect();
    hold.each(|_, data| {
        for (db, keys, deadlines) in &mut databases {
            let table = data.databases.table(*db);
            *keys += table.len();
            *deadlines += table.expires_len();
        }
    });
    databases.retain(|(_, keys, _)| *keys > 0);
    let Request { kind, target, header, done } = request;
    let policy = shared.config.hot().maxmemory_policy.get();
    let run = Arc::new(Run {
        kind,
        temporary: temporary(&target, epoch),
        target,
        queue: Queue::new(&snapshots.waiting),
        rest: Mutex::default(),
        keys_total: databases.iter().map(|(_, keys, _)| *keys as u64).sum(),
        databases,
        keys: AtomicU64::new(0),
        copied: AtomicUsize::new(0),
        walker: OnceLock::new(),
        is_killed: AtomicBool::new(false),
        access: policy.by_access().then(|| crate::dataset::access(shared)),
        started_ms: clock::unix_ms(),
    });
    let libraries = shared.libraries.get();
    let (theirs, their_run) = (Arc::clone(shared), Arc::clone(&run));
    let work = move || {
        let codes = libraries.libraries().map(|library| &*library.code);
        let codes: Vec<&[u8]> = codes.collect();
        let result = walk::work(&theirs, &their_run, &header, &codes);
        let result = finish(&theirs, &their_run, result);
        done(&theirs, result);
        let mut present = theirs.snapshots.lock();
        theirs.snapshots.active.store(false, Relaxed);
        *present = None;
        drop(present);
        theirs.snapshots.ended.notify_all();
    };
    // It waits for the first shard.
    std::thread::Builder::new().name("snapshot".to_owned()).spawn(work).map_err(Refusal::Thread)?;
    hold.each(|_, data| {
        data.databases.begin_snapshot(epoch, &mut |db, _| {
            Box::new(Gatherer { run: Arc::clone(&run), db, writer: ChunkWriter::default() })
        });
    });
    *present = Some(run);
    snapshots.active.store(true, Relaxed);
    Ok(())
}

/// Puts a written file in its place, unless it was called off.
fn finish(shared: &Shared, run: &Run, written: Result<u64, Failure>) -> Result<u64, Failure> {
    let placing = shared.snapshots.lock_place();
    let result = written.and_then(|size| {
        if run.queue.is_off() {
            return Err(Failure::Cancelled);
        }
        put_in_place(&*shared.disk, &run.temporary, &run.target).map_err(Failure::Disk)?;
        Ok(size)
    });
    if result.is_err() {
        // It may not even have come into being.
        let _ = shared.disk.remove(&run.temporary);
    }
    drop(placing);
    match result {
        Err(Failure::Cancelled) if run.is_killed.load(Relaxed) => Err(Failure::Killed),
        result => result,
    }
}

/// Where a snapshot is written before it takes its place: not where `SAVE` writes.
fn temporary(target: &Path, epoch: u64) -> PathBuf {
    directory_of(target).join(format!("temp-{}-{epoch}.rdb", std::process::id()))
}
