//! What was appended and is not written down yet, and how far writing down has come.
//!
//! Threads append under a short lock; one at a time takes everything there is, writes it, and moves the marks. A mark never
//! moves back, and `synced <= written <= tail`.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fsync;
use crate::journal::{Lsn, Unit, write_command};

/// Bytes gathered in one piece of memory.
pub(super) const CHUNK: usize = 256 * 1024;
/// A unit of more bytes is handed over as it is instead of being copied.
const MOVED: usize = 32 * 1024;
/// Pieces of memory kept for later.
const SPARES_MAX: usize = 16;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// Bytes of whole units, back to back.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Position behind them.
    pub(super) end: Lsn,
    /// The database of its first command, unless it names one itself.
    pub(super) db: Option<u16>,
    /// Its last unit goes on in the next piece.
    pub(super) is_open: bool,
}

/// What the writing thread is to do, in order with what was appended.
#[derive(Debug)]
pub(super) enum Order {
    /// Go on in a new file: a snapshot of this moment will replace the ones before.
    Switch,
    /// The snapshot is ready, in this file.
    Rewritten(PathBuf),
    /// There will be no snapshot.
    NotRewritten,
    /// Remove what is history only: that was put off until now.
    RemoveHistory,
    /// Write and sync what there is, then stop.
    Stop,
}

/// Bytes, or something to do.
#[derive(Debug)]
pub(super) enum Item {
    Bytes(Chunk),
    Order(Order),
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Position behind the last unit.
    tail: Lsn,
    /// What the last command was for.
    db: Option<u16>,
    spare: Vec<Vec<u8>>,
}

/// What is told that the marks have moved.
pub type Progress = Box<dyn Fn() + Send + Sync>;

/// The queue and the marks.
pub struct Log {
    queue: Mutex<Queue>,
    work: Condvar,
    /// The writing thread sleeps, or is about to.
    is_idle: AtomicBool,
    /// It is to look at what there is.
    is_wanted: AtomicBool,
    tail: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    fsync: AtomicU8,
    /// Units are taken.
    enabled: AtomicBool,
    /// Replies wait for the disk.
    gated: AtomicBool,
    /// They do so in the other modes than `always`, too.
    waits_for_write: AtomicBool,
    /// What the disk said, while it is not forgiven.
    failure: Mutex<Option<String>>,
    failed: AtomicBool,
    progress: Mutex<Option<Progress>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("tail", &self.tail())
            .field("written", &self.written())
            .field("synced", &self.synced())
            .finish_non_exhaustive()
    }
}

impl Default for Log {
    fn default() -> Self {
        Log {
            queue: Mutex::default(),
            work: Condvar::new(),
            is_idle: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            tail: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            fsync: AtomicU8::new(Fsync::EverySecond as u8),
            enabled: AtomicBool::new(false),
            gated: AtomicBool::new(false),
            waits_for_write: AtomicBool::new(true),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            progress: Mutex::default(),
        }
    }
}

impl Log {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a unit, which is empty afterwards. Returns the position behind it.
    pub fn append(&self, unit: &mut Unit) -> Lsn {
        let is_many = unit.commands() > 1;
        let mut queue = self.queue();
        let queue = &mut *queue;
        let before = queue.tail;
        // SELECT, MULTI and EXEC take less than 64 bytes; so many parts are rare.
        let size = unit.size() + 64 + 32 * unit.parts().len();
        let mut written = 0;
        if unit.size() >= MOVED && unit.parts().len() == 1 {
            let db = unit.parts().next().map_or(0, |part| part.db);
            written += queue.write(64, |bytes, last_db| {
                select(bytes, last_db, db);
                if is_many {
                    bytes.extend_from_slice(MULTI);
                }
            });
            queue.leave_open();
            let head = queue.items.len() - 1;
            let bytes = unit.take_bytes();
            written += bytes.len();
            let (end, db) = (before + written as u64, Some(db));
            queue.items.push_back(Item::Bytes(Chunk { bytes, end, db, is_open: is_many }));
            if is_many {
                queue.renew(64);
                written += queue.write(64, |bytes, _| bytes.extend_from_slice(EXEC));
            }
            // Pieces of one unit are kept and forgotten together.
            for item in queue.items.iter_mut().skip(head) {
                if let Item::Bytes(chunk) = item {
                    chunk.end = before + written as u64;
                }
            }
        } else {
            written += queue.write(size, |bytes, last_db| {
                let mut parts = unit.parts();
                let first = parts.next();
                if let Some(first) = first {
                    select(bytes, last_db, first.db);
                }
                if is_many {
                    bytes.extend_from_slice(MULTI);
                }
                for part in first.into_iter().chain(parts) {
                    select(bytes, last_db, part.db);
                    bytes.extend_from_slice(part.bytes);
                }
                if is_many {
                    bytes.extend_from_slice(EXEC);
                }
            });
            unit.clear();
        }
        queue.tail = before + written as u64;
        if let Some(Item::Bytes(chunk)) = queue.items.back_mut() {
            chunk.end = queue.tail;
        }
        self.tail.store(queue.tail, SeqCst);
        queue.tail
    }

