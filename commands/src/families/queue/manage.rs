//! `XQUEUE.DEL`, `XQUEUE.PURGE`, `XQUEUE.PAUSE`.

use super::open::Open;
use super::{duration_ms, state};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::queue::{Effect, Id};

pub(super) static DEL: Command = command("XQUEUE.DEL", "key id [id...]", del)
    .about(
        "1.0.0",
        "O(M*log(N)) where M is the number of ids and N that of messages.",
        "Removes messages of a work queue, whatever their state.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write]);

fn del(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let mut removed = 0;
    for id in args.rest().filter_map(Id::of_text) {
        if open.queue().get(id).is_some() {
            open.apply(&Effect::Delete(id));
            removed += 1;
        }
    }
    reply.integer(removed);
    Ok(open.done().outcome(cx))
}

pub(super) static PURGE: Command = command("XQUEUE.PURGE", "key [STATE state]", purge)
    .about(
        "1.0.0",
        "O(N) where N is the number of messages.",
        "Removes all messages of a work queue, or all in one state, and tells how many there were.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write]);

fn purge(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let wanted = if args.take_word("STATE") { Some(state(args)?) } else { None };
    args.end()?;
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let now_ms = open.now.ms;
    // What time brings comes first, all of it: it decides on who is in which state.
    while wanted.is_some() && open.elapse() {}
    let counts = open.queue().visible(now_ms);
    let count = wanted.map_or(counts.iter().sum(), |wanted| counts[wanted as usize]);
    if count > 0 || wanted.is_none() && !open.queue().is_empty() {
        open.apply(&Effect::Purge(wanted));
    }
    reply.integer(count as i64);
    Ok(open.done().outcome(cx))
}

pub(super) static PAUSE: Command =
    command("XQUEUE.PAUSE", "key <what: IN|OUT|ALL|NONE> [FOR milliseconds(integer)]", pause)
        .about(
            "1.0.0",
            "O(1)",
            "Has a work queue take no messages in, or give none out, or both; or goes on.",
        )
        .arity(-3)
        .keys(KeySpec::first().rw().update())
        .flags(&[Flag::Write]);

fn pause(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let words = [("IN", true, false), ("OUT", false, true), ("ALL", true, true), ("NONE", false, false)];
    let found = words.into_iter().find(|(word, ..)| args.take_word(word));
    let (_, input, output) = found.ok_or(Error::Syntax)?;
    let for_ms = if args.take_word("FOR") { Some(duration_ms(args, 1)?) } else { None };
    args.end()?;
    let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
    let before = open.queue().pause(open.now.ms);
    let until_ms = for_ms.map_or(0, |for_ms| open.now.ms.saturating_add(for_ms));
    let changes =
        (before.input, before.output) != (input, output) || (input || output) && before.until_ms != until_ms;
    if changes {
        open.apply(&Effect::Pause { input, output, until_ms });
        open.event("xqueue.pause");
    }
    reply.ok();
    Ok(open.done().outcome(cx))
}
