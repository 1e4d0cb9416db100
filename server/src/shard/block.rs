//! Requests that wait for keys: who waits for what in a shard, first come first served.
//!
//! A request that waits is registered under every key it waits for, with the command to run when that key is touched.
//! Requests that wait for a key with the very same command are of one kind: where it does not help one of them it does
//! not help the others either, so a key with ten thousand waiting workers costs no more than one with a single one.
//! Running those commands is not done here: see `dispatch/serve.rs`.
//!
//! Commands of our own wait for moments of the native clock as well. Each queue has the earliest moment that one of its
//! requests named, and the shard has the queues in the order of their moments: `native/timers.rs` runs them.

use crate::acl::User;
use crate::registry::Entry;
use crate::session::Client;
use hashbrown::{Equivalent, HashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use tidegate_commands::families::queue::QueueCall;
use tidegate_commands::model::{Line, Protocol, RoutedKey, StoredRequest};

/// [`WaitedKey::retry_at_ms`] where there is no such time, and any other moment that never comes.
pub const NEVER_MS: i64 = i64::MAX;

/// Set in the ticket of every request but those that only look on ([`Line::Watches`]), who so come first.
pub const AFTER_WATCHERS: u64 = 1 << 63;

/// A request that waits, and what of its client matters when it goes on.
#[derive(Debug)]
pub struct Waiter {
    /// Whose it is.
    pub client: Arc<Client>,
    /// The number of the wait: see [`crate::session::Waiting`].
    pub wait: u64,
    /// Its place in every queue: lower ones came first.
    pub ticket: u64,
    /// Its user when it began to wait, and the generation of users that was of. `None` where it may do everything.
    pub user: Option<(Arc<User>, u64)>,
    /// The database of its keys.
    pub db: u16,
    /// The protocol of the reply.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH`
    pub no_touch: bool,
    /// `CLIENT REPLY`: nobody wants the reply.
    pub is_silent: bool,
    /// Client-side caching: the keys of the command count as read when it is served.
    pub remembers: bool,
    /// What it means to others.
    pub line: Line,
    /// When its time is up, Unix milliseconds; [`NEVER_MS`] for never.
    pub until_ms: i64,
    /// What is run then; `None` answers with a null array.
    pub at_end: Option<Kind>,
    /// The command.
    pub entry: &'static Entry,
    /// The request as it came, for the slow log.
    pub request: StoredRequest,
    /// What it took until it began to wait, in nanoseconds.
    pub nanos: AtomicU64,
    /// The keys it waits for.
    pub keys: Box<[WaitedKey]>,
    /// The answers it waits for instead, which are dropped with it.
    pub call: Option<Arc<QueueCall>>,
}

impl Waiter {
    /// When the first of its keys is to be looked at though nobody may have touched it, Unix milliseconds.
    pub fn retry_at_ms(&self) -> i64 {
        self.keys.iter().map(|key| key.retry_at_ms.load(Relaxed)).min().unwrap_or(NEVER_MS)
    }

    /// True while nobody has ended its wait.
    pub fn is_waiting(&self) -> bool {
        self.client.waiting.is_in(self.wait)
    }

    /// Bytes of its request and of the commands for its keys.
    pub fn size(&self) -> usize {
        self.request.size() + self.keys.iter().map(|key| key.name.len()).sum::<usize>()
    }
}

/// A key that a request waits for.
#[derive(Debug)]
pub struct WaitedKey {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its shard.
    pub shard: u16,
    /// When it is to be looked at though nobody may have touched it, Unix milliseconds. Only for the first request of a
    /// kind: if that is not helped, the others are not either. Written under the shard's lock.
    pub retry_at_ms: AtomicI64,
    /// It is in the queue of its key. Written under the shard's lock.
    is_registered: AtomicBool,
}

impl WaitedKey {
    /// A key to wait for, not registered yet.
    pub fn new(name: Box<[u8]>, shard: u16) -> Self {
        WaitedKey {
            name,
            shard,
            retry_at_ms: AtomicI64::new(NEVER_MS),
            is_registered: AtomicBool::new(false),
        }
    }

    /// True while the queue of its key knows it.
    pub fn is_registered(&self) -> bool {
        self.is_registered.load(Acquire)
    }
}

/// Requests that wait for one key with the very same command.
#[derive(Debug)]
pub struct Kind {
    /// The command that is run when the key is touched.
    pub request: StoredRequest,
    /// Its declaration.
    pub entry: &'static Entry,
    /// Its keys.
    pub keys: Vec<RoutedKey>,
    /// The last visit of the queue in which the command did not help. Written under the shard's lock.
    unhelped_in: AtomicU64,
}

impl Kind {
    /// A kind of request.
    pub fn new(request: StoredRequest, entry: &'static Entry, keys: Vec<RoutedKey>) -> Self {
        Kind { request, entry, keys, unhelped_in: AtomicU64::new(0) }
    }
}

/// Two commands are of one kind if their words are the same.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.request == other.request && std::ptr::eq(self.entry, other.entry)
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.request.bytes.hash(state);
    }
}

