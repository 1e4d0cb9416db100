//! Freeing large things off the hot path: one thread that drops what it is sent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tidegate_data::{Contents, Record};

/// What is to be freed together.
#[derive(Debug, Default)]
pub struct Removed {
    /// Whole tables.
    pub tables: Vec<Contents>,
    /// Single keys.
    pub records: Vec<Record>,
}

impl Removed {
    /// True when there is nothing to free.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys.
    fn len(&self) -> usize {
        self.tables.iter().map(Contents::len).sum::<usize>() + self.records.len()
    }
}

/// The reclaiming thread's mailbox and figures.
#[derive(Debug)]
pub struct Reclaim {
    sender: Mutex<Option<mpsc::Sender<Removed>>>,
    pending: Arc<AtomicUsize>,
    freed: Arc<AtomicU64>,
}

impl Default for Reclaim {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel::<Removed>();
        let (pending, freed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let figures = (Arc::clone(&pending), Arc::clone(&freed));
        let thread = std::thread::Builder::new().name("reclaim".into()).spawn(move || {
            for removed in receiver {
                let keys = removed.len();
                drop(removed);
                figures.0.fetch_sub(keys, Relaxed);
                figures.1.fetch_add(keys as u64, Relaxed);
            }
        });
        // Without the thread everything is freed where it is removed: slower, never wrong.
        Reclaim { sender: Mutex::new(thread.ok().map(|_| sender)), pending, freed }
    }
}

impl Reclaim {
    /// Frees in the background.
    pub fn free(&self, removed: Removed) {
        let keys = removed.len();
        self.pending.fetch_add(keys, Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.send(removed).is_err()) {
            self.pending.fetch_sub(keys, Relaxed);
        }
    }

    /// Keys waiting to be freed.
    pub fn pending(&self) -> usize {
        self.pending.load(Relaxed)
    }

    /// Keys freed so far.
    pub fn freed(&self) -> u64 {
        self.freed.load(Relaxed)
    }

    /// Starts the count of freed keys again: `CONFIG RESETSTAT`.
    pub fn reset(&self) {
        self.freed.store(0, Relaxed);
    }
}
