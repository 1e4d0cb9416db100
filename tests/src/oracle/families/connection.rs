//! The connection itself: greeting, authentication errors, names, protocol versions, and closing.

use super::{Family, choose};
use crate::oracle::CONNECTIONS;
use crate::oracle::compare::Compare;
use crate::oracle::generate::Generator;
use crate::oracle::step::{Action, Arg, Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "connection",
    weight: 8,
    commands: &[
        "ping",
        "echo",
        "hello",
        "auth",
        "client|getname",
        "client|setname",
        "client|id",
        "client|no-evict",
        "client|reply",
        "client|unblock",
        "client|kill",
        "client|info",
        "client|list",
        "client|getredir",
        "client|trackinginfo",
        "client|tracking",
        "client|caching",
        "client|pause",
        "client|unpause",
        "client|help",
        "reset",
        "quit",
    ],
    generate,
};

#[derive(Clone, Copy)]
enum Maker {
    /// One of these lines, compared exactly.
    Lines(&'static [&'static str]),
    Hello,
    Custom(fn(&mut Generator) -> Vec<Step>),
}

const TABLE: &[(u32, Maker)] = &[
    (6, Maker::Lines(&["PING", "PING :value", "PING a b", "ping", "ECHO :value", "ECHO", "ECHO a b"])),
    (8, Maker::Hello),
    (3, Maker::Lines(AUTH)),
    (6, Maker::Lines(NAMES)),
    (3, Maker::Lines(SWITCHES)),
    (4, Maker::Lines(KILL_ERRORS)),
    (3, Maker::Lines(UNBLOCK)),
    (3, Maker::Lines(TRACKING)),
    (2, Maker::Lines(OTHERS)),
    (2, Maker::Custom(identity)),
    (2, Maker::Custom(reply_off)),
    (2, Maker::Custom(kill)),
    (1, Maker::Custom(quit)),
    (2, Maker::Lines(&["RESET", "RESET x"])),
    (1, Maker::Custom(large)),
];

const HELLOS: &[&str] = &[
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO 3",
    "HELLO 2",
    "HELLO 1",
    "HELLO 4",
    "HELLO abc",
    "HELLO 3 AUTH",
    "HELLO 3 AUTH default",
    "HELLO 3 AUTH default x",
    "HELLO 3 AUTH nosuch x",
    "HELLO 3 SETNAME",
    "HELLO 3 SETNAME conn-name",
    "HELLO 2 SETNAME other",
    "HELLO 3 AUTH default x SETNAME y",
    "HELLO 3 SETNAME y AUTH nosuch x",
    "HELLO 3 NOSUCH",
    "HELLO 9223372036854775808",
    "HELLO 3 SETNAME a SETNAME b",
    "HELLO 2 AUTH default pw SETNAME n NOSUCH",
];

const AUTH: &[&str] = &["AUTH", "AUTH x", "AUTH default x", "AUTH nosuch x", "AUTH default", "AUTH a b c"];

const NAMES: &[&str] = &[
    "CLIENT GETNAME",
    "CLIENT GETNAME",
    "CLIENT SETNAME name-1",
    "CLIENT SETNAME :key",
    "CLIENT SETNAME :value",
    "CLIENT SETNAME",
    "CLIENT SETNAME a b",
    "CLIENT GETNAME x",
];

const SWITCHES: &[&str] = &[
    "CLIENT NO-EVICT ON",
    "CLIENT NO-EVICT OFF",
    "CLIENT NO-EVICT",
    "CLIENT NO-EVICT maybe",
    "CLIENT REPLY",
    "CLIENT REPLY ON",
    "CLIENT REPLY maybe",
    "CLIENT REPLY ON x",
];

const KILL_ERRORS: &[&str] = &[
    "CLIENT KILL",
    "CLIENT KILL 1.2.3.4:5",
    "CLIENT KILL ID",
    "CLIENT KILL ID abc",
    "CLIENT KILL ID 0",
    "CLIENT KILL ID -1",
    "CLIENT KILL ID 999999999",
    "CLIENT KILL TYPE nosuch",
    "CLIENT KILL TYPE pubsub",
    "CLIENT KILL TYPE master",
    "CLIENT KILL TYPE replica",
    "CLIENT KILL TYPE slave",
    "CLIENT KILL USER nosuch",
    "CLIENT KILL ADDR 1.2.3.4:5",
    "CLIENT KILL LADDR 1.2.3.4:5",
    "CLIENT KILL SKIPME maybe",
    "CLIENT KILL ID 999999999 SKIPME no",
    "CLIENT KILL NOSUCH 1",
    "CLIENT KILL ID 999999999 TYPE",
    "CLIENT KILL ADDR 1.2.3.4:5 SKIPME",
    "CLIENT KILL ID 999999999 ADDR 1.2.3.4:5 TYPE normal",
];

const UNBLOCK: &[&str] = &[
    "CLIENT UNBLOCK",
    "CLIENT UNBLOCK abc",
    "CLIENT UNBLOCK 999999999",
    "CLIENT UNBLOCK 999999999 TIMEOUT",
    "CLIENT UNBLOCK 999999999 ERROR",
    "CLIENT UNBLOCK 999999999 NOSUCH",
    "CLIENT UNBLOCK 999999999 ERROR x",
    "CLIENT UNBLOCK -1",
];

