//! Running a handler under a hold, and settling what it did.
//!
//! Settling is the only place that marks watchers, journals, counts and announces. It runs while every touched
//! shard is still held, so the order of the journal is a serial order of what happened.

mod proof;
mod record;
mod remove;
mod way;

pub use record::EventStream;
pub use remove::Evicted;

use super::hold::{Hold, HoldOne, ShardData};
use super::news::{NOBODY, News};
use crate::config::Events;
use crate::dataset;
use crate::memory::{Own, Returns};
use crate::shared::{Awaited, Removed, Shared, ThreadStats, add};
use crate::snapshot::Kind;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{
    Args, Ctx, Env, Error, Handler, Limits, NativeTurn, Outcome, Reply, Rng, RoutedKey, Wait,
};
#[cfg(debug_assertions)]
use tidegate_data::Touch;
use tidegate_data::{Access, Contents, EventClasses, Held, KeyLog, Keys, Rules, Touched};
use tidegate_persistence::journal::{Lsn, ONE_MAX, Unit};

/// The shards held for a command.
#[derive(Debug)]
pub enum Grip<'g, 's> {
    /// None: a command without keys.
    None,
    /// One.
    One(&'g mut HoldOne<'s>),
    /// Several.
    Many(&'g mut Hold<'s>),
    /// One of several: all that a command of a script needs.
    Part(&'g mut Hold<'s>, u16),
}

impl<'s> Grip<'_, 's> {
    #[inline]
    fn databases(&mut self) -> Held<'_> {
        match self {
            Grip::None => Held::None,
            Grip::One(hold) => Held::One(hold.index(), &mut hold.data_mut().databases),
            Grip::Many(hold) => hold.databases(),
            Grip::Part(hold, shard) => hold.databases_of(*shard),
        }
    }

    /// True when somebody wants to know which keys of a held shard are touched.
    #[inline]
    fn is_observed(&mut self) -> bool {
        match self {
            Grip::None => false,
            Grip::One(hold) => hold.data().is_observed(),
            Grip::Many(hold) => {
                let mut observed = false;
                hold.each(|_, data| observed |= data.is_observed());
                observed
            }
            Grip::Part(hold, shard) => hold.shard_mut(*shard).is_some_and(|data| data.is_observed()),
        }
    }

    /// True when shard `shard` is held.
    pub fn has(&self, shard: u16) -> bool {
        match self {
            Grip::None => false,
            Grip::One(hold) => hold.index() == shard,
            Grip::Many(hold) | Grip::Part(hold, _) => hold.has(shard),
        }
    }

    /// The data of shard `shard`, if it is held.
    pub fn shard_mut(&mut self, shard: u16) -> Option<&mut ShardData> {
        match self {
            Grip::One(hold) if hold.index() == shard => Some(hold.data_mut()),
            Grip::None | Grip::One(_) => None,
            Grip::Many(hold) | Grip::Part(hold, _) => hold.shard_mut(shard),
        }
    }

    /// The same hold for a command that needs nothing but shard `shard`, if that is held.
    fn part(&mut self, shard: u16) -> Option<Grip<'_, 's>> {
        match self {
            Grip::One(hold) if hold.index() == shard => Some(Grip::One(hold)),
            Grip::Many(hold) | Grip::Part(hold, _) if hold.has(shard) => Some(Grip::Part(hold, shard)),
            _ => None,
        }
    }

    /// How many stand in line for the first key of a command.
    fn line(&mut self, call: &Call<'_>) -> usize {
        let Some(key) = call.args.routed().first() else { return 0 };
        let data = self.shard_mut(key.shard);
        data.map_or(0, |data| data.awaited.line(call.db as u16, call.args.get(key.arg as usize)))
    }

    fn each(&mut self, mut act: impl FnMut(u16, &mut ShardData)) {
        match self {
            Grip::None => {}
            Grip::One(hold) => act(hold.index(), hold.data_mut()),
            Grip::Many(hold) | Grip::Part(hold, _) => hold.each(act),
        }
    }
}

