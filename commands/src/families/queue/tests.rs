use crate::model::check::{
    Bench, START_MS, check, check_changes, check_effects, check_events, check_retry, check_waits,
};

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const PUSH: &str = "XQUEUE.PUSH q BODY m";
const POP: &str = "XQUEUE.POP 1 q LEASE 1000";
const RECEIPT: &str = "1700000000000-0#122163200000000";

fn at(bench: &mut Bench, ms: i64, line: &str) -> String {
    bench.now_ms = START_MS + ms;
    bench.run(line).text()
}

#[test]
fn create() {
    check(&["XQUEUE.CREATE q"], "+OK");
    check(&["XQUEUE.CREATE q", "EXISTS q"], ":0");
    check(&["XQUEUE.CREATE q LEASE 5", "TYPE q"], "+xqueue");
    check(&["XQUEUE.CREATE q LEASE 5", "XQUEUE.CREATE q NX LEASE 6"], "$-1");
    check(&["XQUEUE.CREATE q XX LEASE 5"], "$-1");
    check(&["XQUEUE.CREATE q NX XX"], SYNTAX);
    check(&["XQUEUE.CREATE q LEASE 5 LEASE 6"], SYNTAX);
    check(&["XQUEUE.CREATE q LEASE"], SYNTAX);
    check(&["XQUEUE.CREATE q LEASE 0"], "-ERR LEASE must be between 1 and 43200000");
    check(&["XQUEUE.CREATE q LEASE x"], NOT_INTEGER);
    check(&["XQUEUE.CREATE q SIZE 1"], "-ERR unknown option 'SIZE'");
    check(&["XQUEUE.CREATE q BACKOFF SQUARE 1 2"], SYNTAX);
    check(&["XQUEUE.CREATE q BACKOFF LIST 0"], "-ERR BACKOFF LIST must be between 1 and 64");
    check(&["XQUEUE.CREATE q BACKOFF FIXED 1 2 JITTER 101"], "-ERR JITTER must be between 0 and 100");
    check(&["XQUEUE.CREATE q EXPIRED LATER"], SYNTAX);
    check(&["XQUEUE.CREATE q RATE nope"], "-NOPOLICY no such policy 'nope'");
    check(&["SET q 1", "XQUEUE.CREATE q"], WRONG_TYPE);
    check_effects(&["XQUEUE.CREATE q"], &[]);
    check_effects(
        &["XQUEUE.CREATE q BACKOFF LIST 2 5 7 GROUPMAX 3"],
        &[
            "NATIVE.APPLY q XQ CFG LEASE 30000 MAXDELIVER 10 AGING 0 GROUPMAX 3 MAXINFLIGHT 0 CONSUMERMAX 0 TTL 0 \
           MAXBODY 1048576 DEADTTL 1209600000 DEADMAX 100000 HISTORY 5 RATE  GROUPRATE  EXPIRED DROP MAXLEN 0 REJECT \
           BACKOFF LIST 2 5 7 JITTER 0",
        ],
    );
    check_effects(&["XQUEUE.CREATE q TTL 5", "XQUEUE.CREATE q TTL 5"], &[]);
}

