//! Taking pending entries over: `XCLAIM`, `XAUTOCLAIM`.

use super::ids;
use super::propagate::GroupEffects;
use super::{c_text, no_such_key_or_group, reply_entry, reply_id};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::types::stream::{ConsumerId, Entries, Group, Stream, StreamId};
use tidegate_data::{EventClass, Key, Write};

pub(super) static XCLAIM: Command = command(
    "XCLAIM",
    "key group consumer min-idle-time(string) id [id ...] [IDLE ms] \
     [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
    xclaim,
)
.about(
    "5.0.0",
    "O(log N) with N being the number of pending entries of the group.",
    "Makes pending entries those of a consumer, as if they had been delivered to it.",
)
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::Fast])
.tips(&["nondeterministic_output"]);

/// The options behind the IDs.
#[derive(Debug, Default)]
struct ClaimOptions {
    /// Unix time in milliseconds that counts as that of the delivery.
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(args: &mut Args, now_ms: i64) -> Result<Self, Error> {
        let mut options = ClaimOptions::default();
        while !args.is_done() {
            let word = args.next()?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_value = !args.is_done();
            let mut integer = |refused| parse_i64(args.next()?).ok_or(Error::new(refused));
            if is("FORCE") {
                options.force = true;
            } else if is("JUSTID") {
                options.just_id = true;
            } else if is("IDLE") && has_value {
                let idle_ms = integer("ERR Invalid IDLE option argument for XCLAIM")?;
                // Whatever is not a time in the past becomes the present one below.
                options.delivered_ms = Some(now_ms.checked_sub(idle_ms).unwrap_or(-1));
            } else if is("TIME") && has_value {
                options.delivered_ms = Some(integer("ERR Invalid TIME option argument for XCLAIM")?);
            } else if is("RETRYCOUNT") && has_value {
                let deliveries = integer("ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(deliveries).ok();
            } else if is("LASTID") && has_value {
                options.last_id = ids::parse_strict(args.next()?, 0)?;
            } else {
                let mut text = b"ERR Unrecognized XCLAIM option '".to_vec();
                text.extend_from_slice(c_text(word));
                text.push(b'\'');
                return Err(Error::text(text));
            }
        }
        Ok(options)
    }

    /// When the entries count as delivered. Clients reckon with their own clocks, so what makes no sense is no error.
    fn delivered_ms(&self, now_ms: i64) -> i64 {
        self.delivered_ms.filter(|ms| (0..=now_ms).contains(ms)).unwrap_or(now_ms)
    }
}

fn xclaim(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (name, consumer) = (args.next()?, args.next()?);
    find_group(cx, key, name)?;
    let idle_ms = parse_i64(args.next()?);
    let idle_ms = idle_ms.ok_or(Error::new("ERR Invalid min-idle-time argument for XCLAIM"))?.max(0);
    let mut ids = Vec::new();
    while let Some(id) = args.peek().and_then(|text| ids::parse_strict(text, 0).ok()) {
        ids.push(id);
        args.skip(1);
    }
    let now_ms = cx.env.now_ms();
    let options = ClaimOptions::parse(args, now_ms)?;
    let delivered_ms = options.delivered_ms(now_ms);
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else { return Err(Error::NoSuchKey) };
    let mark = reply.mark();
    let mut effects = Effects::default();
    let done = with_group(&mut stream, name, |entries, group| {
        let mut claims = Claims::new(key, name, consumer, now_ms, &mut effects);
        let moved = options.last_id > group.last_id();
        if moved {
            group.set_position(options.last_id, group.entries_read());
        }
        for id in ids {
            let pending = group.get_pending(id);
            let Some(entry) = entries.get(id) else {
                claims.drop_missing(group, id);
                continue;
            };
            match pending {
                None if !options.force => continue,
                // What nobody had is not idle either, but there is nobody to take it from.
                Some(pending) if idle_ms > 0 && !pending.is_idle_for(idle_ms, now_ms) => continue,
                _ => {}
            }
            let counted = pending.map_or(1, |pending| pending.deliveries);
            let deliveries = match options.deliveries {
                Some(deliveries) => deliveries,
                None if options.just_id => counted,
                None => one_more(counted),
            };
            claims.take(group, id, delivered_ms, deliveries);
            if options.just_id {
                reply_id(reply, id);
            } else {
                reply_entry(reply, entry);
            }
        }
        if moved && claims.told == 0 {
            claims.effects.position(group);
            claims.told += 1;
        }
        claims.done()
    });
    reply.before(mark, |reply| reply.array(done.taken));
    if options.force && done.taken > 0 {
        // There may be something to take over now, in some time.
        stream.wake();
    }
    Ok(told(&mut stream, &done, effects))
}

pub(super) static XAUTOCLAIM: Command = command(
    "XAUTOCLAIM",
    "key group consumer min-idle-time(string) start(string) [COUNT count] [JUSTID]",
    xautoclaim,
)
.about(
    "6.2.0",
    "O(1) if COUNT is small.",
    "Makes pending entries that were idle for long those of a consumer, going through them step by step.",
)
.arity(-6)
.keys(KeySpec::first().rw().delete())
.flags(&[Flag::Write, Flag::Fast])
.tips(&["nondeterministic_output"])
.history(&[(
    "7.0.0",
    "Added an element to the reply: IDs of entries that are gone and not pending any more.",
)]);

/// Entries looked at for each one that is wanted.
const ATTEMPTS_FACTOR: u64 = 10;

/// Largest COUNT: Redis would need 16 bytes for each.
const COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (name, consumer) = (args.next()?, args.next()?);
    // Redis looks the key up first of all, but tells its type last.
    cx.keys.read(key);
    let idle_ms = parse_i64(args.next()?);
    let idle_ms = idle_ms.ok_or(Error::new("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?.max(0);
    let mut cursor = Some(ids::interval_start(args.next()?)?);
    let (mut count, mut just_id) = (100, false);
    while !args.is_done() {
        if args.remaining() >= 2 && args.take_word("COUNT") {
            let wanted = parse_i64(args.next()?).filter(|count| (1..=COUNT_MAX).contains(count));
            count = wanted.ok_or(Error::new("ERR COUNT must be > 0"))? as u64;
        } else if args.take_word("JUSTID") {
            just_id = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    let stream = cx.keys.view_as::<Stream>(key)?;
    if stream.is_none_or(|stream| stream.groups().get(name).is_none()) {
        return Err(no_such_key_or_group(key, name, ""));
    }
    let now_ms = cx.env.now_ms();
    let Some(mut stream) = cx.keys.write_as::<Stream>(key)? else { return Err(Error::NoSuchKey) };
    let mark = reply.mark();
    let mut effects = Effects::default();
    let mut missing = Vec::new();
    let done = with_group(&mut stream, name, |entries, group| {
        let mut claims = Claims::new(key, name, consumer, now_ms, &mut effects);
        let mut attempts = count * ATTEMPTS_FACTOR;
        while attempts > 0
            && count > 0
            && let Some((id, pending)) = next_pending(group, cursor)
        {
            attempts -= 1;
            cursor = id.successor();
            let Some(entry) = entries.get(id) else {
                claims.drop_missing(group, id);
                missing.push(id);
                count -= 1;
                continue;
            };
            if idle_ms > 0 && !pending.is_idle_for(idle_ms, now_ms) {
                continue;
            }
            let deliveries = if just_id { pending.deliveries } else { one_more(pending.deliveries) };
            claims.take(group, id, now_ms, deliveries);
            if just_id {
                reply_id(reply, id);
            } else {
                reply_entry(reply, entry);
            }
            count -= 1;
        }
        cursor = next_pending(group, cursor).map(|(id, _)| id);
        claims.done()
    });
    reply.before(mark, |reply| {
        reply.array(3);
        reply_id(reply, cursor.unwrap_or(StreamId::MIN));
        reply.array(done.taken);
    });
    reply.array(missing.len());
    for id in missing {
        reply_id(reply, id);
    }
    Ok(told(&mut stream, &done, effects))
}

fn next_pending(
    group: &Group,
    start: Option<StreamId>,
) -> Option<(StreamId, tidegate_data::types::stream::Pending)> {
    group.pending_from(start?).next().map(|(id, pending)| (*id, *pending))
}

/// One delivery more, as far as numbers reach.
pub(super) fn one_more(deliveries: u64) -> u64 {
    deliveries.saturating_add(1).min(i64::MAX as u64)
}

/// Refuses a missing group. Counts the look-up.
fn find_group(cx: &mut Ctx, key: Key, name: &[u8]) -> Result<(), Error> {
    match cx.keys.read_as::<Stream>(key)? {
        Some(stream) if stream.groups().get(name).is_some() => Ok(()),
        _ => Err(no_such_key_or_group(key, name, "")),
    }
}

/// The entries of a stream to look at, and a group that is there to change.
pub(super) fn with_group<R: Default>(
    stream: &mut Write<Stream>,
    name: &[u8],
    change: impl FnOnce(&Entries, &mut Group) -> R,
) -> R {
    let parts = stream.change_untold().parts_mut();
    let entries = &parts.entries;
    parts.groups.change(name, |group| change(entries, group)).unwrap_or_default()
}

/// Tells of what was claimed.
fn told(stream: &mut Write<Stream>, done: &Done, effects: Effects) -> Outcome {
    if done.is_new_consumer {
        stream.event(EventClass::Stream, "xgroup-createconsumer");
    }
    if effects.is_empty() {
        return Outcome::Same;
    }
    stream.note();
    let changes = effects.len() + usize::from(done.is_new_consumer);
    stream.count_changes(changes as u64 - 1);
    Outcome::ChangedAs(effects)
}

/// What claiming did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Number of entries that were taken.
    pub(super) taken: usize,
    /// The consumer came into being.
    pub(super) is_new_consumer: bool,
}

/// Entries being given to a consumer.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    consumer_name: &'a [u8],
    consumer: Option<ConsumerId>,
    now_ms: i64,
    pub(super) effects: GroupEffects<'a>,
    /// Number of effects.
    told: usize,
    done: Done,
}

impl<'a> Claims<'a> {
    pub(super) fn new(
        key: Key<'a>,
        group: &'a [u8],
        consumer: &'a [u8],
        now_ms: i64,
        effects: &'a mut Effects,
    ) -> Self {
        let effects = GroupEffects::new(key, group, effects);
        Claims { consumer_name: consumer, consumer: None, now_ms, effects, told: 0, done: Done::default() }
    }

    /// Drops an entry that is pending but gone from the stream; says nothing of one that is not pending.
    pub(super) fn drop_missing(&mut self, group: &mut Group, id: StreamId) {
        let Some(pending) = group.get_pending(id) else { return };
        match pending.owner().map(|owner| group.consumer(owner).name().to_vec()) {
            // Claiming what is gone drops it from wherever it is.
            Some(owner) => {
                self.effects.claim(group, id, &owner, pending.delivered_ms(), pending.deliveries);
            }
            None => self.effects.acknowledge(id),
        }
        group.acknowledge(id);
        self.told += 1;
    }

    /// Gives an entry to the consumer, who comes into being with the first.
    pub(super) fn take(&mut self, group: &mut Group, id: StreamId, delivered_ms: i64, deliveries: u64) {
        let consumer = match self.consumer {
            Some(consumer) => consumer,
            None => self.find_consumer(group),
        };
        group.deliver(id, consumer, delivered_ms, deliveries);
        self.effects.claim(group, id, self.consumer_name, delivered_ms, deliveries);
        self.told += 1;
        self.done.taken += 1;
    }

    fn find_consumer(&mut self, group: &mut Group) -> ConsumerId {
        let (consumer, is_new) = group.consumer_named(self.consumer_name, self.now_ms);
        let found = group.consumer_mut(consumer);
        found.seen_ms = self.now_ms;
        found.active_ms = Some(self.now_ms);
        self.done.is_new_consumer = is_new;
        self.consumer = Some(consumer);
        consumer
    }

    pub(super) fn done(self) -> Done {
        self.done
    }
}

#[cfg(test)]
mod tests;
