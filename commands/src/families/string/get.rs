//! Reading one string, and what changes its key on the way: `GET`, `GETDEL`, `GETEX`, `STRLEN`.

use super::expire_option::{Besides, Lifetime};
use super::reply_value;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Record};

pub(super) static GET: Command = command("GET", "key", get)
    .about("1.0.0", "O(1)", "Returns the string value of a key.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    reply_value(reply, cx.keys.read_string(key)?);
    Ok(Outcome::Same)
}

pub(super) static STRLEN: Command = command("STRLEN", "key", strlen)
    .about("2.2.0", "O(1)", "Returns the length of a string in bytes, 0 for a missing key.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn strlen(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = cx.keys.read_string(key)?;
    let len = value.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).map(<[u8]>::len));
    reply.integer(len.unwrap_or(0) as i64);
    Ok(Outcome::Same)
}

pub(super) static GETDEL: Command = command("GETDEL", "key", getdel)
    .about("6.2.0", "O(1)", "Returns the string value of a key and deletes the key.")
    .arity(2)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn getdel(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    reply_value(reply, cx.keys.read_string(key)?);
    if !cx.keys.remove(key) {
        return Ok(Outcome::Same);
    }
    cx.keys.event(EventClass::Generic, "del", key);
    Ok(Outcome::changed_as(&[b"DEL", key.bytes()]))
}

pub(super) static GETEX: Command = command(
    "GETEX",
    "key [expiration: EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
    getex,
)
.about("6.2.0", "O(1)", "Returns the string value of a key and sets or removes its expiry.")
.arity(-2)
.keys(KeySpec::first().rw().access().update().notes("RW and UPDATE because the TTL may change"))
.flags(&[Flag::Write, Flag::Fast]);

fn getex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut lifetime = Lifetime::default();
    while !args.is_done() {
        let word = args.next()?;
        if !lifetime.take(word, args, Besides::Persist) {
            return Err(Error::Syntax);
        }
    }
    let value = cx.keys.read_string(key)?;
    reply_value(reply, value);
    // The number of the deadline is not even looked at when there is no key.
    if value.is_none() {
        return Ok(Outcome::Same);
    }
    match lifetime {
        Lifetime::Unsaid | Lifetime::Keep => Ok(Outcome::Same),
        Lifetime::Persist => {
            if cx.keys.for_write(key).and_then(Record::expiry_ms).is_none() {
                return Ok(Outcome::Same);
            }
            cx.keys.set_expiry(key, None);
            cx.keys.event(EventClass::Generic, "persist", key);
            Ok(Outcome::changed_as(&[b"PERSIST", key.bytes()]))
        }
        Lifetime::Until(deadline) => {
            let now_ms = cx.env.now_ms();
            let at_ms = deadline.at_ms(now_ms, "getex")?;
            if deadline.is_absolute() && at_ms <= now_ms {
                cx.keys.remove(key);
                cx.keys.event(EventClass::Generic, "del", key);
                return Ok(Outcome::changed_as(&[b"DEL", key.bytes()]));
            }
            cx.keys.set_expiry(key, Some(at_ms));
            cx.keys.event(EventClass::Generic, "expire", key);
            Ok(Outcome::changed_as(&[b"PEXPIREAT", key.bytes(), at_ms.to_string().as_bytes()]))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

    #[test]
    fn get() {
        check(&["SET a 1", "GET a"], "$1 1");
        check(&["SET a 007", "GET a"], "$3 007");
        check(&["SET a \"\"", "GET a"], "$0");
        check(&["GET a"], "$-1");
        check(&["GET"], "-ERR wrong number of arguments for 'get' command");
        check_effects(&["SET a b", "GET a"], &[]);
        check_events(&["GET a"], &["keymiss a"]);
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("GET a").text(), "_");
    }

    #[test]
    fn expired_keys_are_gone() {
        let mut bench = Bench::default();
        bench.run("SET a 1 PX 10");
        bench.now_ms += 10;
        assert_eq!(bench.run("GET a").text(), "$1 1");
        bench.now_ms += 1;
        let ran = bench.run("GET a");
        assert_eq!(ran.text(), "$-1");
        assert_eq!(ran.events, ["expired a", "keymiss a"]);
        assert_eq!(ran.effects.bytes(), b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
    }

    #[test]
    fn strlen() {
        check(&["STRLEN a"], ":0");
        check(&["SET a -555", "STRLEN a"], ":4");
        check(&["SET a hello", "STRLEN a"], ":5");
    }

    #[test]
    fn getdel() {
        check(&["SET a b", "GETDEL a"], "$1 b");
        check(&["SET a b", "GETDEL a", "GET a"], "$-1");
        check(&["GETDEL a"], "$-1");
        check_effects(&["SET a b", "GETDEL a"], &["DEL a"]);
        check_effects(&["GETDEL a"], &[]);
        check_events(&["SET a b", "GETDEL a"], &["del a"]);
    }

    #[test]
    fn getex_sets_and_removes_deadlines() {
        check(&["SET a b", "GETEX a"], "$1 b");
        check(&["GETEX a EX 5"], "$-1");
        check(&["GETEX a EX 0"], "$-1");
        check_effects(&["SET a b", "GETEX a"], &[]);
        check_effects(&["SET a b", "GETEX a EX 5"], &[&format!("PEXPIREAT a {}", START_MS + 5000)]);
        check_effects(&["SET a b", "GETEX a PX 5"], &[&format!("PEXPIREAT a {}", START_MS + 5)]);
        check_effects(&["SET a b", "GETEX a EXAT 9999999999"], &["PEXPIREAT a 9999999999000"]);
        check_effects(&["SET a b", "GETEX a PXAT 9999999999000"], &["PEXPIREAT a 9999999999000"]);
        check_events(&["SET a b", "GETEX a EX 5"], &["expire a"]);
        check_effects(&["SET a b EX 5", "GETEX a PERSIST"], &["PERSIST a"]);
        check_events(&["SET a b EX 5", "GETEX a PERSIST"], &["persist a"]);
        check_effects(&["SET a b", "GETEX a PERSIST"], &[]);
        check_events(&["SET a b", "GETEX a PERSIST"], &[]);
    }

    #[test]
    fn getex_of_the_past_deletes() {
        check(&["SET a b", "GETEX a EXAT 1"], "$1 b");
        check(&["SET a b", "GETEX a EXAT 1", "GET a"], "$-1");
        check_effects(&["SET a b", "GETEX a PXAT 1"], &["DEL a"]);
        check_events(&["SET a b", "GETEX a PXAT 1"], &["del a"]);
    }

    #[test]
    fn getex_refuses() {
        check(&["SET a b", "GETEX a EX 0"], "-ERR invalid expire time in 'getex' command");
        check(&["SET a b", "GETEX a EX x"], "-ERR value is not an integer or out of range");
        check(&["SET a b", "GETEX a EX"], "-ERR syntax error");
        check(&["SET a b", "GETEX a KEEPTTL"], "-ERR syntax error");
        check(&["SET a b", "GETEX a NX"], "-ERR syntax error");
        check(&["SET a b", "GETEX a PERSIST EX 5"], "-ERR syntax error");
        check_effects(&["SET a b", "GETEX a EX 0"], &[]);
    }
}
