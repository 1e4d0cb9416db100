//! The exact form of a sliding window: every call with its time and cost.

use std::collections::VecDeque;

/// Calls of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The length of the window.
    pub window_ms: i64,
    /// Time and cost, oldest first; one entry per millisecond.
    entries: VecDeque<(i64, i64)>,
    total: i64,
}

impl Log {
    /// An empty one.
    pub fn new(window_ms: i64) -> Self {
        Log { window_ms, entries: VecDeque::new(), total: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Time and cost of each entry, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.entries.iter().copied()
    }

    /// The time of the newest entry.
    pub fn newest_ms(&self) -> Option<i64> {
        self.entries.back().map(|(time_ms, _)| *time_ms)
    }

    /// Units of entries that count at `now_ms`. O(entries that do not count any more).
    pub fn total_at(&self, now_ms: i64) -> i64 {
        let gone = self.iter().take_while(|(time_ms, _)| *time_ms <= now_ms - self.window_ms);
        self.total - gone.map(|(_, cost)| cost).sum::<i64>()
    }

    /// When no more than `most` units count; `now_ms` is a time at which more do. O(entries that leave until then).
    pub fn when_at_most(&self, most: i64, now_ms: i64) -> i64 {
        let mut left = self.total;
        for (time_ms, cost) in self.iter() {
            left -= cost;
            if left <= most {
                return (time_ms + self.window_ms).max(now_ms);
            }
        }
        now_ms
    }

    /// Forgets what does not count any more. O(what is forgotten).
    pub fn forget(&mut self, now_ms: i64) {
        while let Some((time_ms, cost)) = self.entries.front()
            && *time_ms <= now_ms - self.window_ms
        {
            self.total -= cost;
            self.entries.pop_front();
        }
    }

    /// Calls later than `now_ms` are of that moment. O(calls that are).
    pub fn bring_back(&mut self, now_ms: i64) {
        let mut units = 0;
        while let Some((time_ms, cost)) = self.entries.back()
            && *time_ms > now_ms
        {
            units += cost;
            self.entries.pop_back();
        }
        self.total -= units;
        if units > 0 {
            self.push(now_ms, units);
        }
    }

    /// Adds a call; no later one must be there. Amortised O(1).
    pub fn push(&mut self, time_ms: i64, cost: i64) {
        self.total += cost;
        match self.entries.back_mut() {
            Some((last_ms, units)) if *last_ms >= time_ms => *units += cost,
            _ => self.entries.push_back((time_ms, cost)),
        }
    }

    /// Takes back units of the newest calls. O(calls that are taken back).
    pub fn take_back(&mut self, mut units: i64) {
        while units > 0
            && let Some((_, cost)) = self.entries.back_mut()
        {
            let taken = units.min(*cost);
            (*cost, units, self.total) = (*cost - taken, units - taken, self.total - taken);
            if *cost == 0 {
                self.entries.pop_back();
            }
        }
    }

    /// Bytes of its allocation.
    pub fn heap_size(&self) -> usize {
        self.entries.capacity() * size_of::<(i64, i64)>()
    }
}
