//! `DEBUG DIGEST`, `DEBUG DIGEST-VALUE` and `DEBUG OBJECT` of values of every type, in each of their forms: the same as Redis computes.

use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

/// What makes the data.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = [
        "SET string hello",
        "SET string:int -5",
        "RPUSH list a 1 b 2 -300 a",
        "SADD set:int 5 1 70000 -9000000000",
        "SADD set a 1 b 2 03",
        "HSET hash f v 1 2 empty 0 -5 1.5",
        "ZADD zset 1 a 1.5 b -inf c inf d 3e300 e 0.1 f -0 g 5 10",
        "XADD stream 1-1 f v",
        "XADD stream 1-2 f w",
        "XADD stream 5-0 g 1 h 2",
        "XADD stream 6-0 f x",
        "XDEL stream 1-2",
    ]
    .map(str::to_owned)
    .into();
    for n in 0..600 {
        lines.push(format!("RPUSH list:large element:{n}"));
        lines.push(format!("SADD set:int:large {}", n * 7919));
        lines.push(format!("SADD set:large member:{n} {n}"));
        lines.push(format!("HSET hash:large field:{n} value:{n} {n} {n}"));
        lines.push(format!("ZADD zset:large {} member:{n} {} {n}", f64::from(n) / 7.0, n % 10));
        lines.push(format!("XADD stream:large {n}-1 name value:{n} other {n}"));
    }
    lines
}

#[test]
fn digests_are_those_of_redis() {
    let debug = ["--enable-debug-command", "yes", "--rdbcompression", "no"];
    let [redis, tidegate] = [TestServer::redis_with(&debug), TestServer::tidegate_with(&debug)];
    let (mut reference, mut target) = (redis.client(), tidegate.client());
    let mut keys: Vec<String> = Vec::new();
    for line in lines() {
        let words: Vec<&str> = line.split(' ').collect();
        call(&mut reference, &words);
        if !keys.iter().any(|key| key == words[1]) {
            keys.push(words[1].to_owned());
        }
    }
    for key in &keys {
        let Reply::Bulk(dump) = reference.call(&["DUMP", key]) else { panic!("{key} is there") };
        let words: [&[u8]; 4] = [b"RESTORE", key.as_bytes(), b"0", &dump];
        assert_eq!(target.call(&words), Reply::Simple(b"OK".to_vec()), "{key}");
    }
    // Small values are written with as many bytes, but for scores, which are shorter here.
    for key in keys.iter().filter(|key| !key.ends_with(":large") && *key != "zset") {
        let len = |client: &mut RespClient| {
            let Reply::Simple(line) = call(client, &["DEBUG", "OBJECT", key]) else { panic!("a line") };
            let line = String::from_utf8_lossy(&line).into_owned();
            line.split(' ').find(|word| word.starts_with("serializedlength")).map(str::to_owned)
        };
        assert_eq!(len(&mut target), len(&mut reference), "{key}");
    }
    keys.push("none".to_owned());
    let mut both = |words: &[&str]| {
        assert_eq!(call(&mut target, words), call(&mut reference, words), "{words:?}");
    };
    for key in &keys {
        both(&["DEBUG", "DIGEST-VALUE", key]);
    }
    both(&["DEBUG", "DIGEST"]);
    both(&["EXPIRE", "set", "1000"]);
    both(&["COPY", "hash", "hash", "DB", "3"]);
    both(&["DEBUG", "DIGEST"]);
    // The same members, made in another way, are the same data.
    both(&["DEL", "set"]);
    both(&["SADD", "set", "x", "03", "2", "b", "1", "a"]);
    both(&["SREM", "set", "x"]);
    both(&["DEBUG", "DIGEST"]);
}

fn call(client: &mut RespClient, words: &[&str]) -> Reply {
    let reply = client.call(words);
    assert!(!matches!(reply, Reply::Error(_)), "{words:?}: {reply:?}");
    reply
}
