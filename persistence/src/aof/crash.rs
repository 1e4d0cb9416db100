//! Simulated crashes: the writing state machine on a disk that loses what it may lose, and loading afterwards.
//!
//! A run is a seed: units, modes, rewrites, faults, and the calls at which the process or its machine ends are all drawn
//! from it, and a failure prints it. `CRASH_SEED=<n>` repeats one run, `LONG=1` makes many more.
//!
//! What has to hold after each crash, however often it was crashed before: the files load; what they have is the units
//! that were appended, in order, whole, up to one of them; after a power failure nothing is missing that was synced, with
//! `always` nothing that a reply told of; after the end of the process alone nothing that a reply told of in any mode.
//!
//! # Mistakes that are known to be noticed
//!
//! Each was made once on purpose, and some test failed; where it is another than the one here, it is named.
//!
//! * A reply before the write; with `always`, before the sync (also `log::tests`).
//! * A file cut off within `MULTI` (`damage`).
//! * A sync that fails is only logged, in the foreground and in the background.
//! * The manifest names a new file before the old one is synced.
//! * No sync of the directory after the manifest was replaced.
//! * A new file does not name its database; the end of a file is not written once more when it is loaded.
//! * Pieces of one unit are forgotten one by one (`log::tests` only).
//! * A database is named only once (`log::tests`).
//!
//! Of the list of mistakes in the plan of reliability these belong elsewhere: a unit is appended after the release of its
//! shards (`tests/loom`, `journaling_after_the_release_is_caught`), a key or member whose time has come is removed without
//! telling the snapshot (`taking::tests` of `tidegate_data`), a sum of floating-point numbers is journaled as it was asked
//! for (`counters` of `tidegate_commands`), a packed encoding is taken as it is (`rdb` of `tidegate_data`).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::load::{LoadError, Loading, Step};
use super::sync::Background;
use super::writer::Writer;
use super::{Aof, Clock, Fsync, Loaded, Place};
use crate::disk::{Disk, LogFile};
use crate::journal::{Journal as _, Lsn, Unit, write_command};
use crate::sim::{Crash, Faults, Lot, SimDisk};

const DIR: &str = "/data";

fn place() -> Place {
    Place { dir: Path::new(DIR).join("appendonlydir"), stem: "appendonly.aof".to_owned() }
}

#[derive(Debug, Default)]
struct FakeClock(AtomicU64);

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn unix_s(&self) -> i64 {
        1_700_000_000 + (self.0.load(Relaxed) / 1000) as i64
    }
}

/// Syncs when it was asked often enough.
#[derive(Debug)]
struct Later {
    file: Option<Arc<dyn LogFile>>,
    polls: usize,
    lot: Lot,
}

impl Background for Later {
    fn ask(&mut self, file: Arc<dyn LogFile>) {
        assert!(self.file.is_none(), "one after the other");
        self.file = Some(file);
        self.polls = self.lot.pick(4);
    }

    fn result(&mut self) -> Option<io::Result<()>> {
        if self.polls > 0 {
            self.polls -= 1;
            return None;
        }
        self.file.take().map(|file| file.sync())
    }
}

/// Commands with their databases.
type Commands = Vec<(u16, Vec<u8>)>;

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_command(&mut bytes, words.iter().copied());
    bytes
}

/// A unit that there is once.
fn unit(number: usize, lot: &mut Lot) -> Commands {
    let commands = if lot.pick(3) == 0 { 1 + lot.pick(4) } else { 1 };
    let mut db = lot.pick(3) as u16;
    let size = match lot.pick(100) {
        0 => 300_000,
        1..4 => 40_000,
        4..20 => 2_000,
        _ => 20,
    };
    let mut unit = Vec::new();
    for index in 0..commands {
        if lot.pick(6) == 0 {
            db = lot.pick(3) as u16;
        }
        let filling: Vec<u8> = match lot.pick(6) {
            0 => vec![0; lot.pick(size)],
            1 => b"\n#CK:1;s=0;e=9;c=0;r=x:1\r\n#BATCH\r\n"
                .iter()
                .copied()
                .cycle()
                .take(lot.pick(size))
                .collect(),
            2 => encode(&[b"EXEC"]),
            _ => (0..lot.pick(size)).map(|byte| b'a' + (byte % 23) as u8).collect(),
        };
        unit.push((db, encode(&[b"SET", format!("{number}:{index}").as_bytes(), &filling])));
    }
    unit
}

