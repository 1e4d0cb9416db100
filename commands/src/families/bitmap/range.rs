//! Counting and finding bits in a string or a part of it: `BITCOUNT`, `BITPOS`.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use std::ops::RangeInclusive;
use tidegate_data::types::bits;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static BITCOUNT: Command =
    command("BITCOUNT", "key [index: start end [index_unit: BYTE|BIT]@7.0.0]", bitcount)
        .about("2.6.0", "O(N)", "Counts the bits that are set in a string or a part of it.")
        .arity(-2)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly])
        .history(&[("7.0.0", "Option `BYTE|BIT`.")]);

fn bitcount(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut scratch = [0; INT_LEN_MAX];
    // A key that does not exist has no bits, whatever the other arguments are.
    let row = cx.keys.read_string(key)?.and_then(|value| value.string(&mut scratch));
    let count = match (row, args.remaining()) {
        (None, _) => 0,
        (Some(row), 0) => bits::count(row),
        (Some(row), 2 | 3) => {
            let (start, end) = (args.integer()?, args.integer()?);
            if start < 0 && end < 0 && start > end {
                0
            } else {
                let unit = Unit::parse(args)?;
                unit.bits(start, end, row.len()).map_or(0, |range| bits::count_in(row, range))
            }
        }
        _ => return Err(Error::Syntax),
    };
    reply.integer(count as i64);
    Ok(Outcome::Same)
}

pub(super) static BITPOS: Command =
    command("BITPOS", "key bit [index: start [end_index: end [index_unit: BYTE|BIT]@7.0.0]]", bitpos)
        .about("2.8.7", "O(N)", "Finds the first bit that is set, or clear, in a string or a part of it.")
        .arity(-3)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly])
        .history(&[("7.0.0", "Option `BYTE|BIT`.")]);

fn bitpos(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let bit = match args.integer()? {
        bit @ 0..=1 => bit == 1,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let mut scratch = [0; INT_LEN_MAX];
    let Some(row) = cx.keys.read_string(key)?.and_then(|value| value.string(&mut scratch)) else {
        // Zeros without end.
        reply.integer(if bit { -1 } else { 0 });
        return Ok(Outcome::Same);
    };
    let given = args.remaining();
    if given > 3 {
        return Err(Error::Syntax);
    }
    let start = if given > 0 { args.integer()? } else { 0 };
    // The unit is looked at before the end.
    let unit = if given == 3 { Unit::named(args.get(args.len() - 1))? } else { Unit::Byte };
    let end = if given > 1 { args.integer()? } else { -1 };
    let range = unit.bits(start, end, row.len());
    let found = range.clone().and_then(|range| bits::position_in(row, range, bit));
    reply.integer(match (found, range) {
        (Some(position), _) => position as i64,
        // Behind an end that was not given follow zeros.
        (None, Some(range)) if !bit && given < 2 => *range.end() as i64 + 1,
        _ => -1,
    });
    Ok(Outcome::Same)
}

/// What the start and the end of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        if args.is_done() { Ok(Unit::Byte) } else { Self::named(args.next()?) }
    }

    fn named(word: &[u8]) -> Result<Self, Error> {
        if word.eq_ignore_ascii_case(b"BIT") {
            Ok(Unit::Bit)
        } else if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(Unit::Byte)
        } else {
            Err(Error::Syntax)
        }
    }

    /// The bits from `start` to `end` of a row of `len` bytes, both inclusive; negative ones count from its end.
    fn bits(self, start: i64, end: i64, len: usize) -> Option<RangeInclusive<u64>> {
        let width = if let Unit::Bit = self { 1 } else { 8 };
        let total = len as i64 * 8 / width;
        let from_front = |index: i64| if index < 0 { (total + index).max(0) } else { index };
        let (start, end) = (from_front(start), from_front(end).min(total - 1));
        (start <= end).then(|| (start * width) as u64..=(end * width + width - 1) as u64)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_lookups};

    #[test]
    fn bitcount() {
        check(&["BITCOUNT a"], ":0");
        check(&["BITCOUNT a x"], ":0");
        check(&["SET a foobar", "BITCOUNT a"], ":26");
        for (range, count) in [
            ("0 0", 4),
            ("1 1", 6),
            ("0 -1", 26),
            ("1 1 BYTE", 6),
            ("5 30 BIT", 17),
            ("0 -1 bit", 26),
            ("-2 -1", 7),
            ("-1 -2", 0),
            ("-1 -2 nonsense", 0),
            ("4 2", 0),
            ("0 100", 26),
            ("100 200", 0),
            ("7 7 BIT", 0),
            ("6 6 BIT", 1),
            ("6 8 BIT", 1),
            ("-9223372036854775808 9223372036854775807", 26),
            ("-9223372036854775808 9223372036854775807 BIT", 26),
        ] {
            check(&["SET a foobar", &format!("BITCOUNT a {range}")], &format!(":{count}"));
        }
        check(&["SET a 12", "BITCOUNT a"], ":6");
        check(&["SET a \"\"", "BITCOUNT a 0 -1"], ":0");
        for wrong in ["0", "0 1 BITS", "0 1 BIT BIT"] {
            check(&["SET a foobar", &format!("BITCOUNT a {wrong}")], "-ERR syntax error");
        }
        check(&["SET a foobar", "BITCOUNT a x 1"], "-ERR value is not an integer or out of range");
        check_lookups(&["SET a foobar", "BITCOUNT a"], 1, 0);
    }

    #[test]
    fn bitpos() {
        check(&["BITPOS a 0 x y z w"], ":0");
        check(&["BITPOS a 1"], ":-1");
        let set = |bytes: &[u8], line: &str, position: i64| {
            let mut bench = crate::model::check::Bench::default();
            bench.run_words(&[b"SET", b"a", bytes]);
            assert_eq!(bench.run(&format!("BITPOS a {line}")).text(), format!(":{position}"), "{line}");
        };
        set(b"\xff\xf0\x00", "0", 12);
        set(b"\x00\xff\xf0", "1", 8);
        set(b"\x00\xff\xf0", "1 2", 16);
        set(b"\x00\xff\xf0", "1 0 0", -1);
        set(b"\x00\xff\xf0", "1 7 15 BIT", 8);
        set(b"\x00\xff\xf0", "0 8 -1 BIT", 20);
        set(b"\x00\xff\xf0", "0 -3 -1 byte", 0);
        set(b"\xff\xff\xff", "0", 24);
        set(b"\xff\xff\xff", "0 1", 24);
        set(b"\xff\xff\xff", "0 0 -1", -1);
        set(b"\xff\xff\xff", "0 0 -1 BIT", -1);
        set(b"\xff\xff\xff", "0 3", -1);
        set(b"\xff", "0 9 8", -1);
        set(b"\x00\x00", "1", -1);
        set(b"", "0", -1);
        set(b"", "0 0", -1);
        set(b"\x00", "1 -9223372036854775808 9223372036854775807 BIT", -1);
    }

    #[test]
    fn bitpos_refuses() {
        check(&["BITPOS a 2"], "-ERR The bit argument must be 1 or 0.");
        check(&["BITPOS a x"], "-ERR value is not an integer or out of range");
        let not_integer = "-ERR value is not an integer or out of range";
        check(&["SET a x", "BITPOS a 0 x 0 nonsense"], not_integer);
        check(&["SET a x", "BITPOS a 0 0 x nonsense"], "-ERR syntax error");
        check(&["SET a x", "BITPOS a 0 0 x BIT"], not_integer);
        check(&["SET a x", "BITPOS a 0 0 0 BIT x"], "-ERR syntax error");
    }
}
