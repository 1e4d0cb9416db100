//! `XQUEUE.POP`.

use super::open::{Done, Now, Open};
use super::read::write_meta;
use super::{between, create, name};
use crate::model::{Args, Command, Ctx, Env, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command};
use tidegate_data::Key;
use tidegate_data::types::queue::{Ask, Effect, LEASE_MAX_MS, Metered, Next, Options};
use tidegate_data::types::ratelimit::Spec;

/// Most messages of one call.
const COUNT_MAX: u64 = 1000;

pub(super) static POP: Command = command(
    "XQUEUE.POP",
    "numkeys key [key...] [COUNT count] [LEASE milliseconds(integer)] [BLOCK milliseconds(integer)] [CONSUMER name]",
    pop,
)
.about(
    "1.0.0",
    "O(K + M*log(N)) where K is the number of keys given, M the number of messages taken and N that of those there are.",
    "Takes messages from the first of several work queues that has any, for the time of a lease.",
)
.arity(-3)
.keys(KeySpec::counted(1, 1).rw().access().update())
.flags(&[Flag::Write, Flag::Blocking]);

/// What a call asks for.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted<'a> {
    count: Option<u64>,
    lease_ms: Option<u64>,
    block_ms: Option<u64>,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Reads everything, with the keys passed over.
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        super::skip_keys(args)?;
        let mut wanted = Wanted::default();
        while !args.is_done() {
            if wanted.count.is_none() && args.take_word("COUNT") {
                wanted.count = Some(between(args, "COUNT", 1, COUNT_MAX)?);
            } else if wanted.lease_ms.is_none() && args.take_word("LEASE") {
                wanted.lease_ms = Some(between(args, "LEASE", 0, LEASE_MAX_MS)?);
            } else if wanted.block_ms.is_none() && args.take_word("BLOCK") {
                wanted.block_ms = Some(super::duration_ms(args, 0)?);
            } else if wanted.consumer.is_none() && args.take_word("CONSUMER") {
                wanted.consumer = Some(name(args, "consumer")?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(wanted)
    }
}

impl Wanted<'_> {
    /// Has the same asked of one queue when it changes, and at that time.
    fn wait_on(&self, wait: &mut Wait, key: Key, retry_ms: Option<u64>) {
        let count = self.count.unwrap_or(1).to_string();
        let mut words: Vec<&[u8]> = vec![b"XQUEUE.POP", b"1", key.bytes(), b"COUNT", count.as_bytes()];
        let lease = self.lease_ms.map(|lease_ms| lease_ms.to_string());
        if let Some(lease) = &lease {
            words.extend([&b"LEASE"[..], lease.as_bytes()]);
        }
        if let Some(consumer) = self.consumer {
            words.extend([&b"CONSUMER"[..], consumer]);
        }
        words.extend([&b"BLOCK"[..], b"0"]);
        wait.on(key, &words).or_when(retry_ms.and_then(|ms| i64::try_from(ms).ok()));
    }
}

/// The limits of a queue, by the policies of the moment.
struct Limits {
    rate: Option<Spec>,
    group_rate: Option<Spec>,
    /// One that is named is not there.
    is_lacking: bool,
}

impl Limits {
    fn of(options: &Options, env: &Env) -> Self {
        if options.rate.is_empty() && options.group_rate.is_empty() {
            return Limits { rate: None, group_rate: None, is_lacking: false };
        }
        let policies = env.native().policies();
        let find = |name: &str| {
            let policy = policies.get(name.as_bytes()).filter(|_| !name.is_empty());
            policy.map(|policy| policy.spec).filter(create::is_allowed)
        };
        let (rate, group_rate) = (find(&options.rate), find(&options.group_rate));
        let is_lacking = !options.rate.is_empty() && rate.is_none()
            || !options.group_rate.is_empty() && group_rate.is_none();
        Limits { rate, group_rate, is_lacking }
    }
}

fn pop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let wanted = Wanted::parse(args)?;
    let mut all = Done::default();
    let mut found = Vec::new();
    for key in args.keys() {
        let (got, done) = match pop_from(cx, key, &wanted, reply) {
            // Who waits already goes on waiting where there is something else now.
            Err(Error::WrongType) if cx.env.is_retry() => (Got::NOTHING, Done::default()),
            // Time had brought something to a queue before.
            Err(error) if all.has_changes() => {
                reply.error(&error);
                return Ok(all.outcome(cx));
            }
            done => done?,
        };
        all = all.and(done);
        if matches!(got, Got::Messages) {
            return Ok(all.outcome(cx));
        }
        found.push((key, got));
    }
    let Some(block_ms) = wanted.block_ms.filter(|_| cx.env.may_wait()) else {
        reply.null_array();
        return Ok(all.outcome(cx));
    };
    let deadline_ms = (block_ms > 0).then(|| cx.env.now_ms().saturating_add(block_ms as i64));
    let mut wait = Wait::new(deadline_ms, Null::Array);
    let mut is_line = true;
    for (key, got) in found {
        let Got::Nothing { retry_ms, is_for_all } = got else { continue };
        is_line &= is_for_all;
        wanted.wait_on(&mut wait, key, retry_ms);
    }
    if is_line {
        wait.in_line();
    }
    wait.effects = all.into_effects(cx);
    Ok(wait.into())
}

