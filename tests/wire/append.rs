//! The append-only file: what was acknowledged survives a kill, Redis reads the files, and ours are read where it wrote
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::snapshot::{digest, fill};
use crate::transcript::converse;

const PATIENCE: Duration = Duration::from_secs(20);
const ON: [&str; 4] = ["--appendonly", "yes", "--enable-debug-command", "yes"];

fn with(options: &[&'static str]) -> Vec<&'static str> {
    ON.iter().chain(options).copied().collect()
}

fn info(client: &mut RespClient, field: &str) -> String {
    let text = client.line("INFO persistence").text();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
}

fn files(server: &TestServer) -> PathBuf {
    server.dir().join("appendonlydir")
}

fn manifest(server: &TestServer) -> String {
    fs::read_to_string(files(server).join("appendonly.aof.manifest")).expect("there is a manifest")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("the directory is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn wait_for_rewrite(client: &mut RespClient) {
    let done = wait_until(PATIENCE, || {
        info(client, "aof_rewrite_in_progress") == "0" && info(client, "aof_rewrite_scheduled") == "0"
    });
    assert!(done, "the rewrite ends");
}

#[test]
fn whatever_was_acknowledged_survives_a_kill() {
    for mode in ["always", "everysec", "no"] {
        let mut server = TestServer::tidegate_with(&with(&["--appendfsync", mode]));
        assert_eq!(names(&files(&server)).len(), 3, "base, incr, manifest");
        fill(&mut server.client());
        let mut client = server.client();
        converse(
            &mut client,
            r#"
            > MULTI
            OK
            > SET {a}1 v
            QUEUED
            > SET {b}2 w
            QUEUED
            > SPOP set
            QUEUED
            > EXEC
            ...
            > INCRBYFLOAT float 0.1
            "0.1"
            > EVAL "redis.call('SET', 'scripted', 1) redis.call('INCR', 'scripted')" 0
            nil
            "#,
        );
        let before = digest(&mut client);
        server.restart().expect("it starts again");
        assert_eq!(digest(&mut server.client()), before, "{mode}");
        server.client().line("SET late v");
        server.client().line("SET short v PX 1");
        server.restart().expect("it starts again");
        assert_eq!(server.client().line("GET late"), Reply::Bulk(b"v".to_vec()), "{mode}");
        assert_eq!(server.client().line("EXISTS short"), Reply::Int(0), "{mode}");
    }
}

/// A key whose time came while nobody ran, and was changed before: it does not come back as another one without a deadline.
#[test]
fn what_expired_meanwhile_is_gone() {
    let mut server = TestServer::tidegate_with(&ON);
    converse(
        &mut server.client(),
        r#"
        > DEBUG SET-ACTIVE-EXPIRE 0
        OK
        > SET k 1 PX 200
        OK
        > INCR k
        2
        > HSET h f v
        1
        > HPEXPIRE h 200 FIELDS 1 f
        [1]
        > HSET h g v
        1
        "#,
    );
    std::thread::sleep(Duration::from_millis(250));
    server.restart().expect("it starts again");
    converse(&mut server.client(), "> EXISTS k\n0\n> HGETALL h\n[\"g\" \"v\"]");
}

/// All libraries, whose order says nothing.
fn libraries(client: &mut RespClient) -> Vec<String> {
    let Reply::Array(listed) = client.line("FUNCTION LIST WITHCODE") else { panic!("no list") };
    let mut listed: Vec<_> = listed.iter().map(|library| format!("{library:?}")).collect();
    listed.sort();
    listed
}

#[test]
fn libraries_of_functions_are_journaled() {
    let mut server = TestServer::tidegate_with(&ON);
    let library =
        |name: &str| format!("#!lua name={name}\nredis.register_function('{name}', function() return 1 end)");
    let mut client = server.client();
    for name in ["one", "two", "three"] {
        assert_eq!(client.call(&["FUNCTION", "LOAD", &library(name)]), Reply::Bulk(name.into()));
    }
    let payload = client.line("FUNCTION DUMP");
    converse(&mut client, "> FUNCTION DELETE two\nOK");
    let listed = libraries(&mut client);
    server.restart().expect("it starts again");
    client = server.client();
    assert_eq!(libraries(&mut client), listed);
    converse(&mut client, "> FUNCTION FLUSH\nOK");
    server.restart().expect("it starts again");
    client = server.client();
    assert_eq!(client.line("FUNCTION LIST"), Reply::Array(Vec::new()));
    let Reply::Bulk(payload) = payload else { panic!("no payload: {payload:?}") };
    assert_eq!(client.call(&[&b"FUNCTION"[..], b"RESTORE", &payload]), Reply::Simple(b"OK".to_vec()));
    let listed = libraries(&mut client);
    server.restart().expect("it starts again");
    assert_eq!(libraries(&mut server.client()), listed);
}

#[test]
fn functions_are_journaled_with_their_transaction() {
    let server = TestServer::tidegate_with(&with(&["--appendfsync", "always"]));
    let mut client = server.client();
    let library = "#!lua name=one\nredis.register_function('one', function() return 1 end)";
    converse(&mut client, "> MULTI\nOK\n> SET before 1\nQUEUED");
    client.call(&["FUNCTION", "LOAD", library]);
    converse(&mut client, "> FUNCTION DELETE one\nQUEUED\n> SET after 1\nQUEUED\n> EXEC\n[OK \"one\" OK OK]");
    let path = files(&server).join("appendonly.aof.1.incr.aof");
    let text = fs::read_to_string(path).expect("the file is there");
    let words = ["MULTI", "before", "LOAD", "DELETE", "after", "EXEC"];
    let places: Vec<_> = words.iter().filter_map(|word| text.find(&format!("\r\n{word}\r\n"))).collect();
    assert!(places.len() == words.len() && places.is_sorted(), "{text}");
}

#[test]
fn redis_reads_what_was_written_here() {
    let server = TestServer::tidegate_with(&ON);
    fill(&mut server.client());
    converse(&mut server.client(), "> MULTI\nOK\n> SET a 1\nQUEUED\n> INCR a\nQUEUED\n> EXEC\n[OK 2]");
    let before = digest(&mut server.client());
    let check = Command::new("redis-check-aof")
        .arg(files(&server).join("appendonly.aof.manifest"))
        .output()
        .expect("redis-check-aof is installed");
    let text = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && text.contains("All AOF files and manifest are valid"), "{text}");

    let mut redis = TestServer::redis_with(&with(&["--aof-load-truncated", "no"]));
    copy(&files(&server), &files(&redis));
    redis.restart().expect("redis-server loads the files");
    assert_eq!(digest(&mut redis.client()), before);

    // And goes on in them, and we behind it.
    converse(
        &mut redis.client(),
        "> SET by-redis 1\nOK\n> CONFIG SET appendfsync always\nOK\n> SET by-redis 2\nOK",
    );
    let before = digest(&mut redis.client());
    let mut again = TestServer::tidegate_with(&with(&["--aof-load-truncated", "no"]));
    copy(&files(&redis), &files(&again));
    again.restart().expect("it loads what Redis went on with");
    assert_eq!(digest(&mut again.client()), before);
    again.client().line("SET by-us 1");
    let before = digest(&mut again.client());
    again.restart().expect("it loads its own end behind that of Redis");
    assert_eq!(digest(&mut again.client()), before);
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("the directory is ours");
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).expect("a file is copied");
    }
}

