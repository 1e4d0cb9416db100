//! The audit log, the command logs, and what is done about those who guess passwords.

use std::fs;
use std::path::Path;
use std::time::Duration;
use tidegate_tests::clock::{self, wait_until};
use tidegate_tests::resp::{Reply, error, simple};
use tidegate_tests::server::TestServer;

const LIMIT: Duration = Duration::from_secs(20);

/// The lines of the log once there are so many.
fn lines(path: &Path, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(path).unwrap_or_default();
    let there = wait_until(LIMIT, || read().lines().count() >= count);
    assert!(there, "{count} lines are missing: {}", read());
    read().lines().map(ToOwned::to_owned).collect()
}

/// The value of a field, as it stands there.
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let start = line.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name}: {line}"));
    let rest = &line[start + name.len() + 3..];
    rest[..rest.find([',', '}']).unwrap_or(rest.len())].trim_matches('"')
}

#[test]
fn what_administrators_do_is_written_down() {
    let server = TestServer::tidegate_with(&["--audit-log", "admin"]);
    let mut client = server.client();
    client.line("SET k secretvalue");
    client.line("CONFIG SET hz 12 masterauth secretvalue");
    client.line("ACL SETUSER alice on >secretvalue ~a:* +get");
    let mut alice = server.client();
    alice.line("AUTH alice wrongsecretvalue");
    alice.line("AUTH alice secretvalue");
    alice.line("GET b:1");
    alice.line("CONFIG GET x");
    let log = lines(&server.dir().join("audit.log"), 6);
    let shown: Vec<_> = log
        .iter()
        .map(|line| {
            (field(line, "event"), field(line, "command"), field(line, "user"), field(line, "result"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("command", "config|set", "default", "ok"),
            ("command", "acl|setuser", "default", "ok"),
            ("command", "auth", "default", "WRONGPASS"),
            ("command", "auth", "alice", "ok"),
            ("denied", "get", "alice", "NOPERM"),
            ("denied", "config|get", "alice", "NOPERM"),
        ]
    );
    assert!(log[4].contains("\"keys\":[\"b:1\"],\"key_count\":1,"), "{}", log[4]);
    assert!(!log.iter().any(|line| line.contains("secretvalue")), "{log:?}");
    let stats = client.line("INFO stats").text();
    assert!(
        stats.contains("audit_log_dropped:0\r\n") && stats.contains("audit_log_written:6\r\n"),
        "{stats}"
    );
}

#[test]
fn writes_and_everything_can_be_written_down() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    assert!(!server.dir().join("audit.log").exists(), "nothing is written that nobody wants");
    let nowhere = client.line("CONFIG SET audit-log-file no/such/directory audit-log all");
    assert!(nowhere.error().is_some(), "{nowhere:?}");
    assert_eq!(client.line("CONFIG GET audit-log").items().map(|items| items[1].text()), Some("off".into()));
    assert_eq!(client.line("CONFIG SET audit-log write audit-log-file who.json"), simple("OK"));
    for line in ["MULTI", "SET a 1", "GET a", "EXEC", "GET a", "MSET b 1 c 2"] {
        client.line(line);
    }
    client.call(&["EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "d"]);
    assert_eq!(client.line("CONFIG SET audit-log all hide-user-data-from-log yes"), simple("OK"));
    client.line("GET a");
    assert_eq!(client.line("CONFIG SET audit-log off"), simple("OK"));
    client.line("SET a 2");
    let log = lines(&server.dir().join("who.json"), 6);
    let commands: Vec<_> = log.iter().map(|line| field(line, "command")).collect();
    assert_eq!(commands, ["config|set", "set", "mset", "eval", "config|set", "get"]);
    assert!(log[2].contains("\"keys\":[\"b\",\"c\"]") && !log[5].contains("\"keys\""), "{log:?}");
}

#[test]
fn large_requests_and_replies_are_kept() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let large = "x".repeat(1 << 20);
    client.call(&["SET", "k", &large]);
    client.line("GET k");
    client.line("SET small 1");
    let one = |reply: Reply| reply.items().expect("a list")[0].items().expect("an entry").to_vec();
    let entry = one(client.line("COMMANDLOG GET -1 large-request"));
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n\r\n", large.len());
    assert_eq!(entry[2], Reply::Int((head.len() + large.len()) as i64));
    assert_eq!(entry[3].items().map(|args| args[0].text()), Some("SET".to_owned()));
    let entry = one(client.line("COMMANDLOG GET 10 LARGE-REPLY"));
    assert_eq!(entry[2], Reply::Int((format!("${}\r\n\r\n", large.len()).len() + large.len()) as i64));
    assert_eq!(client.line("COMMANDLOG LEN large-reply"), Reply::Int(1));
    assert_eq!(client.line("COMMANDLOG RESET large-reply"), simple("OK"));
    assert_eq!(client.line("COMMANDLOG LEN large-reply"), Reply::Int(0));
    // Also small ones, if one wants.
    client.line("CONFIG SET commandlog-reply-larger-than 4 commandlog-large-reply-max-len 2");
    for line in ["PING", "GET small", "ECHO abcdef", "ECHO abcdefg", "ECHO abcdefgh"] {
        client.line(line);
    }
    assert_eq!(client.line("COMMANDLOG LEN large-reply"), Reply::Int(2));
    // The log of slow commands has two names, and so have its settings.
    client.line("CONFIG SET commandlog-execution-slower-than 0");
    client.line("PING");
    assert_eq!(
        client.line("CONFIG GET slowlog-log-slower-than").items().map(|of| of[1].text()),
        Some("0".into())
    );
    let (slow, log) = (client.line("SLOWLOG LEN").int(), client.line("COMMANDLOG LEN slow").int());
    assert!(slow > Some(0) && log >= slow, "{slow:?} {log:?}");
    let unknown = error("ERR type should be one of the following: slow, large-request, large-reply");
    assert_eq!(client.line("COMMANDLOG LEN fast"), unknown);
    assert!(client.line("COMMANDLOG GET -2 slow").error().is_some());
    assert!(client.line("COMMANDLOG HELP").items().is_some_and(|lines| lines.len() > 8));
}

#[test]
fn hot_keys_are_found() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    assert_eq!(client.line("HOTKEYS GET"), Reply::Null);
    assert_eq!(client.line("HOTKEYS STOP"), Reply::Null);
    assert_eq!(client.line("HOTKEYS START"), error("ERR METRICS parameter is required"));
    for wrong in [
        "METRICS 2 CPU",
        "METRICS 3 CPU",
        "METRICS 1 CPU COUNT 65",
        "METRICS 1 NET SAMPLE 0",
        "METRICS 1 NET SLOTS 1 0",
    ] {
        assert!(client.line(&format!("HOTKEYS START {wrong}")).error().is_some(), "{wrong}");
    }
    assert_eq!(client.line("HOTKEYS START METRICS 2 CPU NET COUNT 2"), simple("OK"));
    assert!(client.line("HOTKEYS START METRICS 1 CPU").error().is_some());
    assert!(client.line("HOTKEYS RESET").error().is_some());
    let large = "x".repeat(1000);
    for number in 0..50 {
        client.call(&["SET", "large", &large]);
        client.call(&["SET", "warm", &large[..200]]);
        client.line(&format!("SET cold:{number} x"));
    }
    assert_eq!(client.line("HOTKEYS STOP"), simple("OK"));
    client.call(&["SET", "late", &large.repeat(200)]);
    let found = client.line("HOTKEYS GET");
    let fields = found.items().expect("pairs of names and values");
    let of = |name: &str| {
        let at = fields.chunks(2).position(|pair| pair[0].text() == name);
        fields[2 * at.unwrap_or_else(|| panic!("no {name}: {found:?}")) + 1].clone()
    };
    assert_eq!(of("tracking-active"), Reply::Int(0));
    let keys: Vec<_> = of("by-net-bytes").items().expect("keys").iter().step_by(2).map(Reply::text).collect();
    assert_eq!(keys, ["large", "warm"]);
    assert_eq!(of("by-cpu-time-us").items().map(<[Reply]>::len), Some(4));
    assert_eq!(client.line("HOTKEYS RESET"), simple("OK"));
    assert_eq!(client.line("HOTKEYS GET"), Reply::Null);
    assert!(client.line("HOTKEYS HELP").items().is_some());
}

#[test]
fn who_guesses_passwords_has_to_wait_and_others_do_not() {
    let server = TestServer::tidegate_with(&[
        "--requirepass",
        "pw",
        "--auth-failure-burst",
        "5",
        "--auth-failure-delay",
        "700",
    ]);
    let mut guesser = server.client();
    for _ in 0..5 {
        assert!(guesser.line("AUTH guess").error().is_some());
    }
    let began = clock::now();
    guesser.send(&["AUTH", "guess"]).expect("it reads");
    let mut other = server.client();
    assert_eq!(other.line("AUTH pw"), simple("OK"));
    assert_eq!(other.line("PING"), simple("PONG"));
    let refused = guesser.read().expect("it is answered");
    assert!(refused.error().is_some_and(|text| text.starts_with("WRONGPASS")), "{refused:?}");
    assert!(began.elapsed() >= Duration::from_millis(690), "{:?}", began.elapsed());
    let stats = other.line("INFO errorstats").text();
    assert!(stats.contains("errorstat_WRONGPASS:count=6"), "{stats}");
    assert_eq!(guesser.line("AUTH pw"), simple("OK"), "who knows it does not wait");
}

#[test]
fn who_does_not_say_who_it_is_has_to_go() {
    let server = TestServer::tidegate_with(&["--requirepass", "pw", "--preauth-timeout", "1"]);
    let mut known = server.client();
    assert_eq!(known.line("AUTH pw"), simple("OK"));
    let mut stranger = server.client();
    stranger.set_reply_limit(LIMIT).expect("a limit can be set");
    assert!(stranger.read().is_err_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof));
    assert_eq!(known.line("PING"), simple("PONG"));
}
