//! The straight way for what makes up most of all load: short commands on one shard, sent by a client that nothing is
//! special about. What the gate would ask of each is asked once for the group, and consecutive commands of one kind are
//! timed together; everything else goes the ordinary way.

use super::plan::Group;
use super::rights::is_allowed;
use super::{Lookup, Route, Worker};
use crate::registry::Entry;
use crate::running;
use crate::session::{ReplyMode, Session};
use crate::shard::HoldOne;
use crate::shard::exec::{Call, Grip};
use crate::shared::{PauseKind, Shared};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Args, Reply};

/// A command that moved more bytes than this is timed apart from those behind it.
const BYTES_TIMED_TOGETHER: usize = 16 * 1024;
/// Commands are timed one by one when slowness begins below this, in nanoseconds.
const SLOWNESS_MIN: u64 = 1_000_000;

/// Commands of one kind that ran back to back and were not counted yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) entry: Option<&'static Entry>,
    calls: u64,
    /// Which of its group was the last of them.
    last: usize,
}

impl Tally {
    #[inline]
    fn is_of(&self, entry: &'static Entry) -> bool {
        self.entry.is_some_and(|counted| std::ptr::eq(counted, entry))
    }
}

impl Worker {
    /// Nothing stands between this session's requests and the keyspace: what [`Worker::gate`] asks, and what is done
    /// about a reply, would come out the same for every short command of a group.
    pub(super) fn is_straight(&self, session: &Session) -> bool {
        session.transaction.is_none()
            && session.tracking.is_none()
            && session.redacted.is_empty()
            && session.subscriptions.is_none()
            && matches!(session.reply_mode, ReplyMode::On)
            && (session.authenticated || !self.shared.users.needs_password())
            && !(self.out_of_memory | self.disk_trouble | self.is_loading_elsewhere)
            && self.exec.stream_shard().is_none()
            && !self.shared.clients.is_monitored()
            && !self.shared.scripts.busy.is_busy()
            && self.turn.slow_nanos.min(self.turn.spike_nanos) >= SLOWNESS_MIN
            && matches!(self.shared.pause.kind(self.exec.now_ms), PauseKind::None)
            && self.turn.large.0.min(self.turn.large.1) >= BYTES_TIMED_TOGETHER
            && !self.turn.audit.notes_data()
            && !self.turn.follows_keys
    }

    /// Runs command `index` of a group if it is a short one on one shard; `false` when it has to go the ordinary way,
    /// before anything was done.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "what one group shares, one by one, to stay in registers")]
    pub(super) fn straight<'s>(
        &mut self,
        shared: &'s Shared,
        session: &mut Session,
        group: &Group,
        index: usize,
        buf: &[u8],
        held: &mut Option<HoldOne<'s>>,
        tally: &mut Tally,
        started: &mut u64,
        out: &mut Vec<u8>,
    ) -> bool {
        let planned = &group.commands[index];
        let Lookup::Found(entry) = planned.lookup else { return false };
        let (Some(short), Route::One(shard)) = (&entry.short, planned.route) else { return false };
        if !short.accepts(planned.args) {
            return false;
        }
        if session.is_limited && !is_allowed(session, &group.request(planned, buf), entry) {
            return false;
        }
        if self.room.is_due() {
            self.see_to_memory(session, held, out);
            if self.out_of_memory {
                return false;
            }
        }
        if !self.quotas.is_empty() && !self.keeps_quotas(session.db, &group.request(planned, buf), entry) {
            return false;
        }
        if !tally.is_of(entry) {
            self.count(session, tally, group, buf, started);
            tally.entry = Some(entry);
            running::begin(Some(entry));
        }
        let request = group.request(planned, buf);
        let mark = out.len();
        let hold = match held {
            Some(hold) if hold.index() == shard => hold,
            _ => {
                // Released first: only holds taken together may be held together.
                *held = None;
                held.insert(shared.shards.hold_one(shard))
            }
        };
        if self.snapshotting && Self::must_short_wait(shared, session.db, &request, entry, hold) {
            return false;
        }
        let mut call = Call {
            handler: short.handler,
            args: Args::new(request.buf, request.spans, request.keys, entry.words),
            db: session.db,
            access: self.access(session),
            is_retry: false,
        };
        let mut reply = Reply::new(out, session.protocol);
        let result = self.exec.run_short(hold, &mut call, &mut reply);
        tally.calls += 1;
        tally.last = index;
        if let Err(error) = &result {
            self.count_failure(entry, error);
        }
        if self.exec.needs_attention {
            if self.exec.take_way_given() {
                tally.calls -= 1;
                return false;
            }
            self.exec.count_lookups();
            let mut grip = Grip::One(hold);
            // A short command never waits itself.
            self.attend(&mut grip, session, &request, entry, started);
            if !self.postponed.is_empty() {
                *held = None;
                self.serve_postponed();
            }
        }
        if out.len() - mark > BYTES_TIMED_TOGETHER || request.size() > BYTES_TIMED_TOGETHER {
            self.count(session, tally, group, buf, started);
            if self.is_large(&request, out.len() - mark) {
                self.log_large(session, &request, entry, out.len() - mark);
            }
        }
        true
    }

    /// Counts what ran and looks whether it was slow.
    pub(super) fn count(
        &mut self,
        session: &Session,
        tally: &mut Tally,
        group: &Group,
        buf: &[u8],
        started: &mut u64,
    ) {
        self.exec.count_lookups();
        let (Some(entry), calls @ 1..) = (tally.entry, tally.calls) else { return };
        tally.calls = 0;
        session.client.last_command.store(entry.id as u32 + 1, Relaxed);
        let now = self.stopwatch.ticks();
        let nanos = self.stopwatch.nanos(*started, now);
        *started = now;
        self.stats.commands[entry.id].ran(calls, nanos, self.turn.timed);
        if nanos >= self.turn.slow_nanos.min(self.turn.spike_nanos) {
            let last = group.request(&group.commands[tally.last], buf);
            self.note_slowness(session, &last, entry, nanos);
        }
    }
}
