//! What clients hear of each other: channels and patterns, events of the keyspace, keys that went stale in a cache.

use super::{FAMILIES, Family, choose};
use crate::oracle::CONNECTIONS;
use crate::oracle::compare::Compare;
use crate::oracle::generate::{self, Args, Generator};
use crate::oracle::step::{Action, Arg, Op, Part, Step};

pub(super) static FAMILY: Family = Family {
    name: "messages",
    weight: 4,
    commands: &[
        "subscribe",
        "unsubscribe",
        "psubscribe",
        "punsubscribe",
        "ssubscribe",
        "sunsubscribe",
        "publish",
        "spublish",
        "pubsub|channels",
        "pubsub|numsub",
        "pubsub|numpat",
        "pubsub|shardchannels",
        "pubsub|shardnumsub",
        "client|tracking",
        "client|caching",
        "client|trackinginfo",
        "client|getredir",
        "config|set",
        "hello",
        "reset",
    ],
    generate,
};

/// Families of data, which come first in the list, whose commands scenes use.
const DATA_FAMILIES: &[&str] =
    &["strings", "generic", "hashes", "sets", "zsets", "lists", "bitmaps", "hyperloglogs", "geo", "streams"];

type Maker = fn(&mut Generator) -> Scene;

fn generate(generator: &mut Generator) -> Vec<Step> {
    const TABLE: &[(u32, Maker)] = &[(3, channels), (3, events), (4, tracking)];
    let scene = choose(generator, TABLE)(generator);
    vec![Step { conn: generator.conn, action: Action::Scene(scene.ops, scene.parts) }]
}

#[derive(Default)]
struct Scene {
    ops: Vec<Op>,
    parts: Vec<Part>,
}

impl Scene {
    fn part(&mut self, conn: usize, ops: Vec<Op>) {
        self.parts.push(Part { conn, count: ops.len() });
        self.ops.extend(ops);
    }

    fn line(&mut self, conn: usize, line: &str) {
        self.part(conn, vec![Op::line(line)]);
    }

    /// Looks at all keys, so that none is left whose time has come. What deletes such a key as the destination of nothing
    /// looks at its time here, and tells of `expired`; Redis does not, and tells of `del`.
    fn look(&mut self, conn: usize) {
        let mut args: Args = vec![b"TOUCH".to_vec()];
        args.extend(generate::keys());
        self.part(conn, vec![Op::exact(args)]);
    }

    /// Has a connection speak RESP3, but for one in `most`; says whether it does.
    fn greet(&mut self, generator: &mut Generator, conn: usize, most: usize) -> bool {
        let greets = generator.random.below(most) > 0;
        if greets {
            self.part(conn, vec![Op::line_with("HELLO 3", Compare::Hello)]);
        }
        greets
    }
}

/// Out of few names, so that publishers and subscribers meet.
const CHANNELS: &[&str] = &["ch:1", "ch:2", "{tag}ch", "h?llo", "a", "__keyspace@0__:a"];
const PATTERNS: &[&str] = &["ch:*", "*", "ch:[12]", "h\\?llo", "?", "nosuch", "{tag}*", ""];

fn channels(generator: &mut Generator) -> Scene {
    let mut scene = Scene::default();
    let greeted: Vec<bool> = (0..CONNECTIONS).map(|conn| scene.greet(generator, conn, 2)).collect();
    for _ in 0..8 + generator.random.below(16) {
        let conn = generator.random.below(CONNECTIONS);
        let ops = talk(generator);
        // What a transaction publishes to its own connection is in the midst of EXEC's reply in Redis 7.0, where RESP3 has
        // no place for it; here it comes behind.
        if !(greeted[conn] && ops.len() > 1) {
            scene.part(conn, ops);
        }
    }
    scene
}

fn names(generator: &mut Generator, line: &str, of: &[&str], most: usize) -> Args {
    let mut args = generator.fill(line);
    for _ in 0..generator.random.below(most + 1) {
        args.push(generator.random.pick(of).as_bytes().to_vec());
    }
    args
}

