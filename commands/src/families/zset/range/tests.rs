use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

const ADD: &str = "ZADD k 1 a 2 b 2 bb 3.5 c 4 d";
const SAME: &str = "ZADD k 0 a 0 b 0 c 0 d 0 e";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn zrange_by_rank() {
    check(&[ADD, "ZRANGE k 0 1"], "*2 $1 a $1 b");
    check(&[ADD, "ZRANGE k -2 -1 WITHSCORES"], "*4 $1 c $3 3.5 $1 d $1 4");
    check(&[ADD, "ZRANGE k 0 1 REV"], "*2 $1 d $1 c");
    check(&[ADD, "ZREVRANGE k 0 1"], "*2 $1 d $1 c");
    check(&[ADD, "ZREVRANGE k -1 9 withscores"], "*2 $1 a $1 1");
    check(&[ADD, "ZRANGE k 5 9"], "*0");
    check(&[ADD, "ZRANGE k 3 1"], "*0");
    check(&[ADD, "ZRANGE k -9223372036854775808 9223372036854775807 REV"], "*5 $1 d $1 c $2 bb $1 b $1 a");
    check(&["ZRANGE k 0 -1"], "*0");
    check(&["SET k v", "ZRANGE k 0 -1"], WRONG_TYPE);
    check(&["ZRANGE k a 1"], "-ERR value is not an integer or out of range");
    check(&[ADD, "ZRANGE k 0 0 LIMIT -5 -1"], "*1 $1 a");
    check(
        &["ZRANGE k 0 0 LIMIT 0 1"],
        "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    );
    check(&["ZREVRANGE k 0 0 REV"], "-ERR syntax error");
    check(&["ZREVRANGE k 0 0 BYSCORE"], "-ERR syntax error");
    check(&["ZRANGE k 0 0 REV REV"], "-ERR syntax error");
    check_lookups(&[ADD, "ZRANGE k 0 1"], 1, 0);
    let mut bench = Bench::resp3();
    bench.run(ADD);
    assert_eq!(bench.run("ZRANGE k 2 3 WITHSCORES").text(), "*2 *2 $2 bb ,2 *2 $1 c ,3.5");
    assert_eq!(bench.run("ZRANGE k 9 9 WITHSCORES").text(), "*0");
}

#[test]
fn zrange_by_score() {
    check(&[ADD, "ZRANGEBYSCORE k 2 3.5"], "*3 $1 b $2 bb $1 c");
    check(&[ADD, "ZRANGE k (2 3.5 BYSCORE"], "*1 $1 c");
    check(&[ADD, "ZRANGEBYSCORE k -inf (2"], "*1 $1 a");
    check(&[ADD, "ZRANGEBYSCORE k -inf +inf LIMIT 1 2"], "*2 $1 b $2 bb");
    check(&[ADD, "ZRANGEBYSCORE k -inf +inf LIMIT 3 -7"], "*2 $1 c $1 d");
    check(&[ADD, "ZRANGEBYSCORE k -inf +inf LIMIT 5 1"], "*0");
    check(&[ADD, "ZRANGEBYSCORE k -inf +inf LIMIT -1 1"], "*0");
    check(&[ADD, "ZRANGEBYSCORE k -inf +inf LIMIT 0 0"], "*0");
    check(&[ADD, "ZREVRANGEBYSCORE k +inf 2 LIMIT 1 2 WITHSCORES"], "*4 $1 c $3 3.5 $2 bb $1 2");
    check(&[ADD, "ZRANGE k +inf 2 REV BYSCORE LIMIT 3 9223372036854775807"], "*1 $1 b");
    check(&[ADD, "ZRANGEBYSCORE k 4 1"], "*0");
    check(&[ADD, "ZRANGEBYSCORE k 0x4 1e400"], "*1 $1 d");
    check(&["ZRANGEBYSCORE k x 1"], "-ERR min or max is not a float");
    check(&["ZRANGEBYSCORE k 1 nan"], "-ERR min or max is not a float");
    check(&["ZRANGEBYSCORE k x 1 LIMIT a 1"], "-ERR value is not an integer or out of range");
    check(&["ZRANGEBYSCORE k 0 1 LIMIT 1"], "-ERR syntax error");
    check(&["ZRANGEBYSCORE k 0 1 REV"], "-ERR syntax error");
    check(&["ZRANGE k 0 1 BYSCORE BYLEX"], "-ERR syntax error");
    check(&["SET k v", "ZRANGEBYSCORE k 0 1"], WRONG_TYPE);
}

#[test]
fn zrange_by_name() {
    check(&[SAME, "ZRANGEBYLEX k - [c"], "*3 $1 a $1 b $1 c");
    check(&[SAME, "ZRANGEBYLEX k (a (d"], "*2 $1 b $1 c");
    check(&[SAME, "ZRANGE k - + BYLEX LIMIT 1 2"], "*2 $1 b $1 c");
    check(&[SAME, "ZREVRANGEBYLEX k + (c"], "*2 $1 e $1 d");
    check(&[SAME, "ZRANGE k + - BYLEX REV LIMIT 1 2"], "*2 $1 d $1 c");
    check(&[SAME, "ZRANGEBYLEX k + -"], "*0");
    check(&[SAME, "ZRANGEBYLEX k [d [b"], "*0");
    check(&[SAME, "ZRANGEBYLEX k [bx [bz"], "*0");
    let wrong = "-ERR min or max not valid string range item";
    check(&["ZRANGEBYLEX k a b"], wrong);
    check(&["ZRANGEBYLEX k [a \"\""], wrong);
    check(&["ZRANGEBYLEX k -x +"], wrong);
    check(
        &["ZRANGE k - + WITHSCORES BYLEX"],
        "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
    );
    check(
        &["ZRANGEBYLEX k - + WITHSCORES"],
        "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
    );
    check(&["SET k v", "ZREVRANGEBYLEX k + -"], WRONG_TYPE);
}

#[test]
fn zrangestore_stores_a_range() {
    check(&[ADD, "ZRANGESTORE t k 1 2"], ":2");
    check(&[ADD, "ZRANGESTORE t k 1 2", "ZRANGE t 0 -1 WITHSCORES"], "*4 $1 b $1 2 $2 bb $1 2");
    check(&[ADD, "ZRANGESTORE t k +inf (1 BYSCORE REV LIMIT 1 1", "ZRANGE t 0 -1"], "*1 $1 c");
    check(&[ADD, "ZRANGESTORE k k 0 0", "ZRANGE k 0 -1"], "*1 $1 a");
    check(&[ADD, "ZRANGESTORE t k 9 9"], ":0");
    check(&["SET t v", "ZRANGESTORE t k 0 -1", "EXISTS t"], ":0");
    check(&["SET t v", "ZADD k 1 a", "ZRANGESTORE t k 0 -1", "TYPE t"], "+zset");
    check(&["ZRANGESTORE t k 0 -1 WITHSCORES"], "-ERR syntax error");
    check(&["SET k v", "ZRANGESTORE t k 0 -1"], WRONG_TYPE);
    check_effects(&[ADD, "ZRANGESTORE t k 1 2"], &["ZRANGESTORE t k 1 2"]);
    check_effects(&["ZRANGESTORE t k 1 2"], &[]);
    check_effects(&["SET t v", "ZRANGESTORE t k 1 2"], &["ZRANGESTORE t k 1 2"]);
    check_events(&[ADD, "ZRANGESTORE t k 1 2"], &["new t", "zrangestore t"]);
    check_events(&["SET t v", "ZRANGESTORE t k 1 2"], &["keymiss k", "del t"]);
    check_events(&["ZRANGESTORE t k 1 2"], &["keymiss k"]);
}

#[test]
fn zcount_and_zlexcount() {
    check(&[ADD, "ZCOUNT k 2 3.5"], ":3");
    check(&[ADD, "ZCOUNT k (2 +inf"], ":2");
    check(&[ADD, "ZCOUNT k 3 2"], ":0");
    check(&["ZCOUNT k 0 1"], ":0");
    check(&["ZCOUNT k x 1"], "-ERR min or max is not a float");
    check(&["SET k v", "ZCOUNT k 0 1"], WRONG_TYPE);
    check(&[SAME, "ZLEXCOUNT k [b +"], ":4");
    check(&[SAME, "ZLEXCOUNT k (b (c"], ":0");
    check(&["ZLEXCOUNT k - +"], ":0");
    check(&["ZLEXCOUNT k - 1"], "-ERR min or max not valid string range item");
    check(&["SET k v", "ZLEXCOUNT k - +"], WRONG_TYPE);
}
