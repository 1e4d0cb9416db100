//! `XREAD`, and the options it shares with `XREADGROUP`.

use super::ids::{self, IdText};
use super::{c_text, reply_entry};
use crate::model::{
    Args, Command, Ctx, Error, FindKeys, Flag, KeyPosition, KeySpec, Null, Outcome, Protocol, Reply, Wait,
    command, deadline_of_millis, parse_i64,
};
use tidegate_data::Key;
use tidegate_data::types::stream::{Stream, StreamId};

pub(super) static XREAD: Command = command(
    "XREAD",
    "[COUNT count] [BLOCK milliseconds] STREAMS <streams: key [key ...] id [id ...]>",
    xread,
)
.about(
    "5.0.0",
    "O(N) for each stream with N being the number of entries returned. With BLOCK, XADD pays O(M) to serve the M \
     clients that wait for the stream.",
    "Returns the entries of one or more streams behind those that were read before. Can wait for them.",
)
.arity(-4)
.keys(KeySpec::after_keyword("STREAMS", 1).find(KEYS_BEFORE_IDS).ro().access())
.key_finder_first(read_keys)
.flags(&[Flag::Blocking, Flag::Readonly]);

/// As many keys as IDs.
pub(super) const KEYS_BEFORE_IDS: FindKeys = FindKeys::Range { last: -1, step: 1, limit: 2 };

/// Entries for one key of a request that had to wait, if it does not say how many.
const COUNT_AFTER_WAITING: usize = 1000;

/// Finds the keys by reading the options: the word `STREAMS` may also be a value.
pub(super) fn read_keys(args: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    let mut at = 1;
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("STREAMS") {
            let rest = args.len() - at - 1;
            if rest.is_multiple_of(2) {
                let flags = KeySpec::first().ro().access().flags;
                (at + 1..=at + rest / 2).for_each(|arg| found(KeyPosition { arg, flags }));
            }
            return;
        }
        at += if is("BLOCK") || is("COUNT") || is("CLAIM") {
            2
        } else if is("GROUP") {
            3
        } else if is("NOACK") {
            1
        } else {
            return;
        };
    }
}

/// Whether to wait where there is nothing to answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Block {
    #[default]
    Never,
    /// Until this Unix time in milliseconds; `None` for ever.
    Until(Option<i64>),
}

/// What is asked of the streams.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReadOptions<'a> {
    /// Most entries per stream; `None` for all.
    pub(super) count: Option<usize>,
    pub(super) block: Block,
    /// The group and the consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) no_ack: bool,
    /// Take over what is pending for so many milliseconds.
    pub(super) claim_ms: Option<i64>,
    /// Number of streams.
    pub(super) streams: usize,
}