fn talk(generator: &mut Generator) -> Vec<Op> {
    let op = match generator.random.below(22) {
        0..=3 => Op::exact(names(generator, "SUBSCRIBE ch:1", CHANNELS, 2)),
        4 | 5 => Op::exact(names(generator, "PSUBSCRIBE ch:*", PATTERNS, 2)),
        6 | 7 => Op::exact(names(generator, "SSUBSCRIBE ch:1", CHANNELS, 2)),
        // Without names they go in the order of a hash table.
        8 => Op::with(names(generator, "UNSUBSCRIBE", CHANNELS, 2), Compare::AnyOrder),
        9 => Op::with(names(generator, "PUNSUBSCRIBE", PATTERNS, 2), Compare::AnyOrder),
        10 => Op::with(names(generator, "SUNSUBSCRIBE", CHANNELS, 2), Compare::AnyOrder),
        11..=15 => return published(generator),
        16 => Op::with(names(generator, "PUBSUB CHANNELS", PATTERNS, 1), Compare::AnyOrder),
        17 => Op::exact(names(generator, "PUBSUB NUMSUB", CHANNELS, 3)),
        18 => Op::exact(generator.fill("PUBSUB NUMPAT")),
        19 => Op::with(names(generator, "PUBSUB SHARDCHANNELS", PATTERNS, 1), Compare::AnyOrder),
        20 => Op::exact(names(generator, "PUBSUB SHARDNUMSUB", CHANNELS, 3)),
        _ => {
            let line = *generator.random.pick(&[
                "SUBSCRIBE",
                "PSUBSCRIBE",
                "SSUBSCRIBE",
                "PUBLISH ch:1",
                "SPUBLISH ch:1 a b",
                "PUBSUB NUMPAT x",
                "PUBSUB NOSUCH",
                "PING",
                "PING a b",
                "GET a",
                "RESET",
                "CLIENT GETNAME",
            ]);
            Op::line(line)
        }
    };
    vec![op]
}

fn published(generator: &mut Generator) -> Vec<Op> {
    let publish = |generator: &mut Generator| {
        let mut args = vec![generator.word_of(&["PUBLISH", "PUBLISH", "SPUBLISH"])];
        args.push(generator.random.pick(CHANNELS).as_bytes().to_vec());
        args.push(generator.value());
        args
    };
    match generator.random.below(6) {
        0 => {
            let mut ops = vec![Op::line("MULTI")];
            for _ in 0..=generator.random.below(2) {
                ops.push(Op::exact(publish(generator)));
            }
            ops.push(Op::line("EXEC"));
            ops
        }
        1 => {
            let mut args: Args = ["EVAL", "return redis.call(unpack(ARGV))", "0"].map(Into::into).to_vec();
            args.extend(publish(generator));
            vec![Op::exact(args)]
        }
        _ => vec![Op::exact(publish(generator))],
    }
}

/// Those that belong together with others.
const LEFT_OUT: &[&str] = &["multi", "exec", "discard", "watch", "unwatch"];

/// An option that may leave a key whose time has come.
fn makes_overdue(arg: &Arg) -> bool {
    let is_word = |bytes: &[u8], word: &str| bytes.eq_ignore_ascii_case(word.as_bytes());
    matches!(arg, Arg::Bytes(bytes) if ["exat", "pxat", "absttl"].iter().any(|word| is_word(bytes, word)))
}

/// Some commands on data whose replies and effects are the same byte by byte.
fn content(generator: &mut Generator) -> Vec<Op> {
    let name = *generator.random.pick(DATA_FAMILIES);
    let family = FAMILIES.iter().find(|family| family.name == name).expect("it is in the list");
    let mut ops = Vec::new();
    for step in (family.generate)(generator) {
        let Action::Run(run) = step.action else { continue };
        let is_same = |op: &Op| {
            op.compare == Compare::Exact
                && op.answered
                && !op.name().ends_with("|help")
                && !LEFT_OUT.contains(&&*op.name())
                && !op.args.iter().any(makes_overdue)
        };
        if run.iter().all(is_same) {
            ops.extend(run);
        }
    }
    ops
}

const FLAGS: &[&str] =
    &["KEA", "KEA", "AKEmn", "Kg$", "E$lshzxet", "Kd", "Kz", "KEtm", "KElsg", "Ehgn", "KEx"];

fn events(generator: &mut Generator) -> Scene {
    let mut scene = Scene::default();
    let listener = generator.random.below(CONNECTIONS);
    let writer = (listener + 1) % CONNECTIONS;
    scene.greet(generator, listener, 2);
    scene.look(writer);
    scene.line(listener, "PSUBSCRIBE __key*");
    let flags = *generator.random.pick(FLAGS);
    scene.line(writer, &format!("CONFIG SET notify-keyspace-events {flags}"));
    for _ in 0..6 + generator.random.below(10) {
        let ops = content(generator);
        match generator.random.below(8) {
            0 => {
                let mut all = vec![Op::line("MULTI")];
                all.extend(ops);
                all.push(Op::line("EXEC"));
                scene.part(writer, all);
            }
            1 => ops.iter().for_each(|op| scene.part(writer, vec![called(op)])),
            _ => ops.into_iter().for_each(|op| scene.part(writer, vec![op])),
        }
    }
    scene.part(
        writer,
        vec![Op::exact(["CONFIG", "SET", "notify-keyspace-events", ""].map(Into::into).to_vec())],
    );
    scene
}

