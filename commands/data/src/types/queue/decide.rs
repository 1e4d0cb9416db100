//! What commands ask of a queue before they change it. Nothing here does.

use super::message::{Id, Message, State};
use super::{Pause, Queue};
use crate::types::queue::dedup::Known;
use crate::types::queue::lines::{CLASSES, Meter};
use crate::types::ratelimit::{Limiter, MS, Spec};

/// Who wants a message, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    pub now_ms: u64,
    /// Empty for nobody in particular.
    pub consumer: &'a [u8],
    /// What the queue's policies say, if there are such policies.
    pub rate: Option<&'a Spec>,
    pub group_rate: Option<&'a Spec>,
}

/// What a pop would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This message.
    Give(Id),
    /// None, before somebody changes the queue or, if there is one, this time has come.
    Nothing { retry_ms: Option<u64> },
}

/// A limiter after a delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered {
    pub limiter: Limiter,
    /// When the next one may pass; 0: at once.
    pub open_ms: u64,
    /// When it is as new.
    pub reset_ms: u64,
}

/// How many messages there are in each state at a given time, in the order of [`State::ALL`].
pub type Visible = [usize; 4];

impl Queue {
    /// Whether the time alone changes something. O(1).
    pub fn is_due(&self, now_ms: u64) -> bool {
        let is_due = |ms: Option<u64>| ms.is_some_and(|ms| ms <= now_ms);
        let first = |set: &std::collections::BTreeSet<(u64, Id)>| set.first().map(|first| first.0);
        let (kept_ms, pause_ms) = (self.options.dead_ttl_ms, self.pause.until_ms);
        is_due(first(&self.leased))
            || is_due(first(&self.delayed))
            || is_due(first(&self.mortal))
            || kept_ms > 0 && is_due(first(&self.dead).map(|ms| ms.saturating_add(kept_ms)))
            || pause_ms > 0 && pause_ms <= now_ms
            || is_due(self.dedup.next_ms())
            || is_due(self.lines.next_ms())
            || is_due(self.meter.as_ref().map(|meter| meter.reset_ms))
            || self.is_beyond(now_ms)
            || self.meter.as_ref().is_some_and(|meter| meter.is_beyond(now_ms))
            || self.lines.has_beyond(now_ms)
    }

    fn is_beyond(&self, now_ms: u64) -> bool {
        let beyond = |set: &std::collections::BTreeSet<(u64, Id)>, most_ms: u64| {
            set.last().is_some_and(|last| last.0 > now_ms.saturating_add(most_ms))
        };
        beyond(&self.leased, super::LEASE_MAX_MS) || beyond(&self.delayed, super::DELAY_MAX_MS)
    }

    /// When something may be given out that is not now: a lease ends, a message is due, a group may go on.
    fn wake_ms(&self) -> Option<u64> {
        let lease_ms = self.leased.first().map(|first| first.0);
        let due_ms = self.delayed.first().map(|first| first.0);
        [lease_ms, due_ms, self.lines.opens_ms()].into_iter().flatten().min()
    }

    /// Whether messages come in and go out.
    pub fn pause(&self, now_ms: u64) -> Pause {
        let is_over = self.pause.until_ms > 0 && self.pause.until_ms <= now_ms;
        if is_over { Pause::default() } else { self.pause }
    }

    /// The message that a pop would get. What the time brings has been applied. O(log n).
    pub fn next(&self, ask: &Ask<'_>) -> Next {
        let now_ms = ask.now_ms;
        let pause = self.pause(now_ms);
        if pause.output {
            return Next::Nothing { retry_ms: Some(pause.until_ms).filter(|ms| *ms > 0) };
        }
        let retry_ms = self.wake_ms();
        let max = self.options.max_in_flight as usize;
        if max > 0 && self.leased.len() >= max {
            return Next::Nothing { retry_ms };
        }
        let consumer_max = self.options.consumer_max;
        if consumer_max > 0 && self.consumers.get(ask.consumer).is_some_and(|count| *count >= consumer_max) {
            return Next::Nothing { retry_ms };
        }
        let Some(id) = self.head(now_ms) else { return Next::Nothing { retry_ms } };
        if let Some(spec) = ask.rate {
            let verdict = up_to_date(self.meter.as_ref().map(|meter| &meter.limiter), spec, now_ms)
                .judge(1, ns(now_ms));
            if !verdict.allowed {
                let open_ms = now_ms.saturating_add(verdict.retry_ms.max(1) as u64);
                return Next::Nothing { retry_ms: Some(open_ms) };
            }
        }
        Next::Give(id)
    }

