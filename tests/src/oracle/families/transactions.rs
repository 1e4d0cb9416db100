//! MULTI and WATCH: queued commands, transactions left open while other connections write, and every way to abort.

use super::{FAMILIES, Family, choose};
use crate::oracle::CONNECTIONS;
use crate::oracle::compare::Compare;
use crate::oracle::generate::Generator;
use crate::oracle::step::{Action, Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "transactions",
    weight: 8,
    commands: &["multi", "exec", "discard", "watch", "unwatch"],
    generate,
};

type Maker = fn(&mut Generator) -> Vec<Step>;

const TABLE: &[(u32, Maker)] =
    &[(6, whole), (6, watched), (3, aborted), (2, single), (2, nested), (1, selecting)];

fn generate(generator: &mut Generator) -> Vec<Step> {
    choose(generator, TABLE)(generator)
}

fn line(generator: &Generator, line: &str) -> Step {
    generator.step(Op::line(line))
}

/// Steps of the data families, as content of a transaction.
fn content(generator: &mut Generator, most: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..generator.random.below(most + 1) {
        let family = match generator.random.below(8) {
            0..=3 => FAMILIES[0],
            4..=6 => FAMILIES[1],
            _ => FAMILIES[2],
        };
        steps.extend((family.generate)(generator));
    }
    steps
}

fn end(generator: &mut Generator) -> Step {
    let name = if generator.one_in(6) { "DISCARD" } else { "EXEC" };
    let args = generator.fill(name);
    generator.step(Op::exact(args))
}

fn whole(generator: &mut Generator) -> Vec<Step> {
    let mut steps = vec![line(generator, "MULTI")];
    steps.extend(content(generator, 6));
    let end = end(generator);
    steps.push(end);
    steps
}

/// WATCH some keys, let this or another connection do something, then run a transaction.
fn watched(generator: &mut Generator) -> Vec<Step> {
    let mut watch = generator.fill("WATCH");
    watch.extend(generator.several_keys());
    let mut steps = vec![generator.step(Op::exact(watch))];
    let own = generator.conn;
    if generator.random.one_in(4) {
        steps.extend(content(generator, 2));
    }
    if generator.random.one_in(10) {
        steps.push(line(generator, "UNWATCH"));
    }
    let open_first = generator.random.one_in(2);
    if open_first {
        steps.push(line(generator, "MULTI"));
        steps.extend(content(generator, 2));
    }
    if !generator.random.one_in(3) {
        generator.conn = (own + 1 + generator.random.below(CONNECTIONS - 1)) % CONNECTIONS;
        steps.extend(content(generator, 3));
        generator.conn = own;
    }
    if !open_first {
        steps.push(line(generator, "MULTI"));
    }
    steps.extend(content(generator, 3));
    let end = end(generator);
    steps.push(end);
    steps
}

/// A command that cannot be queued makes EXEC refuse the whole.
fn aborted(generator: &mut Generator) -> Vec<Step> {
    let mut steps = vec![line(generator, "MULTI")];
    steps.extend(content(generator, 2));
    let bad = *generator.random.pick(&[
        "NOSUCHCOMMAND a b",
        "GET",
        "SET onlykey",
        "CLIENT NOSUCH",
        "OBJECT",
        "SELECT",
        "MULTI x",
        "EXEC now",
        "CONFIG",
        "MSET a",
        "WATCH",
    ]);
    steps.push(line(generator, bad));
    steps.extend(content(generator, 2));
    let end = end(generator);
    steps.push(end);
    steps
}

/// One of the commands out of place.
fn single(generator: &mut Generator) -> Vec<Step> {
    let words = *generator.random.pick(&[
        "EXEC",
        "DISCARD",
        "UNWATCH",
        "WATCH a",
        "EXEC x",
        "DISCARD x",
        "UNWATCH x",
        "WATCH",
    ]);
    vec![line(generator, words)]
}

fn nested(generator: &mut Generator) -> Vec<Step> {
    let mut steps = vec![line(generator, "MULTI")];
    steps.extend(content(generator, 2));
    let inner = *generator
        .random
        .pick(&["MULTI", "WATCH a", "UNWATCH", "RESET", "HELLO 3", "HELLO 2", "PING", "AUTH x"]);
    let conn = generator.conn;
    let compare = if inner.starts_with("HELLO") { Compare::Hello } else { Compare::Exact };
    steps.push(Step { conn, action: Action::Run(vec![Op::line_with(inner, compare)]) });
    steps.extend(content(generator, 2));
    let end = end(generator);
    steps.push(end);
    steps
}

/// The database changes inside the transaction and stays changed after it.
fn selecting(generator: &mut Generator) -> Vec<Step> {
    let mut steps = vec![line(generator, "MULTI")];
    for _ in 0..3 {
        let args = generator.fill("SELECT :db");
        steps.push(generator.step(Op::exact(args)));
        steps.extend(content(generator, 2));
    }
    steps.push(line(generator, "EXEC"));
    steps
}
