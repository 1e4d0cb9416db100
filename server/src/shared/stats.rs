//! Figures for `INFO`. Each thread writes its own; a reader adds them up.

use super::rates::Rates;
use crate::clock;
use dashmap::DashMap;
use std::sync::atomic::{
    AtomicI64, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};

/// Adds to a counter that only its own thread writes: a plain add, no locked instruction.
#[inline]
pub fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// A histogram of durations with about 3 % resolution (HdrHistogram's bucket scheme: 32 linear steps per power
/// of two), from 1 ns to about 17 minutes.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
}

const STEPS_LOG2: u32 = 5;
const EXPONENTS: usize = 36;

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: (0..EXPONENTS << STEPS_LOG2).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Histogram {
    /// Counts a duration that was measured `count` times. Only one thread may do so at a time.
    #[inline]
    pub fn record(&self, nanos: u64, count: u64) {
        let index = Self::index(nanos).min(self.buckets.len() - 1);
        add(&self.buckets[index], count);
    }

    fn index(nanos: u64) -> usize {
        let steps = 1u64 << STEPS_LOG2;
        if nanos < steps {
            return nanos as usize;
        }
        let exponent = nanos.ilog2() - STEPS_LOG2;
        ((exponent as usize + 1) << STEPS_LOG2) + ((nanos >> exponent) - steps) as usize
    }

    /// The largest duration counted in bucket `index`, in nanoseconds.
    fn upper(index: usize) -> u64 {
        let steps = 1u64 << STEPS_LOG2;
        let (exponent, step) = (index >> STEPS_LOG2, index as u64 & (steps - 1));
        if exponent == 0 { step } else { ((steps + step + 1) << (exponent - 1)) - 1 }
    }

    /// Visits non-empty buckets in ascending order: largest duration in nanoseconds, count.
    pub fn each(&self, mut visit: impl FnMut(u64, u64)) {
        for (index, bucket) in self.buckets.iter().enumerate() {
            let count = bucket.load(Relaxed);
            if count > 0 {
                visit(Self::upper(index), count);
            }
        }
    }

    /// True when nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Relaxed) == 0)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Relaxed);
        }
    }

    /// Adds another histogram's counts.
    pub fn merge(&self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter().zip(&other.buckets) {
            add(mine, theirs.load(Relaxed));
        }
    }

    /// The duration in nanoseconds that `percent` of the counted ones do not exceed; 0 when nothing was counted.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total: u64 = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum();
        let wanted = ((percent / 100.0) * total as f64).ceil().max(1.0) as u64;
        let (mut seen, mut found) = (0, 0);
        self.each(|upper, count| {
            if seen < wanted {
                found = upper;
            }
            seen += count;
        });
        found
    }
}

/// Figures of one command on one thread.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// Executions.
    pub calls: AtomicU64,
    /// Time spent, nanoseconds.
    pub nanos: AtomicU64,
    /// Refused before execution.
    pub rejected: AtomicU64,
    /// Failed in execution.
    pub failed: AtomicU64,
    /// Distribution of the time spent, once there is any.
    pub histogram: OnceLock<Histogram>,
}

impl CommandStats {
    /// Counts executions that took so long together; their mean goes into the distribution if `is_timed`.
    #[inline]
    pub fn ran(&self, calls: u64, nanos: u64, is_timed: bool) {
        add(&self.calls, calls);
        add(&self.nanos, nanos);
        if is_timed {
            self.histogram.get_or_init(Default::default).record(nanos / calls, calls);
        }
    }
}

/// Figures of one worker thread.
#[derive(Debug)]
#[repr(align(128))]
pub struct ThreadStats {
    /// By command id.
    pub commands: Box<[CommandStats]>,
    /// Lookups that found a key.
    pub hits: AtomicU64,
    /// Lookups that found none.
    pub misses: AtomicU64,
    /// Keys deleted because their time had come.
    pub expired: AtomicU64,
    /// Of those, deleted by the sweep.
    pub expired_by_sweep: AtomicU64,
    /// Members of values that were removed because their time had come: hash fields, members of sets.
    pub expired_members: AtomicU64,
    /// Keys removed because memory was needed.
    pub evicted: AtomicU64,
    /// Changes of the keyspace.
    pub changes: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Writes to sockets.
    pub writes: AtomicU64,
    /// Turns of the event loop that did work.
    pub turns: AtomicU64,
    /// Time spent working, nanoseconds.
    pub busy_nanos: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// The [`Stats::epoch`] these figures belong to.
    epoch: AtomicU64,
}

