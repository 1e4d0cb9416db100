//! The one who writes: takes what was appended, writes it, syncs it, changes files.
//!
//! It is a state machine that a thread drives ([`run`]), and tests drive without one: [`Writer::step`] takes what there is
//! and does what time asks for. Whoever has appended may have it write, too: [`Writer::lead`].

mod again;
mod history;
mod keep;
mod lead;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use tidegate_data::rdb::Checksum;

pub(super) use self::lead::{Seat, run};
use super::line::{self, Seal};
use super::log::{Chunk, Item, Order};
use super::sync::Background;
use super::{Core, File, Fsync, Manifest, Place};
use crate::disk::{Disk, LogFile, directory_of};
use crate::journal::{Lsn, write_command};
use crate::rdb;

/// Bytes written and vouched for together, unless one unit is larger.
const BATCH: usize = 4 << 20;
/// How long the thread sleeps when nobody wakes it.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a sync is asked for with [`Fsync::EverySecond`].
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// A sync that takes longer than this is reported.
const SLOW_SYNC: Duration = Duration::from_secs(2);
/// Memory that nothing was kept in for so long is given back.
const POOL_KEPT: Duration = Duration::from_secs(10);
/// How often it tries again what the disk refused.
const RETRY: Duration = Duration::from_secs(1);
/// From this many failed rewrites on there is a pause before the next, twice as long each time.
const FAILURES_FREE: u64 = 3;
/// The longest such pause, in minutes.
const PAUSE_MAX_MINUTES: i64 = 60;

/// A file under way. What it has ends with a whole unit.
#[derive(Debug)]
struct Open {
    file: Arc<dyn LogFile>,
    name: String,
    /// Bytes in it.
    size: u64,
    /// Of those, the disk has so many.
    synced: u64,
    /// Where the last checksum line ends.
    sealed: u64,
    /// From here on there is what is neither surely on the disk nor kept in memory, and the database that applies there:
    /// nobody had asked for a sync.
    unkept: Option<(u64, Option<u16>)>,
    /// Behind its end there is half a batch that could not be removed.
    is_garbled: bool,
}

/// What is not on the disk yet.
#[derive(Debug)]
struct Kept {
    chunk: Chunk,
    /// Where in the file its batch begins, once it was written.
    at: Option<u64>,
}

/// A manifest could not be put in place.
struct Unput {
    error: io::Error,
    /// It may be in place nevertheless, now or after a power failure, so what it names has to stay.
    is_in_doubt: bool,
}

impl From<io::Error> for Unput {
    fn from(error: io::Error) -> Self {
        Unput { error, is_in_doubt: false }
    }
}

/// A sync that another thread does.
#[derive(Debug)]
struct Syncing {
    began: Duration,
    is_late: bool,
    lsn: Lsn,
    size: u64,
}

/// What the thread does after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits for work.
    Wait,
    /// It waits for the disk, whatever there is to do.
    Pause,
    /// It ends: [`Order::Stop`].
    Stop,
}

/// The disk has refused.
#[derive(Debug)]
struct Trouble {
    since: Duration,
    retry: Duration,
    /// What was written may be lost, whatever the disk says later.
    is_distrusted: bool,
}

pub(super) struct Writer {
    core: Arc<Core>,
    manifest: Manifest,
    open: Option<Open>,
    /// In order; what is not even written comes last.
    kept: VecDeque<Kept>,
    /// Number of the first file behind the moment of the snapshot that is being made.
    cut: Option<u64>,
    /// Files that the manifest does not name yet, while there is no snapshot that they could follow.
    begun: Vec<File>,
    is_beginning: bool,
    /// Files that a manifest names which may be in place instead of ours.
    doubtful: Vec<String>,
    syncing: Option<Syncing>,
    /// Syncs in the background; `None` to do it at once.
    pub(super) syncer: Option<Box<dyn Background>>,
    last_sync: Duration,
    timestamp_s: i64,
    trouble: Option<Trouble>,
    /// The disk has held somebody up who had more to do than to wait for it: while nothing is synced, and while it is.
    slowness: [lead::Slowness; 2],
    pace: lead::Pace,
    /// Ends the process.
    pub(super) give_up: fn(),
    items: Vec<Item>,
    packing: Vec<Kept>,
    /// Memory for what is kept: about as much as was needed between the last syncs.
    pool: Vec<Vec<u8>>,
    pool_max: usize,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("open", &self.open)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl Open {
    fn new(file: Arc<dyn LogFile>, name: String) -> Self {
        Open { file, name, size: 0, synced: 0, sealed: 0, unkept: None, is_garbled: false }
    }
}

impl Writer {
    pub(super) fn new(core: Arc<Core>, manifest: Manifest) -> Self {
        let last_sync = core.clock.now();
        Writer {
            core,
            manifest,
            open: None,
            kept: VecDeque::new(),
            cut: None,
            begun: Vec::new(),
            is_beginning: false,
            doubtful: Vec::new(),
            syncing: None,
            syncer: None,
            last_sync,
            timestamp_s: 0,
            trouble: None,
            slowness: Default::default(),
            pace: lead::Pace::default(),
            give_up: || std::process::exit(1),
            items: Vec::new(),
            packing: Vec::new(),
            pool: Vec::new(),
            pool_max: 0,
        }
    }

