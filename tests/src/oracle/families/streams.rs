//! Streams: entries, groups, what is pending in them. IDs are always given, because two clocks never agree; idle times are
//! either zero or longer than any run.

use super::{Family, Maker, choose};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::state::CLOCK_MS;
use crate::oracle::step::{Action, Op, Step};

/// Keys which mostly hold streams.
pub(super) const KEYS: &[&[u8]] = &[b"stream", b"stream:1", b"{tag}stream"];

pub(super) static FAMILY: Family = Family {
    name: "streams",
    weight: 25,
    commands: &[
        "xadd",
        "xtrim",
        "xdel",
        "xlen",
        "xrange",
        "xrevrange",
        "xread",
        "xreadgroup",
        "xgroup",
        "xack",
        "xpending",
        "xclaim",
        "xautoclaim",
        "xsetid",
        "xinfo",
        "config",
        "del",
        "rename",
        "copy",
        "watch",
        "multi",
        "exec",
    ],
    generate,
};

const TABLE: &[(u32, What)] = &[
    (20, What::One(xadd, Compare::Exact)),
    (6, What::Steps(burst)),
    (1, What::Steps(auto_id)),
    (5, What::One(xtrim, Compare::Exact)),
    (5, What::Line("XDEL :stream :id :id :id")),
    (2, What::Line("XLEN :stream")),
    (5, What::One(xrange, Compare::Exact)),
    (6, What::Timed(xread, Compare::Exact)),
    (16, What::Timed(xreadgroup, Compare::Exact)),
    (12, What::One(xgroup, Compare::Exact)),
    (5, What::Line("XACK :stream :group :id :id :id")),
    (6, What::One(xpending, Compare::Near(CLOCK_MS))),
    (8, What::One(xclaim, Compare::Exact)),
    (5, What::One(xautoclaim, Compare::Exact)),
    (4, What::One(xsetid, Compare::Exact)),
    (4, What::Line("XINFO STREAM :stream")),
    (4, What::Near("XINFO STREAM :stream FULL")),
    (2, What::Near("XINFO STREAM :stream FULL COUNT :few")),
    (3, What::Line("XINFO GROUPS :stream")),
    (3, What::Near("XINFO CONSUMERS :stream :group")),
    (1, What::Line("XINFO HELP")),
    (1, What::Line("XGROUP HELP")),
    (1, What::Steps(node_limits)),
    (2, What::Line("DEL :stream")),
    (1, What::Line("RENAME :stream :stream")),
    (1, What::Line("COPY :stream :stream REPLACE")),
    (2, What::Steps(watched)),
];

