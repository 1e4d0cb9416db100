//! What a table counts for quotas, and eviction inside one.
//!
//! A quota on a prefix that is set while there are keys counts these in steps ([`Table::count_step`]), along the hashes: what
//! happens to keys before the place reached is counted as it happens, what happens to those behind it will be seen by the
//! walk. Segments are only ever split, so the place stays a border between segments. What the keys of a whole database take
//! the table knows anyway.

use super::evict::Candidate;
use super::{Eviction, Order, Place, Table};
use crate::keyspace::access::Access;
use crate::keyspace::quota::{Quotas, Tally, Target};
use crate::keyspace::record::{Record, size_class};
use std::sync::Arc;

/// Records of which some are evicted at a visit.
const CANDIDATES: usize = 16;
/// The worst of so many candidates goes.
const SAMPLES: usize = 5;
/// Segments that one visit looks at.
const SEGMENTS: usize = 16;

/// What a table has of one quota.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    bytes: i64,
    keys: i64,
    /// Where eviction goes on: a hash prefix.
    hand: u32,
    /// The keys from the place of the walk on are not counted yet.
    is_fresh: bool,
}

/// What a table counts for quotas.
pub(super) struct Meter {
    quotas: Arc<Quotas>,
    db: usize,
    /// By the number of the quota; empty while nothing was counted.
    counts: Vec<Count>,
    /// How far the walk has come, a hash prefix; `None` when nothing is to be counted.
    counted_to: Option<u32>,
}

impl Meter {
    fn new(quotas: Arc<Quotas>, db: usize) -> Self {
        Meter { quotas, db, counts: Vec::new(), counted_to: None }
    }

    /// Heap bytes: those of the meter and of its counts.
    pub(super) fn heap_size(&self) -> usize {
        let counts = size_of_val(&*self.counts);
        size_class(size_of::<Self>()) + if counts == 0 { 0 } else { size_class(counts) }
    }

    fn room(&mut self) {
        if self.counts.is_empty() {
            self.counts = vec![Count::default(); self.quotas.all().len()];
        }
    }

    fn add(&mut self, number: usize, bytes: i64, keys: i64) {
        self.room();
        let count = &mut self.counts[number];
        (count.bytes, count.keys) = (count.bytes + bytes, count.keys + keys);
        self.quotas.all()[number].tally.add(bytes, keys);
    }

    fn is_fresh(&self, number: usize) -> bool {
        self.counts.get(number).is_some_and(|count| count.is_fresh)
    }

    /// So many bytes and keys more of this name, which stands at this hash prefix.
    pub(super) fn change(&mut self, key: &[u8], at: u32, bytes: i64, keys: i64) {
        let quotas = Arc::clone(&self.quotas);
        let is_counted = self.counted_to.is_none_or(|to| at < to);
        for number in quotas.matching(self.db, key) {
            if is_counted || !self.is_fresh(number) {
                self.add(number, bytes, keys);
            }
        }
    }

    /// Counts nothing of this table any more.
    fn clear(&mut self) {
        self.end_walk();
        for number in 0..self.counts.len() {
            let Count { bytes, keys, .. } = self.counts[number];
            self.add(number, -bytes, -keys);
        }
        self.counts = Vec::new();
    }

    fn end_walk(&mut self) {
        self.counted_to = None;
        for (count, quota) in self.counts.iter_mut().zip(self.quotas.all()) {
            if std::mem::take(&mut count.is_fresh) {
                quota.tally.add_uncounted(-1);
            }
        }
    }

    /// The keys are to be counted anew for this quota.
    fn begin_walk(&mut self, number: usize) {
        self.room();
        let Count { bytes, keys, .. } = self.counts[number];
        self.add(number, -bytes, -keys);
        if !std::mem::replace(&mut self.counts[number].is_fresh, true) {
            self.quotas.all()[number].tally.add_uncounted(1);
        }
        self.counted_to = Some(0);
    }