    /// Goes on in the last file, which has so many bytes, and checksums up to `sealed`.
    pub(super) fn open_last(&mut self, size: u64, sealed: u64) -> io::Result<()> {
        if let Some(last) = self.manifest.incr.last().filter(|last| last.size.is_none()) {
            let path = self.core.place.file(&last.name);
            let file = self.core.disk.open_log(&path)?;
            self.core.disk.sync_dir(&self.core.place.dir)?;
            let name = last.name.clone();
            let mut open = Open { size, synced: size, sealed, ..Open::new(file, name) };
            self.close_gap(&mut open);
            self.open = Some(open);
            // The process before this one may have ended in the midst of that.
            self.remove_history();
        } else {
            let mut manifest = self.manifest.clone();
            self.core.disk.create_dir(&self.core.place.dir)?;
            self.core.disk.sync_dir(&directory_of(&self.core.place.dir))?;
            if manifest.is_empty() {
                // As Redis does it, so that there is always a state to start from.
                let base = manifest.next_base(&self.core.place.stem, true);
                let aux = vec![("aof-base", "1".to_owned())];
                let header = rdb::Header { aux, checksum: true, ..rdb::Header::default() };
                let path = self.core.place.file(&base.name);
                let saved = rdb::save(&*self.core.disk, &path, &header, &mut |_| {});
                saved.map_err(|failed| failed.error)?;
                tracing::info!("Creating AOF base file {} on server start", base.name);
                manifest.set_base(base, 0);
            }
            let (file, name) = self.create_file()?;
            tracing::info!("Creating AOF incr file {} on server start", name.name);
            self.open = Some(file);
            manifest.add_incr(name);
            self.core.disk.sync_dir(&self.core.place.dir)?;
            self.put(manifest).map_err(|unput| unput.error)?;
        }
        Ok(())
    }

    /// Vouches for nothing up to here, right away: what comes next must not be mistaken for the end of a batch that was torn
    /// off. If that does not work, it is done together with the next batch.
    fn close_gap(&self, open: &mut Open) {
        if open.sealed == open.size || !self.core.settings.checksums.load(Relaxed) {
            return;
        }
        let Open { size, sealed, synced, .. } = *open;
        let lsn = self.core.log.written();
        let mut line = Vec::new();
        let gap = Seal { start: sealed, end: size, sum: 0, is_gap: true, lsn, synced };
        gap.write(&mut line, &self.core.replication_id);
        let written = append_all(&*open.file, &mut [IoSlice::new(&line)]);
        if written.and_then(|()| open.file.sync()).is_ok() {
            open.size += line.len() as u64;
            (open.sealed, open.synced) = (open.size, open.size);
        } else if open.file.truncate(size).is_err() {
            open.is_garbled = true;
        }
    }

    /// Begins with a first file, which no manifest names before there is a snapshot for it to follow.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.core.disk.create_dir(&self.core.place.dir)?;
        self.core.disk.sync_dir(&directory_of(&self.core.place.dir))?;
        let (file, name) = self.create_file()?;
        self.open = Some(file);
        self.cut = Some(name.seq);
        self.begun.push(name);
        self.is_beginning = true;
        self.core.status.has_base.store(false, Relaxed);
        Ok(())
    }

