//! The journal: one total order of writes.
//!
//! Every execution unit (a command, a `MULTI` block, an expiry) is appended as one contiguous record while all its
//! shards are still held, so the order of the records is a serial order of what happened.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;

/// Position in the journal: the number of bytes (or units, for the in-memory one) before it.
pub type Lsn = u64;

/// Commands of one database within a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'u> {
    /// The database they apply to.
    pub db: u16,
    /// Number of commands.
    pub commands: usize,
    /// The commands as RESP arrays, back to back.
    pub bytes: &'u [u8],
}

/// An execution unit while it is put together: what has to be replayed, whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    parts: SmallVec<[Bounds; 2]>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    db: u16,
    commands: usize,
    /// Where its bytes end.
    end: usize,
}

/// Room that is kept from one unit to the next, in bytes.
const CAPACITY_KEPT: usize = 64 * 1024;

impl Unit {
    /// True when nothing has to be replayed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Number of commands.
    pub fn commands(&self) -> usize {
        self.parts.iter().map(|part| part.commands).sum()
    }

    /// Their size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one command. O(its size).
    pub fn push<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        write_command(&mut self.bytes, words);
        self.note(db, 1);
    }

    /// Appends commands that are encoded already.
    pub fn push_encoded(&mut self, db: u16, commands: usize, bytes: &[u8]) {
        if commands > 0 {
            self.bytes.extend_from_slice(bytes);
            self.note(db, commands);
        }
    }

    fn note(&mut self, db: u16, commands: usize) {
        let end = self.bytes.len();
        match self.parts.last_mut() {
            Some(last) if last.db == db => {
                last.commands += commands;
                last.end = end;
            }
            _ => self.parts.push(Bounds { db, commands, end }),
        }
    }

    /// What is to be replayed, in order. Neighbours are of different databases.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Part<'_>> {
        let mut start = 0;
        self.parts.iter().map(move |part| {
            let bytes = &self.bytes[start..part.end];
            start = part.end;
            Part { db: part.db, commands: part.commands, bytes }
        })
    }

    /// The bytes of all commands, taken. The unit is empty then.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        self.parts.clear();
        std::mem::take(&mut self.bytes)
    }

    /// Forgets everything but keeps some room for the next.
    #[inline]
    pub fn clear(&mut self) {
        self.parts.clear();
        self.bytes.clear();
        if self.bytes.capacity() > CAPACITY_KEPT {
            self.bytes = Vec::new();
        }
    }
}

/// A unit of more bytes is handed over as it is instead of being copied while others wait.
pub const ONE_MAX: usize = 32 * 1024;

/// Appends a command as a RESP array of bulk strings.
pub(crate) fn write_command<'w>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'w [u8]>) {
    write_length(out, b'*', words.len());
    for word in words {
        write_length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn write_length(out: &mut Vec<u8>, mark: u8, length: usize) {
    let digit = |value: usize| b'0' + (value % 10) as u8;
    // Of a length that is known here, so that it is a store and not a call: nearly all are short.
    match length {
        0..10 => out.extend_from_slice(&[mark, digit(length), b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[mark, digit(length / 10), digit(length), b'\r', b'\n']),
        _ => write_great_length(out, mark, length),
    }
}

fn write_great_length(out: &mut Vec<u8>, mark: u8, length: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = length;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push(mark);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Where execution units go.
pub trait Journal: fmt::Debug + Send + Sync {
    /// False when units would be thrown away: the engine then does not even encode them. It changes only while all shards
    /// are held.
    fn is_enabled(&self) -> bool;

    /// Appends one unit, which is empty afterwards; called while every shard it touched is held. A unit of more than one
    /// command is atomic: it is replayed whole or not at all. Returns the position after it.
    fn append(&self, unit: &mut Unit) -> Lsn;

    /// The same for a unit of one command, which is a RESP array of bulk strings, and not larger than [`ONE_MAX`].
    fn append_one(&self, db: u16, command: &[u8]) -> Lsn {
        let mut unit = Unit::default();
        unit.push_encoded(db, 1, command);
        self.append(&mut unit)
    }

    /// Replies to whatever the journal has up to here may be sent.
    fn open_to(&self) -> Lsn {
        Lsn::MAX
    }

    /// So many connections more, or less, wait until replies may be sent.
    fn note_waiting(&self, _change: isize) {}

    /// Whoever reads has to wait for what it read as if it had written it.
    fn gates_reads(&self) -> bool {
        false
    }

    /// Somebody waits for what was appended: it is written down now, by the caller where that takes no longer than copying
    /// it, or by whoever does that. Call it with no shard held.
    fn advance(&self) {}

    /// So much was appended that was not written down yet, that nothing should be added: the position at which things are
    /// better again.
    fn is_behind(&self) -> Option<Lsn> {
        None
    }

    /// Why nothing may be changed now: what the disk said.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// No journal.
#[derive(Debug, Default)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn is_enabled(&self) -> bool {
        false
    }

    fn append(&self, _unit: &mut Unit) -> Lsn {
        0
    }
}

/// Keeps all units in memory: for tests and for replaying on a twin.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    units: Mutex<Vec<Unit>>,
}

impl MemoryJournal {
    /// Takes what was appended so far.
    pub fn take(&self) -> Vec<Unit> {
        std::mem::take(&mut *self.units.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for MemoryJournal {
    fn is_enabled(&self) -> bool {
        true
    }

    fn append(&self, unit: &mut Unit) -> Lsn {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.push(std::mem::take(unit));
        units.len() as Lsn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'w>(words: &'w [&'w str]) -> impl ExactSizeIterator<Item = &'w [u8]> {
        words.iter().map(|word| word.as_bytes())
    }

    #[test]
    fn units_are_kept_in_order_and_taken_once() {
        let journal = MemoryJournal::default();
        let mut unit = Unit::default();
        unit.push(0, words(&["a"]));
        let first = unit.clone();
        assert_eq!(journal.append(&mut unit), 1);
        assert!(unit.is_empty());
        unit.push(0, words(&["b"]));
        unit.push(1, words(&["c"]));
        let second = unit.clone();
        assert_eq!(journal.append(&mut unit), 2);
        assert_eq!(journal.take(), [first, second]);
        assert!(journal.take().is_empty());
    }

    #[test]
    fn a_unit_is_parts_by_database() {
        let mut unit = Unit::default();
        unit.push(0, words(&["SET", "k", "a value of 21 bytes.."]));
        unit.push(0, words(&["DEL", "x"]));
        unit.push_encoded(3, 2, b"*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n");
        unit.push_encoded(4, 0, b"");
        unit.push(0, words(&[""]));
        assert_eq!(unit.commands(), 5);
        let parts: Vec<_> = unit.parts().map(|part| (part.db, part.commands)).collect();
        assert_eq!(parts, [(0, 2), (3, 2), (0, 1)]);
        let first = unit.parts().next().unwrap();
        let expected =
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$21\r\na value of 21 bytes..\r\n*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n";
        assert_eq!(String::from_utf8_lossy(first.bytes), expected);
        assert_eq!(unit.parts().last().unwrap().bytes, b"*1\r\n$0\r\n\r\n");
        unit.clear();
        assert!(unit.is_empty());
        assert_eq!(unit.size(), 0);
    }
}
