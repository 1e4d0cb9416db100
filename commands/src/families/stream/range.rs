//! Looking at entries by their IDs: `XLEN`, `XRANGE`, `XREVRANGE`.

use super::{ids, reply_entry};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::stream::{Entry, Stream};

pub(super) static XLEN: Command = command("XLEN", "key", xlen)
    .about("5.0.0", "O(1)", "Tells the number of entries of a stream.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn xlen(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let stream = cx.keys.read_as::<Stream>(args.key()?)?;
    reply.integer(stream.map_or(0, |stream| stream.entries().len() as i64));
    Ok(Outcome::Same)
}

pub(super) static XRANGE: Command =
    command("XRANGE", "key start(string) end(string) [COUNT count]", |cx, args, reply| {
        range(cx, args, reply, Order::Ascending)
    })
    .about(
        "5.0.0",
        "O(N) with N being the number of entries returned",
        "Returns the entries of a stream within a range of IDs.",
    )
    .arity(-4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .history(&[("6.2.0", "Added exclusive ranges.")]);

pub(super) static XREVRANGE: Command =
    command("XREVRANGE", "key end(string) start(string) [COUNT count]", |cx, args, reply| {
        range(cx, args, reply, Order::Descending)
    })
    .about(
        "5.0.0",
        "O(N) with N being the number of entries returned",
        "Returns the entries of a stream within a range of IDs, the last one first.",
    )
    .arity(-4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .history(&[("6.2.0", "Added exclusive ranges.")]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

fn range(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, order: Order) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (first, second) = (args.next()?, args.next()?);
    let (start, end) = if order == Order::Ascending { (first, second) } else { (second, first) };
    let start = ids::interval_start(start)?;
    let end = ids::interval_end(end)?;
    let mut count = None;
    while !args.is_done() {
        if args.remaining() < 2 || !args.take_word("COUNT") {
            return Err(Error::Syntax);
        }
        // A negative count is no entry at all.
        count = Some(usize::try_from(args.integer()?).unwrap_or(0));
    }
    let Some(stream) = cx.keys.read_as::<Stream>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    match (count, order) {
        (Some(0), _) => reply.null_array(),
        (_, Order::Ascending) => reply_entries(reply, stream.entries().range(start, end), count),
        (_, Order::Descending) => reply_entries(reply, stream.entries().range_backwards(start, end), count),
    }
    Ok(Outcome::Same)
}

/// Answers an array of entries, at most `count` of them.
pub(super) fn reply_entries<'a>(
    reply: &mut Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    count: Option<usize>,
) {
    let mark = reply.mark();
    let mut len = 0;
    for entry in entries.take(count.unwrap_or(usize::MAX)) {
        reply_entry(reply, entry);
        len += 1;
    }
    reply.before(mark, |reply| reply.array(len));
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_lookups};

    const THREE: [&str; 3] = ["XADD s 1-1 a 1", "XADD s 1-2 a x b 2", "XADD s 3-0 a 3"];

    #[test]
    fn xlen() {
        check(&["XLEN s"], ":0");
        check(&[THREE[0], THREE[1], "XLEN s"], ":2");
        check(&["SET s x", "XLEN s"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn ranges_in_both_directions() {
        let after = |last: &'static str, reply: &str| check(&[THREE[0], THREE[1], THREE[2], last], reply);
        let (one, two, three) =
            ("*2 $3 1-1 *2 $1 a $1 1", "*2 $3 1-2 *4 $1 a $1 x $1 b $1 2", "*2 $3 3-0 *2 $1 a $1 3");
        after("XRANGE s - +", &format!("*3 {one} {two} {three}"));
        after("XREVRANGE s + -", &format!("*3 {three} {two} {one}"));
        after("XRANGE s - + COUNT 1", &format!("*1 {one}"));
        after("XREVRANGE s + - COUNT 1", &format!("*1 {three}"));
        after("XRANGE s 1 1", &format!("*2 {one} {two}"));
        after("XRANGE s (1-1 (3-0", &format!("*1 {two}"));
        after("XREVRANGE s (3-0 (1-1", &format!("*1 {two}"));
        after("XRANGE s + -", "*0");
        after("XRANGE s - + COUNT 0", "*-1");
        after("XRANGE s - + COUNT -1", "*-1");
        check(&["XRANGE s - +"], "*0");
        check(&["XRANGE s - + COUNT 0"], "*0");
        check_effects(&[THREE[0], "XRANGE s - +"], &[]);
        check_lookups(&[THREE[0], "XRANGE s - +"], 1, 0);
    }

    #[test]
    fn refused() {
        check(&["XRANGE s - + COUNT"], "-ERR syntax error");
        check(&["XRANGE s - + LIMIT 1"], "-ERR syntax error");
        check(&["XRANGE s - + COUNT x"], "-ERR value is not an integer or out of range");
        check(&["XRANGE s x +"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XREVRANGE s x -"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XRANGE s - (0-0"], "-ERR invalid end ID for the interval");
        check(
            &["XRANGE s (18446744073709551615-18446744073709551615 +"],
            "-ERR invalid start ID for the interval",
        );
        check(
            &["SET s x", "XRANGE s - +"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
