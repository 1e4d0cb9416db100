//! `maxmemory`: whoever wants to run a command sees to it first that memory suffices.
//!
//! As in Redis, memory is looked at before each command, and keys are evicted until what is in use is allowed again, for as
//! long as `maxmemory-eviction-tenacity` says; a command that needs memory is refused only when nothing is left that may
//! go. To look means to add up the counters of all threads, so a thread does it once a turn, and again when it has itself
//! allocated a part of what was left. Each thread evicts for itself: a segment here, a segment there, a shard at a time
//! that is not held by somebody else.

use super::Worker;
use crate::clock;
use crate::config::Hot;
use crate::config::choices::MaxmemoryPolicy;
use crate::dataset;
use crate::memory;
use crate::session::Session;
use crate::shard::HoldOne;
use crate::shard::exec::{Evicted, Grip};
use crate::shard::news::NOBODY;
use crate::shared::{PauseKind, Shared};
use tidegate_data::{AGED_EVERY_S, Eviction, Order, Table, Threshold};

/// So much more than necessary is evicted at once, in bytes, that the next commands need not.
const BATCH_MAX: usize = 16 << 10;
/// The same as a part of the limit: one in so many bytes.
const BATCH_SHARE: usize = 1024;
/// Bytes of victims after which memory is looked at again.
const ROUND: usize = 64 << 10;
/// A thread allocates so much, in bytes, before it looks at memory again, however much is left.
const GRANT_MAX: usize = 1 << 20;
/// It may allocate so much although hardly anything is left, in bytes.
const GRANT_MIN: usize = 512;
/// Attempts to find a shard that nobody holds, before waiting for one.
const TRIES: usize = 8;
/// Visits after which the time is looked at.
const VISITS: u64 = 4;
/// How long it is remembered that all keys were looked at and none may go, in milliseconds.
const BARREN_MS: i64 = 100;

/// How often a second a thread looks at the use of records, about.
const AGINGS_PER_S: u64 = 20;

/// What a thread knows of memory.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// `maxmemory`; 0 means no limit.
    limit: usize,
    policy: Option<MaxmemoryPolicy>,
    /// Memory has to be looked at when this thread has allocated more than so many bytes more than it has freed.
    until: isize,
    threshold: Threshold,
    /// The shard that is visited next.
    hand: u16,
    /// By shard: the database and the hash prefix at which [`Worker::age_some`] goes on.
    aging: Vec<(usize, u32)>,
    /// All keys were looked at, and none may go: until this moment, Unix milliseconds.
    barren_until_ms: i64,
}

impl Room {
    /// Reads the settings: at the start of every turn.
    #[inline]
    pub(super) fn follow(&mut self, hot: &Hot) {
        self.limit = usize::try_from(hot.maxmemory.get()).unwrap_or(usize::MAX);
        if self.limit > 0 {
            self.until = isize::MIN;
            let policy = hot.maxmemory_policy.get();
            if self.policy != Some(policy) {
                (self.policy, self.threshold) = (Some(policy), Threshold::default());
            }
        }
    }

    /// No limit applies.
    pub(super) fn lift(&mut self) {
        self.limit = 0;
    }

    /// Memory has to be looked at before anything else runs.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.limit != 0 && memory::own() > self.until
    }

    fn batch(&self) -> usize {
        (self.limit / BATCH_SHARE).min(BATCH_MAX)
    }

    /// So many bytes are left. Other threads may be using them at the same time.
    fn grant(&mut self, left: usize, threads: usize) {
        let own = (left / (2 * threads.max(1))).clamp(GRANT_MIN, GRANT_MAX);
        self.until = memory::own().saturating_add_unsigned(own);
    }
}

/// How an attempt to make room ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// What is in use is allowed.
    Enough,
    /// It is not yet, but it took long enough.
    Some,
    /// There is nothing left that may go.
    Nothing,
}

/// Bytes that are in use, but not because of what `maxmemory` is about: what waits to be written to the append-only file or
/// a snapshot.
pub(crate) fn not_counted(shared: &Shared) -> usize {
    let log = shared.aof.as_ref().map_or(0, |aof| aof.log().tail().saturating_sub(aof.log().written()));
    shared.snapshots.waiting().saturating_add(usize::try_from(log).unwrap_or(usize::MAX))
}

/// Bytes that count against `maxmemory`. What is only waiting to be freed does not.
fn counted(shared: &Shared) -> usize {
    memory::used().saturating_sub(not_counted(shared)).saturating_sub(shared.reclaim.waiting())
}

/// How long a command may be made to wait for room, in nanoseconds: Redis' figures.
pub(super) fn patience_nanos(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => u64::from(tenacity) * 50_000,
        11..=99 => (500_000.0 * 1.15_f64.powi(tenacity.cast_signed() - 10)) as u64,
        _ => u64::MAX,
    }
}