    /// The message whose turn it is, whatever the queue as a whole may give.
    fn head(&self, now_ms: u64) -> Option<Id> {
        let aging_ms = self.options.aging_ms;
        let mut best: Option<(u64, u64, Id)> = None;
        for class in (0..CLASSES as u8).rev() {
            let Some((_, place)) = self.lines.head(class) else { continue };
            if aging_ms == 0 {
                return Some(place.id);
            }
            let since_ms = self.messages.get(place.id)?.since_ms;
            let aged = now_ms.saturating_sub(since_ms) / aging_ms;
            let class = aged.saturating_add(u64::from(class)).min(9);
            let is_better = best
                .is_none_or(|(c, since, id)| class > c || class == c && (since_ms, place.id) < (since, id));
            if is_better {
                best = Some((class, since_ms, place.id));
            }
        }
        best.map(|best| best.2)
    }

    /// The limiter of the queue after one more delivery.
    pub fn metered(&self, spec: &Spec, now_ms: u64) -> Metered {
        charged(up_to_date(self.meter.as_ref().map(|meter| &meter.limiter), spec, now_ms), now_ms)
    }

    /// The limiter of a group after one more delivery.
    pub fn group_metered(&self, group: &[u8], spec: &Spec, now_ms: u64) -> Metered {
        let meter = self.lines.find(group).and_then(|line| self.lines.meter(line));
        charged(up_to_date(meter.map(|meter| &meter.limiter), spec, now_ms), now_ms)
    }

    /// The id of a message that is pushed now.
    pub fn next_id(&self, now_ms: u64) -> Option<Id> {
        if now_ms > self.last.ms { Some(Id { ms: now_ms, seq: 0 }) } else { self.last.next() }
    }

    /// Whether a receipt is that of a delivery under way. O(log n).
    pub fn is_current(&self, id: Id, token: u64, now_ms: u64) -> bool {
        let message = self.messages.get(id);
        message.is_some_and(|m| m.state == State::Leased && m.token == token && m.when_ms > now_ms)
    }

    /// What a name stands for, under which something is pushed. O(log n).
    pub fn known(&self, name: &[u8], now_ms: u64) -> Option<Known> {
        self.dedup.get(name).filter(|known| known.until_ms == 0 || known.until_ms > now_ms)
    }

    /// A message by its id, in whatever state it was left. O(log n).
    pub fn get(&self, id: Id) -> Option<&Message> {
        self.messages.get(id)
    }

    /// The group of a message; empty if it has none.
    pub fn group(&self, message: &Message) -> &[u8] {
        self.lines.name(message.line)
    }

    /// The groups that have messages.
    pub fn groups(&self) -> usize {
        self.lines.groups()
    }

    /// All messages behind an id, in the order of their ids.
    pub fn after(&self, id: Option<Id>) -> impl Iterator<Item = &Message> {
        let first = if id.is_none() { self.messages.get(Id::default()) } else { None };
        first.into_iter().chain(self.messages.after(id.unwrap_or_default()))
    }

    /// The state of a message at this time; `None`: it is gone.
    pub fn state_of(&self, message: &Message, now_ms: u64) -> Option<State> {
        let mut state = message.state;
        let mut since_ms = message.since_ms;
        match state {
            State::Delayed if message.when_ms <= now_ms => state = State::Ready,
            State::Leased if message.when_ms <= now_ms => {
                since_ms = message.when_ms;
                state = if self.options.is_last(message) { State::Dead } else { State::Ready };
            }
            _ => {}
        }
        let expires_ms = message.expires_ms();
        if matches!(state, State::Ready | State::Delayed) && expires_ms > 0 && expires_ms <= now_ms {
            since_ms = expires_ms;
            state = if self.options.expired_die { State::Dead } else { return None };
        }
        let kept_ms = self.options.dead_ttl_ms;
        if state == State::Dead && kept_ms > 0 && since_ms.saturating_add(kept_ms) <= now_ms {
            return None;
        }
        Some(state)
    }

    /// How many messages wait that nothing was applied to yet: [`Self::visible`] without what time brought since.
    pub fn len(&self, state: State) -> usize {
        match state {
            State::Ready => self.ready,
            State::Delayed => self.delayed.len(),
            State::Leased => self.leased.len(),
            State::Dead => self.dead.len(),
        }
    }

    /// True without messages.
    pub fn is_empty(&self) -> bool {
        self.messages.len() == 0
    }

