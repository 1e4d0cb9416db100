//! Client-side caching: who hears of which keys, when, and in which form.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, show, words};

const PATIENCE: Duration = Duration::from_secs(20);

/// Several connections to one server, by a letter each. `a> GET k` sends a command, `a< "v"` is what comes next on that
/// connection, reply or push.
struct Talk {
    server: TestServer,
    clients: BTreeMap<String, RespClient>,
}

impl Talk {
    fn new() -> Self {
        Talk { server: TestServer::tidegate(), clients: BTreeMap::new() }
    }

    fn client(&mut self, name: &str) -> &mut RespClient {
        self.clients.entry(name.to_owned()).or_insert_with(|| self.server.client())
    }

    fn id(&mut self, name: &str) -> i64 {
        self.client(name).line("CLIENT ID").int().expect("an id")
    }

    fn run(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
            let (name, rest) = line.split_at(line.find(['>', '<']).expect("a name and a direction"));
            let client = self.client(name);
            if let Some(command) = rest.strip_prefix('>') {
                client.send(&words(command.trim())).expect("the connection takes a command");
            } else {
                let shown =
                    show(&client.read().unwrap_or_else(|error| panic!("nothing came for {line}: {error}")));
                assert_eq!(shown, rest[1..].trim(), "{line}\n{}", self.server.log());
            }
        }
    }
}

#[test]
fn a_reader_hears_once_of_a_change() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON
        a< OK
        b> MSET k 1 other 1
        b< OK
        a> GET k
        a< "1"
        b> SET other 2
        b< OK
        b> SET k 2
        b< OK
        a> PING
        a< >["invalidate" ["k"]]
        a< PONG
        b> SET k 3
        b< OK
        a> PING
        a< PONG
        // Its own change: after the reply. A key that is not there counts as read, too.
        a> MGET k nosuch
        a< ["3" nil]
        a> SET k 4
        a< OK
        a< >["invalidate" ["k"]]
        b> SELECT 3
        b< OK
        // The database does not matter.
        b> SET nosuch 1
        b< OK
        a> PING
        a< >["invalidate" ["nosuch"]]
        a< PONG
        "#,
    );
}

#[test]
fn every_way_a_value_goes_is_a_change() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.client("a").line("CLIENT TRACKING ON");
    for change in [
        "DEL k",
        "UNLINK k",
        "RENAME k other",
        "RENAME source k",
        "COPY source k REPLACE",
        "MOVE k 1",
        "PEXPIRE k -1",
        "EXPIRE k 100",
        "GETDEL k",
        "GETSET k v",
        "APPEND k x",
        "GETEX k EX 100",
        "SETRANGE k 3 x",
    ] {
        talk.client("b").line("FLUSHALL");
        assert_eq!(show(&talk.client("a").read().expect("a push")), r#">["invalidate" nil]"#);
        for line in ["SET k v", "SET source v"] {
            talk.client("b").line(line);
        }
        talk.client("a").line("GET k");
        assert_eq!(talk.client("b").line(change).error(), None, "{change}");
        assert_eq!(show(&talk.client("a").read().expect("a push")), r#">["invalidate" ["k"]]"#, "{change}");
    }
    // Nothing came twice.
    talk.run("a> PING\na< PONG");
}

#[test]
fn what_only_looks_is_a_read_and_what_writes_is_none() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.client("a").line("CLIENT TRACKING ON");
    talk.client("b").line("RPUSH l a");
    for read in [
        "TYPE l",
        "TTL l",
        "EXISTS l",
        "LLEN l",
        "LRANGE l 0 -1",
        "OBJECT ENCODING l",
        "MEMORY USAGE l",
        "DUMP l",
        "GET l",
        "TOUCH l",
    ] {
        talk.client("a").line(read);
        talk.client("b").line("RPUSH l a");
        assert_eq!(show(&talk.client("a").read().expect("a push")), r#">["invalidate" ["l"]]"#, "{read}");
    }
    for other in ["LPUSH l a", "WATCH l", "KEYS *", "SCAN 0", "DBSIZE", "UNWATCH"] {
        talk.client("a").line(other);
        talk.client("b").line("RPUSH l a");
    }
    talk.run("a> PING\na< PONG");
}

#[test]
fn keys_that_end_are_told_to_everybody() {
    let mut talk = Talk::new();
    for name in ["a", "b"] {
        talk.client(name).line("HELLO 3");
    }
    talk.run(
        r#"
        a> CLIENT TRACKING ON NOLOOP
        a< OK
        b> CLIENT TRACKING ON BCAST NOLOOP
        b< OK
        c> SET k v
        c< OK
        b< >["invalidate" ["k"]]
        a> GET k
        a< "v"
        c> PEXPIRE k 300
        c< 1
        a< >["invalidate" ["k"]]
        b< >["invalidate" ["k"]]
        a> GET k
        a< "v"
        a< >["invalidate" ["k"]]
        b< >["invalidate" ["k"]]
        "#,
    );
}

#[test]
fn a_transaction_is_told_of_at_its_end() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON
        a< OK
        a> MSET x 1 y 1
        a< OK
        a> GET x
        a< "1"
        a> MULTI
        a< OK
        a> INCR x
        a< QUEUED
        a> GET y
        a< QUEUED
        a> FLUSHDB
        a< QUEUED
        a> GET y
        a< QUEUED
        a> EXEC
        a< [2 "1" OK nil]
        a< >["invalidate" ["x"]]
        a< >["invalidate" nil]
        b> SET y 2
        b< OK
        a> PING
        a< >["invalidate" ["y"]]
        a< PONG
        "#,
    );
}

