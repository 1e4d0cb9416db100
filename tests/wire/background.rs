//! Saving in the background: BGSAVE, save points, and what may happen to a snapshot under way.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const MISCONF: &str = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
     modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
const PATIENCE: Duration = Duration::from_secs(20);

fn field(client: &mut RespClient, name: &str) -> String {
    let info = client.line("INFO persistence").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {info}"))
}

fn wait_until_saved(client: &mut RespClient) {
    assert!(wait_until(PATIENCE, || field(client, "rdb_bgsave_in_progress") == "0"));
}

fn temporary_files(server: &TestServer) -> Vec<String> {
    let files = std::fs::read_dir(server.dir()).expect("the directory is there");
    files
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("temp-"))
        .collect()
}

#[test]
fn its_words_are_checked() {
    check(
        r#"
        > BGSAVE now
        -ERR syntax error
        > BGSAVE SCHEDULE x
        -ERR syntax error
        > MULTI
        OK
        > BGSAVE
        QUEUED
        > EXEC
        [Background saving scheduled]
        "#,
    );
}

#[test]
fn what_is_there_is_saved_while_it_changes() {
    let mut server = TestServer::tidegate_with(&[DEBUG[0], DEBUG[1], "--save", ""]);
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > DEBUG POPULATE 2000 key 100
        OK
        > CONFIG SET rdb-key-save-delay 1000
        OK
        > SET counted 1
        OK
        > BGSAVE
        Background saving started
        > BGSAVE
        -ERR Background save already in progress
        > BGSAVE SCHEDULE
        -ERR Background save already in progress
        > SAVE
        -ERR Background save already in progress
        > SET counted 2
        OK
        > DEL key:1 key:2 key:3
        3
        "#,
    );
    assert_eq!(field(&mut client, "rdb_bgsave_in_progress"), "1");
    assert_eq!(field(&mut client, "current_save_keys_total"), "2001");
    assert!(wait_until(PATIENCE, || temporary_files(&server).len() == 1));
    converse(&mut client, "> SWAPDB 0 5\nOK\n> SELECT 5\nOK\n> FLUSHDB\nOK\n> SET late v\nOK");
    client.line("CONFIG SET rdb-key-save-delay 0");
    wait_until_saved(&mut client);
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_ne!(field(&mut client, "rdb_changes_since_last_save"), "0");
    assert!(temporary_files(&server).is_empty());
    server.restart().expect("it starts again");
    let expected = "> DBSIZE\n2001\n> GET counted\n\"1\"\n> EXISTS key:1 key:2 key:3\n3\n> EXISTS late\n0";
    converse(&mut server.client(), expected);
}

#[test]
fn flushall_calls_it_off() {
    let mut server = TestServer::tidegate_with(&[DEBUG[0], DEBUG[1], "--save", "3600 1000000"]);
    let mut client = server.client();
    let script = "> DEBUG POPULATE 1000\nOK\n> CONFIG SET rdb-key-save-delay 100000\nOK\n> BGSAVE\n\
                  Background saving started\n> FLUSHALL\nOK";
    converse(&mut client, script);
    wait_until_saved(&mut client);
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
    assert!(wait_until(PATIENCE, || temporary_files(&server).is_empty()));
    // Another one can begin.
    converse(
        &mut client,
        "> CONFIG SET rdb-key-save-delay 0\nOK\n> SET k v\nOK\n> BGSAVE\nBackground saving started",
    );
    wait_until_saved(&mut client);
    server.restart().expect("it starts again");
    converse(&mut server.client(), "> DBSIZE\n1");
}

#[test]
fn the_end_of_the_server_calls_it_off() {
    for signal in [false, true] {
        let mut server = TestServer::tidegate_with(&[DEBUG[0], DEBUG[1], "--save", ""]);
        let mut client = server.client();
        let script = "> DEBUG POPULATE 1000\nOK\n> CONFIG SET rdb-key-save-delay 100000\nOK\n> BGSAVE\n\
                      Background saving started";
        converse(&mut client, script);
        assert!(wait_until(PATIENCE, || !temporary_files(&server).is_empty()));
        if signal {
            let pid = server.pid().to_string();
            let status = std::process::Command::new("kill").args(["-TERM", &pid]).status();
            assert!(status.expect("kill is there").success());
        } else {
            let _ = client.send(&["SHUTDOWN"]);
        }
        assert!(wait_until(PATIENCE, || !server.is_alive()));
        assert!(temporary_files(&server).is_empty());
        server.restart().expect("it starts again");
        converse(&mut server.client(), "> DBSIZE\n0");
    }
}

#[test]
fn save_points_save_by_themselves() {
    let server = TestServer::tidegate_with(&["--save", "1 10"]);
    let mut client = server.client();
    for number in 0..10 {
        client.line(&format!("SET k{number} v"));
    }
    assert!(wait_until(PATIENCE, || field(&mut client, "rdb_saves") == "1"));
    wait_until_saved(&mut client);
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
    assert!(server.dir().join("dump.rdb").exists());
}

