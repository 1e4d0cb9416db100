//! What took long, for whoever wants to hear of it: the latency monitor.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;

/// Somebody who wants to hear of what took long.
pub trait Listener: Debug + Send + Sync {
    /// `event`, which ended at `at_s` (Unix seconds), took so many milliseconds.
    fn took(&self, event: &'static str, ms: i64, at_s: i64);
}

/// Measures what may take long. While nobody wants to hear of it, no clock is read.
#[derive(Debug, Default)]
pub struct Delays {
    /// What is shorter is nothing to speak of, in milliseconds; 0 while nobody wants to hear of anything.
    pub least_ms: AtomicU64,
    listener: OnceLock<Arc<dyn Listener>>,
}

/// When something began, if that is of interest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began(Option<Duration>);

impl Delays {
    /// Who is told. Only the first that comes is.
    pub fn tell(&self, listener: Arc<dyn Listener>) {
        let _ = self.listener.set(listener);
    }

    pub(super) fn begin(&self, clock: &dyn Clock) -> Began {
        Began((self.least_ms.load(Relaxed) > 0).then(|| clock.now()))
    }

    /// All of `events` are what has begun then.
    pub(super) fn end(&self, began: Began, clock: &dyn Clock, events: &[&'static str]) {
        let least_ms = self.least_ms.load(Relaxed);
        let (Some(began), Some(listener), 1..) = (began.0, self.listener.get(), least_ms) else { return };
        let ms = clock.now().saturating_sub(began).as_millis();
        if ms >= u128::from(least_ms) {
            let ms = i64::try_from(ms).unwrap_or(i64::MAX);
            for event in events {
                listener.took(event, ms, clock.unix_s());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that is a millisecond later whenever it is read.
    #[derive(Debug, Default)]
    struct Steps(AtomicU64);

    impl Clock for Steps {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.fetch_add(1, Relaxed))
        }

        fn unix_s(&self) -> i64 {
            7
        }
    }

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<(&'static str, i64, i64)>>);

    impl Listener for Heard {
        fn took(&self, event: &'static str, ms: i64, at_s: i64) {
            self.0.lock().expect("nobody panics").push((event, ms, at_s));
        }
    }

    #[test]
    fn what_is_long_enough_is_heard_and_no_clock_is_read_for_nothing() {
        let (delays, clock, heard) = (Delays::default(), Steps::default(), Arc::new(Heard::default()));
        delays.tell(Arc::clone(&heard) as _);
        delays.end(delays.begin(&clock), &clock, &["unheard"]);
        assert_eq!(clock.0.load(Relaxed), 0);
        for (least_ms, steps) in [(1, 0), (2, 0), (2, 1), (3, 4)] {
            delays.least_ms.store(least_ms, Relaxed);
            let began = delays.begin(&clock);
            clock.0.fetch_add(steps, Relaxed);
            delays.end(began, &clock, &["one", "other"]);
        }
        let expected =
            [("one", 1, 7), ("other", 1, 7), ("one", 2, 7), ("other", 2, 7), ("one", 5, 7), ("other", 5, 7)];
        assert_eq!(*heard.0.lock().expect("nobody panics"), expected);
    }
}
