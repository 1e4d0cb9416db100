//! `maxmemory`: what is evicted, who hears of it, and what is refused when nothing may go.

use std::time::Duration;

use tidegate_tests::clock::{self, wait_until};
use tidegate_tests::resp::{Reply, RespClient, encode_command, simple};
use tidegate_tests::server::TestServer;

use crate::transcript::{converse, show};

const PATIENCE: Duration = Duration::from_secs(20);
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

fn info(client: &mut RespClient, section: &str, name: &str) -> u64 {
    let text = client.line(&format!("INFO {section}")).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

fn used(client: &mut RespClient) -> u64 {
    info(client, "memory", "used_memory")
}

fn set(client: &mut RespClient, name: &str, value: impl std::fmt::Display) {
    assert_eq!(client.line(&format!("CONFIG SET {name} {value}")), simple("OK"), "{name} {value}");
}

fn is_tidegate() -> bool {
    !std::env::var("TIDEGATE_BIN").unwrap_or_default().contains("redis-server")
}

/// Keys of a kilobyte until memory is full twice over.
fn fill(client: &mut RespClient, limit: u64, suffix: &str) -> u64 {
    let value = "x".repeat(1000);
    let keys = (2 * limit / 1000).next_multiple_of(100);
    for first in (0..keys).step_by(100) {
        let commands = (first..first + 100).map(|key| format!("SET key:{key} {value}{suffix}"));
        for command in commands {
            client.line(&command);
        }
        let now = used(client);
        assert!(now < limit + limit / 50 + (1 << 17), "{now} of {limit}");
    }
    keys
}

#[test]
fn every_policy_keeps_memory_to_its_limit() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let mut policies = vec![
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ];
    if is_tidegate() {
        policies.extend(["allkeys-lrm", "volatile-lrm", "allkeys-s3fifo"]);
    }
    for policy in policies {
        client.line("FLUSHALL");
        let limit = used(&mut client) + (1 << 20);
        set(&mut client, "maxmemory-policy", policy);
        set(&mut client, "maxmemory", limit);
        client.line("CONFIG RESETSTAT");
        client.line("SET forever x");
        let suffix = if policy.starts_with("volatile") { " EX 1000" } else { "" };
        let keys = fill(&mut client, limit, suffix);
        // From here on nothing goes any more.
        set(&mut client, "maxmemory", 0);
        let kept = client.line("DBSIZE").int().expect("a number") as u64;
        let evicted = info(&mut client, "stats", "evicted_keys");
        assert_eq!(evicted + kept, keys + 1, "{policy}: each key is there or was evicted");
        assert!(kept > 300, "{policy}: {kept} keys of 1 KB in 1 MB");
        if policy.starts_with("volatile") {
            assert_eq!(client.line("EXISTS forever"), Reply::Int(1), "{policy}");
        }
    }
}

#[test]
fn what_needs_memory_is_refused_when_nothing_may_go() {
    let began = clock::now();
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(
        &mut client,
        r##"
        > SET k v
        OK
        > RPUSH l 1 2 3
        3
        > CONFIG SET maxmemory 1
        OK
        > SET k w
        -OOM command not allowed when used memory > 'maxmemory'.
        > GET k
        "v"
        > DEL nosuch
        0
        > LPOP l
        "1"
        > LPUSH l 1
        -OOM command not allowed when used memory > 'maxmemory'.
        > MULTI
        OK
        > GET k
        -OOM command not allowed when used memory > 'maxmemory'.
        > DISCARD
        OK
        > EVAL "return redis.call('set', KEYS[1], 'w')" 1 k
        -OOM command not allowed when used memory > 'maxmemory'. script: ...
        > EVAL "redis.call('del', KEYS[1]); return redis.call('set', KEYS[1], 'w')" 1 k
        OK
        > EVAL "#!lua\nreturn redis.call('get', KEYS[1])" 1 k
        -OOM command not allowed when used memory > 'maxmemory'.
        > EVAL "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'x')" 1 k
        OK
        > EVAL "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])" 1 k
        "x"
        > CONFIG SET maxmemory-policy volatile-lru
        OK
        > SET k y
        -OOM command not allowed when used memory > 'maxmemory'.
        > EXPIRE k 100
        1
        > GET k
        nil
        > SET k y
        -OOM command not allowed when used memory > 'maxmemory'.
        > CONFIG SET maxmemory 0
        OK
        > SET k y
        OK
        "##,
    );
    // In this order: while the limit is exceeded, both grow.
    let (present, total) = (
        info(&mut client, "stats", "current_eviction_exceeded_time"),
        info(&mut client, "stats", "total_eviction_exceeded_time"),
    );
    // They are counted in milliseconds of another clock, which may be set meanwhile.
    assert!(u128::from(total) <= began.elapsed().as_millis() + 1000 && present <= total);
    client.line("MULTI");
    client.line("SET k z");
    let mut other = server.client();
    set(&mut other, "maxmemory", 1);
    let reply = show(&client.line("EXEC"));
    assert!(reply.contains(OOM.trim_start_matches('-')), "{reply}");
}

