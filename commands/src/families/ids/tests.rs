use std::sync::Arc;

use super::*;
use crate::model::check::{Bench, START_MS, check, check_effects};

#[test]
fn snowflakes() {
    let mut bench = Bench::default();
    bench.native.ids().set_node(5);
    assert_eq!(bench.run("ID.SNOWFLAKE COUNT 2").text(), "*2 $18 512389598412820480 $18 512389598412820481");
    assert_eq!(bench.run("ID.SNOWFLAKE").text(), "$18 512389598412820482");
    let parsed = bench.run("ID.PARSE 512389598412820481").text();
    assert_eq!(parsed, "*8 $4 kind $9 snowflake $2 ms :1700000000000 $4 node :5 $3 seq :1");
    check(&["ID.SNOWFLAKE COUNT 0"], "-ERR COUNT must be between 1 and 10000");
    check(&["ID.SNOWFLAKE COUNT 10001"], "-ERR COUNT must be between 1 and 10000");
    check(&["ID.SNOWFLAKE x"], "-ERR syntax error");
    check(&["ID.SNOWFLAKE COUNT x"], "-ERR value is not an integer or out of range");
    check_effects(&["ID.SNOWFLAKE"], &[]);
    // The sequence borrows from the next millisecond.
    let last = bench.run("ID.SNOWFLAKE COUNT 5000").text();
    let last = last.rsplit(' ').next().unwrap();
    let parsed = bench.run(&format!("ID.PARSE {last}")).text();
    assert!(parsed.contains("ms :1700000000001 $4 node :5 $3 seq :906"), "{parsed}");
    bench.native.ids().set_epoch_ms(START_MS + 1);
    assert!(bench.run("ID.SNOWFLAKE").text().starts_with("-ERR the time does not fit"));
}

#[test]
fn ulids() {
    let mut bench = Bench::default();
    let text = bench.run("ID.ULID COUNT 3").text();

    let ids: Vec<&str> = text.split(' ').skip(2).step_by(2).collect();
    assert!(ids.iter().all(|id| id.len() == 26 && id.starts_with("01HF7YAT00")), "{ids:?}");
    assert!(ids.is_sorted() && ids[0] != ids[1]);
    assert_eq!(
        bench.run(&format!("ID.PARSE {}", ids[0].to_lowercase())).text(),
        "*8 $4 kind $4 ulid $2 ms :1700000000000 $4 node $-1 $3 seq $-1"
    );
    check(&["ID.PARSE 8ZZZZZZZZZZZZZZZZZZZZZZZZZ"], "-ERR unknown id format");
    check(&["ID.PARSE 7ZZZZZZZZZZZZZZZZZZZZZZZZU"], "-ERR unknown id format");
}

#[test]
fn uuids() {
    let mut bench = Bench::default();
    let text = bench.run("ID.UUID7").text();
    assert!(text.starts_with("$36 018bcfe5-6800-7000-"), "{text}");
    let id = text.trim_start_matches("$36 ");
    assert!(b"89ab".contains(&id.as_bytes()[19]));
    let parsed = bench.run(&format!("ID.PARSE {id}")).text();
    assert_eq!(parsed, "*8 $4 kind $5 uuid7 $2 ms :1700000000000 $4 node $-1 $3 seq :0");
    assert!(bench.run("ID.UUID7").text().starts_with("$36 018bcfe5-6800-7001-"));
    check(&["ID.PARSE 018bcfe5-6800-4001-8000-000000000000"], "-ERR unknown id format");
    check(&["ID.PARSE 018bcfe5-6800-7001-c000-000000000000"], "-ERR unknown id format");
    check(&["ID.PARSE -1"], "-ERR unknown id format");
    check(&["ID.PARSE 018bcfe5x6800-7001-8000-000000000000"], "-ERR unknown id format");
}

#[test]
fn no_id_comes_twice_on_any_thread_nor_with_a_clock_that_goes_back() {
    let ids = Arc::new(Ids::new([3, 4]));
    let threads = (0..4_i64).map(|thread| {
        let ids = Arc::clone(&ids);
        std::thread::spawn(move || {
            let mut made = Vec::new();
            for call in 0..2000_i64 {
                // Every other call of a thread is in the past.
                let now_ms = START_MS + call - (call % 2) * 500 * thread;
                let of_call: Vec<u64> = ids.snowflakes(now_ms, 1 + call % 7).unwrap().collect();
                made.extend(of_call);
            }
            // Within a thread they are in order.
            assert!(made.is_sorted_by(|a, b| a < b));
            made
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut all: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let len = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), len);
    let ulids: Vec<u128> = ids.ulids(START_MS, 100_000).collect();
    assert!(ulids.is_sorted_by(|a, b| a < b));
}
