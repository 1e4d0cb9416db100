//! Who writes: the thread whose task it is, or whoever has appended and waits for it.
//!
//! Handing bytes to another thread and being woken by it costs more than writing them, and where every core has a worker
//! there is no core left for that thread. So a worker at the end of its turn writes what all have appended, as long as the
//! disk takes it as quickly as memory would. What may take longer is left to the thread: orders, syncs once a second,
//! whatever has failed, and for a while everything if a write has held a worker up.
//!
//! With [`Fsync::Always`] a reply waits for a sync, and one sync should do for as many as possible. So nobody syncs before
//! as many connections wait as did at the last one, or some time has passed, which the thread waits for. Whoever sees
//! that enough of them wait, and that syncs are quick, syncs for all. When syncs take longer than it is worth while to stop
//! for, the thread makes them.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::super::log::{Item, Log};
use super::super::sync::{Background, Syncer};
use super::super::{Core, Fsync};
use super::{BATCH, Kept, PATIENCE, Step, Writer};

/// A worker that sleeps in a write for longer than this leaves them to the thread for a while: those that come during a
/// sync, if it was one of them, since file systems let the one wait for the other.
const SLOW_WRITE: Duration = Duration::from_millis(20);
/// How long, at first. It becomes twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long at most.
const PAUSE_MAX: Duration = Duration::from_secs(64);
/// How often a worker looks whether another one is done with writing before it leaves its own to that one.
const LOOKS: usize = 50;
/// How often a worker writes for others, too, before it has the thread do it.
const TURNS: usize = 4;
/// Workers sync while that takes no longer than this on the average: about as long as some turns under load.
const QUICK_SYNC: Duration = Duration::from_millis(2);
/// For how long at most the thread lets others come, unless syncs are so quick that half of one is less.
const GATHERING: Duration = Duration::from_micros(500);
/// The average is over about so many syncs.
const SYNCS: u32 = 8;

/// How long syncs take that replies wait for, on the average.
#[derive(Debug, Default)]
pub(super) struct Pace(Duration);

impl Pace {
    /// One has taken so long.
    pub(super) fn note(&mut self, took: Duration) {
        self.0 = (self.0 * (SYNCS - 1) + took) / SYNCS;
    }

    fn is_quick(&self) -> bool {
        self.0 <= QUICK_SYNC
    }

    fn gathering(&self) -> Duration {
        (self.0 / 2).min(GATHERING)
    }
}

/// How the disk has treated those who had more to do than to wait for it.
#[derive(Debug, Default)]
pub(super) struct Slowness {
    until: Duration,
    pause: Duration,
}

impl Slowness {
    /// A write has taken so long, and now it is `now`; before it, this thread had gone to sleep so often.
    fn note(&mut self, took: Duration, now: Duration, sleeps: i64) {
        // Who had to share a core has lost time, too, but did not go to sleep.
        if took > SLOW_WRITE && self::sleeps() > sleeps {
            // It was well for as long as it had not been before: that is forgiven.
            let is_forgiven = now > self.until + 2 * self.pause;
            self.pause = if is_forgiven { PAUSE_MIN } else { (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX) };
            self.until = now + self.pause;
            tracing::debug!(
                "A write to the append-only file took {took:?}: for {:?} another thread writes",
                self.pause
            );
        }
    }
}

/// Where the one who writes sits, if there is one.
#[derive(Debug, Default)]
pub(in super::super) struct Seat {
    writer: Mutex<Option<Writer>>,
    /// Somebody has come while it was taken, and has gone again.
    is_missed: AtomicBool,
    /// Syncs take too long for a worker to make them.
    is_slow: AtomicBool,
    /// For how long the thread lets others come before it syncs, in nanoseconds.
    gathering: AtomicU64,
}