#[test]
fn an_idle_server_evicts_when_the_limit_is_lowered() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    set(&mut client, "maxmemory-policy", "allkeys-random");
    let value = "x".repeat(1000);
    (0..3000).for_each(|key| drop(client.line(&format!("SET key:{key} {value}"))));
    let limit = used(&mut client) - (2 << 20);
    set(&mut client, "maxmemory", limit);
    // Looking would be a reason to evict: the other side of the log is not.
    std::thread::sleep(Duration::from_millis(300));
    set(&mut client, "maxmemory", 0);
    let now = used(&mut client);
    assert!(now <= limit + (1 << 17), "{now} of {limit}");
}

#[test]
fn everybody_hears_of_an_eviction() {
    let server = TestServer::tidegate_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (mut client, mut watcher) = (server.client(), server.client());
    let (mut reader, mut listener) = (server.client(), server.client());
    client.line("SET k v");
    client.line("SET w v");
    watcher.line("WATCH w");
    reader.line("HELLO 3");
    reader.line("CLIENT TRACKING on");
    reader.line("GET k");
    set(&mut client, "notify-keyspace-events", "Ee");
    listener.line("SUBSCRIBE __keyevent@0__:evicted");
    set(&mut client, "lazyfree-lazy-eviction", "yes");
    set(&mut client, "maxmemory-policy", "allkeys-lru");
    set(&mut client, "maxmemory", 1);
    assert!(wait_until(PATIENCE, || client.line("DBSIZE") == Reply::Int(0)));
    set(&mut client, "maxmemory", 0);
    assert_eq!(show(&reader.read().expect("an invalidation")), r#">["invalidate" ["k"]]"#);
    let mut events = [show(&listener.read().expect("an event")), show(&listener.read().expect("an event"))];
    events.sort();
    assert_eq!(events, ["k", "w"].map(|key| format!(r#"["message" "__keyevent@0__:evicted" "{key}"]"#)),);
    watcher.line("MULTI");
    watcher.line("PING");
    assert_eq!(watcher.line("EXEC"), Reply::Null);
    assert_eq!(info(&mut client, "stats", "evicted_keys"), 2);
    if is_tidegate() {
        let log = std::fs::read_dir(server.dir().join("appendonlydir")).expect("a directory");
        let mut text = String::new();
        for file in log.flatten().filter(|file| file.path().to_string_lossy().ends_with(".incr.aof")) {
            text += &String::from_utf8_lossy(&std::fs::read(file.path()).expect("a file"));
        }
        for key in ["k", "w"] {
            assert!(text.contains(&format!("UNLINK\r\n$1\r\n{key}\r\n")), "{text}");
        }
    }
}

#[test]
fn use_is_remembered_as_the_policy_wants() {
    if !is_tidegate() {
        return;
    }
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    // What a key is idle for after one command that leaves it alone and one that uses it. Sent at once, so that no time passes
    // between use and question.
    let idle_after = |client: &mut RespClient, commands: [&str; 2]| {
        converse(client, "> DEBUG SLEEP 1.1\nOK");
        commands.map(|command| {
            let mut both = Vec::new();
            for line in [command, "OBJECT IDLETIME k"] {
                encode_command(&line.split(' ').collect::<Vec<_>>(), &mut both);
            }
            client.send_raw(&both).expect("sent");
            client.read().expect("a reply");
            client.read().expect("a reply").int().expect("a number")
        })
    };
    client.line("SET k v");
    set(&mut client, "maxmemory-policy", "allkeys-lrm");
    client.line("APPEND k w");
    let [read, written] = idle_after(&mut client, ["GET k", "APPEND k w"]);
    assert!(read >= 1 && written == 0, "{read} {written}");
    set(&mut client, "maxmemory-policy", "allkeys-lru");
    client.line("GET k");
    let [unused, read] = idle_after(&mut client, ["TYPE nosuch", "GET k"]);
    assert!(unused >= 1 && read == 0, "{unused} {read}");
    converse(
        &mut client,
        r#"
        > CONFIG SET maxmemory-policy allkeys-lfu
        OK
        > SET f v
        OK
        > OBJECT FREQ f
        5
        > GET f
        "v"
        > OBJECT FREQ f
        6
        > CONFIG SET maxmemory-policy allkeys-s3fifo
        OK
        > SET q v
        OK
        > OBJECT IDLETIME q
        0
        > CONFIG SET maxmemory-policy noeviction
        OK
        "#,
    );
}
