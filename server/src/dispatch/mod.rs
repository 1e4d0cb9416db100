//! From bytes to replies: look up, gate, route, run.
//!
//! [`Worker::process`] does no I/O. It works in groups: decode every complete command (up to 32), look each
//! up, hash its key and prefetch the bucket, then the record; then execute in order. Memory latency is the enemy:
//! one command at a time costs 412 ns, a group 100 ns per command.

mod closer;
mod gate;
mod lookup;
mod moving;
mod plan;
mod postpone;
mod publish;
mod quota;
mod rights;
mod room;
mod route;
mod serve;
mod straight;
mod timing;
mod track;
mod transact;

pub(crate) use gate::LOADING;
pub use lookup::Lookup;
pub(crate) use moving::Begun;
pub use moving::Moving;
pub(crate) use rights::{may_read_all, may_while_busy};
pub(crate) use room::not_counted;
pub(crate) use route::{Route, route as route_request, routed};

use crate::clock::{self, Stopwatch};
use crate::config::choices::{AppendFsync, AuditLevel};
use crate::control::{ControlCtx, Flow};
use crate::registry::{Body, Entry};
use crate::running;
use crate::script::Engine;
use crate::session::{Client, Parked, ReplyMode, Session, StoredRequest};
use crate::shard::exec::{Call, Executor, Grip};
use crate::shard::{Hold, HoldOne, Roam};
use crate::shared::{PauseKind, Shared, ThreadStats, add};
use plan::Decoded;
pub use plan::Group;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use straight::Tally;
use tidegate_commands::model::{Args, Encodings, Error, Flag, Limits, Protocol, Reply, RoutedKey, Span};
use tidegate_data::Access;

/// After a script that took longer, a new turn begins.
const TURN_NANOS: u64 = 500_000;

/// What a connection has to do after a call of [`Worker::process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All complete commands ran; at least this many bytes are missing for the next.
    NeedInput(usize),
    /// Much output has gathered: send it, then call again with what is left of the input.
    Flush,
    /// A command waits; call [`Worker::resume`] when it may go on.
    Parked,
    /// Send what there is, then close.
    Close,
}

/// Settings that every command asks for.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// How accesses are remembered under the present policy; under LFU each needs a random number of its own.
    access: Access,
    /// `latency-tracking`
    timed: bool,
    /// A command that ran this long is logged.
    slow_nanos: u64,
    /// A command that ran this long is a latency spike.
    spike_nanos: u64,
    /// Requests of so many bytes are logged, and replies of so many.
    large: (usize, usize),
    /// `audit-log`
    audit: AuditLevel,
    /// `HOTKEYS`: somebody wants to know which keys are hot.
    follows_keys: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            access: Access::NONE,
            timed: false,
            slow_nanos: u64::MAX,
            spike_nanos: u64::MAX,
            large: (usize::MAX, usize::MAX),
            audit: AuditLevel::Off,
            follows_keys: false,
        }
    }
}

/// What was noticed while a journal was replayed.
#[derive(Debug, Default)]
struct Replayed {
    /// The first command that there is not.
    unknown: Option<Box<[u8]>>,
}

/// Everything a thread needs to execute commands.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked alone, on a path where a word of flags would cost"
)]
pub struct Worker {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// The same, without a count of references: bumping one shared count per request would make every core wait for
    /// the others. It is leaked; a worker lives as long as its process.
    pub(crate) eternal: &'static Shared,
    /// This thread's figures.
    pub stats: Arc<ThreadStats>,
    /// Runs handlers.
    pub exec: Executor,
    /// Index of this thread.
    pub index: usize,
    /// The quotas as they were seen last.
    quotas: quota::Seen,
    pub(crate) stopwatch: Stopwatch,
    /// Runs scripts; `None` while one runs.
    pub(crate) engine: Option<Box<Engine>>,
    /// Scratch memory of groups to come.
    spare_groups: Vec<Group>,
    /// Settings of this turn, read again after every command that may change them.
    turn: Turn,
    /// More memory is in use than `maxmemory` allows, and nothing is left that may go.
    pub(crate) out_of_memory: bool,
    /// Memory that may be used.
    room: room::Room,
    /// The data set cannot be saved, or the journal not be written, and nothing may be changed therefore; read once per turn.
    pub(crate) disk_trouble: bool,
    /// A snapshot is under way; read once per turn.
    snapshotting: bool,
    /// Another thread loads the data set; read once per turn.
    is_loading_elsewhere: bool,
    /// This worker runs what a journal says.
    replayed: Option<Replayed>,
    /// Requests that could not be served under the hold of whoever touched their keys.
    postponed: Vec<serve::Postponed>,
    /// What was published and has yet to be pushed.
    published: Vec<publish::Published>,
    /// Keys whose client was gone before they had reached the other server.
    orphans: Vec<moving::Moving>,
}

