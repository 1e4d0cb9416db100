//! What clients see while the data set is loaded: at the start, and when DEBUG has it loaded again.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::snapshot::{digest, fill};
use crate::transcript::converse;

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Microseconds for each key.
const SLOWLY: [&str; 4] = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

fn field(client: &mut RespClient, name: &str) -> Option<String> {
    let info = client.line("INFO").text();
    info.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
}

fn number(client: &mut RespClient, name: &str) -> f64 {
    let text = field(client, name).unwrap_or_else(|| panic!("no {name}"));
    text.parse().unwrap_or_else(|_| panic!("{name}: {text}"))
}

fn wait_until_loaded(client: &mut RespClient) {
    let done = wait_until(PATIENCE, || field(client, "loading").as_deref() == Some("0"));
    assert!(done, "it ends");
}

/// A server that has saved some keys of all types and thousands of plain ones.
fn saved() -> TestServer {
    let server = TestServer::tidegate_with(&DEBUG);
    let mut client = server.client();
    fill(&mut client);
    converse(&mut client, "> DEBUG POPULATE 5000 key 1000\nOK\n> SAVE\nOK");
    server
}

/// Numbers between the keys are only told to the log, whatever they are.
#[test]
fn odd_figures_in_a_file_are_no_reason_to_stop() {
    let mut server = TestServer::tidegate_with(&DEBUG);
    server.client().line("SET k v");
    server.client().line("SAVE");
    let path = server.dir().join("dump.rdb");
    let mut file = std::fs::read(&path).expect("there is a file");
    let mut odd = Vec::new();
    for (name, value) in [("ctime", i64::MIN.to_string()), ("used-mem", u64::MAX.to_string())] {
        odd.push(0xfa);
        for word in [name, &value] {
            odd.push(word.len() as u8);
            odd.extend_from_slice(word.as_bytes());
        }
    }
    file.splice(9..9, odd);
    // Nothing was summed up.
    let sum = file.len() - 8;
    file[sum..].fill(0);
    std::fs::write(&path, file).expect("the directory is ours");
    server.restart().expect("it starts");
    assert_eq!(server.client().line("GET k"), Reply::Bulk(b"v".to_vec()));
}

#[test]
fn only_what_has_nothing_to_do_with_keys_is_answered() {
    let mut server = saved();
    server.restart_loading(&SLOWLY).expect("it starts");
    let mut client = server.client();
    converse(
        &mut client,
        &r#"
        > PING
        !
        > GET key:1
        !
        > EVAL "return 1" 0
        !
        > SCRIPT KILL
        !
        > DBSIZE
        !
        > SELECT 3
        OK
        > ECHO x
        "x"
        > CONFIG SET appendonly yes
        !
        > CONFIG SET loglevel verbose
        OK
        > DEBUG POPULATE 10
        !
        > NOSUCH
        -ERR unknown command 'NOSUCH', with args beginning with: 
        > GET
        -ERR wrong number of arguments for 'get' command
        > MULTI
        OK
        > ECHO x
        QUEUED
        > EXEC
        ["x"]
        > MULTI
        OK
        > GET key:1
        !
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > HELLO 2
        ...
        > SUBSCRIBE channel
        ["subscribe" "channel" 1]
        > RESET
        RESET
        "#
        .replace('!', LOADING),
    );
    assert_eq!(field(&mut client, "loading").as_deref(), Some("1"), "this took no ten seconds");
    assert!(number(&mut client, "loading_start_time") > 1.6e9);
    assert!(number(&mut client, "loading_total_bytes") > 1000.0);
    assert!(number(&mut client, "loading_rdb_used_mem") >= 0.0);
    assert!(number(&mut client, "loading_eta_seconds") >= 1.0);
    assert!(number(&mut client, "loading_loaded_perc") < 100.0);
    let told = wait_until(PATIENCE, || server.log().contains("Loading the data set: "));
    // Only Tidegate says it, and nobody has to wait for Redis.
    assert!(told || server.log().contains("Redis is starting"));
    converse(&mut client, "> CONFIG SET key-load-delay 0\nOK");
    wait_until_loaded(&mut client);
    assert_eq!(field(&mut client, "loading_total_bytes"), None);
    assert!(number(&mut client, "rdb_last_load_keys_loaded") > 5000.0);
    converse(&mut client, "> GET key:1\n\"value:1...\n> CONFIG SET appendonly yes\nOK");
}

