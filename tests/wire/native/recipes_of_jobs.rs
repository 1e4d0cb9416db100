//! The recipes of docs/migrating.md for queues, locks and requests that are made once, each against what it replaces.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use super::recipes::{advance, eval, frozen, number, schedule};
use tidegate_tests::resp::{Reply, RespClient, simple};
use tidegate_tests::server::TestServer;

/// A message as it was popped.
struct Popped {
    receipt: String,
    deliveries: i64,
    body: String,
}

fn pop(client: &mut RespClient, line: &str) -> Vec<Popped> {
    let reply = client.line(&format!("XQUEUE.POP {line}"));
    let messages = reply.items().unwrap_or_default();
    let read = |message: &Reply| {
        let parts = message.items().unwrap_or_else(|| panic!("no message: {message:?}"));
        Popped { receipt: parts[2].text(), deliveries: number(&parts[3]), body: parts[4].text() }
    };
    messages.iter().map(read).collect()
}

fn bodies(popped: &[Popped]) -> Vec<&str> {
    popped.iter().map(|message| &message.body[..]).collect()
}

/// What the server answers, which is no error.
fn fine(client: &mut RespClient, line: &str) -> Reply {
    let reply = client.line(line);
    assert_eq!(reply.error(), None, "{line}");
    reply
}

fn count(client: &mut RespClient, queue: &str, state: &str) -> i64 {
    number(&client.line(&format!("XQUEUE.LEN {queue} STATE {state}")))
}

#[test]
fn a_list_of_what_is_in_progress_becomes_a_lease() {
    let server = frozen();
    let mut client = server.client();
    for n in 0..10 {
        client.line(&format!("LPUSH before {n}"));
        client.line(&format!("XQUEUE.PUSH after BODY {n}"));
    }
    for n in 0..4 {
        let before = client.line("BRPOPLPUSH before own 0").text();
        let after = pop(&mut client, "1 after BLOCK 0 LEASE 30000").remove(0);
        assert_eq!((&before, &after.body), (&n.to_string(), &n.to_string()));
        // The worker dies with the fourth one in hand.
        if n < 3 {
            assert_eq!(client.line(&format!("LREM own 1 {before}")), Reply::Int(1));
            assert_eq!(client.line(&format!("XQUEUE.ACK after {}", after.receipt)), Reply::Int(1));
        }
    }
    // A day later the list still waits for somebody to sweep it. The lease has ended, and it is the next one that is popped.
    advance(&mut client, 86_400_000);
    assert_eq!(client.line("LRANGE own 0 -1").items().map(<[Reply]>::len), Some(1));
    assert_eq!(client.line("BRPOPLPUSH before other 0").text(), "4");
    let again = pop(&mut client, "1 after BLOCK 0 LEASE 30000").remove(0);
    assert_eq!((&again.body[..], again.deliveries), ("3", 2));
}

#[test]
fn the_options_of_a_bullmq_job_become_tokens_of_a_push() {
    let server = frozen();
    let mut client = server.client();
    // add("mail", data, { delay: 5000, attempts: 2, backoff: { type: "exponential", delay: 1000 }, jobId: "mail-7", priority })
    fine(&mut client, "XQUEUE.CREATE q BACKOFF EXP 1000 60000");
    let push = "XQUEUE.PUSH q DELAY 5000 PRIORITY 6 DEDUP mail-7 0 MAXDELIVER 2 BODY data";
    let id = fine(&mut client, push);
    assert_eq!(client.line(push), id, "a job id is there once");
    fine(&mut client, "XQUEUE.PUSH q DELAY 5000 PRIORITY 0 BODY bulk");
    assert!(pop(&mut client, "1 q").is_empty(), "it is delayed");
    advance(&mut client, 5000);
    let first = pop(&mut client, "1 q COUNT 2");
    assert_eq!(bodies(&first), ["data", "bulk"]);
    fine(&mut client, &format!("XQUEUE.ACK q {}", first[1].receipt));
    fine(&mut client, &format!("XQUEUE.NACK q {}", first[0].receipt));
    advance(&mut client, 999);
    assert!(pop(&mut client, "1 q").is_empty(), "the backoff is a second");
    advance(&mut client, 1);
    let second = pop(&mut client, "1 q").remove(0);
    assert_eq!((&second.body[..], second.deliveries), ("data", 2));
    fine(&mut client, &format!("XQUEUE.NACK q {} REASON boom", second.receipt));
    assert_eq!(count(&mut client, "q", "dead"), 1, "two attempts");
    assert_ne!(client.line(push), id, "a job that is over gives its id back");
}

#[test]
fn a_limit_per_group_becomes_groupmax_and_grouprate() {
    let server = frozen();
    let mut client = server.client();
    fine(&mut client, "RL.POLICY SET per-tenant TOKENBUCKET 2 2 1000");
    fine(&mut client, "XQUEUE.CREATE q GROUPMAX 5 GROUPRATE per-tenant");
    for (group, messages) in [("a", 4), ("b", 2)] {
        for n in 1..=messages {
            fine(&mut client, &format!("XQUEUE.PUSH q GROUP {group} BODY {group}{n}"));
        }
    }
    assert_eq!(
        bodies(&pop(&mut client, "1 q COUNT 10")),
        ["a1", "b1", "a2", "b2"],
        "they take turns, two of each"
    );
    assert!(pop(&mut client, "1 q").is_empty());
    advance(&mut client, 500);
    assert_eq!(bodies(&pop(&mut client, "1 q COUNT 10")), ["a3"]);
}

