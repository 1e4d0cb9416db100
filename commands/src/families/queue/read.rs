//! `XQUEUE.PEEK`, `XQUEUE.GET`, `XQUEUE.LEN`, `XQUEUE.INFO`: what is in a queue, with what time has brought since it was
//! changed.

use super::create::backoff_words;
use super::open::Now;
use super::{BoundQueue, between, quoted, reply_id, state};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::queue::{Id, LEASE_EXPIRED, Message, OUTLIVED, Options, Queue, State, XQueue};

/// Messages of one `PEEK`, where nothing is said and at most.
const COUNT_DEFAULT: u64 = 10;
const COUNT_MAX: u64 = 1000;

pub(super) static PEEK: Command = command("XQUEUE.PEEK", "key [STATE state] [COUNT count] [AFTER id]", peek)
    .about(
        "1.0.0",
        "O(M) where M is the number of messages shown; with STATE O(N) where N is the number of messages.",
        "Shows messages of a work queue in the order of their ids.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn peek(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (mut wanted, mut count, mut after) = (None, None, None);
    while !args.is_done() {
        if wanted.is_none() && args.take_word("STATE") {
            wanted = Some(state(args)?);
        } else if count.is_none() && args.take_word("COUNT") {
            count = Some(between(args, "COUNT", 1, COUNT_MAX)?);
        } else if after.is_none() && args.take_word("AFTER") {
            let text = args.next()?;
            after = Some(Id::of_text(text).ok_or_else(|| quoted("ERR invalid message id '", text, "'"))?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let now = Now::of(&cx.env);
    let Some(queue) = cx.keys.read_as::<XQueue>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    let queue = &queue.0;
    let count = count.unwrap_or(COUNT_DEFAULT) as usize;
    let messages: Vec<&Message> = match wanted {
        Some(wanted) => queue.list(wanted, after, count, now.ms),
        None => queue.after(after).filter(|m| queue.state_of(m, now.ms).is_some()).take(count).collect(),
    };
    reply.array(messages.len());
    for message in messages {
        write_shown(reply, queue, message, now);
    }
    Ok(Outcome::Same)
}

pub(super) static GET: Command = command("XQUEUE.GET", "key id", get)
    .about("1.0.0", "O(log(N)) where N is the number of messages.", "Shows one message of a work queue.")
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, id) = (args.key()?, Id::of_text(args.next()?));
    let now = Now::of(&cx.env);
    let queue = cx.keys.read_as::<XQueue>(key)?.map(|queue| &*queue.0);
    let found = queue.zip(id).and_then(|(queue, id)| Some((queue, queue.get(id)?)));
    match found.filter(|(queue, message)| queue.state_of(message, now.ms).is_some()) {
        Some((queue, message)) => write_shown(reply, queue, message, now),
        None => reply.null_array(),
    }
    Ok(Outcome::Same)
}

/// `[id state deliveries body {meta}]`
fn write_shown(reply: &mut Reply, queue: &Queue, message: &Message, now: Now) {
    let state = queue.state_of(message, now.ms).unwrap_or(message.state());
    reply.array(5);
    reply_id(reply, message.id);
    reply.bulk(state.name().as_bytes());
    reply.integer(message.deliveries().into());
    reply.bulk(message.body());
    write_all_meta(reply, queue, message, now, state);
}

/// A value of a message's description.
enum Meta<'a> {
    Integer(i64),
    Bulk(&'a [u8]),
    Headers,
    History,
}

/// What a message has beside its body, as whoever works on it is told.
pub(super) fn write_meta(reply: &mut Reply, queue: &Queue, message: &Message, now: Now, deliveries: u32) {
    let mut meta = meta(queue, message, now, true);
    if deliveries > 1 && message.first_ms() > 0 {
        meta.push(("first-delivery", Meta::Integer(now.to_wall(message.first_ms()))));
    }
    write(reply, message, now, &meta);
}

fn meta<'a>(queue: &'a Queue, message: &'a Message, now: Now, lives: bool) -> Vec<(&'static str, Meta<'a>)> {
    let mut meta = Vec::new();
    if message.priority() != super::PRIORITY_DEFAULT {
        meta.push(("priority", Meta::Integer(message.priority().into())));
    }
    let group = queue.group(message);
    if !group.is_empty() {
        meta.push(("group", Meta::Bulk(group)));
    }
    if message.headers().next().is_some() {
        meta.push(("headers", Meta::Headers));
    }
    if lives && message.expires_ms() > 0 {
        meta.push(("ttl", Meta::Integer(message.expires_ms().saturating_sub(now.ms) as i64)));
    }
    let reply_to = super::call::reply_to(message);
    if !reply_to.is_empty() {
        meta.push(("reply-to", Meta::Bulk(reply_to)));
    }
    if message.redrives() > 0 {
        meta.push(("redrives", Meta::Integer(message.redrives().into())));
    }
    meta
}

/// The same with what whoever looks into the queue wants to know.
fn write_all_meta(reply: &mut Reply, queue: &Queue, message: &Message, now: Now, state: State) {
    let mut meta = meta(queue, message, now, state != State::Dead);
    // Time may have brought something that was not applied yet.
    let is_ended = message.state() == State::Leased && state != State::Leased;
    match state {
        State::Delayed => meta.push(("due", Meta::Integer(now.to_wall(message.when_ms())))),
        State::Leased => {
            meta.push(("lease-end", Meta::Integer(now.to_wall(message.when_ms()))));
            if !message.consumer().is_empty() {
                meta.push(("consumer", Meta::Bulk(message.consumer())));
            }
        }
        _ => {}
    }
    let reason = match message.state() {
        State::Leased if is_ended => LEASE_EXPIRED,
        State::Ready | State::Delayed if state == State::Dead => OUTLIVED,
        _ => message.reason(),
    };
    if !reason.is_empty() {
        meta.push(("reason", Meta::Bulk(reason)));
    }
    if !message.history().is_empty() {
        meta.push(("history", Meta::History));
    }
    write(reply, message, now, &meta);
}

