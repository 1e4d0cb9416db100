//! The protocol itself, and input that is not the protocol: what is refused, with which words, and that nothing a
//! client sends harms the server or the other clients.

use tidegate_tests::random::Random;
use tidegate_tests::resp::{Escaped, Reply, RespClient};
use tidegate_tests::server::TestServer;

/// Sends bytes on a fresh connection and returns everything until the server closes it.
fn until_closed(server: &TestServer, bytes: &[u8]) -> String {
    let mut client = server.client();
    // The server may close, and so refuse the rest, before all bytes are sent.
    let _ = client.send_raw(bytes);
    let answer = client
        .read_to_end()
        .unwrap_or_else(|error| panic!("{}: {error}", Escaped(&bytes[..bytes.len().min(60)])));
    Escaped(&answer).to_string()
}

/// Sends bytes and then a PING on a fresh connection and returns the replies up to the PONG.
fn until_pong(server: &TestServer, bytes: &[u8]) -> String {
    let mut client = server.client();
    client.send_raw(bytes).expect("connected");
    client.send_raw(b"*2\r\n$4\r\nPING\r\n$4\r\nDONE\r\n").expect("connected");
    let mut answer = Vec::new();
    loop {
        let raw = client.read_raw().expect("the connection stays open").to_vec();
        if raw == b"$4\r\nDONE\r\n" {
            return Escaped(&answer).to_string();
        }
        answer.extend_from_slice(&raw);
    }
}

#[test]
fn inline_commands() {
    let server = TestServer::tidegate();
    assert_eq!(until_pong(&server, b"PING\r\n"), r"+PONG\r\n");
    assert_eq!(until_pong(&server, b"PING\n"), r"+PONG\r\n");
    assert_eq!(until_pong(&server, b"\r\n\r\n   \r\nPING\r\n"), r"+PONG\r\n");
    assert_eq!(
        until_pong(&server, b"SET  key   \"two words\\x41\\n\"\r\nGET key\r\n"),
        r"+OK\r\n$11\r\ntwo wordsA\n\r\n"
    );
    assert_eq!(until_pong(&server, b"ECHO 'it\\'s'\r\n"), r"$4\r\nit's\r\n");
    assert_eq!(until_pong(&server, b"ECHO \"\"\r\n"), r"$0\r\n\r\n");
}

#[test]
fn broken_inline_commands_close_the_connection() {
    let server = TestServer::tidegate();
    for line in ["ECHO \"open\r\n", "ECHO 'open\r\n", "ECHO \"a\"b\r\n"] {
        assert_eq!(
            until_closed(&server, line.as_bytes()),
            r"-ERR Protocol error: unbalanced quotes in request\r\n",
            "{line}"
        );
    }
    let long = vec![b'a'; 70_000];
    assert_eq!(until_closed(&server, &long), r"-ERR Protocol error: too big inline request\r\n");
}

#[test]
fn empty_requests_are_skipped() {
    let server = TestServer::tidegate();
    assert_eq!(until_pong(&server, b"*0\r\n*-1\r\n*-5\r\n*1\r\n$4\r\nPING\r\n"), r"+PONG\r\n");
}

