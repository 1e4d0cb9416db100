use crate::model::check::{Bench, START_MS, check, check_changes, check_effects, check_events};

const BEYOND: &str = "-ERR window exceeds retention";
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
}

#[test]
fn create() {
    check(&["CTR.CREATE c 1000 10"], "+OK");
    check(&["CTR.CREATE c 1000 10 NX"], "+OK");
    check(&["CTR.CREATE c 1000 10", "CTR.CREATE c 2000 10 nx"], "$-1");
    check(&["CTR.CREATE c 1000 10", "CTR.CREATE c 1000 10"], "+OK");
    check(&["CTR.CREATE c 1000 10", "CTR.CREATE c 1000 11"], "-ERR counter exists with other tiers");
    let invalid = "-ERR invalid tiers: each bucket must be a multiple of the one before";
    check(&["CTR.CREATE c 1000 10 1500 10"], invalid);
    check(&["CTR.CREATE c 1000 10 1000 10"], invalid);
    check(&["CTR.CREATE c 9007199254740992 10"], invalid);
    check(&["CTR.CREATE c 1000 10 3000"], "-ERR syntax error");
    check(&["CTR.CREATE c 1000 10 3000 XX"], NOT_INTEGER);
    check(&["CTR.CREATE c 1000 10 XX"], "-ERR syntax error");
    check(&["CTR.CREATE c 1 1 2 1 4 1 8 1 16 1"], "-ERR syntax error");
    check(&["CTR.CREATE c 0 1"], NOT_INTEGER);
    check(&["CTR.CREATE c 1000 0"], "-ERR buckets must be between 1 and 100000");
    check(&["SET c 1", "CTR.CREATE c 1000 1"], WRONG_TYPE);
    check(&["CTR.CREATE c 1000 10", "TYPE c"], "+counter");
    check_effects(&["CTR.CREATE c 1000 10 5000 9"], &["NATIVE.APPLY c CT CFG 2 1000 10 5000 9"]);
    check_effects(&["CTR.CREATE c 1000 10", "CTR.CREATE c 1000 10"], &[]);
    check_events(&["CTR.CREATE c 1000 10"], &["new c"]);
}

#[test]
fn add() {
    check(&["CTR.ADD c 5", "CTR.ADD c -7"], ":-2");
    check(&["CTR.ADD c x"], NOT_INTEGER);
    check(&["CTR.ADD c 1 AT"], "-ERR syntax error");
    check(&["CTR.ADD c 1 AT 5 6"], "-ERR syntax error");
    check(&["CTR.ADD c 1 AT -5"], NOT_INTEGER);
    check(&["CTR.ADD c 1 AT 1700000001001"], "-ERR AT is in the future");
    check(&["CTR.ADD c 1 AT 1700000001000"], ":1");
    // What is older than anything that is kept counts for the total only.
    check(&["CTR.ADD c 1 AT 5", "CTR.ADD c 2", "CTR.SUM c 34473600000"], "*1 :2");
    check(&["CTR.ADD c 9223372036854775807", "CTR.ADD c 1"], ":9223372036854775807");
    check(&["SET c 1", "CTR.ADD c 1"], WRONG_TYPE);
    check_changes(&["CTR.ADD c 1"], 1);
    check_effects(
        &["CTR.ADD c 3"],
        &["NATIVE.APPLY c CT SET 1700000000000 3 1700000000000 1700000000000 3 3 3 3"],
    );
    check_events(&["CTR.ADD c 1"], &["new c"]);
    check_events(&["CTR.ADD c 1", "CTR.ADD c 1"], &[]);
    twin(&["CTR.ADD c 3", "CTR.ADD c 4", "CTR.ADD c -2 AT 1699999000000", "CTR.ADD c 0"], "c");
    twin(&["CTR.CREATE c 100 20", "CTR.ADD c 3", "CTR.ADD c 9223372036854775807", "CTR.ADD c 5"], "c");
}

#[test]
fn sum() {
    check(&["CTR.SUM c 1 5000"], "*2 :0 :0");
    check(&["CTR.SUM c 0"], NOT_INTEGER);
    check(&["CTR.SUM c x"], NOT_INTEGER);
    check(&["CTR.ADD c 1", "CTR.SUM c 99999999999999"], BEYOND);
    check(&["SET c 1", "CTR.SUM c 1"], WRONG_TYPE);
    let mut many: Vec<&[u8]> = vec![b"CTR.SUM", b"c"];
    many.resize(2 + 129, b"1");
    assert_eq!(Bench::default().run_words(&many).text(), "-ERR too many windows");
}

#[test]
fn range() {
    check(&["CTR.RANGE c 0 10"], "*0");
    check(&["CTR.ADD c 1", "CTR.RANGE c 1700000000000 1700000000001"], "*1 *2 :1700000000000 :1");
    check(&["CTR.ADD c 1", "CTR.RANGE c 1700000000001 1700000000000"], "*0");
    check(
        &["CTR.ADD c 1", "CTR.RANGE c 1699999999000 1700000001000 FILL"],
        "*2 *2 :1699999999000 :0 *2 :1700000000000 :1",
    );
    check(&["CTR.ADD c 1", "CTR.RANGE c 1699999998000 1700000002000 BUCKET 2000"], "*1 *2 :1700000000000 :1");
    check(&["CTR.RANGE c 0 10 BUCKET 1500"], "-ERR BUCKET must be a multiple of a tier's bucket");
    check(&["CTR.RANGE c 0 10 BUCKET 0"], NOT_INTEGER);
    check(&["CTR.RANGE c 0 10 FILL FILL"], "-ERR syntax error");
    check(&["CTR.RANGE c 0 10 BUCKET"], "-ERR syntax error");
    let many = "-ERR too many rows, narrow the range";
    check(&["CTR.RANGE c -9223372036854775808 9223372036854775807 FILL"], many);
    check(
        &["CTR.ADD c 1", "CTR.RANGE c -9223372036854775808 9223372036854775807"],
        "*1 *2 :1699920000000 :1",
    );
    check(&["SET c 1", "CTR.RANGE c 0 1"], WRONG_TYPE);
    let mut bench = Bench::default();
    bench.run("CTR.CREATE c 1 20000");
    for at in 0..10_001 {
        bench.run(&format!("CTR.ADD c 1 AT {}", START_MS - at));
    }
    assert_eq!(bench.run("CTR.RANGE c 0 9999999999999").text(), many);
}

#[test]
fn info() {
    check(&["CTR.INFO c"], "$-1");
    check(
        &["CTR.CREATE c 1000 9", "CTR.ADD c 4 AT 1699999998123", "CTR.INFO c"],
        "*8 $5 total :4 $5 first :1699999998000 $4 last :1699999998123 $5 tiers *1 *2 :1000 :9",
    );
    check(&["SET c 1", "CTR.INFO c"], WRONG_TYPE);
}

#[test]
fn the_journal_hears_of_soft_state_later() {
    use tidegate_data::types::counter::Counter;
    let mut counter = Counter::default();
    let mut effects = crate::model::Effects::default();
    for (n, at_ms) in [(1, 1000), (2, 1500), (3, 9000)] {
        let effect = counter.add(n, at_ms);
        counter.apply(&effect).unwrap();
        assert!(counter.note_untold(at_ms / 1000 * 1000));
    }
    let record = tidegate_data::Record::new_collection(b"c", counter, None);
    assert!(super::unflushed(b"c", &record, &mut effects));
    // Two buckets, not three additions.
    assert_eq!(effects.len(), 2);
    let record = super::mark_flushed(record);
    assert!(!super::unflushed(b"c", &record, &mut effects));
}
