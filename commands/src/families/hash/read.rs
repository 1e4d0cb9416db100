//! Looking at a hash: one field, some, or all of them.

use super::{reply_item, reply_item_or_null};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Hash;

const READS: KeySpec = KeySpec::first().ro().access();
/// What tells only of the presence or the length of something is no access to its value.
const LOOKS: KeySpec = KeySpec::first().ro();

pub(super) static HGET: Command = command("HGET", "key field", hget)
    .about("2.0.0", "O(1)", "Returns the value of a field of a hash.")
    .arity(3)
    .keys(READS)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn hget(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let field = args.next()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply_item_or_null(reply, hash.and_then(|hash| hash.get(field)));
    Ok(Outcome::Same)
}

pub(super) static HMGET: Command = command("HMGET", "key field [field ...]", hmget)
    .about(
        "2.0.0",
        "O(N) where N is the number of fields being requested.",
        "Returns the values of fields of a hash, null for those that are missing.",
    )
    .arity(-3)
    .keys(READS)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn hmget(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply.array(args.remaining());
    for field in args.rest() {
        reply_item_or_null(reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(Outcome::Same)
}

pub(super) static HGETALL: Command = command("HGETALL", "key", hgetall)
    .about(
        "2.0.0",
        "O(N) where N is the size of the hash.",
        "Returns all fields of a hash with their values.",
    )
    .arity(2)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .tips(&["nondeterministic_output_order"]);

fn hgetall(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(hash) = cx.keys.read_as::<Hash>(key)? else {
        reply.map(0);
        return Ok(Outcome::Same);
    };
    reply.map(hash.len());
    for field in hash.iter() {
        reply_item(reply, field.name);
        reply_item(reply, field.value);
    }
    Ok(Outcome::Same)
}

pub(super) static HKEYS: Command = command("HKEYS", "key", |cx, args, reply| {
    let key = args.key()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply.array(hash.map_or(0, tidegate_data::HashRef::len));
    for field in hash.into_iter().flat_map(tidegate_data::HashRef::iter) {
        reply_item(reply, field.name);
    }
    Ok(Outcome::Same)
})
.about("2.0.0", "O(N) where N is the size of the hash.", "Returns the names of all fields of a hash.")
.arity(2)
.keys(READS)
.flags(&[Flag::Readonly])
.tips(&["nondeterministic_output_order"]);

pub(super) static HVALS: Command = command("HVALS", "key", |cx, args, reply| {
    let key = args.key()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply.array(hash.map_or(0, tidegate_data::HashRef::len));
    for field in hash.into_iter().flat_map(tidegate_data::HashRef::iter) {
        reply_item(reply, field.value);
    }
    Ok(Outcome::Same)
})
.about("2.0.0", "O(N) where N is the size of the hash.", "Returns the values of all fields of a hash.")
.arity(2)
.keys(READS)
.flags(&[Flag::Readonly])
.tips(&["nondeterministic_output_order"]);

pub(super) static HLEN: Command = command("HLEN", "key", |cx, args, reply| {
    let key = args.key()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply.integer(hash.map_or(0, |hash| hash.len() as i64));
    Ok(Outcome::Same)
})
.about("2.0.0", "O(1)", "Returns the number of fields of a hash.")
.arity(2)
.keys(LOOKS)
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static HSTRLEN: Command = command("HSTRLEN", "key field", |cx, args, reply| {
    let key = args.key()?;
    let field = args.next()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    let value = hash.and_then(|hash| hash.get(field));
    reply.integer(value.map_or(0, |value| value.text_len() as i64));
    Ok(Outcome::Same)
})
.about("3.2.0", "O(1)", "Returns the length of the value of a field of a hash.")
.arity(3)
.keys(LOOKS)
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static HEXISTS: Command = command("HEXISTS", "key field", |cx, args, reply| {
    let key = args.key()?;
    let field = args.next()?;
    let hash = cx.keys.read_as::<Hash>(key)?;
    reply.integer(i64::from(hash.is_some_and(|hash| hash.contains(field))));
    Ok(Outcome::Same)
})
.about("2.0.0", "O(1)", "Tells whether a hash has a field.")
.arity(3)
.keys(LOOKS)
.flags(&[Flag::Readonly, Flag::Fast]);

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn hget_and_hmget() {
        check(&["HSET h a 1", "HGET h a"], "$1 1");
        check(&["HSET h a \"\"", "HGET h a"], "$0");
        check(&["HSET h a -123456789012345", "HGET h a"], "$16 -123456789012345");
        check(&["HSET h a 1", "HGET h b"], "$-1");
        check(&["HGET h b"], "$-1");
        check(&["HSET h a 1 b x", "HMGET h b c a b"], "*4 $1 x $-1 $1 1 $1 x");
        check(&["HMGET h a b"], "*2 $-1 $-1");
        check_lookups(&["HSET h a 1", "HGET h b"], 1, 0);
        check_lookups(&["HMGET h b"], 0, 1);
        check_events(&["HGET h b"], &["keymiss h"]);
        check_effects(&["HSET h a 1", "HGET h a"], &[]);
        assert_eq!(Bench::resp3().run("HGET h a").text(), "_");
    }

    #[test]
    fn all_fields() {
        let setup = "HSET h a 1 b x";
        check(&[setup, "HGETALL h"], "*4 $1 a $1 1 $1 b $1 x");
        check(&[setup, "HKEYS h"], "*2 $1 a $1 b");
        check(&[setup, "HVALS h"], "*2 $1 1 $1 x");
        for line in ["HGETALL h", "HKEYS h", "HVALS h"] {
            check(&[line], "*0");
        }
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("HGETALL h").text(), "%0");
        assert_eq!(bench.run("HKEYS h").text(), "*0");
        bench.run(setup);
        assert_eq!(bench.run("HGETALL h").text(), "%2 $1 a $1 1 $1 b $1 x");
        assert_eq!(bench.run("HVALS h").text(), "*2 $1 1 $1 x");
    }

    #[test]
    fn lengths_and_presence() {
        check(&["HSET h a 1 b x", "HLEN h"], ":2");
        check(&["HLEN h"], ":0");
        check(&["HSET h a -10 b xyz", "HSTRLEN h a"], ":3");
        check(&["HSET h a -10 b xyz", "HSTRLEN h b"], ":3");
        check(&["HSET h a 0", "HSTRLEN h a"], ":1");
        check(&["HSET h a -9223372036854775808", "HSTRLEN h a"], ":20");
        check(&["HSET h a 1", "HSTRLEN h x"], ":0");
        check(&["HSTRLEN h x"], ":0");
        check(&["HSET h a 1", "HEXISTS h a"], ":1");
        check(&["HSET h a 1", "HEXISTS h x"], ":0");
        check(&["HEXISTS h x"], ":0");
    }

    #[test]
    fn other_types() {
        for line in [
            "HGET h a",
            "HMGET h a",
            "HGETALL h",
            "HKEYS h",
            "HVALS h",
            "HLEN h",
            "HSTRLEN h a",
            "HEXISTS h a",
        ] {
            check(&["SET h x", line], WRONG_TYPE);
        }
    }

    #[test]
    fn a_large_hash_answers_alike() {
        let mut bench = Bench::default();
        for n in 0..1000 {
            bench.run(&format!("HSET h field:{n} {n}"));
        }
        let long = "x".repeat(5000);
        bench.run(&format!("HSET h long {long}"));
        assert_eq!(bench.run("HGET h field:999").text(), "$3 999");
        assert_eq!(bench.run("HGET h long").text(), format!("$5000 {long}"));
        assert_eq!(bench.run("HSTRLEN h field:100").text(), ":3");
        assert_eq!(bench.run("HLEN h").text(), ":1001");
        assert_eq!(bench.run("HGETALL h").text().matches('$').count(), 2002);
        assert_eq!(bench.run("HVALS h").text().matches('$').count(), 1001);
    }
}
