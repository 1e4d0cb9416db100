//! `QUOTA`: what databases and prefixes may take, who is refused, who is evicted, and what a restart knows of it.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient, simple};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

const PATIENCE: Duration = Duration::from_secs(20);

/// A figure of a quota.
fn figure(client: &mut RespClient, target: &str, name: &str) -> i64 {
    let reply = client.call(&["QUOTA", "GET", target]);
    let items = reply.items().map(<[Reply]>::to_vec).unwrap_or_default();
    let at = items.iter().position(|item| item.bytes() == Some(name.as_bytes()));
    at.and_then(|at| items.get(at + 1)?.int()).unwrap_or_else(|| panic!("no {name}: {reply:?}"))
}

/// Bytes and keys, once all are counted.
fn used(client: &mut RespClient, target: &str) -> (i64, i64) {
    assert!(wait_until(PATIENCE, || figure(client, target, "counting") == 0), "{target} is counted");
    (figure(client, target, "bytes"), figure(client, target, "keys"))
}

/// What a count from scratch finds.
fn recounted(client: &mut RespClient, target: &str) -> (i64, i64) {
    assert_eq!(client.line(&format!("QUOTA DEL {target}")), Reply::Int(1));
    assert_eq!(client.line(&format!("QUOTA SET {target} 1000000000")), simple("OK"));
    used(client, target)
}

#[test]
fn a_quota_is_set_told_and_removed() {
    check(
        r##"
        > QUOTA SET tenant: 1000 allkeys-lru
        OK
        > QUOTA SET 2 5000
        OK
        > QUOTA GET tenant:
        ["target" "tenant:" "kind" "prefix" "policy" "allkeys-lru" "limit" 1000 "bytes" 0 "keys" 0 "evicted" 0 "refused" 0 "counting" 0]
        > QUOTA GET nosuch
        nil
        > QUOTA LIST nosuch*
        []
        > QUOTA LIST 2
        [["target" "2" "kind" "database" "policy" "noeviction" "limit" 5000 "bytes" 0 "keys" 0 "evicted" 0 "refused" 0 "counting" 0]]
        > QUOTA SET 16 1
        -ERR DB index is out of range
        > QUOTA SET t 0
        -ERR bytes of a quota must be a positive integer
        > QUOTA SET t 1 nosuch
        -ERR unknown policy of a quota
        > QUOTA DEL tenant: nosuch 2
        2
        > QUOTA LIST
        []
        "##,
    );
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("HELLO 3");
    client.line("QUOTA SET t: 1000");
    let reply = client.line("QUOTA GET t:");
    assert_eq!(reply.kind(), "map", "{reply:?}");
}

#[test]
fn writes_are_refused_in_their_quota_only() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(
        &mut client,
        r##"
        > QUOTA SET a: 100
        OK
        > SET a:1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        OK
        > SET a:2 y
        -OOM command not allowed when used memory > quota of prefix \"a:\".
        > MSET b:1 x a:2 x
        -OOM command not allowed when used memory > quota of prefix \"a:\".
        > EXISTS b:1
        0
        > SET b:1 y
        OK
        > GET a:1
        "xxx...
        > RENAME b:1 a:2
        -OOM command not allowed when used memory > quota of prefix \"a:\".
        > COPY b:1 a:2
        -OOM command not allowed when used memory > quota of prefix \"a:\".
        > RENAME a:1 a:3
        OK
        > MULTI
        OK
        > SET b:2 y
        QUEUED
        > SET a:2 y
        QUEUED
        > EXEC
        -EXECABORT Transaction discarded because of: OOM command not allowed when used memory > quota of prefix \"a:\".
        > EXISTS b:2
        0
        > EVAL "return redis.call('set', KEYS[1], 'x')" 1 a:2
        -OOM command not allowed when used memory > quota of prefix \"a:\". script: ...
        > EVAL "return redis.call('get', KEYS[1])" 1 a:2
        nil
        > EVAL "#!lua\nreturn redis.call('set', KEYS[1], 'x')" 1 a:2
        -OOM command not allowed when used memory > quota of prefix \"a:\".
        > EVAL "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'x')" 1 a:2
        OK
        > DEL a:3
        1
        > SET a:4 y
        OK
        > QUOTA SET 1 1
        OK
        > MOVE a:4 1
        1
        > MOVE a:2 1
        -OOM command not allowed when used memory > quota of database 1.
        > COPY a:2 a:5 DB 1
        -OOM command not allowed when used memory > quota of database 1.
        > MULTI
        OK
        > QUOTA DEL 1
        QUEUED
        > QUOTA SET c: 50
        QUEUED
        > EXEC
        [1 OK]
        > MOVE a:2 1
        1
        > EVAL "redis.call('quota', 'set', 'd:', '77'); return redis.call('quota', 'del', 'c:')" 0
        1
        > ACL SETUSER small on nopass ~* +@all -@dangerous
        OK
        > AUTH small x
        OK
        > QUOTA LIST
        -NOPERM...
        "##,
    );
    let mut client = server.client();
    let info = client.line("INFO quotas").text();
    assert!(info.contains("# Quotas") && info.contains("target=\"a:\""), "{info}");
    assert!(figure(&mut client, "a:", "refused") >= 7);
}

