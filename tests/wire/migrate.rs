//! `MIGRATE`, to and from the real Redis, and to servers that do not answer as they should.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::snapshot::{digest, fill};
use crate::transcript::{converse, show, words};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the server under test is Redis: it does nothing else while it sends.
fn is_redis() -> bool {
    std::env::var_os("TIDEGATE_BIN").is_some_and(|path| path.to_string_lossy().contains("redis-server"))
}

fn migrate(client: &mut RespClient, to: SocketAddr, rest: &str) -> Reply {
    client.call(&words(&format!("MIGRATE {} {} {rest}", to.ip(), to.port())))
}

fn expect(client: &mut RespClient, to: SocketAddr, rest: &str, expected: &str) {
    assert_eq!(show(&migrate(client, to, rest)), expected, "MIGRATE {rest}");
}

/// Deadlines travel as what is left of them, and may come out a little later.
fn content(client: &mut RespClient) -> String {
    let digest = digest(client);
    digest.lines().filter(|line| !line.starts_with("PEXPIRETIME")).collect::<Vec<_>>().join("\n")
}

/// All keys of all databases, in one request each.
fn migrate_all(client: &mut RespClient, to: SocketAddr) {
    for db in 0..16 {
        client.line(&format!("SELECT {db}"));
        let Reply::Array(keys) = client.line("KEYS *") else { panic!("no keys") };
        if keys.is_empty() {
            continue;
        }
        let (ip, port, db) = (to.ip().to_string(), to.port().to_string(), db.to_string());
        let mut request: Vec<Vec<u8>> =
            ["MIGRATE", &ip, &port, "", &db, "10000", "KEYS"].map(Into::into).into();
        request.extend(keys.iter().map(|key| key.bytes().expect("a name").to_vec()));
        assert_eq!(client.call(&request), Reply::Simple(b"OK".to_vec()));
    }
    client.line("SELECT 0");
}

#[test]
fn every_kind_of_value_moves_both_ways() {
    let (ours, theirs) = (TestServer::tidegate_with(&DEBUG), TestServer::redis_with(&DEBUG));
    let (mut client, mut redis) = (ours.client(), theirs.client());
    let empty = content(&mut redis);
    fill(&mut client);
    let before = content(&mut client);
    migrate_all(&mut client, theirs.addr());
    assert_eq!(content(&mut client), empty, "nothing is left here");
    assert_eq!(content(&mut redis), before, "everything is there");
    migrate_all(&mut redis, ours.addr());
    assert_eq!(content(&mut redis), empty);
    assert_eq!(content(&mut client), before);
}

#[test]
fn the_options_do_what_they_do_in_redis() {
    let (server, other) = (TestServer::tidegate(), TestServer::redis());
    let (mut client, mut redis) = (server.client(), other.client());
    let to = other.addr();
    expect(&mut client, to, "k 9 1000", "NOKEY");
    expect(&mut client, to, "\"\" 9 1000 KEYS", "NOKEY");
    expect(&mut client, to, "\"\" 9 1000 KEYS a b", "NOKEY");
    converse(&mut client, "> SET k v PX 100000\nOK\n> MSET a 1 b 2 c 3 \"\" 4\nOK");
    expect(&mut client, to, "k 9 0", "OK");
    converse(&mut client, "> EXISTS k\n0");
    converse(&mut redis, "> SELECT 9\nOK\n> GET k\n\"v\"");
    let ttl = redis.line("PTTL k").int().expect("a number");
    assert!((90_000..=100_000).contains(&ttl), "{ttl}");
    expect(&mut client, to, "a 9 1000 copy", "OK");
    expect(
        &mut client,
        to,
        "a 9 1000",
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.",
    );
    converse(&mut client, "> GET a\n\"1\"\n> SET a new\nOK");
    expect(&mut client, to, "a 9 1000 REPLACE Copy", "OK");
    converse(&mut redis, "> GET a\n\"new\"\n> DEL b c\n0");
    // One of them is there: it stays, the others go.
    expect(
        &mut client,
        to,
        "\"\" 9 1000 KEYS none b a c",
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.",
    );
    converse(&mut client, "> MGET a b c\n[\"new\" nil nil]");
    converse(&mut redis, "> MGET a b c\n[\"new\" \"2\" \"3\"]");
    // The key without a name.
    expect(&mut client, to, "\"\" 9 1000", "OK");
    converse(&mut redis, "> GET \"\"\n\"4\"");
    for (rest, expected) in [
        (
            "a 9 1000 KEYS b",
            "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
        ),
        ("a 9 1000 nope", "-ERR syntax error"),
        ("a 9 1000 AUTH", "-ERR syntax error"),
        ("a 9 1000 AUTH2 x", "-ERR syntax error"),
        ("a x 1000", "-ERR value is not an integer or out of range"),
        ("a 9 x", "-ERR value is not an integer or out of range"),
        ("a x y nope", "-ERR syntax error"),
        ("none x y", "-ERR value is not an integer or out of range"),
        ("a 99 1000", "-ERR Target instance replied with error: ERR DB index is out of range"),
        ("a", "-ERR wrong number of arguments for 'migrate' command"),
    ] {
        expect(&mut client, to, rest, expected);
    }
    converse(
        &mut client,
        r#"
        > GET a
        "new"
        > COMMAND GETKEYS MIGRATE h p "" 0 1 AUTH keys AUTH2 keys keys KEYS a b
        ["a" "b"]
        > COMMAND GETKEYS MIGRATE h p k 0 1
        ["k"]
        > COMMAND GETKEYS MIGRATE h p k 0 1 KEYS a
        -ERR Invalid arguments specified for command
        "#,
    );
}

