//! The connection: greeting, authentication, names, closing.

use redis::{Commands, RedisResult};
use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

#[test]
fn ping_and_echo() {
    check(
        r#"
        > PING
        PONG
        > PING "a b"
        "a b"
        > PING a b
        -ERR wrong number of arguments for 'ping' command
        > ECHO hello
        "hello"
        > ECHO
        -ERR wrong number of arguments for 'echo' command
        > ping
        PONG
        > NOSUCH a "b c" d
        -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b c' 'd' 
        > NOSUCH
        -ERR unknown command 'NOSUCH', with args beginning with: 
        > GET
        -ERR wrong number of arguments for 'get' command
        "#,
    );
}

#[test]
fn hello_switches_the_protocol() {
    check(
        r#"
        > HELLO
        ["server" "redis" "version" "..." "proto" 2 "id" ... "mode" "standalone" "role" "master" "modules" []]
        > HELLO 3
        {"server": "redis" "version": "..." "proto": 3 "id": ... "mode": "standalone" "role": "master" "modules": []}
        > GET nosuch
        nil
        > CONFIG GET maxmemory-policy
        {"maxmemory-policy": "noeviction"}
        > HELLO 4
        -NOPROTO unsupported protocol version
        > HELLO abc
        -ERR Protocol version is not an integer or out of range
        > HELLO 3 AUTH default
        -ERR Syntax error in HELLO option 'AUTH'
        > HELLO 3 AUTH nosuch pw
        -WRONGPASS invalid username-password pair or user is disabled.
        > HELLO 2 SETNAME "with space"
        -ERR Client names cannot contain spaces, newlines or special characters.
        > HELLO 3 NOSUCH
        -ERR Syntax error in HELLO option 'NOSUCH'
        > HELLO 2 SETNAME me
        [...]
        > CLIENT GETNAME
        "me"
        > GET nosuch
        nil
        "#,
    );
}

#[test]
fn names_of_connections() {
    check(
        r#"
        > CLIENT GETNAME
        nil
        > CLIENT SETNAME me
        OK
        > CLIENT GETNAME
        "me"
        > CLIENT SETNAME "not me"
        -ERR Client names cannot contain spaces, newlines or special characters.
        > CLIENT SETNAME "line\nbreak"
        -ERR Client names cannot contain spaces, newlines or special characters.
        > CLIENT SETNAME ""
        OK
        > CLIENT GETNAME
        nil
        > CLIENT NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.
        > CLIENT
        -ERR wrong number of arguments for 'client' command
        > CLIENT HELP
        [CLIENT <subcommand> ...]
        > CLIENT NO-EVICT ON
        OK
        > CLIENT NO-EVICT off
        OK
        > CLIENT NO-EVICT maybe
        -ERR syntax error
        > CLIENT REPLY maybe
        -ERR syntax error
        > CLIENT GETREDIR
        -1
        > CLIENT TRACKINGINFO
        ["flags" ["off"] "redirect" -1 "prefixes" []]
        > CLIENT CACHING yes
        -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        > CLIENT CACHING maybe
        -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        > CLIENT TRACKING maybe
        -ERR syntax error
        > CLIENT LIST TYPE nosuch
        -ERR Unknown client type 'nosuch'
        > CLIENT LIST ID abc
        -ERR Invalid client ID
        > CLIENT PAUSE abc
        -ERR timeout is not an integer or out of range
        > CLIENT UNPAUSE
        OK
        "#,
    );
}

#[test]
fn killing_and_unblocking_nobody() {
    check(
        r#"
        > CLIENT KILL 1.2.3.4:5
        -ERR No such client
        > CLIENT KILL ID 0
        -ERR client-id should be greater than 0
        > CLIENT KILL ID abc
        -ERR client-id should be greater than 0
        > CLIENT KILL ID 99999999
        0
        > CLIENT KILL TYPE nosuch
        -ERR Unknown client type 'nosuch'
        > CLIENT KILL TYPE pubsub
        0
        > CLIENT KILL USER nosuch
        -ERR No such user 'nosuch'
        > CLIENT KILL SKIPME maybe
        -ERR syntax error
        > CLIENT KILL NOSUCH x
        -ERR syntax error
        > CLIENT KILL
        -ERR wrong number of arguments for 'client|kill' command
        > CLIENT UNBLOCK 99999999
        0
        > CLIENT UNBLOCK abc
        -ERR value is not an integer or out of range
        > CLIENT UNBLOCK 1 NOSUCH
        -ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
        > CLIENT UNBLOCK
        -ERR wrong number of arguments for 'client|unblock' command
        "#,
    );
}

