//! Keeping what was written and not synced yet, in as little memory as it has bytes: batches are small where many threads
//! write, and each came in a large piece of memory that is better used for what comes next.

use super::super::log::{CHUNK, Chunk};
use super::{Kept, Writer};
use crate::journal::Lsn;

impl Writer {
    /// Puts the pieces of the batch that begins at `at` together with those before, where that saves memory.
    pub(super) fn pack_kept(&mut self, at: u64) {
        let is_new = |kept: &Kept| kept.at == Some(at);
        let first = self.kept.len() - self.kept.iter().rev().take_while(|kept| is_new(kept)).count();
        let mut new = std::mem::take(&mut self.packing);
        new.extend(self.kept.drain(first..));
        for kept in new.drain(..) {
            self.keep(kept);
        }
        self.packing = new;
    }

    fn keep(&mut self, Kept { chunk, at }: Kept) {
        let Chunk { bytes, end, db, is_open } = chunk;
        if bytes.len() >= CHUNK / 2 {
            return self.kept.push_back(Kept { chunk: Chunk { bytes, end, db, is_open }, at });
        }
        // Pieces of one unit stay by themselves, the last one of them as well: they are kept and forgotten together.
        let ends_unit = self.kept.len() >= 2 && self.kept[self.kept.len() - 2].chunk.is_open;
        let has_room = |last: &&mut Kept| {
            let Chunk { bytes: kept, is_open: goes_on, .. } = &last.chunk;
            !is_open && !goes_on && !ends_unit && kept.capacity() - kept.len() >= bytes.len()
        };
        if let Some(last) = self.kept.back_mut().filter(has_room) {
            last.chunk.bytes.extend_from_slice(&bytes);
            last.chunk.end = end;
        } else {
            let fresh = |size| Vec::with_capacity(size);
            let mut kept =
                if is_open { fresh(bytes.len()) } else { self.pool.pop().unwrap_or_else(|| fresh(CHUNK)) };
            kept.extend_from_slice(&bytes);
            self.kept.push_back(Kept { chunk: Chunk { bytes: kept, end, db, is_open }, at });
        }
        self.core.log.give_back(bytes);
    }

    /// Forgets what is safe up to here.
    pub(super) fn drop_kept(&mut self, lsn: Lsn) {
        // As much will be needed until the next sync, and memory that the system has to clear costs more than all the rest.
        self.pool_max = self.kept.len().max(self.pool_max / 2);
        while self.kept.front().is_some_and(|kept| kept.chunk.end <= lsn) {
            let Some(Kept { chunk: Chunk { mut bytes, .. }, .. }) = self.kept.pop_front() else { break };
            if bytes.capacity() == CHUNK && self.pool.len() < self.pool_max {
                bytes.clear();
                self.pool.push(bytes);
            } else {
                self.core.log.give_back(bytes);
            }
        }
        self.pool.truncate(self.pool_max);
    }
}
