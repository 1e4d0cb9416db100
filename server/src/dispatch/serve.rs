//! Requests that wait: how they begin to, how they are served, how they end.
//!
//! Whoever touches a key that is waited for serves its requests, after its whole execution unit and before its shards are
//! released: it runs their commands, first come first served, and sends the replies to the threads of the connections.
//! Where such a command needs a shard that is not held, its key is served after the release, under a hold of all that
//! is needed, but before the next command of the one who touched it.

use super::{Lookup, Request, Worker, route};
use crate::control::Flow;
use crate::registry::{Body, Entry};
use crate::running;
use crate::session::{Answer, Claim, Client, Ending, Parked, ReplyMode, Session, Then};
use crate::shard::block::{AFTER_WATCHERS, Kind, NEVER_MS, Place, Visit, WaitedKey, Waiter};
use crate::shard::exec::{Call, Grip};
use crate::shard::news::NOBODY;
use crate::shared::{Awaited, PauseKind, add};
use hashbrown::HashSet;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tidegate_commands::families::queue::Caller;
use tidegate_commands::model::{Args, Error, Line, Protocol, Reply, StoredRequest, Wait};
use tidegate_data::Touched;

/// A key whose waiting requests need more shards than those that were held.
#[derive(Debug)]
pub(super) struct Postponed {
    key: Touched,
    shards: SmallVec<[u16; 16]>,
}

impl Worker {
    /// A unit touched keys that are waited for, or its command is to wait itself. All its shards are still held.
    #[cold]
    pub(super) fn attend(
        &mut self,
        grip: &mut Grip<'_, '_>,
        session: &Session,
        request: &Request<'_>,
        entry: &'static Entry,
        started: &mut u64,
    ) -> Option<Parked> {
        let wait = self.exec.take_wait();
        let parked = wait.map(|wait| self.begin_to_wait(grip, session, request, entry, *wait, *started));
        let before = self.stopwatch.ticks();
        self.serve_ready(grip);
        // The time of others is not that of the command.
        *started += self.stopwatch.ticks() - before;
        parked
    }

    /// Registers a request for the keys it waits for.
    fn begin_to_wait(
        &mut self,
        grip: &mut Grip<'_, '_>,
        session: &Session,
        request: &Request<'_>,
        entry: &'static Entry,
        mut wait: Wait,
        started: u64,
    ) -> Parked {
        let mut named = HashSet::with_capacity(wait.keys.len());
        wait.keys.retain(|awaited| named.insert(awaited.key.clone()));
        let nanos = self.stopwatch.nanos(started, self.stopwatch.ticks());
        let keys = wait.keys.iter().map(|awaited| WaitedKey::new(awaited.key.clone(), awaited.shard));
        let ticket = self.shared.clients.next_ticket();
        let waiter = Arc::new(Waiter {
            client: Arc::clone(&session.client),
            wait: session.client.begin_wait(),
            ticket: if wait.line == Line::Watches { ticket } else { ticket | AFTER_WATCHERS },
            line: wait.line,
            until_ms: wait.deadline_ms.unwrap_or(NEVER_MS),
            at_end: wait.at_end.take().map(|command| self.kind_of(entry, command)),
            user: session.user.clone().map(|user| (user, session.users_seen)),
            db: session.db as u16,
            protocol: session.protocol,
            no_touch: session.no_touch,
            is_silent: session.reply_mode.is_silent(),
            remembers: Self::remembers(session, entry),
            entry,
            request: request.to_stored(),
            nanos: AtomicU64::new(nanos),
            keys: keys.collect(),
            call: wait.call.take(),
        });
        if let Some(call) = &waiter.call {
            call.wait(Box::new(Answered {
                client: Arc::clone(&waiter.client),
                wait: waiter.wait,
                protocol: waiter.protocol,
                is_silent: waiter.is_silent,
            }));
        }
        for (index, awaited) in wait.keys.into_iter().enumerate() {
            let kind = self.kind_of(entry, awaited.command);
            let data = grip.shard_mut(awaited.shard);
            let data = data.expect("a command waits only for keys whose shards are held for it");
            data.awaited.add(&waiter, index, kind, awaited.retry_at_ms);
            if let Some(timer_ms) = awaited.timer_ms {
                data.awaited.add_timer(waiter.db, &awaited.key, timer_ms);
                self.shared.native.timers.set(awaited.shard, data.awaited.next_timer_ms());
            }
        }
        Parked::for_keys(wait.deadline_ms, waiter)
    }

