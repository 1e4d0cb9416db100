//! `SSCAN`: walking over a set while it changes.

use super::reply_member;
use crate::families::generic::{MemberScan, reply_scan, scan_cursor};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::set::Set;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static SSCAN: Command = command("SSCAN", "key cursor [MATCH pattern] [COUNT count]", sscan)
    .about(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
        "Walks over the members of a set, some at each call.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .tips(&["nondeterministic_output"]);

fn sscan(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let cursor = scan_cursor(args.next()?)?;
    let mark = reply.mark();
    let Some(set) = cx.keys.read_as::<Set>(key)? else {
        reply_scan(reply, mark, 0, 0);
        return Ok(Outcome::Same);
    };
    let options = MemberScan::options(args)?;
    let mut found = 0;
    let next = set.scan(cursor, options.count, &mut |member| {
        if options.wants(member.bytes(&mut [0; INT_LEN_MAX])) {
            reply_member(reply, member);
            found += 1;
        }
    });
    reply_scan(reply, mark, next, found);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_lookups};
    use std::collections::BTreeSet;

    #[test]
    fn small_sets_are_walked_at_once() {
        check(&["SSCAN s 0"], "*2 $1 0 *0");
        check(&["SADD s 3 1 2", "SSCAN s 0 COUNT 1"], "*2 $1 0 *3 $1 1 $1 2 $1 3");
        check(&["SADD s 3 12 2", "SSCAN s 0 MATCH *2"], "*2 $1 0 *2 $1 2 $2 12");
        check(&["SADD s a", "SSCAN s 0 MATCH * COUNT 100"], "*2 $1 0 *1 $1 a");
        check_effects(&["SADD s a", "SSCAN s 0"], &[]);
        check_lookups(&["SADD s a", "SSCAN s 0"], 1, 0);
    }

    #[test]
    fn errors_in_redis_order() {
        check(&["SSCAN s x"], "-ERR invalid cursor");
        check(&["SSCAN s 0 COUNT"], "*2 $1 0 *0");
        check(&["SADD s a", "SSCAN s 0 COUNT"], "-ERR syntax error");
        check(&["SADD s a", "SSCAN s 0 COUNT 0"], "-ERR syntax error");
        check(&["SADD s a", "SSCAN s 0 COUNT x"], "-ERR value is not an integer or out of range");
        check(&["SADD s a", "SSCAN s 0 TYPE set"], "-ERR syntax error");
        check(&["SET s a", "SSCAN s x"], "-ERR invalid cursor");
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&["SET s a", "SSCAN s 0 COUNT"], wrong_type);
    }

    #[test]
    fn a_walk_visits_every_member() {
        let mut bench = Bench::default();
        for n in 0..5000 {
            bench.run(&format!("SADD s member:{n}"));
        }
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_string();
        let mut steps = 0;
        loop {
            let text = bench.run(&format!("SSCAN s {cursor} COUNT 100")).text();
            let mut words = text.split(' ').filter(|word| !word.starts_with(['*', '$']));
            cursor = words.next().unwrap().to_string();
            seen.extend(words.map(str::to_string));
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 5000);
        assert!((20..=60).contains(&steps), "{steps}");
        let text = bench.run("SSCAN s 9223372036854775807 COUNT 9223372036854775807").text();
        assert!(text.starts_with("*2 $1 0 "), "any number is a cursor");
    }
}
