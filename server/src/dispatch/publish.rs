//! What is published becomes messages of the queues that are bound to its channel.
//!
//! Each is pushed as by `XQUEUE.PUSH`, in the same unit as a transaction where that holds the queue's shard; what a script
//! published whose shards were found to be others is pushed when it has released them, before it is answered.

use super::{Lookup, Worker, route};
use crate::registry::Body;
use crate::shard::Hold;
use crate::shard::exec::{Call, Grip};
use tidegate_commands::families::queue::BoundQueue;
use tidegate_commands::model::{Args, Protocol, Reply, StoredRequest};
use tidegate_data::Access;

/// A message of a queue that is not held yet.
#[derive(Debug)]
pub(super) struct Published {
    queue: BoundQueue,
    push: StoredRequest,
}

impl Worker {
    /// Pushes a message to all queues that are bound to its channel, and tells how many took it. `hold` is that of the
    /// transaction or script this runs in.
    pub(crate) fn publish_to_queues(
        &mut self,
        channel: &[u8],
        message: &[u8],
        access: Access,
        mut hold: Option<&mut Hold<'_>>,
    ) -> u64 {
        let bindings = &self.shared.native.bindings;
        // What would be refused to whoever pushed it is not taken from a publisher either.
        let is_refused = self.out_of_memory || self.disk_trouble || self.is_loading_elsewhere;
        if bindings.is_empty() || is_refused {
            return 0;
        }
        let mut taken = 0;
        for queue in bindings.of_channel(channel) {
            let push = StoredRequest::of_words(&[
                b"XQUEUE.PUSH",
                &queue.key,
                b"HEADERS",
                b"1",
                b"channel",
                channel,
                b"BODY",
                message,
            ]);
            let shard = route::routed(&self.shared, 1, &queue.key).shard;
            match &mut hold {
                None => {
                    let shared = self.eternal;
                    let mut held = shared.shards.hold(self.with_stream(shard));
                    let mut grip = Grip::Many(&mut held);
                    taken += u64::from(self.push(&mut grip, &queue, &push, access));
                    self.exec.finish_unit(&mut grip);
                    self.serve_ready(&mut grip);
                }
                Some(hold) if hold.has(shard) => {
                    taken += u64::from(self.push(&mut Grip::Many(hold), &queue, &push, access));
                }
                Some(_) => {
                    self.published.push(Published { queue, push });
                    taken += 1;
                }
            }
        }
        if hold.is_none() {
            self.serve_postponed();
        }
        taken
    }

    /// Pushes what was published where the queue was not held. Call it with no shard held.
    pub(super) fn push_published(&mut self) {
        for Published { queue, push } in std::mem::take(&mut self.published) {
            let shard = route::routed(&self.shared, 1, &queue.key).shard;
            let shared = self.eternal;
            let mut held = shared.shards.hold(self.with_stream(shard));
            let mut grip = Grip::Many(&mut held);
            let access = self.access_of(false);
            self.push(&mut grip, &queue, &push, access);
            self.exec.finish_unit(&mut grip);
            self.serve_ready(&mut grip);
        }
    }

    /// Runs one push; false if the queue refused it, or there is no such command.
    fn push(
        &mut self,
        grip: &mut Grip<'_, '_>,
        queue: &BoundQueue,
        push: &StoredRequest,
        access: Access,
    ) -> bool {
        let Lookup::Found(entry) = Lookup::of(self.shared.registry, &push.bytes, &push.args) else {
            return false;
        };
        let Body::Data(handler) = entry.body else { return false };
        if usize::from(queue.db) >= self.exec.limits.databases {
            return false;
        }
        let keys = [route::routed(&self.shared, 1, &queue.key)];
        let args = Args::new(&push.bytes, &push.args, &keys, entry.words);
        let mut call = Call { handler, args, db: queue.db.into(), access, is_retry: false };
        let mut ignored = Vec::new();
        let mut reply = Reply::new(&mut ignored, Protocol::Resp2);
        let is_taken = self.exec.run(grip, &mut call, &mut reply).is_ok();
        // A refusal may come with what time has brought to the queue: then it is written, and no error of the call.
        is_taken && ignored.first() != Some(&b'-')
    }
}
