//! `CTR.SUM`, `CTR.RANGE`, `CTR.INFO`.

use super::{BEYOND_RETENTION, duration_ms, windows_ms};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::counter::{Counter, Row};

/// Most rows of one reply.
const ROWS_MAX: usize = 10_000;
const TOO_MANY_ROWS: Error = Error::new("ERR too many rows, narrow the range");

pub(super) static SUM: Command = command("CTR.SUM", "key window-ms(integer) [window-ms(integer)...]", sum)
    .about(
        "1.0.0",
        "O(B) where B is the number of buckets in the windows.",
        "Tells how much happened in windows of time that end now.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn sum(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let windows_ms = windows_ms(args)?;
    let now_ms = cx.env.native_ms();
    let sums = match cx.keys.read_as::<Counter>(key)? {
        // Nothing happened, whatever its tiers would be.
        None => vec![0; windows_ms.len()],
        Some(counter) => {
            let sums = windows_ms.iter().map(|window_ms| counter.sum(*window_ms, now_ms));
            sums.collect::<Result<_, _>>().map_err(|_| BEYOND_RETENTION)?
        }
    };
    reply.array(sums.len());
    for sum in sums {
        reply.integer(sum);
    }
    Ok(Outcome::Same)
}

pub(super) static RANGE: Command =
    command("CTR.RANGE", "key from-ms(unix-time) to-ms(unix-time) [BUCKET milliseconds] [FILL]", range)
        .about(
            "1.0.0",
            "O(B) where B is the number of buckets of a tier.",
            "Tells how much happened in each of the buckets that begin in a range of time.",
        )
        .arity(-4)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly]);

fn range(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (from_ms, to_ms) = (args.integer()?, args.integer()?);
    let (mut width_ms, mut fill) = (None, false);
    while !args.is_done() {
        if width_ms.is_none() && args.take_word("BUCKET") {
            width_ms = Some(duration_ms(args)?);
        } else if !fill && args.take_word("FILL") {
            fill = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    let now_ms = cx.env.native_ms();
    let missing = Counter::default();
    let counter = cx.keys.read_as::<Counter>(key)?.unwrap_or(&missing);
    let rows = counter
        .rows(from_ms, to_ms, width_ms, now_ms)
        .ok_or(Error::new("ERR BUCKET must be a multiple of a tier's bucket"))?;
    let rows: Vec<Row> = if fill {
        if rows.len() > ROWS_MAX as u64 {
            return Err(TOO_MANY_ROWS);
        }
        rows.all().collect()
    } else {
        rows.filled().take(ROWS_MAX + 1).collect()
    };
    if rows.len() > ROWS_MAX {
        return Err(TOO_MANY_ROWS);
    }
    reply.array(rows.len());
    for row in rows {
        reply.array(2);
        reply.integer(row.start_ms);
        reply.integer(row.sum);
    }
    Ok(Outcome::Same)
}

pub(super) static INFO: Command = command("CTR.INFO", "key", info)
    .about("1.0.0", "O(1)", "Tells the total of a counter, when it counted first and last, and its tiers.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(counter) = cx.keys.read_as::<Counter>(key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    reply.map(4);
    let figures = [("total", counter.total()), ("first", counter.first_ms()), ("last", counter.last_ms())];
    for (name, figure) in figures {
        reply.bulk(name.as_bytes());
        reply.integer(figure);
    }
    reply.bulk(b"tiers");
    reply.array(counter.tiers().len());
    for tier in counter.tiers().iter() {
        reply.array(2);
        reply.integer(tier.bucket_ms);
        reply.integer(tier.buckets);
    }
    Ok(Outcome::Same)
}
