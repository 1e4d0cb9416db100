//! Files and values between Redis and us, both ways, with everything that 7.0 can hold: equal digests, and checkers that find
//! nothing wrong. `tidegate digest` says the same of files as servers do of what they have loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::{TestServer, tidegate_binary};

use crate::snapshot::fill;
use crate::transcript::{converse, show, words};

const PATIENCE: Duration = Duration::from_secs(20);
const ON: [&str; 4] = ["--appendonly", "yes", "--enable-debug-command", "yes"];
const OFF: [&str; 2] = ["--enable-debug-command", "yes"];

/// Both ways between Redis and us.
const WAYS: [[bool; 2]; 2] = [[true, false], [false, true]];

fn start(is_ours: bool, options: &[&str]) -> TestServer {
    if is_ours { TestServer::tidegate_with(options) } else { TestServer::redis_with(options) }
}

/// More than [`fill`] has: libraries of functions, groups with all they remember, and every encoding at both of its ends.
fn fill_all(client: &mut RespClient) {
    fill(client);
    let library = "#!lua name=stock\nredis.register_function('one', function() return 1 end)\n\
                   redis.register_function{function_name='two', callback=function() return 2 end, flags={'no-writes'}}";
    assert_eq!(client.call(&["FUNCTION", "LOAD", library]), Reply::Bulk(b"stock".to_vec()));
    let other = "#!lua name=other description\nredis.register_function('three', function() return 3 end)";
    let plain = other.replace(" description", "");
    assert_eq!(client.call(&["FUNCTION", "LOAD", &plain]), Reply::Bulk(b"other".to_vec()));
    for number in 0..200 {
        let (id, name) = (format!("{}-{number}", number / 7 + 1), format!("v{number}"));
        client.call(&["XADD", "orders", &id, "name", &name, "n", &number.to_string()]);
    }
    for line in [
        "XDEL orders 3-14 3-15 9-60",
        "XTRIM orders MAXLEN 150",
        "XGROUP CREATE orders workers 0 ENTRIESREAD 3",
        "XGROUP CREATE orders late 20-1",
        "XGROUP CREATECONSUMER orders workers nobody",
        "XREADGROUP GROUP workers alice COUNT 20 STREAMS orders >",
        "XREADGROUP GROUP workers bob COUNT 30 STREAMS orders >",
        "XACK orders workers 8-50 8-51 9-58",
        "XCLAIM orders workers bob 0 8-52 8-53 RETRYCOUNT 7 JUSTID",
        "XREADGROUP GROUP late carol COUNT 2 NOACK STREAMS orders >",
        "XDEL orders 10-65",
        "XSETID orders 90-9 ENTRIESADDED 500 MAXDELETEDID 10-65",
        "PEXPIREAT orders 4102444800777",
    ] {
        let reply = client.call(&words(line));
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    }
    // Both ends of every limit between two encodings.
    for (kind, most) in [("hash", 128), ("zset", 128), ("set", 512), ("list", 128)] {
        for count in [1, most - 1, most, most + 1] {
            for number in 0..count {
                let (key, name) = (format!("{kind}:{count}"), format!("m{number}"));
                let number = number.to_string();
                match kind {
                    "hash" => client.call(&["HSET", &key, &name, &number]),
                    "zset" => client.call(&["ZADD", &key, &number, &name]),
                    "set" => client.call(&["SADD", &key, &number]),
                    _ => client.call(&["RPUSH", &key, &name]),
                };
            }
        }
    }
    for len in [0, 1, 44, 45, 63, 64, 65, 254, 255, 256, 4096, 16_384] {
        let text = "x".repeat(len);
        for line in [["HSET", "lengths:hash", &len.to_string(), &text], ["ZADD", "lengths:zset", "1", &text]]
        {
            client.call(&line);
        }
        client.call(&["SET", &format!("lengths:{len}"), &text]);
        client.call(&["SADD", &format!("lengths:set:{len}"), &text]);
        client.call(&["RPUSH", "lengths:list", &text]);
    }
    for number in [i64::MIN, -2_147_483_649, -32_769, -129, -1, 0, 127, 128, 32_768, 8_388_608, i64::MAX] {
        let number = number.to_string();
        client.call(&["SET", &format!("int:{number}"), &number]);
        client.call(&["RPUSH", "ints:list", &number]);
        client.call(&["SADD", "ints:set", &number]);
        client.call(&["HSET", "ints:hash", &number, &number]);
        client.call(&["ZADD", "ints:zset", &number, &number]);
    }
    for score in ["1.7976931348623157e308", "5e-324", "-0", "0.1", "3.0000000000000004", "inf", "-inf"] {
        client.call(&["ZADD", "scores", score, score]);
    }
}

