//! What a handler gets besides its arguments and its reply.

use super::native::NativeTurn;
use super::outcome::Outcome;
use super::sketches::SketchSettings;
use std::cell::Cell;
use tidegate_data::{Encodings, Keys};

/// The keyspace under the held shards, and the outside world in small doses.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The keys this request may touch.
    pub keys: Keys<'a>,
    /// Clock, randomness and settings.
    pub env: Env<'a>,
}

/// Clock, randomness and settings, fixed for the duration of one execution unit.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something about the unit for itself")]
pub struct Env<'a> {
    now_ms: i64,
    rng: &'a mut Rng,
    limits: &'a Limits,
    native: &'a NativeTurn,
    nondeterministic: Cell<bool>,
    is_retry: bool,
    is_journaled: bool,
    is_scripted: bool,
    is_amidst: bool,
    waiters: usize,
}

impl<'a> Env<'a> {
    /// An environment at `now_ms` (Unix milliseconds).
    pub fn new(now_ms: i64, rng: &'a mut Rng, limits: &'a Limits, native: &'a NativeTurn) -> Self {
        Env {
            now_ms,
            rng,
            limits,
            native,
            nondeterministic: Cell::new(false),
            is_retry: false,
            is_journaled: true,
            is_scripted: false,
            is_amidst: false,
            waiters: 0,
        }
    }

    /// The same where so many requests stand in line for the first key of the command.
    #[must_use]
    pub fn awaited_by(mut self, waiters: usize) -> Self {
        self.waiters = waiters;
        self
    }

    /// Requests that stand in line ([`Wait::in_line`](super::Wait::in_line)) for the first key of the command; one that has
    /// waited counts itself, and has nobody before it.
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// The same for a request that has waited.
    #[must_use]
    pub fn retrying(mut self, is_retry: bool) -> Self {
        self.is_retry = is_retry;
        self
    }

    /// The same where nobody may take effects: there is no journal.
    #[must_use]
    pub fn journaling(mut self, is_journaled: bool) -> Self {
        self.is_journaled = is_journaled;
        self
    }

    /// The same for a command that a script calls.
    #[must_use]
    pub fn scripted(mut self, is_scripted: bool) -> Self {
        self.is_scripted = is_scripted;
        self
    }

    /// The same for a command of a transaction.
    #[must_use]
    pub fn amidst(mut self, is_amidst: bool) -> Self {
        self.is_amidst = is_amidst;
        self
    }

    /// False where nothing may wait: in a transaction, and in a script.
    pub fn may_wait(&self) -> bool {
        !(self.is_amidst | self.is_scripted)
    }