#[test]
fn push() {
    check(&[PUSH], "$15 1700000000000-0");
    check(&["XQUEUE.PUSH q BODIES 2 a b"], "*2 $15 1700000000000-0 $15 1700000000000-1");
    check(&["XQUEUE.PUSH q DELAY 5"], SYNTAX);
    check(&["XQUEUE.PUSH q DELAY 5 BODY"], SYNTAX);
    check(&["XQUEUE.PUSH q BODY a BODY b"], SYNTAX);
    check(&["XQUEUE.PUSH q DELAY 5 AT 6 BODY a"], SYNTAX);
    check(&["XQUEUE.PUSH q DELAY x BODY a"], NOT_INTEGER);
    check(&["XQUEUE.PUSH q DELAY -1 BODY a"], "-ERR DELAY must be between 0 and 316224000000");
    check(
        &["XQUEUE.PUSH q AT 9223372036854775807 BODY a"],
        "-ERR AT must be at most 316224000000 ms from now",
    );
    check(&["XQUEUE.PUSH q AT -9223372036854775808 BODY a", "XQUEUE.LEN q"], ":1");
    check(&["XQUEUE.PUSH q PRIORITY 10 BODY a"], "-ERR PRIORITY must be between 0 and 9");
    check(&["XQUEUE.PUSH q BODIES 0"], "-ERR BODIES must be between 1 and 1000");
    check(&["XQUEUE.PUSH q BODIES 2 a"], SYNTAX);
    check(&["XQUEUE.PUSH q DEDUP a 0 BODIES 1 a"], "-ERR DEDUP cannot be used with BODIES");
    check(&["XQUEUE.PUSH q HEADERS 0 BODY a"], "-ERR HEADERS must be between 1 and 64");
    let long = "x".repeat(257);
    check(&[&format!("XQUEUE.PUSH q GROUP {long} BODY a")], "-TOOBIG group exceeds 256 bytes");
    check(&[&format!("XQUEUE.PUSH q DEDUP {long} 0 BODY a")], "-TOOBIG dedup id exceeds 256 bytes");
    let longer = "x".repeat(16_384);
    check(&[&format!("XQUEUE.PUSH q HEADERS 1 a {longer} BODY a")], "-TOOBIG headers exceeds 16384 bytes");
    check(&["XQUEUE.CREATE q MAXBODY 1", "XQUEUE.PUSH q BODY ab"], "-TOOBIG message body exceeds 1 bytes");
    check(&["SET q 1", PUSH], WRONG_TYPE);
    check_changes(&[PUSH], 1);
    check_effects(
        &["XQUEUE.PUSH q DELAY 5 PRIORITY 7 GROUP g TTL 9 MAXDELIVER 3 DEDUP d 8 HEADERS 1 a 1 BODY m"],
        &["NATIVE.APPLY q XQ PUSH 1700000000000-0 1700000000005 7 g 9 3 0 d 1700000000008 1 a 1 m"],
    );
    check_effects(
        &["XQUEUE.PUSH q DELAY 5 DEDUP d 0 BODY m", "XQUEUE.PUSH q DELAY 7 DEDUP d 0 REPLACE BODY n"],
        &["NATIVE.APPLY q XQ REPL 1700000000000-0 1700000000007 0 n"],
    );
    check_effects(&["XQUEUE.PUSH q DEDUP d 9 BODY m", "XQUEUE.PUSH q DEDUP d 9 BODY n"], &[]);
    check_events(&[PUSH], &["new q", "xqueue.push q"]);
    check_events(&[PUSH, PUSH], &[]);
    check_events(&["XQUEUE.CREATE q MAXLEN 1", PUSH, PUSH], &["xqueue.full q"]);
}

#[test]
fn pop() {
    check(&["XQUEUE.POP 1 q"], "*-1");
    check(&[PUSH, POP], &format!("*1 *6 $1 q $15 1700000000000-0 $31 {RECEIPT} :1 $1 m *0"));
    check(&[PUSH, POP, POP], "*-1");
    check(&["XQUEUE.POP 0 q"], "-ERR numkeys should be greater than 0");
    check(&["XQUEUE.POP x q"], "-ERR numkeys should be greater than 0");
    check(&["XQUEUE.POP 2 q"], SYNTAX);
    check(&["XQUEUE.POP 1 q COUNT 0"], "-ERR COUNT must be between 1 and 1000");
    check(&["XQUEUE.POP 1 q LEASE 43200001"], "-ERR LEASE must be between 0 and 43200000");
    check(&["XQUEUE.POP 1 q COUNT 1 COUNT 1"], SYNTAX);
    check(&["XQUEUE.POP 1 q BLOCK -1"], NOT_INTEGER);
    check(&["SET q 1", POP], WRONG_TYPE);
    check_effects(
        &[PUSH, "XQUEUE.POP 1 q LEASE 1000 CONSUMER anna"],
        &["NATIVE.APPLY q XQ POP 1700000000000-0 122163200000000 1700000000000 1700000001000 anna"],
    );
    check_waits(
        &["XQUEUE.POP 2 a b COUNT 3 LEASE 7 CONSUMER c BLOCK 500"],
        &[
            "XQUEUE.POP 1 a COUNT 3 LEASE 7 CONSUMER c BLOCK 0",
            "XQUEUE.POP 1 b COUNT 3 LEASE 7 CONSUMER c BLOCK 0",
        ],
        Some(500),
    );
    check_retry(&["SET q 1", "XQUEUE.POP 1 q BLOCK 0"], "wait");
    let mut bench = Bench::default();
    bench.run(PUSH);
    bench.run(POP);
    let ran = {
        bench.now_ms = START_MS + 1000;
        bench.run(POP)
    };
    assert_eq!(ran.effects.len(), 1, "time is told with what came of it");
    assert!(String::from_utf8_lossy(ran.effects.bytes()).contains("AT\r\n$13\r\n1700000001000\r\n$3\r\nPOP"));
}

