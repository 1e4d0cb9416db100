//! Counters of how much happened when: sums over windows of time, from rings of buckets of several widths.
//!
//! An addition goes to one bucket of every tier. The finest tier that reaches far enough back answers. Nothing here knows a
//! clock: what is visible is a function of the state and of the time that is asked for, and the state one of the effects
//! that were applied ([`Counter::apply`]).
//!
//! Effects say what the sums are, not what was added to them: an effect that comes late, or twice, does no harm. So the
//! journal need not hear of every addition. Which buckets it has yet to hear of is noted in the counter
//! ([`Counter::untold`]), where it goes with the value, but belongs neither to its form in files nor to what makes two
//! counters equal.

mod codec;
mod ring;
#[cfg(test)]
mod tests;
mod tiers;

pub use tiers::{AHEAD_MAX_MS, BUCKETS_MAX, DURATION_MAX_MS, InvalidTiers, TIERS_MAX, Tier, Tiers};

use ring::Ring;
use smallvec::SmallVec;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;

/// Most buckets of which the journal has yet to hear.
const UNTOLD_MAX: usize = 16;

/// A counter. It stays at 0, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counter {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    tiers: Tiers,
    rings: [Ring; TIERS_MAX],
    total: i64,
    /// Start of the earliest finest bucket and time of the newest addition; both 0 when nothing was added.
    first_ms: i64,
    last_ms: i64,
    /// The finest buckets that the journal has not heard of, by where they begin.
    untold: SmallVec<[i64; 2]>,
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        let figures = |parts: &Parts| (parts.tiers, parts.total, parts.first_ms, parts.last_ms);
        figures(self) == figures(other) && self.rings == other.rings
    }
}

/// A change of a counter: the only things that change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The tiers are these, and empty. What was counted as a whole stays.
    Configure(Tiers),
    /// Of the finest bucket that begins at `start_ms`, and of those of the other tiers that hold it, these are the sums.
    Set {
        start_ms: i64,
        /// As many as there are tiers.
        sums: [i64; TIERS_MAX],
        /// What all additions come to.
        total: i64,
        /// Where the earliest finest bucket that was added to begins.
        first_ms: i64,
        /// Time of the newest addition.
        last_ms: i64,
    },
}

/// An effect that does not fit the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The window is longer than what any tier keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondRetention;

/// A bucket and what happened in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub start_ms: i64,
    pub sum: i64,
}

/// Rows to be listed.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    counter: &'a Counter,
    tier: usize,
    now_ms: i64,
    width_ms: i64,
    start_ms: i64,
    len: u64,
}

impl Counter {
    /// An empty counter of these tiers.
    pub fn new(tiers: Tiers) -> Self {
        Counter { parts: Box::new(Parts { tiers, ..Parts::default() }) }
    }

    /// Its tiers, the finest first.
    pub fn tiers(&self) -> Tiers {
        self.parts.tiers
    }

    /// What all additions come to.
    pub fn total(&self) -> i64 {
        self.parts.total
    }

    /// Where the earliest finest bucket that was added to begins; 0 if none was.
    pub fn first_ms(&self) -> i64 {
        self.parts.first_ms
    }

    /// Time of the newest addition; 0 if there was none.
    pub fn last_ms(&self) -> i64 {
        self.parts.last_ms
    }

    /// The effect of adding `n` at `at_ms`, which is not negative. Sums that meet the end of their range stay there. O(1).
    #[inline]
    pub fn add(&self, n: i64, at_ms: i64) -> Effect {
        let parts = &self.parts;
        let start_ms = at_ms - at_ms % parts.tiers.finest().bucket_ms;
        let is_first = parts.rings[0].newest().is_none() && parts.last_ms == 0;
        Effect::Set {
            start_ms,
            sums: self.sums(start_ms).map(|sum| sum.saturating_add(n)),
            total: parts.total.saturating_add(n),
            first_ms: if is_first { start_ms } else { parts.first_ms.min(start_ms) },
            last_ms: parts.last_ms.max(at_ms),
        }
    }

    /// The sums of the buckets in all tiers that hold the finest one which begins at `start_ms`.
    #[inline]
    fn sums(&self, start_ms: i64) -> [i64; TIERS_MAX] {
        let mut sums = [0; TIERS_MAX];
        let parts = &self.parts;
        for (sum, (tier, ring)) in sums.iter_mut().zip(parts.tiers.iter().zip(&parts.rings)) {
            *sum = ring.sum(start_ms / tier.bucket_ms);
        }
        sums
    }

