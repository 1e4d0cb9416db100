//! The append-only file: a snapshot and what was done since, as several files with a manifest, in Redis 7's format.
//!
//! [`Aof`] is the journal that the engine appends to. A [`writer`] writes, syncs, changes files and the manifest, in a thread
//! of its own; whoever has appended lends it a hand. Nobody else touches the directory meanwhile. [`read`] takes a file apart again.
//!
//! # Invariants
//!
//! * A unit's bytes are contiguous in one file; a reply that tells of it goes out when the kernel has it, with
//!   `appendfsync always` when the disk has it.
//! * The manifest names only what was synced, and is replaced as a whole. A file is synced before the manifest names its
//!   successor.
//! * An error of a sync is never forgotten: what was not synced is written again, to another file.

mod base;
pub mod check;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
mod delays;
mod line;
pub mod load;
mod log;
mod manifest;
pub mod read;
mod sync;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turns;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use self::base::BaseError;
pub use self::delays::{Delays, Listener};
use self::log::Order;
pub use self::log::{Log, Progress};
pub use self::manifest::{File, Manifest, ManifestError};
pub use self::writer::persist;
use self::writer::{Seat, Writer};
pub use crate::clock::{Clock, RealClock};
use crate::disk::{Disk, without_number};
use crate::journal::{Journal, Lsn, Unit};

/// When the disk is asked to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fsync {
    /// The operating system decides.
    No,
    /// Once a second.
    EverySecond,
    /// Before a reply tells of it.
    Always,
}

impl Fsync {
    fn of(code: u8) -> Self {
        match code {
            0 => Fsync::No,
            1 => Fsync::EverySecond,
            _ => Fsync::Always,
        }
    }
}

/// Where the files are, and what they are called.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory of all of them.
    pub dir: PathBuf,
    /// What their names begin with: `appendonly.aof`.
    pub stem: String,
}

impl Place {
    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.file(&format!("{}.manifest", self.stem))
    }

    /// A file of this name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Settings that may change at any time.
#[derive(Debug)]
pub struct Settings {
    /// Checksum lines are written.
    pub checksums: AtomicBool,
    /// Dates are written.
    pub timestamps: AtomicBool,
    /// Replaced files are kept.
    pub keep_history: AtomicBool,
    /// With `always`, the process ends when the disk has not done what it should for so many seconds.
    pub exit_after_s: AtomicU64,
    /// Bytes that may be appended and not written yet before changes have to wait.
    pub unwritten_max: AtomicU64,
    /// Bytes that were written and not synced are kept in memory up to so many; what is more is read from its file again
    /// if a sync fails.
    pub kept_max: AtomicU64,
    /// What took the disk long, and who hears of it.
    pub delays: Delays,
    /// For tests: whoever writes sleeps so long before, in microseconds.
    pub write_nap_us: AtomicU64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            checksums: AtomicBool::new(true),
            timestamps: AtomicBool::new(false),
            keep_history: AtomicBool::new(false),
            exit_after_s: AtomicU64::new(30),
            unwritten_max: AtomicU64::new(64 << 20),
            kept_max: AtomicU64::new(256 << 20),
            delays: Delays::default(),
            write_nap_us: AtomicU64::new(0),
        }
    }
}

/// Figures for `INFO`.
#[derive(Debug)]
pub struct Status {
    /// Bytes of the base and of all that was appended since.
    pub size: AtomicU64,
    /// The same when the files were rewritten last; of the base alone when they were loaded.
    pub base_size: AtomicU64,
    /// A snapshot is being made that will replace the files.
    pub is_rewriting: AtomicBool,
    /// The manifest names replaced files.
    pub has_history: AtomicBool,
    /// There is a state that what is appended follows. Without one nothing of it can be loaded.
    pub has_base: AtomicBool,
    /// When that began, Unix seconds.
    pub rewrite_began_s: AtomicI64,
    /// How long the last one took in seconds; -1 before the first.
    pub rewrite_took_s: AtomicI64,
    /// The last one worked.
    pub rewrite_worked: AtomicBool,
    /// How many were begun.
    pub rewrites: AtomicU64,
    /// How many failed since one worked.
    pub rewrites_failed: AtomicU64,
    /// Not before this moment is one begun by itself, Unix seconds: after several failed.
    pub rewrite_not_before_s: AtomicI64,
    /// Somebody was told that one is due and has to wait for that moment.
    pub limit_told: AtomicBool,
    /// The last write worked.
    pub write_worked: AtomicBool,
    /// A sync is under way.
    pub is_syncing: AtomicBool,
    /// How often a sync took so long that the next was late.
    pub delayed_syncs: AtomicU64,
}

