//! Bloom and cuckoo filters, count-min sketches, top-k lists and t-digests: the values of RedisBloom's and redis-py's own tests,
//! and that they are kept like every other value.

use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::RespClient;
use tidegate_tests::server::TestServer;

use crate::snapshot::digest;
use crate::transcript::{check, converse, show};

#[test]
fn bloom_filters() {
    check(
        r#"
        > BF.ADD t item
        1
        > BF.CARD t
        1
        > BF.INFO t
        [Capacity 100 Size 240 Number of filters 1 Number of items inserted 1 Expansion rate 2]
        > BF.MADD t foo bar
        [1 1]
        > BF.MADD t foo new bar
        [0 1 0]
        > BF.EXISTS t foo
        1
        > BF.MEXISTS t foo none
        [1 0]
        > BF.RESERVE b 0.001 100
        OK
        > BF.INFO b SIZE
        [296]
        > BF.RESERVE b 0.001 100
        -ERR item exists
        > BF.RESERVE n 0.01 3 NONSCALING EXPANSION 2
        -Nonscaling filters cannot expand
        > BF.INSERT m ERROR 0.001 CAPACITY 50000 EXPANSION 2 ITEMS foo
        [1]
        > BF.DEBUG m
        ["size:1" "bytes:98880 bits:791040 hashes:11 hashwidth:64 capacity:50000 size:1 ratio:0.0005"]
        > BF.SCANDUMP t 1
        [145 "...
        > BF.SCANDUMP t 145
        [0 ""]
        > BF.LOADCHUNK t 1 x
        -ERR invalid offset - no link found
        > BF.RESERVE huge 0.0000001 1073741824
        -ERR Insufficient memory to create filter
        "#,
    );
}

#[test]
fn a_bloom_filter_that_grows() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    client.line("BF.RESERVE d 0.01 10");
    for number in 0..100 {
        client.line(&format!("BF.ADD d {number}"));
    }
    converse(
        &mut client,
        r#"
        > BF.DEBUG d
        ["size:99" "bytes:16 bits:128 hashes:8 hashwidth:64 capacity:10 size:10 ratio:0.005" "bytes:32 bits:256 hashes:9 hashwidth:64 capacity:20 size:20 ratio:0.0025" "bytes:72 bits:576 hashes:10 hashwidth:64 capacity:40 size:40 ratio:0.00125" "bytes:160 bits:1280 hashes:11 hashwidth:64 capacity:80 size:29 ratio:0.000625"]
        "#,
    );
}

