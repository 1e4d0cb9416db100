//! Replies to values of a script, and back.

use super::engine::Verdict;
use tidegate_commands::model::{Error, Protocol, Reply, parse_double, parse_i64};
use tidegate_lua::{Fault, Frame, Kind};

/// Values nest at most so deep in a reply.
const DEPTH_MAX: usize = 1000;

/// Pushes the reply that begins at `*at`, and moves there behind it. The reply is one of our own: what it says is true.
pub(super) fn push_reply(frame: &mut Frame<'_>, reply: &[u8], at: &mut usize) -> Result<(), Fault> {
    let (kind, line) = head(reply, at)?;
    match kind {
        b'+' => {
            frame.push_table(0, 1)?;
            frame.push(line)?;
            frame.raw_set_field(-2, "ok")
        }
        b'-' => push_error(frame, line, true),
        b':' => frame.push_number(parse_i64(line).unwrap_or_default() as f64),
        b'$' => match bulk(reply, at, line) {
            Some(bytes) => frame.push(bytes),
            None => frame.push_boolean(false),
        },
        b'*' | b'>' => match parse_i64(line) {
            Some(len @ 0..) => {
                frame.push_table(len as usize, 0)?;
                for n in 1..=len as usize {
                    let mut behind = *at;
                    if let (b'$', line) = head(reply, &mut behind)?
                        && let Some(bytes) = bulk(reply, &mut behind, line)
                    {
                        frame.add_text(n, bytes)?;
                        *at = behind;
                    } else {
                        push_reply(frame, reply, at)?;
                        frame.raw_set_element(-2, n)?;
                    }
                }
                frame.check_memory()
            }
            _ => frame.push_boolean(false),
        },
        b'%' => nested(frame, "map", |frame| {
            for _ in 0..parse_i64(line).unwrap_or_default() {
                push_reply(frame, reply, at)?;
                push_reply(frame, reply, at)?;
                frame.raw_set(-3)?;
            }
            frame.check_memory()
        }),
        b'~' => nested(frame, "set", |frame| {
            for _ in 0..parse_i64(line).unwrap_or_default() {
                push_reply(frame, reply, at)?;
                frame.push_boolean(true)?;
                frame.raw_set(-3)?;
            }
            frame.check_memory()
        }),
        b'_' => frame.push_nil(),
        b'#' => frame.push_boolean(line == b"t"),
        b',' => {
            frame.push_table(0, 1)?;
            frame.push_number(parse_double(line).unwrap_or(f64::NAN))?;
            frame.raw_set_field(-2, "double")
        }
        b'(' => {
            frame.push_table(0, 1)?;
            frame.push(line)?;
            frame.raw_set_field(-2, "big_number")
        }
        b'=' => {
            let text = bulk(reply, at, line).unwrap_or_default();
            let (format, text) = text.split_at(text.len().min(4));
            nested(frame, "verbatim_string", |frame| {
                frame.push(text)?;
                frame.raw_set_field(-2, "string")?;
                frame.push(&format[..format.len().min(3)])?;
                frame.raw_set_field(-2, "format")
            })
        }
        // Attributes are for clients: what they belong to follows.
        b'|' => {
            let len = frame.len();
            for _ in 0..2 * parse_i64(line).unwrap_or_default() {
                push_reply(frame, reply, at)?;
                frame.truncate(len);
            }
            push_reply(frame, reply, at)
        }
        _ => Err(Fault::new("a reply that is none")),
    }
}

fn nested(
    frame: &mut Frame<'_>,
    name: &str,
    fill: impl FnOnce(&mut Frame<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    frame.push_table(0, 1)?;
    frame.push_table(0, 4)?;
    fill(frame)?;
    frame.raw_set_field(-2, name)
}

/// The first byte of the next line, and the rest of it.
fn head<'r>(reply: &'r [u8], at: &mut usize) -> Result<(u8, &'r [u8]), Fault> {
    let rest = reply.get(*at..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len());
    let (kind, line) = rest[..end].split_first().ok_or(Fault::new("a reply that is none"))?;
    *at += end + 2;
    Ok((*kind, line))
}

fn bulk<'r>(reply: &'r [u8], at: &mut usize, line: &[u8]) -> Option<&'r [u8]> {
    let len = usize::try_from(parse_i64(line)?).ok()?;
    let bytes = reply.get(*at..*at + len)?;
    *at += len + 2;
    Some(bytes)
}

/// Pushes an error as `redis.pcall` gives it: a table whose `err` is its text, with a code in front. `is_counted` when
/// the statistics know it already.
pub(super) fn push_error(frame: &mut Frame<'_>, text: &[u8], is_counted: bool) -> Result<(), Fault> {
    let text = until_zero(text);
    // The code is what it is; of the rest line breaks at both ends go.
    let (code, rest) = match text.iter().position(|byte| *byte == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (&b"ERR"[..], text),
    };
    frame.push_table(0, 2)?;
    frame.push([code, b" ", trim_breaks(rest)].concat())?;
    frame.raw_set_field(-2, "err")?;
    if is_counted {
        frame.push_boolean(true)?;
        frame.raw_set_field(-2, "ignore_error_stats_update")?;
    }
    Ok(())
}