/// MULTI and whoever holds several shards: every file is the state between two of them.
#[test]
fn transactions_are_in_it_whole_or_not_at_all() {
    const ACCOUNTS: usize = 64;
    let mut server = TestServer::tidegate_with(&[DEBUG[0], DEBUG[1], "--save", ""]);
    let mut client = server.client();
    client.line("DEBUG POPULATE 20000 filler 200");
    for account in 0..ACCOUNTS {
        client.line(&format!("SET account:{account} 1000"));
        client.line(&format!("RPUSH list:{account} x"));
    }
    for _ in 0..2000 {
        client.line(
            "RPUSH long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        );
        client.line(
            "RPUSH long bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        );
    }
    for round in 0..4 {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..3usize {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut turn = thread * 7919 + round;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        turn = turn
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let (from, to) = (turn >> 33 & 63, turn >> 43 & 63);
                        client.line("MULTI");
                        client.line(&format!("DECRBY account:{from} {thread}"));
                        client.line(&format!("SET filler:{} new", turn >> 20 & 16383));
                        client.line(&format!("INCRBY account:{to} {thread}"));
                        // An element moves, and the long list turns around.
                        client.line("LMOVE long long LEFT RIGHT");
                        client.line(&format!("RENAME list:{from} moving"));
                        client.line(&format!("RENAME moving list:{from}"));
                        let Reply::Array(replies) = client.line("EXEC") else { panic!("it runs") };
                        assert!(!replies.iter().any(|reply| matches!(reply, Reply::Error(_))), "{replies:?}");
                    }
                });
            }
            for _ in 0..5 {
                let begun = client.line("BGSAVE");
                assert_eq!(begun, Reply::Simple(b"Background saving started".to_vec()));
                wait_until_saved(&mut client);
                assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        server.restart().expect("it starts again");
        client = server.client();
        let sum: i64 = (0..ACCOUNTS)
            .map(|account| {
                client.line(&format!("GET account:{account}")).text().parse::<i64>().expect("a number")
            })
            .sum();
        assert_eq!(sum, 1000 * ACCOUNTS as i64);
        assert_eq!(client.line("LLEN long"), Reply::Int(4000));
        assert_eq!(client.line("DBSIZE"), Reply::Int(20_001 + 2 * ACCOUNTS as i64));
    }
}

/// What a client waits for is not done yet, and others go on meanwhile.
#[test]
fn changes_of_large_values_wait_for_the_snapshot() {
    let mut server = TestServer::tidegate_with(&[DEBUG[0], DEBUG[1], "--save", ""]);
    let mut client = server.client();
    client.line("DEBUG POPULATE 3000 filler 100");
    let field_value = "v".repeat(50);
    for number in 0..5000 {
        client.line(&format!("HSET hash field:{number} {field_value}"));
    }
    client.call(&[&b"SET"[..], b"string", &vec![b'x'; 3_000_000]]);
    // The file grows slowly, so that the values are on their way for some time.
    client.line("CONFIG SET rdb-key-save-delay 300");
    for round in 0..3 {
        assert_eq!(client.line("BGSAVE"), Reply::Simple(b"Background saving started".to_vec()));
        converse(
            &mut client,
            &format!("> HSET hash field:{round} new\n0\n> APPEND string y\n{}", 3_000_001 + round),
        );
        // Scripts and transactions, too, and keys that go altogether.
        converse(&mut client, "> EVAL \"return redis.call('HDEL', KEYS[1], 'nothing')\" 1 hash\n0");
        converse(&mut client, "> MULTI\nOK\n> SETRANGE string 0 z\nQUEUED\n> HLEN hash\nQUEUED");
        assert!(matches!(client.line("EXEC"), Reply::Array(replies) if replies.len() == 2));
        converse(
            &mut client,
            "> RENAME hash moved\nOK\n> RENAME moved hash\nOK\n> COPY string copy REPLACE\n1",
        );
        wait_until_saved(&mut client);
        assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
        if round == 2 {
            server.restart().expect("it starts again");
            // As it was before the last round.
            let expected = "> HGET hash field:1\n\"new\"\n> HGET hash field:2\n\"".to_owned()
                + &field_value
                + "\"\n> HLEN hash\n5000\n> STRLEN string\n3000002\n> STRLEN copy\n3000002";
            converse(&mut server.client(), &expected);
        }
    }
}

#[test]
fn nothing_changes_that_cannot_be_saved() {
    let server = TestServer::tidegate_with(&["--save", "3600 1000", "--dbfilename", "missing.rdb"]);
    // A directory in the way of the file.
    let way = server.dir().join("missing.rdb");
    std::fs::create_dir(&way).expect("the directory is ours");
    let mut client = server.client();
    converse(&mut client, "> SET k v\nOK\n> BGSAVE\nBackground saving started");
    assert!(wait_until(PATIENCE, || field(&mut client, "rdb_last_bgsave_status") == "err"));
    wait_until_saved(&mut client);
    let script = format!(
        "> SET k w\n{MISCONF}\n> PING\n{MISCONF}\n> GET k\n\"v\"\n> MULTI\nOK\n> GET k\nQUEUED\n> DEL k\n{MISCONF}\n> EXEC\n\
         -EXECABORT Transaction discarded because of previous errors.\n> DBSIZE\n1\n\
         > EVAL \"return redis.pcall('DEL', 'k').err\" 0\n\"{}\"\n\
         > CONFIG SET stop-writes-on-bgsave-error no\nOK\n> SET k x\nOK\n\
         > CONFIG SET stop-writes-on-bgsave-error yes\nOK\n> CONFIG SET save \"\"\nOK\n> SET k y\nOK\n\
         > CONFIG SET save \"3600 1000\"\nOK",
        &MISCONF[1..]
    );
    converse(&mut client, &script);
    let refused = client.call(&["EVAL", "#!lua\nreturn 1", "0"]);
    assert_eq!(refused, Reply::Error(MISCONF[1..].into()));
    assert_eq!(client.call(&["EVAL", "#!lua flags=no-writes\nreturn 1", "0"]), Reply::Int(1));
    std::fs::remove_dir(&way).expect("the directory is ours");
    converse(&mut client, "> BGSAVE\nBackground saving started");
    assert!(wait_until(PATIENCE, || field(&mut client, "rdb_last_bgsave_status") == "ok"));
    converse(&mut client, "> SET k z\nOK");
}
