//! MULTI, EXEC, WATCH: atomic for other clients, aborted when it must be.

use redis::{Commands, RedisResult};
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn queueing_and_running() {
    check(
        r#"
        > MULTI
        OK
        > SET a 1
        QUEUED
        > INCR a
        QUEUED
        > GET a
        QUEUED
        > PING
        QUEUED
        > EXEC
        [OK 2 "2" PONG]
        > GET a
        "2"
        > MULTI
        OK
        > EXEC
        []
        > MULTI
        OK
        > SET a 5
        QUEUED
        > DISCARD
        OK
        > GET a
        "2"
        > EXEC
        -ERR EXEC without MULTI
        > DISCARD
        -ERR DISCARD without MULTI
        > UNWATCH
        OK
        > MULTI x
        -ERR wrong number of arguments for 'multi' command
        "#,
    );
}

#[test]
fn errors_while_queueing_abort_everything() {
    check(
        r#"
        > SET a 1
        OK
        > MULTI
        OK
        > NOSUCH x
        -ERR unknown command 'NOSUCH', with args beginning with: 'x' 
        > SET a 2
        QUEUED
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > GET a
        "1"
        > MULTI
        OK
        > GET
        -ERR wrong number of arguments for 'get' command
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > MULTI
        OK
        > CONFIG NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > MULTI
        OK
        > MULTI
        -ERR MULTI calls can not be nested
        > WATCH a
        -ERR WATCH inside MULTI is not allowed
        > SET a 3
        QUEUED
        > EXEC
        [OK]
        > GET a
        "3"
        > MULTI
        OK
        > NOSUCH
        -ERR unknown command 'NOSUCH', with args beginning with: 
        > DISCARD
        OK
        > MULTI
        OK
        > GET a
        QUEUED
        > EXEC
        ["3"]
        "#,
    );
}

#[test]
fn errors_while_running_stop_nothing() {
    check(
        r#"
        > SET a text
        OK
        > MULTI
        OK
        > INCR a
        QUEUED
        > SET b 1
        QUEUED
        > DECR a
        QUEUED
        > SELECT 1
        QUEUED
        > SET c 1
        QUEUED
        > SELECT 99
        QUEUED
        > EXEC
        [-ERR value is not an integer or out of range OK -ERR value is not an integer or out of range OK OK -ERR DB index is out of range]
        > GET c
        "1"
        > SELECT 0
        OK
        > GET c
        nil
        > GET b
        "1"
        "#,
    );
}

/// Runs `between` on a second connection while the first one watches `key`, and returns EXEC's reply.
fn exec_after(between: impl FnOnce(&mut RespClient, &mut RespClient)) -> Reply {
    let server = TestServer::tidegate();
    let (mut one, mut two) = (server.client(), server.client());
    one.line("SET key 1");
    one.line("WATCH key nosuch");
    between(&mut one, &mut two);
    one.line("MULTI");
    one.line("GET key");
    one.line("EXEC")
}

/// Everything arrives at once: the refused EXEC has to forget a key which the command before it has just used.
#[test]
fn a_refused_exec_in_a_pipeline_is_answered() {
    let server = TestServer::tidegate();
    for key in "abcdefgh".chars() {
        let mut client = server.client();
        let pipeline = format!("WATCH {key}|SET {key} 1|EXEC x|PING");
        let mut bytes = Vec::new();
        for line in pipeline.split('|') {
            let words: Vec<&str> = line.split(' ').collect();
            tidegate_tests::resp::encode_command(&words, &mut bytes);
        }
        client.send_raw(&bytes).expect("connected");
        assert_eq!(client.read().expect("answered").text(), "OK");
        assert_eq!(client.read().expect("answered").text(), "OK");
        let refusal = client.read().expect("answered").error().expect("an error");
        assert_eq!(
            refusal,
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
        );
        assert_eq!(client.read().expect("answered").text(), "PONG", "key {key}");
    }
}

