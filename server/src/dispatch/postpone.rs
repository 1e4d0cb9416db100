//! Requests that wait a moment for the snapshot under way: a change of a large value that it has not taken yet would copy
//! all of it while others wait for the shard, and changes that come faster than the disk would fill the memory.

use super::{Request, Worker};
use crate::registry::Entry;
use crate::session::Session;
use crate::shard::HoldOne;
use crate::shared::Shared;
use tidegate_commands::model::RoutedKey;

impl Worker {
    /// A request that may change something has to wait. The snapshot goes to its values next. Releases the held shard if
    /// it has to look at another one.
    #[cold]
    pub(super) fn must_wait<'s>(
        &self,
        shared: &'s Shared,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
        held: &mut Option<HoldOne<'s>>,
    ) -> bool {
        if entry.name == "exec" {
            return self.any_queued(session, |entry, stored| {
                let mut keys = Vec::new();
                let request = Request::of_stored(shared, stored, &mut keys);
                self.may_change(entry, &stored.bytes, &stored.args)
                    && Self::is_behind(shared, session, &request, held)
            });
        }
        // Inside of MULTI it is only queued.
        session.transaction.is_none()
            && self.may_change(entry, request.buf, request.spans)
            && Self::is_behind(shared, session, request, held)
    }

    fn is_behind<'s>(
        shared: &'s Shared,
        session: &Session,
        request: &Request<'_>,
        held: &mut Option<HoldOne<'s>>,
    ) -> bool {
        shared.snapshots.is_overfull()
            || request.keys.iter().any(|key| {
                let hold = match held {
                    Some(hold) if hold.index() == key.shard => hold,
                    _ => {
                        *held = None;
                        held.insert(shared.shards.hold_one(key.shard))
                    }
                };
                is_lagging(hold, session.db, key, request)
            })
    }

    /// The same for a short command on the one held shard.
    #[cold]
    pub(super) fn must_short_wait(
        shared: &Shared,
        db: usize,
        request: &Request<'_>,
        entry: &Entry,
        hold: &mut HoldOne<'_>,
    ) -> bool {
        entry.writes()
            && (shared.snapshots.is_overfull()
                || request.keys.iter().any(|key| is_lagging(hold, db, key, request)))
    }
}

fn is_lagging(hold: &mut HoldOne<'_>, db: usize, key: &RoutedKey, request: &Request<'_>) -> bool {
    let table = hold.data_mut().databases.table_mut(db);
    table.is_being_taken() && table.is_lagging(key.hash, request.arg(key.arg as usize))
}
