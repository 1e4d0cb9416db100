//! What is pending in a group: `XACK`, `XNACK`, `XPENDING`.

use super::delete::block_of_ids;
use super::ids;
use super::{c_text, no_such_key_or_group, reply_id};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::stream::{Group, Pending, Stream, StreamId};

pub(super) static XACK: Command = command("XACK", "key group id [id ...]", xack)
    .about(
        "5.0.0",
        "O(1) for each entry.",
        "Acknowledges entries: they are not pending any more. Tells how many were.",
    )
    .arity(-4)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write, Flag::Fast]);

fn xack(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let group = args.next()?;
    let stream = cx.keys.read_as::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.groups().get(group).is_none()) {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    let ids = ids::rest(args)?;
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else { return Err(Error::NoSuchKey) };
    let groups = &mut stream.change_untold().parts_mut().groups;
    let acknowledged =
        groups.change(group, |group| ids.into_iter().filter(|id| group.acknowledge(*id)).count());
    let acknowledged = acknowledged.unwrap_or(0) as u64;
    reply.integer(acknowledged as i64);
    if acknowledged == 0 {
        return Ok(Outcome::Same);
    }
    stream.note();
    stream.count_changes(acknowledged - 1);
    Ok(Outcome::Changed)
}

pub(super) static XNACK: Command = command(
    "XNACK",
    "key group <mode: SILENT|FAIL|FATAL> IDS <numids(integer) <id [id ...]>> [RETRYCOUNT count] [FORCE]",
    xnack,
)
.about(
    "8.8.0",
    "O(1) for each entry.",
    "Gives pending entries back to their group, for other consumers to claim at once.",
)
.arity(-7)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::Fast]);

/// What giving an entry back means for the number of its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// This one does not count.
    Silent,
    /// It counts.
    Fail,
    /// There should be no other.
    Fatal,
}

/// More deliveries than this cannot be told.
const DELIVERIES_MAX: u64 = i64::MAX as u64;

fn xnack(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let group = args.next()?;
    let stream = cx.keys.for_write_as::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.groups().get(group).is_none()) {
        return Err(no_such_key_or_group(key, group, ""));
    }
    let options = NackOptions::parse(args)?;
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else { return Err(Error::NoSuchKey) };
    let parts = stream.change_untold().parts_mut();
    let entries = &parts.entries;
    let released = parts.groups.change(group, |group| {
        let release = |id: &&StreamId| {
            let pending = group.get_pending(**id);
            if pending.is_none() && !(options.force && entries.get(**id).is_some()) {
                return false;
            }
            let before = pending.map_or(0, |pending| pending.deliveries);
            let deliveries = match (options.deliveries, options.mode) {
                (Some(deliveries), _) => deliveries,
                (None, Mode::Silent) => before.saturating_sub(1),
                (None, Mode::Fail) => before,
                (None, Mode::Fatal) => DELIVERIES_MAX,
            };
            group.release(**id, deliveries);
            true
        };
        options.ids.iter().filter(release).count()
    });
    let released = released.unwrap_or(0) as u64;
    reply.integer(released as i64);
    if released == 0 {
        return Ok(Outcome::Same);
    }
    stream.note();
    stream.wake();
    stream.count_changes(released - 1);
    Ok(Outcome::Changed)
}

#[derive(Debug)]
struct NackOptions {
    mode: Mode,
    ids: Vec<StreamId>,
    deliveries: Option<u64>,
    force: bool,
}

