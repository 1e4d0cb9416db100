//! `CB.*`.

use std::time::Duration;

use super::play_file;
use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

#[test]
fn transcripts() {
    play_file("breaker.txt");
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

#[test]
fn caches_and_listeners_hear_of_states_and_not_of_calls() {
    let server = TestServer::tidegate_with(&["--notify-keyspace-events", "KEd"]);
    let (mut instance, mut caller, mut listener) = (server.client(), server.client(), server.client());
    listener.line("SUBSCRIBE __keyevent@0__:cb.open __keyevent@0__:cb.closed");
    listener.read().expect("the second subscription");
    instance.line("HELLO 3");
    instance.line("CLIENT TRACKING ON");
    instance.line("CB.GET pay");
    caller.line("CB.SET pay MINCALLS 4");
    let invalidation = Reply::Push(vec![bulk("invalidate"), Reply::Array(vec![bulk("pay")])]);
    assert_eq!(instance.read().expect("news of a new breaker"), invalidation);
    instance.line("CB.GET pay");
    assert_eq!(caller.line("CB.REPORT pay 2 1"), bulk("closed"));
    assert_eq!(instance.line("PING"), Reply::Simple(b"PONG".to_vec()), "calls are no news");
    assert_eq!(caller.line("CB.REPORT pay 0 1"), bulk("open"));
    assert_eq!(instance.read().expect("news of another state"), invalidation);
    let event = |name: &str| {
        Reply::Array(vec![bulk("message"), bulk(&format!("__keyevent@0__:{name}")), bulk("pay")])
    };
    assert_eq!(listener.read().expect("an event"), event("cb.open"));
    caller.line("CB.FORCE pay CLOSED");
    assert_eq!(listener.read().expect("an event"), event("cb.closed"));
}

#[test]
fn what_the_journal_hears_of_later_survives_a_shutdown() {
    let mut server = TestServer::tidegate_with(&[
        "--appendonly",
        "yes",
        "--native-soft-flush-ms",
        "60000",
        "--debug-clock-freeze",
        "1700000000000",
    ]);
    let mut client = server.client();
    client.line("CB.SET pay MINCALLS 100");
    for _ in 0..5 {
        client.line("CB.REPORT pay 3 1");
    }
    let before = client.line("CB.GET pay");
    client.send(&[b"SHUTDOWN"]).expect("it is sent");
    assert_eq!(server.exit_code(Duration::from_secs(20)), Some(0));
    drop(client);
    server.restart_loading(&["--debug-clock-freeze", "1700000000000"]).expect("it starts again");
    let pong = || server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
    assert!(tidegate_tests::clock::wait_until(Duration::from_secs(20), pong), "it is loaded");
    assert_eq!(server.client().line("CB.GET pay"), before);
}
