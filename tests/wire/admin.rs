//! What operators and tests do to a server: look inside, reconfigure, stop it.

use std::process::Command;
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

const LIMIT: Duration = Duration::from_secs(20);

fn debuggable() -> TestServer {
    TestServer::tidegate_with(&["--enable-debug-command", "yes", "--enable-module-command", "yes"])
}

fn info(client: &mut RespClient, section: &str, field: &str) -> String {
    let text = client.line(&format!("INFO {section}")).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in\n{text}")).to_owned()
}

#[test]
fn debug_subcommands() {
    let server = debuggable();
    converse(
        &mut server.client(),
        r#"
        > SET a hello
        OK
        > SET n 5
        OK
        > DEBUG DIGEST-VALUE a n nosuch
        [36b23a1456b2dce2c3ed252c456761301dba8060 f8c2498ca74cdde7d02de23246736a661485b50e 0000000000000000000000000000000000000000]
        > DEBUG OBJECT a
        Value at:0x... refcount:... encoding:embstr serializedlength:6 lru:... lru_seconds_idle:...
        > DEBUG OBJECT nosuch
        -ERR no such key
        > DEBUG SDSLEN a
        key_sds_len:1, key_sds_avail:0, key_zmalloc: ..., val_sds_len:5, val_sds_avail:0, val_zmalloc: ...
        > DEBUG SDSLEN n
        -ERR Not an sds encoded string.
        > DEBUG HTSTATS-KEY a
        -ERR The value stored at the specified key is not represented using an hash table
        > DEBUG HTSTATS 99
        -ERR Out of range database
        > DEBUG HTSTATS 0
        "[Dictionary HT]\n...number of elements: 2\n...[Expires HT]\n..."
        > DEBUG POPULATE 3 p 4
        OK
        > GET p:2
        "valu"
        > DEBUG POPULATE -1
        -ERR value is out of range, must be positive
        > DBSIZE
        5
        > DEBUG ERROR "MYERR some text"
        -MYERR some text
        > DEBUG SLEEP 0
        OK
        > DEBUG QUICKLIST-PACKED-THRESHOLD 200b
        OK
        > DEBUG QUICKLIST-PACKED-THRESHOLD 5gb
        -ERR argument must be a memory value bigger than 1 and smaller than 4gb
        > DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER
        OK
        > DEBUG LOG hi
        OK
        > DEBUG STRINGMATCH-TEST
        Apparently Redis did not crash: test passed
        > DEBUG NOSUCH
        -ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.
        > DEBUG SLEEP
        -ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.
        > DEBUG
        -ERR wrong number of arguments for 'debug' command
        > DEBUG HELP
        [DEBUG <subcommand> ...]
        > MODULE LIST
        []
        "#,
    );
}

#[test]
fn debug_protocol_has_every_type_of_reply() {
    let server = debuggable();
    let conversation = |protocol: &str, lines: &str| {
        let mut client = server.client();
        client.line(&format!("HELLO {protocol}"));
        converse(&mut client, lines);
    };
    conversation(
        "2",
        r#"
        > DEBUG PROTOCOL double
        "3.141..."
        > DEBUG PROTOCOL map
        [0 0 1 1 2 0]
        > DEBUG PROTOCOL push
        -ERR RESP2 is not supported by this command
        > DEBUG PROTOCOL attrib
        "Some real reply following the attribute"
        > DEBUG PROTOCOL nosuch
        -ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false
        "#,
    );
    conversation(
        "3",
        r#"
        > DEBUG PROTOCOL double
        3.141d
        > DEBUG PROTOCOL bignum
        (1234567999999999999999999999999999999
        > DEBUG PROTOCOL null
        nil
        > DEBUG PROTOCOL set
        #{0 1 2}
        > DEBUG PROTOCOL map
        {0: false 1: true 2: false}
        > DEBUG PROTOCOL verbatim
        txt"This is a verbatim\nstring"
        > DEBUG PROTOCOL true
        true
        "#,
    );
}

#[test]
fn one_fingerprint_for_the_same_data() {
    let server = debuggable();
    let mut client = server.client();
    assert_eq!(client.line("DEBUG DIGEST").text(), "0".repeat(40));
    for line in ["SET a hello", "SET b world EX 1000", "SELECT 3", "SET n 12"] {
        client.line(line);
    }
    assert_eq!(client.line("DEBUG DIGEST").text(), "0879ddeb66db07408fab8736d0e592e2032ac695");
    client.line("DEL n");
    assert_ne!(client.line("DEBUG DIGEST").text(), "0879ddeb66db07408fab8736d0e592e2032ac695");
}

#[test]
fn small_commands_about_the_server() {
    check(
        r#"
        > ROLE
        ["master" 0 []]
        > LASTSAVE
        1...
        > SHUTDOWN ABORT
        -ERR No shutdown in progress.
        > SHUTDOWN SAVE NOSAVE
        -ERR syntax error
        > SHUTDOWN NOW ABORT
        -ERR syntax error
        > LOLWUT
        "...Redis ver. 7.0.15\n"
        > LOLWUT VERSION abc
        -ERR value is not an integer or out of range
        > FUNCTION FLUSH
        OK
        > FUNCTION FLUSH NOSUCH
        -ERR FUNCTION FLUSH only supports SYNC|ASYNC option
        > FUNCTION LIST
        []
        > FUNCTION LIST LIBRARYNAME
        -ERR library name argument was not given
        > SCRIPT EXISTS a b
        [0 0]
        > SCRIPT FLUSH SYNC
        OK
        > SCRIPT FLUSH SYNC SYNC
        -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        > CLUSTER KEYSLOT a
        -ERR This instance has cluster support disabled
        > CLUSTER NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.
        > SET a 1
        OK
        > MEMORY PURGE
        OK
        > MEMORY DOCTOR
        "..."
        > MEMORY USAGE a SAMPLES -1
        -ERR syntax error
        "#,
    );
}

#[test]
fn memory_of_a_key_follows_its_value() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("SETRANGE long 99999 x");
    client.line("SET short x");
    let of = |client: &mut RespClient, key: &str| {
        client.line(&format!("MEMORY USAGE {key}")).int().expect("a number of bytes")
    };
    assert!((100_000..300_000).contains(&of(&mut client, "long")));
    assert!((16..300).contains(&of(&mut client, "short")));
    client.line("MULTI");
    client.line("MEMORY USAGE short");
    client.line("INFO keyspace");
    let Reply::Array(replies) = client.line("EXEC") else { panic!("not an array") };
    assert!(replies[0].int().is_some() && replies[1].text().contains("db0:keys=2,"), "{replies:?}");

    let before: u64 = info(&mut client, "memory", "used_memory").parse().expect("bytes");
    client.line("SETRANGE huge 9999999 x");
    let with: u64 = info(&mut client, "memory", "used_memory").parse().expect("bytes");
    assert!(with >= before + 10_000_000, "{before} {with}");
    client.line("DEL huge");
    let after = wait_until(LIMIT, || {
        info(&mut client, "memory", "used_memory").parse::<u64>().expect("bytes") < before + 1_000_000
    });
    assert!(after, "what is freed is not used any more");
    let peak: u64 = info(&mut client, "memory", "used_memory_peak").parse().expect("bytes");
    assert!(peak >= with);
}

