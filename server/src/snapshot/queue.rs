//! What was taken and not written yet. Whole chunks come from everybody; the parts of one large value come from the
//! walking thread alone, and must stay together in the file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tidegate_persistence::rdb::Chunk;

/// The walk stops while so many bytes wait. What users change meanwhile is still taken.
const WAITING_MAX: usize = 4 << 20;
/// So many bytes of a large value may wait, whatever else does: who writes it wants nothing else.
const PARTS_MAX: usize = 4 << 20;
/// So many chunks are kept to be used again, if they are no larger than most. Memory that the system has to clear costs the
/// threads that serve clients more than the copying.
const SPARES_MAX: usize = 64;

/// What comes next in the file.
#[derive(Debug)]
pub(super) enum Item {
    /// Keys.
    Chunk(Chunk),
    /// The parts of one large value of this database follow.
    Value(usize),
    /// One of them.
    Part(Vec<u8>),
    /// That was all of it; it needs this RDB version.
    End(u32),
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    parts: VecDeque<Item>,
    parts_size: usize,
    /// Chunks that were written, for what is gathered next.
    spares: Vec<Chunk>,
    /// Parts are being taken.
    in_value: bool,
    /// Nothing more comes.
    ended: bool,
}

/// A queue with one reader.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something came, or nothing more will.
    came: Condvar,
    /// There is room.
    went: Condvar,
    size: Arc<AtomicUsize>,
    size_max: AtomicUsize,
    /// Nobody wants any of it.
    off: AtomicBool,
}

impl Queue {
    /// An empty queue that counts the bytes of keys that wait here.
    pub(super) fn new(size: &Arc<AtomicUsize>) -> Self {
        size.store(0, Relaxed);
        Queue {
            waiting: Mutex::default(),
            came: Condvar::new(),
            went: Condvar::new(),
            size: Arc::clone(size),
            size_max: AtomicUsize::new(0),
            off: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds keys, however many wait.
    pub(super) fn put(&self, chunk: Chunk) {
        let mut waiting = self.lock();
        if self.is_off() {
            return;
        }
        // With the lock: what is thrown away is not counted any more.
        let size = self.size.fetch_add(chunk.size(), Relaxed) + chunk.size();
        self.size_max.fetch_max(size, Relaxed);
        waiting.chunks.push_back(chunk);
        drop(waiting);
        self.came.notify_one();
    }

    /// A chunk that was written, if there is one.
    pub(super) fn spare(&self) -> Option<Chunk> {
        self.lock().spares.pop()
    }

    /// Takes a chunk back that was written.
    pub(super) fn give_back(&self, chunk: Chunk) {
        if (super::CHUNK..=2 * super::CHUNK).contains(&chunk.size()) {
            let mut waiting = self.lock();
            if waiting.spares.len() < SPARES_MAX {
                waiting.spares.push(chunk);
            }
        }
    }

    /// Adds the beginning, a part or the end of a large value. Waits for room.
    pub(super) fn put_part(&self, item: Item) {
        let size = if let Item::Part(bytes) = &item { bytes.len() } else { 0 };
        let mut waiting = self.lock();
        while waiting.parts_size > PARTS_MAX && !self.is_off() {
            waiting = self.went.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.parts_size += size;
        waiting.parts.push_back(item);
        drop(waiting);
        self.came.notify_one();
    }

    /// Waits until there is room for more keys.
    pub(super) fn wait_for_room(&self) {
        if self.size() <= WAITING_MAX {
            return;
        }
        let mut waiting = self.lock();
        while self.size() > WAITING_MAX && !self.is_off() {
            waiting = self.went.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next item; `None` at the end.
    pub(super) fn take(&self) -> Option<Item> {
        let mut waiting = self.lock();
        loop {
            if let Some(item) = waiting.parts.pop_front() {
                match &item {
                    Item::Value(_) => waiting.in_value = true,
                    Item::Part(bytes) => waiting.parts_size -= bytes.len(),
                    _ => waiting.in_value = false,
                }
                self.went.notify_one();
                return Some(item);
            }
            if !waiting.in_value
                && let Some(chunk) = waiting.chunks.pop_front()
            {
                self.size.fetch_sub(chunk.size(), Relaxed);
                self.went.notify_one();
                return Some(Item::Chunk(chunk));
            }
            if waiting.ended || self.is_off() {
                return None;
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.came.notify_one();
    }

    /// What waits is thrown away, and so is what comes.
    pub(super) fn turn_off(&self) {
        let mut waiting = self.lock();
        self.off.store(true, Relaxed);
        let thrown = (std::mem::take(&mut waiting.chunks), std::mem::take(&mut waiting.parts));
        self.size.store(0, Relaxed);
        drop(waiting);
        self.came.notify_all();
        self.went.notify_all();
        drop(thrown);
    }

    /// True when nobody wants any of it.
    #[inline]
    pub(super) fn is_off(&self) -> bool {
        self.off.load(Relaxed)
    }

    /// Bytes of keys that wait.
    pub(super) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// The most there ever were.
    pub(super) fn size_max(&self) -> usize {
        self.size_max.load(Relaxed)
    }
}
