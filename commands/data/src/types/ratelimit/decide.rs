//! What a limiter decides, exactly: integers only, nanoseconds for buckets, milliseconds for windows.
//!
//! A limiter that is asked brings its state up to the present, then looks whether the cost fits, and only then takes it. A
//! stored time that lies further in the future than it can is read as the latest it can be, so that no clock, however absurd,
//! closes a limiter for longer than its own window.

use super::{Concurrent, DURATION_MAX_MS, FILL_MAX_NS, Limiter, Log, MS, State};
use smallvec::SmallVec;

/// The parameters of a limiter, as a call or a policy names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `TOKENBUCKET`, `GCRA`
    Bucket {
        /// Units of a full bucket.
        capacity: i64,
        /// Time per unit, nanoseconds.
        unit_ns: i64,
    },
    /// `FIXED`
    Fixed {
        /// Units per window.
        limit: i64,
        /// Its length.
        window_ms: i64,
        /// Windows begin this long after multiples of their length; `None`: with the first call.
        align_ms: Option<i64>,
    },
    /// `SLIDING`
    Sliding {
        /// Units per window.
        limit: i64,
        /// Its length.
        window_ms: i64,
        /// Buckets it is counted in; `window_ms` is a multiple of it.
        buckets: i64,
    },
    /// `SLIDING ... LOG`
    Log {
        /// Units per window.
        limit: i64,
        /// Its length.
        window_ms: i64,
    },
    /// `LEAKY`
    Leaky {
        /// Units that may wait.
        capacity: i64,
        /// Time per unit, nanoseconds.
        unit_ns: i64,
        /// Longest delay that is accepted.
        max_delay_ms: Option<i64>,
    },
    /// `ACQUIRE`
    Concurrent {
        /// Units that may be held.
        limit: i64,
    },
}

/// What was decided, in milliseconds and whole units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The cost was taken, or would have been.
    pub allowed: bool,
    /// Most that an idle key would grant at once.
    pub limit: i64,
    /// What a call made now would still get.
    pub remaining: i64,
    /// When the cost would pass with no other traffic: 0 if it passed, -1 if it never can.
    pub retry_ms: i64,
    /// When the key is as new.
    pub reset_ms: i64,
    /// How long the caller of a leaky bucket has to wait; -1 if it was refused.
    pub delay_ms: i64,
}

/// A limiter holds a state of another algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherAlgorithm(pub &'static str);

impl Spec {
    /// Most that an idle key would grant at once.
    pub fn limit(&self) -> i64 {
        match *self {
            Spec::Bucket { capacity, .. } => capacity,
            Spec::Leaky { capacity, .. } => capacity + 1,
            Spec::Fixed { limit, .. }
            | Spec::Sliding { limit, .. }
            | Spec::Log { limit, .. }
            | Spec::Concurrent { limit } => limit,
        }
    }

    /// How long it takes until all of the limit is granted again, in milliseconds, rounded up.
    pub fn window_ms(&self) -> i64 {
        match *self {
            Spec::Bucket { capacity, unit_ns } => up(capacity * unit_ns),
            Spec::Leaky { capacity, unit_ns, .. } => up((capacity * unit_ns).saturating_add(unit_ns)),
            Spec::Fixed { window_ms, .. } | Spec::Sliding { window_ms, .. } | Spec::Log { window_ms, .. } => {
                window_ms
            }
            Spec::Concurrent { .. } => 0,
        }
    }

    /// Whether the time a full bucket takes to fill can be counted.
    pub fn is_in_range(&self) -> bool {
        match *self {
            Spec::Bucket { capacity, unit_ns } | Spec::Leaky { capacity, unit_ns, .. } => {
                unit_ns > 0 && capacity.checked_mul(unit_ns).is_some_and(|ns| ns <= FILL_MAX_NS)
            }
            _ => true,
        }
    }

