//! Which keys go first when memory is short.
//!
//! Redis samples a few keys at random. Here the keys of a segment stand together, so all of them are looked at, a hundred
//! cache lines at once; a hand goes round over the segments of the table, which are a random choice each, as keys are
//! spread by their hashes. Those that are worse than a [`Threshold`] go, about one in sixteen. The threshold follows what
//! is found, so that the victims of all segments are about the worst of the whole table, and it costs nothing to remember.

use super::ghosts::Ghosts;
use super::{Record, Table};
use crate::keyspace::access::{Access, fifo_is_main, fifo_uses};
use crate::keyspace::segment;
use std::ptr::NonNull;

/// One of so many keys of a segment is a victim when the hand comes by.
const SHARE: usize = 16;
/// The same where the victims are the worst of a few.
const SAMPLED_SHARE: usize = 10;
/// Victims of one visit, at most.
const VICTIMS_MAX: usize = 8;
/// Visits in a row without a victim, after which the worst key of a segment goes whatever the threshold says.
const FRUITLESS_MAX: u32 = 4;
/// The small queue of S3-FIFO has one in so many keys.
const SMALL_SHARE: usize = 10;
/// Times a key must have been used in the small queue to be moved to the main one.
const USES_TO_STAY: u32 = 1;

/// What makes a key go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Not used, or not changed, for long.
    Idle,
    /// Rarely used.
    Rare,
    /// Chance.
    Any,
    /// Its deadline is near.
    Due,
    /// S3-FIFO (Yang et al., SOSP 2023): new keys pass a small queue, in which those go that are not used again; the others,
    /// and those that come back, get into the main queue, from which they go when they were not used for a round.
    Fifo,
}

/// The rules of eviction.
#[derive(Debug, Clone, Copy)]
pub struct Eviction {
    /// What makes a key go first.
    pub order: Order,
    /// Only keys with a deadline go.
    pub volatile: bool,
    /// Keys of durable types go, too.
    pub durable: bool,
    /// How accesses are remembered now.
    pub access: Access,
    /// Under [`Order::Idle`], keys of which the one that goes is the worst.
    pub samples: usize,
}

impl Eviction {
    pub(super) fn permits(&self, record: &Record) -> bool {
        (!self.volatile || record.expiry_ms().is_some()) && (self.durable || !record.type_code().is_durable())
    }

    /// The same, but under S3-FIFO the time since the record was queued.
    pub(super) fn score_of_use(&self, record: &Record, luck: &mut u64) -> i64 {
        match self.order {
            Order::Fifo => i64::from(self.access.queued(record.access())),
            _ => self.score(record, luck),
        }
    }

    /// The larger, the earlier it goes.
    fn score(&self, record: &Record, luck: &mut u64) -> i64 {
        let word = record.access();
        match self.order {
            Order::Idle | Order::Fifo => i64::from(self.access.idle(word)),
            Order::Rare => {
                let rareness = i64::from(255 - self.access.frequency(word).min(255));
                (rareness << 16 | i64::from(self.access.minutes(word))) << 8
                    | (next(luck) >> 56).cast_signed()
            }
            Order::Any => (next(luck) >> 1).cast_signed(),
            Order::Due => record.expiry_ms().map_or(i64::MIN / 2, i64::wrapping_neg).max(i64::MIN / 2),
        }
    }
}

/// A cheap sequence of numbers, good enough to choose among keys.
fn next(luck: &mut u64) -> u64 {
    *luck = luck.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *luck
}

/// How bad a key has to be to go, as learnt from the segments visited so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Threshold {
    score: Option<i64>,
    fruitless: u32,
}

impl Threshold {
    /// A segment was visited, of whose keys one in [`SHARE`] has this score or a higher one.
    fn learn(&mut self, score: i64) {
        let known = self.score.unwrap_or(score);
        self.score = Some(known + (score / 8 - known / 8));
    }
}

/// What eviction leaves behind in a table.
#[derive(Default)]
pub(super) struct Trail {
    /// Where it goes on: a hash prefix.
    hand: u32,
    /// What was evicted lately, under a policy that wants to know.
    pub(super) ghosts: Option<Ghosts>,
}

/// A record that may go, and how to find it again.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) score: i64,
    tag: u16,
    pointer: NonNull<u8>,
}

impl Candidate {
    pub(super) fn of(record: &Record, score: i64) -> Self {
        Candidate { score, tag: record.tag(), pointer: record.pointer() }
    }
}

/// The worst records of a segment, the worst first.
struct Worst {
    found: [Option<Candidate>; VICTIMS_MAX],
    len: usize,
    most: usize,
}

impl Worst {
    fn new(most: usize) -> Self {
        Worst { found: [None; VICTIMS_MAX], len: 0, most: most.clamp(1, VICTIMS_MAX) }
    }

