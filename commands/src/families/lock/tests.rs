use crate::model::check::{Bench, START_MS, check, check_changes, check_effects, check_events};

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn at(bench: &mut Bench, now_ms: i64, line: &str) -> String {
    bench.now_ms = START_MS + now_ms;
    bench.run(line).text()
}

#[test]
fn acquire() {
    check(&["LOCK.ACQUIRE l A 1000"], "*3 :122163200000000 :1700000001000 :1");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 500"], "*3 :122163200000000 :1700000001000 :2");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l B 500"], "*-1");
    check(
        &["LOCK.ACQUIRE l A 1000", "DEL l", "LOCK.ACQUIRE l B 500"],
        "*3 :122163200000001 :1700000000500 :1",
    );
    check(
        &["LOCK.ACQUIRE l A 1000 SHARED", "LOCK.ACQUIRE l B 500 SHARED"],
        "*3 :122163200000001 :1700000000500 :1",
    );
    check(&["LOCK.ACQUIRE l A 1000 SHARED", "LOCK.ACQUIRE l B 500"], "*-1");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l B 500 SHARED"], "*-1");
    check(&["LOCK.ACQUIRE l A 1000 SHARED", "LOCK.ACQUIRE l A 500"], "-ERR lock upgrade is not supported");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 500 SHARED", "LOCK.ACQUIRE l B 5 SHARED"], "*-1");
    check(&["LOCK.ACQUIRE l A 1000 MAXHOLD 300"], "*3 :122163200000000 :1700000000300 :1");
    check(&["LOCK.ACQUIRE l A 0"], "-ERR lease must be between 1 and 86400000");
    check(&["LOCK.ACQUIRE l A 86400001"], "-ERR lease must be between 1 and 86400000");
    check(&["LOCK.ACQUIRE l A x"], NOT_INTEGER);
    check(&["LOCK.ACQUIRE l A 1 BLOCK -1"], "-ERR BLOCK must be between 0 and 9007199254740992");
    check(&["LOCK.ACQUIRE l A 1 MAXHOLD 0"], "-ERR MAXHOLD must be between 1 and 9007199254740992");
    for line in ["BLOCK", "SHARED SHARED", "META", "META a META b", "MAXHOLD", "nonsense", "BLOCK 1 BLOCK 1"]
    {
        check(&[&format!("LOCK.ACQUIRE l A 1 {line}")], "-ERR syntax error");
    }
    let (owner, meta) = ("o".repeat(257), "m".repeat(4097));
    check(&[&format!("LOCK.ACQUIRE l {owner} 1")], "-TOOBIG owner exceeds 256 bytes");
    check(&[&format!("LOCK.ACQUIRE l A 1 META {meta}")], "-TOOBIG META exceeds 4096 bytes");
    check(&["SET l x", "LOCK.ACQUIRE l A 1"], WRONG_TYPE);
    check(&["LOCK.ACQUIRE l A 1000", "TYPE l"], "+lock");
    check(&["LOCK.ACQUIRE l A 1000", "OBJECT ENCODING l"], "$4 lock");
    check(&["LOCK.ACQUIRE l A 1000", "PTTL l"], ":2000");
    check_changes(&["LOCK.ACQUIRE l A 1000"], 1);
    check_changes(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l B 1000"], 0);
    check_effects(
        &["LOCK.ACQUIRE l A 1000 META m MAXHOLD 5000"],
        &["NATIVE.APPLY l LK GRANT A 122163200000000 1700000001000 1 X 1700000000000 5000 m"],
    );
    check_effects(
        &["LOCK.ACQUIRE l A 1000 SHARED"],
        &["NATIVE.APPLY l LK GRANT A 122163200000000 1700000001000 1 S 1700000000000 0"],
    );
    check_effects(
        &["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 2000"],
        &["NATIVE.APPLY l LK REN A 1700000002000 2"],
    );
    check_effects(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l B 2000"], &[]);
    check_events(&["LOCK.ACQUIRE l A 1000"], &["new l", "lock.acquired l"]);
    check_events(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 1000"], &[]);
}

#[test]
fn leases_end() {
    let mut bench = Bench::default();
    assert_eq!(at(&mut bench, 0, "LOCK.ACQUIRE l A 1000"), "*3 :122163200000000 :1700000001000 :1");
    assert_eq!(at(&mut bench, 999, "LOCK.ACQUIRE l B 1000"), "*-1");
    bench.now_ms = START_MS + 1000;
    assert_eq!(bench.run("LOCK.RENEW l A 1000").text(), "-NOTOWNER lock 'l' is not held by 'A'");
    assert_eq!(bench.run("LOCK.RELEASE l A").text(), "-NOTOWNER lock 'l' is not held by 'A'");
    assert_eq!(bench.run("LOCK.GET l").text(), "$-1");
    let ran = bench.run("LOCK.ACQUIRE l B 500");
    assert_eq!(ran.text(), "*3 :122163201000000 :1700000001500 :1");
    assert_eq!(ran.events, ["lock.expired l", "lock.acquired l"]);
    let effects = String::from_utf8_lossy(ran.effects.bytes()).replace("\r\n", " ");
    assert!(effects.contains("EXP $1 A") && effects.contains("GRANT $1 B"), "{effects}");
    assert_eq!(at(&mut bench, 1400, "LOCK.RENEW l B 1000"), ":1700000002400");
}

#[test]
fn a_lock_that_is_forgotten_goes() {
    let mut bench = Bench::default();
    bench.run("LOCK.ACQUIRE l A 1000");
    assert_eq!(at(&mut bench, 2000, "EXISTS l"), ":1");
    bench.now_ms = START_MS + 2001;
    let ran = bench.run("EXISTS l");
    assert_eq!(
        (ran.text().as_str(), ran.events),
        (":0", ["lock.expired l", "expired l", "keymiss l"].map(String::from).to_vec())
    );
}

#[test]
fn renew() {
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RENEW l A 3000"], ":1700000003000");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RENEW l A 1"], ":1700000000001");
    check(&["LOCK.ACQUIRE l A 1000 MAXHOLD 1500", "LOCK.RENEW l A 3000"], ":1700000001500");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RENEW l B 3000"], "-NOTOWNER lock 'l' is not held by 'B'");
    check(&["LOCK.RENEW l A 1"], "-NOTOWNER lock 'l' is not held by 'A'");
    check(&["LOCK.RENEW l A 0"], "-ERR lease must be between 1 and 86400000");
    check(&["SET l x", "LOCK.RENEW l A 1"], WRONG_TYPE);
    check_effects(
        &["LOCK.ACQUIRE l A 1000", "LOCK.RENEW l A 3000"],
        &["NATIVE.APPLY l LK REN A 1700000003000 1"],
    );
    check_events(&["LOCK.ACQUIRE l A 1000", "LOCK.RENEW l A 3000"], &[]);
}