/// The same command, called by a script.
fn called(op: &Op) -> Op {
    let mut args: Vec<Arg> = ["EVAL", "redis.pcall(unpack(ARGV))", "0"].map(Arg::from).to_vec();
    args.extend(op.args.iter().cloned());
    Op { args, compare: Compare::Exact, answered: true }
}

const MODES: &[&str] = &[
    "",
    "",
    "",
    "OPTIN",
    "OPTOUT",
    "NOLOOP",
    "BCAST",
    "BCAST PREFIX a",
    "BCAST PREFIX key: PREFIX b",
    "BCAST NOLOOP",
    "OPTIN NOLOOP",
    "BCAST PREFIX {tag}",
];

/// Numbers of clients differ by no more.
const IDS_MAX: i64 = 1_000_000;

/// Keys that are read, and those that are written: few, so that they meet.
const KEYS: &[&str] = &["a", "b", "c", "key:1", "key:2", "{tag}1"];

fn tracking(generator: &mut Generator) -> Scene {
    let mut scene = Scene::default();
    let reader = generator.random.below(CONNECTIONS);
    let (writer, listener) = ((reader + 1) % CONNECTIONS, (reader + 2) % CONNECTIONS);
    let is_redirected = generator.one_in(3);
    let mode = *generator.random.pick(MODES);
    let mut on = Op::line("CLIENT TRACKING ON");
    if is_redirected {
        scene.greet(generator, listener, 2);
        scene.line(listener, "SUBSCRIBE __redis__:invalidate");
        scene.greet(generator, reader, 3);
        on.args.extend([Arg::from("REDIRECT"), Arg::ClientId(listener)]);
    } else {
        scene.greet(generator, reader, 12);
    }
    on.args.extend(mode.split_whitespace().map(Arg::from));
    scene.part(reader, vec![on]);
    for _ in 0..8 + generator.random.below(14) {
        match generator.random.below(16) {
            0..=5 => {
                let key = *generator.random.pick(KEYS);
                let read = match generator.random.below(9) {
                    0 => format!("MGET {key} b"),
                    1 => format!("EXISTS {key} a"),
                    2 => format!("STRLEN {key}"),
                    3 => format!("EVAL_RO return{{}} 1 {key}"),
                    4 => format!("TTL {key}"),
                    // Not SORT_RO, which turns a small sorted set into a skiplist in Redis.
                    5 | 6 => format!("TYPE {key}"),
                    _ => format!("GET {key}"),
                };
                let mut ops = Vec::new();
                if mode.contains("OPT") && generator.one_in(2) {
                    let yes = if mode.contains("OPTIN") { "YES" } else { "NO" };
                    ops.push(Op::line(&format!("CLIENT CACHING {yes}")));
                }
                ops.push(Op::line(&read));
                if generator.one_in(8) {
                    ops.insert(0, Op::line("MULTI"));
                    ops.push(Op::line("EXEC"));
                }
                scene.part(reader, ops);
            }
            6 => {
                // Who is redirected to has another number here and there.
                let line = *generator.random.pick(&["CLIENT TRACKINGINFO", "CLIENT GETREDIR"]);
                scene.part(reader, vec![Op::line_with(line, Compare::Near(IDS_MAX))]);
            }
            7 => {
                // Somebody's own writes, which he hears of or does not.
                let key = *generator.random.pick(KEYS);
                scene.line(reader, &format!("SET {key} own"));
            }
            8 => {
                let line = *generator.random.pick(&[
                    "FLUSHDB",
                    "FLUSHALL",
                    "SELECT 1",
                    "CLIENT CACHING YES",
                    "CLIENT TRACKING ON",
                ]);
                scene.line(if line.starts_with('F') { writer } else { reader }, line);
            }
            _ => {
                let key = *generator.random.pick(KEYS);
                let write = match generator.random.below(12) {
                    0 => format!("DEL {key} b"),
                    1 => format!("MSET {key} 1 b 2"),
                    2 => format!("EXPIRE {key} 100"),
                    3 => format!("INCR {key}"),
                    4 => format!("RENAME {key} c"),
                    5 => format!("COPY {key} b REPLACE"),
                    6 => format!("EVAL redis.call('set',KEYS[1],1)redis.call('del','b') 1 {key}"),
                    7 => format!("SETRANGE {key} 1 x"),
                    8 => format!("SET {key} x PXAT 1"),
                    9 => format!("MOVE {key} 1"),
                    10 => format!("UNLINK {key}"),
                    _ => format!("SET {key} v"),
                };
                scene.line(writer, &write);
            }
        }
    }
    scene
}
