//! Loading a file: one thread reads and finds where keys end, and all that can be had decode them and put them where they
//! belong.

use super::{access, path};
use crate::clock;
use crate::script::functions::{Library, Set};
use crate::shard::{Hold, ShardData, Shards};
use crate::shared::Shared;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_commands::families::adopt;
use tidegate_commands::model::Error;
use tidegate_data::{Access, Databases, Entry as Slot, Held, Record, slot};
use tidegate_persistence::rdb::{Entry, Found, LoadError, Loader, Note, Part};

/// The log names so many keys without elements.
const EMPTY_LOGGED_MAX: u64 = 10;
/// How long the code of a library from a file may run.
const LIBRARY_MS_MAX: i64 = 10_000;
/// Parts of the file that wait for each thread. There is little sense in more, and each is memory.
const PARTS_PER_THREAD: usize = 4;
/// So many keys are decoded before they are put where they belong, a shard at a time.
const BATCH: usize = 2048;
/// Memory of so many keys is fetched at the same time. One after the other, most of the time would go into waiting.
const GROUP: usize = 32;
/// How long whoever is told to load slowly sleeps at once: somebody may want the process to stop.
const NAP: Duration = Duration::from_millis(20);

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
    /// The process is to stop.
    Stopped,
}

impl std::fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadFailure::Open(error) => write!(f, "Fatal error loading the DB: {error}. Exiting."),
            LoadFailure::File(error) => error.fmt(f),
            LoadFailure::Library(why) => write!(f, "Failed creating function, {why}"),
            LoadFailure::Stopped => f.write_str("Loading was stopped, because the process is to stop"),
            LoadFailure::Duplicate(key, db) => {
                write!(f, "RDB has duplicated key '{}' in DB {db}", String::from_utf8_lossy(key))
            }
        }
    }
}

impl std::error::Error for LoadFailure {}