/// A request in a queue.
#[derive(Debug, Clone)]
pub struct Place {
    /// The request.
    pub waiter: Arc<Waiter>,
    /// Which of its keys this is the queue of.
    pub key: usize,
    /// What is run for it.
    pub kind: Arc<Kind>,
}

/// The requests that wait for one key.
#[derive(Debug)]
struct Queue {
    /// By ticket.
    places: BTreeMap<u64, Place>,
    /// How many there are of each kind.
    kinds: HashMap<Arc<Kind>, usize>,
    /// The last unit whose list of touched keys has this one: see [`WaitTable::note_touched`].
    noted_in: u64,
    /// When it is visited though nobody may touch the key, milliseconds of the native clock.
    timer_ms: i64,
    /// The ticket of the one whom the others wait behind; 0 if nobody holds them up.
    held_up_by: u64,
    /// How many stand in line.
    in_line: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            places: BTreeMap::new(),
            kinds: HashMap::new(),
            noted_in: 0,
            timer_ms: NEVER_MS,
            held_up_by: 0,
            in_line: 0,
        }
    }
}

/// A database and a key's name.
type Name = (u16, Box<[u8]>);

#[derive(Hash)]
struct Borrowed<'a>(u16, &'a [u8]);

impl Equivalent<Name> for Borrowed<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == name.0 && *self.1 == *name.1
    }
}

/// Who waits for the keys of one shard. Guarded by the shard's lock.
#[derive(Debug, Default)]
pub struct WaitTable {
    queues: HashMap<Name, Queue>,
    /// Queues that have a moment of the native clock, by that.
    timers: BTreeSet<(i64, Name)>,
    /// How many requests stand in line.
    in_line: usize,
}

