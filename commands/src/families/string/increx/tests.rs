use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

const MAX: &str = "9223372036854775807";
const MIN: &str = "-9223372036854775808";

#[test]
fn increx_counts_integers() {
    check(&["INCREX a"], "*2 :1 :1");
    check(&["SET a 10", "INCREX a"], "*2 :11 :1");
    check(&["SET a 100", "INCREX a BYINT -10"], "*2 :90 :-10");
    check(&["SET a 100", "INCREX a byint 0"], "*2 :100 :0");
    check(&["SET a 10", "INCREX a BYINT 5 LBOUND 0 UBOUND 15"], "*2 :15 :5");
    check(&["SET a 1", "INCREX a", "GET a"], "$1 2");
}

#[test]
fn results_out_of_bounds_are_declined() {
    check(&["SET a 10", "INCREX a BYINT 10 UBOUND 15"], "*2 :10 :0");
    check(&["SET a 10", "INCREX a BYINT -10 LBOUND 5", "GET a"], "$2 10");
    check(&["INCREX a BYINT 5 LBOUND 10"], "*2 :0 :0");
    check(&["INCREX a BYINT 5 LBOUND 10", "GET a"], "$-1");
    check(&["SET a 50", "INCREX a BYINT 5 UBOUND 30"], "*2 :50 :0");
    check(&["SET a 50", "INCREX a BYINT -25 UBOUND 30"], "*2 :25 :-25");
    check(&[&format!("SET a {MAX}"), "INCREX a"], &format!("*2 :{MAX} :0"));
    check_effects(&["SET a 10", "INCREX a BYINT 10 UBOUND 15 EX 100"], &[]);
    check_events(&["SET a 10", "INCREX a BYINT 10 UBOUND 15 EX 100"], &[]);
}

#[test]
fn saturated_results_stop_at_the_bound() {
    check(&["SET a 50", "INCREX a BYINT 100 UBOUND 80 SATURATE"], "*2 :80 :30");
    check(&["SET a 10", "INCREX a SATURATE BYINT -100 LBOUND 0"], "*2 :0 :-10");
    check(&["SET a 10", "INCREX a BYINT 5 UBOUND 5 SATURATE"], "*2 :5 :-5");
    check(&["INCREX a UBOUND 0 SATURATE"], "*2 :0 :0");
    check(&["INCREX a UBOUND 0 SATURATE", "GET a"], "$1 0");
    check(
        &["SET a 9223372036854775800", "INCREX a BYINT 9223372036854775800 SATURATE"],
        &format!("*2 :{MAX} :7"),
    );
    check(
        &["SET a -9223372036854775800", "INCREX a BYINT -9223372036854775800 SATURATE"],
        &format!("*2 :{MIN} :-8"),
    );
    check(&["SET a 10", &format!("INCREX a BYINT {MAX} UBOUND 100 SATURATE")], "*2 :100 :90");
    check(
        &["SET a 9223372036854775800", &format!("INCREX a SATURATE UBOUND {MIN}")],
        "-ERR applied increment would overflow",
    );
}

#[test]
fn increx_counts_in_floating_point() {
    check(&["SET a 1.5", "INCREX a BYFLOAT 0.25"], "*2 $4 1.75 $4 0.25");
    check(&["SET a 0.1", "INCREX a BYFLOAT 0.2"], "*2 $3 0.3 $3 0.2");
    check(&["SET a 10", "INCREX a BYFLOAT 100 UBOUND 42.5 SATURATE"], "*2 $4 42.5 $4 32.5");
    check(&["SET a 50.5", "INCREX a BYFLOAT 5.5 UBOUND 30"], "*2 $4 50.5 $1 0");
    check(&["INCREX a BYFLOAT -0.5 UBOUND -1.5"], "*2 $1 0 $1 0");
    check(&["SET a 10", "INCREX a BYFLOAT 1 LBOUND -inf UBOUND inf"], "*2 $2 11 $1 1");
    // 64 bits of precision: what was added is not always what was asked for.
    check(&["SET a 100000000000000000000", "INCREX a BYFLOAT 3"], "*2 $21 100000000000000000000 $1 0");
    let big = "1e4932";
    check(&["SET a 10", &format!("INCREX a BYFLOAT {big} UBOUND 100 SATURATE")], "*2 $3 100 $2 90");
    let mut bench = Bench::default();
    bench.run(&format!("SET a {big}"));
    assert!(bench.run(&format!("INCREX a BYFLOAT {big}")).text().ends_with(" $1 0"));
    assert_eq!(bench.run("GET a").text(), "$6 1e4932");
    let mut bench = Bench::resp3();
    assert_eq!(bench.run("INCREX a BYFLOAT 2.5").text(), "*2 ,2.5 ,2.5");
    assert_eq!(bench.run("INCREX b").text(), "*2 :1 :1");
}