/// One item of a run of commands: its words, and where it ends.
fn words(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let number = |at: usize| {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap();
        (std::str::from_utf8(&bytes[at + 1..end - 1]).unwrap().parse::<usize>().unwrap(), end + 1)
    };
    let (count, mut pos) = number(0);
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = number(pos);
        words.push(&bytes[start..start + length]);
        pos = start + length + 2;
    }
    (words, pos)
}

/// What the files say: how many units the snapshot has, and those that follow.
#[derive(Debug, Default)]
struct Found {
    in_snapshot: usize,
    units: Vec<Commands>,
    db: Option<u16>,
    open: Option<Commands>,
}

impl Found {
    fn read(&mut self, mut run: &[u8]) {
        while !run.is_empty() {
            let (words, end) = words(run);
            match words[0] {
                b"SNAPSHOT" => self.in_snapshot = std::str::from_utf8(words[1]).unwrap().parse().unwrap(),
                b"SELECT" => self.db = Some(std::str::from_utf8(words[1]).unwrap().parse().unwrap()),
                b"MULTI" => assert!(self.open.replace(Vec::new()).is_none(), "MULTI within MULTI"),
                b"EXEC" => self.units.push(self.open.take().expect("EXEC follows MULTI")),
                _ => {
                    let command = (self.db.expect("a file names its database"), run[..end].to_vec());
                    match &mut self.open {
                        Some(open) => open.push(command),
                        None => self.units.push(vec![command]),
                    }
                }
            }
            run = &run[end..];
        }
    }
}

/// Loads what there is. `None` when the disk stopped meanwhile.
fn load(disk: &SimDisk) -> Option<(Loaded, Found)> {
    let mut found = Found::default();
    let result: Result<Loaded, LoadError> = (|| {
        let Some(mut loading) = Loading::begin(Arc::new(disk.clone()), place(), true)? else {
            return Ok(Loaded::default());
        };
        loop {
            match loading.next_step()? {
                Step::File { .. } => {
                    assert!(found.open.is_none(), "a transaction ends in its file");
                    found.db = None;
                }
                // The empty one of a new directory.
                Step::Snapshot { size, .. } => loading.snapshot_ended(size)?,
                Step::Units(piece) => piece.runs.into_iter().for_each(|run| found.read(&piece.bytes[run])),
                Step::Done(loaded) => return Ok(loaded),
            }
        }
    })();
    assert!(found.open.is_none(), "only whole units are replayed");
    match result {
        Ok(loaded) => Some((loaded, found)),
        Err(_) if disk.is_down() => None,
        // A disk with faults.
        Err(LoadError::Truncate { .. }) => None,
        Err(error) => panic!("the files are refused: {error} ({error:?})"),
    }
}

