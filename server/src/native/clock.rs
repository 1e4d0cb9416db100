//! The clock of commands of our own, and the tokens that come from it.
//!
//! N never goes back over the life of the data set: it begins where the files say it had come, or at the time of day if that
//! is later, and then keeps the pace of the machine's uptime. If the time of day comes to be more than a second ahead, because
//! the machine was paused or its clock was set right, N jumps; if it falls behind, N goes on.

use crate::clock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use tidegate_commands::model::Clocks;

const MS: i64 = 1_000_000;
/// N follows the time of day when it lies behind by more, in nanoseconds.
const AHEAD_MAX_NS: i64 = 1000 * MS;
/// Tokens count microseconds from 2020-01-01 on.
const TOKEN_EPOCH_US: i64 = 1_577_836_800_000_000;
/// Files that were written so much later than now are not believed, in milliseconds, unless `clock-max-regression-ms` says
/// otherwise.
const REGRESSION_MAX_MS: i64 = 86_400_000;

/// N and T of this process.
#[derive(Debug)]
pub struct NativeClock {
    /// N is the machine's uptime and this, nanoseconds.
    offset_ns: AtomicI64,
    /// The last token.
    token: AtomicI64,
    /// The clock stands still here, Unix milliseconds; 0 when it goes.
    frozen_ms: AtomicI64,
    forward_steps: AtomicU64,
    /// `clock-max-regression-ms`
    pub regression_max_ms: AtomicI64,
    /// `DEBUG JITTER`: the fraction that stands for chance, in millionths; negative for none.
    jitter: AtomicI64,
    used: AtomicBool,
}

impl Default for NativeClock {
    fn default() -> Self {
        NativeClock {
            offset_ns: AtomicI64::new(clock::unix_ns() - clock::uptime_ns()),
            token: AtomicI64::new(0),
            frozen_ms: AtomicI64::new(0),
            forward_steps: AtomicU64::new(0),
            regression_max_ms: AtomicI64::new(REGRESSION_MAX_MS),
            jitter: AtomicI64::new(-1),
            used: AtomicBool::new(false),
        }
    }
}

impl NativeClock {
    /// Where the clock stands still, Unix milliseconds, if it does.
    #[inline]
    pub fn frozen_ms(&self) -> Option<i64> {
        match self.frozen_ms.load(Relaxed) {
            0 => None,
            frozen_ms => Some(frozen_ms),
        }
    }

    /// The time of day, Unix milliseconds; where it stands still if it does.
    #[inline]
    pub fn wall_ms(&self) -> i64 {
        self.frozen_ms().unwrap_or_else(clock::unix_ms)
    }

    /// Somebody has asked for the time since the process began, or the files told it.
    pub fn is_used(&self) -> bool {
        self.used.load(Relaxed)
    }

    /// N in milliseconds, and the last token.
    pub fn readings(&self) -> (i64, i64) {
        (self.read_ns() / MS, self.token.load(Relaxed))
    }

    /// N in nanoseconds, for those who do not make it matter.
    pub fn now_untold_ns(&self) -> i64 {
        self.read_ns()
    }

    /// How often N has jumped to the time of day.
    pub fn forward_steps(&self) -> u64 {
        self.forward_steps.load(Relaxed)
    }

    /// How far the time of day is behind N, in milliseconds.
    pub fn behind_ms(&self) -> i64 {
        if self.frozen_ms().is_some() {
            return 0;
        }
        ((self.read_ns() - clock::unix_ns()) / MS).max(0)
    }

    /// Stops all clocks at this moment. The next token is exactly that of the moment.
    pub fn freeze(&self, now_ms: i64) {
        self.frozen_ms.store(now_ms.max(1), Relaxed);
        self.token.store(0, Relaxed);
    }

    /// Moves the clocks that stand still; false if they do not.
    pub fn advance(&self, ms: i64) -> bool {
        let moved = |now_ms: i64| (now_ms > 0).then(|| now_ms.saturating_add(ms).max(1));
        self.frozen_ms.fetch_update(Relaxed, Relaxed, moved).is_ok()
    }

