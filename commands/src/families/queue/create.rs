//! `XQUEUE.CREATE`.

use super::open::Open;
use super::{between, duration_ms, quoted};
use crate::families::ratelimit::no_policy;
use crate::model::{Args, Command, Ctx, Env, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::queue::{
    Backoff, DELAY_MAX_MS, DELAYS_MAX, Effect, HISTORY_MAX, LEASE_MAX_MS, Options,
};
use tidegate_data::types::ratelimit::Spec;
use tidegate_data::{Key, slot};

pub(super) static CREATE: Command = command(
    "XQUEUE.CREATE",
    "key [condition: NX|XX] [LEASE milliseconds(integer)] [MAXDELIVER deliveries(integer)] \
     [BACKOFF <FIXED base-ms(integer) max-ms(integer)|LINEAR base-ms(integer) max-ms(integer)|\
     EXP base-ms(integer) max-ms(integer)|LIST count delay-ms(integer) [delay-ms(integer)...]> [JITTER percent(integer)]] \
     [AGING milliseconds(integer)] [GROUPMAX messages(integer)] [MAXINFLIGHT messages(integer)] \
     [CONSUMERMAX messages(integer)] [RATE policy] [GROUPRATE policy] [TTL milliseconds(integer)] \
     [EXPIRED <DROP|DEAD>] [MAXLEN messages(integer) [overflow: REJECT|DROPOLD]] [MAXBODY bytes(integer)] \
     [DEADTTL milliseconds(integer)] [DEADMAX messages(integer)] [DLQ queue(key)] [HISTORY attempts(integer)]",
    create,
)
.about(
    "1.0.0",
    "O(1), O(N*log(N)) with GROUPMAX where N is the number of groups.",
    "Creates a work queue, or changes its options.",
)
.arity(-2)
.keys(KeySpec::first().rw().update())
.keys(KeySpec::after_keyword("DLQ", 2).rw().insert())
.flags(&[Flag::Write, Flag::DenyOom]);

/// Most messages that any bound says.
const MESSAGES_MAX: u64 = u32::MAX as u64;
/// Largest body that may be asked for.
const BODY_MAX: u64 = 512 * 1024 * 1024;

fn create(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (nx, xx) = (args.take_word("NX"), args.take_word("XX"));
    if nx && (xx || args.take_word("XX")) || xx && args.take_word("NX") {
        return Err(Error::Syntax);
    }
    let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
    let before = open.queue().options();
    let given = parse(args, Some(before));
    let given = given.and_then(|given| {
        check_policies(&cx.env, before, &given)?;
        check_letters(key, before, &given)?;
        Ok(given)
    });
    let given = match given {
        Ok(given) => given,
        Err(error) => return open.refused(reply, error).map(|done| done.outcome(cx)),
    };
    if nx && !open.is_new() || xx && open.is_new() {
        reply.null();
        return Ok(open.done().outcome(cx));
    }
    // Any queue is like one that was created with the options that it would have without.
    if *open.queue().options() != given {
        open.apply(&Effect::Configure(given));
    }
    reply.ok();
    Ok(open.done().outcome(cx))
}

fn check_policies(env: &Env, before: &Options, given: &Options) -> Result<(), Error> {
    for (name, known) in [(&given.rate, &before.rate), (&given.group_rate, &before.group_rate)] {
        if name.is_empty() || name == known {
            continue;
        }
        let policies = env.native().policies();
        let policy = policies.get(name.as_bytes()).ok_or_else(|| no_policy(name.as_bytes()))?;
        if !is_allowed(&policy.spec) {
            return Err(quoted("ERR policy '", name.as_bytes(), "' is not allowed here"));
        }
    }
    Ok(())
}

/// Who hands something over holds both queues.
fn check_letters(key: Key, before: &Options, given: &Options) -> Result<(), Error> {
    let to = &given.dead_letters;
    if to.is_empty() || *to == before.dead_letters || slot(to) == slot(key.bytes()) {
        return Ok(());
    }
    Err(Error::new("ERR DLQ must be in the same slot"))
}

/// Whether a queue may be limited like this: by what lets each delivery pass, or not.
pub(super) fn is_allowed(spec: &Spec) -> bool {
    matches!(spec, Spec::Bucket { .. } | Spec::Fixed { .. })
}

/// Reads options up to the end. What is not told is as it is in the queue, or as it is in any, if there is none: then
/// all of it was written by [`words`].
pub(super) fn parse(args: &mut Args, present: Option<&Options>) -> Result<Options, Error> {
    let mut options = present.cloned().unwrap_or_default();
    let mut seen: Vec<&'static str> = Vec::new();
    while let Some(word) = args.peek() {
        let token = TOKENS.iter().find(|token| word.eq_ignore_ascii_case(token.as_bytes()));
        let Some(token) = token else { return Err(quoted("ERR unknown option '", word, "'")) };
        if seen.contains(token) {
            return Err(Error::Syntax);
        }
        seen.push(token);
        args.skip(1);
        let messages = |args: &mut Args, min: u64| between(args, token, min, MESSAGES_MAX);
        match *token {
            "LEASE" => options.lease_ms = between(args, token, 1, LEASE_MAX_MS)?,
            "MAXDELIVER" => options.max_deliver = messages(args, 0)? as u32,
            "BACKOFF" => {
                options.backoff = backoff(args)?;
                options.jitter =
                    if args.take_word("JITTER") { between(args, "JITTER", 0, 100)? as u32 } else { 0 };
            }
            "AGING" => options.aging_ms = duration_ms(args, 0)?,
            "GROUPMAX" => options.group_max = messages(args, 1)? as u32,
            "MAXINFLIGHT" => options.max_in_flight = messages(args, 0)? as u32,
            "CONSUMERMAX" => options.consumer_max = messages(args, 0)? as u32,
            "RATE" => options.rate = policy(args)?,
            "GROUPRATE" => options.group_rate = policy(args)?,
            "TTL" => options.ttl_ms = duration_ms(args, 0)?,
            "EXPIRED" => options.expired_die = either(args, "DROP", "DEAD")?,
            "MAXLEN" => {
                options.max_len = between(args, token, 0, MESSAGES_MAX)?;
                options.drops_old = !args.take_word("REJECT") && args.take_word("DROPOLD");
            }
            "MAXBODY" => options.max_body = between(args, token, 1, BODY_MAX)?,
            "DLQ" => {
                // In the journal it is no key of the command.
                let name = if present.is_some() { args.key_behind_word()?.bytes() } else { args.next()? };
                options.dead_letters = name.into();
            }
            "DEADTTL" => options.dead_ttl_ms = duration_ms(args, 0)?,
            "DEADMAX" => options.dead_max = messages(args, 0)?,
            _ => options.history = between(args, token, 0, u64::from(HISTORY_MAX))? as u32,
        }
    }
    Ok(options)
}

const TOKENS: [&str; 17] = [
    "LEASE",
    "MAXDELIVER",
    "BACKOFF",
    "AGING",
    "GROUPMAX",
    "MAXINFLIGHT",
    "CONSUMERMAX",
    "RATE",
    "GROUPRATE",
    "TTL",
    "EXPIRED",
    "MAXLEN",
    "MAXBODY",
    "DEADTTL",
    "DEADMAX",
    "DLQ",
    "HISTORY",
];

/// True for the second of two words.
fn either(args: &mut Args, first: &str, second: &str) -> Result<bool, Error> {
    if args.take_word(first) {
        return Ok(false);
    }
    if args.take_word(second) { Ok(true) } else { Err(Error::Syntax) }
}

/// The name of a policy; an empty one for none.
fn policy(args: &mut Args) -> Result<Box<str>, Error> {
    let name = args.next()?;
    std::str::from_utf8(name).map(Into::into).map_err(|_| no_policy(name))
}

fn backoff(args: &mut Args) -> Result<Backoff, Error> {
    let delay_ms = |args: &mut Args| between(args, "BACKOFF", 0, DELAY_MAX_MS);
    let kind = args.next()?;
    if kind.eq_ignore_ascii_case(b"LIST") {
        let count = between(args, "BACKOFF LIST", 1, DELAYS_MAX as u64)?;
        return Ok(Backoff::List((0..count).map(|_| delay_ms(args)).collect::<Result<_, _>>()?));
    }
    let kinds = ["FIXED", "LINEAR", "EXP"];
    let found = kinds.iter().find(|name| kind.eq_ignore_ascii_case(name.as_bytes())).ok_or(Error::Syntax)?;
    let (base_ms, max_ms) = (delay_ms(args)?, delay_ms(args)?);
    Ok(match *found {
        "FIXED" => Backoff::Fixed { base_ms, max_ms },
        "LINEAR" => Backoff::Linear { base_ms, max_ms },
        _ => Backoff::Exponential { base_ms, max_ms },
    })
}

/// A backoff in the words of a client.
pub(super) fn backoff_words(backoff: &Backoff) -> Vec<String> {
    let (name, numbers) = match backoff {
        Backoff::Fixed { base_ms, max_ms } => ("FIXED", vec![*base_ms, *max_ms]),
        Backoff::Linear { base_ms, max_ms } => ("LINEAR", vec![*base_ms, *max_ms]),
        Backoff::Exponential { base_ms, max_ms } => ("EXP", vec![*base_ms, *max_ms]),
        Backoff::List(delays) => {
            ("LIST", std::iter::once(delays.len() as u64).chain(delays.to_vec()).collect())
        }
    };
    std::iter::once(name.to_owned()).chain(numbers.iter().map(u64::to_string)).collect()
}

/// All options, as [`parse`] reads them.
pub(super) fn words(options: &Options) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::with_capacity(48);
    let mut pair = |name: &str, value: &[u8]| words.extend([name.as_bytes().to_vec(), value.to_vec()]);
    let numbers = [
        ("LEASE", options.lease_ms),
        ("MAXDELIVER", options.max_deliver.into()),
        ("AGING", options.aging_ms),
        ("GROUPMAX", options.group_max.into()),
        ("MAXINFLIGHT", options.max_in_flight.into()),
        ("CONSUMERMAX", options.consumer_max.into()),
        ("TTL", options.ttl_ms),
        ("MAXBODY", options.max_body),
        ("DEADTTL", options.dead_ttl_ms),
        ("DEADMAX", options.dead_max),
        ("HISTORY", options.history.into()),
    ];
    for (name, number) in numbers {
        pair(name, number.to_string().as_bytes());
    }
    pair("RATE", options.rate.as_bytes());
    pair("GROUPRATE", options.group_rate.as_bytes());
    pair("EXPIRED", if options.expired_die { b"DEAD" } else { b"DROP" });
    pair("MAXLEN", options.max_len.to_string().as_bytes());
    words.push(if options.drops_old { b"DROPOLD".to_vec() } else { b"REJECT".to_vec() });
    if !options.dead_letters.is_empty() {
        words.extend([b"DLQ".to_vec(), options.dead_letters.to_vec()]);
    }
    words.push(b"BACKOFF".to_vec());
    words.extend(backoff_words(&options.backoff).into_iter().map(String::into_bytes));
    words.extend([b"JITTER".to_vec(), options.jitter.to_string().into_bytes()]);
    words
}
