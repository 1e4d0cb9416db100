//! Users and what they may do: `ACL`, `AUTH`, and what is refused.

use crate::transcript::converse;
use std::fs;
use std::time::Duration;
use tidegate_tests::resp::{Reply, RespClient, bulk, error, simple};
use tidegate_tests::server::TestServer;

const NO_KEY: &str = "NOPERM this user has no permissions to access one of the keys used as arguments";
const NO_CHANNEL: &str =
    "NOPERM this user has no permissions to access one of the channels used as arguments";

fn no_command(name: &str) -> Reply {
    error(&format!("NOPERM this user has no permissions to run the '{name}' command"))
}

/// A connection of a user with these rules.
fn client_of(server: &TestServer, name: &str, rules: &str) -> RespClient {
    let made = server.client().line(&format!("ACL SETUSER {name} on >pw {rules}"));
    assert_eq!(made, simple("OK"), "{rules}");
    let mut client = server.client();
    assert_eq!(client.line(&format!("AUTH {name} pw")), simple("OK"));
    client
}

fn is_closed(client: &mut RespClient) -> bool {
    client.set_reply_limit(Duration::from_secs(10)).expect("a limit can be set");
    client.read().is_err()
}

#[test]
fn users_are_made_shown_and_removed() {
    let server = TestServer::tidegate();
    converse(
        &mut server.client(),
        r#"
        > ACL WHOAMI
        "default"
        > ACL SETUSER alice on >pw ~a:* %R~b:* &news:* +@string -set (+hget ~h:*)
        OK
        > ACL USERS
        ["alice" "default"]
        > ACL GETUSER alice
        ["flags" ["on"] "passwords" ["30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"] "commands" "-@all +@string -set" "keys" "~a:* %R~b:*" "channels" "&news:*" "selectors" [["commands" "-@all +hget" "keys" "~h:*" "channels" ""]]]
        > ACL GETUSER nobody
        nil
        > ACL SETUSER alice +nosuch
        -ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL
        > ACL SETUSER "al ice" on
        -ERR Usernames can't contain spaces or null characters
        > ACL DELUSER default
        -ERR The 'default' user cannot be removed
        > ACL DELUSER alice nobody
        1
        > ACL LIST
        ["user default on nopass ~* &* +@all"]
        > ACL GENPASS 5000
        -ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        > ACL LOAD
        -ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.
        "#,
    );
    let mut client = server.client();
    assert_eq!(client.line("ACL GENPASS").text().len(), 64);
    assert_eq!(client.line("ACL GENPASS 5").text().len(), 2);
    assert!(client.line("ACL SAVE").error().is_some());
}

#[test]
fn what_a_user_may_not_do_is_refused_and_noted() {
    let server = TestServer::tidegate();
    let mut admin = server.client();
    let mut alice = client_of(&server, "alice", "~a:* %R~r:* &news:* +@all -config|get");
    assert_eq!(alice.line("SET a:1 x"), simple("OK"));
    assert_eq!(alice.line("SET b:1 x"), error(NO_KEY));
    assert_eq!(alice.line("COPY a:1 r:1"), error(NO_KEY));
    assert_eq!(alice.line("GEORADIUS a:1 1 1 1 m STORE x"), error(NO_KEY));
    assert_eq!(alice.line("SORT a:1 STORE x"), error(NO_KEY));
    assert_eq!(alice.line("XREAD STREAMS a:1 x 0 0"), error(NO_KEY));
    assert_eq!(alice.call(&["EVAL", "return 1", "1", "x"]), error(NO_KEY));
    assert_eq!(alice.line("MGET a:1 r:1 x"), error(NO_KEY));
    assert_eq!(alice.line("PUBLISH other m"), error(NO_CHANNEL));
    assert_eq!(alice.line("PUBLISH news:1 m"), Reply::Int(0));
    assert_eq!(alice.line("PSUBSCRIBE news:1*"), error(NO_CHANNEL));
    assert_eq!(alice.line("CONFIG GET x"), no_command("config|get"));
    assert_eq!(
        alice.line("SORT a:l BY w_* GET #"),
        error("ERR BY option of SORT denied due to insufficient ACL permissions.")
    );
    let log = admin.line("ACL LOG 1");
    let entry = log.items().expect("a list")[0].items().expect("a map").to_vec();
    assert_eq!(
        entry[2..10],
        ["reason", "command", "context", "toplevel", "object", "config|get", "username", "alice"].map(bulk)
    );
    assert_eq!(admin.line("ACL LOG RESET"), simple("OK"));
    assert_eq!(admin.line("ACL LOG").items().map(<[Reply]>::len), Some(0));
    assert_eq!(
        admin.line("ACL DRYRUN alice get x").text(),
        "This user has no permissions to access the 'x' key"
    );
    assert_eq!(admin.line("ACL DRYRUN alice get a:1"), simple("OK"));
    assert_eq!(admin.line("ACL DRYRUN alice nosuch"), error("ERR Command 'nosuch' not found"));
    let list = admin.line("CLIENT LIST").text();
    assert!(list.contains(" user=alice "), "{list}");
}

/// A request that does not fit all the key specs of its command has no keys for Redis 7.0.15, whose users may therefore make
/// any key a HyperLogLog. `ACL DRYRUN` says what it says there.
#[test]
fn keys_count_where_other_keys_are_missing() {
    let server = TestServer::tidegate();
    let mut alice = client_of(&server, "alice", "~a:* +@all");
    assert_eq!(alice.line("PFMERGE x"), error(NO_KEY));
    let script = alice.call(&["EVAL", "return redis.call('pfmerge', 'x')", "0"]);
    assert!(script.error().is_some_and(|text| text.contains("at least one of the keys")), "{script:?}");
    assert_eq!(server.client().line("EXISTS x"), Reply::Int(0));
    assert_eq!(alice.line("PFMERGE a:1"), simple("OK"));
    assert_eq!(server.client().line("ACL DRYRUN alice PFMERGE x"), simple("OK"));
}