impl NackOptions {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        let mode = args.next()?;
        let is = |name: &str| mode.eq_ignore_ascii_case(name.as_bytes());
        let mode = if is("SILENT") {
            Mode::Silent
        } else if is("FAIL") {
            Mode::Fail
        } else if is("FATAL") {
            Mode::Fatal
        } else {
            return Err(Error::new("ERR mode must be SILENT, FAIL, or FATAL"));
        };
        let mut options = NackOptions { mode, ids: Vec::new(), deliveries: None, force: false };
        while !args.is_done() {
            if args.take_word("FORCE") {
                options.force = true;
            } else if options.ids.is_empty() && args.remaining() >= 2 && args.take_word("IDS") {
                options.ids = block_of_ids(
                    args,
                    "ERR numids must be a positive integer",
                    "ERR number of IDs doesn't match numids",
                )?;
            } else if args.remaining() >= 2 && args.take_word("RETRYCOUNT") {
                let deliveries = u64::try_from(args.integer()?);
                let negative = |_| Error::new("ERR Invalid RETRYCOUNT value, must be >= 0");
                options.deliveries = Some(deliveries.map_err(negative)?);
            } else {
                let mut text = b"ERR Unrecognized XNACK option '".to_vec();
                text.extend_from_slice(c_text(args.next()?));
                text.push(b'\'');
                return Err(Error::text(text));
            }
        }
        if options.ids.is_empty() {
            return Err(Error::new("ERR syntax error, expected IDS keyword"));
        }
        Ok(options)
    }
}

pub(super) static XPENDING: Command = command(
    "XPENDING",
    "key group [filters: [IDLE min-idle-time(integer)]@6.2.0 start(string) end(string) count [consumer]]",
    xpending,
)
.about(
    "5.0.0",
    "O(N) with N being the number of entries returned, and of those passed over with IDLE; the summary is O(1) \
     for each consumer.",
    "Tells what is pending in a consumer group: delivered, but not acknowledged.",
)
.arity(-3)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.tips(&["nondeterministic_output"])
.history(&[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")]);

/// Which pending entries are listed.
#[derive(Debug, Clone, Copy)]
struct Filters<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filters<'a> {
    /// Reads them; whatever follows the consumer is not looked at, as in Redis.
    fn parse(args: &mut Args<'a>) -> Result<Option<Self>, Error> {
        let all = args.remaining();
        if all == 0 {
            return Ok(None);
        }
        if !(3..=6).contains(&all) {
            return Err(Error::Syntax);
        }
        let mut idle_ms = 0;
        if args.take_word("IDLE") {
            idle_ms = args.integer()?;
            if all < 5 {
                return Err(Error::Syntax);
            }
        }
        let (start, end) = (args.next()?, args.next()?);
        let count = usize::try_from(args.integer()?).unwrap_or(0);
        let start = ids::interval_start(start)?;
        let end = ids::interval_end(end)?;
        let consumer = args.rest().next();
        Ok(Some(Filters { idle_ms, start, end, count, consumer }))
    }
}

fn xpending(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let name = args.next()?;
    let filters = Filters::parse(args)?;
    let stream = cx.keys.read_as::<Stream>(key)?;
    let group = stream.and_then(|stream| stream.groups().get(name));
    let group = group.ok_or_else(|| no_such_key_or_group(key, name, ""))?;
    match filters {
        Some(filters) => list(reply, group, filters, cx.env.now_ms()),
        None => summary(reply, group),
    }
    Ok(Outcome::Same)
}

fn summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let with_pending = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    reply.array(with_pending().count());
    for (_, consumer) in with_pending() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}

fn list(reply: &mut Reply, group: &Group, filters: Filters, now_ms: i64) {
    let is_idle = |pending: &Pending| filters.idle_ms == 0 || pending.is_idle_for(filters.idle_ms, now_ms);
    let mark = reply.mark();
    let mut len = 0;
    let mut write = |id: StreamId, pending: Pending| {
        if is_idle(&pending) {
            reply_pending(reply, group, id, pending, now_ms);
            len += 1;
        }
        len < filters.count
    };
    let ids = |id: &StreamId| *id <= filters.end;
    if filters.count == 0 {
        // Nothing is looked at.
    } else if let Some(name) = filters.consumer {
        let consumer = group.find_consumer(name).map(|consumer| group.consumer(consumer));
        let mut found =
            consumer.into_iter().flat_map(|consumer| consumer.pending(filters.start)).take_while(ids);
        while let Some((id, pending)) = found.next().and_then(|id| Some((id, group.get_pending(id)?)))
            && write(id, pending)
        {}
    } else {
        let mut found = group.pending_from(filters.start).take_while(|(id, _)| ids(id));
        while let Some((id, pending)) = found.next()
            && write(*id, *pending)
        {}
    }
    reply.before(mark, |reply| reply.array(len));
}

