//! Transactions: queueing, and running the queue under one hold as one unit.

use super::{Lookup, Request, Worker, rights, route};
use crate::control::Flow;
use crate::registry::{Body, Entry};
use crate::running;
use crate::session::{Session, StoredRequest, Transaction, WATCHED_SIZE};
use crate::shard::exec::{Call, Grip};
use crate::shard::{Hold, Roam};
use crate::shared::Shared;
use route::Route;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Args, Error, Reply, RoutedKey, parse_i64};

/// A queued command, looked up and routed again.
struct Step<'q> {
    request: Request<'q>,
    entry: &'static Entry,
}

/// Queues a command of a transaction.
#[cold]
pub(super) fn queue(session: &mut Session, request: &Request<'_>, out: &mut Vec<u8>) {
    let Some(transaction) = &mut session.transaction else { return };
    // A transaction that will be refused anyway need not remember anything.
    if !transaction.broken && !session.watch_flag.is_raised() {
        let stored = StoredRequest::copy_of(request.buf, request.spans);
        session.client.multi_memory.fetch_add(stored.size(), Relaxed);
        transaction.queued.push(stored);
        session.client.multi.store(transaction.queued.len() as i64, Relaxed);
    }
    Reply::new(out, session.protocol).simple("QUEUED");
}

impl Worker {
    /// `EXEC` was refused before it ran: the transaction is over.
    #[cold]
    pub(super) fn abort_exec(&mut self, session: &mut Session, error: &Error, out: &mut Vec<u8>) {
        self.discard(session);
        let message = error.message();
        let mut full = b"EXECABORT Transaction discarded because of: ".to_vec();
        full.extend_from_slice(message.strip_prefix(b"ERR ").unwrap_or(&message));
        self.count_error("EXECABORT");
        Reply::new(out, session.protocol).error(&Error::text(full));
    }

    /// Ends the transaction and forgets the watched keys.
    pub fn discard(&mut self, session: &mut Session) {
        session.transaction = None;
        session.client.was_refused.store(false, Relaxed);
        session.client.multi.store(-1, Relaxed);
        session.client.multi_memory.store(0, Relaxed);
        self.unwatch(session);
    }

    /// Forgets the watched keys.
    pub fn unwatch(&mut self, session: &mut Session) {
        if session.watched.is_empty() {
            return;
        }
        for watched in std::mem::take(&mut session.watched) {
            session.client.let_go(WATCHED_SIZE + watched.key.len());
            let mut hold = self.shared.shards.hold_one(watched.shard);
            hold.data_mut().watched.remove(watched.db, &watched.key, &session.watch_flag);
        }
        session.watch_flag = Arc::default();
        session.client.set_watch_flag(None);
        session.client.watch.store(0, Relaxed);
    }

    /// Runs the queued commands atomically and writes their replies as one array.
    pub fn exec(&mut self, session: &mut Session, reply: &mut Reply<'_>) -> Result<Flow, Error> {
        let Some(transaction) = session.transaction.take() else {
            return Err(Error::new("ERR EXEC without MULTI"));
        };
        session.client.multi.store(-1, Relaxed);
        session.client.multi_memory.store(0, Relaxed);
        if transaction.broken || session.client.was_refused.swap(false, Relaxed) {
            self.unwatch(session);
            return Err(Error::new("EXECABORT Transaction discarded because of previous errors."));
        }
        let shared = Arc::clone(&self.shared);
        let flow = self.exec_held(&shared, session, &transaction, reply);
        self.serve_postponed();
        self.unwatch(session);
        self.exec.free_garbage();
        flow
    }

    fn exec_held(
        &mut self,
        shared: &Arc<Shared>,
        session: &mut Session,
        transaction: &Transaction,
        reply: &mut Reply<'_>,
    ) -> Result<Flow, Error> {
        let mut keys: Vec<Vec<RoutedKey>> = transaction.queued.iter().map(|_| Vec::new()).collect();
        let steps: Vec<Step<'_>> = transaction
            .queued
            .iter()
            .zip(&mut keys)
            .filter_map(|(stored, keys)| {
                let request = Request::of_stored(shared, stored, keys);
                // What was queued was found and stays found: commands are never unloaded.
                let Lookup::Found(entry) = request.lookup else { return None };
                Some(Step { request, entry })
            })
            .collect();
        // Libraries belong to no shard: others change them when the unit of this one is journaled.
        let in_order =
            steps.iter().any(|step| step.entry.changes_libraries()).then(|| shared.libraries.in_order());
        // A script may want more shards in the middle: the right to take them comes before the first shard.
        let roam = steps.iter().any(|step| step.entry.is_script).then(|| shared.shards.roam());
        // What is published goes to queues that may be anywhere, as part of the same unit.
        let publishes = |step: &Step<'_>| !shared.native.bindings.is_empty() && step.entry.name == "publish";
        let whole = steps.iter().any(|step| step.request.route == Route::All || publishes(step));
        let mut hold = if whole {
            shared.shards.hold_all()
        } else {
            let queued = steps.iter().flat_map(|step| step.request.keys).map(|key| key.shard);
            let watched = session.watched.iter().map(|watched| watched.shard);
            let recorded = self.exec.stream_shard();
            shared.shards.hold(queued.chain(watched).chain(recorded).collect::<SmallVec<[u16; 16]>>())
        };
        if session.watch_flag.is_raised() || self.watched_key_expired(session, &mut hold) {
            reply.null_array();
            return Ok(Flow::Done);
        }
        if steps.iter().any(|step| step.entry.is_guard) {
            self.check_guards(session, &steps, &mut hold)?;
        }
        let start = reply.mark();
        reply.array(steps.len());
        let mut flow = Flow::Done;
        self.exec.is_amidst = true;
        for step in &steps {
            match self.exec_step(session, step, &mut hold, roam.as_ref(), reply) {
                Flow::Close => flow = Flow::Close,
                Flow::Done | Flow::Park(_) => {}
            }
            // Freeing under the hold is slow for others, keeping everything until its end can be fatal for all.
            if self.exec.is_heavy() {
                self.exec.free_garbage();
            }
        }
        self.exec.is_amidst = false;
        self.exec.finish_unit(&mut Grip::Many(&mut hold));
        drop(in_order);
        if !session.before_exec.is_empty() {
            let sent = std::mem::take(&mut session.before_exec);
            reply.before(start, |reply| reply.raw(&sent));
        }
        // Whoever waited sees the whole transaction, never the middle of it.
        if self.exec.needs_attention {
            self.serve_ready(&mut Grip::Many(&mut hold));
        }
        Ok(flow)
    }

