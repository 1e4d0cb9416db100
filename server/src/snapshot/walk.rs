//! The two threads of a snapshot: one walks all tables, the other writes what was taken.

use super::queue::Item;
use super::{Failure, Kind, Rest, Run};
use crate::clock::{self, Stopwatch};
use crate::shared::Shared;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_data::{Step, Taken, ValueRef};
use tidegate_persistence::rdb::{ChunkWriter, Header, SaveError, Saver, put_large};

/// How long a shard is held at once, in nanoseconds: a few segments. Whoever wants it meanwhile still spins for it.
const SLICE_NANOS: u64 = 10_000;
/// How long a thread of a snapshot sleeps while clients ask for something, as a multiple of what it has worked since it
/// slept last. On a core that is shared with a worker so much is what others notice; and a thread that sleeps so often is
/// hardly ever interrupted by the kernel while it holds a shard, for which everybody would wait some milliseconds.
const REST_TIMES: u32 = 5;
/// It sleeps no longer than this: it may have been interrupted while it worked.
const REST_MAX: Duration = Duration::from_micros(500);
/// How exactly the kernel is to end a sleep, in nanoseconds: usually it takes the liberty of 50 microseconds.
const REST_SLACK: Option<NonZeroU64> = NonZeroU64::new(1_000);
/// Whoever writes does not rest while so many bytes wait.
const HASTE: usize = 16 << 20;
/// How nice whoever writes is: with this, a core that is busy otherwise gives it a quarter.
const NICE: i32 = 5;
/// How often the log tells how far a long snapshot is.
const TOLD_EVERY_MS: i64 = 10_000;
/// Values of more heap bytes than this are no part of a chunk.
const LARGE: usize = 64 * 1024;

