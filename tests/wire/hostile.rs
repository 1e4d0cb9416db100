//! Clients that would hurt others if they could: what they may take is bounded, and what is told about memory is true.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// The command that adds one more element.
type Filler = fn(usize) -> Vec<String>;

/// One number from INFO.
fn info(client: &mut RespClient, field: &str) -> u64 {
    let text = client.line("INFO all").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in\n{text}"))
}

#[test]
fn many_clients_that_never_read_cannot_take_more_than_is_allowed() {
    let mut server = TestServer::tidegate_with(&["--maxmemory-clients", "32mb"]);
    let mut watcher = server.client();
    assert_eq!(watcher.line("CLIENT NO-EVICT on").text(), "OK");
    assert_eq!(watcher.call(&[&b"SET"[..], b"big", &vec![b'v'; 100_000]]).text(), "OK");
    let before = server.peak_size();
    // 50 clients ask for 20 MB each and read nothing: a gigabyte.
    let mut greedy: Vec<RespClient> = (0..50).map(|_| server.client()).collect();
    for client in &mut greedy {
        client.set_write_limit(PATIENCE).expect("connected");
        let _ = client.send_raw(&b"GET big\r\n".repeat(200));
        assert_eq!(watcher.line("STRLEN big"), Reply::Int(100_000));
    }
    assert!(
        wait_until(PATIENCE, || info(&mut watcher, "evicted_clients") > 10),
        "{}",
        watcher.line("INFO clients").text()
    );
    let used: u64 = watcher
        .line("CLIENT LIST")
        .text()
        .lines()
        .filter_map(|line| line.split(" tot-mem=").nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(used < 32 * MIB, "{used} bytes of clients");
    let grown = server.peak_size() - before;
    // What was freed stays with the allocator for a moment, and each thread frees what it has to in its own time.
    assert!(grown < 160 * MIB, "clients that may have 32 MiB made the server grow by {grown} bytes");
    assert!(server.is_alive());
}

#[test]
fn idle_connections_cost_little() {
    let server = TestServer::tidegate();
    let mut watcher = server.client();
    let mut warm: Vec<RespClient> = (0..100).map(|_| server.client()).collect();
    assert!(warm.iter_mut().all(|client| client.line("PING").text() == "PONG"));
    let before = info(&mut watcher, "used_memory");
    let mut idle: Vec<RespClient> = (0..400).map(|_| server.client()).collect();
    assert!(idle.iter_mut().all(|client| client.line("PING").text() == "PONG"));
    let each = (info(&mut watcher, "used_memory") - before) / 400;
    assert!(each < 4096, "{each} bytes for an idle connection");
    // What CLIENT LIST says of them is what they took.
    let list = watcher.line("CLIENT LIST").text();
    let last = list.lines().last().expect("there are many");
    let shown: u64 = last
        .split(" tot-mem=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .expect("a number");
    assert!(shown > each / 3, "{shown} bytes are shown, {each} were taken");
}

#[test]
fn what_a_key_occupies_is_what_it_takes() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let fillers: [(&str, Filler); 6] = [
        ("string", |_| vec!["APPEND".into(), "string".into(), "x".repeat(1000)]),
        ("list", |n| vec!["RPUSH".into(), "list".into(), format!("element {n} {}", "x".repeat(n % 90))]),
        ("set", |n| vec!["SADD".into(), "set".into(), format!("member {n} {}", "x".repeat(n % 90))]),
        ("hash", |n| vec!["HSET".into(), "hash".into(), format!("field {n}"), "x".repeat(n % 90)]),
        ("zset", |n| {
            vec!["ZADD".into(), "zset".into(), n.to_string(), format!("member {n} {}", "x".repeat(n % 90))]
        }),
        ("stream", |n| vec!["XADD".into(), "stream".into(), "*".into(), "field".into(), "x".repeat(n % 90)]),
    ];
    for (key, fill) in fillers {
        let before = info(&mut client, "used_memory");
        for n in 0..20_000 {
            assert!(client.call(&fill(n)).error().is_none());
        }
        let taken = info(&mut client, "used_memory").saturating_sub(before) as f64;
        let told = client.line(&format!("MEMORY USAGE {key} SAMPLES 5")).int().expect("a number") as f64;
        assert!((told / taken - 1.0).abs() < 0.03, "MEMORY USAGE {key}: {told}, taken: {taken}");
        assert_eq!(client.line(&format!("MEMORY USAGE {key}")).int().map(|bytes| bytes as f64), Some(told));
        assert_eq!(client.line(&format!("UNLINK {key}")), Reply::Int(1));
        let is_freed = wait_until(PATIENCE, || info(&mut client, "lazyfree_pending_objects") == 0);
        assert!(is_freed);
    }
}
