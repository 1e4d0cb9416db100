//! Removing at the ends: `LPOP`, `RPOP`, and `LMPOP` from the first of several lists that there is.

use super::{End, FromFirst, number_from, pop_one, pop_several};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::{INT_LEN_MAX, format_int};
use tidegate_data::{Key, List};

const COMPLEXITY: &str = "O(N) where N is the number of elements returned.";

pub(super) static LPOP: Command =
    command("LPOP", "key [count@6.2.0]", |cx, args, reply| pop(cx, args, reply, End::Left))
        .about("1.0.0", COMPLEXITY, "Removes and returns the first elements of a list.")
        .arity(-2)
        .keys(KeySpec::first().rw().access().delete())
        .flags(&[Flag::Write, Flag::Fast])
        .history(&[("6.2.0", "Added the argument `count`.")]);

pub(super) static RPOP: Command =
    command("RPOP", "key [count@6.2.0]", |cx, args, reply| pop(cx, args, reply, End::Right))
        .about("1.0.0", COMPLEXITY, "Removes and returns the last elements of a list, the last one first.")
        .arity(-2)
        .keys(KeySpec::first().rw().access().delete())
        .flags(&[Flag::Write, Flag::Fast])
        .history(&[("6.2.0", "Added the argument `count`.")]);

fn pop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, end: End) -> Result<Outcome, Error> {
    let key = args.key()?;
    let count = match args.remaining() {
        0 => None,
        1 => Some(number_from(0, args, "ERR value is out of range, must be positive")?),
        _ => return Err(Error::Arity(end.pop_event().into())),
    };
    let list = cx.keys.write_as::<List>(key)?;
    match (list, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.null_array(),
        (Some(_), Some(0)) => reply.array(0),
        (Some(list), None) => {
            pop_one(list, end, reply);
            return Ok(Outcome::Changed);
        }
        (Some(list), Some(count)) => {
            pop_several(list, end, count, reply);
            return Ok(Outcome::Changed);
        }
    }
    Ok(Outcome::Same)
}

pub(super) static LMPOP: Command =
    command("LMPOP", "numkeys key [key ...] <where: LEFT|RIGHT> [COUNT count]", lmpop)
        .about(
            "7.0.0",
            "O(N+M) where N is the number of keys and M is the number of elements returned.",
            "Removes and returns elements from the first of several lists that exists.",
        )
        .arity(-4)
        .keys(KeySpec::counted(1, 1).rw().access().delete())
        .flags(&[Flag::Write]);

fn lmpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let FromFirst { keys, end, count } = FromFirst::read(args)?;
    for key in keys {
        if let Some(outcome) = pop_named(cx, key, end, count, reply)? {
            return Ok(outcome);
        }
    }
    reply.null_array();
    Ok(Outcome::Same)
}