    /// A limiter that was never used.
    #[inline]
    pub fn fresh(&self, now_ns: i64) -> Limiter {
        let now_ms = now_ns / MS;
        let state = match *self {
            Spec::Bucket { unit_ns, .. } => State::Bucket { unit_ns, tat_ns: 0, reserved: false },
            Spec::Fixed { window_ms, align_ms, .. } => {
                State::Fixed { window_ms, start_ms: window_start(now_ms, window_ms, align_ms), count: 0 }
            }
            Spec::Sliding { window_ms, buckets, .. } => State::Sliding {
                window_ms,
                newest: now_ms / (window_ms / buckets),
                counts: SmallVec::from_elem(0, buckets as usize + 1),
            },
            Spec::Log { window_ms, .. } => State::Log(Log::new(window_ms)),
            Spec::Leaky { unit_ns, max_delay_ms, .. } => {
                State::Leaky { unit_ns, next_ns: 0, max_delay_ms: max_delay_ms.unwrap_or(-1) }
            }
            Spec::Concurrent { .. } => State::Concurrent(Concurrent::default()),
        };
        Limiter { limit: self.limit(), blocked_ms: 0, policy: 0, unflushed: false, state }
    }
}

/// Nanoseconds as milliseconds, rounded up.
#[inline]
pub(super) fn up(ns: i64) -> i64 {
    let ms = ns / MS;
    if ms * MS < ns { ms + 1 } else { ms }
}

fn window_start(now_ms: i64, window_ms: i64, align_ms: Option<i64>) -> i64 {
    match align_ms {
        None => now_ms,
        Some(offset_ms) => (now_ms - offset_ms).div_euclid(window_ms) * window_ms + offset_ms,
    }
}

/// What a token bucket answers of which so much of its time to fill is still to come.
#[inline]
pub(super) fn bucket_verdict(limit: i64, unit_ns: i64, used_ns: i64, cost: i64) -> Verdict {
    let left_ns = limit * unit_ns - used_ns;
    let over_ns = if cost > limit { 0 } else { cost * unit_ns - left_ns };
    Verdict {
        allowed: over_ns <= 0,
        limit,
        remaining: if left_ns > 0 { left_ns / unit_ns } else { 0 },
        retry_ms: up(over_ns.max(0)),
        reset_ms: up(used_ns),
        delay_ms: 0,
    }
}

/// What a fixed window answers that ends then.
#[inline]
pub(super) fn fixed_verdict(limit: i64, end_ms: i64, count: i64, cost: i64, now_ms: i64) -> Verdict {
    let left_ms = (end_ms - now_ms).max(0);
    let allowed = count + cost <= limit;
    Verdict {
        allowed,
        limit,
        remaining: (limit - count).max(0),
        retry_ms: if allowed { 0 } else { left_ms },
        reset_ms: if count == 0 { 0 } else { left_ms },
        delay_ms: 0,
    }
}

/// Clocks that threads read for their turns are no further apart than this. What lies further ahead than it can is of a clock
/// that was wrong.
const APART_MAX_MS: i64 = 1000;

/// Start and count of a fixed window of this length, which had that start and count, at present.
///
/// A clock that another thread read a moment earlier is no new window, and does not end this one any sooner. If the window is
/// of a clock gone wrong, it begins anew with what it counted.
#[inline]
pub(super) fn opened_by(
    (start_ms, count): (i64, i64),
    window_ms: i64,
    align_ms: Option<i64>,
    now_ms: i64,
) -> (i64, i64) {
    let ahead_ms = start_ms - now_ms;
    if align_ms.is_none() {
        let start_ms = if ahead_ms >= APART_MAX_MS { now_ms } else { start_ms };
        return if now_ms - start_ms >= window_ms { (now_ms, 0) } else { (start_ms, count) };
    }
    if ahead_ms >= window_ms.max(APART_MAX_MS) {
        return (window_start(now_ms, window_ms, align_ms), count);
    }
    let begin_ms = window_start(now_ms.max(start_ms), window_ms, align_ms);
    if begin_ms == start_ms { (start_ms, count) } else { (begin_ms, 0) }
}

