//! Client-side caching: `TRACKING`, `CACHING`, `GETREDIR`, `TRACKINGINFO`.

use super::super::ControlCtx;
use super::{Control, Flow, ok, sub};
use crate::session::{NAME_SIZE, Session, TrackOptions};
use std::collections::BTreeSet;
use std::ops::Bound;
use tidegate_commands::model::{Args, Command, Error, Reply, parse_i64};

pub(super) static TRACKING: Command<Control> = sub(
    "TRACKING",
    "<status: ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    tracking,
)
.about(
    "6.0.0",
    "O(1). Some options may introduce additional complexity.",
    "Turns invalidation messages for client-side caching on or off.",
)
.arity(-3)
.whole_keyspace();

/// What is asked for.
#[derive(Debug, Default)]
struct Wanted<'a> {
    options: TrackOptions,
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
}

fn tracking(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let status = args.next()?;
    let wanted = Wanted::parse(cx, args)?;
    if status.eq_ignore_ascii_case(b"on") {
        wanted.check(cx.session)?;
        start(cx, &wanted);
    } else if status.eq_ignore_ascii_case(b"off") {
        cx.worker.stop_tracking(cx.session);
    } else {
        return Err(Error::Syntax);
    }
    ok(reply)
}

impl<'a> Wanted<'a> {
    /// Options are read before the status is looked at, and whether they go together is looked at only after it.
    fn parse(cx: &ControlCtx, args: &mut Args<'a>) -> Result<Self, Error> {
        let mut wanted = Wanted::default();
        let plain = [
            ("bcast", TrackOptions::BCAST),
            ("optin", TrackOptions::OPTIN),
            ("optout", TrackOptions::OPTOUT),
            ("noloop", TrackOptions::NOLOOP),
        ];
        while !args.is_done() {
            let option = args.next()?;
            let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
            if is("redirect") && !args.is_done() {
                if wanted.redirect != 0 {
                    return Err(Error::new("ERR A client can only redirect to a single other client"));
                }
                wanted.redirect = parse_i64(args.next()?).ok_or(Error::NotInteger)? as u64;
                if cx.shared().clients.get(wanted.redirect).is_none() {
                    return Err(Error::new("ERR The client ID you want redirect to does not exist"));
                }
            } else if is("prefix") && !args.is_done() {
                wanted.prefixes.push(args.next()?);
            } else if let Some((_, option)) = plain.iter().find(|(word, _)| is(word)) {
                wanted.options = wanted.options.with(*option);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(wanted)
    }

    /// Do they go together, and with what is set already?
    fn check(&self, session: &Session) -> Result<(), Error> {
        let (has, set) = (|option| self.options.has(option), session.client.tracking.options());
        if !has(TrackOptions::BCAST) && !self.prefixes.is_empty() {
            return Err(Error::new("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        if set.has(TrackOptions::ON) && set.has(TrackOptions::BCAST) != has(TrackOptions::BCAST) {
            return Err(Error::new(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            ));
        }
        if has(TrackOptions::BCAST) && (has(TrackOptions::OPTIN) || has(TrackOptions::OPTOUT)) {
            return Err(Error::new("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if has(TrackOptions::OPTIN) && has(TrackOptions::OPTOUT) {
            return Err(Error::new("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        if has(TrackOptions::OPTIN) && set.has(TrackOptions::OPTOUT)
            || has(TrackOptions::OPTOUT) && set.has(TrackOptions::OPTIN)
        {
            return Err(Error::new(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            ));
        }
        match &session.tracking {
            Some(present) => check_overlaps(present, &self.prefixes),
            None => check_overlaps(&BTreeSet::new(), &self.prefixes),
        }
    }
}

/// No key may have two prefixes of one client. O(n log n).
fn check_overlaps(present: &BTreeSet<Box<[u8]>>, wanted: &[&[u8]]) -> Result<(), Error> {
    let first_within = first_overlapping(wanted);
    for (index, prefix) in wanted.iter().enumerate() {
        if let Some(other) = overlapping(present, prefix) {
            return Err(overlap(prefix, "an existing prefix", other));
        }
        if first_within == Some(index) {
            let other = wanted[index + 1..].iter().find(|other| overlaps(prefix, other));
            let other = other.expect("what the first of all overlaps with comes behind it");
            return Err(overlap(prefix, "another provided prefix", other));
        }
    }
    Ok(())
}

/// The first prefix that overlaps with any other. Sorted, a prefix stands before all that begin with it, and nothing else
/// stands between: one look at each is enough, however many somebody sends.
fn first_overlapping(wanted: &[&[u8]]) -> Option<usize> {
    let mut sorted: Vec<usize> = (0..wanted.len()).collect();
    sorted.sort_unstable_by_key(|index| (wanted[*index], *index));
    let mut first = None;
    // Each of them is the beginning of the next.
    let mut nested: Vec<usize> = Vec::new();
    for index in sorted {
        while nested.last().is_some_and(|last| !wanted[index].starts_with(wanted[*last])) {
            nested.pop();
        }
        if let Some(last) = nested.last() {
            let of_pair = index.min(*last);
            first = Some(first.map_or(of_pair, |first: usize| first.min(of_pair)));
        }
        nested.push(index);
    }
    first
}

fn overlaps(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The first prefix that shares keys with `prefix`. The empty one may be there beside others (`BCAST` without `PREFIX`
/// adds it whatever there is); of those no one is the beginning of another, so that the neighbours tell. O(log n)
fn overlapping<'p>(present: &'p BTreeSet<Box<[u8]>>, prefix: &[u8]) -> Option<&'p [u8]> {
    let all = present.range::<[u8], _>((Bound::Unbounded, Bound::Included(prefix)));
    let before = all.clone().next().filter(|first| first.is_empty()).or_else(|| all.clone().next_back());
    let after = present.range::<[u8], _>((Bound::Excluded(prefix), Bound::Unbounded)).next();
    [before, after].into_iter().flatten().map(|other| &**other).find(|other| overlaps(prefix, other))
}

fn overlap(prefix: &[u8], which: &str, other: &[u8]) -> Error {
    let text = [
        b"ERR Prefix '",
        printed(prefix),
        b"' overlaps with ",
        which.as_bytes(),
        b" '",
        printed(other),
        b"'. Prefixes for a single client must not overlap.",
    ];
    Error::text(text.concat())
}

/// Up to a NUL: Redis prints it as a C string.
fn printed(prefix: &[u8]) -> &[u8] {
    prefix.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn start(cx: &mut ControlCtx, wanted: &Wanted) {
    let session = &mut *cx.session;
    let client = &session.client;
    let by_prefix = wanted.options.has(TrackOptions::BCAST);
    // What CACHING said stays.
    let kept = [TrackOptions::CACHING].into_iter().filter(|option| client.tracking.options().has(*option));
    let options = kept.fold(wanted.options.with(TrackOptions::ON), TrackOptions::with);
    client.tracking.set(options, wanted.redirect);
    let present = session.tracking.get_or_insert_default();
    let shared = &cx.worker.shared;
    shared.tracking.start(client, by_prefix);
    if !by_prefix {
        return;
    }
    let everything: &[&[u8]] = &[b""];
    let prefixes = if wanted.prefixes.is_empty() { everything } else { &wanted.prefixes };
    for prefix in prefixes {
        if present.insert((*prefix).into()) {
            client.hold(NAME_SIZE + prefix.len());
            shared.tracking.add_prefix(client, prefix);
        }
    }
    // Whoever changes a key after the reply to this finds that somebody wants to know.
    cx.each_shard(|_, data| data.tracked.set_broadcasts(true));
}

pub(super) static CACHING: Command<Control> = sub("CACHING", "<mode: YES|NO>", caching)
    .about("6.0.0", "O(1)", "Says whether the keys of the next command are tracked.")
    .arity(3);

fn caching(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let tracking = &cx.session.client.tracking;
    let options = tracking.options();
    if !options.has(TrackOptions::ON) {
        return Err(Error::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        ));
    }
    if args.take_word("yes") {
        if !options.has(TrackOptions::OPTIN) {
            return Err(Error::new(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args.take_word("no") {
        if !options.has(TrackOptions::OPTOUT) {
            return Err(Error::new(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(Error::Syntax);
    }
    tracking.add(TrackOptions::CACHING);
    ok(reply)
}

pub(super) static GETREDIR: Command<Control> = sub("GETREDIR", "", |cx, _, reply| {
    reply.integer(cx.session.client.redirect());
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Returns the ID of the connection that receives the invalidations of this one.")
.arity(2);

pub(super) static TRACKINGINFO: Command<Control> = sub("TRACKINGINFO", "", trackinginfo)
    .about("6.2.0", "O(1)", "Returns what CLIENT TRACKING was set to.")
    .arity(2);

fn trackinginfo(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let options = cx.session.client.tracking.options();
    let has = |option| options.has(option);
    let caching = has(TrackOptions::CACHING);
    let words = [
        (if has(TrackOptions::ON) { "on" } else { "off" }, true),
        ("bcast", has(TrackOptions::BCAST)),
        ("optin", has(TrackOptions::OPTIN)),
        ("caching-yes", has(TrackOptions::OPTIN) && caching),
        ("optout", has(TrackOptions::OPTOUT)),
        ("caching-no", has(TrackOptions::OPTOUT) && caching),
        ("noloop", has(TrackOptions::NOLOOP)),
        ("broken_redirect", has(TrackOptions::BROKEN_REDIRECT)),
    ];
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(words.iter().filter(|(_, is_set)| *is_set).count());
    for (word, _) in words.iter().filter(|(_, is_set)| *is_set) {
        reply.bulk(word.as_bytes());
    }
    reply.bulk(b"redirect");
    reply.integer(cx.session.client.redirect());
    reply.bulk(b"prefixes");
    let prefixes = cx.session.tracking.iter().flatten();
    reply.array(prefixes.clone().count());
    for prefix in prefixes {
        reply.bulk(prefix);
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(present: &[&str], wanted: &[&str]) -> Option<String> {
        let present = present.iter().map(|prefix| prefix.as_bytes().into()).collect();
        let wanted: Vec<&[u8]> = wanted.iter().map(|prefix| prefix.as_bytes()).collect();
        check_overlaps(&present, &wanted)
            .err()
            .map(|error| String::from_utf8_lossy(&error.message()).into_owned())
    }

    #[test]
    fn prefixes_of_one_client_share_no_keys() {
        assert_eq!(refusal(&["FOO", "QUX"], &["BAR", "FOX", "FO1", "Q1"]), None);
        assert_eq!(
            refusal(&[], &["A", "FOOBAR", "FOO"]).as_deref(),
            Some(
                "ERR Prefix 'FOOBAR' overlaps with another provided prefix 'FOO'. Prefixes for a single client must \
                 not overlap."
            )
        );
        assert_eq!(
            refusal(&["BAR", "FOO"], &["BA"]).as_deref(),
            Some(
                "ERR Prefix 'BA' overlaps with an existing prefix 'BAR'. Prefixes for a single client must not \
                 overlap."
            )
        );
        for (present, wanted) in
            [("BAR", "BAR"), ("BAR", "BARB"), ("", "X"), ("X", ""), ("a\0", "a\0b"), ("", "")]
        {
            assert!(refusal(&[present], &[wanted]).is_some(), "{present:?} {wanted:?}");
        }
        assert!(refusal(&["", "FOO"], &["FOO1"]).is_some_and(|text| text.contains("prefix ''")));
    }

    #[test]
    fn of_many_the_first_pair_is_named() {
        let named = |wanted: &[&str]| {
            let text = refusal(&[], wanted)?;
            let mut quoted = text.split('\'').skip(1).step_by(2);
            Some((quoted.next()?.to_owned(), quoted.next()?.to_owned()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(named(&["c", "ab", "b", "a", "abc"]), pair("ab", "a"));
        assert_eq!(named(&["abc", "x", "abd", "xy", "ab"]), pair("abc", "ab"));
        assert_eq!(named(&["a", "a"]), pair("a", "a"));
        assert_eq!(named(&["b", "a", ""]), pair("b", ""));
        assert_eq!(named(&["b", "a", "c"]), None);
    }

    #[test]
    fn neighbours_tell_what_comparing_with_all_would() {
        let words: Vec<String> = (0..81u32)
            .map(|n| (0..=n % 4).map(|i| if n >> (2 + i) & 1 == 1 { 'b' } else { 'a' }).collect())
            .collect();
        for first in &words {
            for second in words.iter().filter(|second| !overlaps(first.as_bytes(), second.as_bytes())) {
                for wanted in &words {
                    let expected =
                        [first, second].iter().any(|one| overlaps(one.as_bytes(), wanted.as_bytes()));
                    assert_eq!(refusal(&[first, second], &[wanted]).is_some(), expected);
                }
            }
        }
    }
}
