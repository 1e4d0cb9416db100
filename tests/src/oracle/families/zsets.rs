//! Sorted set commands with every option. Ranges of names are asked of keys where all scores are equal, or where the
//! sorted set stays small: elsewhere Redis promises nothing, and answers as its random levels have it.

use super::{Family, choose, options};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Action, Op, Scan, Step};

/// Keys which mostly hold sorted sets.
pub const KEYS: &[&[u8]] = &[b"zset", b"zset:1", b"zset:2", b"{tag}zset"];

/// Keys whose sorted sets have one score only.
pub const LEX_KEYS: &[&[u8]] = &[b"zlex", b"zlex:1"];

/// A key whose sorted set stays small, with different scores.
pub(super) const SMALL_KEY: &[u8] = b"zsmall";

pub(super) static FAMILY: Family = Family {
    name: "zsets",
    weight: 30,
    commands: &[
        "zadd",
        "zincrby",
        "zcard",
        "zscore",
        "zmscore",
        "zrank",
        "zrevrank",
        "zrange",
        "zrevrange",
        "zrangebyscore",
        "zrevrangebyscore",
        "zrangebylex",
        "zrevrangebylex",
        "zrangestore",
        "zcount",
        "zlexcount",
        "zrem",
        "zremrangebyrank",
        "zremrangebyscore",
        "zremrangebylex",
        "zpopmin",
        "zpopmax",
        "zmpop",
        "bzpopmin",
        "bzpopmax",
        "bzmpop",
        "zunion",
        "zinter",
        "zdiff",
        "zunionstore",
        "zinterstore",
        "zdiffstore",
        "zintercard",
        "zrandmember",
        "zscan",
        "multi",
        "exec",
        "del",
        "object",
    ],
    generate,
};

