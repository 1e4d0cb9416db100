//! The request decoder: bytes of a client in, argument ranges of that same buffer out.
//!
//! It accepts, refuses, skips and waits exactly as Redis 7.0.15 does, which includes what looks like neglect but is
//! visible to clients: the byte after the `\r` of a count or length and the two bytes after a bulk are skipped
//! unseen; a NUL hides the end of its line, so such a request waits until it is too big; and a line that
//! has arrived whole is never too big. It does not copy arguments, execute or reply.
//!
//! # Use
//!
//! ```
//! use tidegate::net::decode::{Decoder, Limits, Step};
//!
//! let mut decoder = Decoder::default();
//! let limits = Limits { authenticated: true, max_bulk_len: 512 << 20 };
//! let mut buf = b"PING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPI".to_vec();
//! let (mut at, mut spans) = (0, Vec::new());
//! while let Step::Command { args, end } = decoder.decode(&mut buf, at, &limits, &mut spans)? {
//!     let argv = &spans[spans.len() - args..];
//!     assert!(argv[0].slice(&buf) == b"PING" || argv[1].slice(&buf) == b"k");
//!     at = end;
//! }
//! # Ok::<(), tidegate::net::decode::ProtocolError>(())
//! ```
//!
//! - Each call continues at the `end` of the last step, also when that was [`Step::Incomplete`]: bytes before
//!   `end` are done with. The bytes from `end` on may be moved (usually to the front of the buffer, spans
//!   of executed commands being gone by then); the decoder's own state is relative to `end`, so it needs
//!   to be told nothing but the new position. They may not be changed or shortened.
//! - An inline request is un-escaped where it lies, so its bytes are no longer what the client sent; and the bytes
//!   of any request need not be canonical. What is journalled or forwarded must be built from the arguments.
//! - The limits of a connection that has not authenticated hold for what is decoded before its AUTH has *run*:
//!   while `authenticated` is false, execute each command before decoding the next.
//! - After an error, write [`ProtocolError::append_reply`], flush, close.

use std::vec::Drain;

pub use self::error::ProtocolError;
use tidegate_persistence::quote;

/// Lines longer than this are refused, in bytes, if their end has not arrived yet.
const LINE_SIZE_MAX: usize = 64 * 1024;
/// Arguments of one request: the largest C `int`.
const ARGS_MAX: i64 = i32::MAX as i64;
const ARGS_MAX_UNAUTHENTICATED: i64 = 10;
const BULK_SIZE_MAX_UNAUTHENTICATED: u64 = 16 * 1024;
/// [`Decoder::bulk`] while the length of the next argument has not been read.
const UNKNOWN: u32 = u32::MAX;
/// A decoder keeps room for this many arguments when it falls idle; more is given back.
const IDLE_ARGS_MAX: usize = 32;

const _: () = assert!(size_of::<Decoder>() <= 16 + size_of::<Vec<Span>>());

pub use tidegate_commands::model::Span;

/// What the connection may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Whether the client has authenticated or need not: otherwise 10 arguments of 16 KiB are the limit.
    pub authenticated: bool,
    /// `proto-max-bulk-len`, in bytes.
    pub max_bulk_len: u64,
}

/// What [`Decoder::decode`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A whole command.
    Command {
        /// How many arguments (at least one) were appended to `spans`.
        args: usize,
        /// Offset in the buffer of the first byte after the command.
        end: usize,
    },
    /// No whole command has arrived; `spans` is as it was.
    Incomplete {
        /// Offset in the buffer of the first byte still needed: where the partial command starts, or the end of the
        /// buffer. It is past the `at` of the call when empty requests were skipped.
        end: usize,
        /// How many more bytes at least must arrive, at least 1. For a bulk this is a client's claim, up
        /// to `proto-max-bulk-len`: grow towards it as bytes arrive rather than at once.
        need: usize,
    },
}

