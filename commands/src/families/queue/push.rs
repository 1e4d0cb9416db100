//! `XQUEUE.PUSH`.

use super::open::{Done, Now, Open};
use super::{NO_IDS, between, duration_ms, name, of_queue, reply_id, too_big};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use smallvec::SmallVec;
use tidegate_data::Key;
use tidegate_data::types::queue::{DELAY_MAX_MS, Effect, Headers, Id, Options, Push, State};

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
pub(super) struct Wanted<'a> {
    due: Option<Due>,
    priority: Option<u8>,
    group: Option<&'a [u8]>,
    dedup: Option<Dedup<'a>>,
    ttl_ms: Option<u64>,
    max_deliver: Option<u32>,
    headers: Option<Headers>,
    bodies: SmallVec<[&'a [u8]; 1]>,
    is_batch: bool,
    /// Of a call: how long answers are waited for, and how many are enough.
    pub(super) deadline_ms: Option<u64>,
    pub(super) need: Option<u64>,
}

impl<'a> Wanted<'a> {
    /// Reads everything behind the key, or behind the keys of a call.
    pub(super) fn parse(args: &mut Args<'a>, calls: bool) -> Result<Self, Error> {
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
            } else if calls && wanted.deadline_ms.is_none() && args.take_word("DEADLINE") {
                wanted.deadline_ms = Some(duration_ms(args, 1)?);
            } else if calls && wanted.need.is_none() && args.take_word("NEED") {
                wanted.need = Some(between(args, "NEED", 1, u32::MAX.into())?);
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
        let is_no_call = wanted.deadline_ms.is_none() || wanted.is_batch || wanted.dedup.is_some();
        if wanted.bodies.is_empty() || calls && is_no_call {
            return Err(Error::Syntax);
        }
        if wanted.is_batch && wanted.dedup.is_some() {
            return Err(Error::new("ERR DEDUP cannot be used with BODIES"));
        }
        Ok(wanted)
    }

    pub(super) fn due_ms(&self, now: Now) -> Result<u64, Error> {
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

/// The error of a queue that takes nothing in.
pub(super) fn is_closed(open: &Open) -> Option<Error> {
    let is_paused = open.queue().pause(open.now.ms).input;
    is_paused.then(|| of_queue("PAUSED", open.key(), "' is paused for input"))
}

/// The error of a queue with such options where one of these bodies is too large.
pub(super) fn is_too_big(options: &Options, bodies: &[&[u8]]) -> Option<Error> {
    let is_large = bodies.iter().any(|body| body.len() as u64 > options.max_body);
    is_large.then(|| too_big("message body", options.max_body))
}

/// The error of a queue that has no room for so many more, or no ids.
pub(super) fn lacks_room(open: &mut Open, count: usize) -> Option<Error> {
    let queue = open.queue();
    if !queue.options().drops_old && queue.excess(count as u64) > 0 {
        open.event("xqueue.full");
        return Some(of_queue("FULL", open.key(), "' is full"));
    }
    let last = queue.next_id(open.now.ms).and_then(|id| id.seq.checked_add(count as u64));
    if last.is_none() { Some(NO_IDS) } else { None }
}

/// Adds a message for which there is room, with an id that it gets here.
pub(super) fn add(open: &mut Open, push: Push<'_>) -> Id {
    let id = open.queue().next_id(open.now.ms).expect("there are as many, which was seen to");
    open.apply(&Effect::Push(Push { id, ..push }));
    id
}

/// Drops the oldest of what is too much.
pub(super) fn trim(open: &mut Open) {
    let queue = open.queue();
    let excess = queue.excess(0);
    if excess > 0 && queue.options().drops_old {
        open.apply(&Effect::Trim(excess));
    }
}

impl<'a> Wanted<'a> {
    /// The first body, or the only one.
    pub(super) fn body(&self) -> &'a [u8] {
        self.bodies.first().copied().unwrap_or_default()
    }

    /// The encoded headers.
    pub(super) fn headers(&self) -> &[u8] {
        self.headers.as_ref().map_or(&[], Headers::as_bytes)
    }

    /// A message as it was wanted, for a queue with such options.
    pub(super) fn message<'m>(
        &'m self,
        options: &Options,
        due_ms: u64,
        headers: &'m [u8],
        body: &'m [u8],
    ) -> Push<'m> {
        Push {
            due_ms,
            priority: self.priority.unwrap_or(super::PRIORITY_DEFAULT),
            group: self.group.unwrap_or_default(),
            ttl_ms: self.ttl_ms.unwrap_or(options.ttl_ms),
            max_deliver: self.max_deliver,
            headers,
            body,
            ..Push::default()
        }
    }
}

