//! Commands about keys: lifetime, names, copies, iteration.

use hashbrown::HashSet;
use redis::{Commands, RedisResult};
use tidegate_tests::clock::wait_until;
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn existence() {
    check(
        r#"
        > MSET a 1 b 2 c 3
        OK
        > EXISTS a b nosuch a
        3
        > EXISTS
        -ERR wrong number of arguments for 'exists' command
        > TOUCH a b nosuch
        2
        > DEL a nosuch a
        1
        > UNLINK b b c
        2
        > DEL
        -ERR wrong number of arguments for 'del' command
        > UNLINK
        -ERR wrong number of arguments for 'unlink' command
        > DBSIZE
        0
        > DBSIZE x
        -ERR wrong number of arguments for 'dbsize' command
        > TYPE a
        none
        > SET a 1
        OK
        > TYPE a
        string
        > TYPE
        -ERR wrong number of arguments for 'type' command
        "#,
    );
}

#[test]
fn lifetimes() {
    check(
        r#"
        > SET k v
        OK
        > TTL k
        -1
        > PTTL nosuch
        -2
        > EXPIRETIME k
        -1
        > PEXPIRETIME nosuch
        -2
        > EXPIREAT k 4102444800
        1
        > EXPIRETIME k
        4102444800
        > PEXPIRETIME k
        4102444800000
        > PERSIST k
        1
        > PERSIST k
        0
        > PERSIST nosuch
        0
        > EXPIRE nosuch 10
        0
        > PEXPIREAT k 4102444800123
        1
        > PEXPIRETIME k
        4102444800123
        > EXPIRETIME k
        4102444800
        > EXPIRE k 100
        1
        > TTL k
        100
        > EXPIRE k -1
        1
        > EXISTS k
        0
        > SET k v
        OK
        > EXPIREAT k 1
        1
        > EXISTS k
        0
        > SET k v
        OK
        > PEXPIRE k 0
        1
        > EXISTS k
        0
        "#,
    );
}

#[test]
fn conditions_on_lifetimes() {
    check(
        r#"
        > SET k v
        OK
        > EXPIREAT k 4102444800 XX
        0
        > EXPIREAT k 4102444800 GT
        0
        > EXPIREAT k 4102444800 LT
        1
        > EXPIREAT k 4102444801 NX
        0
        > EXPIREAT k 4102444801 LT
        0
        > EXPIREAT k 4102444801 GT
        1
        > EXPIREAT k 4102444801 GT
        0
        > EXPIREAT k 4102444802 XX GT
        1
        > EXPIREAT k 4102444800 XX LT
        1
        > EXPIRETIME k
        4102444800
        > EXPIREAT k 4102444800 NX XX
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIREAT k 4102444800 NX GT
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIREAT k 4102444800 GT LT
        -ERR GT and LT options at the same time are not compatible
        > EXPIREAT k 4102444800 NOSUCH
        -ERR Unsupported option NOSUCH
        > EXPIREAT k 1 GT
        0
        > EXISTS k
        1
        > EXPIREAT k 1 LT
        1
        > EXISTS k
        0
        "#,
    );
}

#[test]
fn impossible_lifetimes() {
    check(
        r#"
        > SET k v
        OK
        > EXPIRE k abc
        -ERR value is not an integer or out of range
        > EXPIRE k
        -ERR wrong number of arguments for 'expire' command
        > EXPIRE k 9223372036854775807
        -ERR invalid expire time in 'expire' command
        > EXPIRE k 9223372036854776
        -ERR invalid expire time in 'expire' command
        > PEXPIRE k 9223372036854775807
        -ERR invalid expire time in 'pexpire' command
        > EXPIREAT k 9223372036854776
        -ERR invalid expire time in 'expireat' command
        > PEXPIREAT k 9223372036854775807
        1
        > PEXPIRETIME k
        9223372036854775807
        > EXPIRE k -9223372036854775808
        -ERR invalid expire time in 'expire' command
        > EXPIRE k 1.5
        -ERR value is not an integer or out of range
        > EXISTS k
        1
        "#,
    );
}

#[test]
fn names_change() {
    check(
        r#"
        > SET a 1 EXAT 4102444800
        OK
        > SET b 2
        OK
        > RENAME a b
        OK
        > GET b
        "1"
        > EXPIRETIME b
        4102444800
        > RENAME nosuch b
        -ERR no such key
        > RENAME b b
        OK
        > RENAMENX b b
        0
        > RENAMENX b c
        1
        > SET b 3
        OK
        > RENAMENX b c
        0
        > RENAMENX nosuch c
        -ERR no such key
        > RENAME b
        -ERR wrong number of arguments for 'rename' command
        "#,
    );
}

#[test]
fn copies_and_moves() {
    check(
        r#"
        > SET a 1 EXAT 4102444800
        OK
        > COPY a b
        1
        > EXPIRETIME b
        4102444800
        > COPY a b
        0
        > SET a 2
        OK
        > COPY a b REPLACE
        1
        > GET b
        "2"
        > EXPIRETIME b
        -1
        > COPY a a
        -ERR source and destination objects are the same
        > COPY a a DB 1
        1
        > COPY a b DB 16
        -ERR DB index is out of range
        > COPY a b DB abc
        -ERR value is not an integer or out of range
        > COPY a b DB
        -ERR syntax error
        > COPY a b NOSUCH
        -ERR syntax error
        > COPY nosuch b
        0
        > COPY a b DB 2 REPLACE
        1
        > MOVE a 1
        0
        > MOVE a 0
        -ERR source and destination objects are the same
        > MOVE b 0
        -ERR source and destination objects are the same
        > MOVE b 16
        -ERR DB index is out of range
        > MOVE b -1
        -ERR DB index is out of range
        > MOVE b abc
        -ERR value is not an integer or out of range
        > MOVE nosuch 1
        0
        > SELECT 1
        OK
        > GET a
        "2"
        > SELECT 2
        OK
        > GET b
        "2"
        "#,
    );
}