    /// What commands of our own have besides.
    #[inline]
    pub fn native(&self) -> &'a NativeTurn {
        self.native
    }

    /// The clock of our own commands, nanoseconds: it never goes back, and does not move within a turn.
    #[inline]
    pub fn native_ns(&self) -> i64 {
        self.nondeterministic.set(true);
        self.native.now_ns()
    }

    /// The same in milliseconds.
    #[inline]
    pub fn native_ms(&self) -> i64 {
        self.native_ns() / 1_000_000
    }

    /// What the time of day is at a moment of the native clock. They are the same, unless the time of day was set back.
    pub fn wall_of_native(&self, at_ms: i64) -> i64 {
        /// They are read one after the other, and one of them may be adjusted a little.
        const SAME_MS: i64 = 1000;
        let ahead_ms = self.native_ms() - self.now_ms;
        if ahead_ms > SAME_MS { at_ms - ahead_ms } else { at_ms }
    }

    /// A number larger than every one given out before: a fencing token.
    pub fn next_token(&self) -> i64 {
        self.nondeterministic.set(true);
        self.native.next_token()
    }

    /// Chance by which delays are spread, from 0 to 1, 1 excluded; `DEBUG JITTER` says what it is.
    pub fn jitter(&mut self) -> f64 {
        self.nondeterministic.set(true);
        match self.native.jitter() {
            Some(fraction) => fraction,
            None => (self.rng.next() >> 11) as f64 / (1u64 << 53) as f64,
        }
    }

    /// Soft state may change without the journal hearing of each change; it does of the last one soon.
    #[inline]
    pub fn coalesces(&self) -> bool {
        self.is_journaled && !self.is_amidst && self.native.coalesces()
    }

    /// True when somebody takes effects.
    #[inline]
    pub fn is_journaled(&self) -> bool {
        self.is_journaled
    }

    /// True when a script calls the command: what it is told must not depend on how a value is kept.
    #[inline]
    pub fn is_scripted(&self) -> bool {
        self.is_scripted
    }

    /// Something changed; `effects` reproduces it exactly. It is not asked where nobody takes effects, because putting
    /// them together costs as much as many a command.
    #[inline]
    pub fn changed_as(&self, effects: impl FnOnce() -> Outcome) -> Outcome {
        if self.is_journaled { effects() } else { Outcome::Changed }
    }

    /// True when the request has waited for a key that was touched now (or for the time it named): it goes on waiting
    /// where it would fail at once the first time, as with a key that holds another type.
    #[inline]
    pub fn is_retry(&self) -> bool {
        self.is_retry
    }

    /// Unix time in milliseconds. It does not move while a command, a transaction or a script runs.
    pub fn now_ms(&self) -> i64 {
        self.nondeterministic.set(true);
        self.now_ms
    }

    /// The source of random numbers.
    pub fn rng(&mut self) -> &mut Rng {
        self.nondeterministic.set(true);
        self.rng
    }

    /// Settings that bound what commands accept.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// True when the clock or the random source was read: the request's own bytes may then not be a
    /// deterministic effect. Read by the debug check of the outcome.
    pub fn was_nondeterministic(&self) -> bool {
        self.nondeterministic.get()
    }
}

/// Settings that handlers obey; a snapshot of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directive of its own")]
pub struct Limits {
    /// `proto-max-bulk-len`: the largest string, in bytes.
    pub max_bulk_len: u64,
    /// `maxmemory-policy` is one of the LFU policies: `OBJECT FREQ` answers, `OBJECT IDLETIME` does not.
    pub lfu: bool,
    /// Small integers are reported as shared by `OBJECT REFCOUNT`: unless memory is bounded (`maxmemory`) under an
    /// LRU or LFU policy, which need an access clock per value.
    pub shared_integers: bool,
    /// Cluster mode: there is one database only.
    pub cluster: bool,
    /// The `databases` directive.
    pub databases: usize,
    /// `lazyfree-lazy-user-del`: `DEL` frees like `UNLINK`.
    pub lazy_del: bool,
    /// `lazyfree-lazy-user-flush`: `FLUSHALL` and `FLUSHDB` are `ASYNC` where nothing is said.
    pub lazy_flush: bool,
    /// When collections change their encoding.
    pub encodings: Encodings,
    /// `rdbcompression`: `DUMP` compresses long strings.
    pub compress_dumps: bool,
    /// `RESTORE` looks at checksums; a test may not want that.
    pub verify_dumps: bool,
    /// The user may read any key: not only those that arguments name (`SORT ... GET`).
    pub reads_all_keys: bool,
    /// What new sketches are like.
    pub sketches: SketchSettings,
    /// `idem-max-response`: the largest answer that is kept for a request, in bytes.
    pub idem_response_max: usize,
    /// Bytes that one new value may take without more than `maxmemory` being used.
    pub memory_left: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bulk_len: 512 * 1024 * 1024,
            lfu: false,
            shared_integers: true,
            cluster: false,
            databases: 16,
            lazy_del: false,
            lazy_flush: false,
            encodings: Encodings::default(),
            compress_dumps: true,
            verify_dumps: true,
            reads_all_keys: true,
            sketches: SketchSettings::default(),
            idem_response_max: 1 << 20,
            memory_left: u64::MAX,
        }
    }
}

/// A small fast generator (wyrand) for sampling and random replies; not for secrets.
///
/// Source: Wang Yi, wyhash, final version 4.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator starting at `seed`.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "an endless generator is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let wide = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (wide >> 64) as u64 ^ wide as u64
    }

    /// A number in `0..bound`, without noticeable bias for bounds far below 2^64. `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "an empty range has no numbers");
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