/// Who is interested in the keys of a command.
#[derive(Debug, Clone, Copy)]
struct Observed {
    /// Somebody wants to know which keys of the held shards are touched.
    is_observed: bool,
    /// So many stand in line for the first key.
    waiters: usize,
}

/// A call of a handler.
#[derive(Debug)]
pub struct Call<'a> {
    /// The function.
    pub handler: Handler,
    /// Its arguments.
    pub args: Args<'a>,
    /// The selected database.
    pub db: usize,
    /// How accesses are remembered.
    pub access: Access,
    /// The request has waited. What it looks up does not count as hit or miss.
    pub is_retry: bool,
}

/// The words of a request, by their index.
pub type Words<'a> = dyn Fn(usize) -> &'a [u8] + 'a;

/// Keys with waiting requests that a unit touched.
#[derive(Debug, Default)]
struct Ready {
    /// In order, each once.
    keys: VecDeque<Touched>,
    /// The number of the unit, once it has one: see [`super::block::WaitTable::note_touched`].
    unit: Option<u64>,
}

impl Ready {
    /// Remembers a key if somebody waits for it.
    fn note(&mut self, grip: &mut Grip<'_, '_>, touched: &Touched, shared: &Shared) {
        let data = grip.shard_mut(touched.shard).filter(|data| !data.awaited.is_empty());
        let Some(data) = data else { return };
        let unit = *self.unit.get_or_insert_with(|| shared.clients.next_ticket());
        if data.awaited.note_touched(touched.db, &touched.key, unit) {
            self.keys.push_back(touched.clone());
        }
    }
}

/// Runs handlers on one thread. Everything it needs for the common case is allocated once.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked alone, on a path where a word of flags would cost"
)]
pub struct Executor {
    shared: Arc<Shared>,
    stats: Arc<ThreadStats>,
    log: KeyLog,
    rng: Rng,
    /// Settings handlers obey.
    pub limits: Limits,
    /// The clock of the present unit, Unix milliseconds.
    pub now_ms: i64,
    /// Keys whose deadline is before this moment are gone. That is the present, but for a journal that is loaded: in it they
    /// live until it says otherwise.
    pub expired_before_ms: i64,
    /// Expired keys may be deleted now (no pause, no primary that decides).
    pub delete_expired: bool,
    /// What runs comes from the journal, and is not told to it again.
    pub is_loading: bool,
    /// The unit being collected: the effects of its commands so far.
    unit: Unit,
    /// The journal keeps what it is given.
    journaled: bool,
    /// What was read has to be safe before a reply tells of it.
    gates_reads: bool,
    /// Replies to what ran since the last [`Executor::take_need`] wait until the journal is safe up to here.
    need: Lsn,
    /// What commands do now is not told to the journal: a script wants it so.
    pub is_secret: bool,
    /// A script calls the commands.
    pub is_scripted: bool,
    /// The commands of a transaction run: none of them waits.
    pub is_amidst: bool,
    /// The last command was not run, because a key it names is being sent away.
    gave_way: bool,
    /// What the present unit touched that somebody waits for.
    ready: Ready,
    /// What the last command waits for.
    wait: Option<Box<Wait>>,
    /// There are ready keys, or there is something to wait for.
    pub needs_attention: bool,
    /// The id of the client whose command runs, [`NOBODY`] for none.
    pub actor: u64,
    /// What caches have to hear of.
    pub news: News,
    returns: Returns,
    /// `notify-keyspace-events`
    events: Events,
    /// The classes it names.
    event_classes: EventClasses,
    /// `notify-stream`
    recording: record::Recording,
    /// What commands of our own have besides.
    pub native: NativeTurn,
    /// A test wants to know what was touched, and by which client.
    #[cfg(debug_assertions)]
    pub witness: Option<Vec<(u64, Touch)>>,
    /// What the present command about the connection or the process touched, in debug builds.
    #[cfg(debug_assertions)]
    noted: Vec<Touch>,
}

