//! `XREADGROUP`.

use super::claim::{Claims, Done, one_more, with_group};
use super::ids;
use super::propagate::GroupEffects;
use super::read::{Block, KEYS_BEFORE_IDS, ReadOptions, begin_stream, count_streams, look_up, read_keys};
use super::{c_text, no_such_key_or_group, reply_entry, reply_fields, reply_id};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command};
use tidegate_data::types::stream::{ConsumerId, Entries, Entry, Group, Pending, Stream, StreamId};
use tidegate_data::{EventClass, Key, Write};

pub(super) static XREADGROUP: Command = command(
    "XREADGROUP",
    "GROUP <group_consumer: group consumer> [COUNT count] [BLOCK milliseconds] \
     [CLAIM min-idle-time(integer)]@8.4.0 [NOACK] STREAMS <streams: key [key ...] id [id ...]>",
    xreadgroup,
)
.about(
    "5.0.0",
    "O(M) for each stream with M being the number of entries returned. With BLOCK, XADD pays O(N) to serve the N \
     clients that wait for the stream.",
    "Returns entries that no consumer of a group has got yet, or what is pending for one. Can wait for new ones.",
)
.arity(-7)
.keys(KeySpec::after_keyword("STREAMS", 4).find(KEYS_BEFORE_IDS).ro().access())
.key_finder_first(read_keys)
.flags(&[Flag::Blocking, Flag::Write])
.history(&[("8.4.0", "Added the `CLAIM` option.")]);

/// What is asked of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// `>`
    New,
    /// What is pending for the consumer behind an ID.
    History(StreamId),
}

/// A request on one stream.
struct Reader<'a> {
    key: Key<'a>,
    group: &'a [u8],
    consumer: &'a [u8],
    options: ReadOptions<'a>,
    now_ms: i64,
    is_retry: bool,
}

fn xreadgroup(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let options = ReadOptions::parse(cx, args, true)?;
    let Some((group, consumer)) = options.group else { return Err(Error::Syntax) };
    let keys: Vec<Key> = args.keys().take(options.streams).collect();
    args.skip(options.streams);
    let mut asked = Vec::with_capacity(keys.len());
    for key in &keys {
        check_group(cx, *key, group)?;
        asked.push(Asked::parse(args.next()?)?);
    }
    let (now_ms, is_retry) = (cx.env.now_ms(), cx.env.is_retry());
    let mark = reply.mark();
    let mut effects = Effects::default();
    let mut streams = 0;
    for (key, asked) in keys.iter().zip(&asked) {
        if !is_retry {
            cx.keys.read(*key);
        }
        let Some(mut stream) = cx.keys.write_as::<Stream>(*key)? else { continue };
        let reader = Reader { key: *key, group, consumer, options, now_ms, is_retry };
        streams += usize::from(reader.read(&mut stream, *asked, reply, &mut effects));
    }
    if streams > 0 {
        count_streams(reply, mark, streams);
    } else if let Block::Until(deadline_ms) = options.block {
        let mut wait = wait(cx, &keys, &options, deadline_ms);
        wait.effects = effects;
        return Ok(wait.into());
    } else {
        reply.null_array();
    }
    Ok(if effects.is_empty() { Outcome::Same } else { Outcome::ChangedAs(effects) })
}

impl Asked {
    fn parse(id: &[u8]) -> Result<Self, Error> {
        match c_text(id) {
            b"$" => Err(Error::new(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
            )),
            b">" => Ok(Asked::New),
            // Nothing is behind the last ID, which stands for `>` in Redis.
            _ => Ok(match ids::parse_strict(id, 0)? {
                StreamId::MAX => Asked::New,
                after => Asked::History(after),
            }),
        }
    }
}

/// Refuses a key without stream or without the group. Who has waited is told what became of it.
fn check_group(cx: &mut Ctx, key: Key, group: &[u8]) -> Result<(), Error> {
    let is_retry = cx.env.is_retry();
    let stream = match look_up(cx, key) {
        Err(Error::WrongType) if is_retry => None,
        stream => stream?,
    };
    match stream {
        Some(stream) if stream.groups().get(group).is_some() => Ok(()),
        Some(_) if is_retry => {
            Err(Error::new("NOGROUP the consumer group this client was blocked on no longer exists"))
        }
        None if is_retry => Err(Error::new("UNBLOCKED the stream key no longer exists")),
        _ => Err(no_such_key_or_group(key, group, " in XREADGROUP with GROUP option")),
    }
}

