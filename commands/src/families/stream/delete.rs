//! Deleting entries by their IDs: `XDEL`, `XDELEX`, `XACKDEL`.

use super::ids;
use super::trim::References;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::types::stream::{Parts, Stream, StreamId};
use tidegate_data::{EventClass, Write};

pub(super) static XDEL: Command = command("XDEL", "key id [id ...]", xdel)
    .about(
        "5.0.0",
        "O(1) for each entry to delete, regardless of the size of the stream.",
        "Deletes entries from a stream and tells how many there were.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn xdel(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let ids = ids::rest(args)?;
    let entries = &mut stream.change_untold().parts_mut().entries;
    let deleted = ids.into_iter().filter(|id| entries.delete(*id)).count();
    reply.integer(deleted as i64);
    Ok(told(&mut stream, deleted, deleted))
}

/// Tells of deleted entries, and of changes to entries or groups.
fn told(stream: &mut Write<Stream>, deleted: usize, changes: usize) -> Outcome {
    if changes == 0 {
        return Outcome::Same;
    }
    if deleted > 0 {
        stream.touch();
        stream.event(EventClass::Stream, "xdel");
    } else {
        stream.note();
    }
    stream.count_changes(changes as u64 - 1);
    Outcome::Changed
}

pub(super) static XDELEX: Command =
    command("XDELEX", "key [condition: KEEPREF|DELREF|ACKED] IDS <numids(integer) <id [id ...]>>", xdelex)
        .about(
            "8.2.0",
            "O(1) for each entry to delete, regardless of the size of the stream.",
            "Deletes entries from a stream, and what refers to them.",
        )
        .arity(-5)
        .keys(KeySpec::first().rw().delete())
        .flags(&[Flag::Write, Flag::Fast]);

fn xdelex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (references, ids) = references_and_ids(args)?;
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else {
        reply_none(reply, ids.len());
        return Ok(Outcome::Same);
    };
    let parts = stream.change_untold().parts_mut();
    let (mut deleted, mut changes) = (0, 0);
    reply.array(ids.len());
    for id in ids {
        let fate = delete(parts, id, references);
        deleted += usize::from(fate.is_deleted);
        changes += usize::from(fate.is_deleted || fate.was_pending);
        reply.integer(match fate {
            Fate { is_deleted: true, .. } => 1,
            Fate { is_kept: true, .. } => 2,
            _ => -1,
        });
    }
    Ok(told(&mut stream, deleted, changes))
}

pub(super) static XACKDEL: Command = command(
    "XACKDEL",
    "key group [condition: KEEPREF|DELREF|ACKED] IDS <numids(integer) <id [id ...]>>",
    xackdel,
)
.about(
    "8.2.0",
    "O(1) for each entry.",
    "Acknowledges entries in a consumer group and deletes them from the stream.",
)
.arity(-6)
.keys(KeySpec::first().rw().update().delete())
.flags(&[Flag::Write, Flag::Fast]);

fn xackdel(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let group = args.next()?;
    let (references, ids) = references_and_ids(args)?;
    let stream = cx.keys.write_as::<Stream>(key)?;
    let Some(mut stream) = stream.filter(|stream| stream.view().groups().get(group).is_some()) else {
        reply_none(reply, ids.len());
        return Ok(Outcome::Same);
    };
    let parts = stream.change_untold().parts_mut();
    let (mut deleted, mut changes) = (0, 0);
    reply.array(ids.len());
    for id in ids {
        if parts.groups.change(group, |group| group.acknowledge(id)) != Some(true) {
            reply.integer(-1);
            continue;
        }
        let fate = delete(parts, id, references);
        deleted += usize::from(fate.is_deleted);
        changes += 1;
        // An entry that had been deleted before counts as done, too.
        reply.integer(if fate.is_kept { 2 } else { 1 });
    }
    Ok(told(&mut stream, deleted, changes))
}

/// What became of an entry that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fate {
    is_deleted: bool,
    /// It is there, but must not go.
    is_kept: bool,
    /// It was pending somewhere, and is not any more.
    was_pending: bool,
}

fn delete(parts: &mut Parts, id: StreamId, references: References) -> Fate {
    let mut fate = Fate { is_deleted: false, is_kept: false, was_pending: false };
    if references == References::Acknowledged && !parts.groups.all_have_finished(id) {
        fate.is_kept = parts.entries.get(id).is_some();
        return fate;
    }
    fate.is_deleted = parts.entries.delete(id);
    if references == References::Delete {
        fate.was_pending = parts.groups.forget(id);
    }
    fate
}

fn reply_none(reply: &mut Reply, len: usize) {
    reply.array(len);
    (0..len).for_each(|_| reply.integer(-1));
}