#[test]
fn passwords_open_the_other_server_and_are_shown_to_nobody() {
    let (server, other) = (TestServer::tidegate(), TestServer::redis_with(&["--requirepass", "secret"]));
    let (mut client, to) = (server.client(), other.addr());
    let mut monitor = server.client();
    monitor.line("MONITOR");
    converse(&mut client, "> CONFIG SET slowlog-log-slower-than 0\nOK\n> MSET a 1 b 2 c 3\nOK");
    expect(
        &mut client,
        to,
        "a 0 1000",
        "-ERR Target instance replied with error: NOAUTH Authentication required.",
    );
    expect(
        &mut client,
        to,
        "a 0 1000 AUTH wrong",
        "-ERR Target instance replied with error: WRONGPASS invalid username-password pair or user is disabled.",
    );
    expect(&mut client, to, "a 0 1000 AUTH secret", "OK");
    expect(&mut client, to, "b 0 1000 AUTH2 default secret", "OK");
    let port = to.port();
    converse(
        &mut client,
        &format!(
            "> EVAL \"return redis.call('MIGRATE', '127.0.0.1', {port}, 'c', 0, 100, 'AUTH', ARGV[1])\" 0 secret\nOK"
        ),
    );
    client.line("SET last 1");
    // What a script is called with is shown, as it is by Redis.
    let without_script = |text: &str| text.replace("0\" \"secret\"", "");
    let slow = without_script(&show(&client.line("SLOWLOG GET 20")));
    assert!(!slow.contains("secret") && !slow.contains("wrong") && slow.contains("(redacted)"), "{slow}");
    let mut shown = String::new();
    while !shown.contains("last") {
        shown += &monitor.read().expect("a line").text();
    }
    let shown = without_script(&shown);
    assert!(!shown.contains("secret") && !shown.contains("wrong"), "{shown}");
    assert!(shown.contains("\"AUTH2\" \"(redacted)\" \"(redacted)\""), "{shown}");
}

#[test]
fn sockets_are_kept_and_replaced_when_they_were_closed() {
    let (server, other) = (TestServer::tidegate(), TestServer::redis());
    let mut client = server.client();
    let cached = |client: &mut RespClient| {
        let text = client.line("INFO stats").text();
        let line = text.lines().find_map(|line| line.strip_prefix("migrate_cached_sockets:"));
        line.map(str::to_owned)
    };
    assert_eq!(cached(&mut client).as_deref(), Some("0"));
    for db in [3, 3, 0, 3] {
        client.line("SET k v");
        expect(&mut client, other.addr(), &format!("k {db} 1000 REPLACE"), "OK");
        assert_eq!(cached(&mut client).as_deref(), Some("1"));
    }
    let mut redis = other.client();
    assert_eq!(redis.line("CLIENT KILL TYPE normal SKIPME yes"), Reply::Int(1), "one connection did it all");
    client.line("SET again v");
    expect(&mut client, other.addr(), "again 5 1000", "OK");
    converse(&mut redis, "> SELECT 5\nOK\n> GET again\n\"v\"");
}

