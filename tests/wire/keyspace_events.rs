//! Keyspace events: which commands tell what, in which order.

use crate::transcript::{converse, show, words};
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

/// Commands in this order, and the events each of them makes: what happened and to which key, with the database behind
/// it unless that is the first.
const EVENTS: &[(&str, &str)] = &[
    ("SET a 1", "new a, set a"),
    ("SET a 2 EX 100", "set a, expire a"),
    ("GET a", ""),
    ("GET nosuch", "keymiss nosuch"),
    ("INCR a", "incrby a"),
    ("APPEND a x", "append a"),
    ("SETRANGE a 0 y", "setrange a"),
    ("GETEX a PERSIST", "persist a"),
    ("GETEX a EX 100", "expire a"),
    ("PERSIST a", "persist a"),
    ("GETSET a 1", "set a"),
    ("SETNX a 2", ""),
    ("SETEX a 100 1", "set a, expire a"),
    ("MSET a 1 b 2", "set a, new b, set b"),
    ("INCRBYFLOAT a 1.5", "incrbyfloat a"),
    ("SETBIT a 7 1", "setbit a"),
    ("BITFIELD a SET u8 0 1", "setbit a"),
    ("BITOP NOT c a", "new c, set c"),
    ("PFADD p x y", "new p, pfadd p"),
    ("PFMERGE p2 p", "keymiss p2, new p2, pfadd p2"),
    ("GETDEL b", "del b"),
    ("EXPIRE a 100", "expire a"),
    ("EXPIRE a -1", "del a"),
    ("RENAME c d", "new d, rename_from c, rename_to d"),
    ("COPY d e", "new e, copy_to e"),
    ("MOVE e 3", "new e@3, move_from e, move_to e@3"),
    ("UNLINK d", "del d"),
    ("LPUSH l 1 2", "new l, lpush l"),
    ("RPUSH l 3", "rpush l"),
    ("LSET l 0 x", "lset l"),
    ("LINSERT l BEFORE x y", "linsert l"),
    ("LREM l 1 y", "lrem l"),
    ("LTRIM l 0 1", "ltrim l"),
    ("LPUSHX l z", "lpush l"),
    ("LMOVE l m LEFT RIGHT", "new m, rpush m, lpop l"),
    ("RPOPLPUSH l m", "lpush m, rpop l"),
    ("LPOP l", "lpop l, del l"),
    ("RPOP m 10", "rpop m, del m"),
    ("RPUSH n 1", "new n, rpush n"),
    ("BLPOP n 1", "lpop n, del n"),
    ("SADD s a b c", "new s, sadd s"),
    ("SREM s a", "srem s"),
    ("SMOVE s t b", "srem s, new t, sadd t"),
    ("SPOP s", "spop s, del s"),
    ("SADD u a b", "new u, sadd u"),
    ("SUNIONSTORE v u t", "new v, sunionstore v"),
    ("SINTERSTORE v u none", "keymiss none, del v"),
    ("SDIFFSTORE v none none", "keymiss none, keymiss none"),
    ("SREM u a b", "srem u, del u"),
    ("ZADD z 1 a 2 b 3 c", "new z, zadd z"),
    ("ZADD z 1 a", ""),
    ("ZINCRBY z 2 a", "zincr z"),
    ("ZREM z a", "zrem z"),
    ("ZPOPMIN z", "zpopmin z"),
    ("ZRANGESTORE y z 0 -1", "new y, zrangestore y"),
    ("ZUNIONSTORE w 2 z y", "new w, zunionstore w"),
    ("ZREMRANGEBYSCORE z 0 100", "zremrangebyscore z, del z"),
    ("ZDIFFSTORE w 2 y y", "del w"),
    ("BZPOPMIN y 1", "zpopmin y, del y"),
    ("HSET h a 1 b 2", "new h, hset h"),
    ("HINCRBY h a 1", "hincrby h"),
    ("HINCRBYFLOAT h a 1", "hincrbyfloat h"),
    ("HSETNX h c 1", "hset h"),
    ("HDEL h a b c", "hdel h, del h"),
    ("XADD x 1-1 a 1", "new x, xadd x"),
    ("XADD x MAXLEN 1 2-1 a 1", "xadd x, xtrim x"),
    ("XADD x 3-1 a 1", "xadd x"),
    ("XGROUP CREATE x g $", "xgroup-create x"),
    ("XGROUP SETID x g 0", "xgroup-setid x"),
    ("XGROUP CREATECONSUMER x g c", "xgroup-createconsumer x"),
    ("XREADGROUP GROUP g d COUNT 1 STREAMS x >", "xgroup-createconsumer x"),
    ("XGROUP DELCONSUMER x g c", "xgroup-delconsumer x"),
    ("XGROUP DESTROY x g", "xgroup-destroy x"),
    ("XSETID x 5-1", "xsetid x"),
    ("XTRIM x MAXLEN 1", "xtrim x"),
    ("XDEL x 3-1", "xdel x"),
    ("GEOADD geo 13.361389 38.115556 p", "new geo, zadd geo"),
    ("GEOSEARCHSTORE geo2 geo FROMMEMBER p BYRADIUS 1 km", "new geo2, geosearchstore geo2"),
    ("RPUSH unsorted 2 1", "new unsorted, rpush unsorted"),
    ("SORT unsorted STORE q", "new q, sortstore q"),
    ("FLUSHDB", ""),
    ("SET f 1", "new f, set f"),
    ("SWAPDB 0 5", ""),
    ("FLUSHALL", ""),
    ("DEBUG RELOAD", ""),
];