    /// Has the writing thread do something, behind what was appended so far. Returns the position of that.
    pub(super) fn order(&self, order: Order) -> Lsn {
        let mut queue = self.queue();
        if matches!(order, Order::Switch) {
            // The new file begins without a database.
            queue.db = None;
        }
        queue.items.push_back(Item::Order(order));
        let tail = queue.tail;
        drop(queue);
        self.wake();
        tail
    }

    /// Has the writing thread look now.
    #[inline]
    pub fn kick(&self) {
        self.is_wanted.store(true, SeqCst);
        if self.is_idle.load(SeqCst) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Under the lock: whoever is about to sleep has either seen that it is wanted or sleeps already.
        let _queue = self.queue();
        self.is_wanted.store(true, SeqCst);
        self.work.notify_one();
    }

    /// Waits until there is something that only the writing thread does, but not longer than `patience`. What others
    /// have appended does not wake it: whoever has is about to write that, or kicks.
    pub(super) fn wait(&self, patience: Duration) {
        if self.is_wanted.swap(false, SeqCst) {
            return;
        }
        let queue = self.queue();
        self.is_idle.store(true, SeqCst);
        let is_unwanted = |_: &mut Queue| !self.is_wanted.load(SeqCst);
        let waited = self.work.wait_timeout_while(queue, patience, is_unwanted);
        self.is_idle.store(false, SeqCst);
        self.is_wanted.store(false, SeqCst);
        drop(waited);
    }

    /// Moves what there is to `items`, up to about `most` bytes, with the orders in between. False when that is all.
    pub(super) fn take(&self, items: &mut Vec<Item>, most: usize) -> bool {
        let mut queue = self.queue();
        queue.take(items, most, |_| true);
        !queue.items.is_empty()
    }

    /// The same up to the first order.
    pub(super) fn take_bytes(&self, items: &mut Vec<Item>, most: usize) {
        self.queue().take(items, most, |item| matches!(item, Item::Bytes(_)));
    }

    /// Begins at this position: before anything is appended.
    pub(super) fn begin_at(&self, lsn: Lsn) {
        let mut queue = self.queue();
        assert!(queue.items.is_empty() && queue.tail <= lsn, "nothing was appended");
        queue.tail = lsn;
        for mark in [&self.tail, &self.written, &self.synced] {
            mark.store(lsn, SeqCst);
        }
    }

    /// Forgets what nobody takes any more, because the thread has ended.
    pub(super) fn forget_items(&self) {
        self.queue().items.clear();
    }

    /// Begins behind what was appended, which is part of a snapshot: nobody waits for it any more.
    pub(super) fn begin_anew(&self) {
        let mut queue = self.queue();
        queue.items.clear();
        let tail = queue.tail;
        self.written.store(tail, SeqCst);
        self.synced.store(tail, SeqCst);
    }

    /// True when the end of the process waits for nothing but what can be taken now.
    pub(super) fn wants_to_stop(&self) -> bool {
        self.queue().items.iter().any(|item| matches!(item, Item::Order(Order::Stop)))
    }

