//! The data set on disk: saving it as a whole, and loading it. Whoever saves holds all shards, so what is saved is one
//! moment.

mod load;

pub(crate) use load::rest;
pub use load::{LoadFailure, Present, load, load_at_start, load_file};

use crate::clock;
use crate::config::Hot;
use crate::config::choices::MaxmemoryPolicy;
use crate::shard::Hold;
use crate::shared::Shared;
use crate::version::{REDIS_VERSION, TIDEGATE_VERSION};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_data::{Access, Moment};
use tidegate_persistence::rdb::{self, Header, SaveError, Saver};

/// The file, in the working directory.
pub fn path(shared: &Shared) -> PathBuf {
    shared.config.path("dbfilename").unwrap_or_else(|| "dump.rdb".into())
}

/// How accesses are remembered under the present policy.
pub fn access(shared: &Shared) -> Access {
    access_at(shared.config.hot(), clock::unix_ms())
}

/// The same at a Unix time in milliseconds. An LFU counter is not raised by this: whoever counts puts in a random number.
#[inline]
pub(crate) fn access_at(hot: &Hot, now_ms: i64) -> Access {
    let policy = hot.maxmemory_policy.get();
    if policy.lfu() {
        let (log_factor, decay_minutes) = (hot.lfu_log_factor.get(), hot.lfu_decay_time.get());
        return Access::Lfu {
            minute: (now_ms / 60_000) as u32 & 0xffff,
            luck: u32::MAX,
            log_factor,
            decay_minutes,
        };
    }
    if policy == MaxmemoryPolicy::AllkeysS3Fifo {
        return Access::fifo(now_ms);
    }
    let moment = Moment::of_ms(now_ms);
    // Only eviction wants to know more than the second.
    let moment = if hot.maxmemory.get() > 0 && policy.by_access() { moment } else { moment.whole_second() };
    if policy.lrm() { Access::Lrm(moment) } else { Access::Lru(moment) }
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
    let mut aux = vec![
        ("redis-ver", REDIS_VERSION.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", (clock::unix_ms() / 1000).to_string()),
        ("used-mem", crate::memory::used().to_string()),
        ("aof-base", u8::from(is_base).to_string()),
        ("tidegate-ver", TIDEGATE_VERSION.to_owned()),
    ];
    aux.extend(shared.native.aux());
    Header {
        aux,
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
