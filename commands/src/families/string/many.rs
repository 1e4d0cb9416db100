//! Many strings with one command, all or none of them: `MGET`, `MSET`, `MSETNX`, `MSETEX`.

use super::expire_option::{Besides, Lifetime};
use super::reply_value;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::{EventClass, Expiry, StringValue};

pub(super) static MGET: Command = command("MGET", "key [key ...]", mget)
    .about(
        "1.0.0",
        "O(N) where N is the number of keys to retrieve.",
        "Returns the string values of all given keys, null for those that hold none.",
    )
    .arity(-2)
    .keys(KeySpec::all().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast])
    .tips(&["request_policy:multi_shard"]);

fn mget(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    reply.array(args.remaining());
    while !args.is_done() {
        let key = args.key()?;
        // A value of another type is answered like a missing one: MGET never fails half-way.
        reply_value(reply, cx.keys.read_string(key).unwrap_or(None));
    }
    Ok(Outcome::Same)
}

pub(super) static MSET: Command = command("MSET", "key value [key value ...]", mset)
    .about(
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        "Sets the string values of all given keys at once.",
    )
    .arity(-3)
    .keys(KeySpec::range(1, -1, 2).ow().update())
    .flags(&[Flag::Write, Flag::DenyOom])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]);

fn mset(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if !args.remaining().is_multiple_of(2) {
        return Err(Error::Arity("mset".into()));
    }
    set_all(cx, args)?;
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static MSETNX: Command = command("MSETNX", "key value [key value ...]", msetnx)
    .about(
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        "Sets the string values of all given keys if none of them exists.",
    )
    .arity(-3)
    .keys(KeySpec::range(1, -1, 2).ow().insert())
    .flags(&[Flag::Write, Flag::DenyOom])
    .tips(&["request_policy:multi_shard", "response_policy:agg_min"]);

fn msetnx(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if !args.remaining().is_multiple_of(2) {
        return Err(Error::Arity("msetnx".into()));
    }
    if args.keys().any(|key| cx.keys.for_write(key).is_some()) {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    set_all(cx, args)?;
    reply.integer(1);
    Ok(Outcome::Changed)
}

/// Sets every pair that is left of the arguments.
fn set_all(cx: &mut Ctx, args: &mut Args) -> Result<(), Error> {
    while !args.is_done() {
        let key = args.key()?;
        let value = args.next()?;
        cx.keys.set_string(key, StringValue::of(value), Expiry::Clear);
        cx.keys.event(EventClass::String, "set", key);
    }
    Ok(())
}

pub(super) static MSETEX: Command = command(
    "MSETEX",
    "numkeys key value [key value ...] [condition: NX|XX] \
     [expiration: EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
    msetex,
)
.about(
    "8.4.0",
    "O(N) where N is the number of keys to set.",
    "Sets the string values of all given keys at once, on a condition and with one expiry for all.",
)
.arity(-4)
.keys(KeySpec::counted(1, 2).ow().update())
.flags(&[Flag::Write, Flag::DenyOom])
.tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]);

/// When `MSETEX` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `NX`
    AllMissing,
    /// `XX`
    AllPresent,
}

fn msetex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let pairs = match args.integer() {
        Ok(pairs @ 1..=0x7fff_ffff) => pairs as usize,
        _ => return Err(Error::new("ERR invalid numkeys value")),
    };
    if args.remaining() / 2 < pairs {
        return Err(Error::new("ERR wrong number of key-value pairs"));
    }
    let mut options = args.clone();
    options.skip(2 * pairs);
    let (condition, lifetime) = msetex_options(&mut options)?;
    let expiry = match lifetime {
        Lifetime::Until(deadline) => Expiry::At(deadline.at_ms(cx.env.now_ms(), "msetex")?),
        Lifetime::Keep => Expiry::Keep,
        Lifetime::Unsaid | Lifetime::Persist => Expiry::Clear,
    };
    if let Some(condition) = condition
        && args.keys().any(|key| cx.keys.for_write(key).is_some() != (condition == Condition::AllPresent))
    {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    let mut effects = Effects::default();
    for _ in 0..pairs {
        let key = args.key()?;
        let value = args.next()?;
        cx.keys.set_string(key, StringValue::of(value), expiry);
        cx.keys.event(EventClass::String, "set", key);
        // Plain SETs, so that servers which do not know MSETEX can read the journal.
        match expiry {
            Expiry::Clear => effects.push(&[b"SET", key.bytes(), value]),
            Expiry::Keep => effects.push(&[b"SET", key.bytes(), value, b"KEEPTTL"]),
            Expiry::At(at_ms) => {
                cx.keys.event(EventClass::Generic, "expire", key);
                effects.push(&[b"SET", key.bytes(), value, b"PXAT", at_ms.to_string().as_bytes()]);
            }
        }
    }
    reply.integer(1);
    Ok(Outcome::ChangedAs(effects))
}