impl Worker {
    /// Sees to it that the next command may use memory, if that is possible. What the client itself has to hear of keys that
    /// went goes to `out`, before the reply.
    #[cold]
    pub(super) fn see_to_memory(
        &mut self,
        session: &Session,
        held: &mut Option<HoldOne<'_>>,
        out: &mut Vec<u8>,
    ) {
        let used = counted(&self.shared);
        if used <= self.room.limit {
            self.memory_suffices(used);
            return;
        }
        *held = None;
        self.exec.count_lookups();
        let reader = session.client.id;
        self.make_room(used, self.shared.tracking.has(reader).then_some(reader));
        if !self.exec.news.own.is_empty() {
            let own = std::mem::take(&mut self.exec.news.own);
            self.tell_self(&session.client, own, out);
        }
    }

    /// The same when no command runs. True when there is more to do.
    pub fn tend_memory(&mut self) -> bool {
        self.begin_turn();
        if !self.room.is_due() {
            return false;
        }
        let used = counted(&self.shared);
        if used <= self.room.limit {
            self.memory_suffices(used);
            return false;
        }
        let made = self.make_room(used, None);
        self.finish_news();
        self.finish_journal(None);
        made == Made::Some
    }

    /// Looks at the use of some records of one of this thread's shards, so that what is old stays so. Call it with the number
    /// of the turn, [`AGINGS_PER_S`] times a second: every record has its turn once an hour.
    pub fn age_some(&mut self, turn: u64) {
        let access = self.turn.access;
        let (threads, shards) = (self.shared.identity.threads as u64, self.shared.shards.len() as u64);
        let mine = shards.saturating_sub(self.index as u64).div_ceil(threads);
        if !access.ages() || mine == 0 {
            return;
        }
        let shard = self.index as u64 + threads * (turn % mine);
        let Some(hold) = self.eternal.shards.try_hold_one(shard as u16) else { return };
        let databases = &hold.data().databases;
        let segments: usize = (0..databases.count()).map(|db| databases.table(db).visits()).sum();
        let visits = AGINGS_PER_S * AGED_EVERY_S.cast_unsigned() / mine;
        // Twice as many as are necessary, because now and then a shard is not free.
        let mut left = 1 + 2 * segments / (visits as usize).max(1);
        self.room.aging.resize(shards as usize, (0, 0));
        let (db, prefix) = &mut self.room.aging[shard as usize];
        for _ in 0..databases.count() {
            *db %= databases.count();
            let some = left.min(databases.table(*db).visits());
            *prefix = databases.table(*db).age(*prefix, some, access);
            left -= some;
            *db += usize::from(*prefix == 0);
            if *prefix != 0 || left == 0 {
                break;
            }
        }
    }

    fn memory_suffices(&mut self, used: usize) {
        self.out_of_memory = false;
        self.room.grant(self.room.limit.saturating_sub(used), self.shared.identity.threads);
        self.shared.stats.keeps_to_memory();
    }

    /// More is in use than is allowed. Call it with no shard held.
    fn make_room(&mut self, used: usize, reader: Option<u64>) -> Made {
        let is_static =
            self.shared.pause.kind(self.exec.now_ms) != PauseKind::None || self.shared.scripts.busy.is_busy();
        if is_static {
            // Nothing is to change now; whoever may run all the same is not held up.
            self.out_of_memory = false;
            self.room.until = isize::MAX;
            return Made::Enough;
        }
        let order = self.room.policy.and_then(MaxmemoryPolicy::order);
        let made = match order {
            Some(_) if self.exec.now_ms < self.room.barren_until_ms => Made::Nothing,
            Some((order, volatile)) => self.evict(order, volatile, used, reader),
            None => Made::Nothing,
        };
        match made {
            Made::Enough => self.memory_suffices(counted(&self.shared)),
            Made::Some => {
                self.out_of_memory = false;
                self.room.grant(0, 1);
                self.shared.stats.exceeds_memory();
            }
            Made::Nothing => {
                self.out_of_memory = true;
                self.room.until = isize::MIN;
                self.shared.stats.exceeds_memory();
            }
        }
        made
    }

    fn evict(&mut self, order: Order, volatile: bool, used: usize, reader: Option<u64>) -> Made {
        let (hot, started) = (self.eternal.config.hot(), self.stopwatch.ticks());
        let patience = patience_nanos(hot.maxmemory_eviction_tenacity.get());
        let rules = Eviction {
            order,
            volatile,
            durable: hot.evict_durable.get(),
            access: dataset::access_at(hot, self.exec.now_ms),
            // Redis knows moments to the second. Half of its samples are as good here, and better in loops.
            samples: hot.maxmemory_samples.get() as usize / 2 + 1,
        };
        let lazily = hot.lazyfree_lazy_eviction.get();
        let actor = std::mem::replace(&mut self.exec.actor, NOBODY);
        let limit = self.room.limit;
        let shards = self.shared.shards.len();
        let (mut empty, mut visits, mut barren) = (0, 0, 0);
        // What is known from the start is all that is evicted: telling others of it takes memory, too.
        let (mut wanted, mut freed) = (used - limit + self.room.batch(), 0);
        let made = loop {
            let evicted = self.evict_from_next(&rules, lazily, reader, empty > 0);
            visits += 1;
            empty = if evicted.is_empty { empty + 1 } else { 0 };
            barren = if evicted.keys == 0 && !evicted.is_empty { barren + 1 } else { 0 };
            if empty > shards {
                break Made::Nothing;
            }
            freed += evicted.bytes;
            if freed >= wanted {
                break Made::Enough;
            }
            if freed >= ROUND {
                // Others are at it, too.
                let used = counted(&self.shared);
                if used <= limit {
                    break Made::Enough;
                }
                (wanted, freed) = ((wanted - freed).min(used - limit + self.room.batch()), 0);
            }
            if visits % VISITS == 0 {
                if barren > 0 && self.is_barren(barren, volatile) {
                    self.room.barren_until_ms = clock::unix_ms() + BARREN_MS;
                    break Made::Nothing;
                }
                if self.stopwatch.nanos(started, self.stopwatch.ticks()) > patience {
                    break Made::Some;
                }
            }
        };
        self.exec.actor = actor;
        self.note_delay("eviction-cycle", started);
        made
    }