/// Reads what becomes of references, and the block of IDs, in any order.
fn references_and_ids(args: &mut Args) -> Result<(References, Vec<StreamId>), Error> {
    let mut references = None;
    let mut ids = None;
    while !args.is_done() {
        let word = args.next()?;
        if let Some(asked) = References::of_word(word) {
            if references.is_some() {
                return Err(Error::Syntax);
            }
            references = Some(asked);
        } else if word.eq_ignore_ascii_case(b"IDS") && ids.is_none() && !args.is_done() {
            ids = Some(block_of_ids(
                args,
                "ERR Number of IDs must be a positive integer",
                "ERR The `numids` parameter must match the number of arguments",
            )?);
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok((references.unwrap_or_default(), ids.ok_or(Error::Syntax)?))
}

/// Reads a number of IDs and so many IDs.
pub(super) fn block_of_ids(
    args: &mut Args,
    not_positive: &'static str,
    too_few: &'static str,
) -> Result<Vec<StreamId>, Error> {
    let len = parse_i64(args.next()?).and_then(|len| usize::try_from(len).ok()).filter(|len| *len > 0);
    let len = len.ok_or(Error::new(not_positive))?;
    if len > args.remaining() {
        return Err(Error::new(too_few));
    }
    (0..len).map(|_| ids::parse_strict(args.next()?, 0)).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const NONE: &str = "-ERR Invalid stream ID specified as stream command argument";

    /// Two entries, both delivered in group `g`, the first also in group `h`.
    fn bench() -> Bench {
        let mut bench = Bench::default();
        for line in [
            "XADD s 1-0 a 1",
            "XADD s 2-0 a 2",
            "XGROUP CREATE s g 0",
            "XGROUP CREATE s h 0",
            "XREADGROUP GROUP g c STREAMS s >",
            "XREADGROUP GROUP h c COUNT 1 STREAMS s >",
        ] {
            bench.run(line);
        }
        bench
    }

    #[test]
    fn xdel() {
        let lines = ["XADD s 1-0 a 1", "XADD s 2-0 a 2", "XDEL s 1-0 1-0 5-0"];
        check(&lines, ":1");
        check(&[lines[0], lines[2], "XLEN s"], ":0");
        check(&["XDEL s 1-0"], ":0");
        check(&["XDEL s x"], ":0");
        check(&[lines[0], "XDEL s 1-0 x"], NONE);
        check(&[lines[0], "XDEL s 1-0 x", "XLEN s"], ":1");
        check(&["SET s x", "XDEL s 1"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check_effects(&lines, &[lines[2]]);
        check_events(&lines, &["xdel s"]);
        check_effects(&[lines[0], "XDEL s 5-0"], &[]);
    }

    #[test]
    fn xdelex_minds_who_refers_to_an_entry() {
        check(&["XDELEX s IDS 2 1-0 2-0"], "*2 :-1 :-1");
        check(&["XADD s 1-0 a 1", "XDELEX s ACKED IDS 2 1-0 2-0"], "*2 :1 :-1");
        assert_eq!(bench().run("XDELEX s ACKED IDS 2 1-0 2-0").text(), "*2 :2 :2");
        let mut kept = bench();
        assert_eq!(kept.run("XDELEX s IDS 1 1-0").text(), "*1 :1");
        assert_eq!(kept.run("XPENDING s h").text(), "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 c $1 1");
        let mut gone = bench();
        let ran = gone.run("XDELEX s IDS 1 1-0 DELREF");
        assert_eq!((ran.text().as_str(), &ran.events[..]), ("*1 :1", &["xdel s".to_owned()][..]));
        assert_eq!(gone.run("XPENDING s h").text(), "*4 :0 $-1 $-1 *-1");
        // References to what is gone go as well, which is a change although nothing was deleted.
        kept.run("XDEL s 2-0");
        let ran = kept.run("XDELEX s DELREF IDS 1 2-0");
        assert_eq!((ran.text().as_str(), ran.effects.len()), ("*1 :-1", 1));
        for line in ["XACK s g 1-0 2-0", "XACK s h 1-0", "XREADGROUP GROUP h c NOACK STREAMS s >"] {
            gone.run(line);
        }
        assert_eq!(gone.run("XDELEX s ACKED IDS 1 2-0").text(), "*1 :1");
    }

    #[test]
    fn xackdel_acknowledges_first() {
        check(&["XACKDEL s g IDS 1 1-0"], "*1 :-1");
        check(&["XADD s 1-0 a 1", "XACKDEL s g IDS 1 1-0"], "*1 :-1");
        let mut bench = bench();
        assert_eq!(bench.run("XACKDEL s g ACKED IDS 2 1-0 2-0").text(), "*2 :2 :2");
        assert_eq!(bench.run("XACKDEL s h ACKED IDS 2 1-0 2-0").text(), "*2 :1 :-1");
        assert_eq!(bench.run("XLEN s").text(), ":1");
        let mut bench = self::bench();
        let ran = bench.run("XACKDEL s g IDS 1 1-0");
        assert_eq!((ran.text().as_str(), &ran.events[..]), ("*1 :1", &["xdel s".to_owned()][..]));
        assert_eq!(bench.run("XPENDING s h").text(), "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 c $1 1");
        assert_eq!(bench.run("XACKDEL s h KEEPREF IDS 1 1-0").text(), "*1 :1", "it was pending");
    }

    #[test]
    fn blocks_of_ids_are_counted() {
        let few = "-ERR The `numids` parameter must match the number of arguments";
        check(&["XDELEX s IDS 3 1-0 2-0"], few);
        check(&["XACKDEL s g IDS 3 1-0 2-0"], few);
        for len in ["0", "-1", "x"] {
            check(&[&format!("XDELEX s IDS {len} 1-0")], "-ERR Number of IDs must be a positive integer");
        }
        check(&["XDELEX s IDS 9223372036854775807 1-0"], few);
        check(&["XDELEX s IDS 1 1-0 2-0"], "-ERR syntax error");
        check(&["XDELEX s KEEPREF ACKED IDS 1 1-0"], "-ERR syntax error");
        check(&["XDELEX s IDS 1 x"], NONE);
        check(
            &["SET s x", "XDELEX s IDS 1 1-0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