/// The decoder of one connection: what it knows of a command that has not arrived whole.
///
/// However small the pieces it arrives in, a command costs O(its size + the number of pieces) in all. Memory grows
/// with the arguments that arrived, never with the number a client claims.
#[derive(Debug)]
pub struct Decoder {
    /// Offset of the first undecoded byte of the partial command, from its start.
    pos: u32,
    /// How many bytes from `pos` on are known to hold no line end.
    scanned: u32,
    /// Arguments still missing; 0 between commands and while the count has not been read.
    missing: u32,
    /// Size of the argument whose bytes start at `pos`, or [`UNKNOWN`].
    bulk: u32,
    /// The arguments before `pos`, as offsets from the start of the command.
    args: Vec<Span>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { pos: 0, scanned: 0, missing: 0, bulk: UNKNOWN, args: Vec::new() }
    }
}

/// How a command began that was plain: all up to its first argument behind the name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head {
    /// Where the command starts, and how long this is; 0 when there was none.
    at: usize,
    len: usize,
    /// Its name, from its start.
    name_at: u32,
    name_len: u32,
    /// Bytes of the first argument, and how many arguments follow.
    first_len: u32,
    rest: u32,
}

impl Head {
    /// That of a command that starts at `at` and has these arguments; they must have been decoded from the same buffer.
    #[inline]
    pub fn of(at: usize, spans: &[Span]) -> Self {
        let [name, first, rest @ ..] = spans else { return Self::default() };
        Self {
            at,
            len: first.start as usize - at,
            name_at: name.start - at as u32,
            name_len: name.len,
            first_len: first.len,
            rest: rest.len() as u32,
        }
    }
}

/// What [`read_line`] found.
enum Line {
    /// The line ends before this offset.
    Ends(usize),
    /// It goes on; this many of its bytes hold no end.
    Open(usize),
}

impl Decoder {
    /// Bytes of the partial command that are decoded.
    pub fn taken(&self) -> usize {
        self.pos as usize
    }

