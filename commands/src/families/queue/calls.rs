//! Requests that are sent through queues, and whoever waits for their answers.
//!
//! A call is in memory only: it belongs to the connection that made it, and answers to one that is gone are dropped. Whoever
//! answers a message names the call by the header of the message, and is believed if that call has pushed this very message.

use crate::model::Reply;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tidegate_data::types::queue::Id;

/// A connection that waits.
pub trait Caller: Send + Sync + std::fmt::Debug {
    /// Sends it its reply, which `write` writes, unless it waits no longer.
    fn answer(&self, write: &dyn Fn(&mut Reply));
}

/// A request that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    db: usize,
    key: Box<[u8]>,
    id: Id,
}

/// What the worker of a queue has answered.
#[derive(Debug)]
struct Answer {
    queue: Box<[u8]>,
    body: Box<[u8]>,
}

#[derive(Debug, Default)]
struct State {
    need: usize,
    /// Requests without an answer.
    asked: Vec<Asked>,
    /// In the order in which they came.
    answers: Vec<Answer>,
    caller: Option<Box<dyn Caller>>,
}

impl State {
    fn write(&self, reply: &mut Reply) {
        reply.array(2);
        reply.integer(i64::from(self.answers.len() >= self.need));
        reply.array(self.answers.len());
        for Answer { queue, body } in &self.answers {
            reply.array(2);
            reply.bulk(queue);
            reply.bulk(body);
        }
    }
}

/// A call that waits for answers. It is there as long as its connection waits.
#[derive(Debug)]
pub struct QueueCall {
    /// Its number, a token.
    number: i64,
    state: Mutex<State>,
}

impl PartialEq for QueueCall {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for QueueCall {}

impl QueueCall {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was pushed, whose answer is waited for.
    pub(super) fn ask(&self, db: usize, key: &[u8], id: Id) {
        self.state().asked.push(Asked { db, key: key.into(), id });
    }

    /// This connection waits for the answers. Nobody can have answered yet: the queues are still held.
    pub fn wait(&self, caller: Box<dyn Caller>) {
        self.state().caller = Some(caller);
    }

    /// Writes what there is until now: whether that is enough, and the answers with their queues.
    pub fn write(&self, reply: &mut Reply) {
        self.state().write(reply);
    }
}

/// The calls of a process, by their numbers.
#[derive(Debug, Default)]
pub struct CallBook {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_number: BTreeMap<i64, Weak<QueueCall>>,
    /// So many there are before those are looked for that wait no longer.
    sweep_at: usize,
}

impl CallBook {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call that so many answers are enough for. O(log(calls)), amortized.
    pub(super) fn begin(&self, number: i64, need: usize) -> Arc<QueueCall> {
        /// Fewer are not worth the look.
        const SWEEP_MIN: usize = 64;
        let state = Mutex::new(State { need, ..State::default() });
        let call = Arc::new(QueueCall { number, state });
        let mut calls = self.calls();
        if calls.by_number.len() >= calls.sweep_at {
            calls.by_number.retain(|_, call| call.strong_count() > 0);
            calls.sweep_at = SWEEP_MIN.max(2 * calls.by_number.len());
        }
        calls.by_number.insert(number, Arc::downgrade(&call));
        call
    }

    /// Gives the answer to a message to the call that has pushed it; false if nobody waits for it. O(log(calls) + requests
    /// of the call).
    pub(super) fn answer(&self, number: i64, db: usize, key: &[u8], id: Id, body: &[u8]) -> bool {
        let Some(call) = self.calls().by_number.get(&number).and_then(Weak::upgrade) else { return false };
        let mut state = call.state();
        let asked = |asked: &Asked| asked.db == db && *asked.key == *key && asked.id == id;
        let Some(at) = state.asked.iter().position(asked) else { return false };
        state.asked.swap_remove(at);
        state.answers.push(Answer { queue: key.into(), body: body.into() });
        if state.answers.len() < state.need {
            return true;
        }
        // It is over, and who answers now is too late.
        state.asked.clear();
        if let Some(caller) = state.caller.take() {
            caller.answer(&|reply| state.write(reply));
        }
        true
    }
}
