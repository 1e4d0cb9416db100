//! A queue while a command changes it.

use super::effect;
use super::letters::hand_over;
use crate::model::{Ctx, Effects, Env, Error, Outcome, Reply};
use tidegate_data::types::queue::{Effect, Queue, State, XQueue};
use tidegate_data::{Boxed, EventClass, Key, Keys, Record, Write};

/// The time of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// That of queues, in milliseconds.
    pub(super) ms: u64,
    /// What the time of day is ahead of it.
    wall_ahead_ms: i64,
}

impl Now {
    pub(super) fn of(env: &Env) -> Self {
        let ms = env.native_ms().max(0);
        Now { ms: ms as u64, wall_ahead_ms: env.now_ms() - ms }
    }

    /// A time of queues as that of day.
    pub(super) fn to_wall(self, ms: u64) -> i64 {
        i64::try_from(ms).unwrap_or(i64::MAX).saturating_add(self.wall_ahead_ms)
    }

    /// A time of day as that of queues.
    pub(super) fn of_wall(self, wall_ms: i64) -> u64 {
        wall_ms.saturating_sub(self.wall_ahead_ms).max(0) as u64
    }
}

/// A queue that is changed, and what the journal will hear of it.
pub(super) struct Open<'k, 'a, 'n> {
    key: Key<'n>,
    write: Write<'k, 'a, 'n, XQueue>,
    effects: Effects,
    /// What time has brought, of which the journal will hear together with what comes next: a queue that it has emptied
    /// would be gone in between.
    elapsed_ms: Option<u64>,
    is_journaled: bool,
    changes: u64,
    ready_before: usize,
    dead_before: u64,
    pub(super) now: Now,
}

/// What was done to queues.
#[derive(Default)]
pub(crate) struct Done {
    effects: Effects,
    changes: u64,
    /// Queues with dead messages for others.
    letters: Vec<Letters>,
}

/// A queue with dead messages for another one: its key, and that one's.
struct Letters {
    key: Box<[u8]>,
    hash: u64,
    shard: u16,
    to: Box<[u8]>,
}

impl Done {
    /// The same, and what was done to another queue.
    pub(super) fn and(mut self, mut other: Done) -> Self {
        self.letters.append(&mut other.letters);
        if self.changes == 0 {
            return Done { letters: self.letters, ..other };
        }
        self.effects.push_encoded(other.effects.bytes(), other.effects.len());
        self.changes += other.changes;
        self
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.changes > 0
    }

    /// The effects, for a command that waits now, or changes something else as well.
    pub(crate) fn into_effects(self, cx: &mut Ctx) -> Effects {
        self.hand_over(cx).effects
    }

    pub(crate) fn outcome(self, cx: &mut Ctx) -> Outcome {
        let done = self.hand_over(cx);
        if done.changes == 0 {
            return Outcome::Same;
        }
        cx.env.changed_as(|| Outcome::ChangedAs(done.effects))
    }

    /// The same, and the dead are where they are to be.
    fn hand_over(mut self, cx: &mut Ctx) -> Self {
        for Letters { key, hash, shard, to } in std::mem::take(&mut self.letters) {
            let key = Key::new(&key, hash, shard);
            self = self.and(hand_over(&mut cx.keys, &cx.env, key, &to));
        }
        // Those that could not be handed over stay.
        self.letters.clear();
        self
    }
}

impl<'k, 'a, 'n> Open<'k, 'a, 'n> {
    /// The queue at `key`, as it is now; `None` if there is none.
    pub(super) fn of(keys: &'k mut Keys<'a>, env: &Env, key: Key<'n>) -> Result<Option<Self>, Error> {
        let now = Now::of(env);
        let write = keys.write_as::<XQueue>(key)?;
        Ok(write.map(|write| Self::new(write, key, env.is_journaled(), now)))
    }

    /// The same; an empty one if there is none.
    pub(super) fn or_create(keys: &'k mut Keys<'a>, env: &Env, key: Key<'n>) -> Result<Self, Error> {
        let now = Now::of(env);
        let write = keys.write_or_create::<XQueue>(key)?;
        Ok(Self::new(write, key, env.is_journaled(), now))
    }

