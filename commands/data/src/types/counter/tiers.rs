//! How wide the buckets of a counter are, and how many are kept.

/// How far ahead of the clock an addition may be dated, in ms.
pub const AHEAD_MAX_MS: i64 = 1000;

/// Most tiers of a counter.
pub const TIERS_MAX: usize = 4;

/// Most buckets of a tier.
pub const BUCKETS_MAX: i64 = 100_000;

/// The longest duration, and the latest time, in ms: whole numbers up to here survive in clients that know doubles only.
pub const DURATION_MAX_MS: i64 = 1 << 53;

/// The newest `buckets` buckets of `bucket_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Width of a bucket in ms, 1 to [`DURATION_MAX_MS`].
    pub bucket_ms: i64,
    /// How many are kept, 1 to [`BUCKETS_MAX`].
    pub buckets: i64,
}

impl Tier {
    /// How many have a place: so that those which are still to come, by a little, push none out.
    pub(super) const fn kept(self) -> i64 {
        self.buckets + 1 + (AHEAD_MAX_MS - 1) / self.bucket_ms
    }
}

/// One to four tiers, each with buckets that are made up of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    tiers: [Tier; TIERS_MAX],
    len: usize,
}

/// The tiers do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTiers;

impl Default for Tiers {
    /// Two minutes by the second, three hours by the minute, three days by the hour, 400 days.
    fn default() -> Self {
        const fn tier(bucket_ms: i64, buckets: i64) -> Tier {
            Tier { bucket_ms, buckets }
        }
        let tiers = [tier(1000, 120), tier(60_000, 180), tier(3_600_000, 72), tier(86_400_000, 400)];
        Tiers { tiers, len: TIERS_MAX }
    }
}

impl Tiers {
    /// These tiers, the finest first.
    ///
    /// # Errors
    /// There are none or too many, one is out of range, or its width is no multiple of that before it.
    pub fn new(tiers: &[Tier]) -> Result<Self, InvalidTiers> {
        let in_range = |tier: &Tier| {
            let length_ms = tier.bucket_ms.checked_mul(tier.buckets);
            tier.bucket_ms > 0
                && (1..=BUCKETS_MAX).contains(&tier.buckets)
                && length_ms.is_some_and(|ms| ms <= DURATION_MAX_MS)
        };
        let coarser = |pair: &[Tier]| {
            pair[1].bucket_ms > pair[0].bucket_ms && pair[1].bucket_ms % pair[0].bucket_ms == 0
        };
        let is_valid = (1..=TIERS_MAX).contains(&tiers.len())
            && tiers.iter().all(in_range)
            && tiers.windows(2).all(coarser);
        if !is_valid {
            return Err(InvalidTiers);
        }
        let mut all = [tiers[0]; TIERS_MAX];
        all[..tiers.len()].copy_from_slice(tiers);
        Ok(Tiers { tiers: all, len: tiers.len() })
    }

    /// All of them, the finest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Tier> + use<> {
        self.tiers.into_iter().take(self.len)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Tier `index`, of which there is one.
    pub fn get(&self, index: usize) -> Tier {
        self.tiers[..self.len][index]
    }

    /// The one with the narrowest buckets.
    pub fn finest(&self) -> Tier {
        self.tiers[0]
    }

    /// The one with the widest.
    pub fn coarsest(&self) -> Tier {
        self.tiers[self.len - 1]
    }
}
