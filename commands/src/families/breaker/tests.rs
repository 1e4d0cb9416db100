use crate::model::check::{Bench, START_MS, check, check_changes, check_effects, check_events};

const OUT_OF_RANGE: &str = "-ERR value is out of range";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Replays effects on another bench, and compares the values.
fn twin(lines: &[&str], key: &str) {
    let (mut bench, mut twin) = (Bench::default(), Bench::default());
    for line in lines {
        let ran = bench.run(line);
        twin.replay(&ran.effects);
        bench.now_ms += 777;
    }
    let dump = format!("DUMP {key}");
    assert_eq!(twin.run(&dump).reply, bench.run(&dump).reply, "{lines:?}");
    let deadline = format!("PEXPIRETIME {key}");
    assert_eq!(twin.run(&deadline).reply, bench.run(&deadline).reply, "{lines:?}");
}

#[test]
fn set() {
    check(&["CB.SET b"], "+OK");
    check(&["CB.SET b", "TYPE b"], "+breaker");
    check(&["CB.SET b", "TTL b"], ":-1");
    check(&["CB.REPORT b 1 0", "CB.SET b", "TTL b"], ":-1");
    check(&["CB.REPORT b 1 0", "TTL b"], ":86400");
    check(&["CB.SET b", "EXPIRE b 100", "CB.REPORT b 1 0", "TTL b"], ":100");
    check(&["CB.SET b FAILRATE 101"], "-ERR FAILRATE must be between 1 and 100");
    check(&["CB.SET b WINDOW 9"], "-ERR WINDOW must be between 10 and 9007199254740992");
    check(&["CB.SET b WINDOW x"], NOT_INTEGER);
    check(&["CB.SET b WINDOW"], "-ERR syntax error");
    check(&["CB.SET b WINDOW 20 WINDOW 20"], "-ERR syntax error");
    check(&["CB.SET b COLOUR 5"], "-ERR syntax error");
    check(&["SET b x", "CB.SET b"], WRONG_TYPE);
    check_effects(&["CB.SET b PROBES 3", "CB.SET b PROBES 3"], &[]);
    check_events(&["CB.SET b"], &["new b"]);
    twin(&["CB.REPORT b 1 1", "CB.SET b WINDOW 500 PROBES 3", "CB.REPORT b 4 4", "CB.SET b WINDOW 50"], "b");
}

#[test]
fn allow_and_report() {
    check(&["CB.ALLOW b"], "*4 :1 $6 closed :0 $-1");
    check(&["CB.ALLOW b", "EXISTS b"], ":0");
    check(&["CB.REPORT b 0 0"], "$6 closed");
    check(&["CB.REPORT b 0 0", "EXISTS b"], ":0");
    check(&["CB.REPORT b 10 10"], "$4 open");
    check(&["CB.REPORT b 10 10", "CB.ALLOW b"], "*4 :0 $4 open :30000 $-1");
    check(&["CB.REPORT b 0 1 TOKEN 5 SLOW 1"], "$6 closed");
    for line in
        ["CB.REPORT b -1 0", "CB.REPORT b 0 -1", "CB.REPORT b 1 1 SLOW 3", "CB.REPORT b 9007199254740993 0"]
    {
        check(&[line], OUT_OF_RANGE);
    }
    check(&["CB.REPORT b x 0"], NOT_INTEGER);
    check(&["CB.REPORT b 1 0 TOKEN x"], NOT_INTEGER);
    check(&["CB.REPORT b 1 0 SLOW 1 SLOW 1"], "-ERR syntax error");
    check(&["SET b x", "CB.REPORT b 1 0"], WRONG_TYPE);
    check(&["SET b x", "CB.ALLOW b"], WRONG_TYPE);
    check_events(&["CB.REPORT b 1 0"], &["new b"]);
    check_events(&["CB.REPORT b 1 0", "CB.REPORT b 1 0"], &[]);
    check_events(&["CB.REPORT b 1 0", "CB.REPORT b 0 19"], &["cb.open b"]);
    check_changes(&["CB.REPORT b 1 0", "CB.REPORT b 0 19"], 1);
    check_changes(&["CB.REPORT b 1 0", "CB.REPORT b 0 1"], 1);
    twin(&["CB.REPORT b 1 0", "CB.REPORT b 0 19", "CB.ALLOW b"], "b");
}

