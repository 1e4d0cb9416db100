//! Integers of any width in a string: `BITFIELD`, `BITFIELD_RO`.

use super::checked_offset;
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeyPosition, KeySpec, Outcome, Reply, command, parse_i64,
};
use tidegate_data::types::bits::{Field, OverflowRule};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key};

pub(super) static BITFIELD: Command = command(
    "BITFIELD",
    "key [operation: GET <encoding offset>|<write: [OVERFLOW <WRAP|SAT|FAIL>] \
     <write_operation: SET <encoding offset value(integer)>|INCRBY <encoding offset increment>>>]...",
    bitfield,
)
.about("3.2.0", "O(1) for each subcommand specified", "Reads and changes integers of any width in a string.")
.arity(-2)
.keys(
    KeySpec::first()
        .rw()
        .update()
        .access()
        .variable()
        .notes("This command allows both access and modification of the key"),
)
.key_finder(bitfield_keys)
.flags(&[Flag::Write, Flag::DenyOom]);

pub(super) static BITFIELD_RO: Command =
    command("BITFIELD_RO", "key [GET <encoding offset> [GET <encoding offset> ...]]", bitfield_ro)
        .about("6.0.0", "O(1) for each subcommand specified", "Reads integers of any width in a string.")
        .arity(-2)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Fast]);

/// With nothing but `GET` the key is only read. What is no proper request counts as writing.
fn bitfield_keys(args: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    let mut rest = &args[2..];
    let reads = loop {
        let Some((word, after)) = rest.split_first() else { break true };
        let taken = match after.len() {
            2.. if word.eq_ignore_ascii_case(b"GET") => 2,
            1.. if word.eq_ignore_ascii_case(b"OVERFLOW") => 1,
            _ => break false,
        };
        rest = &after[taken..];
    };
    let spec = if reads { KeySpec::first().ro().access() } else { KeySpec::first().rw().access().update() };
    found(KeyPosition { arg: 1, flags: spec.flags });
}

/// What is done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, OverflowRule),
    Add(i64, OverflowRule),
}

type Step = (Field, Action);

fn bitfield(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let steps = parse(cx, args)?;
    let Some(last_bit) = last_written_bit(&steps) else { return read(cx, key, &steps, reply) };
    let before = cx.keys.log().changes;
    let (changes, changed) = cx.keys.edit_string_if(key, (last_bit / 8 + 1) as usize, |row, grown| {
        let changes = run(row, grown, &steps, reply);
        (changes, changes > 0)
    })?;
    if changes > 0 {
        cx.keys.log().recount(before, changes as u64);
        cx.keys.event(EventClass::String, "setbit", key);
    }
    Ok(Outcome::changed_if(changed))
}

