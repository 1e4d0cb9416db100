use super::scan_cursor;
use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};
use std::collections::BTreeSet;

#[test]
fn keys_lists_what_matches() {
    check(&["KEYS *"], "*0");
    check(&["SET ab 1", "SET ac 1", "SET b 1", "KEYS ?c"], "*1 $2 ac");
    check(&["SET a 1", "KEYS A"], "*0");
    check(&["SET a 1", "KEYS *", "KEYS b"], "*0");
    check_effects(&["SET a 1", "KEYS *"], &[]);
    check_events(&["SET a 1", "KEYS *"], &[]);
}

/// `KEYS *` is no pattern but "all keys": as a pattern `*` does not match the empty key.
#[test]
fn the_empty_key_matches_a_lone_star_only() {
    check(&["SET \"\" 1", "KEYS *"], "*1 $0");
    check(&["SET \"\" 1", "KEYS **"], "*0");
    check(&["SET \"\" 1", "SCAN 0 MATCH *"], "*2 $1 0 *1 $0");
    check(&["SET \"\" 1", "SCAN 0 MATCH **"], "*2 $1 0 *0");
}

#[test]
fn keys_hides_what_is_due_and_scan_deletes_it() {
    let mut bench = Bench::default();
    bench.run("SET a 1");
    bench.run("SET b 1");
    bench.run("PEXPIRE b 5");
    bench.now_ms += 6;
    assert_eq!(bench.run("KEYS *").text(), "*1 $1 a");
    assert_eq!(bench.run("DBSIZE").text(), ":2");
    assert_eq!(bench.run("SCAN 0 MATCH x").text(), "*2 $1 0 *0");
    assert_eq!(bench.run("DBSIZE").text(), ":2");
    let ran = bench.run("SCAN 0");
    assert_eq!(ran.text(), "*2 $1 0 *1 $1 a");
    assert_eq!(ran.effects.bytes(), b"*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n");
    assert_eq!(ran.events, ["expired b"]);
    assert_eq!(bench.run("DBSIZE").text(), ":1");
}

#[test]
fn scan_options_and_their_errors() {
    check(&["SET a 1", "SCAN 0"], "*2 $1 0 *1 $1 a");
    check(&["SET a 1", "SCAN 0 TYPE string"], "*2 $1 0 *1 $1 a");
    check(&["SET a 1", "SCAN 0 type STRING match a count 1"], "*2 $1 0 *1 $1 a");
    check(&["SET a 1", "SCAN 0 TYPE list"], "*2 $1 0 *0");
    check(&["SET a 1", "SCAN 0 TYPE nonsense"], "*2 $1 0 *0");
    check(&["SET a 1", "SCAN 0 MATCH b*"], "*2 $1 0 *0");
    check(&["SET a 1", "SET b 1", "SCAN 0 MATCH b MATCH a"], "*2 $1 0 *1 $1 a");
    check(&["SCAN x"], "-ERR invalid cursor");
    check(&["SCAN x FOO"], "-ERR invalid cursor");
    check(&["SCAN 0 FOO"], "-ERR syntax error");
    check(&["SCAN 0 COUNT"], "-ERR syntax error");
    check(&["SCAN 0 COUNT 0"], "-ERR syntax error");
    check(&["SCAN 0 COUNT -1"], "-ERR syntax error");
    check(&["SCAN 0 COUNT x"], "-ERR value is not an integer or out of range");
    check(&["SCAN 0 COUNT 9223372036854775807"], "*2 $1 0 *0");
    check(&["SET a 1", "SCAN 18446744073709551615"], "*2 $1 0 *0");
    check_effects(&["SET a 1", "SCAN 0"], &[]);
    check_lookups(&["SET a 1", "SET b 1", "SCAN 0"], 0, 0);
    check_lookups(&["SET a 1", "SET b 1", "SCAN 0 TYPE list MATCH a"], 1, 0);
    check_events(&["SET a 1", "SCAN 0 TYPE string"], &[]);
}

#[test]
fn cursors_are_read_like_strtoul() {
    let ok = |text: &[u8], number: u64| assert_eq!(scan_cursor(text), Ok(number), "{}", text.escape_ascii());
    ok(b"0", 0);
    ok(b"", 0);
    ok(b"007", 7);
    ok(b"+5", 5);
    ok(b"-1", u64::MAX);
    ok(b"-18446744073709551615", 1);
    ok(b"5\0junk", 5);
    ok(b"18446744073709551615", u64::MAX);
    for text in [&b"-"[..], b"+", b" 1", b"1 ", b"1a", b"+-1", b"0x1", b"18446744073709551616"] {
        assert!(scan_cursor(text).is_err(), "{}", text.escape_ascii());
    }
}

#[test]
fn a_whole_scan_sees_every_key() {
    let mut bench = Bench::default();
    let names: BTreeSet<String> = (0..1000).map(|number| format!("key:{number}")).collect();
    for name in &names {
        bench.run(&format!("SET {name} 1"));
    }
    for count in [1, 10, 5000] {
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_string();
        loop {
            let text = bench.run(&format!("SCAN {cursor} COUNT {count}")).text();
            let mut words = text.split(' ').filter(|word| !word.starts_with(['$', '*']));
            cursor = words.next().unwrap().into();
            seen.extend(words.map(str::to_string));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen, names, "COUNT {count}");
    }
}

#[test]
fn randomkey_finds_what_is_alive() {
    check(&["RANDOMKEY"], "$-1");
    check(&["SET a 1", "RANDOMKEY"], "$1 a");
    check_effects(&["SET a 1", "RANDOMKEY"], &[]);
    check_events(&["SET a 1", "RANDOMKEY"], &[]);
    let mut bench = Bench::default();
    for number in 0..300 {
        bench.run(&format!("SET {number} 1"));
        bench.run(&format!("PEXPIRE {number} 5"));
    }
    bench.run("SET alive 1");
    bench.now_ms += 6;
    assert_eq!(bench.run("RANDOMKEY").text(), "$5 alive");
    bench.run("DEL alive");
    assert_eq!(bench.run("RANDOMKEY").text(), "$-1");
    assert_eq!(bench.run("DBSIZE").text(), ":0");
}
