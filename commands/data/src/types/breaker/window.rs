//! Calls in a window of time, counted in buckets.

/// Buckets of a window.
pub(super) const BUCKETS: usize = 10;

/// How calls ended. No sum is greater than 2^62.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub ok: i64,
    pub fail: i64,
    /// How many of them were slow, whatever else they were.
    pub slow: i64,
}

/// Where sums end.
const SUM_MAX: i64 = 1 << 58;

impl Calls {
    /// All of them.
    pub fn total(self) -> i64 {
        self.ok + self.fail
    }

    /// How many percent this part of them is, rounded down.
    pub fn percent(self, part: i64) -> i64 {
        match self.total() {
            0 => 0,
            total => (i128::from(part) * 100 / i128::from(total)) as i64,
        }
    }

    fn plus(self, other: Self) -> Self {
        let sum = |a: i64, b: i64| a.saturating_add(b).clamp(0, SUM_MAX);
        Calls {
            ok: sum(self.ok, other.ok),
            fail: sum(self.fail, other.fail),
            slow: sum(self.slow, other.slow),
        }
    }

    /// No bucket has more than this, so that sums of them do not overflow.
    pub(super) fn is_plausible(self) -> bool {
        [self.ok, self.fail, self.slow].iter().all(|sum| (0..=SUM_MAX).contains(sum))
    }
}

/// The last ten buckets.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Bucket `n` is at `n % 10`.
    buckets: [Calls; BUCKETS],
    /// Number of the newest one: the time at which it began, in widths.
    newest: i64,
}

impl Window {
    /// These buckets, the oldest first.
    pub(super) fn of_parts(newest: i64, oldest_first: [Calls; BUCKETS]) -> Self {
        let mut window = Window { newest, ..Window::default() };
        for (back, calls) in oldest_first.iter().rev().enumerate() {
            window.buckets[slot(newest - back as i64)] = *calls;
        }
        window
    }

    /// The number of the newest bucket, and all of them, the oldest first.
    pub(super) fn parts(&self) -> (i64, [Calls; BUCKETS]) {
        let first = self.newest - BUCKETS as i64 + 1;
        (self.newest, std::array::from_fn(|at| self.buckets[slot(first + at as i64)]))
    }

    pub(super) fn add(&mut self, calls: Calls, bucket_ms: i64, now_ms: i64) {
        let number = now_ms.div_euclid(bucket_ms);
        let ahead = number.saturating_sub(self.newest);
        if ahead >= BUCKETS as i64 || ahead <= -(BUCKETS as i64) {
            // Long ago, or by another clock, which was ahead of ours.
            *self = Window { newest: number, ..Window::default() };
        } else if ahead > 0 {
            for passed in self.newest + 1..=number {
                self.buckets[slot(passed)] = Calls::default();
            }
            self.newest = number;
        }
        let bucket = &mut self.buckets[slot(number)];
        *bucket = bucket.plus(calls);
    }

    /// The sum of the buckets that end with that of this time.
    pub(super) fn calls(&self, bucket_ms: i64, now_ms: i64) -> Calls {
        let number = now_ms.div_euclid(bucket_ms);
        let seen = number - BUCKETS as i64 + 1..=number;
        let (newest, buckets) = self.parts();
        let numbered = (newest - BUCKETS as i64 + 1..).zip(buckets);
        let visible = numbered.filter(|(at, _)| seen.contains(at));
        visible.fold(Calls::default(), |sum, (_, calls)| sum.plus(calls))
    }
}

fn slot(number: i64) -> usize {
    number.rem_euclid(BUCKETS as i64) as usize
}