    /// The same where nothing will be appended: the snapshot takes the place of all files.
    pub(super) fn begin_alone(&mut self) -> io::Result<()> {
        self.core.disk.create_dir(&self.core.place.dir)?;
        self.core.disk.sync_dir(&directory_of(&self.core.place.dir))?;
        self.cut = Some(u64::MAX);
        Ok(())
    }

    /// A new file behind all others.
    fn create_file(&self) -> io::Result<(Open, File)> {
        let begun = self.begun.last().map(|last| last.seq);
        let mut name = self.manifest.next_incr(&self.core.place.stem, begun);
        name.has_batches = self.core.settings.checksums.load(Relaxed);
        let path = self.core.place.file(&name.name);
        // One that no manifest names is left from an attempt that came to nothing.
        let _ = self.core.disk.remove(&path);
        let file = self.core.disk.create_log(&path)?;
        Ok((Open::new(file, name.name.clone()), name))
    }

    /// The manifest names this file, too, which is synced; of the one before only the first `size` bytes count.
    fn add_file(&mut self, name: File, size: Option<u64>) -> Result<(), Unput> {
        if self.is_beginning {
            if let Some(last) = self.begun.last_mut() {
                last.size = size;
            }
            self.begun.push(name);
            return Ok(());
        }
        let mut manifest = self.manifest.clone();
        if let Some(last) = manifest.incr.last_mut() {
            last.size = size;
        }
        manifest.add_incr(name);
        self.put(manifest)
    }

    /// Replaces the manifest.
    fn put(&mut self, manifest: Manifest) -> Result<(), Unput> {
        let (disk, place) = (&*self.core.disk, &self.core.place);
        let temporary = write_manifest(disk, place, &manifest)?;
        let result = disk.rename(&temporary, &place.manifest()).and_then(|()| disk.sync_dir(&place.dir));
        if let Err(error) = result {
            // Either of the two may be there after a crash. So no file of either is removed, and no name used again.
            let names = |manifest: &Manifest, name: &str| manifest.files().any(|file| file.name == name);
            let new = manifest.files().filter(|file| !names(&self.manifest, &file.name));
            self.doubtful.extend(new.map(|file| file.name.clone()));
            self.manifest.skip(&manifest);
            return Err(Unput { error, is_in_doubt: true });
        }
        self.manifest = manifest;
        self.core.status.has_history.store(!self.manifest.history.is_empty(), Relaxed);
        for name in std::mem::take(&mut self.doubtful) {
            if !self.manifest.files().any(|file| file.name == name) {
                let _ = disk.remove(&place.file(&name));
            }
        }
        Ok(())
    }

    /// Does what is to be done now.
    pub(super) fn step(&mut self) -> Step {
        if self.trouble.is_some() && !self.core.log.wants_to_stop() {
            // What comes meanwhile stays where it is, in order.
            self.tick();
            return if self.trouble.is_some() { Step::Pause } else { Step::Wait };
        }
        let mut items = std::mem::take(&mut self.items);
        if self.core.log.take(&mut items, BATCH) {
            // The rest comes with the next step.
            self.core.log.kick();
        }
        let mut goes_on = true;
        for item in items.drain(..) {
            match item {
                Item::Bytes(chunk) => self.kept.push_back(Kept { chunk, at: None }),
                Item::Order(order) => {
                    self.write();
                    goes_on &= self.obey(order);
                }
            }
        }
        self.items = items;
        self.write();
        self.tick();
        if goes_on { Step::Wait } else { Step::Stop }
    }

