//! Strings that count: `INCR`, `DECR`, `INCRBY`, `DECRBY`, `INCRBYFLOAT`.

use super::integer_of;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, LongDouble, Outcome, Reply, command};
use tidegate_data::types::string::{INT_LEN_MAX, encoding_of};
use tidegate_data::{EventClass, Expiry, Key, StringValue, ValueRef};

/// All counters read, return and change their key.
const COUNTER: KeySpec = KeySpec::first().rw().access().update();

pub(super) static INCR: Command = command("INCR", "key", incr)
    .about("1.0.0", "O(1)", "Adds one to the integer a key holds; a missing key counts as 0.")
    .arity(2)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn incr(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    add(cx, reply, key, 1)
}

pub(super) static DECR: Command = command("DECR", "key", decr)
    .about("1.0.0", "O(1)", "Subtracts one from the integer a key holds; a missing key counts as 0.")
    .arity(2)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn decr(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    add(cx, reply, key, -1)
}

pub(super) static INCRBY: Command = command("INCRBY", "key increment", incrby)
    .about("1.0.0", "O(1)", "Adds to the integer a key holds; a missing key counts as 0.")
    .arity(3)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn incrby(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let increment = args.integer()?;
    add(cx, reply, key, increment)
}

pub(super) static DECRBY: Command = command("DECRBY", "key decrement", decrby)
    .about("1.0.0", "O(1)", "Subtracts from the integer a key holds; a missing key counts as 0.")
    .arity(3)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn decrby(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let increment =
        args.integer()?.checked_neg().ok_or_else(|| Error::new("ERR decrement would overflow"))?;
    add(cx, reply, key, increment)
}

/// Adds to the integer at `key` and answers the sum.
#[inline]
fn add(cx: &mut Ctx, reply: &mut Reply, key: Key, increment: i64) -> Result<Outcome, Error> {
    let sum = cx.keys.update_int(key, |present| {
        let sum = integer_of(present)?.checked_add(increment);
        sum.ok_or_else(|| Error::new("ERR increment or decrement would overflow"))
    })?;
    cx.keys.event(EventClass::String, "incrby", key);
    reply.integer(sum);
    Ok(Outcome::Changed)
}