#[test]
fn statistics_count_commands_and_are_reset() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("SET a 1");
    client.line("GET a");
    client.line("GET nosuch");
    client.line("INCR a b");
    client.line("LPUSH");
    let commands = client.line("INFO commandstats").text();
    assert!(commands.contains("cmdstat_get:calls=2,"), "{commands}");
    assert!(
        commands.contains("cmdstat_incr:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0")
    );
    assert_eq!(info(&mut client, "stats", "keyspace_hits"), "1");
    assert_eq!(info(&mut client, "stats", "keyspace_misses"), "1");
    assert_eq!(info(&mut client, "errorstats", "errorstat_ERR"), "count=2");
    assert!(info(&mut client, "latencystats", "latency_percentiles_usec_get").starts_with("p50="));
    client.line("CONFIG RESETSTAT");
    assert_eq!(info(&mut client, "stats", "total_commands_processed"), "1");
    assert_eq!(info(&mut client, "stats", "keyspace_hits"), "0");
    assert!(!client.line("INFO everything").text().contains("errorstat_"));
}

#[test]
fn sections_are_chosen_by_name() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let mut sections = |line: &str| -> Vec<String> {
        let text = client.line(line).text();
        text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
    };
    let default = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Keyspace",
    ];
    assert_eq!(sections("INFO"), default);
    assert_eq!(sections("INFO default"), default);
    let all = sections("INFO all");
    assert_eq!(all.len(), 13);
    assert_eq!(sections("INFO EVERYTHING"), all);
    assert_eq!(sections("INFO keyspace nosuch CPU cpu"), ["CPU", "Keyspace"]);
    assert_eq!(sections("INFO default commandstats").len(), default.len() + 1);
    assert!(sections("INFO nosuch").is_empty());
}

#[test]
fn the_port_is_changed_while_the_server_runs() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    let old = server.addr();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = busy.local_addr().expect("an address").port();
    converse(
        &mut client,
        &format!(
            "> CONFIG SET port {taken}
            -ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.
            > CONFIG SET bind 192.0.2.1
            -ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
        ),
    );
    assert!(RespClient::connect(old).is_ok(), "the old port is still there");
    drop(busy);
    assert_eq!(client.line(&format!("CONFIG SET port {taken}")).text(), "OK");
    let mut moved = RespClient::connect(([127, 0, 0, 1], taken).into()).expect("the new port");
    assert_eq!(moved.line("PING").text(), "PONG");
    assert!(RespClient::connect(old).is_err(), "nobody listens on the old port");
    assert_eq!(info(&mut client, "server", "tcp_port"), taken.to_string());
    assert_eq!(client.line("CONFIG SET bind 127.0.0.2").text(), "OK");
    assert!(RespClient::connect(([127, 0, 0, 2], taken).into()).is_ok());
    assert!(RespClient::connect(([127, 0, 0, 1], taken).into()).is_err());
}

#[test]
fn shutdown_leaves_nothing_behind() {
    for how in ["SHUTDOWN", "SIGTERM"] {
        let mut server = TestServer::tidegate();
        let mut client = server.client();
        if how == "SHUTDOWN" {
            client.send(&["SHUTDOWN", "NOSAVE"]).expect("sent");
        } else {
            let pid = server.pid().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        }
        assert_eq!(client.read_to_end().expect("the end"), b"", "{how} closes without an answer");
        assert!(wait_until(LIMIT, || !server.is_alive()), "{how} ends the process");
        assert!(!server.unix_path().exists(), "{how} removes the socket");
        let log = server.log();
        assert!(log.contains("User requested shutdown..."), "{log}");
        assert!(log.contains("ready to exit, bye bye..."), "{log}");
        assert_eq!(log.contains("Received SIGTERM scheduling shutdown..."), how == "SIGTERM");
    }
}
