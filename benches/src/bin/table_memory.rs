//! What a key costs in the keyspace table, without a server around it: bytes of resident memory, and time.
//!
//! `table_memory` measures a series of sizes, each in a process of its own, under mimalloc. `table_memory KEYS
//! VALUE_BYTES` measures one. `table_memory grow KEYS` looks for the slowest single insert on the way to so many keys.
//! Keys have 16 bytes, and spread over 64 tables as over the shards of a server.

use std::{
    env, fs,
    hint::black_box,
    process::{Command, ExitCode},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use tidegate_benches::now;
use tidegate_data::{Entry, KeyHasher, Record, StringEncoding, Table, keyspace::slot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLES: u16 = 64;

/// Operations between two readings of the clock: a group of pipelined commands.
const GROUP: usize = 32;

/// Keys and value bytes of the series, with the bytes per key which are the goal.
const SERIES: [(u64, usize, f64); 6] = [
    (1_000_000, 16, 66.0),
    (1_000_000, 64, 114.0),
    (1_000_000, 256, 386.0),
    (5_000_000, 16, 66.0),
    (5_000_000, 64, 114.0),
    (5_000_000, 256, 386.0),
];

fn main() -> ExitCode {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let numbers = arguments.iter().filter_map(|argument| argument.parse().ok()).collect::<Vec<u64>>();
    match (arguments.first().map(String::as_str), &numbers[..]) {
        (None, _) => series(),
        (Some("grow"), &[keys]) => grow(keys),
        (Some(_), &[keys, value_len]) => one(keys, value_len as usize),
        _ => {
            eprintln!("usage: table_memory [KEYS VALUE_BYTES | grow KEYS]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn series() {
    println!("{ROW_HEADER}");
    for (keys, value_len, goal) in SERIES {
        again(&[&keys.to_string(), &value_len.to_string()]);
        println!("{:>66}", format!("(goal {goal})"));
    }
    again(&["grow", "10000000"]);
}

const ROW_HEADER: &str =
    "    keys  value   RSS/key  counted/key  insert ns  get ns  grouped get ns  overwrite ns  grouped ns";

/// Runs this program in a fresh process, so that its memory starts from nothing.
fn again(arguments: &[&str]) {
    let program = env::current_exe().expect("the path of this program");
    let status = Command::new(program).args(arguments).status().expect("this program starts again");
    assert!(status.success(), "a measurement failed");
}

struct Keyspace {
    hasher: KeyHasher,
    tables: Vec<Table>,
}

impl Keyspace {
    fn new() -> Self {
        let hasher = KeyHasher::new(0x7469_6465_6761_7465);
        let tables = (0..TABLES).map(|_| Table::new(hasher.clone())).collect();
        Self { hasher, tables }
    }

    fn table(&mut self, key: &[u8]) -> &mut Table {
        &mut self.tables[usize::from(slot(key) % TABLES)]
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        let hash = self.hasher.hash(key);
        set(self.table(key), hash, key, value);
    }
}

fn set(table: &mut Table, hash: u64, key: &[u8], value: &[u8]) {
    match table.entry(hash, key) {
        Entry::Occupied(mut entry) => entry.set_string_bytes(value, StringEncoding::Embstr, None),
        Entry::Vacant(entry) => {
            entry.insert(Record::new_bytes(key, value, StringEncoding::Embstr, None));
        }
    }
}

/// A 16-byte key; consecutive numbers are far apart in every table.
fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// The numbers below `keys` in an order no cache can follow.
fn shuffled(keys: u64) -> impl Iterator<Item = u64> {
    const PRIME: u64 = 7_919_999_983;
    (0..keys).map(move |n| n * PRIME % keys)
}

fn one(keys: u64, value_len: usize) {
    let mut keyspace = Keyspace::new();
    let before = resident();
    let value = vec![b'v'; value_len];

    let insert = nanoseconds(keys, || {
        for number in 0..keys {
            keyspace.set(&key(number), &value);
        }
    });
    let used = resident() - before;
    let counted = keyspace.tables.iter().map(Table::bytes).sum::<usize>();
    let entries = keyspace.tables.iter().map(Table::len).sum::<usize>();
    assert_eq!(entries as u64, keys);

    let mut found = 0;
    let get = nanoseconds(keys, || {
        for number in shuffled(keys) {
            let key = key(number);
            let hash = keyspace.hasher.hash(&key);
            found += u64::from(black_box(keyspace.table(&key).get(hash, &key)).is_some());
        }
    });
    assert_eq!(found, keys);
    let grouped_get = nanoseconds(keys, || {
        grouped(&mut keyspace, keys, &mut |table, hash, key| {
            black_box(table.get(hash, key).map(|record| record.value()));
        });
    });

    let value = vec![b'w'; value_len];
    let overwrite = nanoseconds(keys, || {
        for number in shuffled(keys) {
            keyspace.set(&key(number), &value);
        }
    });
    let grouped_overwrite = nanoseconds(keys, || {
        grouped(&mut keyspace, keys, &mut |table, hash, key| set(table, hash, key, &value));
    });

    let per_key = |bytes: usize| bytes as f64 / keys as f64;
    println!(
        "{keys:>8}  {value_len:>5}  {:>8.1}  {:>11.1}  {insert:>9.0}  {get:>6.0}  {grouped_get:>14.0}  {overwrite:>12.0}  {grouped_overwrite:>10.0}",
        per_key(used),
        per_key(counted),
    );
}

/// As a server does it: hash a group of keys and prefetch their buckets, then prefetch their records, then execute.
fn grouped(keyspace: &mut Keyspace, keys: u64, execute: &mut dyn FnMut(&mut Table, u64, &[u8])) {
    let hints = keyspace.tables.iter().map(Table::hint).collect::<Vec<_>>();
    let mut numbers = shuffled(keys);
    let mut group = Vec::with_capacity(GROUP);
    loop {
        group.clear();
        for number in numbers.by_ref().take(GROUP) {
            let key = key(number);
            let (table, hash) = (usize::from(slot(&key) % TABLES), keyspace.hasher.hash(&key));
            hints[table].prefetch_bucket(hash);
            group.push((table, hash, key));
        }
        for (table, hash, _) in &group {
            keyspace.tables[*table].prefetch_record(*hash);
        }
        for (table, hash, key) in &group {
            execute(&mut keyspace.tables[*table], *hash, key);
        }
        if group.len() < GROUP {
            return;
        }
    }
}

/// The slowest single inserts while growing to `keys`, by the thread's CPU time, which other processes do not disturb.
fn grow(keys: u64) {
    let mut keyspace = Keyspace::new();
    let mut slowest = [Duration::ZERO; 5];
    let begin = cpu_time();
    let mut start = begin;
    for number in 0..keys {
        keyspace.set(&key(number), &[b'v'; 16]);
        let end = cpu_time();
        let took = end.saturating_sub(start);
        start = end;
        if took > slowest[0] {
            slowest[0] = took;
            slowest.sort_unstable();
        }
    }
    slowest.reverse();
    println!(
        "growing to {keys} keys took {:?}; slowest inserts {slowest:?} (goal < 15ms)",
        start.saturating_sub(begin)
    );
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a clock of its own"))
}

fn nanoseconds(operations: u64, work: impl FnOnce()) -> f64 {
    let start = now();
    work();
    start.elapsed().as_nanos() as f64 / operations as f64
}

/// Bytes of resident memory of this process.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("the second field is a number");
    pages * 4096
}