impl Worker {
    /// The worker of thread `index`.
    pub fn new(shared: Arc<Shared>, index: usize, seed: u64) -> Self {
        let stats = Arc::clone(&shared.stats.threads[index]);
        Self::with_stats(shared, index, stats, seed)
    }

    /// A worker that runs what a journal says. It is no thread that serves clients: what it does counts neither as requests
    /// nor as changes.
    pub fn for_replay(shared: Arc<Shared>, seed: u64) -> Self {
        let stats = Arc::new(ThreadStats::new(shared.registry.ids()));
        Worker { replayed: Some(Replayed::default()), ..Self::with_stats(shared, 0, stats, seed) }
    }

    fn with_stats(shared: Arc<Shared>, index: usize, stats: Arc<ThreadStats>, seed: u64) -> Self {
        let mut exec = Executor::new(Arc::clone(&shared), Arc::clone(&stats), seed);
        exec.limits.databases = shared.config.databases();
        let eternal: &'static Arc<Shared> = Box::leak(Box::new(Arc::clone(&shared)));
        Worker {
            shared,
            eternal,
            stats,
            exec,
            index,
            quotas: quota::Seen::default(),
            stopwatch: Stopwatch::default(),
            engine: Some(Box::default()),
            spare_groups: Vec::new(),
            turn: Turn::default(),
            out_of_memory: false,
            room: room::Room::default(),
            disk_trouble: false,
            snapshotting: false,
            is_loading_elsewhere: false,
            replayed: None,
            postponed: Vec::new(),
            published: Vec::new(),
            orphans: Vec::new(),
        }
    }

    /// Reads the clock and the settings: at the start of every turn.
    pub fn begin_turn(&mut self) {
        // First: when loading is over, everything else is as it left it.
        self.is_loading_elsewhere = self.shared.loading.is_on();
        self.stats.follow(self.shared.stats.epoch());
        let hot = self.shared.config.hot();
        let policy = hot.maxmemory_policy.get();
        let slow_us = hot.slowlog_log_slower_than.get();
        let spike_ms = hot.latency_monitor_threshold.get();
        let now_ms = self.shared.native.clock.wall_ms();
        let soft_ms = hot.native_soft_flush_ms.get();
        self.exec.native.begin(soft_ms > 0 && hot.appendfsync.get() != AppendFsync::Always);
        self.exec.native.log_entries_max.set(hot.rl_log_max_entries.get());
        self.turn = Turn {
            access: crate::dataset::access_at(hot, now_ms),
            timed: hot.latency_tracking.get(),
            slow_nanos: u64::try_from(slow_us).map_or(u64::MAX, |us| us.saturating_mul(1000)),
            spike_nanos: if spike_ms > 0 { (spike_ms as u64).saturating_mul(1_000_000) } else { u64::MAX },
            large: (
                usize::try_from(hot.commandlog_request_larger_than.get()).unwrap_or(usize::MAX),
                usize::try_from(hot.commandlog_reply_larger_than.get()).unwrap_or(usize::MAX),
            ),
            audit: hot.audit_log.get(),
            follows_keys: self.shared.hotkeys.is_on(),
        };
        let maxmemory = hot.maxmemory.get();
        self.out_of_memory &= maxmemory > 0;
        self.room.follow(hot);
        self.disk_trouble = self.shared.disk_trouble().is_some();
        self.snapshotting = self.shared.snapshots.is_active();
        self.exec.limits = Limits {
            max_bulk_len: hot.proto_max_bulk_len.get() as u64,
            lfu: policy.lfu(),
            shared_integers: maxmemory == 0 || !policy.by_access(),
            cluster: hot.cluster_enabled.get(),
            databases: self.exec.limits.databases,
            lazy_del: hot.lazyfree_lazy_user_del.get(),
            lazy_flush: hot.lazyfree_lazy_user_flush.get(),
            encodings: Encodings {
                list_alone_len: self.shared.debug.list_alone_len.load(Relaxed),
                ..hot.encodings()
            },
            compress_dumps: hot.rdbcompression.get(),
            verify_dumps: !self.shared.debug.skip_checksums.load(Relaxed),
            reads_all_keys: true,
            sketches: hot.sketches(),
            idem_response_max: hot.idem_max_response.get() as usize,
            memory_left: match maxmemory {
                0 => u64::MAX,
                // Others have to make room then.
                _ if policy != crate::config::choices::MaxmemoryPolicy::NoEviction => maxmemory,
                _ => maxmemory.saturating_sub(crate::memory::used() as u64),
            },
        };
        self.exec.now_ms = now_ms;
        self.exec.expired_before_ms = now_ms;
        self.exec.read_gate();
        self.exec.read_stream();
        self.exec.read_events();
        self.exec.delete_expired = self.shared.pause.kind(now_ms) == PauseKind::None;
        if self.is_loading_elsewhere | self.replayed.is_some() {
            self.begin_loading_turn();
        }
    }

