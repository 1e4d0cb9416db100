//! `IDEM.COMPLETE` and `IDEM.FAIL`.

use super::{TIME_MAX_MS, effect};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Key;
use tidegate_data::types::idem::{Effect, Idem};

/// How long an answer is kept where nothing is said.
const KEPT_DEFAULT_MS: i64 = 86_400_000;

pub(super) static COMPLETE: Command = command(
    "IDEM.COMPLETE",
    "key token(integer) response [<EX seconds(integer)|PX milliseconds(integer)>]",
    complete,
)
.about(
    "1.0.0",
    "O(N) in the size of the response.",
    "Keeps the answer to a request, for a day unless another time is given.",
)
.arity(-4)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn complete(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, token, response) = (args.key()?, args.integer()?, args.next()?);
    let kept_ms = if args.is_done() {
        KEPT_DEFAULT_MS
    } else if args.take_word("EX") {
        args.between("EX", 1, TIME_MAX_MS / 1000)? * 1000
    } else if args.take_word("PX") {
        args.between("PX", 1, TIME_MAX_MS)?
    } else {
        return Err(Error::Syntax);
    };
    args.end()?;
    let most = cx.env.limits().idem_response_max;
    if response.len() > most {
        return Err(Error::text(format!("TOOBIG response exceeds {most} bytes")));
    }
    let now_ms = cx.env.native_ms();
    if !is_run(cx, key, token, now_ms)? {
        return Err(Error::new("STALE token is not current"));
    }
    reply.ok();
    let until_ms = now_ms.saturating_add(kept_ms);
    effect::change(cx, key, Effect::Done { token, response: response.into(), until_ms })
}

pub(super) static FAIL: Command = command("IDEM.FAIL", "key token(integer)", fail)
    .about("1.0.0", "O(1)", "Forgets that a request was begun, so that it is run when it is repeated.")
    .arity(3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn fail(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, token) = (args.key()?, args.integer()?);
    let now_ms = cx.env.native_ms();
    let is_run = is_run(cx, key, token, now_ms)?;
    reply.integer(is_run.into());
    if is_run { effect::change(cx, key, Effect::Fail) } else { Ok(Outcome::Same) }
}

/// True while the request is run under this token.
fn is_run(cx: &mut Ctx, key: Key, token: i64, now_ms: i64) -> Result<bool, Error> {
    Ok(cx.keys.for_write_as::<Idem>(key)?.is_some_and(|idem| idem.is_run_under(token, now_ms)))
}