/// True for a time so far ahead that a clock was wrong, if it cannot be further than `most_ns`.
#[inline]
pub(super) fn is_absurd(until_ns: i64, most_ns: i64, now_ns: i64) -> bool {
    until_ns > now_ns && until_ns - now_ns > most_ns.saturating_add(APART_MAX_MS * MS)
}

/// What is left of a time to come that cannot be longer than `most_ns`.
#[inline]
pub(super) fn ahead_ns(until_ns: i64, most_ns: i64, now_ns: i64) -> i64 {
    if until_ns <= now_ns { 0 } else { (until_ns - now_ns).min(most_ns) }
}

/// `a * b / c`, rounded up; all positive, and the result as well in range as `a` if `b <= c`.
#[inline]
fn share_up(a: i64, b: i64, c: i64) -> i64 {
    if a == 0 {
        return 0;
    }
    match a.checked_mul(b) {
        Some(product) if product < i64::MAX - c => (product + c - 1) / c,
        _ => ((i128::from(a) * i128::from(b) + i128::from(c) - 1) / i128::from(c)) as i64,
    }
}

impl Limiter {
    /// Brings it up to the present with these parameters, which count from now on: a bucket keeps its time, a window its
    /// counts unless its length is another. What lies further ahead than it can is brought back: true if so.
    ///
    /// # Errors
    /// It is of another algorithm.
    #[inline]
    pub fn adopt(&mut self, spec: &Spec, now_ns: i64) -> Result<bool, OtherAlgorithm> {
        let now_ms = now_ns / MS;
        let mut is_back = self.bring_back(now_ns);
        match (&mut self.state, *spec) {
            (State::Bucket { unit_ns, .. }, Spec::Bucket { unit_ns: new_ns, .. }) => {
                *unit_ns = new_ns;
            }
            (
                State::Fixed { window_ms, start_ms, count },
                Spec::Fixed { window_ms: new_ms, align_ms, .. },
            ) => {
                let opened = if *window_ms == new_ms { (*start_ms, *count) } else { (now_ms, 0) };
                *window_ms = new_ms;
                (*start_ms, *count) = opened_by(opened, new_ms, align_ms, now_ms);
                is_back |= *start_ms < opened.0;
            }
            (
                State::Leaky { unit_ns, max_delay_ms, .. },
                Spec::Leaky { unit_ns: new_ns, max_delay_ms: new_delay, .. },
            ) => {
                (*unit_ns, *max_delay_ms) = (new_ns, new_delay.unwrap_or(-1));
            }
            (
                State::Sliding { window_ms, newest, counts },
                Spec::Sliding { window_ms: new_ms, buckets, .. },
            ) => {
                if *window_ms != new_ms || counts.len() as i64 != buckets + 1 {
                    self.state = spec.fresh(now_ns).state;
                } else {
                    let before = *newest;
                    slide(newest, counts, now_ms / (new_ms / buckets));
                    is_back |= *newest < before;
                }
            }
            (State::Log(log), Spec::Log { window_ms, .. }) => {
                if log.window_ms != window_ms {
                    *log = Log::new(window_ms);
                }
                log.forget(now_ms);
            }
            (State::Concurrent(leases), Spec::Concurrent { .. }) => {
                leases.forget(now_ms);
            }
            (state, _) => return Err(OtherAlgorithm(state.name())),
        }
        self.limit = spec.limit();
        Ok(is_back)
    }

    /// Nothing lies further ahead than its own whole length: a clock that was far ahead once would keep everybody out for as
    /// long. True if it did.
    #[inline]
    fn bring_back(&mut self, now_ns: i64) -> bool {
        let most_ns = self.most_ns();
        let now_ms = now_ns / MS;
        match &mut self.state {
            State::Bucket { tat_ns: until_ns, .. } | State::Leaky { next_ns: until_ns, .. }
                if is_absurd(*until_ns, most_ns, now_ns) =>
            {
                *until_ns = now_ns.saturating_add(most_ns);
                true
            }
            State::Log(log) if log.newest_ms().is_some_and(|ms| ms - now_ms > APART_MAX_MS) => {
                log.bring_back(now_ms);
                true
            }
            // Windows have begun when they are opened.
            _ => false,
        }
    }