#[test]
fn without_a_password_auth_explains_itself() {
    check(
        r#"
        > AUTH x
        -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        > AUTH default x
        OK
        > AUTH nosuch x
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH
        -ERR wrong number of arguments for 'auth' command
        > AUTH a b c
        -ERR syntax error
        "#,
    );
}

#[test]
fn a_password_locks_everything_but_the_greeting() {
    let server = TestServer::tidegate_with(&["--requirepass", "secret"]);
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > GET a
        -NOAUTH Authentication required.
        > NOSUCH
        -ERR unknown command 'NOSUCH', with args beginning with: 
        > HELLO 3
        -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        > PING
        -NOAUTH Authentication required.
        > AUTH wrong
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH nosuch secret
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH secret
        OK
        > PING
        PONG
        > RESET
        RESET
        > PING
        -NOAUTH Authentication required.
        > HELLO 3 AUTH default secret SETNAME me
        {...}
        > CLIENT GETNAME
        "me"
        "#,
    );
    let url = format!("redis://default:secret@{}/", server.addr());
    let mut connection =
        redis::Client::open(url).expect("a valid address").get_connection().expect("logs in");
    let stored: RedisResult<()> = connection.set("a", 1);
    stored.expect("may write");
}

#[test]
fn reset_forgets_the_connections_state() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > SELECT 3
        OK
        > CLIENT SETNAME me
        OK
        > HELLO 3
        {...}
        > MULTI
        OK
        > RESET
        RESET
        > EXEC
        -ERR EXEC without MULTI
        > CLIENT GETNAME
        nil
        > CLIENT INFO
        "id=... name= ... db=0 ... resp=2..."
        "#,
    );
    assert_eq!(client.call_raw(&["GET", "nosuch"]), b"$-1\r\n");
}

#[test]
fn silent_connections_say_nothing() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for command in ["CLIENT REPLY OFF", "SET a 1", "NOSUCH", "CLIENT REPLY ON", "GET a"] {
        client.send(&command.split(' ').collect::<Vec<_>>()).expect("connected");
    }
    assert_eq!(client.read().expect("the ON is answered").text(), "OK");
    assert_eq!(client.read().expect("answered again").text(), "1");
    for command in ["CLIENT REPLY SKIP", "SET a 2", "GET a"] {
        client.send(&command.split(' ').collect::<Vec<_>>()).expect("connected");
    }
    assert_eq!(client.read().expect("only the GET is answered").text(), "2");
}

#[test]
fn quit_answers_and_closes() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.send_raw(b"PING\r\nQUIT\r\nPING\r\n").expect("connected");
    assert_eq!(client.read_to_end().expect("the server closes"), b"+PONG\r\n+OK\r\n");
}

#[test]
fn clients_see_and_kill_each_other() {
    let server = TestServer::tidegate();
    let (mut one, mut two) = (server.client(), server.client());
    let id_of_two = two.line("CLIENT ID").int().expect("an id");
    assert!(one.line("CLIENT ID").int().expect("an id") != id_of_two);
    assert_eq!(two.line("CLIENT SETNAME second").text(), "OK");
    let list = one.line(&format!("CLIENT LIST ID {id_of_two}")).text();
    assert!(list.starts_with(&format!("id={id_of_two} ")) && list.contains(" name=second "), "{list}");
    assert!(one.line("CLIENT LIST").text().lines().count() >= 2);
    assert_eq!(
        two.line(&format!("CLIENT KILL ID {id_of_two}")),
        Reply::Int(0),
        "nobody kills himself by accident"
    );
    assert_eq!(one.line(&format!("CLIENT KILL ID {id_of_two}")), Reply::Int(1));
    assert_eq!(two.read_to_end().expect("closed"), b"");
    assert_eq!(one.line(&format!("CLIENT LIST ID {id_of_two}")).text(), "");
}

