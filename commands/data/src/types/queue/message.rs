//! One message of a queue.

use super::ordered::Keyed;
use crate::keyspace::size_class;
use crate::types::fields::Fields;

/// The name of a message: the time of its push, and a number within that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Milliseconds of the native clock at the push.
    pub ms: u64,
    /// Tells the pushes of one millisecond apart.
    pub seq: u64,
}

impl Id {
    /// The id that `ms-seq` names, if it names one.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        Some(Id { ms: Self::part(&text[..dash])?, seq: Self::part(&text[dash + 1..])? })
    }

    /// A number without zeros in front of it.
    fn part(digits: &[u8]) -> Option<u64> {
        if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
            return None;
        }
        let mut number = 0u64;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        Some(number)
    }

    /// The next id of the same millisecond, if there is one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Some(Id { ms: self.ms, seq: self.seq.checked_add(1)? })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The one state that a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Waits in its line.
    Ready = 0,
    /// Becomes ready at its time.
    Delayed = 1,
    /// Is with a worker until its time.
    Leased = 2,
    /// Is not delivered unless it is driven back.
    Dead = 3,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Delayed, Self::Leased, Self::Dead];

    /// What commands call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Delayed => "delayed",
            Self::Leased => "leased",
            Self::Dead => "dead",
        }
    }

    /// The state with this name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|state| name.eq_ignore_ascii_case(state.name().as_bytes()))
    }
}

/// An attempt at a message that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was delivered.
    pub ms: u64,
    /// To whom; empty if they did not say.
    pub consumer: Box<[u8]>,
    /// Why it failed, if that was said.
    pub reason: Box<[u8]>,
}

/// Names and values that a message has beside its body, encoded one behind the other, each with its length in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Box<[u8]>);

impl Headers {
    /// Those pairs of names and values, one after the other.
    pub fn of_words<'w>(words: impl Iterator<Item = &'w [u8]>) -> Self {
        let mut encoded = Vec::new();
        for word in words {
            encoded.extend_from_slice(&(word.len() as u32).to_le_bytes());
            encoded.extend_from_slice(word);
        }
        Headers(encoded.into())
    }

    /// The headers of an encoding that anybody may have written; `None` if it is none.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut fields, mut words) = (Fields::new(bytes), 0);
        while !fields.is_done() {
            let len = fields.u32()?;
            fields.skip(len as usize)?;
            words += 1;
        }
        (words % 2 == 0).then(|| Headers(bytes.into()))
    }

    /// Their encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values, one after the other.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        let mut fields = Fields::new(&self.0);
        std::iter::from_fn(move || {
            let len = fields.u32()?;
            fields.bytes(len as usize)
        })
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What only some messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) headers: Headers,
    /// The name under which a later push is the same one, while this message lives; empty for none.
    pub(super) dedup: Box<[u8]>,
    /// How long it lives, counted from its push; 0 for ever.
    pub(super) ttl_ms: u64,
    /// Until when; 0 for ever.
    pub(super) expires_ms: u64,
    /// Deliveries before it is dead, if that is not the queue's business.
    pub(super) max_deliver: Option<u32>,
    /// How often it was driven back.
    pub(super) redrives: u32,
    /// When it was delivered first, and when last.
    pub(super) first_ms: u64,
    pub(super) taken_ms: u64,
    /// Who has it.
    pub(super) consumer: Box<[u8]>,
    /// Why the last attempt failed.
    pub(super) reason: Box<[u8]>,
    pub(super) history: Vec<Attempt>,
}

impl Extra {
    fn heap_size(&self) -> usize {
        let attempts = self.history.iter();
        size_class(size_of::<Self>())
            + [self.headers.0.len(), self.dedup.len(), self.consumer.len(), self.reason.len()]
                .map(size_class)
                .iter()
                .sum::<usize>()
            + size_class(self.history.capacity() * size_of::<Attempt>())
            + attempts
                .map(|attempt| size_class(attempt.consumer.len()) + size_class(attempt.reason.len()))
                .sum::<usize>()
    }
}

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: Id,
    /// Its place in its line, in milliseconds; with its id it stays the same.
    pub(super) place_ms: u64,
    /// Since when it is ready, or dead.
    pub(super) since_ms: u64,
    /// When it becomes ready (delayed) or its lease ends (leased); else 0.
    pub(super) when_ms: u64,
    /// The token of its newest delivery.
    pub(super) token: u64,
    pub(super) body: Box<[u8]>,
    pub(super) extra: Option<Box<Extra>>,
    /// The number of its line.
    pub(super) line: u32,
    pub(super) deliveries: u32,
    pub(super) priority: u8,
    pub(super) state: State,
}