/// Texts of errors and of statuses end at a zero byte: Redis takes them for strings of C.
pub(super) fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn trim_breaks(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Writes the value on top of the frame as a reply. `typed` when the script speaks RESP3, which is about booleans only.
pub(super) fn write_value(
    frame: &mut Frame<'_>,
    reply: &mut Reply<'_>,
    typed: bool,
    verdict: &mut Verdict,
) -> Result<(), Fault> {
    write_nested(frame, reply, typed, verdict, 0)
}

fn write_nested(
    frame: &mut Frame<'_>,
    reply: &mut Reply<'_>,
    typed: bool,
    verdict: &mut Verdict,
    depth: usize,
) -> Result<(), Fault> {
    if depth > DEPTH_MAX {
        verdict.failed(b"ERR reached lua stack limit", false);
        reply.error(&Error::new("ERR reached lua stack limit"));
        return Ok(());
    }
    match frame.kind(-1) {
        Kind::String => reply.bulk(frame.bytes(-1).unwrap_or_default()),
        Kind::Number => reply.integer(to_integer(frame.number(-1).unwrap_or_default())),
        Kind::Boolean if typed => reply.boolean(frame.is_true(-1)),
        Kind::Boolean if frame.is_true(-1) => reply.integer(1),
        Kind::Table => {
            let len = frame.len();
            let written = write_table(frame, reply, typed, verdict, depth);
            frame.truncate(len);
            return written;
        }
        _ => reply.null(),
    }
    Ok(())
}

/// As the processor does it for C.
fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

fn write_table(
    frame: &mut Frame<'_>,
    reply: &mut Reply<'_>,
    typed: bool,
    verdict: &mut Verdict,
    depth: usize,
) -> Result<(), Fault> {
    let table = frame.absolute(-1)?;
    if !frame.has_fields(table)? {
        return write_array(frame, table, reply, typed, verdict, depth);
    }
    frame.raw_field(table, "err")?;
    if frame.kind(-1) == Kind::String {
        let mut text = until_zero(frame.bytes(-1).unwrap_or_default()).to_vec();
        text.truncate(
            text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1),
        );
        frame.raw_field(table, "ignore_error_stats_update")?;
        verdict.failed(&text, frame.is_true(-1));
        reply.error_line(&text);
        return Ok(());
    }
    frame.truncate(table as usize);
    frame.raw_field(table, "ok")?;
    if let Some(text) = frame.bytes(-1) {
        reply.status(until_zero(text));
        return Ok(());
    }
    frame.truncate(table as usize);
    frame.raw_field(table, "double")?;
    if let Some(number) = frame.number(-1) {
        reply.double(number);
        return Ok(());
    }
    frame.truncate(table as usize);
    frame.raw_field(table, "big_number")?;
    if let Some(digits) = frame.bytes(-1) {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let digits: Vec<u8> = digits.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect();
        reply.big_number(digits);
        return Ok(());
    }
    frame.truncate(table as usize);
    frame.raw_field(table, "verbatim_string")?;
    if frame.kind(-1) == Kind::Table {
        frame.raw_field(table + 1, "format")?;
        frame.raw_field(table + 1, "string")?;
        if let (Some(format), Some(text)) = (frame.bytes(-2), frame.bytes(-1)) {
            let format = std::str::from_utf8(format).ok().filter(|format| format.len() == 3);
            reply.verbatim(format.unwrap_or("txt"), text);
            return Ok(());
        }
    }
    frame.truncate(table as usize);
    for (name, is_map) in [("map", true), ("set", false)] {
        frame.raw_field(table, name)?;
        if frame.kind(-1) == Kind::Table {
            let (mark, mut count) = (reply.mark(), 0);
            frame.push_nil()?;
            while frame.next(table + 1)? {
                if is_map {
                    frame.push_copy(-2)?;
                    write_nested(frame, reply, typed, verdict, depth + 1)?;
                    frame.pop(1);
                    write_nested(frame, reply, typed, verdict, depth + 1)?;
                    frame.pop(1);
                } else {
                    frame.pop(1);
                    write_nested(frame, reply, typed, verdict, depth + 1)?;
                }
                count += 1;
            }
            reply.before(mark, |reply| if is_map { reply.map(count) } else { reply.set(count) });
            return Ok(());
        }
        frame.truncate(table as usize);
    }
    write_array(frame, table, reply, typed, verdict, depth)
}

/// Writes the elements of a table up to the first hole.
fn write_array(
    frame: &mut Frame<'_>,
    table: i32,
    reply: &mut Reply<'_>,
    typed: bool,
    verdict: &mut Verdict,
    depth: usize,
) -> Result<(), Fault> {
    let count = frame.elements(table)?;
    reply.array(count);
    for n in 1..=count {
        frame.raw_element(table, n)?;
        match frame.bytes(-1) {
            Some(text) => reply.bulk(text),
            None => write_nested(frame, reply, typed, verdict, depth + 1)?,
        }
        frame.pop(1);
    }
    Ok(())
}

/// The protocol of a version number.
pub(super) fn protocol(version: f64) -> Option<Protocol> {
    match version as i64 {
        2 => Some(Protocol::Resp2),
        3 => Some(Protocol::Resp3),
        _ => None,
    }
}