    /// While the data set is loaded nobody adds to it but whoever loads. And what is replayed was allowed when it was
    /// journaled, whatever the settings of today say; how long it takes is nobody's fault.
    #[cold]
    fn begin_loading_turn(&mut self) {
        self.out_of_memory = false;
        self.room.lift();
        if self.replayed.is_none() {
            return;
        }
        self.is_loading_elsewhere = false;
        self.disk_trouble = false;
        self.snapshotting = false;
        (self.turn.slow_nanos, self.turn.spike_nanos) = (u64::MAX, u64::MAX);
        (self.turn.large, self.turn.audit) = ((usize::MAX, usize::MAX), AuditLevel::Off);
        self.turn.follows_keys = false;
        self.exec.limits.max_bulk_len = u64::MAX;
        self.exec.limits.verify_dumps = false;
        self.exec.limits.memory_left = u64::MAX;
        self.exec.limits.sketches.cf_max_expansions = usize::MAX;
        self.exec.expired_before_ms = i64::MIN;
        self.exec.delete_expired = false;
        self.exec.is_loading = true;
        self.exec.stop_recording();
    }

    /// The first command of the journal that there is not, if any.
    pub fn unknown_command(&self) -> Option<&[u8]> {
        self.replayed.as_ref().and_then(|replayed| replayed.unknown.as_deref())
    }