impl ThreadStats {
    /// Zeros, for a thread that knows so many commands.
    pub fn new(commands: usize) -> Self {
        ThreadStats {
            commands: (0..commands).map(|_| CommandStats::default()).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            expired_by_sweep: AtomicU64::new(0),
            expired_members: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    /// Begins anew when `CONFIG RESETSTAT` was called since the last time. Only the thread itself calls this, so that
    /// no count can be written back over the zero. What counts for ever (changes, loop turns) stays.
    #[inline]
    pub fn follow(&self, epoch: u64) {
        if self.epoch.load(Relaxed) != epoch {
            self.reset(epoch);
        }
    }

    #[cold]
    fn reset(&self, epoch: u64) {
        let mine = [
            &self.hits,
            &self.misses,
            &self.expired,
            &self.expired_by_sweep,
            &self.expired_members,
            &self.evicted,
            &self.received,
            &self.sent,
            &self.reads,
            &self.writes,
            &self.errors,
        ];
        for figure in mine {
            figure.store(0, Relaxed);
        }
        for command in &self.commands {
            for figure in [&command.calls, &command.nanos, &command.rejected, &command.failed] {
                figure.store(0, Relaxed);
            }
            if let Some(histogram) = command.histogram.get() {
                histogram.clear();
            }
        }
        self.epoch.store(epoch, Release);
    }
}

/// Error replies by their code.
#[derive(Debug, Default)]
pub struct ErrorStats {
    by_code: DashMap<String, u64, foldhash::fast::RandomState>,
}

/// Distinct codes remembered; errors made up by users (scripts) must not fill the memory.
const ERROR_CODES_MAX: usize = 128;

impl ErrorStats {
    /// Counts an error with this code (the first word of its text).
    pub fn count(&self, code: &str) {
        if let Some(mut count) = self.by_code.get_mut(code) {
            *count += 1;
        } else if self.by_code.len() < ERROR_CODES_MAX {
            *self.by_code.entry(code.into()).or_default() += 1;
        }
    }

    /// All codes with their counts, sorted by code.
    pub fn all(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> =
            self.by_code.iter().map(|entry| (entry.key().clone(), *entry.value())).collect();
        all.sort_unstable();
        all
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.by_code.clear();
    }
}

/// Figures of the process.
#[derive(Debug)]
pub struct Stats {
    /// By worker thread.
    pub threads: Box<[Arc<ThreadStats>]>,
    /// Error replies by code.
    pub errors: ErrorStats,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because of `maxclients` or protected mode.
    pub rejected_connections: AtomicU64,
    /// Connections closed for their query buffer.
    pub query_buffer_disconnections: AtomicU64,
    /// Connections closed for their output buffer.
    pub output_buffer_disconnections: AtomicU64,
    /// Since when more memory is in use than `maxmemory` allows: Unix microseconds, 0 when it is not.
    exceeding_since_us: AtomicI64,
    /// For how long that was so altogether, until then: microseconds.
    exceeded_us: AtomicI64,
    /// Connections closed because all of them together occupied too much.
    pub evicted_clients: AtomicU64,
    /// Highest memory use seen, bytes.
    pub peak_memory: AtomicUsize,
    /// Memory use when the server had started, bytes.
    pub startup_memory: AtomicUsize,
    /// Rates, sampled by the cron.
    pub rates: Rates,
    /// Counts the calls of `CONFIG RESETSTAT`; see [`ThreadStats::follow`].
    epoch: AtomicU64,
    /// Largest input buffer seen lately, bytes.
    pub largest_input: AtomicUsize,
    /// Largest output buffer seen lately, bytes.
    pub largest_output: AtomicUsize,
}

impl Stats {
    /// Figures for `threads` workers and `commands` commands.
    pub fn new(threads: usize, commands: usize) -> Self {
        Stats {
            threads: (0..threads).map(|_| Arc::new(ThreadStats::new(commands))).collect(),
            errors: ErrorStats::default(),
            connections: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            query_buffer_disconnections: AtomicU64::new(0),
            output_buffer_disconnections: AtomicU64::new(0),
            exceeding_since_us: AtomicI64::new(0),
            exceeded_us: AtomicI64::new(0),
            evicted_clients: AtomicU64::new(0),
            peak_memory: AtomicUsize::new(0),
            startup_memory: AtomicUsize::new(0),
            rates: Rates::default(),
            epoch: AtomicU64::new(0),
            largest_input: AtomicUsize::new(0),
            largest_output: AtomicUsize::new(0),
        }
    }

    /// The threads whose figures are of the present epoch: one that has not run since `CONFIG RESETSTAT` has nothing
    /// to tell yet.
    pub fn current(&self) -> impl Iterator<Item = &ThreadStats> {
        let epoch = self.epoch();
        self.threads.iter().map(|thread| &**thread).filter(move |thread| thread.epoch.load(Acquire) == epoch)
    }

    /// Adds up one figure over all threads, since the last `CONFIG RESETSTAT`.
    pub fn sum(&self, figure: impl Fn(&ThreadStats) -> &AtomicU64) -> u64 {
        self.current().map(|thread| figure(thread).load(Relaxed)).sum()
    }

    /// Commands executed since the last `CONFIG RESETSTAT`: the calls of all commands, which are counted anyway.
    /// O(commands * threads).
    pub fn executed(&self) -> u64 {
        self.current().flat_map(|thread| &thread.commands).map(|command| command.calls.load(Relaxed)).sum()
    }

    /// Adds up one figure over all threads, since the start.
    pub fn total(&self, figure: impl Fn(&ThreadStats) -> &AtomicU64) -> u64 {
        self.threads.iter().map(|thread| figure(thread).load(Relaxed)).sum()
    }

    /// How often `CONFIG RESETSTAT` was called.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// `CONFIG RESETSTAT`: every thread begins anew at its next turn, and is not counted until then.
    pub fn reset(&self) {
        self.epoch.fetch_add(1, Relaxed);
        self.errors.reset();
        self.rates.reset();
        for figure in [&self.connections, &self.rejected_connections, &self.evicted_clients] {
            figure.store(0, Relaxed);
        }
        self.exceeded_us.store(0, Relaxed);
        self.exceeding_since_us.store(0, Relaxed);
    }

    /// More memory is in use than is allowed, and that cannot be changed at once.
    #[cold]
    pub fn exceeds_memory(&self) {
        let _ = self.exceeding_since_us.compare_exchange(0, clock::unix_us(), Relaxed, Relaxed);
    }

    /// What is in use is allowed.
    #[inline]
    pub fn keeps_to_memory(&self) {
        if self.exceeding_since_us.load(Relaxed) != 0 {
            let since = self.exceeding_since_us.swap(0, Relaxed);
            if since != 0 {
                self.exceeded_us.fetch_add((clock::unix_us() - since).max(0), Relaxed);
            }
        }
    }

    /// For how long more memory was in use than is allowed, in milliseconds: altogether, and this time.
    pub fn exceeded_ms(&self) -> (i64, i64) {
        let since = self.exceeding_since_us.load(Relaxed);
        let present = if since == 0 { 0 } else { (clock::unix_us() - since).max(0) };
        ((self.exceeded_us.load(Relaxed) + present) / 1000, present / 1000)
    }

    /// The highest memory use so far; never below the present one.
    pub fn note_memory(&self, used: usize) -> usize {
        self.peak_memory.fetch_max(used, Relaxed).max(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_within_its_bucket() {
        for nanos in (0..2000).chain([4095, 4096, 1_000_000, 123_456_789]) {
            let index = Histogram::index(nanos);
            assert!(nanos <= Histogram::upper(index), "{nanos}");
            assert!(index == 0 || nanos > Histogram::upper(index - 1), "{nanos}");
        }
    }

    #[test]
    fn percentiles_of_a_known_distribution() {
        let histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), 0);
        (1..=100).for_each(|n| histogram.record(n * 1000, 1));
        let p50 = histogram.percentile(50.0);
        assert!((50_000..52_000).contains(&p50), "{p50}");
        let p100 = histogram.percentile(100.0);
        assert!((100_000..104_000).contains(&p100), "{p100}");
    }
}
