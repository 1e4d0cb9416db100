//! How a queue hands out its messages, and what becomes of those that fail.

use crate::keyspace::size_class;

/// Longest lease, in milliseconds.
pub const LEASE_MAX_MS: u64 = 12 * 3_600_000;
/// Longest delay, in milliseconds: ten years.
pub const DELAY_MAX_MS: u64 = 10 * 366 * 86_400_000;
/// Most attempts that are remembered.
pub const HISTORY_MAX: u32 = 100;
/// Most delays of a list.
pub const DELAYS_MAX: usize = 64;

/// How long a message waits after a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Always as long.
    Fixed { base_ms: u64, max_ms: u64 },
    /// Longer by the same time after each failure.
    Linear { base_ms: u64, max_ms: u64 },
    /// Twice as long after each failure.
    Exponential { base_ms: u64, max_ms: u64 },
    /// These, the last of which repeats.
    List(Box<[u64]>),
}

impl Backoff {
    /// The delay after the `n`-th failed delivery, `n` from 1 on.
    pub fn delay_ms(&self, n: u32) -> u64 {
        let before = n.max(1) - 1;
        let (delay_ms, max_ms) = match self {
            Self::Fixed { base_ms, max_ms } => (*base_ms, *max_ms),
            Self::Linear { base_ms, max_ms } => (base_ms.saturating_mul(u64::from(before) + 1), *max_ms),
            Self::Exponential { base_ms, max_ms } => {
                let factor = 1u64.checked_shl(before).unwrap_or(u64::MAX);
                (base_ms.saturating_mul(factor), *max_ms)
            }
            Self::List(delays) => {
                let delay_ms = delays.get(before as usize).or(delays.last());
                (delay_ms.copied().unwrap_or(0), u64::MAX)
            }
        };
        delay_ms.min(max_ms).min(DELAY_MAX_MS)
    }
}

/// What `XQUEUE.CREATE` sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a worker has a message where it does not say.
    pub lease_ms: u64,
    /// Deliveries before a message is dead; 0 is no bound.
    pub max_deliver: u32,
    pub backoff: Backoff,
    /// Percents by which a delay may be shorter, by chance.
    pub jitter: u32,
    /// Milliseconds of waiting that are worth a class of priority; 0 is none.
    pub aging_ms: u64,
    /// Messages of one group that are out at once; at least 1.
    pub group_max: u32,
    /// Messages of the queue that are out at once; 0 is no bound.
    pub max_in_flight: u32,
    /// Messages that one consumer has at once; 0 is no bound.
    pub consumer_max: u32,
    /// The policy for deliveries of the queue; empty for none.
    pub rate: Box<str>,
    /// The policy for those of each group.
    pub group_rate: Box<str>,
    /// How long messages live that say nothing; 0 is for ever.
    pub ttl_ms: u64,
    /// Messages that lived too long are dead, not dropped.
    pub expired_die: bool,
    /// Most messages that wait; 0 is no bound.
    pub max_len: u64,
    /// Beyond that the oldest goes, and nobody is refused.
    pub drops_old: bool,
    /// Largest body, in bytes.
    pub max_body: u64,
    /// How long the dead are kept; 0 is for ever.
    pub dead_ttl_ms: u64,
    /// How many of them; 0 is no bound.
    pub dead_max: u64,
    /// The queue that gets them instead; empty for none.
    pub dead_letters: Box<[u8]>,
    /// Attempts that are remembered of each message.
    pub history: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lease_ms: 30_000,
            max_deliver: 10,
            backoff: Backoff::Exponential { base_ms: 1000, max_ms: 60_000 },
            jitter: 20,
            aging_ms: 0,
            group_max: 1,
            max_in_flight: 0,
            consumer_max: 0,
            rate: Box::default(),
            group_rate: Box::default(),
            ttl_ms: 0,
            expired_die: false,
            max_len: 0,
            drops_old: false,
            max_body: 1_048_576,
            dead_ttl_ms: 14 * 86_400_000,
            dead_max: 100_000,
            dead_letters: Box::default(),
            history: 5,
        }
    }
}

impl Options {
    /// The delay after the `n`-th failed delivery. `chance` is from 0 to 1, 1 excluded.
    pub fn delay_ms(&self, n: u32, chance: f64) -> u64 {
        let delay_ms = self.backoff.delay_ms(n);
        let most_ms = delay_ms as f64 * f64::from(self.jitter) / 100.0;
        delay_ms.saturating_sub((most_ms * chance.clamp(0.0, 1.0)) as u64)
    }

    /// Bytes of its allocations.
    pub(super) fn heap_size(&self) -> usize {
        let delays =
            if let Backoff::List(delays) = &self.backoff { delays.len() * size_of::<u64>() } else { 0 };
        [delays, self.rate.len(), self.group_rate.len(), self.dead_letters.len()].map(size_class).iter().sum()
    }

    /// Whether every number is in its range.
    pub(super) fn is_sound(&self) -> bool {
        (1..=LEASE_MAX_MS).contains(&self.lease_ms)
            && self.group_max > 0
            && self.jitter <= 100
            && self.history <= HISTORY_MAX
            && !matches!(&self.backoff, Backoff::List(delays) if delays.is_empty() || delays.len() > DELAYS_MAX)
    }
}
