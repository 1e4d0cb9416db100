//! Freeing large things off the hot path: one thread that drops what it is sent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tidegate_data::Contents;

/// The reclaiming thread's mailbox and figures.
#[derive(Debug)]
pub struct Reclaim {
    sender: Mutex<Option<mpsc::Sender<Vec<Contents>>>>,
    pending: Arc<AtomicUsize>,
    freed: Arc<AtomicU64>,
}

impl Default for Reclaim {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel::<Vec<Contents>>();
        let (pending, freed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let figures = (Arc::clone(&pending), Arc::clone(&freed));
        let thread = std::thread::Builder::new().name("reclaim".into()).spawn(move || {
            for emptied in receiver {
                let keys: usize = emptied.iter().map(Contents::len).sum();
                drop(emptied);
                figures.0.fetch_sub(keys, Relaxed);
                figures.1.fetch_add(keys as u64, Relaxed);
            }
        });
        // Without the thread everything is freed where it is removed: slower, never wrong.
        Reclaim { sender: Mutex::new(thread.ok().map(|_| sender)), pending, freed }
    }
}

impl Reclaim {
    /// Frees whole tables in the background.
    pub fn free(&self, emptied: Vec<Contents>) {
        let keys: usize = emptied.iter().map(Contents::len).sum();
        self.pending.fetch_add(keys, Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.send(emptied).is_err()) {
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
