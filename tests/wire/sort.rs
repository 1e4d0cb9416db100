//! `SORT` and `SORT_RO`: every option, keys that no argument names, what is stored, the errors.

use crate::transcript::check;
use tidegate_tests::server::TestServer;

#[test]
fn orders_and_limits() {
    check(
        r#"
        > RPUSH l 10 9 1 100
        4
        > SORT l
        ["1" "9" "10" "100"]
        > SORT_RO l DESC LIMIT 1 2
        ["10" "9"]
        > SORT l ALPHA
        ["1" "10" "100" "9"]
        > SORT l BY nosort DESC
        ["100" "1" "9" "10"]
        > SADD s b a c
        3
        > SORT s ALPHA DESC
        ["c" "b" "a"]
        > SORT s
        -ERR One or more scores can't be converted into double
        > ZADD z 5 a 1 b
        2
        > SORT z ALPHA
        ["a" "b"]
        > SORT z BY nosort
        ["b" "a"]
        > SORT none
        []
        > SET k v
        OK
        > SORT k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SORT l LIMIT 1
        -ERR syntax error
        > SORT l LIMIT a b
        -ERR value is not an integer or out of range
        "#,
    );
}

/// The other keys lie in whatever shards: the request holds them all.
#[test]
fn other_keys() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for n in 0..200_i32 {
        client.line(&format!("RPUSH l {n}"));
        client.line(&format!("SET weight_{n} {}", (n * 7) % 200));
        client.line(&format!("HSET object_{n} name name-{n}"));
    }
    let shown = |reply| crate::transcript::show(&reply);
    let reply = shown(client.line("SORT l BY weight_* LIMIT 0 3 GET # GET object_*->name GET weight_*"));
    let of = |weight: i32| (0..200).find(|n| (n * 7) % 200 == weight).unwrap();
    let expected: Vec<String> = (0..3).map(|w| format!("\"{0}\" \"name-{0}\" \"{w}\"", of(w))).collect();
    assert_eq!(reply, format!("[{}]", expected.join(" ")));
    assert_eq!(shown(client.line("SORT l BY weight_* DESC GET object_*->name STORE to")), "200");
    assert_eq!(shown(client.line("LINDEX to 0")), format!("\"name-{}\"", of(199)));
    client.line("MULTI");
    client.line("SORT l BY weight_* LIMIT 0 1");
    client.line("SORT l LIMIT 0 1");
    assert_eq!(shown(client.line("EXEC")), "[[\"0\"] [\"0\"]]");
}

#[test]
fn storing() {
    check(
        r#"
        > RPUSH l 3 1 2
        3
        > SORT l STORE d
        3
        > LRANGE d 0 -1
        ["1" "2" "3"]
        > SORT l LIMIT 5 5 STORE d
        0
        > EXISTS d
        0
        > SORT_RO l STORE d
        -ERR syntax error
        > COMMAND GETKEYS SORT l STORE d
        ["l" "d"]
        > COMMAND GETKEYS SORT_RO l BY w*
        ["l"]
        "#,
    );
}
