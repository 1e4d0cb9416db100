use crate::model::check::{Bench, START_MS, check, check_effects, check_events, check_lookups};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Fields that end at 10 seconds and at 20, and one that does not.
const SETUP: [&str; 3] = ["HSET h a 1 b 2 c 3", "HEXPIRE h 10 FIELDS 1 a", "HPEXPIRE h 20001 FIELDS 1 b"];

fn with_setup<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    SETUP.into_iter().chain(lines.iter().copied()).collect()
}

#[test]
fn fields_end_at_their_time() {
    let mut bench = Bench::default();
    for line in SETUP {
        bench.run(line);
    }
    assert_eq!(bench.run("HTTL h FIELDS 4 a b c x").text(), "*4 :10 :21 :-1 :-2");
    assert_eq!(bench.run("HPTTL h FIELDS 4 a b c x").text(), "*4 :10000 :20001 :-1 :-2");
    let seconds = START_MS / 1000 + 10;
    assert_eq!(bench.run("HEXPIRETIME h FIELDS 2 a b").text(), format!("*2 :{seconds} :{}", seconds + 11));
    assert_eq!(bench.run("HPEXPIRETIME h FIELDS 2 a c").text(), format!("*2 :{} :-1", START_MS + 10_000));
    bench.now_ms += 10_000;
    // A field lives through its last millisecond, as a key does.
    assert_eq!(bench.run("HGET h a").text(), "$1 1");
    bench.now_ms += 1;
    let ran = bench.run("HGETALL h");
    assert_eq!(ran.text(), "*4 $1 b $1 2 $1 c $1 3");
    assert_eq!(ran.events, ["hexpired h"]);
    assert_eq!(ran.effects.bytes(), b"*3\r\n$4\r\nHDEL\r\n$1\r\nh\r\n$1\r\na\r\n");
    assert_eq!(bench.run("HEXISTS h a").text(), ":0");
    assert_eq!(bench.run("HLEN h").text(), ":2");
    bench.now_ms += 20_000;
    assert_eq!(bench.run("HSET h b 5").text(), ":1");
    assert_eq!(bench.run("HTTL h FIELDS 1 b").text(), "*1 :-1");
}

#[test]
fn a_hash_ends_with_its_last_field() {
    for (fields, effects) in [(2, 1), (1000, 1), (3000, 3)] {
        let mut bench = Bench::default();
        let names: Vec<String> = (0..fields).map(|n| format!("f{n}")).collect();
        for name in &names {
            bench.run(&format!("HSET h {name} 1"));
        }
        bench.run(&format!("HPEXPIRE h 5 FIELDS {fields} {}", names.join(" ")));
        bench.now_ms += 6;
        let ran = bench.run("EXISTS h");
        assert_eq!(ran.text(), ":0");
        assert_eq!(ran.events, ["hexpired h", "del h", "keymiss h"]);
        assert_eq!(ran.effects.len(), effects);
        assert_eq!(bench.run("HSET h f0 1").text(), ":1");
    }
}

#[test]
fn what_happens_to_deadlines() {
    let ttl = |lines: &[&str], reply: &str| check(&with_setup(lines), reply);
    ttl(&["HSET h a 2", "HTTL h FIELDS 1 a"], "*1 :-1");
    ttl(&["HMSET h a 2", "HTTL h FIELDS 1 a"], "*1 :-1");
    ttl(&["HSETNX h a 2", "HTTL h FIELDS 1 a"], "*1 :10");
    ttl(&["HINCRBY h a 2", "HTTL h FIELDS 1 a"], "*1 :10");
    ttl(&["HINCRBYFLOAT h a 2", "HTTL h FIELDS 1 a"], "*1 :10");
    ttl(&["HDEL h a", "HSET h a 2", "HTTL h FIELDS 1 a"], "*1 :-1");
    ttl(&["RENAME h g", "HTTL g FIELDS 1 a"], "*1 :10");
    ttl(&["COPY h g", "HTTL g FIELDS 2 a c"], "*2 :10 :-1");
    ttl(&["MOVE h 1", "HTTL h FIELDS 1 a"], "*1 :-2");
    ttl(&["OBJECT ENCODING h"], "$10 listpackex");
    ttl(&["HPERSIST h FIELDS 2 a b", "OBJECT ENCODING h"], "$10 listpackex");
    let long = "x".repeat(100);
    ttl(&[&format!("HSET h long {long}"), "OBJECT ENCODING h"], "$9 hashtable");
    ttl(&[&format!("HSET h long {long}"), "HTTL h FIELDS 4 a b c long"], "*4 :10 :21 :-1 :-1");
    check(&[&format!("HSET h long {long}"), "HEXPIRE h 5 FIELDS 1 long", "HTTL h FIELDS 1 long"], "*1 :5");
}

