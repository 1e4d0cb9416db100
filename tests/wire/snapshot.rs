//! Saving and loading the data set: SAVE, DEBUG RELOAD, restarts, and files that change servers.

use std::path::Path;
use std::process::Command;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse, words};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// Keys of every type and encoding, with deadlines, in several databases.
pub(crate) fn fill(client: &mut RespClient) {
    let run = |client: &mut RespClient, line: &str| {
        let reply = client.call(&words(line));
        // Not every type has its commands yet.
        if matches!(&reply, Reply::Error(text) if text.starts_with(b"ERR unknown command")) {
            return;
        }
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    };
    for line in [
        "SET int 12345",
        "SET negative -9223372036854775808",
        "SET embstr hello",
        "SET empty \"\"",
        "SET binary \"\\x00\\xff\\r\\n\"",
        "SET timed v PXAT 4102444800123",
        "PFADD hll a b c d e",
        "SETBIT bits 4000 1",
        "RPUSH list a 1 -5000 70000 5000000000 \"\"",
        "SADD intset 1 2 3 -70000",
        "SADD bigints 1 9223372036854775807 -9223372036854775808",
        "SADD set a b c 1",
        "HSET hash f v 1 2 empty \"\"",
        "ZADD zset 1 a 1.5 b -inf c inf d 3 e 1e300 f 0.1 g",
        "XADD stream 1-1 f v g w",
        "XADD stream 1-2 f v2 g w2",
        "XADD stream 2-0 other x",
        "XADD stream 3-0 f v3 g w3",
        "XDEL stream 1-2",
        "XGROUP CREATE stream group 0",
        "XGROUP CREATE stream idle $",
        "XREADGROUP GROUP group alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP group bob COUNT 1 STREAMS stream >",
        "XACK stream group 1-1",
        "XADD gone 1-1 f v",
        "XDEL gone 1-1",
        "EXPIREAT list 4102444800",
        "SELECT 9",
        "SET other database",
        "RPUSH list in-nine",
        "SELECT 15",
        "HSET last f v",
        "SELECT 0",
    ] {
        run(client, line);
    }
    let text =
        |number: usize, len: usize| -> Vec<u8> { (0..len).map(|at| (at * number % 251) as u8).collect() };
    client.call(&[&b"SET"[..], b"raw", &vec![b'x'; 10_000]]);
    client.call(&[&b"SET"[..], b"noise", &text(7919, 300_000)]);
    for number in 0..1000 {
        let digits = number.to_string();
        let name = format!("member:{number}");
        client.call(&["RPUSH", "long-list", &name, &digits]);
        client.call(&["SADD", "large-set", &name]);
        client.call(&["SADD", "many-ints", &digits]);
        client.call(&["HSET", "large-hash", &name, &digits]);
        client.call(&["ZADD", "large-zset", &format!("{}", f64::from(number) / 7.0), &name]);
        client.call(&["XADD", "long-stream", &format!("{}-{}", number / 3 + 1, number + 1), "f", &name]);
    }
    let long = text(31, 100_000);
    client.call(&[&b"RPUSH"[..], b"wide-list", b"a", &long, b"b"]);
    client.call(&[&b"HSET"[..], b"wide-hash", b"f", &long[..200]]);
    client.call(&[&b"ZADD"[..], b"wide-zset", b"1", &long[..200]]);
    client.call(&[&b"SADD"[..], b"wide-set", &long[..200]]);
}

pub(crate) fn digest(client: &mut RespClient) -> String {
    let mut all = format!("{:?}", client.line("DEBUG DIGEST"));
    // The digest says nothing about groups and deadlines.
    for line in [
        "PEXPIRETIME timed",
        "PEXPIRETIME list",
        "OBJECT ENCODING int",
        "OBJECT ENCODING intset",
        "OBJECT ENCODING set",
        "OBJECT ENCODING hash",
        "OBJECT ENCODING large-hash",
        "OBJECT ENCODING wide-hash",
        "OBJECT ENCODING zset",
        "OBJECT ENCODING large-zset",
        "OBJECT ENCODING wide-zset",
        "OBJECT ENCODING many-ints",
        "OBJECT ENCODING long-list",
    ] {
        let reply = client.line(line);
        all += &["\n", line, " ", &format!("{reply:?}")].concat();
    }
    all
}

