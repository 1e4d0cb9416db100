//! A request that cannot go on now: which keys it waits for, and how it goes on when one of them is touched.
//!
//! A handler only describes the waiting. The server remembers the request, runs the command named for a key after
//! whoever touched that key, in the order in which the requests began to wait, and answers when the time is up.
//!
//! **Commands of our own** also wait for moments of the native clock: the end of a lease, a message that becomes due, a limiter
//! that has refilled. A handler that finds nothing to do asks [`Env::may_wait`](super::Env::may_wait) (never in `EXEC` or a
//! script) and returns `Wait::new(deadline, Null::Array)` with [`on`](Wait::on) for each key (the same command, narrowed to that
//! key), [`or_when`](Wait::or_when) with what the value says of its next moment (`next_timer(now)`), [`in_line`](Wait::in_line)
//! if whoever came later must not be served before, and [`or_answer`](Wait::or_answer) if running out of time is not the null
//! array. Everything else is the server's: a write to the key, or that moment, runs the command again with
//! [`Env::is_retry`](super::Env::is_retry) set, the longest waiting first; it then answers, or returns a `Wait` again, of
//! which only the moments and the line count. [`Env::waiters`](super::Env::waiters) tells how many stand in line for the
//! first key, so that who comes late does not push in. `families/lock/acquire.rs` is the model to follow.

use super::args::StoredRequest;
use super::error::Error;
use super::long_double::LongDouble;
use super::number::parse_i64;
use super::outcome::Effects;
use super::reply::Reply;
use crate::families::queue::QueueCall;
use std::sync::Arc;
use tidegate_data::Key;

/// What is answered at once where nothing may wait: in `EXEC`, in a script, in the stream of a primary.
///
/// Running out of time is not this: Redis answers that with the null array whatever the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// `*-1`: what pops from several keys, and what reads streams.
    Array,
    /// `$-1`: what moves one element, `BLMOVE` and `BRPOPLPUSH`.
    Bulk,
}

impl Null {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Null::Array => reply.null_array(),
            Null::Bulk => reply.null(),
        }
    }
}

/// A key that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Its name.
    pub key: Box<[u8]>,
    /// Its hash in the keyspace table.
    pub hash: u64,
    /// The shard that holds it.
    pub shard: u16,
    /// The command that is run when the key is touched: a complete one, narrowed to this key, so that it needs no
    /// shards but those of the keys it names.
    pub command: StoredRequest,
    /// The command is also run at this time, even if nobody touches the key. Unix milliseconds.
    pub retry_at_ms: Option<i64>,
    /// The same at this moment of the native clock, in milliseconds.
    pub timer_ms: Option<i64>,
}

/// What a request that waits means to others who wait for the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Line {
    /// Nothing: what does not help it may help others.
    #[default]
    Free,
    /// They stand in line: while this one is not helped nobody behind it is.
    Strict,
    /// It only looks on: it wants nothing that others could be given, and hears of everything before they do.
    Watches,
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// When the time is up, Unix milliseconds; `None` for never.
    pub deadline_ms: Option<i64>,
    /// The keys that are waited for. Of one that is named more than once, only the first counts.
    pub keys: Vec<Awaited>,
    /// The answer where nothing may wait.
    pub refused: Null,
    /// What was changed before waiting began; mostly nothing.
    pub effects: Effects,
    /// What it means to others who wait.
    pub line: Line,
    /// The command that is run when the time is up; its reply is the answer. `None` for the null array.
    pub at_end: Option<StoredRequest>,
    /// It waits for nothing but its deadline; what it has written is the reply, and is sent then.
    pub is_answered: bool,
    /// It waits for answers that come through queues; when the time is up, those that came are the reply.
    pub call: Option<Arc<QueueCall>>,
}

impl Wait {
    /// Waits until `deadline_ms` (`None`: for ever) for keys that are yet to be named.
    pub fn new(deadline_ms: Option<i64>, refused: Null) -> Self {
        Wait {
            deadline_ms,
            keys: Vec::new(),
            refused,
            effects: Effects::default(),
            line: Line::Free,
            at_end: None,
            is_answered: false,
            call: None,
        }
    }

    /// Sends what was written at `deadline_ms`, having changed what `effects` say.
    pub fn answered(deadline_ms: i64, effects: Effects) -> Self {
        Wait { effects, is_answered: true, ..Wait::new(Some(deadline_ms), Null::Array) }
    }

    /// Waits for `key`: when it is touched, `command` is run, with `Env::is_retry` set. It must be the same command,
    /// only about less. What it gives is the reply of the request, unless it is to wait again.
    pub fn on(&mut self, key: Key<'_>, command: &[&[u8]]) -> &mut Self {
        self.keys.push(Awaited {
            key: key.bytes().into(),
            hash: key.hash(),
            shard: key.shard(),
            command: StoredRequest::of_words(command),
            retry_at_ms: None,
            timer_ms: None,
        });
        self
    }

    /// Has the command of the key named last run at this moment of the native clock (milliseconds), too, touched or not.
    pub fn or_when(&mut self, timer_ms: Option<i64>) -> &mut Self {
        if let Some(awaited) = self.keys.last_mut() {
            awaited.timer_ms = timer_ms;
        }
        self
    }

