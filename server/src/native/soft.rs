//! Soft state: limiters and the like change a million times a second, and the journal hears ten times a second of what they
//! were last. A shard remembers which of its keys the journal has not heard of; the keys themselves know it, too, so that
//! each is remembered once.

use crate::shard::ShardData;
use crate::shared::Shared;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::families::{mark_flushed, unflushed};
use tidegate_commands::model::Effects;
use tidegate_data::Entry;
use tidegate_persistence::journal::{Lsn, Unit};

/// Tells the journal of all keys of a held shard of which it has not heard, as one unit. Returns the position behind it; 0 if
/// there was nothing to tell.
pub fn flush(shared: &Shared, shard: u16, data: &mut ShardData) -> Lsn {
    shared.native.note_flushed(shard);
    let keys = std::mem::take(&mut data.soft);
    if keys.is_empty() {
        return 0;
    }
    let is_journaled = shared.journaled.load(Relaxed);
    let mut unit = Unit::default();
    let mut effects = Effects::default();
    for (db, key) in keys {
        let table = data.databases.table_mut(db as usize);
        let hash = table.hasher().hash(&key);
        let Entry::Occupied(mut entry) = table.entry(hash, &key) else { continue };
        effects.clear();
        if !unflushed(&key, entry.record(), &mut effects) {
            continue;
        }
        entry.update(mark_flushed);
        if is_journaled {
            if unit.is_empty()
                && let Some(words) = shared.native.clock_words()
            {
                unit.push(db, words.iter().map(Vec::as_slice));
            }
            unit.push_encoded(db, effects.len(), effects.bytes());
        }
    }
    if unit.is_empty() {
        return 0;
    }
    let lsn = shared.journal.append(&mut unit);
    data.changed_at = lsn;
    lsn
}

/// The same for all shards, one after the other. None of them may be held.
pub fn flush_all(shared: &Shared) -> Lsn {
    let mut last = 0;
    for shard in 0..shared.shards.len() as u16 {
        if shared.native.is_unflushed(shard) {
            last = flush(shared, shard, shared.shards.hold_one(shard).data_mut()).max(last);
        }
    }
    last
}
