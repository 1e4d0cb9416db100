//! `XTRIM`, and the options it shares with `XADD`.

use super::ids::{self, IdText, NewId};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Limits, Outcome, Reply, command};
use tidegate_data::types::stream::{Exactness, Parts, Stream, StreamId, Trim};
use tidegate_data::{EventClass, Key};

pub(super) static XTRIM: Command = command(
    "XTRIM",
    "key <trim: <strategy: MAXLEN|MINID@6.2.0> [operator: equal:=|approximately:~] threshold \
     [LIMIT count]@6.2.0 [condition: KEEPREF|DELREF|ACKED]@8.2.0>",
    xtrim,
)
.about(
    "5.0.0",
    "O(N), with N being the number of evicted entries; nodes of entries go at once.",
    "Removes the oldest entries of a stream.",
)
.arity(-4)
.keys(KeySpec::first().rw().delete())
.flags(&[Flag::Write])
.tips(&["nondeterministic_output"])
.history(&[
    ("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option."),
    ("8.2.0", "Added the `KEEPREF`, `DELREF` and `ACKED` options."),
]);

fn xtrim(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let options = Options::parse(args, cx.env.limits(), For::Trim)?;
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let Some(trim) = options.trim else { return Err(Error::Syntax) };
    let removed = trim.apply(stream.change_untold().parts_mut());
    reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Outcome::Same);
    }
    stream.touch();
    stream.count_changes(removed - 1);
    stream.event(EventClass::Stream, "xtrim");
    if trim.exactness == Exactness::Exact {
        return Ok(Outcome::Changed);
    }
    let mut effects = Effects::default();
    trim.push_as_command(&mut effects, key, stream.view());
    Ok(Outcome::ChangedAs(effects))
}

/// Which command reads the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// `XTRIM`
    Trim,
    /// `XADD`, whose options end at an ID.
    Add,
}

/// What becomes of references to entries that go: entries that are pending in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum References {
    /// They stay, and refer to nothing.
    #[default]
    Keep,
    /// They go as well.
    Delete,
    /// An entry which a group has not read, or not acknowledged, stays itself.
    Acknowledged,
}

impl References {
    const WORDS: [(&'static str, Self); 3] =
        [("KEEPREF", Self::Keep), ("DELREF", Self::Delete), ("ACKED", Self::Acknowledged)];

    pub(super) fn of_word(word: &[u8]) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, references)| *references)
    }
}

/// A message that is to be added once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) producer: &'a [u8],
    /// How the producer calls it; `None`: by its content.
    pub(super) name: Option<&'a [u8]>,
}

/// How to trim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trimming {
    pub(super) trim: Trim,
    pub(super) exactness: Exactness,
    pub(super) references: References,
}

impl Trimming {
    /// Trims and returns the number of entries that went.
    pub(super) fn apply(self, parts: &mut Parts) -> u64 {
        let (entries, groups) = (&mut parts.entries, &mut parts.groups);
        match self.references {
            References::Delete if !groups.is_empty() => {
                let mut removed = Vec::new();
                let len = entries.trim(self.trim, self.exactness, Some(&mut removed));
                groups.change_each(|group| {
                    for id in &removed {
                        group.acknowledge(*id);
                    }
                });
                len
            }
            References::Acknowledged if !groups.is_empty() => {
                entries.trim_if(self.trim, self.exactness, |id| groups.all_have_finished(id))
            }
            _ => entries.trim(self.trim, self.exactness, None),
        }
    }

    /// The words that trim a stream exactly to what it is now.
    pub(super) fn exact_words(self, stream: &Stream) -> Vec<Vec<u8>> {
        let entries = stream.entries();
        let trim = match (self.exactness, self.trim) {
            (Exactness::Exact, trim) => trim,
            (Exactness::Nodes { .. }, Trim::MaxLen(_)) => Trim::MaxLen(entries.len()),
            (Exactness::Nodes { .. }, Trim::MinId(_)) => Trim::MinId(entries.first_stored_id()),
        };
        let (word, threshold) = match trim {
            Trim::MaxLen(len) => ("MAXLEN", len.to_string().into_bytes()),
            Trim::MinId(id) => ("MINID", IdText::of(id).as_bytes().to_vec()),
        };
        let mut words = vec![word.into(), b"=".to_vec(), threshold];
        if self.references != References::Keep {
            let found = References::WORDS.iter().find(|(_, references)| *references == self.references);
            words.extend(found.map(|(name, _)| name.as_bytes().to_vec()));
        }
        words
    }

    /// The `XTRIM` that trims a stream exactly to what it is now.
    pub(super) fn push_as_command(self, effects: &mut Effects, key: Key, stream: &Stream) {
        let words = self.exact_words(stream);
        let mut command: Vec<&[u8]> = vec![b"XTRIM", key.bytes()];
        command.extend(words.iter().map(Vec::as_slice));
        effects.push(&command);
    }
}

