//! The migration recipes of docs/migrating.md, each against what it replaces.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const START: &str = "1700000000000";

/// A server whose clocks stand still.
pub(super) fn frozen() -> TestServer {
    TestServer::tidegate_with(&["--enable-debug-command", "yes", "--debug-clock-freeze", START])
}

fn numbers(reply: Reply) -> Vec<i64> {
    let Reply::Array(items) = reply else { panic!("no array: {reply:?}") };
    let number = |item: &Reply| if let Reply::Int(number) = item { Some(*number) } else { None };
    items.iter().filter_map(number).collect()
}

pub(super) fn number(reply: &Reply) -> i64 {
    if let Reply::Int(number) = reply { *number } else { panic!("no number: {reply:?}") }
}

pub(super) fn eval(client: &mut RespClient, script: &str, args: &[&str]) -> i64 {
    let mut words: Vec<Vec<u8>> = vec![b"EVAL".to_vec(), script.into()];
    words.extend(args.iter().map(|arg| arg.as_bytes().to_vec()));
    number(&client.call(&words))
}

/// Steps that look random: where in time the next call is, in ms.
pub(super) fn schedule(calls: u64, longest_ms: u64) -> impl Iterator<Item = u64> {
    let mut state = 7_u64;
    (0..calls).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % longest_ms
    })
}

pub(super) fn advance(client: &mut RespClient, ms: u64) {
    if ms > 0 {
        client.line(&format!("DEBUG CLOCK ADVANCE {ms}"));
    }
}

#[test]
fn incr_and_expire_become_rl_fixed() {
    const BEFORE: &str = "local n = redis.call('INCR', KEYS[1]) \
                          if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
                          return n <= tonumber(ARGV[1]) and 1 or 0";
    let server = frozen();
    let mut client = server.client();
    let mut refused = 0;
    let mut now_ms = 0;
    let mut end_ms = 0;
    for step_ms in schedule(500, 300) {
        now_ms += step_ms;
        advance(&mut client, step_ms);
        // At the very millisecond of its end a key still exists, and a window does not.
        if now_ms == end_ms {
            now_ms += 1;
            advance(&mut client, 1);
        }
        if now_ms > end_ms {
            end_ms = now_ms + 1000;
        }
        let before = eval(&mut client, BEFORE, &["1", "before", "5", "1000"]);
        let after = numbers(client.line("RL.FIXED after 5 1000"));
        assert_eq!(after[0], before, "at {now_ms}");
        refused += i64::from(before == 0);
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_sliding_window_of_two_counters_becomes_rl_sliding() {
    // What @upstash/ratelimit's slidingWindow does, with the server's time instead of the caller's.
    const BEFORE: &str = "local window, now = tonumber(ARGV[2]), tonumber(ARGV[3]) \
                          local this = math.floor(now / window) \
                          local current = tonumber(redis.call('GET', KEYS[1] .. ':' .. this) or 0) \
                          local previous = tonumber(redis.call('GET', KEYS[1] .. ':' .. (this - 1)) or 0) \
                          local left = 1 - now % window / window \
                          if math.floor(left * previous) + current >= tonumber(ARGV[1]) then return 0 end \
                          redis.call('INCR', KEYS[1] .. ':' .. this) \
                          redis.call('PEXPIRE', KEYS[1] .. ':' .. this, window * 2 + 1000) \
                          return 1";
    let server = frozen();
    let mut client = server.client();
    let (mut before, mut after, mut now_ms) = (0, 0, START.parse::<u64>().expect("a number"));
    for step_ms in schedule(800, 9000) {
        now_ms += step_ms;
        advance(&mut client, step_ms);
        before += eval(&mut client, BEFORE, &["1", "before", "10", "60000", &now_ms.to_string()]);
        after += numbers(client.line("RL.SLIDING after 10 60000"))[0];
    }
    // The old form rounds the share of the previous window down, and so lets up to one more through per window.
    assert!(after <= before && after * 100 > before * 88, "{after} of {before}");
}

#[test]
fn redis_cell_stays_or_becomes_rl_gcra() {
    let server = frozen();
    let mut client = server.client();
    let mut refused = 0;
    for step_ms in schedule(400, 3000) {
        advance(&mut client, step_ms);
        let [cell, gcra] =
            ["CL.THROTTLE cell 15 30 60", "RL.GCRA gcra 15 30 60000"].map(|line| numbers(client.line(line)));
        // limited, limit, remaining against allowed, limit, remaining.
        assert_eq!((1 - cell[0], cell[1], cell[2]), (gcra[0], gcra[1], gcra[2]));
        refused += cell[0];
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_bulkhead_becomes_rl_acquire_and_rl_release() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let (within, most) = (AtomicI64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..25 {
                    let Reply::Array(lease) = client.line("RL.ACQUIRE calls 3 60000 BLOCK 20000") else {
                        panic!("no lease")
                    };
                    if lease[0] == Reply::Int(0) {
                        continue;
                    }
                    most.fetch_max(within.fetch_add(1, SeqCst) + 1, SeqCst);
                    std::thread::yield_now();
                    within.fetch_sub(1, SeqCst);
                    let Reply::Bulk(id) = &lease[5] else { panic!("a lease has an id: {lease:?}") };
                    let release = [b"RL.RELEASE".to_vec(), b"calls".to_vec(), id.clone()];
                    assert_eq!(client.call(&release), Reply::Int(1));
                }
            });
        }
    });
    assert!((1..=3).contains(&most.load(SeqCst)), "{most:?} at once");
    // Who dies within a call gives its place back by itself.
    let mut client = server.client();
    client.line(&format!("DEBUG CLOCK FREEZE {START}"));
    client.line("DEL calls");
    for id in ["a", "b", "c"] {
        assert_eq!(numbers(client.line(&format!("RL.ACQUIRE calls 3 5000 ID {id}")))[0], 1);
    }
    assert_eq!(numbers(client.line("RL.ACQUIRE calls 3 5000 ID d"))[0], 0);
    advance(&mut client, 5000);
    assert_eq!(numbers(client.line("RL.ACQUIRE calls 3 5000 ID d"))[0], 1);
}

