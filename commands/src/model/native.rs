//! What commands of our own have beside the keyspace: their clock, their tokens, what all threads share.

use crate::families::ids::Ids;
use crate::families::queue::{BindingBook, CallBook};
use crate::families::ratelimit::{Policies, PolicyBook, Tallies};
use std::cell::{Cell, Ref, RefCell};
use std::sync::Arc;
use tidegate_data::QuotaBook;
use tidegate_data::types::cache::TagBook;

/// The clocks of our own commands. Their owner is the server.
pub trait Clocks: Send + Sync + std::fmt::Debug {
    /// A clock that never goes back over the life of the data set, nanoseconds since the Unix epoch.
    fn now_ns(&self) -> i64;

    /// A number larger than all before, given the time.
    fn next_token(&self, now_ns: i64) -> i64;

    /// Neither is ever less than this again: milliseconds, and a token.
    fn raise(&self, now_ms: i64, token: i64);

    /// What stands for chance where delays are spread, from 0 to 1; `None`: chance does.
    fn jitter(&self) -> Option<f64>;
}

/// What all threads share for commands of our own, beside their clocks.
#[derive(Debug, Clone)]
pub struct Books {
    /// The policies of limiters.
    pub policies: Arc<PolicyBook>,
    /// What makes names.
    pub ids: Arc<Ids>,
    /// The tags of cached values.
    pub tags: Arc<TagBook>,
    /// What databases and prefixes may take.
    pub quotas: Arc<QuotaBook>,
    /// Which queues get what is published.
    pub bindings: Arc<BindingBook>,
    /// Who waits for answers of queues.
    pub calls: Arc<CallBook>,
}

/// What a thread has for commands of our own.
#[derive(Debug)]
pub struct NativeTurn {
    clocks: Arc<dyn Clocks>,
    /// The clock as it was read first in this turn; 0 until then.
    now_ns: Cell<i64>,
    /// Changes of soft state are gathered.
    coalesces: Cell<bool>,
    /// `rl-log-max-entries`
    pub log_entries_max: Cell<i64>,
    books: Books,
    /// The policies as they were when this thread asked last, and their edition.
    seen: RefCell<(u64, Arc<Policies>)>,
    tallies: Tallies,
}

impl NativeTurn {
    /// What a thread has where all share `books`.
    pub fn new(clocks: Arc<dyn Clocks>, books: Books) -> Self {
        NativeTurn {
            clocks,
            now_ns: Cell::new(0),
            coalesces: Cell::new(false),
            log_entries_max: Cell::new(10_000),
            seen: RefCell::new(books.policies.read()),
            tallies: Tallies::new(&books.policies),
            books,
        }
    }

    /// Another turn: the clock is read again when it is asked for.
    #[inline]
    pub fn begin(&self, coalesces: bool) {
        self.now_ns.set(0);
        self.coalesces.set(coalesces);
    }

    /// True when the clock was asked for in this turn.
    #[inline]
    pub fn was_asked(&self) -> bool {
        self.now_ns.get() != 0
    }

    /// The clock of our own commands as it is in this turn, milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ns() / 1_000_000
    }

    #[inline]
    pub(crate) fn now_ns(&self) -> i64 {
        match self.now_ns.get() {
            0 => self.read_clock(),
            now_ns => now_ns,
        }
    }

    #[cold]
    fn read_clock(&self) -> i64 {
        let now_ns = self.clocks.now_ns();
        self.now_ns.set(now_ns);
        now_ns
    }

    pub(crate) fn next_token(&self) -> i64 {
        self.clocks.next_token(self.now_ns())
    }

    pub(crate) fn jitter(&self) -> Option<f64> {
        self.clocks.jitter()
    }

    pub(crate) fn raise_clocks(&self, now_ms: i64, token: i64) {
        /// Tokens are below this until the year 2305: what is not was never given to anybody, and after the largest number
        /// there would be no next one.
        const TOKEN_END: i64 = 1 << 53;
        self.clocks.raise(now_ms, if token < TOKEN_END { token } else { 0 });
    }

    #[inline]
    pub(crate) fn coalesces(&self) -> bool {
        self.coalesces.get()
    }

    /// The policies of the moment. O(1), and without a lock unless they have changed.
    pub(crate) fn policies(&self) -> Arc<Policies> {
        let mut seen = self.seen.borrow_mut();
        if seen.0 != self.books.policies.edition() {
            *seen = self.books.policies.read();
        }
        Arc::clone(&seen.1)
    }

    /// The same, lent to who asks for no policies again before it gives them back: a count that all threads share is left alone.
    #[inline]
    pub(crate) fn lend_policies(&self) -> Ref<'_, Policies> {
        if self.seen.borrow().0 != self.books.policies.edition() {
            *self.seen.borrow_mut() = self.books.policies.read();
        }
        Ref::map(self.seen.borrow(), |seen| &*seen.1)
    }

    /// The tags of cached values.
    pub fn tags(&self) -> &TagBook {
        &self.books.tags
    }

    /// What databases and prefixes may take.
    pub fn quotas(&self) -> &QuotaBook {
        &self.books.quotas
    }

    /// What makes names.
    pub fn ids(&self) -> &Ids {
        &self.books.ids
    }

    /// Which queues get what is published.
    pub fn bindings(&self) -> &BindingBook {
        &self.books.bindings
    }

    /// Who waits for answers of queues.
    pub(crate) fn calls(&self) -> &CallBook {
        &self.books.calls
    }

    /// All policies, to be changed.
    pub fn book(&self) -> &PolicyBook {
        &self.books.policies
    }

    /// What this thread counts.
    #[inline]
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.tallies
    }
}