    fn add(&mut self, score: i64, record: &Record) {
        let better = |other: &Option<Candidate>| other.is_some_and(|other| other.score >= score);
        if self.len == self.most && better(&self.found[self.len - 1]) {
            return;
        }
        let mut at = self.len.min(self.most - 1);
        while at > 0 && !better(&self.found[at - 1]) {
            self.found[at] = self.found[at - 1];
            at -= 1;
        }
        self.found[at] = Some(Candidate::of(record, score));
        self.len = (self.len + 1).min(self.most);
    }

    fn iter(&self) -> impl Iterator<Item = Candidate> {
        self.found.into_iter().flatten()
    }
}

impl Table {
    /// Number of keys that may go, those of durable types included.
    #[inline]
    pub fn evictable_len(&self, volatile: bool) -> usize {
        if volatile { self.expires_len() } else { self.len }
    }

    /// Segments there are at most: so many visits see all keys.
    pub fn visits(&self) -> usize {
        self.directory.len()
    }

    /// Visits the segment at the hand and takes those of its records out that go first, if any: a few of about a hundred.
    /// True if it had any that may go at all. `luck` is a random number.
    ///
    /// O(records of a segment); without expiries in most segments, O(segments) of looking for one that has.
    pub fn evict(
        &mut self,
        rules: &Eviction,
        threshold: &mut Threshold,
        luck: u64,
        on_evict: &mut dyn FnMut(Record),
    ) -> bool {
        if rules.order != Order::Fifo
            && let Some(trail) = self.trail_mut()
        {
            trail.ghosts = None;
        }
        if self.evictable_len(rules.volatile) == 0 {
            return false;
        }
        let Some(first) = self.advance_hand(rules.volatile) else { return false };
        let Some(segment) = self.segment(first) else { return false };
        if rules.order == Order::Idle {
            return self.evict_idle(first, rules, luck, on_evict);
        }
        segment.prefetch_records();
        match rules.order {
            Order::Fifo => self.evict_queued(first, rules, on_evict),
            _ => self.evict_worst(first, rules, threshold, luck, on_evict),
        }
    }

    /// The first entry of the next segment that may have keys to evict.
    fn advance_hand(&mut self, volatile: bool) -> Option<usize> {
        let len = self.directory.len();
        let hand = self.leave_trail().hand;
        let start = self.directory.index_of_prefix(hand);
        let start = self.first_entry(start, self.segment(start)?.header.local_depth);
        let mut first = start;
        if volatile {
            first = (start..len).chain(0..start).find(|&entry| self.directory.deadline(entry) < i64::MAX)?;
        }
        let next = first + self.directory.span(self.segment(first)?.header.local_depth);
        let hand = if next >= len { 0 } else { self.directory.prefix_of_index(next) };
        self.leave_trail().hand = hand;
        Some(first)
    }

    /// The worst of every so many records in a row, from a random one on. Exact LRU would lose against Redis' samples
    /// where keys are used round and round: it always evicts what is needed next.
    fn evict_idle(
        &mut self,
        first: usize,
        rules: &Eviction,
        luck: u64,
        on_evict: &mut dyn FnMut(Record),
    ) -> bool {
        let Some(segment) = self.segment(first) else { return false };
        let len = segment.header.len;
        let samples = rules.samples.clamp(1, len.max(1));
        let wanted = (len / SAMPLED_SHARE).clamp(1, VICTIMS_MAX).min(len / samples);
        let skipped = ((u128::from(luck) * len as u128) >> 64) as usize;
        let mut records = segment.records().chain(segment.records()).skip(skipped).take(len);
        // All of them on their way at once; where some may not go, a few more are needed.
        records.clone().take(wanted * samples).for_each(|record| segment::prefetch(record.address()));
        let mut victims = [None; VICTIMS_MAX];
        for victim in &mut victims[..wanted] {
            let group = records.by_ref().filter(|record| rules.permits(record)).take(samples);
            let worst = group.max_by_key(|record| rules.access.idle(record.access()));
            *victim = worst.map(|record| Candidate::of(record, 0));
        }
        drop(records);
        let is_any = victims[0].is_some();
        if !is_any && rules.volatile && !segment.records().any(|record| record.deadline_ms().is_some()) {
            self.forget_deadline(first);
        }
        for victim in victims.into_iter().flatten() {
            if let Some(record) = self.take_victim(first, victim) {
                on_evict(record);
            }
        }
        is_any
    }

