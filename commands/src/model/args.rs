//! A cursor over a request's arguments.
//!
//! The arguments stay where they were received (or queued): an argument is a range of a byte buffer. Keys are not
//! made here: the router found them by the command's key specs and the cursor hands them out at their places.

use super::error::Error;
use super::number::{parse_double, parse_i64};
use tidegate_data::Key;

/// A range of bytes of a buffer: one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span as a range of indices.
    pub fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// What comes before a bulk string of this length, which is less than 1000, and how many bytes that is.
    #[inline]
    fn header(self) -> (u64, usize) {
        let len = self.len % 1000;
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let (text, size) = match len {
            0..10 => ([b'$', digit(len), b'\r', b'\n', 0, 0, 0, 0], 4),
            10..100 => ([b'$', digit(len / 10), digit(len), b'\r', b'\n', 0, 0, 0], 5),
            _ => ([b'$', digit(len / 100), digit(len / 10), digit(len), b'\r', b'\n', 0, 0], 6),
        };
        (u64::from_le_bytes(text), size)
    }

    /// The bytes of the span in `buf`.
    #[inline]
    pub fn slice(self, buf: &[u8]) -> &[u8] {
        &buf[self.range()]
    }
}

/// A request that was copied out of its buffer: queued in a transaction, parked, or to be run for a key that is waited
/// for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRequest {
    /// The arguments' bytes.
    pub bytes: Vec<u8>,
    /// The arguments.
    pub args: Vec<Span>,
}

impl StoredRequest {
    /// Copies a request out of a read buffer.
    pub fn copy_of(buf: &[u8], spans: &[Span]) -> Self {
        let mut stored = StoredRequest {
            bytes: Vec::with_capacity(spans.iter().map(|span| span.len as usize).sum()),
            args: Vec::with_capacity(spans.len()),
        };
        for span in spans {
            stored.push(span.slice(buf));
        }
        stored
    }

    /// A request of these words.
    pub fn of_words(words: &[&[u8]]) -> Self {
        let mut stored = StoredRequest {
            bytes: Vec::with_capacity(words.iter().map(|word| word.len()).sum()),
            args: Vec::with_capacity(words.len()),
        };
        for word in words {
            stored.push(word);
        }
        stored
    }

    fn push(&mut self, word: &[u8]) {
        self.args.push(Span { start: self.bytes.len() as u32, len: word.len() as u32 });
        self.bytes.extend_from_slice(word);
    }

    /// Its words.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.args.iter().map(|span| span.slice(&self.bytes))
    }

    /// Bytes it occupies.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.args.capacity() * size_of::<Span>()
    }
}

/// A key that the router found: its argument and what hashing it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutedKey {
    /// Index of the argument (the command name is 0).
    pub arg: u32,
    /// The shard that holds it.
    pub shard: u16,
    /// Its hash in the keyspace table.
    pub hash: u64,
}

/// The arguments of one request, read from left to right.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
    keys: &'a [RoutedKey],
    next: usize,
    next_key: usize,
}

impl<'a> Args<'a> {
    /// A cursor standing after the first `name_len` words (1 for `GET`, 2 for `CONFIG GET`).
    pub fn new(buf: &'a [u8], spans: &'a [Span], keys: &'a [RoutedKey], name_len: usize) -> Self {
        Args { buf, spans, keys, next: name_len, next_key: 0 }
    }