#[test]
fn an_append_that_expects_a_version_becomes_ev_append() {
    const BEFORE: &str = "if redis.call('XLEN', KEYS[1]) ~= tonumber(ARGV[1]) then return -1 end \
                          redis.call('XADD', KEYS[1], '*', 'type', ARGV[2], 'data', ARGV[3]) \
                          return redis.call('XLEN', KEYS[1])";
    let server = frozen();
    let mut client = server.client();
    for (step, expected) in [0, 0, 1, 7, 2, 1, 3].iter().enumerate() {
        let (kind, data) = (format!("Type{step}"), step.to_string());
        let before = eval(&mut client, BEFORE, &["1", "before", &expected.to_string(), &kind, &data]);
        let after = match client.line(&format!("EV.APPEND after {expected} 1 {kind} {data}")) {
            Reply::Error(text) => {
                assert!(text.starts_with(b"WRONGVERSION "));
                -1
            }
            reply => number(&reply),
        };
        assert_eq!(after, before, "step {step}");
    }
    let Reply::Array(entries) = client.line("XRANGE after - +") else { panic!("no entries") };
    assert_eq!(entries.len(), 4);
}

/// A cache with a mutex key and the same with a lease: sixteen callers, one of whom computes.
#[test]
fn a_mutex_key_becomes_a_lease() {
    let server = TestServer::tidegate();
    let (before, after) = (AtomicI64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.client();
                while client.line("GET before") == Reply::Null {
                    if client.line("SET before:lock me NX PX 5000") == Reply::Simple(b"OK".to_vec()) {
                        before.fetch_add(1, SeqCst);
                        client.line("SET before value EX 60");
                    }
                }
                let Reply::Array(parts) = client.line("CACHE.GET after BLOCK 5000") else {
                    panic!("no array")
                };
                if let Reply::Int(token) = parts[2] {
                    after.fetch_add(1, SeqCst);
                    client.line(&format!("CACHE.PUT after value EX 60 TOKEN {token}"));
                } else {
                    assert_eq!(parts[1], Reply::Bulk(b"value".to_vec()));
                }
            });
        }
    });
    assert_eq!((before.load(SeqCst), after.load(SeqCst)), (1, 1));
}