/// Waits for new entries in any of the streams, or for pending ones to become old enough.
fn wait(cx: &mut Ctx, keys: &[Key], options: &ReadOptions, deadline_ms: Option<i64>) -> Wait {
    let (group, consumer) = options.group.unwrap_or_default();
    let count = options.count_after_waiting().to_string();
    let claim_ms = options.claim_ms.map(|claim_ms| claim_ms.to_string());
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in keys {
        let mut command: Vec<&[u8]> =
            vec![b"XREADGROUP", b"GROUP", group, consumer, b"COUNT", count.as_bytes(), b"BLOCK", b"0"];
        if options.no_ack {
            command.push(b"NOACK");
        }
        if let Some(claim_ms) = &claim_ms {
            command.extend([b"CLAIM", claim_ms.as_bytes()]);
        }
        command.extend([b"STREAMS", key.bytes(), b">"]);
        wait.on(*key, &command);
        if let Some(claim_ms) = options.claim_ms
            && let Ok(Some(mut stream)) = cx.keys.write_as::<Stream>(*key)
            && let Some(delivered_ms) = first_delivery_ms(&mut stream, group)
        {
            wait.or_at(delivered_ms.saturating_add(claim_ms));
        }
    }
    wait
}

/// When the entry that is pending for longest was delivered.
fn first_delivery_ms(stream: &mut Write<Stream>, group: &[u8]) -> Option<i64> {
    let groups = &mut stream.change_untold().parts_mut().groups;
    let longest =
        |group: &mut Group| group.pending_longest().next().map(|(_, pending)| pending.delivered_ms());
    groups.change(group, longest).flatten()
}

/// What reading one stream did.
#[derive(Debug, Default)]
struct Read {
    /// Something was answered.
    is_served: bool,
    is_new_consumer: bool,
}