    /// Looks at all guards of a transaction, each in the database it names its key in.
    ///
    /// # Errors
    /// One of them does not hold: nothing is to run.
    fn check_guards(
        &mut self,
        session: &mut Session,
        steps: &[Step<'_>],
        hold: &mut Hold<'_>,
    ) -> Result<(), Error> {
        let mut db = session.db;
        let mut result = Ok(());
        let mut grip = Grip::Many(hold);
        for Step { request, entry } in steps {
            let args = Args::new(request.buf, request.spans, request.keys, entry.words);
            match entry.body {
                Body::Data(handler) if entry.is_guard => {
                    self.follow_users(session);
                    let denied =
                        if session.is_limited { self.denied_in_exec(session, request, entry) } else { None };
                    if let Some(error) = denied {
                        result = Err(error);
                        break;
                    }
                    let access = self.access(session);
                    let mut call = Call { handler, args, db, access, is_retry: false };
                    let mut ignored = Vec::new();
                    result =
                        self.exec.run(&mut grip, &mut call, &mut Reply::new(&mut ignored, session.protocol));
                }
                // What follows is about another database, if there is such a one: if not, it fails, and nothing changes.
                Body::Control(_) if entry.name == "select" && args.len() == 2 => {
                    let index = parse_i64(args.get(1)).and_then(|index| usize::try_from(index).ok());
                    db = index.filter(|index| *index < self.exec.limits.databases).unwrap_or(db);
                }
                _ => {}
            }
            if result.is_err() {
                break;
            }
        }
        // Looking may have deleted what had expired.
        self.exec.finish_unit(&mut grip);
        if self.exec.needs_attention {
            self.serve_ready(&mut grip);
        }
        result
    }

    fn exec_step<'s>(
        &mut self,
        session: &mut Session,
        step: &Step<'_>,
        hold: &mut Hold<'s>,
        roam: Option<&Roam<'s>>,
        reply: &mut Reply<'_>,
    ) -> Flow {
        let Step { request, entry } = step;
        // A command of this very transaction may have changed what its user may do.
        self.follow_users(session);
        if session.is_limited {
            if let Some(error) = self.denied_in_exec(session, request, entry) {
                reply.set_protocol(session.protocol);
                reply.error(&error);
                return Flow::Done;
            }
            self.exec.limits.reads_all_keys = rights::reads_all_keys(session, request, entry);
        }
        let mut started = self.stopwatch.ticks();
        let mark = reply.mark();
        let args = Args::new(request.buf, request.spans, request.keys, entry.words);
        reply.set_protocol(session.protocol);
        running::begin_inner(entry);
        let (flow, error) = match entry.body {
            // It held before the transaction began.
            Body::Data(_) if entry.is_guard => {
                reply.ok();
                (Flow::Done, None)
            }
            Body::Data(handler) => {
                let access = self.access(session);
                let mut call = Call { handler, args, db: session.db, access, is_retry: false };
                let mut grip = if request.route == Route::None { Grip::None } else { Grip::Many(hold) };
                let error = self.exec.run(&mut grip, &mut call, reply).err();
                if Self::remembers(session, entry) {
                    self.remember(&mut grip, request, session.client.id);
                }
                if let Some(wait) = self.exec.take_wait() {
                    wait.refused.write(reply);
                }
                (Flow::Done, error)
            }
            Body::Control(control) => {
                if Self::remembers(session, entry) {
                    self.remember(&mut Grip::Many(hold), request, session.client.id);
                }
                let mut out = Vec::new();
                let result = self.control(session, control, entry, args, Some((hold, roam)), &mut out);
                reply.raw(&out);
                self.exec.read_events();
                match result {
                    // Nothing waits inside a transaction: what would, answers as if its time had run out.
                    Ok(Flow::Park(parked)) => {
                        parked.write_timed_out(reply);
                        (Flow::Done, None)
                    }
                    Ok(flow) => (flow, None),
                    Err(error) => (Flow::Done, Some(error)),
                }
            }
            Body::Container => (Flow::Done, None),
        };
        running::end_inner();
        if self.shared.clients.is_monitored() {
            self.feed_monitors(session, request, entry);
        }
        self.finished(
            session,
            request,
            entry,
            &mut started,
            error.as_ref(),
            reply.mark().saturating_sub(mark),
        );
        flow
    }

    /// A watched key that was there has reached its deadline in the meantime.
    fn watched_key_expired(&self, session: &Session, hold: &mut Hold<'_>) -> bool {
        let now_ms = self.exec.now_ms;
        session.watched.iter().filter(|watched| watched.existed).any(|watched| {
            let Some(data) = hold.shard_mut(watched.shard) else { return false };
            let table = data.databases.table(watched.db as usize);
            table
                .get(watched.hash, &watched.key)
                .is_none_or(|record| record.expiry_ms().is_some_and(|deadline| now_ms > deadline))
        })
    }
}