impl WaitTable {
    /// True when nobody waits for anything here: the common case, checked before anything else.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Number of keys that are waited for.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// A request begins to wait for one of its keys; `retry_at_ms` when that is to be looked at though nobody may have
    /// touched it. O(log N) in the length of the queue.
    pub fn add(&mut self, waiter: &Arc<Waiter>, key: usize, kind: Kind, retry_at_ms: Option<i64>) {
        let waited = &waiter.keys[key];
        let queue = self.queues.entry((waiter.db, waited.name.clone())).or_default();
        if waiter.line == Line::Strict {
            queue.in_line += 1;
            self.in_line += 1;
            if queue.held_up_by == 0 {
                queue.held_up_by = waiter.ticket;
            }
        }
        let kind = match queue.kinds.get_key_value(&kind) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(kind),
        };
        let count = queue.kinds.entry(Arc::clone(&kind)).or_default();
        *count += 1;
        if *count == 1 {
            waited.retry_at_ms.store(retry_at_ms.unwrap_or(NEVER_MS), Relaxed);
        }
        queue.places.insert(waiter.ticket, Place { waiter: Arc::clone(waiter), key, kind });
        waited.is_registered.store(true, Release);
    }

    /// A request waits for one of its keys no longer. If it was the one that looks after its kind in time, the next of
    /// that kind is woken to do so from now on. True when it held up others, who may perhaps go on now.
    /// O(log N) in the length of the queue, or the distance to that one.
    pub fn remove(&mut self, waiter: &Waiter, key: usize) -> bool {
        let waited = &waiter.keys[key];
        let name = Borrowed(waiter.db, &waited.name);
        let Some(queue) = self.queues.get_mut(&name) else { return false };
        let Some(place) = queue.places.remove(&waiter.ticket) else { return false };
        waited.is_registered.store(false, Release);
        if waiter.line == Line::Strict {
            queue.in_line -= 1;
            self.in_line -= 1;
        }
        let held_up = queue.held_up_by == waiter.ticket;
        if held_up {
            queue.held_up_by = 0;
        }
        let left = queue.kinds.get_mut(&place.kind).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            queue.kinds.remove(&place.kind);
        } else {
            let retry_at_ms = waited.retry_at_ms.load(Relaxed);
            let mut later = queue.places.range(waiter.ticket..).map(|(_, place)| place);
            if retry_at_ms != NEVER_MS
                && let Some(next) = later.find(|next| Arc::ptr_eq(&next.kind, &place.kind))
            {
                next.waiter.keys[next.key].retry_at_ms.store(retry_at_ms, Relaxed);
                next.waiter.client.waker.wake();
            }
        }
        if queue.places.is_empty() {
            let timer_ms = queue.timer_ms;
            if let Some((name, _)) = self.queues.remove_entry(&name)
                && timer_ms != NEVER_MS
            {
                self.timers.remove(&(timer_ms, name));
            }
            return false;
        }
        held_up
    }

    /// How many requests stand in line for a key; 0 when all of these have ended their wait.
    pub fn line(&self, db: u16, key: &[u8]) -> usize {
        if self.in_line == 0 {
            return 0;
        }
        let Some(queue) = self.queues.get(&Borrowed(db, key)) else { return 0 };
        let waits = |waiter: &Waiter| waiter.line == Line::Strict && waiter.is_waiting();
        if queue.places.values().any(|place| waits(&place.waiter)) { queue.in_line } else { 0 }
    }

    /// The queue of a key is visited at this moment of the native clock, too, if it was not to be before. O(log N).
    pub fn add_timer(&mut self, db: u16, key: &[u8], timer_ms: i64) {
        let before_ms = self.queues.get(&Borrowed(db, key)).map_or(NEVER_MS, |queue| queue.timer_ms);
        if timer_ms < before_ms {
            self.set_timer(db, key, timer_ms);
        }
    }

    fn set_timer(&mut self, db: u16, key: &[u8], timer_ms: i64) {
        let Some(queue) = self.queues.get_mut(&Borrowed(db, key)) else { return };
        let before_ms = std::mem::replace(&mut queue.timer_ms, timer_ms);
        if before_ms == timer_ms {
            return;
        }
        let name: Name = (db, key.into());
        let (before, after) = ((before_ms, name.clone()), (timer_ms, name));
        if before_ms != NEVER_MS {
            self.timers.remove(&before);
        }
        if timer_ms != NEVER_MS {
            self.timers.insert(after);
        }
    }

    /// When the first queue is to be visited, milliseconds of the native clock; [`NEVER_MS`] if none is.
    pub fn next_timer_ms(&self) -> i64 {
        self.timers.first().map_or(NEVER_MS, |(timer_ms, _)| *timer_ms)
    }

    /// Takes out the keys whose moment has come, `most` of them at most, in the order of their moments.
    pub fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<(u16, Box<[u8]>)> {
        let mut due = Vec::new();
        while due.len() < most && self.next_timer_ms() <= now_ms {
            let Some((_, name)) = self.timers.pop_first() else { break };
            if let Some(queue) = self.queues.get_mut(&Borrowed(name.0, &name.1)) {
                queue.timer_ms = NEVER_MS;
            }
            due.push(name);
        }
        due
    }

    /// Visits every request that waits, once for each key it waits for.
    pub fn each_waiter(&self, mut visit: impl FnMut(&Place)) {
        self.queues.values().flat_map(|queue| queue.places.values()).for_each(&mut visit);
    }

    /// A key was touched in execution unit `unit` (any number that is used once): true when somebody waits for it, and
    /// this was not said yet in this unit.
    pub fn note_touched(&mut self, db: u16, key: &[u8], unit: u64) -> bool {
        match self.queues.get_mut(&Borrowed(db, key)) {
            Some(queue) if queue.noted_in != unit => {
                queue.noted_in = unit;
                true
            }
            _ => false,
        }
    }

    /// The requests for this key were looked at: from now on it may be noted again.
    pub fn forget_touched(&mut self, db: u16, key: &[u8]) {
        if let Some(queue) = self.queues.get_mut(&Borrowed(db, key)) {
            queue.noted_in = 0;
        }
    }

    /// Visits the keys of a database that are waited for.
    pub fn each_key(&self, db: u16, mut visit: impl FnMut(&[u8])) {
        self.queues.keys().filter(|name| name.0 == db).for_each(|name| visit(&name.1));
    }

    /// All shards that the commands for this key need.
    pub fn shards(&self, db: u16, key: &[u8]) -> impl Iterator<Item = u16> {
        let queue = self.queues.get(&Borrowed(db, key));
        queue
            .into_iter()
            .flat_map(|queue| queue.kinds.keys())
            .flat_map(|kind| &kind.keys)
            .map(|key| key.shard)
    }

    /// A visit of a key's queue goes on: the first request at or behind `ticket` whose kind was not found unhelped in
    /// it. `unhelped` is the number of kinds that were.
    pub fn next(&self, db: u16, key: &[u8], visit: &Visit) -> Option<Place> {
        let queue = self.queues.get(&Borrowed(db, key))?;
        if visit.held_up_by != 0 || visit.unhelped == queue.kinds.len() {
            return None;
        }
        let mut places = queue.places.range(visit.ticket..).map(|(_, place)| place);
        places.find(|place| place.kind.unhelped_in.load(Relaxed) != visit.number).cloned()
    }

    /// A visit of a key's queue is over.
    pub fn end_visit(&mut self, db: u16, key: &[u8], visit: &Visit) {
        if let Some(queue) = self.queues.get_mut(&Borrowed(db, key)) {
            queue.held_up_by = visit.held_up_by;
            self.set_timer(db, key, visit.timer_ms);
        }
    }
}