#[test]
fn a_rewrite_loses_nothing() {
    let mut server = TestServer::tidegate_with(&ON);
    let mut client = server.client();
    fill(&mut client);
    for round in 0..3 {
        converse(&mut client, "> BGREWRITEAOF\nBackground append only file rewriting started");
        client.line(&format!("SET during{round} v"));
        client.line("INCR rounds");
        wait_for_rewrite(&mut client);
        assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
        let before = digest(&mut client);
        server.restart().expect("it starts again");
        client = server.client();
        assert_eq!(digest(&mut client), before);
    }
    let manifest = manifest(&server);
    let lines: Vec<_> =
        manifest.lines().map(|line| line.split(" type ").next().unwrap_or_default()).collect();
    assert_eq!(lines, ["file appendonly.aof.4.base.rdb seq 4", "file appendonly.aof.4.incr.aof seq 4"]);
    assert_eq!(names(&files(&server)).len(), 3);
}

/// `aof-use-rdb-preamble no`: with what only commands of ours, or payloads, can say, too.
#[test]
fn the_base_can_be_commands() {
    for checksum in ["yes", "no"] {
        let options = ["--aof-use-rdb-preamble", "no", "--aof-checksum", checksum];
        let mut server = TestServer::tidegate_with(&with(&options));
        let mut client = server.client();
        fill(&mut client);
        let library = "#!lua name=one\nredis.register_function('one', function() return 1 end)";
        assert_eq!(client.call(&["FUNCTION", "LOAD", library]), Reply::Bulk(b"one".to_vec()));
        // An entry that was deleted, and is pending still.
        converse(
            &mut client,
            r#"
            > XADD pending 5-1 f v
            "5-1"
            > XGROUP CREATE pending group 0
            OK
            > XREADGROUP GROUP group alice STREAMS pending >
            ...
            > XDEL pending 5-1
            1
            > SELECT 3
            OK
            > XQUEUE.BIND bound n* PATTERN
            1
            > XQUEUE.BIND "odd \r\n" ""
            1
            > SELECT 0
            OK
            > RL.POLICY SET login FIXED 1 1000 BLOCKFOR 60000
            OK
            > QUOTA SET 3 1000000000
            OK
            > QUOTA SET "odd \r\n\"" 77
            OK
            > QUOTA SET "" 100000000 volatile-lru
            OK
            > BGREWRITEAOF
            Background append only file rewriting started
            "#,
        );
        wait_for_rewrite(&mut client);
        assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
        assert!(manifest(&server).starts_with("file appendonly.aof.2.base.aof seq 2 type b\n"));
        assert_eq!(names(&files(&server)).len(), 3);
        let pending = client.line("XPENDING pending group");
        let before = digest(&mut client);
        let check = Command::new("redis-check-aof")
            .arg(files(&server).join("appendonly.aof.manifest"))
            .output()
            .expect("redis-check-aof is installed");
        let text = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.success() && text.contains("BASE AOF (RESP format)"), "{text}");

        server.restart().expect("it starts again");
        client = server.client();
        assert_eq!(digest(&mut client), before);
        assert_eq!(client.line("QUOTA LIST").items().map(<[Reply]>::len), Some(3));
        converse(
            &mut client,
            r#"
            > QUOTA GET ""
            ["target" "" "kind" "prefix" "policy" "volatile-lru" "limit" 100000000 ...
            > QUOTA GET "odd \r\n\""
            ["target" "odd \r\n\"" "kind" "prefix" "policy" "noeviction" "limit" 77 ...
            > RL.POLICY LIST
            ["login"]
            > SELECT 3
            OK
            > XQUEUE.UNBIND bound n*
            1
            > XQUEUE.UNBIND "odd \r\n" ""
            1
            > SELECT 0
            OK
            > RL.POLICY FLUSH
            OK
            > QUOTA DEL 3 "odd \r\n\"" ""
            3
            > BGREWRITEAOF
            Background append only file rewriting started
            "#,
        );
        wait_for_rewrite(&mut client);

        let mut redis = TestServer::redis_with(&with(&["--aof-load-truncated", "no"]));
        copy(&files(&server), &files(&redis));
        redis.restart().expect("redis-server loads the files");
        assert_eq!(digest(&mut redis.client()), before);
        assert_eq!(redis.client().line("XPENDING pending group"), pending);
        assert_eq!(redis.client().line("FCALL one 0"), Reply::Int(1));

        client.line("HSET fields f v g w");
        client.line("HPEXPIREAT fields 4102444800123 FIELDS 1 f");
        converse(&mut client, "> BGREWRITEAOF\nBackground append only file rewriting started");
        wait_for_rewrite(&mut client);
        let before = digest(&mut client);
        server.restart().expect("it starts again");
        client = server.client();
        assert_eq!(digest(&mut client), before);
        assert_eq!(client.line("XPENDING pending group"), pending);
        assert_eq!(client.line("FCALL one 0"), Reply::Int(1));
        converse(&mut client, "> HPEXPIRETIME fields FIELDS 2 f g\n[4102444800123 -1]");
    }
}

#[test]
fn it_is_turned_on_and_off_while_the_server_runs() {
    let mut server = TestServer::tidegate_with(&["--enable-debug-command", "yes", "--appendonly", "no"]);
    let mut client = server.client();
    fill(&mut client);
    converse(&mut client, "> CONFIG SET appendonly yes\nOK\n> SET on 1\nOK");
    wait_for_rewrite(&mut client);
    assert_eq!(info(&mut client, "aof_enabled"), "1");
    let before = digest(&mut client);
    converse(&mut client, "> DEBUG LOADAOF\nOK");
    assert_eq!(digest(&mut client), before);
    converse(&mut client, "> CONFIG SET appendonly no\nOK\n> SET off 1\nOK");
    assert_eq!(info(&mut client, "aof_enabled"), "0");
    converse(
        &mut client,
        "> MULTI\nOK\n> CONFIG SET appendonly yes\nQUEUED\n> SET again 1\nQUEUED\n> EXEC\n[OK OK]",
    );
    wait_for_rewrite(&mut client);
    let before = digest(&mut client);
    converse(&mut client, "> DEBUG LOADAOF\nOK");
    assert_eq!(digest(&mut client), before);
    assert_eq!(manifest(&server).lines().count(), 2);
    drop(client);
    server.restart().expect("it starts as it was told at first");
    assert_eq!(server.client().line("DBSIZE"), Reply::Int(0));
}

/// The snapshot would have the first half of the transaction, and the journal behind it all of it.
#[test]
fn a_rewrite_does_not_cut_a_transaction() {
    let mut server = TestServer::tidegate_with(&ON);
    let mut client = server.client();
    converse(
        &mut client,
        "> MULTI\nOK\n> INCR n\nQUEUED\n> BGREWRITEAOF\nQUEUED\n> INCR n\nQUEUED\n> EXEC\n[1 Background append only file \
         rewriting scheduled 2]",
    );
    wait_for_rewrite(&mut client);
    assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("GET n"), Reply::Bulk(b"2".to_vec()));
}