#[test]
fn broken_requests_close_the_connection_with_a_reason() {
    let server = TestServer::tidegate();
    let cases: &[(&[u8], &str)] = &[
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\nfoo\r\n", "expected '$', got 'f'"),
        (b"*1\r\n:5\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$abc\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n", "invalid bulk length"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(
            until_closed(&server, bytes),
            format!(r"-ERR Protocol error: {reason}\r\n"),
            "{}",
            Escaped(bytes)
        );
    }
    let digits = [&b"*"[..], &b"1".repeat(70_000)].concat();
    assert_eq!(until_closed(&server, &digits), r"-ERR Protocol error: too big mbulk count string\r\n");
    let digits = [&b"*1\r\n$"[..], &b"1".repeat(70_000)].concat();
    assert_eq!(until_closed(&server, &digits), r"-ERR Protocol error: too big bulk count string\r\n");
}

#[test]
fn replies_before_a_broken_request_still_arrive() {
    let server = TestServer::tidegate();
    assert_eq!(
        until_closed(&server, b"*1\r\n$4\r\nPING\r\nECHO a\r\n*x\r\nPING\r\n"),
        r"+PONG\r\n$1\r\na\r\n-ERR Protocol error: invalid multibulk length\r\n"
    );
}

#[test]
fn web_requests_are_cut_off() {
    let server = TestServer::tidegate();
    assert_eq!(until_closed(&server, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n"), "");
    let answer = until_closed(&server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n");
    assert!(!answer.contains("OK"), "{answer}");
    assert_eq!(server.client().line("EXISTS a"), Reply::Int(0));
}

#[test]
fn a_request_may_arrive_in_any_pieces() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let request =
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nva\r\nl\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nPING\r\n";
    for byte in request {
        client.send_raw(&[*byte]).expect("connected");
    }
    assert_eq!(client.read_raw().expect("answered"), b"+OK\r\n");
    assert_eq!(client.read_raw().expect("answered"), b"$5\r\nva\r\nl\r\n");
    assert_eq!(client.read_raw().expect("answered"), b"+PONG\r\n");
    for cut in 1..request.len() {
        client.send_raw(&request[..cut]).expect("connected");
        // Another client's answered PING in between makes it likely that the first part is read alone.
        assert_eq!(server.client().line("PING").text(), "PONG");
        client.send_raw(&request[cut..]).expect("connected");
        assert_eq!(client.read_raw().expect("answered"), b"+OK\r\n", "cut at {cut}");
        assert_eq!(client.read_raw().expect("answered"), b"$5\r\nva\r\nl\r\n", "cut at {cut}");
        assert_eq!(client.read_raw().expect("answered"), b"+PONG\r\n", "cut at {cut}");
    }
}

#[test]
fn commands_with_very_many_arguments() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let mut args = vec!["DEL".to_owned()];
    args.extend((0..200_000).map(|i| format!("key:{i}")));
    assert_eq!(client.call(&args), Reply::Int(0));
}

#[test]
fn the_longest_bulk_is_configurable() {
    let server = TestServer::tidegate();
    assert_eq!(server.client().line("CONFIG SET proto-max-bulk-len 1mb").text(), "OK");
    assert_eq!(
        until_closed(&server, b"*2\r\n$4\r\nECHO\r\n$1048577\r\n"),
        r"-ERR Protocol error: invalid bulk length\r\n"
    );
    let mut client = server.client();
    let value = vec![b'v'; 1 << 20];
    assert_eq!(client.call(&[&b"SET"[..], b"k", &value]).text(), "OK");
    assert_eq!(
        client.line("APPEND k x").error().expect("refused"),
        "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    );
}

#[test]
fn before_the_password_only_small_requests_are_read() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    assert_eq!(
        until_closed(&server, b"*11\r\n$3\r\nGET\r\n"),
        r"-ERR Protocol error: unauthenticated multibulk length\r\n"
    );
    assert_eq!(
        until_closed(&server, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"),
        r"-ERR Protocol error: unauthenticated bulk length\r\n"
    );
    let mut client = server.client();
    assert_eq!(client.line("AUTH secret").text(), "OK");
    client.send_raw(b"*11\r\n$3\r\nDEL\r\n").expect("connected");
    for _ in 0..10 {
        client.send_raw(b"$1\r\na\r\n").expect("connected");
    }
    assert_eq!(client.read().expect("answered"), Reply::Int(0));
}

#[test]
fn an_unauthenticated_flood_costs_no_memory() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    let mut client = server.client();
    assert_eq!(client.line("AUTH secret").text(), "OK");
    let before = server.resident_size();
    let flood = b"*2\r\n$3\r\nGET\r\n$4\r\nkey1\r\n".repeat(10_000);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.client();
                // Redis closes a client without a password that has a kilobyte of refusals waiting.
                let _ = client.send_raw(&flood);
                let _ = client.close_sending();
                let answer = client.read_to_end().expect("closed");
                assert!(
                    answer.chunks(34).all(|part| b"-NOAUTH Authentication required.\r\n".starts_with(part))
                );
            });
        }
    });
    assert_eq!(client.line("PING").text(), "PONG");
    let grown = server.resident_size().saturating_sub(before);
    assert!(grown < 64 << 20, "the flood left {grown} bytes behind");
}

#[test]
fn garbage_harms_nobody() {
    let mut server = TestServer::tidegate();
    let mut witness = server.client();
    assert_eq!(witness.line("SET witness 1").text(), "OK");
    let seed = tidegate_tests::clock::unix_us();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let pieces: &[&[u8]] = &[
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b"*3\r\n",
        b"$3\r\nSET\r\n",
        b"$3\r\nGET\r\n",
        b"$1\r\nx\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b":1\r\n",
        b"%1\r\n",
        b"PING\r\n",
        b"\"",
        b"'",
        b"\\x",
        b"\0",
        b"\xff",
        b"*1000000\r\n",
        b"$1000000\r\n",
        b"$0\r\n\r\n",
        b"*1\r\n",
        b"MULTI\r\n",
        b"EXEC\r\n",
        b"-1",
        b"99",
    ];
    for round in 0..400 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(60) {
            if random.one_in(4) {
                bytes.push(random.bits() as u8);
            } else {
                let piece = *random.pick(pieces);
                bytes.extend_from_slice(piece);
            }
        }
        let mut client = server.client();
        let _ = client.send_raw(&bytes);
        let _ = client.close_sending();
        client.read_to_end().unwrap_or_else(|error| panic!("round {round}, {}: {error}", Escaped(&bytes)));
        if round % 50 == 0 {
            assert_eq!(witness.line("GET witness").text(), "1", "round {round}");
        }
    }
    assert!(server.is_alive());
    assert_eq!(witness.line("PING").text(), "PONG");
}

#[test]
fn long_pipelines_are_answered_in_order() {
    let count = 100_000;
    let server = TestServer::tidegate();
    let mut client = server.client();
    let mut pipeline = Vec::new();
    for i in 0..count {
        tidegate_tests::resp::encode_command(&["ECHO".to_owned(), i.to_string()], &mut pipeline);
    }
    let mut reader = RespClient::connect(server.addr()).expect("connected");
    assert_eq!(reader.line("PING").text(), "PONG");
    client.send_raw(&pipeline[..pipeline.len() / 2]).expect("connected");
    assert_eq!(reader.line("PING").text(), "PONG", "others are served while a pipeline waits");
    for i in 0..count {
        if i == count / 4 {
            client.send_raw(&pipeline[pipeline.len() / 2..]).expect("connected");
        }
        assert_eq!(client.read().expect("answered").text(), i.to_string());
    }
}

#[test]
fn replies_are_sent_after_the_client_stopped_sending() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.send_raw(&b"INCR n\r\n".repeat(1_000)).expect("connected");
    client.close_sending().expect("connected");
    let answer = client.read_to_end().expect("closed after the last reply");
    let lines: Vec<String> = String::from_utf8_lossy(&answer).lines().map(ToOwned::to_owned).collect();
    let expected: Vec<String> = (1..=1_000).map(|n| format!(":{n}")).collect();
    assert_eq!(lines, expected);
}