#[test]
fn settle() {
    let ack = format!("XQUEUE.ACK q {RECEIPT} {RECEIPT} x 1-1#1");
    check(&[PUSH, POP, &ack], ":1");
    check(&[&ack], ":0");
    check(&["SET q 1", &ack], WRONG_TYPE);
    check_events(&[PUSH, POP, &ack], &["del q"]);
    check_effects(&[PUSH, POP, &ack], &["NATIVE.APPLY q XQ ACK 1700000000000-0 1700000000000"]);
    let nack = format!("XQUEUE.NACK q {RECEIPT}");
    check(&[&nack], "-STALE receipt is not current");
    check(&[PUSH, "XQUEUE.NACK q x"], "-STALE receipt is not current");
    check(&[PUSH, POP, &nack], "*2 $7 delayed :1700000000900");
    check(&[PUSH, POP, &format!("{nack} DELAY 5")], "*2 $7 delayed :1700000000005");
    check(&[PUSH, POP, &format!("{nack} DELAY 0")], "*2 $5 ready :0");
    check(&[PUSH, POP, &format!("{nack} RELEASE")], "*2 $5 ready :0");
    check(&[PUSH, POP, &format!("{nack} DEAD")], "*2 $4 dead :0");
    check(&[&format!("{nack} DEAD RELEASE")], SYNTAX);
    let long = "x".repeat(257);
    check(&[&format!("{nack} REASON {long}")], "-TOOBIG reason exceeds 256 bytes");
    check_events(&[PUSH, POP, &format!("{nack} DEAD")], &["xqueue.dead q"]);
    check_effects(
        &[PUSH, POP, &format!("{nack} DELAY 5 REASON why")],
        &["NATIVE.APPLY q XQ NACK 1700000000000-0 1700000000000 1700000000005 why"],
    );
    let extend = format!("XQUEUE.EXTEND q 5000 {RECEIPT} x");
    check(&[PUSH, POP, &extend], "*2 :1700000005000 :0");
    check(&[&extend], "*2 :0 :0");
    check(&["XQUEUE.EXTEND q 0 x"], "-ERR lease must be between 1 and 43200000");
    check_effects(&[PUSH, POP, &extend], &["NATIVE.APPLY q XQ EXT 1700000000000-0 1700000005000"]);
}

/// Time had brought something before a command was refused: the journal hears of that all the same.
#[test]
fn who_is_refused_tells_of_the_time() {
    let mut bench = Bench::default();
    for line in [PUSH, POP, "XQUEUE.CREATE q MAXLEN 1"] {
        bench.run(line);
    }
    bench.now_ms = START_MS + 1000;
    let ran = bench.run(&format!("XQUEUE.NACK q {RECEIPT}"));
    assert_eq!(ran.text(), "-STALE receipt is not current");
    assert_eq!(ran.effects.len(), 1);
    let ran = bench.run(PUSH);
    assert_eq!((ran.text().as_str(), ran.effects.len()), ("-FULL queue 'q' is full", 0));
}

#[test]
fn read() {
    check(&["XQUEUE.PEEK q"], "*0");
    check(&["XQUEUE.PEEK q COUNT 0"], "-ERR COUNT must be between 1 and 1000");
    check(&["XQUEUE.PEEK q STATE lost"], "-ERR invalid state 'lost'");
    check(&["XQUEUE.PEEK q AFTER x"], "-ERR invalid message id 'x'");
    check(&[PUSH, "XQUEUE.PEEK q"], "*1 *5 $15 1700000000000-0 $5 ready :0 $1 m *0");
    check(&[PUSH, "XQUEUE.PEEK q AFTER 1700000000000-0"], "*0");
    check(&["XQUEUE.GET q 1-1"], "*-1");
    check(&[PUSH, "XQUEUE.GET q x"], "*-1");
    check(&[PUSH, "XQUEUE.GET q 1700000000000-0"], "*5 $15 1700000000000-0 $5 ready :0 $1 m *0");
    check(&["XQUEUE.LEN q"], ":0");
    check(&[PUSH, "XQUEUE.LEN q"], ":1");
    check(&[PUSH, "XQUEUE.LEN q STATE LEASED"], ":0");
    check(&["XQUEUE.LEN q STATE"], SYNTAX);
    check(&["XQUEUE.INFO q"], "$-1");
    check(&["SET q 1", "XQUEUE.INFO q"], WRONG_TYPE);
    let mut bench = Bench::resp3();
    bench.run(PUSH);
    bench.run("XQUEUE.PUSH q DEDUP a 0 BODY x");
    bench.run("XQUEUE.PUSH q DEDUP a 0 BODY x");
    bench.run(POP);
    let info = at(&mut bench, 10, "XQUEUE.INFO q");
    assert!(info.starts_with("%22 $5 ready :1 $7 delayed :0 $6 leased :1 $4 dead :0"), "{info}");
    assert!(info.contains("$9 oldest-ms :10") && info.contains("$7 deduped :1"), "{info}");
    assert!(info.contains("$8 push-60s :2") && info.contains("$7 backoff $14 EXP 1000 60000"), "{info}");
}