    /// Writes what is not written yet, and syncs it where replies wait for that.
    fn write(&mut self) {
        let is_new = |kept: &Kept| kept.at.is_none();
        if self.trouble.is_some() || !self.kept.back().is_some_and(is_new) {
            return;
        }
        match self.write_batch() {
            Ok(()) if self.core.log.fsync() == Fsync::Always => self.sync(),
            Ok(()) => {}
            Err(error) => {
                // Waiting helps when there is no room. Whatever else it is, the file is not to be trusted.
                let waits = matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
                );
                let is_garbled = self.open.as_ref().is_some_and(|open| open.is_garbled);
                self.fail("Error writing to the AOF file", &error, is_garbled || !waits);
            }
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let open = self.open.take_if(|open| !open.is_garbled);
        let Some(mut open) = open else { return Err(io::ErrorKind::NotConnected.into()) };
        let new: Vec<&Chunk> =
            self.kept.iter().filter(|kept| kept.at.is_none()).map(|kept| &kept.chunk).collect();
        let end = new.last().map_or(0, |chunk| chunk.end);
        let at = open.size;
        let parts: Vec<&[u8]> = new.iter().map(|chunk| chunk.bytes.as_slice()).collect();
        let dated_s = self.date();
        // A file names its database, also when nothing had to be written again to it.
        let db = new.first().and_then(|chunk| chunk.db).filter(|_| at == 0);
        let result = self.append_batch(&mut open, dated_s, db, &parts, end);
        self.core.status.size.fetch_add(open.size - at, Relaxed);
        if result.is_ok() {
            self.timestamp_s = dated_s.unwrap_or(self.timestamp_s);
            self.kept.iter_mut().for_each(|kept| kept.at = kept.at.or(Some(at)));
        }
        // A disk that does not get on with a sync must not cost ever more memory.
        let is_much = open.size - open.synced > self.core.settings.kept_max.load(Relaxed);
        let keeps = self.core.log.fsync() != Fsync::No && !is_much;
        if result.is_ok() && !keeps {
            let first = self.kept.front().and_then(|kept| kept.at.zip(Some(kept.chunk.db)));
            open.unkept = open.unkept.or(first);
        }
        self.open = Some(open);
        result?;
        if keeps {
            self.pack_kept(at);
        } else {
            self.drop_kept(end);
        }
        self.core.log.set_written(end);
        Ok(())
    }

    /// The date to write before what comes next, if one is to be written.
    fn date(&self) -> Option<i64> {
        let now_s = self.core.clock.unix_s();
        (self.core.settings.timestamps.load(Relaxed) && now_s != self.timestamp_s).then_some(now_s)
    }

