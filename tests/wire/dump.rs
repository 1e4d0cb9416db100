//! Values as bytes. The payloads are what Redis 7.0.15 answers.

use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

use crate::transcript::check;

#[test]
fn dump_and_restore() {
    check(
        r#"
        > SET k hello
        OK
        > DUMP k
        "\x00\x05hello\n\x00cr\xdfve4 \n"
        > DUMP nosuch
        nil
        > RESTORE k 0 "\x00\x05hello\n\x00cr\xdfve4 \n"
        -BUSYKEY Target key name already exists.
        > RESTORE k 0 "\x00\x05hello\n\x00cr\xdfve4 \n" REPLACE
        OK
        > RESTORE n 100000 "\x00\xc0\x05\n\x00c/_f\x83/\xb3Q" IDLETIME 1000
        OK
        > OBJECT IDLETIME n
        100...
        > OBJECT ENCODING n
        "int"
        > GET n
        "5"
        > PERSIST n
        1
        > RESTORE n 4102444800000 "\x00\xc0\x05\n\x00c/_f\x83/\xb3Q" ABSTTL REPLACE FREQ 5
        OK
        > PEXPIRETIME n
        4102444800000
        > RESTORE n 1 "\x00\xc0\x05\n\x00c/_f\x83/\xb3Q" ABSTTL REPLACE
        OK
        > EXISTS n
        0
        > RESTORE n 0 "\x00\xc0\x05\n\x00c/_f\x83/\xb3R"
        -ERR DUMP payload version or checksum are wrong
        > RESTORE n -1 x
        -ERR Invalid TTL value, must be >= 0
        > RESTORE n 0 x IDLETIME
        -ERR syntax error
        > RESTORE n 0 x FREQ 256
        -ERR Invalid FREQ value, must be >= 0 and <= 255
        > RESTORE n 0
        -ERR wrong number of arguments for 'restore' command
        > RESTORE-ASKING n 0 "\x00\xc0\x05\n\x00c/_f\x83/\xb3Q"
        OK
        "#,
    );
}

/// What is dumped compressed comes back, and a payload of one server is good for another.
#[test]
fn strings_of_all_sizes_come_back() {
    let (server, other) = (TestServer::tidegate(), TestServer::redis());
    let (mut client, mut redis) = (server.client(), other.client());
    for len in [0, 1, 20, 21, 44, 45, 1000, 100_000] {
        for alphabet in [1usize, 3, 251] {
            let value: Vec<u8> = (0..len).map(|at| (at * at % alphabet) as u8).collect();
            client.call(&[&b"SET"[..], b"k", &value]);
            let Reply::Bulk(payload) = client.call(&["DUMP", "k"]) else { panic!("no payload") };
            for client in [&mut client, &mut redis] {
                let restored = client.call(&[&b"RESTORE"[..], b"c", b"0", &payload, b"REPLACE"]);
                assert_eq!(restored, Reply::Simple(b"OK".to_vec()));
                assert_eq!(client.call(&["GET", "c"]), Reply::Bulk(value.clone()));
            }
            let Reply::Bulk(payload) = redis.call(&["DUMP", "c"]) else { panic!("no payload") };
            client.call(&[&b"RESTORE"[..], b"d", b"0", &payload, b"REPLACE"]);
            assert_eq!(client.call(&["GET", "d"]), Reply::Bulk(value));
        }
    }
}
