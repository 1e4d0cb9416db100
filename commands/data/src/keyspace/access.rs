//! The 24 bits of a record that tell how it was used: for `OBJECT IDLETIME`, `OBJECT FREQ` and eviction.
//!
//! What the bits mean depends on `maxmemory-policy`, as in Redis:
//!
//! ```text
//! LRU, LRM   1 | 23 bits: 1/512 s, for 4.5 hours        0 | 23 bits: seconds, for 97 days
//! LFU        16 bits: minutes                            8 bits: logarithmic counter
//! S3-FIFO    2 bits: uses | 1 bit: main queue            21 bits: 1/128 s, when it was queued
//! ```
//!
//! Redis has whole seconds, which is coarse for a server that may replace all of its keys within one. So moments of the
//! last hours are kept finely, and older ones in seconds; [`Access::aged`] turns the former into the latter, and has to be
//! applied to every record at least every two hours.

/// Bits of a moment under LRU.
const LRU_MASK: u32 = (1 << 23) - 1;
/// The moment is a fine one.
const FINE: u32 = 1 << 23;
/// Fine moments per second.
const FINE_PER_S: u32 = 512;
/// Fine moments older than this become seconds.
const FINE_S_MAX: u32 = 2 * 3600;
/// Older keys count as so old: seconds.
const IDLE_S_MAX: u32 = LRU_MASK / 8 * 7;
/// So much later than now may a moment be that another thread wrote, or this one before the clock was set back.
const AHEAD_S: u32 = 60;

/// Bits of a moment under S3-FIFO.
const FIFO_MASK: u32 = (1 << 21) - 1;
const FIFO_PER_S: u32 = 128;
const FIFO_MAIN: u32 = 1 << 21;
const FIFO_USES_SHIFT: u32 = 22;
const FIFO_USES_MAX: u32 = 3;

/// Seconds between two calls of [`Access::aged`] for the same record, at most.
pub const AGED_EVERY_S: i64 = 3600;

/// The initial LFU counter of a new key: it is not evicted before it had a chance.
pub const LFU_INITIAL: u32 = 5;

/// The present moment, as records remember it under LRU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    fine: u32,
    second: u32,
}

impl Moment {
    /// Of a Unix time in milliseconds.
    #[expect(clippy::cast_sign_loss, reason = "the lower bits are wanted, of whatever number")]
    pub fn of_ms(now_ms: i64) -> Self {
        let second = now_ms.div_euclid(1000) as u32;
        let fine =
            second.wrapping_mul(FINE_PER_S).wrapping_add(now_ms.rem_euclid(1000) as u32 * FINE_PER_S / 1000);
        Moment { fine: fine & LRU_MASK, second: second & LRU_MASK }
    }

    /// The beginning of its second: where no key is going to be evicted, records change less often.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Moment { fine: self.fine / FINE_PER_S * FINE_PER_S, ..self }
    }

    #[inline]
    fn word(self) -> u32 {
        FINE | self.fine
    }

    /// Fine moments since `word`.
    fn idle(self, word: u32) -> u32 {
        let (now, per_s) = if word & FINE == 0 { (self.second, 1) } else { (self.fine, FINE_PER_S) };
        let idle = now.wrapping_sub(word) & LRU_MASK;
        if idle > LRU_MASK - AHEAD_S * per_s { 0 } else { idle * (FINE_PER_S / per_s) }
    }

    /// The word of a record that was used so many seconds ago.
    fn before(self, idle_s: u64) -> u32 {
        let idle_s = u32::try_from(idle_s).unwrap_or(u32::MAX).min(IDLE_S_MAX);
        if idle_s < FINE_S_MAX {
            FINE | self.fine.wrapping_sub(idle_s * FINE_PER_S) & LRU_MASK
        } else {
            self.second.wrapping_sub(idle_s) & LRU_MASK
        }
    }
}

/// How an access is remembered in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `CLIENT NO-TOUCH`, or a command that only looks from outside (`TTL`, `TYPE`, `OBJECT`). New records get this word.
    Untouched(u32),
    /// The moment of the last access.
    Lru(Moment),
    /// The moment of the last change: what only reads leaves no trace.
    Lrm(Moment),
    /// Redis' LFU word: minutes (16 bits) and a logarithmic counter (8 bits). The update is decided with this
    /// random number.
    Lfu {
        /// The present minute, 16 bits.
        minute: u32,
        /// A random number in `0..=u32::MAX`.
        luck: u32,
        /// `lfu-log-factor`
        log_factor: u32,
        /// `lfu-decay-time` in minutes; 0 never decays.
        decay_minutes: u32,
    },
    /// Uses, up to three, and the queue the record is in with its place there, which is a moment: see [`Access::fifo`].
    Fifo(u32),
}

impl Access {
    /// Nothing is remembered, and nothing is created.
    pub const NONE: Self = Access::Untouched(0);

