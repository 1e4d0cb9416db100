//! What is known about saving and loading: for `INFO` and `LASTSAVE`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Figures about the data set on disk.
#[derive(Debug)]
pub struct Saving {
    last_save_s: AtomicI64,
    /// Changes ever made when it was last saved.
    changes_saved: AtomicU64,
    saves: AtomicU64,
    failed: AtomicBool,
    /// When saving in the background was last begun, Unix milliseconds; 0 before.
    attempt_ms: AtomicI64,
    /// How long that took in the end, in seconds; -1 before.
    took_s: AtomicI64,
    /// Bytes that were copied meanwhile because they changed.
    copied: AtomicUsize,
    /// Somebody wants it to happen as soon as it can.
    scheduled: AtomicBool,
    keys_loaded: AtomicU64,
    keys_expired: AtomicU64,
}

impl Saving {
    /// Nothing was saved yet; like Redis, count the start as a save.
    pub fn new(now_s: i64) -> Self {
        Saving {
            last_save_s: AtomicI64::new(now_s),
            changes_saved: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            attempt_ms: AtomicI64::new(0),
            took_s: AtomicI64::new(-1),
            copied: AtomicUsize::new(0),
            scheduled: AtomicBool::new(false),
            keys_loaded: AtomicU64::new(0),
            keys_expired: AtomicU64::new(0),
        }
    }

    /// When the data set was last saved, Unix seconds.
    pub fn last_save_s(&self) -> i64 {
        self.last_save_s.load(Relaxed)
    }

    /// Changes since then, given those ever made.
    pub fn changes_since(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.changes_saved.load(Relaxed))
    }

    /// How often saving was asked for.
    pub fn saves(&self) -> u64 {
        self.saves.load(Relaxed)
    }

    /// Saving was asked for.
    pub fn count_save(&self) {
        self.saves.fetch_add(1, Relaxed);
    }

    /// Forgets the number of saves: `CONFIG RESETSTAT`.
    pub fn reset(&self) {
        self.saves.store(0, Relaxed);
    }

    /// True when the last attempt worked.
    pub fn is_fine(&self) -> bool {
        !self.failed.load(Relaxed)
    }

    /// Saving in the background failed.
    pub fn note_failed(&self) {
        self.failed.store(true, Relaxed);
    }

    /// Saving in the background begins now.
    pub fn note_attempt(&self, now_ms: i64) {
        self.attempt_ms.store(now_ms, Relaxed);
    }

    /// When it last began, Unix seconds.
    pub fn last_attempt_s(&self) -> i64 {
        self.attempt_ms.load(Relaxed) / 1000
    }

    /// It ended, in whatever way; so many bytes were copied meanwhile because they changed.
    pub fn note_background_end(&self, now_ms: i64, copied: usize) {
        let took_ms = now_ms - self.attempt_ms.load(Relaxed);
        self.took_s.store(took_ms.max(0) / 1000, Relaxed);
        self.copied.store(copied, Relaxed);
    }

    /// How long the last one took in seconds, -1 before the first, and how many bytes were copied meanwhile.
    pub fn last_background(&self) -> (i64, usize) {
        (self.took_s.load(Relaxed), self.copied.load(Relaxed))
    }

    /// Asks for saving in the background as soon as it can be.
    pub fn schedule(&self) {
        self.scheduled.store(true, Relaxed);
    }

    /// True once after somebody asked.
    pub fn take_scheduled(&self) -> bool {
        self.scheduled.load(Relaxed) && self.scheduled.swap(false, Relaxed)
    }

    /// Everything was saved, with all `changes` ever made.
    pub fn note_saved(&self, now_s: i64, changes: u64) {
        self.last_save_s.store(now_s, Relaxed);
        self.changes_saved.store(changes, Relaxed);
        self.failed.store(false, Relaxed);
    }

    /// All `changes` ever made are in a file already.
    pub fn note_unchanged(&self, changes: u64) {
        self.changes_saved.store(changes, Relaxed);
    }

    /// Keys that were loaded last, and those that were left out because their time had come.
    pub fn loaded(&self) -> (u64, u64) {
        (self.keys_loaded.load(Relaxed), self.keys_expired.load(Relaxed))
    }

    /// So many keys were loaded, and so many left out.
    pub fn note_loaded(&self, keys: u64, expired: u64) {
        self.keys_loaded.store(keys, Relaxed);
        self.keys_expired.store(expired, Relaxed);
    }
}