fn bitfield_ro(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let steps = parse(cx, args)?;
    if last_written_bit(&steps).is_some() {
        return Err(Error::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(cx, key, &steps, reply)
}

fn last_written_bit(steps: &[Step]) -> Option<u64> {
    let written = steps.iter().filter(|(_, action)| *action != Action::Get);
    written.map(|(field, _)| field.last_bit()).max()
}

fn read(cx: &mut Ctx, key: Key, steps: &[Step], reply: &mut Reply) -> Result<Outcome, Error> {
    let mut scratch = [0; INT_LEN_MAX];
    let row = cx.keys.read_string(key)?.and_then(|value| value.string(&mut scratch)).unwrap_or_default();
    reply.array(steps.len());
    for (field, _) in steps {
        reply.integer(field.get(row));
    }
    Ok(Outcome::Same)
}

/// Takes all steps on a row that is long enough and answers them; returns how many changed something, where any write
/// to a row that has just `grown` counts.
fn run(row: &mut [u8], grown: bool, steps: &[Step], reply: &mut Reply) -> usize {
    let mut changes = 0;
    reply.array(steps.len());
    for (field, action) in steps {
        let old = field.get(row);
        let (new, answer) = match *action {
            Action::Get => {
                reply.integer(old);
                continue;
            }
            Action::Set(value, rule) => (field.fit(value, rule), Ok(old)),
            Action::Add(increment, rule) => {
                let sum = field.add(old, increment, rule);
                (sum, sum)
            }
        };
        let (Ok(new), Ok(answer)) = (new, answer) else {
            reply.null();
            continue;
        };
        field.set(row, new);
        reply.integer(answer);
        changes += usize::from(grown || old != new);
    }
    changes
}

fn parse(cx: &Ctx, args: &mut Args) -> Result<Vec<Step>, Error> {
    let mut rule = OverflowRule::Wrap;
    let mut steps = Vec::new();
    while !args.is_done() {
        let word = args.next()?;
        let is = |name: &str, operands: usize| {
            args.remaining() >= operands && word.eq_ignore_ascii_case(name.as_bytes())
        };
        let (gets, sets, adds) = (is("GET", 2), is("SET", 3), is("INCRBY", 3));
        if gets || sets || adds {
            let field = parse_field(cx, args)?;
            let action = match gets {
                true => Action::Get,
                false if sets => Action::Set(args.integer()?, rule),
                false => Action::Add(args.integer()?, rule),
            };
            steps.push((field, action));
        } else if is("OVERFLOW", 1) {
            rule = parse_rule(args.next()?)?;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(steps)
}

fn parse_rule(word: &[u8]) -> Result<OverflowRule, Error> {
    const RULES: [(&str, OverflowRule); 3] =
        [("WRAP", OverflowRule::Wrap), ("SAT", OverflowRule::Saturate), ("FAIL", OverflowRule::Fail)];
    let named = RULES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, rule)| *rule).ok_or(Error::new("ERR Invalid OVERFLOW type specified"))
}

/// A type (`i16`, `u8`) and an offset in bits, or after `#` in fields of this type.
fn parse_field(cx: &Ctx, args: &mut Args) -> Result<Field, Error> {
    const INVALID: Error = Error::new(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let (signed, width) = match args.next()? {
        [b'i', width @ ..] => (true, width),
        [b'u', width @ ..] => (false, width),
        _ => return Err(INVALID),
    };
    // As in C, the text ends at a zero byte.
    let width = width.split(|byte| *byte == 0).next().and_then(parse_i64);
    let width = width.filter(|width| (1..=if signed { 64 } else { 63 }).contains(width)).ok_or(INVALID)?;
    let offset = match args.next()? {
        // It wraps around in Redis, too.
        [b'#', index @ ..] => parse_i64(index).map(|index| index.wrapping_mul(width)),
        offset => parse_i64(offset),
    };
    Ok(Field { offset: checked_offset(cx, offset)?, width: width as u32, signed })
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_changes, check_effects, check_events};

    #[test]
    fn set_get_and_add() {
        check(&["BITFIELD a"], "*0");
        check(&["BITFIELD a GET u8 0 GET i64 #1"], "*2 :0 :0");
        check(&["BITFIELD a SET i8 0 -100 SET i8 0 101 GET i8 0"], "*3 :0 :-100 :101");
        check(&["BITFIELD a SET u8 0 255 SET u8 0 100 get u8 0"], "*3 :0 :255 :100");
        check(&["BITFIELD a SET u8 #0 65 SET u8 #1 66 SET u8 #2 67", "GET a"], "$3 ABC");
        check(&["BITFIELD a SET u8 #0 10", "BITFIELD a INCRBY u8 #0 100 INCRBY u8 #0 100"], "*2 :110 :210");
        check(&["SET a 12", "BITFIELD a GET u8 0"], "*1 :49");
        check(&["SET a 12", "BITFIELD a SET u8 8 51", "GET a"], "$2 13");
        check(
            &["BITFIELD a SET i64 0 -1", "BITFIELD a GET u63 1 GET i64 0 GET u8 60"],
            "*3 :9223372036854775807 :-1 :240",
        );
    }

    #[test]
    fn overflows() {
        check(&["BITFIELD a SET u8 0 250 INCRBY u8 0 10"], "*2 :0 :4");
        check(&["BITFIELD a SET u8 0 250 OVERFLOW SAT INCRBY u8 0 10"], "*2 :0 :255");
        check(&["BITFIELD a SET u8 0 250 OVERFLOW FAIL INCRBY u8 0 10 GET u8 0"], "*3 :0 $-1 :250");
        check(
            &["BITFIELD a OVERFLOW sat SET i8 0 200 GET i8 0 OVERFLOW WRAP INCRBY i8 0 1"],
            "*3 :0 :127 :-128",
        );
        check(&["BITFIELD a OVERFLOW FAIL SET u8 0 256"], "*1 $-1");
        check(&["BITFIELD a SET i64 0 9223372036854775807 INCRBY i64 0 1"], "*2 :0 :-9223372036854775808");
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("BITFIELD a OVERFLOW FAIL SET u8 0 256").text(), "*1 _");
    }

    #[test]
    fn refusals() {
        let invalid = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        for wrong in ["u64", "i65", "i0", "u", "x8", "U8", "\"\"", "u-1", "u99999999999999999999"] {
            check(&[&format!("BITFIELD a GET {wrong} 0")], invalid);
        }
        let offset = "-ERR bit offset is not an integer or out of range";
        for wrong in ["-1", "x", "#", "#-1", "4294967296", "#536870912", "#9223372036854775807"] {
            check(&[&format!("BITFIELD a GET u8 {wrong}")], offset);
        }
        for wrong in ["GET u8", "SET u8 0", "INCRBY u8 0", "OVERFLOW", "NOSUCH u8 0", "GET u8 0 GET"] {
            check(&[&format!("BITFIELD a {wrong}")], "-ERR syntax error");
        }
        check(&["BITFIELD a SET u8 0 x"], "-ERR value is not an integer or out of range");
        check(&["BITFIELD a OVERFLOW x SET u8 0 1"], "-ERR Invalid OVERFLOW type specified");
        check(&["BITFIELD_RO a SET u8 0 1"], "-ERR BITFIELD_RO only supports the GET subcommand");
        check(&["BITFIELD_RO a SET u8 0 1 x"], "-ERR syntax error");
        check(&["SET a A", "BITFIELD_RO a GET u8 0 GET i4 4"], "*2 :65 :1");
    }

    #[test]
    fn only_what_changes_something_is_replayed() {
        check_changes(&["BITFIELD a SET u8 0 1 INCRBY u8 8 1 GET u8 0"], 2);
        check_changes(&["SETBIT a 20 0", "BITFIELD a SET u8 0 0 SET u8 8 1"], 1);
        check_effects(&["BITFIELD a SET u8 0 1"], &["BITFIELD a SET u8 0 1"]);
        check_effects(&["BITFIELD a SET u8 0 1", "BITFIELD a SET u8 0 1"], &[]);
        check_effects(&["BITFIELD a GET u8 0"], &[]);
        check_effects(&["BITFIELD a SET u8 0 0"], &["BITFIELD a SET u8 0 0"]);
        // The zero byte is there all the same, but not announced.
        let line = "BITFIELD a OVERFLOW FAIL SET u8 0 256";
        check_effects(&[line], &[line]);
        check_events(&[line], &["new a"]);
        check_events(&["BITFIELD a SET u8 0 0"], &["new a", "setbit a"]);
        check_events(&["SET a A", "BITFIELD a SET u8 0 65"], &[]);
        check_events(&["SET a A", "BITFIELD a SET u8 0 66 SET u8 0 67"], &["setbit a"]);
        check_events(&["BITFIELD a GET u8 0"], &["keymiss a"]);
    }
}
