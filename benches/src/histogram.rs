//! Latency histogram: log-linear buckets with a relative error below 1 %, constant memory, no allocation per sample.

use std::time::Duration;

/// Linear steps within each power of two; 128 steps keep the error of a reported value under 1/128.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^40 ns (18 minutes); longer samples are counted in the last bucket.
const BUCKETS: usize = ((40 - STEP_BITS as usize) + 1) * STEPS as usize;

/// Counts of durations, from which percentiles are read.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one duration. O(1).
    pub fn record(&mut self, sample: Duration) {
        let ns = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Number of samples.
    pub fn len(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The longest sample in microseconds, exact.
    pub fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1e3
    }

    /// The duration in microseconds which `percent` (0-100) of the samples do not exceed; 0 without samples.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        let wanted = ((self.total as f64 * percent / 100.0).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound_ns(bucket).min(self.max_ns) as f64 / 1e3;
            }
        }
        0.0
    }
}

fn bucket_of(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    // The top STEP_BITS + 1 bits of the value: its power of two, and the linear step within it.
    let shift = ns.ilog2() - STEP_BITS;
    let bucket = (u64::from(shift) + 1) * STEPS + ((ns >> shift) - STEPS);
    (bucket as usize).min(BUCKETS - 1)
}

fn upper_bound_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_one_percent_of_its_bucket_bound() {
        for ns in (0..2_000).chain((0..38).map(|power| (1_u64 << power) + (1 << power) / 3)) {
            let bound = upper_bound_ns(bucket_of(ns));
            assert!(bound >= ns && (bound - ns) as f64 <= ns as f64 / STEPS as f64, "{ns} -> {bound}");
        }
    }

    #[test]
    fn percentiles_of_a_ramp_are_its_ranks() {
        let mut ramp = Histogram::default();
        for us in 1..=10_000 {
            ramp.record(Duration::from_micros(us));
        }
        for (percent, expected) in [(50.0, 5_000.0), (99.0, 9_900.0), (99.9, 9_990.0)] {
            let us = ramp.percentile_us(percent);
            assert!((us - expected).abs() / expected < 0.01, "p{percent} = {us}");
        }
        assert!((ramp.max_us() - 10_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn merging_keeps_every_sample_and_the_longest() {
        let mut left = Histogram::default();
        left.record(Duration::from_micros(1));
        let mut right = Histogram::default();
        right.record(Duration::from_secs(3_600));
        left.merge(&right);
        assert_eq!(left.len(), 2);
        assert!((left.percentile_us(100.0) - 3.6e9).abs() / 3.6e9 < 1.0);
        assert!((left.max_us() - 3.6e9).abs() < 1.0);
    }

    #[test]
    fn an_empty_histogram_reports_zero() {
        assert!(Histogram::default().is_empty());
        assert!(Histogram::default().percentile_us(99.0).abs() < f64::EPSILON);
    }
}
