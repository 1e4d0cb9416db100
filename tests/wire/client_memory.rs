//! What connections occupy: shown truly, limited each by itself and all together.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

/// One number from INFO.
pub(crate) fn info(client: &mut RespClient, field: &str) -> usize {
    let text = client.line("INFO all").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in\n{text}"))
}

/// A figure of another connection, `None` when that is gone.
pub(crate) fn figure(client: &mut RespClient, name: &str, field: &str) -> Option<usize> {
    let list = client.line("CLIENT LIST").text();
    let line = list.lines().find(|line| line.contains(&format!(" name={name} ")))?;
    let word = line.split(' ').find_map(|word| word.strip_prefix(&format!("{field}=")))?;
    Some(word.parse().expect("a number"))
}

fn named(server: &TestServer, name: &str) -> RespClient {
    let mut client = server.client();
    client.set_write_limit(PATIENCE).expect("connected");
    assert_eq!(client.line(&format!("CLIENT SETNAME {name}")).text(), "OK");
    client
}

/// Leaves an argument of `len` bytes unfinished.
fn leave_unfinished(client: &mut RespClient, len: usize) {
    let request = [format!("*2\r\n$3\r\nGET\r\n${len}\r\n").as_bytes(), &vec![b'x'; len - 10]].concat();
    client.send_raw(&request).expect("connected");
}

pub(crate) fn waits_for(client: &mut RespClient, name: &str, field: &str, least: usize) {
    let grew = wait_until(PATIENCE, || figure(client, name, field).is_some_and(|present| present >= least));
    assert!(grew, "{field} of {name} stays below {least}:\n{}", client.line("CLIENT LIST").text());
}

#[test]
fn the_list_shows_where_memory_is() {
    let server = TestServer::tidegate();
    let mut watcher = server.client();
    let mut other = named(&server, "other");
    let idle = figure(&mut watcher, "other", "tot-mem").expect("connected");
    assert!(idle < 4096, "an idle connection occupies {idle} bytes");
    // Half of a request: what was decoded of it, what was not, and room for no more than the rest.
    leave_unfinished(&mut other, MIB);
    waits_for(&mut watcher, "other", "qbuf", MIB - 10);
    assert_eq!(figure(&mut watcher, "other", "qbuf"), Some(MIB - 10));
    assert_eq!(figure(&mut watcher, "other", "qbuf-free"), Some(12));
    let total = figure(&mut watcher, "other", "tot-mem").expect("connected");
    assert!((MIB..MIB + 4096).contains(&total), "{total}");
    other.send_raw(b"xxxxxxxxxx\r\n").expect("connected");
    assert_eq!(other.read().expect("answered"), Reply::Null);
    // All of it is given back.
    let is_back = wait_until(PATIENCE, || figure(&mut watcher, "other", "tot-mem") == Some(idle));
    assert!(is_back, "{}", watcher.line("CLIENT LIST").text());
    // A transaction.
    assert_eq!(other.line("MULTI").text(), "OK");
    assert_eq!(other.call(&[&b"SET"[..], b"k", &vec![b'v'; 500_000]]).text(), "QUEUED");
    let queued = figure(&mut watcher, "other", "multi-mem").expect("connected");
    assert!((500_000..510_000).contains(&queued), "{queued}");
    assert_eq!(other.line("DISCARD").text(), "OK");
    assert_eq!(figure(&mut watcher, "other", "multi-mem"), Some(0));
    // Names.
    for number in 0..100 {
        assert_eq!(other.line(&format!("WATCH key:{number}")).text(), "OK");
    }
    let watching = figure(&mut watcher, "other", "tot-mem").expect("connected");
    assert!((idle + 10_000..idle + 20_000).contains(&watching), "{watching}");
    assert_eq!(other.line("UNWATCH").text(), "OK");
    assert_eq!(other.line("HELLO 3").kind(), "map");
    for number in 0..100 {
        other.line(&format!("SUBSCRIBE channel:{number}"));
    }
    let listening = figure(&mut watcher, "other", "tot-mem").expect("connected");
    assert!((idle + 5_000..idle + 20_000).contains(&listening), "{listening}");
    assert_eq!(other.line("RESET").text(), "RESET");
    assert_eq!(other.line("CLIENT SETNAME other").text(), "OK");
    assert_eq!(figure(&mut watcher, "other", "tot-mem"), Some(idle));
}

