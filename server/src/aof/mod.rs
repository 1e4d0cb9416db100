//! The append-only file in the running server: when it is loaded, begun, ended and rewritten. What is in its files, and who
//! writes them, is `tidegate_persistence::aof`.

pub mod load;

use crate::config::Config;
use crate::config::choices::{AppendAck, AppendFsync};
use crate::dataset;
use crate::shard::Hold;
use crate::shared::Shared;
use crate::snapshot::{self, Failure, Kind, Refusal, Request};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tidegate_persistence::aof::load::read_manifest;
use tidegate_persistence::aof::{Aof, Fsync, Manifest, Place, Prepared, Turn};
use tidegate_persistence::disk::Disk;

/// The append-only file of a process with this configuration, not in use yet.
pub fn new(config: &Config, disk: Arc<dyn Disk>, replication_id: String) -> Aof {
    let stem = config.text("appendfilename").unwrap_or_else(|| b"appendonly.aof".to_vec());
    let dir = config.text("appenddirname").unwrap_or_else(|| b"appendonlydir".to_vec());
    // Relative to the working directory, which is the data directory, also after that has changed.
    let dir = PathBuf::from(OsStr::from_bytes(&dir));
    let place = Place { dir, stem: String::from_utf8_lossy(&stem).into_owned() };
    Aof::new(disk, place, replication_id)
}

/// Has the append-only file obey the settings of the moment.
pub fn follow(shared: &Shared) {
    let Some(aof) = &shared.aof else { return };
    let (config, hot) = (&shared.config, shared.config.hot());
    let fsync = match hot.appendfsync.get() {
        AppendFsync::No => Fsync::No,
        AppendFsync::EverySec => Fsync::EverySecond,
        AppendFsync::Always => Fsync::Always,
    };
    let log = aof.log();
    if log.fsync() != fsync {
        log.set_fsync(fsync);
    }
    let waits = hot.appendonly_ack.get() == AppendAck::Written;
    if log.waits_for_write() != waits {
        log.set_waits_for_write(waits);
    }
    let settings = aof.settings();
    settings.checksums.store(config.flag("aof-checksum"), Relaxed);
    settings.timestamps.store(config.flag("aof-timestamp-enabled"), Relaxed);
    settings.exit_after_s.store(config.number("aof-error-exit-after") as u64, Relaxed);
    settings.unwritten_max.store(config.number("log-max-unwritten") as u64, Relaxed);
    settings.delays.least_ms.store(hot.latency_monitor_threshold.get().max(0) as u64, Relaxed);
    let keeps = config.flag("aof-disable-auto-gc");
    if settings.keep_history.swap(keeps, Relaxed) && !keeps {
        aof.remove_history();
        // Whoever has asked for it looks for the files right away; a slow disk is not waited for.
        for _ in 0..1000 {
            if !aof.status().has_history.load(Relaxed) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Gets everything ready to begin, which [`turn_on`] does then: files are made, and nothing of it matters before that.
///
/// # Errors
/// What the client is told.
pub fn prepare(shared: &Shared) -> Result<Prepared, String> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!("The append-only file cannot be begun: {error}");
        "Unable to turn on AOF. Check server logs.".to_owned()
    };
    let Some(aof) = &shared.aof else {
        return Err("Unable to turn on AOF: there is another journal.".to_owned());
    };
    follow(shared);
    aof.prepare(|| manifest(shared, aof)).map_err(|error| failed(&error))
}

fn manifest(shared: &Shared, aof: &Aof) -> std::io::Result<Manifest> {
    read_manifest(&*shared.disk, aof.place()).map_err(std::io::Error::other)
}

/// Everything is journaled from now on, and a snapshot of this moment will come before it. `hold` must hold all shards.
///
/// # Errors
/// What the client is told.
pub fn turn_on(shared: &Arc<Shared>, hold: &mut Hold<'_>, prepared: Prepared) -> Result<(), String> {
    let Some(aof) = &shared.aof else { return Ok(()) };
    // One that is under way is of another moment.
    aof.begin(prepared).map_err(|error| format!("Unable to turn on AOF: {error}"))?;
    shared.journaled.store(true, Relaxed);
    if begin_snapshot(shared, hold) == Begun::Later {
        tracing::info!(
            "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible."
        );
    }
    Ok(())
}

/// Nothing is journaled any more. `hold` must hold all shards.
pub fn turn_off(shared: &Shared, _all: &mut Hold<'_>) {
    let Some(aof) = &shared.aof else { return };
    shared.journaled.store(false, Relaxed);
    shared.rewriting.unschedule();
    if shared.snapshots.cancel(Kind::Rewrite) {
        tracing::info!("Killing AOF child: the append-only file was turned off");
    }
    aof.end();
}

/// What became of the wish to rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is under way.
    Now,
    /// It begins when another snapshot is done.
    Later,
}

