use crate::model::check::{Bench, START_MS, check, check_changes, check_effects, check_events};

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn at(bench: &mut Bench, now_ms: i64, line: &str) -> String {
    bench.now_ms = now_ms;
    bench.run(line).text()
}

#[test]
fn next() {
    check(&["SEQ.NEXT s", "SEQ.NEXT s"], ":2");
    check(&["SEQ.NEXT s COUNT 100"], "*2 :1 :100");
    check(&["SEQ.NEXT s FOR a", "SEQ.NEXT s", "SEQ.NEXT s FOR a"], ":1");
    check(&["SEQ.NEXT s COUNT 3 FOR a", "SEQ.NEXT s", "SEQ.NEXT s FOR a COUNT 3"], "*2 :1 :3");
    check(&["SEQ.NEXT s COUNT 0"], "-ERR COUNT must be between 1 and 1000000");
    check(&["SEQ.NEXT s COUNT 1000001"], "-ERR COUNT must be between 1 and 1000000");
    check(&["SEQ.NEXT s COUNT x"], NOT_INTEGER);
    check(&["SEQ.NEXT s COUNT"], "-ERR syntax error");
    check(&["SEQ.NEXT s COUNT 1 COUNT 2"], "-ERR syntax error");
    check(&["SEQ.NEXT s x"], "-ERR syntax error");
    check(&["SEQ.SET s MAX 1", "SEQ.NEXT s", "SEQ.NEXT s"], "-ERR sequence 's' is exhausted");
    check(&["SEQ.SET s MAX 5", "SEQ.NEXT s COUNT 6"], "-ERR sequence 's' is exhausted");
    check(&["SEQ.SET s MAX 5 CYCLE", "SEQ.NEXT s COUNT 4", "SEQ.NEXT s COUNT 2"], "*2 :1 :2");
    check(&["SEQ.SET s STEP -3", "SEQ.NEXT s", "SEQ.NEXT s"], ":-2");
    check(&["SET s 1", "SEQ.NEXT s"], WRONG_TYPE);
    check(&["SEQ.NEXT s", "TYPE s"], "+seq");
    check_changes(&["SEQ.NEXT s"], 1);
    check_effects(&["SEQ.NEXT s COUNT 3"], &["NATIVE.APPLY s SQ NEXT 3 - -"]);
    check_effects(&["SEQ.NEXT s FOR a"], &["NATIVE.APPLY s SQ NEXT 1 - 1700086400000 a 1 1"]);
    check_effects(&["SEQ.NEXT s FOR a", "SEQ.NEXT s FOR a"], &[]);
    check_events(&["SEQ.SET s MAX 2 CYCLE", "SEQ.NEXT s COUNT 2", "SEQ.NEXT s"], &["seq.wrap s"]);
    check_events(&["SEQ.SET s MAX 2", "SEQ.NEXT s", "SEQ.NEXT s"], &["seq.exhausted s"]);
    check_events(&["SEQ.SET s MAX 2", "SEQ.NEXT s"], &[]);
    let long = "x".repeat(257);
    check(&[&format!("SEQ.NEXT s FOR {long}")], "-TOOBIG id exceeds 256 bytes");
    let mut bench = Bench::default();
    bench.run("SEQ.SET s RETAIN 500");
    assert_eq!(at(&mut bench, START_MS, "SEQ.NEXT s FOR a"), ":1");
    assert_eq!(at(&mut bench, START_MS + 499, "SEQ.NEXT s FOR a"), ":1");
    assert_eq!(at(&mut bench, START_MS + 500, "SEQ.NEXT s FOR a"), ":2");
}

#[test]
fn set() {
    check(&["SEQ.SET s"], "+OK");
    check(&["SEQ.SET s VALUE 999", "SEQ.NEXT s"], ":1000");
    check(&["SEQ.SET s START 8 STEP 2", "SEQ.NEXT s", "SEQ.NEXT s"], ":10");
    check(&["SEQ.SET s STEP 0"], "-ERR STEP must not be 0");
    check(&["SEQ.SET s STEP"], "-ERR syntax error");
    check(&["SEQ.SET s STEP 1 STEP 2"], "-ERR syntax error");
    check(&["SEQ.SET s PERIOD WEEK UTC"], "-ERR syntax error");
    check(&["SEQ.SET s PERIOD DAY Mars/Olympus"], "-ERR unknown time zone 'Mars/Olympus'");
    check(&["SEQ.SET s RETAIN 0"], NOT_INTEGER);
    check(&["SEQ.SET s MAX x"], NOT_INTEGER);
    check(&["SET s 1", "SEQ.SET s"], WRONG_TYPE);
    check_effects(&["SEQ.SET s"], &["NATIVE.APPLY s SQ CFG 1 1 9223372036854775807 0 - - 86400000"]);
    check_effects(&["SEQ.SET s", "SEQ.SET s"], &[]);
    check_effects(
        &["SEQ.SET s VALUE 7 PERIOD year europe/berlin"],
        &[
            "NATIVE.APPLY s SQ CFG 1 1 9223372036854775807 0 YEAR Europe/Berlin 86400000",
            "NATIVE.APPLY s SQ NEXT 7 1672527600000 -",
        ],
    );
    check_effects(&["SEQ.SET s", "SEQ.SET s VALUE 5"], &["NATIVE.APPLY s SQ NEXT 5 - -"]);
}

