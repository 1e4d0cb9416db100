//! `TOPK.ADD`, `TOPK.INCRBY`.

use super::NO_KEY;
use crate::families::sketch::{number_in, wrong_arity};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Write;
use tidegate_data::types::topk::{INCREMENT_MAX, TopK};

pub(super) static TOPK_ADD: Command = command("TOPK.ADD", "key item [item ...]", topk_add)
    .about(
        "1.0.0",
        "O(N·(K + D)) where N is the number of elements, K that of elements in the list and D the depth.",
        "Counts elements. Returns those that are no longer among the most frequent.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn topk_add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut list = cx.keys.write_as::<TopK>(key)?.ok_or(NO_KEY)?;
    reply.array(args.remaining());
    for item in args.rest() {
        add(&mut list, item, 1, reply);
    }
    Ok(Outcome::Changed)
}

fn add(list: &mut Write<'_, '_, '_, TopK>, item: &[u8], by: u32, reply: &mut Reply) {
    let expelled = list.change().add(item, by);
    reply.bulk_or_null(expelled.as_deref());
}

pub(super) static TOPK_INCRBY: Command =
    command("TOPK.INCRBY", "key <items: item increment> [<items: item increment> ...]", topk_incrby)
        .about(
            "1.0.0",
            "O(N·(K + D·I)) where N is the number of elements, K that of elements in the list, D the depth and I the increment.",
            "Counts elements more than once. Returns those that are no longer among the most frequent.",
        )
        .arity(-4)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::DenyOom]);

fn topk_incrby(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const INCREMENT: &str =
        "TopK: increment must be an integer greater or equal to 0 and smaller or equal to 100,000";
    let key = args.key()?;
    if args.remaining() % 2 == 1 {
        return Err(wrong_arity("topk.incrby"));
    }
    let mut list = cx.keys.write_as::<TopK>(key)?.ok_or(NO_KEY)?;
    let mut items = Vec::with_capacity(args.remaining() / 2);
    while !args.is_done() {
        let item = args.next()?;
        items.push((item, number_in(args, 0..=INCREMENT_MAX.into(), INCREMENT)? as u32));
    }
    reply.array(items.len());
    for (item, by) in items {
        add(&mut list, item, by, reply);
    }
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NEW: &str = "TOPK.RESERVE t 3 10 3 1";

    #[test]
    fn topk_add() {
        check(&["TOPK.RESERVE t 3", "TOPK.ADD t a b a"], "*3 $-1 $-1 $-1");
        check(&["TOPK.RESERVE t 1 50 4 0.9", "TOPK.ADD t a b b"], "*3 $-1 $1 a $-1");
        check(&["TOPK.ADD t a"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.ADD t a"], WRONG_TYPE);
        check_effects(&[NEW, "TOPK.ADD t a"], &["TOPK.ADD t a"]);
        check_events(&[NEW, "TOPK.ADD t a"], &[]);
    }

    #[test]
    fn topk_incrby() {
        let mut bench = Bench::default();
        for (line, expected) in [
            (NEW, "+OK"),
            ("TOPK.INCRBY t bar 3 baz 6 42 2", "*3 $-1 $-1 $-1"),
            ("TOPK.INCRBY t 42 8 xyzzy 4", "*2 $-1 $3 bar"),
            ("TOPK.COUNT t bar baz 42 xyzzy 4", "*5 :3 :6 :10 :4 :0"),
        ] {
            assert_eq!(bench.run(line).text(), expected, "{line}");
        }
        check(&["TOPK.INCRBY t a 1"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.INCRBY t a 1"], WRONG_TYPE);
        check(&[NEW, "TOPK.INCRBY t a 1 b"], "-ERR wrong number of arguments for 'topk.incrby' command");
        for number in ["-1", "100001", "x"] {
            let line = format!("TOPK.INCRBY t b 1 a {number}");
            let error =
                "-TopK: increment must be an integer greater or equal to 0 and smaller or equal to 100,000";
            check(&[NEW, &line], error);
            check_effects(&[NEW, &line], &[]);
        }
    }
}
