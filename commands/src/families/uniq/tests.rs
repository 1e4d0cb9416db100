use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

#[test]
fn create() {
    check(&["UNIQ.CREATE u 60000 60"], "+OK");
    check(&["UNIQ.CREATE u 60000 60", "UNIQ.CREATE u 60000 60"], "+OK");
    check(&["UNIQ.CREATE u 60000 60", "UNIQ.CREATE u 60000 61"], "-ERR counter exists with other tiers");
    check(&["UNIQ.CREATE u 60000 60", "UNIQ.CREATE u 60000 61 NX"], "$-1");
    check(&["UNIQ.CREATE u 60000 0"], "-ERR buckets must be between 1 and 4096");
    check(&["UNIQ.CREATE u 60000 4097"], "-ERR buckets must be between 1 and 4096");
    check(&["UNIQ.CREATE u 0 1"], NOT_INTEGER);
    check(&["UNIQ.CREATE u 9007199254740992 2"], NOT_INTEGER);
    check(&["UNIQ.CREATE u 1 1 2"], "-ERR syntax error");
    check(&["SET u 1", "UNIQ.CREATE u 1 1"], WRONG_TYPE);
    check(&["UNIQ.CREATE u 1 1", "TYPE u"], "+uniq");
    check_effects(&["UNIQ.CREATE u 1000 5"], &["NATIVE.APPLY u UN CFG 1000 5"]);
    check_events(&["UNIQ.CREATE u 1000 5"], &["new u"]);
}

#[test]
fn add() {
    check(&["UNIQ.ADD u alice bob"], ":1");
    check(&["UNIQ.ADD u alice bob", "UNIQ.ADD u alice"], ":0");
    check(&["SET u 1", "UNIQ.ADD u a"], WRONG_TYPE);
    // The same register to the same value as PFADD does.
    check_effects(&["UNIQ.ADD u a"], &["NATIVE.APPLY u UN ADD 1699999980000 1 12711 2"]);
    check_effects(&["UNIQ.ADD u a", "UNIQ.ADD u a"], &[]);
    check_events(&["UNIQ.ADD u a"], &["new u"]);
    let (mut bench, mut twin) = (Bench::default(), Bench::default());
    for at in 0..400 {
        let ran = bench.run(&format!("UNIQ.ADD u {at} {} {}", at % 7, at * 3));
        twin.replay(&ran.effects);
        bench.now_ms += 10_000;
    }
    assert_eq!(twin.run("DUMP u").reply, bench.run("DUMP u").reply);
}

#[test]
fn count() {
    check(&["UNIQ.COUNT u 60000 1"], "*2 :0 :0");
    check(&["UNIQ.ADD u a b", "UNIQ.COUNT u 1 60001"], "*2 :2 :2");
    check(&["UNIQ.ADD u a", "UNIQ.COUNT u 3600001"], "-ERR window exceeds retention");
    check(&["UNIQ.COUNT u 0"], NOT_INTEGER);
    check(&["SET u 1", "UNIQ.COUNT u 1"], WRONG_TYPE);
    let mut bench = Bench::default();
    bench.run("UNIQ.CREATE u 60000 60");
    bench.run("UNIQ.ADD u alice bob");
    bench.now_ms = START_MS + 60_000;
    bench.run("UNIQ.ADD u carol");
    assert_eq!(bench.run("UNIQ.COUNT u 60000 120000 60000").text(), "*3 :1 :3 :1");
}
