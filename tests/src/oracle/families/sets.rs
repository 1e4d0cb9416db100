//! Set commands with every option. What is chosen at random cannot be compared, so where it changes a set, the set is
//! looked at from outside and deleted in the same step.

use super::{Family, choose, options};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Action, Op, Scan, Step};

/// Keys which mostly hold sets.
pub const KEYS: &[&[u8]] = &[b"set", b"set:1", b"set:2", b"{tag}set", b"ints"];

pub(super) static FAMILY: Family = Family {
    name: "sets",
    weight: 20,
    commands: &[
        "sadd",
        "srem",
        "smove",
        "scard",
        "sismember",
        "smismember",
        "smembers",
        "spop",
        "srandmember",
        "sinter",
        "sinterstore",
        "sintercard",
        "sunion",
        "sunionstore",
        "sdiff",
        "sdiffstore",
        "sscan",
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
    (20, Maker::Custom(sadd)),
    (8, Maker::Custom(srem)),
    (5, Maker::Line("SMOVE :set :set :member", Compare::Exact)),
    (3, Maker::Line("SCARD :set", Compare::Exact)),
    (4, Maker::Line("SISMEMBER :set :member", Compare::Exact)),
    (3, Maker::Line("SMISMEMBER :set :member :member :member", Compare::Exact)),
    (5, Maker::Line("SMEMBERS :set", Compare::AnyOrder)),
    (6, Maker::Custom(spop)),
    (5, Maker::Custom(srandmember)),
    (12, Maker::Custom(algebra)),
    (8, Maker::Custom(algebra_store)),
    (6, Maker::Custom(sintercard)),
    (4, Maker::Custom(sscan)),
    (2, Maker::Custom(sscan_page)),
    (3, Maker::Line("DEL :set", Compare::Exact)),
    (3, Maker::Line("OBJECT ENCODING :set", Compare::Exact)),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    match choose(generator, TABLE) {
        Maker::Line(template, compare) => {
            let args = generator.fill(template);
            let args = generator.spoil(args, false);
            vec![generator.step(Op::with(args, compare))]
        }
        Maker::Custom(make) => make(generator),
    }
}

fn one(generator: &mut Generator, args: Args, compare: Compare) -> Vec<Step> {
    let args = generator.spoil(args, false);
    vec![generator.step(Op::with(args, compare))]
}

fn run(generator: &Generator, ops: Vec<Op>) -> Vec<Step> {
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

fn sets(generator: &mut Generator) -> Args {
    let count = 1 + generator.random.below(4);
    (0..count).flat_map(|_| generator.fill(":set")).collect()
}

/// Some members, of integers only where the key says so, rarely more of them than a set of integers holds.
fn sadd(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("SADD :set");
    let ints = args[1] == b"ints" && !generator.one_in(10);
    let count = match generator.random.below(30) {
        0 => 130,
        1 => 520,
        _ => 1 + generator.random.below(6),
    };
    let first = generator.random.between(-1000, 1000);
    for n in 0..count as i64 {
        args.push(match (count, ints) {
            (130.., true) => (first + n).to_string().into_bytes(),
            (130.., false) => format!("x{}", first + n).into_bytes(),
            (_, true) => generator.random.between(-30, 30).to_string().into_bytes(),
            (_, false) => generator.member(),
        });
    }
    one(generator, args, Compare::Exact)
}

fn srem(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("SREM :set");
    for _ in 0..=generator.random.below(5) {
        args.extend(generator.fill(":member"));
    }
    one(generator, args, Compare::Exact)
}

fn spop(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("SPOP :set");
    let key = args[1].clone();
    let on_key = |command: &str| {
        let mut words: Args = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        words.push(key.clone());
        Op::exact(words)
    };
    match generator.random.below(4) {
        0 => args.push(b"100000".to_vec()),
        1 => args.push(generator.index()),
        2 => args.push(generator.int()),
        _ => {}
    }
    let args = generator.spoil(args, false);
    let everything = args.get(2).is_some_and(|count| count == b"100000");
    let compare = if everything { Compare::AnyOrder } else { Compare::Shape };
    let mut ops = vec![Op::with(args, compare), on_key("SCARD")];
    if generator.one_in(2) {
        ops.push(on_key("TYPE"));
    }
    ops.push(on_key("DEL"));
    // A spoilt command may have popped from another key.
    if ops[0].args.get(1) != Some(&key.clone().into()) {
        ops.remove(0);
    }
    run(generator, ops)
}

/// Not many at once: the repeated ones make a reply of any length.
fn srandmember(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("SRANDMEMBER :set");
    match generator.random.below(5) {
        0 => {}
        1 => args.push(b"-9223372036854775808".to_vec()),
        2 => args.push(generator.random.pick(&["x", "", "1.5", "9223372036854775807"]).as_bytes().to_vec()),
        _ => args.push(generator.random.between(-40, 40).to_string().into_bytes()),
    }
    if args.len() == 3 && generator.one_in(20) {
        args.push(b"1".to_vec());
    }
    vec![generator.step(Op::with(args, Compare::Shape))]
}

fn algebra(generator: &mut Generator) -> Vec<Step> {
    let mut args = vec![generator.word_of(&["SINTER", "SUNION", "SDIFF"])];
    args.extend(sets(generator));
    one(generator, args, Compare::AnyOrder)
}

fn algebra_store(generator: &mut Generator) -> Vec<Step> {
    let mut args = vec![generator.word_of(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"])];
    args.extend(generator.fill(":set"));
    args.extend(sets(generator));
    let args = generator.spoil(args, false);
    let mut steps = Vec::new();
    let mut look = generator.fill("OBJECT ENCODING");
    look.extend(args.get(1).cloned());
    steps.push(generator.step(Op::exact(args)));
    steps.push(generator.step(Op::exact(look)));
    steps
}

fn sintercard(generator: &mut Generator) -> Vec<Step> {
    let sets = sets(generator);
    let numkeys = match generator.random.below(10) {
        0 => generator.int(),
        1 => (sets.len() + 1).to_string().into_bytes(),
        2 => (sets.len() - 1).to_string().into_bytes(),
        _ => sets.len().to_string().into_bytes(),
    };
    let mut args = generator.fill("SINTERCARD");
    args.push(numkeys);
    args.extend(sets);
    options(generator, &mut args, 3, &["LIMIT :index", "LIMIT 2"]);
    if generator.one_in(20) {
        args.extend(generator.fill("LIMIT"));
    }
    one(generator, args, Compare::Exact)
}

fn sscan(generator: &mut Generator) -> Vec<Step> {
    let mut args = Args::new();
    options(
        generator,
        &mut args,
        3,
        &["COUNT 3", "COUNT 1000", "MATCH m*", "MATCH *1*", "MATCH *", "MATCH [0-9]"],
    );
    let scan = Scan { command: generator.fill("SSCAN :set"), options: args };
    vec![Step { conn: generator.conn, action: Action::Scan(scan) }]
}

fn sscan_page(generator: &mut Generator) -> Vec<Step> {
    let template = *generator.random.pick(&[
        "SSCAN :set abc",
        "SSCAN :set -1",
        "SSCAN :set",
        "SSCAN :set 0 COUNT",
        "SSCAN :set 0 COUNT 0",
        "SSCAN :set 0 COUNT abc",
        "SSCAN :set 0 MATCH",
        "SSCAN :set 0 NOSUCH 1",
        "SSCAN :set 0 TYPE set",
        "SSCAN :key 0 COUNT 0",
        "SSCAN none 0 COUNT 0",
        "SSCAN :set 18446744073709551616",
    ]);
    let args = generator.fill(template);
    vec![generator.step(Op::with(args, Compare::ScanPage))]
}
