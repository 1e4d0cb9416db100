//! Quotas: whoever wants to write looks first at what the quotas of its keys have left.
//!
//! As with `maxmemory`, what is in use is looked at before a command: one that finds a quota kept may exceed it. Where more is
//! in use than is allowed, keys of that quota go if its policy says so; else the command is refused, a transaction as a whole.
//! Short commands whose quotas have something left go their straight way; a server without quotas asks a single word for a group.

use super::{Lookup, Request, Route, Worker, room};
use crate::dataset;
use crate::registry::Entry;
use crate::session::Session;
use crate::shard::HoldOne;
use crate::shard::exec::{Evicted, Grip};
use crate::shard::news::NOBODY;
use crate::shared::PauseKind;
use std::sync::Arc;
use tidegate_commands::model::{Error, Flag, Span, parse_i64};
use tidegate_data::{Eviction, Quota, Quotas, Target};
use tidegate_persistence::quote;

/// A command waits at most so long for room, in nanoseconds.
const PATIENCE_MAX_NANOS: u64 = 20_000_000;
/// So many visits to shards are made before looking for the first key that may go is in vain, however long they take: keys of
/// a small quota are rare in a large keyspace.
const SEARCHED_MAX: usize = 512;
/// For so many times as long as looking took it is remembered that nothing was found that may go.
const BARREN_TIMES: u64 = 5;
/// Where eviction does not keep up, a quota may be exceeded by one in so many bytes before commands are refused.
const EXCESS_SHARE: u64 = 8;
/// Segments of which the keys are counted while a shard is held, for a quota that is new.
const COUNTED_SEGMENTS: usize = 8;

/// A command may make keys of a quota take more.
fn may_grow(entry: &Entry) -> bool {
    entry.flags.has(Flag::DenyOom) || is_transfer(entry)
}

/// It only gives a key another name, or another database.
fn is_transfer(entry: &Entry) -> bool {
    matches!(entry.name.as_str(), "rename" | "renamenx" | "move")
}

/// The numbers of exceeded quotas that a command would add to.
fn exceeded(
    quotas: &Quotas,
    entry: &Entry,
    db: usize,
    databases: usize,
    words: &dyn Fn(usize) -> Option<Vec<u8>>,
    keys: &[Vec<u8>],
    found: &mut Vec<usize>,
) {
    let number = |index| words(index).and_then(|word| usize::try_from(parse_i64(&word)?).ok());
    let mut places: Vec<(usize, &[u8])> = keys.iter().map(|key| (db, &**key)).collect();
    let mut source = None;
    match (entry.name.as_str(), &places[..]) {
        ("rename" | "renamenx", &[from, to, ..]) => (source, places) = (Some(from), vec![to]),
        ("move", &[from, ..]) => {
            let Some(to) = number(2).filter(|to| *to < databases) else { return };
            (source, places) = (Some(from), vec![(to, from.1)]);
        }
        ("copy", &[from, to, ..]) => {
            let is_db = |index| words(index).is_some_and(|word: Vec<u8>| word.eq_ignore_ascii_case(b"db"));
            let other = (3..6).find(|index| is_db(*index)).and_then(|index| number(index + 1));
            places = vec![from, (other.unwrap_or(db), to.1)];
        }
        _ => {}
    }
    for (db, key) in places {
        for at in quotas.matching(db, key) {
            let quota = &quotas.all()[at];
            if quota.is_exceeded()
                && !source.is_some_and(|(db, key)| quota.covers(db, key))
                && !found.contains(&at)
            {
                found.push(at);
            }
        }
    }
}

fn refusal(quota: &Quota) -> Error {
    quota.tally.note_refused();
    let name = match &quota.target {
        Target::Database(db) => format!("of database {db}"),
        Target::Prefix(prefix) => format!("of prefix {}", quote::quoted(prefix)),
    };
    Error::text(format!("OOM command not allowed when used memory > quota {name}."))
}

/// The quotas as a thread has seen them last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    edition: u64,
    quotas: Option<Arc<Quotas>>,
}

impl Seen {
    /// There are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.quotas.is_none()
    }
}

impl Worker {
    /// Looks whether the quotas are still those that were seen last.
    #[inline]
    pub(super) fn follow_quotas(&mut self) {
        if self.eternal.native.quotas.is_on() || !self.quotas.is_empty() {
            self.see_quotas();
        }
    }

    #[cold]
    fn see_quotas(&mut self) {
        let book = &self.eternal.native.quotas;
        let edition = book.edition();
        if !book.is_on() {
            self.quotas = Seen::default();
        } else if self.quotas.is_empty() || self.quotas.edition != edition {
            self.quotas = Seen { edition, quotas: Some(book.read()) };
        }
    }

