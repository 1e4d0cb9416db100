//! The counts of the few windows that were asked for last, as long as nothing changes.
//!
//! Whoever reads a value may note a count: the fields are atomic because a snapshot may hold a reference from another
//! thread. Writers and readers of counts have the shard to themselves.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

const ROOM: usize = 4;

#[derive(Debug, Default)]
struct Noted {
    /// 0: free.
    window: AtomicI64,
    newest: AtomicI64,
    count: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Cache([Noted; ROOM]);

impl Clone for Cache {
    fn clone(&self) -> Self {
        Cache::default()
    }
}

impl Cache {
    /// The count of a window of so many buckets, of which `newest` is the last.
    pub(super) fn get(&self, window: i64, newest: i64) -> Option<u64> {
        let noted = self
            .0
            .iter()
            .find(|noted| noted.window.load(Relaxed) == window && noted.newest.load(Relaxed) == newest)?;
        Some(noted.count.load(Relaxed))
    }

    /// Notes a count, in place of one of an earlier time, or else of any.
    pub(super) fn put(&self, window: i64, newest: i64, count: u64) {
        let is_old = |noted: &&Noted| noted.window.load(Relaxed) == 0 || noted.newest.load(Relaxed) != newest;
        let noted = self.0.iter().find(is_old).unwrap_or(&self.0[window as usize % ROOM]);
        noted.window.store(window, Relaxed);
        noted.newest.store(newest, Relaxed);
        noted.count.store(count, Relaxed);
    }

    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }
}