#[test]
fn what_a_client_does_not_want_to_hear() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON NOLOOP
        a< OK
        a> MGET mine theirs
        a< [nil nil]
        a> SET mine 1
        a< OK
        b> SET theirs 1
        b< OK
        a> PING
        a< >["invalidate" ["theirs"]]
        a< PONG
        a> CLIENT TRACKING OFF
        a< OK
        a> CLIENT TRACKING ON OPTIN
        a< OK
        a> GET one
        a< nil
        a> CLIENT CACHING YES
        a< OK
        a> CLIENT TRACKINGINFO
        a< {"flags": #{"on" "optin" "caching-yes"} "redirect": 0 "prefixes": []}
        a> GET two
        a< nil
        a> GET three
        a< nil
        a> CLIENT CACHING YES
        a< OK
        a> MULTI
        a< OK
        a> GET four
        a< QUEUED
        a> GET five
        a< QUEUED
        a> EXEC
        a< [nil nil]
        a> GET six
        a< nil
        b> MSET one 1 two 1 three 1 four 1 five 1 six 1
        b< OK
        a< >["invalidate" ["two"]]
        a< >["invalidate" ["four"]]
        a< >["invalidate" ["five"]]
        a> PING
        a< PONG
        a> CLIENT TRACKING OFF
        a< OK
        a> CLIENT TRACKING ON OPTOUT
        a< OK
        a> CLIENT CACHING NO
        a< OK
        a> CLIENT TRACKINGINFO
        a< {"flags": #{"on" "optout" "caching-no"} "redirect": 0 "prefixes": []}
        a> GET one
        a< "1"
        a> GET two
        a< "1"
        b> MSET one 1 two 2
        b< OK
        a< >["invalidate" ["two"]]
        a> PING
        a< PONG
        "#,
    );
}

#[test]
fn prefixes_are_told_together_at_the_end() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.client("b").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON BCAST PREFIX x: PREFIX y: NOLOOP
        a< OK
        b> CLIENT TRACKING ON BCAST
        b< OK
        c> MSET y:1 a x:2 b x:1 c z:1 d
        c< OK
        a< >["invalidate" ["x:1" "x:2"]]
        a< >["invalidate" ["y:1"]]
        b< >["invalidate" ["x:1" "x:2" "y:1" "z:1"]]
        a> MSET x:1 a z a
        a< OK
        b< >["invalidate" ["x:1" "z"]]
        // What was read before is not told in the other way as well.
        b> CLIENT TRACKING OFF
        b< OK
        b> CLIENT TRACKING ON
        b< OK
        b> GET x:1
        b< "a"
        b> CLIENT TRACKING OFF
        b< OK
        b> CLIENT TRACKING ON BCAST
        b< OK
        b> DEL x:1
        b< 1
        b< >["invalidate" ["x:1"]]
        a< >["invalidate" ["x:1"]]
        a> CLIENT TRACKINGINFO
        a< {"flags": #{"on" "bcast" "noloop"} "redirect": 0 "prefixes": ["x:" "y:"]}
        a> CLIENT TRACKING ON BCAST PREFIX z
        a< OK
        c> SET z 1
        c< OK
        a< >["invalidate" ["z"]]
        a> CLIENT TRACKING OFF
        a< OK
        c> SET z 2
        c< OK
        a> PING
        a< PONG
        "#,
    );
    let info = talk.client("c").line("INFO").text();
    for field in ["tracking_clients:1", "tracking_total_prefixes:1", "tracking_total_keys:0"] {
        assert!(info.contains(field), "no {field}");
    }
}