/// What came of asking one queue.
#[derive(Clone, Copy)]
enum Got {
    /// Messages, which were written.
    Messages,
    /// None. There may be one at this time; whether that goes for everybody who may ask.
    Nothing { retry_ms: Option<u64>, is_for_all: bool },
}

impl Got {
    const NOTHING: Self = Got::Nothing { retry_ms: None, is_for_all: true };
}

/// Takes from one queue.
fn pop_from(cx: &mut Ctx, key: Key, wanted: &Wanted, reply: &mut Reply) -> Result<(Got, Done), Error> {
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        return Ok((Got::NOTHING, Done::default()));
    };
    let now = open.now;
    let limits = Limits::of(open.queue().options(), &cx.env);
    let ask = Ask {
        now_ms: now.ms,
        consumer: wanted.consumer.unwrap_or_default(),
        rate: limits.rate.as_ref(),
        group_rate: limits.group_rate.as_ref(),
    };
    let lease_ms = wanted.lease_ms.unwrap_or(open.queue().options().lease_ms);
    let start = reply.mark();
    let (mut given, mut got) = (0, Got::Messages);
    while given < wanted.count.unwrap_or(1) {
        let id = match open.queue().next(&ask) {
            Next::Give(id) => id,
            Next::Nothing { retry_ms } => {
                got = Got::Nothing { retry_ms, is_for_all: open.queue().options().consumer_max == 0 };
                break;
            }
        };
        let token = cx.env.next_token().max(0) as u64;
        let take =
            Effect::Take { id, token, now_ms: now.ms, end_ms: now.ms + lease_ms, consumer: ask.consumer };
        // Who gives a message away at once has to tell of it before.
        let is_done = lease_ms == 0;
        if is_done {
            write_message(reply, &open, id, token, 1);
        }
        let group = group_of(&open, id, &limits);
        open.apply(&take);
        if !is_done {
            write_message(reply, &open, id, token, 0);
        }
        charge(&mut open, &limits, group.as_deref(), now);
        given += 1;
    }
    if given > 0 {
        got = Got::Messages;
        reply.before(start, |reply| reply.array(given as usize));
        if limits.is_lacking {
            open.event("xqueue.nopolicy");
        }
    }
    Ok((got, open.done()))
}

/// The group of a message, if groups are limited and it has one.
fn group_of(open: &Open, id: tidegate_data::types::queue::Id, limits: &Limits) -> Option<Vec<u8>> {
    limits.group_rate.as_ref()?;
    let queue = open.queue();
    let group = queue.get(id).map(|message| queue.group(message)).unwrap_or_default();
    (!group.is_empty()).then(|| group.to_vec())
}

/// Charges a delivery to the limiters of the queue.
fn charge(open: &mut Open, limits: &Limits, group: Option<&[u8]>, now: Now) {
    if let Some(spec) = &limits.rate {
        let metered = open.queue().metered(spec, now.ms);
        open.apply(&meter(b"", metered));
    }
    if let (Some(spec), Some(group)) = (&limits.group_rate, group) {
        let metered = open.queue().group_metered(group, spec, now.ms);
        open.apply(&meter(group, metered));
    }
}

fn meter(group: &[u8], metered: Metered) -> Effect<'_> {
    let Metered { limiter, open_ms, reset_ms } = metered;
    Effect::Meter { group, limiter, open_ms, reset_ms }
}

/// Writes a message that is delivered; `more` deliveries than it counts.
fn write_message(reply: &mut Reply, open: &Open, id: tidegate_data::types::queue::Id, token: u64, more: u32) {
    let queue = open.queue();
    let Some(message) = queue.get(id) else { return };
    reply.array(6);
    reply.bulk(open.key().bytes());
    super::reply_id(reply, id);
    reply.bulk(super::receipt_of(id, token).as_bytes());
    let deliveries = message.deliveries().saturating_add(more);
    reply.integer(deliveries.into());
    reply.bulk(message.body());
    write_meta(reply, queue, message, open.now, deliveries);
}