/// How often this thread has given its core away to wait for something; 0 where the system does not say.
fn sleeps() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches())
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The same, after some patience. If it stays taken, whoever has it will look at what there is once more.
    fn take(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        for _ in 0..LOOKS {
            if let Some(writer) = self.try_lock() {
                return Some(writer);
            }
            std::hint::spin_loop();
        }
        self.is_missed.store(true, SeqCst);
        // It may have been given back just before that.
        fence(SeqCst);
        self.try_lock()
    }

    /// True when somebody has come meanwhile: to be asked after giving it back.
    fn was_missed(&self) -> bool {
        fence(SeqCst);
        self.is_missed.load(SeqCst) && self.is_missed.swap(false, SeqCst)
    }

    /// Tells everybody how quick its syncs are, before it is given back.
    fn tell_pace(&self, writer: Option<&Writer>) {
        if let Some(Writer { pace, .. }) = writer {
            self.is_slow.store(!pace.is_quick(), Relaxed);
            self.gathering.store(pace.gathering().as_nanos() as u64, Relaxed);
        }
    }

    /// Somebody sits down, or stands up.
    pub(in super::super) fn put(&self, writer: Option<Writer>) {
        *self.lock() = writer;
    }

    /// The one who writes does what is to be done now, and is gone after the end.
    fn step(&self, log: &Log) -> Step {
        let mut writer = self.lock();
        let step = writer.as_mut().map_or(Step::Stop, Writer::step);
        if step == Step::Stop {
            *writer = None;
        }
        self.tell_pace(writer.as_ref());
        drop(writer);
        if self.was_missed() {
            log.kick();
        }
        step
    }

    /// Writes what was appended up to now, or makes sure that it will be. Call it with nothing held.
    pub(in super::super) fn advance(&self, log: &Log) {
        let mut tail = log.tail();
        // Where nobody waits for a write nobody should.
        let is_worth_it = || match log.fsync() {
            Fsync::Always => log.is_gathered() && !self.is_slow.load(Relaxed),
            _ => log.waits_for_write(),
        };
        for _ in 0..TURNS {
            if log.written() >= tail {
                return;
            }
            if !is_worth_it() {
                break;
            }
            let Some(mut writer) = self.take() else { return };
            let has_led = writer.as_mut().is_some_and(Writer::lead);
            self.tell_pace(writer.as_ref());
            drop(writer);
            if self.was_missed() {
                tail = log.tail();
            }
            if !has_led {
                break;
            }
        }
        if log.written() < tail {
            log.kick();
        }
    }
}

impl Writer {
    /// Writes what was appended, in place of the thread, and syncs it where replies wait for that. False when that is for
    /// the thread to do.
    pub(in super::super) fn lead(&mut self) -> bool {
        let began = self.core.clock.now();
        let has_new = self.kept.back().is_some_and(|kept| kept.at.is_none());
        let slowness = usize::from(self.syncing.is_some());
        let syncs = self.core.log.fsync() == Fsync::Always;
        // A sync that was begun in another mode may take its time.
        let is_slow = syncs && (self.syncing.is_some() || !self.pace.is_quick());
        if self.trouble.is_some() || has_new || is_slow || began < self.slowness[slowness].until {
            return false;
        }
        let mut items = std::mem::take(&mut self.items);
        self.core.log.take_bytes(&mut items, BATCH);
        let takes = !items.is_empty();
        self.kept.extend(items.drain(..).filter_map(|item| match item {
            Item::Bytes(chunk) => Some(Kept { chunk, at: None }),
            Item::Order(_) => None,
        }));
        self.items = items;
        if !takes {
            return false;
        }
        // What went wrong is seen once more by the thread, which knows what to do about it.
        let sleeps = sleeps();
        let worked = self.write_batch().is_ok();
        let now = self.core.clock.now();
        self.slowness[slowness].note(now.saturating_sub(began), now, sleeps);
        if worked && syncs {
            // Nobody sees it once more if this fails, so that is seen to here.
            self.sync();
        }
        worked && self.trouble.is_none()
    }
}