#[test]
fn manage() {
    check(&["XQUEUE.DEL q 1-1"], ":0");
    check(&[PUSH, "XQUEUE.DEL q 1700000000000-0 x"], ":1");
    check(&["XQUEUE.PURGE q"], ":0");
    check(&[PUSH, PUSH, "XQUEUE.PURGE q"], ":2");
    check(&[PUSH, PUSH, "XQUEUE.PURGE q STATE delayed"], ":0");
    check(&[PUSH, POP, PUSH, "XQUEUE.PURGE q STATE leased", "XQUEUE.LEN q"], ":1");
    check_effects(&[PUSH, "XQUEUE.PURGE q STATE ready"], &["NATIVE.APPLY q XQ PURGE ready"]);
    check(&["XQUEUE.PAUSE q SIDEWAYS"], SYNTAX);
    check(&["XQUEUE.PAUSE q IN FOR 0"], NOT_INTEGER);
    check(&["XQUEUE.PAUSE q IN", PUSH], "-PAUSED queue 'q' is paused for input");
    check(&[PUSH, "XQUEUE.PAUSE q OUT", POP], "*-1");
    check(&[PUSH, "XQUEUE.PAUSE q ALL", "XQUEUE.PAUSE q NONE", "XQUEUE.LEN q"], ":1");
    check_effects(&["XQUEUE.PAUSE q NONE"], &[]);
    check_events(&["XQUEUE.PAUSE q ALL FOR 5"], &["new q", "xqueue.pause q"]);
    let dead = format!("XQUEUE.NACK q {RECEIPT} DEAD");
    check(&["XQUEUE.REDRIVE q"], ":0");
    check(&["XQUEUE.REDRIVE q COUNT 1 IDS 1 1-1"], SYNTAX);
    check(&["XQUEUE.REDRIVE q IDS 2 1-1"], SYNTAX);
    check(&[PUSH, POP, &dead, "XQUEUE.REDRIVE q", "XQUEUE.LEN q"], ":1");
    check(&[PUSH, POP, &dead, "XQUEUE.REDRIVE q IDS 2 1700000000000-0 1700000000000-0"], ":1");
    check(&[PUSH, POP, &dead, "XQUEUE.REDRIVE q TO p", "XQUEUE.LEN p"], ":1");
    check(
        &[PUSH, POP, &dead, "XQUEUE.PAUSE p IN", "XQUEUE.REDRIVE q TO p"],
        "-PAUSED queue 'p' is paused for input",
    );
    check_effects(
        &[PUSH, POP, &dead, "XQUEUE.REDRIVE q"],
        &["NATIVE.APPLY q XQ RDR 1700000000000-0 1700000000000 1700000000000"],
    );
    check_events(&[PUSH, POP, &dead, "XQUEUE.REDRIVE q"], &["xqueue.redrive q", "xqueue.push q"]);
}

#[test]
fn copies_and_payloads() {
    check(&[PUSH, POP, "COPY q p", "XQUEUE.LEN p"], ":1");
    check(&[PUSH, POP, "COPY q p", &format!("XQUEUE.ACK p {RECEIPT}")], ":0");
    check(&[PUSH, POP, "RENAME q p", &format!("XQUEUE.ACK p {RECEIPT}")], ":1");
}

#[test]
fn bind() {
    check(&["XQUEUE.BIND q news"], ":1");
    check(&["XQUEUE.BIND q news", "XQUEUE.BIND q news"], ":0");
    check(&["XQUEUE.BIND q news", "EXISTS q"], ":0");
    check(&["XQUEUE.BIND q news MAYBE"], SYNTAX);
    check(&[&format!("XQUEUE.BIND q {}", "n".repeat(257))], "-TOOBIG channel exceeds 256 bytes");
    check_effects(&["XQUEUE.BIND q n* PATTERN"], &["NATIVE.BIND q n* 1 1"]);
    check_effects(&["XQUEUE.BIND q news", "XQUEUE.BIND q news"], &[]);
}

