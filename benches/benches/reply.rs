//! Nanoseconds per reply of the reply writer, into an output buffer that is large enough. "elem/s" counts replies.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::tiny;
use tidegate_commands::model::{Protocol, Reply};

type Write = fn(&mut Reply, usize);

/// What most commands answer; the number varies from reply to reply.
const CASES: [(&str, Write); 8] = [
    ("ok", |reply, _| reply.ok()),
    ("small integer", |reply, index| reply.integer(index as i64 % 10)),
    ("large integer", |reply, index| reply.integer(index as i64 * 1_000_003_000_017)),
    ("bulk of 64 bytes", |reply, _| reply.bulk(black_box(&[b'v'; 64]))),
    ("null", |reply, _| reply.null()),
    ("double", |reply, index| reply.double(index as f64 / 3.0)),
    ("array of 10 bulks", |reply, _| {
        reply.array(10);
        for _ in 0..10 {
            reply.bulk(black_box(b"member:00001"));
        }
    }),
    ("map of 5 pairs", |reply, index| {
        reply.map(5);
        for field in 0..5 {
            reply.bulk(black_box(b"field"));
            reply.integer((index + field) as i64);
        }
    }),
];

fn reply(criterion: &mut Criterion) {
    let count = if tiny() { 4 } else { 256 };
    for (name, protocol) in [("RESP2", Protocol::Resp2), ("RESP3", Protocol::Resp3)] {
        let mut group = criterion.benchmark_group(format!("reply, {name}"));
        group.throughput(Throughput::Elements(count as u64));
        for (case, write) in CASES {
            let mut out = Vec::with_capacity(1 << 20);
            group.bench_function(BenchmarkId::from_parameter(case), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    let mut reply = Reply::new(&mut out, protocol);
                    (0..count).for_each(|index| write(&mut reply, index));
                    black_box(out.last());
                });
            });
            assert!(out.ends_with(b"\r\n"), "{case}");
        }
        group.finish();
    }
}

criterion_group!(benches, reply);
criterion_main!(benches);
