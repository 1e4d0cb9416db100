use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

const A: &str = "ZADD a 1 x 2 y";
const B: &str = "ZADD b 10 y 20 z";
const S: &str = "SADD s y 7";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn zunion() {
    check(&[A, B, "ZUNION 2 a b"], "*3 $1 x $1 y $1 z");
    check(&[A, B, "ZUNION 2 a b WITHSCORES"], "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20");
    check(&[A, B, "ZUNION 2 a b WEIGHTS 2 0.5 WITHSCORES"], "*6 $1 x $1 2 $1 y $1 9 $1 z $2 10");
    check(&[A, B, "ZUNION 2 a b AGGREGATE MIN WITHSCORES"], "*6 $1 x $1 1 $1 y $1 2 $1 z $2 20");
    check(&[A, B, "ZUNION 2 a b aggregate max withscores"], "*6 $1 x $1 1 $1 y $2 10 $1 z $2 20");
    check(&[A, B, "ZUNION 2 a b AGGREGATE COUNT WITHSCORES"], "*6 $1 x $1 1 $1 z $1 1 $1 y $1 2");
    check(&[A, B, "ZUNION 2 a b WEIGHTS 2 3 AGGREGATE COUNT WITHSCORES"], "*6 $1 x $1 2 $1 z $1 3 $1 y $1 5");
    check(&[A, S, "ZUNION 3 a s none WITHSCORES"], "*6 $1 7 $1 1 $1 x $1 1 $1 y $1 3");
    check(&[A, "ZUNION 2 a a WITHSCORES"], "*4 $1 x $1 2 $1 y $1 4");
    check(&["ZUNION 1 none"], "*0");
    check(&["ZADD a inf x", "ZADD b -inf x", "ZUNION 2 a b WITHSCORES"], "*2 $1 x $1 0");
    check(&["ZADD a inf x", "ZUNION 1 a WEIGHTS 0 WITHSCORES"], "*2 $1 x $1 0");
    check(&["SET k v", "ZUNION 1 k NO"], WRONG_TYPE);
    check_lookups(&[A, "ZUNION 2 a none"], 1, 1);
    let mut bench = Bench::resp3();
    bench.run(A);
    assert_eq!(bench.run("ZUNION 1 a WITHSCORES").text(), "*2 *2 $1 x ,1 *2 $1 y ,2");
}

#[test]
fn errors() {
    check(&["ZUNION x a"], "-ERR value is not an integer or out of range");
    check(&["ZUNION 0 a"], "-ERR at least 1 input key is needed for 'zunion' command");
    check(&["ZDIFFSTORE t -1 a"], "-ERR at least 1 input key is needed for 'zdiffstore' command");
    check(&["ZINTER 2 a"], "-ERR syntax error");
    check(&["ZINTER 9223372036854775807 a"], "-ERR syntax error");
    check(&["ZINTER 1 a WEIGHTS"], "-ERR syntax error");
    check(&["ZINTER 2 a b WEIGHTS 1"], "-ERR syntax error");
    check(&["ZINTER 1 a WEIGHTS x"], "-ERR weight value is not a float");
    check(&["ZINTER 1 a AGGREGATE"], "-ERR syntax error");
    check(&["ZINTER 1 a AGGREGATE AVG"], "-ERR syntax error");
    check(&["ZDIFF 1 a WEIGHTS 1"], "-ERR syntax error");
    check(&["ZDIFF 1 a AGGREGATE SUM"], "-ERR syntax error");
    check(&["ZUNIONSTORE t 1 a WITHSCORES"], "-ERR syntax error");
    check(&["ZINTERCARD 1 a WITHSCORES"], "-ERR syntax error");
    check(&["ZINTERCARD 1 a LIMIT"], "-ERR syntax error");
    check(&["ZINTERCARD 1 a LIMIT -1"], "-ERR LIMIT can't be negative");
    check(&["ZINTERCARD 1 a LIMIT x"], "-ERR LIMIT can't be negative");
}

