//! Parts of strings: `SETRANGE`, `GETRANGE` and its old name `SUBSTR`.

use super::check_len;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::EventClass;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static SETRANGE: Command = command("SETRANGE", "key offset value", setrange)
    .about(
        "2.2.0",
        "O(1) when the string is small, else O(M) with M being the length of the value and of what it is padded with.",
        "Overwrites part of a string from an offset on, padding with zero bytes up to it.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn setrange(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let offset = args.integer()?;
    let value = args.next()?;
    let Ok(offset) = u64::try_from(offset) else {
        return Err(Error::new("ERR offset is out of range"));
    };
    let present = cx.keys.string_for_write(key)?;
    if value.is_empty() {
        let len = present.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).map(<[u8]>::len));
        reply.integer(len.unwrap_or(0) as i64);
        return Ok(Outcome::Same);
    }
    check_len(cx, offset, value.len() as u64)?;
    let start = offset as usize;
    let end = start + value.len();
    let len = cx.keys.edit_string(key, end, |bytes| {
        bytes[start..end].copy_from_slice(value);
        bytes.len()
    })?;
    cx.keys.event(EventClass::String, "setrange", key);
    reply.integer(len as i64);
    Ok(Outcome::Changed)
}

pub(super) static GETRANGE: Command = command("GETRANGE", "key start end", getrange)
    .about(
        "2.4.0",
        "O(N) where N is the length of the returned string.",
        "Returns part of a string, from a start to an end that both may count from the end of it.",
    )
    .arity(4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static SUBSTR: Command = command("SUBSTR", "key start end", getrange)
    .about("1.0.0", "O(N) where N is the length of the returned string.", "Returns part of a string.")
    .arity(4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .deprecated("2.0.0", "`GETRANGE`");

fn getrange(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let start = args.integer()?;
    let end = args.integer()?;
    let mut scratch = [0; INT_LEN_MAX];
    let value = cx.keys.read_string(key)?.and_then(|value| value.string(&mut scratch)).unwrap_or_default();
    reply.bulk(part(value, start, end));
    Ok(Outcome::Same)
}

/// The bytes from index `start` to `end`, both inclusive; negative ones count from the end.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    // Both count from the end and in the wrong order: empty, even where cutting both to 0 would leave one byte.
    if value.is_empty() || (start < 0 && end < 0 && start > end) {
        return b"";
    }
    let len = value.len() as i64;
    let from_front = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end { b"" } else { &value[start as usize..=end as usize] }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn setrange() {
        check(&["SETRANGE a 0 foo"], ":3");
        check(&["SETRANGE a 1 foo", "GET a"], "$4 \0foo");
        check(&["SETRANGE a 0 \"\""], ":0");
        check(&["SETRANGE a 0 \"\"", "GET a"], "$-1");
        check(&["SET a foo", "SETRANGE a 1 b", "GET a"], "$3 fbo");
        check(&["SET a foo", "SETRANGE a 4 bar"], ":7");
        check(&["SET a foo", "SETRANGE a 4 bar", "GET a"], "$7 foo\0bar");
        check(&["SET a foo", "SETRANGE a 100 \"\""], ":3");
        check(&["SET a 1234", "SETRANGE a 1 3", "GET a"], "$4 1334");
        check_effects(&["SET a foo", "SETRANGE a 1 b"], &["SETRANGE a 1 b"]);
        check_effects(&["SET a foo", "SETRANGE a 1 \"\""], &[]);
        check_events(&["SETRANGE a 1 b"], &["new a", "setrange a"]);
        check_events(&["SET a foo", "SETRANGE a 1 b"], &["setrange a"]);
    }

    #[test]
    fn setrange_refuses() {
        check(&["SETRANGE a -1 x"], "-ERR offset is out of range");
        check(&["SETRANGE a x x"], "-ERR value is not an integer or out of range");
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        check(&["SETRANGE a 536870908 world"], too_long);
        check(&["SETRANGE a 9223372036854775807 world"], too_long);
        check(&["SET a hello", "SETRANGE a 536870908 world"], too_long);
        let mut bench = Bench::default();
        bench.limits.max_bulk_len = 5;
        assert_eq!(bench.run("SETRANGE a 3 xy").text(), ":5");
        assert_eq!(bench.run("SETRANGE a 4 xy").text(), too_long);
    }

    #[test]
    fn getrange() {
        // Start, end and what is expected of a string and of an integer of four digits.
        for (start, end, text, digits) in [
            (0, 3, "$4 Hell", "$4 1234"),
            (0, -1, "$11 Hello World", "$4 1234"),
            (-4, -1, "$4 orld", "$4 1234"),
            (5, 3, "$0", "$0"),
            (5, 5000, "$6  World", "$0"),
            (-5000, 10000, "$11 Hello World", "$4 1234"),
            (0, -100, "$1 H", "$1 1"),
            (1, -100, "$0", "$0"),
            (-1, -100, "$0", "$0"),
            (-100, -99, "$1 H", "$1 1"),
            (-100, -100, "$1 H", "$1 1"),
            (-100, -101, "$0", "$0"),
            (0, 4_294_967_297, "$11 Hello World", "$4 1234"),
            (i64::MIN, i64::MAX, "$11 Hello World", "$4 1234"),
        ] {
            for name in ["GETRANGE", "SUBSTR"] {
                let mut bench = Bench::default();
                bench.run_words(&[b"SET", b"a", b"Hello World"]);
                assert_eq!(bench.run(&format!("{name} a {start} {end}")).text(), text, "{start} {end}");
                check(&["SET a 1234", &format!("{name} a {start} {end}")], digits);
            }
        }
        check(&["GETRANGE a 0 -1"], "$0");
        check(&["SET a \"\"", "GETRANGE a 0 -1"], "$0");
        check(&["GETRANGE a x -1"], "-ERR value is not an integer or out of range");
        check_effects(&["SET a b", "GETRANGE a 0 1"], &[]);
    }

    #[test]
    fn substr() {
        check(&["SET a abcde", "SUBSTR a -4 -1"], "$4 bcde");
        check(&["SUBSTR a 0 1"], "$0");
        check(&["SUBSTR a 0"], "-ERR wrong number of arguments for 'substr' command");
    }
}
