use crate::model::check::{Bench, START_MS, check, check_effects, check_events, check_lookups};

#[test]
fn expire_sets_a_deadline() {
    check(&["SET a 1", "EXPIRE a 10"], ":1");
    check(&["SET a 1", "EXPIRE a 10", "PTTL a"], ":10000");
    check(&["SET a 1", "PEXPIRE a 1500", "PTTL a"], ":1500");
    check(&["SET a 1", "EXPIREAT a 1700000001", "PTTL a"], ":1000");
    check(&["SET a 1", "PEXPIREAT a 1700000000001", "PTTL a"], ":1");
    check(&["EXPIRE a 10"], ":0");
    check_events(&["SET a 1", "EXPIRE a 10"], &["expire a"]);
    check_events(&["EXPIRE a 10"], &[]);
    check_lookups(&["SET a 1", "EXPIRE a 10"], 0, 0);
}

#[test]
fn every_form_replays_as_an_absolute_deadline() {
    check_effects(&["SET a 1", "EXPIRE a 10"], &["PEXPIREAT a 1700000010000"]);
    check_effects(&["SET a 1", "PEXPIRE a 10 NX"], &["PEXPIREAT a 1700000000010 NX"]);
    check_effects(&["SET a 1", "EXPIREAT a 1700000001 lt"], &["PEXPIREAT a 1700000001000 lt"]);
    check_effects(&["SET a 1", "PEXPIREAT a 1700000000001"], &["PEXPIREAT a 1700000000001"]);
    check_effects(&["EXPIRE a 10"], &[]);
}

#[test]
fn a_deadline_in_the_past_deletes() {
    for line in ["EXPIRE a 0", "EXPIRE a -1", "PEXPIRE a 0", "EXPIREAT a 1", "PEXPIREAT a 1700000000000"] {
        check(&["SET a 1", line], ":1");
        check(&["SET a 1", line, "DBSIZE"], ":0");
        check_effects(&["SET a 1", line], &["DEL a"]);
        check_events(&["SET a 1", line], &["del a"]);
    }
}

#[test]
fn conditions_compare_with_the_present_deadline() {
    // No deadline counts as one that never comes.
    for (condition, allowed) in [("NX", ":1"), ("XX", ":0"), ("GT", ":0"), ("LT", ":1")] {
        check(&["SET a 1", &format!("EXPIRE a 10 {condition}")], allowed);
    }
    for (line, allowed) in [
        ("EXPIRE a 10 NX", ":0"),
        ("EXPIRE a 10 XX", ":1"),
        ("EXPIRE a 99 GT", ":0"),
        ("EXPIRE a 100 GT", ":0"),
        ("EXPIRE a 101 GT", ":1"),
        ("EXPIRE a 99 LT", ":1"),
        ("EXPIRE a 100 LT", ":0"),
        ("EXPIRE a 101 LT", ":0"),
        ("EXPIRE a 101 xx gt", ":1"),
        ("EXPIRE a 99 XX GT", ":0"),
        ("EXPIRE a 99 LT XX", ":1"),
        ("EXPIRE a 10 NX NX", ":0"),
    ] {
        check(&["SET a 1", "EXPIRE a 100", line], allowed);
        if allowed == ":0" {
            check_effects(&["SET a 1", "EXPIRE a 100", line], &[]);
            check(&["SET a 1", "EXPIRE a 100", line, "TTL a"], ":100");
        }
    }
    check(&["SET a 1", "EXPIRE a 10 XX LT"], ":0");
    check(&["SET a 1", "EXPIRE a 100", "EXPIRE a -1 GT", "TTL a"], ":100");
    check(&["SET a 1", "EXPIRE a 100", "EXPIRE a -1 LT", "EXISTS a"], ":0");
}

