//! Conversations as text: lines with `> ` are sent, the line after each is what the reply must look like. Replies show
//! as `OK` (simple), `"text"` (bulk), `5`, `nil`, `-ERR text`, `[a b]` (array), `{a: b}` (map), `#{a b}` (set), `1.5d`
//! (double), `true`. `...` in an expected line matches anything.

use tidegate_tests::resp::{Escaped, Reply, RespClient};
use tidegate_tests::server::TestServer;

/// Starts a server and holds one conversation with it.
pub(crate) fn check(text: &str) {
    let server = TestServer::tidegate();
    converse(&mut server.client(), text);
}

/// Holds a conversation over an open connection.
pub(crate) fn converse(client: &mut RespClient, text: &str) {
    let mut lines =
        text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("> ").unwrap_or_else(|| panic!("not a command: {line}"));
        let expected = lines.next().unwrap_or_else(|| panic!("no reply is given for {command}"));
        let shown = show(&client.call(&words(command)));
        assert!(matches(expected, &shown), "> {command}\nexpected {expected}\n     got {shown}");
    }
}

/// A reply as one line.
pub(crate) fn show(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Null => "nil".to_owned(),
        Reply::Simple(text) => Escaped(text).to_string(),
        Reply::Error(text) => format!("-{}", Escaped(text)),
        Reply::Bulk(text) => format!("\"{}\"", Escaped(text)),
        Reply::Verbatim(text) => format!("txt\"{}\"", Escaped(text)),
        Reply::BigNumber(text) => format!("({}", Escaped(text)),
        Reply::Int(value) => value.to_string(),
        Reply::Double(value) => format!("{value}d"),
        Reply::Bool(value) => value.to_string(),
        Reply::Array(items) => format!("[{}]", list(items)),
        Reply::Set(items) => format!("#{{{}}}", list(items)),
        Reply::Push(items) => format!(">[{}]", list(items)),
        Reply::Map(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{}: {}", show(k), show(v))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
    }
}

fn matches(expected: &str, shown: &str) -> bool {
    let mut parts = expected.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = shown.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|part| part.is_empty() || shown.ends_with(part))
}

/// Splits a line into words; `"..."` keeps spaces and understands `\n`, `\r`, `\"`, `\\` and `\xNN`.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let mut word = Vec::new();
        match byte {
            b' ' => continue,
            b'"' => loop {
                match bytes.next().expect("quotes are closed") {
                    b'"' => break,
                    b'\\' => match bytes.next().expect("an escape has a letter") {
                        b'n' => word.push(b'\n'),
                        b'r' => word.push(b'\r'),
                        b'x' => {
                            let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("two digits"));
                            let digits = std::str::from_utf8(&digits).expect("hex digits");
                            word.push(u8::from_str_radix(digits, 16).expect("hex digits"));
                        }
                        other => word.push(other),
                    },
                    other => word.push(other),
                }
            },
            other => {
                word.push(other);
                while let Some(byte) = bytes.next_if(|byte| *byte != b' ') {
                    word.push(byte);
                }
            }
        }
        words.push(word);
    }
    words
}

#[test]
fn dots_match_anything_between_fixed_parts() {
    assert!(matches("-ERR ... end", "-ERR some text end"));
    assert!(matches("...", ""));
    assert!(!matches("-ERR ...end", "-ERR ends"));
    assert!(!matches("OK", "OKAY"));
    assert_eq!(words(r#"SET "a b" \x "\x00\n""#), [&b"SET"[..], b"a b", b"\\x", b"\x00\n"]);
}
