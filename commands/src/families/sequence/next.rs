//! `SEQ.NEXT`.

use super::{calendar, effect};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::sequence::{Block, Effect, ID_LEN_MAX, Named, Sequence};
use tidegate_data::{EventClass, Key};

/// Most numbers of one block.
const COUNT_MAX: i64 = 1_000_000;

pub(super) static NEXT: Command = command("SEQ.NEXT", "key [COUNT count] [FOR id]", next)
    .about(
        "1.0.0",
        "O(1), O(log(N)) with FOR where N is the number of requests that are remembered.",
        "Gives out the next number of a sequence, or a block of them; the same again to a request of the same name. \
         Creates the sequence if it does not exist.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn next(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (mut count, mut id) = (None, None);
    while !args.is_done() {
        if count.is_none() && args.take_word("COUNT") {
            count = Some(args.integer()?);
        } else if id.is_none() && args.take_word("FOR") {
            id = Some(args.next()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    if count.is_some_and(|count| !(1..=COUNT_MAX).contains(&count)) {
        return Err(Error::text(format!("ERR COUNT must be between 1 and {COUNT_MAX}")));
    }
    if id.is_some_and(|id| id.len() > ID_LEN_MAX) {
        return Err(Error::text(format!("TOOBIG id exceeds {ID_LEN_MAX} bytes")));
    }
    let now_ms = cx.env.native_ms();
    let mut write = cx.keys.write_or_create::<Sequence>(key)?;
    let sequence = write.view();
    if let Some(block) = id.and_then(|id| sequence.find(id, now_ms)) {
        answer(reply, block, count);
        return Ok(Outcome::Same);
    }
    let settings = sequence.settings();
    let period_ms = match &settings.calendar {
        Some(calendar) => Some(calendar::period_start_ms(calendar, now_ms)?),
        None => None,
    };
    let next = sequence.next(count.unwrap_or(1), period_ms).map_err(|_| exhausted(key))?;
    // A calendar that was stepped back does not begin anew when it comes to the same place again.
    let period_ms = period_ms.max(sequence.period_ms());
    let until_ms = now_ms.saturating_add(settings.retain_ms);
    let named = id.map(|id| Named { id: id.into(), until_ms, block: next.block });
    let change = Effect::Next { value: Some(next.block.last), period_ms, named };
    write.change().apply(&change);
    if next.wraps {
        write.event(EventClass::Module, "seq.wrap");
    }
    if next.ends {
        write.event(EventClass::Module, "seq.exhausted");
    }
    answer(reply, next.block, count);
    drop(write);
    Ok(cx.env.changed_as(|| {
        let mut effects = Effects::default();
        effect::push(&mut effects, key.bytes(), &change);
        Outcome::ChangedAs(effects)
    }))
}

/// A number, or the ends of a block where one was asked for.
fn answer(reply: &mut Reply, block: Block, count: Option<i64>) {
    if count.is_some() {
        reply.array(2);
        reply.integer(block.first);
        reply.integer(block.last);
    } else {
        reply.integer(block.first);
    }
}

fn exhausted(key: Key) -> Error {
    /// Longest part of a key that an error shows.
    const SHOWN_MAX: usize = 128;
    let name = key.bytes();
    let mut text = b"ERR sequence '".to_vec();
    text.extend_from_slice(&name[..name.len().min(SHOWN_MAX)]);
    text.extend_from_slice(b"' is exhausted");
    Error::text(text)
}
