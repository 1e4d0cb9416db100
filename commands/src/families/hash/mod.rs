//! Hashes: fields with values, random fields, and fields that end at their own time.

mod counters;
mod expiry;
mod random;
mod read;
mod scan;
mod timed;
mod write;

use crate::model::{Acl, Ctx, Family, Reply, family};
use tidegate_data::{HashLimits, Item};

pub(super) static FAMILY: Family = family(
    "hash",
    Acl::HASH,
    &[
        &write::HSET,
        &write::HMSET,
        &write::HSETNX,
        &write::HDEL,
        &read::HGET,
        &read::HMGET,
        &read::HGETALL,
        &read::HKEYS,
        &read::HVALS,
        &read::HLEN,
        &read::HSTRLEN,
        &read::HEXISTS,
        &counters::HINCRBY,
        &counters::HINCRBYFLOAT,
        &random::HRANDFIELD,
        &scan::HSCAN,
        &expiry::HEXPIRE,
        &expiry::HPEXPIRE,
        &expiry::HEXPIREAT,
        &expiry::HPEXPIREAT,
        &expiry::HTTL,
        &expiry::HPTTL,
        &expiry::HEXPIRETIME,
        &expiry::HPEXPIRETIME,
        &expiry::HPERSIST,
        &timed::HGETEX,
        &timed::HGETDEL,
        &timed::HSETEX,
    ],
);

/// When a hash is no listpack any more, as configured.
fn limits(cx: &Ctx) -> HashLimits {
    let encodings = &cx.env.limits().encodings;
    HashLimits { entries: encodings.hash_max_listpack_entries, value: encodings.hash_max_listpack_value }
}

#[inline]
fn reply_item(reply: &mut Reply, item: Item) {
    match item {
        Item::Int(value) => reply.bulk_integer(value),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}

#[inline]
fn reply_item_or_null(reply: &mut Reply, item: Option<Item>) {
    match item {
        Some(item) => reply_item(reply, item),
        None => reply.null(),
    }
}