    /// Appends these units, with the lines around them; all of it, or nothing. `end` is the position behind them.
    fn append_batch(
        &self,
        open: &mut Open,
        dated_s: Option<i64>,
        db: Option<u16>,
        parts: &[&[u8]],
        end: Lsn,
    ) -> io::Result<()> {
        let began = self.core.settings.delays.begin(&*self.core.clock);
        let nap_us = self.core.settings.write_nap_us.load(Relaxed);
        if nap_us > 0 {
            std::thread::sleep(Duration::from_micros(nap_us));
        }
        let seals = self.core.settings.checksums.load(Relaxed);
        let mut head = Vec::new();
        let Open { size, sealed, synced, .. } = *open;
        if seals && sealed < size {
            let lsn = self.core.log.written();
            let gap = Seal { start: sealed, end: size, sum: 0, is_gap: true, lsn, synced };
            gap.write(&mut head, &self.core.replication_id);
        }
        let vouched = head.len();
        if seals {
            line::write_batch(&mut head);
        }
        if let Some(dated_s) = dated_s {
            line::write_timestamp(&mut head, dated_s);
        }
        if let Some(db) = db {
            write_command(&mut head, [&b"SELECT"[..], db.to_string().as_bytes()].into_iter());
        }
        let mut tail = Vec::new();
        if seals {
            let mut sum = Checksum::default();
            sum.update(&head[vouched..]);
            for part in parts {
                sum.update(part);
            }
            let start = size + vouched as u64;
            let length = head.len() - vouched + parts.iter().map(|part| part.len()).sum::<usize>();
            let (sum, end_at) = (sum.value(), start + length as u64);
            let seal = Seal { start, end: end_at, sum, is_gap: false, lsn: end, synced };
            seal.write(&mut tail, &self.core.replication_id);
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(parts.len() + 2);
        slices.push(IoSlice::new(&head));
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        slices.push(IoSlice::new(&tail));
        let written: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Err(error) = append_all(&*open.file, &mut slices) {
            // Half a unit must not stay: a reader would take what follows for a part of it.
            if let Err(error) = open.file.truncate(size) {
                open.is_garbled = true;
                tracing::warn!(
                    "Could not remove short write from the append-only file. The file may be refused when it is \
                     loaded next. ftruncate: {error}"
                );
            }
            return Err(error);
        }
        open.size += written as u64;
        if seals {
            open.sealed = open.size;
        }
        // Two events as in Redis: that it took long, and what else the disk was asked for.
        let beside = match () {
            () if self.syncing.is_some() => "aof-write-pending-fsync",
            () if self.cut.is_some() => "aof-write-active-child",
            () => "aof-write-alone",
        };
        self.core.settings.delays.end(began, &*self.core.clock, &[beside, "aof-write"]);
        Ok(())
    }

    /// Syncs everything that was written, and waits for it.
    fn sync(&mut self) {
        self.finish_sync();
        // A sync after one that failed says nothing.
        if self.trouble.is_some() {
            return;
        }
        let (Some(open), lsn) = (&self.open, self.core.log.written()) else { return };
        let size = open.size;
        let (began, now) = (self.core.settings.delays.begin(&*self.core.clock), self.core.clock.now());
        let result = open.file.sync();
        if self.core.log.fsync() == Fsync::Always {
            self.pace.note(self.core.clock.now().saturating_sub(now));
            self.core.settings.delays.end(began, &*self.core.clock, &["aof-fsync-always"]);
        }
        match result {
            Ok(()) => self.synced(lsn, size),
            Err(error) => self.fail("Fail to fsync the AOF file", &error, true),
        }
    }

    fn synced(&mut self, lsn: Lsn, size: u64) {
        self.drop_kept(lsn);
        let kept_from = self.kept.front().and_then(|kept| kept.at);
        if let Some(open) = &mut self.open {
            open.synced = size;
            // What was written after the sync began may be unkept as well.
            open.unkept = open.unkept.filter(|_| size < kept_from.unwrap_or(open.size));
        }
        self.last_sync = self.core.clock.now();
        self.core.log.set_synced(lsn);
    }

    /// What time asks for.
    fn tick(&mut self) {
        self.end_sync();
        let now = self.core.clock.now();
        let is_dirty = self.open.as_ref().is_some_and(|open| open.synced < open.size);
        if self.trouble.is_some() {
            self.try_again();
        } else if let Some(syncing) = &mut self.syncing {
            if !syncing.is_late && now.saturating_sub(syncing.began) > SLOW_SYNC {
                syncing.is_late = true;
                self.core.status.delayed_syncs.fetch_add(1, Relaxed);
                tracing::info!(
                    "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting \
                     for fsync to complete, this may slow down the server."
                );
            }
        } else if is_dirty {
            match self.core.log.fsync() {
                Fsync::No => {}
                Fsync::EverySecond if now.saturating_sub(self.last_sync) < SYNC_PERIOD => {}
                Fsync::EverySecond => self.begin_sync(),
                // It was another mode when this was written.
                Fsync::Always => self.sync(),
            }
        } else if !self.pool.is_empty() && now.saturating_sub(self.last_sync) > POOL_KEPT {
            (self.pool, self.pool_max) = (Vec::new(), 0);
        }
    }

    fn begin_sync(&mut self) {
        let (Some(open), Some(syncer)) = (&self.open, &mut self.syncer) else { return self.sync() };
        syncer.ask(Arc::clone(&open.file));
        let (began, lsn) = (self.core.clock.now(), self.core.log.written());
        self.syncing = Some(Syncing { began, is_late: false, lsn, size: open.size });
        self.core.status.is_syncing.store(true, Relaxed);
    }

    /// Looks whether the sync in the background is done.
    fn end_sync(&mut self) {
        if self.syncing.is_none() {
            return;
        }
        let Some(result) = self.syncer.as_mut().and_then(|syncer| syncer.result()) else { return };
        self.core.status.is_syncing.store(false, Relaxed);
        let Some(Syncing { began, lsn, size, .. }) = self.syncing.take() else { return };
        match result {
            Ok(()) => {
                self.synced(lsn, size);
                // The next is due a second after this one began.
                self.last_sync = began;
            }
            Err(error) => self.fail("Fail to fsync the AOF file", &error, true),
        }
    }

    /// Waits for the sync in the background.
    fn finish_sync(&mut self) {
        while self.syncing.is_some() {
            self.end_sync();
            if self.syncing.is_some() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The disk has refused. What may be lost is written again at once, elsewhere; if that does not work either, nothing
    /// may be changed until it does.
    fn fail(&mut self, what: &str, error: &io::Error, is_distrusted: bool) {
        tracing::warn!("{what}: {error}");
        let now = self.core.clock.now();
        let is_distrusted =
            is_distrusted || self.trouble.as_ref().is_some_and(|trouble| trouble.is_distrusted);
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble { since, retry: now + RETRY, is_distrusted });
        if is_distrusted && self.write_again().is_ok() {
            tracing::warn!("What was not synced was written again, to another file");
            self.forgive();
            return;
        }
        self.core.status.write_worked.store(false, Relaxed);
        self.core.log.set_failure(Some(error.to_string()));
    }

    /// The disk does what it should again.
    fn forgive(&mut self) {
        self.trouble = None;
        self.core.status.write_worked.store(true, Relaxed);
        self.core.log.set_failure(None);
    }

    /// Tries again what the disk has refused, when it is time to.
    fn try_again(&mut self) {
        let now = self.core.clock.now();
        let Some(trouble) = &mut self.trouble else { return };
        if now < trouble.retry {
            return;
        }
        trouble.retry = now + RETRY;
        let since = now.saturating_sub(trouble.since);
        let is_garbled = self.open.as_ref().is_none_or(|open| open.is_garbled);
        let result =
            if trouble.is_distrusted || is_garbled { self.write_again() } else { self.write_batch() };
        match result {
            Ok(()) => {
                self.forgive();
                tracing::warn!("AOF write error looks solved. The server can write again.");
                if self.core.log.fsync() == Fsync::Always {
                    self.sync();
                }
            }
            Err(error) => {
                self.core.log.set_failure(Some(error.to_string()));
                let limit = Duration::from_secs(self.core.settings.exit_after_s.load(Relaxed));
                if self.core.log.fsync() == Fsync::Always && since > limit {
                    tracing::error!(
                        "Can't recover from AOF write error when the AOF fsync policy is 'always' ({error}). Exiting..."
                    );
                    (self.give_up)();
                }
            }
        }
    }

    /// False when it is to stop.
    pub(super) fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Switch => {
                self.cut = None;
                if let Err(error) = self.change_file() {
                    tracing::warn!("Can't open the append-only file for the rewrite: {error}");
                }
            }
            Order::Rewritten(snapshot) => {
                let result = self.install(&snapshot);
                if let Err(error) = &result {
                    tracing::warn!("Error trying to put the rewritten AOF in place: {error}");
                    // It may have been renamed before something else failed.
                    let _ = self.core.disk.remove(&snapshot);
                }
                self.end_rewrite(result.is_ok());
            }
            Order::NotRewritten => self.end_rewrite(false),
            Order::RemoveHistory => self.remove_history(),
            Order::Stop => {
                self.finish_sync();
                if self.trouble.is_some() {
                    if let Some(trouble) = &mut self.trouble {
                        trouble.retry = Duration::ZERO;
                    }
                    self.try_again();
                }
                if self.trouble.is_none() {
                    self.sync();
                }
                // Replies that promise what could not be kept are never sent, unless nobody asks for that any more.
                if self.trouble.is_none() || !self.core.log.is_enabled() {
                    self.core.log.gate(false);
                }
                return false;
            }
        }
        true
    }

