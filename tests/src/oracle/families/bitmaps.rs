//! Bitmaps and bitfields: offsets at the edges of bytes and of the limits, every width, every overflow rule.

use super::{Family, Maker, choose};
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "bitmaps",
    weight: 14,
    commands: &["setbit", "getbit", "bitcount", "bitpos", "bitop", "bitfield", "bitfield_ro"],
    generate,
};

const TABLE: &[(u32, Maker)] = &[
    (8, setbit),
    (4, getbit),
    (6, bitcount),
    (8, bitpos),
    (8, bitop),
    (12, |generator| bitfield(generator, "BITFIELD", 3)),
    (4, |generator| bitfield(generator, "BITFIELD_RO", 20)),
    // Something to count in.
    (3, |generator| generator.fill("SET :key :value")),
    (1, |generator| vec![b"SET".to_vec(), generator.key(), vec![0xff; 1 + generator.random.below(40)]]),
    (1, |generator| vec![b"SET".to_vec(), generator.key(), vec![0; 1 + generator.random.below(40)]]),
    (1, |generator| generator.fill("OBJECT ENCODING :key")),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    let args = choose(generator, TABLE)(generator);
    let args = generator.spoil(args, true);
    vec![generator.step(Op::exact(args))]
}

/// Offsets stay small or beyond the limit: anything between would only allocate memory.
fn offset(generator: &mut Generator) -> Vec<u8> {
    const ODD: &[&str] = &[
        "-1",
        "4294967296",
        "9223372036854775807",
        "-9223372036854775808",
        "abc",
        "",
        "01",
        "#1",
        "#",
        " 1",
    ];
    if generator.one_in(10) {
        generator.random.pick(ODD).as_bytes().to_vec()
    } else {
        generator.random.between(0, 200).to_string().into_bytes()
    }
}

fn setbit(generator: &mut Generator) -> Args {
    let mut args = generator.fill("SETBIT :key");
    args.push(offset(generator));
    let bit = *generator.random.pick(&["0", "1", "0", "1", "0", "1", "0", "1", "2", "-1", "x", ""]);
    args.push(bit.as_bytes().to_vec());
    args
}

fn getbit(generator: &mut Generator) -> Args {
    let mut args = generator.fill("GETBIT :key");
    args.push(offset(generator));
    args
}

fn bitcount(generator: &mut Generator) -> Args {
    let mut args = generator.fill("BITCOUNT :key");
    range(generator, &mut args);
    args
}

fn bitpos(generator: &mut Generator) -> Args {
    let mut args = generator.fill("BITPOS :key");
    let bit = *generator.random.pick(&["0", "1", "0", "1", "0", "1", "2", "x"]);
    args.push(bit.as_bytes().to_vec());
    range(generator, &mut args);
    args
}

/// Nothing, a start, a start and an end, or also their unit.
fn range(generator: &mut Generator, args: &mut Args) {
    let given = generator.random.below(4);
    for _ in 0..given.min(2) {
        let index = if generator.one_in(2) {
            generator.random.between(-330, 330).to_string().into_bytes()
        } else {
            generator.index()
        };
        args.push(index);
    }
    if given == 3 {
        args.push(generator.word_of(&["BIT", "BYTE", "BIT", "BYTE", "BIT", "BYTE", "BITS"]));
    }
}

fn bitop(generator: &mut Generator) -> Args {
    let mut args = generator.fill("BITOP");
    let operation = generator.word_of(&["AND", "OR", "XOR", "NOT", "AND", "OR", "XOR", "NAND"]);
    let single = operation.eq_ignore_ascii_case(b"NOT") && !generator.one_in(5);
    args.push(operation);
    args.push(generator.key());
    let sources = if single { 1 } else { generator.random.between(1, 5) };
    for _ in 0..sources {
        args.push(generator.key());
    }
    args
}

/// Steps of a bitfield, of which every `reads_per_write`th writes.
fn bitfield(generator: &mut Generator, name: &str, reads_per_write: usize) -> Args {
    let mut args = generator.fill(name);
    args.push(generator.key());
    for _ in 0..generator.random.below(5) {
        if generator.one_in(reads_per_write) {
            if generator.one_in(2) {
                args.extend(generator.fill("OVERFLOW"));
                let rule = generator.word_of(&["WRAP", "SAT", "FAIL", "WRAP", "SAT", "FAIL", "SATURATE"]);
                args.push(rule);
            }
            let action = generator.word_of(&["SET", "INCRBY", "INCRBY"]);
            args.push(action);
            field(generator, &mut args);
            let value = generator.int();
            args.push(value);
        } else {
            args.extend(generator.fill("GET"));
            field(generator, &mut args);
        }
    }
    args
}

fn field(generator: &mut Generator, args: &mut Args) {
    let width = if generator.one_in(3) {
        *generator.random.pick(&[0, 1, 8, 16, 32, 62, 63, 64, 65])
    } else {
        generator.random.between(1, 64)
    };
    let sign = *generator.random.pick(&["u", "i", "u", "i", "u", "i", "u", "i", "u", "i", "I", ""]);
    args.push(format!("{sign}{width}").into_bytes());
    let offset = match generator.random.below(4) {
        0 => format!("#{}", generator.random.between(0, 12)).into_bytes(),
        1 if generator.one_in(5) => b"#4294967296".to_vec(),
        _ => offset(generator),
    };
    args.push(offset);
}
