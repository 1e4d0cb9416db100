//! A work queue: messages that wait, are due later, are with a worker, or are dead.
//!
//! The structure knows no clock: times (milliseconds of the native clock), tokens and chance are arguments.
//! [`Queue::apply`] is the only thing that changes one, so that a live command, the loader and a twin cannot come to
//! differ; what a command decides, it decides by reading (`decide`). What the time alone brings is an effect, too
//! ([`Effect::Elapse`]), and depends on nothing but the queue and that time.

mod codec;
mod decide;
mod dedup;
mod figures;
mod lines;
mod message;
mod options;
mod ordered;
#[cfg(test)]
mod tests;

pub use decide::{Ask, Metered, Next, Visible};
pub use dedup::Known;
pub use figures::{Recently, Totals};
pub use message::{Attempt, Headers, Id, Message, State};
pub use options::{Backoff, DELAY_MAX_MS, DELAYS_MAX, HISTORY_MAX, LEASE_MAX_MS, Options};

use crate::keyspace::size_class;
use crate::types::collection::{AlwaysBoxed, btree_size};
use crate::types::ratelimit::Limiter;
use crate::value::TypeCode;
use dedup::Dedup;
use lines::{Lines, Meter, Place};
use message::Extra;
use ordered::Ordered;
use std::collections::{BTreeMap, BTreeSet};

/// Why a message failed whose lease ended.
pub const LEASE_EXPIRED: &[u8] = b"lease expired";
/// Why a message is dead that lived too long.
pub const OUTLIVED: &[u8] = b"expired";

/// How much of each kind one [`Effect::Elapse`] does at most: a million messages that are due at once do not stop everybody
/// else.
const ELAPSE_MAX: usize = 10_000;

/// A message that comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Push<'a> {
    /// Greater than all before; its time is that of the push.
    pub id: Id,
    /// When it is ready; no later than the push: at once.
    pub due_ms: u64,
    /// 0 to 9.
    pub priority: u8,
    /// Empty for none.
    pub group: &'a [u8],
    /// How long it lives; 0 for ever.
    pub ttl_ms: u64,
    /// Deliveries before it is dead, if that is not the queue's business.
    pub max_deliver: Option<u32>,
    /// How often it was driven back, by another queue.
    pub redrives: u32,
    /// The name under which a later push is the same, and until when: see [`Known`].
    pub dedup: Option<(&'a [u8], u64)>,
    /// [`Headers::as_bytes`].
    pub headers: &'a [u8],
    pub body: &'a [u8],
}