#[test]
fn a_reload_changes_nothing() {
    let server = TestServer::tidegate_with(&DEBUG);
    let mut client = server.client();
    fill(&mut client);
    let before = digest(&mut client);
    converse(&mut client, "> DEBUG RELOAD\nOK");
    assert_eq!(digest(&mut client), before);
    converse(&mut client, "> DEBUG RELOAD\nOK");
    assert_eq!(digest(&mut client), before);
    converse(
        &mut client,
        r#"
        > DEBUG RELOAD NONSENSE
        -ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.
        > FLUSHALL
        OK
        > SET int changed
        OK
        > SET extra key
        OK
        > DEBUG RELOAD NOSAVE NOFLUSH MERGE
        OK
        > MGET int extra
        ["12345" "key"]
        > DEBUG RELOAD NOSAVE
        OK
        > MGET int extra
        ["12345" nil]
        "#,
    );
    assert_eq!(digest(&mut client), before);
}

#[test]
fn a_key_whose_time_has_come_is_not_loaded() {
    let server = TestServer::tidegate_with(&DEBUG);
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > DEBUG SET-ACTIVE-EXPIRE 0
        OK
        > SET short v PX 1
        OK
        > SET long v PX 100000
        OK
        > SAVE
        OK
        "#,
    );
    std::thread::sleep(std::time::Duration::from_millis(5));
    converse(&mut client, "> DEBUG RELOAD NOSAVE\nOK\n> DBSIZE\n1");
    let info = client.line("INFO persistence").text();
    assert!(info.contains("rdb_last_load_keys_loaded:1\r\n"), "{info}");
    assert!(info.contains("rdb_last_load_keys_expired:1\r\n"), "{info}");
}

#[test]
fn saving_is_counted() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let field = |client: &mut RespClient, name: &str| {
        let info = client.line("INFO persistence").text();
        let line =
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {info}"))
    };
    client.line("SET a 1");
    client.line("SET b 2");
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "2");
    let started = client.line("LASTSAVE");
    assert!(wait_until(std::time::Duration::from_secs(5), || {
        client.line("SAVE");
        client.line("LASTSAVE") != started
    }));
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
    let last = Reply::Int(field(&mut client, "rdb_last_save_time").parse().expect("seconds"));
    assert_eq!(client.line("LASTSAVE"), last);
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_ne!(field(&mut client, "rdb_saves"), "0");
    client.line("CONFIG RESETSTAT");
    assert_eq!(field(&mut client, "rdb_saves"), "0");
}

#[test]
fn saving_has_no_place_in_a_transaction() {
    check(
        r#"
        > SAVE now
        -ERR wrong number of arguments for 'save' command
        > MULTI
        OK
        > SAVE
        -ERR Command not allowed inside a transaction
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        "#,
    );
}

#[test]
fn a_restart_brings_everything_back() {
    let mut server = TestServer::tidegate_with(&DEBUG);
    fill(&mut server.client());
    server.client().line("SAVE");
    let before = digest(&mut server.client());
    server.restart().expect("it starts again");
    assert_eq!(digest(&mut server.client()), before);
    // What was not saved is gone after a crash, and saved by a shutdown that asks for it.
    server.client().line("SET late v");
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("EXISTS late"), Reply::Int(0));
    server.client().line("SET late v");
    let _ = server.client().send(&["SHUTDOWN", "SAVE"]);
    assert!(wait_until(std::time::Duration::from_secs(20), || !server.is_alive()));
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("GET late"), Reply::Bulk(b"v".to_vec()));
}

#[test]
fn save_points_save_at_the_end() {
    let mut server = TestServer::tidegate_with(&["--save", "3600 1000"]);
    let mut client = server.client();
    client.line("SET k v");
    let _ = client.send(&["SHUTDOWN", "NOSAVE"]);
    assert!(wait_until(std::time::Duration::from_secs(20), || !server.is_alive()));
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("EXISTS k"), Reply::Int(0));
    server.client().line("SET k v");
    let _ = server.client().send(&["SHUTDOWN"]);
    assert!(wait_until(std::time::Duration::from_secs(20), || !server.is_alive()));
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("GET k"), Reply::Bulk(b"v".to_vec()));
    server.client().line("SET k w");
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    assert!(wait_until(std::time::Duration::from_secs(20), || !server.is_alive()));
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("GET k"), Reply::Bulk(b"w".to_vec()));
}

