//! Loading the append-only file: its base as any snapshot, then what was done since, command by command.

use crate::clock;
use crate::dataset::{self, LoadFailure, Present};
use crate::dispatch::{Progress, Worker};
use crate::session::{Client, Session};
use crate::shared::{Shared, random_u64};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;
use tidegate_persistence::aof::load::{LoadError, Loading, Step};
use tidegate_persistence::aof::read::Piece;
use tidegate_persistence::aof::{Loaded, Manifest};

/// Pieces that are read ahead of those that are replayed.
const READ_AHEAD: usize = 4;

/// Why the append-only file was not loaded.
#[derive(Debug)]
pub enum Failure {
    /// The files, or one of them.
    Files(LoadError),
    /// Their base.
    Base(LoadFailure),
    /// A command that there is not, and the file it is in.
    Unknown(Vec<u8>, String),
    /// The process is to stop.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Files(error) => error.fmt(f),
            Failure::Base(failure) => failure.fmt(f),
            Failure::Unknown(name, file) => {
                let name = String::from_utf8_lossy(name);
                write!(f, "Unknown command '{name}' reading the append only file {file}")
            }
            Failure::Stopped => LoadFailure::Stopped.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs what a journal says.
struct Replay {
    worker: Worker,
    session: Session,
    out: Vec<u8>,
}

impl Replay {
    fn new(shared: &Arc<Shared>) -> Self {
        let worker = Worker::for_replay(Arc::clone(shared), random_u64());
        Replay { worker, session: session(), out: Vec::new() }
    }

    /// Another file begins: in the first database, outside of any transaction.
    fn begin_file(&mut self) {
        self.session = session();
    }

    /// How many commands it has run so far. O(commands there are).
    fn executed(&self) -> u64 {
        self.worker.stats.commands.iter().map(|command| command.calls.load(Relaxed)).sum()
    }

    /// Runs whole units. The first command that there is not ends it.
    fn run(&mut self, piece: &mut Piece) -> Result<(), Vec<u8>> {
        for run in std::mem::take(&mut piece.runs) {
            let bytes = &mut piece.bytes[run];
            let mut at = 0;
            while at < bytes.len() {
                let progress = self.worker.process(&mut self.session, bytes, &mut at, &mut self.out);
                self.out.clear();
                if let Some(name) = self.worker.unknown_command() {
                    return Err(name.to_vec());
                }
                match progress {
                    Progress::Flush => {}
                    // Nobody waits here: what it waits for may be in the past, or never come.
                    Progress::Parked => drop(self.worker.end_wait(&mut self.session)),
                    Progress::NeedInput(_) | Progress::Close => break,
                }
            }
        }
        Ok(())
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.worker.unwatch(&mut self.session);
        self.worker.unsubscribe_all(&mut self.session);
        // What a command of a file answers goes nowhere.
        let shared = &self.worker.shared;
        if let Some(select) = shared.registry.lookup(b"select") {
            shared.loading.note_strays(self.worker.stats.commands[select.id].failed.load(Relaxed));
        }
    }
}

/// A connection that is none.
fn session() -> Session {
    let client = Client::new(0, String::new(), String::new(), -1, clock::unix_ms(), false, true);
    Session::new(Arc::new(client), true)
}

/// Loads the files if there are any. The keyspace must be empty. No shard may be held, and nobody else may change anything.
///
/// # Errors
/// A file is damaged or missing: the keyspace has what came before.
pub fn load(shared: &Arc<Shared>) -> Result<Option<Loaded>, Failure> {
    let Some(aof) = &shared.aof else { return Ok(None) };
    let may_truncate = shared.config.flag("aof-load-truncated");
    let loading = Loading::begin(Arc::clone(&shared.disk), aof.place().clone(), may_truncate);
    let Some(mut loading) = loading.map_err(Failure::Files)? else { return Ok(None) };
    shared.loading.expect(loading.size());
    let started_ms = clock::unix_ms();
    let loaded = std::thread::scope(|scope| {
        let (steps, next) = sync_channel(READ_AHEAD);
        let (ended, offset) = sync_channel(1);
        let (buffers, spare) = channel();
        scope.spawn(move || read_ahead(&mut loading, &steps, &offset, &spare));
        replay(shared, &next, &ended, &buffers)
    })?;
    let seconds = (clock::unix_ms() - started_ms) as f64 / 1000.0;
    tracing::info!("DB loaded from append only file: {seconds:.3} seconds");
    Ok(Some(loaded))
}

/// Reads and checks while others replay.
fn read_ahead(
    loading: &mut Loading,
    steps: &SyncSender<Result<Step, LoadError>>,
    offset: &Receiver<u64>,
    spare: &Receiver<Vec<u8>>,
) {
    loop {
        for buffer in spare.try_iter() {
            loading.give_back(buffer);
        }
        let step = loading.next_step();
        let is_snapshot = matches!(step, Ok(Step::Snapshot { .. }));
        let is_last = matches!(step, Err(_) | Ok(Step::Done(_)));
        if steps.send(step).is_err() || is_last {
            return;
        }
        if is_snapshot {
            // Where commands follow it, if any do, is known when it was loaded.
            let Ok(offset) = offset.recv() else { return };
            if let Err(error) = loading.snapshot_ended(offset) {
                // Nobody listens who has failed already.
                let _ = steps.send(Err(error));
                return;
            }
        }
    }
}

fn replay(
    shared: &Arc<Shared>,
    steps: &Receiver<Result<Step, LoadError>>,
    ended: &SyncSender<u64>,
    buffers: &Sender<Vec<u8>>,
) -> Result<Loaded, Failure> {
    let mut replay = Replay::new(shared);
    let mut present = String::new();
    while let Ok(step) = steps.recv() {
        match step.map_err(Failure::Files)? {
            Step::File { name, size, is_base } => {
                let kind = if is_base { "base" } else { "incr" };
                tracing::info!("Loading the AOF {kind} file {name} ({size} bytes)");
                replay.begin_file();
                shared.loading.begin_file(size);
                present = name;
            }
            Step::Snapshot { file, size, is_preamble } => {
                if is_preamble {
                    tracing::info!("Reading RDB preamble from AOF file...");
                } else {
                    tracing::info!("Reading RDB base file on AOF loading...");
                }
                let offset = dataset::load_file(shared, None, Present::Kept, file, size);
                // Whoever reads has failed if it does not listen.
                let _ = ended.send(offset.map_err(Failure::Base)?);
                if is_preamble {
                    tracing::info!("Reading the remaining AOF tail...");
                }
            }
            Step::Units(mut piece) => {
                if shared.shutdown.is_requested() {
                    return Err(Failure::Stopped);
                }
                shared.loading.reach(piece.offset);
                let executed = replay.executed();
                replay.run(&mut piece).map_err(|name| Failure::Unknown(name, present.clone()))?;
                if shared.config.hot().key_load_delay.get() > 0
                    && !dataset::rest(shared, replay.executed() - executed)
                {
                    return Err(Failure::Stopped);
                }
                // Whoever reads may be done.
                let _ = buffers.send(piece.bytes);
            }
            Step::Done(loaded) => return Ok(loaded),
        }
    }
    unreachable!("whoever reads ends with an error, or says that it is done")
}

/// Loads the files at the start of the process, and has the journal go on behind them. Where there are none they are begun,
/// with what there is in the keyspace.
///
/// # Errors
/// The files cannot be loaded, or the disk refuses.
pub fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let Some(aof) = &shared.aof else { return Ok(()) };
    super::follow(shared);
    // Whoever starts the process logs what is wrong.
    let loaded = load(shared).map_err(io::Error::other)?;
    match loaded {
        Some(loaded) => aof.resume(loaded)?,
        None => begin(shared)?,
    }
    shared.journaled.store(true, Relaxed);
    Ok(())
}

