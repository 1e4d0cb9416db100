//! Sorted set commands: scores and their texts, ranges, algebra, taking out and waiting, in both forms of a sorted set.

use std::time::Duration;

use redis::{Commands, RedisResult};
use tidegate_tests::clock::{unix_us, wait_until};
use tidegate_tests::resp::RespClient;
use tidegate_tests::server::TestServer;

use crate::transcript::{check, show, words};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn scores() {
    check(
        r#"
        > ZADD z 1 a 2.5 b -inf c
        3
        > ZADD z CH NX 9 a 9 d
        1
        > ZADD z XX GT CH 0 a 3 b
        1
        > ZADD z INCR 0.25 a
        "1.25"
        > ZADD z INCR NX 1 a
        nil
        > ZINCRBY z 1e16 d
        "10000000000000008"
        > ZINCRBY z inf c
        -ERR resulting score is not a number (NaN)
        > ZSCORE z b
        "3"
        > ZMSCORE z a none c
        ["1.25" nil "-inf"]
        > ZRANK z a
        1
        > ZREVRANK z a
        2
        > ZCARD z
        4
        > ZADD z 0.1 e
        1
        > ZSCORE z e
        "0.10000000000000001"
        > ZADD z NX XX 1 a
        -ERR XX and NX options at the same time are not compatible
        > ZADD z 1
        -ERR wrong number of arguments for 'zadd' command
        > ZADD z one a
        -ERR value is not a valid float
        > SET s x
        OK
        > ZADD s 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn ranges() {
    check(
        r#"
        > ZADD z 1 a 2 b 2 bb 3 c
        4
        > ZRANGE z 0 -1
        ["a" "b" "bb" "c"]
        > ZRANGE z 0 1 REV WITHSCORES
        ["c" "3" "bb" "2"]
        > ZREVRANGE z -1 -1
        ["a"]
        > ZRANGEBYSCORE z (1 +inf LIMIT 1 1 WITHSCORES
        ["bb" "2"]
        > ZREVRANGEBYSCORE z 2 -inf
        ["bb" "b" "a"]
        > ZRANGE z 2 (3 BYSCORE
        ["b" "bb"]
        > ZCOUNT z 2 3
        3
        > ZADD l 0 a 0 b 0 c
        3
        > ZRANGEBYLEX l [b +
        ["b" "c"]
        > ZREVRANGEBYLEX l (c - LIMIT 0 1
        ["b"]
        > ZRANGE l - (b BYLEX
        ["a"]
        > ZLEXCOUNT l - +
        3
        > ZRANGESTORE t z 1 2
        2
        > ZRANGE t 0 -1
        ["b" "bb"]
        > ZRANDMEMBER none
        nil
        > ZRANDMEMBER none 3 WITHSCORES
        []
        > ZSCAN l 0 MATCH [ab]
        ["0" ["a" "0" "b" "0"]]
        > ZREMRANGEBYRANK z 0 0
        1
        > ZREMRANGEBYSCORE z 3 3
        1
        > ZREMRANGEBYLEX l - (c
        2
        > ZREM z b bb none
        2
        > EXISTS z
        0
        > ZRANGE z 0 1 LIMIT 1 1
        -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        > ZRANGEBYLEX l a b
        -ERR min or max not valid string range item
        > ZRANGEBYSCORE l a b
        -ERR min or max is not a float
        "#,
    );
}

#[test]
fn algebra() {
    check(
        r#"
        > ZADD a 1 x 2 y
        2
        > ZADD b 10 y 20 z
        2
        > SADD s y
        1
        > ZUNION 3 a b s WITHSCORES
        ["x" "1" "y" "13" "z" "20"]
        > ZINTER 2 a b WEIGHTS 2 1 AGGREGATE MAX WITHSCORES
        ["y" "10"]
        > ZDIFF 2 a b
        ["x"]
        > ZINTERCARD 2 a b LIMIT 5
        1
        > ZUNIONSTORE t 2 a b
        3
        > ZINTERSTORE t 2 a none
        0
        > EXISTS t
        0
        > ZDIFFSTORE t 2 b a
        1
        > ZRANGE t 0 -1 WITHSCORES
        ["z" "20"]
        > ZUNION 0 a
        -ERR at least 1 input key is needed for 'zunion' command
        > ZUNION 1 a WEIGHTS x
        -ERR weight value is not a float
        "#,
    );
}

#[test]
fn taking_out() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
        6
        > ZPOPMIN z
        ["a" "1"]
        > ZPOPMAX z 2
        ["f" "6" "e" "5"]
        > ZMPOP 2 none z MIN
        ["z" [["b" "2"]]]
        > ZMPOP 1 none MAX COUNT 3
        nil
        > BZPOPMIN none z 1
        ["z" "c" "3"]
        > BZMPOP 1 1 z MAX COUNT 9
        ["z" [["d" "4"]]]
        > BZPOPMAX z 0.01
        nil
        > ZPOPMIN z
        []
        > BZPOPMIN z -1
        -ERR timeout is negative
        > MULTI
        OK
        > BZPOPMAX z 0
        QUEUED
        > EXEC
        [nil]
        "#,
    );
}

#[test]
fn resp3_has_doubles_and_pairs() {
    check(
        r#"
        > HELLO 3
        ...
        > ZADD z 1.5 a 2 b
        2
        > ZRANGE z 0 -1 WITHSCORES
        [["a" 1.5d] ["b" 2d]]
        > ZUNION 1 z WITHSCORES
        [["a" 1.5d] ["b" 2d]]
        > ZSCORE z a
        1.5d
        > ZSCORE z none
        nil
        > ZINCRBY z 1 a
        2.5d
        > ZPOPMIN z
        ["b" 2d]
        > ZPOPMIN z 1
        [["a" 2.5d]]
        "#,
    );
}

#[test]
fn a_client_library_uses_a_large_sorted_set() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let members: Vec<(u32, String)> = (0..20_000).map(|n| (n, format!("member:{n}"))).collect();
    for some in members.chunks(1000) {
        let added: usize = connection.zadd_multiple("large", some)?;
        assert_eq!(added, some.len());
    }
    let rank: usize = connection.zrank("large", "member:12345")?;
    assert_eq!(rank, 12_345);
    let some: Vec<(String, f64)> = connection.zrange_withscores("large", 15_000, 15_001)?;
    assert_eq!(some, [("member:15000".to_owned(), 15_000.0), ("member:15001".to_owned(), 15_001.0)]);
    let seen: Vec<(String, f64)> = connection.zscan("large")?.collect::<RedisResult<_>>()?;
    assert!(seen.len() >= members.len());
    let removed: usize = connection.zrembyscore("large", 100, 19_899)?;
    assert_eq!(removed, 19_800);
    assert_eq!(connection.zcard::<_, usize>("large")?, 200);
    Ok(())
}

/// True where a real redis-server is tested, which lacks the command.
fn lacks(client: &mut RespClient, command: &str) -> bool {
    show(&client.line(&format!("COMMAND INFO {command}"))) == "[nil]"
}

#[test]
fn members_end_at_their_time() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    if lacks(&mut client, "zexpire") {
        return;
    }
    let mut run = |line: &str| show(&client.line(line));
    run("ZADD z 1 a 2 b 3 c");
    run("ZADD soon 1 a 2 b");
    assert_eq!(run("ZPEXPIRE z 50 MEMBERS 2 a x"), "[1 -2]");
    assert_eq!(run("ZEXPIRE z 100 NX MEMBERS 2 a b"), "[0 1]");
    assert_eq!(run("ZPERSIST z MEMBERS 1 b"), "[1]");
    assert_eq!(run("ZTTL z MEMBERS 2 b x"), "[-1 -2]");
    assert_eq!(run("ZPEXPIRE soon 50 MEMBERS 2 a b"), "[1 1]");
    // Nobody touches these keys until the sweep has found them: DBSIZE looks at none.
    assert!(wait_until(PATIENCE, || run("DBSIZE") == "1"), "the sweep removes what is due");
    assert_eq!(run("ZRANGE z 0 -1"), "[\"b\" \"c\"]");
}

#[test]
fn due_members_come_out_when_their_time_has_come() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    if lacks(&mut client, "bzpopdue") {
        return;
    }
    let mut run = |line: &str| show(&client.line(line));
    let now_s = || unix_us() as f64 / 1e6;
    run("ZADD jobs 1 long-ago");
    assert_eq!(run("BZPOPDUE none jobs now 0"), "[\"jobs\" \"long-ago\" \"1\"]");
    assert_eq!(run("BZPOPDUE jobs now 0.01"), "nil");

    // What becomes due wakes the one who waits for it, though nobody touches the key.
    let due_s = now_s() + 0.3;
    run(&format!("ZADD jobs {due_s} later {} much-later", due_s + 1000.0));
    let mut waiter = server.client();
    waiter.send(&words("BZPOPDUE jobs now 20")).expect("connected");
    let got = show(&waiter.read().expect("it is answered"));
    assert!(got.starts_with("[\"jobs\" \"later\""), "{got}");
    assert!(now_s() >= due_s, "not before its time");
    assert_eq!(run("ZCARD jobs"), "1");

    // What is due sooner than all others moves the time forward, and is found at once.
    waiter.send(&words("BZPOPDUE jobs now 20")).expect("connected");
    assert!(wait_until(PATIENCE, || run("INFO clients").contains("blocked_clients:1")));
    run("ZADD jobs 5 overdue");
    assert_eq!(show(&waiter.read().expect("it is answered")), "[\"jobs\" \"overdue\" \"5\"]");

    // A number instead of the time.
    waiter.send(&words("BZPOPDUE scores 10 20")).expect("connected");
    assert!(wait_until(PATIENCE, || run("INFO clients").contains("blocked_clients:1")));
    run("ZADD scores 11 high");
    run("ZADD scores 10 low");
    assert_eq!(show(&waiter.read().expect("it is answered")), "[\"scores\" \"low\" \"10\"]");
}
