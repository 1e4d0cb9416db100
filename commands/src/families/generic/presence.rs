//! Whether keys are there: deleting, counting, touching them, and asking for their type.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, Tip, command};
use tidegate_data::{EventClass, Key};

/// A proxy sends such a command to all shards and adds up the answers.
const SUMMED: &[Tip] = &["request_policy:multi_shard", "response_policy:agg_sum"];

pub(super) static DEL: Command = command("DEL", "key [key ...]", del)
    .about(
        "1.0.0",
        "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
        "Deletes keys.",
    )
    .arity(-2)
    .keys(KeySpec::all().rm().delete())
    .flags(&[Flag::Write])
    .tips(SUMMED);

pub(super) static UNLINK: Command = command("UNLINK", "key [key ...]", unlink)
    .about(
        "4.0.0",
        "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
        "Deletes keys and frees their values in the background.",
    )
    .arity(-2)
    .keys(KeySpec::all().rm().delete())
    .flags(&[Flag::Write, Flag::Fast])
    .tips(SUMMED);

/// `DEL`
pub fn del(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let lazily = cx.env.limits().lazy_del;
    delete(cx, args, reply, lazily)
}

fn unlink(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    delete(cx, args, reply, true)
}

fn delete(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, lazily: bool) -> Result<Outcome, Error> {
    let mut deleted = 0;
    while !args.is_done() {
        let key = args.key()?;
        let is_removed = if lazily { cx.keys.remove_lazily(key) } else { cx.keys.remove(key) };
        if is_removed {
            cx.keys.event(EventClass::Generic, "del", key);
            deleted += 1;
        } else {
            // Who is about to fill the key of a cache is told here that it comes too late.
            cx.keys.end_lease(key);
        }
    }
    reply.integer(deleted);
    Ok(Outcome::changed_if(deleted > 0))
}

pub(super) static EXISTS: Command = command("EXISTS", "key [key ...]", |cx, args, reply| {
    count(args, reply, |key| cx.keys.inspect(key).is_some())
})
.about(
    "1.0.0",
    "O(N) where N is the number of keys to check.",
    "Counts how many of the keys exist, repeated ones as often as they are named.",
)
.arity(-2)
.keys(KeySpec::all().ro())
.flags(&[Flag::Readonly, Flag::Fast])
.tips(SUMMED)
.history(&[("3.0.3", "Accepts multiple `key` arguments.")]);

pub(super) static TOUCH: Command = command("TOUCH", "key [key ...]", |cx, args, reply| {
    count(args, reply, |key| cx.keys.read(key).is_some())
})
.about(
    "3.2.1",
    "O(N) where N is the number of keys that will be touched.",
    "Counts how many of the keys exist, and notes an access to each.",
)
.arity(-2)
.keys(KeySpec::all().ro())
.flags(&[Flag::Readonly, Flag::Fast])
.tips(SUMMED);

fn count(args: &mut Args, reply: &mut Reply, mut found: impl FnMut(Key) -> bool) -> Result<Outcome, Error> {
    let mut sum = 0;
    while !args.is_done() {
        sum += i64::from(found(args.key()?));
    }
    reply.integer(sum);
    Ok(Outcome::Same)
}

pub(super) static TYPE: Command = command("TYPE", "key", type_of)
    .about("1.0.0", "O(1)", "Tells the type of the value at a key.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn type_of(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    reply.simple(cx.keys.inspect(key).map_or("none", |record| record.type_code().name()));
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    #[test]
    fn del_counts_what_it_deleted() {
        check(&["SET a 1", "SET b 2", "DEL a b c a"], ":2");
        check(&["SET a 1", "DEL a", "GET a"], "$-1");
        check_effects(&["SET a 1", "DEL a b"], &["DEL a b"]);
        check_effects(&["DEL a b"], &[]);
        check_events(&["SET a 1", "SET b 1", "DEL b x a b"], &["del b", "del a"]);
        check(&["DEL"], "-ERR wrong number of arguments for 'del' command");
    }

    #[test]
    fn unlink_is_del_by_another_name() {
        check(&["SET a 1", "SET b 2", "UNLINK a b c"], ":2");
        check_effects(&["SET a 1", "UNLINK a b"], &["UNLINK a b"]);
        check_events(&["SET a 1", "UNLINK a"], &["del a"]);
    }

    #[test]
    fn a_key_whose_time_has_come_is_not_deleted_but_expired() {
        let mut bench = Bench::default();
        bench.run("SET a 1");
        bench.run("PEXPIRE a 10");
        bench.now_ms += 11;
        let ran = bench.run("DEL a");
        assert_eq!((ran.text().as_str(), ran.events), (":0", vec!["expired a".to_string()]));
        assert_eq!(ran.effects.bytes(), b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
    }

    #[test]
    fn exists_and_touch_count_repeated_keys() {
        check(&["SET a 1", "EXISTS a a b"], ":2");
        check(&["SET a 1", "TOUCH a a b"], ":2");
        check_effects(&["SET a 1", "EXISTS a"], &[]);
        check_effects(&["SET a 1", "TOUCH a"], &[]);
        check_events(&["SET a 1", "EXISTS a b"], &["keymiss b"]);
        check_events(&["SET a 1", "TOUCH a b"], &["keymiss b"]);
        check_lookups(&["SET a 1", "EXISTS a a b"], 2, 1);
        check_lookups(&["SET a 1", "TOUCH a a b"], 2, 1);
        check_lookups(&["SET a 1", "DEL a b"], 0, 0);
    }

    #[test]
    fn type_names() {
        check(&["TYPE a"], "+none");
        check(&["SET a 1", "TYPE a"], "+string");
        check_effects(&["TYPE a"], &[]);
        check_events(&["TYPE a"], &["keymiss a"]);
    }
}