/// Inside of MULTI and in scripts it is done when its turn comes.
#[test]
fn transactions_and_scripts_send_keys_at_once() {
    let (server, other) = (TestServer::tidegate(), TestServer::redis());
    let (mut client, port) = (server.client(), other.addr().port());
    converse(
        &mut client,
        &format!(
            r#"
            > MULTI
            OK
            > SET k v
            QUEUED
            > MIGRATE 127.0.0.1 {port} k 0 1000
            QUEUED
            > EXISTS k
            QUEUED
            > MIGRATE 127.0.0.1 {port} k 0 1000
            QUEUED
            > EXEC
            [OK OK 0 NOKEY]
            > SET s w
            OK
            > EVAL "return {{redis.call('MIGRATE', '127.0.0.1', '{port}', '', 0, 1000, 'KEYS', KEYS[1]), redis.call('EXISTS', KEYS[1])}}" 1 s
            [OK 0]
            > EVAL "return redis.call('MIGRATE', '127.0.0.1', '1', 'x', 0, 1000)" 0
            NOKEY
            "#
        ),
    );
    converse(&mut other.client(), "> MGET k s\n[\"v\" \"w\"]");
}

/// What became of a key is journaled as its deletion, and announced.
#[test]
fn what_has_moved_does_not_come_back() {
    let options = ["--appendonly", "yes", "--notify-keyspace-events", "Kg"];
    let (mut server, other) = (TestServer::tidegate_with(&options), TestServer::redis());
    let mut client = server.client();
    let mut listener = server.client();
    converse(&mut listener, "> PSUBSCRIBE __key*\n[\"psubscribe\" \"__key*\" 1]");
    converse(&mut client, "> MSET a 1 b 2 c 3\nOK\n> WATCH b\nOK");
    expect(&mut server.client(), other.addr(), "\"\" 0 1000 KEYS a none b", "OK");
    converse(&mut client, "> MULTI\nOK\n> GET b\nQUEUED\n> EXEC\nnil");
    for key in ["a", "b"] {
        let push = listener.read().expect("an event");
        let Reply::Array(words) = push else { panic!("{push:?}") };
        assert_eq!((words[2].text(), words[3].text()), (format!("__keyspace@0__:{key}"), "del".to_owned()));
    }
    drop((client, listener));
    server.restart().expect("it starts again");
    converse(&mut server.client(), "> MGET a b c\n[nil nil \"3\"]");
}

/// A server that says what it is told to, to one connection after the other.
struct Fake {
    addr: SocketAddr,
    /// Bytes that came, with the number of their connection.
    came: Receiver<(usize, Vec<u8>)>,
    /// What to say next; `None` closes the connection.
    say: Sender<Option<&'static str>>,
}

impl Fake {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (came_in, came) = channel();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let mut reader: TcpStream = stream.try_clone().expect("a descriptor");
                let came_in: Sender<(usize, Vec<u8>)> = came_in.clone();
                std::thread::spawn(move || {
                    let mut room = [0; 4096];
                    while let Ok(n @ 1..) = reader.read(&mut room) {
                        let _ = came_in.send((number, room[..n].to_vec()));
                    }
                });
                while let Ok(Some(text)) = said.recv() {
                    let text: &'static str = text;
                    if stream.write_all(text.as_bytes()).is_err() {
                        break;
                    }
                }
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        Fake { addr, came, say }
    }

    fn say(&self, text: &'static str) {
        self.say.send(Some(text)).expect("it listens");
    }

    fn close(&self) {
        self.say.send(None).expect("it listens");
    }

    /// Waits until this has come on a connection; tells on which.
    fn wait_for(&self, text: &str) -> usize {
        let mut all = Vec::new();
        loop {
            let (number, bytes) = self.came.recv_timeout(PATIENCE).expect("something comes");
            all.extend(bytes);
            if String::from_utf8_lossy(&all).contains(text) {
                return number;
            }
        }
    }
}

