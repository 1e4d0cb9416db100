//! Removing what is large: at once for whoever looks, freed where nobody waits for it.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient, encode_command, simple};
use tidegate_tests::server::TestServer;

use crate::transcript::{converse, show};

const PATIENCE: Duration = Duration::from_secs(20);
const MEMBERS: usize = 200_000;

fn info(client: &mut RespClient, section: &str, name: &str) -> u64 {
    let text = client.line(&format!("INFO {section}")).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

fn used(client: &mut RespClient) -> u64 {
    info(client, "memory", "used_memory")
}

/// A set of many members.
fn fill(client: &mut RespClient, key: &str) {
    for batch in 0..MEMBERS / 1000 {
        let members = (0..1000).map(|number| format!("member:{:012}", batch * 1000 + number));
        let words: Vec<String> = ["SADD".to_owned(), key.to_owned()].into_iter().chain(members).collect();
        assert_eq!(client.call(&words), Reply::Int(1000));
    }
}

#[test]
fn a_large_value_is_freed_whatever_ends_it() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("PING");
    let empty = used(&mut client);
    for removal in
        ["DEL k", "UNLINK k", "SET k x", "GETSET k x", "RENAME other k", "PEXPIRE k 1", "SPOP k 200000"]
    {
        fill(&mut client, "k");
        client.line("SET other x");
        let full = used(&mut client);
        assert!(full > empty + 5_000_000, "{removal}: {empty} bytes before, {full} with the set");
        let wrong_type = removal.starts_with("GETSET");
        assert_eq!(client.line(removal).error().is_some(), wrong_type, "{removal}");
        if wrong_type {
            client.line("DEL k");
        }
        let freed = wait_until(PATIENCE, || used(&mut client) < empty + 1_000_000);
        assert!(freed, "{removal}: {} bytes are in use", used(&mut client));
        client.line("DEL k other");
    }
}

#[test]
fn what_is_freed_in_the_background_is_counted() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let freed = |client: &mut RespClient| {
        let done = wait_until(PATIENCE, || info(client, "memory", "lazyfree_pending_objects") == 0);
        assert!(done, "nothing is freed");
        info(client, "memory", "lazyfreed_objects")
    };
    for (removal, count) in
        [("DEL k", 0), ("UNLINK k", 1), ("UNLINK small", 0), ("FLUSHALL", 0), ("FLUSHALL ASYNC", 2)]
    {
        converse(&mut client, "> FLUSHALL SYNC\nOK\n> CONFIG RESETSTAT\nOK\n> SET small x\nOK");
        fill(&mut client, "k");
        client.line(removal);
        assert_eq!(freed(&mut client), count, "{removal}");
    }
    converse(&mut client, "> CONFIG SET lazyfree-lazy-user-del yes lazyfree-lazy-user-flush yes\nOK");
    for (removal, count) in [("DEL k", 1), ("FLUSHALL", 2), ("FLUSHDB SYNC", 0)] {
        converse(&mut client, "> FLUSHALL SYNC\nOK\n> CONFIG RESETSTAT\nOK\n> SET small x\nOK");
        fill(&mut client, "k");
        client.line(removal);
        assert_eq!(freed(&mut client), count, "{removal}, lazily");
    }
}

#[test]
fn who_flushes_in_step_gets_the_reply_when_all_is_freed() {
    let server = TestServer::tidegate();
    let (mut client, mut other) = (server.client(), server.client());
    let empty = used(&mut client);
    for flush in ["FLUSHALL", "FLUSHDB SYNC"] {
        fill(&mut client, "k");
        fill(&mut client, "l");
        let mut requests = Vec::new();
        for line in ["SET a 1", flush, "SET b 2", "DBSIZE"] {
            encode_command(&line.split(' ').collect::<Vec<_>>(), &mut requests);
        }
        client.send_raw(&requests).expect("connected");
        assert_eq!(client.read().expect("an answer"), simple("OK"));
        // Others go on meanwhile, and see that nothing is left.
        assert_eq!(other.line("EXISTS k l"), Reply::Int(0));
        assert_eq!(client.read().expect("an answer"), simple("OK"), "{flush}");
        // A set takes nine; what each thread has to itself is not told of at once.
        assert!(used(&mut other) < empty + 4_000_000, "{flush}: {} bytes are in use", used(&mut other));
        assert_eq!(client.read().expect("an answer"), simple("OK"));
        assert_eq!(client.read().expect("an answer"), Reply::Int(1));
    }
    // In a transaction nothing waits; without an answer nothing waits for it either.
    fill(&mut client, "k");
    converse(&mut client, "> MULTI\nOK\n> FLUSHALL\nQUEUED\n> DBSIZE\nQUEUED\n> EXEC\n[OK 0]");
    fill(&mut client, "k");
    for line in ["CLIENT REPLY SKIP", "FLUSHALL", "DBSIZE"] {
        client.send(&line.split(' ').collect::<Vec<_>>()).expect("connected");
    }
    assert_eq!(show(&client.read().expect("an answer")), "0");
    assert!(wait_until(PATIENCE, || used(&mut client) < empty + 1_000_000));
}

#[test]
fn memory_goes_back_to_the_kernel() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let resident = |client: &mut RespClient| info(client, "memory", "used_memory_rss");
    client.line("DEBUG POPULATE 500000 key 32");
    let full = resident(&mut client);
    for removal in ["FLUSHALL ASYNC", "FLUSHALL SYNC"] {
        client.line("DEBUG POPULATE 500000 key 32");
        client.line(removal);
        let returned = wait_until(PATIENCE, || resident(&mut client) < full - 30_000_000);
        assert!(returned, "{removal}: {} bytes of {full} are resident", resident(&mut client));
    }
}
