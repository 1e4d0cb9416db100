//! Client-side caching: what a thread's units changed that caches have to hear of, until it is told.
//!
//! It is noted while the shards of the change are still held, which takes the readers of the key out of their table,
//! and told before anybody can have learned of the change in another way: before the reply to whoever made it is sent.
//! So whoever knows that a change was made, and then asks for anything on the connection of its cache, gets the
//! invalidation first.

use super::hold::ShardData;
use super::track::{TrackTable, Tracked};
use crate::session::Bells;
use std::collections::BTreeMap;
use tidegate_data::Touched;

/// Nobody: what was changed because its time had come.
pub const NOBODY: u64 = 0;

/// What a cache has to forget.
#[derive(Debug)]
pub enum Stale {
    /// A key; the readers of it are to be told.
    Key(Tracked),
    /// Everything; all clients that track keys are to be told but this one, which hears of it in its own time.
    All {
        /// Its id.
        but: u64,
    },
}

/// What the client whose command runs has to forget itself.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnStale {
    /// A key, or everything.
    pub key: Option<Box<[u8]>>,
    /// It was the client's own doing, of which it need not hear if it does not want to.
    pub is_own_change: bool,
}

/// What is to be told.
#[derive(Debug, Default)]
pub struct News {
    /// To others, in the order in which it happened.
    pub others: Vec<Stale>,
    /// To the client whose command runs, after its reply.
    pub own: Vec<OwnStale>,
    /// To those who asked for all keys with some prefix, at the end of the turn: who changed the key last.
    pub broadcast: BTreeMap<Box<[u8]>, u64>,
    /// What was forgotten with a whole database, to be freed with no shard held.
    pub forgotten: Vec<Tracked>,
    /// Threads with messages to send.
    bells: Bells,
    /// There is something in here, except in `own`.
    is_waiting: bool,
    /// More keys are remembered as read than the settings allow, or may be.
    exceeds: bool,
}

impl News {
    /// True when others are to be told of something, or something is to be freed.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Threads with messages to send: whoever is put there is told at the end of the turn.
    pub fn bells(&mut self) -> &mut Bells {
        self.is_waiting = true;
        &mut self.bells
    }

    /// Tells the threads that have messages to send.
    #[inline]
    pub fn ring(&mut self) {
        if !self.bells.is_empty() {
            self.bells.ring();
        }
    }

    /// More keys are remembered as read than the settings allow, or may be: see to it at the end of the turn.
    pub fn exceed(&mut self) {
        self.is_waiting = true;
        self.exceeds = true;
    }

    /// Everything was told and freed. True when there may still be too many keys.
    pub fn rest(&mut self) -> bool {
        self.is_waiting = false;
        std::mem::take(&mut self.exceeds)
    }

    /// A key of a held shard changed, by the hand of client `changer`; `reader` is the client whose command runs, if it
    /// tracks keys. Returns how many keys have no readers any more, 0 or 1.
    pub fn note(
        &mut self,
        data: &mut ShardData,
        touched: &Touched,
        hash: u64,
        changer: u64,
        reader: Option<u64>,
    ) -> usize {
        if data.tracked.has_broadcasts() {
            self.broadcast.insert(touched.key.clone(), changer);
            self.is_waiting = true;
        }
        let Some(tracked) = data.tracked.take(hash, &touched.key) else { return 0 };
        self.forget(tracked, changer, reader);
        1
    }

    /// A key is no longer known to have been read: its readers are told as if it had changed.
    pub fn forget(&mut self, mut tracked: Tracked, changer: u64, reader: Option<u64>) {
        if let Some(reader) = reader
            && let Ok(at) = tracked.clients.binary_search(&reader)
        {
            tracked.clients.remove(at);
            let is_own_change = changer == reader;
            self.own.push(OwnStale { key: Some(tracked.key.clone()), is_own_change });
        }
        if !tracked.clients.is_empty() {
            self.others.push(Stale::Key(tracked));
            self.is_waiting = true;
        }
    }

    /// Everything changed, by the hand of client `changer`; all who track keys are to be told.
    pub fn note_all(&mut self, changer: u64, is_tracker: bool) {
        self.others.push(Stale::All { but: changer });
        self.is_waiting = true;
        if is_tracker {
            self.own.push(OwnStale { key: None, is_own_change: false });
        }
    }

    /// A whole database changed, of which `table` is a shard's part; returns how many keys have no readers any more.
    pub fn forget_all(&mut self, table: &mut TrackTable) -> usize {
        let mut all = table.take_all();
        let len = all.len();
        self.is_waiting |= len > 0;
        if self.forgotten.is_empty() {
            self.forgotten = all;
        } else {
            self.forgotten.append(&mut all);
        }
        len
    }
}
