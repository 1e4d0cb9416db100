use crate::model::check::{Bench, START_MS, check, check_changes, check_effects, check_events};

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const TOKEN: &str = "122163200000000";

fn at(bench: &mut Bench, now_ms: i64, line: &str) -> String {
    bench.now_ms = START_MS + now_ms;
    bench.run(line).text()
}

#[test]
fn begin() {
    check(&["IDEM.BEGIN k 5000"], "*4 $3 new :122163200000000 $-1 :5000");
    check(&["IDEM.BEGIN k 5000", "IDEM.BEGIN k 9"], "*4 $7 pending $-1 $-1 :5000");
    let mismatch = "-MISMATCH idempotency key 'k' was used with a different request";
    check(&["IDEM.BEGIN k 5000 FINGERPRINT a", "IDEM.BEGIN k 9 FINGERPRINT b"], mismatch);
    check(&["IDEM.BEGIN k 5000 FINGERPRINT a", "IDEM.BEGIN k 9"], "*4 $7 pending $-1 $-1 :5000");
    check(&["IDEM.BEGIN k 5000", "IDEM.BEGIN k 9 FINGERPRINT b"], "*4 $7 pending $-1 $-1 :5000");
    check(&["IDEM.BEGIN k 0"], "-ERR lease must be between 1 and 9007199254740992");
    check(&["IDEM.BEGIN k x"], NOT_INTEGER);
    for rest in ["BLOCK", "FINGERPRINT", "FINGERPRINT a FINGERPRINT a", "x", "BLOCK 1 BLOCK 1"] {
        check(&[&format!("IDEM.BEGIN k 1 {rest}")], "-ERR syntax error");
    }
    check(
        &[&format!("IDEM.BEGIN k 1 FINGERPRINT {}", "f".repeat(257))],
        "-TOOBIG fingerprint exceeds 256 bytes",
    );
    check(&["SET k x", "IDEM.BEGIN k 1"], WRONG_TYPE);
    check(&["IDEM.BEGIN k 5000", "TYPE k"], "+idem");
    check(&["IDEM.BEGIN k 5000", "PTTL k"], ":6000");
    check_changes(&["IDEM.BEGIN k 5000"], 1);
    check_effects(&["IDEM.BEGIN k 5000"], &["NATIVE.APPLY k ID BEGIN 122163200000000 1700000005000"]);
    check_effects(
        &["IDEM.BEGIN k 5000 FINGERPRINT f"],
        &["NATIVE.APPLY k ID BEGIN 122163200000000 1700000005000 f"],
    );
    check_effects(&["IDEM.BEGIN k 5000", "IDEM.BEGIN k 5000"], &[]);
    check_events(&["IDEM.BEGIN k 5000"], &["new k"]);
    let mut bench = Bench::default();
    bench.run("IDEM.BEGIN k 1000 FINGERPRINT a");
    assert_eq!(at(&mut bench, 999, "IDEM.BEGIN k 9"), "*4 $7 pending $-1 $-1 :1");
    assert_eq!(at(&mut bench, 1000, "IDEM.BEGIN k 9 FINGERPRINT b"), "*4 $3 new :122163201000000 $-1 :9");
}

