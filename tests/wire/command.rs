//! COMMAND: what clients learn about commands.

use tidegate_tests::server::TestServer;

use crate::transcript::{check, show};

#[test]
fn info_has_ten_fields() {
    check(
        r#"
        > COMMAND INFO get NOSUCH "" get|x
        [["get" 2 [readonly fast] 1 1 1 [@read @string @fast] [] [["flags" [RO access] "begin_search" ["type" "index" "spec" ["index" 1]] "find_keys" ["type" "range" "spec" ["lastkey" 0 "keystep" 1 "limit" 0]]]] []] nil nil nil]
        > COMMAND INFO SELECT
        [["select" 2 [loading stale fast] 0 0 0 [@fast @connection] [] [] []]]
        > COMMAND INFO mset
        [["mset" -3 [write denyoom] 1 -1 2 ...
        > COMMAND INFO rename
        [["rename" 3 [write] 1 2 1 ...
        > COMMAND INFO object|ENCODING
        [["object|encoding" 3 [readonly] 2 2 1 [@keyspace @read @slow] ["nondeterministic_output"] ...
        > COMMAND INFO command|count|x command|
        [nil nil]
        > COMMAND NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.
        > COMMAND COUNT x
        -ERR wrong number of arguments for 'command|count' command
        > COMMAND HELP
        [COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ...]
        "#,
    );
}

#[test]
fn info_uses_the_types_of_resp3() {
    check(
        r#"
        > HELLO 3
        ...
        > COMMAND INFO get nosuch
        [["get" 2 #{readonly fast} 1 1 1 #{@read @string @fast} #{} #{{"flags": #{RO access} "begin_search": {"type": "index" "spec": {"index": 1}} "find_keys": {"type": "range" "spec": {"lastkey": 0 "keystep": 1 "limit": 0}}}} #{}] nil]
        > COMMAND DOCS nosuch
        {}
        > COMMAND DOCS expire
        {"expire": {"summary": ... "since": "1.0.0" "group": "generic" "complexity": "O(1)" "history": #{["7.0.0" ...]} "arguments": [{"name": "key" "type": "key" "key_spec_index": 0} {"name": "seconds" "type": "integer"} {"name": "condition" "type": "oneof" "since": "7.0.0" "flags": #{optional} "arguments": [{"name": "nx" "type": "pure-token" "token": "NX"} ...
        "#,
    );
}

#[test]
fn docs_hold_the_argument_tree() {
    check(
        r#"
        > COMMAND DOCS DECR nosuch
        ["decr" ["summary" ... "since" "1.0.0" "group" "string" "complexity" "O(1)" "arguments" [["name" "key" "type" "key" "key_spec_index" 0]]]]
        > COMMAND DOCS quit
        ["quit" [..."group" "connection" "complexity" "O(1)"...
        > COMMAND DOCS object|freq
        ["object|freq" [...
        > COMMAND DOCS substr
        [..."doc_flags" [deprecated] "deprecated_since" "2.0.0" "replaced_by" ...
        "#,
    );
}

#[test]
fn keys_of_requests() {
    check(
        r#"
        > COMMAND GETKEYS MSET a 1 b 2
        ["a" "b"]
        > COMMAND GETKEYS OBJECT ENCODING a
        ["a"]
        > COMMAND GETKEYS OBJECT NOSUCH a
        -ERR Invalid command specified
        > COMMAND GETKEYS NOSUCH a
        -ERR Invalid command specified
        > COMMAND GETKEYS PING a
        -ERR The command has no key arguments
        > COMMAND GETKEYS COMMAND INFO
        -ERR The command has no key arguments
        > COMMAND GETKEYS GET a b
        -ERR Invalid number of arguments specified for command
        > COMMAND GETKEYS MSET a
        -ERR Invalid number of arguments specified for command
        > COMMAND GETKEYS GET
        -ERR wrong number of arguments for 'command|getkeys' command
        > COMMAND GETKEYSANDFLAGS SET a b
        [["a" [OW update]]]
        > COMMAND GETKEYSANDFLAGS SET a b EX 10 get
        [["a" [RW access update]]]
        > COMMAND GETKEYSANDFLAGS SET GET GET
        [["GET" [OW update]]]
        > COMMAND GETKEYSANDFLAGS RENAME a b
        [["a" [RW access delete]] ["b" [OW update]]]
        > COMMAND GETKEYSANDFLAGS DEL a
        [["a" [RM delete]]]
        "#,
    );
}

#[test]
fn list_filters() {
    check(
        r#"
        > COMMAND LIST FILTERBY PATTERN GETDE?
        ["getdel"]
        > COMMAND LIST FILTERBY pattern object|f*
        ["object|freq"]
        > COMMAND LIST FILTERBY MODULE json
        []
        > COMMAND LIST FILTERBY ACLCAT nosuch
        []
        > COMMAND LIST FILTERBY PATTERN a FILTERBY PATTERN b
        -ERR syntax error
        > COMMAND LIST FILTERBY
        -ERR syntax error
        > COMMAND LIST FILTERBY NOSUCH x
        -ERR syntax error
        > COMMAND LIST all
        -ERR syntax error
        "#,
    );
    let server = TestServer::tidegate();
    let mut client = server.client();
    let transaction = client.line("COMMAND LIST FILTERBY ACLCAT Transaction");
    let mut names: Vec<String> = transaction.items().unwrap().iter().map(show).collect();
    names.sort();
    assert_eq!(names.join(" "), r#""discard" "exec" "multi" "unwatch" "watch""#);
}

#[test]
fn counts_agree() {
    let server =
        TestServer::tidegate_with(&["--rename-command", "GET", "fetch", "--rename-command", "SET", ""]);
    let mut client = server.client();
    let count = client.line("COMMAND COUNT").int().unwrap();
    for list in ["COMMAND", "COMMAND INFO"] {
        assert_eq!(client.line(list).items().unwrap().len() as i64, count, "{list}");
    }
    assert_eq!(client.line("COMMAND DOCS").items().unwrap().len() as i64, 2 * count);
    let listed = client.line("COMMAND LIST").items().unwrap().len() as i64;
    assert!(listed > count, "subcommands are listed as well: {listed}");
    // A renamed command is found by its new name and told by its old one.
    assert!(show(&client.line("COMMAND INFO get set fetch")).starts_with(r#"[nil nil ["get" 2 "#));
}