    /// How many messages there are in each state at this time. O(those that time has changed).
    pub fn visible(&self, now_ms: u64) -> Visible {
        let mut counts = State::ALL.map(|state| self.len(state));
        if !self.is_due(now_ms) {
            return counts;
        }
        let mut count = |message: &Message| {
            let (before, after) = (message.state, self.state_of(message, now_ms));
            if after != Some(before) {
                counts[before as usize] -= 1;
                if let Some(after) = after {
                    counts[after as usize] += 1;
                }
            }
        };
        let due = |set: &'_ std::collections::BTreeSet<(u64, Id)>, until_ms: u64| -> Vec<Id> {
            set.iter().take_while(|(ms, _)| *ms <= until_ms).map(|(_, id)| *id).collect()
        };
        for id in due(&self.leased, now_ms).into_iter().chain(due(&self.delayed, now_ms)) {
            self.messages.get(id).into_iter().for_each(&mut count);
        }
        for id in due(&self.mortal, now_ms) {
            // One that is due was counted above.
            let waits = |message: &&Message| message.state == State::Ready || message.when_ms > now_ms;
            self.messages.get(id).filter(waits).into_iter().for_each(&mut count);
        }
        let kept_ms = self.options.dead_ttl_ms;
        if kept_ms > 0 && kept_ms <= now_ms {
            for id in due(&self.dead, now_ms - kept_ms) {
                self.messages.get(id).into_iter().for_each(&mut count);
            }
        }
        counts
    }

    /// The messages in a state at this time, behind an id, in the order of their ids; at most `max`. O(n), or
    /// O(m log m) for the m messages of the state if they are few.
    pub fn list(&self, state: State, after: Option<Id>, max: usize, now_ms: u64) -> Vec<&Message> {
        /// So many times as many messages are looked at in a row as are sorted.
        const WORTH: usize = 4;
        let is_in = |message: &&Message| self.state_of(message, now_ms) == Some(state);
        let index = match state {
            State::Delayed => Some(&self.delayed),
            State::Leased => Some(&self.leased),
            State::Dead if !self.is_due(now_ms) => Some(&self.dead),
            _ => None,
        };
        if let Some(index) = index.filter(|index| index.len() * WORTH < self.messages.len()) {
            let ids = index.iter().map(|(_, id)| *id).filter(|id| after.is_none_or(|after| *id > after));
            let mut ids: Vec<Id> = ids.collect();
            ids.sort_unstable();
            return ids.iter().filter_map(|id| self.messages.get(*id)).filter(is_in).take(max).collect();
        }
        self.after(after).filter(is_in).take(max).collect()
    }

    /// How many messages have to go before so many more are let in.
    pub fn excess(&self, more: u64) -> u64 {
        let waiting = (self.ready + self.delayed.len()) as u64;
        let max = self.options.max_len;
        if max == 0 { 0 } else { (waiting + more).saturating_sub(max) }
    }

    /// How long the oldest message waits that is ready, in ms; 0 without any. O(messages that are out or dead).
    pub fn oldest_ms(&self, now_ms: u64) -> u64 {
        let hint = self.messages.get(self.oldest_waiting).into_iter();
        let all = hint.chain(self.messages.after(self.oldest_waiting));
        let oldest = if self.ready == 0 { None } else { all.into_iter().find(|m| m.state == State::Ready) };
        oldest.map_or(0, |message| now_ms.saturating_sub(message.since_ms))
    }
}

fn ns(ms: u64) -> i64 {
    i64::try_from(ms).ok().and_then(|ms| ms.checked_mul(MS)).unwrap_or(i64::MAX / 4)
}

/// The limiter, or a fresh one if there is none or it is of another kind.
fn up_to_date(limiter: Option<&Limiter>, spec: &Spec, now_ms: u64) -> Limiter {
    let now_ns = ns(now_ms);
    let known = limiter.cloned().and_then(|mut limiter| {
        limiter.adopt(spec, now_ns).ok()?;
        Some(limiter)
    });
    known.unwrap_or_else(|| spec.fresh(now_ns))
}

fn charged(mut limiter: Limiter, now_ms: u64) -> Metered {
    limiter.take(1, ns(now_ms));
    measured(limiter, now_ms)
}

/// The limiter, with when it lets something pass.
fn measured(limiter: Limiter, now_ms: u64) -> Metered {
    let now_ns = ns(now_ms);
    let next = limiter.judge(1, now_ns);
    let open_ms = if next.allowed { 0 } else { now_ms.saturating_add(next.retry_ms.max(1) as u64) };
    let reset_ms = now_ms.saturating_add(next.reset_ms.max(1) as u64);
    Metered { limiter, open_ms, reset_ms }
}

impl Meter {
    /// It is to be as new later than its limiter can be: the clock was set back.
    pub(super) fn is_beyond(&self, now_ms: u64) -> bool {
        let ahead_ms = i64::try_from(self.reset_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX);
        self.limiter.is_beyond(ahead_ms)
    }

    /// The same as it can be at most at this time.
    pub(super) fn brought_back(&self, now_ms: u64) -> Meter {
        let limiter = up_to_date(Some(&self.limiter), &self.limiter.spec(), now_ms);
        let Metered { limiter, open_ms, reset_ms } = measured(limiter, now_ms);
        Meter { limiter, open_ms, reset_ms }
    }
}
