//! Queues in the journal: `NATIVE.APPLY key XQ ...`. Times are milliseconds of the native clock; `-` is what is not there.
//!
//! ```text
//! CFG option value...                                      all options, as `XQUEUE.CREATE` takes them
//! AT now [effect]                                          leases end, what is due is ready, what lived too long goes; a
//!                                                          queue that this empties is there for the effect all the same
//! PUSH id due priority group ttl deliveries redrives dedup dedup-until headers (name value)* body
//! REPL id due headers (name value)* body
//! POP id token now end consumer                            RATE group open reset limiter
//! ACK id now          NACK id now due reason               BURY id now reason          REL id now
//! EXT id end          DEL id            TRIM n             RDR id now due              PURGE state
//! PAUSE in out until
//! ```

use super::create;
use crate::model::{Args, Ctx, Effects, Error, Outcome, Words, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::queue::{Effect, Headers, Id, Push, State, XQueue};
use tidegate_data::types::ratelimit::Limiter;

const ABSENT: &[u8] = b"-";

fn write_headers(words: &mut Words<'_>, encoded: &[u8]) {
    if encoded.is_empty() {
        words.number(0);
        return;
    }
    let headers = Headers::of_bytes(encoded).unwrap_or_default();
    words.number(headers.words().count() as u64 / 2);
    for word in headers.words() {
        words.bytes(word);
    }
}

/// Appends an effect, and what time had brought before it.
pub(super) fn push(effects: &mut Effects, key: &[u8], elapsed_ms: Option<u64>, effect: &Effect<'_>) {
    effects.push_words(|words| {
        words.bytes(b"NATIVE.APPLY").bytes(key).bytes(b"XQ");
        if let Some(now_ms) = elapsed_ms {
            words.bytes(b"AT").number(now_ms);
        }
        write(words, effect);
    });
}

fn write(words: &mut Words<'_>, effect: &Effect<'_>) {
    /// A word, and the id of the message that it is about.
    fn about<'w, 'e>(words: &'w mut Words<'e>, word: &str, id: Id) -> &'w mut Words<'e> {
        words.bytes(word.as_bytes()).bytes(super::text_of(id).as_bytes())
    }
    match effect {
        Effect::Configure(options) => {
            words.bytes(b"CFG");
            for word in create::words(options) {
                words.bytes(&word);
            }
        }
        Effect::Elapse(now_ms) => {
            words.bytes(b"AT").number(*now_ms);
        }
        Effect::Push(push) => {
            let Push { id, due_ms, priority, group, ttl_ms, max_deliver, redrives, dedup, headers, body } =
                *push;
            about(words, "PUSH", id).number(due_ms).number(priority.into()).bytes(group).number(ttl_ms);
            match max_deliver {
                Some(max_deliver) => words.number(max_deliver.into()),
                None => words.bytes(ABSENT),
            };
            words.number(redrives.into());
            match dedup {
                Some((name, until_ms)) => words.bytes(name).number(until_ms),
                None => words.bytes(ABSENT).bytes(ABSENT),
            };
            write_headers(words, headers);
            words.bytes(body);
        }
        Effect::Replace { id, due_ms, headers, body } => {
            about(words, "REPL", *id).number(*due_ms);
            write_headers(words, headers);
            words.bytes(body);
        }
        Effect::Take { id, token, now_ms, end_ms, consumer } => {
            about(words, "POP", *id).number(*token).number(*now_ms).number(*end_ms).bytes(consumer);
        }
        Effect::Meter { group, limiter, open_ms, reset_ms } => {
            let mut form = Vec::new();
            limiter.write(&mut form);
            words.bytes(b"RATE").bytes(group).number(*open_ms).number(*reset_ms).bytes(&form);
        }
        Effect::Ack { id, now_ms } => {
            about(words, "ACK", *id).number(*now_ms);
        }
        Effect::Nack { id, now_ms, due_ms, reason } => {
            about(words, "NACK", *id).number(*now_ms).number(*due_ms).bytes(reason);
        }
        Effect::Bury { id, now_ms, reason } => {
            about(words, "BURY", *id).number(*now_ms).bytes(reason);
        }
        Effect::Release { id, now_ms } => {
            about(words, "REL", *id).number(*now_ms);
        }
        Effect::Extend { id, end_ms } => {
            about(words, "EXT", *id).number(*end_ms);
        }
        Effect::Delete(id) => {
            about(words, "DEL", *id);
        }
        Effect::Trim(count) => {
            words.bytes(b"TRIM").number(*count);
        }
        Effect::Redrive { id, now_ms, due_ms } => {
            about(words, "RDR", *id).number(*now_ms).number(*due_ms);
        }
        Effect::Purge(state) => {
            words.bytes(b"PURGE").bytes(state.map_or(ABSENT, |state| state.name().as_bytes()));
        }
        Effect::Pause { input, output, until_ms } => {
            words.bytes(b"PAUSE").number((*input).into()).number((*output).into()).number(*until_ms);
        }
    }
}

fn number(args: &mut Args) -> Result<u64, Error> {
    u64::try_from(args.integer()?).map_err(|_| Error::NotInteger)
}

fn id(args: &mut Args) -> Result<Id, Error> {
    Id::of_text(args.next()?).ok_or(Error::Syntax)
}

fn optional(args: &mut Args) -> Result<Option<u64>, Error> {
    match args.next()? {
        ABSENT => Ok(None),
        word => {
            let number = parse_i64(word).and_then(|number| u64::try_from(number).ok());
            number.map(Some).ok_or(Error::NotInteger)
        }
    }
}

fn headers(args: &mut Args) -> Result<Headers, Error> {
    let pairs = number(args)?;
    if pairs > args.remaining() as u64 / 2 {
        return Err(Error::Syntax);
    }
    let words: Vec<&[u8]> = (0..2 * pairs).map(|_| args.next()).collect::<Result<_, _>>()?;
    Ok(Headers::of_words(words.into_iter()))
}

/// Reads what [`push`] wrote, behind `XQ`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let mut kept = Headers::default();
    let mut elapsed = None;
    if args.take_word("AT") {
        elapsed = Some(Effect::Elapse(number(args)?));
    }
    let effect = if args.is_done() { None } else { Some(read(args, &mut kept)?) };
    args.end()?;
    if let Some(Effect::Take { token, now_ms, .. }) = &effect {
        // No token is given out twice, whatever the clock of this machine says.
        let (now_ms, token) = (i64::try_from(*now_ms), i64::try_from(*token));
        if let (Ok(now_ms), Ok(token)) = (now_ms, token) {
            cx.env.native().raise_clocks(now_ms, token);
        }
    }
    let mut write = cx.keys.write_or_create::<XQueue>(key)?;
    for effect in elapsed.iter().chain(&effect) {
        write.change_untold().0.apply(effect).map_err(|_| Error::Syntax)?;
    }
    write.touch();
    Ok(Outcome::Changed)
}

