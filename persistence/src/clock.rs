//! The time, as the one who writes needs it: when to sync, when to try again.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time since some moment; it never goes back.
    fn now(&self) -> Duration;

    /// Unix seconds.
    fn unix_s(&self) -> i64;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy)]
pub struct RealClock(Instant);

#[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
impl Default for RealClock {
    fn default() -> Self {
        RealClock(Instant::now())
    }
}

#[expect(clippy::disallowed_methods, reason = "as above")]
impl Clock for RealClock {
    fn now(&self) -> Duration {
        Instant::now().duration_since(self.0)
    }

    fn unix_s(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
    }
}
