//! Sets of strings: their members, random ones, and what two or more sets have in common or not.

mod algebra;
mod expiry;
mod members;
mod random;
mod scan;

use crate::model::{Acl, Ctx, Family, Reply, family};
use tidegate_data::types::set::{Member, SetLimits};

pub(super) static FAMILY: Family = family(
    "set",
    Acl::SET,
    &[
        &members::SADD,
        &members::SREM,
        &members::SMOVE,
        &members::SCARD,
        &members::SISMEMBER,
        &members::SMISMEMBER,
        &members::SMEMBERS,
        &random::SPOP,
        &random::SRANDMEMBER,
        &algebra::SINTER,
        &algebra::SINTERSTORE,
        &algebra::SINTERCARD,
        &algebra::SUNION,
        &algebra::SUNIONSTORE,
        &algebra::SUNIONCARD,
        &algebra::SDIFF,
        &algebra::SDIFFSTORE,
        &algebra::SDIFFCARD,
        &scan::SSCAN,
        &expiry::SEXPIRE,
        &expiry::SPEXPIRE,
        &expiry::SEXPIREAT,
        &expiry::SPEXPIREAT,
        &expiry::STTL,
        &expiry::SPTTL,
        &expiry::SEXPIRETIME,
        &expiry::SPEXPIRETIME,
        &expiry::SPERSIST,
    ],
);

/// When sets change their form, as configured.
fn limits(cx: &Ctx) -> SetLimits {
    cx.env.limits().encodings.set_limits()
}

#[inline]
fn reply_member(reply: &mut Reply, member: Member) {
    match member {
        Member::Int(value) => reply.bulk_integer(value),
        Member::Text(bytes) => reply.bulk(bytes),
    }
}