fn write(reply: &mut Reply, message: &Message, now: Now, meta: &[(&'static str, Meta<'_>)]) {
    reply.map(meta.len());
    for (name, value) in meta {
        reply.bulk(name.as_bytes());
        match value {
            Meta::Integer(number) => reply.integer(*number),
            Meta::Bulk(bytes) => reply.bulk(bytes),
            Meta::Headers => {
                reply.map(message.headers().count() / 2);
                message.headers().for_each(|word| reply.bulk(word));
            }
            Meta::History => {
                reply.array(message.history().len());
                for attempt in message.history() {
                    reply.array(3);
                    reply.integer(now.to_wall(attempt.ms));
                    reply.bulk(&attempt.consumer);
                    reply.bulk(&attempt.reason);
                }
            }
        }
    }
}

pub(super) static LEN: Command = command("XQUEUE.LEN", "key [STATE state]", len)
    .about(
        "1.0.0",
        "O(1)",
        "Tells how many messages of a work queue are in a state: ready, if none is named.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn len(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let wanted = if args.take_word("STATE") { state(args)? } else { State::Ready };
    args.end()?;
    let now = Now::of(&cx.env);
    let queue = cx.keys.read_as::<XQueue>(key)?;
    let len = queue.map_or(0, |queue| queue.0.visible(now.ms)[wanted as usize]);
    reply.integer(len as i64);
    Ok(Outcome::Same)
}

pub(super) static INFO: Command = command("XQUEUE.INFO", "key", info)
    .about(
        "1.0.0",
        "O(N) where N is the number of bindings.",
        "Tells how many messages a work queue has, what became of others, its options and what it is bound to.",
    )
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now = Now::of(&cx.env);
    let waiters = cx.env.waiters() as u64;
    let bound = BoundQueue { db: cx.keys.db() as u16, key: key.bytes().into() };
    let bindings = cx.env.native().bindings().of_queue(&bound);
    let Some(queue) = cx.keys.read_as::<XQueue>(key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let queue = &queue.0;
    let [ready, delayed, leased, dead] = queue.visible(now.ms).map(|count| count as u64);
    let (totals, recently, pause) = (queue.totals(), queue.recently(), queue.pause(now.ms));
    let before = [
        ("ready", ready),
        ("delayed", delayed),
        ("leased", leased),
        ("dead", dead),
        ("groups", queue.groups() as u64),
        ("waiters", waiters),
        ("oldest-ms", queue.oldest_ms(now.ms)),
        ("pushed", totals.pushed),
        ("delivered", totals.delivered),
        ("acked", totals.acked),
        ("nacked", totals.nacked),
        ("expired", totals.expired),
        ("deduped", recently.deduped()),
        ("dead-total", totals.dead),
    ];
    let after = [
        ("push-60s", recently.pushed(now.ms)),
        ("ack-60s", recently.acked(now.ms)),
        ("wait-p50", recently.wait_ms(0.5)),
        ("wait-p99", recently.wait_ms(0.99)),
        ("outlived", totals.outlived),
    ];
    reply.map(before.len() + 2 + after.len() + 1);
    for (name, number) in before {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    reply.bulk(b"paused");
    reply.bulk(match (pause.input, pause.output) {
        (false, false) => b"none",
        (true, false) => b"in",
        (false, true) => b"out",
        (true, true) => b"all",
    });
    reply.bulk(b"options");
    write_options(reply, queue.options());
    for (name, number) in after {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    reply.bulk(b"bindings");
    reply.array(bindings.len());
    for (name, is_pattern) in &bindings {
        reply.array(2);
        reply.bulk(if *is_pattern { b"pattern" } else { b"channel" });
        reply.bulk(name);
    }
    Ok(Outcome::Same)
}

fn write_options(reply: &mut Reply, options: &Options) {
    let numbers = [
        ("lease", options.lease_ms),
        ("maxdeliver", options.max_deliver.into()),
        ("jitter", options.jitter.into()),
        ("aging", options.aging_ms),
        ("groupmax", options.group_max.into()),
        ("maxinflight", options.max_in_flight.into()),
        ("consumermax", options.consumer_max.into()),
        ("ttl", options.ttl_ms),
        ("maxlen", options.max_len),
        ("maxbody", options.max_body),
        ("deadttl", options.dead_ttl_ms),
        ("deadmax", options.dead_max),
        ("history", options.history.into()),
    ];
    let backoff = backoff_words(&options.backoff).join(" ");
    let words: [(&str, &[u8]); 6] = [
        ("backoff", backoff.as_bytes()),
        ("rate", options.rate.as_bytes()),
        ("grouprate", options.group_rate.as_bytes()),
        ("expired", if options.expired_die { b"DEAD" } else { b"DROP" }),
        ("overflow", if options.drops_old { b"DROPOLD" } else { b"REJECT" }),
        ("dlq", &options.dead_letters),
    ];
    reply.map(numbers.len() + words.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    for (name, word) in words {
        reply.bulk(name.as_bytes());
        reply.bulk(word);
    }
}
