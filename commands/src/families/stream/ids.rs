//! Stream IDs as clients write them.

use super::c_text;
use crate::model::{Args, Error};
use tidegate_data::types::stream::StreamId;
use tidegate_data::types::string::parse_int;

/// Longest text of an ID: two numbers of 20 digits and the sign between them.
const ID_LEN_MAX: usize = 41;

/// Redis looks at this many bytes of an ID and refuses longer ones.
const READ_LEN_MAX: usize = 127;

const INVALID: Error = Error::new("ERR Invalid stream ID specified as stream command argument");

/// An ID in text, on the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdText {
    bytes: [u8; ID_LEN_MAX],
    start: usize,
}

impl IdText {
    pub(super) fn of(id: StreamId) -> Self {
        let mut text = IdText { bytes: [b'-'; ID_LEN_MAX], start: ID_LEN_MAX };
        text.prepend(id.seq);
        text.start -= 1;
        text.prepend(id.ms);
        text
    }

    fn prepend(&mut self, mut number: u64) {
        loop {
            self.start -= 1;
            self.bytes[self.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// The ID of a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Auto,
    /// `<ms>-*`
    AutoSeq(u64),
    /// A complete one.
    Given(StreamId),
}

impl NewId {
    /// Reads what `XADD` takes.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        if text == b"*" {
            return Ok(NewId::Auto);
        }
        let text = checked_len(text)?;
        match text.iter().position(|byte| *byte == b'-') {
            Some(at) if at > 0 && &text[at + 1..] == b"*" => {
                Ok(NewId::AutoSeq(number(&text[..at]).ok_or(INVALID)?))
            }
            _ => parse_strict(text, 0).map(NewId::Given),
        }
    }
}

/// Reads an ID; `missing_seq` stands for a sequence that is left out. `-` and `+` are the first and the last ID.
pub(super) fn parse(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    match checked_len(text)? {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => parse_strict(text, missing_seq),
    }
}

/// Reads an ID; `-` and `+` are refused.
pub(crate) fn parse_strict(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    let text = checked_len(text)?;
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (number(&text[..at]), number(&text[at + 1..])),
        None => (number(text), Some(missing_seq)),
    };
    match (ms, seq) {
        (Some(ms), Some(seq)) => Ok(StreamId::new(ms, seq)),
        _ => Err(INVALID),
    }
}

fn checked_len(text: &[u8]) -> Result<&[u8], Error> {
    if text.len() > READ_LEN_MAX { Err(INVALID) } else { Ok(c_text(text)) }
}

/// A number as Redis reads it: a decimal integer, or whatever `strtoull` takes, signs and blanks included.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_int(text) {
        return u64::try_from(value).ok();
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().position(|byte| !is_space(byte))?..];
    let negative = text.starts_with(b"-");
    let digits = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads the start of an interval; one that begins with `(` is not part of it.
pub(super) fn interval_start(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id, rest @ ..] => parse_strict(&[&[*id], rest].concat(), 0)?
            .successor()
            .ok_or(Error::new("ERR invalid start ID for the interval")),
        _ => parse(text, 0),
    }
}

/// Reads the end of an interval; one that begins with `(` is not part of it.
pub(super) fn interval_end(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id, rest @ ..] => parse_strict(&[&[*id], rest].concat(), u64::MAX)?
            .predecessor()
            .ok_or(Error::new("ERR invalid end ID for the interval")),
        _ => parse(text, u64::MAX),
    }
}

/// Reads all remaining arguments as IDs.
pub(super) fn rest(args: &mut Args) -> Result<Vec<StreamId>, Error> {
    args.rest().map(|text| parse_strict(text, 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> StreamId {
        StreamId::new(ms, seq)
    }

    #[test]
    fn ids_are_read_like_redis_reads_them() {
        assert_eq!(parse_strict(b"5-3", 7), Ok(id(5, 3)));
        assert_eq!(parse_strict(b"5", 7), Ok(id(5, 7)));
        assert_eq!(parse_strict(b"18446744073709551615-18446744073709551615", 0), Ok(StreamId::MAX));
        assert_eq!(parse_strict(b"05-+3", 0), Ok(id(5, 3)));
        assert_eq!(parse_strict(b" 5- -1", 0), Ok(id(5, u64::MAX)));
        assert_eq!(parse_strict(b"5--0", 0), Ok(id(5, 0)));
        assert_eq!(parse_strict(b"5-3\0junk", 0), Ok(id(5, 3)));
        for text in ["", "-", "+", "a", "5-", "-5", "5--5", "5-3-1", "18446744073709551616-0", "5 ", "5-*"] {
            assert_eq!(parse_strict(text.as_bytes(), 0), Err(INVALID), "{text}");
        }
        assert_eq!(parse_strict(&[b'0'; 128], 0), Err(INVALID));
        assert_eq!(parse_strict(&[b'0'; 127], 0), Ok(id(0, 0)));
        assert_eq!(parse(b"-", 0), Ok(StreamId::MIN));
        assert_eq!(parse(b"+", 0), Ok(StreamId::MAX));
    }

    #[test]
    fn new_ids_may_leave_out_parts() {
        assert_eq!(NewId::parse(b"*"), Ok(NewId::Auto));
        assert_eq!(NewId::parse(b"7-*"), Ok(NewId::AutoSeq(7)));
        assert_eq!(NewId::parse(b"7"), Ok(NewId::Given(id(7, 0))));
        assert_eq!(NewId::parse(b"-*"), Err(INVALID));
        assert_eq!(NewId::parse(b"7-**"), Err(INVALID));
        assert_eq!(NewId::parse(b"-"), Err(INVALID));
    }

    #[test]
    fn intervals_may_be_open() {
        assert_eq!(interval_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(interval_end(b"(5"), Ok(id(5, u64::MAX - 1)));
        assert_eq!(interval_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(interval_start(b"("), Err(INVALID));
        assert_eq!(interval_start(b"(-"), Err(INVALID));
        assert_eq!(interval_end(b"(0-0"), Err(Error::new("ERR invalid end ID for the interval")));
    }

    #[test]
    fn ids_are_written() {
        assert_eq!(IdText::of(StreamId::MIN).as_bytes(), b"0-0");
        assert_eq!(IdText::of(StreamId::MAX).as_bytes(), b"18446744073709551615-18446744073709551615");
        assert_eq!(IdText::of(StreamId::new(10, 9)).as_bytes(), b"10-9");
    }
}