pub(super) static INCRBYFLOAT: Command = command("INCRBYFLOAT", "key increment(double)", incrbyfloat)
    .about("2.6.0", "O(1)", "Adds to the floating-point number a key holds; a missing key counts as 0.")
    .arity(3)
    .keys(COUNTER)
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn incrbyfloat(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let present = long_double_of(cx.keys.string_for_write(key)?)?;
    let increment = LongDouble::parse(args.next()?).ok_or(Error::NotFloat)?;
    let sum = present.checked_add(increment).filter(|sum| !sum.is_infinite());
    let sum = sum.ok_or_else(|| Error::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text();
    store_text(cx, key, &text, Expiry::Keep);
    cx.keys.event(EventClass::String, "incrbyfloat", key);
    reply.bulk(text.as_bytes());
    // The sum, so that no other way of counting or printing can make replicas differ.
    Ok(Outcome::changed_as(&[b"SET", key.bytes(), text.as_bytes(), b"KEEPTTL"]))
}

/// The number a string holds; 0 where there is none.
pub(super) fn long_double_of(value: Option<ValueRef>) -> Result<LongDouble, Error> {
    match value {
        None => Ok(LongDouble::ZERO),
        Some(ValueRef::Int(n)) => Ok(LongDouble::from(n)),
        Some(value) => value.string(&mut [0; INT_LEN_MAX]).and_then(LongDouble::parse).ok_or(Error::NotFloat),
    }
}

/// Stores a printed number. It stays text, even where it is one of an integer: so `OBJECT ENCODING` says in Redis.
pub(super) fn store_text(cx: &mut Ctx, key: Key, text: &str, expiry: Expiry) {
    let bytes = text.as_bytes();
    cx.keys.set_string(key, StringValue::Bytes(bytes, encoding_of(bytes)), expiry);
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const OVERFLOW: &str = "-ERR increment or decrement would overflow";
    const NOT_FLOAT: &str = "-ERR value is not a valid float";
    const INFINITE: &str = "-ERR increment would produce NaN or Infinity";

    #[test]
    fn incr() {
        check(&["INCR a"], ":1");
        check(&["SET a 17179869183", "INCR a"], ":17179869184");
        check(&["SET a 1", "INCR a", "GET a"], "$1 2");
        check(&["SET a 9223372036854775807", "INCR a"], OVERFLOW);
        for value in ["x", "\"\"", "1.5", "01", "9223372036854775808"] {
            check(&[&format!("SET a {value}"), "INCR a"], NOT_INTEGER);
        }
        let mut bench = Bench::default();
        bench.run_words(&[b"SET", b"a", b" 11"]);
        assert_eq!(bench.run("INCR a").text(), NOT_INTEGER);
        check_effects(&["INCR a"], &["INCR a"]);
        check_effects(&["SET a x", "INCR a"], &[]);
        check_effects(&["SET a 1 EX 5", "INCR a", "GETEX a PERSIST"], &["PERSIST a"]);
        check_events(&["INCR a"], &["new a", "incrby a"]);
        check_events(&["SET a 1", "INCR a"], &["incrby a"]);
    }

    #[test]
    fn decr() {
        check(&["DECR a"], ":-1");
        check(&["SET a 10", "DECR a"], ":9");
        check(&["SET a -9223372036854775808", "DECR a"], OVERFLOW);
        check_effects(&["DECR a"], &["DECR a"]);
        check_events(&["SET a 1", "DECR a"], &["incrby a"]);
    }

    #[test]
    fn incrby() {
        check(&["INCRBY a 5"], ":5");
        check(&["SET a 10", "INCRBY a -11"], ":-1");
        check(&["SET a 17179869184", "INCRBY a 17179869184"], ":34359738368");
        check(&["SET a 1", "INCRBY a 9223372036854775807"], OVERFLOW);
        check(&["INCRBY a x"], NOT_INTEGER);
        check(&["INCRBY a 1.5"], NOT_INTEGER);
        check_effects(&["INCRBY a 5"], &["INCRBY a 5"]);
        check_events(&["SET a 1", "INCRBY a 5"], &["incrby a"]);
    }

    #[test]
    fn decrby() {
        check(&["DECRBY a 5"], ":-5");
        check(&["SET a 10", "DECRBY a -5"], ":15");
        check(&["DECRBY a -9223372036854775808"], "-ERR decrement would overflow");
        check(&["SET a -2", "DECRBY a 9223372036854775807"], OVERFLOW);
        check(&["DECRBY a x"], NOT_INTEGER);
        check_effects(&["DECRBY a 5"], &["DECRBY a 5"]);
        check_events(&["SET a 1", "DECRBY a 5"], &["incrby a"]);
    }

    #[test]
    fn incrbyfloat() {
        check(&["INCRBYFLOAT a 1.5"], "$3 1.5");
        check(&["SET a 10.50", "INCRBYFLOAT a 0.1"], "$4 10.6");
        check(&["SET a 5.0e3", "INCRBYFLOAT a 200"], "$4 5200");
        check(&["SET a 5", "INCRBYFLOAT a 1"], "$1 6");
        check(&["SET a 5", "INCRBYFLOAT a 1", "INCR a"], ":7");
        check(&["SET a 1", "INCRBYFLOAT a -1.1"], "$4 -0.1");
        check_effects(&["SET a 3 EX 5", "INCRBYFLOAT a 1.1"], &["SET a 4.1 KEEPTTL"]);
        check_effects(&["SET a 3 EX 5", "INCRBYFLOAT a 1", "GETEX a PERSIST"], &["PERSIST a"]);
        check_events(&["INCRBYFLOAT a 1"], &["new a", "incrbyfloat a"]);
        check_events(&["SET a 1", "INCRBYFLOAT a 1"], &["incrbyfloat a"]);
    }

    #[test]
    fn incrbyfloat_refuses() {
        check(&["SET a x", "INCRBYFLOAT a 1"], NOT_FLOAT);
        check(&["INCRBYFLOAT a x"], NOT_FLOAT);
        check(&["INCRBYFLOAT a nan"], NOT_FLOAT);
        check(&["INCRBYFLOAT a inf"], INFINITE);
        check(&["SET a inf", "INCRBYFLOAT a -inf"], INFINITE);
        check(&["SET a 1e4932", "INCRBYFLOAT a 1e4932"], INFINITE);
        let mut bench = Bench::default();
        assert_eq!(bench.run_words(&[b"INCRBYFLOAT", b"a", b" 1"]).text(), NOT_FLOAT);
        bench.run_words(&[b"SET", b"a", b"1\0 "]);
        assert_eq!(bench.run("INCRBYFLOAT a 1").text(), NOT_FLOAT);
    }

    #[test]
    fn a_refused_increment_is_an_access_too() {
        let mut bench = Bench::default();
        bench.run("SADD s a");
        bench.run("SET text x");
        for key in ["s", "text"] {
            let word = tidegate_data::Access::lru(bench.now_ms - 1000).initial();
            bench.databases().table(0).for_each(&mut |record| record.set_access(word));
            assert_eq!(bench.run(&format!("OBJECT IDLETIME {key}")).text(), ":1");
            assert!(bench.run(&format!("INCR {key}")).text().starts_with('-'));
            assert_eq!(bench.run(&format!("OBJECT IDLETIME {key}")).text(), ":0");
        }
    }
}