impl Default for Status {
    fn default() -> Self {
        Status {
            size: AtomicU64::new(0),
            base_size: AtomicU64::new(0),
            is_rewriting: AtomicBool::new(false),
            has_history: AtomicBool::new(false),
            has_base: AtomicBool::new(true),
            rewrite_began_s: AtomicI64::new(0),
            rewrite_took_s: AtomicI64::new(-1),
            rewrite_worked: AtomicBool::new(true),
            rewrites: AtomicU64::new(0),
            rewrites_failed: AtomicU64::new(0),
            rewrite_not_before_s: AtomicI64::new(0),
            limit_told: AtomicBool::new(true),
            write_worked: AtomicBool::new(true),
            is_syncing: AtomicBool::new(false),
            delayed_syncs: AtomicU64::new(0),
        }
    }
}

/// Ready to begin: [`Aof::prepare`].
#[derive(Debug)]
pub struct Prepared(Writer);

/// What the files say when they were loaded, or that there are none.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Which files there are.
    pub manifest: Manifest,
    /// Bytes of all of them together.
    pub size: u64,
    /// Bytes of the base.
    pub base_size: u64,
    /// Bytes of the last one that is appended to.
    pub last_size: u64,
    /// Where in that one the last checksum line ends.
    pub sealed_to: u64,
    /// The last file that is not empty, and how many of its bytes are known to have been synced.
    pub unsynced: Option<(String, u64)>,
    /// Position in the journal that the files name last.
    pub lsn: Lsn,
}

/// What the journal and the one who writes it have in common.
#[derive(Debug)]
struct Core {
    log: Log,
    settings: Settings,
    status: Status,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    place: Place,
    replication_id: String,
}

/// The append-only file as the journal.
#[derive(Debug)]
pub struct Aof {
    core: Arc<Core>,
    seat: Arc<Seat>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held while files are begun, or made without being begun: the disk is waited for meanwhile.
    making: Mutex<()>,
    /// Held for a moment: whoever wants it may have all shards. Never waited for the other one with it.
    turn: Mutex<Turn>,
}

/// How often it was begun and ended: what a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn(u64);

impl Aof {
    /// Not in use yet.
    pub fn new(disk: Arc<dyn Disk>, place: Place, replication_id: String) -> Self {
        Self::with_clock(disk, Arc::new(RealClock::default()), place, replication_id)
    }

    /// The same with another clock, for tests.
    pub fn with_clock(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        place: Place,
        replication_id: String,
    ) -> Self {
        let (log, settings, status) = Default::default();
        let core = Core { log, settings, status, disk, clock, place, replication_id };
        Aof {
            core: Arc::new(core),
            seat: Arc::default(),
            thread: Mutex::default(),
            making: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// What was appended, and how far it was written.
    pub fn log(&self) -> &Log {
        &self.core.log
    }

    /// Settings that may change at any time.
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }

    /// Figures for `INFO`.
    pub fn status(&self) -> &Status {
        &self.core.status
    }

    /// Where the files are.
    pub fn place(&self) -> &Place {
        &self.core.place
    }

    fn writer(&self, loaded: Loaded) -> Writer {
        self.core.status.size.store(loaded.size, Relaxed);
        self.core.status.base_size.store(loaded.base_size, Relaxed);
        Writer::new(Arc::clone(&self.core), loaded.manifest)
    }

    /// Goes on behind what was loaded: before anything is appended. What was read is synced first, so that it cannot be
    /// lost any more when somebody relies on it: it may be that only the kernel has it, after the end of a process before
    /// this one, and that the kernel even takes it for synced.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn resume(&self, loaded: Loaded) -> std::io::Result<()> {
        let writer = self.resumed(loaded)?;
        self.spawn(writer)
    }