#[test]
fn increx_changes_deadlines() {
    check_effects(&["SET a 10 EX 500", "INCREX a EX 10 ENX", "GETEX a PERSIST"], &["PERSIST a"]);
    check_effects(&["SET a 10 EX 500", "INCREX a", "GETEX a PERSIST"], &["PERSIST a"]);
    check_effects(&["SET a 10 EX 500", "INCREX a PERSIST", "GETEX a PERSIST"], &[]);
    check(&["SET a 10", "INCREX a EXAT 1"], "*2 :11 :1");
    check(&["SET a 10", "INCREX a EXAT 1", "GET a"], "$-1");
    check(&["INCREX a EXAT 1"], "*2 :1 :1");
    check(&["INCREX a EXAT 1", "GET a"], "$-1");
    check(&["SET a 10 EX 500", "INCREX a PXAT 1 ENX", "GET a"], "$2 11");
}

#[test]
fn increx_replays_as_set() {
    let at = START_MS + 5000;
    check_effects(&["SET a 10", "INCREX a BYINT 5"], &["SET a 15 KEEPTTL"]);
    check_effects(&["SET a 15", "INCREX a BYFLOAT 0.5"], &["SET a 15.5 KEEPTTL"]);
    check_effects(&["SET a 10 EX 500", "INCREX a PERSIST"], &["SET a 11"]);
    check_effects(&["SET a 10", "INCREX a EX 5"], &[&format!("SET a 11 PXAT {at}")]);
    check_effects(&["SET a 10", "INCREX a PX 5000 ENX"], &[&format!("SET a 11 PXAT {at}")]);
    check_effects(&["SET a 10 EX 500", "INCREX a EX 10 ENX"], &["SET a 11 KEEPTTL"]);
    check_effects(&["SET a 10", "INCREX a EXAT 1"], &["DEL a"]);
    check_effects(&["INCREX a EXAT 1"], &[]);
    check_effects(&["SET a 50", "INCREX a BYINT 100 UBOUND 80 SATURATE"], &["SET a 80 KEEPTTL"]);
}

#[test]
fn increx_events() {
    check_events(&["INCREX a BYINT 5"], &["new a", "incrby a"]);
    check_events(&["SET a 1", "INCREX a BYFLOAT 0.5"], &["incrbyfloat a"]);
    check_events(&["SET a 1 EX 5", "INCREX a PERSIST"], &["incrby a", "persist a"]);
    check_events(&["SET a 1", "INCREX a PERSIST"], &["incrby a"]);
    check_events(&["SET a 1", "INCREX a EX 5"], &["incrby a", "expire a"]);
    check_events(&["SET a 1 EX 5", "INCREX a EX 5 ENX"], &["incrby a"]);
    check_events(&["SET a 1", "INCREX a EXAT 1"], &["del a"]);
}

#[test]
fn increx_with_conditions() {
    check(&["INCREX a XX"], "*2 :0 :0");
    check(&["INCREX a XX", "GET a"], "$-1");
    check(&["INCREX a NX"], "*2 :1 :1");
    check(&["SET a 3", "INCREX a NX EX 100 BYINT 3"], "*2 :3 :0");
    check(&["SET a 3", "INCREX a XX"], "*2 :4 :1");
    let mut bench = Bench::resp3();
    assert_eq!(bench.run("INCREX a XX BYFLOAT 1.5").text(), "*2 ,0 ,0");
}

#[test]
fn increx_refuses() {
    for options in [
        "FOO",
        "BYINT",
        "BYINT 1 BYFLOAT 1.5",
        "BYINT 1 BYINT 2",
        "EX 10 PX 5000",
        "EX 10 EX 10",
        "EX 10 PERSIST",
        "PERSIST ENX",
        "ENX PERSIST",
        "PERSIST PERSIST",
        "LBOUND 0 LBOUND 1",
        "LBOUND",
        "SATURATE SATURATE",
        "ENX ENX EX 10",
        "NX XX",
        "KEEPTTL",
    ] {
        check(&[&format!("INCREX a {options}")], "-ERR syntax error");
    }
    for (options, error) in [
        ("ENX", "ENX flag requires an expiration"),
        ("BYINT 1.5", "Increment is not an integer or out of range"),
        ("BYFLOAT x", "Increment is not a valid float"),
        ("UBOUND 1.5", "UBOUND is not an integer or out of range"),
        ("BYFLOAT 1 LBOUND x", "LBOUND is not a valid float"),
        ("BYFLOAT inf", "BYFLOAT increment cannot be Infinity"),
        ("LBOUND 10 UBOUND 5", "LBOUND can't be greater than UBOUND"),
        ("BYFLOAT 1 UBOUND -inf", "LBOUND can't be greater than UBOUND"),
        ("EX 0", "invalid expire time in 'increx' command"),
        ("EX x", "value is not an integer or out of range"),
        ("BYFLOAT 1 LBOUND inf UBOUND inf SATURATE", "applied increment would be Infinity"),
    ] {
        check(&[&format!("INCREX a {options}")], &format!("-ERR {error}"));
    }
    check(&["SET a x", "INCREX a"], "-ERR value is not an integer or out of range");
    check(&["SET a x", "INCREX a BYFLOAT 1 EXAT 1"], "-ERR value is not a valid float");
    check(&["SET a inf", "INCREX a BYFLOAT 1"], "-ERR value cannot be Infinity");
}