/// Otherwise a crash after FLUSHALL would bring everything back.
#[test]
fn flushall_empties_the_file() {
    let mut server = TestServer::tidegate_with(&["--save", "3600 1000"]);
    let mut client = server.client();
    client.line("SET k v");
    client.line("SAVE");
    client.line("FLUSHDB");
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("EXISTS k"), Reply::Int(1));
    converse(&mut server.client(), "> MULTI\nOK\n> FLUSHALL\nQUEUED\n> EXEC\n[OK]");
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("EXISTS k"), Reply::Int(0));
    let info = server.client().line("INFO persistence").text();
    assert!(info.contains("rdb_changes_since_last_save:0\r\n"), "{info}");
}

#[test]
fn where_nothing_can_be_saved_nothing_stops() {
    let mut server = TestServer::tidegate_with(&["--save", "3600 1000", "--dbfilename", "missing.rdb"]);
    // A directory in the way of the file.
    std::fs::create_dir(server.dir().join("missing.rdb")).expect("the directory is ours");
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > SET k v
        OK
        > SAVE
        -ERR
        > SHUTDOWN
        -ERR Errors trying to SHUTDOWN. Check logs.
        > GET k
        "v"
        "#,
    );
    let _ = client.send(&["SHUTDOWN", "FORCE"]);
    assert!(wait_until(std::time::Duration::from_secs(20), || !server.is_alive()));
    let left = std::fs::read_dir(server.dir()).expect("the directory is there");
    let left: Vec<_> = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    assert!(!left.iter().any(|name| name.starts_with("temp-")), "{left:?}");
}

fn check_rdb(path: &Path) {
    let output = Command::new("redis-check-rdb").arg(path).output().expect("redis-check-rdb is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("\\o/ RDB looks OK! \\o/"), "{text}");
}

/// Redis loads what Tidegate saved, and Tidegate what Redis saved: the same data, to the last group and encoding.
#[test]
fn files_go_both_ways() {
    let server = TestServer::tidegate_with(&DEBUG);
    let redis = TestServer::redis_with(&DEBUG);
    fill(&mut server.client());
    let ours = digest(&mut server.client());
    server.client().line("SAVE");
    let file = server.dir().join("dump.rdb");
    check_rdb(&file);
    std::fs::copy(&file, redis.dir().join("dump.rdb")).expect("both directories are ours");
    converse(&mut redis.client(), "> DEBUG RELOAD NOSAVE\nOK");
    assert_eq!(digest(&mut redis.client()), ours);

    redis.client().line("FLUSHALL");
    fill(&mut redis.client());
    let theirs = digest(&mut redis.client());
    redis.client().line("SAVE");
    std::fs::copy(redis.dir().join("dump.rdb"), &file).expect("both directories are ours");
    converse(&mut server.client(), "> DEBUG RELOAD NOSAVE\nOK");
    assert_eq!(digest(&mut server.client()), theirs);
}

/// Every key of one server is restored on the other, in both directions.
#[test]
fn payloads_go_both_ways() {
    let server = TestServer::tidegate_with(&DEBUG);
    let redis = TestServer::redis_with(&DEBUG);
    let restore_all = |from: &mut RespClient, to: &mut RespClient| {
        let Reply::Array(keys) = from.line("KEYS *") else { panic!("no keys") };
        for key in keys {
            let Reply::Bulk(key) = key else { panic!("no key") };
            let Reply::Bulk(payload) = from.call(&[&b"DUMP"[..], &key]) else { panic!("no payload") };
            let restored = to.call(&[&b"RESTORE"[..], &key, b"0", &payload]);
            assert_eq!(restored, Reply::Simple(b"OK".to_vec()), "{}", key.escape_ascii());
            let expected = from.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]);
            from.call(&[&b"PERSIST"[..], &key]);
            let digest = from.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]);
            assert_eq!(to.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]), digest, "{expected:?}");
            // Strings that were changed in place are raw, however short they are.
            if from.call(&[&b"TYPE"[..], &key]) != Reply::Simple(b"string".to_vec()) {
                let encoding = |client: &mut RespClient| client.call(&[&b"OBJECT"[..], b"ENCODING", &key]);
                assert_eq!(encoding(to), encoding(from), "{}", key.escape_ascii());
            }
        }
    };
    fill(&mut server.client());
    restore_all(&mut server.client(), &mut redis.client());
    server.client().line("FLUSHALL");
    redis.client().line("FLUSHALL");
    fill(&mut redis.client());
    restore_all(&mut redis.client(), &mut server.client());
}