    /// True when it was added to at a time which, by this clock, is still to come: the clock is another one. Its buckets
    /// would take nothing before that time has come.
    pub fn is_ahead(&self, now_ms: i64) -> bool {
        let bucket_ms = self.parts.tiers.finest().bucket_ms;
        let newest = self.parts.rings[0].newest();
        newest.is_some_and(|newest| newest * bucket_ms > now_ms.saturating_add(AHEAD_MAX_MS))
    }

    /// Makes a change. O(tiers), but for buckets that are left behind, each of which is cleared once.
    ///
    /// # Errors
    /// It is not one that this counter can have had.
    #[inline]
    pub fn apply(&mut self, effect: &Effect) -> Result<(), Malformed> {
        let parts = &mut *self.parts;
        match *effect {
            Effect::Configure(tiers) => {
                parts.tiers = tiers;
                parts.rings = <[Ring; TIERS_MAX]>::default();
            }
            Effect::Set { start_ms, sums, total, first_ms, last_ms } => {
                let is_time = |ms: i64| (0..=DURATION_MAX_MS).contains(&ms);
                if !(is_time(start_ms) && is_time(first_ms) && is_time(last_ms)) {
                    return Err(Malformed);
                }
                (parts.total, parts.first_ms, parts.last_ms) = (total, first_ms, last_ms);
                for ((tier, ring), sum) in parts.tiers.iter().zip(&mut parts.rings).zip(sums) {
                    ring.set(start_ms / tier.bucket_ms, sum, tier.kept());
                }
            }
        }
        Ok(())
    }

    /// The journal hears of the finest bucket that begins at `start_ms` later: see [`Self::untold`]. False when there
    /// are so many of which it has not heard that it should at once.
    #[inline]
    pub fn note_untold(&mut self, start_ms: i64) -> bool {
        let untold = &mut self.parts.untold;
        // The last one first: mostly it is that.
        if !untold.iter().rev().any(|known| *known == start_ms) {
            untold.push(start_ms);
        }
        untold.len() < UNTOLD_MAX
    }

    /// True when there is something of which the journal has not heard.
    #[inline]
    pub fn has_untold(&self) -> bool {
        !self.parts.untold.is_empty()
    }

    /// What the journal has not heard of. O(what there is).
    pub fn untold(&self) -> impl Iterator<Item = Effect> {
        let Parts { total, first_ms, last_ms, .. } = *self.parts;
        self.parts.untold.iter().map(move |start_ms| Effect::Set {
            start_ms: *start_ms,
            sums: self.sums(*start_ms),
            total,
            first_ms,
            last_ms,
        })
    }

    /// The journal has heard of everything.
    pub fn forget_untold(&mut self) {
        self.parts.untold.clear();
    }

    /// The oldest bucket of a tier that is kept at this time.
    fn oldest(tier: Tier, now_ms: i64) -> i64 {
        now_ms.div_euclid(tier.bucket_ms) - tier.buckets + 1
    }

    /// The newest one that may have been added to.
    fn newest(tier: Tier, now_ms: i64) -> i64 {
        now_ms.saturating_add(AHEAD_MAX_MS).div_euclid(tier.bucket_ms)
    }

    /// What was added within the last `window_ms`, from the finest tier that reaches so far; of the bucket in which the
    /// window begins, the share that lies in it, rounded down. O(buckets in the window).
    ///
    /// # Errors
    /// No tier reaches so far.
    pub fn sum(&self, window_ms: i64, now_ms: i64) -> Result<i64, BeyondRetention> {
        let parts = &self.parts;
        let tiers = parts.tiers.iter().zip(&parts.rings);
        let mut reaching = tiers.filter(|(tier, _)| {
            i128::from(tier.bucket_ms) * i128::from(tier.buckets - 1) >= window_ms.into()
        });
        let (tier, ring) = reaching.next().ok_or(BeyondRetention)?;
        let left_ms = now_ms.saturating_sub(window_ms);
        let cut = left_ms.div_euclid(tier.bucket_ms);
        let whole = ring.sum_of(cut + 1, Self::newest(tier, now_ms));
        let overlap_ms = tier.bucket_ms - left_ms.rem_euclid(tier.bucket_ms);
        let part = (i128::from(ring.sum(cut)) * i128::from(overlap_ms)).div_euclid(tier.bucket_ms.into());
        Ok(saturated(whole + part))
    }