/// There are no files. Beside them there may be a snapshot, which is not what the user would want to lose.
fn begin(shared: &Arc<Shared>) -> io::Result<()> {
    let Some(aof) = &shared.aof else { return Ok(()) };
    let has_snapshot = shared.disk.open(&dataset::path(shared)).is_ok();
    if has_snapshot && !shared.config.flag("appendonly-bootstrap") {
        let text = "appendonly is on and there is no append-only file, but there is a snapshot, whose keys would be left \
                    aside and lost. Start with 'appendonly-bootstrap yes' to begin with its keys, or move it away.";
        return Err(io::Error::other(text));
    }
    if has_snapshot {
        dataset::load_at_start(shared).map_err(io::Error::other)?;
    }
    aof.begin(aof.prepare(|| Ok(Manifest::default()))?)?;
    let base = aof.place().file("temp-base.rdb");
    dataset::save_as(shared, &mut shared.shards.hold_all(), &base, true).map_err(io::Error::other)?;
    tracing::info!("Creating AOF base file on server start");
    let base = if shared.config.flag("aof-use-rdb-preamble") {
        base
    } else {
        aof.as_commands(&base, shared.config.databases(), &|| true).map_err(io::Error::other)?
    };
    aof.rewritten(base, aof.turn());
    while aof.status().is_rewriting.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if aof.status().rewrite_worked.load(Relaxed) {
        Ok(())
    } else {
        Err(io::Error::other("The append-only file cannot be begun."))
    }
}

/// Throws all keys away and loads the files again: `DEBUG LOADAOF`. Others are told to wait meanwhile. No shard may be held.
///
/// # Errors
/// As for [`load`].
pub fn reload(shared: &Arc<Shared>) -> Result<(), Failure> {
    let Some(aof) = &shared.aof else { return Ok(()) };
    shared.loading.begin(clock::unix_ms() / 1000);
    let mut thrown = Vec::new();
    shared.shards.hold_all().each(|shard, data| {
        crate::native::soft::flush(shared, shard, data);
        for db in 0..data.databases.count() {
            thrown.push(data.databases.table_mut(db).take());
        }
    });
    if shared.journaled.load(Relaxed) {
        let tail = aof.log().tail();
        while aof.log().written() < tail && aof.log().failure().is_none() {
            aof.log().kick();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let result = load(shared);
    // What was loaded is in the files.
    shared.saving.note_unchanged(shared.stats.total(|thread| &thread.changes));
    shared.loading.end();
    result.map(|_| ())
}