    fn new(write: Write<'k, 'a, 'n, XQueue>, key: Key<'n>, is_journaled: bool, now: Now) -> Self {
        let queue = &write.view().0;
        let (ready_before, dead_before) = (queue.len(State::Ready), queue.totals().dead);
        let is_due = queue.is_due(now.ms);
        let mut open = Open {
            key,
            write,
            effects: Effects::default(),
            elapsed_ms: None,
            is_journaled,
            changes: 0,
            ready_before,
            dead_before,
            now,
        };
        if is_due {
            open.make_elapse();
        }
        open
    }

    /// The command waits then, and says by its effects that it has changed something, whether or not anybody hears.
    pub(super) fn tell_all(&mut self) {
        self.is_journaled = true;
    }

    pub(super) fn is_new(&self) -> bool {
        self.write.is_new()
    }

    pub(super) fn key(&self) -> Key<'n> {
        self.key
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.write.view().0
    }

    /// Makes a change that was decided on by looking at the queue.
    pub(super) fn apply(&mut self, effect: &Effect<'_>) {
        self.write.change().0.apply(effect).expect("it was decided on what is there");
        self.changes += 1;
        if self.is_journaled {
            effect::push(&mut self.effects, self.key.bytes(), self.elapsed_ms.take(), effect);
        }
    }

    /// Applies what time has brought; false if that was nothing.
    pub(super) fn elapse(&mut self) -> bool {
        let is_due = self.queue().is_due(self.now.ms);
        if is_due {
            self.make_elapse();
        }
        is_due
    }

    fn make_elapse(&mut self) {
        let now_ms = self.now.ms;
        self.tell_elapsed();
        self.write.change().0.apply(&Effect::Elapse(now_ms)).expect("time fits every queue");
        self.changes += 1;
        self.elapsed_ms = Some(now_ms);
    }

    fn tell_elapsed(&mut self) {
        // It may be all that a command has done before it waits, which says so by its effects whether or not anybody hears.
        if let Some(now_ms) = self.elapsed_ms.take() {
            effect::push(&mut self.effects, self.key.bytes(), None, &Effect::Elapse(now_ms));
        }
    }

    /// A push was one that had been made before.
    pub(super) fn note_deduped(&mut self) {
        self.write.change_untold().0.note_deduped();
    }

    pub(super) fn event(&mut self, name: &'static str) {
        self.write.event(EventClass::Module, name);
    }

    /// The command is refused. Where time had brought something before, that is told, and the error is all that is written.
    pub(super) fn refused(self, reply: &mut Reply, error: Error) -> Result<Done, Error> {
        if self.changes == 0 {
            return Err(error);
        }
        reply.error(&error);
        Ok(self.done())
    }

    /// The command has done what it does.
    pub(super) fn done(mut self) -> Done {
        self.tell_elapsed();
        let queue = self.queue();
        let (ready, dead) = (queue.len(State::Ready), queue.totals().dead);
        // There is nobody to hand anything over to, nearly always.
        let has_letters = queue.len(State::Dead) > 0 && !queue.options().dead_letters.is_empty();
        if self.ready_before == 0 && ready > 0 {
            self.event("xqueue.push");
        }
        if dead > self.dead_before {
            self.event("xqueue.dead");
        }
        let mut letters = Vec::new();
        if has_letters {
            let to = &self.queue().options().dead_letters;
            if **to != *self.key.bytes() {
                let (key, hash, shard) = (self.key.bytes().into(), self.key.hash(), self.key.shard());
                letters.push(Letters { key, hash, shard, to: to.clone() });
            }
        }
        Done { effects: self.effects, changes: self.changes, letters }
    }
}

/// Nobody has a message of a copy.
pub(crate) fn as_copy(mut record: Record) -> Record {
    if let Some(queue) = record.boxed_mut().and_then(<XQueue as Boxed>::of_mut) {
        queue.0.forget_leases();
    }
    record
}