    /// The buckets of `width_ms` (that of the tier, if it is not given) which begin from `from_ms` on and before `to_ms`,
    /// from the finest tier that goes back to `from_ms`, or else the coarsest. `None` if no tier's buckets make up such
    /// ones. O(1).
    pub fn rows(&self, from_ms: i64, to_ms: i64, width_ms: Option<i64>, now_ms: i64) -> Option<Rows<'_>> {
        let fits = |tier: &Tier| width_ms.is_none_or(|width_ms| width_ms % tier.bucket_ms == 0);
        let covers = |tier: &Tier| from_ms.div_euclid(tier.bucket_ms) >= Self::oldest(*tier, now_ms);
        let tiers = || self.parts.tiers.iter().enumerate().filter(|(_, tier)| fits(tier));
        let (tier, Tier { bucket_ms, .. }) =
            tiers().find(|(_, tier)| covers(tier)).or_else(|| tiers().last())?;
        let width_ms = width_ms.unwrap_or(bucket_ms);
        let number =
            |ms: i64| i128::from(ms).div_euclid(width_ms.into()) + i128::from(ms.rem_euclid(width_ms) > 0);
        let (first, end) = (number(from_ms), number(to_ms));
        let start_ms = i64::try_from(first * i128::from(width_ms)).ok();
        let len = if start_ms.is_some() { (end - first).max(0) as u64 } else { 0 };
        Some(Rows { counter: self, tier, now_ms, width_ms, start_ms: start_ms.unwrap_or(0), len })
    }
}

/// The nearest number in range.
fn saturated(sum: i128) -> i64 {
    sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

impl Rows<'_> {
    /// How many there are, empty ones included.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them. O(buckets in them).
    pub fn all(&self) -> impl Iterator<Item = Row> {
        (0..self.len).map(|at| self.row(at))
    }

    /// Those that are not 0. O(buckets of the tier) however many there are.
    pub fn filled(&self) -> impl Iterator<Item = Row> {
        let (tier, ring) = self.tier();
        // Outside of these numbers there is nothing.
        let oldest = Counter::oldest(tier, self.now_ms);
        let newest = ring.newest().unwrap_or(oldest).min(Counter::newest(tier, self.now_ms));
        let at = |number: i64| {
            let ms = i128::from(number) * i128::from(tier.bucket_ms) - i128::from(self.start_ms);
            ms.div_euclid(self.width_ms.into()).clamp(0, i128::from(self.len)) as u64
        };
        (at(oldest)..at(newest).saturating_add(1).min(self.len))
            .map(|at| self.row(at))
            .filter(|row| row.sum != 0)
    }

    fn tier(&self) -> (Tier, &Ring) {
        let parts = &self.counter.parts;
        (parts.tiers.get(self.tier), &parts.rings[self.tier])
    }

    fn row(&self, at: u64) -> Row {
        let (tier, ring) = self.tier();
        // It lies in the range that was asked for.
        let start_ms = (i128::from(self.start_ms) + i128::from(at) * i128::from(self.width_ms)) as i64;
        let first = start_ms.div_euclid(tier.bucket_ms);
        let last = first + self.width_ms / tier.bucket_ms - 1;
        let (oldest, newest) = (Counter::oldest(tier, self.now_ms), Counter::newest(tier, self.now_ms));
        let sum = ring.sum_of(first.max(oldest), last.min(newest));
        Row { start_ms, sum: saturated(sum) }
    }
}

impl AlwaysBoxed for Counter {
    const CODE: TypeCode = TypeCode::Counter;
    const ENCODING: &'static str = "counter";

    fn size_behind(&self) -> usize {
        let parts = &self.parts;
        let rings: usize = parts.rings.iter().map(Ring::heap_size).sum();
        let untold = &parts.untold;
        let spilled = if untold.spilled() { size_class(untold.capacity() * size_of::<i64>()) } else { 0 };
        size_class(size_of::<Parts>()) + rings + spilled
    }
}
