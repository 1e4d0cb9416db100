//! `XQUEUE.PUSH`.

use super::open::{Now, Open};
use super::{NO_IDS, between, duration_ms, name, of_queue, reply_id, too_big};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::queue::{DELAY_MAX_MS, Effect, Headers, Push, State};

/// Most bodies of one call.
const BODIES_MAX: u64 = 1000;
/// Most headers of a message, and the bytes of all their names and values.
const HEADERS_MAX: u64 = 64;
const HEADERS_SIZE_MAX: usize = 16 * 1024;

pub(super) static PUSH: Command = command(
    "XQUEUE.PUSH",
    "key [<DELAY milliseconds(integer)|AT unix-time-milliseconds>] [PRIORITY priority(integer)] [GROUP group] \
     [DEDUP id window-ms(integer) [REPLACE]] [TTL milliseconds(integer)] [MAXDELIVER deliveries(integer)] \
     [HEADERS count <name value> [<name value>...]] <BODY body|BODIES count body [body...]>",
    push,
)
.about(
    "1.0.0",
    "O(log(N)) for each body, where N is the number of messages.",
    "Adds messages to a work queue. Creates the queue if it does not exist.",
)
.arity(-4)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

/// When a message is ready.
#[derive(Debug, Clone, Copy)]
enum Due {
    In(u64),
    At(i64),
}

/// A name under which pushes are one.
#[derive(Debug, Clone, Copy)]
struct Dedup<'a> {
    name: &'a [u8],
    window_ms: u64,
    replaces: bool,
}

/// What a call asks for.
#[derive(Debug, Default)]
struct Wanted<'a> {
    due: Option<Due>,
    priority: Option<u8>,
    group: Option<&'a [u8]>,
    dedup: Option<Dedup<'a>>,
    ttl_ms: Option<u64>,
    max_deliver: Option<u32>,
    headers: Option<Headers>,
    bodies: Vec<&'a [u8]>,
    is_batch: bool,
}

impl<'a> Wanted<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut wanted = Wanted::default();
        while !args.is_done() {
            if wanted.due.is_none() && args.take_word("DELAY") {
                wanted.due = Some(Due::In(between(args, "DELAY", 0, DELAY_MAX_MS)?));
            } else if wanted.due.is_none() && args.take_word("AT") {
                wanted.due = Some(Due::At(args.integer()?));
            } else if wanted.priority.is_none() && args.take_word("PRIORITY") {
                wanted.priority = Some(between(args, "PRIORITY", 0, 9)? as u8);
            } else if wanted.group.is_none() && args.take_word("GROUP") {
                wanted.group = Some(name(args, "group")?);
            } else if wanted.dedup.is_none() && args.take_word("DEDUP") {
                let (name, window_ms) = (name(args, "dedup id")?, duration_ms(args, 0)?);
                wanted.dedup = Some(Dedup { name, window_ms, replaces: args.take_word("REPLACE") });
            } else if wanted.ttl_ms.is_none() && args.take_word("TTL") {
                wanted.ttl_ms = Some(duration_ms(args, 0)?);
            } else if wanted.max_deliver.is_none() && args.take_word("MAXDELIVER") {
                wanted.max_deliver = Some(between(args, "MAXDELIVER", 0, u32::MAX.into())? as u32);
            } else if wanted.headers.is_none() && args.take_word("HEADERS") {
                wanted.headers = Some(headers(args)?);
            } else if wanted.bodies.is_empty() && args.take_word("BODY") {
                wanted.bodies.push(args.next()?);
            } else if wanted.bodies.is_empty() && args.take_word("BODIES") {
                wanted.is_batch = true;
                for _ in 0..between(args, "BODIES", 1, BODIES_MAX)? {
                    wanted.bodies.push(args.next()?);
                }
            } else {
                return Err(Error::Syntax);
            }
        }
        if wanted.bodies.is_empty() {
            return Err(Error::Syntax);
        }
        if wanted.is_batch && wanted.dedup.is_some() {
            return Err(Error::new("ERR DEDUP cannot be used with BODIES"));
        }
        Ok(wanted)
    }

    fn due_ms(&self, now: Now) -> Result<u64, Error> {
        let due_ms = match self.due {
            None => now.ms,
            Some(Due::In(ms)) => now.ms.saturating_add(ms),
            Some(Due::At(wall_ms)) => now.of_wall(wall_ms).max(now.ms),
        };
        if due_ms - now.ms > DELAY_MAX_MS {
            return Err(Error::text(format!("ERR AT must be at most {DELAY_MAX_MS} ms from now")));
        }
        Ok(due_ms)
    }
}