#[test]
fn errors_come_in_the_order_of_redis() {
    check(&["EXPIRE a x foo"], "-ERR Unsupported option foo");
    check(&["EXPIRE a x NX foo"], "-ERR Unsupported option foo");
    let together = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    for line in ["EXPIRE a x NX XX", "EXPIRE a x GT NX", "EXPIRE a x nx lt", "EXPIRE a x NX GT LT"] {
        check(&[line], together);
    }
    check(&["EXPIRE a x GT LT"], "-ERR GT and LT options at the same time are not compatible");
    check(&["EXPIRE a x"], "-ERR value is not an integer or out of range");
    check(&["EXPIRE a 1.5"], "-ERR value is not an integer or out of range");
    for (line, name) in [
        ("EXPIRE a 9223372036854775807", "expire"),
        ("EXPIRE a 9223372036854775", "expire"),
        ("EXPIRE a -9223372036854776", "expire"),
        ("PEXPIRE a 9223372036854775807", "pexpire"),
        ("EXPIREAT a 9223372036854776", "expireat"),
    ] {
        check(&[line], &format!("-ERR invalid expire time in '{name}' command"));
    }
    check(&["PEXPIREAT a 9223372036854775807"], ":0");
    check(&["EXPIRE a"], "-ERR wrong number of arguments for 'expire' command");
    let ran = Bench::default().run_words(&[b"EXPIRE", b"a", b"1", b"f\0o"]);
    assert_eq!(ran.text(), "-ERR Unsupported option f");
}

#[test]
fn asking_for_the_time_left() {
    for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
        check(&[&format!("{command} a")], ":-2");
        check(&["SET a 1", &format!("{command} a")], ":-1");
        check_effects(&["SET a 1", "EXPIRE a 1", &format!("{command} a")], &[]);
        check_events(&[&format!("{command} a")], &["keymiss a"]);
        check_lookups(&[&format!("{command} a")], 0, 1);
        check_lookups(&["SET a 1", &format!("{command} a")], 1, 0);
    }
    check(&["SET a 1", "PEXPIRE a 1499", "TTL a"], ":1");
    check(&["SET a 1", "PEXPIRE a 1500", "TTL a"], ":2");
    check(&["SET a 1", "PEXPIRE a 499", "TTL a"], ":0");
    check(&["SET a 1", "PEXPIREAT a 1700000000499", "EXPIRETIME a"], ":1700000000");
    check(&["SET a 1", "PEXPIREAT a 1700000000500", "EXPIRETIME a"], ":1700000001");
    check(&["SET a 1", "PEXPIREAT a 1700000000500", "PEXPIRETIME a"], ":1700000000500");
}

/// Answers of redis-server 7.0.15.
#[test]
fn the_end_of_time() {
    let end = "PEXPIREAT a 9223372036854775807";
    check(&["SET a 1", end, "PEXPIRETIME a"], ":9223372036854775807");
    check(&["SET a 1", end, "EXPIRETIME a"], ":9223372036854776");
    check(&["SET a 1", end, "PTTL a"], ":9223370336854775807");
}

#[test]
fn a_key_lives_through_its_last_millisecond() {
    let mut bench = Bench::default();
    bench.run("SET a 1");
    bench.run("PEXPIRE a 10");
    bench.now_ms = START_MS + 10;
    assert_eq!(bench.run("PTTL a").text(), ":0");
    bench.now_ms += 1;
    let ran = bench.run("PTTL a");
    assert_eq!((ran.text().as_str(), ran.events), (":-2", vec!["expired a".into(), "keymiss a".into()]));
    assert_eq!(ran.effects.bytes(), b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
}

#[test]
fn persist_removes_the_deadline() {
    check(&["SET a 1", "EXPIRE a 10", "PERSIST a"], ":1");
    check(&["SET a 1", "EXPIRE a 10", "PERSIST a", "TTL a"], ":-1");
    check(&["SET a 1", "PERSIST a"], ":0");
    check(&["PERSIST a"], ":0");
    check_effects(&["SET a 1", "EXPIRE a 10", "PERSIST a"], &["PERSIST a"]);
    check_effects(&["SET a 1", "PERSIST a"], &[]);
    check_events(&["SET a 1", "EXPIRE a 10", "PERSIST a"], &["persist a"]);
    check_events(&["PERSIST a"], &[]);
}
