use crate::model::check::{Bench, check, check_changes, check_effects, check_events, check_lookups};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn as_numbers() {
    check(&["RPUSH l 10 9 1 100", "SORT l"], "*4 $1 1 $1 9 $2 10 $3 100");
    check(&["RPUSH l 10 9 1 100", "SORT l DESC"], "*4 $3 100 $2 10 $1 9 $1 1");
    check(&["RPUSH l 10 9 1 100", "SORT_RO l DESC ASC"], "*4 $1 1 $1 9 $2 10 $3 100");
    check(&["SADD s 3 1 2", "SORT s"], "*3 $1 1 $1 2 $1 3");
    check(&["ZADD z 1 30 2 20 3 10", "SORT z"], "*3 $2 10 $2 20 $2 30");
    check(&["RPUSH l 1.0 1 0x1", "SORT l"], "*3 $3 0x1 $1 1 $3 1.0");
    check(&["RPUSH l 1.0 1 0x1", "SORT l DESC"], "*3 $3 1.0 $1 1 $3 0x1");
    check(&["RPUSH l a 1", "SORT l"], "-ERR One or more scores can't be converted into double");
    check(&["RPUSH l nan", "SORT l"], "-ERR One or more scores can't be converted into double");
    check(&["SORT none"], "*0");
    check(&["SET s x", "SORT s"], WRONG_TYPE);
    check(&["HSET h f v", "SORT_RO h"], WRONG_TYPE);
    check_lookups(&["SORT none"], 0, 1);
    check_effects(&["RPUSH l 1 2", "SORT l"], &[]);
}

#[test]
fn as_texts() {
    check(&["RPUSH l b a 10 9 \"\"", "SORT l ALPHA"], "*5 $0  $2 10 $1 9 $1 a $1 b");
    check(&["RPUSH l b a c", "SORT l alpha desc"], "*3 $1 c $1 b $1 a");
}

#[test]
fn limits() {
    let l = "RPUSH l 5 4 3 2 1";
    check(&[l, "SORT l LIMIT 1 2"], "*2 $1 2 $1 3");
    check(&[l, "SORT l LIMIT 0 -1"], "*5 $1 1 $1 2 $1 3 $1 4 $1 5");
    check(&[l, "SORT l LIMIT -5 1"], "*1 $1 1");
    check(&[l, "SORT l LIMIT 4 100"], "*1 $1 5");
    check(&[l, "SORT l LIMIT 5 1"], "*0");
    check(&[l, "SORT l LIMIT 0 0"], "*0");
    check(&[l, "SORT l LIMIT 9223372036854775807 9223372036854775807"], "*0");
    check(&[l, "SORT l LIMIT -9223372036854775808 9223372036854775807 LIMIT 1 1"], "*1 $1 2");
    check(&["SORT none LIMIT 1 1"], "*0");
    check(&[l, "SORT l LIMIT 1"], "-ERR syntax error");
    check(&[l, "SORT l LIMIT x 1"], "-ERR value is not an integer or out of range");
}

#[test]
fn by_other_keys() {
    let weights = ["RPUSH l 1 2 3", "MSET w1 3 w2 1 w3 2", "HSET h1 f b", "HSET h2 f c", "HSET h3 f a"];
    let after = |line: &str, reply: &str| check(&[&weights[..], &[line]].concat(), reply);
    after("SORT l BY w*", "*3 $1 2 $1 3 $1 1");
    after("SORT l BY w* DESC", "*3 $1 1 $1 3 $1 2");
    after("SORT l BY w* LIMIT 1 1", "*1 $1 3");
    after("SORT l BY h*->f ALPHA", "*3 $1 3 $1 1 $1 2");
    after("SORT l BY h*->none ALPHA", "*3 $1 1 $1 2 $1 3");
    after("SORT l BY none* DESC", "*3 $1 3 $1 2 $1 1");
    after("SORT l BY h*->f", "-ERR One or more scores can't be converted into double");
    after("SORT l BY h*", "*3 $1 1 $1 2 $1 3");
    after("SORT l BY w*->f", "*3 $1 1 $1 2 $1 3");
    after("SORT_RO l BY w* GET # GET w*", "*6 $1 2 $1 1 $1 3 $1 2 $1 1 $1 3");
}

