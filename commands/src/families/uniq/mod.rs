//! `UNIQ.*`: how many different items there were in a window of time.
//!
//! In the journal: `NATIVE.APPLY key UN CFG bucket-ms buckets` and `... UN ADD bucket-start n (register value)*n`, the
//! registers that were raised.

#[cfg(test)]
mod tests;

use super::counter::{BEYOND_RETENTION, OTHER_TIERS, duration_ms, only_if_missing, windows_ms};
use crate::model::{
    Acl, Args, Command, Ctx, Effects, Error, Family, Flag, KeySpec, Outcome, Reply, command, family,
    parse_i64,
};
use tidegate_data::Key;
use tidegate_data::types::hll::{Mark, REGISTERS};
use tidegate_data::types::uniq::{BUCKETS_MAX, Effect, Shape, Uniq};

pub(super) static FAMILY: Family = family("uniq", Acl::COUNTER, &[&CREATE, &ADD, &COUNT]);

static CREATE: Command = command("UNIQ.CREATE", "key bucket-ms(integer) buckets(integer) [NX]", create)
    .about("1.0.0", "O(1)", "Creates a counter of different items with buckets of this width.")
    .arity(-4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write]);

fn create(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let shape = Shape { bucket_ms: duration_ms(args)?, buckets: args.integer()? };
    let nx = only_if_missing(args)?;
    if !(1..=BUCKETS_MAX).contains(&shape.buckets) {
        return Err(Error::text(format!("ERR buckets must be between 1 and {BUCKETS_MAX}")));
    }
    if !shape.is_valid() {
        return Err(Error::NotInteger);
    }
    let mut write = cx.keys.write_or_create::<Uniq>(key)?;
    if !write.is_new() {
        return match write.view().shape() {
            _ if nx => {
                reply.null();
                Ok(Outcome::Same)
            }
            present if present == shape => {
                reply.ok();
                Ok(Outcome::Same)
            }
            _ => Err(OTHER_TIERS),
        };
    }
    *write.change() = Uniq::new(shape);
    reply.ok();
    let mut effects = Effects::default();
    push(&mut effects, key.bytes(), &Effect::Configure(shape));
    Ok(Outcome::ChangedAs(effects))
}

static ADD: Command = command("UNIQ.ADD", "key item [item...]", add)
    .about(
        "1.0.0",
        "O(1) to add every item.",
        "Notes that items were seen now. Creates the counter if it does not exist.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms().max(0);
    let mut write = cx.keys.write_or_create::<Uniq>(key)?;
    let mut effects = Effects::default();
    let uniq = write.change_untold();
    if uniq.is_ahead(now_ms) {
        // Buckets of another clock, which was ahead of ours, would take nothing for a long time.
        let reset = Effect::Configure(uniq.shape());
        push(&mut effects, key.bytes(), &reset);
        uniq.apply(reset).map_err(|_| Error::NotInteger)?;
    }
    let effect = uniq.add(args.rest(), now_ms);
    let effect = uniq.apply(effect).map_err(|_| Error::NotInteger)?;
    let changed = matches!(&effect, Effect::Add { marks, .. } if !marks.is_empty());
    reply.integer(changed.into());
    if changed {
        push(&mut effects, key.bytes(), &effect);
    }
    if effects.is_empty() {
        return Ok(Outcome::Same);
    }
    write.touch();
    Ok(Outcome::ChangedAs(effects))
}

static COUNT: Command = command("UNIQ.COUNT", "key window-ms(integer) [window-ms(integer)...]", count)
    .about(
        "1.0.0",
        "O(B) where B is the number of buckets in the widest window, with a large constant; O(1) for windows that were \
         asked for before and have not changed.",
        "Estimates how many different items there were in windows of time that end now.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn count(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let windows_ms = windows_ms(args)?;
    let now_ms = cx.env.native_ms();
    let counts = match cx.keys.read_as::<Uniq>(key)? {
        None => vec![0; windows_ms.len()],
        Some(uniq) => uniq.counts(&windows_ms, now_ms).map_err(|_| BEYOND_RETENTION)?,
    };
    reply.array(counts.len());
    for count in counts {
        reply.integer(count as i64);
    }
    Ok(Outcome::Same)
}

fn push(effects: &mut Effects, key: &[u8], effect: &Effect) {
    let (name, numbers): (&[u8], Vec<i64>) = match effect {
        Effect::Configure(shape) => (b"CFG", vec![shape.bucket_ms, shape.buckets]),
        Effect::Add { start_ms, marks } => {
            let raised = marks.iter().flat_map(|mark| [mark.index() as i64, mark.value().into()]);
            (b"ADD", [*start_ms, marks.len() as i64].into_iter().chain(raised).collect())
        }
    };
    let words: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let fixed: [&[u8]; 4] = [b"NATIVE.APPLY", key, b"UN", name];
    let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(String::as_bytes)).collect();
    effects.push(&all);
}

/// Reads what [`push`] wrote, behind `UN`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let effect = if args.take_word("CFG") {
        let shape = Shape { bucket_ms: args.integer()?, buckets: args.integer()? };
        Effect::Configure(Some(shape).filter(|shape| shape.is_valid()).ok_or(Error::Syntax)?)
    } else if args.take_word("ADD") {
        let (start_ms, len) = (args.integer()?, args.integer()?);
        let mut marks = Vec::with_capacity(args.remaining() / 2);
        for _ in 0..len {
            let index =
                args.next().ok().and_then(parse_i64).filter(|index| (0..REGISTERS as i64).contains(index));
            let value = args.integer()?;
            let mark = index.and_then(|index| Mark::new(index as u64, u64::try_from(value).ok()?));
            marks.push(mark.ok_or(Error::Syntax)?);
        }
        Effect::Add { start_ms, marks }
    } else {
        return Err(Error::Syntax);
    };
    args.end()?;
    let mut write = cx.keys.write_or_create::<Uniq>(key)?;
    write.change_untold().apply(effect).map_err(|_| Error::Syntax)?;
    write.touch();
    Ok(Outcome::Changed)
}