#[test]
fn probes_are_told_to_the_journal() {
    let (mut bench, mut twin) = (Bench::default(), Bench::default());
    for line in ["CB.SET b PROBES 2 MINCALLS 1", "CB.REPORT b 0 1"] {
        twin.replay(&bench.run(line).effects);
    }
    bench.now_ms += 30_000;
    let ran = bench.run("CB.ALLOW b");
    assert_eq!(ran.events, ["cb.half-open b"]);
    twin.replay(&ran.effects);
    let text = ran.text();
    let token = text.rsplit(' ').next().unwrap();
    let ran = bench.run(&format!("CB.REPORT b 1 0 TOKEN {token}"));
    assert_eq!(ran.text(), "$9 half-open");
    twin.replay(&ran.effects);
    assert_eq!(twin.run("DUMP b").reply, bench.run("DUMP b").reply);
    assert!(bench.run("CB.REPORT b 1 0").effects.is_empty());
}

#[test]
fn force() {
    check(&["CB.FORCE b AUTO"], "$6 closed");
    check(&["CB.FORCE b AUTO", "EXISTS b"], ":0");
    check(&["CB.FORCE b OPEN"], "$11 forced-open");
    check(&["CB.FORCE b OPEN", "TTL b"], ":-1");
    check(&["CB.REPORT b 1 1", "CB.FORCE b OPEN", "TTL b"], ":-1");
    check(&["CB.FORCE b OPEN", "CB.FORCE b AUTO", "TTL b"], ":86400");
    check(&["CB.FORCE b OPEN", "CB.ALLOW b"], "*4 :0 $11 forced-open :-1 $-1");
    check(&["CB.FORCE b CLOSED", "CB.REPORT b 0 100"], "$13 forced-closed");
    check(&["CB.FORCE b HALF"], "-ERR syntax error");
    check(&["SET b x", "CB.FORCE b OPEN"], WRONG_TYPE);
    check_events(&["CB.FORCE b OPEN"], &["new b", "cb.open b"]);
    check_events(&["CB.FORCE b OPEN", "CB.FORCE b OPEN"], &[]);
    twin(
        &["CB.REPORT b 1 1", "CB.FORCE b OPEN", "CB.FORCE b CLOSED", "CB.REPORT b 9 9", "CB.FORCE b AUTO"],
        "b",
    );
}

#[test]
fn get() {
    check(
        &["CB.GET b"],
        "*36 $5 state $6 closed $2 ok :0 $4 fail :0 $4 slow :0 $9 fail-rate :0 $9 slow-rate :0 $9 opened-at :0 $11 \
         retry-after :0 $5 opens :0 $6 forced $0  $6 window :10000 $8 mincalls :20 $8 failrate :50 $8 slowrate :100 $7 \
         openfor :30000 $7 maxopen :300000 $6 probes :5 $11 consecutive :0",
    );
    check(&["SET b x", "CB.GET b"], WRONG_TYPE);
    assert!(Bench::resp3().run("CB.GET b").text().starts_with("%18 $5 state $6 closed "));
}

#[test]
fn the_journal_hears_of_soft_state_later() {
    use tidegate_data::types::breaker::{Breaker, Calls};
    let mut breaker = Breaker::default();
    breaker.report(Calls { ok: 1, fail: 0, slow: 0 }, None, START_MS);
    breaker.set_unflushed(true);
    let record = tidegate_data::Record::new_collection(b"b", breaker, Some(START_MS + 5));
    let mut effects = crate::model::Effects::default();
    assert!(super::unflushed(b"b", &record, &mut effects));
    let mut twin = Bench::default();
    twin.replay(&effects);
    assert_eq!(twin.run("PEXPIRETIME b").text(), format!(":{}", START_MS + 5));
    let record = super::mark_flushed(record);
    assert!(!super::unflushed(b"b", &record, &mut effects));
}
