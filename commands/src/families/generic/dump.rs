//! Values as bytes: `DUMP` and `RESTORE`.

use crate::families::adopt;
use crate::model::{
    Acl, Args, Command, Ctx, Effects, Error, Flag, Handler, KeySpec, Outcome, Reply, command, parse_i64,
};
use tidegate_data::EventClass;
use tidegate_data::rdb::{self, PayloadError};
use tidegate_data::types::native::NativeRef;

pub(super) static DUMP: Command = command("DUMP", "key", |cx, args, reply| {
    let key = args.key()?;
    let compress = cx.env.limits().compress_dumps;
    match cx.keys.read(key) {
        Some(record) => reply.bulk(&rdb::dump(record.value(), compress)),
        None => reply.null(),
    }
    Ok(Outcome::Same)
})
.about(
    "2.6.0",
    "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing \
     the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is \
     small, so simply O(1).",
    "Answers the value of a key as bytes, in Redis' own format.",
)
.arity(2)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.tips(&["nondeterministic_output"]);

/// What [`pack`] writes as the deadline of a key without one.
pub const UNLIMITED_MS: i64 = i64::MAX;

/// What `MIGRATE` takes along of a key: its deadline (Unix milliseconds, 8 bytes, least significant first) and what `DUMP`
/// answers. Nothing when it is not there.
pub fn pack(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let compress = cx.env.limits().compress_dumps;
    if let Some(record) = cx.keys.read(key) {
        reply.raw(&record.expiry_ms().unwrap_or(UNLIMITED_MS).to_le_bytes());
        reply.raw(&rdb::dump(record.value(), compress));
    }
    Ok(Outcome::Same)
}

pub(super) static RESTORE: Command = declare("RESTORE", restore).about(
    "2.6.0",
    RESTORE_COMPLEXITY,
    "Creates a key from what `DUMP` answered.",
);

/// What a cluster's nodes send each other while they move a slot.
pub(super) static RESTORE_ASKING: Command = declare("RESTORE-ASKING", restore)
    .about(
        "3.0.0",
        RESTORE_COMPLEXITY,
        "Creates a key from what `DUMP` answered, in a slot that is being imported.",
    )
    .flags(&[Flag::Asking, Flag::System]);

const RESTORE_COMPLEXITY: &str = "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
     value, where N is the number of Redis objects composing the value and M their average size. For small string \
     values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values \
     the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).";

const fn declare(name: &'static str, handler: Handler) -> Command {
    command(
        name,
        "key ttl serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds@5.0.0] [FREQ frequency@5.0.0]",
        handler,
    )
    .arity(-4)
    .keys(KeySpec::first().ow().update())
    .flags(&[Flag::Write, Flag::DenyOom])
    .acl(Acl::KEYSPACE.with(Acl::DANGEROUS))
    .history(&[
        ("3.0.0", "Option `REPLACE`."),
        ("5.0.0", "Option `ABSTTL`."),
        ("5.0.0", "Options `IDLETIME` and `FREQ`."),
    ])
}

/// The options of `RESTORE`.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    replace: bool,
    /// The time to live is a moment.
    absolute: bool,
    /// Seconds since the last access.
    idle_s: Option<u64>,
    /// The logarithmic counter of accesses.
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        let mut options = Options::default();
        while !args.is_done() {
            if args.take_word("REPLACE") {
                options.replace = true;
            } else if args.take_word("ABSTTL") {
                options.absolute = true;
            } else if args.remaining() >= 2 && options.frequency.is_none() && args.take_word("IDLETIME") {
                let idle_s = u64::try_from(args.integer()?)
                    .map_err(|_| Error::new("ERR Invalid IDLETIME value, must be >= 0"))?;
                options.idle_s = Some(idle_s);
            } else if args.remaining() >= 2 && options.idle_s.is_none() && args.take_word("FREQ") {
                let frequency = args.integer()?;
                let valid = u8::try_from(frequency)
                    .map_err(|_| Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                options.frequency = Some(valid);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

fn restore(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (ttl, payload) = (args.next()?, args.next()?);
    let options = Options::parse(args)?;
    if !options.replace && cx.keys.for_write(key).is_some() {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let ttl = parse_i64(ttl).ok_or(Error::NotInteger)?;
    if ttl < 0 {
        return Err(Error::new("ERR Invalid TTL value, must be >= 0"));
    }
    let deadline = match ttl {
        0 => None,
        ttl if options.absolute => Some(ttl),
        // Redis lets the sum overflow, which makes a moment long past of it.
        ttl => Some(cx.env.now_ms().wrapping_add(ttl)),
    };
    let limits = cx.env.limits();
    let restored = rdb::restore(payload, key.bytes(), deadline, limits.encodings, limits.verify_dumps);
    let mut record = restored.map_err(|error| match error {
        PayloadError::Footer => Error::new("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Value(reason) => Error::BadPayload(Box::new(reason)),
    })?;
    let replaced = options.replace && cx.keys.remove(key);
    if deadline.is_some_and(|deadline| deadline <= cx.env.now_ms()) {
        reply.ok();
        if !replaced {
            return Ok(Outcome::Same);
        }
        cx.keys.event(EventClass::Generic, "del", key);
        return Ok(Outcome::changed_as(&[b"DEL", key.bytes()]));
    }
    record.set_access(cx.keys.rules().access.restored(options.idle_s, options.frequency));
    adopt(&mut record, cx.env.native().tags());
    let native = NativeRef::of(record.value());
    let (token, ends_at) = native.map_or((0, None), |native| (native.token_max(), native.deadline_ms()));
    if token > 0 {
        cx.env.native().raise_clocks(0, token);
    }
    cx.keys.put(key, record);
    if deadline.is_none() && ends_at.is_some() {
        let before = cx.keys.log().changes;
        cx.keys.set_expiry(key, ends_at);
        cx.keys.log().recount(before, 0);
    }
    cx.keys.event(EventClass::Generic, "restore", key);
    reply.ok();
    let Some(deadline) = deadline else { return Ok(Outcome::Changed) };
    Ok(Outcome::ChangedAs(effect(args, deadline, options.absolute)))
}

/// The request with its time to live as a moment.
fn effect(args: &Args, deadline: i64, absolute: bool) -> Effects {
    let mut words: Vec<&[u8]> = (0..args.len()).map(|index| args.get(index)).collect();
    let digits = deadline.to_string();
    words[2] = digits.as_bytes();
    if !absolute {
        words.push(b"ABSTTL");
    }
    let mut effects = Effects::default();
    effects.push(&words);
    effects
}

#[cfg(test)]
mod tests;
