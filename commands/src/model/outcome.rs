//! What a handler did to the keyspace, in the form the journal and the replicas need.

use super::reply::{Backwards, Protocol, Reply};
use super::wait::Wait;

/// The answer to "what must be replayed so that a twin ends in the same state?".
///
/// The server settles it while the shards are still held: WATCH, journal, replication, keyspace events.
#[must_use = "the outcome decides what is journaled and replicated"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed.
    Same,
    /// Something changed and the request is deterministic: its own bytes are journaled.
    Changed,
    /// Something changed of which the journal hears later, and only of what it was last: the key was noted
    /// ([`Keys::note_soft`](tidegate_data::Keys::note_soft)) when it was flushed for the last time.
    Soft,
    /// Something changed; these commands reproduce it exactly (`EXPIRE` becomes `PEXPIREAT`).
    ChangedAs(Effects),
    /// The request cannot go on before one of its keys is touched. Nothing was replied.
    Wait(Box<Wait>),
}

impl Outcome {
    /// `Changed` or `Same`.
    pub fn changed_if(changed: bool) -> Self {
        if changed { Outcome::Changed } else { Outcome::Same }
    }

    /// One deterministic command instead of the request.
    pub fn changed_as(command: &[&[u8]]) -> Self {
        let mut effects = Effects::default();
        effects.push(command);
        Outcome::ChangedAs(effects)
    }
}

impl From<Wait> for Outcome {
    fn from(wait: Wait) -> Self {
        Outcome::Wait(Box::new(wait))
    }
}

/// Deterministic commands in execution order, encoded as RESP arrays back to back: the very bytes that go to the
/// journal and to replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    bytes: Vec<u8>,
    len: usize,
}

/// The words of a command that is written: see [`Effects::push_words`].
#[derive(Debug)]
pub(crate) struct Words<'e> {
    out: &'e mut Vec<u8>,
    count: usize,
}

impl Words<'_> {
    /// A word.
    pub(crate) fn bytes(&mut self, word: &[u8]) -> &mut Self {
        Reply::new(self.out, Protocol::Resp2).bulk(word);
        self.count += 1;
        self
    }

    /// A decimal number.
    pub(crate) fn number(&mut self, n: u64) -> &mut Self {
        self.bytes(Backwards::default().number(n).as_bytes())
    }
}

impl Effects {
    /// Appends one command.
    pub fn push(&mut self, command: &[&[u8]]) {
        /// `$`, a length of up to five digits, two line ends.
        const AROUND: usize = 10;
        debug_assert!(!command.is_empty(), "an effect has at least a name");
        let size: usize = command.iter().map(|arg| arg.len() + AROUND).sum();
        self.bytes.reserve(size + AROUND);
        let mut reply = Reply::new(&mut self.bytes, Protocol::Resp2);
        reply.array(command.len());
        for arg in command {
            reply.bulk(arg);
        }
        self.len += 1;
    }

    /// Appends one command of at least one word.
    pub(crate) fn push_words(&mut self, write: impl FnOnce(&mut Words<'_>)) {
        /// Most commands that are written so have no need of more.
        const ROOM: usize = 256;
        /// Of a header with two digits, as most of these commands have one.
        const HEADER: &[u8] = b"*00\r\n";
        self.bytes.reserve(ROOM);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(HEADER);
        let mut words = Words { out: &mut self.bytes, count: 0 };
        write(&mut words);
        let count = words.count;
        debug_assert!(count > 0, "an effect has at least a name");
        let mut digits = Backwards::default();
        let digits = digits.number(count as u64).as_bytes();
        if let [tens, ones] = *digits {
            self.bytes[start + 1..start + 3].copy_from_slice(&[tens, ones]);
        } else {
            self.bytes.splice(start + 1..start + 3, digits.iter().copied());
        }
        self.len += 1;
    }

    /// Appends commands that are already encoded.
    pub fn push_encoded(&mut self, bytes: &[u8], commands: usize) {
        self.bytes.extend_from_slice(bytes);
        self.len += commands;
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing has to be replayed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The commands as RESP arrays, back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets everything, keeping the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_have_any_number_of_words() {
        for count in [1, 2, 9, 10, 11, 99, 100, 101, 1000] {
            let numbers: Vec<u64> = (0..count).map(|n| n * n * 7_919_993).collect();
            let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let words: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            let (mut whole, mut by_word) = (Effects::default(), Effects::default());
            for _ in 0..2 {
                whole.push(&words);
                by_word.push_words(|words| numbers.iter().for_each(|n| _ = words.number(*n)));
            }
            assert_eq!(by_word, whole, "{count} words");
        }
    }
}