    /// The keys, and where they are kept.
    pub fn routed(&self) -> &'a [RoutedKey] {
        self.keys
    }

    /// Number of arguments, the command name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never true for a request: there is always a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, wherever the cursor stands (0 is the command name). Panics beyond the end.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.spans[index].slice(self.buf)
    }

    /// The request as it was sent, if that is how anybody would encode it: a RESP array of bulk strings. `None` also for
    /// one of more than 9 words, or with one of more than 999 bytes. O(words).
    #[inline]
    pub fn verbatim(&self) -> Option<&'a [u8]> {
        let first = self.spans.first()?;
        let mut at = (first.start as usize).checked_sub(first.header().1 + 4)?;
        let start = at;
        let count = u8::try_from(self.spans.len()).ok().filter(|count| *count <= 9)?;
        if *self.buf.get(at..)?.first_chunk()? != [b'*', b'0' + count, b'\r', b'\n'] {
            return None;
        }
        at += 4;
        for span in self.spans {
            let (header, len) = span.header();
            let text = self.buf.get(at..)?.first_chunk::<8>()?;
            // What is behind the header in this word does not matter.
            let matters = u64::MAX >> (64 - 8 * len);
            let end = at + len + span.len as usize;
            let is_plain = u64::from_le_bytes(*text) & matters == header
                && at + len == span.start as usize
                && *self.buf.get(end..)?.first_chunk()? == [b'\r', b'\n'];
            if span.len > 999 || !is_plain {
                return None;
            }
            at = end + 2;
        }
        self.buf.get(start..at)
    }

    /// Index of the next argument.
    pub fn index(&self) -> usize {
        self.next
    }

    /// Number of arguments not yet read.
    pub fn remaining(&self) -> usize {
        self.spans.len() - self.next
    }

    /// True when everything was read.
    pub fn is_done(&self) -> bool {
        self.remaining() == 0
    }

    /// The next argument without reading it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.spans.get(self.next).map(|span| span.slice(self.buf))
    }

    /// Reads the next argument; a missing one is a syntax error (arity is checked before a handler runs).
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "a missing argument is an error, not an end")]
    pub fn next(&mut self) -> Result<&'a [u8], Error> {
        let span = self.spans.get(self.next).ok_or(Error::Syntax)?;
        self.next += 1;
        Ok(span.slice(self.buf))
    }

    /// Passes over the next `count` arguments, which must be there.
    pub fn skip(&mut self, count: usize) {
        debug_assert!(count <= self.remaining(), "only arguments that are there are passed over");
        self.next += count;
    }

    /// Reads all remaining arguments.
    pub fn rest(&mut self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (buf, from) = (self.buf, self.next);
        self.next = self.spans.len();
        self.spans[from..].iter().map(move |span| span.slice(buf))
    }

    /// Reads the next argument as a key. It must be one that the command's key specs declare.
    ///
    /// O(1) when the keys are read in the order of their specs, as every handler does: `MSET` with thousands of keys
    /// would be quadratic otherwise.
    #[inline]
    pub fn key(&mut self) -> Result<Key<'a>, Error> {
        let index = self.next;
        let bytes = self.next()?;
        let routed = match self.keys.get(self.next_key) {
            Some(key) if key.arg as usize == index => key,
            _ => self.find_key(index),
        };
        self.next_key += 1;
        Ok(Key::new(bytes, routed.hash, routed.shard))
    }

    /// The same for a key behind a word: a syntax error where the word stands before it as something else, so that the key
    /// specs, which look for the first one, declare another argument.
    pub fn key_behind_word(&mut self) -> Result<Key<'a>, Error> {
        let index = self.next;
        if index < self.spans.len() && !self.keys.iter().any(|key| key.arg as usize == index) {
            return Err(Error::Syntax);
        }
        self.key()
    }

    /// The routed key of argument `index`; the cursor over the keys moves there.
    #[cold]
    fn find_key(&mut self, index: usize) -> &'a RoutedKey {
        let at = self.keys.iter().position(|key| key.arg as usize == index);
        self.next_key = at.expect("a handler reads keys only where the command's key specs declare them");
        &self.keys[self.next_key]
    }

    /// All keys of the request in argument order, wherever the cursor stands.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Key<'a>> + use<'a> {
        let (buf, spans) = (self.buf, self.spans);
        self.keys.iter().map(move |key| Key::new(spans[key.arg as usize].slice(buf), key.hash, key.shard))
    }

    /// Reads a decimal integer.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, Error> {
        parse_i64(self.next()?).ok_or(Error::NotInteger)
    }

    /// Reads an integer within bounds, which the error names along with `name`.
    #[inline]
    pub fn between(&mut self, name: &str, least: i64, most: i64) -> Result<i64, Error> {
        let value = match self.next()? {
            // As most amounts are written.
            [digit @ b'0'..=b'9'] => i64::from(digit - b'0'),
            text => parse_i64(text).ok_or(Error::NotInteger)?,
        };
        if (least..=most).contains(&value) { Ok(value) } else { Err(out_of_bounds(name, least, most)) }
    }

    /// Reads a name of at most so many bytes.
    pub fn name_within(&mut self, what: &str, len_max: usize) -> Result<&'a [u8], Error> {
        let name = self.next()?;
        if name.len() > len_max {
            return Err(Error::text(format!("TOOBIG {what} exceeds {len_max} bytes")));
        }
        Ok(name)
    }

    /// Reads a double.
    pub fn float(&mut self) -> Result<f64, Error> {
        parse_double(self.next()?).ok_or(Error::NotFloat)
    }

    /// Reads the next argument if it is this word, in any case.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        self.next += usize::from(found);
        found
    }

    /// Syntax error when something is left over.
    pub fn end(&self) -> Result<(), Error> {
        if self.is_done() { Ok(()) } else { Err(Error::Syntax) }
    }
}