    /// True when nothing has to be asked about the quotas of a request: it cannot make its keys take more, or none of theirs is
    /// exceeded.
    pub(super) fn keeps_quotas(&self, db: usize, request: &Request<'_>, entry: &Entry) -> bool {
        let Some(quotas) = &self.quotas.quotas else { return true };
        if !entry.writes() && !entry.flags.has(Flag::DenyOom) || !may_grow(entry) {
            return true;
        }
        let is_exceeded = |at: usize| quotas.all()[at].is_exceeded();
        let mut keys = request.keys.iter().map(|key| request.arg(key.arg as usize));
        !is_transfer(entry) && !keys.any(|key| quotas.matching(db, key).any(is_exceeded))
    }

    /// Sees to it that the quotas of a request's keys have something left. If that is not possible the request is answered,
    /// and must not run.
    #[cold]
    pub(super) fn refused_by_quota(
        &mut self,
        session: &mut Session,
        request: &Request<'_>,
        entry: &Entry,
        held: &mut Option<HoldOne<'_>>,
        out: &mut Vec<u8>,
    ) -> bool {
        let mark = out.len();
        let checked = self.check_quotas(session, request, entry, held);
        if !self.exec.news.own.is_empty() {
            let own = std::mem::take(&mut self.exec.news.own);
            self.tell_self(&session.client, own, out);
        }
        let Err(error) = checked else { return false };
        // A refused EXEC forgets the watched keys, whose shards may be the one held here.
        *held = None;
        self.refuse(session, request, &error, out);
        super::after_reply(session, mark, out);
        true
    }

    /// Sees to it that the quotas of a request's keys have something left, if that is possible.
    ///
    /// # Errors
    /// One of them has not: the request must not run.
    fn check_quotas(
        &mut self,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
        held: &mut Option<HoldOne<'_>>,
    ) -> Result<(), Error> {
        let is_exec = entry.name == "exec";
        if self.replayed.is_some() || session.transaction.is_some() && !is_exec {
            return Ok(());
        }
        let quotas = self.shared.native.quotas.read();
        let mut found = Vec::new();
        let mut is_judged_inside = false;
        if is_exec {
            self.exceeded_by_queue(&quotas, session, &mut found);
        } else if may_grow(entry) || entry.is_script {
            let permits = self.declared(entry, request.buf, request.spans);
            if permits.is_some_and(|permits| !permits.needs_memory()) {
                return Ok(());
            }
            // Scripts that say nothing may run; what they call is asked for itself.
            is_judged_inside = entry.is_script && permits.is_none();
            self.exceeded_by(&quotas, entry, session.db, request, &mut found);
        }
        if found.is_empty() {
            return Ok(());
        }
        *held = None;
        self.exec.count_lookups();
        let reader = session.client.id;
        let reader = self.shared.tracking.has(reader).then_some(reader);
        for number in found {
            if !self.make_room_within(&quotas, number, reader) && !is_judged_inside {
                return Err(refusal(&quotas.all()[number]));
            }
        }
        Ok(())
    }

    fn exceeded_by(
        &self,
        quotas: &Quotas,
        entry: &Entry,
        db: usize,
        request: &Request<'_>,
        found: &mut Vec<usize>,
    ) {
        let keys: Vec<Vec<u8>> =
            request.keys.iter().map(|key| request.arg(key.arg as usize).to_vec()).collect();
        let words =
            |index: usize| request.spans.get(index).map(|span: &Span| span.slice(request.buf).to_vec());
        exceeded(quotas, entry, db, self.exec.limits.databases, &words, &keys, found);
    }

    /// The same for all commands of a transaction, each in its database.
    fn exceeded_by_queue(&self, quotas: &Quotas, session: &Session, found: &mut Vec<usize>) {
        let mut db = session.db;
        for stored in session.transaction.iter().flat_map(|transaction| &transaction.queued) {
            let mut keys = Vec::new();
            let request = Request::of_stored(self.eternal, stored, &mut keys);
            let Lookup::Found(entry) = request.lookup else { continue };
            if entry.name == "select" && request.spans.len() == 2 {
                let index = parse_i64(request.arg(1)).and_then(|index| usize::try_from(index).ok());
                db = index.filter(|index| *index < self.exec.limits.databases).unwrap_or(db);
            } else if may_grow(entry) {
                self.exceeded_by(quotas, entry, db, &request, found);
            }
        }
    }

    /// Why a script may not call a command, if quotas are the reason. Nothing is evicted in the middle of a script.
    #[cold]
    pub(crate) fn quota_refusal(
        &self,
        entry: &'static Entry,
        buf: &[u8],
        spans: &[Span],
        db: usize,
    ) -> Option<Error> {
        if !may_grow(entry) || self.replayed.is_some() {
            return None;
        }
        let mut keys = Vec::new();
        let route: Route = super::route_request(self.eternal, entry, buf, spans, &mut keys);
        let request = Request { buf, spans, keys: &keys, lookup: Lookup::Found(entry), route };
        let quotas = self.shared.native.quotas.read();
        let mut found = Vec::new();
        self.exceeded_by(&quotas, entry, db, &request, &mut found);
        // Whether more may go was seen to before the script began.
        found.into_iter().map(|number| &quotas.all()[number]).find(|quota| is_used_up(quota)).map(refusal)
    }

