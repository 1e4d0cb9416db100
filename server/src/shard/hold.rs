//! Holding shards: the only way to their data, and the only mechanism that may look at two of them.
//!
//! Shards are always locked in ascending order, so two holds can never wait for each other. A hold is a plain
//! value that releases on drop; it must never live across an `.await` (handlers are no futures, so it cannot).
//!
//! A script does not know all its shards beforehand. There is a right to take more of them at any time, in any order, of
//! which at most one thread has a [`Roam`]. While that thread waits for a shard, everybody who waits for a shard while
//! holding others gives these back: whoever still holds something then is at work, and ends without wanting more.
#![expect(unsafe_code, reason = "the data of a shard is guarded by a lock of our own; benches/lock.rs")]

use super::block::WaitTable;
use super::lock::{Patience, ShardLock};
use super::track::TrackTable;
use super::watch::WatchTable;
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
use smallvec::SmallVec;
use std::cell::UnsafeCell;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_data::{Databases, DirectoryHint, Held, KeyHasher};

/// What a shard owns.
#[derive(Debug)]
pub struct ShardData {
    /// Its part of all databases.
    pub databases: Databases,
    /// Clients that watch its keys.
    pub watched: WatchTable,
    /// Requests that wait for its keys.
    pub awaited: WaitTable,
    /// Clients that hold its keys in a cache of their own.
    pub tracked: TrackTable,
    /// Database and name of keys of which the journal has not heard, each once: see `native::soft`.
    pub soft: Vec<(u16, Box<[u8]>)>,
    /// Position in the journal (a `journal::Lsn`) behind the last change here.
    pub changed_at: u64,
}

impl ShardData {
    /// True when somebody wants to know which keys are touched here.
    #[inline]
    pub fn is_observed(&self) -> bool {
        let is_silent = self.watched.is_empty() & self.awaited.is_empty() & self.tracked.is_empty();
        !(is_silent & self.databases.leases().is_empty())
    }
}

/// One shard. The lock has its own cache line, so that waiting for it does not slow down its holder.
#[repr(align(128))]
#[derive(Debug)]
struct Shard {
    lock: ShardLock,
    /// Directory hints by database: read without the lock to prefetch.
    hints: Line<Box<[DirectoryHint]>>,
    data: Line<UnsafeCell<ShardData>>,
}

/// Begins on a cache line of its own.
#[repr(align(128))]
#[derive(Debug)]
struct Line<T>(T);

// SAFETY: `data` is reached only through `Hold` and `HoldOne`, which exist only while `lock` is held by them, and the
// lock orders their accesses (tests/loom proves both); everything else in a shard is Sync by itself. A guard may move to
// another thread and be looked at from several, so what it gives out must be Send and Sync: see below.
unsafe impl Sync for Shard {}

const _: () = {
    const fn may_cross_threads<T: Send + Sync>() {}
    may_cross_threads::<ShardData>();
};

/// All shards of the keyspace.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "it is what it is made of")]
pub struct Shards {
    shards: Box<[Shard]>,
    /// Held by the one [`Roam`] there is.
    roaming: Line<ShardLock>,
    /// The one who roams waits for a shard.
    roamer_waits: Line<AtomicBool>,
}

impl Shards {
    /// `count` (a power of two, at most 256) shards of `databases` databases.
    pub fn new(count: usize, databases: usize, hasher: &KeyHasher) -> Self {
        assert!(count.is_power_of_two() && count <= 256, "a shard is a cluster slot modulo a power of two");
        let shard = |_| {
            let databases = Databases::new(databases, hasher);
            let hints = (0..databases.count()).map(|db| databases.table(db).hint()).collect();
            Shard {
                lock: ShardLock::default(),
                hints: Line(hints),
                data: Line(UnsafeCell::new(ShardData {
                    databases,
                    watched: WatchTable::default(),
                    awaited: WaitTable::default(),
                    tracked: TrackTable::default(),
                    soft: Vec::new(),
                    changed_at: 0,
                })),
            }
        };
        Shards {
            shards: (0..count).map(shard).collect(),
            roaming: Line(ShardLock::default()),
            roamer_waits: Line(AtomicBool::new(false)),
        }
    }

    /// Number of shards.
    #[expect(clippy::len_without_is_empty, reason = "there is always a shard")]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// The shard of a cluster slot.
    #[inline]
    pub fn of_slot(&self, slot: u16) -> u16 {
        slot & (self.shards.len() as u16 - 1)
    }

    /// Brings the shard's lock and the directory's entry of a key nearer to this core, without taking the lock.
    ///
    /// The lock's line usually was another core's last: fetching it for writing now, together with those of the
    /// whole group, costs one transfer's time instead of one for every command.
    #[inline]
    pub fn prefetch_entry(&self, shard: u16, db: usize, hash: u64) {
        let shard = &self.shards[shard as usize];
        prefetch_for_write(&raw const shard.lock);
        shard.hints.0[db].prefetch_entry(hash);
    }

