use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const MISSING: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
const NOT_POSITIVE: &str = "-ERR Number of fields must be a positive integer";
const UNEQUAL: &str = "-ERR The `numfields` parameter must match the number of arguments";

#[test]
fn hgetdel() {
    let setup = "HSET h a 1 b x c 3";
    check(&[setup, "HGETDEL h FIELDS 3 a x a"], "*3 $1 1 $-1 $-1");
    check(&[setup, "HGETDEL h FIELDS 1 b", "HKEYS h"], "*2 $1 a $1 c");
    check(&[setup, "HGETDEL h FIELDS 3 a b c", "EXISTS h"], ":0");
    check(&["HGETDEL h FIELDS 2 a b"], "*2 $-1 $-1");
    check_effects(&[setup, "HGETDEL h FIELDS 3 a x b"], &["HDEL h a b"]);
    check_effects(&[setup, "HGETDEL h FIELDS 1 x"], &[]);
    check_events(&[setup, "HGETDEL h FIELDS 1 a"], &["hdel h"]);
    check_events(&[setup, "HGETDEL h FIELDS 3 a b c"], &["hdel h", "del h"]);
    check_events(&[setup, "HGETDEL h FIELDS 1 x"], &[]);
    check(&["SET h x", "HGETDEL h X 0 a"], WRONG_TYPE);
    check(&["HGETDEL h X 0 a"], MISSING);
    check(&["HGETDEL h FIELDS 0 a"], NOT_POSITIVE);
    check(&["HGETDEL h FIELDS x a"], NOT_POSITIVE);
    check(&["HGETDEL h FIELDS 2 a"], UNEQUAL);
    check(&["HGETDEL h FIELDS 1"], "-ERR wrong number of arguments for 'hgetdel' command");
    assert_eq!(Bench::resp3().run("HGETDEL h FIELDS 1 a").text(), "*1 _");
}

#[test]
fn hgetex() {
    let setup = ["HSET h a 1 b x", "HEXPIRE h 10 FIELDS 1 a"];
    let with = |line: &'static str| [setup[0], setup[1], line];
    check(&with("HGETEX h FIELDS 3 a x b"), "*3 $1 1 $-1 $1 x");
    check_effects(&with("HGETEX h FIELDS 2 a b"), &[]);
    check_events(&with("HGETEX h FIELDS 2 a b"), &[]);
    for (option, at) in [
        ("EX 100", START_MS + 100_000),
        ("px 100", START_MS + 100),
        ("EXAT 9999999999", 9_999_999_999_000),
        ("PXAT 9999999999999", 9_999_999_999_999),
    ] {
        let line = format!("HGETEX h {option} FIELDS 2 b x");
        check(&[setup[0], setup[1], &line], "*2 $1 x $-1");
        check(&[setup[0], setup[1], &line, "HPEXPIRETIME h FIELDS 1 b"], &format!("*1 :{at}"));
        check_effects(&[setup[0], setup[1], &line], &[&format!("HPEXPIREAT h {at} FIELDS 1 b")]);
        check_events(&[setup[0], setup[1], &line], &["hexpire h"]);
    }
    check(&["HGETEX h EX 100 FIELDS 2 a b"], "*2 $-1 $-1");
    check(&with("HGETEX h PERSIST FIELDS 3 a b x"), "*3 $1 1 $1 x $-1");
    check_effects(&with("HGETEX h PERSIST FIELDS 3 a b x"), &["HPERSIST h FIELDS 1 a"]);
    check_events(&with("HGETEX h PERSIST FIELDS 1 a"), &["hpersist h"]);
    check_effects(&with("HGETEX h PERSIST FIELDS 1 b"), &[]);
}

#[test]
fn hgetex_removes_what_ended_in_the_past() {
    let setup = "HSET h a 1 b x";
    check(&[setup, "HGETEX h EX 0 FIELDS 2 a a"], "*2 $1 1 $-1");
    check(&[setup, "HGETEX h PXAT 1 FIELDS 1 a", "HGETALL h"], "*2 $1 b $1 x");
    check_effects(&[setup, "HGETEX h PXAT 1 FIELDS 2 a x"], &["HDEL h a"]);
    check_events(&[setup, "HGETEX h PXAT 1 FIELDS 2 a b"], &["hdel h", "del h"]);
}

