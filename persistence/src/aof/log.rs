//! What was appended and is not written down yet, and how far writing down has come.
//!
//! Threads append under a short lock; one at a time takes everything there is, writes it, and moves the marks. A mark never
//! moves back, and `synced <= written <= tail`.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fsync;
use crate::journal::{Lsn, ONE_MAX, Unit, write_command};

/// Bytes gathered in one piece of memory.
pub(super) const CHUNK: usize = 256 * 1024;
/// A unit of more bytes is handed over as it is instead of being copied.
const MOVED: usize = ONE_MAX;
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

/// What every unit needs is together, so that whoever appends fetches one cache line from whoever did last.
#[derive(Debug, Default)]
#[repr(C)]
struct Queue {
    /// What is appended to, behind all items. It is nothing while it is empty.
    last: Chunk,
    /// Position behind the last unit.
    tail: Lsn,
    /// What the last command was for.
    db: Option<u16>,
    items: VecDeque<Item>,
    spare: Vec<Vec<u8>>,
}

/// Begins a cache line, and has it for itself.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// What is told that the marks have moved.
pub type Progress = Box<dyn Fn() + Send + Sync>;

/// The queue and the marks.
pub struct Log {
    queue: Apart<Mutex<Queue>>,
    tail: Apart<AtomicU64>,
    work: Condvar,
    /// The writing thread sleeps, or is about to.
    is_idle: AtomicBool,
    /// It is to look at what there is.
    is_wanted: AtomicBool,
    written: AtomicU64,
    synced: AtomicU64,
    /// How many connections wait for a mark to move.
    waiting: AtomicUsize,
    /// About how many did when the disk had synced for the last time.
    waited: AtomicUsize,
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
            queue: Apart::default(),
            tail: Apart::default(),
            work: Condvar::new(),
            is_idle: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            waited: AtomicUsize::new(0),
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
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a unit, which is empty afterwards. Returns the position behind it.
    pub fn append(&self, unit: &mut Unit) -> Lsn {
        let is_many = unit.commands() > 1;
        let mut queue = self.queue();
        let queue = &mut *queue;
        // SELECT, MULTI and EXEC take less than 64 bytes; so many parts are rare.
        let size = unit.size() + 64 + 32 * unit.parts().len();
        if unit.size() >= MOVED && unit.parts().len() == 1 {
            let db = unit.parts().next().map_or(0, |part| part.db);
            queue.write(64, |bytes, last_db| {
                select(bytes, last_db, db);
                if is_many {
                    bytes.extend_from_slice(MULTI);
                }
            });
            // The unit goes on in the next piece.
            queue.last.is_open = true;
            let (head, db) = (queue.items.len(), Some(db));
            queue.close();
            let bytes = unit.take_bytes();
            queue.tail += bytes.len() as u64;
            queue.items.push_back(Item::Bytes(Chunk { bytes, end: queue.tail, db, is_open: is_many }));
            if is_many {
                queue.write(64, |bytes, _| bytes.extend_from_slice(EXEC));
                queue.close();
            }
            // Pieces of one unit are kept and forgotten together.
            for item in queue.items.iter_mut().skip(head) {
                if let Item::Bytes(chunk) = item {
                    chunk.end = queue.tail;
                }
            }
        } else {
            queue.write(size, |bytes, last_db| {
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
        self.publish(queue)
    }

    /// Appends a unit of one command. Returns the position behind it.
    pub fn append_one(&self, db: u16, command: &[u8]) -> Lsn {
        let mut queue = self.queue();
        // SELECT takes less than 64 bytes.
        queue.write(command.len() + 64, |bytes, last_db| {
            select(bytes, last_db, db);
            bytes.extend_from_slice(command);
        });
        self.publish(&queue)
    }

    /// Everybody may know of what was appended.
    fn publish(&self, queue: &Queue) -> Lsn {
        // Whoever is told of a position is told so by whoever has appended, or holds the lock.
        self.tail.0.store(queue.tail, Release);
        queue.tail
    }

    /// Has the writing thread do something, behind what was appended so far. Returns the position of that.
    pub(super) fn order(&self, order: Order) -> Lsn {
        let mut queue = self.queue();
        if matches!(order, Order::Switch) {
            // The new file begins without a database.
            queue.db = None;
        }
        queue.close();
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

    /// So many connections more, or less, wait for a mark to move.
    pub fn note_waiting(&self, change: isize) {
        self.waiting.fetch_add(change as usize, Relaxed);
    }

    /// Nearly as many wait as did the last time: those who come again as soon as they have their reply have come.
    pub(super) fn is_gathered(&self) -> bool {
        let (waiting, waited) = (self.waiting.load(Relaxed), self.waited.load(Relaxed));
        waiting.saturating_mul(10) >= waited.saturating_mul(9)
    }

    /// Where replies wait for a sync, waits until it is worth while, but not longer than `patience`.
    pub(super) fn gather(&self, patience: Duration) {
        let is_wanted = |queue: &mut Queue| {
            let has_order = queue.items.iter().any(|item| matches!(item, Item::Order(_)));
            !queue.is_empty() && !has_order && !self.is_gathered()
        };
        let mut queue = self.queue();
        if self.fsync() == Fsync::Always && is_wanted(&mut queue) {
            drop(self.work.wait_timeout_while(queue, patience, is_wanted));
        }
    }

    /// Moves what there is to `items`, up to about `most` bytes, with the orders in between. False when that is all.
    pub(super) fn take(&self, items: &mut Vec<Item>, most: usize) -> bool {
        let mut queue = self.queue();
        queue.take(items, most, |_| true);
        !queue.is_empty()
    }

    /// The same up to the first order.
    pub(super) fn take_bytes(&self, items: &mut Vec<Item>, most: usize) {
        self.queue().take(items, most, |item| matches!(item, Item::Bytes(_)));
    }

    /// Begins at this position: before anything is appended.
    pub(super) fn begin_at(&self, lsn: Lsn) {
        let mut queue = self.queue();
        assert!(queue.is_empty() && queue.tail <= lsn, "nothing was appended");
        queue.tail = lsn;
        for mark in [&self.tail.0, &self.written, &self.synced] {
            mark.store(lsn, SeqCst);
        }
    }

    /// Forgets what nobody takes any more, because the thread has ended.
    pub(super) fn forget_items(&self) {
        self.queue().forget();
    }

    /// Begins behind what was appended, which is part of a snapshot: nobody waits for it any more.
    pub(super) fn begin_anew(&self) {
        let mut queue = self.queue();
        queue.forget();
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
        self.tail.0.load(SeqCst)
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
        // Somebody may be away for a moment only.
        let waited = self.waited.load(Relaxed);
        self.waited.store(self.waiting.load(Relaxed).max(waited - waited.div_ceil(4)), Relaxed);
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
        // Nothing is ordered behind the last piece.
        if (taken < most || is_open) && self.items.is_empty() && !self.last.bytes.is_empty() {
            items.push(Item::Bytes(self.take_last()));
        }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.last.bytes.is_empty()
    }

    fn forget(&mut self) {
        self.items.clear();
        self.last = Chunk::default();
    }

    /// Appends what `write` writes, which is at most `size` bytes.
    #[inline]
    fn write(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>, &mut Option<u16>)) {
        if self.last.bytes.capacity() - self.last.bytes.len() < size {
            self.renew(size);
        }
        let before = self.last.bytes.len();
        write(&mut self.last.bytes, &mut self.db);
        self.tail += (self.last.bytes.len() - before) as u64;
    }

    /// Begins a new piece with room for so much.
    #[cold]
    fn renew(&mut self, size: usize) {
        self.close();
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.reserve(size.max(CHUNK));
        self.last = Chunk { bytes, end: self.tail, db: self.db, is_open: false };
    }

    /// What comes next is behind what is there.
    fn close(&mut self) {
        let last = self.take_last();
        if !last.bytes.is_empty() {
            self.items.push_back(Item::Bytes(last));
        } else if last.bytes.capacity() > 0 {
            self.spare.push(last.bytes);
        }
    }

    fn take_last(&mut self) -> Chunk {
        Chunk { end: self.tail, ..std::mem::take(&mut self.last) }
    }
}

/// Has the commands that follow apply to this database.
#[inline]
fn select(bytes: &mut Vec<u8>, last: &mut Option<u16>, db: u16) {
    if *last != Some(db) {
        *last = Some(db);
        write_select(bytes, db);
    }
}

#[cold]
fn write_select(bytes: &mut Vec<u8>, db: u16) {
    write_command(bytes, [&b"SELECT"[..], db.to_string().as_bytes()].into_iter());
}

#[cfg(test)]
mod tests;