    /// Brings the bucket of a key nearer, without taking the lock. Best called some time after
    /// [`Shards::prefetch_entry`], whose entry it loads.
    #[inline]
    pub fn prefetch_bucket(&self, shard: u16, db: usize, hash: u64) {
        self.shards[shard as usize].hints.0[db].prefetch_bucket(hash);
    }

    /// Brings the record of a key nearer, if its shard is free at this moment.
    #[inline]
    pub fn prefetch_record(&self, shard: u16, db: usize, hash: u64) {
        if let Some(hold) = self.try_hold_one(shard) {
            hold.data().databases.table(db).prefetch_record(hash);
        }
    }

    /// Holds one shard.
    #[inline]
    pub fn hold_one(&self, shard: u16) -> HoldOne<'_> {
        let inner = &self.shards[shard as usize];
        inner.lock.lock_sending();
        HoldOne { shard: inner, index: shard }
    }

    /// Holds one shard if it is free.
    #[inline]
    pub fn try_hold_one(&self, shard: u16) -> Option<HoldOne<'_>> {
        let inner = &self.shards[shard as usize];
        inner.lock.try_lock().then(|| HoldOne { shard: inner, index: shard })
    }

    /// Holds several shards. The list may be unordered and repeat itself.
    pub fn hold(&self, mut wanted: SmallVec<[u16; 16]>) -> Hold<'_> {
        wanted.sort_unstable();
        wanted.dedup();
        while !self.lock_in_order(&wanted) {
            let mut patience = Patience::default();
            while self.roamer_waits.0.load(Ordering::Relaxed) {
                patience.wait();
            }
        }
        Hold { shards: &self.shards, held: wanted }
    }

    /// Locks these shards, or none of them: false when somebody who roams needs a way.
    fn lock_in_order(&self, wanted: &[u16]) -> bool {
        for (index, &shard) in wanted.iter().enumerate() {
            let lock = &self.shards[shard as usize].lock;
            if index == 0 {
                // Who holds nothing is in nobody's way.
                lock.lock();
            } else if !lock.lock_unless(&self.roamer_waits.0) {
                for &held in &wanted[..index] {
                    self.shards[held as usize].lock.unlock();
                }
                return false;
            }
        }
        true
    }

    /// Waits for the right to take further shards in any order. Call it with no shard held.
    pub fn roam(&self) -> Roam<'_> {
        self.roaming.0.lock();
        Roam { shards: self }
    }

    /// Holds all shards: the commands about the keyspace as a whole.
    pub fn hold_all(&self) -> Hold<'_> {
        self.hold((0..self.shards.len() as u16).collect())
    }
}

/// Fetches the cache line of `line` for writing.
#[inline]
fn prefetch_for_write<T>(line: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch is a hint: it reads and writes nothing the program can see and never faults. `prefetchw` is
    // written out because the intrinsic fetches for reading unless the build asks for processors that have it.
    unsafe {
        std::arch::asm!("prefetchw [{line}]", line = in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = line;
}

/// One held shard.
#[derive(Debug)]
pub struct HoldOne<'s> {
    shard: &'s Shard,
    index: u16,
}

impl HoldOne<'_> {
    /// Which shard it is.
    #[inline]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The shard's data.
    #[inline]
    pub fn data(&self) -> &ShardData {
        // SAFETY: this guard exists only while its thread holds the lock, and gives out data by its own borrow.
        unsafe { &*self.shard.data.0.get() }
    }

    /// The shard's data, to change it.
    #[inline]
    pub fn data_mut(&mut self) -> &mut ShardData {
        // SAFETY: this guard exists only while its thread holds the lock, and `&mut self` makes it the only way in.
        unsafe { &mut *self.shard.data.0.get() }
    }
}

impl Drop for HoldOne<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shard.lock.unlock();
    }
}

/// The right to take further shards while holding some, in any order.
#[derive(Debug)]
pub struct Roam<'s> {
    shards: &'s Shards,
}

impl<'s> Roam<'s> {
    /// Takes further shards into a hold. What is held already stays so.
    pub fn extend(&self, hold: &mut Hold<'s>, wanted: impl IntoIterator<Item = u16>) {
        for shard in wanted {
            let Err(at) = hold.held.binary_search(&shard) else { continue };
            let lock = &self.shards.shards[shard as usize].lock;
            if !lock.try_lock() {
                self.shards.roamer_waits.0.store(true, Ordering::Relaxed);
                lock.lock();
                self.shards.roamer_waits.0.store(false, Ordering::Relaxed);
            }
            hold.held.insert(at, shard);
        }
    }

    /// Takes all shards into a hold.
    pub fn extend_to_all(&self, hold: &mut Hold<'s>) {
        self.extend(hold, 0..self.shards.len() as u16);
    }
}

impl Drop for Roam<'_> {
    fn drop(&mut self) {
        self.shards.roaming.0.unlock();
    }
}