#[test]
fn options_that_do_not_go_together() {
    check(
        r#"
        > CLIENT TRACKING ON PREFIX a
        -ERR PREFIX option requires BCAST mode to be enabled
        > CLIENT TRACKING ON BCAST OPTIN
        -ERR OPTIN and OPTOUT are not compatible with BCAST
        > CLIENT TRACKING ON OPTIN OPTOUT
        -ERR You can't specify both OPTIN mode and OPTOUT mode
        > CLIENT TRACKING ON REDIRECT 999999
        -ERR The client ID you want redirect to does not exist
        > CLIENT TRACKING ON BCAST PREFIX FOOBAR PREFIX FOO
        -ERR Prefix 'FOOBAR' overlaps with another provided prefix 'FOO'. Prefixes for a single client must not overlap.
        > CLIENT TRACKINGINFO
        ["flags" ["off"] "redirect" -1 "prefixes" []]
        > CLIENT TRACKING ON BCAST PREFIX FOO PREFIX BAR
        OK
        > CLIENT TRACKING ON BCAST PREFIX FO
        -ERR Prefix 'FO' overlaps with an existing prefix 'FOO'. Prefixes for a single client must not overlap.
        > CLIENT TRACKING ON
        -ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT CACHING yes
        -ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.
        > CLIENT TRACKING OFF
        OK
        > CLIENT TRACKING ON OPTIN
        OK
        > CLIENT TRACKING ON OPTOUT
        -ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT CACHING no
        -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
        > CLIENT CACHING maybe
        -ERR syntax error
        > CLIENT GETREDIR
        0
        > RESET
        RESET
        > CLIENT GETREDIR
        -1
        "#,
    );
}

#[test]
fn another_connection_hears_instead() {
    let mut talk = Talk::new();
    let target = talk.id("r");
    talk.client("r").line("HELLO 3");
    talk.run(&format!(
        r#"
        a> CLIENT TRACKING ON REDIRECT {target} REDIRECT {target}
        a< -ERR A client can only redirect to a single other client
        a> CLIENT TRACKING ON REDIRECT {target}
        a< OK
        a> CLIENT GETREDIR
        a< {target}
        a> GET k
        a< nil
        b> SET k 1
        b< OK
        r< >["invalidate" ["k"]]
        "#
    ));
    let id = talk.id("a");
    let list = talk.client("b").line(&format!("CLIENT LIST ID {id}")).text();
    assert!(list.contains(" flags=t ") && list.contains(&format!(" redir={target} ")), "{list}");
    // Without it there is nobody to tell; RESP3 can say so itself.
    talk.client("a").line("HELLO 3");
    talk.run(&format!(
        r#"
        a> GET k
        a< "1"
        b> CLIENT KILL ID {target}
        b< 1
        b> SET k 2
        b< OK
        a< >["tracking-redir-broken" {target}]
        a> CLIENT TRACKINGINFO
        a< {{"flags": #{{"on" "broken_redirect"}} "redirect": {target} "prefixes": []}}
        a> CLIENT TRACKING OFF
        a< OK
        "#
    ));
    let list = talk.client("b").line(&format!("CLIENT LIST ID {id}")).text();
    assert!(list.contains(" flags=N ") && list.contains(" redir=-1 "), "{list}");
}

#[test]
fn no_reply_is_wanted_but_invalidations_are() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON
        a< OK
        a> MGET k own
        a< [nil nil]
        a> CLIENT REPLY OFF
        b> SET k 1
        b< OK
        a< >["invalidate" ["k"]]
        a> SET own 1
        a< >["invalidate" ["own"]]
        a> CLIENT REPLY ON
        a< OK
        "#,
    );
}

