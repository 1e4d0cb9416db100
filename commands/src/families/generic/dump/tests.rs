use crate::model::check::{Bench, Ran, START_MS, check, check_lookups};

/// `SET key hello`, dumped by `redis-server` 7.0.15.
const HELLO: &[u8] = b"\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a";

/// The bytes of a bulk reply.
fn bulk(ran: &Ran) -> Vec<u8> {
    let end = ran.reply.windows(2).position(|pair| pair == b"\r\n").expect("a reply has lines");
    ran.reply[end + 2..ran.reply.len() - 2].to_vec()
}

fn dumped(bench: &mut Bench, key: &str) -> Vec<u8> {
    bulk(&bench.run(&format!("DUMP {key}")))
}

/// Restores a dump of `hello` to `key` with these options.
fn restore(bench: &mut Bench, key: &str, ttl: &str, options: &str) -> Ran {
    bench.run("SET model hello");
    let payload = dumped(bench, "model");
    let mut words: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), &payload];
    words.extend(options.split_whitespace().map(str::as_bytes));
    bench.run_words(&words)
}

#[test]
fn dump_answers_the_bytes_of_redis() {
    let mut bench = Bench::default();
    bench.run("SET k hello");
    assert_eq!(dumped(&mut bench, "k"), HELLO);
    check(&["DUMP k"], "$-1");
    check_lookups(&["SET k x", "DUMP k"], 1, 0);
    check_lookups(&["DUMP k"], 0, 1);
}

#[test]
fn restore_creates_what_was_dumped() {
    let mut bench = Bench::default();
    assert_eq!(bench.run_words(&[b"RESTORE", b"k", b"0", HELLO]).text(), "+OK");
    assert_eq!(bench.run("GET k").text(), "$5 hello");
    assert_eq!(bench.run("TTL k").text(), ":-1");
    for value in ["5", "-70000", "1234567890123", &"long".repeat(500), ""] {
        bench.run_words(&[b"SET", b"v", value.as_bytes()]);
        let expected = bench.run("GET v").text();
        let encoding = bench.run("OBJECT ENCODING v").text();
        let payload = dumped(&mut bench, "v");
        assert_eq!(bench.run_words(&[b"RESTORE", b"copy", b"0", &payload, b"REPLACE"]).text(), "+OK");
        assert_eq!(bench.run("GET copy").text(), expected);
        assert_eq!(bench.run("OBJECT ENCODING copy").text(), encoding);
    }
}

#[test]
fn restore_sets_a_deadline() {
    let mut bench = Bench::default();
    assert_eq!(restore(&mut bench, "k", "2569591501", "").text(), "+OK");
    assert_eq!(bench.run("PTTL k").text(), ":2569591501");
    let at = START_MS + 3000;
    assert_eq!(restore(&mut bench, "k", &at.to_string(), "ABSTTL REPLACE").text(), "+OK");
    assert_eq!(bench.run("PTTL k").text(), ":3000");
}

#[test]
fn errors_come_in_the_order_of_redis() {
    let mut bench = Bench::default();
    bench.run("SET k x");
    let mut error = |words: &[&[u8]]| bench.run_words(words).text();
    let busy = "-BUSYKEY Target key name already exists.";
    assert_eq!(error(&[b"RESTORE", b"k", b"abc", b"junk", b"junk"]), "-ERR syntax error");
    assert_eq!(error(&[b"RESTORE", b"k", b"abc", b"junk", b"IDLETIME"]), "-ERR syntax error");
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"IDLETIME", b"1", b"FREQ", b"1"]),
        "-ERR syntax error"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"FREQ", b"1", b"IDLETIME", b"1"]),
        "-ERR syntax error"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"IDLETIME", b"-1"]),
        "-ERR Invalid IDLETIME value, must be >= 0"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"IDLETIME", b"x"]),
        "-ERR value is not an integer or out of range"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"FREQ", b"256"]),
        "-ERR Invalid FREQ value, must be >= 0 and <= 255"
    );
    assert_eq!(error(&[b"RESTORE", b"k", b"abc", b"junk"]), busy);
    assert_eq!(
        error(&[b"RESTORE", b"k", b"abc", b"junk", b"REPLACE"]),
        "-ERR value is not an integer or out of range"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"-1", b"junk", b"replace"]),
        "-ERR Invalid TTL value, must be >= 0"
    );
    assert_eq!(
        error(&[b"RESTORE", b"k", b"0", b"junk", b"REPLACE"]),
        "-ERR DUMP payload version or checksum are wrong"
    );
    assert_eq!(error(&[b"GET", b"k"]), "$1 x");
}

#[test]
fn a_value_that_is_none_is_bad_data() {
    let mut bench = Bench::default();
    bench.run("SET k x");
    // A list of no elements, with a footer that fits.
    let mut payload = vec![1, 0, 10, 0];
    payload.extend_from_slice(&tidegate_data::rdb::Checksum::of(&payload).to_le_bytes());
    let ran = bench.run_words(&[b"RESTORE", b"k", b"0", &payload, b"REPLACE"]);
    assert_eq!(ran.text(), "-ERR Bad data format");
    assert_eq!(bench.run("GET k").text(), "$1 x");
}

#[test]
fn a_moment_that_has_passed_deletes() {
    let mut bench = Bench::default();
    let ran = restore(&mut bench, "k", "5", "ABSTTL");
    assert_eq!((ran.text().as_str(), ran.effects.len(), ran.events.len()), ("+OK", 0, 0));
    bench.run("SET k x");
    let ran = restore(&mut bench, "k", "5", "ABSTTL REPLACE");
    assert_eq!(ran.text(), "+OK");
    assert_eq!(ran.effects.bytes(), b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    assert_eq!(ran.events, ["del k"]);
    assert_eq!(bench.run("EXISTS k").text(), ":0");
    let ran = restore(&mut bench, "k", "9223372036854775807", "");
    assert_eq!((ran.text().as_str(), ran.effects.len()), ("+OK", 0));
    assert_eq!(bench.run("EXISTS k").text(), ":0");
}

#[test]
fn effects_name_the_moment() {
    let mut bench = Bench::default();
    let ran = restore(&mut bench, "k", "0", "REPLACE");
    assert_eq!(ran.effects.len(), 1);
    assert!(ran.effects.bytes().ends_with(b"REPLACE\r\n"));
    assert_eq!(ran.events, ["new k", "restore k"]);
    let ran = restore(&mut bench, "k", "1000", "REPLACE");
    let text = String::from_utf8_lossy(ran.effects.bytes()).into_owned();
    assert!(text.contains(&format!("\r\n{}\r\n", START_MS + 1000)), "{text}");
    assert!(text.ends_with("$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"), "{text}");
    let at = (START_MS + 1000).to_string();
    let ran = restore(&mut bench, "k", &at, "ABSTTL REPLACE");
    assert!(ran.effects.bytes().ends_with(b"$6\r\nABSTTL\r\n$7\r\nREPLACE\r\n"));
    assert_eq!(ran.events, ["new k", "restore k"]);
}

#[test]
fn idle_time_and_frequency_are_restored() {
    let mut bench = Bench::default();
    bench.now_ms = 20_000_000_000;
    restore(&mut bench, "k", "0", "IDLETIME 1000");
    assert_eq!(bench.run("OBJECT IDLETIME k").text(), ":1000");
    restore(&mut bench, "f", "0", "FREQ 100");
    assert_eq!(bench.run("EXISTS f").text(), ":1");
    let huge = restore(&mut bench, "h", "0", "IDLETIME 9223372036854775807");
    assert_eq!(huge.text(), "+OK");
}