#[derive(Clone, Copy)]
enum What {
    Line(&'static str),
    /// With times in the reply.
    Near(&'static str),
    One(Maker, Compare),
    /// It could wait, so nothing in it is exchanged.
    Timed(Maker, Compare),
    Steps(fn(&mut Generator) -> Vec<Step>),
}

fn generate(generator: &mut Generator) -> Vec<Step> {
    let (args, compare, timed) = match choose(generator, TABLE) {
        What::Line(template) => (line(generator, template), Compare::Exact, false),
        What::Near(template) => (line(generator, template), Compare::Near(CLOCK_MS), false),
        What::One(make, compare) => (make(generator), compare, false),
        What::Timed(make, compare) => (make(generator), compare, true),
        What::Steps(make) => return make(generator),
    };
    let args = generator.spoil(args, timed);
    vec![generator.step(Op::with(args, compare))]
}

/// A line with the places that only streams have; the others are the generator's.
fn line(generator: &mut Generator, template: &str) -> Args {
    let mut args = Args::new();
    for word in template.split_whitespace() {
        match word {
            ":stream" => args.push(generator.key_among(KEYS)),
            ":group" => args.push(one_of(generator, &["g", "g", "g", "h", "none", ""])),
            ":consumer" => args.push(one_of(generator, &["alice", "bob", "carol", "", "STREAMS"])),
            ":id" => args.push(id(generator)),
            ":from" => args.push(bound(generator, "-")),
            ":to" => args.push(bound(generator, "+")),
            ":idle" => {
                args.push(one_of(generator, &["0", "0", "0", "99999999", "-5", "x", "9223372036854775807"]));
            }
            ":few" => args.push(one_of(generator, &["1", "2", "5", "0", "-1", "x", "9223372036854775807"])),
            other => args.extend(generator.fill(other)),
        }
    }
    args
}

fn one_of(generator: &mut Generator, words: &[&str]) -> Vec<u8> {
    generator.random.pick(words).as_bytes().to_vec()
}

/// Half of the time one option, and rarely it twice.
fn maybe(generator: &mut Generator, args: &mut Args, n: usize, option: &str) {
    if generator.one_in(n) {
        args.extend(line(generator, option));
        if generator.one_in(20) {
            args.extend(line(generator, option));
        }
    }
}

/// Mostly an ID that was given to an entry a while ago.
fn id(generator: &mut Generator) -> Vec<u8> {
    let serial = generator.serial as i64;
    let ms = (serial - generator.random.between(-1, 25)).max(0);
    match generator.random.below(14) {
        0 => generator
            .random
            .pick(&[
                "0",
                "0-0",
                "18446744073709551615-18446744073709551615",
                "-",
                "+",
                "5-",
                "-5",
                "x",
                "",
                "5-x",
                "1-2-3",
                "99999999999999999999",
                " 7- 0",
                "+7-+0",
                "007-00",
            ])
            .as_bytes()
            .to_vec(),
        1 => format!("{ms}").into_bytes(),
        2 => format!("{ms}-{}", generator.random.below(3)).into_bytes(),
        _ => format!("{ms}-0").into_bytes(),
    }
}

/// One end of a range.
fn bound(generator: &mut Generator, usual: &str) -> Vec<u8> {
    match generator.random.below(6) {
        0..=2 => usual.as_bytes().to_vec(),
        3 => [b"(".to_vec(), id(generator)].concat(),
        _ => id(generator),
    }
}

fn new_id(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(4) {
        // Again in the same millisecond, or too late.
        let ms = generator.serial.saturating_sub(generator.random.below(3) as u64);
        let seq = *generator.random.pick(&["*", "*", "1", "2", "x", "**", "18446744073709551616"]);
        return format!("{ms}-{seq}").into_bytes();
    }
    if generator.one_in(25) {
        return id(generator);
    }
    generator.serial += 1 + generator.random.below(3) as u64;
    let serial = generator.serial;
    format!("{serial}{}", generator.random.pick(&["", "-0", "-0", "-*"])).into_bytes()
}

fn fields(generator: &mut Generator, args: &mut Args) {
    if generator.one_in(3) {
        // The fields of most entries, which nodes share.
        args.extend([b"field".to_vec(), generator.value()]);
        return;
    }
    for _ in 0..=generator.random.below(3) {
        args.extend([one_of(generator, &["field", "f", "12", ""]), generator.value()]);
    }
}

fn trimming(generator: &mut Generator, args: &mut Args) {
    let is_len = generator.one_in(2);
    args.push(generator.word_of(if is_len { &["MAXLEN"] } else { &["MINID"] }));
    match generator.random.below(3) {
        0 => args.push(b"~".to_vec()),
        1 => args.push(b"=".to_vec()),
        _ => {}
    }
    args.push(match (is_len, generator.one_in(20)) {
        (_, true) => generator.int(),
        (true, _) => generator.random.below(40).to_string().into_bytes(),
        (false, _) => id(generator),
    });
    if generator.one_in(4) {
        args.push(generator.word("LIMIT"));
        args.push(one_of(generator, &["0", "1", "5", "10", "100", "-1", "x"]));
    }
}

fn xadd(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XADD :stream");
    maybe(generator, &mut args, 12, "NOMKSTREAM");
    if generator.one_in(6) {
        trimming(generator, &mut args);
    }
    maybe(generator, &mut args, 40, "LIMIT 10");
    args.push(new_id(generator));
    fields(generator, &mut args);
    if generator.one_in(40) {
        args.pop();
    }
    args
}

/// Enough entries for several nodes.
fn burst(generator: &mut Generator) -> Vec<Step> {
    let key = generator.key_among(KEYS);
    let count = if generator.one_in(8) { 120 } else { 12 };
    let ops = (0..count).map(|_| {
        let mut args = vec![generator.word("XADD"), key.clone(), new_id(generator)];
        fields(generator, &mut args);
        Op::exact(args)
    });
    let ops = ops.collect();
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

/// IDs by the clock differ, so such a stream is looked at from outside and deleted.
fn auto_id(generator: &mut Generator) -> Vec<Step> {
    let ops = vec![
        Op::line_with("XADD auto * f v", Compare::Kind),
        Op::line_with("XADD auto MAXLEN ~ 5 * f v", Compare::Kind),
        Op::line("XLEN auto"),
        Op::line_with("XREAD COUNT 1 STREAMS auto 0", Compare::Shape),
        Op::line("DEL auto"),
    ];
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

fn node_limits(generator: &mut Generator) -> Vec<Step> {
    let entries = *generator.random.pick(&["0", "1", "3", "10", "100"]);
    // Much smaller nodes make Redis 7.0.15 write over other data, or crash.
    let bytes = *generator.random.pick(&["0", "600", "1500", "4096", "4096"]);
    let ops = vec![
        Op::line(&format!("CONFIG SET stream-node-max-entries {entries}")),
        Op::line(&format!("CONFIG SET stream-node-max-bytes {bytes}")),
    ];
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

/// What consumers do leaves a watched key as it is; what happens to its entries does not.
fn watched(generator: &mut Generator) -> Vec<Step> {
    let key = generator.key_among(KEYS);
    let change = match generator.random.below(4) {
        0 => xreadgroup(generator),
        1 => line(generator, "XACK :stream :group :id :id :id"),
        2 => xgroup(generator),
        _ => line(generator, "XDEL :stream :id :id"),
    };
    let change =
        change.into_iter().map(|arg| if KEYS.contains(&&*arg) { key.clone() } else { arg }).collect();
    let ops = vec![
        Op::exact(vec![b"WATCH".to_vec(), key.clone()]),
        Op::exact(change),
        Op::line("MULTI"),
        Op::exact(vec![b"XLEN".to_vec(), key]),
        Op::line("EXEC"),
    ];
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

fn xtrim(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XTRIM :stream");
    if !generator.one_in(30) {
        trimming(generator, &mut args);
    }
    maybe(generator, &mut args, 40, "MAXLEN 5");
    args
}

fn xrange(generator: &mut Generator) -> Args {
    let template = *generator.random.pick(&["XRANGE :stream :from :to", "XREVRANGE :stream :to :from"]);
    let mut args = line(generator, template);
    maybe(generator, &mut args, 3, "COUNT :few");
    args
}

/// Keys, and as many IDs.
fn streams(generator: &mut Generator, args: &mut Args, ids: &[&str]) {
    args.push(generator.word("STREAMS"));
    let count = 1 + generator.random.below(3);
    for _ in 0..count {
        args.push(generator.key_among(KEYS));
    }
    for _ in 0..count {
        let is_usual = generator.one_in(2);
        args.push(if is_usual { one_of(generator, ids) } else { id(generator) });
    }
    if generator.one_in(30) {
        args.pop();
    }
}

/// What is waited for is there at once, or the time is up soon.
fn blocking(generator: &mut Generator, args: &mut Args) {
    if generator.one_in(6) {
        args.push(generator.word("BLOCK"));
        args.push(one_of(generator, &["1", "1", "2", "-1", "x", "1.5", ""]));
    }
}

fn xread(generator: &mut Generator) -> Args {
    let mut args = xread_any(generator);
    // Later versions read the last entry there, which this Redis cannot.
    args.iter_mut().skip(2).filter(|arg| **arg == b"+").for_each(|arg| *arg = b"$".to_vec());
    args
}

fn xread_any(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XREAD");
    maybe(generator, &mut args, 3, "COUNT :few");
    blocking(generator, &mut args);
    maybe(generator, &mut args, 40, "NOACK");
    maybe(generator, &mut args, 40, "GROUP :group :consumer");
    streams(generator, &mut args, &["$", "0", "0-0", ">"]);
    args
}

fn xreadgroup(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XREADGROUP");
    maybe(generator, &mut args, 20, "COUNT :few");
    if !generator.one_in(40) {
        args.extend(line(generator, "GROUP :group :consumer"));
    }
    maybe(generator, &mut args, 2, "COUNT :few");
    blocking(generator, &mut args);
    maybe(generator, &mut args, 5, "NOACK");
    streams(generator, &mut args, &[">", ">", ">", ">", "0", "$"]);
    args
}

fn xgroup(generator: &mut Generator) -> Args {
    let template = *generator.random.pick(&[
        "XGROUP CREATE :stream :group 0 MKSTREAM",
        "XGROUP CREATE :stream :group $",
        "XGROUP CREATE :stream :group :id",
        "XGROUP CREATE :stream :group :id ENTRIESREAD :few MKSTREAM",
        "XGROUP SETID :stream :group :id",
        "XGROUP SETID :stream :group $",
        "XGROUP SETID :stream :group 0",
        "XGROUP SETID :stream :group :id ENTRIESREAD :few",
        "XGROUP DESTROY :stream :group",
        "XGROUP CREATECONSUMER :stream :group :consumer",
        "XGROUP DELCONSUMER :stream :group :consumer",
    ]);
    line(generator, template)
}

fn xpending(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XPENDING :stream :group");
    if generator.one_in(3) {
        return args;
    }
    maybe(generator, &mut args, 3, "IDLE :idle");
    args.extend(line(generator, ":from :to :few"));
    maybe(generator, &mut args, 3, ":consumer");
    args
}

fn xclaim(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XCLAIM :stream :group :consumer :idle");
    for _ in 0..=generator.random.below(4) {
        args.push(id(generator));
    }
    maybe(generator, &mut args, 5, "IDLE :idle");
    maybe(generator, &mut args, 6, "TIME :atms");
    maybe(generator, &mut args, 5, "RETRYCOUNT :few");
    maybe(generator, &mut args, 3, "FORCE");
    maybe(generator, &mut args, 3, "JUSTID");
    maybe(generator, &mut args, 6, "LASTID :id");
    args
}

fn xautoclaim(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XAUTOCLAIM :stream :group :consumer :idle :from");
    if generator.one_in(2) {
        args.push(generator.word("COUNT"));
        args.push(one_of(generator, &["1", "2", "3", "10", "0", "-1", "x", "8070450532247928833"]));
    }
    maybe(generator, &mut args, 3, "JUSTID");
    args
}

fn xsetid(generator: &mut Generator) -> Args {
    let mut args = line(generator, "XSETID :stream :id");
    maybe(generator, &mut args, 3, "ENTRIESADDED :few");
    maybe(generator, &mut args, 3, "MAXDELETEDID :id");
    args
}
