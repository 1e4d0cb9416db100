//! The whole engine without a network: decode, look up, route, lock, run, settle, reply.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use tidegate::config::Config;
use tidegate::dispatch::Worker;
use tidegate::session::{Client, Session};
use tidegate::shared::Shared;
use tidegate_persistence::journal::NullJournal;

const COMMANDS: u64 = 64;

/// One worker with its session and `keys` keys of 64-byte values.
fn engine(keys: u64) -> (Worker, Session) {
    let shared =
        Shared::new(Config::for_this_process(), &[], Arc::new(NullJournal)).expect("the defaults are valid");
    let mut worker = Worker::new(Arc::new(shared), 0, 1);
    let mut session =
        Session::new(Arc::new(Client::new(1, String::new(), String::new(), 0, 0, false, true)), true);
    let mut out = Vec::new();
    for key in 0..keys {
        let mut request = set(key);
        worker.process(&mut session, &mut request, &mut 0, &mut out);
        out.clear();
    }
    (worker, session)
}

fn set(key: u64) -> Vec<u8> {
    format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n$64\r\n{:x>64}\r\n", "").into_bytes()
}

fn get(key: u64) -> Vec<u8> {
    format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{key:012}\r\n").into_bytes()
}

fn bench(c: &mut Criterion) {
    // `cargo test --benches` only wants to know that it runs.
    let keys = if std::env::args().any(|arg| arg == "--bench") { 1_000_000 } else { 1000 };
    let (mut worker, mut session) = engine(keys);
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(COMMANDS));
    for (name, request) in [("get", get as fn(u64) -> Vec<u8>), ("set", set)] {
        // Many different batches, so that the caches hold none of them.
        let batches: Vec<Vec<u8>> = (0..256u64)
            .map(|batch| {
                let key = |i: u64| (batch * COMMANDS + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
                (0..COMMANDS).flat_map(|i| request(key(i))).collect()
            })
            .collect();
        let mut next = 0;
        let mut out = Vec::with_capacity(1 << 16);
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || {
                    next += 1;
                    batches[next % batches.len()].clone()
                },
                |input| {
                    out.clear();
                    worker.process(&mut session, input, &mut 0, &mut out);
                    black_box(&out);
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