const TRACKING: &[&str] = &[
    "CLIENT GETREDIR",
    "CLIENT TRACKINGINFO",
    "CLIENT TRACKING",
    "CLIENT TRACKING maybe",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON REDIRECT",
    "CLIENT TRACKING ON REDIRECT 999999999",
    "CLIENT TRACKING ON REDIRECT abc",
    "CLIENT TRACKING ON OPTIN OPTOUT",
    "CLIENT TRACKING ON PREFIX a",
    "CLIENT TRACKING ON BCAST OPTIN",
    "CLIENT TRACKING ON NOSUCH",
    "CLIENT CACHING",
    "CLIENT CACHING yes",
    "CLIENT CACHING no",
    "CLIENT CACHING maybe",
    "CLIENT TRACKING ON BCAST PREFIX 1 PREFIX 12",
];

const OTHERS: &[&str] = &[
    "CLIENT",
    "CLIENT HELP",
    "CLIENT NOSUCH",
    "CLIENT NOSUCH a b",
    "CLIENT HELP x",
    "CLIENT PAUSE",
    "CLIENT PAUSE abc",
    "CLIENT PAUSE -1",
    "CLIENT PAUSE 0 NOSUCH",
    "CLIENT PAUSE 10 WRITE x",
    "CLIENT UNPAUSE",
    "CLIENT UNPAUSE x",
    "CLIENT LIST TYPE",
    "CLIENT LIST TYPE nosuch",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST TYPE replica",
    "CLIENT LIST ID",
    "CLIENT LIST ID abc",
    "CLIENT LIST ID 999999999",
    "CLIENT LIST NOSUCH",
    "CLIENT ID x",
    "CLIENT INFO x",
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    match choose(generator, TABLE) {
        Maker::Lines(lines) => {
            let template = *generator.random.pick(lines);
            let args = generator.fill(template);
            vec![generator.step(Op::exact(args))]
        }
        Maker::Hello => {
            let template = *generator.random.pick(HELLOS);
            let args = generator.fill(template);
            vec![generator.step(Op::with(args, Compare::Hello))]
        }
        Maker::Custom(make) => make(generator),
    }
}

fn run(generator: &Generator, ops: Vec<Op>) -> Vec<Step> {
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

fn with_id(line: &str, conn: usize, rest: &[&str], compare: Compare) -> Op {
    let mut op = Op::line_with(line, compare);
    op.args.push(Arg::ClientId(conn));
    op.args.extend(rest.iter().map(|word| Arg::from(*word)));
    op
}

fn identity(generator: &mut Generator) -> Vec<Step> {
    let other = generator.random.below(CONNECTIONS);
    let op = match generator.random.below(5) {
        0 => Op::line_with("CLIENT ID", Compare::Kind),
        1 => Op::line_with("CLIENT INFO", Compare::ClientInfo),
        2 => with_id("CLIENT LIST ID", other, &[], Compare::ClientInfo),
        3 => with_id("CLIENT UNBLOCK", other, &["ERROR"], Compare::Exact),
        _ => with_id("CLIENT KILL ID", generator.conn, &["SKIPME", "yes"], Compare::Exact),
    };
    run(generator, vec![op])
}

/// Replies stay away between OFF and ON and after SKIP. DISCARD first: inside a transaction it would be queued.
fn reply_off(generator: &mut Generator) -> Vec<Step> {
    let mut ops = vec![Op::line("DISCARD")];
    let quiet =
        [Op::line("SET a silent").silent(), Op::line("GET a").silent(), Op::line("NOSUCHCOMMAND").silent()];
    if generator.one_in(2) {
        ops.push(Op::line("CLIENT REPLY OFF").silent());
        ops.extend(quiet);
        ops.push(Op::line("CLIENT REPLY SKIP").silent());
        ops.push(Op::line("CLIENT REPLY ON"));
    } else {
        for op in quiet {
            ops.push(Op::line("CLIENT REPLY SKIP").silent());
            ops.push(op);
        }
    }
    ops.push(Op::line("GET a"));
    run(generator, ops)
}

/// DISCARD first: inside a transaction the command would only be queued.
fn kill(generator: &mut Generator) -> Vec<Step> {
    let victim = (generator.conn + 1 + generator.random.below(CONNECTIONS - 1)) % CONNECTIONS;
    let rest = *generator.random.pick(&["", "SKIPME yes", "TYPE normal", "USER default"]);
    let rest: Vec<&str> = rest.split_whitespace().collect();
    let ops = vec![Op::line("DISCARD"), with_id("CLIENT KILL ID", victim, &rest, Compare::Exact)];
    vec![Step { conn: generator.conn, action: Action::Kill(ops, victim) }]
}

fn quit(generator: &mut Generator) -> Vec<Step> {
    let ops = if generator.one_in(2) {
        vec![Op::line("QUIT")]
    } else {
        vec![
            Op::line("DISCARD"),
            with_id("CLIENT KILL ID", generator.conn, &["SKIPME", "no"], Compare::Exact),
        ]
    };
    vec![Step { conn: generator.conn, action: Action::Close(ops) }]
}

/// A reply longer than the buffers on the way.
fn large(generator: &mut Generator) -> Vec<Step> {
    let len = generator.random.between(15_000, 70_000) as usize;
    run(generator, vec![Op::exact(vec![b"ECHO".to_vec(), vec![b'z'; len]])])
}
