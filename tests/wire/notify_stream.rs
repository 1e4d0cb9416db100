//! `notify-stream`: keyspace events appended to a stream.

use crate::transcript::{converse, show};
use std::thread;
use std::time::Duration;
use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

fn recording(classes: &str) -> TestServer {
    TestServer::tidegate_with(&["--notify-stream", "events", "--notify-keyspace-events", classes])
}

/// The entries so far as `event key`, with the database behind it unless that is the first. Empties the stream.
fn recorded(client: &mut RespClient) -> String {
    converse(client, "> SELECT 0\nOK");
    // Both at once: what comes in between would be lost.
    for line in ["MULTI", "XRANGE events - +", "XTRIM events MAXLEN 0"] {
        client.line(line);
    }
    let replies = client.line("EXEC");
    let entries = &replies.items().expect("two replies")[0];
    let mut told = Vec::new();
    for entry in entries.items().expect("a list of entries") {
        let [_, fields] = entry.items().expect("an id and fields") else { panic!("{}", show(entry)) };
        let words: Vec<String> = fields.items().expect("fields").iter().map(Reply::text).collect();
        let [event, name, key, of_key, db, number] = &words[..] else { panic!("{words:?}") };
        assert_eq!([&**event, &**key, &**db], ["event", "key", "db"]);
        told.push(if number == "0" {
            format!("{name} {of_key}")
        } else {
            format!("{name} {of_key}@{number}")
        });
    }
    told.join(", ")
}

#[test]
fn events_are_recorded_in_the_order_of_what_happened() {
    let server = recording("Amn");
    let mut client = server.client();
    for (commands, events) in [
        ("SET a 1", "new a, set a"),
        ("GET nosuch", "keymiss nosuch"),
        ("MSET a 1 b 2", "set a, new b, set b"),
        ("HSET h f v|HDEL h f", "new h, hset h, hdel h, del h"),
        ("SELECT 3|LPUSH l x|MOVE l 0", "new l@3, lpush l@3, new l, move_from l@3, move_to l"),
        ("RENAME a c", "new c, rename_from a, rename_to c"),
        ("MULTI|INCR n|DEL b c|EXEC", "new n, incrby n, del b, del c"),
        ("EVAL \"redis.call('SET',KEYS[1],1) redis.call('DEL','n')\" 1 k", "new k, set k, del n"),
        // Of the stream itself nothing is recorded.
        ("XADD events 1-* a b|XGROUP CREATE events g $|XGROUP DESTROY events g", ""),
    ] {
        for command in commands.split('|') {
            let reply = client.call(&crate::transcript::words(command));
            assert!(reply.error().is_none() || command.starts_with("XADD"), "{command}: {}", show(&reply));
        }
        assert_eq!(recorded(&mut client), events, "{commands}");
    }
}

#[test]
fn what_is_removed_because_its_time_has_come_is_recorded() {
    let server = TestServer::tidegate_with(&[
        "--notify-stream",
        "events",
        "--notify-keyspace-events",
        "x",
        "--enable-debug-command",
        "yes",
    ]);
    let mut client = server.client();
    // Whoever only reads does not see it, and leaves it to others to remove it.
    converse(
        &mut client,
        "> DEBUG SET-ACTIVE-EXPIRE 0\nOK\n> SET a 1 PX 1\nOK\n> SET b 1 PX 1\nOK\n> BLPOP none 0.02\nnil\n> GET a\nnil",
    );
    assert_eq!(recorded(&mut client), "");
    converse(&mut client, "> APPEND b x\n1");
    assert_eq!(recorded(&mut client), "expired b");
    converse(&mut client, "> DEBUG SET-ACTIVE-EXPIRE 1\nOK");
    assert!(wait_until(Duration::from_secs(20), || recorded(&mut client) == "expired a"));
}

#[test]
fn waiting_requests_are_recorded_and_readers_of_the_stream_are_woken() {
    let server = recording("l");
    let (mut client, mut waiting, mut reader) = (server.client(), server.client(), server.client());
    waiting.send(&["BLPOP", "list", "0"]).expect("connected");
    reader.send(&["XREAD", "BLOCK", "0", "STREAMS", "events", "$"]).expect("connected");
    let wait = || client.line("INFO clients").text().contains("blocked_clients:2\r\n");
    assert!(wait_until(Duration::from_secs(20), wait));
    client.line("RPUSH list 1");
    let heard = show(&reader.read().expect("an entry"));
    assert!(heard.contains(r#"["event" "rpush" "key" "list" "db" "0"]"#), "{heard}");
    waiting.read().expect("the element");
    assert_eq!(recorded(&mut client), "rpush list, lpop list");
}

#[test]
fn settings_say_where_and_how_much() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > CONFIG GET notify-stream*
        ["notify-stream" "" "notify-stream-db" "0" "notify-stream-maxlen" "10000"]
        > CONFIG SET notify-stream events notify-stream-db 99
        -ERR CONFIG SET failed (possibly related to argument 'notify-stream') - notify-stream-db is out of range
        > CONFIG SET notify-stream events notify-stream-db 1 notify-stream-maxlen 100 notify-keyspace-events $
        OK
        "#,
    );
    for n in 0..2000 {
        client.line(&format!("SET k{n} v"));
    }
    converse(&mut client, "> SELECT 1\nOK");
    let Reply::Int(len) = client.line("XLEN events") else { panic!("no length") };
    assert!((100..300).contains(&len), "{len}");
    // What is no stream takes no events, which is counted; commands work as ever.
    converse(
        &mut client,
        "> DEL events\n1\n> SET events x\nOK\n> SET a 1\nOK\n> CONFIG SET notify-stream \"\"\nOK\n> SET a 2\nOK",
    );
    assert!(client.line("INFO stats").text().contains("notify_stream_lost:1\r\n"));
}

const WRITERS: usize = 4;
const PUSHES: usize = 500;

#[test]
fn a_group_gets_every_event_once_in_the_order_of_each_key() {
    let server = TestServer::tidegate_with(&[
        "--notify-stream",
        "events",
        "--notify-stream-maxlen",
        "0",
        "--notify-keyspace-events",
        "l",
    ]);
    let mut client = server.client();
    converse(&mut client, "> XGROUP CREATE events workers $ MKSTREAM\nOK");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut client = server.client();
            scope.spawn(move || {
                for n in 0..PUSHES {
                    let command = if n % 2 == 0 { "RPUSH" } else { "LPUSH" };
                    client.line(&format!("{command} list{writer} x"));
                }
            });
        }
    });
    let mut seen = vec![Vec::new(); WRITERS];
    loop {
        let reply = client.line("XREADGROUP GROUP workers one COUNT 100 NOACK STREAMS events >");
        if reply == Reply::Null {
            break;
        }
        let text = show(&reply);
        for entry in text.split("\"event\" ").skip(1) {
            let words: Vec<&str> = entry.split('"').collect();
            let writer: usize = words[5].trim_start_matches("list").parse().expect("a writer");
            seen[writer].push(words[1].to_owned());
        }
    }
    for events in seen {
        assert_eq!(events.len(), PUSHES);
        assert!(events.iter().enumerate().all(|(n, event)| event == ["rpush", "lpush"][n % 2]));
    }
}