#[test]
fn conditions() {
    let set = |line: &str, reply: &str| check(&with_setup(&[line]), reply);
    set("HEXPIRE h 10 NX FIELDS 2 a c", "*2 :0 :1");
    set("HEXPIRE h 10 XX FIELDS 3 a c x", "*3 :1 :0 :-2");
    set("HEXPIRE h 15 gt FIELDS 3 a b c", "*3 :1 :0 :0");
    set("HEXPIRE h 15 LT FIELDS 3 a b c", "*3 :0 :1 :1");
    set("HEXPIRE h 10 GT FIELDS 1 a", "*1 :0");
    set("HEXPIRE h 10 LT FIELDS 1 a", "*1 :0");
    set("HEXPIRE h 10 FIELDS 2 a a", "*2 :1 :1");
    set("HEXPIRE h 10 NX FIELDS 2 c c", "*2 :1 :0");
}

#[test]
fn a_time_in_the_past_removes() {
    check(&with_setup(&["HEXPIRE h 0 FIELDS 3 a a x"]), "*3 :2 :-2 :-2");
    check(&with_setup(&["HPEXPIREAT h 1 FIELDS 1 a", "HGETALL h"]), "*4 $1 b $1 2 $1 c $1 3");
    check(&with_setup(&["HPEXPIREAT h 1 GT FIELDS 1 a"]), "*1 :0");
    check(&with_setup(&["HEXPIREAT h 1 FIELDS 3 a b c", "EXISTS h"]), ":0");
    check_effects(&with_setup(&["HEXPIRE h 0 FIELDS 2 a x"]), &["HDEL h a"]);
    check_events(&with_setup(&["HEXPIRE h 0 FIELDS 2 a x"]), &["hdel h"]);
    check_events(&with_setup(&["HEXPIRE h 0 FIELDS 3 a b c"]), &["hdel h", "del h"]);
}

#[test]
fn deadlines_are_replayed_as_points_in_time() {
    let at = START_MS + 10_000;
    let effect = format!("HPEXPIREAT h {at} FIELDS 1 a");
    check_effects(&["HSET h a 1", "HEXPIRE h 10 FIELDS 2 a x"], &[&effect]);
    check_effects(&["HSET h a 1", "HPEXPIRE h 10000 NX FIELDS 1 a"], &[&effect]);
    check_effects(&["HSET h a 1", &format!("HEXPIREAT h {} FIELDS 1 a", at / 1000)], &[&effect]);
    check_effects(&["HSET h a 1", &effect], &[&effect]);
    check_effects(&["HSET h a 1", "HEXPIRE h 10 XX FIELDS 1 a"], &[]);
    check_effects(&["HEXPIRE h 10 FIELDS 1 a"], &[]);
    check_events(&["HSET h a 1 b 2", "HEXPIRE h 10 FIELDS 2 a b"], &["hexpire h"]);
    check_events(&["HSET h a 1", "HEXPIRE h 10 XX FIELDS 1 a"], &[]);
}