/// A visit of a key's queue from its front to its end.
#[derive(Debug)]
pub struct Visit {
    /// Any number that is used once.
    number: u64,
    /// Where it stands.
    ticket: u64,
    /// Kinds of requests that are not helped by the key as it is now.
    unhelped: usize,
    /// The one behind whom nobody is served; 0 for none so far.
    held_up_by: u64,
    /// The first moment of the native clock that one who waits on has named.
    timer_ms: i64,
}

impl Visit {
    /// Begins at the front; `number` is any that is used once.
    pub fn new(number: u64) -> Self {
        Visit { number, ticket: 0, unhelped: 0, held_up_by: 0, timer_ms: NEVER_MS }
    }

    /// The request at `place` does not wait there any more.
    pub fn passed(&mut self, place: &Place) {
        self.ticket = place.waiter.ticket + 1;
    }

    /// The request at `place`, which waits on, holds up those behind it if it stands in line, and is to be asked again at
    /// this moment of the native clock.
    pub fn waits_on(&mut self, place: &Place, line: Line, timer_ms: Option<i64>) {
        if line == Line::Strict {
            self.held_up_by = place.waiter.ticket;
        }
        self.timer_ms = self.timer_ms.min(timer_ms.unwrap_or(NEVER_MS));
    }

    /// The request at `place` waits on, as do all of its kind. `retry_at_ms` is when they are to be looked at though
    /// nobody may touch the key. True when its client has to know that time.
    pub fn unhelped(&mut self, place: &Place, retry_at_ms: Option<i64>) -> bool {
        self.passed(place);
        self.unhelped += 1;
        place.kind.unhelped_in.store(self.number, Relaxed);
        let retry_at_ms = retry_at_ms.unwrap_or(NEVER_MS);
        let waited = &place.waiter.keys[place.key];
        waited.retry_at_ms.swap(retry_at_ms, Relaxed) != retry_at_ms
    }
}

#[cfg(test)]
mod tests;