    /// The clock of this turn, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.exec.now_ms
    }

    /// How a command of this session marks the keys it reads.
    pub fn access(&mut self, session: &Session) -> Access {
        self.access_of(session.no_touch)
    }

    #[inline]
    fn access_of(&mut self, no_touch: bool) -> Access {
        let access = match self.turn.access {
            Access::Lfu { minute, log_factor, decay_minutes, .. } => {
                Access::Lfu { minute, luck: self.exec.rng().next() as u32, log_factor, decay_minutes }
            }
            access => access,
        };
        if no_touch { Access::Untouched(access.initial()) } else { access }
    }

    /// Executes the complete commands in `buf[*at..]` and appends their replies to `out`; `*at` moves behind what
    /// is done with.
    pub fn process(
        &mut self,
        session: &mut Session,
        buf: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Progress {
        self.process_foreseen(session, buf, at, out, None)
    }

    /// The same where the commands at `*at` were [foreseen](Worker::foresee), perhaps.
    pub fn process_foreseen(
        &mut self,
        session: &mut Session,
        buf: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
        foreseen: Option<Group>,
    ) -> Progress {
        self.begin_turn();
        self.exec.actor = session.client.id;
        running::serve(session.client.id);
        self.follow_users(session);
        session.client.last_ms.store(self.exec.now_ms, Relaxed);
        session.client.is_serving.store(true, Relaxed);
        let mut group = foreseen.or_else(|| self.spare_groups.pop()).unwrap_or_default();
        let progress = loop {
            if session.close_after_reply || session.client.killed.load(Relaxed) {
                *at = buf.len();
                break Progress::Close;
            }
            let mut step = Decoded::Group;
            if group.is_empty() {
                step = self.decode_group(session, buf, *at, &mut group);
                // One key is looked for at once.
                if group.keys() > 1 {
                    self.bring_nearer(std::iter::once((session.db, &group)));
                }
            }
            let last = if group.is_empty() { None } else { self.execute(session, buf, at, &mut group, out) };
            group.clear();
            match (last, step) {
                (Some(progress), _) => {
                    // What was decoded beyond the last executed command is decoded again later.
                    session.decoder.reset();
                    break progress;
                }
                (None, Decoded::Group) if out.len() > session.output_pause => break Progress::Flush,
                (None, Decoded::Group) if *at == buf.len() => break Progress::NeedInput(1),
                (None, Decoded::Group) => {}
                (None, Decoded::Incomplete { end, need }) => {
                    *at = end;
                    break Progress::NeedInput(need);
                }
                (None, Decoded::Broken(error)) => {
                    *at = buf.len();
                    tracing::info!(
                        client = session.client.id,
                        "Protocol error ({}) from client",
                        error.log_reason()
                    );
                    error.append_reply(out);
                    self.count_error("ERR");
                    session.close_after_reply = true;
                    break Progress::Close;
                }
            }
        };
        self.give_back(group);
        session.client.is_serving.store(false, Relaxed);
        running::rest();
        self.exec.free_garbage();
        self.finish_news();
        self.finish_journal(Some(&session.client));
        progress
    }

    /// Replies that are about to be sent wait for the journal, which is written down when all connections had their turn.
    /// Call it at the end of every turn, with no shard held.
    #[inline]
    fn finish_journal(&mut self, client: Option<&Client>) {
        let need = self.exec.take_need();
        if need > 0 {
            match client {
                Some(client) => client.send_after(need),
                None => self.shared.journal.advance(),
            }
        }
    }

    /// Executes the group in order. `Some` when the connection has to do something else before the rest.
    #[inline]
    fn execute(
        &mut self,
        session: &mut Session,
        buf: &[u8],
        at: &mut usize,
        group: &mut Group,
        out: &mut Vec<u8>,
    ) -> Option<Progress> {
        let shared = self.eternal;
        let mut held: Option<HoldOne<'_>> = None;
        let mut started = self.stopwatch.ticks();
        let commands = group.commands.len();
        let mut result = None;
        let mut done = 0;
        let group = &*group;
        self.follow_quotas();
        let mut is_straight = self.is_straight(session);
        let mut tally = Tally::default();
        for (index, planned) in group.commands.iter().enumerate() {
            let mark = out.len();
            let mut flow = if is_straight
                && self.straight(shared, session, group, index, buf, &mut held, &mut tally, &mut started, out)
            {
                Flow::Done
            } else {
                self.count(session, &mut tally, group, buf, &mut started);
                tally.entry = None;
                let request = group.request(planned, buf);
                let flow = self.command(shared, session, &request, &mut held, &mut started, out);
                if session.tracking.is_some() {
                    Self::end_caching(session, planned.lookup);
                }
                self.follow_quotas();
                is_straight = self.is_straight(session);
                flow
            };
            *at = planned.end as usize;
            done += 1;
            if self.exec.is_heavy() {
                held = None;
                self.free_heavy(session, planned.lookup, &mut flow, mark, out);
            }
            match flow {
                Flow::Done => {}
                Flow::Close => {
                    session.close_after_reply = true;
                    // Invalidations that are redirected to it lead nowhere from now on.
                    session.client.closing.store(true, Relaxed);
                    result = Some(Progress::Close);
                }
                Flow::Park(parked) => {
                    Self::begin_wait(session, parked);
                    result = Some(Progress::Parked);
                }
            }
            if result.is_none() && out.len() > session.output_pause.min(session.output_left) {
                if out.len() > session.output_left {
                    // The limit is there to bound memory: what was too much is not kept for the next reply.
                    *out = Vec::new();
                    self.close_for_output(session);
                    result = Some(Progress::Close);
                } else if done < commands {
                    result = Some(Progress::Flush);
                }
            }
            if result.is_some() {
                break;
            }
        }
        drop(held);
        self.count(session, &mut tally, group, buf, &mut started);
        result
    }

    /// The connection does not read what it asks for: it is closed without another byte.
    #[cold]
    pub fn close_for_output(&self, session: &Session) {
        self.shared.close_for_output(&session.client);
    }

    /// One command: gate, queue or run, count.
    #[inline]
    fn command<'s>(
        &mut self,
        shared: &'s Shared,
        session: &mut Session,
        request: &Request<'_>,
        held: &mut Option<HoldOne<'s>>,
        started: &mut u64,
        out: &mut Vec<u8>,
    ) -> Flow {
        session.client.last_command.store(request.lookup.id_plus_one(), Relaxed);
        running::begin(request.lookup.found());
        if self.room.is_due() {
            self.see_to_memory(session, held, out);
        }
        self.follow_users(session);
        let mark = out.len();
        let entry = match self.gate(session, request) {
            Ok(entry) => entry,
            Err(gate::Refusal::Error(error)) => {
                // A refused EXEC forgets the watched keys, whose shards may be the one held here.
                *held = None;
                self.refuse(session, request, &error, out);
                after_reply(session, mark, out);
                return Flow::Done;
            }
            Err(gate::Refusal::Park) => {
                return self.park(request);
            }
            Err(gate::Refusal::Close) => return Flow::Close,
        };
        if shared.native.quotas.is_on() && self.refused_by_quota(session, request, entry, held, out) {
            return Flow::Done;
        }
        if self.snapshotting && self.must_wait(shared, session, request, entry, held) {
            *held = None;
            return Flow::Park(Parked::for_pause(self.exec.now_ms + 1, request.to_stored()));
        }
        if shared.mover.is_busy()
            && self.replayed.is_none()
            && self.names_moving(shared, session, request, entry, held)
        {
            return self.give_way(request);
        }
        if session.transaction.is_some() && !entry.flags.has(Flag::Unqueued) {
            transact::queue(session, request, out);
            after_reply(session, mark, out);
            return Flow::Done;
        }
        if session.is_limited {
            self.exec.limits.reads_all_keys = rights::reads_all_keys(session, request, entry);
        }
        let flow = match entry.body {
            Body::Data(handler) => {
                let mut call = Call {
                    handler,
                    args: Args::new(request.buf, request.spans, request.keys, entry.words),
                    db: session.db,
                    access: self.access(session),
                    is_retry: false,
                };
                let mut reply = Reply::new(out, session.protocol).limited(session.output_left);
                let mut wide = None;
                let mut parked = None;
                let recorded = self.exec.stream_shard_for(entry);
                let result = match request.route {
                    Route::One(shard) if recorded.is_none_or(|recorded| recorded == shard) => {
                        if held.as_ref().is_none_or(|hold| hold.index() != shard) {
                            // Released first: only holds taken together may be held together.
                            *held = None;
                            *held = Some(shared.shards.hold_one(shard));
                        }
                        let mut grip = held.as_mut().map_or(Grip::None, Grip::One);
                        let result = self.exec.run(&mut grip, &mut call, &mut reply);
                        self.exec.finish_unit(&mut grip);
                        result
                    }
                    Route::One(_) | Route::Many | Route::All => {
                        *held = None;
                        let hold = wide.insert(route::hold(shared, request, recorded));
                        let mut grip = Grip::Many(hold);
                        let result = self.exec.run(&mut grip, &mut call, &mut reply);
                        self.exec.finish_unit(&mut grip);
                        result
                    }
                    Route::None => {
                        let result = self.exec.run(&mut Grip::None, &mut call, &mut reply);
                        self.exec.finish_unit(&mut Grip::None);
                        result
                    }
                };
                if self.exec.needs_attention && self.exec.take_way_given() {
                    drop(wide);
                    *held = None;
                    return self.give_way(request);
                }
                if Self::remembers(session, entry) {
                    let mut grip = match (&mut wide, &mut *held) {
                        (Some(wide), _) => Grip::Many(wide),
                        (None, Some(held)) => Grip::One(held),
                        (None, None) => Grip::None,
                    };
                    self.remember(&mut grip, request, session.client.id);
                }
                // Still under the hold: monitors see commands on the same keys in the order they ran.
                if shared.clients.is_monitored() {
                    self.feed_monitors(session, request, entry);
                }
                if self.exec.needs_attention {
                    let mut grip = match (&mut wide, &mut *held) {
                        (Some(wide), _) => Grip::Many(wide),
                        (None, Some(held)) => Grip::One(held),
                        (None, None) => Grip::None,
                    };
                    let answer_at_ms = self.exec.take_answer_at();
                    parked = self.attend(&mut grip, session, request, entry, started);
                    if answer_at_ms.is_some() {
                        let mut answered = Parked::for_time(answer_at_ms, out.split_off(mark), entry);
                        answered.is_silent = session.reply_mode.is_silent();
                        parked = Some(answered);
                    }
                    drop(wide);
                    if !self.postponed.is_empty() {
                        *held = None;
                        self.serve_postponed();
                    }
                } else {
                    drop(wide);
                }
                match parked {
                    None => {
                        self.finished(
                            session,
                            request,
                            entry,
                            started,
                            result.as_ref().err(),
                            out.len() - mark,
                        );
                        Flow::Done
                    }
                    Some(parked) => {
                        self.finished_for_now(session, entry, started);
                        Flow::Park(parked)
                    }
                }
            }
            Body::Control(control) => {
                *held = None;
                if Self::remembers(session, entry) && !request.keys.is_empty() {
                    self.remember_first(request, session.client.id);
                }
                let args = Args::new(request.buf, request.spans, request.keys, entry.words);
                let flow = self.control(session, control, entry, args, None, out);
                let (mut flow, error) = match flow {
                    Ok(flow) => (flow, None),
                    Err(error) => (Flow::Done, Some(error)),
                };
                if let Flow::Park(parked) = &mut flow {
                    parked.is_silent = session.reply_mode.is_silent();
                }
                if shared.clients.is_monitored() {
                    self.feed_monitors(session, request, entry);
                }
                let began = *started;
                if !entry.is_script && !entry.flags.has(Flag::Fast) {
                    // It may have changed a setting, which then decides whether it is logged itself. What is fast (PING,
                    // SELECT, MULTI) changes none.
                    self.begin_turn();
                }
                self.finished(
                    session,
                    request,
                    entry,
                    started,
                    error.as_ref(),
                    out.len().saturating_sub(mark),
                );
                if let Some(at_ms) = session.answer_at_ms.take()
                    && matches!(flow, Flow::Done)
                {
                    let mut later = Parked::for_time(Some(at_ms), out.split_off(mark), entry);
                    later.is_silent = session.reply_mode.is_silent();
                    flow = Flow::Park(later);
                }
                // A script changes none, but may take its time.
                if entry.is_script && self.stopwatch.nanos(began, *started) > TURN_NANOS {
                    self.begin_turn();
                }
                flow
            }
            Body::Container => Flow::Done,
        };
        after_reply(session, mark, out);
        if !self.exec.news.own.is_empty() {
            let own = std::mem::take(&mut self.exec.news.own);
            self.tell_self(&session.client, own, out);
        }
        flow
    }

    /// Runs a command about the connection or the process; an error reply is written like any other.
    fn control<'s>(
        &mut self,
        session: &mut Session,
        control: crate::control::Control,
        entry: &'static Entry,
        mut args: Args<'_>,
        held: Option<(&mut Hold<'s>, Option<&Roam<'s>>)>,
        out: &mut Vec<u8>,
    ) -> Result<Flow, Error> {
        let mark = out.len();
        let mut reply = Reply::new(out, session.protocol).limited(session.output_left);
        let (hold, roam) = held.map_or((None, None), |(hold, roam)| (Some(hold), roam));
        let db = session.db;
        let mut cx = ControlCtx { worker: self, session, entry, hold, roam };
        let result = control(&mut cx, &mut args, &mut reply);
        self.exec.prove_noted(entry, &args, db);
        result.inspect_err(|error| {
            reply.truncate(mark);
            reply.error(error);
        })
    }

    /// Runs a command about the connection or the process for a script.
    pub(crate) fn control_in_script(
        &mut self,
        session: &mut Session,
        control: crate::control::Control,
        entry: &'static Entry,
        args: Args<'_>,
        hold: &mut Hold<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Error> {
        match self.control(session, control, entry, args, Some((hold, None)), out) {
            // Nothing waits in a script: what would, answers as if its time had run out.
            Ok(Flow::Park(parked)) => {
                if entry.name == "debug" {
                    // DEBUG SLEEP is about time passing.
                    let wait_ms = parked.until_ms.saturating_sub(clock::unix_ms()).clamp(0, 60_000);
                    std::thread::sleep(std::time::Duration::from_millis(wait_ms as u64));
                }
                parked.write_timed_out(&mut Reply::new(out, session.protocol));
                None
            }
            Ok(Flow::Done | Flow::Close) => None,
            Err(error) => Some(error),
        }
    }

    /// Counts a command that a script called, and tells how many nanoseconds it took.
    pub(crate) fn count_in_script<'w>(
        &mut self,
        caller: &Session,
        entry: &'static Entry,
        started: u64,
        error: Option<Error>,
        words: impl FnOnce() -> Vec<&'w [u8]>,
    ) -> u64 {
        let nanos = self.stopwatch.nanos(started, self.stopwatch.ticks());
        self.stats.commands[entry.id].ran(1, nanos, self.turn.timed);
        if let Some(error) = error {
            self.count_failure(entry, &error);
        }
        if nanos >= self.turn.slow_nanos {
            self.log_slow_words(&caller.client, entry, &words(), (nanos / 1000) as i64);
        }
        nanos
    }

    /// Counts a finished command and looks whether it was slow.
    #[inline]
    fn finished(
        &mut self,
        session: &mut Session,
        request: &Request<'_>,
        entry: &'static Entry,
        started: &mut u64,
        error: Option<&Error>,
        reply_len: usize,
    ) {
        let now = self.stopwatch.ticks();
        let nanos = self.stopwatch.nanos(*started, now);
        *started = now;
        self.stats.commands[entry.id].ran(1, nanos, self.turn.timed);
        if let Some(error) = error {
            self.count_failure(entry, error);
        }
        if self.is_large(request, reply_len) {
            self.log_large(session, request, entry, reply_len);
        }
        if self.turn.follows_keys {
            self.follow_keys(request, nanos, reply_len);
        }
        if self.turn.audit != AuditLevel::Off && self.turn.audit.notes(entry) {
            self.audit(session, request, &entry.name, nanos / 1000, error, false);
        }
        if nanos >= self.turn.slow_nanos.min(self.turn.spike_nanos) {
            self.note_slowness(session, request, entry, nanos);
        }
        if !session.redacted.is_empty() {
            session.redacted.clear();
        }
    }

    /// Counts a command that waits from now on. The rest is counted when it is served.
    #[cold]
    fn finished_for_now(&mut self, session: &mut Session, entry: &'static Entry, started: &mut u64) {
        let now = self.stopwatch.ticks();
        let stats = &self.stats.commands[entry.id];
        add(&stats.calls, 1);
        add(&stats.nanos, self.stopwatch.nanos(*started, now));
        *started = now;
        session.redacted.clear();
    }

    #[cold]
    fn count_failure(&self, entry: &Entry, error: &Error) {
        add(&self.stats.commands[entry.id].failed, 1);
        self.count_error_text(&error.message());
    }

    /// Answers a command that was refused before it ran.
    #[cold]
    fn refuse(&mut self, session: &mut Session, request: &Request<'_>, error: &Error, out: &mut Vec<u8>) {
        if let Some(transaction) = &mut session.transaction {
            transaction.broken = true;
        }
        if let Some(replayed) = &mut self.replayed
            && !matches!(request.lookup, Lookup::Found(_))
        {
            replayed.unknown.get_or_insert_with(|| request.arg(0).into());
        }
        if let Lookup::Found(entry) = request.lookup {
            add(&self.stats.commands[entry.id].rejected, 1);
            // EXEC that is refused also ends its transaction.
            if entry.name == "exec" {
                self.abort_exec(session, error, out);
                return;
            }
        }
        self.count_error_text(&error.message());
        if self.turn.audit != AuditLevel::Off {
            self.audit_refusal(session, request, error);
        }
        Reply::new(out, session.protocol).error(error);
    }

    pub(crate) fn count_error_text(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.count_error(&String::from_utf8_lossy(code));
    }

    /// Counts an error reply with this code.
    pub fn count_error(&self, code: &str) {
        add(&self.stats.errors, 1);
        if self.replayed.is_some() {
            return;
        }
        self.shared.stats.errors.count(code);
    }

    /// Keeps a request until the pause is over.
    fn park(&self, request: &Request<'_>) -> Flow {
        Flow::Park(Parked::for_pause(self.shared.pause.until_ms(), request.to_stored()))
    }

    /// Tries a request again that was put off.
    fn retry(
        &mut self,
        session: &mut Session,
        stored: &StoredRequest,
        out: &mut Vec<u8>,
    ) -> Option<Progress> {
        match self.stored(session, stored, out) {
            Flow::Done => Some(Progress::NeedInput(1)),
            Flow::Close => {
                session.close_after_reply = true;
                Some(Progress::Close)
            }
            Flow::Park(parked) => {
                Self::begin_wait(session, parked);
                None
            }
        }
    }

    fn stored(&mut self, session: &mut Session, stored: &StoredRequest, out: &mut Vec<u8>) -> Flow {
        let shared = self.eternal;
        let mut keys = Vec::new();
        let request = Request::of_stored(shared, stored, &mut keys);
        let mut held = None;
        let mut started = self.stopwatch.ticks();
        let flow = self.command(shared, session, &request, &mut held, &mut started, out);
        drop(held);
        if session.tracking.is_some() {
            Self::end_caching(session, request.lookup);
        }
        self.exec.free_garbage();
        flow
    }
}