#[test]
fn hpersist() {
    check(&with_setup(&["HPERSIST h FIELDS 3 a c x"]), "*3 :1 :-1 :-2");
    check(&with_setup(&["HPERSIST h FIELDS 1 a", "HTTL h FIELDS 2 a b"]), "*2 :-1 :21");
    check(&["HPERSIST h FIELDS 2 a b"], "*2 :-2 :-2");
    check_effects(&with_setup(&["HPERSIST h FIELDS 2 a c"]), &["HPERSIST h FIELDS 2 a c"]);
    check_effects(&with_setup(&["HPERSIST h FIELDS 1 c"]), &[]);
    check_events(&with_setup(&["HPERSIST h FIELDS 1 a"]), &["hpersist h"]);
    check_events(&with_setup(&["HPERSIST h FIELDS 1 c"]), &[]);
    let mut bench = Bench::default();
    for line in with_setup(&["HPERSIST h FIELDS 2 a b"]) {
        bench.run(line);
    }
    bench.now_ms += 60_000;
    let ran = bench.run("HLEN h");
    assert_eq!((ran.text().as_str(), ran.events.len(), ran.effects.len()), (":3", 0, 0));
}

#[test]
fn missing_keys_and_other_types() {
    check(&["HEXPIRE h 10 FIELDS 2 a b"], "*2 :-2 :-2");
    check(&["HTTL h FIELDS 2 a b"], "*2 :-2 :-2");
    check_lookups(&["HTTL h FIELDS 2 a b"], 0, 1);
    check_lookups(&["HEXPIRE h 10 FIELDS 2 a b"], 0, 0);
    for line in [
        "HEXPIRE h 10 FIELDS 1 a",
        "HPEXPIRE h x FIELDS 1 a",
        "HEXPIREAT h 10 FIELDS 0 a",
        "HPEXPIREAT h 10 X 1 a",
        "HTTL h FIELDS 1 a",
        "HPTTL h X 1 a",
        "HEXPIRETIME h FIELDS 0 a",
        "HPEXPIRETIME h FIELDS 2 a",
        "HPERSIST h X 1 a",
    ] {
        check(&["SET h x", line], WRONG_TYPE);
    }
}

#[test]
fn refusals() {
    let set = |line: &str, error: &str| check(&["HSET h a 1", line], error);
    set("HEXPIRE h 10 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command");
    set("HTTL h FIELDS 1", "-ERR wrong number of arguments for 'httl' command");
    set("HEXPIRE h x X 0 a", "-ERR value is not an integer or out of range");
    set("HEXPIRE h -1 X 0 a", "-ERR invalid expire time, must be >= 0");
    set("HEXPIREAT h 70368744178 X 0 a", "-ERR invalid expire time in 'hexpireat' command");
    set("hpexpireat h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command");
    set("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1 :1");
    set("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command");
    set("HPEXPIRE h 70368744177663 FIELDS 1 a", "-ERR invalid expire time in 'hpexpire' command");
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    set("HEXPIRE h 10 X 0 a", missing);
    set("HEXPIRE h 10 NX XX FIELDS 1 a", missing);
    set("HEXPIRE h 10 NX 1 a", missing);
    set("HTTL h X 0 a", missing);
    set("HPERSIST h X 0 a", missing);
    for count in ["0", "-1", "x", "9223372036854775808"] {
        set(&format!("HEXPIRE h 10 FIELDS {count} a"), "-ERR Parameter `numFields` should be greater than 0");
        set(&format!("HTTL h FIELDS {count} a"), "-ERR Number of fields must be a positive integer");
        set(&format!("HPERSIST h FIELDS {count} a"), "-ERR Number of fields must be a positive integer");
    }
    let unequal = "-ERR The `numfields` parameter must match the number of arguments";
    for count in ["2", "9223372036854775807"] {
        set(&format!("HEXPIRE h 10 FIELDS {count} a"), unequal);
        set(&format!("HPEXPIRETIME h FIELDS {count} a"), unequal);
        set(&format!("HPERSIST h FIELDS {count} a"), unequal);
    }
    set("HEXPIRE h 10 FIELDS 1 a b", unequal);
    set("HEXPIRE h 10 NX FIELDS 1", unequal);
}
