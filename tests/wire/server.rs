//! What the server says about itself, and how it is configured while it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

use crate::transcript::check;

/// What ends the process is in its log, with the stack of the thread it hit.
#[test]
fn a_crash_is_reported() {
    for (request, expected) in [
        ("DEBUG SEGFAULT", "Command: debug, of the client with id="),
        ("DEBUG PANIC", "==> panicked at server/src/control/debug/mod.rs"),
        ("DEBUG ASSERT", "=== ASSERTION FAILED ==="),
    ] {
        let mut server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
        server.client().send(&request.split(' ').collect::<Vec<_>>()).expect("it is sent");
        assert!(wait_until(Duration::from_secs(30), || !server.is_alive()), "{request}");
        let log = server.log();
        for text in
            [expected, "crashed by signal", "------ STACK TRACE ------", "tidegate::", "BUG REPORT END"]
        {
            assert!(log.contains(text), "{request}: {log}");
        }
    }
    // What a transaction or a script was at, and nothing of what with.
    for (requests, expected) in [
        (
            &["MULTI", "SET s3cret s3cret", "DEBUG SEGFAULT", "EXEC"][..],
            "Command: exec (in it: debug), of the client",
        ),
        (&["SET s3cret s3cret", "DEBUG PANIC"], "Command: debug, of the client"),
    ] {
        let options = ["--enable-debug-command", "yes", "--hide-user-data-from-log", "yes"];
        let mut server = TestServer::tidegate_with(&options);
        let mut client = server.client();
        for request in requests {
            client.send(&request.split(' ').collect::<Vec<_>>()).expect("it is sent");
        }
        assert!(wait_until(Duration::from_secs(30), || !server.is_alive()), "{requests:?}");
        let log = server.log();
        assert!(log.contains(expected) && !log.contains("s3cret"), "{requests:?}: {log}");
        if requests.contains(&"DEBUG PANIC") {
            assert!(log.contains("panicked at server/src/control/debug/mod.rs"), "{log}");
            assert!(log.contains(": (redacted)"), "{log}");
        }
    }
    // Switched off, it ends without a word.
    let mut server =
        TestServer::tidegate_with(&["--enable-debug-command", "yes", "--crash-log-enabled", "no"]);
    server.client().send(&["DEBUG", "SEGFAULT"]).expect("it is sent");
    assert!(wait_until(Duration::from_secs(30), || !server.is_alive()));
    assert!(!server.log().contains("STACK TRACE"), "{}", server.log());
}

#[test]
fn configuration() {
    check(
        r#"
        > CONFIG GET maxmemory-policy
        ["maxmemory-policy" "noeviction"]
        > CONFIG SET maxmemory-policy allkeys-lru
        OK
        > CONFIG GET maxmemory-policy
        ["maxmemory-policy" "allkeys-lru"]
        > CONFIG SET maxmemory-policy noeviction
        OK
        > CONFIG SET maxmemory 100mb
        OK
        > CONFIG GET MAXMEMORY
        ["MAXMEMORY" "104857600"]
        > CONFIG SET maxmemory 0
        OK
        > CONFIG GET nosuch
        []
        > CONFIG GET
        -ERR wrong number of arguments for 'config|get' command
        > CONFIG SET nosuch 1
        -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
        > CONFIG SET maxmemory
        -ERR wrong number of arguments for 'config|set' command
        > CONFIG SET maxmemory abc
        -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value
        > CONFIG SET maxmemory-policy nosuch
        -ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction
        > CONFIG SET maxmemory 0 maxmemory 0
        -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter
        > CONFIG SET maxmemory 50mb maxmemory-policy nosuch
        -ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction
        > CONFIG GET maxmemory
        ["maxmemory" "0"]
        > CONFIG SET databases 4
        -ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
        > CONFIG SET timeout -1
        -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive
        > CONFIG NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.
        > CONFIG
        -ERR wrong number of arguments for 'config' command
        > CONFIG HELP
        [CONFIG <subcommand> ...]
        > CONFIG RESETSTAT
        OK
        "#,
    );
}

#[test]
fn command_table() {
    check(
        r#"
        > COMMAND INFO get
        [["get" 2 [readonly fast] 1 1 1 [@read @string @fast] [] [["flags" [RO access] "begin_search" ["type" "index" "spec" ["index" 1]] "find_keys" ["type" "range" "spec" ["lastkey" 0 "keystep" 1 "limit" 0]]]] []]]
        > COMMAND INFO nosuch
        [nil]
        > COMMAND INFO append NOSUCH
        [["append" 3 [write denyoom fast] 1 1 1 [@write @string @fast] [] [["flags" [RW insert] "begin_search" ["type" "index" "spec" ["index" 1]] "find_keys" ["type" "range" "spec" ["lastkey" 0 "keystep" 1 "limit" 0]]]] []] nil]
        > COMMAND GETKEYS MSET a 1 b 2
        ["a" "b"]
        > COMMAND GETKEYS GET
        -ERR wrong number of arguments for 'command|getkeys' command
        > COMMAND GETKEYS PING
        -ERR wrong number of arguments for 'command|getkeys' command
        > COMMAND GETKEYS NOSUCH
        -ERR wrong number of arguments for 'command|getkeys' command
        > COMMAND GETKEYSANDFLAGS SET a b
        [["a" [OW update]]]
        > COMMAND GETKEYSANDFLAGS SET a b GET
        [["a" [RW access update]]]
        > COMMAND GETKEYSANDFLAGS RENAME a b
        [["a" [RW access delete]] ["b" [OW update]]]
        > COMMAND LIST FILTERBY PATTERN setn*
        ["setnx"]
        > COMMAND LIST FILTERBY NOSUCH x
        -ERR syntax error
        > COMMAND NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.
        > COMMAND HELP
        [COMMAND <subcommand> ...]
        "#,
    );
}

