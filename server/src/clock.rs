//! The only reader of clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds.
pub fn unix_ms() -> i64 {
    unix().as_millis() as i64
}

/// Unix time in microseconds.
pub fn unix_us() -> i64 {
    unix().as_micros() as i64
}

#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A cheap monotonic clock for measuring commands: the processor's time stamp counter where it is reliable.
#[derive(Debug, Clone)]
pub struct Stopwatch {
    clock: quanta::Clock,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Stopwatch { clock: quanta::Clock::new() }
    }
}

impl Stopwatch {
    /// A reading, in ticks.
    #[inline]
    pub fn ticks(&self) -> u64 {
        self.clock.raw()
    }

    /// Nanoseconds between two readings.
    #[inline]
    pub fn nanos(&self, from: u64, to: u64) -> u64 {
        self.clock.delta_as_nanos(from, to)
    }
}