#[cold]
fn out_of_bounds(name: &str, least: i64, most: i64) -> Error {
    Error::text(format!("ERR {name} must be between {least} and {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a request, found by their own bytes.
    fn spans(request: &[u8], words: &[&[u8]]) -> Vec<Span> {
        let mut from = 0;
        let mut found = Vec::new();
        for &word in words {
            let find = |at: &usize| request[*at..].starts_with(word);
            let at = (from..request.len()).find(find).expect("it is there");
            found.push(Span { start: at as u32, len: word.len() as u32 });
            from = at + word.len();
        }
        found
    }

    fn verbatim(request: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
        Args::new(request, &spans(request, words), &[], 1).verbatim().map(<[u8]>::to_vec)
    }

    #[test]
    fn a_request_is_verbatim_where_it_is_what_anybody_would_write() {
        let plain: &[u8] =
            b"+OK\r\n*3\r\n$3\r\nSET\r\n$12\r\nkey:00000001\r\n$2\r\nxy\r\n*1\r\n$4\r\nPING\r\n";
        let words: &[&[u8]] = &[b"SET", b"key:00000001", b"xy"];
        assert_eq!(verbatim(plain, words), Some(plain[5..45].to_vec()));
        let value = [b'v'; 999];
        let long = [&b"*2\r\n$4\r\nECHO\r\n$999\r\n"[..], &value, b"\r\n"].concat();
        assert_eq!(verbatim(&long, &[b"ECHO", &value]), Some(long.clone()));
    }

    #[test]
    fn a_request_is_not_verbatim_where_others_would_write_it_otherwise() {
        let words: &[&[u8]] = &[b"SET", b"k", b"xyz"];
        for request in [
            &b"SET k xyz\r\n"[..],
            b"*03\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz\r\n",
            b"*3\r\n$3\r\nSET\r\n$01\r\nk\r\n$3\r\nxyz\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$+3\r\nxyz\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r.k\r\n$3\r\nxyz\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk..$3\r\nxyz\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz..",
            b"*3\r.$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz\r\n",
            b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz\r\n",
            b"SETkxyz",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nxyz",
        ] {
            assert_eq!(verbatim(request, words), None, "{}", request.escape_ascii());
        }
        let value = [b'v'; 1003];
        let long = [&b"*2\r\n$4\r\nECHO\r\n$1003\r\n"[..], &value, b"\r\n"].concat();
        assert_eq!(verbatim(&long, &[b"ECHO", &value]), None);
        let many = [&b"*10\r\n"[..], &b"$1\r\nx\r\n".repeat(10)].concat();
        assert_eq!(verbatim(&many, &[&b"x"[..]; 10]), None);
    }
}