    /// S3-FIFO at this Unix time in milliseconds.
    #[expect(clippy::cast_sign_loss, reason = "the lower bits are wanted, of whatever number")]
    pub fn fifo(now_ms: i64) -> Self {
        let second = now_ms.div_euclid(1000) as u32;
        let part = now_ms.rem_euclid(1000) as u32 * FIFO_PER_S / 1000;
        Access::Fifo(second.wrapping_mul(FIFO_PER_S).wrapping_add(part) & FIFO_MASK)
    }

    /// LRU at this Unix time in milliseconds.
    pub fn lru(now_ms: i64) -> Self {
        Access::Lru(Moment::of_ms(now_ms))
    }

    /// The access word of a record that is changed now, given its old word.
    #[inline]
    pub fn next(self, old: u32) -> u32 {
        match self {
            Access::Lru(now) | Access::Lrm(now) => now.word(),
            other => other.seen(old),
        }
    }

    /// The access word of a record that is read now, given its old word.
    #[inline]
    pub fn seen(self, old: u32) -> u32 {
        match self {
            Access::Lru(now) => now.word(),
            Access::Untouched(_) | Access::Lrm(_) => old,
            Access::Lfu { .. } => self.counted(old),
            Access::Fifo(_) => {
                let uses = old >> FIFO_USES_SHIFT;
                if uses < FIFO_USES_MAX { old + (1 << FIFO_USES_SHIFT) } else { old }
            }
        }
    }

    fn counted(self, old: u32) -> u32 {
        let Access::Lfu { minute, luck, log_factor, .. } = self else { return old };
        let counter = self.frequency(old);
        let base = counter.saturating_sub(LFU_INITIAL);
        let chance = 1.0 / (f64::from(base) * f64::from(log_factor) + 1.0);
        let won = f64::from(luck) / f64::from(u32::MAX) < chance;
        let counter = if won { (counter + 1).min(255) } else { counter };
        (minute << 8) | counter
    }

    /// The access word of a record that is created now.
    #[inline]
    pub fn initial(self) -> u32 {
        match self {
            Access::Untouched(word) | Access::Fifo(word) => word,
            Access::Lru(now) | Access::Lrm(now) => now.word(),
            Access::Lfu { minute, .. } => (minute << 8) | LFU_INITIAL,
        }
    }

    /// The access word of a record that comes from elsewhere, used `idle_s` seconds ago or with this LFU counter,
    /// whichever counts under the present policy.
    pub fn restored(self, idle_s: Option<u64>, frequency: Option<u8>) -> u32 {
        match (self, idle_s, frequency) {
            (Access::Lfu { minute, .. }, _, Some(frequency)) => minute << 8 | u32::from(frequency),
            (Access::Lru(now) | Access::Lrm(now), Some(idle_s), _) => now.before(idle_s),
            _ => self.initial(),
        }
    }

    /// Seconds since the last access, under S3-FIFO since the record was queued. 0 under LFU.
    pub fn idle_s(self, word: u32) -> u32 {
        match self {
            Access::Lru(now) | Access::Lrm(now) => now.idle(word) / FINE_PER_S,
            Access::Fifo(_) => self.queued(word) / FIFO_PER_S,
            Access::Untouched(_) | Access::Lfu { .. } => 0,
        }
    }

    /// The same in an unspecified smaller unit.
    pub(super) fn idle(self, word: u32) -> u32 {
        match self {
            Access::Lru(now) | Access::Lrm(now) => now.idle(word),
            _ => 0,
        }
    }

    /// The LFU counter after decay. Meaningful under LFU only.
    pub fn frequency(self, old: u32) -> u32 {
        let Access::Lfu { decay_minutes, .. } = self else { return old & 0xff };
        let periods = self.minutes(old).checked_div(decay_minutes).unwrap_or(0);
        (old & 0xff).saturating_sub(periods)
    }

    /// Minutes since the LFU counter was last written.
    pub(super) fn minutes(self, word: u32) -> u32 {
        let Access::Lfu { minute, .. } = self else { return 0 };
        minute.wrapping_sub(word >> 8) & 0xffff
    }

    /// How long the record has been in its queue, under S3-FIFO.
    pub(super) fn queued(self, word: u32) -> u32 {
        let Access::Fifo(now) = self else { return 0 };
        let age = now.wrapping_sub(word) & FIFO_MASK;
        if age > FIFO_MASK - AHEAD_S * FIFO_PER_S { 0 } else { age }
    }

    /// The word of a record that goes to the end of the main queue, with so many uses.
    pub(super) fn requeued(self, uses: u32) -> u32 {
        self.initial() | FIFO_MAIN | uses << FIFO_USES_SHIFT
    }

    /// The word of a record that was looked at because of its age alone; the same if it is to stay.
    pub fn aged(self, word: u32) -> u32 {
        match self {
            Access::Lru(now) | Access::Lrm(now) => {
                let idle_s = now.idle(word) / FINE_PER_S;
                let most = if word & FINE == 0 { IDLE_S_MAX } else { FINE_S_MAX };
                if idle_s > most { now.before(idle_s.into()) } else { word }
            }
            Access::Fifo(now) => {
                const OLDEST: u32 = 2 * 3600 * FIFO_PER_S;
                let kept = word & !FIFO_MASK;
                if self.queued(word) > OLDEST { kept | now.wrapping_sub(OLDEST) & FIFO_MASK } else { word }
            }
            Access::Untouched(_) | Access::Lfu { .. } => word,
        }
    }

