//! Too much of something: connections, output that nobody reads, input that nobody finishes. The limits hold, the
//! offender is closed, and everybody else is served meanwhile.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// One number from INFO.
fn info(client: &mut RespClient, field: &str) -> u64 {
    let text = client.line("INFO all").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in\n{text}"))
}

#[test]
fn a_client_that_does_not_read_is_closed_at_its_output_limit() {
    let mut server = TestServer::tidegate_with(&["--client-output-buffer-limit", "normal 4mb 0 0"]);
    let mut other = server.client();
    let value = vec![b'v'; 100_000];
    assert_eq!(other.call(&[&b"SET"[..], b"big", &value]).text(), "OK");
    let before = server.resident_size();
    let mut slow = server.client();
    slow.set_write_limit(PATIENCE).expect("connected");
    // 1 GB of replies is asked for and not one is read.
    let _ = slow.send_raw(&b"GET big\r\n".repeat(10_000));
    let gone = wait_until(PATIENCE, || info(&mut other, "connected_clients") == 1);
    assert!(gone, "the slow reader is still connected");
    assert_eq!(other.line("STRLEN big"), Reply::Int(100_000));
    let grown = server.resident_size().saturating_sub(before);
    assert!(grown < 96 << 20, "the slow reader made the server grow by {grown} bytes");
    assert!(server.is_alive());
}

#[test]
fn values_removed_by_one_pipeline_do_not_pile_up() {
    // Everything one read brought was once freed together: 6 KB of requests could make the server grow by 51 GB.
    let server = TestServer::tidegate();
    let mut client = server.client();
    let before = server.peak_size();
    let round = b"SETRANGE k 9999999 x\r\nDEL k\r\n";
    let transaction = [&b"MULTI\r\n"[..], &round.repeat(40), b"EXEC\r\n"].concat();
    let flushes = b"SETRANGE k 9999999 x\r\nFLUSHALL SYNC\r\n".repeat(40);
    client.send_raw(&[&round.repeat(40)[..], &transaction, &flushes].concat()).expect("connected");
    for turn in 0..80 {
        let expected = if turn % 2 == 0 { 10_000_000 } else { 1 };
        assert_eq!(client.read().expect("answered"), Reply::Int(expected));
    }
    assert_eq!(client.read().expect("answered").text(), "OK");
    for _ in 0..80 {
        assert_eq!(client.read().expect("answered").text(), "QUEUED");
    }
    assert!(matches!(client.read().expect("answered"), Reply::Array(replies) if replies.len() == 80));
    for _ in 0..40 {
        assert_eq!(client.read().expect("answered"), Reply::Int(10_000_000));
        assert_eq!(client.read().expect("answered").text(), "OK");
    }
    let grown = server.peak_size() - before;
    assert!(grown < 100 << 20, "40 values of 10 MB, one after the other, took {grown} bytes");
}

#[test]
fn a_slow_reader_without_a_limit_gets_everything() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let value = vec![b'v'; 100_000];
    assert_eq!(client.call(&[&b"SET"[..], b"big", &value]).text(), "OK");
    client.send_raw(&b"GET big\r\n".repeat(300)).expect("connected");
    assert_eq!(server.client().line("PING").text(), "PONG");
    for _ in 0..300 {
        assert_eq!(client.read_raw().expect("answered").len(), 100_000 + 11);
    }
}

#[test]
fn more_connections_than_allowed_are_refused_with_a_reason() {
    let server = TestServer::tidegate_with(&["--maxclients", "20"]);
    let mut clients: Vec<RespClient> = Vec::new();
    // Whoever asked whether the server is up may be one of twenty for a moment.
    let is_full = wait_until(PATIENCE, || {
        let mut client = server.client();
        if client.send(&["PING"]).is_ok() && client.read().is_ok_and(|reply| reply.text() == "PONG") {
            clients.push(client);
        }
        clients.len() == 20
    });
    assert!(is_full, "{} of 20 were served", clients.len());
    let mut refused = server.client();
    assert_eq!(refused.read_to_end().expect("closed"), b"-ERR max number of clients reached\r\n");
    clients.truncate(10);
    let free = wait_until(PATIENCE, || {
        let mut client = server.client();
        client.send(&["PING"]).is_ok() && client.read().is_ok_and(|reply| reply.text() == "PONG")
    });
    assert!(free, "a closed connection does not make room for another one");
}