impl Keyed for Message {
    type Key = Id;

    fn key(&self) -> Id {
        self.id
    }
}

const NOTHING: &[u8] = &[];

impl Message {
    /// Bytes of what it has beside itself. O(history).
    pub(super) fn heap_size(&self) -> usize {
        size_class(self.body.len()) + self.extra.as_ref().map_or(0, |extra| extra.heap_size())
    }

    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// How often it was delivered, the present delivery included.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// 0 to 9, 9 first.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// The token of its newest delivery.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The state as it was left. What it is at a given time tells [`Queue::state_of`](super::Queue::state_of).
    pub fn state(&self) -> State {
        self.state
    }

    /// When it becomes ready, or its lease ends; 0 in the other states.
    pub fn when_ms(&self) -> u64 {
        self.when_ms
    }

    /// Names and values, one after the other.
    pub fn headers(&self) -> impl Iterator<Item = &[u8]> {
        self.extra.iter().flat_map(|extra| extra.headers.words())
    }

    /// [`Headers::as_bytes`] of its headers.
    pub fn headers_encoded(&self) -> &[u8] {
        self.extra.as_ref().map_or(NOTHING, |extra| extra.headers.as_bytes())
    }

    /// Until when it lives; 0 for ever.
    pub fn expires_ms(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.expires_ms)
    }

    /// How often it was driven back from the dead.
    pub fn redrives(&self) -> u32 {
        self.extra.as_ref().map_or(0, |extra| extra.redrives)
    }

    /// When it was delivered first; 0 if it never was.
    pub fn first_ms(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.first_ms)
    }

    /// Who has it; empty if nobody has, or did not say.
    pub fn consumer(&self) -> &[u8] {
        self.extra.as_ref().map_or(NOTHING, |extra| &extra.consumer)
    }

    /// Why the last attempt failed.
    pub fn reason(&self) -> &[u8] {
        self.extra.as_ref().map_or(NOTHING, |extra| &extra.reason)
    }

    /// The attempts that are remembered, oldest first.
    pub fn history(&self) -> &[Attempt] {
        self.extra.as_ref().map_or(&[], |extra| &extra.history)
    }

    /// The name under which a later push is the same one.
    pub(super) fn dedup(&self) -> &[u8] {
        self.extra.as_ref().map_or(NOTHING, |extra| &extra.dedup)
    }

    /// Remembers that the present delivery failed, if that is wanted, and forgets who had it.
    pub(super) fn fail(&mut self, reason: &[u8], history_max: usize) {
        let extra = self.extra_mut();
        extra.reason = reason.into();
        let consumer = std::mem::take(&mut extra.consumer);
        if history_max > 0 {
            if extra.history.len() >= history_max {
                extra.history.drain(..=extra.history.len() - history_max);
            }
            let attempt = Attempt { ms: extra.taken_ms, consumer, reason: reason.into() };
            extra.history.reserve_exact(1);
            extra.history.push(attempt);
        } else {
            extra.history = Vec::new();
        }
    }
}

const _: () = assert!(size_of::<Message>() <= 88, "a million of them wait");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        for id in [Id::default(), Id { ms: 10, seq: 90 }, Id { ms: u64::MAX, seq: u64::MAX }] {
            assert_eq!(Id::of_text(id.to_string().as_bytes()), Some(id));
        }
        let others = ["", "-", "1", "1-", "-1", "01-0", "1-00", "+1-0", "1 -0", "1-1-1", "1-x", "1--1"];
        for text in others.into_iter().chain(["18446744073709551616-0", "0-99999999999999999999999"]) {
            assert_eq!(Id::of_text(text.as_bytes()), None, "{text}");
        }
    }
}