/// Subscribes to all events and lets the server tell of those that `classes` names.
fn listener(server: &TestServer, classes: &str) -> RespClient {
    let mut client = server.client();
    assert_eq!(client.line(&format!("CONFIG SET notify-keyspace-events {classes}")).text(), "OK");
    client.send(&["PSUBSCRIBE", "__key*"]).expect("connected");
    client.read().expect("a confirmation");
    client.send(&["SUBSCRIBE", "end"]).expect("connected");
    client.read().expect("a confirmation");
    client
}

/// All events until now, as in [`EVENTS`]; those of a key's own channel as `key: event`.
fn told(listener: &mut RespClient, client: &mut RespClient) -> String {
    client.line("PUBLISH end x");
    let mut told = Vec::new();
    loop {
        let message = listener.read().expect("an event");
        let items = message.items().expect("a message is a list");
        let [_, _, channel, text] = items else { return told.join(", ") };
        let channel = channel.text();
        let (space, name) = channel.split_once(':').expect("a channel of events");
        let db = space.split(['@', '_']).find_map(|part| part.parse::<u32>().ok()).expect("a database");
        let db = if db == 0 { String::new() } else { format!("@{db}") };
        told.push(if space.starts_with("__keyevent@") {
            format!("{name} {}{db}", text.text())
        } else {
            format!("{name}{db}: {}", text.text())
        });
    }
}

#[test]
fn every_command_tells_what_it_did() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let (mut listener, mut client) = (listener(&server, "EAmn"), server.client());
    for (command, events) in EVENTS {
        let reply = client.call(&words(command));
        assert_eq!(reply.error(), None, "{command}");
        assert_eq!(told(&mut listener, &mut client), *events, "{command}");
    }
}

#[test]
fn classes_choose_what_is_told_and_where() {
    let server = TestServer::tidegate();
    let (mut listener, mut client) = (listener(&server, "KEA"), server.client());
    client.line("SELECT 3");
    client.line("SET a 1");
    assert_eq!(told(&mut listener, &mut client), "a@3: set, set a@3");
    for (classes, expected) in [
        ("K$", "a@3: append"),
        ("Eg", "del a@3, del b@3"),
        ("El", "lpush b@3"),
        ("En", "new a@3, new b@3"),
        ("Em", "keymiss c@3"),
        ("A", ""),
        ("K", ""),
        ("\"\"", ""),
    ] {
        client.call(&words(&format!("CONFIG SET notify-keyspace-events {classes}")));
        for command in ["APPEND a 1", "LPUSH b 1", "GET c", "DEL a b"] {
            client.line(command);
        }
        let told = told(&mut listener, &mut client);
        assert_eq!(told, expected, "with {classes}");
    }
}

