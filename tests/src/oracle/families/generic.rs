//! Commands about keys: lifetime, names, copies, and what a key looks like from outside.

use super::{Family, choose, options};
use crate::oracle::compare::Compare;
use crate::oracle::generate::Generator;
use crate::oracle::state::CLOCK_MS;
use crate::oracle::step::{Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "generic",
    weight: 34,
    commands: &[
        "del",
        "unlink",
        "exists",
        "touch",
        "expire",
        "pexpire",
        "expireat",
        "pexpireat",
        "ttl",
        "pttl",
        "expiretime",
        "pexpiretime",
        "persist",
        "type",
        "rename",
        "renamenx",
        "copy",
        "move",
        "dump",
        "restore",
        "restore-asking",
        "object|encoding",
        "object|refcount",
        "object|idletime",
        "object|freq",
        "object|help",
    ],
    generate,
};

const CLOCK: Compare = Compare::Near(CLOCK_MS);
const CLOCK_S: Compare = Compare::Near(CLOCK_MS / 1000);

#[derive(Clone, Copy)]
enum Maker {
    Line(&'static str, Compare),
    Keys(&'static str),
    Expire,
    Copy,
    Restore,
}

const TABLE: &[(u32, Maker)] = &[
    (6, Maker::Keys("DEL")),
    (3, Maker::Keys("UNLINK")),
    (4, Maker::Keys("EXISTS")),
    (2, Maker::Keys("TOUCH")),
    (22, Maker::Expire),
    (4, Maker::Line("TTL :key", CLOCK_S)),
    (4, Maker::Line("PTTL :key", CLOCK)),
    (3, Maker::Line("EXPIRETIME :key", CLOCK_S)),
    (3, Maker::Line("PEXPIRETIME :key", CLOCK)),
    (4, Maker::Line("PERSIST :key", Compare::Exact)),
    (3, Maker::Line("TYPE :key", Compare::Exact)),
    (5, Maker::Line("RENAME :key :key", Compare::Exact)),
    (4, Maker::Line("RENAMENX :key :key", Compare::Exact)),
    (7, Maker::Copy),
    (5, Maker::Line("MOVE :key :db", Compare::Exact)),
    (3, Maker::Line("DUMP :key", Compare::Kind)),
    (5, Maker::Restore),
    (5, Maker::Line("OBJECT ENCODING :key", Compare::Exact)),
    (1, Maker::Line("OBJECT REFCOUNT :key", Compare::Exact)),
    (1, Maker::Line("OBJECT IDLETIME :key", Compare::Near(60))),
    (1, Maker::Line("OBJECT FREQ :key", Compare::Exact)),
    (1, Maker::Line("OBJECT HELP", Compare::Exact)),
    (1, Maker::Line("OBJECT NOSUCH :key", Compare::Exact)),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    let (args, compare, timed) = match choose(generator, TABLE) {
        Maker::Line(template, compare) => (generator.fill(template), compare, false),
        Maker::Keys(name) => {
            let mut args = generator.fill(name);
            args.extend(generator.several_keys());
            (args, Compare::Exact, false)
        }
        Maker::Expire => {
            let template = *generator.random.pick(&[
                "EXPIRE :key :s",
                "PEXPIRE :key :ms",
                "EXPIREAT :key :at",
                "PEXPIREAT :key :atms",
            ]);
            let mut args = generator.fill(template);
            if generator.one_in(2) {
                options(generator, &mut args, 4, &["NX", "XX", "GT", "LT"]);
            }
            (args, Compare::Exact, true)
        }
        Maker::Copy => {
            let mut args = generator.fill("COPY :key :key");
            options(generator, &mut args, 2, &["DB :db", "REPLACE"]);
            (args, Compare::Exact, false)
        }
        Maker::Restore => {
            let template = *generator.random.pick(&[
                "RESTORE :key 0 :payload",
                "RESTORE :key :ms :payload",
                "RESTORE :key :atms :payload ABSTTL",
                "RESTORE-ASKING :key 0 :payload",
            ]);
            let mut args = generator.fill(template);
            options(generator, &mut args, 3, &["REPLACE", "ABSTTL", "IDLETIME :s", "FREQ :int"]);
            (args, Compare::Exact, true)
        }
    };
    let args = generator.spoil(args, timed);
    vec![generator.step(Op::with(args, compare))]
}
