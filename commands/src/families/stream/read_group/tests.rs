use crate::model::check::{
    Bench, START_MS, check, check_changes, check_effects, check_events, check_lookups, check_retry,
    check_waits,
};

/// Three entries, and a group that has read none.
const LINES: [&str; 4] = ["XADD s 1-0 a 1", "XADD s 2-0 a 2", "XADD s 3-0 a 3", "XGROUP CREATE s g 0"];

fn bench() -> Bench {
    let mut bench = Bench::default();
    for line in LINES {
        bench.run(line);
    }
    bench
}

fn effects(bench: &mut Bench, line: &str) -> String {
    let ran = bench.run(line);
    let text = String::from_utf8_lossy(ran.effects.bytes()).replace("\r\n", " ");
    // Without the lengths it is a line again.
    let words = text.split(' ').filter(|word| !word.starts_with('*') && !word.starts_with('$'));
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[test]
fn every_entry_is_delivered_once() {
    let mut bench = bench();
    assert_eq!(
        bench.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >").text(),
        "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2"
    );
    assert_eq!(bench.run("XREADGROUP GROUP g d STREAMS s >").text(), "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 a $1 3");
    assert_eq!(bench.run("XREADGROUP GROUP g c STREAMS s >").text(), "*-1");
    assert_eq!(bench.run("XPENDING s g").text(), "*4 :3 $3 1-0 $3 3-0 *2 *2 $1 c $1 2 *2 $1 d $1 1");
    let info = bench.run("XINFO GROUPS s").text();
    assert!(info.ends_with("$17 last-delivered-id $3 3-0 $12 entries-read :3 $3 lag :0"), "{info}");
}

#[test]
fn it_is_replayed_as_claims() {
    let mut bench = bench();
    let claim = |id: &str, count| {
        format!("XCLAIM s g c 0 {id} TIME {START_MS} RETRYCOUNT {count} FORCE JUSTID LASTID {id}")
    };
    let position = |id: &str, read| format!("XGROUP SETID s g {id} ENTRIESREAD {read}");
    assert_eq!(
        effects(&mut bench, "XREADGROUP GROUP g c COUNT 1 STREAMS s >"),
        format!("{} {}", claim("1-0", 1), position("1-0", 1))
    );
    assert_eq!(effects(&mut bench, "XREADGROUP GROUP g c STREAMS s 0"), claim("1-0", 2));
    assert_eq!(effects(&mut bench, "XREADGROUP GROUP g c STREAMS s 1-0"), "");
    assert_eq!(effects(&mut bench, "XREADGROUP GROUP g d STREAMS s 0"), "XGROUP CREATECONSUMER s g d");
    assert_eq!(
        effects(&mut bench, "XREADGROUP GROUP g e COUNT 1 NOACK STREAMS s >"),
        format!("XGROUP CREATECONSUMER s g e {}", position("2-0", 2))
    );
    assert_eq!(effects(&mut bench, "XREADGROUP GROUP g e NOACK STREAMS s >"), position("3-0", 3));
}

#[test]
fn events_and_look_ups() {
    let all = |last| [&LINES[..], &[last]].concat();
    check_events(&all("XREADGROUP GROUP g c STREAMS s >"), &["xgroup-createconsumer s"]);
    check_events(&all("XREADGROUP GROUP g c STREAMS s 0"), &["xgroup-createconsumer s"]);
    check_lookups(&all("XREADGROUP GROUP g c STREAMS s >"), 2, 0);
    check_changes(&all("XREADGROUP GROUP g c STREAMS s >"), 2);
    check_changes(&all("XREADGROUP GROUP g c STREAMS s 0"), 2);
    check_effects(&all("XREADGROUP GROUP none c STREAMS s >"), &[]);
}

#[test]
fn history_shows_what_is_gone() {
    let mut bench = bench();
    bench.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    bench.run("XDEL s 1-0");
    assert_eq!(
        bench.run("XREADGROUP GROUP g c STREAMS s 0").text(),
        "*1 *2 $1 s *2 *2 $3 1-0 *-1 *2 $3 2-0 *2 $1 a $1 2"
    );
    assert_eq!(bench.run("XREADGROUP GROUP g d STREAMS s 0").text(), "*1 *2 $1 s *0");
    // An entry that is gone was not delivered again.
    let pending = bench.run("XPENDING s g - + 10 c").text();
    assert_eq!(pending, "*2 *4 $3 1-0 $1 c :0 :1 *4 $3 2-0 $1 c :0 :2");
}

#[test]
fn nothing_is_behind_the_last_id_which_stands_for_what_is_new() {
    let max = "18446744073709551615-18446744073709551615";
    let mut bench = bench();
    bench.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    let line = format!("XREADGROUP GROUP g c STREAMS s {max}");
    assert_eq!(bench.run(&line).text(), "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 a $1 3");
    assert_eq!(bench.run(&line).text(), "*-1");
    let before = "XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551614";
    assert_eq!(bench.run(before).text(), "*1 *2 $1 s *0");
}

#[test]
fn refused() {
    let none = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    check(&["XREADGROUP GROUP g c STREAMS s >"], none);
    check(&["XADD s 1 f v", "XREADGROUP GROUP g c STREAMS s >"], none);
    check(
        &["SET s x", "XREADGROUP GROUP g c STREAMS s >"],
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    );
    check(&["XREADGROUP NOACK COUNT 1 STREAMS s t > >"], "-ERR Missing GROUP option for XREADGROUP");
    check(
        &["XREADGROUP GROUP g c STREAMS s t >"],
        "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
    );
    let meaningless = bench().run("XREADGROUP GROUP g c STREAMS s $").text();
    assert!(meaningless.starts_with("-ERR The $ ID is meaningless in the context of XREADGROUP"));
    let mut bench = bench();
    for line in ["XREADGROUP GROUP g c STREAMS s +", "XREADGROUP GROUP g c STREAMS s x"] {
        let invalid = "-ERR Invalid stream ID specified as stream command argument";
        assert_eq!(bench.run(line).text(), invalid);
    }
    for (claim, text) in [("x", "is not an integer"), ("-1", "must be a positive integer")] {
        let line = format!("XREADGROUP GROUP g c CLAIM {claim} STREAMS s >");
        assert_eq!(bench.run(&line).text(), format!("-ERR min-idle-time {text}"));
    }
}

#[test]
fn the_word_streams_may_be_a_name() {
    let mut bench = Bench::default();
    bench.run("XADD STREAMS 1-0 a 1");
    bench.run("XGROUP CREATE STREAMS STREAMS 0");
    let reply = bench.run("XREADGROUP NOACK GROUP STREAMS STREAMS STREAMS STREAMS >").text();
    assert_eq!(reply, "*1 *2 $7 STREAMS *1 *2 $3 1-0 *2 $1 a $1 1");
}

#[test]
fn a_stream_may_be_named_twice() {
    let mut bench = bench();
    let reply = bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s s > >").text();
    assert_eq!(reply, "*2 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2");
    bench.protocol = crate::model::Protocol::Resp3;
    let reply = bench.run("XREADGROUP GROUP g c STREAMS s s > >").text();
    assert_eq!(reply, "%1 $1 s *1 *2 $3 3-0 *2 $1 a $1 3");
}

#[test]
fn waiting_ends_with_an_entry_or_with_the_group() {
    let lines = ["XGROUP CREATE s g $ MKSTREAM", "XREADGROUP GROUP g c BLOCK 0 NOACK STREAMS s >"];
    let retry = "XREADGROUP GROUP g c COUNT 1000 BLOCK 0 NOACK STREAMS s >";
    check_waits(&lines, &[retry], None);
    check(&lines, "*-1");
    check_retry(&[lines[0], retry], "wait");
    check_retry(&[lines[0], "XADD s 1-0 a 1", retry], "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1");
    check_retry(&[retry], "-UNBLOCKED the stream key no longer exists");
    check_retry(&["SET s x", retry], "-UNBLOCKED the stream key no longer exists");
    check_retry(
        &["XADD s 1-0 a 1", retry],
        "-NOGROUP the consumer group this client was blocked on no longer exists",
    );
    // History is never waited for.
    check(&[lines[0], "XREADGROUP GROUP g c BLOCK 0 STREAMS s 0"], "*1 *2 $1 s *0");
    check_retry(&[lines[0], "XADD s 1-0 a 1", "XDEL s 1-0", retry], "*1 *2 $1 s *0");
}

#[test]
fn claim_takes_over_what_waits_for_long() {
    let mut bench = bench();
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    bench.now_ms += 20;
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    bench.now_ms += 10;
    assert_eq!(
        bench.run("XREADGROUP GROUP g d CLAIM 15 STREAMS s >").text(),
        "*1 *2 $1 s *2 *4 $3 1-0 *2 $1 a $1 1 :30 :1 *4 $3 3-0 *2 $1 a $1 3 :0 :0"
    );
    assert_eq!(bench.run("XREADGROUP GROUP g d CLAIM 15 STREAMS s >").text(), "*-1");
    // With 0 everything is taken, but nothing twice.
    assert_eq!(
        bench.run("XREADGROUP GROUP g e CLAIM 0 COUNT 2 STREAMS s >").text(),
        "*1 *2 $1 s *2 *4 $3 2-0 *2 $1 a $1 2 :10 :1 *4 $3 1-0 *2 $1 a $1 1 :0 :2"
    );
    let pending = bench.run("XPENDING s g - + 10").text();
    assert_eq!(pending, "*3 *4 $3 1-0 $1 e :0 :3 *4 $3 2-0 $1 e :0 :2 *4 $3 3-0 $1 d :0 :1");
    let history = bench.run("XREADGROUP GROUP g d CLAIM 5 STREAMS s 0").text();
    assert_eq!(history, "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 a $1 3");
}

#[test]
fn claim_waits_until_something_is_old_enough() {
    let mut bench = bench();
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    bench.now_ms += 5;
    let line = "XREADGROUP GROUP g d BLOCK 0 CLAIM 50 STREAMS s >";
    let wait = bench.run(line).wait.expect("nothing is old enough");
    assert_eq!(wait.keys[0].retry_at_ms, Some(START_MS + 50));
    // What is gone is dropped on the way, which is told although nothing is answered.
    bench.run("XDEL s 1-0 2-0 3-0");
    bench.now_ms += 50;
    let ran = bench.run(line);
    assert!(ran.wait.is_some() && ran.effects.len() == 3);
    assert_eq!(bench.run("XPENDING s g").text(), "*4 :0 $-1 $-1 *-1");
}

#[test]
fn what_was_given_back_is_claimed_first() {
    let mut bench = bench();
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    bench.run("XNACK s g FAIL IDS 2 3-0 2-0");
    let ids = |reply: &str| -> Vec<String> {
        reply.split(' ').filter(|word| word.ends_with("-0")).map(str::to_owned).collect()
    };
    let reply = bench.run("XREADGROUP GROUP g d CLAIM 1000 STREAMS s >").text();
    assert_eq!(ids(&reply), ["3-0", "2-0"]);
}