/// What is told of the fields of hashes, on all channels that the pattern matches.
#[test]
fn fields_are_told_as_redis_8_8_tells_them() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let (mut listener, mut client) = (server.client(), server.client());
    converse(&mut client, "> CONFIG SET notify-keyspace-events hSTIV\nOK\n> DEBUG SET-ACTIVE-EXPIRE 0\nOK");
    converse(&mut client, "> CONFIG GET notify-keyspace-events\n[\"notify-keyspace-events\" \"hSTIV\"]");
    listener.send(&["PSUBSCRIBE", "__*"]).expect("connected");
    listener.read().expect("a confirmation");
    listener.send(&["SUBSCRIBE", "end"]).expect("connected");
    listener.read().expect("a confirmation");
    let told = |listener: &mut RespClient, client: &mut RespClient| {
        client.line("PUBLISH end x");
        let mut told = Vec::new();
        loop {
            let message = listener.read().expect("an event");
            let items = message.items().expect("a message is a list");
            let [_, _, channel, text] = items else { return told };
            told.push(format!("{} {}", channel.text(), text.text()));
        }
    };
    client.line("HSET h a 1 b|c 2");
    assert_eq!(
        told(&mut listener, &mut client),
        [
            "__subkeyspace@0__:h hset|1:a,3:b|c",
            "__subkeyevent@0__:hset 1:h|1:a,3:b|c",
            "__subkeyspaceitem@0__:h\na hset",
            "__subkeyspaceitem@0__:h\nb|c hset",
            "__subkeyspaceevent@0__:hset|h 1:a,3:b|c",
        ]
    );
    client.line("CONFIG SET notify-keyspace-events Sh");
    for (command, expected) in [
        ("HSET h a 1 a 2", "hset|1:a,1:a"),
        ("HDEL h nosuch b|c x", "hdel|3:b|c"),
        ("HDEL h nosuch", ""),
        ("HSETNX h n 1", "hset|1:n"),
        ("HMSET h n 1", "hset|1:n"),
        ("HINCRBY h n 1", "hincrby|1:n"),
        ("HINCRBYFLOAT h n 1.5", "hincrbyfloat|1:n"),
        ("HEXPIRE h 100 FIELDS 2 n nosuch", "hexpire|1:n"),
        ("HPERSIST h FIELDS 2 n a", "hpersist|1:n"),
        ("HSETEX h EX 100 FIELDS 1 e 1", "hset|1:e, hexpire|1:e"),
        ("HGETEX h PERSIST FIELDS 2 e n", "hpersist|1:e"),
        ("HGETDEL h FIELDS 2 e nosuch", "hdel|1:e"),
        ("HEXPIRE h 0 FIELDS 1 n", "hdel|1:n"),
        ("SET s x", ""),
    ] {
        client.line(command);
        let told = told(&mut listener, &mut client);
        let told: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("__subkeyspace@0__:h ")).collect();
        assert_eq!(told.join(", "), expected, "{command}");
    }
    client.line("HPEXPIRE h 1 FIELDS 1 a");
    assert_eq!(client.line("BLPOP nothing 0.02"), Reply::Null);
    client.line("HGET h a");
    let told = told(&mut listener, &mut client);
    assert_eq!(told, ["__subkeyspace@0__:h hexpire|1:a", "__subkeyspace@0__:h hexpired|1:a"]);
}

#[test]
fn keys_tell_when_their_time_has_come() {
    let server = TestServer::tidegate_with(&["--enable-debug-command", "yes"]);
    let (mut listener, mut client) = (listener(&server, "Ex"), server.client());
    // Found by whoever reads it.
    converse(&mut client, "> DEBUG SET-ACTIVE-EXPIRE 0\nOK\n> SET a 1 PX 1\nOK\n> SET b 1 PX 1\nOK");
    assert_eq!(client.line("BLPOP nothing 0.02"), Reply::Null);
    converse(&mut client, "> GET a\nnil\n> EXISTS b\n0");
    assert_eq!(told(&mut listener, &mut client), "expired a, expired b");
    // Found by nobody.
    converse(&mut client, "> DEBUG SET-ACTIVE-EXPIRE 1\nOK\n> SET c 1 PX 50\nOK");
    let message = listener.read().expect("an event");
    assert_eq!(show(&message), r#"["pmessage" "__key*" "__keyevent@0__:expired" "c"]"#);
}

#[test]
fn transactions_and_waiting_requests_tell_in_the_order_of_what_happened() {
    let server = TestServer::tidegate();
    let (mut listener, mut client, mut waiting) = (listener(&server, "EA"), server.client(), server.client());
    waiting.send(&["BLPOP", "l", "0"]).expect("connected");
    let waits = tidegate_tests::clock::wait_until(std::time::Duration::from_secs(20), || {
        client.line("INFO clients").text().contains("blocked_clients:1\r\n")
    });
    assert!(waits);
    converse(
        &mut client,
        "> MULTI\nOK\n> SET a 1\nQUEUED\n> LPUSH l 1\nQUEUED\n> PUBLISH end x\nQUEUED\n> DEL a\nQUEUED\n> EXEC\n[OK 1 1 1]",
    );
    waiting.read().expect("the element");
    let mut events = Vec::new();
    for _ in 0..6 {
        let message = listener.read().expect("an event");
        events.push(message.items().and_then(|items| items.last()).map(Reply::text).unwrap_or_default());
    }
    // The one that waited is served after the whole transaction.
    assert_eq!(events, ["a", "l", "x", "a", "l", "l"]);
}

#[test]
fn members_of_collections_tell_when_their_time_has_come() {
    if std::env::var_os("TIDEGATE_BIN").is_some_and(|path| path.to_string_lossy().contains("redis-server")) {
        return;
    }
    let server = TestServer::tidegate();
    let (mut listener, mut client) = (listener(&server, "EA"), server.client());
    client.line("HSET h f 1");
    client.line("HPEXPIRE h 30 FIELDS 1 f");
    let mut events = Vec::new();
    while events.len() < 4 {
        let message = listener.read().expect("an event");
        events.push(message.items().and_then(|items| items.get(2)).map(Reply::text).unwrap_or_default());
    }
    let names = ["hset", "hexpire", "hexpired", "del"].map(|name| format!("__keyevent@0__:{name}"));
    assert_eq!(events, names);
}