/// `CLIENT REPLY`: takes the reply back if it is not wanted.
#[inline]
fn after_reply(session: &mut Session, mark: usize, out: &mut Vec<u8>) {
    match session.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => out.truncate(mark),
        ReplyMode::Skip => {
            out.truncate(mark);
            session.reply_mode = ReplyMode::On;
        }
        ReplyMode::SkipNext => session.reply_mode = ReplyMode::Skip,
    }
}

/// A request, looked up and routed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    pub(crate) buf: &'r [u8],
    pub(crate) spans: &'r [Span],
    pub(crate) keys: &'r [RoutedKey],
    pub(crate) lookup: Lookup,
    pub(crate) route: Route,
}

impl<'r> Request<'r> {
    fn of_stored(shared: &Shared, stored: &'r StoredRequest, keys: &'r mut Vec<RoutedKey>) -> Self {
        // It was found when it was queued: if it is no command, then as an effect, by the journal that is loaded.
        let lookup = Lookup::of(shared.registry, &stored.bytes, &stored.args).or_effect(
            shared.registry,
            &stored.bytes,
            &stored.args,
        );
        let route = match lookup {
            Lookup::Found(entry) => route::route(shared, entry, &stored.bytes, &stored.args, keys),
            _ => Route::None,
        };
        Request { buf: &stored.bytes, spans: &stored.args, keys, lookup, route }
    }

