//! Channels: who gets what, in which shape and order.

use crate::transcript::{check, converse, show};
use std::time::Duration;
use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::RespClient;
use tidegate_tests::server::TestServer;

/// Reads what must come and compares it.
fn reads(client: &mut RespClient, expected: &[&str]) {
    for expected in expected {
        assert_eq!(show(&client.read().expect("a message")), *expected);
    }
}

/// Sends a command without waiting for a reply.
fn sends(client: &mut RespClient, line: &str) {
    client.send(&line.split(' ').collect::<Vec<_>>()).expect("connected");
}

fn on_redis() -> bool {
    std::env::var_os("TIDEGATE_BIN").is_some_and(|path| path.to_string_lossy().contains("redis-server"))
}

#[test]
fn subscribing_is_confirmed_channel_by_channel() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    sends(&mut client, "SUBSCRIBE a b a");
    reads(&mut client, &[r#"["subscribe" "a" 1]"#, r#"["subscribe" "b" 2]"#, r#"["subscribe" "a" 2]"#]);
    sends(&mut client, "PSUBSCRIBE a* *");
    reads(&mut client, &[r#"["psubscribe" "a*" 3]"#, r#"["psubscribe" "*" 4]"#]);
    sends(&mut client, "SSUBSCRIBE a");
    reads(&mut client, &[r#"["ssubscribe" "a" 1]"#]);
    sends(&mut client, "UNSUBSCRIBE x a");
    reads(&mut client, &[r#"["unsubscribe" "x" 4]"#, r#"["unsubscribe" "a" 3]"#]);
    sends(&mut client, "PUNSUBSCRIBE");
    reads(&mut client, &[r#"["punsubscribe" "a*" 2]"#, r#"["punsubscribe" "*" 1]"#]);
    sends(&mut client, "SUNSUBSCRIBE a");
    reads(&mut client, &[r#"["sunsubscribe" "a" 0]"#]);
    sends(&mut client, "UNSUBSCRIBE");
    reads(&mut client, &[r#"["unsubscribe" "b" 0]"#]);
    for (command, word) in
        [("UNSUBSCRIBE", "unsubscribe"), ("PUNSUBSCRIBE", "punsubscribe"), ("SUNSUBSCRIBE", "sunsubscribe")]
    {
        sends(&mut client, command);
        reads(&mut client, &[&format!(r#"["{word}" nil 0]"#)]);
    }
    assert_eq!(show(&client.line("PING")), "PONG", "nothing is left of the subscriptions");
}

#[test]
fn messages_reach_channels_and_patterns() {
    let server = TestServer::tidegate();
    let (mut one, mut two, mut publisher) = (server.client(), server.client(), server.client());
    converse(&mut two, "> HELLO 3\n...");
    sends(&mut one, "SUBSCRIBE news.de");
    reads(&mut one, &[r#"["subscribe" "news.de" 1]"#]);
    sends(&mut two, "PSUBSCRIBE news.* nothing");
    reads(&mut two, &[r#">["psubscribe" "news.*" 1]"#, r#">["psubscribe" "nothing" 2]"#]);
    converse(
        &mut publisher,
        r#"
        > PUBLISH news.de hi
        2
        > PUBLISH news.fr ""
        1
        > PUBLISH other x
        0
        > SPUBLISH news.de x
        0
        "#,
    );
    reads(&mut one, &[r#"["message" "news.de" "hi"]"#]);
    reads(&mut two, &[r#">["pmessage" "news.*" "news.de" "hi"]"#, r#">["pmessage" "news.*" "news.fr" ""]"#]);
    sends(&mut one, "SSUBSCRIBE news.de");
    reads(&mut one, &[r#"["ssubscribe" "news.de" 1]"#]);
    converse(&mut publisher, "> SPUBLISH news.de y\n1");
    reads(&mut one, &[r#"["smessage" "news.de" "y"]"#]);
}

#[test]
fn in_resp2_a_subscriber_may_do_little_else() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    sends(&mut client, "SSUBSCRIBE a");
    reads(&mut client, &[r#"["ssubscribe" "a" 1]"#]);
    converse(
        &mut client,
        r#"
        > GET a
        -ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > CONFIG GET x
        -ERR Can't execute 'config|get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > MULTI
        -ERR Can't execute 'multi': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > NOSUCH
        -ERR unknown command 'NOSUCH', with args beginning with: 
        > GET
        -ERR wrong number of arguments for 'get' command
        > PING
        ["pong" ""]
        > PING hi
        ["pong" "hi"]
        > RESET
        RESET
        > PING
        PONG
        > PUBSUB SHARDNUMSUB a
        ["a" 0]
        > SUBSCRIBE b
        ["subscribe" "b" 1]
        > QUIT
        OK
        "#,
    );
}

#[test]
fn in_resp3_a_subscriber_may_do_everything() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > HELLO 3
        ...
        > SUBSCRIBE a
        >["subscribe" "a" 1]
        > SET k v
        OK
        > PING
        PONG
        "#,
    );
    // Its own message comes before the reply.
    sends(&mut client, "PUBLISH a hi");
    reads(&mut client, &[r#">["message" "a" "hi"]"#, "1"]);
    converse(
        &mut client,
        r#"
        > UNSUBSCRIBE
        >["unsubscribe" "a" 0]
        > PUNSUBSCRIBE
        >["punsubscribe" nil 0]
        > PUBLISH a hi
        0
        "#,
    );
}

#[test]
fn who_changes_the_protocol_gets_messages_in_the_new_one() {
    let server = TestServer::tidegate();
    let (mut client, mut publisher) = (server.client(), server.client());
    converse(&mut client, "> HELLO 3\n...\n> SUBSCRIBE a\n>[\"subscribe\" \"a\" 1]\n> HELLO 2\n...");
    converse(&mut publisher, "> PUBLISH a 1\n1");
    reads(&mut client, &[r#"["message" "a" "1"]"#]);
    converse(&mut client, "> GET a\n-ERR Can't execute 'get'...\n> RESET\nRESET");
    converse(&mut publisher, "> PUBLISH a 1\n0");
}

#[test]
fn a_transaction_publishes_and_subscribes() {
    check(
        r#"
        > MULTI
        OK
        > PUBLISH a x
        QUEUED
        > SUBSCRIBE a
        QUEUED
        > UNSUBSCRIBE a
        QUEUED
        > SSUBSCRIBE a
        QUEUED
        > PUBSUB NUMSUB a
        QUEUED
        > EXEC
        [0 ["subscribe" "a" 1] ["unsubscribe" "a" 0] -ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client ["a" 0]]
        > PING
        PONG
        "#,
    );
    let server = TestServer::tidegate();
    let (mut subscriber, mut client) = (server.client(), server.client());
    sends(&mut subscriber, "SUBSCRIBE a");
    reads(&mut subscriber, &[r#"["subscribe" "a" 1]"#]);
    converse(
        &mut client,
        "> MULTI\nOK\n> PUBLISH a 1\nQUEUED\n> PUBLISH a 2\nQUEUED\n> SUBSCRIBE b\nQUEUED\n> EXEC\n[1 1 [\"subscribe\" \"b\" 1]]\n> GET x\n-ERR Can't execute 'get'...",
    );
    reads(&mut subscriber, &[r#"["message" "a" "1"]"#, r#"["message" "a" "2"]"#]);
}

#[test]
fn pubsub_tells_who_listens() {
    let server = TestServer::tidegate();
    let (mut one, mut two, mut client) = (server.client(), server.client(), server.client());
    for subscriber in [&mut one, &mut two] {
        sends(subscriber, "SUBSCRIBE a");
        reads(subscriber, &[r#"["subscribe" "a" 1]"#]);
        sends(subscriber, "PSUBSCRIBE p*");
        reads(subscriber, &[r#"["psubscribe" "p*" 2]"#]);
    }
    sends(&mut two, "SSUBSCRIBE s");
    reads(&mut two, &[r#"["ssubscribe" "s" 1]"#]);
    let conversation = r#"
        > PUBSUB CHANNELS
        ["a"]
        > PUBSUB CHANNELS b*
        []
        > PUBSUB SHARDCHANNELS
        ["s"]
        > PUBSUB SHARDCHANNELS ?
        ["s"]
        > PUBSUB NUMSUB a b
        ["a" 2 "b" 0]
        > PUBSUB NUMSUB
        []
        > PUBSUB SHARDNUMSUB s a
        ["s" 1 "a" 0]
        > PUBSUB SHARDNUMSUB
        []
        > PUBSUB NUMPAT
        1
        > PUBSUB CHANNELS a b
        -ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.
        > PUBSUB NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try PUBSUB HELP.
        > PUBSUB NUMPAT a
        -ERR wrong number of arguments for 'pubsub|numpat' command
        > PUBSUB
        -ERR wrong number of arguments for 'pubsub' command
        > PUBSUB HELP
        [PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:...
        "#;
    converse(&mut client, conversation);
    let stats = client.line("INFO stats").text();
    for field in ["pubsub_channels:1\r\n", "pubsub_patterns:1\r\n", "pubsubshard_channels:1\r\n"] {
        assert!(stats.contains(field), "{stats}");
    }
    let list = client.line("CLIENT LIST TYPE pubsub").text();
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains(" flags=P db=0 sub=1 psub=1 ssub=1 "), "{list}");
    assert_eq!(client.line("CLIENT KILL TYPE pubsub").int(), Some(2));
    converse(&mut client, "> PUBSUB NUMSUB a\n[\"a\" 0]\n> PUBSUB CHANNELS\n[]\n> PUBLISH a 1\n0");
    let gone = wait_until(Duration::from_secs(20), || client.line("PUBSUB NUMPAT").int() == Some(0));
    assert!(gone, "the pattern of connections that are closed is forgotten");
}

#[test]
fn who_wants_no_replies_still_gets_messages() {
    let server = TestServer::tidegate();
    let (mut client, mut publisher) = (server.client(), server.client());
    converse(&mut client, "> HELLO 3\n...");
    sends(&mut client, "CLIENT REPLY OFF");
    sends(&mut client, "PING");
    sends(&mut client, "SUBSCRIBE a");
    reads(&mut client, &[r#">["subscribe" "a" 1]"#]);
    sends(&mut client, "PUBLISH a 1");
    reads(&mut client, &[r#">["message" "a" "1"]"#]);
    converse(&mut publisher, "> PUBLISH a 2\n1");
    reads(&mut client, &[r#">["message" "a" "2"]"#]);
    sends(&mut client, "UNSUBSCRIBE a");
    reads(&mut client, &[r#">["unsubscribe" "a" 0]"#]);
    sends(&mut client, "CLIENT REPLY ON");
    reads(&mut client, &["OK"]);
    sends(&mut client, "CLIENT REPLY SKIP");
    sends(&mut client, "SUBSCRIBE b");
    reads(&mut client, &[r#">["subscribe" "b" 1]"#]);
    converse(&mut client, "> PING\nPONG");
}

#[test]
fn publishing_waits_for_the_end_of_a_pause_of_writes() {
    let server = TestServer::tidegate();
    let (mut client, mut publisher) = (server.client(), server.client());
    converse(&mut client, "> CLIENT PAUSE 100000 WRITE\nOK");
    sends(&mut publisher, "PUBLISH a 1");
    let waits = wait_until(Duration::from_secs(20), || {
        client.line("INFO clients").text().contains("blocked_clients:1\r\n")
    });
    assert!(waits);
    converse(&mut client, "> CLIENT UNPAUSE\nOK");
    reads(&mut publisher, &["0"]);
}

#[test]
fn a_channel_may_have_any_name() {
    let server = TestServer::tidegate();
    let (mut client, mut publisher) = (server.client(), server.client());
    for channel in [&b""[..], b"a b", b"\r\n", b"\0\xff"] {
        client.send(&[b"SUBSCRIBE", channel]).expect("connected");
        client.read().expect("a confirmation");
        assert_eq!(publisher.call(&[b"PUBLISH", channel, b"\r\n"]).int(), Some(1));
        assert_eq!(client.read().expect("a message").items().expect("an array")[1].bytes(), Some(channel));
    }
}

/// The load on each of eight channels: many publishers at once, subscribers on all threads.
#[test]
fn every_subscriber_gets_all_messages_of_a_channel_in_one_order() {
    const MESSAGES: usize = 400;
    let server = TestServer::tidegate_with(if on_redis() { &[] } else { &["--io-threads", "4"] });
    let mut subscribers: Vec<RespClient> = (0..24).map(|_| server.client()).collect();
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        if index % 3 == 0 {
            subscriber.line("HELLO 3");
        }
        let command = match index % 4 {
            0 => "PSUBSCRIBE c[0-7]",
            _ => "SUBSCRIBE c0 c1 c2 c3 c4 c5 c6 c7",
        };
        sends(subscriber, command);
        for _ in 0..command.split(' ').count() - 1 {
            subscriber.read().expect("a confirmation");
        }
    }
    let addr = server.addr();
    let publishers: Vec<_> = (0..8)
        .map(|publisher| {
            std::thread::spawn(move || {
                let mut client = RespClient::connect(addr).expect("it listens");
                for round in 0..MESSAGES / 8 {
                    let mut batch = Vec::new();
                    for n in 0..8 {
                        let (channel, message) = (format!("c{n}"), format!("{publisher}:{}", round * 8 + n));
                        tidegate_tests::resp::encode_command(&["PUBLISH", &channel, &message], &mut batch);
                    }
                    client.send_raw(&batch).expect("connected");
                    for _ in 0..8 {
                        assert_eq!(client.read().expect("a reply").int(), Some(24));
                    }
                }
            })
        })
        .collect();
    let received: Vec<Vec<Vec<String>>> = subscribers
        .iter_mut()
        .map(|subscriber| {
            let mut channels = vec![Vec::new(); 8];
            for _ in 0..8 * MESSAGES {
                let message = subscriber.read().expect("no message is lost");
                let items = message.items().expect("a message is a list");
                let [.., channel, text] = items else { panic!("{message:?}") };
                let index: usize = channel.text()[1..].parse().expect("one of the channels");
                channels[index].push(text.text());
            }
            channels
        })
        .collect();
    for publisher in publishers {
        publisher.join().expect("it published everything");
    }
    for channels in &received {
        assert_eq!(channels, &received[0], "everybody sees a channel in the same order");
    }
    for channel in &received[0] {
        assert_eq!(channel.len(), MESSAGES);
        for publisher in 0..8 {
            let own: Vec<usize> = channel
                .iter()
                .filter_map(|text| text.strip_prefix(&format!("{publisher}:"))?.parse().ok())
                .collect();
            assert_eq!(own.len(), MESSAGES / 8);
            assert!(own.is_sorted(), "a publisher's messages stay in their order: {own:?}");
        }
    }
}

#[test]
fn who_never_reads_is_closed_and_nobody_else_is() {
    let server = TestServer::tidegate_with(&["--client-output-buffer-limit", "pubsub 8mb 0 0"]);
    let (mut laggard, mut reader, mut publisher) = (server.client(), server.client(), server.client());
    for subscriber in [&mut laggard, &mut reader] {
        sends(subscriber, "SUBSCRIBE a");
        reads(subscriber, &[r#"["subscribe" "a" 1]"#]);
    }
    let message = vec![b'x'; 100_000];
    let before = server.resident_size();
    let mut sent = 0;
    // The kernel keeps some megabytes on the way.
    while publisher.call(&[&b"PUBLISH"[..], b"a", &message]).int() == Some(2) {
        assert_eq!(reader.read().expect("a message").items().map(<[_]>::len), Some(3));
        sent += 1;
        assert!(sent < 2000, "200 MB wait for somebody who may have 8");
    }
    assert!(sent >= 80, "closed too early, after {sent} messages");
    assert!(server.peak_size() < before + (40 << 20), "memory is not bounded");
    reads(
        &mut reader,
        &[&show(&tidegate_tests::resp::Reply::Array(vec![
            tidegate_tests::resp::bulk("message"),
            tidegate_tests::resp::bulk("a"),
            tidegate_tests::resp::bulk(&message),
        ]))],
    );
    converse(&mut publisher, "> PUBSUB NUMSUB a\n[\"a\" 1]");
    let logged = server.log().contains("closed ASAP for overcoming of output buffer limits.");
    assert!(logged || on_redis(), "{}", server.log());
}
