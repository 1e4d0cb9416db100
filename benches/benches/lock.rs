//! Nanoseconds to hold shards and let them go: alone, and against other threads that do the same all the time.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use smallvec::SmallVec;
use tidegate::shard::Shards;
use tidegate_benches::{cores, now, tiny};
use tidegate_data::KeyHasher;

const SHARDS: u16 = 64;
/// Shards of a command with many keys, as MSET of ten.
const MANY: u16 = 10;

fn shards() -> Shards {
    Shards::new(usize::from(SHARDS), 1, &KeyHasher::new(1))
}

/// Ten shards spread over all, others for each `turn`.
fn ten(turn: u16) -> SmallVec<[u16; 16]> {
    (0..MANY).map(|index| (turn % SHARDS * 7 + index * 13) % SHARDS).collect()
}

/// Takes what it needs, different shards for each turn, and lets it go.
type Operation = fn(&Shards, u16);

fn one_shard(shards: &Shards, turn: u16) {
    black_box(shards.hold_one(turn % SHARDS).data());
}

fn hot_shard(shards: &Shards, _turn: u16) {
    black_box(shards.hold_one(0).data());
}

fn ten_shards(shards: &Shards, turn: u16) {
    black_box(&shards.hold(ten(turn)));
}

fn alone(criterion: &mut Criterion) {
    let shards = shards();
    let mut group = criterion.benchmark_group("hold, alone");
    let mut turn = 0_u16;
    group.bench_function("one shard", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            one_shard(&shards, turn);
        });
    });
    group.bench_function("ten shards", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            ten_shards(&shards, turn);
        });
    });
    group.bench_function("all shards", |bencher| bencher.iter(|| drop(black_box(shards.hold_all()))));
    group.finish();
}

/// Runs `operation` on this thread while `threads - 1` others repeat it without pause; each on a core of its own as
/// long as there are cores.
fn contended(iterations: u64, threads: usize, operation: Operation) -> Duration {
    let shards = shards();
    let stop = AtomicBool::new(false);
    let allowed = cores::allowed().expect("an affinity");
    thread::scope(|scope| {
        for index in 1..threads {
            let (shards, stop, core) = (&shards, &stop, allowed[index % allowed.len()]);
            scope.spawn(move || {
                cores::pin(&[core]).expect("an allowed core");
                let mut turn = index as u16;
                while !stop.load(Ordering::Relaxed) {
                    turn = turn.wrapping_add(1);
                    operation(shards, turn);
                }
            });
        }
        let measuring = scope.spawn(|| {
            cores::pin(&[allowed[0]]).expect("an allowed core");
            let begin = now();
            (0..iterations).for_each(|turn| operation(&shards, turn as u16));
            let spent = begin.elapsed();
            stop.store(true, Ordering::Relaxed);
            spent
        });
        measuring.join().expect("a hold does not panic")
    })
}

fn against_others(criterion: &mut Criterion) {
    let counts: &[usize] = if tiny() { &[2] } else { &[2, 4] };
    let operations: [(&str, Operation); 3] =
        [("one shard", one_shard), ("one hot shard", hot_shard), ("ten shards", ten_shards)];
    for &threads in counts {
        let mut group = criterion.benchmark_group(format!("hold, {threads} threads"));
        for (name, operation) in operations {
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| contended(iterations, threads, operation));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, alone, against_others);
criterion_main!(benches);