#[test]
fn a_watched_key_that_changes_aborts() {
    let changes: &[&str] = &[
        "SET key 1",
        "DEL key",
        "APPEND key x",
        "EXPIRE key 100",
        "RENAME key other",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "SET nosuch 1",
        "MOVE key 1",
        "SETRANGE key 0 1",
        "INCR key",
        "GETDEL key",
        "GETEX key EX 100",
    ];
    for change in changes {
        let reply = exec_after(|_, two| {
            assert_ne!(two.line(change).kind(), "error", "{change}");
        });
        assert_eq!(reply, Reply::Null, "{change} by another client");
        let reply = exec_after(|one, _| {
            one.line(change);
        });
        assert_eq!(reply, Reply::Null, "{change} by the client itself");
    }
}

#[test]
fn a_watched_key_that_stays_the_same_does_not() {
    let same: &[&str] = &[
        "GET key",
        "SET other 1",
        "DEL nosuch",
        "TOUCH key",
        "PERSIST key",
        "SETNX key 5",
        "SELECT 1",
        "GETEX key",
    ];
    for line in same {
        let reply = exec_after(|_, two| {
            two.line(line);
        });
        assert_eq!(reply, Reply::Array(vec![Reply::Bulk(b"1".to_vec())]), "{line}");
    }
    let reply = exec_after(|one, two| {
        two.line("SET key 1");
        one.line("UNWATCH");
    });
    assert_ne!(reply, Reply::Null, "UNWATCH forgets what happened");
}

#[test]
fn the_null_of_an_aborted_exec_is_a_null_array() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("WATCH a");
    client.line("SET a 1");
    client.line("MULTI");
    assert_eq!(client.call_raw(&["EXEC"]), b"*-1\r\n");
    client.line("HELLO 3");
    client.line("WATCH a");
    client.line("SET a 1");
    client.line("MULTI");
    assert_eq!(client.call_raw(&["EXEC"]), b"_\r\n");
}

#[test]
fn transfers_between_accounts_keep_the_sum() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let url = server.url();
    let accounts: Vec<String> = (0..10).map(|i| format!("account:{i}")).collect();
    let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
    for account in &accounts {
        let () = connection.set(account, 100)?;
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (accounts, url) = (&accounts, &url);
                scope.spawn(move || -> RedisResult<()> {
                    let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
                    for i in 0..300 {
                        let (from, to) =
                            (&accounts[(i * 7 + worker) % 10], &accounts[(i * 3 + worker * 5) % 10]);
                        let () = redis::pipe().atomic().decr(from, 3).incr(to, 3).query(&mut connection)?;
                    }
                    Ok(())
                })
            })
            .collect();
        let (accounts, url, done) = (&accounts, &url, &done);
        let reader = scope.spawn(move || -> RedisResult<u32> {
            let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let balances: Vec<i64> = connection.mget(accounts)?;
                assert_eq!(balances.iter().sum::<i64>(), 1000, "a reader saw half a transfer");
                reads += 1;
            }
            Ok(reads)
        });
        for worker in workers {
            worker.join().expect("no worker panics")?;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let reads = reader.join().expect("the reader does not panic")?;
        assert!(reads > 0);
        RedisResult::Ok(())
    })?;
    let balances: Vec<i64> = connection.mget(&accounts)?;
    assert_eq!(balances.iter().sum::<i64>(), 1000);
    Ok(())
}

#[test]
fn optimistic_increments_are_never_lost() -> RedisResult<()> {
    let server = TestServer::tidegate();
    let url = server.url();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| -> RedisResult<()> {
                    let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
                    for _ in 0..100 {
                        let _: (i64,) = redis::transaction(&mut connection, &["n"], |connection, pipe| {
                            let old: i64 = connection.get::<_, Option<i64>>("n")?.unwrap_or(0);
                            pipe.set("n", old + 1).ignore().get("n").query(connection)
                        })?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let total: i64 = redis::Client::open(server.url())?.get_connection()?.get("n")?;
    assert_eq!(total, 400);
    Ok(())
}
