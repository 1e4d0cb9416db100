//! Commands about whole databases: counting, listing, iterating, emptying and swapping them.

use super::{Family, choose, options};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{self, Generator};
use crate::oracle::step::{Action, Op, Scan, Step};

pub(super) static FAMILY: Family = Family {
    name: "keyspace",
    weight: 8,
    commands: &[
        "dbsize",
        "keys",
        "scan",
        "randomkey",
        "flushdb",
        "flushall",
        "swapdb",
        "select",
        "wait",
        "exists",
    ],
    generate,
};

#[derive(Clone, Copy)]
enum Maker {
    Line(&'static str, Compare),
    Size,
    Keys,
    Scan,
    ScanPage,
}

const TABLE: &[(u32, Maker)] = &[
    (4, Maker::Size),
    (4, Maker::Keys),
    (6, Maker::Scan),
    (3, Maker::ScanPage),
    (2, Maker::Line("RANDOMKEY", Compare::Kind)),
    (1, Maker::Line("FLUSHDB", Compare::Exact)),
    (1, Maker::Line("FLUSHDB SYNC", Compare::Exact)),
    (1, Maker::Line("FLUSHDB ASYNC", Compare::Exact)),
    (1, Maker::Line("FLUSHALL ASYNC", Compare::Exact)),
    (1, Maker::Line("FLUSHALL NOW", Compare::Exact)),
    (1, Maker::Line("FLUSHALL SYNC ASYNC", Compare::Exact)),
    (6, Maker::Line("SWAPDB :db :db", Compare::Exact)),
    (14, Maker::Line("SELECT :db", Compare::Exact)),
    (2, Maker::Line("WAIT 0 0", Compare::Exact)),
    (1, Maker::Line("WAIT 0 -1", Compare::Exact)),
    (1, Maker::Line("WAIT :key 0", Compare::Exact)),
];

const PATTERNS: &[&[u8]] = &[
    b"*",
    b"a",
    b"?",
    b"key:*",
    b"key:?",
    b"k[a-f]y:[12]",
    b"[^a]",
    b"*[ab]*",
    b"h\\?llo",
    b"h?llo",
    b"h\\*llo",
    b"",
    b"{tag}*",
    b"[",
    b"[a",
    b"\\",
    b"*a*b*",
    b"**",
    b"[z-a]",
    b"*\xff*",
    b"[\\]a]*",
    b"u*",
    b"???????*",
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    match choose(generator, TABLE) {
        Maker::Line(template, compare) => {
            let args = generator.fill(template);
            let args = generator.spoil(args, true);
            vec![generator.step(Op::with(args, compare))]
        }
        Maker::Size => {
            // A key whose time is over may still be counted until somebody looks at it, so look at all first.
            let mut look = vec![b"EXISTS".to_vec()];
            look.extend(generate::keys());
            let size = generator.fill("DBSIZE");
            let action = Action::Run(vec![Op::exact(look), Op::exact(size)]);
            vec![Step { conn: generator.conn, action }]
        }
        Maker::Keys => {
            let mut args = generator.fill("KEYS");
            args.push(generator.random.pick(PATTERNS).to_vec());
            let args = generator.spoil(args, true);
            vec![generator.step(Op::with(args, Compare::AnyOrder))]
        }
        Maker::Scan => {
            let mut args = Vec::new();
            if generator.one_in(2) {
                args.extend(generator.fill("MATCH"));
                args.push(generator.random.pick(PATTERNS).to_vec());
            }
            options(
                generator,
                &mut args,
                3,
                &["COUNT 3", "COUNT 1000", "TYPE string", "TYPE hash", "TYPE nosuch"],
            );
            let scan = Scan { command: generator.fill("SCAN"), options: args };
            vec![Step { conn: generator.conn, action: Action::Scan(scan) }]
        }
        Maker::ScanPage => {
            let template = *generator.random.pick(&[
                "SCAN abc",
                "SCAN -1",
                "SCAN",
                "SCAN 0 COUNT",
                "SCAN 0 COUNT 0",
                "SCAN 0 COUNT -5",
                "SCAN 0 COUNT abc",
                "SCAN 0 MATCH",
                "SCAN 0 NOSUCH 1",
                "SCAN 0 MATCH a MATCH",
                "SCAN 0 TYPE",
                "SCAN 18446744073709551616",
                "SCAN 1.5",
                "SCAN 0 COUNT 9223372036854775808",
                "SCAN 00",
                "SCAN 0 TYPE string COUNT",
            ]);
            let args = generator.fill(template);
            vec![generator.step(Op::with(args, Compare::ScanPage))]
        }
    }
}