#[test]
fn cuckoo_filters() {
    check(
        r#"
        > CF.RESERVE a 9 EXPANSION 0
        OK
        > CF.ADD a 3
        1
        > CF.ADD a 4
        1
        > CF.ADDNX a 4
        0
        > CF.ADDNX a 9
        1
        > CF.INSERT a ITEMS 4 5
        [1 1]
        > CF.INSERTNX a ITEMS 4 6
        [0 1]
        > CF.DEL a 3
        1
        > CF.DEL a 3
        0
        > CF.COUNT a 4
        2
        > CF.EXISTS a 4
        1
        > CF.MEXISTS a 4 7
        [1 0]
        > CF.INFO a
        [Size 64 Number of buckets 4 Number of filters 1 Number of items inserted 5 Number of items deleted 1 Bucket size 2 Expansion rate 0 Max iterations 20]
        > CF.DEBUG a
        "bktsize:2 buckets:4 items:5 deletes:1 filters:1 max_iterations:20 expansion:0"
        > CF.COMPACT a
        OK
        > CF.SCANDUMP a 0
        [1 "...
        > CF.SCANDUMP a 9
        [0 nil]
        > CF.LOADCHUNK a 1 x
        -Couldn't load chunk!
        > CF.DEL none x
        -Not found
        "#,
    );
}

#[test]
fn count_min_sketches() {
    check(
        r#"
        > CMS.INITBYPROB p 0.001 0.01
        OK
        > CMS.INCRBY p a 5
        [5]
        > CMS.INFO p
        [width 2000 depth 7 count 5]
        > CMS.INITBYDIM A 1000 5
        OK
        > CMS.INITBYDIM B 1000 5
        OK
        > CMS.INITBYDIM C 1000 5
        OK
        > CMS.INCRBY A foo 5 bar 3 baz 9
        [5 3 9]
        > CMS.INCRBY B foo 2 bar 3 baz 1
        [2 3 1]
        > CMS.MERGE C 2 A B WEIGHTS 2 3
        OK
        > CMS.QUERY C foo bar baz
        [16 15 21]
        > CMS.INITBYDIM huge 2147483648 2147483648
        -CMS: Insufficient memory to create the key
        "#,
    );
}

#[test]
fn top_k_lists() {
    check(
        r#"
        > TOPK.RESERVE t 3 10 3 1
        OK
        > TOPK.INCRBY t bar 3 baz 6 42 2
        [nil nil nil]
        > TOPK.INCRBY t 42 8 xyzzy 4
        [nil "bar"]
        > TOPK.COUNT t bar baz 42 xyzzy 4
        [3 6 10 4 0]
        > TOPK.ADD t 42
        [nil]
        > TOPK.QUERY t 42 bar
        [1 0]
        > TOPK.LIST t WITHCOUNT
        ["42" 11 "baz" 6 "xyzzy" 4]
        > TOPK.INFO t
        [k 3 width 10 depth 3 decay "1"]
        > TOPK.RESERVE huge 4294967295
        -TopK: Insufficient memory to create topk data structure
        > TOPK.RESERVE huge 3 4294967295 4294967295 0.9
        -TopK: Insufficient memory to create topk data structure
        "#,
    );
}

#[test]
fn t_digests() {
    check(
        r#"
        > TDIGEST.CREATE q
        OK
        > TDIGEST.ADD q 1 2 3 4 5
        OK
        > TDIGEST.QUANTILE q 0.5 0.8
        ["3" "5"]
        > TDIGEST.CREATE r COMPRESSION 500
        OK
        > TDIGEST.ADD r 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
        OK
        > TDIGEST.RANK r -20 20 9
        [-1 20 9]
        > TDIGEST.REVRANK r 21 0 10
        [-1 19 9]
        > TDIGEST.CREATE s
        OK
        > TDIGEST.ADD s 1 2 3 4 5 6 7 8 9 10
        OK
        > TDIGEST.BYRANK s 0 9 100
        ["1" "10" "inf"]
        > TDIGEST.BYREVRANK s 0 9 100
        ["10" "1" "-inf"]
        > TDIGEST.CDF s 5.5
        ["0.5"]
        > TDIGEST.TRIMMED_MEAN s 0.1 0.6
        "4"
        > TDIGEST.MIN s
        "1"
        > TDIGEST.MAX s
        "10"
        > TDIGEST.MERGE m 2 q s
        OK
        > TDIGEST.INFO m
        [Compression 100 Capacity 610 Merged nodes 0 Unmerged nodes 15 Merged weight 0 Unmerged weight 15 Observations 15 Total compressions 0 Memory usage 9840]
        > TDIGEST.RESET m
        OK
        > TDIGEST.MIN m
        "nan"
        > TDIGEST.QUANTILE m 0.5
        ["nan"]
        > TDIGEST.RANK m 1
        [-2]
        "#,
    );
}

#[test]
fn in_resp3() {
    check(
        r#"
        > HELLO 3
        ...
        > BF.ADD t item
        true
        > BF.MADD t item new
        [false true]
        > BF.INFO t
        {Capacity: 100 Size: 240 Number of filters: 1 Number of items inserted: 2 Expansion rate: 2}
        > BF.INFO t ITEMS
        {Number of items inserted: 2}
        > BF.RESERVE n 0.01 1 NONSCALING
        OK
        > BF.MADD n a b c
        [true -ERR non scaling filter is full]
        > BF.INFO n EXPANSION
        {Expansion rate: nil}
        > CF.INSERT c ITEMS a b
        [true true]
        > CF.INSERTNX c ITEMS a x
        [0 1]
        > CMS.INITBYDIM s 10 2
        OK
        > CMS.INFO s
        {width: 10 depth: 2 count: 0}
        > TOPK.RESERVE k 2
        OK
        > TOPK.QUERY k a
        [false]
        > TOPK.INFO k
        {k: 2 width: 8 depth: 7 decay: 0.9d}
        > TDIGEST.CREATE q
        OK
        > TDIGEST.MIN q
        NaNd
        > TDIGEST.ADD q 1 2 3 4 5
        OK
        > TDIGEST.QUANTILE q 0.5 0.8
        [3d 5d]
        > TDIGEST.BYRANK q 9
        [infd]
        "#,
    );
}

/// Values of all five types, with a past.
fn fill(client: &mut RespClient) {
    client.line("BF.RESERVE bf 0.01 10");
    client.line("CF.RESERVE cf 8 EXPANSION 2");
    client.line("CMS.INITBYDIM cms 50 4");
    client.line("TOPK.RESERVE topk 5 10 3 0.9");
    client.line("TDIGEST.CREATE td COMPRESSION 20");
    for number in 0..200 {
        client.line(&format!("BF.ADD bf {number}"));
        client.line(&format!("CF.ADD cf {number}"));
        client.line(&format!("CMS.INCRBY cms {} {number}", number % 30));
        client.line(&format!("TOPK.ADD topk {} {}", number % 7, number % 20));
        client.line(&format!("TDIGEST.ADD td {}.5", number * 7919 % 200));
    }
    // These depend on the configuration.
    client.line("CONFIG SET bf-error-rate 0.2 bf-initial-size 3 bf-expansion-factor 4 cf-initial-size 4 cf-bucket-size 1");
    client.line("BF.ADD bf2 x");
    client.line("CF.ADD cf2 x");
    client.line("CONFIG SET bf-error-rate 0.01 bf-initial-size 100 bf-expansion-factor 2 cf-initial-size 1024 cf-bucket-size 2");
    client.line("BF.ADD bf2 y");
    client.line("CF.ADD cf2 y");
    client.line("CMS.MERGE cms 2 cms cms WEIGHTS 1 2");
    client.line("TDIGEST.MERGE td2 2 td td COMPRESSION 30");
    client.line("PEXPIRE cf 100000000");
}

/// Whatever is asked of them afterwards is answered as if nothing had happened.
fn ask(client: &mut RespClient) -> Vec<String> {
    let lines = [
        "BF.DEBUG bf",
        "BF.DEBUG bf2",
        "CF.DEBUG cf",
        "CF.INFO cf2",
        "CMS.QUERY cms 1 2 3",
        "TOPK.LIST topk WITHCOUNT",
        "TDIGEST.INFO td",
        "TDIGEST.QUANTILE td2 0.01 0.5 0.99",
    ];
    lines.iter().map(|line| format!("{:?}", client.line(line))).collect()
}

#[test]
fn they_survive() {
    let options = ["--appendonly", "yes", "--enable-debug-command", "yes", "--save", ""];
    let mut server = TestServer::tidegate_with(&options);
    fill(&mut server.client());
    let mut last = (digest(&mut server.client()), ask(&mut server.client()));
    let mut compare = |server: &TestServer, what: &str| {
        let now = (digest(&mut server.client()), ask(&mut server.client()));
        assert_eq!(now, last, "{what}");
        // It goes on as before, too.
        for line in ["BF.ADD bf more", "CF.ADD cf more", "TOPK.ADD topk 3 more", "TDIGEST.ADD td 77"] {
            assert!(server.client().line(line).error().is_none());
        }
        last = (digest(&mut server.client()), ask(&mut server.client()));
    };
    server.restart().expect("it starts again");
    compare(&server, "from the append-only file");
    for preamble in ["yes", "no"] {
        let mut client = server.client();
        client.line(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
        client.line("BGREWRITEAOF");
        let done = wait_until(Duration::from_secs(20), || {
            let text = client.line("INFO persistence").text();
            text.contains("aof_rewrite_in_progress:0") && text.contains("aof_rewrite_scheduled:0")
        });
        assert!(done, "the rewrite ends");
        drop(client);
        server.restart().expect("it starts again");
        compare(&server, "from a rewritten file");
    }
    let mut client = server.client();
    converse(
        &mut client,
        r#"
        > DEBUG RELOAD
        OK
        "#,
    );
    compare(&server, "from a snapshot");
}

#[test]
fn they_are_values_like_others() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    fill(&mut client);
    for (key, name) in [
        ("bf", "MBbloom--"),
        ("cf", "MBbloomCF"),
        ("cms", "CMSk-TYPE"),
        ("topk", "TopK-TYPE"),
        ("td", "TDIS-TYPE"),
    ] {
        let mut line = |line: String| client.line(&line).text();
        assert_eq!(line(format!("TYPE {key}")), name);
        assert_eq!(line(format!("OBJECT ENCODING {key}")), "raw");
        let size = client.line(&format!("MEMORY USAGE {key}")).int();
        assert!(size.is_some_and(|size| size > 100), "{key}");
        let dump = |client: &mut RespClient, key: &str| client.line(&format!("DUMP {key}"));
        let original = dump(&mut client, key);
        let payload = original.bytes().expect("there is a value").to_vec();
        for (command, to) in [("COPY", "copied"), ("RENAME", "renamed")] {
            let from = if command == "RENAME" { "copied" } else { key };
            client.line(&format!("{command} {from} {to}"));
            assert_eq!(dump(&mut client, to), original, "{command} {key}");
        }
        client.call(&[&b"RESTORE"[..], b"restored", b"0", &payload]);
        assert_eq!(dump(&mut client, "restored"), original, "{key}");
        let mut damaged = payload.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let refused = client.call(&[&b"RESTORE"[..], b"damaged", b"0", &damaged]).error();
        assert!(refused.is_some_and(|error| error.contains("checksum")), "{key}");
        client.line("MOVE renamed 1");
        client.line("SELECT 1");
        assert_eq!(dump(&mut client, "renamed"), original, "MOVE {key}");
        client.line("FLUSHDB");
        client.line("SELECT 0");
        let found = client.line(&format!("SCAN 0 COUNT 1000 TYPE {name}"));
        let found = show(&found);
        assert!(found.contains(&format!("\"{key}\"")) && found.contains("\"restored\""), "{found}");
        client.line("DEL restored");
    }
    converse(
        &mut client,
        r#"
        > GET bf
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > CF.ADD bf x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > BF.EXISTS cf x
        0
        > MULTI
        OK
        > BF.ADD bf in-a-transaction
        QUEUED
        > CMS.QUERY cms 1
        QUEUED
        > EXEC
        [1 [...]]
        > EVAL "return redis.call('BF.ADD', KEYS[1], 'in-a-script')" 1 bf
        1
        > BF.MEXISTS bf in-a-transaction in-a-script
        [1 1]
        > ACL CAT bloom
        [...bf.add...]
        > ACL CAT tdigest
        [...tdigest.add...]
        > COMMAND GETKEYS CMS.MERGE d 2 a b WEIGHTS 1 2
        ["d" "a" "b"]
        > DEL bf cf cms topk td
        5
        "#,
    );
}

#[test]
fn memory_that_is_not_there() {
    let server = TestServer::tidegate_with(&["--maxmemory", "30mb"]);
    converse(
        &mut server.client(),
        r#"
        > BF.RESERVE b 0.01 100000000
        -OOM command not allowed when used memory > 'maxmemory'.
        > CF.RESERVE c 100000000
        -OOM command not allowed when used memory > 'maxmemory'.
        > CMS.INITBYDIM m 10000000 7
        -OOM command not allowed when used memory > 'maxmemory'.
        > TOPK.RESERVE t 100 10000000 7 0.9
        -OOM command not allowed when used memory > 'maxmemory'.
        > BF.RESERVE b 0.01 1000000
        OK
        > DBSIZE
        1
        "#,
    );
}

#[test]
fn configuration() {
    check(
        r#"
        > CONFIG GET bf-*
        ["bf-error-rate" "0.01" "bf-initial-size" "100" "bf-expansion-factor" "2"]
        > CONFIG GET cf-*
        ["cf-bucket-size" "2" "cf-initial-size" "1024" "cf-max-iterations" "20" "cf-expansion-factor" "1" "cf-max-expansions" "32"]
        > CONFIG SET bf-error-rate 1
        -ERR CONFIG SET failed (possibly related to argument 'bf-error-rate') - argument must be a number above 0 and below 1
        > CONFIG SET cf-bucket-size 256
        -ERR CONFIG SET failed (possibly related to argument 'cf-bucket-size') - argument must be between 1 and 255 inclusive
        > CONFIG SET bf-error-rate 0.001 bf-initial-size 10 bf-expansion-factor 0
        OK
        > BF.ADD b x
        1
        > BF.INFO b CAPACITY
        [10]
        > BF.INFO b EXPANSION
        [nil]
        > BF.DEBUG b
        ["size:1" "...ratio:0.001"]
        "#,
    );
}