/// What occupies less than this, in bytes, is freed faster than it is handed over to the background.
const LARGE: usize = 64 * 1024;
/// More keys than this are freed in the background together, however small they are.
const MANY: usize = 10_000;

impl Executor {
    /// An executor of one worker thread.
    pub fn new(shared: Arc<Shared>, stats: Arc<ThreadStats>, seed: u64) -> Self {
        let clocks = Arc::clone(&shared.native.clock);
        let native = NativeTurn::new(clocks, shared.native.books());
        Executor {
            native,
            journaled: false,
            gates_reads: false,
            need: 0,
            shared,
            stats,
            log: KeyLog::default(),
            rng: Rng::new(seed),
            limits: Limits::default(),
            now_ms: 0,
            expired_before_ms: 0,
            delete_expired: true,
            is_loading: false,
            unit: Unit::default(),
            is_secret: false,
            is_scripted: false,
            is_amidst: false,
            gave_way: false,
            ready: Ready::default(),
            wait: None,
            needs_attention: false,
            actor: NOBODY,
            news: News::default(),
            returns: Returns::new(None),
            events: Events::default(),
            event_classes: EventClasses::default(),
            recording: record::Recording::default(),
            #[cfg(debug_assertions)]
            witness: None,
            #[cfg(debug_assertions)]
            noted: Vec::new(),
        }
    }

    /// The thread's source of random numbers.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Runs one command under `grip` and settles it as part of the present unit; an error reply is written like
    /// any other. The unit is not complete before [`Executor::finish_unit`]. See [`Executor::take_wait`] for a command
    /// that cannot go on.
    #[inline]
    pub fn run(
        &mut self,
        grip: &mut Grip<'_, '_>,
        call: &mut Call<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let mark = reply.mark();
        let is_observed = grip.is_observed();
        if is_observed && self.gives_way(grip, call) {
            return Ok(());
        }
        let waiters = if is_observed { grip.line(call) } else { 0 };
        let delete_expired = self.delete_expired && self.recording.permits(grip);
        let observed = Observed { is_observed, waiters };
        let result = self.handle(grip.databases(), observed, delete_expired, call, reply);
        self.conclude(grip, call, result, mark, reply)
    }

    /// Runs and settles one command that is short, and a unit of its own. What it looked up and changed may be left to be
    /// counted together with more: see [`Executor::count_lookups`].
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn run_short(
        &mut self,
        hold: &mut HoldOne<'_>,
        call: &mut Call<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let mark = reply.mark();
        let is_observed = hold.data().is_observed();
        if is_observed && self.gives_way(&mut Grip::One(hold), call) {
            return Ok(());
        }
        let waiters = if is_observed { Grip::One(hold).line(call) } else { 0 };
        let (index, data) = (hold.index(), hold.data_mut());
        let held = Held::One(index, &mut data.databases);
        debug_assert!(
            !self.recording.is_on(),
            "events are recorded elsewhere, where this hold does not reach"
        );
        let observed = Observed { is_observed, waiters };
        let result = self.handle(held, observed, self.delete_expired, call, reply);
        // Nearly always nobody has to be told of anything.
        let is_untold = match result {
            Ok(Outcome::Same | Outcome::Soft) => true,
            Ok(Outcome::Changed) => !self.journaled,
            _ => false,
        };
        if self.log.is_quiet() {
            if is_untold {
                if self.gates_reads {
                    self.note_read(&mut Grip::One(hold));
                }
                return Ok(());
            }
            if matches!(result, Ok(Outcome::Changed)) && self.journal_short(hold, call) {
                return Ok(());
            }
        }
        let mut grip = Grip::One(hold);
        let error = self.conclude(&mut grip, call, result, mark, reply);
        self.finish_unit(&mut grip);
        error
    }

