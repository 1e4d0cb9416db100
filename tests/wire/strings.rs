//! String commands: every option, the edges of the number formats, the errors.

use redis::{Commands, RedisResult};
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn set_with_each_option() {
    check(
        r#"
        > SET k v
        OK
        > GET k
        "v"
        > SET k w NX
        nil
        > SET k w XX
        OK
        > SET new v XX
        nil
        > SET new v NX
        OK
        > SET k x GET
        "w"
        > GET k
        "x"
        > SET absent x GET
        nil
        > GET absent
        "x"
        > SET k y NX GET
        "x"
        > GET k
        "x"
        > SET fresh y NX GET
        nil
        > SET k z EX 1000
        OK
        > SET k z KEEPTTL
        OK
        > EXPIRETIME fresh
        -1
        > SET k z EXAT 4102444800
        OK
        > EXPIRETIME k
        4102444800
        > SET k z KEEPTTL
        OK
        > EXPIRETIME k
        4102444800
        > SET k z PXAT 4102444800123
        OK
        > PEXPIRETIME k
        4102444800123
        > SET k z
        OK
        > PEXPIRETIME k
        -1
        > SET k z EXAT 1500000000
        OK
        > GET k
        nil
        > EXISTS k
        0
        "#,
    );
}

#[test]
fn set_refuses_what_makes_no_sense() {
    check(
        r#"
        > SET k
        -ERR wrong number of arguments for 'set' command
        > SET k v NX XX
        -ERR syntax error
        > SET k v EX
        -ERR syntax error
        > SET k v EX 0
        -ERR invalid expire time in 'set' command
        > SET k v EX -1
        -ERR invalid expire time in 'set' command
        > SET k v PX 0
        -ERR invalid expire time in 'set' command
        > SET k v EX abc
        -ERR value is not an integer or out of range
        > SET k v EX 9223372036854775807
        -ERR invalid expire time in 'set' command
        > SET k v PX 9223372036854775807
        -ERR invalid expire time in 'set' command
        > SET k v EX 10 PX 10
        -ERR syntax error
        > SET k v EX 10 KEEPTTL
        -ERR syntax error
        > SET k v PERSIST
        -ERR syntax error
        > SET k v NOSUCH
        -ERR syntax error
        > SETEX k 0 v
        -ERR invalid expire time in 'setex' command
        > PSETEX k -1 v
        -ERR invalid expire time in 'psetex' command
        > SETEX k abc v
        -ERR value is not an integer or out of range
        > SETEX k 10
        -ERR wrong number of arguments for 'setex' command
        > EXISTS k
        0
        "#,
    );
}

#[test]
fn get_and_change_in_one_step() {
    check(
        r#"
        > GETSET k v
        nil
        > GETSET k w
        "v"
        > GETDEL k
        "w"
        > GETDEL k
        nil
        > SET k v
        OK
        > GETEX k EXAT 4102444800
        "v"
        > EXPIRETIME k
        4102444800
        > GETEX k
        "v"
        > EXPIRETIME k
        4102444800
        > GETEX k PERSIST
        "v"
        > EXPIRETIME k
        -1
        > GETEX k PXAT 4102444800123
        "v"
        > PEXPIRETIME k
        4102444800123
        > GETEX k EX 0
        -ERR invalid expire time in 'getex' command
        > GETEX k EX abc
        -ERR value is not an integer or out of range
        > GETEX k EX 10 PX 10
        -ERR syntax error
        > GETEX k PERSIST EX 10
        -ERR syntax error
        > GETEX k KEEPTTL
        -ERR syntax error
        > GETEX k PXAT 1
        "v"
        > EXISTS k
        0
        > GETEX absent EX 10
        nil
        "#,
    );
}

#[test]
fn many_keys_at_once() {
    check(
        r#"
        > MSET a 1 b 2 c ""
        OK
        > MGET a b c absent a
        ["1" "2" "" nil "1"]
        > MSET a 1 b
        -ERR wrong number of arguments for 'mset' command
        > MSET
        -ERR wrong number of arguments for 'mset' command
        > MSETNX d 4 e 5
        1
        > MSETNX e 6 f 7
        0
        > MGET d e f
        ["4" "5" nil]
        > MSET same 1 same 2
        OK
        > GET same
        "2"
        "#,
    );
}