    /// Takes memory back that is not needed any more.
    pub(super) fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() > 2 * CHUNK || bytes.capacity() < CHUNK {
            return;
        }
        bytes.clear();
        let mut queue = self.queue();
        if queue.spare.len() < SPARES_MAX {
            queue.spare.push(bytes);
        }
    }

    /// Position behind what was appended.
    #[inline]
    pub fn tail(&self) -> Lsn {
        self.tail.load(SeqCst)
    }

    /// Position behind what the kernel has: it survives the end of this process.
    #[inline]
    pub fn written(&self) -> Lsn {
        self.written.load(SeqCst)
    }

    /// Position behind what the disk has: it survives a power failure.
    #[inline]
    pub fn synced(&self) -> Lsn {
        self.synced.load(SeqCst)
    }

    /// The kernel has everything up to here.
    pub(super) fn set_written(&self, lsn: Lsn) {
        let before = self.written.swap(lsn, SeqCst);
        assert!(before <= lsn && lsn <= self.tail(), "only what was appended is written, and it stays so");
        self.tell();
    }

    /// The disk has everything up to here.
    pub(super) fn set_synced(&self, lsn: Lsn) {
        self.synced.fetch_max(lsn, SeqCst);
        assert!(lsn <= self.written(), "only what was written is synced");
        self.tell();
    }

    /// Calls whoever waits for the marks.
    pub(super) fn tell(&self) {
        if let Some(progress) = &*self.progress.lock().unwrap_or_else(PoisonError::into_inner) {
            progress();
        }
    }

    /// Calls `progress` whenever a mark has moved.
    pub fn on_progress(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// Units are taken.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    /// Takes units from now on, or does not. Call it with all shards held.
    pub(super) fn enable(&self, enabled: bool) {
        if enabled {
            self.queue().db = None;
            self.gate(true);
        }
        self.enabled.store(enabled, SeqCst);
    }

    /// Replies wait for the disk, or do not.
    pub(super) fn gate(&self, gated: bool) {
        self.gated.store(gated, SeqCst);
        self.tell();
    }

    /// When a reply may go out.
    #[inline]
    pub fn open_to(&self) -> Lsn {
        if !self.gated.load(SeqCst) {
            Lsn::MAX
        } else if self.fsync() == Fsync::Always {
            self.synced()
        } else if self.waits_for_write.load(Relaxed) {
            self.written()
        } else {
            Lsn::MAX
        }
    }

    /// When the disk is asked to sync.
    #[inline]
    pub fn fsync(&self) -> Fsync {
        Fsync::of(self.fsync.load(SeqCst))
    }

    /// Changes that.
    pub fn set_fsync(&self, fsync: Fsync) {
        self.fsync.store(fsync as u8, SeqCst);
        self.kick();
        self.tell();
    }

    /// Replies wait until the kernel has what they promise, in the other modes than `always`.
    pub fn set_waits_for_write(&self, waits: bool) {
        self.waits_for_write.store(waits, SeqCst);
        self.tell();
    }

    /// They do so in the other modes than `always`, too.
    pub fn waits_for_write(&self) -> bool {
        self.waits_for_write.load(Relaxed)
    }

    /// What the disk said, while nothing may be changed because of it.
    pub fn failure(&self) -> Option<String> {
        if !self.failed.load(Relaxed) {
            return None;
        }
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The disk does not do what it should, or does so again.
    pub(super) fn set_failure(&self, failure: Option<String>) {
        self.failed.store(failure.is_some(), SeqCst);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

impl Queue {
    fn take(&mut self, items: &mut Vec<Item>, most: usize, is_meant: impl Fn(&Item) -> bool) {
        let (mut taken, mut is_open) = (0, false);
        while (taken < most || is_open)
            && self.items.front().is_some_and(&is_meant)
            && let Some(item) = self.items.pop_front()
        {
            if let Item::Bytes(chunk) = &item {
                taken += chunk.bytes.len();
                is_open = chunk.is_open;
            }
            items.push(item);
        }
    }

    /// Appends what `write` writes, which is at most `size` bytes. Returns how many those were.
    fn write(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>, &mut Option<u16>)) -> usize {
        let fits = |item: &Item| match item {
            Item::Bytes(chunk) => !chunk.is_open && chunk.bytes.capacity() - chunk.bytes.len() >= size,
            Item::Order(_) => false,
        };
        if !self.items.back().is_some_and(fits) {
            self.renew(size);
        }
        let Some(Item::Bytes(chunk)) = self.items.back_mut() else { return 0 };
        let before = chunk.bytes.len();
        write(&mut chunk.bytes, &mut self.db);
        chunk.bytes.len() - before
    }

    /// Begins a new piece with room for so much.
    fn renew(&mut self, size: usize) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.reserve(size.max(CHUNK));
        self.items.push_back(Item::Bytes(Chunk { bytes, end: self.tail, db: self.db, is_open: false }));
    }

    /// The last unit goes on in the next piece.
    fn leave_open(&mut self) {
        if let Some(Item::Bytes(chunk)) = self.items.back_mut() {
            chunk.is_open = true;
        }
    }
}

/// Has the commands that follow apply to this database.
fn select(bytes: &mut Vec<u8>, last: &mut Option<u16>, db: u16) {
    if *last != Some(db) {
        *last = Some(db);
        write_command(bytes, [&b"SELECT"[..], db.to_string().as_bytes()].into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(commands: &[(u16, &str)]) -> Unit {
        let mut unit = Unit::default();
        for (db, command) in commands {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            unit.push(*db, words.into_iter());
        }
        unit
    }

    fn taken(log: &Log) -> (String, Vec<Order>) {
        let (mut items, mut text, mut orders) = (Vec::new(), String::new(), Vec::new());
        log.take(&mut items, usize::MAX);
        for item in items {
            match item {
                Item::Bytes(chunk) => {
                    let words = String::from_utf8(chunk.bytes).unwrap();
                    let words = words.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
                    text.push_str(&words.collect::<Vec<_>>().join(" "));
                    log.set_written(chunk.end);
                }
                Item::Order(order) => orders.push(order),
            }
        }
        (text, orders)
    }

    #[test]
    fn units_are_framed_and_databases_named_once() {
        let log = Log::default();
        let first = log.append(&mut unit(&[(0, "SET a 1")]));
        assert_eq!(first, 23 + 27);
        assert!(log.append(&mut unit(&[(0, "SET b 2")])) > first);
        log.append(&mut unit(&[(0, "SET c 3"), (5, "SET d 4"), (5, "SET e 5")]));
        log.append(&mut unit(&[(5, "DEL f")]));
        let expected = "SELECT 0 SET a 1 SET b 2 MULTI SET c 3 SELECT 5 SET d 4 SET e 5 EXEC DEL f ";
        assert_eq!(taken(&log).0, expected);
        assert_eq!(log.written(), log.tail());
    }

    #[test]
    fn a_new_file_names_its_database_again() {
        let log = Log::default();
        log.append(&mut unit(&[(0, "SET a 1")]));
        log.order(Order::Switch);
        log.append(&mut unit(&[(0, "SET a 2")]));
        let (text, orders) = taken(&log);
        assert_eq!(text, "SELECT 0 SET a 1 SELECT 0 SET a 2 ");
        assert!(matches!(orders[..], [Order::Switch]));
    }

    #[test]
    fn a_large_unit_is_moved_and_still_one_unit() {
        let log = Log::default();
        let value = "v".repeat(MOVED);
        for _ in 0..2 {
            log.append(&mut unit(&[(2, "SET a 1"), (2, &format!("SET b {value}"))]));
        }
        log.append(&mut unit(&[(2, &format!("SET c {value}"))]));
        let (text, _) = taken(&log);
        let once = format!("MULTI SET a 1 SET b {value} EXEC ");
        assert_eq!(text, format!("SELECT 2 {once}{once}SET c {value} "));
        assert_eq!(log.written(), log.tail());
    }

    #[test]
    fn pieces_of_one_unit_are_forgotten_together() {
        let log = Log::default();
        log.append(&mut unit(&[(0, "SET a 1")]));
        let end = log.append(&mut unit(&[(0, "SET a 1"), (0, &format!("SET b {}", "v".repeat(MOVED)))]));
        let mut items = Vec::new();
        log.take(&mut items, usize::MAX);
        let ends = items.iter().filter_map(|item| match item {
            Item::Bytes(chunk) => Some(chunk.end),
            Item::Order(_) => None,
        });
        assert_eq!(ends.collect::<Vec<_>>(), [end; 3]);
    }

    #[test]
    fn replies_wait_for_what_the_mode_promises() {
        let log = Log::default();
        assert_eq!(log.open_to(), Lsn::MAX);
        log.enable(true);
        let end = log.append(&mut unit(&[(0, "SET a 1")]));
        assert_eq!(log.open_to(), 0);
        taken(&log);
        assert_eq!(log.open_to(), end);
        log.set_fsync(Fsync::Always);
        assert_eq!(log.open_to(), 0);
        log.set_synced(end);
        assert_eq!(log.open_to(), end);
        log.set_fsync(Fsync::No);
        log.append(&mut unit(&[(0, "SET a 1")]));
        assert_eq!(log.open_to(), end);
        log.set_waits_for_write(false);
        assert_eq!(log.open_to(), Lsn::MAX);
    }

    #[test]
    fn who_waits_for_work_is_woken() {
        let log = std::sync::Arc::new(Log::default());
        let writer = std::sync::Arc::clone(&log);
        let thread = std::thread::spawn(move || {
            let mut items = Vec::new();
            while items.is_empty() {
                writer.wait(Duration::from_secs(60));
                writer.take(&mut items, usize::MAX);
            }
            items.len()
        });
        while !log.is_idle.load(SeqCst) {
            std::thread::yield_now();
        }
        log.append(&mut unit(&[(0, "SET a 1")]));
        assert!(!thread.is_finished());
        log.kick();
        assert_eq!(thread.join().unwrap(), 1);
        log.kick();
        log.wait(Duration::from_secs(60));
    }
}