/// The options of `XADD` and `XTRIM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Options<'a> {
    /// `NOMKSTREAM`: a missing stream stays missing.
    pub(super) never_creates: bool,
    /// `EXPECT`: the last ID that the stream must have, `0-0` if there is none.
    pub(super) expected: Option<StreamId>,
    pub(super) trim: Option<Trimming>,
    pub(super) message: Option<Message<'a>>,
    /// The ID of the new entry.
    pub(super) id: Option<NewId>,
}

impl<'a> Options<'a> {
    /// Reads the options; for `XADD` up to the ID, behind which the arguments stand afterwards.
    pub(super) fn parse(args: &mut Args<'a>, limits: &Limits, by: For) -> Result<Self, Error> {
        let mut options = Options::default();
        let mut trim = None;
        let mut is_approximate = false;
        let mut limit = None;
        let mut references = None;
        while !args.is_done() {
            let word = args.next()?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_value = !args.is_done();
            let adds = by == For::Add;
            if adds && word == b"*" {
                options.id = Some(NewId::Auto);
                break;
            } else if has_value && (is("MAXLEN") || is("MINID")) {
                if trim.is_some() {
                    return Err(Error::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                is_approximate = false;
                if args.remaining() >= 2 && matches!(args.peek(), Some(b"~" | b"=")) {
                    is_approximate = args.next()? == b"~";
                }
                trim = Some(if is("MAXLEN") {
                    let len = u64::try_from(args.integer()?);
                    Trim::MaxLen(len.map_err(|_| Error::new("ERR The MAXLEN argument must be >= 0."))?)
                } else {
                    Trim::MinId(ids::parse_strict(args.next()?, 0)?)
                });
            } else if has_value && is("LIMIT") {
                let entries = u64::try_from(args.integer()?);
                limit = Some(entries.map_err(|_| Error::new("ERR The LIMIT argument must be >= 0."))?);
            } else if adds && is("NOMKSTREAM") {
                options.never_creates = true;
            } else if adds && has_value && options.expected.is_none() && is("EXPECT") {
                options.expected = Some(ids::parse_strict(args.next()?, 0)?);
            } else if let Some(asked) = References::of_word(word) {
                if references.is_some_and(|before| before != asked) {
                    return Err(Error::Syntax);
                }
                references = Some(asked);
            } else if adds && has_value && (is("IDMPAUTO") || (is("IDMP") && args.remaining() >= 2)) {
                if options.message.is_some() {
                    return Err(Error::new("ERR IDMP/IDMPAUTO specified multiple times"));
                }
                options.message = Some(Message::parse(args, is("IDMP"))?);
            } else if adds {
                options.id = Some(NewId::parse(word)?);
                break;
            } else {
                return Err(Error::Syntax);
            }
        }
        options.trim = trimming(trim, is_approximate, limit, references.unwrap_or_default(), limits, by)?;
        Ok(options)
    }
}

impl<'a> Message<'a> {
    fn parse(args: &mut Args<'a>, has_name: bool) -> Result<Self, Error> {
        let producer = args.next()?;
        if producer.is_empty() {
            return Err(Error::new(if has_name {
                "ERR IDMP requires a non-empty producer ID"
            } else {
                "ERR IDMPAUTO requires a non-empty producer ID"
            }));
        }
        let name = if has_name { Some(args.next()?) } else { None };
        if name.is_some_and(<[u8]>::is_empty) {
            return Err(Error::new("ERR IDMP requires a non-empty idempotent ID"));
        }
        Ok(Message { producer, name })
    }
}

fn trimming(
    trim: Option<Trim>,
    is_approximate: bool,
    limit: Option<u64>,
    references: References,
    limits: &Limits,
    by: For,
) -> Result<Option<Trimming>, Error> {
    if limit.unwrap_or(0) > 0 && trim.is_none() {
        return Err(Error::new(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ));
    }
    if by == For::Trim && trim.is_none() {
        return Err(Error::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
    }
    if limit.is_some() && !is_approximate {
        return Err(Error::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
    }
    let exactness = if is_approximate {
        Exactness::Nodes { limit: limit.unwrap_or_else(|| usual_limit(limits)) }
    } else {
        Exactness::Exact
    };
    Ok(trim.map(|trim| Trimming { trim, exactness, references }))
}

/// How many entries `~` removes at once: 100 full nodes, within bounds.
fn usual_limit(limits: &Limits) -> u64 {
    match limits.encodings.stream_node_max_entries {
        0 => 10_000,
        entries => entries.saturating_mul(100).min(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    /// Ten entries `1-0` to `10-0` in nodes of three.
    fn bench() -> Bench {
        let mut bench = Bench::default();
        bench.limits.encodings.stream_node_max_entries = 3;
        (1..=10).for_each(|ms| drop(bench.run(&format!("XADD s {ms}-0 f v"))));
        bench
    }

    fn effects(bench: &mut Bench, line: &str) -> String {
        String::from_utf8_lossy(bench.run(line).effects.bytes()).replace("\r\n", " ")
    }

    #[test]
    fn exactly() {
        assert_eq!(bench().run("XTRIM s MAXLEN 4").text(), ":6");
        assert_eq!(bench().run("XTRIM s MAXLEN = 0").text(), ":10");
        assert_eq!(bench().run("XTRIM s MINID 4").text(), ":3");
        assert_eq!(bench().run("XTRIM s MINID = 4-1").text(), ":4");
        assert_eq!(bench().run("XTRIM s MAXLEN 10").text(), ":0");
        assert_eq!(effects(&mut bench(), "XTRIM s MAXLEN 4"), "*4 $5 XTRIM $1 s $6 MAXLEN $1 4 ");
        assert_eq!(effects(&mut bench(), "XTRIM s MAXLEN 10"), "");
        check(&["XTRIM s MAXLEN 1"], ":0");
        check_events(&["XADD s 1 f v", "XTRIM s MAXLEN 0"], &["xtrim s"]);
        check_effects(&["XADD s 1 f v", "XTRIM s MINID 1"], &[]);
    }

    #[test]
    fn by_nodes_it_is_replayed_exactly() {
        let mut some = bench();
        assert_eq!(some.run("XTRIM s MAXLEN ~ 5").text(), ":3");
        assert_eq!(some.run("XTRIM s MAXLEN ~ 5").text(), ":0");
        assert_eq!(effects(&mut bench(), "XTRIM s MAXLEN ~ 2"), "*5 $5 XTRIM $1 s $6 MAXLEN $1 = $1 4 ");
        assert_eq!(effects(&mut bench(), "XTRIM s MINID ~ 6"), "*5 $5 XTRIM $1 s $5 MINID $1 = $3 4-0 ");
        assert_eq!(bench().run("XTRIM s MAXLEN ~ 0 LIMIT 5").text(), ":3");
        assert_eq!(bench().run("XTRIM s MAXLEN ~ 0 LIMIT 2").text(), ":0");
        assert_eq!(bench().run("XTRIM s MAXLEN ~ 0 LIMIT 0").text(), ":10");
    }

    #[test]
    fn references_may_go_or_hold_on() {
        let grouped = || {
            let mut bench = bench();
            bench.run("XGROUP CREATE s g 0");
            bench.run("XREADGROUP GROUP g c COUNT 5 STREAMS s >");
            bench.run("XACK s g 1-0 3-0");
            bench
        };
        assert_eq!(grouped().run("XTRIM s MAXLEN 0 ACKED").text(), ":2");
        assert_eq!(grouped().run("XTRIM s MAXLEN 9 ACKED").text(), ":1");
        assert_eq!(grouped().run("XTRIM s ACKED MINID 3").text(), ":1");
        assert_eq!(grouped().run("XTRIM s MAXLEN ~ 0 ACKED").text(), ":0");
        let mut gone = grouped();
        assert_eq!(gone.run("XTRIM s MAXLEN ~ 6 DELREF").text(), ":3");
        assert_eq!(gone.run("XPENDING s g").text(), "*4 :2 $3 4-0 $3 5-0 *1 *2 $1 c $1 2");
        let told = "*6 $5 XTRIM $1 s $6 MAXLEN $1 = $1 7 $6 DELREF ";
        assert_eq!(effects(&mut grouped(), "XTRIM s DELREF MAXLEN ~ 6"), told);
        let mut kept = grouped();
        kept.run("XTRIM s MAXLEN 0 KEEPREF");
        assert!(kept.run("XPENDING s g").text().starts_with("*4 :3 "));
    }

    #[test]
    fn refused() {
        check(&["XTRIM s MAXLEN -1"], "-ERR The MAXLEN argument must be >= 0.");
        check(&["XTRIM s MAXLEN x"], "-ERR value is not an integer or out of range");
        check(&["XTRIM s MINID -"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["XTRIM s MAXLEN 1 MINID 1"],
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        );
        check(
            &["XTRIM s LIMIT 5"],
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        );
        check(&["XTRIM s LIMIT 0"], "-ERR syntax error, XTRIM must be called with a trimming strategy");
        check(
            &["XTRIM s MAXLEN 1 LIMIT 5"],
            "-ERR syntax error, LIMIT cannot be used without the special ~ option",
        );
        check(&["XTRIM s MAXLEN ~ 1 LIMIT -5"], "-ERR The LIMIT argument must be >= 0.");
        check(&["XTRIM s MAXLEN ~"], "-ERR value is not an integer or out of range");
        check(&["XTRIM s 5 6"], "-ERR syntax error");
        check(&["XTRIM s MAXLEN 1 KEEPREF ACKED"], "-ERR syntax error");
        check(
            &["SET s x", "XTRIM s MAXLEN 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