/// Reads one effect; `kept` keeps what it needs.
fn read<'k, 'a: 'k>(args: &mut Args<'a>, kept: &'k mut Headers) -> Result<Effect<'k>, Error> {
    Ok(match args.next()? {
        b"CFG" => Effect::Configure(create::parse(args, None)?),
        b"PUSH" => {
            let (id, due_ms, priority) = (id(args)?, number(args)?, number(args)?);
            let (group, ttl_ms) = (args.next()?, number(args)?);
            let small = |n: u64| u32::try_from(n).map_err(|_| Error::NotInteger);
            let max_deliver = optional(args)?.map(small).transpose()?;
            let redrives = small(number(args)?)?;
            let (name, until_ms) = (args.next()?, optional(args)?);
            *kept = headers(args)?;
            Effect::Push(Push {
                id,
                due_ms,
                priority: u8::try_from(priority).map_err(|_| Error::NotInteger)?,
                group,
                ttl_ms,
                max_deliver,
                redrives,
                dedup: until_ms.map(|until_ms| (name, until_ms)),
                headers: kept.as_bytes(),
                body: args.next()?,
            })
        }
        b"REPL" => {
            let (id, due_ms) = (id(args)?, number(args)?);
            *kept = headers(args)?;
            Effect::Replace { id, due_ms, headers: kept.as_bytes(), body: args.next()? }
        }
        b"POP" => Effect::Take {
            id: id(args)?,
            token: number(args)?,
            now_ms: number(args)?,
            end_ms: number(args)?,
            consumer: args.next()?,
        },
        b"RATE" => {
            let (group, open_ms, reset_ms) = (args.next()?, number(args)?, number(args)?);
            let limiter = Limiter::read(args.next()?).map_err(|_| Error::Syntax)?;
            Effect::Meter { group, limiter, open_ms, reset_ms }
        }
        b"ACK" => Effect::Ack { id: id(args)?, now_ms: number(args)? },
        b"NACK" => {
            Effect::Nack { id: id(args)?, now_ms: number(args)?, due_ms: number(args)?, reason: args.next()? }
        }
        b"BURY" => Effect::Bury { id: id(args)?, now_ms: number(args)?, reason: args.next()? },
        b"REL" => Effect::Release { id: id(args)?, now_ms: number(args)? },
        b"EXT" => Effect::Extend { id: id(args)?, end_ms: number(args)? },
        b"DEL" => Effect::Delete(id(args)?),
        b"TRIM" => Effect::Trim(number(args)?),
        b"RDR" => Effect::Redrive { id: id(args)?, now_ms: number(args)?, due_ms: number(args)? },
        b"PURGE" => Effect::Purge(match args.next()? {
            ABSENT => None,
            name => Some(State::of_name(name).ok_or(Error::Syntax)?),
        }),
        b"PAUSE" => {
            Effect::Pause { input: number(args)? != 0, output: number(args)? != 0, until_ms: number(args)? }
        }
        _ => return Err(Error::Syntax),
    })
}