#[test]
fn release() {
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l A"], ":0");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 1", "LOCK.RELEASE l A"], ":1");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.ACQUIRE l A 1", "LOCK.RELEASE l A ALL"], ":0");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l A", "EXISTS l"], ":0");
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l B"], "-NOTOWNER lock 'l' is not held by 'B'");
    check(&["LOCK.RELEASE l A x"], "-ERR syntax error");
    check(&["SET l x", "LOCK.RELEASE l A"], WRONG_TYPE);
    check_effects(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l A"], &["NATIVE.APPLY l LK REL A 0"]);
    check_events(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l A"], &["lock.released l", "del l"]);
    check_changes(&["LOCK.ACQUIRE l A 1000", "LOCK.RELEASE l A"], 1);
}

#[test]
fn get_and_watch() {
    check(&["LOCK.GET l"], "$-1");
    let held = "*12 $4 mode $9 exclusive $5 token :122163200000000 $7 holders *1 *4 $1 A :122163200000000 \
                :1700000001000 :1 $7 waiters :0 $4 meta $1 m $5 since :1700000000000";
    check(&["LOCK.ACQUIRE l A 1000 META m", "LOCK.GET l"], held);
    check(&["LOCK.ACQUIRE l A 1000 META m", "LOCK.WATCH l 0"], held);
    check(&["LOCK.ACQUIRE l A 1000", "LOCK.WATCH l 122163200000000"], "$-1");
    check(&["LOCK.WATCH l 5"], "$-1");
    check(&["LOCK.WATCH l x"], NOT_INTEGER);
    check(&["LOCK.WATCH l 1 x"], "-ERR syntax error");
    check(&["LOCK.WATCH l 1 BLOCK"], "-ERR syntax error");
    check(&["SET l x", "LOCK.WATCH l 1"], WRONG_TYPE);
    check(&["SET l x", "LOCK.GET l"], WRONG_TYPE);
    check_effects(&["LOCK.ACQUIRE l A 1000", "LOCK.GET l"], &[]);
}

#[test]
fn who_waits() {
    let mut bench = Bench::default();
    bench.run("LOCK.ACQUIRE l A 1000");
    let wait = bench.run("LOCK.ACQUIRE l B 500 SHARED META m MAXHOLD 9 BLOCK 300").wait.expect("it waits");
    assert_eq!((wait.deadline_ms, wait.keys[0].timer_ms), (Some(START_MS + 300), Some(START_MS + 1000)));
    let words: Vec<_> = wait.keys[0].command.words().map(String::from_utf8_lossy).collect();
    assert_eq!(words.join(" "), "LOCK.ACQUIRE l B 500 SHARED META m MAXHOLD 9 BLOCK 0");
    let wait = bench.run("LOCK.WATCH l 122163200000000 BLOCK 0").wait.expect("it waits");
    assert_eq!((wait.deadline_ms, wait.keys[0].timer_ms), (None, Some(START_MS + 1000)));
    bench.run("SET l x");
    bench.is_retry = true;
    assert!(
        bench.run("LOCK.ACQUIRE l B 500 BLOCK 0").wait.is_some(),
        "it waits on while the key is something else"
    );
    assert!(bench.run("LOCK.WATCH l 5 BLOCK 0").wait.is_some());
    bench.run("DEL l");
    assert_eq!(bench.run("LOCK.ACQUIRE l B 500 BLOCK 0").text(), "*3 :122163200000001 :1700000000500 :1");
}

#[test]
fn copies_and_payloads() {
    check(&["LOCK.ACQUIRE l A 1000", "COPY l m"], ":0");
    check(&["LOCK.ACQUIRE l A 1000", "RENAME l m", "LOCK.RELEASE m A"], ":0");
    let mut bench = Bench::default();
    bench.run("LOCK.ACQUIRE l A 1000");
    let dump = bench.run_words(&[b"DUMP", b"l"]).reply;
    let start = dump.iter().position(|byte| *byte == b'\n').expect("a length") + 1;
    let mut other = Bench::default();
    let restored = other.run_words(&[b"RESTORE", b"m", b"0", &dump[start..dump.len() - 2]]);
    assert_eq!((restored.text().as_str(), other.run("PTTL m").text().as_str()), ("+OK", ":2000"));
    assert_eq!(other.run("LOCK.ACQUIRE m B 1").text(), "*-1");
    assert_eq!(
        other.run("LOCK.ACQUIRE n B 1").text(),
        "*3 :122163200000001 :1700000000001 :1",
        "a later token"
    );
}