#[test]
fn what_is_loaded_by_many_threads_is_what_was_saved() {
    let mut server = saved();
    let before = digest(&mut server.client());
    for threads in ["1", "2", "5"] {
        server.restart_loading(&["--io-threads", threads]).expect("it starts");
        let mut client = server.client();
        wait_until_loaded(&mut client);
        assert_eq!(digest(&mut client), before, "{threads} threads");
        assert_eq!(field(&mut client, "rdb_changes_since_last_save").as_deref(), Some("0"));
    }
}

#[test]
fn whoever_wants_the_process_to_stop_need_not_wait() {
    let mut server = saved();
    let file = server.dir().join("dump.rdb");
    let before = std::fs::read(&file).expect("it was saved");
    let stops: [&dyn Fn(&TestServer); 3] = [
        &|server| drop(server.client().send(&["SHUTDOWN", "SAVE"])),
        &|server| drop(server.client().send(&["SHUTDOWN"])),
        &|server| {
            let kill = std::process::Command::new("kill").arg(server.pid().to_string()).status();
            assert!(kill.is_ok_and(|status| status.success()));
        },
    ];
    for stop in stops {
        server.restart_loading(&["--key-load-delay", "100000", "--save", "1 1"]).expect("it starts");
        stop(&server);
        assert_eq!(server.exit_code(Duration::from_secs(5)), Some(0), "{}", server.log());
        assert!(server.log().contains("bye bye"), "{}", server.log());
        // Half a data set must not take the place of the whole.
        assert_eq!(std::fs::read(&file).expect("it is still there"), before);
    }
}

#[test]
fn the_append_only_file_is_loaded_with_an_open_port_too() {
    let mut server = TestServer::tidegate_with(&[
        "--appendonly",
        "yes",
        "--aof-use-rdb-preamble",
        "no",
        DEBUG[0],
        DEBUG[1],
    ]);
    let mut client = server.client();
    for batch in 0..10 {
        for key in 0..500 {
            client.send(&["SET", &format!("key:{batch}:{key}"), "value"]).expect("it is sent");
        }
        for _ in 0..500 {
            client.read().expect("a reply");
        }
    }
    server.restart_loading(&SLOWLY).expect("it starts");
    let mut client = server.client();
    converse(&mut client, &format!("> GET key:1:1\n{LOADING}"));
    assert_eq!(field(&mut client, "loading").as_deref(), Some("1"));
    // At the very beginning the files were not measured yet.
    assert!(wait_until(PATIENCE, || number(&mut client, "loading_total_bytes") > 100_000.0));
    converse(&mut client, "> CONFIG SET key-load-delay 0\nOK");
    wait_until_loaded(&mut client);
    // What was replayed is neither a request nor slow, nor a change.
    converse(&mut client, "> DBSIZE\n5000\n> SET after 1\nOK");
    // What this test asks for may be slow where much else goes on.
    assert!(client.line("SLOWLOG LEN").int().is_some_and(|len| len < 100));
    let set = field(&mut client, "cmdstat_set");
    assert!(set.is_none(), "commandstats are not shown by default: {set:?}");
    let stats = client.line("INFO commandstats").text();
    assert!(stats.contains("cmdstat_set:calls=1,"), "{stats}");
    server.restart().expect("it starts again");
    wait_until_loaded(&mut server.client());
    converse(&mut server.client(), "> GET after\n\"1\"\n> DBSIZE\n5001");
}

#[test]
fn others_are_told_while_the_append_only_file_is_loaded_again() {
    let server = TestServer::tidegate_with(&[
        "--appendonly",
        "yes",
        "--aof-use-rdb-preamble",
        "no",
        DEBUG[0],
        DEBUG[1],
        "--slowlog-log-slower-than",
        "0",
        "--io-threads",
        "2",
    ]);
    // The two are served by different threads.
    let (mut client, mut other) = (server.client(), server.client());
    let script = "for i = 1, 2000 do redis.call('SET', KEYS[1] .. i, i) end";
    client.call(&["EVAL", script, "1", "key"]);
    converse(&mut client, "> DBSIZE\n2000");
    converse(&mut other, "> PING\nPONG");
    converse(&mut client, "> CONFIG SET key-load-delay 1000\nOK\n> SLOWLOG RESET\nOK");
    client.send(&["DEBUG", "LOADAOF"]).expect("it is sent");
    let told = wait_until(PATIENCE, || other.line("PING") == Reply::Error(LOADING.as_bytes()[1..].to_vec()));
    assert!(told);
    converse(&mut other, "> CONFIG SET key-load-delay 0\nOK");
    assert_eq!(client.read().expect("a reply"), Reply::Simple(b"OK".to_vec()));
    let slow = format!("{:?}", client.line("SLOWLOG GET -1"));
    assert!(!slow.contains("key1999"), "{slow}");
    converse(&mut other, "> DBSIZE\n2000");
}