    /// Calls the handler.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn handle(
        &mut self,
        held: Held<'_>,
        observed: Observed,
        delete_expired: bool,
        call: &mut Call<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<Outcome, Error> {
        self.log.record_touched = observed.is_observed;
        // It changes only while all shards are held: what is seen under a hold is so until its end.
        self.journaled = !self.is_loading & self.shared.journaled.load(Relaxed);
        let changes = self.log.changes;
        let rules = Rules { now_ms: self.expired_before_ms, access: call.access, delete_expired };
        let mut cx = Ctx {
            keys: Keys::new(held, call.db, rules, &mut self.log),
            env: Env::new(self.now_ms, &mut self.rng, &self.limits, &self.native)
                .retrying(call.is_retry)
                .journaling(self.journaled)
                .scripted(self.is_scripted)
                .amidst(self.is_amidst)
                .awaited_by(observed.waiters),
        };
        let result = (call.handler)(&mut cx, &mut call.args, reply);
        let nondeterministic = cx.env.was_nondeterministic();
        cx.keys.finish();
        #[cfg(debug_assertions)]
        self.prove_touches(call);
        debug_assert!(
            match &result {
                Ok(Outcome::Same) | Err(_) => self.log.changes == changes,
                Ok(Outcome::Wait(wait)) => {
                    wait.is_answered || !wait.effects.is_empty() || self.log.changes == changes
                }
                Ok(_) => true,
            },
            "a handler that changed the keyspace must say so"
        );
        debug_assert!(
            !(self.journaled && nondeterministic && matches!(result, Ok(Outcome::Changed))),
            "a handler that read the clock or the random source must name its effects"
        );
        result
    }

    /// Writes an error that a handler ended with, keeps what it waits for, and settles what it did.
    fn conclude(
        &mut self,
        grip: &mut Grip<'_, '_>,
        call: &Call<'_>,
        result: Result<Outcome, Error>,
        mark: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let (outcome, error) = match result {
            Ok(Outcome::Wait(wait)) => {
                if !wait.is_answered {
                    reply.truncate(mark);
                }
                (self.keep_wait(wait), Ok(()))
            }
            Ok(outcome) => (outcome, Ok(())),
            Err(error) => {
                if let Error::BadPayload(reason) = &error {
                    tracing::warn!("Internal error in RDB reading, a payload is no value -> {reason}");
                }
                reply.truncate(mark);
                reply.error(&error);
                (Outcome::Same, Err(error))
            }
        };
        self.settle(grip, call, outcome);
        if self.gates_reads {
            self.note_read(grip);
        }
        error
    }

    /// What was read may have been changed by somebody whose reply still waits for the disk.
    #[cold]
    fn note_read(&mut self, grip: &mut Grip<'_, '_>) {
        let need = &mut self.need;
        grip.each(|_, data| *need = data.changed_at.max(*need));
    }

    /// Position up to which the journal has to be safe before replies are sent to what ran since the last call; 0 when
    /// they need not wait.
    #[inline]
    pub fn take_need(&mut self) -> Lsn {
        std::mem::take(&mut self.need)
    }

    /// The same, for somebody who is served in between.
    pub fn need(&self) -> Lsn {
        self.need
    }

    /// Reads how replies depend on the journal: at the start of every turn.
    #[inline]
    pub fn read_gate(&mut self) {
        self.gates_reads = self.shared.journaled.load(Relaxed) && self.shared.journal.gates_reads();
    }

    #[cold]
    fn keep_wait(&mut self, mut wait: Box<Wait>) -> Outcome {
        let effects = std::mem::take(&mut wait.effects);
        self.wait = Some(wait);
        self.needs_attention = true;
        if effects.is_empty() { Outcome::Same } else { Outcome::ChangedAs(effects) }
    }

    /// When the reply that the last command has written is to be sent, if not now.
    pub fn take_answer_at(&mut self) -> Option<i64> {
        let at_ms = self.wait.as_ref().filter(|wait| wait.is_answered)?.deadline_ms;
        self.take_wait();
        at_ms
    }

