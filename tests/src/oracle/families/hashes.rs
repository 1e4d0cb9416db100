//! Hash commands with every option, on hashes in both forms.

use super::{Family, choose, options};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Action, Op, Scan, Step};

/// Keys which mostly hold hashes.
pub const KEYS: &[&[u8]] = &[b"hash", b"hash:1", b"{tag}hash", b"numbers"];

pub(super) static FAMILY: Family = Family {
    name: "hashes",
    weight: 20,
    commands: &[
        "hset",
        "hmset",
        "hsetnx",
        "hget",
        "hmget",
        "hgetall",
        "hkeys",
        "hvals",
        "hdel",
        "hlen",
        "hstrlen",
        "hexists",
        "hincrby",
        "hincrbyfloat",
        "hrandfield",
        "hscan",
        "del",
        "object",
    ],
    generate,
};

#[derive(Clone, Copy)]
enum Maker {
    Line(&'static str, Compare),
    Custom(fn(&mut Generator) -> Vec<Step>),
}

const TABLE: &[(u32, Maker)] = &[
    (20, Maker::Custom(hset)),
    (4, Maker::Line("HSETNX :hash :member :value", Compare::Exact)),
    (6, Maker::Line("HGET :hash :member", Compare::Exact)),
    (4, Maker::Custom(hmget)),
    (4, Maker::Line("HGETALL :hash", Compare::AnyOrder)),
    (2, Maker::Line("HKEYS :hash", Compare::AnyOrder)),
    (2, Maker::Line("HVALS :hash", Compare::AnyOrder)),
    (8, Maker::Custom(hdel)),
    (3, Maker::Line("HLEN :hash", Compare::Exact)),
    (3, Maker::Line("HSTRLEN :hash :member", Compare::Exact)),
    (3, Maker::Line("HEXISTS :hash :member", Compare::Exact)),
    (8, Maker::Line("HINCRBY :hash :member :int", Compare::Exact)),
    (8, Maker::Line("HINCRBYFLOAT :hash :member :float", Compare::Exact)),
    (5, Maker::Custom(hrandfield)),
    (4, Maker::Custom(hscan)),
    (2, Maker::Custom(hscan_page)),
    (3, Maker::Line("DEL :hash", Compare::Exact)),
    (3, Maker::Line("OBJECT ENCODING :hash", Compare::Exact)),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    match choose(generator, TABLE) {
        Maker::Line(template, compare) => {
            let args = generator.fill(template);
            one(generator, args, compare)
        }
        Maker::Custom(make) => make(generator),
    }
}

fn one(generator: &mut Generator, args: Args, compare: Compare) -> Vec<Step> {
    let args = generator.spoil(args, false);
    vec![generator.step(Op::with(args, compare))]
}

/// Some fields, mostly with values that fit a listpack; rarely more of them than a listpack holds.
fn hset(generator: &mut Generator) -> Vec<Step> {
    let mut args = vec![generator.word_of(&["HSET", "HSET", "HSET", "HMSET"])];
    args.extend(generator.fill(":hash"));
    let count = match generator.random.below(60) {
        0 => 520,
        1 => 100,
        _ => 1 + generator.random.below(4),
    };
    let first = generator.random.between(-1000, 1000);
    for n in 0..count as i64 {
        if count > 50 {
            args.push(format!("x{}", first + n).into_bytes());
            args.push((first + n).to_string().into_bytes());
            continue;
        }
        args.push(generator.member());
        args.push(match generator.random.below(4) {
            0 => generator.value(),
            1 => generator.float(),
            2 => generator.int(),
            _ => generator.member(),
        });
    }
    if generator.one_in(20) {
        args.pop();
    }
    one(generator, args, Compare::Exact)
}

fn hmget(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("HMGET :hash");
    for _ in 0..=generator.random.below(4) {
        args.push(generator.member());
    }
    one(generator, args, Compare::Exact)
}

fn hdel(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("HDEL :hash");
    for _ in 0..=generator.random.below(8) {
        args.push(generator.member());
    }
    one(generator, args, Compare::Exact)
}

/// Not many at once: the repeated ones make a reply of any length.
fn hrandfield(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("HRANDFIELD :hash");
    match generator.random.below(6) {
        0 => {}
        1 => args.push(b"-9223372036854775808".to_vec()),
        2 => args.push(generator.random.pick(&["x", "", "1.5", "9223372036854775807"]).as_bytes().to_vec()),
        _ => args.push(generator.random.between(-40, 40).to_string().into_bytes()),
    }
    if args.len() == 3 && generator.one_in(2) {
        args.push(generator.word("WITHVALUES"));
    }
    if generator.one_in(20) {
        args.push(generator.word("WITHVALUES"));
    }
    vec![generator.step(Op::with(args, Compare::Shape))]
}

fn hscan(generator: &mut Generator) -> Vec<Step> {
    let mut args = Args::new();
    let choices = ["COUNT 3", "COUNT 1000", "MATCH m*", "MATCH *1*", "MATCH *", "MATCH [0-9]"];
    options(generator, &mut args, 3, &choices);
    let scan = Scan { command: generator.fill("HSCAN :hash"), options: args };
    vec![Step { conn: generator.conn, action: Action::Scan(scan) }]
}

fn hscan_page(generator: &mut Generator) -> Vec<Step> {
    let template = *generator.random.pick(&[
        "HSCAN :hash abc",
        "HSCAN :hash -1",
        "HSCAN :hash",
        "HSCAN :hash 0 COUNT",
        "HSCAN :hash 0 COUNT 0",
        "HSCAN :hash 0 COUNT abc",
        "HSCAN :hash 0 MATCH",
        "HSCAN :hash 0 NOVALUES",
        "HSCAN :hash 0 TYPE hash",
        "HSCAN :key 0 COUNT 0",
        "HSCAN none 0 COUNT 0",
        "HSCAN :hash 18446744073709551616",
    ]);
    let args = generator.fill(template);
    vec![generator.step(Op::with(args, Compare::ScanPage))]
}