/// Begins to rewrite the append-only file. `hold` must hold all shards.
///
/// # Errors
/// It is being rewritten already.
pub fn rewrite(shared: &Arc<Shared>, hold: &mut Hold<'_>) -> Result<Begun, &'static str> {
    let aof = to_rewrite(shared)?;
    if !shared.snapshots.is_idle() {
        shared.rewriting.schedule();
        return Ok(Begun::Later);
    }
    if shared.journaled.load(Relaxed) {
        aof.switch();
    } else {
        if let Err(error) = aof.make_dir() {
            tracing::warn!("Can't open or create append-only dir: {error}");
            return Err("ERR Can't open or create append-only dir. Check server logs.");
        }
        aof.note_rewriting();
    }
    Ok(begin_snapshot(shared, hold))
}

/// Has the cron rewrite the append-only file: in the midst of a transaction the cut would lie between what the snapshot has
/// and the unit of the transaction, which is journaled as a whole behind it, and what came before would be replayed twice.
///
/// # Errors
/// It is being rewritten already.
pub fn rewrite_later(shared: &Shared) -> Result<Begun, &'static str> {
    to_rewrite(shared)?;
    shared.rewriting.schedule();
    Ok(Begun::Later)
}

/// The append-only file, unless it is being rewritten.
fn to_rewrite(shared: &Shared) -> Result<&Aof, &'static str> {
    let Some(aof) = &shared.aof else { return Err("ERR There is no append-only file to rewrite") };
    if aof.status().is_rewriting.load(Relaxed)
        || matches!(shared.snapshots.running(), Some((Kind::Rewrite, _)))
    {
        return Err("ERR Background append only file rewriting already in progress");
    }
    Ok(aof)
}

/// Begins the snapshot that will be the base; if that is not possible, the cron tries again.
fn begin_snapshot(shared: &Arc<Shared>, hold: &mut Hold<'_>) -> Begun {
    let Err(refusal) = try_snapshot(shared, hold) else { return Begun::Now };
    if let Refusal::Thread(error) = refusal {
        tracing::warn!("Can't rewrite append only file in background: {error}");
    }
    if let Some(aof) = &shared.aof {
        not_rewritten(shared, aof, Snapshot::of(shared, aof));
    }
    shared.rewriting.schedule();
    Begun::Later
}

/// What a snapshot is of.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    turn: Turn,
    /// Nothing was journaled.
    is_alone: bool,
}

impl Snapshot {
    /// Of this moment. All shards must be held.
    fn of(shared: &Shared, aof: &Aof) -> Self {
        Snapshot { turn: aof.turn(), is_alone: !shared.journaled.load(Relaxed) }
    }
}

fn try_snapshot(shared: &Arc<Shared>, hold: &mut Hold<'_>) -> Result<(), Refusal> {
    let Some(aof) = &shared.aof else { return Ok(()) };
    let snapshot = Snapshot::of(shared, aof);
    let target = aof.place().file(&format!("temp-rewriteaof-bg-{}.aof", std::process::id()));
    let file = target.clone();
    let request = Request {
        kind: Kind::Rewrite,
        target,
        header: dataset::header(shared, true),
        done: Box::new(move |shared, result| end(shared, snapshot, result, file)),
    };
    snapshot::begin(shared, hold, request)?;
    tracing::info!("Background append only file rewriting started by pid {}", std::process::id());
    Ok(())
}

fn end(shared: &Arc<Shared>, snapshot: Snapshot, result: Result<u64, Failure>, file: PathBuf) {
    let Some(aof) = &shared.aof else { return };
    match result {
        Ok(_) => {
            let Some(file) = formed(shared, aof, file) else { return not_rewritten(shared, aof, snapshot) };
            tracing::info!("Background AOF rewrite terminated with success");
            if snapshot.is_alone {
                rewritten_alone(shared, aof, snapshot, file);
            } else {
                aof.rewritten(file, snapshot.turn);
            }
        }
        Err(Failure::Cancelled) => {
            tracing::warn!("Background AOF rewrite terminated by signal 10");
            not_rewritten(shared, aof, snapshot);
        }
        Err(Failure::Killed) => {
            tracing::warn!("Background AOF rewrite terminated by signal 9");
            not_rewritten(shared, aof, snapshot);
        }
        Err(failure) => {
            tracing::warn!("{failure}");
            tracing::warn!("Background AOF rewrite terminated with error");
            not_rewritten(shared, aof, snapshot);
        }
    }
}

/// A finished snapshot in the form that is wanted for the base; `None` when that does not work, or nobody wants it any more.
fn formed(shared: &Shared, aof: &Aof, snapshot: PathBuf) -> Option<PathBuf> {
    if shared.config.flag("aof-use-rdb-preamble") {
        return Some(snapshot);
    }
    // Called off, it is not running any more.
    let goes_on = || shared.snapshots.running().is_some();
    let result = aof.as_commands(&snapshot, shared.config.databases(), &goes_on);
    result.inspect_err(|error| tracing::warn!("Background AOF rewrite terminated with error: {error}")).ok()
}

/// Nothing is journaled, but whoever turns that on at the next start finds what there is now.
fn rewritten_alone(shared: &Shared, aof: &Aof, snapshot: Snapshot, file: PathBuf) {
    if let Err(error) = aof.rewritten_alone(|| manifest(shared, aof), file, snapshot.turn) {
        tracing::warn!("Error trying to put the rewritten AOF in place: {error}");
        aof.not_rewritten_alone(snapshot.turn);
    }
}

