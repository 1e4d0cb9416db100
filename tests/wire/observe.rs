//! Watching a server at work: MONITOR, SLOWLOG, LATENCY.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient, simple};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

const PATIENCE: Duration = Duration::from_secs(30);

/// The next line a monitor shows, from the database on.
fn seen(monitor: &mut RespClient) -> String {
    let Reply::Simple(line) = monitor.read().expect("a line") else {
        panic!("a monitor shows simple strings")
    };
    let line = String::from_utf8(line).expect("quoted");
    let (time, rest) = line.split_once(" [").expect("time and the rest");
    let (seconds, micros) = time.split_once('.').expect("seconds and microseconds");
    assert!(seconds.len() >= 10 && micros.len() == 6, "{line}");
    let (db, rest) = rest.split_once(' ').expect("database and address");
    let (addr, words) = rest.split_once("] ").expect("address and words");
    format!("{db} {} {words}", addr.split(':').next().expect("a host"))
}

#[test]
fn monitors_see_commands_but_no_secrets() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    let (mut monitor, mut client) = (server.client(), server.client());
    assert_eq!(monitor.line("AUTH secret").text(), "OK");
    assert_eq!(monitor.line("MONITOR").text(), "OK");
    for command in ["AUTH secret", "AUTH default wrong", "HELLO 3 AUTH default secret SETNAME me"] {
        client.line(command);
    }
    client.call(&[&b"SET"[..], b"a", b"\x00\n\"\\\xff"]);
    // Commands for operators are not shown, nor are those that never ran.
    for command in ["CLIENT LIST", "NOSUCH", "GET", "SLOWLOG GET", "SELECT 2"] {
        client.line(command);
    }
    for command in ["MULTI", "SET b 1", "NOSUCH", "DISCARD", "MULTI", "INCR b", "EXEC", "PING"] {
        client.line(command);
    }
    for expected in [
        r#"0 127.0.0.1 "AUTH" "(redacted)""#,
        r#"0 127.0.0.1 "AUTH" "(redacted)" "(redacted)""#,
        r#"0 127.0.0.1 "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#,
        r#"0 127.0.0.1 "SET" "a" "\x00\n\"\\\xff""#,
        r#"2 127.0.0.1 "SELECT" "2""#,
        r#"2 127.0.0.1 "MULTI""#,
        r#"2 127.0.0.1 "DISCARD""#,
        r#"2 127.0.0.1 "MULTI""#,
        r#"2 127.0.0.1 "INCR" "b""#,
        r#"2 127.0.0.1 "EXEC""#,
        r#"2 127.0.0.1 "PING""#,
    ] {
        assert_eq!(seen(&mut monitor), expected);
    }
    let mut unix = server.unix_client();
    unix.line("AUTH secret");
    assert_eq!(seen(&mut monitor), r#"0 unix "AUTH" "(redacted)""#);
    // A monitor may go on with commands; RESET makes it an ordinary client again.
    assert!(client.line("CLIENT LIST").text().contains(" flags=O "));
    assert_eq!(monitor.line("RESET").text(), "RESET");
    assert_eq!(monitor.line("AUTH secret").text(), "OK");
    assert_eq!(monitor.line("PING").text(), "PONG");
}

#[test]
fn the_slow_log_keeps_no_password() {
    // CONFIG SET requirepass was once logged as it came.
    let server = TestServer::tidegate_with(&["--slowlog-log-slower-than", "0"]);
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET hz 20 masterauth secret1 requirepass secret2").text(), "OK");
    client.line("MULTI");
    client.line("CONFIG SET requirepass secret3");
    client.line("EXEC");
    converse(
        &mut client,
        r#"
        > SLOWLOG GET 3
        [[... ["CONFIG" "SET" "requirepass" "(redacted)"] ...] [... ["MULTI"] ...] [... ["CONFIG" "SET" "hz" "20" "masterauth" "(redacted)" "requirepass" "(redacted)"] ...]]
        "#,
    );
}

#[test]
fn a_monitor_does_not_touch_the_keyspace() {
    // Monitors are exempt from CLIENT PAUSE: one of them could write while everybody else waited.
    let server = TestServer::tidegate();
    let (mut monitor, mut other) = (server.client(), server.client());
    assert_eq!(other.line("CLIENT PAUSE 60000 WRITE").text(), "OK");
    assert_eq!(monitor.line("MONITOR").text(), "OK");
    let refused = Reply::Error(b"ERR Replica can't interact with the keyspace".to_vec());
    for command in ["SET a 1", "GET a", "DEL a", "KEYS *"] {
        assert_eq!(monitor.line(command), refused, "{command}");
    }
    assert_eq!(other.line("EXISTS a"), Reply::Int(0));
    assert_eq!(other.line("CLIENT UNPAUSE").text(), "OK");
}