    /// The same without a thread.
    fn resumed(&self, loaded: Loaded) -> std::io::Result<Writer> {
        self.core.log.begin_at(loaded.lsn);
        let Loaded { last_size, sealed_to, .. } = loaded;
        if let Some((name, synced)) = &loaded.unsynced {
            self.core.disk.refresh(&self.core.place.file(name), *synced)?;
        }
        let mut writer = self.writer(loaded);
        writer.open_last(last_size, sealed_to)?;
        self.core.log.enable(true);
        Ok(writer)
    }

    fn turns(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a snapshot of this moment is of. Call it with all shards held.
    pub fn turn(&self) -> Turn {
        *self.turns()
    }

    /// Gets ready to begin: makes the directory and a first file. `manifest` tells what is there from earlier, when all that
    /// was written before has come to its end, which this waits for.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn prepare(&self, manifest: impl FnOnce() -> std::io::Result<Manifest>) -> std::io::Result<Prepared> {
        let _making = self.make();
        self.join();
        let mut writer = self.writer(Loaded { manifest: manifest()?, ..Loaded::default() });
        writer.begin()?;
        // A snapshot from before does not know this file.
        self.turns().0 += 1;
        Ok(Prepared(writer))
    }

    /// Begins with a snapshot of this moment, which is the caller's business: [`Aof::rewritten`] or
    /// [`Aof::not_rewritten`] ends it. Call it with all shards held.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn begin(&self, prepared: Prepared) -> std::io::Result<()> {
        let writer = self.begun(prepared);
        self.spawn(writer)
    }

    /// The same without a thread.
    fn begun(&self, prepared: Prepared) -> Writer {
        self.turns().0 += 1;
        self.core.log.set_failure(None);
        self.core.log.begin_anew();
        self.note_rewriting();
        self.core.log.enable(true);
        prepared.0
    }

    /// Goes on in another file, because a snapshot of this moment is being made: the caller's business, as above. Call it
    /// with all shards held.
    pub fn switch(&self) {
        self.note_rewriting();
        self.core.log.order(Order::Switch);
    }

    /// A snapshot is being made that will be the base.
    pub fn note_rewriting(&self) {
        self.core.status.is_rewriting.store(true, SeqCst);
        self.core.status.rewrites.fetch_add(1, Relaxed);
        self.core.status.rewrite_began_s.store(self.core.clock.unix_s(), Relaxed);
    }

    /// Makes this snapshot the base where nothing is journaled: whoever turns that on at the next start finds it. If that
    /// was turned on since, the snapshot lacks what happened before, and is removed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn rewritten_alone(
        &self,
        manifest: impl FnOnce() -> std::io::Result<Manifest>,
        snapshot: PathBuf,
        turn: Turn,
    ) -> std::io::Result<()> {
        let making = self.make();
        if self.turn() != turn {
            drop(making);
            return self.remove_late(&snapshot);
        }
        // What was ended may still be writing.
        self.join();
        let mut writer = self.writer(Loaded { manifest: manifest()?, ..Loaded::default() });
        writer.begin_alone()?;
        writer.obey(Order::Rewritten(snapshot));
        Ok(())
    }

    /// Writes the keys of a finished snapshot as commands beside it, for a server with so many databases, and returns where.
    /// The snapshot is removed either way. `goes_on` is asked now and then. O(size of the snapshot).
    ///
    /// # Errors
    /// The disk refuses, or `goes_on` says no: nothing is left.
    pub fn as_commands(
        &self,
        snapshot: &Path,
        databases: usize,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<PathBuf, BaseError> {
        let settings = &self.core.settings;
        let form = base::Form {
            databases,
            dated_s: settings.timestamps.load(Relaxed).then(|| self.core.clock.unix_s()),
            sums: settings.checksums.load(Relaxed).then_some(self.core.replication_id.as_str()),
        };
        let target = self.core.place.file(&format!("temp-rewriteaof-{}.aof", std::process::id()));
        let result = base::write(&*self.core.disk, snapshot, &target, form, goes_on);
        // What cannot be removed now is overwritten by the next attempt.
        let _ = self.core.disk.remove(snapshot);
        if result.is_err() {
            let _ = self.core.disk.remove(&target);
        }
        result.map(|()| target)
    }

    /// There will be no such snapshot.
    pub fn not_rewritten_alone(&self, turn: Turn) {
        if *self.turns() == turn {
            self.writer(Loaded::default()).obey(Order::NotRewritten);
        }
    }

    fn remove_late(&self, snapshot: &std::path::Path) -> std::io::Result<()> {
        tracing::info!("The append-only file was turned on or off since: this rewrite is not used");
        self.core.disk.remove(snapshot)
    }

    /// Makes the directory of the files, if it is not there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn make_dir(&self) -> std::io::Result<()> {
        self.core.disk.create_dir(&self.core.place.dir)
    }

    /// The snapshot is in this file, written and synced. If it was ended or begun anew since `turn`, the snapshot is of a
    /// moment that nothing was written from on, and is removed.
    pub fn rewritten(&self, snapshot: PathBuf, turn: Turn) {
        let turns = self.turns();
        if *turns == turn {
            self.core.log.order(Order::Rewritten(snapshot));
            return;
        }
        drop(turns);
        if let Err(error) = self.remove_late(&snapshot) {
            tracing::warn!("The file of a rewrite that is not used cannot be removed: {error}");
        }
    }

    /// There will be no snapshot.
    pub fn not_rewritten(&self, turn: Turn) {
        if *self.turns() == turn {
            self.core.log.order(Order::NotRewritten);
        }
    }

    /// Takes no more units: call it with all shards held. What was appended is still written and synced, and no snapshot
    /// replaces it any more.
    pub fn end(&self) {
        self.turns().0 += 1;
        self.core.log.enable(false);
        self.core.log.order(Order::Stop);
        self.core.status.is_rewriting.store(false, SeqCst);
    }

    /// Removes replaced files, if they are no longer to be kept.
    pub fn remove_history(&self) {
        self.core.log.order(Order::RemoveHistory);
    }

    /// Writes and syncs everything, and ends the thread: nothing may be appended any more. True when everything could be
    /// written and synced.
    pub fn stop(&self) -> bool {
        self.core.log.order(Order::Stop);
        self.join();
        self.core.log.synced() == self.core.log.tail()
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
        self.core.log.forget_items();
    }

    fn spawn(&self, writer: Writer) -> std::io::Result<()> {
        let (core, seat) = (Arc::clone(&self.core), Arc::clone(&self.seat));
        self.seat.put(Some(writer));
        let thread = std::thread::Builder::new().name("aof".to_owned());
        let thread = thread.spawn(move || writer::run(&core, &seat)).inspect_err(|_| self.seat.put(None))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }
}