#[test]
fn the_largest_connections_go_when_all_together_are_too_large() {
    let server = TestServer::tidegate_with(&["--maxmemory-clients", "4mb"]);
    let mut watcher = server.client();
    let mut small = named(&server, "small");
    let mut medium = named(&server, "medium");
    leave_unfinished(&mut medium, MIB);
    waits_for(&mut watcher, "medium", "tot-mem", MIB);
    let mut large = named(&server, "large");
    leave_unfinished(&mut large, 5 * MIB / 2);
    waits_for(&mut watcher, "large", "tot-mem", 2 * MIB);
    let mut last = named(&server, "last");
    leave_unfinished(&mut last, 5 * MIB / 8);
    let evicted = wait_until(PATIENCE, || figure(&mut watcher, "large", "tot-mem").is_none());
    assert!(evicted, "{}", watcher.line("CLIENT LIST").text());
    assert!(large.read_to_end().expect("closed").is_empty());
    assert_eq!(info(&mut watcher, "evicted_clients"), 1);
    assert_eq!(small.line("PING").text(), "PONG");
    assert!(figure(&mut watcher, "medium", "tot-mem").is_some());
    let log = server.log();
    let line =
        log.lines().find(|line| line.contains(" * Evicting client: id=")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" name=large ") && line.contains(" tot-mem="), "{line}");
    // Lower, and it is the next one's turn.
    assert_eq!(watcher.line("CONFIG SET maxmemory-clients 900kb").text(), "OK");
    let list = watcher.line("CLIENT LIST").text();
    assert!(
        !list.contains("name=medium") && list.contains("name=last") && list.contains("name=small"),
        "{list}"
    );
    assert_eq!(watcher.line("CONFIG RESETSTAT").text(), "OK");
    assert_eq!(info(&mut watcher, "evicted_clients"), 0);
}

#[test]
fn who_may_not_be_evicted_is_not() {
    let server = TestServer::tidegate_with(&["--maxmemory-clients", "2mb"]);
    let mut watcher = server.client();
    assert_eq!(watcher.line("CLIENT NO-EVICT on").text(), "OK");
    let mut exempt = named(&server, "exempt");
    assert_eq!(exempt.line("CLIENT NO-EVICT on").text(), "OK");
    assert_eq!(exempt.line("MULTI").text(), "OK");
    for _ in 0..4 {
        assert_eq!(exempt.call(&[&b"SET"[..], b"k", &vec![b'v'; MIB]]).text(), "QUEUED");
    }
    assert!(figure(&mut watcher, "exempt", "tot-mem").is_some_and(|total| total > 4 * MIB));
    // Its memory counts, so others have to go: those who may.
    let mut other = server.client();
    assert!(other.send_raw(b"PING\r\n").is_ok());
    assert!(other.read_to_end().is_ok_and(|rest| rest.is_empty()));
    assert!(server.log().contains("Over client maxmemory after evicting all evictable clients"));
    assert!(matches!(exempt.line("EXEC"), Reply::Array(replies) if replies.len() == 4));
    assert_eq!(server.client().line("PING").text(), "PONG");
    assert_eq!(exempt.line("CLIENT NO-EVICT off").text(), "OK");
}

#[test]
fn the_limit_may_be_a_share_of_maxmemory() {
    let server = TestServer::tidegate();
    let mut watcher = server.client();
    assert_eq!(watcher.line("CONFIG SET maxmemory-clients 10%").text(), "OK");
    let mut other = named(&server, "other");
    leave_unfinished(&mut other, 2 * MIB);
    waits_for(&mut watcher, "other", "tot-mem", 2 * MIB - 10);
    // A share of no limit is none.
    assert_eq!(watcher.line("CONFIG SET maxmemory 100mb").text(), "OK");
    assert!(figure(&mut watcher, "other", "tot-mem").is_some());
    assert_eq!(watcher.line("CONFIG SET maxmemory 15mb").text(), "OK");
    assert!(figure(&mut watcher, "other", "tot-mem").is_none());
    assert_eq!(
        watcher.line("CONFIG GET maxmemory-clients").items().map(|pair| pair[1].text()),
        Some("10%".into())
    );
}

#[test]
fn output_that_others_cause_counts() {
    let server = TestServer::tidegate_with(&[
        "--maxmemory-clients",
        "6mb",
        "--client-output-buffer-limit",
        "pubsub 0 0 0",
    ]);
    let (mut publisher, mut slow) = (server.client(), named(&server, "slow"));
    assert!(slow.line("SUBSCRIBE news").items().is_some());
    let message = vec![b'm'; 100_000];
    let evicted = (0..1000).any(|_| publisher.call(&[&b"PUBLISH"[..], b"news", &message]) == Reply::Int(0));
    assert!(evicted, "{}", publisher.line("CLIENT LIST").text());
    assert!(server.log().contains("Evicting client: id="));
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let server = TestServer::tidegate_with(&["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let (mut busy, mut monitor) = (server.client(), named(&server, "monitor"));
    assert_eq!(monitor.line("MONITOR").text(), "OK");
    let value = vec![b'v'; 10_000];
    let closed = (0..2000).any(|_| {
        assert_eq!(busy.call(&[&b"SET"[..], b"k", &value]).text(), "OK");
        figure(&mut busy, "monitor", "omem").is_none()
    });
    assert!(closed, "{}", busy.line("CLIENT LIST").text());
    let log = server.log();
    let closing = |line: &&str| line.contains(" # Client id=") && line.contains(" name=monitor ");
    let line = log.lines().find(closing).unwrap_or_else(|| panic!("{log}"));
    assert!(line.ends_with(" scheduled to be closed ASAP for overcoming of output buffer limits."), "{line}");
}
