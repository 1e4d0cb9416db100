//! Connections that see, stop, and wait for each other.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::check;

const PATIENCE: Duration = Duration::from_secs(20);

/// One field of the line of `CLIENT LIST` about `id`.
fn field(client: &mut RespClient, id: i64, name: &str) -> String {
    let line = client.line(&format!("CLIENT LIST ID {id}")).text();
    let found = line.split([' ', '\n']).find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.map(str::to_owned).unwrap_or_default()
}

fn id(client: &mut RespClient) -> i64 {
    client.line("CLIENT ID").int().expect("an id")
}

fn wait_for_flag(client: &mut RespClient, id: i64, flag: char) {
    let seen = wait_until(PATIENCE, || field(client, id, "flags").contains(flag));
    assert!(seen, "no {flag} in {}", field(client, id, "flags"));
}

#[test]
fn the_list_has_redis_fields_in_redis_order() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let line = client.line("CLIENT LIST").text();
    let names: Vec<&str> =
        line.split_whitespace().map(|field| field.split_once('=').expect("name=value").0).collect();
    let expected = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs \
                    rbp obl oll omem tot-mem events cmd user redir resp";
    assert_eq!(names[..28], expected.split(' ').collect::<Vec<_>>());
    for expected in [
        " flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=26 ",
        " argv-mem=10 multi-mem=0 ",
        " obl=0 oll=0 omem=0 ",
        " events=r cmd=client|list user=default redir=-1 resp=2",
    ] {
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn the_list_shows_what_others_are_doing() {
    let server = TestServer::tidegate();
    let (mut watcher, mut other) = (server.client(), server.client());
    let id = id(&mut other);
    assert_eq!(field(&mut watcher, id, "cmd"), "client|id");
    for command in ["SELECT 3", "HELLO 3", "WATCH a", "MULTI", "SET a 1"] {
        other.line(command);
    }
    assert_eq!(field(&mut watcher, id, "flags"), "x");
    assert_eq!(field(&mut watcher, id, "multi"), "1");
    assert_eq!(field(&mut watcher, id, "db"), "3");
    assert_eq!(field(&mut watcher, id, "resp"), "3");
    assert_eq!(field(&mut watcher, id, "cmd"), "set");
    watcher.line("SELECT 3");
    watcher.line("SET a 2");
    assert_eq!(field(&mut watcher, id, "flags"), "xd");
    assert_eq!(other.line("EXEC"), Reply::Null);
    assert_eq!(field(&mut watcher, id, "flags"), "N");
    other.line("NOSUCH");
    assert_eq!(field(&mut watcher, id, "cmd"), "NULL");
    let mut unix = server.unix_client();
    let unix_id = unix.line("CLIENT ID").int().expect("an id");
    assert_eq!(field(&mut watcher, unix_id, "flags"), "U");
    assert!(watcher.line(&format!("CLIENT LIST ID 999999 {id} {unix_id}")).text().lines().count() == 2);
}

#[test]
fn killing_by_filters() {
    let server = TestServer::tidegate();
    let (mut one, mut two, mut three) = (server.client(), server.client(), server.client());
    let (two_id, three_id) = (id(&mut two), id(&mut three));
    let addr = field(&mut one, two_id, "addr");
    let laddr = field(&mut one, two_id, "laddr");
    assert_eq!(one.line(&format!("CLIENT KILL ADDR {addr} ID {three_id}")), Reply::Int(0));
    assert_eq!(one.line(&format!("CLIENT KILL {addr}")).text(), "OK");
    assert_eq!(one.line("CLIENT LIST").text().lines().count(), 2, "killed is gone at once");
    assert_eq!(two.read_to_end().expect("closed"), b"");
    assert_eq!(one.line(&format!("CLIENT KILL LADDR {laddr} USER default TYPE normal")), Reply::Int(1));
    assert_eq!(three.read_to_end().expect("closed"), b"");
    let mut four = server.client();
    assert_eq!(four.line("PING").text(), "PONG");
    assert_eq!(one.line("CLIENT KILL SKIPME no"), Reply::Int(2));
    assert_eq!(one.read_to_end().expect("it killed itself, after the reply"), b"");
    assert_eq!(four.read_to_end().expect("closed"), b"");
}

#[test]
fn a_pause_of_writes_lets_reads_through() {
    let server = TestServer::tidegate();
    let (mut admin, mut writer) = (server.client(), server.client());
    let id = id(&mut writer);
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE").text(), "OK");
    assert_eq!(writer.line("GET a"), Reply::Null);
    writer.send(&["SET", "a", "1"]).expect("connected");
    writer.send(&["GET", "a"]).expect("connected");
    wait_for_flag(&mut admin, id, 'b');
    assert_eq!(admin.line("GET a"), Reply::Null);
    assert_eq!(admin.line("CLIENT UNPAUSE").text(), "OK");
    assert_eq!(writer.read().expect("the SET went on").text(), "OK");
    assert_eq!(writer.read().expect("what came after it too").text(), "1");
    assert_eq!(field(&mut admin, id, "flags"), "N");
}

#[test]
fn a_pause_is_for_transactions_that_write() {
    let server = TestServer::tidegate();
    let (mut admin, mut reader, mut writer) = (server.client(), server.client(), server.client());
    let id = id(&mut writer);
    for command in ["MULTI", "SET a 1"] {
        writer.line(command);
    }
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE").text(), "OK");
    for command in ["MULTI", "GET a", "PING"] {
        reader.line(command);
    }
    assert_eq!(reader.line("EXEC"), Reply::Array(vec![Reply::Null, Reply::Simple(b"PONG".to_vec())]));
    writer.send(&["EXEC"]).expect("connected");
    wait_for_flag(&mut admin, id, 'b');
    assert_eq!(admin.line("CLIENT UNPAUSE").text(), "OK");
    assert_eq!(writer.read().expect("executed").items().map(<[_]>::len), Some(1));
}

#[test]
fn a_pause_ends_by_itself() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    assert_eq!(client.line("CLIENT PAUSE 30 ALL").text(), "OK");
    assert_eq!(client.line("SET a 1").text(), "OK");
    assert_eq!(client.line("CLIENT PAUSE 0").text(), "OK");
    assert_eq!(client.line("GET a").text(), "1");
}

