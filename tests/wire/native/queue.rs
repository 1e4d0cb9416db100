//! `XQUEUE.*`, and `tidegate queue top`.

use std::process::Command;

use super::play_file;
use tidegate_tests::server::{TestServer, tidegate_binary};

#[test]
fn transcripts() {
    play_file("queue.txt");
}

#[test]
fn queue_top_shows_what_the_queues_have() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    let mut client = server.client();
    for line in [
        "AUTH secret",
        "XQUEUE.PUSH jobs BODIES 4 a b c d",
        "XQUEUE.PUSH jobs DELAY 60000 BODY later",
        "XQUEUE.POP 1 jobs",
        "XQUEUE.PUSH mail BODY x",
        "XQUEUE.PAUSE mail OUT",
        "SET text x",
    ] {
        assert_eq!(client.line(line).error(), None, "{line}");
    }
    let port = server.addr().port().to_string();
    let top = |words: &[&str]| {
        let mut command = Command::new(tidegate_binary());
        command.args(["queue", "top", "--once", "--port", &port]).args(words).env_remove("REDISCLI_AUTH");
        let output = command.output().expect("it runs");
        let text =
            String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        (output.status.success(), text.into_owned())
    };
    let (is_fine, text) = top(&["--pass", "secret"]);
    assert!(is_fine, "{text}");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        "READY DELAYED LEASED DEAD PUSH/S ACK/S OLDEST WAITERS QUEUE".split(' ').collect::<Vec<_>>()
    );
    // Ready, delayed, leased and dead; the ages and rates are what the clock makes of them.
    assert_eq!((&lines[1][..4], lines[1][7], lines[1][8]), (&["3", "1", "1", "0"][..], "0", "jobs"));
    assert_eq!(
        (&lines[2][..4], &lines[2][8..]),
        (&["1", "0", "0", "0"][..], &["mail", "(paused:", "out)"][..])
    );
    assert_eq!(lines.len(), 3, "{text}");
    let (is_fine, text) = top(&["--pass", "secret", "mail", "nowhere"]);
    assert!(is_fine && text.lines().count() == 2, "{text}");
    for (words, reason) in [
        (&["--pass", "wrong"][..], "WRONGPASS"),
        (&[], "NOAUTH"),
        (&["--pass", "secret", "text"], "text: WRONGTYPE"),
        (&["--port", "1"], "Could not connect"),
    ] {
        let (is_fine, text) = top(words);
        assert!(!is_fine && text.contains(reason), "{words:?}: {text}");
    }
}
