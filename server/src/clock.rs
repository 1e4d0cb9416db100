//! The only reader of clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Unix time in milliseconds.
pub fn unix_ms() -> i64 {
    unix().as_millis() as i64
}

/// Unix time in microseconds.
pub fn unix_us() -> i64 {
    unix().as_micros() as i64
}

/// Unix time in nanoseconds.
pub fn unix_ns() -> i64 {
    unix().as_nanos() as i64
}

/// Nanoseconds since the machine was started, those it slept through included.
///
/// Asked by way of the C library: rustix looks into the kernel's page of functions itself, which ends the process where
/// something hides that page, as valgrind does.
pub fn uptime_ns() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |uptime| uptime.tv_sec().saturating_mul(1_000_000_000).saturating_add(uptime.tv_nsec()))
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