impl Reader<'_> {
    /// Answers one stream if there is something to answer; says whether there was.
    fn read(
        &self,
        stream: &mut Write<Stream>,
        asked: Asked,
        reply: &mut Reply,
        effects: &mut Effects,
    ) -> bool {
        let before = effects.len();
        let read = with_group(stream, self.group, |entries, group| match asked {
            Asked::History(after) => self.history(entries, group, after, reply, effects),
            Asked::New => self.new_entries(entries, group, reply, effects),
        });
        if read.is_new_consumer {
            stream.event(EventClass::Stream, "xgroup-createconsumer");
        }
        if effects.len() > before {
            stream.note();
            stream.count_changes(u64::from(read.is_new_consumer));
        }
        read.is_served
    }

    /// The consumer, who comes into being when it first gets something.
    fn consumer(&self, group: &mut Group, read: &mut Read) -> ConsumerId {
        let (consumer, is_new) = group.consumer_named(self.consumer, self.now_ms);
        group.consumer_mut(consumer).seen_ms = self.now_ms;
        read.is_new_consumer |= is_new;
        consumer
    }

    /// What is pending for the consumer already.
    fn history(
        &self,
        entries: &Entries,
        group: &mut Group,
        after: StreamId,
        reply: &mut Reply,
        effects: &mut Effects,
    ) -> Read {
        let mut effects = GroupEffects::new(self.key, self.group, effects);
        let mut read = Read { is_served: true, ..Read::default() };
        let consumer = self.consumer(group, &mut read);
        let pending = after.successor().into_iter().flat_map(|start| group.consumer(consumer).pending(start));
        let ids: Vec<StreamId> = pending.take(self.count()).collect();
        let mut tells_consumer = false;
        begin_stream(reply, self.key);
        reply.array(ids.len());
        for id in ids {
            let Some(entry) = entries.get(id) else {
                reply.array(2);
                reply_id(reply, id);
                reply.null_array();
                continue;
            };
            reply_entry(reply, entry);
            let deliveries = one_more(group.get_pending(id).map_or(0, |pending| pending.deliveries));
            group.deliver(id, consumer, self.now_ms, deliveries);
            effects.claim(group, id, self.consumer, self.now_ms, deliveries);
            tells_consumer = true;
        }
        if read.is_new_consumer && !tells_consumer {
            effects.consumer(self.consumer);
        }
        read
    }

    fn count(&self) -> usize {
        self.options.count.unwrap_or(usize::MAX)
    }

    /// What nobody in the group has got yet, and with `CLAIM` before that what is pending for long.
    fn new_entries(
        &self,
        entries: &Entries,
        group: &mut Group,
        reply: &mut Reply,
        effects: &mut Effects,
    ) -> Read {
        let mark = reply.mark();
        begin_stream(reply, self.key);
        let array = reply.mark();
        let claimed = self.claim(entries, group, reply, effects);
        let left = self.count() - claimed.taken;
        let mut read = Read { is_served: claimed.taken > 0, is_new_consumer: claimed.is_new_consumer };
        // Redis looks at the last ID only when it serves somebody who waits, which shows where entries were deleted.
        let last = if self.is_retry { Some(entries.last_id()) } else { entries.last_live_id() };
        let start = group.last_id().successor().filter(|_| last > Some(group.last_id()));
        let mut len = claimed.taken;
        if let Some(start) = start.filter(|_| left > 0) {
            read.is_served = true;
            len += self.deliver(entries, group, start, left, &mut read, reply, effects);
        }
        if read.is_served {
            reply.before(array, |reply| reply.array(len));
        } else {
            reply.truncate(mark);
        }
        read
    }

    /// Delivers entries from `start` on and tells how many.
    #[expect(clippy::too_many_arguments, reason = "one loop of one command, cut out to be read by itself")]
    fn deliver(
        &self,
        entries: &Entries,
        group: &mut Group,
        start: StreamId,
        count: usize,
        read: &mut Read,
        reply: &mut Reply,
        effects: &mut Effects,
    ) -> usize {
        let mut effects = GroupEffects::new(self.key, self.group, effects);
        let consumer = self.consumer(group, read);
        // Claiming an entry makes the consumer as well.
        let claims = !self.options.no_ack && entries.range(start, StreamId::MAX).next().is_some();
        if read.is_new_consumer && !claims {
            effects.consumer(self.consumer);
        }
        let mut len = 0;
        for entry in entries.range(start, StreamId::MAX).take(count) {
            let id = entry.id;
            let entries_read = match group.entries_read() {
                Some(entries_read) if !entries.is_fragmented_from(id) => Some(entries_read.wrapping_add(1)),
                // Perhaps it can be told from here on.
                _ => entries.added_up_to(id),
            };
            group.set_position(id, entries_read);
            self.reply(reply, entry, 0, 0);
            if claims {
                group.deliver(id, consumer, self.now_ms, 1);
                effects.claim(group, id, self.consumer, self.now_ms, 1);
            }
            len += 1;
        }
        if len > 0 {
            group.consumer_mut(consumer).active_ms = Some(self.now_ms);
            effects.position(group);
        }
        len
    }

    /// Takes over what is pending for long, the longest first.
    fn claim(&self, entries: &Entries, group: &mut Group, reply: &mut Reply, effects: &mut Effects) -> Done {
        let Some(idle_ms) = self.options.claim_ms else { return Done::default() };
        // Found first and claimed then: with `CLAIM 0` what is claimed could be found again.
        let (mut found, mut left) = (Vec::new(), self.count());
        let is_idle = |(_, pending): &(StreamId, Pending)| pending.is_idle_for(idle_ms, self.now_ms);
        for (id, pending) in group.pending_longest().take_while(is_idle) {
            let entry = entries.get(id);
            left -= usize::from(entry.is_some());
            found.push((id, pending, entry));
            if left == 0 {
                break;
            }
        }
        let mut claims = Claims::new(self.key, self.group, self.consumer, self.now_ms, effects);
        for (id, pending, entry) in found {
            let Some(entry) = entry else {
                claims.drop_missing(group, id);
                continue;
            };
            let idle_ms = self.now_ms.saturating_sub(pending.delivered_ms()).max(0);
            self.reply(reply, entry, idle_ms, pending.deliveries);
            claims.take(group, id, self.now_ms, one_more(pending.deliveries));
        }
        claims.done()
    }

    /// Answers an entry; with `CLAIM` also for how long it was pending, and how often it was delivered before.
    fn reply(&self, reply: &mut Reply, entry: Entry, idle_ms: i64, deliveries: u64) {
        if self.options.claim_ms.is_none() {
            return reply_entry(reply, entry);
        }
        reply.array(4);
        reply_id(reply, entry.id);
        reply_fields(reply, entry);
        reply.integer(idle_ms);
        reply.integer(deliveries as i64);
    }
}

#[cfg(test)]
mod tests;