/// Writes what others leave to do, until it is told to stop.
pub(in super::super) fn run(core: &Arc<Core>, seat: &Seat) {
    let syncer = Syncer::start(Arc::clone(core))
        .map(|syncer| Box::new(syncer) as Box<dyn Background>)
        .inspect_err(|error| {
            tracing::warn!("There is no thread to sync in: the one that writes does it ({error})");
        })
        .ok();
    if let Some(writer) = &mut *seat.lock() {
        writer.syncer = syncer;
    }
    loop {
        match seat.step(&core.log) {
            Step::Wait => {
                core.log.wait(PATIENCE);
                core.log.gather(Duration::from_nanos(seat.gathering.load(Relaxed)));
            }
            Step::Pause => std::thread::sleep(PATIENCE),
            Step::Stop => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::read::{Next, Reader};
    use crate::aof::{Aof, Loaded, Place};
    use crate::journal::{Journal as _, Unit};
    use crate::sim::{Faults, SimDisk};
    use std::io::Cursor;
    use std::path::Path;

    #[test]
    fn whoever_appends_finds_it_written_once_and_in_order() {
        let disk = SimDisk::new(1, &["/data"]);
        let place =
            Place { dir: Path::new("/data/appendonlydir").to_owned(), stem: "appendonly.aof".to_owned() };
        let aof = Aof::new(Arc::new(disk.clone()), place.clone(), String::new());
        aof.resume(Loaded::default()).unwrap();
        let (threads, units) = (3, if cfg!(miri) { 20 } else { 2000 });
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let aof = &aof;
                scope.spawn(move || {
                    for number in 0..units {
                        let mut unit = Unit::default();
                        unit.push(
                            0,
                            [&b"SET"[..], format!("{thread}:{number}").as_bytes(), b"x"].into_iter(),
                        );
                        let lsn = aof.append(&mut unit);
                        if number % 5 == 0 {
                            continue;
                        }
                        if number % 100 == 1 {
                            aof.log()
                                .set_fsync([Fsync::Always, Fsync::EverySecond, Fsync::No][number / 100 % 3]);
                        }
                        aof.advance();
                        while aof.log().open_to() < lsn {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        assert!(aof.stop());
        assert_eq!(aof.log().synced(), aof.log().tail());
        let bytes = disk.bytes(&place.file("appendonly.aof.1.incr.aof")).unwrap();
        let mut reader = Reader::new(Box::new(Cursor::new(bytes)), 0).begun_by_us(true);
        let mut text = String::new();
        loop {
            match reader.next_piece().unwrap() {
                Next::Units(piece) => piece.runs.iter().for_each(|run| {
                    text.push_str(std::str::from_utf8(&piece.bytes[run.clone()]).unwrap());
                }),
                Next::End(end) => break assert_eq!(end.fault, None),
            }
        }
        for thread in 0..threads {
            let prefix = format!("{thread}:");
            let numbers = text.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse::<usize>().ok());
            assert!(numbers.eq(0..units), "those of each thread are there in its order");
        }
    }

    #[test]
    fn whoever_has_appended_syncs_while_that_is_quick() {
        let disk = SimDisk::new(2, &["/data"]);
        let place = Place { dir: Path::new("/data/aof").to_owned(), stem: "a".to_owned() };
        let aof = Aof::new(Arc::new(disk.clone()), place, String::new());
        // No thread runs: what is done is done by who has appended.
        aof.seat.put(Some(aof.resumed(Loaded::default()).unwrap()));
        let log = aof.log();
        log.set_fsync(Fsync::Always);
        let append = || {
            let mut unit = Unit::default();
            unit.push(0, [&b"INCR"[..], b"k"].into_iter());
            let lsn = aof.append(&mut unit);
            aof.advance();
            lsn
        };
        assert_eq!(append(), log.synced());
        let slow = || aof.seat.lock().as_mut().unwrap().pace.note(QUICK_SYNC * 2 * SYNCS);
        slow();
        assert!(append() > log.written(), "it is left to the thread");
        while log.synced() < log.tail() {
            aof.seat.step(log);
        }
        while aof.seat.is_slow.load(Relaxed) {
            append();
            aof.seat.step(log);
        }
        assert_eq!(append(), log.synced(), "it is quick again");
        disk.set_faults(Faults { sync: 1000, ..Faults::default() });
        assert!(append() > log.synced());
        assert!(aof.failure().is_some(), "a sync that fails is never hidden");
    }

    #[test]
    fn a_disk_that_holds_workers_up_is_left_to_the_thread_longer_and_longer() {
        let (mut slowness, second) = (Slowness::default(), Duration::from_secs(1));
        slowness.note(SLOW_WRITE * 2, second, i64::MAX);
        assert_eq!(slowness.until, Duration::ZERO, "the core was somebody else's meanwhile");
        let mut now = 10 * second;
        for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
            slowness.note(SLOW_WRITE * 2, now, -1);
            assert_eq!(slowness.until, now + pause * second);
            now = slowness.until;
        }
        now += 200 * second;
        slowness.note(SLOW_WRITE * 2, now, -1);
        assert_eq!(slowness.until, now + second, "it was well for long");
    }
}
