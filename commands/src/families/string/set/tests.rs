use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

#[test]
fn set() {
    check(&["SET a 1"], "+OK");
    check(&["SET a 1", "SET a 2", "GET a"], "$1 2");
    check(&["SET a"], "-ERR wrong number of arguments for 'set' command");
    check_effects(&["SET a b"], &["SET a b"]);
    check_events(&["SET a b"], &["new a", "set a"]);
    check_events(&["SET a b", "SET a c"], &["set a"]);
}

#[test]
fn set_discards_the_old_deadline() {
    check_effects(&["SET a b EX 5", "SET a c", "GETEX a PERSIST"], &[]);
    check_effects(&["SET a b EX 5", "SET a c KEEPTTL", "GETEX a PERSIST"], &["PERSIST a"]);
    check_effects(&["SET a b EX 5", "SET a c KEEPTTL"], &["SET a c KEEPTTL"]);
}

#[test]
fn set_with_conditions() {
    check(&["SET a 1 NX"], "+OK");
    check(&["SET a 1", "SET a 2 nx"], "$-1");
    check(&["SET a 1", "SET a 2 NX", "GET a"], "$1 1");
    check(&["SET a 1 XX"], "$-1");
    check(&["SET a 1 XX", "GET a"], "$-1");
    check(&["SET a 1", "SET a 2 xX"], "+OK");
    check(&["SET a 1 NX NX"], "+OK");
    check_effects(&["SET a 1 nx"], &["SET a 1 nx"]);
    check_effects(&["SET a 1 XX"], &[]);
    check_events(&["SET a 1", "SET a 1 NX"], &[]);
    let mut bench = Bench::resp3();
    assert_eq!(bench.run("SET a 1 XX").text(), "_");
}

#[test]
fn set_with_get() {
    check(&["SET a 1 GET"], "$-1");
    check(&["SET a 1", "SET a 2 GET"], "$1 1");
    check(&["SET a 1", "SET a 2 GET", "GET a"], "$1 2");
    check(&["SET a 1", "SET a 2 NX GET"], "$1 1");
    check(&["SET a 1", "SET a 2 NX GET", "GET a"], "$1 1");
    check(&["SET a 1 XX GET"], "$-1");
    check(&["SET a 1 NX GET", "GET a"], "$1 1");
    check_effects(&["SET a 1 get NX GET"], &["SET a 1 NX"]);
    check_effects(&["SET a GET GET"], &["SET a GET"]);
    check_effects(&["SET a 1", "SET a 2 NX GET"], &[]);
    check_effects(&["SET a 1 GET EX 5"], &[&format!("SET a 1 PXAT {}", START_MS + 5000)]);
    check_events(&["SET a 1 GET"], &["keymiss a", "new a", "set a"]);
}

#[test]
fn set_with_a_deadline() {
    check(&["SET a 1 EX 5"], "+OK");
    check_effects(&["SET a 1 EX 5"], &[&format!("SET a 1 PXAT {}", START_MS + 5000)]);
    check_effects(&["SET a 1 px 5 NX"], &[&format!("SET a 1 PXAT {}", START_MS + 5)]);
    check_effects(&["SET a 1 EXAT 9999999999"], &["SET a 1 PXAT 9999999999000"]);
    check_effects(&["SET a 1 PXAT 9999999999000"], &["SET a 1 PXAT 9999999999000"]);
    check_events(&["SET a 1 EX 5"], &["new a", "set a", "expire a"]);
    // A deadline of the past is stored, and the key goes away at its next touch.
    check(&["SET a 1 PXAT 1"], "+OK");
    check_effects(&["SET a 1 PXAT 1"], &["SET a 1 PXAT 1"]);
    check_effects(&["SET a 1 PXAT 1", "GET a"], &["DEL a"]);
    check_events(&["SET a 1 PXAT 1", "GET a"], &["expired a", "keymiss a"]);
}

#[test]
fn set_refuses() {
    for line in [
        "SET a 1 FOO",
        "SET a 1 NX XX",
        "SET a 1 EX",
        "SET a 1 EX 1 PX 1",
        "SET a 1 EX 1 KEEPTTL",
        "SET a 1 PERSIST",
        "SET a 1 NX IFEQ b",
        "SET a 1 IFEQ b XX",
        "SET a 1 IFEQ b IFNE c",
        "SET a 1 IFEQ",
        "SET a 1 \"\"",
    ] {
        check(&[line], "-ERR syntax error");
    }
    let invalid = "-ERR invalid expire time in 'set' command";
    check(&["SET a 1 EX 0"], invalid);
    check(&["SET a 1 PX -1"], invalid);
    check(&["SET a 1 EX 9223372036854775807"], invalid);
    check(&["SET a 1 PX 9223372036854775807"], invalid);
    check(&["SET a 1 EX 1.5"], "-ERR value is not an integer or out of range");
    check(&["SET a 1 EX 0 FOO"], "-ERR syntax error");
    check(&["SET a 1", "SET a 2 EX 0 GET", "GET a"], "$1 1");
}

