use crate::model::check::{Bench, check, check_effects, check_events, check_retry, check_waits};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const FIRST: &str = "122163200000000";

#[test]
fn one_gets_the_lease() {
    check(&["CACHE.GET a"], &format!("*3 $4 miss $-1 :{FIRST}"));
    check(&["CACHE.GET a", "CACHE.GET a"], "*3 $4 wait $-1 $-1");
    check(&["CACHE.GET a", "EXISTS a"], ":0");
    check(&["CACHE.GET a LEASE 0", "CACHE.GET a LEASE 0"], "*3 $4 miss $-1 $-1");
    check(&["CACHE.GET a", "CACHE.GET a LEASE 0"], "*3 $4 wait $-1 $-1");
    check(&["CACHE.GET a LEASE -1"], "-ERR LEASE must be between 0 and 3600000");
    check(&["CACHE.GET a LEASE x"], NOT_INTEGER);
    check(&["CACHE.GET a BLOCK x"], "-ERR timeout is not an integer or out of range");
    check(&["CACHE.GET a BLOCK -1"], "-ERR timeout is negative");
    check(&["CACHE.GET a BLOCK 1 BLOCK 1"], "-ERR syntax error");
    check(&["RPUSH a x", "CACHE.GET a"], WRONG_TYPE);
    check(&["SET a 12", "CACHE.GET a"], "*3 $3 hit $2 12 $-1");
    check_effects(&["CACHE.GET a"], &[]);
}

#[test]
fn who_waits_is_told_of_the_value_or_gets_the_lease() {
    let again = "CACHE.GET a LEASE 3000 BLOCK 0";
    check_waits(&["CACHE.GET a", "CACHE.GET a BLOCK 500"], &[again], Some(500));
    check_waits(&["CACHE.GET a", "CACHE.GET a LEASE 7 BLOCK 0"], &["CACHE.GET a LEASE 7 BLOCK 0"], None);
    check_retry(&["CACHE.GET a", again], "wait");
    check_retry(&["CACHE.GET a", "CACHE.PUT a v PX 1000", again], "*3 $3 hit $1 v $-1");
    check_retry(&["CACHE.GET a", "DEL a", again], "*3 $4 miss $-1 :122163200000001");
    check_retry(&["CACHE.GET a", "RPUSH a x", again], "wait");
    let mut bench = Bench::default();
    bench.run("CACHE.GET a");
    let wait = bench.run("CACHE.GET a BLOCK 0").wait.unwrap();
    assert_eq!(wait.keys[0].timer_ms, Some(bench.now_ms + 3000));
    bench.now_ms += 3000;
    assert!(bench.run("CACHE.GET a").text().starts_with("*3 $4 miss $-1 :"));
}

#[test]
fn put() {
    check(&["CACHE.PUT a v PX 1000"], ":1");
    check(&["CACHE.PUT a v EX 10", "TTL a"], ":10");
    check(&["CACHE.PUT a v EX 10", "TYPE a"], "+cache");
    check(&["CACHE.PUT a v EX 10", "GET a"], WRONG_TYPE);
    check(&["CACHE.PUT a v PX 1000 SOFT 2000"], "-ERR SOFT must not exceed the expiry");
    check(&["CACHE.PUT a v PX 1000 TOKEN x"], "-ERR TOKEN must be an integer");
    check(&["CACHE.PUT a v PX 1000 TOKEN 5"], ":0");
    check(&["CACHE.PUT a v SOFT 1"], "-ERR syntax error");
    check(&["CACHE.PUT a v PX 1000 EX 1"], "-ERR syntax error");
    check(&["CACHE.PUT a v PX 0"], NOT_INTEGER);
    check(&["CACHE.PUT a v EX 9223372036854775807"], NOT_INTEGER);
    check(&["CACHE.PUT a v PX 5 TAGS 0 x"], "-ERR TAGS must be between 1 and 64");
    check(&["CACHE.PUT a v PX 5 TAGS 2 x"], "-ERR syntax error");
    check(&[&format!("CACHE.PUT a v PX 5 TAGS 1 {}", "t".repeat(257))], "-TOOBIG tag exceeds 256 bytes");
    check(&["RPUSH a x", "CACHE.PUT a v PX 5"], WRONG_TYPE);
    check(&["SET a x", "CACHE.PUT a v PX 5"], ":1");
    check(&["CACHE.PUT a x PX 5 NEG", "CACHE.GET a"], "*3 $4 none $-1 $-1");
    check(
        &["CACHE.GET a", &format!("CACHE.PUT a v PX 5 TOKEN {FIRST}"), "CACHE.GET a"],
        "*3 $3 hit $1 v $-1",
    );
    check(&["CACHE.GET a", "CACHE.PUT a v PX 5", &format!("CACHE.PUT a old PX 5 TOKEN {FIRST}")], ":0");
    check(&["CACHE.GET a", "DEL a", &format!("CACHE.PUT a old PX 5 TOKEN {FIRST}")], ":0");
    check_effects(
        &["CACHE.PUT a v PX 5000 SOFT 1000"],
        &["NATIVE.APPLY a CA PUT v 1700000005000 1700000001000 1000 0"],
    );
    check_events(&["CACHE.PUT a v PX 5"], &["new a"]);
    check(&["CACHE.PUT a v PX 5 BEHIND q", "CACHE.PUT a w PX 5 BEHIND q", "XQUEUE.LEN q"], ":1");
    check(&["CACHE.PUT a v PX 5 BEHIND a"], "-ERR BEHIND names the key itself");
    check(&["CACHE.PUT a v PX 5 TAGS 1 BEHIND BEHIND q"], "-ERR syntax error");
    check_effects(
        &["CACHE.PUT a v PX 5 BEHIND q"],
        &[
            "NATIVE.APPLY q XQ PUSH 1700000000000-0 1700000000000 4  0 - 0 a 0 1 key a v",
            "NATIVE.APPLY a CA PUT v 1700000000005 0 0 0",
        ],
    );
}

