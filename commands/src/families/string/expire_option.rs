//! The options that say how long a key lives: `EX`, `PX`, `EXAT`, `PXAT`, `KEEPTTL`, `PERSIST`. One parser for all
//! commands that take them, so that they refuse the same combinations with the same texts.

use crate::model::{Args, Error, parse_i64};

/// What the options of a request say about the deadline of its keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lifetime<'a> {
    /// Nothing.
    #[default]
    Unsaid,
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Persist,
    /// `EX`, `PX`, `EXAT` or `PXAT`.
    Until(Deadline<'a>),
}

/// Which option without an argument a command accepts besides the four that give a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Besides {
    /// `KEEPTTL`, where a value is written.
    Keepttl,
    /// `PERSIST`, where the value stays or depends on the old one.
    Persist,
}

/// A point in time that was not looked at yet: Redis checks the whole request for syntax before it reads the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline<'a> {
    number: &'a [u8],
    unit: Unit,
}

/// How a number gives a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// `EX`
    Seconds,
    /// `PX`
    Milliseconds,
    /// `EXAT`
    UnixSeconds,
    /// `PXAT`
    UnixMilliseconds,
}

impl Unit {
    fn of(word: &[u8]) -> Option<Self> {
        match word.len() {
            2 if word.eq_ignore_ascii_case(b"EX") => Some(Unit::Seconds),
            2 if word.eq_ignore_ascii_case(b"PX") => Some(Unit::Milliseconds),
            4 if word.eq_ignore_ascii_case(b"EXAT") => Some(Unit::UnixSeconds),
            4 if word.eq_ignore_ascii_case(b"PXAT") => Some(Unit::UnixMilliseconds),
            _ => None,
        }
    }
}

impl<'a> Lifetime<'a> {
    /// Takes `word`, which was just read, as one of the options, and its number from `args`.
    ///
    /// False when it is none of them or does not go with an earlier one. The same option may be repeated, the last
    /// one counts.
    pub(crate) fn take(&mut self, word: &[u8], args: &mut Args<'a>, besides: Besides) -> bool {
        let next = if let Some(unit) = Unit::of(word) {
            let Ok(number) = args.next() else { return false };
            Lifetime::Until(Deadline { number, unit })
        } else if besides == Besides::Keepttl && word.eq_ignore_ascii_case(b"KEEPTTL") {
            Lifetime::Keep
        } else if besides == Besides::Persist && word.eq_ignore_ascii_case(b"PERSIST") {
            Lifetime::Persist
        } else {
            return false;
        };
        let fits = match (*self, next) {
            (Lifetime::Unsaid, _) => true,
            (Lifetime::Until(before), Lifetime::Until(now)) => before.unit == now.unit,
            (before, now) => before == now,
        };
        *self = next;
        fits
    }
}

impl<'a> Deadline<'a> {
    /// `number` seconds from now: `SETEX`.
    pub(crate) fn in_seconds(number: &'a [u8]) -> Self {
        Deadline { number, unit: Unit::Seconds }
    }

    /// `number` milliseconds from now: `PSETEX`.
    pub(crate) fn in_milliseconds(number: &'a [u8]) -> Self {
        Deadline { number, unit: Unit::Milliseconds }
    }

    /// True when it was given as Unix time, and so may have passed already.
    pub(crate) fn is_absolute(self) -> bool {
        matches!(self.unit, Unit::UnixSeconds | Unit::UnixMilliseconds)
    }

    /// Unix time in milliseconds. Refuses, in the name of `command`, zero, negative numbers and times that do not fit.
    pub(crate) fn at_ms(self, now_ms: i64, command: &str) -> Result<i64, Error> {
        let number = parse_i64(self.number).ok_or(Error::NotInteger)?;
        let at_ms = match self.unit {
            Unit::Seconds => number.checked_mul(1000).and_then(|ms| ms.checked_add(now_ms)),
            Unit::Milliseconds => number.checked_add(now_ms),
            Unit::UnixSeconds => number.checked_mul(1000),
            Unit::UnixMilliseconds => Some(number),
        };
        match at_ms {
            Some(at_ms) if number > 0 => Ok(at_ms),
            _ => Err(Error::text(format!("ERR invalid expire time in '{command}' command"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn parse(words: &[&str], besides: Besides) -> Option<Result<i64, Error>> {
        let buf = words.concat().into_bytes();
        let mut start = 0;
        let spans: Vec<Span> = words
            .iter()
            .map(|word| {
                let span = Span { start, len: word.len() as u32 };
                start += span.len;
                span
            })
            .collect();
        let mut args = Args::new(&buf, &spans, &[], 0);
        let mut lifetime = Lifetime::default();
        while !args.is_done() {
            let word = args.next().unwrap();
            if !lifetime.take(word, &mut args, besides) {
                return None;
            }
        }
        match lifetime {
            Lifetime::Until(deadline) => Some(deadline.at_ms(5, "x")),
            _ => Some(Ok(-1)),
        }
    }

    #[test]
    fn units() {
        assert_eq!(parse(&["ex", "2"], Besides::Keepttl), Some(Ok(2005)));
        assert_eq!(parse(&["Px", "2"], Besides::Keepttl), Some(Ok(7)));
        assert_eq!(parse(&["EXAT", "2"], Besides::Keepttl), Some(Ok(2000)));
        assert_eq!(parse(&["pxAT", "2"], Besides::Keepttl), Some(Ok(2)));
        assert_eq!(parse(&["EX", "1", "ex", "2"], Besides::Keepttl), Some(Ok(2005)));
    }

    #[test]
    fn refused_combinations() {
        for words in [
            &["EX", "1", "PX", "1"][..],
            &["EX", "1", "KEEPTTL"],
            &["KEEPTTL", "PXAT", "1"],
            &["EX"],
            &["PERSIST"],
            &["EXA"],
        ] {
            assert_eq!(parse(words, Besides::Keepttl), None, "{words:?}");
        }
        assert_eq!(parse(&["KEEPTTL"], Besides::Persist), None);
        assert_eq!(parse(&["PERSIST", "EX", "1"], Besides::Persist), None);
        assert_eq!(parse(&["PERSIST", "persist"], Besides::Persist), Some(Ok(-1)));
    }

    #[test]
    fn refused_numbers() {
        let invalid = Error::new("ERR invalid expire time in 'x' command");
        for words in [
            ["EX", "0"],
            ["EX", "-1"],
            ["PXAT", "0"],
            ["EX", "9223372036854776"],
            ["EX", "9223372036854775"],
            ["PX", "9223372036854775807"],
            ["EXAT", "9223372036854776"],
        ] {
            let expected = if words[1] == "9223372036854775" {
                // Fits after the multiplication, and with this test's clock also after the addition.
                Ok(9_223_372_036_854_775_005)
            } else {
                Err(invalid.clone())
            };
            assert_eq!(parse(&words, Besides::Keepttl), Some(expected), "{words:?}");
        }
        assert_eq!(parse(&["EX", "1.5"], Besides::Keepttl), Some(Err(Error::NotInteger)));
        assert_eq!(parse(&["EX", ""], Besides::Keepttl), Some(Err(Error::NotInteger)));
    }
}
