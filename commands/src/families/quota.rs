//! `QUOTA`: how many bytes the keys of a database, or those whose names begin alike, may take.
//!
//! Counting is the tables' (`tidegate_data::Quotas`); refusing and evicting is done before a command runs, by the server.
#![expect(clippy::unnecessary_wraps, reason = "every handler has the one type of handlers")]

use super::glob_matches;
use crate::families::Case;
use crate::model::{
    Acl, Args, Command, Ctx, Error, Family, Flag, Outcome, Reply, command, container, family, parse_i64,
};
use tidegate_data::{Quota, QuotaError, QuotaPolicy, Target};

pub(super) static FAMILY: Family = family("server", Acl::KEYSPACE, &[&QUOTA]);

static QUOTA: Command = container("QUOTA", &[&DEL, &GET, &LIST, &SET]).about(
    "0.1.0",
    "Depends on subcommand.",
    "A container of commands about what databases and prefixes may take.",
);

/// A change comes between two commands of everybody, and either before or behind a snapshot.
static SET: Command = command("SET", "target bytes [policy]", set)
    .about(
        "0.1.0",
        "O(N) where N is the number of quotas, tables aside. Keys that are there are counted in the background.",
        "Sets how many bytes the keys of a database (a number) or of a prefix (anything else) may take.",
    )
    .arity(-4)
    .flags(&[Flag::Admin])
    .acl(Acl::DANGEROUS)
    .whole_keyspace();

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let target = target(cx, args.next()?)?;
    let limit = parse_i64(args.next()?).filter(|bytes| *bytes > 0);
    let limit = limit.ok_or(Error::new("ERR bytes of a quota must be a positive integer"))?;
    let policy = match args.remaining() {
        0 => QuotaPolicy::default(),
        1 => QuotaPolicy::parse(args.next()?).ok_or(Error::new("ERR unknown policy of a quota"))?,
        _ => return Err(Error::Syntax),
    };
    let quotas = cx.env.native().quotas().set(target, limit.cast_unsigned(), policy);
    let quotas = quotas.map_err(|error| match error {
        QuotaError::TooMany => Error::new("ERR too many quotas"),
        QuotaError::TooLong => Error::new("ERR prefix of a quota is too long"),
        QuotaError::TooDeep => Error::new("ERR too many prefixes begin with each other"),
    })?;
    cx.keys.follow_quotas(&quotas);
    reply.ok();
    Ok(Outcome::Changed)
}

/// What a client names.
fn target(cx: &Ctx, word: &[u8]) -> Result<Target, Error> {
    match Target::parse(word) {
        Target::Database(db) if db >= cx.env.limits().databases => {
            Err(Error::new("ERR DB index is out of range"))
        }
        target => Ok(target),
    }
}

static GET: Command = command("GET", "target", get)
    .about("0.1.0", "O(log(N)) where N is the number of quotas.", "Tells a quota, and what is used of it.")
    .arity(3)
    .flags(&[Flag::Admin, Flag::Fast])
    .acl(Acl::DANGEROUS)
    .tips(&["nondeterministic_output"])
    .whole_keyspace();

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    match cx.env.native().quotas().read().get(&Target::parse(args.next()?)) {
        Some(quota) => write(quota, reply),
        None => reply.null(),
    }
    Ok(Outcome::Same)
}

static LIST: Command = command("LIST", "[pattern]", list)
    .about(
        "0.1.0",
        "O(N) where N is the number of quotas.",
        "Tells all quotas, or those of matching targets.",
    )
    .arity(-2)
    .flags(&[Flag::Admin])
    .acl(Acl::DANGEROUS)
    .tips(&["nondeterministic_output"])
    .whole_keyspace();

fn list(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if args.remaining() > 1 {
        return Err(Error::Syntax);
    }
    let pattern = args.peek();
    let quotas = cx.env.native().quotas().read();
    let wanted = |quota: &&Quota| {
        pattern.is_none_or(|pattern| glob_matches(pattern, &quota.target.name(), Case::Sensitive))
    };
    let found: Vec<&Quota> = quotas.all().iter().filter(wanted).collect();
    reply.array(found.len());
    for quota in found {
        write(quota, reply);
    }
    Ok(Outcome::Same)
}

fn write(quota: &Quota, reply: &mut Reply) {
    let kind = if matches!(quota.target, Target::Database(_)) { "database" } else { "prefix" };
    let tally = &quota.tally;
    reply.map(9);
    reply.bulk(b"target");
    reply.bulk(&quota.target.name());
    for (name, word) in [("kind", kind), ("policy", quota.policy.word)] {
        reply.bulk(name.as_bytes());
        reply.bulk(word.as_bytes());
    }
    let figures = [
        ("limit", quota.limit),
        ("bytes", tally.bytes()),
        ("keys", tally.keys()),
        ("evicted", tally.evicted()),
        ("refused", tally.refused()),
        ("counting", u64::from(tally.is_counting())),
    ];
    for (name, figure) in figures {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(figure).unwrap_or(i64::MAX));
    }
}

static DEL: Command = command("DEL", "target [target ...]", del)
    .about("0.1.0", "O(N) where N is the number of quotas, tables aside.", "Removes quotas; their keys stay.")
    .arity(-3)
    .flags(&[Flag::Admin])
    .acl(Acl::DANGEROUS)
    .whole_keyspace();

fn del(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let targets: Vec<Target> = args.rest().map(Target::parse).collect();
    let Some((removed, quotas)) = cx.env.native().quotas().remove(&targets) else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    cx.keys.follow_quotas(&quotas);
    reply.integer(removed as i64);
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests;