impl<'a> ReadOptions<'a> {
    /// Reads them up to the keys, where the arguments stand then.
    pub(super) fn parse(cx: &Ctx, args: &mut Args<'a>, is_group: bool) -> Result<Self, Error> {
        let mut options = ReadOptions::default();
        let mut has_streams = false;
        while !args.is_done() && !has_streams {
            let word = args.next()?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_value = !args.is_done();
            if has_value && is("BLOCK") {
                options.block = Block::Until(deadline_of_millis(args.next()?, cx.env.now_ms())?);
            } else if has_value && is("COUNT") {
                options.count = usize::try_from(args.integer()?).ok().filter(|count| *count > 0);
            } else if has_value && is("STREAMS") {
                if !args.remaining().is_multiple_of(2) {
                    return Err(Error::new(
                        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    ));
                }
                options.streams = args.remaining() / 2;
                has_streams = true;
            } else if args.remaining() >= 2 && is("GROUP") {
                if !is_group {
                    return Err(only_for_groups("GROUP"));
                }
                options.group = Some((args.next()?, args.next()?));
            } else if is("NOACK") {
                if !is_group {
                    return Err(only_for_groups("NOACK"));
                }
                options.no_ack = true;
            } else if has_value && is("CLAIM") {
                if !is_group {
                    return Err(only_for_groups("CLAIM"));
                }
                let idle_ms = parse_i64(args.next()?);
                let idle_ms = idle_ms.ok_or(Error::new("ERR min-idle-time is not an integer"))?;
                if idle_ms < 0 {
                    return Err(Error::new("ERR min-idle-time must be a positive integer"));
                }
                options.claim_ms = Some(idle_ms);
            } else {
                return Err(Error::Syntax);
            }
        }
        if !has_streams {
            return Err(Error::Syntax);
        }
        if is_group && options.group.is_none() {
            return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    /// How many entries a request that waits gets.
    pub(super) fn count_after_waiting(&self) -> usize {
        self.count.unwrap_or(COUNT_AFTER_WAITING)
    }
}

fn only_for_groups(option: &str) -> Error {
    Error::text(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."))
}

/// The stream at a key. Looking it up counts, unless the request has waited: then nobody asked.
pub(super) fn look_up<'k>(cx: &'k mut Ctx, key: Key) -> Result<Option<&'k Stream>, Error> {
    if cx.env.is_retry() {
        Ok(cx.keys.for_write_as::<Stream>(key)?)
    } else {
        Ok(cx.keys.read_as::<Stream>(key)?)
    }
}

/// Begins what is answered for one stream: its name, then the entries.
pub(super) fn begin_stream(reply: &mut Reply, key: Key) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key.bytes());
}

/// Puts the number of streams before what was answered for them.
pub(super) fn count_streams(reply: &mut Reply, mark: usize, streams: usize) {
    reply.before(mark, |reply| match reply.protocol() {
        Protocol::Resp2 => reply.array(streams),
        Protocol::Resp3 => reply.map(streams),
    });
}

fn xread(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let options = ReadOptions::parse(cx, args, false)?;
    let keys: Vec<Key> = args.keys().take(options.streams).collect();
    args.skip(options.streams);
    let mut positions = Vec::with_capacity(keys.len());
    let is_retry = cx.env.is_retry();
    for key in &keys {
        let stream = match look_up(cx, *key) {
            // Who waits goes on waiting for a stream.
            Err(Error::WrongType) if is_retry => None,
            stream => stream?,
        };
        positions.push(position(stream, args.next()?)?);
    }
    let mark = reply.mark();
    let mut streams = 0;
    for (key, after) in keys.iter().zip(&positions) {
        let Ok(Some(stream)) = look_up(cx, *key) else { continue };
        let entries = stream.entries();
        // Redis looks at the last ID only when it serves somebody who waits, which shows where entries were deleted.
        let last = if is_retry { Some(entries.last_id()) } else { entries.last_live_id() };
        let Some(start) = after.successor().filter(|_| last > Some(*after)) else { continue };
        streams += 1;
        begin_stream(reply, *key);
        let mark = reply.mark();
        let mut len = 0;
        for entry in entries.range(start, StreamId::MAX).take(options.count.unwrap_or(usize::MAX)) {
            reply_entry(reply, entry);
            len += 1;
        }
        reply.before(mark, |reply| reply.array(len));
    }
    if streams > 0 {
        count_streams(reply, mark, streams);
        return Ok(Outcome::Same);
    }
    let Block::Until(deadline_ms) = options.block else {
        reply.null_array();
        return Ok(Outcome::Same);
    };
    let count = options.count_after_waiting().to_string();
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for (key, after) in keys.iter().zip(&positions) {
        let after = IdText::of(*after);
        let command: [&[u8]; 8] =
            [b"XREAD", b"COUNT", count.as_bytes(), b"BLOCK", b"0", b"STREAMS", key.bytes(), after.as_bytes()];
        wait.on(*key, &command);
    }
    Ok(wait.into())
}