#[test]
fn rights_that_change_are_felt_at_once() {
    let server = TestServer::tidegate();
    let mut admin = server.client();
    let mut alice = client_of(&server, "alice", "allkeys allchannels +@all");
    for line in ["MULTI", "SET k v", "GET k"] {
        alice.line(line);
    }
    admin.line("ACL SETUSER alice -set");
    let replies = alice.line("EXEC");
    assert_eq!(
        replies.items().expect("a list")[0],
        error(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: no permission to execute the command or subcommand"
        )
    );
    assert_eq!(alice.line("SET k v"), no_command("set"));
    assert_eq!(alice.line("MULTI"), simple("OK"));
    assert_eq!(alice.line("SET k v"), no_command("set"));
    assert_eq!(alice.line("EXEC"), error("EXECABORT Transaction discarded because of previous errors."));
    // Nobody keeps a user that is gone.
    assert_eq!(admin.line("ACL DELUSER alice"), Reply::Int(1));
    assert!(is_closed(&mut alice));
}

#[test]
fn listeners_lose_their_connection_with_their_channel() {
    let server = TestServer::tidegate();
    let mut admin = server.client();
    let mut one = client_of(&server, "alice", "+@all allchannels");
    let mut other = server.client();
    other.line("AUTH alice pw");
    one.line("SUBSCRIBE news:1");
    other.line("PSUBSCRIBE other:*");
    admin.line("ACL SETUSER alice resetchannels &news:*");
    assert!(is_closed(&mut other), "it listens to a pattern that is no rule");
    assert_eq!(admin.line("PUBLISH news:1 m"), Reply::Int(1));
    one.read().expect("the message");
    admin.line("ACL SETUSER alice resetchannels");
    assert!(is_closed(&mut one));
}

#[test]
fn scripts_may_do_what_their_user_may() {
    let server = TestServer::tidegate();
    let mut alice = client_of(&server, "alice", "~a:* &news:* +@all -set");
    let reply = alice.call(&["EVAL", "return redis.pcall('get','x')", "0"]);
    assert_eq!(
        reply,
        error(
            "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
        )
    );
    let reply = alice.call(&["EVAL", "return redis.call('set','a:1','x')", "0"]).error().expect("an error");
    assert!(
        reply.starts_with("ERR The user executing the script can't run this command or subcommand script"),
        "{reply}"
    );
    let check = "return {redis.acl_check_cmd('get','a:1'),redis.acl_check_cmd('get','x'),redis.acl_check_cmd('set','a:1','x')}";
    assert_eq!(
        alice.call(&["EVAL", check, "0"]),
        Reply::Array(vec![Reply::Int(1), Reply::Null, Reply::Null])
    );
    let log = server.client().line("ACL LOG");
    let entry = log.items().expect("a list")[0].items().expect("a map").to_vec();
    assert_eq!(entry[5], bulk("lua"));
}

#[test]
fn users_live_in_a_file() {
    // The file has to be there; that of another server's directory will do.
    let other = TestServer::tidegate();
    let file = other.dir().join("users.acl");
    fs::write(&file, "user alice on >pw ~* +@all\n\nuser default on nopass ~* &* +@all\n").expect("written");
    let server = TestServer::tidegate_with(&["--aclfile", file.to_str().expect("text")]);
    let mut client = server.client();
    assert_eq!(client.line("ACL USERS"), Reply::Array(vec![bulk("alice"), bulk("default")]));
    client.line("ACL SETUSER bob on nopass +get ~*");
    assert_eq!(client.line("ACL SAVE"), simple("OK"));
    let saved = fs::read_to_string(&file).expect("read");
    assert!(saved.contains("user bob on nopass ~* resetchannels -@all +get\n"), "{saved}");
    fs::write(&file, "user carol on +nosuch\nuser carol on\nnonsense\n").expect("written");
    let errors = client.line("ACL LOAD").error().expect("an error");
    for part in [
        ":1: Error in applying operation '+nosuch'",
        "Duplicate user 'carol' found on line 2",
        ":3 should start with",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    fs::write(&file, "user carol on nopass +@all ~*\n").expect("written");
    assert_eq!(client.line("ACL LOAD"), simple("OK"));
    assert_eq!(client.line("ACL USERS"), Reply::Array(vec![bulk("carol"), bulk("default")]));
    assert_eq!(client.line("ACL LIST").items().map(<[Reply]>::len), Some(2));
}

#[test]
fn secrets_are_not_shown() {
    let server = TestServer::tidegate();
    let mut admin = server.client();
    admin.line("CONFIG SET slowlog-log-slower-than 0");
    admin.line("ACL SETUSER alice on >secret1 +@all ~*");
    let mut client = server.client();
    client.line("AUTH alice secret1");
    client.line("AUTH alice secret2");
    client.line("HELLO 2 AUTH alice secret1");
    client.line("MULTI");
    client.line("ACL SETUSER alice >secret3");
    client.line("EXEC");
    client.line("CONFIG SET requirepass secret4 masterauth secret5");
    client.line("MIGRATE 127.0.0.1 1 k 0 10 AUTH2 alice secret6");
    let shown = format!("{:?} {:?}", client.line("SLOWLOG GET 100"), client.line("ACL LOG"));
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!server.log().contains("secret"));
}