#[test]
fn a_storm_of_connections_is_served() {
    let server = TestServer::tidegate();
    let mut witness = server.client();
    let mut clients: Vec<RespClient> = (0..1_000).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&["ECHO".to_owned(), number.to_string()]).expect("connected");
    }
    assert_eq!(witness.line("PING").text(), "PONG");
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read().expect("answered").text(), number.to_string());
    }
    assert_eq!(info(&mut witness, "connected_clients"), 1_001);
    drop(clients);
    assert!(
        wait_until(PATIENCE, || info(&mut witness, "connected_clients") == 1),
        "closed connections stay counted"
    );
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let server = TestServer::tidegate();
    let mut witness = server.client();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..300 {
                    let mut client = server.client();
                    // Some leave politely, some in the middle of a request, some without reading.
                    match round % 3 {
                        0 => assert_eq!(client.line("PING").text(), "PONG"),
                        1 => {
                            client
                                .send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nhalf")
                                .expect("connected");
                        }
                        _ => client.send_raw(&b"PING\r\n".repeat(100)).expect("connected"),
                    }
                }
            });
        }
    });
    assert!(
        wait_until(PATIENCE, || info(&mut witness, "connected_clients") == 1),
        "closed connections stay counted"
    );
    assert_eq!(witness.line("EXISTS a"), Reply::Int(0), "half a request must not be run");
}

#[test]
fn unfinished_input_is_limited() {
    let server = TestServer::tidegate_with(&["--client-query-buffer-limit", "1mb"]);
    let mut other = server.client();
    let mut client = server.client();
    client.set_write_limit(PATIENCE).expect("connected");
    // One argument of a command that never ends after another: all of it has to be kept.
    let argument = [&b"$300000\r\n"[..], &b"a".repeat(300_000), b"\r\n"].concat();
    let mut sent = client.send_raw(b"*1000\r\n$3\r\nDEL\r\n").is_ok();
    for _ in 0..999 {
        sent = sent && client.send_raw(&argument).is_ok();
    }
    assert_eq!(other.line("PING").text(), "PONG");
    // Redis counts only the part not yet cut into arguments, so a server may either close or take it all.
    if sent && let Ok(reply) = client.read() {
        assert_eq!(reply, Reply::Int(0));
    }
    assert!(wait_until(PATIENCE, || { info(&mut other, "connected_clients") <= 2 }));
    let huge = [&b"*2\r\n$4\r\nECHO\r\n$3000000\r\n"[..], &b"a".repeat(3_000_000), b"\r\n"].concat();
    let mut client = server.client();
    let _ = client.send_raw(&huge);
    assert!(matches!(client.read(), Err(_) | Ok(Reply::Bulk(_))), "neither answered nor closed");
    assert_eq!(other.line("PING").text(), "PONG");
}

#[test]
fn a_large_pipeline_of_writes_runs_to_its_end() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let mut one = Vec::new();
    tidegate_tests::resp::encode_command(&[&b"SET"[..], b"key", &b"v".repeat(1_000)], &mut one);
    let batch = one.repeat(1_000);
    let before = server.resident_size();
    // 64 MB, read only now and then, as a bulk loader does it.
    for _ in 0..64 {
        client.send_raw(&batch).expect("connected");
        for _ in 0..1_000 {
            assert_eq!(client.read_raw().expect("answered"), b"+OK\r\n");
        }
    }
    let grown = server.resident_size().saturating_sub(before);
    assert!(grown < 64 << 20, "one key of 1 kB costs {grown} bytes");
}