#[test]
fn unbind() {
    check(&["XQUEUE.UNBIND q news"], ":0");
    check(&["XQUEUE.BIND q news", "XQUEUE.BIND q news PATTERN", "XQUEUE.UNBIND q news"], ":2");
    check(&["XQUEUE.BIND q news", "XQUEUE.UNBIND p news"], ":0");
    check_effects(&["XQUEUE.BIND q news", "XQUEUE.UNBIND q news"], &["NATIVE.BIND q news 0 0"]);
}

const CALL: &str = "XQUEUE.CALL 1 q DEADLINE 1000 BODY m";
/// The first token is the call's.
const CALLED: &str = "1700000000000-0#122163200000001";

#[test]
fn call() {
    check_waits(&[CALL], &[], Some(1000));
    check(&[CALL, "XQUEUE.LEN q"], ":1");
    check(&["SET q 1", CALL], WRONG_TYPE);
    check(&["XQUEUE.CALL 2 q q DEADLINE 1000 NEED 3 BODY m"], "-ERR NEED must be between 1 and 2");
    check(&["XQUEUE.CALL 1 q NEED 1 DEADLINE 0 BODY m"], NOT_INTEGER);
    check(&["XQUEUE.CALL 1 q DEADLINE 5 BODIES 1 m"], SYNTAX);
    check(&["XQUEUE.CALL 0 q DEADLINE 5 BODY m"], "-ERR numkeys should be greater than 0");
    check(&["XQUEUE.PAUSE p IN", "XQUEUE.CALL 2 q p DEADLINE 5 BODY m", "EXISTS q"], ":0");
    check_effects(
        &[CALL],
        &["NATIVE.APPLY q XQ PUSH 1700000000000-0 1700000000000 4  0 - 0 - - 1 reply-to 122163200000000 m"],
    );
}

#[test]
fn reply() {
    // Nobody waits for it any more.
    check(&[CALL, POP, &format!("XQUEUE.REPLY q {CALLED} r")], ":0");
    check(&[CALL, POP, &format!("XQUEUE.REPLY q {CALLED} r"), "EXISTS q"], ":0");
    check(&[PUSH, POP, &format!("XQUEUE.REPLY q {RECEIPT} r")], ":0");
    check(&[PUSH, POP, "XQUEUE.REPLY q 1-1#1 r"], "-STALE receipt is not current");
    check(&[&format!("XQUEUE.REPLY q {RECEIPT} r")], "-STALE receipt is not current");
    check_effects(
        &[PUSH, POP, &format!("XQUEUE.REPLY q {RECEIPT} r")],
        &["NATIVE.APPLY q XQ ACK 1700000000000-0 1700000000000"],
    );
}

#[test]
fn dead_letters_go_to_the_queue_that_is_named() {
    let create = "XQUEUE.CREATE q MAXDELIVER 1 DLQ {q}dead";
    let dead = format!("XQUEUE.NACK q {RECEIPT} DEAD REASON why");
    check(&["XQUEUE.CREATE q DLQ other"], "-ERR DLQ must be in the same slot");
    check(&[create, PUSH, POP, &dead], "*2 $4 dead :0");
    check(&[create, PUSH, POP, &dead, "XQUEUE.LEN q STATE dead"], ":0");
    check(
        &[create, PUSH, POP, &dead, "XQUEUE.GET {q}dead 1700000000000-0"],
        "*5 $15 1700000000000-0 $5 ready :0 $1 m *2 $7 headers *4 $7 dead-in $1 q $11 dead-reason $3 why",
    );
    check(&[create, PUSH, POP, &dead, "XQUEUE.LEN {q}dead"], ":1");
    // Where it is not taken it stays, until it is.
    let mut bench = Bench::default();
    for line in [create, "XQUEUE.PAUSE {q}dead IN", PUSH, POP, &dead] {
        bench.run(line);
    }
    assert_eq!(bench.run("XQUEUE.LEN q STATE dead").text(), ":1");
    bench.run("XQUEUE.PAUSE {q}dead NONE");
    assert_eq!(bench.run("XQUEUE.POP 1 q").text(), "*-1");
    assert_eq!(bench.run("XQUEUE.LEN q STATE dead").text(), ":0");
    assert_eq!(bench.run("XQUEUE.LEN {q}dead").text(), ":1");
    check(&[create, "SET {q}dead 1", PUSH, POP, &dead, "XQUEUE.LEN q STATE dead"], ":1");
    check(&["XQUEUE.CREATE q DLQ q", PUSH, POP, &dead, "XQUEUE.LEN q STATE dead"], ":1");
}
