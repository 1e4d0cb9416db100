//! `CACHE.*`.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::play_file;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

#[test]
fn transcripts() {
    play_file("cache.txt");
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

/// The status and the token of a look into the cache.
fn look(client: &mut RespClient, line: &str) -> (String, Option<i64>) {
    let Reply::Array(parts) = client.line(line) else { panic!("no array") };
    let [Reply::Bulk(status), _, token] = &parts[..] else { panic!("not three parts: {parts:?}") };
    let token = if let Reply::Int(token) = token { Some(*token) } else { None };
    (String::from_utf8_lossy(status).into_owned(), token)
}

/// Sixteen clients read through the cache while two others change what is behind it and delete the key. What is behind it only
/// grows: whoever reads less than was there when the key was deleted last was shown a stale set.
#[test]
fn nobody_stores_what_is_out_of_date() {
    let server = TestServer::tidegate();
    let (truth, deleted) = (AtomicU64::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..300 {
                    let now = truth.fetch_add(1, SeqCst) + 1;
                    client.line("DEL k");
                    deleted.fetch_max(now, SeqCst);
                }
            });
        }
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..300 {
                    let least = deleted.load(SeqCst);
                    let (status, token) = look(&mut client, "CACHE.GET k BLOCK 1000 LEASE 5000");
                    if status == "hit" {
                        continue;
                    }
                    let Some(token) = token else { continue };
                    let value = truth.load(SeqCst);
                    assert!(value >= least);
                    client.line(&format!("CACHE.PUT k {value} PX 60000 TOKEN {token}"));
                    let Reply::Array(parts) = client.line("CACHE.GET k LEASE 0") else { panic!("no array") };
                    if let Reply::Bulk(value) = &parts[1] {
                        let value: u64 = String::from_utf8_lossy(value).parse().expect("a number");
                        assert!(value >= least, "{value} was read, {least} was there before");
                    }
                }
            });
        }
    });
    let mut client = server.client();
    client.line("DEL k");
    let (status, _) = look(&mut client, "CACHE.GET k");
    assert_eq!(status, "miss");
}

/// A thousand clients' worth of requests for a key that is not there: it is computed once.
#[test]
fn a_stampede_computes_once() {
    let server = TestServer::tidegate();
    let computed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut client = server.client();
                let (status, token) = look(&mut client, "CACHE.GET page BLOCK 10000 LEASE 10000");
                if let Some(token) = token {
                    assert_eq!(status, "miss");
                    computed.fetch_add(1, SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    let put = format!("CACHE.PUT page text EX 60 TOKEN {token}");
                    assert_eq!(client.line(&put), Reply::Int(1));
                } else {
                    assert_eq!(status, "hit");
                }
            });
        }
    });
    assert_eq!(computed.load(SeqCst), 1);
    let mut client = server.client();
    assert_eq!(client.line("CACHE.GET page"), Reply::Array(vec![bulk("hit"), bulk("text"), Reply::Null]));
}
