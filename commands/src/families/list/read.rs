//! Looking at lists: `LLEN`, `LINDEX`, `LRANGE`, `LPOS`.

use super::{indices, number_from, reply_item};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::{Item, List};

pub(super) static LLEN: Command = command("LLEN", "key", llen)
    .about("1.0.0", "O(1)", "Returns the number of elements of a list.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn llen(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let list = cx.keys.read_as::<List>(args.key()?)?;
    reply.integer(list.map_or(0, |list| list.len() as i64));
    Ok(Outcome::Same)
}

pub(super) static LINDEX: Command = command("LINDEX", "key index", lindex)
    .about(
        "1.0.0",
        "O(N) where N is the number of nodes, some kilobytes each, to the nearer end. The ends are O(1).",
        "Returns the element at an index, which counts from the end if negative.",
    )
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn lindex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(list) = cx.keys.read_as::<List>(key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let index = args.integer()?;
    let index = indices(index, index, list.len()).next();
    match index.and_then(|index| list.get(index)) {
        Some(item) => reply_item(reply, item),
        None => reply.null(),
    }
    Ok(Outcome::Same)
}

pub(super) static LRANGE: Command = command("LRANGE", "key start stop", lrange)
    .about(
        "1.0.0",
        "O(S+N) where S is the distance of start from the nearer end, in nodes of some kilobytes, and N is the number of elements returned.",
        "Returns the elements from one index to another, both inclusive.",
    )
    .arity(4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn lrange(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (start, stop) = (args.integer()?, args.integer()?);
    let Some(list) = cx.keys.read_as::<List>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    let range = indices(start, stop, list.len());
    reply.array(range.len());
    list.range(range.start, range.len()).for_each(|item| reply_item(reply, item));
    Ok(Outcome::Same)
}

pub(super) static LPOS: Command =
    command("LPOS", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", lpos)
        .about(
            "6.0.6",
            "O(N) where N is the number of elements compared: at most the length of the list, or MAXLEN.",
            "Returns the index of an element, or the indices of several that equal it.",
        )
        .arity(-3)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly]);