/// The ID behind which is read.
fn position(stream: Option<&Stream>, id: &[u8]) -> Result<StreamId, Error> {
    match c_text(id) {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.entries().last_id())),
        // From before the last entry, so that there is something to read unless there is no entry at all.
        b"+" => {
            let last = stream.and_then(|stream| stream.entries().last_live_id());
            Ok(last.and_then(StreamId::predecessor).unwrap_or(StreamId::MIN))
        }
        b">" => Err(Error::new(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => ids::parse_strict(id, 0),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_lookups, check_retry, check_waits};

    const TWO: [&str; 2] = ["XADD s 1-0 a 1", "XADD s 2-0 a 2"];

    #[test]
    fn entries_behind_an_id() {
        let after = |last: &'static str, reply: &str| check(&[TWO[0], TWO[1], last], reply);
        after("XREAD STREAMS s 0", "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2");
        after("XREAD COUNT 1 STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1");
        after("XREAD STREAMS s 1-0", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2");
        after("XREAD STREAMS none s 0 1-0", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2");
        after("XREAD STREAMS s 2-0", "*-1");
        after("XREAD STREAMS s $", "*-1");
        after("XREAD STREAMS s +", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2");
        after("XREAD STREAMS s 18446744073709551615-18446744073709551615", "*-1");
        check(&["XREAD STREAMS s +"], "*-1");
        check_effects(&[TWO[0], "XREAD STREAMS s 0"], &[]);
        // Redis looks each stream up twice.
        check_lookups(&[TWO[0], "XREAD STREAMS s none 0 0"], 2, 2);
        let mut bench = Bench::resp3();
        bench.run(TWO[0]);
        assert_eq!(bench.run("XREAD STREAMS s 0").text(), "%1 $1 s *1 *2 $3 1-0 *2 $1 a $1 1");
        assert_eq!(bench.run("XREAD STREAMS s 1").text(), "_");
    }

    #[test]
    fn refused() {
        let unbalanced =
            "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
        check(&["XREAD STREAMS s t 0"], unbalanced);
        check(&["XREAD COUNT x STREAMS s 0"], "-ERR value is not an integer or out of range");
        check(&["XREAD BLOCK -1 STREAMS s 0"], "-ERR timeout is negative");
        check(&["XREAD BLOCK x STREAMS s 0"], "-ERR timeout is not an integer or out of range");
        check(&["XREAD COUNT 1 s 0"], "-ERR syntax error");
        check(&["XREAD COUNT 1 COUNT 2"], "-ERR syntax error");
        check(&["XREAD STREAMS s x"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["SET s x", "XREAD STREAMS s 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            &["XREAD STREAMS s >"],
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        );
        for (option, line) in [
            ("GROUP", "XREAD GROUP g c STREAMS s 0"),
            ("NOACK", "XREAD NOACK STREAMS s 0"),
            ("CLAIM", "XREAD CLAIM 5 STREAMS s 0"),
        ] {
            let text = format!(
                "-ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            );
            check(&[line], &text);
        }
    }

    #[test]
    fn waiting_goes_on_where_it_began() {
        let now = &[TWO[0], "XREAD BLOCK 50 STREAMS none s $ $"];
        check_waits(
            now,
            &["XREAD COUNT 1000 BLOCK 0 STREAMS none 0-0", "XREAD COUNT 1000 BLOCK 0 STREAMS s 1-0"],
            Some(50),
        );
        check_waits(&["XREAD COUNT 3 BLOCK 0 STREAMS s 5"], &["XREAD COUNT 3 BLOCK 0 STREAMS s 5-0"], None);
        check(now, "*-1");
        let retry = "XREAD COUNT 1000 BLOCK 0 STREAMS s 1-0";
        check_retry(&[TWO[0], retry], "wait");
        check_retry(&[TWO[0], TWO[1], retry], "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2");
        check_retry(&["SET s x", retry], "wait");
        // Who waits is served by the last ID, whether its entry is still there or not.
        check_retry(&[TWO[0], TWO[1], "XDEL s 2-0", retry], "*1 *2 $1 s *0");
        check(&[TWO[0], TWO[1], "XDEL s 2-0", "XREAD STREAMS s 1-0"], "*-1");
    }
}
