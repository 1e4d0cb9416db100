//! Wall time for the harnesses: deadlines and throughput figures only, never an input of a test case.
#![expect(
    clippy::disallowed_methods,
    reason = "harness deadlines are outside the server and need the real clock"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The current monotonic time.
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds since the Unix epoch, for a default seed.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Polls `condition` every few milliseconds until it holds or `limit` has passed; returns whether it held.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
