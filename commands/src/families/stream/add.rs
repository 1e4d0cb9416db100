//! `XADD`.

use super::ids::{IdText, NewId};
use super::reply_id;
use super::trim::{For, Options};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Limits, Outcome, Reply, command};
use tidegate_data::types::stream::{Entries, Exactness, NODE_SIZE_MAX, NodeLimits, Stream, StreamId};
use tidegate_data::{EventClass, Key};
use xxhash_rust::xxh3::xxh3_128;

pub(super) static XADD: Command = command(
    "XADD",
    "key [NOMKSTREAM]@6.2.0 [EXPECT expected-id(string)]@1.0.0 [condition: KEEPREF|DELREF|ACKED]@8.2.0 \
     [idmp: IDMPAUTO producer-id(string)|<idmp_manual: IDMP <producer-id(string) idempotent-id(string)>>]@8.6.0 \
     [trim: <strategy: MAXLEN|MINID@6.2.0> [operator: equal:=|approximately:~] threshold [LIMIT count]@6.2.0] \
     <id_or_auto: auto_id:*|id> field value [field value ...]",
    xadd,
)
.about(
    "5.0.0",
    "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
    "Adds an entry to a stream, creating it when missing.",
)
.arity(-5)
.keys(KeySpec::first().rw().update().notes("UPDATE instead of INSERT because of the optional trimming feature"))
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.tips(&["nondeterministic_output"])
.history(&[
    ("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."),
    ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
    ("8.2.0", "Added the `KEEPREF`, `DELREF` and `ACKED` options."),
    ("8.6.0", "Added the `IDMP` and `IDMPAUTO` options."),
]);

const NOT_GREATER: Error =
    Error::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");

