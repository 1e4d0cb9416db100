use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

/// Three entries delivered to consumer `c`, 10 ms ago.
fn bench() -> Bench {
    let mut bench = Bench::default();
    for line in ["XADD s 1-0 a 1", "XADD s 2-0 a 2", "XADD s 3-0 a 3", "XGROUP CREATE s g 0"] {
        bench.run(line);
    }
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    bench.now_ms += 10;
    bench
}

fn effects(bench: &mut Bench, line: &str) -> Vec<String> {
    let ran = bench.run(line);
    let text = String::from_utf8_lossy(ran.effects.bytes()).replace("\r\n", " ");
    // Without the lengths they are lines again.
    let lines = text.split('*').skip(1).map(|line| {
        line.split(' ')
            .skip(1)
            .filter(|word| !word.starts_with('$'))
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    });
    lines.collect()
}

#[test]
fn xclaim_takes_entries_over() {
    let mut bench = bench();
    let ran = bench.run("XCLAIM s g d 5 1-0 9-0 2-0");
    assert_eq!(ran.text(), "*2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2");
    assert_eq!(ran.events, ["xgroup-createconsumer s"]);
    assert_eq!(bench.run("XCLAIM s g e 5 1-0").text(), "*0", "it was just taken");
    assert_eq!(bench.run("XCLAIM s g e 5 3-0 JUSTID").text(), "*1 $3 3-0");
    let pending = bench.run("XPENDING s g - + 10").text();
    assert_eq!(pending, "*3 *4 $3 1-0 $1 d :0 :2 *4 $3 2-0 $1 d :0 :2 *4 $3 3-0 $1 e :0 :1");
    assert_eq!(bench.run("XCLAIM s g f 99 1-0").events, [] as [String; 0], "nothing taken, nobody made");
}

#[test]
fn xclaim_options() {
    let mut bench = bench();
    let mut shows = |line: &str, pending: &str| {
        bench.run(line);
        assert_eq!(bench.run("XPENDING s g 1 1 1").text(), format!("*1 *4 $3 1-0 {pending}"), "{line}");
    };
    shows("XCLAIM s g d 0 1 IDLE 7 RETRYCOUNT 9", "$1 d :7 :9");
    shows(&format!("XCLAIM s g d 0 1 TIME {} JUSTID", START_MS - 90), "$1 d :100 :9");
    shows("XCLAIM s g d 0 1 TIME 99999999999999 RETRYCOUNT -3", "$1 d :0 :10");
    shows("XCLAIM s g d 0 1 IDLE -9223372036854775808", "$1 d :0 :11");
    shows(
        "XCLAIM s g d 0 1 IDLE 9223372036854775807 RETRYCOUNT 9223372036854775807",
        "$1 d :0 :9223372036854775807",
    );
    shows("XCLAIM s g d 0 1", "$1 d :0 :9223372036854775807");
    let lines = ["XADD s 1-0 a 1", "XGROUP CREATE s g 0"];
    check(&[lines[0], lines[1], "XCLAIM s g d 0 1-0"], "*0");
    check(&[lines[0], lines[1], "XCLAIM s g d 99 1-0 2-0 FORCE JUSTID"], "*1 $3 1-0");
    check(
        &[lines[0], lines[1], "XCLAIM s g d 99 1-0 FORCE", "XPENDING s g - + 1"],
        "*1 *4 $3 1-0 $1 d :0 :2",
    );
    check(&[lines[0], lines[1], "XCLAIM s g d 0 FORCE"], "*0");
}

#[test]
fn xclaim_is_replayed_as_what_it_did() {
    let now = START_MS + 10;
    let claim = |owner: &str, id: &str, time: i64, count: i64, last: &str| {
        format!("XCLAIM s g {owner} 0 {id} TIME {time} RETRYCOUNT {count} FORCE JUSTID LASTID {last}")
    };
    assert_eq!(effects(&mut bench(), "XCLAIM s g d 0 1-0"), [claim("d", "1-0", now, 2, "3-0")]);
    assert_eq!(effects(&mut bench(), "XCLAIM s g d 99 1-0"), [] as [String; 0]);
    assert_eq!(
        effects(&mut bench(), "XCLAIM s g d 99 1-0 LASTID 7-0"),
        ["XGROUP SETID s g 7-0 ENTRIESREAD 3"]
    );
    assert_eq!(effects(&mut bench(), "XCLAIM s g d 0 1-0 LASTID 7-0"), [claim("d", "1-0", now, 2, "7-0")]);
    let mut gone = bench();
    gone.run("XDEL s 1-0 2-0");
    gone.run("XNACK s g FAIL IDS 1 2-0");
    assert_eq!(
        effects(&mut gone, "XCLAIM s g d 0 1-0 2-0"),
        [claim("c", "1-0", START_MS, 1, "3-0"), "XACK s g 2-0".to_owned()]
    );
    assert_eq!(gone.run("XPENDING s g").text(), "*4 :1 $3 3-0 $3 3-0 *1 *2 $1 c $1 1");
}