/// Pops several elements and answers them with the name of the key; `None` if there is no such key.
pub(super) fn pop_named(
    cx: &mut Ctx,
    key: Key,
    end: End,
    count: usize,
    reply: &mut Reply,
) -> Result<Option<Outcome>, Error> {
    let Some(list) = cx.keys.write_as::<List>(key)? else { return Ok(None) };
    reply.array(2);
    reply.bulk(key.bytes());
    let popped = pop_several(list, end, count, reply);
    let mut digits = [0; INT_LEN_MAX];
    let popped = format_int(popped as i64, &mut digits);
    Ok(Some(Outcome::changed_as(&[end.pop_command(), key.bytes(), popped])))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    #[test]
    fn lpop() {
        check(&["RPUSH l a b c", "LPOP l"], "$1 a");
        check(&["RPUSH l a b c", "LPOP l", "LRANGE l 0 -1"], "*2 $1 b $1 c");
        check(&["RPUSH l 12", "LPOP l"], "$2 12");
        check(&["RPUSH l a", "LPOP l", "EXISTS l"], ":0");
        check(&["LPOP l"], "$-1");
        check(&["SET l x", "LPOP l"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check(&["LPOP l 1 2"], "-ERR wrong number of arguments for 'lpop' command");
        check_effects(&["RPUSH l a b c", "LPOP l"], &["LPOP l"]);
        check_effects(&["LPOP l"], &[]);
        check_events(&["RPUSH l a b", "LPOP l"], &["lpop l"]);
        check_events(&["RPUSH l a", "LPOP l"], &["lpop l", "del l"]);
        check_lookups(&["RPUSH l a", "LPOP l"], 0, 0);
    }

    #[test]
    fn rpop() {
        check(&["RPUSH l a b c", "RPOP l"], "$1 c");
        check(&["RPUSH l a b c", "RPOP l", "LRANGE l 0 -1"], "*2 $1 a $1 b");
        check(&["RPOP l"], "$-1");
        check(&["RPOP l 1 2"], "-ERR wrong number of arguments for 'rpop' command");
        check_effects(&["RPUSH l a b c", "RPOP l"], &["RPOP l"]);
        check_events(&["RPUSH l a", "RPOP l"], &["rpop l", "del l"]);
    }

    #[test]
    fn several_at_once() {
        check(&["RPUSH l a b c", "LPOP l 2"], "*2 $1 a $1 b");
        check(&["RPUSH l a b c", "RPOP l 2"], "*2 $1 c $1 b");
        check(&["RPUSH l a b c", "LPOP l 3", "EXISTS l"], ":0");
        check(&["RPUSH l a b c", "RPOP l 9223372036854775807"], "*3 $1 c $1 b $1 a");
        check(&["RPUSH l a", "LPOP l 0"], "*0");
        check(&["LPOP l 0"], "*-1");
        check(&["LPOP l 2"], "*-1");
        let mut resp3 = Bench::resp3();
        assert_eq!(resp3.run("LPOP l 2").text(), "_");
        assert_eq!(resp3.run("LPOP l").text(), "_");
        let refused = "-ERR value is out of range, must be positive";
        for count in ["-1", "x", "1.5", "9223372036854775808", "\"\""] {
            check(&["RPUSH l a", &format!("LPOP l {count}")], refused);
        }
        check(&["SET l x", "LPOP l x"], refused);
        check_effects(&["RPUSH l a b c", "RPOP l 5"], &["RPOP l 5"]);
        check_effects(&["RPUSH l a b c", "RPOP l 0"], &[]);
        check_events(&["RPUSH l a b c", "RPOP l 2"], &["rpop l"]);
        check_events(&["RPUSH l a b c", "RPOP l 3"], &["rpop l", "del l"]);
        check_events(&["RPUSH l a b c", "RPOP l 0"], &[]);
    }

    #[test]
    fn lmpop() {
        check(&["RPUSH l a b c", "LMPOP 1 l LEFT"], "*2 $1 l *1 $1 a");
        check(&["RPUSH l a b c", "LMPOP 1 l RIGHT COUNT 2"], "*2 $1 l *2 $1 c $1 b");
        check(&["RPUSH l a b c", "LMPOP 2 k l left count 9"], "*2 $1 l *3 $1 a $1 b $1 c");
        check(&["RPUSH k x", "RPUSH l a", "LMPOP 2 k l LEFT", "LMPOP 2 k l LEFT"], "*2 $1 l *1 $1 a");
        check(&["LMPOP 2 k l LEFT"], "*-1");
        check(
            &["SET k x", "RPUSH l a", "LMPOP 2 k l LEFT"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["SET k x", "RPUSH l a", "LMPOP 2 l k LEFT"], "*2 $1 l *1 $1 a");
        check_effects(&["RPUSH l a b c", "LMPOP 2 k l RIGHT COUNT 2"], &["RPOP l 2"]);
        check_effects(&["RPUSH l a b c", "LMPOP 1 l LEFT COUNT 20"], &["LPOP l 3"]);
        check_effects(&["LMPOP 1 l LEFT COUNT 20"], &[]);
        check_events(&["RPUSH l a b", "LMPOP 1 l LEFT COUNT 2"], &["lpop l", "del l"]);
    }

    #[test]
    fn lmpop_refuses() {
        let numkeys = "-ERR numkeys should be greater than 0";
        for number in ["0", "-1", "x", "9223372036854775808"] {
            check(&[&format!("LMPOP {number} l LEFT")], numkeys);
        }
        for line in [
            "LMPOP 9223372036854775807 l LEFT",
            "LMPOP 2 l LEFT",
            "LMPOP 1 l UP",
            "LMPOP 1 l LEFT COUNT",
            "LMPOP 1 l LEFT COUNT 1 COUNT 1",
            "LMPOP 1 l LEFT FOO 1",
            "LMPOP 1 k l LEFT",
        ] {
            check(&[line], "-ERR syntax error");
        }
        for count in ["0", "-1", "x", "9223372036854775808"] {
            check(&[&format!("LMPOP 1 l LEFT COUNT {count}")], "-ERR count should be greater than 0");
        }
        check(&["LMPOP 1 l"], "-ERR wrong number of arguments for 'lmpop' command");
    }
}