/// One run.
struct World {
    lot: Lot,
    disk: SimDisk,
    clock: Arc<FakeClock>,
    /// What was appended and may still be there, with the position behind it while this process lives.
    units: Vec<(Commands, Lsn)>,
    /// So many are there whatever happens.
    on_disk: usize,
    /// So many are there if only the process ends.
    in_kernel: usize,
    seals: bool,
    may_lose_power: bool,
    crashes: usize,
    aof: Aof,
    writer: Option<Writer>,
    /// There is no manifest yet that names what is written.
    is_beginning: bool,
    /// A snapshot of so many units is being made.
    snapshot: Option<usize>,
    snapshots: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut lot = Lot::new(seed);
        let disk = SimDisk::new(seed ^ 0x5eed, &[DIR]);
        let clock = Arc::new(FakeClock::default());
        let seals = lot.pick(8) > 0;
        let aof = Aof::with_clock(Arc::new(disk.clone()), Arc::clone(&clock) as _, place(), String::new());
        World {
            // Without checksums nobody can tell a sector that was never written from zeros in a value.
            may_lose_power: seals,
            seals,
            lot,
            disk,
            clock,
            units: Vec::new(),
            on_disk: 0,
            in_kernel: 0,
            crashes: 0,
            aof,
            writer: None,
            is_beginning: false,
            snapshot: None,
            snapshots: 0,
        }
    }

    /// Starts the process: loads, and checks what it finds.
    fn start(&mut self) {
        let Some((loaded, found)) = load(&self.disk) else { return };
        if std::env::var_os("CRASH_SEED").is_some() {
            eprintln!(
                "found {} + {}, promised {} and {}, {loaded:?}",
                found.in_snapshot,
                found.units.len(),
                self.on_disk,
                self.in_kernel
            );
        }
        let all = found.in_snapshot + found.units.len();
        for (index, unit) in found.units.iter().enumerate() {
            let number = found.in_snapshot + index;
            let expected = self.units.get(number).map(|(unit, _)| unit);
            assert!(expected == Some(unit), "unit {number} of {} is another: {unit:?}", self.units.len());
        }
        assert!(all >= self.in_kernel, "{all} units are there, {} were promised", self.in_kernel);
        self.in_kernel = all;
        let id = "0123456789012345678901234567890123456789".to_owned();
        self.aof = Aof::with_clock(Arc::new(self.disk.clone()), Arc::clone(&self.clock) as _, place(), id);
        self.aof.settings().checksums.store(self.seals, Relaxed);
        self.aof.settings().timestamps.store(self.lot.pick(2) == 0, Relaxed);
        self.aof.settings().exit_after_s.store(u64::MAX >> 20, Relaxed);
        self.aof.settings().keep_history.store(self.lot.pick(6) == 0, Relaxed);
        let kept_max = [0, 5_000, 100_000, 1 << 28][self.lot.pick(4)];
        self.aof.settings().kept_max.store(kept_max, Relaxed);
        let mode = self.mode();
        self.aof.log().set_fsync(mode);
        self.is_beginning = false;
        self.snapshot = None;
        let is_new = loaded.manifest.is_empty() && all == 0 && self.lot.pick(2) == 0;
        let writer = if is_new {
            self.is_beginning = true;
            self.snapshot = Some(0);
            self.aof.prepare(|| Ok(loaded.manifest)).map(|prepared| self.aof.begun(prepared))
        } else {
            self.aof.resumed(loaded)
        };
        self.writer = writer.ok();
        if let Some(writer) = &mut self.writer {
            // What was missing may come back as long as nobody was told so: a file that was cut off may not have been yet.
            self.units.truncate(all);
            self.on_disk = all;
            if self.lot.pick(2) == 0 {
                let lot = Lot::new(self.lot.pick(usize::MAX) as u64);
                writer.syncer = Some(Box::new(Later { file: None, polls: 0, lot }));
            }
        }
    }

    fn mode(&mut self) -> Fsync {
        [Fsync::Always, Fsync::EverySecond, Fsync::No][self.lot.pick(3)]
    }

    /// Notes what has been promised by now.
    fn note(&mut self) {
        let log = self.aof.log();
        if !log.is_enabled() {
            return;
        }
        let (synced, open_to) = (log.synced(), log.open_to());
        assert!(synced <= log.written() && log.written() <= log.tail());
        if self.is_beginning {
            let status = self.aof.status();
            let is_over = !status.is_rewriting.load(Relaxed) && status.rewrites_failed.load(Relaxed) == 0;
            if !is_over {
                return;
            }
            self.is_beginning = false;
        }
        let up_to =
            |lsn: Lsn| self.units.iter().rposition(|(_, end)| *end > 0 && *end <= lsn).map_or(0, |at| at + 1);
        if log.fsync() == Fsync::Always {
            assert!(open_to <= synced, "with always, replies wait for the disk");
        }
        self.on_disk = self.on_disk.max(up_to(synced));
        self.in_kernel = self.in_kernel.max(up_to(open_to)).max(self.on_disk);
    }

    fn append(&mut self) {
        let commands = unit(self.units.len(), &mut self.lot);
        let mut unit = Unit::default();
        for (db, bytes) in &commands {
            unit.push_encoded(*db, 1, bytes);
        }
        let lsn = self.aof.append(&mut unit);
        self.units.push((commands, lsn));
    }

    fn step(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.step();
        }
        self.note();
    }

    /// Whoever has appended writes, as far as it may.
    fn lead(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.lead();
        }
        self.note();
    }

    /// Writes the snapshot of so many units, as a server would.
    fn write_snapshot(&mut self, units: usize) -> io::Result<PathBuf> {
        let path = place().dir.join("temp-rewriteaof.aof");
        let mut file = self.disk.create(&path)?;
        io::Write::write_all(&mut *file, &encode(&[b"SNAPSHOT", units.to_string().as_bytes()]))?;
        file.sync()?;
        Ok(path)
    }

    /// Something happens.
    fn act(&mut self) {
        match self.lot.pick(100) {
            0..45 => self.append(),
            45..60 => self.step(),
            60..75 => self.lead(),
            75..83 => {
                self.clock.0.fetch_add(self.lot.pick(1500) as u64, Relaxed);
                self.step();
            }
            83..90 => match self.snapshot.take() {
                // One at a time.
                None if self.aof.status().is_rewriting.load(Relaxed) => self.step(),
                None => {
                    self.snapshot = Some(self.units.len());
                    self.aof.switch();
                }
                Some(units) => match self.write_snapshot(units) {
                    Ok(path) if self.lot.pick(5) > 0 => {
                        self.snapshots += 1;
                        self.aof.rewritten(path, self.aof.turn());
                    }
                    _ => self.aof.not_rewritten(self.aof.turn()),
                },
            },
            90..92 => {
                let mode = self.mode();
                self.aof.log().set_fsync(mode);
                self.note();
            }
            92 => self.aof.remove_history(),
            93..96 => {
                let often = [0, 0, 30, 200][self.lot.pick(4)];
                let faults = Faults { write: often, short: 100, sync: often, other: often / 2 };
                self.disk.set_faults(faults);
            }
            96..98 => {
                let space = (self.lot.pick(2) == 0).then(|| self.lot.pick(100_000) as u64);
                self.disk.set_space(space);
            }
            98 if !self.may_lose_power => {
                // At run time, too.
                self.seals = !self.seals;
                self.aof.settings().checksums.store(self.seals, Relaxed);
            }
            _ => self.disk.crash_at(Some(self.disk.calls() + 1 + self.lot.pick(12) as u64)),
        }
    }

    /// The process ends, or its machine.
    fn crash(&mut self) {
        self.note();
        self.crashes += 1;
        self.writer = None;
        let crash = match self.lot.pick(3) {
            1 if self.may_lose_power => Crash::Ordered,
            2 if self.may_lose_power => Crash::Reordered,
            _ => Crash::Kill,
        };
        self.disk.crash(crash);
        if crash != Crash::Kill {
            self.in_kernel = self.on_disk;
        }
        // Positions of another process.
        self.units.iter_mut().for_each(|(_, lsn)| *lsn = 0);
        match self.lot.pick(6) {
            // Once more while it loads.
            0 => self.disk.crash_at(Some(self.disk.calls() + 1 + self.lot.pick(14) as u64)),
            1 => self.disk.set_faults(Faults { sync: 200, ..Faults::default() }),
            _ => {}
        }
    }

    fn run(&mut self) {
        for _ in 0..3 + self.lot.pick(4) {
            self.start();
            let acts = self.lot.pick(120);
            for _ in 0..acts {
                if self.disk.is_down() || self.writer.is_none() {
                    break;
                }
                self.act();
            }
            self.crash();
        }
        self.disk.crash_at(None);
        self.disk.set_faults(Faults::default());
        self.start();
        assert!(self.writer.is_some(), "a disk without faults is fine");
        // What is written when all is well again is there.
        self.append();
        self.aof.log().set_fsync(Fsync::Always);
        for _ in 0..3 {
            self.clock.0.fetch_add(1500, Relaxed);
            self.step();
        }
        if !self.is_beginning {
            assert_eq!(self.aof.log().synced(), self.aof.log().tail());
            assert_eq!(self.aof.failure(), None);
            self.disk.crash(Crash::Reordered);
            let (_, found) = load(&self.disk).unwrap();
            assert_eq!(found.in_snapshot + found.units.len(), self.units.len());
        }
    }
}

#[test]
fn no_crash_loses_what_was_promised() {
    let only = std::env::var("CRASH_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let runs = if std::env::var_os("LONG").is_some_and(|long| !long.is_empty()) { 8000 } else { 500 };
    let seeds: VecDeque<u64> = only.map_or_else(|| (0..runs).collect(), |seed| VecDeque::from([seed]));
    let (crashes, snapshots) = (AtomicU64::new(0), AtomicU64::new(0));
    let seeds = Mutex::new(seeds);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().unwrap().pop_front() else { break };
                    let mut world = World::new(seed);
                    let disk = world.disk.clone();
                    let run = std::panic::AssertUnwindSafe(|| world.run());
                    if let Err(panic) = std::panic::catch_unwind(run) {
                        if only.is_some() {
                            eprintln!("{}", disk.history());
                        }
                        eprintln!("repeat it with CRASH_SEED={seed}");
                        std::panic::resume_unwind(panic);
                    }
                    crashes.fetch_add(world.crashes as u64, Relaxed);
                    snapshots.fetch_add(world.snapshots as u64, Relaxed);
                }
            });
        }
    });
    println!("{} crashes, {} snapshots", crashes.load(Relaxed), snapshots.load(Relaxed));
}