#[test]
fn complete() {
    let complete = format!("IDEM.COMPLETE k {TOKEN} r");
    check(&["IDEM.BEGIN k 5000", &complete], "+OK");
    check(&["IDEM.BEGIN k 5000", &complete, "IDEM.BEGIN k 1"], "*4 $4 done $-1 $1 r :86400000");
    check(&["IDEM.BEGIN k 5000", &format!("{complete} EX 2"), "IDEM.BEGIN k 1"], "*4 $4 done $-1 $1 r :2000");
    check(&["IDEM.BEGIN k 5000", &format!("{complete} PX 2"), "PTTL k"], ":1002");
    check(&["IDEM.BEGIN k 5000", &complete, &complete], "-STALE token is not current");
    check(&[&complete], "-STALE token is not current");
    check(&["IDEM.BEGIN k 5000", "IDEM.COMPLETE k 5 r"], "-STALE token is not current");
    check(&["IDEM.COMPLETE k x r"], NOT_INTEGER);
    check(&["IDEM.COMPLETE k 1 r PX 0"], "-ERR PX must be between 1 and 9007199254740992");
    check(&["IDEM.COMPLETE k 1 r EX 0"], "-ERR EX must be between 1 and 9007199254740");
    for rest in ["PX", "PX 1 EX 1", "x"] {
        check(&[&format!("{complete} {rest}")], "-ERR syntax error");
    }
    check(&["SET k x", &complete], WRONG_TYPE);
    check_effects(
        &["IDEM.BEGIN k 5000", &complete],
        &["NATIVE.APPLY k ID DONE 122163200000000 r 1700086400000"],
    );
    check_changes(&["IDEM.BEGIN k 5000", &complete], 1);
    let mut bench = Bench::default();
    bench.limits.idem_response_max = 3;
    bench.run("IDEM.BEGIN k 5000");
    assert_eq!(
        bench.run(&format!("IDEM.COMPLETE k {TOKEN} four")).text(),
        "-TOOBIG response exceeds 3 bytes"
    );
    assert_eq!(at(&mut bench, 5000, &complete), "-STALE token is not current", "its lease has ended");
}

#[test]
fn fail() {
    let fail = format!("IDEM.FAIL k {TOKEN}");
    check(&["IDEM.BEGIN k 5000", &fail], ":1");
    check(&["IDEM.BEGIN k 5000", &fail, "EXISTS k"], ":0");
    check(&["IDEM.BEGIN k 5000", "IDEM.FAIL k 5"], ":0");
    check(&[&fail], ":0");
    check(&["IDEM.BEGIN k 5000", &format!("IDEM.COMPLETE k {TOKEN} r"), &fail], ":0");
    check(&["IDEM.FAIL k x"], NOT_INTEGER);
    check(&["SET k x", "IDEM.FAIL k 1"], WRONG_TYPE);
    check_effects(&["IDEM.BEGIN k 5000", &fail], &["NATIVE.APPLY k ID FAIL"]);
    check_events(&["IDEM.BEGIN k 5000", &fail], &["del k"]);
}

#[test]
fn get() {
    check(&["IDEM.GET k"], "$-1");
    let pending = "*8 $6 status $7 pending $11 fingerprint $1 f $8 response $-1 $2 ms :5000";
    check(&["IDEM.BEGIN k 5000 FINGERPRINT f", "IDEM.GET k"], pending);
    let done = "*8 $6 status $4 done $11 fingerprint $0  $8 response $1 r $2 ms :86400000";
    check(&["IDEM.BEGIN k 5000", &format!("IDEM.COMPLETE k {TOKEN} r"), "IDEM.GET k"], done);
    check(&["SET k x", "IDEM.GET k"], WRONG_TYPE);
    let mut bench = Bench::default();
    bench.run("IDEM.BEGIN k 1000");
    assert_eq!(at(&mut bench, 1000, "IDEM.GET k"), "$-1");
}

#[test]
fn who_waits() {
    let mut bench = Bench::default();
    bench.run("IDEM.BEGIN k 1000");
    let wait = bench.run("IDEM.BEGIN k 500 FINGERPRINT f BLOCK 300").wait.expect("it waits");
    assert_eq!((wait.deadline_ms, wait.keys[0].timer_ms), (Some(START_MS + 300), Some(START_MS + 1000)));
    let text = |words: &crate::model::StoredRequest| {
        words.words().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(text(&wait.keys[0].command), "IDEM.BEGIN k 500 FINGERPRINT f BLOCK 0");
    assert_eq!(wait.at_end.as_ref().map(text).as_deref(), Some("IDEM.BEGIN k 500 FINGERPRINT f"));
    bench.is_retry = true;
    bench.run("SET k x");
    assert!(
        bench.run("IDEM.BEGIN k 500 BLOCK 0").wait.is_some(),
        "it waits on while the key is something else"
    );
}

#[test]
fn copies() {
    check(&["IDEM.BEGIN k 5000", "COPY k j"], ":0");
    let complete = format!("IDEM.COMPLETE k {TOKEN} r");
    check(&["IDEM.BEGIN k 5000", &complete, "COPY k j", "IDEM.BEGIN j 1"], "*4 $4 done $-1 $1 r :86400000");
}