    /// Decodes the command that starts at `at` if it is whole, has at most 99 arguments and nothing odd about it, which
    /// is how nearly all look; appends its arguments and returns where it ends. `None` says nothing: see
    /// [`decode`](Self::decode).
    #[inline]
    pub fn decode_plain(
        &mut self,
        buf: &[u8],
        at: usize,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Option<usize> {
        if self.missing != 0 || u32::try_from(buf.len()).is_err() {
            return None;
        }
        let first_span = spans.len();
        let (count, first) = match *buf.get(at..)?.first_chunk::<5>()? {
            [b'*', count @ b'1'..=b'9', b'\r', ..] => (digit(count), at + 4),
            // Who has not said who they are may not send that many.
            [b'*', tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _] if limits.authenticated => {
                (10 * digit(tens) + digit(ones), at + 5)
            }
            _ => return None,
        };
        let end = plain_arguments(buf, first, count, limits, spans);
        if end.is_some() {
            self.scanned = 0;
        } else {
            spans.truncate(first_span);
        }
        end
    }

    /// Decodes the command that starts at `at` if it begins like one that [`decode_plain`](Self::decode_plain) has decoded
    /// just before, and is as plain. Pipelines mostly consist of such commands.
    #[inline]
    pub fn decode_alike(
        buf: &[u8],
        at: usize,
        head: &Head,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Option<usize> {
        if head.len == 0 {
            return None;
        }
        let first = at + head.len;
        let next = first + head.first_len as usize + 2;
        if next > buf.len() || buf[at..first] != buf[head.at..head.at + head.len] {
            return None;
        }
        let first_span = spans.len();
        spans.push(Span { start: (at + head.name_at as usize) as u32, len: head.name_len });
        spans.push(Span { start: first as u32, len: head.first_len });
        let end = plain_arguments(buf, next, head.rest, limits, spans);
        if end.is_none() {
            spans.truncate(first_span);
        }
        end
    }

    /// Decodes the next command of `buf[at..]`, skipping empty requests before it. See the module for the contract.
    ///
    /// # Errors
    ///
    /// The connection is beyond rescue; the decoder is reset and `spans` as it was.
    #[inline]
    pub fn decode(
        &mut self,
        buf: &mut [u8],
        at: usize,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        let step = if self.missing == 0 {
            self.decode_next(buf, at, limits, spans)
        } else {
            self.decode_missing(buf, at, limits, spans)
        };
        if step.is_err() {
            self.reset();
        }
        step
    }

    /// Forgets a partial command.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Starts on a new command.
    #[inline]
    fn decode_next(
        &mut self,
        buf: &mut [u8],
        at: usize,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        if u32::try_from(buf.len()).is_err() {
            return Err(ProtocolError::TooBigRequest);
        }
        let mut start = at;
        while let Some(&first) = buf.get(start) {
            if first != b'*' {
                let first_span = spans.len();
                let Some(end) = self.decode_inline(buf, start, spans)? else {
                    return Ok(Step::Incomplete { end: start, need: 1 });
                };
                if spans.len() > first_span {
                    return Ok(Step::Command { args: spans.len() - first_span, end });
                }
                start = end;
                continue;
            }
            let (count, body) = match short_length(&buf[start + 1..]) {
                Some((count, rest)) => (count, offset_of(rest, buf)),
                None => match self.long_count(buf, start)? {
                    Some(long) => long,
                    None => return Ok(Step::Incomplete { end: start, need: 1 }),
                },
            };
            self.scanned = 0;
            if i64::from(count) > ARGS_MAX_UNAUTHENTICATED && !limits.authenticated {
                return Err(ProtocolError::UnauthenticatedCount);
            }
            if count > 0 {
                return self.decode_args(buf, start, body, count, limits, spans);
            }
            start = body;
        }
        Ok(Step::Incomplete { end: start, need: 1 })
    }

    /// The arguments of a command of `count`, the first of them at `body`. This is the fast path: whatever is not
    /// plain and here already is left to [`Self::decode_missing`].
    #[inline]
    fn decode_args(
        &mut self,
        buf: &[u8],
        start: usize,
        body: usize,
        count: u32,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        let size_max = limits.bulk_size_max();
        let first_span = spans.len();
        let mut rest = &buf[body..];
        for done in 0..count {
            if let [b'$', line @ ..] = rest
                && let Some((size, data)) = short_length(line)
                && u64::from(size) <= size_max
                && let Some((_, after)) = data.split_at_checked(size as usize + 2)
            {
                spans.push(Span { start: offset_of(data, buf) as u32, len: size });
                rest = after;
            } else {
                let pos = offset_of(rest, buf);
                self.park(start, pos, count - done, spans.drain(first_span..));
                return self.decode_missing(buf, start, limits, spans);
            }
        }
        Ok(Step::Command { args: count as usize, end: offset_of(rest, buf) })
    }

    /// Keeps a command of which `missing` arguments, the first of them at `pos`, were not plain or not here.
    #[cold]
    fn park(&mut self, start: usize, pos: usize, missing: u32, decoded: Drain<'_, Span>) {
        self.args.extend(decoded.map(|span| Span { start: span.start - start as u32, len: span.len }));
        self.pos = (pos - start) as u32;
        self.missing = missing;
    }

    /// Goes on with the partial command that starts at `start`.
    #[cold]
    fn decode_missing(
        &mut self,
        buf: &[u8],
        start: usize,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        if u32::try_from(buf.len()).is_err() {
            return Err(ProtocolError::TooBigRequest);
        }
        while self.missing > 0 {
            if self.bulk == UNKNOWN && !self.read_length(buf, start, limits)? {
                return Ok(Step::Incomplete { end: start, need: 1 });
            }
            let next = start + self.pos as usize + self.bulk as usize + 2;
            if next > buf.len() {
                return Ok(Step::Incomplete { end: start, need: next - buf.len() });
            }
            self.args.push(Span { start: self.pos, len: self.bulk });
            self.pos = (next - start) as u32;
            self.bulk = UNKNOWN;
            self.missing -= 1;
        }
        let args = self.args.len();
        let end = start + self.pos as usize;
        spans
            .extend(self.args.drain(..).map(|span| Span { start: span.start + start as u32, len: span.len }));
        self.args.shrink_to(IDLE_ARGS_MAX);
        self.pos = 0;
        Ok(Step::Command { args, end })
    }

    /// Reads `$<length>` at `pos`; false when the line has not arrived whole.
    fn read_length(&mut self, buf: &[u8], start: usize, limits: &Limits) -> Result<bool, ProtocolError> {
        let at = start + self.pos as usize;
        let end = match read_line(buf, at, self.scanned, b'\r') {
            Line::Ends(end) if end + 1 < buf.len() => end,
            Line::Ends(end) => {
                self.scanned = (end - at) as u32;
                return Ok(false);
            }
            Line::Open(_) if buf.len() - at > LINE_SIZE_MAX => return Err(ProtocolError::TooBigLength),
            Line::Open(scanned) => {
                self.scanned = scanned as u32;
                return Ok(false);
            }
        };
        self.scanned = 0;
        if buf[at] != b'$' {
            return Err(ProtocolError::ExpectedDollar(buf[at]));
        }
        let size = parse_integer(&buf[at + 1..end])
            .and_then(|size| u64::try_from(size).ok())
            .filter(|&size| size <= limits.max_bulk_len)
            .ok_or(ProtocolError::InvalidLength)?;
        if size > limits.bulk_size_max() {
            return Err(ProtocolError::UnauthenticatedLength);
        }
        let pos = end + 2 - start;
        // Also keeps every legal size apart from UNKNOWN.
        if size.saturating_add(pos as u64 + 2) > u64::from(u32::MAX) {
            return Err(ProtocolError::TooBigRequest);
        }
        self.pos = pos as u32;
        self.bulk = size as u32;
        Ok(true)
    }

    /// Reads the `*<count>` at `start` that [`short_length`] did not understand: the count, 0 if negative, and the
    /// offset after its line.
    #[cold]
    fn long_count(&mut self, buf: &[u8], start: usize) -> Result<Option<(u32, usize)>, ProtocolError> {
        match read_line(buf, start, self.scanned, b'\r') {
            Line::Ends(end) if end + 1 < buf.len() => {
                let count = parse_integer(&buf[start + 1..end])
                    .filter(|&count| count <= ARGS_MAX)
                    .ok_or(ProtocolError::InvalidCount)?;
                Ok(Some((count.max(0) as u32, end + 2)))
            }
            Line::Ends(end) => {
                self.scanned = (end - start) as u32;
                Ok(None)
            }
            Line::Open(_) if buf.len() - start > LINE_SIZE_MAX => Err(ProtocolError::TooBigCount),
            Line::Open(scanned) => {
                self.scanned = scanned as u32;
                Ok(None)
            }
        }
    }

    /// Appends the arguments of the inline request at `start` and returns the offset after it, or `None` when it has
    /// not arrived whole.
    fn decode_inline(
        &mut self,
        buf: &mut [u8],
        start: usize,
        spans: &mut Vec<Span>,
    ) -> Result<Option<usize>, ProtocolError> {
        let end = match read_line(buf, start, self.scanned, b'\n') {
            Line::Ends(end) => end,
            Line::Open(_) if buf.len() - start > LINE_SIZE_MAX => return Err(ProtocolError::TooBigInline),
            Line::Open(scanned) => {
                self.scanned = scanned as u32;
                return Ok(None);
            }
        };
        self.scanned = 0;
        let first_span = spans.len();
        // One '\r' belongs to the line end, also where the splitter would not take it for a blank: after `"a`.
        let line = &mut buf[start..end];
        let line = match line {
            [text @ .., b'\r'] => text,
            _ => line,
        };
        let split = quote::split_in_place(line, |range| {
            spans.push(Span { start: (start + range.start) as u32, len: range.len() as u32 });
        });
        if split.is_err() {
            spans.truncate(first_span);
            return Err(ProtocolError::UnbalancedQuotes);
        }
        Ok(Some(end + 1))
    }
}

impl Limits {
    #[inline]
    fn bulk_size_max(&self) -> u64 {
        if self.authenticated {
            self.max_bulk_len
        } else {
            self.max_bulk_len.min(BULK_SIZE_MAX_UNAUTHENTICATED)
        }
    }
}

/// Looks for the `ending` of the line at `start`, of which `scanned` bytes are known not to hold it. A NUL
/// hides everything after it, as Redis searches with C string functions.
fn read_line(buf: &[u8], start: usize, scanned: u32, ending: u8) -> Line {
    let from = start + scanned as usize;
    let found = buf.get(from..).and_then(|rest| rest.iter().position(|&byte| byte == ending || byte == 0));
    match found {
        Some(offset) if buf[from + offset] == ending => Line::Ends(from + offset),
        Some(offset) => Line::Open(from + offset - start),
        None => Line::Open(buf.len() - start),
    }
}

/// Parses the number that `text` starts with and the line end after it, if that is here and the number is
/// canonical, not negative and below 10^9; returns it and what follows its line.
#[inline]
fn short_length(text: &[u8]) -> Option<(u32, &[u8])> {
    // One to three digits are nearly all there is. Only a leading zero makes two digits uncanonical.
    match *text {
        [a @ b'0'..=b'9', b'\r', _, ref rest @ ..] => Some((digit(a), rest)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ref rest @ ..] => Some((digit(a) * 10 + digit(b), rest)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ref rest @ ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), rest))
        }
        [b'1'..=b'9', ..] => longer_length(text),
        _ => None,
    }
}