    /// What the last command waits for, unless it is done.
    pub fn take_wait(&mut self) -> Option<Box<Wait>> {
        self.needs_attention = !self.ready.keys.is_empty();
        self.wait.take()
    }

    /// Saves at once, as Redis does. That it failed is in the log, and no reason to answer with an error.
    fn save_if_configured(&self, grip: &mut Grip<'_, '_>) {
        // What it was about to write is no more.
        self.shared.snapshots.cancel(Kind::Save);
        if let Grip::Many(hold) = grip
            && !self.shared.config.save_points().is_empty()
        {
            let _ = dataset::save(&self.shared, hold);
        }
    }

    /// What a command did becomes visible to everything but the keyspace itself: watchers, the unit, the figures.
    #[inline]
    fn settle(&mut self, grip: &mut Grip<'_, '_>, call: &Call<'_>, outcome: Outcome) {
        if call.is_retry {
            (self.log.hits, self.log.misses) = (0, 0);
        }
        self.count_lookups();
        if self.log.is_quiet() {
            if self.journaled {
                self.collect(call, outcome);
            }
            return;
        }
        if !self.log.soft.is_empty() {
            self.note_soft(grip);
        }
        let log = &mut self.log;
        if !log.expired_members.is_empty() {
            let members = log.expired_members.iter().map(|expired| expired.members.len() as u64).sum();
            add(&self.stats.expired_members, members);
        }
        let is_observed = !log.expired.is_empty()
            || !log.touched.is_empty()
            || !log.noted.is_empty()
            || !log.whole_databases.is_empty()
            || !log.events.is_empty();
        if is_observed {
            self.tell_observers(grip);
        }
        if self.journaled {
            self.collect(call, outcome);
        }
        if is_observed && self.recording.is_on() {
            let events = std::mem::take(&mut self.log.events);
            self.log.clear();
            self.record(grip, &events);
            return;
        }
        self.log.clear();
    }

    /// Shards remember keys of which the journal hears later.
    #[cold]
    fn note_soft(&mut self, grip: &mut Grip<'_, '_>) {
        for touched in self.log.soft.drain(..) {
            if let Some(data) = grip.shard_mut(touched.shard) {
                data.soft.push((touched.db, touched.key));
                self.shared.native.note_unflushed(touched.shard);
            }
        }
    }

    /// Adds what was looked up and changed since to the figures of this thread.
    #[inline]
    pub fn count_lookups(&mut self) {
        let log = &mut self.log;
        if log.hits > 0 {
            add(&self.stats.hits, log.hits);
        }
        if log.misses > 0 {
            add(&self.stats.misses, log.misses);
        }
        if log.changes > 0 {
            add(&self.stats.changes, log.changes);
        }
        (log.hits, log.misses, log.changes) = (0, 0, 0);
    }

    /// Reads which keyspace events are wanted: none are while nobody listens and nothing is recorded. Whoever listens from now on hears of
    /// whatever is asked for after its subscription was confirmed, because that comes with a later turn.
    #[inline]
    pub fn read_events(&mut self) {
        let events = self.shared.config.hot().notify_keyspace_events.get();
        if events != self.events {
            self.events = events;
            self.event_classes = events.classes();
            self.log.record_subkeys = events.tells_subkeys();
        }
        let is_published = events.is_published() && !self.shared.pubsub.is_silent();
        let is_heard = is_published || self.recording.is_on();
        self.log.record_events = if is_heard { self.event_classes } else { EventClasses::default() };
    }

    /// Tells of the events so far. Call it with the shards of their keys still held.
    fn announce(&mut self) {
        for event in &self.log.events {
            self.shared.pubsub.announce(&self.shared, self.events, event, self.news.bells());
        }
    }

