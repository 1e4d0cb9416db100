//! Setting and removing fields: `HSET`, `HMSET`, `HSETNX`, `HDEL`.
//!
//! A field that is set anew loses its deadline.

use super::limits;
use crate::families::member_expiry::Names;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::{EventClass, Expiry, Hash};

pub(super) static HSET: Command = command("HSET", "key field value [field value ...]", |cx, args, reply| {
    let created = set_all(cx, args, "hset")?;
    reply.integer(created);
    Ok(Outcome::Changed)
})
.about(
    "2.0.0",
    "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
    "Sets fields of a hash.",
)
.arity(-4)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.history(&[("4.0.0", "Accepts multiple `field` and `value` arguments.")]);

pub(super) static HMSET: Command =
    command("HMSET", "key field value [field value ...]", |cx, args, reply| {
        set_all(cx, args, "hmset")?;
        reply.ok();
        Ok(Outcome::Changed)
    })
    .about("2.0.0", "O(N) where N is the number of fields being set.", "Sets fields of a hash.")
    .arity(-4)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
    .deprecated("4.0.0", "`HSET` with multiple field-value pairs");

/// Sets every pair that is left of the arguments; returns the number of new fields.
fn set_all(cx: &mut Ctx, args: &mut Args, name: &'static str) -> Result<i64, Error> {
    let key = args.key()?;
    let pairs = args.remaining();
    if !pairs.is_multiple_of(2) {
        return Err(Error::Arity(name.into()));
    }
    let limits = limits(cx);
    let mut hash = cx.keys.write_or_create::<Hash>(key)?;
    let fields = hash.change();
    let mut created = 0;
    let all = args.clone();
    while !args.is_done() {
        let (field, value) = (args.next()?, args.next()?);
        created += i64::from(fields.set(field, value, Expiry::Clear, limits));
    }
    hash.count_changes(pairs as u64 / 2 - 1);
    hash.event_of(EventClass::Hash, "hset", all.clone().rest().step_by(2));
    Ok(created)
}

pub(super) static HSETNX: Command = command("HSETNX", "key field value", hsetnx)
    .about("2.0.0", "O(1)", "Sets a field of a hash if there is no such field.")
    .arity(4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn hsetnx(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (field, value) = (args.next()?, args.next()?);
    let limits = limits(cx);
    let mut hash = cx.keys.write_or_create::<Hash>(key)?;
    let is_new = !hash.view().contains(field);
    if is_new {
        hash.change().set(field, value, Expiry::Clear, limits);
        hash.event_of(EventClass::Hash, "hset", [field]);
    }
    reply.integer(i64::from(is_new));
    Ok(Outcome::changed_if(is_new))
}

pub(super) static HDEL: Command = command("HDEL", "key field [field ...]", hdel)
    .about("2.0.0", "O(N) where N is the number of fields to be removed.", "Removes fields of a hash.")
    .arity(-3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Fast])
    .history(&[("2.4.0", "Accepts multiple `field` arguments.")]);

fn hdel(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(mut hash) = cx.keys.write_as::<Hash>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let mut removed = Names::new();
    for field in args.rest() {
        if hash.view().contains(field) {
            hash.change().remove(field);
            removed.push(field);
        }
    }
    if !removed.is_empty() {
        hash.count_changes(removed.len() as u64 - 1);
        hash.event_of(EventClass::Hash, "hdel", &removed);
    }
    reply.integer(removed.len() as i64);
    Ok(Outcome::changed_if(!removed.is_empty()))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn hset() {
        check(&["HSET h a 1"], ":1");
        check(&["HSET h a 1 b 2 a 3"], ":2");
        check(&["HSET h a 1 b 2 a 3", "HGETALL h"], "*4 $1 a $1 3 $1 b $1 2");
        check(&["HSET h a 1", "HSET h a 2 c 3", "HGET h a"], "$1 2");
        check(&["HSET h a"], "-ERR wrong number of arguments for 'hset' command");
        check(&["HSET h a 1 b"], "-ERR wrong number of arguments for 'hset' command");
        check(&["SET h 1", "HSET h a 1"], WRONG_TYPE);
        check(&["SET h 1", "HSET h a 1 b"], "-ERR wrong number of arguments for 'hset' command");
        check_effects(&["HSET h a 1 b 2"], &["HSET h a 1 b 2"]);
        check_events(&["HSET h a 1 b 2"], &["new h", "hset h"]);
        check_events(&["HSET h a 1", "HSET h a 1"], &["hset h"]);
        check_lookups(&["HSET h a 1"], 0, 0);
    }

    #[test]
    fn hmset() {
        check(&["HMSET h a 1 b 2"], "+OK");
        check(&["HMSET h a 1 b"], "-ERR wrong number of arguments for 'hmset' command");
        check_effects(&["HMSET h a 1"], &["HMSET h a 1"]);
        check_events(&["HMSET h a 1"], &["new h", "hset h"]);
    }

    #[test]
    fn hsetnx() {
        check(&["HSETNX h a 1"], ":1");
        check(&["HSETNX h a 1", "HSETNX h a 2"], ":0");
        check(&["HSETNX h a 1", "HSETNX h a 2", "HGET h a"], "$1 1");
        check(&["SET h 1", "HSETNX h a 1"], WRONG_TYPE);
        check_effects(&["HSETNX h a 1"], &["HSETNX h a 1"]);
        check_effects(&["HSET h a 1", "HSETNX h a 1"], &[]);
        check_events(&["HSETNX h a 1"], &["new h", "hset h"]);
        check_events(&["HSET h a 1", "HSETNX h a 1"], &[]);
    }

    #[test]
    fn hdel() {
        check(&["HSET h a 1 b 2", "HDEL h a x a"], ":1");
        check(&["HSET h a 1 b 2", "HDEL h b a", "EXISTS h"], ":0");
        check(&["HDEL h a"], ":0");
        check(&["SET h 1", "HDEL h a"], WRONG_TYPE);
        check_effects(&["HSET h a 1 b 2", "HDEL h a x"], &["HDEL h a x"]);
        check_effects(&["HSET h a 1", "HDEL h x"], &[]);
        check_events(&["HSET h a 1 b 2", "HDEL h a"], &["hdel h"]);
        check_events(&["HSET h a 1", "HDEL h a"], &["hdel h", "del h"]);
        check_events(&["HSET h a 1", "HDEL h x"], &[]);
    }

    #[test]
    fn a_hash_outgrows_its_listpack_for_good() {
        let mut bench = Bench::default();
        bench.limits.encodings.hash_max_listpack_entries = 3;
        bench.limits.encodings.hash_max_listpack_value = 8;
        let mut encoding_after = |line: &str| {
            bench.run(line);
            bench.run("OBJECT ENCODING h").text().split(' ').next_back().map(str::to_string)
        };
        assert_eq!(encoding_after("HSET h a 1 b 2 c 12345678").as_deref(), Some("listpack"));
        assert_eq!(encoding_after("HSET h d 1").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("HDEL h a b c").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("DEL h").as_deref(), Some("$-1"));
        assert_eq!(encoding_after("HSETNX h a 123456789").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("DEL h").as_deref(), Some("$-1"));
        assert_eq!(encoding_after("HSET h long-name 1").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("DEL h").as_deref(), Some("$-1"));
        assert_eq!(encoding_after("HINCRBY h long-name 1").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("HSET h long-name 2 a 1").as_deref(), Some("hashtable"));
        assert_eq!(encoding_after("RENAME h g").as_deref(), Some("$-1"));
        assert_eq!(encoding_after("COPY g h").as_deref(), Some("hashtable"));
    }
}