#[test]
fn who_waited_hears_after_its_reply() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.run(
        r#"
        a> CLIENT TRACKING ON
        a< OK
        b> RPUSH target x
        b< 1
        a> LRANGE target 0 -1
        a< ["x"]
        a> BLMOVE source target LEFT LEFT 0
        "#,
    );
    let blocked =
        |talk: &mut Talk| talk.client("b").line("INFO clients").text().contains("blocked_clients:1");
    assert!(wait_until(PATIENCE, || blocked(&mut talk)));
    talk.run(
        r#"
        b> RPUSH source y
        b< 1
        a< "y"
        a< >["invalidate" ["target"]]
        "#,
    );
}

#[test]
fn the_table_of_keys_is_limited() {
    let mut talk = Talk::new();
    talk.client("a").line("HELLO 3");
    talk.client("a").line("CLIENT TRACKING ON");
    for key in 0..250 {
        talk.client("a").line(&format!("GET key:{key}"));
    }
    let info = talk.client("b").line("INFO stats").text();
    assert!(info.contains("tracking_total_keys:250\r\ntracking_total_items:250\r\n"));
    talk.client("b").line("CONFIG SET tracking-table-max-keys 10");
    let mut forgotten = std::collections::BTreeSet::new();
    while forgotten.len() < 240 {
        let push = talk.client("a").read().expect("a push for every forgotten key");
        let Reply::Push(items) = push else { panic!("{push:?}") };
        let key = items[1].items().map(|keys| keys[0].text()).expect("an array of keys");
        assert!(forgotten.insert(key));
    }
    talk.run("a> PING\na< PONG");
    let info = talk.client("b").line("INFO stats").text();
    assert!(info.contains("tracking_total_keys:10\r\ntracking_total_items:10\r\n"));
    // One more, one less.
    talk.client("a").line("GET new");
    assert!(matches!(talk.client("a").read(), Ok(Reply::Push(_))));
}

#[test]
fn readers_that_went_are_forgotten() {
    let mut talk = Talk::new();
    talk.client("a").line("CLIENT TRACKING ON");
    for key in 0..100 {
        talk.client("a").line(&format!("GET key:{key}"));
    }
    talk.clients.clear();
    let gone = |talk: &mut Talk| talk.client("b").line("INFO clients").text().contains("tracking_clients:0");
    assert!(wait_until(PATIENCE, || gone(&mut talk)));
    assert_eq!(talk.client("b").line("SET key:1 x"), Reply::Simple(b"OK".to_vec()));
}

#[test]
fn resp2_hears_through_a_subscriber() {
    let mut talk = Talk::new();
    let target = talk.id("r");
    talk.run(&format!(
        r#"
        r> SUBSCRIBE __redis__:invalidate
        r< ["subscribe" "__redis__:invalidate" 1]
        a> CLIENT TRACKING ON REDIRECT {target}
        a< OK
        a> MGET k l
        a< [nil nil]
        b> SET k 1
        b< OK
        r< ["message" "__redis__:invalidate" ["k"]]
        a> SET l 1
        a< OK
        r< ["message" "__redis__:invalidate" ["l"]]
        b> FLUSHALL
        b< OK
        r< ["message" "__redis__:invalidate" nil]
        a> CLIENT TRACKING OFF
        a< OK
        a> CLIENT TRACKING ON BCAST REDIRECT {target}
        a< OK
        b> MSET x 1 y 1
        b< OK
        r< ["message" "__redis__:invalidate" ["x" "y"]]
        // Nobody listens any more.
        r> UNSUBSCRIBE
        r< ["unsubscribe" "__redis__:invalidate" 0]
        b> SET x 2
        b< OK
        r> HELLO 3 SETNAME r
        "#
    ));
    talk.client("r").read().expect("a greeting");
    talk.run("b> SET x 3\nb< OK\nr< >[\"invalidate\" [\"x\"]]");
}