#[test]
fn zinter_and_zintercard() {
    check(&[A, B, "ZINTER 2 a b WITHSCORES"], "*2 $1 y $2 12");
    check(&[A, B, S, "ZINTER 3 a b s WEIGHTS 1 1 100 WITHSCORES"], "*2 $1 y $3 112");
    check(&[A, B, "ZINTER 2 a b AGGREGATE COUNT WITHSCORES"], "*2 $1 y $1 2");
    check(&[A, "ZINTER 2 a none"], "*0");
    check(&["ZADD a inf x", "ZADD b 1 x", "ZINTER 2 b a WEIGHTS 1 0 WITHSCORES"], "*2 $1 x $1 0");
    check(&[A, B, "ZINTERCARD 2 a b"], ":1");
    check(&[A, "ZINTERCARD 1 a"], ":2");
    check(&[A, "ZINTERCARD 1 a LIMIT 1"], ":1");
    check(&[A, "ZINTERCARD 1 a LIMIT 0"], ":2");
    check(&[A, "ZINTERCARD 2 a none"], ":0");
    check(&["SET k v", "ZINTERCARD 1 k"], WRONG_TYPE);
}

#[test]
fn zdiff() {
    check(&[A, B, "ZDIFF 2 a b WITHSCORES"], "*2 $1 x $1 1");
    check(&[A, B, "ZDIFF 2 none a"], "*0");
    check(&[A, "ZDIFF 2 a a"], "*0");
    check(&[A, S, "ZDIFF 2 s a WITHSCORES"], "*2 $1 7 $1 1");
    check(&[A, "ZDIFF 1 a"], "*2 $1 x $1 y");
}

#[test]
fn store_forms() {
    check(&[A, B, "ZUNIONSTORE t 2 a b", "ZRANGE t 0 -1 WITHSCORES"], "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20");
    check(&[A, B, "ZINTERSTORE a 2 a b"], ":1");
    check(&[A, B, "ZINTERSTORE a 2 a b", "ZRANGE a 0 -1 WITHSCORES"], "*2 $1 y $2 12");
    check(&[A, B, "ZDIFFSTORE t 2 a b"], ":1");
    check(&["SET t v", A, "ZDIFFSTORE t 2 a a", "EXISTS t"], ":0");
    check(&["SET t v", A, "ZUNIONSTORE t 1 a", "TYPE t"], "+zset");
    check(&["SET k v", "ZUNIONSTORE t 1 k"], WRONG_TYPE);
    check_effects(&[A, "ZUNIONSTORE t 1 a"], &["ZUNIONSTORE t 1 a"]);
    check_effects(&["ZUNIONSTORE t 1 a"], &[]);
    check_effects(&["SET t v", "ZUNIONSTORE t 1 a"], &["ZUNIONSTORE t 1 a"]);
    check_events(&[A, "ZUNIONSTORE t 1 a"], &["new t", "zunionstore t"]);
    check_events(&[A, "ZINTERSTORE t 1 a"], &["new t", "zinterstore t"]);
    check_events(&[A, "ZDIFFSTORE t 1 a"], &["new t", "zdiffstore t"]);
    check_events(&["SET t v", A, "ZDIFFSTORE t 2 a a"], &["del t"]);
}

#[test]
fn a_large_union_adds_up() {
    let mut bench = Bench::default();
    for number in 0..500 {
        bench.run(&format!("ZADD a {number} m{number}"));
        bench.run(&format!("ZADD b 1000 m{}", number * 2));
    }
    assert_eq!(bench.run("ZUNIONSTORE t 2 a b").text(), ":750");
    assert_eq!(bench.run("OBJECT ENCODING t").text(), "$8 skiplist");
    assert_eq!(bench.run("ZMSCORE t m1 m2 m998").text(), "*3 $1 1 $4 1002 $4 1000");
    assert_eq!(bench.run("ZINTERCARD 2 a b").text(), ":250");
    assert_eq!(bench.run("ZDIFFSTORE t 2 a b").text(), ":250");
    assert_eq!(bench.run("ZINTERSTORE t 2 a b").text(), ":250");
    assert_eq!(bench.run("ZCARD t").text(), ":250");
}
