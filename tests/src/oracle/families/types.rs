//! Values of the other types, so that string and generic commands meet keys of the wrong type. Their own commands have
//! families of their own; here they only come into being and go away.

use super::Family;
use crate::oracle::generate::Generator;
use crate::oracle::step::{Op, Step};

/// Keys which mostly hold something else than a string.
pub(super) const KEYS: &[&[u8]] = &[b"list", b"set", b"hash", b"zset", b"stream"];

pub(super) static FAMILY: Family =
    Family { name: "types", weight: 4, commands: &["rpush", "sadd", "hset", "zadd", "xadd"], generate };

const LINES: &[&str] = &[
    "RPUSH list :value :value",
    "SADD set 1 2 3",
    "SADD set :value",
    "HSET hash f :value",
    "ZADD zset 1 a 2 b",
    "XADD stream 1-1 f v",
    "RPUSH a x y",
    "SADD b 1 2",
    "HSET c f v",
    "ZADD key:1 1.5 m",
    "XADD key:2 5-* f v",
    "GET list",
    "APPEND set x",
    "INCR hash",
    "SETRANGE zset 1 x",
    "GETEX stream",
    "GETSET list x",
    "LCS list set",
    "RENAME list key:3",
    "COPY hash {tag}1",
    "TYPE set",
    "OBJECT ENCODING zset",
    "DEL list set hash",
    "EXPIRE zset :s",
    "MGET list a hash",
    "GETDEL stream",
    "GETRANGE hash 0 1",
    "STRLEN zset",
    "SET list x GET",
    "SET hash x",
    "MSETNX list 1 a 2",
    "INCRBYFLOAT set 1",
    "DECRBY hash 5",
    "SETNX zset 1",
    "SETEX stream :s v",
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    let template = *generator.random.pick(LINES);
    // The words after the first are keys and members here, where letter case matters.
    let args =
        template
            .split_whitespace()
            .map(|word| {
                if word.starts_with(':') { generator.fill(word).remove(0) } else { word.as_bytes().to_vec() }
            })
            .collect();
    vec![generator.step(Op::exact(args))]
}
