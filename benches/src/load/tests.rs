//! The generator against small servers written here: a right one, and ones that must never score.

use std::net::{TcpListener, TcpStream};

use super::*;
use crate::workload::Cell;

const KEYS: Keyspace = Keyspace { count: 1_000, value_len: 16 };

fn short(connections: usize) -> Generator {
    let cores = cores::allowed().expect("an affinity");
    Generator {
        connections,
        cores: cores.into_iter().take(2).collect(),
        warm_up: Duration::from_millis(10),
        duration: Duration::from_millis(100),
    }
}

fn batches(cell: &str) -> Batches {
    Batches::build(cell.parse::<Cell>().expect("a valid cell"), KEYS, 1)
}

/// Serves every connection on a thread of its own until its client leaves; `answer` maps one read to the bytes to
/// send back.
fn serve(answer: impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || converse(stream, &answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &impl Fn(&[u8]) -> Vec<u8>) {
    let mut pending = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read) = stream.read(&mut chunk) {
        if read == 0 {
            return;
        }
        pending.extend_from_slice(&chunk[..read]);
        // The requests of one test all have one length, so whole requests are easily told.
        let reply = answer(&pending);
        if !reply.is_empty() {
            pending.clear();
            if stream.write_all(&reply).is_err() {
                return;
            }
        }
    }
}

/// Answers each complete request of `size` bytes with `reply`.
fn each(size: usize, reply: &'static [u8]) -> impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static {
    move |pending| {
        if pending.len().is_multiple_of(size) { reply.repeat(pending.len() / size) } else { Vec::new() }
    }
}

#[test]
fn a_right_server_is_counted_once_per_request() {
    let batches = batches("set:4");
    let server = serve(each(batches.request(0).len() / 4, b"+OK\r\n"));
    let measured = run(server, &batches, &short(5)).expect("a right server");
    assert!(measured.requests > 0);
    assert_eq!(measured.requests, measured.latency.len() * 4);
    assert!(measured.latency.percentile_us(99.0) >= measured.latency.percentile_us(50.0));
    assert!(measured.generator_busy > 0.0 && measured.generator_busy <= 1.1, "{}", measured.generator_busy);
}

#[test]
fn counters_are_counted_by_lines() {
    let batches = batches("incr:2");
    let server = serve(each(batches.request(0).len() / 2, b":1234567\r\n"));
    assert!(run(server, &batches, &short(2)).expect("a right server").requests > 0);
}

#[test]
fn a_server_that_answers_errors_does_not_score() {
    for cell in ["get:1", "set:16", "incr:2"] {
        let batches = batches(cell);
        let size = batches.request(0).len() / batches.requests_per_batch() as usize;
        let server = serve(each(size, b"-ERR unknown command\r\n"));
        let refused = run(server, &batches, &short(2)).err().expect("errors are no answers");
        assert!(
            matches!(&refused, LoadError::WrongReply(text) if text.contains("unknown command")),
            "{refused}"
        );
    }
}

#[test]
fn a_value_of_another_key_does_not_score() {
    let batches = batches("get:1");
    let server = serve(each(batches.request(0).len(), b"$16\r\n0000000000990000\r\n"));
    let refused = run(server, &batches, &short(1)).err();
    assert!(matches!(refused, Some(LoadError::WrongReply(_))), "the check compares values");
}

#[test]
fn a_connection_closed_early_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("a bound address");
    thread::spawn(move || listener.incoming().for_each(drop));
    assert!(matches!(run(server, &batches("get:1"), &short(1)), Err(LoadError::Closed)));
}

#[test]
fn preload_writes_every_key_once_and_refuses_errors() {
    let keyspace = Keyspace { count: 2_001, value_len: 16 };
    let mut one = Vec::new();
    write_set(&mut one, 0, 16);
    preload(serve(each(one.len(), b"+OK\r\n")), keyspace, 0, Content::Values).expect("a right server");
    let mut one = Vec::new();
    write_counter(&mut one, 0);
    let refused = preload(serve(each(one.len(), b"-ERR\n")), keyspace, 5, Content::Counters);
    assert!(matches!(refused, Err(LoadError::WrongReply(_))), "five bytes, but not +OK");
}
