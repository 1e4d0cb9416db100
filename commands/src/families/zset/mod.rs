//! Sorted sets: members with scores, in the order of scores.

mod add;
mod algebra;
mod blocking;
mod expiry;
mod pop;
mod random;
mod range;
mod rank;
mod remove;
mod scan;

use crate::model::{Acl, Ctx, Family, Protocol, Reply, family};
use tidegate_data::types::zset::{Limits, Member};

pub(super) static FAMILY: Family = family(
    "sorted-set",
    Acl::SORTEDSET,
    &[
        &add::ZADD,
        &add::ZINCRBY,
        &rank::ZCARD,
        &rank::ZSCORE,
        &rank::ZMSCORE,
        &rank::ZRANK,
        &rank::ZREVRANK,
        &range::ZRANGE,
        &range::ZREVRANGE,
        &range::ZRANGEBYSCORE,
        &range::ZREVRANGEBYSCORE,
        &range::ZRANGEBYLEX,
        &range::ZREVRANGEBYLEX,
        &range::ZRANGESTORE,
        &range::ZCOUNT,
        &range::ZLEXCOUNT,
        &remove::ZREM,
        &remove::ZREMRANGEBYRANK,
        &remove::ZREMRANGEBYSCORE,
        &remove::ZREMRANGEBYLEX,
        &pop::ZPOPMIN,
        &pop::ZPOPMAX,
        &pop::ZMPOP,
        &blocking::BZPOPMIN,
        &blocking::BZPOPMAX,
        &blocking::BZMPOP,
        &blocking::BZPOPDUE,
        &algebra::ZUNION,
        &algebra::ZINTER,
        &algebra::ZDIFF,
        &algebra::ZUNIONSTORE,
        &algebra::ZINTERSTORE,
        &algebra::ZDIFFSTORE,
        &algebra::ZINTERCARD,
        &random::ZRANDMEMBER,
        &scan::ZSCAN,
        &expiry::ZEXPIRE,
        &expiry::ZPEXPIRE,
        &expiry::ZEXPIREAT,
        &expiry::ZPEXPIREAT,
        &expiry::ZTTL,
        &expiry::ZPTTL,
        &expiry::ZEXPIRETIME,
        &expiry::ZPEXPIRETIME,
        &expiry::ZPERSIST,
    ],
);

/// Up to what size a sorted set stays packed.
fn limits(cx: &Ctx) -> Limits {
    let encodings = &cx.env.limits().encodings;
    Limits { len: encodings.zset_max_listpack_entries, name_len: encodings.zset_max_listpack_value }
}

/// An end of a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

fn reply_member(reply: &mut Reply, member: Member) {
    match member {
        Member::Int(value) => reply.bulk_integer(value),
        Member::Text(bytes) => reply.bulk(bytes),
    }
}

/// Answers members, with their scores if wanted: as pairs in RESP3, in turn in RESP2. A map would not keep the order.
fn reply_members<'a>(
    reply: &mut Reply,
    members: impl ExactSizeIterator<Item = (Member<'a>, f64)>,
    with_scores: bool,
) {
    let as_pairs = begin_members(reply, members.len(), with_scores);
    for (member, score) in members {
        reply_entry(reply, member, score, with_scores, as_pairs);
    }
}

/// Begins an answer of `len` members; true when each is to be an array of its own with its score.
fn begin_members(reply: &mut Reply, len: usize, with_scores: bool) -> bool {
    let as_pairs = with_scores && reply.protocol() == Protocol::Resp3;
    reply.array(if with_scores && !as_pairs { 2 * len } else { len });
    as_pairs
}

#[inline]
fn reply_entry(reply: &mut Reply, member: Member, score: f64, with_score: bool, as_pair: bool) {
    if as_pair {
        reply.array(2);
    }
    reply_member(reply, member);
    if with_score {
        reply.double(score);
    }
}
