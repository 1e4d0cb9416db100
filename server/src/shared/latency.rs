//! The latency monitor: the latest spikes of each kind of event, at most one per second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use tidegate_persistence::aof::Listener;

/// Samples kept per event.
const SAMPLES_MAX: usize = 160;

/// The spikes of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySeries {
    /// Unix seconds and milliseconds it took, oldest first.
    pub samples: VecDeque<(i64, i64)>,
    /// The largest ever, milliseconds.
    pub max_ms: i64,
}

/// The latency monitor.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, LatencySeries>>,
}

impl LatencyMonitor {
    /// Adds a spike. Of several within one second the largest is kept.
    pub fn add(&self, event: &'static str, ms: i64, time_s: i64) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let series = events.entry(event).or_default();
        series.max_ms = series.max_ms.max(ms);
        match series.samples.back_mut() {
            Some((last_s, last_ms)) if *last_s == time_s => *last_ms = ms.max(*last_ms),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back((time_s, ms));
            }
        }
    }

    /// All events by name.
    pub fn all(&self) -> BTreeMap<&'static str, LatencySeries> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the events `wanted` says yes to; returns how many there were.
    pub fn reset(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let before = events.len();
        events.retain(|event, _| !wanted(event));
        before - events.len()
    }
}

impl Listener for LatencyMonitor {
    fn took(&self, event: &'static str, ms: i64, at_s: i64) {
        self.add(event, ms, at_s);
    }
}