#[test]
fn xautoclaim_goes_step_by_step() {
    let mut bench = bench();
    bench.run("XDEL s 2-0");
    assert_eq!(bench.run("XAUTOCLAIM s g d 5 0 COUNT 1").text(), "*3 $3 2-0 *1 *2 $3 1-0 *2 $1 a $1 1 *0");
    assert_eq!(bench.run("XAUTOCLAIM s g d 5 2-0 COUNT 1 JUSTID").text(), "*3 $3 3-0 *0 *1 $3 2-0");
    assert_eq!(bench.run("XAUTOCLAIM s g d 5 (2-0 JUSTID").text(), "*3 $3 0-0 *1 $3 3-0 *0");
    assert_eq!(bench.run("XAUTOCLAIM s g d 5 -").text(), "*3 $3 0-0 *0 *0");
    let pending = bench.run("XPENDING s g - + 10").text();
    assert_eq!(pending, "*2 *4 $3 1-0 $1 d :0 :2 *4 $3 3-0 $1 d :0 :1");
    assert_eq!(effects(&mut self::bench(), "XAUTOCLAIM s g d 0 - COUNT 2").len(), 2);
}

#[test]
fn xautoclaim_looks_at_ten_entries_for_each_wanted() {
    let mut bench = Bench::default();
    (1..=30).for_each(|ms| drop(bench.run(&format!("XADD s {ms}-0 f v"))));
    bench.run("XGROUP CREATE s g 0");
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    assert_eq!(bench.run("XAUTOCLAIM s g d 5 - COUNT 1").text(), "*3 $4 11-0 *0 *0");
}

#[test]
fn refused() {
    let none = "-NOGROUP No such key 's' or consumer group 'g'";
    check(&["XCLAIM s g c x 1-0"], none);
    check(&["XAUTOCLAIM s g c 0 -"], none);
    let after = |last: &'static str, reply: &str| {
        check(&["XADD s 1 f v", "XGROUP CREATE s g 0", last], reply);
    };
    after("XCLAIM s g c x 1-0", "-ERR Invalid min-idle-time argument for XCLAIM");
    after("XCLAIM s g c 0 1-0 x", "-ERR Unrecognized XCLAIM option 'x'");
    after("XCLAIM s g c 0 1-0 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'");
    after("XCLAIM s g c 0 1-0 FORCE 2-0", "-ERR Unrecognized XCLAIM option '2-0'");
    after("XCLAIM s g c 0 1-0 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM");
    after("XCLAIM s g c 0 1-0 TIME x", "-ERR Invalid TIME option argument for XCLAIM");
    after("XCLAIM s g c 0 1-0 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM");
    after("XCLAIM s g c 0 1-0 LASTID x", "-ERR Invalid stream ID specified as stream command argument");
    after("XAUTOCLAIM s g c x -", "-ERR Invalid min-idle-time argument for XAUTOCLAIM");
    after("XAUTOCLAIM s g c 0 x", "-ERR Invalid stream ID specified as stream command argument");
    after("XAUTOCLAIM s g c 0 - COUNT", "-ERR syntax error");
    for count in ["0", "-1", "x", "9223372036854775807"] {
        let line = format!("XAUTOCLAIM s g c 0 - COUNT {count}");
        check(&["XADD s 1 f v", "XGROUP CREATE s g 0", &line], "-ERR COUNT must be > 0");
    }
    check(&["XAUTOCLAIM s g c 0 - COUNT 0"], "-ERR COUNT must be > 0");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(&["SET s x", "XCLAIM s g c 0 1"], wrong);
    check(&["SET s x", "XAUTOCLAIM s g c 0 -"], wrong);
    check(
        &["SET s x", "XAUTOCLAIM s g c 0 x"],
        "-ERR Invalid stream ID specified as stream command argument",
    );
    check_effects(&["XADD s 1 f v", "XGROUP CREATE s g 0", "XCLAIM s g c 0 1-0"], &[]);
    check_events(&["XADD s 1 f v", "XGROUP CREATE s g 0", "XAUTOCLAIM s g c 0 -"], &[]);
}