    /// Whoever came later is not served before it.
    pub fn in_line(&mut self) -> &mut Self {
        self.line = Line::Strict;
        self
    }

    /// Waits for a change only, and takes nothing from anybody.
    pub fn watching(&mut self) -> &mut Self {
        self.line = Line::Watches;
        self
    }

    /// When the time is up this command is run, which cannot wait: its reply is the answer. It names keys that are
    /// waited for, and no others.
    pub fn or_answer(&mut self, command: &[&[u8]]) -> &mut Self {
        self.at_end = Some(StoredRequest::of_words(command));
        self
    }

    /// Has the command of the key named last run at this time (Unix milliseconds), too, touched or not.
    pub fn or_at(&mut self, retry_at_ms: i64) -> &mut Self {
        if let Some(awaited) = self.keys.last_mut() {
            awaited.retry_at_ms = Some(retry_at_ms);
        }
        self
    }
}

/// Reads a timeout in seconds, with a fraction, and adds it to the clock; `None` for the timeout 0, which never ends.
/// Any fraction of a millisecond counts as a whole one.
pub fn deadline_of_seconds(timeout: &[u8], now_ms: i64) -> Result<Option<i64>, Error> {
    let seconds = LongDouble::parse(timeout);
    let seconds = seconds.ok_or(Error::new("ERR timeout is not a float or out of range"))?;
    // Beyond 64 bits a processor's conversion gives the lowest number, which Redis then finds negative.
    deadline(seconds.thousandfold_rounded_up().unwrap_or(i64::MIN), now_ms)
}

/// Reads a timeout in milliseconds and adds it to the clock; `None` for the timeout 0, which never ends.
pub fn deadline_of_millis(timeout: &[u8], now_ms: i64) -> Result<Option<i64>, Error> {
    let timeout = parse_i64(timeout).ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    deadline(timeout, now_ms)
}

/// The end of a `BLOCK` of our own commands, whose milliseconds were checked: `None` for 0, which never ends.
pub fn deadline_of_block(block_ms: Option<i64>, now_ms: i64) -> Option<i64> {
    block_ms.filter(|block_ms| *block_ms > 0).map(|block_ms| now_ms.saturating_add(block_ms))
}

fn deadline(timeout_ms: i64, now_ms: i64) -> Result<Option<i64>, Error> {
    if timeout_ms < 0 {
        return Err(Error::new("ERR timeout is negative"));
    }
    Ok((timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_with_their_commands() {
        let mut wait = Wait::new(None, Null::Array);
        let (a, b) = (Key::new(b"a", 1, 0), Key::new(b"b", 2, 0));
        wait.on(a, &[b"BLPOP", b"a", b"0"]).on(b, &[b"BLPOP", b"b", b"0"]).or_at(7);
        assert_eq!(wait.in_line().or_when(Some(9)).keys[1].timer_ms, Some(9));
        let keys: Vec<_> = wait.keys.iter().map(|awaited| (&*awaited.key, awaited.retry_at_ms)).collect();
        assert_eq!(keys, [(&b"a"[..], None), (b"b", Some(7))]);
        assert_eq!(wait.keys[0].command.words().collect::<Vec<_>>(), [&b"BLPOP"[..], b"a", b"0"]);
    }

    #[test]
    fn timeouts_in_milliseconds() {
        assert_eq!(deadline_of_millis(b"0", 5), Ok(None));
        assert_eq!(deadline_of_millis(b"10", 5), Ok(Some(15)));
        assert_eq!(deadline_of_millis(b"9223372036854775807", 5), Ok(Some(i64::MAX)));
        assert_eq!(deadline_of_millis(b"-1", 5), Err(Error::new("ERR timeout is negative")));
        assert_eq!(
            deadline_of_millis(b"1.5", 5),
            Err(Error::new("ERR timeout is not an integer or out of range"))
        );
    }

    #[test]
    fn timeouts_in_seconds() {
        let negative = Err(Error::new("ERR timeout is negative"));
        let no_float = Err(Error::new("ERR timeout is not a float or out of range"));
        for (text, expected) in [
            ("0", Ok(None)),
            ("-0", Ok(None)),
            ("0.0", Ok(None)),
            ("1", Ok(Some(1005))),
            ("0.001", Ok(Some(6))),
            ("0.0001", Ok(Some(6))),
            ("0.0015", Ok(Some(7))),
            ("1e3", Ok(Some(1_000_005))),
            ("9223372036854775", Ok(Some(9_223_372_036_854_775_005))),
            ("9223372036854775.807", Ok(Some(i64::MAX))),
            ("-0.0001", Ok(None)),
            ("-1", negative.clone()),
            ("-0.5", negative.clone()),
            ("1e30", negative.clone()),
            ("inf", negative.clone()),
            ("-inf", negative),
            ("nan", no_float.clone()),
            ("", no_float.clone()),
            ("1x", no_float.clone()),
            (" 1", no_float),
        ] {
            assert_eq!(deadline_of_seconds(text.as_bytes(), 5), expected, "{text:?}");
        }
    }
}
