//! Streams over the wire: every command, both protocols, large entries, and requests that wait for entries.

use redis::{Commands, RedisResult};
use tidegate_tests::server::TestServer;

use crate::blocking::Setting;
use crate::transcript::check;

#[test]
fn adding_and_reading() {
    check(
        r#"
        > XADD s 1-1 a 1
        "1-1"
        > XADD s 1-* a 2 b 3
        "1-2"
        > XADD s 5 a 007
        "5-0"
        > XADD s 5 a x
        -ERR The ID specified in XADD is equal or smaller than the target stream top item
        > XADD s 0-0 a x
        -ERR The ID specified in XADD must be greater than 0-0
        > XADD absent NOMKSTREAM * a x
        nil
        > XADD s 9 a
        -ERR wrong number of arguments for 'xadd' command
        > XLEN s
        3
        > XRANGE s - +
        [["1-1" ["a" "1"]] ["1-2" ["a" "2" "b" "3"]] ["5-0" ["a" "007"]]]
        > XRANGE s (1-1 (5-0
        [["1-2" ["a" "2" "b" "3"]]]
        > XREVRANGE s + - COUNT 1
        [["5-0" ["a" "007"]]]
        > XRANGE s - + COUNT 0
        nil
        > XRANGE absent - +
        []
        > XREAD COUNT 1 STREAMS s absent 1-1 0
        [["s" [["1-2" ["a" "2" "b" "3"]]]]]
        > XREAD STREAMS s $
        nil
        > XREAD STREAMS s
        -ERR wrong number of arguments for 'xread' command
        > XREAD COUNT 2 STREAMS s
        -ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.
        > TYPE s
        stream
        > OBJECT ENCODING s
        "stream"
        > HELLO 3
        ...
        > XREAD STREAMS s 1-2
        {"s": [["5-0" ["a" "007"]]]}
        > XREAD STREAMS s 5
        nil
        "#,
    );
}

#[test]
fn deleting_and_trimming() {
    check(
        r#"
        > XADD s 1 f v
        "1-0"
        > XADD s 2 f v
        "2-0"
        > XADD s MAXLEN 2 3 f v
        "3-0"
        > XRANGE s - +
        [["2-0" ["f" "v"]] ["3-0" ["f" "v"]]]
        > XDEL s 2 2 9
        1
        > XDEL s x
        -ERR Invalid stream ID specified as stream command argument
        > XTRIM s MINID 3
        0
        > XTRIM s MAXLEN = 0
        1
        > XTRIM s MAXLEN ~ 0
        0
        > XTRIM s MAXLEN 0 LIMIT 1
        -ERR syntax error, LIMIT cannot be used without the special ~ option
        > XLEN s
        0
        > EXISTS s
        1
        > XSETID s 9-0 ENTRIESADDED 20 MAXDELETEDID 8-0
        OK
        > XADD s 9-* f v
        "9-1"
        > XINFO STREAM s
        ["length" 1 "radix-tree-keys" 1 "radix-tree-nodes" 2 "last-generated-id" "9-1" "max-deleted-entry-id" "8-0" "entries-added" 21 "recorded-first-entry-id" "9-1" "groups" 0 "first-entry" ["9-1" ["f" "v"]] "last-entry" ["9-1" ["f" "v"]]]
        > XSETID s 8
        -ERR The ID specified in XSETID is smaller than the target stream top item
        "#,
    );
}

#[test]
fn consumer_groups() {
    check(
        r#"
        > XGROUP CREATE s g $
        -ERR The XGROUP subcommand requires the key to exist...
        > XGROUP CREATE s g $ MKSTREAM
        OK
        > XGROUP CREATE s g $
        -BUSYGROUP Consumer Group name already exists
        > XADD s 1 a 1
        "1-0"
        > XADD s 2 a 2
        "2-0"
        > XADD s 3 a 3
        "3-0"
        > XREADGROUP GROUP none c STREAMS s >
        -NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option
        > XREADGROUP GROUP g c COUNT 2 STREAMS s >
        [["s" [["1-0" ["a" "1"]] ["2-0" ["a" "2"]]]]]
        > XREADGROUP GROUP g d NOACK STREAMS s >
        [["s" [["3-0" ["a" "3"]]]]]
        > XREADGROUP GROUP g d STREAMS s >
        nil
        > XREADGROUP GROUP g d STREAMS s 0
        [["s" []]]
        > XPENDING s g
        [2 "1-0" "2-0" [["c" "2"]]]
        > XPENDING s g - + 1 c
        [["1-0" "c" ... 1]]
        > XACK s g 1 9
        1
        > XCLAIM s g d 0 2
        [["2-0" ["a" "2"]]]
        > XAUTOCLAIM s g c 0 - COUNT 5 JUSTID
        ["0-0" ["2-0"] []]
        > XDEL s 2
        1
        > XREADGROUP GROUP g c STREAMS s 0
        [["s" [["2-0" nil]]]]
        > XAUTOCLAIM s g d 0 -
        ["0-0" [] ["2-0"]]
        > XINFO GROUPS s
        [["name" "g" "consumers" 2 "pending" 0 "last-delivered-id" "3-0" "entries-read" 3 "lag" 0]]
        > XINFO CONSUMERS s g
        [["name" "c" "pending" 0 "idle" ...] ["name" "d" "pending" 0 "idle" ...]]
        > XINFO STREAM s FULL
        [..."groups" [["name" "g" "last-delivered-id" "3-0" "entries-read" 3 "lag" 0 "pel-count" 0 "pending" [] "consumers" [["name" "c" "seen-time" ... "pel-count" 0 "pending" []] ...
        > XGROUP SETID s g 0 ENTRIESREAD 0
        OK
        > XGROUP CREATECONSUMER s g e
        1
        > XGROUP CREATECONSUMER s g e
        0
        > XREADGROUP GROUP g e STREAMS s >
        [["s" [["1-0" ["a" "1"]] ["3-0" ["a" "3"]]]]]
        > XGROUP DELCONSUMER s g e
        2
        > XGROUP DESTROY s g
        1
        > XGROUP DESTROY s g
        0
        > XINFO GROUPS s
        []
        "#,
    );
}

#[test]
fn who_waits_gets_the_next_entry() {
    let mut setting = Setting::new();
    let mut waiters: Vec<_> = (0..2).map(|_| setting.waiting("XREAD BLOCK 0 STREAMS absent s $ $")).collect();
    let mut third = setting.waiting("HELLO 3; XREAD BLOCK 0 COUNT 1 STREAMS s 5");
    third.reply();
    setting.run("> XADD s 1 a 1\n\"1-0\"");
    for waiter in &mut waiters {
        assert_eq!(waiter.reply(), r#"[["s" [["1-0" ["a" "1"]]]]]"#);
    }
    assert_eq!(setting.blocked(), "1");
    // What comes and goes in a transaction was never there, but the type may change meanwhile.
    setting.run(
        "> MULTI\nOK\n> XADD s 6 a 6\nQUEUED\n> DEL s\nQUEUED\n> SET s x\nQUEUED\n> EXEC\n[\"6-0\" 1 OK]",
    );
    setting.run(
        "> DEL s\n1\n> MULTI\nOK\n> XADD s 7 a 7\nQUEUED\n> XADD s 8 a 8\nQUEUED\n> EXEC\n[\"7-0\" \"8-0\"]",
    );
    assert_eq!(third.reply(), r#"{"s": [["7-0" ["a" "7"]]]}"#);
    setting.nobody_waits();
}

#[test]
fn the_consumers_of_a_group_take_turns() {
    let mut setting = Setting::new();
    setting.run("> XGROUP CREATE s g $ MKSTREAM\nOK");
    let mut first = setting.waiting("XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    let mut second = setting.waiting("XREADGROUP GROUP g b BLOCK 0 NOACK STREAMS s >");
    setting.run("> XADD s 1 a 1\n\"1-0\"");
    assert_eq!(first.reply(), r#"[["s" [["1-0" ["a" "1"]]]]]"#);
    assert_eq!(setting.blocked(), "1");
    setting.run("> XADD s 2 a 2\n\"2-0\"");
    assert_eq!(second.reply(), r#"[["s" [["2-0" ["a" "2"]]]]]"#);
    setting.run("> XPENDING s g\n[1 \"1-0\" \"1-0\" [[\"a\" \"1\"]]]");
}

#[test]
fn waiting_in_a_group_ends_with_it() {
    let mut setting = Setting::new();
    let gone = "-UNBLOCKED the stream key no longer exists";
    for (end, reply) in [
        (
            "> XGROUP DESTROY s g\n1",
            "-NOGROUP the consumer group this client was blocked on no longer exists",
        ),
        ("> DEL s\n1", gone),
        ("> SET s x\nOK", gone),
        ("> FLUSHALL\nOK", gone),
        ("> MULTI\nOK\n> DEL s\nQUEUED\n> SADD s x\nQUEUED\n> EXEC\n[1 1]", gone),
        ("> SWAPDB 0 5\nOK", gone),
        ("> PEXPIRE s 1\n1", gone),
    ] {
        setting.run("> FLUSHALL\nOK\n> XGROUP CREATE s g $ MKSTREAM\nOK");
        let mut waiter = setting.waiting("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
        setting.run(end);
        assert_eq!(waiter.reply(), reply, "{end}");
    }
    setting.nobody_waits();
}

#[test]
fn waiting_for_entries_takes_no_longer_than_asked() {
    let mut setting = Setting::new();
    setting.run(
        r#"
        > XADD s 1 a 1
        "1-0"
        > XGROUP CREATE s g $
        OK
        > XREAD BLOCK 1 STREAMS s $
        nil
        > XREADGROUP GROUP g c BLOCK 1 STREAMS s >
        nil
        > XREADGROUP GROUP g c BLOCK 0 STREAMS s 0
        [["s" []]]
        > XREAD BLOCK 0 STREAMS s 0
        [["s" [["1-0" ["a" "1"]]]]]
        > MULTI
        OK
        > XREAD BLOCK 0 STREAMS s $
        QUEUED
        > XREADGROUP GROUP g c BLOCK 0 STREAMS s >
        QUEUED
        > EXEC
        [nil nil]
        "#,
    );
}

#[test]
fn a_client_library_moves_many_large_entries() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let large: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let mut pipe = redis::pipe();
    for number in 1..=2_000_u64 {
        let value = if number.is_multiple_of(500) { &large[..] } else { b"value" };
        pipe.cmd("XADD")
            .arg("s")
            .arg(format!("{number}-0"))
            .arg("n")
            .arg(number)
            .arg("v")
            .arg(value)
            .ignore();
    }
    let () = pipe.query(&mut connection)?;
    assert_eq!(connection.xlen::<_, usize>("s")?, 2_000);
    let all: redis::streams::StreamRangeReply = connection.xrange_all("s")?;
    assert_eq!(all.ids.len(), 2_000);
    for (number, entry) in (1..).zip(&all.ids) {
        assert_eq!(entry.id, format!("{number}-0"));
        assert_eq!(entry.get::<u64>("n"), Some(number));
        let expected = if number % 500 == 0 { &large[..] } else { b"value" };
        assert!(entry.get::<Vec<u8>>("v").is_some_and(|value| value == expected));
    }
    assert_eq!(connection.xtrim::<_, usize>("s", redis::streams::StreamMaxlen::Equals(3))?, 1_997);
    Ok(())
}
