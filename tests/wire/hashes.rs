//! Hash commands, in both forms of a hash, and fields that end at their own time.

use redis::{Commands, RedisResult};
use std::time::Duration;
use tidegate_tests::clock;
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn fields_one_by_one() {
    check(
        r#"
        > HSET h a 1 b x
        2
        > HSET h a 2 c 3
        1
        > OBJECT ENCODING h
        "listpack"
        > HGET h a
        "2"
        > HGET h none
        nil
        > HMGET h c none b
        ["3" nil "x"]
        > HGETALL h
        ["a" "2" "b" "x" "c" "3"]
        > HKEYS h
        ["a" "b" "c"]
        > HVALS h
        ["2" "x" "3"]
        > HLEN h
        3
        > HSTRLEN h b
        1
        > HEXISTS h b
        1
        > HEXISTS h none
        0
        > HSETNX h b y
        0
        > HSETNX h d y
        1
        > HDEL h a none b
        2
        > HMSET h e 5
        OK
        > HDEL h c d e
        3
        > EXISTS h
        0
        > HGETALL h
        []
        > HSET h a
        -ERR wrong number of arguments for 'hset' command
        > SET h x
        OK
        > HSET h a 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn counters() {
    check(
        r#"
        > HINCRBY h a 5
        5
        > HINCRBY h a -7
        -2
        > HINCRBYFLOAT h a 0.5
        "-1.5"
        > HINCRBY h a 1
        -ERR hash value is not an integer
        > HSET h b x
        1
        > HINCRBYFLOAT h b 1
        -ERR hash value is not a float
        > HINCRBYFLOAT h b inf
        -ERR value is NaN or Infinity
        > HSET h c 9223372036854775807
        1
        > HINCRBY h c 1
        -ERR increment or decrement would overflow
        "#,
    );
}

#[test]
fn a_long_value_makes_a_hashtable() {
    check(
        r#"
        > HSET h a 1
        1
        > HSET h b 01234567890123456789012345678901234567890123456789012345678901234
        1
        > OBJECT ENCODING h
        "hashtable"
        > HSTRLEN h b
        65
        > HDEL h b
        1
        > OBJECT ENCODING h
        "hashtable"
        > HSCAN h 0
        ["0" ["a" "1"]]
        "#,
    );
}

#[test]
fn random_fields_in_both_protocols() {
    check(
        r#"
        > HSET h a 1
        1
        > HRANDFIELD h
        "a"
        > HRANDFIELD h -2 WITHVALUES
        ["a" "1" "a" "1"]
        > HRANDFIELD h 5
        ["a"]
        > HRANDFIELD none
        nil
        > HRANDFIELD none 2
        []
        > HRANDFIELD h 1 VALUES
        -ERR syntax error
        > HELLO 3
        ...
        > HRANDFIELD h -2 WITHVALUES
        [["a" "1"] ["a" "1"]]
        > HGETALL h
        {"a": "1"}
        > HGETALL none
        {}
        > HSCAN h 0
        ["0" ["a" "1"]]
        "#,
    );
}

#[test]
fn a_client_library_walks_over_a_large_hash() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let fields: Vec<(String, usize)> = (0..20_000).map(|n| (format!("field:{n}"), n)).collect();
    for some in fields.chunks(1000) {
        let _: () = connection.hset_multiple("large", some)?;
    }
    let mut seen: Vec<(String, usize)> = connection.hscan("large")?.collect::<RedisResult<_>>()?;
    seen.sort_unstable_by_key(|(_, value)| *value);
    seen.dedup();
    assert_eq!(seen, fields);
    assert_eq!(connection.hget::<_, _, usize>("large", "field:19999")?, 19_999);
    let removed: usize =
        connection.hdel("large", fields[..19_000].iter().map(|(f, _)| f).collect::<Vec<_>>())?;
    assert_eq!((removed, connection.hlen::<_, usize>("large")?), (19_000, 1000));
    Ok(())
}

/// Redis has these commands since 7.4.
#[test]
fn fields_end_at_their_time() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let known: Vec<Option<redis::Value>> =
        redis::cmd("COMMAND").arg("INFO").arg("hpexpire").query(&mut connection)?;
    if known == [None] {
        return Ok(());
    }
    let mut run = |line: &str| -> RedisResult<redis::Value> {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query(&mut connection)
    };
    let ints = |numbers: &[i64]| {
        redis::Value::Array(numbers.iter().map(|number| redis::Value::Int(*number)).collect())
    };
    run("HSET h a 1 b 2")?;
    run("HSET soon a 1 b 2")?;
    assert_eq!(run("HPEXPIRE h 50 FIELDS 2 a x")?, ints(&[1, -2]));
    assert_eq!(run("HEXPIRE h 100 NX FIELDS 2 a b")?, ints(&[0, 1]));
    assert_eq!(run("HPERSIST h FIELDS 1 b")?, ints(&[1]));
    assert_eq!(run("HTTL h FIELDS 2 b x")?, ints(&[-1, -2]));
    assert_eq!(run("HPEXPIRE soon 50 FIELDS 2 a b")?, ints(&[1, 1]));
    // Nobody touches these keys until the sweep has found them: DBSIZE looks at none.
    let swept = clock::wait_until(Duration::from_secs(20), || run("DBSIZE") == Ok(redis::Value::Int(1)));
    assert!(swept, "the sweep removes what is due");
    assert_eq!(run("HLEN h")?, redis::Value::Int(1));
    assert_eq!(run("HEXISTS h b")?, redis::Value::Int(1));
    Ok(())
}