#[test]
fn a_stale_value_is_refreshed_by_one() {
    let mut bench = Bench::default();
    bench.run("CACHE.PUT a v PX 10000 SOFT 2000");
    assert_eq!(bench.run("CACHE.GET a").text(), "*3 $3 hit $1 v $-1");
    bench.now_ms += 2000;
    assert_eq!(bench.run("CACHE.GET a").text(), "*3 $5 stale $1 v :122163202000000");
    assert_eq!(bench.run("CACHE.GET a BLOCK 5").text(), "*3 $5 stale $1 v $-1");
    assert_eq!(bench.run("CACHE.PUT a w PX 10000 TOKEN 122163202000000").text(), ":1");
    assert_eq!(bench.run("CACHE.GET a").text(), "*3 $3 hit $1 w $-1");
}

#[test]
fn tags() {
    let put = "CACHE.PUT a v PX 60000 TAGS 2 user:7 org:1";
    check(&["CACHE.INVALIDATE user:7"], ":0");
    check(&[put, "CACHE.INVALIDATE user:7 user:8 org:1"], ":2");
    check(&[put, "CACHE.INVALIDATE user:8", "CACHE.GET a"], "*3 $3 hit $1 v $-1");
    check(&[put, "CACHE.INVALIDATE user:7", "CACHE.GET a"], "*3 $4 miss $-1 :122163200000001");
    check(&[put, "CACHE.INVALIDATE user:7", "CACHE.GET a", "EXISTS a"], ":0");
    check_effects(&[put, "CACHE.INVALIDATE user:7", "CACHE.GET a"], &["DEL a"]);
    check_effects(&[put, "CACHE.INVALIDATE x user:7"], &["NATIVE.TAG user:7"]);
    check_effects(&[put, "CACHE.INVALIDATE x"], &[]);
    // Whoever began to compute before the tag was invalidated comes too late, in use or not.
    let late = format!("CACHE.PUT b old PX 60000 TAGS 1 user:7 TOKEN {FIRST}");
    check(&["CACHE.GET b", "CACHE.INVALIDATE user:7", &late], ":0");
    check(&["CACHE.GET b", "CACHE.INVALIDATE user:8", &late], ":1");
    check(
        &["CACHE.GET b", "CACHE.INVALIDATE user:7", &late, "CACHE.GET b"],
        "*3 $4 miss $-1 :122163200000002",
    );
    let mut bench = Bench::default();
    bench.run("CACHE.PUT a v PX 60000 SOFT 1000 TAGS 1 user:7");
    bench.now_ms += 1000;
    assert_eq!(bench.run("CACHE.GET a").text(), "*3 $5 stale $1 v :122163201000000");
    bench.run("CACHE.INVALIDATE user:7");
    assert_eq!(bench.run("CACHE.PUT a w PX 60000 TOKEN 122163201000000").text(), ":0");
}

#[test]
fn effects_make_the_same() {
    let (mut bench, mut twin) = (Bench::default(), Bench::default());
    for line in [
        "CACHE.PUT a v PX 60000 SOFT 500 TAGS 2 user:7 org:1",
        "CACHE.PUT b v EX 60 TAGS 1 org:1",
        "CACHE.PUT c x EX 60 NEG",
        "CACHE.INVALIDATE user:7",
        "CACHE.PUT a v2 PX 60000 TAGS 1 user:7",
        "CACHE.INVALIDATE org:1",
        "CACHE.GET b",
    ] {
        let ran = bench.run(line);
        twin.replay(&ran.effects);
        for key in ["a", "b", "c"] {
            let dump = format!("DUMP {key}");
            assert_eq!(twin.run(&dump).reply, bench.run(&dump).reply, "{line}");
        }
    }
    assert_eq!(bench.run("COPY a d").text(), ":1");
    bench.run("CACHE.INVALIDATE user:7");
    assert!(bench.run("CACHE.GET d").text().contains("miss"));
}
