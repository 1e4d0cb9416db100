//! Keeping what was written and not synced yet, in as little memory as it has bytes: batches are small where many threads
//! write, and each came in a large piece of memory that is better used for what comes next.

use super::super::log::{CHUNK, Chunk};
use super::{Kept, Writer};
use crate::journal::Lsn;

impl Writer {
    /// Puts the pieces of the batch that begins at `at` together with those before, where that saves memory.
    pub(super) fn pack_kept(&mut self, at: u64) {
        let is_new = |kept: &Kept| kept.at == Some(at);
        let first = self.kept.len() - self.kept.iter().rev().take_while(|kept| is_new(kept)).count();
        let mut new = std::mem::take(&mut self.packing);
        new.extend(self.kept.drain(first..));
        for kept in new.drain(..) {
            self.keep(kept);
        }
        self.packing = new;
    }

    fn keep(&mut self, Kept { chunk, at }: Kept) {
        let Chunk { bytes, end, db, is_open } = chunk;
        if bytes.len() >= CHUNK / 2 {
            return self.kept.push_back(Kept { chunk: Chunk { bytes, end, db, is_open }, at });
        }
        // Pieces of one unit stay by themselves, the last one of them as well: they are kept and forgotten together.
        let ends_unit = self.kept.len() >= 2 && self.kept[self.kept.len() - 2].chunk.is_open;
        let has_room = |last: &&mut Kept| {
            let Chunk { bytes: kept, is_open: goes_on, .. } = &last.chunk;
            !is_open && !goes_on && !ends_unit && kept.capacity() - kept.len() >= bytes.len()
        };
        if let Some(last) = self.kept.back_mut().filter(has_room) {
            last.chunk.bytes.extend_from_slice(&bytes);
            last.chunk.end = end;
        } else {
            let fresh = |size| Vec::with_capacity(size);
            let mut kept =
                if is_open { fresh(bytes.len()) } else { self.pool.pop().unwrap_or_else(|| fresh(CHUNK)) };
            kept.extend_from_slice(&bytes);
            self.kept.push_back(Kept { chunk: Chunk { bytes: kept, end, db, is_open }, at });
        }
        self.core.log.give_back(bytes);
    }