    /// A command of a request that waits, and where its keys are.
    fn kind_of(&self, entry: &'static Entry, command: StoredRequest) -> Kind {
        let mut keys = Vec::new();
        route::route(&self.shared, entry, &command.bytes, &command.args, &mut keys);
        Kind::new(command, entry, keys)
    }

    /// Serves the requests that wait for what was touched, and for what serving them touches.
    pub(crate) fn serve_ready(&mut self, grip: &mut Grip<'_, '_>) {
        while let Some(key) = self.exec.next_ready() {
            let served = self.serve_key(grip, &key);
            if let Some(data) = grip.shard_mut(key.shard) {
                data.awaited.forget_touched(key.db, &key.key);
            }
            if let Err(shards) = served {
                self.postponed.push(Postponed { key, shards });
            }
        }
    }

    /// Serves what needed more shards than were held. Call it with no shard held.
    #[cold]
    pub(crate) fn serve_postponed(&mut self) {
        let shared = self.eternal;
        self.push_published();
        while !self.postponed.is_empty() {
            for postponed in std::mem::take(&mut self.postponed) {
                let mut shards = postponed.shards;
                shards.extend(self.exec.stream_shard());
                let mut hold = shared.shards.hold(shards);
                let mut grip = Grip::Many(&mut hold);
                self.exec.touch_awaited(&mut grip, &[postponed.key]);
                self.serve_ready(&mut grip);
            }
        }
    }

    /// Serves the requests that wait for one key. `Err` with the shards it needs when these are not held.
    fn serve_key(&mut self, grip: &mut Grip<'_, '_>, key: &Touched) -> Result<(), SmallVec<[u16; 16]>> {
        let mut visit = Visit::new(self.shared.clients.next_ticket());
        loop {
            let Some(data) = grip.shard_mut(key.shard) else { return Ok(()) };
            let Some(place) = data.awaited.next(key.db, &key.key, &visit) else {
                data.awaited.end_visit(key.db, &key.key, &visit);
                self.shared.native.timers.set(key.shard, data.awaited.next_timer_ms());
                return Ok(());
            };
            if place.kind.keys.iter().any(|key| !grip.has(key.shard)) {
                let data = grip.shard_mut(key.shard);
                let others = data.into_iter().flat_map(|data| data.awaited.shards(key.db, &key.key));
                return Err(others.chain([key.shard]).collect());
            }
            // Who has ended its wait takes itself out of the queue in a moment.
            let Some(claim) = place.waiter.client.waiting.claim(place.waiter.wait) else {
                visit.passed(&place);
                continue;
            };
            if let Some(wait) = self.serve(grip, &place, claim) {
                let awaited = wait.keys.iter().find(|awaited| awaited.key == key.key);
                // Not now again, or there would be no end.
                let later = |at_ms: i64, now_ms: i64| at_ms.max(now_ms.saturating_add(1));
                let retry_at_ms = awaited.and_then(|awaited| awaited.retry_at_ms);
                let retry_at_ms = retry_at_ms.map(|at_ms| later(at_ms, self.exec.now_ms));
                let timer_ms = awaited.and_then(|awaited| awaited.timer_ms);
                let timer_ms = timer_ms.map(|at_ms| later(at_ms, self.exec.native.now_ms()));
                visit.waits_on(&place, wait.line, timer_ms);
                if visit.unhelped(&place, retry_at_ms) {
                    place.waiter.client.waker.wake();
                }
            } else {
                visit.passed(&place);
                if let Some(data) = grip.shard_mut(key.shard) {
                    data.awaited.remove(&place.waiter, place.key);
                }
            }
        }
    }

