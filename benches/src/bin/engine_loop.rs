//! Runs the engine without a network for a fixed number of batches, for profilers: `valgrind --tool=callgrind` counts
//! its instructions repeatably.
//!
//! Usage: `engine_loop get|set|incr|mset|TEST keys batches [pipeline]`, TEST one of redis-benchmark's (`lpush`, `sadd`,
//! ...). Prints nanoseconds per command.

use std::hint::black_box;
use std::sync::Arc;
use tidegate::config::Config;
use tidegate::dispatch::Worker;
use tidegate::session::{Client, Session};
use tidegate::shared::Shared;
use tidegate_benches::workload::tests_of_redis::Test;
use tidegate_persistence::journal::NullJournal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn request(op: &str, key: u64) -> Vec<u8> {
    let value = "x".repeat(64);
    match op {
        "get" => format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{key:012}\r\n"),
        "incr" => format!("*2\r\n$4\r\nINCR\r\n$16\r\nctr:{key:012}\r\n"),
        "mset" => {
            let pair = |i| format!("$16\r\nkey:{:012}\r\n$64\r\n{value}\r\n", key ^ i);
            (0..10).fold("*21\r\n$4\r\nMSET\r\n".to_string(), |request, i| request + &pair(i))
        }
        _ => format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n$64\r\n{value}\r\n"),
    }
    .into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let op = args.first().map_or("get", String::as_str);
    let (keys, batches, pipeline) = (number(1, 1), number(2, 1000), number(3, 64));
    let shared =
        Shared::new(Config::for_this_process(), &[], Arc::new(NullJournal)).expect("the defaults are valid");
    let mut worker = Worker::new(Arc::new(shared), 0, 1);
    let mut session =
        Session::new(Arc::new(Client::new(1, String::new(), String::new(), 0, 0, false, true)), true);
    let mut out = Vec::with_capacity(1 << 20);
    let load: Vec<u8> = (0..keys).flat_map(|key| request("set", key)).collect();
    for chunk in load.chunks(request("set", 0).len() * 64) {
        worker.process(&mut session, &mut chunk.to_vec(), &mut 0, &mut out);
        out.clear();
    }
    let test = Test::ALL.into_iter().find(|test| test.name() == op);
    if let Some(test) = test {
        worker.process(&mut session, &mut test.setup().0, &mut 0, &mut out);
    }
    let request = |op: &str, batch: u64, i: u64| match test {
        Some(test) => {
            let mut request = Vec::new();
            test.write(&mut request, (batch * pipeline + i) as usize);
            request
        }
        None => request(op, (batch * pipeline + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys),
    };
    let mut inputs: Vec<Vec<u8>> =
        (0..1024).map(|batch| (0..pipeline).flat_map(|i| request(op, batch, i)).collect()).collect();
    let started = std::time::Instant::now();
    for batch in 0..batches {
        out.clear();
        worker.process(&mut session, &mut inputs[batch as usize % 1024], &mut 0, &mut out);
        black_box(&out);
    }
    println!("{:.1} ns per command", started.elapsed().as_nanos() as f64 / (batches * pipeline) as f64);
}