    /// Forgets what is safe up to here.
    pub(super) fn drop_kept(&mut self, lsn: Lsn) {
        // As much will be needed until the next sync, and memory that the system has to clear costs more than all the rest.
        self.pool_max = self.kept.len().max(self.pool_max / 2);
        while self.kept.front().is_some_and(|kept| kept.chunk.end <= lsn) {
            let Some(Kept { chunk: Chunk { mut bytes, .. }, .. }) = self.kept.pop_front() else { break };
            if bytes.capacity() == CHUNK && self.pool.len() < self.pool_max {
                bytes.clear();
                self.pool.push(bytes);
            } else {
                self.core.log.give_back(bytes);
            }
        }
        self.pool.truncate(self.pool_max);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::aof::load::{Loading, Step};
    use crate::aof::sync::Background;
    use crate::aof::{Aof, Clock, Fsync, Loaded, Place};
    use crate::disk::LogFile;
    use crate::journal::{Journal as _, Unit};
    use crate::sim::{Crash, Faults, SimDisk};

    /// A sync that is not done before somebody says so.
    #[derive(Debug, Default)]
    struct Slow {
        file: Option<Arc<dyn LogFile>>,
        is_over: Arc<AtomicU64>,
    }

    impl Background for Slow {
        fn ask(&mut self, file: Arc<dyn LogFile>) {
            self.file = Some(file);
        }

        fn result(&mut self) -> Option<io::Result<()>> {
            self.file.take_if(|_| self.is_over.load(Relaxed) > 0).map(|file| file.sync())
        }
    }

    #[derive(Debug, Default)]
    struct Seconds(AtomicU64);

    impl Clock for Seconds {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Relaxed))
        }

        fn unix_s(&self) -> i64 {
            1_700_000_000
        }
    }

    struct Bench {
        disk: SimDisk,
        clock: Arc<Seconds>,
        aof: Aof,
        writer: Writer,
        is_over: Arc<AtomicU64>,
    }

    fn place() -> Place {
        Place { dir: Path::new("/data").join("aof"), stem: "a".to_owned() }
    }

    impl Bench {
        fn new() -> Self {
            let disk = SimDisk::new(7, &["/data"]);
            let clock = Arc::new(Seconds::default());
            let aof =
                Aof::with_clock(Arc::new(disk.clone()), Arc::clone(&clock) as _, place(), String::new());
            let mut writer = aof.resumed(Loaded::default()).unwrap();
            let slow = Slow::default();
            let is_over = Arc::clone(&slow.is_over);
            writer.syncer = Some(Box::new(slow));
            Bench { disk, clock, aof, writer, is_over }
        }

        /// Appends so many units of a kilobyte each, one batch each.
        fn append(&mut self, count: usize) {
            for _ in 0..count {
                let mut unit = Unit::default();
                unit.push(0, [&b"SET"[..], b"k", &[b'v'; 1000]].into_iter());
                self.aof.append(&mut unit);
                self.writer.step();
            }
        }

        fn pass(&mut self, seconds: u64) {
            self.clock.0.fetch_add(seconds, Relaxed);
            self.writer.step();
        }

        fn kept(&self) -> usize {
            self.writer.kept.iter().map(|kept| kept.chunk.bytes.len()).sum()
        }
    }

    fn units(disk: &SimDisk) -> usize {
        let mut loading = Loading::begin(Arc::new(disk.clone()), place(), true).unwrap().unwrap();
        let mut bytes = Vec::new();
        loop {
            match loading.next_step().unwrap() {
                Step::File { .. } => {}
                Step::Snapshot { size, .. } => loading.snapshot_ended(size).unwrap(),
                Step::Units(piece) => {
                    piece.runs.iter().for_each(|run| bytes.extend_from_slice(&piece.bytes[run.clone()]));
                }
                Step::Done(_) => return bytes.windows(4).filter(|bytes| bytes == b"SET\r").count(),
            }
        }
    }

    #[test]
    fn a_disk_that_does_not_sync_costs_no_more_than_so_much_memory() {
        let mut bench = Bench::new();
        bench.aof.settings().kept_max.store(100_000, Relaxed);
        bench.append(50);
        assert!(bench.kept() > 50_000, "it is kept at first");
        bench.pass(2);
        bench.append(400);
        assert!(bench.kept() < 150_000, "{} bytes are kept", bench.kept());
        // The sync fails after all, and what was not kept comes from the file.
        bench.disk.set_faults(Faults { sync: 1000, ..Faults::default() });
        bench.is_over.store(1, Relaxed);
        bench.writer.step();
        assert!(bench.aof.failure().is_some());
        bench.disk.set_faults(Faults::default());
        bench.pass(2);
        assert_eq!(bench.aof.failure(), None);
        assert_eq!(bench.aof.log().synced(), bench.aof.log().tail());
        bench.disk.crash(Crash::Reordered);
        assert_eq!(units(&bench.disk), 450);
    }

    #[test]
    fn what_comes_after_a_slow_sync_is_kept_again() {
        let mut bench = Bench::new();
        bench.aof.settings().kept_max.store(100_000, Relaxed);
        bench.append(200);
        bench.pass(2);
        bench.append(10);
        bench.is_over.store(1, Relaxed);
        bench.writer.step();
        bench.append(20);
        assert!(bench.writer.open.as_ref().unwrap().unkept.is_some(), "what came during the sync is not");
        bench.pass(2);
        bench.writer.step();
        bench.append(20);
        assert!(bench.writer.open.as_ref().unwrap().unkept.is_none());
        assert!(bench.kept() > 20_000);
    }

    #[test]
    fn memory_is_given_back_when_nothing_needs_it() {
        let mut bench = Bench::new();
        bench.is_over.store(1, Relaxed);
        bench.append(2000);
        bench.pass(2);
        bench.writer.step();
        assert_eq!(bench.aof.log().synced(), bench.aof.log().tail());
        assert!(!bench.writer.pool.is_empty(), "it is wanted again soon");
        bench.pass(60);
        assert!(bench.writer.pool.is_empty());
        assert_eq!(bench.aof.log().fsync(), Fsync::EverySecond);
    }
}
