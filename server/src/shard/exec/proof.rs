//! In debug builds: what a command touched is what access control was asked about. In release builds it is nothing.

#[cfg(debug_assertions)]
use super::Call;
use super::Executor;
use crate::registry::Entry;
use tidegate_commands::model::Args;
#[cfg(debug_assertions)]
use {
    crate::acl::{Asked, prove},
    crate::dispatch::Lookup,
    tidegate_commands::model::StoredRequest,
    tidegate_data::Touch,
};

#[cfg(debug_assertions)]
impl Executor {
    /// A command about the connection or the process looks for a key, or changes it.
    pub fn note_touch(&mut self, db: usize, key: &[u8], changed: bool) {
        self.noted.push(Touch { db: db as u16, key: Some(key.into()), changed });
    }

    /// Compares what was noted with what the command declares.
    ///
    /// # Panics
    /// If it touched more.
    pub fn prove_noted(&mut self, entry: &Entry, args: &Args<'_>, db: usize) {
        let touches = std::mem::take(&mut self.noted);
        self.prove(entry, args, db, &touches);
        self.bear_witness(touches);
    }

    fn prove(&self, entry: &Entry, args: &Args<'_>, db: usize, touches: &[Touch]) {
        let words: Vec<&[u8]> = (0..args.len()).map(|index| args.get(index)).collect();
        let stored = StoredRequest::of_words(&words);
        let (buf, spans) = (&stored.bytes, &stored.args);
        let asked = Asked { entry, buf, spans, is_real: true, db: db as u32 };
        let proven = prove(&asked, self.limits.reads_all_keys, touches);
        assert!(proven.is_ok(), "access control has not heard of all: {proven:?}");
    }

    fn bear_witness(&mut self, touches: Vec<Touch>) {
        if let Some(witness) = &mut self.witness {
            witness.extend(touches.into_iter().map(|touch| (self.actor, touch)));
        }
    }

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
            self.prove(entry, &call.args, call.db, &touches);
        }
        self.bear_witness(touches);
    }
}

#[cfg(not(debug_assertions))]
#[expect(clippy::unused_self, clippy::inline_always, reason = "the same as in debug builds, but nothing")]
impl Executor {
    #[inline(always)]
    pub fn note_touch(&mut self, _: usize, _: &[u8], _: bool) {}

    #[inline(always)]
    pub fn prove_noted(&mut self, _: &Entry, _: &Args<'_>, _: usize) {}
}
