//! Lists over the wire: every command with each option, long lists, and both protocols.

use redis::{Commands, RedisResult};
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn pushing_and_popping() {
    check(
        r#"
        > RPUSH l a b c
        3
        > LPUSH l 1 2
        5
        > LRANGE l 0 -1
        ["2" "1" "a" "b" "c"]
        > LPOP l
        "2"
        > RPOP l 2
        ["c" "b"]
        > LPOP l 0
        []
        > LPOP absent
        nil
        > LPOP absent 1
        nil
        > LPOP l -1
        -ERR value is out of range, must be positive
        > LPOP l 1 2
        -ERR wrong number of arguments for 'lpop' command
        > LPUSHX absent a
        0
        > RPUSHX absent a
        0
        > LPUSHX l x
        3
        > RPUSHX l y z
        5
        > LLEN l
        5
        > LLEN absent
        0
        > LPOP l 100
        ["x" "1" "a" "y" "z"]
        > EXISTS l
        0
        > SET s x
        OK
        > RPUSH s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn indices_and_ranges() {
    check(
        r#"
        > RPUSH l a b c d
        4
        > LINDEX l 0
        "a"
        > LINDEX l -1
        "d"
        > LINDEX l 4
        nil
        > LINDEX l x
        -ERR value is not an integer or out of range
        > LRANGE l 1 2
        ["b" "c"]
        > LRANGE l -2 100
        ["c" "d"]
        > LRANGE l 3 1
        []
        > LRANGE absent 0 -1
        []
        > LSET l 1 12345
        OK
        > LSET l 4 x
        -ERR index out of range
        > LSET absent 0 x
        -ERR no such key
        > LINSERT l BEFORE c x
        5
        > LINSERT l AFTER d y
        6
        > LINSERT l AFTER absent y
        -1
        > LINSERT absent AFTER a b
        0
        > LINSERT l AROUND a b
        -ERR syntax error
        > LRANGE l 0 -1
        ["a" "12345" "x" "c" "d" "y"]
        > LTRIM l 1 -2
        OK
        > LRANGE l 0 -1
        ["12345" "x" "c" "d"]
        > LTRIM l 5 10
        OK
        > EXISTS l
        0
        "#,
    );
}

#[test]
fn removing_and_finding() {
    check(
        r#"
        > RPUSH l a b a c a b
        6
        > LPOS l a
        0
        > LPOS l a RANK 2
        2
        > LPOS l a RANK -1
        4
        > LPOS l a COUNT 0
        [0 2 4]
        > LPOS l a COUNT 2 RANK -1
        [4 2]
        > LPOS l b MAXLEN 1
        nil
        > LPOS l b COUNT 1 MAXLEN 1
        []
        > LPOS l a RANK 0
        -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        > LPOS l a COUNT -1
        -ERR COUNT can't be negative
        > LPOS l a MAXLEN -1
        -ERR MAXLEN can't be negative
        > LREM l 1 a
        1
        > LREM l -1 a
        1
        > LRANGE l 0 -1
        ["b" "a" "c" "b"]
        > LREM l 0 b
        2
        > LREM l 0 absent
        0
        > LRANGE l 0 -1
        ["a" "c"]
        "#,
    );
}

#[test]
fn between_lists() {
    check(
        r#"
        > RPUSH a 1 2 3
        3
        > LMOVE a b LEFT RIGHT
        "1"
        > LMOVE a b RIGHT LEFT
        "3"
        > RPOPLPUSH a b
        "2"
        > LRANGE b 0 -1
        ["2" "3" "1"]
        > EXISTS a
        0
        > LMOVE b b LEFT RIGHT
        "2"
        > LMOVE absent b LEFT RIGHT
        nil
        > RPOPLPUSH absent b
        nil
        > LMOVE b a LEFT UP
        -ERR syntax error
        > LMPOP 2 a b LEFT
        ["b" ["3"]]
        > LMPOP 1 b RIGHT COUNT 10
        ["b" ["2" "1"]]
        > LMPOP 2 a b LEFT
        nil
        > LMPOP 0 a LEFT
        -ERR numkeys should be greater than 0
        > LMPOP 1 a LEFT COUNT 0
        -ERR count should be greater than 0
        > LMPOP 1 a b LEFT
        -ERR syntax error
        "#,
    );
}

#[test]
fn blocking_commands_with_something_to_pop() {
    check(
        r#"
        > RPUSH l 1 2 3 4 5 6 7
        7
        > BLPOP absent l 0
        ["l" "1"]
        > BRPOP l 0
        ["l" "7"]
        > BLMPOP 0 2 absent l LEFT COUNT 2
        ["l" ["2" "3"]]
        > BLMOVE l m LEFT RIGHT 0
        "4"
        > BRPOPLPUSH l m 0
        "6"
        > LRANGE m 0 -1
        ["6" "4"]
        > BLPOP l -1
        -ERR timeout is negative
        > BLPOP l x
        -ERR timeout is not a float or out of range
        > MULTI
        OK
        > BLPOP absent 0
        QUEUED
        > BRPOP absent 0
        QUEUED
        > BLMPOP 0 1 absent LEFT
        QUEUED
        > BLMOVE absent l LEFT LEFT 0
        QUEUED
        > BRPOPLPUSH absent l 0
        QUEUED
        > EXEC
        [nil nil nil nil nil]
        "#,
    );
}

#[test]
fn nulls_in_both_protocols() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for (hello, null, null_array) in [("HELLO 2", "$-1\r\n", "*-1\r\n"), ("HELLO 3", "_\r\n", "_\r\n")] {
        client.line(hello);
        for (line, expected) in [
            ("LPOP no", null),
            ("LPOP no 1", null_array),
            ("LMPOP 1 no LEFT", null_array),
            ("LPOS no x", null),
            ("LMOVE no k LEFT LEFT", null),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = client.call_raw(&words);
            assert_eq!(String::from_utf8_lossy(&reply), expected, "{hello}: {line}");
        }
    }
}

/// A list of hundreds of kilobytes, read and changed at both ends and in the middle.
#[test]
fn a_long_list() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut client = redis::Client::open(server.url())?.get_connection()?;
    let mut model: Vec<String> = (0..20_000).map(|number| format!("element:{number}")).collect();
    for chunk in model.chunks(1000) {
        let _: i64 = client.rpush("l", chunk)?;
    }
    let _: () = redis::cmd("LSET").arg("l").arg(10_000).arg("x".repeat(20_000)).query(&mut client)?;
    model[10_000] = "x".repeat(20_000);
    let _: i64 = redis::cmd("LINSERT").arg(&["l", "AFTER", "element:5000", "between"]).query(&mut client)?;
    model.insert(5001, "between".to_owned());
    let removed: i64 = client.lrem("l", 0, "element:19000")?;
    model.retain(|element| element != "element:19000");
    assert_eq!(removed, 1);
    for (start, stop) in [(0, -1), (0, 599), (4990, 5010), (-600, -1), (9_999, 10_002)] {
        let len = model.len() as isize;
        let from_front = |index: isize| if index < 0 { (len + index) as usize } else { index as usize };
        let range: Vec<String> = client.lrange("l", start, stop)?;
        assert_eq!(range, model[from_front(start)..=from_front(stop)], "{start} {stop}");
    }
    let encoding: String = redis::cmd("OBJECT").arg(&["ENCODING", "l"]).query(&mut client)?;
    assert_eq!(encoding, "quicklist");
    let _: () = client.ltrim("l", 100, -100)?;
    let range: Vec<String> = client.lrange("l", 0, -1)?;
    assert_eq!(range, model[100..=model.len() - 100]);
    Ok(())
}