/// Appends so many arguments, which begin at `pos`, and returns where they end; `None` unless they are all there and plain.
#[inline]
fn plain_arguments(
    buf: &[u8],
    mut pos: usize,
    count: u32,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Option<usize> {
    let size_max = limits.bulk_size_max();
    for _ in 0..count {
        let (size, skipped) =
            plain_length(buf.get(pos..)?).filter(|(size, _)| u64::from(*size) <= size_max)?;
        let start = pos + skipped;
        pos = start + size as usize + 2;
        if pos > buf.len() {
            return None;
        }
        spans.push(Span { start: start as u32, len: size });
    }
    Some(pos)
}

/// Parses the line of a bulk's size as [`short_length`] does, `$` included; returns the size and the length of its line.
#[inline]
fn plain_length(text: &[u8]) -> Option<(u32, usize)> {
    const DOLLAR: u64 = b'$' as u64;
    const RETURN: u64 = b'\r' as u64;
    // In one word, where there are eight bytes, as there nearly always are.
    if let Some(line) = text.first_chunk::<8>() {
        let line = u64::from_le_bytes(*line);
        let (a, b) = (digit((line >> 8) as u8), digit((line >> 16) as u8));
        if line & 0x00ff_00ff == DOLLAR | RETURN << 16 && a <= 9 {
            return Some((a, 4));
        }
        if line & 0xff00_00ff == DOLLAR | RETURN << 24 && a.wrapping_sub(1) <= 8 && b <= 9 {
            return Some((a * 10 + b, 5));
        }
    }
    let [b'$', line @ ..] = text else { return None };
    short_length(line).map(|(size, rest)| (size, offset_of(rest, text)))
}

fn longer_length(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    match text.split_at(digits) {
        (digits, [b'\r', _, rest @ ..]) if digits.len() < 10 => {
            Some((digits.iter().fold(0, |value, &byte| value * 10 + digit(byte)), rest))
        }
        _ => None,
    }
}

#[inline]
fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

/// Where `rest`, which reaches to the end of `buf`, starts in it.
#[inline]
fn offset_of(rest: &[u8], buf: &[u8]) -> usize {
    buf.len().wrapping_sub(rest.len())
}

/// Parses an integer as Redis does: decimal, no sign but `-`, no leading zeros, no `-0`, no blanks.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        b"0" => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

mod error;
#[cfg(test)]
mod tests;
