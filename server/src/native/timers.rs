//! Moments of the native clock at which keys that are waited for are looked at: leases that end, messages that become due.
//!
//! Nothing depends on them but who waits: what a key holds is found out anew at each access. A shard's queues keep their
//! moments in order ([`WaitTable`](crate::shard::block::WaitTable)), and tell the first of them here, where the thread that
//! tends the shard sleeps until then. `DEBUG CLOCK ADVANCE` runs them itself, each at its moment.

use crate::shard::block::NEVER_MS;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// Nobody sleeps longer than this where there is a moment to come: clocks may be set.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// When the shards have something to do.
#[derive(Debug)]
pub struct Timers {
    /// By shard: the first moment, milliseconds of the native clock. Written under the shard's lock.
    due: Box<[AtomicI64]>,
    /// By thread: one of its shards has an earlier moment than before.
    bells: Box<[Notify]>,
}

impl Timers {
    /// For so many shards that are tended by so many threads.
    pub fn new(shards: usize, threads: usize) -> Self {
        Timers {
            due: (0..shards).map(|_| AtomicI64::new(NEVER_MS)).collect(),
            bells: (0..threads.max(1)).map(|_| Notify::new()).collect(),
        }
    }

    /// The first moment of a shard, which is held.
    pub fn set(&self, shard: u16, due_ms: i64) {
        let due = &self.due[shard as usize];
        let before_ms = due.load(Relaxed);
        if before_ms == due_ms {
            return;
        }
        due.store(due_ms, Relaxed);
        if due_ms < before_ms {
            self.bells[shard as usize % self.bells.len()].notify_one();
        }
    }

    /// The first moment of all shards.
    pub fn first_ms(&self) -> i64 {
        self.due.iter().map(|due| due.load(Relaxed)).min().unwrap_or(NEVER_MS)
    }

    /// The shards that have something to do by now.
    pub fn due(&self, now_ms: i64) -> impl Iterator<Item = u16> {
        let is_due = move |(_, due): &(usize, &AtomicI64)| due.load(Relaxed) <= now_ms;
        self.due.iter().enumerate().filter(is_due).map(|(shard, _)| shard as u16)
    }

    /// The shards of this thread that have something to do, as soon as there are any. `now_ns` is the native clock.
    pub async fn come_due(&self, thread: usize, now_ns: impl Fn() -> i64) -> Vec<u16> {
        loop {
            let of_thread = self.due.iter().skip(thread).step_by(self.bells.len());
            let first_ms = of_thread.map(|due| due.load(Relaxed)).min().unwrap_or(NEVER_MS);
            if first_ms == NEVER_MS {
                self.bells[thread].notified().await;
                continue;
            }
            let now_ns = now_ns();
            let left_ns = first_ms.saturating_mul(1_000_000).saturating_sub(now_ns);
            if left_ns <= 0 {
                let is_ours = |shard: &u16| *shard as usize % self.bells.len() == thread;
                return self.due(now_ns / 1_000_000).filter(is_ours).collect();
            }
            let left = Duration::from_nanos(left_ns as u64).min(SLEEP_MAX);
            let _ = tokio::time::timeout(left, self.bells[thread].notified()).await;
        }
    }
}