#[test]
fn info_has_the_fields_monitoring_reads() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("SET a 1");
    let info = client.line("INFO").text();
    for field in [
        "# Server",
        "redis_version:7.0.15",
        "redis_mode:standalone",
        "process_id:",
        "tcp_port:",
        "uptime_in_seconds:",
        "# Clients",
        "connected_clients:",
        "blocked_clients:",
        "# Memory",
        "used_memory:",
        "maxmemory:",
        "maxmemory_policy:",
        "# Persistence",
        "# Stats",
        "total_connections_received:",
        "total_commands_processed:",
        "keyspace_hits:",
        "expired_keys:",
        "# Replication",
        "role:master",
        "connected_slaves:0",
        "# CPU",
        "# Keyspace",
        "db0:keys=1,expires=0,avg_ttl=0",
    ] {
        assert!(info.lines().any(|line| line.starts_with(field)), "{field} is missing in\n{info}");
    }
    let section = client.line("INFO clients").text();
    assert!(section.starts_with("# Clients\r\n") && !section.contains("# Memory"), "{section}");
    assert_eq!(client.line("INFO nosuch").text(), "");
}

/// Exporters and dashboards read them by name: a field that redis-server has is here, in a section of the same name.
#[test]
fn no_field_of_redis_is_missing_from_info() {
    let fields = |server: &TestServer| {
        let mut client = server.client();
        for line in ["SET a 1", "EXPIRE a 1000", "LPUSH a 1", "CONFIG SET maxmemory 1gb", "GET a"] {
            client.line(line);
        }
        let info = client.line("INFO everything").text();
        let mut section = String::new();
        let mut names = BTreeSet::new();
        for line in info.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                title.clone_into(&mut section);
            } else if let Some((name, _)) = line.split_once(':') {
                names.insert(format!("{section}: {name}"));
            }
        }
        names
    };
    let (ours, redis) = (fields(&TestServer::tidegate()), fields(&TestServer::redis()));
    assert!(redis.len() > 180, "{redis:?}");
    let missing: Vec<&String> = redis.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn command_count_agrees_with_the_table() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let count = client.line("COMMAND COUNT").int().expect("a number");
    let table = client.line("COMMAND");
    assert_eq!(table.items().expect("an array").len() as i64, count);
    let list = client.line("COMMAND LIST");
    let names: Vec<String> = list.items().expect("an array").iter().map(Reply::text).collect();
    assert_eq!(names.iter().filter(|name| !name.contains('|')).count() as i64, count);
    assert!(names.iter().any(|name| name == "config|get"), "subcommands are listed by their full name");
    assert_eq!(client.line("COMMAND INFO").items().expect("an array").len() as i64, count);
}

#[test]
fn time_is_two_numbers() {
    let server = TestServer::tidegate();
    let Reply::Array(parts) = server.client().line("TIME") else { panic!("not an array") };
    let seconds: u64 = parts[0].text().parse().expect("seconds");
    let micros: u64 = parts[1].text().parse().expect("microseconds");
    assert!(seconds > 1_600_000_000 && micros < 1_000_000);
}

#[test]
fn logs_and_measurements() {
    check(
        r#"
        > SLOWLOG LEN
        0
        > SLOWLOG GET
        []
        > SLOWLOG RESET
        OK
        > SLOWLOG GET abc
        -ERR count should be greater than or equal to -1
        > SLOWLOG NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try SLOWLOG HELP.
        > CONFIG SET slowlog-log-slower-than 0
        OK
        > SET a 1
        OK
        > CONFIG SET slowlog-log-slower-than -1
        OK
        > SLOWLOG LEN
        2
        > SLOWLOG GET 1
        [[...]]
        > LATENCY LATEST
        []
        > LATENCY RESET
        0
        > LATENCY HISTORY nosuch
        []
        > MEMORY USAGE nosuch
        nil
        > MEMORY USAGE a SAMPLES abc
        -ERR value is not an integer or out of range
        > MEMORY USAGE a NOSUCH
        -ERR syntax error
        > MODULE LIST
        []
        > WAIT 0 0
        0
        > WAIT 0 -1
        -ERR timeout is negative
        > DEBUG SLEEP 0
        -ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
        "#,
    );
}
