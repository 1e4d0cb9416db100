//! `XQUEUE.REDRIVE`: the dead come back.

use super::open::{Done, Open};
use super::{between, push};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Key;
use tidegate_data::types::queue::{DELAY_MAX_MS, Effect, Id, Message, Push, State};

pub(super) static REDRIVE: Command = command(
    "XQUEUE.REDRIVE",
    "key [<COUNT count|IDS count id [id...]>] [TO destination(key)] [RATE per-second(integer)]",
    redrive,
)
.about(
    "1.0.0",
    "O(M*log(N)) where M is the number of messages driven back and N that of messages.",
    "Has dead messages delivered again, by their queue or by another one, all at once or so many a second.",
)
.arity(-2)
.keys(KeySpec::first().rw().access().delete())
.keys(KeySpec::after_keyword("TO", 2).rw().insert())
.flags(&[Flag::Write]);

/// Most messages a second.
const RATE_MAX: u64 = 1_000_000;

fn redrive(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (mut count, mut ids, mut to, mut rate) = (None, None, None, None);
    while !args.is_done() {
        let is_open = count.is_none() && ids.is_none();
        if is_open && args.take_word("COUNT") {
            count = Some(between(args, "COUNT", 1, u32::MAX.into())?);
        } else if is_open && args.take_word("IDS") {
            let len = between(args, "IDS", 1, u32::MAX.into())?;
            let names = (0..len).map(|_| args.next());
            ids = Some(names.collect::<Result<Vec<&[u8]>, Error>>()?);
        } else if to.is_none() && args.take_word("TO") {
            to = Some(args.key_behind_word()?);
        } else if rate.is_none() && args.take_word("RATE") {
            rate = Some(between(args, "RATE", 1, RATE_MAX)?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let to = to.filter(|to| to.bytes() != key.bytes());
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let now_ms = open.now.ms;
    let queue = open.queue();
    let is_dead = |id: &Id| queue.get(*id).is_some_and(|message| message.state() == State::Dead);
    let mut ids: Vec<Id> = if let Some(names) = ids {
        names.into_iter().filter_map(Id::of_text).filter(is_dead).collect()
    } else {
        let max = count.map_or(usize::MAX, |count| count as usize);
        let dead = queue.list(State::Dead, None, max, now_ms);
        dead.into_iter().filter(|message| message.state() == State::Dead).map(|message| message.id).collect()
    };
    // One that is named twice is driven back once.
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    let delay_ms = |i: usize| rate.map_or(0, |rate| (i as u64 * 1000 / rate).min(DELAY_MAX_MS));
    if let Some(to) = to.filter(|_| !ids.is_empty()) {
        let messages: Vec<Moved> = ids
            .iter()
            .filter_map(|id| queue.get(*id))
            .map(|message| Moved::of(queue.group(message), message))
            .collect();
        let left = open.done();
        return match move_to(cx, (key, &ids), (to, &messages), delay_ms, reply) {
            Ok(done) => Ok(left.and(done).outcome(cx)),
            Err(error) if left.has_changes() => {
                reply.error(&error);
                Ok(left.outcome(cx))
            }
            Err(error) => Err(error),
        };
    }
    for (i, id) in ids.iter().enumerate() {
        open.apply(&Effect::Redrive { id: *id, now_ms, due_ms: now_ms + delay_ms(i) });
    }
    if !ids.is_empty() {
        open.event("xqueue.redrive");
    }
    reply.integer(ids.len() as i64);
    Ok(open.done().outcome(cx))
}

/// What a message takes with it to another queue.
struct Moved {
    group: Vec<u8>,
    priority: u8,
    redrives: u32,
    headers: Vec<u8>,
    body: Vec<u8>,
}

impl Moved {
    fn of(group: &[u8], message: &Message) -> Self {
        Moved {
            group: group.to_vec(),
            priority: message.priority(),
            redrives: message.redrives().saturating_add(1),
            headers: message.headers_encoded().to_vec(),
            body: message.body().to_vec(),
        }
    }
}

fn move_to(
    cx: &mut Ctx,
    (key, ids): (Key, &[Id]),
    (to, messages): (Key, &[Moved]),
    delay_ms: impl Fn(usize) -> u64,
    reply: &mut Reply,
) -> Result<Done, Error> {
    let mut open = Open::or_create(&mut cx.keys, &cx.env, to)?;
    let now_ms = open.now.ms;
    let refusal = push::is_closed(&open).or_else(|| push::lacks_room(&mut open, messages.len()));
    if let Some(error) = refusal {
        return open.refused(reply, error);
    }
    let ttl_ms = open.queue().options().ttl_ms;
    for (i, message) in messages.iter().enumerate() {
        push::add(
            &mut open,
            Push {
                due_ms: now_ms + delay_ms(i),
                priority: message.priority,
                group: &message.group,
                ttl_ms,
                redrives: message.redrives,
                headers: &message.headers,
                body: &message.body,
                ..Push::default()
            },
        );
    }
    push::trim(&mut open);
    let pushed = open.done();
    let open = Open::of(&mut cx.keys, &cx.env, key)?;
    let mut open = open.expect("it has the messages that are moved");
    for id in ids {
        open.apply(&Effect::Delete(*id));
    }
    open.event("xqueue.redrive");
    reply.integer(ids.len() as i64);
    Ok(pushed.and(open.done()))
}