/// A command of Redis 7.2.
#[test]
fn waiting_for_files_that_are_not_there() {
    check(
        r#"
        > WAITAOF 0 0 0
        [0 0]
        > WAITAOF 0 1 20
        [0 0]
        > WAITAOF 1 0 20
        -ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
        > WAITAOF x 0 0
        -ERR value is not an integer or out of range
        > WAITAOF 2 0 0
        -ERR value is out of range, value must between 0 and 1
        > WAITAOF 0 -1 0
        -ERR value is out of range, must be positive
        > WAITAOF 0 0 -1
        -ERR timeout is negative
        > MULTI
        OK
        > WAITAOF 0 1 0
        QUEUED
        > EXEC
        [[0 0]]
        "#,
    );
}

#[test]
fn waiting_for_replicas_that_are_not_there() {
    let server = TestServer::tidegate();
    let (mut admin, mut waiter) = (server.client(), server.client());
    let id = id(&mut waiter);
    assert_eq!(waiter.line("WAIT 0 0"), Reply::Int(0));
    assert_eq!(waiter.line("WAIT 1 20"), Reply::Int(0));
    waiter.send(&["WAIT", "1", "0"]).expect("connected");
    wait_for_flag(&mut admin, id, 'b');
    assert_eq!(admin.line(&format!("CLIENT UNBLOCK {id}")), Reply::Int(1));
    assert_eq!(waiter.read().expect("let go"), Reply::Int(0));
    assert_eq!(admin.line(&format!("CLIENT UNBLOCK {id}")), Reply::Int(0));
    waiter.send(&["WAIT", "1", "0"]).expect("connected");
    wait_for_flag(&mut admin, id, 'b');
    assert_eq!(admin.line(&format!("CLIENT UNBLOCK {id} ERROR")), Reply::Int(1));
    let error = waiter.read().expect("let go").error().expect("an error");
    assert_eq!(error, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    check(
        r#"
        > WAIT a 0
        -ERR value is not an integer or out of range
        > WAIT 1 a
        -ERR timeout is not an integer or out of range
        > WAIT 1 -1
        -ERR timeout is negative
        > MULTI
        OK
        > WAIT 1 0
        QUEUED
        > EXEC
        [0]
        > READONLY
        -ERR This instance has cluster support disabled
        > READWRITE
        -ERR This instance has cluster support disabled
        > ACL WHOAMI
        "default"
        > ACL CAT nosuch
        -ERR Unknown category 'nosuch'
        > CLIENT NO-TOUCH x y
        -ERR ...
        "#,
    );
}

#[test]
fn a_peer_that_has_said_everything_still_gets_every_reply() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let value = vec![b'v'; 100_000];
    assert_eq!(client.call(&[&b"SET"[..], b"big", &value]).text(), "OK");
    let mut one_way = server.client();
    one_way.send_raw(b"PING\r\nECHO hi\r\n").expect("connected");
    one_way.close_sending().expect("connected");
    assert_eq!(one_way.read_to_end().expect("answered and closed"), b"+PONG\r\n$2\r\nhi\r\n");
}

