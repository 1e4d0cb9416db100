//! `EV.APPEND`: events of an aggregate, all of them or none, if it is what the writer thinks it is.
//!
//! An event is an ordinary entry, and the version of an aggregate the number of entries its stream ever had. In the journal an
//! append is the `XADD` of each event, and, where it has a name, `NATIVE.APPLY key EV IDEM name version unix-ms`.

use super::add::{next_id, node_limits};
use super::ids::{IdText, NewId};
use crate::model::{
    Acl, Args, Command, Ctx, Effects, Error, Family, Flag, KeySpec, Outcome, Reply, command, family,
};
use tidegate_data::types::stream::{APPEND_NAME_MAX, NODE_SIZE_MAX, Stream};
use tidegate_data::{EventClass, Key};

/// What is stored as streams, but said in words of its own.
pub(in crate::families) static FAMILY: Family = family("event", Acl::STREAM, &[&APPEND]);

static APPEND: Command = command(
    "EV.APPEND",
    "key expected(string) numevents(integer) <event: type data [type data...]> [META meta(string)] [IDEM id(string)]",
    append,
)
.about(
    "1.0.0",
    "O(N) where N is the number of events.",
    "Appends events to a stream if it has the version that is expected. Creates the stream if it does not exist.",
)
.arity(-6)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom]);

/// Most events of one append.
const EVENTS_MAX: i64 = 1000;

/// The version that a stream must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Any,
    /// There are events, or were.
    Exists,
    Version(i64),
}

impl Expected {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        if args.take_word("ANY") {
            return Ok(Self::Any);
        }
        if args.take_word("EXISTS") {
            return Ok(Self::Exists);
        }
        let version = args.integer()?;
        if version < 0 { Err(Error::NotInteger) } else { Ok(Self::Version(version)) }
    }

    fn check(self, version: i64) -> Result<(), Error> {
        let wrong =
            |expected: &str| Error::text(format!("WRONGVERSION expected version {expected}, is {version}"));
        match self {
            Self::Exists if version == 0 => Err(wrong("EXISTS")),
            Self::Version(expected) if version != expected => Err(wrong(&expected.to_string())),
            _ => Ok(()),
        }
    }
}

