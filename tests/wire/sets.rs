//! Set commands: members, random ones, algebra, in both forms of a set.

use redis::{Commands, RedisResult};
use std::time::Duration;
use tidegate_tests::clock;
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn members_one_by_one() {
    check(
        r#"
        > SADD s 3 1 2 3
        3
        > OBJECT ENCODING s
        "intset"
        > SMEMBERS s
        ["1" "2" "3"]
        > SCARD s
        3
        > SISMEMBER s 2
        1
        > SISMEMBER s 02
        0
        > SMISMEMBER s 1 x 3
        [1 0 1]
        > SMISMEMBER none 1 2
        [0 0]
        > SREM s 1 x
        1
        > SADD s x
        1
        > OBJECT ENCODING s
        "hashtable"
        > SMOVE s t x
        1
        > SMOVE s t x
        0
        > SMEMBERS t
        ["x"]
        > SREM s 2 3 4
        2
        > EXISTS s
        0
        > TYPE t
        set
        > SADD t
        -ERR wrong number of arguments for 'sadd' command
        > GET t
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SET t x
        OK
        > SADD t x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn random_members() {
    check(
        r#"
        > SADD s a
        1
        > SRANDMEMBER s
        "a"
        > SRANDMEMBER s -3
        ["a" "a" "a"]
        > SRANDMEMBER s 3
        ["a"]
        > SRANDMEMBER s -9223372036854775808
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > SRANDMEMBER none
        nil
        > SRANDMEMBER none 3
        []
        > SPOP s 0
        []
        > SPOP s -1
        -ERR value is out of range, must be positive
        > SPOP s
        "a"
        > SPOP s
        nil
        > SPOP s 5
        []
        > SADD s 1 2 3
        3
        > SPOP s 5
        ["1" "2" "3"]
        > EXISTS s
        0
        "#,
    );
}

#[test]
fn algebra() {
    check(
        r#"
        > SADD a 1 2 3 x
        4
        > SADD b 2 3 4
        3
        > SINTER a b
        ["2" "3"]
        > SINTER a none
        []
        > SDIFF b a
        ["4"]
        > SUNION b b
        ["2" "3" "4"]
        > SINTERSTORE d a b
        2
        > OBJECT ENCODING d
        "intset"
        > SUNIONSTORE d a b none
        5
        > OBJECT ENCODING d
        "hashtable"
        > SDIFFSTORE d b a
        1
        > SMEMBERS d
        ["4"]
        > SDIFFSTORE d a a
        0
        > EXISTS d
        0
        > SINTERCARD 2 a b
        2
        > SINTERCARD 2 a b LIMIT 1
        1
        > SINTERCARD 0 a
        -ERR numkeys should be greater than 0
        > SINTERCARD 3 a b
        -ERR Number of keys can't be greater than number of args
        > SINTERCARD 2 a b LIMIT -1
        -ERR LIMIT can't be negative
        "#,
    );
}

#[test]
fn resp3_has_a_type_of_its_own() {
    check(
        "
        > HELLO 3
        ...
        > SADD s 1 2
        2
        > SMEMBERS s
        #{\"1\" \"2\"}
        > SINTER s s
        #{\"1\" \"2\"}
        > SUNION none
        #{}
        > SRANDMEMBER s 2
        [\"1\" \"2\"]
        > SSCAN s 0
        [\"0\" [\"1\" \"2\"]]
        > SPOP s 2
        #{\"1\" \"2\"}
        ",
    );
}

#[test]
fn a_client_library_walks_over_a_large_set() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let members: Vec<String> = (0..20_000).map(|n| format!("member:{n}")).collect();
    for some in members.chunks(1000) {
        let added: usize = connection.sadd("large", some)?;
        assert_eq!(added, some.len());
    }
    let mut seen: Vec<String> = connection.sscan("large")?.collect::<RedisResult<_>>()?;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), members.len());
    let matching: Vec<String> =
        connection.sscan_match("large", "member:1999?")?.collect::<RedisResult<_>>()?;
    assert_eq!(matching.len(), 10);
    let popped: Vec<String> = redis::cmd("SPOP").arg("large").arg(19_000).query(&mut connection)?;
    assert_eq!(popped.len(), 19_000);
    assert_eq!(connection.scard::<_, usize>("large")?, 1000);
    Ok(())
}

/// Redis has no such commands.
#[test]
fn members_end_at_their_time() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let known: Vec<Option<redis::Value>> =
        redis::cmd("COMMAND").arg("INFO").arg("spexpire").query(&mut connection)?;
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
    run("SADD s a b 1")?;
    run("SADD soon 1 2")?;
    assert_eq!(run("SPEXPIRE s 50 MEMBERS 2 a x")?, ints(&[1, -2]));
    assert_eq!(run("SEXPIRE s 100 NX MEMBERS 2 a b")?, ints(&[0, 1]));
    assert_eq!(run("SPERSIST s MEMBERS 1 b")?, ints(&[1]));
    assert_eq!(run("STTL s MEMBERS 2 b x")?, ints(&[-1, -2]));
    assert_eq!(run("SPEXPIRE soon 50 MEMBERS 2 1 2")?, ints(&[1, 1]));
    // Nobody touches these keys until the sweep has found them: DBSIZE looks at none.
    let swept = clock::wait_until(Duration::from_secs(20), || run("DBSIZE") == Ok(redis::Value::Int(1)));
    assert!(swept, "the sweep removes what is due");
    assert_eq!(run("SCARD s")?, redis::Value::Int(2));
    assert_eq!(run("SMISMEMBER s a b 1")?, ints(&[0, 1, 1]));
    Ok(())
}