/// A change of a queue, with everything chosen: applying one reads no clock.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<'a> {
    /// The options are these.
    Configure(Options),
    /// It is this late now: leases end, what is due becomes ready, what lived too long goes.
    Elapse(u64),
    /// A message comes.
    Push(Push<'a>),
    /// A message that waits has another body; a delayed one also another time.
    Replace { id: Id, due_ms: u64, headers: &'a [u8], body: &'a [u8] },
    /// A message is handed out until `end_ms`; if that is `now_ms` it is done by that.
    Take { id: Id, token: u64, now_ms: u64, end_ms: u64, consumer: &'a [u8] },
    /// What was delivered has been charged to a limiter: to that of a group, or to that of the queue (an empty name).
    Meter { group: &'a [u8], limiter: Limiter, open_ms: u64, reset_ms: u64 },
    /// A message is done.
    Ack { id: Id, now_ms: u64 },
    /// A delivery failed: the message is ready again at `due_ms`.
    Nack { id: Id, now_ms: u64, due_ms: u64, reason: &'a [u8] },
    /// A delivery failed for the last time.
    Bury { id: Id, now_ms: u64, reason: &'a [u8] },
    /// A delivery is given back as if it had not been.
    Release { id: Id, now_ms: u64 },
    /// A lease ends at another time.
    Extend { id: Id, end_ms: u64 },
    /// A message is removed, whatever its state.
    Delete(Id),
    /// The oldest messages that wait are removed.
    Trim(u64),
    /// A dead message comes back at `due_ms`.
    Redrive { id: Id, now_ms: u64, due_ms: u64 },
    /// All messages of a state are removed, or all there are.
    Purge(Option<State>),
    /// Nothing is taken in, or given out, before this time (0: for ever).
    Pause { input: bool, output: bool, until_ms: u64 },
}

/// An effect that does not fit the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Whether a queue takes messages in, and gives them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    pub input: bool,
    pub output: bool,
    /// When that is over; 0 for never.
    pub until_ms: u64,
}

/// A work queue. Changes are O(log n) unless they say something else.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    options: Options,
    /// The newest id.
    last: Id,
    messages: Ordered<Message>,
    lines: Lines,
    ready: usize,
    delayed: BTreeSet<(u64, Id)>,
    leased: BTreeSet<(u64, Id)>,
    /// By when they died.
    dead: BTreeSet<(u64, Id)>,
    /// Messages that wait and do not live for ever, by when they end.
    mortal: BTreeSet<(u64, Id)>,
    dedup: Dedup,
    /// How many messages each consumer has that said who it is.
    consumers: BTreeMap<Box<[u8]>, u32>,
    pause: Pause,
    meter: Option<Box<Meter>>,
    totals: Totals,
    recently: Recently,
    /// No message that waits has a lower id.
    oldest_waiting: Id,
    /// Bytes of what messages have beside themselves, and of the names of consumers.
    bytes: usize,
}

/// The value of a key that holds a queue.
#[derive(Clone, Debug, Default)]
pub struct XQueue(pub Box<Queue>);

impl PartialEq for XQueue {
    /// The same in a file. O(size).
    fn eq(&self, other: &Self) -> bool {
        let form = |queue: &Queue| {
            let mut form = Vec::new();
            queue.write(&mut form);
            form
        };
        form(&self.0) == form(&other.0)
    }
}

impl AlwaysBoxed for XQueue {
    const CODE: TypeCode = TypeCode::Queue;
    const ENCODING: &'static str = "xqueue";

    fn size_behind(&self) -> usize {
        size_class(size_of::<Queue>()) + self.0.heap_size()
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl Queue {
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn recently(&self) -> &Recently {
        &self.recently
    }

    /// A push was one that had been made before. That is not told to anybody.
    pub fn note_deduped(&mut self) {
        self.recently.dedup();
    }

    /// Nothing would be lost with it: it has no messages, no name is taken, and it is like any new one.
    pub fn is_over(&self) -> bool {
        self.messages.len() == 0
            && self.dedup.is_empty()
            && self.pause == Pause::default()
            && self.meter.is_none()
            && self.lines.groups() == 0
            && self.options == Options::default()
    }

    /// Bytes of all allocations, about. O(1).
    fn heap_size(&self) -> usize {
        let timed = self.delayed.len() + self.leased.len() + self.dead.len() + self.mortal.len();
        let meter = if self.meter.is_some() { size_class(size_of::<Meter>()) } else { 0 };
        self.bytes
            + self.options.heap_size()
            + self.messages.heap_size()
            + self.lines.heap_size()
            + self.dedup.heap_size()
            + btree_size::<(u64, Id), ()>(timed)
            + btree_size::<Box<[u8]>, u32>(self.consumers.len())
            + meter
            + self.recently.heap_size()
    }

    /// Carries out a change, or refuses one that does not fit: then nothing has changed. O(log n), but for what time
    /// brings, which is O(log n) for each message, for options and for purging, which are O(n).
    pub fn apply(&mut self, effect: &Effect<'_>) -> Result<(), Malformed> {
        match effect {
            Effect::Configure(options) => self.configure(options)?,
            Effect::Elapse(now_ms) => self.elapse(*now_ms),
            Effect::Push(push) => self.push(push)?,
            Effect::Replace { id, due_ms, headers, body } => self.replace(*id, *due_ms, headers, body)?,
            Effect::Take { id, token, now_ms, end_ms, consumer } => {
                self.take(*id, *token, *now_ms, *end_ms, consumer)?;
            }
            Effect::Meter { group, limiter, open_ms, reset_ms } => {
                let meter = Meter { limiter: limiter.clone(), open_ms: *open_ms, reset_ms: *reset_ms };
                if group.is_empty() {
                    self.meter = Some(Box::new(meter));
                } else {
                    let line = self.lines.open(group, 0);
                    self.lines.set_meter(line, meter);
                }
            }
            Effect::Ack { id, now_ms } => {
                self.expect(*id, State::Leased)?;
                self.totals.acked += 1;
                self.recently.ack(*now_ms);
                self.remove(*id)?;
            }
            Effect::Nack { id, now_ms, due_ms, reason } => {
                self.expect(*id, State::Leased)?;
                self.totals.nacked += 1;
                self.leave(*id)?;
                let history = self.options.history as usize;
                self.message(*id)?.fail(reason, history);
                if due_ms > now_ms {
                    self.enter_delayed(*id, *due_ms)
                } else {
                    self.enter_ready(*id, *now_ms)
                }?;
            }
            Effect::Bury { id, now_ms, reason } => {
                self.expect(*id, State::Leased)?;
                self.totals.nacked += 1;
                self.leave(*id)?;
                self.bury(*id, *now_ms, reason)?;
            }
            Effect::Release { id, now_ms } => {
                self.expect(*id, State::Leased)?;
                self.leave(*id)?;
                let message = self.message(*id)?;
                message.deliveries = message.deliveries.saturating_sub(1);
                message.extra_mut().consumer = Box::default();
                self.enter_ready(*id, *now_ms)?;
            }
            Effect::Extend { id, end_ms } => {
                self.expect(*id, State::Leased)?;
                let message = self.message(*id)?;
                let before_ms = std::mem::replace(&mut message.when_ms, *end_ms);
                self.leased.remove(&(before_ms, *id));
                self.leased.insert((*end_ms, *id));
            }
            Effect::Delete(id) => self.remove(*id)?,
            Effect::Trim(count) => self.trim(*count),
            Effect::Redrive { id, now_ms, due_ms } => {
                self.expect(*id, State::Dead)?;
                self.leave(*id)?;
                let message = self.message(*id)?;
                message.deliveries = 0;
                let extra = message.extra_mut();
                extra.redrives = extra.redrives.saturating_add(1);
                extra.first_ms = 0;
                // Who is driven back lives once more.
                let is_mortal = extra.ttl_ms > 0;
                extra.expires_ms =
                    if is_mortal { due_ms.max(now_ms).saturating_add(extra.ttl_ms) } else { 0 };
                if due_ms > now_ms {
                    self.enter_delayed(*id, *due_ms)
                } else {
                    self.enter_ready(*id, *now_ms)
                }?;
            }
            Effect::Purge(state) => self.purge(*state),
            Effect::Pause { input, output, until_ms } => {
                self.pause = match (input, output) {
                    (false, false) => Pause::default(),
                    _ => Pause { input: *input, output: *output, until_ms: *until_ms },
                };
            }
        }
        Ok(())
    }

    fn expect(&self, id: Id, state: State) -> Result<(), Malformed> {
        self.messages.get(id).filter(|message| message.state == state).map(|_| ()).ok_or(Malformed)
    }

    fn message(&mut self, id: Id) -> Result<&mut Message, Malformed> {
        self.messages.get_mut(id).ok_or(Malformed)
    }

    fn configure(&mut self, options: &Options) -> Result<(), Malformed> {
        if !options.is_sound() {
            return Err(Malformed);
        }
        if *self.options.rate != *options.rate {
            self.meter = None;
        }
        self.options = options.clone();
        self.lines.set_group_max(options.group_max);
        self.bound_dead();
        Ok(())
    }

    fn push(&mut self, push: &Push<'_>) -> Result<(), Malformed> {
        let Push { id, priority, ttl_ms, max_deliver, redrives, .. } = *push;
        let headers = Headers::of_bytes(push.headers).ok_or(Malformed)?;
        if priority > 9 || id <= self.last {
            return Err(Malformed);
        }
        let line = self.lines.open(push.group, priority);
        self.lines.add_member(line);
        let dedup = push.dedup.filter(|(_, until_ms)| *until_ms == 0).map_or(&[][..], |(name, _)| name);
        let is_plain =
            headers.is_empty() && ttl_ms == 0 && max_deliver.is_none() && redrives == 0 && dedup.is_empty();
        let extra = (!is_plain).then(|| {
            let expires_ms = if ttl_ms > 0 { id.ms.saturating_add(ttl_ms) } else { 0 };
            let dedup = dedup.into();
            Box::new(Extra { headers, dedup, ttl_ms, expires_ms, max_deliver, redrives, ..Extra::default() })
        });
        let place_ms = push.due_ms.max(id.ms);
        let message = Message {
            id,
            place_ms,
            since_ms: place_ms,
            when_ms: 0,
            token: 0,
            body: push.body.into(),
            extra,
            line,
            deliveries: 0,
            priority,
            state: State::Dead,
        };
        self.last = id;
        self.messages.insert(message);
        if let Some((name, until_ms)) = push.dedup {
            self.dedup.put(name, Known { id, until_ms });
        }
        self.totals.pushed += 1;
        self.recently.push(id.ms);
        if push.due_ms > id.ms { self.enter_delayed(id, push.due_ms) } else { self.enter_ready(id, id.ms) }
    }

    fn replace(&mut self, id: Id, due_ms: u64, headers: &[u8], body: &[u8]) -> Result<(), Malformed> {
        let headers = Headers::of_bytes(headers).ok_or(Malformed)?;
        let state = self.messages.get(id).map(|message| message.state);
        if !matches!(state, Some(State::Ready | State::Delayed)) {
            return Err(Malformed);
        }
        let since_ms = self.leave(id)?;
        let message = self.message(id)?;
        message.body = body.into();
        if !headers.is_empty() || message.extra.is_some() {
            message.extra_mut().headers = headers;
        }
        if state == Some(State::Ready) {
            return self.enter_ready(id, since_ms);
        }
        if message.deliveries == 0 {
            message.place_ms = due_ms.max(id.ms);
        }
        self.enter_delayed(id, due_ms)
    }

    fn take(
        &mut self,
        id: Id,
        token: u64,
        now_ms: u64,
        end_ms: u64,
        consumer: &[u8],
    ) -> Result<(), Malformed> {
        self.expect(id, State::Ready)?;
        let message = self.messages.get_mut(id).ok_or(Malformed)?;
        let (line, key) = (message.line, (message.place_ms, id));
        self.totals.delivered += 1;
        self.recently.wait(now_ms.saturating_sub(message.since_ms));
        if end_ms <= now_ms {
            // It is not out at all; but its line goes behind the others all the same.
            self.lines.give(line, key);
            self.lines.end_out(line);
            message.state = State::Leased;
            self.forget_mortal(id);
            self.ready -= 1;
            self.bytes -= self.messages.get(id).map_or(0, Message::heap_size);
            self.totals.acked += 1;
            self.recently.ack(now_ms);
            return self.forget(id);
        }
        self.bytes -= message.heap_size();
        message.state = State::Leased;
        message.when_ms = end_ms;
        message.token = token;
        message.deliveries = message.deliveries.saturating_add(1);
        let extra = message.extra_mut();
        extra.taken_ms = now_ms;
        extra.consumer = consumer.into();
        if extra.first_ms == 0 {
            extra.first_ms = now_ms;
        }
        self.bytes += message.heap_size();
        self.ready -= 1;
        self.forget_mortal(id);
        self.lines.give(line, key);
        self.leased.insert((end_ms, id));
        self.count_consumer(consumer);
        Ok(())
    }

    fn count_consumer(&mut self, consumer: &[u8]) {
        if consumer.is_empty() {
            return;
        }
        if let Some(count) = self.consumers.get_mut(consumer) {
            *count += 1;
        } else {
            self.bytes += size_class(consumer.len());
            self.consumers.insert(consumer.into(), 1);
        }
    }

    fn forget_mortal(&mut self, id: Id) {
        if self.mortal.is_empty() {
            return;
        }
        let expires_ms = self.messages.get(id).map_or(0, Message::expires_ms);
        self.mortal.remove(&(expires_ms, id));
    }

    /// Takes a message out of the index of its state, and answers since when it was in that. Its size does not count until
    /// it enters another.
    fn leave(&mut self, id: Id) -> Result<u64, Malformed> {
        let message = self.messages.get(id).ok_or(Malformed)?;
        let (line, when_ms, since_ms) = (message.line, message.when_ms, message.since_ms);
        let (place_ms, state, deliveries) = (message.place_ms, message.state, message.deliveries);
        self.bytes -= message.heap_size();
        match state {
            State::Ready => {
                self.ready -= 1;
                self.lines.take(line, (place_ms, id));
                self.forget_mortal(id);
            }
            State::Delayed => {
                self.delayed.remove(&(when_ms, id));
                if deliveries > 0 {
                    self.lines.retry(line, false);
                }
                self.forget_mortal(id);
            }
            State::Leased => {
                let consumer = message.consumer();
                if let Some(count) = self.consumers.get_mut(consumer) {
                    *count -= 1;
                    if *count == 0 {
                        self.bytes -= size_class(consumer.len());
                        self.consumers.remove(consumer);
                    }
                }
                self.leased.remove(&(when_ms, id));
                self.lines.end_out(line);
            }
            State::Dead => {
                self.dead.remove(&(since_ms, id));
            }
        }
        Ok(since_ms)
    }

    /// Puts a message where it waits: in its line, since that time.
    fn enter_ready(&mut self, id: Id, since_ms: u64) -> Result<(), Malformed> {
        let message = self.messages.get_mut(id).ok_or(Malformed)?;
        message.state = State::Ready;
        message.when_ms = 0;
        message.since_ms = since_ms;
        self.bytes += message.heap_size();
        let expires_ms = message.expires_ms();
        let place = Place { ms: message.place_ms, id, priority: message.priority };
        self.lines.put(message.line, place);
        self.ready += 1;
        self.note_waiting(id, expires_ms);
        Ok(())
    }

    /// Has a message wait for its time. One that failed holds up its group.
    fn enter_delayed(&mut self, id: Id, due_ms: u64) -> Result<(), Malformed> {
        let message = self.messages.get_mut(id).ok_or(Malformed)?;
        message.state = State::Delayed;
        message.when_ms = due_ms;
        self.bytes += message.heap_size();
        let expires_ms = message.expires_ms();
        if message.deliveries > 0 {
            self.lines.retry(message.line, true);
        }
        self.delayed.insert((due_ms, id));
        self.note_waiting(id, expires_ms);
        Ok(())
    }

    fn note_waiting(&mut self, id: Id, expires_ms: u64) {
        if expires_ms > 0 {
            self.mortal.insert((expires_ms, id));
        }
        self.oldest_waiting = self.oldest_waiting.min(id);
    }

    /// A message that has left its index is dead.
    fn bury(&mut self, id: Id, now_ms: u64, reason: &[u8]) -> Result<(), Malformed> {
        let history = self.options.history as usize;
        let message = self.messages.get_mut(id).ok_or(Malformed)?;
        if message.state == State::Leased {
            message.fail(reason, history);
        } else {
            message.extra_mut().reason = reason.into();
        }
        message.state = State::Dead;
        message.when_ms = 0;
        message.since_ms = now_ms;
        let dedup = message.dedup();
        if !dedup.is_empty() {
            self.dedup.release(dedup, id);
        }
        self.bytes += message.heap_size();
        self.dead.insert((now_ms, id));
        self.totals.dead += 1;
        self.bound_dead();
        Ok(())
    }

    fn bound_dead(&mut self) {
        while self.options.dead_max > 0 && self.dead.len() as u64 > self.options.dead_max {
            let Some(&(_, id)) = self.dead.first() else { break };
            if self.remove(id).is_err() {
                break;
            }
        }
    }

    fn remove(&mut self, id: Id) -> Result<(), Malformed> {
        self.leave(id)?;
        self.forget(id)
    }

    /// A message that has left its index is gone.
    fn forget(&mut self, id: Id) -> Result<(), Malformed> {
        let message = self.messages.remove(id).ok_or(Malformed)?;
        if !message.dedup().is_empty() {
            self.dedup.release(message.dedup(), id);
        }
        self.lines.drop_member(message.line);
        Ok(())
    }

    fn elapse(&mut self, now_ms: u64) {
        // A clock that was set back may not close a queue for longer than anybody asked for.
        self.clamp(now_ms);
        self.lines.hold_seats();
        for _ in 0..ELAPSE_MAX {
            let Some(&(end_ms, id)) = self.leased.first().filter(|(end_ms, _)| *end_ms <= now_ms) else {
                break;
            };
            if self.lease_ends(id, end_ms).is_err() {
                break;
            }
        }
        for _ in 0..ELAPSE_MAX {
            let Some(&(due_ms, id)) = self.delayed.first().filter(|(due_ms, _)| *due_ms <= now_ms) else {
                break;
            };
            if self.leave(id).and_then(|_| self.enter_ready(id, due_ms)).is_err() {
                break;
            }
        }
        for _ in 0..ELAPSE_MAX {
            let Some(&(end_ms, id)) = self.mortal.first().filter(|(end_ms, _)| *end_ms <= now_ms) else {
                break;
            };
            self.totals.outlived += 1;
            let dies = self.options.expired_die;
            let done = if dies {
                self.leave(id).and_then(|_| self.bury(id, end_ms, OUTLIVED))
            } else {
                self.remove(id)
            };
            if done.is_err() {
                break;
            }
        }
        for _ in 0..ELAPSE_MAX {
            let kept_ms = self.options.dead_ttl_ms;
            let is_over =
                |(died_ms, _): &&(u64, Id)| kept_ms > 0 && died_ms.saturating_add(kept_ms) <= now_ms;
            let Some(&(_, id)) = self.dead.first().filter(is_over) else { break };
            if self.remove(id).is_err() {
                break;
            }
        }
        self.dedup.elapse(now_ms, ELAPSE_MAX);
        self.lines.elapse(now_ms, ELAPSE_MAX);
        self.lines.release_seats();
        if self.pause.until_ms > 0 && self.pause.until_ms <= now_ms {
            self.pause = Pause::default();
        }
        if self.meter.as_ref().is_some_and(|meter| meter.reset_ms <= now_ms) {
            self.meter = None;
        }
    }

    /// Reads ends of leases and delays that are later than any can be as the latest that can, and limiters that are closed for
    /// longer than they can be as those that were used up now.
    fn clamp(&mut self, now_ms: u64) {
        for (is_lease, most_ms) in [(true, LEASE_MAX_MS), (false, DELAY_MAX_MS)] {
            let latest_ms = now_ms.saturating_add(most_ms);
            for _ in 0..ELAPSE_MAX {
                let set = if is_lease { &mut self.leased } else { &mut self.delayed };
                let Some(&(when_ms, id)) = set.last().filter(|(when_ms, _)| *when_ms > latest_ms) else {
                    break;
                };
                set.remove(&(when_ms, id));
                set.insert((latest_ms, id));
                if let Some(message) = self.messages.get_mut(id) {
                    message.when_ms = latest_ms;
                }
            }
        }
        if let Some(meter) = self.meter.as_mut().filter(|meter| meter.is_beyond(now_ms)) {
            **meter = meter.brought_back(now_ms);
        }
        self.lines.clamp(now_ms, ELAPSE_MAX);
    }

    fn lease_ends(&mut self, id: Id, end_ms: u64) -> Result<(), Malformed> {
        self.leave(id)?;
        self.totals.expired += 1;
        let history = self.options.history as usize;
        let message = self.messages.get_mut(id).ok_or(Malformed)?;
        if self.options.is_last(message) {
            self.bury(id, end_ms, LEASE_EXPIRED)
        } else {
            message.fail(LEASE_EXPIRED, history);
            self.enter_ready(id, end_ms)
        }
    }

    /// Removes the oldest messages that wait.
    fn trim(&mut self, count: u64) {
        let mut left = count;
        while left > 0 {
            let from = Id { ms: self.oldest_waiting.ms, seq: self.oldest_waiting.seq };
            let waits = |message: &&Message| matches!(message.state, State::Ready | State::Delayed);
            let first = self.messages.get(from).filter(waits);
            let Some(id) = first.or_else(|| self.messages.after(from).find(waits)).map(|message| message.id)
            else {
                return;
            };
            self.oldest_waiting = id;
            if self.remove(id).is_err() {
                return;
            }
            left -= 1;
        }
    }

    fn purge(&mut self, state: Option<State>) {
        let Some(state) = state else {
            let group_max = self.options.group_max;
            let kept = std::mem::take(self);
            let Queue { options, last, pause, totals, recently, .. } = kept;
            *self = Queue { options, last, pause, totals, recently, ..Queue::default() };
            self.lines.set_group_max(group_max);
            return;
        };
        let ids: Vec<Id> =
            self.messages.iter().filter(|message| message.state == state).map(|message| message.id).collect();
        for id in ids {
            let removed = self.remove(id);
            debug_assert_eq!(removed, Ok(()), "it was there a moment ago");
        }
    }

    /// Nobody has a message of a copy: all leases are given back, since their messages came.
    pub fn forget_leases(&mut self) {
        while let Some(&(_, id)) = self.leased.first() {
            let place_ms = self.messages.get(id).map_or(0, |message| message.place_ms);
            if self.apply(&Effect::Release { id, now_ms: place_ms }).is_err() {
                return;
            }
        }
    }

    /// The greatest token of a delivery. O(n).
    pub fn newest_token(&self) -> u64 {
        self.messages.iter().map(|message| message.token).max().unwrap_or(0)
    }
}

impl Options {
    /// Whether the message has been delivered as often as it may be.
    pub fn is_last(&self, message: &Message) -> bool {
        let own = message.extra.as_ref().and_then(|extra| extra.max_deliver);
        let max = own.unwrap_or(self.max_deliver);
        max > 0 && message.deliveries >= max
    }
}