#[test]
fn eviction_stays_inside_the_quota() {
    let server = TestServer::tidegate_with(&["--appendonly", "yes"]);
    let mut client = server.client();
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-ttl", "volatile-lru"] {
        let limit = 20_000;
        client.line("FLUSHALL");
        for key in 0..500 {
            client.line(&format!("SET other:{key} {key}"));
        }
        client.line(&format!("QUOTA SET t: {limit} {policy}"));
        // Until what is there was counted, what comes may not be, either.
        used(&mut client, "t:");
        let suffix = if policy.starts_with("volatile") { " EX 1000" } else { "" };
        for key in 0..600 {
            let reply = client.line(&format!("SET t:{policy}:{key} {}{suffix}", "v".repeat(100)));
            assert_eq!(reply, simple("OK"), "{policy}");
            let bytes = figure(&mut client, "t:", "bytes");
            assert!(bytes < limit + limit / 8 + 1000, "{policy}: {bytes}");
        }
        assert!(figure(&mut client, "t:", "keys") > 50, "{policy}");
        assert_eq!(client.line("EXISTS other:0 other:499"), Reply::Int(2));
    }
    assert!(figure(&mut client, "t:", "evicted") > 1000);
    let before = used(&mut client, "t:");
    assert_eq!(client.line("DBSIZE"), Reply::Int(500 + before.1));
    // Lowering a limit evicts without anybody asking.
    client.line("QUOTA SET t: 5000 allkeys-random");
    assert!(wait_until(PATIENCE, || figure(&mut client, "t:", "bytes") <= 5000));
}

/// Keys of a small tenant are found among those of others, so that its own go and nothing is refused.
#[test]
fn a_small_tenant_of_a_large_keyspace_evicts() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.line("DEBUG POPULATE 250000 other: 10");
    client.line("QUOTA SET t: 2000 allkeys-lru");
    used(&mut client, "t:");
    for key in 0..500 {
        assert_eq!(client.line(&format!("SET t:{key} {}", "v".repeat(40))), simple("OK"), "{key}");
    }
    // The last one is seen to when nobody writes.
    assert!(wait_until(PATIENCE, || figure(&mut client, "t:", "bytes") <= 2000));
    let (_, keys) = used(&mut client, "t:");
    assert!(keys > 10, "{keys} keys");
    assert_eq!(client.line("DBSIZE"), Reply::Int(250_000 + keys));
    assert_eq!(figure(&mut client, "t:", "refused"), 0);
}

#[test]
fn what_nothing_may_be_evicted_from_refuses() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("QUOTA SET t: 500 volatile-lru");
    let replies: Vec<Reply> = (0..50).map(|key| client.line(&format!("SET t:{key} 12345678901"))).collect();
    assert_eq!(replies[0], simple("OK"));
    let last = replies[49].error().unwrap_or_default();
    assert!(last.starts_with("OOM"), "{last}");
}

/// Everything that moves, grows, shortens or removes keys.
fn churn(client: &mut RespClient, seed: u64) {
    let mut chance = seed;
    let mut below = |bound: u64| {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (chance >> 33) % bound
    };
    for _ in 0..300 {
        let (a, b) = (format!("{}:{}", ["t", "u"][below(2) as usize], below(40)), format!("t:{}", below(40)));
        let size = below(2000) as usize;
        let line = match below(16) {
            0 => format!("SET {a} {}", "x".repeat(size)),
            1 => format!("APPEND {a} {}", "x".repeat(size)),
            2 => format!("SETRANGE {a} {size} x"),
            3 => format!("DEL {a}"),
            4 => format!("RENAME {a} {b}"),
            5 => format!("COPY {a} {b} REPLACE"),
            6 => format!("COPY {a} {b} DB 1 REPLACE"),
            7 => format!("MOVE {a} 1"),
            8 => format!("RPUSH l{a} {}", vec!["element"; 1 + size / 20].join(" ")),
            9 => format!("LTRIM l{a} 0 {}", size / 100),
            10 => format!("HSET h{a} f{size} {}", "x".repeat(size)),
            11 => format!("PEXPIRE {a} {}", 1 + size),
            12 => format!("SADD t:s{} {size}", below(3)),
            13 => format!("SPOP t:s{}", below(3)),
            14 => format!("INCR t:n{}", below(9)),
            _ => ["SWAPDB 0 1", "FLUSHDB ASYNC", "SELECT 1", "SELECT 0"][below(4) as usize].to_owned(),
        };
        client.line(&line);
    }
    client.line("SELECT 0");
}

