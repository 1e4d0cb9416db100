//! `CB.ALLOW`, `CB.REPORT`, `CB.GET`.

use super::store::{self, Told};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::breaker::{Breaker, Calls, OPTIONS, Shown, Verdict};

/// Most calls of one report.
const CALLS_MAX: i64 = 1 << 53;

pub(super) static ALLOW: Command = command("CB.ALLOW", "key", allow)
    .about(
        "1.0.0",
        "O(P) where P is the number of probes that are out.",
        "Tells whether a call should be made, and names it if it is a probe.",
    )
    .arity(2)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::Fast]);

fn allow(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms();
    let told = Told::of(cx);
    let Some(mut write) = cx.keys.write_as::<Breaker>(key)? else {
        reply_verdict(reply, Verdict { allowed: true, shown: Shown::Closed, retry_ms: 0, token: None });
        return Ok(Outcome::Same);
    };
    let (verdict, change) = write.change_untold().allow(now_ms, || cx.env.next_token());
    reply_verdict(reply, verdict);
    let end = store::note(write, change, false, told);
    Ok(store::finish(cx, key, end))
}

fn reply_verdict(reply: &mut Reply, verdict: Verdict) {
    reply.array(4);
    reply.integer(verdict.allowed.into());
    reply.bulk(verdict.shown.name().as_bytes());
    reply.integer(verdict.retry_ms);
    match verdict.token {
        Some(token) => reply.bulk_integer(token),
        None => reply.null(),
    }
}

pub(super) static REPORT: Command =
    command("CB.REPORT", "key ok(integer) fail(integer) [SLOW slow(integer)] [TOKEN token(integer)]", report)
        .about(
            "1.0.0",
            "O(P) where P is the number of probes that are out.",
            "Counts calls that succeeded and that failed, or the outcome of a probe. Creates the breaker if it does not exist.",
        )
        .arity(-4)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn report(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (ok, fail) = (args.integer()?, args.integer()?);
    let (mut slow, mut token) = (None, None);
    while !args.is_done() {
        if slow.is_none() && args.take_word("SLOW") {
            slow = Some(args.integer()?);
        } else if token.is_none() && args.take_word("TOKEN") {
            token = Some(args.integer()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let calls = Calls { ok, fail, slow: slow.unwrap_or(0) };
    let is_count = |number: &i64| (0..=CALLS_MAX).contains(number);
    if ![calls.ok, calls.fail, calls.slow].iter().all(is_count) || calls.slow > calls.total() {
        return Err(Error::new("ERR value is out of range"));
    }
    let now_ms = cx.env.native_ms();
    let told = Told::of(cx);
    let mut write = cx.keys.write_or_create::<Breaker>(key)?;
    let change = write.change_untold().report(calls, token, now_ms);
    reply.bulk(write.view().shown().name().as_bytes());
    let end = store::note(write, change, false, told);
    Ok(store::finish(cx, key, end))
}

pub(super) static GET: Command = command("CB.GET", "key", get)
    .about("1.0.0", "O(P) where P is the number of probes that are out.", "Tells all about a breaker.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms();
    let missing = Breaker::default();
    let breaker = cx.keys.read_as::<Breaker>(key)?.unwrap_or(&missing);
    let calls = breaker.calls(now_ms);
    reply.map(10 + OPTIONS.len());
    let text = |reply: &mut Reply, name: &str, text: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    };
    text(reply, "state", breaker.shown().name());
    let numbers = [
        ("ok", calls.ok),
        ("fail", calls.fail),
        ("slow", calls.slow),
        ("fail-rate", calls.percent(calls.fail)),
        ("slow-rate", calls.percent(calls.slow)),
        ("opened-at", breaker.opened_ms()),
        ("retry-after", breaker.retry_ms(now_ms)),
        ("opens", breaker.opens()),
    ];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    text(reply, "forced", breaker.force().name());
    for (option, number) in OPTIONS.iter().zip(breaker.settings().numbers()) {
        reply.bulk(option.name.to_ascii_lowercase().as_bytes());
        reply.integer(number);
    }
    Ok(Outcome::Same)
}