    /// It cannot last so long until it is as new, even if threads' readings of the clock are apart.
    pub fn is_beyond(&self, ahead_ms: i64) -> bool {
        let spec = self.spec();
        // An aligned window that has not begun is the next one; of a sliding one the oldest bucket is cut.
        let more_ms = match spec {
            Spec::Fixed { window_ms, .. } => window_ms,
            Spec::Sliding { window_ms, buckets, .. } => window_ms / buckets,
            _ => 0,
        };
        ahead_ms > spec.window_ms().saturating_add(more_ms).saturating_add(APART_MAX_MS)
    }

    /// The parameters it was used with last.
    pub fn spec(&self) -> Spec {
        let limit = self.limit;
        match &self.state {
            State::Bucket { unit_ns, .. } => Spec::Bucket { capacity: limit, unit_ns: *unit_ns },
            State::Fixed { window_ms, start_ms, .. } => {
                Spec::Fixed { limit, window_ms: *window_ms, align_ms: Some(start_ms % window_ms) }
            }
            State::Leaky { unit_ns, max_delay_ms, .. } => Spec::Leaky {
                capacity: limit - 1,
                unit_ns: *unit_ns,
                max_delay_ms: (*max_delay_ms >= 0).then_some(*max_delay_ms),
            },
            State::Sliding { window_ms, counts, .. } => {
                Spec::Sliding { limit, window_ms: *window_ms, buckets: counts.len() as i64 - 1 }
            }
            State::Log(log) => Spec::Log { limit, window_ms: log.window_ms },
            State::Concurrent(_) => Spec::Concurrent { limit },
        }
    }

    /// Whether a call of this cost passes; it is charged if so. With a cost of 0 nothing changes. The limiter must be
    /// [up to date](Self::adopt).
    #[inline]
    pub fn take(&mut self, cost: i64, now_ns: i64) -> Verdict {
        let mut verdict = self.judge(cost, now_ns);
        if verdict.allowed && cost > 0 {
            let delay_ms = verdict.delay_ms;
            self.charge(cost, now_ns);
            verdict = self.judge(0, now_ns);
            verdict.delay_ms = delay_ms;
            verdict.allowed = true;
            verdict.retry_ms = 0;
        }
        verdict
    }

    /// What a call of this cost would be told, without charging it.
    #[inline]
    pub fn judge(&self, cost: i64, now_ns: i64) -> Verdict {
        let now_ms = now_ns / MS;
        if now_ms < self.blocked_ms {
            let left_ms = self.blocked_ms - now_ms;
            return Verdict {
                allowed: false,
                limit: self.limit,
                remaining: 0,
                retry_ms: left_ms,
                reset_ms: left_ms,
                delay_ms: if matches!(self.state, State::Leaky { .. }) { -1 } else { 0 },
            };
        }
        self.judge_open(cost, now_ns)
    }