#[test]
fn databases_are_apart() {
    check(
        r#"
        > SET a zero
        OK
        > SELECT 1
        OK
        > GET a
        nil
        > SET a one
        OK
        > SWAPDB 0 1
        OK
        > GET a
        "zero"
        > SWAPDB 0 16
        -ERR DB index is out of range
        > SWAPDB a 1
        -ERR invalid first DB index
        > SWAPDB 0 b
        -ERR invalid second DB index
        > SELECT 16
        -ERR DB index is out of range
        > SELECT -1
        -ERR DB index is out of range
        > SELECT abc
        -ERR value is not an integer or out of range
        > FLUSHDB
        OK
        > DBSIZE
        0
        > SELECT 0
        OK
        > GET a
        "one"
        > FLUSHDB NOW
        -ERR syntax error
        > FLUSHALL ASYNC
        OK
        > DBSIZE
        0
        > FLUSHALL SYNC
        OK
        > FLUSHDB ASYNC
        OK
        > RANDOMKEY
        nil
        > SET only x
        OK
        > RANDOMKEY
        "only"
        "#,
    );
}

#[test]
fn patterns() {
    check(
        r#"
        > MSET hello 1 hallo 2 hxllo 3
        OK
        > KEYS h[ae]llo
        ...
        > KEYS h[^ex]llo
        ["hallo"]
        > KEYS "h\\xllo"
        ["hxllo"]
        > KEYS nosuch*
        []
        > KEYS *llo*x
        []
        > KEYS
        -ERR wrong number of arguments for 'keys' command
        > KEYS a b
        -ERR wrong number of arguments for 'keys' command
        > KEYS h?ll[n-z]
        ["h...llo" "h...llo" "h...llo"]
        > DEL hallo hxllo
        2
        > KEYS *
        ["hello"]
        > KEYS h*
        ["hello"]
        > KEYS h**o
        ["hello"]
        "#,
    );
}

#[test]
fn what_a_key_looks_like() {
    check(
        r#"
        > SET n 5
        OK
        > OBJECT ENCODING n
        "int"
        > OBJECT ENCODING nosuch
        nil
        > OBJECT REFCOUNT nosuch
        nil
        > TOUCH n
        1
        > OBJECT IDLETIME n
        0
        > OBJECT FREQ n
        -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        > OBJECT IDLETIME nosuch
        nil
        > OBJECT NOSUCH n
        -ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP.
        > OBJECT
        -ERR wrong number of arguments for 'object' command
        > OBJECT ENCODING
        -ERR wrong number of arguments for 'object|encoding' command
        > OBJECT HELP
        [OBJECT <subcommand> ...]
        > CONFIG SET maxmemory-policy allkeys-lfu
        OK
        > SET m text
        OK
        > OBJECT IDLETIME m
        -ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        > OBJECT FREQ m
        5
        > CONFIG SET maxmemory-policy noeviction
        OK
        "#,
    );
}

#[test]
fn scan_errors() {
    check(
        r#"
        > SCAN
        -ERR wrong number of arguments for 'scan' command
        > SCAN abc
        -ERR invalid cursor
        > SCAN 0 COUNT 0
        -ERR syntax error
        > SCAN 0 COUNT abc
        -ERR value is not an integer or out of range
        > SCAN 0 COUNT
        -ERR syntax error
        > SCAN 0 NOSUCH x
        -ERR syntax error
        > SCAN 0
        ["0" []]
        > SCAN 0 TYPE nosuch
        ["0" []]
        > SET a 1
        OK
        > SCAN 0 MATCH a COUNT 100 TYPE string
        ["0" ["a"]]
        > SCAN 0 TYPE list
        ["0" []]
        "#,
    );
}

#[test]
fn a_whole_scan_sees_every_key_that_stays() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let stay: Vec<(String, usize)> = (0..3_000).map(|i| (format!("stay:{i}"), i)).collect();
    let () = connection.mset(&stay)?;
    let mut seen = HashSet::new();
    let mut cursor = 0_u64;
    let mut round = 0;
    loop {
        let (next, page): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(17).query(&mut connection)?;
        seen.extend(page);
        // Other keys come and go meanwhile, which makes the table grow under the cursor.
        let others: Vec<(String, usize)> = (0..50).map(|i| (format!("other:{round}:{i}"), i)).collect();
        let () = connection.mset(&others)?;
        let () = connection.del(others[..25].iter().map(|(name, _)| name).collect::<Vec<_>>())?;
        round += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert!(
        stay.iter().all(|(name, _)| seen.contains(name)),
        "a key that was there all the time was not returned"
    );
    let matched: HashSet<String> = connection.scan_match("stay:1?")?.collect::<RedisResult<_>>()?;
    assert_eq!(matched.len(), 10);
    Ok(())
}

#[test]
fn keys_disappear_by_themselves() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    for i in 0..200 {
        let () = connection.pset_ex(format!("short:{i}"), i, 20)?;
    }
    let () = connection.set("stays", 1)?;
    // Nobody touches the keys: the count goes down only when the server removes them on its own.
    let gone = wait_until(std::time::Duration::from_secs(10), || {
        redis::cmd("DBSIZE").query::<usize>(&mut connection).is_ok_and(|size| size == 1)
    });
    assert!(gone, "expired keys are still counted after ten seconds");
    Ok(())
}