    #[cold]
    fn tell_observers(&mut self, grip: &mut Grip<'_, '_>) {
        self.announce();
        add(&self.stats.expired, self.log.expired.len() as u64);
        self.mark_watchers(grip);
        self.note_news(grip);
        let expired_members = self.log.expired_members.iter().map(|expired| &expired.key);
        let touched = self.log.touched.iter().chain(&self.log.noted);
        for touched in self.log.expired.iter().chain(expired_members).chain(touched) {
            self.ready.note(grip, touched, &self.shared);
        }
        if let [one, other] = self.log.whole_databases[..] {
            // SWAPDB: what is remembered of the one is of the other now.
            grip.each(|_, data| {
                for (db, _) in &mut data.soft {
                    *db = if *db == one {
                        other
                    } else if *db == other {
                        one
                    } else {
                        *db
                    };
                }
            });
        }
        self.end_leases(grip);
        for &db in &self.log.whole_databases {
            let mut awaited = Vec::new();
            grip.each(|shard, data| {
                data.awaited.each_key(db, |key| awaited.push(Touched { db, shard, key: key.into() }));
            });
            for touched in &awaited {
                self.ready.note(grip, touched, &self.shared);
            }
        }
        if std::mem::take(&mut self.log.save_wanted) {
            self.save_if_configured(grip);
        }
        self.needs_attention |= !self.ready.keys.is_empty();
    }

    /// Whoever computes a value for the cache under a key that changed comes too late.
    fn end_leases(&mut self, grip: &mut Grip<'_, '_>) {
        for touched in &self.log.touched {
            if let Some(data) = grip.shard_mut(touched.shard)
                && !data.databases.leases().is_empty()
            {
                data.databases.leases_mut().remove(touched.db, &touched.key);
            }
        }
        for &db in &self.log.whole_databases {
            grip.each(|_, data| data.databases.leases_mut().remove_database(db));
        }
    }

    fn mark_watchers(&mut self, grip: &mut Grip<'_, '_>) {
        let now_ms = self.now_ms;
        for expired in &self.log.expired {
            if let Some(data) = grip.shard_mut(expired.shard) {
                data.watched.touch_expired(expired.db, &expired.key);
            }
        }
        for touched in &self.log.touched {
            if let Some(data) = grip.shard_mut(touched.shard) {
                data.watched.touch(touched.db, &touched.key);
            }
        }
        for &db in &self.log.whole_databases {
            grip.each(|_, data| {
                let table = data.databases.table(db as usize);
                data.watched.touch_database(db, |key| {
                    let record = table.get(table.hasher().hash(key), key);
                    record.is_some_and(|record| record.expiry_ms().is_none_or(|deadline| now_ms <= deadline))
                });
            });
        }
    }

    /// Takes out who may hold what changed in a cache; they are told later.
    fn note_news(&mut self, grip: &mut Grip<'_, '_>) {
        let Executor { shared, news, log, actor, .. } = self;
        let expired_members = log.expired_members.iter().map(|expired| &expired.key);
        let of_nobody = log.expired.iter().chain(expired_members).map(|touched| (touched, NOBODY));
        let own = log.touched.iter().map(|touched| (touched, *actor));
        let mut reader = None;
        let mut forgotten = 0;
        for (touched, changer) in of_nobody.chain(own) {
            let data = grip.shard_mut(touched.shard).filter(|data| !data.tracked.is_empty());
            let Some(data) = data else { continue };
            let reader = *reader.get_or_insert_with(|| shared.tracking.has(*actor).then_some(*actor));
            forgotten += news.note(data, touched, shared.hasher.hash(&touched.key), changer, reader);
        }
        if !log.whole_databases.is_empty() {
            grip.each(|_, data| forgotten += news.forget_all(&mut data.tracked));
        }
        if !log.whole_databases.is_empty() && !shared.tracking.is_empty() {
            news.note_all(*actor, shared.tracking.has(*actor));
        }
        if forgotten > 0 {
            shared.tracking.remove_keys(forgotten);
        }
    }