#[test]
fn who_does_not_answer_gets_nothing() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(&mut client, "> MSET a 1 b 2 c 3\nOK");
    let silent = Fake::start();
    expect(&mut client, silent.addr, "a 0 100", "-IOERR error or timeout reading to target instance");
    silent.wait_for("RESTORE");
    converse(&mut client, "> MGET a b c\n[\"1\" \"2\" \"3\"]");
    // Closed without an answer: once more on a new connection.
    let closing = Fake::start();
    closing.close();
    closing.close();
    expect(&mut client, closing.addr, "a 0 1000", "-IOERR error or timeout reading to target instance");
    let refused = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    expect(&mut client, refused, "a 0 1000", "-IOERR error or timeout connecting to the client");
    // An answer to one of three keys, then nothing: that one has moved.
    let short = Fake::start();
    short.say("+OK\r\n+OK\r\n");
    short.close();
    expect(
        &mut client,
        short.addr,
        "\"\" 0 1000 KEYS a b c",
        "-IOERR error or timeout reading to target instance",
    );
    converse(&mut client, "> MGET a b c\n[nil \"2\" \"3\"]");
}

/// Nobody else stands still while a key is sent; who names it waits, and what changes it all the same is not lost.
#[test]
fn only_who_names_the_key_waits() {
    if is_redis() {
        return;
    }
    let server = TestServer::tidegate_with(&DEBUG);
    let (mut client, mut other) = (server.client(), server.client());
    converse(&mut client, "> MSET a 1 b 2 c 3 d 4\nOK");
    let fake = Fake::start();
    let (ip, port) = (fake.addr.ip().to_string(), fake.addr.port().to_string());
    client.send(&["MIGRATE", &ip, &port, "", "0", "60000", "KEYS", "a", "b", "c", "d"]).expect("it is sent");
    fake.wait_for("RESTORE");
    let mut writer = server.client();
    writer.send(&["APPEND", "a", "x"]).expect("it is sent");
    let mut multi = server.client();
    converse(&mut multi, "> MULTI\nOK\n> GET b\nQUEUED");
    multi.send(&["EXEC"]).expect("it is sent");
    let mut script = server.client();
    script.send(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "b"]).expect("it is sent");
    for _ in 0..20 {
        converse(&mut other, "> SET free 1\nOK\n> GET free\n\"1\"\n> INCR n\n...");
    }
    for waiting in [&mut writer, &mut multi, &mut script] {
        waiting.set_reply_limit(Duration::from_millis(30)).expect("a limit");
        assert!(waiting.read().is_err(), "it waits");
        waiting.set_reply_limit(PATIENCE).expect("a limit");
    }
    // Nobody can tell which keys a script will want.
    converse(&mut other, "> EVAL \"return redis.call('APPEND', 'c', 'x')\" 0\n2\n> DBSIZE\n6");
    converse(&mut other, "> EVAL \"return redis.call('DEL', 'd')\" 0\n1");
    fake.say("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    let reply = show(&client.read().expect("an answer"));
    assert!(reply.contains("A key changed while it was sent"), "{reply}");
    assert_eq!(writer.read().expect("an answer"), Reply::Int(1), "the key had gone before");
    assert_eq!(multi.read().expect("an answer"), Reply::Array(vec![Reply::Null]));
    assert_eq!(script.read().expect("an answer"), Reply::Null);
    converse(&mut other, "> MGET a b c d\n[\"x\" nil \"3x\" nil]");
}

#[test]
fn who_waits_for_time_to_pass_is_let_in_again() {
    let server = TestServer::tidegate();
    let (mut client, mut other) = (server.client(), server.client());
    converse(&mut client, "> SET k 1\nOK");
    let fake = Fake::start();
    let (ip, port) = (fake.addr.ip().to_string(), fake.addr.port().to_string());
    client.send(&["MIGRATE", &ip, &port, "k", "0", "300"]).expect("it is sent");
    fake.wait_for("RESTORE");
    converse(&mut other, "> INCR k\n2");
    assert!(show(&client.read().expect("an answer")).starts_with("-IOERR"));
    converse(&mut other, "> INCR k\n3");
}

/// What was sent is deleted although nobody hears of it any more.
#[test]
fn a_client_that_leaves_does_not_stop_its_keys() {
    let server = TestServer::tidegate();
    let mut other = server.client();
    converse(&mut other, "> MSET k 1 l 2\nOK");
    let fake = Fake::start();
    let (ip, port) = (fake.addr.ip().to_string(), fake.addr.port().to_string());
    let mut client = server.client();
    client.send(&["MIGRATE", &ip, &port, "k", "0", "10000"]).expect("it is sent");
    fake.wait_for("RESTORE");
    drop(client);
    fake.say("+OK\r\n+OK\r\n");
    assert!(wait_until(PATIENCE, || other.line("EXISTS k") == Reply::Int(0)));
    converse(&mut other, "> GET l\n\"2\"");
}
