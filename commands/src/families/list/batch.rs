//! Moving several elements at once: `LMOVEM`, and `BLMOVEM`, which waits for them.
//!
//! The elements are chosen first and moved then, so a list can be turned round in itself by more than one. They are
//! answered as they stand in the destination, from left to right.

use super::blocking::goes_on_waiting;
use super::{End, node_limit, number_from, remove, reply_item};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_seconds,
};
use tidegate_data::types::string::{INT_LEN_MAX, format_int};
use tidegate_data::{EventClass, Key, List, NodeLimit, WrongType};

pub(super) static LMOVEM: Command = command(
    "LMOVEM",
    "source destination <wherefrom: LEFT|RIGHT> <whereto: LEFT|RIGHT> \
     [how-many: <selector: COUNT count|EXACTLY exactly(integer)> <ordering: OBO|BULK>]",
    lmovem,
)
.about(
    "8.10.0",
    "O(N) where N is the number of elements moved.",
    "Takes elements from an end of one list, adds them at an end of another and returns them.",
)
.arity(-5)
.keys(KeySpec::first().rw().access().delete())
.keys(KeySpec::at(2).rw().insert())
.flags(&[Flag::Write, Flag::DenyOom]);

fn lmovem(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (End::read(args)?, End::read(args)?);
    let how_many = HowMany::read(args)?;
    if move_batch(cx, (source, from), (destination, to), how_many, reply)?.is_some() {
        return Ok(Outcome::Changed);
    }
    reply.null_array();
    Ok(Outcome::Same)
}

pub(super) static BLMOVEM: Command = command(
    "BLMOVEM",
    "source destination <wherefrom: LEFT|RIGHT> <whereto: LEFT|RIGHT> timeout \
     [how-many: <selector: COUNT count|EXACTLY exactly(integer)> <ordering: OBO|BULK>]",
    blmovem,
)
.about(
    "8.10.0",
    "O(N) where N is the number of elements moved.",
    "Takes elements from an end of one list, adds them at an end of another and returns them, or waits for them.",
)
.arity(-6)
.keys(KeySpec::first().rw().access().delete())
.keys(KeySpec::at(2).rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Blocking]);

fn blmovem(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (End::read(args)?, End::read(args)?);
    let deadline_ms = deadline_of_seconds(args.next()?, cx.env.now_ms())?;
    let given = args.index();
    let how_many = HowMany::read(args)?;
    let moved = if let Err(WrongType) = cx.keys.for_write_as::<List>(source) {
        goes_on_waiting(&cx.env, Error::WrongType)?;
        None
    } else {
        move_batch(cx, (source, from), (destination, to), how_many, reply)?
    };
    let (source_name, name, from, to) = (source.bytes(), destination.bytes(), from.word(), to.word());
    if let Some(moved) = moved {
        let mut digits = [0; INT_LEN_MAX];
        let moved = format_int(moved as i64, &mut digits);
        let order = how_many.order.word();
        return Ok(Outcome::changed_as(&[b"LMOVEM", source_name, name, from, to, b"EXACTLY", moved, order]));
    }
    let mut again: Vec<&[u8]> = vec![b"BLMOVEM", source_name, name, from, to, b"0"];
    again.extend((given..args.len()).map(|index| args.get(index)));
    let mut wait = Wait::new(deadline_ms, Null::Array);
    wait.on(source, &again);
    Ok(wait.into())
}

/// How the elements stand in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As if they had been pushed one by one as they were popped.
    OneByOne,
    /// As they stood in the source.
    Bulk,
}

impl Order {
    const fn word(self) -> &'static [u8] {
        match self {
            Order::OneByOne => b"OBO",
            Order::Bulk => b"BULK",
        }
    }
}

/// `[<COUNT count|EXACTLY exactly> <OBO|BULK>]`
#[derive(Debug, Clone, Copy)]
struct HowMany {
    count: usize,
    /// Fewer are not moved.
    exactly: bool,
    order: Order,
}

