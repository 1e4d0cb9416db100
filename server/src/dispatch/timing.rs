//! Requests that wait, and time: moments of the native clock, the end of a wait, a clock that is moved by hand.

use super::Worker;
use crate::registry::Body;
use crate::session::Ending;
use crate::shard::block::{NEVER_MS, Waiter};
use crate::shard::exec::{Call, Grip};
use crate::shard::news::NOBODY;
use crate::shared::PauseKind;
use smallvec::SmallVec;
use std::sync::Arc;
use tidegate_commands::model::{Args, Reply};
use tidegate_data::Touched;

/// Keys that one hold of a shard looks at.
const BUDGET: usize = 64;

impl Worker {
    /// Looks at keys of a shard whose moment has come. False when nothing may be changed now.
    pub fn run_timers(&mut self, shard: u16) -> bool {
        self.begin_turn();
        let now_ms = self.exec.now_ms;
        if self.shared.pause.kind(now_ms) != PauseKind::None {
            return false;
        }
        let native_ms = self.shared.native.clock.readings().0;
        self.serve_shard(shard, |table| table.take_due(native_ms, BUDGET));
        true
    }

    /// Serves who waits for keys of a shard that `find` names, though nobody has touched them.
    fn serve_shard(
        &mut self,
        shard: u16,
        find: impl FnOnce(&mut crate::shard::block::WaitTable) -> Vec<(u16, Box<[u8]>)>,
    ) {
        let shared = self.eternal;
        let actor = std::mem::replace(&mut self.exec.actor, NOBODY);
        let mut hold = shared.shards.hold(self.with_stream(shard));
        if let Some(data) = hold.shard_mut(shard) {
            let found = find(&mut data.awaited);
            let touched = found.into_iter().map(|(db, key)| Touched { db, shard, key });
            let touched: Vec<Touched> = touched.collect();
            shared.native.timers.set(shard, data.awaited.next_timer_ms());
            let mut grip = Grip::Many(&mut hold);
            self.exec.touch_awaited(&mut grip, &touched);
            self.serve_ready(&mut grip);
        }
        drop(hold);
        self.serve_postponed();
        self.exec.free_garbage();
        self.exec.actor = actor;
        self.finish_news();
        self.finish_journal(None);
    }

    /// A request waits no longer; whoever stood behind it may perhaps go on.
    pub(super) fn leave_queues(&mut self, waiter: &Arc<Waiter>) {
        for (index, key) in waiter.keys.iter().enumerate().filter(|(_, key)| key.is_registered()) {
            let held_up = {
                let mut hold = self.eternal.shards.hold_one(key.shard);
                hold.data_mut().awaited.remove(waiter, index)
            };
            if held_up {
                self.serve_shard(key.shard, |_| vec![(waiter.db, key.name.clone())]);
            }
        }
    }

    /// Runs what a request named for the case that its time is up.
    pub(super) fn answer_at_end(&mut self, waiter: &Waiter, out: &mut Vec<u8>) {
        let Some(kind) = &waiter.at_end else { return };
        let Body::Data(handler) = kind.entry.body else {
            unreachable!("only a command of the keyspace waits for keys");
        };
        let shards: SmallVec<[u16; 16]> =
            kind.keys.iter().map(|key| key.shard).chain(self.exec.stream_shard()).collect();
        let mut hold = self.eternal.shards.hold(shards);
        let mut grip = Grip::Many(&mut hold);
        let mut call = Call {
            handler,
            args: Args::new(&kind.request.bytes, &kind.request.args, &kind.keys, kind.entry.words),
            db: waiter.db.into(),
            access: self.access_of(waiter.no_touch),
            is_retry: false,
        };
        let is_amidst = std::mem::replace(&mut self.exec.is_amidst, true);
        let mut reply = Reply::new(out, waiter.protocol);
        // An error is the answer as well.
        let _ = self.exec.run(&mut grip, &mut call, &mut reply);
        self.exec.is_amidst = is_amidst;
        self.exec.finish_unit(&mut grip);
        self.exec.take_wait();
        self.serve_ready(&mut grip);
        drop(hold);
        self.serve_postponed();
        self.exec.free_garbage();
    }

    /// `DEBUG CLOCK ADVANCE`: moves clocks that stand still, and does on the way what has to be done, each thing at its
    /// moment: those who wait are served, and where their time is up they wait no longer. False if the clocks go.
    pub fn advance_clocks(&mut self, ms: i64) -> bool {
        let shared = self.eternal;
        let clock = &shared.native.clock;
        let Some(start_ms) = clock.frozen_ms() else { return false };
        let end_ms = start_ms.saturating_add(ms);
        loop {
            let now_ms = clock.frozen_ms().unwrap_or(end_ms);
            let due_ms = shared.native.timers.first_ms();
            let next_ms = due_ms.min(self.first_deadline_ms()).max(now_ms);
            if next_ms > end_ms {
                break;
            }
            clock.advance(next_ms - now_ms);
            if due_ms <= next_ms {
                let due: Vec<u16> = shared.native.timers.due(next_ms).collect();
                if !due.into_iter().all(|shard| self.run_timers(shard)) {
                    break;
                }
            } else {
                self.end_waits(next_ms);
            }
        }
        let now_ms = clock.frozen_ms().unwrap_or(end_ms);
        clock.advance(end_ms - now_ms);
        self.begin_turn();
        true
    }

    /// When the time of the first request that waits is up.
    fn first_deadline_ms(&self) -> i64 {
        let mut first_ms = NEVER_MS;
        for shard in 0..self.eternal.shards.len() as u16 {
            let hold = self.eternal.shards.hold_one(shard);
            hold.data().awaited.each_waiter(|place| {
                if place.waiter.is_waiting() {
                    first_ms = first_ms.min(place.waiter.until_ms);
                }
            });
        }
        first_ms
    }

    /// The time of those who wait until now is up.
    fn end_waits(&mut self, now_ms: i64) {
        self.begin_turn();
        let mut over = Vec::new();
        for shard in 0..self.eternal.shards.len() as u16 {
            let hold = self.eternal.shards.hold_one(shard);
            hold.data().awaited.each_waiter(|place| {
                if place.waiter.until_ms <= now_ms {
                    over.push(Arc::clone(&place.waiter));
                }
            });
        }
        for waiter in over {
            if let Some(claim) = waiter.client.waiting.claim(waiter.wait) {
                claim.end(Ending::TimedOut);
            }
            self.leave_queues(&waiter);
            waiter.client.waker.wake();
        }
    }
}
