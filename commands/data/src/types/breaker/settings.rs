//! When a breaker opens, and for how long.

/// Longest duration, in ms.
const DURATION_MAX_MS: i64 = 1 << 53;

/// How a breaker decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Width of the window in which calls are counted, in ms.
    pub window_ms: i64,
    /// It does not judge fewer calls.
    pub min_calls: i64,
    /// It opens when this many percent of the calls failed.
    pub fail_rate: i64,
    /// It opens when this many percent of the calls were slow.
    pub slow_rate: i64,
    /// How long it is open the first time, in ms; each further time twice as long.
    pub open_for_ms: i64,
    /// How long it is open at most, in ms.
    pub max_open_ms: i64,
    /// How many calls decide whether it closes again.
    pub probes: i64,
    /// So many failures in a row open it, too; 0: they do not.
    pub consecutive: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            window_ms: 10_000,
            min_calls: 20,
            fail_rate: 50,
            slow_rate: 100,
            open_for_ms: 30_000,
            max_open_ms: 300_000,
            probes: 5,
            consecutive: 0,
        }
    }
}

/// What an option of a breaker may be.
#[derive(Clone, Copy, Debug)]
pub struct OptionRange {
    /// What commands call it.
    pub name: &'static str,
    pub min: i64,
    pub max: i64,
}

const fn option(name: &'static str, min: i64, max: i64) -> OptionRange {
    OptionRange { name, min, max }
}

/// All options, in the order of [`Settings::numbers`].
pub static OPTIONS: [OptionRange; 8] = [
    option("WINDOW", 10, DURATION_MAX_MS),
    option("MINCALLS", 1, 1_000_000_000),
    option("FAILRATE", 1, 100),
    option("SLOWRATE", 1, 100),
    option("OPENFOR", 1, DURATION_MAX_MS),
    option("MAXOPEN", 1, DURATION_MAX_MS),
    option("PROBES", 1, 1000),
    option("CONSECUTIVE", 0, 1_000_000_000),
];

impl Settings {
    /// The value of each option.
    pub const fn numbers(&self) -> [i64; OPTIONS.len()] {
        [
            self.window_ms,
            self.min_calls,
            self.fail_rate,
            self.slow_rate,
            self.open_for_ms,
            self.max_open_ms,
            self.probes,
            self.consecutive,
        ]
    }

    /// Settings of these values; `None` if one is out of its range.
    pub fn of_numbers(numbers: [i64; OPTIONS.len()]) -> Option<Self> {
        let fits = |(option, number): (&OptionRange, &i64)| (option.min..=option.max).contains(number);
        if !OPTIONS.iter().zip(&numbers).all(fits) {
            return None;
        }
        let [window_ms, min_calls, fail_rate, slow_rate, open_for_ms, max_open_ms, probes, consecutive] =
            numbers;
        Some(Settings {
            window_ms,
            min_calls,
            fail_rate,
            slow_rate,
            open_for_ms,
            max_open_ms,
            probes,
            consecutive,
        })
    }

    /// Width of a bucket of the window, in ms.
    pub(super) const fn bucket_ms(&self) -> i64 {
        // The sum does not overflow: a duration has 53 bits.
        (self.window_ms + super::window::BUCKETS as i64 - 1) / super::window::BUCKETS as i64
    }
}