    /// The client read these keys of held shards, and hears of the next change of each. Call it with the shards still
    /// held that were held for the reading.
    #[cold]
    pub fn remember(&mut self, grip: &mut Grip<'_, '_>, keys: &[RoutedKey], words: &Words<'_>, id: u64) {
        let tracking = &self.shared.tracking;
        let mut added = 0;
        for key in keys {
            if let Some(data) = grip.shard_mut(key.shard) {
                added += usize::from(
                    data.tracked.add(key.hash, words(key.arg as usize), id, |id| !tracking.has(id)),
                );
            }
        }
        if added > 0 {
            let most = self.shared.config.hot().tracking_table_max_keys.get();
            if tracking.add_keys(added) > most && most > 0 {
                self.news.exceed();
            }
        }
    }

    /// Forgets at most `budget` keys of one shard that were read, and tells their readers as if they had changed.
    pub fn forget_read(&mut self, hold: &mut HoldOne<'_>, budget: usize) -> usize {
        let tracked = &mut hold.data_mut().tracked;
        let mut forgotten = 0;
        while forgotten < budget
            && let Some(evicted) = tracked.evict(self.rng.next())
        {
            self.news.forget(evicted, NOBODY, None);
            forgotten += 1;
        }
        self.shared.tracking.remove_keys(forgotten);
        forgotten
    }

    /// Frees what was forgotten about keys that were read, once all news were told. True when there may still be too many
    /// such keys. Call it with no shard held.
    pub fn rest(&mut self) -> bool {
        let forgotten = std::mem::take(&mut self.news.forgotten);
        if forgotten.len() > MANY {
            self.shared.reclaim.free(Removed { tracked: forgotten, ..Removed::default() });
        }
        self.news.rest()
    }

    /// Forgets some of the readers of one shard that are gone.
    pub fn forget_gone(&mut self, hold: &mut HoldOne<'_>, budget: usize) {
        let tracking = &self.shared.tracking;
        let tracked = &mut hold.data_mut().tracked;
        // Whoever tracks keys, and by which means, says so before it enters any shard.
        tracked.set_broadcasts(tracking.has_broadcasts());
        if tracking.is_empty() {
            tracking.remove_keys(self.news.forget_all(tracked));
        } else {
            tracking.remove_keys(tracked.forget_gone(tracking.departures(), budget, |id| !tracking.has(id)));
        }
    }

    /// Treats keys as if they had been touched, because requests that wait for them may now go on.
    pub fn touch_awaited(&mut self, grip: &mut Grip<'_, '_>, keys: &[Touched]) {
        for key in keys {
            self.ready.note(grip, key, &self.shared);
        }
        self.needs_attention |= !self.ready.keys.is_empty();
    }

    /// The next key whose waiting requests may now go on. `None` ends the unit.
    pub fn next_ready(&mut self) -> Option<Touched> {
        let next = self.ready.keys.pop_front();
        if next.is_none() {
            self.ready.unit = None;
            self.needs_attention = self.wait.is_some();
        }
        next
    }

    fn collect(&mut self, call: &Call<'_>, outcome: Outcome) {
        let (unit, db) = (&mut self.unit, call.db as u16);
        // MOVE and COPY meet keys of another database; in this one the name may be that of a living key.
        for expired in &self.log.expired {
            unit.push(expired.db, [&b"DEL"[..], &expired.key].into_iter());
        }
        for expired in &self.log.expired_members {
            unit.push(expired.key.db, expired.effect().into_iter());
        }
        match outcome {
            _ if self.is_secret => {}
            Outcome::Same | Outcome::Soft | Outcome::Wait(_) => {}
            Outcome::Changed => unit.push(db, (0..call.args.len()).map(|i| call.args.get(i))),
            Outcome::ChangedAs(effects) => {
                if self.native.was_asked()
                    && let Some(words) = self.shared.native.clock_words()
                {
                    unit.push(db, words.iter().map(Vec::as_slice));
                }
                unit.push_encoded(db, effects.len(), effects.bytes());
            }
        }
    }