impl Journal for Aof {
    #[inline]
    fn is_enabled(&self) -> bool {
        self.core.log.is_enabled()
    }

    fn append(&self, unit: &mut Unit) -> Lsn {
        self.core.log.append(unit)
    }

    fn append_one(&self, db: u16, command: &[u8]) -> Lsn {
        self.core.log.append_one(db, command)
    }

    #[inline]
    fn open_to(&self) -> Lsn {
        match self.core.log.open_to() {
            // Where replies wait for nothing they wait as well while it is behind: who waits for that position must not find
            // that it is there already.
            Lsn::MAX if self.is_behind().is_some() => self.core.log.written(),
            lsn => lsn,
        }
    }

    fn note_waiting(&self, change: isize) {
        self.core.log.note_waiting(change);
    }

    #[inline]
    fn gates_reads(&self) -> bool {
        self.core.log.is_enabled() && self.core.log.fsync() == Fsync::Always
    }

    #[inline]
    fn advance(&self) {
        if self.core.log.written() < self.core.log.tail() {
            self.seat.advance(&self.core.log);
        }
    }

    fn is_behind(&self) -> Option<Lsn> {
        let most = self.core.settings.unwritten_max.load(Relaxed);
        let (tail, written) = (self.core.log.tail(), self.core.log.written());
        (self.core.log.is_enabled() && tail - written.min(tail) > most).then(|| tail - most)
    }

    fn failure(&self) -> Option<String> {
        self.core.log.failure().map(|text| without_number(&text).to_owned())
    }
}