/// There is no snapshot for the append-only file.
fn not_rewritten(shared: &Shared, aof: &Aof, snapshot: Snapshot) {
    if snapshot.is_alone {
        return aof.not_rewritten_alone(snapshot.turn);
    }
    aof.not_rewritten(snapshot.turn);
    if shared.journaled.load(Relaxed) && !aof.status().has_base.load(Relaxed) {
        // What is journaled is of no use before there is one.
        shared.rewriting.schedule();
    }
}

/// Rewrites the append-only file if it is time: somebody asked for it, or it has grown enough.
pub fn cron(shared: &Arc<Shared>) {
    follow(shared);
    let Some(aof) = &shared.aof else { return };
    let status = aof.status();
    shared.rewriting.note(status.is_rewriting.load(Relaxed), crate::clock::uptime_ns());
    if shared.shutdown.is_requested() || shared.shutdown.is_under_way() || !shared.snapshots.is_idle() {
        return;
    }
    if status.is_rewriting.load(Relaxed) {
        return;
    }
    let now_s = crate::clock::unix_ms() / 1000;
    let growth = if shared.journaled.load(Relaxed) { growth(shared, aof) } else { None };
    let growth = growth.filter(|percent| shared.rewriting.has_rested() || *percent >= RESTLESS_PERCENT);
    if shared.rewriting.is_scheduled() || growth.is_some() {
        let wait_s = status.rewrite_not_before_s.load(Relaxed) - now_s;
        if wait_s > 0 {
            if !status.limit_told.swap(true, Relaxed) {
                tracing::warn!(
                    "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
                    (wait_s + 59) / 60
                );
            }
            return;
        }
        if let Some(percent) = growth {
            tracing::info!("Starting automatic rewriting of AOF on {percent}% growth");
        }
        shared.rewriting.unschedule();
        // What goes wrong is in the log.
        let _ = rewrite(shared, &mut shared.shards.hold_all());
    }
}

/// By how many percent it has grown, if that is enough to rewrite it.
fn growth(shared: &Shared, aof: &Aof) -> Option<u64> {
    let percentage = shared.config.number("auto-aof-rewrite-percentage") as u64;
    let size_min = shared.config.number("auto-aof-rewrite-min-size") as u64;
    let (size, base) = (aof.status().size.load(Relaxed), aof.status().base_size.load(Relaxed).max(1));
    let growth = size.saturating_mul(100) / base;
    let grows = percentage > 0 && size > size_min && growth >= percentage.saturating_add(100);
    grows.then(|| growth - 100)
}

/// Where much is written the file soon has grown again, and to rewrite it without a pause would take a third of the speed.
/// After a rewrite none begins by itself for so many times as long as it took...
const REST: i64 = 3;
/// ...unless the file has grown by so many percent.
const RESTLESS_PERCENT: u64 = 800;

/// When the append-only file is to be rewritten.
#[derive(Debug, Default)]
pub struct Rewriting {
    is_scheduled: AtomicBool,
    /// When the present rewrite was seen first, in nanoseconds of uptime; 0 while there is none.
    began_ns: AtomicI64,
    rests_until_ns: AtomicI64,
    /// When this was seen last.
    seen_ns: AtomicI64,
}

impl Rewriting {
    /// It is to be, as soon as that is possible.
    pub fn schedule(&self) {
        self.is_scheduled.store(true, Relaxed);
    }

    /// It is not any more.
    pub fn unschedule(&self) {
        self.is_scheduled.store(false, Relaxed);
    }

    /// True when it is.
    pub fn is_scheduled(&self) -> bool {
        self.is_scheduled.load(Relaxed)
    }

    /// Sees whether one runs: several times a second.
    fn note(&self, is_running: bool, now_ns: i64) {
        self.seen_ns.store(now_ns, Relaxed);
        let began_ns = self.began_ns.load(Relaxed);
        if is_running && began_ns == 0 {
            self.began_ns.store(now_ns, Relaxed);
        } else if !is_running && began_ns != 0 {
            self.began_ns.store(0, Relaxed);
            self.rests_until_ns.store(now_ns + REST * (now_ns - began_ns), Relaxed);
        }
    }

    /// The last one was long enough ago.
    fn has_rested(&self) -> bool {
        self.seen_ns.load(Relaxed) >= self.rests_until_ns.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rewrite_there_is_a_rest_as_long_as_it_was_several_times() {
        let rewriting = Rewriting::default();
        let has_rested = |is_running, now_ns| {
            rewriting.note(is_running, now_ns);
            rewriting.has_rested()
        };
        assert!(has_rested(false, 10));
        for now_ns in [20, 30, 40] {
            assert!(has_rested(true, now_ns), "who runs is asked about otherwise");
        }
        assert!(!has_rested(false, 50));
        assert!(!has_rested(false, 50 + REST * 30 - 1));
        assert!(has_rested(false, 50 + REST * 30));
        assert!(has_rested(true, 200) && !has_rested(false, 210), "each has its own");
    }
}
