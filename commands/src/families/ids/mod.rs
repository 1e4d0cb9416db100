//! `ID.*`: names for new things that no two processes give out, in the order of time.

mod forms;
mod generator;
#[cfg(test)]
mod tests;

pub use generator::{EPOCH_DEFAULT_MS, Ids};

use crate::model::{Acl, Args, Command, Ctx, Error, Family, Flag, Outcome, Reply, command, family};
use forms::{Parsed, snowflake_text, ulid_text, uuid_text};

pub(super) static FAMILY: Family = family("id", Acl::COUNTER, &[&SNOWFLAKE, &ULID, &UUID7, &PARSE]);

/// Most names of one call.
const COUNT_MAX: i64 = 10_000;

static SNOWFLAKE: Command = command("ID.SNOWFLAKE", "[COUNT count]", |cx, args, reply| {
    let count = count(args)?;
    let ids = cx.env.native().ids().snowflakes(cx.env.native_ms(), count.unwrap_or(1))?;
    write(reply, count, ids.map(snowflake_text));
    Ok(Outcome::Same)
})
.about(
    "1.0.0",
    "O(N) where N is the number of names.",
    "Makes names of 63 bits: 41 of time, 10 of this server's `id-node`, 12 of a sequence.",
)
.arity(-1)
.flags(&[Flag::Fast]);

static ULID: Command = command("ID.ULID", "[COUNT count]", |cx, args, reply| {
    let count = count(args)?;
    let ids = cx.env.native().ids().ulids(cx.env.native_ms(), count.unwrap_or(1));
    write(reply, count, ids.map(ulid_text));
    Ok(Outcome::Same)
})
.about("1.0.0", "O(N) where N is the number of names.", "Makes ULIDs: 48 bits of time, 80 random ones.")
.arity(-1)
.flags(&[Flag::Fast]);

static UUID7: Command = command("ID.UUID7", "[COUNT count]", uuid7)
    .about("1.0.0", "O(N) where N is the number of names.", "Makes UUIDs of version 7 (RFC 9562).")
    .arity(-1)
    .flags(&[Flag::Fast]);

fn uuid7(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let count = count(args)?;
    let ids = cx.env.native().ids().uuids(cx.env.native_ms(), count.unwrap_or(1));
    let rng = cx.env.rng();
    write(reply, count, ids.map(|id| uuid_text(id.with_random(rng.next()))));
    Ok(Outcome::Same)
}

static PARSE: Command = command("ID.PARSE", "id", parse)
    .about("1.0.0", "O(1)", "Tells what a name says: of which kind it is, and when and where it was made.")
    .arity(2)
    .flags(&[Flag::Fast]);

fn parse(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let epoch_ms = cx.env.native().ids().epoch_ms();
    let Parsed { kind, ms, node, seq } =
        Parsed::of(args.next()?, epoch_ms).ok_or(Error::new("ERR unknown id format"))?;
    reply.map(4);
    reply.bulk(b"kind");
    reply.bulk(kind.as_bytes());
    for (name, number) in [("ms", Some(ms)), ("node", node), ("seq", seq)] {
        reply.bulk(name.as_bytes());
        match number {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
    Ok(Outcome::Same)
}

fn count(args: &mut Args) -> Result<Option<i64>, Error> {
    let count = if args.take_word("COUNT") { Some(args.integer()?) } else { None };
    args.end()?;
    match count {
        Some(count) if !(1..=COUNT_MAX).contains(&count) => {
            Err(Error::text(format!("ERR COUNT must be between 1 and {COUNT_MAX}")))
        }
        count => Ok(count),
    }
}

/// One name, or as many as were asked for in an array.
fn write<T: AsRef<[u8]>>(reply: &mut Reply, count: Option<i64>, ids: impl Iterator<Item = T>) {
    if let Some(count) = count {
        reply.array(count as usize);
    }
    ids.for_each(|id| reply.bulk(id.as_ref()));
}
