//! `BGSAVE`, and when it happens by itself.

use super::{Failure, Kind, Refusal, Request};
use crate::clock;
use crate::dataset;
use crate::shard::Hold;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// After a failure it is not tried again by itself for so long, in seconds.
const RETRY_DELAY_S: i64 = 5;
/// How long one that was called off may take to be over.
const OVER_PATIENCE: Duration = Duration::from_secs(1);

/// Begins to save all databases in the background. `hold` must hold all shards.
pub fn begin(shared: &Arc<Shared>, hold: &mut Hold<'_>) -> Result<(), Refusal> {
    let changes = shared.stats.total(|thread| &thread.changes);
    let saving = &shared.saving;
    let request = Request {
        kind: Kind::Save,
        target: dataset::path(shared),
        header: dataset::header(shared, false),
        done: Box::new(move |shared, result| end(shared, result, changes)),
    };
    let begun = super::begin(shared, hold, request);
    if !matches!(begun, Err(Refusal::Busy(_))) {
        saving.count_save();
        saving.note_attempt(clock::unix_ms());
    }
    begun.inspect_err(|refusal| {
        if let Refusal::Thread(error) = refusal {
            saving.note_failed();
            tracing::warn!("Can't save in background: {error}");
        }
    })?;
    tracing::info!("Background saving started by pid {}", std::process::id());
    Ok(())
}

fn end(shared: &Shared, result: Result<u64, Failure>, changes: u64) {
    let saving = &shared.saving;
    let now_ms = clock::unix_ms();
    let progress = shared.snapshots.progress();
    match result {
        Ok(_) => {
            tracing::info!("DB saved on disk");
            tracing::info!(
                "RDB: {} MB of memory were copied because they changed, {} MB waited to be written at most",
                progress.copied >> 20,
                progress.waiting_max >> 20
            );
            tracing::info!("Background saving terminated with success");
            saving.note_saved(now_ms / 1000, changes);
        }
        // Whoever does that knows what it does.
        Err(Failure::Cancelled) => tracing::warn!("Background saving terminated by signal 10"),
        Err(Failure::Killed) => {
            tracing::warn!("Background saving terminated by signal 9");
            saving.note_failed();
        }
        Err(failure) => {
            tracing::warn!("{failure}");
            tracing::warn!("Background saving error");
            saving.note_failed();
        }
    }
    saving.note_background_end(now_ms, progress.copied);
}

/// Begins with no shard held: what the cron does.
fn begin_alone(shared: &Arc<Shared>) {
    // What goes wrong is in the log.
    let _ = begin(shared, &mut shared.shards.hold_all());
}

/// Waits a moment for a snapshot that was called off, so that another one can begin. Call it with no shard held.
pub fn wait_for_cancelled(shared: &Shared) {
    if shared.snapshots.running().is_none() {
        shared.snapshots.wait_idle(OVER_PATIENCE);
    }
}

/// Saves in the background if it is time: somebody asked for it, or enough has changed for long enough.
pub fn cron(shared: &Arc<Shared>) {
    let saving = &shared.saving;
    if shared.shutdown.is_requested() || shared.shutdown.is_under_way() {
        return;
    }
    if !shared.snapshots.is_idle() {
        return;
    }
    let now_s = clock::unix_ms() / 1000;
    let may_try = saving.is_fine() || now_s - saving.last_attempt_s() > RETRY_DELAY_S;
    if !may_try {
        return;
    }
    if saving.take_scheduled() {
        return begin_alone(shared);
    }
    let changes = saving.changes_since(shared.stats.total(|thread| &thread.changes));
    if changes == 0 {
        return;
    }
    let elapsed_s = now_s - saving.last_save_s();
    for point in shared.config.save_points() {
        if i64::try_from(changes).unwrap_or(i64::MAX) >= point.changes && elapsed_s > point.seconds {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            return begin_alone(shared);
        }
    }
}
