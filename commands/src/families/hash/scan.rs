//! `HSCAN`: walking over a hash while it changes.

use super::reply_item;
use crate::families::generic::{MemberScan, reply_scan, scan_cursor};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Hash;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static HSCAN: Command = command("HSCAN", "key cursor [MATCH pattern] [COUNT count]", hscan)
    .about(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
        "Walks over the fields of a hash, some at each call.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .tips(&["nondeterministic_output"]);

fn hscan(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let cursor = scan_cursor(args.next()?)?;
    let mark = reply.mark();
    let Some(hash) = cx.keys.read_as::<Hash>(key)? else {
        reply_scan(reply, mark, 0, 0);
        return Ok(Outcome::Same);
    };
    let options = MemberScan::options(args)?;
    let mut found = 0;
    let next = hash.scan(cursor, options.count, |field| {
        if options.wants(field.name.bytes(&mut [0; INT_LEN_MAX])) {
            reply_item(reply, field.name);
            reply_item(reply, field.value);
            found += 2;
        }
    });
    reply_scan(reply, mark, next, found);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_lookups};
    use std::collections::BTreeSet;

    #[test]
    fn small_hashes_are_walked_at_once() {
        check(&["HSCAN h 0"], "*2 $1 0 *0");
        check(&["HSET h a 1 b 2", "HSCAN h 0 COUNT 1"], "*2 $1 0 *4 $1 a $1 1 $1 b $1 2");
        check(&["HSET h a 1 12 2", "HSCAN h 0 MATCH 1*"], "*2 $1 0 *2 $2 12 $1 2");
        check(&["HSET h a 1", "HSCAN h 17 MATCH * COUNT 100"], "*2 $1 0 *2 $1 a $1 1");
        check_lookups(&["HSET h a 1", "HSCAN h 0"], 1, 0);
    }

    #[test]
    fn errors_in_redis_order() {
        check(&["HSCAN h x"], "-ERR invalid cursor");
        check(&["HSCAN h 0 COUNT"], "*2 $1 0 *0");
        check(&["HSET h a 1", "HSCAN h 0 COUNT"], "-ERR syntax error");
        check(&["HSET h a 1", "HSCAN h 0 COUNT 0"], "-ERR syntax error");
        check(&["HSET h a 1", "HSCAN h 0 NOVALUES"], "-ERR syntax error");
        check(&["SET h a", "HSCAN h x"], "-ERR invalid cursor");
        check(
            &["SET h a", "HSCAN h 0 COUNT"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn a_walk_visits_every_field() {
        let mut bench = Bench::default();
        for n in 0..3000 {
            bench.run(&format!("HSET h field:{n} value:{n}"));
        }
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_string();
        loop {
            let text = bench.run(&format!("HSCAN h {cursor} COUNT 100")).text();
            let words: Vec<&str> = text.split(' ').filter(|word| !word.starts_with(['*', '$'])).collect();
            for pair in words[1..].chunks(2) {
                assert_eq!(pair[0][6..], pair[1][6..]);
                seen.insert(pair[0].to_string());
            }
            cursor = words[0].to_string();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 3000);
    }
}