    /// The same where nothing is blocked.
    #[inline]
    fn judge_open(&self, cost: i64, now_ns: i64) -> Verdict {
        let now_ms = now_ns / MS;
        let never = cost > self.limit;
        let mut verdict = match &self.state {
            State::Bucket { unit_ns, .. } => bucket_verdict(self.limit, *unit_ns, self.used_ns(now_ns), cost),
            State::Leaky { unit_ns, .. } => {
                let (bound_ns, wait_ns) = (self.bound_ns(), self.used_ns(now_ns));
                let over_ns = wait_ns - bound_ns;
                Verdict {
                    allowed: over_ns <= 0,
                    remaining: if over_ns <= 0 { -over_ns / unit_ns + 1 } else { 0 },
                    retry_ms: up(over_ns.max(0)),
                    reset_ms: up(wait_ns),
                    delay_ms: if over_ns <= 0 { up(wait_ns) } else { -1 },
                    ..Verdict::default()
                }
            }
            State::Fixed { window_ms, start_ms, count } => {
                fixed_verdict(self.limit, start_ms + window_ms, *count, cost, now_ms)
            }
            State::Sliding { window_ms, newest, counts } => {
                Window::of(*window_ms, *newest, counts, now_ms).judge(self.limit, cost)
            }
            State::Log(log) => {
                let used = log.total_at(now_ms);
                let allowed = used + cost <= self.limit;
                Verdict {
                    allowed,
                    remaining: (self.limit - used).max(0),
                    retry_ms: if allowed || never {
                        0
                    } else {
                        log.when_at_most(self.limit - cost, now_ms) - now_ms
                    },
                    reset_ms: log.newest_ms().map_or(0, |ms| (ms + log.window_ms - now_ms).max(0)),
                    ..Verdict::default()
                }
            }
            State::Concurrent(leases) => {
                let allowed = leases.total() + cost <= self.limit;
                Verdict {
                    allowed,
                    remaining: (self.limit - leases.total()).max(0),
                    retry_ms: if allowed || never {
                        0
                    } else {
                        leases.when_at_most(self.limit - cost, now_ms) - now_ms
                    },
                    reset_ms: leases.last_end_ms().map_or(0, |end_ms| (end_ms - now_ms).max(0)),
                    ..Verdict::default()
                }
            }
        };
        verdict.limit = self.limit;
        if never {
            verdict.allowed = false;
            verdict.retry_ms = -1;
            if matches!(self.state, State::Leaky { .. }) {
                verdict.delay_ms = -1;
            }
        }
        verdict
    }

    /// Time until a bucket is full, or until the next unit may leave a leaky one, nanoseconds.
    #[inline]
    fn used_ns(&self, now_ns: i64) -> i64 {
        let until_ns = match &self.state {
            State::Bucket { tat_ns, .. } => *tat_ns,
            State::Leaky { next_ns, .. } => *next_ns,
            _ => 0,
        };
        ahead_ns(until_ns, self.most_ns(), now_ns)
    }

    /// What that can be at most.
    #[inline]
    fn most_ns(&self) -> i64 {
        match &self.state {
            State::Bucket { unit_ns, reserved, .. } => {
                let waiting_ns = if *reserved { DURATION_MAX_MS * MS } else { 0 };
                self.limit * unit_ns + waiting_ns
            }
            State::Leaky { unit_ns, .. } => {
                ((self.limit - 1) * unit_ns).saturating_add(self.limit.saturating_mul(*unit_ns))
            }
            _ => 0,
        }
    }

    /// Longest time that may pass before the next unit of a leaky bucket leaves, for another to be accepted.
    fn bound_ns(&self) -> i64 {
        let State::Leaky { unit_ns, max_delay_ms, .. } = &self.state else { return 0 };
        let all_ns = (self.limit - 1) * unit_ns;
        if *max_delay_ms < 0 { all_ns } else { all_ns.min(max_delay_ms.saturating_mul(MS)) }
    }

    /// Charges a cost that was found to pass.
    fn charge(&mut self, cost: i64, now_ns: i64) {
        let (now_ms, used_ns) = (now_ns / MS, self.used_ns(now_ns));
        match &mut self.state {
            State::Bucket { unit_ns, tat_ns, reserved } => {
                *tat_ns = now_ns + used_ns + cost * *unit_ns;
                *reserved = false;
            }
            State::Leaky { unit_ns, next_ns, .. } => {
                *next_ns = now_ns.saturating_add(used_ns).saturating_add(cost.saturating_mul(*unit_ns));
            }
            State::Fixed { start_ms, count, window_ms } => {
                if *count == 0 && now_ms - *start_ms >= *window_ms {
                    *start_ms = now_ms;
                }
                *count += cost;
            }
            State::Sliding { counts, .. } => {
                if let Some(present) = counts.last_mut() {
                    *present += cost;
                }
            }
            State::Log(log) => {
                let at_ms = log.newest_ms().map_or(now_ms, |newest_ms| newest_ms.max(now_ms));
                log.push(at_ms, cost);
            }
            State::Concurrent(_) => {}
        }
    }

