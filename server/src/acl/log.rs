//! `ACL LOG`: what was denied lately, newest first; what happens again and again is one entry.

use super::check::Reason;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries younger than this are counted up, in milliseconds.
const GROUPED_MS: i64 = 60_000;
/// So many are compared.
const COMPARED: usize = 10;
/// Bytes of an object or a name that are kept.
const KEPT: usize = 4096;

/// What was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A request, for this reason.
    Request(Reason),
    /// To log in.
    Auth,
}

impl What {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            What::Request(Reason::Command) => "command",
            What::Request(Reason::Database) => "database",
            What::Request(Reason::Key) => "key",
            What::Request(Reason::Channel) => "channel",
            What::Auth => "auth",
        }
    }

    fn index(self) -> usize {
        match self {
            What::Auth => 0,
            What::Request(Reason::Command) => 1,
            What::Request(Reason::Key) => 2,
            What::Request(Reason::Channel) => 3,
            What::Request(Reason::Database) => 4,
        }
    }
}

/// Where it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// By a request.
    TopLevel,
    /// In a transaction.
    Multi,
    /// By a script.
    Lua,
}

impl Context {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// How often it happened.
    pub count: u64,
    /// What was denied.
    pub what: What,
    /// Where.
    pub context: Context,
    /// The command, the key or the channel.
    pub object: Vec<u8>,
    /// Who asked.
    pub username: Vec<u8>,
    /// When it happened last, Unix milliseconds.
    pub at_ms: i64,
    /// The connection that asked last, as `CLIENT LIST` shows it.
    pub client: String,
}

/// The log, and how much was denied since the start of the statistics.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: Mutex<VecDeque<Logged>>,
    denied: [AtomicU64; 5],
}

impl AclLog {
    /// Adds an entry, of which there may be `most`, or counts up one that says the same.
    pub fn add(&self, mut entry: Logged, most: usize) {
        self.denied[entry.what.index()].fetch_add(1, Relaxed);
        entry.object.truncate(KEPT);
        entry.username.truncate(KEPT);
        let mut entries = self.entries();
        let is_same = |known: &Logged| {
            known.what == entry.what
                && known.context == entry.context
                && (known.at_ms - entry.at_ms).abs() <= GROUPED_MS
                && known.object == entry.object
                && known.username == entry.username
        };
        let same = entries.iter().take(COMPARED).position(is_same);
        if let Some(known) = same.and_then(|at| entries.remove(at)) {
            entry.count += known.count;
        }
        entries.push_front(entry);
        entries.truncate(most);
    }

    /// The newest entries. O(N).
    pub fn newest(&self, count: usize) -> Vec<Logged> {
        self.entries().iter().take(count).cloned().collect()
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries().clear();
    }

    /// How often this was denied.
    pub fn denied(&self, what: What) -> u64 {
        self.denied[what.index()].load(Relaxed)
    }

    /// `CONFIG RESETSTAT`
    pub fn reset_counts(&self) {
        self.denied.iter().for_each(|count| count.store(0, Relaxed));
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Logged>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
