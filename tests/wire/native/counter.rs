//! `CTR.*`, `UNIQ.*`, `SEQ.*`, `ID.*`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::play_file;
use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

#[test]
fn transcripts() {
    play_file("counter.txt");
}

fn bulk(reply: Reply) -> String {
    match reply {
        Reply::Bulk(text) => String::from_utf8(text).expect("text"),
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn ids_begin_with_the_time() {
    let server = TestServer::tidegate_with(&["--debug-clock-freeze", "1700000000000", "--id-node", "5"]);
    let mut client = server.client();
    let ulid = bulk(client.line("ID.ULID"));
    assert!(ulid.starts_with("01HF7YAT00") && ulid.len() == 26, "{ulid}");
    let next = bulk(client.line("ID.ULID"));
    assert!(next > ulid, "{next} comes after {ulid}");
    let uuid = bulk(client.line("ID.UUID7"));
    assert!(uuid.starts_with("018bcfe5-6800-7") && uuid.len() == 36, "{uuid}");
    assert!(bulk(client.line("ID.SNOWFLAKE")).starts_with("512389598412820"));
}

/// Over threads, restarts, and a clock that is stepped back meanwhile.
#[test]
fn no_id_comes_twice() {
    let options = ["--appendonly", "yes", "--io-threads", "2", "--id-node", "7"];
    let mut server = TestServer::tidegate_with(&options);
    let mut seen = BTreeSet::new();
    let mut last = 0;
    for round in 0..3 {
        let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
        for _ in 0..50 {
            for client in &mut clients {
                client
                    .send(&[b"ID.SNOWFLAKE".to_vec(), b"COUNT".to_vec(), b"200".to_vec()])
                    .expect("it is sent");
            }
            for client in &mut clients {
                let Reply::Array(ids) = client.read().expect("a reply") else { panic!("no ids") };
                for id in ids {
                    let id: u64 = bulk(id).parse().expect("a number");
                    assert!(seen.insert(id), "{id} comes twice");
                }
            }
        }
        // A change has the journal hear of the clock.
        clients[0].line("SEQ.NEXT s");
        let newest = *seen.last().expect("there are ids");
        assert!(newest > last, "round {round}");
        last = newest;
        drop(clients);
        server.restart_loading(&options[..0]).expect("it starts again");
        let pong = || server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
        assert!(tidegate_tests::clock::wait_until(Duration::from_secs(20), pong), "it is loaded");
    }
}

#[test]
fn what_the_journal_hears_of_later_survives_a_shutdown() {
    let mut server = TestServer::tidegate_with(&["--appendonly", "yes", "--native-soft-flush-ms", "60000"]);
    let mut client = server.client();
    for n in 1..=100 {
        client.line(&format!("CTR.ADD hits {n}"));
        client.line(&format!("CTR.ADD hits:{} 1", n % 5));
    }
    // Other commands find what the journal has not heard of.
    assert_eq!(client.line("RENAME hits all"), Reply::Simple(b"OK".to_vec()));
    assert_eq!(client.line("CTR.ADD all 1"), Reply::Int(5051));
    client.send(&[b"SHUTDOWN"]).expect("it is sent");
    assert_eq!(server.exit_code(Duration::from_secs(20)), Some(0));
    drop(client);
    server.restart_loading(&[]).expect("it starts again");
    let pong = || server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
    assert!(tidegate_tests::clock::wait_until(Duration::from_secs(20), pong), "it is loaded");
    let mut client = server.client();
    assert_eq!(client.line("CTR.ADD all 0"), Reply::Int(5051));
    assert_eq!(client.line("CTR.ADD hits:3 0"), Reply::Int(20));
    assert_eq!(client.line("EXISTS hits"), Reply::Int(0));
}

#[test]
fn events() {
    let server = TestServer::tidegate_with(&["--notify-keyspace-events", "KEA"]);
    let mut hears = server.client();
    hears.line("SUBSCRIBE __keyevent@0__:seq.wrap __keyevent@0__:seq.exhausted");
    hears.read().expect("the second subscription");
    let mut client = server.client();
    client.line("SEQ.SET s MAX 2");
    client.line("SEQ.NEXT s COUNT 2");
    client.line("SEQ.SET s CYCLE");
    client.line("SEQ.NEXT s");
    for name in ["seq.exhausted", "seq.wrap"] {
        let message = format!("{:?}", hears.read().expect("an event"));
        let channel = format!("__keyevent@0__:{name}");
        let wanted = format!("{:?}", Reply::Bulk(channel.into_bytes()));
        assert!(message.contains(&wanted), "{message} lacks {wanted}");
    }
}