#[test]
fn silence_can_be_skipped_or_reset() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for command in ["CLIENT REPLY SKIP", "CLIENT REPLY ON"] {
        client.send(&command.split(' ').collect::<Vec<_>>()).expect("connected");
    }
    assert_eq!(client.read().expect("ON is answered even when skipped").text(), "OK");
    for command in ["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "PING", "RESET", "ECHO x"] {
        client.send(&command.split(' ').collect::<Vec<_>>()).expect("connected");
    }
    assert_eq!(client.read().expect("RESET ends the silence").text(), "RESET");
    assert_eq!(client.read().expect("answered").text(), "x");
}

#[test]
fn a_pipeline_with_too_large_replies_gets_none_of_them() {
    let server = TestServer::tidegate_with(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut client = server.client();
    let value = vec![b'v'; 60_000];
    assert_eq!(client.call(&[&b"SET"[..], b"big", &value]).text(), "OK");
    assert_eq!(client.line("GET big").bytes().map(<[u8]>::len), Some(60_000));
    client.send_raw(b"PING\r\nGET big\r\nGET big\r\nGET big\r\n").expect("connected");
    assert_eq!(client.read_to_end().expect("closed"), b"");
    // The connection is closed before it leaves the list.
    let mut other = server.client();
    let is_alone = || other.line("CLIENT LIST").text().lines().count() == 1;
    assert!(wait_until(Duration::from_secs(5), is_alone));
}

#[test]
fn who_has_not_authenticated_must_read() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    let mut client = server.client();
    client.send_raw(&b"PING\r\n".repeat(2000)).expect("connected");
    // Closing with unread input may reset the connection.
    assert_eq!(client.read_to_end().unwrap_or_default(), b"");
}

/// A connection that asked for 64 MB and reads nothing of it.
fn stuck(server: &TestServer) -> RespClient {
    let value = vec![b'v'; 1 << 20];
    assert_eq!(server.client().call(&[&b"SET"[..], b"big", &value]).text(), "OK");
    let mut client = server.client();
    client.send_raw(&b"GET big\r\n".repeat(64)).expect("connected");
    client
}

#[test]
fn a_soft_limit_closes_who_stays_above_it() {
    let server = TestServer::tidegate_with(&["--client-output-buffer-limit", "normal 0 1mb 1"]);
    let mut stuck = stuck(&server);
    let mut watcher = server.client();
    assert_eq!(stuck.read().expect("the first").bytes().map(<[u8]>::len), Some(1 << 20));
    let gone = || watcher.line("CLIENT LIST").text().lines().count() == 1;
    assert!(wait_until(PATIENCE, gone), "nobody closed the connection");
}

#[test]
fn a_connection_is_killed_in_the_middle_of_its_output() {
    let server = TestServer::tidegate();
    let mut stuck = stuck(&server);
    let mut killer = server.client();
    // And whoever set the value is gone.
    let waiting = || {
        let list = killer.line("CLIENT LIST").text();
        list.lines().count() == 2 && list.lines().any(|line| !line.contains(" omem=0 "))
    };
    assert!(wait_until(PATIENCE, waiting), "all output was taken");
    assert_eq!(killer.line("CLIENT KILL TYPE normal"), Reply::Int(1));
    assert_eq!(killer.line("CLIENT LIST").text().lines().count(), 1);
    let got = stuck.read_to_end().unwrap_or_default();
    assert!(got.len() < 64 << 20, "all {} bytes came", got.len());
}