#[test]
fn pieces_of_a_string() {
    check(
        r#"
        > APPEND k "Hello "
        6
        > APPEND k World
        11
        > GET k
        "Hello World"
        > STRLEN k
        11
        > STRLEN absent
        0
        > GETRANGE k 0 4
        "Hello"
        > GETRANGE k -5 -1
        "World"
        > GETRANGE k 0 -1
        "Hello World"
        > GETRANGE k 5 2
        ""
        > GETRANGE k -100 100
        "Hello World"
        > GETRANGE k 100 200
        ""
        > GETRANGE absent 0 -1
        ""
        > GETRANGE k a 1
        -ERR value is not an integer or out of range
        > SUBSTR k 1 3
        "ell"
        > SETRANGE k 6 Redis
        11
        > SETRANGE pad 3 ab
        5
        > GET pad
        "\x00\x00\x00ab"
        > SETRANGE k 0 ""
        11
        > SETRANGE absent 5 ""
        0
        > EXISTS absent
        0
        > SETRANGE k -1 x
        -ERR offset is out of range
        > SETRANGE k 536870912 x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE k abc x
        -ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn integers_and_their_limits() {
    check(
        r#"
        > INCR n
        1
        > INCRBY n 41
        42
        > DECR n
        41
        > DECRBY n 50
        -9
        > SET n 9223372036854775807
        OK
        > INCR n
        -ERR increment or decrement would overflow
        > DECRBY n -1
        -ERR increment or decrement would overflow
        > DECRBY n -9223372036854775808
        -ERR decrement would overflow
        > SET n -9223372036854775808
        OK
        > DECR n
        -ERR increment or decrement would overflow
        > INCRBY n 1.5
        -ERR value is not an integer or out of range
        > INCRBY n 9223372036854775808
        -ERR value is not an integer or out of range
        > SET s abc
        OK
        > INCR s
        -ERR value is not an integer or out of range
        > SET s " 1"
        OK
        > INCR s
        -ERR value is not an integer or out of range
        > SET s 01
        OK
        > INCR s
        -ERR value is not an integer or out of range
        > SET s ""
        OK
        > INCR s
        -ERR value is not an integer or out of range
        > OBJECT ENCODING n
        "int"
        > OBJECT ENCODING s
        "embstr"
        "#,
    );
}

#[test]
fn floats_print_like_redis() {
    check(
        r#"
        > INCRBYFLOAT f 10.50
        "10.5"
        > INCRBYFLOAT f 0.1
        "10.6"
        > INCRBYFLOAT f -5
        "5.6"
        > SET f 5.0e3
        OK
        > INCRBYFLOAT f 2.0e2
        "5200"
        > SET f 3
        OK
        > INCRBYFLOAT f 1.1
        "4.1"
        > INCRBYFLOAT f 1e17
        "100000000000000004.1015625"
        > SET f 0
        OK
        > INCRBYFLOAT f 0.00000000000000001
        "0.00000000000000001"
        > INCRBYFLOAT f abc
        -ERR value is not a valid float
        > INCRBYFLOAT f inf
        -ERR increment would produce NaN or Infinity
        > INCRBYFLOAT f nan
        -ERR value is not a valid float
        > INCRBYFLOAT f " 1"
        -ERR value is not a valid float
        > INCRBYFLOAT f ""
        -ERR value is not a valid float
        > SET f abc
        OK
        > INCRBYFLOAT f 1
        -ERR value is not a valid float
        "#,
    );
}

#[test]
fn longest_common_subsequence() {
    check(
        r#"
        > MSET a ohmytext b mynewtext
        OK
        > LCS a b
        "mytext"
        > LCS a b LEN
        6
        > LCS a b IDX
        ["matches" [[[4 7] [5 8]] [[2 3] [0 1]]] "len" 6]
        > LCS a b IDX MINMATCHLEN 4
        ["matches" [[[4 7] [5 8]]] "len" 6]
        > LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
        ["matches" [[[4 7] [5 8] 4]] "len" 6]
        > LCS a b IDX LEN
        -ERR If you want both the length and indexes, please just use IDX.
        > LCS a absent
        ""
        > LCS a absent IDX
        ["matches" [] "len" 0]
        > LCS a b MINMATCHLEN
        -ERR syntax error
        > LCS a b NOSUCH
        -ERR syntax error
        > LCS a
        -ERR wrong number of arguments for 'lcs' command
        "#,
    );
}

#[test]
fn encodings_follow_redis_limits() {
    check(
        r#"
        > SET s 12345678901234567890
        OK
        > OBJECT ENCODING s
        "embstr"
        > SET s 9223372036854775807
        OK
        > OBJECT ENCODING s
        "int"
        > SET s 01234567890123456789012345678901234567890123
        OK
        > OBJECT ENCODING s
        "embstr"
        > SET s x1234567890123456789012345678901234567890123
        OK
        > OBJECT ENCODING s
        "embstr"
        > SET s x12345678901234567890123456789012345678901234
        OK
        > OBJECT ENCODING s
        "raw"
        > SET s abc
        OK
        > APPEND s d
        4
        > OBJECT ENCODING s
        "raw"
        > SET s 1
        OK
        > APPEND s 2
        2
        > OBJECT ENCODING s
        "raw"
        > SETRANGE new 0 a
        1
        > OBJECT ENCODING new
        "raw"
        > SET f 1.5
        OK
        > INCRBYFLOAT f 1
        "2.5"
        > OBJECT ENCODING f
        "embstr"
        "#,
    );
}

#[test]
fn a_client_library_stores_binary_and_large_values() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let () = connection.set(&all_bytes[..256], &all_bytes)?;
    let stored: Vec<u8> = connection.get(&all_bytes[..256])?;
    assert!(stored == all_bytes, "a binary value of 3 MB came back changed");
    assert_eq!(connection.strlen::<_, usize>(&all_bytes[..256])?, all_bytes.len());
    let pairs: Vec<(String, usize)> = (0..5_000).map(|i| (format!("key:{i}"), i)).collect();
    let () = connection.mset(&pairs)?;
    let names: Vec<&String> = pairs.iter().map(|(name, _)| name).collect();
    let values: Vec<usize> = connection.mget(&names)?;
    assert!(values.iter().copied().eq(0..5_000));
    Ok(())
}

#[test]
fn increments_of_many_clients_add_up() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let url = server.url();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> RedisResult<()> {
                    let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
                    for _ in 0..500 {
                        let _: i64 = connection.incr("counter", 1)?;
                        let _: i64 = redis::cmd("APPEND").arg("text").arg("xy").query(&mut connection)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    assert_eq!(connection.get::<_, i64>("counter")?, 4_000);
    assert_eq!(connection.strlen::<_, usize>("text")?, 8_000);
    Ok(())
}
