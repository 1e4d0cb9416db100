//! `ZSCAN`: walking over the members, some at each call.

use crate::families::generic::{MemberScan, reply_scan, scan_cursor};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, format_double_17};
use tidegate_data::types::zset::exact_integer;
use tidegate_data::{Zset, ZsetRef};

pub(super) static ZSCAN: Command = command("ZSCAN", "key cursor [MATCH pattern] [COUNT count]", zscan)
    .about(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of members of the sorted set.",
        "Walks over the members of a sorted set and their scores, some at each call.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .tips(&["nondeterministic_output"]);

fn zscan(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let cursor = scan_cursor(args.next()?)?;
    let mark = reply.mark();
    let Some(zset) = cx.keys.read_as::<Zset>(key)? else {
        reply_scan(reply, mark, 0, 0);
        return Ok(Outcome::Same);
    };
    let options = MemberScan::options(args)?;
    // Redis keeps an integer as such in its small form, and shows what it keeps.
    let shows_integers = matches!(zset, ZsetRef::Packed(_));
    let mut elements = 0;
    let next = zset.scan(cursor, options.count, &mut |name, score| {
        if options.wants(name) {
            reply.bulk(name);
            // A text in both protocols.
            match exact_integer(score) {
                Some(integer) if shows_integers => reply.bulk_integer(integer),
                _ => reply.bulk(format_double_17(score).as_bytes()),
            }
            elements += 2;
        }
    });
    reply_scan(reply, mark, next, elements);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check};

    #[test]
    fn zscan_walks_over_members() {
        let add = "ZADD k 1 a 2.5 b 3 c";
        check(&[add, "ZSCAN k 0"], "*2 $1 0 *6 $1 a $1 1 $1 b $3 2.5 $1 c $1 3");
        check(&[add, "ZSCAN k 0 MATCH [bc] COUNT 1"], "*2 $1 0 *4 $1 b $3 2.5 $1 c $1 3");
        check(&["ZADD k 1e18 a", "ZSCAN k 0"], "*2 $1 0 *2 $1 a $19 1000000000000000000");
        check(&["ZSCAN k 0 NO SUCH OPTION"], "*2 $1 0 *0");
        check(&["ZSCAN k x"], "-ERR invalid cursor");
        check(&[add, "ZSCAN k 0 COUNT 0"], "-ERR syntax error");
        check(&[add, "ZSCAN k 0 COUNT x"], "-ERR value is not an integer or out of range");
        check(&[add, "ZSCAN k 0 TYPE zset"], "-ERR syntax error");
        check(
            &["SET k v", "ZSCAN k 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn zscan_finds_every_member_of_a_large_one() {
        let mut bench = Bench::default();
        for number in 0..1000 {
            bench.run(&format!("ZADD k {number} member:{number}"));
        }
        let mut cursor = "0".to_owned();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let reply = bench.run(&format!("ZSCAN k {cursor} COUNT 20")).text();
            let words: Vec<&str> = reply.split(' ').collect();
            seen.extend(words.iter().filter(|word| word.starts_with("member")).map(ToString::to_string));
            words[2].clone_into(&mut cursor);
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1000);
    }
}
