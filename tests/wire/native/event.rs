//! `EV.APPEND` and `XADD EXPECT`.

use std::time::Duration;

use super::play_file;
use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

#[test]
fn transcripts() {
    play_file("event.txt");
}

/// Events of one append.
const BATCH: i64 = 5;

/// A writer appends five events at a time; the server is killed in the midst of it, ten times. Whatever was not answered is sent
/// again under the same name: no append is there in part, none is lost, none twice.
#[test]
fn a_server_that_is_killed_has_whole_appends_and_each_once() {
    let mut server = TestServer::tidegate_with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let (mut done, mut version) = (0, 0);
    for round in 0..10 {
        let mut client = server.client();
        let pid = server.pid();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(20 + 13 * round));
                let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
                assert!(killed.expect("there is kill").success());
            });
            loop {
                let mut words: Vec<String> = ["EV.APPEND", "o", "ANY"].map(str::to_owned).into();
                words.push(BATCH.to_string());
                words.extend((0..BATCH).flat_map(|event| [format!("T{event}"), format!("{done}")]));
                words.extend(["IDEM".to_owned(), format!("append-{done}")]);
                let Ok(()) = client.send(&words) else { break };
                match client.read() {
                    Ok(Reply::Int(now)) => {
                        assert_eq!(now, version + BATCH, "append {done}");
                        (version, done) = (now, done + 1);
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => break,
                }
            }
        });
        server.restart_loading(&[]).expect("it starts again");
        let pong = || server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
        assert!(tidegate_tests::clock::wait_until(Duration::from_secs(20), pong), "it is loaded");
        let mut client = server.client();
        let Reply::Int(len) = client.line("XLEN o") else { panic!("no length") };
        // What was answered is there; the one that was not may be, but then all of it.
        assert!(len == version || len == version + BATCH, "{len} events, {version} were answered");
    }
    assert!(done > 10, "{done} appends");
    let mut client = server.client();
    let Reply::Array(entries) = client.line("XRANGE o - +") else { panic!("no entries") };
    for (at, entry) in entries.iter().enumerate() {
        let Reply::Array(parts) = entry else { panic!("no entry") };
        let Reply::Array(fields) = &parts[1] else { panic!("no fields") };
        let (append, event) = (at as i64 / BATCH, at as i64 % BATCH);
        assert_eq!(fields[1], Reply::Bulk(format!("T{event}").into_bytes()), "entry {at}");
        assert_eq!(fields[3], Reply::Bulk(append.to_string().into_bytes()), "entry {at}");
    }
}