/// What a digest does not tell, line by line: libraries, groups of streams, deadlines. `exact` if deadlines stay what they
/// are.
fn rest(client: &mut RespClient, exact: bool) -> Vec<String> {
    client.line("SELECT 0");
    let Reply::Array(libraries) = client.line("FUNCTION LIST WITHCODE") else { panic!("no libraries") };
    let mut lines = Vec::new();
    for library in &libraries {
        let fields = library.items().expect("fields of a library");
        lines.push(show(&fields[7]));
        for function in fields[5].items().expect("its functions") {
            lines.push(show(function));
        }
    }
    // Redis lists them as its table has them.
    lines.sort();
    for (stream, groups) in
        [("stream", &["group", "idle"][..]), ("orders", &["workers", "late"]), ("gone", &[])]
    {
        let info = client.call(&["XINFO", "STREAM", stream, "FULL", "COUNT", "0"]);
        for pair in info.items().expect("fields of a stream").chunks(2) {
            // Nodes of radix trees are not part of the value.
            if !pair[0].text().starts_with("radix") {
                let line = format!("{stream} {} {}", show(&pair[0]), show(&pair[1]));
                // When consumers were seen is not journaled.
                lines.push(without(&line, "seen-time"));
            }
        }
        for group in groups {
            let consumers = client.call(&["XINFO", "CONSUMERS", stream, group]);
            for consumer in consumers.items().expect("consumers") {
                // How long they have been idle goes on.
                lines.push(format!(
                    "{group} {:?}",
                    consumer.items().map(|fields| fields[..4].iter().map(show).collect::<Vec<_>>())
                ));
            }
        }
    }
    for key in ["timed", "list", "orders", "int"] {
        let deadline = client.call(&["PEXPIRETIME", key]).int().expect("a number");
        lines.push(if exact { format!("{key} {deadline}") } else { format!("{key} {}", deadline > 0) });
    }
    lines
}

/// Leaves out what stands behind this name.
fn without(text: &str, name: &str) -> String {
    let name = format!("\"{name}\" ");
    let mut parts = text.split(&name);
    let first = parts.next().unwrap_or_default().to_owned();
    parts
        .fold(first, |text, part| text + &name + part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()))
}

fn expect_same(got: &[String], expected: &[String]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!(got == expected, "{got:.400}\nbut was\n{expected:.400}");
    }
    assert_eq!(got.len(), expected.len());
}

fn digest(client: &mut RespClient) -> String {
    client.line("DEBUG DIGEST").text()
}

