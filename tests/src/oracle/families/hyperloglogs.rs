//! HyperLogLogs: sparse and dense ones, across the limit between them, and strings that only look like one.

use super::{Family, Maker, choose};
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

/// Keys that mostly hold sketches.
pub(super) const KEYS: &[&[u8]] = &[b"hll:1", b"hll:2", b"hll:3", b"{hll}4"];

pub(super) static FAMILY: Family = Family {
    name: "hyperloglogs",
    weight: 8,
    commands: &["pfadd", "pfcount", "pfmerge", "pfdebug", "pfselftest"],
    generate,
};

const TABLE: &[(u32, Maker)] = &[
    (10, pfadd),
    (8, pfcount),
    (5, pfmerge),
    (5, pfdebug),
    (1, |generator| vec![b"STRLEN".to_vec(), sketch(generator)]),
    (2, |generator| vec![b"GET".to_vec(), sketch(generator)]),
    (1, |generator| vec![b"DEL".to_vec(), sketch(generator)]),
    (1, |generator| vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), sketch(generator)]),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    // It takes Redis half a second.
    if generator.one_in(3000) {
        return vec![generator.step(Op::line("PFSELFTEST"))];
    }
    if generator.one_in(12) {
        return crafted(generator);
    }
    let args = choose(generator, TABLE)(generator);
    let args = generator.spoil(args, true);
    vec![generator.step(Op::exact(args))]
}

fn sketch(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(12) { generator.key() } else { generator.random.pick(KEYS).to_vec() }
}

fn pfadd(generator: &mut Generator) -> Args {
    let mut args = generator.fill("PFADD");
    args.push(sketch(generator));
    let elements = match generator.random.below(12) {
        0 => 0,
        // Some of these cross the limit of the sparse form.
        1 => 600 + generator.random.below(900),
        2..=4 => generator.random.below(60),
        _ => 1 + generator.random.below(4),
    };
    let span = *generator.random.pick(&[20_u64, 5_000, u64::MAX]);
    for _ in 0..elements {
        args.push((generator.random.bits() % span).to_string().into_bytes());
    }
    if generator.one_in(10) {
        args.push(generator.value());
    }
    args
}

fn pfcount(generator: &mut Generator) -> Args {
    let mut args = generator.fill("PFCOUNT");
    for _ in 0..*generator.random.pick(&[1, 1, 1, 2, 3, 4]) {
        args.push(sketch(generator));
    }
    args
}

fn pfmerge(generator: &mut Generator) -> Args {
    let mut args = generator.fill("PFMERGE");
    for _ in 0..=generator.random.below(4) {
        args.push(sketch(generator));
    }
    args
}

fn pfdebug(generator: &mut Generator) -> Args {
    let mut args = generator.fill("PFDEBUG");
    let what =
        generator.word_of(&["ENCODING", "ENCODING", "DECODE", "DECODE", "GETREG", "TODENSE", "NOSUCH"]);
    args.push(what);
    args.push(sketch(generator));
    args
}

/// A string that begins like a sketch, valid or not. It is tried with one element at a time, as a second one would be
/// added by Redis before it finds out, and does not outlive this.
fn crafted(generator: &mut Generator) -> Vec<Step> {
    let key = sketch(generator);
    let mut bytes = b"HYLL".to_vec();
    bytes.push(*generator.random.pick(&[1, 1, 1, 1, 0, 2]));
    bytes.extend_from_slice(&[0; 3]);
    let count = if generator.one_in(4) { 7 } else { 1_u64 << 63 };
    bytes.extend_from_slice(&count.to_le_bytes());
    let runs: &[&[u8]] = &[
        b"",
        b"\x7f\xff",
        b"\x83\x7f\xfb",
        b"\x88\x89\x88\x7f\xf2\x03\x88\x83",
        b"\x7f\x00",
        b"\x7f\xff\x40",
    ];
    bytes.extend_from_slice(generator.random.pick::<&[u8]>(runs));
    let element = generator.int();
    let mut lines = vec![vec![b"SET".to_vec(), key.clone(), bytes]];
    for (name, rest) in
        [("PFADD", Some(element)), ("PFCOUNT", None), ("PFMERGE", Some(sketch(generator))), ("GET", None)]
    {
        let mut args = vec![name.as_bytes().to_vec(), key.clone()];
        if generator.one_in(2) {
            args.extend(rest);
            lines.push(args);
        }
    }
    for what in ["DECODE", "ENCODING", "GETREG"] {
        lines.push(vec![b"PFDEBUG".to_vec(), what.as_bytes().to_vec(), key.clone()]);
    }
    lines.push(vec![b"DEL".to_vec(), key]);
    lines.into_iter().map(|args| generator.step(Op::exact(args))).collect()
}