fn append(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let expected = Expected::parse(args)?;
    let len = args.integer()?;
    if !(1..=EVENTS_MAX).contains(&len) {
        return Err(Error::text(format!("ERR numevents must be between 1 and {EVENTS_MAX}")));
    }
    let mut events = Vec::with_capacity(len as usize);
    for _ in 0..len {
        let kind = args.next()?;
        events.push((kind, args.next()?));
    }
    let (mut meta, mut name) = (None, None);
    while !args.is_done() {
        if meta.is_none() && args.take_word("META") {
            meta = Some(args.next()?);
        } else if name.is_none() && args.take_word("IDEM") {
            name = Some(args.next()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    if name.is_some_and(|name| name.len() > APPEND_NAME_MAX) {
        return Err(Error::text(format!("TOOBIG id exceeds {APPEND_NAME_MAX} bytes")));
    }
    let limits = node_limits(cx.env.limits());
    let now_ms = cx.env.native_ms();
    let mut write = cx.keys.write_or_create::<Stream>(key)?;
    let stream = write.view();
    if let Some(version) = name.and_then(|name| stream.appends()?.find(name, now_ms)) {
        reply.integer(version);
        return Ok(Outcome::Same);
    }
    let before = i64::try_from(stream.entries().added()).map_err(|_| Error::NotInteger)?;
    expected.check(before)?;
    let after = before.checked_add(len).ok_or(Error::NotInteger)?;
    // Nothing is added unless all of it can be: there must be room for so many IDs, too.
    if i64::try_from(stream.entries().last_id().ms).is_err() {
        return Err(Error::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let size = |data: &[u8]| 64 + meta.map_or(0, <[u8]>::len) + data.len();
    if events.iter().any(|(kind, data)| size(data).saturating_add(kind.len()) > NODE_SIZE_MAX) {
        return Err(Error::new("ERR Elements are too large to be stored"));
    }
    let mut effects = Effects::default();
    for (version, (kind, data)) in (before + 1..).zip(&events) {
        let id = next_id(write.view().entries(), NewId::Auto, || cx.env.now_ms())?;
        let version = version.to_string();
        let mut pairs: Vec<(&[u8], &[u8])> = vec![(b"type", kind), (b"data", data)];
        pairs.extend(meta.map(|meta| (&b"meta"[..], meta)));
        pairs.push((b"version", version.as_bytes()));
        write.change().parts_mut().entries.add(id, limits, pairs.len(), |i| pairs[i]);
        let id = IdText::of(id);
        let mut words: Vec<&[u8]> = vec![b"XADD", key.bytes(), id.as_bytes()];
        words.extend(pairs.iter().flat_map(|(name, value)| [*name, *value]));
        effects.push(&words);
    }
    write.count_changes(len as u64 - 1);
    write.event(EventClass::Stream, "xadd");
    if let Some(name) = name {
        write.change().parts_mut().appends.get_or_insert_default().record(name, after, now_ms);
        let (version, at_ms) = (after.to_string(), now_ms.to_string());
        effects.push(&[
            b"NATIVE.APPLY",
            key.bytes(),
            b"EV",
            b"IDEM",
            name,
            version.as_bytes(),
            at_ms.as_bytes(),
        ]);
    }
    reply.integer(after);
    Ok(Outcome::ChangedAs(effects))
}

/// Reads the effect that notes the name of an append, behind `EV`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    if !args.take_word("IDEM") {
        return Err(Error::Syntax);
    }
    let (name, version, at_ms) = (args.next()?, args.integer()?, args.integer()?);
    args.end()?;
    if name.len() > APPEND_NAME_MAX || version < 0 {
        return Err(Error::Syntax);
    }
    let mut write = cx.keys.write_or_create::<Stream>(key)?;
    write.change().parts_mut().appends.get_or_insert_default().record(name, version, at_ms);
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_changes, check_effects, check_events};

    #[test]
    fn events_are_appended_to_the_version_that_is_expected() {
        check(&["EV.APPEND o 0 2 Created {} Paid 5"], ":2");
        check(&["EV.APPEND o 0 1 Created {}", "EV.APPEND o 1 1 Paid 5"], ":2");
        check(
            &["EV.APPEND o 0 2 Created {} Paid 5", "EV.APPEND o 0 1 Created {}"],
            "-WRONGVERSION expected version 0, is 2",
        );
        check(&["EV.APPEND o 3 1 Paid 5"], "-WRONGVERSION expected version 3, is 0");
        check(&["EV.APPEND o EXISTS 1 Paid 5"], "-WRONGVERSION expected version EXISTS, is 0");
        check(&["EV.APPEND o 3 1 Paid 5", "EXISTS o"], ":0");
        check(&["EV.APPEND o any 1 Paid 5", "EV.APPEND o exists 1 Paid 5"], ":2");
        check(&["EV.APPEND o ANY 1 A 1", "XTRIM o MAXLEN 0", "EV.APPEND o 1 1 B 2"], ":2");
        check(&["XADD o 1-1 f v", "EV.APPEND o 1 1 B 2", "XLEN o"], ":2");
        check(
            &["EV.APPEND o 0 2 A 1 B 2 META m", "XRANGE o - +"],
            "*2 *2 $15 1700000000000-0 *8 $4 type $1 A $4 data $1 1 $4 meta $1 m $7 version $1 1 *2 $15 \
             1700000000000-1 *8 $4 type $1 B $4 data $1 2 $4 meta $1 m $7 version $1 2",
        );
        check_events(&["EV.APPEND o 0 2 A 1 B 2"], &["new o", "xadd o"]);
        check_changes(&["EV.APPEND o 0 2 A 1 B 2"], 2);
    }

    #[test]
    fn an_append_with_a_name_is_made_once() {
        let first = "EV.APPEND o 0 1 A 1 IDEM c";
        check(&[first, first], ":1");
        check(&[first, first, "XLEN o"], ":1");
        check(&[first, "EV.APPEND o 1 1 B 1 IDEM d", first], ":1");
        check_effects(
            &[first],
            &["XADD o 1700000000000-0 type A data 1 version 1", "NATIVE.APPLY o EV IDEM c 1 1700000000000"],
        );
        let (mut bench, mut twin) = (Bench::default(), Bench::default());
        twin.replay(&bench.run(first).effects);
        assert_eq!(twin.run(first).text(), ":1");
        assert_eq!(twin.run("DUMP o").reply, bench.run("DUMP o").reply);
        bench.now_ms += 86_400_000;
        assert_eq!(bench.run(first).text(), "-WRONGVERSION expected version 0, is 1");
        assert_eq!(bench.run("EV.APPEND o 1 1 A 1 IDEM c").text(), ":2");
    }

    #[test]
    fn refused() {
        let range = "-ERR numevents must be between 1 and 1000";
        check(&["EV.APPEND o 0 0 A 1"], range);
        check(&["EV.APPEND o 0 1001 A 1"], range);
        check(&["EV.APPEND o 0 2 A 1"], "-ERR syntax error");
        check(&["EV.APPEND o 0 1 A 1 B 2"], "-ERR syntax error");
        check(&["EV.APPEND o 0 1 A 1 META"], "-ERR syntax error");
        check(&["EV.APPEND o 0 1 A 1 IDEM a IDEM b"], "-ERR syntax error");
        check(&["EV.APPEND o -1 1 A 1"], "-ERR value is not an integer or out of range");
        check(&["EV.APPEND o x 1 A 1"], "-ERR value is not an integer or out of range");
        check(
            &["SET o x", "EV.APPEND o 0 1 A 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let name = "n".repeat(257);
        check(&[&format!("EV.APPEND o 0 1 A 1 IDEM {name}")], "-TOOBIG id exceeds 256 bytes");
        let last = "XADD o 18446744073709551615-18446744073709551615 f v";
        check(
            &[last, "EV.APPEND o ANY 1 A 1"],
            "-ERR The stream has exhausted the last possible ID, unable to add more items",
        );
    }
}
