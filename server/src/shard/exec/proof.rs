//! In debug builds: what a command touched is what access control was asked about.

use super::{Call, Executor};
use crate::acl::{Asked, prove};
use crate::dispatch::Lookup;
use tidegate_commands::model::StoredRequest;

impl Executor {
    /// Compares what the command that has just run touched with its declaration.
    ///
    /// # Panics
    /// If it touched more.
    pub(super) fn prove_touches(&mut self, call: &Call<'_>) {
        let touches = self.log.trace.take();
        let words: Vec<&[u8]> = (0..call.args.len()).map(|index| call.args.get(index)).collect();
        let stored = StoredRequest::of_words(&words);
        // The server itself calls commands by names they may not have any more.
        if let Lookup::Found(entry) = Lookup::of(self.shared.registry, &stored.bytes, &stored.args)
            && !self.is_loading
        {
            let (buf, spans, db) = (&stored.bytes, &stored.args, call.db as u32);
            let asked = Asked { entry, buf, spans, is_real: true, db };
            let proven = prove(&asked, self.limits.reads_all_keys, &touches);
            assert!(proven.is_ok(), "access control has not heard of all: {proven:?}");
        }
        if let Some(witness) = &mut self.witness {
            witness.extend(touches.into_iter().map(|touch| (self.actor, touch)));
        }
    }
}