#[test]
fn set_compares_with_the_present_value() {
    check(&["SET a hello", "SET a world IFEQ hello"], "+OK");
    check(&["SET a hello", "SET a world IFEQ other"], "$-1");
    check(&["SET a hello", "SET a world ifeq other", "GET a"], "$5 hello");
    check(&["SET a world IFEQ hello"], "$-1");
    check(&["SET a hello", "SET a world IFNE other"], "+OK");
    check(&["SET a hello", "SET a world IFNE hello"], "$-1");
    check(&["SET a world IFNE hello"], "+OK");
    check(&["SET a 12345", "SET a world IFEQ 12345"], "+OK");
    check(&["SET a \"\"", "SET a world IFNE \"\""], "$-1");
    check(&["SET a hello", "SET a world IFEQ hello GET"], "$5 hello");
    check(&["SET a hello", "SET a world IFEQ other GET"], "$5 hello");
    check(&["SET a world IFNE hello GET", "GET a"], "$5 world");
}

#[test]
fn set_compares_with_the_digest_of_the_present_value() {
    // XXH3 of `hello` is 9555e8555c62dcfd.
    check(&["SET a hello", "SET a world IFDEQ 9555e8555c62dcfd"], "+OK");
    check(&["SET a hello", "SET a world IFDEQ 9555E8555C62DCFD"], "+OK");
    check(&["SET a hello", "SET a world IFDEQ 9555e8555c62dcfe"], "$-1");
    check(&["SET a hello", "SET a world IFDNE 9555e8555c62dcfe"], "+OK");
    check(&["SET a hello", "SET a world IFDNE 9555e8555c62dcfd"], "$-1");
    let malformed = "-ERR must be exactly 16 hexadecimal characters";
    check(&["SET a hello", "SET a world IFDEQ 9555e8555c62dcf"], malformed);
    check(&["SET a hello", "SET a world IFDNE 09555e8555c62dcfd"], malformed);
    // A missing key has no digest to compare with, so that of the request is not looked at.
    check(&["SET a world IFDEQ 1"], "$-1");
    check(&["SET a world IFDNE 1"], "+OK");
}

#[test]
fn comparisons_are_decided_before_they_are_replayed() {
    check_effects(&["SET a b", "SET a c IFEQ b"], &["SET a c"]);
    check_effects(&["SET a b", "SET a c IFEQ b KEEPTTL"], &["SET a c KEEPTTL"]);
    check_effects(&["SET a b", "SET a c IFNE c GET"], &["SET a c"]);
    check_effects(&["SET a b", "SET a c IFEQ b EX 5"], &[&format!("SET a c PXAT {}", START_MS + 5000)]);
    check_effects(&["SET a b", "SET a c IFEQ d"], &[]);
}

#[test]
fn setnx() {
    check(&["SETNX a 1"], ":1");
    check(&["SETNX a 1", "SETNX a 2"], ":0");
    check(&["SETNX a 1", "SETNX a 2", "GET a"], "$1 1");
    check_effects(&["SETNX a 1"], &["SETNX a 1"]);
    check_effects(&["SETNX a 1", "SETNX a 1"], &[]);
    check_events(&["SETNX a 1"], &["new a", "set a"]);
}

#[test]
fn setnx_sees_no_expired_key() {
    let mut bench = Bench::default();
    bench.run("SET a 1 PX 10");
    bench.now_ms += 11;
    let ran = bench.run("SETNX a 2");
    assert_eq!(ran.text(), ":1");
    assert_eq!(ran.events, ["expired a", "new a", "set a"]);
}

#[test]
fn setex_and_psetex() {
    check(&["SETEX a 10 b"], "+OK");
    check(&["SETEX a 10 b", "GET a"], "$1 b");
    check_effects(&["SETEX a 10 b"], &[&format!("SET a b PXAT {}", START_MS + 10_000)]);
    check_effects(&["PSETEX a 10 b"], &[&format!("SET a b PXAT {}", START_MS + 10)]);
    check_events(&["SETEX a 10 b"], &["new a", "set a", "expire a"]);
    check_events(&["PSETEX a 10 b"], &["new a", "set a", "expire a"]);
    check(&["SETEX a 0 b"], "-ERR invalid expire time in 'setex' command");
    check(&["SETEX a -10 b"], "-ERR invalid expire time in 'setex' command");
    check(&["PSETEX a 0 b"], "-ERR invalid expire time in 'psetex' command");
    check(&["SETEX a x b"], "-ERR value is not an integer or out of range");
    check(&["PSETEX a 1.5 b"], "-ERR value is not an integer or out of range");
}

#[test]
fn getset() {
    check(&["GETSET a 1"], "$-1");
    check(&["SET a 1 EX 5", "GETSET a 2"], "$1 1");
    check(&["SET a 1", "GETSET a 2", "GET a"], "$1 2");
    check_effects(&["GETSET a 1"], &["SET a 1"]);
    check_effects(&["SET a 1 EX 5", "GETSET a 2", "GETEX a PERSIST"], &[]);
    check_events(&["SET a 1", "GETSET a 2"], &["set a"]);
}