/// Whoever wants to turn it on at the next start makes the files before.
#[test]
fn files_are_made_while_it_is_off() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes", "--appendonly", "no"]);
    let mut client = server.client();
    fill(&mut client);
    let before = digest(&mut client);
    for _ in 0..2 {
        converse(&mut client, "> BGREWRITEAOF\nBackground append only file rewriting started");
        wait_for_rewrite(&mut client);
        assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
        converse(&mut client, "> DEBUG LOADAOF\nOK");
        assert_eq!(digest(&mut client), before);
    }
}

#[test]
fn a_torn_end_is_cut_off_behind_the_last_transaction() {
    for (mode, starts) in [("yes", true), ("no", false)] {
        let mut server = TestServer::tidegate_with(&with(&["--aof-load-truncated", mode]));
        let dir = files(&server);
        let text = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$5\r\nhello\r\n*1\r\n$5\r\nMULTI\r\n\
                     *3\r\n$3\r\nSET\r\n$3\r\nbar\r\n$5\r\nworld\r\n*1\r\n$4\r\nEX";
        fs::write(dir.join("appendonly.aof.1.incr.aof"), text).expect("the file is ours");
        if !starts {
            assert!(server.restart().is_err());
            assert!(server.log().contains("Unexpected end of file reading the append only file"));
            // Or its end would be waited for.
            continue;
        }
        server.restart().expect("it starts without the end");
        let mut client = server.client();
        assert_eq!(client.line("DBSIZE"), Reply::Int(1));
        for n in 0..5 {
            client.line(&format!("SET acked:{n} 1"));
        }
        server.restart().expect("it starts again");
        assert_eq!(server.client().line("DBSIZE"), Reply::Int(6), "what was acknowledged behind it is there");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (content, expected) in [
        (&b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n!!!\r\n"[..], "Bad file format reading the append only file"),
        (b"*1\r\n$4\r\nNOPE\r\n", "Unknown command 'NOPE' reading the append only file"),
    ] {
        let mut server = TestServer::tidegate_with(&ON);
        fs::write(files(&server).join("appendonly.aof.1.incr.aof"), content).expect("the file is ours");
        assert!(server.restart().is_err());
        assert!(server.log().contains(expected), "{}", server.log());
    }
}

/// The position in the journal is not covered by the checksum beside it, and everything is counted on from there.
#[test]
fn a_position_that_cannot_be_is_damage() {
    let mut server = TestServer::tidegate_with(&ON);
    server.client().line("SET k v");
    server.client().line("SET l v");
    let path = files(&server).join("appendonly.aof.1.incr.aof");
    let text = String::from_utf8(fs::read(&path).expect("there is a file")).expect("it is text");
    let at = text.rfind(";r=").expect("there are checksum lines");
    let colon = at + text[at..].find(':').expect("with an identity");
    let end = colon + text[colon..].find(';').expect("and more");
    let changed = format!("{}:{}{}", &text[..colon], u64::MAX, &text[end..]);
    fs::write(&path, changed).expect("the file is ours");
    server.restart().expect("the last line may be a torn end");
    assert_eq!(server.client().line("SET m v").text(), "OK");
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("DBSIZE"), Reply::Int(2));
}

/// With a snapshot and no append-only file Redis begins empty, and the next snapshot ends the old keys.
#[test]
fn a_snapshot_is_not_left_aside() {
    let mut server = TestServer::tidegate_with(&["--appendonly", "no"]);
    server.client().line("SET k v");
    server.client().line("SAVE");
    let snapshot = fs::read(server.dir().join("dump.rdb")).expect("there is a snapshot");
    drop(server);
    server = TestServer::tidegate_with(&ON);
    fs::remove_dir_all(files(&server)).expect("the directory is ours");
    fs::write(server.dir().join("dump.rdb"), &snapshot).expect("the directory is ours");
    assert!(server.restart().is_err());
    assert!(server.log().contains("appendonly-bootstrap yes"), "{}", server.log());
    server = TestServer::tidegate_with(&with(&["--appendonly-bootstrap", "yes"]));
    fs::remove_dir_all(files(&server)).expect("the directory is ours");
    fs::write(server.dir().join("dump.rdb"), &snapshot).expect("the directory is ours");
    server.restart().expect("it begins with the snapshot");
    assert_eq!(server.client().line("GET k"), Reply::Bulk(b"v".to_vec()));
    server.restart().expect("it starts again");
    assert_eq!(server.client().line("GET k"), Reply::Bulk(b"v".to_vec()));
}

#[test]
fn waitaof_waits_for_the_disk() {
    let server = TestServer::tidegate_with(&ON);
    converse(
        &mut server.client(),
        r#"
        > SET k v
        OK
        > WAITAOF 1 0 0
        [1 0]
        > WAITAOF 0 0 0
        [1 0]
        > CONFIG SET appendfsync no
        OK
        > SET k w
        OK
        > WAITAOF 1 0 50
        [0 0]
        > CONFIG SET appendfsync always
        OK
        > SET k x
        OK
        > WAITAOF 1 0 0
        [1 0]
        > WAITAOF 1 1 50
        [1 0]
        "#,
    );
}
