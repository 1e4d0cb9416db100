//! Whether the data set is being loaded, and how far that is: for the gate, `INFO`, the log and a terminal.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Loading the data set while connections are served.
#[derive(Debug, Default)]
pub struct Loading {
    on: AtomicBool,
    /// When it began, Unix seconds.
    started_s: AtomicI64,
    /// Bytes of all files together.
    total: AtomicU64,
    /// Bytes of the files before the present one.
    before: AtomicU64,
    /// Bytes of the present file.
    size: AtomicU64,
    /// What of them was loaded.
    loaded: AtomicU64,
    /// Memory that was in use when the file was written, if it says so.
    used_memory: AtomicU64,
    /// Databases were selected that there are not.
    strays: AtomicU64,
}

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadProgress {
    /// When it began, Unix seconds.
    pub started_s: i64,
    /// Bytes of all files together.
    pub total: u64,
    /// Memory that was in use when the file was written; 0 where it does not say.
    pub used_memory: u64,
    /// Bytes loaded.
    pub loaded: u64,
}

impl LoadProgress {
    /// How much is done, in percent.
    pub fn percent(&self) -> f64 {
        let LoadProgress { total, used_memory, loaded, .. } = *self;
        match (total, used_memory) {
            (0, 0) => 0.0,
            // A bad estimate: it must not look done.
            (0, used_memory) => (loaded as f64 * 100.0 / used_memory as f64).min(99.99),
            (total, _) => loaded as f64 * 100.0 / total as f64,
        }
    }

    /// How long the rest will take, in seconds: Redis' estimate, 1 while there is nothing to judge by.
    pub fn rest_s(&self, now_s: i64) -> u64 {
        let elapsed_s = u64::try_from(now_s - self.started_s).unwrap_or(0);
        if elapsed_s == 0 {
            return 1;
        }
        let expected = if self.total > 0 { self.total } else { self.used_memory };
        let rest = expected.saturating_sub(self.loaded).max(u64::from(self.total == 0));
        elapsed_s.saturating_mul(rest) / (self.loaded + 1)
    }
}

impl Loading {
    /// It begins: from now on clients are told to come back later.
    pub fn begin(&self, now_s: i64) {
        self.started_s.store(now_s, Relaxed);
        self.expect(0);
        self.on.store(true, Release);
    }

    /// It is over, and all that it set up can be seen by whoever sees this.
    pub fn end(&self) {
        self.on.store(false, Release);
    }

    /// True while the data set is being loaded. What is decided by that must be read after it.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Acquire)
    }

    /// There are files of so many bytes together.
    pub fn expect(&self, total: u64) {
        for figure in [&self.before, &self.size, &self.loaded, &self.used_memory] {
            figure.store(0, Relaxed);
        }
        self.total.store(total, Relaxed);
    }

    /// The next file begins, of so many bytes.
    pub fn begin_file(&self, size: u64) {
        self.before.fetch_add(self.size.swap(size, Relaxed), Relaxed);
        self.loaded.store(0, Relaxed);
    }

    /// The present file was loaded up to here.
    pub fn reach(&self, offset: u64) {
        self.loaded.store(offset, Relaxed);
    }

    /// So much memory was in use when the file was written.
    pub fn note_used_memory(&self, bytes: u64) {
        self.used_memory.store(bytes, Relaxed);
    }

    /// Commands of a journal selected a database that there is not, so often.
    pub fn note_strays(&self, count: u64) {
        self.strays.fetch_add(count, Relaxed);
    }

    /// How often that has happened since the start.
    pub fn strays(&self) -> u64 {
        self.strays.load(Relaxed)
    }

    /// How far it is.
    pub fn progress(&self) -> LoadProgress {
        let total = self.total.load(Relaxed);
        let loaded = self.before.load(Relaxed) + self.loaded.load(Relaxed);
        LoadProgress {
            started_s: self.started_s.load(Relaxed),
            total,
            used_memory: self.used_memory.load(Relaxed),
            loaded: if total > 0 { loaded.min(total) } else { loaded },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(loading: &Loading) -> String {
        format!("{:.2}", loading.progress().percent())
    }

    #[test]
    fn progress_goes_on_from_file_to_file() {
        let loading = Loading::default();
        loading.begin(100);
        loading.expect(400);
        assert_eq!((percent(&loading), loading.progress().rest_s(100)), ("0.00".to_owned(), 1));
        loading.begin_file(100);
        loading.reach(50);
        assert_eq!(loading.progress().loaded, 50);
        loading.begin_file(300);
        assert_eq!(percent(&loading), "25.00");
        loading.reach(99);
        let progress = loading.progress();
        assert_eq!((progress.loaded, progress.rest_s(110)), (199, 10));
        assert!(loading.is_on());
        loading.end();
        assert!(!loading.is_on());
    }

    #[test]
    fn without_a_size_the_memory_that_was_used_is_what_there_is_to_go_by() {
        let loading = Loading::default();
        loading.begin(0);
        assert_eq!((percent(&loading), loading.progress().rest_s(5)), ("0.00".to_owned(), 5));
        loading.note_used_memory(1000);
        loading.reach(5000);
        assert_eq!((percent(&loading), loading.progress().rest_s(5)), ("99.99".to_owned(), 0));
    }
}
