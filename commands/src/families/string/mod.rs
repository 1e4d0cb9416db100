//! Strings: values, counters, ranges, and what is done to many of them at once.

mod append;
mod compare;
mod counters;
pub(crate) mod expire_option;
mod get;
mod increx;
mod lcs;
mod many;
mod ranges;
mod set;

use crate::model::{Acl, Ctx, Error, Family, Reply, family};
use tidegate_data::ValueRef;
use tidegate_data::types::string::{INT_LEN_MAX, parse_int};

pub(super) static FAMILY: Family = family(
    "string",
    Acl::STRING,
    &[
        &get::GET,
        &get::GETDEL,
        &get::GETEX,
        &get::STRLEN,
        &set::SET,
        &set::SETNX,
        &set::SETEX,
        &set::PSETEX,
        &set::GETSET,
        &many::MGET,
        &many::MSET,
        &many::MSETNX,
        &many::MSETEX,
        &append::APPEND,
        &ranges::SETRANGE,
        &ranges::GETRANGE,
        &ranges::SUBSTR,
        &counters::INCR,
        &counters::DECR,
        &counters::INCRBY,
        &counters::DECRBY,
        &counters::INCRBYFLOAT,
        &increx::INCREX,
        &compare::DIGEST,
        &compare::DELEX,
        &compare::DELIFEQ,
        &lcs::LCS,
    ],
);

/// Answers a string, or null where there is none.
#[inline]
fn reply_value(reply: &mut Reply, value: Option<ValueRef>) {
    match value {
        None => reply.null(),
        Some(ValueRef::Int(n)) => reply.bulk_integer(n),
        Some(ValueRef::Bytes { bytes, .. }) => reply.bulk(bytes),
        Some(value) => reply.bulk_or_null(value.string(&mut [0; INT_LEN_MAX])),
    }
}

/// The integer a string holds; 0 where there is none.
#[inline]
fn integer_of(value: Option<ValueRef>) -> Result<i64, Error> {
    match value {
        None => Ok(0),
        Some(ValueRef::Int(n)) => Ok(n),
        Some(value) => value.string(&mut [0; INT_LEN_MAX]).and_then(parse_int).ok_or(Error::NotInteger),
    }
}

/// Refuses a string of `len` bytes and `more` behind them that would be larger than `proto-max-bulk-len`.
fn check_len(cx: &Ctx, len: u64, more: u64) -> Result<(), Error> {
    match len.checked_add(more) {
        Some(total) if total <= cx.env.limits().max_bulk_len => Ok(()),
        _ => Err(Error::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)")),
    }
}