    /// A copy to keep.
    fn to_stored(self) -> StoredRequest {
        StoredRequest::copy_of(self.buf, self.spans)
    }

    /// Bytes from its first argument to its last.
    pub(crate) fn size(&self) -> usize {
        let [first, .., last] = self.spans else { return 0 };
        last.range().end.saturating_sub(first.range().start)
    }

    /// Argument `index`.
    pub(crate) fn arg(&self, index: usize) -> &'r [u8] {
        self.spans[index].slice(self.buf)
    }

    /// The arguments as logs may show them: secrets are replaced.
    fn visible_words(&self, entry: &Entry, redacted: &[usize]) -> Vec<std::borrow::Cow<'r, [u8]>> {
        let secret_from = entry.secret_from.unwrap_or(usize::MAX);
        let is_secret = |i: usize| i >= secret_from || redacted.contains(&i);
        (0..self.spans.len())
            .map(|i| if is_secret(i) { b"(redacted)"[..].into() } else { self.arg(i).into() })
            .collect()
    }
}

/// The line `MONITOR` shows of a command that a script called.
pub(crate) fn lua_monitor_line(db: usize, words: &[&[u8]]) -> Vec<u8> {
    finish_monitor_line(&format!("{db} lua"), words.iter().copied())
}

/// The line `MONITOR` shows: time, database, address, quoted words.
pub(crate) fn monitor_line(session: &Session, words: &[std::borrow::Cow<'_, [u8]>]) -> Vec<u8> {
    let from = if session.client.is_unix {
        format!("{} unix:{}", session.db, session.client.laddr.trim_end_matches(":0"))
    } else {
        format!("{} {}", session.db, session.client.addr)
    };
    finish_monitor_line(&from, words.iter().map(|word| &**word))
}

fn finish_monitor_line<'w>(from: &str, words: impl Iterator<Item = &'w [u8]>) -> Vec<u8> {
    let us = clock::unix_us();
    let mut line = format!("+{}.{:06} [{from}]", us / 1_000_000, us % 1_000_000).into_bytes();
    for word in words {
        line.push(b' ');
        line.extend_from_slice(tidegate_persistence::quote::quoted(word).as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// The protocol and database of a fresh connection; `RESET` returns to them.
pub const FRESH: (Protocol, usize) = (Protocol::Resp2, 0);