    /// Words of this policy need [`Access::aged`].
    pub fn ages(self) -> bool {
        matches!(self, Access::Lru(_) | Access::Lrm(_) | Access::Fifo(_))
    }
}

/// Times a record was used since it was queued, up to three, under S3-FIFO.
pub(super) fn fifo_uses(word: u32) -> u32 {
    word >> FIFO_USES_SHIFT
}

/// The record is in the main queue, under S3-FIFO.
pub(super) fn fifo_is_main(word: u32) -> bool {
    word & FIFO_MAIN != 0
}

/// The word of a new record that was here not long ago, under S3-FIFO.
pub(super) fn fifo_returned(word: u32) -> u32 {
    word | FIFO_MAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_123;

    #[test]
    fn idle_times_are_kept_for_months() {
        let then = Access::lru(NOW_MS);
        let word = then.initial();
        for seconds in [0, 1, 59, 3599, 7200] {
            assert_eq!(Access::lru(NOW_MS + seconds * 1000).idle_s(word), seconds as u32);
        }
        let mut word = word;
        let mut now_ms = NOW_MS;
        for _ in 0..90 * 24 {
            now_ms += AGED_EVERY_S * 1000;
            word = Access::lru(now_ms).aged(word);
        }
        let days = Access::lru(now_ms).idle_s(word) / 86_400;
        assert!((84..=90).contains(&days), "{days}");
        assert_eq!(Access::lru(now_ms).idle_s(Access::lru(now_ms).next(word)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_old() {
        let word = Access::lru(NOW_MS).initial();
        assert_eq!(Access::lru(NOW_MS - 900).idle_s(word), 0);
        let whole = Access::Lru(Moment::of_ms(NOW_MS).whole_second());
        assert_eq!(whole.idle_s(word), 0);
        let word = Access::fifo(NOW_MS).initial();
        assert_eq!(Access::fifo(NOW_MS - 900).idle_s(word), 0);
    }

    #[test]
    fn idle_times_from_elsewhere_come_back() {
        let now = Access::lru(NOW_MS);
        for idle_s in [0, 1000, 7199, 7200, 86_400, 5_000_000] {
            assert_eq!(now.idle_s(now.restored(Some(idle_s), None)), idle_s as u32);
        }
        assert_eq!(now.idle_s(now.restored(Some(u64::MAX), None)), IDLE_S_MAX);
    }

    #[test]
    fn changes_count_under_lrm_and_reads_do_not() {
        let (old, now) = (Moment::of_ms(NOW_MS), Moment::of_ms(NOW_MS + 5000));
        let word = Access::Lrm(old).initial();
        assert_eq!(Access::Lrm(now).idle_s(Access::Lrm(now).seen(word)), 5);
        assert_eq!(Access::Lrm(now).idle_s(Access::Lrm(now).next(word)), 0);
        assert_eq!(Access::Lru(now).idle_s(Access::Lru(now).seen(word)), 0);
    }

    #[test]
    fn uses_are_counted_to_three_and_queues_kept() {
        let now = Access::fifo(NOW_MS);
        let mut word = fifo_returned(now.initial());
        for uses in [1, 2, 3, 3] {
            word = now.seen(word);
            assert_eq!((fifo_uses(word), fifo_is_main(word), now.queued(word)), (uses, true, 0));
        }
        let later = Access::fifo(NOW_MS + 10_000);
        assert_eq!(later.idle_s(word), 10);
        let word = later.requeued(1);
        assert_eq!((fifo_uses(word), fifo_is_main(word), later.queued(word)), (1, true, 0));
        let mut now_ms = NOW_MS + 10_000;
        let mut word = word;
        for _ in 0..100 {
            now_ms += AGED_EVERY_S * 1000;
            word = Access::fifo(now_ms).aged(word);
            assert_eq!((fifo_uses(word), fifo_is_main(word)), (1, true));
        }
        assert_eq!(Access::fifo(now_ms).idle_s(word), 7200);
    }

    #[test]
    fn the_lfu_counter_grows_logarithmically_and_decays() {
        let at = |minute, luck| Access::Lfu { minute, luck, log_factor: 10, decay_minutes: 1 };
        let mut word = at(7, 0).initial();
        assert_eq!(at(7, 0).frequency(word), 5);
        word = at(7, u32::MAX / 2).next(word);
        assert_eq!(at(7, 0).frequency(word), 6, "up to its initial value it always grows");
        word = at(7, u32::MAX / 2).seen(word);
        assert_eq!(at(7, 0).frequency(word), 6, "then with one chance in eleven");
        word = at(7, 0).seen(word);
        assert_eq!(at(7, 0).frequency(word), 7);
        assert_eq!(at(10, 0).frequency(word), 4);
        assert_eq!(at(100, 0).frequency(word), 0);
    }
}