#[test]
fn hgetex_refuses() {
    check(&["SET h x", "HGETEX h EX x FIELDS 1 a"], WRONG_TYPE);
    check(&["HGETEX h X 0 a"], MISSING);
    check(&["HGETEX h PERSIST EX 1 FIELDS 1 a"], MISSING);
    check(&["HGETEX h PERSIST 1 a"], MISSING);
    check(&["HGETEX h EX 1 PX 1 FIELDS 1 a"], MISSING);
    check(&["HGETEX h FIELDS 0 a"], NOT_POSITIVE);
    check(&["HGETEX h EX 10 FIELDS x a"], NOT_POSITIVE);
    check(&["HGETEX h FIELDS 2 a"], UNEQUAL);
    check(&["HGETEX h FIELDS 1 a b"], UNEQUAL);
    check(&["HGETEX h EX x FIELDS 0 a"], "-ERR value is not an integer or out of range");
    check(&["HGETEX h PX -1 FIELDS 0 a"], "-ERR invalid expire time, must be >= 0");
    check(&["HGETEX h EX 70368744178 FIELDS 1 a"], "-ERR invalid expire time in 'hgetex' command");
    check(&["HGETEX h EX 10 FIELDS"], "-ERR wrong number of arguments for 'hgetex' command");
    check(&["HGETEX h FIELDS 1"], "-ERR wrong number of arguments for 'hgetex' command");
}

#[test]
fn hsetex() {
    check(&["HSETEX h FIELDS 2 a 1 b 2"], ":1");
    check(&["HSETEX h FIELDS 2 a 1 b 2", "HGETALL h"], "*4 $1 a $1 1 $1 b $1 2");
    check(&["HSETEX h EX 10 FIELDS 2 a 1 b 2", "HTTL h FIELDS 2 a b"], "*2 :10 :10");
    check(&["HSETEX h EX 10 FIELDS 1 a 1", "HSETEX h FIELDS 1 a 1", "HTTL h FIELDS 1 a"], "*1 :-1");
    check(&["HSETEX h EX 10 FIELDS 1 a 1", "HSETEX h KEEPTTL FIELDS 1 a 2", "HTTL h FIELDS 1 a"], "*1 :10");
    check(&["HSETEX h EX 10 FIELDS 1 a 1", "HSETEX h PX 5000 FIELDS 1 a 2", "HTTL h FIELDS 1 a"], "*1 :5");
    check_effects(&["HSETEX h FIELDS 2 a 1 b 2"], &["HSET h a 1 b 2"]);
    check_effects(&["HSETEX h FNX KEEPTTL FIELDS 1 a 1"], &["HSETEX h KEEPTTL FIELDS 1 a 1"]);
    let at = START_MS + 10_000;
    let effect = format!("HSETEX h PXAT {at} FIELDS 1 a 1");
    check_effects(&["HSETEX h EX 10 FNX FIELDS 1 a 1"], &[&effect]);
    check_effects(&[&effect], &[&effect]);
    check_events(&["HSETEX h FIELDS 1 a 1"], &["new h", "hset h"]);
    check_events(&["HSETEX h EX 10 FIELDS 1 a 1"], &["new h", "hset h", "hexpire h"]);
}

#[test]
fn hsetex_on_a_condition() {
    check(&["HSETEX h FNX FIELDS 2 a 1 b 2"], ":1");
    check(&["HSET h a 1", "HSETEX h fnx FIELDS 2 b 1 a 2"], ":0");
    check(&["HSET h a 1", "HSETEX h FNX FIELDS 2 b 1 a 2", "HGETALL h"], "*2 $1 a $1 1");
    check(&["HSETEX h FXX FIELDS 1 a 1"], ":0");
    check(&["HSETEX h FXX FIELDS 1 a 1", "EXISTS h"], ":0");
    check(&["HSET h a 1 b 2", "HSETEX h EX 5 FXX FIELDS 2 a 3 b 4", "HGETALL h"], "*4 $1 a $1 3 $1 b $1 4");
    check(&["HSET h a 1", "HSETEX h FXX FIELDS 2 a 3 b 4"], ":0");
    check_effects(&["HSET h a 1", "HSETEX h FNX FIELDS 1 a 2"], &[]);
    check_events(&["HSETEX h FXX FIELDS 1 a 1"], &[]);
}