fn reply_pending(reply: &mut Reply, group: &Group, id: StreamId, pending: Pending, now_ms: i64) {
    reply.array(4);
    reply_id(reply, id);
    reply.bulk(pending.owner().map_or(b"", |owner| group.consumer(owner).name()));
    // What was given back waits for nobody.
    reply.integer(match pending.owner() {
        Some(_) => now_ms.saturating_sub(pending.delivered_ms()).max(0),
        None => -1,
    });
    reply.integer(pending.deliveries.min(DELIVERIES_MAX) as i64);
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    /// Three entries, two delivered to consumer `c`, one to `d` 10 ms later.
    fn bench() -> Bench {
        let mut bench = Bench::default();
        for line in ["XADD s 1-0 a 1", "XADD s 2-0 a 2", "XADD s 3-0 a 3", "XGROUP CREATE s g 0"] {
            bench.run(line);
        }
        bench.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
        bench.now_ms += 10;
        bench.run("XREADGROUP GROUP g d STREAMS s >");
        bench
    }

    #[test]
    fn xack() {
        let mut bench = bench();
        let ran = bench.run("XACK s g 1-0 1-0 9-0 3-0");
        assert_eq!((ran.text().as_str(), ran.effects.len(), ran.events.len()), (":2", 1, 0));
        assert!(bench.run("XACK s g 1-0").effects.is_empty());
        assert_eq!(bench.run("XPENDING s g").text(), "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 c $1 1");
        check(&["XACK s g 1-0"], ":0");
        check(&["XACK s g x"], ":0");
        check(&["XADD s 1 f v", "XACK s g x"], ":0");
        check(
            &["XADD s 1 f v", "XGROUP CREATE s g 0", "XACK s g 1 x"],
            "-ERR Invalid stream ID specified as stream command argument",
        );
        check(
            &["SET s x", "XACK s g 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check_effects(&["XADD s 1 f v", "XGROUP CREATE s g 0", "XACK s g 1"], &[]);
        check_events(&["XACK s g 1-0"], &["keymiss s"]);
    }

    #[test]
    fn xpending_tells_who_has_what() {
        let mut bench = bench();
        let (one, two, three) = ("*4 $3 1-0 $1 c :10 :1", "*4 $3 2-0 $1 c :10 :1", "*4 $3 3-0 $1 d :0 :1");
        let mut is = |line: &str, reply: String| assert_eq!(bench.run(line).text(), reply, "{line}");
        is("XPENDING s g", "*4 :3 $3 1-0 $3 3-0 *2 *2 $1 c $1 2 *2 $1 d $1 1".into());
        is("XPENDING s g - + 10", format!("*3 {one} {two} {three}"));
        is("XPENDING s g (1-0 + 1", format!("*1 {two}"));
        is("XPENDING s g - (3-0 10 d", "*0".into());
        is("XPENDING s g - + 10 d", format!("*1 {three}"));
        is("XPENDING s g - + 10 nobody", "*0".into());
        is("XPENDING s g IDLE 5 - + 10", format!("*2 {one} {two}"));
        is("XPENDING s g idle 5 - + 1 c", format!("*1 {one}"));
        is("XPENDING s g - + 0", "*0".into());
        is("XPENDING s g - + -5", "*0".into());
        is("XPENDING s g - + 10 c and more", format!("*2 {one} {two}"));
        check(&["XADD s 1 f v", "XGROUP CREATE s g 0", "XPENDING s g"], "*4 :0 $-1 $-1 *-1");
        let none = "-NOGROUP No such key 's' or consumer group 'g'";
        check(&["XPENDING s g"], none);
        check(&["XADD s 1 f v", "XPENDING s g - + 10"], none);
        check(&["XPENDING s g -"], "-ERR syntax error");
        check(&["XPENDING s g IDLE 5 - +"], "-ERR syntax error");
        check(&["XPENDING s g IDLE x - + 10"], "-ERR value is not an integer or out of range");
        check(&["XPENDING s g - + x"], "-ERR value is not an integer or out of range");
        check(&["XPENDING s g x + 10"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["SET s x", "XPENDING s g"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn xnack_gives_entries_back() {
        let mut bench = bench();
        let all = "XPENDING s g - + 10";
        assert_eq!(bench.run("XNACK s g SILENT IDS 2 1-0 9-0").text(), ":1");
        assert_eq!(bench.run("XNACK s g FAIL IDS 1 2-0").text(), ":1");
        assert_eq!(bench.run("XNACK s g FATAL IDS 1 3-0").text(), ":1");
        let max = i64::MAX;
        assert_eq!(
            bench.run(all).text(),
            format!("*3 *4 $3 1-0 $0  :-1 :0 *4 $3 2-0 $0  :-1 :1 *4 $3 3-0 $0  :-1 :{max}")
        );
        assert_eq!(
            bench.run("XNACK s g RETRYCOUNT 5 IDS 1 3-0").text(),
            "-ERR mode must be SILENT, FAIL, or FATAL"
        );
        assert_eq!(bench.run("XNACK s g FAIL RETRYCOUNT 5 IDS 1 3-0").text(), ":1");
        assert!(bench.run(all).text().ends_with("*4 $3 3-0 $0  :-1 :5"));
        // However long an entry has to be idle: one that nobody has is.
        assert!(bench.run("XPENDING s g IDLE 99999999 - + 10").text().starts_with("*3 "));
        assert_eq!(bench.run("XCLAIM s g e 99999999 1-0 JUSTID").text(), "*1 $3 1-0");
        let info = bench.run("XINFO STREAM s FULL").text();
        assert!(info.contains("$9 pel-count :3 $12 nacked-count :2 "), "{info}");
        let lines = ["XADD s 1 f v", "XGROUP CREATE s g 0"];
        let force = "XNACK s g FAIL IDS 2 1-0 2-0 FORCE";
        check(&[lines[0], lines[1], force], ":1");
        check_effects(&[lines[0], lines[1], force], &[force]);
        check_effects(&[lines[0], lines[1], "XNACK s g FAIL IDS 1 1-0"], &[]);
    }

    #[test]
    fn xnack_refuses() {
        check(&["XNACK s g FAIL IDS 1 1-0"], "-NOGROUP No such key 's' or consumer group 'g'");
        let after = |last: &'static str, reply: &str| {
            check(&["XADD s 1 f v", "XGROUP CREATE s g 0", last], reply);
        };
        after("XNACK s g FAIL FATAL IDS 1 1-0", "-ERR Unrecognized XNACK option 'FATAL'");
        after("XNACK s g FAIL IDS 1 1-0 2-0", "-ERR Unrecognized XNACK option '2-0'");
        after("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT", "-ERR Unrecognized XNACK option 'RETRYCOUNT'");
        after("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT -1", "-ERR Invalid RETRYCOUNT value, must be >= 0");
        after("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT x", "-ERR value is not an integer or out of range");
        after("XNACK s g FAIL IDS 0 1-0", "-ERR numids must be a positive integer");
        after("XNACK s g FAIL IDS 2 1-0", "-ERR number of IDs doesn't match numids");
        after("XNACK s g SILENT FORCE RETRYCOUNT 5", "-ERR syntax error, expected IDS keyword");
    }
}