fn lpos(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let element = args.next()?;
    let search = Search::read(args)?;
    let Some(list) = cx.keys.read_as::<List>(key)? else {
        match search.count {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return Ok(Outcome::Same);
    };
    let found = if search.backwards {
        let last = list.len() - 1;
        search.run(list.iter().rev(), element).into_iter().map(|index| last - index).collect()
    } else {
        search.run(list.iter(), element)
    };
    match (search.count, found.first()) {
        (Some(_), _) => {
            reply.array(found.len());
            for index in found {
                reply.integer(index as i64);
            }
        }
        (None, Some(index)) => reply.integer(*index as i64),
        (None, None) => reply.null(),
    }
    Ok(Outcome::Same)
}

/// The options of `LPOS`.
struct Search {
    /// Equal elements to pass over.
    skip: u64,
    backwards: bool,
    /// How many to find, 0 for all; `None` for one that is not answered as an array.
    count: Option<usize>,
    /// How many elements to look at.
    len_max: usize,
}

impl Search {
    fn read(args: &mut Args) -> Result<Self, Error> {
        let mut rank = 1;
        let mut search = Search { skip: 0, backwards: false, count: None, len_max: usize::MAX };
        while let Some(word) = args.peek() {
            if args.remaining() < 2 {
                return Err(Error::Syntax);
            }
            args.skip(1);
            if word.eq_ignore_ascii_case(b"RANK") {
                rank = args.integer()?;
                if rank == 0 {
                    return Err(Error::new(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                    ));
                }
            } else if word.eq_ignore_ascii_case(b"COUNT") {
                search.count = Some(number_from(0, args, "ERR COUNT can't be negative")?);
            } else if word.eq_ignore_ascii_case(b"MAXLEN") {
                let len = number_from(0, args, "ERR MAXLEN can't be negative")?;
                search.len_max = if len == 0 { usize::MAX } else { len };
            } else {
                return Err(Error::Syntax);
            }
        }
        search.backwards = rank < 0;
        search.skip = rank.unsigned_abs() - 1;
        if rank == i64::MIN {
            // Redis 7.0 does not see that this number has no opposite: it passes over nothing and finds all.
            search.skip = 0;
            search.count = search.count.map(|_| 0);
        }
        Ok(search)
    }

    /// How far from their begin the wanted elements are.
    fn run<'a>(&self, items: impl Iterator<Item = Item<'a>>, element: &[u8]) -> Vec<usize> {
        let wanted = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let element = Item::from(element);
        let mut skip = self.skip;
        let equal = items.take(self.len_max).enumerate().filter(|(_, item)| *item == element);
        let ranked = equal.filter(|_| {
            let passed = skip > 0;
            skip -= u64::from(passed);
            !passed
        });
        ranked.map(|(index, _)| index).take(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn llen() {
        check(&["LLEN l"], ":0");
        check(&["RPUSH l a b", "LLEN l"], ":2");
        check(&["SET l x", "LLEN l"], WRONG_TYPE);
        check_effects(&["RPUSH l a", "LLEN l"], &[]);
        check_lookups(&["RPUSH l a", "LLEN l"], 1, 0);
        check_lookups(&["LLEN l"], 0, 1);
        check_events(&["LLEN l"], &["keymiss l"]);
    }

    #[test]
    fn lindex() {
        for (index, expected) in [
            ("0", "$1 a"),
            ("2", "$1 3"),
            ("3", "$-1"),
            ("-1", "$1 3"),
            ("-3", "$1 a"),
            ("-4", "$-1"),
            ("9223372036854775807", "$-1"),
            ("-9223372036854775808", "$-1"),
            ("x", "-ERR value is not an integer or out of range"),
        ] {
            check(&["RPUSH l a b 3", &format!("LINDEX l {index}")], expected);
        }
        check(&["LINDEX l x"], "$-1");
        check(&["SET l x", "LINDEX l x"], WRONG_TYPE);
        check_lookups(&["RPUSH l a", "LINDEX l 5"], 1, 0);
    }

    #[test]
    fn lrange() {
        for (range, expected) in [
            ("0 -1", "*3 $1 a $1 b $1 3"),
            ("1 1", "*1 $1 b"),
            ("-2 5", "*2 $1 b $1 3"),
            ("-100 0", "*1 $1 a"),
            ("2 1", "*0"),
            ("3 9", "*0"),
            ("0 -4", "*0"),
            ("-9223372036854775808 9223372036854775807", "*3 $1 a $1 b $1 3"),
            ("9223372036854775807 -9223372036854775808", "*0"),
        ] {
            check(&["RPUSH l a b 3", &format!("LRANGE l {range}")], expected);
        }
        check(&["LRANGE l 0 -1"], "*0");
        check(&["SET l x", "LRANGE l 0 -1"], WRONG_TYPE);
        check(&["SET l x", "LRANGE l 0 y"], "-ERR value is not an integer or out of range");
        check(&["LRANGE l x 1"], "-ERR value is not an integer or out of range");
        check_events(&["LRANGE l 0 1"], &["keymiss l"]);
    }

    #[test]
    fn a_long_list_is_read_like_a_short_one() {
        let mut bench = Bench::default();
        for number in 0..5000 {
            assert_eq!(bench.run(&format!("RPUSH l item:{number}")).text(), format!(":{}", number + 1));
        }
        for index in [0, 1, 999, 2500, 4998, 4999] {
            let text = format!("item:{index}");
            let bulk = format!("${} {text}", text.len());
            assert_eq!(bench.run(&format!("LINDEX l {index}")).text(), bulk);
            assert_eq!(bench.run(&format!("LINDEX l {}", index - 5000)).text(), bulk);
            assert_eq!(bench.run(&format!("LRANGE l {index} {index}")).text(), format!("*1 {bulk}"));
            assert_eq!(bench.run(&format!("LPOS l {text}")).text(), format!(":{index}"));
        }
        assert!(bench.run("LRANGE l 0 -1").text().starts_with("*5000 $6 item:0 $6 item:1 "));
        assert_eq!(bench.run("OBJECT ENCODING l").text(), "$9 quicklist");
    }

    #[test]
    fn lpos() {
        let list = "RPUSH l a b c 1 2 3 c c";
        for (line, expected) in [
            ("LPOS l a", ":0"),
            ("LPOS l c", ":2"),
            ("LPOS l 2", ":4"),
            ("LPOS l x", "$-1"),
            ("LPOS l c RANK 1", ":2"),
            ("LPOS l c RANK 2", ":6"),
            ("LPOS l c RANK 4", "$-1"),
            ("LPOS l c RANK -1", ":7"),
            ("LPOS l c RANK -2", ":6"),
            ("LPOS l c COUNT 0", "*3 :2 :6 :7"),
            ("LPOS l c COUNT 1", "*1 :2"),
            ("LPOS l c COUNT 2", "*2 :2 :6"),
            ("LPOS l c COUNT 100", "*3 :2 :6 :7"),
            ("LPOS l x COUNT 2", "*0"),
            ("LPOS l c COUNT 0 RANK 2", "*2 :6 :7"),
            ("LPOS l c COUNT 2 RANK -1", "*2 :7 :6"),
            ("LPOS l a MAXLEN 1", ":0"),
            ("LPOS l c MAXLEN 2", "$-1"),
            ("LPOS l c COUNT 0 MAXLEN 3", "*1 :2"),
            ("LPOS l c COUNT 0 MAXLEN 0", "*3 :2 :6 :7"),
            ("LPOS l c COUNT 0 MAXLEN 3 RANK -2", "*1 :6"),
            ("LPOS l c rank 9223372036854775807", "$-1"),
            ("LPOS l c RANK -9223372036854775807 COUNT 0", "*0"),
            ("LPOS l c RANK -9223372036854775808", ":7"),
            ("LPOS l c RANK -9223372036854775808 COUNT 1", "*3 :7 :6 :2"),
            ("LPOS l c COUNT 9223372036854775807 MAXLEN 9223372036854775807", "*3 :2 :6 :7"),
            ("LPOS l c RANK 2 RANK 1", ":2"),
            (
                "LPOS l c RANK 0",
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
            ),
            ("LPOS l c RANK x", "-ERR value is not an integer or out of range"),
            ("LPOS l c COUNT -1", "-ERR COUNT can't be negative"),
            ("LPOS l c COUNT x", "-ERR COUNT can't be negative"),
            ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative"),
            ("LPOS l c MAXLEN", "-ERR syntax error"),
            ("LPOS l c FOO 1", "-ERR syntax error"),
            ("LPOS l", "-ERR wrong number of arguments for 'lpos' command"),
        ] {
            check(&[list, line], expected);
        }
        check(&["LPOS l a"], "$-1");
        check(&["LPOS l a COUNT 1"], "*0");
        check(&["SET l x", "LPOS l a"], WRONG_TYPE);
        check(&["SET l x", "LPOS l a RANK"], "-ERR syntax error");
        check_lookups(&["LPOS l a"], 0, 1);
        check_effects(&[list, "LPOS l a"], &[]);
    }
}
