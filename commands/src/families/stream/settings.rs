//! What a stream knows besides its entries: `XSETID`, `XCFGSET`, `XIDMPRECORD`.

use super::ids;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::EventClass;
use tidegate_data::types::stream::{Idempotence, IdempotenceLimits, Stream, StreamId};

pub(super) static XSETID: Command = command(
    "XSETID",
    "key last-id [ENTRIESADDED entries_added]@7.0.0 [MAXDELETEDID max_deleted_entry_id]@7.0.0",
    xsetid,
)
.about("5.0.0", "O(1)", "Sets the last ID of a stream; for replication and files.")
.arity(-3)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.history(&[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")]);

fn xsetid(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let last_id = ids::parse_strict(args.next()?, 0)?;
    let (mut added, mut max_deleted_id) = (None, None);
    while !args.is_done() {
        if args.remaining() >= 2 && args.take_word("ENTRIESADDED") {
            let entries = u64::try_from(args.integer()?);
            added = Some(entries.map_err(|_| Error::new("ERR entries_added must be positive"))?);
        } else if args.remaining() >= 2 && args.take_word("MAXDELETEDID") {
            let id = ids::parse_strict(args.next()?, 0)?;
            if last_id < id {
                return Err(Error::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted_id = Some(id);
        } else {
            return Err(Error::Syntax);
        }
    }
    let mut stream = cx.keys.write_as::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let entries = stream.view().entries();
    if entries.last_live_id().is_some_and(|last_live_id| last_id < last_live_id) {
        return Err(Error::new("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if !entries.is_empty() && added.is_some_and(|added| entries.len() > added) {
        return Err(Error::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    // The ID 0-0 says that none was deleted, but does not undo it.
    let max_deleted_id = max_deleted_id.filter(|id: &StreamId| !id.is_zero());
    stream.change_untold().parts_mut().entries.set_counters(last_id, added, max_deleted_id);
    stream.note();
    stream.event(EventClass::Stream, "xsetid");
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static XCFGSET: Command = command(
    "XCFGSET",
    "key [IDMP-DURATION idmp-duration(integer)] [IDMP-MAXSIZE idmp-maxsize(integer)]",
    xcfgset,
)
.about("8.6.0", "O(1)", "Sets for how long, and how many, messages of producers are remembered.")
.arity(-2)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::Fast]);

/// Longest time in seconds for which messages may be remembered.
const DURATION_MAX: u32 = 86_400;
/// Most messages of a producer that may be remembered.
const LEN_MAX: u32 = 10_000;

fn xcfgset(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.is_done() {
        return Err(Error::new("ERR At least one parameter must be specified"));
    }
    let within = |args: &mut Args, max: u32, refused| {
        let value = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
        let value = u32::try_from(value).ok().filter(|value| (1..=max).contains(value));
        value.ok_or(Error::new(refused))
    };
    let (mut duration_s, mut len_max) = (None, None);
    while !args.is_done() {
        if args.remaining() >= 2 && args.take_word("IDMP-DURATION") {
            let refused = "ERR IDMP-DURATION must be between 1 and 86400 seconds";
            duration_s = Some(within(args, DURATION_MAX, refused)?);
        } else if args.remaining() >= 2 && args.take_word("IDMP-MAXSIZE") {
            let refused = "ERR IDMP-MAXSIZE must be between 1 and 10000 entries";
            len_max = Some(within(args, LEN_MAX, refused)?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let mut stream = cx.keys.write_as::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let before = stream.view().idempotence().map(Idempotence::limits);
    let now = before.unwrap_or_default();
    let limits = IdempotenceLimits {
        duration_s: duration_s.unwrap_or(now.duration_s),
        len_max: len_max.unwrap_or(now.len_max),
    };
    reply.ok();
    if before == Some(limits) {
        return Ok(Outcome::Same);
    }
    stream.change_untold().parts_mut().idempotence.get_or_insert_default().set_limits(limits);
    stream.note();
    Ok(Outcome::Changed)
}

pub(super) static XIDMPRECORD: Command =
    command("XIDMPRECORD", "key pid(string) iid(string) stream-id(string)", xidmprecord)
        .about(
            "8.8.0",
            "O(1)",
            "Notes which entry a message of a producer became; for replication and files.",
        )
        .arity(5)
        .keys(KeySpec::first().rw().update())
        .flags(&[Flag::Write, Flag::Fast, Flag::System]);

fn xidmprecord(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (producer, message) = (args.next()?, args.next()?);
    let id = ids::parse_strict(args.next()?, 0)?;
    if producer.is_empty() || message.is_empty() {
        return Err(Error::new("ERR producer ID and idempotent ID must not be empty"));
    }
    let mut stream = cx.keys.write_as::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    if stream.view().entries().get(id).is_none() {
        return Err(Error::new("ERR The specified stream ID was deleted or doesn't exist"));
    }
    // What counts is whether it was forgotten when the entry was added: a replay comes later.
    let added_ms = i64::try_from(id.ms).unwrap_or(i64::MAX);
    let known = stream.view().idempotence().and_then(|known| known.find(producer, message, added_ms));
    match known {
        Some(known) if known == id => {
            reply.ok();
            return Ok(Outcome::Same);
        }
        Some(_) => {
            return Err(Error::new("ERR the idempotent ID is recorded with another stream ID already"));
        }
        None => {}
    }
    stream.change_untold().parts_mut().idempotence.get_or_insert_default().record(producer, message, id);
    stream.note();
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn xsetid_sets_what_it_is_told() {
        check(&["XADD s 1-1 f v", "XSETID s 5-0"], "+OK");
        check(
            &["XADD s 1-1 f v", "XSETID s 5", "XADD s 5-0 f v"],
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        );
        check(
            &["XADD s 1-1 f v", "XSETID s 1-0"],
            "-ERR The ID specified in XSETID is smaller than the target stream top item",
        );
        check(
            &["XADD s 1-1 f v", "XSETID s 1-1 ENTRIESADDED 0"],
            "-ERR The entries_added specified in XSETID is smaller than the target stream length",
        );
        check(
            &["XSETID s 1-1 MAXDELETEDID 2-0"],
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        );
        check(&["XSETID s 1-1 ENTRIESADDED -1"], "-ERR entries_added must be positive");
        check(&["XSETID s 1-1 ENTRIESADDED"], "-ERR syntax error");
        check(&["XSETID s 1-1"], "-ERR no such key");
        check(&["XSETID s x"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["SET s x", "XSETID s 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let line = "XSETID s 5-0 ENTRIESADDED 9 MAXDELETEDID 4-0";
        check_effects(&["XADD s 1-1 f v", line], &[line]);
        check_events(&["XADD s 1-1 f v", line], &["xsetid s"]);
        let mut bench = Bench::default();
        bench.run("XADD s 1-1 f v");
        bench.run(line);
        let info = bench.run("XINFO STREAM s").text();
        assert!(info.contains("$20 max-deleted-entry-id $3 4-0 $13 entries-added :9 "), "{info}");
    }

    #[test]
    fn xcfgset_forgets_messages_only_if_it_changes_something() {
        let add = "XADD s IDMP p 1 * f v";
        check(&["XCFGSET s"], "-ERR At least one parameter must be specified");
        check(&["XCFGSET s IDMP-DURATION 5"], "-ERR no such key");
        check(&["XCFGSET s IDMP-DURATION"], "-ERR syntax error");
        check(&["XCFGSET s IDMP-DURATION 0"], "-ERR IDMP-DURATION must be between 1 and 86400 seconds");
        check(&["XCFGSET s IDMP-MAXSIZE 10001"], "-ERR IDMP-MAXSIZE must be between 1 and 10000 entries");
        check(&["XCFGSET s IDMP-MAXSIZE x"], "-ERR value is not an integer or out of range");
        check(&[add, "XCFGSET s IDMP-DURATION 5 IDMP-MAXSIZE 3"], "+OK");
        check(&[add, "XCFGSET s IDMP-MAXSIZE 100", add, "XLEN s"], ":1");
        check(&[add, "XCFGSET s IDMP-MAXSIZE 10", add, "XLEN s"], ":2");
        check_effects(&[add, "XCFGSET s IDMP-MAXSIZE 100"], &[]);
        check_effects(&[add, "XCFGSET s IDMP-MAXSIZE 10"], &["XCFGSET s IDMP-MAXSIZE 10"]);
    }

    #[test]
    fn xidmprecord_is_what_xadd_with_a_message_is_replayed_as() {
        let mut bench = Bench::default();
        bench.run("XADD s 5-0 f v");
        assert_eq!(bench.run("XIDMPRECORD s p m 5-0").text(), "+OK");
        assert!(bench.run("XIDMPRECORD s p m 5-0").effects.is_empty());
        bench.now_ms = 6;
        assert_eq!(bench.run("XADD s IDMP p m * f v").text(), "$3 5-0");
        bench.run("XADD s 6-0 f v");
        assert!(bench.run("XIDMPRECORD s p m 6-0").text().starts_with("-ERR "));
        check(&["XIDMPRECORD s p m 1-0"], "-ERR no such key");
        check(
            &["XADD s 5-0 f v", "XIDMPRECORD s p m 1-0"],
            "-ERR The specified stream ID was deleted or doesn't exist",
        );
        check(
            &["XADD s 5-0 f v", "XIDMPRECORD s \"\" m 5-0"],
            "-ERR producer ID and idempotent ID must not be empty",
        );
    }
}