impl HowMany {
    fn read(args: &mut Args) -> Result<Self, Error> {
        if args.is_done() {
            return Ok(HowMany { count: 1, exactly: false, order: Order::OneByOne });
        }
        if args.remaining() != 3 {
            return Err(Error::Syntax);
        }
        let exactly = args.take_word("EXACTLY");
        if !exactly && !args.take_word("COUNT") {
            return Err(Error::Syntax);
        }
        let count = number_from(1, args, "ERR count should be greater than 0")?;
        let order = if args.take_word("OBO") {
            Order::OneByOne
        } else if args.take_word("BULK") {
            Order::Bulk
        } else {
            return Err(Error::Syntax);
        };
        Ok(HowMany { count, exactly, order })
    }

    /// How many of `len` elements are moved; `None` if there are too few.
    fn of(self, len: usize) -> Option<usize> {
        let enough = if self.exactly { len >= self.count } else { len > 0 };
        enough.then_some(self.count.min(len))
    }
}

/// Moves elements, answers them and tells how many; `None`, and nothing answered, if there are too few.
fn move_batch(
    cx: &mut Ctx,
    (source, from): (Key, End),
    (destination, to): (Key, End),
    how_many: HowMany,
    reply: &mut Reply,
) -> Result<Option<usize>, Error> {
    let limit = node_limit(&cx.env);
    let list = cx.keys.for_write_as::<List>(source)?;
    let Some(count) = list.and_then(|list| how_many.of(list.len())) else { return Ok(None) };
    let batch = list.map_or_else(List::default, |list| {
        let start = if from == End::Left { 0 } else { list.len() - count };
        let items = list.range(start, count);
        let mut batch = List::default();
        // What is popped last comes to stand first if it is also pushed there.
        if how_many.order == Order::OneByOne && from == to {
            items.rev().for_each(|item| batch.push_back(item, limit));
        } else {
            items.for_each(|item| batch.push_back(item, limit));
        }
        batch
    });
    let mut list = cx.keys.write_or_create::<List>(destination)?;
    list.count_changes(count as u64 - 1);
    let content = list.change();
    if source.bytes() == destination.bytes() {
        remove(content, from, count);
        push_batch(content, to, &batch, limit);
        list.event(EventClass::List, to.push_event());
        list.event(EventClass::List, from.pop_event());
    } else {
        push_batch(content, to, &batch, limit);
        list.event(EventClass::List, to.push_event());
        drop(list);
        let mut list = cx.keys.write_as::<List>(source)?.expect("the source was there a moment ago");
        remove(list.change(), from, count);
        list.event(EventClass::List, from.pop_event());
    }
    reply.array(count);
    batch.view().iter().for_each(|item| reply_item(reply, item));
    Ok(Some(count))
}

