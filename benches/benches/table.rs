//! Nanoseconds per key of the keyspace table, on more keys than the caches hold. "elem/s" counts keys.

use std::hint::black_box;
use std::mem;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use tidegate_benches::tiny;
use tidegate_data::keyspace::Entry;
use tidegate_data::{KeyHasher, Record, StringEncoding, Table};

/// The server's allocator: records are heap blocks, so it is part of what is measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Keys looked up together, as many as the server prepares at once.
const GROUP: usize = 32;
const STEP: usize = 7_368_787;
const VALUE: [u8; 64] = [b'v'; 64];

fn key(index: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    key[4..].copy_from_slice(format!("{index:012}").as_bytes());
    key
}

fn record(key: &[u8]) -> Record {
    Record::new_bytes(key, &VALUE, StringEncoding::Raw, None)
}

fn insert(table: &mut Table, key: &[u8]) {
    let hash = table.hasher().hash(key);
    match table.entry(hash, key) {
        Entry::Vacant(place) => drop(place.insert(record(key))),
        Entry::Occupied(_) => unreachable!("keys are distinct"),
    }
}

fn filled(count: usize) -> Table {
    let mut table = Table::new(KeyHasher::new(1));
    for index in 0..count {
        insert(&mut table, &key(index));
    }
    table
}

/// Groups of keys in an order that no cache or hardware prefetcher can follow.
struct Order {
    keys: Vec<[u8; 16]>,
    next: usize,
}

impl Order {
    fn new(count: usize) -> Self {
        // A prime step visits every key once before it repeats one.
        Self { keys: (0..count).map(|index| key(index * STEP % count)).collect(), next: 0 }
    }

    fn group(&mut self) -> &[[u8; 16]] {
        let start = self.next;
        self.next = if start + 2 * GROUP > self.keys.len() { 0 } else { start + GROUP };
        &self.keys[start..start + GROUP]
    }
}

fn table(criterion: &mut Criterion) {
    let count = if tiny() { 1_000 } else { 1_000_000 };
    let mut table = filled(count);
    assert_eq!(table.len(), count);
    let mut order = Order::new(count);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(GROUP as u64));

    group.bench_function(BenchmarkId::new("get one by one", count), |bencher| {
        bencher.iter(|| {
            for key in order.group() {
                let found = table.get(table.hasher().hash(key), key).expect("all keys are there");
                black_box(found.key()[15]);
            }
        });
    });

    let hint = table.hint();
    group.bench_function(BenchmarkId::new("get, group prefetched", count), |bencher| {
        let mut hashes = [0; GROUP];
        bencher.iter(|| {
            let keys = order.group();
            for (key, hash) in keys.iter().zip(&mut hashes) {
                *hash = table.hasher().hash(key);
                hint.prefetch_bucket(*hash);
            }
            for hash in &hashes {
                table.prefetch_record(*hash);
            }
            for (key, hash) in keys.iter().zip(&hashes) {
                black_box(table.get(*hash, key).expect("all keys are there").key()[15]);
            }
        });
    });

    group.bench_function(BenchmarkId::new("overwrite 64 bytes, group prefetched", count), |bencher| {
        let mut hashes = [0; GROUP];
        bencher.iter(|| {
            let keys = order.group();
            for (key, hash) in keys.iter().zip(&mut hashes) {
                *hash = table.hasher().hash(key);
                hint.prefetch_bucket_for_write(*hash);
            }
            for hash in &hashes {
                table.prefetch_record(*hash);
            }
            for (key, hash) in keys.iter().zip(&hashes) {
                match table.entry(*hash, key) {
                    Entry::Occupied(mut place) => {
                        place.set_string_bytes(black_box(&VALUE), StringEncoding::Raw, None);
                    }
                    Entry::Vacant(_) => unreachable!("all keys are there"),
                }
            }
        });
    });

    group.bench_function(BenchmarkId::new("remove and insert", count), |bencher| {
        bencher.iter(|| {
            for key in order.group() {
                let hash = table.hasher().hash(key);
                match table.entry(hash, key) {
                    Entry::Occupied(place) => drop(place.remove()),
                    Entry::Vacant(_) => unreachable!("all keys are there"),
                }
                insert(&mut table, key);
            }
        });
    });
    group.finish();
}

fn growth(criterion: &mut Criterion) {
    let count = if tiny() { 1_000 } else { 100_000 };
    let keys: Vec<[u8; 16]> = (0..count).map(key).collect();
    let mut group = criterion.benchmark_group("growth");
    group.throughput(Throughput::Elements(count as u64)).sample_size(20);
    group.bench_function(BenchmarkId::new("insert from empty", count), |bencher| {
        // Dropping a full table is not part of an insert: criterion drops what is returned after the clock stops.
        bencher.iter_batched_ref(
            || Table::new(KeyHasher::new(1)),
            |table| keys.iter().for_each(|key| insert(table, key)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function(BenchmarkId::new("drop", count), |bencher| {
        bencher.iter_batched(|| filled(count), mem::drop, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, table, growth);
criterion_main!(benches);