fn headers(args: &mut Args) -> Result<Headers, Error> {
    let pairs = between(args, "HEADERS", 1, HEADERS_MAX)?;
    let words: Vec<&[u8]> = (0..2 * pairs).map(|_| args.next()).collect::<Result<_, _>>()?;
    if words.iter().map(|word| word.len()).sum::<usize>() > HEADERS_SIZE_MAX {
        return Err(too_big("headers", HEADERS_SIZE_MAX as u64));
    }
    Ok(Headers::of_words(words.into_iter()))
}

fn push(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let wanted = Wanted::parse(args)?;
    let now = Now::of(&cx.env);
    let due_ms = wanted.due_ms(now)?;
    let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
    let queue = open.queue();
    if queue.pause(now.ms).input {
        return open
            .refused(reply, of_queue("PAUSED", key, "' is paused for input"))
            .map(|done| done.outcome(&cx.env));
    }
    let max_body = queue.options().max_body;
    if wanted.bodies.iter().any(|body| body.len() as u64 > max_body) {
        return open.refused(reply, too_big("message body", max_body)).map(|done| done.outcome(&cx.env));
    }
    let headers = wanted.headers.as_ref().map_or(&[][..], Headers::as_bytes);
    let known = wanted.dedup.and_then(|dedup| queue.known(dedup.name, now.ms));
    if let (Some(known), Some(dedup)) = (known, wanted.dedup) {
        let waits = queue
            .get(known.id)
            .is_some_and(|message| matches!(message.state(), State::Ready | State::Delayed));
        if dedup.replaces && waits {
            open.apply(&Effect::Replace { id: known.id, due_ms, headers, body: wanted.bodies[0] });
        }
        open.note_deduped();
        reply_id(reply, known.id);
        return Ok(open.done().outcome(&cx.env));
    }
    let options = queue.options();
    let (drops_old, default_ttl_ms) = (options.drops_old, options.ttl_ms);
    let queue = open.queue();
    if !drops_old && queue.excess(wanted.bodies.len() as u64) > 0 {
        open.event("xqueue.full");
        return open.refused(reply, of_queue("FULL", key, "' is full")).map(|done| done.outcome(&cx.env));
    }
    let last = open.queue().next_id(now.ms).and_then(|id| id.seq.checked_add(wanted.bodies.len() as u64));
    if last.is_none() {
        return open.refused(reply, NO_IDS).map(|done| done.outcome(&cx.env));
    }
    if wanted.is_batch {
        reply.array(wanted.bodies.len());
    }
    for body in &wanted.bodies {
        let id = open.queue().next_id(now.ms).expect("there are as many, which was seen to");
        let until_ms = |window_ms: u64| if window_ms == 0 { 0 } else { now.ms.saturating_add(window_ms) };
        open.apply(&Effect::Push(Push {
            id,
            due_ms,
            priority: wanted.priority.unwrap_or(super::PRIORITY_DEFAULT),
            group: wanted.group.unwrap_or_default(),
            ttl_ms: wanted.ttl_ms.unwrap_or(default_ttl_ms),
            max_deliver: wanted.max_deliver,
            redrives: 0,
            dedup: wanted.dedup.map(|dedup| (dedup.name, until_ms(dedup.window_ms))),
            headers,
            body,
        }));
        reply_id(reply, id);
    }
    let excess = open.queue().excess(0);
    if excess > 0 && drops_old {
        open.apply(&Effect::Trim(excess));
    }
    Ok(open.done().outcome(&cx.env))
}