/// Adds all elements at an end, where they keep their order.
fn push_batch(list: &mut List, end: End, batch: &List, limit: NodeLimit) {
    match end {
        End::Left => batch.view().iter().rev().for_each(|item| list.push_front(item, limit)),
        End::Right => batch.view().iter().for_each(|item| list.push_back(item, limit)),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_retry, check_waits};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    /// The reply is what was added, from left to right.
    #[test]
    fn ends_and_orders() {
        for (options, moved, destination, source) in [
            ("LEFT LEFT COUNT 2 OBO", "*2 $1 b $1 a", "*4 $1 b $1 a $1 x $1 y", "*2 $1 c $1 d"),
            ("LEFT LEFT COUNT 2 BULK", "*2 $1 a $1 b", "*4 $1 a $1 b $1 x $1 y", "*2 $1 c $1 d"),
            ("LEFT RIGHT COUNT 2 OBO", "*2 $1 a $1 b", "*4 $1 x $1 y $1 a $1 b", "*2 $1 c $1 d"),
            ("LEFT RIGHT COUNT 2 BULK", "*2 $1 a $1 b", "*4 $1 x $1 y $1 a $1 b", "*2 $1 c $1 d"),
            ("RIGHT LEFT COUNT 2 OBO", "*2 $1 c $1 d", "*4 $1 c $1 d $1 x $1 y", "*2 $1 a $1 b"),
            ("RIGHT LEFT EXACTLY 2 BULK", "*2 $1 c $1 d", "*4 $1 c $1 d $1 x $1 y", "*2 $1 a $1 b"),
            ("right right exactly 2 obo", "*2 $1 d $1 c", "*4 $1 x $1 y $1 d $1 c", "*2 $1 a $1 b"),
            ("RIGHT RIGHT COUNT 2 BULK", "*2 $1 c $1 d", "*4 $1 x $1 y $1 c $1 d", "*2 $1 a $1 b"),
            ("LEFT RIGHT", "*1 $1 a", "*3 $1 x $1 y $1 a", "*3 $1 b $1 c $1 d"),
        ] {
            for name in ["LMOVEM", "BLMOVEM"] {
                let mut bench = Bench::default();
                bench.run("RPUSH k a b c d");
                bench.run("RPUSH l x y");
                let mut words: Vec<&str> = vec![name, "k", "l"];
                words.extend(options.split(' '));
                if name == "BLMOVEM" {
                    words.insert(5, "0");
                }
                assert_eq!(bench.run(&words.join(" ")).text(), moved, "{words:?}");
                assert_eq!(bench.run("LRANGE l 0 -1").text(), destination, "{words:?}");
                assert_eq!(bench.run("LRANGE k 0 -1").text(), source, "{words:?}");
            }
        }
    }

    #[test]
    fn a_list_turns_round_in_itself() {
        for (options, left) in [
            ("LEFT RIGHT COUNT 2 BULK", "*4 $1 c $1 d $1 a $1 b"),
            ("LEFT LEFT COUNT 2 OBO", "*4 $1 b $1 a $1 c $1 d"),
            ("LEFT LEFT COUNT 2 BULK", "*4 $1 a $1 b $1 c $1 d"),
            ("RIGHT LEFT COUNT 3 OBO", "*4 $1 b $1 c $1 d $1 a"),
            ("LEFT RIGHT COUNT 100 BULK", "*4 $1 a $1 b $1 c $1 d"),
        ] {
            check(&["RPUSH k a b c d", &format!("LMOVEM k k {options}"), "LRANGE k 0 -1"], left);
        }
        check(&["RPUSH k a", "PEXPIRE k 500", "LMOVEM k k LEFT LEFT", "PTTL k"], ":500");
        check_events(&["RPUSH k a b", "LMOVEM k k LEFT RIGHT COUNT 2 OBO"], &["rpush k", "lpop k"]);
    }

    #[test]
    fn lmovem_with_too_few() {
        check(&["RPUSH k a b", "LMOVEM k l LEFT RIGHT COUNT 9223372036854775807 BULK"], "*2 $1 a $1 b");
        check(&["RPUSH k a b", "LMOVEM k l LEFT RIGHT COUNT 5 BULK", "EXISTS k"], ":0");
        check(&["RPUSH k a b", "LMOVEM k l LEFT RIGHT EXACTLY 3 BULK"], "*-1");
        check(&["RPUSH k a b", "LMOVEM k l LEFT RIGHT EXACTLY 3 BULK", "LLEN k"], ":2");
        check(&["LMOVEM k l LEFT RIGHT"], "*-1");
        check(&["LMOVEM k l LEFT RIGHT COUNT 2 OBO"], "*-1");
        check(&["LMOVEM k l LEFT RIGHT EXACTLY 1 OBO"], "*-1");
        assert_eq!(Bench::resp3().run("LMOVEM k l LEFT RIGHT").text(), "_");
    }

    #[test]
    fn lmovem_refuses() {
        for line in [
            "LMOVEM k l UP RIGHT",
            "LMOVEM k l LEFT UP COUNT 2 OBO",
            "LMOVEM k l LEFT RIGHT COUNT 2",
            "LMOVEM k l LEFT RIGHT COUNT 2 OBO x",
            "LMOVEM k l LEFT RIGHT BAD 2 OBO",
            "LMOVEM k l LEFT RIGHT COUNT 2 BAD",
            "LMOVEM k l LEFT RIGHT OBO 2 COUNT",
        ] {
            check(&["RPUSH k a b c", line], "-ERR syntax error");
        }
        for count in ["0", "-1", "x", "9223372036854775808"] {
            for word in ["COUNT", "EXACTLY"] {
                let line = format!("LMOVEM k l LEFT RIGHT {word} {count} BULK");
                check(&["RPUSH k a b c", &line], "-ERR count should be greater than 0");
            }
        }
        check(&["LMOVEM k l LEFT"], "-ERR wrong number of arguments for 'lmovem' command");
        check(&["SET k x", "LMOVEM k l LEFT RIGHT"], WRONG_TYPE);
        check(&["RPUSH k a b", "SET l x", "LMOVEM k l LEFT RIGHT COUNT 2 BULK"], WRONG_TYPE);
        check(&["RPUSH k a b", "SET l x", "LMOVEM k l LEFT RIGHT COUNT 2 BULK", "LLEN k"], ":2");
        // That there are too few is seen first.
        check(&["RPUSH k a b", "SET l x", "LMOVEM k l LEFT RIGHT EXACTLY 3 BULK"], "*-1");
    }

    #[test]
    fn what_is_told() {
        let line = "LMOVEM k l LEFT RIGHT COUNT 2 BULK";
        check_effects(&["RPUSH k a b c", line], &[line]);
        check_effects(&[line], &[]);
        check_events(&["RPUSH k a b", line], &["new l", "rpush l", "lpop k", "del k"]);
        check_effects(
            &["RPUSH k a b c", "BLMOVEM k l LEFT RIGHT 0 COUNT 9 BULK"],
            &["LMOVEM k l LEFT RIGHT EXACTLY 3 BULK"],
        );
        check_effects(&["RPUSH k a b", "BLMOVEM k l left left 0"], &["LMOVEM k l LEFT LEFT EXACTLY 1 OBO"]);
    }

    #[test]
    fn blmovem() {
        check_waits(
            &["RPUSH k a b", "BLMOVEM k l LEFT RIGHT 1 EXACTLY 3 BULK"],
            &["BLMOVEM k l LEFT RIGHT 0 EXACTLY 3 BULK"],
            Some(1000),
        );
        check_waits(
            &["BLMOVEM k l LEFT RIGHT 0 COUNT 3 OBO"],
            &["BLMOVEM k l LEFT RIGHT 0 COUNT 3 OBO"],
            None,
        );
        check_waits(&["BLMOVEM k l LEFT RIGHT 0"], &["BLMOVEM k l LEFT RIGHT 0"], None);
        check_retry(&["RPUSH k a b", "BLMOVEM k l LEFT RIGHT 0 EXACTLY 3 OBO"], "wait");
        check_retry(&["RPUSH k a b", "BLMOVEM k l LEFT RIGHT 0 COUNT 3 OBO"], "*2 $1 a $1 b");
        check_retry(&["SET k a", "BLMOVEM k l LEFT RIGHT 0"], "wait");
        check_retry(&["RPUSH k a", "SET l x", "BLMOVEM k l LEFT RIGHT 0"], WRONG_TYPE);
        check(&["SET k a", "BLMOVEM k l LEFT RIGHT 0"], WRONG_TYPE);
        check(&["BLMOVEM k l LEFT RIGHT 0 EXACTLY 3 BULK"], "*-1");
        check(&["BLMOVEM k l LEFT RIGHT -1"], "-ERR timeout is negative");
        check(&["BLMOVEM k l LEFT RIGHT 0 COUNT 0 OBO"], "-ERR count should be greater than 0");
        check(&["BLMOVEM k l LEFT RIGHT 0 COUNT"], "-ERR syntax error");
        check(&["BLMOVEM k l LEFT RIGHT"], "-ERR wrong number of arguments for 'blmovem' command");
    }
}