    /// Goes on in a new file, behind what has to be synced before anything names that.
    fn change_file(&mut self) -> io::Result<()> {
        if self.trouble.is_none() {
            self.sync();
        }
        if self.trouble.is_some() {
            return Err(io::Error::other("the one before could not be synced"));
        }
        if self.is_beginning {
            // Nothing comes before what these hold, so nobody will ever load them, unless a manifest names them that may be
            // there after a crash.
            let begun = std::mem::take(&mut self.begun);
            for file in begun.iter().filter(|file| !self.doubtful.contains(&file.name)) {
                tracing::info!("Removing the temp incr aof file {} in the background", file.name);
                let _ = self.core.disk.remove(&self.core.place.file(&file.name));
            }
        }
        let (open, name) = self.create_file()?;
        let seq = name.seq;
        tracing::info!("Creating AOF incr file {} on background rewrite", name.name);
        let path = self.core.place.file(&name.name);
        let synced = self.core.disk.sync_dir(&self.core.place.dir);
        if let Err(unput) = synced.map_err(Unput::from).and_then(|()| self.add_file(name, None)) {
            if !unput.is_in_doubt {
                let _ = self.core.disk.remove(&path);
            }
            return Err(unput.error);
        }
        self.open = Some(open);
        self.cut = Some(seq);
        Ok(())
    }

