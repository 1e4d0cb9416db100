//! Lists: both ends, the middle, several lists at once, and the blocking commands where they need not wait long.
//!
//! Mostly on keys of their own, and with few different elements, so that there is something to find.

use super::{Family, choose, options};
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

/// Keys that mostly hold lists.
pub(super) const KEYS: &[&[u8]] = &[b"list", b"list:2", b"list:3", b"list:long"];

pub(super) static FAMILY: Family = Family {
    name: "lists",
    weight: 30,
    commands: &[
        "lpush",
        "rpush",
        "lpushx",
        "rpushx",
        "lpop",
        "rpop",
        "llen",
        "lindex",
        "lrange",
        "lset",
        "linsert",
        "lrem",
        "ltrim",
        "lpos",
        "lmove",
        "rpoplpush",
        "lmpop",
        "blpop",
        "brpop",
        "blmove",
        "brpoplpush",
        "blmpop",
        "multi",
        "exec",
        "object|encoding",
        "del",
    ],
    generate,
};

#[derive(Clone, Copy)]
enum Maker {
    /// `:list` is a key, `:item` an element, `:end` an end; the rest as in all templates.
    Line(&'static str),
    Custom(fn(&mut Generator) -> Args),
    Waiting,
}

const TABLE: &[(u32, Maker)] = &[
    (12, Maker::Custom(push)),
    (2, Maker::Custom(push_many)),
    (3, Maker::Line("LPUSHX :list :item")),
    (3, Maker::Line("RPUSHX :list :item :item")),
    (4, Maker::Line("LPOP :list")),
    (4, Maker::Line("RPOP :list")),
    (3, Maker::Line("LPOP :list :count")),
    (3, Maker::Line("RPOP :list :count")),
    (3, Maker::Line("LLEN :list")),
    (5, Maker::Line("LINDEX :list :index")),
    (6, Maker::Line("LRANGE :list :index :index")),
    (5, Maker::Line("LSET :list :index :item")),
    (4, Maker::Line("LINSERT :list BEFORE :item :item")),
    (4, Maker::Line("LINSERT :list AFTER :item :item")),
    (1, Maker::Line("LINSERT :list BESIDE :item :item")),
    (6, Maker::Line("LREM :list :count :item")),
    (2, Maker::Line("LTRIM :list :index :index")),
    (2, Maker::Line("LTRIM :list 1 -2")),
    (8, Maker::Custom(lpos)),
    (6, Maker::Line("LMOVE :list :list :end :end")),
    (3, Maker::Line("RPOPLPUSH :list :list")),
    (6, Maker::Custom(lmpop)),
    (6, Maker::Waiting),
    (1, Maker::Line("OBJECT ENCODING :list")),
    (1, Maker::Line("DEL :list")),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    let args = match choose(generator, TABLE) {
        Maker::Line(template) => fill(generator, template),
        Maker::Custom(make) => make(generator),
        Maker::Waiting => return waiting(generator),
    };
    let args = generator.spoil(args, false);
    vec![generator.step(Op::exact(args))]
}

fn fill(generator: &mut Generator, template: &str) -> Args {
    let mut args = Args::new();
    for word in template.split_whitespace() {
        match word {
            ":list" => args.push(key(generator)),
            ":item" => args.push(item(generator)),
            ":count" => args.push(count(generator)),
            ":end" => {
                args.push(generator.word_of(&["LEFT", "RIGHT", "LEFT", "RIGHT", "LEFT", "RIGHT", "UP"]));
            }
            word => args.extend(generator.fill(word)),
        }
    }
    args
}

fn key(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(12) { generator.key() } else { generator.random.pick(KEYS).to_vec() }
}

fn keys(generator: &mut Generator) -> Args {
    (0..=generator.random.below(3)).map(|_| key(generator)).collect()
}

fn item(generator: &mut Generator) -> Vec<u8> {
    match generator.random.below(6) {
        0 => generator.value(),
        1 => generator.random.between(-3, 3).to_string().into_bytes(),
        _ => generator.random.pick(&["a", "b", "c", "1", "2", "100", "01"]).as_bytes().to_vec(),
    }
}

fn count(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(10) {
        generator.int()
    } else {
        generator.random.between(-3, 6).to_string().into_bytes()
    }
}

fn push(generator: &mut Generator) -> Args {
    let mut args = fill(generator, "LPUSH :list");
    if generator.one_in(2) {
        args[0] = generator.word("RPUSH");
    }
    for _ in 0..=generator.random.below(4) {
        args.push(item(generator));
    }
    args
}

/// Enough to make a list leave the compact form of a short one.
fn push_many(generator: &mut Generator) -> Args {
    let name = generator.word_of(&["LPUSH", "RPUSH"]);
    let mut args = vec![name, b"list:long".to_vec()];
    for _ in 0..50 + generator.random.below(150) {
        args.push(item(generator));
    }
    args
}

fn lpos(generator: &mut Generator) -> Args {
    let mut args = fill(generator, "LPOS :list :item");
    for (word, n) in [("RANK", 3), ("COUNT", 3), ("MAXLEN", 4)] {
        if generator.one_in(n) {
            args.push(generator.word(word));
            args.push(count(generator));
        }
    }
    options(generator, &mut args, 12, &["RANK :int", "COUNT :int", "MAXLEN :int", "RANK"]);
    args
}

fn lmpop(generator: &mut Generator) -> Args {
    let mut args = vec![generator.word("LMPOP")];
    args.extend(from_first(generator));
    args
}

/// The arguments that LMPOP and BLMPOP share.
fn from_first(generator: &mut Generator) -> Args {
    let keys = keys(generator);
    let number = if generator.one_in(20) { count(generator) } else { keys.len().to_string().into_bytes() };
    let mut args = vec![number];
    args.extend(keys);
    args.extend(fill(generator, ":end"));
    if generator.one_in(2) {
        args.push(generator.word("COUNT"));
        args.push(if generator.one_in(6) {
            count(generator)
        } else {
            generator.random.between(1, 9).to_string().into_bytes()
        });
    }
    args
}

/// A command that waits: with something to pop, in a transaction where nothing waits, or for a moment only.
fn waiting(generator: &mut Generator) -> Vec<Step> {
    let args = blocking(generator);
    let args = generator.spoil(args, true);
    let command = generator.step(Op::exact(args));
    let line = |generator: &mut Generator, line: &str| {
        let args = fill(generator, line);
        generator.step(Op::exact(args))
    };
    match generator.random.below(8) {
        0..=3 => {
            let begin = line(generator, "MULTI");
            let end = line(generator, "EXEC");
            vec![begin, command, end]
        }
        4..=6 => {
            let mut steps: Vec<_> = KEYS.iter().map(|key| push_to(generator, key)).collect();
            steps.push(command);
            steps
        }
        _ => vec![command],
    }
}

fn push_to(generator: &mut Generator, key: &[u8]) -> Step {
    let args = vec![b"RPUSH".to_vec(), key.to_vec(), item(generator)];
    generator.step(Op::exact(args))
}

fn blocking(generator: &mut Generator) -> Args {
    let timeout = match generator.random.below(12) {
        0 => generator.random.pick(&["-1", "x", "", "1e400", "nan", "-0.5"]).as_bytes().to_vec(),
        _ => b"0.01".to_vec(),
    };
    let mut args = match generator.random.below(5) {
        0 => fill(generator, "BLMOVE :list :list :end :end"),
        1 => fill(generator, "BRPOPLPUSH :list :list"),
        2 => {
            let mut args = vec![generator.word("BLMPOP"), timeout];
            args.extend(from_first(generator));
            return args;
        }
        _ => {
            let mut args = vec![generator.word_of(&["BLPOP", "BRPOP"])];
            args.extend(keys(generator));
            args
        }
    };
    args.push(timeout);
    args
}