/// What `tidegate digest` prints and how it ends.
fn tool(arguments: &[&str]) -> (Vec<String>, Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(tidegate_binary()).arg("digest").args(arguments).output().expect("it runs");
    let digests = String::from_utf8_lossy(&stdout);
    let digests = digests.lines().filter_map(|line| Some(line.split_once("  ")?.0.to_owned())).collect();
    (digests, status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

fn is_redis() -> bool {
    tidegate_binary().to_string_lossy().contains("redis-server")
}

fn expect_tool(sources: &[&Path], digest: &str) {
    if is_redis() {
        return;
    }
    let sources: Vec<&str> = sources.iter().map(|path| path.to_str().expect("a path of ours")).collect();
    let (digests, code, complaints) = tool(&sources);
    assert!(
        digests.iter().all(|line| line == digest) && digests.len() == sources.len(),
        "{digests:?} {digest}"
    );
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
}

fn accepted(checker: &str, path: &Path) {
    let output = Command::new(checker).arg(path).output().expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{checker} {}: {text}", path.display());
}

fn files(server: &TestServer) -> PathBuf {
    server.dir().join("appendonlydir")
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("the directory is ours");
    for entry in fs::read_dir(from).expect("the directory is there") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file is copied");
    }
}

fn wait_for_rewrite(client: &mut RespClient) {
    let done = wait_until(PATIENCE, || {
        let info = client.line("INFO persistence").text();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    assert!(done, "the rewrite ends");
}

#[test]
fn snapshots_both_ways() {
    for [from_us, to_us] in WAYS {
        for compression in ["yes", "no"] {
            let writer = start(from_us, &[&OFF[..], &["--rdbcompression", compression]].concat());
            let mut reader = start(to_us, &OFF);
            let mut client = writer.client();
            fill_all(&mut client);
            let (before, rest_before) = (digest(&mut client), rest(&mut client, true));
            converse(&mut client, "> SAVE\nOK");
            let file = writer.dir().join("dump.rdb");
            accepted("redis-check-rdb", &file);
            expect_tool(&[&file], &before);
            fs::copy(&file, reader.dir().join("dump.rdb")).expect("the directory is ours");
            reader.restart().expect("it loads the file");
            assert_eq!(digest(&mut reader.client()), before);
            expect_same(&rest(&mut reader.client(), true), &rest_before);
        }
    }
}

#[test]
fn append_only_files_both_ways() {
    for [from_us, to_us] in WAYS {
        let writer = start(from_us, &ON);
        let mut reader = start(to_us, &ON);
        let mut client = writer.client();
        fill_all(&mut client);
        // As commands, then as a snapshot with commands behind it.
        for round in 0..2 {
            // Nor does Redis journal how many entries a group has read, and therefore what it lags behind.
            let rest = |client: &mut RespClient| -> Vec<String> {
                let lines = rest(client, true).into_iter();
                if from_us || round == 1 {
                    return lines.collect();
                }
                lines.map(|line| without(&without(&line, "entries-read"), "lag")).collect()
            };
            let (before, rest_before) = (digest(&mut client), rest(&mut client));
            let manifest = files(&writer).join("appendonly.aof.manifest");
            // Redis writes before it sleeps.
            client.line("PING");
            accepted("redis-check-aof", &manifest);
            expect_tool(&[&files(&writer), &manifest], &before);
            copy(&files(&writer), &files(&reader));
            reader.restart().expect("it loads the files");
            assert_eq!(digest(&mut reader.client()), before, "round {round}");
            expect_same(&rest(&mut reader.client()), &rest_before);
            if round == 1 {
                break;
            }
            converse(&mut client, "> BGREWRITEAOF\n...");
            wait_for_rewrite(&mut client);
            converse(
                &mut client,
                "> SET behind 1\nOK\n> XADD orders 100-1 f v\n\"100-1\"\n> XGROUP CREATE orders new $\nOK\n> PERSIST timed\n1",
            );
        }
    }
}

#[test]
fn payloads_both_ways() {
    for [from_us, to_us] in WAYS {
        let (writer, reader) = (start(from_us, &OFF), start(to_us, &OFF));
        let (mut client, mut other) = (writer.client(), reader.client());
        fill_all(&mut client);
        let Reply::Bulk(libraries) = client.line("FUNCTION DUMP") else { panic!("no payload") };
        assert_eq!(other.call(&[&b"FUNCTION"[..], b"RESTORE", &libraries]), Reply::Simple(b"OK".to_vec()));
        for db in 0..16 {
            for client in [&mut client, &mut other] {
                client.line(&format!("SELECT {db}"));
            }
            let Reply::Array(keys) = client.line("KEYS *") else { panic!("no keys") };
            for key in keys {
                let key = key.bytes().expect("a name").to_vec();
                let Reply::Bulk(payload) = client.call(&[b"DUMP", &key[..]]) else { panic!("no payload") };
                let deadline =
                    client.call(&[b"PEXPIRETIME", &key[..]]).int().expect("a number").max(0).to_string();
                let request = [b"RESTORE", &key[..], deadline.as_bytes(), &payload, b"ABSTTL"];
                assert_eq!(other.call(&request), Reply::Simple(b"OK".to_vec()), "{key:?}");
            }
        }
        assert_eq!(digest(&mut other), digest(&mut client));
        expect_same(&rest(&mut other, true), &rest(&mut client, true));
    }
}

#[test]
fn keys_move_both_ways() {
    for [from_us, to_us] in WAYS {
        let (writer, reader) = (start(from_us, &OFF), start(to_us, &OFF));
        let (mut client, mut other) = (writer.client(), reader.client());
        fill_all(&mut client);
        let (before, rest_before) = (digest(&mut client), rest(&mut client, false));
        let (port, payload) = (reader.addr().port().to_string(), client.line("FUNCTION DUMP"));
        let Reply::Bulk(libraries) = payload else { panic!("no payload") };
        assert_eq!(other.call(&[&b"FUNCTION"[..], b"RESTORE", &libraries]), Reply::Simple(b"OK".to_vec()));
        for db in 0..16 {
            client.line(&format!("SELECT {db}"));
            let Reply::Array(keys) = client.line("KEYS *") else { panic!("no keys") };
            for key in keys {
                let (key, db) = (key.bytes().expect("a name").to_vec(), db.to_string());
                let request = [b"MIGRATE", &b"127.0.0.1"[..], port.as_bytes(), &key, db.as_bytes(), b"5000"];
                assert_eq!(client.call(&request), Reply::Simple(b"OK".to_vec()), "{key:?}");
            }
        }
        assert_eq!(digest(&mut client), "0".repeat(40));
        assert_eq!(digest(&mut other), before);
        expect_same(&rest(&mut other, false), &rest_before);
    }
}

/// The file that Redis had before version 7, as commands and with a snapshot in front.
#[test]
fn single_files_are_digested() {
    if is_redis() {
        return;
    }
    let server = TestServer::redis_with(&ON);
    let mut client = server.client();
    fill_all(&mut client);
    client.line("PING");
    let before = digest(&mut client);
    let dir = server.dir();
    let incr = fs::read(files(&server).join("appendonly.aof.1.incr.aof")).expect("there is a file");
    fs::write(dir.join("commands.aof"), &incr).expect("the directory is ours");
    expect_tool(&[&dir.join("commands.aof")], &before);
    converse(&mut client, "> BGREWRITEAOF\n...");
    wait_for_rewrite(&mut client);
    converse(&mut client, "> SET behind 1\nOK");
    let mut mixed = fs::read(files(&server).join("appendonly.aof.2.base.rdb")).expect("there is a base");
    mixed.extend(fs::read(files(&server).join("appendonly.aof.2.incr.aof")).expect("there is a file"));
    fs::write(dir.join("mixed.aof"), mixed).expect("the directory is ours");
    expect_tool(&[&dir.join("mixed.aof"), &files(&server)], &digest(&mut client));
    let unchanged: Vec<_> = fs::read_dir(dir).expect("the directory is there").flatten().collect();
    assert!(
        !unchanged.iter().any(|entry| entry.file_name().to_string_lossy().ends_with("manifest")),
        "nothing is written"
    );
}

/// Servers that allow DEBUG DIGEST, and those that do not.
#[test]
fn servers_are_digested() {
    if is_redis() {
        return;
    }
    for is_ours in [true, false] {
        let open = start(is_ours, &OFF);
        let closed = start(is_ours, &["--requirepass", "secret"]);
        let mut client = open.client();
        fill_all(&mut client);
        converse(&mut client, "> SAVE\nOK");
        let digest = digest(&mut client);
        let (addr, socket) = (open.addr().to_string(), open.unix_path());
        let file = open.dir().join("dump.rdb");
        expect_tool(&[Path::new(&addr), &socket, &file], &digest);
        assert_eq!(tool(&["--scan", &addr]), (vec![digest.clone()], Some(0), String::new()));
        // Another one has the same keys, does not allow DEBUG and wants a password.
        let mut other = closed.client();
        converse(&mut other, "> AUTH secret\nOK");
        let port = closed.addr().port().to_string();
        for db in 0..16 {
            client.line(&format!("SELECT {db}"));
            let Reply::Array(keys) = client.line("KEYS *") else { panic!("no keys") };
            let db = db.to_string();
            let mut request: Vec<Vec<u8>> =
                ["MIGRATE", "127.0.0.1", &port, "", &db, "9000", "COPY", "AUTH", "secret", "KEYS"]
                    .map(Into::into)
                    .into();
            request.extend(keys.iter().map(|key| key.bytes().expect("a name").to_vec()));
            assert!(!matches!(client.call(&request), Reply::Error(_)));
        }
        let closed_addr = closed.addr().to_string();
        let (digests, code, complaints) = tool(&[&closed_addr]);
        assert_eq!((digests.len(), code), (0, Some(2)));
        assert!(complaints.contains("NOAUTH"), "{complaints}");
        let (digests, code, complaints) =
            tool(&["--pass", "secret", &closed_addr, file.to_str().expect("a path")]);
        assert_eq!((digests, code), (vec![digest.clone(), digest.clone()], Some(0)));
        assert!(complaints.contains("DEBUG DIGEST is not allowed"), "{complaints}");
        converse(&mut other, "> APPEND int 1\n6");
        let (digests, code, _) =
            tool(&["--pass", "secret", "--user", "default", &closed_addr, file.to_str().expect("a path")]);
        assert_eq!((digests.len(), code), (2, Some(1)), "they differ");
    }
}

/// Keys whose time has come are not there, whenever it came; what is damaged has no digest.
#[test]
fn deadlines_and_damage() {
    let mut server = TestServer::tidegate_with(&ON);
    let mut client = server.client();
    converse(
        &mut client,
        "> SET k v\nOK\n> SET due w PX 1200\nOK\n> SET kept x PX 1200\nOK\n> BGREWRITEAOF\n...",
    );
    wait_for_rewrite(&mut client);
    let early = client.line("PEXPIRETIME due").int().expect("a number") - 1;
    let with = digest(&mut client);
    converse(&mut client, "> PERSIST kept\n1");
    assert!(wait_until(PATIENCE, || client.line("EXISTS due") == Reply::Int(0)));
    let without = digest(&mut client);
    // The base has a deadline for it that has passed; what came behind the base has taken it away in time.
    server.restart().expect("it starts again");
    client = server.client();
    converse(&mut client, "> GET kept\n\"x\"\n> EXISTS due\n0");
    assert_eq!(digest(&mut client), without);
    if is_redis() {
        return;
    }
    expect_tool(&[&files(&server)], &without);
    let base = files(&server).join("appendonly.aof.2.base.rdb");
    let base_text = base.to_str().expect("a path");
    assert_eq!(tool(&["--at", &early.to_string(), base_text]).0, [with]);
    let mut bytes = fs::read(&base).expect("there is a base");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&base, bytes).expect("the file is ours");
    for source in [base_text, files(&server).to_str().expect("a path")] {
        let (digests, code, complaints) = tool(&[source]);
        assert_eq!((digests.len(), code), (0, Some(2)), "{complaints}");
    }
    let torn = server.dir().join("torn.aof");
    fs::write(&torn, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*3\r\n$3\r\nSE")
        .expect("the directory is ours");
    let (_, code, complaints) = tool(&[torn.to_str().expect("a path")]);
    assert_eq!(code, Some(2));
    assert!(complaints.contains("Unexpected end of file"), "{complaints}");
    let many = server.dir().join("many.aof");
    fs::write(&many, b"*2\r\n$6\r\nSELECT\r\n$2\r\n20\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        .expect("the directory is ours");
    let many = many.to_str().expect("a path");
    let (_, code, complaints) = tool(&[many]);
    assert_eq!(code, Some(2));
    assert!(complaints.contains("--databases"), "{complaints}");
    assert_eq!(tool(&["--databases", "21", many]).1, Some(0));
}
