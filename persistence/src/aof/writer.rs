//! The one who writes: takes what was appended, writes it, syncs it, changes files.
//!
//! It is a state machine that a thread drives ([`Writer::run`]), and tests drive without one: [`Writer::step`] takes what
//! there is and does what time asks for.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use tidegate_data::rdb::Checksum;

use super::line::{self, Seal};
use super::log::{Chunk, Item, Order};
use super::sync::Syncer;
use super::{Core, File, Fsync, Manifest, Place};
use crate::disk::{Disk, LogFile, directory_of};
use crate::journal::{Lsn, write_command};

/// Bytes written and vouched for together, unless one unit is larger.
const BATCH: usize = 4 << 20;
/// How long the thread sleeps when nobody wakes it.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long it looks for more before it sleeps.
const SPIN: Duration = Duration::from_micros(30);
/// How often a sync is asked for with [`Fsync::EverySecond`].
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// A sync that takes longer than this is reported.
const SLOW_SYNC: Duration = Duration::from_secs(2);
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
    /// Bytes in it.
    size: u64,
    /// Of those, the disk has so many.
    synced: u64,
    /// Where the last checksum line ends.
    sealed: u64,
}

/// What is not on the disk yet.
#[derive(Debug)]
struct Kept {
    chunk: Chunk,
    is_written: bool,
}