#[test]
fn hsetex_in_the_past() {
    check(&["HSET h a 1 b 2", "HSETEX h EXAT 1 FIELDS 2 a 2 c 3"], ":1");
    check(&["HSET h a 1 b 2", "HSETEX h EX 0 FIELDS 2 a 2 c 3", "HGETALL h"], "*2 $1 b $1 2");
    check(&["HSETEX h PXAT 1 FIELDS 1 a 1", "EXISTS h"], ":0");
    check_effects(&["HSET h a 1 b 2", "HSETEX h PXAT 1 FIELDS 2 a 2 c 3"], &["HDEL h a c"]);
    check_effects(&["HSETEX h PXAT 1 FIELDS 1 a 1"], &["HDEL h a"]);
    check_events(&["HSET h a 1 b 2", "HSETEX h PXAT 1 FIELDS 1 a 2"], &["hset h", "hdel h"]);
    check_events(&["HSET h a 1", "HSETEX h PXAT 1 FIELDS 1 a 2"], &["hset h", "hdel h", "del h"]);
    check_events(&["HSETEX h PXAT 1 FIELDS 1 a 2"], &["new h", "hset h", "hdel h", "del h"]);
}

#[test]
fn hsetex_refuses() {
    let arity = "-ERR wrong number of arguments for 'hsetex' command";
    for line in [
        "HSETEX h FIELDS 1 a",
        "HSETEX h EX 1 FIELDS 1",
        "HSETEX h FIELDS 2 a b c",
        "HSETEX h FIELDS 2 a b c d e",
        "HSETEX h FIELDS 3 a b c d",
        "HSETEX h FIELDS 2147483647 a b c d",
        "HSETEX h FNX EX 1 KEEPTTL",
        "HSETEX h FNX FXX a b",
    ] {
        let error = match line {
            "HSETEX h FNX EX 1 KEEPTTL" => {
                "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
            }
            "HSETEX h FNX FXX a b" => "-ERR Only one of FXX or FNX arguments can be specified",
            _ => arity,
        };
        check(&[line], error);
    }
    check(&["HSETEX h NX FIELDS 1 a b"], "-ERR unknown argument: NX");
    check(&["HSETEX h 1 FIELDS 1 a b"], "-ERR unknown argument: 1");
    for count in ["0", "-1", "x", "2147483648", "9223372036854775808"] {
        check(&[&format!("HSETEX h FIELDS {count} a b")], "-ERR invalid number of fields");
    }
    check(&["HSETEX h EX x FIELDS 1 a b"], "-ERR value is not an integer or out of range");
    check(&["HSETEX h EX FIELDS 1 a b"], "-ERR value is not an integer or out of range");
    check(&["HSETEX h PXAT -1 FIELDS 1 a b"], "-ERR invalid expire time, must be >= 0");
    check(&["HSETEX h EXAT 70368744178 FIELDS 1 a b"], "-ERR invalid expire time in 'hsetex' command");
    check(&["HSETEX h FNX KEEPTTL FNX PX"], "-ERR Only one of FXX or FNX arguments can be specified");
    check(&["HSETEX h FNX FNX FIELDS 1 a b"], "-ERR Only one of FXX or FNX arguments can be specified");
    check(&["HSETEX h FNX FOO KEEPTTL PX"], "-ERR unknown argument: FOO");
    check(&["SET h x", "HSETEX h EX 1 FIELDS 1 a b"], WRONG_TYPE);
    check(&["SET h x", "HSETEX h FIELDS 0 a b"], "-ERR invalid number of fields");
}