#[test]
fn get() {
    check(&["SEQ.GET s"], "$-1");
    let rest =
        "$5 start :1 $4 step :1 $3 max :9223372036854775807 $5 cycle :0 $6 period $0  $6 retain :86400000";
    check(&["SEQ.SET s", "SEQ.GET s"], &format!("*16 $5 value :0 {rest} $10 remembered :0"));
    check(&["SEQ.NEXT s FOR a", "SEQ.GET s"], &format!("*16 $5 value :1 {rest} $10 remembered :1"));
    let mut bench = Bench::resp3();
    bench.run("SEQ.SET s CYCLE PERIOD MONTH utc");
    let text = bench.run("SEQ.GET s").text();
    assert!(text.starts_with("%8 ") && text.contains("$5 cycle #t $6 period $9 MONTH UTC"), "{text}");
    check(&["SET s 1", "SEQ.GET s"], WRONG_TYPE);
}

#[test]
fn periods_begin_where_the_zone_says() {
    let mut bench = Bench::default();
    bench.run("SEQ.SET y PERIOD YEAR UTC");
    assert_eq!(at(&mut bench, 1_704_067_199_999, "SEQ.NEXT y"), ":1");
    assert_eq!(at(&mut bench, 1_704_067_199_999, "SEQ.NEXT y"), ":2");
    assert_eq!(at(&mut bench, 1_704_067_200_000, "SEQ.NEXT y"), ":1");
    // A number that was set belongs to the present year.
    bench.run("SEQ.SET y VALUE 99");
    assert_eq!(at(&mut bench, 1_704_067_200_001, "SEQ.NEXT y"), ":100");
    // Berlin's day of the 31st of March 2024 has 23 hours; midnight in Kiritimati is 10:00 UTC.
    for (zone, begins_ms) in [
        ("Europe/Berlin", [1_711_839_600_000, 1_711_839_600_000 + 23 * 3_600_000]),
        ("Pacific/Kiritimati", [1_711_879_200_000, 1_711_879_200_000 + 24 * 3_600_000]),
    ] {
        bench.run("DEL d");
        bench.run(&format!("SEQ.SET d PERIOD DAY {zone}"));
        for begins_ms in begins_ms {
            at(&mut bench, begins_ms - 1, "SEQ.NEXT d");
            assert_eq!(at(&mut bench, begins_ms, "SEQ.NEXT d"), ":1", "{zone}");
            assert_eq!(at(&mut bench, begins_ms + 1000, "SEQ.NEXT d"), ":2", "{zone}");
        }
    }
    bench.run("SEQ.SET m PERIOD MONTH America/New_York START 10");
    assert_eq!(at(&mut bench, 1_709_269_199_000, "SEQ.NEXT m"), ":10");
    assert_eq!(at(&mut bench, 1_709_269_199_999, "SEQ.NEXT m"), ":11");
    assert_eq!(at(&mut bench, 1_709_269_200_000, "SEQ.NEXT m"), ":10");
    // A clock that goes back does not begin anew, neither then nor when it comes to the same place again.
    assert_eq!(at(&mut bench, 1_709_269_199_000, "SEQ.NEXT m"), ":11");
    assert_eq!(at(&mut bench, 1_709_269_200_000, "SEQ.NEXT m"), ":12");
}

#[test]
fn a_twin_gives_out_the_same() {
    let (mut bench, mut twin) = (Bench::default(), Bench::default());
    for line in [
        "SEQ.SET s START 5 STEP 3 MAX 40 CYCLE PERIOD DAY UTC RETAIN 1000",
        "SEQ.NEXT s FOR a",
        "SEQ.NEXT s COUNT 4 FOR -",
        "SEQ.NEXT s",
        "SEQ.SET s VALUE 38",
        "SEQ.NEXT s",
        "SEQ.NEXT s FOR b",
        "SEQ.SET s RETAIN 5",
    ] {
        let ran = bench.run(line);
        twin.replay(&ran.effects);
        assert_eq!(twin.run("DUMP s").reply, bench.run("DUMP s").reply, "{line}");
        bench.now_ms += 300;
    }
}