/// A sync that another thread does.
#[derive(Debug)]
struct Syncing {
    began: Duration,
    is_late: bool,
    lsn: Lsn,
    size: u64,
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
    syncing: Option<Syncing>,
    /// Syncs in the background; `None` to do it at once.
    pub(super) syncer: Option<Syncer>,
    last_sync: Duration,
    timestamp_s: i64,
    trouble: Option<Trouble>,
    /// Ends the process.
    pub(super) give_up: fn(),
    items: Vec<Item>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("open", &self.open)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
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
            syncing: None,
            syncer: None,
            last_sync,
            timestamp_s: 0,
            trouble: None,
            give_up: || std::process::exit(1),
            items: Vec::new(),
        }
    }

    /// Goes on in the last file, which has so many bytes, and checksums up to `sealed`. Everything is synced first: bytes
    /// may have been read that only the kernel has, after the end of a process before this one.
    pub(super) fn open_last(&mut self, size: u64, sealed: u64) -> io::Result<()> {
        if let Some(last) = self.manifest.incr.last() {
            let file = self.core.disk.open_log(&self.core.place.file(&last.name))?;
            file.sync()?;
            self.core.disk.sync_dir(&self.core.place.dir)?;
            self.open = Some(Open { file, size, synced: size, sealed });
        } else {
            let (file, name) = self.create_file()?;
            tracing::info!("Creating AOF incr file {} on server start", name.name);
            self.open = Some(file);
            let mut manifest = self.manifest.clone();
            manifest.add_incr(name);
            persist(&*self.core.disk, &self.core.place, &manifest)?;
            self.manifest = manifest;
        }
        Ok(())
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
        Ok(())
    }

    /// A new file behind all others.
    fn create_file(&self) -> io::Result<(Open, File)> {
        let begun = self.begun.last().map(|last| last.seq);
        let name = self.manifest.next_incr(&self.core.place.stem, begun);
        let path = self.core.place.file(&name.name);
        // One that no manifest names is left from an attempt that came to nothing.
        let _ = self.core.disk.remove(&path);
        let file = self.core.disk.create_log(&path)?;
        Ok((Open { file, size: 0, synced: 0, sealed: 0 }, name))
    }

    /// The manifest names this file, too, which is synced.
    fn add_file(&mut self, name: File) -> io::Result<()> {
        if self.is_beginning {
            self.begun.push(name);
            return Ok(());
        }
        let mut manifest = self.manifest.clone();
        manifest.add_incr(name);
        persist(&*self.core.disk, &self.core.place, &manifest)?;
        self.manifest = manifest;
        Ok(())
    }

    /// Writes until it is told to stop.
    pub(super) fn run(&mut self) {
        self.syncer = Syncer::start(Arc::clone(&self.core))
            .inspect_err(|error| {
                tracing::warn!("There is no thread to sync in: the one that writes does it ({error})");
            })
            .ok();
        while self.step(PATIENCE) {
            // Under load there is more to write at once, and sleeping would cost more than looking.
            let began = self.core.clock.now();
            while self.trouble.is_none()
                && self.core.log.tail() == self.core.log.written()
                && self.core.clock.now().saturating_sub(began) < SPIN
            {
                std::hint::spin_loop();
            }
        }
    }

    /// Writes what there is, or waits for it. False after [`Order::Stop`].
    pub(super) fn step(&mut self, patience: Duration) -> bool {
        if self.trouble.is_some() && !self.core.log.wants_to_stop() {
            // What comes meanwhile stays where it is, in order.
            std::thread::sleep(patience);
            self.tick();
            return true;
        }
        let mut items = std::mem::take(&mut self.items);
        self.core.log.take(&mut items, BATCH, patience);
        let mut goes_on = true;
        for item in items.drain(..) {
            match item {
                Item::Bytes(chunk) => self.kept.push_back(Kept { chunk, is_written: false }),
                Item::Order(order) => {
                    self.write();
                    goes_on &= self.obey(order);
                }
            }
        }
        self.items = items;
        self.write();
        self.tick();
        goes_on
    }

    /// Writes what is not written yet, and syncs it where replies wait for that.
    fn write(&mut self) {
        let is_new = |kept: &Kept| !kept.is_written;
        if self.trouble.is_some() || !self.kept.back().is_some_and(is_new) {
            return;
        }
        match self.write_batch() {
            Ok(()) if self.core.log.fsync() == Fsync::Always => self.sync(),
            Ok(()) => {}
            Err(error) => self.fail("Error writing to the AOF file", &error, false),
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        let seals = self.core.settings.checksums.load(Relaxed);
        let mut head = Vec::new();
        if seals && open.sealed < open.size {
            let gap = Seal {
                start: open.sealed,
                end: open.size,
                sum: 0,
                is_gap: true,
                lsn: self.core.log.written(),
            };
            gap.write(&mut head, &self.core.replication_id);
        }
        let start = open.size + head.len() as u64;
        let vouched = head.len();
        let now_s = self.core.clock.unix_s();
        if self.core.settings.timestamps.load(Relaxed) && now_s != self.timestamp_s {
            line::write_timestamp(&mut head, now_s);
            self.timestamp_s = now_s;
        }
        let new: Vec<&Chunk> =
            self.kept.iter().filter(|kept| !kept.is_written).map(|kept| &kept.chunk).collect();
        let end_lsn = new.last().map_or(0, |chunk| chunk.end);
        let tail = if seals {
            seal(start, &head[vouched..], &new, end_lsn, &self.core.replication_id)
        } else {
            Vec::new()
        };
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(new.len() + 2);
        slices.push(IoSlice::new(&head));
        slices.extend(new.iter().map(|chunk| IoSlice::new(&chunk.bytes)));
        slices.push(IoSlice::new(&tail));
        let size: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Err(error) = append_all(&*open.file, &mut slices) {
            // Half a unit must not stay: a reader would take what follows for a part of it.
            if let Err(error) = open.file.truncate(open.size) {
                tracing::warn!(
                    "Could not remove short write from the append-only file. The file may be refused when it is \
                     loaded next. ftruncate: {error}"
                );
            }
            return Err(error);
        }
        open.size += size as u64;
        if seals {
            open.sealed = open.size;
        }
        self.core.status.size.fetch_add(size as u64, Relaxed);
        let is_kept = self.core.log.fsync() != Fsync::No;
        if is_kept {
            self.kept.iter_mut().for_each(|kept| kept.is_written = true);
        } else {
            self.drop_kept(end_lsn);
        }
        self.core.log.set_written(end_lsn);
        Ok(())
    }

    /// Forgets what is safe up to here.
    fn drop_kept(&mut self, lsn: Lsn) {
        while self.kept.front().is_some_and(|kept| kept.chunk.end <= lsn) {
            if let Some(kept) = self.kept.pop_front() {
                self.core.log.give_back(kept.chunk.bytes);
            }
        }
    }

    /// Syncs everything that was written, and waits for it.
    fn sync(&mut self) {
        self.finish_sync();
        let (Some(open), lsn) = (&self.open, self.core.log.written()) else { return };
        let size = open.size;
        match open.file.sync() {
            Ok(()) => self.synced(lsn, size),
            Err(error) => self.fail("Fail to fsync the AOF file", &error, true),
        }
    }

    fn synced(&mut self, lsn: Lsn, size: u64) {
        if let Some(open) = &mut self.open {
            open.synced = size;
        }
        self.drop_kept(lsn);
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
        }
    }

    fn begin_sync(&mut self) {
        let (Some(open), Some(syncer)) = (&self.open, &self.syncer) else { return self.sync() };
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
        let Some(result) = self.syncer.as_ref().and_then(Syncer::result) else { return };
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
            self.trouble = None;
            tracing::warn!("What was not synced was written again, to another file");
            return;
        }
        self.core.status.write_worked.store(false, Relaxed);
        self.core.log.set_failure(Some(error.to_string()));
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
        let result = if trouble.is_distrusted { self.write_again() } else { self.write_batch() };
        match result {
            Ok(()) => {
                self.trouble = None;
                self.core.status.write_worked.store(true, Relaxed);
                self.core.log.set_failure(None);
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

    /// Writes everything that is not surely on the disk to a new file, and removes it from the old one.
    ///
    /// In this order: as long as the new file is not whole, the old one still has what the kernel may keep. Only between the
    /// cut of the old one and the new manifest nothing has it, because otherwise both would.
    fn write_again(&mut self) -> io::Result<()> {
        let (mut fresh, name) = self.create_file()?;
        let path = self.core.place.file(&name.name);
        let result = self.write_kept(&mut fresh).and_then(|end| {
            fresh.file.sync()?;
            self.core.disk.sync_dir(&self.core.place.dir)?;
            self.cut_unsynced()?;
            self.add_file(name)?;
            Ok(end)
        });
        let end = result.inspect_err(|_| {
            // Nothing names it.
            let _ = self.core.disk.remove(&path);
        })?;
        fresh.synced = fresh.size;
        self.core.status.size.fetch_add(fresh.size, Relaxed);
        self.open = Some(fresh);
        self.kept.clear();
        if let Some(end) = end {
            self.core.log.set_written(end.max(self.core.log.written()));
            self.core.log.set_synced(end);
        }
        self.last_sync = self.core.clock.now();
        Ok(())
    }

    /// Removes from the file what may not be on the disk.
    fn cut_unsynced(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        open.file.truncate(open.synced)?;
        self.core.status.size.fetch_sub(open.size - open.synced, Relaxed);
        open.size = open.synced;
        open.sealed = open.sealed.min(open.size);
        open.file.sync()
    }

    /// Writes all that is kept to a new file. Returns the position behind it.
    fn write_kept(&self, open: &mut Open) -> io::Result<Option<Lsn>> {
        let chunks: Vec<&Chunk> = self.kept.iter().map(|kept| &kept.chunk).collect();
        let Some(last) = chunks.last() else { return Ok(None) };
        let mut head = Vec::new();
        if let Some(db) = chunks[0].db {
            write_command(&mut head, [&b"SELECT"[..], db.to_string().as_bytes()].into_iter());
        }
        let tail = if self.core.settings.checksums.load(Relaxed) {
            seal(0, &head, &chunks, last.end, &self.core.replication_id)
        } else {
            Vec::new()
        };
        let mut slices = vec![IoSlice::new(&head)];
        slices.extend(chunks.iter().map(|chunk| IoSlice::new(&chunk.bytes)));
        slices.push(IoSlice::new(&tail));
        open.size = slices.iter().map(|slice| slice.len() as u64).sum();
        if !tail.is_empty() {
            open.sealed = open.size;
        }
        append_all(&*open.file, &mut slices)?;
        Ok(Some(last.end))
    }

    /// False when it is to stop.
    fn obey(&mut self, order: Order) -> bool {
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
                self.core.log.gate(false);
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
        let (open, name) = self.create_file()?;
        let seq = name.seq;
        tracing::info!("Creating AOF incr file {} on background rewrite", name.name);
        let path = self.core.place.file(&name.name);
        self.core.disk.sync_dir(&self.core.place.dir).and_then(|()| self.add_file(name)).inspect_err(
            |_| {
                // Nothing names it.
                let _ = self.core.disk.remove(&path);
            },
        )?;
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
        let base = self.manifest.next_base(&self.core.place.stem, true);
        let path = self.core.place.file(&base.name);
        self.core.disk.rename(snapshot, &path)?;
        tracing::info!(
            "Successfully renamed the temporary AOF base file {} into {}",
            snapshot.file_name().unwrap_or_default().to_string_lossy(),
            base.name
        );
        let mut manifest = self.manifest.clone();
        self.begun.iter().for_each(|file| manifest.add_incr(file.clone()));
        manifest.set_base(base, cut);
        let result = self
            .core
            .disk
            .sync_dir(&self.core.place.dir)
            .and_then(|()| self.core.disk.open(&path).map(|(_, size)| size))
            .and_then(|size| persist(&*self.core.disk, &self.core.place, &manifest).map(|()| size));
        let base_size = result.inspect_err(|_| {
            // Nothing names it.
            let _ = self.core.disk.remove(&path);
        })?;
        self.manifest = manifest;
        self.begun.clear();
        self.is_beginning = false;
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
                tracing::warn!(
                    "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} minutes"
                );
            }
        }
        status.is_rewriting.store(false, SeqCst);
    }

    fn remove_history(&mut self) {
        if self.core.settings.keep_history.load(Relaxed) || self.manifest.history.is_empty() {
            return;
        }
        for file in &self.manifest.history {
            tracing::info!("Removing the history file {} in the background", file.name);
            if let Err(error) = self.core.disk.remove(&self.core.place.file(&file.name))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("Failed to remove the history file {}: {error}", file.name);
            }
        }
        let mut manifest = self.manifest.clone();
        manifest.history.clear();
        match persist(&*self.core.disk, &self.core.place, &manifest) {
            Ok(()) => self.manifest = manifest,
            Err(error) => tracing::warn!("The AOF manifest still names history files: {error}"),
        }
    }
}

/// The line that vouches for `head` and `chunks`, which begin at `start`.
fn seal(start: u64, head: &[u8], chunks: &[&Chunk], lsn: Lsn, replication_id: &str) -> Vec<u8> {
    let mut sum = Checksum::default();
    sum.update(head);
    for chunk in chunks {
        sum.update(&chunk.bytes);
    }
    let size: u64 = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
    let end = start + head.len() as u64 + size;
    let mut line = Vec::with_capacity(160);
    Seal { start, end, sum: sum.value(), is_gap: false, lsn }.write(&mut line, replication_id);
    line
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
/// The disk refuses; the old one is still there.
pub fn persist(disk: &dyn Disk, place: &Place, manifest: &Manifest) -> io::Result<()> {
    let path = place.manifest();
    let temporary: PathBuf = place.file(&format!("temp-{}.manifest", place.stem));
    let result = (|| {
        let mut file = disk.create(&temporary)?;
        file.write_all(manifest.format().as_bytes())?;
        file.sync()?;
        drop(file);
        disk.rename(&temporary, &path)
    })();
    if result.is_err() {
        // It may not even have come into being.
        let _ = disk.remove(&temporary);
    }
    result?;
    disk.sync_dir(&place.dir)
}
