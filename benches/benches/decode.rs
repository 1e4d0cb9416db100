//! Nanoseconds per command of the request decoder, over a read buffer of pipelined commands. The figure
//! criterion prints as "elem/s" counts commands.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::net::decode::{Decoder, Limits, Step};

const COMMANDS: usize = 128;
const LIMITS: Limits = Limits { authenticated: true, max_bulk_len: 512 << 20 };

fn encode(args: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn pipeline(write: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut buf = Vec::new();
    for index in 0..COMMANDS {
        write(index, &mut buf);
    }
    buf
}

fn decode(criterion: &mut Criterion) {
    let key = |index: usize| format!("key:{:012}", index * 7919);
    let cases = [
        ("get", pipeline(|index, out| encode(&[b"GET", key(index).as_bytes()], out))),
        ("set_64", pipeline(|index, out| encode(&[b"SET", key(index).as_bytes(), &[b'v'; 64]], out))),
        ("set_1024", pipeline(|index, out| encode(&[b"SET", key(index).as_bytes(), &[b'v'; 1024]], out))),
        ("inline_get", pipeline(|index, out| out.extend(format!("GET {}\r\n", key(index)).into_bytes()))),
    ];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    for (name, mut buf) in cases {
        let mut decoder = Decoder::default();
        let mut spans = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                spans.clear();
                let (mut at, mut commands) = (0, 0);
                while let Ok(Step::Command { end, .. }) =
                    decoder.decode(black_box(&mut buf), at, &LIMITS, &mut spans)
                {
                    at = end;
                    commands += 1;
                }
                assert_eq!(commands, COMMANDS);
                black_box(&spans);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