    /// Completes the unit: one contiguous journal record. Call it with all shards of the unit still held.
    #[inline]
    pub fn finish_unit(&mut self, grip: &mut Grip<'_, '_>) {
        if !self.unit.is_empty() {
            let lsn = self.shared.journal.append(&mut self.unit);
            self.need = lsn;
            grip.each(|_, data| data.changed_at = lsn);
        }
    }

    /// Completes a unit of one command that is what was asked for, and of which nobody else has to be told. False when the
    /// request is to be encoded first.
    fn journal_short(&mut self, hold: &mut HoldOne<'_>, call: &Call<'_>) -> bool {
        debug_assert!(self.unit.is_empty(), "a short command is a unit of its own");
        let Some(request) = call.args.verbatim().filter(|request| request.len() <= ONE_MAX) else {
            return false;
        };
        if self.is_secret {
            return false;
        }
        let lsn = self.shared.journal.append_one(call.db as u16, request);
        self.need = lsn;
        hold.data_mut().changed_at = lsn;
        true
    }

    /// Tells the journal of what is no change of keys: as a unit of its own, or `within` the present one.
    pub fn journal_words(&mut self, db: usize, words: &[&[u8]], within: bool) {
        if self.is_loading || !self.shared.journaled.load(Relaxed) {
            return;
        }
        if within {
            self.unit.push(db as u16, words.iter().copied());
        } else {
            let mut unit = Unit::default();
            unit.push(db as u16, words.iter().copied());
            self.need = self.shared.journal.append(&mut unit);
        }
    }

    /// True when what was removed so far should be freed before more commands run.
    #[inline]
    pub fn is_heavy(&self) -> bool {
        self.log.is_heavy()
    }

    /// Frees what the finished units removed. Call it with no shard held, unless it would be too much until then.
    #[inline]
    pub fn free_garbage(&mut self) {
        if self.log.has_garbage() {
            self.free_removed(None);
        }
    }

    /// True when somebody wants to wait until what the finished units removed is freed, and it takes some time.
    pub fn is_awaited(&self) -> bool {
        self.log.is_awaited && self.emptied_size() > LARGE
    }

    /// As [`Executor::free_garbage`]; who waits for it gets its reply when it is done.
    pub fn free_for(&mut self, awaited: Awaited) {
        self.free_removed(Some(awaited));
    }

    fn emptied_size(&self) -> usize {
        self.log.emptied.iter().map(Contents::bytes).sum()
    }

    /// What would hold up this thread is left to the background; of the rest every thread gets back what it allocated.
    #[cold]
    fn free_removed(&mut self, awaited: Option<Awaited>) {
        let reclaim = &self.shared.reclaim;
        let lazy = std::mem::take(&mut self.log.lazy);
        let mut removed = Removed { awaited, ..Removed::default() };
        if removed.awaited.is_some() || self.emptied_size() > LARGE {
            removed.tables = std::mem::take(&mut self.log.emptied);
        }
        let garbage = &mut self.log.garbage;
        if self.log.garbage_size > LARGE && !reclaim.is_behind() {
            if garbage.len() > MANY {
                removed.records = std::mem::take(garbage);
            } else {
                removed.records.extend(garbage.extract_if(.., |record| record.is_slow_to_free()));
            }
        }
        if removed.is_empty() {
            reclaim.count(lazy);
        } else {
            removed.lazy = lazy;
            reclaim.free(removed);
        }
        let log = &mut self.log;
        self.returns.while_dropping(|| log.free());
    }

    /// The thread this runs on takes back what it allocated, whoever frees it.
    pub fn take_back(&mut self, own: Option<&Own>) {
        self.returns = Returns::new(own);
    }

    /// Hands over what others allocated and this thread has dropped.
    pub fn return_memory(&mut self) {
        self.returns.flush();
    }
}
