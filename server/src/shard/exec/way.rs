//! Commands that give way to `MIGRATE`.

use super::{Call, Executor, Grip};

impl Executor {
    /// A key that the command names is being sent away by `MIGRATE`: it has to be tried again. Where nothing can wait it runs,
    /// and `MIGRATE` finds out.
    #[cold]
    pub(super) fn gives_way(&mut self, grip: &mut Grip<'_, '_>, call: &Call<'_>) -> bool {
        if call.is_retry | self.is_scripted | self.is_amidst {
            return false;
        }
        let db = call.db as u16;
        self.gave_way = call.args.routed().iter().any(|key| {
            let data = grip.shard_mut(key.shard);
            data.is_some_and(|data| data.watched.is_moving(db, call.args.get(key.arg as usize)))
        });
        self.needs_attention |= self.gave_way;
        self.gave_way
    }

    /// The last command was not run, because a key it names is being sent away.
    pub fn take_way_given(&mut self) -> bool {
        let gave_way = std::mem::take(&mut self.gave_way);
        if gave_way {
            self.needs_attention = !self.ready.keys.is_empty();
        }
        gave_way
    }
}
