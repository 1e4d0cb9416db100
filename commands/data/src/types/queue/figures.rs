//! What a queue counts of itself.

use crate::keyspace::size_class;
use crate::types::tdigest::TDigest;

/// What happened over the life of a queue. All of it goes with the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub pushed: u64,
    pub delivered: u64,
    pub acked: u64,
    pub nacked: u64,
    /// Leases that ended.
    pub expired: u64,
    /// Messages that died.
    pub dead: u64,
    /// Messages that lived too long.
    pub outlived: u64,
}

/// Seconds that one slot of [`Recent`] counts.
const SLOT_S: u64 = 5;
/// Slots: together the last minute.
const SLOTS: u64 = 12;

/// How often something happened in the last minute.
#[derive(Clone, Debug, Default)]
struct Recent {
    newest: u64,
    slots: [u32; SLOTS as usize],
}

impl Recent {
    fn count(&mut self, now_ms: u64) {
        let slot = now_ms / (1000 * SLOT_S);
        if slot > self.newest {
            let skipped = (slot - self.newest).min(SLOTS);
            for old in slot + 1 - skipped..=slot {
                self.slots[(old % SLOTS) as usize] = 0;
            }
            self.newest = slot;
        }
        if slot + SLOTS > self.newest {
            let count = &mut self.slots[(slot % SLOTS) as usize];
            *count = count.saturating_add(1);
        }
    }

    fn sum(&self, now_ms: u64) -> u64 {
        let slot = now_ms / (1000 * SLOT_S);
        let from = (slot + 1).saturating_sub(SLOTS);
        let kept = (from..=slot.min(self.newest)).filter(|slot| slot + SLOTS > self.newest);
        kept.map(|slot| u64::from(self.slots[(slot % SLOTS) as usize])).sum()
    }
}

#[derive(Clone, Debug, Default)]
struct Parts {
    pushed: Recent,
    acked: Recent,
    deduped: u64,
    waits: Option<TDigest>,
}

/// What a queue knows of its recent past, as long as the process lives: no part of the value.
#[derive(Clone, Debug, Default)]
pub struct Recently {
    parts: Box<Parts>,
}

impl Recently {
    pub(super) fn push(&mut self, now_ms: u64) {
        self.parts.pushed.count(now_ms);
    }

    pub(super) fn ack(&mut self, now_ms: u64) {
        self.parts.acked.count(now_ms);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        // More than a digest counts will not happen.
        let _ = self.parts.waits.get_or_insert_default().add(ms as f64);
    }

    /// A push was one that had been made before.
    pub fn dedup(&mut self) {
        self.parts.deduped += 1;
    }

    /// Pushes that had been made before.
    pub fn deduped(&self) -> u64 {
        self.parts.deduped
    }

    /// Messages pushed in the last minute.
    pub fn pushed(&self, now_ms: u64) -> u64 {
        self.parts.pushed.sum(now_ms)
    }

    /// Messages acknowledged in the last minute.
    pub fn acked(&self, now_ms: u64) -> u64 {
        self.parts.acked.sum(now_ms)
    }

    /// How long messages waited until they were delivered, in ms: this share of them no longer. 0 if there were none.
    pub fn wait_ms(&self, share: f64) -> u64 {
        let quantile = |waits: &TDigest| waits.ask().quantile(share).max(0.0) as u64;
        self.parts.waits.as_ref().map_or(0, quantile)
    }

    pub(super) fn heap_size(&self) -> usize {
        let waits = self.parts.waits.as_ref().map_or(0, crate::Collection::heap_size);
        size_class(size_of::<Parts>()) + waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute() {
        let mut recent = Recent::default();
        let start_ms = 1_700_000_000_000;
        for second in 0..100 {
            recent.count(start_ms + second * 1000);
        }
        assert_eq!(recent.sum(start_ms + 99_000), 60);
        assert_eq!(recent.sum(start_ms + 99_000 + 30_000), 30);
        assert_eq!(recent.sum(start_ms + 200_000), 0);
        recent.count(start_ms + 500_000);
        assert_eq!(recent.sum(start_ms + 500_000), 1);
    }
}