#[test]
fn the_calls_of_sqs_become_pop_ack_extend_and_redrive() {
    let server = frozen();
    let mut client = server.client();
    // maxReceiveCount 2; the dead-letter queue is a state.
    fine(&mut client, "XQUEUE.CREATE q LEASE 30000 MAXDELIVER 2");
    fine(&mut client, "XQUEUE.PUSH q BODY m");
    let received = pop(&mut client, "1 q COUNT 10").remove(0);
    // ChangeMessageVisibility: another 60 s from now on; 0 makes it visible.
    advance(&mut client, 20_000);
    fine(&mut client, &format!("XQUEUE.EXTEND q 60000 {}", received.receipt));
    advance(&mut client, 59_999);
    assert!(pop(&mut client, "1 q").is_empty());
    advance(&mut client, 1);
    let again = pop(&mut client, "1 q").remove(0);
    assert_eq!(again.deliveries, 2);
    // DeleteMessage with the receipt of before deletes nothing.
    assert_eq!(client.line(&format!("XQUEUE.ACK q {}", received.receipt)), Reply::Int(0));
    advance(&mut client, 30_000);
    assert!(pop(&mut client, "1 q").is_empty());
    assert_eq!(count(&mut client, "q", "dead"), 1);
    // StartMessageMoveTask.
    assert_eq!(client.line("XQUEUE.REDRIVE q"), Reply::Int(1));
    let redriven = pop(&mut client, "1 q").remove(0);
    assert_eq!(client.line(&format!("XQUEUE.ACK q {}", redriven.receipt)), Reply::Int(1));
}

#[test]
fn a_consumer_group_as_a_job_queue_becomes_a_queue() {
    let server = frozen();
    let mut client = server.client();
    fine(&mut client, "XGROUP CREATE before workers $ MKSTREAM");
    for n in 0..3 {
        fine(&mut client, &format!("XADD before * body {n}"));
        fine(&mut client, &format!("XQUEUE.PUSH after BODY {n}"));
    }
    // One worker takes all and dies.
    fine(&mut client, "XREADGROUP GROUP workers first COUNT 3 STREAMS before >");
    assert_eq!(bodies(&pop(&mut client, "1 after COUNT 3 LEASE 1000")), ["0", "1", "2"]);
    advance(&mut client, 1000);
    // Reading alone does not give anybody what it had: that is another command, which each worker has to send now and then.
    assert_eq!(client.line("XREADGROUP GROUP workers second COUNT 3 STREAMS before >"), Reply::Null);
    let claimed = fine(&mut client, "XAUTOCLAIM before workers second 1000 0");
    let claimed = claimed.items().and_then(|parts| parts[1].items()).map(<[Reply]>::len);
    let popped = pop(&mut client, "1 after COUNT 3");
    assert_eq!((claimed, bodies(&popped)), (Some(3), vec!["0", "1", "2"]));
    assert!(popped.iter().all(|message| message.deliveries == 2));
}

#[test]
fn a_lock_of_set_nx_becomes_lock_acquire() {
    const UNLOCK: &str =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    let server = frozen();
    let mut client = server.client();
    let mut holder = 0;
    let (mut granted, mut token) = (0, 0);
    // Steps of 7 ms: none ends at the very millisecond of a lease, where a key still exists and a lease does not.
    for (caller, step) in (1..).zip(schedule(400, 60)) {
        advance(&mut client, 7 * step);
        let before = client.line(&format!("SET before {caller} NX PX 1000")) == simple("OK");
        let after = client.line(&format!("LOCK.ACQUIRE after {caller} 1000"));
        assert_eq!(after != Reply::Null, before, "caller {caller}");
        if let Some([grant, ..]) = after.items() {
            assert!(number(grant) > token, "tokens grow");
            (token, holder, granted) = (number(grant), caller, granted + 1);
        }
        // Sometimes the holder is done, or believes that it still holds the lock, or somebody else tries it.
        if step % 3 == 0 {
            let whose = if step % 2 == 0 { holder } else { caller + 1000 };
            let before = eval(&mut client, UNLOCK, &["1", "before", &whose.to_string()]);
            let after = client.line(&format!("LOCK.RELEASE after {whose}"));
            assert_eq!(after == Reply::Int(0), before == 1, "{whose} is done: {after:?}");
        }
    }
    assert!(granted > 50 && granted < 400, "{granted}");
}

/// A table of requests made of `SET NX` and the same with `IDEM`: eight callers with one key.
#[test]
fn a_table_of_requests_becomes_idem_begin_and_idem_complete() {
    let server = TestServer::tidegate();
    let (before, after) = (AtomicI64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.client();
                if client.line("SET before pending NX") == simple("OK") {
                    before.fetch_add(1, SeqCst);
                    client.line("SET before answer");
                }
                while client.line("GET before") != Reply::Bulk(b"answer".to_vec()) {}
                let begin = client.line("IDEM.BEGIN after 60000 FINGERPRINT f BLOCK 20000");
                let parts = begin.items().unwrap_or_else(|| panic!("no array: {begin:?}"));
                if parts[0].text() == "new" {
                    after.fetch_add(1, SeqCst);
                    let complete = format!("IDEM.COMPLETE after {} answer", number(&parts[1]));
                    assert_eq!(client.line(&complete), simple("OK"));
                } else {
                    assert_eq!((&parts[0].text()[..], &parts[2].text()[..]), ("done", "answer"));
                }
            });
        }
    });
    assert_eq!((before.load(SeqCst), after.load(SeqCst)), (1, 1));
    // The old form answers another request under the same key as if it were the same.
    let other = server.client().line("IDEM.BEGIN after 60000 FINGERPRINT g");
    assert!(other.error().is_some_and(|text| text.starts_with("MISMATCH ")), "{other:?}");
}