fn xadd(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let limits = cx.env.limits();
    let options = Options::parse(args, limits, For::Add)?;
    let (first, words) = (args.index(), args.remaining());
    let Some(new_id) = options.id.filter(|_| words >= 2 && words.is_multiple_of(2)) else {
        return Err(Error::Arity("xadd".into()));
    };
    if new_id == NewId::Given(StreamId::MIN) {
        return Err(Error::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    if options.message.is_some() && new_id != NewId::Auto {
        return Err(Error::new("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"));
    }
    if options.never_creates && cx.keys.for_write_as::<Stream>(key)?.is_none() {
        reply.null();
        return Ok(Outcome::Same);
    }
    let fields = &*args;
    let pair = |i: usize| (fields.get(first + 2 * i), fields.get(first + 2 * i + 1));
    let len = words / 2;
    let is_unnamed = options.message.is_some_and(|message| message.name.is_none());
    let content = if is_unnamed { content_of(len, pair) } else { [0; 16] };
    let message = options.message.map(|message| (message.producer, message.name.unwrap_or(&content)));

    let mut stream = cx.keys.write_or_create::<Stream>(key)?;
    if let Some((producer, name)) = message
        && let Some(known) = stream.view().idempotence()
        && let Some(id) = known.find(producer, name, cx.env.now_ms())
    {
        known.count_duplicate();
        reply_id(reply, id);
        return Ok(Outcome::Same);
    }
    if let Some(expected) = options.expected {
        let last_id = stream.view().entries().last_id();
        if last_id != expected {
            return Err(Error::text(format!("WRONGVERSION expected last id {expected}, is {last_id}")));
        }
    }
    let id = next_id(stream.view().entries(), new_id, || cx.env.now_ms())?;
    let size: usize = (0..len).map(pair).map(|(name, value)| name.len() + value.len()).sum();
    if size > NODE_SIZE_MAX {
        return Err(Error::new("ERR Elements are too large to be stored"));
    }
    stream.change().parts_mut().entries.add(id, node_limits(limits), len, pair);
    reply_id(reply, id);
    stream.event(EventClass::Stream, "xadd");
    if let Some((producer, name)) = message {
        let known = stream.change().parts_mut().idempotence.get_or_insert_default();
        known.record(producer, name, id);
    }
    if let Some(trim) = options.trim
        && trim.apply(stream.change().parts_mut()) > 0
    {
        stream.event(EventClass::Stream, "xtrim");
    }
    let is_exact = options.trim.is_none_or(|trim| trim.exactness == Exactness::Exact);
    if matches!(new_id, NewId::Given(_)) && is_exact && options.expected.is_none() {
        return Ok(Outcome::Changed);
    }
    let fields = (0..words).map(|i| fields.get(first + i));
    let effects = || Outcome::ChangedAs(effects(key, stream.view(), &options, message, id, fields));
    Ok(cx.env.changed_as(effects))
}

/// The same with the ID that was made, and trimmed exactly to what is there.
fn effects<'a>(
    key: Key,
    stream: &Stream,
    options: &Options,
    message: Option<(&[u8], &[u8])>,
    id: StreamId,
    fields: impl Iterator<Item = &'a [u8]>,
) -> Effects {
    let mut effects = Effects::default();
    let id = IdText::of(id);
    // A message is remembered before its entry may be trimmed.
    let trim = options.trim.filter(|_| message.is_none());
    let trim_words = trim.map(|trim| trim.exact_words(stream)).unwrap_or_default();
    let mut command: Vec<&[u8]> = Vec::with_capacity(trim_words.len() + fields.size_hint().0 + 3);
    command.extend([&b"XADD"[..], key.bytes()]);
    command.extend(trim_words.iter().map(Vec::as_slice));
    command.push(id.as_bytes());
    fields.for_each(|field| command.push(field));
    effects.push(&command);
    if let Some((producer, name)) = message {
        effects.push(&[b"XIDMPRECORD", key.bytes(), producer, name, id.as_bytes()]);
        if let Some(trim) = options.trim {
            trim.push_as_command(&mut effects, key, stream);
        }
    }
    effects
}

/// The ID of the next entry, which must be greater than all before.
pub(super) fn next_id(
    entries: &Entries,
    new_id: NewId,
    now_ms: impl FnOnce() -> i64,
) -> Result<StreamId, Error> {
    let last = entries.last_id();
    let Some(successor) = last.successor() else {
        return Err(Error::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    };
    let id = match new_id {
        NewId::Auto => {
            let now_ms = u64::try_from(now_ms()).unwrap_or(0);
            if now_ms > last.ms { StreamId::new(now_ms, 0) } else { successor }
        }
        // The time is given: a full millisecond does not run over into the next.
        NewId::AutoSeq(ms) if ms == last.ms && successor.ms != ms => return Err(NOT_GREATER),
        NewId::AutoSeq(ms) if ms == last.ms => successor,
        NewId::AutoSeq(ms) => StreamId::new(ms, 0),
        NewId::Given(id) => id,
    };
    if id > last { Ok(id) } else { Err(NOT_GREATER) }
}

pub(super) fn node_limits(limits: &Limits) -> NodeLimits {
    NodeLimits {
        bytes_max: limits.encodings.stream_node_max_bytes,
        entries_max: limits.encodings.stream_node_max_entries,
    }
}

/// What names a message by its content, in whatever order its fields come.
fn content_of<'p>(len: usize, pair: impl Fn(usize) -> (&'p [u8], &'p [u8])) -> [u8; 16] {
    let mut text = Vec::new();
    let mut sum = 0_u128;
    for (name, value) in (0..len).map(pair) {
        text.clear();
        text.extend_from_slice(&(name.len() as u64).to_le_bytes());
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        sum = sum.wrapping_add(xxh3_128(&text));
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

    const SMALLER: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";

    #[test]
    fn ids() {
        check(&["XADD s 5-3 f v"], "$3 5-3");
        check(&["XADD s 5 f v"], "$3 5-0");
        check(&["XADD s * f v"], &format!("$15 {START_MS}-0"));
        check(&["XADD s * f v", "XADD s * f v"], &format!("$15 {START_MS}-1"));
        check(&["XADD s 99999999999999-7 f v", "XADD s * f v"], "$16 99999999999999-8");
        check(&["XADD s 5-3 f v", "XADD s 5-* f v"], "$3 5-4");
        check(&["XADD s 5-3 f v", "XADD s 6-* f v"], "$3 6-0");
        check(&["XADD s 0-* f v"], "$3 0-1");
        check(&["XADD s 5-3 f v", "XADD s 5-3 f v"], SMALLER);
        check(&["XADD s 5-3 f v", "XADD s 4-* f v"], SMALLER);
        check(&["XADD s 5-18446744073709551615 f v", "XADD s 5-* f v"], SMALLER);
        let last = "XADD s 18446744073709551615-18446744073709551615 f v";
        check(
            &[last, "XADD s * f v"],
            "-ERR The stream has exhausted the last possible ID, unable to add more items",
        );
        check(&["XADD s 0-0 f v"], "-ERR The ID specified in XADD must be greater than 0-0");
        check(&["XADD s 0-0 f v", "EXISTS s"], ":0");
    }

    #[test]
    fn effects_name_the_id() {
        check_effects(&["XADD s 5-3 f v"], &["XADD s 5-3 f v"]);
        check_effects(&["XADD s MAXLEN 5 5-3 f v"], &["XADD s MAXLEN 5 5-3 f v"]);
        check_effects(&["XADD s NOMKSTREAM 5-3 f v"], &[]);
        check_effects(&["XADD s * f v g w"], &[&format!("XADD s {START_MS}-0 f v g w")]);
        check_effects(&["XADD s 5-3 f v", "XADD s NOMKSTREAM 5-* f v"], &["XADD s 5-4 f v"]);
        check_effects(&["XADD s MAXLEN 5 * f v"], &[&format!("XADD s MAXLEN = 5 {START_MS}-0 f v")]);
        check_effects(&["XADD s MAXLEN ~ 5 7-7 f v"], &["XADD s MAXLEN = 1 7-7 f v"]);
        check_effects(&["XADD s 5 f v", "XADD s MINID ~ 6 7-7 f v"], &["XADD s MINID = 5-0 7-7 f v"]);
        check_effects(&["XADD s MAXLEN ~ 5 LIMIT 10 DELREF 7-7 f v"], &["XADD s MAXLEN = 1 DELREF 7-7 f v"]);
    }

    #[test]
    fn a_last_id_may_be_expected() {
        let wrong = |expected: &str, is: &str| format!("-WRONGVERSION expected last id {expected}, is {is}");
        check(&["XADD s EXPECT 0-0 5-3 f v"], "$3 5-3");
        check(&["XADD s EXPECT 0-0 5-3 f v", "XADD s expect 5-3 MAXLEN 1 * f v"], "$15 1700000000000-0");
        check(&["XADD s EXPECT 1-0 5-3 f v"], &wrong("1-0", "0-0"));
        check(&["XADD s EXPECT 1-0 5-3 f v", "EXISTS s"], ":0");
        check(&["XADD s 5-3 f v", "XADD s EXPECT 5 6-0 f v"], &wrong("5-0", "5-3"));
        check(&["XADD s 5-3 f v", "XDEL s 5-3", "XADD s EXPECT 5-3 6-0 f v"], "$3 6-0");
        check(&["XADD s EXPECT 7-0 NOMKSTREAM 6-0 f v"], "$-1");
        // A message that was added is answered as it was the first time.
        check(&["XADD s EXPECT 0-0 IDMP p 1 * f v", "XADD s EXPECT 0-0 IDMP p 1 * f v", "XLEN s"], ":1");
        check(&["XADD s EXPECT x 6-0 f v"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["XADD s EXPECT 0-0 EXPECT 0-0 6-0 f v"],
            "-ERR Invalid stream ID specified as stream command argument",
        );
        check_effects(&["XADD s EXPECT 0-0 5-3 f v"], &["XADD s 5-3 f v"]);
        check_effects(&["XADD s EXPECT 0-0 MAXLEN 9 5-3 f v"], &["XADD s MAXLEN = 9 5-3 f v"]);
    }

    #[test]
    fn events_and_creation() {
        check_events(&["XADD s 1 f v"], &["new s", "xadd s"]);
        check_events(&["XADD s 1 f v", "XADD s MAXLEN 1 2 f v"], &["xadd s", "xtrim s"]);
        check_events(&["XADD s 1 f v", "XADD s MAXLEN 2 2 f v"], &["xadd s"]);
        check(&["XADD s NOMKSTREAM * f v"], "$-1");
        check(&["XADD s MAXLEN 0 1 f v", "XLEN s"], ":0");
        check(&["XADD s MAXLEN 0 1 f v", "EXISTS s"], ":1");
        check(&["XADD s 1 f v", "TYPE s"], "+stream");
        check(&["XADD s 1 f v", "OBJECT ENCODING s"], "$6 stream");
        check(&["XADD s 1 f v", "COPY s t", "XADD s 2 f v", "XLEN t"], ":1");
    }

    #[test]
    fn refused() {
        let arity = "-ERR wrong number of arguments for 'xadd' command";
        check(&["XADD s 1 f"], arity);
        check(&["XADD s 1 f v g"], arity);
        check(&["XADD s MAXLEN 5 *"], arity);
        check(&["XADD s NOMKSTREAM NOMKSTREAM NOMKSTREAM"], arity);
        let invalid = "-ERR Invalid stream ID specified as stream command argument";
        check(&["XADD s x f v"], invalid);
        check(&["XADD s IDMP p * f v"], invalid);
        check(&["XADD s MAXLEN -1 * f v"], "-ERR The MAXLEN argument must be >= 0.");
        check(
            &["XADD s LIMIT 1 * f v"],
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        );
        check(
            &["SET s x", "XADD s * f v"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            &["SET s x", "XADD s NOMKSTREAM * f v"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let many = "-ERR IDMP/IDMPAUTO specified multiple times";
        check(&["XADD s IDMP p 1 IDMPAUTO p * f v"], many);
        check(&["XADD s IDMPAUTO p IDMP p 1 * f v"], many);
        check(&["XADD s IDMPAUTO p 1-1 f v"], "-ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");
        check(&["XADD s IDMP \"\" 1 * f v"], "-ERR IDMP requires a non-empty producer ID");
        check(&["XADD s IDMP p \"\" * f v"], "-ERR IDMP requires a non-empty idempotent ID");
        check(&["XADD s IDMPAUTO \"\" * f v"], "-ERR IDMPAUTO requires a non-empty producer ID");
    }

    #[test]
    fn a_message_is_added_once() {
        let mut bench = Bench::default();
        let first = bench.run("XADD s IDMP p 1 * f v");
        let id = format!("{START_MS}-0");
        assert_eq!(first.text(), format!("$15 {id}"));
        let again = bench.run("XADD s IDMP p 1 * f w");
        assert_eq!((again.text(), again.effects.len()), (first.text(), 0));
        assert_eq!(bench.run("XADD s IDMP q 1 * f v").text(), format!("$15 {START_MS}-1"));
        bench.now_ms += 100_000;
        assert_eq!(bench.run("XADD s IDMP p 1 * f v").text(), format!("$15 {}-0", START_MS + 100_000));
        check_effects(
            &["XADD s IDMP p 1 MAXLEN 0 * f v"],
            &[&format!("XADD s {id} f v"), &format!("XIDMPRECORD s p 1 {id}"), "XTRIM s MAXLEN = 0"],
        );
        check(&["XADD s NOMKSTREAM IDMP p 1 * f v"], "$-1");
    }

    #[test]
    fn a_message_without_name_is_known_by_its_content() {
        let mut bench = Bench::default();
        let first = bench.run("XADD s IDMPAUTO p * a 1 b 2").text();
        assert_eq!(bench.run("XADD s IDMPAUTO p * b 2 a 1").text(), first);
        for other in ["XADD s IDMPAUTO p * a 2 b 1", "XADD s IDMPAUTO p * a 1", "XADD s IDMPAUTO q * a 1 b 2"]
        {
            assert_ne!(bench.run(other).text(), first, "{other}");
        }
        let info = bench.run("XINFO STREAM s").text();
        let known = "$13 idmp-duration :100 $12 idmp-maxsize :100 $12 pids-tracked :2 $12 iids-tracked :4 \
                     $10 iids-added :4 $15 iids-duplicates :1 ";
        assert!(info.contains(known), "{info}");
    }
}