    /// What the keys of its own database take is this, and nothing those of another.
    fn set_databases(&mut self, bytes: usize, keys: usize) {
        let quotas = Arc::clone(&self.quotas);
        for (number, quota) in quotas.all().iter().enumerate() {
            let Target::Database(db) = quota.target else { break };
            let (bytes, keys) = if db == self.db { (bytes as i64, keys as i64) } else { (0, 0) };
            let present = self.counts.get(number).copied().unwrap_or_default();
            if (bytes, keys) != (present.bytes, present.keys) {
                self.add(number, bytes - present.bytes, keys - present.keys);
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Table {
    /// These are the quotas from now on; the table is that of database `db`. O(quotas): keys of a quota that is new are
    /// counted later, by [`count_step`](Self::count_step).
    pub fn follow_quotas(&mut self, db: usize, quotas: &Arc<Quotas>) {
        let mut old = self.take_meter();
        if quotas.is_empty() {
            return;
        }
        let mut meter = Meter::new(Arc::clone(quotas), db);
        let mut fresh = Vec::new();
        let mut at = 0;
        for (number, quota) in quotas.all().iter().enumerate() {
            let same = old.as_mut().filter(|old| {
                // Both lists are in the order of their targets.
                let others = &old.quotas.all()[at..];
                at += others.iter().take_while(|other| other.target < quota.target).count();
                let other = old.quotas.all().get(at);
                other.is_some_and(|other| Arc::ptr_eq(&other.tally, &quota.tally)) && !old.is_fresh(at)
            });
            match same {
                None => fresh.push(number),
                // It only changes hands: whoever looks at the tally meanwhile sees what there is.
                Some(old) if !old.counts.is_empty() => {
                    meter.room();
                    meter.counts[number] = std::mem::take(&mut old.counts[at]);
                }
                Some(_) => {}
            }
        }
        if self.len > 0 {
            for number in fresh {
                if matches!(quotas.all()[number].target, Target::Prefix(_)) {
                    meter.begin_walk(number);
                }
            }
        }
        meter.set_databases(self.bytes - self.segment_bytes, self.len);
        self.put_meter(Some(Box::new(meter)));
    }

    /// Goes on counting what was there before a quota: the keys of so many segments. True when there is more to do.
    pub fn count_step(&mut self, segments: usize) -> bool {
        let Some(mut meter) = self.take_meter() else { return false };
        if let Some(from) = meter.counted_to {
            let quotas = Arc::clone(&meter.quotas);
            let mut next = None;
            let all = self.segments_from(self.directory.index_of_prefix(from));
            for (visited, (first, segment)) in all.enumerate() {
                if visited == segments.max(1) {
                    next = Some(self.directory.prefix_of_index(first));
                    break;
                }
                segment.prefetch_records();
                for record in segment.records() {
                    for number in quotas.matching(meter.db, record.key()) {
                        if meter.is_fresh(number) {
                            meter.add(number, record.heap_size() as i64, 1);
                        }
                    }
                }
            }
            meter.counted_to = next;
            if next.is_none() {
                meter.end_walk();
            }
        }
        let more = meter.counted_to.is_some();
        self.put_meter(Some(meter));
        more
    }

    /// The record at a place takes so many bytes more; `keys` is 1 for one that has just come.
    #[cold]
    pub(super) fn meter_place(&mut self, place: Place, bytes: i64, keys: i64) {
        let Some(mut meter) = self.take_meter() else { return };
        let at = self.directory.prefix_of_index(place.index);
        meter.change(self.record_at(place).key(), at, bytes, keys);
        self.put_meter(Some(meter));
    }

    /// A record was taken out of the segment at `index`.
    #[cold]
    pub(super) fn meter_removed(&mut self, index: usize, record: &Record) {
        let at = self.directory.prefix_of_index(index);
        if let Some(meter) = self.meter_mut() {
            meter.change(record.key(), at, -(record.heap_size() as i64), -1);
        }
    }

    /// All keys left at once.
    pub(super) fn meter_emptied(&mut self) {
        if let Some(meter) = self.meter_mut() {
            meter.clear();
        }
    }

    /// All of the tables was exchanged. Their meters go back; what these have counted stays with the keys.
    pub(super) fn meter_swapped(&mut self, other: &mut Self) {
        let (own, its) = (other.take_meter(), self.take_meter());
        self.put_meter(own);
        other.put_meter(its);
        match (self.meter_mut(), other.meter_mut()) {
            (Some(one), Some(two)) if Arc::ptr_eq(&one.quotas, &two.quotas) => {
                std::mem::swap(&mut one.counts, &mut two.counts);
                std::mem::swap(&mut one.counted_to, &mut two.counted_to);
            }
            (None, None) => return,
            _ => {
                self.meter_anew();
                other.meter_anew();
            }
        }
        for table in [self, other] {
            let (bytes, len) = (table.bytes - table.segment_bytes, table.len);
            if let Some(meter) = table.meter_mut() {
                meter.set_databases(bytes, len);
            }
        }
    }

    fn meter_anew(&mut self) {
        let is_empty = self.len == 0;
        let Some(meter) = self.meter_mut() else { return };
        meter.clear();
        if !is_empty {
            for number in meter.quotas.databases_len()..meter.quotas.all().len() {
                meter.begin_walk(number);
            }
        }
    }

    /// What the table has counted for a quota: bytes and keys.
    pub fn counted(&self, number: usize) -> (i64, i64) {
        let count = self.meter().and_then(|meter| meter.counts.get(number));
        count.map_or((0, 0), |count| (count.bytes, count.keys))
    }

    /// Takes out some records of a quota: of those in the next few segments the worst. True if there were any that may go.
    /// `luck` is a random number.
    ///
    /// What of a record's use is known depends on how the server remembers it: where that is not what the policy asks for, it
    /// is the nearest thing.
    pub fn evict_counted(
        &mut self,
        number: usize,
        tally: &Arc<Tally>,
        rules: &Eviction,
        mut luck: u64,
        on_evict: &mut dyn FnMut(Record),
    ) -> bool {
        let Some(meter) = self.meter() else { return false };
        let Some(count) = meter.counts.get(number).filter(|count| count.keys > 0) else { return false };
        let (quotas, db, hand) = (Arc::clone(&meter.quotas), meter.db, count.hand);
        let quota = &quotas.all()[number];
        if !Arc::ptr_eq(&quota.tally, tally) {
            return false;
        }
        let order = match (rules.order, rules.access) {
            (Order::Idle | Order::Rare, Access::Lfu { .. }) => Order::Rare,
            (Order::Idle | Order::Rare, Access::Fifo(_)) => Order::Fifo,
            (Order::Rare, _) => Order::Idle,
            (order, _) => order,
        };
        let rules = Eviction { order, ..*rules };
        let start = self.directory.index_of_prefix(hand);
        let mut found: Vec<(usize, Candidate)> = Vec::new();
        let mut next = 0;
        for (visited, (first, segment)) in self.segments_from(start).enumerate() {
            if visited == SEGMENTS || found.len() >= CANDIDATES {
                next = self.directory.prefix_of_index(first);
                break;
            }
            segment.prefetch_records();
            for record in segment.records() {
                if rules.permits(record) && quota.covers(db, record.key()) {
                    found.push((first, Candidate::of(record, rules.score_of_use(record, &mut luck))));
                }
            }
        }
        if let Some(count) = self.meter_mut().and_then(|meter| meter.counts.get_mut(number)) {
            count.hand = next;
        }
        found.sort_unstable_by_key(|(_, candidate)| std::cmp::Reverse(candidate.score));
        let is_any = !found.is_empty();
        let most = found.len().div_ceil(SAMPLES);
        for (first, victim) in found.into_iter().take(most) {
            if let Some(record) = self.take_victim(first, victim) {
                on_evict(record);
            }
        }
        is_any
    }
}

#[cfg(test)]
mod tests;