fn msetex_options<'a>(args: &mut Args<'a>) -> Result<(Option<Condition>, Lifetime<'a>), Error> {
    let mut condition = None;
    let mut lifetime = Lifetime::default();
    while !args.is_done() {
        let word = args.next()?;
        let wanted = if word.eq_ignore_ascii_case(b"NX") {
            Condition::AllMissing
        } else if word.eq_ignore_ascii_case(b"XX") {
            Condition::AllPresent
        } else if lifetime.take(word, args, Besides::Keepttl) {
            continue;
        } else {
            return Err(Error::Syntax);
        };
        if condition.is_some_and(|before| before != wanted) {
            return Err(Error::Syntax);
        }
        condition = Some(wanted);
    }
    Ok((condition, lifetime))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

    #[test]
    fn mget() {
        check(&["MSET a 1 b x", "MGET a b c a"], "*4 $1 1 $1 x $-1 $1 1");
        check(&["MGET"], "-ERR wrong number of arguments for 'mget' command");
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("MGET a").text(), "*1 _");
    }

    #[test]
    fn mset() {
        check(&["MSET a 1 b 2"], "+OK");
        check(&["MSET a 1 a 2", "GET a"], "$1 2");
        check(&["MSET a 1 b"], "-ERR wrong number of arguments for 'mset' command");
        check(&["MSET a"], "-ERR wrong number of arguments for 'mset' command");
        check_effects(&["MSET a 1 b 2"], &["MSET a 1 b 2"]);
        check_events(&["SET b 1", "MSET a 1 b 2"], &["new a", "set a", "set b"]);
    }

    #[test]
    fn mset_of_many_keys() {
        let mut bench = Bench::default();
        let keys: Vec<String> = (0..20_000).map(|n| format!("key:{n}")).collect();
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        words.extend(keys.iter().flat_map(|key| [key.as_bytes(), key.as_bytes()]));
        assert_eq!(bench.run_words(&words).text(), "+OK");
        assert_eq!(bench.run("GET key:19999").text(), "$9 key:19999");
    }

    #[test]
    fn msetnx() {
        check(&["MSETNX a 1 b 2"], ":1");
        check(&["SET b 1", "MSETNX a 1 b 2"], ":0");
        check(&["SET b 1", "MSETNX a 1 b 2", "GET a"], "$-1");
        check(&["MSETNX a 1 a 2", "GET a"], "$1 2");
        check(&["MSETNX a 1 b"], "-ERR wrong number of arguments for 'msetnx' command");
        check_effects(&["MSETNX a 1 b 2"], &["MSETNX a 1 b 2"]);
        check_effects(&["SET b 1", "MSETNX a 1 b 2"], &[]);
        check_events(&["MSETNX a 1"], &["new a", "set a"]);
    }

    #[test]
    fn msetex() {
        check(&["MSETEX 2 a 1 b 2"], ":1");
        check(&["MSETEX 2 a 1 b 2 NX EX 10", "MGET a b"], "*2 $1 1 $1 2");
        check(&["SET b 1", "MSETEX 2 a 1 b 2 nx"], ":0");
        check(&["SET b 1", "MSETEX 2 a 1 b 2 xx"], ":0");
        check(&["MSET a 0 b 1", "MSETEX 2 a 1 b 2 EX 10 XX"], ":1");
        check(&["SET b 1", "MSETEX 2 a 1 b 2 NX", "MGET a b"], "*2 $-1 $1 1");
        check_effects(&["MSETEX 2 a 1 b 2"], &["SET a 1", "SET b 2"]);
        let at = START_MS + 5000;
        check_effects(
            &["MSETEX 2 a 1 b 2 EX 5"],
            &[&format!("SET a 1 PXAT {at}"), &format!("SET b 2 PXAT {at}")],
        );
        check_effects(&["MSETEX 1 a 1 KEEPTTL"], &["SET a 1 KEEPTTL"]);
        check_effects(&["SET a 0 EX 5", "MSETEX 1 a 1 KEEPTTL", "GETEX a PERSIST"], &["PERSIST a"]);
        check_effects(&["SET b 1", "MSETEX 1 b 2 NX"], &[]);
        check_events(
            &["SET b 1", "MSETEX 2 a 1 b 2 PX 5"],
            &["new a", "set a", "expire a", "set b", "expire b"],
        );
    }

    #[test]
    fn msetex_refuses() {
        check(&["MSETEX 1 a"], "-ERR wrong number of arguments for 'msetex' command");
        for line in ["MSETEX a 1 EX 10", "MSETEX 0 a 1", "MSETEX -1 a 1", "MSETEX 2147483648 a 1"] {
            check(&[line], "-ERR invalid numkeys value");
        }
        check(&["MSETEX 2 a 1 b"], "-ERR wrong number of key-value pairs");
        check(&["MSETEX 2147483647 a 1 EX 10"], "-ERR wrong number of key-value pairs");
        for line in [
            "MSETEX 1 a 1 foo",
            "MSETEX 1 a 1 NX XX",
            "MSETEX 1 a 1 EX 10 PX 5000",
            "MSETEX 1 a 1 KEEPTTL EX 10",
            "MSETEX 1 a 1 b",
        ] {
            check(&[line], "-ERR syntax error");
        }
        check(&["MSETEX 1 a 1 EX 0"], "-ERR invalid expire time in 'msetex' command");
        check(&["MSETEX 1 a 1 EX x"], "-ERR value is not an integer or out of range");
    }
}