#[test]
fn what_is_counted_is_what_a_recount_finds() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    // A snapshot under way changes how values are changed.
    client.line("CONFIG SET rdb-key-save-delay 200");
    for target in ["t:", "0", "1", ""] {
        client.call(&["QUOTA", "SET", target, "1000000000"]);
    }
    // Nothing expires between two counts.
    for seed in 1..=8 {
        client.line("DEBUG SET-ACTIVE-EXPIRE 1");
        churn(&mut client, seed);
        if seed % 2 == 0 {
            client.line("BGSAVE");
            churn(&mut client, seed + 100);
        }
        client.line("DEBUG SET-ACTIVE-EXPIRE 0");
        for target in ["t:", "0", "1"] {
            let counted = used(&mut client, target);
            assert_eq!(counted, recounted(&mut client, target), "{target} after {seed}");
        }
        let dbs = [used(&mut client, "0"), used(&mut client, "1")];
        let sum = (dbs[0].0 + dbs[1].0, dbs[0].1 + dbs[1].1);
        assert_eq!(used(&mut client, ""), sum, "all prefixes are all databases");
    }
    client.line("FLUSHALL");
    for target in ["t:", "0", "1", ""] {
        assert_eq!(used(&mut client, target), (0, 0));
    }
}

#[test]
fn a_keyspace_that_is_there_is_counted() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.line("DEBUG POPULATE 50000 t: 20");
    client.line("DEBUG POPULATE 50000 u: 20");
    client.line("QUOTA SET t: 1000000000");
    for key in 0..2000 {
        client.line(&format!("SET t::{key} {key}"));
    }
    let (bytes, keys) = used(&mut client, "t:");
    assert_eq!(keys, 50_000);
    assert_eq!((bytes, keys), recounted(&mut client, "t:"));
}

#[test]
fn a_restart_knows_quotas() {
    for aof in ["yes", "no"] {
        let options = ["--appendonly", aof, "--enable-debug-command", "yes"];
        let mut server = TestServer::tidegate_with(&options);
        let mut client = server.client();
        client.line("SET t:before x");
        client.line("QUOTA SET t: 100000 allkeys-lru");
        client.call(&["QUOTA", "SET", "odd \r\n\0\"", "77"]);
        client.line("QUOTA SET 3 500");
        client.line("QUOTA SET gone 1");
        client.line("QUOTA DEL gone");
        for key in 0..300 {
            client.line(&format!("SET t:{key} {}", "x".repeat(key)));
        }
        let before = used(&mut client, "t:");
        let list = client.line("QUOTA LIST").text();
        if aof == "no" {
            client.line("SAVE");
        }
        server.restart().expect("it starts");
        let mut client = server.client();
        assert_eq!(used(&mut client, "t:"), before, "appendonly {aof}");
        assert_eq!(client.line("QUOTA LIST").text(), list);
        if aof == "yes" {
            client.line("BGREWRITEAOF");
            assert!(wait_until(PATIENCE, || {
                client.line("INFO persistence").text().contains("aof_rewrite_in_progress:0")
            }));
            server.restart().expect("it starts");
            let mut client = server.client();
            assert_eq!(used(&mut client, "t:"), before, "after a rewrite");
        }
        let mut client = server.client();
        assert_eq!(client.line("DEBUG RELOAD"), simple("OK"));
        assert_eq!(used(&mut client, "t:"), before, "after DEBUG RELOAD");
        assert_eq!(client.line("QUOTA LIST").items().map(<[Reply]>::len), Some(3));
    }
}

/// Redis passes over what it does not know.
#[test]
fn redis_loads_our_file() {
    let (server, mut redis) = (TestServer::tidegate(), TestServer::redis());
    let mut client = server.client();
    client.line("QUOTA SET t: 100000 allkeys-lru");
    client.line("SET t:a b");
    client.line("SAVE");
    std::fs::copy(server.dir().join("dump.rdb"), redis.dir().join("dump.rdb")).expect("a copy");
    redis.restart().expect("it starts");
    assert_eq!(redis.client().line("GET t:a"), Reply::Bulk(b"b".to_vec()));
}

#[test]
fn many_quotas_are_bounded() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for number in 0..1024 {
        assert_eq!(client.line(&format!("QUOTA SET tenant{number}: 1000000")), simple("OK"));
    }
    assert_eq!(client.line("QUOTA SET another 1").error().as_deref(), Some("ERR too many quotas"));
    let long = format!("QUOTA SET {} 1", "p".repeat(513));
    assert_eq!(client.line(&long).error().as_deref(), Some("ERR prefix of a quota is too long"));
    client.line("SET tenant7:a b");
    assert_eq!(figure(&mut client, "tenant7:", "keys"), 1);
    assert_eq!(client.line("QUOTA LIST").items().map(<[Reply]>::len), Some(1024));
}