/// Several held shards, ascending.
#[derive(Debug)]
pub struct Hold<'s> {
    shards: &'s [Shard],
    held: SmallVec<[u16; 16]>,
}

impl Hold<'_> {
    /// The data of shard `index`, if it is held.
    pub fn shard_mut(&mut self, index: u16) -> Option<&mut ShardData> {
        self.held.binary_search(&index).ok()?;
        // SAFETY: the shard's lock is held by this guard (it is in `held`), and `&mut self` makes it the only way in.
        Some(unsafe { &mut *self.shards[index as usize].data.0.get() })
    }

    /// True when shard `index` is held.
    pub fn has(&self, index: u16) -> bool {
        self.held.binary_search(&index).is_ok()
    }

    /// The databases of one held shard.
    pub fn databases_of(&mut self, index: u16) -> Held<'_> {
        self.shard_mut(index).map_or(Held::None, |data| Held::One(index, &mut data.databases))
    }

    /// The databases of all held shards, as a command's view of the keyspace wants them.
    pub fn databases(&mut self) -> Held<'_> {
        if let [index] = self.held[..] {
            let data = self.shard_mut(index).expect("the one held shard is held");
            return Held::One(index, &mut data.databases);
        }
        let shards = self.shards;
        let each = |&index: &u16| {
            // SAFETY: every index in `held` is locked by this guard and occurs once (`hold` removes duplicates),
            // so the borrows are disjoint; they end with the borrow of `self`.
            let data = unsafe { &mut *shards[index as usize].data.0.get() };
            (index, &mut data.databases)
        };
        Held::Many(self.held.iter().map(each).collect())
    }

    /// Visits the data of every held shard.
    pub fn each(&mut self, mut visit: impl FnMut(u16, &mut ShardData)) {
        for &index in &self.held {
            // SAFETY: as in `databases`; the borrow ends before the next begins.
            visit(index, unsafe { &mut *self.shards[index as usize].data.0.get() });
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        for &shard in self.held.iter().rev() {
            self.shards[shard as usize].lock.unlock();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_leaves_the_shard_held() {
        // `then_some` once built the guard before it knew, and dropping it released somebody else's lock.
        let shards = Shards::new(4, 1, &KeyHasher::new(1));
        let hold = shards.hold_one(2);
        assert!(shards.try_hold_one(2).is_none());
        assert!(shards.try_hold_one(2).is_none(), "the failed attempt must not have released the lock");
        assert!(shards.try_hold_one(1).is_some());
        drop(hold);
        assert!(shards.try_hold_one(2).is_some());
    }

    #[test]
    fn who_roams_gets_every_shard_in_any_order() {
        let shards = Shards::new(8, 1, &KeyHasher::new(1));
        std::thread::scope(|scope| {
            for thread in 0..4u16 {
                let shards = &shards;
                scope.spawn(move || {
                    for turn in 0..if cfg!(miri) { 10u16 } else { 1000 } {
                        if thread < 2 {
                            let roam = shards.roam();
                            let mut hold = shards.hold([thread + 5].into_iter().collect());
                            roam.extend(&mut hold, [4, (turn + thread) % 8, 0]);
                            assert!(hold.has(0) && hold.has(4) && hold.has(thread + 5));
                            if turn % 16 == 0 {
                                roam.extend_to_all(&mut hold);
                                assert!((0..8).all(|shard| hold.has(shard)));
                            }
                        } else {
                            let wanted: SmallVec<[u16; 16]> = [0, turn % 8, 6, 7].into_iter().collect();
                            assert!(shards.hold(wanted).has(6));
                        }
                    }
                });
            }
        });
        assert!((0..8).all(|shard| shards.try_hold_one(shard).is_some()), "everything was released");
    }

    #[test]
    fn holds_exclude_each_other() {
        let shards = Shards::new(4, 1, &KeyHasher::new(1));
        let counted = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4u16 {
                let (shards, counted) = (&shards, &counted);
                scope.spawn(move || {
                    for turn in 0..if cfg!(miri) { 20u16 } else { 2000 } {
                        let wanted: SmallVec<[u16; 16]> = [thread % 4, turn % 4, 3].into_iter().collect();
                        let mut hold = shards.hold(wanted);
                        // Not atomic as a whole: only the hold of shard 3 makes the sum come out right.
                        let seen = counted.load(std::sync::atomic::Ordering::Relaxed);
                        hold.each(|_, data| assert!(data.watched.is_empty()));
                        counted.store(seen + 1, std::sync::atomic::Ordering::Relaxed);
                        drop(hold);
                        if let Some(mut one) = shards.try_hold_one(turn % 4) {
                            assert_eq!(one.data_mut().databases.count(), 1);
                        }
                    }
                });
            }
        });
        let turns = if cfg!(miri) { 20 } else { 2000 };
        assert_eq!(counted.load(std::sync::atomic::Ordering::Relaxed), 4 * turns);
    }
}
