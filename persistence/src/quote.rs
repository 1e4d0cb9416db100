//! Splitting a line into arguments with Redis' quoting rules, and quoting what goes into one.
//!
//! The same rules serve inline requests (split where they lie in the read buffer), and the lines of a configuration
//! file and of the manifest of an append-only file (split into owned arguments). Outside quotes nothing is an escape.
//!
//! | Form | Meaning |
//! |---|---|
//! | `word` | as it stands, up to a blank or a quote |
//! | `"..."` | `\n` `\r` `\t` `\b` `\a`, `\xHH` for one byte, `\` and any other character for that character |
//! | `'...'` | only `\'` is an escape |
//!
//! A quote may open in the middle of a word (`a"b c"` is `ab c`), but a closing one ends the argument, so a
//! blank or the end of the line must follow it.

use std::fmt::Write as _;
use std::ops::Range;

/// A quote that is not closed, or is closed in the middle of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unbalanced;

/// The arguments of `line`, or `None` when its quotes are unbalanced. An empty line has no arguments.
///
/// A NUL byte ends the line, as it does for Redis.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = line.iter().position(|&byte| byte == 0).unwrap_or(line.len());
    let mut line = line[..end].to_vec();
    let mut ranges = Vec::new();
    split_in_place(&mut line, |range| ranges.push(range)).ok()?;
    Some(ranges.into_iter().map(|range| line[range].to_vec()).collect())
}

/// Un-escapes the arguments of `line` where they lie and hands the range of each to `found`, in order.
///
/// An un-escaped argument is never longer than its quoted form, so it always fits in the place of that form.
/// `line` must hold no NUL byte. What it holds after an error, or between the ranges, is unspecified.
pub fn split_in_place(line: &mut [u8], mut found: impl FnMut(Range<usize>)) -> Result<(), Unbalanced> {
    let mut at = 0;
    loop {
        at += line[at..].iter().take_while(|&&byte| is_blank(byte)).count();
        if at == line.len() {
            return Ok(());
        }
        let start = at;
        at += line[at..].iter().take_while(|&&byte| !ends_plain_text(byte)).count();
        let mut end = at;
        match line.get(at) {
            Some(b'"') => (at, end) = unescape_double(line, at)?,
            Some(b'\'') => (at, end) = unescape_single(line, at)?,
            _ => {}
        }
        found(start..end);
    }
}

/// Un-escapes the text between double quotes to where its opening quote, at `open`, stands. Returns the
/// position after the closing quote and the end of the text written.
fn unescape_double(line: &mut [u8], open: usize) -> Result<(usize, usize), Unbalanced> {
    let mut write = open;
    let mut read = open + 1;
    loop {
        let (byte, size) = match line[read..] {
            [] => return Err(Unbalanced),
            [b'"', ..] => return closed(line, read, write),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(high) << 4 | hex_value(low), 4)
            }
            [b'\\', escaped, ..] => (escape_value(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        line[write] = byte;
        write += 1;
        read += size;
    }
}

/// As [`unescape_double`], between single quotes.
fn unescape_single(line: &mut [u8], open: usize) -> Result<(usize, usize), Unbalanced> {
    let mut write = open;
    let mut read = open + 1;
    loop {
        let (byte, size) = match line[read..] {
            [] => return Err(Unbalanced),
            [b'\'', ..] => return closed(line, read, write),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (byte, 1),
        };
        line[write] = byte;
        write += 1;
        read += size;
    }
}

fn closed(line: &[u8], quote: usize, written: usize) -> Result<(usize, usize), Unbalanced> {
    match line.get(quote + 1) {
        Some(&next) if !is_blank(next) => Err(Unbalanced),
        _ => Ok((quote + 1, written)),
    }
}

/// C's `isspace` in the C locale.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Vertical tab and form feed separate arguments (see [`is_blank`]) but do not end one: Redis reads `a\x0bb`
/// as one word.
fn ends_plain_text(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'"' | b'\'')
}

fn escape_value(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Quotes a string so that [`split_args`] gives the same bytes back: double quotes, the usual escapes, `\xhh` for what
/// is not printable ASCII.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail"),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What [`split`] is expected to give.
    macro_rules! words {
        ($($word:expr),*) => { Some(Vec::<String>::from([$($word.to_owned()),*])) };
    }

    /// As text, so that a case reads like the line: `None` when unbalanced.
    fn split(line: &str) -> Option<Vec<String>> {
        let args = split_args(line.as_bytes())?;
        Some(args.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect())
    }

    #[test]
    fn blanks_separate_and_surround() {
        assert_eq!(split(""), words![]);
        assert_eq!(split(" \t\r\n\x0b\x0c"), words![]);
        assert_eq!(split("  set  key\tvalue "), words!["set", "key", "value"]);
        assert_eq!(split("\x0becho a\x0bb\x0c"), words!["echo", "a\x0bb\x0c"], "\\v and \\f end no word");
    }

    #[test]
    fn double_quotes_unescape() {
        assert_eq!(split(r#""a b" "" c"#), words!["a b", "", "c"]);
        assert_eq!(split(r#""\n\r\t\b\a\"\\\q\'""#), words!["\n\r\t\x08\x07\"\\q'"]);
        assert_eq!(split_args(br#""\x00\xfF\x4""#), Some(vec![b"\x00\xffx4".to_vec()]));
        assert_eq!(split(r#""\xg0\x""#), words!["xg0x"], "two hexadecimal digits or none");
        assert_eq!(split(r#"a\n"b\n""#), words!["a\\nb\n"], "outside quotes a backslash is itself");
    }

    #[test]
    fn single_quotes_keep_everything_but_the_quote() {
        assert_eq!(split(r"'a b' '' '\'' '\n\\ '"), words!["a b", "", "'", "\\n\\\\ "]);
        assert_eq!(split(r#"'"' "'""#), words!["\"", "'"]);
    }

    #[test]
    fn a_quote_may_open_inside_a_word_but_must_close_before_a_blank() {
        assert_eq!(split(r#"a"b c" d"#), words!["ab c", "d"]);
        assert_eq!(split("a'b c'\x0bd"), words!["ab c", "d"]);
        for line in [r#""a"b"#, "'a'b", r#""a"'b'"#, r#"""""#] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn an_open_quote_is_unbalanced() {
        for line in ["\"", "'", r#""a\""#, r"'a\'", r#"a ""#, r#""\"#, r#""\x4"#, r#""\x41"#, r"'\", r"'\\'"]
        {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn a_nul_ends_the_line() {
        assert_eq!(split("a b\0c \""), words!["a", "b"]);
        assert_eq!(split("\"a\0\""), None);
    }

    #[test]
    fn what_is_quoted_reads_as_redis_writes_it() {
        assert_eq!(quoted(b"a \"b\"\\\r\n\t\x07\x08\x00\xff~"), r#""a \"b\"\\\r\n\t\a\b\x00\xff~""#);
    }

    proptest! {
        #[test]
        fn every_argument_survives_being_quoted(args: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for arg in &args {
                line.extend_from_slice(b" \"");
                line.extend(arg.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()));
                line.push(b'"');
            }
            prop_assert_eq!(split_args(&line), Some(args.clone()));
            let line: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
            prop_assert_eq!(split_args(line.join(" ").as_bytes()), Some(args));
        }

        #[test]
        fn no_line_panics_and_no_argument_grows(line in r#"[ab\\x0-9"' \n\x00]{0,40}"#) {
            // As bytes: the random line `"\x80"` is no text.
            if let Some(args) = split_args(line.as_bytes()) {
                prop_assert!(args.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }
    }
}