    fn evict_worst(
        &mut self,
        first: usize,
        rules: &Eviction,
        threshold: &mut Threshold,
        mut luck: u64,
        on_evict: &mut dyn FnMut(Record),
    ) -> bool {
        let Some(segment) = self.segment(first) else { return false };
        let share = (segment.header.len / SHARE).max(1);
        let mut worst = Worst::new(2 * share);
        for record in segment.records().filter(|record| rules.permits(record)) {
            worst.add(rules.score(record, &mut luck), record);
        }
        let Some(typical) = worst.found[..worst.len].get(share - 1).or(worst.found[..worst.len].last())
        else {
            if rules.volatile && !segment.records().any(|record| record.deadline_ms().is_some()) {
                self.forget_deadline(first);
            }
            return false;
        };
        threshold.learn(typical.map_or(0, |candidate| candidate.score));
        let least =
            if threshold.fruitless < FRUITLESS_MAX { threshold.score.unwrap_or(i64::MIN) } else { i64::MIN };
        let most = if least == i64::MIN { 1 } else { VICTIMS_MAX };
        let mut fruitless = threshold.fruitless + 1;
        for victim in worst.iter().take_while(|victim| victim.score >= least).take(most) {
            fruitless = 0;
            if let Some(record) = self.take_victim(first, victim) {
                on_evict(record);
            }
        }
        threshold.fruitless = fruitless;
        true
    }

    /// No record of a segment has a deadline any more: it need not be visited for one again.
    fn forget_deadline(&mut self, first: usize) {
        self.segment_mut(first).header.earliest_ms = i64::MAX;
        self.directory.set_deadline(first, i64::MAX);
    }

    /// S3-FIFO, as if each segment were a cache of its own.
    fn evict_queued(&mut self, first: usize, rules: &Eviction, on_evict: &mut dyn FnMut(Record)) -> bool {
        let Some(segment) = self.segment(first) else { return false };
        let candidates = segment.records().filter(|record| rules.permits(record));
        let mut queued: Vec<Queued> = candidates.map(|record| Queued::new(record, rules.access)).collect();
        let mut small = queued.iter().filter(|queued| !queued.is_main).count();
        let share = (queued.len() / SHARE).clamp(1, VICTIMS_MAX).min(queued.len());
        let mut victims = [None; VICTIMS_MAX];
        let mut chosen = 0;
        // Each step chooses a victim, moves a key on, or takes a use from one, of which it has three at most.
        while chosen < share {
            let from_main = small * SMALL_SHARE <= queued.len();
            let oldest_of = |is_main: bool| {
                let its = queued.iter().enumerate().filter(|(_, queued)| queued.is_main == is_main);
                its.max_by_key(|(_, queued)| queued.age).map(|(at, _)| at)
            };
            // Where one queue is empty, the other has them all.
            let Some(at) = oldest_of(from_main).or_else(|| oldest_of(!from_main)) else { break };
            let oldest = &mut queued[at];
            let was_small = !oldest.is_main;
            if was_small && oldest.uses >= USES_TO_STAY {
                oldest.requeue(rules.access, 0);
            } else if !was_small && oldest.uses > 0 {
                oldest.requeue(rules.access, oldest.uses - 1);
            } else {
                let record = queued.swap_remove(at).record;
                let score = i64::from(was_small);
                victims[chosen] = Some(Candidate::of(record, score));
                chosen += 1;
            }
            small -= usize::from(was_small);
        }
        for victim in victims.into_iter().flatten() {
            if let Some(record) = self.take_victim(first, victim) {
                if victim.score == 1 {
                    self.remember_evicted(self.hasher.hash(record.key()));
                }
                on_evict(record);
            }
        }
        chosen > 0
    }

    /// Takes a record out that was seen in the segment at `first`.
    pub(super) fn take_victim(&mut self, first: usize, victim: Candidate) -> Option<Record> {
        let segment = self.segment(first)?;
        let position = segment::find_pointer(segment.buckets, victim.tag, victim.pointer)?;
        Some(self.remove(first, position))
    }

    /// Looks at the use of all records of the next few segments, so that what is old stays so: see [`Access::aged`].
    /// Returns the hash prefix to go on from, 0 at the end. It changes nothing that a snapshot would have to know.
    pub fn age(&self, from: u32, segments: usize, access: Access) -> u32 {
        let directory = &self.directory;
        if directory.len() == 0 {
            return 0;
        }
        let mut next = directory.len();
        for (visited, (first, segment)) in self.segments_from(directory.index_of_prefix(from)).enumerate() {
            if visited == segments {
                next = first;
                break;
            }
            segment.prefetch_records();
            for record in segment.records() {
                let word = record.access();
                let aged = access.aged(word);
                if aged != word {
                    record.set_access(aged);
                }
            }
        }
        if next == directory.len() { 0 } else { directory.prefix_of_index(next) }
    }
}

/// A record's place in the queues of S3-FIFO.
struct Queued<'s> {
    record: &'s Record,
    age: u32,
    uses: u32,
    is_main: bool,
}

impl<'s> Queued<'s> {
    fn new(record: &'s Record, access: Access) -> Self {
        let word = record.access();
        Queued { record, age: access.queued(word), uses: fifo_uses(word), is_main: fifo_is_main(word) }
    }

    /// It goes to the end of the main queue, with so many uses.
    fn requeue(&mut self, access: Access, uses: u32) {
        self.record.set_access(access.requeued(uses));
        (self.age, self.uses, self.is_main) = (0, uses, true);
    }
}

#[cfg(test)]
mod tests;