    /// Evicts keys of a quota until it is kept. True when commands may add to it. Call it with no shard held.
    fn make_room_within(&mut self, quotas: &Arc<Quotas>, number: usize, reader: Option<u64>) -> bool {
        let quota = &quotas.all()[number];
        let Some((order, volatile)) = quota.policy.order else { return false };
        let now_ms = self.exec.now_ms;
        if self.shared.pause.kind(now_ms) != PauseKind::None || self.shared.scripts.busy.is_busy() {
            // Nothing is to change now; whoever may run all the same is not held up.
            return true;
        }
        if quota.tally.is_barren(now_ms) {
            return !is_used_up(quota);
        }
        let hot = self.eternal.config.hot();
        let rules = Eviction {
            order,
            volatile,
            durable: hot.evict_durable.get(),
            access: dataset::access_at(hot, now_ms),
            samples: 1,
        };
        let lazily = hot.lazyfree_lazy_eviction.get();
        let started = self.stopwatch.ticks();
        let patience = room::patience_nanos(hot.maxmemory_eviction_tenacity.get()).min(PATIENCE_MAX_NANOS);
        let actor = std::mem::replace(&mut self.exec.actor, NOBODY);
        let shards = self.shared.shards.len();
        let (mut empty, mut visits, mut evicted_keys) = (0, 0, 0);
        while quota.is_exceeded() && empty <= shards {
            let evicted = self.evict_counted_from_next(quota, number, &rules, lazily, reader);
            empty = if evicted.is_empty { empty + 1 } else { 0 };
            evicted_keys += evicted.keys;
            quota.tally.note_evicted(evicted.keys);
            visits += 1;
            if evicted_keys == 0 && visits < SEARCHED_MAX {
                continue;
            }
            if self.stopwatch.nanos(started, self.stopwatch.ticks()) > patience {
                break;
            }
        }
        self.exec.actor = actor;
        if evicted_keys == 0 && quota.is_exceeded() {
            let nanos = self.stopwatch.nanos(started, self.stopwatch.ticks());
            quota.tally.note_barren(now_ms + (BARREN_TIMES * nanos / 1_000_000) as i64 + 1);
        }
        !is_used_up(quota)
    }

    fn evict_counted_from_next(
        &mut self,
        quota: &Quota,
        number: usize,
        rules: &Eviction,
        lazily: bool,
        reader: Option<u64>,
    ) -> Evicted {
        let shared = self.eternal;
        let shard = self.next_shard(shared.shards.len() as u16);
        let evicted = if self.exec.stream_shard().is_some() {
            let mut hold = shared.shards.hold(self.with_stream(shard));
            self.evict_counted_held(&mut Grip::Many(&mut hold), shard, quota, number, rules, lazily, reader)
        } else {
            let mut hold = shared.shards.hold_one(shard);
            self.evict_counted_held(&mut Grip::One(&mut hold), shard, quota, number, rules, lazily, reader)
        };
        self.serve_postponed();
        self.exec.free_garbage();
        evicted
    }

    #[expect(clippy::too_many_arguments, reason = "what one round of eviction shares")]
    fn evict_counted_held(
        &mut self,
        grip: &mut Grip<'_, '_>,
        shard: u16,
        quota: &Quota,
        number: usize,
        rules: &Eviction,
        lazily: bool,
        reader: Option<u64>,
    ) -> Evicted {
        let evicted = self.exec.evict_counted(grip, shard, (number, &quota.tally), rules, lazily, reader);
        if self.exec.needs_attention {
            self.serve_ready(grip);
        }
        evicted
    }

    /// Counts on for quotas that are new, a little of each of this thread's shards, and evicts where a limit was lowered. True
    /// when there is more to count.
    pub fn tend_quotas(&mut self) -> bool {
        let shared = self.eternal;
        let quotas = shared.native.quotas.read();
        let mut more = false;
        if quotas.all().iter().any(|quota| quota.tally.is_counting()) {
            for shard in (self.index..shared.shards.len()).step_by(shared.identity.threads) {
                if let Some(mut hold) = shared.shards.try_hold_one(shard as u16) {
                    more |= hold.data_mut().databases.count_step(COUNTED_SEGMENTS);
                } else {
                    more = true;
                }
            }
        }
        if self.index == 0 {
            for (number, quota) in quotas.all().iter().enumerate() {
                if quota.is_exceeded() && quota.policy.order.is_some() {
                    self.begin_turn();
                    self.make_room_within(&quotas, number, None);
                }
            }
            self.finish_news();
            self.finish_journal(None);
        }
        more
    }
}

/// More is in use than commands may find.
fn is_used_up(quota: &Quota) -> bool {
    let excess = if quota.policy.order.is_some() { quota.limit / EXCESS_SHARE } else { 0 };
    quota.tally.bytes() > quota.limit.saturating_add(excess)
}
