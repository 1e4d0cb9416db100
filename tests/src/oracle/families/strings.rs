//! String commands with every option, at the edges of their number formats and sizes.

use super::{Family, choose, options};
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "strings",
    weight: 40,
    commands: &[
        "set",
        "get",
        "setnx",
        "setex",
        "psetex",
        "getset",
        "getdel",
        "getex",
        "mget",
        "mset",
        "msetnx",
        "append",
        "strlen",
        "setrange",
        "getrange",
        "substr",
        "incr",
        "decr",
        "incrby",
        "decrby",
        "incrbyfloat",
        "lcs",
    ],
    generate,
};

const TABLE: &[(u32, Maker)] = &[
    (16, Maker::Custom(set)),
    (8, Maker::Line("GET :key")),
    (3, Maker::Line("SETNX :key :value")),
    (2, Maker::Timed("SETEX :key :s :value")),
    (2, Maker::Timed("PSETEX :key :ms :value")),
    (3, Maker::Line("GETSET :key :value")),
    (2, Maker::Line("GETDEL :key")),
    (6, Maker::Custom(getex)),
    (3, Maker::Custom(mget)),
    (4, Maker::Custom(mset)),
    (6, Maker::Line("APPEND :key :value")),
    (3, Maker::Line("STRLEN :key")),
    (6, Maker::Custom(setrange)),
    (5, Maker::Line("GETRANGE :key :index :index")),
    (2, Maker::Line("SUBSTR :key :index :index")),
    (4, Maker::Line("INCR :key")),
    (3, Maker::Line("DECR :key")),
    (4, Maker::Line("INCRBY :key :int")),
    (4, Maker::Line("DECRBY :key :int")),
    (8, Maker::Line("INCRBYFLOAT :key :float")),
    (5, Maker::Custom(lcs)),
];

#[derive(Clone, Copy)]
enum Maker {
    Line(&'static str),
    /// Mentions an expiry, so it is spoilt only with care.
    Timed(&'static str),
    Custom(fn(&mut Generator) -> (Args, bool)),
}

fn generate(generator: &mut Generator) -> Vec<Step> {
    let (args, timed) = match choose(generator, TABLE) {
        Maker::Line(template) => (generator.fill(template), false),
        Maker::Timed(template) => (generator.fill(template), true),
        Maker::Custom(make) => make(generator),
    };
    let args = generator.spoil(args, timed);
    vec![generator.step(Op::exact(args))]
}

fn set(generator: &mut Generator) -> (Args, bool) {
    let mut args = generator.fill("SET :key :value");
    if generator.one_in(3) {
        return (args, false);
    }
    options(
        generator,
        &mut args,
        7,
        &["NX", "XX", "GET", "KEEPTTL", "EX :s", "PX :ms", "EXAT :at", "PXAT :atms"],
    );
    if generator.one_in(20) {
        // Without its value, or an option of another command.
        args.push(generator.word_of(&["EX", "PERSIST"]));
    }
    (args, true)
}

fn getex(generator: &mut Generator) -> (Args, bool) {
    let mut args = generator.fill("GETEX :key");
    options(generator, &mut args, 5, &["PERSIST", "EX :s", "PX :ms", "EXAT :at", "PXAT :atms"]);
    if generator.one_in(30) {
        let option = generator.word_of(&["KEEPTTL", "NX", "EX", "GET"]);
        args.push(option);
    }
    (args, true)
}

fn mget(generator: &mut Generator) -> (Args, bool) {
    let mut args = generator.fill("MGET");
    args.extend(generator.several_keys());
    (args, false)
}

fn mset(generator: &mut Generator) -> (Args, bool) {
    let name = generator.word_of(&["MSET", "MSET", "MSETNX"]);
    let mut args = vec![name];
    for _ in 0..=generator.random.below(4) {
        args.extend(generator.fill(":key :value"));
    }
    if generator.one_in(15) {
        args.pop();
    }
    (args, false)
}

/// Offsets stay small or beyond the limit: anything between would only allocate memory.
fn setrange(generator: &mut Generator) -> (Args, bool) {
    let mut args = generator.fill("SETRANGE :key");
    let offset = match generator.random.below(10) {
        0 => generator
            .random
            .pick(&[
                "-1",
                "536870912",
                "536870911000",
                "9223372036854775807",
                "-9223372036854775808",
                "abc",
                "",
            ])
            .as_bytes()
            .to_vec(),
        1 => generator.random.between(0, 500).to_string().into_bytes(),
        _ => generator.random.between(0, 20).to_string().into_bytes(),
    };
    args.push(offset);
    let value = generator.value();
    args.push(value);
    (args, true)
}

fn lcs(generator: &mut Generator) -> (Args, bool) {
    let mut args = generator.fill("LCS :key :key");
    options(generator, &mut args, 3, &["LEN", "IDX", "MINMATCHLEN :int", "WITHMATCHLEN"]);
    (args, false)
}