#[test]
fn the_slow_log_keeps_the_newest() {
    let server = TestServer::tidegate_with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "3"]);
    let mut client = server.client();
    let long = "x".repeat(130);
    for command in ["CLIENT SETNAME me", "PING 1", &format!("ECHO {long}"), "MULTI", "SET a 1", "EXEC"] {
        client.line(command);
    }
    // EXEC itself is not logged, what it ran is.
    let log = client.line("SLOWLOG GET");
    let entries = log.items().expect("a list");
    let args: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            entry.items().expect("an entry")[3].items().expect("arguments").iter().map(Reply::text).collect()
        })
        .collect();
    let shortened = format!("{}... (2 more bytes)", "x".repeat(128));
    assert_eq!(args, [vec!["SET", "a", "1"], vec!["MULTI"], vec!["ECHO", &shortened]]);
    let newest = entries[0].items().expect("an entry");
    assert!(newest.len() == 6 && newest[0].int() > Some(3) && newest[2].int() >= Some(0), "{newest:?}");
    assert_eq!(newest[5].text(), "me");
    converse(
        &mut client,
        r#"
        > SLOWLOG LEN
        3
        > SLOWLOG GET 1
        [[... ["SLOWLOG" "LEN"] "127.0.0.1:..." "me"]]
        > SLOWLOG GET 0
        []
        > SLOWLOG GET -2
        -ERR count should be greater than or equal to -1
        > SLOWLOG GET x
        -ERR count should be greater than or equal to -1
        > SLOWLOG RESET
        OK
        > SLOWLOG GET -1
        [[... ["SLOWLOG" "RESET"] ...]]
        > SLOWLOG HELP
        [SLOWLOG <subcommand> ...]
        > SLOWLOG NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try SLOWLOG HELP.
        "#,
    );
}

#[test]
fn latency_of_commands_and_events() {
    check(
        r#"
        > LATENCY LATEST
        []
        > LATENCY HISTORY command
        []
        > LATENCY GRAPH command
        -ERR No samples available for event 'command'
        > LATENCY RESET command
        0
        > LATENCY DOCTOR
        ...
        > LATENCY HISTOGRAM set nosuch
        []
        > SET a 1
        OK
        > GET a
        "1"
        > GET a
        "1"
        > LATENCY HISTOGRAM get nosuch set
        ["get" ["calls" 2 "histogram_usec" [...]] "set" ["calls" 1 "histogram_usec" [...]]]
        > CLIENT ID
        ...
        > LATENCY HISTOGRAM client
        ["client|id" ["calls" 1 "histogram_usec" [... 1]]]
        > LATENCY HISTOGRAM client|id
        ["client|id" ["calls" 1 "histogram_usec" [... 1]]]
        > LATENCY HELP
        [LATENCY <subcommand> ...]
        > LATENCY HELP x
        -ERR wrong number of arguments for 'latency|help' command
        "#,
    );
}

/// What `LATENCY LATEST` knows of.
fn latency_events(client: &mut RespClient) -> Vec<String> {
    let latest = client.line("LATENCY LATEST");
    let events = latest.items().expect("a list").iter();
    events.map(|event| event.items().expect("of lists")[0].text()).collect()
}

#[test]
fn what_takes_long_is_an_event_of_its_kind() {
    let watched = ["--latency-monitor-threshold", "1", "--enable-debug-command", "yes"];
    // No rewrite begins by itself: writes beside it are events of another name.
    let journal = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let server = TestServer::tidegate_with(&[watched, journal].concat());
    let mut client = server.client();
    let wait = "local function now() local t = redis.call('time') return t[1] * 1000000 + t[2] end \
                local start = now() while now() - start < 3000 do end return 1";
    client.call(&["EVAL", wait, "0"]);
    assert_eq!(latency_events(&mut client), ["command"]);
    // Its bytes are copied.
    client.call(&[&b"APPEND"[..], b"large", &vec![b'x'; 100 << 20]]);
    assert!(latency_events(&mut client).contains(&"fast-command".to_owned()));
    client.line("DEL large");
    client.line("LATENCY RESET");
    assert_eq!(client.line("DEBUG AOF-FLUSH-SLEEP 3000"), simple("OK"));
    assert_eq!(client.line("SET a 1"), simple("OK"));
    let has = |client: &mut RespClient, wanted: &[&str]| {
        let events = latency_events(client);
        wanted.iter().all(|event| events.iter().any(|known| known == event))
    };
    // Beside it, a sync may be under way.
    let names = ["aof-write-alone", "aof-write-pending-fsync"];
    assert!(wait_until(PATIENCE, || has(&mut client, &["aof-write"])
        && names.iter().any(|name| has(&mut client, &[name]))));
    client.line("DEBUG AOF-FLUSH-SLEEP 0");
    for line in [
        "CONFIG SET appendonly no",
        "CONFIG SET maxmemory-policy allkeys-random maxmemory-eviction-tenacity 100",
        "DEBUG POPULATE 300000 key 100",
        "CONFIG SET maxmemory 3mb",
    ] {
        assert_eq!(client.line(line), simple("OK"), "{line}");
    }
    assert!(
        wait_until(PATIENCE, || has(&mut client, &["eviction-cycle"])),
        "{:?}",
        latency_events(&mut client)
    );
}