#[derive(Clone, Copy)]
enum Maker {
    Line(&'static str),
    Custom(fn(&mut Generator) -> Vec<Step>),
}

const TABLE: &[(u32, Maker)] = &[
    (24, Maker::Custom(zadd)),
    (8, Maker::Custom(zadd_lex)),
    (5, Maker::Line("ZINCRBY :zset :score :member")),
    (2, Maker::Line("ZCARD :zset")),
    (4, Maker::Line("ZSCORE :zset :member")),
    (3, Maker::Line("ZMSCORE :zset :member :member :member")),
    (4, Maker::Custom(zrank)),
    (10, Maker::Custom(by_rank)),
    (12, Maker::Custom(by_score)),
    (12, Maker::Custom(by_name)),
    (8, Maker::Custom(zrangestore)),
    (5, Maker::Line("ZCOUNT :zset :bound :bound")),
    (6, Maker::Custom(zrem)),
    (3, Maker::Line("ZREMRANGEBYRANK :zset :index :index")),
    (3, Maker::Line("ZREMRANGEBYSCORE :zset :bound :bound")),
    (6, Maker::Custom(zpop)),
    (4, Maker::Custom(zmpop)),
    (6, Maker::Custom(blocking)),
    (10, Maker::Custom(algebra)),
    (10, Maker::Custom(algebra_store)),
    (5, Maker::Custom(zintercard)),
    (5, Maker::Custom(zrandmember)),
    (3, Maker::Custom(zscan)),
    (2, Maker::Custom(zscan_page)),
    (2, Maker::Line("DEL :zset")),
    (1, Maker::Line("DEL :zlex")),
    (3, Maker::Line("OBJECT ENCODING :zset")),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    match choose(generator, TABLE) {
        Maker::Line(template) => {
            let args = generator.fill(template);
            one(generator, args)
        }
        Maker::Custom(make) => make(generator),
    }
}

fn one(generator: &mut Generator, args: Args) -> Vec<Step> {
    let args = generator.spoil(args, false);
    vec![generator.step(Op::exact(args))]
}

/// Commands that stay together.
fn run(generator: &Generator, ops: Vec<Op>) -> Vec<Step> {
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

/// Mostly sorted sets, sometimes sets or anything.
fn inputs(generator: &mut Generator) -> Args {
    let count = 1 + generator.random.below(4);
    let mut input = || match generator.random.below(12) {
        0 => generator.fill(":key"),
        1 | 2 => generator.fill(":set"),
        3 => generator.fill(":zlex"),
        _ => generator.fill(":zset"),
    };
    (0..count).flat_map(|_| input()).collect()
}

/// `numkeys key [key ...]`, where the number is sometimes not that.
fn counted(generator: &mut Generator, keys: Args) -> Args {
    let count = match generator.random.below(20) {
        0 => generator.int(),
        1 => (keys.len() + 1).to_string().into_bytes(),
        2 => (keys.len() - 1).to_string().into_bytes(),
        _ => keys.len().to_string().into_bytes(),
    };
    std::iter::once(count).chain(keys).collect()
}

fn zadd(generator: &mut Generator) -> Vec<Step> {
    if generator.one_in(8) {
        return zadd_small(generator);
    }
    let mut args = generator.fill("ZADD :zset");
    if generator.one_in(3) {
        options(generator, &mut args, 4, &["NX", "XX", "GT", "LT", "CH", "INCR"]);
    }
    let is_many = generator.one_in(40);
    let count = if is_many { 130 } else { 1 + generator.random.below(4) };
    let first = generator.random.between(-50, 1000);
    for number in 0..count as i64 {
        args.extend(generator.fill(":score"));
        args.push(if is_many { format!("x{}", first + number).into_bytes() } else { generator.member() });
    }
    if generator.one_in(40) {
        args.pop();
    }
    one(generator, args)
}

/// Short names and any scores: it stays packed.
fn zadd_small(generator: &mut Generator) -> Vec<Step> {
    let mut args: Args = vec![generator.word("ZADD"), SMALL_KEY.to_vec()];
    for _ in 0..=generator.random.below(4) {
        args.extend(generator.fill(":score"));
        args.push(format!("{}", generator.random.between(-5, 15)).into_bytes());
    }
    vec![generator.step(Op::exact(args))]
}

/// Members of one score, now and then so many that the sorted set grows large.
fn zadd_lex(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("ZADD :zlex");
    let is_many = generator.one_in(30);
    for number in 0..if is_many { 130 } else { 1 + generator.random.below(6) } {
        args.push(b"0".to_vec());
        args.push(if is_many { format!("y{number}").into_bytes() } else { generator.member() });
    }
    vec![generator.step(Op::exact(args))]
}

fn zrank(generator: &mut Generator) -> Vec<Step> {
    let mut args = vec![generator.word_of(&["ZRANK", "ZREVRANK"])];
    args.extend(generator.fill(":zset :member"));
    // What Redis 7.2 takes for an option is one argument too many before.
    vec![generator.step(Op::exact(args))]
}

fn by_rank(generator: &mut Generator) -> Vec<Step> {
    if generator.one_in(3) {
        let mut args = generator.fill("ZREVRANGE :zset :index :index");
        options(generator, &mut args, 2, &["WITHSCORES"]);
        if generator.one_in(25) {
            args.extend(generator.fill("REV"));
        }
        return one(generator, args);
    }
    let mut args = generator.fill("ZRANGE :zset :index :index");
    options(generator, &mut args, 3, &["WITHSCORES", "REV"]);
    if generator.one_in(15) {
        options(generator, &mut args, 2, &["LIMIT 0 -1", "LIMIT :index :index"]);
    }
    one(generator, args)
}

fn by_score(generator: &mut Generator) -> Vec<Step> {
    let form = *generator.random.pick(&[
        "ZRANGEBYSCORE :zset :bound :bound",
        "ZREVRANGEBYSCORE :zset :bound :bound",
        "ZRANGE :zset :bound :bound BYSCORE",
        "ZRANGE :zset :bound :bound BYSCORE REV",
    ]);
    let mut args = generator.fill(form);
    options(generator, &mut args, 3, &["WITHSCORES", "LIMIT :index :index"]);
    if generator.one_in(30) {
        options(generator, &mut args, 2, &["BYLEX", "REV", "LIMIT 1", "BYSCORE"]);
    }
    one(generator, args)
}

fn by_name(generator: &mut Generator) -> Vec<Step> {
    let form = *generator.random.pick(&[
        "ZRANGEBYLEX :zlex :lex :lex",
        "ZREVRANGEBYLEX :zlex :lex :lex",
        "ZRANGE :zlex :lex :lex BYLEX",
        "ZRANGE :zlex :lex :lex BYLEX REV",
        "ZLEXCOUNT :zlex :lex :lex",
        "ZREMRANGEBYLEX :zlex :lex :lex",
    ]);
    let mut args = generator.fill(form);
    if generator.one_in(6) {
        args[1] = SMALL_KEY.to_vec();
    }
    if form.starts_with("ZR") && !form.starts_with("ZREM") {
        options(generator, &mut args, 3, &["LIMIT :index :index"]);
        if generator.one_in(30) {
            options(generator, &mut args, 2, &["WITHSCORES", "BYSCORE", "REV", "LIMIT"]);
        }
    }
    vec![generator.step(Op::exact(args))]
}

fn zrangestore(generator: &mut Generator) -> Vec<Step> {
    let form = *generator.random.pick(&[
        "ZRANGESTORE :zset :zset :index :index",
        "ZRANGESTORE :zset :zset :index :index REV",
        "ZRANGESTORE :zset :zset :bound :bound BYSCORE",
        "ZRANGESTORE :zset :zset :bound :bound BYSCORE REV",
        "ZRANGESTORE :zset :zlex :lex :lex BYLEX",
        "ZRANGESTORE :zset :zlex :lex :lex BYLEX REV",
        "ZRANGESTORE :key :zset 0 -1",
    ]);
    let mut args = generator.fill(form);
    if form.contains("BY") || generator.one_in(20) {
        options(generator, &mut args, 3, &["LIMIT :index :index"]);
    }
    if generator.one_in(30) {
        args.extend(generator.fill("WITHSCORES"));
    }
    if form.contains("LEX") {
        // With other places the keys of one score would get others.
        return vec![generator.step(Op::exact(args))];
    }
    one(generator, args)
}

fn zrem(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("ZREM");
    let key = if generator.one_in(8) { ":zlex" } else { ":zset" };
    args.extend(generator.fill(key));
    for _ in 0..=generator.random.below(4) {
        args.extend(generator.fill(":member"));
    }
    one(generator, args)
}

fn zpop(generator: &mut Generator) -> Vec<Step> {
    let mut args = vec![generator.word_of(&["ZPOPMIN", "ZPOPMAX"])];
    args.extend(generator.fill(":zset"));
    match generator.random.below(4) {
        0 => args.push(generator.int()),
        1 => args.push(generator.random.between(-1, 5).to_string().into_bytes()),
        _ => {}
    }
    one(generator, args)
}

/// `MIN|MAX [COUNT count]`
fn end_and_count(generator: &mut Generator) -> Args {
    let mut args = vec![generator.word_of(&["MIN", "MAX", "MIN", "MAX", "FIRST"])];
    options(generator, &mut args, 3, &["COUNT 2", "COUNT :index"]);
    args
}

fn zmpop(generator: &mut Generator) -> Vec<Step> {
    let keys = inputs(generator);
    let mut args = generator.fill("ZMPOP");
    args.extend(counted(generator, keys));
    args.extend(end_and_count(generator));
    one(generator, args)
}

/// Something is always there to be taken out, or nothing may wait: in a transaction. Timeouts that are none do not wait
/// either.
fn blocking(generator: &mut Generator) -> Vec<Step> {
    let key = generator.fill(":zset");
    let keys: Args = inputs(generator).into_iter().chain(key.clone()).collect();
    let timeout = match generator.random.below(6) {
        0 => generator.random.pick(&["-1", "x", "", "nan", "1e30", "-0.5"]).as_bytes().to_vec(),
        1 => b"0".to_vec(),
        _ => b"0.01".to_vec(),
    };
    let args: Args = if generator.one_in(2) {
        let name = generator.word_of(&["BZPOPMIN", "BZPOPMAX"]);
        std::iter::once(name).chain(keys).chain([timeout]).collect()
    } else {
        let numkeys = keys.len().to_string().into_bytes();
        let mut args = vec![generator.word("BZMPOP"), timeout, numkeys];
        args.extend(keys);
        args.extend(end_and_count(generator));
        args
    };
    if generator.one_in(2) {
        return run(generator, vec![Op::line("MULTI"), Op::exact(args), Op::line("EXEC")]);
    }
    let mut add = generator.fill("ZADD");
    add.extend(key);
    add.extend(generator.fill("1 :member"));
    // Where the key is none of a sorted set, the command fails with that instead of waiting.
    run(generator, vec![Op::exact(add), Op::exact(args)])
}

fn algebra_options(generator: &mut Generator, args: &mut Args, keys: usize, has_weights: bool) {
    if has_weights && generator.one_in(3) {
        args.extend(generator.fill("WEIGHTS"));
        let count = if generator.one_in(15) { keys + 1 } else { keys };
        for _ in 0..count {
            args.extend(generator.fill(":score"));
        }
    }
    if has_weights {
        options(generator, args, 5, &["AGGREGATE SUM", "AGGREGATE MIN", "AGGREGATE MAX"]);
    }
    if generator.one_in(25) {
        options(generator, args, 2, &["AGGREGATE", "WEIGHTS 1", "AGGREGATE AVG", "LIMIT 1"]);
    }
}

fn algebra(generator: &mut Generator) -> Vec<Step> {
    let keys = inputs(generator);
    let len = keys.len();
    let name = *generator.random.pick(&["ZUNION", "ZINTER", "ZDIFF"]);
    let mut args = vec![generator.word(name)];
    args.extend(counted(generator, keys));
    let has_weights = name != "ZDIFF" || generator.one_in(20);
    algebra_options(generator, &mut args, len, has_weights);
    options(generator, &mut args, 2, &["WITHSCORES"]);
    one(generator, args)
}

fn algebra_store(generator: &mut Generator) -> Vec<Step> {
    let keys = inputs(generator);
    let len = keys.len();
    let name = *generator.random.pick(&["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
    let mut args = vec![generator.word(name)];
    let target = if generator.one_in(10) { ":key" } else { ":zset" };
    args.extend(generator.fill(target));
    args.extend(counted(generator, keys));
    let has_weights = name != "ZDIFFSTORE" || generator.one_in(20);
    algebra_options(generator, &mut args, len, has_weights);
    if generator.one_in(40) {
        args.extend(generator.fill("WITHSCORES"));
    }
    let mut args = generator.spoil(args, false);
    if let Some(target) = args.get_mut(1)
        && (LEX_KEYS.contains(&&target[..]) || *target == SMALL_KEY)
    {
        // Those keep their one score.
        *target = KEYS[0].to_vec();
    }
    let mut look = generator.fill("OBJECT ENCODING");
    look.extend(args.get(1).cloned());
    let mut steps = vec![generator.step(Op::exact(args))];
    steps.push(generator.step(Op::exact(look)));
    steps
}

fn zintercard(generator: &mut Generator) -> Vec<Step> {
    let keys = inputs(generator);
    let mut args = generator.fill("ZINTERCARD");
    args.extend(counted(generator, keys));
    options(generator, &mut args, 3, &["LIMIT :index", "LIMIT 2"]);
    if generator.one_in(25) {
        options(generator, &mut args, 2, &["LIMIT", "WITHSCORES", "AGGREGATE MIN"]);
    }
    one(generator, args)
}

/// Not many at once: the repeated ones make a reply of any length.
fn zrandmember(generator: &mut Generator) -> Vec<Step> {
    let mut args = generator.fill("ZRANDMEMBER :zset");
    match generator.random.below(5) {
        0 => {}
        1 => args.push(b"-9223372036854775808".to_vec()),
        2 => args.push(generator.random.pick(&["x", "", "1.5", "9223372036854775807"]).as_bytes().to_vec()),
        _ => args.push(generator.index_nearby()),
    }
    if args.len() == 3 {
        options(generator, &mut args, 3, &["WITHSCORES"]);
    }
    // Scores are integers, fractions or infinite, so of chosen ones not even the length agrees.
    vec![generator.step(Op::with(args, Compare::Shape))]
}

fn zscan(generator: &mut Generator) -> Vec<Step> {
    let mut args = Args::new();
    options(generator, &mut args, 3, &["COUNT 3", "COUNT 1000", "MATCH m*", "MATCH *1*", "MATCH *"]);
    let key = if generator.one_in(5) { ":zlex" } else { ":zset" };
    let mut command = generator.fill("ZSCAN");
    command.extend(generator.fill(key));
    vec![Step { conn: generator.conn, action: Action::Scan(Scan { command, options: args }) }]
}

fn zscan_page(generator: &mut Generator) -> Vec<Step> {
    let template = *generator.random.pick(&[
        "ZSCAN :zset abc",
        "ZSCAN :zset -1",
        "ZSCAN :zset",
        "ZSCAN :zset 0 COUNT",
        "ZSCAN :zset 0 COUNT 0",
        "ZSCAN :zset 0 COUNT abc",
        "ZSCAN :zset 0 MATCH",
        "ZSCAN :zset 0 NOSUCH 1",
        "ZSCAN :zset 0 TYPE zset",
        "ZSCAN :key 0 COUNT 0",
        "ZSCAN none 0 COUNT 0",
        "ZSCAN :zset 18446744073709551616",
    ]);
    let args = generator.fill(template);
    vec![generator.step(Op::with(args, Compare::ScanPage))]
}