#[test]
fn unix_sockets_serve_the_same_data() {
    let server = TestServer::tidegate();
    assert_eq!(server.client().line("SET a over-tcp").text(), "OK");
    assert_eq!(server.unix_client().line("GET a").text(), "over-tcp");
}

/// Requests that are all there when the server looks are read together; each still gets its own reply, in order, and what
/// one of them does to another holds.
#[test]
fn requests_that_come_together_are_answered_each() {
    let server = TestServer::tidegate_with(&["--io-threads", "1"]);
    let mut clients: Vec<_> = (0..200).map(|_| server.client()).collect();
    let signal = |name: &str| {
        let status = std::process::Command::new("kill").args([name, &server.pid().to_string()]).status();
        assert!(status.expect("kill is there").success());
    };
    let doomed = clients[190].call(&["CLIENT", "ID"]).int().expect("an id");
    assert_eq!(clients[60].line("SUBSCRIBE channel").kind(), "array");
    for round in 0..5_usize {
        signal("-STOP");
        for (i, client) in clients.iter_mut().enumerate() {
            let own = format!("key:{i}");
            let value = format!("{i}:{round}");
            match i {
                10 => client.send_raw(b"GET key:3\r\nPING\r\n"),
                20 => client.send(&["NOSUCH"]),
                30 => client.send(&["GET"]),
                40 => client.send_raw(b"*2\r\n$3\r\nGET\r\n$5\r\nkey"),
                50 => client.send_raw(&b"*2\r\n$4\r\nINCR\r\n$3\r\nall\r\n".repeat(100)),
                60 => Ok(()),
                70 => client.send(&["PUBLISH", "channel", &value]),
                80 => client.send(&["MULTI"]).and_then(|()| client.send(&["INCR", "all"])),
                90 => client.send(&["BLPOP", "list", "0"]),
                100 => client.send(&["RPUSH", "list", &value]),
                110 => client.send(&["SET", &own, &"x".repeat(100_000)]),
                180 if round == 4 => client.send(&["CLIENT", "KILL", "ID", &doomed.to_string()]),
                _ => client.send(&["SET", &own, &value]).and_then(|()| client.send(&["GET", &own])),
            }
            .unwrap();
        }
        signal("-CONT");
        clients[40].send_raw(b":1\r\n").unwrap();
        for (i, client) in clients.iter_mut().enumerate() {
            if round == 4 && i == 190 {
                // It was killed before or after its requests.
                while client.read().is_ok() {}
                continue;
            }
            let mut reply = || client.read().unwrap();
            let value = format!("{i}:{round}");
            match i {
                10 => {
                    assert!(reply().text().starts_with("3:") || round == 0);
                    assert_eq!(reply().text(), "PONG");
                }
                20 | 30 => assert!(reply().error().is_some()),
                40 => assert!(matches!(reply(), Reply::Bulk(_) | Reply::Null) || round == 0),
                50 => {
                    let first = reply().int().expect("a number");
                    for more in 1..100 {
                        assert!(reply().int().expect("a number") >= first + more);
                    }
                }
                60 => assert_eq!(reply().items().expect("a message")[2].text(), format!("70:{round}")),
                70 | 100 => assert_eq!(reply().int(), Some(1)),
                80 => {
                    assert_eq!((reply().text(), reply().text()), ("OK".to_owned(), "QUEUED".to_owned()));
                    assert_eq!(client.line("EXEC").kind(), "array");
                }
                90 => assert_eq!(reply().items().expect("a pair")[1].text(), format!("100:{round}")),
                110 => assert_eq!(reply().text(), "OK"),
                180 if round == 4 => assert_eq!(reply().int(), Some(1)),
                _ => assert_eq!((reply().text(), reply().text()), ("OK".to_owned(), value)),
            }
        }
    }
}