    /// Takes units of a token bucket that it does not have yet, for somebody who waits for them. What it answers is of the
    /// moment after that.
    pub fn reserve(&mut self, cost: i64, now_ns: i64) -> Verdict {
        let used_ns = self.used_ns(now_ns);
        if let State::Bucket { unit_ns, tat_ns, reserved } = &mut self.state {
            *tat_ns = now_ns.saturating_add(used_ns).saturating_add(cost * *unit_ns);
            *reserved = true;
        }
        Verdict { allowed: true, retry_ms: 0, ..self.judge(0, now_ns) }
    }

    /// Takes units as a penalty, or gives them back if `units` is negative: never below nothing, nor above the limit. False for
    /// leases, which cannot be adjusted.
    pub fn adjust(&mut self, units: i64, now_ns: i64) -> bool {
        let used_ns = self.used_ns(now_ns);
        let moved = |unit_ns: i64, most_ns: i64| {
            let delta_ns = units.saturating_mul(unit_ns);
            let new_ns = used_ns.saturating_add(delta_ns);
            if units > 0 { new_ns.min(most_ns).max(used_ns) } else { new_ns.max(0) }
        };
        let left = self.judge_open(0, now_ns).remaining;
        match &mut self.state {
            State::Bucket { unit_ns, tat_ns, reserved } => {
                let fill_ns = self.limit * *unit_ns;
                let new_ns = moved(*unit_ns, fill_ns);
                (*tat_ns, *reserved) = (now_ns + new_ns, *reserved && new_ns > fill_ns);
            }
            State::Leaky { unit_ns, next_ns, .. } => {
                *next_ns = now_ns.saturating_add(moved(*unit_ns, self.limit.saturating_mul(*unit_ns)));
            }
            State::Fixed { count, .. } => *count += units.clamp(-*count, left),
            State::Sliding { counts, .. } if units > 0 => {
                if let Some(present) = counts.last_mut() {
                    *present += units.min(left);
                }
            }
            State::Sliding { counts, .. } => {
                let mut back = units.saturating_neg();
                for count in counts.iter_mut().rev() {
                    let given = back.min(*count);
                    (*count, back) = (*count - given, back - given);
                }
            }
            State::Log(log) if units > 0 => {
                if left > 0 {
                    let now_ms = log.newest_ms().unwrap_or(0).max(now_ns / MS);
                    log.push(now_ms, units.min(left));
                }
            }
            State::Log(log) => log.take_back(units.saturating_neg()),
            State::Concurrent(_) => return false,
        }
        true
    }

    /// Gives or renews a lease, if it fits; leases that have ended must be [gone](Self::adopt).
    pub fn acquire(&mut self, id: &[u8], lease_ms: i64, cost: i64, now_ns: i64) -> Verdict {
        let State::Concurrent(leases) = &mut self.state else { return Verdict::default() };
        let own = leases.get(id).map_or(0, |(_, cost)| cost);
        let is_blocked = now_ns / MS < self.blocked_ms;
        if is_blocked || cost == 0 || leases.total() - own + cost > self.limit {
            // What is held already is no obstacle to itself.
            return if is_blocked || cost > self.limit {
                self.judge(cost, now_ns)
            } else {
                self.judge(cost - own, now_ns)
            };
        }
        leases.put(id, now_ns / MS + lease_ms, cost);
        Verdict { allowed: true, retry_ms: 0, ..self.judge(0, now_ns) }
    }