    /// So many visits in a row found nothing that may go, although there are keys. True when they have seen all of them.
    #[cold]
    fn is_barren(&mut self, visits: u64, volatile: bool) -> bool {
        const FEW: u64 = 64;
        let shared = self.eternal;
        if visits < FEW || visits < shared.shards.len() as u64 {
            return false;
        }
        let mut segments = 0;
        for shard in 0..shared.shards.len() {
            let hold = shared.shards.hold_one(shard as u16);
            let databases = &hold.data().databases;
            let tables = (0..databases.count()).map(|db| databases.table(db));
            let most = tables.filter(|table| table.evictable_len(volatile) > 0).map(Table::visits).max();
            segments = segments.max(most.unwrap_or(0) * databases.count());
        }
        // Each shard had its turn as often as it has segments; a database is chosen by its keys, by chance.
        visits >= 2 * (segments * shared.shards.len()) as u64
    }

    /// Visits one shard, one that nobody holds if possible.
    fn evict_from_next(
        &mut self,
        rules: &Eviction,
        lazily: bool,
        reader: Option<u64>,
        insists: bool,
    ) -> Evicted {
        let shared = self.eternal;
        let shards = shared.shards.len() as u16;
        let mut threshold = self.room.threshold;
        let mut shard = self.next_shard(shards);
        let evicted = if self.exec.stream_shard().is_some() {
            let mut hold = shared.shards.hold(self.with_stream(shard));
            let mut grip = Grip::Many(&mut hold);
            self.evict_held(&mut grip, shard, rules, &mut threshold, lazily, reader)
        } else {
            let mut free = None;
            for _ in 0..if insists { 0 } else { TRIES } {
                free = shared.shards.try_hold_one(shard);
                if free.is_some() {
                    break;
                }
                shard = self.next_shard(shards);
            }
            let mut hold = free.unwrap_or_else(|| shared.shards.hold_one(shard));
            self.evict_held(&mut Grip::One(&mut hold), shard, rules, &mut threshold, lazily, reader)
        };
        self.room.threshold = threshold;
        self.serve_postponed();
        self.exec.free_garbage();
        evicted
    }

    pub(super) fn next_shard(&mut self, shards: u16) -> u16 {
        // Threads begin at different shards, so that they do not walk behind each other.
        if self.room.hand == 0 {
            self.room.hand = (self.index as u16 * 7) % shards + 1;
        }
        let shard = self.room.hand - 1;
        self.room.hand = if self.room.hand >= shards { 1 } else { self.room.hand + 1 };
        shard
    }

    fn evict_held(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        rules: &Eviction,
        threshold: &mut Threshold,
        lazily: bool,
        reader: Option<u64>,
    ) -> Evicted {
        let started = self.stopwatch.ticks();
        let evicted = self.exec.evict(grip, shard, rules, threshold, lazily, reader);
        if self.exec.needs_attention {
            self.serve_ready(grip);
        }
        self.note_delay("eviction-del", started);
        evicted
    }

    /// Tells the latency monitor if something took long.
    fn note_delay(&self, event: &'static str, started: u64) {
        if self.turn.spike_nanos == u64::MAX {
            return;
        }
        let nanos = self.stopwatch.nanos(started, self.stopwatch.ticks());
        if nanos >= self.turn.spike_nanos {
            self.shared.latency.add(event, (nanos / 1_000_000).cast_signed(), self.exec.now_ms / 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_that_of_redis() {
        assert_eq!(patience_nanos(0), 0);
        assert_eq!(patience_nanos(10), 500_000);
        assert_eq!(patience_nanos(11), 575_000);
        assert!((100_000_000_000..200_000_000_000).contains(&patience_nanos(99)));
        assert_eq!(patience_nanos(100), u64::MAX);
    }

    #[test]
    fn what_is_granted_shrinks_with_what_is_left() {
        let mut room = Room { limit: 1 << 30, ..Room::default() };
        let own = memory::own();
        for (left, most) in [(0, GRANT_MIN), (100_000, 25_000), (1 << 30, GRANT_MAX)] {
            room.grant(left, 2);
            assert!(room.until - own <= most as isize + 64);
        }
        assert_eq!(room.batch(), BATCH_MAX);
    }
}