    /// Lets the clocks go again.
    pub fn resume(&self) {
        self.frozen_ms.store(0, Relaxed);
    }

    /// What stands for chance where delays are spread: a fraction below 1, or real chance.
    pub fn set_jitter(&self, millionths: i64) {
        self.jitter.store(millionths, Relaxed);
    }

    fn read_ns(&self) -> i64 {
        if let Some(frozen_ms) = self.frozen_ms() {
            return frozen_ms.saturating_mul(MS);
        }
        let offset_ns = self.offset_ns.load(Relaxed);
        let now_ns = clock::uptime_ns() + offset_ns;
        let ahead_ns = clock::unix_ns() - now_ns;
        if ahead_ns <= AHEAD_MAX_NS {
            return now_ns;
        }
        if self.offset_ns.compare_exchange(offset_ns, offset_ns + ahead_ns, Relaxed, Relaxed).is_ok() {
            self.forward_steps.fetch_add(1, Relaxed);
            tracing::info!(
                "The clock is {} ms ahead of where it was expected, and is followed",
                ahead_ns / MS
            );
        }
        now_ns + ahead_ns
    }

    /// N and T are never less than this again.
    pub fn raise_to(&self, now_ms: i64, token: i64) {
        self.used.store(true, Relaxed);
        self.token.fetch_max(token, Relaxed);
        if self.frozen_ms().is_some() {
            return;
        }
        let regression_ms = now_ms.saturating_sub(clock::unix_ms());
        if regression_ms > self.regression_max_ms.load(Relaxed) {
            tracing::error!(
                "The data set was written {regression_ms} ms after now: its clock is not followed"
            );
            return;
        }
        let least_ns = now_ms.saturating_mul(MS).saturating_sub(clock::uptime_ns());
        self.offset_ns.fetch_max(least_ns, Relaxed);
    }
}

impl Clocks for NativeClock {
    fn now_ns(&self) -> i64 {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
        self.read_ns()
    }

    fn next_token(&self, now_ns: i64) -> i64 {
        let of_time = now_ns / 1000 - TOKEN_EPOCH_US;
        let next = |token: i64| (token + 1).max(of_time);
        let last = self.token.fetch_update(Relaxed, Relaxed, |token| Some(next(token)));
        next(last.unwrap_or_else(|token| token))
    }

    fn raise(&self, now_ms: i64, token: i64) {
        self.raise_to(now_ms, token);
    }

    /// 0.5 where the clocks stand still and nothing else was said.
    fn jitter(&self) -> Option<f64> {
        match self.jitter.load(Relaxed) {
            millionths @ 0.. => Some(millionths as f64 / 1e6),
            _ => self.frozen_ms().map(|_| 0.5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_and_moves() {
        let clock = NativeClock::default();
        assert!(!clock.advance(1));
        clock.freeze(1_700_000_000_000);
        assert_eq!(clock.now_ns(), 1_700_000_000_000 * MS);
        assert_eq!(clock.next_token(clock.now_ns()), 122_163_200_000_000);
        assert_eq!(clock.next_token(clock.now_ns()), 122_163_200_000_001);
        assert!(clock.advance(250));
        assert_eq!((clock.now_ns() / MS, clock.jitter()), (1_700_000_000_250, Some(0.5)));
        clock.resume();
        assert!(clock.now_ns() > 1_700_000_000_250 * MS);
    }

    #[test]
    fn it_is_raised_and_never_lowered() {
        let clock = NativeClock::default();
        let ahead_ms = clock::unix_ms() + 10_000;
        clock.raise_to(ahead_ms, 7);
        assert!(clock.now_ns() / MS >= ahead_ms && clock.behind_ms() > 5000);
        clock.raise_to(1, 3);
        assert!(clock.now_ns() / MS >= ahead_ms && clock.readings().1 == 7);
        clock.raise_to(clock::unix_ms() + 2 * REGRESSION_MAX_MS, 8);
        assert!(clock.now_ns() / MS < ahead_ms + 10_000 && clock.readings().1 == 8);
    }
}
