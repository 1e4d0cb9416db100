//! Fields that count: `HINCRBY`, `HINCRBYFLOAT`. A field keeps its deadline.

use super::limits;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, LongDouble, Outcome, Reply, command};
use tidegate_data::types::string::{INT_LEN_MAX, format_int, parse_int};
use tidegate_data::{EventClass, Expiry, Hash, Item, NEVER_MS};

const COUNTER: KeySpec = KeySpec::first().rw().access().update();

pub(super) static HINCRBY: Command = command("HINCRBY", "key field increment", hincrby)
    .about("2.0.0", "O(1)", "Adds to the integer a field holds; a missing field counts as 0.")
    .arity(4)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn hincrby(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let field = args.next()?;
    let increment = args.integer()?;
    let limits = limits(cx);
    let mut hash = cx.keys.write_or_create::<Hash>(key)?;
    let present = match hash.view().get(field) {
        None => 0,
        Some(Item::Int(value)) => value,
        Some(Item::Bytes(bytes)) => {
            parse_int(bytes).ok_or_else(|| Error::new("ERR hash value is not an integer"))?
        }
    };
    let sum = present.checked_add(increment);
    let sum = sum.ok_or_else(|| Error::new("ERR increment or decrement would overflow"))?;
    hash.change().set(field, format_int(sum, &mut [0; INT_LEN_MAX]), Expiry::Keep, limits);
    hash.event_of(EventClass::Hash, "hincrby", [field]);
    reply.integer(sum);
    Ok(Outcome::Changed)
}

pub(super) static HINCRBYFLOAT: Command =
    command("HINCRBYFLOAT", "key field increment(double)", hincrbyfloat)
        .about(
            "2.6.0",
            "O(1)",
            "Adds to the floating-point number a field holds; a missing field counts as 0.",
        )
        .arity(4)
        .keys(COUNTER)
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn hincrbyfloat(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let field = args.next()?;
    let increment = LongDouble::parse(args.next()?).ok_or(Error::NotFloat)?;
    if increment.is_infinite() {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let limits = limits(cx);
    let mut hash = cx.keys.write_or_create::<Hash>(key)?;
    let present = match hash.view().get(field) {
        None => LongDouble::ZERO,
        Some(Item::Int(value)) => LongDouble::from(value),
        Some(Item::Bytes(bytes)) => {
            LongDouble::parse(bytes).ok_or_else(|| Error::new("ERR hash value is not a float"))?
        }
    };
    let sum = present.checked_add(increment).filter(|sum| !sum.is_infinite());
    let sum = sum.ok_or_else(|| Error::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text();
    let has_deadline = hash.view().deadline_ms(field).is_some_and(|deadline_ms| deadline_ms != NEVER_MS);
    hash.change().set(field, text.as_bytes(), Expiry::Keep, limits);
    hash.event_of(EventClass::Hash, "hincrbyfloat", [field]);
    reply.bulk(text.as_bytes());
    // The sum, so that no other way of counting or printing can make replicas differ.
    Ok(if has_deadline {
        Outcome::changed_as(&[b"HSETEX", key.bytes(), b"KEEPTTL", b"FIELDS", b"1", field, text.as_bytes()])
    } else {
        Outcome::changed_as(&[b"HSET", key.bytes(), field, text.as_bytes()])
    })
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_events};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn hincrby() {
        check(&["HINCRBY h a 5"], ":5");
        check(&["HSET h a 5", "HINCRBY h a -7"], ":-2");
        check(&["HSET h a 5", "HINCRBY h a -7", "HGET h a"], "$2 -2");
        check(
            &["HSET h a 9223372036854775807", "HINCRBY h a 1"],
            "-ERR increment or decrement would overflow",
        );
        check(
            &["HSET h a -9223372036854775808", "HINCRBY h a -1"],
            "-ERR increment or decrement would overflow",
        );
        for value in ["x", "\"\"", "1.5", "01"] {
            check(&[&format!("HSET h a {value}"), "HINCRBY h a 1"], "-ERR hash value is not an integer");
        }
        check(&["HINCRBY h a x"], "-ERR value is not an integer or out of range");
        check(&["SET h 1", "HINCRBY h a x"], "-ERR value is not an integer or out of range");
        check(&["SET h 1", "HINCRBY h a 1"], WRONG_TYPE);
        check(&["HSET h a x", "HINCRBY h a 1", "HLEN h"], ":1");
        check_effects(&["HINCRBY h a 5"], &["HINCRBY h a 5"]);
        check_effects(&["HSET h a x", "HINCRBY h a 5"], &[]);
        check_events(&["HINCRBY h a 5"], &["new h", "hincrby h"]);
        check_events(&["HSET h a 1", "HINCRBY h a 5"], &["hincrby h"]);
    }

    #[test]
    fn hincrbyfloat() {
        check(&["HINCRBYFLOAT h a 2.5"], "$3 2.5");
        check(&["HSET h a 3", "HINCRBYFLOAT h a 1.1"], "$3 4.1");
        check(&["HSET h a 3", "HINCRBYFLOAT h a -3.0", "HGET h a"], "$1 0");
        check(&["HSET h a 5.0e3", "HINCRBYFLOAT h a 200"], "$4 5200");
        check(&["HSET h a x", "HINCRBYFLOAT h a 1"], "-ERR hash value is not a float");
        check(&["HINCRBYFLOAT h a x"], "-ERR value is not a valid float");
        check(&["HINCRBYFLOAT h a nan"], "-ERR value is not a valid float");
        check(&["HINCRBYFLOAT h a inf"], "-ERR value is NaN or Infinity");
        check(&["SET h 1", "HINCRBYFLOAT h a -inf"], "-ERR value is NaN or Infinity");
        check(&["SET h 1", "HINCRBYFLOAT h a 1"], WRONG_TYPE);
        check(&["HSET h a inf", "HINCRBYFLOAT h a 1"], "-ERR increment would produce NaN or Infinity");
        check_effects(&["HINCRBYFLOAT h a 2.50"], &["HSET h a 2.5"]);
        check_effects(
            &["HSET h a 1", "HPEXPIREAT h 9999999999999 FIELDS 1 a", "HINCRBYFLOAT h a 1"],
            &["HSETEX h KEEPTTL FIELDS 1 a 2"],
        );
        check_events(&["HINCRBYFLOAT h a 2.5"], &["new h", "hincrbyfloat h"]);
    }
}