    /// The earliest time at which it is as new: its key may go then, in milliseconds.
    #[inline]
    pub fn expires_ms(&self, now_ns: i64) -> i64 {
        let now_ms = now_ns / MS;
        let idle_ms = match &self.state {
            State::Bucket { .. } | State::Leaky { .. } => up(now_ns + self.used_ns(now_ns)),
            State::Fixed { window_ms, start_ms, count } => {
                if *count == 0 {
                    now_ms
                } else {
                    start_ms + window_ms
                }
            }
            State::Sliding { window_ms, newest, counts } => {
                now_ms + Window::of(*window_ms, *newest, counts, now_ms).reset_ms()
            }
            State::Log(log) => log.newest_ms().map_or(now_ms, |newest_ms| newest_ms + log.window_ms),
            State::Concurrent(leases) => leases.last_end_ms().unwrap_or(now_ms),
        };
        idle_ms.max(self.blocked_ms)
    }
}

/// Moves the buckets of a sliding window so that the last is number `present`.
#[inline]
pub(super) fn slide(newest: &mut i64, counts: &mut [i64], present: i64) {
    let len = counts.len() as i64;
    let passed = present - *newest;
    if passed == 0 {
        return;
    }
    if passed < 0 {
        // A clock that another thread read a moment earlier; anything else is a clock gone wrong.
        if passed < -len {
            *newest = present;
        }
        return;
    }
    *newest = present;
    let passed = passed.min(len) as usize;
    counts.copy_within(passed.., 0);
    let kept = counts.len() - passed;
    counts[kept..].fill(0);
}

/// A sliding window at one moment.
pub(super) struct Window<'a> {
    /// Length of a bucket.
    bucket_ms: i64,
    counts: &'a [i64],
    /// Time since the present bucket began.
    passed_ms: i64,
}

impl<'a> Window<'a> {
    #[inline]
    fn of(window_ms: i64, newest: i64, counts: &'a [i64], now_ms: i64) -> Self {
        Window::of_buckets(window_ms / (counts.len() as i64 - 1), newest, counts, now_ms)
    }

    /// One of buckets of this length.
    #[inline]
    pub(super) fn of_buckets(bucket_ms: i64, newest: i64, counts: &'a [i64], now_ms: i64) -> Self {
        let passed_ms = (now_ms - newest * bucket_ms).clamp(0, bucket_ms);
        Window { bucket_ms, counts, passed_ms }
    }

    /// Units that count, rounded up.
    #[inline]
    pub(super) fn used(&self) -> i64 {
        let (oldest, whole) = (self.counts[0], self.counts[1..].iter().sum::<i64>());
        whole + share_up(oldest, self.bucket_ms - self.passed_ms, self.bucket_ms)
    }

    #[inline]
    fn judge(&self, limit: i64, cost: i64) -> Verdict {
        self.judge_used(self.used(), limit, cost)
    }

    /// What it answers when so many units count.
    #[inline]
    pub(super) fn judge_used(&self, used: i64, limit: i64, cost: i64) -> Verdict {
        let allowed = used + cost <= limit;
        Verdict {
            allowed,
            limit,
            remaining: (limit - used).max(0),
            retry_ms: if allowed || cost > limit { 0 } else { self.retry_ms(limit - cost) },
            reset_ms: self.reset_ms(),
            delay_ms: 0,
        }
    }

    /// Until no more than `most` units count.
    fn retry_ms(&self, most: i64) -> i64 {
        let len = self.counts.len();
        for first in 0..len {
            let oldest = self.counts[first];
            let whole: i64 = self.counts[first + 1..].iter().sum();
            if whole > most {
                continue;
            }
            // The oldest may count in so far as whole buckets leave room.
            let gone = oldest - (most - whole);
            let into_ms = if gone <= 0 { 0 } else { share_up(gone, self.bucket_ms, oldest) };
            return (first as i64 * self.bucket_ms + into_ms - self.passed_ms).max(0);
        }
        0
    }

    #[inline]
    pub(super) fn reset_ms(&self) -> i64 {
        let filled = self.counts.iter().rposition(|count| *count > 0);
        // The bucket at index `i` counts until as many buckets have begun as the window has, and one more.
        filled.map_or(0, |at| (at as i64 + 1) * self.bucket_ms - self.passed_ms)
    }
}