/// Loads the file if there is one: at the start. No shard may be held, and nobody else may change anything. True when there
/// is one.
pub fn load_at_start(shared: &Shared) -> Result<bool, LoadFailure> {
    let started_ms = clock::unix_ms();
    match load(shared, None, Present::Kept) {
        Ok(()) => {
            let seconds = (clock::unix_ms() - started_ms) as f64 / 1000.0;
            tracing::info!("DB loaded from disk: {seconds:.3} seconds");
            Ok(true)
        }
        Err(LoadFailure::Open(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Loads the file. With a hold, which must be of all shards, everything appears at once, and if loading fails, keys that
/// were to be discarded are still there. Without one keys appear one after the other, and there must be none before.
pub fn load(shared: &Shared, hold: Option<&mut Hold<'_>>, present: Present) -> Result<(), LoadFailure> {
    let (file, size) = shared.disk.open(&path(shared)).map_err(LoadFailure::Open)?;
    shared.loading.expect(size);
    shared.loading.begin_file(size);
    load_file(shared, hold, present, file, size).map(|_| ())
}

/// The same with any file, of so many bytes. Returns how many of them it took: commands may follow.
pub fn load_file(
    shared: &Shared,
    mut hold: Option<&mut Hold<'_>>,
    present: Present,
    file: Box<dyn Read + Send>,
    size: u64,
) -> Result<u64, LoadFailure> {
    let edition = shared.native.quotas.edition();
    let result = match hold.as_deref_mut() {
        None => load_into(shared, Places::Shards(&shared.shards), present, file, size),
        Some(hold) if present == Present::Discarded => {
            let empty = |_| Databases::new(shared.config.databases(), &shared.hasher);
            let mut aside: Vec<_> = (0..shared.shards.len()).map(empty).collect();
            let places = Places::Apart(aside.iter_mut().map(Mutex::new).collect());
            let result = load_into(shared, places, present, file, size);
            if result.is_ok() {
                hold.each(|shard, data| {
                    let databases = &mut aside[usize::from(shard)];
                    for db in 0..databases.count() {
                        data.databases.table_mut(db).swap(databases.table_mut(db));
                    }
                });
            }
            result
        }
        Some(hold) => {
            let Held::Many(all) = hold.databases() else { unreachable!("there are many shards") };
            let places = all.into_iter().map(|(_, databases)| Mutex::new(databases)).collect();
            load_into(shared, Places::Apart(places), present, file, size)
        }
    };
    if edition != shared.native.quotas.edition() {
        let quotas = shared.native.quotas.read();
        let follow = |_, data: &mut ShardData| data.databases.follow_quotas(&quotas);
        match hold {
            Some(hold) => hold.each(follow),
            None => shared.shards.hold_all().each(follow),
        }
    }
    match &result {
        Ok(loaded) => shared.saving.note_loaded(loaded.keys, loaded.expired),
        Err(LoadFailure::Open(_) | LoadFailure::Stopped) => {}
        Err(failure) => {
            tracing::warn!("{failure}");
            if matches!(failure, LoadFailure::File(LoadError::Checksum { .. })) {
                tracing::warn!("Internal error in RDB reading -> RDB CRC error");
            }
        }
    }
    result.map(|loaded| loaded.size)
}

/// What was loaded.
struct Loaded {
    keys: u64,
    /// Keys that were left out because their time had come.
    expired: u64,
    /// Bytes of the file.
    size: u64,
}

/// Where keys go, by shard.
enum Places<'p> {
    /// To the shards, each of which is held for a moment.
    Shards(&'p Shards),
    /// To databases that nobody else has.
    Apart(Vec<Mutex<&'p mut Databases>>),
}

impl Places<'_> {
    fn with<R>(&self, shard: usize, change: impl FnOnce(&mut Databases) -> R) -> R {
        match self {
            Places::Shards(shards) => change(&mut shards.hold_one(shard as u16).data_mut().databases),
            Places::Apart(all) => change(&mut all[shard].lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// What the threads that load have in common.
struct Crew<'c, 'p> {
    shared: &'c Shared,
    places: Places<'p>,
    present: Present,
    now_ms: i64,
    access: Access,
    queue: Mutex<Queue>,
    /// There is a part to be decoded, or there will be none any more.
    came: Condvar,
    /// Something went wrong.
    has_failed: AtomicBool,
    /// The file is the first part of an append-only file: in what came behind it, its keys may have lost their deadlines or
    /// got later ones.
    is_base: AtomicBool,
    keys: AtomicU64,
    expired: AtomicU64,
    empty: AtomicU64,
}

#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// Memory of parts that are done.
    buffers: Vec<Vec<u8>>,
    is_over: bool,
    /// The first thing in the file that is wrong, and where it is.
    failure: Option<(u64, LoadFailure)>,
}

impl Crew<'_, '_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, offset: u64, failure: LoadFailure) {
        let mut queue = self.queue();
        if queue.failure.as_ref().is_none_or(|(first, _)| offset < *first) {
            queue.failure = Some((offset, failure));
        }
        self.has_failed.store(true, Relaxed);
    }

    fn note_empty(&self, key: &[u8]) {
        if self.empty.fetch_add(1, Relaxed) < EMPTY_LOGGED_MAX {
            tracing::warn!("rdbLoadObject skipping empty key: {}", self.shared.shown_in_log(key));
        }
    }

    /// Decodes what others have found, until there is nothing more. What stands before a failure is decoded in any case:
    /// something may be wrong there, too, and that comes first.
    fn help(&self) {
        let mut lane = Lane::new(self);
        let mut queue = self.queue();
        loop {
            if let Some(part) = queue.parts.pop_front() {
                drop(queue);
                let buffer = lane.decode(part);
                queue = self.queue();
                queue.buffers.push(buffer);
            } else if queue.is_over {
                break;
            } else {
                queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(queue);
        lane.flush();
    }
}

/// One thread's share of the work.
struct Lane<'l, 'c, 'p> {
    crew: &'l Crew<'c, 'p>,
    /// Keys that were decoded, by shard.
    waiting: Vec<Vec<Waiting>>,
    count: usize,
    /// Where the part that is decoded begins in the file.
    offset: u64,
}

struct Waiting {
    db: usize,
    hash: u64,
    record: Record,
}

impl<'l, 'c, 'p> Lane<'l, 'c, 'p> {
    fn new(crew: &'l Crew<'c, 'p>) -> Self {
        let waiting = (0..crew.shared.shards.len()).map(|_| Vec::new()).collect();
        Lane { crew, waiting, count: 0, offset: 0 }
    }

    /// Decodes a part; returns its memory.
    fn decode(&mut self, part: Part) -> Vec<u8> {
        let crew = self.crew;
        self.offset = part.offset();
        let result = part.decode(&mut |entry| self.add(entry), &mut |key| crew.note_empty(key));
        if let Err(error) = result {
            let offset = if let LoadError::Value { offset, .. } = &error { *offset } else { self.offset };
            crew.fail(offset, LoadFailure::File(error));
        }
        part.into_buffer()
    }

    /// Adds a key; false when that is enough.
    fn add(&mut self, entry: Entry) -> bool {
        let crew = self.crew;
        let shared = crew.shared;
        let Entry { db, mut record, idle_s, frequency } = entry;
        let is_due = |deadline| deadline < crew.now_ms && !crew.is_base.load(Relaxed);
        if record.expiry_ms().is_some_and(is_due) {
            crew.expired.fetch_add(1, Relaxed);
            return true;
        }
        record.set_access(crew.access.restored(idle_s, frequency));
        adopt(&mut record, &shared.native.tags);
        let shard = usize::from(shared.shards.of_slot(slot(record.key())));
        let hash = shared.hasher.hash(record.key());
        self.waiting[shard].push(Waiting { db, hash, record });
        self.count += 1;
        if delay(shared) > Duration::ZERO {
            self.flush();
            return rest(shared, 1);
        }
        if self.count >= BATCH {
            self.flush();
        }
        true
    }

    /// Puts the keys that were decoded where they belong.
    fn flush(&mut self) {
        let crew = self.crew;
        crew.keys.fetch_add(self.count as u64, Relaxed);
        self.count = 0;
        for (shard, waiting) in self.waiting.iter_mut().enumerate() {
            while !waiting.is_empty() {
                let group = waiting.len().saturating_sub(GROUP);
                if crew.present != Present::Discarded {
                    for Waiting { db, hash, .. } in &waiting[group..] {
                        crew.shared.shards.prefetch_bucket(shard as u16, *db, *hash);
                    }
                }
                let group = waiting.drain(group..);
                let result = crew.places.with(shard, |databases| put(databases, group, crew.present));
                if let Err(failure) = result {
                    crew.fail(self.offset, failure);
                }
            }
        }
    }
}

fn put(
    databases: &mut Databases,
    group: impl Iterator<Item = Waiting>,
    present: Present,
) -> Result<(), LoadFailure> {
    for Waiting { db, hash, record } in group {
        match databases.table_mut(db).entry(hash, record.key()) {
            Slot::Vacant(slot) => drop(slot.insert(record)),
            Slot::Occupied(mut slot) if present == Present::Replaced => drop(slot.replace(record)),
            Slot::Occupied(_) => return Err(LoadFailure::Duplicate(record.key().to_vec(), db)),
        }
    }
    Ok(())
}

/// How long a key takes at least: `key-load-delay`, for tests that want to look at loading. Redis takes negative numbers for
/// a fraction of a microsecond.
fn delay(shared: &Shared) -> Duration {
    Duration::from_micros(u64::try_from(shared.config.hot().key_load_delay.get()).unwrap_or(0))
}

/// Sleeps for as long as so many keys take at least; false when the process is to stop.
pub(crate) fn rest(shared: &Shared, keys: u64) -> bool {
    let mut done = Duration::ZERO;
    loop {
        // It may be changed meanwhile.
        let left = delay(shared).saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX)).saturating_sub(done);
        if shared.shutdown.is_requested() || left.is_zero() {
            return !shared.shutdown.is_requested();
        }
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        done += nap;
    }
}

fn load_into(
    shared: &Shared,
    places: Places<'_>,
    present: Present,
    file: Box<dyn Read + Send>,
    size: u64,
) -> Result<Loaded, LoadFailure> {
    let crew = Crew {
        shared,
        places,
        present,
        now_ms: shared.native.clock.wall_ms(),
        access: access(shared),
        queue: Mutex::default(),
        came: Condvar::new(),
        has_failed: AtomicBool::new(false),
        is_base: AtomicBool::new(false),
        keys: AtomicU64::new(0),
        expired: AtomicU64::new(0),
        empty: AtomicU64::new(0),
    };
    // The thread that reads works, too, whenever the others do not keep up with it.
    let helpers = if delay(shared).is_zero() { shared.identity.threads.saturating_sub(1).max(1) } else { 0 };
    let mut libraries = Vec::new();
    let size = std::thread::scope(|scope| {
        let help = |_: &usize| {
            let thread = std::thread::Builder::new().name("load-keys".to_owned());
            // It goes without it.
            thread.spawn_scoped(scope, || crew.help()).is_ok()
        };
        let helpers = (0..helpers).filter(help).count();
        let result = read(&crew, helpers, file, size, &mut libraries);
        crew.queue().is_over = true;
        crew.came.notify_all();
        result
    });
    if let Some((_, failure)) = crew.queue().failure.take() {
        return Err(failure);
    }
    let size = size?;
    put_libraries(shared, &libraries, present)?;
    let [keys, expired, empty] = [&crew.keys, &crew.expired, &crew.empty].map(|count| count.load(Relaxed));
    if empty > 0 {
        tracing::warn!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, empty keys skipped: {empty}."
        );
    } else {
        tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.");
    }
    Ok(Loaded { keys, expired, size })
}

/// Reads the file to its end; tells where that is.
fn read(
    crew: &Crew<'_, '_>,
    helpers: usize,
    file: Box<dyn Read + Send>,
    size: u64,
    libraries: &mut Vec<Vec<u8>>,
) -> Result<u64, LoadFailure> {
    let shared = crew.shared;
    let config = &shared.config;
    let mut note = |note| match note {
        Note::Function(code) => libraries.push(code),
        Note::Empty(key) => crew.note_empty(&key),
        Note::Aux { name, value } => {
            if matches!(&name[..], b"aof-base" | b"aof-preamble") && value != b"0" {
                crew.is_base.store(true, Relaxed);
            }
            let value = String::from_utf8_lossy(&value);
            shared.native.load_aux(&name, &value);
            log_aux(shared, &name, &value);
        }
        Note::Module(name) => {
            tracing::warn!("The RDB file holds data of the module type '{name}': it is left out");
        }
    };
    let verify = config.flag("rdbchecksum") && !shared.debug.skip_checksums.load(Relaxed);
    let encodings = config.hot().encodings();
    let loader = Loader::new(file, size, config.databases(), encodings, verify, &mut note);
    let mut loader = loader.map_err(LoadFailure::File)?;
    let mut lane = Lane::new(crew);
    let mut buffers = Vec::new();
    while !crew.has_failed.load(Relaxed) {
        if shared.shutdown.is_requested() {
            return Err(LoadFailure::Stopped);
        }
        let found = match loader.next_found() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                crew.fail(loader.offset(), LoadFailure::File(error));
                break;
            }
        };
        shared.loading.reach(loader.offset());
        match found {
            Found::Entry(entry) => {
                lane.offset = loader.offset();
                lane.add(entry);
            }
            Found::Part(part) => {
                let mut queue = crew.queue();
                buffers.append(&mut queue.buffers);
                if queue.parts.len() < helpers * PARTS_PER_THREAD {
                    queue.parts.push_back(part);
                    drop(queue);
                    crew.came.notify_one();
                } else {
                    drop(queue);
                    buffers.push(lane.decode(part));
                }
                for buffer in buffers.drain(..) {
                    loader.give_back(buffer);
                }
            }
        }
    }
    lane.flush();
    Ok(loader.offset())
}

/// All libraries come, or none. Those that are there already are treated like keys.
fn put_libraries(shared: &Shared, codes: &[Vec<u8>], present: Present) -> Result<(), LoadFailure> {
    let failed = |error: Error| {
        let text = error.message();
        let text = text.strip_prefix(b"ERR ").unwrap_or(&text);
        LoadFailure::Library(String::from_utf8_lossy(text).into_owned())
    };
    let load = |code: &Vec<u8>| Library::new(code, LIBRARY_MS_MAX).map_err(failed);
    let libraries = codes.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    let change = |set: &mut Set| {
        if present == Present::Discarded {
            *set = Set::default();
        }
        libraries.into_iter().try_for_each(|library| set.add(library, present == Present::Replaced))
    };
    shared.libraries.change(change).map_err(failed)
}

/// Tells the log of an auxiliary field, in Redis' words.
fn log_aux(shared: &Shared, name: &[u8], value: &str) {
    match name {
        [b'%', ..] => tracing::info!("RDB '{}': {value}", String::from_utf8_lossy(name)),
        b"redis-ver" => tracing::info!("Loading RDB produced by version {value}"),
        b"ctime" => {
            let age = (clock::unix_ms() / 1000).saturating_sub(value.parse().unwrap_or(0));
            tracing::info!("RDB age {} seconds", age.max(0));
        }
        b"used-mem" => {
            let bytes = value.parse().unwrap_or(0);
            shared.loading.note_used_memory(bytes);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / f64::from(1 << 20));
        }
        b"aof-preamble" if value != "0" => tracing::info!("RDB has an AOF tail"),
        b"aof-base" if value != "0" => tracing::info!("RDB is base AOF"),
        _ => {}
    }
}
