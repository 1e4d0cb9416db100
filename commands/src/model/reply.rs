//! The reply writer: the only place that knows RESP2 from RESP3.
//!
//! A handler writes straight into the connection's output buffer. Aggregate headers take the number of elements
//! that follow; [`Reply::map`] takes the number of *pairs* and writes twice as many elements for RESP2.

use super::error::Error;
use super::number::{format_double, format_double_17};
use tidegate_data::types::string::copy_short;

/// The protocol a connection speaks, chosen with `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2: the default of a new connection.
    #[default]
    Resp2,
    /// RESP3: typed nulls, maps, sets, doubles, booleans, pushes.
    Resp3,
}

/// Writes one reply (or several, for commands such as `SUBSCRIBE`) at the end of an output buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    /// Length of `out` at which the connection is closed.
    limit: usize,
}

impl<'a> Reply<'a> {
    /// A writer appending to `out` in `protocol`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Reply { out, protocol, limit: usize::MAX }
    }

    /// The same where the connection is closed once `out` is longer than `limit` bytes.
    #[must_use]
    pub fn limited(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Bytes that may still be written; one more and nobody reads the reply, so a handler may stop in the middle.
    pub fn left(&self) -> Option<usize> {
        self.limit.checked_sub(self.out.len())
    }

    /// The protocol replies are written in: for the few commands whose reply differs in more than its types.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Switches the protocol in the middle of a command: `HELLO` answers in the protocol it has just chosen.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes written so far in the buffer: a mark for [`Reply::truncate`].
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything written after `mark`.
    pub fn truncate(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// Writes something in front of what was written since `mark`: a header for which one had to count first.
    pub fn before(&mut self, mark: usize, write: impl FnOnce(&mut Self)) {
        let end = self.out.len();
        write(self);
        let len = self.out.len() - end;
        self.out[mark..].rotate_right(len);
    }

    /// Replies that are already encoded.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+text`: a status. The text must not hold line breaks; they become spaces.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.line(text.as_bytes());
    }

    /// `+text` of any bytes, in which line breaks become spaces.
    pub fn status(&mut self, text: &[u8]) {
        self.out.push(b'+');
        self.line(text);
    }

    /// `-text`, code included. Line breaks around the text are dropped, those in it become spaces, as in Redis.
    pub fn error(&mut self, error: &Error) {
        self.out.push(b'-');
        let message = error.message();
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = message.iter().position(|byte| !is_break(byte)).unwrap_or(message.len());
        let end = message.iter().rposition(|byte| !is_break(byte)).map_or(start, |last| last + 1);
        self.line(&message[start..end]);
    }

    /// An error that a script made: of the bytes given, only line breaks do not stay as they are.
    pub fn error_line(&mut self, text: &[u8]) {
        self.out.push(b'-');
        self.line(text);
    }

    /// A line of text in which line breaks cannot survive: a reply can never be split by its content.
    fn line(&mut self, text: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(text);
        for byte in &mut self.out[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// `:n`
    pub fn integer(&mut self, n: i64) {
        self.header(b':', n);
    }

    /// Several integers, one after the other, as [`Reply::integer`] writes each: in one piece while they are small.
    #[inline]
    pub fn integers<const N: usize>(&mut self, numbers: [i64; N]) {
        if numbers.iter().any(|n| *n as u64 >= SMALL) {
            for n in numbers {
                self.integer(n);
            }
            return;
        }
        self.piece::<PIECE>(|text| small_integers(numbers, text, 0));
    }

    /// The same behind an opening that was prepared.
    #[inline]
    pub fn opened<const N: usize>(&mut self, opening: &Opening, numbers: [i64; N]) {
        const ROOM: usize = Opening::ROOM + PIECE;
        if numbers.iter().any(|n| *n as u64 >= SMALL) {
            self.raw(opening.as_bytes());
            return self.integers(numbers);
        }
        self.piece::<ROOM>(|text| {
            text[..Opening::ROOM].copy_from_slice(&opening.bytes);
            small_integers(numbers, text, usize::from(opening.len))
        });
    }

    /// A piece of at most `ROOM` bytes, written in its place; `write` tells how long it became.
    #[inline]
    fn piece<const ROOM: usize>(&mut self, write: impl FnOnce(&mut [u8; ROOM]) -> usize) {
        let before = self.out.len();
        self.out.extend_from_slice(&[0; ROOM]);
        let len = write(self.out.last_chunk_mut().expect("that much was just added"));
        self.out.truncate(before + len);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() <= SHORT {
            self.short_bulk(bytes);
        } else {
            self.long_bulk(bytes);
        }
    }

    fn long_bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        self.out.reserve(bytes.len() + 2);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Replies consist mostly of short strings: elements, members, fields. All pieces have a fixed length here, so that
    /// no general copy is called, which takes longer than everything else together. They are written in their place:
    /// putting them together elsewhere first would make the processor wait for its own writes.
    fn short_bulk(&mut self, bytes: &[u8]) {
        const ROOM: usize = 5 + SHORT + 2;
        let len = bytes.len();
        self.piece::<ROOM>(|text| {
            let start = if len < 10 {
                text[..4].copy_from_slice(&[b'$', b'0' + len as u8, b'\r', b'\n']);
                4
            } else {
                text[..5].copy_from_slice(&[b'$', b'1', b'0' - 10 + len as u8, b'\r', b'\n']);
                5
            };
            copy_short(&mut text[start..], bytes);
            let end = start + len;
            text[end..end + 2].copy_from_slice(b"\r\n");
            end + 2
        });
    }

    /// A bulk string holding a decimal integer.
    pub fn bulk_integer(&mut self, n: i64) {
        let mut text = Backwards::default();
        text.number(n.unsigned_abs());
        if n < 0 {
            text.byte(b'-');
        }
        self.bulk(text.as_bytes());
    }

    /// A bulk string, or the null of the protocol.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// "Nothing there": `$-1` or `_`.
    pub fn null(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// "Nothing there" where an array is expected: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array of `len` elements.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The header of an array of `len` elements, or "nothing there".
    pub fn optional_array(&mut self, len: Option<usize>) {
        match len {
            Some(len) => self.array(len),
            None => self.null_array(),
        }
    }

    /// The header of a map of `pairs` keys and values.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * pairs as i64),
            Protocol::Resp3 => self.header(b'%', pairs as i64),
        }
    }

    /// The header of a set of `len` elements.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// The header of an out-of-band message of `len` elements (an array for RESP2).
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// The header of an attribute of `pairs`; RESP2 cannot carry it, so nothing may be written for it there.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert_eq!(self.protocol, Protocol::Resp3, "attributes exist in RESP3 only");
        self.header(b'|', pairs as i64);
    }

    /// A double: `,1.5` or a bulk string. Both with up to 17 significant digits, as Redis 7 prints them.
    pub fn double(&mut self, value: f64) {
        /// Integers up to this have at most 15 digits, and print as such.
        const INTEGER_MAX: f64 = 1e15;
        let integer = value as i64;
        #[expect(clippy::float_cmp, reason = "only an integer is equal to its integer")]
        if integer as f64 == value && value.abs() < INTEGER_MAX && (integer != 0 || value.is_sign_positive())
        {
            match self.protocol {
                Protocol::Resp2 => self.bulk_integer(integer),
                Protocol::Resp3 => self.header(b',', integer),
            }
            return;
        }
        let text = format_double_17(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.line(text.as_bytes());
            }
        }
    }

    /// A double by the shortest text that reads back as the same: `,0.9` or a bulk string.
    pub fn short_double(&mut self, value: f64) {
        // Which sign a result has that is no number depends on the processor.
        let text = format_double(if value.is_nan() { f64::NAN } else { value });
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.line(text.as_bytes());
            }
        }
    }

    /// A number with more precision than a double has, given by its digits: `,1.5` or a bulk string.
    pub fn double_digits(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.line(digits.as_bytes());
            }
        }
    }

    /// `#t`/`#f`, or `:1`/`:0`.
    pub fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
            (Protocol::Resp2, value) => self.integer(i64::from(value)),
        }
    }

    /// A text for humans, with a three-letter format (`txt`, `mkd`): a plain bulk string for RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3, "the protocol fixes the width of the format");
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.raw(format.as_bytes());
                self.raw(b":");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// A big number given by its decimal digits: a bulk string for RESP2.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        let digits = digits.as_ref();
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.line(digits);
            }
        }
    }

    /// An array of status lines, as every `HELP` subcommand answers.
    pub fn lines<'l>(&mut self, lines: impl ExactSizeIterator<Item = &'l str>) {
        self.array(lines.len());
        for line in lines {
            self.simple(line);
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn header(&mut self, kind: u8, n: i64) {
        if (0..10).contains(&n) {
            self.out.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']);
            return;
        }
        if (10..100).contains(&n) {
            let n = n as u8;
            self.out.extend_from_slice(&[kind, b'0' + n / 10, b'0' + n % 10, b'\r', b'\n']);
            return;
        }
        self.long_header(kind, n);
    }

    /// Lengths of collections, what is left of a limit: no loop for numbers of up to eight digits.
    fn long_header(&mut self, kind: u8, n: i64) {
        if !(1..SMALL as i64).contains(&n) {
            return self.any_header(kind, n);
        }
        self.piece(|text| small_header(kind, n as u32, text));
    }

    /// Written in its place.
    fn any_header(&mut self, kind: u8, n: i64) {
        const ROOM: usize = 24;
        let sign = usize::from(n < 0);
        let mut rest = n.unsigned_abs();
        let mut at = 1 + sign + rest.checked_ilog10().unwrap_or(0) as usize + 1;
        let before = self.out.len();
        self.out.extend_from_slice(&[0; ROOM]);
        let text = self.out.last_chunk_mut::<ROOM>().expect("that much was just added");
        text[0] = kind;
        text[1] = b'-';
        text[at..at + 2].copy_from_slice(b"\r\n");
        let end = at + 2;
        while rest >= 10 {
            let pair = (rest % 100) as usize;
            rest /= 100;
            at -= 2;
            text[at..at + 2].copy_from_slice(&PAIRS[pair]);
        }
        if at > 1 + sign {
            text[at - 1] = b'0' + rest as u8;
        }
        self.out.truncate(before + end);
    }
}

/// The eight decimal digits of a number below 10^8, a byte each, the highest in the lowest byte: it is halved into parts of
/// four digits, two digits and one, all parts at once. The multiplications are divisions by 100 and by 10 for numbers so
/// small.
fn eight_digits(n: u32) -> u64 {
    let fours = u64::from(n / 10_000) | u64::from(n % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

/// Numbers that [`small_integer`] can write.
const SMALL: u64 = 100_000_000;

/// Room for up to seven of them, each with kind, eight digits and line break, and what the last one writes beyond that.
const PIECE: usize = 7 * 11 + 16;

/// Writes each of the numbers as `:n` at `at`, one behind the other; tells where they end.
#[inline]
fn small_integers<const N: usize>(numbers: [i64; N], text: &mut [u8], mut at: usize) -> usize {
    const { assert!(N < 8, "there is no room for more") };
    for n in numbers {
        let room = text[at..].first_chunk_mut().expect("there is room for as many as may be written");
        at += small_integer(n as u32, room);
    }
    at
}

/// Writes `:n` with its line break, for such a number; tells how long it is. What is behind it in `text` changes, too.
#[inline]
fn small_integer(n: u32, text: &mut [u8; 16]) -> usize {
    if n < 10 {
        text[..4].copy_from_slice(&[b':', b'0' + n as u8, b'\r', b'\n']);
        return 4;
    }
    small_header(b':', n, text)
}

/// The same of any kind, where the number is not 0.
#[inline]
fn small_header(kind: u8, n: u32, text: &mut [u8; 16]) -> usize {
    let digits = eight_digits(n);
    // The highest digit stands in the lowest byte.
    let zeros = digits.trailing_zeros() / 8;
    let end = 9 - zeros as usize;
    text[0] = kind;
    text[1..9].copy_from_slice(&((digits | 0x3030_3030_3030_3030) >> (8 * zeros)).to_le_bytes());
    text[end..end + 2].copy_from_slice(b"\r\n");
    end + 2
}

/// The beginning of a reply that is written often, in the form it is sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    bytes: [u8; Self::ROOM],
    len: u8,
}

impl Opening {
    const ROOM: usize = 64;

    /// What `write` writes, which is the same in all protocols; `None` if it is too long to be worth it.
    pub fn of(write: impl FnOnce(&mut Reply)) -> Option<Self> {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, Protocol::Resp2));
        let mut bytes = [0; Self::ROOM];
        bytes.get_mut(..out.len())?.copy_from_slice(&out);
        Some(Opening { bytes, len: out.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The decimal digits of all numbers below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Strings up to this length are written in one piece; below 20, as its second digit is all that varies.
const SHORT: usize = 16;

/// A short text on the stack, written from its end, as decimal digits come.
#[derive(Debug)]
pub(crate) struct Backwards {
    bytes: [u8; Self::ROOM],
    start: usize,
}

impl Default for Backwards {
    fn default() -> Self {
        Backwards { bytes: [0; Self::ROOM], start: Self::ROOM }
    }
}

impl Backwards {
    /// Three numbers of any size, what stands between them, and what the last of them writes in front of itself.
    const ROOM: usize = 72;

    /// Puts decimal digits in front, eight at a time.
    pub(crate) fn number(&mut self, n: u64) -> &mut Self {
        const PART: u64 = 100_000_000;
        const ZEROS: u64 = 0x3030_3030_3030_3030;
        if n < 10 {
            return self.byte(b'0' + n as u8);
        }
        let mut rest = n;
        loop {
            let digits = eight_digits((rest % PART) as u32);
            let at = self.start - 8;
            self.bytes[at..at + 8].copy_from_slice(&(digits | ZEROS).to_le_bytes());
            if rest < PART {
                // Without zeros in front of the first.
                self.start = at + digits.trailing_zeros() as usize / 8;
                return self;
            }
            self.start = at;
            rest /= PART;
        }
    }

    /// Puts a byte in front.
    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.start -= 1;
        self.bytes[self.start] = byte;
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_is_written_from_its_end() {
        let powers = (0..20).map(|power| 10u64.saturating_pow(power));
        for n in
            powers.flat_map(|power| [power - 1, power, power + 1, power.wrapping_mul(7)]).chain([u64::MAX])
        {
            let mut text = Backwards::default();
            text.number(n).byte(b'-').number(u64::MAX).byte(b'#').number(n);
            assert_eq!(text.as_bytes(), format!("{n}#{}-{n}", u64::MAX).as_bytes());
        }
    }

    #[test]
    fn several_integers_are_written_as_each_is() {
        let around = |power: i64| [power - 1, power, power + 1, power * 7 / 2];
        let mut numbers: Vec<i64> =
            (0..20).flat_map(|digits| around(10_i64.saturating_pow(digits).min(1 << 60))).collect();
        numbers.extend([-1, -10, i64::MIN, i64::MAX, 12_345, 100_200, 10_000_001, 90_000_000, 99_999_999]);
        let write = |act: &dyn Fn(&mut Reply)| {
            let mut out = b"before".to_vec();
            act(&mut Reply::new(&mut out, Protocol::Resp2));
            out
        };
        for n in numbers {
            for others in [[0; 3], [9_999, 10_000, 99_999_999], [-1, 7, n]] {
                let all = [n, others[0], others[1], others[2], n, 5, n];
                let each = write(&|reply| all.iter().for_each(|n| reply.integer(*n)));
                assert_eq!(write(&|reply| reply.integers(all)), each, "{all:?}");
            }
        }
    }

    #[test]
    fn integers_of_every_length() {
        let powers = (0..19).map(|power| 10i64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power.wrapping_mul(7)]);
        for n in near.chain((0..20_000).step_by(37)).chain((0..100_000_000).step_by(9_973)) {
            for n in [n, -n] {
                assert_eq!(written(Protocol::Resp2, |reply| reply.integer(n)), format!(":{n}\r\n"));
            }
        }
    }

    #[test]
    fn shapes_in_both_protocols() {
        let both = |write: fn(&mut Reply), resp2: &str, resp3: &str| {
            assert_eq!(written(Protocol::Resp2, write), resp2);
            assert_eq!(written(Protocol::Resp3, write), resp3);
        };
        both(|r| r.simple("OK"), "+OK\r\n", "+OK\r\n");
        both(|r| r.bulk_or_null(None), "$-1\r\n", "_\r\n");
        both(|r| r.optional_array(None), "*-1\r\n", "_\r\n");
        both(|r| r.map(2), "*4\r\n", "%2\r\n");
        both(|r| r.set(3), "*3\r\n", "~3\r\n");
        both(|r| r.push(3), "*3\r\n", ">3\r\n");
        both(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        both(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        both(|r| r.double(-12.0), "$3\r\n-12\r\n", ",-12\r\n");
        both(|r| r.double(-0.0), "$2\r\n-0\r\n", ",-0\r\n");
        both(|r| r.double(1e20), "$5\r\n1e+20\r\n", ",1e+20\r\n");
        both(|r| r.short_double(0.9), "$3\r\n0.9\r\n", ",0.9\r\n");
        both(|r| r.short_double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
        both(|r| r.short_double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        both(|r| r.short_double(3.0), "$1\r\n3\r\n", ",3\r\n");
        both(|r| r.double_digits("1.5"), "$3\r\n1.5\r\n", ",1.5\r\n");
        both(|r| r.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        both(|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
        both(|r| r.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
        both(|r| r.bulk_integer(-10), "$3\r\n-10\r\n", "$3\r\n-10\r\n");
    }

    #[test]
    fn a_header_can_follow_its_elements() {
        let text = written(Protocol::Resp3, |r| {
            r.array(1);
            let mark = r.mark();
            r.bulk(b"a");
            r.integer(5);
            r.before(mark, |r| r.set(2));
        });
        assert_eq!(text, "*1\r\n~2\r\n$1\r\na\r\n:5\r\n");
    }

    #[test]
    fn strings_of_any_length() {
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(200).collect();
        for len in 0..=text.len() {
            let mut out = b"before".to_vec();
            Reply::new(&mut out, Protocol::Resp2).bulk(&text[..len]);
            let expected = [format!("before${len}\r\n").as_bytes(), &text[..len], b"\r\n"].concat();
            assert_eq!(out, expected, "{len}");
        }
    }

    #[test]
    fn an_error_text_cannot_inject_a_second_reply() {
        let text = written(Protocol::Resp2, |r| r.error(&Error::text("ERR a\r\n+OK\r\n")));
        assert_eq!(text, "-ERR a  +OK\r\n");
    }
}