    /// Runs the command of a request that waits and sends the reply. What it waits for if it waits on.
    fn serve(&mut self, grip: &mut Grip<'_, '_>, place: &Place, claim: Claim<'_>) -> Option<Box<Wait>> {
        let (waiter, kind) = (&*place.waiter, &*place.kind);
        let Body::Data(handler) = kind.entry.body else {
            unreachable!("only a command of the keyspace waits for keys");
        };
        let started = self.stopwatch.ticks();
        let mut call = Call {
            handler,
            args: Args::new(&kind.request.bytes, &kind.request.args, &kind.keys, kind.entry.words),
            db: waiter.db.into(),
            access: self.access_of(waiter.no_touch),
            is_retry: true,
        };
        let denied = self.lost_right(waiter);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, waiter.protocol);
        let exec = &mut self.exec;
        running::begin_inner(kind.entry);
        let (actor, own) = (exec.actor, std::mem::take(&mut exec.news.own));
        exec.actor = waiter.client.id;
        let error = match denied {
            Some(denied) => {
                reply.error(&denied);
                Some(denied)
            }
            None => exec.run(grip, &mut call, &mut reply).err(),
        };
        running::end_inner();
        exec.finish_unit(grip);
        let need = exec.need();
        exec.actor = actor;
        let theirs = std::mem::replace(&mut exec.news.own, own);
        if let Some(wait) = exec.take_wait() {
            if !theirs.is_empty() {
                self.tell_self(&waiter.client, theirs, &mut out);
                waiter.client.send(&out);
            }
            return Some(wait);
        }
        if waiter.remembers {
            let stored = &kind.request;
            let word = |arg: usize| stored.args[arg].slice(&stored.bytes);
            self.exec.remember(grip, &kind.keys, &word, waiter.client.id);
        }
        // The reply may be sent at once, and tells of what was changed to get it.
        if self.exec.news.is_waiting() {
            self.tell_others();
        }
        if waiter.is_silent {
            out.clear();
        }
        self.tell_self(&waiter.client, theirs, &mut out);
        waiter.client.send_after(need);
        waiter.client.mailbox.put(&out);
        let nanos = self.stopwatch.nanos(started, self.stopwatch.ticks());
        self.count_served(waiter, nanos, error.is_some());
        if let Some(error) = &error {
            self.count_error_text(&error.message());
        }
        self.look_closer_at_served(waiter, nanos / 1000, error.as_ref(), out.len());
        claim.end(Ending::Served);
        waiter.client.waker.wake();
        None
    }

    /// Counts a request that has waited: its call was counted when it began to, the time it waited never is.
    fn count_served(&mut self, waiter: &Waiter, nanos: u64, failed: bool) {
        let stats = &self.stats.commands[waiter.entry.id];
        add(&stats.nanos, nanos);
        add(&stats.failed, u64::from(failed));
        let total = waiter.nanos.load(Relaxed) + nanos;
        if self.turn.timed {
            stats.histogram.get_or_init(Default::default).record(total, 1);
        }
        if total >= self.turn.slow_nanos {
            let words: Vec<&[u8]> = waiter.request.words().collect();
            self.log_slow_words(&waiter.client, waiter.entry, &words, (total / 1000) as i64);
        }
        if nanos >= self.turn.spike_nanos {
            self.shared.latency.add(
                "command-unblocking",
                (nanos / 1_000_000) as i64,
                self.exec.now_ms / 1000,
            );
        }
    }

    /// Much was removed. Who wants to wait until it is freed does so without holding up this thread.
    #[cold]
    pub(super) fn free_heavy(
        &mut self,
        session: &Session,
        lookup: Lookup,
        flow: &mut Flow,
        mark: usize,
        out: &mut Vec<u8>,
    ) {
        match (lookup, &*flow) {
            (Lookup::Found(entry), Flow::Done) if self.exec.is_awaited() => {
                let client = Arc::clone(&session.client);
                let reply = out.split_off(mark);
                client.is_needed.store(true, Relaxed);
                let wait = client.begin_wait();
                self.exec.free_for(Awaited { client, wait, reply });
                *flow = Flow::Park(Parked::for_background(entry));
            }
            _ => self.exec.free_garbage(),
        }
    }

    /// The connection waits from now on.
    pub(super) fn begin_wait(session: &mut Session, parked: Parked) {
        let client = &session.client;
        let size = match &parked.then {
            Then::Retry(stored) => {
                client.paused.store(true, Relaxed);
                stored.size()
            }
            Then::Answer(_) | Then::Synced(_) => {
                client.begin_wait();
                0
            }
            Then::Keys(waiter) => waiter.size(),
            Then::Freed(_) => 0,
            Then::Moved(moving) => {
                client.paused.store(true, Relaxed);
                moving.size()
            }
            // It has its reply and does not count as waiting.
            Then::Behind(_) => {
                session.parked = Some(parked);
                return;
            }
        };
        client.parked_args.store(size, Relaxed);
        client.waits_limited.store(parked.until_ms != i64::MAX, Relaxed);
        session.parked = Some(parked);
    }

    /// Goes on with a parked request, or closes its connection. `None` while it has to wait longer.
    pub fn resume(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Option<super::Progress> {
        self.begin_turn();
        self.exec.actor = session.client.id;
        running::serve(session.client.id);
        let progress = self.go_on(session, out);
        running::rest();
        self.finish_news();
        self.finish_journal(Some(&session.client));
        progress
    }

    fn go_on(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Option<super::Progress> {
        let parked = session.parked.as_mut()?;
        if let Then::Behind(client) = &parked.then {
            let is_over = self.exec.now_ms >= parked.until_ms || client.mailbox.is_empty();
            return is_over.then(|| {
                session.parked = None;
                super::Progress::NeedInput(1)
            });
        }
        if let Then::Moved(_) = parked.then {
            return self.go_on_moving(session, out);
        }
        if let Then::Synced(sync) = &parked.then {
            let is_synced = self.shared.aof.as_ref().is_some_and(|aof| aof.log().synced() >= sync.lsn);
            if is_synced {
                let mut answer = Vec::new();
                crate::control::write_synced(&mut Reply::new(&mut answer, session.protocol), true);
                parked.until_ms = self.exec.now_ms;
                parked.then = Then::Answer(Answer { reply: answer, entry: sync.entry });
            } else {
                parked.look_again(self.exec.now_ms);
            }
        }
        if let Then::Retry(_) = parked.then {
            if self.shared.pause.kind(self.exec.now_ms) != PauseKind::None {
                parked.until_ms = self.shared.pause.until_ms();
                return None;
            }
            let Then::Retry(stored) = self.end_wait(session)?.then else { return None };
            return self.retry(session, &stored, out);
        }
        self.look_again(session);
        let ending = self.ending(session);
        if ending == Ending::None {
            return None;
        }
        let parked = self.end_wait(session)?;
        let mark = out.len();
        match ending {
            Ending::None | Ending::Closed => {}
            // Everything else that was sent meanwhile comes with it.
            Ending::Served => {
                let mut sent = Vec::new();
                session.client.mailbox.take_into(&mut sent);
                out.extend_from_slice(&sent);
            }
            Ending::TimedOut => match &parked.then {
                Then::Keys(waiter) if waiter.at_end.is_some() => self.answer_at_end(waiter, out),
                Then::Keys(waiter) if let Some(call) = &waiter.call => {
                    call.write(&mut Reply::new(out, session.protocol));
                }
                _ => parked.write_timed_out(&mut Reply::new(out, session.protocol)),
            },
            Ending::Failed => {
                let error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
                self.count_error("UNBLOCKED");
                Reply::new(out, session.protocol).error(&error);
            }
        }
        if parked.is_silent && ending != Ending::Served {
            out.truncate(mark);
        }
        Some(super::Progress::NeedInput(1))
    }

    /// Serves keys that are to be looked at now, though nobody may have touched them.
    fn look_again(&mut self, session: &Session) {
        let Some(Parked { then: Then::Keys(waiter), .. }) = &session.parked else { return };
        let now_ms = self.exec.now_ms;
        if waiter.retry_at_ms() > now_ms || self.shared.pause.kind(now_ms) != PauseKind::None {
            return;
        }
        let shared = self.eternal;
        for key in waiter.keys.iter().filter(|key| key.retry_at_ms.load(Relaxed) <= now_ms) {
            let mut hold = shared.shards.hold(self.with_stream(key.shard));
            let mut grip = Grip::Many(&mut hold);
            let touched = Touched { db: waiter.db, shard: key.shard, key: key.name.clone() };
            self.exec.touch_awaited(&mut grip, &[touched]);
            self.serve_ready(&mut grip);
            drop(hold);
            self.serve_postponed();
        }
        self.exec.free_garbage();
    }

    /// How the wait of this connection ended; time may have run out just now.
    fn ending(&mut self, session: &Session) -> Ending {
        let waiting = &session.client.waiting;
        let Some(parked) = &session.parked else { return Ending::None };
        let ending = waiting.ending();
        if ending == Ending::None {
            if self.exec.now_ms < parked.until_ms {
                return Ending::None;
            }
            // Or somebody serves it at this very moment.
            let Some(claim) = waiting.claim_present() else { return waiting.ending() };
            claim.end(Ending::TimedOut);
            return Ending::TimedOut;
        }
        if matches!(ending, Ending::TimedOut | Ending::Failed) {
            // CLIENT UNBLOCK counts as a failure, whichever way it was asked for.
            match &parked.then {
                Then::Keys(waiter) => self.count_served(waiter, 0, true),
                Then::Answer(Answer { entry, .. })
                | Then::Synced(crate::session::Sync { entry, .. })
                | Then::Freed(entry) => {
                    add(&self.stats.commands[entry.id].failed, 1);
                }
                Then::Retry(_) | Then::Moved(_) | Then::Behind(_) => {}
            }
        }
        ending
    }

    /// The connection waits no longer, for whatever reason: nothing in the keyspace remembers it from now on.
    pub fn end_wait(&mut self, session: &mut Session) -> Option<Parked> {
        let parked = session.parked.take()?;
        let client = &session.client;
        client.paused.store(false, Relaxed);
        client.is_needed.store(false, Relaxed);
        client.parked_args.store(0, Relaxed);
        if let Some(claim) = client.waiting.claim_present() {
            claim.end(Ending::Closed);
        }
        if let Then::Keys(waiter) = &parked.then {
            let waiter = Arc::clone(waiter);
            self.leave_queues(&waiter);
        }
        client.waiting.end();
        if let Parked { then: Then::Moved(moving), .. } = parked {
            self.orphans.push(*moving);
            return None;
        }
        Some(parked)
    }

    /// When a waiting connection has to be looked at, Unix milliseconds.
    pub fn wakes_at_ms(&self, parked: &Parked) -> i64 {
        let waiter = match &parked.then {
            Then::Keys(waiter) => waiter,
            Then::Behind(_) => return self.exec.now_ms + 1,
            _ => return parked.until_ms,
        };
        let mut retry_at_ms = waiter.retry_at_ms();
        if retry_at_ms != NEVER_MS && self.shared.pause.kind(self.exec.now_ms) != PauseKind::None {
            retry_at_ms = retry_at_ms.max(self.shared.pause.until_ms() + 1);
        }
        retry_at_ms.min(parked.until_ms)
    }

    /// Deletes keys of one shard whose time has come, at most `budget` of them, and serves whoever waited for these.
    /// Returns true when more are due, or the shard was not free.
    pub fn sweep_shard(&mut self, shard: u16, budget: usize) -> bool {
        let shared = self.eternal;
        self.exec.actor = NOBODY;
        let more = if self.exec.stream_shard().is_some() {
            let mut hold = shared.shards.hold(self.with_stream(shard));
            self.sweep_held(&mut Grip::Many(&mut hold), shard, budget)
        } else {
            let Some(mut hold) = shared.shards.try_hold_one(shard) else { return true };
            self.sweep_held(&mut Grip::One(&mut hold), shard, budget)
        };
        self.serve_postponed();
        self.exec.free_garbage();
        self.finish_news();
        self.finish_journal(None);
        more
    }

    fn sweep_held(&mut self, grip: &mut Grip<'_, '_>, shard: u16, budget: usize) -> bool {
        let more = self.exec.sweep(grip, shard, budget);
        if self.exec.needs_attention {
            self.serve_ready(grip);
        }
        more
    }

    /// A shard, and the one where events are recorded.
    pub(super) fn with_stream(&self, shard: u16) -> SmallVec<[u16; 16]> {
        self.exec.stream_shard().into_iter().chain([shard]).collect()
    }
}

/// A connection that is answered by a worker of a queue.
#[derive(Debug)]
struct Answered {
    client: Arc<Client>,
    wait: u64,
    protocol: Protocol,
    is_silent: bool,
}

impl Caller for Answered {
    fn answer(&self, write: &dyn Fn(&mut Reply)) {
        // Its time is up, or it is gone.
        let Some(claim) = self.client.waiting.claim(self.wait) else { return };
        if !self.is_silent {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, self.protocol));
            self.client.mailbox.put(&out);
        }
        claim.end(Ending::Served);
        self.client.waker.wake();
    }
}

impl ReplyMode {
    /// True when the present command is not answered.
    pub(crate) fn is_silent(self) -> bool {
        matches!(self, ReplyMode::Off | ReplyMode::Skip)
    }
}