#[test]
fn by_nothing() {
    check(&["RPUSH l 3 1 2", "SORT l BY nosort"], "*3 $1 3 $1 1 $1 2");
    check(&["RPUSH l 3 1 2", "SORT l BY nosort DESC"], "*3 $1 2 $1 1 $1 3");
    check(&["RPUSH l 3 1 2", "SORT l BY nosort LIMIT 1 1"], "*1 $1 1");
    check(&["RPUSH l 3 1 2 4", "SORT l BY nosort DESC LIMIT 1 2"], "*2 $1 2 $1 1");
    check(&["RPUSH l 3 1 2", "SORT l BY nosort LIMIT 5 2"], "*0");
    check(&["ZADD z 1 a 5 b 2 c", "SORT z BY nosort"], "*3 $1 a $1 c $1 b");
    check(&["ZADD z 1 a 5 b 2 c", "SORT z BY nosort DESC LIMIT 0 2"], "*2 $1 b $1 c");
    check(&["ZADD z 1 a 5 b 2 c", "SORT z BY nosort LIMIT 1 1"], "*1 $1 c");
    check(&["ZADD z 1 a", "SORT z BY nosort LIMIT 0 0"], "*0");
    check(&["RPUSH l b a", "SORT l BY nosort BY w*"], "*2 $1 b $1 a");
}

#[test]
fn getting() {
    let keys = ["RPUSH l 1 2", "SET v1 one", "SET n1 5", "HSET h2 f 7"];
    let after = |line: &str, reply: &str| check(&[&keys[..], &[line]].concat(), reply);
    after("SORT l GET v*", "*2 $3 one $-1");
    after("SORT l GET n* GET # GET h*->f", "*6 $1 5 $1 1 $-1 $-1 $1 2 $1 7");
    after("SORT l GET v1", "*2 $-1 $-1");
    after("SORT l GET", "-ERR syntax error");
    let mut bench = Bench::resp3();
    bench.run("RPUSH l 1");
    assert_eq!(bench.run("SORT l GET v*").text(), "*1 _");
    check_lookups(&["RPUSH l 1 2", "SET v1 one", "SORT l BY w* GET v*"], 2, 3);
    check_events(&["RPUSH l 1", "SORT l BY w* GET v*"], &["keymiss w1", "keymiss v1"]);
}

#[test]
fn storing() {
    check(&["RPUSH l 2 1", "SORT l STORE d"], ":2");
    check(&["RPUSH l 2 1", "SORT l STORE d", "LRANGE d 0 -1"], "*2 $1 1 $1 2");
    check(&["RPUSH l 2 1", "SORT l STORE l", "LRANGE l 0 -1"], "*2 $1 1 $1 2");
    check(&["RPUSH l 2 1", "SET d x PX 500", "SORT l STORE d", "PTTL d"], ":-1");
    check(&["RPUSH l 2 1", "SET v1 one", "SORT l GET v* STORE d", "LRANGE d 0 -1"], "*2 $3 one $0");
    check(&["RPUSH l 2 1", "SORT l STORE c STORE d", "EXISTS c d"], ":1");
    check(&["SET d x", "SORT none STORE d"], ":0");
    check(&["SET d x", "SORT none STORE d", "EXISTS d"], ":0");
    check(&["RPUSH l b a", "SORT l STORE d"], "-ERR One or more scores can't be converted into double");
    check(&["SADD s b a c", "SORT s BY nosort STORE d", "LRANGE d 0 -1"], "*3 $1 a $1 b $1 c");
    check(&["RPUSH l 1", "SORT_RO l STORE d"], "-ERR syntax error");
    check(&["RPUSH l 1", "SORT l STORE get STORE d"], ":1");
    check(&["RPUSH l 1", "SORT l STORE"], "-ERR syntax error");
    check_effects(&["RPUSH l 2 1", "SORT l STORE d"], &["SORT l STORE d"]);
    check_effects(&["SORT none STORE d"], &[]);
    check_events(&["RPUSH l 2 1", "SORT l STORE d"], &["new d", "sortstore d"]);
    check_changes(&["RPUSH l 2 1", "SORT l STORE d"], 2);
    check_events(&["SET d x", "SORT none STORE d"], &["keymiss none", "del d"]);
}

#[test]
fn in_a_cluster_other_keys_are_out_of_reach() {
    let mut bench = Bench::default();
    bench.limits.cluster = true;
    bench.run("RPUSH l 2 1");
    assert_eq!(bench.run("SORT l BY w*").text(), "-ERR BY option of SORT denied in Cluster mode.");
    assert_eq!(bench.run("SORT l GET #").text(), "-ERR GET option of SORT denied in Cluster mode.");
    assert_eq!(bench.run("SORT l BY nosort").text(), "*2 $1 2 $1 1");
}
