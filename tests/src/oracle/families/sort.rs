//! `SORT` and `SORT_RO` with every option, on lists, sets and sorted sets of their own.
//!
//! The sorted sets are never small: SORT turns a small one into a skiplist in Redis, while here reading changes nothing.

use super::{Family, choose};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

/// Keys that are sorted or hold results.
pub(super) const KEYS: &[&[u8]] =
    &[b"sort:list", b"sort:set", b"sort:ints", b"sort:zset", b"sort:to", b"sort:other"];

pub(super) static FAMILY: Family =
    Family { name: "sort", weight: 10, commands: &["sort", "sort_ro", "zadd"], generate };

/// Makes one command and what it needs.
type Makes = fn(&mut Generator) -> Vec<Step>;

const TABLE: &[(u32, Makes)] = &[
    (5, |generator| fill(generator, "RPUSH sort:list")),
    (4, |generator| fill(generator, "SADD sort:set")),
    (3, ints),
    (3, zset),
    (8, weight),
    (1, |generator| line(generator, "DEL sort:list")),
    (1, |generator| line(generator, "DEL sort:set")),
    (1, |generator| line(generator, "DEL sort:ints sort:zset")),
    (1, |generator| line(generator, "LTRIM sort:list 0 5")),
    (2, |generator| line(generator, "LRANGE sort:to 0 -1")),
    (25, sort),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    choose(generator, TABLE)(generator)
}

fn words(line: &str) -> Args {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn one(generator: &Generator, args: Args, compare: Compare) -> Vec<Step> {
    vec![generator.step(Op::with(args, compare))]
}

fn line(generator: &mut Generator, line: &str) -> Vec<Step> {
    one(generator, words(line), Compare::Exact)
}

/// Mostly a number, and one that some weight is named after.
fn element(generator: &mut Generator) -> Vec<u8> {
    match generator.random.below(40) {
        0 => generator
            .random
            .pick(&["", " 1", "1 ", "0x1f", "inf", "-inf", "nan", "1e400", "1e-400", "x"])
            .as_bytes()
            .to_vec(),
        1..=3 => generator.random.pick(&["1.0", "01", "-0", "0", "1e1", "2.5", "-3.25"]).as_bytes().to_vec(),
        4 => generator.random.between(-1_000_000, 1_000_000).to_string().into_bytes(),
        _ => generator.random.between(0, 15).to_string().into_bytes(),
    }
}

fn fill(generator: &mut Generator, start: &str) -> Vec<Step> {
    let mut args = words(start);
    let most = if generator.one_in(10) { 80 } else { 6 };
    for _ in 0..=generator.random.below(most) {
        args.push(element(generator));
    }
    one(generator, args, Compare::Exact)
}

fn ints(generator: &mut Generator) -> Vec<Step> {
    let mut args = words("SADD sort:ints");
    for _ in 0..=generator.random.below(6) {
        args.push(generator.random.between(-3, 15).to_string().into_bytes());
    }
    one(generator, args, Compare::Exact)
}

fn zset(generator: &mut Generator) -> Vec<Step> {
    // Too long a member for a small one.
    let mut args = words(&format!("ZADD sort:zset 1 {:0>70}", 3));
    for _ in 0..=generator.random.below(6) {
        args.push(generator.random.between(-3, 9).to_string().into_bytes());
        args.push(generator.random.between(0, 15).to_string().into_bytes());
    }
    one(generator, args, Compare::Exact)
}

/// What `BY` and `GET` find.
fn weight(generator: &mut Generator) -> Vec<Step> {
    let of = generator.random.between(0, 15);
    let value = if generator.one_in(30) { generator.value() } else { element(generator) };
    let args = match generator.random.below(8) {
        0 => words(&format!("DEL sort:w{of}")),
        1 => words(&format!("HSET sort:w{of} f 1")),
        2..=4 => vec![b"HSET".to_vec(), format!("sort:h{of}").into_bytes(), b"f".to_vec(), value],
        _ => vec![b"SET".to_vec(), format!("sort:w{of}").into_bytes(), value],
    };
    one(generator, args, Compare::Exact)
}

fn sort(generator: &mut Generator) -> Vec<Step> {
    let source = generator.random.pick(&KEYS[..5]).to_vec();
    let is_list = source == KEYS[0] || source == KEYS[4];
    let reads_only = generator.one_in(4);
    let mut args = vec![generator.word(if reads_only { "SORT_RO" } else { "SORT" }), source.clone()];
    let mut options: Vec<Args> = Vec::new();
    let alpha = generator.one_in(3);
    if alpha {
        options.push(generator.fill("ALPHA"));
    }
    if generator.one_in(2) {
        options.push(vec![generator.word_of(&["ASC", "DESC", "DESC"])]);
    }
    let by = *generator.random.pick(&["", "", "sort:w*", "sort:h*->f", "nosort", "sort:h*->", "none*", "*"]);
    if !by.is_empty() {
        options.push(vec![generator.word("BY"), by.as_bytes().to_vec()]);
    }
    for _ in 0..generator.random.below(3) {
        let get = *generator.random.pick(&["#", "sort:w*", "sort:h*->f", "sort:h*->none", "fixed", "sort:*"]);
        options.push(vec![generator.word("GET"), get.as_bytes().to_vec()]);
    }
    // Where the weights are equal, or none are wanted, the order is that of the table inside.
    let any_order = match by {
        "" => false,
        "nosort" => source == KEYS[1] || source == KEYS[2],
        _ => alpha && !is_list,
    };
    if !any_order && generator.one_in(2) {
        let mut limit = generator.fill("LIMIT");
        for _ in 0..2 {
            limit.push(match generator.random.below(12) {
                0 => generator.int(),
                1 => generator.random.between(-2, 100).to_string().into_bytes(),
                _ => generator.random.between(0, 6).to_string().into_bytes(),
            });
        }
        options.push(limit);
    }
    let stores = !any_order && generator.one_in(if reads_only { 30 } else { 4 });
    if stores {
        let to = if generator.one_in(5) { KEYS[5].to_vec() } else { KEYS[4].to_vec() };
        options.push(vec![generator.word("STORE"), to]);
    }
    while !options.is_empty() {
        let next = generator.random.below(options.len());
        args.extend(options.swap_remove(next));
    }
    if generator.one_in(30) {
        args.push(generator.word_of(&["LIMIT", "BY", "GET", "STORE", "JUNK"]));
    }
    let compare = if any_order { Compare::AnyOrder } else { Compare::Exact };
    // Redis refuses to sort numbers while the C library still remembers somebody's number that was too large; reading
    // a proper one makes it forget.
    let mut steps = line(generator, "ZADD sort:forget 1.5 m");
    steps.extend(one(generator, args, compare));
    steps
}
