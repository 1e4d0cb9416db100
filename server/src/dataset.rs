//! The data set on disk: saving it as a whole, and loading it. Whoever calls holds all shards, so what is saved is one
//! moment, and what is loaded appears at once.

use crate::clock;
use crate::script::functions::{Library, Set};
use crate::shard::Hold;
use crate::shared::Shared;
use crate::version::{REDIS_VERSION, TIDEGATE_VERSION};
use std::cell::Cell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_commands::model::Error;
use tidegate_data::{Access, Databases, Entry as Slot, Record, slot};
use tidegate_persistence::rdb::{self, Entry, Header, LoadError, Loader, Note, SaveError, Saver};

/// The log names so many keys without elements.
const EMPTY_LOGGED_MAX: u64 = 10;

/// How long the code of a library from a file may run.
const LIBRARY_MS_MAX: i64 = 10_000;

/// What happens to keys that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// All of them go, once the file has been read.
    Discarded,
    /// They stay, and keys of the file must have other names.
    Kept,
    /// They stay unless the file has them, too.
    Replaced,
}

/// Why the data set was not loaded.
#[derive(Debug)]
pub enum LoadFailure {
    /// The file cannot be opened.
    Open(io::Error),
    /// It is none, or damaged.
    File(LoadError),
    /// This key is there twice.
    Duplicate(Vec<u8>, usize),
    /// A library of functions cannot be loaded, for this reason.
    Library(String),
}

impl std::fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadFailure::Open(error) => write!(f, "Fatal error loading the DB: {error}. Exiting."),
            LoadFailure::File(error) => error.fmt(f),
            LoadFailure::Library(why) => write!(f, "Failed creating function, {why}"),
            LoadFailure::Duplicate(key, db) => {
                write!(f, "RDB has duplicated key '{}' in DB {db}", String::from_utf8_lossy(key))
            }
        }
    }
}

impl std::error::Error for LoadFailure {}

/// The file, in the working directory.
pub fn path(shared: &Shared) -> PathBuf {
    shared.config.path("dbfilename").unwrap_or_else(|| "dump.rdb".into())
}

/// How accesses are remembered under the present policy.
pub fn access(shared: &Shared) -> Access {
    let (hot, now_s) = (shared.config.hot(), clock::unix_ms() / 1000);
    if hot.maxmemory_policy.get().lfu() {
        let (log_factor, decay_minutes) = (hot.lfu_log_factor.get(), hot.lfu_decay_time.get());
        Access::Lfu { minute: (now_s / 60) as u32 & 0xffff, luck: u32::MAX, log_factor, decay_minutes }
    } else {
        Access::Lru(now_s as u32 & 0x00ff_ffff)
    }
}

/// Removes what an interrupted save has left behind, if anything.
pub fn remove_temporary(shared: &Shared) {
    shared.snapshots.remove_temporary(shared);
    // There is none if nobody was saving.
    let _ = shared.disk.remove(&rdb::temporary(&path(shared)));
}

