//! The journal: one total order of writes.
//!
//! Every execution unit (a command, a `MULTI` block, an expiry) is appended as one contiguous record while all its
//! shards are still held, so the order of the records is a serial order of what happened.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Commands of one database within a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The database they apply to.
    pub db: u16,
    /// Number of commands.
    pub commands: usize,
    /// The commands as RESP arrays, back to back.
    pub bytes: Vec<u8>,
}

/// Position in the journal: the number of bytes (or units, for the in-memory one) before it.
pub type Lsn = u64;

/// Where execution units go.
pub trait Journal: fmt::Debug + Send + Sync {
    /// False when units would be thrown away: the engine then does not even encode them.
    fn is_enabled(&self) -> bool;

    /// Appends one unit; called while every shard it touched is held. A unit of more than one command is atomic:
    /// it is replayed whole or not at all. Returns the position after it.
    fn append(&self, unit: &[Part]) -> Lsn;
}

/// No journal.
#[derive(Debug, Default)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn is_enabled(&self) -> bool {
        false
    }

    fn append(&self, _unit: &[Part]) -> Lsn {
        0
    }
}

/// Keeps all units in memory: for tests and for replaying on a twin.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    units: Mutex<Vec<Vec<Part>>>,
}

impl MemoryJournal {
    /// Takes what was appended so far.
    pub fn take(&self) -> Vec<Vec<Part>> {
        std::mem::take(&mut *self.units.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for MemoryJournal {
    fn is_enabled(&self) -> bool {
        true
    }

    fn append(&self, unit: &[Part]) -> Lsn {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.push(unit.to_vec());
        units.len() as Lsn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_kept_in_order_and_taken_once() {
        let journal = MemoryJournal::default();
        let part = |n: u8| Part { db: 0, commands: 1, bytes: vec![n] };
        assert_eq!(journal.append(&[part(1)]), 1);
        assert_eq!(journal.append(&[part(2), part(3)]), 2);
        assert_eq!(journal.take(), [vec![part(1)], vec![part(2), part(3)]]);
        assert!(journal.take().is_empty());
    }
}