/// Takes and writes everything; returns the size of the file, which has not got its name yet.
pub(super) fn work(shared: &Shared, run: &Run, header: &Header, libraries: &[&[u8]]) -> Result<u64, Failure> {
    std::thread::scope(|scope| {
        let write = || {
            // For Linux a thread is a process here. Where it is not allowed, it costs its core more.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
            let result = write(shared, run, header, libraries);
            if result.is_err() {
                run.queue.turn_off();
            }
            result
        };
        let writer = std::thread::Builder::new().name("snapshot-file".to_owned()).spawn_scoped(scope, write);
        if writer.is_err() {
            run.queue.turn_off();
        }
        walk(shared, run, header.compress);
        run.queue.end();
        let joined = writer.map_err(|error| Failure::Disk(SaveError { step: "thread", error }))?.join();
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sleeping while clients ask for something.
struct Courtesy<'s> {
    shared: &'s Shared,
    /// What was read from clients before.
    reads: u64,
    clock: Stopwatch,
    /// When it slept last.
    woke: u64,
}

impl<'s> Courtesy<'s> {
    /// For the present thread, from here on.
    fn new(shared: &'s Shared) -> Self {
        // If the kernel does not want to, it takes longer.
        let _ = rustix::thread::set_current_timer_slack(REST_SLACK);
        let clock = Stopwatch::default();
        let woke = clock.ticks();
        Courtesy { shared, reads: 0, clock, woke }
    }

    /// Sleeps if something was read since the last time.
    fn rest(&mut self) {
        let reads = self.shared.stats.total(|thread| &thread.reads);
        if std::mem::replace(&mut self.reads, reads) != reads {
            let worked = Duration::from_nanos(self.clock.nanos(self.woke, self.clock.ticks()));
            std::thread::sleep(worked.saturating_mul(REST_TIMES).min(REST_MAX));
        }
        self.woke = self.clock.ticks();
    }
}

fn walk(shared: &Shared, run: &Run, compress: bool) {
    // What any other thread takes is taken because somebody changes it.
    let _ = run.walker.set(std::thread::current().id());
    let mut open: Vec<u16> = (0..shared.shards.len() as u16).collect();
    let clock = Stopwatch::default();
    let mut courtesy = Courtesy::new(shared);
    let mut told_ms = clock::unix_ms();
    // Keys that it has rested for.
    let mut rested = 0;
    while !open.is_empty() {
        // One after the other, so that nobody waits for the same shard again and again.
        open.retain(|&shard| {
            run.queue.wait_for_room();
            let goes_on = visit(shared, run, shard, compress, &clock, &mut rested);
            courtesy.rest();
            goes_on
        });
        take_rest(run, compress);
        if clock::unix_ms() - told_ms > TOLD_EVERY_MS {
            told_ms = clock::unix_ms();
            tell(run);
        }
    }
    // Whatever left the keyspace did so before its shard was done.
    take_rest(run, compress);
    rest(shared, run, &mut rested);
}

/// Takes a little of one shard; true when there may be more.
fn visit(
    shared: &Shared,
    run: &Run,
    shard: u16,
    compress: bool,
    clock: &Stopwatch,
    rested: &mut u64,
) -> bool {
    let slice_nanos = if delay_us(shared) == 0 { SLICE_NANOS } else { 0 };
    let mut hold = shared.shards.hold_one(shard);
    let started = clock.ticks();
    if run.queue.is_off() {
        hold.data_mut().databases.end_snapshot();
        return false;
    }
    let loan = loop {
        match hold.data_mut().databases.snapshot_step() {
            None => return false,
            Some(Step::Lent(loan)) => break loan,
            Some(Step::Taken) if clock.nanos(started, clock.ticks()) >= slice_nanos => {
                drop(hold);
                rest(shared, run, rested);
                return true;
            }
            Some(Step::Taken) => {}
        }
    };
    drop(hold);
    put_value(run, loan.db, &loan.taken(), compress);
    rest(shared, run, rested);
    // What it was changed to is in the table; what it was before is freed without the shard.
    let mut hold = shared.shards.hold_one(shard);
    let original = hold.data_mut().databases.give_back(loan);
    drop(hold);
    drop(original);
    true
}

/// For tests that want to look at a snapshot under way: the time that a key takes.
fn delay_us(shared: &Shared) -> u64 {
    u64::try_from(shared.config.number("rdb-key-save-delay")).unwrap_or(0)
}

/// Sleeps for every key that was taken, by whomever, and not slept for yet.
fn rest(shared: &Shared, run: &Run, rested: &mut u64) {
    const NAP: Duration = Duration::from_millis(20);
    let delay_us = delay_us(shared);
    let taken = run.keys.load(Relaxed);
    let keys = taken.saturating_sub(std::mem::replace(rested, taken));
    if delay_us == 0 {
        return;
    }
    let mut left = Duration::from_micros(delay_us.saturating_mul(keys));
    while !left.is_zero() && !run.queue.is_off() {
        std::thread::sleep(left.min(NAP));
        left = left.saturating_sub(NAP);
    }
}

/// Writes what left the keyspace before it was taken, and frees it.
fn take_rest(run: &Run, compress: bool) {
    for rest in run.take_rest() {
        match rest {
            _ if run.queue.is_off() => {}
            Rest::Orphan(orphan) => put_value(run, orphan.db, &orphan.taken(), compress),
            Rest::Left(left) => {
                let mut writer = ChunkWriter::default();
                left.for_each(&mut |taken| match taken.value {
                    _ if run.queue.is_off() => {}
                    ValueRef::Boxed(value) if value.heap_size() > LARGE => {
                        put_value(run, left.db, &taken, compress);
                    }
                    _ => {
                        run.gather(&mut writer, left.db, &taken);
                        run.keys.fetch_add(1, Relaxed);
                        run.queue.wait_for_room();
                    }
                });
                run.queue.put(writer.last_chunk(left.db));
            }
        }
    }
}

fn put_value(run: &Run, db: usize, taken: &Taken<'_>, compress: bool) {
    let (idle_s, frequency) = run.usage(taken.access);
    run.queue.put_part(Item::Value(db));
    let mut put = |bytes| {
        if !run.queue.is_off() {
            run.queue.put_part(Item::Part(bytes));
        }
    };
    let version = put_large(taken, idle_s, frequency, compress, &mut put);
    run.keys.fetch_add(1, Relaxed);
    run.queue.put_part(Item::End(version));
}

fn tell(run: &Run) {
    let progress = run.progress();
    let percent = progress.keys as f64 * 100.0 / progress.keys_total.max(1) as f64;
    let what = match run.kind {
        Kind::Save => "Background saving",
        Kind::Rewrite => "Background append only file rewriting",
    };
    tracing::info!("{what}: {} of {} keys ({percent:.1}%)", progress.keys, progress.keys_total);
}

fn write(shared: &Shared, run: &Run, header: &Header, libraries: &[&[u8]]) -> Result<u64, Failure> {
    let mut saver = Saver::create(&*shared.disk, &run.temporary, header).map_err(Failure::Disk)?;
    for code in libraries {
        saver.library(code);
    }
    for &(db, keys, deadlines) in &run.databases {
        saver.database(db, keys, deadlines);
    }
    let mut written = 0;
    let mut courtesy = Courtesy::new(shared);
    while let Some(item) = run.queue.take() {
        let keys = match item {
            Item::Chunk(chunk) => {
                saver.chunk(&chunk);
                let keys = chunk.keys;
                run.queue.give_back(chunk);
                keys
            }
            Item::Value(db) => {
                saver.select(db);
                0
            }
            Item::Part(bytes) => {
                saver.part(&bytes);
                0
            }
            Item::End(version) => {
                saver.needs_version(version);
                1
            }
        };
        if let Some(failure) = saver.failure() {
            return Err(Failure::Disk(failure));
        }
        written += keys;
        if run.queue.size() < HASTE {
            courtesy.rest();
        }
    }
    if run.queue.is_off() {
        return Err(Failure::Cancelled);
    }
    if written != run.keys_total {
        return Err(Failure::Incomplete(run.keys_total, written));
    }
    saver.finish().map_err(Failure::Disk)
}