fn push(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let wanted = Wanted::parse(args, false)?;
    let now = Now::of(&cx.env);
    let due_ms = wanted.due_ms(now)?;
    let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
    let refusal = is_closed(&open).or_else(|| is_too_big(open.queue().options(), &wanted.bodies));
    if let Some(error) = refusal {
        return open.refused(reply, error).map(|done| done.outcome(cx));
    }
    let headers = wanted.headers();
    let known = wanted.dedup.and_then(|dedup| open.queue().known(dedup.name, now.ms));
    if let (Some(known), Some(dedup)) = (known, wanted.dedup) {
        if dedup.replaces && waits(&open, known.id) {
            open.apply(&Effect::Replace { id: known.id, due_ms, headers, body: wanted.body() });
        }
        open.note_deduped();
        reply_id(reply, known.id);
        return Ok(open.done().outcome(cx));
    }
    if let Some(error) = lacks_room(&mut open, wanted.bodies.len()) {
        return open.refused(reply, error).map(|done| done.outcome(cx));
    }
    if wanted.is_batch {
        reply.array(wanted.bodies.len());
    }
    let until_ms = |window_ms: u64| if window_ms == 0 { 0 } else { now.ms.saturating_add(window_ms) };
    let dedup = wanted.dedup.map(|dedup| (dedup.name, until_ms(dedup.window_ms)));
    for body in &wanted.bodies {
        let message = wanted.message(open.queue().options(), due_ms, headers, body);
        let id = add(&mut open, Push { dedup, ..message });
        reply_id(reply, id);
    }
    trim(&mut open);
    Ok(open.done().outcome(cx))
}

/// True for a message that nobody was given yet, or that is to be given again.
fn waits(open: &Open, id: Id) -> bool {
    let message = open.queue().get(id);
    message.is_some_and(|message| matches!(message.state(), State::Ready | State::Delayed))
}

/// Pushes what was written under a name, in the place of what was before, unless somebody works on that already: then it
/// comes behind it, or the last write would be lost. False if the queue refused, which was written then.
pub(crate) fn push_behind(
    cx: &mut Ctx,
    key: Key,
    name: &[u8],
    body: &[u8],
    reply: &mut Reply,
) -> Result<(bool, Done), Error> {
    if name.len() > super::NAME_MAX {
        return Err(too_big("dedup id", super::NAME_MAX as u64));
    }
    let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
    let now_ms = open.now.ms;
    let refusal = is_closed(&open).or_else(|| is_too_big(open.queue().options(), &[body]));
    if let Some(error) = refusal {
        return open.refused(reply, error).map(|done| (false, done));
    }
    let headers = Headers::of_words([&b"key"[..], name].into_iter());
    let headers = headers.as_bytes();
    if let Some(known) = open.queue().known(name, now_ms).filter(|known| waits(&open, known.id)) {
        open.apply(&Effect::Replace { id: known.id, due_ms: now_ms, headers, body });
        open.note_deduped();
        return Ok((true, open.done()));
    }
    if let Some(error) = lacks_room(&mut open, 1) {
        return open.refused(reply, error).map(|done| (false, done));
    }
    let (priority, ttl_ms) = (super::PRIORITY_DEFAULT, open.queue().options().ttl_ms);
    let dedup = Some((name, 0));
    add(&mut open, Push { due_ms: now_ms, priority, ttl_ms, dedup, headers, body, ..Push::default() });
    trim(&mut open);
    Ok((true, open.done()))
}