    /// The snapshot takes the place of everything before its moment.
    fn install(&mut self, snapshot: &Path) -> io::Result<()> {
        let Some(cut) = self.cut else { return Err(io::Error::other("there is no file to follow it")) };
        self.finish_sync();
        if self.is_beginning && self.trouble.is_none() {
            // The manifest names these files for the first time.
            self.sync();
        }
        if self.is_beginning && self.trouble.is_some() {
            return Err(io::Error::other("what follows it cannot be synced"));
        }
        let base = self.manifest.next_base(&self.core.place.stem, is_rdb(&*self.core.disk, snapshot)?);
        let path = self.core.place.file(&base.name);
        let began = self.core.settings.delays.begin(&*self.core.clock);
        self.core.disk.rename(snapshot, &path)?;
        self.core.settings.delays.end(began, &*self.core.clock, &["aof-rename"]);
        tracing::info!(
            "Successfully renamed the temporary AOF base file {} into {}",
            snapshot.file_name().unwrap_or_default().to_string_lossy(),
            base.name
        );
        let mut manifest = self.manifest.clone();
        self.begun.iter().for_each(|file| manifest.add_incr(file.clone()));
        manifest.set_base(base, cut);
        let synced = self.core.disk.sync_dir(&self.core.place.dir);
        let size = synced.and_then(|()| self.core.disk.open(&path).map(|(_, size)| size));
        let put = size.map_err(Unput::from).and_then(|size| self.put(manifest).map(|()| size));
        let base_size = put.map_err(|unput| {
            if !unput.is_in_doubt {
                let _ = self.core.disk.remove(&path);
            }
            unput.error
        })?;
        self.begun.clear();
        self.is_beginning = false;
        self.core.status.has_base.store(true, Relaxed);
        let size = base_size + self.open.as_ref().map_or(0, |open| open.size);
        self.core.status.size.store(size, Relaxed);
        self.core.status.base_size.store(size, Relaxed);
        self.remove_history();
        Ok(())
    }

    fn end_rewrite(&mut self, worked: bool) {
        self.cut = None;
        let (status, now_s) = (&self.core.status, self.core.clock.unix_s());
        status.rewrite_took_s.store(now_s - status.rewrite_began_s.load(Relaxed), Relaxed);
        status.rewrite_worked.store(worked, Relaxed);
        if worked {
            status.rewrites_failed.store(0, Relaxed);
            status.rewrite_not_before_s.store(0, Relaxed);
            tracing::info!("Background AOF rewrite finished successfully");
        } else {
            let failed = status.rewrites_failed.fetch_add(1, Relaxed) + 1;
            if failed >= FAILURES_FREE {
                let minutes = 1i64.checked_shl((failed - FAILURES_FREE) as u32).unwrap_or(PAUSE_MAX_MINUTES);
                let minutes = minutes.clamp(1, PAUSE_MAX_MINUTES);
                status.rewrite_not_before_s.store(now_s + minutes * 60, Relaxed);
                status.limit_told.store(false, Relaxed);
            }
        }
        status.is_rewriting.store(false, SeqCst);
    }
}

/// The file begins as RDB files do.
fn is_rdb(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    super::load::begins_as_rdb(&mut *disk.open(path)?.0)
}

fn append_all(file: &dyn LogFile, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.append(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Replaces the manifest as a whole, and returns when that survives a power failure.
///
/// # Errors
/// The disk refuses. Unless renaming or what follows failed, the old one is still there.
pub fn persist(disk: &dyn Disk, place: &Place, manifest: &Manifest) -> io::Result<()> {
    let temporary = write_manifest(disk, place, manifest)?;
    disk.rename(&temporary, &place.manifest())?;
    disk.sync_dir(&place.dir)
}

/// Writes a manifest beside the one that is in use, and syncs it. Returns where it is.
fn write_manifest(disk: &dyn Disk, place: &Place, manifest: &Manifest) -> io::Result<PathBuf> {
    let temporary = place.file(&format!("temp-{}.manifest", place.stem));
    let result = (|| {
        let mut file = disk.create(&temporary)?;
        file.write_all(manifest.format().as_bytes())?;
        file.sync()
    })();
    if result.is_err() {
        // It may not even have come into being.
        let _ = disk.remove(&temporary);
    }
    result.map(|()| temporary)
}