/// What stands before the keys of a file; `is_base` says that it is part of an AOF.
pub fn header(shared: &Shared, is_base: bool) -> Header {
    let config = &shared.config;
    Header {
        aux: vec![
            ("redis-ver", REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", (clock::unix_ms() / 1000).to_string()),
            ("used-mem", crate::memory::used().to_string()),
            ("aof-base", u8::from(is_base).to_string()),
            ("tidegate-ver", TIDEGATE_VERSION.to_owned()),
        ],
        compress: config.hot().rdbcompression.get(),
        checksum: config.flag("rdbchecksum"),
        sync_often: config.flag("rdb-save-incremental-fsync"),
    }
}

/// Saves all databases. What went wrong is in the log.
pub fn save(shared: &Shared, hold: &mut Hold<'_>) -> Result<(), SaveError> {
    let result = save_as(shared, hold, &path(shared), false);
    match &result {
        Ok(()) => {
            tracing::info!("DB saved on disk");
            let changes = shared.stats.total(|thread| &thread.changes);
            shared.saving.note_saved(clock::unix_ms() / 1000, changes);
        }
        Err(error) => tracing::warn!("{error}"),
    }
    result
}

/// Saves all databases in this file; `is_base` says that it is part of an AOF.
pub fn save_as(shared: &Shared, hold: &mut Hold<'_>, path: &Path, is_base: bool) -> Result<(), SaveError> {
    let config = &shared.config;
    let policy = config.hot().maxmemory_policy.get();
    let access = policy.by_access().then(|| access(shared));
    let databases = config.databases();
    // For tests that want to look at a save under way. Redis takes negative numbers for a fraction of a microsecond.
    let delay = Duration::from_micros(u64::try_from(config.number("rdb-key-save-delay")).unwrap_or(0));
    let result = rdb::save(&*shared.disk, path, &header(shared, is_base), &mut |saver| {
        shared.libraries.get().libraries().for_each(|library| saver.library(&library.code));
        for db in 0..databases {
            save_database(hold, db, access, delay, saver);
        }
    });
    result.map(|_| ())
}

fn save_database(hold: &mut Hold<'_>, db: usize, access: Option<Access>, delay: Duration, saver: &mut Saver) {
    let (mut keys, mut deadlines) = (0, 0);
    hold.each(|_, data| {
        keys += data.databases.table(db).len();
        deadlines += data.databases.table(db).expires_len();
    });
    if keys == 0 {
        return;
    }
    saver.database(db, keys, deadlines);
    hold.each(|_, data| {
        for record in data.databases.table(db).records() {
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            let (idle_s, frequency) = match access {
                None => (None, None),
                Some(access @ Access::Lfu { .. }) => (None, Some(access.frequency(record.access()) as u8)),
                Some(access) => (Some(u64::from(access.idle_s(record.access()))), None),
            };
            saver.entry(&record.into(), idle_s, frequency);
        }
    });
}

/// Loads the file if there is one: at the start. True when there is.
pub fn load_at_start(shared: &Shared) -> Result<bool, LoadFailure> {
    let started_ms = clock::unix_ms();
    match load(shared, &mut shared.shards.hold_all(), Present::Kept) {
        Ok(()) => {
            let seconds = (clock::unix_ms() - started_ms) as f64 / 1000.0;
            tracing::info!("DB loaded from disk: {seconds:.3} seconds");
            Ok(true)
        }
        Err(LoadFailure::Open(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Loads the file. If that fails, keys that were to be discarded are still there.
pub fn load(shared: &Shared, hold: &mut Hold<'_>, present: Present) -> Result<(), LoadFailure> {
    let (file, size) = shared.disk.open(&path(shared)).map_err(LoadFailure::Open)?;
    load_file(shared, hold, present, file, size).map(|_| ())
}

/// The same with any file, of so many bytes. Returns how many of them it took: commands may follow.
pub fn load_file(
    shared: &Shared,
    hold: &mut Hold<'_>,
    present: Present,
    file: Box<dyn Read + Send>,
    size: u64,
) -> Result<u64, LoadFailure> {
    let empty = || Databases::new(shared.config.databases(), &shared.hasher);
    let aside = match present {
        Present::Discarded => (0..shared.shards.len()).map(|_| empty()).collect(),
        Present::Kept | Present::Replaced => Vec::new(),
    };
    let mut target = Target { shared, hold, aside, present, waiting: Vec::new(), libraries: Vec::new() };
    let result = read(&mut target, file, size).and_then(|counted| target.finish().map(|()| counted));
    match &result {
        Ok((keys, expired, _)) => shared.saving.note_loaded(*keys, *expired),
        Err(LoadFailure::Open(_)) => {}
        Err(failure) => {
            tracing::warn!("{failure}");
            if matches!(failure, LoadFailure::File(LoadError::Checksum { .. })) {
                tracing::warn!("Internal error in RDB reading -> RDB CRC error");
            }
        }
    }
    result.map(|(_, _, offset)| offset)
}

/// Where loaded keys go.
struct Target<'t, 'h> {
    shared: &'t Shared,
    hold: &'t mut Hold<'h>,
    /// Keys that take the place of all others in the end, by shard; empty if they join them at once.
    aside: Vec<Databases>,
    present: Present,
    /// Keys that were read, while the memory they go to comes nearer.
    waiting: Vec<Waiting>,
    /// The texts of libraries of functions.
    libraries: Vec<Vec<u8>>,
}

/// Memory of so many keys is fetched at the same time. One after the other, most of the time would go into waiting.
const GROUP: usize = 32;

struct Waiting {
    db: usize,
    shard: u16,
    hash: u64,
    record: Record,
}

impl Target<'_, '_> {
    fn add(&mut self, db: usize, record: Record) -> Result<(), LoadFailure> {
        let shard = self.shared.shards.of_slot(slot(record.key()));
        let hash = self.shared.hasher.hash(record.key());
        if self.aside.is_empty() {
            self.shared.shards.prefetch_bucket(shard, db, hash);
        }
        self.waiting.push(Waiting { db, shard, hash, record });
        if self.waiting.len() < GROUP { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), LoadFailure> {
        for Waiting { db, shard, hash, record } in self.waiting.drain(..) {
            let databases = match self.aside.get_mut(usize::from(shard)) {
                Some(databases) => databases,
                None => &mut self.hold.shard_mut(shard).expect("whoever loads holds all shards").databases,
            };
            match databases.table_mut(db).entry(hash, record.key()) {
                Slot::Vacant(slot) => {
                    slot.insert(record);
                }
                Slot::Occupied(mut slot) if self.present == Present::Replaced => drop(slot.replace(record)),
                Slot::Occupied(_) => return Err(LoadFailure::Duplicate(record.key().to_vec(), db)),
            }
        }
        Ok(())
    }

    /// All libraries come, or none. Those that are there already are treated like keys.
    fn put_libraries(&mut self) -> Result<(), LoadFailure> {
        let failed = |error: Error| {
            let text = error.message();
            let text = text.strip_prefix(b"ERR ").unwrap_or(&text);
            LoadFailure::Library(String::from_utf8_lossy(text).into_owned())
        };
        let load = |code: &Vec<u8>| Library::new(code, LIBRARY_MS_MAX).map_err(failed);
        let libraries = self.libraries.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let change = |set: &mut Set| {
            if self.present == Present::Discarded {
                *set = Set::default();
            }
            libraries.into_iter().try_for_each(|library| set.add(library, self.present == Present::Replaced))
        };
        self.shared.libraries.change(change).map_err(failed)
    }

    /// Everything was read.
    fn finish(mut self) -> Result<(), LoadFailure> {
        self.flush()?;
        self.put_libraries()?;
        for (shard, databases) in self.aside.iter_mut().enumerate() {
            let data = self.hold.shard_mut(shard as u16).expect("whoever loads holds all shards");
            for db in 0..databases.count() {
                data.databases.table_mut(db).swap(databases.table_mut(db));
            }
        }
        Ok(())
    }
}

/// Reads all keys; tells how many there were, how many were left out because their time had come, and the size of it all in
/// bytes.
fn read(
    target: &mut Target<'_, '_>,
    file: Box<dyn Read + Send>,
    size: u64,
) -> Result<(u64, u64, u64), LoadFailure> {
    let shared = target.shared;
    let (config, now_ms) = (&shared.config, clock::unix_ms());
    let mut empty = 0;
    let mut libraries = Vec::new();
    // In what came behind it, its keys may have lost their deadlines or got later ones.
    let is_base = Cell::new(false);
    let mut note = |note| match note {
        Note::Function(code) => libraries.push(code),
        note => {
            is_base.set(is_base.get() || begins_aof(&note));
            log_note(note, &mut empty);
        }
    };
    let verify = config.flag("rdbchecksum") && !shared.debug.skip_checksums.load(Relaxed);
    let encodings = config.hot().encodings();
    let loader = Loader::new(file, size, config.databases(), encodings, verify, &mut note);
    let mut loader = loader.map_err(LoadFailure::File)?;
    let access = access(shared);
    let (mut keys, mut expired) = (0, 0);
    while let Some(entry) = loader.next_entry().map_err(LoadFailure::File)? {
        let Entry { db, record, idle_s, frequency } = entry;
        if !is_base.get() && record.expiry_ms().is_some_and(|deadline| deadline < now_ms) {
            expired += 1;
            continue;
        }
        record.set_access(access.restored(idle_s, frequency));
        target.add(db, record)?;
        keys += 1;
    }
    let offset = loader.offset();
    drop(loader);
    target.libraries = libraries;
    if empty > 0 {
        tracing::warn!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, empty keys skipped: {empty}."
        );
    } else {
        tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.");
    }
    Ok((keys, expired, offset))
}

/// The file says that it is the first part of an append-only file.
fn begins_aof(note: &Note) -> bool {
    let Note::Aux { name, value } = note else { return false };
    matches!(&name[..], b"aof-base" | b"aof-preamble") && value != b"0"
}

/// Tells the log what stands between the keys, in Redis' words.
fn log_note(note: Note, empty: &mut u64) {
    match note {
        Note::Aux { name, value } => log_aux(&name, &String::from_utf8_lossy(&value)),
        // Kept for later.
        Note::Function(_) => {}
        Note::Module(name) => {
            tracing::warn!("The RDB file holds data of the module type '{name}': it is left out");
        }
        Note::Empty(key) => {
            *empty += 1;
            if *empty <= EMPTY_LOGGED_MAX {
                tracing::warn!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(&key));
            }
        }
    }
}

fn log_aux(name: &[u8], value: &str) {
    match name {
        [b'%', ..] => tracing::info!("RDB '{}': {value}", String::from_utf8_lossy(name)),
        b"redis-ver" => tracing::info!("Loading RDB produced by version {value}"),
        b"ctime" => {
            let age = clock::unix_ms() / 1000 - value.parse().unwrap_or(0);
            tracing::info!("RDB age {} seconds", age.max(0));
        }
        b"used-mem" => {
            let bytes: f64 = value.parse().unwrap_or(0.0);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes / f64::from(1 << 20));
        }
        b"aof-preamble" if value != "0" => tracing::info!("RDB has an AOF tail"),
        b"aof-base" if value != "0" => tracing::info!("RDB is base AOF"),
        _ => {}
    }
}
